"""What sample would settle the question of the arms: from the control arm's risk, with the range of that risk."""

from __future__ import annotations

import math

from scipy import stats

from petflame.trial.blocks import complete, without
from petflame.trial.estimates import LEVEL
from petflame.trial.events.blocks import Risk, SampleNeeded

HAZARD_RATIOS = (0.25, 0.5, 0.7)

DEFINITION = (
    "Participants in each arm for 80 % power at two-sided 0.05 (Schoenfeld's events for the log-rank test, equal arms, "
    "the control arm's observed risk at the horizon), for several assumed true hazard ratios; `per_arm_fewest` and "
    "`per_arm_most` at the upper and the lower limit of that risk (Clopper-Pearson, with the effective number of "
    "participants)."
)


def exact_limits(risk: float, n: float) -> tuple[float, float]:
    """Return the Clopper-Pearson limits of a risk; the number of participants need not be whole.

    >>> low, high = exact_limits(3 / 28, 28)
    >>> round(low, 6), round(high, 6)
    (0.022665, 0.282264)
    """
    events, tail = risk * n, (1 - LEVEL) / 2
    low = float(stats.beta.ppf(tail, events, n - events + 1)) if events > 0 else 0.0
    high = float(stats.beta.ppf(1 - tail, events + 1, n - events)) if events < n else 1.0
    return low, high


def sample_needed(control: Risk, horizon_years: float) -> SampleNeeded:
    """Return what sample would settle the question, from the control arm's observed risk, also as a sentence.

    >>> from petflame.trial.events.risk import arm_risk
    >>> import numpy as np
    >>> control = arm_risk(np.repeat([1.0, 3.0], [3, 25]), np.repeat([1, 0], [3, 25]), 2.0)
    >>> for row in sample_needed(control, 2.0)["per_arm"]:
    ...     print(row["hazard_ratio"], row["per_arm"], row["per_arm_fewest"], row["per_arm_most"])
    0.25 121 46 576
    0.5 403 151 1919
    0.7 1346 505 6396
    """
    words = {"definition": DEFINITION}
    risk, n = control["risk"], control["effective_n"]
    if not risk or n is None:
        reason = control["reason"]
        why = f"{reason} in the control arm" if reason else "no event in the control arm before the horizon"
        return without(SampleNeeded, why, **words, sentence=f"What sample would settle it is unknown: {why}.")
    low, high = exact_limits(risk, n)
    rows = [
        {
            "hazard_ratio": ratio,
            "events": math.ceil(_events(ratio)),
            "per_arm": _per_arm(ratio, risk),
            "per_arm_fewest": _per_arm(ratio, high),
            "per_arm_most": _per_arm(ratio, low),
        }
        for ratio in HAZARD_RATIOS
    ]
    first, *others = rows
    ranges = [f"{row['per_arm_fewest']} to {row['per_arm_most']}" for row in rows]
    sentence = (
        f"At the control arm's risk of {100 * risk:.1f} % in {horizon_years:g} years, with 80 % power at two-sided "
        f"0.05: {first['per_arm']} participants in each arm would show a hazard ratio of {first['hazard_ratio']:g}, "
        + ", ".join(f"{row['per_arm']} one of {row['hazard_ratio']:g}" for row in others)
        + f". That risk is known only to lie within {100 * low:.1f} to {100 * high:.1f} %, for which these numbers are "
        + f"{', '.join(ranges[:-1])} and {ranges[-1]}."
    )
    found = {"control_risk": risk, "control_risk_low": low, "control_risk_high": high}
    return complete(SampleNeeded, words | found | {"per_arm": rows, "sentence": sentence, "reason": None})


def _events(ratio: float) -> float:
    z = float(stats.norm.ppf(0.975) + stats.norm.ppf(0.8))
    return 4 * z**2 / math.log(ratio) ** 2


def _per_arm(ratio: float, risk: float) -> int:
    risk = min(risk, 1 - 1e-9)
    mean_risk = (risk + 1 - (1 - risk) ** ratio) / 2
    return math.ceil(_events(ratio) / mean_risk / 2)
