"""Vessel regions from a label map that a reader or another tool has made."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from petflame.anatomy import AORTA, ARTERIES, BY_LABEL, BY_NAME, VEINS
from petflame.errors import FaultList, InputRefused
from petflame.files import sha256
from petflame.labelmap import LabelMap
from petflame.segment.aorta import split_aorta
from petflame.segment.centreline import arched_centreline, axial_centreline
from petflame.segment.checks import check_mask, require_laterality, vessel_centres
from petflame.segment.imports.doors import called
from petflame.segment.imports.names import WHOLE_AORTA
from petflame.segment.imports.nifti import read_label_map
from petflame.segment.imports.places import require_orientation
from petflame.segment.imports.sidecar import Sidecar, read_sidecar
from petflame.segment.product import Segmentation, VesselFinding
from petflame.space.grid import Array, Grid, Volume

# No label map has more digits to its numbers.
LONGEST_NUMBER = 20


def segmentation_from_labels(path: Path, grids: dict[str, Grid], described: bool = True) -> Segmentation:
    """Read a label map that lies on the voxels of the visit's CT or PET and describe its vessels.

    Parameters
    ----------
    path : Path
        NIfTI label map; its axes may run in any order and direction. A JSON file of the same stem may name its numbers,
        ``{"3": "aorta_descending", ...}`` or ``{"labels": {...}, "landmarks_lps_mm": {name: [x, y, z]}}``; without one
        the numbers are those of `petflame.anatomy`. The name ``aorta`` stands for a whole aorta, which is divided.
    grids : dict
        'ct' and 'pet' grid of the visit, those that exist.
    described : bool
        False leaves out centrelines and checks of the vessels, which take most of the time.

    Raises
    ------
    InputRefused
        When the map lies on neither grid (both are named), holds numbers without a name, numbers that are not whole,
        no vessel at all, or lies mirrored, upside down or back to front.
    """
    where = called(path)
    sidecar = read_sidecar(path)
    allowed = {name: grid for name, grid in grids.items() if sidecar.grid in ("", name)}
    reference, volume = read_label_map(path, where, allowed or grids)
    data = _translate(volume.data, _numbered(sidecar), volume.grid, where)
    labels = LabelMap(data, volume.grid)
    provenance = {"method": "labels", "source_sha256": sha256(path)}
    if not vessels_in(labels):
        raise InputRefused.of("it holds no artery and no vein", where, "label at least one vessel")
    landmarks = dict(sidecar.landmarks_lps_mm)
    if not described:
        told = tuple(f"{where}: {doubt}" for doubt in (*sidecar.doubts, *require_orientation(labels, where)))
        return Segmentation(labels, reference, {}, landmarks, provenance, told, told)
    segmentation = describe(labels, reference, "labels", landmarks, provenance)
    require_laterality(vessel_centres(segmentation.vessels), where)
    doubts = (*sidecar.doubts, *require_orientation(labels, where))
    told = tuple(f"{where}: {doubt}" for doubt in doubts)
    return replace(segmentation, warnings=(*told, *segmentation.warnings), doubts=told)


def vessels_in(labels: LabelMap) -> set[str]:
    """Return the arteries and veins that a label map holds."""
    return {*labels.boxes} & {*ARTERIES, *VEINS}


def _numbered(sidecar: Sidecar) -> dict[int, str] | None:
    """Return the names of label numbers that the file beside a map gives; None where the numbers are our own."""
    if not sidecar.exists or (sidecar.landmarks_lps_mm and not sidecar.names):
        return None
    return {
        int(key): name for key, name in sidecar.names.items() if key.strip().isdecimal() and len(key) <= LONGEST_NUMBER
    }


def _translate(data: Array, names: dict[int, str] | None, grid: Grid, where: str) -> Array:
    labelled = data > 0
    numbers = data[labelled]
    found = [int(v) for v in np.flatnonzero(np.bincount(numbers))]
    names = names if names is not None else {k: r.name for k, r in BY_LABEL.items()}
    faults = FaultList()
    unnamed = [v for v in found if v not in names]
    if unnamed:
        remedy = "name them in a JSON file beside the map, or remove them"
        faults.add(f"label numbers {unnamed} have no name", where, remedy)
    faults.raise_if_any()
    table = np.zeros(max(found, default=0) + 1, np.uint8)
    for number in found:
        table[number] = BY_NAME[names[number]].label if names[number] in BY_NAME else 0
    result = np.zeros(data.shape, np.uint8)
    result[labelled] = table[numbers]
    for number in (n for n in found if names[n] == WHOLE_AORTA):
        whole = split_aorta(Volume(data == number, grid), where)
        result[whole > 0] = whole[whole > 0]
    return result


def describe(
    labels: LabelMap,
    reference: Literal["ct", "pet"],
    method: str,
    landmarks_lps_mm: dict[str, tuple[float, float, float]],
    provenance: dict[str, Any],
) -> Segmentation:
    """Add centreline and checks to every vessel of a finished label map."""
    findings: dict[str, VesselFinding] = {}
    for name in (*ARTERIES, *VEINS):
        if not labels.has(name):
            findings[name] = VesselFinding(method, None, (), np.zeros((0, 3)), True, "not in the label map")
            continue
        mask = labels.mask(name)
        if name == "aorta_arch":
            line = arched_centreline(Volume(labels.any_of(AORTA), labels.grid), mask.data)
        else:
            line = axial_centreline(mask, upwards=name in ("aorta_ascending", "carotid_right", "carotid_left"))
        findings[name] = VesselFinding(method, None, check_mask(mask, name != "aorta_arch"), line)
    warnings = [
        f"{name}: {check.name}: {check.message}"
        for name, finding in findings.items()
        for check in finding.checks
        if not check.passed
    ]
    return Segmentation(labels, reference, findings, landmarks_lps_mm, provenance, tuple(warnings))
