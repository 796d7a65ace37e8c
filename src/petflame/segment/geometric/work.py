"""The working image: the chest on an isotropic grid whose axes point left, posterior, superior."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import SimpleITK as sitk  # noqa: N813
from scipy import ndimage

from petflame.space.blocks import block_grid, block_mean
from petflame.space.boxes import box_corners
from petflame.space.grid import Array, Grid, Volume, ras_to_lps
from petflame.space.itk import image_of

STEP_MM = 2.0
AIR_HU = -1024.0


@dataclass(frozen=True, eq=False)
class Work:
    """Chest image on a 2 mm grid.

    Attributes
    ----------
    hu : (I, J, K) float32 array
        Hounsfield units; i grows to the patient's left, j to posterior, k to superior.
    origin_lps_mm : (3,) array
        Centre of voxel (0, 0, 0).
    inside : (K,) bool array
        Slices that lie within the scan (the others are padding).
    """

    hu: Array
    origin_lps_mm: Array
    inside: Array

    def to_mm(self, index: Array) -> Array:
        """Map voxel indices, shape (..., 3), to LPS mm."""
        return np.asarray(self.origin_lps_mm + STEP_MM * np.asarray(index, float))

    def to_index(self, point_lps_mm: Array) -> Array:
        """Map LPS mm, shape (..., 3), to fractional voxel indices."""
        return np.asarray((np.asarray(point_lps_mm, float) - self.origin_lps_mm) / STEP_MM)

    @property
    def grid(self) -> Grid:
        """The grid in the package's own convention (RAS affine)."""
        affine = np.diag([-STEP_MM, -STEP_MM, STEP_MM, 1.0])
        affine[:3, 3] = ras_to_lps(self.origin_lps_mm)
        i, j, k = self.hu.shape
        return Grid((i, j, k), affine)


def canonical_view(ct: Volume) -> Volume:
    """Flip and permute an image, without copying, so that i, j, k point most nearly left, posterior, superior."""
    to_lps = np.diag([-1.0, -1.0, 1.0]) @ ct.grid.affine[:3, :3]
    directions = to_lps / np.linalg.norm(to_lps, axis=0)
    order = [0, 0, 0]
    free = [0, 1, 2]
    for axis in np.argsort(-np.abs(directions).max(axis=1)):
        best = max(free, key=lambda column: abs(directions[axis, column]))
        order[axis] = best
        free.remove(best)
    data = ct.data.transpose(order)
    affine = ct.grid.affine[:, [*order, 3]].copy()
    for axis in range(3):
        if directions[axis, order[axis]] < 0:
            affine[:3, 3] += affine[:3, axis] * (data.shape[axis] - 1)
            affine[:3, axis] *= -1
            data = np.flip(data, axis)
    i, j, k = data.shape
    return Volume(data, Grid((i, j, k), affine))


def coarse_view(ct: Volume, step_mm: float) -> Volume:
    """Take every n-th voxel of a canonical image so that the spacing comes close to `step_mm`, without copying."""
    stride = [max(1, round(step_mm / s)) for s in ct.grid.spacing_mm]
    data = ct.data[:: stride[0], :: stride[1], :: stride[2]]
    return Volume(data, ct.grid.resampled([0, 0, 0], stride, data.shape))


def resample(ct: Volume, low_lps_mm: Array, high_lps_mm: Array) -> Work:
    """Resample a box of a canonical image to the working grid.

    Finer voxels are averaged first, so that noise falls with the voxel size; what lies outside the scan is air.

    Parameters
    ----------
    ct : Volume
        Canonical image, HU.
    low_lps_mm, high_lps_mm : (3,) array
        Corners of the box.
    """
    corners = box_corners(low_lps_mm, high_lps_mm)
    ijk = ct.grid.to_ijk(ras_to_lps(corners))
    first = np.maximum(np.floor(ijk.min(axis=0)).astype(int) - 2, 0)
    last = np.minimum(np.ceil(ijk.max(axis=0)).astype(int) + 3, ct.grid.shape)
    factor = np.array([max(1, int(STEP_MM / s + 0.1)) for s in ct.grid.spacing_mm])
    last = first + np.maximum((last - first) // factor, 1) * factor
    last = np.minimum(last, ct.grid.shape)
    crop = ct.data[first[0] : last[0], first[1] : last[1], first[2] : last[2]]
    binned = block_mean(crop, factor, (AIR_HU, 3071))
    size = np.maximum(np.ceil((high_lps_mm - low_lps_mm) / STEP_MM).astype(int) + 1, 1)
    hu = np.full(size, AIR_HU, np.float32)
    if binned.size:
        out = sitk.Resample(
            image_of(Volume(binned, block_grid(ct.grid, first, factor, binned.shape))),
            [int(n) for n in size],
            sitk.Transform(),
            sitk.sitkLinear,
            np.asarray(low_lps_mm, float).tolist(),
            [STEP_MM] * 3,
            np.eye(3).ravel().tolist(),
            AIR_HU,
            sitk.sitkFloat32,
        )
        hu = np.ascontiguousarray(sitk.GetArrayFromImage(out).transpose(2, 1, 0))
    middle = (low_lps_mm + high_lps_mm) / 2
    z = low_lps_mm[2] + STEP_MM * np.arange(size[2])
    axis = np.stack([np.full_like(z, middle[0]), np.full_like(z, middle[1]), z], axis=1)
    k = ct.grid.to_ijk(ras_to_lps(axis))[:, 2]
    inside = (k >= -0.5) & (k <= ct.grid.shape[2] - 0.5)
    return Work(hu, np.asarray(low_lps_mm, float), inside)


def sample(image: Array, index: Array, order: int = 1, outside: float = AIR_HU) -> Array:
    """Interpolate an array at fractional indices, shape (..., 3)."""
    places = np.moveaxis(index, -1, 0)
    result = np.empty(places.shape[1:], np.float32)
    interpolate: Any = ndimage.map_coordinates
    interpolate(image, places, output=result, order=order, mode="constant", cval=outside)
    return result
