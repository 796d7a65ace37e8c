"""Reading the tables of a trial: every fault of every table is found before anything is refused."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from petflame.anatomy import ARTERIES
from petflame.errors import FaultList, InputRefused
from petflame.files import read_tsv
from petflame.outside import calling
from petflame.trial.endpoints import PRIMARY, number_columns
from petflame.typed import as_written

ARMS: tuple[str, str] = ("active", "control")
COMPARABILITY: tuple[str, ...] = ("pass", "warn", "fail")


# Sizes beyond these are slips of the point or of the unit: no quantity of a trial's tables is so small or so large.
SMALLEST, LARGEST = 1e-9, 1e9
# No vessel takes up a thousand times what its blood does.
LARGEST_TBR = 1e3
# The longest follow-up of any imaging trial is under 30 years.
LONGEST_YEARS = 60.0
# The longest documented life was 122 years, the next 119 (Gerontology Research Group).
OLDEST_YEARS = 120.0
# IVORY and its like follow for up to ten years: whole numbers beyond, or most of them, are months.
PLAUSIBLE_YEARS = 15.0


# Names of columns and words in them that tell the arms.
ARM_COLUMNS = {"allocated", "allocation", "arm", "arms", "group", "randomisation", "randomised", "randomization"}
ARM_COLUMNS |= {"randomized", "rx", "treatment", "trt", "trta", "trtp", "trt01a", "trt01p"}
ARM_WORDS = {"active", "control", "drug", "intervention", "placebo", "treated", "treatment", "verum"}


def names_arms(column: pd.Series) -> bool:
    """Tell whether a column tells the arms, by its name or by what it holds.

    >>> names_arms(pd.Series(["Active", "placebo"], name="given")), names_arms(pd.Series([1, 2], name="trt_code"))
    (True, True)
    >>> names_arms(pd.Series(["north", "south"], name="site"))
    False
    """
    held = {str(v).strip().lower() for v in column.dropna()}
    words = set(re.split(r"[^a-z0-9]+", str(column.name).lower()))
    return bool(words & ARM_COLUMNS) or (bool(held) and held <= ARM_WORDS)


def rows_in_words(table: pd.DataFrame, chosen: pd.Series, column: str | None = None) -> str:
    """Name file lines (the header is line 1), with the text found there, at most eight of them."""
    positions = [int(p) for p in np.flatnonzero(chosen.to_numpy())]
    lines = [int(table.index[p]) + 2 for p in positions]
    shown = [
        f"{n} ({as_written(table[column].iloc[p], 'its text is not recorded')})" if column else str(n)
        for n, p in zip(lines[:8], positions, strict=False)
    ]
    more = f" and {len(lines) - 8} more" if len(lines) > 8 else ""
    return f"line{'s' if len(lines) > 1 else ''} {', '.join(shown)}{more}"


def _read(path: Path, required: tuple[str, ...], text: tuple[str, ...], faults: FaultList) -> pd.DataFrame | None:
    try:
        table = read_tsv(path, required, text)
    except InputRefused as refusal:
        faults.extend(refusal.faults)
        return None
    for column in text:
        if column in table.columns:
            table[column] = table[column].str.strip()
    return table


def few(names: Sequence[str]) -> str:
    """Name at most eight, each cut to a readable length.

    >>> few([f"P{n}" for n in range(10)])
    'P0, P1, P2, P3, P4, P5, P6, P7 and 2 more'
    """
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return ", ".join(n if len(n) <= 64 else f"{n[:60]} ..." for n in names[:8]) + more


def check_ids(table: pd.DataFrame, keys: tuple[str, ...], path: Path, faults: FaultList) -> None:
    """Note empty identifiers and duplicated rows of the key columns."""
    for key in keys:
        empty = table[key].isna() | (table[key] == "")
        if empty.any():
            faults.add(f"`{key}` is empty in {rows_in_words(table, empty)}", calling(path), "fill it or remove the row")
    twice = table.duplicated(list(keys), keep=False) & table[list(keys)].notna().all(axis=1)
    if twice.any():
        names = sorted({" / ".join(map(str, row)) for row in table.loc[twice, list(keys)].to_numpy()})
        shown = few(names)
        faults.add(f"{' and '.join(keys)} {shown} occurs more than once", calling(path), "keep one row of each")


def to_numbers(
    table: pd.DataFrame,
    column: str,
    path: Path,
    faults: FaultList,
    *,
    least: float | None = None,
    most: float = LARGEST,
    strict: bool = True,
) -> pd.Series:
    """Return the column as floats (missing stays missing); note text, infinities and values out of range.

    Parameters
    ----------
    least : float, optional
        Lower bound; `strict` excludes the bound itself.
    most : float
        Upper bound.
    """
    raw = table[column]
    if raw.dtype == bool:
        faults.add(f"`{column}` holds true/false, not numbers", calling(path), "give numbers")
        return pd.Series(np.nan, index=table.index)
    values = pd.to_numeric(raw, errors="coerce").astype(float)
    text = values.isna() & raw.notna()
    if text.any():
        where = rows_in_words(table, text, column)
        comma = raw[text].astype(str).str.fullmatch(r"\s*[-+]?\d+,\d+\s*").all()
        date = raw[text].astype(str).str.fullmatch(r"\s*\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}\s*").all()
        words = "has a decimal comma" if comma else "is a date" if date else "is not a number"
        remedy = "give the time since the start in its unit" if date else "give a number with a decimal point"
        remedy += ", or n/a where missing"
        faults.add(f"`{column}` {words} in {where}", calling(path), remedy)
    infinite = pd.Series(np.isinf(values.to_numpy()), index=table.index)
    if infinite.any():
        faults.add(
            f"`{column}` is infinite in {rows_in_words(table, infinite)}", calling(path), "give n/a where missing"
        )
    if least is not None:
        wrong = (values <= least) if strict else (values < least)
        if wrong.any():
            bound = f"not above {least:g}" if strict else f"below {least:g}"
            faults.add(
                f"`{column}` is {bound} in {rows_in_words(table, wrong, column)}", calling(path), "mend the value"
            )
    size = values.abs()
    # Below the smallest only where it is no zero; what is below `least` has been said.
    odd = ~infinite & ((size > most) | ((size > 0) & (size < SMALLEST)))
    if odd.any():
        faults.add(f"`{column}` cannot be so in {rows_in_words(table, odd, column)}", calling(path), "mend the value")
    return values.where(~(infinite | odd))


def _check_words(table: pd.DataFrame, column: str, known: Iterable[str], path: Path, faults: FaultList) -> None:
    known = tuple(known)
    wrong = ~table[column].isin(known)
    if wrong.any():
        where = rows_in_words(table, wrong, column)
        faults.add(f"`{column}` is unknown in {where}", calling(path), f"use one of {', '.join(known)}")


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
        faults.add("the table has no rows", calling(path), "give at least one patient")
        return None
    check_ids(table, ("participant_id",), path, faults)
    for column in PRIMARY.columns:
        table[column] = to_numbers(table, column, path, faults, least=0.0, most=LARGEST_TBR)
    for column in sorted(number_columns() & set(table.columns)):
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
        table[column] = to_numbers(table, column, path, faults, least=0.0, most=LARGEST_TBR)
    order = {name: k for k, name in enumerate(ARTERIES)}
    table["_order"] = table["vessel"].map(order)
    return table.sort_values(["participant_id", "_order"], ignore_index=True).drop(columns="_order")


def read_allocation(path: Path, faults: FaultList) -> pd.DataFrame | None:
    """Read ALLOCATION: participant_id and arm (active or control), sorted by id."""
    table = _read(path, ("participant_id", "arm"), ("participant_id", "arm"), faults)
    if table is None:
        return None
    if table.empty:
        faults.add("the table has no rows", calling(path), "give an arm for every participant, or leave the table out")
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
    for column in (c for c in table.columns if str(c).lower() in ("age", "age_years")):
        # Bands of ages are words, and no number to judge.
        years = pd.to_numeric(table[column], errors="coerce").astype(float)
        wrong = (years < 0) | (years > OLDEST_YEARS)
        if wrong.any():
            where = rows_in_words(table, wrong, column)
            what = f"`{column}` is below 0 or above {OLDEST_YEARS:g} years in {where}"
            faults.add(what, calling(path), "mend the value, or give n/a where missing")
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
    """Read OUTCOMES: participant_id, time_years (from 0), event (0 none, 1 event, 2 competing event), sorted by id.

    What happens on the day of randomisation has the time 0. Other codes are refused by name: a withdrawal is a
    censoring at its time.
    """
    table = _read(path, ("participant_id", "time_years", "event"), ("participant_id",), faults)
    if table is None:
        return None
    if table.empty:
        faults.add("the table has no rows", calling(path), "give at least one participant")
        return None
    check_ids(table, ("participant_id",), path, faults)
    years = to_numbers(table, "time_years", path, faults, least=0.0, strict=False)
    missing = table["time_years"].isna()
    if missing.any():
        faults.add(
            f"`time_years` is missing in {rows_in_words(table, missing)}", calling(path), "give it, or remove the row"
        )
    known = years.dropna()
    slip = len(known) > 0 and bool((known % 1 == 0).all() or known.median() > PLAUSIBLE_YEARS)
    long = years > (PLAUSIBLE_YEARS if slip else LONGEST_YEARS)
    if long.any():
        unit = "days" if years.max() > 12 * PLAUSIBLE_YEARS else "months"
        what = f"`time_years` is {years[long].max():g} in {rows_in_words(table, long & (years == years[long].max()))}"
        faults.add(f"{what}: these look like {unit}", calling(path), f"give years: divide {unit} by " + DIVIDE[unit])
    table["time_years"] = years
    table["event"] = _events(table, path, faults)
    return table.sort_values("participant_id", ignore_index=True)


# None, event, competing event.
EVENT_CODES = (0, 1, 2)
DIVIDE = {"months": "12", "days": "365.25"}


def _events(table: pd.DataFrame, path: Path, faults: FaultList) -> pd.Series:
    """Return 0, 1 or 2 of each row; note everything else, words for yes and no by name."""
    raw = table["event"].astype(int) if table["event"].dtype == bool else table["event"]
    missing = raw.isna()
    if missing.any():
        faults.add(
            f"`event` is missing in {rows_in_words(table, missing)}", calling(path), "give it, or remove the row"
        )
    values = pd.to_numeric(raw, errors="coerce").astype(float)
    given = raw.astype(str).str.strip().str.lower()
    words = ~missing & values.isna() & given.isin(("yes", "no", "y", "n", "true", "false"))
    if words.any():
        what = f"`event` is a word in {rows_in_words(table, words, 'event')}"
        faults.add(what, calling(path), "write 1 for an event and 0 for none")
    other = ~missing & ~words & ~values.isin(EVENT_CODES)
    if other.any():
        faults.add(
            f"`event` is none of 0, 1 and 2 in {rows_in_words(table, other, 'event')}",
            calling(path),
            "write 1 for the event of interest, 0 for none (a withdrawal as 0 at its time), 2 for competing events, "
            "after which the event cannot come (such as death from another cause)",
        )
    return values.where(values.isin(EVENT_CODES))


def read_readings(path: Path, faults: FaultList) -> pd.DataFrame | None:
    """Read READINGS: subject, rater, value; one value for each subject and rater."""
    table = _read(path, ("subject", "rater", "value"), ("subject", "rater"), faults)
    if table is None:
        return None
    check_ids(table, ("subject", "rater"), path, faults)
    table["value"] = to_numbers(table, "value", path, faults)
    return table
