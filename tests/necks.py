"""A carotid and a jugular vein side by side, on CT and PET, whose course and uptake are known."""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

import phantoms
from petflame.recovery import FWHM_PER_SIGMA
from petflame.space.grid import Volume
from petflame.space.polyline import arc_length_mm, places_at

LOW, HIGH = (-40.0, -40.0, -9.0), (40.0, 40.0, 99.0)
CT = phantoms.grid((1.0, 1.0, 3.0), low=LOW, high=HIGH)
PET = phantoms.grid((3.6, 3.6, 3.3), low=LOW, high=HIGH)
FINE = phantoms.grid((1.2, 1.2, 1.65), low=LOW, high=HIGH)
SURROUNDINGS, BLOOD = 0.6, 0.95
CAROTID_MM, LUMEN_MM, JUGULAR_MM = 3.7, 2.7, 5.0
FWHM_MM, NOISE_FWHM_MM = 5.5, 4.5


def _lines():
    z = np.arange(0.0, 91.0, 0.5)
    # LPS mm, a left side: the vein lateral to and in front of the artery, both leaning and bent.
    carotid = np.column_stack([4.0 * np.sin(z / 30.0) + 0.05 * z, 6.0 - 0.1 * z + 2.0 * np.sin(z / 20.0), z])
    jugular = carotid + np.column_stack([10.0 + 0.02 * z, -7.0 + 1.5 * np.sin(z / 25.0), np.zeros_like(z)])
    return {"carotid_left": carotid, "jugular_left": jugular[20:]}


LINES = _lines()


def _off(grid, line):
    return cKDTree(line).query(phantoms.points(grid).reshape(-1, 3) * [-1, -1, 1])[0].reshape(grid.shape)


FINE_OFF = {name: _off(FINE, line) for name, line in LINES.items()}


def pet(wall=BLOOD, blood=BLOOD, spots=(), noise_cv=0.10, seed=0):
    """Vessels of a wall's and the blood's uptake, and spots of (LPS mm, radius, uptake), blurred, with noise."""
    image = np.full(FINE.shape, SURROUNDINGS)
    image[FINE_OFF["jugular_left"] <= JUGULAR_MM] = blood
    image[FINE_OFF["carotid_left"] <= CAROTID_MM] = wall
    image[FINE_OFF["carotid_left"] <= LUMEN_MM] = blood
    places = phantoms.points(FINE) * [-1, -1, 1]
    for middle, radius, uptake in spots:
        image[np.linalg.norm(places - middle, axis=-1) <= radius] = uptake
    step = np.array([1.2, 1.2, 1.65]) * FWHM_PER_SIGMA
    image = ndimage.gaussian_filter(image, FWHM_MM / step)
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=FINE.shape), NOISE_FWHM_MM / step)
    image *= 1.0 + noise_cv * noise / noise.std()
    at = np.moveaxis(FINE.to_ijk(phantoms.points(PET)), -1, 0)
    return Volume(ndimage.map_coordinates(image, at, order=1, mode="nearest").astype(np.float32), PET)


def ct(outside_hu=45.0, noise_hu=10.0, seed=0):
    """Vessels of 45 HU in tissue of the given density: none shows in muscle, all in fat."""
    data = np.full(CT.shape, outside_hu)
    for name, radius in (("jugular_left", JUGULAR_MM), ("carotid_left", CAROTID_MM)):
        data[_off(CT, LINES[name]) <= radius] = 45.0
    return Volume((data + np.random.default_rng(seed).normal(0, noise_hu, CT.shape)).astype(np.int16), CT)


def seeds(rng, apart_mm=30.0, sd_mm=2.0):
    """Points at most so far apart along each vessel, off by so much along either axis of the plane."""
    return {name: noisy_points(line, rng, apart_mm, sd_mm) for name, line in LINES.items()}


def noisy_points(line, rng, apart_mm, sd_mm):
    length = arc_length_mm(line)[-1]
    points = places_at(line, np.linspace(0.0, length, int(np.ceil(length / apart_mm - 1e-6)) + 1))
    points[:, :2] += rng.normal(0.0, sd_mm, (len(points), 2))
    return points


def off_line(drawn_lps, true_lps, step_mm=3.0):
    """In-plane distance of a drawn line from the true one, every few mm of height."""
    low = max(drawn_lps[:, 2].min(), true_lps[:, 2].min())
    high = min(drawn_lps[:, 2].max(), true_lps[:, 2].max())
    z = np.arange(low, high, step_mm)
    drawn, true = (line[np.argsort(line[:, 2])] for line in (drawn_lps, true_lps))
    off = [np.interp(z, drawn[:, 2], drawn[:, a]) - np.interp(z, true[:, 2], true[:, a]) for a in (0, 1)]
    return np.hypot(*off)
