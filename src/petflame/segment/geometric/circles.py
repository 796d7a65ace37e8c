"""Evidence for bright discs of known size in stacks of planes, by correlation in the Fourier domain."""

from __future__ import annotations

import numpy as np
from scipy import fft, ndimage

from petflame.space.grid import Array

EDGE_SIGMA_MM = 1.6
RING_WIDTH_MM = 1.5
SATURATION_HU_PER_MM = 9.0
FAT_SIDE_HU = 90.0
BONE_SIDE_HU = 70.0
METAL_HU = 250.0
DISC_WEIGHT = 0.5


def clip_around_blood(hu: Array, blood_hu: float, fat_side_hu: float = FAT_SIDE_HU) -> Array:
    """Clip HU so that fat and lung weigh alike as surroundings of a vessel; metal becomes blood.

    Parameters
    ----------
    hu : float array
        Any shape.
    blood_hu : float
        Unenhanced blood.
    fat_side_hu : float
        How far below blood the surroundings are told apart.
    """
    clipped = np.clip(hu, blood_hu - fat_side_hu, blood_hu + BONE_SIDE_HU)
    return np.where(hu > blood_hu + METAL_HU, np.float32(blood_hu), clipped).astype(np.float32)


def blood_likeness(hu: Array, blood_hu: float, width_hu: float) -> Array:
    """Return 1 where the tissue is as dense as blood, falling to -1 away from it."""
    return np.asarray(2.0 * np.exp(-0.5 * ((hu - blood_hu) / width_hu) ** 2) - 1.0, np.float32)


def ring_evidence(
    planes: Array, likeness: Array, radii_mm: Array, step_mm: float, sigma_mm: float = EDGE_SIGMA_MM
) -> Array:
    """Score every pixel as the centre of a disc of each radius.

    The score is the mean, over the circle, of the saturated gradient that points to the centre, plus the mean
    likeness to blood inside it. Both lie between -1 and 1 (a weight of 0.5 on the second).

    Parameters
    ----------
    planes : (n, h, w) float array
        HU, clipped by `clip_around_blood`.
    likeness : (n, h, w) float array
        From `blood_likeness`.
    radii_mm : (m,) float array
        Radii to try.
    step_mm : float
        Pixel size.
    sigma_mm : float
        Smoothing of the gradient.

    Returns
    -------
    (m, n, h, w) float32 array
        Scores.
    """
    n, h, w = planes.shape
    pad = int(np.ceil((radii_mm.max() + 3 * RING_WIDTH_MM) / step_mm))
    size = (fft.next_fast_len(h + pad, real=True), fft.next_fast_len(w + pad, real=True))
    sigma = sigma_mm / step_mm
    gradients = [ndimage.gaussian_filter1d(planes, sigma, axis=axis, order=1) / step_mm for axis in (1, 2)]
    other = (2, 1)
    gradients = [ndimage.gaussian_filter1d(g, sigma, axis=axis) for g, axis in zip(gradients, other, strict=True)]
    length = np.hypot(*gradients)
    spectra = [fft.rfft2(g / (length + SATURATION_HU_PER_MM), size, axes=(1, 2)) for g in gradients]
    inside = fft.rfft2(likeness, size, axes=(1, 2))
    a = fft.fftfreq(size[0], 1 / size[0])[:, None] * step_mm
    b = fft.fftfreq(size[1], 1 / size[1])[None, :] * step_mm
    rho = np.hypot(a, b)
    scores = np.empty((len(radii_mm), n, h, w), np.float32)
    for m, radius in enumerate(radii_mm):
        ring = np.exp(-0.5 * ((rho - radius) / RING_WIDTH_MM) ** 2)
        ring /= ring.sum()
        disc = 1.0 / (1.0 + np.exp((rho - 0.85 * radius) / (0.5 * step_mm)))
        disc /= disc.sum()
        unit = np.maximum(rho, 1e-6)
        # Correlation, so kernels are conjugated; a gradient towards the centre is opposite to the outward normal.
        total = spectra[0] * np.conj(fft.rfft2(-ring * a / unit)).astype(np.complex64)
        total += spectra[1] * np.conj(fft.rfft2(-ring * b / unit)).astype(np.complex64)
        total += DISC_WEIGHT * inside * np.conj(fft.rfft2(disc)).astype(np.complex64)
        scores[m] = fft.irfft2(total, size, axes=(1, 2))[:, :h, :w]
    return scores


def candidates(scores: Array, prior: Array | float, count: int) -> tuple[Array, Array]:
    """Pick the best local maxima over position and radius of one plane.

    Parameters
    ----------
    scores : (m, h, w) float array
        Evidence of one plane.
    prior : array, broadcastable to `scores`
        Added to the evidence.
    count : int
        How many to keep.

    Returns
    -------
    index : (c, 3) float array
        Radius index, row, column; refined to parts of a pixel.
    value : (c,) float array
        Evidence plus prior.
    """
    total = scores + prior
    flat = ndimage.maximum_filter(total, (3, 3, 3))
    where = np.argwhere((total >= flat) & np.isfinite(total))
    values = total[tuple(where.T)]
    order = np.argsort(-values, kind="stable")[:count]
    return _refine(total, where[order]), values[order]


def _refine(total: Array, where: Array) -> Array:
    """Move maxima to the vertex of the parabola through their neighbours, axis by axis."""
    refined = where.astype(float)
    for axis in range(3):
        low, high = where.copy(), where.copy()
        low[:, axis] = np.maximum(low[:, axis] - 1, 0)
        high[:, axis] = np.minimum(high[:, axis] + 1, total.shape[axis] - 1)
        a, b, c = (total[tuple(w.T)] for w in (low, where, high))
        bend = a - 2 * b + c
        usable = (bend < -1e-9) & np.isfinite(bend)
        shift = np.zeros(len(where))
        shift[usable] = 0.5 * (a[usable] - c[usable]) / bend[usable]
        refined[:, axis] += np.clip(shift, -0.5, 0.5)
    return refined
