"""The choice that baseline alone decides, sealed before the follow-up is looked at."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from petflame.errors import InputRefused
from petflame.files import sha256, write_json
from petflame.fingerprint import hash_file
from petflame.folders import PairFolder, VisitFolder
from petflame.measure.product import MeasuredVisit, read_measured
from petflame.pair.index_vessel import choose_index_vessel, locked_sections
from petflame.protocol import Protocol
from petflame.seal import read_sealed, sealed


@dataclass(frozen=True, eq=False)
class Sealed:
    """A baseline whose index vessel and locked sections are sealed.

    Attributes
    ----------
    baseline : VisitFolder
    folder : PairFolder
        Where ``index.json`` lies.
    visit : MeasuredVisit
        The baseline.
    protocol : Protocol
        The one that it was measured and sealed under.
    index_vessel : str
    notes : tuple of str
        Ties, and candidates that could not be considered.
    locked : dict
        Vessel to 'mds' and 'active': their sections.
    seal : str
        SHA-256 of all of it.
    """

    baseline: VisitFolder
    folder: PairFolder
    visit: MeasuredVisit
    protocol: Protocol
    index_vessel: str
    notes: tuple[str, ...]
    locked: dict[str, dict[str, list[int]]]
    seal: str


def seal_baseline(baseline: Path, out: Path, protocol: Protocol) -> Sealed:
    """Choose index vessel and locked sections from baseline alone and write them to ``index.json`` of the pair.

    Raises
    ------
    InputRefused
        When the visit is not measured under this protocol or no index vessel can be chosen.
    """
    visit, folder = VisitFolder(baseline), PairFolder(out)
    first = read_measured(visit, protocol)
    index, notes = choose_index_vessel(first.vessels, protocol)
    if index is None:
        raise InputRefused.of(
            f"no index vessel can be chosen: {'; '.join(notes)}",
            f"{baseline.name}/vessels.tsv",
            "segment a target vessel of the baseline visit, or let a reader confirm one",
        )
    locked = locked_sections(first.slices, first.vessels, protocol)
    document = sealed(
        {
            **protocol.stamp,
            "index_vessel": index,
            "tbr_max_baseline": first.row(index)["mean_tbr_max"],
            "notes": notes,
            "baseline_sha256": {n: sha256(baseline / n) for n in ("vessels.tsv", "slices.tsv")},
            "locked_sections": locked,
        }
    )
    write_json(folder.index, document)
    return Sealed(visit, folder, first, protocol, index, tuple(notes), locked, document["seal"])


def read_index(folder: PairFolder, baseline: VisitFolder) -> dict[str, Any]:
    """Read the sealed index vessel of a pair.

    Raises
    ------
    InputRefused
        When it is not as it was sealed, or was sealed from other tables of the baseline than lie there.
    """
    remedy = f"run the workflow again, which makes `petflame pair` of {folder.root.name} anew"
    seal = read_sealed(folder.index, remedy)
    for name, digest in seal["baseline_sha256"].items():
        if hash_file(baseline.root / name) != digest:
            what = f"the index vessel was sealed from another {name} of the baseline visit than lies there"
            raise InputRefused.of(what, f"{folder.root.name}/index.json", remedy)
    return seal
