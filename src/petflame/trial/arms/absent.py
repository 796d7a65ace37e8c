"""Who of the analysis set has no value of an endpoint, and why: where the treatment makes it vanish, that is no chance.

A participant whose active sections are gone has no mean of active sections, and is the treatment's success.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd

from petflame.trial.blocks import LeftOutOfArm
from petflame.trial.endpoints import BASELINE, FOLLOWUP, Endpoint

NONE_AT_BASELINE = "no active section at baseline"
NONE_LEFT = "no active section left at follow-up"
NOT_SEEN = "a vessel with active sections at baseline not measured at follow-up"
NOT_FOUND_AGAIN = "too few of the sections locked at baseline found again at follow-up"
WITHHELD = "vessel withheld"
NOT_MEASURED = "not measured"
VISITS = {"baseline": "baseline", "followup": "follow-up"}


def out_of_sight(vessels: pd.DataFrame | None, target_vessels: Iterable[str]) -> frozenset[str]:
    """Return the participants of whom a target vessel with active sections at baseline has no sections at follow-up.

    Of them nobody can say that no active section is left, though the other vessels have none.
    """
    columns = ["active_fraction_baseline", "active_fraction_followup"]
    if vessels is None or not set(columns) <= set(vessels.columns):
        return frozenset()
    rows = vessels[vessels["vessel"].isin(list(target_vessels))]
    # A vessel that is withheld counts at neither visit.
    if "withheld" in rows.columns:
        rows = rows[rows["withheld"].astype(str).str.lower() != "true"]
    before, after = (pd.to_numeric(rows[c], errors="coerce") for c in columns)
    return frozenset(rows.loc[(before > 0) & after.isna(), "participant_id"])


def without_endpoint(
    table: pd.DataFrame, endpoint: Endpoint, unseen: frozenset[str] = frozenset()
) -> list[LeftOutOfArm]:
    """Return the participants of the analysis set without a value of an endpoint at a visit, sorted.

    Parameters
    ----------
    table : DataFrame
        Rows of PATIENTS in the analysis set, with arm.
    unseen : frozenset of str
        Those of `out_of_sight`.
    """
    return _listed((row, _why(endpoint, row, row["participant_id"] in unseen)) for row in _rows(table))


def without_values(table: pd.DataFrame, columns: Iterable[str]) -> list[LeftOutOfArm]:
    """Return the participants of the analysis set without a value in one of the columns, and which."""
    wanted = list(columns)
    return _listed((row, _empty(row, wanted)) for row in _rows(table))


def without_vessel(analysed: pd.DataFrame, rows: pd.DataFrame, vessels: Iterable[str]) -> list[LeftOutOfArm]:
    """Return the participants of the analysis set for whom one of the vessels is withheld or lacks a visit.

    Parameters
    ----------
    analysed : DataFrame
        Rows of PATIENTS in the analysis set, with arm.
    rows : DataFrame
        VESSELS.
    """
    wanted = list(vessels)
    by_vessel = {(row["participant_id"], row["vessel"]): row for row in _rows(rows)}

    def why(participant: str) -> str | None:
        found = [(name, _vessel(by_vessel.get((participant, name)))) for name in wanted]
        words = [reason if len(wanted) == 1 else f"{name}: {reason}" for name, reason in found if reason]
        return "; ".join(words) or None

    return _listed((row, why(str(row["participant_id"]))) for row in _rows(analysed))


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]


def _listed(found: Iterable[tuple[dict[str, Any], str | None]]) -> list[LeftOutOfArm]:
    return [{"participant_id": row["participant_id"], "arm": row["arm"], "reason": why} for row, why in found if why]


def _empty(row: dict[str, Any], columns: list[str]) -> str | None:
    """Say which of the columns have no value; a column of a visit by that visit."""
    empty = [c for c in columns if pd.isna(row.get(c))]
    if not empty:
        return None
    visits = [said for visit, said in VISITS.items() if any(c.endswith(f"_{visit}") for c in empty)]
    return f"{NOT_MEASURED} at {' and '.join(visits)}" if visits else NOT_MEASURED


def _why(endpoint: Endpoint, row: dict[str, Any], unseen: bool) -> str | None:
    """Say why an endpoint has no value; None where it has both."""
    empty = {visit: pd.isna(row[column]) for visit, column in zip(VISITS, endpoint.columns, strict=True)}
    if not any(empty.values()):
        return None
    if endpoint.share and empty["baseline"] and row.get(f"{endpoint.share}_baseline") == 0:
        return NONE_AT_BASELINE
    if empty["followup"] and not empty["baseline"]:
        if endpoint.locked and not pd.isna(row.get(FOLLOWUP)):
            return NOT_FOUND_AGAIN
        if endpoint.share and not endpoint.locked and row.get(f"{endpoint.share}_followup") == 0:
            return NOT_SEEN if unseen else NONE_LEFT
    return f"{NOT_MEASURED} at {' and '.join(said for visit, said in VISITS.items() if empty[visit])}"


def _vessel(row: dict[str, Any] | None) -> str | None:
    """Say why a vessel has no change; None where it has one."""
    if row is not None and str(row.get("withheld")).lower() == "true":
        return WITHHELD
    return NOT_MEASURED if row is None else _empty(row, [BASELINE, FOLLOWUP])
