"""Bringing an image into the axis order and directions nearest to RAS, without resampling."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import nibabel as nib
import numpy as np

from petflame.space.grid import Grid, Volume

V = TypeVar("V", bound=Volume)


def to_canonical(volume: V, copy: bool = True) -> V:
    """Permute and flip axes so that i, j, k run nearest to right-left, posterior-anterior, inferior-superior.

    Values are untouched, so every voxel keeps its value and its place in patient space (RAS mm). Without `copy` the
    array is a view of the one given, in any memory order: what is written in it stands in both.

    >>> flipped = Volume(np.arange(8).reshape(2, 2, 2), Grid((2, 2, 2), np.diag([-1.0, -1, 2, 1])))
    >>> canonical = to_canonical(flipped)
    >>> canonical.grid.spacing_mm, int(canonical.data[0, 0, 0])
    ((1.0, 1.0, 2.0), 6)
    """
    data = nib.apply_orientation(volume.data, nib.io_orientation(volume.grid.affine))
    return replace(volume, data=np.ascontiguousarray(data) if copy else data, grid=canonical_grid(volume.grid))


def canonical_grid(grid: Grid) -> Grid:
    """Return the grid that `to_canonical` brings an image of this grid onto.

    >>> canonical_grid(Grid((2, 3, 4), np.diag([-1.0, 1, 2, 1]))).to_ras([0, 0, 0]).tolist()
    [-1.0, 0.0, 0.0]
    """
    orientation = nib.io_orientation(grid.affine)
    affine = grid.affine @ nib.orientations.inv_ornt_aff(orientation, grid.shape)
    i, j, k = (grid.shape[int(axis)] for axis in np.argsort(orientation[:, 0]))
    return Grid((i, j, k), np.asarray(affine, float))
