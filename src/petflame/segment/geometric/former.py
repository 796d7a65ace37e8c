"""The former rules of where vessels begin and end, for protocols that ask for them (`segmentation.regions: former`).

Studies that began under `ivory_assumed_v1` or the version before keep their regions by them. How carina, blood, circles
and contours are found is shared with today's rules, so that mended faults are mended in both.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from petflame.segment.geometric.axial import track_axial
from petflame.segment.geometric.blood import Blood
from petflame.segment.geometric.body import Chest
from petflame.segment.geometric.cava import BESIDE_AORTA
from petflame.segment.geometric.circles import blood_likeness, clip_around_blood
from petflame.segment.geometric.ends import LEAST_SCORE, LONGEST_GAP_MM, SMOOTH_SLICES, dome_level
from petflame.segment.geometric.parts import Parts
from petflame.segment.geometric.surface import Tube, fit_tube
from petflame.segment.geometric.tracks import Track
from petflame.segment.geometric.work import STEP_MM
from petflame.space.grid import Array, Volume

ASCENDING_TRACK_MM = 46.0
ROOT_BELOW_CARINA_MM = 34.0
LUNG_REACH_MM = 14.0
CAVA_BELOW_MM, CAVA_ABOVE_MM = 28.0, 22.0
LIKENESS_HU = 25.0
FEWEST_SLICES = 4
# Where the vein looks wide another vessel has joined it: its narrower part gives the calibre of all.
CALIBRE_PERCENTILE, CALIBRE_SPREAD_MM = 25.0, 1.0
MOST_GROWTH, LEAST_COVERAGE = 1.15, 0.45


def ascending_end(carina_k: float, ascending: Track) -> int:
    """Return the lowest slice of the ascending aorta: 34 mm below the carina, or where its track ends."""
    return max(int(carina_k) - int(ROOT_BELOW_CARINA_MM / STEP_MM), int(ascending.plane.min()))


def descending_end(chest: Chest, descending: Track, bottom: int) -> int:
    """Return the lowest slice of the descending aorta.

    It ends where the lungs' section has shrunk to 60 % of its largest, where lung lies no longer within 14 mm of its
    left, or where no round vessel is seen any more.

    Parameters
    ----------
    chest : Chest
    descending : Track
        From above downwards.
    bottom : int
        Lowest slice that may be used.
    """
    lowest = max(dome_level(chest), bottom)
    score = ndimage.uniform_filter1d(descending.score, SMOOTH_SLICES, mode="nearest")
    end = int(descending.plane[0])
    reach, gap = int(LUNG_REACH_MM / STEP_MM), int(LONGEST_GAP_MM / STEP_MM)
    for n, k in enumerate(descending.plane.tolist()):
        i, j = np.round(descending.centre_mm[n] / STEP_MM).astype(int)
        wide = reach + int(descending.radius_mm[n] / STEP_MM)
        around = chest.lungs[max(i, 0) : i + wide + 1, max(j - wide, 0) : j + wide + 1, k]
        if around.any() and score[n] >= LEAST_SCORE:
            end = k
        if k <= lowest or end - k > gap:
            break
    return end


def divide(aorta: Tube, ends_mm: tuple[float, float]) -> Parts:
    """Divide an aorta at the level of the lower margin of the arch's highest section.

    Parameters
    ----------
    aorta : Tube
        Sections from the ascending over the arch to the descending part.
    ends_mm : (float, float)
        Height (LPS z) of the lower ends of the ascending and the descending part.
    """
    z = aorta.centre_lps_mm[:, 2]
    top = int(z.argmax())
    upright = np.hypot(aorta.frame[top, 0, 2], aorta.frame[top, 1, 2])
    return Parts(top, float(z[top] - aorta.mean_radius_mm[top] * upright), ends_mm)


def find_cava(
    ct: Volume, chest: Chest, smooth: Array, carina: Array, ascending: Track, join: int, blood: Blood
) -> tuple[Tube, float] | None:
    """Find the superior vena cava as far as round sections are seen, 22 mm above to 28 mm below the carina.

    Parameters
    ----------
    ct : Volume
        Canonical CT, HU.
    chest : Chest
        Working image and lungs.
    smooth : (I, J, K) float array
        The working image, lightly smoothed.
    carina : (3,) float array
        Index of the carina in the working image.
    ascending : Track
        Axial track of the ascending aorta.
    join : int
        Slice in which the arch is joined to it.
    blood : Blood
        Density of blood.

    Returns
    -------
    (Tube, float) or None
        Its contours, from the head downwards, and the evidence of its circles; None where none is seen.
    """
    inside = np.flatnonzero(chest.work.inside)
    bottom, top, level = max(int(inside[0]), chest.lung_span[0]), int(inside[-1]), int(carina[2])
    slices = np.arange(
        min(level + int(CAVA_ABOVE_MM / STEP_MM), top), max(level - int(CAVA_BELOW_MM / STEP_MM), bottom) - 1, -1
    )
    beside = np.array([ascending.at(min(k, join + 3))[0] for k in slices.tolist()]) / STEP_MM
    clipped, likeness = clip_around_blood(smooth, blood.hu), blood_likeness(smooth, blood.hu, LIKENESS_HU)
    track = track_axial(clipped, likeness, slices, beside, BESIDE_AORTA)
    keep = _longest_run(ndimage.uniform_filter1d(track.score, 3, mode="nearest") >= LEAST_SCORE)
    if keep.sum() < FEWEST_SLICES:
        return None
    line = np.column_stack([track.centre_mm, track.plane * STEP_MM])[keep] + chest.work.origin_lps_mm
    free = fit_tube(ct, line, track.radius_mm[keep], blood.hu)
    calibre = float(np.percentile(free.mean_radius_mm, CALIBRE_PERCENTILE))
    tube = fit_tube(
        ct,
        free.centre_lps_mm,
        free.mean_radius_mm,
        blood.hu,
        rounds=2,
        spread_mm=CALIBRE_SPREAD_MM,
        calibre_mm=calibre,
    )
    return trim(tube, MOST_GROWTH, LEAST_COVERAGE), float(np.median(track.score[keep]))


def trim(tube: Tube, most_growth: float, least_coverage: float) -> Tube:
    """Drop sections from both ends while they are much wider than the rest or lack an edge."""
    usual = float(np.median(tube.mean_radius_mm))
    coverage = ndimage.uniform_filter1d(tube.coverage, 3, mode="nearest")
    good = (tube.mean_radius_mm <= most_growth * usual) & (coverage >= least_coverage)
    if not good.any():
        return tube.part(good)
    keep = np.zeros(len(good), bool)
    keep[int(good.argmax()) : len(good) - int(good[::-1].argmax())] = True
    return tube.part(keep)


def _longest_run(flags: Array) -> Array:
    labels, count = ndimage.label(flags)
    if count == 0:
        return np.zeros(len(flags), bool)
    sizes = np.bincount(labels)[1:]
    return np.asarray(labels == 1 + int(sizes.argmax()))
