"""Bringing an image into the axis order and directions nearest to RAS, without resampling."""

from __future__ import annotations

import nibabel as nib
import numpy as np

from petflame.grid import Grid, Volume


def to_canonical(volume: Volume) -> Volume:
    """Permute and flip axes so that i, j, k run nearest to right-left, posterior-anterior, inferior-superior.

    Values are untouched, so every voxel keeps its value and its place in patient space (RAS mm).

    >>> flipped = Volume(np.arange(8).reshape(2, 2, 2), Grid((2, 2, 2), np.diag([-1.0, -1, 2, 1])))
    >>> canonical = to_canonical(flipped)
    >>> canonical.grid.spacing_mm, int(canonical.data[0, 0, 0])
    ((1.0, 1.0, 2.0), 6)
    """
    orientation = nib.io_orientation(volume.grid.affine)
    data = nib.apply_orientation(volume.data, orientation)
    affine = volume.grid.affine @ nib.orientations.inv_ornt_aff(orientation, volume.grid.shape)
    shape = (int(data.shape[0]), int(data.shape[1]), int(data.shape[2]))
    return Volume(np.ascontiguousarray(data), Grid(shape, np.asarray(affine, float)))
