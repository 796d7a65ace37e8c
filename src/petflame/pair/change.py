"""Change of one participant between two visits, and the band that repeatability puts round it."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Change:
    """Change of a ratio with its repeatability band.

    Attributes
    ----------
    baseline, followup, change : float
    percent : float
        100 * change / baseline.
    percent_low, percent_high : float
        95 % repeatability band of `percent`.
    """

    baseline: float
    followup: float
    change: float
    percent: float
    percent_low: float
    percent_high: float

    @property
    def beyond_repeatability(self) -> bool:
        """Whether the band leaves zero out."""
        return self.percent_low > 0 or self.percent_high < 0


def change_between(baseline: float, followup: float, within_subject_cv: float) -> Change:
    """Express a change with its band, 100 * (exp(ln ratio +- 1.96 * sqrt(2) * s_w) - 1).

    `s_w`, the within-subject standard deviation of ln TBR, is sqrt(ln(1 + cv^2)), which is `within_subject_cv` itself
    to within 0.1 % at 5 % (measurement definitions, section 4; Bland and Altman 1996).

    >>> c = change_between(2.0, 1.846, 0.05)
    >>> round(c.percent, 1), round(c.percent_low, 1), round(c.percent_high, 1), c.beyond_repeatability
    (-7.7, -19.6, 6.0, False)
    """
    half = 1.96 * math.sqrt(2.0) * math.sqrt(math.log1p(within_subject_cv**2))
    ratio = math.log(followup / baseline)
    return Change(
        baseline,
        followup,
        followup - baseline,
        100.0 * (followup - baseline) / baseline,
        100.0 * math.expm1(ratio - half),
        100.0 * math.expm1(ratio + half),
    )
