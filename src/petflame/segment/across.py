"""Planes across a line, and images sampled on them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from petflame.space.grid import Array, Volume, ras_to_lps


@dataclass(frozen=True, eq=False)
class Across:
    """Square planes across the stations of a line.

    Attributes
    ----------
    line_lps_mm : (n, 3) array
    frame : (n, 3, 3) array
        Rows: two normals, then the tangent.
    u_mm, v_mm : (h, h) array
        Place in the planes along the two normals.
    """

    line_lps_mm: Array
    frame: Array
    u_mm: Array
    v_mm: Array

    @property
    def off_mm(self) -> Array:
        """Distance from the line, shape (h, h)."""
        return np.hypot(self.u_mm, self.v_mm)

    def places(self, along_mm: float = 0.0) -> Array:
        """Places of the planes' pixels, moved along the line, LPS mm, shape (n, h, h, 3)."""
        start = self.line_lps_mm + along_mm * self.frame[:, 2]
        first, second = self.frame[:, None, None, 0], self.frame[:, None, None, 1]
        return np.asarray(start[:, None, None] + self.u_mm[..., None] * first + self.v_mm[..., None] * second)

    def sample(self, image: Volume, along_mm: tuple[float, ...] = (0.0,)) -> Array:
        """Interpolate an image of any axis order on the planes, mean over shifts along the line, shape (n, h, h)."""
        # Planes are planes in voxels too: three products of an affine map instead of one for each pixel.
        middle = image.grid.to_ijk(ras_to_lps(self.line_lps_mm))
        turned = np.linalg.solve(image.grid.affine[:3, :3], ras_to_lps(self.frame).reshape(-1, 3).T)
        first, second, along = np.moveaxis(turned.T.reshape(self.frame.shape), 1, 0)
        pixels = self.u_mm[None, None] * first.T[..., None, None] + self.v_mm[None, None] * second.T[..., None, None]
        total = np.zeros((len(middle), *self.u_mm.shape), np.float32)
        for shift in along_mm:
            total += _interpolated(image, pixels + (middle + shift * along).T[..., None, None])
        return total / np.float32(len(along_mm))


def planes_across(line_lps_mm: Array, frame: Array, half_mm: float, pixel_mm: float) -> Across:
    """Lay planes of a half width across a line."""
    count = int(np.ceil(half_mm / pixel_mm))
    at = pixel_mm * np.arange(-count, count + 1)
    u, v = np.meshgrid(at, at, indexing="ij")
    return Across(line_lps_mm, frame, u, v)


def sample_at(image: Volume, places_lps_mm: Array) -> Array:
    """Interpolate an image linearly at places, shape (..., 3); beyond its border its outermost voxels go on."""
    return _interpolated(image, np.moveaxis(image.grid.to_ijk(ras_to_lps(places_lps_mm)), -1, 0))


def _interpolated(image: Volume, ijk: Array) -> Array:
    values: Array = ndimage.map_coordinates(image.data, ijk, output=np.float32, order=1, mode="nearest")
    return values
