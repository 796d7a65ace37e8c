"""The values of a DICOM data set that pydicom has read, decoded by pydicom when asked for."""

from __future__ import annotations

import math
import warnings
from contextlib import ContextDecorator
from functools import lru_cache

from pydicom import config
from pydicom.dataelem import DataElement, RawDataElement, convert_raw_data_element
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

from petflame.dicom import tags as t

UNDEFINED = 0xFFFFFFFF
NUMERIC = frozenset({"DS", "IS", "US", "SS", "UL", "SL", "FL", "FD", "SV", "UV"})


class quietly(ContextDecorator):  # noqa: N801  (it reads as a phrase)
    """Keep pydicom from warning about values: what cannot be used is refused by petflame, with the file's name.

    May be nested; only the outermost one changes anything.
    """

    depth = 0

    def __enter__(self) -> None:
        quietly.depth += 1
        if quietly.depth == 1:
            self.mode = config.settings.reading_validation_mode
            config.settings.reading_validation_mode = config.IGNORE
            self.warnings = warnings.catch_warnings()
            self.warnings.__enter__()
            self.logger_disabled = config.logger.disabled
            config.logger.disabled = True
            warnings.simplefilter("ignore", UserWarning)

    def __exit__(self, *exception: object) -> None:
        quietly.depth -= 1
        if quietly.depth == 0:
            self.warnings.__exit__(None, None, None)
            config.logger.disabled = self.logger_disabled
            config.settings.reading_validation_mode = self.mode


@lru_cache(maxsize=2048)
def _public_value(
    tag: BaseTag, vr: str | None, data: bytes, implicit: bool, little: bool, encoding: tuple[str, ...]
) -> tuple[str, object]:
    """Decode one attribute with pydicom; the slices of a series repeat most of theirs."""
    element = RawDataElement(tag, vr, len(data), data, 0, implicit, little)
    with quietly():
        decoded = convert_raw_data_element(element, encoding=list(encoding))
    return str(decoded.VR), decoded.value


class Values:
    """Attributes of a data set or of a sequence item.

    A value that is absent, empty or malformed reads as None (text: as an empty string): callers treat all three as
    "not there", because a guess would be worse.

    Parameters
    ----------
    dataset : pydicom.dataset.Dataset, optional
        As read from a file; empty by default.
    """

    __slots__ = ("_dataset", "_decoded", "_elements", "_encoding", "_items")

    def __init__(self, dataset: Dataset | None = None) -> None:
        self._dataset = Dataset() if dataset is None else dataset
        self._elements = {int(e.tag): e for e in self._dataset.elements()}
        self._decoded: dict[int, tuple[str, object]] = {}
        self._items: dict[int, list[Values]] = {}
        encoding = self._dataset.original_character_set
        self._encoding = (encoding,) if isinstance(encoding, str) else tuple(encoding)

    def bytes_of(self, tag: int) -> bytes:
        """Return the stored bytes, empty when the attribute is absent or is a sequence."""
        held = self._elements.get(tag)
        value = None if held is None else held.value
        return value if isinstance(value, bytes) else b""

    def _decode(self, tag: int) -> tuple[str, object]:
        """Return value representation and value; None where pydicom cannot make sense of the bytes."""
        found = self._decoded.get(tag)
        if found is None:
            element = self._elements.get(tag)
            try:
                found = ("", None) if element is None else self._read(tag, element)
            except Exception:
                found = "", None
            self._decoded[tag] = found
        return found

    def _read(self, tag: int, element: RawDataElement | DataElement) -> tuple[str, object]:
        if isinstance(element, RawDataElement) and element.length not in (len(element.value or b""), UNDEFINED):
            return "", None  # its sequence ends before it does
        plain = isinstance(element, RawDataElement) and tag not in t.SEQUENCES and tag not in t.SIGN_DEPENDS
        if plain and element.tag.group % 2 == 0 and element.value:
            implicit, little = element.is_implicit_VR, element.is_little_endian
            return _public_value(element.tag, element.VR, element.value, implicit, little, self._encoding)
        with quietly():
            read = self._dataset[tag]
            return str(read.VR), read.value

    def text(self, tag: int) -> str:
        r"""Return text without padding; several values stay joined by ``\``."""
        vr, value = self._decode(tag)
        if value is None or vr == "SQ":
            return ""
        if isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        elif not isinstance(value, str) and hasattr(value, "__iter__") and vr != "PN":
            value = "\\".join(str(part) for part in value)
        return str(value).strip(" \0\t\r\n")

    def texts(self, tag: int) -> tuple[str, ...]:
        """Return the values of a multi-valued text."""
        text = self.text(tag)
        return tuple(part.strip() for part in text.split("\\")) if text else ()

    def numbers(self, tag: int) -> tuple[float, ...] | None:
        """Return every value as a finite float, or None."""
        vr, value = self._decode(tag)
        # Python takes 1_000 for a number and DICOM does not.
        if value is None or value == "" or b"_" in self.bytes_of(tag):
            return None
        try:
            if isinstance(value, bytes):
                # A private element whose creator was removed, or that was stored without its representation.
                parts: list[object] = list(value.decode("ascii").strip(" \0").split("\\"))
            elif vr in NUMERIC:
                parts = list(value) if hasattr(value, "__iter__") and not isinstance(value, str) else [value]
            else:
                parts = list(self.texts(tag))
            values = tuple(float(part) for part in parts)  # type: ignore[arg-type]
        except (ValueError, TypeError):
            return None
        return values if values and all(map(math.isfinite, values)) else None

    def number(self, tag: int) -> float | None:
        """Return a single finite float, or None."""
        values = self.numbers(tag)
        return values[0] if values is not None and len(values) == 1 else None

    def integer(self, tag: int) -> int | None:
        """Return a single integer, or None."""
        value = self.number(tag)
        return int(value) if value is not None and value == int(value) else None

    def items(self, tag: int) -> list[Values]:
        """Return the items of a sequence."""
        vr, value = self._decode(tag)
        if vr != "SQ" or value is None:
            return []
        items = self._items.get(tag)
        if items is None:
            try:
                with quietly():
                    items = [Values(item) for item in value]  # type: ignore[attr-defined]
            except Exception:
                items = []
            self._items[tag] = items
        return items

    def private(self, block: tuple[str, int], byte: int) -> int | None:
        """Return the tag of a private element, found through its creator.

        De-identifiers drop creators and keep values; where the group has no creator at all, the usual place counts.
        """
        creator, group = block
        named = [n for n in range(0x10, 0x100) if group << 16 | n in self._elements]
        for number in named:
            if self.text(group << 16 | number) == creator:
                tag = group << 16 | number << 8 | byte
                return tag if tag in self._elements else None
        tag = group << 16 | 0x1000 | byte
        return tag if not named and tag in self._elements else None


def wanted_tags(blocks: range) -> tuple[int, ...]:
    """List every tag that petflame may ask for, with private elements in the given blocks of their group."""
    tags = set(t.KEPT)
    for (_, group), bytes_ in t.PRIVATE_ELEMENTS.items():
        for number in blocks:
            tags.add(group << 16 | number)
            tags |= {group << 16 | number << 8 | byte for byte in bytes_}
    return tuple(sorted(tags))
