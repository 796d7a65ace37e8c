"""Where the PET shows a vessel's blood near a line.

A tube of blood, blurred by the PET's resolution, is fitted to the planes across the line together with an even slope of
the surroundings and the vessels beside it. A tube is the same on all sides: its place is the middle of the vessel's
uptake, not its maximum. What is hotter than blood and wall usually are counts for nothing, outliers weigh little, and
whoever uses the result leaves out what was seen at a section when placing that section (`held_out_course`); the level
that is measured in a section has then no say in where the section lies.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from petflame.recovery import FWHM_PER_SIGMA, blurred_disc
from petflame.segment.across import planes_across, sample_at
from petflame.segment.course import Displacements
from petflame.space.grid import Array, Volume, ras_to_lps
from petflame.space.polyline import arc_length_mm, places_at

PIXEL_MM = 1.5
FWHM_MM = 6.0
# Half width of the planes beyond the vessel: three standard deviations of the point spread are out of the vessel's
# reach, but two hold fewer strangers.
BEYOND_MM = 2.0 * FWHM_MM / FWHM_PER_SIGMA
# Planes on either side that share amplitudes: uptake of blood and surroundings changes slowly.
SHARED = 2
# Huber's weights (1964): the fraction of efficiency lost to normal noise is 4 %.
HUBER = 1.5
ROUNDS = 3
# What is hotter than this, in multiples of the typical uptake of the hottest of the vessels, belongs to none of them.
HOTTEST = 1.5
CENTRE_MM = 2.0
MOST_OFFSET_MM = 3.0
RIDGE = 0.02
TABLE_STEP_MM = 0.1


class Tube:
    """Profile of a blurred tube of unit uptake across its axis."""

    def __init__(self, radius_mm: float) -> None:
        self.at_mm = np.arange(0.0, radius_mm + 5.0 * FWHM_MM, TABLE_STEP_MM)
        self.height = blurred_disc(radius_mm, self.at_mm, FWHM_MM)
        self.slope = np.gradient(self.height, self.at_mm)

    def __call__(self, off_mm: Array) -> Array:
        """Uptake at distances from the axis."""
        return np.interp(off_mm, self.at_mm, self.height)

    def falling(self, off_mm: Array) -> Array:
        """How much the uptake falls per mm at distances from the axis."""
        return -np.interp(off_mm, self.at_mm, self.slope)


def seen_on_pet(
    pet: Volume,
    line_lps_mm: Array,
    frame: Array,
    radius_mm: float,
    beside: list[tuple[Array, float]],
    even: bool,
) -> Displacements:
    """Find in each plane across a line where a tube of blood lies, and how surely.

    Parameters
    ----------
    pet : Volume
        Any unit and axis order.
    line_lps_mm : (n, 3) array
    frame : (n, 3, 3) array
        Rows: two normals, then the tangent.
    radius_mm : float
        Of the vessel.
    beside : list of ((m, 3) array, float)
        Lines, LPS mm, and radii of vessels whose uptake reaches the planes.
    even : bool
        Whether the vessel's uptake is one all along, as that of a vein is.

    Returns
    -------
    Displacements
        Precision from the residual noise, whose neighbouring pixels and planes are correlated; along what the slope
        and the neighbours explain as well, nothing is known.
    """
    across = planes_across(line_lps_mm, frame, radius_mm + BEYOND_MM, PIXEL_MM)
    off = across.off_mm
    use = off <= radius_mm + BEYOND_MM
    places = across.places()[:, use]
    uptake = across.sample(pet)[:, use].astype(float)
    u, v, off = across.u_mm[use], across.v_mm[use], off[use]
    typical = [float(np.median(uptake[:, off <= CENTRE_MM])), *(float(np.median(sample_at(pet, b))) for b, _ in beside)]
    within = _within(pet, places) & np.isfinite(uptake)
    uptake = np.where(within, uptake, 0.0)
    if not within.any():
        return Displacements(np.zeros((len(places), 2)), np.zeros((len(places), 2, 2)))
    cool = within & (uptake <= HOTTEST * max(*typical, 0.0))
    own = Tube(radius_mm)
    columns = [np.ones_like(uptake), *(np.broadcast_to(a / radius_mm, uptake.shape) for a in (u, v))]
    columns += [Tube(r)(_distance(places, line)) for line, r in beside]
    design = np.stack([*columns, np.broadcast_to(own(off), uptake.shape)], axis=-1)
    amplitude, weight, noise = _fit(design, uptake, cool, within)
    residual = uptake - np.einsum("npc,nc->np", design, amplitude)
    level = np.maximum(amplitude[:, -1], 0.0)
    if even:
        level = np.full(len(level), np.median(level))
    step = arc_length_mm(line_lps_mm)[-1] / (len(line_lps_mm) - 1)
    # Noise that is smoothed to the resolution is one over an area and a length of it.
    independent = PIXEL_MM**2 / (1.13 * FWHM_MM**2) * min(1.0, step / FWHM_MM)
    towards = own.falling(off)[:, None] * np.stack([u, v], axis=-1) / np.maximum(off, 1e-6)[:, None]
    offset, precision = np.zeros((len(level), 2)), np.zeros((len(level), 2, 2))
    for n in np.flatnonzero(level > 0):
        root = np.sqrt(weight[n])[:, None]
        others = design[n] * root
        moved = level[n] * towards * root
        moved = moved - others @ np.linalg.lstsq(others, moved, rcond=1e-6)[0]
        information = moved.T @ moved
        precision[n] = information / noise**2 * independent
        kept = information + (RIDGE * np.trace(information) + 1e-12) * np.eye(2)
        offset[n] = np.linalg.solve(kept, moved.T @ (residual[n] * root[:, 0]))
    far = np.linalg.norm(offset, axis=1, keepdims=True)
    return Displacements(offset * np.minimum(1.0, MOST_OFFSET_MM / np.maximum(far, 1e-9)), precision)


def _within(pet: Volume, places_lps_mm: Array) -> Array:
    """Whether places, shape (..., 3), lie in the image: beyond it nothing was seen, though sampling goes on."""
    ijk = pet.grid.to_ijk(ras_to_lps(places_lps_mm))
    return np.asarray(((ijk >= -0.5) & (ijk <= np.array(pet.grid.shape) - 0.5)).all(axis=-1))


def _fit(design: Array, uptake: Array, cool: Array, within: Array) -> tuple[Array, Array, float]:
    """Amplitudes of planes and their neighbours, shape (n, columns), the pixels' weights (0 where hot), the noise."""
    count, _, columns = design.shape
    weight = cool.astype(float)
    amplitude = np.empty((count, columns))
    noise = 1.0
    for _ in range(ROUNDS):
        for n in range(count):
            near = slice(max(0, n - SHARED), n + SHARED + 1)
            root = np.sqrt(weight[near].ravel())
            rows = design[near].reshape(-1, columns) * root[:, None]
            amplitude[n] = np.linalg.lstsq(rows, uptake[near].ravel() * root, rcond=1e-6)[0]
        residual = uptake - np.einsum("npc,nc->np", design, amplitude)
        noise = 1.4826 * float(np.median(np.abs(residual[within]))) + 1e-6 * float(np.abs(uptake[within]).max()) + 1e-12
        weight = cool / np.maximum(1.0, np.abs(residual) / (HUBER * noise))
    return amplitude, weight, noise


def _distance(places: Array, line_lps_mm: Array) -> Array:
    """Distance of places from a line, shape as theirs."""
    fine = places_at(line_lps_mm, np.arange(0.0, arc_length_mm(line_lps_mm)[-1] + 1.0, 1.0))
    return np.asarray(cKDTree(fine).query(places)[0])
