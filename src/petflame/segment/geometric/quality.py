"""Checks of each vessel: does it look like one, and is all of it in the scan."""

from __future__ import annotations

import numpy as np

from petflame.segment.anatomy_limits import ANATOMY
from petflame.segment.geometric.blood import Blood
from petflame.segment.geometric.result import LimitCheck, TubeFinding, at_least, at_most, within
from petflame.segment.geometric.surface import Tube
from petflame.segment.geometric.work import sample
from petflame.space.grid import Array, Volume, ras_to_lps

LEAST_COVERAGE = 0.35
FULL_COVERAGE = 0.75
BLOOD_TOLERANCE_HU = 18.0
MOST_JUMP_MM = 3.0
MOST_METAL_SHARE = 0.15
MOST_AIR_SHARE = 0.03
WALL_METAL_HU = 350.0
TOP_MARGIN_MM = 15.0
LEAST_EVIDENCE = 0.42
LEAST_SPAN_MM = 30.0
ARCH_ABOVE_CARINA_MM = (-8.0, 60.0)


LEAST_LENGTH_MM = {"aorta_ascending": 15.0, "aorta_arch": 20.0, "aorta_descending": 40.0, "svc": 15.0}


def judge(
    name: str,
    tube: Tube,
    evidence: float,
    ct: Volume,
    blood: Blood,
    carina_lps_mm: Array,
    aorta: Tube,
    more: tuple[LimitCheck, ...] = (),
    unread_mm: float = 0.0,
) -> TubeFinding:
    """Make every check of one vessel and decide whether a reader must look at it.

    Parameters
    ----------
    name : str
        Vessel of `petflame.anatomy`.
    tube : Tube
        Its contours.
    evidence : float
        Median evidence of its circles, -0.5 to 1.5.
    ct : Volume
        Canonical CT, HU.
    blood : Blood
        Density of blood.
    carina_lps_mm : (3,) float array
        Where the trachea divides.
    aorta : Tube
        The whole aorta.
    more : tuple of LimitCheck
        Checks of this vessel alone.
    unread_mm : float
        How much of it the scan shows beyond `tube`, too near the scan's end to be read.
    """
    least = LEAST_LENGTH_MM[name]
    length = 2.0 * len(tube.centre_lps_mm) + unread_mm
    if length < least:
        found = f"only {length:.1f} mm of it show an edge" if length else "no part of it shows an edge"
        return TubeFinding.missing(f"{found}, {least:.0f} mm are needed")
    radius = tube.mean_radius_mm
    inner, wall, air = _samples(tube, ct, blood.hu)
    checks = [
        at_least("circle evidence", evidence, LEAST_EVIDENCE, "mean evidence of round sections"),
        at_least("edge coverage", float(np.median(tube.coverage)), LEAST_COVERAGE, "of the boundary has a clear edge"),
        within("radius", float(np.median(radius)), ANATOMY[name].usual_radius_mm, "mm median radius"),
        at_most("radius jump", float(np.abs(np.diff(radius)).max()), MOST_JUMP_MM, "mm from section to section"),
        at_most("blood density", abs(inner - blood.hu), BLOOD_TOLERANCE_HU, f"HU from the blood's {blood.hu:.0f} HU"),
        at_most("dense wall", wall, MOST_METAL_SHARE, "of the boundary is as dense as metal (stent, heavy calcium)"),
        at_most("air inside", air, MOST_AIR_SHARE, "of the inside is lung or airway"),
        at_least("length", length, least, "mm long"),
    ]
    if name in ("aorta_arch", "svc"):
        checks.append(_top_margin(tube, ct))
    if name == "aorta_arch":
        above = float(tube.centre_lps_mm[:, 2].max() - carina_lps_mm[2])
        span = float(np.linalg.norm((tube.centre_lps_mm[-1] - tube.centre_lps_mm[0])[:2]))
        checks.append(_side_of_airway(tube, carina_lps_mm))
        checks.append(within("height", above, ARCH_ABOVE_CARINA_MM, "mm from the carina up to its highest centre"))
        checks.append(at_least("span", span, LEAST_SPAN_MM, "mm between its ends, seen from above"))
    if name == "svc":
        side = float(_right_of(tube, aorta).mean())
        checks.append(at_least("side", side, 5.0, "mm to the right of the ascending aorta"))
    checks += more
    failed = [check for check in checks if not check.passed]
    edge = min(float(np.median(tube.coverage)) / FULL_COVERAGE, 1.0)
    confidence = edge * (1.0 - len(failed) / len(checks))
    reason = "; ".join(f"{check.name}: {check.message}" for check in failed)
    return TubeFinding(tube.centre_lps_mm, radius, round(confidence, 3), tuple(checks), bool(failed), reason)


def _samples(tube: Tube, ct: Volume, blood_hu: float) -> tuple[float, float, float]:
    """Return the core's median HU, the share of metal in the wall and the share of air inside."""

    def at(share: float, extra_mm: float = 0.0) -> Array:
        points = tube.points_lps_mm(share * tube.radius_mm + extra_mm)
        return sample(ct.data, ct.grid.to_ijk(ras_to_lps(points)), outside=blood_hu)

    core = np.concatenate([at(0.2), at(0.4), at(0.6)])
    wall = np.maximum.reduce([at(1.0, -1.5), at(1.0), at(1.0, 1.0)])
    inside = np.stack([at(0.4), at(0.7), at(0.85)])
    return float(np.median(core)), float((wall > WALL_METAL_HU).mean()), float((inside < -250).mean())


def _top_margin(tube: Tube, ct: Volume) -> LimitCheck:
    """Distance from the vessel's highest point to the scan's last slice."""
    top = float((tube.centre_lps_mm[:, 2] + tube.mean_radius_mm * np.hypot(*tube.frame[:, :2, 2].T)).max())
    point = tube.centre_lps_mm[tube.centre_lps_mm[:, 2].argmax()]
    k = float(ct.grid.to_ijk(ras_to_lps(np.array([point[0], point[1], top])))[2])
    margin = (ct.data.shape[2] - 1 - k) * ct.grid.spacing_mm[2]
    return at_least("distance to the scan's edge", margin, TOP_MARGIN_MM, "mm between its top and the scan's top slice")


def _side_of_airway(tube: Tube, carina_lps_mm: Array) -> LimitCheck:
    """How far left of the carina the arch passes where it is beside it."""
    away = np.abs(tube.centre_lps_mm[:, 1] - carina_lps_mm[1])
    beside = away <= max(12.0, float(away.min()))
    left = float((tube.centre_lps_mm[:, 0] - carina_lps_mm[0])[beside].mean())
    return at_least("side of the trachea", left, 5.0, "mm to the left of the trachea")


def _right_of(tube: Tube, aorta: Tube) -> Array:
    rising = aorta.part(aorta.frame[:, 2, 2] > 0.5).centre_lps_mm
    if len(rising) == 0:
        return np.zeros(1)
    near = np.abs(tube.centre_lps_mm[:, None, 2] - rising[None, :, 2]).argmin(axis=1)
    return np.asarray(rising[near, 0] - tube.centre_lps_mm[:, 0])
