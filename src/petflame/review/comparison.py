"""Reads that are held against each other: of several readers, or two of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from petflame.segment.reads import Read


@dataclass(frozen=True, eq=False)
class OneRead:
    """A finished read with what it measures.

    Attributes
    ----------
    code : str
        Of the visit.
    reader : str
    occasion : int
        1, or 2 for the second read of a visit by the same reader.
    read : Read
    measured : mapping
        As `petflame.review.measured.measured_read` returns it.
    """

    code: str
    reader: str
    occasion: int
    read: Read
    measured: Mapping[str, Any]


@dataclass(frozen=True)
class Comparison:
    """Reads that are held against each other: label and reads of each visit, by rater.

    Attributes
    ----------
    kind : {'between', 'within'}
    readers : tuple of str
    raters : tuple of str
    """

    kind: str
    readers: tuple[str, ...]
    raters: tuple[str, ...]

    @property
    def label(self) -> dict[str, str]:
        """Its columns in the tables."""
        return {"comparison": self.kind, "readers": ", ".join(self.readers)}

    def subject(self, one: OneRead) -> str:
        """Return what two reads must share to be held against each other."""
        return one.code if self.kind == "between" or len(self.readers) == 1 else f"{one.reader} {one.code}"

    def rater(self, one: OneRead) -> str | None:
        """Return which of the reads it is; None for one that this comparison does not take."""
        if one.reader not in self.readers or (self.kind == "between" and one.occasion == 2):
            return None
        return one.reader if self.kind == "between" else ("first", "second")[one.occasion - 1]


def pairs_of(reads: Sequence[OneRead], compared: Comparison) -> list[tuple[OneRead, OneRead]]:
    """Return every two reads of one subject that a comparison takes, the rater named first first."""
    by: dict[str, dict[str, OneRead]] = {}
    for one in reads:
        if (rater := compared.rater(one)) is not None:
            by.setdefault(compared.subject(one), {})[rater] = one
    order = compared.raters
    return [(own[a], own[b]) for _, own in sorted(by.items()) for a, b in combinations(order, 2) if {a, b} <= set(own)]
