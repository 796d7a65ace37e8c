"""What an analysis is given: its tables and its choices, each one frozen value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Literal

from petflame.anatomy import TARGET_VESSELS
from petflame.protocol import ChangeRules
from petflame.repeatability import Repeatability

AnalysisSet = Literal["all_measured", "comparable"]
SEED = 4241601
PERMUTATIONS = 20000


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
    """

    patients: Path
    vessels: Path | None = None
    allocation: Path | None = None
    participants: Path | None = None
    exclusions: Path | None = None
    reliability: Path | None = None
    variations: Path | None = None

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
    """

    strata: tuple[str, ...] = ()
    analysis_set: AnalysisSet = "all_measured"
    target_vessels: tuple[str, ...] = TARGET_VESSELS
    repeatability: Repeatability = field(default_factory=lambda: Repeatability.of(ChangeRules()))
    about_variations: Mapping[str, str] = field(default_factory=dict)
    seed: int = SEED
    permutations: int = PERMUTATIONS
    study_id: str = "UNKNOWN"
