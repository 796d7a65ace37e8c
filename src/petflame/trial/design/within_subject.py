"""The one within-subject variation of a design: where its total comes from, and what it leads to."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from scipy import stats

from petflame.privacy import named
from petflame.published import RESIDUAL_SD
from petflame.repeatability import read_within_subject
from petflame.trial.blocks import complete
from petflame.trial.design.blocks import WithinSubject
from petflame.trial.design.plan import Design
from petflame.trial.design.sample_size import to_randomise
from petflame.trial.design.simulated_trials import run_trials
from petflame.trial.estimates import LEVEL

DEFINITION = (
    "SD of ln TBRmax of one vessel between two visits of an unchanged patient, sqrt(ln(1 + CV^2)) of a study's CV; "
    "cv^2 = visit_cv^2 + measurement_cv^2. visit_cv is shared by the vessels of a visit (biology, uptake time, blood "
    "pool), measurement_cv is one vessel's own (positioning, noise, reading). A scan-rescan study gives the total; "
    "the parts keep the proportion that they have by default."
)
ASSUMED = "assumed: fitted to the published residual SD, not measured"


@dataclass(frozen=True)
class Total:
    """A within-subject total, as SD of ln TBRmax, and where it comes from.

    Attributes
    ----------
    cv : float
    source : str
        In words.
    df : float, optional
        Degrees of freedom of a study; without them there are no limits.
    """

    cv: float
    source: str
    df: float | None = None

    @property
    def limits(self) -> tuple[float, float] | None:
        """Chi-square 95 % interval of `cv`; None without degrees of freedom.

        >>> [round(v, 3) for v in Total(0.05, "a study", 11).limits]
        [0.035, 0.085]
        """
        if self.df is None:
            return None
        low, high = (
            self.cv * math.sqrt(self.df / float(stats.chi2.ppf(0.5 + s * LEVEL / 2, self.df))) for s in (1, -1)
        )
        return low, high


def read_scan_rescan(reliability: Path) -> Total:
    """Return the within-subject total of a ``reliability.json`` of repeated scans.

    Raises
    ------
    InputRefused
        When the file has no usable value, does not say what was repeated, or holds readings of one scan alone.
    """
    found = read_within_subject(reliability)
    source = f"scan-rescan study ({named(reliability.name, 'reliability.json')}), CV {100 * found.cv:.2f} %"
    return Total(math.sqrt(math.log1p(found.cv**2)), source, found.df)


def within_subject_block(
    design: Design, total: Total, primary: Mapping[str, float | None], target_power: float, trials: int, seed: int
) -> WithinSubject:
    """Return the block ``within_subject`` of ``power.json``.

    Parameters
    ----------
    total : Total
        What the design's variation comes from.
    primary : mapping
        The primary model's figures under this design, as simulated (`run_trials`).
    trials, seed : int
        Of the simulations at the limits of the total.
    """
    at_limits: dict[str, float | int | None] = dict.fromkeys(("cv_low", "cv_high", "per_arm_low", "per_arm_high"))
    for end, cv in zip(("low", "high"), total.limits or (), strict=False):
        row = run_trials(design.with_within_subject_cv(cv), trials, seed)["index_ancova"]
        size = _asked(row["true_difference"], row["residual_sd"], design, target_power)
        at_limits |= {f"cv_{end}": cv, f"per_arm_{end}": size}
    residual_sd = primary["residual_sd"]
    asked = _asked(primary["true_difference"], RESIDUAL_SD, design, target_power)
    return complete(
        WithinSubject,
        {
            "cv": design.within_subject_cv,
            **at_limits,
            "df": total.df,
            "visit_cv": design.visit_cv,
            "measurement_cv": design.measurement_cv,
            "source": total.source,
            "definition": DEFINITION,
            "implied_residual_sd": residual_sd,
            "published_residual_sd": RESIDUAL_SD,
            "per_arm_at_published_sd": asked,
            "note": _note(residual_sd, asked),
        },
    )


def _asked(difference: float | None, sd: float | None, design: Design, target_power: float) -> int | None:
    if difference is None or sd is None:
        return None
    return to_randomise(difference, sd, target_power, 1 - design.dropout)


def _note(residual_sd: float | None, asked: int | None) -> str | None:
    """Warn where a design is more sure of itself than the published trial was."""
    if residual_sd is None or asked is None or residual_sd >= 0.95 * RESIDUAL_SD:
        return None
    return (
        f"The design implies a residual SD of {residual_sd:.3f}, the published trial had {RESIDUAL_SD:.3f}: scans "
        "repeated within days may not hold what drifts over a trial's weeks. At the published SD the same difference "
        f"needs {asked} an arm."
    )
