"""Drawing missing values from normal models, and Rubin's rules to combine what completed data give."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from petflame.trial.estimates import Matrix, Vector, t_record

CYCLES = 20


def combined_variance(
    within: Vector, between: float, imputations: int, complete_df: float
) -> tuple[Vector, Vector, Vector]:
    """Return total variance, Barnard and Rubin's degrees of freedom, and the share of variance due to missingness.

    Parameters
    ----------
    within : ndarray or float
        Mean variance of the completed-data estimates.
    between : float
        Variance of these estimates (m - 1 in the denominator).
    imputations : int
        m.
    complete_df : float
        Residual degrees of freedom had nothing been missing.
    """
    added = (1 + 1 / imputations) * between
    total = within + added
    share = added / total
    observed = (complete_df + 1) / (complete_df + 3) * complete_df * (1 - share)
    return total, 1 / (1 / observed + share**2 / (imputations - 1)), share


def pool(estimates: Vector, variances: Vector, complete_df: float) -> dict[str, float]:
    """Combine completed-data estimates by Rubin's rules with Barnard and Rubin's degrees of freedom.

    Parameters
    ----------
    estimates, variances : ndarray, shape (m,)
    complete_df : float
        Residual degrees of freedom had nothing been missing.

    Returns
    -------
    dict
        estimate, se, df, ci_low, ci_high, p, and fraction_missing (share of variance due to missingness).

    References
    ----------
    Rubin DB. Multiple imputation for nonresponse in surveys. 1987. Barnard J, Rubin DB. Biometrika 1999;86:948-955.
    """
    between = float(estimates.var(ddof=1))
    total, df, share = map(float, combined_variance(variances.mean(), between, estimates.size, complete_df))
    return {**t_record(float(estimates.mean()), math.sqrt(total), df), "fraction_missing": share}


def draw_coefficients(design: Matrix, response: Matrix, rng: np.random.Generator) -> tuple[Matrix, Vector]:
    """Draw coefficients and residual SD of linear models from their posterior under Jeffreys' prior.

    Parameters
    ----------
    design : ndarray, shape (n, p) or (m, n, p)
    response : ndarray, shape (m, n)

    Returns
    -------
    coef : ndarray, shape (m, p)
    sigma : ndarray, shape (m,)
    """
    inverse = np.linalg.inv(np.swapaxes(design, -1, -2) @ design)
    coef = (inverse @ (np.swapaxes(design, -1, -2) @ response[:, :, None]))[:, :, 0]
    square = ((response - (design @ coef[:, :, None])[:, :, 0]) ** 2).sum(axis=1)
    count, columns = coef.shape
    sigma = np.sqrt(square / rng.chisquare(design.shape[-2] - columns, count))
    shifts = (np.linalg.cholesky(inverse) @ rng.standard_normal((count, columns, 1)))[:, :, 0]
    return coef + sigma[:, None] * shifts, sigma


def draw_missing(
    fixed: Matrix, values: Matrix, count: int, rng: np.random.Generator, cycles: int = CYCLES
) -> NDArray[np.float64]:
    """Complete columns with missing values by chained equations, each a normal linear model of all the others.

    Every set has a chain of its own, so that the sets are independent. With one incomplete column this is the
    exact draw from the posterior predictive distribution.

    Parameters
    ----------
    fixed : ndarray, shape (n, p)
        Complete columns, the intercept among them.
    values : ndarray, shape (n, k)
        NaN where missing; every column's seen rows must determine its model.
    count : int
        Number of completed sets, m.
    cycles : int
        Rounds over the columns.

    Returns
    -------
    ndarray, shape (m, n, k)

    References
    ----------
    van Buuren S, Groothuis-Oudshoorn K. J Stat Softw 2011;45(3), method ``norm``.
    """
    columns = values.shape[1]
    completed = np.tile(values, (count, 1, 1))
    wide = np.broadcast_to(fixed, (count, *fixed.shape))

    def redraw(column: int, others: list[int]) -> None:
        lost = np.isnan(values[:, column])
        if not lost.any():
            return
        design = np.concatenate([wide, completed[:, :, others]], axis=2)
        seen = np.tile(values[~lost, column], (count, 1))
        coef, sigma = draw_coefficients(design[:, ~lost], seen, rng)
        noise = sigma[:, None] * rng.standard_normal((count, int(lost.sum())))
        completed[:, lost, column] = (design[:, lost] @ coef[:, :, None])[:, :, 0] + noise

    for column in range(columns):
        redraw(column, [])
    if columns > 1:
        for _ in range(cycles):
            for column in range(columns):
                redraw(column, [k for k in range(columns) if k != column])
    return completed
