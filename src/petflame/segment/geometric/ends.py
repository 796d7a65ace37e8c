"""Where the aorta's parts begin and end, as far as a mark on an unenhanced CT says.

The root itself cannot be seen without contrast medium on most scans; the carina can, and lies a near-constant way above
it. The descending aorta leaves the chest behind the diaphragm's crura: there the lung that flanked it comes to an end.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from petflame.segment.geometric.body import Chest
from petflame.segment.geometric.tracks import Track
from petflame.segment.geometric.work import STEP_MM
from petflame.space.grid import Array, Volume, ras_to_lps

# About a centimetre above the ostium of the left main coronary artery, which is taken to lie 48 mm below the carina: no
# published distance was found; one scan with a calcified ostium has 44 mm.
ROOT_BELOW_CARINA_MM = 38.0
# The uptake of a PET section blurs over 5 to 7 mm, so nearer to the end of the scan a section lacks some of its own.
FIELD_MARGIN_MM = 6.0
# The lung flanks the aorta from its left to behind it. Angles from the patient's left to the back.
FLANK_DEG = np.arange(-60.0, 121.0, 6.0)
FLANK_REACH_MM = 10.0
LEAST_FLANKED = 0.15
DOME_AREA_SHARE = 0.6
LONGEST_GAP_MM = 20.0
LEAST_SCORE = 0.3
SMOOTH_SLICES = 5


def ascending_end(carina_k: float, ascending: Track) -> int:
    """Return the lowest slice of the ascending aorta: 38 mm below the carina, or where its track ends."""
    return max(round(carina_k - ROOT_BELOW_CARINA_MM / STEP_MM), int(ascending.plane.min()))


def descending_end(chest: Chest, descending: Track, bottom: int) -> int:
    """Return the lowest slice of the descending aorta: the diaphragm.

    It is followed down to the level at which the lungs' section has shrunk to 60 % of its largest (the dome), and below
    that while lung flanks it, which ends where it passes behind the crura. It ends earlier where no round vessel is
    seen over 20 mm.

    Parameters
    ----------
    chest : Chest
    descending : Track
        From above downwards.
    bottom : int
        Lowest slice that may be used.
    """
    dome = dome_level(chest)
    score = ndimage.uniform_filter1d(descending.score, SMOOTH_SLICES, mode="nearest")
    beside = flanked(chest, descending) >= LEAST_FLANKED
    gap = int(LONGEST_GAP_MM / STEP_MM)
    end = int(descending.plane[0])
    for n, k in enumerate(descending.plane.tolist()):
        if k < bottom or end - k > gap or (k < dome and not beside[n]):
            break
        if score[n] >= LEAST_SCORE:
            end = k
    return end


def dome_level(chest: Chest) -> int:
    """Return the lowest slice above the diaphragm's dome: the lungs' section is 60 % of its largest, or more."""
    area = chest.lungs.sum(axis=(0, 1))
    widest = int(area.argmax())
    shrunk = np.flatnonzero(area[:widest] < DOME_AREA_SHARE * area[widest])
    return int(shrunk[-1]) + 1 if len(shrunk) else 0


def flanked(chest: Chest, descending: Track) -> Array:
    """Return the share of the descending aorta's left and rear half that has lung within 10 mm of it, shape (n,)."""
    turn = np.deg2rad(FLANK_DEG)
    ray = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    radius = ndimage.median_filter(descending.radius_mm, SMOOTH_SLICES, mode="nearest")
    away = np.arange(0.0, FLANK_REACH_MM + STEP_MM / 2, STEP_MM / 2)
    distance = radius[:, None] + away
    points = descending.centre_mm[:, None, None] + distance[:, None, :, None] * ray[:, None]
    index = np.round(points / STEP_MM).astype(int)
    index = np.clip(index, 0, np.array(chest.lungs.shape[:2]) - 1)
    lung = chest.lungs[index[..., 0], index[..., 1], descending.plane[:, None, None]]
    return np.asarray(ndimage.uniform_filter1d(lung.any(axis=2).mean(axis=1), SMOOTH_SLICES, mode="nearest"))


def field_floor_mm(ct: Volume, point_lps_mm: Array) -> float:
    """Return how low sections may go at a place: 6 mm above the outer face of the scan's lowest slice, LPS z.

    Parameters
    ----------
    ct : Volume
        Canonical CT.
    point_lps_mm : (3,) array
        A place within the scan, straight above or below which the face is looked for.
    """
    up = np.array([0.0, 0.0, 1.0])
    start, step = (float(ct.grid.to_ijk(ras_to_lps(point_lps_mm + s * up))[2]) for s in (0.0, 1.0))
    face = float(point_lps_mm[2]) + (-0.5 - start) / (step - start)
    return face + FIELD_MARGIN_MM
