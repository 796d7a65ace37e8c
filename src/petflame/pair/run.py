"""Pairing two measured visits of one participant: remeasure, match, grade, write."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from petflame import __version__
from petflame.anatomy import ARTERIES
from petflame.errors import FaultList
from petflame.files import read_tsv, write_json, write_tsv
from petflame.folders import VisitFolder
from petflame.measure.product import MeasuredVisit, read_measured
from petflame.pair.alignment import body_shifts, vessel_shifts
from petflame.pair.columns import CHANGE_COLUMNS, PATIENT_COLUMNS, SECTION_COLUMNS
from petflame.pair.comparability import (
    SAME_MEASUREMENT,
    Item,
    VisitFacts,
    as_rows,
    compare,
    facts_of,
    overall,
    same_measurement,
    with_not_measured,
)
from petflame.pair.coverage import coverage, coverage_items
from petflame.pair.rows import (
    PairedVessel,
    candidate_cells,
    pair_vessel,
    patient_row,
    ratio,
    section_rows,
    vessel_row,
)
from petflame.pair.sealing import Sealed, seal_baseline
from petflame.pair.variations import COLUMNS as VARIATION_COLUMNS
from petflame.pair.variations import pair_variations
from petflame.protocol import Protocol
from petflame.repeatability import Repeatability

if TYPE_CHECKING:
    from petflame.measure.images import VisitImages
    from petflame.pair.following import Followed


@dataclass(frozen=True, eq=False)
class FollowedUp:
    """The follow-up as it counts: as its visit was measured, or again inside the baseline's contours.

    Attributes
    ----------
    visit : MeasuredVisit
    followed : dict
        Vessel to its map from baseline, where registration was asked for.
    contours : dict
        Vessel to whose contours it was measured in, where not its own.
    """

    visit: MeasuredVisit
    followed: dict[str, Followed] = field(default_factory=dict)
    contours: dict[str, str] = field(default_factory=dict)


def pair_visits(
    baseline: Path, followup: Path, out: Path, participant_id: str, protocol: Protocol, **choices: Any
) -> dict[str, Any]:
    """Seal the baseline (`seal_baseline`), then pair the follow-up with it (`pair_followup`, which takes `choices`)."""
    return pair_followup(seal_baseline(baseline, out, protocol), followup, participant_id, **choices)


def pair_followup(
    sealed: Sealed,
    followup: Path,
    participant_id: str,
    glucose_mmol_l: tuple[float | None, float | None] = (None, None),
    repeatability: Repeatability | None = None,
) -> dict[str, Any]:
    """Pair a measured follow-up with a sealed baseline and write the pair's tables.

    Parameters
    ----------
    sealed : Sealed
    followup : Path
        Visit folder.
    participant_id : str
    glucose_mmol_l : pair of float or None
        Baseline, follow-up.
    repeatability : Repeatability, optional
        What the bands rest on; default is the protocol's.

    Returns
    -------
    dict
        The participant's row of ``patients.tsv``.

    Raises
    ------
    InputRefused
        When the follow-up is not measured under the protocol of the seal.
    """
    protocol = sealed.protocol
    second = remeasured(sealed, VisitFolder(followup))
    paired = matched(sealed, second)
    facts = facts_of(sealed.visit, glucose_mmol_l[0]), facts_of(second.visit, glucose_mmol_l[1])
    items = graded(sealed.visit, second.visit, paired, facts, protocol)
    grade, reasons = overall(items)
    noise = repeatability or Repeatability.of(protocol.change)
    rows = [vessel_row(v, participant_id, sealed.index_vessel, noise) for v in paired.values()]
    patient = patient_row(paired, rows, sealed.index_vessel, participant_id, protocol, facts, noise)
    patient |= {
        "comparability": grade,
        "comparability_reasons": "; ".join(reasons),
        **candidate_cells(sealed.choice.considered, sealed.choice.left_out),
        "index_seal": sealed.seal,
        "code": sealed.folder.root.name,
    }
    variations = pair_variations((sealed.visit.variations, second.visit.variations), paired, participant_id, protocol)
    _write(sealed, patient, rows, paired, items, variations, second.followed)
    return patient


def remeasured(sealed: Sealed, followup: VisitFolder) -> FollowedUp:
    """Read the follow-up; register it to the baseline and measure it in its contours, where the protocol asks."""
    rules = sealed.protocol.pairing
    second = read_measured(followup, sealed.protocol)
    propagated = sealed.folder.propagated
    # Left from another protocol it would be taken for this one's.
    shutil.rmtree(propagated, ignore_errors=True)
    if not rules.registers:
        return FollowedUp(second)
    followed, images, is_suv = _follow(sealed, followup, second)
    if rules.followup_contours != "baseline":
        return FollowedUp(second, followed)
    from petflame.pair.propagation import remeasure

    again = remeasure(followup.root, images, is_suv, sealed.visit, second, followed, sealed.protocol)
    again.write(propagated)
    return FollowedUp(again.visit, followed, again.contours)


def matched(sealed: Sealed, second: FollowedUp) -> dict[str, PairedVessel]:
    """Put every vessel's two visits side by side, section by section."""
    first, protocol = sealed.visit, sealed.protocol
    by_map = second.followed if protocol.pairing.correspondence == "registration" else {}
    return {
        name: pair_vessel(
            name, first, second.visit, sealed.locked, protocol, by_map.get(name), second.contours.get(name, "own")
        )
        for name in map(str, first.vessels["vessel"])
    }


def graded(
    first: MeasuredVisit,
    second: MeasuredVisit,
    paired: dict[str, PairedVessel],
    facts: tuple[VisitFacts, VisitFacts],
    protocol: Protocol,
) -> list[Item]:
    """Grade everything that makes the two scans comparable or not."""
    rules = protocol.comparability
    references = first.segmentation.reference, second.segmentation.reference
    areas = {name: ratio(v.b.get("mean_area_mm2"), v.a.get("mean_area_mm2")) for name, v in paired.items() if v.a}
    items = compare(*facts, {name: area for name, area in areas.items() if area is not None}, protocol)
    items += same_measurement(
        {
            name: ({k: v.a.get(k) for k in SAME_MEASUREMENT}, {k: v.b.get(k) for k in SAME_MEASUREMENT})
            for name, v in paired.items()
            if v.a.get("mean_tbr_max") and v.b.get("mean_tbr_max")
        },
        references,
    )
    items += vessel_shifts(
        {name: (v.a, v.b) for name, v in paired.items() if v.a and v.b},
        references,
        (first.pet.in_plane_mm, second.pet.in_plane_mm),
        rules,
    )
    items += body_shifts((first.segmentation, second.segmentation), rules.pet_ct_shift_z_mm)
    grids = first.segmentation.labels.grid, second.segmentation.labels.grid
    spacing = float(first.details["section_spacing_mm"])
    items += coverage_items(
        {n: coverage(v.correspondence, v.slices, grids, spacing) for n, v in paired.items() if v.correspondence},
        tuple({*protocol.summary.index_candidates, *protocol.summary.target_vessels}),
        rules.coverage_sections,
    )
    return with_not_measured(items, rules.not_measured)


def _follow(
    sealed: Sealed, followup: VisitFolder, second: MeasuredVisit
) -> tuple[dict[str, Followed], VisitImages, bool]:
    """Register every vessel from baseline to follow-up; also the follow-up's images and whether they are in SUV."""
    from petflame.measure.folder import read_images
    from petflame.pair.following import Scan, follow, not_followed

    before, _ = read_images(sealed.baseline.root, sealed.visit.segmentation)
    after, is_suv = read_images(followup.root, second.segmentation)
    if before.ct is None or after.ct is None or "pet" in (before.segmentation.reference, after.segmentation.reference):
        what = "a CT and labels on it are needed at both visits to register them"
        return dict.fromkeys(filter(before.has, ARTERIES), not_followed(what)), after, is_suv
    scans = Scan(before.ct, before.labels), Scan(after.ct, after.labels)
    return follow(*scans, ARTERIES, sealed.protocol.pairing), after, is_suv


def _write(
    sealed: Sealed,
    patient: dict[str, Any],
    rows: list[dict[str, Any]],
    paired: dict[str, PairedVessel],
    items: list[Item],
    variations: list[dict[str, Any]],
    followed: dict[str, Followed],
) -> None:
    import pandas as pd

    folder, protocol = sealed.folder, sealed.protocol
    write_tsv(folder.variations, pd.DataFrame(variations, columns=list(VARIATION_COLUMNS)), VARIATION_COLUMNS)
    write_tsv(folder.vessels, pd.DataFrame(rows, columns=list(CHANGE_COLUMNS)), CHANGE_COLUMNS)
    sections = [row for v in paired.values() for row in section_rows(v)]
    table = pd.DataFrame(sections, columns=list(SECTION_COLUMNS))
    numbers = ["section_baseline", "section_followup"]
    write_tsv(folder.sections, table.astype(dict.fromkeys(numbers, "Int64")), SECTION_COLUMNS)
    write_tsv(folder.patient, pd.DataFrame([patient], columns=list(PATIENT_COLUMNS)), PATIENT_COLUMNS)
    write_json(
        folder.pair_json,
        {
            **protocol.stamp,
            "petflame_version": __version__,
            "participant_id": patient["participant_id"],
            "index_vessel": patient["index_vessel"],
            "index_notes": sealed.choice.notes,
            "comparability": patient["comparability"],
            "comparability_items": as_rows(items),
            "correspondence": {r["vessel"]: r["correspondence"] for r in rows},
            "registration": {
                name: {"correlation": f.correlation, "return_mm": f.return_mm, "refused": f.refused}
                for name, f in followed.items()
            },
            "published_repeatability_percent": protocol.change.published_bands_percent,
        },
    )


def glucose_from_visits(path: Path, participant_id: str) -> tuple[float | None, float | None]:
    """Glucose of a participant's two visits from ``visits.tsv``; None where it is not given.

    Raises
    ------
    InputRefused
        When the table is faulty or does not hold the participant.
    """
    from petflame.study import VISIT_TEXT, VISITS, read_visits

    table = read_tsv(path, required=("participant_id", "visit", "dicom_dir"), text=VISIT_TEXT)
    rows = {v.visit: v for v in read_visits(table, path.parent, str(path)) if v.participant_id == participant_id}
    faults = FaultList()
    if not rows:
        faults.add(f"participant {participant_id!r} has no row", str(path), "mend --participant or the table")
    faults.raise_if_any()
    first, second = (rows[v].glucose_mmol_l if v in rows else None for v in VISITS)
    return first, second
