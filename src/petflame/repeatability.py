"""How far two scans of an unchanged artery differ: the band round one change, in figures and in words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from petflame.errors import InputRefused
from petflame.outside import PRODUCTS, calling, read_json_object
from petflame.privacy import named
from petflame.protocol import ChangeRules
from petflame.typed import Misshapen, number

# As the protocol's own: no living vessel is read twice to a tenth of a per cent.
LEAST_CV, MOST_CV = 0.001, 0.5
DEFINITION = (
    "100 x (exp(ln(Y_F / Y_B) +- 1.96 x sqrt(2) x s_w) - 1), s_w = sqrt(ln(1 + CV^2)) from the "
    "within-subject CV of repeated scans."
)
Verdict = Literal["fall", "rise", "within noise"]


@dataclass(frozen=True)
class Change:
    """Change of a ratio between two visits, with its repeatability band.

    Attributes
    ----------
    baseline, followup : float
    percent : float
        100 * (followup - baseline) / baseline.
    percent_low, percent_high : float
        95 % repeatability band of `percent`.
    """

    baseline: float
    followup: float
    percent: float
    percent_low: float
    percent_high: float

    @property
    def difference(self) -> float:
        """Follow-up less baseline."""
        return self.followup - self.baseline

    @property
    def verdict(self) -> Verdict:
        """Which side of zero the whole band lies on."""
        if self.percent_high < 0:
            return "fall"
        return "rise" if self.percent_low > 0 else "within noise"

    @property
    def beyond_repeatability(self) -> bool:
        """Whether the band leaves zero out."""
        return self.verdict != "within noise"

    @property
    def sentence(self) -> str:
        """The change in words.

        >>> Change(2.0, 1.846, -7.7, -18.0, 4.0).sentence
        'A change of -7.7 % (-18.0 to +4.0) is within measurement noise: this patient alone shows no change.'
        """
        change = f"A change of {self.percent:+.1f} % ({self.percent_low:+.1f} to {self.percent_high:+.1f})"
        if self.beyond_repeatability:
            return f"{change} is a {self.verdict} beyond measurement noise; it does not say what caused it."
        return f"{change} is within measurement noise: this patient alone shows no change."


@dataclass(frozen=True)
class Repeatability:
    """The within-subject variation that every band of a run rests on.

    Attributes
    ----------
    within_subject_cv : float
        Of TBR over repeated scans.
    source : str
        Where it comes from, in words.
    published_percent : tuple of float
        Published limits of one patient's change, shown beside the band.
    """

    within_subject_cv: float
    source: str = "configured"
    published_percent: tuple[float, ...] = ()

    @classmethod
    def of(cls, rules: ChangeRules) -> Repeatability:
        """Take the protocol's."""
        return cls(rules.within_subject_cv, "configured", rules.published_bands_percent)

    @classmethod
    def of_record(cls, block: Mapping[str, Any]) -> Repeatability:
        """Take what an analysis has written of it (`record`)."""
        return cls(block["within_subject_cv"], block["source"], tuple(block["published_bands_percent"]))

    def measured(self, reliability: Path | None) -> Repeatability:
        """Take the within-subject CV of a ``reliability.json`` before this one, where a file is given.

        Raises
        ------
        InputRefused
            When the file has no usable value.
        """
        if reliability is None:
            return self
        source = f"reliability study ({named(reliability.name, 'reliability.json')})"
        return replace(self, within_subject_cv=read_within_subject_cv(reliability), source=source)

    @property
    def record(self) -> dict[str, Any]:
        """What the analysis writes of it."""
        return {
            "within_subject_cv": self.within_subject_cv,
            "source": self.source,
            "no_change_band_percent": list(self.no_change_percent),
            "published_bands_percent": list(self.published_percent),
            "definition": DEFINITION,
        }

    @property
    def no_change_percent(self) -> tuple[float, float]:
        """Band of a patient whose two values agree, percent."""
        half = self._half_log()
        return 100 * math.expm1(-half), 100 * math.expm1(half)

    def change(self, baseline: float, followup: float) -> Change:
        """Express a change with its band, 100 * (exp(ln ratio +- 1.96 * sqrt(2) * s_w) - 1).

        `s_w`, the within-subject standard deviation of ln TBR, is sqrt(ln(1 + cv^2)), which is the CV itself to within
        0.1 % at 5 % (measurement definitions, section 4; Bland and Altman 1996).

        >>> c = Repeatability(0.05).change(2.0, 1.846)
        >>> round(c.percent, 1), round(c.percent_low, 1), round(c.percent_high, 1), c.verdict
        (-7.7, -19.6, 6.0, 'within noise')
        >>> c = Repeatability(0.043).change(2.0, 2.0)
        >>> round(c.percent_low, 1), round(c.percent_high, 1)
        (-11.2, 12.7)
        """
        half, ratio = self._half_log(), math.log(followup / baseline)
        return Change(
            baseline,
            followup,
            100.0 * (followup - baseline) / baseline,
            100.0 * math.expm1(ratio - half),
            100.0 * math.expm1(ratio + half),
        )

    def _half_log(self) -> float:
        return 1.96 * math.sqrt(2 * math.log1p(self.within_subject_cv**2))


def read_within_subject_cv(reliability: Path) -> float:
    """Return the within-subject coefficient of variation of a ``reliability.json``.

    Raises
    ------
    InputRefused
        When the file has no usable value.
    """
    where = calling(reliability, "the reliability file")
    document = read_json_object(reliability, PRODUCTS, where, "run `petflame reliability` again")
    try:
        return number(document.get("within_subject_cv"), "within_subject_cv", LEAST_CV, MOST_CV)
    except Misshapen as error:
        raise InputRefused.of(str(error), where, "run `petflame reliability` on readings that vary") from None
