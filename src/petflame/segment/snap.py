"""Moving one click to the middle of the vessel that the images show there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from petflame.segment.following import follow
from petflame.segment.usual import Usual
from petflame.space.grid import Array, Volume

# Neck vessels run head-foot within about 20 degrees: a short upright piece of one is sought, its ends loosely held.
HALF_LENGTH_MM, END_SD_MM = 15.0, 4.0
# A click farther off than this meant something else; an answer less sure than a click is none.
FARTHEST_MM, LEAST_SURE_MM = 4.0, 2.0


@dataclass(frozen=True, eq=False)
class Snapped:
    """What became of a click.

    Attributes
    ----------
    point_lps_mm : (3,) array
        On the click's axial plane; the click itself where `reason` says why.
    moved_mm : float
        How far off the click the images show the vessel.
    se_mm : float
        Standard error of that place, both axes together.
    reason : str
        Why the click was left where it is; empty where it was moved.
    """

    point_lps_mm: Array
    moved_mm: float
    se_mm: float
    reason: str


def snap(
    click_lps_mm: Array,
    ct: Volume,
    usual: Usual,
    pet: Volume | None = None,
    beside: Sequence[tuple[Array, float]] = (),
) -> Snapped:
    """Move a click by up to 4 mm to the middle of the vessel that CT and PET show on its axial plane, or leave it.

    Parameters
    ----------
    click_lps_mm : (3,) array
    ct : Volume
        HU, any axis order.
    usual : Usual
    pet : Volume or None
        Uptake in any unit, any axis order.
    beside : sequence of ((n, 3) array, float)
        Lines and radii of other vessels.
    """
    click = np.asarray(click_lps_mm, float)
    ends = click + HALF_LENGTH_MM * np.array([[0.0, 0.0, -1.0], [0.0, 0.0, 1.0]])
    found = follow(ends, ends, ct, pet, usual, beside, END_SD_MM)
    line = found.line_lps_mm
    place = np.array([np.interp(click[2], line[:, 2], line[:, axis]) for axis in range(3)])
    moved, se = float(np.linalg.norm(place - click)), float(np.interp(click[2], line[:, 2], found.se_mm))
    reason = ""
    if se > LEAST_SURE_MM:
        reason = f"the images do not show where the vessel lies (standard error {se:.1f} mm, limit {LEAST_SURE_MM:g})"
    elif moved > FARTHEST_MM:
        reason = f"the vessel that the images show lies {moved:.1f} mm off (limit {FARTHEST_MM:g})"
    return Snapped(click if reason else place, moved, se, reason)
