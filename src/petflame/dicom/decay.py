"""When a PET series was decay corrected to, and when the tracer was injected.

Rules: measurement definitions, section 1; the evidence behind their order is in the project's notes on DICOM. All
moments are seconds on the local clock.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from petflame.dicom.clock import DAY_S
from petflame.dicom.petheader import PetHeader

SERIES_TOLERANCE_S = 2.0
CONSTANT_WITHIN_S = 5.0
DIFFERENCE_WARN_S = 60.0
DIFFERENCE_REFUSE_S = 600.0
LONGEST_UPTAKE_S = 12 * 3600.0
LONGEST_PLAUSIBLE_S = 4 * 3600.0

SERIES = "SeriesTime"
GE = "GE private scan date-time (0009,100D)"
BACK = "AcquisitionTime back-computed with FrameReferenceTime"
EARLIEST = "earliest AcquisitionTime"
SIEMENS = "Siemens private decay correction date-time (0071,1022)"
FACTOR = "AcquisitionTime back-computed with DecayFactor"
OVERRIDE = "override"


@dataclass(frozen=True)
class Reference:
    """The decay reference (scan start) of a series.

    Attributes
    ----------
    moment_s : float or None
        Seconds on the local clock; None when it is refused.
    source : str
        Which rule decided.
    candidates_s : dict of str to float
        Every moment that some rule or vendor would name, whether acceptable or not.
    warnings, reasons : tuple of str
        Doubts, and why there is no reference.
    """

    moment_s: float | None
    source: str
    candidates_s: dict[str, float]
    warnings: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()


def average_activity_time_s(duration_s: float, half_life_s: float) -> float:
    """Return when, after the start of a frame, the activity equals its average over the frame.

    >>> round(average_activity_time_s(150.0, 6586.2), 3)
    74.901
    """
    decay = math.log(2.0) / half_life_s * duration_s
    return math.log(decay / -math.expm1(-decay)) / (math.log(2.0) / half_life_s) if decay > 1e-9 else duration_s / 2.0


def choose_reference(header: PetHeader, half_life_s: float | None, start_corrected: bool) -> Reference:
    """Choose the decay reference by the four rules, and record every candidate.

    Parameters
    ----------
    header : PetHeader
    half_life_s : float or None
    start_corrected : bool
        Whether SUV depends on this moment (DecayCorrection START); only then do doubts about it matter for SUV.
    """
    earliest = header.earliest_acquisition_s
    back = _back_computed(header, half_life_s)
    factor = _from_decay_factor(header, half_life_s) if start_corrected else []
    moments = {
        SERIES: header.series_s,
        GE: header.ge_scan_s,
        BACK: min(back) if back else None,
        EARLIEST: earliest,
        SIEMENS: header.siemens_decay_s,
        FACTOR: min(factor) if factor else None,
    }
    candidates = {name: moment for name, moment in moments.items() if moment is not None}
    if header.placeholder_times:
        return Reference(None, "", {}, (), ("the scan's date or time is a placeholder of a de-identifier",))
    if earliest is None and not _vouched(header):
        reason = "AcquisitionTime is missing, so SeriesTime cannot be checked against it"
        return Reference(None, "", candidates, (), (_undated(header) or reason,))
    accepted = _accepted(header, earliest, back)
    if not accepted:
        return Reference(None, "", candidates, (), ("no date and time of the scan can be read",))
    source, moment = next(iter(accepted.items()))
    warnings = []
    for other, second in list(accepted.items())[1:]:
        if other != EARLIEST and abs(second - moment) > DIFFERENCE_WARN_S and start_corrected:
            warnings.append(_differs(other, second - moment, source, half_life_s))
    if source == EARLIEST and back and max(abs(b - moment) for b in back) > DIFFERENCE_REFUSE_S and start_corrected:
        reason = (
            f"the decay reference is not known: the earliest acquisition and the frame reference times are "
            f"{max(abs(b - moment) for b in back) / 60:.0f} min apart, and no other time decides"
        )
        return Reference(None, "", candidates, tuple(warnings), (reason,))
    if start_corrected and factor and max(factor) - min(factor) <= CONSTANT_WITHIN_S and BACK not in accepted:
        implied = sum(factor) / len(factor)
        if abs(implied - moment) > DIFFERENCE_WARN_S:
            warnings.append(_differs(FACTOR, implied - moment, source, half_life_s))
    vendor = header.siemens_decay_s
    if start_corrected and vendor is not None and abs(vendor - moment) > DIFFERENCE_WARN_S:
        warnings.append(_differs(SIEMENS, vendor - moment, source, half_life_s))
    return Reference(moment, source, candidates, tuple(warnings))


def _undated(header: PetHeader) -> str:
    return "the scan has no date" if header.undated else ""


def _vouched(header: PetHeader) -> bool:
    """Tell whether a vendor's own time confirms SeriesTime where acquisition times are missing."""
    vendors = (header.ge_scan_s, header.siemens_decay_s)
    return header.series_s is not None and any(
        v is not None and abs(v - header.series_s) <= SERIES_TOLERANCE_S for v in vendors
    )


def _accepted(header: PetHeader, earliest: float | None, back: list[float]) -> dict[str, float]:
    """Return the moments that the rules accept, in their order."""
    limit = math.inf if earliest is None else earliest + SERIES_TOLERANCE_S
    accepted: dict[str, float] = {}
    if header.series_s is not None and header.series_s <= limit:
        accepted[SERIES] = header.series_s
    if header.ge_scan_s is not None and header.ge_scan_s <= limit:
        accepted[GE] = header.ge_scan_s
    if back and max(back) - min(back) <= CONSTANT_WITHIN_S:
        accepted[BACK] = sum(back) / len(back)
    if earliest is not None:
        accepted[EARLIEST] = earliest
    return accepted


def _back_computed(header: PetHeader, half_life_s: float | None) -> list[float]:
    """Return acquisition + average time - frame reference time of every slice; empty where it means nothing.

    GE writes the start of the bed there instead of the time of average activity, and then only where the acquisition
    time differs from bed to bed does the difference say anything.
    """
    rows = list(zip(header.acquisition_s, header.frame_reference_s, header.frame_duration_s, strict=True))
    if half_life_s is None or not rows or any(None in row for row in rows):
        return []
    full = [(a, f, d) for a, f, d in rows if a is not None and f is not None and d is not None and d > 0]
    if len(full) != len(rows) or all(f == 0 for _, f, _ in full):
        return []
    average = {d: average_activity_time_s(d, half_life_s) for _, _, d in full}
    first = min(full, key=lambda row: row[1])
    beds = {a for a, _, _ in full}
    if header.manufacturer.upper().startswith("GE"):
        if first[1] < average[first[2]] / 2.0:
            return [a - f for a, f, _ in full] if len(beds) > 1 else []
        if len(beds) == 1 and len({f for _, f, _ in full}) > 1:
            return []
    return [a + average[d] - f for a, f, d in full]


def _from_decay_factor(header: PetHeader, half_life_s: float | None) -> list[float]:
    """Return the reference that each slice's DecayFactor implies for its acquisition; empty where it says nothing."""
    rows = zip(header.acquisition_s, header.decay_factor, header.frame_duration_s, strict=True)
    moments = []
    for acquired, factor, duration in rows:
        if half_life_s is None or acquired is None or factor is None or factor <= 1.0 or not duration or duration <= 0:
            return []
        decay = math.log(2.0) / half_life_s * duration
        moments.append(acquired - math.log(factor * -math.expm1(-decay) / decay) * half_life_s / math.log(2.0))
    if len(set(header.acquisition_s)) == 1 and len({round(f or 0, 5) for f in header.decay_factor}) > 1:
        return []
    return moments


def _differs(name: str, seconds: float, source: str, half_life_s: float | None) -> str:
    percent = 100.0 * (2.0 ** (-seconds / half_life_s) - 1.0) if half_life_s else math.nan
    return (
        f"{name} is {abs(seconds):.0f} s {'after' if seconds > 0 else 'before'} {source}, which was used; "
        f"SUV would be {percent:+.1f} % different"
    )


@dataclass(frozen=True)
class Injection:
    """The moment of injection, on the clock of the series; None with the reasons when it is not known."""

    moment_s: float | None
    source: str = ""
    warnings: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()


def choose_injection(header: PetHeader, reference_s: float) -> Injection:
    """Choose the injection time: date-time first, else time of day on the day of the scan or the day before.

    A date-time that gives no plausible uptake while its time of day does is taken for a wrong date, with a warning.
    """
    stamped, of_day, private = header.injection_s, header.injection_time_s, header.ge_injection_s
    by_time = _before(of_day, reference_s) if of_day is not None else None
    if stamped is not None:
        if 0 < reference_s - stamped <= LONGEST_UPTAKE_S:
            warnings: tuple[str, ...] = ()
            if by_time is not None and abs(by_time - stamped) > DIFFERENCE_WARN_S:
                warnings = (
                    f"the injection's date-time and its time of day differ by {abs(by_time - stamped) / 60:.0f} min; "
                    "the date-time was used",
                )
            return Injection(stamped, "RadiopharmaceuticalStartDateTime", warnings)
        clock_only = by_time if by_time is not None else _before(stamped % DAY_S, reference_s)
        if 0 < reference_s - clock_only <= LONGEST_PLAUSIBLE_S:
            warning = "the injection's date does not fit the scan's; its time of day was used"
            return Injection(clock_only, "time of day of the injection", (warning,))
        return Injection(stamped, "RadiopharmaceuticalStartDateTime")
    if by_time is not None:
        return Injection(by_time, "RadiopharmaceuticalStartTime")
    if private is not None:
        warning = "the injection time comes from GE's private administration date-time (0009,103B)"
        return Injection(private, "GE private administration date-time (0009,103B)", (warning,))
    return Injection(None, "", (), ("the injection time is missing",))


def _before(time_of_day_s: float, reference_s: float) -> float:
    """Return the latest moment with this time of day that is not after the reference."""
    moment = reference_s - reference_s % DAY_S + time_of_day_s
    return moment if moment <= reference_s else moment - DAY_S
