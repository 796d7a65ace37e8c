"""The sensitivity analyses of the primary figure, each declared once: what it is, how it is made, how it is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd
from typing_extensions import TypedDict

from petflame.trial.arms import (
    ancova,
    auxiliaries,
    blocks,
    bootstrap,
    interaction,
    missing,
    missing_blocks,
    reference_based,
    resample,
    robust,
    secondary,
    tipping,
)
from petflame.trial.blocks import Said
from petflame.trial.choices import AnalysisChoices
from petflame.trial.cohort import Cohort
from petflame.trial.endpoints import BASELINE, COVARIATES, FOLLOWUP
from petflame.trial.estimates import NotEstimable
from petflame.trial.parts import Parts

if TYPE_CHECKING:
    Covariates = dict[str, Any]
else:
    Covariates = TypedDict(
        "Covariates",
        dict.fromkeys([*(c.name for c in COVARIATES), "all"], blocks.Secondary | None) | Said.__annotations__,
    )


@dataclass(frozen=True)
class Case:
    """What a sensitivity analysis may use; what several of them share is made once."""

    cohort: Cohort
    choices: AnalysisChoices

    @cached_property
    def arms(self) -> ancova.Arms:
        """Complete cases of the primary endpoint."""
        return ancova.make_arms(self.cohort.analysed, BASELINE, FOLLOWUP, self.cohort.strata)

    @cached_property
    def other_set(self) -> ancova.Arms:
        """Complete cases of the analysis set that is not the primary's."""
        table = self.cohort.table
        measured = table["measured_baseline"] & table["measured_followup"]
        if "comparability" not in table.columns or not (measured & (table["comparability"] == "fail")).any():
            raise NotEstimable("no pair is graded as not comparable: both sets are the same")
        comparable = measured & (table["comparability"] != "fail")
        chosen = comparable if self.cohort.analysis_set == "all_measured" else measured
        return ancova.make_arms(table[chosen], BASELINE, FOLLOWUP, self.cohort.strata)

    @cached_property
    def left_out(self) -> tuple[dict[str, Any], pd.DataFrame]:
        """Summary and table of the fits without one patient."""
        return resample.leave_one_out(self.arms)

    @cached_property
    def imputer(self) -> missing.Imputer:
        """Completed sets of the participants with a baseline."""
        arms = missing.missing_arms(self.cohort)
        others = auxiliaries.other_vessels(self.cohort, arms.ids, self.choices.target_vessels)
        chosen = auxiliaries.choose(arms, others)
        return missing.Imputer(arms, missing.IMPUTATIONS, self.choices.seed + 2, chosen)


@dataclass(frozen=True)
class Sensitivity:
    """One sensitivity analysis.

    Attributes
    ----------
    name : str
        Key under ``sensitivity`` of ``arms.json``.
    title : str
        Heading of its row in the report.
    sentence : str
        What it is, in words.
    kind : type
        Its block.
    estimate : callable
        Makes the numbers of the block.
    shown : {'difference', 'bounds', 'test', 'percent', 'panel'}
        How the report shows it: a row with estimate, interval and p; with bounds round the primary estimate; with p
        alone; a row of the table of percentages; or in a place of its own.
    source : str
        Where such a percentage was published; those without a source are not shown.
    words : mapping
        Further definitions of the block.
    """

    name: str
    title: str
    sentence: str
    kind: type
    estimate: Callable[[Case], Mapping[str, Any]]
    shown: Literal["difference", "bounds", "test", "percent", "panel"]
    source: str = ""
    words: Mapping[str, str] = field(default_factory=dict)


SENSITIVITY: tuple[Sensitivity, ...] = (
    Sensitivity(
        "other_analysis_set",
        "Other analysis set",
        "The primary model in the other analysis set: comparable pairs alone where the primary takes all that were "
        "measured, and all where it takes the comparable alone.",
        blocks.OtherSet,
        lambda case: {"n": case.other_set.n, **ancova.difference_record(ancova.ancova(case.other_set))},
        "difference",
    ),
    Sensitivity(
        "hc3",
        "Robust standard error (HC3)",
        "The primary model with the heteroscedasticity-consistent HC3 standard error (MacKinnon and White 1985), "
        "same degrees of freedom.",
        blocks.Robust,
        lambda case: robust.hc3(case.arms),
        "difference",
    ),
    Sensitivity(
        "welch",
        "Welch-type test",
        "The primary model with the HC2 standard error and Satterthwaite's degrees of freedom from each arm's own "
        "residual variance (Bell and McCaffrey 2002): Welch's t test where there are no covariates.",
        blocks.Robust,
        lambda case: robust.welch(case.arms),
        "difference",
    ),
    Sensitivity(
        "unequal_arms",
        "Arms of unequal size and spread",
        "Residual SD of each arm in the primary model, F test of their equality, and how often the primary's t test "
        "would give p < 0.05 without an effect were these the true ones (normal approximation).",
        blocks.UnequalArms,
        lambda case: robust.unequal_arms(case.arms),
        "panel",
    ),
    Sensitivity(
        "permutation",
        "Permutation test",
        "Arms are exchanged at random within strata; the statistic is the arm coefficient of the primary model "
        "divided by its HC3 standard error, so that unequal variances matter little (Chung and Romano "
        "2013); the ordinary p, kept in arms.json, goes by the pooled one. p = (1 + as extreme) / (1 + permutations), "
        "two-sided.",
        blocks.Permutation,
        lambda case: resample.permutation_test(case.arms, case.choices.permutations, case.choices.seed),
        "test",
    ),
    Sensitivity(
        "bootstrap",
        "Bootstrap interval",
        "Patients are drawn with replacement within arm and stratum, the primary model is refitted, and the interval "
        "is that of the studentised result (bootstrap-t, HC2 standard errors).",
        blocks.Bootstrap,
        lambda case: bootstrap.bootstrap(case.arms, seed=case.choices.seed),
        "bounds",
    ),
    Sensitivity(
        "leave_one_out",
        "Leaving one patient out (range)",
        "The primary model without one patient at a time.",
        blocks.LeaveOneOut,
        lambda case: case.left_out[0],
        "bounds",
    ),
    Sensitivity(
        "log_ratio_percent",
        "Log-ratio percent",
        "100 x (exp(b) - 1), b the arm coefficient of ln Y_F ~ arm + ln Y_B (+ strata), t interval.",
        blocks.Percent,
        lambda case: ancova.log_ratio_percent(case.arms),
        "percent",
        "as in Tawakol 2013",
    ),
    Sensitivity(
        "mean_percent_change_difference",
        "Difference of mean percent changes",
        "Difference between the arms' means of each patient's percent change 100 (Y_F - Y_B) / Y_B, pooled-variance t "
        "interval; not adjusted for baseline.",
        blocks.PercentDifference,
        lambda case: ancova.mean_percent_change_difference(case.arms),
        "percent",
        "as in VIP-U",
    ),
    Sensitivity(
        "percent_change_ancova",
        "Percent change, adjusted for baseline",
        "Arm coefficient of the linear model of each patient's percent change on arm and Y_B (+ strata).",
        blocks.PercentDifference,
        lambda case: ancova.percent_change_ancova(case.arms),
        "percent",
    ),
    Sensitivity(
        "interaction",
        "Arm × baseline interaction",
        "Coefficient of arm x centred baseline added to the primary model: change of the arm difference for one unit "
        "of baseline TBRmax.",
        blocks.Interaction,
        lambda case: interaction.interaction(case.arms),
        "panel",
        words={
            "percentiles_definition": "Difference between arms, active minus control, at percentiles of the baseline "
            "of all analysed patients, from the interaction model.",
            "constant_percent_definition": "The interaction that a drug would make on this scale by lowering every "
            "patient's TBRmax by the same percentage: difference / control mean x control slope.",
            "log_scale_definition": "Coefficient of arm x centred ln baseline in ln Y_F ~ arm + ln Y_B + arm x ln Y_B: "
            "nil where the percentage is the same at every baseline.",
        },
    ),
    Sensitivity(
        "tertiles",
        "Thirds of baseline",
        "Difference between arms within each third of baseline, adjusted for baseline; to be read only beside the "
        "interaction p and the regression to the mean.",
        blocks.Tertiles,
        lambda case: interaction.tertiles(case.arms),
        "panel",
        words={
            "regression_to_the_mean_definition": "Change that the control arm's own regression of follow-up on "
            "baseline predicts at the third's mean baseline, without any drug; `selection_part` is what of it is due "
            "to being in that third."
        },
    ),
    Sensitivity(
        "covariates",
        "Adjusted for",
        secondary.COVARIATES_SENTENCE,
        Covariates,
        lambda case: secondary.covariate_blocks(case.cohort),
        "panel",
    ),
    Sensitivity(
        "multiple_imputation",
        "Multiple imputation of missing follow-up",
        "Missing follow-up of participants with a baseline is drawn under missing at random, by chained normal "
        "equations of Y_F on arm, Y_B (+ strata) and the auxiliaries named in the block, and of each auxiliary on all "
        "the rest; without auxiliaries on arm and Y_B (+ strata) alone. The primary model is fitted to each completed "
        "set; Rubin's rules with Barnard and Rubin's degrees of freedom (1999).",
        missing_blocks.MultipleImputation,
        lambda case: missing.multiple_imputation(case.imputer),
        "difference",
    ),
    Sensitivity(
        "jump_to_reference",
        "Missing active patients as controls (jump to reference)",
        "Missing follow-up of the active arm is drawn about the control arm's mean at follow-up, plus the slope times "
        "the patient's deviation from the active arm's mean at baseline; controls are imputed under missing at "
        "random; one slope and residual variance for both arms (Carpenter, Roger and Kenward 2013). Rubin's rules, "
        "by which what is assumed adds no information.",
        missing_blocks.MultipleImputation,
        lambda case: reference_based.jump_to_reference(case.imputer),
        "difference",
    ),
    Sensitivity(
        "copy_reference",
        "Missing active patients as controls (copy reference)",
        "As jump to reference, but the deviation is the one from the control arm's mean at baseline: the patient "
        "counts as a control at both visits.",
        missing_blocks.MultipleImputation,
        lambda case: reference_based.copy_reference(case.imputer),
        "difference",
    ),
    Sensitivity(
        "tipping_point",
        "Tipping point",
        "Delta (TBR units) is added to every imputed follow-up of the active arm; the tipping point is the smallest "
        "delta that takes the two-sided p to alpha or above. `control`: the same for the control arm, against the "
        "effect; `nearest`: deltas in both arms with the least distance from the imputed values, in residual SD. All "
        "from the multiple imputation under missing at random.",
        missing_blocks.TippingPoint,
        lambda case: tipping.tipping_point(case.imputer, case.choices.alpha),
        "panel",
    ),
    Sensitivity(
        "delta_grid",
        "Deltas in both arms",
        "The difference where a delta is added to every imputed follow-up of the active arm, and another to those of "
        "the control arm; in TBR and in SD of the primary model's residuals.",
        missing_blocks.DeltaGrid,
        lambda case: tipping.delta_grid(case.imputer),
        "panel",
    ),
)

if TYPE_CHECKING:
    SensitivityBlocks = dict[str, Any]
else:
    SensitivityBlocks = TypedDict("SensitivityBlocks", {s.name: s.kind for s in SENSITIVITY})


def sensitivity_blocks(case: Case, parts: Parts) -> SensitivityBlocks:
    """Return every declared analysis; one that fails is noted in `parts`."""
    return {
        s.name: parts.attempt(
            s.name.replace("_", " "),
            s.kind,
            lambda s=s: s.estimate(case),  # type: ignore[misc]
            definition=s.sentence,
            **s.words,
        )
        for s in SENSITIVITY
    }
