"""Taking the paths of a person's files out of messages, and leaving the words of the messages alone.

A path is taken out wherever it stands. A folder's or file's bare name is taken out where it stands as a name (a part
of a path, between quotes, or before the comma that begins a place), and in running text only where it cannot be a word
of the message: a folder called ``s`` or ``carotid`` leaves every other s and carotid as it is.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from petflame.anatomy import REGIONS
from petflame.folders import MADE

# Names of ours and words that any message may hold: they tell of nobody.
_REGION_WORDS = {word for region in REGIONS for word in (region.name, *region.name.split("_"), *region.title.split())}
_KINDS = {"PET", "CT", "PT", "SUV", "HU", "DICOM", "DICOMDIR", "NIfTI", "NRRD", "SEG", "RTSTRUCT", "OsiriX", "ROI"}
_UNITS = {"Bq", "kBq", "MBq", "GBq", "mCi", "uCi", "mL", "dL", "BQML", "CNTS"}
ORDINARY = frozenset({*_REGION_WORDS, *_KINDS, *_UNITS, *(name for made in MADE.values() for name in made)})

# V1 is no part of V1_2 and V10, but a name of four letters hardly stands in another by chance.
SHORT = 3
_PLAIN_WORD = re.compile(r"[a-z]+|[+-]?[\d.]{1,5}")
_SEPARATORS = "/\\\\"
# The marks of `petflame.privacy.named` end a name as a quote does.
_MARKS = "\u2983\u2980\u2984"
_TOKEN = re.compile(rf"[^\s'\"`,;(){_MARKS}]*[{_SEPARATORS}][^\s'\"`,;(){_MARKS}]*")
_CERTAIN_PATH = re.compile(rf"[{_SEPARATORS}.~]|[A-Za-z]:[{_SEPARATORS}]|.*[{_SEPARATORS}].*[{_SEPARATORS}]|.*\.\w+$")
# What hangs on to a path without a separator is of the same name: SMITH_2 beside SMITH.
_SAME_NAME = r"(?:-?\w+)*"


def private_words(given: Mapping[str, Path | None]) -> dict[str, str]:
    """Return what to write in place of which paths and names.

    Parameters
    ----------
    given : mapping of str to Path or None
        What each file or folder is for, and its path.

    Returns
    -------
    dict of str to str
        Each path as it was given, absolute and with its links followed, and its last name, to what it is for.
    """
    words: dict[str, str] = {}
    for what, path in given.items():
        if path is None:
            continue
        for form in (str(path), os.path.abspath(path), os.path.realpath(path), path.name):
            if form.strip("./\\"):
                words.setdefault(form, what)
    return words


def without_paths(text: str, private: Mapping[str, str]) -> str:
    """Write in place of private paths and names what they are for.

    Parameters
    ----------
    text : str
    private : mapping of str to str
        As `private_words` returns it.

    >>> without_paths("/d/s/decisions.tsv, line 2: no vessel is so called", {"/d/s": "edits", "s": "edits"})
    'edits/decisions.tsv, line 2: no vessel is so called'
    >>> without_paths("the carotid in 'carotid': no carotid", {"scan": "edits"})
    "the carotid in 'carotid': no carotid"
    """
    for word in sorted(private, key=len, reverse=True):
        text = _without_path(text, word, private[word]) if _has_separator(word) else text
    for word in sorted(private, key=len, reverse=True):
        text = text if _has_separator(word) else _without_name(text, word, private[word])
    return text


def _has_separator(word: str) -> bool:
    return "/" in word or "\\" in word


def _without_path(text: str, path: str, what: str) -> str:
    if not _has_separator(path.strip("/\\")):
        # A folder of the root, as /d, is a part of mg/dL.
        return re.sub(rf"(?<!\w){re.escape(path)}(?![-\w])", lambda _: what, text)
    start = r"(?<![\w.])" if path[:1] not in "/\\" else ""
    return re.sub(f"{start}{re.escape(path)}{_SAME_NAME}", lambda _: what, text)


def _without_name(text: str, name: str, what: str) -> str:
    if not _PLAIN_WORD.fullmatch(name) and name not in ORDINARY:
        # No word of a message: a name wherever it stands by itself, SMITH in SMITH_2 as well.
        edge = r"[^\W\d_]" if len(name) > SHORT else r"\w"
        return re.sub(rf"(?<!{edge}){re.escape(name)}(?!{edge})", lambda _: what, text)
    text = _TOKEN.sub(lambda token: _without_part(token[0], name, what), text)
    if name in ORDINARY:
        return text
    quoted = re.escape(name)
    text = re.sub(rf"(?<=')(?<!\w'){quoted}(?='(?!\w))|(?<=\"){quoted}(?=\")", lambda _: what, text)
    return re.sub(rf"\A{quoted}(?=:|, (?:line|entry|row|column)\b|\Z)", lambda _: what, text)


def _without_part(token: str, name: str, what: str) -> str:
    """Replace whole parts of what is a path for certain; ``mL/s`` is none."""
    if not _CERTAIN_PATH.match(token):
        return token
    parts: Iterable[str] = re.split(rf"([{_SEPARATORS}])", token)
    return "".join(re.sub(rf"\A{re.escape(name)}(?=:?\Z)", lambda _: what, part) for part in parts)
