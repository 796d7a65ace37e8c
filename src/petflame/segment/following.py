"""Following a vessel between a reader's points on CT and PET."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from petflame.segment.course import Displacements, held_out_course, likely_course, points_on
from petflame.segment.geometric.surface import frames
from petflame.segment.seen_on_ct import seen_on_ct
from petflame.segment.seen_on_pet import seen_on_pet
from petflame.segment.usual import Usual
from petflame.space.grid import Array, Volume
from petflame.space.polyline import arc_length_mm, places_at

STATION_MM = 3.0
FEWEST_STATIONS = 5
# A reader's error along each axis: three to four points a vessel, set in passing.
POINT_SD_MM = 2.0
ROUNDS = 4
# Noise of the PET is independent beyond its resolution (6 mm) and a third.
HELD_OUT_MM = 8.0
# Farther than this a vessel's uptake does not reach into another's planes.
BESIDE_MM = 25.0


@dataclass(frozen=True, eq=False)
class Followed:
    """A vessel's course.

    Attributes
    ----------
    line_lps_mm : (n, 3) array
        Stations about `STATION_MM` apart.
    se_mm : (n,) array
        Standard error in the plane across the line, both axes together.
    """

    line_lps_mm: Array
    se_mm: Array


def follow(
    points_lps_mm: Array,
    first_lps_mm: Array,
    ct: Volume,
    pet: Volume | None,
    usual: Usual,
    beside: Sequence[tuple[Array, float]] = (),
    point_sd_mm: float = POINT_SD_MM,
) -> Followed:
    """Find the most probable course of a vessel given a reader's points, the CT and the PET.

    Parameters
    ----------
    points_lps_mm : (m, 3) array
    first_lps_mm : (n, 3) array
        A line through them to start from.
    ct, pet : Volume
        HU, and uptake in any unit; any axis order.
    usual : Usual
    beside : sequence of ((k, 3) array, float)
        Lines and radii of other vessels.
    point_sd_mm : float
        Standard deviation of a point's error along each axis.
    """
    line = _stations(first_lps_mm)
    count = len(line)
    points = points_on(line, points_lps_mm, point_sd_mm)
    near = near_vessels(first_lps_mm, beside)
    nothing = Displacements(np.zeros((count, 2)), np.zeros((count, 2, 2)))
    for n in range(ROUNDS):
        frame = frames(line)
        on_ct = seen_on_ct(ct, line, frame, usual.radii_mm)
        on_pet = nothing if pet is None else seen_on_pet(pet, line, frame, usual.radius_mm, near, usual.even)
        if n < ROUNDS - 1:
            line = likely_course(line, frame, points, [on_ct, on_pet], usual.stiffness_mm3)
    line, se = held_out_course(line, frame, points, [on_ct], on_pet, HELD_OUT_MM, usual.stiffness_mm3)
    return Followed(line, se)


def near_vessels(first_lps_mm: Array, beside: Sequence[tuple[Array, float]]) -> list[tuple[Array, float]]:
    """Return those of other vessels, lines and radii, that come near enough to a first line, shape (n, 3), to count."""
    line = _stations(first_lps_mm)
    return [b for b in beside if _apart_mm(line, b[0]) <= BESIDE_MM]


def _stations(first_lps_mm: Array) -> Array:
    length = arc_length_mm(first_lps_mm)[-1]
    count = max(FEWEST_STATIONS, int(np.ceil(length / STATION_MM)) + 1)
    return places_at(first_lps_mm, np.linspace(0.0, length, count))


def _apart_mm(line_lps_mm: Array, other_lps_mm: Array) -> float:
    return float(np.linalg.norm(line_lps_mm[:, None] - other_lps_mm[None], axis=-1).min())
