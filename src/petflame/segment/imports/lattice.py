"""Fitting a regular lattice of pixels onto a grid of the visit, voxel for voxel and without resampling."""

from __future__ import annotations

import numpy as np

from petflame.segment.imports.claims import REFERENCES, Reference, elsewhere
from petflame.space.boxes import box_corners
from petflame.space.grid import Array, Grid, Volume

# A centre this far from its voxel's, in voxels, can still mean no other voxel: headers round to 0.01 mm, and a
# scanner's positions stray from the regular grid by some per cent of a slice.
LARGEST_OFFSET_VOXELS = 0.06


def index_map(affine: Array, shape: tuple[int, ...], grid: Grid) -> tuple[Array, Array] | None:
    """Find the whole-number map from lattice indices to voxel ijk of a grid.

    Parameters
    ----------
    affine : (4, m + 1) array
        Lattice indices (m of them, 2 for a single frame, 3 for a volume) to RAS mm.
    shape : tuple of m int
    grid : Grid

    Returns
    -------
    matrix : (3, m) int array
        Columns hold a single 1 or -1: axes may be permuted and reversed.
    offset : (3,) int array
    or None
        Where spacing, direction or position differ: the lattice does not lie on the grid.
    """
    inverse = np.linalg.inv(grid.affine)
    transform = inverse @ affine
    matrix, offset = transform[:3, :-1], transform[:3, -1]
    whole, start = np.rint(matrix), np.rint(offset)
    count = len(shape)
    if not (np.abs(whole).sum(axis=0) == 1).all() or np.linalg.matrix_rank(whole) < count:
        return None
    corners = box_corners(np.zeros(count, int), np.array(shape) - 1).T
    stray = np.abs((matrix - whole) @ corners + (offset - start)[:, None])
    if stray.max() > LARGEST_OFFSET_VOXELS:
        return None
    return whole.astype(np.int64), start.astype(np.int64)


def inside(voxels: Array, grid: Grid) -> Array:
    """Tell which voxels, shape (n, 3), belong to the grid; shape (n,)."""
    return np.asarray(((voxels >= 0) & (voxels < np.array(grid.shape))).all(axis=1))


def fit_volume(
    affine: Array, shape: tuple[int, ...], grids: dict[str, Grid], *, whole: bool = False
) -> tuple[Reference, Array, Array] | None:
    """Find the visit's grid on whose voxels a volume lies and its index map; None where there is none.

    A grid that it covers exactly, in any order and direction of the axes, comes before one of which it is a part, and
    then the CT before the PET. With `whole` only the former counts: where a format does not tell that a part was cut
    out, an array that lost its first rows and kept its affine would pass for one.
    """
    fits = [
        (not _covers(shape, grids[reference], *found), reference, *found)
        for reference in REFERENCES
        if reference in grids and (found := index_map(affine, shape, grids[reference])) is not None
    ]
    fits = [fit for fit in fits if not (whole and fit[0])]
    return min(fits, key=lambda fit: (fit[0], REFERENCES.index(fit[1])))[1:] if fits else None


def _covers(shape: tuple[int, ...], grid: Grid, matrix: Array, offset: Array) -> bool:
    """Whether the lattice's corners are those of the grid."""
    ends = np.array([np.zeros(3), np.array(shape) - 1]) @ matrix.T + offset
    return bool((ends.min(axis=0) == 0).all() and (ends.max(axis=0) == np.array(grid.shape) - 1).all())


def placed(data: Array, matrix: Array, offset: Array, grid: Grid, where: str) -> Volume:
    """Put label numbers that lie on a grid's voxels onto it; 0 is the background.

    Parameters
    ----------
    data : (I, J, K) array
    matrix, offset : arrays
        As `index_map` gives them.
    grid : Grid
    where : str

    Raises
    ------
    InputRefused
        When labelled voxels lie outside the grid.
    """
    voxels = np.argwhere(data)
    target = voxels @ matrix.T + offset
    outside = int((~inside(target, grid)).sum())
    if outside:
        raise elsewhere(f"partly outside the images ({outside} labelled voxels)", {"image": grid}, where)
    result = np.zeros(grid.shape, data.dtype)
    result[tuple(target.T)] = data[tuple(voxels.T)]
    return Volume(result, grid)
