"""The parameters of the analysis dataset: index vessel, each vessel, secondary endpoints, negative controls."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from petflame.anatomy import title
from petflame.trial.arms.vessels import withheld
from petflame.trial.cohort import Cohort
from petflame.trial.endpoints import ENDPOINTS, NEGATIVE_CONTROLS, PRIMARY

VESSELS: dict[str, str] = {
    "aorta_ascending": "TBRAA",
    "aorta_arch": "TBRARCH",
    "aorta_descending": "TBRDA",
    "carotid_right": "TBRRC",
    "carotid_left": "TBRLC",
}


@dataclass(frozen=True)
class Parameter:
    """A parameter of the analysis dataset.

    Attributes
    ----------
    code : str
        PARAMCD, at most 8 characters.
    words : str
        PARAM without its unit.
    unit : str
    category : str
        PARCAT1.
    baseline, followup : str
        Columns of its values.
    table : {'PATIENTS', 'VESSELS'}
    vessel : str
        Name in VESSELS; empty elsewhere.
    """

    code: str
    words: str
    unit: str
    category: str
    baseline: str
    followup: str
    table: str = "PATIENTS"
    vessel: str = ""

    @property
    def text(self) -> str:
        """PARAM: what it is, with its unit."""
        return f"{self.words} ({self.unit})"

    @property
    def derivation(self) -> str:
        """Where its values lie."""
        rows = f", row {self.vessel}" if self.vessel else ""
        return f"{self.text}: column {self.baseline} of {self.table} at baseline, {self.followup} at follow-up{rows}."


def parameters() -> tuple[Parameter, ...]:
    """Return every parameter that can be, in the order of the report."""
    return (
        Parameter(PRIMARY.code, PRIMARY.parameter, PRIMARY.unit, "Primary", *PRIMARY.columns),
        *(
            Parameter(
                code, f"Mean TBRmax, {title(vessel)}", PRIMARY.unit, "Vessel", *PRIMARY.columns, "VESSELS", vessel
            )
            for vessel, code in VESSELS.items()
        ),
        *(Parameter(e.code, e.parameter, e.unit, "Secondary", *e.columns) for e in ENDPOINTS),
        *(
            Parameter(c.code, c.sentence[:1].upper() + c.sentence[1:], c.unit, "Negative control", *c.columns)
            for c in NEGATIVE_CONTROLS
        ),
    )


@dataclass(frozen=True)
class Values:
    """What one participant has of one parameter.

    Attributes
    ----------
    participant_id : str
    arm : str or None
    baseline, followup : float
        NaN where missing.
    reason : str
        Why the analysis of the parameter goes without the participant; empty where it does not.
    """

    participant_id: str
    arm: str | None
    baseline: float
    followup: float
    reason: str


def values(cohort: Cohort, parameter: Parameter) -> Iterator[Values]:
    """Yield the values of everybody with a row in the parameter's table; nothing where the table lacks its columns."""
    left_out = cohort.table.set_index("participant_id")["left_out"]
    rows = cohort.table[cohort.table["listed"]]
    if parameter.vessel:
        rows = pd.DataFrame() if cohort.vessels is None else cohort.vessels
        rows = rows[rows["vessel"] == parameter.vessel] if len(rows) else rows
    if not {parameter.baseline, parameter.followup} <= set(rows.columns):
        return
    held = withheld(rows) if parameter.vessel else pd.Series(False, index=rows.index)
    for row, kept in zip(rows.to_dict("records"), held, strict=True):
        first, second = float(row[parameter.baseline]), float(row[parameter.followup])
        out = left_out[row["participant_id"]]
        reason = f"not in the analysis set: {out}" if out else _withheld(row) if kept else _missing(first, second)
        arm = row["arm"]
        yield Values(row["participant_id"], arm if isinstance(arm, str) else None, first, second, reason)


def _withheld(row: dict[Any, Any]) -> str:
    why = row.get("reason")
    return f"withheld for a reader: {why}" if isinstance(why, str) and why else "withheld for a reader"


def _missing(first: float, second: float) -> str:
    gone = [name for name, value in (("baseline", first), ("follow-up", second)) if pd.isna(value)]
    return f"no {' and no '.join(gone)} value" if gone else ""
