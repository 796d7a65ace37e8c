"""How much of a vessel each visit holds: its sections that count, compared by anatomy along the vessel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from petflame.measure.validity import OUTSIDE
from petflame.pair.comparability import Item, grade_limits, say
from petflame.protocol import Limits
from petflame.space.grid import Array, Grid

if TYPE_CHECKING:
    import pandas as pd

    from petflame.pair.correspondence import Correspondence

# Less is rounding.
_ROUNDING_MM = 1e-6
# Where no scan ends, the end of a vessel and its landmark are places that somebody found. Twice the standard deviation
# of the distance between the two, visit to visit, over the vessels' ends of 12 simulated participants whose scans cut
# none of them (3.4 mm, sections 3 mm apart).
FOUND_ENDS_MM = 7.0
ENDS = ("at the end nearer the heart", "at the far end")


@dataclass(frozen=True)
class End:
    """One end of a vessel at two visits.

    Attributes
    ----------
    beyond_mm : float
        How much farther the baseline reaches; negative where the follow-up does.
    cut : bool
        Whether the visit that holds less ends there because its scan does.
    """

    beyond_mm: float
    cut: bool


@dataclass(frozen=True)
class Coverage:
    """What only one of two visits holds of a vessel.

    Attributes
    ----------
    ends : tuple of End
        Nearer the heart, and far. A single one where places along the vessel are tied to no landmark, so that only
        the two lengths can be compared.
    section_mm : float
        Distance of two sections along the vessel.
    """

    ends: tuple[End, ...]
    section_mm: float

    @property
    def sections(self) -> float:
        """The longest stretch that only one visit holds, in sections."""
        return max(abs(e.beyond_mm) for e in self.ends) / self.section_mm

    def grade(self, limits: Limits) -> str:
        """Grade by the limits, in sections; a found end fails only beyond what finding it can be wrong by.

        >>> found, cut = (Coverage((End(12.0, cut),), 3.0) for cut in (False, True))
        >>> [c.grade(Limits(passes=1, warns=2)) for c in (found, cut)]
        ['warn', 'fail']
        """
        grades = []
        for end in self.ends:
            grade = grade_limits(abs(end.beyond_mm) / self.section_mm, limits)
            within = abs(end.beyond_mm) <= limits.warns * self.section_mm + FOUND_ENDS_MM
            grades.append("warn" if grade == "fail" and not end.cut and within else grade)
        return max(grades, key=("pass", "warn", "fail").index)

    @property
    def words(self) -> str:
        """Which visit holds less, how much, and at which end.

        >>> Coverage((End(0.0, False), End(12.0, True)), 3.0).words
        'the follow-up lacks 12 mm at the far end, where its scan ends'
        """
        said = []
        for end, place in zip(self.ends, ENDS if len(self.ends) > 1 else ("of its length",), strict=True):
            if abs(end.beyond_mm) > _ROUNDING_MM:
                visit = "the follow-up" if end.beyond_mm > 0 else "the baseline"
                why = ", where its scan ends" if end.cut else ""
                said.append(f"{visit} lacks {abs(end.beyond_mm):.0f} mm {place}{why}")
        return "; ".join(said) or "both hold the same"


def coverage(
    found: Correspondence, slices: tuple[pd.DataFrame, pd.DataFrame], grids: tuple[Grid, Grid], spacing_mm: float
) -> Coverage | None:
    """Compare the stretches of a vessel over which its sections count at each visit.

    Parameters
    ----------
    found : Correspondence
        Positions of the sections of both visits along the vessel.
    slices : pair of DataFrame
        The vessel's rows of ``slices.tsv``; `valid` says which sections count.
    grids : pair of Grid
        Of the labels of each visit, for where its scan ends.
    spacing_mm : float
        Distance of the planes of the sections.

    Returns
    -------
    Coverage or None
        None where a visit has no section that counts.
    """
    positions = (found.positions_baseline, found.positions_followup)
    valid = [table["valid"].to_numpy(bool) for table in slices]
    if not (valid[0].any() and valid[1].any()):
        return None
    step = max([spacing_mm, *map(section_step_mm, positions)])
    cut = [_cut_ends(p, t, v, g) for p, t, v, g in zip(positions, slices, valid, grids, strict=True)]
    if not found.by_anatomy:
        lengths = [float(np.ptp(t["arc_mm"].to_numpy(float)[v])) for t, v in zip(slices, valid, strict=True)]
        more = lengths[0] - lengths[1]
        return Coverage((End(more, any(cut[1 if more > 0 else 0])),), step)
    (low, high), (low_there, high_there) = ((p[v].min(), p[v].max()) for p, v in zip(positions, valid, strict=True))
    beyond = float(low_there - low), float(high - high_there)
    return Coverage(tuple(End(b, cut[1 if b > 0 else 0][n]) for n, b in enumerate(beyond)), step)


def coverage_items(found: Mapping[str, Coverage | None], primary: tuple[str, ...], limits: Limits | None) -> list[Item]:
    """Grade the coverage of every vessel; one that enters no primary figure warns at most.

    Parameters
    ----------
    found : mapping of vessel to Coverage or None
    primary : tuple of str
        Vessels that may enter a primary figure.
    limits : Limits or None
        In sections; None grades nothing.
    """
    if limits is None:
        return []
    items = []
    for vessel, held in found.items():
        grade = "unknown" if held is None else held.grade(limits)
        if grade == "fail" and vessel not in primary:
            grade = "warn"
        words = "" if held is None else f"{held.words}; "
        value = None if held is None else held.sections
        items.append(Item(f"coverage_sections_{vessel}", None, None, value, grade, words + say(limits)))
    return items


def section_step_mm(positions_mm: Array) -> float:
    """Median distance of neighbouring sections along the vessel; 0 for fewer than two."""
    steps = np.abs(np.diff(positions_mm))
    return float(np.median(steps)) if len(steps) else 0.0


def _cut_ends(positions_mm: Array, table: pd.DataFrame, valid: Array, grid: Grid) -> tuple[bool, bool]:
    """Whether the stretch that counts ends where the PET or the image of the labels does, at its low and high end."""
    outside = np.array([OUTSIDE in str(reason) for reason in table["reason"]])
    corners = grid.to_ras(np.array([[0, 0, 0], np.array(grid.shape) - 1]))[:, 2]
    edge = max(grid.spacing_mm)
    ends = []
    for end, beyond in ((positions_mm[valid].min(), -1), (positions_mm[valid].max(), 1)):
        z = table["z_mm"].to_numpy(float)[valid][np.abs(positions_mm[valid] - end).argmin()]
        by_pet = bool((outside & (beyond * (positions_mm - end) > 0)).any())
        ends.append(by_pet or bool((np.abs(corners - z) <= 1.5 * edge).any()))
    return ends[0], ends[1]
