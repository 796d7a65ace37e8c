"""Finished reads with their logs, as the workbench leaves them, made without one."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from petflame.files import sha256
from petflame.segment.outlines import runs_of
from petflame.segment.reads import Read, ReadDecision, ReadSeeds, ReadVessel, write_read

SOMEWHERE = ReadSeeds(((0.0, 0.0, 0.0), (0.0, 0.0, 30.0)), ((0.0, 0.0, 0.0), (0.0, 0.0, 30.0)))


def log_line(n, previous, action, reader, item, read, why="", **more):
    return {
        "n": n,
        "time": f"2026-11-28T16:{n:02d}:00Z",
        "reader": reader,
        "item": item,
        "petflame": "test",
        "ct_sha256": read.ct_sha256,
        "pet_sha256": read.pet_sha256,
        "labels_sha256": read.labels_sha256,
        "shown_sha256": read.shown_sha256,
        "action": action,
        "why": why,
        "previous": previous,
        **more,
    }


def add_line(log: Path, action, read, why="", after_lock=False, **more):
    """Append one line to a log, chained and, where the log's writer asks for it, sealed."""
    from petflame.review.log import ReadLog

    book = ReadLog(log)
    entry = log_line(0, "", action, read.reader, read.item, read, why, **more)
    return book.append({k: v for k, v in entry.items() if k not in ("n", "previous")}, book.head, after_lock)


def finish(
    out: Path,
    reader: str,
    item: str,
    code: str | None = None,
    voxels: Mapping[str, object] | None = None,
    decisions: Mapping[str, str] | None = None,
    between: Iterable[Path] = (),
    **more,
) -> Path:
    """Write a finished read of an item and its log; `voxels` are flat places, or None for a vessel left as found."""
    path = out / "review" / reader / f"{item}.read.json"
    vessels = {
        name: ReadVessel("found") if places is None else ReadVessel("seeds", SOMEWHERE, runs_of(np.asarray(places)))
        for name, places in (voxels or {}).items()
    }
    decided = dict.fromkeys(vessels, "accept") if decisions is None else decisions
    words = {"accept": "", "reject": "not a vessel"}
    read = Read(
        item,
        code or item,
        reader,
        "test",
        *(more.pop(f"{name}_sha256", hashlib.sha256(name.encode()).hexdigest()) for name in ("ct", "pet", "labels")),
        more.pop("shown_sha256", "e" * 64),
        "0" * 64,
        vessels,
        decisions={n: ReadDecision(c, words[c]) for n, c in decided.items()},
        **more,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    log = path.with_name(f"{item}.jsonl")
    add_line(log, {"kind": "open"}, read)
    digest = write_read(path, read)
    # An adjudicator's log names the reads that were decided between.
    seen = {"reads_sha256": [sha256(p) for p in between]} if between else {}
    add_line(log, {"kind": "finish", "read_sha256": digest, **seen}, read)
    return path


def actions(log: Path):
    return [json.loads(line)["action"] for line in log.read_text().splitlines()]
