"""What the arms are compared on: every endpoint, negative control and covariate, each declared once.

A row added here is read from PATIENTS, analysed, written to ``arms.json`` and shown in the report.
"""

from __future__ import annotations

from dataclasses import dataclass


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

    @property
    def columns(self) -> tuple[str, str]:
        """Its columns of PATIENTS."""
        return self.baseline, self.followup


@dataclass(frozen=True)
class NegativeControl:
    """A quantity of both visits that the drug should not change; columns are the name with ``_baseline`` and so on."""

    name: str
    sentence: str
    unit: str

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


PRIMARY = Endpoint(
    "tbr_max", "TBRmax of the index vessel", "mean TBRmax of the index vessel", "tbr_max_baseline", "tbr_max_followup"
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
    ),
    Endpoint(
        "mds_locked",
        "Most diseased segment, locked at baseline",
        "most diseased segment found at baseline, index vessel",
        "mds_baseline",
        "mds_locked_followup",
        sections="worst 15 mm, locked at baseline",
        locked=True,
    ),
    Endpoint(
        "mds_refound",
        "Most diseased segment, refound",
        "most diseased segment found anew at follow-up",
        "mds_baseline",
        "mds_refound_followup",
        sections="worst 15 mm, found anew",
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
    ),
    Endpoint(
        "active_refound",
        "Active sections, refound",
        "sections active at each visit, target vessels",
        "active_baseline",
        "active_refound_followup",
        sections="active sections, found anew",
        share="active_fraction",
    ),
    Endpoint(
        "active_fraction",
        "Share of active sections",
        "share of active sections",
        "active_fraction_baseline",
        "active_fraction_followup",
        percent=False,
    ),
    Endpoint(
        "csuv_max",
        "SUVmax less blood pool",
        "SUVmax less blood pool, index vessel (g/mL)",
        "csuv_max_baseline",
        "csuv_max_followup",
    ),
)
NEGATIVE_CONTROLS: tuple[NegativeControl, ...] = (
    NegativeControl("blood_pool_suv", "blood-pool SUV", "g/mL"),
    NegativeControl("liver_suv", "liver SUV", "g/mL"),
    NegativeControl("uptake_min", "uptake time", "min"),
    NegativeControl("glucose_mmol_l", "blood glucose", "mmol/L"),
    NegativeControl("dose_per_kg", "injected dose", "MBq/kg"),
)
COVARIATES: tuple[Covariate, ...] = (
    Covariate("uptake_difference", "uptake time at follow-up less baseline, min", difference_of="uptake_min"),
    Covariate("glucose_difference", "blood glucose at follow-up less baseline, mmol/L", difference_of="glucose_mmol_l"),
    Covariate("scanner", "scanner model, as categories", categories=True),
    Covariate("bmi", "body mass index, kg/m2"),
)


def number_columns() -> frozenset[str]:
    """Return the columns of PATIENTS, beyond the primary's, that must hold numbers."""
    compared: tuple[Endpoint | NegativeControl, ...] = (*ENDPOINTS, *NEGATIVE_CONTROLS)
    own = {c.name for c in COVARIATES if not (c.categories or c.difference_of)}
    return frozenset(own | {column for row in compared for column in row.columns})
