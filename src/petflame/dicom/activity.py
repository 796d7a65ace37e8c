"""SUV from activity concentration: Bq/mL with dose, weight and decay, and Philips counts with their two factors."""

from __future__ import annotations

import math
from dataclasses import replace

from petflame.dicom import tags as t
from petflame.dicom.decay import DIFFERENCE_WARN_S, percent_of_later, references_by_factor
from petflame.dicom.petheader import PetHeader
from petflame.dicom.plausible import likely_dose_units
from petflame.dicom.result import Findings, SuvResult
from petflame.dicom.subject import Subject
from petflame.privacy import named

DECAY_CORRECTED = frozenset({"DECY", "DECAY"})
PHILIPS_AGREEMENT = 0.01


def from_activity(work: Findings, header: PetHeader, subject: Subject, base: SuvResult) -> SuvResult:
    """SUVbw of values in Bq/mL (after `activity_factor`)."""
    base = replace(base, activity_factor=base.activity_factor or 1.0)
    meaning = "SUVbw per stored Bq/mL" if base.activity_factor == 1.0 else "SUVbw per stored unit (counts)"
    decay = header.decay_correction
    corrected = DECAY_CORRECTED & set(header.corrections)
    _decay_objections(work, decay, bool(corrected), header)
    weight = subject.require_weight()
    if base.dose_bq is None:
        work.refuse(_dose_objection(header, base.weight_kg), t.name(t.TOTAL_DOSE), "dose_bq")
    decay_min = base.times.decay_min
    if decay_min is None:
        _missing_times(work, base)
    if weight is None or base.dose_bq is None or work.reasons or base.activity_factor is None:
        return replace(base, meaning=meaning)
    factor = base.activity_factor * weight * 1e3 / base.dose_bq
    if decay == "ADMIN":
        _check_admin(work, header, base)
        return replace(base, factor=factor, meaning=meaning)
    if base.half_life_s is None or decay_min is None:
        return replace(base, meaning=meaning)
    rate = math.log(2.0) / base.half_life_s
    if decay == "START":
        return replace(base, factor=factor * math.exp(rate * 60.0 * decay_min), meaning=meaning)
    factors = _slice_decay(work, header, base, rate)
    if not factors:
        return replace(base, meaning=meaning)
    return replace(base, factor=factor, slice_factors=factors, meaning=f"{meaning}, times the slice's decay factor")


def _check_admin(work: Findings, header: PetHeader, base: SuvResult) -> None:
    """Warn where the slices' decay factors lead to another moment than the injection."""
    injected = base.times.injection.moment_s
    implied = references_by_factor(header, base.half_life_s)
    if not implied or injected is None:
        return
    apart = min((i - injected for i in implied), key=abs)
    if abs(apart) > DIFFERENCE_WARN_S:
        work.warnings.append(
            f"the decay correction is ADMIN, and the decay factors of the slices lead to a moment "
            f"{abs(apart) / 60:.0f} min {'after' if apart > 0 else 'before'} the injection; by them SUV would be "
            f"{percent_of_later(apart, base.half_life_s):+.1f} % different"
        )


def _decay_objections(work: Findings, decay: str, corrected: bool, header: PetHeader) -> None:
    where = t.name(t.DECAY_CORRECTION)
    if decay not in ("START", "ADMIN", "NONE"):
        what = (
            f"decay correction {named(decay[:16], '(other)')} is not known"
            if decay
            else "the decay correction is missing"
        )
        work.refuse(what, where, "")
    elif decay == "NONE" and corrected:
        work.refuse("decay correction is NONE while CorrectedImage lists DECY", where, "")
    elif decay != "NONE" and not corrected:
        told = "does not list DECY" if header.corrections else "is missing"
        work.refuse(f"decay correction is {decay} while CorrectedImage {told}", where, "")


def _dose_objection(header: PetHeader, weight_kg: float | None) -> str:
    if t.TOTAL_DOSE in header.conflicts:
        return "the dose is not the same in every slice"
    if header.dose is None or header.dose == 0:
        return "the dose is missing"
    units = likely_dose_units(header.dose, weight_kg) if weight_kg else []
    hint = f"; {header.dose:g} {' or '.join(units)} would be an ordinary dose" if units else ""
    return f"the dose {header.dose:g} is neither 1 MBq to 10 GBq nor a number of MBq{hint}"


def _missing_times(work: Findings, base: SuvResult) -> None:
    told = (*base.times.reference.reasons, *base.times.injection.reasons) or ("the scan or injection time is missing",)
    for reason in told:
        key = "injection_time" if "injection" in reason else "reference_time"
        work.refuse(reason, "the injection and scan times", f"{key}` or `uptake_min")


def _slice_decay(work: Findings, header: PetHeader, base: SuvResult, rate: float) -> tuple[float, ...]:
    """Return the factor that corrects each slice's decay from injection to the middle of its own frame."""
    factors = []
    starts: tuple[float | None, ...] = base.times.frames.starts_s
    if None in header.acquisition_s or not starts:
        # What stands in for acquisition times that are missing or a de-identifier's is no frame's own start.
        starts = (None,) * len(header.acquisition_s)
    for acquired, duration in zip(starts, header.frame_duration_s, strict=True):
        if acquired is None or duration is None or duration <= 0 or base.times.injection.moment_s is None:
            what = "a slice lacks its acquisition time or frame duration, which DecayCorrection NONE needs"
            work.refuse(what, f"AcquisitionTime (0008,0032), {t.name(t.FRAME_DURATION)}", "")
            return ()
        delay = acquired - base.times.injection.moment_s
        if delay <= 0:
            work.refuse("a slice was acquired before the injection", "AcquisitionTime (0008,0032)", "injection_time")
            return ()
        factors.append(math.exp(rate * delay) * rate * duration / -math.expm1(-rate * duration))
    return tuple(factors)


def from_philips_counts(work: Findings, header: PetHeader, subject: Subject, base: SuvResult) -> SuvResult:
    """SUVbw of Philips counts: the scanner's own factor first, checked against activity, dose and weight."""
    private = Findings()
    by_activity = base
    if header.philips_activity is not None:
        by_activity = from_activity(
            private, header, subject.reporting_to(private), replace(base, activity_factor=header.philips_activity)
        )
    routes = {}
    if header.philips_suv is not None:
        routes["suv_scale_factor_7053_1000"] = header.philips_suv
    if by_activity.factor is not None and not private.reasons:
        routes["activity_scale_factor_7053_1009"] = by_activity.factor
    by_activity = replace(by_activity, philips=routes)
    if header.philips_suv is None:
        work.reasons += private.reasons
        if header.philips_activity is None:
            work.refuse("Philips counts without a scale factor", "(7053,1000), (7053,1009)", "")
        return by_activity
    if header.decay_correction == "NONE":
        if by_activity.slice_factors:
            work.warnings.append("the Philips SUV factor was not used, since the slices are not decay corrected")
            return by_activity
        work.refuse("the Philips SUV factor does not hold for slices that are not decay corrected", "(7053,1000)", "")
        return by_activity
    if len(routes) == 2:
        ratio = by_activity.factor / header.philips_suv if by_activity.factor else math.nan
        if abs(ratio - 1.0) > PHILIPS_AGREEMENT:
            work.warnings.append(
                f"the SUV factor from dose and weight is {100 * (ratio - 1):+.1f} % off the Philips factor "
                "(7053,1000), which was used"
            )
    elif header.philips_activity is not None:
        told = "; ".join(f.what for f in private.reasons) or "inputs are missing"
        work.warnings.append(f"the Philips SUV factor could not be checked against dose and weight ({told})")
    return replace(
        by_activity,
        factor=header.philips_suv,
        slice_factors=(),
        meaning="SUVbw per stored unit (counts times the Philips factor (7053,1000))",
    )
