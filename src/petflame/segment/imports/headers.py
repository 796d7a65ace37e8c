"""Text headers of NRRD and MetaImage: which fields they hold and which other file holds the voxels."""

from __future__ import annotations

from pathlib import Path

# 3D Slicer writes about 500 bytes a segment; a thousand segments stay below this.
LARGEST_HEADER_BYTES = 1_000_000
NRRD = (".nrrd", ".nhdr")
META_IMAGE = (".mha", ".mhd")
# Fields (lower case, without blanks) that name a file with the voxels.
DATA_FILE_FIELDS = ("datafile", "elementdatafile")


def header_fields(path: Path) -> list[tuple[str, str]]:
    """Return the fields of a NRRD or MetaImage header in the file's order.

    Parameters
    ----------
    path : Path
        A regular file; at most `LARGEST_HEADER_BYTES` of it are read.

    Returns
    -------
    list of (str, str)
        Field in lower case and without blanks, and its text. Key/value pairs of NRRD (``key:=value``) are left out.
    """
    with path.open("rb") as stream:
        start = stream.read(LARGEST_HEADER_BYTES)
    is_nrrd = start.startswith(b"NRRD")
    fields: list[tuple[str, str]] = []
    for line in start.split(b"\n"):
        text = line.rstrip(b"\r").decode("utf-8", "replace")
        if is_nrrd and not text:
            break
        if text.startswith("#") or (is_nrrd and ":=" in text):
            continue
        field, separator, value = text.partition(":" if is_nrrd else "=")
        if not separator:
            continue
        fields.append(("".join(field.lower().split()), value.strip()))
        # The voxels of a MetaImage begin behind this line.
        if fields[-1][0] == "elementdatafile":
            break
    return fields


def detached_data(path: Path) -> Path | None:
    """Return the file that a NRRD or MetaImage header names for its voxels, whether it is there or not, else None."""
    if not path.is_file():
        return None
    for field, value in header_fields(path):
        if field in DATA_FILE_FIELDS and value and value.upper() != "LOCAL" and "\0" not in value:
            return path.parent / value
    return None
