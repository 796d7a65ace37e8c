"""Agreement of repeated readings: intraclass correlations, Bland-Altman, repeatability."""

from __future__ import annotations

import math
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from petflame import __version__
from petflame.errors import FaultList, InputRefused
from petflame.files import sha256, write_json
from petflame.outside import calling
from petflame.repeatability import Repeated
from petflame.trial.estimates import LEVEL, Matrix, NotEstimable, Vector, attempt, is_constant
from petflame.trial.tables import read_readings
from petflame.trial.words import counted

Z = float(stats.norm.ppf(0.5 + LEVEL / 2))
TAIL = 0.5 + LEVEL / 2
# The exponential of more than this is no floating-point number.
LARGEST_LOG = 700.0

DEFINITIONS: dict[str, str] = {
    "icc": "Intraclass correlations of McGraw and Wong (1996): 1 = one-way, A = absolute agreement, C = consistency; "
    "second part: one reading or the mean of k. Intervals from F distributions.",
    "within_subject_sd": "Root of the one-way within-subject mean square.",
    "within_subject_cv": "Root mean square over subjects of SD / mean (on the log scale sqrt(exp(s^2) - 1)). "
    "`within_subject_cv_low` and `_high`: chi-square 95 % limits of the variance of the logarithms, ln(1 + CV^2), at "
    "`repeatability_df`. The CV and these degrees of freedom, and nothing else of this file, feed the band of one "
    "patient's change and the design of a trial, and only where scans were repeated.",
    "repeatability_coefficient": "1.96 x sqrt(2) x within_subject_sd: two readings of one subject differ by less in "
    "95 % of pairs; chi-square interval.",
    "minimal_detectable_change": "1.96 x sqrt(2) x root of the two-way residual mean square: as the repeatability "
    "coefficient, with the raters' systematic difference taken out.",
    "bland_altman": "Second rater minus first: bias with t interval, 95 % limits of agreement bias +- 1.96 SD with "
    "intervals from SD sqrt(1/n + 1.96^2 / (2 (n - 1))). Proportional bias: slope of the difference on the mean.",
}


def mean_squares(values: Matrix) -> dict[str, float]:
    """Return the mean squares of a subjects x raters table: rows, columns, error, within.

    Parameters
    ----------
    values : ndarray, shape (n, k)
        One reading a subject and rater, complete.
    """
    n, k = values.shape
    grand = values.mean()
    rows = k * float(((values.mean(axis=1) - grand) ** 2).sum())
    columns = n * float(((values.mean(axis=0) - grand) ** 2).sum())
    within = float(((values - values.mean(axis=1, keepdims=True)) ** 2).sum())
    return {
        "rows": rows / (n - 1),
        "columns": columns / (k - 1),
        "error": max(within - columns, 0.0) / ((n - 1) * (k - 1)),
        "within": within / (n * (k - 1)),
    }


def _one_f(rows: float, error: float, df1: float, df2: float, k: int) -> tuple[float, float, float, float]:
    """Return estimate, low and high of (rows - error) / (rows + (k - 1) error), and its F test p."""
    f = rows / error
    low, high = f / stats.f.ppf(TAIL, df1, df2), f * stats.f.ppf(TAIL, df2, df1)
    return (*((v - 1) / (v + k - 1) for v in (f, low, high)), float(stats.f.sf(f, df1, df2)))  # type: ignore[return-value]


def _agreement(ms: dict[str, float], n: int, k: int) -> tuple[float, float, float]:
    rows, columns, error = ms["rows"], ms["columns"], ms["error"]
    whole = rows + (k - 1) * error + k / n * (columns - error)
    if whole <= 1e-12 * (rows + columns + error):
        raise NotEstimable("neither subjects nor raters differ, so no correlation exists")
    value = (rows - error) / whole
    a = k * value / (n * (1 - value))
    b = 1 + k * value * (n - 1) / (n * (1 - value))
    df = (a * columns + b * error) ** 2 / ((a * columns) ** 2 / (k - 1) + (b * error) ** 2 / ((n - 1) * (k - 1)))
    upper_f, lower_f = stats.f.ppf(TAIL, n - 1, df), stats.f.ppf(TAIL, df, n - 1)
    rest = k * columns + (k * n - k - n) * error
    low = n * (rows - upper_f * error) / (upper_f * rest + n * rows)
    high = n * (lower_f * rows - error) / (rest + n * lower_f * rows)
    return value, float(low), float(high)


def icc(values: Matrix) -> dict[str, dict[str, float]]:
    """Return the six intraclass correlations with F-based 95 % intervals.

    Parameters
    ----------
    values : ndarray, shape (n, k)
        Subjects x raters, complete.

    Raises
    ------
    NotEstimable
        When readings do not differ within subjects, or nothing varies.

    References
    ----------
    Shrout PE, Fleiss JL. Psychol Bull 1979;86:420-428. McGraw KO, Wong SP. Psychol Methods 1996;1:30-46.

    Examples
    --------
    Shrout and Fleiss's judges:

    >>> table = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7.0]])
    >>> {name: round(form["estimate"], 4) for name, form in icc(table).items()}
    {'1,1': 0.1657, 'A,1': 0.2898, 'C,1': 0.7148, '1,k': 0.4428, 'A,k': 0.6201, 'C,k': 0.9093}
    """
    n, k = values.shape
    ms = mean_squares(values)
    floor = 1e-20 * max(1.0, float((values**2).mean()))
    if ms["error"] <= floor:
        raise NotEstimable("the readings of a subject do not differ (beyond a constant), so no interval exists")
    one = _one_f(ms["rows"], ms["within"], n - 1, n * (k - 1), k)
    consistency = _one_f(ms["rows"], ms["error"], n - 1, (n - 1) * (k - 1), k)
    agreement = _agreement(ms, n, k)
    single = {"1,1": one[:3], "A,1": agreement, "C,1": consistency[:3]}
    forms = {name: dict(zip(("estimate", "low", "high"), map(float, v), strict=True)) for name, v in single.items()}
    # The mean of k readings follows from one reading by the Spearman-Brown formula, limits included.
    for name, record in list(forms.items()):
        forms[name[0] + ",k"] = {key: k * v / (1 + (k - 1) * v) for key, v in record.items()}
    return forms


def bland_altman(first: Vector, second: Vector) -> dict[str, Any]:
    """Return bias, limits of agreement with intervals, and proportional bias, of `second` minus `first`.

    References
    ----------
    Bland JM, Altman DG. Stat Methods Med Res 1999;8:135-160.
    """
    difference, mean = second - first, (first + second) / 2
    n = difference.size
    sd = float(difference.std(ddof=1))
    bias = float(difference.mean())
    t = float(stats.t.ppf(TAIL, n - 1))
    half = t * sd / math.sqrt(n)
    spread = t * sd * math.sqrt(1 / n + Z**2 / (2 * (n - 1)))
    limits = {"lower": bias - Z * sd, "upper": bias + Z * sd}
    return {
        "n": n,
        "bias": bias,
        "bias_low": bias - half,
        "bias_high": bias + half,
        "sd": sd,
        **{
            f"limit_{side}{name}": value + sign * spread
            for side, value in limits.items()
            for name, sign in (("", 0), ("_low", -1), ("_high", 1))
        },
        "proportional_bias": attempt(lambda: _slope(mean, difference), ("slope", "p")),
    }


def _slope(x: Vector, y: Vector) -> dict[str, float]:
    if x.size < 3 or is_constant(x):
        raise NotEstimable("fewer than three subjects, or all with the same mean")
    if is_constant(y):
        raise NotEstimable("the difference is the same in every subject")
    fit = stats.linregress(x, y)
    half = float(stats.t.ppf(TAIL, x.size - 2)) * float(fit.stderr)
    slope = float(fit.slope)
    return {"slope": slope, "se": float(fit.stderr), "low": slope - half, "high": slope + half, "p": float(fit.pvalue)}


def repeatability(values: Matrix) -> dict[str, Any]:
    """Return within-subject SD, repeatability coefficient (chi-square intervals) and minimal detectable change."""
    n, k = values.shape
    ms = mean_squares(values)
    df = n * (k - 1)
    sd = math.sqrt(ms["within"])
    factor = Z * math.sqrt(2)
    low, high = (math.sqrt(df / float(stats.chi2.ppf(q, df))) for q in (TAIL, 1 - TAIL))
    return {
        "within_subject_sd": sd,
        "within_subject_sd_low": sd * low,
        "within_subject_sd_high": sd * high,
        "repeatability_coefficient": factor * sd,
        "repeatability_coefficient_low": factor * sd * low,
        "repeatability_coefficient_high": factor * sd * high,
        "repeatability_df": df,
        "minimal_detectable_change": factor * math.sqrt(ms["error"]),
        "minimal_detectable_change_group": factor * math.sqrt(ms["error"] / n),
    }


def reliability(
    readings: Path,
    out: Path,
    *,
    repeated: Repeated | None = None,
    log: bool = False,
    provenance: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Analyse repeated readings and write ``reliability.json``.

    Parameters
    ----------
    readings : Path
        Table of subject, rater (or scan), value; one value for each subject and rater. Subjects without a reading of
        every rater are listed and left out.
    out : Path
        Folder for the result.
    repeated : {'scan_rescan', 'reading'}, optional
        What was repeated. Only scans may give the band of one patient's change; where it is not said, none does.
    log : bool
        Analyse natural logarithms; differences are then also given as percent.

    Raises
    ------
    InputRefused
        On text in a number, duplicated readings, fewer than two complete subjects or two raters, values that are not
        positive where logarithms are asked for.
    """
    table, incomplete = _load(readings, log)
    raw = table.to_numpy(float)
    values = np.log(raw) if log else raw
    raters = [str(c) for c in table.columns]
    document: dict[str, Any] = {
        "repeated": repeated,
        "subjects": len(table),
        "raters": raters,
        "scale": "natural logarithm" if log else "as given",
        "left_out": incomplete,
        "mean": float(raw.mean()),
        "mean_squares": mean_squares(values),
        "icc": attempt(lambda: dict(icc(values)), ("1,1", "A,1", "C,1", "1,k", "A,k", "C,k")),
    }
    pairs = {
        f"{b} - {a}": bland_altman(values[:, i], values[:, j]) for (i, a), (j, b) in combinations(enumerate(raters), 2)
    }
    document["bland_altman"] = next(iter(pairs.values())) if len(pairs) == 1 else {"pairs": pairs}
    document |= repeatability(values)
    document |= _cv_record(raw, document["within_subject_sd"] if log else None, document["repeatability_df"])
    if log:
        rc = document["repeatability_coefficient"]
        document["repeatability_percent"] = {"low": 100 * math.expm1(-rc), "high": 100 * math.expm1(rc)}
    document["definitions"] = DEFINITIONS
    document["provenance"] = {
        **(provenance or {}),
        "petflame": __version__,
        "inputs": {"readings": {"file": readings.name, "sha256": sha256(readings)}},
    }
    write_json(out / "reliability.json", document)
    return document


def _cv_record(raw: Matrix, log_sd: float | None, df: int) -> dict[str, float | str | None]:
    keys = ("within_subject_cv", "within_subject_cv_low", "within_subject_cv_high")
    cv = _within_subject_cv(raw, log_sd)
    if cv is None:
        return {**dict.fromkeys(keys), "within_subject_cv_reason": "a reading is not positive"}
    return {**dict(zip(keys, (cv, *cv_limits(cv, df)), strict=True)), "within_subject_cv_reason": None}


def cv_limits(cv: float, df: float) -> tuple[float, float | None]:
    """Return 95 % limits of a within-subject CV: chi-square limits of the variance of the logarithms, ln(1 + CV^2).

    Parameters
    ----------
    cv : float
        Fraction.
    df : float
        Degrees of freedom of the within-subject variance, at least 1.

    Returns
    -------
    tuple of float
        The upper limit is None where it is beyond every number.

    Examples
    --------
    >>> [round(v, 4) for v in cv_limits(0.04293, 11)]
    [0.0304, 0.073]
    """
    low, high = (math.log1p(cv**2) * df / float(stats.chi2.ppf(q, df)) for q in (TAIL, 1 - TAIL))
    return math.sqrt(math.expm1(low)), math.sqrt(math.expm1(high)) if high < LARGEST_LOG else None


def _within_subject_cv(raw: Matrix, log_sd: float | None) -> float | None:
    if log_sd is not None:
        return math.sqrt(math.expm1(log_sd**2))
    if (raw <= 0).any():
        return None
    return float(np.sqrt(np.mean((raw.std(axis=1, ddof=1) / raw.mean(axis=1)) ** 2)))


def _load(path: Path, log: bool) -> tuple[pd.DataFrame, list[str]]:
    faults = FaultList()
    table = read_readings(path, faults)
    faults.raise_if_any()
    if table is None:
        raise InputRefused.of("it cannot be read", calling(path), "mend the table")
    wide = table.set_index(["subject", "rater"])["value"].unstack()  # noqa: PD010
    whole = wide.dropna()
    left_out = sorted(map(str, set(wide.index) - set(whole.index)))
    if wide.shape[1] < 2:
        faults.add("there is only one rater or scan", calling(path), "give two or more readings of each subject")
    elif len(whole) < 2:
        faults.add(
            f"only {counted(len(whole), 'subject was', 'subjects were')} read by every rater",
            calling(path),
            "give at least two such subjects",
        )
    elif is_constant(whole.to_numpy(float)):
        faults.add("every reading is the same", calling(path), "give readings that vary")
    if log and (whole <= 0).any(axis=None):
        faults.add("values that are not positive have no logarithm", calling(path), "leave out the log option")
    faults.raise_if_any()
    return whole, left_out
