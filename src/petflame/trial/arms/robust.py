"""Tests that hold where the arms differ in size and in spread, and the warning where the primary's does not."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy import stats

from petflame.trial.arms.ancova import Arms, Fit, ancova
from petflame.trial.estimates import LEVEL, Matrix, NotEstimable, Vector, t_record

# A test that rejects half as often again as it says, or half as often, misleads.
MOST_ERROR = 1.5 * (1 - LEVEL)
LEAST_ERROR = 0.5 * (1 - LEVEL)
# Spreads of a handful of patients differ by chance: a warning that comes in every second sound trial is not read.
VARIANCES_DIFFER_P = 0.1


def hc3(arms: Arms) -> dict[str, float]:
    """Return the primary difference with its HC3 standard error and t interval."""
    fit = ancova(arms)
    leverage, bread = _leverage(fit)
    weighted = fit.design * (fit.residuals / (1 - leverage))[:, None]
    cov = bread @ weighted.T @ weighted @ bread
    return t_record(float(fit.coef[1]), float(np.sqrt(cov[1, 1])), fit.df)


def welch(arms: Arms) -> dict[str, float]:
    """Return the primary difference with the HC2 standard error and Satterthwaite's degrees of freedom.

    The degrees of freedom follow Bell and McCaffrey with each arm's own residual variance in place of one for both:
    without covariates this is Welch's t test of two means.

    References
    ----------
    Welch BL. Biometrika 1947;34:28-35. Bell RM, McCaffrey DF. Survey Methodology 2002;28:169-181. Imbens GW, Kolesar
    M. Rev Econ Stat 2016;98:701-712.
    """
    fit = ancova(arms)
    leverage, bread = _leverage(fit)
    # The estimate is a sum of weights x responses; each squared residual is expected short by its leverage.
    weights = fit.design @ bread[:, 1] / np.sqrt(1 - leverage)
    variance = float(((weights * fit.residuals) ** 2).sum())
    maker = np.eye(weights.size) - fit.design @ bread @ fit.design.T
    by_arm = arm_variances(arms, fit)
    sd = np.sqrt(np.where(arms.active == 1, by_arm["active"], by_arm["control"]))
    root = weights[:, None] * maker * sd[None, :]
    form = root.T @ root
    df = float(np.trace(form)) ** 2 / float((form**2).sum())
    return t_record(float(fit.coef[1]), math.sqrt(variance), df)


def arm_variances(arms: Arms, fit: Fit) -> dict[str, float]:
    """Return each arm's residual variance in the primary model."""
    shared = fit.design.shape[1] - 2
    found = {}
    for arm, code in (("active", 1), ("control", 0)):
        own = fit.residuals[arms.active == code]
        # Covariates are fitted to both arms together; each gives up its share.
        found[arm] = float(own @ own) / max(own.size - 1 - shared * own.size / arms.active.size, 1.0)
    return found


def _leverage(fit: Fit) -> tuple[Vector, Matrix]:
    """Return each patient's leverage, shape (n,), and the inverse of X'X."""
    bread = fit.cov / fit.sigma**2
    leverage = np.einsum("ij,jk,ik->i", fit.design, bread, fit.design)
    if float(leverage.max()) > 1 - 1e-9:
        raise NotEstimable(
            "one patient alone determines a coefficient (leverage 1), so a robust standard error does not exist"
        )
    return leverage, bread


def unequal_arms(arms: Arms) -> dict[str, Any]:
    """Return each arm's residual SD and what the primary's t test does at such sizes and spreads.

    The pooled variance stands for both arms. Where the smaller arm is the more variable, it is too small, and the test
    rejects too often; where the larger is, too rarely. With arms of one size neither happens.

    Returns
    -------
    dict
        residual_sd by arm, variances_p (two-sided F test), implied_type_i_error (share of trials without an effect
        that would come out below 0.05, were the observed spreads the true ones), misleading (that share is far from
        0.05 and the variances differ beyond chance at 0.1), sentence.
    """
    fit, n = ancova(arms), arms.n
    variance = arm_variances(arms, fit)
    true = sum(variance[a] / m for a, m in n.items())
    pooled = fit.sigma**2 * sum(1 / m for m in n.values())
    error = float(2 * stats.norm.sf(stats.norm.ppf(0.5 + LEVEL / 2) / math.sqrt(true / pooled)))
    sd = {arm: math.sqrt(v) for arm, v in variance.items()}
    ratio = variance["active"] / variance["control"] if variance["control"] > 0 else math.inf
    tail = float(stats.f.sf(ratio, n["active"] - 1, n["control"] - 1))
    differ = 2 * min(tail, 1 - tail)
    misleading = not LEAST_ERROR <= error <= MOST_ERROR and differ < VARIANCES_DIFFER_P
    return {
        "residual_sd": sd,
        "variances_p": differ,
        "implied_type_i_error": error,
        "misleading": misleading,
        "sentence": _sentence(n, sd, error) if misleading else None,
    }


def _sentence(n: dict[str, int], sd: dict[str, float], error: float) -> str:
    return (
        f"The arms differ in size ({n['active']} active, {n['control']} control) and in spread (residual SD "
        f"{sd['active']:.2f} and {sd['control']:.2f}). With true spreads like these the primary's t test would give "
        f"p < 0.05 in {100 * error:.0f} of 100 trials without any effect, not in 5: read the Welch-type test, HC3 and "
        "the studentised permutation test in its place, and report which was planned."
    )
