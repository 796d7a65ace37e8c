"""Reading seeds: points along a vessel that a reader has set."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from petflame.anatomy import AORTA, ARTERIES, VEINS
from petflame.errors import FaultList, InputRefused
from petflame.outside import NOTES, read_json_object
from petflame.privacy import named
from petflame.segment.anatomy_limits import ANATOMY
from petflame.space.grid import Array, ras_to_lps
from petflame.tabletext import read_rows
from petflame.typed import Misshapen, brief, mapping, number, point_mm, sequence

FARTHEST_APART_MM = 30.0
# A reader clicks whole slices: 30 mm apart can come out a slice more.
GAP_TOLERANCE_MM = 5.0
# Less than the distance of two slices of any scan is no course along the body.
LEAST_LENGTH_MM = 1.0
NAMES = (*ARTERIES, *VEINS)
SAME_POINT_MM = 1e-3
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


def is_points(path: Path) -> bool:
    """Tell by a file's name whether it may hold points along vessels."""
    return path.suffix.lower() in (".json", ".csv") and not path.name.endswith("_columns.json")


def read_seeds(path: Path) -> Seeds:
    """Read seeds from JSON, CSV or a 3D Slicer markups file (``.mrk.json``).

    JSON: ``{"carotid_right": [[x, y, z], ...], "carotid_bifurcation_right": [[x, y, z]], "radius_mm": {...}}``, LPS mm.
    CSV: columns vessel, x_mm, y_mm, z_mm (LPS) and, where wanted, radius_mm. Slicer: the labels of the control points,
    or else the name of the file, begin with the vessel's name; LPS and RAS files are both understood. A landmark is
    a name of `LANDMARKS` with a single point.

    Raises
    ------
    InputRefused
        With every unknown vessel, point that is no point, vessel with fewer than two points, gap of more than 30 mm
        between neighbouring points, part of the aorta without a radius, and landmark that is not one point.
    """
    where = named(path.name, "the seeds")
    remedy = 'write {"carotid_right": [[x, y, z], ...]} in LPS mm, a CSV, or a Slicer markups file'
    try:
        if path.suffix.lower() == ".csv":
            raw, radius, landmarks = _from_csv(path, where)
        else:
            document = read_json_object(path, NOTES, where, remedy)
            raw, radius, landmarks = _from_slicer(document, path) if "markups" in document else _from_json(document)
    except Misshapen as error:
        raise InputRefused.of(f"it cannot be read as seeds ({error})", where, remedy) from None
    return _checked(raw, radius, landmarks, where)


_Parts = tuple[dict[str, list[Any]], dict[str, float], dict[str, list[Any]]]


def _from_json(document: dict[str, Any]) -> _Parts:
    given = mapping(document.get("radius_mm"), "radius_mm")
    radius = {k: number(v, f"radius_mm of {_called(k)}") for k, v in given.items()}
    landmarks = {k: [v] for k, v in mapping(document.get("landmarks_lps_mm"), "landmarks_lps_mm").items()}
    rest = ((k, v) for k, v in document.items() if k not in ("radius_mm", "landmarks_lps_mm"))
    points = {k: sequence(v, _called(k)) for k, v in rest}
    # A landmark may be written as the point itself.
    points |= {k: [v] for k, v in points.items() if k in LANDMARKS and v and not isinstance(v[0], list)}
    return points, radius, landmarks


def _from_csv(path: Path, where: str) -> _Parts:
    points: dict[str, list[Any]] = {}
    radius: dict[str, float] = {}
    rows = read_rows(path, ("vessel", "x_mm", "y_mm", "z_mm"), ",", where)
    for line, cells in zip(rows.lines, rows.cells, strict=True):
        row = dict(zip(rows.columns, (cell.strip() for cell in cells), strict=True))
        points.setdefault(row["vessel"], []).append([_number(row[f"{axis}_mm"], line) for axis in "xyz"])
        if row.get("radius_mm"):
            given = _number(row["radius_mm"], line)
            if radius.setdefault(row["vessel"], given) != given:
                raise Misshapen(f"line {line} gives {_called(row['vessel'])} another radius than before")
    return points, radius, {}


def _number(text: str, line: int) -> float:
    try:
        return number(float(text), f"line {line}")
    except ValueError as error:
        if isinstance(error, Misshapen):
            raise
        raise Misshapen(f"line {line} holds {brief(text)}, not a number with a decimal point") from None


def _from_slicer(document: dict[str, Any], path: Path) -> _Parts:
    points: dict[str, list[Any]] = {}
    for m, given in enumerate(sequence(document["markups"], "markups"), start=1):
        markup = mapping(given, f"markup {m}")
        system = markup.get("coordinateSystem", "LPS")
        if system not in ("LPS", "RAS"):
            raise Misshapen(f"coordinateSystem of markup {m} is {brief(system)}, not LPS or RAS")
        for n, item in enumerate(sequence(markup.get("controlPoints"), f"controlPoints of markup {m}"), start=1):
            control = mapping(item, f"control point {n} of markup {m}")
            label = re.sub(r"[-_ ]?\d+$", "", str(control.get("label", "")))
            name = label if label in (*NAMES, *LANDMARKS) else path.name.split(".")[0]
            point = point_mm(control.get("position"), f"position of control point {n} of markup {m}")
            lps = ras_to_lps(np.array(point)).tolist() if system == "RAS" else list(point)
            points.setdefault(name, []).append(lps)
    return points, {}, {}


def _called(name: str) -> str:
    """How messages call a vessel: a word that is none may be anything, a name too."""
    return name if name in (*NAMES, *LANDMARKS) else named(brief(name), "an unknown name")


def _checked(
    raw: dict[str, list[Any]], radius_mm: dict[str, float], landmarks: dict[str, list[Any]], where: str
) -> Seeds:
    faults = FaultList()
    found: dict[str, tuple[float, float, float]] = {}
    points = {}
    for name, values in [*landmarks.items(), *raw.items()]:
        is_landmark = name in LANDMARKS or name in landmarks
        if name not in (*NAMES, *LANDMARKS):
            what = f"{_called(name)} is no landmark" if is_landmark else f"{_called(name)} is no vessel"
            faults.add(what, where, f"use the names {', '.join(LANDMARKS if is_landmark else NAMES)}")
            continue
        try:
            array = np.array([point_mm(v, f"{name}, point {n}") for n, v in enumerate(values, start=1)]).reshape(-1, 3)
        except Misshapen as error:
            faults.add(str(error), where, "give x, y, z in mm for each")
            continue
        if is_landmark and len(array) != 1:
            faults.add(f"{name} has {len(array)} points", where, "a landmark is one point")
        elif is_landmark:
            found[name] = (float(array[0, 0]), float(array[0, 1]), float(array[0, 2]))
        else:
            # A point that was clicked twice is one point.
            first = [n for n, point in enumerate(array) if not (np.abs(array[:n] - point) < SAME_POINT_MM).all(1).any()]
            array = array[first]
            points[name] = array[np.argsort(array[:, 2], kind="stable")]
            faults.extend(line_faults(name, points[name], radius_mm, where))
    if not raw and not landmarks:
        faults.add("it holds no vessel", where, "set seeds for at least one vessel")
    sides = [found.get(f"carotid_bifurcation_{side}") for side in ("right", "left")]
    if sides[0] is not None and sides[1] is not None and sides[0][0] >= sides[1][0]:
        faults.add("the carotid bifurcations are mirrored", where, "exchange right and left; x grows to the left (LPS)")
    bad = [name for name, value in radius_mm.items() if value <= 0]
    if bad:
        faults.add(f"the radius of {', '.join(map(_called, bad))} is not above zero", where, "give it in mm")
    for name, value in radius_mm.items():
        if name not in ANATOMY:
            remedy = f"use the names {', '.join(NAMES)}"
            faults.add(f"{_called(name)} has a radius and is no vessel", where, remedy)
            continue
        least, most = ANATOMY[name].possible_radius_mm
        if name not in bad and not least <= value <= most:
            what = f"{name} has a radius of {value:g} mm, which it cannot have ({least:g} to {most:g} mm)"
            faults.add(what, where, "give the radius, not the diameter, in mm")
    faults.raise_if_any()
    return Seeds(points, radius_mm, found)


def line_faults(name: str, array: Array, radius_mm: dict[str, float], where: str) -> FaultList:
    """Return why a vessel cannot be drawn from its points, shape (n, 3) LPS mm from low to high; empty where it can."""
    faults = FaultList()
    if name in AORTA and name not in radius_mm:
        what = f"{name} has points but no radius, and an aorta has no usual one"
        faults.add(what, where, f'give it under "radius_mm", or label the vessel; {name} is also found automatically')
    if len(array) < 2:
        faults.add(
            f"{name} has {len(array)} point(s)", where, f"set at least two, and one every {FARTHEST_APART_MM:g} mm"
        )
        return faults
    if np.ptp(array[:, 2]) < LEAST_LENGTH_MM:
        what = f"the points of {name} lie within {np.ptp(array[:, 2]):.1f} mm of height"
        faults.add(what, where, "set points at its lower and its upper end")
        return faults
    gaps = np.linalg.norm(np.diff(array, axis=0), axis=1)
    if gaps.max() > FARTHEST_APART_MM + GAP_TOLERANCE_MM:
        at = float(array[int(gaps.argmax()), 2])
        what = f"{name} has a gap of {gaps.max():.0f} mm above z = {at:.0f} mm"
        faults.add(what, where, f"set a point at least every {FARTHEST_APART_MM:g} mm")
    return faults
