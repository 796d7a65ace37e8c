"""The blocks of ``arms.json`` that compare the arms, as types (see `petflame.trial.blocks`)."""

from __future__ import annotations

from typing_extensions import TypedDict

from petflame.trial.blocks import ByArm, Figure, LeftOutOfArm, Said


class Estimate(TypedDict):
    """An estimate with its inference."""

    estimate: Figure
    se: Figure
    df: Figure
    ci_low: Figure
    ci_high: Figure
    p: Figure


class Difference(TypedDict):
    """A difference between the arms with its inference."""

    difference: Figure
    se: Figure
    df: Figure
    ci_low: Figure
    ci_high: Figure
    p: Figure


class AdjustedPercent(TypedDict):
    """100 x difference / control mean, Fieller's interval; null limits where they do not exist."""

    adjusted_percent: Figure
    adjusted_percent_se: Figure
    adjusted_percent_low: Figure
    adjusted_percent_high: Figure
    adjusted_percent_delta_low: Figure
    adjusted_percent_delta_high: Figure


class ControlMean(TypedDict):
    """The control arm's adjusted mean."""

    control_mean: Figure


class Primary(TypedDict):
    """The primary analysis."""

    n: ByArm
    difference: float
    se: float
    df: float
    ci_low: float
    ci_high: float
    p: float
    control_mean: float
    control_mean_se: float
    active_mean: float
    active_mean_se: float
    adjusted_percent: float
    adjusted_percent_se: float
    adjusted_percent_low: Figure
    adjusted_percent_high: Figure
    adjusted_percent_delta_low: float
    adjusted_percent_delta_high: float
    slope: float
    residual_sd: float
    covariates: list[str]
    definition: str
    adjusted_percent_definition: str


class Counted(TypedDict):
    """The patients behind an estimate, and those of the analysis set who are not: who, and why."""

    n: ByArm | None
    missing: list[LeftOutOfArm]


class Robust(Estimate, Said):
    """The difference with a robust standard error."""


class OtherSet(Difference, Said):
    """The primary difference in the other analysis set."""

    n: ByArm | None


class ResidualSd(TypedDict):
    """Residual SD of each arm."""

    active: float
    control: float


class UnequalArms(TypedDict):
    """Whether the arms' sizes and spreads mislead the primary's test; `sentence` says so where they do."""

    residual_sd: ResidualSd | None
    variances_p: Figure
    implied_type_i_error: Figure
    misleading: bool | None
    sentence: str | None
    definition: str
    reason: str | None


class Permutation(TypedDict):
    """The permutation test."""

    p: Figure
    p_ordinary: Figure
    monte_carlo_se: Figure
    permutations: int | None
    seed: int | None
    strata: int | None
    definition: str
    reason: str | None


class Range(TypedDict):
    """Lowest and highest percent and difference."""

    adjusted_percent_low: Figure
    adjusted_percent_high: Figure
    difference_low: Figure
    difference_high: Figure


class Bootstrap(Range):
    """Studentised bootstrap intervals."""

    resamples: int | None
    not_fitted: int | None
    seed: int | None
    definition: str
    reason: str | None


class LeaveOneOut(TypedDict):
    """Range of the result when one patient is left out."""

    difference_low: Figure
    difference_high: Figure
    adjusted_percent_low: Figure
    adjusted_percent_high: Figure
    p_low: Figure
    p_high: Figure
    most_influential: str | None
    not_fitted: int | None
    definition: str
    reason: str | None


class Percent(TypedDict):
    """A percentage from a model on the logarithmic scale."""

    estimate: Figure
    low: Figure
    high: Figure
    p: Figure
    definition: str
    reason: str | None


class PercentDifference(TypedDict):
    """A difference of percent changes."""

    estimate: Figure
    se: Figure
    df: Figure
    low: Figure
    high: Figure
    p: Figure
    definition: str
    reason: str | None


class AtPercentile(TypedDict):
    """The difference at a percentile of baseline."""

    baseline: float
    difference: float
    se: float
    df: float
    ci_low: float
    ci_high: float
    p: float
    control_mean: float
    adjusted_percent: float


class Interaction(Estimate):
    """Arm x baseline."""

    percentiles: dict[str, AtPercentile] | None
    constant_percent: Figure
    constant_percent_definition: str
    log_scale: Estimate | None
    log_scale_definition: str
    definition: str
    percentiles_definition: str
    reason: str | None


class RegressionToTheMean(TypedDict):
    """Change without any drug."""

    expected_change_without_drug: float
    selection_part: float


class _OfThird(TypedDict):
    third: str
    n: ByArm
    baseline_mean: float


class Third(_OfThird, Difference):
    """The difference within a third of baseline."""

    reason: str | None
    regression_to_the_mean: RegressionToTheMean


class Tertiles(TypedDict):
    """The difference within thirds of baseline."""

    interaction_p: Figure
    control_slope: Figure
    cuts: list[float] | None
    thirds: list[Third] | None
    definition: str
    regression_to_the_mean_definition: str
    reason: str | None


class Secondary(Counted, Difference, ControlMean, AdjustedPercent):
    """The primary model for another measure, or with another covariate."""

    meaning: str
    reason: str | None


class Control(Counted, Difference, ControlMean):
    """The primary model for what the drug should not change; in `unit`."""

    meaning: str
    unit: str
    reason: str | None


class VariedEffect(TypedDict):
    """The effect under one variation of the measurement."""

    variation: str
    about: str
    n: int
    same_index: int | None
    difference: Figure
    ci_low: Figure
    ci_high: Figure
    p: Figure
    adjusted_percent: Figure
    adjusted_percent_low: Figure
    adjusted_percent_high: Figure
    pooled_percent_change: Figure
    reason: str | None
