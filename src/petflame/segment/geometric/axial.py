"""Priors of the vessels that run up and down, and their tracks through axial slices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from petflame.segment.geometric.circles import candidates, ring_evidence
from petflame.segment.geometric.tracks import Track, viterbi
from petflame.segment.geometric.work import STEP_MM
from petflame.space.grid import Array

CANDIDATES = 25


@dataclass(frozen=True)
class Prior:
    """Where a vessel is expected relative to an anchor, in one slice.

    Attributes
    ----------
    offset_mm : (float, float)
        Leftwards and backwards from the anchor.
    spread_mm : (float, float)
        Distance at which the prior costs half a unit of evidence times its weight.
    window_mm : float
        Half width of the square that is searched around the expected place.
    radii_mm : (float, float)
        Smallest and largest radius.
    usual_radius_mm : (float, float)
        Usual radius and its spread.
    weight : float
        Cost of one spread's departure.
    """

    offset_mm: tuple[float, float]
    spread_mm: tuple[float, float]
    window_mm: float
    radii_mm: tuple[float, float]
    usual_radius_mm: tuple[float, float]
    weight: float = 0.06


def track_axial(
    clipped: Array, likeness: Array, slices: Array, anchors: Array, prior: Prior, fixed: Array | None = None
) -> Track:
    """Follow a round vessel through axial slices.

    Parameters
    ----------
    clipped, likeness : (I, J, K) float arrays
        From `petflame.segment.geometric.circles`.
    slices : (n,) int array
        Slices k in the order of tracking.
    anchors : (n, 2) float array
        Indices (i, j) that `prior` is relative to.
    prior : Prior
        Expectation.
    fixed : (3,) array, optional
        Position (mm within the working grid) and radius in the first slice.

    Returns
    -------
    Track
        Positions in mm within the working grid (index times step).
    """
    radii = np.arange(prior.radii_mm[0], prior.radii_mm[1] + 0.5, 1.0)
    half = int(np.ceil((prior.window_mm + prior.radii_mm[1]) / STEP_MM))
    centres = anchors + np.array(prior.offset_mm) / STEP_MM
    low = np.round(centres).astype(int) - half
    planes = np.stack([_window(clipped, at, half, k, clipped.min()) for at, k in zip(low, slices, strict=True)])
    like = np.stack([_window(likeness, at, half, k, -1.0) for at, k in zip(low, slices, strict=True)])
    evidence = ring_evidence(planes, like, radii, STEP_MM)
    axis = np.arange(2 * half + 1)
    circles, scores = [], []
    for n in range(len(slices)):
        off_i = (low[n, 0] + axis - centres[n, 0])[:, None] * STEP_MM
        off_j = (low[n, 1] + axis - centres[n, 1])[None, :] * STEP_MM
        cost = prior.weight * ((off_i / prior.spread_mm[0]) ** 2 + (off_j / prior.spread_mm[1]) ** 2)
        cost = np.where((np.abs(off_i) > prior.window_mm) | (np.abs(off_j) > prior.window_mm), np.inf, cost)
        grown = prior.weight * ((radii - prior.usual_radius_mm[0]) / prior.usual_radius_mm[1]) ** 2
        where, value = candidates(evidence[:, n], -cost[None] - grown[:, None, None], CANDIDATES)
        if n == 0 and fixed is not None:
            circles.append(fixed[None, :])
            scores.append(np.zeros(1))
            continue
        position = (where[:, 1:] + low[n]) * STEP_MM
        circles.append(np.column_stack([position, radii[0] + where[:, 0]]))
        scores.append(value)
    path = viterbi(circles, scores, STEP_MM)
    chosen = np.array([c[p] for c, p in zip(circles, path, strict=True)])
    score = np.array([s[p] for s, p in zip(scores, path, strict=True)])
    return Track(np.asarray(slices), chosen[:, :2], chosen[:, 2], score)


def _window(image: Array, low: Array, half: int, k: int, fill: float) -> Array:
    size = 2 * half + 1
    window = np.full((size, size), fill, np.float32)
    first = np.maximum(low, 0)
    last = np.minimum(low + size, image.shape[:2])
    if (last > first).all():
        a, b = first - low, last - low
        window[a[0] : b[0], a[1] : b[1]] = image[first[0] : last[0], first[1] : last[1], k]
    return window
