"""Counts and times as the sentences of a trial say them."""

from __future__ import annotations


def counted(n: int, one: str, many: str | None = None) -> str:
    """Write a count with its noun.

    >>> counted(1, "event"), counted(0, "event"), counted(2, "is", "are")
    ('1 event', '0 events', '2 are')
    """
    return f"{n} {one if n == 1 else many or one + 's'}"


def in_years(time: float) -> str:
    """Write a time in years.

    >>> in_years(1.0), in_years(2.0), in_years(0.5)
    ('1 year', '2 years', '0.5 years')
    """
    return f"{time:g} year{'' if time == 1 else 's'}"
