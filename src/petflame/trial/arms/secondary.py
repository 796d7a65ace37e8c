"""The other columns of PATIENTS through the primary model: secondary endpoints, negative controls, covariates."""

from __future__ import annotations

from typing import Any

import pandas as pd

from petflame.trial.arms.absent import out_of_sight, without_endpoint, without_values
from petflame.trial.arms.ancova import Arms, adjusted_percent, ancova, difference_record, make_arms
from petflame.trial.arms.blocks import AdjustedPercent, Control, Secondary
from petflame.trial.blocks import block
from petflame.trial.cohort import Cohort
from petflame.trial.endpoints import (
    BASELINE,
    COVARIATES,
    ENDPOINTS,
    FOLLOWUP,
    NEGATIVE_CONTROLS,
    Covariate,
    Endpoint,
    NegativeControl,
)

ENDPOINTS_SENTENCE = (
    "The primary model for the other measures of the same patients, without correction for multiplicity. "
    "Locked selections fall by regression to the mean in both arms; only the difference between arms can be read."
)
CONTROLS_SENTENCE = (
    "The primary model for quantities the drug should not change, each with its own baseline; "
    "an arm difference here would question the primary result."
)
COVARIATES_SENTENCE = (
    "The primary model with further covariates, among patients who have them. What arises after randomisation may "
    "carry some of the drug's effect: adjusting for it asks another question than the primary."
)


def _estimate(arms: Arms, percent: bool) -> dict[str, Any]:
    """Return the adjusted difference, the control mean and, where wanted, the difference in percent of it."""
    fit = ancova(arms)
    found: dict[str, Any] = {"n": arms.n, **difference_record(fit), "control_mean": float(fit.coef[0])}
    return found | (adjusted_percent(fit) if percent else {})


def endpoint_blocks(cohort: Cohort, target_vessels: tuple[str, ...]) -> dict[str, Secondary | None]:
    """Return every declared endpoint; null where PATIENTS has no columns of it."""
    used, unseen = cohort.analysed, out_of_sight(cohort.vessels, target_vessels)

    def made(endpoint: Endpoint) -> Secondary:
        arms = make_arms(used, *endpoint.columns, cohort.strata)
        bare = dict.fromkeys(AdjustedPercent.__annotations__)
        return block(
            Secondary,
            lambda: bare | _estimate(arms, endpoint.percent),
            n=arms.n,
            missing=without_endpoint(used, endpoint, unseen),
            meaning=endpoint.sentence,
        )

    return {e.name: made(e) if set(e.columns) <= set(used.columns) else None for e in ENDPOINTS}


def negative_controls(cohort: Cohort) -> dict[str, Control | None]:
    """Return the arm difference of every declared negative control; null where PATIENTS has no columns of it."""
    used = cohort.analysed

    def made(control: NegativeControl) -> Control:
        arms = make_arms(used, *control.columns, cohort.strata)
        return block(
            Control,
            lambda: _estimate(arms, percent=False),
            n=arms.n,
            missing=without_values(used, control.columns),
            meaning=control.sentence,
            unit=control.unit,
        )

    return {c.name: made(c) if set(c.columns) <= set(used.columns) else None for c in NEGATIVE_CONTROLS}


def with_covariates(table: pd.DataFrame) -> pd.DataFrame:
    """Add the covariate columns that the table's columns allow."""
    table = table.copy()
    for covariate in COVARIATES:
        stem = covariate.difference_of
        if stem and {f"{stem}_baseline", f"{stem}_followup"} <= set(table.columns):
            table[covariate.name] = table[f"{stem}_followup"] - table[f"{stem}_baseline"]
    return table


def covariate_blocks(cohort: Cohort) -> dict[str, Secondary | None]:
    """Return the primary difference adjusted for each declared covariate alone and for all that there are together."""
    table = with_covariates(cohort.analysed)
    there = [
        c for c in COVARIATES if c.name in table.columns and table[c.name].notna().any() and c.name not in cohort.strata
    ]

    def adjusted(chosen: list[Covariate]) -> Secondary:
        strata = (*cohort.strata, *(c.name for c in chosen if c.categories))
        numbers = tuple(c.name for c in chosen if not c.categories)
        return block(
            Secondary,
            lambda: _estimate(make_arms(table, BASELINE, FOLLOWUP, strata, numbers), percent=True),
            meaning="; ".join(c.words for c in chosen),
            missing=without_values(table, [c.name for c in chosen]),
        )

    return {
        **{c.name: adjusted([c]) if c in there else None for c in COVARIATES},
        "all": adjusted(there) if len(there) > 1 else None,
    }
