"""Lines through points in patient space."""

from __future__ import annotations

import numpy as np

from petflame.space.grid import Array


def arc_length_mm(points_mm: Array) -> Array:
    """Return the distance along a polyline, shape (n, 3), from its first point, shape (n,).

    >>> arc_length_mm(np.array([[0, 0, 0], [0, 0, 3.0], [0, 4, 3]])).tolist()
    [0.0, 3.0, 7.0]
    """
    if len(points_mm) == 0:
        return np.zeros(0)
    steps = np.linalg.norm(np.diff(points_mm, axis=0), axis=1)
    return np.concatenate([[0.0], np.cumsum(steps)])


def length_mm(points_mm: Array) -> float:
    """Return the length of a polyline, shape (n, 3).

    >>> length_mm(np.array([[0, 0, 0], [0, 0, 3.0], [0, 4, 3]]))
    7.0
    """
    return float(np.linalg.norm(np.diff(points_mm, axis=0), axis=1).sum())


def places_at(line_mm: Array, arc_mm: Array) -> Array:
    """Places on a polyline, shape (n, 3), at distances along it."""
    arc = arc_length_mm(line_mm)
    return np.stack([np.interp(arc_mm, arc, line_mm[:, axis]) for axis in range(3)], axis=1)


def arc_of(points_mm: Array, line_mm: Array) -> Array:
    """Distance along a polyline of the place on it nearest to each point; beyond its ends it goes straight on."""
    start, step = line_mm[:-1], np.diff(line_mm, axis=0)
    length = np.maximum(np.linalg.norm(step, axis=1), 1e-9)
    along = np.einsum("nsk,sk->ns", points_mm[:, None] - start[None], step) / length
    low, high = np.zeros(len(length)), length.copy()
    low[0], high[-1] = -np.inf, np.inf
    along = np.clip(along, low, high)
    foot = start[None] + along[..., None] * (step / length[:, None])[None]
    nearest = np.linalg.norm(points_mm[:, None] - foot, axis=-1).argmin(axis=1)
    return np.asarray(arc_length_mm(line_mm)[nearest] + along[np.arange(len(points_mm)), nearest])
