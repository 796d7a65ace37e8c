"""Reading files that come from outside: text, JSON, YAML and property lists, with bounds on all that they can be.

Whatever such a file holds, the outcome is plain values (mappings with text keys, lists, text, numbers, booleans, None,
and from property lists dates and bytes) or an `InputRefused` that names the file and the place. Tables are read by
`petflame.tabletext` on the same ground.
"""

from __future__ import annotations

import codecs
import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from petflame.errors import InputRefused, is_of_the_machine
from petflame.privacy import named
from petflame.typed import Misshapen, brief, is_finite

MEBIBYTE = 1 << 20


@dataclass(frozen=True)
class Bounds:
    """What a file may be at most.

    Attributes
    ----------
    size_bytes : int
    depth : int
        Levels of mappings and lists within each other.
    elements : int
        Values in it, those that an alias or a shared reference repeats counted each time.
    finite : bool
        Refuse NaN, infinities and integers beyond the range of a float wherever they stand. An export of ROIs may
        hold them in statistics that nobody reads.
    """

    size_bytes: int = 4 * MEBIBYTE
    depth: int = 32
    elements: int = 500_000
    finite: bool = True


NOTES = Bounds()
# Documents that petflame writes itself: centrelines and every result of a trial of thousands.
PRODUCTS = Bounds(size_bytes=64 * MEBIBYTE, elements=5_000_000)
# YAML is for people, and its reader is slow: the longest protocol of ours has 10 kB.
CHOICES = Bounds(size_bytes=MEBIBYTE // 4, elements=20_000)


# Names that are ours, so that records may say them.
_STUDY_TABLES = ("participants.tsv", "visits.tsv", "allocation.tsv", "outcomes.tsv", "decisions.tsv")
_READERS = ("left_out.tsv", "exclusions.tsv")
TABLES = frozenset((*_STUDY_TABLES, *_READERS, "patients.tsv", "vessels.tsv", "variations.tsv", "slices.tsv"))


def calling(path: Path, stand_in: str = "") -> str:
    """Return how messages name a file from outside: the screen says its path, records the stand-in."""
    return named(path, stand_in or (path.name if path.name in TABLES else "the file"))


def is_regular(path: Path) -> bool:
    """Tell whether a path names a regular file, or a link to one; False for everything that cannot be looked at."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False


# --- bytes and text -------------------------------------------------------------------------------------------------


def read_bytes(path: Path, most: int, where: str = "", remedy: str = "name a file that exists") -> bytes:
    """Read a regular file (or a link to one) of at most `most` bytes.

    Raises
    ------
    InputRefused
        When it is missing, a folder, a pipe, a device, a link to itself, not readable, or larger.
    """
    where = where or calling(path)
    try:
        kind = os.stat(path).st_mode
        if not stat.S_ISREG(kind):
            raise InputRefused.of(f"it is {_kind(kind)}, not a regular file", where, remedy)
        # Not to wait on a pipe that has taken the file's place since.
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(handle, "rb") as stream:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise InputRefused.of("it is not a regular file", where, remedy)
            content = stream.read(most + 1)
    except FileNotFoundError:
        raise InputRefused.of("the file is missing", where, remedy) from None
    except (OSError, ValueError) as error:
        if is_of_the_machine(error):
            raise
        # ValueError: a NUL within the name.
        said = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise InputRefused.of(f"it cannot be opened ({said})", where, remedy) from None
    if len(content) > most:
        raise InputRefused.of(f"it is larger than {most // 1024} kB", where, "check that this is the file you mean")
    return content


def _kind(mode: int) -> str:
    for test, word in (
        (stat.S_ISDIR, "a folder"),
        (stat.S_ISFIFO, "a pipe"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISCHR, "a device"),
        (stat.S_ISBLK, "a device"),
    ):
        if test(mode):
            return word
    return "something else"


def read_text(
    path: Path, most: int, where: str = "", remedy: str = "name a file that exists", utf16: bool = False
) -> str:
    """Read UTF-8 text, with or without a byte order mark; with `utf16` also UTF-16 that begins with one.

    Raises
    ------
    InputRefused
        As `read_bytes`; also for UTF-16 and UTF-32, other encodings, and NUL characters, each said in plain words.
    """
    where = where or calling(path)
    content = read_bytes(path, most, where, remedy)
    for mark, name in (
        (codecs.BOM_UTF32_LE, "UTF-32"),
        (codecs.BOM_UTF32_BE, "UTF-32"),
        (codecs.BOM_UTF16_LE, "UTF-16 (what Excel calls Unicode text)"),
        (codecs.BOM_UTF16_BE, "UTF-16 (what Excel calls Unicode text)"),
    ):
        if content.startswith(mark):
            if utf16 and name != "UTF-32":
                return _decoded_utf16(content, where)
            raise InputRefused.of(f"it is saved as {name}", where, "save it as UTF-8")
    if b"\0" in content:
        line = content[: content.index(b"\0")].count(b"\n") + 1
        what = f"line {line} holds a NUL character: the file is damaged, or saved as UTF-16"
        raise InputRefused.of(what, where, "save it as UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        what = f"line {line} holds a character that is not UTF-8"
        raise InputRefused.of(what, where, "save it as UTF-8") from None


def _decoded_utf16(content: bytes, where: str) -> str:
    try:
        text = content.decode("utf-16")
    except UnicodeDecodeError:
        raise InputRefused.of("it begins as UTF-16 and holds what is not", where, "save it as UTF-8") from None
    if "\0" in text:
        raise InputRefused.of("it holds a NUL character: the file is damaged", where, "save it as UTF-8")
    return text


# --- documents ------------------------------------------------------------------------------------------------------


def read_json(
    path: Path, bounds: Bounds = NOTES, where: str = "", remedy: str = "write it again, as UTF-8 JSON"
) -> Any:
    """Read a JSON document; a key that stands twice in one object is refused, since either could be meant.

    Raises
    ------
    InputRefused
        As `read_text`; when it is no JSON, or goes beyond the bounds.
    """
    where = where or calling(path)
    text = read_text(path, bounds.size_bytes, where, remedy)
    try:
        document = json.loads(text, object_pairs_hook=_once)
    except RecursionError:
        raise _too_deep(bounds, where) from None
    except Misshapen as error:
        raise InputRefused.of(str(error), where, "keep one") from None
    except ValueError as error:
        raise InputRefused.of(f"it cannot be read as JSON ({error})", where, remedy) from None
    return _bounded(document, bounds, where)


def read_json_object(
    path: Path, bounds: Bounds = NOTES, where: str = "", remedy: str = "write it again, as UTF-8 JSON"
) -> dict[str, Any]:
    """Read a JSON document that must be an object.

    Raises
    ------
    InputRefused
        As `read_json`, and when it holds anything but an object.
    """
    document = read_json(path, bounds, where, remedy)
    if not isinstance(document, dict):
        raise InputRefused.of("it does not hold a JSON object", where or calling(path), remedy)
    return document


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise Misshapen(f"the key {brief(twice)} stands twice in one object")
    return document


def read_yaml(path: Path, bounds: Bounds = CHOICES, where: str = "", remedy: str = "name a YAML file") -> Any:
    """Read a YAML document of plain values.

    Numbers are decimal: what YAML 1.1 takes for octal (070), sexagesimal (10:30:00) or a date stays text as written.
    A key that stands twice in one mapping is refused, since either could be meant.

    Raises
    ------
    InputRefused
        As `read_text`; when it is no YAML, holds tags of a programming language, contains itself, or goes beyond the
        bounds.
    """
    import yaml

    from petflame.yamltext import PlainLoader, weigh

    where = where or calling(path)
    text = read_text(path, bounds.size_bytes, where, remedy)
    try:
        deepest, elements = weigh(text, bounds.depth, bounds.elements)
        if deepest > bounds.depth:
            raise _too_deep(bounds, where)
        if elements > bounds.elements:
            raise _too_many(bounds, where)
        document = yaml.load(text, PlainLoader)  # noqa: S506 (a SafeLoader)
    except RecursionError:
        raise _too_deep(bounds, where) from None
    except (yaml.YAMLError, ValueError) as error:
        said = " ".join(str(error).split())
        raise InputRefused.of(f"it cannot be read as YAML ({said})", where, remedy) from None
    return _bounded(document, bounds, where)


def read_plist(path: Path, bounds: Bounds, where: str = "", remedy: str = "export it again") -> Any:
    """Read a property list, XML or binary; entities are refused by its parser.

    Raises
    ------
    InputRefused
        As `read_bytes`; when it is no property list, or goes beyond the bounds.
    """
    import plistlib

    where = where or calling(path)
    content = read_bytes(path, bounds.size_bytes, where, remedy)
    try:
        document = plistlib.loads(content)
    except MemoryError:
        raise
    except RecursionError:
        raise _too_deep(bounds, where) from None
    except Exception as error:  # the parser lets errors of every kind through
        said = " ".join(str(error).split()) or type(error).__name__
        raise InputRefused.of(f"it cannot be read as a property list ({said})", where, remedy) from None
    return _bounded(document, bounds, where, plain=False)


def _too_deep(bounds: Bounds, where: str) -> InputRefused:
    what = f"its lists and mappings lie more than {bounds.depth} levels within each other"
    raise InputRefused.of(what, where, "check that this is the file you mean")


def _too_many(bounds: Bounds, where: str) -> InputRefused:
    what = f"it holds more than {bounds.elements} values"
    raise InputRefused.of(what, where, "check that this is the file you mean")


def _bounded(document: Any, bounds: Bounds, where: str, plain: bool = True) -> Any:
    """Return the document unless a bound is broken; walked without recursion, every shared part each time it stands."""
    stack: list[tuple[Any, int, tuple[Any, ...]]] = [(document, 0, ())]
    count = 0
    while stack:
        value, depth, place = stack.pop()
        count += 1
        if count > bounds.elements:
            raise _too_many(bounds, where)
        if isinstance(value, (dict, list)):
            if depth >= bounds.depth:
                raise _too_deep(bounds, where)
            parts = value.items() if isinstance(value, dict) else enumerate(value)
            for key, part in parts:
                # A name may tell who was scanned; a place of a few levels is enough to find it.
                stack.append((part, depth + 1, (place, key)))
                if isinstance(key, str) and not _is_text(key):
                    what = f"a key at {_place(place)} holds a character that is no text"
                    raise InputRefused.of(what, where, "write it in plain UTF-8")
                if isinstance(value, dict) and not isinstance(key, (str, int, float, type(None))):
                    raise InputRefused.of(f"a key at {_place(place)} is not text", where, "give every key a name")
        elif isinstance(value, str):
            if not _is_text(value):
                what = f"{_place(place)} holds a character that is no text"
                raise InputRefused.of(what, where, "write it in plain UTF-8")
        elif isinstance(value, (int, float)):
            if bounds.finite and not is_finite(value):
                what = f"{_place(place)} is not a finite number"
                raise InputRefused.of(what, where, "give a number, or leave it out")
        elif plain and value is not None:
            what = f"{_place(place)} is neither text, number, list nor mapping"
            raise InputRefused.of(what, where, "write plain values")
    return document


def _is_text(text: str) -> bool:
    """Whether UTF-8 can hold it (half of a surrogate pair cannot be written) and it has no NUL."""
    if "\0" in text:
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _place(place: tuple[Any, ...]) -> str:
    keys: list[str] = []
    while place:
        place, key = place
        keys.append(f"[{key}]" if isinstance(key, int) else named(brief(key), "a key"))
    return " ".join(reversed(keys)) or "the document"
