"""Partial volume corrected by the geometric transfer matrix: a sensitivity analysis, never part of a primary figure.

Rousset, Ma and Evans, J Nucl Med 1998;39:904: every region spreads into every other by the point spread; the matrix of
these shares, inverted, turns regional means into the uptakes that would give them, if each region were uniform.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from petflame.anatomy import ARTERIES, BY_NAME, NEIGHBOURS, VEINS
from petflame.measure.compartments import REACH_WIDTHS, Compartments, blurred, inside_share, values_nearest
from petflame.measure.images import VisitImages
from petflame.measure.perpendicular import signed_distance
from petflame.space.boxes import voxels_between
from petflame.space.grid import Grid, Volume

STEP_MM = 1.0
MINIMUM_VOXELS = 1.0
COLUMNS: dict[str, tuple[str, str]] = {
    "vessel": ("artery", ""),
    "psf_fwhm_mm": ("resolution that is assumed", "mm"),
    "wall_mm": ("thickness of the wall that is assumed", "mm"),
    "gtm_wall_suv": ("uptake of the wall after correction by the geometric transfer matrix", "g/mL"),
    "gtm_lumen_suv": ("uptake of the vessel's blood after that correction", "g/mL"),
    "gtm_surroundings_suv": ("uptake of the unlabelled surroundings after that correction", "g/mL"),
    "gtm_wall_tbr": ("corrected wall over the vessel's blood pool as it is measured", "ratio"),
    "gtm_wall_to_lumen": ("corrected wall over corrected lumen", "ratio"),
    "wall_share_of_itself": ("share of the wall's own uptake in its regional mean, the matrix's diagonal", "0 to 1"),
    "condition": ("condition number of the matrix: how much noise the correction may magnify", ""),
    "residual_sd": ("standard deviation of the PET about the model, over the blood pool", "ratio"),
    "compartments": ("regions of the crop, joined by +", ""),
    "note": ("sensitivity analysis: depends on the assumed wall and resolution", ""),
}
NOTE = "sensitivity analysis; not a primary figure"


@dataclass(frozen=True)
class Corrected:
    """Result of the correction, in the unit of the image; `uptake` by compartment."""

    uptake: dict[str, float]
    wall_share: float
    condition: float
    residual_sd: float


def compartments(vessel: str, images: VisitImages, wall_mm: float, fwhm_mm: float) -> Compartments:
    """Divide the crop round a vessel into wall, lumen, labelled others and surroundings.

    The wall is the outermost `wall_mm` inside the contour. Where the label ends the vessel goes on (its end slice is
    repeated), except into another label.
    """
    reach = REACH_WIDTHS * fwhm_mm
    mask = images.mask(vessel)
    extra = 0 if vessel == "aorta_arch" else int(np.ceil(reach / mask.grid.spacing_mm[2]))
    field = signed_distance(_prolonged(mask, extra), reach)
    grid = _fine_grid(mask.grid, reach)
    points = grid.to_ras(grid.voxels())
    phi = ndimage.map_coordinates(
        field.data, np.moveaxis(field.grid.to_ijk(points), -1, 0), order=1, mode="constant", cval=1e3
    )
    found = values_nearest(images.labels, points, beyond=0)
    outer = inside_share(phi, STEP_MM)
    lumen = inside_share(phi + wall_mm, STEP_MM)
    groups = {
        "other_arteries": [BY_NAME[n].label for n in ARTERIES if n != vessel],
        "veins": [BY_NAME[n].label for n in VEINS],
        **{n: [BY_NAME[n].label] for n in NEIGHBOURS if n != "metal"},
    }
    names, shares = ["wall", "lumen"], []
    taken = np.isin(found, [label for numbers in groups.values() for label in numbers])
    shares += [np.where(taken, 0, outer - lumen), np.where(taken, 0, lumen)]
    voxel = float(np.prod(images.pet.grid.spacing_mm)) / STEP_MM**3
    for name, numbers in groups.items():
        own = np.isin(found, numbers)
        if own.sum() >= MINIMUM_VOXELS * voxel:
            names.append(name)
            shares.append(own.astype(float))
    names.append("surroundings")
    shares.append(np.clip(1 - np.sum(shares, axis=0), 0, 1))
    return Compartments(tuple(names), np.array(shares, np.float32), grid)


def _prolonged(mask: Volume, count: int) -> Volume:
    ends = [np.repeat(mask.data[..., k : k + 1], count, axis=2) for k in (0, mask.data.shape[2] - 1)]
    return Volume(np.concatenate([ends[0], mask.data, ends[1]], axis=2), mask.grid.padded((0, 0, count)))


def _fine_grid(mask: Grid, reach_mm: float) -> Grid:
    spacing = np.array(mask.spacing_mm)
    length = (np.array(mask.shape) - 1) * spacing + 2 * reach_mm
    shape = np.ceil(length / STEP_MM).astype(int) + 1
    affine = mask.affine.copy()
    affine[:3, :3] = mask.affine[:3, :3] / spacing * STEP_MM
    affine[:3, 3] = mask.to_ras(-reach_mm / spacing)
    return Grid((int(shape[0]), int(shape[1]), int(shape[2])), affine)


def correct(parts: Compartments, pet: Volume, fwhm_mm: float, rows: tuple[float, float]) -> Corrected | None:
    """Solve the geometric transfer matrix of a crop.

    Parameters
    ----------
    parts : Compartments
    pet : Volume
        Canonical.
    fwhm_mm : float
        Point spread of the image as it is, voxels included.
    rows : (float, float)
        Lowest and highest z of the PET voxels to use, RAS mm: where the vessel is labelled.

    Returns
    -------
    Corrected or None
        None where the wall or the lumen holds no PET voxel in view, or the matrix cannot be inverted.
    """
    places = pet.grid.to_ijk(parts.grid.to_ras(parts.grid.corners()))
    low = np.maximum(np.ceil(places.min(axis=0)).astype(int), 0)
    high = np.minimum(np.floor(places.max(axis=0)).astype(int), np.array(pet.grid.shape) - 1)
    if (high < low).any():
        return None
    ijk = voxels_between(low, high + 1).reshape(-1, 3)
    ras = pet.grid.to_ras(ijk)
    inner = parts.grid.to_ijk(ras)
    limit = np.array(parts.grid.shape) - 1
    # Within one width of the crop's edge what lies beyond is mixed in, and nobody knows it.
    edge = fwhm_mm / STEP_MM
    sideways = ((inner[:, :2] >= edge) & (inner[:, :2] <= limit[:2] - edge)).all(axis=1)
    used = sideways & (ras[:, 2] >= rows[0] - 1e-6) & (ras[:, 2] <= rows[1] + 1e-6)
    values = pet.data[tuple(ijk[used].T)].astype(float)
    where = inner[used].T
    size = [max(1, round(s / STEP_MM)) for s in pet.grid.spacing_mm]
    seen, filled = [], []
    for share in parts.shares:
        seen.append(ndimage.map_coordinates(blurred(share, parts.grid, fwhm_mm), where, order=1, mode="nearest"))
        filled.append(ndimage.map_coordinates(ndimage.uniform_filter(share, size), where, order=1, mode="nearest"))
    weights, spread = np.array(filled, float), np.array(seen, float)
    held = weights.sum(axis=1) > MINIMUM_VOXELS
    if not held[:2].all():
        return None
    weights, spread = weights[held] / weights[held].sum(axis=1, keepdims=True), spread[held]
    matrix = weights @ spread.T
    condition = float(np.linalg.cond(matrix))
    if not condition < 1e6:
        return None
    uptake = np.linalg.solve(matrix, weights @ values)
    residual = float((values - uptake @ spread).std())
    names = [name for name, there in zip(parts.names, held, strict=True) if there]
    found = dict(zip(names, uptake.tolist(), strict=True))
    return Corrected(found, float(matrix[0, 0]), condition, residual)


def corrected_row(
    vessel: str, images: VisitImages, pool_mean: float | None, wall_mm: float, fwhm_mm: float, is_suv: bool
) -> dict[str, object]:
    """Row of ``partial_volume.tsv`` of a vessel that is labelled."""
    mask = images.mask(vessel)
    ks = np.flatnonzero(mask.data.any(axis=(0, 1)))
    middle = (np.array(mask.data.shape[:2]) - 1) / 2
    heights = mask.grid.to_ras([[*middle, ks[0]], [*middle, ks[-1]]])[:, 2]
    found = correct(
        compartments(vessel, images, wall_mm, fwhm_mm),
        images.pet,
        fwhm_mm,
        (float(heights.min()), float(heights.max())),
    )
    row: dict[str, object] = {"vessel": vessel, "psf_fwhm_mm": fwhm_mm, "wall_mm": wall_mm, "note": NOTE}
    if found is None:
        return {**row, "note": f"{NOTE}; no PET voxel of wall and lumen to solve for"}
    suv = {name: value if is_suv else None for name, value in found.uptake.items()}
    wall, lumen = found.uptake["wall"], found.uptake["lumen"]
    return {
        **row,
        "gtm_wall_suv": suv["wall"],
        "gtm_lumen_suv": suv["lumen"],
        "gtm_surroundings_suv": suv.get("surroundings"),
        "gtm_wall_tbr": wall / pool_mean if pool_mean else None,
        "gtm_wall_to_lumen": wall / lumen if lumen > 0 else None,
        "wall_share_of_itself": found.wall_share,
        "condition": found.condition,
        "residual_sd": found.residual_sd / pool_mean if pool_mean else None,
        "compartments": "+".join(found.uptake),
    }
