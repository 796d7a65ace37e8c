"""What an analysis is given: its tables and its choices, each one frozen value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Literal

from petflame.anatomy import TARGET_VESSELS
from petflame.protocol import ChangeRules, Protocol
from petflame.repeatability import Repeatability
from petflame.trial.plan.blocks import PlanRecord
from petflame.trial.plan.deviations import plan_record
from petflame.trial.plan.model import UNKNOWN_STUDY, KeySecondary, PrimaryAnalysis, Resampling
from petflame.trial.plan.sealing import SealedPlan, read_plan

AnalysisSet = Literal["all_measured", "comparable"]
SEED, PERMUTATIONS = Resampling().seed, Resampling().permutations


@dataclass(frozen=True)
class TrialTables:
    """The tables of a study; TBR values are ratios without unit.

    Attributes
    ----------
    patients : Path
        A row a participant; the only table that is needed.
    vessels : Path, optional
        A row a participant and vessel.
    allocation : Path, optional
        The arms; without it the description is pooled and blinded.
    participants : Path, optional
        Everybody who was screened; holds the strata.
    exclusions : Path, optional
        Refusals and flags, to count reasons.
    reliability : Path, optional
        A ``reliability.json``; its within-subject CV goes before the one configured.
    variations : Path, optional
        The study's ``variations.tsv``: the effect under every variation of the measurement.
    plan : Path, optional
        The sealed analysis plan (``sap.sealed.json``), which the analysis follows and is held against.
    """

    patients: Path
    vessels: Path | None = None
    allocation: Path | None = None
    participants: Path | None = None
    exclusions: Path | None = None
    reliability: Path | None = None
    variations: Path | None = None
    plan: Path | None = None

    @property
    def given(self) -> dict[str, Path]:
        """The tables that there are, by name."""
        named = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: path for name, path in named.items() if path is not None}

    @property
    def collected(self) -> tuple[Path | None, ...]:
        """The tables that ``collect`` writes, in its order."""
        return self.patients, self.vessels, self.exclusions, self.variations


@dataclass(frozen=True)
class AnalysisChoices:
    """What is chosen before the arms are seen.

    Attributes
    ----------
    strata : tuple of str
        Columns of PARTICIPANTS taken as categories, in the models and in the permutation.
    analysis_set : {'all_measured', 'comparable'}
    target_vessels : tuple of str
        The vessels of the Holm correction and of the mixed model.
    repeatability : Repeatability
        Of repeated scans, for the band of one patient's percent change; default is the default protocol's.
    about_variations : mapping
        Variation to what it does, in the order to report them.
    seed, permutations : int
        Of the permutation test; the bootstrap uses seed + 1, the imputation seed + 2.
    study_id : str
        Identifier of the study in the CDISC datasets.
    protocol : Protocol
        The measurement protocol in use.
    sealed : SealedPlan, optional
        The plan that was sealed before the arms were known.
    """

    strata: tuple[str, ...] = ()
    analysis_set: AnalysisSet = "all_measured"
    target_vessels: tuple[str, ...] = TARGET_VESSELS
    repeatability: Repeatability = field(default_factory=lambda: Repeatability.of(ChangeRules()))
    about_variations: Mapping[str, str] = field(default_factory=dict)
    seed: int = SEED
    permutations: int = PERMUTATIONS
    study_id: str = UNKNOWN_STUDY
    protocol: Protocol = field(default_factory=Protocol)
    sealed: SealedPlan | None = None

    @classmethod
    def of(
        cls,
        protocol: Protocol,
        plan: Path | None = None,
        strata: tuple[str, ...] = (),
        analysis_set: AnalysisSet | None = None,
        study_id: str = UNKNOWN_STUDY,
    ) -> AnalysisChoices:
        """Take what is given, else what the sealed plan says, else the protocol's.

        Raises
        ------
        InputRefused
            When the plan is not as it was sealed.
        """
        sealed = None if plan is None else read_plan(plan)
        planned = None if sealed is None else sealed.plan
        resampling = Resampling() if planned is None else planned.resampling
        return cls(
            strata=strata or (() if planned is None else planned.strata),
            analysis_set=analysis_set or (protocol.analysis_set if planned is None else planned.analysis_set),
            target_vessels=protocol.summary.target_vessels,
            repeatability=Repeatability.of(protocol.change),
            about_variations={v.name: v.about for v in protocol.sensitivity},
            seed=resampling.seed,
            permutations=resampling.permutations,
            study_id=planned.study_id if planned is not None and study_id == UNKNOWN_STUDY else study_id,
            protocol=protocol,
            sealed=sealed,
        )

    @property
    def alpha(self) -> float:
        """Two-sided level of the primary test."""
        return PrimaryAnalysis().alpha if self.sealed is None else self.sealed.plan.primary.alpha

    @property
    def key_secondary(self) -> tuple[str, ...]:
        """What is tested after the primary, in order."""
        planned = KeySecondary() if self.sealed is None else self.sealed.plan.key_secondary
        return planned.in_order(self.target_vessels)

    def plan_record(self, within_subject: str) -> PlanRecord:
        """Return the ``plan`` block of the analysis; `within_subject` is what the band rests on."""
        done = {
            "study": self.study_id,
            "analysis set": self.analysis_set,
            "strata": list(self.strata),
            "variation behind one patient's band": within_subject,
            "seed": self.seed,
            "permutations": self.permutations,
        }
        return plan_record(self.sealed, self.protocol, done, self.key_secondary)
