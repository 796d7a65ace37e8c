"""The aortic arch, followed through planes that turn about an axis below it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from petflame.segment.geometric.circles import candidates, ring_evidence
from petflame.segment.geometric.tracks import viterbi
from petflame.segment.geometric.work import STEP_MM, sample
from petflame.space.grid import Array

TURN_DEG = 3.0
INNER_MM = 4.0
OUTER_EXTRA_MM = 48.0
SIDE_MM = 40.0
CANDIDATES = 25
LATERAL_SPREAD_MM = 16.0
DISTANCE_SPREAD_MM = 14.0
RADIUS_SPREAD_MM = 2.5
WEIGHT = 0.06


@dataclass(frozen=True, eq=False)
class Arch:
    """Sections of the arch from the ascending to the descending aorta.

    Attributes
    ----------
    centre_mm : (n, 3) float array
        Positions within the working grid (index times step).
    radius_mm : (n,) float array
        Radius of the section.
    score : (n,) float array
        Evidence of the section.
    """

    centre_mm: Array
    radius_mm: Array
    score: Array


def follow_arch(
    clipped: Array, likeness: Array, ascending: Array, descending: Array, radii_mm: tuple[float, float]
) -> Arch:
    """Follow the aorta over the top.

    Half-planes turn about a horizontal axis that lies half-way between the two limbs and at right angles to the line
    between them: from level on the ascending side, through upright, to level on the descending side. Each cuts the
    aorta nearly across, limbs and arch alike, so one chain of circles joins them; the pulmonary artery under the arch
    and the branches above it are off the chain by place or size.

    Parameters
    ----------
    clipped, likeness : (I, J, K) float arrays
        From `petflame.segment.geometric.circles`.
    ascending, descending : (3,) float array
        Centre of each limb, mm within the working grid, at about the same height.
    radii_mm : (float, float)
        Radius of each limb there.
    """
    middle = (ascending + descending) / 2
    chord = descending[:2] - ascending[:2]
    half = float(np.linalg.norm(chord)) / 2
    along = np.array([*(chord / (2 * half)), 0.0])
    aside = np.array([-along[1], along[0], 0.0])
    turns = np.deg2rad(np.arange(0.0, 180.0 + TURN_DEG / 2, TURN_DEG))
    # The limbs need not be level: the axis tilts with the line between them.
    rise = (descending[2] - ascending[2]) / (2 * half)
    out = [np.cos(t) * -along + np.array([0, 0, np.sin(t) - np.cos(t) * rise]) for t in turns]
    distance = np.arange(INNER_MM, half + OUTER_EXTRA_MM, STEP_MM)
    side = np.arange(-SIDE_MM, SIDE_MM + 1, STEP_MM)
    points = np.stack([middle + distance[:, None, None] * o + side[None, :, None] * aside for o in out])
    planes = sample(clipped, points / STEP_MM, outside=float(clipped.min()))
    like = sample(likeness, points / STEP_MM, outside=-1.0)
    smallest, largest = max(6.0, min(radii_mm) - 4.0), max(radii_mm) + 4.0
    radii = np.arange(smallest, largest + 0.5, 1.0)
    evidence = ring_evidence(planes, like, radii, STEP_MM)

    circles, scores = [], []
    for n, turn in enumerate(turns):
        share = turn / np.pi
        usual = (1 - share) * radii_mm[0] + share * radii_mm[1]
        free = np.sin(turn)
        off = np.abs(distance - half) / (3.0 + DISTANCE_SPREAD_MM * free)
        cost = WEIGHT * off[:, None] ** 2 + WEIGHT * (side[None, :] / (3.0 + LATERAL_SPREAD_MM * free)) ** 2
        # The section must clear the axis: what hangs below it is the pulmonary artery.
        cost = cost[None] + np.where(distance[None, :, None] < radii[:, None, None] + 2.0, 1.0, 0.0)
        grown = WEIGHT * ((radii - usual) / RADIUS_SPREAD_MM) ** 2
        where, value = candidates(evidence[:, n], -cost - grown[:, None, None], CANDIDATES)
        circles.append(
            np.column_stack(
                [distance[0] + where[:, 1] * STEP_MM, side[0] + where[:, 2] * STEP_MM, radii[0] + where[:, 0]]
            )
        )
        scores.append(value)
    circles[0] = np.array([[half, 0.0, radii_mm[0]]])
    circles[-1] = np.array([[half, 0.0, radii_mm[1]]])
    scores[0] = scores[-1] = np.zeros(1)
    path = viterbi(circles, scores, np.deg2rad(TURN_DEG) * (half + 10.0))
    chosen = np.array([c[p] for c, p in zip(circles, path, strict=True)])
    centre = middle + chosen[:, :1] * np.array(out) + chosen[:, 1:2] * aside
    return Arch(centre, chosen[:, 2], np.array([s[p] for s, p in zip(scores, path, strict=True)]))
