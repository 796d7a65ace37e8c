"""Rough centreline of the aorta on the working grid."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from petflame.anatomy import AutomaticRegions
from petflame.segment.geometric import ends, former
from petflame.segment.geometric.airway import Airway
from petflame.segment.geometric.arch import Arch, follow_arch
from petflame.segment.geometric.axial import Prior, track_axial
from petflame.segment.geometric.blood import Blood
from petflame.segment.geometric.body import Chest
from petflame.segment.geometric.circles import blood_likeness, clip_around_blood
from petflame.segment.geometric.tracks import Track
from petflame.segment.geometric.work import STEP_MM
from petflame.space.grid import Array

# Offsets are leftwards and backwards, mm: general chest anatomy, wide enough for any adult.
DESCENDING = Prior((18.0, -20.0), (15.0, 14.0), 36.0, (8.0, 20.0), (12.0, 3.0))
ASCENDING = Prior((6.0, -35.0), (14.0, 12.0), 32.0, (11.0, 25.0), (16.0, 3.5))
ASCENDING_TRACK_MM = 50.0
# Stretch below the carina on which both sides of the spine are compared: the aorta lies beside it there.
COMPARED_MM = 50.0
END_EXTRA_MM = 10.0
LIKENESS_HU = 25.0
LEAST_SCORE = 0.3


@dataclass(frozen=True, eq=False)
class Paths:
    """Rough centrelines; positions are mm within the working grid (index times step).

    Attributes
    ----------
    aorta_mm : (n, 3) float array
        From the ascending aorta's lower end over the arch to the descending aorta's lower end.
    aorta_radius_mm, aorta_score : (n,) float arrays
        Circle radius, and its evidence.
    ends_mm : (float, float)
        Height of the lower ends of the ascending and the descending aorta; the line goes on a little beyond them.
    ascending, descending : Track
        Axial tracks, whole.
    join : int
        Slice in which the arch is joined to the limbs.
    on_the_right : bool
        Whether a round vessel is seen better to the right of the vertebrae than where the descending aorta belongs.
    """

    aorta_mm: Array
    aorta_radius_mm: Array
    aorta_score: Array
    ends_mm: tuple[float, float]
    ascending: Track
    descending: Track
    join: int
    on_the_right: bool


def find_paths(
    chest: Chest,
    smooth: Array,
    spine: Array,
    airway: Airway,
    carina: Array,
    blood: Blood,
    regions: AutomaticRegions = "landmarks",
) -> Paths:
    """Track the limbs of the aorta and join them over the arch.

    Parameters
    ----------
    chest : Chest
        Working image and lungs.
    smooth : (I, J, K) float array
        The image, lightly smoothed.
    spine : (K, 2) float array
        Vertebral centres.
    airway : Airway
        Trachea.
    carina : (3,) float array
        Index of the carina.
    blood : Blood
        Density of blood.
    regions : {'landmarks', 'former'}
        By which rules both limbs end.
    """
    rules, tracked_mm = (former, former.ASCENDING_TRACK_MM) if regions == "former" else (ends, ASCENDING_TRACK_MM)
    clipped = clip_around_blood(smooth, blood.hu)
    likeness = blood_likeness(smooth, blood.hu, LIKENESS_HU)
    inside = np.flatnonzero(chest.work.inside)
    bottom = max(int(inside[0]), chest.lung_span[0])
    top = int(inside[-1])
    level = int(carina[2])

    down = np.arange(min(level + 2, top), bottom - 1, -1)
    descending = track_axial(clipped, likeness, down, spine[down], DESCENDING)
    beside = down[down >= level - int(COMPARED_MM / STEP_MM)]
    mirrored = replace(DESCENDING, offset_mm=(-DESCENDING.offset_mm[0], DESCENDING.offset_mm[1]))
    other = track_axial(clipped, likeness, beside, spine[beside], mirrored)
    limb = down[down >= level - int(tracked_mm / STEP_MM)]
    trachea = np.array([airway.at(max(float(k), float(airway.centre[-1, 2]) + 1.0)) for k in limb.tolist()])
    ascending = track_axial(clipped, likeness, limb, trachea, ASCENDING)

    join = _joining_slice(ascending, descending, level)
    (a, radius_a), (d, radius_d) = ascending.at(join), descending.at(join)
    height = join * STEP_MM
    arch = follow_arch(clipped, likeness, np.array([*a, height]), np.array([*d, height]), (radius_a, radius_d))
    lowest = (rules.ascending_end(float(carina[2]), ascending), rules.descending_end(chest, descending, bottom))
    floor = None if regions == "former" else int(inside[0])
    aorta, radius, score = _joined(ascending, descending, arch, join, lowest, floor)

    ends_mm = (lowest[0] * STEP_MM, lowest[1] * STEP_MM)
    on_the_right = float(np.median(other.score)) > float(np.median(descending.score[: len(beside)]))
    return Paths(aorta, radius, score, ends_mm, ascending, descending, join, on_the_right)


def _joining_slice(ascending: Track, descending: Track, level: int) -> int:
    """Choose the slice near the carina in which both limbs are seen best as circles: just below the arch."""
    options = np.arange(max(level - 9, int(ascending.plane.min())), level + 2)
    total = np.zeros(len(options))
    for track in (ascending, descending):
        score = ndimage.uniform_filter1d(track.score, 3, mode="nearest")
        total += np.interp(options, track.plane[::-1], score[::-1])
    return int(options[total.argmax()])


def _joined(
    ascending: Track, descending: Track, arch: Arch, join: int, ends: tuple[int, int], floor: int | None
) -> tuple[Array, Array, Array]:
    """Join limbs and arch; both limbs go on beyond their ends, which the caller cuts in an axial plane.

    They do not go below the slice `floor`, where there is one: outside the scan nothing shows where they are.
    """
    spare = int(END_EXTRA_MM / STEP_MM)
    limbs = []
    for track, end in zip((ascending, descending), ends, strict=True):
        use = np.flatnonzero((track.plane <= join) & (track.plane >= end - spare))
        limb = np.column_stack(
            [track.centre_mm[use], track.plane[use] * STEP_MM, track.radius_mm[use], track.score[use]]
        )
        last = int(track.plane[use[-1]])
        missing = spare - (end - last)
        missing = missing if floor is None else min(missing, last - floor)
        if missing > 0:
            step = np.zeros(5)
            step[:2] = (limb[-1, :2] - limb[max(-6, -len(limb)), :2]) / max(min(5, len(limb) - 1), 1)
            step[2] = -STEP_MM
            limb = np.concatenate([limb, limb[-1] + step * np.arange(1, missing + 1)[:, None]])
        limbs.append(limb)
    over = np.column_stack([arch.centre_mm, arch.radius_mm, arch.score])[1:-1]
    line = np.concatenate([limbs[0][::-1], over, limbs[1]])
    return line[:, :3], np.asarray(ndimage.median_filter(line[:, 3], 5, mode="nearest")), line[:, 4]
