"""The JSON file beside an import, in which a reader says what the file itself does not."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from petflame.errors import InputRefused
from petflame.files import read_json
from petflame.segment.imports.names import IGNORE, WHOLE_AORTA, unknown_targets

SUFFIXES = (".nii.gz", ".nii", ".seg.nrrd", ".nrrd", ".nhdr", ".mha", ".mhd", ".dcm", ".json", ".xml", ".plist")
KEYS = ("names", "labels", "landmarks_lps_mm", "grid", "first_image")


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
    """

    names: dict[str, str] = field(default_factory=dict)
    landmarks_lps_mm: dict[str, tuple[float, float, float]] = field(default_factory=dict)
    grid: str = ""
    first_image: str = ""


def sidecar_path(path: Path) -> Path:
    """Return where the JSON file beside an import is looked for.

    >>> [sidecar_path(Path(name)).name for name in ("read.seg.nrrd", "map.nii.gz", "rois.json")]
    ['read.json', 'map.json', 'rois.names.json']
    """
    stem = path.name
    for suffix in SUFFIXES:
        if stem.lower().endswith(suffix):
            stem = stem[: -len(suffix)]
            break
    return path.with_name(f"{stem}.names.json" if path.suffix.lower() == ".json" else f"{stem}.json")


def read_sidecar(path: Path) -> Sidecar:
    """Read the JSON file beside an import: ``{"names": {...}, "landmarks_lps_mm": {...}, "grid": "ct"}``, all optional.

    ``labels`` is another word for ``names``, so that a file made for a label map serves too; a file that holds none of
    these keys is itself the table of names.

    Raises
    ------
    InputRefused
        When it is not such a table, or points to regions that do not exist (all are named).
    """
    beside = sidecar_path(path)
    if not beside.exists():
        return Sidecar()
    document = read_json(beside, "mend or remove it")
    if not set(KEYS) & set(document):
        document = {"names": document}
    try:
        names = {str(k): str(v) for part in ("labels", "names") for k, v in document.get(part, {}).items()}
        landmarks = {str(k): _point(v) for k, v in document.get("landmarks_lps_mm", {}).items()}
        grid, first = str(document.get("grid", "")), str(document.get("first_image", ""))
    except (ValueError, TypeError, AttributeError, IndexError) as error:
        what = f"it is not a table of names ({error})"
        raise InputRefused.of(what, beside.name, 'write {"names": {"RC": "carotid_right"}}') from None
    unknown = unknown_targets(names)
    if unknown:
        from petflame.anatomy import BY_NAME

        remedy = f"use the names {', '.join((*BY_NAME, WHOLE_AORTA, IGNORE))}"
        raise InputRefused.of(f"unknown region names ({', '.join(unknown)})", beside.name, remedy)
    if grid not in ("", "ct", "pet"):
        raise InputRefused.of(f"grid {grid!r} is unknown", beside.name, "write ct or pet")
    if first not in ("", "feet", "head"):
        raise InputRefused.of(f"first_image {first!r} is unknown", beside.name, "write feet or head")
    return Sidecar(names, landmarks, grid, first)


def _point(value: Any) -> tuple[float, float, float]:
    return float(value[0]), float(value[1]), float(value[2])
