"""The ``plan`` block of ``arms.json`` and of ``outcomes.json``, as types (see `petflame.trial.blocks`)."""

from __future__ import annotations

from typing_extensions import TypedDict

from petflame.trial.blocks import Figure


class Deviation(TypedDict):
    """One thing that was done otherwise than planned, in words."""

    item: str
    planned: str
    done: str


class Amended(TypedDict):
    """Why a plan was sealed anew, and what changed (`planned` before, `done` after)."""

    because: str
    changes: list[Deviation]


class PlanRecord(TypedDict):
    """The sealed plan and what differs from it; `sensitivity` is null where no plan names any."""

    sealed: bool
    seal: str | None
    sealed_on: str | None
    amendments: list[Amended]
    primary_percentage: str
    alpha: float
    key_secondary: list[str]
    multiplicity: str
    sensitivity: list[str] | None
    responder: str
    deviations: list[Deviation]
    sentence: str


class Tested(TypedDict):
    """A key secondary endpoint after the primary: p, and p adjusted for all that stand before it."""

    name: str
    title: str
    difference: Figure
    ci_low: Figure
    ci_high: Figure
    p: Figure
    p_adjusted: Figure
    significant: bool | None
    reason: str | None


class KeySecondaryTests(TypedDict):
    """The key secondary endpoints, in their order; none is significant unless the primary is."""

    multiplicity: str
    alpha: float
    tests: list[Tested]
    definition: str
    reason: str | None
