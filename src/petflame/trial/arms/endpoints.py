"""The other columns of PATIENTS through the primary model: secondary endpoints, negative controls, covariates."""

from __future__ import annotations

from typing import Any

import pandas as pd

from petflame.trial.arms.ancova import Arms, adjusted_percent, ancova, difference_record, make_arms
from petflame.trial.cohort import Cohort
from petflame.trial.columns import CONTROLS, COVARIATES, ENDPOINTS
from petflame.trial.estimates import attempt

KEYS = ("difference", "se", "df", "ci_low", "ci_high", "p")

DEFINITIONS: dict[str, str] = {
    "negative_controls": "The primary model for quantities the drug should not change, each with its own baseline; "
    "an arm difference here would question the primary result.",
    "endpoints": "The primary model for the other measures of the same patients, without correction for multiplicity. "
    "Locked selections fall by regression to the mean in both arms; only the difference between arms can be read.",
    "covariates": "The primary model with further covariates, among patients who have them.",
}


def _record(arms: Arms, *, percent: bool) -> dict[str, Any]:
    fit = ancova(arms)
    record: dict[str, Any] = {"n": arms.n, **difference_record(fit), "control_mean": float(fit.coef[0])}
    return record | (adjusted_percent(fit) if percent else {})


def endpoint_blocks(cohort: Cohort) -> dict[str, Any]:
    """Return every secondary endpoint whose columns are in PATIENTS."""
    used = cohort.analysed
    blocks: dict[str, Any] = {}
    for name, (baseline, followup, meaning) in ENDPOINTS.items():
        if not {baseline, followup} <= set(used.columns):
            continue
        percent = name not in ("active_fraction",)
        blocks[name] = attempt(
            lambda b=baseline, f=followup, p=percent: _record(make_arms(used, b, f, cohort.strata), percent=p),  # type: ignore[misc]
            KEYS,
        ) | {"meaning": meaning}
    return blocks | ({"definition": DEFINITIONS["endpoints"]} if blocks else {})


def negative_controls(cohort: Cohort) -> dict[str, Any]:
    """Return the arm difference of every negative control whose columns are in PATIENTS."""
    used = cohort.analysed
    blocks: dict[str, Any] = {}
    for name, (meaning, unit) in CONTROLS.items():
        baseline, followup = f"{name}_baseline", f"{name}_followup"
        if {baseline, followup} <= set(used.columns):
            blocks[name] = attempt(
                lambda b=baseline, f=followup: _record(make_arms(used, b, f, cohort.strata), percent=False),  # type: ignore[misc]
                KEYS,
            ) | {"meaning": meaning, "unit": unit}
    return blocks | ({"definition": DEFINITIONS["negative_controls"]} if blocks else {})


def with_covariates(table: pd.DataFrame) -> pd.DataFrame:
    """Add the covariate columns that the table's columns allow."""
    table = table.copy()
    for name, stem in (("uptake_difference", "uptake_min"), ("glucose_difference", "glucose_mmol_l")):
        if {f"{stem}_baseline", f"{stem}_followup"} <= set(table.columns):
            table[name] = table[f"{stem}_followup"] - table[f"{stem}_baseline"]
    return table


def covariate_blocks(cohort: Cohort) -> dict[str, Any]:
    """Return the primary difference adjusted for each available covariate alone and for all of them together."""
    table = with_covariates(cohort.analysed)
    there = [c for c in COVARIATES if c in table.columns and table[c].notna().any() and c not in cohort.strata]
    blocks: dict[str, Any] = {}
    for chosen in [[c] for c in there] + [there] if len(there) > 1 else [[c] for c in there]:
        strata = (*cohort.strata, *(c for c in chosen if c == "scanner"))
        numbers = tuple(c for c in chosen if c != "scanner")
        name = chosen[0] if len(chosen) == 1 else "all"
        blocks[name] = attempt(
            lambda s=strata, k=numbers: _record(  # type: ignore[misc]
                make_arms(table, "tbr_max_baseline", "tbr_max_followup", s, k), percent=True
            ),
            (*KEYS, "adjusted_percent"),
        ) | {"meaning": "; ".join(COVARIATES[c] for c in chosen)}
    return blocks | ({"definition": DEFINITIONS["covariates"]} if blocks else {})
