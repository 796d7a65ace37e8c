"""A sampling grid in patient space, and an array that lies on one.

Grids are compared once, at the door of a computation; kernels then trust that arrays agree.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from petflame.errors import InputRefused
from petflame.space.boxes import Box, box_corners, voxels_between

AFFINE_TOLERANCE_MM = 1e-3
# Far below the volume of any voxel of a scanner, so that only rounding can leave it.
LEAST_VOXEL_MM3 = 1e-9
Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Grid:
    """Shape and affine of a three-dimensional image.

    Attributes
    ----------
    shape : (int, int, int)
        Voxels along i, j, k.
    affine : (4, 4) float array
        Voxel ijk to RAS mm.

    Raises
    ------
    ValueError
        When the shape is not three whole numbers from 1 on, or the affine is no invertible map of voxels to mm.
    """

    shape: tuple[int, int, int]
    affine: Array

    def __post_init__(self) -> None:
        if len(self.shape) != 3 or not all(isinstance(n, (int, np.integer)) and n > 0 for n in self.shape):
            raise ValueError(f"its shape {self.shape} is not three whole numbers from 1 on")
        if self.affine.shape != (4, 4):
            raise ValueError(f"its affine has shape {self.affine.shape}, not (4, 4)")
        if not np.isfinite(self.affine).all():
            raise ValueError("its affine is not invertible: it holds numbers that are not finite")
        if (self.affine[3] != (0, 0, 0, 1)).any():
            raise ValueError(f"the last row of its affine is {self.affine[3].tolist()}, not 0, 0, 0, 1")
        if self.voxel_volume_mm3 < LEAST_VOXEL_MM3:
            raise ValueError("its affine is not invertible: its directions and spacing do not span a space")

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance between neighbouring voxel centres along i, j, k."""
        i, j, k = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(i), float(j), float(k)

    @property
    def voxel_volume_mm3(self) -> float:
        """Volume of one voxel."""
        return float(abs(np.linalg.det(self.affine[:3, :3])))

    def same_as(self, other: Grid, tolerance_mm: float = AFFINE_TOLERANCE_MM) -> bool:
        """Tell whether every voxel centre of the two grids agrees within the tolerance.

        >>> grid = Grid((10, 10, 4), np.diag([2.0, 2.0, 3.0, 1.0]))
        >>> grid.same_as(Grid((10, 10, 4), np.diag([2.0, 2.0, 3.0, 1.0])))
        True
        >>> grid.same_as(Grid((10, 10, 4), np.diag([2.0, 2.0, 3.1, 1.0])))
        False
        """
        if self.shape != other.shape:
            return False
        corners = self.corners()
        return bool(np.abs(self.to_ras(corners) - other.to_ras(corners)).max() <= tolerance_mm)

    def to_ras(self, ijk: Any) -> Array:
        """Map voxel coordinates, shape (..., 3), to RAS mm, shape (..., 3)."""
        return np.asarray(ijk, float) @ self.affine[:3, :3].T + self.affine[:3, 3]

    def to_ijk(self, ras_mm: Any) -> Array:
        """Map RAS mm, shape (..., 3), to fractional voxel coordinates, shape (..., 3)."""
        inverse = np.linalg.inv(self.affine)
        return np.asarray(ras_mm, float) @ inverse[:3, :3].T + inverse[:3, 3]

    def corners(self, outer: bool = False) -> Array:
        """Voxel ijk of the eight corners, shape (8, 3): the centres of the corner voxels or, `outer`, their far ends.

        >>> Grid((3, 3, 3), np.eye(4)).corners(outer=True).max(axis=0)
        array([2.5, 2.5, 2.5])
        """
        beyond = 0.5 if outer else 0
        return box_corners([-beyond] * 3, [n - 1 + beyond for n in self.shape])

    def voxels(self) -> Array:
        """Voxel ijk of every voxel, shape (I, J, K, 3)."""
        return voxels_between([0, 0, 0], self.shape)

    def reached_by(self, ras_mm: Any) -> tuple[Array, Array]:
        """Return the first voxel of the box that holds places, shape (n, 3), and the one past its last.

        Only as far as the grid goes; where no place lies in it the box is empty.

        >>> [v.tolist() for v in Grid((9, 9, 9), np.eye(4)).reached_by([[2.5, 3.0, -4.0], [3.5, 3.0, 99.0]])]
        [[2, 3, 0], [5, 4, 9]]
        """
        ijk = self.to_ijk(ras_mm)
        first = np.maximum(np.floor(ijk.min(axis=0)).astype(int), 0)
        return first, np.maximum(np.minimum(np.ceil(ijk.max(axis=0)).astype(int) + 1, self.shape), first)

    def resampled(self, start: Any, step: Any, shape: tuple[int, ...]) -> Grid:
        """Return a grid of the same directions that begins at voxel `start` and goes on in steps of `step` voxels.

        Parameters
        ----------
        start : (3,) array
            Voxel ijk of its first voxel; may lie between voxels and beyond the ends.
        step : float or (3,) array
        shape : (int, int, int)
        """
        affine = self.affine.copy()
        affine[:3, 3] = self.to_ras(start)
        affine[:3, :3] = affine[:3, :3] * step
        i, j, k = shape
        return Grid((i, j, k), affine)

    def cropped(self, box: Box) -> Grid:
        """Return the grid of what `box` cuts out of an array.

        >>> Grid((8, 8, 8), np.eye(4)).cropped((slice(2, 5), slice(0, 8), slice(7, 8))).describe()
        '3 x 8 x 1 voxels of 1 x 1 x 1 mm from (2.00, 0.00, 7.00) RAS mm'
        """
        ends = [part.indices(n) for part, n in zip(box, self.shape, strict=True)]
        return self.resampled([a for a, _, _ in ends], 1, tuple(b - a for a, b, _ in ends))

    def padded(self, voxels: tuple[int, int, int]) -> Grid:
        """Return the grid with so many voxels more at both ends of each axis.

        >>> Grid((2, 2, 2), np.eye(4)).padded((0, 0, 3)).describe()
        '2 x 2 x 8 voxels of 1 x 1 x 1 mm from (0.00, 0.00, -3.00) RAS mm'
        """
        return self.resampled(
            [-n for n in voxels], 1, tuple(n + 2 * m for n, m in zip(self.shape, voxels, strict=True))
        )

    def moved(self, ras_mm: Any) -> Grid:
        """Return the grid moved in patient space, RAS mm."""
        affine = self.affine.copy()
        affine[:3, 3] += ras_mm
        return Grid(self.shape, affine)

    def describe(self) -> str:
        """Say shape, spacing and origin in one phrase, for error messages."""
        spacing = " x ".join(f"{s:.4g}" for s in self.spacing_mm)
        origin = ", ".join(f"{o:.2f}" for o in self.affine[:3, 3])
        return f"{' x '.join(map(str, self.shape))} voxels of {spacing} mm from ({origin}) RAS mm"


@dataclass(frozen=True, eq=False)
class Volume:
    """An array that lies on a grid.

    Attributes
    ----------
    data : (I, J, K) array
        Voxel values; the unit belongs to the caller.
    grid : Grid
    """

    data: Array
    grid: Grid

    def __post_init__(self) -> None:
        if self.data.shape != self.grid.shape:
            raise ValueError(f"array of shape {self.data.shape} on a grid of shape {self.grid.shape}")

    def cropped(self, box: Box) -> Self:
        """Cut a box out; its voxels stay where they are. The data are a view."""
        return replace(self, data=self.data[box], grid=self.grid.cropped(box))

    def padded(self, voxels: tuple[int, int, int]) -> Self:
        """Add empty voxels on both sides of every axis."""
        return replace(self, data=np.pad(self.data, [(n, n) for n in voxels]), grid=self.grid.padded(voxels))

    def moved(self, ras_mm: Any) -> Self:
        """Return the same values elsewhere in patient space, moved by RAS mm."""
        return replace(self, grid=self.grid.moved(ras_mm))


def grid_read(shape: tuple[int, ...], affine: Array, where: str, remedy: str) -> Grid:
    """Return the grid that a file tells.

    Raises
    ------
    InputRefused
        When it is none, see `Grid`; the file is called `where`.
    """
    try:
        return Grid(shape, np.asarray(affine, float))  # type: ignore[arg-type]
    except ValueError as error:
        raise InputRefused.of(str(error), where, remedy) from None


def ras_to_lps(points_mm: Any) -> Array:
    """Change between RAS and LPS mm (the map is its own inverse); shape (..., 3)."""
    return np.asarray(points_mm, float) * np.array([-1.0, -1.0, 1.0])
