"""Reference courses and calibres of the great vessels: rows of x, y, z (LPS mm about the carina) and radius (mm)."""

from __future__ import annotations

import numpy as np

from petflame.space.grid import Array

Course = list[tuple[float, float, float, float]]

AORTA: Course = [
    (6, -17, -66, 15.5), (0, -24, -52, 16.5), (-9, -33, -34, 15.5), (-13, -37, -15, 15.2), (-10, -34, 5, 14.6),
    (0, -26, 21, 13.8), (13, -12, 27, 13.0), (25, 6, 25, 12.4), (31, 22, 13, 12.0), (32, 30, -4, 11.6),
    (30, 33, -30, 11.4), (27, 35, -70, 11.2), (22, 34, -120, 10.8), (14, 32, -200, 10.2),
]  # fmt: skip
BRACHIOCEPHALIC: Course = [(-2, -25, 24, 6.0), (-7, -26, 38, 5.8), (-14, -23, 50, 5.5), (-20, -19, 60, 4.8)]
# From the thoracic inlet up the sides are alike; the fifth row from the inlet is the bifurcation.
_CAROTID_NECK: Course = [
    (22, -16, 72, 3.4), (24, -10, 95, 3.2), (25, -5, 120, 3.2), (26, -1, 146, 3.7), (29, 3, 158, 3.5),
    (32, 6, 172, 2.7), (33, 7, 190, 2.4), (29, 3, 212, 2.3), (27, 1, 240, 2.2),
]  # fmt: skip
BIFURCATION_Z_MM = 146.0
EXTERNAL: Course = [
    (26, -2, 146, 2.6),
    (26, -9, 160, 2.3),
    (31, -15, 176, 2.1),
    (39, -12, 196, 1.8),
    (42, -8, 215, 1.6),
]
_SUBCLAVIAN_RIGHT: Course = [
    (-20, -19, 59, 4.6), (-32, -14, 68, 4.2), (-60, -10, 76, 4.2), (-95, -12, 72, 4.2), (-130, -4, 60, 4.2),
    (-150, 6, 30, 3.4),
]  # fmt: skip
_SUBCLAVIAN_LEFT: Course = [
    (22, 0, 27, 4.6), (26, 0, 45, 4.2), (32, -3, 62, 4.2), (48, -8, 74, 4.2), (75, -10, 76, 4.2),
    (105, -12, 70, 4.2), (135, -2, 56, 4.2), (152, 6, 28, 3.4),
]  # fmt: skip
VEINS: dict[str, Course] = {
    "svc": [(-34, -31, 24, 9.2), (-38, -29, 8, 9.8), (-41, -26, -15, 10.0), (-41, -24, -40, 10.2), (-39, -25, -62, 11)],
    "brachiocephalic_right": [(-34, -31, 22, 8.0), (-36, -29, 40, 7.5), (-38, -22, 58, 7.0)],
    "brachiocephalic_left": [
        (-33, -31, 24, 8), (-16, -45, 33, 7), (10, -44, 42, 7), (30, -34, 52, 7), (37, -22, 60, 7),
    ],
    "jugular_right": [
        (-38, -22, 58, 7.0), (-37, -18, 78, 7.4), (-38, -12, 100, 7.6), (-39, -6, 122, 7.6), (-40, 1, 148, 7.0),
        (-40, 9, 175, 6.0), (-33, 11, 205, 5.0), (-28, 12, 225, 4.5),
    ],
    "jugular_left": [
        (37, -22, 60, 6.2), (36, -18, 78, 6.5), (38, -12, 100, 6.7), (39, -6, 122, 6.7), (40, 1, 148, 6.2),
        (40, 9, 175, 5.4), (33, 11, 205, 4.6), (28, 12, 225, 4.2),
    ],
    "subclavian_right": [(-38, -22, 60, 7.0), (-60, -26, 68, 6.5), (-100, -24, 64, 6.0), (-135, -8, 48, 5.0)],
    "subclavian_left": [(37, -22, 60, 7.0), (60, -26, 68, 6.5), (100, -24, 64, 6.0), (135, -8, 48, 5.0)],
    "pulmonary_trunk": [(16, -56, -56, 14.0), (21, -46, -36, 13.5), (22, -30, -20, 12.5), (18, -18, -17, 11.5)],
    "pulmonary_right": [
        (20, -22, -18, 11.0), (2, -11, -19, 9.8), (-22, -5, -20, 9.4), (-44, -1, -24, 8.0), (-56, 4, -32, 5.5),
    ],
    "pulmonary_left": [(20, -22, -18, 11.0), (34, -6, -10, 9.8), (48, 12, -14, 8.5), (54, 20, -28, 6.0)],
    "cava_inferior": [(-36, -16, -92, 12.0), (-34, -6, -120, 12.0), (-30, 10, -200, 11.5)],
}  # fmt: skip


def carotid(side: str, bifurcation_mm: float) -> Array:
    """Return the course of a common carotid and its internal carotid, (K, 4); the bifurcation is raised."""
    neck = np.array(_CAROTID_NECK, float)
    neck[:, 2] += bifurcation_mm * np.clip((neck[:, 2] - 95.0) / (BIFURCATION_Z_MM - 95.0), 0.0, 1.0)
    if side == "right":
        neck[:, 0] *= -1.0
        return np.vstack([[(-18.0, -20.0, 57.0, 3.7)], neck])
    return np.vstack([[(9.0, -17.0, 26.0, 4.0), (13.0, -18.0, 42.0, 3.8), (18.0, -17.0, 57.0, 3.7)], neck])


def external_carotid(side: str, bifurcation_mm: float) -> Array:
    """Return the course of an external carotid, (K, 4)."""
    course = np.array(EXTERNAL, float)
    course[:, 2] += bifurcation_mm
    course[:, 0] *= 1.0 if side == "left" else -1.0
    return course


def subclavian(side: str) -> Array:
    """Return the course of a subclavian artery, (K, 4)."""
    return np.array(_SUBCLAVIAN_LEFT if side == "left" else _SUBCLAVIAN_RIGHT, float)
