"""Reading seeds: points along a vessel that a reader has set."""

from __future__ import annotations

import csv
import json
import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from petflame.anatomy import AORTA, ARTERIES, VEINS
from petflame.errors import FaultList, InputRefused
from petflame.grid import Array, ras_to_lps
from petflame.segment.anatomy_limits import ANATOMY

FARTHEST_APART_MM = 20.0
# A reader clicks whole slices: 20 mm apart can come out a slice more.
GAP_TOLERANCE_MM = 5.0
NAMES = (*ARTERIES, *VEINS)
LANDMARKS = ("carotid_bifurcation_right", "carotid_bifurcation_left", "carina", "right_pulmonary_artery")


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

    JSON: ``{"carotid_right": [[x, y, z], ...], "carotid_bifurcation_right": [[x, y, z]], "radius_mm": {...}}``, LPS mm.
    CSV: columns vessel, x_mm, y_mm, z_mm (LPS) and, where wanted, radius_mm. Slicer: the labels of the control points,
    or else the name of the file, begin with the vessel's name; LPS and RAS files are both understood. A landmark is
    a name of `LANDMARKS` with a single point.

    Raises
    ------
    InputRefused
        With every unknown vessel, point that is no point, vessel with fewer than two points, gap of more than 20 mm
        between neighbouring points, part of the aorta without a radius, and landmark that is not one point.
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
    return _checked(raw, radius, landmarks, path.name)


_Parts = tuple[dict[str, list[Any]], dict[str, float], dict[str, list[Any]]]


def _from_json(document: dict[str, Any]) -> _Parts:
    radius = {str(k): float(v) for k, v in document.get("radius_mm", {}).items()}
    landmarks = {str(k): [list(v)] for k, v in document.get("landmarks_lps_mm", {}).items()}
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
            name = label if label in (*NAMES, *LANDMARKS) else path.name.split(".")[0]
            points.setdefault(name, []).append(to_lps(np.asarray(control["position"], float)).tolist())
    return points, {}, {}


def _checked(
    raw: dict[str, list[Any]], radius_mm: dict[str, float], landmarks: dict[str, list[Any]], where: str
) -> Seeds:
    faults = FaultList()
    found: dict[str, tuple[float, float, float]] = {}
    points = {}
    for name, values in [*landmarks.items(), *raw.items()]:
        is_landmark = name in LANDMARKS or name in landmarks
        if name not in (*NAMES, *LANDMARKS):
            what = f"{name!r} is no landmark" if is_landmark else f"{name!r} is no vessel"
            faults.add(what, where, f"use the names {', '.join(LANDMARKS if is_landmark else NAMES)}")
            continue
        array = _points(values)
        if array is None:
            faults.add(f"{name} holds something that is not a point", where, "give x, y, z in mm for each")
        elif is_landmark and len(array) != 1:
            faults.add(f"{name} has {len(array)} points", where, "a landmark is one point")
        elif is_landmark:
            found[name] = (float(array[0, 0]), float(array[0, 1]), float(array[0, 2]))
        else:
            points[name] = array[np.argsort(array[:, 2], kind="stable")]
            faults.extend(_line_faults(name, points[name], radius_mm, where))
    if not raw and not landmarks:
        faults.add("it holds no vessel", where, "set seeds for at least one vessel")
    sides = [found.get(f"carotid_bifurcation_{side}") for side in ("right", "left")]
    if sides[0] is not None and sides[1] is not None and sides[0][0] >= sides[1][0]:
        faults.add("the carotid bifurcations are mirrored", where, "exchange right and left; x grows to the left (LPS)")
    bad = [name for name, value in radius_mm.items() if not 0 < value < math.inf]
    if bad:
        faults.add(f"the radius of {', '.join(bad)} is not above zero", where, "give it in mm")
    for name, value in radius_mm.items():
        if name not in ANATOMY:
            remedy = f"use the names {', '.join(NAMES)}"
            faults.add(f"{name!r} has a radius and is no vessel", where, remedy)
            continue
        least, most = ANATOMY[name].possible_radius_mm
        if name not in bad and not least <= value <= most:
            what = f"{name} has a radius of {value:g} mm, which it cannot have ({least:g} to {most:g} mm)"
            faults.add(what, where, "give the radius, not the diameter, in mm")
    faults.raise_if_any()
    return Seeds(points, radius_mm, found)


def _points(values: list[Any]) -> Array | None:
    try:
        array = np.asarray(values, float).reshape(-1, 3)
    except (ValueError, TypeError):
        return None
    return array if np.isfinite(array).all() else None


def _line_faults(name: str, array: Array, radius_mm: dict[str, float], where: str) -> FaultList:
    faults = FaultList()
    if name in AORTA and name not in radius_mm:
        what = f"{name} has points but no radius, and an aorta has no usual one"
        faults.add(what, where, f'give it under "radius_mm", or label the vessel; {name} is also found automatically')
    if len(array) < 2:
        faults.add(f"{name} has {len(array)} point(s)", where, "set at least two, and one every 20 mm")
        return faults
    gaps = np.linalg.norm(np.diff(array, axis=0), axis=1)
    if gaps.max() > FARTHEST_APART_MM + GAP_TOLERANCE_MM:
        at = float(array[int(gaps.argmax()), 2])
        what = f"{name} has a gap of {gaps.max():.0f} mm above z = {at:.0f} mm"
        faults.add(what, where, "set a point at least every 20 mm")
    return faults
