"""Points in a CSV table, as people and spreadsheets of any country save it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from petflame.segment.seedformats.points import Points, called, meant_by
from petflame.tabletext import read_rows
from petflame.typed import Misshapen, brief, number

COLUMNS = ("vessel", "x_mm", "y_mm", "z_mm")
_PLAIN = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?")
# "1,234": a number of four digits with a separator, or one with three decimals.
_EITHER = re.compile(r"[+-]?[1-9][.,]\d{3}")
_GROUPED = re.compile(r"[+-]?\d{1,3}([.,' \u00a0\u2019\u202f]\d{3})+([.,]\d*)?")
REMEDY = "save the numbers without thousands separators"


def points_of_table(path: Path, where: str) -> Points:
    """Read a table with the columns vessel, x_mm, y_mm, z_mm (LPS) and, where wanted, radius_mm.

    Columns may be separated by commas, semicolons or tabs, numbers have a decimal point or a decimal comma, and the
    text may be UTF-8 or what Excel calls Unicode (UTF-16).

    Raises
    ------
    InputRefused
        As `petflame.tabletext.read_rows`.
    Misshapen
        When a number is none, or holds or may hold separators of thousands.
    """
    points = Points()
    rows = read_rows(path, COLUMNS, None, where, utf16=True)
    table = [dict(zip(rows.columns, (cell.strip() for cell in cells), strict=True)) for cells in rows.cells]
    _require_plain(
        (line, row[column])
        for line, row in zip(rows.lines, table, strict=True)
        for column in (*COLUMNS[1:], "radius_mm")
        if row.get(column)
    )
    for line, row in zip(rows.lines, table, strict=True):
        name = meant_by(row["vessel"]) or row["vessel"]
        points.places.setdefault(name, []).append([_number(row[column], line) for column in COLUMNS[1:]])
        if row.get("radius_mm"):
            given = _number(row["radius_mm"], line)
            if points.radius_mm.setdefault(name, given) != given:
                raise Misshapen(f"line {line} gives {called(name)} another radius than before")
    return points


def _require_plain(cells: Iterable[tuple[int, str]]) -> None:
    """Refuse separators of thousands, and numbers that may hold them."""
    marked: dict[str, list[tuple[int, str]]] = {".": [], ",": []}
    whole = False
    for line, text in cells:
        if _PLAIN.fullmatch(text):
            mark = next((m for m in ".," if m in text), "")
            whole |= not mark
            if mark:
                marked[mark].append((line, text))
        elif _GROUPED.fullmatch(text):
            raise Misshapen(f"line {line} holds {brief(text)}, a number with separators of thousands: {REMEDY}")
    if marked["."] and marked[","]:
        (one, a), (other, b) = marked["."][0], marked[","][0]
        what = f"line {one} holds {brief(a)} and line {other} {brief(b)}: which of the two marks the decimals"
        raise Misshapen(f"{what} cannot be told; {REMEDY}, and with one mark for decimals")
    (used,) = [own for own in marked.values() if own] or [[]]
    # Beside whole numbers, marks that all stand before three digits can be either.
    if used and whole and all(_EITHER.fullmatch(text) for _, text in used):
        line, text = used[0]
        what = f"line {line} holds {brief(text)}, which may be thousands or decimals"
        raise Misshapen(f"{what}; {REMEDY}, or write every number with a decimal")


def _number(text: str, line: int) -> float:
    try:
        return number(float(text.replace(",", ".")), f"line {line}")
    except ValueError as error:
        if isinstance(error, Misshapen):
            raise
        raise Misshapen(f"line {line} holds {brief(text)}, not a number") from None
