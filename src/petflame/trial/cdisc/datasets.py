"""ADSL, a row a participant, and ADTBR, a row a participant, parameter and visit: names and structure follow ADaM."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from petflame.trial.cdisc.columns import ANALYSIS_COLUMNS, CATEGORY, SUBJECT_COLUMNS, Codes, Column
from petflame.trial.cdisc.names import column_names, stratum_label, writable
from petflame.trial.cdisc.parameters import Parameter, Values, parameters, values
from petflame.trial.cohort import SETS, Cohort


@dataclass(frozen=True)
class Dataset:
    """A dataset of the study.

    Attributes
    ----------
    name, label : str
    kind : str
        Class of Define-XML.
    structure : str
        What a record is.
    keys : tuple of str
    columns : tuple of Column
    rows : list of dict
        Column to value; None where missing.
    parameters : tuple of Parameter
        Those that it holds.
    """

    name: str
    label: str
    kind: str
    structure: str
    keys: tuple[str, ...]
    columns: tuple[Column, ...]
    rows: list[dict[str, Any]]
    parameters: tuple[Parameter, ...] = ()

    def values(self, column: str, parameter: Parameter | None = None) -> list[Any]:
        """Return the values that there are of a column, of one parameter if given."""
        rows = (r for r in self.rows if parameter is None or r["PARAMCD"] == parameter.code)
        return [row[column] for row in rows if row[column] is not None]

    @property
    def file(self) -> str:
        """Name of its Dataset-JSON file."""
        return f"{self.name.lower()}.json"


def subject_level(cohort: Cohort, study: str) -> Dataset:
    """Return ADSL: everybody of PATIENTS or the allocation, with flags and strata."""
    strata = _strata(cohort)
    chosen = SETS[cohort.analysis_set]
    own = _open(SUBJECT_COLUMNS, cohort)
    columns = (
        *(replace(c, words=f"{c.words} {chosen}.") if c.name == "EVALFL" else c for c in own),
        *strata.values(),
    )
    rows = []
    for row in cohort.table.to_dict("records"):
        arm = row["arm"]
        found = {
            "STUDYID": study,
            "USUBJID": row["participant_id"],
            "TRT01P": _text(arm),
            "TRT01PN": _number(arm),
            "RANDFL": _flag(row["allocated"]),
            "SCANFL": _flag(row["listed"]),
            "EVALFL": _flag(row["analysed"]),
            "EVALREAS": _text(row["left_out"]),
            "COMPGR": _text(row.get("comparability")),
            **{column.name: _category(row[name]) for name, column in strata.items()},
        }
        rows.append({c.name: found[c.name] for c in columns})
    return Dataset(
        "ADSL",
        "Subject-Level Analysis",
        "SUBJECT LEVEL ANALYSIS DATASET",
        "One record per subject",
        ("STUDYID", "USUBJID"),
        columns,
        rows,
    )


def _strata(cohort: Cohort) -> dict[str, Column]:
    """Return the strata's columns by the strata's own names."""
    taken = [c.name for c in (*SUBJECT_COLUMNS, *ANALYSIS_COLUMNS)]
    table = "PATIENTS" if cohort.people is None else "PARTICIPANTS"
    found = {}
    for name, column in column_names(cohort.strata, taken).items():
        seen = sorted({v for v in map(_category, cohort.table[name]) if v is not None})
        found[name] = Column(
            column,
            stratum_label(writable(name)),
            "string",
            "Assigned",
            f"Column {writable(name)} of {table}.",
            Codes(f"STRATUM.{column}", f"Categories of {writable(name)}", tuple((v, v) for v in seen)),
            comment="A stratum of the models; taken as categories.",
        )
    return found


def analysis_level(cohort: Cohort, study: str) -> Dataset:
    """Return ADTBR: both visits of every parameter of every participant with a row in the parameter's table.

    A missing value has its record too, with ANLREAS, so that nobody drops out of a parameter in silence.
    """
    columns = _open(ANALYSIS_COLUMNS, cohort)
    rows, held = [], []
    for parameter in parameters():
        own = [row for one in values(cohort, parameter) for row in _visits(one, parameter, study)]
        rows += own
        held += [parameter] if own else []
    rows.sort(key=lambda r: (r["USUBJID"], r["PARAMCD"], r["AVISITN"]))
    there = {p.category for p in held}
    codes = {
        "PARAMCD": Codes("PARAMCD", "Parameter", tuple((p.code, p.text) for p in held)),
        "PARCAT1": replace(CATEGORY, items=tuple(i for i in CATEGORY.items if i[0] in there)),
    }
    columns = tuple(replace(c, codes=codes.get(c.name, c.codes)) for c in columns)
    names = [c.name for c in columns]
    return Dataset(
        "ADTBR",
        "Target-to-Background Ratio Analysis",
        "BASIC DATA STRUCTURE",
        "One record per subject, parameter and analysis visit",
        ("STUDYID", "USUBJID", "PARAMCD", "AVISITN"),
        columns,
        [{name: row[name] for name in names} for row in rows],
        tuple(held),
    )


def _open(columns: Iterable[Column], cohort: Cohort) -> tuple[Column, ...]:
    return tuple(c for c in columns if not (cohort.blinded and c.of_the_arms))


def _visits(one: Values, parameter: Parameter, study: str) -> list[dict[str, Any]]:
    base, follow = _finite(one.baseline), _finite(one.followup)
    change = None if base is None or follow is None else follow - base
    shared = {
        "STUDYID": study,
        "USUBJID": one.participant_id,
        "TRTP": one.arm,
        "TRTPN": _number(one.arm),
        "PARCAT1": parameter.category,
        "PARAMCD": parameter.code,
        "PARAM": parameter.text,
        "BASE": base,
        "CHG": None,
        "PCHG": None,
        "ABLFL": None,
        "ANL01FL": _flag(not one.reason),
        "ANLREAS": one.reason or None,
    }
    percent = None if change is None or base is None or base <= 0 else 100 * change / base
    return [
        shared | {"AVISIT": "Baseline", "AVISITN": 0, "AVAL": base, "ABLFL": None if base is None else "Y"},
        shared | {"AVISIT": "Follow-up", "AVISITN": 1, "AVAL": follow, "CHG": change, "PCHG": percent},
    ]


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _flag(chosen: Any) -> str:
    return "Y" if bool(chosen) else "N"


def _text(value: Any) -> str | None:
    return writable(value) if isinstance(value, str) and value else None


def _category(value: Any) -> str | None:
    return None if pd.isna(value) else writable(str(value))


def _number(arm: Any) -> int | None:
    return {"active": 1, "control": 0}.get(arm) if isinstance(arm, str) else None
