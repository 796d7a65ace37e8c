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
    "100 x (exp(ln(Y_F / Y_B) +- q x sqrt(2) x s_w) - 1), s_w = sqrt(ln(1 + CV^2)) from the within-subject CV of "
    "repeated scans; q is Student's t at the degrees of freedom of the study that measured it, 1.96 for an assumed CV."
)
# What was repeated in a reliability study: the whole scan, or the reading of one scan.
Repeated = Literal["scan_rescan", "reading"]
SCAN_RESCAN: Repeated = "scan_rescan"
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
    noise : str
        What the band stands for, in words.
    """

    baseline: float
    followup: float
    percent: float
    percent_low: float
    percent_high: float
    noise: str = "measurement noise"

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
            return f"{change} is a {self.verdict} beyond {self.noise}; it does not say what caused it."
        return f"{change} is within {self.noise}: this patient alone shows no change."


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
    df : float or None
        Degrees of freedom of the study that measured the CV; None where it is assumed.
    """

    within_subject_cv: float
    source: str = "assumed by the protocol"
    published_percent: tuple[float, ...] = ()
    df: float | None = None

    @classmethod
    def of(cls, rules: ChangeRules) -> Repeatability:
        """Take the protocol's."""
        return cls(rules.within_subject_cv, published_percent=rules.published_bands_percent)

    @classmethod
    def of_record(cls, block: Mapping[str, Any]) -> Repeatability:
        """Take what an analysis has written of it (`record`)."""
        published = tuple(block["published_bands_percent"])
        return cls(block["within_subject_cv"], block["source"], published, block["within_subject_df"])

    def measured(self, reliability: Path | None) -> Repeatability:
        """Take the within-subject CV of a ``reliability.json`` before this one, where a file is given.

        Raises
        ------
        InputRefused
            When the file has no usable value, or does not hold repeated scans.
        """
        if reliability is None:
            return self
        found = read_within_subject(reliability)
        source = f"scan-rescan study ({named(reliability.name, 'reliability.json')})"
        return replace(self, within_subject_cv=found.cv, df=found.df, source=source)

    @property
    def assumed(self) -> bool:
        """Whether no study measured the CV."""
        return self.df is None

    @property
    def noise(self) -> str:
        """What the band stands for, in words.

        >>> Repeatability(0.05).noise
        'assumed measurement noise (within-subject CV 5 %, assumed)'
        >>> Repeatability(0.043, df=11).noise
        'measurement noise (within-subject CV 4.3 %, measured by repeated scans)'
        """
        cv = (
            f"{100 * self.within_subject_cv:.2g}"
            if self.within_subject_cv < 0.1
            else f"{100 * self.within_subject_cv:.0f}"
        )
        if self.assumed:
            return f"assumed measurement noise (within-subject CV {cv} %, assumed)"
        return f"measurement noise (within-subject CV {cv} %, measured by repeated scans)"

    @property
    def record(self) -> dict[str, Any]:
        """What the analysis writes of it."""
        limits = self.cv_limits
        return {
            "within_subject_cv": self.within_subject_cv,
            "within_subject_df": self.df,
            "within_subject_cv_low": None if limits is None else limits[0],
            "within_subject_cv_high": None if limits is None else limits[1],
            "assumed": self.assumed,
            "source": self.source,
            "no_change_band_percent": list(self.no_change_percent),
            "published_bands_percent": list(self.published_percent),
            "definition": DEFINITION,
        }

    @property
    def cv_limits(self) -> tuple[float, float] | None:
        """Chi-square 95 % limits of a measured CV; None for an assumed one.

        >>> [round(v, 3) for v in Repeatability(0.08, df=11).cv_limits]
        [0.057, 0.136]
        """
        if self.df is None:
            return None
        from scipy import stats

        square = math.log1p(self.within_subject_cv**2) * self.df
        low, high = (math.sqrt(math.expm1(square / float(stats.chi2.ppf(q, self.df)))) for q in (0.975, 0.025))
        return low, high

    @property
    def no_change_percent(self) -> tuple[float, float]:
        """Band of a patient whose two values agree, percent."""
        half = self._half_log()
        return 100 * math.expm1(-half), 100 * math.expm1(half)

    def change(self, baseline: float, followup: float) -> Change:
        """Express a change with its band, 100 * (exp(ln ratio +- q * sqrt(2) * s_w) - 1).

        `q` is 1.96 for an assumed CV and Student's t at `df` for a measured one: the difference of two new scans over
        a standard deviation from few repeated scans follows t.

        `s_w`, the within-subject standard deviation of ln TBR, is sqrt(ln(1 + cv^2)), which is the CV itself to within
        0.1 % at 5 % (measurement definitions, section 4; Bland and Altman 1996).

        >>> c = Repeatability(0.05).change(2.0, 1.846)
        >>> round(c.percent, 1), round(c.percent_low, 1), round(c.percent_high, 1), c.verdict
        (-7.7, -19.6, 6.0, 'within noise')
        >>> c = Repeatability(0.043).change(2.0, 2.0)
        >>> round(c.percent_low, 1), round(c.percent_high, 1)
        (-11.2, 12.7)
        >>> c = Repeatability(0.043, df=11).change(2.0, 2.0)
        >>> round(c.percent_low, 1), round(c.percent_high, 1)
        (-12.5, 14.3)
        """
        half, ratio = self._half_log(), math.log(followup / baseline)
        return Change(
            baseline,
            followup,
            100.0 * (followup - baseline) / baseline,
            100.0 * math.expm1(ratio - half),
            100.0 * math.expm1(ratio + half),
            self.noise,
        )

    def _half_log(self) -> float:
        from scipy import stats

        quantile = 1.96 if self.df is None else float(stats.t.ppf(0.975, self.df))
        return quantile * math.sqrt(2 * math.log1p(self.within_subject_cv**2))


@dataclass(frozen=True)
class WithinSubject:
    """What a reliability study says of repeated scans: within-subject CV and its degrees of freedom."""

    cv: float
    df: float


def read_within_subject(reliability: Path) -> WithinSubject:
    """Return the within-subject coefficient of variation of a ``reliability.json`` of repeated scans.

    Raises
    ------
    InputRefused
        When the file has no usable value, does not say what was repeated, or repeats the reading alone: two readings
        of one scan hold nothing of what differs between two scans.
    """
    where = calling(reliability, "the reliability file")
    document = read_json_object(reliability, PRODUCTS, where, "run `petflame reliability` again")
    repeated = document.get("repeated")
    if repeated != SCAN_RESCAN:
        what = (
            "it holds repeated readings of one scan, which say nothing of how two scans of an unchanged artery differ"
            if repeated == "reading"
            else "it does not say that scans were repeated (`repeated`: scan_rescan)"
        )
        remedy = "give a study of repeated scans, made by `petflame reliability ... --repeated scan_rescan`, or none"
        raise InputRefused.of(what, where, remedy)
    try:
        return WithinSubject(
            number(document.get("within_subject_cv"), "within_subject_cv", LEAST_CV, MOST_CV),
            number(document.get("repeatability_df"), "repeatability_df", 1),
        )
    except Misshapen as error:
        raise InputRefused.of(str(error), where, "run `petflame reliability` on readings that vary") from None
