"""Cumulative incidence with competing deaths (Aalen and Johansen 1978); without them, 1 less Kaplan-Meier."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from petflame.trial.estimates import Matrix, Vector

EVENT, COMPETING = 1, 2


ROUNDING = 1e-12


@dataclass(frozen=True)
class Incidence:
    """Cumulative incidence of one cause, a value a moment; tied causes stand apart as moments of their own.

    Attributes
    ----------
    time : ndarray, shape (k,)
        Years, not falling; the first is the start, 0.
    incidence : ndarray, shape (k,)
        Share with the event of this cause up to the moment.
    free : ndarray, shape (k,)
        Share free of events of either cause after the moment.
    at_risk, ended, caused : ndarray of int, shape (k,)
        Participants at risk before the moment, those with an event of either cause at it, and of this cause.
    """

    time: Vector
    incidence: Vector
    free: Vector
    at_risk: Vector
    ended: Vector
    caused: Vector

    def at(self, year: float) -> tuple[float, float]:
        """Return the incidence up to a time, and its variance.

        Notes
        -----
        Delta-method variance (Collett, Modelling Survival Data in Medical Research): Greenwood's where no cause
        competes, the binomial one where nobody is censored.
        """
        upto = self.time <= year
        value = float(self.incidence[upto][-1])
        # Sums of shares end a rounding beside nobody and everybody, where nothing varies any more.
        if min(value, 1 - value) < ROUNDING:
            return float(round(value)), 0.0
        # A moment that everybody left ends the curve, so nothing of it is to come.
        some = upto & (self.ended > 0)
        n, d, d1 = (v[some].astype(float) for v in (self.at_risk, self.ended, self.caused))
        before = np.concatenate([[1.0], self.free[:-1]])[some]
        rest = value - self.incidence[some]
        spread = np.divide(rest**2 * d, n * (n - d), out=np.zeros_like(n), where=n > d)
        variance = spread + before**2 * d1 * (n - d1) / n**3 - 2 * rest * before * d1 / n**2
        return value, max(float(variance.sum()), 0.0)

    def reaches(self, year: float) -> bool:
        """Return whether the curve exists at a time: somebody was followed so long, or everybody had an event."""
        return bool(year <= self.time[-1] or self.free[-1] == 0)


def cumulative_incidence(time: Vector, code: Vector, cause: int = EVENT) -> Incidence:
    """Fit the cumulative incidence of one cause.

    Parameters
    ----------
    time : ndarray, shape (n,)
        Years, from 0.
    code : ndarray of int, shape (n,)
        0 censored, 1 event, 2 competing event.
    cause : {1, 2}

    Notes
    -----
    lifelines moves tied times of different causes at random, and drops what happens at time 0. So it is given ranks
    from 1: at a tie the event comes first, then the competing one, then the censorings. Neither estimate nor variance
    depends on which of two tied causes comes first.
    """
    from lifelines import AalenJohansenFitter

    order = np.array([2, 0, 1])[code]
    moments, rank = np.unique(np.column_stack([time, order]), axis=0, return_inverse=True)
    fitter = AalenJohansenFitter(calculate_variance=False).fit(rank.ravel() + 1, code, event_of_interest=cause)
    table = fitter.event_table
    at_risk, ended = table["at_risk"].to_numpy(), table["observed"].to_numpy()
    return Incidence(
        np.concatenate([[0.0], moments[:, 0]]),
        fitter.cumulative_density_.iloc[:, 0].to_numpy(),
        np.cumprod(1 - ended / at_risk),
        at_risk.astype(int),
        ended.astype(int),
        table[f"observed_{cause}"].to_numpy().astype(int),
    )


def incidence_by_row(arms: Matrix, time: Vector, code: Vector, horizon: float) -> Vector:
    """Return the cumulative incidence of the event at the horizon among each row's participants.

    Own code because the permutation test needs thousands of them at once. Where nobody of a row is followed to the
    horizon, it is the last value of the row's curve.

    Parameters
    ----------
    arms : ndarray, shape (rows, n)
        1 for the participants that are meant.
    time, code : ndarray, shape (n,)
    horizon : float
        Years; an event at the horizon counts.
    """
    moments = np.unique(time[(code > 0) & (time <= horizon)])
    at_risk = arms @ (time[:, None] >= moments).astype(float)
    here = time[:, None] == moments
    caused = arms @ (here & (code == EVENT)[:, None]).astype(float)
    ended = arms @ (here & (code > 0)[:, None]).astype(float)
    n = np.maximum(at_risk, 1.0)
    free = np.cumprod(1 - ended / n, axis=1)
    before = np.column_stack([np.ones(len(arms)), free[:, :-1]])[:, : moments.size]
    return (before * caused / n).sum(axis=1)
