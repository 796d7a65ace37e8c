"""Drafting the plan: the defaults of this package in the words of an analysis plan, for a trialist to change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from petflame.anatomy import title
from petflame.trial.plan.model import AnalysisPlan, Estimand, IntercurrentEvent, endpoint_title
from petflame.trial.tables import ARMS

if TYPE_CHECKING:
    from petflame.protocol import Protocol

EVENTS: tuple[IntercurrentEvent, ...] = (
    IntercurrentEvent(
        event="death before the second scan",
        strategy="hypothetical",
        handling="no value exists after a death: the estimand asks what would have been measured, which the trial has "
        "to justify; counted by arm in the flow and in the events, missing in the primary, and shifted in both arms by "
        "the delta grid",
    ),
    IntercurrentEvent(
        event="stopping or switching the study drug",
        strategy="treatment policy",
        handling="analysed as randomised, whatever was taken",
    ),
    IntercurrentEvent(
        event="rescue or new anti-inflammatory treatment (steroids, colchicine, biologics)",
        strategy="treatment policy",
        handling="analysed as randomised; the number by arm is reported",
    ),
    IntercurrentEvent(
        event="acute infection or vaccination shortly before a scan",
        strategy="treatment policy",
        handling="the scan is postponed where possible, else analysed; the number by arm is reported",
    ),
    IntercurrentEvent(
        event="a second scan that is refused or cannot be measured",
        strategy="hypothetical",
        handling="missing data rather than an event in the sense of E9(R1); primary by complete cases, with imputation "
        "under missing at random, reference-based imputation and a delta grid over both arms as sensitivity analyses",
    ),
    IntercurrentEvent(
        event="two scans that are graded as not comparable (scanner, reconstruction, uptake time)",
        strategy="treatment policy",
        handling="quality of the data rather than an event in the sense of E9(R1); kept in the analysis set "
        "all_measured; left out in the set comparable, as the plan names it",
    ),
)


def draft_plan(study_id: str, protocol: Protocol, strata: tuple[str, ...] = ()) -> AnalysisPlan:
    """Return the plan that this package would follow by itself.

    Parameters
    ----------
    study_id : str
    protocol : Protocol
        Gives the analysis set and the words for the variable.
    strata : tuple of str
        Columns of participants.tsv that the randomisation was stratified by.
    """
    from petflame.trial.arms.sensitivity import SENSITIVITY

    candidates = ", ".join(title(v).lower() for v in protocol.summary.index_candidates)
    estimand = Estimand(
        population="All randomised participants whose first scan could be measured, as the trial's protocol defines "
        "eligibility.",
        variable="Mean TBRmax of the index vessel at the second scan. The index vessel is the one of highest mean "
        f"TBRmax at baseline among {candidates}; it is fixed before the second scan is read.",
        treatment=f"Allocation to the {ARMS[0]} arm against allocation to the {ARMS[1]} arm, beside usual care.",
        intercurrent_events=EVENTS,
        summary="Difference between the arms' means of the variable, active minus control, adjusted for baseline; also "
        "as a percentage of the control arm's adjusted mean.",
    )
    return AnalysisPlan(
        study_id=study_id,
        estimand=estimand,
        analysis_set=protocol.analysis_set,
        strata=strata,
        sensitivity=tuple(s.name for s in SENSITIVITY if s.name not in ("covariates", "interaction", "tertiles")),
    )


def plan_words(plan: AnalysisPlan, protocol: Protocol) -> str:
    """Return the plan as a document to read (Markdown)."""
    from petflame.trial.arms.ancova import DEFINITIONS
    from petflame.trial.arms.sensitivity import SENSITIVITY

    e, primary = plan.estimand, plan.primary
    named = {s.name: s for s in SENSITIVITY}
    percent = {
        "adjusted_percent": DEFINITIONS["adjusted_percent"],
        **{name: named[name].sentence for name in ("log_ratio_percent", "mean_percent_change_difference")},
    }
    secondary = plan.key_secondary.in_order(protocol.summary.target_vessels)
    order = "in this order, each only while all before it were significant (hierarchical)"
    rule = "with Holm's correction" if plan.key_secondary.multiplicity == "holm" else order
    lines = [
        f"# Statistical analysis plan: {plan.study_id}",
        "",
        "Written by `petflame sap` from `sap.yaml`, which is the form that is sealed. Change that file and run "
        "`petflame sap` again.",
        "",
        "## Estimand (ICH E9(R1))",
        "",
        f"* **Population.** {e.population}",
        f"* **Variable.** {e.variable}",
        f"* **Treatment.** {e.treatment}",
        f"* **Summary.** {e.summary}",
        "",
        "| intercurrent event | strategy | handling |",
        "|---|---|---|",
        *(f"| {i.event} | {i.strategy} | {i.handling} |" for i in e.intercurrent_events),
        "",
        "## Primary analysis",
        "",
        f"{DEFINITIONS['difference']} Two-sided alpha {primary.alpha:g}.",
        "",
        f"* **Percentage.** `{primary.percentage}`: {percent[primary.percentage]}",
        f"* **Strata.** {', '.join(plan.strata) or 'none'}",
        f"* **Analysis set.** `{plan.analysis_set}`",
        f"* **Sample size.** {plan.sample_size or 'not said'}",
        "* **Missing data.** Complete cases; how far that matters is shown by the sensitivity analyses.",
        "",
        "## Key secondary analyses",
        "",
        f"Tested only when the primary has p < {primary.alpha:g}, {rule}:" if secondary else "None.",
        "",
        *(f"{n}. {endpoint_title(name)} (`{name}`)" for n, name in enumerate(secondary, 1)),
        "",
        "Every other comparison is exploratory and will be called so.",
        "",
        "## Sensitivity analyses of the primary",
        "",
        *(f"* **{named[name].title}.** {named[name].sentence}" for name in plan.sensitivity if name in named),
        *(f"* **Adjusted for {name.replace('_', ' ')}.**" for name in plan.covariates),
        "",
        "## One patient",
        "",
        f"* **Responder.** `{plan.responder}`; other definitions are exploratory.",
        f"* **Band of one patient's change.** Within-subject variation `{plan.repeatability}`.",
        "",
        "## Follow-up events",
        "",
        f"Exploratory. Horizon {plan.events.horizon_years:g} years; landmark for change and events "
        f"{plan.events.landmark_years:g} years.",
        "",
        "## Measurement and computing",
        "",
        f"Protocol `{protocol.name}`, SHA-256 `{protocol.digest}`. Seed {plan.resampling.seed}, "
        f"{plan.resampling.permutations} permutations.",
        "",
    ]
    return "\n".join(lines)
