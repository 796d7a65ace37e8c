"""ADaM-like datasets (subject level and analysis level) as CDISC Dataset-JSON 1.1 and as tables.

ADaM-like: names and structure follow ADaM, but there is no Define-XML and no claim of conformance.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from petflame import __version__
from petflame.anatomy import title
from petflame.files import write_json, write_tsv
from petflame.trial.cohort import Cohort

VERSION = "1.1.0"
_TYPES = ("string", "integer", "double")
Columns = list[tuple[str, str, str]]

SUBJECT_COLUMNS: Columns = [
    ("STUDYID", "Study Identifier", "string"),
    ("USUBJID", "Unique Subject Identifier", "string"),
    ("TRT01P", "Planned Treatment for Period 01", "string"),
    ("TRT01PN", "Planned Treatment for Period 01 (N)", "integer"),
    ("RANDFL", "Randomized Population Flag", "string"),
    ("SCANFL", "Scanned Flag", "string"),
    ("EVALFL", "Primary Analysis Set Flag", "string"),
    ("EVALREAS", "Reason for Exclusion from Analysis Set", "string"),
    ("COMPGR", "Comparability Grade of the Two Scans", "string"),
]
ANALYSIS_COLUMNS: Columns = [
    ("STUDYID", "Study Identifier", "string"),
    ("USUBJID", "Unique Subject Identifier", "string"),
    ("TRTP", "Planned Treatment", "string"),
    ("TRTPN", "Planned Treatment (N)", "integer"),
    ("PARAMCD", "Parameter Code", "string"),
    ("PARAM", "Parameter", "string"),
    ("AVISIT", "Analysis Visit", "string"),
    ("AVISITN", "Analysis Visit (N)", "integer"),
    ("AVAL", "Analysis Value", "double"),
    ("BASE", "Baseline Value", "double"),
    ("CHG", "Change from Baseline", "double"),
    ("PCHG", "Percent Change from Baseline", "double"),
    ("ABLFL", "Baseline Record Flag", "string"),
    ("ANL01FL", "Analysis Flag 01", "string"),
]
# PARAMCD holds at most eight characters.
PARAMETERS: dict[str, str] = {
    "aorta_ascending": "TBRAA",
    "aorta_arch": "TBRARCH",
    "aorta_descending": "TBRDA",
    "carotid_right": "TBRRC",
    "carotid_left": "TBRLC",
}


def creation_time(inputs: Iterable[Path]) -> str:
    """Return the time stamp of a dataset, so that the same inputs give the same bytes.

    It is the environment variable SOURCE_DATE_EPOCH (seconds) where set, else the latest modification of the input
    tables, which is when the data came into being.
    """
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    seconds = int(epoch) if epoch.isdigit() else int(max(p.stat().st_mtime for p in inputs))
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def dataset_json(
    name: str,
    label: str,
    columns: Columns,
    rows: list[dict[str, Any]],
    created: str,
    study_id: str,
    keys: tuple[str, ...],
) -> dict[str, Any]:
    """Return a Dataset-JSON 1.1 document.

    Parameters
    ----------
    name, label : str
        Of the dataset.
    columns : list of (name, label, data type)
    rows : list of dict
        Absent and non-finite values become null.
    created : str
        ISO 8601 time.
    keys : tuple of str
        Key columns in order.

    References
    ----------
    CDISC Dataset-JSON 1.1 specification (2024).
    """
    described = []
    for column, words, kind in columns:
        if kind not in _TYPES:
            raise ValueError(f"data type {kind} of {column} is not one of {_TYPES}")
        item: dict[str, Any] = {"itemOID": f"IT.{name}.{column}", "name": column, "label": words, "dataType": kind}
        if column in keys:
            item["keySequence"] = keys.index(column) + 1
        described.append(item)
    return {
        "datasetJSONCreationDateTime": created,
        "datasetJSONVersion": VERSION,
        "fileOID": f"petflame.{study_id}.{name}",
        "originator": "petflame",
        "sourceSystem": {"name": "petflame", "version": __version__},
        "studyOID": study_id,
        "itemGroupOID": f"IG.{name}",
        "records": len(rows),
        "name": name,
        "label": label,
        "columns": described,
        "rows": [[_cell(row.get(column)) for column, _, _ in columns] for row in rows],
    }


def _cell(value: Any) -> Any:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return value.item() if hasattr(value, "item") else value


def _flag(chosen: Any) -> str:
    return "Y" if bool(chosen) else "N"


def _arm(value: Any) -> tuple[str | None, int | None]:
    return (str(value), 1 if value == "active" else 0) if isinstance(value, str) else (None, None)


def subject_level(cohort: Cohort, study_id: str, created: str) -> dict[str, Any]:
    """Return ADSL: a row a participant, with flags and strata."""
    strata = [(s.upper()[:8], f"Stratum {s}", "string") for s in cohort.strata]
    rows = []
    for row in cohort.table.to_dict("records"):
        arm, number = _arm(row["arm"])
        grade = row.get("comparability")
        rows.append(
            {
                "STUDYID": study_id,
                "USUBJID": row["participant_id"],
                "TRT01P": arm,
                "TRT01PN": number,
                "RANDFL": None if cohort.blinded else _flag(row["allocated"]),
                "SCANFL": _flag(row["listed"]),
                "EVALFL": _flag(row["analysed"]),
                "EVALREAS": row["left_out"] or None,
                "COMPGR": grade if isinstance(grade, str) else None,
                **{
                    name: None if pd.isna(row[s]) else str(row[s])
                    for (name, _, _), s in zip(strata, cohort.strata, strict=True)
                },
            }
        )
    columns = _without_arm(SUBJECT_COLUMNS, cohort) + strata
    return dataset_json("ADSL", "Subject-Level Analysis", columns, rows, created, study_id, ("STUDYID", "USUBJID"))


def _without_arm(columns: Columns, cohort: Cohort) -> Columns:
    return [c for c in columns if not (cohort.blinded and c[0].startswith(("TRT", "RANDFL")))]


def analysis_level(cohort: Cohort, study_id: str, created: str) -> dict[str, Any]:
    """Return ADTBR: a row a participant, parameter (index vessel, each vessel) and visit."""
    rows: list[dict[str, Any]] = []
    for row in cohort.table[cohort.table["listed"]].to_dict("records"):
        rows += _visits(row, "TBRINDEX", "Mean TBRmax, Index Vessel (ratio)", study_id)
    if cohort.vessels is not None:
        for row in cohort.vessels.to_dict("records"):
            name = str(row["vessel"])
            rows += _visits(row, PARAMETERS[name], f"Mean TBRmax, {title(name)} (ratio)", study_id)
    rows.sort(key=lambda r: (r["USUBJID"], r["PARAMCD"], r["AVISITN"]))
    columns = _without_arm(ANALYSIS_COLUMNS, cohort)
    keys = ("STUDYID", "USUBJID", "PARAMCD", "AVISITN")
    return dataset_json("ADTBR", "Target-to-Background Ratio Analysis", columns, rows, created, study_id, keys)


def _visits(row: Mapping[Any, Any], code: str, label: str, study_id: str) -> list[dict[str, Any]]:
    arm, number = _arm(row["arm"])
    base, follow = float(row["tbr_max_baseline"]), float(row["tbr_max_followup"])
    shared = {
        "STUDYID": study_id,
        "USUBJID": row["participant_id"],
        "TRTP": arm,
        "TRTPN": number,
        "PARAMCD": code,
        "PARAM": label,
        "BASE": base,
        "ANL01FL": _flag(row["analysed"]),
    }
    visits = [{**shared, "AVISIT": "Baseline", "AVISITN": 0, "AVAL": base, "ABLFL": "Y"}]
    change = follow - base
    visits.append(
        {**shared, "AVISIT": "Follow-up", "AVISITN": 1, "AVAL": follow, "CHG": change, "PCHG": 100 * change / base}
    )
    return [v for v in visits if math.isfinite(float(v["AVAL"]))]


def write_datasets(cohort: Cohort, out: Path, study_id: str, inputs: Iterable[Path]) -> None:
    """Write ``adsl.json`` and ``adtbr.json``, and the same rows as tables with their column dictionaries."""
    created = creation_time(inputs)
    for document in (subject_level(cohort, study_id, created), analysis_level(cohort, study_id, created)):
        stem = document["name"].lower()
        write_json(out / f"{stem}.json", document)
        columns = document["columns"]
        table = pd.DataFrame(document["rows"], columns=[c["name"] for c in columns], dtype=object)
        write_tsv(out / f"{stem}.tsv", table, {c["name"]: (c["label"], _unit(c["name"])) for c in columns})


def _unit(column: str) -> str:
    return {"AVAL": "ratio", "BASE": "ratio", "CHG": "ratio", "PCHG": "percent"}.get(column, "")
