"""The JSON beside the images: how the numbers came about, and nothing that identifies anyone.

Values that reach the sidecar are listed here one by one; there is no way for a header's free text, date, time or
identifier to slip through.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from petflame import __version__
from petflame.dicom import tags as t
from petflame.dicom.assemble import Stack
from petflame.dicom.bodysize import MASSES_KG
from petflame.dicom.decay import OVERRIDE
from petflame.dicom.header import Header
from petflame.dicom.judge import as_document
from petflame.dicom.petheader import PetHeader
from petflame.dicom.plan import Plan
from petflame.dicom.result import Times
from petflame.dicom.uptake import ASSAY_WORDS, INJECTION_WORDS, UPTAKE_WORDS, may_be_assay
from petflame.dicom.values import Values

LONGEST_TEXT = 80
MOST_BEDS = 64  # continuous bed motion gives every slice a time of its own
SUV_TYPES = frozenset({"BW", "BSA", *MASSES_KG})
_DATED = re.compile(r"(19|20)\d{2}[-./]?[01]\d[-./]?[0-3]\d|\d{1,2}:\d{2}")


def pet_document(plan: Plan, rules: dict[str, str]) -> dict[str, Any]:
    """Return ``pet.json`` of a plan without faults."""
    suv, header, stack = plan.suv, plan.header, plan.pet_stack
    if suv is None or header is None or stack is None or plan.pet.taken is None:
        raise ValueError("a plan with faults has no sidecar")
    reference = suv.times.reference.moment_s
    first = stack.headers[0].values
    moments = {"injection_time": suv.times.injection.moment_s, "reference_time": reference}
    return {
        "suv_factor": suv.factor,
        "suv_type": suv.suv_type if suv.factor is not None else None,
        "suv_factor_meaning": suv.meaning if suv.factor is not None else None,
        "voxel_unit": voxel_unit(plan),
        "suv_refused": [f.as_dict() for f in suv.reasons],
        "dose_bq": suv.dose_bq,
        "weight_kg": suv.weight_kg,
        "height_m": suv.height_m,
        "sex": suv.sex or None,
        "uptake_min": suv.uptake_min,
        **_uptake(suv.times, header),
        "half_life_s": suv.half_life_s,
        "decay_correction": _term(header.decay_correction, t.DECAY_CORRECTIONS),
        "units": _term(header.units, t.UNIT_TERMS),
        "stored_suv_type": _term(header.suv_type, SUV_TYPES),
        "reference_time_source": suv.times.reference.source or None,
        "injection_time_source": suv.times.injection.source or None,
        "injection_time_s": _relative(suv.times.injection.moment_s, reference),
        "candidate_times_s": {
            name: _relative(moment, reference) for name, moment in suv.times.reference.candidates_s.items() if reference
        },
        "slice_decay_factors": list(suv.slice_factors) or None,
        "philips_factors": suv.philips or None,
        "other_normalisations": suv.other_normalisations or None,
        "overrides": plan.overrides.as_records(moments, reference),
        "warnings": list(plan.warnings),
        **as_document(plan.image),
        "files_left_aside": plan.scan.left_aside,
        **_scanner(first),
        "reconstruction_method": _safe(first, t.RECONSTRUCTION_METHOD),
        "convolution_kernel": _safe(first, t.KERNEL),
        "corrections": [_term(c, t.CORRECTIONS) for c in header.corrections],
        "attenuation_method": _safe(first, t.ATTENUATION_METHOD),
        "scatter_method": _safe(first, t.SCATTER_METHOD),
        "randoms_method": _safe(first, t.RANDOMS_METHOD),
        **_geometry(stack),
        "frame_duration_s": sorted({d for d in header.frame_duration_s if d is not None}),
        "beds": len(set(header.acquisition_s)) if None not in header.acquisition_s else None,
        "rescale_slopes": len({h.values.bytes_of(t.SLOPE).strip(b" \0") for h in stack.headers}),
        "series": _listing(plan),
        **_bids(plan),
        **_provenance(rules),
    }


def _uptake(times: Times, header: PetHeader) -> dict[str, Any]:
    """Say what the uptake time means, when each frame began, and how far the decay reference is from the injection."""
    beds = times.bed_uptake_min
    duration, source = times.frames.first_duration_s, times.injection.source
    return {
        "uptake_meaning": UPTAKE_WORDS,
        "uptake_source": OVERRIDE if times.uptake_overridden else times.frames.source or None,
        "earliest_bed_uptake_min": beds[0] if beds else None,
        "latest_bed_uptake_min": beds[-1] if beds else None,
        "earliest_bed_middle_min": beds[0] + duration / 120.0 if beds and duration else None,
        "bed_uptake_min": list(beds[:MOST_BEDS]),
        "decay_min": times.decay_min,
        "injection_time_meaning": ASSAY_WORDS if may_be_assay(header.manufacturer, source) else INJECTION_WORDS,
        "injection_may_be_assay": may_be_assay(header.manufacturer, source),
    }


def ct_document(plan: Plan, rules: dict[str, str]) -> dict[str, Any]:
    """Return ``ct.json``; without a CT it says so, and why."""
    stack = plan.ct_stack
    if stack is None:
        return {
            "present": False,
            "reason": plan.ct.reason,
            "files_left_aside": plan.scan.left_aside,
            "series": _listing(plan),
            **_provenance(rules),
        }
    first = stack.headers[0].values
    return {
        "present": True,
        "voxel_unit": "HU",
        **_scanner(first),
        "convolution_kernel": _safe(first, t.KERNEL),
        "kvp": first.number(t.KVP),
        "patient_position": _safe(first, t.PATIENT_POSITION),
        **_geometry(stack),
        "image_numbers": image_numbers(stack),
        "padding_replaced": any(h.values.integer(t.PADDING) is not None for h in stack.headers),
        "series": _listing(plan),
        **_provenance(rules),
    }


def image_numbers(stack: Stack) -> list[int] | None:
    """Return the Instance Number (0020,0013) of each slice, as viewers show it; None where two share one."""
    numbers = [header.values.integer(t.INSTANCE_NUMBER) for header in stack.headers]
    known = [n for n in numbers if n is not None]
    return known if len(set(known)) == len(numbers) else None


def voxel_unit(plan: Plan) -> str:
    """Name the unit of the voxels that are written for a PET."""
    if plan.suv is None or plan.header is None:
        return ""
    if plan.suv.factor is not None:
        return "SUVbw g/mL"
    return (
        "Bq/mL" if plan.suv.activity_factor is not None else f"stored units ({_term(plan.header.units, t.UNIT_TERMS)})"
    )


def _relative(moment: float | None, reference: float | None) -> float | None:
    return None if moment is None or reference is None else round(moment - reference, 6)


def _safe(values: Values, tag: int) -> str | None:
    """Return a technical text; one that is long or looks dated is withheld."""
    text = values.text(tag)
    if not text:
        return None
    return "(withheld)" if len(text) > LONGEST_TEXT or _DATED.search(text) else text


def _term(text: str, known: frozenset[str]) -> str | None:
    """Return one of the standard's terms; whatever else stands in its place may be anything and is withheld."""
    return (text if text in known else "(other)") if text else None


def _scanner(first: Values) -> dict[str, Any]:
    return {
        "manufacturer": _safe(first, t.MANUFACTURER),
        "model": _safe(first, t.MODEL),
        "software_versions": _safe(first, t.SOFTWARE),
    }


def _geometry(stack: Stack) -> dict[str, Any]:
    return {
        "voxel_size_mm": [round(s, 6) for s in stack.grid.spacing_mm],
        "shape": list(stack.grid.shape),
        "slice_thickness_mm": stack.headers[0].values.number(t.SLICE_THICKNESS),
        "largest_slice_jitter_mm": round(stack.largest_jitter_mm, 6),
        "duplicates_dropped": stack.dropped,
    }


def _listing(plan: Plan) -> list[dict[str, Any]]:
    """List every series with what became of it."""
    rows = []
    for series in plan.series:
        taken, reason = plan.fate(series)
        rows.append(
            {
                "modality": series.kind,
                "series_number": series.number,
                "images": len(series.headers),
                "taken_as": taken or None,
                "reason": reason,
            }
        )
    return rows


def _bids(plan: Plan) -> dict[str, Any]:
    """Return the BIDS-PET fields that are known."""
    suv, header, stack = plan.suv, plan.header, plan.pet_stack
    if suv is None or header is None or stack is None:
        return {}
    first: Header = stack.headers[0]
    fields: dict[str, Any] = {
        "Manufacturer": _safe(first.values, t.MANUFACTURER),
        "ManufacturersModelName": _safe(first.values, t.MODEL),
        "Units": {"SUVbw g/mL": "g/mL", "Bq/mL": "Bq/mL"}.get(voxel_unit(plan), "arbitrary"),
        "InjectedRadioactivity": suv.dose_bq,
        "InjectedRadioactivityUnits": "Bq" if suv.dose_bq is not None else None,
        "InjectionStart": _relative(suv.times.injection.moment_s, suv.times.reference.moment_s),
        "FrameDuration": sorted({d for d in header.frame_duration_s if d is not None}),
        "ImageDecayCorrected": {"START": True, "ADMIN": True, "NONE": False}.get(header.decay_correction),
        "ReconMethodName": _safe(first.values, t.RECONSTRUCTION_METHOD),
        "ReconFilterType": _safe(first.values, t.KERNEL),
        "AttenuationCorrection": _safe(first.values, t.ATTENUATION_METHOD),
    }
    factors = [f for f in header.decay_factor if f is not None]
    if len(factors) == len(header.decay_factor):
        fields["DecayCorrectionFactor"] = sorted(set(factors))
    return {k: v for k, v in fields.items() if v not in (None, [])}


def _provenance(stamp: dict[str, str]) -> dict[str, Any]:
    return {**stamp, "petflame_version": __version__, "numpy_version": np.__version__}
