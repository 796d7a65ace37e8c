"""Which files below a folder are read, and which are passed over for what reason.

Links are followed where they stay inside the study: the folder that holds ``visits.tsv``, or the git-annex or DataLad
repository round the visit, else the visit's own folder. Every real file and folder is visited once, under its own name
where it has one there. Whatever is passed over keeps its reason, so that nothing goes missing in silence.
"""

from __future__ import annotations

import heapq
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from petflame.dicom import strangers
from petflame.dicom.strangers import ARCHIVE, NOT_FETCHED
from petflame.fingerprint import LARGEST_SOURCE

DEEPEST_FOLDER = 32
# The largest matrix that is read holds 64 MiB a frame; scanners' raw data of many GB lie beside images.
LARGEST_FILE = LARGEST_SOURCE
SYSTEM_FOLDERS = frozenset({"lost+found", "system volume information", "$recycle.bin"})
ARCHIVES = (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".zst", ".7z", ".rar")
ANNEX = ".git/annex/objects"

LINK_OUT = "links that lead out of the study"
LINK_BROKEN = "links to nothing or to themselves"
TOO_DEEP = "folders nested too deep"
CLOSED = "folders that cannot be opened"
TOO_LARGE = "files too large for one image"
SPECIAL = "pipes, sockets or devices"
REPEATED = "further names of a file that was read"
HIDDEN = "hidden files"
HIDDEN_IMAGE = "hidden DICOM files"
INDEX = "DICOMDIR indexes"
NOT_TAKEN = "damaged files of a series that was not taken"

# Reasons under which images may lie, and what to do about each.
REMEDIES = {
    LINK_OUT: "put the files themselves there, or a folder with visits.tsv round both",
    LINK_BROKEN: "mend or remove the links",
    **strangers.REMEDIES,
    TOO_LARGE: "raw data need not lie there; export images as single frames",
    TOO_DEEP: f"keep images within {DEEPEST_FOLDER} folders",
    CLOSED: "let the folder be read, or remove it",
    HIDDEN_IMAGE: "rename the files without the leading dot",
}


@dataclass(frozen=True)
class Entry:
    """One file or folder that the walk met.

    Attributes
    ----------
    path : Path
    name : str
        Path below the folder that was scanned, with forward slashes.
    aside : str
        Why it is not read; empty where it is.
    """

    path: Path
    name: str
    aside: str = ""


def study_root(folder: Path) -> Path:
    """Return the folder that links may not leave, for a visit's (resolved) folder."""
    for above in (folder, *folder.parents):
        try:
            if (above / "visits.tsv").is_file() or (above / ".git/annex").is_dir() or (above / ".datalad").is_dir():
                return above
        except OSError:
            continue
    return folder


def entries_below(root: Path) -> Iterator[Entry]:
    """Yield every file below a (resolved) folder: those that lie there first, then what links lead to."""
    study = study_root(root)
    seen: set[tuple[int, int]] = {_identity(root.stat())}
    links: list[tuple[str, Path, int]] = []
    yield from _walk(root, "", 0, seen, links)
    while links:
        name, path, depth = heapq.heappop(links)
        yield from _follow(path, name, depth, study, seen, links)


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _walk(
    folder: Path, prefix: str, depth: int, seen: set[tuple[int, int]], links: list[tuple[str, Path, int]]
) -> Iterator[Entry]:
    pending = [(folder, prefix, depth)]
    while pending:
        folder, prefix, depth = pending.pop()
        try:
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=lambda e: e.name)
        except OSError:
            yield Entry(folder, prefix or ".", CLOSED)
            continue
        for entry in entries:
            name = prefix + os.fsencode(entry.name).decode("utf-8", "replace")
            path = Path(entry.path)
            if entry.is_symlink():
                heapq.heappush(links, (name, path, depth))
            elif entry.is_dir(follow_symlinks=False):
                if entry.name == ".git" or entry.name.lower() in SYSTEM_FOLDERS:
                    yield Entry(path, name, HIDDEN)
                elif depth >= DEEPEST_FOLDER:
                    yield Entry(path, name, TOO_DEEP)
                elif _new(entry.stat(follow_symlinks=False), seen):
                    pending.append((path, name + "/", depth + 1))
            else:
                yield _file(path, name, entry.stat(follow_symlinks=False), seen)


def _new(status: os.stat_result, seen: set[tuple[int, int]]) -> bool:
    """Tell whether a file or folder was not met before, and remember it; some file systems give no number."""
    if not status.st_ino:
        return True
    known = _identity(status) in seen
    seen.add(_identity(status))
    return not known


def _file(path: Path, name: str, status: os.stat_result, seen: set[tuple[int, int]]) -> Entry:
    base = path.name
    if not stat.S_ISREG(status.st_mode):
        return Entry(path, name, SPECIAL)
    if base.startswith("."):
        return Entry(path, name, strangers.kind_by_name(base) or HIDDEN)
    if base.upper() == "DICOMDIR":
        return Entry(path, name, INDEX)
    if base.lower().endswith(ARCHIVES) and not base.lower().endswith(".nii.gz"):
        return Entry(path, name, ARCHIVE)
    if status.st_size > LARGEST_FILE:
        return Entry(path, name, TOO_LARGE)
    return Entry(path, name, "" if _new(status, seen) else REPEATED)


def _follow(
    path: Path, name: str, depth: int, study: Path, seen: set[tuple[int, int]], links: list[tuple[str, Path, int]]
) -> Iterator[Entry]:
    target = Path(os.path.realpath(path))
    try:
        status = path.stat()
    except OSError:
        yield Entry(path, name, NOT_FETCHED if ANNEX in target.as_posix() else LINK_BROKEN)
        return
    if not target.is_relative_to(study):
        yield Entry(path, name, LINK_OUT)
    elif not stat.S_ISDIR(status.st_mode):
        # The link's name counts: a store calls its files by their content.
        yield _file(path, name, status, seen)
    elif depth >= DEEPEST_FOLDER:
        yield Entry(path, name, TOO_DEEP)
    elif _new(status, seen):
        yield from _walk(path, name + "/", depth + 1, seen, links)


def counted(reasons: dict[str, int]) -> str:
    """Say how many were left aside for what, most first; empty where none were.

    >>> counted({ARCHIVE: 1, LINK_OUT: 88})
    'links that lead out of the study (88), archives (1)'
    """
    return ", ".join(f"{what} ({n})" for what, n in sorted(reasons.items(), key=lambda kv: (-kv[1], kv[0])))
