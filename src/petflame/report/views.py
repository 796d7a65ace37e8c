"""Surfaces through a visit's images: the curved coronal view through the target arteries, and axial planes.

A view is a grid of points in patient space (LPS mm); images and labels are sampled there, on whatever grid they lie.
Pictures follow radiological convention: the patient's right is on the left.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from petflame.space.boxes import box_corners
from petflame.space.contours import contours_of, distance_at
from petflame.space.grid import Array, Volume, ras_to_lps

CURVE_WIDTH_MM = 180.0
CURVE_PIXEL_MM = 0.5
BELOW_MM, ABOVE_MM = 45.0, 15.0
MAX_HEIGHT_MM = 330.0
AXIAL_PIXEL_MM = 0.5
AXIAL_WIDTH_MM = {"aorta": 190.0, "carotid": 130.0}
# How far a vessel's depth reaches sideways and beyond its own ends in the curved surface.
REACH_X_MM, REACH_Z_MM = 18.0, 25.0


@dataclass(frozen=True, eq=False)
class View:
    """A picture plane or surface.

    Attributes
    ----------
    points_lps_mm : (rows, columns, 3) array
        Pixel centres; rows run downwards, columns from the patient's right to the left.
    normal : (3,) array
        Direction across the surface, LPS.
    pixel_mm : float
    """

    points_lps_mm: Array
    normal: Array
    pixel_mm: float

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return int(self.points_lps_mm.shape[1]), int(self.points_lps_mm.shape[0])


def axial_view(centre_lps_mm: Array, width_mm: float) -> View:
    """Return a square axial plane round a point, shape (3,), LPS mm."""
    n = 2 * round(width_mm / AXIAL_PIXEL_MM / 2)
    steps = (np.arange(n) - (n - 1) / 2) * AXIAL_PIXEL_MM
    x, y = np.meshgrid(steps, steps)
    points = np.stack([x, y, np.zeros_like(x)], axis=-1) + centre_lps_mm
    return View(points, np.array([0.0, 0.0, 1.0]), AXIAL_PIXEL_MM)


def curve_extent(lines: Mapping[str, Array]) -> tuple[float, float]:
    """Lowest and highest z, mm, of the curved view of some centrelines, each of shape (n, 3), LPS mm."""
    z = np.concatenate([line[:, 2] for line in lines.values()])
    low, high = float(z.min()) - BELOW_MM, float(z.max()) + ABOVE_MM
    return max(low, high - MAX_HEIGHT_MM), high


def curved_view(lines: Mapping[str, Array], low_mm: float, high_mm: float) -> View:
    """Return the coronal surface that passes through the vessels' centrelines.

    The depth of each point is the mean of the vessels' depths, weighted by nearness from side to side and along z, so
    that the surface bends smoothly from the carotids back into the chest.

    Parameters
    ----------
    lines : mapping of vessel to (n, 3) array
        Centrelines, LPS mm; at least one with two points.
    low_mm, high_mm : float
        Ends along z.
    """
    rows = 2 * round((high_mm - low_mm) / CURVE_PIXEL_MM / 2)
    z = high_mm - (np.arange(rows) + 0.5) * CURVE_PIXEL_MM
    middle = float(np.mean([line[:, 0].mean() for line in lines.values()]))
    columns = 2 * round(CURVE_WIDTH_MM / CURVE_PIXEL_MM / 2)
    x = middle + (np.arange(columns) - (columns - 1) / 2) * CURVE_PIXEL_MM
    total, weights = np.zeros((rows, columns)), np.zeros((rows, columns))
    for line in lines.values():
        order = np.argsort(line[:, 2], kind="stable")
        heights = line[order, 2]
        along_x, along_y = (np.interp(z, heights, line[order, axis]) for axis in (0, 1))
        beyond = np.maximum(np.maximum(heights[0] - z, z - heights[-1]), 0.0)
        weight = np.exp(-0.5 * ((x[None, :] - along_x[:, None]) / REACH_X_MM) ** 2) + 1e-3
        weight *= np.exp(-beyond / REACH_Z_MM)[:, None] + 1e-6
        total += weight * along_y[:, None]
        weights += weight
    y = ndimage.gaussian_filter1d(total / weights, 6.0 / CURVE_PIXEL_MM, axis=0, mode="nearest")
    points = np.stack(np.broadcast_arrays(x[None, :], y, z[:, None]), axis=-1)
    return View(points, np.array([0.0, 1.0, 0.0]), CURVE_PIXEL_MM)


def sample(volume: Volume, points_lps_mm: Array, outside: float) -> Array:
    """Interpolate a volume linearly at points, shape (..., 3), LPS mm; `outside` beyond its grid."""
    ijk = volume.grid.to_ijk(ras_to_lps(points_lps_mm))
    return ndimage.map_coordinates(volume.data, np.moveaxis(ijk, -1, 0), np.float32, 1, "constant", outside)


def mean_of_slab(volume: Volume, view: View, depths_mm: Array, outside: float) -> Array:
    """Return the mean over a slab about a view, shape (rows, columns)."""
    return np.mean([sample(volume, view.points_lps_mm + d * view.normal, outside) for d in depths_mm], axis=0)


def largest_in_slab(volume: Volume, view: View, depths_mm: Array) -> Array:
    """Return the largest value over a slab about a view, shape (rows, columns).

    The slab is sampled at every second pixel, still several times finer than a PET voxel.
    """
    coarse = view.points_lps_mm.reshape(view.size[1] // 2, 2, view.size[0] // 2, 2, 3).mean(axis=(1, 3))
    largest = np.max([sample(volume, coarse + d * view.normal, 0.0) for d in depths_mm], axis=0)
    return ndimage.zoom(largest, 2, order=1, mode="nearest", grid_mode=True)


@dataclass(frozen=True, eq=False)
class Cut:
    """A region cut by a view.

    Attributes
    ----------
    outlines : list of (n, 2) array
        (x, y) in pixels from the picture's upper left corner.
    inside : (rows, columns) bool array
        Pixels whose centre lies in the region.
    """

    outlines: list[Array]
    inside: Array


def cut_region(mask: Volume, view: View, margin_mm: float = 0.0) -> Cut:
    """Cut a region by a view, in the same shape-based interpolation that the measurement uses.

    Parameters
    ----------
    mask : Volume
        Boolean; canonical axis order; not empty.
    view : View
    margin_mm : float
        Margin of the measured region.
    """
    from skimage.measure import approximate_polygon, find_contours

    contours = contours_of(mask, margin_mm)
    inside = np.zeros(view.points_lps_mm.shape[:2], bool)
    low, high = _window(contours.grid.to_ras(box_corners([-1] * 3, contours.grid.shape)), view)
    if low is None:
        return Cut([], inside)
    window = (slice(low[0], high[0]), slice(low[1], high[1]))
    distance = np.minimum(distance_at(contours, ras_to_lps(view.points_lps_mm[window])), 50.0)
    inside[window] = distance <= margin_mm
    # Linear pieces of a signed distance leave small steps between slices; the outline need not show them.
    smooth = ndimage.gaussian_filter(distance, 0.8, mode="nearest")
    lines = [line for line in find_contours(smooth, margin_mm) if len(line) > 5]
    return Cut([approximate_polygon(line, 0.35)[:, ::-1] + (low[1] + 0.5, low[0] + 0.5) for line in lines], inside)


def _window(corners_ras_mm: Array, view: View) -> tuple[Array | None, Array]:
    """Rows and columns of the view that lie inside a box; None where there are none."""
    box = ras_to_lps(corners_ras_mm)
    points = view.points_lps_mm
    inside = ((points >= box.min(axis=0) - 2) & (points <= box.max(axis=0) + 2)).all(axis=-1)
    if inside.sum() < 4:
        return None, np.zeros(2, int)
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    low = np.array([max(rows[0] - 3, 0), max(columns[0] - 3, 0)])
    return low, np.array([rows[-1] + 4, columns[-1] + 4])
