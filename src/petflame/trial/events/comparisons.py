"""Survival and proportion methods that stay valid with a handful of events."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from petflame.trial.arms.resample import permuted_arms
from petflame.trial.blocks import without
from petflame.trial.choices import PERMUTATIONS
from petflame.trial.estimates import LEVEL, Matrix, NotEstimable, Vector, clopper_pearson
from petflame.trial.events.blocks import ProportionDifference
from petflame.trial.events.incidence import COMPETING, EVENT

DEFINITIONS: dict[str, str] = {
    "log_rank": "Log-rank test over the whole follow-up. `p` is asymptotic, chi-square with 1 degree of freedom: "
    "made for many events (no event of 30 against three: 0.08, where the exact p is 0.24). `permutation_p` exchanges "
    "the arms at random: made for few events too, where participants are censored alike in both arms.",
    "fisher": "Fisher's exact test of events up to the horizon; participants censored earlier without an event are "
    "left out and counted apart, which biases where they are many. Conditional odds ratio with its exact interval.",
    "rate_ratio": "Events for each person-year over the whole follow-up, active / control; exact, conditional on the "
    "number of events.",
    "at_horizon": "Events up to the horizon among those followed to it or with an event before; Clopper-Pearson "
    "intervals; difference with Newcombe's interval. Those censored before are left out, which biases where they are "
    "many: the difference of the risks stands in `risk_difference`.",
}


@dataclass(frozen=True)
class HorizonCounts:
    """Participants with an event up to the horizon, known to be without one, and censored before.

    A competing death up to the horizon leaves its participant without the event; how many there are stands apart too.
    """

    active_events: int
    active_free: int
    active_early: int
    control_events: int
    control_free: int
    control_early: int
    active_competing: int = 0
    control_competing: int = 0

    @property
    def table(self) -> Matrix:
        """Events and no events (columns) of active and control (rows)."""
        return np.array([[self.active_events, self.active_free], [self.control_events, self.control_free]])


def horizon_counts(time: Vector, code: Vector, active: Vector, horizon: float) -> HorizonCounts:
    """Sort participants by their state at the horizon.

    Parameters
    ----------
    time : ndarray, shape (n,)
        Years to event or censoring.
    code : ndarray of int, shape (n,)
        0 censored, 1 event, 2 competing event.
    active : ndarray of bool, shape (n,)
    horizon : float
        Years; an event at the horizon counts, a censoring at the horizon is free of it.
    """
    had = (code == EVENT) & (time <= horizon)
    early = (code == 0) & (time < horizon)
    free = ~had & ~early
    competing = (code == COMPETING) & (time <= horizon)
    by_arm = [int((arm & state).sum()) for arm in (active, ~active) for state in (had, free, early)]
    return HorizonCounts(*by_arm, *(int((arm & competing).sum()) for arm in (active, ~active)))


def need_contrast(counts: HorizonCounts) -> None:
    """Raise `NotEstimable` where the states at the horizon cannot be compared."""
    table = counts.table
    if table[:, 0].sum() == 0:
        raise NotEstimable("no event occurred before the horizon")
    if table.sum(axis=1).min() == 0:
        raise NotEstimable("an arm has nobody followed to the horizon")
    if table[:, 1].sum() == 0:
        raise NotEstimable("everybody had an event before the horizon")


def at_horizon(counts: HorizonCounts) -> dict[str, Any]:
    """Return events and proportions at the horizon with exact intervals, and their difference."""
    from statsmodels.stats.proportion import confint_proportions_2indep

    record: dict[str, Any] = {}
    for arm in ("active", "control"):
        events, free, early = (getattr(counts, f"{arm}_{state}") for state in ("events", "free", "early"))
        n = events + free
        low, high = clopper_pearson(events, n) if n else (None, None)
        record[arm] = {
            "n": n,
            "events": events,
            "censored_before": early,
            "competing_before": getattr(counts, f"{arm}_competing"),
            "proportion": events / n if n else None,
            "low": low,
            "high": high,
        }
    a, c = record["active"], record["control"]
    if a["n"] and c["n"]:
        low, high = confint_proportions_2indep(
            a["events"], a["n"], c["events"], c["n"], method="newcomb", compare="diff"
        )
        record["difference"] = {
            "estimate": a["proportion"] - c["proportion"],
            "low": float(low),
            "high": float(high),
            "reason": None,
        }
    else:
        record["difference"] = without(ProportionDifference, "an arm has nobody followed to the horizon")
    record["definition"] = DEFINITIONS["at_horizon"]
    return record


def _fit_km(time: Vector, event: Vector) -> Any:
    from lifelines import KaplanMeierFitter

    return KaplanMeierFitter(alpha=1 - LEVEL).fit(time, event)


def kaplan_meier(time: Vector, event: Vector, years: tuple[float, ...]) -> dict[str, dict[str, Any]]:
    """Return survival with its log-log interval and the number at risk at chosen years.

    Notes
    -----
    Before the first event the log-log interval does not exist (null, with the reason); after the last follow-up the
    estimate does not exist either, unless everybody had the event.
    """
    fitter = _fit_km(time, event)
    limits = fitter.confidence_interval_survival_function_
    record: dict[str, dict[str, Any]] = {}
    for year in sorted(set(years)):
        survival = float(fitter.survival_function_at_times(year).iloc[0])
        at_risk = int((time >= year).sum())
        item: dict[str, Any] = {"survival": survival, "low": None, "high": None, "at_risk": at_risk, "reason": None}
        if year > time.max() and survival > 0:
            item |= {"survival": None, "reason": "nobody was followed so long"}
        elif survival == 1:
            item["reason"] = "no event so far, so the log-log interval does not exist; see the exact intervals"
        elif survival == 0:
            item["reason"] = "everybody had the event, so the log-log interval does not exist"
        else:
            row = limits.loc[limits.index <= year].iloc[-1]
            item |= {"low": float(row.iloc[0]), "high": float(row.iloc[1])}
        record[f"{year:g}"] = item
    return record


def curve(time: Vector, event: Vector) -> dict[str, list[float]]:
    """Return the Kaplan-Meier steps, for a picture: time in years, survival, at_risk, events, censored."""
    fitter = _fit_km(time, event)
    steps = fitter.event_table
    return {
        "time": [float(t) for t in steps.index],
        "survival": [float(s) for s in fitter.survival_function_.iloc[:, 0]],
        "at_risk": [int(n) for n in steps["at_risk"]],
        "events": [int(n) for n in steps["observed"]],
        "censored": [int(n) for n in steps["censored"]],
    }


def need_events(event: Vector) -> None:
    """Raise `NotEstimable` when there is no event at all."""
    if not event.any():
        raise NotEstimable("no event occurred in either arm")


def log_rank_z(time: Vector, event: Vector, arms: Matrix) -> Vector:
    """Return the log-rank z statistic of each row of arms (1 active), shape (rows, n).

    Own code because the permutation test needs thousands of them at once.
    """
    moments = np.unique(time[event])
    died = (time[None, :] == moments[:, None]) & event[None, :]
    risk = (time[None, :] >= moments[:, None]).astype(float)
    deaths, total = died.sum(axis=1), risk.sum(axis=1)
    score = died.sum(axis=0) - deaths / total @ risk
    share = arms @ risk.T / total
    factor = deaths * (total - deaths) / np.maximum(total - 1, 1)
    variance = (share * (1 - share)) @ factor
    return np.where(variance > 1e-12, arms @ score / np.sqrt(np.maximum(variance, 1e-12)), np.nan)


def log_rank(
    time: Vector, event: Vector, active: Vector, seed: int, permutations: int = PERMUTATIONS
) -> dict[str, Any]:
    """Return the log-rank p and the p of its permutation version.

    Parameters
    ----------
    time : ndarray, shape (n,)
        Years.
    event, active : ndarray of bool, shape (n,)
    seed, permutations : int
        Of the permutation.
    """
    need_events(event)
    z = float(log_rank_z(time, event, active.astype(float)[None, :])[0])
    if not math.isfinite(z):
        raise NotEstimable("whenever events occurred only one arm was at risk, or everybody at risk had one")
    rng = np.random.default_rng(seed)
    drawn = permuted_arms(active.astype(float), np.zeros(active.size, dtype=int), permutations, rng)
    others = np.nan_to_num(log_rank_z(time, event, drawn))
    extreme = int((np.abs(others) >= abs(z) * (1 - 1e-10)).sum())
    return {
        "chi_square": z**2,
        "p": float(stats.chi2.sf(z**2, 1)),
        "permutation_p": (1 + extreme) / (1 + permutations),
        "permutations": permutations,
    }


def fisher(counts: HorizonCounts) -> dict[str, Any]:
    """Return Fisher's exact p at the horizon and the conditional odds ratio, active / control."""
    from scipy.stats.contingency import odds_ratio

    need_contrast(counts)
    table = counts.table
    ratio = odds_ratio(table, kind="conditional")
    interval = ratio.confidence_interval(LEVEL)
    finite = math.isfinite(ratio.statistic)
    return {
        "p": float(stats.fisher_exact(table)[1]),
        "odds_ratio": float(ratio.statistic) if finite else None,
        "low": float(interval.low),
        "high": float(interval.high) if math.isfinite(interval.high) else None,
        "reason": None if finite and math.isfinite(interval.high) else "the odds ratio has no finite upper limit",
    }


def rate_ratio(time: Vector, event: Vector, active: Vector) -> dict[str, Any]:
    """Return the exact ratio of event rates, active / control."""
    need_events(event)
    here, total = int(event[active].sum()), int(event.sum())
    years = float(time[active].sum()), float(time[~active].sum())
    if min(years) == 0:
        raise NotEstimable("an arm has no person-years")
    share = years[0] / sum(years)
    test = stats.binomtest(here, total, share)
    low, high = clopper_pearson(here, total)
    scale = years[1] / years[0]
    finite = here < total
    return {
        "estimate": here / (total - here) * scale if finite else None,
        "low": low / (1 - low) * scale,
        "high": high / (1 - high) * scale if high < 1 else None,
        "p": float(test.pvalue),
        "reason": None if finite else "no event in the control arm: the ratio has no finite upper limit",
    }
