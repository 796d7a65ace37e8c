"""Which steps of a study are to be made (again), by what they were made from and not by times of files.

Snakemake starts a job whose input is newer than its output. A step whose record does not agree with the study as it
is now therefore gets one more input, the file ``key/plan/VERB/CODE``, newer than the step's outcome. All of it lies
with the results, so that results that are moved, copied, or continued from another clone or by another user are
judged alike.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from petflame import __version__
from petflame.chain import status_faults
from petflame.errors import FaultList, InputRefused
from petflame.files import read_json, write_text
from petflame.fingerprint import MADE_FROM, Request, Seen
from petflame.outcome import products_of
from petflame.seal import seal_holds


@dataclass(frozen=True)
class Job:
    """A step that the workflow may have to run.

    Attributes
    ----------
    request : Request
    record : Path
        The step's outcome, ``steps/VERB.json`` below the folder of its products.
    marker : Path
        The file that tells Snakemake.
    seen : Path
        Hashes of the files that the step read, kept from its run.
    outputs : tuple of Path
        What the rule declares as its output.
    earlier : tuple of Path
        Outputs of other rules that the rule takes as input.
    local : bool
        Whether what the step left under ``key/`` is as it left it.
    """

    request: Request
    record: Path
    marker: Path
    seen: Path
    outputs: tuple[Path, ...]
    earlier: tuple[Path, ...] = ()
    local: bool = True


def why_stale(job: Job, strict: bool = False) -> str:
    """Return why a step is to be made (again); empty where its products are those of the study as it is now."""
    if not all(path.exists() for path in (job.record, *job.outputs)):
        return "it has not been made"
    try:
        record = read_json(job.record)
    except InputRefused:
        return "its record cannot be read"
    if not seal_holds(record):
        return "its record is not as it left it"
    if record.get("version") != __version__:
        return f"it was made by petflame {record.get('version')}"
    if record.get("status") == "failed":
        return "petflame failed in it"
    if strict and record.get("status") != "ok":
        return "it was refused, and the run is strict"
    seen = Seen(job.seen)
    try:
        return _changed(job.request, record, seen) or _altered(job, seen)
    finally:
        seen.save()


def _changed(request: Request, record: Mapping[str, Any], seen: Seen) -> str:
    now = request.made_from(seen)
    words = {"options": "choices", "sources": "files", "upstream": "earlier steps"}
    for part in MADE_FROM:
        then = record.get(part)
        if now[part] == then:
            continue
        names = sorted(set(now[part]) | set(then)) if isinstance(then, dict) else sorted(now[part])
        differ = [n for n in names if not isinstance(then, dict) or now[part].get(n) != then.get(n)]
        return f"{words[part]} changed: {', '.join(differ)}"
    return ""


def _altered(job: Job, seen: Seen) -> str:
    folder = job.record.parent.parent
    altered = [name for name, digest in products_of(job.record).items() if seen(folder / name) != digest]
    # The outcome in short is that of the folder's latest step.
    altered += ["status.json"] if job.request.verb in ("measure", "pair", "report") and status_faults(folder) else []
    altered += [] if job.local else ["the table of codes under key/"]
    return f"products are not as it left them: {', '.join(altered)}" if altered else ""


def mark(jobs: Iterable[Job], strict: bool = False) -> dict[str, int]:
    """Mark every job that is to be made again, in the order of the road; return how many for which reason.

    Where a copy of the results has mixed up the times of outcomes that are current, they are put in order, or
    Snakemake would make them again.

    Raises
    ------
    InputRefused
        With every visit whose labels hold edits that were put on by hand and would be lost.
    """
    faults, reasons = FaultList(), dict[str, int]()
    for job in jobs:
        why = why_stale(job, strict)
        # Where nothing is there, snakemake makes it without being told; a part may be missing, or the record alone.
        if not why or not any(path.exists() for path in job.outputs):
            job.marker.unlink(missing_ok=True)
            if not why:
                _in_order(job)
            continue
        if "applied" in _read(job.record):
            faults.add(
                f"its labels hold edits that were put on by hand, and the segmentation has to be made again ({why})",
                job.record.parent.parent.name,
                "name the folder of the edits in the column `edits` of visits.tsv, or remove steps/segment.json",
            )
        line = f"{job.request.verb}: {why}"
        reasons[line] = reasons.get(line, 0) + 1
        # A clock that is behind the file server's must not hide it; the text differs so that no checksum excuses it.
        newest = max((path.stat().st_mtime_ns for path in job.outputs if path.exists()), default=0)
        now = time.time_ns()
        write_text(job.marker, f"to be made: {why}\n{now}\n", private=True)
        os.utime(job.marker, ns=(now, max(now, newest + 10**9)))
    faults.raise_if_any()
    return reasons


def _read(path: Path) -> dict[str, Any]:
    try:
        return read_json(path)
    except InputRefused:
        return {}


def _in_order(job: Job) -> None:
    times = [path.stat().st_mtime_ns for path in job.earlier if path.exists()]
    for path in job.outputs:
        if times and path.stat().st_mtime_ns < max(times):
            os.utime(path, ns=(max(times), max(times)))
