"""From the grid of a file to what the page sees: neck and mediastinum in canonical order, and runs of voxels.

Voxels have three numbers here: flat in the order of the file (F order of the array as it is read), flat in C order of
the same array (as logs and finished reads hold them), and flat in F order of the box that is shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import nibabel as nib
import numpy as np

from petflame.anatomy import ARTERIES, VEINS
from petflame.errors import InputRefused
from petflame.labelmap import LabelMap
from petflame.space.boxes import Box, box_between, box_corners
from petflame.space.grid import Array, Grid, Volume, ras_to_lps
from petflame.space.orientation import canonical_grid, to_canonical

V = TypeVar("V", bound=Volume)

# Beyond the vessels that were found: to either side, to front and back; below; above; and round the carina.
ASIDE_MM, BELOW_MM, ABOVE_MM = 50.0, 20.0, 60.0
HALF_WIDTH_MM = 95.0
# From the carina to the base of the skull, with room for a tall person.
NECK_MM = 280.0


@dataclass(frozen=True, eq=False)
class Canvas:
    """The box of an image that is shown.

    Attributes
    ----------
    whole : Grid
        Of the file, any axis order and direction.
    box : Box
        In voxels of the canonical order.
    """

    whole: Grid
    box: Box

    @cached_property
    def grid(self) -> Grid:
        """Grid of what is shown: canonical."""
        return canonical_grid(self.whole).cropped(self.box)

    @cached_property
    def _orientation(self) -> Array:
        return np.asarray(nib.io_orientation(self.whole.affine))

    def widened(self, margin_mm: float) -> Canvas:
        """Return the box wider by a margin, as far as the image goes."""
        margin = [int(np.ceil(margin_mm / s)) for s in self.grid.spacing_mm]
        shape = canonical_grid(self.whole).shape
        low = [max(part.start - m, 0) for part, m in zip(self.box, margin, strict=True)]
        high = [min(part.stop + m, n) for part, m, n in zip(self.box, margin, shape, strict=True)]
        return Canvas(self.whole, box_between(low, high))

    def cut(self, volume: V) -> V:
        """Cut what is shown out of an image on the whole grid; a view."""
        return to_canonical(volume, copy=False).cropped(self.box)

    def shown(self, flat: Array) -> Array:
        """Turn flat F-order numbers of the file into those of the box, sorted; what lies outside is left out."""
        ijk = np.array(np.unravel_index(flat, self.whole.shape, order="F"))
        placed = np.empty_like(ijk)
        for axis, (target, direction) in enumerate(self._orientation):
            along = ijk[axis] if direction > 0 else self.whole.shape[axis] - 1 - ijk[axis]
            placed[int(target)] = along - self.box[int(target)].start
        inside = np.logical_and.reduce([(p >= 0) & (p < n) for p, n in zip(placed, self.grid.shape, strict=True)])
        return np.sort(np.ravel_multi_index(tuple(placed[:, inside]), self.grid.shape, order="F"))

    def whole_of(self, shown: Array) -> Array:
        """Turn flat F-order numbers of the box into those of the file, in the same order.

        Raises
        ------
        InputRefused
            When one lies outside the box.
        """
        if len(shown) and (shown.min() < 0 or shown.max() >= np.prod(self.grid.shape)):
            raise InputRefused.of("it holds voxels outside the picture", "the action", "open the item again")
        placed = np.array(np.unravel_index(shown, self.grid.shape, order="F"))
        ijk = np.empty_like(placed)
        for axis, (target, direction) in enumerate(self._orientation):
            along = placed[int(target)] + self.box[int(target)].start
            ijk[axis] = along if direction > 0 else self.whole.shape[axis] - 1 - along
        return np.ravel_multi_index(tuple(ijk), self.whole.shape, order="F")


def f_to_c(flat: Array, shape: tuple[int, int, int]) -> Array:
    """Turn flat F-order numbers into C-order ones, in the same order."""
    return np.ravel_multi_index(np.unravel_index(flat, shape, order="F"), shape)


def c_to_f(flat: Array, shape: tuple[int, int, int]) -> Array:
    """Turn flat C-order numbers into F-order ones, in the same order."""
    return np.ravel_multi_index(np.unravel_index(flat, shape), shape, order="F")


def runs_of(flat: Array) -> list[int]:
    """Write sorted numbers as start and length of runs, in turn.

    >>> runs_of(np.array([3, 4, 5, 9]))
    [3, 3, 9, 1]
    """
    if not len(flat):
        return []
    ends = np.flatnonzero(np.diff(flat) != 1)
    first, last = np.append(0, ends + 1), np.append(ends, len(flat) - 1)
    found: list[int] = np.column_stack([flat[first], last - first + 1]).ravel().tolist()
    return found


def of_runs(runs: Sequence[int], size: int, where: str = "the action") -> Array:
    """Return the numbers that runs name, sorted, each once.

    Raises
    ------
    InputRefused
        When one goes beyond `size`.

    >>> of_runs([3, 3, 9, 1], 10).tolist()
    [3, 4, 5, 9]
    """
    try:
        start, length = np.array(runs, np.int64).reshape(-1, 2).T
    except OverflowError:
        start, length = np.array([size]), np.array([1])
    if len(start) and (start.min() < 0 or length.min() < 1 or (length > size - start).any()):
        raise InputRefused.of("it holds voxels outside the image", where, "open the item again")
    steps = np.arange(length.sum()) - np.repeat(np.cumsum(length) - length, length)
    return np.unique(np.repeat(start, length) + steps)


def neck_and_mediastinum(labels: LabelMap, carina_lps_mm: Sequence[float] | None) -> Canvas:
    """Choose the box that a reader of the vessels needs, from what was found before any reader.

    Without a vessel found, and without a carina, all of the image is shown.
    """
    canonical = to_canonical(labels, copy=False)
    grid = canonical.grid
    found = [canonical.boxes[n] for n in (*ARTERIES, *VEINS) if canonical.has(n)]
    if not found:
        return Canvas(labels.grid, box_between([0, 0, 0], grid.shape))
    low = np.min([[s.start for s in box] for box in found], axis=0)
    high = np.max([[s.stop - 1 for s in box] for box in found], axis=0)
    ends = grid.to_ras(box_corners(low, high))
    first, last = ends.min(axis=0), ends.max(axis=0)
    middle = (first + last) / 2 if carina_lps_mm is None else ras_to_lps(carina_lps_mm)
    start = [*np.minimum(first[:2] - ASIDE_MM, middle[:2] - HALF_WIDTH_MM), first[2] - BELOW_MM]
    neck = last[2] if carina_lps_mm is None else middle[2] + NECK_MM
    stop = [*np.maximum(last[:2] + ASIDE_MM, middle[:2] + HALF_WIDTH_MM), max(last[2] + ABOVE_MM, neck)]
    return Canvas(labels.grid, box_of_places(grid, np.array(start), np.array(stop)))


def box_of_places(grid: Grid, start_ras_mm: Array, stop_ras_mm: Array) -> Box:
    """Return the voxels of a canonical grid between two places, RAS mm; all of an axis that would have none."""
    first, last = grid.reached_by(box_corners(start_ras_mm, stop_ras_mm))
    first, last = np.where(last > first, first, 0), np.where(last > first, last, grid.shape)
    return box_between(first, last)


def same_place(canvas: Canvas, whole: Grid) -> Canvas:
    """Return the part of another image that lies where a canvas does."""
    corners = canvas.grid.to_ras(canvas.grid.corners(outer=True))
    return Canvas(whole, box_of_places(canonical_grid(whole), corners.min(axis=0), corners.max(axis=0)))
