"""Baseline characteristics of the randomised, by arm: described, never tested (CONSORT 2025, item 25)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from petflame.anatomy import title
from petflame.trial.blocks import BaselineCharacteristics, BaselineRow, complete, describe
from petflame.trial.cohort import Cohort
from petflame.trial.endpoints import NEGATIVE_CONTROLS, PRIMARY
from petflame.trial.tables import ARMS

DEFINITION = (
    "Randomised participants by arm: mean and SD, or counts, of those in whom it is known. Differences between the "
    "arms are chance where the randomisation was sound, and are not tested. What scans tell beside "
    "TBRmax and the index vessel is known of participants with a measured pair."
)
# A column of more words than this is a list of names, not a characteristic.
MOST_LEVELS = 12
NOT_SHOWN = ("participant_id", "reason", "arm", "group")
NAMES = {"index_vessel": "index vessel", "scanner": "scanner model"}


def baseline_characteristics(cohort: Cohort) -> BaselineCharacteristics:
    """Return a row for every column of PARTICIPANTS, and for what the first scan tells.

    Columns with more than `MOST_LEVELS` different words are named under ``not_shown``.
    """
    table = cohort.table[cohort.table["allocated"]]
    rows: list[BaselineRow] = []
    hidden: list[str] = []
    if cohort.people is not None:
        own = [c for c in map(str, cohort.people.columns) if c.lower() not in NOT_SHOWN]
        people = table[["participant_id", "arm"]].merge(cohort.people[["participant_id", *own]], on="participant_id")
        for column in own:
            row = _row(column.replace("_", " "), "", people[column], people["arm"])
            if row is None:
                hidden.append(column)
            else:
                rows.append(row)
    measured = [(PRIMARY.columns[0], PRIMARY.sentence, PRIMARY.unit)]
    measured += [(c.columns[0], c.sentence, c.unit) for c in NEGATIVE_CONTROLS]
    for column, words, unit in measured:
        if column in table.columns:
            rows.append(_numbers(words, unit, pd.to_numeric(table[column], errors="coerce"), table["arm"]))
    for column, words in NAMES.items():
        if column in table.columns:
            named = table[column].map(lambda v: title(v) if isinstance(v, str) else v)
            row = _row(words, "", named, table["arm"])
            rows += [row] if row is not None else []
    return {"rows": rows, "not_shown": hidden, "definition": DEFINITION}


def _row(name: str, unit: str, values: pd.Series, arm: pd.Series) -> BaselineRow | None:
    """Describe numbers by mean and SD, words by counts; None where there are too many words."""
    known = values.notna()
    numbers = pd.to_numeric(values, errors="coerce").astype(float)
    # Codes of a few values, such as 0 and 1, are categories.
    if known.any() and numbers[known].notna().all() and np.isfinite(numbers[known]).all() and numbers.nunique() > 2:
        return _numbers(name, unit, numbers, arm)
    words = values[known].astype(str)
    if words.nunique() > MOST_LEVELS:
        return None
    levels = {
        level: {a: int(((words == level) & (arm[known] == a)).sum()) for a in ARMS} for level in sorted(words.unique())
    }
    return _whole(name, unit, {a: int((known & (arm == a)).sum()) for a in ARMS}, levels=levels)


def _numbers(name: str, unit: str, values: pd.Series, arm: pd.Series) -> BaselineRow:
    own = {a: values[(arm == a) & values.notna()].to_numpy(float) for a in ARMS}
    return _whole(name, unit, {a: v.size for a, v in own.items()}, **{a: describe(v) for a, v in own.items()})


def _whole(name: str, unit: str, known: dict[str, int], **found: Any) -> BaselineRow:
    empty = {"active": None, "control": None, "levels": None}
    return complete(BaselineRow, {"name": name, "unit": unit, "known": known, **empty, **found})
