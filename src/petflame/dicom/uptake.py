"""When the tracer was injected, when each frame was acquired, and how long the tracer was taken up in between.

Three times are kept apart. The decay reference (`petflame.dicom.decay`) decides SUV. The uptake time runs from the
injection to the start of the earliest frame of the images and decides whether scans can be compared. The injection
time may be that of the dose's assay. A list-mode scan that starts with the injection has a decay reference at about
zero and an uptake time of an hour.
"""

from __future__ import annotations

from dataclasses import dataclass

from petflame.dicom import tags as t
from petflame.dicom.clock import latest_moment
from petflame.dicom.decay import DIFFERENCE_WARN_S, SERIES_TOLERANCE_S, frame_offsets_s
from petflame.dicom.midnight import LONGEST_UPTAKE_S
from petflame.dicom.petheader import PetHeader

LONGEST_PLAUSIBLE_S = 4 * 3600.0
# An injection this little after the start of the images is of the same day and a contradiction, not of the day before.
LATE_INJECTION_S = 1800.0

BY_ACQUISITION = "AcquisitionTime of each frame"
BY_OFFSET = "AcquisitionTime of the series with each frame's FrameReferenceTime"
BY_REFERENCE_OFFSET = "the decay reference with each frame's FrameReferenceTime, since AcquisitionTime is missing"
BY_REFERENCE = "the decay reference, since AcquisitionTime is missing"

INJECTION_WORDS = "time of injection as the header or an override states it"
ASSAY_WORDS = (
    "on Siemens scanners RadiopharmaceuticalStartTime may be when the dose was assayed, up to 10 min before injection"
)
UPTAKE_WORDS = "injection to the start of the earliest frame of the PET; bed_uptake_min lists every frame's start"


@dataclass(frozen=True)
class Injection:
    """The moment of injection, on the clock of the series; None with the reasons when it is not known."""

    moment_s: float | None
    source: str = ""
    warnings: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class Frames:
    """When the frames of a series started.

    Attributes
    ----------
    starts_s : tuple of float
        A slice each, in the order of the header's slices; empty where nothing tells.
    source : str
        What tells.
    first_duration_s : float or None
        Length of the earliest frame.
    """

    starts_s: tuple[float, ...] = ()
    source: str = ""
    first_duration_s: float | None = None

    @property
    def earliest_s(self) -> float | None:
        """The start of the earliest frame."""
        return min(self.starts_s) if self.starts_s else None


def frames_of(header: PetHeader, half_life_s: float | None, reference_s: float | None) -> Frames:
    """Work out when each slice's frame started.

    Acquisition times that differ over the slices are the frames' own. A single one is either the start of the only
    frame or that of the whole scan; then FrameReferenceTime tells the frames apart (GE, Philips).
    """
    acquired = [a for a in header.acquisition_s if a is not None]
    offsets = frame_offsets_s(header, half_life_s)
    source = BY_ACQUISITION
    if not acquired or len(acquired) != len(header.acquisition_s):
        if reference_s is None:
            return Frames()
        source = BY_REFERENCE_OFFSET if offsets else BY_REFERENCE
        starts = [reference_s + o for o in offsets] or [reference_s] * len(header.acquisition_s) or [reference_s]
    elif len(set(acquired)) > 1 or not offsets or max(offsets) <= 0:
        starts = acquired
    else:
        at_start = header.series_s is not None and abs(acquired[0] - header.series_s) <= SERIES_TOLERANCE_S
        varied = max(offsets) - min(offsets) > SERIES_TOLERANCE_S
        # FrameReferenceTime counts from the series' time, and the acquisition time already is the first frame's start.
        counted = (
            header.series_s is not None
            and not at_start
            and abs(acquired[0] - header.series_s - min(offsets)) <= DIFFERENCE_WARN_S
        )
        base = -min(offsets) if counted else 0.0
        if at_start or varied:
            source = BY_OFFSET
            starts = [a + o + base for a, o in zip(acquired, offsets, strict=True)]
        else:
            starts = acquired
    first = min(range(len(starts)), key=starts.__getitem__)
    durations = header.frame_duration_s
    return Frames(tuple(starts), source, durations[first] if first < len(durations) else None)


def choose_injection(header: PetHeader, acquired_s: float) -> Injection:
    """Choose the injection time: date-time first, else time of day on the day of the scan or the day before.

    A date-time that gives no plausible uptake while its time of day does is taken for a wrong date, with a warning.

    Parameters
    ----------
    header : PetHeader
    acquired_s : float
        Start of the earliest frame; the decay reference where that is not known.
    """
    stamped, of_day, private = header.injection_s, header.injection_time_s, header.ge_injection_s
    by_time = latest_moment(of_day, acquired_s, LATE_INJECTION_S) if of_day is not None else None
    if stamped is not None:
        if 0 < acquired_s - stamped <= LONGEST_UPTAKE_S:
            warnings: tuple[str, ...] = ()
            if by_time is not None and abs(by_time - stamped) > DIFFERENCE_WARN_S:
                warnings = (
                    f"the injection's date-time and its time of day differ by {abs(by_time - stamped) / 60:.0f} min; "
                    "the date-time was used",
                )
            return Injection(stamped, "RadiopharmaceuticalStartDateTime", warnings)
        clock_only = by_time if by_time is not None else latest_moment(stamped, acquired_s, LATE_INJECTION_S)
        if 0 < acquired_s - clock_only <= LONGEST_PLAUSIBLE_S:
            warning = "the injection's date does not fit the scan's; its time of day was used"
            return Injection(clock_only, "time of day of the injection", (warning,))
        return Injection(stamped, "RadiopharmaceuticalStartDateTime")
    if by_time is not None:
        return Injection(by_time, "RadiopharmaceuticalStartTime")
    if private is not None:
        of_clock = latest_moment(private, acquired_s, LATE_INJECTION_S)
        dated = 0 < acquired_s - private <= LONGEST_UPTAKE_S
        if not dated and 0 < acquired_s - of_clock <= LONGEST_PLAUSIBLE_S:
            private = of_clock
        warning = "the injection time comes from GE's private administration date-time (0009,103B)"
        return Injection(private, "GE private administration date-time (0009,103B)", (warning,))
    differs = {t.START_TIME, t.START_DATETIME} & set(header.conflicts)
    told = "is not the same in every slice" if differs else "is missing"
    return Injection(None, "", (), (f"the injection time {told}",))


def may_be_assay(manufacturer: str, source: str) -> bool:
    """Tell whether an injection time may be that of the dose's assay.

    dcm2niix's and PET2BIDS' users found it so on Siemens (and its forerunner CPS), 10 s to 10 min early.

    >>> may_be_assay("SIEMENS", "RadiopharmaceuticalStartTime"), may_be_assay("SIEMENS", "override")
    (True, False)
    """
    own = source.startswith("Radiopharmaceutical") or source.startswith("time of day")
    return own and manufacturer.strip().upper().startswith(("SIEMENS", "CPS", "CTI"))
