"""What the estimates share: intervals, the plain record of a number, and the reason when there is none."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Vector = NDArray[Any]
Matrix = NDArray[Any]

LEVEL = 0.95


class NotEstimable(Exception):
    """The data cannot give this number; the message says why, in words for the reader of the result."""


def t_record(estimate: float, se: float, df: float, level: float = LEVEL) -> dict[str, float]:
    """Return estimate, standard error, degrees of freedom, t interval and two-sided p.

    >>> record = t_record(-0.171, 0.06841566, 57)
    >>> round(record["ci_low"], 3), round(record["p"], 4)
    (-0.308, 0.0153)
    """
    half = float(stats.t.ppf(0.5 + level / 2, df)) * se
    p = float(2 * stats.t.sf(abs(estimate) / se, df))
    return {
        "estimate": estimate,
        "se": se,
        "df": df,
        "ci_low": estimate - half,
        "ci_high": estimate + half,
        "p": p,
    }


def percent_record(log_record: dict[str, float]) -> dict[str, float]:
    """Turn a difference of logarithms with its interval into percent, 100 (exp(b) - 1)."""
    return {
        "estimate": 100 * math.expm1(log_record["estimate"]),
        "low": 100 * math.expm1(log_record["ci_low"]),
        "high": 100 * math.expm1(log_record["ci_high"]),
        "p": log_record["p"],
    }


def clopper_pearson(events: int, n: int) -> tuple[float, float]:
    """Return the exact interval of a proportion.

    >>> low, high = clopper_pearson(3, 28)
    >>> round(low, 6), round(high, 6)
    (0.022665, 0.282264)
    """
    interval = stats.binomtest(events, n).proportion_ci(LEVEL, "exact")
    return float(interval.low), float(interval.high)


def attempt(make: Callable[[], dict[str, Any]], keys: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return what `make` returns; where the data cannot give it, nulls under `keys` and the reason.

    >>> def never(): raise NotEstimable("one arm only")
    >>> attempt(never, ("p",))
    {'p': None, 'reason': 'one arm only'}
    """
    try:
        return make()
    except NotEstimable as why:
        return {**dict.fromkeys(keys), "reason": str(why)}


def is_constant(values: Vector) -> bool:
    """Return whether all values agree to about twelve digits."""
    return values.size == 0 or float(np.ptp(values)) <= 1e-12 * max(1.0, float(np.abs(values).max()))
