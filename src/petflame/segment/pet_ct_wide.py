"""How far PET and CT lie apart at each artery: in the axial plane, from where the body as a whole fits.

Round the vessel the PET is modelled as one uptake for each tissue that the CT and the label map tell apart (the
vessel itself, other vessels, labelled neighbours, lung, fat, bone, all else), blurred to the PET's resolution. The
shift is where that model leaves the smallest residual. Along a vessel that runs head-foot nothing marks a shift, so
none is looked for there: that is the body's (`petflame.segment.body_shift`).
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from petflame.labelmap import LabelMap
from petflame.segment.product import BodyShift, PetCtShift
from petflame.segment.tissues import (
    FEWEST_SAMPLES,
    FWHM_MM,
    Tissues,
    fit,
    samples,
    sandwich,
    tissues_round,
    turned,
)
from petflame.space.boxes import lattice
from petflame.space.grid import Array, Volume, ras_to_lps

# Farther from the body's own shift than this no vessel lies: necks turn, vessels beat and breathe, by millimetres.
RANGE_MM, LATTICE_MM = 15.0, 3.0
# How far a vessel lies from where the body as a whole puts it, standard deviation; what stands for a vessel round which
# nothing marks a place (docs/alignment.md).
VESSEL_IN_BODY_SD_MM = 3.0
# The same, generously, when a place is chosen between several (assumed).
USUAL_MM = 6.0
# A second place as far as this from the best is another place; it makes the shift unknown where it is about as likely.
APART_MM, LIKELY_CHI2 = 6.0, 4.0
# Neighbours within a block err together; the spread between blocks tells the uncertainty.
BLOCK_MM = 15.0
# What all blocks have in common, such as a wall that is hotter on one side (docs/alignment.md).
MODEL_SD_MM = 1.0


def wide_shift(name: str, labels: LabelMap, ct: Volume, pet: Volume, body: BodyShift) -> tuple[PetCtShift | None, str]:
    """Find where the PET shows what lies round a vessel in the CT.

    Parameters
    ----------
    name : str
        The vessel.
    labels : LabelMap
    ct, pet : Volume
        All canonical; `labels` and `ct` on one grid.
    body : BodyShift
        Where the search begins.

    Returns
    -------
    shift : PetCtShift or None
        The body's, with what a vessel may lie from it, where nothing round the vessel marks a place; None where the
        body's is not known either.
    why : str
        Why nothing round the vessel marks a place, or empty.
    """
    if not labels.has(name):
        return None, "the vessel is not there"
    found = _round_vessel(tissues_round(name, labels, ct, RANGE_MM), pet, body)
    if isinstance(found, PetCtShift):
        return found, "" if found.is_known else f"known to {max(found.sd_mm):.1f} mm only"
    if body.lps_mm is None or body.sd_mm is None:
        return None, found
    x, y = (float(np.hypot(sd, VESSEL_IN_BODY_SD_MM)) for sd in body.sd_mm[:2])
    return PetCtShift(body.lps_mm[:2], (x, y)), found


def _round_vessel(tissues: Tissues, pet: Volume, body: BodyShift) -> PetCtShift | str:
    start = _along_grid(tissues, body)
    where, values, stride = samples(tissues, pet, RANGE_MM, start)
    if len(values) < FEWEST_SAMPLES:
        return "too little of the PET lies round the vessel"
    # Neighbouring voxels share noise: about one independent value to a resolution volume.
    shared = max(1.0, (1.06 * FWHM_MM) ** 3 / (pet.grid.voxel_volume_mm3 * stride))
    places, left = _left_everywhere(tissues, where, values, start)
    per_chi2 = left.min() / max(len(values) / shared - len(tissues.maps) - 1.0, 1.0)
    cost = left / per_chi2 + ((places - start[:2]) ** 2).sum(axis=1) / USUAL_MM**2
    found = fit(tissues, where, values, np.array([*places[int(cost.argmin())], start[2]]), 2 * LATTICE_MM)
    if not found.explains:
        return "too little of what the CT shows there shows in the PET"
    by_noise = np.linalg.inv(found.normal) * (found.left @ found.left) / found.freedom * shared
    by_blocks = sandwich(found, where * tissues.grid.spacing_mm, BLOCK_MM)
    covariance = by_blocks if np.trace(by_blocks) > np.trace(by_noise) else by_noise
    doubt = max(1.0, float(np.trace(covariance) / np.trace(by_noise)))
    elsewhere = np.linalg.norm(places - found.shift_mm, axis=1) > APART_MM
    if elsewhere.any() and (cost[elsewhere].min() - cost.min()) / doubt < LIKELY_CHI2:
        return "the PET fits as well in two places"
    turn = turned(tissues, (0, 1))[:2]
    sd = np.sqrt(np.diag(turn @ covariance @ turn.T) + MODEL_SD_MM**2)
    x, y = ras_to_lps([*(turn @ found.shift_mm), 0.0])[:2]
    return PetCtShift((float(x), float(y)), (float(sd[0]), float(sd[1])))


def _along_grid(tissues: Tissues, body: BodyShift) -> Array:
    """The body's shift along the axes of the tissue grid; none where it is not known."""
    if body.lps_mm is None:
        return np.zeros(3)
    x, y, z = body.lps_mm
    ras = ras_to_lps(np.array([x, y, z if body.z_mm is not None else 0.0]))
    return np.asarray(np.linalg.inv(turned(tissues, (0, 1, 2))) @ ras)


def _left_everywhere(tissues: Tissues, where: Array, values: Array, start_mm: Array) -> tuple[Array, Array]:
    """Shifts in the plane, (n, 2), on a lattice round the start, and the residual sum of squares at each."""
    reach = int(RANGE_MM // LATTICE_MM)
    steps = np.arange(-reach, reach + 1) * LATTICE_MM
    places = lattice(steps, steps).reshape(-1, 2) + start_mm[:2]
    left = []
    for place in places:
        at = where - np.array([*place, start_mm[2]]) / tissues.grid.spacing_mm
        columns = [ndimage.map_coordinates(m, at.T, order=1, mode="nearest") for m in tissues.maps]
        design = np.column_stack([*columns, np.ones(len(values))])
        normal = design.T @ design + 1e-6 * len(values) * np.eye(design.shape[1])
        right = design.T @ values
        left.append(values @ values - right @ np.linalg.solve(normal, right))
    return places, np.maximum(left, 1e-12)
