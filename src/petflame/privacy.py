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
