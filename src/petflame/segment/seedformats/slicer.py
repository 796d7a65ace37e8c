"""Points that 3D Slicer has saved: markups (``.mrk.json``), and the fiducial lists of earlier versions (``.fcsv``)."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np

from petflame.anatomy import LANDMARKS
from petflame.errors import InputRefused
from petflame.outside import MEBIBYTE, read_text
from petflame.segment.seedformats.points import Points, called, meant_by, stem_of
from petflame.space.grid import ras_to_lps
from petflame.typed import Misshapen, brief, mapping, number, point_mm, sequence

# Slicer lists points that were asked for and not yet set, at the origin.
NOT_SET = ("undefined", "preview", "missing")
# The numbers of the fiducial list's versions 4.x.
SYSTEMS = {"0": "RAS", "1": "LPS", "RAS": "RAS", "LPS": "LPS"}
FCSV_COLUMNS = "id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID"
LARGEST_BYTES = 4 * MEBIBYTE
SAVE_AGAIN = "save the points again in 3D Slicer, as .mrk.json"


def points_of_markups(document: dict[str, Any], path: Path) -> Points:
    """Take the control points out of a markups document.

    A point belongs to the vessel that its label names, else to that of its markup, else to that of the file.

    Raises
    ------
    Misshapen
        When a part is not of that form, points are not in mm, in LPS or RAS, or label and file name two vessels.
    """
    points = Points()
    for m, given in enumerate(sequence(document["markups"], "markups"), start=1):
        markup = mapping(given, f"markup {m}")
        system = _system(markup.get("coordinateSystem", "LPS"), f"coordinateSystem of markup {m}")
        _require_mm(markup.get("coordinateUnits"), m)
        for n, item in enumerate(sequence(markup.get("controlPoints"), f"controlPoints of markup {m}"), start=1):
            control = mapping(item, f"control point {n} of markup {m}")
            if control.get("positionStatus") in NOT_SET:
                continue
            place = f"control point {n} of markup {m}"
            name = _name([control.get("label"), markup.get("name")], path, place)
            point = point_mm(control.get("position"), f"position of {place}")
            points.places.setdefault(name, []).append(_lps(point, system))
    return points


def points_of_fcsv(path: Path, where: str) -> Points:
    """Read a fiducial list of 3D Slicer 4.

    Raises
    ------
    InputRefused
        As `petflame.outside.read_text`.
    Misshapen
        When it does not say whether its points are LPS or RAS, or a row is none.
    """
    system, columns, points = "", FCSV_COLUMNS.split(","), Points()
    for line, row in enumerate(csv.reader(read_text(path, LARGEST_BYTES, where).splitlines()), start=1):
        text = ",".join(row)
        if text.startswith("#"):
            key, _, value = text.lstrip("# ").partition("=")
            if key.strip() == "CoordinateSystem":
                system = _system(value.strip(), f"CoordinateSystem in line {line}")
            elif key.strip() == "columns":
                columns = [part.strip() for part in value.split(",")]
        elif any(cell.strip() for cell in row):
            if not system:
                raise Misshapen(f"no line before line {line} says whether its points are LPS or RAS; {SAVE_AGAIN}")
            own = dict(zip(columns, row, strict=False))
            try:
                values = [number(float(own[axis]), f"line {line}, {axis}") for axis in "xyz"]
            except (KeyError, ValueError) as error:
                if isinstance(error, Misshapen):
                    raise
                raise Misshapen(f"line {line} is no row of points with x, y and z") from None
            name = _name([own.get("label")], path, f"line {line}")
            points.places.setdefault(name, []).append(_lps(point_mm(values, f"line {line}"), system))
    if not points.places:
        raise InputRefused.of("it holds no point", where, "set points, and save them")
    return points


def _lps(point: tuple[float, float, float], system: str) -> list[float]:
    return [float(v) for v in ras_to_lps(np.array(point))] if system == "RAS" else list(point)


def _system(given: Any, place: str) -> str:
    # A number is none of the words, and a list is no key.
    if not isinstance(given, str) or given not in SYSTEMS:
        raise Misshapen(f"{place} is {brief(given)}, not LPS or RAS")
    return SYSTEMS[given]


def _require_mm(given: Any, m: int) -> None:
    unit = given[0] if isinstance(given, list) and given else given
    if unit not in (None, "mm"):
        raise Misshapen(f"coordinateUnits of markup {m} is {brief(unit)}, not mm; give the points in mm")


def _name(given: list[Any], path: Path, place: str) -> str:
    """Return what a point belongs to; the file's name where neither label nor markup is a name that is known."""
    own = next((name for text in given if (name := meant_by(str(text or ""))) is not None), None)
    of_file = meant_by(stem_of(path))
    if own is not None and of_file is not None and own != of_file and not {own, of_file} & set(LANDMARKS):
        what = f"{place} is called {own} and the file {called(of_file)}"
        raise Misshapen(f"{what}: which of the two is meant cannot be told; rename the points, or the file")
    return own or of_file or stem_of(path)
