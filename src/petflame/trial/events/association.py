"""Does a patient's change in TBRmax go with later events? Exploratory, and never shown without its limits."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from petflame.errors import FaultList
from petflame.outside import calling
from petflame.trial.blocks import block
from petflame.trial.estimates import NotEstimable
from petflame.trial.events.blocks import ChangeAndEvents, ChangeHazard, ChangeSample
from petflame.trial.events.competing import CAUSE_SPECIFIC
from petflame.trial.events.firth import firth_cox
from petflame.trial.events.incidence import COMPETING, EVENT
from petflame.trial.tables import read_patients
from petflame.trial.words import counted

STEP_PERCENT = 10.0
# Hazard ratio for one standard deviation of the change, for which the needed sample is given.
HAZARD_RATIO_PER_SD = 1.5

DEFINITIONS: dict[str, str] = {
    "association": "Firth Cox hazard ratio for a percent change in TBRmax 10 points higher, arms together, not "
    "adjusted, from the landmark on: whoever had an event or left before it is left out, since the change is known at "
    "the second scan only. The landmark is to lie at or after the second scan; the published IVORY trial scanned about "
    "9 weeks (0.17 years) after randomisation. Exploratory: the arm may drive both, and an association is no sign that "
    "the one causes the other.",
    "whole_time": "The same from randomisation on, a check: events before the second scan count as if its result had "
    "been known.",
    "sample_needed": "Events for 80 % power at two-sided 0.05 to find a hazard ratio of 1.5 for one standard deviation "
    "of the change (Hsieh and Lavori 2000), and the participants in whom, at the observed share with an event, they "
    "occur.",
}


def read_change(patients: Path, followed: pd.Series) -> pd.DataFrame:
    """Return participant_id and percent change in TBRmax (NaN where a visit was not measured) from PATIENTS.

    Parameters
    ----------
    patients : Path
    followed : Series
        Identifiers in the outcome table.

    Raises
    ------
    InputRefused
        On every fault of the table, and when it has no participant in common with the outcomes.
    """
    faults = FaultList()
    measured = read_patients(patients, faults)
    if measured is not None and not measured["participant_id"].isin(followed).any():
        faults.add(
            "no participant_id in common with the outcomes",
            calling(patients),
            "use the same identifiers in both tables",
        )
    faults.raise_if_any()
    if measured is None:
        raise AssertionError("a table that cannot be read leaves a fault")
    change = 100 * (measured["tbr_max_followup"] / measured["tbr_max_baseline"] - 1)
    return pd.DataFrame({"participant_id": measured["participant_id"], "change": change})


def change_and_events(outcomes: pd.DataFrame, change: pd.DataFrame, landmark_years: float) -> ChangeAndEvents:
    """Return the association of the percent change with events, with the sample that would settle it.

    Parameters
    ----------
    outcomes : DataFrame
        participant_id, time_years, event (0, 1, or 2 for a competing event, which censors).
    change : DataFrame
        As `read_change` returns it.
    landmark_years : float
        Time of the second scan or later, since randomisation: who had an event or left before is left out, and time
        runs from here (landmark analysis; Anderson, Cain and Gelber 1983).
    """
    joined = outcomes.merge(change, on="participant_id", how="left")
    known = joined.dropna(subset="change")
    x, time = known["change"].to_numpy(float), known["time_years"].to_numpy(float)
    event = known["event"].to_numpy() == EVENT
    said = CAUSE_SPECIFIC if (joined["event"] == COMPETING).any() else ""
    late = time >= landmark_years
    n, events = int(late.sum()), int(event[late].sum())
    return block(
        ChangeAndEvents,
        lambda: (
            _hazard_ratio(x[late], time[late] - landmark_years, event[late]) | {"change_sd": float(x[late].std(ddof=1))}
        ),
        definition=DEFINITIONS["association"] + said,
        step_percent=STEP_PERCENT,
        landmark_years=landmark_years,
        n=n,
        events=events,
        left_out_before_landmark=len(known) - n,
        events_before_landmark=int(event.sum()) - events,
        without_change=len(joined) - len(known),
        whole_time=block(
            ChangeHazard,
            lambda: _hazard_ratio(x, time, event),
            definition=DEFINITIONS["whole_time"] + said,
            n=len(known),
            events=int(event.sum()),
        ),
        sample_needed=_sample_needed(n, events),
    )


def _hazard_ratio(
    change: np.ndarray[Any, Any], time: np.ndarray[Any, Any], event: np.ndarray[Any, Any]
) -> dict[str, Any]:
    if change.size < 3:
        raise NotEstimable(f"the change and the outcome are both known for {counted(change.size, 'participant')} only")
    return firth_cox(change / STEP_PERCENT, time, event)


def _sample_needed(n: int, events: int) -> ChangeSample:
    """Return events and participants for an assumed hazard ratio.

    >>> _sample_needed(50, 5)["events"], _sample_needed(50, 5)["participants"]
    (48, 480)
    """
    z = float(stats.norm.ppf(0.975) + stats.norm.ppf(0.8))
    needed = math.ceil(z**2 / math.log(HAZARD_RATIO_PER_SD) ** 2)
    participants = math.ceil(needed * n / events) if events else None
    words = f"Sample size for 80 % power at two-sided 0.05: about {needed} events"
    if participants is not None:
        words += f", some {participants} participants followed like these"
    words += f", if the hazard changed by a factor of {HAZARD_RATIO_PER_SD:g} for one standard deviation of the change"
    return {
        "hazard_ratio_per_sd": HAZARD_RATIO_PER_SD,
        "events": needed,
        "participants": participants,
        "reason": None if events else "no event among participants with a measured change",
        "sentence": f"{words}; here there {'was' if events == 1 else 'were'} {counted(events, 'event')}.",
        "definition": DEFINITIONS["sample_needed"],
    }
