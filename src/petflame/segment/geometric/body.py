"""Lungs and the box of the chest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from petflame.segment.geometric.work import STEP_MM, Work, coarse_view, resample
from petflame.space.grid import Array, Volume, ras_to_lps

COARSE_MM = 5.0
BODY_HU = -350.0
LUNG_HU = -450.0
ROOM_AIR_HU = -970.0
TRACHEA_MM2 = 1200.0
LEAST_LUNG_ML = 400.0
LEAST_AREA_SHARE = 0.06
MARGIN_MM = 45.0


@dataclass(frozen=True, eq=False)
class Chest:
    """The working image and the lungs in it.

    Attributes
    ----------
    work : Work
        Image on the 2 mm grid.
    lungs : (I, J, K) bool array
        Both lungs; the great airways may be part of it.
    air : (I, J, K) bool array
        All air inside the body.
    midline_i : (K,) array
        Index i half-way between the lungs' outer borders, per slice.
    """

    work: Work
    lungs: Array
    air: Array
    midline_i: Array

    @property
    def lung_span(self) -> tuple[int, int]:
        """Lowest and highest slice k with lung."""
        k = np.flatnonzero(self.lungs.any(axis=(0, 1)))
        return int(k[0]), int(k[-1])


def find_chest(canonical: Volume) -> Chest | None:
    """Find the lungs and resample the chest around them; None where there are no lungs in the scan.

    Lungs are air that the body encloses in axial slices; room air between arm and trunk is told from them by its
    Hounsfield units.

    Parameters
    ----------
    canonical : Volume
        CT in HU, axes left, posterior, superior.
    """
    coarse = coarse_view(canonical, COARSE_MM)
    enclosed = enclosed_air(coarse.data, coarse.grid.spacing_mm)
    lungs = _lungs(coarse.data, enclosed, coarse.grid.voxel_volume_mm3)
    if lungs is None:
        return None
    ijk = np.argwhere(lungs)
    points = ras_to_lps(coarse.grid.to_ras(ijk))
    margin = np.array([5.0, 15.0, MARGIN_MM])
    low, high = points.min(axis=0) - margin, points.max(axis=0) + margin
    # Past the lungs' back there are still vertebrae; past their front only the sternum.
    high[1] += 15.0
    ends = ras_to_lps(coarse.grid.to_ras([[0, 0, 0], np.array(coarse.data.shape) - 1]))
    low[2] = max(low[2], ends[:, 2].min() - 2.0)
    high[2] = min(high[2], ends[:, 2].max() + 2.0 * COARSE_MM)
    work = resample(canonical, low, high)
    air = enclosed_air(work.hu, (STEP_MM,) * 3)
    fine = _lungs(work.hu, air, STEP_MM**3)
    if fine is None:
        return None
    return Chest(work, fine, air, _midline(fine))


def enclosed_air(hu: Array, spacing_mm: tuple[float, float, float]) -> Array:
    """Mask the air that the body encloses in each axial slice, shape (I, J, K)."""
    air = hu < LUNG_HU
    enclosed = np.zeros(air.shape, bool)
    least = max(4, int(20.0 / (spacing_mm[0] * spacing_mm[1])))
    for k in range(air.shape[2]):
        labels, count = ndimage.label(air[..., k])
        if count == 0:
            continue
        keep = np.bincount(labels.ravel(), minlength=count + 1) >= least
        keep[0] = False
        rim = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
        if not _cut_through_body(hu[..., k]):
            keep[rim] = False
        pixels = np.bincount(labels.ravel(), minlength=count + 1)
        total = np.bincount(labels.ravel(), weights=hu[..., k].ravel(), minlength=count + 1)
        small = pixels * spacing_mm[0] * spacing_mm[1] < TRACHEA_MM2
        keep &= small | (total > ROOM_AIR_HU * pixels)
        enclosed[..., k] = keep[labels]
    return enclosed


def _cut_through_body(plane: Array) -> bool:
    """Tell whether body tissue reaches most of the image border, so that border air may be lung."""
    rim = np.concatenate([plane[0], plane[-1], plane[:, 0], plane[:, -1]])
    return bool((rim > BODY_HU).mean() > 0.5)


def _lungs(hu: Array, enclosed: Array, voxel_mm3: float) -> Array | None:
    labels, count = ndimage.label(enclosed)
    if count == 0:
        return None
    volume_ml = np.bincount(labels.ravel(), minlength=count + 1) * voxel_mm3 / 1000
    volume_ml[0] = 0
    if volume_ml.max() < LEAST_LUNG_ML / 2 or volume_ml.sum() < LEAST_LUNG_ML:
        return None
    keep = volume_ml >= max(0.15 * volume_ml.max(), 100.0)
    lungs = np.asarray(keep[labels])
    # The pharynx, the mouth and the sinuses hang on the lungs through the trachea.
    area = lungs.sum(axis=(0, 1))
    runs, _ = ndimage.label(area >= LEAST_AREA_SHARE * area.max())
    lungs[..., runs != runs[int(area.argmax())]] = False
    return lungs


def _midline(lungs: Array) -> Array:
    """Half-way between the outer borders of the lungs, interpolated over slices without two lungs."""
    middle = np.full(lungs.shape[2], np.nan)
    for k in range(lungs.shape[2]):
        i = np.flatnonzero(lungs[..., k].any(axis=1))
        if len(i) and (i[-1] - i[0]) * STEP_MM > 120:
            middle[k] = (i[0] + i[-1]) / 2
    known = np.flatnonzero(np.isfinite(middle))
    if len(known) == 0:
        i = np.flatnonzero(lungs.any(axis=(1, 2)))
        return np.full(lungs.shape[2], (i[0] + i[-1]) / 2)
    filled = np.interp(np.arange(len(middle)), known, middle[known])
    return np.asarray(ndimage.median_filter(filled, 15, mode="nearest"))
