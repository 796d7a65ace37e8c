"""What was done otherwise than planned: every difference between a sealed plan and the analysis that was run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from petflame import __version__
from petflame.protocol import Protocol
from petflame.trial.blocks import complete
from petflame.trial.plan.blocks import Deviation, PlanRecord
from petflame.trial.plan.changes import changed, deviation
from petflame.trial.plan.model import KeySecondary, PrimaryAnalysis
from petflame.trial.plan.sealing import SealedPlan

HORIZON, LANDMARK = "horizon of the events, years", "landmark of change and events, years"
NO_PLAN = (
    "No plan was sealed: nothing shows that these analyses were chosen before the arms were seen. What is called "
    "primary or key secondary here is so by the defaults of this software."
)


def plan_record(
    sealed: SealedPlan | None,
    protocol: Protocol,
    done: Mapping[str, Any],
    key_secondary: tuple[str, ...],
) -> PlanRecord:
    """Return the ``plan`` block of a result: the seal, and what differs from it.

    Parameters
    ----------
    sealed : SealedPlan or None
        Without one the analysis set is held against the protocol's alone.
    protocol : Protocol
        As used.
    done : mapping of item to value
        What the analysis used, by the names of `planned`; items that are absent are not compared.
    key_secondary : tuple of str
        In the order they were tested.
    """
    if sealed is None:
        planned: dict[str, Any] = {"analysis set": protocol.analysis_set}
        found = [deviation(f"{k} (of the protocol)", v, done[k]) for k, v in planned.items() if done.get(k, v) != v]
    else:
        # A plan of before there was a choice meant the one read that there was.
        planned = {"review": Protocol().as_dict()["review"], **sealed.protocol}
        found = from_plan(sealed, done) + changed(planned, protocol.as_dict(), "protocol: ")
    plan = None if sealed is None else sealed.plan
    record = {
        "sealed": sealed is not None,
        "seal": None if sealed is None else sealed.seal,
        "sealed_on": None if sealed is None else sealed.sealed_on,
        "amendments": [
            {"because": a.because, "changes": list(a.changes)} for a in (() if sealed is None else sealed.amendments)
        ],
        "primary_percentage": "adjusted_percent" if plan is None else plan.primary.percentage,
        "alpha": (PrimaryAnalysis() if plan is None else plan.primary).alpha,
        "key_secondary": list(key_secondary),
        "multiplicity": (KeySecondary() if plan is None else plan.key_secondary).multiplicity,
        "sensitivity": None if plan is None else [*plan.sensitivity, *(f"covariates.{c}" for c in plan.covariates)],
        "responder": "configured" if plan is None else plan.responder,
        "deviations": found,
        "sentence": _sentence(sealed),
    }
    return complete(PlanRecord, record)


def from_plan(sealed: SealedPlan, done: Mapping[str, Any]) -> list[Deviation]:
    """Return what differs of the items in `done` from what the plan fixes."""
    compared = planned_values(sealed)
    found = [deviation(k, v, done[k]) for k, v in compared.items() if k in done and done[k] != v]
    if sealed.petflame != __version__:
        found.append(deviation("version of petflame", sealed.petflame, __version__))
    return found


def planned_values(sealed: SealedPlan) -> dict[str, Any]:
    """Return what a plan fixes beside the protocol, by the names that the table of deviations uses."""
    plan = sealed.plan
    return {
        "study": plan.study_id,
        "analysis set": plan.analysis_set,
        "strata": list(plan.strata),
        "variation behind one patient's band": plan.repeatability,
        "seed": plan.resampling.seed,
        "permutations": plan.resampling.permutations,
        HORIZON: plan.events.horizon_years,
        LANDMARK: plan.events.landmark_years,
    }


def _sentence(sealed: SealedPlan | None) -> str:
    if sealed is None:
        return NO_PLAN
    when = f" on {sealed.sealed_on} by the sealing computer's clock" if sealed.sealed_on else ""
    n = len(sealed.amendments)
    amended = f", amended {'once' if n == 1 else f'{n} times'}" if n else ""
    return (
        f"A plan was sealed{when}{amended}; no allocation was found in the study's "
        f"folder then. When the arms became known, only a hash that was lodged elsewhere can show. "
        f"SHA-256 {sealed.seal}."
    )


PERCENTAGES = {
    "adjusted_percent": "Adjusted percent",
    "log_ratio_percent": "Log-ratio percent",
    "mean_percent_change_difference": "Difference of mean percent changes",
}


def planned_percentage(name: str, primary: Mapping[str, Any], sensitivity: Mapping[str, Any]) -> dict[str, Any]:
    """Return title, value, low, high and p of the percentage that is called primary; the p decides.

    Parameters
    ----------
    name : str
        One of `PERCENTAGES`.
    primary, sensitivity : mapping
        Blocks of ``arms.json``.
    """
    if name == "adjusted_percent":
        found = {key: primary[f"{name}{end}"] for key, end in (("value", ""), ("low", "_low"), ("high", "_high"))}
        return {"title": PERCENTAGES[name], **found, "p": primary["p"]}
    block = sensitivity[name]
    return {"title": PERCENTAGES[name], "value": block["estimate"], **{k: block[k] for k in ("low", "high", "p")}}


def not_done(sealed: SealedPlan, document: Mapping[str, Any]) -> list[Deviation]:
    """Return what the plan names and the analysis could not do: endpoints, covariates, the responder's definition.

    Parameters
    ----------
    sealed : SealedPlan
    document : mapping
        ``arms.json`` of an unblinded analysis, but for the plan.
    """
    plan, tests = sealed.plan, document["key_secondary"]["tests"]
    found = [
        deviation(f"key secondary {test['name']}", "tested", f"not done: {test['reason']}")
        for test in tests
        if test["p"] is None
    ]
    chosen = plan.primary.percentage
    if chosen != "adjusted_percent" and document["sensitivity"][chosen]["p"] is None:
        why = document["sensitivity"][chosen]["reason"]
        found.insert(0, deviation("primary percentage", PERCENTAGES[chosen], f"not done: {why}"))
    covariates = document["sensitivity"]["covariates"]
    for name in plan.covariates:
        block = covariates[name]
        if block is None or block["p"] is None:
            why = "no values of it were given" if block is None else block["reason"]
            found.append(deviation(f"adjustment for {name}", "done", f"not done: {why}"))
    if document["responders"] is None or plan.responder not in document["responders"]:
        found.append(deviation("responder", plan.responder, "not done: the protocol has no such limit"))
    return found


def role_of(record: PlanRecord, name: str) -> str:
    """Return primary, key secondary or exploratory.

    >>> role_of({"key_secondary": ["vessel_mean"]}, "vessel_mean")
    'key secondary'
    """
    if name == "tbr_max":
        return "primary"
    return "key secondary" if name in record["key_secondary"] else "exploratory"
