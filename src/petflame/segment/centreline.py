"""Centrelines of vessel masks, in LPS mm."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from petflame.space.blocks import crop_to_mask
from petflame.space.grid import Array, Volume, ras_to_lps
from petflame.space.orientation import to_canonical

SMOOTHING_MM = 6.0
ARCH_STEP_MM = 5.0
END_FRACTION = 0.08


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


def arched_centreline(mask: Volume, part: Array | None = None) -> Array:
    """Centreline of a bent vessel: centroids of bands at equal shares of the way between its ends, inside the mask.

    Parameters
    ----------
    mask : Volume
        Boolean, not empty: the whole bent vessel, such as ascending aorta, arch and descending aorta together.
    part : (I, J, K) bool array or None
        Where given, only the stretch in which this part prevails is returned: an arch cut off by axial planes is a
        cap, whose own shape does not tell its direction.

    Returns
    -------
    (n, 3) array
        LPS mm, about `ARCH_STEP_MM` apart, from the foremost end (where an arch starts) to the rearmost.
    """
    from skimage.graph import MCP_Geometric

    canonical = to_canonical(mask)
    crop = crop_to_mask(canonical)
    inside = np.argwhere(crop.data)
    places = ras_to_lps(crop.grid.to_ras(inside))
    chosen = np.ones(len(inside), bool)
    if part is not None:
        offset = np.round(canonical.grid.to_ijk(crop.grid.affine[:3, 3])).astype(int)
        chosen = to_canonical(Volume(part, mask.grid)).data[tuple((inside + offset).T)]
    costs = np.where(crop.data, 1.0, np.inf)

    def travel(seed: int) -> Array:
        distance, _ = MCP_Geometric(costs, sampling=crop.grid.spacing_mm).find_costs([tuple(inside[seed])])
        found = np.asarray(distance[tuple(inside.T)])
        return np.where(np.isfinite(found), found, -1.0)

    def middle_of_end(distance: Array) -> int:
        """Voxel nearest to the middle of the voxels that lie farthest."""
        end = distance >= (1.0 - END_FRACTION) * distance.max()
        return int(np.argmin(np.linalg.norm(places - places[end].mean(axis=0), axis=1)))

    centre = int(np.argmin(np.linalg.norm(places - places.mean(axis=0), axis=1)))
    one = middle_of_end(travel(centre))
    other = middle_of_end(travel(one))
    from_one, from_other = travel(one), travel(other)
    # The share of the way between the ends is the same all across the vessel; the way from one end is not.
    share = from_one / np.maximum(from_one + from_other, 1e-9)
    connected = (from_one >= 0) & (from_other >= 0)
    count = max(2, int(np.ceil(from_one.max() / ARCH_STEP_MM)))
    bands = np.minimum((share[connected] * count).astype(int), count - 1)
    places, chosen = places[connected], chosen[connected]
    prevails = [b for b in np.unique(bands) if chosen[bands == b].mean() >= 0.5]
    line = np.array([places[bands == b].mean(axis=0) for b in prevails]).reshape(-1, 3)
    return line if len(line) < 2 or line[0, 1] <= line[-1, 1] else line[::-1]
