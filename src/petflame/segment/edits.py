"""A reader's last word: vessels accepted, rejected or redrawn. Edits come after every maker, and win."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from petflame.anatomy import ARTERIES, VEINS
from petflame.dicom.references import References
from petflame.errors import FaultList, InputRefused
from petflame.files import read_tsv
from petflame.labelmap import LabelMap
from petflame.outside import calling
from petflame.privacy import named
from petflame.segment.checks import require_laterality, vessel_centres
from petflame.segment.drawn_over import drawn_as_found, require_drawn_over, require_none_erased
from petflame.segment.imported import check_imported
from petflame.segment.imports import import_segmentation, is_regions
from petflame.segment.imports.doors import called
from petflame.segment.imports.opened import digest_of
from petflame.segment.imports.sidecar import is_sidecar
from petflame.segment.pack_bond import COLUMNS as BOND_COLUMNS
from petflame.segment.pack_bond import IMAGES, Bond, drawn_in_pack, read_bond
from petflame.segment.product import ACCEPTED, Segmentation, VesselFinding
from petflame.segment.reads import is_read
from petflame.segment.seed_places import require_in_patient
from petflame.segment.seeded import checked_vessels_from_seeds
from petflame.segment.seedfile import read_seeds
from petflame.segment.seedformats import is_seeds, is_seeds_folder
from petflame.space.grid import Array, Grid, Volume
from petflame.typed import as_written

DECISIONS = "decisions.tsv"
VESSELS = (*ARTERIES, *VEINS)
CHOICES = ("accept", "reject")
EDITED = "edited by a reader"
UNTOUCHED = f"{DECISIONS} holds no decision and no vessel was redrawn: nothing was edited"
COLUMNS: dict[str, tuple[str, str]] = {
    "vessel": ("artery or vein", ""),
    "decision": ("accept or reject; empty leaves it as it is", ""),
    "words": ("why; needed for a rejection", ""),
    "method": ("how it was found", ""),
    "state": ("what was found out about it before the reader looked", ""),
    **BOND_COLUMNS,
}
SAVED_OVER = f"{IMAGES}/labels.nii.gz of the reader pack was saved over: it is taken for the redrawn vessels"


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
    read : Path or None
        A finished read of the workbench, which says all of it by itself (see `petflame.segment.reads`).
    bond : Bond or None
        What the form says that it is of.
    images : Path or None
        The images of the reader pack that the form lies in.
    saved_over : bool
        The regions are the pack's own label map, which was saved over.
    """

    decisions: Mapping[str, Decision] = field(default_factory=dict)
    regions: Path | None = None
    seeds: tuple[Path, ...] = ()
    read: Path | None = None
    bond: Bond | None = None
    images: Path | None = None
    saved_over: bool = False


def read_edits(path: Path) -> Edits:
    """Read edits: a folder with ``decisions.tsv`` and, where vessels were redrawn, regions or seeds; or one such file.

    Parameters
    ----------
    path : Path
        In a folder, ``decisions.tsv`` (columns vessel, decision, words), at most one file of regions (see
        `petflame.segment.imports`) and files of points, one or more, there or in a folder of their own, are taken;
        hidden files and the images of a reader pack are passed over, but for a label map that was saved over. A
        finished read (``.read.json``) stands alone.

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
    form, bond, images = False, None, None
    for entry in entries:
        if entry.name == DECISIONS:
            form = True
            decisions, bond = _form(entry, faults)
        elif entry.name == IMAGES and entry.is_dir():
            images = entry
        elif entry.name.startswith(".") or entry in reads:
            continue
        elif is_regions(entry):
            regions.append(entry)
        elif is_seeds(entry) or is_seeds_folder(entry):
            seeds.append(entry)
    saved = None if images is None else drawn_in_pack(images, bond, where, faults)
    if saved is not None:
        regions.append(saved)
    seeds = [s for s in seeds if s.is_dir() or not any(is_sidecar(s, r) for r in regions)]
    if len(regions) > 1:
        names = ", ".join(named(f.name, f"file {n}") for n, f in enumerate(regions, start=1))
        faults.add(f"it holds several files of regions: {names}", where, "keep the one that counts")
    if len(reads) > 1 or (reads and (form or regions or seeds)):
        what = "it holds a finished read and other edits, and a read says all that a reader did"
        faults.add(what, where, "name the file of the one read that counts")
    if not faults and not form and not regions and not seeds and not reads:
        faults.add("it holds no edit", where, f"write {DECISIONS}, or put regions or seeds there")
    faults.raise_if_any()
    drawn, read = regions[0] if regions else None, reads[0] if reads else None
    return Edits(decisions, drawn, tuple(seeds), read, bond, images, saved is not None)


def is_untouched(edits: Edits) -> bool:
    """Whether a form was handed back without a decision and nothing was redrawn."""
    return not edits.decisions and edits.regions is None and not edits.seeds and edits.read is None


def _form(path: Path, faults: FaultList) -> tuple[dict[str, Decision], Bond | None]:
    table = read_tsv(path, required=("vessel", "decision"), text=tuple(COLUMNS))
    bond = read_bond(table.to_dict("records"), path.name, faults)
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
    return found, bond


def said_by_reader(words: str, place: str) -> str:
    """Return a reader's words, which may name anybody: they stay in the edits, and on the screen."""
    return named(words, f"see {place}") if words else ""


def apply_edits(
    segmentation: Segmentation,
    edits: Edits,
    ct: Volume | None,
    grids: dict[str, Grid],
    own: References | None = None,
    pet: Volume | None = None,
) -> Segmentation:
    """Apply a reader's edits; what they redraw replaces the vessel, what they accept is no longer withheld.

    Parameters
    ----------
    segmentation : Segmentation
        Of any maker.
    edits : Edits
    ct : Volume or None
        HU, for vessels redrawn by seeds.
    grids : dict
        'ct' and 'pet' grid of the visit, those that exist.
    own : References or None
        What the visit's images are called.
    pet : Volume or None
        Uptake in any unit, for vessels redrawn by seeds.

    Raises
    ------
    InputRefused
        When regions were drawn on the other grid, an accepted vessel was not found, or sides are exchanged.
    """
    if is_untouched(edits):
        return replace(segmentation, warnings=(*segmentation.warnings, UNTOUCHED))
    labels = segmentation.labels.data.copy()
    vessels = dict(segmentation.vessels)
    landmarks = dict(segmentation.landmarks_lps_mm)
    provenance: dict[str, Any] = {}
    told: tuple[str, ...] = ()
    doubts = segmentation.doubts
    if edits.regions is not None:
        drawn = check_imported(_regions(segmentation, edits, edits.regions, grids, own), ct)
        told, doubts = drawn.warnings, (*doubts, *drawn.doubts)
        as_found = drawn_as_found(drawn.labels, segmentation.labels)
        redrawn = {n: f for n, f in drawn.vessels.items() if len(f.centreline_lps_mm) and n not in as_found}
        told += (SAVED_OVER,) if edits.saved_over else ()
        told += (f"not redrawn, since the map holds them as found: {', '.join(sorted(as_found))}",) if as_found else ()
        _replace(labels, drawn.labels, redrawn)
        vessels |= {n: replace(f, method=f"{f.method}, {EDITED}") for n, f in redrawn.items()}
        landmarks |= drawn.landmarks_lps_mm
        provenance["regions_sha256"] = digest_of(edits.regions)
    if edits.seeds:
        called = named(edits.seeds[0].name, "the edited seeds")
        if ct is None or segmentation.reference != "ct":
            what = "vessels redrawn by seeds need labels on the CT grid"
            raise InputRefused.of(what, called, "give regions on the PET grid instead")
        seeds = read_seeds(*edits.seeds)
        require_in_patient(seeds, ct, called)
        present = LabelMap(labels, segmentation.labels.grid)
        drawn_labels, redrawn = checked_vessels_from_seeds(seeds, ct, present, vessels, landmarks, pet)
        _replace(labels, LabelMap(drawn_labels, ct.grid), redrawn)
        vessels |= {n: replace(f, method=f"{f.method}, {EDITED}") for n, f in redrawn.items()}
        landmarks |= seeds.landmarks_lps_mm
        digests = [digest_of(path) for path in edits.seeds]
        provenance["seeds_sha256"] = digests[0] if len(digests) == 1 else digests
    edited = replace(segmentation, labels=LabelMap(labels, segmentation.labels.grid), landmarks_lps_mm=landmarks)
    return with_decisions(edited, vessels, edits.decisions, provenance, told, doubts)


def _regions(
    segmentation: Segmentation, edits: Edits, path: Path, grids: dict[str, Grid], own: References | None
) -> Segmentation:
    """Read redrawn regions, and refuse those that were not drawn over the labels: with the cause where it shows."""
    accepted = {name for name, finding in segmentation.vessels.items() if not finding.withheld}

    def over(drawn: LabelMap, reference: str) -> None:
        require_same_grid_as_labels(reference, segmentation.reference, path)
        require_drawn_over(drawn, segmentation.labels, accepted, called(path))
        if edits.saved_over:
            rejected = {name for name, decision in edits.decisions.items() if decision.choice == "reject"}
            require_none_erased(drawn, segmentation.labels, rejected, called(path))

    return import_segmentation(path, grids, own, over=over)


def with_decisions(
    segmentation: Segmentation,
    vessels: Mapping[str, VesselFinding],
    decisions: Mapping[str, Decision],
    provenance: Mapping[str, Any],
    told: Sequence[str] = (),
    doubts: tuple[str, ...] = (),
    place: str = DECISIONS,
) -> Segmentation:
    """Let a reader decide about vessels that are redrawn, and gather what is told of them.

    Parameters
    ----------
    segmentation : Segmentation
        With the edited labels.
    vessels : mapping
        Findings, redrawn ones included.
    decisions : mapping
    provenance : mapping
        What stands under ``edits``, beside the decisions.
    told, doubts : sequence of str
        Warnings of what was redrawn.
    place : str
        Where the decisions stand.

    Raises
    ------
    InputRefused
        When an accepted vessel was not found, or sides are exchanged.
    """
    there = {name for name, finding in vessels.items() if len(finding.centreline_lps_mm)}
    accepted_and_not_found(decisions, there, place).raise_if_any()
    vessels = {n: _decided(f, decisions[n]) if n in there and n in decisions else f for n, f in vessels.items()}
    require_laterality(vessel_centres({n: f for n, f in vessels.items() if not f.withheld}), "the edited segmentation")
    given = {**provenance, "decisions": {name: vars(decision) for name, decision in decisions.items()}}
    warnings = [w for w in segmentation.warnings if w.split(":")[0] not in VESSELS]
    warnings += [w for w in told if w.split(":")[0] not in VESSELS]
    warnings += [f"{n}: needs a reader: {f.reason}" for n, f in vessels.items() if f.withheld]
    return Segmentation(
        segmentation.labels,
        segmentation.reference,
        vessels,
        segmentation.landmarks_lps_mm,
        segmentation.provenance | {"edits": given},
        tuple(dict.fromkeys(warnings)),
        doubts,
    )


def require_same_grid_as_labels(drawn: str, labels: str, regions: Path) -> None:
    """Refuse redrawn regions that lie on the other grid of the visit than its labels.

    Parameters
    ----------
    drawn, labels : {'ct', 'pet'}
    regions : Path
        The file, for the message.

    Raises
    ------
    InputRefused
        When the two differ.
    """
    if drawn != labels:
        what = f"the edited regions lie on the {drawn.upper()} grid, the labels on the other"
        raise InputRefused.of(what, named(regions.name, "the edited regions"), f"draw on the visit's {labels.upper()}")


def accepted_and_not_found(
    decisions: Mapping[str, Decision], present: Collection[str], place: str = DECISIONS
) -> FaultList:
    """Return a fault for every vessel that a reader accepts and nobody has drawn or found."""
    faults = FaultList()
    for name, decision in decisions.items():
        if decision.choice == "accept" and name not in present:
            faults.add(f"{name} is accepted and was not found", place, "draw it, or take the decision out")
    return faults


def _replace(labels: Array, drawn: LabelMap, vessels: Mapping[str, VesselFinding]) -> None:
    labels[LabelMap(labels, drawn.grid).any_of(vessels)] = 0
    wins = drawn.any_of(vessels)
    labels[wins] = drawn.data[wins]


def _decided(finding: VesselFinding, decision: Decision) -> VesselFinding:
    if decision.choice == "accept":
        words = f" ({decision.words})" if decision.words else ""
        return replace(finding, method=f"{finding.method}{ACCEPTED}{words}", withheld=False, reason="")
    why = ": ".join(filter(None, ["rejected by a reader", decision.words]))
    return replace(finding, withheld=True, reason=why)
