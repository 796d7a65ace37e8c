"""The voxels of outlines as numbers: their hash, and runs of them, both in C order whatever the order of memory."""

from __future__ import annotations

import hashlib

import numpy as np

from petflame.anatomy import BY_NAME
from petflame.space.grid import Array


def flat_places(mask: Array) -> Array:
    """Return the flat C-order places of an array's values that are not 0, ascending, shape (n,) int64.

    >>> mask = np.zeros((2, 3), bool)
    >>> mask[0, 2] = mask[1, 0] = True
    >>> flat_places(mask).tolist(), flat_places(np.asfortranarray(mask)).tolist()
    ([2, 3], [2, 3])
    """
    if mask.flags.c_contiguous or not mask.flags.f_contiguous:
        return np.flatnonzero(mask).astype(np.int64)
    # Against the order of memory the search takes many times as long.
    found = np.unravel_index(np.flatnonzero(mask.T), mask.shape, order="F")
    return np.sort(np.ravel_multi_index(found, mask.shape)).astype(np.int64)


def outline_digest(labels: Array) -> str:
    """Return the SHA-256 of what is labelled: flat C-order places (int64) of the labels, then the labels (uint8).

    Parameters
    ----------
    labels : (I, J, K) uint8 array
        The whole map, in any order of memory.

    >>> labels = np.zeros((2, 2, 2), np.uint8)
    >>> labels[1, 0, 1] = 4
    >>> outline_digest(labels) == outline_digest(np.asfortranarray(labels))
    True
    """
    places = flat_places(labels)
    return digest_of_places(places, labels[np.unravel_index(places, labels.shape)])


def digest_of_places(places: Array, labels: Array) -> str:
    """Return the same of ascending flat C-order places, shape (n,), and the labels there, shape (n,)."""
    digest = hashlib.sha256(np.ascontiguousarray(places, "<i8").data)
    digest.update(np.ascontiguousarray(labels, np.uint8).data)
    return digest.hexdigest()


def runs_of(places: Array) -> Array:
    """Return the runs (first, length) of ascending flat places, shape (n, 2).

    >>> runs_of(np.array([3, 4, 5, 9])).tolist()
    [[3, 3], [9, 1]]
    """
    places = np.asarray(places, np.int64)
    if not len(places):
        return np.zeros((0, 2), np.int64)
    first = np.flatnonzero(np.diff(places, prepend=places[0] - 2) != 1)
    return np.column_stack([places[first], np.diff(first, append=len(places))])


def places_of(runs: Array) -> Array:
    """Return every flat place of runs (first, length), shape (n,).

    >>> places_of(np.array([[3, 3], [9, 1]])).tolist()
    [3, 4, 5, 9]
    """
    first, length = runs[:, 0], runs[:, 1]
    return np.asarray(np.repeat(first - (np.cumsum(length) - length), length) + np.arange(length.sum()))


def runs_of_vessel(labels: Array, name: str) -> Array:
    """Return the runs of a vessel's voxels in a label map, flat in C order, shape (n, 2) int64."""
    return runs_of(flat_places(labels == BY_NAME[name].label))
