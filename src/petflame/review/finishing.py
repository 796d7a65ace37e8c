"""Finishing a read: what it says, written beside its log."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from petflame import __version__
from petflame.anatomy import title
from petflame.errors import FaultList
from petflame.files import sha256
from petflame.review.canvas import f_to_c
from petflame.review.needs import needs_reader
from petflame.review.state import VesselRead
from petflame.segment.outlines import runs_of as outline_runs
from petflame.segment.reads import ENDING, Made, Read, ReadDecision, ReadSeeds, ReadVessel
from petflame.segment.seedfile import FARTHEST_APART_MM, GAP_TOLERANCE_MM, LEAST_LENGTH_MM
from petflame.segment.stretches import Stretch

if TYPE_CHECKING:
    from petflame.review.desk import Desk


# Another program may be about to say in the log that it is finished.
ABANDONED_S = 3600.0


def read_path(folder: Path, item: str) -> Path:
    """Return where the finished read of an item lies."""
    return folder / f"{item}{ENDING}"


def pending_path(path: Path) -> Path:
    """Return where a finished read waits until its log says that it is finished; two programs wait apart."""
    return path.with_name(f".{path.name}.{secrets.token_hex(6)}.pending")


def put_in_place(path: Path, lines: Sequence[Mapping[str, Any]]) -> None:
    """Put a finished read where it belongs, if the program ended between its log's last line and that."""
    finished = [line["action"] for line in lines if line["action"]["kind"] == "finish"]
    for pending in path.parent.glob(f".{path.name}.*.pending"):
        with suppress(FileNotFoundError):
            if finished and finished[-1].get("read_sha256") == sha256(pending):
                os.replace(pending, path)
            elif time.time() - pending.stat().st_mtime > ABANDONED_S:
                pending.unlink()


def made_by(vessel: VesselRead) -> Made:
    """Say how a vessel's voxels came about: 'found', 'seeds' or 'painted'."""
    if vessel.painted or vessel.taken is not None:
        return "painted"
    return "seeds" if vessel.seeds else "found"


def seeds_faults(name: str, vessel: VesselRead) -> FaultList:
    """Return what keeps the seeds of a vessel from describing it, as a file of seeds would be refused."""
    faults = FaultList()
    if not vessel.seeds:
        return faults
    places = np.array([seed.lps_mm for seed in vessel.seeds])
    said = title(name)
    if name.startswith("aorta") and vessel.radius_mm is None:
        faults.add(f"{said} has points but no radius", said, "give its radius, or clear the points")
    if len(places) < 2 or np.ptp(places[:, 2]) < LEAST_LENGTH_MM:
        faults.add(f"{said} has {len(places)} point(s) on one level", said, "set its lower and upper end")
        return faults
    gap = float(np.linalg.norm(np.diff(places, axis=0), axis=1).max())
    if gap > FARTHEST_APART_MM + GAP_TOLERANCE_MM:
        faults.add(f"{said} has {gap:.0f} mm between two points", said, f"set one every {FARTHEST_APART_MM:g} mm")
    return faults


def require_finishable(desk: Desk) -> None:
    """Refuse to finish where seeds describe no vessel, prefilled points wait, or what is left out is not there.

    Raises
    ------
    InputRefused
        With every such vessel.
    """
    faults = FaultList()
    for name, vessel in desk.history.state.vessels.items():
        faults.extend(seeds_faults(name, vessel))
        if vessel.is_prefilled:
            faults.add(f"{title(name)} has prefilled points", title(name), "confirm, move or clear them")
        if vessel.left_out and not len(desk.drawing.voxels(name)):
            faults.add(
                f"{title(name)} has stretches left out and no outline", title(name), "draw it, or take them back"
            )
    faults.raise_if_any()


def read_of(desk: Desk) -> Read:
    """Return what a reader made of an item, as it stands."""
    state, files = desk.history.state, desk.files
    decisions: dict[str, ReadDecision] = {}
    for name, vessel in state.vessels.items():
        if vessel.decision is not None:
            choice, words = vessel.decision.choice, vessel.decision.words
            decisions[name] = ReadDecision("accept" if choice == "accept" else "reject", words)
    return Read(
        item=desk.item,
        code=files.code,
        reader=desk.reader,
        petflame=__version__,
        **files.hashes,
        shown_sha256=desk.drawing.digest,
        log_head=desk.head,
        vessels={name: _vessel(desk, name, vessel) for name, vessel in state.vessels.items()},
        landmarks_lps_mm=dict(state.landmarks_lps_mm),
        decisions=decisions,
        left_out=tuple(Stretch(n, **vars(row)) for n, v in state.vessels.items() for row in v.left_out),
        prefilled=desk.history.prefilled,
        undecided=tuple(
            n for n, v in state.vessels.items() if needs_reader(n, v, files.found.vessels.get(n), desk.required)
        ),
    )


def _vessel(desk: Desk, name: str, vessel: VesselRead) -> ReadVessel:
    made, seeds = made_by(vessel), None
    if vessel.seeds:
        points, clicked = zip(*((seed.lps_mm, seed.clicked_lps_mm) for seed in vessel.seeds), strict=True)
        seeds = ReadSeeds(points, clicked, vessel.radius_mm, vessel.carried)
    if made == "found":
        return ReadVessel(made, seeds)
    flat = f_to_c(desk.drawing.voxels(name), desk.drawing.shape)
    return ReadVessel(made, seeds, outline_runs(np.sort(flat)))
