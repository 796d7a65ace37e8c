"""Reading the tables of a trial: every fault of every table is found before anything is refused."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from petflame.anatomy import ARTERIES
from petflame.errors import FaultList, InputRefused
from petflame.files import read_tsv
from petflame.trial.columns import NUMBER_COLUMNS

ARMS: tuple[str, str] = ("active", "control")
COMPARABILITY: tuple[str, ...] = ("pass", "warn", "fail")


def rows_in_words(table: pd.DataFrame, chosen: pd.Series, column: str | None = None) -> str:
    """Name file lines (the header is line 1), with the text found there, at most eight of them."""
    lines = [int(i) + 2 for i in np.flatnonzero(chosen.to_numpy())]
    shown = [f"{n} ({table[column].iloc[n - 2]!r})" if column else str(n) for n in lines[:8]]
    more = f" and {len(lines) - 8} more" if len(lines) > 8 else ""
    return f"line{'s' if len(lines) > 1 else ''} {', '.join(shown)}{more}"


def _read(path: Path, required: tuple[str, ...], text: tuple[str, ...], faults: FaultList) -> pd.DataFrame | None:
    try:
        table = read_tsv(path, required, text)
    except InputRefused as refusal:
        faults.extend(refusal.faults)
        return None
    if not isinstance(table.index, pd.RangeIndex):
        faults.add("its rows have more cells than the header", str(path), "give every column a name")
        return None
    table = table.copy()
    for column in text:
        if column in table.columns:
            table[column] = table[column].str.strip()
    return table


def check_ids(table: pd.DataFrame, keys: tuple[str, ...], path: Path, faults: FaultList) -> None:
    """Note empty identifiers and duplicated rows of the key columns."""
    for key in keys:
        empty = table[key].isna() | (table[key] == "")
        if empty.any():
            faults.add(f"`{key}` is empty in {rows_in_words(table, empty)}", str(path), "fill it or remove the row")
    twice = table.duplicated(list(keys), keep=False) & table[list(keys)].notna().all(axis=1)
    if twice.any():
        names = sorted({" / ".join(map(str, row)) for row in table.loc[twice, list(keys)].to_numpy()})
        shown = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
        faults.add(f"{' and '.join(keys)} {shown} occurs more than once", str(path), "keep one row of each")


def to_numbers(
    table: pd.DataFrame, column: str, path: Path, faults: FaultList, *, least: float | None = None, strict: bool = True
) -> pd.Series:
    """Return the column as floats (missing stays missing); note text, infinities and values out of range.

    Parameters
    ----------
    least : float, optional
        Lower bound; `strict` excludes the bound itself.
    """
    raw = table[column]
    if raw.dtype == bool:
        faults.add(f"`{column}` holds true/false, not numbers", str(path), "give numbers")
        return pd.Series(np.nan, index=table.index)
    values = pd.to_numeric(raw, errors="coerce").astype(float)
    text = values.isna() & raw.notna()
    if text.any():
        where = rows_in_words(table, text, column)
        faults.add(
            f"`{column}` is not a number in {where}",
            str(path),
            "give a number with a decimal point, or n/a where missing",
        )
    infinite = pd.Series(np.isinf(values.to_numpy()), index=table.index)
    if infinite.any():
        faults.add(f"`{column}` is infinite in {rows_in_words(table, infinite)}", str(path), "give n/a where missing")
    if least is not None:
        wrong = (values <= least) if strict else (values < least)
        if wrong.any():
            bound = f"not above {least:g}" if strict else f"below {least:g}"
            faults.add(f"`{column}` is {bound} in {rows_in_words(table, wrong, column)}", str(path), "mend the value")
    return values.where(~infinite)


def _check_words(table: pd.DataFrame, column: str, known: Iterable[str], path: Path, faults: FaultList) -> None:
    known = tuple(known)
    wrong = ~table[column].isin(known)
    if wrong.any():
        where = rows_in_words(table, wrong, column)
        faults.add(f"`{column}` is unknown in {where}", str(path), f"use one of {', '.join(known)}")


def read_patients(path: Path, faults: FaultList) -> pd.DataFrame | None:
    """Read PATIENTS: participant_id, tbr_max_baseline, tbr_max_followup and any other columns, sorted by id.

    The columns of the secondary endpoints, negative controls and covariates are checked as numbers where they are
    present; the two TBR columns must also be positive. Missing values stay missing.
    """
    text = ("participant_id", "comparability", "reason", "index_vessel", "scanner")
    table = _read(path, ("participant_id", "tbr_max_baseline", "tbr_max_followup"), text, faults)
    if table is None:
        return None
    if table.empty:
        faults.add("the table has no rows", str(path), "give at least one patient")
        return None
    check_ids(table, ("participant_id",), path, faults)
    for column in ("tbr_max_baseline", "tbr_max_followup"):
        table[column] = to_numbers(table, column, path, faults, least=0.0)
    for column in sorted(NUMBER_COLUMNS & set(table.columns)):
        table[column] = to_numbers(table, column, path, faults)
    if "comparability" in table.columns:
        given = table["comparability"].notna()
        _check_words(table[given], "comparability", COMPARABILITY, path, faults)
    return table.sort_values("participant_id", ignore_index=True)


def read_vessels(path: Path, faults: FaultList) -> pd.DataFrame | None:
    """Read VESSELS: participant_id, vessel, tbr_max_baseline, tbr_max_followup, optionally index; sorted."""
    required = ("participant_id", "vessel", "tbr_max_baseline", "tbr_max_followup")
    table = _read(path, required, ("participant_id", "vessel"), faults)
    if table is None:
        return None
    check_ids(table, ("participant_id", "vessel"), path, faults)
    _check_words(table, "vessel", ARTERIES, path, faults)
    for column in ("tbr_max_baseline", "tbr_max_followup"):
        table[column] = to_numbers(table, column, path, faults, least=0.0)
    order = {name: k for k, name in enumerate(ARTERIES)}
    table["_order"] = table["vessel"].map(order)
    return table.sort_values(["participant_id", "_order"], ignore_index=True).drop(columns="_order")


def read_allocation(path: Path, faults: FaultList) -> pd.DataFrame | None:
    """Read ALLOCATION: participant_id and arm (active or control), sorted by id."""
    table = _read(path, ("participant_id", "arm"), ("participant_id", "arm"), faults)
    if table is None:
        return None
    if table.empty:
        faults.add("the table has no rows", str(path), "give an arm for every participant, or leave the table out")
        return None
    check_ids(table, ("participant_id",), path, faults)
    _check_words(table, "arm", ARMS, path, faults)
    return table[["participant_id", "arm"]].sort_values("participant_id", ignore_index=True)


def read_participants(path: Path, strata: tuple[str, ...], faults: FaultList) -> pd.DataFrame | None:
    """Read PARTICIPANTS: participant_id and the strata columns (kept as text), sorted by id."""
    table = _read(path, ("participant_id",), ("participant_id", *strata), faults)
    if table is None:
        return None
    check_ids(table, ("participant_id",), path, faults)
    return table.sort_values("participant_id", ignore_index=True)


def read_exclusions(path: Path, faults: FaultList) -> pd.DataFrame | None:
    """Read EXCLUSIONS, the record of refused visits: any columns, all of them as text."""
    try:
        header = list(read_tsv(path).columns)
    except InputRefused as refusal:
        faults.extend(refusal.faults)
        return None
    return _read(path, (), tuple(map(str, header)), faults)


def read_outcomes(path: Path, faults: FaultList) -> pd.DataFrame | None:
    """Read OUTCOMES: participant_id, time_years (> 0), event (0 none, 1 event), sorted by id.

    Codes other than 0 and 1 (a competing event, a withdrawal) are refused by name: a withdrawal is a censoring at its
    time, and a competing event needs a method that this analysis does not offer.
    """
    table = _read(path, ("participant_id", "time_years", "event"), ("participant_id",), faults)
    if table is None:
        return None
    if table.empty:
        faults.add("the table has no rows", str(path), "give at least one participant")
        return None
    check_ids(table, ("participant_id",), path, faults)
    table["time_years"] = to_numbers(table, "time_years", path, faults, least=0.0)
    raw = table["event"].astype(int) if table["event"].dtype == bool else table["event"]
    table["event"] = pd.to_numeric(raw, errors="coerce").astype(float)
    for column, given in (("time_years", table["time_years"]), ("event", raw)):
        if given.isna().any() and not faults:
            where = rows_in_words(table, given.isna())
            faults.add(f"`{column}` is missing in {where}", str(path), "give it, or remove the row")
    other = raw.notna() & ~table["event"].isin([0, 1])
    if other.any():
        faults.add(
            f"`event` is neither 0 nor 1 in {rows_in_words(pd.DataFrame({'event': raw}), other, 'event')}",
            str(path),
            "code a withdrawal as 0 at its time; competing events (such as death from another cause) are not analysed "
            "here: choose the event of interest, or a composite that holds both",
        )
    return table.sort_values("participant_id", ignore_index=True)


def read_readings(path: Path, faults: FaultList) -> pd.DataFrame | None:
    """Read READINGS: subject, rater, value; one value for each subject and rater."""
    table = _read(path, ("subject", "rater", "value"), ("subject", "rater"), faults)
    if table is None:
        return None
    check_ids(table, ("subject", "rater"), path, faults)
    table["value"] = to_numbers(table, "value", path, faults)
    return table
