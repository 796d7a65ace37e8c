"""Was the effect greater where inflammation was higher? Between arms only; a fall within an arm is never an effect."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from petflame.trial.arms.ancova import Arms, check_design, design_matrix, difference_record, fit_linear
from petflame.trial.arms.blocks import Difference, Estimate, Third
from petflame.trial.arms.mixed import fit_random_intercept, sum_contrasts
from petflame.trial.blocks import complete
from petflame.trial.estimates import Matrix, NotEstimable, is_constant, t_record

PERCENTILES: tuple[int, ...] = (10, 50, 90)


def _interaction_design(arms: Arms) -> Matrix:
    design = design_matrix(arms)
    design = np.column_stack([design, design[:, 1] * design[:, 2]])
    check_design(design, (*arms.names, "arm x baseline"))
    return design


def interaction(arms: Arms) -> dict[str, Any]:
    """Return the arm x baseline interaction with the effect at the 10th, 50th and 90th baseline percentile.

    Raises
    ------
    NotEstimable
        When the baseline does not vary within both arms.
    """
    for value in (0, 1):
        if is_constant(arms.baseline[arms.active == value]):
            raise NotEstimable("the baseline does not vary within one of the arms")
    design = _interaction_design(arms)
    fit = fit_linear(arms.followup, design)
    last = design.shape[1] - 1
    centre = float(arms.baseline.mean())
    effects: dict[str, dict[str, float]] = {}
    for percentile in PERCENTILES:
        at = float(np.percentile(arms.baseline, percentile))
        weights = np.zeros(design.shape[1])
        weights[1], weights[last] = 1, at - centre
        record = fit.contrast(weights)
        mean = np.zeros(design.shape[1])
        mean[0], mean[2] = 1, at - centre
        control = float(mean @ fit.coef)
        effects[str(percentile)] = {
            "baseline": at,
            "difference": record.pop("estimate"),
            **record,
            "control_mean": control,
            "adjusted_percent": 100 * float(weights @ fit.coef) / control,
        }
    share = float(fit.coef[1] / fit.coef[0])
    return {
        **t_record(float(fit.coef[last]), float(np.sqrt(fit.cov[last, last])), fit.df),
        "percentiles": effects,
        "constant_percent": share * float(fit.coef[2]),
        "log_scale": _on_log_scale(arms),
    }


def _on_log_scale(arms: Arms) -> Estimate | None:
    """Return the interaction of arm and ln baseline in the model of ln follow-up; None where it cannot be fitted.

    A constant percent effect makes none here, and one of share x slope on the scale of TBR.
    """
    try:
        logs = replace(arms, baseline=np.log(arms.baseline), followup=np.log(arms.followup))
        fit = fit_linear(logs.followup, _interaction_design(logs))
    except NotEstimable:
        return None
    last = fit.design.shape[1] - 1
    return complete(Estimate, t_record(float(fit.coef[last]), float(np.sqrt(fit.cov[last, last])), fit.df))


def tertiles(arms: Arms) -> dict[str, Any]:
    """Return the arm difference in each third of baseline with the interaction p and the regression to the mean."""
    control = arms.active == 0
    if is_constant(arms.baseline[control]) or control.sum() < 3:
        raise NotEstimable("the control arm is too small or its baseline constant: no regression to the mean figure")
    cuts = np.percentile(arms.baseline, [100 / 3, 200 / 3])
    third = np.digitize(arms.baseline, cuts, right=True)
    slope, intercept = np.polyfit(arms.baseline[control], arms.followup[control], 1)
    overall = float(arms.baseline.mean())
    rows = []
    for k, name in enumerate(("low", "middle", "high")):
        chosen = np.flatnonzero(third == k)
        part = arms.take(chosen)
        at = float(part.baseline.mean()) if chosen.size else overall
        found = {
            "third": name,
            "n": part.n,
            "baseline_mean": at,
            **_difference(part),
            "regression_to_the_mean": {
                "expected_change_without_drug": float(intercept + (slope - 1) * at),
                "selection_part": float((slope - 1) * (at - overall)),
            },
        }
        rows.append(complete(Third, found))
    return {
        "interaction_p": _interaction_p(arms),
        "control_slope": float(slope),
        "cuts": cuts.tolist(),
        "thirds": rows,
    }


def _interaction_p(arms: Arms) -> float | None:
    try:
        return float(interaction(arms)["p"])
    except NotEstimable:
        return None


def _difference(arms: Arms) -> dict[str, Any]:
    """Return the difference within a third, or nulls and the reason."""
    try:
        return {**difference_record(fit_linear(arms.followup, design_matrix(arms))), "reason": None}
    except NotEstimable as why:
        return {**dict.fromkeys(Difference.__annotations__), "reason": str(why)}


def within_patients(rows: pd.DataFrame) -> dict[str, Any]:
    """Return the arm x baseline interaction between vessels of the same patient.

    Parameters
    ----------
    rows : DataFrame
        A row a patient and vessel, complete: participant_id, arm, vessel, tbr_max_baseline, tbr_max_followup.
    """
    if rows.empty or rows["arm"].nunique() < 2 or rows["vessel"].nunique() < 2:
        raise NotEstimable("both arms need at least two measured vessels")
    base = rows["tbr_max_baseline"].astype(float)
    mean = base.groupby(rows["participant_id"]).transform("mean")
    between = (mean - mean.mean()).to_numpy()
    within = (base - mean).to_numpy()
    arm = (rows["arm"] == "active").to_numpy(float)
    vessel = sum_contrasts(rows["vessel"], tuple(dict.fromkeys(rows["vessel"])))
    x = np.column_stack([np.ones(arm.size), between, within, vessel, arm, arm * between, arm * within])
    fit = fit_random_intercept(rows["tbr_max_followup"].to_numpy(float), x, rows["participant_id"].to_numpy())
    last = x.shape[1] - 1
    effects: dict[str, dict[str, float]] = {}
    for percentile in PERCENTILES:
        at = float(np.percentile(within, percentile))
        weights = np.zeros(x.shape[1])
        weights[last - 2], weights[last] = 1, at
        record = fit.combination(weights)
        effects[str(percentile)] = {"deviation": at, "difference": record.pop("estimate"), **record}
    return {
        "between_patients": fit.coefficient(last - 1),
        "within_patients": fit.coefficient(last),
        "percentiles": effects,
    }
