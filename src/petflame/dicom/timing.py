"""The times of a series put together: header, overrides, and what contradicts SUV or comparability."""

from __future__ import annotations

from petflame.dicom.clock import DAY_S
from petflame.dicom.decay import OVERRIDE, Reference, choose_reference
from petflame.dicom.midnight import LONGEST_SCAN_S
from petflame.dicom.overrides import Overrides
from petflame.dicom.petheader import PetHeader
from petflame.dicom.result import Findings, Times
from petflame.dicom.uptake import LATE_INJECTION_S, Frames, Injection, choose_injection, frames_of

BY_UPTAKE = "override of the uptake time, since the headers hold no injection time that can be used"
# A list-mode scan is started shortly before the injection; one that starts earlier than this is another clock or scan.
EARLIEST_START_MIN = 10.0
WHERE = "the injection and scan times"
DATED_REFERENCE = "reference_time` as `YYYY-MM-DD HH:MM:SS"


def times_of(work: Findings, header: PetHeader, given: Overrides, half_life_s: float | None) -> Times:
    """Choose decay reference, injection and frames of a series; doubts go to `work`.

    An override of the uptake time is for comparability and leaves the decay alone. Only where the headers hold no
    injection time does it also say when the injection was.
    """
    reference = _reference(work, header, given, half_life_s)
    work.warnings += reference.warnings
    uptake = given.number("uptake_min")
    frames = frames_of(header, half_life_s, reference.moment_s) if not header.placeholder_times else Frames()
    acquired = frames.earliest_s if frames.earliest_s is not None else reference.moment_s
    injection = _injection(header, given, acquired)
    if uptake is not None and acquired is not None and injection.moment_s is None:
        injection = Injection(acquired - 60.0 * uptake, BY_UPTAKE)
    work.warnings += injection.warnings
    decay = None
    if reference.moment_s is not None and injection.moment_s is not None:
        decay = (reference.moment_s - injection.moment_s) / 60.0
    elif uptake is not None and reference.moment_s is None:
        decay = uptake
        work.warnings.append(
            "the headers hold no time that can be used, so the given uptake time also stands for the decay from "
            "injection to the start of the scan"
        )
    if uptake is None and acquired is not None and injection.moment_s is not None:
        uptake = (acquired - injection.moment_s) / 60.0
    return Times(reference, injection, frames, uptake, decay, given.number("uptake_min") is not None)


def _reference(work: Findings, header: PetHeader, given: Overrides, half_life_s: float | None) -> Reference:
    reference = choose_reference(header, half_life_s, start_corrected=header.decay_correction == "START")
    if not given.text("reference_time"):
        return reference
    near = header.earliest_acquisition_s if header.earliest_acquisition_s is not None else header.series_s
    if header.placeholder_times:
        # The times of the scan are gone: its first moment with this time of day after the injection.
        injected = given.moment("injection_time", None) or header.injection_s
        near = injected + DAY_S / 2 - 60.0 * EARLIEST_START_MIN if injected is not None else near
    override = given.moment("reference_time", near)
    if override is None:
        what = "the reference time is overridden by a time of day, and the series has no date to go with it"
        work.refuse(what, "the overrides", DATED_REFERENCE)
    elif near is not None and not header.placeholder_times and abs(override - near) > LONGEST_SCAN_S:
        side = "after" if override > near else "before"
        what = (
            f"the reference time of the overrides lies {abs(override - near) / 3600:.1f} h {side} the first image: no "
            "scan lasts that long, so its date or its time is wrong"
        )
        work.refuse(what, "the overrides", DATED_REFERENCE)
    return reference if override is None else Reference(override, OVERRIDE, reference.candidates_s)


def _injection(header: PetHeader, given: Overrides, acquired_s: float | None) -> Injection:
    moment = given.moment("injection_time", acquired_s, LATE_INJECTION_S)
    if moment is not None:
        return Injection(moment, OVERRIDE)
    return Injection(None) if acquired_s is None else choose_injection(header, acquired_s)


def gate_decay(work: Findings, times: Times, refuse_above_min: float) -> None:
    """Refuse a decay interval that no scan has; slightly below zero is a list-mode scan begun before the injection."""
    decay, stated = times.decay_min, times.reference.source == OVERRIDE
    if decay is None:
        return
    if decay > refuse_above_min:
        what = f"the decay reference lies {decay:.0f} min after the injection, beyond {refuse_above_min:g} min"
        work.refuse(what, WHERE, DATED_REFERENCE if stated else "injection_time")
    elif decay < -EARLIEST_START_MIN:
        what = f"the decay reference lies {-decay:.1f} min before the injection"
        if stated:
            work.warnings.append(f"{what}: `reference_time` of the overrides says so")
        else:
            work.refuse(what, WHERE, "injection_time` or `reference_time")


def gate_uptake(work: Findings, uptake_min: float | None, warn: tuple[float, float], refuse_above_min: float) -> bool:
    """Tell whether an uptake time is one: else it is refused; one outside the protocol's range warns."""
    if uptake_min is None:
        return True
    if uptake_min <= 0:
        work.refuse(f"the acquisition starts {-uptake_min:.1f} min before the injection", WHERE, "injection_time")
    elif uptake_min > refuse_above_min:
        what = f"the uptake time {uptake_min:.0f} min is beyond {refuse_above_min:g} min"
        work.refuse(what, WHERE, "injection_time")
    elif not warn[0] <= uptake_min <= warn[1]:
        work.warnings.append(f"the uptake time {uptake_min:.1f} min is outside {warn[0]:g} to {warn[1]:g} min")
    return 0 < uptake_min <= refuse_above_min
