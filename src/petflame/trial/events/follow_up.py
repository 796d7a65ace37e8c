"""The test of the risks that keeps each arm's own follow-up: events change hands, censorings do not."""

from __future__ import annotations

import numpy as np

from petflame.trial.choices import PERMUTATIONS
from petflame.trial.estimates import Matrix, Vector
from petflame.trial.events.incidence import EVENT, incidence_by_row

CHUNK = 2000


def own_follow_up_p(
    time: Vector, code: Vector, active: Vector, horizon: float, seed: int, permutations: int = PERMUTATIONS
) -> float:
    """Return the two-sided p of the risk difference with every participant's follow-up kept.

    Parameters
    ----------
    time : ndarray, shape (n,)
        Years.
    code : ndarray of int, shape (n,)
        0 censored, 1 event, 2 competing event.
    active : ndarray of bool, shape (n,)
    horizon : float
        Years.
    seed : int
        Of the draws.
    permutations : int
        Number of draws.

    Notes
    -----
    Without an effect an event falls on any of those then at risk alike, whatever their arm. So the events, in their
    order, are dealt anew to those whose follow-up reaches them; follow-up beyond a participant's own event is drawn
    from the censorings of the arm (Heinze, Gnant and Schemper 2003). An exchange of whole participants would take a
    difference in follow-up for one of the risks. Without censoring before the horizon it is Fisher's distribution.
    """
    moments = np.unique(time[(code > 0) & (time <= horizon)])
    arm = active.astype(float)[None, :]
    seen = incidence_by_row(arm, time, code, horizon) - incidence_by_row(1 - arm, time, code, horizon)
    observed, extreme, rng = float(abs(seen[0])), 0, np.random.default_rng(seed)
    for done in range(0, permutations, CHUNK):
        count = min(CHUNK, permutations - done)
        until = _follow_up(time, code, active, count, rng)
        risk, free = np.zeros((2, count)), np.ones((2, count))
        for moment in moments:
            here = until >= moment
            at_risk = np.stack([here[:, active].sum(axis=1), here[:, ~active].sum(axis=1)])
            ended, caused = np.zeros((2, count)), np.zeros((2, count))
            for cause in code[(time == moment) & (code > 0)]:
                chosen, side = _deal(until, moment, active, rng)
                ended += side
                caused += side * (cause == EVENT)
                until[np.arange(count), chosen] = np.where(side.any(axis=0), -1.0, until[np.arange(count), chosen])
            n = np.maximum(at_risk, 1)
            risk += free * caused / n
            free *= 1 - ended / n
        extreme += int((np.abs(risk[0] - risk[1]) >= observed - 1e-12).sum())
    return (1 + extreme) / (1 + permutations)


def _follow_up(time: Vector, code: Vector, active: Vector, count: int, rng: np.random.Generator) -> Matrix:
    """Return until when each participant would be followed, shape (count, n); drawn for those who had an event."""
    until = np.tile(time.astype(float), (count, 1))
    for rows in (active, ~active):
        leaving, share = _staying(time[rows], code[rows])
        for k in np.flatnonzero(rows & (code > 0)):
            # Who had the event was still followed then: at a tie it comes before the censoring.
            start = share[np.searchsorted(leaving, time[k], side="left")]
            drawn = rng.random(count) * start
            place = (share[1:][None, :] >= drawn[:, None]).sum(axis=1)
            until[:, k] = np.append(leaving, np.inf)[place]
    return until


def _staying(time: Vector, code: Vector) -> tuple[Vector, Vector]:
    """Return the times of censoring and the Kaplan-Meier share not yet censored before the first and after each."""
    leaving = np.unique(time[code == 0])
    # Who has an event at a time of censoring is gone before it.
    at_risk = np.array([((time > t) | ((time == t) & (code == 0))).sum() for t in leaving])
    gone = np.array([((time == t) & (code == 0)).sum() for t in leaving])
    return leaving, np.concatenate([[1.0], np.cumprod(1 - gone / np.maximum(at_risk, 1))])


def _deal(until: Matrix, moment: float, active: Vector, rng: np.random.Generator) -> tuple[Vector, Matrix]:
    """Choose one of those at risk in each row; return whom, and in which arm, shape (2, rows): none where nobody is."""
    rank = np.cumsum(until >= moment, axis=1, dtype=np.int32)
    able = rank[:, -1]
    chosen = (rank > (rng.random(able.size) * able).astype(np.int32)[:, None]).argmax(axis=1)
    some = able > 0
    return chosen, np.stack([active[chosen] & some, ~active[chosen] & some]).astype(float)
