"""One patient's change: percent with its measurement error, in words; and how many fell beyond it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from petflame.files import write_tsv
from petflame.folders import StudyOut
from petflame.repeatability import Repeatability
from petflame.trial.blocks import BandCheck, Patients, Responders, block, complete
from petflame.trial.cohort import Cohort
from petflame.trial.estimates import LEVEL, NotEstimable, clopper_pearson
from petflame.trial.tables import ARMS

RESPONDERS = (
    "Patients whose follow-up fell by more than the repeatability band. A dichotomised measure is weak "
    "and counts noise in both arms; it is no estimate of the effect."
)
BAND_CHECK = (
    "Control patients whose band leaves zero out, with the exact interval of their share; the implied CV is that of "
    "the control arm's ln(Y_F / Y_B), SD / sqrt(2), and holds the course of the disease too."
)
COLUMNS: dict[str, tuple[str, str]] = {
    "participant_id": ("participant", ""),
    "arm": ("active or control", ""),
    "tbr_max_baseline": ("mean TBRmax of the index vessel at baseline", "ratio"),
    "tbr_max_followup": ("mean TBRmax of the same vessel at follow-up", "ratio"),
    "percent_change": ("100 (follow-up - baseline) / baseline", "percent"),
    "percent_low": ("lower end of the measurement-error interval", "percent"),
    "percent_high": ("upper end of the measurement-error interval", "percent"),
    "verdict": ("fall, rise, or within noise", ""),
    "sentence": ("the same in words", ""),
}


def patient_changes(cohort: Cohort, repeatability: Repeatability) -> pd.DataFrame:
    """Return a row for every participant with both values, analysed or not (no arm when blinded).

    Columns are those of `COLUMNS`.
    """
    both = cohort.table[cohort.table["measured_baseline"] & cohort.table["measured_followup"]]
    rows = []
    for row in both.to_dict("records"):
        change = repeatability.change(row["tbr_max_baseline"], row["tbr_max_followup"])
        rows.append(
            {
                "participant_id": row["participant_id"],
                "arm": row["arm"],
                "tbr_max_baseline": change.baseline,
                "tbr_max_followup": change.followup,
                "percent_change": change.percent,
                "percent_low": change.percent_low,
                "percent_high": change.percent_high,
                "verdict": change.verdict,
                "sentence": change.sentence,
            }
        )
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return table.drop(columns="arm") if cohort.blinded else table


def write_patient_changes(out: Path, table: pd.DataFrame) -> None:
    """Write ``patient_changes.tsv`` with its column dictionary."""
    write_tsv(StudyOut(out).patient_changes, table, COLUMNS)


def band_check(table: pd.DataFrame, repeatability: Repeatability) -> BandCheck:
    """Hold the band against the control arm, which no drug changed: 5 in 100 should lie outside.

    Parameters
    ----------
    table : DataFrame
        Rows of `patient_changes`, with arms.
    repeatability : Repeatability
    """

    def estimate() -> dict[str, Any]:
        own = table[table["arm"] == "control"]
        if len(own) < 3:
            raise NotEstimable(f"the control arm has {len(own)} patients with both visits")
        outside, n = int((own["verdict"] != "within noise").sum()), len(own)
        low, high = clopper_pearson(outside, n)
        change = np.log(own["tbr_max_followup"].to_numpy(float) / own["tbr_max_baseline"].to_numpy(float))
        implied = math.sqrt(math.expm1(float(change.var(ddof=1)) / 2))
        too_narrow = low > 1 - LEVEL
        words = (
            f"In the control arm {outside} of {n} patients lie outside the band; 5 in 100 would if it held all that "
            f"differs between two visits. The control arm's own changes imply a within-subject CV of "
            f"{100 * implied:.1f} %, against {100 * repeatability.within_subject_cv:.1f} % behind the band."
        )
        words += (
            " The band is too narrow for this study: do not call single patients changed by it." if too_narrow else ""
        )
        return {
            "outside": outside,
            "n": n,
            "low": low,
            "high": high,
            "implied_within_subject_cv": implied,
            "too_narrow": too_narrow,
            "sentence": words,
        }

    return block(BandCheck, estimate, definition=BAND_CHECK)


def compare_counts(active: tuple[int, int], control: tuple[int, int]) -> dict[str, Any]:
    """Compare two proportions given as (count, total): Fisher and Boschloo p, difference with Newcombe's interval."""
    from statsmodels.stats.proportion import confint_proportions_2indep

    (a, n), (c, m) = active, control
    if n == 0 or m == 0:
        raise NotEstimable("an arm has no analysed patient")
    table = np.array([[a, n - a], [c, m - c]])
    low, high = confint_proportions_2indep(a, n, c, m, method="newcomb", compare="diff")
    constant = a + c in (0, n + m)
    return {
        "difference": a / n - c / m,
        "low": float(low),
        "high": float(high),
        "fisher_p": float(stats.fisher_exact(table)[1]),
        "boschloo_p": 1.0 if constant else float(stats.boschloo_exact(table.T).pvalue),
    }


def responders(table: pd.DataFrame, repeatability: Repeatability) -> dict[str, Any]:
    """Count patients who fell beyond the repeatability band and the published ones, by arm, with exact tests.

    Parameters
    ----------
    table : DataFrame
        Rows of `patient_changes`, with arms.
    repeatability : Repeatability
    """
    rules = {"configured": table["percent_high"] < 0}
    rules |= {f"published_{p:g}_percent": table["percent_change"] < -p for p in repeatability.published_percent}
    record: dict[str, Any] = {"within_subject_cv": repeatability.within_subject_cv, "definition": RESPONDERS}
    for name, fell in rules.items():
        counts = {arm: (int(fell[table["arm"] == arm].sum()), int((table["arm"] == arm).sum())) for arm in ARMS}
        record[name] = block(
            Responders,
            lambda c=counts: compare_counts(c["active"], c["control"]),  # type: ignore[misc]
            **{arm: {"responders": k, "n": n} for arm, (k, n) in counts.items()},
        )
    return record


def summary(table: pd.DataFrame, repeatability: Repeatability) -> Patients:
    """Return the pooled counts of verdicts and the repeatability behind them."""
    verdicts = table["verdict"].value_counts()
    counts = {name: int(verdicts.get(name, 0)) for name in ("fall", "rise", "within noise")}
    return complete(Patients, {**repeatability.record, "verdicts": counts})
