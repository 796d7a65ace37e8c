"""The files in which readers and other tools keep points along vessels: JSON, CSV, 3D Slicer's, or a folder of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from petflame.errors import FaultList, InputRefused
from petflame.outside import NOTES, read_json_object
from petflame.privacy import named
from petflame.segment.imports import is_regions
from petflame.segment.seedformats.document import points_of_document
from petflame.segment.seedformats.points import Points, called
from petflame.segment.seedformats.slicer import points_of_fcsv, points_of_markups
from petflame.segment.seedformats.table import points_of_table
from petflame.typed import Misshapen

REMEDY = 'write {"carotid_right": [[x, y, z], ...]} in LPS mm, a CSV, or markups of 3D Slicer'
ENDINGS = (".json", ".csv", ".fcsv")


def is_seeds(path: Path) -> bool:
    """Tell by its name whether a file may hold points; descriptions of tables and hidden files do not."""
    name = path.name.lower()
    return name.endswith(ENDINGS) and not name.startswith(".") and not name.endswith(("_columns.json", ".read.json"))


def is_seeds_folder(path: Path) -> bool:
    """Tell whether a folder holds files of points and nothing else that a reader would have drawn or decided."""
    if not path.is_dir():
        return False
    entries = [entry for entry in path.iterdir() if not entry.name.startswith(".") and entry.is_file()]
    return any(map(is_seeds, entries)) and not any(map(is_regions, entries))


def read_points(paths: Sequence[Path], where: str) -> Points:
    """Read the points of files, or of every file of points in folders (3D Slicer saves one a vessel).

    Parameters
    ----------
    paths : sequence of Path
    where : str
        How messages call all of them.

    Raises
    ------
    InputRefused
        When a file cannot be read as points; when a folder holds none, holds drawn regions too, or two files say
        something of the same vessel.
    """
    files, faults = list[Path](), FaultList()
    for path in paths:
        files += _of_folder(path, where, faults) if path.is_dir() else [path]
    if len(files) == 1:
        faults.raise_if_any()
        return _of_file(files[0], where)
    titles = {file: named(file.name, f"file {n}") for n, file in enumerate(files, start=1)}
    found, owner = Points(), dict[str, Path]()
    for file in files:
        try:
            part = _of_file(file, titles[file])
        except InputRefused as error:
            faults.extend(error.faults)
            continue
        for name in {**part.places, **part.landmarks, **part.radius_mm}:
            if owner.setdefault(name, file) != file:
                what = f"{called(name)} stands in two files, {titles[owner[name]]} and {titles[file]}"
                faults.add(what, where, "keep one of them")
        found.places |= part.places
        found.landmarks |= part.landmarks
        found.radius_mm |= part.radius_mm
    faults.raise_if_any()
    return found


def _of_folder(folder: Path, where: str, faults: FaultList) -> list[Path]:
    entries = [entry for entry in sorted(folder.iterdir()) if not entry.name.startswith(".") and entry.is_file()]
    drawn = [named(entry.name, f"file {n}") for n, entry in enumerate(entries, start=1) if is_regions(entry)]
    if drawn:
        what = f"it holds points and images or drawn regions ({', '.join(drawn[:8])})"
        faults.add(what, where, "put the points into a folder of their own, or name the file that counts")
    files = [entry for entry in entries if is_seeds(entry) and not is_regions(entry)]
    if not files:
        faults.add("it holds no file of points", where, "put .mrk.json, .fcsv, .csv or .json there")
    return files


def _of_file(path: Path, where: str) -> Points:
    suffix = path.suffix.lower()
    try:
        if suffix == ".csv":
            return points_of_table(path, where)
        if suffix == ".fcsv":
            return points_of_fcsv(path, where)
        document = read_json_object(path, NOTES, where, REMEDY)
        return points_of_markups(document, path) if "markups" in document else points_of_document(document)
    except Misshapen as error:
        raise InputRefused.of(f"it cannot be read as seeds ({error})", where, REMEDY) from None
