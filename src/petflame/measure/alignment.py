"""What a residual shift between PET and CT does to a vessel: nothing, a flag, exclusion, or moving its region along."""

from __future__ import annotations

from petflame.measure.images import VisitImages
from petflame.protocol import RegionRules
from petflame.segment.product import LOCAL_SEARCH_MM, WIDE_SEARCH_MM, PetCtShift, VesselFinding


def noted_shift(finding: VesselFinding | None, region: RegionRules) -> PetCtShift | None:
    """Return the shift of a vessel by the search that the protocol asks for; None where it found none."""
    if finding is None:
        return None
    return finding.pet_ct_shift if region.pet_ct_search == "wide" else finding.pet_ct_shift_local


def shift_of(images: VisitImages, vessel: str, region: RegionRules) -> PetCtShift | None:
    """Return the shift that was measured at a vessel; None where none was."""
    return noted_shift(images.segmentation.vessels.get(vessel), region)


def _correctable(shift: PetCtShift, region: RegionRules) -> bool:
    # At the end of the search the true shift lies beyond it; one that is known badly would move the region anywhere.
    farthest = WIDE_SEARCH_MM if region.pet_ct_search == "wide" else LOCAL_SEARCH_MM
    return shift.is_known and max(abs(v) for v in shift.lps_mm) < farthest - 0.01


def aligned(images: VisitImages, vessel: str, region: RegionRules) -> VisitImages:
    """Return the images as a vessel is measured on them: with labels and CT moved along where the protocol corrects."""
    shift = shift_of(images, vessel, region)
    if region.pet_ct_mismatch != "correct" or shift is None or not _correctable(shift, region):
        return images
    return images.once(("aligned", vessel), lambda: images.moved(*shift.lps_mm))


def is_mismatch(images: VisitImages, vessel: str, region: RegionRules) -> bool:
    """Whether PET and CT lie farther apart at a vessel than the protocol lets pass, correction not being possible."""
    if region.pet_ct_mismatch == "ignore":
        return False
    if is_moved_along(images, region):
        return True
    shift = shift_of(images, vessel, region)
    if shift is None or (region.pet_ct_mismatch == "correct" and _correctable(shift, region)):
        return False
    return shift.exceeds(region.pet_ct_limit_mm(max(images.pet.grid.spacing_mm[:2])))


def is_moved_along(images: VisitImages, region: RegionRules) -> bool:
    """Whether PET and CT lie farther apart head-foot than the protocol lets pass; nothing corrects that."""
    body, limit = images.segmentation.body_shift, region.pet_ct_mismatch_z_mm
    if body is None or limit is None or body.z_mm is None or body.z_sd_mm is None:
        return False
    return abs(body.z_mm) - body.z_sd_mm > limit
