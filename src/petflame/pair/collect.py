"""Gathering every visit and pair of a study into the trial's tables; nobody disappears."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from petflame.anatomy import ARTERIES
from petflame.dicom.product import read_pet_sidecar
from petflame.errors import InputRefused
from petflame.files import read_json, read_tsv, write_tsv
from petflame.folders import StudyOut, VisitFolder
from petflame.identity.finding import FLAGGED, REFUSED, Finding
from petflame.identity.run import study_findings, without_codes
from petflame.measure.product import read_details, read_vessels
from petflame.outcome import Outcome, read_outcome
from petflame.pair.columns import CHANGE_COLUMNS, PATIENT_COLUMNS
from petflame.pair.key_table import write_key_table
from petflame.pair.rows import candidate_cells
from petflame.pair.sealing import read_index, seal_baseline
from petflame.pair.variations import COLUMNS as VARIATION_COLUMNS
from petflame.protocol import Protocol
from petflame.set_aside import ABSENT, NO_RESULT, POOL_IN_DOUBT, tally
from petflame.study import VISITS, Study
from petflame.typed import Misshapen, mapping, sequence

if TYPE_CHECKING:
    import pandas as pd

EXCLUSION_COLUMNS: dict[str, tuple[str, str]] = {
    "participant_id": ("participant", ""),
    "visit": ("baseline, followup or pair", ""),
    "step": ("step that refused or doubted", ""),
    "kind": (
        "refused: no result; flagged: kept, with this doubt; failed: no result by a fault of petflame, made again at "
        "the next run",
        "",
    ),
    "what": ("what is wrong", ""),
    "where": ("file, tag or table row that holds it", ""),
    "remedy": ("what can be done about it", ""),
}
STEPS = ("convert", "identify", "segment", "measure")
WAITS = {
    "what": "no finished read of it counts yet: its vessels are as they were found",
    "where": "review/",
    "remedy": "read it in the workbench, and run the workflow again",
}
# Flags of identity count among what makes two scans comparable.
# Outcomes of a pair whose own tables stand.
PAIRED = ("measured", "not_measurable")
GRADES = ("unknown", "pass", "warn", "fail")


BEHIND = {
    "what": "a reader finished it while the run was under way: its labels are those from before",
    "where": "labels.json",
    "remedy": "run the same line again",
}


def collect(
    study: Study, out: Path, protocol: Protocol, waiting: Collection[str] = (), behind: Collection[str] = ()
) -> dict[str, Any]:
    """Write ``patients.tsv``, ``vessels.tsv``, ``variations.tsv``, ``exclusions.tsv`` and the key table of a study.

    A participant who has a measured baseline and no follow-up visit keeps index vessel and baseline value, so that
    the missing follow-up can be imputed; the choice is sealed in ``index.json`` of the pair as for everybody else.

    Parameters
    ----------
    study : Study
    out : Path
        Folder with ``visits/`` and ``pairs/``.
    protocol : Protocol
        The one that the visits were measured under.
    waiting : collection of str
        Codes of the visits that wait for a finished read.
    behind : collection of str
        Codes of the visits whose read was finished after their labels were made.

    Returns
    -------
    dict
        Numbers of participants and of those measured, and a `petflame.set_aside.Tally` of each kind of exclusion.
    """
    import pandas as pd

    results = StudyOut(out)
    # Compared here anew: a verdict that an earlier run left must not speak for scans that came later.
    identity = study_findings(study, out)
    patients: list[dict[str, Any]] = []
    vessels: list[pd.DataFrame] = []
    exclusions: list[dict[str, Any]] = []
    variations: list[pd.DataFrame] = []
    for code, visits in study.pairs.items():
        participant = study.participant_of(code)
        refused, failed = [], False
        for name, visit in zip(VISITS, visits, strict=True):
            if visit is None:
                fault = {"what": f"there is no {name} visit", "where": "visits.tsv", "remedy": "add its row"}
                refused.append(fault["what"])
                exclusions.append(_exclusion(participant, name, ABSENT, "refused", fault))
                continue
            try:
                found = _visit_faults(results, study.code(participant, name), identity, study)
            except InputRefused as refusal:
                # A product that was damaged sets its visit aside, not the trial.
                found = [("measure", "refused", fault.as_dict()) for fault in refusal.faults]
            exclusions += [_exclusion(participant, name, step, kind, fault) for step, kind, fault in found]
            for codes, what in ((waiting, WAITS), (behind, BEHIND)):
                if study.code(participant, name) in codes:
                    exclusions.append(_exclusion(participant, name, "segment", "flagged", dict(what)))
            refused += [f"{name}: {fault['what']}" for _, kind, fault in found if kind in NO_RESULT]
            failed |= any(kind == "failed" for _, kind, _ in found)
        row, change, pair_faults = _pair_results(results, code, study, refused, failed, protocol)
        for visit_name, finding in _identity_flags(participant, identity, study):
            fault = _shown(finding, study)
            exclusions.append(_exclusion(participant, visit_name, "identify", "flagged", fault))
            row = _with_doubt(row, finding, fault["what"])
        patients.append(row)
        vessels += [] if change is None else [change]
        if change is not None and row["status"] in PAIRED:
            variations.append(read_tsv(results.pair(code).variations, text=("participant_id", "variation", "reason")))
        exclusions += [_exclusion(participant, "pair", "pair", kind, fault) for kind, fault in pair_faults]
    table = pd.DataFrame(patients, columns=list(PATIENT_COLUMNS)).sort_values("participant_id")
    write_tsv(results.patients, table, PATIENT_COLUMNS)
    every = pd.concat(vessels) if vessels else pd.DataFrame(columns=list(CHANGE_COLUMNS))
    write_tsv(results.vessels, every, CHANGE_COLUMNS)
    varied = pd.concat(variations) if variations else pd.DataFrame(columns=list(VARIATION_COLUMNS))
    write_tsv(results.variations, varied, VARIATION_COLUMNS)
    write_tsv(results.exclusions, pd.DataFrame(exclusions, columns=list(EXCLUSION_COLUMNS)), EXCLUSION_COLUMNS)
    write_key_table(study, results)
    return {
        "participants": len(table),
        "measured": int((table["status"] == "measured").sum()),
        **{kind: tally(exclusions, kind) for kind in ("refused", "flagged", "failed")},
    }


def _exclusion(participant: str, visit: str, step: str, kind: str, fault: dict[str, str]) -> dict[str, Any]:
    return {"participant_id": participant, "visit": visit, "step": step, "kind": kind, **fault}


def _shown(finding: Finding, study: Study) -> dict[str, str]:
    """Return the fault of a finding with participants in place of codes."""
    own = study.by_code[finding.codes[0]].participant_id
    return {key: without_codes(text, study, own) for key, text in finding.fault.as_dict().items()}


def _identity_flags(participant: str, identity: list[Finding], study: Study) -> list[tuple[str, Finding]]:
    """Return the doubts about who a participant's visits are, each with the visit or 'pair'."""
    flags = []
    for finding in identity:
        visits = [study.by_code[code] for code in finding.codes]
        if finding.outcome == FLAGGED and visits[0].participant_id == participant:
            flags.append((visits[0].visit if len(visits) == 1 else "pair", finding))
    return flags


def _with_doubt(row: dict[str, Any], finding: Finding, what: str) -> dict[str, Any]:
    """Let a doubt about identity count in the comparability of a measured pair."""
    grade = row.get("comparability")
    if grade not in GRADES:
        return row
    reasons = row.get("comparability_reasons")
    told = [reasons] if isinstance(reasons, str) and reasons else []
    return {
        **row,
        "comparability": max(grade, finding.grade, key=GRADES.index),
        "comparability_reasons": "; ".join([*told, f"{finding.signal}: {what} ({finding.grade})"]),
    }


def _visit_faults(
    results: StudyOut, code: str, identity: list[Finding], study: Study
) -> list[tuple[str, str, dict[str, str]]]:
    folder = results.visit(code)
    found: list[tuple[str, str, dict[str, str]]] = []
    for step in STEPS:
        if step == "identify":
            mistaken = [_shown(f, study) for f in identity if f.outcome == REFUSED and code in f.codes]
            if mistaken:
                return [*found, *((step, "refused", fault) for fault in mistaken)]
            continue
        outcome = read_outcome(folder.step(step))
        if outcome is None:
            fault = {"what": "the step has not run", "where": code, "remedy": "run the workflow to its end"}
            return [*found, (step, "refused", fault)]
        if not outcome.is_ok:
            return [*found, *((step, outcome.kind, reason.as_dict()) for reason in outcome.reasons)]
    try:
        exclusions = sequence(read_details(folder).get("reader_exclusions"), "reader_exclusions")
        rows = [mapping(e, "reader_exclusions") for e in exclusions]
        left_out = [(str(row.get("vessel")), str(row.get("source"))) for row in rows]
        doubts = sequence(read_json(folder.labels_json).get("doubts"), "doubts")
    except Misshapen as error:
        raise InputRefused.of(str(error), code, "run the workflow again") from None
    for vessel, place in dict.fromkeys(left_out):
        fault = {
            "what": f"a reader left sections of {vessel} out",
            "where": place,
            "remedy": "see slices.tsv for the sections",
        }
        found.append(("measure", "flagged", fault))
    found += [("convert", "flagged", reason.as_dict()) for reason in read_pet_sidecar(folder).suv_refused]
    for told in map(str, doubts):
        fault = {"what": told, "where": "labels.json", "remedy": "look at the regions and where they come from"}
        found.append(("segment", "flagged", fault))
    for row in read_vessels(folder).to_dict("records"):
        if row["withheld"]:
            fault = {
                "what": f"{row['vessel']} is withheld: {row['reason']}",
                "where": "labels.json",
                "remedy": "let a reader draw or confirm it",
            }
            found.append(("segment", "flagged", fault))
        doubt = row.get("background_doubt")
        if isinstance(doubt, str) and doubt:
            fault = {
                "what": f"{row['vessel']} {POOL_IN_DOUBT}: {doubt}",
                "where": "labels.json",
                "remedy": "look at the vein and what lies beside it; redraw or reject it where it misses",
            }
            found.append(("measure", "flagged", fault))
    return found


def _pair_results(
    results: StudyOut, code: str, study: Study, refused: list[str], failed: bool, protocol: Protocol
) -> tuple[dict[str, Any], Any, list[tuple[str, dict[str, str]]]]:
    folder, participant, visits = results.pair(code), study.participant_of(code), study.pairs[code]
    bare = {"participant_id": participant, "code": code}
    alone = None
    outcome = read_outcome(folder.status)
    if refused or outcome is None or not outcome.is_ok:
        # A pair that an earlier run measured is no result of visits that are no longer in the table, or are refused.
        told = outcome if None not in visits and outcome is not None else Outcome("")
        # A refusal that a visit already gave is listed once, with the visit.
        own = [] if refused else [(told.kind, reason.as_dict()) for reason in told.reasons]
        status = (
            "missing_visit"
            if None in visits
            else "failed"
            if failed or any(k == "failed" for k, _ in own)
            else "refused"
        )
        words = refused or [reason.what for reason in told.reasons] or ["the pair has not been measured"]
        if visits[0] is not None and not any(word.startswith(f"{VISITS[0]}:") for word in refused):
            kept, doubt = _baseline_alone(results, code, study.code(participant, VISITS[0]), visits, protocol)
            bare |= kept
            words += doubt
            if kept:
                alone = _baseline_vessels(results.visit(study.code(participant, VISITS[0])), bare)
        return {**bare, "status": status, "reason": "; ".join(words)}, alone, own
    patient = read_tsv(folder.patient, text=("participant_id", "code", "index_seal", "scanner"))
    row = {str(k): v for k, v in patient.to_dict("records")[0].items()}
    baseline = results.visit(study.code(participant, VISITS[0]))
    index = read_index(folder, baseline)
    if row["index_seal"] != index["seal"]:
        remedy = f"run the workflow again, which makes `petflame pair` of {code} anew"
        raise InputRefused.of("it was sealed after the pair was measured", f"{code}/index.json", remedy)
    faults = [("flagged", fault) for fault in index_doubt(index["candidates"])]
    if row["comparability"] == "fail":
        fault = {
            "what": f"the scans are not comparable: {row['comparability_reasons']}",
            "where": "pair.json",
            "remedy": _if_not_comparable(protocol),
        }
        faults.append(("flagged", fault))
    if row["status"] != "measured":
        what = {"what": str(row["reason"]), "where": "pair.json", "remedy": "see the visits' own reasons"}
        faults.append(("flagged", what))
    return row, read_tsv(folder.vessels, text=("participant_id",)), faults


def _if_not_comparable(protocol: Protocol) -> str:
    """Say what becomes of a pair that is not comparable, and how that is changed."""
    counts = "it counts in the primary analysis all the same; to leave such pairs out write `analysis_set: comparable`"
    if protocol.analysis_set == "comparable":
        counts = "it is left out of the primary analysis; to count such pairs write `analysis_set: all_measured`"
    when = "in the protocol's file while the arms are unknown (later it departs from the plan)"
    return f"{counts} {when}; the participant stays in every table"


def index_doubt(candidates: Mapping[str, Any]) -> list[dict[str, str]]:
    """Say that the index vessel was chosen among fewer vessels than the protocol names, and why.

    Parameters
    ----------
    candidates : mapping
        As sealed in ``index.json``: 'considered', names; 'left_out', name to why.
    """
    considered, left_out = candidates["considered"], candidates["left_out"]
    if not left_out:
        return []
    share = f"{len(considered)} of {len(considered) + len(left_out)}"
    what = f"the index vessel was chosen among {share}: {'; '.join(f'{n} {why}' for n, why in left_out.items())}"
    remedy = "let a reader draw or confirm the others at baseline; the participant counts with this vessel until then"
    return [{"what": what, "where": "index.json", "remedy": remedy}]


def _baseline_alone(
    results: StudyOut, pair: str, baseline: str, visits: tuple[Any, Any], protocol: Protocol
) -> tuple[dict[str, Any], list[str]]:
    """Return index vessel, its baseline value and the seal of a participant without a change, or why there is none."""
    folder = results.pair(pair)
    if visits[1] is None:
        try:
            seal_baseline(results.visit(baseline).root, folder.root, protocol)
        except InputRefused as refusal:
            folder.index.unlink(missing_ok=True)
            return {}, [fault.what for fault in refusal.faults]
    if not folder.index.exists():
        return {}, []
    seal = read_index(folder, results.visit(baseline))
    kept = {k: seal[k] for k in ("index_vessel", "tbr_max_baseline")} | candidate_cells(**seal["candidates"])
    return kept | {"index_seal": seal["seal"]}, []


def _baseline_vessels(baseline: VisitFolder, patient: dict[str, Any]) -> pd.DataFrame:
    """Return the vessels of a baseline without a second scan: what they tell of a missing follow-up counts."""
    import pandas as pd

    rows = [
        {
            "participant_id": patient["participant_id"],
            "vessel": row["vessel"],
            "index": row["vessel"] == patient["index_vessel"],
            "tbr_max_baseline": row["mean_tbr_max"],
            "withheld": bool(row["withheld"]),
            "read_prefilled": bool(row["read_prefilled"]),
            "reason": row["reason"] if isinstance(row["reason"], str) and row["reason"] else "no follow-up measurement",
        }
        for row in read_vessels(baseline).to_dict("records")
        if row["vessel"] in ARTERIES
    ]
    return pd.DataFrame(rows, columns=list(CHANGE_COLUMNS))
