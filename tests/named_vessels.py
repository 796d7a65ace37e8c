"""Vessels of a neck and chest as simple solids, by TotalSegmentator's class names."""

from __future__ import annotations

import numpy as np

from petflame.space.grid import Grid

GRID = Grid((70, 70, 50), np.array([[-2.0, 0, 0, 70], [0, -2.0, 0, 70], [0, 0, 4.0, 0], [0, 0, 0, 1]]))


def anatomy():
    """A bent aorta, carotids that fork, veins: masks by TotalSegmentator's names on GRID."""
    i, j, k = np.indices(GRID.shape)

    def tube(x, y, radius, low, high):
        return (np.hypot(i - x, j - y) <= radius) & (k >= low) & (k < high)

    arch = (np.abs(i - 33) <= 4) & (j >= 18) & (j <= 50) & (k >= 22) & (k < 27)
    return {
        "aorta": tube(33, 22, 7, 2, 22) | tube(35, 46, 6, 0, 22) | arch,
        "heart": tube(33, 25, 12, 0, 2),
        "superior_vena_cava": tube(20, 22, 4, 3, 22),
        "brachiocephalic_vein_right": tube(19, 24, 4, 22, 28),
        "brachiocephalic_vein_left": (i >= 24) & (i < 45) & (abs(j - 12) <= 3) & (abs(k - 25) <= 2)
        | (i >= 23) & (i < 28) & (j >= 9) & (j <= 24) & (abs(k - 24) <= 2) & (np.hypot(i - 19, j - 24) > 4),
        "common_carotid_artery_right": tube(24, 35, 2, 28, 40),
        "common_carotid_artery_left": tube(46, 35, 2, 28, 40),
        "internal_carotid_artery_right": tube(23, 36, 2, 39, 48),
        "internal_carotid_artery_left": tube(47, 36, 2, 39, 48),
        "internal_jugular_vein_right": tube(17, 38, 3, 30, 48),
        "internal_jugular_vein_left": tube(53, 38, 3, 30, 48),
        "esophagus": tube(36, 36, 2, 0, 20),
        "thyroid_gland": tube(35, 30, 3, 30, 33),
    }
