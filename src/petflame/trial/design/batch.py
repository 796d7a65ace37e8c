"""The primary model fitted to many trials at once, for simulation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from petflame.trial.estimates import LEVEL, Matrix, Vector


@dataclass(frozen=True)
class BatchFit:
    """ANCOVA fits of many trials.

    Attributes
    ----------
    coef : ndarray, shape (trials, 3)
        Intercept (control mean at the mean baseline), arm, baseline.
    cov : ndarray, shape (trials, 3, 3)
    sigma : ndarray, shape (trials,)
        Residual SD.
    df : ndarray, shape (trials,)
    """

    coef: Matrix
    cov: Matrix
    sigma: Vector
    df: Vector

    def difference(self) -> dict[str, Vector]:
        """Return estimate, se, p, low, high of the adjusted difference, each of shape (trials,)."""
        return _interval(self.coef[:, 1], np.sqrt(self.cov[:, 1, 1]), self.df)

    def percent(self) -> dict[str, Vector]:
        """Return the same of the adjusted percent (delta method)."""
        control, difference = self.coef[:, 0], self.coef[:, 1]
        gradient = 100 * np.column_stack([-difference / control**2, 1 / control])
        variance = np.einsum("ti,tij,tj->t", gradient, self.cov[:, :2, :2], gradient)
        return _interval(100 * difference / control, np.sqrt(variance), self.df)


def _interval(estimate: Vector, se: Vector, df: Vector | float) -> dict[str, Vector]:
    half = stats.t.ppf(0.5 + LEVEL / 2, df) * se
    p = 2 * stats.t.sf(np.abs(estimate) / se, df)
    return {"estimate": estimate, "se": se, "p": p, "low": estimate - half, "high": estimate + half}


def batch_ancova(baseline: Matrix, followup: Matrix, active: Vector, known: Matrix | None = None) -> BatchFit:
    """Fit Y_F ~ arm + Y_B to every trial.

    Parameters
    ----------
    baseline, followup : ndarray, shape (trials, n)
    active : ndarray, shape (n,)
        1 active, 0 control, the same in every trial.
    known : ndarray of bool, shape (trials, n), optional
        Patients that take part; all where it is not given.
    """
    trials, n = baseline.shape
    weight = np.ones((trials, n)) if known is None else known.astype(float)
    count = weight.sum(axis=1)
    if known is not None:
        baseline, followup = np.where(known, baseline, 0.0), np.where(known, followup, 0.0)
    centred = weight * (baseline - baseline.sum(axis=1, keepdims=True) / count[:, None])
    design = np.stack([weight, weight * active, centred], axis=2)
    inverse = np.linalg.inv(np.einsum("tni,tnj->tij", design, design))
    coef = np.einsum("tij,tnj,tn->ti", inverse, design, followup, optimize=True)
    residual = followup - np.einsum("tni,ti->tn", design, coef)
    df = count - 3
    variance = (residual**2).sum(axis=1) / df
    return BatchFit(coef, inverse * variance[:, None, None], np.sqrt(variance), df)


def batch_mean_difference(values: Matrix, active: Vector) -> dict[str, Vector]:
    """Return the pooled t comparison of the arms' means in every trial; `values` of shape (trials, n)."""
    a, c = values[:, active == 1], values[:, active == 0]
    n, m = a.shape[1], c.shape[1]
    df = n + m - 2
    variance = ((n - 1) * a.var(axis=1, ddof=1) + (m - 1) * c.var(axis=1, ddof=1)) / df
    return _interval(a.mean(axis=1) - c.mean(axis=1), np.sqrt(variance * (1 / n + 1 / m)), df)
