"""The primary model fitted to many trials at once, for simulation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from petflame.trial.estimates import LEVEL, Matrix, Vector


@dataclass(frozen=True)
class BatchFit:
    """ANCOVA fits of many trials; NaN where a trial has too few patients, or too little variation, for the model.

    Attributes
    ----------
    coef : ndarray, shape (trials, 3)
        Intercept (control mean at the mean baseline), arm, baseline.
    cov : ndarray, shape (trials, 3, 3)
    sigma : ndarray, shape (trials,)
        Residual SD.
    df : ndarray, shape (trials,)
        Residual degrees of freedom, patients with the endpoint less 3.
    """

    coef: Matrix
    cov: Matrix
    sigma: Vector
    df: Vector

    def difference(self) -> dict[str, Vector]:
        """Return estimate, se, p, low, high and sigma of the adjusted difference, each of shape (trials,)."""
        return self._interval(self.coef[:, 1], np.sqrt(self.cov[:, 1, 1])) | {"sigma": self.sigma}

    def percent(self) -> dict[str, Vector]:
        """Return the same of the adjusted percent, without sigma: Fieller's limits, and the difference's p with them.

        The standard error is the delta method's. Limits are NaN where Fieller's do not exist.
        """
        control, difference = self.coef[:, 0], self.coef[:, 1]
        gradient = 100 * np.column_stack([-difference / control**2, 1 / control])
        variance = np.einsum("ti,tij,tj->t", gradient, self.cov[:, :2, :2], gradient)
        found = self._interval(100 * difference / control, np.sqrt(variance))
        t2 = stats.t.ppf(0.5 + LEVEL / 2, self.df) ** 2
        square = control**2 - t2 * self.cov[:, 0, 0]
        middle = control * difference - t2 * self.cov[:, 0, 1]
        root = np.sqrt(np.maximum(middle**2 - square * (difference**2 - t2 * self.cov[:, 1, 1]), 0.0))
        square = np.where(np.isfinite(self.sigma) & (square > 0), square, np.nan)
        limits = {"low": 100 * (middle - root) / square, "high": 100 * (middle + root) / square}
        return found | {"p": self.difference()["p"]} | limits

    def _interval(self, estimate: Vector, se: Vector) -> dict[str, Vector]:
        return _interval(estimate, se, np.where(np.isfinite(self.sigma), self.df, np.nan))


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
    mean = baseline.sum(axis=1, keepdims=True) / np.maximum(count, 1)[:, None]
    centred = weight * (baseline - mean)
    design = np.stack([weight, weight * active, centred], axis=2)
    gram = np.einsum("tni,tnj->tij", design, design)
    fits = _told_apart(gram, mean[:, 0]) & (count > 3)
    inverse = np.linalg.inv(np.where(fits[:, None, None], gram, np.eye(3)))
    coef = np.einsum("tij,tnj,tn->ti", inverse, design, followup, optimize=True)
    residual = followup - np.einsum("tni,ti->tn", design, coef)
    df = count - 3
    variance = (residual**2).sum(axis=1) / np.where(fits, df, np.nan)
    variance = _beyond_rounding(variance, followup)
    coef[~np.isfinite(variance)] = np.nan
    return BatchFit(coef, inverse * variance[:, None, None], np.sqrt(variance), df)


def _beyond_rounding(variance: Vector, values: Matrix) -> Vector:
    """Put NaN for residuals of rounding: they are no variation to test against."""
    return np.where(variance > 1e-20 * (1 + (values**2).max(axis=1)), variance, np.nan)


def _told_apart(gram: Matrix, level: Vector) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Whether each arm is there, the baseline varies, and the two are not the same; `gram` of shape (trials, 3, 3)."""
    scale = np.sqrt(np.einsum("tii->ti", gram))
    there = (scale[:, :2] > 0).all(axis=1) & (scale[:, 2] > 1e-9 * np.maximum(1.0, np.abs(level)) * scale[:, 0])
    safe = np.where(there[:, None], scale, 1.0)
    return there & (np.linalg.eigvalsh(gram / safe[:, :, None] / safe[:, None, :])[:, 0] > 1e-9)


def holm(p: Matrix) -> Matrix:
    """Return the p-values after Holm's correction over the last axis; NaN stays, and counts among the tests.

    >>> [round(float(v), 3) for v in holm(np.array([0.01, 0.04, 0.03]))]
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p, axis=-1)
    factor = p.shape[-1] - np.arange(p.shape[-1])
    stepped = np.minimum(np.maximum.accumulate(np.take_along_axis(p, order, -1) * factor, axis=-1), 1.0)
    out = np.empty_like(stepped)
    np.put_along_axis(out, order, stepped, -1)
    return out


def batch_mean_difference(values: Matrix, active: Vector) -> dict[str, Vector]:
    """Return the pooled t comparison of the arms' means in every trial, with the pooled SD as `sigma`.

    `values` has shape (trials, n).
    """
    a, c = values[:, active == 1], values[:, active == 0]
    n, m = a.shape[1], c.shape[1]
    df = n + m - 2
    variance = ((n - 1) * a.var(axis=1, ddof=1) + (m - 1) * c.var(axis=1, ddof=1)) / df
    variance = _beyond_rounding(variance, values)
    test = _interval(a.mean(axis=1) - c.mean(axis=1), np.sqrt(variance * (1 / n + 1 / m)), df)
    return test | {"sigma": np.sqrt(variance)}
