"""Pairing two measured visits of one participant."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from petflame import __version__
from petflame.anatomy import ARTERIES
from petflame.errors import FaultList, InputRefused
from petflame.files import read_json, read_tsv, sha256, write_json, write_tsv
from petflame.fingerprint import hash_file
from petflame.folders import PairFolder, VisitFolder
from petflame.pair.alignment import body_shifts, vessel_shifts
from petflame.pair.columns import CHANGE_COLUMNS, PATIENT_COLUMNS, SECTION_COLUMNS
from petflame.pair.comparability import (
    SAME_MEASUREMENT,
    as_rows,
    compare,
    facts_of,
    overall,
    same_measurement,
    with_not_measured,
)
from petflame.pair.coverage import coverage, coverage_items
from petflame.pair.index_vessel import choose_index_vessel, locked_sections
from petflame.pair.rows import MeasuredVisit, PairedVessel, pair_vessel, patient_row, ratio, section_rows, vessel_row
from petflame.pair.variations import COLUMNS as VARIATION_COLUMNS
from petflame.pair.variations import pair_variations
from petflame.protocol import Protocol
from petflame.repeatability import Repeatability
from petflame.seal import read_sealed, sealed
from petflame.segment.product import read_segmentation

if TYPE_CHECKING:
    from petflame.measure.images import VisitImages
    from petflame.pair.following import Followed


def read_measured(root: Path, protocol: Protocol) -> MeasuredVisit:
    """Read a measured visit folder.

    Raises
    ------
    InputRefused
        When the visit is not measured, or was measured under another protocol.
    """
    visit = VisitFolder(root)
    details = read_json(visit.measure_json, "run `petflame measure` first")
    if details.get("protocol_sha256") != protocol.digest:
        raise InputRefused.of(
            f"it was measured under the protocol {details.get('protocol')!r}, not under {protocol.name!r} as it is now",
            str(visit.measure_json),
            "measure the visit again with the same --protocol",
        )
    return MeasuredVisit(
        read_tsv(visit.slices, required=("vessel", "section", "arc_mm", "tbr_max", "valid")),
        read_tsv(visit.vessels, required=("vessel", "mean_tbr_max", "withheld"), text=("mds_sections",)),
        details,
        read_json(visit.pet_json),
        read_segmentation(visit),
    )


def seal_baseline(baseline: Path, out: Path, protocol: Protocol) -> tuple[MeasuredVisit, dict[str, Any]]:
    """Choose index vessel and locked sections from baseline alone and write them to ``index.json`` of the pair.

    Raises
    ------
    InputRefused
        When the visit is not measured under this protocol or no index vessel can be chosen.
    """
    first = read_measured(baseline, protocol)
    index, notes = choose_index_vessel(first.vessels, protocol)
    if index is None:
        raise InputRefused.of(
            f"no index vessel can be chosen: {'; '.join(notes)}",
            f"{baseline.name}/vessels.tsv",
            "segment a target vessel of the baseline visit, or let a reader confirm one",
        )
    seal = sealed(
        {
            **protocol.stamp,
            "index_vessel": index,
            "tbr_max_baseline": first.row(index)["mean_tbr_max"],
            "notes": notes,
            "baseline_sha256": {n: sha256(baseline / n) for n in ("vessels.tsv", "slices.tsv")},
            "locked_sections": locked_sections(first.slices, first.vessels, protocol),
        }
    )
    write_json(PairFolder(out).index, seal)
    return first, seal


def read_index(folder: PairFolder, baseline: VisitFolder) -> dict[str, Any]:
    """Read the sealed index vessel of a pair.

    Raises
    ------
    InputRefused
        When it is not as it was sealed, or was sealed from other tables of the baseline than lie there.
    """
    remedy = f"run the workflow again, which makes `petflame pair` of {folder.root.name} anew"
    seal = read_sealed(folder.index, remedy)
    for name, digest in seal["baseline_sha256"].items():
        if hash_file(baseline.root / name) != digest:
            what = f"the index vessel was sealed from another {name} of the baseline visit than lies there"
            raise InputRefused.of(what, f"{folder.root.name}/index.json", remedy)
    return seal


def pair_visits(
    baseline: Path,
    followup: Path,
    out: Path,
    participant_id: str,
    protocol: Protocol,
    glucose_mmol_l: tuple[float | None, float | None] = (None, None),
    repeatability: Repeatability | None = None,
) -> dict[str, Any]:
    """Pair two measured visits; the index vessel is sealed in ``index.json`` before follow-up is read.

    Parameters
    ----------
    baseline, followup : Path
        Visit folders.
    out : Path
        Pair folder.
    participant_id : str
    protocol : Protocol
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
        When a visit is not measured under this protocol or no index vessel can be chosen.
    """
    import pandas as pd

    folder = PairFolder(out)
    first, seal = seal_baseline(baseline, out, protocol)
    index, locked = seal["index_vessel"], seal["locked_sections"]
    second = read_measured(followup, protocol)
    tables = [read_tsv(VisitFolder(root).variations, text=("variation", "reason")) for root in (baseline, followup)]
    # Left from another protocol it would be taken for this one's.
    shutil.rmtree(folder.propagated, ignore_errors=True)
    followed: dict[str, Followed] = {}
    contours: dict[str, str] = {}
    if protocol.pairing.registers:
        followed, images, is_suv = _follow(baseline, followup, protocol)
        if protocol.pairing.followup_contours == "baseline":
            from petflame.pair.propagation import remeasure

            again = remeasure(followup, images, is_suv, first, second, followed, protocol)
            second, tables[1], contours = again.visit, again.variations, again.contours
            again.write(folder.propagated)
    by_map = followed if protocol.pairing.correspondence == "registration" else {}
    paired = {
        name: pair_vessel(name, first, second, locked, protocol, by_map.get(name), contours.get(name, "own"))
        for name in map(str, first.vessels["vessel"])
    }
    facts = (
        facts_of(first.sidecar, first.details, glucose_mmol_l[0]),
        facts_of(second.sidecar, second.details, glucose_mmol_l[1]),
    )
    areas = {name: ratio(v.b.get("mean_area_mm2"), v.a.get("mean_area_mm2")) for name, v in paired.items() if v.a}
    items = compare(*facts, {name: area for name, area in areas.items() if area is not None}, protocol)
    items += same_measurement(
        {
            name: ({k: v.a.get(k) for k in SAME_MEASUREMENT}, {k: v.b.get(k) for k in SAME_MEASUREMENT})
            for name, v in paired.items()
            if v.a.get("mean_tbr_max") and v.b.get("mean_tbr_max")
        },
        (first.segmentation.reference, second.segmentation.reference),
    )
    items += vessel_shifts(
        {name: (v.a, v.b) for name, v in paired.items() if v.a and v.b},
        (first.segmentation.reference, second.segmentation.reference),
        (_in_plane_mm(first.sidecar), _in_plane_mm(second.sidecar)),
        protocol.comparability,
    )
    items += body_shifts((first.segmentation, second.segmentation), protocol.comparability.pet_ct_shift_z_mm)
    grids = first.segmentation.labels.grid, second.segmentation.labels.grid
    spacing = float(first.details["section_spacing_mm"])
    items += coverage_items(
        {n: coverage(v.correspondence, v.slices, grids, spacing) for n, v in paired.items() if v.correspondence},
        tuple({*protocol.summary.index_candidates, *protocol.summary.target_vessels}),
        protocol.comparability.coverage_sections,
    )
    items = with_not_measured(items, protocol.comparability.not_measured)
    grade, reasons = overall(items)
    variations = pair_variations((tables[0], tables[1]), paired, participant_id, protocol)
    noise = repeatability or Repeatability.of(protocol.change)
    rows = [vessel_row(v, participant_id, index, noise) for v in paired.values()]
    patient = patient_row(paired, rows, index, participant_id, protocol, facts, noise)
    patient |= {
        "comparability": grade,
        "comparability_reasons": "; ".join(reasons),
        "index_seal": seal["seal"],
        "code": out.name,
    }
    _write(folder, patient, rows, paired, items, seal["notes"], followed, protocol)
    table = pd.DataFrame(variations, columns=list(VARIATION_COLUMNS))
    write_tsv(folder.variations, table, VARIATION_COLUMNS)
    return patient


def _follow(baseline: Path, followup: Path, protocol: Protocol) -> tuple[dict[str, Followed], VisitImages, bool]:
    """Register every vessel from baseline to follow-up; also the follow-up's images and whether they are in SUV."""
    from petflame.measure.folder import read_images
    from petflame.pair.following import Scan, follow, not_followed

    before, _ = read_images(baseline)
    after, is_suv = read_images(followup)
    if before.ct is None or after.ct is None or "pet" in (before.segmentation.reference, after.segmentation.reference):
        what = "a CT and labels on it are needed at both visits to register them"
        return dict.fromkeys(filter(before.has, ARTERIES), not_followed(what)), after, is_suv
    scans = Scan(before.ct, before.labels), Scan(after.ct, after.labels)
    return follow(*scans, ARTERIES, protocol.pairing), after, is_suv


def _in_plane_mm(sidecar: dict[str, Any]) -> float | None:
    size = sidecar.get("voxel_size_mm")
    return max(size[:2]) if size else None


def _write(
    folder: PairFolder,
    patient: dict[str, Any],
    rows: list[dict[str, Any]],
    paired: dict[str, PairedVessel],
    items: list[Any],
    notes: list[str],
    followed: dict[str, Followed],
    protocol: Protocol,
) -> None:
    import pandas as pd

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
            "index_notes": notes,
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
