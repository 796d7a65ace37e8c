"""Whether a map that a reader saved was drawn over the labels that it was shown with.

A saved map brings along every vessel that was not touched. Those show whether it lies as it was shown: a map that was
flipped, numbered anew or is another visit's has the grid of this visit and still fits none of them.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from petflame.anatomy import AORTA, ARTERIES, BY_NAME, VEINS
from petflame.errors import FaultList, InputRefused
from petflame.labelmap import LabelMap
from petflame.space.grid import Array

VESSELS = (*ARTERIES, *VEINS)
# Dice of a whole map that lies as it should, and of one that was flipped, with what it should have lain on.
FITS = 0.5
SAME_PLACES = 0.8
# Two readers' drawings of one vessel overlap at least so; those of two people on one grid seldom do.
LEAST_OVERLAP = {"aorta": 0.8, "svc": 0.6}
LEAST_OF_NECK = 0.4
FLIPS = [(1,), (0,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)]
WAYS = ("right to left", "front to back", "head to foot")
REDRAWN = "save it on this visit's images; a vessel that is drawn anew may be given alone"
AGAIN = "save it again on this visit's images, without turning or flipping it"


def require_drawn_over(drawn: LabelMap, found: LabelMap, accepted: Collection[str], where: str) -> None:
    """Refuse a map that does not lie on the labels that it was drawn over.

    Parameters
    ----------
    drawn, found : LabelMap
        On one grid.
    accepted : collection of str
        Vessels whose place as found nobody doubts; a proposal may be wrong, and a redrawn one lie elsewhere.
    where : str
        What messages call the map.

    Raises
    ------
    InputRefused
        When the map fits the labels clearly better flipped along an axis, when its vessels bear each other's numbers,
        or when it fits at no vessel that nobody doubts.
    """
    shared = [name for name in VESSELS if drawn.has(name) and found.has(name)]
    every = np.argwhere(drawn.any_of(VESSELS))
    numbers = drawn.data[tuple(every.T)]
    here = found.data[tuple(every.T)]
    whole = len(every) + int(found.any_of(VESSELS).sum())
    _require_same_numbers(
        2.0 * float((here > 0).sum()) / whole,
        2.0 * float((here == numbers).sum()) / whole,
        2.0 * float((here == _other_side()[numbers]).sum()) / whole,
        where,
    )
    if not shared:
        return
    kept = np.isin(numbers, [BY_NAME[name].label for name in shared])
    voxels, values = every[kept], numbers[kept]
    total = len(voxels) + int(found.any_of(shared).sum())

    def overlap(ijk: Array, value: Array) -> float:
        return 2.0 * float((found.data[tuple(ijk.T)] == value).sum()) / total

    own, swapped = overlap(voxels, values), overlap(voxels, _other_side()[values])
    flips = {axes: overlap(_flipped(voxels, axes, found.grid.shape), values) for axes in FLIPS}
    best = max(FLIPS, key=lambda axes: flips[axes])
    if flips[best] >= FITS and flips[best] > 2 * own and flips[best] > swapped:
        ways = " and ".join(WAYS[int(np.abs(found.grid.affine[:3, axis]).argmax())] for axis in best)
        what = (
            f"the map is flipped {ways}: flipped back it overlaps the labels that it was drawn over by "
            f"{100 * flips[best]:.0f} % (Dice), as it is by {100 * own:.0f} %"
        )
        raise InputRefused.of(what, where, AGAIN)
    _require_same_visit(drawn, found, [name for name in shared if name in accepted], where)


def _require_same_numbers(places: float, own: float, swapped: float, where: str) -> None:
    """Refuse vessels in their places under other numbers; exchanged sides are told in their own words elsewhere."""
    if places >= SAME_PLACES and own < FITS * places and swapped < FITS * places:
        what = (
            f"its voxels are those of the labels that it was drawn over ({100 * places:.0f} % by Dice) under other "
            f"numbers ({100 * own:.0f} % with them): the program that saved it has numbered the vessels anew"
        )
        raise InputRefused.of(what, where, "save it with the numbers of labels.ctbl, or as a segmentation with names")


def _require_same_visit(drawn: LabelMap, found: LabelMap, names: Collection[str], where: str) -> None:
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault("aorta" if name in AORTA else name, []).append(name)
    if len(groups) < 2:
        return
    dice = {group: _dice(drawn.any_of(own), found.any_of(own)) for group, own in groups.items()}
    if any(value >= LEAST_OVERLAP.get(group, LEAST_OF_NECK) for group, value in dice.items()):
        return
    said = ", ".join(f"{group} {100 * value:.0f} %" for group, value in dice.items())
    what = f"none of its vessels lies where this visit's labels have it (Dice: {said})"
    raise InputRefused.of(what, where, "save it on this visit's images; a vessel that is drawn anew may be given alone")


def drawn_as_found(drawn: LabelMap, found: LabelMap) -> set[str]:
    """Return the vessels that a map holds voxel for voxel as they were found: they were saved along, not redrawn."""
    same = set()
    for name in VESSELS:
        box = drawn.boxes.get(name)
        if box is not None and box == found.boxes.get(name):
            number = BY_NAME[name].label
            if np.array_equal(drawn.data[box] == number, found.data[box] == number):
                same.add(name)
    return same


def require_none_erased(drawn: LabelMap, found: LabelMap, rejected: Collection[str], where: str) -> None:
    """Refuse a map saved over the whole one from which a vessel is gone that nobody has rejected.

    Raises
    ------
    InputRefused
        With every such vessel.
    """
    faults = FaultList()
    for name in VESSELS:
        if found.has(name) and not drawn.has(name) and name not in rejected:
            remedy = "reject it in decisions.tsv with words, or put it back"
            faults.add(f"{name} was shown and is not in the saved map", where, remedy)
    faults.raise_if_any()


def _dice(one: Array, other: Array) -> float:
    return 2.0 * float((one & other).sum()) / float(one.sum() + other.sum())


def _flipped(voxels: Array, axes: tuple[int, ...], shape: tuple[int, ...]) -> Array:
    turned = voxels.copy()
    for axis in axes:
        turned[:, axis] = shape[axis] - 1 - turned[:, axis]
    return turned


def _other_side() -> Array:
    """Return the label number of the vessel on the other side, by label number."""
    table = np.arange(256, dtype=np.uint8)
    for name in VESSELS:
        stem, _, side = name.rpartition("_")
        other = f"{stem}_{'left' if side == 'right' else 'right'}"
        if side in ("right", "left") and other in BY_NAME:
            table[BY_NAME[name].label] = BY_NAME[other].label
    return table
