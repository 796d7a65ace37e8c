"""Each vessel, their mean and the mixed model over them: always patients as the unit, never slices."""

from __future__ import annotations

from typing import Any

import pandas as pd

from petflame.trial.arms import interaction, mixed
from petflame.trial.arms.absent import without_vessel
from petflame.trial.arms.ancova import adjusted_percent, ancova, difference_record, make_arms
from petflame.trial.arms.vessel_blocks import ArmByVessel, Mixed, Vessel, VesselMean, WithinPatients
from petflame.trial.blocks import LeftOutOfArm, block
from petflame.trial.cohort import Cohort
from petflame.trial.endpoints import BASELINE, FOLLOWUP
from petflame.trial.estimates import NotEstimable
from petflame.trial.parts import Parts

METHOD = "Kenward-Roger"
MIXED = (
    "Y_F ~ Y_B + vessel + arm (+ strata) + (1 | patient) over the target vessels, REML; standard error and degrees "
    "of freedom after Kenward and Roger (1997)."
)
BY_VESSEL = (
    "F tests of the model with the arm x vessel product, Kenward-Roger, every term adjusted for all the others; `arm` "
    "is the effect averaged over vessels, `vessel` the differences between vessels in the control arm."
)
WITHIN = {
    "method": METHOD,
    "definition": "Y_F ~ arm + patient's mean baseline + vessel's deviation from it + vessel + arm x mean + "
    "arm x deviation + (1 | patient), REML, Kenward-Roger: is the arm difference greater in the hotter vessel?",
    "percentiles_definition": "Difference between arms, active minus control, in a vessel that is hotter or cooler "
    "than its patient's mean by a percentile of these deviations, at the mean patient; from the same model.",
}
MEAN = "The primary model for the mean of the target vessels' TBRmax in each patient."


def vessel_analyses(cohort: Cohort, target_vessels: tuple[str, ...], parts: Parts) -> dict[str, Any]:
    """Return the blocks ``vessels``, ``mixed`` and ``vessel_mean`` of ``arms.json``.

    Each stands alone: one that fails is noted in `parts`.
    """
    nothing: dict[str, Vessel] = {}
    return {
        "vessels": parts("vessels", lambda: vessel_blocks(cohort, target_vessels), nothing),
        "mixed": mixed_block(cohort, target_vessels, parts),
        "vessel_mean": parts.attempt(
            "mean of the vessels",
            VesselMean,
            lambda: vessel_mean(target_rows(cohort, target_vessels), cohort.strata),
            definition=MEAN,
            missing=_without(cohort, _measured(cohort, target_vessels)),
        ),
    }


def mixed_block(cohort: Cohort, target_vessels: tuple[str, ...], parts: Parts) -> Mixed:
    """Return the mixed model over the target vessels with its tests of the arm between and within patients."""
    strata = cohort.strata

    def rows() -> pd.DataFrame:
        return target_rows(cohort, target_vessels)

    inner = {
        "arm_by_vessel": parts.attempt(
            "arm by vessel", ArmByVessel, lambda: mixed.arm_by_vessel(rows(), strata), definition=BY_VESSEL
        ),
        "interaction": parts.attempt(
            "interaction within patients", WithinPatients, lambda: interaction.within_patients(rows()), **WITHIN
        ),
    }
    words = {"method": METHOD, "definition": MIXED}
    return parts.attempt("mixed model", Mixed, lambda: mixed.mixed_record(rows(), strata), **words, **inner)


def withheld(rows: pd.DataFrame) -> pd.Series:
    """Return which vessel rows are kept out of the analysis until a reader has seen them."""
    if "withheld" not in rows.columns:
        return pd.Series(False, index=rows.index)
    return rows["withheld"].astype(str).str.lower() == "true"


def usable_rows(cohort: Cohort) -> pd.DataFrame:
    """Return the vessel rows of analysed participants, without vessels withheld for a reader."""
    if cohort.vessels is None:
        return pd.DataFrame()
    rows = cohort.vessels[cohort.vessels["analysed"]]
    return rows[~withheld(rows)]


def target_rows(cohort: Cohort, target_vessels: tuple[str, ...]) -> pd.DataFrame:
    """Return the complete rows of the analysed participants' target vessels, with arm.

    Raises
    ------
    NotEstimable
        Without VESSELS.
    """
    if cohort.vessels is None:
        raise NotEstimable("no vessel table was given")
    rows = usable_rows(cohort)
    rows = rows[rows["vessel"].isin(target_vessels)]
    return rows.dropna(subset=[BASELINE, FOLLOWUP, "arm"]).reset_index(drop=True)


def vessel_blocks(cohort: Cohort, target_vessels: tuple[str, ...]) -> dict[str, Vessel]:
    """Return the patient-level model of every vessel; Holm's correction runs over the target vessels."""
    if cohort.vessels is None:
        return {}
    from statsmodels.stats.multitest import multipletests

    usable, found = usable_rows(cohort), {}
    for name in dict.fromkeys(cohort.vessels["vessel"]):
        rows = usable[usable["vessel"] == name]
        found[name] = block(
            Vessel,
            lambda rows=rows: {**one_vessel(rows, cohort.strata), "p_holm": None},  # type: ignore[misc]
            missing=_without(cohort, [name]),
        )
    tested = {v: found[v]["p"] for v in target_vessels if v in found and found[v]["p"] is not None}
    if tested:
        for name, p in zip(tested, multipletests(list(tested.values()), method="holm")[1], strict=True):
            found[name]["p_holm"] = float(p)
    return found


def _measured(cohort: Cohort, target_vessels: tuple[str, ...]) -> list[str]:
    """Return the target vessels that anybody's mean runs over."""
    try:
        return list(dict.fromkeys(target_rows(cohort, target_vessels)["vessel"]))
    except NotEstimable:
        return []


def _without(cohort: Cohort, vessels: list[str]) -> list[LeftOutOfArm]:
    """Return who of the analysis set lacks one of the vessels, and why."""
    rows = pd.DataFrame() if cohort.vessels is None else cohort.vessels
    return without_vessel(cohort.analysed, rows, vessels)


def one_vessel(rows: pd.DataFrame, strata: tuple[str, ...]) -> dict[str, Any]:
    """Return difference and adjusted percent of one endpoint table."""
    arms = make_arms(rows, BASELINE, FOLLOWUP, strata)
    fit = ancova(arms)
    return {"n": arms.n, **difference_record(fit), **adjusted_percent(fit), "control_mean": float(fit.coef[0])}


def vessel_mean(rows: pd.DataFrame, strata: tuple[str, ...]) -> dict[str, Any]:
    """Return the model of each patient's mean over the target vessels; patients with a vessel missing are left out."""
    counts = rows.groupby("participant_id")["vessel"].transform("count")
    whole = rows[counts == rows["vessel"].nunique()]
    means = whole.groupby(["participant_id", "arm", *strata], as_index=False)[[BASELINE, FOLLOWUP]].mean()
    return one_vessel(means, strata) | {"vessels": list(dict.fromkeys(rows["vessel"]))}
