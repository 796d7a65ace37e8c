"""Where the body is in a CT: everything that its skin encloses, lungs and airways too."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from petflame.segment.geometric.body import BODY_HU
from petflame.segment.geometric.work import canonical_view, coarse_view
from petflame.space.boxes import largest_part
from petflame.space.grid import Array, Grid, Volume, ras_to_lps

COARSE_MM = 4.0


@dataclass(frozen=True, eq=False)
class BodyOutline:
    """Distance to the body in the CT, on a coarse grid.

    Attributes
    ----------
    distance_mm : (I, J, K) array
        0 in the body.
    grid : Grid
    """

    distance_mm: Array
    grid: Grid

    def beyond_mm(self, points_lps_mm: Array) -> Array:
        """Return how far points, shape (n, 3), lie from the body's surface, 0 inside it; shape (n,)."""
        ijk = self.grid.to_ijk(ras_to_lps(points_lps_mm))
        places = np.clip(ijk, 0, np.array(self.grid.shape) - 1).T
        return np.asarray(ndimage.map_coordinates(self.distance_mm, places, order=1, output=np.float64))


def outline_body(ct: Volume) -> BodyOutline:
    """Find the body: the largest part that is no air, and what it encloses in each axial plane.

    Parameters
    ----------
    ct : Volume
        HU, any axis order and direction.
    """
    coarse = coarse_view(canonical_view(ct), COARSE_MM)
    tissue = coarse.data > BODY_HU
    body = largest_part(tissue) if tissue.any() else np.ones(tissue.shape, bool)
    filled = np.stack([ndimage.binary_fill_holes(body[..., k]) for k in range(body.shape[2])], axis=2)
    away = ndimage.distance_transform_edt(~filled, sampling=coarse.grid.spacing_mm)
    return BodyOutline(away, coarse.grid)


def beyond_grid_mm(points_lps_mm: Array, grid: Grid) -> Array:
    """Return how far points, shape (n, 3), lie outside the voxels of a grid, mm; shape (n,)."""
    ijk = grid.to_ijk(ras_to_lps(points_lps_mm))
    beyond = np.maximum(np.maximum(-0.5 - ijk, ijk - (np.array(grid.shape) - 0.5)), 0.0)
    return np.asarray(np.linalg.norm(beyond * np.array(grid.spacing_mm), axis=1))
