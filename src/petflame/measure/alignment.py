"""What a residual shift between PET and CT does to a vessel: nothing, a flag, exclusion, or moving its region along."""

from __future__ import annotations

from petflame.measure.images import VisitImages
from petflame.protocol import RegionRules
from petflame.segment.pet_ct_shift import FARTHEST_MM
from petflame.segment.product import PetCtShift


def shift_of(images: VisitImages, vessel: str) -> PetCtShift | None:
    """Return the shift that was measured at a vessel; None where none was."""
    finding = images.segmentation.vessels.get(vessel)
    return finding.pet_ct_shift if finding is not None else None


def _correctable(shift: PetCtShift) -> bool:
    # At the end of the search the true shift lies beyond it.
    return max(abs(v) for v in shift.lps_mm) < FARTHEST_MM - 0.01


def aligned(images: VisitImages, vessel: str, region: RegionRules) -> VisitImages:
    """Return the images as a vessel is measured on them: with labels and CT moved along where the protocol corrects."""
    shift = shift_of(images, vessel)
    if region.pet_ct_mismatch != "correct" or shift is None or not _correctable(shift):
        return images
    return images.once(("aligned", vessel), lambda: images.moved(*shift.lps_mm))


def is_mismatch(images: VisitImages, vessel: str, region: RegionRules) -> bool:
    """Whether PET and CT lie farther apart at a vessel than the protocol lets pass, correction not being possible."""
    shift = shift_of(images, vessel)
    if region.pet_ct_mismatch == "ignore" or shift is None:
        return False
    if region.pet_ct_mismatch == "correct" and _correctable(shift):
        return False
    return shift.exceeds(region.pet_ct_limit_mm(max(images.pet.grid.spacing_mm[:2])))
