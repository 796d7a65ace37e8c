"""The best method available for each vessel: a reader's seeds, TotalSegmentator, the geometric finder, or nobody."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from petflame.anatomy import AORTA, ARTERIES, BY_LABEL, BY_NAME, NEIGHBOURS, VEINS, AutomaticRegions
from petflame.errors import InputRefused
from petflame.labelmap import LabelMap
from petflame.privacy import named
from petflame.segment.checks import require_laterality, vessel_centres
from petflame.segment.imports.opened import digest_of
from petflame.segment.product import Check, Segmentation, VesselFinding
from petflame.segment.proposals import draw_proposals
from petflame.segment.seed_places import require_in_patient
from petflame.segment.seeded import checked_vessels_from_seeds
from petflame.segment.seedfile import Seeds, read_seeds
from petflame.space.grid import Array, Volume

if TYPE_CHECKING:
    from petflame.segment.geometric import Proposal

NO_READER = "not found automatically: needs a reader's label or seeds"


def segment_automatically(
    ct: Volume,
    seeds_file: Path | None,
    geometric: bool = True,
    learned: Segmentation | None = None,
    pet: Volume | None = None,
    regions: AutomaticRegions = "landmarks",
) -> Segmentation:
    """Segment a CT without a label map.

    Parameters
    ----------
    ct : Volume
        HU.
    seeds_file : Path or None
        Seeds of a reader; what they describe wins over what is found.
    geometric : bool
        Whether to look for aorta and SVC automatically.
    learned : Segmentation or None
        What TotalSegmentator found on the same CT; its vessels that need no reader are preferred to the geometric ones.
    pet : Volume or None
        Uptake in any unit; vessels are followed between seeds on it too.
    regions : {'landmarks', 'former'}
        By which rules aorta and SVC are found.

    Raises
    ------
    InputRefused
        When the scan is outside what the finder is made for and no seeds are given, or vessels lie on the wrong side.
    """
    # In the order of memory of the file it is written to; against it writing takes many times as long.
    labels = np.zeros(ct.data.shape, np.uint8, order="F")
    findings: dict[str, VesselFinding] = {}
    landmarks: dict[str, tuple[float, float, float]] = {}
    provenance: dict[str, Any] = {"method": "auto" if geometric else "seeds"}
    warnings: list[str] = []
    seeds: Seeds | None = None
    proposals: dict[str, Proposal] = {}
    if seeds_file is not None:
        seeds = read_seeds(seeds_file)
        require_in_patient(seeds, ct, named(seeds_file.name, "the seeds"))
        provenance["source_sha256"] = digest_of(seeds_file)
    if geometric:
        from petflame.segment.geometric import find_vessels

        found = find_vessels(ct, regions)
        if found.scope_faults and seeds is None:
            raise InputRefused(found.scope_faults)
        warnings += [f"automatic segmentation: {fault}" for fault in found.scope_faults]
        labels = found.labels
        proposals = found.proposals
        landmarks |= {name.removesuffix("_level"): place for name, place in found.landmarks_lps_mm.items()}
        for name, item in found.vessels.items():
            checks = tuple(Check(c.name, c.passed, c.message) for c in item.checks)
            findings[name] = VesselFinding(
                "geometric", item.confidence, checks, item.centreline_lps_mm, item.withheld, item.reason
            )
    if learned is not None:
        findings |= _prefer(learned, labels, findings)
        landmarks |= learned.landmarks_lps_mm
        provenance["totalsegmentator"] = {k: v for k, v in learned.provenance.items() if k != "method"}
    if seeds is not None:
        drawn, from_seeds = checked_vessels_from_seeds(seeds, ct, LabelMap(labels, ct.grid), findings, landmarks, pet)
        for name in from_seeds:
            labels[labels == BY_NAME[name].label] = 0
        # Seeds are set on purpose; a neighbour found by rule gives way, a vessel does not.
        wanted = drawn > 0
        vessel = np.isin(labels[wanted], [r.label for r in BY_LABEL.values() if r.kind != "neighbour"])
        labels[wanted] = np.where(vessel, labels[wanted], drawn[wanted])
        findings |= from_seeds
        landmarks |= seeds.landmarks_lps_mm
    drawn, offered = draw_proposals({n: p for n, p in proposals.items() if n not in findings}, ct.grid)
    free = (drawn > 0) & (labels == 0)
    labels[free] = drawn[free]
    findings |= offered
    for name in (*ARTERIES, *VEINS):
        if name not in findings:
            findings[name] = VesselFinding("none", None, (), np.zeros((0, 3)), True, NO_READER)
    require_laterality(vessel_centres({n: f for n, f in findings.items() if not f.withheld}), "the segmentation")
    warnings += [f"{n}: needs a reader: {f.reason}" for n, f in findings.items() if f.withheld]
    ordered = {name: findings[name] for name in (*ARTERIES, *VEINS)}
    return Segmentation(LabelMap(labels, ct.grid), "ct", ordered, landmarks, provenance, tuple(warnings))


def _prefer(learned: Segmentation, labels: Array, findings: dict[str, VesselFinding]) -> dict[str, VesselFinding]:
    """Paint the vessels of another maker over `labels` and return their findings.

    The parts of the aorta share their borders, so all three come from one maker: the one that found the ascending and
    the descending part.
    """
    good = {n for n, f in learned.vessels.items() if not f.withheld}
    taken = good - set(AORTA) | (set(AORTA) if {AORTA[0], AORTA[2]} <= good else set())
    taken |= {n for n, f in learned.vessels.items() if n not in findings and len(f.centreline_lps_mm)}
    named = {n: learned.labels.mask(n).data for n in (*taken, *NEIGHBOURS)}
    for name in taken | {n for n in NEIGHBOURS if named[n].any()}:
        labels[labels == BY_NAME[name].label] = 0
    for name in NEIGHBOURS:
        labels[named[name] & (labels == 0)] = BY_NAME[name].label
    for name in taken:
        labels[named[name]] = BY_NAME[name].label
    return {n: learned.vessels[n] for n in taken}
