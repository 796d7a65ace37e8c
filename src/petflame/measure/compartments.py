"""What a PET near a vessel is made of: each region's share of every voxel of a fine grid, and the shares blurred.

Everything that explains uptake by regions and the point spread starts from here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from petflame.recovery import FWHM_PER_SIGMA
from petflame.space.grid import Array, Grid, Volume

# Beyond two widths of the resolution nothing is mixed in any more.
REACH_WIDTHS = 2.0
# CT numbers that part lung, fat, soft tissue and bone; unenhanced blood lies at 30 to 50 HU.
LUNG_BELOW_HU, FAT_BELOW_HU, BONE_ABOVE_HU = -400.0, -25.0, 130.0


@dataclass(frozen=True, eq=False)
class Compartments:
    """Regions of a crop on a fine grid.

    Attributes
    ----------
    names : tuple of str
    shares : (n, I, J, K) float32 array
        How much of each voxel each region fills; the regions of a voxel add up to 1.
    grid : Grid
    """

    names: tuple[str, ...]
    shares: Array
    grid: Grid

    def merged(self, kept: tuple[str, ...], into: str) -> Compartments:
        """Return the same crop with all regions but `kept` counted to one of them."""
        rest = [n for n, name in enumerate(self.names) if name not in kept]
        names = tuple(name for name in self.names if name in kept)
        shares = self.shares[[n for n, name in enumerate(self.names) if name in kept]].copy()
        shares[names.index(into)] += self.shares[rest].sum(axis=0)
        return Compartments(names, shares, self.grid)

    def blurred(self, fwhm_mm: float) -> Array:
        """Shares as a Gaussian point spread shows them, shape of `shares`; see `blurred`."""
        return np.stack([blurred(share, self.grid, fwhm_mm) for share in self.shares])


def blurred(image: Array, grid: Grid, fwhm_mm: float) -> Array:
    """Image whose voxels are means, seen at their centres through a Gaussian point spread.

    A voxel's own box, of variance h^2 / 12 along each axis, is part of the point spread and not added to it.

    >>> line = np.zeros((1, 1, 41)); line[..., 20] = 1.0
    >>> seen = blurred(line, Grid((1, 1, 41), np.eye(4)), 6.0)[0, 0]
    >>> variance = (seen * np.arange(-20.0, 21) ** 2).sum()
    >>> round(float(np.sqrt(variance + 1 / 12)) * FWHM_PER_SIGMA, 2)
    6.0
    """
    spacing = np.array(grid.spacing_mm)
    variance = (fwhm_mm / FWHM_PER_SIGMA) ** 2 - spacing**2 / 12
    sigma = np.sqrt(np.maximum(variance, 0.0)) / spacing
    seen: Array = ndimage.gaussian_filter(image, sigma, mode="nearest", truncate=4)
    return seen


def values_nearest(volume: Volume, ras_mm: Array, beyond: float | None = None) -> Array:
    """Value of the voxel that holds each place, RAS mm, shape (..., 3).

    Outside of the image it is `beyond` or, where that is None, the value of the image's nearest voxel.
    """
    index, inside = [], np.ones(np.shape(ras_mm)[:-1], bool)
    for along, count in zip(np.moveaxis(volume.grid.to_ijk(ras_mm), -1, 0), volume.grid.shape, strict=True):
        place = np.floor(along + (0.5 + 1e-6)).astype(np.int32)
        if beyond is not None:
            inside &= (place >= 0) & (place < count)
        index.append(np.minimum(np.maximum(place, 0), count - 1))
    found = volume.data[tuple(index)]
    return found if beyond is None else np.where(inside, found, beyond)


def inside_share(distance_mm: Array, step_mm: float) -> Array:
    """Share of a voxel inside a boundary, from the distance of its centre to it (negative inside).

    >>> inside_share(np.array([-2.0, 0.0, 0.25, 2.0]), 1.0)
    array([1.  , 0.5 , 0.25, 0.  ])
    """
    return np.clip(0.5 - distance_mm / step_mm, 0.0, 1.0)


def tissue_masks(hu: Array) -> dict[str, Array]:
    """Lung, fat, soft tissue and bone by CT number."""
    lung, bone = hu < LUNG_BELOW_HU, hu > BONE_ABOVE_HU
    fat = (hu < FAT_BELOW_HU) & ~lung
    return {"lung": lung, "fat": fat, "bone": bone, "soft_tissue": ~(lung | fat | bone)}
