"""The CONSORT 2025 checklist, filled with what a run can say; the rest is the trialists' to give.

Items and numbers after Hopewell S and others, CONSORT 2025 statement, BMJ 2025;389:e081123; topics in our own words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from petflame.anatomy import title
from petflame.protocol import Protocol
from petflame.report.panels import STATION_TITLES
from petflame.report.read import Results
from petflame.report.words import between, number, p_clause
from petflame.trial.arms.sensitivity import SENSITIVITY
from petflame.trial.plan.model import endpoint_title

TOPICS: dict[str, str] = {
    "1a": "Named a randomised trial in the title",
    "1b": "Structured summary",
    "2": "Registration",
    "3": "Where protocol and analysis plan can be read",
    "4": "Sharing of data and code",
    "5a": "Funding",
    "5b": "Conflicts of interest",
    "6": "Background",
    "7": "Objectives",
    "8": "Involvement of patients and the public",
    "9": "Design of the trial",
    "10": "Changes after the trial began, with reasons",
    "11": "Setting",
    "12a": "Eligibility of participants",
    "12b": "Eligibility of sites and of those who treat",
    "13": "Intervention and comparator",
    "14": "Primary and secondary outcomes, defined beforehand",
    "15": "How harms were defined and assessed",
    "16a": "Sample size",
    "16b": "Interim analyses and stopping",
    "17a": "Who made the random sequence, and how",
    "17b": "Kind of randomisation and its restrictions",
    "18": "Concealment of the allocation",
    "19": "Access of those who enrol to the sequence",
    "20a": "Who was blinded",
    "20b": "How blinding was achieved",
    "21a": "Statistical methods for primary and secondary outcomes, harms",
    "21b": "Who is in each analysis, in which group",
    "21c": "Handling of missing data",
    "21d": "Additional analyses, planned apart from later ones",
    "22a": "Numbers randomised, treated and analysed, by group",
    "22b": "Losses and exclusions after randomisation, with reasons",
    "23a": "Dates of recruitment and follow-up",
    "23b": "Why the trial ended",
    "24a": "Intervention and comparator as given",
    "24b": "Other care during the trial",
    "25": "Baseline characteristics by group",
    "26": "Each outcome: numbers, result by group, effect with interval",
    "27": "Harms and events",
    "28": "Other analyses done, planned or not",
    "29": "Interpretation",
    "30": "Limitations",
}


BLIND_MEASUREMENT = (
    "Measurement, choice of the index vessel and pairing ran without the allocation; the analysis alone read it."
)
BLIND_FILES = "Visits carry random codes; results of a visit hold no identity, date, order or arm."


def checklist(
    results: Results, protocol: Protocol, deviations: Sequence[Mapping[str, str]], planned: Mapping[str, Any] | None
) -> list[dict[str, str]]:
    """Return a row an item: item, topic, and said, which is empty where a run can say nothing.

    Parameters
    ----------
    results : Results
    protocol : Protocol
    deviations : sequence of mapping
        As the first page lists them.
    planned : mapping or None
        The percentage that is called primary.
    """
    arms = results.arms
    measured = results.measured_here
    said: dict[str, Callable[[], str]] = {
        "3": lambda: _plan(arms["plan"]),
        "4": lambda: (
            "Datasets in Dataset-JSON with define.xml, tables with column dictionaries, the hashes of "
            f"provenance.json and the software (petflame {arms['provenance']['petflame']}) can be shared."
        ),
        "9": lambda: _arms(arms),
        "10": lambda: _changes(arms["plan"], deviations),
        "14": lambda: _outcomes(arms, protocol),
        "20a": lambda: BLIND_MEASUREMENT if measured else "",
        "20b": lambda: BLIND_FILES if measured else "",
        "21a": lambda: _methods(arms),
        "21b": lambda: _set(arms),
        "21c": lambda: _missing(arms),
        "21d": lambda: _additional(arms["plan"]),
        "22a": lambda: _flow(arms),
        "22b": lambda: _lost(arms),
        "25": lambda: "Table Baseline by arm." if arms["baseline"] and arms["baseline"]["rows"] else "",
        "26": lambda: _result(arms, planned),
        "27": lambda: _events(results.outcomes),
        "28": lambda: "" if results.blinded else "Panels called exploratory on this page.",
        "30": lambda: "Part of it under Methods, limits and provenance.",
    }
    empty: Callable[[], str] = lambda: ""  # noqa: E731
    return [{"item": item, "topic": topic, "said": said.get(item, empty)()} for item, topic in TOPICS.items()]


def _plan(plan: Mapping[str, Any]) -> str:
    return f"Sealed plan with the measurement protocol, SHA-256 {plan['seal']}." if plan["sealed"] else plan["sentence"]


def _arms(arms: Mapping[str, Any]) -> str:
    randomised = arms["analysis_set"]["randomised"]
    if randomised is None:
        return ""
    return f"Two parallel arms; {randomised['active']} randomised to active, {randomised['control']} to control."


def _changes(plan: Mapping[str, Any], found: Sequence[Mapping[str, str]]) -> str:
    said = [f"The plan was amended: {a['because']}." for a in plan["amendments"]]
    if found:
        listed = "; ".join(f"{d['item']}: {d['planned']} became {d['done']}" for d in found[:5])
        more = f" and {len(found) - 5} more" if len(found) > 5 else ""
        said.append(f"Deviations: {listed}{more}. The reasons are yours to give.")
    elif plan["sealed"]:
        said.append("No deviation from the sealed plan.")
    return " ".join(said)


def _outcomes(arms: Mapping[str, Any], protocol: Protocol) -> str:
    secondary = ", ".join(endpoint_title(n) for n in arms["plan"]["key_secondary"]) or "none"
    vessels = ", ".join(title(v).lower() for v in protocol.summary.index_candidates)
    return (
        f"Primary: mean TBRmax of the index vessel at the second scan (index vessel among {vessels}). Key secondary: "
        f"{secondary}." + ("" if arms["plan"]["sealed"] else " No sealed plan shows since when.")
    )


def _methods(arms: Mapping[str, Any]) -> str:
    primary = arms["primary"]
    return f"{primary['definition']} {primary['adjusted_percent_definition']}" if primary else ""


def _set(arms: Mapping[str, Any]) -> str:
    found = arms["analysis_set"]
    return (
        f"Analysis set {found['name'].replace('_', ' ')}: {found['definition']}. Strata in the model: "
        f"{', '.join(arms['strata']) or 'none'}. Participants stand in the arm they were allocated to."
    )


def _missing(arms: Mapping[str, Any]) -> str:
    if not arms["primary"]:
        return ""
    return (
        "Primary by complete cases; what imputation and shifts of the missing values would change stands under Does "
        "the result hold."
    )


def _additional(plan: Mapping[str, Any]) -> str:
    if plan["sensitivity"] is None:
        return "No sealed plan says which were planned."
    titles = {s.name: s.title for s in SENSITIVITY}
    planned = ", ".join(titles.get(n, n.replace("_", " ")) for n in plan["sensitivity"])
    return f"Planned: {planned}. Others are marked as not planned."


def _flow(arms: Mapping[str, Any]) -> str:
    steps = [s for s in arms["consort"]["stations"] if s["total"] is not None]
    words = [
        f"{STATION_TITLES.get(s['station'], s['station']).lower()} {s['total']}"
        + (f" ({s['active']} active, {s['control']} control)" if "active" in s else "")
        for s in steps
    ]
    return "; ".join(words).capitalize() + "."


def _lost(arms: Mapping[str, Any]) -> str:
    out = arms["analysis_set"]["left_out"]
    return f"{len(out)} not analysed; reasons in the flow of participants and in not_analysed.tsv." if out else "None."


def _result(arms: Mapping[str, Any], planned: Mapping[str, Any] | None) -> str:
    primary = arms["primary"]
    if not primary:
        return ""
    n = primary["n"]
    return (
        f"{n['active']} active and {n['control']} control; adjusted means {number(primary['active_mean'])} and "
        f"{number(primary['control_mean'])}, difference {number(primary['difference'], 3)} "
        f"({between(primary['ci_low'], primary['ci_high'], 3)}), {p_clause(primary['p'])}."
        + (
            f" {planned['title']}: {number(planned['value'], 1)} ({between(planned['low'], planned['high'], 1)}), "
            f"{p_clause(planned['p'])}."
            if planned
            else ""
        )
    )


def _events(outcomes: Mapping[str, Any] | None) -> str:
    if outcomes is None:
        return ""
    e = outcomes["events"]
    return (
        f"Follow-up events: {e['active']['events']} of {e['active']['n']} active, {e['control']['events']} of "
        f"{e['control']['n']} control. Other harms are yours to give."
    )
