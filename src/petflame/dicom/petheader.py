"""What the headers of a PET series say that matters for SUV, as one frozen value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from petflame.dicom import clock
from petflame.dicom import tags as t
from petflame.dicom.header import Header
from petflame.dicom.midnight import before_images, misdated, put_on_one_clock, starts_scan
from petflame.dicom.values import Values

QUARTER_S = 900.0


@dataclass(frozen=True)
class PetHeader:
    """Header values of one PET series; None or empty where absent, unreadable, or not the same in every slice.

    Attributes
    ----------
    units, suv_type, decay_correction, manufacturer, sex : str
        Upper case, except the manufacturer.
    corrections : tuple of str
        CorrectedImage.
    dose : float
        RadionuclideTotalDose as stored (Bq by the standard).
    half_life_s, weight, height : float
        As stored: weight kg, height m by the standard.
    nuclide : str
        Code value of the radionuclide.
    tracer_codes, tracer_text : str
        Code value and name of the radiopharmaceutical.
    series_s, ge_scan_s, siemens_decay_s : float
        Moments, in seconds on the local clock.
    acquisition_s, frame_reference_s, frame_duration_s, decay_factor : tuple of float or None, a slice each
        FrameReferenceTime and ActualFrameDuration in seconds.
    injection_s : float
        RadiopharmaceuticalStartDateTime.
    injection_time_s : float
        RadiopharmaceuticalStartTime, seconds after midnight.
    ge_injection_s : float
        GE's administration date-time.
    philips_suv, philips_activity : float
        (7053,1000) and (7053,1009); zero reads as absent.
    times_apart : str
        Why the images' times cannot be of one scan; empty where they can.
    notes : tuple of str
        Doubts found while reading, such as placeholder dates.
    conflicts : tuple of int
        Tags whose value is not the same in every slice.
    """

    units: str = ""
    suv_type: str = ""
    decay_correction: str = ""
    manufacturer: str = ""
    corrections: tuple[str, ...] = ()
    dose: float | None = None
    half_life_s: float | None = None
    weight: float | None = None
    height: float | None = None
    sex: str = ""
    nuclide: str = ""
    tracer_codes: tuple[str, ...] = ()
    tracer_text: str = ""
    series_s: float | None = None
    ge_scan_s: float | None = None
    siemens_decay_s: float | None = None
    acquisition_s: tuple[float | None, ...] = ()
    frame_reference_s: tuple[float | None, ...] = ()
    frame_duration_s: tuple[float | None, ...] = ()
    decay_factor: tuple[float | None, ...] = ()
    injection_s: float | None = None
    injection_time_s: float | None = None
    ge_injection_s: float | None = None
    philips_suv: float | None = None
    philips_activity: float | None = None
    placeholder_times: bool = False
    undated: bool = False
    times_apart: str = ""
    notes: tuple[str, ...] = ()
    conflicts: tuple[int, ...] = ()

    @property
    def earliest_acquisition_s(self) -> float | None:
        """The earliest acquisition of the series, where every slice has one."""
        known = [a for a in self.acquisition_s if a is not None]
        return min(known) if known and len(known) == len(self.acquisition_s) else None


class _Reader:
    """Reads values that must be the same in every slice, and remembers those that are not."""

    def __init__(self, sets: Sequence[Values]) -> None:
        self.sets = sets
        self.conflicts: list[int] = []

    def one(self, tag: int) -> Values | None:
        """Return an element set that speaks for all slices; None where they disagree about `tag`."""
        if not self.sets:
            return None
        if len({s.bytes_of(tag).strip(b" \0") for s in self.sets}) > 1 and not self._one_number(tag):
            self.conflicts.append(tag)
            return None
        return self.sets[0]

    def _one_number(self, tag: int) -> bool:
        """Tell whether all slices hold the same numbers, times of day among them, however they are written."""
        values = {s.numbers(tag) for s in self.sets}
        return len(values) == 1 and None not in values

    def text(self, tag: int) -> str:
        holder = self.one(tag)
        return holder.text(tag) if holder is not None else ""

    def number(self, tag: int) -> float | None:
        holder = self.one(tag)
        return holder.number(tag) if holder is not None else None

    def positive(self, tag: int) -> float | None:
        value = self.number(tag)
        return value if value is not None and value > 0 else None


def read_pet_header(headers: Sequence[Header]) -> PetHeader:
    """Read the SUV-relevant header values of a series.

    Parameters
    ----------
    headers : sequence of Header
        The slices in the order of the volume; per-slice values keep that order.
    """
    sets = [h.values for h in headers]
    reader = _Reader(sets)
    items = [s.items(t.RADIOPHARMACEUTICALS) for s in sets]
    notes: list[str] = []
    agents = _Reader([i[0] for i in items if len(i) == 1])
    if any(len(i) > 1 for i in items):
        agents = _Reader([])
        notes.append("the headers list more than one radiopharmaceutical")
    elif any(not i for i in items):
        agents = _Reader([])
    zone = _zone(reader, sets, notes)
    injection, injection_time, doubts = _injection(agents, zone)
    times = _times(reader, sets, notes, zone, injection)
    v = sets[0]
    notes += doubts
    first = min((a for a in times["acquisition_s"] if a is not None), default=None)  # type: ignore[attr-defined]
    ge_scan = _start(
        _private_moment(reader, t.GE_PET, t.GE_SCAN_DATETIME, zone), first, "GE's scan date (0009,100D)", notes
    )
    siemens = _private_moment(reader, t.SIEMENS_PET, t.SIEMENS_DECAY_DATETIME, zone)
    agent = agents.sets[0] if agents.sets else Values()
    return PetHeader(
        units=reader.text(t.UNITS).upper(),
        suv_type=reader.text(t.SUV_TYPE).upper(),
        decay_correction=reader.text(t.DECAY_CORRECTION).upper(),
        manufacturer=v.text(t.MANUFACTURER),
        corrections=tuple(c.upper() for c in v.texts(t.CORRECTED_IMAGE)) if reader.one(t.CORRECTED_IMAGE) else (),
        dose=agents.number(t.TOTAL_DOSE),
        half_life_s=agents.positive(t.HALF_LIFE),
        weight=reader.number(t.WEIGHT),
        height=reader.positive(t.SIZE),
        sex=reader.text(t.SEX).upper(),
        nuclide=_code(agent, t.NUCLIDE_CODES),
        tracer_codes=tuple(i.text(t.CODE_VALUE) for i in agent.items(t.TRACER_CODES)),
        tracer_text=" ".join(
            [agents.text(t.TRACER), *(i.text(t.CODE_MEANING) for i in agent.items(t.TRACER_CODES))]
        ).strip(),
        ge_scan_s=ge_scan,
        siemens_decay_s=_start(siemens, first, "Siemens' decay correction date (0071,1022)", notes),
        frame_reference_s=tuple(_scaled(s.number(t.FRAME_REFERENCE_TIME), 1e-3) for s in sets),
        frame_duration_s=tuple(_scaled(s.number(t.FRAME_DURATION), 1e-3) for s in sets),
        decay_factor=tuple(s.number(t.DECAY_FACTOR) for s in sets),
        injection_s=injection,
        injection_time_s=injection_time,
        ge_injection_s=_private_moment(reader, t.GE_PET, t.GE_ADMIN_DATETIME, zone),
        philips_suv=_private_number(reader, t.PHILIPS_PET, t.PHILIPS_SUV_FACTOR),
        philips_activity=_private_number(reader, t.PHILIPS_PET, t.PHILIPS_ACTIVITY_FACTOR),
        notes=tuple(notes),
        conflicts=tuple(dict.fromkeys(reader.conflicts + agents.conflicts)),
        **times,  # type: ignore[arg-type]
    )


def _times(
    reader: _Reader, sets: Sequence[Values], notes: list[str], zone: float | None, injected_s: float | None
) -> dict[str, object]:
    """Read the moments of the series and of every slice."""
    dates = {s.text(tag) for s in sets for tag in (t.SERIES_DATE, t.ACQUISITION_DATE)} - {""}
    placeholder = any(map(clock.is_placeholder_date, dates))
    if placeholder:
        notes.append("the dates are placeholders of a de-identifier")
    series_day = clock.parse_date(reader.text(t.SERIES_DATE))
    series_clock = clock.parse_time(reader.text(t.SERIES_TIME))
    memo: dict[tuple[bytes, ...], tuple[float | None, float | None]] = {}

    def acquired(s: Values) -> tuple[float | None, float | None]:
        key = tuple(s.bytes_of(x) for x in (t.ACQUISITION_DATE, t.ACQUISITION_TIME, t.ACQUISITION_DATETIME))
        if key not in memo:
            memo[key] = _acquisition(s, zone)
        return memo[key]

    stated = [acquired(s) for s in sets]
    clocks = {s.text(t.ACQUISITION_TIME) for s in sets} | {reader.text(t.SERIES_TIME)}
    zeroed = all(clock.parse_time(c) == 0.0 for c in clocks)
    if zeroed:
        notes.append("the times are placeholders of a de-identifier")
    placed = put_on_one_clock(stated, (series_day, series_clock), injected_s)
    if not (placeholder or zeroed):
        notes += placed.notes
    return {
        "series_s": placed.series_s,
        "acquisition_s": placed.acquisition_s,
        "placeholder_times": placeholder or zeroed,
        "undated": not dates,
        "times_apart": placed.reason,
    }


def _zone(reader: _Reader, sets: Sequence[Values], notes: list[str]) -> float | None:
    """Return the offset from UTC of the scanner's clock in seconds, from its tag or from the images' date-times.

    The tag may hold several values. A date-time whose time of day is not AcquisitionTime's is of another clock.
    """
    stated = {clock.parse_offset(text) for text in reader.text(t.TIMEZONE).split("\\")} - {None}
    if len(stated) == 1:
        return stated.pop()
    own = set()
    for s in sets:
        moment, time = (
            clock.parse_datetime(s.text(t.ACQUISITION_DATETIME)),
            clock.parse_time(s.text(t.ACQUISITION_TIME)),
        )
        if moment is not None and (time is None or abs(moment[0] % clock.DAY_S - time) < 1.0):
            own.add(moment[1])
    own.discard(None)
    if len(own) == 1:
        return own.pop()
    if stated or own:
        notes.append(
            "the images state several offsets from UTC: times of day were compared as they stand, which is an hour "
            "wrong where the clock was changed between injection and scan"
        )
    return None


def _acquisition(s: Values, zone: float | None) -> tuple[float | None, float | None]:
    """Return day and time of day of an image, each None where it is not stated."""
    time = clock.parse_time(s.text(t.ACQUISITION_TIME))
    day = clock.parse_date(s.text(t.ACQUISITION_DATE))
    whole = _local(clock.parse_datetime(s.text(t.ACQUISITION_DATETIME)), zone) if time is None or day is None else None
    if whole is None:
        return day, time
    if time is None:
        return whole - whole % clock.DAY_S, whole % clock.DAY_S
    return whole - whole % clock.DAY_S, time


def _start(moment_s: float | None, first_s: float | None, name: str, notes: list[str]) -> float | None:
    """Return a vendor's start of the scan, on the day on which it can be that of the first image."""
    if moment_s is None or first_s is None or starts_scan(moment_s, first_s):
        return moment_s
    moved = before_images(moment_s, first_s)
    if moved is None or moved == moment_s:
        return moment_s
    notes.append(misdated(name))
    return moved


def _injection(agents: _Reader, zone: float | None) -> tuple[float | None, float | None, list[str]]:
    notes = []
    text = agents.text(t.START_DATETIME)
    moment = clock.parse_datetime(text)
    time = clock.parse_time(agents.text(t.START_TIME))
    if text and clock.is_placeholder_date(text):
        notes.append("the injection date is a placeholder of a de-identifier")
    if time == 0.0:
        time = None
        notes.append("the injection time 000000 is a placeholder of a de-identifier")
    if moment is None:
        return None, time, notes
    if moment[0] % clock.DAY_S == 0.0:
        notes.append("the injection date-time has no time of day")
        return None, time, notes
    if moment[1] is not None and zone is None:
        if time is None:
            if moment[1] == 0.0:
                notes.append("the injection date-time is in UTC and the series does not say its time zone")
            return moment[0], time, notes
        local = clock.nearest_moment(time, moment[0])
        shift = local - moment[0]
        # Zones lie whole quarters of an hour apart.
        if abs(shift) >= QUARTER_S and abs(shift - QUARTER_S * round(shift / QUARTER_S)) < 1.0:
            notes.append(
                f"the injection date-time states an offset from UTC and lies {abs(shift) / 60:.0f} min "
                f"{'after' if shift < 0 else 'before'} the injection time of day: taken for another time zone's, the "
                "time of day was used"
            )
            return local, time, notes
        return moment[0], time, notes
    return _local(moment, zone), time, notes


def _local(moment: tuple[float, float | None] | None, zone: float | None) -> float | None:
    if moment is None:
        return None
    local, offset = moment
    return local if offset is None or zone is None else local - offset + zone


def _private_moment(reader: _Reader, block: tuple[str, int], byte: int, zone: float | None) -> float | None:
    tag = reader.sets[0].private(block, byte)
    return _local(clock.parse_datetime(reader.text(tag)), zone) if tag is not None else None


def _private_number(reader: _Reader, block: tuple[str, int], byte: int) -> float | None:
    tag = reader.sets[0].private(block, byte)
    return reader.positive(tag) if tag is not None else None


def _code(agent: Values, tag: int) -> str:
    codes = [i.text(t.CODE_VALUE) for i in agent.items(tag)]
    return codes[0] if len(set(codes)) == 1 else ""


def _scaled(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor
