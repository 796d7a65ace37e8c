"""How dense unenhanced blood is in this scan, and whether the scan is unenhanced at all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from petflame.segment.geometric.body import Chest
from petflame.segment.geometric.work import STEP_MM, coarse_view
from petflame.space.grid import Array, Volume

SOFT_HU = (-10.0, 110.0)
HALF_WIDTH_MM = 45.0
CONTRAST_HU = (130.0, 900.0)
CONTRAST_CORE_MM = 4.0
CONTRAST_ML = 6.0
PLAUSIBLE_BLOOD_HU = (15.0, 75.0)


@dataclass(frozen=True)
class Blood:
    """Density of blood in the mediastinum.

    Attributes
    ----------
    hu : float
        Most frequent HU of mediastinal soft tissue.
    enhanced_ml : float
        Volume of mediastinal tissue as dense as contrast medium, outside bone.
    """

    hu: float
    enhanced_ml: float

    @property
    def enhanced(self) -> bool:
        """Whether the scan was made with contrast medium."""
        return self.enhanced_ml > CONTRAST_ML


def measure_blood(chest: Chest, smooth: Array, spine: Array) -> Blood:
    """Measure blood in the mediastinum: between the lungs, in front of the vertebrae, behind the sternum.

    Parameters
    ----------
    chest : Chest
        Working image and lungs.
    smooth : (I, J, K) float array
        The image, lightly smoothed.
    spine : (K, 2) float array
        Vertebral centres, from `petflame.segment.geometric.spine`.
    """
    zone = mediastinum(chest, spine)
    values = smooth[zone & (smooth > SOFT_HU[0]) & (smooth < SOFT_HU[1])]
    if values.size < 1000:
        return Blood(float("nan"), 0.0)
    counts, edges = np.histogram(values, np.arange(SOFT_HU[0], SOFT_HU[1] + 1, 1.0))
    curve = ndimage.gaussian_filter1d(counts.astype(float), 3.0)
    peak = int(curve.argmax())
    dense = zone & (smooth > CONTRAST_HU[0]) & (smooth < CONTRAST_HU[1])
    core = ndimage.minimum_filter(dense, 2 * int(CONTRAST_CORE_MM / STEP_MM) + 1) if dense.any() else dense
    return Blood(float((edges[peak] + edges[peak + 1]) / 2), float(core.sum() * STEP_MM**3 / 1000))


def mediastinum(chest: Chest, spine: Array) -> Array:
    """Mask what lies between the lungs, in front of the vertebral bodies and behind the sternum."""
    shape = chest.lungs.shape
    zone = np.zeros(shape, bool)
    bottom, top = chest.lung_span
    i = np.arange(shape[0])
    for k in range(bottom + int(0.15 * (top - bottom)), top):
        j = np.flatnonzero(chest.lungs[..., k].any(axis=0))
        if len(j) == 0:
            continue
        first = j[0] + int(20.0 / STEP_MM)
        last = int(spine[k, 1] - 22.0 / STEP_MM)
        columns = np.abs(i - chest.midline_i[k]) * STEP_MM <= HALF_WIDTH_MM
        if last > first:
            zone[columns, first:last, k] = True
    return zone & ~chest.lungs & ~chest.air


def dense_tissue_ml(canonical: Volume) -> float:
    """Measure the cores of tissue as dense as contrast medium in a scan whose lungs were not found."""
    coarse = coarse_view(canonical, 3.0)
    dense = (coarse.data > 200.0) & (coarse.data < CONTRAST_HU[1])
    core = ndimage.distance_transform_edt(dense, sampling=coarse.grid.spacing_mm) > CONTRAST_CORE_MM
    return float(core.sum() * coarse.grid.voxel_volume_mm3 / 1000)
