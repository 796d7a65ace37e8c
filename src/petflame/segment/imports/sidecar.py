"""The JSON file beside an import, in which a reader says what the file itself does not."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from petflame.errors import InputRefused
from petflame.outside import read_json_object
from petflame.privacy import named
from petflame.segment.imports.names import IGNORE, WHOLE_AORTA, unknown_targets
from petflame.typed import Misshapen, brief, mapping, point_mm, word

SUFFIXES = (".nii.gz", ".nii", ".seg.nrrd", ".nrrd", ".nhdr", ".mha", ".mhd", ".dcm", ".json", ".xml", ".plist")
KEYS = ("names", "labels", "landmarks_lps_mm", "grid", "first_image", "of_this_visit")


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
    """

    names: dict[str, str] = field(default_factory=dict)
    landmarks_lps_mm: dict[str, tuple[float, float, float]] = field(default_factory=dict)
    grid: str = ""
    first_image: str = ""
    of_this_visit: bool = False
    exists: bool = False


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
    where = named(beside.name, "the JSON file beside the label file")
    document = read_json_object(beside, where=where, remedy="mend or remove it")
    if not set(KEYS) & set(document):
        document = {"names": document}
    try:
        parts = (mapping(document.get(part), part) for part in ("labels", "names"))
        names = {key: str(value) for part in parts for key, value in part.items()}
        given = mapping(document.get("landmarks_lps_mm"), "landmarks_lps_mm")
        landmarks = {k: point_mm(v, named(brief(k), f"landmark {n}")) for n, (k, v) in enumerate(given.items(), 1)}
        grid, first = (word(document.get(key) or "", key) for key in ("grid", "first_image"))
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
    return Sidecar(names, landmarks, grid, first, vouched, True)
