"""What competing events, such as death from another cause, do to the risk of an event: incidence of either cause."""

from __future__ import annotations

import math

import numpy as np
from scipy import stats

from petflame.trial.blocks import complete, without
from petflame.trial.estimates import LEVEL, Vector
from petflame.trial.events.blocks import CauseIncidence, CompetingEvents, IncidenceCurve, Incidences
from petflame.trial.events.incidence import COMPETING, EVENT, Incidence, cumulative_incidence

DEFINITION = (
    "Cumulative incidence of the event and of the competing event (Aalen-Johansen), with log-log intervals by the "
    "delta method. 1 less the Kaplan-Meier estimate is no risk here: it takes the competing event for a censoring, as "
    "if those who died could still have the event."
)
CAUSE_SPECIFIC = (
    " Cause-specific: a competing event ends follow-up as a censoring does, so this compares rates among those still "
    "at risk, not risks."
)


def competing_events(time: Vector, code: Vector, active: Vector, years: tuple[float, ...]) -> CompetingEvents | None:
    """Return each arm's cumulative incidence of either cause; None where no competing event occurred.

    Parameters
    ----------
    time : ndarray, shape (n,)
        Years.
    code : ndarray of int, shape (n,)
        0 censored, 1 event, 2 competing event.
    active : ndarray of bool, shape (n,)
    years : tuple of float
        Times of the incidences.
    """
    if not (code == COMPETING).any():
        return None
    arms = {"active": active, "control": ~active}
    return complete(
        CompetingEvents,
        {
            "cumulative_incidence": {arm: _by_year(time[rows], code[rows], years) for arm, rows in arms.items()},
            "curves": {arm: _curve(time[rows], code[rows]) for arm, rows in arms.items()},
            "definition": DEFINITION,
        },
    )


def _by_year(time: Vector, code: Vector, years: tuple[float, ...]) -> dict[str, Incidences]:
    event, competing = (cumulative_incidence(time, code, cause) for cause in (EVENT, COMPETING))
    return {
        f"{year:g}": {
            "event": _at(event, year),
            "competing": _at(competing, year),
            "at_risk": int((time >= year).sum()),
        }
        for year in sorted(set(years))
    }


def _at(curve: Incidence, year: float) -> CauseIncidence:
    if not curve.reaches(year):
        return without(CauseIncidence, "nobody was followed so long")
    value, variance = curve.at(year)
    if not 0 < value < 1:
        why = f"{'no' if value == 0 else 'every'} participant had it so far, so the log-log interval does not exist"
        return {"incidence": value, "low": None, "high": None, "reason": why}
    # On the scale of log(-log F) the higher value is the lower incidence.
    half = float(stats.norm.ppf(0.5 + LEVEL / 2)) * math.sqrt(variance) / (value * abs(math.log(value)))
    return {
        "incidence": value,
        "low": value ** math.exp(half),
        "high": value ** math.exp(-half),
        "reason": None,
    }


def _curve(time: Vector, code: Vector) -> IncidenceCurve:
    causes = [cumulative_incidence(time, code, cause) for cause in (EVENT, COMPETING)]
    moments = np.unique(np.concatenate([[0.0], time]))
    event, competing = ([float(c.incidence[c.time <= t][-1]) for t in moments] for c in causes)
    return {
        "time": [float(t) for t in moments],
        "event": event,
        "competing": competing,
        "at_risk": [int((time >= t).sum()) for t in moments],
        "events": [int(((time == t) & (code > 0)).sum()) for t in moments],
        "censored": [int(((time == t) & (code == 0)).sum()) for t in moments],
    }
