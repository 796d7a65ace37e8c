"""The arm analysis of a trial: tables in, ``arms.json`` and tables out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from petflame import __version__
from petflame.files import sha256, write_json, write_tsv
from petflame.trial import patients as pt
from petflame.trial.arms import ancova as ac
from petflame.trial.arms import endpoints as ep
from petflame.trial.arms import interaction as ia
from petflame.trial.arms import missing as mi
from petflame.trial.arms import resample as rs
from petflame.trial.arms import variations as vn
from petflame.trial.arms import vessels as vs
from petflame.trial.cdisc import write_datasets
from petflame.trial.choices import AnalysisChoices, TrialTables
from petflame.trial.cohort import Cohort, analysis_set_record, load_cohort
from petflame.trial.estimates import NotEstimable, describe
from petflame.trial.flow import consort
from petflame.trial.parts import Parts

BASELINE, FOLLOWUP = "tbr_max_baseline", "tbr_max_followup"
INTERVAL = ("estimate", "low", "high", "p")


def analyse(
    tables: TrialTables, out: Path, choices: AnalysisChoices, provenance: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Analyse a trial and write ``arms.json`` with its tables.

    Parameters
    ----------
    tables : TrialTables
    out : Path
        Folder for the results.
    choices : AnalysisChoices
    provenance : mapping, optional
        What the caller knows of the run; written as given, beside versions and hashes of the tables.

    Returns
    -------
    dict
        The content of ``arms.json``. Differences are active minus control.

    Raises
    ------
    InputRefused
        With every fault of every table. What is exploratory (reliability, variations, mixed model, missing follow-up,
        sensitivity, CDISC) stands alone: where it fails, ``set_aside`` and ``notes`` say why, and the rest is made.
    """
    cohort = load_cohort(tables, choices.strata, choices.analysis_set)
    parts = Parts()
    noise = parts("reliability", lambda: choices.repeatability.measured(tables.reliability), choices.repeatability)
    document: dict[str, Any] = {"primary": None, "pooled": pooled(cohort)}
    changes = pt.patient_changes(cohort, noise)
    analysed = changes[changes["participant_id"].isin(cohort.analysed["participant_id"])]
    document["patients"] = pt.summary(analysed, noise)
    if cohort.blinded:
        document["primary_reason"] = "no allocation was given: the description is pooled and blinded"
    else:
        document |= arm_blocks(cohort, choices, out, parts)
        document["responders"] = parts.attempt("responders", lambda: pt.responders(analysed, noise))
    if tables.variations is not None:
        about, table = choices.about_variations, tables.variations
        none: list[dict[str, Any]] = []
        document["variations"] = parts("variations", lambda: vn.variation_blocks(cohort, table, about, out), none)
    pt.write_patient_changes(out, changes)
    parts("CDISC datasets", lambda: write_datasets(cohort, out, choices.study_id, tables.given.values()), None)
    write_reasons(cohort, out)
    document |= {
        "analysis_set": analysis_set_record(cohort),
        "consort": consort(cohort),
        "strata": list(choices.strata),
        "notes": [*cohort.notes, *parts.notes],
        "set_aside": parts.set_aside,
        "provenance": {
            **(provenance or {}),
            "petflame": __version__,
            "seed": choices.seed,
            "inputs": {name: {"file": p.name, "sha256": sha256(p)} for name, p in tables.given.items()},
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


def arm_blocks(cohort: Cohort, choices: AnalysisChoices, out: Path, parts: Parts) -> dict[str, Any]:
    """Return every block that compares the arms; each but the primary stands alone."""
    seed = choices.seed
    arms = ac.make_arms(cohort.analysed, BASELINE, FOLLOWUP, cohort.strata)
    document: dict[str, Any] = {}
    try:
        document["primary"] = ac.primary_record(arms)
    except NotEstimable as why:
        document |= {"primary": None, "primary_reason": str(why)}
    document["arms"] = describe_arms(cohort)
    one = parts.attempt
    document["sensitivity"] = {
        "hc3": one("hc3", lambda: ac.hc3(arms), ("se", "p")),
        "permutation": one("permutation", lambda: rs.permutation_test(arms, choices.permutations, seed), ("p",)),
        "bootstrap": one(
            "bootstrap",
            lambda: rs.bootstrap(arms, seed=seed),
            ("adjusted_percent_low", "adjusted_percent_high"),
        ),
        "leave_one_out": one("leave one out", lambda: _leave_one_out(arms, out)),
        "log_ratio_percent": one("log ratio", lambda: ac.log_ratio_percent(arms), INTERVAL),
        "mean_percent_change_difference": one(
            "mean percent change", lambda: ac.mean_percent_change_difference(arms), INTERVAL
        ),
        "percent_change_ancova": one("percent change", lambda: ac.percent_change_ancova(arms), INTERVAL),
        "interaction": one("interaction", lambda: ia.interaction(arms), ("estimate", "se", "p")),
        "tertiles": one("tertiles", lambda: ia.tertiles(arms)),
    }
    document |= vs.vessel_analyses(cohort, choices.target_vessels, parts)
    nothing: dict[str, Any] = {}
    document["endpoints"] = parts("endpoints", lambda: ep.endpoint_blocks(cohort), nothing)
    document["negative_controls"] = parts("negative controls", lambda: ep.negative_controls(cohort), nothing)
    document["sensitivity"]["covariates"] = parts("covariates", lambda: ep.covariate_blocks(cohort), nothing)
    document["sensitivity"] |= parts(
        "missing follow-up",
        lambda: missing_blocks(cohort, seed),
        no_missing_blocks("it was set aside: see the notes"),
    )
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


def missing_blocks(cohort: Cohort, seed: int) -> dict[str, Any]:
    """Return the multiple imputation and the tipping point, or why there is none."""
    try:
        return mi.imputation_blocks(mi.missing_arms(cohort), seed + 2)
    except NotEstimable as why:
        return no_missing_blocks(str(why))


def no_missing_blocks(why: str) -> dict[str, Any]:
    """Return the blocks of `missing_blocks` without estimates."""
    return {
        "multiple_imputation": {**dict.fromkeys(("difference", "se", "df", "p")), "reason": why},
        "tipping_point": {"delta": None, "reason": why},
    }


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
    write_tsv(out / "not_analysed.tsv", mi.reasons_table(cohort), meanings)
