"""A label map: which voxels of an image belong to which region of `petflame.anatomy`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np

from petflame.anatomy import BY_NAME
from petflame.errors import InputRefused
from petflame.space.blocks import label_boxes
from petflame.space.boxes import Box
from petflame.space.grid import Array, Volume


@dataclass(frozen=True, eq=False)
class LabelMap(Volume):
    """Numbers of `petflame.anatomy`, uint8; 0 where there is no region.

    Where the regions lie is worked out once, so the array must not be changed afterwards.

    Raises
    ------
    ValueError
        When the array holds other numbers than bytes.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.data.dtype != np.uint8:
            raise ValueError(f"label numbers are uint8, not {self.data.dtype}")

    @cached_property
    def boxes(self) -> dict[str, Box]:
        """Smallest box round every region that is there, in the order of the vocabulary."""
        found = dict(enumerate(label_boxes(self.data), start=1))
        return {name: box for name, region in BY_NAME.items() if (box := found.get(region.label)) is not None}

    def has(self, name: str) -> bool:
        """Whether the region is there."""
        return name in self.boxes

    def mask(self, name: str) -> Volume:
        """Boolean mask of a region, on the whole grid."""
        return Volume(self.data == BY_NAME[name].label, self.grid)

    def cut(self, name: str) -> Volume:
        """Boolean mask of a region, cut to its box.

        Raises
        ------
        KeyError
            When the region is not there.
        """
        part = self.cropped(self.boxes[name])
        return Volume(part.data == BY_NAME[name].label, part.grid)

    def any_of(self, names: Iterable[str]) -> Array:
        """Tell which voxels belong to any of the regions, (I, J, K) bool."""
        return np.isin(self.data, [BY_NAME[name].label for name in names])

    def places_mm(self, *names: str) -> Array:
        """Centres of the voxels of the regions, shape (n, 3) RAS mm."""
        return self.grid.to_ras(np.argwhere(self.any_of(names)))

    def moved(self, ras_mm: Any) -> Self:
        """Return the same regions elsewhere in patient space, moved by RAS mm."""
        other = super().moved(ras_mm)
        # The boxes are those of the array, which stays.
        vars(other)["boxes"] = self.boxes
        return other


def read_as_labels(volume: Volume, where: str, remedy: str) -> LabelMap:
    """Take the numbers that a file holds, of any type, for label numbers.

    Raises
    ------
    InputRefused
        When one of them is no whole number from 0 to 255.
    """
    if volume.data.dtype == np.uint8:
        return LabelMap(volume.data, volume.grid)
    with np.errstate(invalid="ignore"):
        labels = volume.data.astype(np.uint8)
    if (labels != volume.data).any():
        raise InputRefused.of("it holds numbers that are no labels", where, remedy)
    return LabelMap(labels, volume.grid)
