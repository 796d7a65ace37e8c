"""The header of one DICOM file, read as far as the pixels."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from petflame.dicom.elements import UNDEFINED, Elements, HeaderUnreadable, NeedsMore, Raw, walk

IMPLICIT_LITTLE = "1.2.840.10008.1.2"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
DEFLATED = "1.2.840.10008.1.2.1.99"
EXPLICIT_BIG = "1.2.840.10008.1.2.2"
DICOMDIR_CLASS = "1.2.840.10008.1.3.10"

FIRST_READ = 1 << 14
LARGEST_HEADER = 1 << 26


@dataclass(frozen=True, slots=True)
class Header:
    """The header of one file.

    Attributes
    ----------
    name : str
        Path below the folder that was scanned, with forward slashes.
    path : Path
        Where to read the pixels.
    size : int
        Length of the file in bytes.
    syntax : str
        Transfer syntax UID.
    values : Elements
        Attributes.
    pixel_offset : int
        Byte where the value of PixelData begins; 0 when there is none.
    pixel_length : int or None
        Length of that value; None when it is encapsulated (compressed).
    """

    name: str
    path: Path
    size: int
    syntax: str
    values: Elements
    pixel_offset: int
    pixel_length: int | None

    @property
    def compressed(self) -> bool:
        """Tell whether the pixels are in a compressed transfer syntax."""
        return self.syntax not in (IMPLICIT_LITTLE, EXPLICIT_LITTLE)


def looks_like_dicom(start: bytes) -> bool:
    """Tell from the first 132 bytes whether a file claims to be DICOM, with or without the preamble."""
    if start[128:132] == b"DICM":
        return True
    return len(start) >= 8 and start[:2] in (b"\x08\x00", b"\x02\x00") and start[3] == 0 and start[2] <= 0x18


def read_header(path: Path, name: str, stream: BinaryIO, size: int) -> Header:
    """Read the header of one file that `looks_like_dicom`.

    Raises
    ------
    HeaderUnreadable
        When the bytes end early, are no DICOM, or are in a transfer syntax that is not read.
    """
    wanted = FIRST_READ
    stream.seek(0)
    data = stream.read(wanted)
    while True:
        try:
            syntax, raw, position = _parse(data, complete=len(data) >= size)
            break
        except NeedsMore:
            if len(data) >= size:
                raise HeaderUnreadable("it ends inside its header (truncated)") from None
            if wanted >= LARGEST_HEADER:
                raise HeaderUnreadable(f"its header is longer than {LARGEST_HEADER >> 20} MiB") from None
            wanted *= 4
            data += stream.read(wanted - len(data))
        except struct.error:
            raise HeaderUnreadable("its header is damaged") from None
    offset, length = _pixel_place(data, position, syntax)
    return Header(name, path, size, syntax, Elements(raw), offset, length)


def _parse(data: bytes, *, complete: bool) -> tuple[str, dict[int, Raw], int]:
    position, syntax = 0, ""
    if data[128:132] == b"DICM":
        position = 132
    if data[position : position + 2] == b"\x02\x00":
        meta, position = walk(data, position, explicit=True, meta=True)
        syntax = Elements(meta).text(0x00020010)
        if Elements(meta).text(0x00020002) == DICOMDIR_CLASS:
            raise HeaderUnreadable("DICOMDIR")
    if syntax == DEFLATED:
        raise HeaderUnreadable("its deflated transfer syntax is not read")
    if syntax == EXPLICIT_BIG:
        raise HeaderUnreadable("its retired big-endian transfer syntax is not read")
    if len(data) < position + 8:
        raise NeedsMore
    if not syntax:
        vr = data[position + 4 : position + 6]
        syntax = EXPLICIT_LITTLE if vr.isalpha() and vr.isupper() else IMPLICIT_LITTLE
    raw, position = walk(data, position, explicit=syntax != IMPLICIT_LITTLE, complete=complete)
    return syntax, raw, position


def _pixel_place(data: bytes, position: int, syntax: str) -> tuple[int, int | None]:
    head = data[position : position + 12]
    if len(head) < 8 or struct.unpack_from("<HH", head) != (0x7FE0, 0x0010):
        return 0, 0
    if syntax == IMPLICIT_LITTLE:
        length, offset = struct.unpack_from("<I", head, 4)[0], position + 8
    elif head[4:6] in (b"OW", b"OB", b"UN") and len(head) == 12:
        length, offset = struct.unpack_from("<I", head, 8)[0], position + 12
    else:
        return 0, 0
    return offset, None if length == UNDEFINED else length
