"""A sampling grid in patient space, and an array that lies on one.

Grids are compared once, at the door of a computation; kernels then trust that arrays agree.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from petflame.errors import InputRefused

AFFINE_TOLERANCE_MM = 1e-3
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
    """

    shape: tuple[int, int, int]
    affine: Array

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
        corners = np.array(np.meshgrid(*[(0, n - 1) for n in self.shape])).reshape(3, -1)
        return bool(np.abs(self.to_ras(corners.T) - other.to_ras(corners.T)).max() <= tolerance_mm)

    def to_ras(self, ijk: Any) -> Array:
        """Map voxel coordinates, shape (..., 3), to RAS mm, shape (..., 3)."""
        return np.asarray(ijk, float) @ self.affine[:3, :3].T + self.affine[:3, 3]

    def to_ijk(self, ras_mm: Any) -> Array:
        """Map RAS mm, shape (..., 3), to fractional voxel coordinates, shape (..., 3)."""
        inverse = np.linalg.inv(self.affine)
        return np.asarray(ras_mm, float) @ inverse[:3, :3].T + inverse[:3, 3]

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


def require_same_grid(a: Grid, b: Grid, name_a: str, name_b: str) -> None:
    """Refuse two grids that differ, naming both.

    Raises
    ------
    InputRefused
        When shape or affine differ by more than `AFFINE_TOLERANCE_MM` at any corner.
    """
    if not a.same_as(b):
        raise InputRefused.of(
            f"its grid ({a.describe()}) is not that of {name_b} ({b.describe()})",
            name_a,
            f"resample it onto the grid of {name_b} in the tool that made it, with nearest neighbour for labels",
        )


def ras_to_lps(points_mm: Any) -> Array:
    """Change between RAS and LPS mm (the map is its own inverse); shape (..., 3)."""
    return np.asarray(points_mm, float) * np.array([-1.0, -1.0, 1.0])
