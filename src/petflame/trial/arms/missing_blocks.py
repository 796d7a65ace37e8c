"""The blocks of ``arms.json`` on missing follow-up, as types (see `petflame.trial.blocks`)."""

from __future__ import annotations

from typing_extensions import TypedDict

from petflame.trial.arms.blocks import Difference
from petflame.trial.blocks import ByArm, Figure, Said


class Auxiliary(TypedDict):
    """What may help to impute: `n` participants have it, `n_of_imputed` of those whose follow-up is imputed."""

    name: str
    meaning: str
    n: int
    n_of_imputed: int
    used: bool
    reason: str | None


class MultipleImputation(Difference):
    """The difference with missing follow-up imputed, at random or by reference to the control arm."""

    fraction_missing: Figure
    imputed: ByArm | None
    n: ByArm | None
    imputations: int | None
    seed: int | None
    auxiliaries: list[Auxiliary] | None
    definition: str
    reason: str | None


class TippingStep(TypedDict):
    """The result with a delta added to what is imputed in the active arm."""

    delta: float
    difference: float
    p: float


class TippingOfControls(TypedDict):
    """The delta, added to what is imputed in the control arm, that takes p to alpha."""

    delta: Figure
    delta_in_residual_sd: Figure
    reason: str | None


class NearestTipping(TypedDict):
    """The deltas of both arms together that take p to alpha with the least departure from what is imputed."""

    active_delta: Figure
    control_delta: Figure
    active_in_residual_sd: Figure
    control_in_residual_sd: Figure
    distance_in_residual_sd: Figure
    reason: str | None


class TippingPoint(TypedDict):
    """The delta, added to what is imputed in the active arm, that takes p to alpha; then the other ways there."""

    delta: Figure
    definition: str
    grid: list[TippingStep] | None
    delta_in_residual_sd: Figure
    control: TippingOfControls | None
    nearest: NearestTipping | None
    reason: str | None


class DeltaCell(TypedDict):
    """The result with a delta added to what is imputed in each arm."""

    active_delta: float
    control_delta: float
    active_in_residual_sd: float
    control_in_residual_sd: float
    difference: float
    ci_low: float
    ci_high: float
    p: float


class DeltaGrid(Said):
    """The result over deltas in both arms, active by active; an arm without missing follow-up has the delta 0 alone."""

    residual_sd: Figure
    imputed: ByArm | None
    cells: list[DeltaCell] | None
