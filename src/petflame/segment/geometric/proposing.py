"""Courses of the neck's vessels that may be proposed to a reader, and the checks that decide whether one is.

On unenhanced low-dose CT the neck's vessels differ from muscle by less than the noise in about a third of the slices,
so what is found here never enters the primary endpoint until a reader has accepted it. A course that follows muscle or
the vein is as round as one that follows the carotid: how well circles fit tells nothing (docs/proposals.md). What tells
is whether the course is one that an artery can take.
"""

from __future__ import annotations

import numpy as np

from petflame.segment.geometric.axial import Prior, track_axial
from petflame.segment.geometric.blood import Blood
from petflame.segment.geometric.circles import blood_likeness, clip_around_blood
from petflame.segment.geometric.neck import Neck
from petflame.segment.geometric.result import LimitCheck, Proposal, at_most
from petflame.segment.geometric.tracks import Track
from petflame.segment.geometric.work import STEP_MM
from petflame.space.grid import Array

LIKENESS_HU = 22.0
# Leftwards and backwards from the airway, for the left side; mirrored for the right. The common carotid lies medial to
# and behind the internal jugular vein, both in the sheath beside trachea, larynx and pharynx.
CAROTID = Prior((21.0, 14.0), (7.0, 8.0), 20.0, (3.0, 5.0), (4.0, 1.0), 0.1)
JUGULAR_FROM_CAROTID = Prior((12.0, -6.0), (6.0, 6.0), 16.0, (4.0, 8.0), (5.5, 1.5), 0.1)
# The common carotid runs up the neck: one that leans by more than 45 degrees has left it for something else. Seen over
# a distance that the grid resolves.
STEEPEST_MM_PER_MM, OVER_MM = 1.0, 6.0
# Where one has the other's place for more than a tenth of the way, one of them is not what it is called.
MOST_OVERLAP = 0.1
# What a proposal promises; two courses from independent planes must keep it between them.
PROMISED_MM = 3.0
VEIN_UNSURE = "no check of it tells whether its centre is within 3 mm, and mostly it is not"
# A reader begins above the clavicles, where the vessels lie beside the airway.
START_ABOVE_MM = 20.0


def propose_vessels(neck: Neck, blood: Blood) -> dict[str, Proposal]:
    """Propose ``carotid_right`` and ``carotid_left``, or say why not; of the jugular veins say where to start.

    A course is the chain of circles, slice by slice, that agrees best with the image and with its usual place: the
    carotid beside the airway, the jugular vein beside the carotid. It is offered where the checks of
    `carotid_checks` predict its centre within 3 mm.
    """
    clipped = clip_around_blood(neck.smooth, blood.hu)
    likeness = blood_likeness(neck.smooth, blood.hu, LIKENESS_HU)
    found = {}
    for side, sign in (("right", -1.0), ("left", 1.0)):

        def carotid_in(planes: Array, sign: float = sign) -> Track:
            return track_axial(clipped, likeness, planes, neck.airway[planes], _mirrored(CAROTID, sign))

        carotid = carotid_in(neck.planes)
        beside = carotid.centre_mm / STEP_MM
        jugular = track_axial(clipped, likeness, neck.planes, beside, _mirrored(JUGULAR_FROM_CAROTID, sign))
        halves = carotid_in(neck.planes[::2]), carotid_in(neck.planes[1::2])
        checks = carotid_checks(carotid, jugular, halves)
        start = _start(neck, sign, CAROTID)
        failed = "; ".join(f"{c.name}: {c.message}" for c in checks if not c.passed)
        found[f"carotid_{side}"] = _proposal(neck, carotid, tuple(checks), start, failed)
        start = _start(neck, sign, CAROTID, JUGULAR_FROM_CAROTID)
        found[f"jugular_{side}"] = _proposal(neck, jugular, (), start, VEIN_UNSURE)
    return found


def carotid_checks(carotid: Track, jugular: Track, halves: tuple[Track, Track]) -> list[LimitCheck]:
    """Check whether a course is one that a carotid can take.

    Parameters
    ----------
    carotid, jugular : Track
        Courses of one side, in the same planes.
    halves : pair of Track
        The carotid followed in every other plane, and in those between: their noise has little in common.
    """
    span = int(OVER_MM / STEP_MM)
    lean = np.hypot(*(carotid.centre_mm[span:] - carotid.centre_mm[:-span]).T) / OVER_MM
    apart = np.hypot(*(jugular.centre_mm - carotid.centre_mm).T) - carotid.radius_mm - jugular.radius_mm
    first, second = (
        np.column_stack([np.interp(carotid.plane, half.plane, half.centre_mm[:, axis]) for axis in (0, 1)])
        for half in halves
    )
    between = np.hypot(*(first - second).T)
    return [
        at_most("course", float(lean.max()), STEEPEST_MM_PER_MM, "mm aside a mm upwards where it leans most"),
        at_most("two vessels", float((apart < 0).mean()), MOST_OVERLAP, "of its way lies inside the vein's section"),
        at_most("two halves", float(between.max()), PROMISED_MM, "mm between the courses in every other plane"),
    ]


def _proposal(
    neck: Neck, track: Track, checks: tuple[LimitCheck, ...], start: tuple[float, float, float], refused: str
) -> Proposal:
    line = neck.work.to_mm(np.column_stack([track.centre_mm / STEP_MM, track.plane]))
    return Proposal(line, float(np.median(track.score)), checks, start, refused)


def _start(neck: Neck, sign: float, *priors: Prior) -> tuple[float, float, float]:
    """Return the place where a vessel is expected a little above the neck's lowest plane, LPS mm."""
    k = neck.planes[min(int(START_ABOVE_MM / STEP_MM), len(neck.planes) - 1)]
    aside = np.sum([(sign * p.offset_mm[0], p.offset_mm[1]) for p in priors], axis=0) / STEP_MM
    x, y, z = neck.work.to_mm(np.array([*(neck.airway[k] + aside), k]))
    return float(x), float(y), float(z)


def _mirrored(prior: Prior, sign: float) -> Prior:
    left, back = prior.offset_mm
    return Prior(
        (sign * left, back), prior.spread_mm, prior.window_mm, prior.radii_mm, prior.usual_radius_mm, prior.weight
    )
