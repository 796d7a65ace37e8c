"""Values of a vessel as it is drawn now, by the measurement's own code on what the read would give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from petflame.anatomy import AORTA, ARTERIES, title
from petflame.errors import FaultList, InputRefused, PetflameError
from petflame.labelmap import LabelMap
from petflame.measure.images import VisitImages
from petflame.measure.left_out import LeftOut
from petflame.measure.summary import vessel_measures
from petflame.measure.tables import MeasuredVessel, slice_table
from petflame.measure.visit import read_vessels
from petflame.protocol import Protocol
from petflame.review.desk import Desk
from petflame.review.finishing import made_by
from petflame.review.state import ReadState, VesselRead
from petflame.review.views import NOTHING
from petflame.review.visit import VisitFiles
from petflame.segment.centreline import arched_centreline, axial_centreline
from petflame.segment.pet_ct_local import local_shift
from petflame.segment.pet_ct_wide import wide_shift
from petflame.segment.product import VesselFinding
from petflame.space.grid import Volume
from petflame.space.orientation import to_canonical

SHOWN = ("mean_tbr_max", "mds_tbr_max", "max_tbr", "valid_sections")
# What a search for a shift, or a hot neighbour, may look at beyond what is shown.
MARGIN_MM = 40.0
EMPTY: dict[str, Any] = {
    "z_mm": [],
    "arc_mm": [],
    "suv_max": [],
    "tbr_max": None,
    "valid": [],
    "reason": [],
    "excluded": [],
}


@dataclass(frozen=True, eq=False)
class Measured:
    """An artery as it is drawn now.

    Attributes
    ----------
    key : tuple
        What it was measured on.
    vessel : MeasuredVessel or None
        None where nothing can be measured.
    rows : dict
        Columns of ``slices.tsv``.
    values : dict
        Its measures.
    why : str
        Why there is nothing.
    """

    key: tuple[Any, ...]
    vessel: MeasuredVessel | None
    rows: dict[str, Any]
    values: dict[str, Any]
    why: str = ""


def values_of(desk: Desk, protocol: Protocol, show_values: bool) -> Mapping[str, Mapping[str, Any]]:
    """Return the values that are known of every vessel that the reader may see: accepted ones, or all if shown.

    Known is what a profile was asked for of the outlines as they are.
    """
    key, known = _key(desk, protocol), desk.measured
    now = {name: found.values for name, found in known.items() if found.key == key and found.vessel is not None}
    return {name: values for name, values in now.items() if show_values or _is_accepted(desk, name)}


def profile_of(desk: Desk, name: str, protocol: Protocol, show_values: bool) -> dict[str, Any]:
    """Return an artery's uptake section by section; TBR and values only where they may be seen.

    Raises
    ------
    InputRefused
        When the vessel is no artery.
    """
    if name not in ARTERIES:
        raise InputRefused.of("only arteries have a profile", "the request", f"name one of {', '.join(ARTERIES)}")
    found = _measured(desk, protocol, name)
    rows = found.rows
    if found.vessel is None:
        return {**EMPTY, "why": found.why or "it has no outline"}
    shown = show_values or _is_accepted(desk, name)
    uptakes = [u.maximum if u is not None else None for u in found.vessel.uptakes]
    left = desk.history.state.vessels[name].left_out
    return {
        "z_mm": np.round(rows["z_mm"], 2),
        "arc_mm": np.round(rows["arc_mm"], 2),
        "suv_max": uptakes,
        "tbr_max": rows["tbr_max"] if shown else None,
        "valid": [bool(v) for v in rows["valid"]],
        "reason": list(rows["reason"]),
        "excluded": [any(row.z_min_mm <= z <= row.z_max_mm for row in left) for z in rows["z_mm"]],
        "values": found.values if shown else None,
        "why": "",
    }


def require_sections(desk: Desk, protocol: Protocol) -> None:
    """Refuse stretches left out in which the vessel has no section: the measurement would refuse them.

    Raises
    ------
    InputRefused
        With every such vessel.
    """
    faults = FaultList()
    for name, vessel in desk.history.state.vessels.items():
        if vessel.left_out and (found := _measured(desk, protocol, name)).vessel is None:
            faults.add(f"{title(name)}: {found.why}", title(name), "take the stretch back, or leave out another one")
    faults.raise_if_any()


def _is_accepted(desk: Desk, name: str) -> bool:
    decision = desk.history.state.vessels[name].decision
    return decision is not None and decision.choice == "accept"


def _key(desk: Desk, protocol: Protocol) -> tuple[Any, ...]:
    state = desk.history.state
    said = tuple((v.decision, v.left_out) for v in state.vessels.values())
    return desk.drawing.digest, said, tuple(state.landmarks_lps_mm.items()), protocol.digest


def _measured(desk: Desk, protocol: Protocol, name: str) -> Measured:
    with desk.lock:
        key, state = _key(desk, protocol), desk.history.state
        known: dict[str, Measured] = desk.measured
        if name in known and known[name].key == key:
            return known[name]
    # What takes a second or two must not keep the reader's next action waiting.
    with desk.measuring:
        with desk.lock:
            # As it stands now: of several that wait, the first measures what all of them ask for.
            key, state = _key(desk, protocol), desk.history.state
            if name in known and known[name].key == key:
                return known[name]
            labels, drawn = desk.drawing.labels(), desk.drawing.drawn.findings
        try:
            images = preview(desk.files, state, labels, drawn, protocol, name)
            known[name] = _measure(images, state.vessels[name], protocol, key, name)
        except PetflameError as error:
            known[name] = Measured(key, None, {}, {}, "; ".join(fault.what for fault in error.faults))
        return known[name]


def preview(
    files: VisitFiles,
    state: ReadState,
    outlines: LabelMap,
    drawn: Mapping[str, VesselFinding],
    protocol: Protocol,
    name: str,
) -> VisitImages:
    """Return the images round what is shown with the outlines as they are, and the PET-CT shift of one artery."""
    near = files.canvas.widened(MARGIN_MM)
    labels, ct = near.cut(outlines), near.cut(files.ct)
    labels = LabelMap(np.ascontiguousarray(labels.data), labels.grid)
    vessels = dict(files.found.vessels)
    for other, vessel in state.vessels.items():
        finding = drawn.get(other, vessels.get(other, NOTHING))
        if vessel.painted or vessel.taken is not None:
            finding = _painted(other, labels)
        if vessel.decision is not None:
            finding = replace(finding, withheld=vessel.decision.choice == "reject")
        vessels[other] = finding
    if made_by(state.vessels[name]) != "found" and files.found.body_shift is not None and labels.has(name):
        pet = to_canonical(files.pet, copy=False)
        shift, _ = wide_shift(name, labels, ct, pet, files.found.body_shift)
        near_shift = local_shift(name, labels, ct, pet) if protocol.region.pet_ct_search == "local" else None
        vessels[name] = replace(vessels[name], pet_ct_shift=shift, pet_ct_shift_local=near_shift)
    return VisitImages(files.pet, replace(files.found, labels=labels, vessels=vessels), ct)


def _painted(name: str, labels: LabelMap) -> VesselFinding:
    if not labels.has(name):
        return NOTHING
    if name == "aorta_arch":
        aorta = Volume(labels.any_of(AORTA), labels.grid)
        line = arched_centreline(aorta, labels.mask(name).data)
    else:
        upwards = name in ("aorta_ascending", "carotid_right", "carotid_left")
        line = axial_centreline(labels.cut(name), upwards)
    return VesselFinding("painted", None, (), line)


def _measure(images: VisitImages, read: VesselRead, protocol: Protocol, key: tuple[Any, ...], name: str) -> Measured:
    rows_out = read.left_out
    out = [LeftOut(name, None, (row.z_min_mm, row.z_max_mm), row.code, row.words, "the read") for row in rows_out]
    # Variations ask for models of the blood, which take seconds and are not shown.
    plain = protocol.model_copy(update={"sensitivity": ()})
    _, measured = read_vessels(images, plain, out, arteries=(name,), with_areas=False, with_peaks=False)
    table = slice_table(measured, is_suv=True)
    rows = {str(column): table[column].to_numpy() for column in table}
    spacing = protocol.region.slice_spacing_mm or images.pet.grid.spacing_mm[2]
    measures = vessel_measures(rows, spacing, protocol.summary)
    return Measured(key, measured[name], rows, {column: measures[column] for column in SHOWN})
