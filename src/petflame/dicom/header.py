"""The header of one DICOM file, read by pydicom as far as the pixels and no further."""

from __future__ import annotations

import io
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset, read_preamble
from pydicom.valuerep import VR

from petflame.dicom import tags as t
from petflame.dicom.values import UNDEFINED, Values, quietly, wanted_tags
from petflame.privacy import named

DICOMDIR_CLASS = str(uid.MediaStorageDirectoryStorage)
NATIVE = frozenset({str(uid.ImplicitVRLittleEndian), str(uid.ExplicitVRLittleEndian)})

FIRST_READ = 1 << 14
LARGEST_HEADER = 1 << 26
MOST_ELEMENTS = 20_000
FIRST_PIXEL_TAG = 0x7FE00008
LAST_IDENTIFYING_GROUP = 0x0020
SEQUENCE_END = b"\xfe\xff\xdd\xe0\0\0\0\0", b"\xff\xfe\xe0\xdd\0\0\0\0"
REPRESENTATIONS = frozenset(str(vr) for vr in VR if len(str(vr)) == 2)
NEAR_BLOCKS, ALL_BLOCKS = range(0x10, 0x20), range(0x10, 0x100)
PRIVATE_GROUPS = frozenset(group for _, group in t.PRIVATE_ELEMENTS)
NEAR_TAGS, ALL_TAGS = wanted_tags(NEAR_BLOCKS), wanted_tags(ALL_BLOCKS)


class HeaderUnreadable(Exception):
    """The bytes are not a header that can be trusted; the text says why.

    Attributes
    ----------
    series_uid : str
        The series that the header named before it went wrong; empty where it did not come so far.
    """

    def __init__(self, what: str, series_uid: str = "") -> None:
        super().__init__(what)
        self.series_uid = series_uid


class _NeedsMore(Exception):
    """The header runs beyond the bytes read so far."""


class _Stumbled(Exception):
    """The reading of a data set failed, for want of bytes or because of damage."""

    def __init__(self, cause: Exception, series_uid: str) -> None:
        super().__init__(str(cause))
        self.cause, self.series_uid = cause, series_uid


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
    values : Values
        Attributes.
    pixel_offset : int
        Byte where the value of PixelData begins; 0 when there is none.
    pixel_length : int or None
        Length of that value; None when it is encapsulated (compressed).
    number : int
        The file's place among all files of the folder, by name; from 1.
    """

    name: str
    path: Path
    size: int
    syntax: str
    values: Values
    pixel_offset: int
    pixel_length: int | None
    number: int = 0

    @property
    def told(self) -> str:
        """What messages call the file: its name at the screen, its number where results keep the message."""
        return named(self.name, f"file {self.number}")

    @property
    def compressed(self) -> bool:
        """Tell whether the pixels are in another than the two native little-endian transfer syntaxes."""
        return self.syntax not in NATIVE


def looks_like_dicom(start: bytes) -> bool:
    """Tell from the first 132 bytes whether a file claims to be DICOM, with or without the preamble."""
    if start[128:132] == b"DICM":
        return True
    return len(start) >= 8 and start[:2] in (b"\x08\x00", b"\x02\x00") and start[3] == 0 and start[2] <= 0x18


def read_header(path: Path, name: str, stream: BinaryIO, size: int) -> Header:
    """Read the header of one file that `looks_like_dicom`.

    The file is read piece by piece until pydicom has reached the pixels, so what is read is bounded by what the header
    takes, whatever lengths it claims.

    Raises
    ------
    HeaderUnreadable
        When the bytes end early or are no DICOM.
    """
    stream.seek(0)
    data, wanted = b"", FIRST_READ
    with quietly():
        while True:
            data += stream.read(wanted - len(data))
            complete = len(data) >= size
            try:
                syntax, dataset, offset, length = _parse(data, complete)
                return Header(name, path, size, syntax, Values(dataset), offset, length)
            except HeaderUnreadable:
                raise
            except Exception as error:
                # Bytes that end early make pydicom stumble in many ways; only the whole file can be blamed.
                cause, series_uid = (error.cause, error.series_uid) if isinstance(error, _Stumbled) else (error, "")
                if complete or isinstance(cause, HeaderUnreadable | RecursionError):
                    raise HeaderUnreadable(_blame(cause), series_uid) from None
            if wanted >= LARGEST_HEADER:
                raise HeaderUnreadable(f"its header is longer than {LARGEST_HEADER >> 20} MiB")
            wanted *= 4


def _blame(cause: Exception) -> str:
    if isinstance(cause, HeaderUnreadable):
        return str(cause)
    if isinstance(cause, RecursionError):
        return "its sequences are nested too deep"
    early = isinstance(cause, _NeedsMore | EOFError)
    return "it ends inside its header (truncated)" if early else "its header is damaged"


class _Watch:
    """Sees every element before pydicom reads it: says where to stop, and notices lengths that cannot be."""

    def __init__(self, stream: io.BytesIO, data: bytes) -> None:
        self.stream, self.data = stream, data
        self.count, self.end = 0, 0
        self.stopped, self.explicit, self.far_blocks = False, False, False
        self.offset, self.length = 0, 0
        self.sop_class, self.series_uid = "", ""

    def meta_is_over(self, tag: int, vr: str | None, length: int) -> bool:
        """Stop behind the file's meta information."""
        return tag >> 16 != 2 or self._check(int(tag), vr, length)

    def pixels_are_reached(self, tag: int, vr: str | None, length: int) -> bool:
        """Stop at the pixels; leave other objects than images after the groups that identify them."""
        at, tag = self.stream.tell(), int(tag)
        group = tag >> 16
        if tag >= FIRST_PIXEL_TAG or (group > LAST_IDENTIFYING_GROUP and self.sop_class not in t.SINGLE_FRAME_CLASSES):
            self.stopped = True
            if tag == t.PIXEL_DATA and (vr is None or vr in ("OW", "OB", "UN")):
                self.offset, self.length = at, length
            return True
        self._check(tag, vr, length)
        if tag == t.SOP_CLASS:
            self.sop_class = self._text(at, length)
        elif tag == t.SERIES_UID:
            self.series_uid = self._text(at, length)
        if group in PRIVATE_GROUPS and NEAR_BLOCKS.stop <= tag & 0xFFFF < ALL_BLOCKS.stop:
            self.far_blocks = True
        return False

    def _text(self, at: int, length: int) -> str:
        return self.data[at : at + length].decode("latin-1").strip(" \0")

    def _check(self, tag: int, vr: str | None, length: int) -> bool:
        self.count += 1
        if self.count > MOST_ELEMENTS:
            raise HeaderUnreadable(f"its header has more than {MOST_ELEMENTS} attributes")
        if tag >> 16 == 0xFFFE:
            raise HeaderUnreadable("its header is damaged (a stray item)")
        self.explicit = self.explicit or vr is not None
        if vr not in REPRESENTATIONS and (vr is not None or self.explicit):
            raise HeaderUnreadable("its header is damaged (an unknown value representation)")
        self.end = -1 if length == UNDEFINED else self.stream.tell() + length
        if self.end > len(self.data):
            raise _NeedsMore
        return False

    def must_be_whole(self, complete: bool) -> None:
        """Refuse a header that ended without reaching the pixels, unless the file ends right behind an attribute."""
        if self.stopped:
            return
        if not complete or self.stream.tell() != len(self.data):
            raise _NeedsMore
        if self.end != len(self.data) and not (self.end < 0 and self.data.endswith(SEQUENCE_END)):
            raise _NeedsMore


def _parse(data: bytes, complete: bool) -> tuple[str, Dataset, int, int | None]:
    stream = io.BytesIO(data)
    read_preamble(stream, force=True)
    syntax = ""
    if data[stream.tell() :][:2] == b"\x02\x00":
        watch = _Watch(stream, data)
        meta = Values(read_dataset(stream, is_implicit_VR=False, is_little_endian=True, stop_when=watch.meta_is_over))
        syntax = meta.text(0x00020010)
        if meta.text(0x00020002) == DICOMDIR_CLASS:
            raise HeaderUnreadable("DICOMDIR")
    at = stream.tell()
    deflated = syntax == uid.DeflatedExplicitVRLittleEndian
    if deflated:
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        data, at = inflater.decompress(data[at:], LARGEST_HEADER), 0
        if len(data) >= LARGEST_HEADER and not inflater.eof:
            raise HeaderUnreadable(f"it inflates to more than {LARGEST_HEADER >> 20} MiB")
        complete = inflater.eof
        stream = io.BytesIO(data)
    if len(data) < at + 8:
        raise _NeedsMore
    if not syntax:
        vr = data[at + 4 : at + 6]
        syntax = str(uid.ExplicitVRLittleEndian if vr.isalpha() and vr.isupper() else uid.ImplicitVRLittleEndian)
    start = stream.tell()
    for tags in (NEAR_TAGS, ALL_TAGS):
        stream.seek(start)
        watch = _Watch(stream, data)
        try:
            dataset = read_dataset(
                stream,
                is_implicit_VR=syntax == uid.ImplicitVRLittleEndian,
                is_little_endian=syntax != uid.ExplicitVRBigEndian,
                stop_when=watch.pixels_are_reached,
                specific_tags=tags,
            )
            watch.must_be_whole(complete)
        except Exception as error:
            raise _Stumbled(error, watch.series_uid) from None
        if not watch.far_blocks:
            break
    offset = 0 if deflated else watch.offset
    return syntax, dataset, offset, None if watch.length == UNDEFINED else watch.length
