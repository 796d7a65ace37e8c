"""The sample size for 80 % power to compare the arms, from the control arm's risk and over its interval."""

from __future__ import annotations

import math

from scipy import stats

from petflame.trial.blocks import complete, without
from petflame.trial.events.blocks import Risk, SampleNeeded
from petflame.trial.words import in_years

HAZARD_RATIOS = (0.25, 0.5, 0.7)

DEFINITION = (
    "Participants in each arm for 80 % power at two-sided 0.05 (Schoenfeld's events for the log-rank test, equal arms, "
    "the control arm's observed risk at the horizon), for several assumed true hazard ratios; `per_arm_fewest` and "
    "`per_arm_most` at the upper and the lower limit of that risk, as they stand in `risk_difference`."
)


def sample_needed(control: Risk, horizon_years: float) -> SampleNeeded:
    """Return the sample size for 80 % power at several hazard ratios, also as a sentence.

    Parameters
    ----------
    control : Risk
        Of the control arm; its interval is the one that stands beside the risk everywhere.
    horizon_years : float

    Examples
    --------
    >>> from petflame.trial.events.risk import arm_risk
    >>> import numpy as np
    >>> control = arm_risk(np.repeat([1.0, 3.0], [3, 25]), np.repeat([1, 0], [3, 25]), 2.0)
    >>> for row in sample_needed(control, 2.0)["per_arm"]:
    ...     print(row["hazard_ratio"], row["per_arm"], row["per_arm_fewest"], row["per_arm_most"])
    0.25 121 47 352
    0.5 403 157 1170
    0.7 1346 524 3902
    """
    words = {"definition": DEFINITION}
    risk, low, high = control["risk"], control["low"], control["high"]
    if not risk or low is None or high is None:
        reason = control["reason"]
        why = f"{reason} in the control arm" if reason else "no event in the control arm before the horizon"
        return without(SampleNeeded, why, **words, sentence=f"The sample size for 80 % power is not known: {why}.")
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
    sizes = [f"{row['per_arm']} if it were {row['hazard_ratio']:g}" for row in others]
    ranges = [f"{row['per_arm_fewest']} to {row['per_arm_most']}" for row in rows]
    sentence = (
        f"Sample size for 80 % power, log-rank test at two-sided 0.05, at the control arm's risk of {100 * risk:.1f} % "
        f"in {in_years(horizon_years)} (95 % interval {100 * low:.1f} to {100 * high:.1f} %): {first['per_arm']} "
        f"participants in each arm would have 80 % power if the hazard ratio were {first['hazard_ratio']:g}, "
        f"{', '.join(sizes[:-1])} and {sizes[-1]}. Over that interval of the risk the numbers are "
        f"{', '.join(ranges[:-1])} and {ranges[-1]}."
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
