"""Turning reference coordinates into one patient's shapes: scaling, neck length, and mirrored sides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from petflame.simulate.shapes import Ellipsoid, Shape, Stack, Tube
from petflame.space.grid import Array

Point = Sequence[float]


@dataclass(frozen=True)
class Morph:
    """How one patient differs in size from the reference body (origin: carina; LPS mm).

    Attributes
    ----------
    width, depth, height : float
        Scales along x, y, z.
    neck : float
        Further scale of heights above the first rib.
    """

    width: float = 1.0
    depth: float = 1.0
    height: float = 1.0
    neck: float = 1.0

    def points(self, points_mm: Sequence[Point] | Array) -> Array:
        """Map reference points, shape (N, 3), to the patient's."""
        p = np.array(points_mm, float).reshape(-1, 3)
        z = p[:, 2]
        z = np.where(z > 60.0, 60.0 + (z - 60.0) * self.neck, z)
        return np.column_stack([p[:, 0] * self.width, p[:, 1] * self.depth, z * self.height])

    def tube(self, points_mm: Sequence[Point] | Array, radii_mm: float | Sequence[float]) -> Tube:
        """Make a tube through reference points; a tube's radius is not scaled."""
        points = self.points(points_mm)
        return Tube(points, np.broadcast_to(np.asarray(radii_mm, float), len(points)).copy())

    def ellipsoid(self, centre_mm: Point, radii_mm: Point, direction: Point | None = None) -> Ellipsoid:
        """Make an ellipsoid; with a direction, its third axis points that way."""
        axes = np.eye(3) if direction is None else _frame(np.asarray(direction, float))
        scale = (self.width * self.depth * self.height) ** (1 / 3)
        return Ellipsoid(self.points([centre_mm])[0], np.asarray(radii_mm, float) * scale, axes)

    def stack(self, rows: Sequence[Point], power: float = 2.0, grow_mm: float = 0.0) -> Stack:
        """Make a stack from rows (z, centre x, centre y, half width, half depth)."""
        table = np.asarray(rows, float)
        heights = self.points(np.column_stack([table[:, 1:3], table[:, 0]]))
        half = table[:, 3:5] * (self.width, self.depth) + grow_mm
        return Stack(heights[:, 2], heights[:, :2], half, power)


@dataclass(frozen=True, eq=False)
class Part:
    """A shape filled with a tissue, and perhaps with another tissue deeper than `core_depth_mm`.

    Attributes
    ----------
    name : str
        What it is; the label map and the tests go by it.
    shape : Shape
    tissue : str
        Key of the tissue table.
    core : str or None
        Tissue of the inside.
    core_depth_mm : float
        Depth at which the inside begins.
    """

    name: str
    shape: Shape
    tissue: str
    core: str | None = None
    core_depth_mm: float = 0.0


def mirrored(points: Sequence[Point]) -> list[list[float]]:
    """Reflect points to the other side of the body (x changes sign)."""
    return [[-p[0], *p[1:]] for p in points]


def _frame(direction: Array) -> Array:
    axis = direction / np.linalg.norm(direction)
    helper = np.eye(3)[np.argmin(np.abs(axis))]
    first = np.cross(helper, axis)
    first /= np.linalg.norm(first)
    return np.column_stack([first, np.cross(axis, first), axis])
