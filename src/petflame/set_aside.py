"""Counting what was set aside: one way for the closing lines, `collect` and the report, so that all say the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

# Kinds of rows of exclusions.tsv that leave a visit or a pair without a result.
NO_RESULT = ("refused", "failed")
# The step that rows about a visit without a row in visits.tsv carry.
ABSENT = "visits"
# How the flag of an artery begins, after its name, whose blood pool is in doubt.
POOL_IN_DOUBT = "rests on a blood pool in doubt"
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


@dataclass(frozen=True)
class Fewer:
    """Participants whose index vessel was chosen among fewer candidates than the protocol names.

    Attributes
    ----------
    groups : tuple of ((int, int), tuple of str)
        How many candidates of how many were considered, and the participants; the fewest first.
    participants : int
        All who have an index vessel.
    """

    groups: tuple[tuple[tuple[int, int], tuple[str, ...]], ...]
    participants: int

    def __str__(self) -> str:
        """Return it in words; empty where every index vessel was chosen among all candidates.

        >>> str(Fewer((((1, 3), ("P1", "P7")), ((2, 3), ("P2",))), 59))
        'in 2 of 59 participants the index vessel was chosen among 1 of 3 candidates, in 1 among 2 of 3'
        >>> str(Fewer((), 59))
        ''
        """
        said: list[str] = []
        for (considered, candidates), who in self.groups:
            whom = "the index vessel was chosen " if not said else ""
            of = f" of {_counted(self.participants, 'participant')} " if not said else " "
            named = " candidates" if not said else ""
            said.append(f"in {len(who)}{of}{whom}among {considered} of {candidates}{named}")
        return ", ".join(said)


def fewer_candidates(rows: Iterable[Mapping[str, Any]]) -> Fewer:
    """Count those whose index vessel was chosen although candidates were withheld or not measured at baseline.

    Parameters
    ----------
    rows : iterable of mapping
        Rows of ``patients.tsv``: participant_id, index_considered, index_left_out.
    """
    groups: dict[tuple[int, int], list[str]] = {}
    total = 0
    for row in rows:
        considered, left_out = (_names(row.get(f"index_{which}")) for which in ("considered", "left_out"))
        total += bool(considered)
        if considered and left_out:
            share = (len(considered), len(considered) + len(left_out))
            groups.setdefault(share, []).append(str(row["participant_id"]))
    return Fewer(tuple((share, tuple(sorted(who))) for share, who in sorted(groups.items())), total)


def _names(cell: Any) -> list[str]:
    return cell.split("+") if isinstance(cell, str) and cell else []
