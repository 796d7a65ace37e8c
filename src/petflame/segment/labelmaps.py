"""Vessel regions from a label map that a reader or another tool has made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import numpy as np

from petflame.anatomy import AORTA, ARTERIES, BY_LABEL, BY_NAME, VEINS
from petflame.errors import FaultList, InputRefused
from petflame.files import read_nifti, sha256
from petflame.grid import Array, Grid, Volume
from petflame.segment.aorta import split_aorta
from petflame.segment.centreline import arched_centreline, axial_centreline
from petflame.segment.checks import check_mask, require_laterality, vessel_centres
from petflame.segment.imports.sidecar import sidecar_path
from petflame.segment.product import Segmentation, VesselFinding

WHOLE_AORTA = "aorta"
LARGEST_LABEL = 65535


def segmentation_from_labels(path: Path, grids: dict[str, Grid]) -> Segmentation:
    """Read a label map that lies on the CT or the PET grid of the visit and describe its vessels.

    Parameters
    ----------
    path : Path
        NIfTI label map. A JSON file of the same stem may name its numbers, ``{"3": "aorta_descending", ...}`` or
        ``{"labels": {...}, "landmarks_lps_mm": {name: [x, y, z]}}``; without one the numbers are those of
        `petflame.anatomy`. The name ``aorta`` stands for a whole aorta, which is then divided.
    grids : dict
        'ct' and 'pet' grid of the visit, those that exist.

    Raises
    ------
    InputRefused
        When the map lies on neither grid (both are named), holds numbers without a name, numbers that are not whole,
        no vessel at all, or vessels on the wrong side.
    """
    volume = read_nifti(path, "name a NIfTI label map")
    where = path.name
    reference = _reference_grid(volume.grid, grids, where)
    names, landmarks = _sidecar(path)
    data = _translate(volume.data, names, volume.grid, where)
    segmentation = describe(
        Volume(data, volume.grid),
        reference,
        "labels",
        landmarks,
        {"method": "labels", "source_sha256": sha256(path)},
    )
    centres = vessel_centres(segmentation.vessels)
    if not centres:
        raise InputRefused.of("it holds no artery and no vein", where, "label at least one vessel")
    require_laterality(centres, where)
    return segmentation


def _reference_grid(grid: Grid, grids: dict[str, Grid], where: str) -> Literal["ct", "pet"]:
    if "ct" in grids and grid.same_as(grids["ct"], 0.01):
        return "ct"
    if "pet" in grids and grid.same_as(grids["pet"], 0.01):
        return "pet"
    known = "; ".join(f"{name.upper()}: {g.describe()}" for name, g in grids.items())
    raise InputRefused.of(
        f"its grid ({grid.describe()}) is neither that of the CT nor that of the PET ({known})",
        where,
        "export the labels on the grid of this visit's CT or PET, without resampling them to another image",
    )


def _sidecar(path: Path) -> tuple[dict[int, str] | None, dict[str, tuple[float, float, float]]]:
    sidecar = sidecar_path(path)
    if not sidecar.exists():
        return None, {}
    try:
        document: Any = json.loads(sidecar.read_text(encoding="utf-8"))
        nested = "labels" in document
        names = {int(k): str(v) for k, v in (document["labels"] if nested else document).items()}
        landmarks = {
            str(k): (float(v[0]), float(v[1]), float(v[2]))
            for k, v in (document.get("landmarks_lps_mm", {}) if nested else {}).items()
        }
    except (ValueError, TypeError, AttributeError, IndexError, KeyError) as error:
        what = f"it is not a table of label numbers and names ({error})"
        raise InputRefused.of(what, sidecar.name, 'write {"labels": {"1": "aorta_ascending", ...}}') from None
    unknown = [f"{k}: {v}" for k, v in sorted(names.items()) if v not in BY_NAME and v != WHOLE_AORTA]
    if unknown:
        remedy = f"use the names {', '.join((*BY_NAME, WHOLE_AORTA))}"
        raise InputRefused.of(f"unknown region names ({', '.join(unknown)})", sidecar.name, remedy)
    return names, landmarks


def _translate(data: Array, names: dict[int, str] | None, grid: Grid, where: str) -> Array:
    if not np.issubdtype(data.dtype, np.integer):
        if not np.isfinite(data).all() or (data != np.round(data)).any():
            raise InputRefused.of("its values are not whole numbers", where, "give a label map, not a probability map")
        data = data.astype(np.int64)
    if data.min() < 0 or data.max() > LARGEST_LABEL:
        what = f"its values run from {data.min()} to {data.max()}"
        raise InputRefused.of(what, where, f"give label numbers from 0 to {LARGEST_LABEL}")
    found = [int(v) for v in np.flatnonzero(np.bincount(data.ravel())) if v != 0]
    names = names if names is not None else {k: r.name for k, r in BY_LABEL.items()}
    faults = FaultList()
    unnamed = [v for v in found if v not in names]
    if unnamed:
        remedy = "name them in a JSON file beside the map, or remove them"
        faults.add(f"label numbers {unnamed} have no name", where, remedy)
    faults.raise_if_any()
    table = np.zeros(max(found, default=0) + 1, np.uint8)
    for number in found:
        table[number] = BY_NAME[names[number]].label if names[number] != WHOLE_AORTA else 0
    result = table[data]
    for number in (n for n in found if names[n] == WHOLE_AORTA):
        whole = split_aorta(Volume(data == number, grid), where)
        result[whole > 0] = whole[whole > 0]
    return result


def describe(
    labels: Volume,
    reference: Literal["ct", "pet"],
    method: str,
    landmarks_lps_mm: dict[str, tuple[float, float, float]],
    provenance: dict[str, Any],
) -> Segmentation:
    """Add centreline and checks to every vessel of a finished label map (numbers of `petflame.anatomy`)."""
    findings: dict[str, VesselFinding] = {}
    present = set(np.flatnonzero(np.bincount(labels.data.ravel())).tolist())
    for name in (*ARTERIES, *VEINS):
        if BY_NAME[name].label not in present:
            findings[name] = VesselFinding(method, None, (), np.zeros((0, 3)), True, "not in the label map")
            continue
        mask = Volume(labels.data == BY_NAME[name].label, labels.grid)
        if name == "aorta_arch":
            whole = np.isin(labels.data, [BY_NAME[part].label for part in AORTA])
            line = arched_centreline(Volume(whole, labels.grid), mask.data)
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
