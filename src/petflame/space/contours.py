"""Signed distance to the boundary of a mask, slice by slice, on any point in between."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from petflame.space.blocks import crop_to_mask
from petflame.space.boxes import window_of
from petflame.space.grid import Array, Grid, Volume

FAR_MM = 1e3


@dataclass(frozen=True, eq=False)
class Contours:
    """Signed in-plane distance to a vessel's boundary, slice by slice.

    Attributes
    ----------
    distance_mm : (I, J, K) float32 array
        Negative inside; measured to the edge of the mask's pixels, not to their centres.
    occupied : (K,) bool array
        Slices that show the vessel.
    mask : (I, J, K) bool array
    grid : Grid
        Canonical, cropped round the vessel.
    """

    distance_mm: Array
    occupied: Array
    mask: Array
    grid: Grid


def contours_of(mask: Volume, margin_mm: float) -> Contours:
    """Compute signed in-plane distances of a canonical boolean mask.

    The distance to a pixel's edge is that to its centre less half a pixel (geometric mean of the in-plane
    spacings), so a disc of pixels keeps the area it covers.
    """
    spacing = mask.grid.spacing_mm
    pad = int(np.ceil((margin_mm + 12.0) / min(spacing[:2]))) + 1
    crop = crop_to_mask(mask, 0).padded((pad, pad, 0))
    half = 0.5 * float(np.sqrt(spacing[0] * spacing[1]))
    distance = np.full(crop.data.shape, FAR_MM, np.float32)
    occupied: Array = np.asarray(crop.data.any(axis=(0, 1)))
    for k in np.flatnonzero(occupied):
        plane = crop.data[..., k]
        outside = ndimage.distance_transform_edt(~plane, sampling=spacing[:2])
        distance[..., k] = outside - half
        # All that is inside lies in the slice's own window, and nothing beyond its rim is nearer than the rim.
        window = window_of(plane)
        inside = ndimage.distance_transform_edt(np.pad(plane[window], 1), sampling=spacing[:2])[1:-1, 1:-1]
        np.copyto(distance[..., k][window], half - inside, where=plane[window], casting="same_kind")
    return Contours(distance, occupied, crop.data, crop.grid)


def distance_at(contours: Contours, ras_mm: Array) -> Array:
    """Signed distance to the vessel's boundary at points in patient space.

    Within a slice distances are interpolated linearly; between two slices that show the vessel linearly too
    (shape-based interpolation, Raya and Udupa 1990); a slice at the vessel's end reaches half a slice beyond.

    Parameters
    ----------
    contours : Contours
    ras_mm : (n, ..., 3) array

    Returns
    -------
    (n, ...) array
        Millimetres, negative inside, `FAR_MM` away from the vessel.
    """
    ijk = contours.grid.to_ijk(ras_mm)
    # Coordinates that fall on a slice up to rounding must not lean on its neighbour.
    k = np.round(ijk[..., 2], 6)
    lower = np.floor(k).astype(int)
    fraction = k - lower
    count = len(contours.occupied)
    has = np.zeros(count + 2, bool)
    has[1:-1] = contours.occupied
    low_in = has[np.clip(lower, -1, count) + 1]
    high_in = has[np.clip(lower + 1, -1, count) + 1]
    # How much each of the two slices counts; where neither does, the vessel is far.
    low_share = np.where(high_in, 1 - fraction, fraction <= 0.5) * low_in
    high_share = np.where(low_in, fraction, fraction >= 0.5) * high_in
    distance = np.where((low_share > 0) | (high_share > 0), 0.0, FAR_MM)
    for share, slices in ((low_share, lower), (high_share, lower + 1)):
        counts = share > 0
        distance[counts] += share[counts] * _in_plane(contours, ijk[counts], slices[counts])
    return distance


def _in_plane(contours: Contours, ijk: Array, k: Array) -> Array:
    coordinates = np.stack([np.round(ijk[:, 0], 6), np.round(ijk[:, 1], 6), k])
    return ndimage.map_coordinates(contours.distance_mm, coordinates, order=1, mode="constant", cval=FAR_MM)
