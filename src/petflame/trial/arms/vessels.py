"""Each vessel, their mean and the mixed model over them: always patients as the unit, never slices."""

from __future__ import annotations

from typing import Any

import pandas as pd

from petflame.trial.arms import ancova as ac
from petflame.trial.arms import interaction as ia
from petflame.trial.arms import mixed as mx
from petflame.trial.cohort import Cohort
from petflame.trial.estimates import attempt
from petflame.trial.parts import Parts

BASELINE, FOLLOWUP = "tbr_max_baseline", "tbr_max_followup"


def vessel_analyses(cohort: Cohort, target_vessels: tuple[str, ...], parts: Parts) -> dict[str, Any]:
    """Return the blocks ``vessels``, ``mixed`` and, with a vessel table, ``vessel_mean`` of ``arms.json``.

    Each stands alone: one that fails is noted in `parts`.
    """
    keys = ("difference", "se", "df", "p")
    nothing: dict[str, Any] = {}
    blocks: dict[str, Any] = {"vessels": parts("vessels", lambda: vessel_blocks(cohort, target_vessels), nothing)}
    rows = target_rows(cohort, target_vessels)
    if rows is None:
        why = "no vessel table was given"
        return blocks | {"mixed": {**dict.fromkeys(keys), "method": "Kenward-Roger", "reason": why}}
    blocks["mixed"] = {
        "method": "Kenward-Roger",
        **parts.attempt("mixed model", lambda: mx.mixed_record(rows, cohort.strata), keys),
        "arm_by_vessel": parts.attempt(
            "arm by vessel", lambda: mx.arm_by_vessel(rows, cohort.strata), ("f", "ndf", "ddf", "p")
        ),
        "interaction": parts.attempt("interaction within patients", lambda: ia.within_patients(rows)),
    }
    blocks["vessel_mean"] = parts.attempt(
        "mean of the vessels", lambda: vessel_mean(rows, cohort.strata), ("difference", "p")
    )
    return blocks


def usable_rows(cohort: Cohort) -> pd.DataFrame:
    """Return the vessel rows of analysed participants, without vessels withheld for a reader."""
    if cohort.vessels is None:
        return pd.DataFrame()
    rows = cohort.vessels[cohort.vessels["analysed"]]
    if "withheld" in rows.columns:
        rows = rows[rows["withheld"].astype(str).str.lower() != "true"]
    return rows


def target_rows(cohort: Cohort, target_vessels: tuple[str, ...]) -> pd.DataFrame | None:
    """Return the complete rows of the analysed participants' target vessels, with arm; None without VESSELS."""
    if cohort.vessels is None:
        return None
    rows = usable_rows(cohort)
    rows = rows[rows["vessel"].isin(target_vessels)]
    return rows.dropna(subset=[BASELINE, FOLLOWUP, "arm"]).reset_index(drop=True)


def vessel_blocks(cohort: Cohort, target_vessels: tuple[str, ...]) -> dict[str, Any]:
    """Return the patient-level model of every vessel; Holm's correction runs over the target vessels."""
    if cohort.vessels is None:
        return {}
    from statsmodels.stats.multitest import multipletests

    blocks: dict[str, Any] = {}
    usable = usable_rows(cohort)
    keys = ("difference", "se", "df", "ci_low", "ci_high", "p", "adjusted_percent")
    for name in dict.fromkeys(cohort.vessels["vessel"]):
        rows = usable[usable["vessel"] == name]
        blocks[name] = attempt(lambda rows=rows: one_vessel(rows, cohort.strata), keys)  # type: ignore[misc]
        blocks[name]["p_holm"] = None
    tested = [v for v in target_vessels if v in blocks and blocks[v]["p"] is not None]
    if tested:
        for name, p in zip(tested, multipletests([blocks[v]["p"] for v in tested], method="holm")[1], strict=True):
            blocks[name]["p_holm"] = float(p)
    return blocks


def one_vessel(rows: pd.DataFrame, strata: tuple[str, ...]) -> dict[str, Any]:
    """Return difference and adjusted percent of one endpoint table."""
    arms = ac.make_arms(rows, BASELINE, FOLLOWUP, strata)
    fit = ac.ancova(arms)
    return {"n": arms.n, **ac.difference_record(fit), **ac.adjusted_percent(fit), "control_mean": float(fit.coef[0])}


def vessel_mean(rows: pd.DataFrame, strata: tuple[str, ...]) -> dict[str, Any]:
    """Return the model of each patient's mean over the target vessels; patients with a vessel missing are left out."""
    counts = rows.groupby("participant_id")["vessel"].transform("count")
    whole = rows[counts == rows["vessel"].nunique()]
    means = whole.groupby(["participant_id", "arm", *strata], as_index=False)[[BASELINE, FOLLOWUP]].mean()
    return one_vessel(means, strata) | {
        "vessels": list(dict.fromkeys(rows["vessel"])),
        "definition": "The primary model for the mean of the target vessels' TBRmax in each patient.",
    }
