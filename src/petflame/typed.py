"""Values of documents from outside: each accessor returns what its place asks for, or says what stands there."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from petflame.errors import Fault, FaultList
from petflame.privacy import named

if TYPE_CHECKING:
    from pydantic import ValidationError

# A person of 2.5 m in any scanner's frame: scanners count from their table or isocentre, both within a few metres.
FARTHEST_MM = 1e4


class Misshapen(ValueError):
    """A value of a document is not what its place asks for; the message says both."""


@contextmanager
def noting(faults: FaultList, where: str, remedy: str) -> Iterator[None]:
    """Turn a `Misshapen` value into a fault of the list and go on."""
    try:
        yield
    except Misshapen as error:
        faults.add(str(error), where, remedy)


def is_finite(value: int | float) -> bool:
    """Tell whether a number is finite as a float."""
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def brief(value: object, most: int = 60) -> str:
    """Return a value as messages show it: its repr(), cut where it is long.

    >>> brief("x" * 100, 10)
    "'xxxxxx ..."
    >>> brief(float("nan")), brief(2.0)
    ('n/a', '2')
    >>> brief([np.float64(1.5), np.nan]), brief({"x": np.int64(2)})
    ('[1.5, nan]', "{'x': 2}")
    """
    # A cell of a column of numbers is one of numpy's, whose repr() names its type.
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, float):
        return "n/a" if math.isnan(value) else repr(value).removesuffix(".0")
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 256:
        return "a whole number of more than 77 digits"
    if isinstance(value, (list, tuple, dict)):
        value = _plain(type(value)(list(value.items() if isinstance(value, dict) else value)[:8]))
    text = repr(value)
    return text if len(text) <= most else f"{text[: most - 3]} ..."


def _plain(value: Any) -> Any:
    """Return a collection with numpy's numbers as Python's own."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map(_plain, value))
    return value.item() if isinstance(value, np.generic) else value


def as_written(value: object, instead: str = "(its text is not recorded)") -> str:
    """Return a cell's text for a message: the screen shows it, records say that it stands in the file alone.

    Its place must stand beside it: file, line and column.

    >>> from petflame.privacy import with_names, without_names
    >>> with_names(f"arm {as_written('verum')} is unknown"), without_names(f"arm {as_written('verum')} is unknown")
    ("arm 'verum' is unknown", 'arm (its text is not recorded) is unknown')
    """
    return named(brief(value), instead)


def number(value: Any, place: str, low: float = -math.inf, high: float = math.inf, unit: str = "") -> float:
    """Return a finite number from `low` to `high`.

    Raises
    ------
    Misshapen
        When it is no number (text and booleans are none), not finite, or out of range.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise Misshapen(f"{place} is {brief(value)}, not a number")
    if not is_finite(value):
        raise Misshapen(f"{place} is not a finite number")
    if not low <= value <= high:
        raise Misshapen(f"{place} is {float(value):g}, not within {low:g} to {high:g}{' ' + unit if unit else ''}")
    return float(value)


def point_mm(value: Any, place: str) -> tuple[float, float, float]:
    """Return x, y, z in mm, each within 10 m of the frame's origin.

    Raises
    ------
    Misshapen
        When it is anything else.
    """
    if not isinstance(value, (list, tuple)) or len(value) != 3:
        raise Misshapen(f"{place} is {brief(value)}, not a point x, y, z")
    x, y, z = (
        number(v, f"{place}, {axis}", -FARTHEST_MM, FARTHEST_MM, "mm") for v, axis in zip(value, "xyz", strict=True)
    )
    return x, y, z


def mapping(value: Any, place: str) -> dict[str, Any]:
    """Return a mapping with its keys as text; None is an empty one.

    Raises
    ------
    Misshapen
        When it is anything else.
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise Misshapen(f"{place} is {brief(value)}, not a mapping of names")
    return {str(key): part for key, part in value.items()}


def sequence(value: Any, place: str) -> list[Any]:
    """Return a list; None is an empty one.

    Raises
    ------
    Misshapen
        When it is anything else.
    """
    if value is None:
        return []
    if not isinstance(value, list):
        raise Misshapen(f"{place} is {brief(value)}, not a list")
    return value


def word(value: Any, place: str) -> str:
    """Return text.

    Raises
    ------
    Misshapen
        When it is anything else, None too.
    """
    if not isinstance(value, str):
        raise Misshapen(f"{place} is {brief(value)}, not text")
    return value


def validation_faults(error: ValidationError, where: str) -> list[Fault]:
    """Turn every complaint of a pydantic model into a fault with a remedy."""
    faults = []
    for item in error.errors():
        key = ".".join(str(part) for part in item["loc"]) or "(whole file)"
        if item["type"] == "extra_forbidden":
            faults.append(Fault(f"the key `{key}` does not exist", where, "remove it or mend its spelling"))
        else:
            faults.append(
                Fault(f"`{key}` = {brief(item['input'])}: {item['msg']}", where, "give a value the key allows")
            )
    return faults
