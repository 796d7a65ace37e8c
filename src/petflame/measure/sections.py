"""Which PET voxels belong to which vessel section.

All images here are in canonical axis order (k nearest to inferior-superior); a section here is the vessel on one
axial plane of the PET grid (`petflame.measure.perpendicular` cuts across the centreline instead). A voxel belongs to
a section when its centre lies inside the vessel's contour, moved outwards by the margin (measurement definitions,
section 2).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from petflame.space.boxes import lattice, voxels_between
from petflame.space.contours import FAR_MM, Contours, contours_of, distance_at
from petflame.space.grid import Array, Grid, Volume, ras_to_lps

# Margins that distances computed for no margin serve too.
MARGIN_MM = 8.0
PLACES_AT_ONCE = 200_000


@dataclass(frozen=True, eq=False)
class Section:
    """A vessel on one plane.

    Attributes
    ----------
    plane : int
        Number of the plane, counted in section spacings, so that a plane without the vessel leaves a gap.
    ijk : (n, 3) float array
        Where in the PET the region is read, in voxels; k is the same for all on an axial plane and may lie between
        slices there, i and j are whole.
    depth_mm : (n,) array
        How far inside the boundary each voxel's centre lies.
    area_mm2 : float
        Area inside the contour.
    centre_lps_mm : (3,) array
        Mean position of the region.
    arc_mm : float
        Position along the vessel's centreline.
    in_view : bool
        Whether the PET image has the plane.
    """

    plane: int
    ijk: Array
    depth_mm: Array
    area_mm2: float
    centre_lps_mm: Array
    arc_mm: float
    in_view: bool

    @property
    def k(self) -> float:
        """Axial plane, in PET slices from the lowest; whole numbers are native slices."""
        return float(self.ijk[0, 2])

    @property
    def ij(self) -> Array:
        """In-plane voxel numbers of the region, shape (n, 2)."""
        return self.ijk[:, :2].astype(int)

    @property
    def z_mm(self) -> float:
        """Height of the section's centre (the z of RAS and LPS)."""
        return float(self.centre_lps_mm[2])

    @property
    def voxels(self) -> Array:
        """Nearest PET voxel of every place of the region, shape (n, 3)."""
        return np.round(self.ijk).astype(int)


def section_planes(pet: Grid, spacing_mm: float | None) -> Array:
    """Planes to cut at, in PET slices, shape (n,): native slices, or every `spacing_mm` from the lowest.

    >>> grid = Grid((4, 4, 4), np.diag([4.0, 4, 3, 1]))
    >>> section_planes(grid, None).tolist(), section_planes(grid, 4.5).tolist()
    ([0.0, 1.0, 2.0, 3.0], [0.0, 1.5, 3.0])
    """
    count = pet.shape[2]
    if spacing_mm is None:
        return np.arange(count, dtype=float)
    step = spacing_mm / pet.spacing_mm[2]
    return np.arange(0, count - 1 + 1e-9, step)


@dataclass(frozen=True, eq=False)
class Plane:
    """An axial plane through a vessel.

    Attributes
    ----------
    number : int
        Counted in plane distances.
    k : float
        In PET slices from the lowest.
    ij : (n, 2) int array
        In-plane voxel numbers of the PET round the vessel.
    ras_mm : (n, 3) array
        Their places.
    distance_mm : (n,) array
        To the contour, negative inside.
    """

    number: int
    k: float
    ij: Array
    ras_mm: Array
    distance_mm: Array


@dataclass(frozen=True, eq=False)
class Planes:
    """A vessel of another grid and the axial planes of the PET that it crosses, for any margin up to `MARGIN_MM`."""

    contours: Contours
    pet: Grid
    planes: tuple[Plane, ...]


def planes_through(mask: Volume, pet: Grid, spacing_mm: float | None, margin_mm: float = 0.0) -> Planes:
    """Cross a vessel mask of another grid with the axial planes of the PET grid, lowest first."""
    contours = contours_of(mask, max(margin_mm - MARGIN_MM, 0.0))
    step = 1.0 if spacing_mm is None else spacing_mm / pet.spacing_mm[2]
    corners = corners_ijk(contours.grid, pet)
    low, high = np.floor(corners.min(axis=0)).astype(int), np.ceil(corners.max(axis=0)).astype(int)
    first, last = int(np.floor(low[2] / step)), int(np.ceil(high[2] / step))
    window = (
        np.arange(max(low[0], 0), min(high[0], pet.shape[0] - 1) + 1),
        np.arange(max(low[1], 0), min(high[1], pet.shape[1] - 1) + 1),
    )
    ij = lattice(*window).reshape(-1, 2)
    lowest = pet.to_ras(np.column_stack([ij, np.zeros(len(ij))]))
    numbers = [n for n in range(first, last + 1) if len(ij)]
    found = []
    # Many planes at a time: one by one they cost more than the work on them.
    at_once = max(1, PLACES_AT_ONCE // max(len(ij), 1))
    for some in (numbers[m : m + at_once] for m in range(0, len(numbers), at_once)):
        ks = [round(n * step, 9) for n in some]
        points = lowest + np.array(ks)[:, None, None] * pet.affine[:3, 2]
        for n, k, places, distance in zip(some, ks, points, distance_at(contours, points), strict=True):
            near = distance < FAR_MM
            if near.any():
                found.append(Plane(n, k, ij[near], places[near], distance[near]))
    return Planes(contours, pet, tuple(found))


def cut(crossed: Planes, centreline_lps_mm: Array, margin_mm: float, with_area: bool = True) -> list[Section]:
    """Sections of a vessel, lowest first, its contour moved outwards by a margin.

    Planes beyond the PET image are cut too and marked as out of view, so that no part of the vessel vanishes.
    A plane on which the vessel holds no voxel centre gives no section. Areas take most of the time; without them they
    are NaN.
    """
    inner = [plane for plane in crossed.planes if (plane.distance_mm <= margin_mm).any()]
    areas = _areas_mm2(crossed, inner, margin_mm) if with_area else [float("nan")] * len(inner)
    sections = []
    for plane, area in zip(inner, areas, strict=True):
        inside = plane.distance_mm <= margin_mm
        ij = plane.ij[inside]
        ijk = np.column_stack([ij, np.full(len(ij), plane.k)])
        centre = ras_to_lps(plane.ras_mm[inside].mean(axis=0))
        in_view = -1e-6 <= plane.k <= crossed.pet.shape[2] - 1 + 1e-6
        arc = arc_at(centreline_lps_mm, centre)
        sections.append(Section(plane.number, ijk, -plane.distance_mm[inside], area, centre, arc, in_view))
    return sections


def corners_ijk(grid: Grid, pet: Grid) -> Array:
    """Corners of a grid, its voxels' edges included, in voxels of the PET, shape (8, 3)."""
    return pet.to_ijk(grid.to_ras(grid.corners(outer=True)))


def _fine_offsets(mask_grid: Grid, pet: Grid) -> Array:
    per_voxel = [max(1, int(np.ceil(p / m))) for p, m in zip(pet.spacing_mm[:2], mask_grid.spacing_mm[:2], strict=True)]
    u, v = ((np.arange(n) + 0.5) / n - 0.5 for n in per_voxel)
    return lattice(u, v).reshape(-1, 2)


def _areas_mm2(crossed: Planes, planes: list[Plane], margin_mm: float) -> list[float]:
    """Area inside the contour on each plane, from samples as fine as the mask's pixels."""
    contours, pet = crossed.contours, crossed.pet
    spacing, offsets = np.array(pet.spacing_mm[:2]), _fine_offsets(contours.grid, pet)
    # A pixel is cut only where the boundary is nearer than its corners, give or take the mask's own pixels.
    reach = 0.5 * float(np.hypot(*spacing)) + float(np.hypot(*contours.grid.spacing_mm[:2]))
    edges, whole = [np.zeros((0, 3))], []
    for plane in planes:
        held = plane.ij[plane.distance_mm <= margin_mm]
        low, high = held.min(axis=0) - 1, held.max(axis=0) + 1
        ij, beyond = plane.ij, plane.distance_mm - margin_mm
        if (low < 0).any() or (high >= pet.shape[:2]).any():
            # The contour may go on beyond the image.
            ij = voxels_between(low, high + 1).reshape(-1, 2)
            beyond = distance_at(contours, pet.to_ras(np.column_stack([ij, np.full(len(ij), plane.k)]))) - margin_mm
        window = ((ij >= low) & (ij <= high)).all(axis=1)
        edge = ij[window & (np.abs(beyond) <= reach)]
        edges.append(np.column_stack([edge, np.full(len(edge), plane.k)]))
        whole.append(float((window & (beyond < -reach)).sum()))
    pixels, steps = np.concatenate(edges), np.column_stack([offsets, np.zeros(len(offsets))])
    share, at_once = np.zeros(len(pixels)), max(1, PLACES_AT_ONCE // len(offsets))
    for m in range(0, len(pixels), at_once):
        points = pet.to_ras(pixels[m : m + at_once, None, :] + steps[None])
        share[m : m + at_once] = (distance_at(contours, points) <= margin_mm).mean(axis=1)
    ends = np.cumsum([len(edge) for edge in edges])
    parts = [share[a:b].sum() for a, b in pairwise(ends)]
    return [float((n + part) * np.prod(spacing)) for n, part in zip(whole, parts, strict=True)]


def cut_on_pet(mask: Volume, pet: Grid, centreline_lps_mm: Array, margin_mm: float) -> list[Section]:
    """Sections of a mask whose voxels are voxels of the (canonical) PET grid: they are used as they are."""
    spacing = pet.spacing_mm
    contours = contours_of(mask, margin_mm)
    offset = np.round(pet.to_ijk(contours.grid.affine[:3, 3])).astype(int)
    sections = []
    for kc in np.flatnonzero(contours.occupied):
        distance = contours.distance_mm[..., kc]
        # With no margin the mask decides: on oblong pixels a distance to the edge is only approximate.
        inside = contours.mask[..., kc] if margin_mm == 0 else distance <= margin_mm
        ij = np.argwhere(inside) + offset[:2]
        held = ((ij >= 0) & (ij < pet.shape[:2])).all(axis=1)
        if not held.any():
            continue
        ijk = np.column_stack([ij[held], np.full(int(held.sum()), kc + offset[2])]).astype(float)
        centre = ras_to_lps(pet.to_ras(ijk).mean(axis=0))
        area = len(ijk) * spacing[0] * spacing[1]
        arc = arc_at(centreline_lps_mm, centre)
        plane = int(kc + offset[2])
        sections.append(Section(plane, ijk, -distance[inside][held], area, centre, arc, True))
    return sections


def arc_at(centreline_lps_mm: Array, point_lps_mm: Array) -> float:
    """Distance along a polyline, shape (n, 3), to its point nearest to `point_lps_mm`; NaN without a line.

    >>> arc_at(np.array([[0.0, 0, 0], [0, 0, 10]]), np.array([3.0, 0, 4]))
    4.0
    """
    line = np.asarray(centreline_lps_mm, float)
    if len(line) == 0:
        return float("nan")
    if len(line) == 1:
        return 0.0
    steps = np.diff(line, axis=0)
    lengths = np.linalg.norm(steps, axis=1)
    along = ((point_lps_mm - line[:-1]) * steps).sum(axis=1) / np.maximum(lengths, 1e-9) ** 2
    along = np.clip(along, 0.0, 1.0)
    gaps = np.linalg.norm(line[:-1] + along[:, None] * steps - point_lps_mm, axis=1)
    nearest = int(np.argmin(gaps))
    return float(lengths[:nearest].sum() + along[nearest] * lengths[nearest])
