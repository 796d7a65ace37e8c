"""Checks of vessels against the CT and against each other, whoever drew them; nothing here looks at uptake.

An artery's own uptake must not decide whether it counts: that would choose the result.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import ndimage

from petflame.anatomy import AORTA
from petflame.segment.airway_line import airway_line
from petflame.segment.anatomy_limits import (
    ANATOMY,
    BETWEEN_SIDES_MM,
    CONTENTS_HU,
    PLACE,
    STRANGE_SHARE,
    TO_JUGULAR_MM,
)
from petflame.segment.product import Check, VesselFinding
from petflame.space.grid import Array, Volume, ras_to_lps
from petflame.space.orientation import to_canonical
from petflame.space.polyline import arc_length_mm

STATION_MM = 3.0
# The core's radius as a share of the vessel's: at 0.6 a line that is 1.5 mm off stays within a carotid.
CORE_SHARE = 0.6
SMOOTH_STATIONS = 3
AIRWAY_REACH_MM = 10.0
FEWEST_STATIONS = 3
LEAST_UPRIGHT = 0.5
# A vein in front of its artery (42 % of necks with the head turned, Umaña 2015) is as far from the airway and tells
# nothing; beside it, their middles are apart by both radii. Two lines of a reader, 1.5 mm off each, differ by half.
TELLING_MM = 6.0
LEAST_IN_SCAN = 0.9
SIDES = {"right": -1.0, "left": 1.0}
Found = dict[str, list[Check]]


@dataclass(frozen=True, eq=False)
class VesselShape:
    """Course and calibre of a vessel.

    Attributes
    ----------
    line_lps_mm : (n, 3) array
        Points along its middle, LPS mm, in either direction; n >= 2.
    radius_mm : float or None
        Radius of the circle of equal area across it; None where it cannot be told.
    """

    line_lps_mm: Array
    radius_mm: float | None


def shape_of_mask(mask: Volume, line_lps_mm: Array) -> VesselShape:
    """Describe a labelled vessel that runs head-foot.

    Parameters
    ----------
    mask : Volume
        Boolean, any axis order and direction.
    line_lps_mm : (n, 3) array
        Its centreline.
    """
    canonical = to_canonical(mask, copy=False)
    counts = canonical.data.sum(axis=(0, 1))
    spacing = canonical.grid.spacing_mm
    if not counts.any():
        return VesselShape(line_lps_mm, None)
    area = float(np.median(counts[counts > 0])) * spacing[0] * spacing[1]
    return VesselShape(line_lps_mm, float(np.sqrt(area / np.pi)))


def anatomy_checks(
    ct: Volume,
    shapes: Mapping[str, VesselShape],
    beside: Mapping[str, VesselShape] | None = None,
    landmarks_lps_mm: Mapping[str, tuple[float, float, float]] | None = None,
    memory: dict[Any, Any] | None = None,
) -> dict[str, tuple[Check, ...]]:
    """Check vessels that one source describes: seeds of a reader, an imported label map, or a finder.

    Made are, for each vessel: its radius and length against anatomy; how upright it runs; whether it lies in the scan;
    whether blood or soft tissue fills it (HU of its core, contrast medium allowed where most vessels show it); where it
    lies beside the airway and above the carina; whether it runs inside another vessel; whether right and left, carotid
    and jugular vein lie as they must; whether a carotid without the vein of its side lies where the other side has it.
    Where several do not hold blood, none of the source is believed: it may belong to another scan. A check that cannot
    be made is left out.

    Parameters
    ----------
    ct : Volume
        HU, any axis order and direction.
    shapes : mapping
        The vessels to be judged, by their names in `petflame.anatomy`.
    beside : mapping, optional
        Vessels of another source, such as found ones, which are not judged but must not be run through.
    landmarks_lps_mm : mapping, optional
        Landmarks; ``carina`` is used where it is there.
    memory : dict, optional
        What was found before on the same CT, between which levels.

    Returns
    -------
    dict
        Vessel to its checks; those that fail say what was found and what the limits are.
    """
    found: Found = {name: [] for name in shapes}
    upward = {name: _upward(shape) for name, shape in shapes.items()}
    carina = (landmarks_lps_mm or {}).get("carina")
    for name, shape in upward.items():
        found[name] += _own_checks(name, shape, ct, None if carina is None else float(carina[2]))
    _contents(found, upward, ct)
    neck = {name: shape for name, shape in upward.items() if name.startswith(("carotid", "jugular"))}
    if neck:
        levels = np.concatenate([shape.line_lps_mm[:, 2] for shape in neck.values()])
        ends = (float(levels.min()), float(levels.max()))
        known = {} if memory is None else memory
        if ("airway", ends) not in known:
            known["airway", ends] = airway_line(ct, *ends)
        airway = known["airway", ends]
        for name, shape in neck.items():
            found[name] += _beside_airway(name, shape, airway)
        for side, other in (("right", "left"), ("left", "right")):
            if alone := _alone(side, other, neck, airway):
                found[f"carotid_{side}"] += alone
    _run_through(found, upward, {n: _upward(s) for n, s in (beside or {}).items() if n not in shapes})
    _between_sides(found, neck)
    for side, sign in SIDES.items():
        _carotid_and_jugular(found, neck, side, sign)
    return {name: tuple(checks) for name, checks in found.items()}


def with_checks(
    findings: Mapping[str, VesselFinding], checks: Mapping[str, tuple[Check, ...]], withhold: bool = True
) -> dict[str, VesselFinding]:
    """Add checks to findings; a vessel that fails one is withheld until a reader accepts it, or keeps its state.

    Parameters
    ----------
    findings : mapping
    checks : mapping
        What `anatomy_checks` returned.
    withhold : bool
        Whether a failed check withholds the vessel.
    """
    result = dict(findings)
    for name, made in checks.items():
        finding = replace(findings[name], checks=(*findings[name].checks, *made))
        failed = [f"{check.name}: {check.message}" for check in made if not check.passed]
        if failed and withhold:
            reason = "; ".join(filter(None, [finding.reason, *failed]))
            finding = replace(finding, withheld=True, reason=reason)
        result[name] = finding
    return result


def _upward(shape: VesselShape) -> VesselShape:
    line = shape.line_lps_mm
    return shape if line[0, 2] <= line[-1, 2] else VesselShape(line[::-1], shape.radius_mm)


def _within(name: str, value: float, limits: tuple[float, float], words: str) -> Check:
    said = f"{value:.1f} {words} (between {limits[0]:g} and {limits[1]:g})"
    return Check(name, limits[0] <= value <= limits[1], said)


def _own_checks(name: str, shape: VesselShape, ct: Volume, carina_z_mm: float | None) -> list[Check]:
    limits, line = ANATOMY[name], shape.line_lps_mm
    length = float(arc_length_mm(line)[-1])
    checks = [_within("length", length, limits.length_mm, "mm long")]
    if shape.radius_mm is not None:
        checks.append(_within("usual radius", shape.radius_mm, limits.usual_radius_mm, "mm radius"))
    if name not in AORTA and length > 0:
        upright = float(np.ptp(line[:, 2])) / length
        checks.append(
            Check("course", upright >= LEAST_UPRIGHT, f"{100 * upright:.0f} % of its length runs head-foot (half must)")
        )
    ijk = ct.grid.to_ijk(ras_to_lps(line))
    inside = float(((ijk >= -0.5) & (ijk <= np.array(ct.grid.shape) - 0.5)).all(axis=1).mean())
    checks.append(Check("in the scan", inside >= LEAST_IN_SCAN, f"{100 * inside:.0f} % of its course lies in the CT"))
    if carina_z_mm is not None:
        low, high = float(line[:, 2].min()) - carina_z_mm, float(line[:, 2].max()) - carina_z_mm
        least, most = limits.above_carina_mm
        said = f"from {low:.0f} to {high:.0f} mm above the carina (between {least:g} and {most:g})"
        checks.append(Check("height above the carina", least <= low and high <= most, said))
    return checks


def _stations(line_lps_mm: Array) -> Array:
    """Places along a line, `STATION_MM` apart, shape (n, 3)."""
    arc = arc_length_mm(line_lps_mm)
    at = np.linspace(0.0, arc[-1], max(FEWEST_STATIONS, int(arc[-1] / STATION_MM) + 1))
    return np.column_stack([np.interp(at, arc, line_lps_mm[:, axis]) for axis in range(3)])


def core_hu(shape: VesselShape, ct: Volume) -> Array:
    """Mean HU of a vessel's core at stations 3 mm apart, each over 9 mm of its course, shape (n,).

    What lies outside the CT counts as air.
    """
    radius = (shape.radius_mm or 0.0) * CORE_SHARE
    turn = np.linspace(0.0, 2 * np.pi, 12, endpoint=False)
    disc = [(0.0, 0.0, 0.0)]
    disc += [(r * np.cos(a), r * np.sin(a), 0.0) for r in (0.5 * radius, radius) for a in turn]
    points = _stations(shape.line_lps_mm)[:, None] + np.array(disc)
    places = np.moveaxis(ct.grid.to_ijk(ras_to_lps(points)), -1, 0)
    hu = ndimage.map_coordinates(ct.data, places, output=np.float64, order=1, mode="constant", cval=-1024)
    return np.asarray(ndimage.uniform_filter1d(hu.mean(axis=1), SMOOTH_STATIONS, mode="nearest"))


def _contents(found: Found, shapes: Mapping[str, VesselShape], ct: Volume) -> None:
    cores = {name: core_hu(shape, ct) for name, shape in shapes.items()}
    low, high = CONTENTS_HU
    typical = [float(np.median(hu)) for hu in cores.values()]
    enhanced = len(typical) > 1 and float(np.median(typical)) > high
    strange = []
    for name, hu in cores.items():
        below, above = float((hu < low).mean()), float((hu > high).mean()) * (not enhanced)
        passed = below + above <= STRANGE_SHARE
        said = f"{np.median(hu):.0f} HU in its core"
        if not passed:
            strange.append(name)
            what = "fat or air" if below >= above else "bone, calcium or gland"
            said += f", {100 * (below + above):.0f} % of its course runs through {what} (a third may)"
        found[name].append(Check("contents", passed, said))
    if len(strange) > 1 and 2 * len(strange) >= len(shapes):
        said = f"{len(strange)} of {len(shapes)} vessels of this source do not hold blood: does it belong to this scan?"
        for name in shapes:
            found[name].append(Check("belongs to the scan", False, said))


def _at_levels(line_lps_mm: Array, z_mm: Array) -> Array:
    """Place (x, y) of a line at levels, shape (n, 2)."""
    order = np.argsort(line_lps_mm[:, 2], kind="stable")
    return np.column_stack([np.interp(z_mm, line_lps_mm[order, 2], line_lps_mm[order, a]) for a in (0, 1)])


def _common_levels(*lines_lps_mm: Array) -> Array:
    low = max(float(line[:, 2].min()) for line in lines_lps_mm)
    high = min(float(line[:, 2].max()) for line in lines_lps_mm)
    return np.arange(low, high + 1e-6, STATION_MM)


def _beside_airway(name: str, shape: VesselShape, airway_lps_mm: Array) -> list[Check]:
    if not len(airway_lps_mm):
        return []
    stem, side = name.split("_")
    reach = airway_lps_mm[[0, -1]] + np.array([[0, 0, -AIRWAY_REACH_MM], [0, 0, AIRWAY_REACH_MM]])
    z = _common_levels(shape.line_lps_mm, reach)
    if len(z) < FEWEST_STATIONS:
        return []
    off = _at_levels(shape.line_lps_mm, z) - _at_levels(airway_lps_mm, z)
    lateral, backward = float(np.median(SIDES[side] * off[:, 0])), float(np.median(off[:, 1]))
    place = PLACE[stem]
    return [
        _within("beside the airway", lateral, place.lateral_mm, f"mm to the {side} of the airway"),
        _within("depth", backward, place.backward_mm, "mm behind the airway's middle"),
    ]


def _alone(side: str, other: str, neck: Mapping[str, VesselShape], airway_lps_mm: Array) -> list[Check]:
    """Check a carotid without the jugular vein of its side: it lies where the other side has its carotid, not its vein.

    Distances from the airway do not change when the neck is turned or the body lies askew.
    """
    if f"jugular_{side}" in neck or not {f"carotid_{side}", f"carotid_{other}", f"jugular_{other}"} <= set(neck):
        return []
    if not len(airway_lps_mm):
        return []
    lines = [neck[n].line_lps_mm for n in (f"carotid_{side}", f"carotid_{other}", f"jugular_{other}")]
    z = _common_levels(*lines, airway_lps_mm)
    if len(z) < FEWEST_STATIONS:
        return []
    middle = _at_levels(airway_lps_mm, z)
    own, artery, vein = (float(np.median(np.hypot(*(_at_levels(line, z) - middle).T))) for line in lines)
    said = (
        f"{own:.0f} mm from the airway, where the other side has its carotid at {artery:.0f} and its jugular vein at "
    )
    passed = abs(own - artery) <= abs(own - vein)
    said += f"{vein:.0f}" + ("" if passed else ": is it the jugular vein? None is given on its side")
    return [Check("carotid or jugular", passed, said)]


def _run_through(found: Found, shapes: Mapping[str, VesselShape], beside: Mapping[str, VesselShape]) -> None:
    """No vessel's middle may run inside another vessel."""
    from scipy.spatial import cKDTree

    every = {**beside, **shapes}
    trees = {name: cKDTree(_stations(shape.line_lps_mm)) for name, shape in every.items()}
    for name, shape in shapes.items():
        own, worst, where = _stations(shape.line_lps_mm), 0.0, ""
        for other, tree in trees.items():
            if other == name or {other, name} <= set(AORTA):
                continue
            reach = max(every[other].radius_mm or 0.0, STATION_MM / 2)
            share = float((tree.query(own)[0] < reach).mean())
            if share > worst:
                worst, where = share, other
        said = f"{100 * worst:.0f} % of its course runs inside {where or 'another vessel'} (a third may)"
        found[name].append(Check("apart from other vessels", worst <= STRANGE_SHARE, said))


def _between_sides(found: Found, neck: Mapping[str, VesselShape]) -> None:
    for stem, limits in BETWEEN_SIDES_MM.items():
        names = [f"{stem}_{side}" for side in SIDES]
        if not all(name in neck for name in names):
            continue
        lines = [neck[name].line_lps_mm for name in names]
        z = _common_levels(*lines)
        if len(z) < FEWEST_STATIONS:
            continue
        apart = float(np.median((_at_levels(lines[1], z) - _at_levels(lines[0], z))[:, 0]))
        _of_both(found, names, _within("between the sides", apart, limits, f"mm from the right to the left {stem}"))


def _carotid_and_jugular(found: Found, neck: Mapping[str, VesselShape], side: str, sign: float) -> None:
    names = f"carotid_{side}", f"jugular_{side}"
    if not all(name in neck for name in names):
        return
    carotid, jugular = (neck[name].line_lps_mm for name in names)
    z = _common_levels(carotid, jugular)
    if len(z) < FEWEST_STATIONS:
        return
    off = _at_levels(jugular, z) - _at_levels(carotid, z)
    apart = float(np.median(np.hypot(*off.T)))
    lateral, forward = float(np.median(sign * off[:, 0])), float(np.median(-off[:, 1]))
    near = Check("near its fellow", apart <= TO_JUGULAR_MM, f"{apart:.0f} mm between carotid and jugular vein")
    said = f"the jugular vein lies {lateral:.0f} mm lateral to and {forward:.0f} mm in front of the carotid"
    if lateral + forward <= 0:
        said += ": are their names exchanged, or is one beside its vessel?"
    order = Check("order of carotid and jugular", lateral + forward > 0, said)
    _of_both(found, names, near)
    _of_both(found, names, order)


def _of_both(found: Found, names: Sequence[str], check: Check) -> None:
    """Note a check of two vessels; where it fails and only one of them failed before, that one is at fault."""
    doubtful = [name for name in names if not all(made.passed for made in found[name])]
    at_fault = doubtful if not check.passed and len(doubtful) == 1 else names
    for name in at_fault:
        found[name].append(check)
