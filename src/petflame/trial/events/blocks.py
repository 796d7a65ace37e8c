"""``outcomes.json`` and its blocks, as types (see `petflame.trial.blocks`); times in years."""

from __future__ import annotations

from typing_extensions import TypedDict

from petflame.trial.blocks import ByArm, Figure, Provenance
from petflame.trial.plan.blocks import Deviation


class EventCount(TypedDict):
    """Events over the whole follow-up of an arm."""

    n: int
    events: int
    competing: int
    proportion: float
    proportion_low: float
    proportion_high: float
    person_years: float
    definition: str


class EventCounts(TypedDict):
    """Events by arm."""

    active: EventCount
    control: EventCount


class NotFollowed(ByArm):
    """Participants of the allocation without a row of the outcome table."""

    definition: str


class Risk(TypedDict):
    """Risk of an event up to the horizon in an arm, a share."""

    risk: Figure
    low: Figure
    high: Figure
    effective_n: Figure
    events: int
    competing_before: int
    censored_before: int
    at_risk: int
    reason: str | None


class RiskDifference(TypedDict):
    """Difference of the arms' risks, a share; `p_method` is ``exact`` or ``Monte Carlo``.

    `exchange_p` is the second p, of the exchange of whole participants.
    """

    active: Risk
    control: Risk
    difference: Figure
    low: Figure
    high: Figure
    p: Figure
    p_method: str | None
    exchange_p: Figure
    permutations: int | None
    seed: int | None
    estimator: str
    definition: str
    reason: str | None


class Proportion(TypedDict):
    """Events up to the horizon in an arm."""

    n: int
    events: int
    censored_before: int
    competing_before: int
    proportion: Figure
    low: Figure
    high: Figure


class ProportionDifference(TypedDict):
    """Difference of the arms' proportions."""

    estimate: Figure
    low: Figure
    high: Figure
    reason: str | None


class AtHorizon(TypedDict):
    """Events up to the horizon."""

    active: Proportion
    control: Proportion
    difference: ProportionDifference
    definition: str


class Survival(TypedDict):
    """Kaplan-Meier estimate at a time."""

    survival: Figure
    low: Figure
    high: Figure
    at_risk: int
    reason: str | None


class SurvivalByArm(TypedDict):
    """Kaplan-Meier estimates, by year."""

    active: dict[str, Survival]
    control: dict[str, Survival]


class Curve(TypedDict):
    """Kaplan-Meier steps."""

    time: list[float]
    survival: list[float]
    at_risk: list[int]
    events: list[int]
    censored: list[int]


class Curves(TypedDict):
    """Kaplan-Meier steps by arm."""

    active: Curve
    control: Curve


class CauseIncidence(TypedDict):
    """Cumulative incidence of a cause at a time, a share."""

    incidence: Figure
    low: Figure
    high: Figure
    reason: str | None


class Incidences(TypedDict):
    """Cumulative incidence of either cause at a time."""

    event: CauseIncidence
    competing: CauseIncidence
    at_risk: int


class IncidenceByArm(TypedDict):
    """Cumulative incidences, by year."""

    active: dict[str, Incidences]
    control: dict[str, Incidences]


class IncidenceCurve(TypedDict):
    """Cumulative incidence steps of either cause; `events` and `censored` leave at the time."""

    time: list[float]
    event: list[float]
    competing: list[float]
    at_risk: list[int]
    events: list[int]
    censored: list[int]


class IncidenceCurves(TypedDict):
    """Cumulative incidence steps by arm."""

    active: IncidenceCurve
    control: IncidenceCurve


class CompetingEvents(TypedDict):
    """What competing events do to the risk of an event."""

    cumulative_incidence: IncidenceByArm
    curves: IncidenceCurves
    definition: str


class LogRank(TypedDict):
    """The log-rank test; `p` is asymptotic."""

    chi_square: Figure
    p: Figure
    permutation_p: Figure
    permutations: int | None
    definition: str
    reason: str | None


class Fisher(TypedDict):
    """Fisher's exact test; a bound that is not finite is null."""

    p: Figure
    odds_ratio: Figure
    low: Figure
    high: Figure
    reason: str | None
    definition: str


class RateRatio(TypedDict):
    """Ratio of event rates, active / control."""

    estimate: Figure
    low: Figure
    high: Figure
    p: Figure
    reason: str | None
    definition: str


class HazardRatio(TypedDict):
    """Hazard ratio of a penalised Cox model."""

    hr: Figure
    low: Figure
    high: Figure
    p: Figure
    definition: str
    reason: str | None


class OddsRatio(TypedDict):
    """Odds ratio of a penalised logistic model."""

    log_odds_ratio: Figure
    odds_ratio: Figure
    low: Figure
    high: Figure
    p: Figure
    definition: str
    reason: str | None


class SampleRow(TypedDict):
    """Events and participants in each arm for 80 % power, if the hazard ratio were so."""

    hazard_ratio: float
    events: int
    per_arm: int
    per_arm_fewest: int
    per_arm_most: int


class SampleNeeded(TypedDict):
    """The sample size for 80 % power to compare the arms; the risk and its limits are those of `risk_difference`."""

    definition: str
    control_risk: Figure
    control_risk_low: Figure
    control_risk_high: Figure
    per_arm: list[SampleRow] | None
    sentence: str
    reason: str | None


class ChangeSample(TypedDict):
    """The sample size for 80 % power to find that the change goes with events."""

    hazard_ratio_per_sd: float
    events: int
    participants: int | None
    reason: str | None
    sentence: str
    definition: str


class ChangeHazard(TypedDict):
    """Hazard ratio for `step_percent` of the change, among those whose change is known."""

    hr: Figure
    low: Figure
    high: Figure
    p: Figure
    definition: str
    n: int
    events: int
    reason: str | None


class ChangeAndEvents(TypedDict):
    """Association of the change in TBRmax with events from the landmark on; the hazard ratio is for `step_percent`."""

    hr: Figure
    low: Figure
    high: Figure
    p: Figure
    definition: str
    change_sd: Figure
    step_percent: float
    landmark_years: float
    n: int
    events: int
    left_out_before_landmark: int
    events_before_landmark: int
    without_change: int
    whole_time: ChangeHazard
    sample_needed: ChangeSample
    reason: str | None


class OutcomesDocument(TypedDict):
    """Result of the comparison of events, exploratory."""

    label: str
    horizon_years: float
    events: EventCounts
    not_followed: NotFollowed
    risk_difference: RiskDifference
    at_horizon: AtHorizon
    kaplan_meier: SurvivalByArm
    kaplan_meier_curves: Curves
    competing_events: CompetingEvents | None
    log_rank_p: Figure
    log_rank: LogRank
    fisher_p: Figure
    fisher: Fisher
    rate_ratio: RateRatio
    firth_cox: HazardRatio
    firth_logistic: OddsRatio
    sample_needed: SampleNeeded
    change_and_events: ChangeAndEvents | None
    plan_seal: str | None
    deviations: list[Deviation]
    provenance: Provenance
