"""Who is in the analysis: the tables joined, each participant's place named, nobody dropped in silence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from petflame.errors import FaultList
from petflame.outside import calling
from petflame.set_aside import visits_without_result
from petflame.trial.blocks import InSet, complete
from petflame.trial.choices import AnalysisSet, TrialTables
from petflame.trial.endpoints import PRIMARY
from petflame.trial.tables import (
    ARMS,
    few,
    names_arms,
    read_allocation,
    read_exclusions,
    read_participants,
    read_patients,
    read_vessels,
    to_numbers,
)
from petflame.typed import as_written

SETS: dict[str, str] = {
    "all_measured": "every participant whose index vessel was measured at both visits",
    "comparable": "those of all_measured whose two scans are not graded `fail` for comparability",
}
# A stratum of such a name would be overwritten, and the model go without it.
OWN_COLUMNS = frozenset(
    ("listed", "allocated", "analysed", "left_out", "measured_baseline", "measured_followup", *PRIMARY.columns)
)


@dataclass(frozen=True)
class Cohort:
    """The joined tables of a trial.

    Attributes
    ----------
    table : DataFrame
        A row for every participant of PATIENTS or the allocation, sorted by id: participant_id, every column of
        PATIENTS, the strata, ``listed`` (in PATIENTS), ``allocated``, ``arm`` (None when unknown),
        ``measured_baseline``, ``measured_followup``, ``analysed`` (bool) and ``left_out`` (why not analysed).
    vessels : DataFrame or None
        The VESSELS table with ``arm``, ``analysed`` and the strata.
    strata : tuple of str
    analysis_set : str
    blinded : bool
        True when there is no allocation.
    people : DataFrame or None
        The PARTICIPANTS table: everybody who was screened.
    exclusions : DataFrame or None
    notes : tuple of str
        Doubts that the user must see.
    """

    table: pd.DataFrame
    vessels: pd.DataFrame | None
    strata: tuple[str, ...]
    analysis_set: AnalysisSet
    blinded: bool
    people: pd.DataFrame | None
    exclusions: pd.DataFrame | None
    notes: tuple[str, ...]

    @property
    def analysed(self) -> pd.DataFrame:
        """Return the rows of the analysis set."""
        return self.table[self.table["analysed"]].reset_index(drop=True)


def load_cohort(
    tables: TrialTables, strata: tuple[str, ...] = (), analysis_set: AnalysisSet = "all_measured"
) -> Cohort:
    """Read and join the tables.

    Raises
    ------
    InputRefused
        With every fault of every table, and of their agreement.
    """
    faults = FaultList()
    patients, vessels = tables.patients, tables.vessels
    main = read_patients(patients, faults)
    parts = read_vessels(vessels, faults) if vessels else None
    arms = read_allocation(tables.allocation, faults) if tables.allocation else None
    people = read_participants(tables.participants, strata, faults) if tables.participants else None
    refused = read_exclusions(tables.exclusions, faults) if tables.exclusions else None
    if analysis_set not in SETS:
        faults.add(f"the analysis set `{analysis_set}` is unknown", "analysis_set", f"use one of {', '.join(SETS)}")
    if main is None or list(faults):
        faults.raise_if_any()
        raise AssertionError("a table that cannot be read leaves a fault")
    if analysis_set == "comparable" and "comparability" not in main.columns:
        faults.add(
            "the column `comparability` is missing",
            calling(patients),
            "use the set all_measured, or pair the visits again",
        )
    table = _join_strata(main, people, strata, patients, tables.participants, faults)
    if tables.allocation is None:
        for stratum in strata:
            if stratum in table.columns and names_arms(table[stratum]):
                what = (
                    f"the stratum {as_written(stratum, 'of another name')} tells the arms, and there is no allocation"
                )
                faults.add(what, calling(tables.participants or patients), "a blinded analysis goes without it")
    table = _join_arms(table, arms, patients, tables.allocation, faults)
    if parts is not None and vessels is not None:
        strangers = sorted(set(parts["participant_id"]) - set(main["participant_id"]))
        if strangers:
            faults.add(
                f"{_names(strangers)} not in {calling(patients)}", calling(vessels), "give both tables of the same run"
            )
    faults.raise_if_any()
    table = _place(table, analysis_set, _without_result(refused))
    notes: list[str] = []
    if parts is not None:
        ours = ["arm", "analysed", *strata]
        parts = parts.drop(columns=[c for c in ours if c in parts.columns])
        parts = parts.merge(table[["participant_id", *ours]], on="participant_id", how="left")
        notes += _index_disagreements(table, parts)
    if people is not None:
        unlisted = sorted(set(table["participant_id"]) - set(people["participant_id"]))
        notes += [f"{_names(unlisted)} not in PARTICIPANTS, so not among those screened"] if unlisted else []
    return Cohort(table, parts, strata, analysis_set, arms is None, people, refused, tuple(notes))


def _names(ids: list[str]) -> str:
    return f"participant{'s' if len(ids) > 1 else ''} {few(ids)}"


def _join_strata(
    main: pd.DataFrame,
    people: pd.DataFrame | None,
    strata: tuple[str, ...],
    patients: Path,
    participants: Path | None,
    faults: FaultList,
) -> pd.DataFrame:
    """Add the strata columns, from PARTICIPANTS where given, else from PATIENTS."""
    source = main if people is None else people
    where = calling(participants or patients)
    unknown = [s for s in strata if s not in source.columns]
    if unknown:
        known = ", ".join(c for c in source.columns if c != "participant_id") or "none"
        remedy = f"name strata among its columns: {known}"
        if people is None:
            remedy = "give the table of participants that holds them (--participants), or name others"
        faults.add(f"no column {', '.join(f'`{s}`' for s in unknown)} for the strata", where, remedy)
        return main
    if len(set(strata)) < len(strata) or {"arm", "participant_id", "vessel"} & set(strata):
        faults.add(f"the strata {', '.join(strata)} repeat or are not strata", "strata", "name each stratum once")
        return main
    if own := OWN_COLUMNS & set(strata):
        what = f"the analysis itself uses the name {', '.join(f'`{s}`' for s in sorted(own))} of a stratum"
        faults.add(what, where, "give the column another name")
        return main
    table = main.copy()
    if people is not None and strata:
        table = main.drop(columns=[s for s in strata if s in main.columns])
        table = table.merge(people[["participant_id", *strata]], on="participant_id", how="left")
    if people is not None and "bmi" in people.columns and "bmi" not in (*table.columns, *strata):
        numbers = to_numbers(people, "bmi", participants or patients, faults, least=0.0)
        table = table.merge(people[["participant_id"]].assign(bmi=numbers), on="participant_id", how="left")
    measured = table["tbr_max_baseline"].notna() & table["tbr_max_followup"].notna()
    for stratum in strata:
        empty = table.loc[measured & table[stratum].isna(), "participant_id"]
        if len(empty):
            faults.add(
                f"`{stratum}` is missing for {_names(list(empty))}", where, "give it for every measured participant"
            )
        elif measured.sum() > 1 and table.loc[measured, stratum].nunique() < 2:
            faults.add(f"`{stratum}` is the same for every measured participant", where, "leave it out of the strata")
    return table


def _join_arms(
    table: pd.DataFrame, arms: pd.DataFrame | None, patients: Path, allocation: Path | None, faults: FaultList
) -> pd.DataFrame:
    """Add ``arm`` and ``allocated``; participants of the allocation without scans become rows without values."""
    if arms is None:
        return table.assign(arm=None, allocated=False, listed=True)
    where = calling(allocation or patients)
    joined = table.drop(columns=[c for c in ("arm", "allocated", "listed") if c in table.columns])
    joined = joined.merge(arms, on="participant_id", how="outer", indicator="_side")
    measured = joined["tbr_max_baseline"].notna() | joined["tbr_max_followup"].notna()
    orphans = sorted(joined.loc[(joined["_side"] == "left_only") & measured, "participant_id"])
    if not (joined["_side"] == "both").any():
        faults.add(
            f"no participant_id in common with {calling(patients)}",
            where,
            "check that both tables use the same identifiers",
        )
    elif orphans:
        verb = "were measured but have" if len(orphans) > 1 else "was measured but has"
        faults.add(f"{_names(orphans)} {verb} no arm", where, "add the arm to the allocation table")
    joined["allocated"] = joined["_side"] != "left_only"
    joined["listed"] = joined["_side"] != "right_only"
    joined["arm"] = joined["arm"].astype(object).where(joined["arm"].notna(), None)
    return joined.drop(columns="_side").sort_values("participant_id", ignore_index=True)


def _without_result(exclusions: pd.DataFrame | None) -> dict[str, str]:
    """Say of each participant in EXCLUSIONS which of the visits have no result, and whether they were refused."""
    if exclusions is None or not {"participant_id", "visit", "kind"} <= set(exclusions.columns):
        return {}
    rows = exclusions.dropna(subset=["participant_id"])
    by_participant: dict[str, list[dict[str, Any]]] = {}
    for row in rows.to_dict("records"):
        by_participant.setdefault(str(row["participant_id"]), []).append({str(k): v for k, v in row.items()})
    said = {participant: visits_without_result(own) for participant, own in by_participant.items()}
    return {participant: words for participant, words in said.items() if words}


def _place(table: pd.DataFrame, analysis_set: AnalysisSet, without_result: Mapping[str, str]) -> pd.DataFrame:
    """Say for every participant whether it is analysed and, where not, why.

    A visit alone leaves no value in PATIENTS where the pair could not be measured, so that empty cells do not tell
    which of the two was refused; `without_result` does.
    """
    table = table.copy()
    table["measured_baseline"] = table["tbr_max_baseline"].notna()
    table["measured_followup"] = table["tbr_max_followup"].notna()
    given = table["reason"] if "reason" in table.columns else pd.Series(None, index=table.index, dtype=object)
    why = []
    for position, row in enumerate(table.itertuples(index=False)):
        reason = given.iloc[position]
        detail = f": {reason}" if isinstance(reason, str) and reason else ""
        if row.measured_baseline and row.measured_followup:
            failed = analysis_set == "comparable" and row.comparability == "fail"
            why.append(f"scans not comparable{detail}" if failed else "")
        elif row.measured_baseline or row.measured_followup:
            why.append(f"no {'follow-up' if row.measured_baseline else 'baseline'} measurement{detail}")
        else:
            told = without_result.get(str(row.participant_id))
            words = f"no change measured ({told}){detail}" if told else f"no change measured{detail}"
            why.append(words if row.listed else "randomised, not scanned")
    table["left_out"] = why
    table["analysed"] = table["left_out"] == ""
    return table


def _index_disagreements(table: pd.DataFrame, parts: pd.DataFrame) -> list[str]:
    """Note participants whose index vessel differs between the two tables."""
    if "index" not in parts.columns:
        return []
    chosen = parts[parts["index"].astype(str).str.lower() == "true"]
    both = chosen.merge(table, on="participant_id", suffixes=("_vessel", ""))
    apart = (both["tbr_max_baseline_vessel"] - both["tbr_max_baseline"]).abs() > 1e-6 * both["tbr_max_baseline"]
    ids = sorted(both.loc[apart, "participant_id"])
    return [f"the index vessel's baseline differs between PATIENTS and VESSELS for {_names(ids)}"] if ids else []


def analysis_set_record(cohort: Cohort) -> InSet:
    """Return the analysis_set block of ``arms.json``: how many stand where, and who was left out and why."""
    table = cohort.table

    def count(chosen: pd.Series) -> dict[str, int]:
        record = {"total": int(chosen.sum())}
        if not cohort.blinded:
            record |= {arm: int((chosen & (table["arm"] == arm)).sum()) for arm in ARMS}
        return record

    record: dict[str, Any] = {
        "name": cohort.analysis_set,
        "definition": SETS[cohort.analysis_set],
        "randomised": None if cohort.blinded else count(table["allocated"]),
        "randomised_not_scanned": None if cohort.blinded else count(table["allocated"] & ~table["listed"]),
        "measured_baseline": count(table["measured_baseline"]),
        "measured_followup": count(table["measured_followup"]),
        "measured_both": count(table["measured_baseline"] & table["measured_followup"]),
        "analysed": count(table["analysed"]),
        "comparability": None,
    }
    if "comparability" in table.columns:
        grades = table.loc[table["measured_baseline"] & table["measured_followup"], "comparability"].fillna(
            "not graded"
        )
        record["comparability"] = {str(k): int(v) for k, v in grades.value_counts().sort_index().items()}
    out = table[~table["analysed"]]
    columns = ["participant_id", "left_out"] if cohort.blinded else ["participant_id", "arm", "left_out"]
    record["left_out"] = [
        {("reason" if k == "left_out" else k): v for k, v in row.items()} for row in out[columns].to_dict("records")
    ]
    return complete(InSet, record)
