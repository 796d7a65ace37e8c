"""Who is who over a study's results: records read, compared, the verdict of each visit left in its folder."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from petflame.errors import Fault, InputRefused
from petflame.files import read_json, read_nifti, write_json, write_text
from petflame.folders import CODE, StudyOut, VisitFolder
from petflame.identity.compare import compare
from petflame.identity.finding import FLAGGED, REFUSED, UNKNOWN, WARN, Entry, Finding
from petflame.identity.pixels import ct_fingerprint, pet_fingerprint
from petflame.identity.record import Hasher, Part, Record, identity_key, read_record, record_path
from petflame.outcome import read_outcome
from petflame.seal import sealed
from petflame.study import VISITS, Study

VERB = "identify"
_VISITS = re.compile(rf"visit {CODE.pattern}(, {CODE.pattern})*( and \d+ more)?")
DETAILS = ("code", "participant_id", "visit", "signal", "outcome", "what", "where", "remedy")


def study_findings(study: Study, out: Path) -> list[Finding]:
    """Compare every converted visit of a study.

    Parameters
    ----------
    study : Study
    out : Path
        Folder with ``visits/`` and ``key/``.

    Returns
    -------
    list of Finding
        A visit that was converted and left no usable record is flagged: nothing can be said of it.
    """
    results, entries, found = StudyOut(out), [], []
    key_id = ""
    for code, visit in sorted(study.by_code.items()):
        folder = results.visit(code)
        converted = read_outcome(folder.step("convert"))
        if converted is None or not converted.is_ok:
            continue
        path = results.identity_record(code)
        try:
            record = read_record(path)
        except InputRefused:
            record = None
        if record is not None:
            key_id = key_id or Hasher(identity_key(path.parent)).key_id
        if record is None or record.key_id != key_id:
            what = "there is no usable record of who was scanned, so the visit was not compared with the others"
            fault = Fault(what, "key/identity", "run `petflame convert` again")
            found.append(Finding((code,), "record", FLAGGED, fault, WARN))
            continue
        entries.append(Entry(code, visit.participant_id, visit.visit, record))
    return [*found, *compare(entries)]


def identify(study: Study, out: Path) -> list[Finding]:
    """Compare all visits; leave ``steps/identify.json`` with each and the details in ``key/identity.tsv``.

    A verdict that has not changed is left untouched, so that nothing is made anew because of another visit.

    Returns
    -------
    list of Finding
    """
    results = StudyOut(out)
    found = study_findings(study, out)
    for code in study.by_code:
        folder = results.visit(code)
        converted = read_outcome(folder.step("convert"))
        if converted is None:
            folder.step(VERB).unlink(missing_ok=True)
            continue
        reasons = [f.fault.as_dict() for f in found if f.outcome == REFUSED and code in f.codes]
        status = "refused" if reasons else "ok"
        if not converted.is_ok:
            status, reasons = "upstream_refused", [fault.as_dict() for fault in converted.reasons]
        verdict = sealed({"status": status, "verb": VERB, "reasons": reasons})
        if not folder.step(VERB).exists() or read_json(folder.step(VERB)) != verdict:
            write_json(folder.step(VERB), verdict)
    _write_details(study, results, found)
    return found


def _write_details(study: Study, results: StudyOut, found: Iterable[Finding]) -> None:
    rows: list[tuple[str, ...]] = [DETAILS]
    for f in found:
        for code in f.codes:
            visit = study.by_code[code]
            who = code, visit.participant_id, visit.visit
            rows.append((*who, f.signal, f.outcome, f.fault.what, f.fault.where, f.fault.remedy))
    lines = [rows[0], *sorted(rows[1:])]
    write_text(results.identity, "".join("\t".join(line) + "\n" for line in lines), private=True)


def without_codes(text: str, study: Study, own: str) -> str:
    """Name the participants of the visits that a text names by code: beside a visit's name a code would tell the order.

    Parameters
    ----------
    text : str
    study : Study
    own : str
        The participant whom the text is about.
    """

    def name(match: re.Match[str]) -> str:
        people = {study.by_code[code].participant_id for code in CODE.findall(match[0]) if code in study.by_code}
        others = ", ".join(sorted(people - {own}))
        told = ["the participant's other visit"] if own in people else []
        return " and ".join([*told, f"a visit of {others}"] if others else told)

    return _VISITS.sub(name, text)


def words(found: Sequence[Finding]) -> str:
    """Say in a line what the comparison came to."""
    refused = {code for f in found if f.outcome == REFUSED for code in f.codes}
    flagged = {code for f in found if f.outcome == FLAGGED for code in f.codes}
    unknown: dict[str, set[str]] = {}
    for f in found:
        if f.outcome == UNKNOWN:
            unknown.setdefault(f.signal, set()).update(f.codes)
    lines = [f"who is who: {len(refused)} visit(s) refused, {len(flagged)} flagged"]
    lines += [f"{signal} of {len(codes)} visit(s) not compared" for signal, codes in sorted(unknown.items())]
    return "; ".join(lines)


def doubts_of_pair(baseline: Path, followup: Path) -> tuple[list[Fault], list[Fault]]:
    """Compare two visits of one participant: one scan twice, or dates in the wrong order.

    Their records are compared where they are part of a study's results, and their images where they stand alone.

    Returns
    -------
    baseline, followup : list of Fault
        Why each of them is refused.
    """
    # In the order of their names, which tells nothing.
    where = " and ".join(sorted((baseline.name, followup.name)))
    if baseline.resolve() == followup.resolve():
        fault = Fault("baseline and follow-up are the same scan", where, "name the folder of each visit")
        return [fault], [fault]
    records = [_record_of(folder) for folder in (baseline, followup)]
    if len({r.key_id for r in records}) > 1:
        # Hashes of two keys never agree: what is left are pixels and dates.
        records = [replace(r, pet=_dated(r.pet), ct=_dated(r.ct) if r.ct else None) for r in records]
    entries = [Entry(name, "this participant", name, record) for name, record in zip(VISITS, records, strict=True)]
    refused = [f for f in compare(entries) if f.outcome == REFUSED]
    before, after = (
        [Fault(_plain(f.fault.what), where, f.fault.remedy) for f in refused if name in f.codes] for name in VISITS
    )
    return before, after


def _plain(what: str) -> str:
    return re.sub(r"visit (baseline|followup)", "the other visit", what)


def _dated(part: Part) -> Part:
    return Part(day=part.day, second=part.second, undated=part.undated)


def _record_of(root: Path) -> Record:
    path = record_path(root)
    record = None if path is None else read_record(path)
    if record is not None:
        return record
    visit = VisitFolder(root)
    pixels: dict[str, Any] = {}
    if visit.pet.exists():
        pixels["pet_pixels"] = pet_fingerprint(read_nifti(visit.pet).data)
    if visit.ct.exists():
        pixels["ct_pixels"] = ct_fingerprint(read_nifti(visit.ct).data)
    return Record(Part(), None, **pixels)
