"""What a file that holds no DICOM is, told by its first bytes and its name, and whether it stands where an image did.

Transfers that broke off, pointers to content elsewhere, archives and answers of servers lie under the names of images,
and scanners name images without an ending. Each kind has a reason of its own, so that a slice that is missing because
of it is missed; what ordinarily lies beside images (reports, tables, viewers) has none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePosixPath

IMAGE_SUFFIXES = frozenset({".dcm", ".dicom", ".ima"})
# Bytes that tell every kind below: the mark of a tar archive ends at 262, a line or two of HTTP come before a DICOM.
START = 1024

NOT_FETCHED = "git-annex files whose content is not here"
NOT_PULLED = "git-lfs files whose content is not here"
PLACEHOLDER = "files that a cloud store keeps elsewhere"
ARCHIVE = "archives"
EMPTY = "empty files"
BLANK = "files that begin with zeros alone"
SHORTCUT = "shortcuts to other places"
PAGE = "web pages"
WRAPPED = "DICOM files with foreign bytes before their start"
UNFINISHED = "unfinished transfers"
LIKE_IMAGES = "files named like images that hold none"
NOT_DICOM = "files that are not DICOM"

_AGAIN = "fetch them again from the archive, if they are images of the visit"
REMEDIES = {
    NOT_FETCHED: "fetch the content with `git annex get` or `datalad get`",
    NOT_PULLED: "fetch the content with `git lfs pull`",
    PLACEHOLDER: "let the cloud store's own program keep the files on this computer",
    ARCHIVE: "unpack them, if they hold images of the visit",
    EMPTY: _AGAIN,
    BLANK: f"a transfer that broke off leaves such; {_AGAIN}",
    SHORTCUT: "put the files themselves there, if they are images of the visit",
    PAGE: f"a server answered with a page in place of an image; {_AGAIN}",
    WRAPPED: f"save each image as a plain file; {_AGAIN}",
    UNFINISHED: _AGAIN,
    LIKE_IMAGES: f"{_AGAIN}, or move them away",
}
# What is wrong with one file that is called .dcm.
SAID = {
    ARCHIVE: "it is named like a DICOM file and is an archive",
    EMPTY: "it is empty",
    BLANK: "it is named like a DICOM file and begins with zeros alone (a transfer that broke off)",
    SHORTCUT: "it is named like a DICOM file and is a shortcut to another place",
    PAGE: "it is named like a DICOM file and is a web page (what a server answered in place of an image)",
    WRAPPED: "foreign bytes come before the start of the DICOM file",
}
# Their content lies elsewhere, and can be fetched.
ELSEWHERE = frozenset({NOT_FETCHED, NOT_PULLED, PLACEHOLDER})

_LFS = b"version https://git-lfs.github.com/spec/"
_ANNEX = re.compile(rb"[^\0\n]{0,512}?/annex/objects/")
# pkzip (also empty and spanned), gzip, bzip2, xz, 7-Zip, RAR, Zstandard, lzip, LZ4: the marks of `file`.
_PACKED = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08", b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"7z\xbc\xaf\x27\x1c")
_ARCHIVE_MARKS = (*_PACKED, b"Rar!\x1a\x07", b"\x28\xb5\x2f\xfd", b"LZIP", b"\x04\x22\x4d\x18")
# Windows [MS-SHLLINK], Finder alias, links that Samba, Cygwin and desktops write as files.
_SHORTCUT_MARKS = (b"L\0\0\0\x01\x14\x02\0", b"book\0\0\0\0mark", b"XSym\n", b"!<symlink>", b"IntxLNK\1")
_SHORTCUT_TEXTS = (b"[internetshortcut]", b"[desktop entry]")
_PAGE = re.compile(rb"(\xef\xbb\xbf)?\s*(<!--.*?-->\s*)*<(!doctype\s+html|html|head|body)\b", re.IGNORECASE | re.DOTALL)
_CLOUD_ENDINGS = (".icloud", ".cloud", ".cloudf")
_UNFINISHED_ENDINGS = (".part", ".partial", ".filepart", ".crdownload", ".download", ".opdownload", ".aria2", ".tmp")

# What lies beside images on exported discs and in studies.
_TEXTS = (
    "txt md rst rtf csv tsv xml xsl xsd dtd json yaml yml pdf log htm html css js doc docx xls xlsx ppt pptx odt ods"
)
_PROGRAMS = (
    "exe dll so dylib jar class bat cmd sh py m r ini inf cfg conf chm hlp msi cab manifest ocx lib db sqlite key"
)
_PICTURES = "jpg jpeg jpe png gif bmp tif tiff svg ico mp4 avi mpg mov wav"
_RESEARCH = (
    "nii nrrd nhdr mha mhd raw img hdr bin mat npy npz mrb mrml roi v i l bf ptd lst sum md5 sha1 sha256 sig asc"
)
COMPANION_ENDINGS = frozenset(f".{e}" for part in (_TEXTS, _PROGRAMS, _PICTURES, _RESEARCH) for e in part.split())
_NAMES = (
    "readme license licence copying version changes changelog authors notice index dicomdir lockfile autorun manifest"
)
_SUMS = "contents checksums md5sums md5sum sha256sums sha256sum makefile snakefile dockerfile"
COMPANION_NAMES = frozenset(name for part in (_NAMES, _SUMS) for name in part.split())
_ENDING = re.compile(r"\.[A-Za-z][A-Za-z0-9~_-]{0,11}\Z")


def ending_of(name: str) -> str:
    """Return what a name ends with, in small letters; the last number of a UID is no ending.

    >>> ending_of("IM_0085"), ending_of("1.2.840.10008"), ending_of("a/REPORT.PDF")
    ('', '', '.pdf')
    """
    found = _ENDING.search(PurePosixPath(name).name[1:])
    return found[0].lower() if found else ""


def is_companion(name: str) -> bool:
    """Tell whether a file is called like those that ordinarily lie beside images."""
    base = PurePosixPath(name).name.lower()
    return ending_of(base) in COMPANION_ENDINGS or base.endswith(".nii.gz") or base in COMPANION_NAMES


def kind_by_name(name: str) -> str:
    """Return the kind that a name alone tells, hidden or not; empty where it tells none.

    >>> kind_by_name(".IM_0085.dcm.icloud")
    'files that a cloud store keeps elsewhere'
    """
    return PLACEHOLDER if name.lower().endswith(_CLOUD_ENDINGS) else ""


def stands_for_image(name: str) -> bool:
    """Tell whether a file, or what it is a placeholder of, is called like a DICOM file."""
    base = PurePosixPath(name).name.lower()
    for ending in _CLOUD_ENDINGS:
        base = base.removesuffix(ending)
    return base.endswith(tuple(IMAGE_SUFFIXES))


def kind_of(name: str, start: bytes, size: int) -> str:
    """Return what a file that holds no DICOM is.

    Parameters
    ----------
    name : str
    start : bytes
        Its first `START` bytes, or all of it.
    size : int
        Length in bytes.

    Returns
    -------
    str
        A reason of this module; empty where nothing is known against the file.

    >>> kind_of("IM_0085", b"", 0), kind_of("notes.txt", b"", 0)
    ('empty files', '')
    """
    if start.startswith(_LFS):
        return NOT_PULLED
    if size <= 4096 and _ANNEX.match(start):
        return NOT_FETCHED
    if kind_by_name(name):
        return kind_by_name(name)
    if _is_shortcut(start):
        return SHORTCUT
    if is_companion(name):
        return ""
    if not size:
        return EMPTY
    if start.startswith(_ARCHIVE_MARKS) or start[257:262] == b"ustar":
        return ARCHIVE
    if _PAGE.match(start):
        return PAGE
    if b"DICM" in start or b"application/dicom" in start[:512].lower():
        return WRAPPED
    if not start.strip(b"\0"):
        return BLANK
    return UNFINISHED if PurePosixPath(name).name.lower().endswith(_UNFINISHED_ENDINGS) else ""


def _is_shortcut(start: bytes) -> bool:
    text = start.lower().lstrip(b"\xef\xbb\xbf \r\n")
    # A link to a page in the web leads to no images.
    local = text.startswith(_SHORTCUT_TEXTS) and b"http" not in text
    return start.startswith(_SHORTCUT_MARKS) or local


def masked(name: str) -> str:
    """Return a name in small letters with each run of digits as one mark.

    >>> masked("a/IM_0085.dcm") == masked("a/im_7.DCM")
    True
    """
    return re.sub(r"\d+", "#", name.lower())


class Neighbours:
    """How the images of a scan are named, folder by folder."""

    def __init__(self, images: Iterable[str]) -> None:
        self._patterns: set[str] = set()
        self._bare: set[str] = set()
        for name in images:
            self._patterns.add(_in_folder(name))
            if not ending_of(name):
                self._bare.add(str(PurePosixPath(name).parent))

    def resemble(self, name: str) -> bool:
        """Tell whether a file is named as the images of its folder are.

        The same name but for its digits, or no ending in a folder where images have none.
        """
        if _in_folder(name) in self._patterns:
            return True
        bare = not ending_of(name) and str(PurePosixPath(name).parent) in self._bare
        return bare and not is_companion(name)


def _in_folder(name: str) -> str:
    path = PurePosixPath(name)
    return f"{path.parent}/{masked(path.name)}"
