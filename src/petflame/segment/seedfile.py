"""Reading seeds: points along a vessel that a reader has set."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from petflame.anatomy import ARTERIES, VEINS
from petflame.errors import FaultList, InputRefused
from petflame.grid import Array, ras_to_lps

FARTHEST_APART_MM = 20.0
NAMES = (*ARTERIES, *VEINS)


@dataclass(frozen=True, eq=False)
class Seeds:
    """Points of a reader.

    Attributes
    ----------
    points_lps_mm : dict of (n, 3) arrays
        Along each vessel, from its lowest to its highest point.
    radius_mm : dict of float
        Radius that the reader gives, where one is given.
    landmarks_lps_mm : dict
        Name to (x, y, z).
    """

    points_lps_mm: dict[str, Array]
    radius_mm: dict[str, float] = field(default_factory=dict)
    landmarks_lps_mm: dict[str, tuple[float, float, float]] = field(default_factory=dict)


def read_seeds(path: Path) -> Seeds:
    """Read seeds from JSON, CSV or a 3D Slicer markups file (``.mrk.json``).

    JSON: ``{"carotid_right": [[x, y, z], ...], "radius_mm": {...}, "landmarks_lps_mm": {...}}``, LPS mm. CSV: columns
    vessel, x_mm, y_mm, z_mm (LPS) and, where wanted, radius_mm. Slicer: the labels of the control points, or else the
    name of the file, begin with the vessel's name; LPS and RAS files are both understood.

    Raises
    ------
    InputRefused
        With every unknown vessel, point that is no point, vessel with fewer than two points, and gap of more than
        20 mm between neighbouring points.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix.lower() == ".csv":
            raw, radius, landmarks = _from_csv(text)
        else:
            document = json.loads(text)
            raw, radius, landmarks = _from_slicer(document, path) if "markups" in document else _from_json(document)
    except FileNotFoundError:
        raise InputRefused.of("the seeds file is missing", str(path), "name a file that exists") from None
    except (OSError, ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        what = f"it cannot be read as seeds ({type(error).__name__}: {error})"
        remedy = 'write {"carotid_right": [[x, y, z], ...]} in LPS mm, a CSV, or a Slicer markups file'
        raise InputRefused.of(what, path.name, remedy) from None
    return Seeds(_checked(raw, path.name), radius, landmarks)


_Parts = tuple[dict[str, list[Any]], dict[str, float], dict[str, tuple[float, float, float]]]


def _from_json(document: dict[str, Any]) -> _Parts:
    radius = {str(k): float(v) for k, v in document.get("radius_mm", {}).items()}
    landmarks = {
        str(k): (float(v[0]), float(v[1]), float(v[2])) for k, v in document.get("landmarks_lps_mm", {}).items()
    }
    points = {k: list(v) for k, v in document.items() if k not in ("radius_mm", "landmarks_lps_mm")}
    return points, radius, landmarks


def _from_csv(text: str) -> _Parts:
    points: dict[str, list[Any]] = {}
    radius: dict[str, float] = {}
    for row in csv.DictReader(text.splitlines()):
        name = row["vessel"].strip()
        points.setdefault(name, []).append([float(row[f"{axis}_mm"]) for axis in "xyz"])
        if row.get("radius_mm"):
            radius[name] = float(row["radius_mm"])
    return points, radius, {}


def _from_slicer(document: dict[str, Any], path: Path) -> _Parts:
    points: dict[str, list[Any]] = {}
    for markup in document["markups"]:
        to_lps = ras_to_lps if markup.get("coordinateSystem", "LPS") == "RAS" else np.asarray
        for control in markup["controlPoints"]:
            label = re.sub(r"[-_ ]?\d+$", "", str(control.get("label", "")))
            name = label if label in NAMES else path.name.split(".")[0]
            points.setdefault(name, []).append(to_lps(np.asarray(control["position"], float)).tolist())
    return points, {}, {}


def _checked(raw: dict[str, list[Any]], where: str) -> dict[str, Array]:
    faults = FaultList()
    points = {}
    for name, values in raw.items():
        if name not in NAMES:
            faults.add(f"{name!r} is no vessel", where, f"use the names {', '.join(NAMES)}")
            continue
        try:
            array = np.asarray(values, float).reshape(-1, 3)
        except (ValueError, TypeError):
            array = np.full((1, 3), np.nan)
        if not np.isfinite(array).all():
            faults.add(f"{name} holds something that is not a point", where, "give x, y, z in mm for each")
            continue
        array = array[np.argsort(array[:, 2], kind="stable")]
        if len(array) < 2:
            faults.add(f"{name} has {len(array)} point(s)", where, "set at least two, and one every 20 mm")
            continue
        gaps = np.linalg.norm(np.diff(array, axis=0), axis=1)
        if gaps.max() > FARTHEST_APART_MM + 5.0:
            at = float(array[int(gaps.argmax()), 2])
            what = f"{name} has a gap of {gaps.max():.0f} mm above z = {at:.0f} mm"
            faults.add(what, where, "set a point at least every 20 mm")
            continue
        points[name] = array
    if not raw:
        faults.add("it holds no vessel", where, "set seeds for at least one vessel")
    faults.raise_if_any()
    return points
