"""Finding DICOM headers below a folder, however archives export them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from petflame.dicom.header import Header, HeaderUnreadable, looks_like_dicom, read_header
from petflame.dicom.values import quietly
from petflame.errors import Fault, InputRefused

IMAGE_SUFFIXES = frozenset({".dcm", ".dicom", ".ima"})
DEEPEST_FOLDER = 32
MOST_FILES = 200_000
FETCH_AGAIN = "fetch the file again from the archive"


@dataclass(frozen=True)
class Scan:
    """What lies below a folder.

    Attributes
    ----------
    root : Path
        The folder, resolved.
    headers : tuple of Header
        Every readable DICOM header, sorted by name.
    ignored : tuple of (str, str)
        Files that were left, with the reason.
    faults : tuple of Fault
        Files that claim to be DICOM and cannot be read: a slice may be among them, so none is skipped in silence.
    series_of : mapping of Fault to str
        The series that a damaged file still named.
    """

    root: Path
    headers: tuple[Header, ...]
    ignored: tuple[tuple[str, str], ...]
    faults: tuple[Fault, ...]
    series_of: Mapping[Fault, str] = field(default_factory=dict)


@quietly()
def scan_folder(folder: Path) -> Scan:
    """Read the header of every DICOM file below a folder.

    Extensions do not matter and folders may be nested. DICOMDIR is never followed, nor is a link that leaves the
    folder; linked folders are not entered at all.

    Raises
    ------
    InputRefused
        When the folder does not exist, is not a folder, or holds more files than a study can.
    """
    if not folder.is_dir():
        what = "it is a file, not a folder" if folder.exists() else "the folder does not exist"
        raise InputRefused.of(what, str(folder), "name the folder that holds the DICOM files of one visit")
    root = folder.resolve()
    headers: list[Header] = []
    ignored: list[tuple[str, str]] = []
    faults: list[Fault] = []
    series_of: dict[Fault, str] = {}
    for number, (path, name, objection) in enumerate(files_below(root)):
        if number >= MOST_FILES:
            raise InputRefused.of(
                f"it holds more than {MOST_FILES} files",
                str(folder),
                "name the folder of one visit, not of the archive",
            )
        if objection:
            ignored.append((name, objection))
            continue
        try:
            header = _read(path, name)
        except (HeaderUnreadable, OSError) as error:
            if str(error) == "DICOMDIR":
                ignored.append((name, "a DICOMDIR is an index, not an image"))
                continue
            what = str(error) if isinstance(error, HeaderUnreadable) else "it cannot be read"
            fault = Fault(what, name, FETCH_AGAIN)
            faults.append(fault)
            if isinstance(error, HeaderUnreadable) and error.series_uid:
                series_of[fault] = error.series_uid
            continue
        if header is None:
            ignored.append((name, "not DICOM"))
        else:
            headers.append(header)
    headers.sort(key=lambda h: h.name)
    return Scan(root, tuple(headers), tuple(sorted(ignored)), tuple(sorted(faults)), series_of)


def _read(path: Path, name: str) -> Header | None:
    with path.open("rb", buffering=0) as stream:
        size = os.fstat(stream.fileno()).st_size
        start = stream.read(132)
        if not looks_like_dicom(start):
            if path.suffix.lower() in IMAGE_SUFFIXES:
                raise HeaderUnreadable("it is named like a DICOM file and holds none (damaged or truncated)")
            return None
        return read_header(path, name, stream, size)


def files_below(root: Path) -> Iterator[tuple[Path, str, str]]:
    """Yield (path, name below the root, objection) of every file, without leaving the root."""
    pending = [(root, "", 0)]
    while pending:
        folder, prefix, depth = pending.pop()
        try:
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=lambda e: e.name)
        except OSError:
            yield folder, prefix or ".", "the folder cannot be opened"
            continue
        for entry in entries:
            name = prefix + os.fsencode(entry.name).decode("utf-8", "replace")
            path = Path(entry.path)
            if entry.is_symlink():
                target = path.resolve()
                inside = target.is_relative_to(root)
                if inside and target.is_file():
                    yield path, name, ""
                else:
                    yield path, name, "a linked folder" if inside else "a link that leaves the folder"
            elif entry.is_dir(follow_symlinks=False):
                if depth < DEEPEST_FOLDER:
                    pending.append((path, name + "/", depth + 1))
                else:
                    yield path, name, "a folder nested too deep"
            elif entry.name.startswith(".") or not entry.is_file(follow_symlinks=False):
                yield path, name, "a hidden or special file"
            elif entry.name.upper() == "DICOMDIR":
                yield path, name, "a DICOMDIR is an index, not an image"
            else:
                yield path, name, ""
