"""Regression with Firth's penalty, which stays finite when an arm has no event."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from petflame.trial.estimates import LEVEL, NotEstimable, Vector
from petflame.trial.events.comparisons import HorizonCounts, need_events

DEFINITIONS: dict[str, str] = {
    "firth_cox": "Cox model with Firth's penalty (Heinze and Schemper 2001), hazard ratio active / control, profile "
    "penalised likelihood interval, p by the penalised likelihood ratio.",
    "firth_logistic": "Logistic model of events up to the horizon with Firth's penalty, active against control; "
    "profile interval, penalised likelihood ratio p.",
}


def firth_cox(covariate: Vector, time: Vector, event: Vector) -> dict[str, Any]:
    """Fit a Cox model of one covariate with Firth's penalty.

    Raises
    ------
    NotEstimable
        Without events, with a constant covariate, or when the fit does not converge.
    """
    from firthmodels import FirthCoxPH

    need_events(event)
    if np.ptp(covariate) == 0:
        raise NotEstimable("the covariate is the same in every participant")
    value, low, high, p = _penalised(FirthCoxPH, covariate, (event, time))
    return {
        "hr": math.exp(value),
        "low": math.exp(low),
        "high": math.exp(high),
        "p": p,
    }


def firth_logistic(counts: HorizonCounts) -> dict[str, Any]:
    """Fit the log odds ratio of events up to the horizon, active against control, with Firth's penalty."""
    from firthmodels import FirthLogisticRegression

    cells = [counts.active_events, counts.active_free, counts.control_events, counts.control_free]
    if cells[0] + cells[2] == 0 or cells[1] + cells[3] == 0:
        raise NotEstimable("before the horizon nobody, or everybody, had an event")
    if cells[0] + cells[1] == 0 or cells[2] + cells[3] == 0:
        raise NotEstimable("an arm has nobody followed to the horizon")
    arm = np.repeat([1.0, 1.0, 0.0, 0.0], cells)
    event = np.repeat([1, 0, 1, 0], cells)
    value, low, high, p = _penalised(FirthLogisticRegression, arm, event)
    return {
        "log_odds_ratio": value,
        "odds_ratio": math.exp(value),
        "low": math.exp(low),
        "high": math.exp(high),
        "p": p,
    }


def _penalised(kind: Any, covariate: Vector, response: Any) -> tuple[float, float, float, float]:
    """Return coefficient, profile interval and penalised likelihood ratio p of one covariate."""
    said: list[str] = []
    # Strict first; near the optimum rounding can stop the strict search, so the library's own tolerance comes second.
    for gradient, step in ((1e-6, 1e-8), (1e-4, 1e-6)):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model = kind(backend="numpy", max_iter=200, gtol=gradient, xtol=step)
            try:
                model.fit(covariate[:, None], response).lrt(0)
                limits = model.conf_int(alpha=1 - LEVEL, method="pl", features=0, max_iter=200, tol=gradient)
            except np.linalg.LinAlgError:
                raise NotEstimable(
                    "when events occurred those at risk did not differ, so nothing compares them"
                ) from None
        low, high = (float(v) for v in limits[0])
        values = float(model.coef_[0]), low, high, float(model.lrt_pvalues_[0])
        if model.converged_ and np.isfinite(values).all():
            return values
        said += [str(w.message) for w in caught]
    raise NotEstimable(f"the penalised fit did not converge ({'; '.join(dict.fromkeys(said)) or 'no message'})")
