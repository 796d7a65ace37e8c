"""What the arms are compared on: every endpoint, negative control and covariate, each declared once.

A row added here is read from PATIENTS, analysed, written to ``arms.json`` and shown in the report.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Endpoint:
    """A measure of both visits, compared by the primary model.

    Attributes
    ----------
    name : str
        Key in ``arms.json``.
    title : str
        Heading of its row in the report.
    sentence : str
        What it is, in words.
    baseline, followup : str
        Its columns of PATIENTS.
    percent : bool
        Whether the difference also makes sense in percent of the control mean.
    sections : str
        Which sections it takes, where that alone sets it apart from the primary; empty elsewhere.
    share : str
        Stem of the columns with the share of its sections: a share of zero says that there are none. Empty where
        the endpoint does not vanish with its sections.
    locked : bool
        Whether the follow-up is read in the sections found at baseline.
    code, parameter, unit : str
        In the CDISC datasets: PARAMCD (at most 8 characters), and PARAM as words and unit.
    """

    name: str
    title: str
    sentence: str
    baseline: str
    followup: str
    percent: bool = True
    sections: str = ""
    share: str = ""
    locked: bool = False
    code: str = field(kw_only=True)
    parameter: str = field(kw_only=True)
    unit: str = field(kw_only=True)

    @property
    def columns(self) -> tuple[str, str]:
        """Its columns of PATIENTS."""
        return self.baseline, self.followup


@dataclass(frozen=True)
class NegativeControl:
    """A quantity of both visits that the drug should not change; columns are the name with ``_baseline`` and so on.

    Its ``code`` is PARAMCD of the CDISC datasets, at most 8 characters.
    """

    name: str
    sentence: str
    unit: str
    code: str

    @property
    def columns(self) -> tuple[str, str]:
        """Its columns of PATIENTS."""
        return f"{self.name}_baseline", f"{self.name}_followup"


@dataclass(frozen=True)
class Covariate:
    """A column by which the primary difference is adjusted further.

    Attributes
    ----------
    name : str
        Its column, of PATIENTS or made.
    sentence : str
        What it is, in words.
    difference_of : str
        Stem of the two columns whose difference it is; empty where PATIENTS holds it.
    categories : bool
        Whether its values are names.
    """

    name: str
    sentence: str
    difference_of: str = ""
    categories: bool = False

    @property
    def words(self) -> str:
        """What it is and, where it needs saying, when it arises."""
        return f"{self.sentence} (a post-randomisation covariate)" if self.after_randomisation else self.sentence

    @property
    def after_randomisation(self) -> bool:
        """Whether the drug may have changed it: then adjusting for it may take away some of the effect."""
        return bool(self.difference_of)


PRIMARY = Endpoint(
    "tbr_max",
    "TBRmax of the index vessel",
    "mean TBRmax of the index vessel",
    "tbr_max_baseline",
    "tbr_max_followup",
    code="TBRINDEX",
    parameter="Mean TBRmax, Index Vessel",
    unit="ratio",
)
BASELINE, FOLLOWUP = PRIMARY.columns
ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        "vessel_mean",
        "Mean of the target vessels",
        "mean over the target vessels of mean TBRmax",
        "vessel_mean_baseline",
        "vessel_mean_followup",
        sections="all target vessels",
        code="TBRMEAN",
        parameter="Mean TBRmax, Mean of the Target Vessels",
        unit="ratio",
    ),
    Endpoint(
        "mds_locked",
        "Most diseased segment, locked at baseline",
        "most diseased segment found at baseline, index vessel",
        "mds_baseline",
        "mds_locked_followup",
        sections="worst 15 mm, locked at baseline",
        locked=True,
        code="TBRMDSL",
        parameter="Mean TBRmax, Most Diseased Segment, Locked at Baseline",
        unit="ratio",
    ),
    Endpoint(
        "mds_refound",
        "Most diseased segment, refound",
        "most diseased segment found anew at follow-up",
        "mds_baseline",
        "mds_refound_followup",
        sections="worst 15 mm, found anew",
        code="TBRMDSR",
        parameter="Mean TBRmax, Most Diseased Segment, Refound at Each Visit",
        unit="ratio",
    ),
    Endpoint(
        "active_locked",
        "Active sections, locked at baseline",
        "sections active at baseline, target vessels",
        "active_baseline",
        "active_locked_followup",
        sections="active sections, locked at baseline",
        share="active_fraction",
        locked=True,
        code="TBRACTL",
        parameter="Mean TBRmax, Active Sections, Locked at Baseline",
        unit="ratio",
    ),
    Endpoint(
        "active_refound",
        "Active sections, refound",
        "sections active at each visit, target vessels",
        "active_baseline",
        "active_refound_followup",
        sections="active sections, found anew",
        share="active_fraction",
        code="TBRACTR",
        parameter="Mean TBRmax, Active Sections, Refound at Each Visit",
        unit="ratio",
    ),
    Endpoint(
        "active_fraction",
        "Share of active sections",
        "share of active sections",
        "active_fraction_baseline",
        "active_fraction_followup",
        percent=False,
        code="ACTFRAC",
        parameter="Share of Active Sections",
        unit="fraction of 1",
    ),
    Endpoint(
        "csuv_max",
        "SUVmax less blood pool",
        "SUVmax less blood pool, index vessel (g/mL)",
        "csuv_max_baseline",
        "csuv_max_followup",
        code="CSUVMAX",
        parameter="SUVmax Less Blood Pool, Index Vessel",
        unit="g/mL",
    ),
)
NEGATIVE_CONTROLS: tuple[NegativeControl, ...] = (
    NegativeControl("blood_pool_suv", "blood-pool SUV", "g/mL", "BPSUV"),
    NegativeControl("liver_suv", "liver SUV", "g/mL", "LIVERSUV"),
    NegativeControl("uptake_min", "uptake time", "min", "UPTIME"),
    NegativeControl("glucose_mmol_l", "blood glucose", "mmol/L", "GLUC"),
    NegativeControl("dose_per_kg", "injected dose", "MBq/kg", "DOSEKG"),
)
COVARIATES: tuple[Covariate, ...] = (
    Covariate(
        "uptake_difference",
        "uptake time at follow-up less baseline, min",
        difference_of="uptake_min",
    ),
    Covariate(
        "glucose_difference",
        "blood glucose at follow-up less baseline, mmol/L",
        difference_of="glucose_mmol_l",
    ),
    Covariate("scanner", "scanner model, as categories", categories=True),
    Covariate("bmi", "body mass index, kg/m2"),
)


def number_columns() -> frozenset[str]:
    """Return the columns of PATIENTS, beyond the primary's, that must hold numbers."""
    compared: tuple[Endpoint | NegativeControl, ...] = (*ENDPOINTS, *NEGATIVE_CONTROLS)
    own = {c.name for c in COVARIATES if not (c.categories or c.difference_of)}
    return frozenset(own | {column for row in compared for column in row.columns})
