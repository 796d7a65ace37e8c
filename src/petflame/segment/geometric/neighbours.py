"""Neighbours whose uptake may spill into the vessels, as far as an unenhanced CT shows them."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from petflame.anatomy import BY_NAME
from petflame.segment.geometric.airway import Airway
from petflame.segment.geometric.blood import Blood
from petflame.segment.geometric.body import Chest
from petflame.segment.geometric.liver import liver_reference
from petflame.segment.geometric.tracks import Track
from petflame.segment.geometric.work import STEP_MM
from petflame.space.boxes import largest_part
from petflame.space.grid import Array

BONE_ABOVE_BLOOD_HU = 80.0
VERTEBRA_REACH_MM = 27.0
OESOPHAGUS_RADIUS_MM = 9.0
OESOPHAGUS_BEHIND_MM = 7.0
OESOPHAGUS_LEFT_MM = 4.0
SWALLOWED_AIR_MM = 16.0
HEART_HU = (-45.0, 70.0)
HEART_OPENING_MM = 6.0
HEART_DEPTH_MM = 120.0
ROOT_GAP_MM = 10.0
METAL_SURE_HU, METAL_HALO_HU = 1900.0, 600.0
METAL_HALO_MM = 6.0


def label_neighbours(
    chest: Chest, smooth: Array, spine: Array, airway: Airway, blood: Blood, descending: Track, root_mm: Array
) -> Array:
    """Label vertebrae, oesophagus region, heart region, liver reference and metal on the working grid.

    The heart is labelled as ``myocardium``: the chambers cannot be told from its wall without contrast medium. The
    oesophagus is a disc at its usual place, drawn to swallowed air where there is some.

    Parameters
    ----------
    chest, smooth, spine, airway, blood
        As for `petflame.segment.geometric.paths.find_paths`.
    descending : Track
        Axial track of the descending aorta.
    root_mm : (3,) float array
        Lower end of the ascending aorta, mm within the working grid.

    Returns
    -------
    (I, J, K) uint8 array
        Label numbers of `petflame.anatomy`; 0 elsewhere.
    """
    labels = np.zeros(chest.work.hu.shape, np.uint8)
    labels[liver_reference(chest, smooth, blood)] = BY_NAME["liver"].label
    labels[_heart(chest, smooth, spine, blood, root_mm)] = BY_NAME["myocardium"].label
    labels[_oesophagus(chest, spine, airway, descending)] = BY_NAME["oesophagus"].label
    labels[_vertebrae(chest, smooth, spine, blood)] = BY_NAME["vertebrae"].label
    labels[_metal(chest)] = BY_NAME["metal"].label
    return labels


def _disc(shape: tuple[int, ...], centre: Array, radius_mm: float) -> Array:
    i = (np.arange(shape[0]) - centre[0])[:, None] * STEP_MM
    j = (np.arange(shape[1]) - centre[1])[None, :] * STEP_MM
    return np.asarray(i**2 + j**2 <= radius_mm**2)


def _vertebrae(chest: Chest, smooth: Array, spine: Array, blood: Blood) -> Array:
    result = np.zeros(smooth.shape, bool)
    half = int(VERTEBRA_REACH_MM / STEP_MM) + 1
    for k in range(smooth.shape[2]):
        low = np.maximum(np.round(spine[k]).astype(int) - half, 0)
        window = smooth[low[0] : low[0] + 2 * half + 1, low[1] : low[1] + 2 * half + 1, k]
        bone = (window > blood.hu + BONE_ABOVE_BLOOD_HU) & _disc(window.shape, spine[k] - low, VERTEBRA_REACH_MM)
        filled = ndimage.binary_opening(ndimage.binary_fill_holes(bone))
        result[low[0] : low[0] + window.shape[0], low[1] : low[1] + window.shape[1], k] = filled
    return result


def _oesophagus(chest: Chest, spine: Array, airway: Airway, descending: Track) -> Array:
    shape = chest.work.hu.shape
    carina_k = airway.centre[:, 2].min()
    result = np.zeros(shape, bool)
    for k in range(int(descending.plane.min()), int(min(airway.centre[:, 2].max(), shape[2] - 1)) + 1):
        if k >= carina_k:
            radius = float(np.interp(k, airway.centre[::-1, 2], airway.radius_mm[::-1]))
            centre = airway.at(k) + np.array([OESOPHAGUS_LEFT_MM, radius + OESOPHAGUS_BEHIND_MM]) / STEP_MM
        else:
            beside, radius = descending.at(k)
            front = beside[1] - radius - 2.0
            centre = np.array([(beside[0] / STEP_MM + spine[k, 0]) / 2, front / STEP_MM])
        near = _disc(shape, centre, SWALLOWED_AIR_MM)
        swallowed = _small_lumen(chest.work.hu[..., k] < -300, near & ~airway.mask[..., k])
        if swallowed is not None:
            centre = swallowed
        result[..., k] = _disc(shape, centre, OESOPHAGUS_RADIUS_MM)
    return result & ~chest.lungs & ~airway.mask


def _small_lumen(air: Array, near: Array) -> Array | None:
    labels, _ = ndimage.label(air)
    found = np.unique(labels[near & air])
    for n in found[found > 0]:
        region = labels == n
        if region.sum() * STEP_MM**2 < 250 and (region & ~near).sum() == 0:
            return np.argwhere(region).mean(axis=0)
    return None


def _heart(chest: Chest, smooth: Array, spine: Array, blood: Blood, root_mm: Array) -> Array:
    shape = chest.work.hu.shape
    result = np.zeros(shape, bool)
    top = int((root_mm[2] - ROOT_GAP_MM) / STEP_MM)
    area = chest.lungs.sum(axis=(0, 1))
    low = max(top - int(HEART_DEPTH_MM / STEP_MM), 0)
    enough = np.flatnonzero(area[low : top + 1] >= 0.5 * area.max())
    if top <= 0 or len(enough) == 0:
        return result
    low += int(enough[0])
    tissue = (smooth > blood.hu + HEART_HU[0]) & (smooth < blood.hu + HEART_HU[1]) & ~chest.lungs
    i = np.arange(shape[0])
    for k in range(low, top + 1):
        off_mm = (i - chest.midline_i[k]) * STEP_MM
        j = np.flatnonzero(chest.lungs[..., k].any(axis=0))
        if len(j):
            front, back = j[0] + int(8 / STEP_MM), int(spine[k, 1] - 34.0 / STEP_MM)
            result[:, front:back, k] = tissue[:, front:back, k] & ((off_mm > -60) & (off_mm < 100))[:, None]
    coarse = result[::2, ::2, low : top + 1 : 2]
    ball = ndimage.distance_transform_edt(coarse) * 2 * STEP_MM > HEART_OPENING_MM
    if not ball.any():
        return np.zeros(shape, bool)
    grown = ndimage.distance_transform_edt(~largest_part(ball)) * 2 * STEP_MM <= HEART_OPENING_MM
    fine = grown.repeat(2, axis=0).repeat(2, axis=1).repeat(2, axis=2)
    result[..., low : top + 1] &= fine[: shape[0], : shape[1], : top + 1 - low]
    return result


def _metal(chest: Chest) -> Array:
    sure = chest.work.hu > METAL_SURE_HU
    if not sure.any():
        return sure
    halo = ndimage.binary_dilation(sure, iterations=int(METAL_HALO_MM / STEP_MM))
    return np.asarray(halo & (chest.work.hu > METAL_HALO_HU))
