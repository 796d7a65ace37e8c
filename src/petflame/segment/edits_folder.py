"""A reader's edits as they lie in a folder: a form of decisions, drawn regions, points, or one finished read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from petflame.anatomy import ARTERIES, VEINS
from petflame.errors import FaultList, InputRefused
from petflame.files import read_tsv, sha256
from petflame.outside import calling
from petflame.privacy import named
from petflame.segment.binding import KEYS, Binding, binding_in
from petflame.segment.imports import is_regions
from petflame.segment.imports.sidecar import is_sidecar
from petflame.segment.reads import is_read
from petflame.segment.seedformats import is_seeds, is_seeds_folder
from petflame.typed import as_written

DECISIONS = "decisions.tsv"
# What a reader pack brings to be looked at.
IMAGES = "images"
# The same as DICOM.
DICOM = "dicom"
DICOM_LABELS = "labels.dcm"
# Beside it, as `sha256sum` writes it: what it was when the pack was made.
SUMS = "SHA256SUMS"
PACKED = ("ct.nii.gz", "pet.nii.gz", "labels.nii.gz", "labels.ctbl", "ct", "pet", DICOM_LABELS, SUMS)
VESSELS = (*ARTERIES, *VEINS)
CHOICES = ("accept", "reject")
UNTOUCHED = f"{DECISIONS} holds no decision and no vessel was redrawn: nothing was edited"
COLUMNS: dict[str, tuple[str, str]] = {
    "vessel": ("artery or vein", ""),
    "decision": ("accept or reject; empty leaves it as it is", ""),
    "words": ("why; needed for a rejection", ""),
    "method": ("how it was found", ""),
    "state": ("what was found out about it before the reader looked", ""),
    "code": ("the visit that the form was made of: leave it", ""),
    "ct_sha256": ("its CT", ""),
    "pet_sha256": ("its PET", ""),
    "labels_sha256": ("the labels that were shown: leave it, so that a decision meets no others", ""),
}


@dataclass(frozen=True)
class Decision:
    """What a reader decided about one vessel."""

    choice: Literal["accept", "reject"]
    words: str


@dataclass(frozen=True)
class Edits:
    """A reader's edits of one visit.

    Attributes
    ----------
    decisions : mapping of vessel to Decision
    regions : Path or None
        Redrawn vessels: any file with regions.
    seeds : tuple of Path
        Redrawn vessels: files of points, or a folder of them.
    form : Path or None
        The form that the decisions stand in.
    bound : Binding
        What the form says that it was made of.
    of_pack : bool
        Whether petflame wrote the form, of whatever version.
    painted_over : bool
        The redrawn regions are a pack's own label map, which was saved over.
    read : Path or None
        A finished read of the workbench, which says all of it by itself (see `petflame.segment.reads`).
    """

    decisions: Mapping[str, Decision] = field(default_factory=dict)
    regions: Path | None = None
    seeds: tuple[Path, ...] = ()
    read: Path | None = None
    form: Path | None = None
    bound: Binding = field(default_factory=Binding)
    of_pack: bool = False
    painted_over: bool = False


def read_edits(path: Path) -> Edits:
    """Read edits: a folder with ``decisions.tsv`` and, where vessels were redrawn, regions or seeds; or one such file.

    Parameters
    ----------
    path : Path
        In a folder, ``decisions.tsv`` (columns vessel, decision, words), at most one file of regions (see
        `petflame.segment.imports`) and files of points, one or more, there or in a folder of their own, are taken;
        hidden files and the images of a reader pack are passed over, but not what a reader saved among them. A pack's
        own label map that was saved over is the redrawn one. A finished read (``.read.json``) stands alone.

    Raises
    ------
    InputRefused
        With every row that cannot be understood and every file too many, or when there is nothing in it.
    """
    where = calling(path, "the edits")
    if not path.exists():
        raise InputRefused.of("the edits are missing", where, "name a folder or file that exists")
    entries = sorted(path.iterdir()) if path.is_dir() and not is_regions(path) else [path]
    faults = FaultList()
    decisions: dict[str, Decision] = {}
    regions, seeds = list[Path](), list[Path]()
    reads = [entry for entry in entries if is_read(entry)]
    entries += _saved_among_images(path)
    form: Path | None = None
    bound, of_pack = Binding(), False
    for entry in entries:
        if entry.name == DECISIONS:
            form = entry
            decisions, bound, of_pack = _decisions(entry, faults)
        elif entry.name.startswith(".") or entry.name in (IMAGES, DICOM) or entry in reads:
            continue
        elif is_regions(entry):
            regions.append(entry)
        elif is_seeds(entry) or is_seeds_folder(entry):
            seeds.append(entry)
    seeds = [s for s in seeds if s.is_dir() or not any(is_sidecar(s, r) for r in regions)]
    shown = path / IMAGES / PACKED[2]
    painted = bool(bound.labels_sha256) and shown.is_file() and sha256(shown) != bound.labels_sha256
    regions += [shown] * painted
    if len(regions) > 1:
        names = ", ".join(named(f.name, f"file {n}") for n, f in enumerate(regions, start=1))
        faults.add(f"it holds several files of regions: {names}", where, "keep the one that counts")
    if len(reads) > 1 or (reads and (form or regions or seeds)):
        what = "it holds a finished read and other edits, and a read says all that a reader did"
        faults.add(what, where, "name the file of the one read that counts")
    if not faults and not form and not regions and not seeds and not reads:
        faults.add("it holds no edit", where, f"write {DECISIONS}, or put regions or seeds there")
    faults.raise_if_any()
    drawn, read = (found[0] if found else None for found in (regions, reads))
    painted |= drawn == path / DICOM / DICOM_LABELS
    return Edits(decisions, drawn, tuple(seeds), read, form, bound, of_pack, painted)


def _saved_among_images(folder: Path) -> list[Path]:
    """What a reader saved among the images of a pack, where viewers offer to save."""
    places = (folder / name for name in (IMAGES, DICOM)) if folder.is_dir() else ()
    found = [
        entry for place in places if place.is_dir() for entry in sorted(place.iterdir()) if entry.name not in PACKED
    ]
    labels, sums = folder / DICOM / DICOM_LABELS, folder / DICOM / SUMS
    if labels.is_file() and sums.is_file() and sha256(labels) not in sums.read_text(encoding="ascii", errors="replace"):
        found.append(labels)
    return found


def is_untouched(edits: Edits) -> bool:
    """Whether a form was handed back without a decision and nothing was redrawn."""
    return not edits.decisions and edits.regions is None and not edits.seeds and edits.read is None


def _decisions(path: Path, faults: FaultList) -> tuple[dict[str, Decision], Binding, bool]:
    table = read_tsv(path, required=("vessel", "decision"), text=tuple(COLUMNS))
    bound = binding_in(table.to_dict("records"), calling(path), faults)
    found: dict[str, Decision] = {}
    for index, row in zip(table.index, table.to_dict("records"), strict=True):
        line = f"{path.name}, line {index + 2}"
        given = {k: v.strip() for k, v in row.items() if isinstance(v, str)}
        vessel, choice, words = given.get("vessel", ""), given.get("decision", "").lower(), given.get("words", "")
        if not choice:
            continue
        if vessel not in VESSELS:
            faults.add(f"vessel {as_written(vessel)} is no vessel", line, f"use the names {', '.join(VESSELS)}")
        elif choice not in CHOICES:
            faults.add(
                f"the decision {as_written(choice)} is unknown",
                line,
                f"write {' or '.join(CHOICES)}, or leave it empty",
            )
        elif vessel in found:
            faults.add(f"{vessel} stands twice", line, "keep one row a vessel")
        elif choice == "reject" and not words:
            faults.add(f"{vessel} is rejected without words", line, "say why")
        else:
            found[vessel] = Decision("accept" if choice == "accept" else "reject", said_by_reader(words, DECISIONS))
    return found, bound, {"method", "state"} <= set(table.columns) or bool(set(KEYS) & set(table.columns))


def said_by_reader(words: str, place: str) -> str:
    """Return a reader's words, which may name anybody: they stay in the edits, and on the screen."""
    return named(words, f"see {place}") if words else ""
