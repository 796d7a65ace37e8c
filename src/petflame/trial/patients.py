"""One patient's change: percent with its measurement error, in words; and how many fell beyond it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from petflame.errors import InputRefused
from petflame.files import write_tsv
from petflame.outside import PRODUCTS, calling, read_json_object
from petflame.privacy import named
from petflame.trial.cohort import Cohort
from petflame.trial.estimates import NotEstimable, attempt
from petflame.typed import Misshapen, number

WITHIN_SUBJECT_CV = 0.05
# As the protocol's own: no living vessel is read twice to a tenth of a per cent.
LEAST_CV, MOST_CV = 0.001, 0.5
# Repeatability of one patient's TBRmax derived from published figures (percent): the scan-rescan ICC of 0.79 to 0.92
# at the trial's baseline SD gives the first two, the trial's own residual SD the third.
PUBLISHED_PERCENT: tuple[float, ...] = (9.5, 15.0, 27.0)

DEFINITIONS: dict[str, str] = {
    "interval": "100 x (exp(ln(Y_F / Y_B) +- 1.96 x sqrt(2) x s_w) - 1), s_w = sqrt(ln(1 + CV^2)) from the "
    "within-subject CV of repeated scans.",
    "responders": "Patients whose follow-up fell by more than the repeatability band. A dichotomised measure is weak "
    "and counts noise in both arms; it is no estimate of the effect.",
}
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


def within_subject_cv(reliability: Path | None, configured: float = WITHIN_SUBJECT_CV) -> tuple[float, str]:
    """Return the within-subject coefficient of variation and where it comes from.

    Parameters
    ----------
    reliability : Path, optional
        A ``reliability.json``; its within_subject_cv goes before the configured one.

    Raises
    ------
    InputRefused
        When the file has no usable value, or the configured one is not between 0 and 1.
    """
    if reliability is not None:
        where = calling(reliability, "the reliability file")
        document = read_json_object(reliability, PRODUCTS, where, "run `petflame reliability` again")
        try:
            value = number(document.get("within_subject_cv"), "within_subject_cv", LEAST_CV, MOST_CV)
        except Misshapen as error:
            raise InputRefused.of(str(error), where, "run `petflame reliability` on readings that vary") from None
        return value, f"reliability study ({named(reliability.name, 'reliability.json')})"
    if not 0 < configured < 1:
        raise InputRefused.of(f"{configured} is not between 0 and 1", "within_subject_cv", "5 % is 0.05")
    return configured, "configured"


def percent_interval(baseline: float, followup: float, cv: float) -> tuple[float, float, float]:
    """Return the percent change with its measurement-error interval (Bland and Altman 1996, log scale).

    >>> [round(v, 1) for v in percent_interval(2.0, 2.0, 0.043)]
    [0.0, -11.2, 12.7]
    """
    ratio = math.log(followup / baseline)
    half = 1.96 * math.sqrt(2 * math.log1p(cv**2))
    return 100 * math.expm1(ratio), 100 * math.expm1(ratio - half), 100 * math.expm1(ratio + half)


def sentence(percent: float, low: float, high: float) -> tuple[str, str]:
    """Return the verdict and the plain sentence of one change.

    >>> sentence(-7.7, -18.0, 4.0)[1]
    'A change of -7.7 % (-18.0 to +4.0) is within measurement noise: this patient alone shows no change.'
    """
    change = f"A change of {percent:+.1f} % ({low:+.1f} to {high:+.1f})"
    if high < 0:
        return "fall", f"{change} is a fall beyond measurement noise; it does not say what caused it."
    if low > 0:
        return "rise", f"{change} is a rise beyond measurement noise; it does not say what caused it."
    return "within noise", f"{change} is within measurement noise: this patient alone shows no change."


def patient_changes(cohort: Cohort, cv: float) -> pd.DataFrame:
    """Return a row for every analysed patient, with the columns of `COLUMNS` (no arm when blinded)."""
    rows = []
    for row in cohort.analysed.to_dict("records"):
        percent, low, high = percent_interval(row["tbr_max_baseline"], row["tbr_max_followup"], cv)
        verdict, words = sentence(percent, low, high)
        rows.append(
            {
                "participant_id": row["participant_id"],
                "arm": row["arm"],
                "tbr_max_baseline": row["tbr_max_baseline"],
                "tbr_max_followup": row["tbr_max_followup"],
                "percent_change": percent,
                "percent_low": low,
                "percent_high": high,
                "verdict": verdict,
                "sentence": words,
            }
        )
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return table.drop(columns="arm") if cohort.blinded else table


def write_patient_changes(out: Path, table: pd.DataFrame) -> None:
    """Write ``patient_changes.tsv`` with its column dictionary."""
    write_tsv(out / "patient_changes.tsv", table, COLUMNS)


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


def responders(table: pd.DataFrame, cv: float) -> dict[str, Any]:
    """Count patients who fell beyond the repeatability band, by arm, with exact tests.

    Parameters
    ----------
    table : DataFrame
        As `patient_changes` returns it, with arms.
    """
    rules = {"configured": table["percent_high"] < 0}
    rules |= {f"published_{limit:g}_percent": table["percent_change"] < -limit for limit in PUBLISHED_PERCENT}
    record: dict[str, Any] = {"within_subject_cv": cv, "definition": DEFINITIONS["responders"]}
    for name, fell in rules.items():
        counts = {
            arm: (int(fell[table["arm"] == arm].sum()), int((table["arm"] == arm).sum()))
            for arm in ("active", "control")
        }
        record[name] = {
            **{arm: {"responders": k, "n": n} for arm, (k, n) in counts.items()},
            **attempt(lambda c=counts: compare_counts(c["active"], c["control"]), ("difference", "fisher_p")),  # type: ignore[misc]
        }
    return record


def summary(table: pd.DataFrame, cv: float, source: str) -> dict[str, Any]:
    """Return the pooled counts of verdicts and the repeatability behind them."""
    half = 1.96 * math.sqrt(2 * math.log1p(cv**2))
    verdicts = table["verdict"].value_counts()
    return {
        "within_subject_cv": cv,
        "source": source,
        "no_change_band_percent": [100 * math.expm1(-half), 100 * math.expm1(half)],
        "published_bands_percent": list(PUBLISHED_PERCENT),
        "verdicts": {name: int(verdicts.get(name, 0)) for name in ("fall", "rise", "within noise")},
        "definition": DEFINITIONS["interval"],
    }
