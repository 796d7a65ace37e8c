"""How far PET and CT lie apart: the body as a whole, and each artery in the axial plane; noted, checked, warned of."""

from __future__ import annotations

from dataclasses import replace

from petflame.anatomy import ARTERIES
from petflame.segment.body_shift import body_shift
from petflame.segment.pet_ct_local import local_shift
from petflame.segment.pet_ct_wide import wide_shift
from petflame.segment.product import BodyShift, Check, PetCtShift, Segmentation
from petflame.space.grid import Volume
from petflame.space.orientation import to_canonical

NAME, WARNING = "PET-CT shift", "PET and CT lie apart by"
NOT_MEASURED = "PET-CT shift not measured"
# Comparability's own limit (measurement definitions, section 6): about a voxel of today's PET.
LIMIT_MM = 4.0


def check_pet_ct_shift(segmentation: Segmentation, ct: Volume | None, pet: Volume) -> Segmentation:
    """Measure the shift of the body and of every artery, note it, and warn where it exceeds 4 mm or is not known.

    Regions that were drawn on the PET follow the PET; they have no shift.

    Parameters
    ----------
    segmentation : Segmentation
    ct : Volume or None
        HU; without it no shift is measured.
    pet : Volume
        SUVbw or Bq/mL.
    """
    if segmentation.reference == "pet" or ct is None:
        return segmentation
    labels = to_canonical(segmentation.labels, copy=False)
    ct, pet = to_canonical(ct, copy=False), to_canonical(pet, copy=False)
    vessels = dict(segmentation.vessels)
    # Labels that a reader edits are checked again.
    warnings = [w for w in segmentation.warnings if WARNING not in w and NOT_MEASURED not in w]
    body = body_shift(labels, ct, pet)
    warnings += _body_warnings(body)
    for name in ARTERIES:
        finding = vessels.get(name)
        if finding is None or not len(finding.centreline_lps_mm):
            continue
        shift, why = wide_shift(name, labels, ct, pet, body)
        check = _check(shift, why)
        if not check.passed:
            said = (
                f"{WARNING} {check.message}"
                if shift is not None and shift.exceeds(LIMIT_MM)
                else f"PET-CT shift {check.message}"
            )
            warnings.append(f"{name}: {said}; look at the alignment")
        checks = (*(c for c in finding.checks if c.name != NAME), check)
        near = local_shift(name, labels, ct, pet)
        vessels[name] = replace(finding, checks=checks, pet_ct_shift=shift, pet_ct_shift_local=near)
    return replace(segmentation, vessels=vessels, warnings=tuple(warnings), body_shift=body)


def _check(shift: PetCtShift | None, why: str) -> Check:
    if shift is None:
        return Check(NAME, False, f"not measured: {why}")
    said = f"{shift.length_mm:.1f} ± {max(shift.sd_mm):.1f} mm in the axial plane (limit {LIMIT_MM:g} mm)"
    if shift.exceeds(LIMIT_MM) or not why:
        by = f", by the body's outline and lungs, for {why}" if why else ""
        return Check(NAME, not shift.exceeds(LIMIT_MM), said + by)
    return Check(NAME, False, f"not measured: {why}")


def _body_warnings(body: BodyShift) -> list[str]:
    if body.z_mm is None or body.z_sd_mm is None:
        return [f"{NOT_MEASURED} head-foot: {body.why}"]
    if abs(body.z_mm) - body.z_sd_mm > LIMIT_MM:
        way = "head" if body.z_mm > 0 else "feet"
        said = f"{abs(body.z_mm):.1f} ± {body.z_sd_mm:.1f} mm towards the {way}"
        return [f"{WARNING} {said} (limit {LIMIT_MM:g} mm): lungs and body outline; look at the alignment"]
    return []
