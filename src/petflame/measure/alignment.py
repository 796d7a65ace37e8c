"""What a residual shift between PET and CT does to a vessel: nothing, a flag, exclusion, or moving its region along."""

from __future__ import annotations

from dataclasses import dataclass

from petflame.measure.images import VisitImages
from petflame.protocol import RegionRules
from petflame.segment.product import LARGEST_SD_MM, LOCAL_SEARCH_MM, WIDE_SEARCH_MM, PetCtShift, VesselFinding

# The artery that lies along each vein and moves with it; the first whose shift is known.
BESIDE: dict[str, tuple[str, ...]] = {
    "svc": ("aorta_ascending", "aorta_arch", "aorta_descending"),
    "jugular_right": ("carotid_right", "carotid_left"),
    "jugular_left": ("carotid_left", "carotid_right"),
}


@dataclass(frozen=True)
class VeinShift:
    """Where the PET shows a vein, less where the CT shows it, in the axial plane.

    Attributes
    ----------
    lps_mm : (float, float)
        Towards the patient's left and back.
    sd_mm : float
        Standard deviation along the axis known less well.
    source : str
        Whose shift it is: an artery's, the body's, or 'none' where nothing measured one.
    """

    lps_mm: tuple[float, float]
    sd_mm: float
    source: str


def vein_shift(images: VisitImages, vein: str, region: RegionRules) -> VeinShift:
    """Return the shift of a vein: that of the artery along it, else the body's, else none with the largest doubt.

    Veins drawn on the PET have none. An unknown shift is taken as 0 with `LARGEST_SD_MM`, the doubt from which on a
    shift is called unknown.
    """
    if images.segmentation.reference == "pet":
        return VeinShift((0.0, 0.0), 0.0, "drawn on the PET")
    for artery in BESIDE[vein]:
        shift = shift_of(images, artery, region)
        if shift is not None and _correctable(shift, region):
            return VeinShift(shift.lps_mm, max(shift.sd_mm), artery)
    body = images.segmentation.body_shift
    if body is not None and body.lps_mm is not None and max(body.sd_mm[:2] if body.sd_mm else [1e3]) <= LARGEST_SD_MM:
        return VeinShift((body.lps_mm[0], body.lps_mm[1]), LARGEST_SD_MM, "body")
    return VeinShift((0.0, 0.0), LARGEST_SD_MM, "none")


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
