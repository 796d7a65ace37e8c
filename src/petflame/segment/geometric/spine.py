"""The column of vertebral bodies."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from petflame.segment.geometric.body import Chest
from petflame.segment.geometric.tracks import viterbi
from petflame.segment.geometric.work import STEP_MM
from petflame.space.grid import Array

BONE_LOW_HU, BONE_HIGH_HU = 90.0, 250.0
BODY_SIGMA_MM = 9.0
SIDE_MM = 40.0
CANDIDATES = 8


def find_spine(chest: Chest) -> Array:
    """Return the centre of the vertebral body in every slice, shape (K, 2), indices (i, j).

    The body is the largest disc of bone near the midline in the rear half of the chest; one smooth column is chosen.
    """
    hu = chest.work.hu
    bone = np.clip((hu - BONE_LOW_HU) / (BONE_HIGH_HU - BONE_LOW_HU), 0, 1).astype(np.float32)
    sigma = BODY_SIGMA_MM / STEP_MM
    smooth = ndimage.gaussian_filter(bone, (sigma, sigma, 1.5))
    front = _front_limit(chest)
    i = np.arange(hu.shape[0])[:, None]
    j = np.arange(hu.shape[1])[None, :]
    circles, scores = [], []
    for k in range(hu.shape[2]):
        off_mm = (i - chest.midline_i[k]) * STEP_MM
        plane = smooth[..., k] - 0.4 * (off_mm / SIDE_MM) ** 2 - np.where(j < front[k], 1.0, 0.0)
        peaks = np.argwhere(plane >= ndimage.maximum_filter(plane, 5))
        values = plane[tuple(peaks.T)]
        best = np.argsort(-values, kind="stable")[:CANDIDATES]
        circles.append(np.concatenate([peaks[best] * STEP_MM, np.zeros((len(best), 1))], axis=1))
        scores.append(values[best])
    path = viterbi(circles, scores, STEP_MM)
    column = np.array([c[n, :2] for c, n in zip(circles, path, strict=True)]) / STEP_MM
    return np.asarray(ndimage.gaussian_filter1d(column, 4.0, axis=0, mode="nearest"))


def _front_limit(chest: Chest) -> Array:
    """Middle of the lungs' depth, per slice: the vertebral bodies lie behind it."""
    depth = np.full(chest.lungs.shape[2], np.nan)
    for k in range(len(depth)):
        j = np.flatnonzero(chest.lungs[..., k].any(axis=0))
        if len(j):
            depth[k] = (j[0] + j[-1]) / 2
    known = np.flatnonzero(np.isfinite(depth))
    return np.interp(np.arange(len(depth)), known, depth[known])
