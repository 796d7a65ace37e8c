"""Finished reads as the workbench writes them, made from a visit folder and the label map that was on the screen."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from petflame.files import read_nifti, sha256
from petflame.folders import VisitFolder
from petflame.segment.outlines import outline_digest, runs_of_vessel
from petflame.segment.reads import Read, ReadDecision, ReadSeeds, ReadVessel, write_read
from petflame.segment.run import labels_as_found
from petflame.space.grid import Array


def read_of(
    folder: Path,
    labels: Array | None = None,
    seeds: Mapping[str, Any] | None = None,
    painted: tuple[str, ...] = (),
    accepted: tuple[str, ...] = (),
    **more: Any,
) -> Read:
    """Return the read of a segmented visit whose screen showed `labels` at last; as found where None."""
    visit = VisitFolder(folder)
    found = labels_as_found(visit)[0]
    shown = read_nifti(found).data if labels is None else labels
    given = {
        name: ReadSeeds(tuple(map(tuple, points)), tuple(map(tuple, points))) for name, points in (seeds or {}).items()
    }
    made = {name: "painted" if name in painted else "seeds" for name in (*given, *painted)}
    read = Read(
        folder.name,
        folder.name,
        "reader-1",
        "1.0",
        sha256(visit.ct) if visit.ct.exists() else None,
        sha256(visit.pet),
        sha256(found),
        outline_digest(shown),
        "0" * 64,
        {n: ReadVessel(how, given.get(n), runs_of_vessel(shown, n)) for n, how in made.items()},
        decisions={name: ReadDecision("accept") for name in accepted},
    )
    return replace(read, **more)


def finish(review: Path, read: Read, more: tuple[dict[str, Any], ...] = ()) -> Path:
    """Write a read and its log into a reader's folder, as when it was finished; `more` actions follow."""
    path = review / read.reader / f"{read.item}.read.json"
    digest = write_read(path, read)
    actions = [{"kind": "open"}, {"kind": "finish", "read_sha256": digest}, *more]
    log = path.with_name(f"{read.item}.jsonl")
    with log.open("a", encoding="utf-8") as stream:
        for action in actions:
            stream.write(json.dumps({"action": action}, sort_keys=True) + "\n")
    return path
