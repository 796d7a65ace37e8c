"""The CONSORT flow as data: how many participants reached each station, by arm, and why the others did not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from petflame.trial.blocks import Consort
from petflame.trial.cohort import Cohort
from petflame.trial.tables import ARMS

STATIONS: dict[str, str] = {
    "screened": "listed in PARTICIPANTS",
    "randomised": "in the allocation",
    "scanned": "with a row in PATIENTS",
    "evaluable": "index vessel measured at baseline",
    "followed_up": "index vessel measured at baseline and at follow-up",
    "analysed": "in the analysis set",
}


def consort(cohort: Cohort) -> Consort:
    """Return the stations in order, each with counts and the reasons of those lost before it.

    Returns
    -------
    dict
        ``stations``: list of {station, definition, total, active, control, lost, reason}; counts by arm are absent when
        blinded, and a count that no table gives is null with a reason. ``lost`` is a list of {reason, total, active,
        control}, without arms before randomisation. A ``reason`` column of PARTICIPANTS says why somebody who was
        screened was not randomised.
    """
    table = cohort.table
    baseline, both = table["measured_baseline"], table["measured_baseline"] & table["measured_followup"]
    inside = table["allocated"] if not cohort.blinded else pd.Series(True, index=table.index)
    reached = {
        "randomised": inside,
        "scanned": inside & table["listed"],
        "evaluable": inside & baseline,
        "followed_up": inside & both,
        "analysed": inside & table["analysed"],
    }
    screened = None if cohort.people is None else len(cohort.people)
    unlisted = "no table of participants was given" if screened is None else None
    stations = [_station("screened", {"total": screened}, [], unlisted)]
    before: pd.Series | None = None
    for name, chosen in reached.items():
        if name == "randomised" and cohort.blinded:
            stations.append(_station(name, {"total": None}, [], "no allocation was given"))
            continue
        lost = _not_randomised(cohort) if before is None else _reasons(cohort, before & ~chosen)
        stations.append(_station(name, _count(cohort, chosen), lost))
        before = chosen
    return {"stations": stations}


def _station(name: str, counts: Mapping[str, Any], lost: list[dict[str, Any]], reason: str | None = None) -> Any:
    return {"station": name, "definition": STATIONS[name], **counts, "lost": lost, "reason": reason}


def _not_randomised(cohort: Cohort) -> list[dict[str, Any]]:
    """Count by reason those in PARTICIPANTS but not in the allocation."""
    if cohort.people is None or cohort.blinded:
        return []
    randomised = cohort.table.loc[cohort.table["allocated"], "participant_id"]
    out = cohort.people[~cohort.people["participant_id"].isin(randomised)]
    if out.empty:
        return []
    given = out["reason"] if "reason" in out.columns else pd.Series(None, index=out.index, dtype=object)
    counts = given.fillna("not given").astype(str).value_counts().sort_index()
    return [{"reason": f"screened, not randomised: {why}", "total": int(n)} for why, n in counts.items()]


def _count(cohort: Cohort, chosen: pd.Series) -> dict[str, int]:
    record = {"total": int(chosen.sum())}
    if not cohort.blinded:
        record |= {arm: int((chosen & (cohort.table["arm"] == arm)).sum()) for arm in ARMS}
    return record


def _reasons(cohort: Cohort, lost: pd.Series) -> list[dict[str, Any]]:
    words = cohort.table["left_out"].where(cohort.table["left_out"] != "", "not given")
    return [{"reason": str(why), **_count(cohort, lost & (words == why))} for why in sorted(words[lost].unique())]
