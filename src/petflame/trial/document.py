"""``arms.json`` as a type: what the analysis writes and the report reads.

Where the trial is blinded, what compares the arms is null. `notes` say what the user must see.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typing_extensions import TypedDict

from petflame.trial.arms.blocks import Control, Primary, Secondary, VariedEffect
from petflame.trial.arms.composite import ActiveComposite
from petflame.trial.arms.sensitivity import SensitivityBlocks
from petflame.trial.arms.vessel_blocks import Mixed, Vessel, VesselMean
from petflame.trial.blocks import (
    BandCheck,
    BaselineCharacteristics,
    Consort,
    DescribedArms,
    InSet,
    Patients,
    Pooled,
    Provenance,
    RespondersByLimit,
    Said,
    SetAside,
)
from petflame.trial.endpoints import ENDPOINTS, NEGATIVE_CONTROLS
from petflame.trial.plan.blocks import KeySecondaryTests, PlanRecord
from petflame.trial.reading import Reading

if TYPE_CHECKING:
    Endpoints = dict[str, Any]
    NegativeControls = dict[str, Any]
else:
    Endpoints = TypedDict("Endpoints", {e.name: Secondary | None for e in ENDPOINTS} | Said.__annotations__)
    NegativeControls = TypedDict(
        "NegativeControls", {c.name: Control | None for c in NEGATIVE_CONTROLS} | Said.__annotations__
    )


class ArmsDocument(TypedDict):
    """Result of the arm analysis; differences are active minus control."""

    plan: PlanRecord
    reading: Reading | None
    primary: Primary | None
    pooled: Pooled
    patients: Patients
    primary_reason: str | None
    arms: DescribedArms | None
    baseline: BaselineCharacteristics | None
    sensitivity: SensitivityBlocks | None
    vessels: dict[str, Vessel] | None
    mixed: Mixed | None
    vessel_mean: VesselMean | None
    key_secondary: KeySecondaryTests | None
    endpoints: Endpoints | None
    active_composite: ActiveComposite | None
    negative_controls: NegativeControls | None
    band_check: BandCheck | None
    responders: RespondersByLimit | None
    variations: list[VariedEffect] | None
    analysis_set: InSet
    consort: Consort
    strata: list[str]
    notes: list[str]
    set_aside: list[SetAside]
    provenance: Provenance
