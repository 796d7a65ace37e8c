"""Missing follow-up: who has none and why, and multiple imputation of it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from petflame.files import write_tsv
from petflame.folders import StudyOut
from petflame.trial.arms.ancova import Arms, check_design, make_arms
from petflame.trial.arms.auxiliaries import Chosen
from petflame.trial.arms.imputation import draw_missing, pool
from petflame.trial.cohort import Cohort
from petflame.trial.endpoints import BASELINE, FOLLOWUP
from petflame.trial.estimates import Matrix, NotEstimable, is_constant

IMPUTATIONS = 200


class Imputer:
    """Completed-data fits of the primary model, the same draws for every delta.

    Parameters
    ----------
    arms : Arms
        Participants with a baseline; `followup` is NaN where missing.
    imputations, seed : int
    auxiliaries : Chosen, optional
        What stands in the imputation model beside arm, baseline and strata.

    Attributes
    ----------
    completed : ndarray, shape (m, n)
        Follow-up of every participant in each completed set.
    lost : dict
        'active' and 'control': whose follow-up is imputed, shape (n,), bool.
    residual_sd : float
        Of the primary model among those with both visits.
    """

    def __init__(self, arms: Arms, imputations: int, seed: int, auxiliaries: Chosen | None = None) -> None:
        self.n, self.seed = arms.n, seed
        missing = np.isnan(arms.followup)
        if not missing.any():
            raise NotEstimable("no follow-up is missing among participants with a baseline")
        if is_constant(arms.baseline):
            raise NotEstimable("the baseline is the same in every patient")
        extra = np.column_stack([arms.baseline[:, None], arms.covariates])
        self.design = np.column_stack([np.ones(arms.active.size), arms.active, extra - extra.mean(axis=0)])
        seen = self.design[~missing]
        check_design(seen, arms.names)
        y = arms.followup[~missing]
        square = float(((y - seen @ np.linalg.lstsq(seen, y, rcond=None)[0]) ** 2).sum())
        if square <= 1e-20 * float(y @ y):
            raise NotEstimable("the model fits every patient exactly")
        self.residual_sd = math.sqrt(square / (seen.shape[0] - seen.shape[1]))
        chosen = auxiliaries if auxiliaries is not None else Chosen(np.empty((arms.active.size, 0)))
        self.auxiliaries = chosen.records
        incomplete = np.column_stack([chosen.values - np.nanmean(chosen.values, axis=0), arms.followup])
        rng = np.random.default_rng(seed)
        self.completed: Matrix = draw_missing(self.design, incomplete, imputations, rng)[:, :, -1]
        self.lost = {"active": missing & (arms.active == 1), "control": missing & (arms.active == 0)}

    @property
    def imputed(self) -> dict[str, int]:
        """Participants of each arm whose follow-up is imputed."""
        return {arm: int(rows.sum()) for arm, rows in self.lost.items()}

    @property
    def df(self) -> float:
        """Residual degrees of freedom of the primary model on a completed set."""
        return float(self.design.shape[0] - self.design.shape[1])

    def fit(self, followup: Matrix) -> tuple[Matrix, Matrix, float]:
        """Fit the primary model to completed sets.

        Parameters
        ----------
        followup : ndarray, shape (m, n)

        Returns
        -------
        coef : ndarray, shape (m, p)
            Intercept, arm, baseline, then covariates.
        residuals : ndarray, shape (m, n)
        unscaled : float
            Variance of the arm coefficient for a residual variance of one.
        """
        inverse = np.linalg.inv(self.design.T @ self.design)
        coef = followup @ self.design @ inverse
        return coef, followup - coef @ self.design.T, float(inverse[1, 1])

    def pooled(self, followup: Matrix) -> dict[str, float]:
        """Return the difference over completed sets, shape (m, n), by Rubin's rules."""
        coef, residuals, unscaled = self.fit(followup)
        return pool(coef[:, 1], (residuals**2).sum(axis=1) / self.df * unscaled, self.df)

    def estimate(self, delta: float = 0.0, control: float = 0.0) -> dict[str, float]:
        """Return the pooled difference with `delta` added to the imputed values of the active arm, and `control`."""
        return self.pooled(self.completed + delta * self.lost["active"] + control * self.lost["control"])


def missing_arms(cohort: Cohort) -> Arms:
    """Return allocated participants with a baseline; follow-up is NaN where it is missing or not in the set."""
    table = cohort.table[cohort.table["measured_baseline"] & cohort.table["arm"].notna()].copy()
    table["_shown"] = table[FOLLOWUP].where(table["analysed"])
    lost = table["_shown"].isna()
    # The placeholder keeps the row in the complete cases; it is taken out again below.
    table.loc[lost, "_shown"] = 1.0
    complete = table.dropna(subset=list(cohort.strata))
    arms = make_arms(complete, BASELINE, "_shown", cohort.strata)
    followup = np.where(lost[complete.index].to_numpy(), np.nan, arms.followup)
    return Arms(arms.ids, arms.active, arms.baseline, followup, arms.covariates, arms.block, arms.names)


def multiple_imputation(imputer: Imputer) -> dict[str, Any]:
    """Return the pooled difference and what was imputed."""
    return imputation_record(imputer, imputer.estimate())


def imputation_record(imputer: Imputer, pooled: dict[str, float]) -> dict[str, Any]:
    """Return a pooled difference with what was imputed, and from what."""
    return {
        "difference": pooled["estimate"],
        **{key: value for key, value in pooled.items() if key != "estimate"},
        "imputed": imputer.imputed,
        "n": imputer.n,
        "imputations": len(imputer.completed),
        "seed": imputer.seed,
        "auxiliaries": imputer.auxiliaries,
    }


def reasons_table(cohort: Cohort) -> pd.DataFrame:
    """Return participants that are not analysed: participant_id, arm (unless blinded), missing, reason, sorted."""
    table = cohort.table[~cohort.table["analysed"]]
    extra: dict[str, list[str]] = {}
    if cohort.exclusions is not None and {"participant_id", "reason"} <= set(cohort.exclusions.columns):
        for row in cohort.exclusions.dropna(subset=["participant_id", "reason"]).to_dict("records"):
            extra.setdefault(str(row["participant_id"]), []).append(str(row["reason"]))
    rows = []
    for row in table.to_dict("records"):
        visits = [v for v in ("baseline", "followup") if not row[f"measured_{v}"]]
        words = [row["left_out"], *extra.get(row["participant_id"], [])]
        rows.append(
            {
                "participant_id": row["participant_id"],
                "arm": row["arm"],
                "missing": ", ".join(visits) or "none",
                "reason": "; ".join(dict.fromkeys(words)),
            }
        )
    found = pd.DataFrame(rows, columns=["participant_id", "arm", "missing", "reason"])
    return found.drop(columns="arm") if cohort.blinded else found


def write_reasons(cohort: Cohort, out: Path) -> None:
    """Write ``not_analysed.tsv``: who is not in the analysis set, and why."""
    meanings = {
        "participant_id": ("participant", ""),
        "arm": ("active or control; n/a when not in the allocation", ""),
        "missing": (
            "visits without a value of the index vessel, which is chosen at baseline: with no usable baseline, both",
            "",
        ),
        "reason": ("why, from the tables", ""),
    }
    write_tsv(StudyOut(out).not_analysed, reasons_table(cohort), meanings)
