"""Verifying a finished run: every file of it, the chain of its steps, and the study that it was made from."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from petflame.chain import Link, chain_faults, links
from petflame.errors import Fault, InputRefused
from petflame.files import read_json
from petflame.fingerprint import Request, Source, hash_file
from petflame.folders import StudyOut
from petflame.private_record import private_faults, read_private_record
from petflame.protocol import Protocol
from petflame.provenance import read_since, snapshot_faults
from petflame.requests import convert_request, report_request, segment_request
from petflame.review.audit import reading_faults
from petflame.review.counting import reads_that_count
from petflame.study import Study, load_study

AGAIN = "run the workflow again"
ROLES = {"dicom": "the DICOM folder"}


@dataclass(frozen=True)
class Verified:
    """What agreed.

    Attributes
    ----------
    files, steps : int
        Files that were hashed, and steps whose chain was walked.
    not_covered : tuple of str
        What was not compared, and why.
    """

    files: int
    steps: int
    not_covered: tuple[str, ...]


def verify_run(
    out: Path, study: Path | None = None, protocol: Path | None = None, reliability: Path | None = None
) -> Verified:
    """Hash a finished run again, and compare it with its records and with what it was made from.

    Parameters
    ----------
    out : Path
        Folder of the results.
    study : Path, optional
        Folder of the study: its tables, DICOM, readers' files and blinding key are compared too.
    protocol, reliability : Path, optional
        Files that the run was given.

    Raises
    ------
    InputRefused
        With every file that changed, vanished or came later, and every step that was made from others than lie there.
    """
    faults = chain_faults(out)
    snapshot, count = snapshot_faults(out)
    faults += snapshot
    private, kept = private_faults(out)
    faults += private
    own = list(links(out))
    not_covered = list(_left_out(out))
    if study is None and (out / "simulated_study").is_dir():
        study = out / "simulated_study"
    # What a reader's log says of a file is told rather than that the file changed.
    found, left = reading_faults(out, None if study is None else _edited_by_the_table(study, out))
    faults = [*found, *faults]
    not_covered += left
    later = read_since(out)
    if later:
        not_covered.append(f"what readers did after the run ({len(later)} files under review/ came or have grown)")
    if study is None:
        not_covered.append("what the run was made from (name it with --study)")
    else:
        found, hashed, left = _study_faults(out, study, own)
        faults += found
        count += hashed
        not_covered += left
    for role, maker, path in (("protocol", "report", protocol), ("reliability", "analyse", reliability)):
        found, left = _given_faults(path, role, [link for link in own if link.verb == maker])
        faults += found
        count += path is not None
        not_covered += left
    if faults:
        told: dict[str, Fault] = {}
        for fault in faults:
            told.setdefault(fault.where, fault)
        raise InputRefused(told.values())
    return Verified(count + kept, len(own), tuple(not_covered))


def _edited_by_the_table(root: Path, out: Path) -> set[str] | None:
    """Codes of the visits whose edits the table names; None where it cannot be read, which is told elsewhere."""
    try:
        study = load_study(root, out, keep_key=False)
    except InputRefused:
        return None
    return {code for code, visit in study.by_code.items() if visit.edits is not None}


def _left_out(out: Path) -> Iterator[str]:
    logs = sum(path.is_file() for path in (out / "logs").rglob("*"))
    if logs:
        yield f"logs/ ({logs} files)"


def _part(link: Link, name: str) -> dict[str, Any]:
    """Return a part of a step's record; empty where the record is damaged, which is told elsewhere."""
    try:
        part = read_json(link.record).get(name)
    except InputRefused:
        return {}
    return part if isinstance(part, dict) else {}


def _sources(link: Link) -> dict[str, Any]:
    return _part(link, "sources")


def _compare(link: Link, request: Request, places: Mapping[str, str], who: str = "") -> list[Fault]:
    """Compare what a step says that it read from outside with what lies there now."""
    then, now = _sources(link), request.made_from(hash_file)["sources"]
    faults = []
    for role in sorted(set(then) & set(places) | set(now)):
        if then.get(role) != now.get(role):
            happened = "changed" if role in then and role in now else "came" if role in now else "went"
            where = ", ".join(filter(None, (who, places.get(role, role))))
            remedy = f"put it back, or {link.remedy} from it as it is now"
            faults.append(Fault(f"it {happened} after the run", where, remedy))
    return faults


def _study_faults(out: Path, root: Path, own: list[Link]) -> tuple[list[Fault], int, list[str]]:
    """Compare what the run was made from, the files of the study that no step read, and the study's own key."""
    try:
        study = load_study(root, out, keep_key=False)
    except InputRefused as refusal:
        return [*refusal.faults], 0, []
    faults: list[Fault] = []
    read: set[Path] = set()
    for link, request, places, who in [*_of_visits(study, out, own), *_of_tables(root, out, own)]:
        faults += _compare(link, request, places, who)
        read |= {path for source in request.sources.values() for path in source.files}
    faults += [
        Fault("the run has no results of it", study.by_code[code].row, f"{AGAIN}, with this study")
        for code in sorted(set(study.by_code) - {link.folder.name for link in own})
    ]
    kept = read_private_record(out)
    if kept is None:
        return faults, len(read), ["files of the study that no step read: the run kept no list of them"]
    paths = {root / name: digest for name, digest in kept["study"].items()}
    for path in sorted(set(paths) - {root / _relative(p, root) for p in read}):
        now = hash_file(path)
        if now != paths[path]:
            what = f"it {'changed' if now else 'went'} after the run"
            remedy = f"put it back; as no step reads it, `petflame report {out} --study {root}` accepts it as it is"
            if path.name == "blinding.key":
                remedy = "put it back: the codes of the results were made with it"
            faults.append(Fault(what, str(path), remedy))
    left = [f"{kept['left']} other files in the study's folder that no step reads"] if kept["left"] else []
    return faults, len(read | set(paths)), left


def _relative(path: Path, root: Path) -> str:
    return os.path.relpath(path, root)


def _of_visits(study: Study, out: Path, own: list[Link]) -> Iterator[tuple[Link, Request, Mapping[str, str], str]]:
    """Yield what every visit's steps would read now, with the methods that they were run with."""
    for link in own:
        visit = study.by_code.get(link.folder.name)
        if visit is None:
            continue
        if link.verb == "convert":
            yield link, convert_request(visit.dicom_dir, visit.overrides, Protocol(), False), ROLES, visit.row
        elif link.verb == "segment":
            method = _part(link, "options").get("method")
            source = {"labels": visit.labels, "auto": visit.seeds, "seeds": visit.seeds}.get(str(method))
            edits = visit.edits
            if edits is None and "edits" in _sources(link):
                # The run took finished reads.
                edits = reads_that_count(out, [link.folder.name]).reads.get(link.folder.name)
                places = {**ROLES, "edits": f"the read of {link.folder.name}"}
            else:
                places = ROLES
            yield link, segment_request(link.folder, str(method), source, edits, Protocol()), places, visit.row


def _of_tables(root: Path, out: Path, own: list[Link]) -> Iterator[tuple[Link, Request, Mapping[str, str], str]]:
    """Yield what the trial's steps would read of the study's tables now."""
    of_report = report_request(StudyOut(out), root, Protocol(), None).sources
    # Absent tables are part of what the report was made from, not of what the analysis was.
    given = {name: root / f"{name}.tsv" for name in ("allocation", "participants", "outcomes")}
    present = {name: Source.of(path) for name, path in given.items() if path.exists()}
    reads = {"analyse": ("allocation", "participants"), "outcomes": ("outcomes",), "report": tuple(of_report)}
    for link in own:
        if link.verb in reads and not link.place:
            sources = of_report if link.verb == "report" else present
            mine = {role: source for role, source in sources.items() if role in reads[link.verb]}
            places = {role: str(root / (role if link.verb == "report" else f"{role}.tsv")) for role in reads[link.verb]}
            yield link, Request(link.verb, {}, mine), places, ""


def _given_faults(path: Path | None, role: str, makers: list[Link]) -> tuple[list[Fault], list[str]]:
    for link in makers:
        known = role in _sources(link)
        if path is None:
            return [], [f"the {role} file (name it with --{role})"] if known else []
        if not known:
            return [Fault("the run did not read it", str(path), "name what the run was made from")], []
        return _compare(link, Request("", {}, {role: Source.of(path)}), {role: str(path)}), []
    return [], []
