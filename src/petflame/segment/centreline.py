"""Centrelines of vessel masks, in LPS mm."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from petflame.grid import Array, Grid, Volume, ras_to_lps
from petflame.segment.orientation import to_canonical

SMOOTHING_MM = 6.0
ARCH_STEP_MM = 5.0


def crop_to_mask(mask: Volume, margin_voxels: int = 1) -> Volume:
    """Cut the bounding box of a mask, with a margin, out of its grid."""
    box = ndimage.find_objects(mask.data.astype(np.uint8))[0]
    starts = [max(s.start - margin_voxels, 0) for s in box]
    stops = [min(s.stop + margin_voxels, n) for s, n in zip(box, mask.data.shape, strict=True)]
    data = mask.data[tuple(slice(a, b) for a, b in zip(starts, stops, strict=True))]
    affine = mask.grid.affine.copy()
    affine[:3, 3] = mask.grid.to_ras(starts)
    return Volume(data, Grid((data.shape[0], data.shape[1], data.shape[2]), affine))


def axial_centreline(mask: Volume, upwards: bool) -> Array:
    """Centreline of a vessel that runs head-foot: centroid of each axial slice, smoothed along the vessel.

    Parameters
    ----------
    mask : Volume
        Boolean, not empty.
    upwards : bool
        Whether the first point is the lowest.

    Returns
    -------
    (n, 3) array
        LPS mm, one point an axial slice of the mask's grid between its ends.
    """
    crop = crop_to_mask(to_canonical(mask))
    areas = crop.data.sum(axis=(0, 1))
    ks = np.flatnonzero(areas)
    i, j = np.indices(crop.data.shape[:2])
    centres = np.array([[(i * crop.data[..., k]).sum(), (j * crop.data[..., k]).sum()] for k in ks]) / areas[ks, None]
    every = np.arange(ks[0], ks[-1] + 1)
    ij = np.column_stack([np.interp(every, ks, centres[:, 0]), np.interp(every, ks, centres[:, 1])])
    sigma = SMOOTHING_MM / crop.grid.spacing_mm[2] / 2.0
    ij = ndimage.gaussian_filter1d(ij, sigma, axis=0, mode="nearest")
    points = ras_to_lps(crop.grid.to_ras(np.column_stack([ij, every])))
    return points if upwards else points[::-1]


def arched_centreline(mask: Volume, start_lps_mm: Array | None) -> Array:
    """Centreline of a bent vessel: centroids of bands of equal distance travelled inside the mask.

    Parameters
    ----------
    mask : Volume
        Boolean, not empty.
    start_lps_mm : (3,) array or None
        A point near the first end; None takes the foremost end (an arch starts in front).

    Returns
    -------
    (n, 3) array
        LPS mm, about `ARCH_STEP_MM` apart.
    """
    from skimage.graph import MCP_Geometric

    crop = crop_to_mask(to_canonical(mask))
    inside = np.argwhere(crop.data)
    places = ras_to_lps(crop.grid.to_ras(inside))
    costs = np.where(crop.data, 1.0, np.inf)

    def travel(seed: Array) -> Array:
        distance, _ = MCP_Geometric(costs, sampling=crop.grid.spacing_mm).find_costs([tuple(seed)])
        return np.asarray(distance[tuple(inside.T)])

    if start_lps_mm is None:
        from_middle = travel(inside[np.argmin(np.linalg.norm(places - places.mean(axis=0), axis=1))])
        far = int(np.argmax(np.where(np.isfinite(from_middle), from_middle, -1.0)))
        across = travel(inside[far])
        other = int(np.argmax(np.where(np.isfinite(across), across, -1.0)))
        first = far if places[far, 1] < places[other, 1] else other
    else:
        nearest = int(np.argmin(np.linalg.norm(places - start_lps_mm, axis=1)))
        first = nearest
    distance = travel(inside[first])
    reached = np.isfinite(distance)
    bands = (distance[reached] / ARCH_STEP_MM).astype(int)
    centres = np.array([places[reached][bands == b].mean(axis=0) for b in np.unique(bands)])
    return ndimage.gaussian_filter1d(centres, 1.0, axis=0, mode="nearest") if len(centres) > 2 else centres
