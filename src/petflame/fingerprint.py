"""What a step was made from: its choices and the content of every file that it reads, as hashes.

A step keeps this with its results; planning takes it anew and compares. File times play no part, so that an older
file put in place of a newer one is noticed and a touched but equal one is not.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from petflame.errors import InputRefused
from petflame.files import plain, read_json, sha256, write_text

Hasher = Callable[[Path], str | None]
ABSENT = "absent"
MADE_FROM = ("options", "sources", "upstream")
# No reader takes a file from outside beyond this, whatever it holds, so that its content decides nothing.
LARGEST_SOURCE = 1 << 30
TOO_LARGE = "too large"


@dataclass(frozen=True)
class Source:
    """A file or folder from outside that a step reads.

    Attributes
    ----------
    root : Path
        The file, or the folder that file names are taken relative to.
    files : tuple of Path
        Every file that is read, and every one that would be if it were there, in a fixed order.
    left : tuple of str
        What else decides the result, such as the reasons for which a folder's other entries are left aside.
    """

    root: Path
    files: tuple[Path, ...]
    left: tuple[str, ...] = ()

    @classmethod
    def of(cls, path: Path) -> Source:
        """Return a file, or every file below a folder."""
        if not path.is_dir():
            return cls(path.parent, (path,))
        return cls(path, tuple(sorted(p for p in path.rglob("*") if p.is_file())))


@dataclass(frozen=True)
class Request:
    """What a step is asked for.

    Attributes
    ----------
    verb : str
    options : mapping
        Every choice that the result depends on, such as the protocol's hash.
    sources : mapping of str to Source
        Files from outside, by their part in the step: ``dicom``, ``labels``, ``allocation``.
    upstream : mapping of str to (Path, ...)
        Records of earlier steps whose products the step reads.
    """

    verb: str
    options: Mapping[str, Any] = field(default_factory=dict)
    sources: Mapping[str, Source] = field(default_factory=dict)
    upstream: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)

    def made_from(self, hasher: Hasher) -> dict[str, Any]:
        """Return options, and hashes of sources and earlier steps, as the step's record holds them."""
        return {
            "options": plain(self.options),
            "sources": {role: _digest_of(source, hasher) for role, source in sorted(self.sources.items())},
            "upstream": {role: _digest_of_steps(paths) for role, paths in sorted(self.upstream.items())},
        }


@dataclass(frozen=True)
class Applied:
    """A reader's edits put onto the products of an earlier segmentation, which stays what they were made from.

    Attributes
    ----------
    verb : str
    earlier : mapping
        Record of the segmentation.
    edits : Source
    """

    verb: str
    earlier: Mapping[str, Any]
    edits: Source

    def made_from(self, hasher: Hasher) -> dict[str, Any]:
        """Return what the segmentation was made from, and the edits' hash as ``applied``."""
        base = {key: self.earlier.get(key) for key in MADE_FROM}
        return base | {"applied": _digest_of(self.edits, hasher)}


def _digest_of(source: Source, hasher: Hasher) -> dict[str, Any]:
    """Digest names and contents; the names themselves stay out, for they may tell who was scanned."""
    digest = hashlib.sha256()
    for path in source.files:
        name = os.fsencode(os.path.relpath(path, source.root))
        digest.update(hashlib.sha256(name).digest() + _content_of(path, hasher).encode() + b"\n")
    for word in source.left:
        digest.update(hashlib.sha256(word.encode()).digest())
    return {"files": sum(p.exists() for p in source.files), "sha256": digest.hexdigest()}


def _content_of(path: Path, hasher: Hasher) -> str:
    try:
        if path.stat().st_size > LARGEST_SOURCE:
            return TOO_LARGE
    except (OSError, ValueError):
        return ABSENT
    return hasher(path) or ABSENT


def _digest_of_steps(records: tuple[Path, ...]) -> str:
    digests = [outcome_digest(path) for path in records]
    return digests[0] if len(digests) == 1 else hashlib.sha256("\n".join(digests).encode()).hexdigest()


def outcome_digest(record: Path) -> str:
    """Return the hash of a step's outcome: status, reasons and products, whatever it was made from.

    A step that is made again with the same outcome leaves what was made from it as it is.
    """
    try:
        document = read_json(record)
    except InputRefused:
        return ABSENT
    outcome = {key: document.get(key) for key in ("status", "reasons", "products")}
    return hashlib.sha256(json.dumps(outcome, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def hash_file(path: Path) -> str | None:
    """Return the SHA-256 of a regular file; None where there is none or it cannot be read."""
    try:
        return sha256(path) if path.is_file() else None
    except OSError:
        return None


class Seen:
    """Hashes of files that were read before, believed as long as nothing about the file has changed.

    A file is hashed again unless device, inode, size, time of change of content and of inode are all as kept. The
    list holds names and times, so it lies under ``key/``; a damaged list is dropped.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._kept: dict[str, list[Any]] = {}
        self._used: dict[str, list[Any]] = {}
        if path is not None and path.exists():
            try:
                document = read_json(path)
                if document.get("sha256") == _self_digest(document.get("files")):
                    self._kept = document["files"]
            except InputRefused:
                pass

    def __call__(self, path: Path) -> str | None:
        """Return the hash of a file, from the list where it can be believed."""
        name = os.path.abspath(path)
        try:
            status = os.stat(name)
        except (OSError, ValueError):
            return None
        state = [status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]
        kept = self._kept.get(name)
        digest = kept[5] if kept is not None and kept[:5] == state else hash_file(path)
        if digest is not None:
            self._used[name] = [*state, digest]
        return digest

    def save(self) -> None:
        """Keep what was asked for; a file that nobody asked for is forgotten."""
        if self.path is None or self._used == self._kept:
            return
        files = dict(sorted(self._used.items()))
        # As it is, for names may look like what results keep out; one line, for it is long.
        write_text(self.path, _seen_text(files), private=True)
        self._kept = files


def _seen_text(files: Mapping[str, Any]) -> str:
    return json.dumps({"sha256": _self_digest(files), "files": files}) + "\n"


def seen_holds(path: Path) -> bool:
    """Whether a list of hashes is byte for byte as it was written."""
    try:
        text = path.read_text(encoding="ascii")
        return text == _seen_text(json.loads(text)["files"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _self_digest(files: Any) -> str:
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()
