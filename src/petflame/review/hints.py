"""Where a reader's next point on a vessel is due: within 30 mm of the one before, along its likely course."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from petflame.anatomy import title
from petflame.segment.seedfile import FARTHEST_APART_MM
from petflame.space.grid import Array

# A little less than the farthest, so that a click a slice off still serves; and how near to an end is at the end.
STEP_MM, AT_END_MM = 25.0, 8.0


@dataclass(frozen=True)
class Hint:
    """Where a point is due, LPS mm, and why there."""

    lps_mm: tuple[float, float, float]
    words: str


def point_due(
    name: str,
    seeds_lps_mm: Array,
    course_lps_mm: Array,
    levels_mm: tuple[float, float] | None,
    start_lps_mm: tuple[float, float, float] | None = None,
) -> Hint | None:
    """Return where the next point is due; None where the vessel has all it needs, or nothing tells where it runs.

    Parameters
    ----------
    name : str
    seeds_lps_mm : (m, 3) array
        From the lowest to the highest.
    course_lps_mm : (n, 3) array
        Where software believes that the vessel runs, in either direction; n = 0 where it does not know.
    levels_mm : (float, float) or None
        Lowest and highest level to reach, LPS z, where the course does not tell.
    start_lps_mm : (float, float, float) or None
        Where such a vessel usually lies low in this neck, where there is no course.
    """
    course = course_lps_mm[np.argsort(course_lps_mm[:, 2])] if len(course_lps_mm) else course_lps_mm
    levels = (float(course[0, 2]), float(course[-1, 2])) if len(course) else levels_mm
    said = title(name)
    if not len(seeds_lps_mm):
        if len(course):
            return Hint(_place(course[0]), f"{said}: begin at its lower end")
        usual = f"{said}: nothing shows it surely; it usually lies about here low in the neck"
        return None if start_lps_mm is None else Hint(_place(np.asarray(start_lps_mm)), usual)
    gaps = np.linalg.norm(np.diff(seeds_lps_mm, axis=0), axis=1)
    if len(gaps) and gaps.max() > FARTHEST_APART_MM:
        n = int(gaps.argmax())
        middle = seeds_lps_mm[n : n + 2].mean(axis=0)
        return Hint(_place(middle), f"{said}: {gaps[n]:.0f} mm between two points, set one between them")
    if levels is None:
        return None
    for end, limit, sign, words in ((-1, levels[1], 1.0, "upwards"), (0, levels[0], -1.0, "downwards")):
        left = sign * (limit - seeds_lps_mm[end, 2])
        if left > AT_END_MM:
            step = min(STEP_MM, left)
            return Hint(
                _place(_onwards(seeds_lps_mm, course, end, sign * step)),
                f"{said}: go on {words}, {left:.0f} mm to its end",
            )
    return None


def _onwards(seeds: Array, course: Array, end: int, step_mm: float) -> Array:
    """Place a step in z beyond the last seed: beside the course as far as the seed is, or straight on."""
    z = seeds[end, 2] + step_mm
    if len(course):
        at = [
            np.array([np.interp(level, course[:, 2], course[:, axis]) for axis in (0, 1)])
            for level in (z, seeds[end, 2])
        ]
        return np.array([*(seeds[end, :2] + at[0] - at[1]), z])
    if len(seeds) > 1:
        other = seeds[end - 1 if end else 1]
        rise = seeds[end] - other
        if abs(rise[2]) > np.linalg.norm(rise[:2]):
            return np.array([*(seeds[end, :2] + rise[:2] / rise[2] * step_mm), z])
    return np.array([*seeds[end, :2], z])


def _place(point: Array) -> tuple[float, float, float]:
    x, y, z = (round(float(v), 2) for v in point)
    return x, y, z


def levels_of_others(name: str, seeds_lps_mm: Mapping[str, Array]) -> tuple[float, float] | None:
    """Return between which levels the vessels beside a vessel of the neck were set: other side, then its neighbour."""
    if not name.startswith(("carotid", "jugular")):
        return None
    stem, side = name.split("_")
    other = {"right": "left", "left": "right"}[side]
    partner = {"carotid": "jugular", "jugular": "carotid"}[stem]
    for like in (f"{stem}_{other}", f"{partner}_{side}"):
        seeds = seeds_lps_mm.get(like, np.zeros((0, 3)))
        if len(seeds) > 1:
            return float(seeds[0, 2]), float(seeds[-1, 2])
    return None
