"""An unenhanced low-dose CT of the phantom."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter, gaussian_filter1d

from petflame.simulate.anatomy import Anatomy
from petflame.simulate.lattice import Lattice
from petflame.simulate.pose import Pose
from petflame.simulate.scene import WallField, blend, paint_body, paint_parts, paint_tube, paint_wall, wall_fields
from petflame.simulate.shapes import Samples, fraction, stamp
from petflame.simulate.tissues import TISSUES
from petflame.simulate.vessels import Artery
from petflame.space.grid import Array

_WATER_PER_MM = 0.0195
_PITCH_MM = 40.0


def draw_ct(
    anatomy: Anatomy,
    lattice: Lattice,
    pose: Pose,
    rng: np.random.Generator,
    noise_hu: float = 14.0,
    walls: dict[str, WallField] | None = None,
) -> Array:
    """Draw a CT.

    Parameters
    ----------
    anatomy, lattice, pose
        What, where, and how the patient lies.
    rng : numpy Generator
        Source of the noise.
    noise_hu : float
        Standard deviation behind 250 mm of water.
    walls : dict or None
        What `wall_fields` returns here, if it is known already.

    Returns
    -------
    (slices, rows, columns) int16 array
        Hounsfield units, -1024 to 3071.
    """
    hu = clean_ct(anatomy, lattice, pose, walls)
    _add_table(hu, lattice)
    hu += ct_noise(hu, lattice, rng, noise_hu)
    np.rint(hu, out=hu)
    return np.clip(hu, -1024, 3071, out=hu).astype(np.int16)


def clean_ct(anatomy: Anatomy, lattice: Lattice, pose: Pose, walls: dict[str, WallField] | None = None) -> Array:
    """Return the CT without noise and table, float32 HU."""
    values = {name: tissue.hu for name, tissue in TISSUES.items()}

    def shade(name: str, box: Lattice) -> Array | None:
        if name != "lung":
            return None
        # Dependent lung is denser: about 60 HU from front to back.
        return (values["lung"] + 0.4 * (box.y - 10.0)).astype(np.float32)[None, :, None]

    hu = paint_body(anatomy.outline, lattice, pose, values)
    paint_parts(hu, lattice, pose, anatomy.below, values, shade)
    for tube in anatomy.vessels.veins.values():
        paint_tube(hu, lattice, stamp(tube.sampled(pose), lattice, max(lattice.spacing_mm)), values["blood"])
    paint_parts(hu, lattice, pose, anatomy.above, values)
    for name, wall in (walls or wall_fields(anatomy, lattice, pose)).items():
        paint_wall(hu, lattice, wall, values["vessel_wall"], values["blood"])
        for spot in _calcifications(anatomy.vessels.artery(name), wall.samples):
            field = stamp(spot, lattice, max(lattice.spacing_mm))
            if field is not None:
                blend(hu, field.box, fraction(field.distance_mm, lattice.spacing_mm[0]), values["calcium"])
    return hu


def _calcifications(artery: Artery, samples: Samples) -> list[Samples]:
    spots = []
    for plaque in artery.plaques:
        if not plaque.calcified:
            continue
        i = int(np.clip(np.searchsorted(samples.arc_mm, plaque.arc_mm), 1, len(samples.arc_mm) - 2))
        tangent = samples.points_mm[i + 1] - samples.points_mm[i - 1]
        tangent = tangent / np.linalg.norm(tangent)
        left = np.array([1.0, 0.0, 0.0]) - tangent[0] * tangent
        left /= np.linalg.norm(left)
        away = np.cos(plaque.angle_rad) * left + np.sin(plaque.angle_rad) * np.cross(tangent, left)
        centre = samples.points_mm[i] + away * (samples.radii_mm[i] + 0.5 * artery.wall_mm)
        along = np.array([-1.5, 0.0, 1.5])[:, None] * tangent
        spots.append(Samples(centre + along, np.full(3, 1.1), np.array([0.0, 1.5, 3.0])))
    return spots


def _add_table(hu: Array, lattice: Lattice) -> None:
    """Put the carbon shell and foam of the couch under the patient, where there is air."""
    x, y = np.meshgrid(lattice.x, lattice.y)
    surface = 150.0 - x**2 / 1500.0
    depth = y - surface
    couch = np.full(x.shape, -1000.0, np.float32)
    couch[(depth > 0) & (depth < 26) & (np.abs(x) < 205)] = -940.0
    couch[(np.abs(depth) < 2.0) & (np.abs(x) < 210)] = -260.0
    np.maximum(hu, couch, out=hu, where=hu < -950)


def ct_noise(hu: Array, lattice: Lattice, rng: np.random.Generator, noise_hu: float) -> Array:
    """Return noise that grows with the attenuation of each slice, with streaks between the shoulders.

    The texture is white noise less its slow part, as of a soft kernel; streaks are long in x and follow the rows
    whose lateral path is longest.
    """
    dx, dy, _ = lattice.spacing_mm
    dense = np.maximum(hu + 1000.0, 0.0) * np.float32(1e-3)
    lateral = dense.sum(axis=2) * dx
    frontal = dense.sum(axis=1).max(axis=1) * dy
    widest = np.sort(lateral, axis=1)[:, -max(lateral.shape[1] // 8, 1) :].mean(axis=1)
    path = 0.5 * (widest + frontal)
    sd = noise_hu * np.exp(0.5 * _WATER_PER_MM * (np.clip(path, 100, 420) - 250.0))
    noise = rng.standard_normal(hu.shape, dtype=np.float32)
    fine = max(1.3 / dx, 0.35)
    texture = gaussian_filter(noise, (0.0, fine, fine)) - gaussian_filter(noise, (0.0, 2.2 * fine, 2.2 * fine))
    texture *= np.float32(1.0) / texture[:: max(len(texture) // 8, 1)].std()
    texture *= sd.astype(np.float32)[:, None, None]
    streak = gaussian_filter1d(rng.standard_normal(hu.shape, dtype=np.float32), _PITCH_MM / dx, axis=2)
    streak *= np.float32(1.0) / streak[:: max(len(streak) // 8, 1)].std()
    starved = gaussian_filter1d(np.clip(lateral - 330.0, 0.0, None), 8.0 / dy, axis=1)
    streak *= np.float32(noise_hu * 0.02) * starved[:, :, None].astype(np.float32)
    texture += streak
    return texture
