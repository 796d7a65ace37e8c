"""What lies round a vein: its regions on a fine grid, and the PET voxels whose uptake they are to explain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from petflame.anatomy import ARTERIES, BY_NAME, NEIGHBOURS, VEINS
from petflame.measure.alignment import VeinShift
from petflame.measure.compartments import (
    Compartments,
    blurred,
    inside_share,
    tissue_masks,
    values_nearest,
)
from petflame.measure.images import VisitImages
from petflame.space.blocks import block_mean
from petflame.space.boxes import box_between, voxels_between
from petflame.space.contours import Contours, distance_at
from petflame.space.grid import Array, Grid, ras_to_lps

# Two widths of a usual resolution: farther out the vein gives nothing, and other tissues begin.
REACH_MM = 12.0
# Regions are drawn so much farther than they are looked at, for the point spread.
RIM_MM = 6.0
# Labels and CT are sampled this finely; a fine voxel is at most half as wide as a usual point spread.
SAMPLE_MM, FINE_MM = 1.5, 3.0
LUMEN, WALL, VEINS_BESIDE, SOFT, LUNG = "artery_lumen", "artery_wall", "other_veins", "soft_tissue", "lung"
# A region that gives the PET less than this anywhere, or less in all than so many voxels, could take any uptake.
LEAST_SEEN, LEAST_VOXELS = 0.2, 3.0


@dataclass(frozen=True, eq=False)
class Design:
    """What regions give at PET voxels, and how that changes where these lie elsewhere: a Taylor series in the plane.

    Attributes
    ----------
    here : (n, p) array
    slopes : two (n, p) arrays
        Along the grid's first and second axis, per mm.
    bends : three (n, p) arrays
        Second derivatives: first axis, both, second axis.
    """

    here: Array
    slopes: tuple[Array, Array]
    bends: tuple[Array, Array, Array]

    def moved(self, x: float, y: float) -> Array:
        """Design of voxels that lie `x`, `y` mm farther along the first and the second axis, shape (n, p)."""
        first, second = self.slopes
        xx, xy, yy = self.bends
        return np.asarray(self.here + x * first + y * second + 0.5 * x * x * xx + x * y * xy + 0.5 * y * y * yy)

    def slope(self, uptake: Array, x: float, y: float) -> Array:
        """Change of the model there with `x` and with `y`, shape (n, 2)."""
        xx, xy, yy = self.bends
        slopes = self.slopes[0] + x * xx + y * xy, self.slopes[1] + x * xy + y * yy
        return np.stack([slope @ uptake for slope in slopes], axis=1)


@dataclass(frozen=True, eq=False)
class VeinScene:
    """A vein and what lies round it.

    Attributes
    ----------
    vein : str
    parts : Compartments
        The vein comes first. Their grid divides the PET's, so that a fine voxel lies at each PET voxel's centre.
    step : (3,) int array
        Fine voxels in one of the PET, along each axis; odd.
    rows : (n, 3) int array
        PET voxels that are to be explained, counted from the crop's first.
    values : (n,) float64 array
        Their uptake.
    pet : Grid
        Of the crop.
    shift : VeinShift
        Between PET and CT, undone.
    """

    vein: str
    parts: Compartments
    step: Array
    rows: Array
    values: Array
    pet: Grid
    shift: VeinShift

    def seen(self, image: Array, fwhm_mm: float) -> Array:
        """Return what the point spread shows of an image on the fine grid at the PET voxels, shape (n,)."""
        return self.at_rows(blurred(image, self.parts.grid, fwhm_mm))

    def at_rows(self, images: Array, aside: tuple[int, int] = (0, 0)) -> Array:
        """Values on the fine grid at the PET voxels' centres or so many fine voxels aside.

        Parameters
        ----------
        images : (..., I, J, K) array
        aside : (int, int)

        Returns
        -------
        (..., n) float64 array
        """
        i, j, k = (self.rows * self.step + self.step // 2).T
        high_i, high_j, _ = np.array(images.shape[-3:]) - 1
        places = np.clip(i + aside[0], 0, high_i), np.clip(j + aside[1], 0, high_j), k
        flat = np.ravel_multi_index(places, images.shape[-3:])
        return images.reshape(*images.shape[:-3], -1).take(flat, axis=-1).astype(float)

    def design(self, fwhm_mm: float) -> Design:
        """What each region of uptake 1 gives at every PET voxel, wherever PET and CT lie in the axial plane."""
        images = self.parts.blurred(fwhm_mm)

        def at(i: int, j: int) -> Array:
            return np.ascontiguousarray(self.at_rows(images, (i, j)).T)

        h, w, _ = self.parts.grid.spacing_mm
        here, east, west, north, south = at(0, 0), at(1, 0), at(-1, 0), at(0, 1), at(0, -1)
        corners = at(1, 1) - at(1, -1) - at(-1, 1) + at(-1, -1)
        return Design(
            here,
            ((east - west) / (2 * h), (north - south) / (2 * w)),
            ((east - 2 * here + west) / h**2, corners / (4 * h * w), (north - 2 * here + south) / w**2),
        )

    def painted(self, uptake: dict[str, float]) -> Array:
        """Uptake on the fine grid, before the point spread."""
        values = np.array([uptake[name] for name in self.parts.names], np.float32)
        return np.asarray(np.tensordot(values, self.parts.shares, 1))


def vein_scene(
    vein: str, images: VisitImages, wall_mm: dict[str, float], shift: VeinShift, fwhm_mm: float
) -> VeinScene | str:
    """Divide the surroundings of a vein into regions.

    The vein, other veins, lumen and wall of arteries and every labelled neighbour have their labels; what is left is
    lung, fat, bone or soft tissue by its CT number. Where its label ends the vein goes on as it was at the end, and
    PET voxels within half a resolution width of the ends are not explained, because nobody has labelled what follows.

    Parameters
    ----------
    vein : str
        One that the label map holds.
    images : VisitImages
    wall_mm : dict
        Thickness of every artery's wall.
    shift : VeinShift
        Labels and CT are moved by it.
    fwhm_mm : float
        Resolution of the PET, to decide what is too small to have an uptake of its own.

    Returns
    -------
    VeinScene or str
        Why there is none.
    """
    if images.ct is None:
        return "there is no CT to tell the tissues round it"
    pet, edge = images.pet, images.contours(vein)
    moved = np.append(ras_to_lps([*shift.lps_mm, 0.0])[:2], 0.0)
    box = images.labels.grid.cropped(images.labels.boxes[vein])
    corners = pet.grid.to_ijk(box.to_ras(box.corners(outer=True)) + moved)
    pad = np.ceil((REACH_MM + RIM_MM) / np.array(pet.grid.spacing_mm)).astype(int)
    low = np.maximum(np.floor(corners.min(axis=0)).astype(int) - pad, 0)
    high = np.minimum(np.ceil(corners.max(axis=0)).astype(int) + pad + 1, pet.grid.shape)
    if (high <= low).any():
        return "it lies outside of the PET"
    crop = pet.grid.cropped(box_between(low, high))
    ends = _ends_mm(edge)
    voxels = voxels_between([0, 0, 0], crop.shape).reshape(-1, 3)
    places = crop.to_ras(voxels) - moved
    inner = (places[:, 2] >= ends[0] + 0.5 * fwhm_mm) & (places[:, 2] <= ends[1] - 0.5 * fwhm_mm)
    voxels, places = voxels[inner], places[inner]
    near = distance_at(edge, places) <= REACH_MM if len(voxels) else np.zeros(0, bool)
    rows = voxels[near]
    if not len(rows):
        return "it is shorter than the resolution"
    at = images.ct.grid.to_ijk(places[near])
    outside = int(((at < -0.5) | (at > np.array(images.ct.grid.shape) - 0.5)).any(axis=1).sum())
    if outside:
        return f"{outside} voxels of the PET round it lie outside the CT, which says nothing of the tissues there"
    values = pet.data[tuple((rows + low).T)].astype(float)
    if not np.isfinite(values).all():
        return f"{int((~np.isfinite(values)).sum())} voxels of the PET round it hold no number"
    parts, step = _compartments(vein, images, edge, ends, wall_mm, crop, moved)
    scene = VeinScene(vein, parts, step, rows, values, crop, shift)
    seen = scene.design(fwhm_mm).here
    kept = (seen.max(axis=0) >= LEAST_SEEN) & (seen.sum(axis=0) >= LEAST_VOXELS)
    names = tuple(n for n, k in zip(parts.names, kept, strict=True) if k or n in (vein, SOFT))
    return VeinScene(vein, parts.merged(names, SOFT), step, rows, values, crop, shift)


def _ends_mm(edge: Contours) -> tuple[float, float]:
    """Lowest and highest z of a vein's slices, their thickness included, RAS mm."""
    ks = np.flatnonzero(edge.occupied)
    middle = (np.array(edge.mask.shape[:2]) - 1) / 2
    z = edge.grid.to_ras([[*middle, ks[0] - 0.5], [*middle, ks[-1] + 0.5]])[:, 2]
    return float(z.min()), float(z.max())


def _compartments(
    vein: str,
    images: VisitImages,
    edge: Contours,
    ends: tuple[float, float],
    wall_mm: dict[str, float],
    crop: Grid,
    moved: Array,
) -> tuple[Compartments, Array]:
    """Regions of a crop of the PET, and the fine voxels in one of its voxels along each axis."""
    spacing = np.array(crop.spacing_mm)
    step = 2 * np.ceil((spacing / FINE_MM - 1) / 2 - 1e-9).astype(int).clip(0) + 1
    samples = np.round(spacing / step / SAMPLE_MM).astype(int).clip(1)
    count = step * samples
    dense = _divided(crop, count).moved(-moved)
    sample_mm = float(np.cbrt(np.prod(spacing / count)))
    points = dense.to_ras(dense.voxels())
    found = values_nearest(images.labels, points, beyond=0).astype(np.uint8)
    held = np.flatnonzero(np.bincount(found.ravel(), minlength=256))
    own = BY_NAME[vein].label
    others = (found > 0) & (found != own)
    # Just inside, because a slice at the end reaches half a slice on and no farther.
    along = points.copy()
    along[..., 2] = np.clip(along[..., 2], ends[0] + 1e-3, ends[1] - 1e-3)
    beyond = (along[..., 2] != points[..., 2]).any(axis=(0, 1))
    vessel = found == own
    vessel[..., beyond] = values_nearest(images.labels, along[..., beyond, :], beyond=0) == own
    # The boundary cuts only samples beside those that the label holds, or a label's voxel away where it is coarse.
    rim = [2 * int(np.ceil(1 + s / d)) + 1 for s, d in zip(images.labels.grid.spacing_mm, spacing / count, strict=True)]
    near = ndimage.maximum_filter(vessel, size=(*rim[:2], 1)) & ~others
    inside = np.zeros(found.shape, np.float32)
    inside[near] = inside_share(distance_at(edge, along[near]), sample_mm)
    shares: dict[str, Array] = {vein: inside}
    for name in (n for n in ARTERIES if BY_NAME[n].label in held):
        lumen, wall = (shares.setdefault(part, np.zeros(found.shape, np.float32)) for part in (LUMEN, WALL))
        where = found == BY_NAME[name].label
        lumen[where] = inside_share(distance_at(images.contours(name), points[where]) + wall_mm[name], sample_mm)
        wall[where] = 1.0 - lumen[where]
    beside = [BY_NAME[n].label for n in VEINS if n != vein and BY_NAME[n].label in held]
    if beside:
        shares[VEINS_BESIDE] = np.isin(found, beside)
    for name in (n for n in NEIGHBOURS if BY_NAME[n].label in held):
        shares[name] = found == BY_NAME[name].label
    assert images.ct is not None
    free = np.where(others, np.float32(0.0), 1 - inside)
    shares |= {name: free * mask for name, mask in tissue_masks(values_nearest(images.ct, points)).items()}
    blocks = np.stack([block_mean(share, samples) for share in shares.values()])
    return Compartments(tuple(shares), blocks, _divided(crop, step)), step


def _divided(grid: Grid, parts: Array) -> Grid:
    """Return the grid with every voxel cut into so many parts along each axis."""
    return grid.resampled((1 / parts - 1) / 2, 1 / parts, tuple(int(n) for n in np.array(grid.shape) * parts))
