"""A reader's last word: vessels accepted, rejected or redrawn. Edits come after every maker, and win."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from petflame.anatomy import ARTERIES, VEINS
from petflame.dicom.references import References
from petflame.errors import FaultList, InputRefused
from petflame.files import read_tsv, sha256
from petflame.labelmap import LabelMap
from petflame.outside import calling
from petflame.privacy import named
from petflame.segment.checks import require_laterality, vessel_centres
from petflame.segment.imported import check_imported
from petflame.segment.imports import import_segmentation, is_regions
from petflame.segment.imports.sidecar import is_sidecar
from petflame.segment.product import ACCEPTED, Segmentation, VesselFinding
from petflame.segment.seeded import checked_vessels_from_seeds
from petflame.segment.seedfile import read_seeds
from petflame.space.grid import Array, Grid, Volume
from petflame.typed import as_written

DECISIONS = "decisions.tsv"
# What a reader pack brings to be looked at.
IMAGES = "images"
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
    regions, seeds : Path or None
        Redrawn vessels: any file with regions, or points.
    """

    decisions: Mapping[str, Decision] = field(default_factory=dict)
    regions: Path | None = None
    seeds: Path | None = None


def read_edits(path: Path) -> Edits:
    """Read edits: a folder with ``decisions.tsv`` and, where vessels were redrawn, regions or seeds; or one such file.

    Parameters
    ----------
    path : Path
        In a folder, ``decisions.tsv`` (columns vessel, decision, words), at most one file or folder of regions (see
        `petflame.segment.imports`) and at most one file of seeds are taken; hidden files and the images of a reader
        pack are passed over.

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
    regions, seeds = [], []
    form = False
    for entry in entries:
        if entry.name == DECISIONS:
            form = True
            decisions = _decisions(entry, faults)
        elif entry.name.startswith(".") or entry.name == IMAGES:
            continue
        elif is_regions(entry):
            regions.append(entry)
        elif entry.suffix.lower() in (".json", ".csv") and not entry.name.endswith("_columns.json"):
            seeds.append(entry)
    seeds = [s for s in seeds if not any(is_sidecar(s, r) for r in regions)]
    for found, what in ((regions, "regions"), (seeds, "seeds")):
        if len(found) > 1:
            names = ", ".join(named(f.name, f"file {n}") for n, f in enumerate(found, start=1))
            faults.add(f"it holds several files of {what}: {names}", where, "keep the one that counts")
    if not faults and not form and not regions and not seeds:
        faults.add("it holds no edit", where, f"write {DECISIONS}, or put regions or seeds there")
    faults.raise_if_any()
    return Edits(decisions, regions[0] if regions else None, seeds[0] if seeds else None)


def is_untouched(edits: Edits) -> bool:
    """Whether a form was handed back without a decision and nothing was redrawn."""
    return not edits.decisions and edits.regions is None and edits.seeds is None


def _decisions(path: Path, faults: FaultList) -> dict[str, Decision]:
    table = read_tsv(path, required=("vessel", "decision"), text=("vessel", "decision", "words", "method", "state"))
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
            # A reader may name anybody: the words stay in the edits, and on the screen.
            said = named(words, f"see {DECISIONS}") if words else ""
            found[vessel] = Decision("accept" if choice == "accept" else "reject", said)
    return found


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
        drawn = check_imported(import_segmentation(edits.regions, grids, own), ct)
        told, doubts = drawn.warnings, (*doubts, *drawn.doubts)
        require_same_grid_as_labels(drawn.reference, segmentation.reference, edits.regions)
        redrawn = {n: f for n, f in drawn.vessels.items() if len(f.centreline_lps_mm)}
        _replace(labels, drawn.labels, redrawn)
        vessels |= {n: replace(f, method=f"{f.method}, {EDITED}") for n, f in redrawn.items()}
        landmarks |= drawn.landmarks_lps_mm
        provenance["regions_sha256"] = _digest(edits.regions)
    if edits.seeds is not None:
        if ct is None or segmentation.reference != "ct":
            what = "vessels redrawn by seeds need labels on the CT grid"
            raise InputRefused.of(
                what, named(edits.seeds.name, "the edited seeds"), "give regions on the PET grid instead"
            )
        seeds = read_seeds(edits.seeds)
        present = LabelMap(labels, segmentation.labels.grid)
        drawn_labels, redrawn = checked_vessels_from_seeds(seeds, ct, present, vessels, landmarks, pet)
        _replace(labels, LabelMap(drawn_labels, ct.grid), redrawn)
        vessels |= {n: replace(f, method=f"{f.method}, {EDITED}") for n, f in redrawn.items()}
        landmarks |= seeds.landmarks_lps_mm
        provenance["seeds_sha256"] = sha256(edits.seeds)
    there = {name for name, finding in vessels.items() if len(finding.centreline_lps_mm)}
    accepted_and_not_found(edits, there).raise_if_any()
    vessels |= {n: _decided(vessels[n], decision) for n, decision in edits.decisions.items() if n in there}
    require_laterality(vessel_centres({n: f for n, f in vessels.items() if not f.withheld}), "the edited segmentation")
    provenance["decisions"] = {name: vars(decision) for name, decision in edits.decisions.items()}
    warnings = [w for w in segmentation.warnings if w.split(":")[0] not in VESSELS]
    warnings += [w for w in told if w.split(":")[0] not in VESSELS]
    warnings += [f"{n}: needs a reader: {f.reason}" for n, f in vessels.items() if f.withheld]
    return Segmentation(
        LabelMap(labels, segmentation.labels.grid),
        segmentation.reference,
        vessels,
        landmarks,
        segmentation.provenance | {"edits": provenance},
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


def accepted_and_not_found(edits: Edits, present: Collection[str]) -> FaultList:
    """Return a fault for every vessel that a reader accepts and nobody has drawn or found."""
    faults = FaultList()
    for name, decision in edits.decisions.items():
        if decision.choice == "accept" and name not in present:
            faults.add(f"{name} is accepted and was not found", DECISIONS, "draw it, or take the row out")
    return faults


def _replace(labels: Array, drawn: LabelMap, vessels: Mapping[str, VesselFinding]) -> None:
    labels[LabelMap(labels, drawn.grid).any_of(vessels)] = 0
    wins = drawn.any_of(vessels)
    labels[wins] = drawn.data[wins]


def _decided(finding: VesselFinding, decision: Decision) -> VesselFinding:
    if decision.choice == "accept":
        words = f" ({decision.words})" if decision.words else ""
        return replace(finding, method=f"{finding.method}{ACCEPTED}{words}", withheld=False, reason="")
    return replace(finding, withheld=True, reason=f"rejected by a reader: {decision.words}")


def _digest(path: Path) -> str | list[str]:
    # File names of a reader's system may tell who the patient is; hashes do not.
    return sha256(path) if path.is_file() else sorted(sha256(p) for p in path.rglob("*") if p.is_file())
