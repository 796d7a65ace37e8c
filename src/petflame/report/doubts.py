"""What makes an index vessel doubtful: candidates that were withheld, and blood pools that are in doubt."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from petflame.report.read import Participant
from petflame.report.words import count, readable
from petflame.set_aside import TITLES, fewer_candidates


def pool_doubts(p: Participant, vessel: str | None) -> dict[str, str]:
    """Return what is said against the blood that a vessel was divided by, by visit; empty where nothing is."""
    said = {}
    for name, visit in p.visits.items():
        told = next((row.get("background_doubt") for row in visit.vessels if row["vessel"] == vessel), None)
        if isinstance(told, str) and told:
            said[name] = told
    return said


def index_sentences(participants: Sequence[Participant]) -> list[str]:
    """Say how many index vessels were chosen among fewer candidates, and how many rest on a blood pool in doubt."""
    said = []
    fewer = fewer_candidates([dict(p.row) for p in participants])
    if fewer.groups:
        words = str(fewer)
        said.append(
            f"{words[:1].upper()}{words[1:]}: the others were withheld for want of a reader, or not measured, at "
            "baseline. With them another vessel might have been the index vessel."
        )
    indexed = [p for p in participants if p.value("index_vessel")]
    doubted = [p.id for p in indexed if pool_doubts(p, p.value("index_vessel"))]
    if doubted:
        whom = f"In {len(doubted)} of {count(len(indexed), 'participant')}"
        said.append(f"{whom} the index vessel rests on a blood pool in doubt ({_some(doubted)}).")
    return said


def pool_note(p: Participant, vessel: str) -> str:
    """Return a vessel's doubts about its blood, in words."""
    found = pool_doubts(p, vessel).items()
    return readable("; ".join(f"blood pool in doubt at {TITLES[visit]}: {words}" for visit, words in found))


def _some(names: Iterable[str], shown: int = 6) -> str:
    every = sorted(names)
    more = len(every) - shown
    return ", ".join(every[:shown]) + (f" and {more} more" if more > 0 else "")
