"""A composite endpoint for active sections: none left is the best result, and not a missing one (ICH E9 R1).

The mean over active sections exists only where there are some, so that a comparison of the means leaves out exactly
those in whom treatment worked best. Here they count, by ranks alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import optimize, stats
from typing_extensions import TypedDict

from petflame.trial.arms.absent import NONE_AT_BASELINE, NOT_MEASURED, NOT_SEEN, out_of_sight
from petflame.trial.arms.blocks import Counted
from petflame.trial.arms.resample import permuted_arms
from petflame.trial.blocks import ByArm, Figure, LeftOutOfArm
from petflame.trial.choices import PERMUTATIONS
from petflame.trial.cohort import Cohort
from petflame.trial.estimates import LEVEL, NotEstimable, Vector
from petflame.trial.patients import compare_counts

BASELINE, REFOUND, SHARE = "active_baseline", "active_refound_followup", "active_fraction"
COLUMNS = (BASELINE, REFOUND, f"{SHARE}_baseline", f"{SHARE}_followup")
# Beyond this the exact distribution costs more than random exchanges can miss.
LARGEST_EXACT = 150
DEFINITION = (
    "Participants with an active section at baseline, ranked by their mean TBRmax of the sections active at "
    "follow-up, those with none left best of all and alike (composite strategy of ICH E9 R1). `p`: rank-sum test, "
    "midranks, exact over all allocations; with strata van Elteren's test, arms exchanged at random within them (so "
    "also beyond 150 patients). "
    "`p_adjusted`: the same exchange, of ranks less their regression on the ranks of the active mean at baseline "
    "(Quade 1967). `win_probability`: share of the pairs of an active and a control patient in which active is "
    "better, ties half, whatever their strata; 0.5 is no difference; Newcombe's interval (2006, method 5), which is "
    "another method than the tests and need not agree with them in small samples. `none_left`: how many have no active "
    "section left, difference of shares with Newcombe's interval, Fisher's exact test."
)


class NoneLeft(TypedDict):
    """Participants with no active section left, and the difference of shares, active minus control."""

    active: int
    control: int
    difference: float
    low: float
    high: float
    fisher_p: float


class ActiveComposite(Counted):
    """The arms compared on active sections, where none left is the best result."""

    win_probability: Figure
    win_low: Figure
    win_high: Figure
    p: Figure
    p_adjusted: Figure
    monte_carlo_se: Figure
    permutations: int | None
    seed: int | None
    strata: int | None
    none_left: NoneLeft | None
    definition: str
    reason: str | None


@dataclass(frozen=True)
class Ranked:
    """Participants with an active section at baseline and a known follow-up.

    Attributes
    ----------
    active : ndarray, shape (n,)
        1 in the active arm, 0 in the control arm.
    value : ndarray, shape (n,)
        Follow-up mean of active sections; minus infinity where none is left.
    baseline : ndarray, shape (n,)
        Mean of active sections at baseline.
    block : ndarray of int, shape (n,)
        Number of the stratum.
    """

    active: Vector
    value: Vector
    baseline: Vector
    block: np.ndarray[Any, np.dtype[np.int64]]

    @property
    def n(self) -> ByArm:
        """Patients in each arm."""
        active = int(self.active.sum())
        return {"active": active, "control": self.active.size - active}


def composite(
    cohort: Cohort, target_vessels: tuple[str, ...], permutations: int = PERMUTATIONS, seed: int = 0
) -> dict[str, Any]:
    """Return the composite comparison of the arms (see `DEFINITION`).

    Parameters
    ----------
    target_vessels : tuple of str
        The vessels whose active sections count.
    permutations, seed : int
        Random exchanges of arms, for the adjusted test and, with strata, for the rank test.

    Raises
    ------
    NotEstimable
        When PATIENTS lacks a column that this needs, or an arm has no patient.
    """
    used = cohort.analysed
    lacking = [c for c in COLUMNS if c not in used.columns]
    if lacking:
        raise NotEstimable(f"PATIENTS has no column {', '.join(f'`{c}`' for c in lacking)}")
    table = used[_reasons(used, out_of_sight(cohort.vessels, target_vessels)).isna()]
    labels = np.array(["/".join(map(str, row)) for row in table[list(cohort.strata)].to_numpy()], dtype=object)
    ranked = Ranked(
        (table["arm"] == "active").to_numpy(dtype=float),
        np.where(table[f"{SHARE}_followup"] == 0, -np.inf, table[REFOUND].to_numpy(dtype=float)),
        table[BASELINE].to_numpy(dtype=float),
        pd.factorize(labels, sort=True)[0].astype(np.int64),
    )
    return compare(ranked, permutations, seed)


def left_out(cohort: Cohort, target_vessels: tuple[str, ...]) -> list[LeftOutOfArm]:
    """Return who of the analysis set is not ranked, and why; empty where PATIENTS lacks the columns."""
    used = cohort.analysed
    if not set(COLUMNS) <= set(used.columns):
        return []
    reasons = _reasons(used, out_of_sight(cohort.vessels, target_vessels))
    rows = used.assign(reason=reasons).dropna(subset=["reason"])
    return [
        {"participant_id": who, "arm": arm, "reason": reason}
        for who, arm, reason in rows[["participant_id", "arm", "reason"]].itertuples(index=False)
    ]


def _reasons(used: pd.DataFrame, unseen: frozenset[str]) -> pd.Series:
    """Say of each participant why it is not ranked; missing where it is."""
    none = used[f"{SHARE}_baseline"] == 0
    gone = used[f"{SHARE}_followup"] == 0
    reasons = pd.Series(None, index=used.index, dtype=object)
    reasons[used[REFOUND].isna() & ~gone] = f"{NOT_MEASURED} at follow-up"
    reasons[gone & used["participant_id"].isin(unseen)] = NOT_SEEN
    reasons[used[BASELINE].isna()] = f"{NOT_MEASURED} at baseline"
    reasons[none] = NONE_AT_BASELINE
    return reasons


def compare(used: Ranked, permutations: int = PERMUTATIONS, seed: int = 0) -> dict[str, Any]:
    """Return the comparison of ranked participants."""
    n = used.n
    if not n["active"] or not n["control"]:
        raise NotEstimable("an arm has no patient with an active section at baseline and a known follow-up")
    rng = np.random.default_rng(seed)
    drawn = permuted_arms(used.active, used.block, permutations, rng)
    strata = int(used.block.max()) + 1
    scores = within_strata(used.value, used.block)
    exact = is_exact(used.active.size, strata)
    p = exact_rank_sum(used.value, used.active) if exact else exchanged(scores, used.active, drawn)
    adjusted = exchanged(without_baseline(scores, within_strata(used.baseline, used.block)), used.active, drawn)
    theta = win_probability(used.value, used.active)
    low, high = newcombe(theta, n["active"], n["control"])
    none = np.isneginf(used.value)
    gone = {"active": int(none[used.active == 1].sum()), "control": int(none[used.active == 0].sum())}
    counts = compare_counts((gone["active"], n["active"]), (gone["control"], n["control"]))
    return {
        "n": n,
        "win_probability": theta,
        "win_low": low,
        "win_high": high,
        "p": p,
        "p_adjusted": adjusted,
        "monte_carlo_se": float(np.sqrt(adjusted * (1 - adjusted) / max(permutations, 1))),
        "permutations": permutations,
        "seed": seed,
        "strata": strata,
        "none_left": {**gone, **{key: counts[key] for key in ("difference", "low", "high", "fisher_p")}},
    }


def win_probability(value: Vector, active: Vector) -> float:
    """Return the share of pairs in which the active patient has the lower value, ties half.

    >>> win_probability(np.array([-np.inf, 2.1, 2.1, 2.4]), np.array([1.0, 1.0, 0.0, 0.0]))
    0.875
    """
    a, c = value[active == 1], value[active == 0]
    return float((a[:, None] < c).mean() + (a[:, None] == c).mean() / 2)


def is_exact(patients: int, strata: int) -> bool:
    """Return whether the rank test counts all allocations; it exchanges the arms at random where it does not."""
    return strata == 1 and patients <= LARGEST_EXACT


def newcombe(theta: float, active: int, control: int) -> tuple[float, float]:
    """Return the interval of a win probability; it agrees with the rank-sum test at 0.5 where nothing is tied.

    References
    ----------
    Newcombe RG. Stat Med 2006;25:559-573, method 5.
    """
    more = (active + control) / 2 - 1
    limit = stats.norm.ppf(0.5 + LEVEL / 2) ** 2 / (active * control)

    def excess(true: float) -> float:
        spread = true * (1 - true) * (1 + more * (1 - true) / (2 - true) + more * true / (1 + true))
        return float((true - theta) ** 2 - limit * spread)

    # At 0 and at 1 the spread vanishes: a root there that bounds nothing.
    low = 0.0 if theta <= 0 else float(optimize.brentq(excess, 0.0, min(theta, 1 - 1e-12), xtol=1e-14))
    high = 1.0 if theta >= 1 else float(optimize.brentq(excess, max(theta, 1e-12), 1.0, xtol=1e-14))
    return low, high


def exact_rank_sum(value: Vector, active: Vector) -> float:
    """Return the two-sided p of the rank-sum test over all allocations of the same sizes, midranks for ties.

    References
    ----------
    Streitberg B, Roehmel J. Stat Software Newsletter 1986;12:10-17 (shift algorithm).
    """
    doubled = np.rint(2 * stats.rankdata(value)).astype(int)
    chosen = int(active.sum())
    observed, total = int(doubled[active == 1].sum()), int(doubled.sum())
    # Number of ways to choose k patients with a given sum, as shares so that they stay in range.
    ways = np.zeros((chosen + 1, total + 1))
    ways[0, 0] = 1.0
    for seen, rank in enumerate(doubled, start=1):
        for k in range(min(chosen, seen), 0, -1):
            ways[k, rank:] += ways[k - 1, : total + 1 - rank]
    shares = ways[chosen] / ways[chosen].sum()
    centre = chosen * total / active.size
    apart = np.abs(np.arange(total + 1) - centre)
    return float(min(1.0, shares[apart >= abs(observed - centre) - 1e-9].sum()))


def within_strata(values: Vector, block: np.ndarray[Any, Any]) -> Vector:
    """Return midranks within strata over the stratum's size plus one, less their mean (van Elteren's weights)."""
    scores = np.empty(values.size)
    for stratum in np.unique(block):
        rows = block == stratum
        scores[rows] = stats.rankdata(values[rows]) / (rows.sum() + 1) - 0.5
    return scores


def without_baseline(scores: Vector, baseline: Vector) -> Vector:
    """Return what is left of scores after their regression on the baseline's scores."""
    square = float(baseline @ baseline)
    return scores - baseline * float(scores @ baseline) / square if square > 1e-12 else scores


def exchanged(scores: Vector, active: Vector, drawn: np.ndarray[Any, Any]) -> float:
    """Return the two-sided p of the active arm's sum of scores, of mean zero within strata, over exchanged arms."""
    sums = np.abs(drawn @ scores)
    extreme = int((sums >= abs(float(active @ scores)) * (1 - 1e-10) - 1e-12).sum())
    return (1 + extreme) / (1 + len(drawn))
