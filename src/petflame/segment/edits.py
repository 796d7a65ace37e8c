"""A reader's last word: vessels accepted, rejected or redrawn. Edits come after every maker, and win."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from petflame.dicom.references import References
from petflame.errors import FaultList, InputRefused
from petflame.labelmap import LabelMap
from petflame.privacy import named
from petflame.segment.checks import require_laterality, vessel_centres
from petflame.segment.edits_folder import (
    COLUMNS,
    DECISIONS,
    IMAGES,
    UNTOUCHED,
    VESSELS,
    Decision,
    Edits,
    is_untouched,
    read_edits,
    said_by_reader,
)
from petflame.segment.imported import check_imported
from petflame.segment.imports import import_segmentation
from petflame.segment.imports.opened import digest_of
from petflame.segment.product import ACCEPTED, Segmentation, VesselFinding
from petflame.segment.redrawn_map import require_of_shown
from petflame.segment.seed_places import require_in_patient
from petflame.segment.seeded import checked_vessels_from_seeds
from petflame.segment.seedfile import read_seeds
from petflame.space.grid import Array, Grid, Volume

__all__ = [
    "COLUMNS",
    "DECISIONS",
    "EDITED",
    "IMAGES",
    "UNTOUCHED",
    "Decision",
    "Edits",
    "accepted_and_not_found",
    "apply_edits",
    "is_untouched",
    "read_edits",
    "require_same_grid_as_labels",
    "said_by_reader",
    "with_decisions",
]
EDITED = "edited by a reader"
AS_SHOWN = "as they were shown, so not redrawn"


def apply_edits(
    segmentation: Segmentation,
    edits: Edits,
    ct: Volume | None,
    grids: dict[str, Grid],
    own: References | None = None,
    pet: Volume | None = None,
) -> Segmentation:
    """Apply a reader's edits; what they redraw replaces the vessel, what they accept is no longer withheld.

    Parameters
    ----------
    segmentation : Segmentation
        Of any maker.
    edits : Edits
    ct : Volume or None
        HU, for vessels redrawn by seeds.
    grids : dict
        'ct' and 'pet' grid of the visit, those that exist.
    own : References or None
        What the visit's images are called.
    pet : Volume or None
        Uptake in any unit, for vessels redrawn by seeds.

    Raises
    ------
    InputRefused
        When regions were drawn on the other grid, or are those of `require_of_shown`, an accepted vessel was
        not found, or sides are exchanged.
    """
    if is_untouched(edits):
        return replace(segmentation, warnings=(*segmentation.warnings, UNTOUCHED))
    labels = segmentation.labels.data.copy()
    vessels = dict(segmentation.vessels)
    landmarks = dict(segmentation.landmarks_lps_mm)
    provenance: dict[str, Any] = {}
    told: tuple[str, ...] = ()
    doubts = segmentation.doubts
    if edits.regions is not None:
        drawn = check_imported(import_segmentation(edits.regions, grids, own), ct)
        told, doubts = drawn.warnings, (*doubts, *drawn.doubts)
        require_same_grid_as_labels(drawn.reference, segmentation.reference, edits.regions)
        alone = require_of_shown(drawn, segmentation, named(edits.regions.name, "the edited regions"))
        if edits.painted_over:
            _require_erased_rejected(edits, segmentation, drawn.labels)
        redrawn = {n: f for n, f in drawn.vessels.items() if len(f.centreline_lps_mm) and n not in alone}
        if alone:
            told = (*told, f"{AS_SHOWN}: {', '.join(alone)}")
        _replace(labels, drawn.labels, redrawn)
        vessels |= {n: replace(f, method=f"{f.method}, {EDITED}") for n, f in redrawn.items()}
        landmarks |= drawn.landmarks_lps_mm
        provenance["regions_sha256"] = digest_of(edits.regions)
    if edits.seeds:
        called = named(edits.seeds[0].name, "the edited seeds")
        if ct is None or segmentation.reference != "ct":
            what = "vessels redrawn by seeds need labels on the CT grid"
            raise InputRefused.of(what, called, "give regions on the PET grid instead")
        seeds = read_seeds(*edits.seeds)
        require_in_patient(seeds, ct, called)
        present = LabelMap(labels, segmentation.labels.grid)
        drawn_labels, redrawn = checked_vessels_from_seeds(seeds, ct, present, vessels, landmarks, pet)
        _replace(labels, LabelMap(drawn_labels, ct.grid), redrawn)
        vessels |= {n: replace(f, method=f"{f.method}, {EDITED}") for n, f in redrawn.items()}
        landmarks |= seeds.landmarks_lps_mm
        digests = [digest_of(path) for path in edits.seeds]
        provenance["seeds_sha256"] = digests[0] if len(digests) == 1 else digests
    edited = replace(segmentation, labels=LabelMap(labels, segmentation.labels.grid), landmarks_lps_mm=landmarks)
    return with_decisions(edited, vessels, edits.decisions, provenance, told, doubts)


def _require_erased_rejected(edits: Edits, shown: Segmentation, drawn: LabelMap) -> None:
    """A vessel that is gone from the map saved over the one shown would else stay as it was found."""
    faults = FaultList()
    for name in shown.vessels:
        decision = edits.decisions.get(name)
        if shown.labels.has(name) and not drawn.has(name) and (decision is None or decision.choice != "reject"):
            what = f"{name} was erased from the label map that was saved over, and is not rejected"
            faults.add(what, DECISIONS, "reject it with words, or draw it")
    faults.raise_if_any()


def with_decisions(
    segmentation: Segmentation,
    vessels: Mapping[str, VesselFinding],
    decisions: Mapping[str, Decision],
    provenance: Mapping[str, Any],
    told: Sequence[str] = (),
    doubts: tuple[str, ...] = (),
    place: str = DECISIONS,
) -> Segmentation:
    """Let a reader decide about vessels that are redrawn, and gather what is told of them.

    Parameters
    ----------
    segmentation : Segmentation
        With the edited labels.
    vessels : mapping
        Findings, redrawn ones included.
    decisions : mapping
    provenance : mapping
        What stands under ``edits``, beside the decisions.
    told, doubts : sequence of str
        Warnings of what was redrawn.
    place : str
        Where the decisions stand.

    Raises
    ------
    InputRefused
        When an accepted vessel was not found, or sides are exchanged.
    """
    there = {name for name, finding in vessels.items() if len(finding.centreline_lps_mm)}
    accepted_and_not_found(decisions, there, place).raise_if_any()
    vessels = {n: _decided(f, decisions[n]) if n in there and n in decisions else f for n, f in vessels.items()}
    require_laterality(vessel_centres({n: f for n, f in vessels.items() if not f.withheld}), "the edited segmentation")
    given = {**provenance, "decisions": {name: vars(decision) for name, decision in decisions.items()}}
    warnings = [w for w in segmentation.warnings if w.split(":")[0] not in VESSELS]
    warnings += [w for w in told if w.split(":")[0] not in VESSELS]
    warnings += [f"{n}: needs a reader: {f.reason}" for n, f in vessels.items() if f.withheld]
    return Segmentation(
        segmentation.labels,
        segmentation.reference,
        vessels,
        segmentation.landmarks_lps_mm,
        segmentation.provenance | {"edits": given},
        tuple(dict.fromkeys(warnings)),
        doubts,
    )


def require_same_grid_as_labels(drawn: str, labels: str, regions: Path) -> None:
    """Refuse redrawn regions that lie on the other grid of the visit than its labels.

    Parameters
    ----------
    drawn, labels : {'ct', 'pet'}
    regions : Path
        The file, for the message.

    Raises
    ------
    InputRefused
        When the two differ.
    """
    if drawn != labels:
        what = f"the edited regions lie on the {drawn.upper()} grid, the labels on the other"
        raise InputRefused.of(what, named(regions.name, "the edited regions"), f"draw on the visit's {labels.upper()}")


def accepted_and_not_found(
    decisions: Mapping[str, Decision], present: Collection[str], place: str = DECISIONS
) -> FaultList:
    """Return a fault for every vessel that a reader accepts and nobody has drawn or found."""
    faults = FaultList()
    for name, decision in decisions.items():
        if decision.choice == "accept" and name not in present:
            faults.add(f"{name} is accepted and was not found", place, "draw it, or take the decision out")
    return faults


def _replace(labels: Array, drawn: LabelMap, vessels: Mapping[str, VesselFinding]) -> None:
    labels[LabelMap(labels, drawn.grid).any_of(vessels)] = 0
    wins = drawn.any_of(vessels)
    labels[wins] = drawn.data[wins]


def _decided(finding: VesselFinding, decision: Decision) -> VesselFinding:
    if decision.choice == "accept":
        words = f" ({decision.words})" if decision.words else ""
        return replace(finding, method=f"{finding.method}{ACCEPTED}{words}", withheld=False, reason="")
    why = ": ".join(filter(None, ["rejected by a reader", decision.words]))
    return replace(finding, withheld=True, reason=why)
