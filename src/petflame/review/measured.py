"""What one finished read measures: the vessels of its visit with its outlines, by the code that measures a study."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from petflame import __version__
from petflame.dicom.product import read_pet_sidecar
from petflame.errors import InputRefused
from petflame.files import plain, read_json, sha256, write_json
from petflame.folders import VisitFolder
from petflame.measure.folder import read_images
from petflame.measure.left_out import left_out_of
from petflame.measure.tables import slice_table, vessel_table
from petflame.measure.visit import read_vessels
from petflame.pair.index_vessel import choose_index_vessel
from petflame.protocol import Protocol
from petflame.review.places import ReviewPlaces
from petflame.segment.run import edit_visit

FORMAT = "petflame-measured-read/1"


@dataclass(frozen=True)
class ReadToMeasure:
    """One finished read and where it lies."""

    out: Path
    reader: str
    item: str
    code: str

    @property
    def path(self) -> Path:
        """The read."""
        return ReviewPlaces(self.out).read(self.reader, self.item)

    @property
    def kept(self) -> Path:
        """What was measured of it."""
        return ReviewPlaces(self.out).measured / self.reader / f"{self.item}.json"


def measured_read(read: ReadToMeasure, protocol: Protocol) -> dict[str, Any]:
    """Measure a read, or take what was measured of the same file by the same protocol and version.

    Returns
    -------
    dict
        ``vessels``: by name ``mean_tbr_max`` (ratio), ``background_suv`` (g/mL), ``valid_sections``, ``withheld``,
        ``reason``; ``index``: the candidate with the highest mean TBRmax of this read alone, or None;
        ``centrelines``: by name, LPS mm; ``reason``: why nothing was measured, or empty.
    """
    visit = VisitFolder(_folder(read))
    labels = visit.labels_found if visit.labels_found_json.exists() else visit.labels
    asked = {
        "format": FORMAT,
        "images_sha256": [sha256(p) if p.exists() else "" for p in (visit.ct, visit.pet, labels)],
        "petflame": __version__,
        "read_sha256": sha256(read.path),
        **protocol.stamp,
        # A table of sections left out counts beside the read.
        "left_out_sha256": [sha256(p) for p in visit.left_out if p.is_file()],
    }
    if read.kept.exists():
        try:
            found = read_json(read.kept)
        except InputRefused:
            found = {}
        if asked.items() <= found.items():
            return found
    made = {**asked, **plain(_measure(read, protocol))}
    # A refusal may be of the moment: a visit that is being segmented.
    if not made["reason"]:
        write_json(read.kept, made)
    return made


def _folder(read: ReadToMeasure) -> Path:
    return read.out / "visits" / read.code


def _measure(read: ReadToMeasure, protocol: Protocol) -> dict[str, Any]:
    visit = VisitFolder(_folder(read))
    try:
        segmentation = edit_visit(visit.root, read.path).segmentation
        rows, _ = left_out_of(visit, segmentation)
        images, is_suv = read_images(visit.root, segmentation)
        arteries = tuple(dict.fromkeys((*protocol.summary.index_candidates, *protocol.summary.target_vessels)))
        # Areas and peaks take most of the time, and no mean TBRmax hangs on them.
        blood, found = read_vessels(images, protocol, rows, arteries, with_areas=False, with_peaks=False)
    except InputRefused as refusal:
        why = "; ".join(fault.what for fault in refusal.faults)
        return {"vessels": {}, "index": None, "centrelines": {}, "reason": why}
    slices = slice_table(found, is_suv)
    spacing = protocol.region.slice_spacing_mm or images.pet.grid.spacing_mm[2]
    table = vessel_table(slices, found, segmentation, spacing, protocol, is_suv, blood)
    table = table[table["vessel"].isin(arteries)]
    choice = choose_index_vessel(table, protocol)
    keys = ("mean_tbr_max", "background_suv", "valid_sections", "withheld", "reason")
    lines = {n: f.centreline_lps_mm for n, f in segmentation.vessels.items() if len(f.centreline_lps_mm)}
    return {
        "vessels": {str(row["vessel"]): {key: row[key] for key in keys} for row in table.to_dict("records")},
        "index": choice.index,
        "index_notes": choice.notes,
        "centrelines": {name: np.round(line, 3) for name, line in lines.items()},
        "is_suv": read_pet_sidecar(visit).is_suv,
        "reason": "",
    }


def apart_mm(first: Any, second: Any) -> tuple[float, float] | None:
    """Return mean and largest distance of two centrelines where both run, in mm; None where they share no level.

    Each is looked at in planes 1 mm apart between the higher of the lower ends and the lower of the upper ends, so
    that a line that is longer than the other is not for that farther away.

    Parameters
    ----------
    first, second : (n, 3) sequences
        LPS mm.

    >>> apart_mm([[0, 0, 0], [0, 0, 10]], [[3, 4, 5], [3, 4, 20]])
    (5.0, 5.0)
    """
    lines = [np.asarray(line, float).reshape(-1, 3) for line in (first, second)]
    if any(len(line) < 2 for line in lines):
        return None
    low, high = max(line[:, 2].min() for line in lines), min(line[:, 2].max() for line in lines)
    if high <= low:
        return None
    levels = np.arange(low, high + 1e-9, 1.0)
    ordered = [line[np.argsort(line[:, 2], kind="stable")] for line in lines]
    places = [np.stack([np.interp(levels, line[:, 2], line[:, axis]) for axis in (0, 1)], axis=1) for line in ordered]
    distance = np.linalg.norm(places[0] - places[1], axis=1)
    return float(distance.mean()), float(distance.max())
