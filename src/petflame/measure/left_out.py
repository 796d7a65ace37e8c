"""Sections that a reader leaves out, with words: by a table in the visit's folder, or in a finished read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from petflame.anatomy import ARTERIES
from petflame.errors import FaultList, InputRefused
from petflame.files import read_tsv
from petflame.folders import VisitFolder
from petflame.measure.sections import Section
from petflame.outside import calling
from petflame.segment import stretches
from petflame.segment.product import Segmentation
from petflame.space.grid import Array
from petflame.tabletext import unknown_columns
from petflame.typed import as_written

CODES = stretches.CODES
COLUMNS = ("vessel", "section", "z_min_mm", "z_max_mm", "code", "words")
TABLE, READ = "left_out.tsv of the visit's folder", "labels.json, from the reader's finished read"


@dataclass(frozen=True)
class LeftOut:
    """One row of a reader's table.

    Attributes
    ----------
    vessel : str
    section : int or None
        Number of the section, as in ``slices.tsv``.
    z_mm : (float, float) or None
        Lowest and highest section left out, LPS z; given instead of `section`.
    code : str
        Reason code; one of `CODES`.
    words : str
    where : str
        Row, for messages.
    source : str
        `TABLE` or `READ`. A row that meets no section is a fault of a table, where it may name the wrong one; a read's
        was drawn on the vessel, of which such a stretch has nothing left that could count, and is told.
    """

    vessel: str
    section: int | None
    z_mm: tuple[float, float] | None
    code: str
    words: str
    where: str
    source: str = TABLE

    @property
    def reason(self) -> str:
        """Code and words as they stand in the tables."""
        return f"{self.code}: {self.words}"


def read_left_out(path: Path) -> tuple[LeftOut, ...]:
    """Read a reader's exclusions: vessel, section or z_min_mm and z_max_mm, words; code is optional.

    Raises
    ------
    InputRefused
        With every row that names an unknown vessel or code, has no words, or names neither a section nor a range, or
        both.
    """
    table = read_tsv(path, required=("vessel", "words"), text=COLUMNS)
    faults, found, file = FaultList(), [], calling(path)
    unknown = unknown_columns(list(table.columns), COLUMNS)
    if unknown:
        faults.add(unknown, file, f"use {', '.join(COLUMNS)}")
    for index, row in zip(table.index, table.to_dict("records"), strict=True):
        where = f"{file}, line {index + 2}"
        given = {str(k): v.strip() for k, v in row.items() if isinstance(v, str) and v.strip()}
        vessel, words, code = given.get("vessel", ""), given.get("words", ""), given.get("code", CODES[0])
        if vessel not in ARTERIES:
            faults.add(f"vessel {as_written(vessel)} is unknown", where, f"use one of {', '.join(ARTERIES)}")
        if not words:
            faults.add("words is empty", where, "say why the section is left out")
        if code not in CODES:
            faults.add(
                f"code {as_written(code)} is unknown",
                where,
                f"use one of {', '.join(CODES)}, or leave it empty",
            )
        has_section, has_range = "section" in given, "z_min_mm" in given or "z_max_mm" in given
        if has_section == has_range:
            what = "it names " + ("a section and a range" if has_section else "neither a section nor a range")
            faults.add(what, where, "give section, or z_min_mm and z_max_mm")
        section, z_mm = _section(given, where, faults), _range(given, where, faults)
        found.append(LeftOut(vessel, section, z_mm, code, words, where))
    faults.raise_if_any()
    return tuple(found)


def _section(given: dict[str, str], where: str, faults: FaultList) -> int | None:
    text = given.get("section")
    if text is None:
        return None
    if not text.isdecimal() or len(text) > 6:
        faults.add(
            f"section {as_written(text)} is not a whole number from 0",
            where,
            "give its number in slices.tsv",
        )
        return None
    return int(text)


def _range(given: dict[str, str], where: str, faults: FaultList) -> tuple[float, float] | None:
    texts = [given.get("z_min_mm"), given.get("z_max_mm")]
    if texts == [None, None]:
        return None
    numbers = []
    for name, text in zip(("z_min_mm", "z_max_mm"), texts, strict=True):
        try:
            numbers.append(float(text if text is not None else "missing"))
        except ValueError:
            faults.add(
                f"{name} {as_written(text)} is not a number",
                where,
                "give both ends of the range, LPS z in mm",
            )
    if len(numbers) < 2:
        return None
    if not np.isfinite(numbers).all() or numbers[0] > numbers[1]:
        faults.add("the range is no range", where, "give the lower end first")
        return None
    return numbers[0], numbers[1]


def read_left_out_of(visit: VisitFolder) -> tuple[LeftOut, ...]:
    """Read what a reader leaves out of a visit, from ``left_out.tsv`` of its folder (or the older ``exclusions.tsv``).

    Raises
    ------
    InputRefused
        With every faulty row, or when both files are there.
    """
    found = [path for path in visit.left_out if os.path.lexists(path)]
    if len(found) > 1:
        what = f"{found[1].name} lies beside it, and both say what a reader leaves out"
        raise InputRefused.of(what, str(found[0]), f"put every row into {found[0].name} and remove {found[1].name}")
    return read_left_out(found[0]) if found else ()


def left_out_of(
    visit: VisitFolder, segmentation: Segmentation, table: Path | None = None
) -> tuple[tuple[LeftOut, ...], list[str]]:
    """Gather what a reader leaves out of a visit, by its table and by the finished read that its labels rest on.

    Parameters
    ----------
    visit : VisitFolder
    segmentation : Segmentation
    table : Path or None
        Another table than that of the visit's folder.

    Returns
    -------
    rows : tuple of LeftOut
        A row of the read that stands in the table as well is left out once.
    warnings : list of str
        Where both say something of the same heights.

    Raises
    ------
    InputRefused
        As `read_left_out` and `read_left_out_of`.
    """
    rows = read_left_out(table) if table is not None else read_left_out_of(visit)
    more, told = [], []
    for own in rows_of_read(segmentation):
        same = [row for row in rows if (row.vessel, row.z_mm, row.reason) == (own.vessel, own.z_mm, own.reason)]
        if not same:
            more.append(own)
        if any(row.vessel == own.vessel and _meet(row.z_mm, own.z_mm) for row in rows):
            how = "the same stretch" if same else "stretches that overlap"
            told.append(f"{own.vessel}: the table and the finished read leave out {how}; {_at(own)} is of the read")
    return (*rows, *more), told


def rows_of_read(segmentation: Segmentation) -> tuple[LeftOut, ...]:
    """Return what the finished read leaves out that a segmentation rests on."""
    return tuple(
        LeftOut(s.vessel, None, (s.z_min_mm, s.z_max_mm), s.code, s.words, f"{READ}, row {n}", READ)
        for n, s in enumerate(segmentation.left_out, start=1)
    )


def _meet(one: tuple[float, float] | None, other: tuple[float, float] | None) -> bool:
    return one is not None and other is not None and one[0] <= other[1] and other[0] <= one[1]


def _at(row: LeftOut) -> str:
    low, high = row.z_mm or (np.nan, np.nan)
    return f"z {low:.1f} to {high:.1f} mm"


def without_sections(vessel: str, sections: Sequence[Section], exclusions: Sequence[LeftOut]) -> list[str]:
    """Say which stretches of a finished read meet no section of a vessel."""
    rows = [e for e in exclusions if e.vessel == vessel and e.source == READ and e.z_mm is not None]
    return [
        f"{vessel}: {_at(row)}, which the reader leaves out, meets none of its sections"
        for row in rows
        if not any(_meet(row.z_mm, (s.z_mm, s.z_mm)) for s in sections)
    ]


def excluded(
    vessel: str, sections: Sequence[Section], exclusions: Sequence[LeftOut], faults: FaultList
) -> list[list[str]]:
    """Reasons for which a reader leaves out each section of a vessel; a table's row that meets none is a fault."""
    reasons: list[list[str]] = [[] for _ in sections]
    heights: Array = np.array([s.z_mm for s in sections])
    for row in (e for e in exclusions if e.vessel == vessel):
        if row.section is not None:
            hit = [row.section] if row.section < len(sections) else []
        else:
            low, high = row.z_mm if row.z_mm is not None else (np.inf, -np.inf)
            hit = np.flatnonzero((heights >= low) & (heights <= high)).tolist()
        if not hit and row.source != READ:
            what = f"{vessel} has no such section" if len(sections) else f"{vessel} is not in the label map"
            span = (
                f"numbers 0 to {len(sections) - 1}, z {heights.min():.2f} to {heights.max():.2f} mm"
                if len(sections)
                else ""
            )
            faults.add(what, row.where, f"its sections have {span}" if span else "remove the row")
        for n in hit:
            reasons[n].append(row.reason)
    return reasons
