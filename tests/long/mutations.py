"""Ways in which a file can be wrong: bytes that changed, and values that nobody meant."""

from __future__ import annotations

import copy
import json
import random
import re
from collections.abc import Callable
from typing import Any

NUMBERS = [
    "",
    "0",
    "-1",
    "-0",
    "1e400",
    "nan",
    "inf",
    "-inf",
    "1e-320",
    "9" * 400,
    "0x10",
    "1,5",
    "1_000",
    "3.9",
    "1e5",
]
WORDS = [
    " ",
    "abc",
    "NA",
    "yes",
    "\u0661",
    "a\nb",
    "\x00",
    "{x}",
    "=1+1",
    "<b>",
    "../..",
    "x" * 5000,
    "20240230",
    "\ud800",
]
VALUES: list[Any] = [
    None,
    True,
    0,
    -1,
    1.5,
    10**309,
    1e308,
    float("nan"),
    float("inf"),
    "",
    "x",
    [],
    {},
    [[]],
    [0] * 50,
]


SHORT_ELEMENT = re.compile(rb"([\x08-\x54]\x00..(?:AE|AS|CS|DA|DS|DT|FD|IS|LO|PN|SH|TM|UI|UL|US))(..)", re.DOTALL)


def bytes_of(rng: random.Random, content: bytes) -> bytes:
    """Flip, cut, double, insert or overwrite bytes somewhere; one to three times."""
    data = bytearray(content)
    for _ in range(rng.randint(1, 3)):
        # Half of them early on, where headers lie.
        at = rng.randrange(min(len(data), 4096) if rng.random() < 0.5 else len(data)) if data else 0
        length = rng.choice([1, 2, 4, 16, 256])
        match rng.randrange(6):
            case 0 if data:
                data[at] ^= 1 << rng.randrange(8)
            case 1:
                del data[at : at + length]
            case 2:
                del data[at:]
            case 3:
                data[at:at] = data[at : at + length]
            case 4:
                data[at:at] = rng.randbytes(length)
            case _:
                data[at : at + length] = rng.choice([b"\x00", b"\xff", b"9", b" "]) * length
    return bytes(data)


def cells_of(rng: random.Random, content: bytes, delimiter: str = "\t") -> bytes:
    """Change cells, columns and rows of a table."""
    rows = [line.split(delimiter) for line in content.decode().splitlines()]
    for _ in range(rng.randint(1, 3)):
        row = rng.randrange(len(rows))
        column = rng.randrange(len(rows[row])) if rows[row] else 0
        match rng.randrange(6):
            case 0:
                rows.insert(row, list(rows[rng.randrange(len(rows))]))
            case 1 if len(rows) > 1:
                del rows[row]
            case 2:
                for line in rows:
                    del line[column : column + 1]
            case 3:
                rows[row].append(rng.choice(NUMBERS + WORDS))
            case _ if rows[row]:
                rows[row][column] = rng.choice(NUMBERS + WORDS)
    text = rng.choice(["\n", "\r\n", "\r"]).join(delimiter.join(row) for row in rows)
    return text.encode(rng.choice(["utf-8", "utf-8", "utf-16", "utf-8-sig"]), "surrogatepass")


def document_of(rng: random.Random, document: Any, dump: Callable[[Any], str] = json.dumps) -> bytes:
    """Change, double, drop or nest parts of a document of mappings and lists."""
    made = copy.deepcopy(document)
    for _ in range(rng.randint(1, 3)):
        places: list[tuple[Any, Any]] = []
        _collect(made, places)
        if not places:
            break
        holder, key = rng.choice(places)
        match rng.randrange(5):
            case 0:
                del holder[key]
            case 1:
                holder[key] = [holder[key]] * rng.choice([2, 30])
            case 2:
                for _ in range(rng.choice([2, 40])):
                    holder[key] = {"a": holder[key]}
            case _:
                holder[key] = rng.choice([*VALUES, *NUMBERS, *WORDS])
    return dump(made).encode("utf-8", "surrogatepass")


def _collect(part: Any, places: list[tuple[Any, Any]]) -> None:
    for key in list(part) if isinstance(part, dict) else range(len(part)) if isinstance(part, list) else ():
        places.append((part, key))
        if len(places) < 5000:
            _collect(part[key], places)


def elements_of(rng: random.Random, content: bytes) -> bytes:
    """Change, empty or drop elements of a DICOM file of explicit little-endian order, in its bytes.

    A writer would refuse most of these values.
    """
    for _ in range(rng.randint(1, 3)):
        # Group, element, a short VR, and a length of 16 bits; below sequences too.
        found = [m for m in SHORT_ELEMENT.finditer(content) if m.end() + int.from_bytes(m[2], "little") <= len(content)]
        if not found:
            break
        element = rng.choice(found)
        end = element.end() + int.from_bytes(element[2], "little")
        text = rng.choice(["", *NUMBERS, *WORDS]).encode("utf-8", "surrogatepass")
        text += b" " * (len(text) % 2)
        changed = b"" if rng.random() < 0.25 else element[1] + len(text).to_bytes(2, "little") + text
        content = content[: element.start()] + changed + content[end:]
    return content
