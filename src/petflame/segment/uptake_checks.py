"""Checks of a segmentation against the PET: does the blood pool hold blood, and the same blood as the aorta."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import ndimage

from petflame.segment.product import CAVA_POOL_CHECKS, Check, Segmentation
from petflame.space.contours import contours_of
from petflame.space.grid import Array, Volume
from petflame.space.orientation import to_canonical

# FDG blood pool one to three hours after injection lies between these, with room for poor clearance (Bucerius 2014,
# PMC4024166; Huet 2015, PubMed 25722452).
BLOOD_SUV = (0.4, 4.0)
# Venous and arterial blood have equalled each other by the time of the scan; what is left is noise and spill-over.
CAVA_TO_AORTA = (0.75, 1.33)
VEIN_DEPTH_MM, AORTA_DEPTH_MM = 4.0, 7.0
FEWEST_VOXELS = 20
LEVEL, ALIKE, _ = CAVA_POOL_CHECKS
# Outlines of a reader are warned about; a line of points is checked as what software finds.
READER_MADE = ("labels",)


def check_uptake(segmentation: Segmentation, pet: Volume, is_suv: bool) -> Segmentation:
    """Add the checks that need the PET to the superior vena cava.

    A vein that software found or that rests on seeds, and that fails, is withheld; one that a reader outlined is only
    warned about.

    Parameters
    ----------
    segmentation : Segmentation
    pet : Volume
        SUVbw, or Bq/mL where SUV was refused.
    is_suv : bool
        Whether absolute values can be judged.
    """
    cava = segmentation.vessels.get("svc")
    if cava is None or not len(cava.centreline_lps_mm):
        return segmentation
    blood = core_mean(segmentation, ("svc",), pet, VEIN_DEPTH_MM)
    aorta = core_mean(segmentation, ("aorta_ascending", "aorta_descending"), pet, AORTA_DEPTH_MM)
    checks = []
    if is_suv and blood is not None:
        message = f"SUV {blood:.2f} in its core (between {BLOOD_SUV[0]:g} and {BLOOD_SUV[1]:g})"
        checks.append(Check(LEVEL, BLOOD_SUV[0] <= blood <= BLOOD_SUV[1], message))
    if blood is not None and aorta is not None:
        ratio = blood / aorta if aorta > 0 else float("inf")
        limits = f"between {CAVA_TO_AORTA[0]:g} and {CAVA_TO_AORTA[1]:g}"
        message = f"{ratio:.2f} times the uptake of the aorta's core ({limits})"
        checks.append(Check(ALIKE, CAVA_TO_AORTA[0] <= ratio <= CAVA_TO_AORTA[1], message))
    failed = [f"{check.name}: {check.message}" for check in checks if not check.passed]
    cava = replace(cava, checks=(*cava.checks, *checks))
    warnings = segmentation.warnings
    if failed:
        reason = "; ".join(filter(None, [cava.reason, *failed]))
        if not cava.method.startswith(READER_MADE):
            cava = replace(cava, withheld=True, reason=reason)
            warnings = (*(w for w in warnings if not w.startswith("svc:")), f"svc: needs a reader: {reason}")
        else:
            warnings = (*warnings, f"svc: look at its region again: {'; '.join(failed)}")
    vessels = segmentation.vessels | {"svc": cava}
    return replace(segmentation, vessels=vessels, warnings=warnings)


def core_mean(segmentation: Segmentation, names: tuple[str, ...], pet: Volume, depth_mm: float) -> float | None:
    """Mean uptake well inside some vessels; None where too little of them is that deep."""
    labels = segmentation.labels
    values = [_deep_values(to_canonical(labels.cut(n)), pet, depth_mm) for n in names if labels.has(n)]
    found = np.concatenate(values) if values else np.zeros(0)
    return float(found.mean()) if len(found) >= FEWEST_VOXELS else None


def _deep_values(mask: Volume, pet: Volume, depth_mm: float) -> Array:
    contours = contours_of(mask, 0.0)
    ijk = pet.grid.to_ijk(contours.grid.to_ras(np.argwhere(contours.distance_mm <= -depth_mm)))
    inside = ((ijk >= -0.5) & (ijk <= np.array(pet.grid.shape) - 0.5)).all(axis=-1)
    places = np.moveaxis(ijk[inside], -1, 0)
    return np.asarray(ndimage.map_coordinates(pet.data, places, output=np.float64, order=1, mode="nearest"))
