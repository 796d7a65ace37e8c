"""The last look before a PET is written: what its voxels and its headers say together."""

from __future__ import annotations

from dataclasses import dataclass, replace

from petflame.dicom import tags as t
from petflame.dicom.imagecheck import (
    OFFSET_FRACTION,
    Body,
    Step,
    find_body,
    find_holes,
    find_steps,
    offset_fraction,
)
from petflame.dicom.petheader import PetHeader
from petflame.dicom.plausible import HIGH_BODY_SUV, likely_dose_units, pounds_for_certain, within
from petflame.dicom.result import Findings, SuvResult
from petflame.errors import InputRefused
from petflame.space.grid import Volume

# The image cannot hold more tracer than was injected; calibration and reconstruction are good to about 10 %.
MOST_OF_THE_DOSE = 1.1
# Mean SUV of a body of 10 L and more: see `petflame.dicom.plausible`. The real whole-body series at hand lies at 0.76.
USUAL_BODY_SUV = (0.35, 1.5)
POSSIBLE_BODY_SUV = (0.15, 2.5)
OWN_SCALE = frozenset({"GML", "CM2ML"})
MOST_STEPS_TOLD = 4


@dataclass(frozen=True)
class ImageFacts:
    """What the sidecar tells of the image as a whole.

    Attributes
    ----------
    body_suv_mean : float or None
        None where SUV is refused or too little of a body is seen.
    body_volume_l : float
    fraction_of_dose : float or None
        Tracer in the image over the injected dose.
    """

    body_suv_mean: float | None
    body_volume_l: float
    fraction_of_dose: float | None


def judge_image(pet: Volume, header: PetHeader, suv: SuvResult) -> tuple[ImageFacts, Findings]:
    """Hold the voxels of a PET against its headers.

    Parameters
    ----------
    pet : Volume
        SUVbw, or Bq/mL or stored units where SUV is refused.
    header : PetHeader
    suv : SuvResult

    Returns
    -------
    facts : ImageFacts
    findings : Findings
        Reasons to refuse SUV, and doubts.

    Raises
    ------
    InputRefused
        When slices are not on one scale, or a constant was added: no ratio survives that.
    """
    work = Findings()
    _one_scale(pet, work)
    body = find_body(pet)
    if suv.factor is None or not suv.weight_kg:
        return ImageFacts(None, body.volume_l, None), work
    fraction = body.total / (1e3 * suv.weight_kg)
    facts = ImageFacts(body.mean if body.judged else None, body.volume_l, fraction)
    doubts = Findings()
    _amounts(doubts, header, suv, body, fraction)
    if header.units in OWN_SCALE:
        # The scanner's own SUV: no dose or weight of the header stands behind its scale.
        work.warnings += [f.what for f in doubts.reasons]
    else:
        work.reasons += doubts.reasons
    work.warnings += doubts.warnings
    return facts, work


def _one_scale(pet: Volume, work: Findings) -> None:
    offset = offset_fraction(pet)
    if abs(offset) > OFFSET_FRACTION:
        what = (
            f"the air round the body holds {100 * offset:.0f} % of the body's level everywhere: a constant was added "
            "to the voxels or taken from them"
        )
        raise InputRefused.of(what, "the PET series", "export the scanner's original series")
    holes = find_holes(pet)
    if holes:
        told = ", ".join(f"{a + 1}" if a == b else f"{a + 1} to {b + 1}" for a, b in holes[:MOST_STEPS_TOLD])
        plural = "s" * (len(holes) > 1 or holes[0][0] < holes[0][1])
        what = f"there is no tracer in slice{plural} {told}, between slices that hold it"
        raise InputRefused.of(what, "the PET series", "export the scanner's original series again")
    steps = find_steps(pet)
    grave = [s for s in steps if s.certain]
    if grave:
        what = f"its slices are not on one scale: every voxel changes at once {_steps(grave)}"
        remedy = f"export the series again with each slice's own {t.name(t.SLOPE)}"
        raise InputRefused.of(what, "the PET series", remedy)
    if steps:
        work.warnings.append(f"the PET's slices may not be on one scale: every voxel changes at once {_steps(steps)}")


def _steps(steps: list[Step]) -> str:
    told = [f"{s.factor:.2f}-fold between slices {s.lower + 1} and {s.lower + 2}" for s in steps[:MOST_STEPS_TOLD]]
    more = f" and {len(steps) - len(told)} more" if len(steps) > len(told) else ""
    return ", ".join(told) + more


def _amounts(work: Findings, header: PetHeader, suv: SuvResult, body: Body, fraction: float) -> None:
    weight = suv.weight_kg or 0.0
    units = [u for u in likely_dose_units(header.dose, weight) if u != "Bq"] if header.dose else []
    hint = f"; was the dose in {' or '.join(units)}?" if units and suv.dose_bq != header.dose else ""
    if fraction > MOST_OF_THE_DOSE:
        what = f"the image holds {fraction:.3g} times the tracer that was injected, decayed as the headers say{hint}"
        work.refuse(what, f"{t.name(t.TOTAL_DOSE)}, {t.name(t.SLOPE)}, the injection and scan times", "dose_bq")
        return
    if not body.judged:
        return
    mean = body.mean
    told = f"the mean SUV of the body is {mean:.2g} over {body.volume_l:.0f} L"
    if not within(mean, POSSIBLE_BODY_SUV):
        what = f"{told}, where about 0.5 to 1 is possible: dose, weight, time or scale is wrong{hint}"
        work.refuse(what, f"{t.name(t.TOTAL_DOSE)}, {t.name(t.WEIGHT)}, {t.name(t.SLOPE)}", "dose_bq` or `weight_kg")
    elif pounds_for_certain(suv, mean):
        what = (
            f"the weight {weight:g} kg is likely in pounds: body mass index, dose per kg and the body's mean SUV "
            f"({mean:.2g}) all say so"
        )
        work.refuse(what, t.name(t.WEIGHT), "weight_kg")
    elif not within(mean, USUAL_BODY_SUV):
        work.warnings.append(f"{told}, where about 0.5 to 1 is usual: look at dose, weight and times{hint}")
    elif mean > HIGH_BODY_SUV:
        work.warnings.append(f"{told}, above what a whole body has: look at dose, weight and times{hint}")


def refused_suv(suv: SuvResult, findings: Findings) -> SuvResult:
    """Return the SUV result with what the image adds; a new reason takes the factor away."""
    if not findings.reasons:
        return suv
    return replace(suv, factor=None, reasons=(*suv.reasons, *findings.reasons))


def as_document(facts: ImageFacts | None) -> dict[str, float | None]:
    """Return what the sidecar says."""
    if facts is None:
        return {}
    return {
        "body_suv_mean": facts.body_suv_mean,
        "body_volume_l": facts.body_volume_l,
        "fraction_of_dose_in_image": facts.fraction_of_dose,
    }
