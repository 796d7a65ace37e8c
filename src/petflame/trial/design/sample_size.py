"""How many patients an arm needs, and what a number of them can show: the two-sample t test in closed form."""

from __future__ import annotations

import math

from scipy import optimize, stats

# Below this share of an SD no trial of a single drug is planned; the number would be beyond every study.
LEAST_EFFECT = 0.01


def sample_size_per_arm(difference: float, sd: float, power: float = 0.8, alpha: float = 0.05) -> float:
    """Return patients in each arm for a two-sample t test; at least 2, and not rounded.

    Parameters
    ----------
    difference : float
        True difference between arms, in the units of `sd`; not zero.
    sd : float
        Within-arm SD; for an ANCOVA the residual SD, SD x sqrt(1 - correlation^2).

    >>> round(sample_size_per_arm(0.2, 0.265), 3)
    28.552
    """
    few = 2.0
    if two_sample_power(difference, sd, few, alpha) >= power:
        return few
    # The normal approximation is too small by less than a few patients, so that its double is enough.
    z = float(stats.norm.ppf(1 - alpha / 2) + stats.norm.ppf(power))
    many = 2 * (2 * (z * sd / difference) ** 2) + 20
    return float(optimize.brentq(lambda n: two_sample_power(difference, sd, n, alpha) - power, few, many, rtol=1e-12))


def two_sample_power(difference: float, sd: float, per_arm: float, alpha: float = 0.05) -> float:
    """Return the power of a two-sample t test, both tails counted.

    >>> round(two_sample_power(0.171, 0.265, 30), 6)
    0.690639
    """
    df, shift = 2 * per_arm - 2, difference / sd * math.sqrt(per_arm / 2)
    # As F: the same two tails, and a number also where the non-central t of a great effect has none.
    return float(stats.ncf.sf(stats.t.ppf(1 - alpha / 2, df) ** 2, 1, df, shift**2))


def to_randomise(difference: float, sd: float, power: float, measured: float) -> int | None:
    """Return whole patients to randomise to each arm; None where the difference is too small for any trial.

    Parameters
    ----------
    difference, sd, power
        As for `sample_size_per_arm`.
    measured : float
        Share of those randomised who have the endpoint at both visits, above 0.

    >>> to_randomise(0.2, 0.265, 0.8, 0.9), to_randomise(0.0, 0.265, 0.8, 0.9)
    (32, None)
    """
    if not (sd > 0 and abs(difference) >= LEAST_EFFECT * sd):
        return None
    return math.ceil(sample_size_per_arm(difference, sd, power) / measured)
