"""Finding DICOM headers below a folder, however archives export them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from petflame.dicom import listing, strangers
from petflame.dicom.header import Header, HeaderUnreadable, looks_like_dicom, read_header
from petflame.dicom.values import quietly
from petflame.errors import Fault, InputRefused
from petflame.files import is_litter
from petflame.privacy import named

MOST_FILES = 200_000
FETCH_AGAIN = "fetch the file again from the archive"
UNPACK = "unpack it, or export the image again as a plain file"
ELSEWHERE = "its content is not here"


@dataclass(frozen=True)
class Scan:
    """What lies below a folder.

    Attributes
    ----------
    root : Path
        The folder, resolved.
    headers : tuple of Header
        Every readable DICOM header, sorted by name; each has the number of its file among all files.
    ignored : tuple of (str, str)
        Files that were left, with the reason (`petflame.dicom.listing`).
    faults : tuple of Fault
        Files that claim to be DICOM and cannot be read: a slice may be among them, so none is skipped in silence.
    unread : tuple of Fault
        Folders that cannot be opened and images whose content is not here: as grave, unless the PET is known to be
        complete without them.
    series_of : mapping of Fault to str
        The series that a damaged file still named.
    """

    root: Path
    headers: tuple[Header, ...]
    ignored: tuple[tuple[str, str], ...]
    faults: tuple[Fault, ...]
    unread: tuple[Fault, ...] = ()
    series_of: Mapping[Fault, str] = field(default_factory=dict)

    @property
    def left_aside(self) -> dict[str, int]:
        """How many files were left aside, by reason."""
        return dict(sorted(Counter(reason for _, reason in self.ignored).items()))

    def doubts(self) -> list[str]:
        """Say what was left aside although images may be among it, with what to do; a warning a reason."""
        return [
            f"left aside: {listing.counted({reason: count})}; {listing.REMEDIES[reason]}"
            for reason, count in self.left_aside.items()
            if reason in listing.REMEDIES
        ]


@quietly()
def scan_folder(folder: Path) -> Scan:
    """Read the header of every DICOM file below a folder.

    Extensions do not matter and folders may be nested. DICOMDIR is never followed; links are, inside the study.

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
    unread: list[Fault] = []
    series_of: dict[Fault, str] = {}
    strange: list[tuple[str, str]] = []
    for number, (path, name, aside) in enumerate(files_below(root), start=1):
        if number > MOST_FILES:
            what = f"it holds more than {MOST_FILES} files"
            raise InputRefused.of(what, str(folder), "name the folder of one visit, not of the archive")
        told = named(name, f"file {number}")
        if aside:
            if aside == listing.CLOSED:
                told = named(name, f"folder {number}")
                unread.append(Fault("the folder cannot be opened", told, listing.REMEDIES[aside]))
            elif aside == listing.HIDDEN and _holds_dicom(path):
                aside = listing.HIDDEN_IMAGE
            elif aside == strangers.PLACEHOLDER and strangers.stands_for_image(name):
                unread.append(Fault(ELSEWHERE, told, listing.REMEDIES[aside]))
            ignored.append((name, aside))
            continue
        try:
            header = _read(path, name)
        except (HeaderUnreadable, OSError) as error:
            if str(error) == "DICOMDIR":
                ignored.append((name, listing.INDEX))
                continue
            what = str(error) if isinstance(error, HeaderUnreadable) else "it cannot be read"
            fault = Fault(what, told, FETCH_AGAIN)
            faults.append(fault)
            if isinstance(error, HeaderUnreadable) and error.series_uid:
                series_of[fault] = error.series_uid
            continue
        if isinstance(header, Header):
            headers.append(replace(header, number=number))
        elif strangers.stands_for_image(name) and header not in strangers.ELSEWHERE:
            what = strangers.SAID.get(header, "it is named like a DICOM file and holds none (damaged or truncated)")
            faults.append(Fault(what, told, UNPACK if header == strangers.ARCHIVE else FETCH_AGAIN))
        else:
            if strangers.stands_for_image(name):
                unread.append(Fault(ELSEWHERE, told, listing.REMEDIES[header]))
            strange.append((name, header))
    neighbours = strangers.Neighbours(header.name for header in headers)
    for name, kind in strange:
        like = strangers.LIKE_IMAGES if neighbours.resemble(name) else strangers.NOT_DICOM
        ignored.append((name, kind or like))
    return Scan(root, tuple(headers), tuple(sorted(ignored)), tuple(sorted(faults)), tuple(sorted(unread)), series_of)


def files_below(root: Path) -> Iterator[tuple[Path, str, str]]:
    """Yield (path, name below the root, why it is left aside or an empty text) of every file, sorted by name.

    One more than a study can hold at most: an archive of millions is not walked through to its end. What file managers
    leave in every folder is passed over: it comes and goes, and says nothing of the visit.
    """
    for entry in sorted(islice(listing.entries_below(root), MOST_FILES + 1), key=lambda entry: entry.name):
        if not is_litter(entry.path) or _holds_dicom(entry.path):
            yield entry.path, entry.name, entry.aside


def _holds_dicom(path: Path) -> bool:
    try:
        with path.open("rb", buffering=0) as stream:
            return looks_like_dicom(stream.read(132))
    except OSError:
        return False


def _read(path: Path, name: str) -> Header | str:
    """Return the header of a DICOM file, or what else the file is (`petflame.dicom.strangers`)."""
    with path.open("rb", buffering=0) as stream:
        size = os.fstat(stream.fileno()).st_size
        start = stream.read(132)
        if looks_like_dicom(start):
            return read_header(path, name, stream, size)
        return strangers.kind_of(name, start + stream.read(strangers.START - len(start)), size)
