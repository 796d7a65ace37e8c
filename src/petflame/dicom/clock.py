"""DICOM dates and times as seconds on one clock."""

from __future__ import annotations

import re
from datetime import date

DAY_S = 86400.0
PLACEHOLDER_DATES = frozenset({"00010101", "19000101", "11111111", "99991231", "00000000"})
EARLIEST_YEAR = 1970

_DATE = re.compile(r"(\d{4})[.\-/]?(\d{2})[.\-/]?(\d{2})")
_TIME = re.compile(r"(\d{2}):?(?:(\d{2})(?::?(\d{2})(?:\.(\d{1,6}))?)?)?\.?")
_DATETIME = re.compile(r"(\d{4}[.\-/]?\d{2}[.\-/]?\d{2})[ T]?([\d:.]+?)([+-]\d{2}:?\d{2}|Z)?")
_OFFSET = re.compile(r"([+-])(\d{2}):?(\d{2})")


def is_placeholder_date(text: str) -> bool:
    """Tell whether a date is what de-identifiers write when they remove one.

    >>> is_placeholder_date("00010101"), is_placeholder_date("20250311")
    (True, False)
    """
    digits = re.sub(r"\D", "", text)[:8]
    return bool(digits) and (digits in PLACEHOLDER_DATES or int(digits[:4] or 0) < EARLIEST_YEAR)


def parse_date(text: str) -> float | None:
    """Return a DICOM date as seconds since the first day of the calendar, or None.

    >>> parse_date("20250102") - parse_date("2025.01.01")
    86400.0
    """
    match = _DATE.fullmatch(text.strip())
    if not match or is_placeholder_date(text):
        return None
    try:
        return date(*map(int, match.groups())).toordinal() * DAY_S
    except ValueError:
        return None


def parse_time(text: str) -> float | None:
    """Return a DICOM time as seconds after midnight, or None.

    Hours alone, hours and minutes, and one to six digits of a fraction are all valid.

    >>> parse_time("1030"), parse_time("103015.5 "), parse_time("10:30:15"), parse_time("2561")
    (37800.0, 37815.5, 37815.0, None)
    """
    match = _TIME.fullmatch(text.strip())
    if not match:
        return None
    hours, minutes, seconds, fraction = match.groups(default="0")
    if int(hours) > 23 or int(minutes) > 59 or int(seconds) > 60:
        return None
    return int(hours) * 3600.0 + int(minutes) * 60.0 + int(seconds) + int(fraction) / 10 ** len(fraction)


def parse_datetime(text: str) -> tuple[float, float | None] | None:
    """Return a DICOM date-time as (local seconds, UTC offset in seconds or None), or None.

    >>> a, offset = parse_datetime("20250311095330.00+0100")
    >>> offset, a % DAY_S
    (3600.0, 35610.0)
    """
    match = _DATETIME.fullmatch(text.strip())
    if not match:
        return None
    day, clock = parse_date(match.group(1)), parse_time(match.group(2))
    if day is None or clock is None:
        return None
    return day + clock, parse_offset(match.group(3) or "")


def latest_moment(time_of_day_s: float, near_s: float, grace_s: float = 0.0) -> float:
    """Return the latest moment with this time of day that is at most `grace_s` after another moment.

    >>> latest_moment(23 * 3600.0, 5 * DAY_S + 60.0) == 5 * DAY_S - 3600.0
    True
    >>> latest_moment(120.0, 5 * DAY_S - 60.0, grace_s=1800.0) == 5 * DAY_S + 120.0
    True
    """
    return near_s + grace_s - (near_s + grace_s - time_of_day_s) % DAY_S


def nearest_moment(time_of_day_s: float, near_s: float) -> float:
    """Return the moment with this time of day that lies nearest to another moment.

    >>> nearest_moment(23 * 3600.0, 5 * DAY_S + 60.0) == 5 * DAY_S - 3600.0
    True
    """
    return latest_moment(time_of_day_s, near_s, DAY_S / 2)


def parse_offset(text: str) -> float | None:
    """Return a UTC offset such as ``+0100`` in seconds, or None."""
    if text == "Z":
        return 0.0
    match = _OFFSET.fullmatch(text.strip())
    if not match:
        return None
    return (-1.0 if match.group(1) == "-" else 1.0) * (int(match.group(2)) * 3600.0 + int(match.group(3)) * 60.0)
