"""One thing that a comparison of identities says, and of which visits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from petflame.errors import Fault
from petflame.identity.record import Record

REFUSED, FLAGGED, UNKNOWN = "refused", "flagged", "not compared"
WARN, FAIL = "warn", "fail"
OWN_SCAN = "give each visit its own scan"
WHOSE = "check whose scan each folder of these visits holds"
MOST_NAMED = 5


@dataclass(frozen=True)
class Entry:
    """One visit of the study: its place in the table and its record."""

    code: str
    participant_id: str
    visit: str
    record: Record


@dataclass(frozen=True)
class Finding:
    """What one signal says of one visit, or of the two visits of a participant.

    Attributes
    ----------
    codes : tuple of str
        The visits that it concerns.
    signal : str
    outcome : {'refused', 'flagged', 'not compared'}
    fault : Fault
        Names other visits by code.
    grade : {'', 'warn', 'fail'}
        What a flag means for the comparability of the participant's scans.
    """

    codes: tuple[str, ...]
    signal: str
    outcome: str
    fault: Fault
    grade: str = ""


def codes_of(entries: Iterable[Entry]) -> str:
    """Name visits by their codes, in order, not more than can be read."""
    codes = sorted({e.code for e in entries})
    more = f" and {len(codes) - MOST_NAMED} more" if len(codes) > MOST_NAMED else ""
    return ", ".join(codes[:MOST_NAMED]) + more
