"""The JSON file beside an import, in which a reader says what the file itself does not."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from petflame.anatomy import ARTERIES, LANDMARKS, VEINS
from petflame.errors import InputRefused
from petflame.files import sha256, write_json
from petflame.outside import read_json_object
from petflame.privacy import named
from petflame.segment.imports.names import IGNORE, WHOLE_AORTA, unknown_targets
from petflame.segment.product import FORMAT
from petflame.typed import Misshapen, brief, mapping, point_mm, word

SUFFIXES = (".nii.gz", ".nii", ".seg.nrrd", ".nrrd", ".nhdr", ".mha", ".mhd", ".dcm", ".json", ".xml", ".plist")
# What seeds are written under: vessels, and landmarks of one point.
POINTS = frozenset((*ARTERIES, *VEINS, *LANDMARKS))
KEYS = ("names", "labels", "landmarks_lps_mm", "grid", "first_image", "of_this_visit", "of", "sha256")


@dataclass(frozen=True)
class Sidecar:
    """What the user adds to a file.

    Attributes
    ----------
    names : dict
        Name or number in the file to region.
    landmarks_lps_mm : dict
        Name to (x, y, z).
    grid : str
        'ct' or 'pet', where contours must be drawn on that grid; else empty.
    first_image : str
        'feet' or 'head': the end at which OsiriX's image 0 lies, for exports without positions; else empty.
    of_this_visit : bool
        The user vouches that the file belongs to the visit, whatever patient it names.
    exists : bool
        Whether there is such a file.
    doubts : tuple of str
        Why it may not fit the file that it lies beside.
    """

    names: dict[str, str] = field(default_factory=dict)
    landmarks_lps_mm: dict[str, tuple[float, float, float]] = field(default_factory=dict)
    grid: str = ""
    first_image: str = ""
    of_this_visit: bool = False
    exists: bool = False
    doubts: tuple[str, ...] = ()


def sidecar_paths(path: Path) -> tuple[Path, Path]:
    """Return where the JSON file beside an import may lie: by the file's whole name, then by its stem.

    >>> [[p.name for p in sidecar_paths(Path(name))] for name in ("read.seg.nrrd", "map.nii.gz", "rois.json")]
    [['read.seg.nrrd.json', 'read.json'], ['map.nii.gz.json', 'map.json'], ['rois.json.json', 'rois.names.json']]
    """
    ending = ".names.json" if path.suffix.lower() == ".json" else ".json"
    return path.with_name(f"{path.name}.json"), path.with_name(f"{_stem(path.name)}{ending}")


def _stem(name: str) -> str:
    return next((name[: -len(s)] for s in SUFFIXES if name.lower().endswith(s)), name)


def is_sidecar(path: Path, regions: Path) -> bool:
    """Tell whether a JSON file is what lies beside a file of regions, rather than seeds under the same stem."""
    return path in sidecar_paths(regions) and not _is_other(_read(path))


def write_sidecar(path: Path, names: Mapping[str, str], landmarks_lps_mm: Mapping[str, Any]) -> None:
    """Write the JSON file beside a label map that exists: names of its numbers, landmarks, and whose it is."""
    document = {"labels": names, "landmarks_lps_mm": landmarks_lps_mm, "of": path.name, "sha256": sha256(path)}
    write_json(sidecar_paths(path)[1], document)


def read_sidecar(path: Path) -> Sidecar:
    """Read the JSON file beside an import: ``{"names": {...}, "landmarks_lps_mm": {...}, "grid": "ct"}``, all optional.

    ``labels`` is another word for ``names``, so that a file made for a label map serves too; a file that holds none of
    these keys is itself the table of names. ``of`` names the file that it belongs to, ``sha256`` that file's content:
    it is passed over for a neighbour of the same stem, and doubted where the content is another.

    Raises
    ------
    InputRefused
        When it is not such a table, points to regions that do not exist (all are named), or may belong to a neighbour
        of the same stem just as well.
    """
    _require_spelling(path)
    found = [(beside, document) for beside in sidecar_paths(path) if (document := _belonging(beside, path)) is not None]
    if not found:
        return Sidecar()
    where = _called(found[0][0])
    if len(found) > 1:
        others = ", ".join(_called(beside) for beside, _ in found)
        raise InputRefused.of(f"two files beside it say what it holds: {others}", where, "keep one of them")
    beside, document = found[0]
    _require_one_owner(beside, document, path, where)
    if not set(KEYS) & set(document):
        document = {"names": document}
    try:
        parts = (mapping(document.get(part), part) for part in ("labels", "names"))
        names = {key: str(value) for part in parts for key, value in part.items()}
        given = mapping(document.get("landmarks_lps_mm"), "landmarks_lps_mm")
        landmarks = {k: point_mm(v, named(brief(k), f"landmark {n}")) for n, (k, v) in enumerate(given.items(), 1)}
        grid, first, digest = (word(document.get(key) or "", key) for key in ("grid", "first_image", "sha256"))
    except Misshapen as error:
        what = f"it is not a table of names ({error})"
        raise InputRefused.of(what, where, 'write {"names": {"RC": "carotid_right"}}') from None
    unknown = unknown_targets(names)
    if unknown:
        from petflame.anatomy import BY_NAME

        remedy = f"use the names {', '.join((*BY_NAME, WHOLE_AORTA, IGNORE))}"
        told = ", ".join(named(entry, f"entry {position}") for position, entry in unknown)
        raise InputRefused.of(f"unknown region names ({told})", where, remedy)
    if grid not in ("", "ct", "pet"):
        raise InputRefused.of(f"grid {named(repr(grid), 'as it stands')} is unknown", where, "write ct or pet")
    if first not in ("", "feet", "head"):
        what = f"first_image {named(repr(first), 'as it stands')} is unknown"
        raise InputRefused.of(what, where, "write feet or head")
    vouched = document.get("of_this_visit", False)
    if not isinstance(vouched, bool):
        raise InputRefused.of("of_this_visit is neither true nor false", where, "write true, or take it out")
    doubts: tuple[str, ...] = ()
    if digest and digest.lower() != sha256(path):
        doubts = (f"{where} was written for another content of it: look whether names and landmarks still hold",)
    return Sidecar(names, landmarks, grid, first, vouched, True, doubts)


def _called(beside: Path) -> str:
    return named(beside.name, "the JSON file beside the label file")


def _read(beside: Path) -> dict[str, Any]:
    return read_json_object(beside, where=_called(beside), remedy="mend or remove it")


def neighbours(path: Path) -> list[Path]:
    """Return what lies beside a file under its stem, in any spelling and with whatever ending, sorted."""
    stem = _stem(path.name).lower()
    entries = path.parent.iterdir() if path.parent.is_dir() else ()
    return sorted(p for p in entries if p.name != path.name and f"{p.name.lower()}.".startswith(f"{stem}."))


def _belonging(beside: Path, path: Path) -> dict[str, Any] | None:
    """Return what a file says of `path`; None where there is none, or it says itself that it belongs elsewhere."""
    if not os.path.lexists(beside):
        return None
    document = _read(beside)
    if _is_other(document):
        return None
    if document.get("format") == FORMAT:
        # Of a visit folder: the numbers are our own.
        return {"landmarks_lps_mm": document.get("landmarks_lps_mm"), "of": path.name}
    owner = document.get("of", path.name)
    if owner == path.name or str(document.get("sha256")).lower() == sha256(path):
        return document
    if any(p.name == owner and p != beside and beside in sidecar_paths(p) for p in neighbours(path)):
        return None
    what = f"it says that it belongs to {named(brief(owner), 'another file')}, which does not lie beside it"
    raise InputRefused.of(what, _called(beside), 'correct its "of", or move it to the file that it belongs to')


def _is_other(document: dict[str, Any]) -> bool:
    """Tell seeds and drawn regions under the same stem from a table of names."""
    if (set(KEYS) - {"landmarks_lps_mm"}) & set(document):
        return False
    points = (v for k, v in document.items() if k in POINTS and isinstance(v, list) and v)
    return bool({"markups", "Images"} & set(document)) or any(not isinstance(v[0], str) for v in points)


def _require_spelling(path: Path) -> None:
    wanted = {p.name.lower(): p.name for p in sidecar_paths(path)}
    for beside in neighbours(path):
        name = wanted.get(beside.name.lower(), beside.name)
        if name != beside.name:
            raise InputRefused.of("its name is spelt in another way than is read", _called(beside), f"call it {name}")


def _require_one_owner(beside: Path, document: dict[str, Any], path: Path, where: str) -> None:
    if {"of", "sha256"} & set(document) or beside == sidecar_paths(path)[0]:
        return
    others = sorted(
        p.name
        for p in neighbours(path)
        if p.suffix.lower() != ".json" and p.is_file() and sidecar_paths(p)[1] == beside
    )
    if others:
        told = ", ".join(named(name, f"neighbour {n}") for n, name in enumerate(others, 1))
        what = f"it may belong to the label file or to {told}"
        raise InputRefused.of(what, where, 'write "of": and the name of its file into it, or call it NAME_OF_FILE.json')
