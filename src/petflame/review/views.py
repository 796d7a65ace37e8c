"""What the page is told of an item."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from petflame.anatomy import BY_NAME, title
from petflame.labelmap import LabelMap
from petflame.privacy import without_names
from petflame.review.canvas import runs_of
from petflame.review.desk import Desk
from petflame.review.finishing import made_by, seeds_faults
from petflame.review.hints import levels_of_others, point_due
from petflame.review.needs import needs_reader, state_of, why
from petflame.review.state import VESSELS
from petflame.segment.product import VesselFinding
from petflame.segment.seedfile import LANDMARKS
from petflame.segment.verdict import verdict
from petflame.space.grid import Array, Volume

NOTHING = VesselFinding("none", None, (), np.zeros((0, 3)), True, "not found")


def state_view(desk: Desk, values: Mapping[str, Mapping[str, Any]] | None = None) -> dict[str, Any]:
    """Return everything about an item but its images; every place is LPS mm.

    Parameters
    ----------
    desk : Desk
    values : mapping, optional
        Vessel to its measured values, for those whose values the reader may see.
    """
    history, files = desk.history, desk.files
    state, grid = history.state, files.canvas.grid
    places = {**files.found.landmarks_lps_mm, **state.landmarks_lps_mm}
    vessels = [_vessel(desk, name, (values or {}).get(name)) for name in VESSELS]
    return {
        "item": desk.item,
        "head": desk.head,
        "finished": history.finished,
        "read_only": history.finished,
        "grid": {
            "shape": list(grid.shape),
            "affine_ras": grid.affine.round(6).tolist(),
            "voxels_mm": [round(s, 6) for s in grid.spacing_mm],
        },
        "suv": files.is_suv,
        "ct_image_numbers": files.image_numbers,
        "vessels": vessels,
        "landmarks": {name: _place(places.get(name)) for name in LANDMARKS},
        "can_undo": history.can_undo,
        "can_redo": history.can_redo,
        "warnings": [without_names(w) for w in files.found.warnings if w.split(":")[0] not in VESSELS],
        "prefill_offered": bool(desk.prefillable),
        "undecided": [v["name"] for v in vessels if v["needs_you"]],
        "reader_words": history.words,
        **({"reads": _two_reads(desk)} if desk.two is not None else {}),
    }


def _two_reads(desk: Desk) -> list[dict[str, Any]]:
    """What an adjudicator decides between: outlines, as runs of what is shown, decisions and stretches left out."""
    assert desk.two is not None
    told = []
    for n, read in enumerate(desk.two.reads, start=1):
        runs = {name: runs_of(desk.files.canvas.shown(desk.read_voxels(n, name))) for name in VESSELS}
        choices = {name: decision.choice for name, decision in read.decisions.items()}
        told.append({"read": n, "runs": runs, "decisions": choices, "left_out": [vars(s) for s in read.left_out]})
    return told


def _place(place: tuple[float, float, float] | None) -> list[float] | None:
    return None if place is None else [round(float(v), 3) for v in place]


def finding_of(desk: Desk, name: str) -> VesselFinding:
    """Return what is known of a vessel as it is drawn now."""
    drawn = desk.drawing.drawn.findings.get(name)
    return drawn if drawn is not None else desk.files.found.vessels.get(name, NOTHING)


def _vessel(desk: Desk, name: str, values: Mapping[str, Any] | None) -> dict[str, Any]:
    vessel, found = desk.history.state.vessels[name], desk.files.found.vessels.get(name)
    finding = finding_of(desk, name)
    faults = [f.what for f in seeds_faults(name, vessel)]
    hint = _hint(desk, name, found or NOTHING)
    drawn = name in desk.drawing.drawn.findings and vessel.decision is None and not vessel.is_prefilled
    words = "; ".join(faults) or (verdict(finding).words if drawn else why(name, vessel, found))
    return {
        "name": name,
        "title": title(name),
        "kind": BY_NAME[name].kind,
        "label": BY_NAME[name].label,
        "needs_you": needs_reader(name, vessel, found, desk.required),
        "required": name in desk.required,
        "state": state_of(vessel, found),
        "words": without_names(words),
        "method": without_names(finding.method),
        "made": made_by(vessel),
        "checks": [{**vars(check), "message": without_names(check.message)} for check in finding.checks],
        "seeds": [vars(seed) for seed in vessel.seeds],
        "radius_mm": vessel.radius_mm,
        "hint": hint,
        "decision": None if vessel.decision is None else vars(vessel.decision),
        "left_out": [vars(row) for row in vessel.left_out],
        "centreline_lps_mm": finding.centreline_lps_mm.round(2).tolist(),
        "values": values,
    }


def _hint(desk: Desk, name: str, found: VesselFinding) -> dict[str, Any] | None:
    state = desk.history.state
    seeds = {n: np.array([s.lps_mm for s in v.seeds]).reshape(-1, 3) for n, v in state.vessels.items()}
    bifurcation = state.landmarks_lps_mm.get(f"carotid_bifurcation_{name.split('_')[-1]}")
    course = found.centreline_lps_mm
    if name.startswith("carotid") and bifurcation is not None and len(course):
        course = course[course[:, 2] <= bifurcation[2]]
    due = point_due(name, seeds[name], course, levels_of_others(name, seeds), found.start_lps_mm)
    return None if due is None else {"lps_mm": list(due.lps_mm), "words": due.words}


def shown_image(desk: Desk, which: str) -> Volume:
    """Return what is shown of the CT, the PET or the label map; of the last arteries and veins alone."""
    files = desk.files
    if which == "labels":
        labels = files.canvas.cut(desk.drawing.labels())
        return vessels_alone(LabelMap(labels.data, labels.grid))
    volume, canvas = (files.ct, files.canvas) if which == "ct" else (files.pet, files.pet_canvas)
    cut = canvas.cut(volume)
    if cut.data.dtype in (np.int16, np.float32):
        return cut
    return Volume(cut.data.astype(np.float32), cut.grid)


def vessels_alone(labels: LabelMap) -> LabelMap:
    """Return a label map without neighbours."""
    keep: Array = np.zeros(256, np.uint8)
    for name in VESSELS:
        keep[BY_NAME[name].label] = BY_NAME[name].label
    return LabelMap(keep[labels.data], labels.grid)
