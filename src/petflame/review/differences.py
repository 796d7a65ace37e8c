"""Whether two reads of one visit differ by more than the protocol allows, vessel by vessel and in words."""

from __future__ import annotations

from collections.abc import Collection
from functools import cached_property
from itertools import chain, pairwise
from pathlib import Path

import numpy as np

from petflame.files import read_json, read_nifti
from petflame.folders import VisitFolder
from petflame.protocol import ReviewRules
from petflame.segment.outlines import places_of, runs_of_vessel
from petflame.segment.reads import Read
from petflame.space.grid import Array

LEFT = "left withheld or missing"


class AsFound:
    """What a visit's readers began from; its files are read when first asked for.

    Parameters
    ----------
    visit : VisitFolder
    """

    def __init__(self, visit: VisitFolder) -> None:
        self._visit = visit

    @cached_property
    def _files(self) -> tuple[Path, Path]:
        # The makers of labels take seconds to import, and most readings of reads need none.
        from petflame.segment.run import labels_as_found

        labels, sidecar, _ = labels_as_found(self._visit)
        return labels, sidecar

    @cached_property
    def _labels(self) -> Array:
        return np.asarray(read_nifti(self._files[0]).data)

    @cached_property
    def _withheld(self) -> dict[str, bool]:
        vessels = read_json(self._files[1])["vessels"]
        return {name: bool(finding["withheld"]) for name, finding in vessels.items()}

    def runs(self, vessel: str) -> Array:
        """Return runs (first, length) of a vessel's voxels, shape (n, 2)."""
        return runs_of_vessel(self._labels, vessel)

    def counts(self, vessel: str) -> bool:
        """Whether a vessel was found and is measured unless a reader objects."""
        return not self._withheld.get(vessel, True)


def differences(first: Read, second: Read, rules: ReviewRules, vessels: Collection[str], found: AsFound) -> list[str]:
    """Return in what two reads of one visit differ, a line each; nothing where they agree.

    Parameters
    ----------
    first, second : Read
    rules : ReviewRules
        Limits of overlap and of length left out.
    vessels : collection of str
        Those that matter.
    found : AsFound
        For vessels that a reader left as they were.
    """
    if first.labels_sha256 != second.labels_sha256:
        return ["they began from different outlines"]
    said = []
    for vessel in vessels:
        choices = [choice_of(read, vessel, found) for read in (first, second)]
        if choices[0] != choices[1]:
            said.append(f"{vessel}: {' and '.join(sorted(choices))}")
            continue
        if choices[0] in ("rejected", LEFT):
            continue
        dice = overlap_of(first, second, vessel, found)
        if dice < rules.same_overlap:
            said.append(f"{vessel}: overlap (Dice) {dice:.2f} is below {rules.same_overlap:g}")
        apart = left_out_apart_mm(first, second, vessel)
        if apart > rules.same_left_out_mm:
            said.append(f"{vessel}: {apart:.1f} mm are left out by one alone, more than {rules.same_left_out_mm:g} mm")
    return said


def choice_of(read: Read, vessel: str, found: AsFound) -> str:
    """Return in words what a read says of a vessel; one that nobody doubted and the reader left is accepted."""
    if vessel not in read.decisions:
        if vessel in read.drawn:
            return "drawn and not decided on"
        return "accepted" if found.counts(vessel) else LEFT
    return {"accept": "accepted", "reject": "rejected"}[read.decisions[vessel].choice]


def runs_of_read(read: Read, vessel: str, found: AsFound) -> Array:
    """Return the runs of a vessel's voxels after a read: the reader's own, or those found."""
    drawn = read.drawn.get(vessel)
    return found.runs(vessel) if drawn is None else drawn.runs


def overlap_of(first: Read, second: Read, vessel: str, found: AsFound) -> float:
    """Return the Dice overlap of a vessel's voxels in two reads; 1 where neither has any, or both left it as found.

    References
    ----------
    Zijdenbos AP et al. IEEE Trans Med Imaging 1994;13:716-724.
    """
    if vessel not in first.drawn and vessel not in second.drawn:
        return 1.0
    return dice_of_runs(*(runs_of_read(read, vessel, found) for read in (first, second)))


def dice_of_runs(first: Array, second: Array) -> float:
    """Return 2 |A and B| / (|A| + |B|) of two sets of runs (first, length); 1 where both are empty.

    >>> dice_of_runs(np.array([[0, 4]]), np.array([[2, 4]]))
    0.5
    """
    a, b = places_of(first), places_of(second)
    if not len(a) + len(b):
        return 1.0
    return 2 * len(np.intersect1d(a, b, assume_unique=True)) / (len(a) + len(b))


def left_out_apart_mm(first: Read, second: Read, vessel: str) -> float:
    """Return the length of a vessel, in mm along z, that one of two reads leaves out and the other does not."""
    spans = [[(s.z_min_mm, s.z_max_mm) for s in read.left_out if s.vessel == vessel] for read in (first, second)]
    ends = sorted(set(chain.from_iterable(chain.from_iterable(spans))))
    total = 0.0
    for low, high in pairwise(ends):
        middle = (low + high) / 2
        inside = [any(a <= middle <= b for a, b in own) for own in spans]
        total += (high - low) * (inside[0] != inside[1])
    return total
