"""Names and places that a run is given: taken as they were written, or refused in a line before any job is planned."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from petflame.errors import Fault

# Of Linux (PATH_MAX, NAME_MAX); other systems allow less.
LONGEST_PATH, LONGEST_NAME = 4_095, 255
# visits/CODE/propagated/.variations_columns.json.XXXXXXXX.part and the like.
LONGEST_BELOW = 120
# Keys whose value is a name or a path, never a number.
TEXTS = ("study", "out", "protocol", "study_id", "strata", "reliability")


def as_written(config: Mapping[str, Any], given: Iterable[str] | None) -> dict[str, Any]:
    """Return a workflow's configuration with the values of its command line as they were written there.

    Snakemake reads ``--config study=2024_01`` as the number 202401, ``study_id=001`` as 1 and ``study=a #2`` as
    ``a``. It hands on the texts beside its reading, to jobs on other machines too.

    Parameters
    ----------
    config : mapping
        As Snakemake read it.
    given : iterable of str or None
        ``KEY=VALUE`` of the command line.

    >>> as_written({"study": 202401, "strict": "true"}, ["study=2024_01", "strict=true"])
    {'study': '2024_01', 'strict': 'true'}
    """
    texts = dict(entry.split("=", 1) for entry in given or () if "=" in entry)
    # Snakemake takes quotes off both ends, and an empty value for none.
    return {**config, **{key: text.strip("'\"") or None for key, text in texts.items() if key in config}}


def number_faults(config: Mapping[str, Any]) -> list[Fault]:
    """Return the names and paths that a configuration file's YAML turned into a number, a date or a truth value."""
    faults = []
    for key in TEXTS:
        value = config.get(key)
        if value is not None and not isinstance(value, (str, Path)):
            what = f"{key} was read as {value!r} ({type(value).__name__}), which may not be what was written"
            faults.append(Fault(what, "config", f'put it between quotes in the file: {key}: "..."'))
    return faults


def place_faults(study: str, out: str) -> list[Fault]:
    """Return why results cannot be made in a folder, or from a study: its name, what lies there, permissions.

    Nothing is written.
    """
    faults = [*name_faults("study", study), *name_faults("out", out)]
    return faults or closed_faults(Path(out))


def name_faults(key: str, text: str) -> list[Fault]:
    """Return why a folder cannot be a study, or hold results, by its name alone."""
    where = f"{key}={text!r}"
    if not text.strip():
        return [Fault("it is empty", where, "name a folder")]
    # Snakemake takes braces in the path of a file for a wildcard, and keeps its locks a path a line.
    if "{" in text or "}" in text:
        what = "braces { } in the folder's name would be taken for a wildcard of the workflow"
        return [Fault(what, where, "rename the folder, or name a link to it without them")]
    if not text.isprintable():
        what = "the folder's name holds a line break or another character that cannot be printed"
        return [Fault(what, where, "rename the folder, or name a link to it")]
    if too_long(Path(text).absolute(), LONGEST_BELOW):
        return [Fault("the path is longer than any can be", f"{key}={text[:40]!r}...", "name another folder")]
    return []


def too_long(path: Path, below: int = 0) -> bool:
    """Tell whether a path, with `below` bytes for what lies in it, is longer than any file's can be.

    >>> too_long(Path("a" * 256)), too_long(Path("a" * 255))
    (True, False)
    """
    parts = [len(os.fsencode(part)) for part in path.parts]
    return len(os.fsencode(path)) + below > LONGEST_PATH or max(parts, default=0) > LONGEST_NAME


def closed_faults(out: Path) -> list[Fault]:
    """Return why a folder of results cannot be made or written, it and the folders of results in it."""
    remedy = "name another folder with out=DIR, or give permission to write there"
    try:
        root = nearest = out.absolute()
        while not os.path.lexists(nearest):
            nearest = nearest.parent
        parts = [root / name for name in ("visits", "pairs", "key", "logs", "steps")]
        faults = []
        for folder in (nearest, *filter(os.path.lexists, parts)):
            if not folder.is_dir():
                what = "a file, or a link to nothing, has the name of a folder of results"
                faults.append(Fault(what, str(folder), "name another folder with out=DIR, or move it away"))
            elif not os.access(folder, os.W_OK | os.X_OK):
                faults.append(Fault("the folder cannot be written", str(folder), remedy))
    except OSError as error:
        return [Fault(f"it cannot be looked up ({error.strerror})", str(out), remedy)]
    return faults


def look_alike(identifier: str) -> str:
    """Return what an identifier looks like: without case, blanks and invisible characters, in plain characters.

    >>> look_alike("P1") == look_alike("p1 ") == look_alike("Ｐ\u200b1")
    True
    """
    plain = unicodedata.normalize("NFKD", identifier).casefold()
    return "".join(c for c in plain if unicodedata.category(c)[0] not in "ZCM")


def look_alike_faults(tables: Mapping[str, Iterable[str]]) -> list[Fault]:
    """Return the participants whose identifiers differ by case, blanks or invisible characters alone.

    Parameters
    ----------
    tables : mapping of str to iterable of str
        The identifiers of each table, by the table's name.
    """
    spellings: dict[str, dict[str, set[str]]] = {}
    faults = []
    for table, identifiers in tables.items():
        for identifier in set(identifiers):
            spellings.setdefault(look_alike(identifier), {}).setdefault(identifier, set()).add(table)
            foreign = sorted({c for c in identifier if not c.isascii()})
            if foreign:
                names = ", ".join(f"U+{ord(c):04X} {unicodedata.name(c, 'without a name')}" for c in foreign)
                what = f"participant_id {identifier!r} holds {names}"
                faults.append(Fault(what, table, "write study codes in plain letters and digits"))
    for found in spellings.values():
        if len(found) > 1:
            words = " and ".join(f"{name!r} ({', '.join(sorted(found[name]))})" for name in sorted(found))
            what = f"participant_id {words} differ by case, blanks or look-alike characters alone"
            remedy = "write one participant's code the same everywhere; give two participants different codes"
            faults.append(Fault(what, ", ".join(sorted({t for names in found.values() for t in names})), remedy))
    return sorted(faults)
