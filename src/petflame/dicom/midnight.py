"""The day of each time of a PET series, where the dates beside the times do not fit together.

Scanners, archives and de-identifiers copy dates from elsewhere: AcquisitionDate stays at the day on which the scan
began although it runs across midnight, SeriesDate or a vendor's own date is that of the study. The times of day are the
clock's. Since a scan takes a few hours, they order themselves, whichever side of midnight they lie on. Dates are
believed as long as they keep a scan together; where they do not, the times of day decide and a warning says so.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from petflame.dicom.clock import DAY_S, latest_moment

# A frame starts within six hours of the scan's start: the 4 h within which SUV is measured, and half as much again.
LONGEST_SCAN_S = 6 * 3600.0
# Times of day tell their order where they lie within half of the day.
HALF_DAY_S = DAY_S / 2
LONGEST_UPTAKE_S = HALF_DAY_S
START_GRACE_S = 2.0

ACROSS = (
    "the series runs across midnight and AcquisitionDate does not: the images after midnight were taken for those of "
    "the next day, by their time of day"
)
APART = "the images' acquisition dates lie days apart: they were taken for one day's, by their time of day"
AFTER = (
    "the series starts before midnight and its images were acquired after it, all with one date: by the times of day "
    "the images are of the next day"
)
SPREAD = "the images' acquisition times lie more than 12 hours apart, on whichever days they are put"
NO_SERIES_DATE = (
    "SeriesDate is missing or differs between images: SeriesTime was put before the images, by its time of day"
)
NIGHT_AGAIN = (
    "the images were acquired after midnight, a day before SeriesDate; if AcquisitionDate is that of the evening "
    "before, the scan began at SeriesTime, {minutes:.0f} min before the first image"
)
DAY_AGAIN = (
    "SeriesDate is a day after that of the images: taken for a later reconstruction; if SeriesDate is wrong, the scan "
    "began at SeriesTime, {minutes:.0f} min before the first image"
)


@dataclass(frozen=True)
class Placed:
    """The moments of a series on one clock.

    Attributes
    ----------
    acquisition_s : tuple of float or None
        A slice each.
    series_s : float or None
    notes : tuple of str
        Which dates did not fit, and what was done.
    reason : str
        Why the times cannot be of one scan; empty where they can.
    """

    acquisition_s: tuple[float | None, ...]
    series_s: float | None
    notes: tuple[str, ...] = ()
    reason: str = ""


def before_images(moment_s: float, first_s: float) -> float | None:
    """Return when a scan started whose start has this time of day; None where no scan lasts that long.

    >>> evening, morning = 5 * DAY_S - 600.0, 5 * DAY_S + 600.0
    >>> before_images(evening + DAY_S, morning) == before_images(evening - DAY_S, morning) == evening
    True
    >>> before_images(morning + 3600.0, morning) is None
    True
    """
    start = latest_moment(moment_s % DAY_S, first_s, START_GRACE_S)
    return start if first_s - start <= LONGEST_SCAN_S else None


def starts_scan(moment_s: float, first_s: float) -> bool:
    """Tell whether a moment can be the start of a scan whose first image is of `first_s`.

    >>> starts_scan(0.0, 3600.0), starts_scan(0.0, DAY_S), starts_scan(60.0, 0.0)
    (True, False, False)
    """
    return -START_GRACE_S <= first_s - moment_s <= LONGEST_SCAN_S


def put_on_one_clock(
    images: Sequence[tuple[float | None, float | None]],
    series: tuple[float | None, float | None],
    injected_s: float | None,
) -> Placed:
    """Put the times of a series on one clock.

    Parameters
    ----------
    images : sequence of (day, time of day), in seconds, a slice each
        As the headers state them; None where they do not.
    series : (day, time of day)
        SeriesDate and SeriesTime.
    injected_s : float or None
        The injection's date-time, which decides on the day where two would do.

    Returns
    -------
    Placed
    """
    day, time = series
    stated = day + time if day is not None and time is not None else None
    moments = tuple(_dated(d, t, day, time) for d, t in images)
    known = [m for m in moments if m is not None]
    if not known:
        return Placed(moments, stated)
    unfolded = _unfolded(known)
    if unfolded is None:
        return Placed(moments, stated, (), SPREAD)
    choices, notes = unfolded
    if len(choices) == 1 and stated is not None:
        choices = _other_days(choices[0], stated, notes)
    origin = choices[0].first_s
    best = min(range(len(choices)), key=lambda n: (*choices[n].contradictions(stated, injected_s), n))
    chosen = choices[best]
    told = [*notes, *([chosen.note] if chosen.note else [])]
    placed = tuple(None if m is None else chosen.first_s + (m - origin) % DAY_S for m in moments)
    if chosen.as_stated:
        placed = moments
    start = stated if chosen.series_s is None else chosen.series_s
    if start is None and time is not None:
        # Without a date SeriesTime is the scan's start where it can be, and else some later moment of no use.
        start = before_images(time, chosen.first_s)
        told += [NO_SERIES_DATE] if start is not None else []
        start = latest_moment(time, chosen.first_s) + DAY_S if start is None else start
    elif start is not None and (start < chosen.first_s - LONGEST_SCAN_S or _whole_days_late(start, chosen.first_s)):
        moved = before_images(start, chosen.first_s)
        told += [misdated("SeriesDate")] if moved is not None else []
        start = start if moved is None else moved
    return Placed(placed, start, tuple(told))


def _whole_days_late(start_s: float, first_s: float) -> bool:
    """Tell whether a start is dated days after the first image and has its time of day: no later reconstruction has."""
    late = start_s - first_s
    return late > HALF_DAY_S and abs(late - DAY_S * round(late / DAY_S)) <= START_GRACE_S


def misdated(name: str) -> str:
    """Say that the date of a scan's start was not believed."""
    return f"{name} does not fit the date of the images: the scan's start was taken by its time of day"


@dataclass(frozen=True)
class _Choice:
    """One way to put a series on days: its first image, its start where that moves, and what to say of it."""

    first_s: float
    as_stated: bool = False
    series_s: float | None = None
    note: str = ""

    def contradictions(self, stated_s: float | None, injected_s: float | None) -> tuple[bool, bool]:
        """Tell what contradicts this way: the series' start (unless it gave the way), the injection's date-time."""
        unlike = not self.note and stated_s is not None and not starts_scan(stated_s, self.first_s)
        odd = injected_s is not None and not 0 < self.first_s - injected_s <= LONGEST_UPTAKE_S
        return unlike, odd


def _dated(day: float | None, time: float | None, series_day: float | None, series_time: float | None) -> float | None:
    """Return an image's moment; one without a date lies within a scan's length after SeriesTime, or before it."""
    if time is None:
        return None
    if day is not None:
        return day + time
    if series_day is None or series_time is None:
        return None if series_day is None else series_day + time
    since = (time - series_time + START_GRACE_S) % DAY_S - START_GRACE_S
    return series_day + series_time + (since if since <= LONGEST_SCAN_S else since - DAY_S)


def _unfolded(known: Iterable[float]) -> tuple[list[_Choice], list[str]] | None:
    """Return the days on which the first image may lie; None where the images cannot be of one scan."""
    moments = sorted(set(known))
    if moments[-1] - moments[0] <= HALF_DAY_S:
        return [_Choice(moments[0], as_stated=True)], []
    times = sorted({m % DAY_S for m in moments})
    gaps = [(later - earlier, later) for earlier, later in zip(times, [*times[1:], times[0] + DAY_S], strict=True)]
    gap, after = max(gaps)
    if gap < HALF_DAY_S:
        return None
    first = after % DAY_S
    # Days of the images before midnight, and those after it say the day before.
    days = sorted({m - m % DAY_S for m in moments if m % DAY_S >= first})
    days += sorted({m - m % DAY_S - DAY_S for m in moments if m % DAY_S < first})
    crosses = any(t < first for t in times)
    return [_Choice(day + first) for day in dict.fromkeys(days)], [ACROSS if crosses else APART]


def _other_days(choice: _Choice, stated_s: float, notes: list[str]) -> list[_Choice]:
    """Return the ways to read a series that is dated most of a day after its images and would just precede them.

    With one date for both, an evening's start and images after midnight are those of one night. With SeriesDate the
    next day's the images may as well have been reconstructed a day later.
    """
    first = choice.first_s
    start = before_images(stated_s, first)
    if not 0 < stated_s - first < DAY_S or start is None:
        return [choice]
    if math.floor(stated_s / DAY_S) == math.floor(first / DAY_S):
        return [_Choice(first + DAY_S, note=AFTER), _Choice(first, True, start, AFTER)]
    if first % DAY_S >= LONGEST_SCAN_S:
        return [_Choice(first, True, note=DAY_AGAIN.format(minutes=(first - start) / 60.0))]
    doubt = NIGHT_AGAIN.format(minutes=(first - start) / 60.0)
    return [_Choice(first, True, note=doubt), _Choice(first + DAY_S, note=ACROSS)]
