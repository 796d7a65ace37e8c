"""From the header of a PET series to its SUV factor, with every reason where there is none.

Pure: a `PetHeader` in, a `SuvResult` out. The rules are those of the measurement definitions, section 1.
"""

from __future__ import annotations

import math
from dataclasses import replace

from petflame.dicom import tags as t
from petflame.dicom.activity import from_activity, from_philips_counts
from petflame.dicom.bodysize import MASSES_KG, body_surface_area_m2
from petflame.dicom.overrides import Overrides
from petflame.dicom.petheader import PetHeader
from petflame.dicom.plausible import check_build
from petflame.dicom.result import Findings, SuvResult
from petflame.dicom.subject import Subject
from petflame.dicom.timing import gate_decay, gate_uptake, times_of
from petflame.dicom.tracer import half_life
from petflame.privacy import named

DOSE_MBQ_LIMITS = (1.0, 1e4)
DOSE_BQ_LIMITS = (1e6, 1e10)
BODY_WEIGHT_TYPES = frozenset({"", "BW"})


def suv_of(
    header: PetHeader,
    overrides: Overrides | None = None,
    uptake_warn_min: tuple[float, float] = (45.0, 150.0),
    uptake_refuse_above_min: float = 240.0,
) -> SuvResult:
    """Work out the SUV factor of a series.

    Parameters
    ----------
    header : PetHeader
    overrides : Overrides, optional
        Values that replace the header's.
    uptake_warn_min : (float, float)
        Uptake times outside warn.
    uptake_refuse_above_min : float
        Uptake times above, and those not above zero, refuse.

    Returns
    -------
    SuvResult
        Never raises: everything that is wrong is in `reasons`.
    """
    given = overrides or Overrides()
    work = Findings()
    work.warnings += header.notes
    header = replace(header, half_life_s=given.number("half_life_s") or header.half_life_s)
    life, doubts, objections = half_life(header)
    subject = Subject(work, header, given)
    dose_bq = _dose(work, header, given)
    times = times_of(work, header, given, life)
    needs_time = header.units == "BQML" or (header.units == "CNTS" and header.philips_suv is None)
    if needs_time:
        work.warnings += doubts
        for objection in objections:
            work.refuse(objection, t.name(t.HALF_LIFE), "half_life_s")
    acquired_in_time = gate_uptake(work, times.uptake_min, uptake_warn_min, uptake_refuse_above_min)
    if needs_time and acquired_in_time and header.decay_correction == "START":
        gate_decay(work, times, uptake_refuse_above_min)
    base = SuvResult(
        None,
        "",
        None,
        dose_bq=dose_bq,
        weight_kg=subject.weight_kg,
        height_m=subject.height_m,
        sex=subject.sex,
        half_life_s=life,
        times=times,
        other_normalisations=subject.ratios(),
    )
    build = work if needs_time else Findings()
    check_build(build, header, given, base)
    if build is not work:
        # The scanner's own SUV does not depend on these; the comparison of the visits' doses does.
        work.warnings += [*build.warnings, *(f.what for f in build.reasons)]
    if header.units == "GML":
        result = _from_suv(work, header, subject, base)
    elif header.units == "CM2ML":
        result = _from_surface_suv(work, subject, base)
    elif header.units == "CNTS":
        result = from_philips_counts(work, header, subject, base)
    elif header.units == "BQML":
        result = from_activity(work, header, subject, base)
    else:
        work.refuse(
            f"units {named(header.units, '(other)') if header.units else '(none)'} are not quantitative",
            t.name(t.UNITS),
            "",
        )
        result = base
    factor = result.factor if not work.reasons else None
    if factor is not None and not (math.isfinite(factor) and factor > 0):
        work.refuse("the SUV factor is not a positive number", "the series", "")
        factor = None
    return replace(result, factor=factor, reasons=tuple(work.reasons), warnings=tuple(dict.fromkeys(work.warnings)))


def _dose(work: Findings, header: PetHeader, given: Overrides) -> float | None:
    """Return the injected dose in Bq; objections go to `work` later, only where the dose is needed."""
    value = given.number("dose_bq")
    if value is not None:
        return value
    value = header.dose
    if value is None:
        return None
    if DOSE_MBQ_LIMITS[0] <= value <= DOSE_MBQ_LIMITS[1]:
        work.warnings.append(f"the dose {value:g} was taken for MBq")
        value *= 1e6
    return value if DOSE_BQ_LIMITS[0] <= value <= DOSE_BQ_LIMITS[1] else None


def _from_suv(work: Findings, header: PetHeader, subject: Subject, base: SuvResult) -> SuvResult:
    kind = header.suv_type
    if t.SUV_TYPE in header.conflicts:
        work.refuse("the kind of SUV is not the same in every slice", t.name(t.SUV_TYPE), "")
        return base
    if kind in BODY_WEIGHT_TYPES:
        if not kind:
            work.warnings.append("the stored SUV does not say its normalisation; body weight is the standard's default")
        return replace(base, factor=1.0, meaning="SUVbw per stored unit (the stored values are SUVbw, g/mL)")
    if kind == "BSA":
        return _from_surface_suv(work, subject, base)
    mass = MASSES_KG.get(kind)
    if mass is None:
        work.refuse(f"the kind of SUV {named(kind[:16], '(other)')} is not known", t.name(t.SUV_TYPE), "")
        return base
    weight, height = subject.require_weight(), subject.require_height()
    if not subject.sex:
        work.warnings.append("the sex is not given; the mean of the male and female masses was used")
    if weight is None or height is None:
        return base
    kilograms = mass(weight, height, subject.sex)
    if kilograms <= 0:
        work.refuse("the body size gives no positive normalising mass", t.name(t.SIZE), "height_m")
        return base
    return replace(base, factor=weight / kilograms, meaning=f"SUVbw per stored unit (the stored values are SUV {kind})")


def _from_surface_suv(work: Findings, subject: Subject, base: SuvResult) -> SuvResult:
    weight, height = subject.require_weight(), subject.require_height()
    if weight is None or height is None:
        return base
    factor = weight * 1e3 / (body_surface_area_m2(weight, height) * 1e4)
    return replace(base, factor=factor, meaning="SUVbw per stored unit (the stored values are SUVbsa, cm2/mL)")
