"""Stretches of a vessel that a reader leaves out, as finished reads and ``labels.json`` hold them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from petflame.anatomy import ARTERIES
from petflame.errors import FaultList
from petflame.typed import FARTHEST_MM, Misshapen, as_written, mapping, noting, number, word

# The first stands for every reason that a reader gives in words alone.
CODES = ("reader_exclusion", "metal", "pet_ct_mismatch")
KEYS = ("vessel", "z_min_mm", "z_max_mm", "code", "words")


@dataclass(frozen=True)
class Stretch:
    """One stretch, between two levels.

    Attributes
    ----------
    vessel : str
        An artery.
    z_min_mm, z_max_mm : float
        Lowest and highest level left out, LPS z.
    code : str
        One of `CODES`.
    words : str
    """

    vessel: str
    z_min_mm: float
    z_max_mm: float
    code: str
    words: str


def stretches_of(rows: Sequence[Any], where: str, faults: FaultList) -> tuple[Stretch, ...]:
    """Take the rows of a document for stretches; what is wrong with them joins the faults.

    Parameters
    ----------
    rows : sequence
        Each ``{"vessel", "z_min_mm", "z_max_mm", "code", "words"}``.
    where : str
        What messages call the document.
    faults : FaultList
    """
    found = []
    for n, given in enumerate(rows, start=1):
        with noting(faults, where, f"give {', '.join(KEYS)} of the stretch"):
            found.append(_stretch(given, f"left_out, row {n}"))
    for n, one in enumerate(found):
        if one in found[:n]:
            faults.add(f"left_out holds the same stretch of {one.vessel} twice", where, "keep one")
    return tuple(found)


def _stretch(given: Any, place: str) -> Stretch:
    row = mapping(given, place)
    if set(row) != set(KEYS):
        raise Misshapen(f"{place} has the keys {as_written(sorted(row))}, not {', '.join(KEYS)}")
    vessel, code, words = (word(row[key], f"{place}, {key}") for key in ("vessel", "code", "words"))
    low, high = (number(row[key], f"{place}, {key}", -FARTHEST_MM, FARTHEST_MM, "mm") for key in KEYS[1:3])
    if vessel not in ARTERIES:
        raise Misshapen(f"{place}: vessel {as_written(vessel)} is none of {', '.join(ARTERIES)}")
    if code not in CODES:
        raise Misshapen(f"{place}: code {as_written(code)} is none of {', '.join(CODES)}")
    if low > high:
        raise Misshapen(f"{place}: its lower end, {low:g} mm, lies above its upper one, {high:g} mm")
    if not words.strip():
        raise Misshapen(f"{place}: it says in no words why the stretch is left out")
    return Stretch(vessel, low, high, code, words.strip())
