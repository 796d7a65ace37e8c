"""The studentised bootstrap of the adjusted difference and percent, patients drawn within arm and stratum."""

from __future__ import annotations

from typing import Any

import numpy as np

from petflame.trial.arms.ancova import Arms, ancova
from petflame.trial.arms.resample import chunks
from petflame.trial.estimates import LEVEL, Matrix, NotEstimable, Vector

RESAMPLES = 10000


def bootstrap(arms: Arms, resamples: int = RESAMPLES, seed: int = 0) -> dict[str, Any]:
    """Return bootstrap-t intervals of the adjusted difference and the adjusted percent.

    Each resample's estimate is studentised by its own HC2 standard error, so that neither small arms nor unequal
    spreads make the interval too short, as percentiles of the estimates are.

    Raises
    ------
    NotEstimable
        When more than one resample in twenty cannot be fitted (too few patients).

    References
    ----------
    Efron B, Tibshirani RJ. An introduction to the bootstrap. 1993, chapter 12. Hall P. Ann Stat 1988;16:927-953.
    """
    # Refused here where the whole data cannot be fitted, with the reason.
    design = ancova(arms).design
    whole, error = _fits(np.ones((1, arms.active.size)), design, arms.followup)
    rng = np.random.default_rng(seed + 1)
    found = []
    for count in chunks(resamples):
        estimates, errors = _fits(_draw_weights(arms, count, rng), design, arms.followup)
        found.append((estimates - whole) / errors)
    t = np.concatenate(found)
    t = t[np.isfinite(t).all(axis=1)]
    if len(t) < 0.95 * resamples:
        raise NotEstimable(f"{resamples - len(t)} of {resamples} resamples could not be fitted: too few patients")
    upper, lower = np.percentile(t, [50 * (1 - LEVEL), 50 * (1 + LEVEL)], axis=0)
    low, high = whole[0] - lower * error[0], whole[0] - upper * error[0]
    return {
        "adjusted_percent_low": float(low[1]),
        "adjusted_percent_high": float(high[1]),
        "difference_low": float(low[0]),
        "difference_high": float(high[0]),
        "resamples": resamples,
        "not_fitted": int(resamples - len(t)),
        "seed": seed + 1,
    }


def _draw_weights(arms: Arms, count: int, rng: np.random.Generator) -> Matrix:
    weights = np.zeros((count, arms.active.size))
    cell = arms.block * 2 + arms.active.astype(np.int64)
    for value in np.unique(cell):
        rows = np.flatnonzero(cell == value)
        weights[:, rows] = rng.multinomial(rows.size, np.full(rows.size, 1 / rows.size), size=count)
    return weights


def _fits(weights: Matrix, design: Matrix, response: Vector) -> tuple[Matrix, Matrix]:
    """Fit every resample; return (difference, percent) and their HC2 standard errors, shape (k, 2), NaN where none.

    Parameters
    ----------
    weights : ndarray, shape (k, n)
        How often each patient was drawn.
    """
    n, rank = design.shape
    products = np.einsum("ij,ik->ijk", design, design).reshape(n, rank * rank)
    normal = (weights @ products).reshape(-1, rank, rank)
    spread = np.linalg.eigvalsh(normal)
    usable = spread[:, 0] > 1e-9 * spread[:, -1]
    estimates = np.full((len(weights), 2), np.nan)
    errors = estimates.copy()
    if not usable.any():
        return estimates, errors
    weights, inverse = weights[usable], np.linalg.inv(normal[usable])
    coef = np.einsum("kij,kj->ki", inverse, weights @ (design * response[:, None]))
    residual = response - coef @ design.T
    leverage = np.einsum("kij,nij->kn", inverse, products.reshape(n, rank, rank))
    scaled = weights * residual**2 / np.maximum(1 - leverage, 1e-6)
    meat = (scaled @ products).reshape(-1, rank, rank)
    # The control mean at the resample's own mean covariates.
    centre = (weights @ design) / weights.sum(axis=1, keepdims=True)
    rows = np.zeros((len(weights), 2, rank))
    rows[:, 0, 0], rows[:, 0, 2:], rows[:, 1, 1] = 1.0, centre[:, 2:], 1.0
    half = rows @ inverse
    cov = half @ meat @ half.transpose(0, 2, 1)
    control, difference = np.einsum("kij,kj->ki", rows, coef).T
    gradient = 100 * np.column_stack([-difference / control**2, 1 / control])
    estimates[usable] = np.column_stack([difference, 100 * difference / control])
    variance = np.column_stack([cov[:, 1, 1], np.einsum("ki,kij,kj->k", gradient, cov, gradient)])
    # A resample of a few patients drawn over and over fits itself exactly: it has no error to studentise by.
    errors[usable] = np.sqrt(np.where(variance > 1e-12 * variance.mean(axis=0), variance, np.nan))
    return estimates, errors
