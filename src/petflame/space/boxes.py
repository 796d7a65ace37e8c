"""Boxes of voxels: their corners, what lies between, the slices that cut them out; the largest part of a mask."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

Box = tuple[slice, slice, slice]


def box_corners(low: ArrayLike, high: ArrayLike) -> NDArray[Any]:
    """Corners of a box of m dimensions between two opposite ones, both of shape (m,); shape (2**m, m).

    >>> box_corners([0, 0], [3, 5]).tolist()
    [[0, 0], [3, 0], [0, 5], [3, 5]]
    """
    sides = np.stack([low, high], axis=1)
    return np.array(np.meshgrid(*sides)).reshape(len(sides), -1).T


def voxels_between(low: ArrayLike, high: ArrayLike) -> NDArray[Any]:
    """Coordinates of the voxels from `low` up to but without `high`, both whole numbers of shape (m,).

    Returns an array with m axes, one along each dimension of the box, and a last one of length m.

    >>> voxels_between([0, 4], [2, 6]).tolist()
    [[[0, 4], [0, 5]], [[1, 4], [1, 5]]]
    """
    return lattice(*(np.arange(a, b) for a, b in np.stack([low, high], axis=1)))


def lattice(*axes: NDArray[Any]) -> NDArray[Any]:
    """Every combination of the coordinates along m axes; an axis each, and a last one of length m.

    >>> lattice(np.array([0.0, 0.5]), np.array([1.0])).tolist()
    [[[0.0, 1.0]], [[0.5, 1.0]]]
    """
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)


def box_between(low: ArrayLike, high: ArrayLike) -> Box:
    """Slices of the voxels from `low` up to but without `high`, both whole numbers of shape (3,).

    >>> box_between([0, 1, 2], [3, 4, 5])
    (slice(0, 3, None), slice(1, 4, None), slice(2, 5, None))
    """
    i, j, k = (slice(int(a), int(b)) for a, b in np.stack([low, high], axis=1))
    return i, j, k


def box_of_mask(mask: NDArray[Any], margin_voxels: int = 0) -> Box:
    """Smallest box that holds a mask with something in it, wider by a margin as far as the array goes.

    >>> box_of_mask(np.arange(8).reshape(2, 2, 2) == 7, 1)
    (slice(0, 2, None), slice(0, 2, None), slice(0, 2, None))
    """
    along = [np.flatnonzero(mask.any(axis=others)) for others in ((1, 2), (0, 2), (0, 1))]
    low = [max(int(a[0]) - margin_voxels, 0) for a in along]
    high = [min(int(a[-1]) + 1 + margin_voxels, n) for a, n in zip(along, mask.shape, strict=True)]
    return box_between(low, high)


def window_of(plane: NDArray[Any]) -> tuple[slice, slice]:
    """Smallest window of a plane that holds all that is not 0, which must be something.

    >>> window_of(np.array([[0, 0, 0], [0, 0, 7]]))
    (slice(1, 2, None), slice(2, 3, None))
    """
    i, j = (np.flatnonzero(plane.any(axis=other)) for other in (1, 0))
    return slice(int(i[0]), int(i[-1]) + 1), slice(int(j[0]), int(j[-1]) + 1)


def largest_part(mask: NDArray[Any], structure: NDArray[Any] | None = None) -> NDArray[Any]:
    """Largest connected part of a mask, the first of equal ones; nothing where there is nothing.

    Parameters
    ----------
    mask : bool array
    structure : array or None
        Which neighbours are connected (see `scipy.ndimage.label`): across faces alone where nothing is said.

    >>> largest_part(np.array([True, False, True, True, False])).tolist()
    [False, False, True, True, False]
    """
    parts, count = ndimage.label(mask, structure)
    if count == 0:
        return np.zeros(mask.shape, bool)
    return np.asarray(parts == 1 + int(np.bincount(parts.ravel())[1:].argmax()))
