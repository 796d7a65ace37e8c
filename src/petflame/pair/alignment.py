"""Grading how far PET and CT lie apart at each vessel and along the chest, at both visits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from petflame.pair.comparability import Item, grade_limits, say
from petflame.protocol import ComparabilityRules, Limits
from petflame.segment.product import LARGEST_SD_MM, Segmentation

VISITS = ("baseline", "followup")
Rows = dict[str, Any]


def grade_shift(value_mm: float | None, sd_mm: float | None, limits: Limits) -> str:
    """Grade a shift: it fails only beyond the limit by more than its standard deviation.

    One that is known badly can only fail; otherwise it counts as not measured.

    >>> limits = Limits(passes=2, warns=4)
    >>> [grade_shift(v, 0.9, limits) for v in (1.5, 3.0, 4.5, 5.5, None)]
    ['pass', 'warn', 'warn', 'fail', 'unknown']
    >>> [grade_shift(v, 3.0, limits) for v in (1.5, 12.0)]
    ['unknown', 'fail']
    """
    if value_mm is None:
        return "unknown"
    sd = sd_mm or 0.0
    if value_mm - sd > limits.warns:
        return "fail"
    if sd > LARGEST_SD_MM:
        return "unknown"
    return "pass" if value_mm <= limits.passes else "warn"


def vessel_shifts(
    vessels: Mapping[str, tuple[Rows, Rows]],
    references: tuple[str, str],
    voxel_mm: tuple[float | None, float | None],
    rules: ComparabilityRules,
) -> list[Item]:
    """Grade how far PET and CT lie apart at each vessel of each visit, in the axial plane.

    A shift that was corrected is none, and regions that were drawn on the PET have none.

    Parameters
    ----------
    vessels : mapping
        Name to (baseline, follow-up) rows of ``vessels.tsv``.
    references : pair of {'ct', 'pet'}
        The image that each visit's regions lie on.
    voxel_mm : pair of float or None
        In-plane size of the PET's voxels at each visit.
    rules : ComparabilityRules
    """
    in_mm = rules.pet_ct_shift_mm
    limits, unit = (in_mm, "mm") if in_mm is not None else (rules.pet_ct_shift_voxels, "voxels")
    if limits is None:
        return []
    items = []
    for name, rows in vessels.items():
        first, second = (r.get("pet_ct_shift_mm") for r in rows)
        for visit, row, reference, size in zip(VISITS, rows, references, voxel_mm, strict=True):
            value = 0.0 if row.get("pet_ct_corrected") else row.get("pet_ct_shift_mm")
            if unit == "voxels":
                value = value / size if value is not None and size else None
                grade = grade_limits(value, limits)
            else:
                # On the PET itself nothing can lie apart; the older unit leaves such an item without a grade.
                value = 0.0 if reference == "pet" else value
                grade = grade_shift(value, row.get("pet_ct_shift_sd_mm"), limits)
            items.append(Item(f"pet_ct_shift_{unit}_{name}_{visit}", first, second, value, grade, say(limits)))
    return items


def body_shifts(segmentations: tuple[Segmentation, Segmentation], limits: Limits | None) -> list[Item]:
    """Grade how far PET and CT lie apart head-foot at each visit, by lungs, liver dome and body outline.

    Along a vessel nothing marks it, so it is one item a visit. Regions that were drawn on the PET have none.

    Parameters
    ----------
    segmentations : pair of Segmentation
    limits : Limits or None
        In mm; None grades nothing.
    """
    if limits is None:
        return []
    bodies = [s.body_shift for s in segmentations]
    first, second = (None if b is None else b.z_mm for b in bodies)
    items = []
    for visit, segmentation, body in zip(VISITS, segmentations, bodies, strict=True):
        value, sd, why = None, None, ""
        if segmentation.reference == "pet":
            value = 0.0
        elif body is not None:
            value, sd, why = None if body.z_mm is None else abs(body.z_mm), body.z_sd_mm, body.why
        said = f"{why}; {say(limits)}" if why else say(limits)
        items.append(Item(f"pet_ct_shift_z_mm_{visit}", first, second, value, grade_shift(value, sd, limits), said))
    return items
