"""Values an operator sets in place of the headers', each with its reason, recorded in every output."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from petflame.dicom import clock
from petflame.errors import Fault, FaultList, InputRefused
from petflame.outside import calling, read_yaml
from petflame.privacy import named
from petflame.tabletext import read_rows
from petflame.typed import as_written

COLUMNS = ("key", "value", "reason", "who")
# Key to the plausible range of its value.
NUMBERS: dict[str, tuple[float, float]] = {
    "dose_bq": (1e6, 1e10),
    "dose_mbq": (1.0, 1e4),
    "weight_kg": (2.0, 400.0),
    "height_m": (0.4, 2.5),
    "half_life_s": (10.0, 1e7),
    "uptake_min": (0.01, 1440.0),
    "number_of_slices": (2, 4096),
}
MOMENTS = frozenset({"injection_time", "reference_time"})
# `dates` = shifted: a de-identifier moved this visit's dates by an amount of their own, so they tell no order.
WORDS = {"sex": ("M", "F", "O"), "dates": ("shifted",)}
KEYS = (*NUMBERS, *sorted(MOMENTS), *WORDS)


@dataclass(frozen=True)
class Override:
    """One value and why it was set."""

    key: str
    value: str
    reason: str
    who: str


@dataclass(frozen=True)
class Overrides:
    """The overrides of one visit, by key."""

    entries: dict[str, Override] = field(default_factory=dict)

    def number(self, key: str) -> float | None:
        """Return a number in the unit of the key; a dose in MBq answers for `dose_bq`."""
        if key in self.entries:
            return float(self.entries[key].value)
        if key == "dose_bq" and "dose_mbq" in self.entries:
            return 1e6 * float(self.entries["dose_mbq"].value)
        return None

    def text(self, key: str) -> str:
        """Return a word, empty when it is not overridden."""
        return self.entries[key].value if key in self.entries else ""

    def moment(self, key: str, near_s: float | None, grace_s: float = 0.0) -> float | None:
        """Return a moment on the local clock; a time of day alone is placed by `near_s`.

        An injection is the latest one up to `grace_s` after it, a decay reference the nearest one, whichever side of
        midnight.
        """
        text = self.text(key)
        if not text:
            return None
        stamped = clock.parse_datetime(text.replace("T", " "))
        if stamped is not None:
            return stamped[0]
        time = clock.parse_time(text)
        if time is None or near_s is None:
            return None
        if key == "reference_time":
            return clock.nearest_moment(time, near_s)
        return clock.latest_moment(time, near_s, grace_s)

    def as_records(self, moments_s: dict[str, float | None], reference_s: float | None) -> list[dict[str, Any]]:
        """Return what the sidecar lists; moments are seconds relative to the decay reference, never clock times."""
        records = []
        for entry in self.entries.values():
            value: Any = entry.value
            if entry.key in NUMBERS:
                value = float(entry.value)
            elif entry.key in MOMENTS:
                moment = moments_s.get(entry.key)
                value = None if moment is None or reference_s is None else moment - reference_s
            unit = {"unit": "seconds relative to the decay reference"} if entry.key in MOMENTS else {}
            records.append({"key": entry.key, "value": value, **unit, "reason": entry.reason, "who": entry.who})
        return records


def load_overrides(path: Path | None) -> Overrides:
    """Read the overrides of a visit from TSV (columns key, value, reason, who) or YAML (a list of such entries).

    Raises
    ------
    InputRefused
        Listing every unknown key, unreadable or implausible value, missing reason or author, and repetition.
    """
    if path is None:
        return Overrides()
    faults = FaultList()
    entries: dict[str, Override] = {}
    file = calling(path, "the overrides")
    for number, row in enumerate(_rows(path, file), start=1):
        where = f"{file}, entry {number}"
        unknown = [k for k in row if k not in COLUMNS]
        if unknown:
            faults.add(
                f"unknown columns {named(', '.join(sorted(unknown)), 'of other names')}",
                where,
                f"use {', '.join(COLUMNS)}",
            )
        entry = Override(*("" if row.get(c) is None else str(row[c]).strip() for c in COLUMNS))
        if entry.key in entries:
            faults.add(f"`{entry.key}` is given twice", where, "keep one")
        objection = _objection(entry)
        if objection:
            faults.add(objection, where, "mend the entry")
        for column in ("reason", "who"):
            if not getattr(entry, column):
                faults.add(f"`{entry.key}` has no {column}", where, f"say the {column}, without names of patients")
        entries[entry.key] = entry
    if "dose_bq" in entries and "dose_mbq" in entries:
        faults.add("the dose is given in Bq and in MBq", file, "keep one")
    if "uptake_min" in entries and "injection_time" in entries:
        faults.add("both the uptake and the injection time are given", file, "keep one")
    faults.raise_if_any()
    return Overrides(entries)


def _objection(entry: Override) -> str:
    if entry.key in NUMBERS:
        low, high = NUMBERS[entry.key]
        try:
            value = float(entry.value)
        except ValueError:
            return f"`{entry.key}` = {as_written(entry.value)} is not a number"
        if not low <= value <= high:
            return f"`{entry.key}` = {value:g} is outside {low:g} to {high:g}"
        if entry.key == "number_of_slices" and value != int(value):
            return f"`{entry.key}` = {value:g} is not a whole number"
        return ""
    if entry.key in MOMENTS:
        text = entry.value.replace("T", " ")
        readable = clock.parse_time(text) is not None or clock.parse_datetime(text) is not None
        return (
            "" if readable else f"`{entry.key}` = {as_written(entry.value)} is neither HH:MM:SS nor YYYY-MM-DD HH:MM:SS"
        )
    if entry.key in WORDS:
        return "" if entry.value in WORDS[entry.key] else f"`{entry.key}` must be one of {', '.join(WORDS[entry.key])}"
    return f"the key {as_written(entry.key)} does not exist; keys are {', '.join(KEYS)}"


def _rows(path: Path, where: str) -> list[dict[str, Any]]:
    remedy = "give a TSV with the columns key, value, reason, who, or a YAML list of such entries"
    if path.suffix.lower() in (".yaml", ".yml"):
        document = read_yaml(path, where=where, remedy=remedy)
        entries = document if isinstance(document, list) else [document]
        if document is None or not all(isinstance(row, dict) for row in entries):
            raise InputRefused.of("the overrides are no list of entries", where, remedy)
        return [{str(k): v for k, v in row.items()} for row in entries]
    rows = read_rows(path, ("key",), where=where)
    return [dict(zip(rows.columns, cells, strict=True)) for cells in rows.cells]


def identity_faults(overrides: Overrides, secrets: set[str], where: str) -> list[Fault]:
    """Refuse reasons and authors that hold the patient's name or identifiers: they are copied into every output."""
    faults = []
    for entry in overrides.entries.values():
        words = f"{entry.reason} {entry.who}".lower()
        if any(secret.lower() in words for secret in secrets if len(secret) > 3):
            what = f"the reason or author of `{entry.key}` holds the patient's name or identifier"
            faults.append(Fault(what, where, "say it without identity: it is written into every output"))
    return faults
