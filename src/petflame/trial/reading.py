"""The ``reading`` block of ``arms.json``, as types: how a planned reading ended, and what was edited after that."""

from __future__ import annotations

from typing_extensions import TypedDict

from petflame.trial.blocks import ByArm, Figure


class EarlierPrimary(TypedDict):
    """The primary of an earlier analysis of the locked reading with the arms known; `n` counts them from 1."""

    n: int
    participants: ByArm | None
    difference: Figure
    ci_low: Figure
    ci_high: Figure
    p: Figure
    adjusted_percent: Figure
    adjusted_percent_low: Figure
    adjusted_percent_high: Figure
    reason: str | None


class LateEdit(TypedDict):
    """What one reader did to one visit after the lock.

    `lines` are numbers in the reader's log; `after` counts the analyses with known arms before it, 0 where the arms
    were not known yet.
    """

    reader: str
    visit: str
    repeat: bool
    lines: str
    what: str
    why: str
    after: int


class Reading(TypedDict):
    """A reading that was planned and ended by a lock."""

    lock: str
    counts: str
    readers: int
    unread: int
    words: str
    earlier: list[EarlierPrimary]
    edits: list[LateEdit]
    sentence: str
