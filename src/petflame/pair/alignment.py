"""Grading how far PET and CT lie apart at each vessel and along the chest, at both visits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from petflame.pair.comparability import Item, grade_limits, say
from petflame.protocol import ComparabilityRules, Limits

VISITS = ("baseline", "followup")
Rows = dict[str, Any]


def grade_shift(value_mm: float | None, sd_mm: float | None, limits: Limits) -> str:
    """Grade a shift: it fails only beyond the limit by more than its standard deviation.

    >>> limits = Limits(passes=2, warns=4)
    >>> [grade_shift(v, 0.9, limits) for v in (1.5, 3.0, 4.5, 5.5, None)]
    ['pass', 'warn', 'warn', 'fail', 'unknown']
    """
    if value_mm is None:
        return "unknown"
    grade = grade_limits(value_mm, limits)
    return "warn" if grade == "fail" and value_mm - (sd_mm or 0.0) <= limits.warns else grade


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
