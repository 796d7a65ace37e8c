"""The neck: its airway, and its thyroid region."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from petflame.segment.geometric.airway import Airway
from petflame.segment.geometric.blood import Blood
from petflame.segment.geometric.body import Chest
from petflame.segment.geometric.work import STEP_MM, Work, resample
from petflame.space.grid import Array, Volume

HALF_WIDTH_MM = (75.0, 75.0)
BELOW_MM, ABOVE_MM = 4.0, 110.0
LEAST_LENGTH_MM = 40.0
AIR_HU = -400.0
AIRWAY_MM2 = (20.0, 1500.0)
AIRWAY_STEP_MM = 10.0
SMOOTH_VOXELS = 0.8
THYROID_HEIGHT_MM = 70.0
THYROID_REACH_MM = 36.0
THYROID_BEHIND_MM = 16.0
THYROID_HU = (22.0, 110.0)
BONE_HU = 170.0
LEAST_LOBE_ML = 1.0


@dataclass(frozen=True, eq=False)
class Neck:
    """The neck on the working grid.

    Attributes
    ----------
    work : Work
    smooth : (I, J, K) float array
        HU, lightly smoothed.
    airway : (K, 2) float array
        Index (i, j) of the airway's centre per slice of `planes`.
    planes : (n,) int array
        Slices within the scan.
    """

    work: Work
    smooth: Array
    airway: Array
    planes: Array


def find_neck(ct: Volume, chest: Chest, airway: Airway) -> Neck | None:
    """Resample the neck above the lungs' apex and follow the airway up; None where less than 40 mm are in view.

    Parameters
    ----------
    ct : Volume
        Canonical CT, HU.
    chest, airway
        Lungs and trachea of the same scan.
    """
    apex = chest.lung_span[1]
    start = chest.work.to_mm(np.array([*airway.at(apex), apex]))
    work = resample(ct, start - np.array([*HALF_WIDTH_MM, BELOW_MM]), start + np.array([*HALF_WIDTH_MM, ABOVE_MM]))
    planes = np.flatnonzero(work.inside)
    if len(planes) * STEP_MM < LEAST_LENGTH_MM:
        return None
    return Neck(work, ndimage.gaussian_filter(work.hu, SMOOTH_VOXELS), _airway_above(work, start, planes), planes)


def thyroid_region(neck: Neck, blood: Blood) -> Array:
    """Find tissue beside the trachea that its iodine makes denser than blood.

    Returns
    -------
    (I, J, K) bool array
        On the neck's working grid; empty where there is no such tissue.
    """
    nothing = np.zeros(neck.smooth.shape, bool)
    planes = neck.planes[neck.planes <= neck.planes[0] + int(THYROID_HEIGHT_MM / STEP_MM)]
    i, j = np.indices(neck.smooth.shape[:2])
    near = nothing.copy()
    for k in planes.tolist():
        off = np.hypot(i - neck.airway[k, 0], j - neck.airway[k, 1]) * STEP_MM
        # The vertebra lies behind, the clavicles' heads far in front.
        near[..., k] = (off <= THYROID_REACH_MM) & ((j - neck.airway[k, 1]) * STEP_MM < THYROID_BEHIND_MM)
    dense = ndimage.uniform_filter(neck.smooth, 3)
    tissue = near & (dense > blood.hu + THYROID_HU[0]) & (dense < blood.hu + THYROID_HU[1])
    # Cartilage and bone reach beyond the range; their blurred rim must not be taken for gland.
    tissue &= ~ndimage.binary_dilation(neck.smooth > blood.hu + BONE_HU, iterations=2)
    labels, count = ndimage.label(ndimage.binary_opening(tissue))
    sizes_ml = np.bincount(labels.ravel(), minlength=count + 1) * STEP_MM**3 / 1000
    lobes = np.flatnonzero(sizes_ml >= LEAST_LOBE_ML)
    return np.isin(labels, lobes[lobes > 0])


def _airway_above(neck: Work, start_lps_mm: Array, inside: Array) -> Array:
    """Follow the airway upwards; return its centre (i, j) per slice."""
    centre = np.zeros((neck.hu.shape[2], 2))
    current = neck.to_index(start_lps_mm)[:2]
    for k in range(int(inside[0]), int(inside[-1]) + 1):
        labels, count = ndimage.label(neck.hu[..., k] < AIR_HU)
        options = []
        for n in range(1, count + 1):
            region = np.argwhere(labels == n)
            if AIRWAY_MM2[0] <= len(region) * STEP_MM**2 <= AIRWAY_MM2[1]:
                options.append(region.mean(axis=0))
        if options:
            nearest = min(options, key=lambda c: float(np.hypot(*(c - current))))
            if float(np.hypot(*(nearest - current))) * STEP_MM <= AIRWAY_STEP_MM:
                # The glottis and the epiglottis make the lumen jump; the neck does not.
                current = 0.6 * current + 0.4 * nearest
        centre[k] = current
    return centre
