"""What was done otherwise than planned: every difference between a sealed plan and the analysis that was run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from petflame import __version__
from petflame.protocol import Protocol
from petflame.trial.blocks import complete
from petflame.trial.plan.blocks import Deviation, PlanRecord
from petflame.trial.plan.model import KeySecondary
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
        found = [_deviation(f"{k} (of the protocol)", v, done[k]) for k, v in planned.items() if done.get(k, v) != v]
    else:
        found = from_plan(sealed, done) + protocol_deviations(sealed.protocol, protocol.as_dict())
        if sealed.petflame != __version__:
            found.append(_deviation("version of petflame", sealed.petflame, __version__))
    plan = None if sealed is None else sealed.plan
    record = {
        "sealed": sealed is not None,
        "seal": None if sealed is None else sealed.seal,
        "sealed_on": None if sealed is None else sealed.sealed_on,
        "amendments": [] if sealed is None else list(sealed.amendments),
        "primary_percentage": "adjusted_percent" if plan is None else plan.primary.percentage,
        "alpha": 0.05 if plan is None else plan.primary.alpha,
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
    return [_deviation(k, v, done[k]) for k, v in compared.items() if k in done and done[k] != v]


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


def protocol_deviations(planned: Mapping[str, Any], used: Mapping[str, Any]) -> list[Deviation]:
    """Return every choice of the measurement protocol that differs from the sealed one."""
    before, after = flat(planned), flat(used)
    keys = [*before, *(k for k in after if k not in before)]
    return [
        _deviation(f"protocol: {key}", before.get(key), after.get(key))
        for key in keys
        if before.get(key) != after.get(key)
    ]


def flat(choices: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested choices by dotted names.

    >>> flat({"region": {"metal": "flag"}, "name": "x"})
    {'region.metal': 'flag', 'name': 'x'}
    """
    found: dict[str, Any] = {}
    for key, value in choices.items():
        name = f"{prefix}.{key}" if prefix else str(key)
        found |= flat(value, name) if isinstance(value, Mapping) and value else {name: value}
    return found


def _deviation(item: str, planned: Any, done: Any) -> Deviation:
    return {"item": item, "planned": _words(planned), "done": _words(done)}


def _words(value: Any) -> str:
    if value is None or value in ([], (), {}):
        return "none"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_words, value))
    if isinstance(value, Mapping):
        return "; ".join(f"{k}: {_words(v)}" for k, v in value.items())
    return f"{value:g}" if isinstance(value, float) else str(value)


def _sentence(sealed: SealedPlan | None) -> str:
    if sealed is None:
        return NO_PLAN
    when = f" on {sealed.sealed_on}" if sealed.sealed_on else ""
    n = len(sealed.amendments)
    amended = f", amended {'once' if n == 1 else f'{n} times'}" if n else ""
    return f"A plan was sealed{when}{amended}, before an allocation lay in the study: SHA-256 {sealed.seal}."


def role_of(record: PlanRecord, name: str) -> str:
    """Return primary, key secondary or exploratory.

    >>> role_of({"key_secondary": ["vessel_mean"]}, "vessel_mean")
    'key secondary'
    """
    if name == "tbr_max":
        return "primary"
    return "key secondary" if name in record["key_secondary"] else "exploratory"
