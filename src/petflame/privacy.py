"""Names that may tell who was scanned: shown to the person at the screen, never written into results.

A file's or a region's name comes from outside and can hold a patient's name. Messages carry it together with a
stand-in ("file 12"), and the place that shows or keeps a message decides which of the two it takes: a terminal the
name, results and logs the stand-in, the local list under ``key/`` both.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

# Printable, so that a name within a quoted repr() survives; no file or region is called so.
_OPEN, _BETWEEN, _CLOSE = "\u2983", "\u2980", "\u2984"
_NAMED = re.compile(f"{_OPEN}([^{_OPEN}{_CLOSE}{_BETWEEN}]*){_BETWEEN}([^{_OPEN}{_CLOSE}{_BETWEEN}]*){_CLOSE}")
_RESERVED = str.maketrans(dict.fromkeys(_OPEN + _BETWEEN + _CLOSE, "?"))
_UNIQUE_IDENTIFIER = re.compile(r"\d+(\.\d+){4,}|2\.25\.\d{9,}")


def named(name: object, stand_in: str) -> str:
    """Put a name from outside into a message, with what may stand for it where nobody must be told.

    >>> text = f"{named('SMITH_J.dcm', 'file 12')} is damaged"
    >>> with_names(text), without_names(text)
    ('SMITH_J.dcm is damaged', 'file 12 is damaged')
    """
    return f"{_OPEN}{stand_in.translate(_RESERVED)}{_BETWEEN}{str(name).translate(_RESERVED)}{_CLOSE}"


def with_names(text: str) -> str:
    """Return the text as the person at the screen sees it."""
    return _NAMED.sub(lambda match: match[2], text)


def without_names(text: str) -> str:
    """Return the text as results hold it: stand-ins for names, dots for unique identifiers.

    >>> without_names("series 1.2.840.113619.2.55 is dynamic")
    'series ... is dynamic'
    """
    return _UNIQUE_IDENTIFIER.sub("...", _NAMED.sub(lambda match: match[1], text))


def names_in(texts: Iterable[str]) -> list[tuple[str, str]]:
    """Return every (stand-in, name) that the texts hold, each once, sorted."""
    return sorted({(match[1], match[2]) for text in texts for match in _NAMED.finditer(text)})


_LONGEST_NAME = 160


def shortened(text: str, most: int) -> str:
    """Return a text cut to about `most` characters; long names lose their middle, and never their marks.

    >>> shortened("a" * 10, 4)
    'aaaa ...'
    >>> with_names(shortened(f"{named('/one/' + 'x' * 300 + '/two.tsv', 'the file')}, line 3", 200))[-15:]
    'two.tsv, line 3'
    """
    if len(text) <= most:
        return text
    half = _LONGEST_NAME // 2

    def cut(match: re.Match[str]) -> str:
        name = match[2]
        return match[0] if len(name) <= _LONGEST_NAME else named(f"{name[:half]} ... {name[-half:]}", match[1])

    kept: list[str] = []
    length = 0
    text = _NAMED.sub(cut, text)
    at = 0
    for match in (*_NAMED.finditer(text), None):
        piece = text[at : match.start() if match else len(text)]
        if length + len(piece) > most:
            return "".join((*kept, piece[: most - length], " ..."))
        kept.append(piece)
        length += len(piece)
        if match is None or length + len(match[2]) > most:
            break
        kept.append(match[0])
        length += len(match[2])
        at = match.end()
    return "".join(kept) if match is None else "".join((*kept, "..."))
