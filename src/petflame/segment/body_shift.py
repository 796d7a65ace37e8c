"""How far PET and CT lie apart as a whole: where body outline, lungs, liver dome and bones of the CT fit the PET.

First every shift of up to 64 mm an axis is tried on a lattice of 8 mm at once: what one uptake a tissue leaves
unexplained is a sum of correlations, and those are products in Fourier space (the correlation ratio of Roche et al.
1998, with blurred tissues in place of bins). The best places are then refined in millimetres. Along a vessel that runs
head-foot nothing marks a shift; lungs and the liver's dome do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import fft, ndimage

from petflame.anatomy import ARTERIES, BY_NAME, NEIGHBOURS
from petflame.labelmap import LabelMap
from petflame.segment.product import BodyShift
from petflame.segment.tissues import (
    BONE_ABOVE_HU,
    FAT_BELOW_HU,
    FWHM_MM,
    LUNG_BELOW_HU,
    Fit,
    Tissues,
    fit,
    sandwich,
    turned,
)
from petflame.space.blocks import block_grid, block_mean
from petflame.space.boxes import box_between, voxels_between
from petflame.space.grid import Array, Grid, Volume, ras_to_lps

# Spacing of the tissue maps, of the lattice that is searched first, and how far.
FINE_MM, LATTICE_MM, FARTHEST_MM = 4.0, 8.0, 64.0
# What takes part lies within this of the arteries' own range head-foot: farther away the body moves otherwise.
BEYOND_ARTERIES_MM = 60.0
# A refinement goes no farther than this from its start on the lattice, and this many places are refined.
NEAR_MM, PLACES = 12.0, 3
# Shifts that leave less than this share of what the CT shows within the PET are not tried.
LEAST_OVERLAP = 0.4
# Less lung than this, in the part of the CT that takes part, marks no place head-foot (mL).
LEAST_LUNG_ML = 150.0
MOST_SAMPLES = 8000
# What exceeds this share of the body's middle uptake is body; more than `CUT` times it is cut off.
IN_BODY, CUT = 0.25, 1.5
# Neighbours within a block move, breathe and err together, so that the spread between blocks tells the uncertainty.
BLOCK_MM = 40.0
# What all blocks have in common, such as tissue that the CT tells apart and the PET does not (docs/alignment.md).
MODEL_SD_MM = 1.0


@dataclass(frozen=True, eq=False)
class _Body:
    """Tissues of the CT round the arteries, and the samples of the PET that they are fitted to."""

    tissues: Tissues
    where: Array
    values: Array
    lung_ml: float


def body_shift(labels: LabelMap, ct: Volume, pet: Volume) -> BodyShift:
    """Find where the PET shows the body that the CT shows.

    Parameters
    ----------
    labels : LabelMap
    ct, pet : Volume
        All canonical; `labels` and `ct` on one grid. The labels say what part of the body matters.

    Returns
    -------
    BodyShift
        With the reason where it could not be measured.
    """
    tissues, lung_ml = _tissues(labels, ct)
    image = Volume(_levelled(ndimage.gaussian_filter(pet.data.astype(np.float32), _sigma(pet.grid))), pet.grid)
    starts = _lattice_search(tissues, image)
    if not starts:
        return BodyShift(None, None, "too little of what the CT shows lies within the PET")
    found = [(*_refined(tissues, image, start), start) for start in starts]
    found = [f for f in found if f[0].explains and np.abs(f[0].shift_mm - f[3]).max() < NEAR_MM - 0.01]
    if not found:
        return BodyShift(None, None, "what the CT shows is not to be seen in the PET")
    best, where, _, _ = max(found, key=lambda f: _gain(f[0], f[2]))
    turn = turned(tissues, (0, 1, 2))
    covariance = turn @ sandwich(best, where * tissues.grid.spacing_mm, BLOCK_MM) @ turn.T
    sd = np.sqrt(np.diag(covariance) + MODEL_SD_MM**2)
    x, y, z = ras_to_lps(turn @ best.shift_mm)
    why = "" if lung_ml >= LEAST_LUNG_ML else "no lung or liver dome in the field of view marks a place head-foot"
    return BodyShift((float(x), float(y), float(z)), (float(sd[0]), float(sd[1]), float(sd[2])), why)


def _levelled(values: Array) -> Array:
    """Uptake cut off at `CUT` times the body's middle, so that a tumour or a brain does not outweigh the body."""
    level = float(values.mean())
    for _ in range(5):
        level = float(np.median(values[values > IN_BODY * level])) if level > 0 else 0.0
    return np.clip(values, 0.0, CUT * level) if level > 0 else values


def _sigma(grid: Grid) -> Array:
    """Smoothing of the PET to about the resolution on which tissues are drawn, in voxels."""
    return np.asarray(FWHM_MM / 2.3548 / np.array(grid.spacing_mm))


def _tissues(labels: LabelMap, ct: Volume) -> tuple[Tissues, float]:
    """Air outside, lung, fat, bone and labelled neighbours of the part of the CT that takes part; the lung's volume."""
    spacing = np.array(ct.grid.spacing_mm)
    held = [labels.boxes[n][2] for n in ARTERIES if labels.has(n)] or [slice(0, ct.data.shape[2])]
    first, last = min(part.start for part in held), max(part.stop for part in held) - 1
    beyond = int(np.ceil(BEYOND_ARTERIES_MM / spacing[2]))
    low, high = max(first - beyond, 0), min(last + beyond + 1, ct.data.shape[2])
    block = np.minimum(np.maximum(1, np.round(FINE_MM / spacing)).astype(int), [*ct.data.shape[:2], high - low])
    hu = block_mean(ct.data[..., low:high], block)
    own = labels.cropped((slice(None), slice(None), slice(low, high)))
    grid = block_grid(ct.grid, np.array([0, 0, low]), block, hu.shape)
    air = hu < LUNG_BELOW_HU
    outside = _outside(air)
    lung = air & ~outside
    kinds = [n for n in NEIGHBOURS if n not in ("metal", "lung") and own.has(n)]
    shares = [_share(own, n, block) for n in kinds]
    free = np.clip(1.0 - np.sum(shares, axis=0), 0.0, 1.0) if shares else np.ones(hu.shape)
    fat, bone = (hu < FAT_BELOW_HU) & ~air, hu > BONE_ABOVE_HU
    parts = [1.0 * outside, 1.0 * lung, *(free * mask for mask in (fat, bone)), *shares]
    sigma = FWHM_MM * 2**0.5 / 2.3548 / np.array(grid.spacing_mm)
    maps = [ndimage.gaussian_filter(np.asarray(p, np.float32), sigma, mode="nearest") for p in parts]
    return Tissues(maps, np.zeros(hu.shape, np.float32), grid), float(lung.sum() * grid.voxel_volume_mm3 / 1000.0)


def _share(labels: LabelMap, name: str, block: Array) -> Array:
    """Share of every whole block of voxels that a region fills; only the blocks of its box are looked at."""
    whole = np.array(labels.data.shape) // block
    box = labels.boxes[name]
    low = np.array([part.start for part in box]) // block
    high = np.minimum(-(-np.array([part.stop for part in box]) // block), whole)
    result = np.zeros(whole, np.float32)
    if (high > low).all():
        held = labels.data[box_between(low * block, high * block)]
        result[box_between(low, high)] = block_mean(held == BY_NAME[name].label, block)
    return result


def _outside(air: Array) -> Array:
    """Air that is joined, in an axial plane, to the four corners of the image or fills most of its rim."""
    labelled, count = ndimage.label(air, structure=ndimage.generate_binary_structure(3, 1))
    if not count:
        return air
    rim = np.concatenate([labelled[0].ravel(), labelled[-1].ravel(), labelled[:, 0].ravel(), labelled[:, -1].ravel()])
    touching = np.bincount(rim, minlength=count + 1)
    touching[0] = 0
    # A lung that the image cuts touches the rim a little; the room round a body fills much of it.
    return np.isin(labelled, np.flatnonzero(touching > 0.1 * len(rim)))


def _lattice_search(tissues: Tissues, image: Volume) -> list[Array]:
    """Best shifts, along the tissue grid's axes, on a lattice of 8 mm: those that explain most first."""
    step = LATTICE_MM / np.array(tissues.grid.spacing_mm)
    # The lattice lies along the tissue grid; both images are read on it.
    shape = np.maximum(1, np.floor((np.array(tissues.grid.shape) - 1) / step).astype(int) + 1)
    reach = int(np.ceil(FARTHEST_MM / LATTICE_MM))
    at = voxels_between([0, 0, 0], shape) * step
    maps = [ndimage.map_coordinates(m, np.moveaxis(at, -1, 0), order=1, mode="nearest") for m in tissues.maps[:3]]
    padded = voxels_between([-reach] * 3, shape + reach) * step
    ijk = image.grid.to_ijk(tissues.grid.to_ras(padded))
    inside = np.asarray(((ijk >= 0) & (ijk <= np.array(image.grid.shape) - 1)).all(axis=-1))
    values = ndimage.map_coordinates(image.data, np.moveaxis(ijk, -1, 0), order=1, mode="nearest") * inside
    scores, overlap = _explained_everywhere(maps, values, inside, 2 * reach + 1)
    scores = np.where(overlap >= LEAST_OVERLAP * min(overlap.max(), np.prod(shape)), scores, -np.inf)
    peaks = np.argwhere((scores == ndimage.maximum_filter(scores, 3, mode="nearest")) & (scores > 0))
    order = np.argsort([-scores[tuple(p)] for p in peaks], kind="stable")[:PLACES]
    return [(peaks[n] - reach) * LATTICE_MM for n in order]


def _explained_everywhere(maps: list[Array], values: Array, inside: Array, lags: int) -> tuple[Array, Array]:
    """How much likelier tissues make the PET than one uptake for all, and the number of places, at every lattice shift.

    The gain in log likelihood: the more places overlap and the larger the share explained, the more it says.
    """
    size = [fft.next_fast_len(n, real=True) for n in values.shape]
    window = (slice(lags), slice(lags), slice(lags))

    def ahead(image: Array) -> Array:
        return fft.rfftn(np.asarray(image, np.float32), size)

    def correlated(first: Array, second: Array) -> Array:
        return np.asarray(fft.irfftn(np.conj(first) * second, size)[window], float)

    weight = ahead(inside)
    value, square = ahead(values), ahead(values**2)
    images = [np.ones(maps[0].shape, np.float32), *maps]
    plain = [ahead(i) for i in images]
    count = correlated(plain[0], weight)
    right = np.stack([correlated(p, value) for p in plain], axis=-1)
    normal = np.zeros((*count.shape, len(images), len(images)))
    for n, first in enumerate(images):
        for m in range(n, len(images)):
            normal[..., n, m] = normal[..., m, n] = correlated(ahead(first * images[m]), weight)
    count = np.maximum(np.round(count), 0.0)
    some = np.maximum(count, 1.0)
    # A tissue that is hardly there takes no uptake of its own.
    ridge = 1e-4 * some[..., None, None] * np.eye(len(images))
    solved = np.linalg.solve(normal + ridge, right[..., None])[..., 0]
    explained = np.einsum("...n,...n->...", right, solved) - right[..., 0] ** 2 / some
    total = correlated(plain[0], square) - right[..., 0] ** 2 / some
    share = np.where(total > 1e-6 * total.max(), explained / np.maximum(total, 1e-12), 0.0)
    return -count * np.log(np.clip(1.0 - share, 1e-9, 1.0)), count


def _refined(tissues: Tissues, image: Volume, start_mm: Array) -> tuple[Fit, Array, int]:
    """Fit in three axes from a start; also the samples' places on the tissue grid, (n, 3), and how many overlap."""
    grid = tissues.grid
    stride = max(1, image.data.size // (4 * MOST_SAMPLES))
    voxels = np.stack(np.unravel_index(np.arange(0, image.data.size, stride), image.grid.shape), axis=-1)
    where = grid.to_ijk(image.grid.to_ras(voxels))
    rim = NEAR_MM / np.array(grid.spacing_mm)
    moved = where - start_mm / np.array(grid.spacing_mm)
    inside = ((moved >= rim) & (moved <= np.array(grid.shape) - 1 - rim)).all(axis=1)
    voxels, where = voxels[inside], where[inside]
    thin = max(1, -(-len(voxels) // MOST_SAMPLES))
    voxels, where = voxels[::thin], where[::thin]
    if len(voxels) < 500:
        nothing = np.zeros((0, 3))
        return Fit(start_mm, np.zeros(0), nothing, np.eye(3), 0, 0.0), nothing, 0
    found = fit(tissues, where, image.data[tuple(voxels.T)].astype(float), start_mm, NEAR_MM, (0, 1, 2))
    return found, where, thin * len(voxels)


def _gain(found: Fit, places: int) -> float:
    return places * -float(np.log(max(1.0 - found.explained, 1e-9)))
