"""The key secondary endpoints after the primary: one error rate for all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from petflame.trial.blocks import complete
from petflame.trial.plan.blocks import KeySecondaryTests, PlanRecord, Tested
from petflame.trial.plan.model import endpoint_title

STOPPED = "the primary, or an endpoint before this one, could not be tested"
DEFINITIONS = {
    "holm": "Tested only once the primary is significant, then with Holm's correction over all of them; the "
    "adjusted p is the larger of the primary's and Holm's.",
    "hierarchical": "Tested in this order, each only once the primary and all before it are significant; the "
    "adjusted p is the largest so far, the primary's included.",
}


def key_secondary_tests(plan: PlanRecord, primary_p: float | None, blocks: Mapping[str, Any]) -> KeySecondaryTests:
    """Return the key secondary tests with the error rate kept over the primary and all of them.

    Parameters
    ----------
    plan : PlanRecord
    primary_p : float or None
    blocks : mapping of endpoint or vessel to its block
        With ``p`` and ``reason``; an endpoint that cannot be tested stops a hierarchy and counts in Holm's correction.
    """
    names = plan["key_secondary"]
    found = [blocks.get(name) or {"p": None, "reason": "no values of it were given"} for name in names]
    adjusted = adjust(plan["multiplicity"], primary_p, [block["p"] for block in found])
    tests: list[Tested] = [
        {
            "name": name,
            "title": endpoint_title(name),
            "difference": block.get("difference"),
            "ci_low": block.get("ci_low"),
            "ci_high": block.get("ci_high"),
            "p": block["p"],
            "p_adjusted": p,
            "significant": None if p is None else p < plan["alpha"],
            "reason": block.get("reason") or (STOPPED if p is None else None),
        }
        for name, block, p in zip(names, found, adjusted, strict=True)
    ]
    whole = {
        "multiplicity": plan["multiplicity"],
        "alpha": plan["alpha"],
        "tests": tests,
        "definition": DEFINITIONS[plan["multiplicity"]],
        "reason": None if primary_p is not None else "there is no primary test, so nothing follows it",
    }
    return complete(KeySecondaryTests, whole)


def adjust(multiplicity: str, primary_p: float | None, p: Sequence[float | None]) -> list[float | None]:
    """Return each p adjusted for the primary and its fellows; null without one.

    >>> adjust("hierarchical", 0.01, [0.03, 0.2, 0.001])
    [0.03, 0.2, 0.2]
    >>> adjust("holm", 0.03, [0.01, 0.04])
    [0.03, 0.04]
    >>> adjust("hierarchical", 0.01, [None, 0.001])
    [None, None]
    """
    if primary_p is None:
        return [None] * len(p)
    if multiplicity == "hierarchical":
        found: list[float | None] = []
        largest: float | None = primary_p
        for value in p:
            largest = None if largest is None or value is None else max(largest, value)
            found.append(largest)
        return found
    from statsmodels.stats.multitest import multipletests

    if not p:
        return []
    # What cannot be tested still takes its share of the error rate.
    corrected = multipletests([1.0 if value is None else value for value in p], method="holm")[1]
    return [None if value is None else max(primary_p, float(c)) for value, c in zip(p, corrected, strict=True)]
