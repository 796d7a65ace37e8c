"""Blinded re-estimation of the sample size: the residual SD of an interim table, without knowledge of the arms."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from petflame.errors import FaultList
from petflame.files import read_tsv, sha256
from petflame.outside import calling
from petflame.trial.arms.ancova import check_design, fit_linear, make_arms
from petflame.trial.blocks import block, complete, without
from petflame.trial.choices import AnalysisSet, TrialTables
from petflame.trial.cohort import load_cohort
from petflame.trial.design.blocks import Reestimation, SizeAtSd
from petflame.trial.design.sample_size import to_randomise
from petflame.trial.endpoints import BASELINE, FOLLOWUP
from petflame.trial.estimates import LEVEL, NotEstimable, is_constant
from petflame.trial.tables import names_arms
from petflame.typed import as_written

# With fewer the 95 % limits of the SD lie more than a factor of three apart.
LEAST_PARTICIPANTS = 10
# How allocation tables name the arm, any word of the column's name, and what they write there.
DEFINITION = (
    "lumped: residual SD of Y_F ~ Y_B (+ strata) over all participants without the arm, chi-square interval as if "
    "there were no effect. If the planned difference d is true, its square holds d^2 N / (4 (N - 1)) of the effect "
    "beside the variance (1:1 allocation); adjusted: that taken off (Gould and Shih 1992; Kieser and Friede 2003). "
    "per_arm: patients to randomise to each arm for the planned difference at the target power, two-sample t test, "
    "divided by the share followed up; per_arm_low and per_arm_high the same at the limits of the SD. Plan by the "
    "lumped one (Friede and Kieser 2006, 2011); per_arm_not_below_planned never shrinks the trial."
)
TYPE_I_ERROR = (
    "Re-estimation from blinded data does not inflate the type I error materially (Kieser and Friede 2003, Stat Med "
    "22:3571; with a baseline covariate Friede and Kieser 2011, Pharm Stat 10:8); benchmarks/reestimation.py shows it "
    "at 30 and 12 an arm. The rule must be fixed in the protocol before the interim data are seen."
)
NOT_ASKED = "no interim table was given"


@dataclass(frozen=True)
class Interim:
    """An interim table and how the primary model will use it; no table of it may hold the arms.

    Attributes
    ----------
    patients : Path
        PATIENTS: participant_id, tbr_max_baseline, tbr_max_followup.
    participants : Path, optional
        Holds the strata.
    strata : tuple of str
    analysis_set : {'all_measured', 'comparable'}
    """

    patients: Path
    participants: Path | None = None
    strata: tuple[str, ...] = ()
    analysis_set: AnalysisSet = "all_measured"


@dataclass(frozen=True)
class Planned:
    """What was fixed before the interim data: difference and residual SD (ratio), patients an arm, power, dropout."""

    difference: float
    residual_sd: float
    per_arm: int
    power: float
    dropout: float


def no_reestimation(reason: str = NOT_ASKED) -> Reestimation:
    """Return the block without numbers."""
    return without(Reestimation, reason, definition=DEFINITION, type_i_error=TYPE_I_ERROR)


def refuse_arms(interim: Interim) -> None:
    """Raise `InputRefused` where a table names the arms, by a column's name or by what it holds.

    Raises
    ------
    InputRefused
        With every such column of both tables.
    """
    faults = FaultList()
    for path in filter(None, (interim.patients, interim.participants)):
        table = read_tsv(path)
        for column in table.columns:
            if names_arms(table[column]):
                what = f"the column {as_written(column, 'of another name')} names the arms"
                faults.add(
                    f"{what}, and blinded re-estimation must not see them", calling(path), "give the table without it"
                )
    faults.raise_if_any()


def reestimate(interim: Interim, planned: Planned) -> Reestimation:
    """Return the block ``reestimation`` of ``power.json``.

    Raises
    ------
    InputRefused
        On tables that name the arms or are faulty.

    References
    ----------
    Gould AL, Shih WJ. Commun Stat Theory Methods 1992;21:2833-2853. Kieser M, Friede T. Stat Med 2003;22:3571-3581.
    Friede T, Kieser M. Biom J 2006;48:537-555; Pharm Stat 2011;10:8-13; Pharm Stat 2013;12:141-146.
    """
    refuse_arms(interim)
    return block(Reestimation, lambda: _blinded(interim, planned), definition=DEFINITION, type_i_error=TYPE_I_ERROR)


def _blinded(interim: Interim, planned: Planned) -> Mapping[str, Any]:
    tables = TrialTables(interim.patients, participants=interim.participants)
    cohort = load_cohort(tables, interim.strata, interim.analysis_set)
    used = cohort.analysed
    n = len(used)
    if n < LEAST_PARTICIPANTS:
        raise NotEstimable(
            f"{n} participants have both visits; below {LEAST_PARTICIPANTS} the limits of the SD lie more than a "
            "factor of three apart"
        )
    sd, df = blinded_sd(used.assign(arm="not known"), interim.strata)
    lumped = size_at(sd, df, planned, 0.0)
    needed = lumped["per_arm"]
    return {
        "participants": n,
        "without_both_visits": len(cohort.table) - n,
        "analysis_set": interim.analysis_set,
        "strata": list(interim.strata),
        "df": df,
        "planned_difference": planned.difference,
        "planned_residual_sd": planned.residual_sd,
        "planned_per_arm": planned.per_arm,
        "target_power": planned.power,
        "lumped": lumped,
        "adjusted": size_at(sd, df, planned, planned.difference**2 * n / (4 * (n - 1))),
        "per_arm_not_below_planned": None if needed is None else max(needed, planned.per_arm),
        "inputs": {name: {"file": path.name, "sha256": sha256(path)} for name, path in tables.given.items()},
    }


def blinded_sd(table: Any, strata: tuple[str, ...] = ()) -> tuple[float, int]:
    """Return the residual SD of Y_F ~ Y_B (+ strata) and its degrees of freedom.

    Parameters
    ----------
    table : DataFrame
        participant_id, arm (any word: it is not used), the two columns of the primary endpoint, the strata.

    Raises
    ------
    NotEstimable
        When the baseline is constant, columns depend on one another or the model fits exactly.
    """
    people = make_arms(table, BASELINE, FOLLOWUP, strata)
    if is_constant(people.baseline):
        raise NotEstimable("the baseline is the same in every participant, so the model cannot adjust for it")
    columns = np.column_stack([people.baseline, people.covariates])
    design = np.column_stack([np.ones(people.baseline.size), columns - columns.mean(axis=0)])
    check_design(design, people.names)
    fit = fit_linear(people.followup, design)
    return fit.sigma, int(fit.df)


def size_at(sd: float, df: float, planned: Planned, effect_variance: float) -> SizeAtSd:
    """Return the SD with `effect_variance` taken off its square, its interval, and the patients each asks for."""
    tails = (0.5 + LEVEL / 2, 0.5 - LEVEL / 2)
    squares = [sd**2, *(sd**2 * df / float(stats.chi2.ppf(q, df)) for q in tails)]
    left = [math.sqrt(s - effect_variance) if s > effect_variance else None for s in squares]
    sizes = [
        None if s is None else to_randomise(planned.difference, s, planned.power, 1 - planned.dropout) for s in left
    ]
    reason = None
    if left[0] is None:
        reason = "the planned difference alone would make the residuals vary more than they do, so it is not there"
    elif sizes[0] is None:
        reason = "the planned difference is too small for a trial of any size"
    elif left[1] is None:
        reason = "the lower limit does not leave room for the planned difference"
    found: dict[str, Any] = {"reason": reason}
    for end, s, size in zip(("", "_low", "_high"), left, sizes, strict=True):
        found |= {f"sd{end}": s, f"per_arm{end}": size}
    return complete(SizeAtSd, found)
