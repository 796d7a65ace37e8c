"""The axis-aligned sampling lattice that the phantom is drawn on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from petflame.space.grid import Array, Grid, Volume


@dataclass(frozen=True)
class Lattice:
    """Voxel centres on a regular axial lattice in patient space.

    Arrays on it have shape (slices, rows, columns): z (superior), y (posterior), x (left), all increasing.

    Attributes
    ----------
    origin_mm : (float, float, float)
        LPS mm of the first voxel's centre, as (x, y, z).
    spacing_mm : (float, float, float)
        Distances between centres along x, y, z.
    shape : (int, int, int)
        Slices, rows, columns.
    """

    origin_mm: tuple[float, float, float]
    spacing_mm: tuple[float, float, float]
    shape: tuple[int, int, int]

    @property
    def x(self) -> Array:
        """Column centres, LPS mm."""
        return self.origin_mm[0] + self.spacing_mm[0] * np.arange(self.shape[2])

    @property
    def y(self) -> Array:
        """Row centres, LPS mm."""
        return self.origin_mm[1] + self.spacing_mm[1] * np.arange(self.shape[1])

    @property
    def z(self) -> Array:
        """Slice centres, LPS mm."""
        return self.origin_mm[2] + self.spacing_mm[2] * np.arange(self.shape[0])

    @property
    def low_mm(self) -> Array:
        """Centre of the first voxel, LPS mm (x, y, z)."""
        return np.array(self.origin_mm)

    @property
    def high_mm(self) -> Array:
        """Centre of the last voxel, LPS mm (x, y, z)."""
        return np.array(self.origin_mm) + np.array(self.spacing_mm) * (np.array(self.shape[::-1]) - 1)

    @property
    def grid(self) -> Grid:
        """The same lattice as a `Grid`: voxel (column, row, slice) to RAS mm."""
        affine = np.diag([-self.spacing_mm[0], -self.spacing_mm[1], self.spacing_mm[2], 1.0])
        affine[:3, 3] = (-self.origin_mm[0], -self.origin_mm[1], self.origin_mm[2])
        return Grid((self.shape[2], self.shape[1], self.shape[0]), affine)

    def volume(self, array: Array) -> Volume:
        """Wrap an array of shape (slices, rows, columns) as a `Volume`, axes reversed to (i, j, k)."""
        return Volume(np.ascontiguousarray(array.transpose(2, 1, 0)), self.grid)

    def refined(self, in_plane: int, axial: int) -> Lattice:
        """Split every voxel into `in_plane` x `in_plane` x `axial` parts that cover the same space."""
        parts = (in_plane, in_plane, axial)
        origin = [o - s / 2 + s / (2 * n) for o, s, n in zip(self.origin_mm, self.spacing_mm, parts, strict=True)]
        spacing = [s / n for s, n in zip(self.spacing_mm, parts, strict=True)]
        slices, rows, columns = self.shape
        return Lattice(
            (origin[0], origin[1], origin[2]),
            (spacing[0], spacing[1], spacing[2]),
            (slices * axial, rows * in_plane, columns * in_plane),
        )

    def cropped(self, low_mm: Array, high_mm: Array) -> tuple[Lattice, tuple[slice, slice, slice]]:
        """Return the part whose voxel centres lie in the LPS box, and its slices (z, y, x) in the whole."""
        where = []
        for axis in (2, 1, 0):
            first, step = self.origin_mm[axis], self.spacing_mm[axis]
            count = self.shape[2 - axis]
            start = int(np.clip(np.ceil((low_mm[axis] - first) / step), 0, count))
            stop = int(np.clip(np.floor((high_mm[axis] - first) / step) + 1, start, count))
            where.append(slice(start, stop))
        origin = [self.origin_mm[a] + self.spacing_mm[a] * where[2 - a].start for a in range(3)]
        shape = tuple(w.stop - w.start for w in where)
        part = Lattice((origin[0], origin[1], origin[2]), self.spacing_mm, (shape[0], shape[1], shape[2]))
        return part, (where[0], where[1], where[2])


def centred(
    columns: int, rows: int, slices: int, pixel_mm: float, slice_mm: float, centre_y_mm: float, low_z_mm: float
) -> Lattice:
    """Make a lattice centred on x = 0 and the given y, whose lowest slice is at `low_z_mm`.

    Coordinates are rounded to 0.1 um, so that DICOM decimal strings hold them exactly.
    """
    x0 = round(-pixel_mm * (columns - 1) / 2, 4)
    y0 = round(centre_y_mm - pixel_mm * (rows - 1) / 2, 4)
    return Lattice((x0, y0, round(low_z_mm, 4)), (pixel_mm, pixel_mm, slice_mm), (slices, rows, columns))
