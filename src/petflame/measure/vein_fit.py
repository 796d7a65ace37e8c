"""Weighted least squares of the PET round a vein: uptakes, place, and the variance that correlated noise gives them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from petflame.measure.vein_scene import VeinScene
from petflame.recovery import FWHM_PER_SIGMA
from petflame.space.boxes import voxels_between
from petflame.space.grid import Array

# Huber's weights begin at so many robust standard deviations; from so many on a voxel is not explained at all.
HUBER_SD, UNEXPLAINED_SD = 2.0, 4.0
# No clinical PET voxel is less noisy; in a better image small faults of the regions would count as unexplained.
LEAST_NOISE = 0.05
# Noise of voxels colder than this share of the median does not fall any further.
_LEAST_LEVEL = 0.25
_ROUNDS, _LEAVING_OUT, SINGULAR = 8, (2, 4, 6), 1e-6
# As far as a Taylor series of second order follows a usual point spread.
FARTHEST_ASIDE_MM = 3.0


@dataclass(frozen=True, eq=False)
class Fit:
    """A scene fitted by weighted least squares.

    Attributes
    ----------
    uptake : (p,) array
    aside_mm : (float, float)
        Where in the scene the PET's voxels lie, beside where they lie in the PET.
    weight, left, used : (n,) arrays
        Root of each voxel's weight, its residual, and whether it takes part.
    design : (n, p) array
    slope : (n, 2) array
        Change of the model with `aside_mm`.
    prior : float
        Root of the weight of what is known of `aside_mm` beforehand; infinite where it is known for certain.
    """

    uptake: Array
    aside_mm: tuple[float, float]
    weight: Array
    left: Array
    used: Array
    design: Array
    slope: Array
    prior: float

    def solved(self, *more: Array) -> Solved:
        """Linearise at the fit: uptakes, place and `more` parameters, whose columns are given, shape (n,)."""
        free = [self.slope] if np.isfinite(self.prior) else []
        columns = np.column_stack([self.design, *free, *more])
        weighted = (columns * self.weight[:, None])[self.used]
        known = np.zeros((2, weighted.shape[1]))
        if free:
            first = self.design.shape[1]
            known[[0, 1], [first, first + 1]] = self.prior
        return Solved(weighted, np.linalg.pinv(np.concatenate([weighted, known]), rcond=SINGULAR))


@dataclass(frozen=True, eq=False)
class Solved:
    """Weighted columns (m, q) of the voxels used, and the matrix (q, m + 2) that turns what is left into steps."""

    weighted: Array
    inverse: Array


def fit(scene: VeinScene, fwhm_mm: float, leaving_out: bool = True) -> Fit:
    """Fit uptakes and place, weighing again by what the fit gives (Carroll and Ruppert 1988), with Huber's weights."""
    values, everywhere = scene.values, scene.design(fwhm_mm)
    floor = max(_LEAST_LEVEL * float(np.median(values)), 1e-12)
    weight, used = np.ones(len(values)), np.ones(len(values), bool)
    aside, design, prior = np.zeros(2), everywhere.here, np.inf
    slope = np.zeros((len(values), 2))
    for number in range(_ROUNDS):
        uptake = np.linalg.lstsq(design[used] * weight[used, None], values[used] * weight[used], rcond=SINGULAR)[0]
        if number > 0 and scene.shift.sd_mm > 0:
            slope = everywhere.slope(uptake, *aside)
            aside = _placed(aside, design, slope, values - design @ uptake, weight, used, prior)
            design = everywhere.moved(*aside)
        level = np.maximum(design @ uptake, floor)
        relative = (values - design @ uptake) / level
        spread = max(1.4826 * float(np.median(np.abs(relative[used]))), LEAST_NOISE)
        weight = np.sqrt(np.minimum(1.0, HUBER_SD * spread / np.maximum(np.abs(relative), 1e-12))) / level
        prior = spread * np.sqrt(_sharing(scene, fwhm_mm)) / scene.shift.sd_mm if scene.shift.sd_mm > 0 else np.inf
        if leaving_out and number in _LEAVING_OUT:
            strange = np.abs(relative) > UNEXPLAINED_SD * spread
            used = _explained(scene.rows, strange, scene.pet.spacing_mm, 0.5 * fwhm_mm)
        if used.sum() <= design.shape[1]:
            break
    return Fit(uptake, (float(aside[0]), float(aside[1])), weight, values - design @ uptake, used, design, slope, prior)


def _placed(aside: Array, design: Array, slope: Array, left: Array, weight: Array, used: Array, prior: float) -> Array:
    """One Gauss-Newton step of the place, the uptakes following, drawn back to where it was measured."""
    columns = (np.column_stack([design, slope]) * weight[:, None])[used]
    basis = np.linalg.qr(columns[:, :-2])[0]
    free = columns[:, -2:] - basis @ (basis.T @ columns[:, -2:])
    normal = free.T @ free + prior**2 * np.eye(2)
    step = np.linalg.solve(normal, free.T @ (left * weight)[used] - prior**2 * aside)
    return np.clip(aside + step, -FARTHEST_ASIDE_MM, FARTHEST_ASIDE_MM)


def _sharing(scene: VeinScene, fwhm_mm: float) -> float:
    """Voxels that share one independent piece of noise: the volume of exp(-d^2 / (4 sigma^2))."""
    return float(max((4 * np.pi * (fwhm_mm / FWHM_PER_SIGMA) ** 2) ** 1.5 / scene.pet.voxel_volume_mm3, 1.0))


def _explained(rows: Array, strange: Array, spacing_mm: tuple[float, float, float], reach_mm: float) -> Array:
    """Voxels, shape (n, 3), that are neither strange nor nearer than the reach to one that is."""
    most = np.ceil(reach_mm / np.array(spacing_mm)).astype(int)
    steps = voxels_between(-most, most + 1).reshape(-1, 3)
    # Rounded, so that a voxel exactly at the reach does not hang on the last digit.
    near = steps[np.round(np.linalg.norm(steps * spacing_mm, axis=1), 6) < reach_mm]
    low = rows.min(axis=0) - most
    reached = np.zeros(rows.max(axis=0) + most + 1 - low, bool)
    reached[tuple(np.moveaxis(rows[strange][:, None] + near - low, -1, 0))] = True
    return np.asarray(~reached[tuple((rows - low).T)])


def variance_of(scene: VeinScene, found: Fit, solved: Solved, number: int, fwhm_mm: float) -> float:
    """Variance of one coefficient, noise being correlated by the resolution (sandwich, Liang and Zeger 1986).

    Each region has the noise that its own voxels show, so what the model leaves out counts where it is left out;
    neighbours share it as `effective_voxels` has it. Least squares takes up part of the noise, which is given back.
    What was known of the place counts as two more observations.
    """
    left = (found.left * found.weight)[found.used]
    shares = np.clip(found.design[found.used], 0.0, 1.0)
    by_region = (shares * left[:, None] ** 2).sum(axis=0) / np.maximum(shares.sum(axis=0), 1e-12)
    sd = np.sqrt(shares @ by_region / np.maximum(shares.sum(axis=1), 1e-12))
    basis = np.linalg.qr(solved.weighted)[0] * sd[:, None]
    pull = solved.inverse[number, :-2] * sd
    shared = _correlated(scene, found.used, np.column_stack([basis, pull]), fwhm_mm)
    taken, total = float((basis * shared[:, :-1]).sum()), float(sd @ sd)
    if not total > taken:
        return float("inf")
    variance = float(pull @ shared[:, -1]) * total / (total - taken)
    if not np.isfinite(found.prior):
        return variance
    return variance + float(((solved.inverse[number, -2:] * found.prior * scene.shift.sd_mm) ** 2).sum())


def _correlated(scene: VeinScene, used: Array, columns: Array, fwhm_mm: float) -> Array:
    """Columns (n, m) times the correlation exp(-d^2 / (4 sigma^2)) of the noise of the voxels used."""
    rows, shape = scene.rows[used], scene.pet.shape
    width = np.sqrt(2.0) * fwhm_mm / FWHM_PER_SIGMA / np.array(scene.pet.spacing_mm)
    out = np.empty_like(columns)
    peak = np.zeros([2 * int(np.ceil(4 * w)) + 1 for w in width])
    peak[tuple(n // 2 for n in peak.shape)] = 1.0
    height = float(ndimage.gaussian_filter(peak, width, mode="constant").max())
    for number in range(columns.shape[1]):
        image = np.zeros(shape)
        image[tuple(rows.T)] = columns[:, number]
        out[:, number] = ndimage.gaussian_filter(image, width, mode="constant")[tuple(rows.T)] / height
    return out
