"""What a Gaussian point spread leaves of a round vessel: closed forms for an endless tube across its axis."""

from __future__ import annotations

import numpy as np
from scipy import special

from petflame.space.boxes import lattice
from petflame.space.grid import Array, Grid

FWHM_PER_SIGMA = float(np.sqrt(8 * np.log(2)))
RADIAL_SAMPLES = 200


def blurred_disc(radius_mm: float, at_mm: Array, fwhm_mm: float) -> Array:
    """A disc of unit uptake, blurred by a two-dimensional Gaussian, at distances from its centre.

    The integral of a Gaussian over a disc off its centre is 1 - Q1(rho / sigma, r / sigma), Marcum's Q function,
    which is the distribution function of a noncentral chi-squared variable with two degrees of freedom.

    Parameters
    ----------
    radius_mm : float
    at_mm : (n,) array
        Distances rho from the centre.
    fwhm_mm : float
        Full width at half maximum of the point spread.

    Returns
    -------
    (n,) array

    >>> blurred_disc(3.0, np.array([0.0]), FWHM_PER_SIGMA).round(4).tolist()   # 1 - exp(-9/2)
    [0.9889]
    """
    sigma = fwhm_mm / FWHM_PER_SIGMA
    at = np.asarray(at_mm, float)
    if radius_mm <= 0:
        return np.zeros_like(at)
    return np.asarray(special.chndtr((radius_mm / sigma) ** 2, 2.0, np.maximum((at / sigma) ** 2, 1e-12)))


def core_recovery(radius_mm: float, core_radius_mm: float, fwhm_mm: float) -> float:
    """Share of a blood vessel's contrast to cold surroundings that the mean over its core keeps.

    >>> 0.999 < core_recovery(30.0, 5.0, 6.0) <= 1.0
    True
    """
    # Midpoints of rings of equal area: their plain mean is the mean over the disc.
    at = core_radius_mm * np.sqrt((np.arange(RADIAL_SAMPLES) + 0.5) / RADIAL_SAMPLES)
    return float(blurred_disc(radius_mm, at, fwhm_mm).mean())


def wall_recovery(outer_radius_mm: float, wall_mm: float, fwhm_mm: float) -> float:
    """Share of a wall's contrast to blood that its brightest point keeps, blood and surroundings being alike.

    Parameters
    ----------
    outer_radius_mm : float
        Radius of the vessel, wall included.
    wall_mm : float
        Thickness of the wall; a wall as thick as the radius is a solid rod.
    fwhm_mm : float

    Returns
    -------
    float
        The highest value across the vessel of the blurred ring of unit uptake.
    """
    at = np.linspace(0.0, outer_radius_mm + fwhm_mm, RADIAL_SAMPLES)
    lumen = max(outer_radius_mm - wall_mm, 0.0)
    ring = blurred_disc(outer_radius_mm, at, fwhm_mm) - blurred_disc(lumen, at, fwhm_mm)
    return float(ring.max())


def effective_voxels(voxels: Array, grid: Grid, fwhm_mm: float) -> float:
    """Independent voxels that are worth as much as these correlated ones for a mean.

    n^2 / sum_ij rho_ij with rho the correlation of noise that a Gaussian of this width has smoothed,
    exp(-d^2 / (4 sigma^2)) (effective number of observations, Bayley and Hammersley 1946).

    Parameters
    ----------
    voxels : (n, 3) int array
        Voxels of `grid`; one that stands twice counts twice.
    grid : Grid
    fwhm_mm : float

    >>> grid = Grid((90, 4, 4), np.eye(4))
    >>> round(effective_voxels(np.array([[0, 0, 0], [80, 0, 0]]), grid, 6.0), 6)
    2.0
    >>> round(effective_voxels(np.array([[3, 0, 0], [3, 0, 0]]), grid, 6.0), 6)
    1.0
    """
    if len(voxels) == 0:
        return 0.0
    low = voxels.min(axis=0)
    counts = np.zeros(voxels.max(axis=0) - low + 1)
    np.add.at(counts, tuple((voxels - low).T), 1.0)
    # How many pairs lie each whole step apart: on a grid they need not be gone through one by one.
    size = [2 * n - 1 for n in counts.shape]
    spectrum = np.fft.rfftn(counts, size, axes=(0, 1, 2))
    pairs = np.fft.irfftn(np.abs(spectrum) ** 2, size, axes=(0, 1, 2))
    # Steps of the transform: 0 upwards, then the negative ones.
    steps = lattice(*[np.round(np.fft.fftfreq(n) * n) for n in size])
    squared = ((steps @ grid.affine[:3, :3].T) ** 2).sum(axis=-1)
    sigma = fwhm_mm / FWHM_PER_SIGMA
    return float(len(voxels) ** 2 / (np.round(pairs) * np.exp(-squared / (4 * sigma**2))).sum())


def standard_error(sd: float, count: int, effective: float) -> float:
    """Standard error of the mean of correlated voxels from their sample standard deviation.

    Correlated voxels also differ less among themselves, so the sample variance is first freed of that bias:
    E[s^2] = sigma^2 n (1 - 1/n_eff) / (n - 1).

    >>> round(standard_error(1.0, 100, 100.0), 6)
    0.1
    """
    if count < 2 or effective <= 1 + 1e-9:
        return float("nan")
    variance = sd**2 * (count - 1) / (count * (1 - 1 / effective))
    return float(np.sqrt(variance / effective))
