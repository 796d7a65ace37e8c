"""Assembling the report: one offline HTML file, made from the results and nothing else."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from petflame import __version__
from petflame.anatomy import title
from petflame.errors import InputRefused
from petflame.files import sha256, write_text
from petflame.measure.blood_reading import other_level
from petflame.protocol import Protocol
from petflame.provenance import write_provenance, write_report_hashes
from petflame.repeatability import Repeatability
from petflame.report import absent, figures, panels, tables, words
from petflame.report.checklist import checklist
from petflame.report.doubts import index_sentences
from petflame.report.multiverse import multiverse, specifications
from petflame.report.participants import draw_all, panel, picture_orders, table_row
from petflame.report.raster import FADE_TBR, colour_stops
from petflame.report.read import Results, Row, read_results
from petflame.report.svg import span_of
from petflame.set_aside import NO_RESULT, tally
from petflame.trial.endpoints import BASELINE, FOLLOWUP
from petflame.trial.plan.changes import deviation
from petflame.trial.plan.deviations import planned_percentage, role_of

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).parent / "templates"
# The allocation is the analysis's input alone; its hash stands in arms.json.
STUDY_TABLES = ("participants", "visits", "outcomes")


def write_report(out: Path, study: Path | None, protocol: Protocol, protocol_file: Path | None, cores: int = 1) -> Path:
    """Write ``provenance.json`` and ``report.html`` of a finished study.

    Parameters
    ----------
    out : Path
        Folder of the results.
    study : Path or None
        Folder of the study's tables, to hash them.
    protocol : Protocol
    protocol_file : Path or None
        Where the protocol came from, to hash it.
    cores : int
        Processes that draw pictures.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    InputRefused
        When ``arms.json`` or ``patients.tsv`` is absent or unreadable, or was made by another protocol.
    """
    results = read_results(out, study)
    analysed_by = results.arms["provenance"].get("protocol_sha256", protocol.digest)
    if analysed_by != protocol.digest:
        name = results.arms["provenance"].get("protocol", "another protocol")
        which = f"{name} (SHA-256 {analysed_by[:8]}...), not by {protocol.name} ({protocol.digest[:8]}...)"
        what = f"the results were analysed by the protocol {which}"
        raise InputRefused.of(
            what, "arms.json", "give that protocol's file to --protocol, or analyse again by this one"
        )
    provenance = write_provenance(out, study_inputs(study, protocol_file), dict(protocol.stamp))
    page = render(results, protocol, provenance, sha256(results.out.provenance), cores)
    write_text(results.out.report, page)
    write_report_hashes(out)
    return results.out.report


def study_inputs(study: Path | None, protocol_file: Path | None) -> dict[str, Path]:
    """Return what a run is made from, by the names under which its hashes are kept."""
    inputs = {f"{name}.tsv": study / f"{name}.tsv" for name in STUDY_TABLES} if study is not None else {}
    return inputs | ({"protocol": protocol_file} if protocol_file is not None else {})


def render(results: Results, protocol: Protocol, provenance: Row, provenance_sha256: str, cores: int = 1) -> str:
    """Return the page's HTML; every value is escaped unless this package drew it."""
    style = (TEMPLATES / "style.css").read_text(encoding="utf-8")
    script = (TEMPLATES / "sort.js").read_text(encoding="utf-8")
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            style=Markup(style),  # noqa: S704
            script=Markup(script),  # noqa: S704
            policy=content_policy(style, script),
            **trial_context(results, protocol),
            **patient_context(results, protocol, cores),
            provenance=provenance,
            provenance_sha256=provenance_sha256,
            version=__version__,
        )
    )


def environment(templates: Path = TEMPLATES) -> Environment:
    """Return what renders a room's templates: values escaped, an unknown name an error, the page's filters."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader([templates, TEMPLATES]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "number": words.number,
        "percent": words.percent,
        "p_value": words.p_value,
        "p_clause": words.p_clause,
        "between": words.between,
        "nopath": words.discreet,
        "readable": words.readable,
        "vessel": title,
        "count": words.count,
        "capitalize_first": lambda text: text[:1].upper() + text[1:],
    }
    return made


def content_policy(style: str, script: str) -> str:
    """Return the content security policy: nothing loads; this style and this script alone may act."""

    def digest(text: str) -> str:
        return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"

    return (
        f"default-src 'none'; img-src data:; style-src {digest(style)}; script-src {digest(script)}; "
        "base-uri 'none'; form-action 'none'"
    )


def trial_context(results: Results, protocol: Protocol) -> dict[str, Any]:
    """Return what the page says of the trial as a whole."""
    arms, measured, outcomes = results.arms, results.measured, results.outcomes
    primary, stations = arms["primary"], arms["consort"]["stations"]
    chosen, alpha = arms["plan"]["primary_percentage"], arms["plan"]["alpha"]
    planned = planned_percentage(chosen, primary, arms["sensitivity"]) if primary else None
    # A percentage that could not be made leaves the difference to speak for itself.
    planned = planned if planned and planned["p"] is not None else None
    span = span_of([v for p in measured for v in (p.value(BASELINE), p.value(FOLLOWUP))])
    groups: list[str | None] = ["active", "control"] if not results.blinded else [None]
    described: dict[str | None, Any] = {**(arms["arms"] or {}), None: arms["pooled"]}
    drawn = [figures.paired([p for p in measured if p.arm == a], a, span, described.get(a) or {}) for a in groups]
    band = arms["patients"]["no_change_band_percent"]
    return {
        "arms": arms,
        "primary": primary,
        "blinded": results.blinded,
        "simulated": results.simulated,
        "plan": arms["plan"],
        "deviations": deviations(arms, outcomes),
        "events_of_others": events_of_others(arms, outcomes),
        "too_narrow": bool(arms["band_check"] and arms["band_check"]["too_narrow"]),
        "measured_here": results.measured_here,
        "exclusions_given": results.out.exclusions.exists(),
        "gloss": words.GLOSS,
        "planned": planned,
        "headline": words.effect_headline(planned, alpha) if planned else "",
        "verdict": words.verdict_sentence(planned, alpha) if planned else "",
        "agreement": words.agreement_sentence(arms, tables.TESTED, planned["value"]) if planned else "",
        "comparability": words.comparability_sentence(arms["analysis_set"]),
        "no_effect": arms["primary_reason"]
        or (arms["sensitivity"] and arms["sensitivity"].get(chosen, {}).get("reason")),
        "detail": words.effect_detail(primary) if primary else "",
        "noise": words.noise_sentence(planned["value"] if planned else None, arms["patients"], arms["band_check"]),
        "percentages": tables.percentages(arms),
        "waterfall": figures.waterfall(measured, band) if measured else "",
        "paired": drawn if measured else [],
        "scatter": figures.scatter(measured, arms) if measured else "",
        "interaction": words.interaction_sentence(arms["sensitivity"] and arms["sensitivity"]["interaction"]),
        "percentiles": tables.percentiles(arms),
        "thirds": tables.thirds(arms),
        "within": tables.within_patients(arms),
        "within_percentiles": tables.within_percentiles(arms),
        "vessel_table": tables.vessels(arms),
        "sensitivity": tables.sensitivity(arms),
        "tipping": absent.tipping_sentences(arms) if arms["sensitivity"] else [],
        "deltas": absent.delta_table(arms),
        "variations": tables.variations(arms),
        "multiverse": multiverse(specifications(arms, protocol)),
        "blood_sentence": other_level(protocol.background.reading),
        "modelled_blood": any("reading" in v.changes.get("background", {}) for v in protocol.sensitivity),
        "endpoints": tables.endpoints(arms),
        "vessel_role": _roles(arms, arms["vessels"] or {}),
        "endpoint_role": _roles(arms, arms["endpoints"] or {}),
        "composite": absent.composite_sentences(arms),
        "controls": tables.negative_controls(arms),
        "controls_found": tables.controls_found(arms),
        "baseline": tables.baseline(arms),
        "checklist": checklist(results, protocol, deviations(arms, outcomes), planned),
        "stations": stations,
        "flow": panels.flow(stations),
        "outcomes": outcomes,
        "outcomes_refused": results.outcomes_refused,
        "survival": figures.events(outcomes) if outcomes else "",
        "measured_count": len(measured),
        "index_doubts": index_sentences(results.participants),
        "failed_count": sum(p.value("comparability") == "fail" for p in measured),
        "protocol": protocol,
        "choices": protocol.as_dict(),
    }


def deviations(arms: Row, outcomes: Row | None) -> list[Row]:
    """Return what both analyses did otherwise than planned, and whether they went by one plan."""
    found = [*arms["plan"]["deviations"]]
    if outcomes is not None:
        found += outcomes["deviations"]
        if outcomes["plan_seal"] != arms["plan"]["seal"]:
            found.append(deviation("sealed plan that the events went by", arms["plan"]["seal"], outcomes["plan_seal"]))
    return found


def events_of_others(arms: Row, outcomes: Row | None) -> bool:
    """Tell whether the events were compared by another allocation than the effect."""
    if outcomes is None:
        return False
    used = [document["provenance"]["inputs"].get("allocation") for document in (arms, outcomes)]
    return None not in used and used[0]["sha256"] != used[1]["sha256"]


def _roles(arms: Row, blocks: Row) -> str:
    """Say of a panel whether it holds key secondary endpoints, exploratory ones, or both."""
    roles = {role_of(arms["plan"], name) for name, block in blocks.items() if isinstance(block, dict)}
    return " and ".join(r for r in ("key secondary", "exploratory") if r in roles) or "exploratory"


def patient_context(results: Results, protocol: Protocol, cores: int) -> dict[str, Any]:
    """Return what the page says of each participant, with pictures."""
    top_tbr = 2.0 * protocol.summary.active_threshold
    people = results.participants
    orders = [picture_orders(p, protocol, top_tbr) for p in people]
    noise = Repeatability.of_record(results.arms["patients"])
    check = results.arms["band_check"]
    narrow = bool(check and check["too_narrow"])
    with _mapper(cores) as run:
        drawn = list(run(draw_all, orders))
    shown = [
        panel(p, pictures, failure, order, protocol, top_tbr, noise)
        for p, order, (pictures, failure) in zip(people, orders, drawn, strict=True)
        if any(v.code for v in p.visits.values()) or p.vessels
    ]
    return {
        "rows": [_without_verdict(table_row(p)) if narrow else table_row(p) for p in people],
        "panels": [_without_verdict(p) if narrow else p for p in shown],
        "linked": {p["id"] for p in shown},
        "any_pictures": any(pictures for pictures, _ in drawn),
        "refused": [e for e in results.exclusions if e["kind"] == "refused"],
        "failed": [e for e in results.exclusions if e["kind"] == "failed"],
        "flagged": [e for e in results.exclusions if e["kind"] not in NO_RESULT],
        "tallies": {kind: str(tally(results.exclusions, kind)) for kind in ("refused", "failed", "flagged")},
        "grades": _grades(results),
        "colours": colour_stops(),
        "top_tbr": top_tbr,
        "fade_tbr": FADE_TBR[1],
    }


def _without_verdict(row: dict[str, Any]) -> dict[str, Any]:
    """Take the verdict on a single patient out, where the control arm shows the band to be too narrow for one."""
    said = ""
    if row.get("verdict"):
        said = f"A change of {row['percent']} ({row['band']}). The control arm shows this band to be too narrow for a "
        said += "verdict on one patient."
    return row | {"beyond": False} | ({"verdict": said} if "verdict" in row else {})


@contextmanager
def _mapper(cores: int) -> Iterator[Any]:
    if cores <= 1:
        yield map
        return
    with ProcessPoolExecutor(cores) as pool:
        yield pool.map


def _grades(results: Results) -> list[dict[str, Any]]:
    """Count the grades of every comparability item over the pairs, items with a doubt first."""
    counts: dict[str, dict[str, int]] = {}
    for p in results.participants:
        for item in p.items:
            row = counts.setdefault(str(item["item"]), dict.fromkeys(("pass", "warn", "fail", "unknown"), 0))
            row[str(item["grade"])] = row.get(str(item["grade"]), 0) + 1
    rows = [{"item": words.readable(name), **row} for name, row in counts.items()]
    return sorted(rows, key=lambda r: (-r["fail"], -r["warn"], -r["unknown"], r["item"]))
