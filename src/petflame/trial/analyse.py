"""The arm analysis of a trial: tables in, ``arms.json`` and tables out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from petflame import __version__
from petflame.anatomy import TARGET_VESSELS
from petflame.files import sha256, write_json, write_tsv
from petflame.trial import ancova as ac
from petflame.trial import interaction as ia
from petflame.trial import mixed as mx
from petflame.trial import resample as rs
from petflame.trial.cohort import AnalysisSet, Cohort, analysis_set_record, load_cohort
from petflame.trial.estimates import NotEstimable, attempt, describe

SEED = 4241601
BASELINE, FOLLOWUP = "tbr_max_baseline", "tbr_max_followup"
INTERVAL = ("estimate", "low", "high", "p")


def analyse(
    patients: Path,
    out: Path,
    *,
    vessels: Path | None = None,
    allocation: Path | None = None,
    participants: Path | None = None,
    strata: tuple[str, ...] = (),
    exclusions: Path | None = None,
    seed: int = SEED,
    permutations: int = rs.PERMUTATIONS,
    analysis_set: AnalysisSet = "all_measured",
    target_vessels: tuple[str, ...] = TARGET_VESSELS,
    provenance: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Analyse a trial and write ``arms.json`` with its tables.

    Parameters
    ----------
    patients, vessels, allocation, participants, exclusions : Path
        The tables of a study; TBR values are ratios without unit. Only `patients` is needed: without an allocation the
        description is pooled and blinded.
    out : Path
        Folder for the results.
    strata : tuple of str
        Columns of PARTICIPANTS taken as categories, in the models and in the permutation.
    seed, permutations : int
        Of the permutation test; the bootstrap uses seed + 1.
    analysis_set : {'all_measured', 'comparable'}
    target_vessels : tuple of str
        The vessels of the Holm correction and of the mixed model.
    provenance : dict, optional
        What the caller knows of the run; written as given, beside versions and hashes of the tables.

    Returns
    -------
    dict
        The content of ``arms.json``. Differences are active minus control.

    Raises
    ------
    InputRefused
        With every fault of every table.
    """
    cohort = load_cohort(patients, vessels, allocation, participants, strata, exclusions, analysis_set)
    inputs = {"patients": patients, "vessels": vessels, "allocation": allocation, "participants": participants}
    document: dict[str, Any] = {"primary": None, "pooled": pooled(cohort)}
    if cohort.blinded:
        document["primary_reason"] = "no allocation was given: the description is pooled and blinded"
    else:
        document |= arm_blocks(cohort, seed, permutations, target_vessels, out)
    document |= {
        "analysis_set": analysis_set_record(cohort),
        "strata": list(strata),
        "notes": list(cohort.notes),
        "provenance": {
            **(provenance or {}),
            "petflame": __version__,
            "seed": seed,
            "inputs": {k: {"file": p.name, "sha256": sha256(p)} for k, p in inputs.items() if p is not None},
        },
    }
    write_json(out / "arms.json", document)
    return document


def pooled(cohort: Cohort) -> dict[str, Any]:
    """Describe baseline, follow-up and change over both arms together."""
    used = cohort.analysed
    base, follow = used[BASELINE].to_numpy(float), used[FOLLOWUP].to_numpy(float)
    defined = base.size > 2 and base.std() > 0 and follow.std() > 0
    return {
        "n": int(base.size),
        "baseline": describe(base),
        "followup": describe(follow),
        "change": describe(follow - base),
        "percent_change": describe(100 * (follow / base - 1)),
        "correlation": float(np.corrcoef(base, follow)[0, 1]) if defined else None,
    }


def arm_blocks(
    cohort: Cohort, seed: int, permutations: int, target_vessels: tuple[str, ...], out: Path
) -> dict[str, Any]:
    """Return every block that compares the arms."""
    arms = ac.make_arms(cohort.analysed, BASELINE, FOLLOWUP, cohort.strata)
    document: dict[str, Any] = {}
    try:
        document["primary"] = ac.primary_record(arms)
    except NotEstimable as why:
        document |= {"primary": None, "primary_reason": str(why)}
    document["arms"] = describe_arms(cohort)
    document["sensitivity"] = {
        "hc3": attempt(lambda: ac.hc3(arms), ("se", "p")),
        "permutation": attempt(lambda: rs.permutation_test(arms, permutations, seed), ("p",)),
        "bootstrap": attempt(lambda: rs.bootstrap(arms, seed=seed), ("adjusted_percent_low", "adjusted_percent_high")),
        "leave_one_out": attempt(lambda: _leave_one_out(arms, out)),
        "log_ratio_percent": attempt(lambda: ac.log_ratio_percent(arms), INTERVAL),
        "mean_percent_change_difference": attempt(lambda: ac.mean_percent_change_difference(arms), INTERVAL),
        "percent_change_ancova": attempt(lambda: ac.percent_change_ancova(arms), INTERVAL),
        "interaction": attempt(lambda: ia.interaction(arms), ("estimate", "se", "p")),
        "tertiles": attempt(lambda: ia.tertiles(arms)),
    }
    document["vessels"] = vessel_blocks(cohort, target_vessels)
    rows = target_rows(cohort, target_vessels)
    keys = ("difference", "se", "df", "p")
    if rows is None:
        document["mixed"] = {**dict.fromkeys(keys), "method": "Kenward-Roger", "reason": "no vessel table was given"}
    else:
        document["mixed"] = {
            "method": "Kenward-Roger",
            **attempt(lambda: mx.mixed_record(rows, cohort.strata), keys),
            "arm_by_vessel": attempt(lambda: mx.arm_by_vessel(rows, cohort.strata), ("f", "ndf", "ddf", "p")),
            "interaction": attempt(lambda: ia.within_patients(rows)),
        }
        document["vessel_mean"] = attempt(lambda: vessel_mean(rows, cohort.strata), ("difference", "p"))
    return document


def describe_arms(cohort: Cohort) -> dict[str, Any]:
    """Describe each arm's baseline and follow-up; differences within an arm are not effects."""
    used = cohort.analysed
    return {
        arm: {
            "baseline": describe(used.loc[used["arm"] == arm, BASELINE].to_numpy(float)),
            "followup": describe(used.loc[used["arm"] == arm, FOLLOWUP].to_numpy(float)),
        }
        for arm in ("active", "control")
    }


def _leave_one_out(arms: ac.Arms, out: Path) -> dict[str, Any]:
    summary, table = rs.leave_one_out(arms)
    write_tsv(
        out / "leave_one_out.tsv",
        table,
        {
            "participant_id": ("participant left out", ""),
            "arm": ("arm of that participant", ""),
            "difference": ("adjusted difference without that participant, active minus control", "ratio"),
            "p": ("two-sided p of that difference", ""),
            "adjusted_percent": ("100 x difference / adjusted control mean without that participant", "percent"),
        },
    )
    return summary


def target_rows(cohort: Cohort, target_vessels: tuple[str, ...]) -> pd.DataFrame | None:
    """Return the complete rows of the analysed participants' target vessels, with arm; None without VESSELS."""
    if cohort.vessels is None:
        return None
    rows = cohort.vessels[cohort.vessels["analysed"] & cohort.vessels["vessel"].isin(target_vessels)]
    return rows.dropna(subset=[BASELINE, FOLLOWUP, "arm"]).reset_index(drop=True)


def vessel_blocks(cohort: Cohort, target_vessels: tuple[str, ...]) -> dict[str, Any]:
    """Return the patient-level model of every vessel; Holm's correction runs over the target vessels."""
    if cohort.vessels is None:
        return {}
    from statsmodels.stats.multitest import multipletests

    blocks: dict[str, Any] = {}
    keys = ("difference", "se", "df", "ci_low", "ci_high", "p", "adjusted_percent")
    for name in dict.fromkeys(cohort.vessels["vessel"]):
        rows = cohort.vessels[cohort.vessels["analysed"] & (cohort.vessels["vessel"] == name)]
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
