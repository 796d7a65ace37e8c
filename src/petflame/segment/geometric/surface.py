"""Closed contours in planes across a vessel, and their rasterisation on the CT grid."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from petflame.segment.geometric.circles import clip_around_blood
from petflame.segment.geometric.work import sample
from petflame.space.boxes import box_between, box_corners, voxels_between
from petflame.space.grid import Array, Volume, ras_to_lps
from petflame.space.polyline import arc_length_mm

RAYS = 40
RADIAL_STEP_MM = 0.5
SECTION_STEP_MM = 2.0
EDGE_REACH_MM = 2.0
# Half-way to this is the boundary drawn: nearer to blood than half-way to lung, as readers draw it on fine voxels.
# The blur of coarse voxels would carry it inwards, so it moves out to half-way to fat and beyond with their size.
FAT_SIDE_HU, FAT_SIDE_HU_PER_MM, MOST_FAT_SIDE_HU = 60.0, 30.0, 160.0
EDGE_HU = 25.0
CLEAR_EDGE = 0.4
LUNG_BELOW_BLOOD_HU = 300.0
PRIOR_SPREAD_MM = 3.0
PRIOR_WEIGHT = 0.12
FAT_WEIGHT = 0.08
BEND_WEIGHT = 0.05
MOST_BEND = 2
STRETCH = 8


@dataclass(frozen=True, eq=False)
class Tube:
    """A vessel as contours across its centreline.

    Attributes
    ----------
    centre_lps_mm : (n, 3) array
        Centres of the sections, every 2 mm.
    frame : (n, 3, 3) array
        Rows: two directions in the section's plane, then the tangent.
    radius_mm : (n, RAYS) array
        Distance from centre to boundary along each ray.
    edge : (n, RAYS) array
        Strength of the edge there, -1 to 1.
    """

    centre_lps_mm: Array
    frame: Array
    radius_mm: Array
    edge: Array

    @property
    def mean_radius_mm(self) -> Array:
        """Radius of the circle of equal area, shape (n,)."""
        return np.asarray(np.sqrt((self.radius_mm**2).mean(axis=1)))

    @property
    def coverage(self) -> Array:
        """Share of the boundary that has a clear edge, shape (n,)."""
        return np.asarray((self.edge > CLEAR_EDGE).mean(axis=1))

    def points_lps_mm(self, distance_mm: Array) -> Array:
        """Return points at a distance, broadcastable to (n, RAYS), from the centres along the rays, (n, RAYS, 3)."""
        turn = np.arange(RAYS) * 2 * np.pi / RAYS
        ray = np.cos(turn)[:, None] * self.frame[:, None, 0] + np.sin(turn)[:, None] * self.frame[:, None, 1]
        return np.asarray(self.centre_lps_mm[:, None] + np.asarray(distance_mm)[..., None] * ray)

    def part(self, keep: Array) -> Tube:
        """Return the sections chosen by a boolean mask."""
        return replace(
            self,
            centre_lps_mm=self.centre_lps_mm[keep],
            frame=self.frame[keep],
            radius_mm=self.radius_mm[keep],
            edge=self.edge[keep],
        )


def resample_line(points_mm: Array, values: Array, smooth_mm: float) -> tuple[Array, Array]:
    """Smooth a polyline, shape (n, 3), and its values, shape (n,), and resample both every 2 mm."""
    fine_mm = 0.5
    length = arc_length_mm(points_mm)
    keep = np.concatenate([[True], np.diff(length) > 1e-6])
    length, points_mm, values = length[keep], points_mm[keep], values[keep]
    at = np.arange(0.0, length[-1] + fine_mm, fine_mm)
    data = np.column_stack([np.interp(at, length, column) for column in (*points_mm.T, values)])
    # Mirror through the end points, so that smoothing does not shorten the line.
    pad = min(int(4 * smooth_mm / fine_mm), len(data) - 1)
    before = 2 * data[0] - data[pad:0:-1]
    after = 2 * data[-1] - data[-2 : -pad - 2 : -1]
    smooth = ndimage.gaussian_filter1d(np.concatenate([before, data, after]), smooth_mm / fine_mm, axis=0)
    smooth = smooth[pad : pad + len(data)]
    length = arc_length_mm(smooth[:, :3])
    at = np.arange(0.0, length[-1], SECTION_STEP_MM)
    out = np.column_stack([np.interp(at, length, column) for column in smooth.T])
    return out[:, :3], out[:, 3]


def frames(points_mm: Array) -> Array:
    """Return frames along a line that turn as little as possible, shape (n, 3, 3): two normals, then the tangent."""
    tangent = np.gradient(points_mm, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    result = np.empty((len(points_mm), 3, 3))
    normal = np.eye(3)[np.abs(tangent[0]).argmin()]
    for n, t in enumerate(tangent):
        normal = normal - (normal @ t) * t
        normal /= np.linalg.norm(normal)
        result[n] = normal, np.cross(t, normal), t
    return result


def fit_tube(
    ct: Volume,
    centre_lps_mm: Array,
    radius_mm: Array,
    blood_hu: float,
    rounds: int = 3,
    spread_mm: float = PRIOR_SPREAD_MM,
    calibre_mm: float | None = None,
) -> Tube:
    """Fit closed contours around a centreline; the centreline is moved to their middle between rounds.

    In every plane the boundary is the closed path, over rays and radii, with the steepest fall from blood to its
    surroundings, near the expected radius and smooth (dynamic programming over two turns).

    Parameters
    ----------
    ct : Volume
        Canonical CT, HU.
    centre_lps_mm : (n, 3) array
        First centreline.
    radius_mm : (n,) array
        Expected radius.
    blood_hu : float
        Unenhanced blood.
    rounds : int
        How often to fit.
    spread_mm : float
        How far a boundary may depart from the expected radius before that counts against it.
    calibre_mm : float or None
        One radius expected all along the vessel, instead of `radius_mm` and what each round has fitted.
    """
    points, expected = resample_line(centre_lps_mm, radius_mm, 4.0)
    if calibre_mm is not None:
        expected = np.full(len(expected), calibre_mm)
    for n in range(rounds):
        # The tracks' radii are rough: they bind the first round less.
        tube = _fit(ct, points, expected, blood_hu, spread_mm * (2.0 if n == 0 else 1.0))
        if n == rounds - 1:
            break
        angle = np.arange(RAYS) * 2 * np.pi / RAYS
        wheel = np.stack([np.cos(angle), np.sin(angle)], axis=1)
        # Centroid of the area of a star-shaped contour.
        cubes = tube.radius_mm[..., None] ** 3 * wheel / 3
        offset = cubes.sum(axis=1) / (tube.radius_mm**2 / 2).sum(axis=1, keepdims=True)
        moved = points + offset[:, :1] * tube.frame[:, 0] + offset[:, 1:] * tube.frame[:, 1]
        points, fitted = resample_line(moved, ndimage.median_filter(tube.mean_radius_mm, 5), 4.0)
        expected = fitted if calibre_mm is None else np.full(len(fitted), calibre_mm)
    return tube


def _fit(ct: Volume, points: Array, expected: Array, blood_hu: float, spread_mm: float) -> Tube:
    frame = frames(points)
    angle = np.arange(RAYS) * 2 * np.pi / RAYS
    ray = np.cos(angle)[:, None] * frame[:, None, 0] + np.sin(angle)[:, None] * frame[:, None, 1]
    reach = float(expected.max()) * 1.5 + 2 * EDGE_REACH_MM
    rho = np.arange(0.0, reach, RADIAL_STEP_MM)
    profile, unclipped = (np.zeros((len(points), RAYS, len(rho)), np.float32) for _ in range(2))
    size_mm = float(np.median(ct.grid.spacing_mm))
    fat_side = min(FAT_SIDE_HU + FAT_SIDE_HU_PER_MM * max(size_mm - 1.0, 0.0), MOST_FAT_SIDE_HU)
    shifts = (-2.0, -1.0, 0.0, 1.0, 2.0)
    for shift in shifts:
        at = points + shift * frame[:, 2]
        position = at[:, None, None] + rho[:, None] * ray[:, :, None]
        raw = sample(ct.data, ct.grid.to_ijk(ras_to_lps(position)), outside=blood_hu)
        profile += clip_around_blood(raw, blood_hu, fat_side) / len(shifts)
        unclipped += raw / len(shifts)
    profile = ndimage.gaussian_filter1d(profile, 0.7, axis=1, mode="wrap")
    edge = _edge(profile, blood_hu)
    edge = ndimage.gaussian_filter1d(edge, 0.8, axis=0, mode="nearest")

    fat_mm = np.cumsum(np.clip((blood_hu - 25.0 - profile) / 50.0, 0, 1), axis=2) * RADIAL_STEP_MM
    fat_mm = np.roll(fat_mm, int(EDGE_REACH_MM / RADIAL_STEP_MM / 2), axis=2)
    depart = (rho[None, None] - expected[:, None, None]) / spread_mm
    cost = -edge + FAT_WEIGHT * fat_mm + PRIOR_WEIGHT * depart**2
    inner = max(3.0, 0.45 * float(expected.min()))
    cost[..., rho < inner] = 1e3
    cost[..., rho > reach - EDGE_REACH_MM] = 1e3
    choice = _closed_path(cost)
    strength = np.take_along_axis(edge, choice[..., None], axis=2)[..., 0]
    radius = _out_to_half_way(rho[choice], unclipped, blood_hu, size_mm)
    radius = ndimage.gaussian_filter(radius, (0.8, 0.8), mode=("nearest", "wrap"))
    return Tube(points, frame, radius, strength)


def _out_to_half_way(radius_mm: Array, profile: Array, blood_hu: float, voxel_mm: float) -> Array:
    """Move boundaries that face the lung out to where the HU lie half-way between blood and lung.

    The path was sought on clipped HU, on which the blur of so high an edge seems to lie inside the vessel.
    """
    last = profile.shape[2] - 1
    start = np.round(radius_mm / RADIAL_STEP_MM).astype(int)
    away = np.clip(start + round((1.5 * voxel_mm + 1.0) / RADIAL_STEP_MM), 0, last)
    outside = np.take_along_axis(profile, away[..., None], axis=2)
    level = (blood_hu + outside) / 2
    index = np.arange(last + 1)
    beyond = (profile < level) & (index >= start[..., None])
    crossing = np.where(beyond.any(axis=2), beyond.argmax(axis=2), start)
    before = np.maximum(crossing - 1, 0)
    high, low = (np.take_along_axis(profile, at[..., None], axis=2) for at in (before, crossing))
    share = np.clip((high - level) / np.maximum(high - low, 1e-3), 0.0, 1.0)[..., 0]
    moved = np.clip((before + share) * RADIAL_STEP_MM, radius_mm, radius_mm + voxel_mm)
    # On fine voxels the blur is small and readers draw the edge of the soft tissue itself.
    share_moved = float(np.clip((voxel_mm - 1.0) / 1.0, 0.0, 1.0))
    facing_lung = outside[..., 0] < blood_hu - LUNG_BELOW_BLOOD_HU
    return np.where(facing_lung, radius_mm + share_moved * (moved - radius_mm), radius_mm)


def _edge(profile: Array, blood_hu: float) -> Array:
    """Fall of HU across each radius, saturated; where bone lies outside, the rise counts for half."""
    n = int(EDGE_REACH_MM / RADIAL_STEP_MM)
    total = np.concatenate([np.zeros((*profile.shape[:2], 1)), np.cumsum(profile, axis=2)], axis=2)
    index = np.arange(profile.shape[2])
    low, high = np.maximum(index - n, 0), np.minimum(index + n, profile.shape[2])
    inside = (total[..., index] - total[..., low]) / np.maximum(index - low, 1)
    outside = (total[..., high] - total[..., index]) / np.maximum(high - index, 1)
    fall = (inside - outside) / (np.abs(inside - outside) + EDGE_HU)
    bony = np.clip((outside - blood_hu - 30.0) / 30.0, 0, 1)
    return np.asarray(np.where(fall < 0, -0.5 * fall * bony + fall * (1 - bony), fall))


def _closed_path(cost: Array) -> Array:
    """Choose the cheapest radius per ray, closed and smooth, shape (n, RAYS), from cost (n, RAYS, radii)."""
    n, rays, _ = cost.shape
    turns = 2 * rays
    total = cost[:, 0].copy()
    back = np.empty((turns, n, cost.shape[2]), np.int8)
    steps = range(-MOST_BEND, MOST_BEND + 1)
    for r in range(1, turns):
        padded = np.pad(total, ((0, 0), (MOST_BEND, MOST_BEND)), constant_values=np.inf)
        options = np.stack(
            [padded[:, MOST_BEND + s : MOST_BEND + s + total.shape[1]] + BEND_WEIGHT * s * s for s in steps]
        )
        back[r] = options.argmin(axis=0) - MOST_BEND
        total = options.min(axis=0) + cost[:, r % rays]
    at = total.argmin(axis=1)
    path = np.empty((n, turns), int)
    rows = np.arange(n)
    for r in range(turns - 1, -1, -1):
        path[:, r] = at
        at = at + back[r][rows, at] if r else at
    # The second half of the first turn and the first half of the second know both neighbours.
    first = rays // 2
    return np.roll(path[:, first : first + rays], first, axis=1)


def rasterise(tube: Tube, ct: Volume) -> list[tuple[tuple[slice, slice, slice], Array, Array]]:
    """Find the voxels of a grid whose centre lies in a tube.

    Parameters
    ----------
    tube : Tube
        Contours.
    ct : Volume
        Image whose grid is used.

    Returns
    -------
    list of (box, inside, section)
        Per stretch of the tube: the part of the grid it lies in, the voxels of that box that are in it (bool), and the
        section nearest to each (int).
    """
    reach = float(tube.radius_mm.max()) + 1.0
    tree = cKDTree(tube.centre_lps_mm)
    found = []
    for start in range(0, len(tube.centre_lps_mm), STRETCH):
        stretch = tube.centre_lps_mm[start : start + STRETCH]
        wide = float(tube.radius_mm[start : start + STRETCH].max()) + SECTION_STEP_MM
        corners = box_corners(stretch.min(axis=0) - wide, stretch.max(axis=0) + wide)
        first, last = ct.grid.reached_by(ras_to_lps(corners))
        index = voxels_between(first, last)
        shape, index = index.shape[:3], index.reshape(-1, 3)
        points = ras_to_lps(ct.grid.to_ras(index))
        nearest = np.asarray(tree.query(points, distance_upper_bound=reach)[1])
        near = (nearest >= start) & (nearest < start + STRETCH) & (nearest < len(tube.centre_lps_mm))
        inside = np.zeros(len(index), bool)
        inside[near] = _inside(tube, points[near], nearest[near])
        found.append((box_between(first, last), inside.reshape(shape), np.where(near, nearest, 0).reshape(shape)))
    return found


def holds(tube: Tube, points_lps_mm: Array) -> Array:
    """Whether points, shape (n, 3), lie in a tube."""
    return _inside(tube, points_lps_mm, np.asarray(cKDTree(tube.centre_lps_mm).query(points_lps_mm)[1]))


def _inside(tube: Tube, points: Array, nearest: Array) -> Array:
    local = np.einsum("nij,nj->ni", tube.frame[nearest], points - tube.centre_lps_mm[nearest])
    last = len(tube.centre_lps_mm) - 1
    along = nearest + np.clip(local[:, 2] / SECTION_STEP_MM, -1.0, 1.0)
    within = (along >= -0.5) & (along <= last + 0.5)
    turn = np.mod(np.arctan2(local[:, 1], local[:, 0]), 2 * np.pi) * RAYS / (2 * np.pi)
    boundary = ndimage.map_coordinates(
        np.concatenate([tube.radius_mm, tube.radius_mm[:, :1]], axis=1),
        np.stack([np.clip(along, 0, last), turn]),
        order=1,
        mode="nearest",
    )
    return np.asarray(within & (np.hypot(local[:, 0], local[:, 1]) <= boundary))
