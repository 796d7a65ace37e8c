"""The risk of an event up to the horizon, and its difference between the arms: the main comparison of the panel."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import stats

from petflame.trial.arms.resample import permuted_arms
from petflame.trial.blocks import complete
from petflame.trial.choices import PERMUTATIONS
from petflame.trial.estimates import LEVEL, Matrix, NotEstimable, Vector
from petflame.trial.events.blocks import Risk, RiskDifference
from petflame.trial.events.comparisons import HorizonCounts, need_contrast
from petflame.trial.events.follow_up import CHUNK, own_follow_up_p
from petflame.trial.events.incidence import COMPETING, cumulative_incidence, incidence_by_row

KAPLAN_MEIER, AALEN_JOHANSEN = "Kaplan-Meier", "Aalen-Johansen"
EXACT, MONTE_CARLO = "exact", "Monte Carlo"

DEFINITION = (
    "Risk of an event up to the horizon in each arm, {risk}, and its difference, active minus control: the main "
    "comparison of this panel. Interval: Wilson limits of each arm with its effective number of participants, risk x "
    "(1 - risk) / variance of the risk (where nobody or everybody had an event, the participants whose state at the "
    "horizon is known; Dorey and Korn 1987), joined as in Newcombe's interval (1998, method 10), which it is where "
    "nobody is censored before the horizon. p, two-sided: there it is exact (Fisher's); "
    "else the share of random draws with a difference at least as large, whatever its sign; in a draw the events, in "
    "their order, fall on any of those whose follow-up reaches them, and every arm keeps its own follow-up (Heinze, "
    "Gnant and Schemper 2003). A second p, of the exchange of whole participants, is valid only where participants are "
    "censored alike in both arms: where they are not, it takes a difference in follow-up for one in risk. Assumed by "
    "all of this: those censored before the horizon have the risk of those who stay. Interval and p are made by "
    "different methods and need not agree in small arms."
)
RISKS = {
    KAPLAN_MEIER: "1 less the Kaplan-Meier estimate",
    AALEN_JOHANSEN: "the cumulative incidence (Aalen-Johansen), in which a competing death ends the chance of an event",
}


def arm_risk(time: Vector, code: Vector, horizon: float) -> Risk:
    """Return the risk of an event up to the horizon in one arm, with its interval.

    Parameters
    ----------
    time : ndarray, shape (n,)
        Years.
    code : ndarray of int, shape (n,)
        0 censored, 1 event, 2 competing event.
    horizon : float
        Years; an event at the horizon counts.
    """
    from statsmodels.stats.proportion import proportion_confint

    before = time <= horizon
    early = (code == 0) & (time < horizon)
    found: dict[str, Any] = {
        "risk": None,
        "low": None,
        "high": None,
        "effective_n": None,
        "events": int((before & (code == 1)).sum()),
        "competing_before": int((before & (code == COMPETING)).sum()),
        "censored_before": int(early.sum()),
        "at_risk": int((time >= horizon).sum()),
        "reason": None,
    }
    curve = cumulative_incidence(time, code)
    if not curve.reaches(horizon):
        return complete(Risk, found | {"reason": "nobody was followed to the horizon"})
    risk, variance = curve.at(horizon)
    n = risk * (1 - risk) / variance if variance > 0 else float(code.size - early.sum())
    low, high = proportion_confint(risk * n, n, 1 - LEVEL, method="wilson")
    return complete(Risk, found | {"risk": risk, "low": float(low), "high": float(high), "effective_n": n})


def risk_difference(
    time: Vector,
    code: Vector,
    active: Vector,
    counts: HorizonCounts,
    horizon: float,
    seed: int,
    permutations: int = PERMUTATIONS,
) -> RiskDifference:
    """Return each arm's risk, their difference with its interval, and its exact or permutation p.

    Parameters
    ----------
    time : ndarray, shape (n,)
        Years.
    code : ndarray of int, shape (n,)
        0 censored, 1 event, 2 competing event.
    active : ndarray of bool, shape (n,)
    counts : HorizonCounts
        Of the same participants.
    horizon : float
        Years.
    seed, permutations : int
        Of the random draws.
    """
    arms = {"active": arm_risk(time[active], code[active], horizon)}
    arms["control"] = arm_risk(time[~active], code[~active], horizon)
    estimator = AALEN_JOHANSEN if (code == COMPETING).any() else KAPLAN_MEIER
    found: dict[str, Any] = {
        **arms,
        **dict.fromkeys(("difference", "low", "high", "p", "p_method", "exchange_p", "permutations", "seed", "reason")),
        "estimator": estimator,
        "definition": DEFINITION.format(risk=RISKS[estimator]),
    }
    short = [arm for arm, risk in arms.items() if risk["risk"] is None]
    if short:
        return complete(RiskDifference, found | {"reason": f"nobody was followed to the horizon: {', '.join(short)}"})
    found |= newcombe(arms["active"], arms["control"])
    try:
        need_contrast(counts)
    except NotEstimable as why:
        return complete(RiskDifference, found | {"reason": str(why)})
    if counts.active_early + counts.control_early == 0:
        p = float(stats.fisher_exact(counts.table)[1])
        return complete(RiskDifference, found | {"p": p, "p_method": EXACT, "exchange_p": p})
    drawn = {
        "p": own_follow_up_p(time, code, active, horizon, seed, permutations),
        "p_method": MONTE_CARLO,
        "exchange_p": exchange_p(time, code, active, horizon, seed, permutations),
        "permutations": permutations,
        "seed": seed,
    }
    return complete(RiskDifference, found | drawn)


def newcombe(active: Risk, control: Risk) -> dict[str, float]:
    """Return the difference and Newcombe's interval from effective numbers."""
    from statsmodels.stats.proportion import confint_proportions_2indep

    pairs = [(arm["risk"] * arm["effective_n"], arm["effective_n"]) for arm in (active, control)]  # type: ignore[operator]
    low, high = confint_proportions_2indep(*pairs[0], *pairs[1], method="newcomb", compare="diff", alpha=1 - LEVEL)
    return {"difference": active["risk"] - control["risk"], "low": float(low), "high": float(high)}  # type: ignore[operator]


def exchange_p(
    time: Vector, code: Vector, active: Vector, horizon: float, seed: int, permutations: int = PERMUTATIONS
) -> float:
    """Return the two-sided p of the risk difference by random exchange of the arms; arguments as `risk_difference`."""
    arm = active.astype(float)

    def size(arms: Matrix) -> Vector:
        return np.abs(incidence_by_row(arms, time, code, horizon) - incidence_by_row(1 - arms, time, code, horizon))

    observed, extreme = float(size(arm[None, :])[0]), 0
    rng, together = np.random.default_rng(seed), np.zeros(arm.size, dtype=int)
    for done in range(0, permutations, CHUNK):
        drawn = permuted_arms(arm, together, min(CHUNK, permutations - done), rng)
        extreme += int((size(drawn) >= observed - 1e-12).sum())
    return (1 + extreme) / (1 + permutations)
