"""A reference region in the right lobe of the liver, where the scan reaches it."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from petflame.segment.geometric.blood import Blood
from petflame.segment.geometric.body import Chest
from petflame.segment.geometric.work import STEP_MM
from petflame.space.grid import Array

TISSUE_HU = (-15.0, 50.0)
LATERAL_MM = 40.0
LEAST_DEPTH_MM = 14.0
SPHERE_MM = 25.0
UNDER_LUNG_MM = 120.0


def liver_reference(chest: Chest, smooth: Array, blood: Blood) -> Array:
    """Find the largest sphere of liver tissue under the right lung.

    The region serves as a check of uptake and as a negative control, in the manner of the 3 cm sphere of PERCIST (Wahl
    2009, J Nucl Med 50 Suppl 1:122S); it is no outline of the liver. Its centre lies at least `LEAST_DEPTH_MM` from
    lung, bone, fat and the scan's edge, so that breathing does not carry lung into it, and at least `LATERAL_MM` to the
    right of the midline, where there is no heart.

    Parameters
    ----------
    chest : Chest
        Working image and lungs.
    smooth : (I, J, K) float array
        The image, lightly smoothed.
    blood : Blood
        Density of blood; unenhanced liver lies around or above it.

    Returns
    -------
    (I, J, K) bool array
        Empty where no such sphere is in view.
    """
    nothing = np.zeros(smooth.shape, bool)
    first, last = np.flatnonzero(chest.work.inside)[[0, -1]]
    deep = int(UNDER_LUNG_MM / STEP_MM)
    lowest = int(np.flatnonzero(chest.lungs.any(axis=(0, 1)))[0])
    low, high = max(int(first), lowest - deep), min(int(last), lowest + deep) + 1
    box = ndimage.uniform_filter(smooth[..., low:high], 3)
    tissue = (box > blood.hu + TISSUE_HU[0]) & (box < blood.hu + TISSUE_HU[1])
    under_lung = np.flip(np.logical_or.accumulate(np.flip(chest.lungs[..., low:], axis=2), axis=2), axis=2)
    tissue &= under_lung[..., : high - low]
    off_mm = (np.arange(smooth.shape[0])[:, None] - chest.midline_i[None, low:high]) * STEP_MM
    # What lies at the scan's edge is edge: the image says nothing of what follows.
    depth = ndimage.distance_transform_edt(np.pad(tissue, 1))[1:-1, 1:-1, 1:-1] * STEP_MM
    depth[(off_mm > -LATERAL_MM)[:, None, :].repeat(smooth.shape[1], axis=1)] = 0.0
    centre = np.unravel_index(int(depth.argmax()), depth.shape)
    radius = float(depth[centre])
    if radius < LEAST_DEPTH_MM:
        return nothing
    axes = np.ogrid[tuple(slice(0, n) for n in depth.shape)]
    distance2 = sum(((a - c) * STEP_MM) ** 2 for a, c in zip(axes, centre, strict=True))
    nothing[..., low:high] = distance2 <= min(radius, SPHERE_MM) ** 2
    return nothing
