"""What a reader has to read: every item, in an order that hangs on the reader's name alone, and what it needs."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from petflame.anatomy import title
from petflame.errors import InputRefused, PetflameError
from petflame.files import is_litter
from petflame.folders import VisitFolder
from petflame.privacy import without_names
from petflame.review.log import ReadLog
from petflame.review.needs import needs_reader, state_of, why
from petflame.review.state import VESSELS, History, fold
from petflame.review.visit import require_readable
from petflame.segment.product import VesselFinding, findings_in
from petflame.segment.reads import LOG_ENDING

ITEM = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True)
class Item:
    """One piece of reading: what the reader knows it by, and the folder of its visit."""

    name: str
    root: Path


def run_of(named: Path) -> tuple[Path, tuple[str, ...]]:
    """Return the results that a folder belongs to, and the visit where it is one: plan, lock and reads lie there.

    Parameters
    ----------
    named : Path
        Results, their ``visits``, one visit in it, or any folder of visits, which then stands for itself.
    """
    folder = named.resolve()
    if (folder / "visits").is_dir():
        return named, ()
    if folder.name == "visits":
        return folder.parent, ()
    if folder.parent.name == "visits" and _is_visit(folder):
        return folder.parent.parent, (folder.name,)
    return named, ()


def visit_folders(results: Path) -> list[Path]:
    """Return the folders of visits below ``RESULTS/visits``, or directly below a folder of visits, or that itself.

    Raises
    ------
    InputRefused
        When there is none.
    """
    below = results / "visits" if (results / "visits").is_dir() else results
    if (below / "status.json").exists() or (below / "labels.json").exists():
        return [below]
    found = sorted(p for p in below.iterdir() if p.is_dir() and not is_litter(p)) if below.is_dir() else []
    visits = [p for p in found if ITEM.fullmatch(p.name) and _is_visit(p)]
    if not visits:
        raise InputRefused.of("there is no visit in it", str(results), "name the folder of the results")
    return visits


def _is_visit(folder: Path) -> bool:
    return any((folder / name).exists() for name in ("pet.nii.gz", "ct.nii.gz", "labels.json", "status.json"))


def in_order_of(reader: str, items: Sequence[Item]) -> list[Item]:
    """Sort items by a hash of reader and item: no pair, date or code shows in it."""
    return sorted(items, key=lambda item: hashlib.sha256(f"{reader}\0{item.name}".encode()).digest())


def chosen(visits: Sequence[Path], wanted: Sequence[str]) -> list[Path]:
    """Return those of the visits that are asked for by name; all where none is.

    Raises
    ------
    InputRefused
        When one asked for is not there.
    """
    if not wanted:
        return list(visits)
    known = {visit.resolve().name: visit for visit in visits}
    missing = [name for name in wanted if name not in known]
    if missing:
        raise InputRefused.of(f"there is no visit {', '.join(missing)}", "--visits", "name visits by their codes")
    return [known[name] for name in wanted]


@dataclass(frozen=True)
class Row:
    """One line of the worklist."""

    item: str
    state: str
    needs: int
    worst: str
    failing: int
    vessels: tuple[Mapping[str, Any], ...]

    @property
    def view(self) -> dict[str, Any]:
        """As the page is told."""
        return {
            "item": self.item,
            "state": self.state,
            "needs": self.needs,
            "worst": self.worst,
            "vessels": list(self.vessels),
        }


class Worklist:
    """Items of a reader and what they need.

    Parameters
    ----------
    items : sequence of Item
    reader : str
    folder : Path
        Of the reader's logs.
    required : tuple of str
    """

    def __init__(self, items: Sequence[Item], reader: str, folder: Path, required: tuple[str, ...]) -> None:
        self.items = {item.name: item for item in in_order_of(reader, items)}
        self._folder, self._required = folder, required
        self._known: dict[str, tuple[Any, Row]] = {}
        self._found: dict[str, tuple[Any, dict[str, VesselFinding]]] = {}

    def row(self, name: str) -> Row:
        """Return the line of one item; what cannot be opened says why."""
        log = self._folder / f"{name}{LOG_ENDING}"
        visit = VisitFolder(self.items[name].root)
        files = (log, visit.labels_json, visit.labels_found_json)
        key = tuple((p.stat().st_size, p.stat().st_mtime_ns) if p.exists() else None for p in files)
        if name not in self._known or self._known[name][0] != key:
            self._known[name] = (key, self._made(name, log))
        return self._known[name][1]

    def _made(self, name: str, log: Path) -> Row:
        try:
            document = require_readable(self.items[name].root)
            history = fold(line["action"] for line in ReadLog(log).lines())
            return _row(name, history, findings_in(document), self._required, log.exists())
        except PetflameError as error:
            said = "; ".join(without_names(f"{f.what}; {f.remedy}") for f in error.faults)
        except (KeyError, TypeError, ValueError, AttributeError):
            said = "its labels.json is damaged; segment the visit again"
        return Row(name, "closed", 0, f"cannot be opened: {said}", 0, ())

    def view(self, order: str) -> dict[str, Any]:
        """Return the worklist as the page is told it, in the reader's order or the worst check first."""
        rows = [self.row(name) for name in self.items]
        waiting = sum(row.needs for row in rows if row.state != "finished")
        done = sum(row.state == "finished" for row in rows)
        if order == "worst":
            rows.sort(key=lambda row: (row.state == "finished", -row.needs, -row.failing))
        return {
            "items": [row.view for row in rows],
            "visits_done": done,
            "visits": len(rows),
            "vessels_need_you": waiting,
            "words": f"{done} of {len(rows)} visits, {waiting} vessels need you",
        }


def _row(
    name: str, history: History, found: Mapping[str, VesselFinding], required: tuple[str, ...], begun: bool
) -> Row:
    vessels, failing = [], []
    for vessel in VESSELS:
        read, finding = history.state.vessels[vessel], found.get(vessel)
        needs = needs_reader(vessel, read, finding, required)
        failed = [c for c in finding.checks if not c.passed] if finding is not None and read.decision is None else []
        failing += [f"{title(vessel)}: {without_names(c.message)}" for c in failed]
        said = without_names(why(vessel, read, finding))
        vessels.append(
            {"name": vessel, "title": title(vessel), "state": state_of(read, finding), "needs_you": needs, "why": said}
        )
    needing = [v for v in vessels if v["needs_you"]]
    worst = failing[0] if failing else (f"{needing[0]['title']}: {needing[0]['why']}" if needing else "")
    state = "finished" if history.finished else "open" if begun else "new"
    return Row(name, state, len(needing), worst, len(failing), tuple(vessels))
