"""The arm analysis of a trial: tables in, ``arms.json`` and tables out."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from petflame import __version__
from petflame.files import sha256, write_json
from petflame.repeatability import SCAN_RESCAN
from petflame.trial import patients
from petflame.trial.arms import composite, secondary
from petflame.trial.arms.ancova import primary_record
from petflame.trial.arms.missing import write_reasons
from petflame.trial.arms.resample import write_left_out
from petflame.trial.arms.sensitivity import Case, sensitivity_blocks
from petflame.trial.arms.variations import variation_blocks
from petflame.trial.arms.vessels import vessel_analyses
from petflame.trial.baseline import baseline_characteristics
from petflame.trial.blocks import DescribedArms, Pooled, complete, describe
from petflame.trial.cdisc.write import write_datasets
from petflame.trial.choices import AnalysisChoices, TrialTables
from petflame.trial.cohort import Cohort, analysis_set_record, load_cohort
from petflame.trial.document import ArmsDocument, Endpoints, NegativeControls
from petflame.trial.endpoints import BASELINE, FOLLOWUP
from petflame.trial.estimates import NotEstimable
from petflame.trial.flow import consort
from petflame.trial.parts import Parts
from petflame.trial.plan.deviations import not_done, planned_percentage
from petflame.trial.plan.multiplicity import key_secondary_tests
from petflame.trial.reading import Reading
from petflame.trial.tables import ARMS

# What a blinded analysis leaves null.
OF_THE_ARMS = (
    *("arms", "sensitivity", "vessels", "mixed", "vessel_mean", "endpoints", "active_composite", "negative_controls"),
    *("band_check", "responders", "key_secondary", "baseline"),
)


def analyse(
    tables: TrialTables,
    out: Path,
    choices: AnalysisChoices,
    provenance: Mapping[str, Any] | None = None,
    reading: Reading | None = None,
) -> ArmsDocument:
    """Analyse a trial and write ``arms.json`` with its tables.

    Parameters
    ----------
    tables : TrialTables
    out : Path
        Folder for the results.
    choices : AnalysisChoices
    provenance : mapping, optional
        What the caller knows of the run; written as given, beside versions and hashes of the tables.
    reading : Reading, optional
        How a planned reading ended and what was edited after that; written as given.

    Returns
    -------
    ArmsDocument
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
    changes = patients.patient_changes(cohort, noise)
    analysed = changes[changes["participant_id"].isin(cohort.analysed["participant_id"])]
    plan = choices.plan_record("assumed" if noise.assumed else SCAN_RESCAN)
    document: dict[str, Any] = {
        "plan": plan,
        "reading": reading,
        "primary": None,
        "primary_reason": None,
        "pooled": pooled(cohort),
        "patients": patients.summary(analysed, noise),
        **dict.fromkeys(OF_THE_ARMS),
        "variations": None,
    }
    if cohort.blinded:
        document["primary_reason"] = "no allocation was given: the description is pooled and blinded"
    else:
        document |= arm_blocks(cohort, choices, out, parts)
        primary_p = None
        if document["primary"] is not None:
            name = plan["primary_percentage"]
            primary_p = planned_percentage(name, document["primary"], document["sensitivity"])["p"]
        measured = {name: found for name, found in document["endpoints"].items() if found is not None}
        compared = {"vessel_mean": document["vessel_mean"], **document["vessels"], **measured}
        document["key_secondary"] = key_secondary_tests(plan, primary_p, compared)
        document["band_check"] = parts("band", lambda: patients.band_check(analysed, noise), None)
        document["responders"] = parts("responders", lambda: patients.responders(analysed, noise), None)
        if choices.sealed is not None:
            plan["deviations"] += not_done(choices.sealed, document)
    if (varied := tables.variations) is not None:
        none: list[dict[str, Any]] = []
        document["variations"] = parts(
            "variations", lambda: variation_blocks(cohort, varied, choices.about_variations, out), none
        )
    patients.write_patient_changes(out, changes)
    parts("CDISC datasets", lambda: write_datasets(cohort, out, choices.study_id, tables.given.values()), None)
    write_reasons(cohort, out)
    document |= {
        "analysis_set": analysis_set_record(cohort),
        "consort": consort(cohort),
        "strata": list(choices.strata),
        "notes": [*document.get("notes", ()), *cohort.notes, *parts.notes],
        "set_aside": parts.set_aside,
        "provenance": {
            **(provenance or {}),
            "petflame": __version__,
            "seed": choices.seed,
            "inputs": {name: {"file": p.name, "sha256": sha256(p)} for name, p in tables.given.items()},
        },
    }
    whole = complete(ArmsDocument, document)
    write_json(out / "arms.json", whole)
    return whole


def pooled(cohort: Cohort) -> Pooled:
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
    case = Case(cohort, choices)
    document: dict[str, Any] = {}
    try:
        document["primary"] = primary_record(case.arms)
    except NotEstimable as why:
        document["primary_reason"] = str(why)
    document["arms"] = describe_arms(cohort)
    document["baseline"] = parts("baseline characteristics", lambda: baseline_characteristics(cohort), None)
    document["sensitivity"] = sensitivity_blocks(case, parts)
    document["notes"] = [s for s in [document["sensitivity"]["unequal_arms"]["sentence"]] if s is not None]
    if document["sensitivity"]["leave_one_out"]["reason"] is None:
        write_left_out(out, case.left_out[1])
    document |= vessel_analyses(cohort, choices.target_vessels, parts)
    for name, kind, make, sentence in (
        (
            "endpoints",
            Endpoints,
            partial(secondary.endpoint_blocks, target_vessels=choices.target_vessels),
            secondary.ENDPOINTS_SENTENCE,
        ),
        ("negative controls", NegativeControls, secondary.negative_controls, secondary.CONTROLS_SENTENCE),
    ):
        found = parts.attempt(name, kind, partial(make, cohort), definition=sentence)
        document[name.replace(" ", "_")] = found
    document["active_composite"] = parts.attempt(
        "active composite",
        composite.ActiveComposite,
        lambda: composite.composite(cohort, choices.target_vessels, choices.permutations, choices.seed),
        definition=composite.DEFINITION,
        missing=composite.left_out(cohort, choices.target_vessels),
    )
    return document


def describe_arms(cohort: Cohort) -> DescribedArms:
    """Describe each arm's baseline and follow-up; differences within an arm are not effects."""
    used = cohort.analysed
    found = {
        arm: {
            "baseline": describe(used.loc[used["arm"] == arm, BASELINE].to_numpy(float)),
            "followup": describe(used.loc[used["arm"] == arm, FOLLOWUP].to_numpy(float)),
        }
        for arm in ARMS
    }
    return complete(DescribedArms, found)
