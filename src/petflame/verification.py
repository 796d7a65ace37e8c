"""Verifying a finished run: every file of it, the chain of its steps, and the study that it was made from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from petflame.chain import Link, chain_faults, links
from petflame.errors import Fault, InputRefused
from petflame.files import read_json
from petflame.fingerprint import Request, Source, hash_file
from petflame.folders import StudyOut
from petflame.protocol import Protocol
from petflame.provenance import STUDY_FILES, private_faults, read_private, snapshot_faults
from petflame.requests import convert_request, report_request, segment_request
from petflame.study import Study, load_study

AGAIN = "run the workflow again"
ROLES = {"dicom": "the DICOM folder", "overrides": "overrides", "regions or seeds": "regions or seeds", "edits": "edits"}


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
    named = {fault.where for fault in faults}
    faults += [fault for fault in snapshot if fault.where not in named]
    private, kept = private_faults(out)
    faults += private
    own = list(links(out))
    not_covered = list(_left_out(out))
    if study is None and StudyOut(out).simulated_study.is_dir():
        study = StudyOut(out).simulated_study
    if study is None:
        not_covered.append("what the run was made from (name it with --study)")
    else:
        found, hashed, left = _study_faults(out, study, own)
        faults += found
        count += hashed
        not_covered += left
    given = {"protocol": protocol, "reliability": reliability}
    for role, maker in (("protocol", "report"), ("reliability", "analyse")):
        found, hashed, left = _given_faults(given[role], role, [link for link in own if link.verb == maker])
        faults += found
        count += hashed
        not_covered += left
    if faults:
        raise InputRefused(dict.fromkeys(faults))
    return Verified(count + kept, len(own), tuple(not_covered))


def _left_out(out: Path) -> Iterator[str]:
    logs = sum(path.is_file() for path in (out / "logs").rglob("*"))
    if logs:
        yield f"logs/ ({logs} files)"


def _sources(link: Link) -> dict[str, Any]:
    try:
        sources = read_json(link.record).get("sources", {})
    except InputRefused:
        return {}
    return sources if isinstance(sources, dict) else {}


def _compare(link: Link, request: Request, roles: Mapping[str, str], who: str) -> tuple[list[Fault], int]:
    """Compare what a step says that it read from outside with what lies there now."""
    then, now = _sources(link), request.made_from(hash_file)["sources"]
    faults, hashed = [], 0
    for role in sorted(set(then) & set(roles) | set(now)):
        hashed += now.get(role, {}).get("files", 0)
        if then.get(role) != now.get(role):
            happened = "changed" if role in then and role in now else "came" if role in now else "went"
            where = f"{who}, {roles.get(role, role)}" if who else roles.get(role, role)
            remedy = f"put it back, or {link.remedy.replace('anew', 'anew from it as it is now')}"
            faults.append(Fault(f"it {happened} after the run", where, remedy))
    return faults, hashed


def _study_faults(out: Path, root: Path, own: list[Link]) -> tuple[list[Fault], int, list[str]]:
    try:
        study = load_study(root, out, keep_key=False)
    except InputRefused as refusal:
        return [*refusal.faults], 0, []
    faults: list[Fault] = []
    hashed = 0
    for link, request, who in _requests(study, own):
        found, files = _compare(link, request, ROLES, who)
        faults += found
        hashed += files
    by_verb = {link.verb: link for link in own if not link.place}
    if "report" in by_verb:
        request = report_request(StudyOut(out), root, Protocol(), None)
        tables = {role: str(root / role) for role in request.sources}
        found, files = _compare(by_verb["report"], request, tables, "")
        faults += found
        hashed += files
    if "analyse" in by_verb:
        names = ("allocation", "participants")
        present = {n: root / f"{n}.tsv" for n in names if (root / f"{n}.tsv").exists()}
        request = Request("analyse", {}, {n: Source.of(path) for n, path in present.items()})
        found, files = _compare(by_verb["analyse"], request, {n: str(root / f"{n}.tsv") for n in names}, "")
        faults += [fault for fault in found if fault.where not in {f.where for f in faults}]
        hashed += files
    missing = sorted(set(study.by_code) - {link.folder.name for link in own})
    faults += [
        Fault("the run has no results of it", study.by_code[code].row, f"{AGAIN}, with this study") for code in missing
    ]
    return _other_files(out, root, faults, hashed)


def _other_files(
    out: Path, root: Path, faults: list[Fault], hashed: int
) -> tuple[list[Fault], int, list[str]]:
    """Compare the files of the study that no step read, and the study's own key."""
    kept = read_private(out)
    if kept is None:
        return faults, hashed, ["files of the study that no step read (the run kept no list of them)"]
    told = {fault.where for fault in faults}
    for name, digest in kept["study"].items():
        path = root / name
        if str(path) not in told and hash_file(path) != digest:
            happened = "changed" if path.exists() else "went"
            what = f"it {happened} after the run, which did not read it"
            if name in STUDY_FILES:
                what = f"it {happened} after the run"
            remedy = f"put it back, or accept it with `petflame report {out} --study {root}`"
            faults.append(Fault(what, str(path), remedy))
    left = [f"{kept['left']} other files in the study's folder that no step read"] if kept["left"] else []
    return faults, hashed + len(kept["study"]), left


def _requests(study: Study, own: list[Link]) -> Iterator[tuple[Link, Request, str]]:
    """Yield what every visit's steps would read now, with the methods that they were run with."""
    for link in own:
        visit = study.by_code.get(link.folder.name)
        if visit is None or link.verb not in ("convert", "segment"):
            continue
        if link.verb == "convert":
            yield link, convert_request(visit.dicom_dir, visit.overrides, Protocol(), False), visit.row
            continue
        try:
            method = read_json(link.record).get("options", {}).get("method")
        except InputRefused:
            continue
        source = {"labels": visit.labels, "auto": visit.seeds, "seeds": visit.seeds}.get(method)
        yield link, segment_request(link.folder, str(method), source, visit.edits), visit.row


def _given_faults(path: Path | None, role: str, makers: list[Link]) -> tuple[list[Fault], int, list[str]]:
    for link in makers:
        if path is None:
            left = [f"the {role} file (name it with --{role})"] if role in _sources(link) else []
            return [], 0, left
        if role not in _sources(link):
            return [Fault("the run did not read it", str(path), "name what the run was made from")], 0, []
        faults, hashed = _compare(link, Request("", {}, {role: Source.of(path)}), {role: str(path)}, "")
        return faults, hashed, []
    return [], 0, []


def canonical(path: Path) -> bool:
    """Whether a JSON file is byte for byte what petflame writes of its content."""
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return False
    return path.read_text(encoding="utf-8") == json.dumps(document, indent=2, ensure_ascii=False) + "\n"
