"""Vessels followed from plane to plane: the descending and ascending aorta and the superior vena cava."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from petflame.space.grid import Array

MOVE_SCALE_MM = 1.6
RADIUS_SCALE_MM = 1.0
MOVE_WEIGHT = 0.12


@dataclass(frozen=True, eq=False)
class Track:
    """Circles in consecutive planes.

    Attributes
    ----------
    plane : (n,) int array
        Number of the plane (slice k for axial tracks).
    centre_mm : (n, 2) float array
        In-plane position.
    radius_mm : (n,) float array
        Radius.
    score : (n,) float array
        Evidence without priors' smoothness terms.
    """

    plane: Array
    centre_mm: Array
    radius_mm: Array
    score: Array

    def at(self, plane: float) -> tuple[Array, float]:
        """Return centre and radius at a plane, held constant beyond the ends."""
        order = np.argsort(self.plane)
        p = self.plane[order]
        centre = np.array([np.interp(plane, p, self.centre_mm[order, axis]) for axis in (0, 1)])
        return centre, float(np.interp(plane, p, self.radius_mm[order]))


def viterbi(circles: list[Array], scores: list[Array], gap_mm: float) -> Array:
    """Choose one circle a plane so that evidence is high and motion from plane to plane is small.

    Parameters
    ----------
    circles : list of (c, 3) arrays
        In-plane position and radius (mm) of each plane's candidates.
    scores : list of (c,) arrays
        Their evidence.
    gap_mm : float
        Distance between planes: vessels may move in proportion to it.

    Returns
    -------
    (n,) int array
        Candidate chosen in each plane.
    """
    move_mm, grow_mm = MOVE_SCALE_MM * gap_mm / 2.0, RADIUS_SCALE_MM * gap_mm / 2.0
    total = scores[0].astype(float)
    back = []
    for n in range(1, len(circles)):
        delta = circles[n][:, None, :] - circles[n - 1][None, :, :]
        cost = (delta[..., 0] ** 2 + delta[..., 1] ** 2) / move_mm**2 + delta[..., 2] ** 2 / grow_mm**2
        # The cost of a move grows linearly in the end: one bad plane must not break the track.
        options = total[None, :] - MOVE_WEIGHT * cost / np.sqrt(1.0 + cost / 6.0)
        choice = options.argmax(axis=1)
        back.append(choice)
        total = options[np.arange(len(choice)), choice] + scores[n]
    path = [int(total.argmax())]
    for choice in reversed(back):
        path.append(int(choice[path[-1]]))
    return np.array(path[::-1])
