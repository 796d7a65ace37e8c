"""Finishing a read: what it says, written beside its log."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from petflame import __version__
from petflame.anatomy import title
from petflame.errors import FaultList
from petflame.files import sha256, write_json
from petflame.review.canvas import f_to_c, runs_of
from petflame.review.needs import needs_reader
from petflame.review.state import VESSELS, VesselRead
from petflame.segment.seedfile import FARTHEST_APART_MM, GAP_TOLERANCE_MM, LEAST_LENGTH_MM

if TYPE_CHECKING:
    from petflame.review.desk import Desk

FORMAT = "petflame-read/1"


def read_path(folder: Path, item: str) -> Path:
    """Return where the finished read of an item lies."""
    return folder / f"{item}.read.json"


def made_by(vessel: VesselRead) -> str:
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


def read_document(desk: Desk) -> dict[str, Any]:
    """Return what a finished read says."""
    state = desk.history.state
    vessels: dict[str, Any] = {}
    for name, vessel in state.vessels.items():
        made = made_by(vessel)
        item: dict[str, Any] = {"made": made}
        if vessel.seeds:
            item["seeds"] = {
                "points_lps_mm": [list(seed.lps_mm) for seed in vessel.seeds],
                "clicked_lps_mm": [list(seed.clicked_lps_mm) for seed in vessel.seeds],
                "radius_mm": vessel.radius_mm,
                "prefilled": vessel.carried,
            }
        if made != "found":
            flat = f_to_c(desk.drawing.voxels(name), desk.drawing.shape)
            item["voxels"] = runs_of(np.sort(flat))
        vessels[name] = item
    return {
        "format": FORMAT,
        "item": desk.item,
        "code": desk.files.code,
        "reader": desk.reader,
        "petflame": __version__,
        **desk.files.hashes,
        "shown_sha256": desk.drawing.digest,
        "log_head": desk.head,
        "vessels": vessels,
        "landmarks_lps_mm": {name: list(place) for name, place in state.landmarks_lps_mm.items()},
        "decisions": {
            n: {"choice": v.decision.choice, "words": v.decision.words}
            for n, v in state.vessels.items()
            if v.decision is not None
        },
        "left_out": [{"vessel": n, **vars(row)} for n, v in state.vessels.items() for row in v.left_out],
        "prefilled": desk.history.prefilled,
        "undecided": [
            n for n in VESSELS if needs_reader(n, state.vessels[n], desk.files.found.vessels.get(n), desk.required)
        ],
    }


def finished_read(desk: Desk, path: Path) -> str:
    """Write a finished read and return the SHA-256 of its bytes."""
    write_json(path, read_document(desk))
    return sha256(path)
