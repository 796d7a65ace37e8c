"""Missing follow-up: multiple imputation, the tipping point, the reasons."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from petflame.files import write_tsv
from petflame.folders import StudyOut
from petflame.trial.arms.ancova import Arms, check_design, make_arms
from petflame.trial.cohort import Cohort
from petflame.trial.endpoints import BASELINE, FOLLOWUP
from petflame.trial.estimates import LEVEL, Matrix, NotEstimable, Vector, is_constant, t_record

IMPUTATIONS = 200


def pool(estimates: Vector, variances: Vector, complete_df: float) -> dict[str, float]:
    """Combine completed-data estimates by Rubin's rules with Barnard and Rubin's degrees of freedom.

    Parameters
    ----------
    estimates, variances : ndarray, shape (m,)
    complete_df : float
        Residual degrees of freedom had nothing been missing.

    Returns
    -------
    dict
        estimate, se, df, ci_low, ci_high, p, and fraction_missing (share of variance due to missingness).

    References
    ----------
    Rubin DB. Multiple imputation for nonresponse in surveys. 1987. Barnard J, Rubin DB. Biometrika 1999;86:948-955.
    """
    m = estimates.size
    within, between = float(variances.mean()), float(estimates.var(ddof=1))
    total = within + (1 + 1 / m) * between
    share = (1 + 1 / m) * between / total
    observed = (complete_df + 1) / (complete_df + 3) * complete_df * (1 - share)
    df = 1 / (1 / observed + share**2 / (m - 1)) if share > 0 else observed
    return {**t_record(float(estimates.mean()), math.sqrt(total), df), "fraction_missing": share}


class Imputer:
    """Completed-data fits of the primary model, the same draws for every delta.

    Parameters
    ----------
    arms : Arms
        Participants with a baseline; `followup` is NaN where missing.
    imputations, seed : int
    """

    def __init__(self, arms: Arms, imputations: int, seed: int) -> None:
        self.n, self.seed = arms.n, seed
        self.missing = np.isnan(arms.followup)
        if not self.missing.any():
            raise NotEstimable("no follow-up is missing among participants with a baseline")
        if is_constant(arms.baseline):
            raise NotEstimable("the baseline is the same in every patient")
        extra = np.column_stack([arms.baseline[:, None], arms.covariates])
        self.design = np.column_stack([np.ones(arms.active.size), arms.active, extra - extra.mean(axis=0)])
        seen = self.design[~self.missing]
        check_design(seen, arms.names)
        y = arms.followup[~self.missing]
        inverse = np.linalg.inv(seen.T @ seen)
        coef = inverse @ seen.T @ y
        df = seen.shape[0] - seen.shape[1]
        square = float(((y - seen @ coef) ** 2).sum())
        if square <= 1e-20 * float(y @ y):
            raise NotEstimable("the model fits every patient exactly")
        rng = np.random.default_rng(seed)
        sigma = np.sqrt(square / rng.chisquare(df, imputations))
        shifts = rng.standard_normal((imputations, coef.size)) @ np.linalg.cholesky(inverse).T
        drawn = coef + sigma[:, None] * shifts
        noise = rng.standard_normal((imputations, int(self.missing.sum()))) * sigma[:, None]
        self.residual_sd = math.sqrt(square / df)
        self.completed: Matrix = np.tile(arms.followup, (imputations, 1))
        self.completed[:, self.missing] = drawn @ self.design[self.missing].T + noise
        self.shifted = self.missing & (arms.active == 1)

    def estimate(self, delta: float = 0.0) -> dict[str, float]:
        """Return the pooled difference with `delta` added to the active arm's imputed values."""
        y = self.completed + delta * self.shifted
        inverse = np.linalg.inv(self.design.T @ self.design)
        coef = y @ self.design @ inverse
        residual = y - coef @ self.design.T
        df = self.design.shape[0] - self.design.shape[1]
        variance = (residual**2).sum(axis=1) / df * inverse[1, 1]
        return pool(coef[:, 1], variance, df)


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
    record = imputer.estimate()
    active = int(imputer.shifted.sum())
    return {
        "difference": record.pop("estimate"),
        **record,
        "imputed": {"active": active, "control": int(imputer.missing.sum()) - active},
        "n": imputer.n,
        "imputations": len(imputer.completed),
        "seed": imputer.seed,
    }


def tipping_point(imputer: Imputer) -> dict[str, Any]:
    """Return the smallest delta, added to what is imputed in the active arm, that takes p to 0.05 or above."""
    record: dict[str, Any] = dict.fromkeys(("delta", "grid", "delta_in_residual_sd"))
    if not imputer.shifted.any():
        return record | {"reason": "no follow-up is missing in the active arm"}
    alpha = 1 - LEVEL
    start = imputer.estimate()
    steps = imputer.residual_sd * np.arange(0, 5.01, 0.25)
    # Deltas work against the effect: upwards when active is lower.
    sign = 1.0 if start["estimate"] <= 0 else -1.0
    grid = []
    for delta in sign * steps:
        found = imputer.estimate(float(delta))
        grid.append({"delta": float(delta), "difference": found["estimate"], "p": found["p"]})
    record["grid"] = grid
    if start["p"] >= alpha:
        return record | {"reason": "p is not below 0.05 even without a delta"}
    beyond = [k for k, row in enumerate(grid) if row["p"] >= alpha]
    if not beyond:
        return record | {"reason": f"p stays below 0.05 up to a delta of {grid[-1]['delta']:.2f}"}
    low, high = grid[beyond[0] - 1]["delta"], grid[beyond[0]]["delta"]
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if imputer.estimate(middle)["p"] >= alpha else (middle, high)
    return record | {"delta": high, "delta_in_residual_sd": high / imputer.residual_sd}


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
