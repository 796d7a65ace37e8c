"""FDG PET of the phantom: uptake, motion, blur and correlated noise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.ndimage import gaussian_filter

from petflame.simulate.anatomy import Anatomy
from petflame.simulate.lattice import Lattice
from petflame.simulate.pose import Pose
from petflame.simulate.scene import paint_body, paint_parts, paint_tube, paint_wall, wall_fields
from petflame.simulate.shapes import stamp
from petflame.simulate.tissues import TISSUES
from petflame.space.grid import Array

_FWHM_PER_SIGMA = 2.3548
_PHASES = np.cos(np.pi * (np.arange(7) + 0.5) / 7)


@dataclass(frozen=True)
class Uptake:
    """What the tracer does at one visit.

    Attributes
    ----------
    blood_suv : float
        Uptake of blood, SUVbw.
    excess : dict of artery group to float
        Mean of (wall - blood) / blood.
    tissue_suv : dict of tissue to float
        Uptakes that replace those of the tissue table.
    """

    blood_suv: float
    excess: Mapping[str, float]
    tissue_suv: Mapping[str, float]

    def values(self) -> dict[str, float]:
        """Return the uptake of every tissue, SUVbw."""
        values = {name: tissue.suv for name, tissue in TISSUES.items()}
        return values | dict(self.tissue_suv) | {"blood": self.blood_suv}


@dataclass(frozen=True)
class Camera:
    """How a scanner sees: resolution and noise.

    Attributes
    ----------
    fwhm_mm : float
        Full width at half maximum of the point spread.
    noise_cv : float
        Coefficient of variation of a voxel.
    noise_fwhm_mm : (float, float)
        In-plane and axial correlation length of the noise.
    """

    fwhm_mm: float = 5.5
    noise_cv: float = 0.09
    noise_fwhm_mm: tuple[float, float] = (6.2, 5.0)


def true_uptake(anatomy: Anatomy, lattice: Lattice, pose: Pose, uptake: Uptake) -> Array:
    """Return the uptake before any blur, SUVbw, float32 (slices, rows, columns)."""
    values = uptake.values()
    image = paint_body(anatomy.outline, lattice, pose, values)
    paint_parts(image, lattice, pose, anatomy.below, values)
    for tube in anatomy.vessels.veins.values():
        paint_tube(image, lattice, stamp(tube.sampled(pose), lattice, max(lattice.spacing_mm)), uptake.blood_suv)
    paint_parts(image, lattice, pose, anatomy.above, values)
    for name, wall in wall_fields(anatomy, lattice, pose).items():
        excess = uptake.excess[anatomy.vessels.artery(name).group]
        paint_wall(image, lattice, wall, uptake.blood_suv * (1.0 + excess * wall.gain), uptake.blood_suv)
    return image


def draw_pet(
    anatomy: Anatomy,
    lattice: Lattice,
    pose: Pose,
    uptake: Uptake,
    camera: Camera,
    refine: tuple[int, int] = (2, 2),
    breathing_mm: float = 4.0,
) -> Array:
    """Draw a noiseless PET.

    Parameters
    ----------
    anatomy, lattice, pose, uptake, camera
        What, where, how the patient lies, the tracer, and the scanner.
    refine : (int, int)
        Parts of a voxel, in plane and axially, on which uptake is drawn before it is blurred and averaged.
    breathing_mm : float
        Half the excursion of the diaphragm during the scan.

    Returns
    -------
    (slices, rows, columns) float32 array
        SUVbw, g/mL.
    """
    fine = lattice.refined(*refine)
    return seen(true_uptake(anatomy, fine, pose, uptake), lattice, camera, refine, breathing_mm)


def wall_response(
    anatomy: Anatomy, lattice: Lattice, pose: Pose, camera: Camera, refine: tuple[int, int] = (2, 2)
) -> Array:
    """Return what arterial walls alone add to a noiseless PET per unit of excess x blood SUV.

    PET is linear in uptake: an image with any excess is the image without one plus this, scaled.
    """
    fine = lattice.refined(*refine)
    image = np.zeros(fine.shape, np.float32)
    for wall in wall_fields(anatomy, fine, pose).values():
        paint_wall(image, fine, wall, wall.gain, 0.0)
    return seen(image, lattice, camera, refine)


def seen(image: Array, lattice: Lattice, camera: Camera, refine: tuple[int, int], breathing_mm: float = 4.0) -> Array:
    """Return a true uptake, given on the refined lattice, as the scanner sees it on the lattice, without noise."""
    in_plane, axial = refine
    fine = lattice.refined(in_plane, axial)
    image = _breathe(image, fine, breathing_mm)
    sigma = [camera.fwhm_mm / _FWHM_PER_SIGMA / s for s in fine.spacing_mm[::-1]]
    image = gaussian_filter(image, sigma, truncate=3.0)
    slices, rows, columns = lattice.shape
    return image.reshape(slices, axial, rows, in_plane, columns, in_plane).mean(axis=(1, 3, 5))


def add_noise(suv: Array, lattice: Lattice, camera: Camera, rng: np.random.Generator) -> Array:
    """Return the image with correlated log-normal noise and a faint background in air; float32, >= 0."""
    in_plane, axial = camera.noise_fwhm_mm
    x, y, z = lattice.spacing_mm
    sigma = np.array([axial / z, in_plane / y, in_plane / x]) / _FWHM_PER_SIGMA
    noise = gaussian_filter(rng.standard_normal(suv.shape, dtype=np.float32), sigma, mode="wrap", truncate=3.0)
    noise *= np.float32(1.0 / _white_gain(sigma, suv.shape))
    cv = np.float32(camera.noise_cv)
    noisy = suv * np.exp(cv * noise - cv * cv / 2)
    return np.maximum(noisy + np.float32(0.012) * noise, 0)


def _white_gain(sigma: Array, shape: tuple[int, ...]) -> float:
    """Return the standard deviation of filtered unit white noise, so that the noise level is exact by design."""
    gain = 1.0
    for s, n in zip(sigma, shape, strict=True):
        impulse = np.zeros(n)
        impulse[n // 2] = 1.0
        gain *= float(np.sqrt((gaussian_filter(impulse, s, mode="wrap", truncate=3.0) ** 2).sum()))
    return gain


def _breathe(image: Array, lattice: Lattice, breathing_mm: float) -> Array:
    """Average the image over the breath: each slice mixes with those that pass through it."""
    n = lattice.shape[0]
    if breathing_mm <= 0 or lattice.z[0] > -20.0:
        return image
    t = np.clip((lattice.z + 110.0) / 90.0, 0, 1)
    amplitude = breathing_mm * (1 - t * t * (3 - 2 * t)) / lattice.spacing_mm[2]
    rows, columns, weights = [], [], []
    for phase in _PHASES:
        at = np.clip(np.arange(n) + amplitude * phase, 0, n - 1)
        low = np.minimum(at.astype(int), n - 2)
        for index, weight in ((low, 1 - (at - low)), (low + 1, at - low)):
            rows.append(np.arange(n))
            columns.append(index)
            weights.append(weight / len(_PHASES))
    mix = sparse.csr_matrix(
        (np.concatenate(weights).astype(np.float32), (np.concatenate(rows), np.concatenate(columns))), shape=(n, n)
    )
    moving = int(np.count_nonzero(amplitude > 0))
    mixed = image.copy()
    mixed[:moving] = (mix[:moving] @ image.reshape(n, -1)).reshape(moving, *image.shape[1:])
    return mixed
