"""A study: its tables and its codes.

The codes of visits and pairs are keyed hashes of participant and visit, so that a folder name tells neither
identity nor visit order. The key stays with the study (or, made on the first run, in the results' ``key/`` folder).
"""

from __future__ import annotations

import hashlib
import hmac
import math
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from petflame.errors import FaultList, InputRefused
from petflame.outside import calling
from petflame.places import too_long
from petflame.privacy import named
from petflame.tabletext import MISSING_NUMBERS, unknown_columns
from petflame.typed import as_written

if TYPE_CHECKING:
    import pandas as pd

VISITS = ("baseline", "followup")
IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class Visit:
    """One row of ``visits.tsv`` with its paths resolved."""

    participant_id: str
    visit: str
    dicom_dir: Path
    labels: Path | None = None
    seeds: Path | None = None
    overrides: Path | None = None
    edits: Path | None = None
    glucose_mmol_l: float | None = None

    @property
    def row(self) -> str:
        """How error messages name this visit."""
        return f"{self.participant_id} {self.visit}"


@dataclass(frozen=True)
class Study:
    """The tables of a study.

    Attributes
    ----------
    root : Path
        Folder of the tables; relative paths in them start here.
    visits : tuple of Visit
        Sorted by participant, then baseline before follow-up.
    key : bytes
        Secret behind the codes.
    """

    root: Path
    visits: tuple[Visit, ...]
    key: bytes

    def code(self, participant_id: str, visit: str) -> str:
        """Return the random-looking code of a visit; `visit` = 'pair' gives that of the pair."""
        return self._codes[participant_id, visit]

    @cached_property
    def _codes(self) -> Mapping[tuple[str, str], str]:
        codes: dict[tuple[str, str], str] = {}
        subjects = [(v.participant_id, v.visit) for v in self.visits]
        subjects += [(p, "pair") for p in sorted({v.participant_id for v in self.visits})]
        for participant_id, visit in subjects:
            digest = hmac.new(self.key, f"{participant_id}\0{visit}".encode(), hashlib.sha256).hexdigest()
            codes[participant_id, visit] = ("P" if visit == "pair" else "V") + digest[:10].upper()
        if len(set(codes.values())) < len(codes):
            raise InputRefused.of("two visits get the same code", str(self.root), "use another blinding.key")
        return codes

    @cached_property
    def by_code(self) -> Mapping[str, Visit]:
        """Visit of each code."""
        return {self.code(v.participant_id, v.visit): v for v in self.visits}

    @cached_property
    def pairs(self) -> Mapping[str, tuple[Visit | None, Visit | None]]:
        """Baseline and follow-up of each pair code; a visit without a row is None."""
        rows = {(v.participant_id, v.visit): v for v in self.visits}
        ids = sorted({v.participant_id for v in self.visits})
        return {self.code(p, "pair"): (rows.get((p, VISITS[0])), rows.get((p, VISITS[1]))) for p in ids}

    def participant_of(self, pair_code: str) -> str:
        """Participant of a pair code."""
        return next(v.participant_id for v in self.pairs[pair_code] if v is not None)


def read_visits(table: pd.DataFrame, root: Path, where: str) -> tuple[Visit, ...]:
    """Turn the rows of ``visits.tsv`` into visits.

    Raises
    ------
    InputRefused
        With every row that has no or an unusable participant_id, an unknown visit, a missing dicom_dir, a glucose
        that is no number or is in mg/dL, or that stands twice.
    """
    faults = FaultList()
    visits = usable_visits(table, root, where, faults)
    faults.raise_if_any()
    return visits


def usable_visits(table: pd.DataFrame, root: Path, where: str, faults: FaultList) -> tuple[Visit, ...]:
    """Return the visits whose rows hold no fault, and add the faults of all rows to `faults`; as `read_visits`."""
    visits, seen = [], set()
    known = (*VISIT_TEXT, "comment")
    unknown = unknown_columns(list(table.columns), known)
    if unknown:
        faults.add(unknown, where, f"rename or remove them; it may have {', '.join(known)}")
    used: dict[str, str] = {}
    for index, row in zip(table.index, table.to_dict("records"), strict=True):
        line = f"{where}, line {index + 2}"
        wrong = FaultList()
        given = {k: v for k, v in row.items() if isinstance(v, str) and v.strip()}
        participant, visit, dicom_dir = (given.get(c, "") for c in ("participant_id", "visit", "dicom_dir"))
        if not IDENTIFIER.fullmatch(participant):
            what = f"participant_id {as_written(participant)} is not a name of letters, digits, '.', '_' and '-'"
            wrong.add(what, line, "use a study code of at most 64 of them that begins with a letter or digit")
        if visit not in VISITS:
            wrong.add(f"visit {as_written(visit)} is unknown", line, "write baseline or followup")
        if not dicom_dir:
            wrong.add("dicom_dir is empty", line, "name the folder with this visit's DICOM files")
        if (participant, visit) in seen:
            wrong.add(f"{participant} {visit} stands twice", line, "keep one row a visit")
        seen.add((participant, visit))
        glucose = _glucose(row.get("glucose_mmol_l"), line, wrong)
        paths = {c: root / given[c] for c in ("labels", "seeds", "overrides", "edits") if c in given}
        for name, path in (("dicom_dir", root / dicom_dir), *paths.items()):
            if "\0" in str(path):
                wrong.add("a path holds a null character", line, "save the table as plain UTF-8 text")
                continue
            if too_long(path):
                wrong.add(f"the path in {name} is longer than any file's can be", line, "mend the path")
                continue
            if name == "overrides":
                continue
            real = os.path.realpath(path)
            if dicom_dir and real in used:
                what = f"{named(path.name, 'one folder or file')} serves {used[real]} and {participant} {visit}"
                wrong.add(what, line, "give each visit its own folder and files")
            used[real] = f"{participant} {visit}"
        faults.extend(wrong)
        if not wrong:
            visits.append(Visit(participant, visit, root / dicom_dir, glucose_mmol_l=glucose, **paths))
    return tuple(sorted(visits, key=lambda v: (v.participant_id, VISITS.index(v.visit))))


def _glucose(value: object, line: str, faults: FaultList) -> float | None:
    if value is None or value != value or str(value).strip() in MISSING_NUMBERS:
        return None
    try:
        number = float(str(value))
    except ValueError:
        what = f"glucose_mmol_l {as_written(value)} is not a number"
        faults.add(what, line, "write mmol/L with a decimal point, or n/a")
        return None
    if not math.isfinite(number) or number > 1000:
        faults.add("glucose_mmol_l is not possible", line, "write mmol/L, or n/a")
        return None
    if number > 30:
        faults.add(
            f"glucose_mmol_l {number:g} can only be mg/dL", line, f"divide by 18.016: write {number / 18.016:.1f}"
        )
        return None
    if not number >= 0.5:
        faults.add(f"glucose_mmol_l {number:g} is not possible", line, "write mmol/L, or n/a")
        return None
    return number


VISIT_TEXT = ("participant_id", "visit", "dicom_dir", "labels", "seeds", "edits", "overrides", "glucose_mmol_l")


def load_study(root: Path, out: Path, keep_key: bool = True) -> Study:
    """Read ``visits.tsv`` of a study and its blinding key (made for ``out/key`` where the study brings none).

    Parameters
    ----------
    root : Path
        Folder of the study's tables.
    out : Path
        Folder of the results.
    keep_key : bool
        Write a key that was made; without it nothing is written, and `keep_blinding_key` is to follow.

    Raises
    ------
    InputRefused
        With every fault of the table, or when it has no rows.
    """
    from petflame.files import read_tsv

    path = root / "visits.tsv"
    table = read_tsv(path, required=("participant_id", "visit", "dicom_dir"), text=VISIT_TEXT)
    if table.empty:
        raise InputRefused.of("it has no rows", calling(path), "add a row a visit, or draft it with `petflame init`")
    study = Study(root, read_visits(table, root, calling(path)), blinding_key(root, out))
    if keep_key:
        keep_blinding_key(study, out)
    return study


def _key_files(root: Path, out: Path) -> tuple[Path, Path]:
    return root / "blinding.key", out / "key" / "blinding.key"


def blinding_key(root: Path, out: Path) -> bytes:
    """Return the study's key, or the one kept in ``out/key``; without one, a random one, not yet kept.

    Raises
    ------
    InputRefused
        When a key is unusable, or the key to the results that lie there is gone.
    """
    for path in _key_files(root, out):
        if path.exists():
            text = path.read_text(encoding="ascii", errors="replace").strip()
            if not re.fullmatch(r"[0-9a-fA-F]{32,}", text):
                raise InputRefused.of("it is not a key of at least 32 hexadecimal digits", str(path), "remove it")
            return bytes.fromhex(text[: len(text) // 2 * 2])
    coded = [p.name for p in (out / "visits").glob("V*") if re.fullmatch(r"V[0-9A-F]{10}", p.name)]
    if coded:
        what = f"the key to the codes of the {len(coded)} visits that lie beside it is gone"
        raise InputRefused.of(what, str(out / "key" / "blinding.key"), f"restore it, or remove {out} and begin anew")
    return secrets.token_bytes(32)


def keep_blinding_key(study: Study, out: Path) -> None:
    """Keep the study's key in ``out/key``, unless it is kept already; all that lies there is its owner's alone."""
    from petflame.files import private_folder, write_text

    private_folder(out / "key")
    if not any(path.exists() for path in _key_files(study.root, out)):
        write_text(out / "key" / "blinding.key", f"{study.key.hex()}\n", private=True)
