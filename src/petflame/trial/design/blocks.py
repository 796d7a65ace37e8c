"""The blocks of ``power.json`` as types: every key always there, null with a ``reason`` where there is no number."""

from __future__ import annotations

from typing_extensions import TypedDict

from petflame.trial.blocks import Figure


class WithinSubject(TypedDict):
    """The one within-subject variation of a design, its parts, and the residual SD it leads to beside the published.

    Limits are those of a scan-rescan study's 95 % interval, with the patients an arm that they ask for.
    """

    cv: float
    cv_low: Figure
    cv_high: Figure
    df: Figure
    per_arm_low: int | None
    per_arm_high: int | None
    visit_cv: float
    measurement_cv: float
    source: str
    definition: str
    implied_residual_sd: Figure
    published_residual_sd: float
    per_arm_at_published_sd: int | None
    note: str | None


class EndpointPower(TypedDict):
    """What a design can show of one endpoint; difference and SDs in the endpoint's unit, shares 0 to 1."""

    title: str
    meaning: str
    test: str
    power: Figure
    monte_carlo_se: Figure
    type_i_error: Figure
    coverage: Figure
    difference: Figure
    residual_sd: Figure
    per_arm: int | None
    with_value: Figure
    rests_on: str
    reason: str | None


class VesselPower(EndpointPower):
    """The same of one vessel, without and with Holm's correction over the vessels."""

    power_holm: Figure


class SizeAtSd(TypedDict):
    """A residual SD with its 95 % interval, and the patients to randomise to each arm that each of them asks for."""

    sd: Figure
    sd_low: Figure
    sd_high: Figure
    per_arm: int | None
    per_arm_low: int | None
    per_arm_high: int | None
    reason: str | None


class Reestimation(TypedDict):
    """Sample size from the blinded residual SD of an interim table."""

    participants: int | None
    without_both_visits: int | None
    analysis_set: str | None
    strata: list[str] | None
    df: Figure
    planned_difference: Figure
    planned_residual_sd: Figure
    planned_per_arm: int | None
    target_power: Figure
    lumped: SizeAtSd | None
    adjusted: SizeAtSd | None
    per_arm_not_below_planned: int | None
    definition: str
    type_i_error: str
    inputs: dict[str, dict[str, str]] | None
    reason: str | None
