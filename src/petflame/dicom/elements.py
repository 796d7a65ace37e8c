"""Walking over the elements of a DICOM data set, and decoding the few that are kept.

Only attributes named in `petflame.dicom.tags` are kept, as raw bytes; they are decoded when asked for. A walk of our
own costs a fraction of a general reader's time, and its work and memory are bounded by the bytes that are really there.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from typing import TypeAlias

from petflame.dicom import tags as t

DEEPEST_NESTING = 12
UNDEFINED = 0xFFFFFFFF
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
FIRST_PIXEL_TAG = 0x7FE00008
LAST_IDENTIFYING_GROUP = 0x0020
LONG_FORM = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
BINARY = {b"US": "<H", b"SS": "<h", b"UL": "<I", b"SL": "<i", b"FL": "<f", b"FD": "<d", b"SV": "<q", b"UV": "<Q"}

_EXPLICIT = struct.Struct("<HH2sH")
_IMPLICIT = struct.Struct("<HHI")
_LENGTH = struct.Struct("<I")
_NUMBER = frozenset("0123456789+-.eE ")


Raw: TypeAlias = "tuple[bytes, bytes] | list[Elements]"


class HeaderUnreadable(Exception):
    """The bytes are not a header that can be trusted; the text says why."""


class NeedsMore(Exception):
    """The walk ran beyond the bytes read so far."""


class Elements:
    """Attributes of a data set or of a sequence item, decoded on request.

    A value that is absent, empty or malformed reads as None (text: as an empty string): callers treat all three as
    "not there", because a guess would be worse.
    """

    __slots__ = ("raw",)

    def __init__(self, raw: Mapping[int, Raw]) -> None:
        self.raw = raw

    def bytes_of(self, tag: int) -> bytes:
        """Return the stored bytes, empty when the attribute is absent or is a sequence."""
        held = self.raw.get(tag)
        return held[1] if isinstance(held, tuple) else b""

    def text(self, tag: int) -> str:
        """Return text without padding."""
        data = self.bytes_of(tag)
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError:
            text = data.decode("latin-1")
        return text.strip(" \0\t\r\n")

    def texts(self, tag: int) -> tuple[str, ...]:
        """Return the values of a multi-valued text."""
        text = self.text(tag)
        return tuple(part.strip() for part in text.split("\\")) if text else ()

    def numbers(self, tag: int) -> tuple[float, ...] | None:
        """Return every value as a finite float, or None."""
        held = self.raw.get(tag)
        if not isinstance(held, tuple) or not held[1]:
            return None
        vr, data = held
        form = BINARY.get(vr) or ("<H" if tag in t.UNSIGNED_SHORT else None)
        try:
            if form is not None:
                values = [float(v[0]) for v in struct.iter_unpack(form, data)]
            else:
                parts = data.decode("ascii").strip(" \0").split("\\")
                if not all(part and set(part) <= _NUMBER for part in parts):
                    return None
                values = [float(part) for part in parts]
        except (ValueError, struct.error):
            return None
        return tuple(values) if values and all(map(math.isfinite, values)) else None

    def number(self, tag: int) -> float | None:
        """Return a single finite float, or None."""
        values = self.numbers(tag)
        return values[0] if values is not None and len(values) == 1 else None

    def integer(self, tag: int) -> int | None:
        """Return a single integer, or None."""
        value = self.number(tag)
        return int(value) if value is not None and value == int(value) else None

    def items(self, tag: int) -> list[Elements]:
        """Return the items of a sequence."""
        held = self.raw.get(tag)
        return held if isinstance(held, list) else []

    def private(self, block: tuple[str, int], byte: int) -> int | None:
        """Return the tag of a private element, found through its creator.

        De-identifiers drop creators and keep values; where the group has no creator at all, the usual place counts.
        """
        creator, group = block
        blocks = range(0x10, 0x100)
        named = {b: self.text(group << 16 | b) for b in blocks if group << 16 | b in self.raw} if self.raw else {}
        for number, text in named.items():
            if text == creator:
                tag = group << 16 | number << 8 | byte
                return tag if tag in self.raw else None
        tag = group << 16 | 0x1000 | byte
        return tag if not named and tag in self.raw else None


def walk(
    data: bytes,
    position: int,
    *,
    explicit: bool,
    meta: bool = False,
    item: bool = False,
    end: int = -1,
    depth: int = 0,
    complete: bool = False,
) -> tuple[dict[int, Raw], int]:
    """Walk over elements from `position`; stop at the pixels, after the meta group, or at the end of an item.

    Objects other than single-frame images are left after the groups that identify them: their bodies can be long.
    """
    if depth > DEEPEST_NESTING:
        raise HeaderUnreadable("its sequences are nested too deep")
    kept: dict[int, Raw] = {}
    size = len(data)
    while end < 0 or position < end:
        if position + 8 > size:
            if complete and position == size:
                return kept, position
            raise NeedsMore
        if explicit:
            group, element, vr, length = _EXPLICIT.unpack_from(data, position)
            begin = position + 8
        else:
            group, element, length = _IMPLICIT.unpack_from(data, position)
            vr, begin = b"", position + 8
        tag = group << 16 | element
        if tag == ITEM_END and item:
            return kept, begin
        if not item:
            if tag >= 0x7FE00008 and position + 12 > size:
                raise NeedsMore
            if (meta and group != 2) or tag >= 0x7FE00008:
                return kept, position
            if group > 0x0020 and not meta and _sop_class(kept) not in t.SINGLE_FRAME_CLASSES:
                return kept, position
        if group == 0xFFFE:
            raise HeaderUnreadable("its header is damaged (a stray item)")
        if explicit and vr in LONG_FORM:
            if begin + 4 > size:
                raise NeedsMore
            (length,) = _LENGTH.unpack_from(data, begin)
            begin += 4
        elif explicit and not (vr.isalpha() and vr.isupper()):
            raise HeaderUnreadable("its header is damaged (an unknown value representation)")
        wanted = _kept(tag) or meta
        if length == UNDEFINED or (wanted and tag in t.SEQUENCES):
            inner = explicit and vr != b"UN"
            items, position = _sequence(data, begin, length, explicit=inner, depth=depth)
            if wanted and tag in t.SEQUENCES:
                kept[tag] = items
            continue
        position = begin + length
        if position > size or (end >= 0 and position > end):
            raise NeedsMore if end < 0 or position <= end else HeaderUnreadable("its header is damaged (a length)")
        if wanted:
            kept[tag] = (vr, data[begin:position])
    return kept, position


def _sequence(data: bytes, position: int, length: int, *, explicit: bool, depth: int) -> tuple[list[Elements], int]:
    stop = len(data) + 1 if length == UNDEFINED else position + length
    items: list[Elements] = []
    while position < stop:
        if position + 8 > len(data):
            raise NeedsMore
        group, element, size = _IMPLICIT.unpack_from(data, position)
        tag, position = group << 16 | element, position + 8
        if tag == SEQUENCE_END:
            return items, position
        if tag != ITEM:
            raise HeaderUnreadable("its header is damaged (a sequence without items)")
        end = -1 if size == UNDEFINED else position + size
        kept, position = walk(data, position, explicit=explicit, item=True, end=end, depth=depth + 1)
        items.append(Elements(kept))
    return items, position


def _sop_class(kept: Mapping[int, Raw]) -> bytes:
    held = kept.get(t.SOP_CLASS)
    return held[1].rstrip(b"\0 ") if isinstance(held, tuple) else b""


def _kept(tag: int) -> bool:
    if tag in t.KEPT:
        return True
    if tag >> 16 not in t.PRIVATE_GROUPS:
        return False
    low = tag & 0xFFFF
    return 0x10 <= low <= 0xFF or (low >= 0x1000 and low & 0xFF in t.PRIVATE_BYTES)
