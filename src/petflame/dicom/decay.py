"""When a PET series was decay corrected to.

Rules: measurement definitions, section 1; the evidence behind their order is in the project's notes on DICOM. All
moments are seconds on the local clock. When the tracer was injected and when the scanner looked are other questions:
`petflame.dicom.uptake`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from petflame.dicom.midnight import LONGEST_SCAN_S, starts_scan
from petflame.dicom.petheader import PetHeader

SERIES_TOLERANCE_S = 2.0
CONSTANT_WITHIN_S = 5.0
DIFFERENCE_WARN_S = 60.0
DIFFERENCE_REFUSE_S = 600.0

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


def frame_offsets_s(header: PetHeader, half_life_s: float | None) -> tuple[float, ...]:
    """Return each frame's start after the moment that FrameReferenceTime counts from; empty where it does not tell.

    FrameReferenceTime is the time of average activity on most scanners and the frame's start on GE; where the
    earliest one lies before the middle of half a frame it can only be starts.
    """
    rows = list(zip(header.frame_reference_s, header.frame_duration_s, strict=True))
    known = [(f, d) for f, d in rows if f is not None and d is not None and d > 0]
    if half_life_s is None or not rows or len(known) != len(rows):
        return ()
    average = {d: average_activity_time_s(d, half_life_s) for _, d in known}
    first = min(known)
    starts = first[0] < average[first[1]] / 2.0
    offsets = tuple(f if starts else f - average[d] for f, d in known)
    return offsets if min(offsets) >= -DIFFERENCE_WARN_S and max(offsets) <= LONGEST_SCAN_S else ()


def choose_reference(header: PetHeader, half_life_s: float | None, start_corrected: bool) -> Reference:
    """Choose the decay reference by the four rules, hold it against what else the header says, record every candidate.

    The series' time gives way where the data themselves contradict it: the decay factor of every slice leads to
    another moment, a second time names that moment too, and nothing names the series' own. Where less is known it
    stays, with a warning that says by how much SUV would differ.

    Parameters
    ----------
    header : PetHeader
    half_life_s : float or None
    start_corrected : bool
        Whether SUV depends on this moment (DecayCorrection START); only then do doubts about it matter for SUV.
    """
    earliest = header.earliest_acquisition_s
    back = _back_computed(header, half_life_s)
    implied = references_by_factor(header, half_life_s) if start_corrected else []
    moments = {
        SERIES: header.series_s,
        GE: header.ge_scan_s,
        BACK: min(back) if back else None,
        EARLIEST: earliest,
        SIEMENS: header.siemens_decay_s,
        FACTOR: implied[0] if implied else None,
    }
    candidates = {name: moment for name, moment in moments.items() if moment is not None}
    if header.placeholder_times:
        return Reference(None, "", {}, (), ("the scan's date or time is a placeholder of a de-identifier",))
    if earliest is None and not _vouched(header):
        reason = "AcquisitionTime is missing, so SeriesTime cannot be checked against it"
        return Reference(None, "", candidates, (), (_undated(header) or reason,))
    if header.times_apart:
        return Reference(None, "", candidates, (), (header.times_apart,))
    accepted = _accepted(header, earliest, back)
    if not accepted:
        return Reference(None, "", candidates, (), ("no date and time of the scan can be read",))
    warnings = []
    if start_corrected and (early := _far_before(header, earliest)):
        confirmed = any(_near(earliest, i, CONSTANT_WITHIN_S) for i in implied)
        if not (GE in accepted or BACK in accepted or confirmed):
            return Reference(None, "", candidates, (), (f"the decay reference is not known: {early}",))
        warnings.append(f"{early}; {next(iter(accepted))} was used")
    if start_corrected and (better := _contradicted(header, accepted, implied)):
        refuted = next(iter(accepted))
        accepted = {better: accepted.get(better, candidates[better]), **accepted}
        warnings.append(_differs(refuted, accepted.pop(refuted) - accepted[better], better, half_life_s))
    source, moment = next(iter(accepted.items()))
    for other, second in list(accepted.items())[1:]:
        if other != EARLIEST and abs(second - moment) > DIFFERENCE_WARN_S and start_corrected:
            warnings.append(_differs(other, second - moment, source, half_life_s))
    apart = _frames_apart_s(header, back, moment)
    if source == EARLIEST and apart > DIFFERENCE_REFUSE_S and start_corrected:
        reason = (
            f"the decay reference is not known: the earliest acquisition and the frame reference times are "
            f"{apart / 60:.0f} min apart, and no other time decides"
        )
        return Reference(None, "", candidates, tuple(warnings), (reason,))
    if start_corrected and implied:
        nearest = min(implied, key=lambda i: abs(i - moment))
        if abs(nearest - moment) > DIFFERENCE_WARN_S:
            warnings.append(_differs(FACTOR, nearest - moment, source, half_life_s))
    vendor = header.siemens_decay_s
    if start_corrected and vendor is not None and abs(vendor - moment) > DIFFERENCE_WARN_S:
        warnings.append(_differs(SIEMENS, vendor - moment, source, half_life_s))
    if source == SERIES and start_corrected and not warnings and _alone(header, accepted, implied):
        warnings.append(
            _differs(EARLIEST, accepted[EARLIEST] - moment, source, half_life_s)
            + "; nothing else in the headers says which of the two the decay correction refers to"
        )
    return Reference(moment, source, candidates, tuple(warnings))


def _near(a: float | None, b: float | None, tolerance_s: float) -> bool:
    return a is not None and b is not None and abs(a - b) <= tolerance_s


def _alone(header: PetHeader, accepted: dict[str, float], implied: list[float]) -> bool:
    """Tell whether the series' time lies well before the first acquisition and no other time confirms it."""
    series, earliest = accepted[SERIES], accepted.get(EARLIEST)
    if earliest is None or earliest - series <= DIFFERENCE_WARN_S:
        return False
    others = (header.ge_scan_s, header.siemens_decay_s, accepted.get(BACK), *implied)
    return not any(_near(other, series, DIFFERENCE_WARN_S) for other in others)


def _contradicted(header: PetHeader, accepted: dict[str, float], implied: list[float]) -> str:
    """Name the rule that takes the place of the first, where that is contradicted for certain; empty where none does.

    Two of a kind decide: the decay factors with a time of the scan, or GE's own scan start with the first acquisition.
    Siemens' decay correction time counts only beside the factors.
    """
    first = next(iter(accepted))
    if first not in (SERIES, EARLIEST) or (first == SERIES and not _alone(header, accepted, implied)):
        return ""
    times = {name: accepted[name] for name in (GE, BACK, EARLIEST) if name in accepted and name != first}
    vendor = header.siemens_decay_s
    if vendor is not None and _may_start(vendor, header.earliest_acquisition_s):
        times[SIEMENS] = vendor
    for name, moment in times.items():
        agreed = any(_near(moment, i, CONSTANT_WITHIN_S) for i in implied)
        if agreed and abs(moment - accepted[first]) > DIFFERENCE_WARN_S:
            return name
    by_acquisition = first == SERIES and GE in accepted and _near(accepted[GE], accepted[EARLIEST], CONSTANT_WITHIN_S)
    return GE if by_acquisition else ""


def _far_before(header: PetHeader, earliest: float | None) -> str:
    """Say that the series' time lies too long before the first image to be the start of its scan; empty where not."""
    if header.series_s is None or earliest is None or header.series_s >= earliest - LONGEST_SCAN_S:
        return ""
    return (
        f"SeriesTime lies {(earliest - header.series_s) / 3600:.1f} h before the first image: no scan lasts that long"
    )


def _undated(header: PetHeader) -> str:
    return "the scan has no date" if header.undated else ""


def _vouched(header: PetHeader) -> bool:
    """Tell whether a vendor's own time confirms SeriesTime where acquisition times are missing."""
    vendors = (header.ge_scan_s, header.siemens_decay_s)
    return header.series_s is not None and any(
        v is not None and abs(v - header.series_s) <= SERIES_TOLERANCE_S for v in vendors
    )


def _may_start(moment_s: float, earliest_s: float | None) -> bool:
    return earliest_s is None or starts_scan(moment_s, earliest_s)


def _accepted(header: PetHeader, earliest: float | None, back: list[float]) -> dict[str, float]:
    """Return the moments that the rules accept, in their order."""
    accepted: dict[str, float] = {}
    if header.series_s is not None and _may_start(header.series_s, earliest):
        accepted[SERIES] = header.series_s
    if header.ge_scan_s is not None and _may_start(header.ge_scan_s, earliest):
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


def _frames_apart_s(header: PetHeader, back: list[float], moment_s: float) -> float:
    """Return by how much the back-computed moments leave a time of the scan.

    Beds that share one acquisition time, the scan's, are told apart by FrameReferenceTime: the first one's counts.
    """
    if len(set(header.acquisition_s)) == 1:
        back = [max(back)] if back else []
    return max((abs(b - moment_s) for b in back), default=0.0)


def references_by_factor(header: PetHeader, half_life_s: float | None) -> list[float]:
    """Return the references that the slices' DecayFactor allows; empty where it says nothing.

    The factor corrects a frame's average to the reference: exp(rate * (start - reference)) * rate * T / (1 - exp(-rate
    * T)) (Siemens and GE alike). An acquisition time that all slices share is either each frame's start or the scan's;
    each reading counts only where it leads every slice to the same moment.
    """
    rows = list(zip(header.acquisition_s, header.decay_factor, header.frame_duration_s, strict=True))
    if half_life_s is None or not rows:
        return []
    rate = math.log(2.0) / half_life_s
    starts, before = [], []
    for acquired, factor, duration in rows:
        if acquired is None or factor is None or factor <= 1.0 or not duration or duration <= 0:
            return []
        decay = rate * duration
        starts.append(acquired)
        before.append(math.log(factor * -math.expm1(-decay) / decay) / rate)
    readings = [[s - b for s, b in zip(starts, before, strict=True)]]
    offsets = frame_offsets_s(header, half_life_s)
    if len(set(starts)) == 1 and offsets:
        readings.append([s + o - b for s, o, b in zip(starts, offsets, before, strict=True)])
    return [sum(r) / len(r) for r in readings if max(r) - min(r) <= CONSTANT_WITHIN_S]


def percent_of_later(seconds: float, half_life_s: float | None) -> float:
    """Return by how many percent SUV rises where the dose decays for so much longer.

    >>> round(percent_of_later(600.0, 6586.2), 1), round(percent_of_later(-600.0, 6586.2), 1)
    (6.5, -6.1)
    """
    return 100.0 * (2.0 ** (seconds / half_life_s) - 1.0) if half_life_s else math.nan


def _differs(name: str, seconds: float, source: str, half_life_s: float | None) -> str:
    if abs(seconds) > LONGEST_SCAN_S:
        side = "after" if seconds > 0 else "before"
        hours = abs(seconds) / 3600
        return f"{name} is {hours:.0f} h {side} {source}, which was used: its date or time is of another scan"
    percent = percent_of_later(seconds, half_life_s)
    return (
        f"{name} is {abs(seconds):.0f} s {'after' if seconds > 0 else 'before'} {source}, which was used; "
        f"SUV would be {percent:+.1f} % different"
    )
