"""One item on a reader's desk: its log, its label map, and what becomes of every action."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock, RLock
from typing import Any

import numpy as np

from petflame import __version__
from petflame.anatomy import title
from petflame.errors import Fault, InputRefused
from petflame.review.actions import LONGEST_WHY, checked_action
from petflame.review.adjudicate import TwoReads
from petflame.review.canvas import c_to_f, f_to_c, of_runs, runs_of
from petflame.review.drawing import Drawing
from petflame.review.finishing import pending_path, put_in_place, read_of, read_path, require_finishable, seeds_faults
from petflame.review.log import HeadMoved, ReadLog
from petflame.review.other_visit import OtherVisits, untouched
from petflame.review.said import sentence
from petflame.review.state import VESSELS, History, ReadState, fold
from petflame.review.visit import VisitFiles
from petflame.segment.outlines import places_of
from petflame.segment.reads import LOG_ENDING, write_read
from petflame.segment.seedfile import LANDMARKS, SAME_POINT_MM
from petflame.segment.snap import snap
from petflame.segment.usual import usual_of
from petflame.space.grid import Array


@dataclass(frozen=True, eq=False)
class Done:
    """What became of an action.

    Attributes
    ----------
    changed : dict
        Vessel to all its voxels, runs in flat F order of what is shown, for those that changed.
    said : str
        One sentence.
    """

    changed: dict[str, list[int]]
    said: str


class Desk:
    """One item of one reader.

    Parameters
    ----------
    files : VisitFiles
    item : str
        What the reader knows it by.
    reader : str
    folder : Path
        Where the reader's logs and finished reads lie.
    required : tuple of str
        Vessels that the protocol measures.
    others : OtherVisits, optional
        Where points may be carried over from the participant's other visit.
    two : TwoReads, optional
        What an adjudicator decides between.

    Raises
    ------
    InputRefused
        When the log is not as it was written, or belongs to other images or labels.
    """

    def __init__(
        self,
        files: VisitFiles,
        item: str,
        reader: str,
        folder: Path,
        required: tuple[str, ...],
        others: OtherVisits | None = None,
        two: TwoReads | None = None,
    ) -> None:
        self.two = two
        self._others = others
        self.files, self.item, self.reader, self.required = files, item, reader, required
        self.folder = folder
        self.log = ReadLog(folder / f"{item}{LOG_ENDING}")
        self.drawing = Drawing(files.found, files.ct, files.pet)
        self.lock, self.measuring = RLock(), Lock()
        self.history = History()
        # Kept by `petflame.review.values`, which knows what it is.
        self.measured: dict[str, Any] = {}
        self._head = ""
        self.refresh()

    def refresh(self) -> None:
        """Take up what another window or program has added to the log."""
        with self.lock:
            if self._head == self.log.head:
                return
            lines = self.log.lines()
            require_same(lines, self.files.hashes, self.item, self.reader)
            history = fold(line["action"] for line in lines)
            put_in_place(read_path(self.folder, self.item), lines)
            self.drawing.show(history.state, self._taken(history.state))
            self.history, self._head = history, self.log.head

    @property
    def head(self) -> str:
        """Hash of the last line that this state is made from."""
        return self._head

    @property
    def prefillable(self) -> tuple[str, ...]:
        """The vessels that points can be carried to: set at the other visit and not begun here; none of a repeat."""
        if self._others is None or self.item != self.files.code or self.history.finished:
            return ()
        return untouched(self.history.state, self._others.vessels(self.files.code))

    def act(self, given: Any, head: str, why: str = "", after_lock: bool = False) -> Done:
        """Check an action, see what it does, keep it, and only then take it as done.

        Raises
        ------
        HeadMoved
            When the reader had another state before them.
        InputRefused
            When it cannot be done; nothing has changed then.
        OSError
            When it could not be kept; nothing has changed then.
        """
        with self.lock:
            self.refresh()
            if head != self._head:
                raise HeadMoved
            action = self._completed(checked_action(given, self.history))
            before, shown = self.drawing.all_voxels(), self.drawing.digest
            try:
                action, history = self._tried(action, before)
                self._keep(action, shown, why, after_lock)
            except BaseException:
                self.drawing.show(self.history.state, self._taken(self.history.state))
                raise
            self.history = history
            after = self.drawing.all_voxels()
            moved = [n for n in VESSELS if not np.array_equal(before[n], after[n])]
            changed = {n: runs_of(self.files.canvas.shown(after[n])) for n in moved}
            return Done(changed, sentence(action))

    def _tried(self, action: dict[str, Any], before: Mapping[str, Array]) -> tuple[dict[str, Any], History]:
        """Show what an action leads to; a decision on another vessel whose outline it changes lapses."""
        if action["kind"] == "finish":
            require_finishable(self)
        history = self.history.after(action)
        self.drawing.show(history.state, self._taken(history.state))
        if action["kind"] in ("undo", "redo"):
            return action, history
        own = action.get("vessel")
        decided = [n for n in VESSELS if n != own and history.state.vessels[n].decision is not None]
        lapsed = [n for n in decided if not np.array_equal(before[n], self.drawing.voxels(n))]
        if lapsed:
            action = {**action, "lapsed": lapsed}
            history = self.history.after(action)
        return action, history

    def _keep(self, action: dict[str, Any], shown: str, why: str, after_lock: bool) -> None:
        path = read_path(self.folder, self.item)
        pending = pending_path(path)
        if action["kind"] == "finish":
            action["read_sha256"] = write_read(pending, read_of(self))
            if self.two is not None:
                action["reads_sha256"] = list(self.two.sha256)
        entry = {
            "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "reader": self.reader,
            "item": self.item,
            "petflame": __version__,
            **self.files.hashes,
            "shown_sha256": shown,
            "action": action,
            "why": why[:LONGEST_WHY],
        }
        try:
            self.log.append(entry, self._head, after_lock)
        except BaseException:
            pending.unlink(missing_ok=True)
            raise
        self._head = self.log.head
        if action["kind"] == "finish":
            # Only now: what was finished before counts until the log says otherwise.
            os.replace(pending, path)

    def _completed(self, action: dict[str, Any]) -> dict[str, Any]:
        """Add what is for the server to say: where a point ends, and voxels as the log counts them."""
        if action["kind"] == "paint":
            canvas, grid = self.files.canvas, self.files.canvas.grid
            shown = of_runs(action["runs"], int(np.prod(grid.shape)))
            flat = f_to_c(canvas.whole_of(shown), canvas.whole.shape)
            return {**action, "runs": runs_of(np.sort(flat))}
        if action["kind"] == "decide" and action["choice"] == "accept":
            self._require_there(action["vessel"])
        if action["kind"] == "seed" and action["op"] in ("add", "move"):
            placed = {**action, **self._placed(action)}
            self._require_another_place(placed)
            return placed
        if action["kind"] == "prefill":
            return self._prefilled()
        if action["kind"] == "take":
            if self.two is None:
                raise InputRefused.of("there are no two reads to take one of", "the action", "set points, or go on")
            n, name = action["read"] - 1, action["vessel"]
            read = self.two.reads[n]
            rows = [{k: v for k, v in vars(s).items() if k != "vessel"} for s in read.left_out if s.vessel == name]
            # Kept as it was seen: the reader of that read may finish it anew.
            flat = np.sort(f_to_c(self.read_voxels(n + 1, name), self.drawing.shape))
            taken = read.vessels.get(name)
            carried = taken is not None and taken.seeds is not None and taken.seeds.prefilled
            more = {"left_out": rows, "runs": runs_of(flat), "read_sha256": self.two.sha256[n], "carried": carried}
            return {**action, **more}
        return action

    def read_voxels(self, n: int, name: str) -> Array:
        """Voxels of a vessel in one of two reads (1 or 2), flat F order of the file, sorted."""
        assert self.two is not None
        vessel = self.two.reads[n - 1].vessels.get(name)
        if vessel is None or vessel.made == "found":
            return self.drawing.found_voxels(name)
        return np.sort(c_to_f(places_of(vessel.runs), self.drawing.shape))

    def _taken(self, state: ReadState) -> dict[str, Array]:
        size = int(np.prod(self.drawing.shape))
        taken = {n: v.taken_runs for n, v in state.vessels.items() if v.taken is not None}
        return {n: np.sort(c_to_f(of_runs(runs, size), self.drawing.shape)) for n, runs in taken.items()}

    def _prefilled(self) -> dict[str, Any]:
        names, known = self.prefillable, self.history.state.landmarks_lps_mm
        if self._others is None or not names:
            raise InputRefused.of("there is nothing to carry over", "the proposal", "set points here")
        action = self._others.proposal(self.files).action(names, [n for n in LANDMARKS if n not in known])
        if not action["vessels"]:
            said = [f"{title(name)}: {why}" for name, why in action["not_carried"].items()]
            raise InputRefused(Fault(what, "the proposal", "set points here") for what in said)
        return action

    def _placed(self, action: dict[str, Any]) -> dict[str, Any]:
        click = np.array(action["lps_mm"])
        self._require_in_scan(click)
        if not action["snap"]:
            return {"set_lps_mm": click.tolist(), "moved_mm": 0.0, "snap_reason": ""}
        name = action["vessel"]
        usual = usual_of(name).given(self.history.state.vessels[name].radius_mm)
        found = snap(click, self.files.ct, usual, self.files.pet, self._lines_beside(name))
        at = np.round(found.point_lps_mm, 3) if not found.reason else click
        return {
            "set_lps_mm": at.tolist(),
            "moved_mm": round(float(np.linalg.norm(at - click)), 3),
            "snap_reason": found.reason,
        }

    def _lines_beside(self, name: str) -> list[tuple[Array, float]]:
        """Lines of the other seeded vessels, as they are drawn now."""
        beside = []
        for other, finding in self.drawing.drawn.findings.items():
            if other != name and len(finding.centreline_lps_mm) > 1:
                radius = usual_of(other).given(self.history.state.vessels[other].radius_mm).radius_mm
                beside.append((finding.centreline_lps_mm, radius))
        return beside

    def _require_another_place(self, action: Mapping[str, Any]) -> None:
        """Two clicks on one vessel may be moved to one middle: a second point there would say nothing."""
        seeds = list(self.history.state.vessels[action["vessel"]].seeds)
        if action["op"] == "move":
            seeds.pop(action["index"])
        at = np.array(action["set_lps_mm"])
        if any(np.abs(at - seed.lps_mm).max() < SAME_POINT_MM for seed in seeds):
            raise InputRefused.of("there is a point already", "the picture", "set the next one on another level")

    def _require_in_scan(self, point_lps_mm: Array) -> None:
        grid = self.files.ct.grid
        ijk = grid.to_ijk(point_lps_mm * np.array([-1.0, -1.0, 1.0]))
        if ((ijk < -0.5) | (ijk > np.array(grid.shape) - 0.5)).any():
            raise InputRefused.of("the point lies outside the CT", "the action", "set it on the picture")

    def _require_there(self, name: str) -> None:
        if not len(self.drawing.voxels(name)):
            raise InputRefused.of(f"{title(name)} was not found or drawn", "the action", "draw it first, or reject it")
        seeds_faults(name, self.history.state.vessels[name]).raise_if_any()


def require_same(lines: list[dict[str, Any]], hashes: Mapping[str, str], item: str, reader: str) -> None:
    """Refuse a log that was made on other images or labels than those that lie there now.

    Raises
    ------
    InputRefused
        Naming each with both hashes.
    """
    from petflame.errors import FaultList

    faults = FaultList()
    for name, now in hashes.items():
        other = next((line[name] for line in lines if line[name] != now), None)
        if other is not None:
            what = f"it was read on another {name.split('_')[0]} ({other}) than the one that lies there now ({now})"
            faults.add(what, f"{item}.jsonl", "put back what it was read on, or read it anew: move the log away")
    readers = sorted({line["reader"] for line in lines} - {reader})
    if readers:
        faults.add(
            f"it holds lines of the reader {', '.join(readers)}", f"{item}.jsonl", "put each log back where it was"
        )
    strangers = sorted({line["item"] for line in lines} - {item})
    if strangers:
        faults.add(f"it holds lines of {', '.join(strangers)}", f"{item}.jsonl", "put each log back where it was")
    faults.raise_if_any()
