"""The log of one reader's work on one item: a line an action, each bound to the one before by its hash.

A line is acknowledged when it lies on the disk. What a kill or a full disk leaves of a line that was never
acknowledged is cut off by the next one, which says how much it was.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from petflame.errors import Fault, InputRefused

START = "0" * 64
KEYS = (
    *("n", "time", "reader", "item", "petflame", "ct_sha256", "pet_sha256", "labels_sha256"),
    *("shown_sha256", "action", "why", "previous"),
)
# Beside the readers' folders once the reading is ended.
LOCK = "lock.json"
REMEDY = "restore the file from a copy; until then nothing is added to it"


class HeadMoved(Exception):
    """Another window or program has added to the log meanwhile."""


@dataclass(frozen=True)
class _Tail:
    """Where the log stands: hash and number of the last whole line, and where it ends, in bytes."""

    head: str
    n: int
    end: int


class ReadLog:
    """The log in one file.

    Parameters
    ----------
    path : Path
        Need not be there: the first line makes it, and its folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known: _Tail | None = None

    @property
    def head(self) -> str:
        """Hash of the last line; zeros where there is none."""
        return self._tail().head

    @property
    def settled_head(self) -> str:
        """Hash of the last line once whoever is adding one has done so.

        Raises
        ------
        InputRefused
            When the log is not as it was written.
        """
        handle = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(handle, fcntl.LOCK_SH)
            self.lines()
            return self.head
        finally:
            os.close(handle)

    def lines(self) -> list[dict[str, Any]]:
        """Return every line, checked.

        Raises
        ------
        InputRefused
            Naming the first line that is not as it was written.
        """
        lines, tail = _checked(self._bytes(), str(self.path.name))
        self._known = tail
        return lines

    def append(self, entry: Mapping[str, Any], expected_head: str, after_lock: bool = False) -> dict[str, Any]:
        """Add a line and return it, with its number and what it is bound to.

        Parameters
        ----------
        entry : mapping
        expected_head : str
        after_lock : bool
            Add it although the reading was ended (`petflame review lock`): it then says so, and says why.

        Raises
        ------
        HeadMoved
            When the last line is another than the one expected.
        InputRefused
            When the log is not as it was written, or the reading was ended.
        OSError
            When the line could not be kept; the lines before are as they were.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            size = os.fstat(handle).st_size
            tail = self._tail() if size else _Tail(START, 0, 0)
            if tail.head != expected_head:
                raise HeadMoved
            line = {**entry, "n": tail.n + 1, "previous": tail.head}
            if (self.path.parent.parent / LOCK).exists():
                _require_after_lock(line, after_lock, self.path.name)
                line["after_lock"] = True
            if size > tail.end:
                line["dropped_bytes"] = size - tail.end
                os.ftruncate(handle, tail.end)
            text = written_line(line)
            try:
                _write_all(handle, text, tail.end)
                os.fsync(handle)
            except OSError:
                # What was acknowledged stays; a piece of a line must not pass for more.
                with suppress(OSError):
                    os.ftruncate(handle, tail.end)
                raise
            if tail.n == 0:
                _keep_name(self.path.parent)
            self._known = _Tail(hashlib.sha256(text[:-1]).hexdigest(), tail.n + 1, tail.end + len(text))
            return line
        finally:
            os.close(handle)

    def _bytes(self) -> bytes:
        try:
            return self.path.read_bytes()
        except FileNotFoundError:
            return b""

    def _tail(self) -> _Tail:
        try:
            size = self.path.stat().st_size
        except FileNotFoundError:
            return _Tail(START, 0, 0)
        if self._known is None or self._known.end != size:
            self.lines()
        assert self._known is not None
        return self._known


def _require_after_lock(line: Mapping[str, Any], after_lock: bool, where: str) -> None:
    if not after_lock:
        remedy = "where it has to be changed all the same, say so: it then stands in the report as made after the lock"
        raise InputRefused.of("the reading was ended by `petflame review lock`", where, remedy)
    if not str(line.get("why", "")).strip():
        raise InputRefused.of("an edit after the lock needs words", where, "say why it is made")


def written_line(line: Mapping[str, Any]) -> bytes:
    """Return a line as it stands in the file: its keys sorted, sealed by the hash of what it says."""
    content = {key: value for key, value in line.items() if key != "seal"}
    return _text({**content, "seal": _seal(content)}) + b"\n"


def _text(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _seal(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(_text(content)).hexdigest()


def chain_faults(path: Path) -> list[Fault]:
    """Return what is wrong with a log: the first line that is not as it was written; nothing where all are."""
    try:
        _checked(path.read_bytes(), path.name)
    except InputRefused as error:
        return list(error.faults)
    return []


def _checked(content: bytes, where: str) -> tuple[list[dict[str, Any]], _Tail]:
    """Return the whole lines and where they end; a last line without its end was never acknowledged."""
    lines: list[dict[str, Any]] = []
    tail = _Tail(START, 0, 0)
    for text in content.split(b"\n")[:-1]:
        place = f"{where}, line {tail.n + 1}"
        line = _line(text, place)
        if line["previous"] != tail.head:
            raise InputRefused.of("it does not follow the line before it", place, REMEDY)
        if line["n"] != tail.n + 1:
            raise InputRefused.of(f"its number is {line['n']}", place, REMEDY)
        lines.append(line)
        tail = _Tail(hashlib.sha256(text).hexdigest(), tail.n + 1, tail.end + len(text) + 1)
    _require_torn(content[tail.end :], f"{where}, line {tail.n + 1}")
    return lines, tail


def _line(text: bytes, where: str) -> dict[str, Any]:
    try:
        line = json.loads(text)
        whole = isinstance(line, dict) and set(KEYS) <= set(line) and isinstance(line["action"], dict)
        # The bytes, too: another way to write the same content is not what was written.
        whole = whole and written_line(line) == text + b"\n"
    except (ValueError, RecursionError):
        whole = False
    if not whole:
        raise InputRefused.of("it is not as it was written", where, REMEDY)
    found: dict[str, Any] = line
    return found


def _require_torn(rest: bytes, where: str) -> None:
    """Refuse a last line without an end that is more than the beginning of one: its end was changed."""
    text = rest.decode(errors="replace")
    try:
        _, end = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        return
    if end < len(text):
        raise InputRefused.of("it is not as it was written", where, REMEDY)


def _write_all(handle: int, text: bytes, at: int) -> None:
    done = 0
    while done < len(text):
        done += os.pwrite(handle, text[done:], at + done)


def _keep_name(folder: Path) -> None:
    """Have the folder keep the name of a new file through a loss of power."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
