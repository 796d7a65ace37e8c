"""The analysis plan as data: the estimand in words, and every choice that the analysis would else make by itself."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from petflame.anatomy import ARTERIES, TARGET_VESSELS, title
from petflame.trial.endpoints import COVARIATES, ENDPOINTS, PRIMARY

Words = Annotated[str, Field(min_length=1, max_length=2000)]
ShortName = Annotated[str, Field(min_length=1, max_length=100)]
Years = Annotated[float, Field(gt=0, le=60, allow_inf_nan=False)]
Alpha = Annotated[float, Field(gt=0, lt=0.5, allow_inf_nan=False)]
Strategy = Literal["treatment policy", "composite variable", "hypothetical", "principal stratum", "while on treatment"]
Percentage = Literal["adjusted_percent", "log_ratio_percent", "mean_percent_change_difference"]
Multiplicity = Literal["holm", "hierarchical"]
Repeatability = Literal["assumed", "scan_rescan"]

VESSELS = "vessels"
UNKNOWN_STUDY = "UNKNOWN"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class IntercurrentEvent(_Part):
    """What may happen after randomisation and before the second scan, and how it is dealt with."""

    event: Words
    strategy: Strategy
    handling: Words


class Estimand(_Part):
    """What is to be estimated, in the five attributes of ICH E9(R1)."""

    population: Words
    variable: Words
    treatment: Words
    intercurrent_events: tuple[IntercurrentEvent, ...]
    summary: Words


class PrimaryAnalysis(_Part):
    """The one confirmatory comparison."""

    endpoint: Literal["tbr_max"] = "tbr_max"
    percentage: Percentage = "adjusted_percent"
    alpha: Alpha = 0.05
    missing_data: Literal["complete_cases"] = "complete_cases"


class KeySecondary(_Part):
    """What is tested after the primary; `vessels` stands for the target vessels of the protocol."""

    endpoints: tuple[ShortName, ...] = (VESSELS,)
    multiplicity: Multiplicity = "holm"

    @model_validator(mode="after")
    def _known(self) -> KeySecondary:
        known = (VESSELS, *ARTERIES, *(e.name for e in ENDPOINTS))
        unknown = [name for name in self.endpoints if name not in known]
        if unknown:
            raise ValueError(f"unknown endpoints {', '.join(unknown)}; known are {', '.join(known)}")
        if len(set(self.endpoints)) < len(self.endpoints):
            raise ValueError(f"the endpoints {', '.join(self.endpoints)} repeat")
        return self

    def in_order(self, target_vessels: tuple[str, ...] = TARGET_VESSELS) -> tuple[str, ...]:
        """Return the endpoints with `vessels` spelled out.

        >>> KeySecondary(endpoints=("vessel_mean", "vessels")).in_order(("aorta_arch",))
        ('vessel_mean', 'aorta_arch')
        """
        spelled = [n for name in self.endpoints for n in (target_vessels if name == VESSELS else (name,))]
        return tuple(dict.fromkeys(spelled))


class Events(_Part):
    """The comparison of follow-up events; times in years from randomisation."""

    horizon_years: Years = 2.0
    landmark_years: Years = 0.25

    @model_validator(mode="after")
    def _ordered(self) -> Events:
        if self.landmark_years >= self.horizon_years:
            raise ValueError("the landmark does not stand before the horizon")
        return self


class Resampling(_Part):
    """Draws of the resampling tests."""

    seed: Annotated[int, Field(ge=0, lt=2**63)] = 4241601
    permutations: Annotated[int, Field(ge=100, le=1_000_000)] = 20000


class AnalysisPlan(_Part):
    """The analysis plan of a trial.

    Attributes
    ----------
    study_id : str
    estimand : Estimand
    primary : PrimaryAnalysis
    sample_size : str, optional
        How it was found, in words.
    analysis_set : {'all_measured', 'comparable'}
    strata : tuple of str
        Columns of participants.tsv that the randomisation was stratified by.
    key_secondary : KeySecondary
        Tested only once the primary is significant; everything else is exploratory.
    sensitivity : tuple of str
        Analyses of the primary under other assumptions, by their names in ``arms.json``.
    covariates : tuple of str
        Further adjustments that are planned as sensitivity analyses.
    responder : str
        The one definition of a responder: ``configured`` (the repeatability band) or ``published_<limit>_percent``.
    repeatability : {'assumed', 'scan_rescan'}
        What the band of one patient's change rests on.
    events : Events
    resampling : Resampling
    """

    study_id: ShortName
    estimand: Estimand
    primary: PrimaryAnalysis = PrimaryAnalysis()
    sample_size: Words | None = None
    analysis_set: Literal["all_measured", "comparable"] = "all_measured"
    strata: tuple[ShortName, ...] = ()
    key_secondary: KeySecondary = KeySecondary()
    sensitivity: tuple[ShortName, ...] = ()
    covariates: tuple[ShortName, ...] = ()
    responder: Annotated[str, Field(pattern=r"^(configured|published_[0-9]+(\.[0-9]+)?_percent)$")] = "configured"
    repeatability: Repeatability = "assumed"
    events: Events = Events()
    resampling: Resampling = Resampling()

    @model_validator(mode="after")
    def _known_covariates(self) -> AnalysisPlan:
        known = (*(c.name for c in COVARIATES), "all")
        unknown = [name for name in self.covariates if name not in known]
        if unknown:
            raise ValueError(f"unknown covariates {unknown}; known are {', '.join(known)}")
        if len(set(self.strata)) < len(self.strata):
            raise ValueError(f"the strata {', '.join(self.strata)} repeat")
        return self


def endpoint_title(name: str) -> str:
    """Return how an endpoint or a vessel is called.

    >>> endpoint_title("vessel_mean"), endpoint_title("carotid_left")
    ('Mean of the target vessels', 'Left carotid')
    """
    titles = {e.name: e.title for e in (PRIMARY, *ENDPOINTS)}
    return titles.get(name) or title(name)
