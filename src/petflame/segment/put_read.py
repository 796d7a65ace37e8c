"""Putting a finished read onto the labels as found: its voxels as the reader saw them, its findings made anew."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from petflame.anatomy import BY_NAME
from petflame.errors import InputRefused
from petflame.folders import VisitFolder
from petflame.labelmap import LabelMap
from petflame.segment.binding import ABSENT, Binding, binding_faults
from petflame.segment.edits import EDITED, Decision, said_by_reader, with_decisions
from petflame.segment.imported import check_imported
from petflame.segment.labelmaps import describe
from petflame.segment.outlines import outline_digest, places_of
from petflame.segment.product import Segmentation, VesselFinding
from petflame.segment.reads import Read
from petflame.segment.seeded import checked_vessels_from_seeds
from petflame.segment.seedfile import NAMES, Seeds, line_faults
from petflame.space.grid import Array, Volume

PLACE = "the read"
NOTHING_LEFT = "nothing of it is left after the reader's edits"


def require_of_visit(read: Read, visit: VisitFolder, where: str, labels: Path | None = None) -> None:
    """Refuse a read of another visit, of other images, or of other labels than those that it is to be put on.

    Parameters
    ----------
    read : Read
    visit : VisitFolder
    where : str
        What messages call the read.
    labels : Path, optional
        Labels as found, where they are known.

    Raises
    ------
    InputRefused
        With everything that is not of this visit, each with both hashes.
    """
    made_of = Binding(read.code, read.ct_sha256 or ABSENT, read.pet_sha256 or ABSENT, read.labels_sha256 or ABSENT)
    binding_faults(made_of, visit, labels, where, PLACE).raise_if_any()


def put_read(found: Segmentation, read: Read, digest: str, ct: Volume | None, pet: Volume, where: str) -> Segmentation:
    """Put a read onto the labels that it was made of.

    Parameters
    ----------
    found : Segmentation
        Before any edits.
    read : Read
    digest : str
        SHA-256 of the read's file, kept in the provenance.
    ct : Volume or None
        HU.
    pet : Volume
        Uptake in any unit.
    where : str
        What messages call the read.

    Raises
    ------
    InputRefused
        When the outlines are not those that the reader saw, a vessel is accepted that is not there, or sides are
        exchanged.
    """
    labels = LabelMap(_with_voxels(found.labels.data, read, where), found.labels.grid)
    shown = outline_digest(labels.data)
    if shown != read.shown_sha256:
        what = f"its outlines have SHA-256 {shown}, and the reader saw {read.shown_sha256}"
        raise InputRefused.of(what, where, "open the visit in the workbench and finish it again")
    findings, told = _findings(found, labels, read, ct, pet)
    told = [*told, *_cut(found.labels, labels, read)]
    prefilled = {n for n, v in read.vessels.items() if v.seeds is not None and v.seeds.prefilled}
    vessels = {n: replace(f, prefilled=n in prefilled) for n, f in (found.vessels | findings).items()}
    decisions = {n: Decision(d.choice, said_by_reader(d.words, PLACE)) for n, d in read.decisions.items()}
    provenance: dict[str, Any] = {
        "read_sha256": digest,
        "reader": read.reader,
        "petflame": read.petflame,
        "log_head": read.log_head,
        "made": {name: vessel.made for name, vessel in read.vessels.items()},
        "prefilled": read.prefilled,
        "undecided": read.undecided,
    }
    placed = replace(found, labels=labels, landmarks_lps_mm={**found.landmarks_lps_mm, **read.landmarks_lps_mm})
    edited = with_decisions(placed, vessels, decisions, provenance, told, found.doubts, PLACE)
    return replace(edited, left_out=read.left_out)


def _with_voxels(found: Array, read: Read, where: str) -> Array:
    """Return the label map with the read's voxels in it, in the order of memory of the one found."""
    labels = found.copy(order="K")
    drawn = read.drawn
    beyond = [name for name, vessel in drawn.items() if len(vessel.runs) and vessel.runs[-1].sum() > labels.size]
    if beyond:
        what = f"its voxels of {', '.join(beyond)} lie beyond the label map of {labels.size} voxels"
        raise InputRefused.of(what, where, "name the read of this visit")
    labels[np.isin(labels, [BY_NAME[name].label for name in drawn])] = 0
    for name, vessel in drawn.items():
        labels[np.unravel_index(places_of(vessel.runs), labels.shape)] = BY_NAME[name].label
    return labels


def _cut(found: LabelMap, labels: LabelMap, read: Read) -> list[str]:
    """Say of which vessels, left as found, the reader's outlines take voxels."""
    said = []
    for name in (n for n in found.boxes if n in NAMES and n not in read.drawn):
        cut = found.cut(name)
        lost = int((cut.data & (labels.data[found.boxes[name]] != BY_NAME[name].label)).sum())
        if lost:
            said.append(
                f"what the reader drew takes {lost} of the {int(cut.data.sum())} voxels of {name}, left as found"
            )
    return said


def _findings(
    found: Segmentation, labels: LabelMap, read: Read, ct: Volume | None, pet: Volume
) -> tuple[dict[str, VesselFinding], list[str]]:
    """Return findings of the vessels that the reader drew, and what is told of them."""
    findings: dict[str, VesselFinding] = {}
    told = []
    seeds = drawable(read.seeds)
    by_seeds = [name for name, vessel in read.drawn.items() if vessel.made == "seeds"]
    if by_seeds and seeds.points_lps_mm and ct is not None and found.reference == "ct":
        landmarks = found.landmarks_lps_mm
        drawn, made = checked_vessels_from_seeds(seeds, ct, found.labels, found.vessels, landmarks, pet)
        over = labels.any_of(n for n, v in read.drawn.items() if v.made == "painted")
        for name in (n for n in by_seeds if n in made):
            number = BY_NAME[name].label
            if np.array_equal((drawn == number) & ~over, labels.data == number):
                findings[name] = made[name]
            else:
                told.append(f"the seeds of {name} give another outline than the reader saw, which is kept")
    rest = {name: vessel.made for name, vessel in read.drawn.items() if name not in findings}
    drawn_by_hand, more = _as_regions(labels, found, rest, ct)
    findings |= drawn_by_hand
    return {name: replace(f, method=f"{f.method}, {EDITED}") for name, f in findings.items()}, [*told, *more]


def _as_regions(
    labels: LabelMap, found: Segmentation, made: Mapping[str, str], ct: Volume | None
) -> tuple[dict[str, VesselFinding], list[str]]:
    """Describe and check some vessels of a finished label map, as those of an imported one."""
    if not made:
        return {}, []
    described = describe(labels, found.reference, "labels", found.landmarks_lps_mm, {})
    own = {name: described.vessels[name] for name in made}
    checked = check_imported(replace(described, vessels=own, warnings=()), ct)
    findings = {}
    for name, finding in checked.vessels.items():
        reason = finding.reason if len(finding.centreline_lps_mm) else NOTHING_LEFT
        findings[name] = replace(finding, method=made[name], reason=reason)
    shape = [f"{n}: {c.name}: {c.message}" for n, f in own.items() for c in f.checks if not c.passed]
    return findings, [*shape, *checked.warnings]


def drawable(seeds: Seeds) -> Seeds:
    """Return the seeds of those vessels that can be drawn: two points or more, without a gap or a missing radius."""
    points = {n: p for n, p in seeds.points_lps_mm.items() if not line_faults(n, p, seeds.radius_mm, PLACE)}
    radius = {name: value for name, value in seeds.radius_mm.items() if name in points}
    return Seeds(points, radius, seeds.landmarks_lps_mm)
