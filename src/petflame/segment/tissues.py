"""The PET as the CT and the label map would have it: one uptake for each tissue, blurred, moved until it fits.

Uptakes are fitted anew at every step (variable projection, Golub and Pereyra 1973).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from petflame.anatomy import ARTERIES, NEIGHBOURS, VEINS
from petflame.labelmap import LabelMap
from petflame.space.blocks import block_grid, block_mean
from petflame.space.boxes import box_between, voxels_between
from petflame.space.grid import Array, Grid, Volume

FWHM_MM = 6.0
# The neighbourhood of a vessel that takes part, and the spacing on which tissues are drawn.
REACH_MM, FINE_MM = 12.0, 2.0
FEWEST_SAMPLES, MOST_SAMPLES = 200, 1500
LUNG_BELOW_HU, FAT_BELOW_HU, BONE_ABOVE_HU = -400.0, -25.0, 130.0
# Share of the PET's variance that the tissues must explain.
LEAST_EXPLAINED = 0.2
# Share of a PET voxel that a tissue must fill somewhere to have an uptake of its own.
LEAST_SHARE = 0.2
_STEPS, _SMALL_STEP_MM, _LONGEST_STEP_MM = 30, 0.02, 2.0


@dataclass(frozen=True, eq=False)
class Tissues:
    """Blurred tissue maps and the distance to what they lie round, on one grid."""

    maps: list[Array]
    distance_mm: Array
    grid: Grid


@dataclass(frozen=True, eq=False)
class Fit:
    """Where the tissues fit the PET best.

    Attributes
    ----------
    shift_mm : (d,) array
        PET less CT along the axes of the tissue grid that were searched.
    left : (n,) array
        What the tissues do not explain of each sample.
    slope : (n, d) array
        Change of the model with the shift, less what the uptakes would take up.
    normal : (d, d) array
    uptakes : int
        How many were fitted.
    explained : float
        Share of the PET's variance that the tissues explain; 0 where it has none.
    """

    shift_mm: Array
    left: Array
    slope: Array
    normal: Array
    uptakes: int
    explained: float

    @property
    def explains(self) -> bool:
        """Whether the tissues explain enough of the PET to mark a place at all."""
        return self.explained > LEAST_EXPLAINED

    @property
    def freedom(self) -> int:
        """Samples less what was fitted."""
        return max(len(self.left) - self.uptakes - len(self.shift_mm), 1)


def tissues_round(name: str, labels: LabelMap, ct: Volume, farthest_mm: float) -> Tissues:
    """Draw the tissues round a vessel, far enough out for a shift of `farthest_mm`; images canonical."""
    spacing, own = np.array(labels.grid.spacing_mm), labels.boxes[name]
    pad = np.ceil((REACH_MM + farthest_mm + FWHM_MM) / spacing).astype(int)
    start = np.maximum([part.start for part in own] - pad, 0)
    stop = np.minimum([part.stop for part in own] + pad, labels.data.shape)
    block = np.maximum(1, np.floor(FINE_MM / spacing + 0.01)).astype(int)
    # A box thinner than a block has nothing to average.
    block = np.minimum(block, stop - start)
    box = box_between(start, stop)
    parts = _parts(name, labels.cropped(box), ct.data[box], block)
    size = spacing * block
    grid = block_grid(labels.grid, start, block, parts[0].shape)
    sigma = FWHM_MM / 2.3548 / size
    distance = ndimage.distance_transform_edt(parts[0] < 0.5, sampling=size)
    return Tissues([ndimage.gaussian_filter(p, sigma, mode="nearest") for p in parts], distance, grid)


def _parts(name: str, labels: LabelMap, hu: Array, block: Array) -> list[Array]:
    """Share of each tissue in every block of voxels; the vessel comes first, soft tissue is what is left over."""
    wanted = [labels.mask(name).data, labels.any_of(n for n in (*ARTERIES, *VEINS) if n != name)]
    wanted += [labels.mask(n).data for n in NEIGHBOURS if n != "metal"]
    parts = [block_mean(mask, block) for mask in wanted if mask.any()]
    free = np.clip(1.0 - np.sum(parts, axis=0), 0.0, 1.0)
    mean_hu = block_mean(hu, block)
    lung, fat, bone = mean_hu < LUNG_BELOW_HU, mean_hu < FAT_BELOW_HU, mean_hu > BONE_ABOVE_HU
    return [*parts, *(free * mask for mask in (lung, fat & ~lung, bone))]


def samples(
    tissues: Tissues, pet: Volume, farthest_mm: float, start_mm: Array, reach_mm: float = REACH_MM
) -> tuple[Array, Array, int]:
    """Places on the tissue grid (n, 3) and uptake (n,) of PET voxels near the vessel, every `stride`-th of them.

    `start_mm`, along the tissue grid's axes, is where the vessel is looked for in the PET.
    """
    grid = tissues.grid
    corners = grid.corners() + start_mm / grid.spacing_mm
    reached = pet.grid.to_ijk(grid.to_ras(corners))
    low = np.maximum(np.ceil(reached.min(axis=0)), 0).astype(int)
    high = np.minimum(np.floor(reached.max(axis=0)) + 1, pet.grid.shape).astype(int)
    voxels = voxels_between(low, high).reshape(-1, 3)
    where = grid.to_ijk(pet.grid.to_ras(voxels))
    rim, start = np.array([farthest_mm, farthest_mm, 0.0]) / grid.spacing_mm, start_mm / grid.spacing_mm
    inside = ((where - start >= rim) & (where - start <= np.array(grid.shape) - 1 - rim)).all(axis=1)
    near = ndimage.map_coordinates(tissues.distance_mm, (where - start).T, order=1, mode="nearest") <= reach_mm
    chosen = np.flatnonzero(inside & near)
    stride = max(1, -(-len(chosen) // MOST_SAMPLES))
    chosen = chosen[::stride]
    return where[chosen], pet.data[tuple(voxels[chosen].T)].astype(float), stride


def fit(
    tissues: Tissues,
    where: Array,
    values: Array,
    start_mm: Array,
    farthest_mm: float,
    axes: tuple[int, ...] = (0, 1),
) -> Fit:
    """Find the shift along some axes of the tissue grid by damped Gauss-Newton steps.

    Parameters
    ----------
    tissues : Tissues
    where, values : (n, 3), (n,) arrays
        Places on the tissue grid and uptake of PET voxels.
    start_mm : (3,) array
        Where to begin, along the grid's axes; what is not searched stays there.
    farthest_mm : float
        From the start, along each axis.
    axes : tuple of int
        Those that are searched.
    """
    # Along the grid's own axes; an oblique grid turns the result, not the search.
    spacing = np.array(tissues.grid.spacing_mm)
    # A tissue that hardly reaches the samples could take any uptake.
    begin = where - np.array(start_mm, float) / spacing
    maps = [m for m in tissues.maps if ndimage.map_coordinates(m, begin.T, order=1).max() >= LEAST_SHARE]
    slopes = [list(np.gradient(m, *spacing[list(axes)], axis=axes)) for m in maps]
    low, high = (np.array(start_mm)[list(axes)] + s * farthest_mm for s in (-1.0, 1.0))

    def at(shift: Array, images: list[Array]) -> Array:
        # What the CT shows at a place, the PET shows that place plus the shift.
        whole = np.array(start_mm, float)
        whole[list(axes)] = shift
        places = where - whole / spacing
        return np.stack([ndimage.map_coordinates(m, places.T, order=1, mode="nearest") for m in images], axis=1)

    def residual(shift: Array) -> tuple[Array, Array, Array]:
        design = np.column_stack([at(shift, maps), np.ones(len(values))]) if maps else np.ones((len(values), 1))
        uptakes = np.linalg.lstsq(design, values, rcond=None)[0]
        return values - design @ uptakes, design, uptakes

    shift, damping = np.array(start_mm, float)[list(axes)], 1e-3
    left, design, uptakes = residual(shift)
    normal, slope = np.eye(len(axes)), np.zeros((len(values), len(axes)))
    for _ in range(_STEPS if maps else 0):
        moves = [-at(shift, [s[axis] for s in slopes]) @ uptakes[:-1] for axis in range(len(axes))]
        slope = np.stack(moves, axis=1)
        basis = np.linalg.qr(design)[0]
        slope = slope - basis @ (basis.T @ slope)
        normal = slope.T @ slope + 1e-12 * np.eye(len(axes))
        step = np.linalg.solve(normal * (1 + damping * np.eye(len(axes))), slope.T @ left)
        step = np.clip(step, -_LONGEST_STEP_MM, _LONGEST_STEP_MM)
        tried = np.clip(shift + step, low, high)
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
    spread = values - values.mean()
    flat = np.ptp(values) <= 1e-6 * np.abs(values).max()
    explained = 0.0 if flat else 1.0 - float(left @ left) / float(spread @ spread)
    return Fit(shift, left, slope, normal, design.shape[1], explained)


def turned(tissues: Tissues, axes: tuple[int, ...]) -> Array:
    """Matrix, shape (3, d), from the grid's searched axes to RAS."""
    axis = tissues.grid.affine[:3, :3]
    return np.asarray((axis / np.linalg.norm(axis, axis=0))[:, list(axes)])


def sandwich(found: Fit, places_mm: Array, block_mm: float) -> Array:
    """Covariance of a fit from how far blocks of samples disagree, shape (d, d) (Liang and Zeger 1986).

    It needs no assumption on noise, on its correlation or on uptake that varies within a tissue.
    """
    number = np.unique(np.floor(places_mm / block_mm).astype(int), axis=0, return_inverse=True)[1].ravel()
    count = int(number.max()) + 1
    pulls = np.stack([np.bincount(number, found.slope[:, n] * found.left, count) for n in range(found.slope.shape[1])])
    if count < 2:
        return np.full(found.normal.shape, np.inf)
    inverse = np.linalg.inv(found.normal)
    return np.asarray(inverse @ (pulls @ pulls.T) @ inverse * count / (count - 1))
