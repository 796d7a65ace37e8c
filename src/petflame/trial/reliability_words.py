"""What the console says of repeated readings: on whom it rests, how sure it is, and what may use it next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from petflame.repeatability import LEAST_CV, MOST_CV, SCAN_RESCAN
from petflame.trial.words import counted

REPEATED = {
    SCAN_RESCAN: "the whole scan was repeated",
    "reading": "the reading of one scan was repeated",
    None: "what was repeated was not said",
}


def lines(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of a ``reliability.json``: data, agreement, repeatability, within-subject CV, and its use."""
    repeated, log = document["repeated"], document["scale"] != "as given"
    whose = {SCAN_RESCAN: "scan", "reading": "rater"}.get(repeated, "rater or scan")
    many = "raters or scans" if repeated is None else None
    left = document["left_out"]
    without = f"; {counted(len(left), 'subject')} left out, not read every time" if left else ""
    scale = "analysed as natural logarithms" if log else "analysed as given, in the unit of the readings"
    yield (
        f"{counted(document['subjects'], 'subject')}, {counted(len(document['raters']), whose, many)} each "
        f"({REPEATED[repeated]}); {scale}{without}"
    )
    agreement = document["icc"]["A,1"]
    if agreement is None:
        yield f"ICC(A,1), absolute agreement of single readings: not estimable ({document['icc']['reason']})"
    else:
        yield f"ICC(A,1), absolute agreement of single readings: {_limits(agreement, 'estimate', '')}"
    unit = "on the scale of logarithms" if log else "in the unit of the readings"
    span = document.get("repeatability_percent")
    percent = f", that is {span['low']:+.1f} to {span['high']:+.1f} %" if span else ""
    yield f"repeatability coefficient, {unit}: {_limits(document, 'repeatability_coefficient')}{percent}"
    yield _cv(document)
    yield use(document)


def use(document: Mapping[str, Any]) -> str:
    """Say what the file may be used for."""
    repeated, cv = document["repeated"], document["within_subject_cv"]
    if repeated != SCAN_RESCAN:
        why = "; readings of one scan hold nothing of what differs between scans, so no band or design can rest on it"
        return f"use: describes agreement alone{why if repeated else ''}"
    if cv is None or not LEAST_CV <= cv <= MOST_CV:
        return (
            "use: describes agreement alone; a band or a design needs a within-subject CV of "
            f"{100 * LEAST_CV:g} to {100 * MOST_CV:g} %"
        )
    return (
        "use: this CV alone feeds the band of one patient's change (petflame analyse --reliability) and the design of "
        "a trial (petflame power --reliability)"
    )


def _cv(document: Mapping[str, Any]) -> str:
    cv, low, high = (document[f"within_subject_cv{end}"] for end in ("", "_low", "_high"))
    if cv is None:
        return f"within-subject CV: none, {document['within_subject_cv_reason']}"
    limits = f"at least {100 * low:.1f} %" if high is None else f"{100 * low:.1f} to {100 * high:.1f} %"
    df = counted(document["repeatability_df"], "degree of freedom", "degrees of freedom")
    return f"within-subject CV: {100 * cv:.1f} % (95 % limits {limits}, chi-square on the log SD, {df})"


def _limits(record: Mapping[str, float], key: str, stem: str | None = None) -> str:
    """Write a value with its 95 % interval, whose keys are `stem` (or the value's own) with an end."""
    low, high = (record[f"{key}_{end}" if stem is None else f"{stem}{end}"] for end in ("low", "high"))
    return f"{record[key]:.3f} (95 % interval {low:.3f} to {high:.3f})"
