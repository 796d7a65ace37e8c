"""How far PET and CT lie apart at each artery: a local search, in the axial plane, for the place where the PET fits.

Round the vessel the PET is modelled as one uptake for each tissue that the CT and the label map tell apart (the
vessel itself, other vessels, labelled neighbours, lung, fat, bone, all else), blurred to the PET's resolution. The
shift is where that model leaves the smallest residual; uptakes are fitted anew at every step (variable projection,
Golub and Pereyra 1973). Along a vessel that runs head-foot nothing marks a shift, so none is looked for there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from petflame.anatomy import ARTERIES, BY_NAME, NEIGHBOURS, VEINS
from petflame.grid import Array, Grid, Volume, ras_to_lps
from petflame.segment.blocks import Box, block_grid, block_mean, label_boxes
from petflame.segment.orientation import to_canonical
from petflame.segment.product import Check, PetCtShift, Segmentation

NAME, WARNING = "PET-CT shift", "PET and CT lie apart by"
FWHM_MM = 6.0
# The neighbourhood that takes part, the farthest shift looked for, and the spacing on which tissues are drawn.
REACH_MM, FARTHEST_MM, FINE_MM = 12.0, 6.0, 2.0
# What the model leaves out, such as uptake that varies within a tissue, moves the fit by about this much
# (docs/alignment.md).
MODEL_SD_MM = 0.8
# A shift known less well than this is not called measured.
LARGEST_SD_MM = 1.5
# Share of the PET's variance that the tissues must explain.
LEAST_EXPLAINED = 0.2
FEWEST_SAMPLES, MOST_SAMPLES = 200, 1500
LUNG_BELOW_HU, FAT_BELOW_HU, BONE_ABOVE_HU = -400.0, -25.0, 130.0
# Share of a PET voxel that a tissue must fill somewhere to have an uptake of its own.
LEAST_SHARE = 0.2
_STEPS, _SMALL_STEP_MM, _LONGEST_STEP_MM = 30, 0.02, 2.0


@dataclass(frozen=True, eq=False)
class _Tissues:
    """Blurred tissue maps round a vessel and the distance to the vessel, on one grid."""

    maps: list[Array]
    distance_mm: Array
    grid: Grid


def check_pet_ct_shift(segmentation: Segmentation, ct: Volume | None, pet: Volume) -> Segmentation:
    """Measure the shift at every artery, note it with the vessel, and warn where it exceeds a PET voxel.

    Regions that were drawn on the PET follow the PET; they have no shift.

    Parameters
    ----------
    segmentation : Segmentation
    ct : Volume or None
        HU; without it no shift is measured.
    pet : Volume
        SUVbw or Bq/mL.
    """
    if segmentation.reference == "pet" or ct is None:
        return segmentation
    labels, ct, pet = (to_canonical(v, copy=False) for v in (segmentation.labels, ct, pet))
    voxel_mm, boxes = max(pet.grid.spacing_mm[:2]), label_boxes(labels.data)
    vessels = dict(segmentation.vessels)
    # Labels that a reader edits are checked again.
    warnings = [w for w in segmentation.warnings if WARNING not in w]
    for name in ARTERIES:
        finding = vessels.get(name)
        if finding is None or not len(finding.centreline_lps_mm):
            continue
        shift = pet_ct_shift(name, labels, ct, pet, boxes)
        known = shift is not None and max(shift.sd_mm) <= LARGEST_SD_MM
        if shift is None:
            check = Check(NAME, True, "not measured: too little of the PET lies round the vessel")
        elif not known:
            check = Check(NAME, True, "not measured: too little of what the CT shows there shows in the PET")
        else:
            more = "at least " if shift.length_mm >= FARTHEST_MM else ""
            said = f"{more}{shift.length_mm:.1f} ± {max(shift.sd_mm):.1f} mm in the axial plane"
            said += f" (limit: a PET voxel, {voxel_mm:.1f} mm)"
            check = Check(NAME, not shift.exceeds(voxel_mm), said)
            if not check.passed:
                warnings.append(f"{name}: {WARNING} {said}; look at the alignment")
        checks = (*(c for c in finding.checks if c.name != NAME), check)
        vessels[name] = replace(finding, checks=checks, pet_ct_shift=shift if known else None)
    return replace(segmentation, vessels=vessels, warnings=tuple(warnings))


def pet_ct_shift(
    name: str, labels: Volume, ct: Volume, pet: Volume, boxes: list[Box | None] | None = None
) -> PetCtShift | None:
    """Find where the PET shows what lies round a vessel in the CT.

    Parameters
    ----------
    name : str
        The vessel.
    labels, ct, pet : Volume
        Canonical; `labels` and `ct` on one grid.
    boxes : list, optional
        Of each label, where they are known already.

    Returns
    -------
    PetCtShift or None
        None where the vessel is absent or fewer than 200 PET voxels lie round it.
    """
    boxes = label_boxes(labels.data) if boxes is None else boxes
    number = BY_NAME[name].label
    own = boxes[number - 1] if number <= len(boxes) else None
    if own is None:
        return None
    tissues = _tissues_round(name, own, labels, ct)
    where, values, stride = _samples(tissues, pet)
    if len(values) < FEWEST_SAMPLES:
        return None
    # Neighbouring voxels share noise: about one independent value to a resolution volume.
    shared = max(1.0, (1.06 * FWHM_MM) ** 3 / (pet.grid.voxel_volume_mm3 * stride))
    shift, sd = _fit(tissues, where, values, shared)
    x, y = ras_to_lps([*shift, 0.0])[:2]
    return PetCtShift((float(x), float(y)), (float(sd[0]), float(sd[1])))


def _tissues_round(name: str, own: Box, labels: Volume, ct: Volume) -> _Tissues:
    spacing = np.array(labels.grid.spacing_mm)
    pad = np.ceil((REACH_MM + FARTHEST_MM + FWHM_MM) / spacing).astype(int)
    start = np.maximum([part.start for part in own] - pad, 0)
    stop = np.minimum([part.stop for part in own] + pad, labels.data.shape)
    block = np.maximum(1, np.floor(FINE_MM / spacing + 0.01)).astype(int)
    # A box thinner than a block has nothing to average.
    block = np.minimum(block, stop - start)
    box = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
    parts = _parts(name, labels.data[box], ct.data[box], block)
    size = spacing * block
    grid = block_grid(labels.grid, start, block, parts[0].shape)
    sigma = FWHM_MM / 2.3548 / size
    distance = ndimage.distance_transform_edt(parts[0] < 0.5, sampling=size)
    return _Tissues([ndimage.gaussian_filter(p, sigma, mode="nearest") for p in parts], distance, grid)


def _parts(name: str, labels: Array, hu: Array, block: Array) -> list[Array]:
    """Share of each tissue in every block of voxels; the vessel comes first, soft tissue is what is left over."""
    others = [BY_NAME[n].label for n in (*ARTERIES, *VEINS) if n != name]
    wanted = [labels == BY_NAME[name].label, np.isin(labels, others)]
    wanted += [labels == BY_NAME[n].label for n in NEIGHBOURS if n != "metal"]
    parts = [block_mean(mask, block) for mask in wanted if mask.any()]
    free = np.clip(1.0 - np.sum(parts, axis=0), 0.0, 1.0)
    mean_hu = block_mean(hu, block)
    lung, fat, bone = mean_hu < LUNG_BELOW_HU, mean_hu < FAT_BELOW_HU, mean_hu > BONE_ABOVE_HU
    return [*parts, *(free * mask for mask in (lung, fat & ~lung, bone))]


def _samples(tissues: _Tissues, pet: Volume) -> tuple[Array, Array, int]:
    """Places on the tissue grid (n, 3) and uptake (n,) of PET voxels near the vessel, every `stride`-th of them."""
    grid = tissues.grid
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in grid.shape])).reshape(3, -1).T
    reached = pet.grid.to_ijk(grid.to_ras(corners))
    low = np.maximum(np.ceil(reached.min(axis=0)), 0).astype(int)
    high = np.minimum(np.floor(reached.max(axis=0)) + 1, pet.grid.shape).astype(int)
    axes = [np.arange(a, b) for a, b in zip(low, high, strict=True)]
    voxels = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    where = grid.to_ijk(pet.grid.to_ras(voxels))
    rim = np.array([FARTHEST_MM, FARTHEST_MM, 0.0]) / grid.spacing_mm
    inside = ((where >= rim) & (where <= np.array(grid.shape) - 1 - rim)).all(axis=1)
    near = ndimage.map_coordinates(tissues.distance_mm, where.T, order=1, mode="nearest") <= REACH_MM
    chosen = np.flatnonzero(inside & near)
    stride = max(1, -(-len(chosen) // MOST_SAMPLES))
    chosen = chosen[::stride]
    return where[chosen], pet.data[tuple(voxels[chosen].T)].astype(float), stride


def _fit(tissues: _Tissues, where: Array, values: Array, shared: float) -> tuple[Array, Array]:
    """Shift in RAS x, y and its standard deviation, each (2,), by damped Gauss-Newton steps from no shift.

    The standard deviation is infinite where the tissues do not explain the PET.
    """
    axes = tissues.grid.affine[:2, :2]
    # Along the grid's own axes; an oblique grid turns the result, not the search.
    spacing = np.array(tissues.grid.spacing_mm)
    # A tissue that hardly reaches the samples could take any uptake.
    maps = [m for m in tissues.maps if ndimage.map_coordinates(m, where.T, order=1).max() >= LEAST_SHARE]
    slopes = [np.gradient(m, *spacing[:2], axis=(0, 1)) for m in maps]

    def at(shift: Array, images: list[Array]) -> Array:
        # What the CT shows at a place, the PET shows that place plus the shift.
        places = where - [shift[0] / spacing[0], shift[1] / spacing[1], 0.0]
        return np.stack([ndimage.map_coordinates(m, places.T, order=1, mode="nearest") for m in images], axis=1)

    def residual(shift: Array) -> tuple[Array, Array, Array]:
        design = np.column_stack([at(shift, maps), np.ones(len(values))])
        uptakes = np.linalg.lstsq(design, values, rcond=None)[0]
        return values - design @ uptakes, design, uptakes

    shift, damping = np.zeros(2), 1e-3
    left, design, uptakes = residual(shift)
    normal = np.eye(2)
    for _ in range(_STEPS):
        moves = [-at(shift, [s[axis] for s in slopes]) @ uptakes[:-1] for axis in (0, 1)]
        slope = np.stack(moves, axis=1)
        basis = np.linalg.qr(design)[0]
        slope = slope - basis @ (basis.T @ slope)
        normal = slope.T @ slope + 1e-12 * np.eye(2)
        step = np.linalg.solve(normal * (1 + damping * np.eye(2)), slope.T @ left)
        step = np.clip(step, -_LONGEST_STEP_MM, _LONGEST_STEP_MM)
        tried = np.clip(shift + step, -FARTHEST_MM, FARTHEST_MM)
        outcome = residual(tried)
        if outcome[0] @ outcome[0] >= left @ left:
            damping *= 5
            if damping > 1e4:
                break
            continue
        moved, shift, damping = np.abs(tried - shift).max(), tried, damping / 3
        left, design, uptakes = outcome
        if moved < _SMALL_STEP_MM:
            break
    freedom = max(len(values) - design.shape[1] - 2, 1)
    spread = values - values.mean()
    if left @ left >= (1.0 - LEAST_EXPLAINED) * (spread @ spread) or np.ptp(values) <= 1e-6 * np.abs(values).max():
        return np.zeros(2), np.full(2, np.inf)
    covariance = np.linalg.inv(normal) * (left @ left) / freedom * shared
    turn = axes / np.linalg.norm(tissues.grid.affine[:3, :3], axis=0)[:2]
    return turn @ shift, np.sqrt(np.diag(turn @ covariance @ turn.T) + MODEL_SD_MM**2)
