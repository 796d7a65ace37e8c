"""Arteries with a wall and plaques, and veins: courses, calibres and the part of each that a reader would draw."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from petflame.grid import Array
from petflame.simulate.build import Morph, mirrored
from petflame.simulate.shapes import Tube


@dataclass(frozen=True)
class Plaque:
    """An inflamed patch of wall; positions along (mm) and around (rad) the vessel.

    Attributes
    ----------
    arc_mm, angle_rad : float
        Centre.
    length_mm, width_rad : float
        Standard deviations of the Gaussian profile.
    gain : float
        Relative rise of the wall's excess uptake at the centre.
    thickening_mm : float
        Extra wall at the centre.
    calcified : bool
    """

    arc_mm: float
    angle_rad: float
    length_mm: float
    width_rad: float
    gain: float
    thickening_mm: float
    calcified: bool


@dataclass(frozen=True, eq=False)
class Artery:
    """An artery: lumen, wall, plaques, and the stretch of it that readers draw.

    Attributes
    ----------
    name : str
    group : str
        Which biological factor its wall follows: 'aorta', 'carotid_right', 'carotid_left' or 'other'.
    lumen : Tube
    wall_mm : float
        Thickness away from plaques.
    plaques : tuple of Plaque
    wave : (float, float, float)
        Amplitude, wavelength (mm) and phase (rad) of a slow variation of the excess along the vessel.
    """

    name: str
    group: str
    lumen: Tube
    wall_mm: float
    plaques: tuple[Plaque, ...] = ()
    wave: tuple[float, float, float] = (0.0, 100.0, 0.0)

    def profile(self, arc_mm: Array, angle_rad: Array) -> tuple[Array, Array]:
        """Return relative excess uptake and wall thickness (mm) at positions along and around the vessel."""
        amplitude, length, phase = self.wave
        gain = 1.0 + amplitude * np.sin(2 * np.pi * arc_mm / length + phase)
        thickness = np.full(np.shape(gain), self.wall_mm)
        for plaque in self.plaques:
            around = np.angle(np.exp(1j * (angle_rad - plaque.angle_rad)))
            shape = np.exp(
                -0.5 * ((arc_mm - plaque.arc_mm) / plaque.length_mm) ** 2 - 0.5 * (around / plaque.width_rad) ** 2
            )
            gain = gain + plaque.gain * shape
            thickness = thickness + plaque.thickening_mm * shape
        return gain, thickness


@dataclass(frozen=True, eq=False)
class Vessels:
    """All arteries, in painting order (branches first), and veins by name."""

    arteries: tuple[Artery, ...]
    veins: dict[str, Tube] = field(default_factory=dict)

    def artery(self, name: str) -> Artery:
        """Return the artery of that name."""
        return next(a for a in self.arteries if a.name == name)


_AORTA = [
    (6, -17, -66),
    (0, -24, -52),
    (-9, -33, -34),
    (-13, -37, -15),
    (-10, -34, 5),
    (0, -26, 21),
    (13, -12, 27),
    (25, 6, 25),
    (31, 22, 13),
    (32, 30, -4),
    (30, 33, -30),
    (27, 35, -70),
    (22, 34, -120),
    (14, 32, -200),
]
_AORTA_RADII = [15.5, 16.5, 15.5, 15.2, 14.6, 13.8, 13.0, 12.4, 12.0, 11.6, 11.4, 11.2, 10.8, 10.2]
_RIGHT_TRUNK = [(-2, -25, 24), (-7, -26, 38), (-14, -23, 50), (-20, -19, 60)]
_RIGHT_CAROTID = [
    (-18, -20, 57),
    (-22, -17, 72),
    (-24, -10, 95),
    (-25, -5, 120),
    (-26, -1, 146),
    (-29, 3, 158),
    (-32, 6, 172),
    (-33, 7, 190),
    (-29, 3, 212),
    (-27, 1, 240),
]
_LEFT_CAROTID = [
    (9, -17, 26),
    (13, -18, 42),
    (18, -17, 57),
    (22, -15, 72),
    (24, -10, 95),
    (25, -5, 120),
    (26, -1, 146),
    (29, 3, 158),
    (32, 6, 172),
    (33, 7, 190),
    (29, 3, 212),
    (27, 1, 240),
]
_CAROTID_RADII = [3.7, 3.4, 3.2, 3.2, 3.7, 3.5, 2.7, 2.4, 2.3, 2.2]
_EXTERNAL = [(26, -2, 146), (26, -9, 160), (31, -15, 176), (39, -12, 196), (42, -8, 215)]
_SUBCLAVIAN = [(20, -19, 59), (32, -14, 68), (60, -10, 76), (95, -12, 72), (130, -4, 60), (150, 6, 30)]
_LEFT_SUBCLAVIAN = [
    (22, 0, 27),
    (26, 0, 45),
    (32, -3, 62),
    (48, -8, 74),
    (75, -10, 76),
    (105, -12, 70),
    (135, -2, 56),
    (152, 6, 28),
]

_VEINS: dict[str, tuple[list[tuple[float, float, float]], list[float]]] = {
    "svc": ([(-34, -31, 24), (-38, -29, 8), (-41, -26, -15), (-41, -24, -40), (-39, -25, -62)], [9.2, 9.8, 10.0, 10.2, 11.0]),
    "brachiocephalic_right": ([(-34, -31, 22), (-36, -29, 40), (-38, -22, 58)], [8.0, 7.5, 7.0]),
    "brachiocephalic_left": ([(-33, -31, 24), (-16, -45, 33), (10, -44, 42), (30, -34, 52), (37, -22, 60)], [8, 7, 7, 7, 7]),
    "jugular_right": ([(-38, -22, 58), (-37, -18, 78), (-38, -12, 100), (-39, -6, 122), (-40, 1, 148), (-40, 9, 175), (-33, 11, 205), (-28, 12, 225)], [7.0, 7.4, 7.6, 7.6, 7.0, 6.0, 5.0, 4.5]),
    "jugular_left": ([(37, -22, 60), (36, -18, 78), (38, -12, 100), (39, -6, 122), (40, 1, 148), (40, 9, 175), (33, 11, 205), (28, 12, 225)], [6.2, 6.5, 6.7, 6.7, 6.2, 5.4, 4.6, 4.2]),
    "subclavian_right": ([(-38, -22, 60), (-60, -26, 68), (-100, -24, 64), (-135, -8, 48)], [7.0, 6.5, 6.0, 5.0]),
    "subclavian_left": ([(37, -22, 60), (60, -26, 68), (100, -24, 64), (135, -8, 48)], [7.0, 6.5, 6.0, 5.0]),
    "pulmonary_trunk": ([(16, -56, -56), (21, -46, -36), (22, -30, -20), (18, -18, -17)], [14.0, 13.5, 12.5, 11.5]),
    "pulmonary_right": ([(20, -22, -18), (2, -11, -19), (-22, -5, -20), (-44, -1, -24), (-56, 4, -32)], [11.0, 9.8, 9.4, 8.0, 5.5]),
    "pulmonary_left": ([(20, -22, -18), (34, -6, -10), (48, 12, -14), (54, 20, -28)], [11.0, 9.8, 8.5, 6.0]),
    "cava_inferior": ([(-36, -16, -92), (-34, -6, -120), (-30, 10, -200)], [12.0, 12.0, 11.5]),
}  # fmt: skip


def vessels(morph: Morph, rng: np.random.Generator) -> Vessels:
    """Return one patient's vessels: courses jittered, calibres scaled, plaques drawn at random."""
    aorta_scale, neck_scale = rng.lognormal(0.0, 0.07), rng.lognormal(0.0, 0.07)
    right_dominant = rng.random() < 0.65
    bifurcation = rng.normal(0.0, 6.0, 2)
    arteries = []

    def add(name: str, group: str, points: list[tuple[float, float, float]], radii: list[float], wall: float) -> None:
        scale = aorta_scale if name == "aorta" else neck_scale
        line = _jitter(np.array(points, float), 0.8 if name != "aorta" else 1.6, rng)
        arteries.append(Artery(name, group, morph.tube(line, [r * scale for r in radii]), wall))

    for side, low in ((1, bifurcation[0]), (-1, bifurcation[1])):
        # Control points by name: the bifurcation is the one at z = 146 and moves with those above it.
        shift = [(0.0, 0.0, low)]
        external = [tuple(np.add(p, shift[0])) for p in _EXTERNAL]
        line = external if side == 1 else mirrored(external)
        suffix = "left" if side == 1 else "right"
        add(f"external_{suffix}", "other", [tuple(p) for p in line], [2.6, 2.3, 2.1, 1.8, 1.6], 0.8)
        subclavian = _LEFT_SUBCLAVIAN if side == 1 else [(-x, y, z) for x, y, z in _SUBCLAVIAN]
        add(f"subclavian_{suffix}", "other", subclavian, [4.6, *[4.2] * (len(subclavian) - 2), 3.4], 1.1)
        points, radii = (_LEFT_CAROTID, [4.0, 3.8, *_CAROTID_RADII]) if side == 1 else (_RIGHT_CAROTID, _CAROTID_RADII)
        moved = [(x, y, z + low * float(np.clip((z - 95) / 51, 0, 1))) for x, y, z in points]
        add(f"carotid_{suffix}", f"carotid_{suffix}", moved, radii, 1.15)
    add("brachiocephalic", "other", _RIGHT_TRUNK, [6.0, 5.8, 5.5, 4.8], 1.4)
    add("aorta", "aorta", _AORTA, _AORTA_RADII, 2.0)
    veins = {}
    for name, (points, radii) in _VEINS.items():
        larger = name.endswith("_right") == right_dominant or "jugular" not in name
        scale = rng.lognormal(0.0, 0.06) * (1.05 if larger else 0.95)
        veins[name] = morph.tube(_jitter(np.array(points, float), 0.7, rng), [r * scale for r in radii])
    return Vessels(tuple(_with_plaques(a, rng) for a in arteries), veins)


def _jitter(points: Array, sd_mm: float, rng: np.random.Generator) -> Array:
    """Bend a course gently: each control point moves a little in the axial plane, neighbours together."""
    noise = rng.normal(0.0, sd_mm, (len(points) + 2, 2))
    smooth = (noise[:-2] + noise[1:-1] + noise[2:]) / np.sqrt(3.0)
    moved = points.copy()
    moved[:, :2] += smooth
    return moved


def _with_plaques(artery: Artery, rng: np.random.Generator) -> Artery:
    if artery.group == "other":
        return artery
    length = float(np.linalg.norm(np.diff(artery.lumen.points_mm, axis=0), axis=1).sum())
    aorta = artery.group == "aorta"
    plaques = []
    for _ in range(int(rng.poisson(7 if aorta else 3))):
        plaques.append(
            Plaque(
                arc_mm=rng.uniform(10, length - 10),
                angle_rad=rng.uniform(-np.pi, np.pi),
                length_mm=rng.uniform(5, 12) if aorta else rng.uniform(4, 9),
                width_rad=rng.uniform(0.4, 0.9) if aorta else rng.uniform(0.7, 1.4),
                gain=rng.uniform(0.15, 0.5),
                thickening_mm=rng.uniform(0.2, 1.0) if aorta else rng.uniform(0.2, 0.8),
                calcified=bool(rng.random() < 0.35),
            )
        )
    wave = (rng.uniform(0.03, 0.12), rng.uniform(60, 140), rng.uniform(0, 2 * np.pi))
    return replace(artery, plaques=tuple(plaques), wave=wave)
