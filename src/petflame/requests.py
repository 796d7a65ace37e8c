"""What each verb of a study is asked for: one place for the verb that does it and for the planning that compares."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from petflame.fingerprint import Request, Source
from petflame.folders import StudyOut, VisitFolder
from petflame.protocol import Protocol
from petflame.study import Study
from petflame.trial.plan.model import Events

if TYPE_CHECKING:
    # The statistics take most of a second to import, and most verbs need none.
    from petflame.trial.choices import TrialTables

# Of the events, where neither the verb nor a sealed plan says otherwise: IVORY's second scan was about 9 weeks (0.17
# years) after randomisation.
HORIZON_YEARS, LANDMARK_YEARS = Events().horizon_years, Events().landmark_years
# Ways to segment in which nothing is found by rule.
READERS_OWN = ("labels", "seeds")
STUDY_TABLES = ("participants", "visits", "outcomes")


def convert_request(
    dicom_dir: Path, overrides: Path | None, protocol: Protocol, require_suv: bool, tracer: str | None = None
) -> Request:
    """Return what converting a visit depends on."""
    from petflame.dicom.scan import files_below

    entries = list(files_below(dicom_dir.resolve())) if dicom_dir.is_dir() else []
    opened = tuple(path for path, _, objection in entries if not objection)
    left = tuple(f"{objection}: {name}" for _, name, objection in entries if objection)
    sources = {"dicom": Source(dicom_dir.resolve(), opened, left)}
    if overrides is not None:
        sources["overrides"] = Source.of(overrides)
    # Another choice of a later step must not convert, and thereby segment, anew.
    options = {"conversion": protocol.section_digest("conversion"), "require_suv": require_suv, "tracer": tracer}
    return Request("convert", options, sources)


def segment_request(root: Path, method: str, source: Path | None, edits: Path | None, protocol: Protocol) -> Request:
    """Return what segmenting a visit folder depends on."""
    from petflame.segment.imports import files_of_import
    from petflame.segment.imports.sidecar import neighbours
    from petflame.segment.reads import is_read

    given = {"regions or seeds": source, "edits": edits}
    sources = {
        role: Source(
            path if path.is_dir() else path.parent,
            tuple(files_of_import(path)),
            () if path.is_dir() or is_read(path) else tuple(p.name for p in neighbours(path)),
        )
        for role, path in given.items()
        if path is not None
    }
    options = {"method": method}
    if method not in READERS_OWN:
        options["segmentation"] = protocol.section_digest("segmentation")
    if method == "auto":
        from petflame.segment.totalsegmentator import find_installation

        # What `auto` finds installed decides how vessels are found.
        options["totalsegmentator"] = "ready" if find_installation().ready else "absent"
    return Request("segment", options, sources, {"convert": (VisitFolder(root).step("convert"),)})


def measure_request(root: Path, protocol: Protocol, exclusions: Path | None = None) -> Request:
    """Return what measuring a visit folder depends on."""
    visit = VisitFolder(root)
    sources = {"left_out": left_out_source(visit) if exclusions is None else Source.of(exclusions)}
    earlier = {verb: (visit.step(verb),) for verb in ("convert", "identify", "segment")}
    return Request("measure", {"protocol": protocol.digest}, sources, earlier)


def left_out_source(visit: VisitFolder) -> Source:
    """Return where a reader's table may lie; its absence counts too, since it may appear later."""
    return Source(visit.root, visit.left_out)


def pair_request(
    baseline: Path,
    followup: Path,
    participant_id: str,
    protocol: Protocol,
    glucose_mmol_l: tuple[float | None, float | None],
    reliability: Path | None = None,
) -> Request:
    """Return what pairing two visit folders depends on."""
    options = {"protocol": protocol.digest, "participant_id": participant_id, "glucose_mmol_l": glucose_mmol_l}
    # In the order of their codes, which tells nothing.
    folders = sorted((baseline, followup), key=lambda folder: folder.name)
    earlier = {f"visit {n}": _records(folder) for n, folder in enumerate(folders, start=1)}
    sources = {} if reliability is None else {"reliability": Source.of(reliability)}
    return Request("pair", options, sources, earlier)


def _records(folder: Path) -> tuple[Path, ...]:
    return tuple(VisitFolder(folder).step(verb) for verb in ("convert", "identify", "segment", "measure"))


def identify_request(study: Study, out: StudyOut) -> Request:
    """Return what comparing who was scanned depends on."""
    records = tuple(out.identity_record(code) for code in sorted(study.by_code))
    sources = {"records": Source(out.identity.parent, records)}
    earlier = {"visits": tuple(out.visit(code).step("convert") for code in sorted(study.by_code))}
    return Request("identify", {"visits": _whose(study)}, sources, earlier)


def collect_request(study: Study, out: StudyOut, protocol: Protocol, waiting: Sequence[str] | None = None) -> Request:
    """Return what gathering a study depends on; where finished reads are taken, also which visits wait for one."""
    pairs = [code for code, visits in sorted(study.pairs.items()) if None not in visits]
    earlier = {
        "visits": tuple(record for code in sorted(study.by_code) for record in _records(out.visit(code).root)),
        "pairs": tuple(out.pair(code).step("pair") for code in pairs),
    }
    options = {"protocol": protocol.digest, "visits": _whose(study)}
    if waiting is not None:
        options["waiting_for_a_reader"] = hashlib.sha256(json.dumps(sorted(waiting)).encode()).hexdigest()
    return Request("collect", options, {"identity": Source.of(out.identity)}, earlier)


def _whose(study: Study) -> str:
    """Hash who has which code: in the clear it stands in the key table alone."""
    subjects = {code: [v.participant_id, v.visit] for code, v in sorted(study.by_code.items())}
    return hashlib.sha256(json.dumps(subjects).encode()).hexdigest()


def analyse_request(
    tables: TrialTables,
    protocol: Protocol,
    strata: Sequence[str],
    study_id: str,
    analysis_set: str | None = None,
) -> Request:
    """Return what the analysis of the arms depends on.

    What is not given follows from the sealed plan, whose content counts.
    """
    roles = ("allocation", "participants", "reliability", "plan")
    sources = {role: Source.of(path) for role, path in tables.given.items() if role in roles}
    sources |= {f"table {n}": Source.of(path) for n, path in enumerate(tables.collected) if path is not None}
    reading = tables.patients.parent / "review"
    if (reading / "lock.json").exists():
        # What is edited after the lock is told, even where it changes no table.
        sources["reading"] = Source(reading, (reading / "lock.json", *sorted(reading.glob("*/*.jsonl"))))
    options = {
        "protocol": protocol.digest,
        "strata": list(strata),
        "study_id": study_id,
        "analysis_set": analysis_set or protocol.analysis_set,
    }
    return Request("analyse", options, sources)


def outcomes_request(
    table: Path,
    allocation: Path,
    patients: Path | None,
    horizon_years: float | None = None,
    landmark_years: float | None = None,
    plan: Path | None = None,
) -> Request:
    """Return what the analysis of follow-up events depends on; times that are not given follow from the plan."""
    given = {"outcomes": table, "allocation": allocation, "patients": patients, "plan": plan}
    sources = {role: Source.of(path) for role, path in given.items() if path is not None}
    return Request("outcomes", {"horizon_years": horizon_years, "landmark_years": landmark_years}, sources)


def report_request(out: StudyOut, study: Path | None, protocol: Protocol, protocol_file: Path | None) -> Request:
    """Return what the report depends on: every earlier step of the results, and the study's tables."""
    sources = {f"{n}.tsv": Source.of(study / f"{n}.tsv") for n in STUDY_TABLES} if study is not None else {}
    if protocol_file is not None:
        sources["protocol"] = Source.of(protocol_file)
    return Request("report", {"protocol": protocol.digest}, sources, steps_before_report(out))


def steps_before_report(out: StudyOut) -> dict[str, tuple[Path, ...]]:
    """Return the records of every step that the report may show."""
    return {
        "visits and pairs": tuple(sorted(out.root.glob("visits/*/steps/*.json")))
        + tuple(sorted(out.root.glob("pairs/*/steps/*.json"))),
        "trial": tuple(out.step(verb) for verb in ("collect", "analyse", "outcomes")),
    }
