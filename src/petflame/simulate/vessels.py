"""Arteries with a wall and plaques, and veins: courses, calibres and the part of each that a reader would draw."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from petflame.simulate import courses
from petflame.simulate.build import Morph
from petflame.simulate.shapes import Tube
from petflame.space.grid import Array
from petflame.space.polyline import length_mm


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


def vessels(morph: Morph, rng: np.random.Generator) -> Vessels:
    """Return one patient's vessels: courses jittered, calibres scaled, plaques drawn at random."""
    aorta_scale, neck_scale = rng.lognormal(0.0, 0.07), rng.lognormal(0.0, 0.07)
    right_dominant = rng.random() < 0.65
    raised = dict(zip(("left", "right"), rng.normal(0.0, 6.0, 2), strict=True))
    drawn: list[tuple[str, str, Array, float]] = []
    for side in ("left", "right"):
        drawn.append((f"external_{side}", "other", courses.external_carotid(side, raised[side]), 0.8))
        drawn.append((f"subclavian_{side}", "other", courses.subclavian(side), 1.1))
        drawn.append((f"carotid_{side}", f"carotid_{side}", courses.carotid(side, raised[side]), 1.15))
    drawn.append(("brachiocephalic", "other", np.array(courses.BRACHIOCEPHALIC, float), 1.4))
    drawn.append(("aorta", "aorta", np.array(courses.AORTA, float), 2.0))
    arteries = []
    for name, group, course, wall_mm in drawn:
        scale, sway = (aorta_scale, 1.6) if name == "aorta" else (neck_scale, 0.8)
        lumen = morph.tube(_jitter(course[:, :3], sway, rng), (course[:, 3] * scale).tolist())
        arteries.append(_with_plaques(Artery(name, group, lumen, wall_mm), rng))
    veins = {}
    for name, rows in courses.VEINS.items():
        course = np.array(rows, float)
        larger = name.endswith("_right") == right_dominant or "jugular" not in name
        scale = rng.lognormal(0.0, 0.06) * (1.05 if larger else 0.95)
        veins[name] = morph.tube(_jitter(course[:, :3], 0.7, rng), (course[:, 3] * scale).tolist())
    return Vessels(tuple(arteries), veins)


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
    length = length_mm(artery.lumen.points_mm)
    aorta = artery.group == "aorta"
    plaques = [
        Plaque(
            arc_mm=rng.uniform(10, length - 10),
            angle_rad=rng.uniform(-np.pi, np.pi),
            length_mm=rng.uniform(5, 12) if aorta else rng.uniform(4, 9),
            width_rad=rng.uniform(0.4, 0.9) if aorta else rng.uniform(0.7, 1.4),
            gain=rng.uniform(0.15, 0.5),
            thickening_mm=rng.uniform(0.2, 1.0) if aorta else rng.uniform(0.2, 0.8),
            calcified=bool(rng.random() < 0.35),
        )
        for _ in range(int(rng.poisson(7 if aorta else 3)))
    ]
    wave = (rng.uniform(0.03, 0.12), rng.uniform(60, 140), rng.uniform(0, 2 * np.pi))
    return replace(artery, plaques=tuple(plaques), wave=wave)
