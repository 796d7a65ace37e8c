"""From drawn contours to voxels, at voxel centres.

A voxel belongs to a contour when its centre lies inside by the even-odd rule, or on the line itself: tools that trace
a mask put the line through the centres of its border voxels, others along their edges, and both come back exactly. A
contour that runs into a hole and back (DICOM's keyhole) so leaves the hole out.

How several contours of one region on a slice combine is the file's to say. CLOSEDPLANAR_XOR (DICOM PS3.3 C.8.8.6)
means exclusive or, so that a contour within another is a hole, whose line is still part of the region. Plain closed
contours say nothing of holes, and the same ones come repeated or overlapping from brushes and careless exports: they
are joined, and where they overlap it is told. Exclusive contours within plain ones are holes in them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from petflame.space.grid import Array

# Coordinates in files are often rounded to 0.01 mm.
ON_THE_LINE_MM = 0.011


@dataclass(frozen=True, eq=False)
class Contour:
    """A closed contour and what it says of others on its slice.

    Attributes
    ----------
    points : (n, 2 or 3) array
        Vertices; the last is joined to the first.
    exclusive : bool
        Exclusive or with the other contours of its kind; otherwise it is joined to them.
    """

    points: Array
    exclusive: bool = False


@dataclass(frozen=True, eq=False)
class Filled:
    """What contours enclose on a slice.

    Attributes
    ----------
    voxels : (m, 2) int array
        Voxel indices u, v, sorted; they may lie outside the image.
    overlapping : int
        Voxels that several plain contours, or plain and exclusive ones, enclose together.
    within : bool
        Whether a plain contour lies wholly within another, so that it could have been meant as a hole.
    cancelled : bool
        Whether exclusive contours repeat each other, so that they leave nothing.
    crossing : bool
        Whether exclusive contours overlap in part, so that what they share is left out.
    """

    voxels: Array
    overlapping: int = 0
    within: bool = False
    cancelled: bool = False
    crossing: bool = False


def fill(contours: Sequence[Contour], spacing_mm: tuple[float, float]) -> Filled:
    """Find the voxels of a slice that contours enclose.

    Parameters
    ----------
    contours : sequence of Contour
        Vertices (n, 2) in voxel units (u, v) of the slice.
    spacing_mm : (float, float)
        Distance between voxel centres along u and v.

    Examples
    --------
    >>> square = np.array([[0, 0], [2, 0], [2, 2], [0, 2]])
    >>> sum(len(fill([Contour(square + shift)], (1.0, 1.0)).voxels) for shift in (0, 0.25))
    13
    """
    stacked = np.concatenate([c.points for c in contours])
    low = np.floor(stacked.min(axis=0)).astype(int) - 1
    size = np.ceil(stacked.max(axis=0)).astype(int) + 2 - low
    times, exclusive = np.zeros(tuple(size), np.int32), np.zeros(tuple(size), bool)
    plain, others = [], []
    for contour in contours:
        inside = _even_odd(_wound_once(contour.points) - low, times.shape)
        if contour.exclusive:
            exclusive ^= inside
            others.append(inside)
        else:
            times += inside
            plain.append(inside)
    twice = times > 1
    within = bool(twice.any()) and _one_within_another(plain)
    joined, called = times > 0, np.any(others, axis=0) if others else exclusive
    hole = called.any() and not (called & ~joined).any() and (joined & ~called).any()
    result = joined & ~exclusive if hole else joined | exclusive
    shared = twice if hole else twice | (joined & exclusive)
    cancelled = bool(called.any()) and not exclusive.any()
    for contour in contours:
        on = _on_the_line(contour.points - low, spacing_mm)
        result[tuple(on.T)] = True
    return Filled(np.argwhere(result) + low, int(shared.sum()), within, cancelled, _cross(others))


def _wound_once(contour: Array) -> Array:
    """Return a contour that is wound several times along the same vertices as one that is wound once.

    >>> square = np.array([[0, 0], [2, 0], [2, 2], [0, 2]])
    >>> len(_wound_once(np.tile(square, (3, 1))))
    4
    """
    for turns in (2, 3):
        parts = np.split(contour, turns) if len(contour) % turns == 0 and len(contour) >= 3 * turns else []
        if parts and all(np.allclose(part, parts[0], rtol=0.0, atol=1e-6) for part in parts[1:]):
            return np.asarray(parts[0])
    return contour


def _cross(masks: Sequence[Array]) -> bool:
    return any(0 < (one & other).sum() < min(one.sum(), other.sum()) for one, other in combinations(masks, 2))


def _one_within_another(masks: Sequence[Array]) -> bool:
    for one, other in combinations(masks, 2):
        shared = int((one & other).sum())
        if shared and shared in (int(one.sum()), int(other.sum())) and (one != other).any():
            return True
    return False


def _edges(contour: Array) -> tuple[Array, Array]:
    return contour, np.roll(contour, -1, axis=0)


def _rows_between(a: Array, b: Array) -> tuple[Array, Array]:
    """Every whole number from min(a, b) to max(a, b), with the index of its edge; shapes (m,), (m,)."""
    first, last = np.ceil(np.minimum(a, b)), np.floor(np.maximum(a, b))
    counts = np.maximum(last - first + 1, 0).astype(int)
    edge = np.repeat(np.arange(len(a)), counts)
    start = np.repeat(np.cumsum(counts) - counts, counts)
    return edge, first[edge] + (np.arange(len(edge)) - start)


def _even_odd(contour: Array, shape: tuple[int, ...]) -> Array:
    start, end = _edges(contour)
    edge, row = _rows_between(start[:, 1], end[:, 1])
    low = np.minimum(start[edge, 1], end[edge, 1])
    high = np.maximum(start[edge, 1], end[edge, 1])
    # Half-open, so that a vertex on a row counts once for the two edges that meet there.
    crosses = (low <= row) & (row < high)
    edge, row = edge[crosses], row[crosses]
    share = (row - start[edge, 1]) / (end[edge, 1] - start[edge, 1])
    at = start[edge, 0] + share * (end[edge, 0] - start[edge, 0])
    flips = np.zeros(shape, np.int32)
    np.add.at(flips, (np.floor(at).astype(int) + 1, row.astype(int)), 1)
    return np.asarray(np.cumsum(flips, axis=0) % 2 == 1)


def _on_the_line(contour: Array, spacing_mm: tuple[float, float]) -> Array:
    """Voxels whose centre lies on an edge, shape (m, 2)."""
    start, end = _edges(contour)
    found = [np.rint(contour[_near(contour, spacing_mm)]).astype(int)]
    for axis, other in ((1, 0), (0, 1)):
        edge, row = _rows_between(start[:, axis], end[:, axis])
        length = end[edge, axis] - start[edge, axis]
        share = np.divide(row - start[edge, axis], length, out=np.zeros(len(row)), where=length != 0)
        across = start[edge, other] + share * (end[edge, other] - start[edge, other])
        # Along the steeper axis alone: there the distance across an edge is near its true distance.
        run = np.abs(end[edge] - start[edge])
        steep = (run[:, axis] >= run[:, other]) & (length != 0)
        near = steep & (np.abs(across - np.rint(across)) * spacing_mm[other] <= ON_THE_LINE_MM)
        place = np.empty((int(near.sum()), 2), int)
        place[:, axis], place[:, other] = row[near].astype(int), np.rint(across[near]).astype(int)
        found.append(place)
    return np.concatenate(found)


def _near(points: Array, spacing_mm: tuple[float, float]) -> Array:
    return np.asarray((np.abs(points - np.rint(points)) * np.asarray(spacing_mm) <= ON_THE_LINE_MM).all(axis=1))
