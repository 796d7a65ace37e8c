"""A study: its tables, its codes, and the one builder of every path.

The codes of visits and pairs are keyed hashes of participant and visit, so that a folder name tells neither
identity nor visit order. The key stays with the study (or, made on the first run, in the results' ``key/`` folder).
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from petflame.errors import FaultList, InputRefused

if TYPE_CHECKING:
    import pandas as pd

VISITS = ("baseline", "followup")
IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class VisitFolder:
    """Paths of the files of one converted visit; the folder holds no identity, date, order or arm."""

    root: Path

    @property
    def pet(self) -> Path:
        """SUV image."""
        return self.root / "pet.nii.gz"

    @property
    def pet_json(self) -> Path:
        """How the SUV image came about."""
        return self.root / "pet.json"

    @property
    def ct(self) -> Path:
        """HU image."""
        return self.root / "ct.nii.gz"

    @property
    def ct_json(self) -> Path:
        """Facts about the CT, or that there is none."""
        return self.root / "ct.json"

    @property
    def labels(self) -> Path:
        """Label map."""
        return self.root / "labels.nii.gz"

    @property
    def labels_json(self) -> Path:
        """Centrelines, checks and provenance of the label map."""
        return self.root / "labels.json"

    @property
    def slices(self) -> Path:
        """Table of vessel sections."""
        return self.root / "slices.tsv"

    @property
    def vessels(self) -> Path:
        """Table of vessels."""
        return self.root / "vessels.tsv"

    @property
    def measure_json(self) -> Path:
        """Protocol, blood pools and warnings of the measurement."""
        return self.root / "measure.json"

    @property
    def variations(self) -> Path:
        """Sections under the protocol's variations."""
        return self.root / "variations.tsv"

    @property
    def partial_volume(self) -> Path:
        """Walls corrected for partial volume, a sensitivity analysis, where the protocol asks for it."""
        return self.root / "partial_volume.tsv"

    @property
    def exclusions(self) -> Path:
        """Sections that a reader leaves out, where there are any."""
        return self.root / "exclusions.tsv"

    @property
    def status(self) -> Path:
        """Outcome of the latest step."""
        return self.root / "status.json"

    def step(self, verb: str) -> Path:
        """Outcome of one step, kept beside the others."""
        return self.root / "steps" / f"{verb}.json"


@dataclass(frozen=True)
class PairFolder:
    """Paths of the files of one pair of visits."""

    root: Path

    @property
    def index(self) -> Path:
        """The sealed index vessel and locked sections, written before follow-up is read."""
        return self.root / "index.json"

    @property
    def pair_json(self) -> Path:
        """Correspondence, comparability and warnings."""
        return self.root / "pair.json"

    @property
    def patient(self) -> Path:
        """One row: the participant's result."""
        return self.root / "patients.tsv"

    @property
    def vessels(self) -> Path:
        """A row a vessel."""
        return self.root / "vessels.tsv"

    @property
    def variations(self) -> Path:
        """Change under the protocol's variations."""
        return self.root / "variations.tsv"

    @property
    def sections(self) -> Path:
        """Sections of both visits side by side."""
        return self.root / "sections.tsv"

    @property
    def status(self) -> Path:
        """Outcome of the pairing."""
        return self.root / "status.json"


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
class StudyOut:
    """Every path of a study's results."""

    root: Path

    def visit(self, code: str) -> VisitFolder:
        """Folder of a visit."""
        return VisitFolder(self.root / "visits" / code)

    def pair(self, code: str) -> PairFolder:
        """Folder of a pair."""
        return PairFolder(self.root / "pairs" / code)

    @property
    def patients(self) -> Path:
        """Every participant with a visit."""
        return self.root / "patients.tsv"

    @property
    def vessels(self) -> Path:
        """Every vessel of every participant."""
        return self.root / "vessels.tsv"

    @property
    def variations(self) -> Path:
        """Every participant under the protocol's variations."""
        return self.root / "variations.tsv"

    @property
    def exclusions(self) -> Path:
        """What was set aside, and why."""
        return self.root / "exclusions.tsv"

    @property
    def arms(self) -> Path:
        """Estimates per arm."""
        return self.root / "arms.json"

    @property
    def outcomes(self) -> Path:
        """Estimates from follow-up events."""
        return self.root / "outcomes.json"

    @property
    def report(self) -> Path:
        """The page to read."""
        return self.root / "report.html"

    @property
    def key_table(self) -> Path:
        """Which code is whose: stays local."""
        return self.root / "key" / "key.tsv"

    @property
    def provenance(self) -> Path:
        """Hashes of inputs and results."""
        return self.root / "provenance.json"

    def log(self, step: str, code: str) -> Path:
        """Log of one job."""
        return self.root / "logs" / step / f"{code}.log"


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
    faults, visits, seen = FaultList(), [], set()
    unknown = [str(c) for c in table.columns if c not in (*VISIT_TEXT, "comment")]
    if unknown:
        known = ", ".join((*VISIT_TEXT, "comment"))
        faults.add(f"columns {', '.join(unknown)} are unknown", where, f"rename or remove them; it may have {known}")
    used: dict[Path, str] = {}
    for number, row in enumerate(table.to_dict("records"), start=2):
        line = f"{where}, line {number}"
        given = {k: v for k, v in row.items() if isinstance(v, str) and v.strip()}
        participant, visit, dicom_dir = (given.get(c, "") for c in ("participant_id", "visit", "dicom_dir"))
        if not IDENTIFIER.fullmatch(participant):
            what = f"participant_id {participant!r} is not a name of letters, digits, '.', '_' and '-'"
            faults.add(what, line, "use a study code")
        if visit not in VISITS:
            faults.add(f"visit {visit!r} is unknown", line, "write baseline or followup")
        if not dicom_dir:
            faults.add("dicom_dir is empty", line, "name the folder with this visit's DICOM files")
        if (participant, visit) in seen:
            faults.add(f"{participant} {visit} stands twice", line, "keep one row a visit")
        seen.add((participant, visit))
        glucose = _glucose(row.get("glucose_mmol_l"), line, faults)
        paths = {c: root / given[c] for c in ("labels", "seeds", "overrides", "edits") if c in given}
        for path in (root / dicom_dir, *(paths[c] for c in ("labels", "seeds", "edits") if c in paths)):
            if dicom_dir and path.resolve() in used:
                what = f"{path.name} serves {used[path.resolve()]} and {participant} {visit}"
                faults.add(what, line, "give each visit its own folder and files")
            used[path.resolve()] = f"{participant} {visit}"
        visits.append(Visit(participant, visit, root / dicom_dir, glucose_mmol_l=glucose, **paths))
    faults.raise_if_any()
    return tuple(sorted(visits, key=lambda v: (v.participant_id, VISITS.index(v.visit))))


def _glucose(value: object, line: str, faults: FaultList) -> float | None:
    if value is None or value != value or (isinstance(value, str) and not value.strip()):
        return None
    try:
        number = float(str(value))
    except ValueError:
        faults.add(f"glucose_mmol_l {value!r} is not a number", line, "write mmol/L, or n/a")
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


def load_study(root: Path, out: Path) -> Study:
    """Read ``visits.tsv`` of a study and its blinding key (made in ``out/key`` where the study brings none).

    Raises
    ------
    InputRefused
        With every fault of the table, or when it has no rows.
    """
    from petflame.files import read_tsv

    path = root / "visits.tsv"
    table = read_tsv(path, required=("participant_id", "visit", "dicom_dir"), text=VISIT_TEXT)
    if table.empty:
        raise InputRefused.of("it has no rows", str(path), "add a row a visit, or draft it with `petflame init`")
    return Study(root, read_visits(table, root, str(path)), blinding_key(root, out))


def blinding_key(root: Path, out: Path) -> bytes:
    """Return the study's key; without one, make a random one under ``out/key`` once."""
    from petflame.files import write_atomically

    for path in (root / "blinding.key", out / "key" / "blinding.key"):
        if path.exists():
            text = path.read_text(encoding="ascii", errors="replace").strip()
            if not re.fullmatch(r"[0-9a-fA-F]{32,}", text):
                raise InputRefused.of("it is not a key of at least 32 hexadecimal digits", str(path), "remove it")
            return bytes.fromhex(text[: len(text) // 2 * 2])
    text = secrets.token_hex(32)
    path = out / "key" / "blinding.key"
    write_atomically(path, lambda stream: stream.write(f"{text}\n".encode()))
    path.chmod(0o600)
    return bytes.fromhex(text)
