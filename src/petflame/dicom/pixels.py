"""Stored pixel values: straight from the file where they are uncompressed, through a decoder where they are not."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from petflame.dicom import tags as t
from petflame.dicom.header import Header
from petflame.dicom.values import quietly
from petflame.errors import Fault, InputRefused
from petflame.privacy import named
from petflame.space.grid import Array

DECODED_SYNTAXES = {
    "1.2.840.10008.1.2.5": "RLE",
    "1.2.840.10008.1.2.4.57": "JPEG lossless",
    "1.2.840.10008.1.2.4.70": "JPEG lossless",
    "1.2.840.10008.1.2.4.80": "JPEG-LS lossless",
    "1.2.840.10008.1.2.4.90": "JPEG 2000 lossless",
    "1.2.840.10008.1.2.4.91": "JPEG 2000",
    "1.2.840.10008.1.2.4.201": "HTJ2K lossless",
}
FETCH_AGAIN = "fetch the file again from the archive"
SEQUENCE_END = b"\xfe\xff\xdd\xe0"
ITEM_START = b"\xfe\xff\x00\xe0"
MOST_FRAGMENTS = 4096


def pixel_faults(header: Header) -> list[Fault]:
    """List what is wrong with the pixels of an image, as far as its header and the file's length tell.

    Nothing is allocated or decoded: sizes that the file cannot hold are refused here.
    """
    v, where = header.values, header.told
    faults: list[Fault] = []

    def add(what: str, remedy: str = FETCH_AGAIN) -> None:
        faults.append(Fault(what, where, remedy))

    if header.compressed and header.syntax not in DECODED_SYNTAXES:
        add(
            f"its transfer syntax {named(header.syntax, '(another)')} is not read",
            "convert it to Explicit VR Little Endian, uncompressed",
        )
        return faults
    allocated, stored, high = (v.integer(x) for x in (t.BITS_ALLOCATED, t.BITS_STORED, t.HIGH_BIT))
    if allocated not in (8, 16, 32):
        add(f"{t.name(t.BITS_ALLOCATED)} is {allocated}, not 8, 16 or 32", "export it as 16-bit images")
    elif stored is None or not 1 <= stored <= allocated or (high is not None and high != stored - 1):
        add(
            f"{t.name(t.BITS_STORED)} {stored} and {t.name(t.HIGH_BIT)} {high} do not fit {allocated} bits",
            "export it again",
        )
    if v.integer(t.PIXEL_REPRESENTATION) not in (0, 1):
        add(f"{t.name(t.PIXEL_REPRESENTATION)} is missing", "export it again")
    if (v.integer(t.SAMPLES) or 1) != 1 or (v.integer(t.FRAMES) or 1) != 1:
        add("it is a colour or multi-frame image", "export it as single-frame images")
    for tag in (t.SLOPE, t.INTERCEPT):
        if v.number(tag) is None:
            add(f"{t.name(tag)} is missing or unreadable", "export it again with its rescale values")
    slope = v.number(t.SLOPE)
    if slope is not None and not 0 < slope < 1e12:
        add(f"{t.name(t.SLOPE)} = {slope:g} is not a positive scale", "export it again with its rescale values")
    rows, columns = v.integer(t.ROWS), v.integer(t.COLUMNS)
    if not header.pixel_offset:
        add(f"{t.name(t.PIXEL_DATA)} is missing (truncated, or stored as floating-point pixels?)")
    elif rows and columns and allocated:
        objection = _length_objection(header, rows * columns * (allocated // 8))
        if objection:
            add(objection)
    return faults


def _length_objection(header: Header, expected: int) -> str:
    if header.compressed:
        if header.pixel_length is not None:
            return "its compressed pixels are not encapsulated"
        return _encapsulation_objection(header, expected)
    if header.pixel_length is None:
        return "its pixel data has no length"
    held = header.size - header.pixel_offset
    if held < min(header.pixel_length, expected):
        return f"its pixel data is truncated ({held} of {expected} bytes)"
    if header.pixel_length not in (expected, expected + expected % 2):
        return f"its pixel data has {header.pixel_length} bytes where its matrix needs {expected}"
    return ""


def fragments(header: Header) -> list[bytes]:
    """Return the fragments of encapsulated pixels, the offset table first; empty when they are damaged."""
    found: list[bytes] = []
    with header.path.open("rb") as stream:
        stream.seek(header.pixel_offset)
        while len(found) < MOST_FRAGMENTS:
            head = stream.read(8)
            if head[:4] == SEQUENCE_END:
                return found
            if len(head) < 8 or head[:4] != ITEM_START:
                return []
            (length,) = struct.unpack("<I", head[4:])
            if length > header.size:
                return []
            data = stream.read(length)
            if len(data) < length:
                return []
            found.append(data)
    return []


def _encapsulation_objection(header: Header, expected: int) -> str:
    parts = fragments(header)
    if len(parts) < 2:
        return "its compressed pixel data is truncated or damaged"
    stream = b"".join(parts[1:])
    size = _codestream_size(stream)
    rows, columns = header.values.integer(t.ROWS), header.values.integer(t.COLUMNS)
    if size is not None and size != (rows, columns):
        return f"its compressed image is {size[1]} x {size[0]} where its header says {columns} x {rows}"
    if size is None and header.syntax != "1.2.840.10008.1.2.5":
        return "its compressed pixel data is damaged"
    if expected > 1000 * max(len(stream), 64):
        return "its compressed pixel data is far too short for its matrix"
    return ""


def _codestream_size(stream: bytes) -> tuple[int, int] | None:
    """Return (rows, columns) that a JPEG, JPEG-LS or JPEG 2000 stream declares for itself, or None."""
    if stream[:4] == b"\xff\x4f\xff\x51" and len(stream) >= 24:
        right, bottom, left, top = struct.unpack_from(">4I", stream, 8)
        return bottom - top, right - left
    position = 2
    while stream[:2] == b"\xff\xd8" and position + 9 <= len(stream):
        marker, code, length, _, rows, columns = struct.unpack_from(">BBHBHH", stream, position)
        if marker != 0xFF:
            return None
        if code in (0xC0, 0xC1, 0xC2, 0xC3, 0xF7):
            return int(rows), int(columns)
        position += 2 + length
    return None


def stored_bytes(header: Header) -> bytes:
    """Return the pixel bytes as they lie in the file (compressed ones without their table of offsets)."""
    if not header.pixel_offset:
        return b""
    if header.pixel_length is None:
        return b"".join(fragments(header)[1:])
    with header.path.open("rb", buffering=0) as stream:
        stream.seek(header.pixel_offset)
        return stream.read(min(header.pixel_length, header.size - header.pixel_offset))


def dtype_of(header: Header) -> np.dtype[Any]:
    """Return the number type of the stored values, little-endian."""
    kind = "i" if header.values.integer(t.PIXEL_REPRESENTATION) == 1 else "u"
    return np.dtype(f"<{kind}{(header.values.integer(t.BITS_ALLOCATED) or 16) // 8}")


def read_stored(header: Header) -> Array:
    """Read the stored values of one image that has no `pixel_faults`; shape (rows, columns).

    Raises
    ------
    InputRefused
        When the pixels are truncated, cannot be decoded, or carry more than the declared bits.
    """
    v = header.values
    shape = (v.integer(t.ROWS) or 0, v.integer(t.COLUMNS) or 0)
    if header.compressed:
        image = _decode(header, shape)
    else:
        dtype = dtype_of(header)
        with header.path.open("rb", buffering=0) as stream:
            stream.seek(header.pixel_offset)
            data = stream.read(shape[0] * shape[1] * dtype.itemsize)
        if len(data) != shape[0] * shape[1] * dtype.itemsize:
            raise InputRefused.of("its pixel data is truncated", header.told, FETCH_AGAIN)
        image = np.frombuffer(data, dtype).reshape(shape)
    stored, allocated = v.integer(t.BITS_STORED) or 16, v.integer(t.BITS_ALLOCATED) or 16
    if stored < allocated:
        image = _within_stored_bits(image, stored, header)
    return image


def _within_stored_bits(image: Array, stored: int, header: Header) -> Array:
    signed = image.dtype.kind == "i"
    low, high = (-(1 << stored - 1), (1 << stored - 1) - 1) if signed else (0, (1 << stored) - 1)
    if int(image.min()) >= low and int(image.max()) <= high:
        return image
    padding = header.values.integer(t.PADDING)
    outside = (image < low) | (image > high)
    if padding is not None and bool((image[outside] == _as_stored(padding, image.dtype)).all()):
        return image
    if signed and int(image.min()) >= 0 and int(image.max()) < 1 << stored:
        shift = 8 * image.dtype.itemsize - stored
        return (image << shift) >> shift
    raise InputRefused.of(
        f"values exceed the {stored} bits that {t.name(t.BITS_STORED)} declares (an overlay in the high bits?)",
        header.told,
        "export it again without overlays",
    )


def _as_stored(value: int, dtype: np.dtype[Any]) -> int:
    """Read a padding value in the signedness of the pixels."""
    bits = 8 * dtype.itemsize
    value &= (1 << bits) - 1
    return value - (1 << bits) if dtype.kind == "i" and value >> (bits - 1) else value


def _decode(header: Header, shape: tuple[int, int]) -> Array:
    from pydicom import dcmread

    try:
        with quietly():
            image = np.asarray(dcmread(header.path, force=True).pixel_array)
    except Exception as error:
        kind = DECODED_SYNTAXES.get(header.syntax, "compressed")
        what = f"its {kind} pixels cannot be decoded ({type(error).__name__})"
        raise InputRefused.of(what, header.told, "fetch it again, or convert it to an uncompressed syntax") from None
    if image.shape != shape:
        raise InputRefused.of(f"its decoded image has shape {image.shape}, not {shape}", header.told, FETCH_AGAIN)
    return image


def padding_range(header: Header, dtype: np.dtype[Any]) -> tuple[int, int] | None:
    """Return the lowest and highest stored value that means "outside the reconstruction", or None."""
    first = header.values.integer(t.PADDING)
    if first is None:
        return None
    last = header.values.integer(t.PADDING_LIMIT)
    a = _as_stored(first, dtype)
    b = a if last is None else _as_stored(last, dtype)
    return min(a, b), max(a, b)
