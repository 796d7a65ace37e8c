"""Ways in which another program's points are misread as LPS mm: signs, units, numbers of voxels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from petflame.space.grid import Array, Grid, ras_to_lps

LPS = "write them as LPS in mm: x grows to the patient's left, y to the back, z upwards"


@dataclass(frozen=True)
class Misreading:
    """One way to misread points.

    Attributes
    ----------
    cause : str
        What follows "they look like ...".
    remedy : str
    meant : callable
        What the points would have to be, (n, 3) LPS mm, from what is written.
    kind : {'sides', 'scale', 'other'}
        Whether it exchanges right and left, or the unit; neither happens to points that were only set beside vessels.
    """

    cause: str
    remedy: str
    meant: Callable[[Array], Array]
    kind: Literal["sides", "scale", "other"]


def misreadings(grid: Grid, written: Mapping[str, Array]) -> list[Misreading]:
    """Return the ways that are possible for points, the usual ones first.

    Parameters
    ----------
    grid : Grid
        Of the CT.
    written : mapping
        Name to points, shape (n, 3), as written.
    """
    found = [
        Misreading(
            "RAS written as LPS: x and y change sign",
            f"{LPS}; a Slicer file says so itself (coordinateSystem)",
            lambda p: p * [-1.0, -1.0, 1.0],
            "sides",
        ),
        Misreading(
            "points with the wrong sign of x, mirrored right to left", LPS, lambda p: p * [-1.0, 1.0, 1.0], "sides"
        ),
        Misreading(
            "points with the wrong sign of y, mirrored front to back", LPS, lambda p: p * [1.0, -1.0, 1.0], "other"
        ),
        Misreading("points with the wrong sign of z, upside down", LPS, lambda p: p * [1.0, 1.0, -1.0], "other"),
        Misreading("cm written as mm", "write them in mm", lambda p: p * 10.0, "scale"),
        Misreading("m written as mm", "write them in mm", lambda p: p * 1000.0, "scale"),
        Misreading("RAS in cm written as LPS in mm", LPS, lambda p: p * [-10.0, -10.0, 10.0], "scale"),
    ]
    every = np.concatenate(list(written.values()))
    if (every >= 0).all() and (every.max(axis=0) <= np.array(sorted(grid.shape)[::-1]).max()).all():
        found += _voxel_numbers(grid)
    found += _flipped_images(grid)
    return found


def _voxel_numbers(grid: Grid) -> list[Misreading]:
    """Numbers of voxels: in the order of the file, or as a viewer counts columns, rows and slices."""
    remedy = "write places in mm (LPS), not numbers of voxels"
    corner = grid.to_ras(grid.corners())
    low, high = (ras_to_lps(corner).min(axis=0), ras_to_lps(corner).max(axis=0))
    spacing = np.abs(grid.affine[:3, :3]) @ np.ones(3)
    what = "numbers of voxels"
    return [
        Misreading(
            f"{what} (i, j, k of the file) written as mm", remedy, lambda p: ras_to_lps(grid.to_ras(p)), "scale"
        ),
        Misreading(
            f"{what} (column, row, slice from the feet) written as mm", remedy, lambda p: low + p * spacing, "scale"
        ),
        Misreading(
            f"{what} (column, row, slice from the head) written as mm",
            remedy,
            lambda p: np.column_stack([low[:2] + p[:, :2] * spacing[:2], high[2] - p[:, 2] * spacing[2]]),
            "scale",
        ),
    ]


def _flipped_images(grid: Grid) -> list[Misreading]:
    """Places counted from the other end of the image, as in a picture that is shown mirrored."""
    middle = ras_to_lps(grid.to_ras((np.array(grid.shape) - 1) / 2.0))
    ends = {0: "right to left", 1: "front to back"}
    remedy = "set them on the image as it is, not on a mirrored one"

    def mirrored(axis: int) -> Misreading:
        sign, offset = np.ones(3), np.zeros(3)
        sign[axis], offset[axis] = -1.0, 2.0 * middle[axis]
        kind: Literal["sides", "other"] = "sides" if axis == 0 else "other"
        return Misreading(f"points set on an image mirrored {ends[axis]}", remedy, lambda p: p * sign + offset, kind)

    return [mirrored(axis) for axis in ends]
