"""Reading tables as people and spreadsheets save them: rows and cells first, with bounds, then a data frame."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from petflame.errors import FaultList
from petflame.outside import MEBIBYTE, calling, read_text
from petflame.privacy import named
from petflame.typed import brief

if TYPE_CHECKING:
    import pandas as pd

# A trial of 10,000 participants with 40 columns has 8 MB.
LARGEST_BYTES = 32 * MEBIBYTE
MOST_COLUMNS = 1_000
MOST_ROWS = 250_000
# The longest path of Linux has 4,096 bytes; reasons and comments are shorter.
LONGEST_CELL = 5_000
MISSING_TEXT = ("", "n/a")
# What R, Python and spreadsheets write where a number is missing.
MISSING_NUMBERS = (*MISSING_TEXT, "N/A", "NA", "<NA>", "nan", "NaN", "NULL", "null", "None", "#N/A", "-nan", "-NaN")
SEPARATORS = {"\t": "tabs", ",": "commas", ";": "semicolons"}


@dataclass(frozen=True)
class Rows:
    """The cells of a table.

    Attributes
    ----------
    columns : tuple of str
        Their names, each once.
    lines : tuple of int
        Line of the file of each row; the header is line 1 where nothing stands before it.
    cells : tuple of tuples of str
        As many in each row as there are columns; rows without any content are left out.
    """

    columns: tuple[str, ...]
    lines: tuple[int, ...]
    cells: tuple[tuple[str, ...], ...]


def lines_in_words(lines: Sequence[int]) -> str:
    """Name lines of a file, at most eight of them.

    >>> lines_in_words([2]), lines_in_words([2, 5])
    ('line 2', 'lines 2, 5')
    """
    more = f" and {len(lines) - 8} more" if len(lines) > 8 else ""
    return f"line{'s' if len(lines) > 1 else ''} {', '.join(map(str, lines[:8]))}{more}"


def separator_of(text: str) -> str:
    r"""Return the separator of `SEPARATORS` that its first line with content holds most of.

    >>> separator_of("\n vessel;x_mm;y_mm\nsvc;1,5;2,5"), separator_of("vessel")
    (';', ',')
    """
    first = next((line for line in text.splitlines() if line.strip()), "")
    return max((",", ";", "\t"), key=first.count)


def unknown_columns(header: Sequence[object], known: Sequence[str]) -> str:
    """Say which columns of a table are not known; empty where all are. Records say their numbers alone.

    >>> from petflame.privacy import with_names, without_names
    >>> said = unknown_columns(["vessel", "SMITH"], ["vessel"])
    >>> with_names(said), without_names(said)
    ('columns SMITH are unknown', 'columns with the numbers 2 are unknown')
    """
    unknown = {n: str(name) for n, name in enumerate(header, start=1) if str(name) not in known}
    numbers = ", ".join(map(str, unknown))
    names = named(", ".join(unknown.values()), f"with the numbers {numbers}")
    return f"columns {names} are unknown" if unknown else ""


def read_rows(
    path: Path, required: Sequence[str] = (), separator: str | None = "\t", where: str = "", utf16: bool = False
) -> Rows:
    """Read the cells of a table whose first line with content names its columns.

    Rows and named-by-nobody columns without any content (what spreadsheets add at the end) are passed over.

    Parameters
    ----------
    path : Path
    required : sequence of str
        Columns that must be there.
    separator : str or None
        None takes the one of `SEPARATORS` that stands between the names of the header.
    where : str
        How messages call the file; by default its path.
    utf16 : bool
        Take UTF-16 too.

    Raises
    ------
    InputRefused
        As `petflame.outside.read_text`; with every column that is missing, stands twice or has no name, and every row
        with more cells than the header, with an unclosed quotation mark, or with a cell beyond any bound.
    """
    where = where or calling(path)
    text = read_text(path, LARGEST_BYTES, where, utf16=utf16)
    separator = separator or separator_of(text)
    faults = FaultList()
    header: list[str] = []
    lines: list[int] = []
    cells: list[list[str]] = []
    long: list[int] = []
    open_quote: list[int] = []
    before = 0
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    limit = csv.field_size_limit(len(text) + 1)
    try:
        for row in reader:
            line, before = before + 1, reader.line_num
            if not any(cell.strip() for cell in row):
                continue
            if any("\n" in c and separator in c for c in row):
                open_quote.append(line)
            if any(len(c) > LONGEST_CELL for c in row):
                long.append(line)
            if not header:
                header = [cell.strip() for cell in row]
                if len(header) > MOST_COLUMNS:
                    break
            else:
                lines.append(line)
                cells.append(row)
            if len(lines) > MOST_ROWS:
                faults.add(f"it has more than {MOST_ROWS} rows", where, "check that this is the file you mean")
                break
    except csv.Error as error:
        faults.add(f"it cannot be read as a table ({error})", where, "mend the file")
    finally:
        csv.field_size_limit(limit)
    if open_quote:
        what = f"a cell that begins with a quotation mark in {lines_in_words(open_quote)} does not end in its line"
        faults.add(what, where, "close or remove the quotation mark")
    elif long:
        faults.add(f"a cell is longer than {LONGEST_CELL} characters in {lines_in_words(long)}", where, "shorten it")
    faults.raise_if_any()
    if not header:
        faults.add("it is empty", where, f"give a header with {', '.join(required) or 'names of columns'}, and rows")
    if len(header) > MOST_COLUMNS:
        faults.add(f"it has {len(header)} columns", where, "check that this is the file you mean")
    faults.raise_if_any()
    return _checked(header, lines, cells, required, separator, where)


def _checked(
    header: list[str], lines: list[int], cells: list[list[str]], required: Sequence[str], separator: str, where: str
) -> Rows:
    faults = FaultList()
    width = len(header)
    wide = [line for line, row in zip(lines, cells, strict=True) if any(c.strip() for c in row[width:])]
    if wide:
        what = f"its rows have more cells than the header in {lines_in_words(wide)}"
        commas = "; where numbers have a decimal comma, separate the columns by semicolons" * (separator == ",")
        faults.add(what, where, f"give every column a name, or remove what is too much{commas}")
    padded = [tuple((row + [""] * width)[:width]) for row in cells]
    unnamed = [n for n, name in enumerate(header) if not name]
    used = [n + 1 for n in unnamed if any(row[n].strip() for row in padded)]
    if used:
        faults.add(f"column {', '.join(map(str, used[:8]))} has no name", where, "name it, or remove it")
    twice = sorted({name for name in header if name and header.count(name) > 1})
    if twice:
        places = ", ".join(str(n) for n, name in enumerate(header, start=1) if name in twice[:8])
        words = named(", ".join(brief(n) for n in twice[:8]), "one name")
        faults.add(f"{words} stands twice in the header (columns {places})", where, "keep one")
    missing = [name for name in required if name not in header]
    if missing:
        other = next((s for s in SEPARATORS if s != separator and len(header) == 1 and s in header[0]), None)
        if other:
            what = f"its columns are separated by {SEPARATORS[other]}"
            faults.add(what, where, f"save it with {SEPARATORS[separator]} between them")
        else:
            has = named(", ".join(brief(n) for n in header[:12]), f"{width} others")
            what = f"columns {', '.join(missing)} are missing (it has {has})"
            faults.add(what, where, f"add them; columns are separated by {SEPARATORS[separator]}")
    faults.raise_if_any()
    kept = [n for n in range(width) if n not in unnamed]
    return Rows(tuple(header[n] for n in kept), tuple(lines), tuple(tuple(row[n] for n in kept) for row in padded))


def read_frame(path: Path, required: Sequence[str] = (), text: Sequence[str] = (), where: str = "") -> pd.DataFrame:
    """Read a tab-separated table as a data frame.

    Parameters
    ----------
    path, required, where
        As for `read_rows`.
    text : sequence of str
        Columns kept as text, where only ``n/a`` and nothing mean missing. In the others NA, NaN and the like do too.

    Returns
    -------
    DataFrame
        Its index is the line of each row less 2, so 0, 1, 2 ... where no empty line stands between.

    Raises
    ------
    InputRefused
        As `read_rows`.
    """
    import pandas as pd

    rows = read_rows(path, required, where=where)
    again = io.StringIO()
    writer = csv.writer(again, delimiter="\t", lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerow(rows.columns)
    writer.writerows(rows.cells)
    again.seek(0)
    kept = [c for c in text if c in rows.columns]
    frame = pd.read_csv(
        again,
        sep="\t",
        dtype=dict.fromkeys(kept, str),
        na_values={c: list(MISSING_TEXT if c in kept else MISSING_NUMBERS) for c in rows.columns},
        keep_default_na=False,
        skip_blank_lines=False,
        low_memory=False,
    )
    for column in frame.columns:
        # Whole numbers beyond any machine's are kept as Python's, which no arithmetic takes.
        if frame[column].dtype == object and any(type(v) is int for v in frame[column]):
            frame[column] = [float(str(v)) if type(v) is int else v for v in frame[column]]
    if rows.lines != tuple(range(2, len(rows.lines) + 2)):
        frame.index = pd.Index([line - 2 for line in rows.lines])
    return frame
