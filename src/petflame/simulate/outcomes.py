"""Recurrent events during long follow-up, drawn from a proportional-hazards model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from petflame.space.grid import Array

# 11 % of the control arm within two years; treatment leaves a fiftieth of the hazard.
CONTROL_HAZARD_PER_YEAR = -np.log(1.0 - 0.11) / 2.0
HAZARD_RATIO = 0.02
RISK_CORRELATION = 0.4
FOLLOWED_SHARE = 55 / 60


def draw_outcomes(arms: Sequence[str], log_inflammation: Array, rng: np.random.Generator) -> tuple[Array, Array, Array]:
    """Draw who is followed, for how long, and who has an event.

    Event times are exponential. Their quantiles are stratified within each arm, one near the middle of each of n
    equal parts, so that a small arm shows its own model's rate rather than a lucky draw; hotter arteries tend to
    get the earlier ones.

    Parameters
    ----------
    arms : sequence of {'active', 'control'}
    log_inflammation : (N,) array
        Log of residual inflammation; only its order matters.
    rng : numpy Generator

    Returns
    -------
    followed : (N,) bool array
    time_years : (N,) array
        To the event or to the end of observation.
    event : (N,) bool array
    """
    n = len(arms)
    followed = np.zeros(n, bool)
    followed[rng.permutation(n)[: round(n * FOLLOWED_SHARE)]] = True
    score = RISK_CORRELATION * _standardised(log_inflammation) + np.sqrt(1 - RISK_CORRELATION**2) * rng.normal(size=n)
    event_time = np.full(n, np.inf)
    for arm, ratio in (("control", 1.0), ("active", HAZARD_RATIO)):
        members = np.flatnonzero(followed & (np.asarray(arms) == arm))
        ranked = members[np.argsort(-score[members], kind="stable")]
        quantile = (np.arange(len(ranked)) + rng.uniform(0.3, 0.7, len(ranked))) / max(len(ranked), 1)
        event_time[ranked] = -np.log1p(-quantile) / (CONTROL_HAZARD_PER_YEAR * ratio)
    # Most are seen for two to four and a half years; one in thirty is lost before.
    observed = np.where(rng.random(n) < 1 / 30, rng.uniform(0.4, 2.0, n), rng.uniform(2.05, 4.5, n))
    return followed, np.minimum(event_time, observed), event_time <= observed


def _standardised(values: Array) -> Array:
    spread = float(np.std(values))
    return (values - np.mean(values)) / (spread if spread > 0 else 1.0)
