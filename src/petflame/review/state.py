"""What a reader's actions amount to: seeds, strokes, decisions and what was left out, with undo and redo."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from petflame.anatomy import ARTERIES, VEINS

VESSELS = (*ARTERIES, *VEINS)
Place = tuple[float, float, float]
# What is part of the record and neither done nor undone.
RECORDED = ("open", "comment", "finish", "reopen", "undo", "redo")


@dataclass(frozen=True)
class Seed:
    """A point of a reader, LPS mm: where it is and where it was clicked.

    Attributes
    ----------
    lps_mm, clicked_lps_mm : (float, float, float)
    snapped : bool
        Whether it was moved to the vessel's middle.
    moved_mm : float
    snap_reason : str
        Why it was left where it was clicked.
    prefilled : bool
        Carried over from other images, and not confirmed.
    """

    lps_mm: Place
    clicked_lps_mm: Place
    snapped: bool = False
    moved_mm: float = 0.0
    snap_reason: str = ""
    prefilled: bool = False


@dataclass(frozen=True)
class Left:
    """A stretch of a vessel that a reader leaves out: LPS z, a code of `petflame.measure.left_out` and words."""

    z_min_mm: float
    z_max_mm: float
    code: str
    words: str


@dataclass(frozen=True)
class Choice:
    """A reader's decision: accept or reject, and why."""

    choice: str
    words: str = ""


@dataclass(frozen=True)
class VesselRead:
    """One vessel as a reader left it.

    Attributes
    ----------
    seeds : tuple of Seed
        From the lowest to the highest.
    radius_mm : float or None
    since : int
        Number of the action that last changed its seeds: strokes before it no longer count.
    painted : bool
        Whether a stroke that counts was made on it.
    taken : int or None
        Which of two reads was taken for it, 1 or 2.
    taken_runs : tuple of int
        Its voxels there, as those of a stroke.
    decision : Choice or None
    left_out : tuple of Left
    carried : bool
        Whether its seeds began as those of other images.
    """

    seeds: tuple[Seed, ...] = ()
    radius_mm: float | None = None
    since: int = 0
    painted: bool = False
    taken: int | None = None
    taken_runs: tuple[int, ...] = ()
    decision: Choice | None = None
    left_out: tuple[Left, ...] = ()
    carried: bool = False

    @property
    def is_prefilled(self) -> bool:
        """Whether any of its seeds waits to be confirmed."""
        return any(seed.prefilled for seed in self.seeds)


@dataclass(frozen=True, eq=False)
class Stroke:
    """A stroke of the brush or the eraser, and the one before it.

    Attributes
    ----------
    n : int
        Number of its action.
    runs : tuple of int
        Start and length of runs of voxels, in turn: flat C order of the whole label map.
    """

    n: int
    vessel: str
    erase: bool
    runs: tuple[int, ...]
    older: Stroke | None


@dataclass(frozen=True)
class ReadState:
    """All vessels of an item as a reader left them."""

    vessels: Mapping[str, VesselRead] = field(default_factory=lambda: dict.fromkeys(VESSELS, VesselRead()))
    landmarks_lps_mm: Mapping[str, Place] = field(default_factory=dict)
    newest: Stroke | None = None
    prefilled: bool = False

    def strokes(self) -> Iterator[Stroke]:
        """Yield the strokes that count, the newest first."""
        stroke = self.newest
        while stroke is not None:
            if stroke.n > self.vessels[stroke.vessel].since:
                yield stroke
            stroke = stroke.older

    def with_vessel(self, name: str, **changes: Any) -> ReadState:
        """Return the state with one vessel changed."""
        return replace(self, vessels={**self.vessels, name: replace(self.vessels[name], **changes)})


@dataclass(frozen=True, eq=False)
class _Step:
    """A state and the steps that led to it."""

    state: ReadState
    before: _Step | None


@dataclass(frozen=True, eq=False)
class History:
    """Where a read stands, and what may be undone and redone.

    Attributes
    ----------
    now : _Step
    undone : tuple of _Step
        The last one undone comes last.
    n : int
        Actions so far.
    finished : bool
    words : str
        The latest comment on the whole item.
    prefilled : bool
        Whether points of other images were ever put in place: undone, they have still been seen.
    """

    now: _Step = field(default_factory=lambda: _Step(ReadState(), None))
    undone: tuple[_Step, ...] = ()
    n: int = 0
    finished: bool = False
    words: str = ""
    prefilled: bool = False

    @property
    def state(self) -> ReadState:
        """The state as it is."""
        return self.now.state

    @property
    def can_undo(self) -> bool:
        """Whether there is anything to undo."""
        return self.now.before is not None and not self.finished

    @property
    def can_redo(self) -> bool:
        """Whether anything was undone that can be redone."""
        return bool(self.undone) and not self.finished

    def after(self, action: Mapping[str, Any]) -> History:
        """Return where the read stands after one more action, which has been checked."""
        kind, count = action["kind"], self.n + 1
        if kind == "undo":
            assert self.now.before is not None
            return replace(self, now=self.now.before, undone=(*self.undone, self.now), n=count)
        if kind == "redo":
            return replace(self, now=self.undone[-1], undone=self.undone[:-1], n=count)
        if kind == "comment":
            return replace(self, words=str(action["words"]), n=count)
        if kind in RECORDED:
            finished = {"finish": True, "reopen": False}.get(kind, self.finished)
            return replace(self, finished=finished, n=count)
        state = changed(self.state, action, count)
        for name in action.get("lapsed", ()):
            state = state.with_vessel(name, decision=None)
        prefilled = self.prefilled or kind == "prefill" or bool(action.get("carried"))
        return replace(self, now=_Step(state, self.now), undone=(), n=count, prefilled=prefilled)


def fold(actions: Iterable[Mapping[str, Any]]) -> History:
    """Return where a read stands after actions, the first first."""
    history = History()
    for action in actions:
        history = history.after(action)
    return history


def changed(state: ReadState, action: Mapping[str, Any], n: int) -> ReadState:
    """Return the state after one action that can be undone; `n` is its number."""
    kind, name = action["kind"], str(action.get("vessel", ""))
    if kind == "seed":
        return _seeded(state, action, n)
    if kind == "landmark":
        others = {k: v for k, v in state.landmarks_lps_mm.items() if k != action["name"]}
        own = {} if action["lps_mm"] is None else {action["name"]: place(action["lps_mm"])}
        return replace(state, landmarks_lps_mm={**others, **own})
    if kind == "paint":
        stroke = Stroke(n, name, action["mode"] == "erase", tuple(action["runs"]), state.newest)
        return replace(state.with_vessel(name, painted=True, decision=None), newest=stroke)
    if kind == "exclude":
        row = Left(action["z_min_mm"], action["z_max_mm"], action["code"], action["words"])
        return state.with_vessel(name, left_out=(*state.vessels[name].left_out, row))
    if kind == "include":
        rows = state.vessels[name].left_out
        return state.with_vessel(name, left_out=rows[: action["index"]] + rows[action["index"] + 1 :])
    if kind == "decide":
        choice = action["choice"]
        return state.with_vessel(name, decision=None if choice == "none" else Choice(choice, action.get("words", "")))
    if kind == "confirm":
        seeds = tuple(replace(seed, prefilled=False) for seed in state.vessels[name].seeds)
        return state.with_vessel(name, seeds=seeds)
    if kind == "take":
        rows = tuple(Left(**row) for row in action.get("left_out", ()))
        changes = {"seeds": (), "since": n, "painted": False, "decision": None, "left_out": rows}
        carried = bool(action.get("carried"))
        taken = {"taken": action["read"], "taken_runs": tuple(action["runs"]), "carried": carried}
        state = state.with_vessel(name, **changes, **taken)
        return replace(state, prefilled=state.prefilled or carried)
    assert kind == "prefill"
    return _prefilled(state, action, n)


def _seeded(state: ReadState, action: Mapping[str, Any], n: int) -> ReadState:
    name, op, index = action["vessel"], action["op"], int(action.get("index", 0))
    vessel = state.vessels[name]
    seeds = list(vessel.seeds)
    if op == "radius":
        fields: dict[str, Any] = {"radius_mm": action["radius_mm"]}
    elif op == "clear":
        fields = {"seeds": (), "radius_mm": None}
    else:
        if op in ("move", "delete", "refuse_snap"):
            old = seeds.pop(index)
            if op == "refuse_snap":
                seeds.append(Seed(old.clicked_lps_mm, old.clicked_lps_mm, snap_reason="refused by the reader"))
        if op in ("add", "move"):
            reason, clicked = action.get("snap_reason", ""), place(action["lps_mm"])
            at, moved = place(action["set_lps_mm"]), float(action.get("moved_mm", 0.0))
            seeds.append(Seed(at, clicked, bool(action.get("snap")) and not reason, moved, reason))
        fields = {"seeds": upward(seeds)}
    return state.with_vessel(name, **fields, since=n, painted=False, taken=None, decision=None)


def _prefilled(state: ReadState, action: Mapping[str, Any], n: int) -> ReadState:
    for name, given in action["vessels"].items():
        seeds = upward([Seed(place(p), place(p), prefilled=True) for p in given["points_lps_mm"]])
        changes = {"radius_mm": given.get("radius_mm"), "since": n, "painted": False, "taken": None, "decision": None}
        state = state.with_vessel(name, seeds=seeds, carried=True, **changes)
    carried = {name: place(p) for name, p in action.get("landmarks_lps_mm", {}).items() if p is not None}
    return replace(state, landmarks_lps_mm={**state.landmarks_lps_mm, **carried}, prefilled=True)


def upward(seeds: list[Seed]) -> tuple[Seed, ...]:
    """Sort seeds from the lowest to the highest, as a file of seeds is read."""
    return tuple(sorted(seeds, key=lambda seed: seed.lps_mm[2]))


def place(given: Iterable[float]) -> Place:
    """Return three numbers as a place, mm."""
    x, y, z = (float(v) for v in given)
    return x, y, z
