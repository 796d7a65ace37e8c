"""Whether a label map that a reader saved is one of the labels that were shown: not flipped, renumbered, or another's.

The evidence is what the reader left alone. A vessel that was not redrawn is the same voxel for voxel in the map of the
right visit; a flipped map meets the labels only when it is flipped back, and one of another visit does not meet them.
"""

from __future__ import annotations

from itertools import product

import nibabel as nib
import numpy as np

from petflame.anatomy import BY_LABEL, BY_NAME
from petflame.errors import InputRefused
from petflame.labelmap import LabelMap
from petflame.segment.imported import FIT
from petflame.segment.product import Segmentation
from petflame.space.grid import Array

# Overlaps (Dice, mean over the regions that both have): of a map and itself saved with small corrections 0.9 and more.
MEETS, GAIN = 0.5, 0.3
# Redrawn beside a neighbour's outline a vessel lies this near to its own; renumbered regions lie farther apart.
FARTHEST_MM = 40.0
FEWEST_REGIONS = 3
AXES = ("right to left", "back to front", "top to bottom")
PLACES = (FIT, "belongs to the scan")


def require_of_shown(drawn: Segmentation, shown: Segmentation, where: str) -> tuple[str, ...]:
    """Refuse a redrawn map that is flipped, renumbered, or of another visit; return the vessels that it left alone.

    Parameters
    ----------
    drawn : Segmentation
        What the reader saved, checked against the CT, on the grid of `shown`.
    shown : Segmentation
        The labels that the reader looked at.
    where : str
        How messages call the map.

    Returns
    -------
    tuple of str
        Vessels whose voxels are those that were shown: not redrawn.

    Raises
    ------
    InputRefused
        With the cause.
    """
    places = _places(drawn.labels)
    both = [name for name in places if shown.labels.has(name)]
    sizes = {n: int((shown.labels.cut(n).data).sum()) for n in both}
    as_is: dict[str, float] = {}
    _require_same_numbers(places, shown.labels, where)
    if both:
        as_is = _overlap(places, sizes, shown.labels, (False, False, False))
        _require_not_flipped(places, sizes, shown.labels, as_is, where)
        foreign = [c for f in drawn.vessels.values() for c in f.checks if c.name in PLACES and not c.passed]
        if len(both) >= FEWEST_REGIONS and max(as_is.values()) < MEETS and foreign:
            what = f"none of its {len(both)} regions meets the one that was shown, and {foreign[0].message}"
            raise InputRefused.of(what, where, "name the map that was drawn on this visit")
    return tuple(n for n in both if n in drawn.vessels and len(places[n]) == sizes[n] and as_is[n] == 1.0)


def _places(labels: LabelMap) -> dict[str, Array]:
    """Voxels (n, 3) of every region."""
    found = {}
    for name, box in labels.boxes.items():
        first = np.array([part.start for part in box])
        found[name] = np.argwhere(labels.data[box] == BY_NAME[name].label) + first
    return found


def _overlap(
    places: dict[str, Array], sizes: dict[str, int], shown: LabelMap, flips: tuple[bool, ...]
) -> dict[str, float]:
    """Dice of each region with the one that was shown, the map flipped along some of its axes."""
    last = np.array(shown.data.shape) - 1
    dice = {}
    for name, size in sizes.items():
        voxels = np.where(flips, last - places[name], places[name])
        meets = int((shown.data[tuple(voxels.T)] == BY_NAME[name].label).sum())
        dice[name] = 2.0 * meets / (len(voxels) + size)
    return dice


def _require_not_flipped(
    places: dict[str, Array], sizes: dict[str, int], shown: LabelMap, as_is: dict[str, float], where: str
) -> None:
    own = float(np.mean(list(as_is.values())))
    ways = [flips for flips in product((False, True), repeat=3) if any(flips)]
    dice = {flips: float(np.mean(list(_overlap(places, sizes, shown, flips).values()))) for flips in ways}
    best = max(ways, key=lambda flips: (dice[flips], -sum(flips)))
    if dice[best] < MEETS or dice[best] < own + GAIN:
        return
    axes = nib.io_orientation(shown.grid.affine)[:, 0].astype(int)
    words = " and ".join(AXES[axes[n]] for n in range(3) if best[n])
    what = f"the map is flipped {words}: it meets the labels that were shown by {100 * own:.0f} %"
    raise InputRefused.of(f"{what}, flipped back by {100 * dice[best]:.0f} %", where, "save it with its orientation")


def _require_same_numbers(places: dict[str, Array], shown: LabelMap, where: str) -> None:
    """Refuse a region that lies on another one and far from its own: tools number what they export anew."""
    for name, voxels in places.items():
        numbers = shown.data[tuple(voxels.T)]
        counts = np.bincount(numbers, minlength=256)
        counts[[0, BY_NAME[name].label]] = 0
        other = int(counts.argmax())
        if counts[other] < MEETS * len(voxels) or other not in BY_LABEL:
            continue
        to_ras = shown.grid.to_ras
        own = shown.places_mm(name).mean(axis=0) if shown.has(name) else None
        away = np.inf if own is None else float(np.linalg.norm(to_ras(voxels).mean(axis=0) - own))
        near_kind = own is None and BY_LABEL[other].kind != "neighbour" and _alike(name, BY_LABEL[other].name)
        if away > FARTHEST_MM and not near_kind:
            what = f"its region {BY_NAME[name].label} ({name}) lies where {BY_LABEL[other].name} was shown"
            remedy = "keep the numbers of labels.ctbl, or name them in a JSON file beside the map"
            raise InputRefused.of(f"{what}: its numbers were changed", where, remedy)


def _alike(name: str, other: str) -> bool:
    """Whether one of two regions may have been found in the other's place: of one side, or both of the chest."""
    side, other_side = name.rpartition("_")[2], other.rpartition("_")[2]
    necks = [n.startswith(("carotid", "jugular")) for n in (name, other)]
    return side == other_side if all(necks) else not any(necks)
