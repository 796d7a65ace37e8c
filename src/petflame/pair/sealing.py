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
from petflame.pair.index_vessel import Choice, choose_index_vessel, locked_sections
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
    choice : Choice
        What it was chosen among.
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
    choice: Choice
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
    choice = choose_index_vessel(first.vessels, protocol)
    if (index := choice.index) is None:
        raise InputRefused.of(
            f"no index vessel can be chosen: {'; '.join(choice.notes)}",
            f"{baseline.name}/vessels.tsv",
            "segment a target vessel of the baseline visit, or let a reader confirm one",
        )
    locked = locked_sections(first.slices, first.vessels, protocol)
    document = sealed(
        {
            **protocol.stamp,
            "index_vessel": index,
            "tbr_max_baseline": first.row(index)["mean_tbr_max"],
            "candidates": {"considered": choice.considered, "left_out": choice.left_out},
            "notes": choice.notes,
            "baseline_sha256": {n: sha256(baseline / n) for n in ("vessels.tsv", "slices.tsv")},
            "locked_sections": locked,
        }
    )
    write_json(folder.index, document)
    return Sealed(visit, folder, first, protocol, index, choice, locked, document["seal"])


def read_index(folder: PairFolder, baseline: VisitFolder) -> dict[str, Any]:
    """Read the sealed index vessel of a pair.

    Raises
    ------
    InputRefused
        When it is not as it was sealed, was sealed from other tables of the baseline than lie there, or does not say
        which candidates there were.
    """
    remedy = f"run the workflow again, which makes `petflame pair` of {folder.root.name} anew"
    seal = read_sealed(folder.index, remedy)
    for name, digest in seal["baseline_sha256"].items():
        if hash_file(baseline.root / name) != digest:
            what = f"the index vessel was sealed from another {name} of the baseline visit than lies there"
            raise InputRefused.of(what, f"{folder.root.name}/index.json", remedy)
    if "candidates" not in seal:
        what = "it does not say which candidates the index vessel was chosen among"
        again = f"delete the folder {folder.root.name} and run the workflow again"
        raise InputRefused.of(what, f"{folder.root.name}/index.json", again)
    return seal
