"""Paths of everything that petflame writes: visits, pairs, a study's results."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

# What visits and pairs are called in results: a keyed hash.
CODE = re.compile(r"V[0-9A-F]{10}")


def _tables(*names: str) -> tuple[str, ...]:
    return tuple(f"{name}{end}" for name in names for end in (".tsv", "_columns.json"))


# Every file and folder that a step may leave in the folder of a visit or a pair.
MADE = {
    "convert": ("pet.nii.gz", "pet.json", "ct.nii.gz", "ct.json"),
    "segment": ("labels.nii.gz", "labels.json", "labels_found.nii.gz", "labels_found.json"),
    "measure": ("measure.json", *_tables("slices", "vessels", "variations", "partial_volume")),
    "pair": ("index.json", "pair.json", "propagated", *_tables("patients", "vessels", "variations", "sections")),
}


@dataclass(frozen=True)
class VisitFolder:
    """Paths of the files of one converted visit; the folder holds no identity, date, order or arm.

    Attributes
    ----------
    root : Path
    measured : Path or None
        Where labels and tables lie, if not beside the images.
    """

    root: Path
    measured: Path | None = None

    @property
    def _found(self) -> Path:
        return self.measured or self.root

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
    def labels(self) -> Path:
        """Label map."""
        return self._found / "labels.nii.gz"

    @property
    def labels_json(self) -> Path:
        """Centrelines, checks and provenance of the label map."""
        return self._found / "labels.json"

    @property
    def labels_found(self) -> Path:
        """Label map before a reader's edits; there only where the labels hold edits, or edits were refused."""
        return self._found / "labels_found.nii.gz"

    @property
    def labels_found_json(self) -> Path:
        """What `labels_json` was before a reader's edits."""
        return self._found / "labels_found.json"

    @property
    def slices(self) -> Path:
        """Table of vessel sections."""
        return self._found / "slices.tsv"

    @property
    def vessels(self) -> Path:
        """Table of vessels."""
        return self._found / "vessels.tsv"

    @property
    def measure_json(self) -> Path:
        """Protocol, blood pools and warnings of the measurement."""
        return self._found / "measure.json"

    @property
    def variations(self) -> Path:
        """Sections under the protocol's variations."""
        return self._found / "variations.tsv"

    @property
    def partial_volume(self) -> Path:
        """Walls corrected for partial volume, a sensitivity analysis, where the protocol asks for it."""
        return self._found / "partial_volume.tsv"

    @property
    def left_out(self) -> tuple[Path, Path]:
        """Where the sections may lie that a reader leaves out: as they are called now, and as they were before."""
        return self.root / "left_out.tsv", self.root / "exclusions.tsv"

    @property
    def status(self) -> Path:
        """Outcome of the latest step."""
        return self.root / "status.json"

    def step(self, verb: str) -> Path:
        """Outcome of one step, kept beside the others."""
        return self.root / "steps" / f"{verb}.json"

    def begun(self, verb: str) -> Path:
        """Lies there while a step is at work, and after it was interrupted."""
        return self.root / "steps" / f"{verb}.begun"


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
    def propagated(self) -> Path:
        """Folder with labels and tables of the follow-up in the baseline's contours, where the protocol asks."""
        return self.root / "propagated"

    @property
    def status(self) -> Path:
        """Outcome of the pairing."""
        return self.root / "status.json"

    def step(self, verb: str) -> Path:
        """Outcome of one step, with what it was made from."""
        return self.root / "steps" / f"{verb}.json"


def key_folder(folder: Path) -> Path | None:
    """Return the ``key/`` folder of the results that a visit, a pair or the results' root lies in; None outside any."""
    root = folder.absolute()
    root = root.parent.parent if root.parent.name in ("visits", "pairs") else root
    return root / "key" if (root / "key").is_dir() else None


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
    def patient_changes(self) -> Path:
        """Each patient's change with its repeatability band."""
        return self.root / "patient_changes.tsv"

    @property
    def not_analysed(self) -> Path:
        """Who is not in the analysis set, and why."""
        return self.root / "not_analysed.tsv"

    @property
    def analysed(self) -> tuple[Path, Path, Path]:
        """What every analysis of the arms leaves, blinded or not."""
        return self.arms, self.patient_changes, self.not_analysed

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
    def identity(self) -> Path:
        """What the comparison of all visits' identities found: stays local."""
        return self.root / "key" / "identity.tsv"

    def identity_record(self, code: str) -> Path:
        """Keyed hashes of who was scanned at a visit: stays local."""
        return self.root / "key" / "identity" / f"{code}.json"

    @property
    def provenance(self) -> Path:
        """Hashes of inputs and results."""
        return self.root / "provenance.json"

    @property
    def report_hashes(self) -> Path:
        """Hashes of report and provenance."""
        return self.root / "report.sha256"

    def step(self, verb: str) -> Path:
        """Outcome of one step on the whole study, with what it was made from."""
        return self.root / "steps" / f"{verb}.json"

    def plan(self, verb: str, code: str) -> Path:
        """Whether planning found that a step must be made (again): newer than its outcome if so."""
        return self.root / "key" / "plan" / verb / code

    def log(self, step: str, code: str) -> Path:
        """Log of one job."""
        return self.root / "logs" / step / f"{code}.log"
