"""The blocks of ``arms.json`` over vessels, as types (see `petflame.trial.blocks`)."""

from __future__ import annotations

from typing_extensions import TypedDict

from petflame.trial.arms.blocks import AdjustedPercent, ControlMean, Counted, Difference, Estimate
from petflame.trial.blocks import Figure


class Vessel(Counted, Difference, AdjustedPercent, ControlMean):
    """The primary model for one vessel."""

    p_holm: Figure
    reason: str | None


class VesselMean(Counted, Difference, AdjustedPercent, ControlMean):
    """The primary model for the mean of the target vessels."""

    vessels: list[str] | None
    definition: str
    reason: str | None


class FTest(TypedDict):
    """A Kenward-Roger F test."""

    f: Figure
    ndf: int | None
    ddf: Figure
    scaling: Figure
    p: Figure


class ArmByVessel(FTest):
    """Whether the effect differs between vessels."""

    terms: dict[str, FTest] | None
    definition: str
    reason: str | None


class AtDeviation(TypedDict):
    """The difference in a vessel that deviates from its patient's mean."""

    deviation: float
    difference: float
    se: float
    df: float
    ci_low: float
    ci_high: float
    p: float


class WithinPatients(TypedDict):
    """Arm x baseline between the vessels of a patient."""

    between_patients: Estimate | None
    within_patients: Estimate | None
    percentiles: dict[str, AtDeviation] | None
    percentiles_definition: str
    method: str
    definition: str
    reason: str | None


class _Method(TypedDict):
    method: str


class Mixed(_Method, Difference):
    """The mixed model over the target vessels."""

    variance_between_patients: Figure
    variance_residual: Figure
    on_boundary: bool | None
    patients: int | None
    rows: int | None
    definition: str
    arm_by_vessel: ArmByVessel
    interaction: WithinPatients
    reason: str | None
