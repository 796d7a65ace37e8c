"""Counting what was set aside: one way for the closing lines, `collect` and the report, so that all say the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

# Kinds of rows of exclusions.tsv that leave a visit or a pair without a result.
NO_RESULT = ("refused", "failed")
# The step that rows about a visit without a row in visits.tsv carry.
ABSENT = "visits"
TITLES = {"baseline": "baseline", "followup": "follow-up"}


@dataclass(frozen=True)
class Tally:
    """What rows of ``exclusions.tsv`` of one kind are about.

    Attributes
    ----------
    visits, pairs, missing : int
        Visits that were refused (or failed, or flagged), pairs, and visits that have no row in ``visits.tsv``.
    participants : int
        Whose they are.
    reasons : int
        Rows: a visit may have several.
    """

    visits: int
    pairs: int
    missing: int
    participants: int
    reasons: int

    def __str__(self) -> str:
        """Return the counts in words, each with what it counts.

        >>> str(Tally(2, 1, 0, 3, 4)), str(Tally(0, 0, 0, 0, 0)), str(Tally(1, 0, 1, 1, 2))
        ('2 visits, 1 pair (of 3 participants, 4 reasons)', 'none', '1 visit, 1 missing visit (of 1 participant)')
        """
        parts = ((self.visits, "visit"), (self.pairs, "pair"), (self.missing, "missing visit"))
        units = [_counted(n, word) for n, word in parts if n]
        if not units:
            return "none"
        whose = f"of {_counted(self.participants, 'participant')}"
        several = self.reasons > self.visits + self.pairs + self.missing
        return f"{', '.join(units)} ({whose}{f', {self.reasons} reasons' if several else ''})"


def _counted(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def tally(rows: Iterable[Mapping[str, Any]], kind: str) -> Tally:
    """Count the rows of one kind: refused, failed or flagged.

    Parameters
    ----------
    rows : iterable of mapping
        Rows of ``exclusions.tsv``: participant_id, visit, step, kind.
    kind : str
    """
    own = [r for r in rows if r["kind"] == kind]
    places = {(r["participant_id"], r["visit"], r["step"] == ABSENT) for r in own}
    pairs = sum(visit == "pair" for _, visit, _ in places)
    missing = sum(absent for _, _, absent in places)
    people = {participant for participant, _, _ in places}
    return Tally(len(places) - pairs - missing, pairs, missing, len(people), len(own))


def visits_without_result(rows: Iterable[Mapping[str, Any]]) -> str:
    """Say which visits of one participant have no result, and whether they were refused, failed or are missing.

    Parameters
    ----------
    rows : iterable of mapping
        The participant's rows of ``exclusions.tsv``.

    >>> gone = {"visit": "baseline", "step": "convert", "kind": "refused"}
    >>> visits_without_result([gone]), visits_without_result([gone, {**gone, "visit": "followup"}])
    ('baseline refused', 'both visits refused')
    """
    kinds: dict[str, str] = {}
    for row in rows:
        if row.get("visit") in TITLES and row.get("kind") in NO_RESULT:
            kinds[row["visit"]] = "missing" if row.get("step") == ABSENT else row["kind"]
    if len(kinds) == 2 and len(set(kinds.values())) == 1:
        return f"both visits {kinds['baseline']}"
    return ", ".join(f"{title} {kinds[visit]}" for visit, title in TITLES.items() if visit in kinds)
