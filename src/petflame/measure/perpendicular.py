"""Sections across a vessel's centreline, so that a bent vessel is not cut lengthwise.

Every PET voxel inside the contour belongs to one section, the one whose plane is nearest along the centreline, so it
lies within half a section spacing of that plane. Uptake is never interpolated: a resampled plane would average
neighbours and lower the maximum, and the sections would no longer compare with axial ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from petflame.errors import InputRefused
from petflame.measure.sections import Section, corners_ijk
from petflame.space.boxes import voxels_between
from petflame.space.contours import FAR_MM, contours_of, distance_at
from petflame.space.grid import Array, Grid, Volume, ras_to_lps
from petflame.space.polyline import arc_length_mm

LINE_STEP_MM = 0.5
LINE_SMOOTHING_MM = 4.0
# The line goes straight on beyond its ends, as far as a vessel may reach beyond the outermost centroid.
EXTENSION_MM = 40.0
AREA_STEP_MM = 0.5
AREA_PLANES = 4


@dataclass(frozen=True, eq=False)
class Line:
    """A smooth, finely sampled centreline.

    Attributes
    ----------
    points_lps_mm : (n, 3) array
    tangents : (n, 3) array
        Unit vectors.
    arc_mm : (n,) array
        Distance from the first point of the line that was given; negative before it.
    """

    points_lps_mm: Array
    tangents: Array
    arc_mm: Array

    def locate(self, points_lps_mm: Array) -> tuple[Array, Array]:
        """Position along the line, and distance from it, of the point of the line nearest to each point, mm."""
        from scipy.spatial import cKDTree

        gap, nearest = cKDTree(self.points_lps_mm).query(points_lps_mm)
        along = ((points_lps_mm - self.points_lps_mm[nearest]) * self.tangents[nearest]).sum(axis=1)
        return self.arc_mm[nearest] + along, np.asarray(gap)


def smooth_line(centreline_lps_mm: Array) -> Line:
    """Resample a centreline, shape (n, 3), smooth it and let it go straight on beyond its ends.

    Raises
    ------
    InputRefused
        When it has fewer than two points.
    """
    given = np.asarray(centreline_lps_mm, float)
    arc = arc_length_mm(given)
    if len(given) < 2 or not arc[-1] > 0:
        what = "a vessel has no centreline to cut across"
        raise InputRefused.of(what, "labels.json", "segment the visit again, or choose `section_plane: axial`")
    distinct = np.concatenate([[True], np.diff(arc) > 0])
    at = np.linspace(0.0, arc[-1], max(3, int(np.ceil(arc[-1] / LINE_STEP_MM)) + 1))
    points = np.column_stack([np.interp(at, arc[distinct], given[distinct, axis]) for axis in range(3)])
    # Point reflection at the ends keeps both the end and its direction.
    reach = min(len(points) - 1, int(4 * LINE_SMOOTHING_MM / LINE_STEP_MM))
    before, after = 2 * points[0] - points[reach:0:-1], 2 * points[-1] - points[-2 : -reach - 2 : -1]
    sigma = LINE_SMOOTHING_MM / (at[1] - at[0])
    points = ndimage.gaussian_filter1d(np.concatenate([before, points, after]), sigma, axis=0, mode="nearest")
    points = points[reach : len(points) - reach]
    beyond = np.arange(LINE_STEP_MM, EXTENSION_MM, LINE_STEP_MM)[:, None]
    # The direction at an end is that over the smoothing length: over one step it would be that of noise.
    span = min(len(points) - 1, int(LINE_SMOOTHING_MM / LINE_STEP_MM))
    start, end = _unit(points[0] - points[span]), _unit(points[-1] - points[-1 - span])
    points = np.concatenate([points[0] + beyond[::-1] * start, points, points[-1] + beyond * end])
    arc = arc_length_mm(points)
    return Line(points, _unit(np.gradient(points, axis=0)), arc - arc[len(beyond)])


def _unit(vectors: Array) -> Array:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def signed_distance(mask: Volume, margin_mm: float) -> Volume:
    """Distance to a mask's boundary in space, mm, negative inside, on a grid about as fine along k as in plane.

    Slices are first interpolated (`petflame.space.contours.distance_at`), so that thick ones make no steps.
    """
    contours = contours_of(mask, margin_mm)
    grid = contours.grid
    parts = max(1, round(grid.spacing_mm[2] / min(grid.spacing_mm[:2])))
    pad = int(np.ceil((margin_mm + 6.0) / grid.spacing_mm[2])) + 1
    count = (grid.shape[2] + 2 * pad) * parts
    affine = grid.affine.copy()
    affine[:3, 2] /= parts
    affine[:3, 3] = grid.to_ras([0, 0, -pad - 0.5 + 0.5 / parts])
    fine = Grid((grid.shape[0], grid.shape[1], count), affine)
    inside = np.zeros(fine.shape, bool)
    plane = np.stack([*np.indices(fine.shape[:2]), np.zeros(fine.shape[:2])], axis=-1)
    for k in range(count):
        inside[..., k] = distance_at(contours, fine.to_ras(plane + np.array([0, 0, k]))) <= 0
    spacing = fine.spacing_mm
    gap = np.where(
        inside,
        ndimage.distance_transform_edt(inside, sampling=spacing),
        ndimage.distance_transform_edt(~inside, sampling=spacing),
    )
    gap -= _overshoot_mm(gap, float(np.prod(spacing)))
    return Volume(np.where(inside, -gap, gap).astype(np.float32), fine)


def _overshoot_mm(gap_mm: Array, voxel_mm3: float) -> Array:
    """How far the nearest voxel centre on the other side lies beyond the surface, on average.

    Half a voxel next to the surface. From farther off there are more centres to choose from: a sphere of radius d
    that reaches h beyond a plane has a cap of pi d h^2 beyond it, so the first centre met is at 0.5 sqrt(v / d) on
    average, which is half a voxel again at a distance of one.
    """
    return 0.5 * np.sqrt(voxel_mm3 / np.maximum(gap_mm, voxel_mm3 ** (1 / 3)))


def _distance(field: Volume, ras_mm: Array) -> Array:
    places = np.moveaxis(field.grid.to_ijk(ras_mm), -1, 0)
    return ndimage.map_coordinates(field.data, places, order=1, mode="constant", cval=FAR_MM)


def cut_across(
    mask: Volume, pet: Grid, centreline_lps_mm: Array, margin_mm: float, spacing_mm: float, on_pet: bool
) -> list[Section]:
    """Cut a vessel mask by planes perpendicular to its centreline, in the order of the centreline.

    Parameters
    ----------
    mask : Volume
        Boolean, canonical.
    pet : Grid
        Canonical.
    centreline_lps_mm : (n, 3) array
    margin_mm : float
        Moves the contour outwards.
    spacing_mm : float
        Distance of the planes along the centreline; one passes through its first point.
    on_pet : bool
        Whether the mask's voxels are the PET's own, to be used as they are.

    Raises
    ------
    InputRefused
        When the vessel has no centreline.
    """
    line = smooth_line(centreline_lps_mm)
    field = signed_distance(mask, margin_mm)
    ijk, distance = _voxels_inside(mask, field, pet, margin_mm, on_pet)
    if not len(ijk):
        return []
    points = ras_to_lps(pet.to_ras(ijk))
    along, gap = line.locate(points)
    planes = np.floor(along / spacing_mm + 0.5).astype(int)
    width_mm = float(gap.max()) + margin_mm + 2 * max(*pet.spacing_mm, *mask.grid.spacing_mm)
    occupancy = _occupancy(mask, field, margin_mm)
    sections = []
    for plane in np.unique(planes):
        own = planes == plane
        held = ((ijk[own] >= 0) & (ijk[own] < pet.shape)).all(axis=1)
        area = _area_mm2(occupancy, line, plane * spacing_mm, spacing_mm, width_mm)
        centre = points[own].mean(axis=0)
        position = plane * spacing_mm
        sections.append(
            Section(int(plane), ijk[own].astype(float), -distance[own], area, centre, position, bool(held.all()))
        )
    return sections


def _voxels_inside(mask: Volume, field: Volume, pet: Grid, margin_mm: float, on_pet: bool) -> tuple[Array, Array]:
    """PET voxels inside the contour, shape (n, 3), beyond the PET's ends too, and their signed distance to it."""
    if on_pet and margin_mm == 0:
        ijk = np.argwhere(mask.data) + np.round(pet.to_ijk(mask.grid.affine[:3, 3])).astype(int)
        return ijk, _distance(field, pet.to_ras(ijk))
    corners = corners_ijk(field.grid, pet)
    low, high = np.floor(corners.min(axis=0)).astype(int), np.ceil(corners.max(axis=0)).astype(int)
    low[:2], high[:2] = np.maximum(low[:2], 0), np.minimum(high[:2], np.array(pet.shape[:2]) - 1)
    if (high < low).any():
        return np.zeros((0, 3), int), np.zeros(0)
    ijk = voxels_between(low, high + 1)
    distance = _distance(field, pet.to_ras(ijk))
    inside = distance <= margin_mm
    return ijk[inside], distance[inside]


def _occupancy(mask: Volume, field: Volume, margin_mm: float) -> Volume:
    """How much of each voxel the contour encloses: the mask itself, or where it is moved, from the distance."""
    if margin_mm == 0:
        filled = mask.padded((1, 1, 1))
        return Volume(filled.data.astype(np.float32), filled.grid)
    width = float(np.prod(field.grid.spacing_mm)) ** (1 / 3)
    return Volume(np.clip(0.5 - (field.data - margin_mm) / width, 0.0, 1.0).astype(np.float32), field.grid)


def _area_mm2(occupancy: Volume, line: Line, arc_mm: float, spacing_mm: float, width_mm: float) -> float:
    """Area inside the contour on planes across the line, averaged over the spacing round a position along it.

    The linearly interpolated occupancy is summed, not cut at a threshold: interpolation moves nothing in or out, so
    thick slices and slanted vessels keep their volume.
    """
    half = int(np.ceil(width_mm / AREA_STEP_MM))
    steps = np.arange(-half, half + 1) * AREA_STEP_MM
    u, v = np.meshgrid(steps, steps, indexing="ij")
    areas = []
    for offset in (np.arange(AREA_PLANES) + 0.5) / AREA_PLANES - 0.5:
        position = arc_mm + offset * spacing_mm
        at = int(np.argmin(np.abs(line.arc_mm - position)))
        centre = line.points_lps_mm[at] + (position - line.arc_mm[at]) * line.tangents[at]
        first, second = _across(line.tangents[at])
        points = ras_to_lps(centre + u[..., None] * first + v[..., None] * second)
        places = np.moveaxis(occupancy.grid.to_ijk(points), -1, 0)
        share = ndimage.map_coordinates(occupancy.data, places, order=1, mode="constant", cval=0.0)
        # A plane through one limb of a bent vessel meets the other limb too: only the piece round the line counts.
        pieces, count = ndimage.label(share > 0)
        if not count:
            areas.append(0.0)
            continue
        nearest = np.argmin(np.where(pieces > 0, np.hypot(u, v), np.inf))
        areas.append(float(share[pieces == pieces.ravel()[nearest]].sum()) * AREA_STEP_MM**2)
    return float(np.mean(areas))


def _across(tangent: Array) -> tuple[Array, Array]:
    """Two unit vectors that span the plane across a tangent."""
    helper = np.eye(3)[int(np.argmin(np.abs(tangent)))]
    first = _unit(np.cross(tangent, helper))
    return first, np.cross(tangent, first)
