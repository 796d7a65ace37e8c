"""Reading seeds: points along a vessel that a reader has set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from petflame.anatomy import AORTA, LANDMARKS
from petflame.errors import FaultList
from petflame.privacy import named
from petflame.segment.anatomy_limits import ANATOMY
from petflame.segment.seedformats import read_points
from petflame.segment.seedformats.points import NAMES, Points, called
from petflame.space.grid import Array
from petflame.typed import Misshapen, point_mm

__all__ = ["LANDMARKS", "NAMES", "Seeds", "line_faults", "read_seeds"]

FARTHEST_APART_MM = 30.0
# A reader clicks whole slices: 30 mm apart can come out a slice more.
GAP_TOLERANCE_MM = 5.0
# A vessel of 10 mm, in m.
LEAST_IN_M = 0.01
# Less than the distance of two slices of any scan is no course along the body.
LEAST_LENGTH_MM = 1.0
SAME_POINT_MM = 1e-3


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


def read_seeds(*paths: Path) -> Seeds:
    """Read seeds from a file, from several, or from a folder of files.

    JSON: ``{"carotid_right": [[x, y, z], ...], "carotid_bifurcation_right": [[x, y, z]], "radius_mm": {...}}``, LPS mm.
    CSV: columns vessel, x_mm, y_mm, z_mm (LPS) and, where wanted, radius_mm. 3D Slicer: ``.mrk.json`` or ``.fcsv``; the
    labels of the points, or else the name of the file, begin with the vessel's name; LPS and RAS files are both
    understood. A folder may hold one file a vessel. A landmark is a name of `LANDMARKS` with a single point.

    Raises
    ------
    InputRefused
        As `petflame.segment.seedformats.read_points`; with every unknown name, point that is no point, vessel with
        fewer than two points, gap of more than 30 mm between neighbouring points, part of the aorta without a radius,
        and landmark that is not one point.
    """
    where = named(paths[0].name, "the seeds")
    return _checked(read_points(paths, where), where)


def _checked(given: Points, where: str) -> Seeds:
    raw, radius_mm, landmarks = given.places, given.radius_mm, given.landmarks
    faults = FaultList()
    found: dict[str, tuple[float, float, float]] = {}
    points = {}
    for name, values in [*landmarks.items(), *raw.items()]:
        is_landmark = name in LANDMARKS or name in landmarks
        if name not in (*NAMES, *LANDMARKS):
            what = f"{called(name)} is no landmark" if is_landmark else f"{called(name)} is no vessel"
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
    unit = _unit_faults(points, where)
    faults.extend(unit)
    for name, own in points.items() if not unit else ():
        faults.extend(line_faults(name, own, radius_mm, where))
    if not raw and not landmarks:
        faults.add("it holds no vessel", where, "set seeds for at least one vessel")
    sides = [found.get(f"carotid_bifurcation_{side}") for side in ("right", "left")]
    carotids = [points.get(f"carotid_{side}") for side in ("right", "left")]
    # Where the carotids lie mirrored too, the CT tells whether signs or names are wrong.
    all_mirrored = all(c is not None and len(c) for c in carotids) and (
        float(np.mean(carotids[0][:, 0])) >= float(np.mean(carotids[1][:, 0]))  # type: ignore[index]
    )
    if sides[0] is not None and sides[1] is not None and sides[0][0] >= sides[1][0] and not all_mirrored:
        faults.add("the carotid bifurcations are mirrored", where, "exchange right and left; x grows to the left (LPS)")
    bad = [name for name, value in radius_mm.items() if value <= 0]
    if bad:
        faults.add(f"the radius of {', '.join(map(called, bad))} is not above zero", where, "give it in mm")
    for name, value in radius_mm.items():
        if name not in ANATOMY:
            remedy = f"use the names {', '.join(NAMES)}"
            faults.add(f"{called(name)} has a radius and is no vessel", where, remedy)
            continue
        least, most = ANATOMY[name].possible_radius_mm
        if name not in bad and not least <= value <= most:
            what = f"{name} has a radius of {value:g} mm, which it cannot have ({least:g} to {most:g} mm)"
            faults.add(what, where, "give the radius, not the diameter, in mm")
    faults.raise_if_any()
    return Seeds(points, radius_mm, found)


def _unit_faults(points: Mapping[str, Array], where: str) -> FaultList:
    """Refuse points that can be neither drawn nor mm: metres, or numbers of voxels with wide gaps."""
    faults = FaultList()
    lines = [own for own in points.values() if len(own) > 1]
    if not lines:
        return faults
    heights = [float(np.ptp(own[:, 2])) for own in lines]
    if max(heights) < LEAST_LENGTH_MM and min(heights) >= LEAST_IN_M and all(len(own) > 2 for own in lines):
        what = f"the points look like m written as mm: the longest vessel is {max(heights):.2f} mm high"
        faults.add(what, where, "write them in mm")
    every = np.concatenate(lines)
    apart = max(float(np.linalg.norm(np.diff(own, axis=0), axis=1).max()) for own in lines)
    whole = bool((every > 0).all() and (every == np.round(every)).all() and len(every) > 2)
    if apart > FARTHEST_APART_MM + GAP_TOLERANCE_MM and whole:
        what = f"the points are whole numbers above 0 with a gap of {apart:.0f}: they look like numbers of voxels"
        faults.add(what, where, f"write places in mm (LPS), one at least every {FARTHEST_APART_MM:g} mm")
    return faults


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
