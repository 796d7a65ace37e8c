"""How a patient lies at one acquisition: a forward map of points from the reference anatomy.

CT and PET are drawn separately from mapped control points, so a bend or a shift is exact and no image is resampled.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from petflame.space.grid import Array

_FLEXION_PIVOT = np.array([0.0, 28.0, 72.0])
_TURN_PIVOT = np.array([0.0, 18.0, 0.0])


def _ramp(z_mm: Array, low_mm: float, high_mm: float) -> Array:
    t = np.clip((z_mm - low_mm) / (high_mm - low_mm), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


@dataclass(frozen=True)
class Pose:
    """One position of the body.

    Attributes
    ----------
    shift_mm : (float, float, float)
        Translation, LPS mm.
    roll_deg, yaw_deg, tilt_deg : float
        Rotations of the whole body about z, y and x.
    flexion_deg : float
        Neck flexion (chin towards the chest is positive), growing from the first rib to the hyoid.
    turn_deg : float
        Turn of the head about the long axis, growing from the larynx to the skull base.
    breathing_mm : float
        Downward displacement of heart and diaphragm, none above the carina.
    """

    shift_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    roll_deg: float = 0.0
    yaw_deg: float = 0.0
    tilt_deg: float = 0.0
    flexion_deg: float = 0.0
    turn_deg: float = 0.0
    breathing_mm: float = 0.0

    def moved(
        self, shift_mm: Array, turn_deg: float = 0.0, flexion_deg: float = 0.0, breathing_mm: float = 0.0
    ) -> Pose:
        """Return the pose after a further small motion, as between CT and PET."""
        x, y, z = (float(a + b) for a, b in zip(self.shift_mm, shift_mm, strict=True))
        return replace(
            self,
            shift_mm=(x, y, z),
            turn_deg=self.turn_deg + turn_deg,
            flexion_deg=self.flexion_deg + flexion_deg,
            breathing_mm=self.breathing_mm + breathing_mm,
        )

    def apply(self, points_mm: Array) -> Array:
        """Map points of the reference anatomy, shape (N, 3) LPS mm, to where they lie now."""
        p = np.array(points_mm, float).reshape(-1, 3)
        z = p[:, 2].copy()
        p[:, 2] -= self.breathing_mm * (1.0 - _ramp(z, -110.0, -20.0))
        flexion = np.deg2rad(self.flexion_deg) * _ramp(z, 60.0, 150.0)
        turn = np.deg2rad(self.turn_deg) * _ramp(z, 85.0, 195.0)
        p = _rotate(p - _FLEXION_PIVOT, 0, flexion) + _FLEXION_PIVOT
        p = _rotate(p - _TURN_PIVOT, 2, turn) + _TURN_PIVOT
        return p @ self._rigid().T + np.asarray(self.shift_mm)

    def rotation_at(self, point_mm: Array) -> Array:
        """Return the (3, 3) rotation that the pose gives to a small object at a reference point."""
        z = np.asarray([float(point_mm[2])])
        columns = np.eye(3)
        columns = _rotate(columns, 0, np.deg2rad(self.flexion_deg) * _ramp(z, 60.0, 150.0))
        columns = _rotate(columns, 2, np.deg2rad(self.turn_deg) * _ramp(z, 85.0, 195.0))
        return self._rigid() @ columns.T

    def axial_angle_rad(self, z_mm: Array) -> Array:
        """Return the rotation about z of structures at reference heights z, shape (N,)."""
        return np.deg2rad(self.roll_deg) + np.deg2rad(self.turn_deg) * _ramp(np.asarray(z_mm, float), 85.0, 195.0)

    def _rigid(self) -> Array:
        return _rotation(self.tilt_deg, self.yaw_deg, self.roll_deg)


@lru_cache(maxsize=16)
def _rotation(tilt_deg: float, yaw_deg: float, roll_deg: float) -> Array:
    matrix = np.eye(3)
    for axis, degrees in enumerate((tilt_deg, yaw_deg, roll_deg)):
        matrix = _rotate(matrix.T, axis, np.deg2rad([degrees])).T
    matrix.setflags(write=False)
    return matrix


def _rotate(points: Array, axis: int, angle_rad: Array) -> Array:
    """Rotate rows about one axis, each by its own angle (right-handed)."""
    a, b = ((1, 2), (2, 0), (0, 1))[axis]
    c, s = np.cos(angle_rad), np.sin(angle_rad)
    out = points.copy()
    out[:, a] = c * points[:, a] - s * points[:, b]
    out[:, b] = s * points[:, a] + c * points[:, b]
    return out
