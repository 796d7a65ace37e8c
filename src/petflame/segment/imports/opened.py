"""Which files an import opens, so that a change of any of them can be noticed."""

from __future__ import annotations

from pathlib import Path

from petflame.files import sha256
from petflame.segment.imports.headers import META_IMAGE, NRRD, detached_data
from petflame.segment.imports.sidecar import sidecar_paths


def files_of_import(path: Path) -> list[Path]:
    """Return every file that an import of `path` opens, or would open if it were there.

    Parameters
    ----------
    path : Path
        A file with regions or seeds, or a folder of them (a reader's edits).

    Returns
    -------
    list of Path
        The file itself, the one that its header names for the voxels, and the JSON files beside it that may name
        regions, existing or not: one that appears later changes the result. Of a folder every file in it, and theirs.
        Each once, sorted.
    """
    if not path.is_dir():
        return sorted(set(_of_file(path)))
    # A link to a folder is not followed: it could lead back here.
    inside = [entry for entry in path.rglob("*") if not entry.is_dir()]
    return sorted({opened for entry in inside for opened in _of_file(entry)})


def _of_file(path: Path) -> list[Path]:
    found = [path, *sidecar_paths(path)]
    if path.name.lower().endswith((*NRRD, *META_IMAGE)):
        data = detached_data(path)
        if data is not None:
            found.append(data)
        elif path.suffix.lower() in (".nhdr", ".mhd"):
            # A header that names no file: whatever carries its own name may be what it meant.
            found += [p for p in path.parent.glob("*") if p.name.startswith(f"{path.stem}.")]
    return found


def digest_of(path: Path) -> str | list[str]:
    """Return the SHA-256 of a file, or of every file in a folder, sorted: their names may tell who the patient is."""
    return sha256(path) if path.is_file() else sorted(sha256(p) for p in path.rglob("*") if p.is_file())
