"""The superior vena cava: where it begins and ends, its contour beside the aorta, and whether it looks like a vein.

The vein runs from the confluence of the brachiocephalic veins down to the right atrium. On CT its upper margin lies
30.4 (SD 11.2) mm above the carina and its lower one 40.3 (13.6) mm below it (Mahlon and Yoon 2007, J Vasc Interv Radiol
18:1106, 112 people), or 28.5 (5.6) and 35.3 (7.4) mm (48 people, Interv Radiol 2011;26). An unenhanced CT shows neither
margin surely, so the vein is sought from 19 mm above the carina, a standard deviation short of the confluence, where
one vein becomes two, down to 35 mm below it, where the atrium, if it begins sooner, holds the same blood. It ends
sooner where its own outline or its calibre is lost.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from petflame.segment.geometric.axial import Prior, track_axial
from petflame.segment.geometric.blood import Blood
from petflame.segment.geometric.circles import blood_likeness, clip_around_blood
from petflame.segment.geometric.ends import field_floor_mm
from petflame.segment.geometric.surface import Tube, fit_tube, rasterise
from petflame.segment.geometric.tracks import Track
from petflame.segment.geometric.work import STEP_MM, Work
from petflame.space.boxes import box_between, box_corners
from petflame.space.grid import Array, Volume, ras_to_lps

# Leftwards and backwards from the ascending aorta, mm: general chest anatomy, wide enough for any adult.
BESIDE_AORTA = Prior((-19.0, 11.0), (9.0, 9.0), 20.0, (5.0, 13.0), (9.0, 2.5))
# Followed further than it is used, so that either end has a neighbourhood.
FOLLOWED_ABOVE_MM, FOLLOWED_BELOW_MM = 44.0, 48.0
ABOVE_CARINA_MM, BELOW_CARINA_MM = 19.0, 35.0
LIKENESS_HU = 25.0
# What takes the aorta's place in the image: fat, from which the vein's wall stands off where the two touch.
FAT_BELOW_BLOOD_HU = 130.0
# A vein has no calcium: what is denser beside or in it is a catheter, its streaks, or bone.
DENSEST_ABOVE_BLOOD_HU = 30.0
MARGIN_MM = 36.0
# Below the carina the right pulmonary artery, of the same density, lies along half of its outline.
CLEAR_COVERAGE, LEAST_COVERAGE = 0.7, 0.35
# Narrower or wider than this part of its usual calibre it is another vein, or several.
CALIBRE_SPREAD_MM, CONTOUR_SPREAD_MM = 1.0, 1.5
CALIBRE = (0.75, 1.3)
LONGEST_GAP_MM = 10.0
OVER_SECTIONS = 5


@dataclass(frozen=True, eq=False)
class Cava:
    """What was found of the vein.

    Attributes
    ----------
    tube : Tube
        Its contours, from the head downwards; without sections where no stretch of it shows an outline.
    whole : Tube
        The contours beyond both ends too, so that the ends can be cut in axial planes.
    free : Tube
        Contours as the image alone draws them, no calibre expected: what the checks look at.
    calibre_mm : float
        Usual radius.
    levels_mm : (float, float)
        Height of the lower and the upper end.
    score : (n,) float array
        Evidence of a round vessel, per section.
    """

    tube: Tube
    whole: Tube
    free: Tube
    calibre_mm: float
    levels_mm: tuple[float, float]
    score: Array


def find_cava(
    ct: Volume, work: Work, smooth: Array, carina: Array, ascending: Track, blood: Blood, aorta: Tube
) -> Cava:
    """Find the superior vena cava to the right of the ascending aorta, whose own voxels cannot be vein.

    Parameters
    ----------
    ct : Volume
        Canonical CT, HU.
    work : Work
        Working image.
    smooth : (I, J, K) float array
        The working image, lightly smoothed.
    carina : (3,) float array
        Index of the carina in the working image.
    ascending : Track
        Axial track of the ascending aorta.
    blood : Blood
        Density of blood.
    aorta : Tube
        Contours of the whole aorta.
    """
    level = float(work.to_mm(carina)[2])
    track = _followed(work, smooth, carina, ascending, blood, aorta, BESIDE_AORTA)
    image = _without_aorta(ct, _line(track, work), blood, aorta)
    first = fit_tube(image, _line(track, work), track.radius_mm, blood.hu)
    calibre = _calibre(first, level)
    narrow = replace(
        BESIDE_AORTA, radii_mm=(calibre - 2.0, calibre + 1.5), usual_radius_mm=(calibre, CALIBRE_SPREAD_MM)
    )
    track = _followed(work, smooth, carina, ascending, blood, aorta, narrow)
    line = _line(track, work)
    tube = fit_tube(image, line, track.radius_mm, blood.hu, rounds=2, spread_mm=CONTOUR_SPREAD_MM, calibre_mm=calibre)
    height = tube.centre_lps_mm[:, 2]
    floor = max(level - BELOW_CARINA_MM, field_floor_mm(ct, tube.centre_lps_mm[-1]))
    sought = (height <= level + ABOVE_CARINA_MM) & (height >= floor)
    keep = _own_outline(tube, sought)
    near = np.abs(line[None, :, 2] - height[:, None]).argmin(axis=1)
    kept = height[keep]
    levels = (float(kept.min()), float(kept.max())) if len(kept) else (level, level)
    free = first.part((first.centre_lps_mm[:, 2] >= levels[0]) & (first.centre_lps_mm[:, 2] <= levels[1]))
    return Cava(tube.part(keep), tube, free, calibre, levels, track.score[near][keep])


def _followed(
    work: Work, smooth: Array, carina: Array, ascending: Track, blood: Blood, aorta: Tube, prior: Prior
) -> Track:
    image = np.minimum(smooth, np.float32(blood.hu + DENSEST_ABOVE_BLOOD_HU))
    for box, inside, _ in rasterise(aorta, Volume(image, work.grid)):
        image[box][inside] = blood.hu - FAT_BELOW_BLOOD_HU
    inside_scan = np.flatnonzero(work.inside)
    level = int(carina[2])
    top = min(level + int(FOLLOWED_ABOVE_MM / STEP_MM), int(inside_scan[-1]))
    bottom = max(level - int(FOLLOWED_BELOW_MM / STEP_MM), int(inside_scan[0]))
    slices = np.arange(top, bottom - 1, -1)
    # Above the carina the ascending aorta turns into the arch: its place at the carina serves as anchor there.
    beside = np.array([ascending.at(min(k, level))[0] for k in slices.tolist()]) / STEP_MM
    clipped = clip_around_blood(image, blood.hu)
    return track_axial(clipped, blood_likeness(image, blood.hu, LIKENESS_HU), slices, beside, prior)


def _line(track: Track, work: Work) -> Array:
    return np.asarray(np.column_stack([track.centre_mm, track.plane * STEP_MM]) + work.origin_lps_mm)


def _calibre(tube: Tube, carina_mm: float) -> float:
    """Usual radius of the vein: over the levels above the right pulmonary artery on which its outline is clear."""
    above = (tube.centre_lps_mm[:, 2] >= carina_mm) & (tube.centre_lps_mm[:, 2] <= carina_mm + ABOVE_CARINA_MM)
    clear = above & (tube.coverage >= CLEAR_COVERAGE)
    chosen = clear if clear.sum() >= OVER_SECTIONS else above
    return float(np.median(tube.mean_radius_mm[chosen]))


def _without_aorta(ct: Volume, line_lps_mm: Array, blood: Blood, aorta: Tube) -> Volume:
    """Crop the CT round a line and fill the aorta with fat."""
    corners = box_corners(line_lps_mm.min(axis=0) - MARGIN_MM, line_lps_mm.max(axis=0) + MARGIN_MM)
    crop = ct.cropped(box_between(*ct.grid.reached_by(ras_to_lps(corners))))
    crop = Volume(np.minimum(crop.data, np.float32(blood.hu + DENSEST_ABOVE_BLOOD_HU)), crop.grid)
    for box, inside, _ in rasterise(aorta, crop):
        crop.data[box][inside] = blood.hu - FAT_BELOW_BLOOD_HU
    return crop


def _own_outline(tube: Tube, sought: Array) -> Array:
    """Choose the longest stretch with an outline of its own and the calibre of one vein; short gaps are bridged."""
    coverage = ndimage.uniform_filter1d(tube.coverage, OVER_SECTIONS, mode="nearest")
    radius = ndimage.median_filter(tube.mean_radius_mm, OVER_SECTIONS, mode="nearest")
    clear = sought & (coverage >= CLEAR_COVERAGE)
    if not (clear.any() or sought.any()):
        return np.zeros(len(sought), bool)
    calibre = float(np.median(tube.mean_radius_mm[clear if clear.any() else sought]))
    good = sought & (coverage >= LEAST_COVERAGE) & (radius >= CALIBRE[0] * calibre) & (radius <= CALIBRE[1] * calibre)
    height = tube.centre_lps_mm[:, 2]
    places = np.flatnonzero(good)
    if not len(places):
        return good
    parts = np.split(places, np.flatnonzero(-np.diff(height[places]) > LONGEST_GAP_MM) + 1)
    longest = max(parts, key=lambda part: float(height[part[0]] - height[part[-1]]))
    keep = np.zeros(len(sought), bool)
    keep[longest[0] : longest[-1] + 1] = True
    return keep
