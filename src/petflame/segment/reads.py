"""A finished read: what one reader made of one visit, and of which images and outlines (``ITEM.read.json``).

It holds the voxels that the reader saw and not only the points that gave them, so that another version of petflame
cannot make another outline of it. The log of the reader's work lies beside it; its latest ``finish`` names the hash of
this file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from petflame.anatomy import ARTERIES, VEINS
from petflame.errors import FaultList, InputRefused
from petflame.files import plain, sha256, write_text
from petflame.outside import PRODUCTS, calling, read_json_object
from petflame.segment.seedfile import LANDMARKS, Seeds
from petflame.segment.stretches import Stretch, stretches_of
from petflame.space.grid import Array
from petflame.study import IDENTIFIER
from petflame.typed import Misshapen, as_written, brief, mapping, noting, number, point_mm, sequence, word

FORMAT = "petflame-read/1"
ENDING, LOG_ENDING = ".read.json", ".jsonl"
NAMES = (*ARTERIES, *VEINS)
# A visit's code, or the name of a folder that was segmented by hand.
ITEM = re.compile(r"[A-Za-z0-9._-]{1,64}")
HASH = re.compile(r"[0-9a-f]{64}")
REMEDY = "finish the read again in the workbench"
KEYS = (
    *("format", "item", "code", "reader", "petflame", "ct_sha256", "pet_sha256", "labels_sha256", "shown_sha256"),
    *("log_head", "vessels", "landmarks_lps_mm", "decisions", "left_out", "prefilled", "undecided"),
)

Made = Literal["seeds", "painted", "found"]
Point = tuple[float, float, float]


@dataclass(frozen=True)
class ReadSeeds:
    """Points that a reader set along one vessel.

    Attributes
    ----------
    points_lps_mm, clicked_lps_mm : tuple of (x, y, z)
        Where they ended, and where the reader had clicked.
    radius_mm : float or None
        Where the reader gave one.
    prefilled : bool
        They began from points carried from the participant's other visit, confirmed or moved or not.
    """

    points_lps_mm: tuple[Point, ...]
    clicked_lps_mm: tuple[Point, ...] = ()
    radius_mm: float | None = None
    prefilled: bool = False


@dataclass(frozen=True, eq=False)
class ReadVessel:
    """One vessel of a read.

    Attributes
    ----------
    made : {'seeds', 'painted', 'found'}
        Drawn from seeds, painted by hand (whatever it came from), or left as it was found.
    seeds : ReadSeeds or None
    runs : (n, 2) int64 array
        First voxel and number of voxels of every run of the vessel's final voxels, flat in C order on the grid of the
        labels; n = 0 for a vessel that was left as found, or of which nothing is left.
    """

    made: Made
    seeds: ReadSeeds | None = None
    runs: Array = field(default_factory=lambda: np.zeros((0, 2), np.int64))


@dataclass(frozen=True)
class ReadDecision:
    """What the reader decided about one vessel."""

    choice: Literal["accept", "reject"]
    words: str = ""


@dataclass(frozen=True, eq=False)
class Read:
    """A finished read.

    Attributes
    ----------
    item : str
        What the reader knew the visit as.
    code : str
        Name of the visit's folder; differs from `item` in repeats only.
    reader : str
    petflame : str
        Version that it was read with.
    ct_sha256 : str or None
        Of the bytes of ``ct.nii.gz``; None where the visit has no CT.
    pet_sha256, labels_sha256 : str
        Of the bytes of ``pet.nii.gz`` and of the labels as found.
    shown_sha256 : str
        `petflame.segment.outlines.outline_digest` of the final map.
    log_head : str
        Hash of the line of the log before ``finish``.
    vessels : mapping of vessel to ReadVessel
    landmarks_lps_mm : mapping of landmark to (x, y, z)
    decisions : mapping of vessel to ReadDecision
    left_out : tuple of Stretch
    prefilled : bool
        Something of it was carried from the participant's other visit.
    undecided : tuple of str
        Vessels that still need a reader.
    """

    item: str
    code: str
    reader: str
    petflame: str
    ct_sha256: str | None
    pet_sha256: str
    labels_sha256: str
    shown_sha256: str
    log_head: str
    vessels: Mapping[str, ReadVessel] = field(default_factory=dict)
    landmarks_lps_mm: Mapping[str, Point] = field(default_factory=dict)
    decisions: Mapping[str, ReadDecision] = field(default_factory=dict)
    left_out: tuple[Stretch, ...] = ()
    prefilled: bool = False
    undecided: tuple[str, ...] = ()

    @property
    def drawn(self) -> dict[str, ReadVessel]:
        """The vessels whose voxels are the reader's."""
        return {name: vessel for name, vessel in self.vessels.items() if vessel.made != "found"}

    @property
    def seeds(self) -> Seeds:
        """Every point of it, as `petflame.segment.seedfile` holds them; those of vessels painted over too."""
        # In the order in which the workbench draws: where two overlap, the later one wins.
        found = {name: self.vessels[name].seeds for name in NAMES if name in self.vessels}
        given = {name: seeds for name, seeds in found.items() if seeds is not None}
        points = {n: np.array(s.points_lps_mm, float).reshape(-1, 3) for n, s in given.items()}
        return Seeds(
            {n: p[np.argsort(p[:, 2], kind="stable")] for n, p in points.items()},
            {n: s.radius_mm for n, s in given.items() if s.radius_mm is not None},
            dict(self.landmarks_lps_mm),
        )


def is_read(path: Path) -> bool:
    """Tell by its name whether a file holds a finished read."""
    return path.name.endswith(ENDING)


# --- the file -------------------------------------------------------------------------------------------------------


def write_read(path: Path, read: Read) -> str:
    """Write a read; return the SHA-256 of its bytes, which the log's ``finish`` holds."""
    document = {"format": FORMAT, **_as_document(read)}
    text = json.dumps(plain(document), sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    write_text(path, text + "\n")
    return sha256(path)


def _as_document(read: Read) -> dict[str, Any]:
    vessels = {}
    for name, vessel in read.vessels.items():
        item: dict[str, Any] = {"made": vessel.made}
        if vessel.seeds is not None:
            item["seeds"] = vars(vessel.seeds)
        if vessel.made != "found":
            item["voxels"] = vessel.runs.ravel()
        vessels[name] = item
    decisions = {name: vars(decision) for name, decision in read.decisions.items()}
    left_out = [vars(stretch) for stretch in read.left_out]
    return vars(read) | {"vessels": vessels, "decisions": decisions, "left_out": left_out}


def read_read(path: Path) -> Read:
    """Read a finished read.

    Raises
    ------
    InputRefused
        With everything that is not as its format asks, or when the log beside it was finished with another file.
    """
    where = calling(path, "the read")
    document = read_json_object(path, PRODUCTS, where, REMEDY)
    if document.get("format") != FORMAT:
        raise InputRefused.of(f"its format is {as_written(document.get('format'))}, not {FORMAT}", where, REMEDY)
    faults = FaultList()
    for key in sorted(set(KEYS) - set(document)):
        faults.add(f"it has no {key}", where, REMEDY)
    for key in sorted(set(document) - set(KEYS)):
        faults.add(f"the key {as_written(key, 'that it holds')} is unknown", where, "read it with the petflame of it")
    faults.raise_if_any()
    found: dict[str, Any] = {"vessels": {}, "landmarks_lps_mm": {}, "decisions": {}}
    for key in ("item", "code", "reader", "petflame", "log_head", *(k for k in KEYS if k.endswith("_sha256"))):
        with noting(faults, where, REMEDY):
            found[key] = _text(document[key], key)
    for key, kinds in (("vessels", NAMES), ("landmarks_lps_mm", LANDMARKS), ("decisions", NAMES)):
        with noting(faults, where, REMEDY):
            given = mapping(document[key], key)
            for name in given:
                with noting(faults, where, f"use the names {', '.join(kinds)}"):
                    found[key][_name(name, kinds, key)] = _PARTS[key](given[name], f"{key}, {brief(name)}")
    with noting(faults, where, REMEDY):
        found["undecided"] = tuple(_name(n, NAMES, "undecided") for n in sequence(document["undecided"], "undecided"))
    with noting(faults, where, REMEDY):
        found["prefilled"] = _yes_or_no(document["prefilled"], "prefilled")
    with noting(faults, where, REMEDY):
        found["left_out"] = stretches_of(sequence(document["left_out"], "left_out"), where, faults)
    _apart(found["vessels"], where, faults)
    faults.raise_if_any()
    require_finished(path)
    return Read(**found)


def require_finished(path: Path) -> None:
    """Refuse a read whose log lies beside it and was not finished with this very file.

    Raises
    ------
    InputRefused
        With both hashes.
    """
    log = path.with_name(path.name.removesuffix(ENDING) + LOG_ENDING)
    if not is_read(path) or not log.exists():
        return
    where, then, now = calling(path, "the read"), finished_sha256(log), sha256(path)
    if then is None:
        raise InputRefused.of("the log beside it was never finished", where, REMEDY)
    if then != now:
        what = f"its log was finished with a file of SHA-256 {then}, and this one has {now}"
        raise InputRefused.of(what, where, f"put that file back, or {REMEDY}")


def finished_sha256(log: Path) -> str | None:
    """Return the hash that the latest ``finish`` of a log names; None where it was never finished.

    The chain of the log's lines is not looked at: `petflame verify` walks it.
    """
    found = None
    for line in log.read_bytes().split(b"\n"):
        if b'"finish"' not in line:
            continue
        try:
            action = json.loads(line)["action"]
            if action["kind"] == "finish":
                found = str(action["read_sha256"])
        except (ValueError, KeyError, TypeError):
            # A torn end, or a comment that holds the word.
            continue
    return found


# --- its parts ------------------------------------------------------------------------------------------------------


def _text(value: Any, key: str) -> str | None:
    if key == "ct_sha256" and value is None:
        return None
    text = word(value, key)
    pattern = {"item": ITEM, "code": ITEM, "reader": IDENTIFIER}.get(key)
    if key.endswith("_sha256") or key == "log_head":
        pattern = HASH
    if pattern is not None and not pattern.fullmatch(text):
        raise Misshapen(f"{key} is {as_written(text)}, which it cannot be")
    return text


def _name(name: Any, names: Sequence[str], place: str) -> str:
    if name not in names:
        raise Misshapen(
            f"{place} holds {as_written(name)}, which is no {'landmark' if names is LANDMARKS else 'vessel'}"
        )
    return str(name)


def _yes_or_no(value: Any, place: str) -> bool:
    if not isinstance(value, bool):
        raise Misshapen(f"{place} is {brief(value)}, neither true nor false")
    return value


def _only(value: Any, keys: Sequence[str], place: str) -> dict[str, Any]:
    given = mapping(value, place)
    if strange := sorted(set(given) - set(keys)):
        raise Misshapen(f"{place} holds {as_written(strange)}; it may hold {', '.join(keys)}")
    return given


def _vessel(value: Any, place: str) -> ReadVessel:
    given = _only(value, ("made", "seeds", "voxels"), place)
    made: Any = given.get("made")
    if made not in get_args(Made):
        raise Misshapen(f"{place}: made is {as_written(made)}, none of {', '.join(get_args(Made))}")
    if (made == "found") != ("voxels" not in given):
        raise Misshapen(f"{place}: voxels belong to what was drawn by seeds or painted, and to nothing else")
    seeds = _seeds(given["seeds"], f"{place}, seeds") if given.get("seeds") is not None else None
    if (made == "seeds" and seeds is None) or (made == "found" and seeds is not None):
        raise Misshapen(f"{place}: it is made by {made} and has {'no' if seeds is None else 'its own'} seeds")
    return ReadVessel(made, seeds, _runs(given.get("voxels", []), f"{place}, voxels"))


def _seeds(value: Any, place: str) -> ReadSeeds:
    given = _only(value, ("points_lps_mm", "clicked_lps_mm", "radius_mm", "prefilled"), place)
    points, clicked = (
        tuple(point_mm(p, f"{place}, {key}, {n}") for n, p in enumerate(sequence(given.get(key), f"{place}, {key}"), 1))
        for key in ("points_lps_mm", "clicked_lps_mm")
    )
    radius = given.get("radius_mm")
    return ReadSeeds(
        points,
        clicked,
        None if radius is None else number(radius, f"{place}, radius_mm", 0.1, 100.0, "mm"),
        _yes_or_no(given.get("prefilled", False), f"{place}, prefilled"),
    )


def _runs(value: Any, place: str) -> Array:
    given = sequence(value, place)
    if not all(type(v) is int and 0 <= v < 2**62 for v in given) or len(given) % 2:
        raise Misshapen(f"{place} are no runs of first voxel and length")
    runs = np.array(given, np.int64).reshape(-1, 2)
    if (runs[:, 1] < 1).any() or (runs[1:, 0] < runs[:-1].sum(axis=1)).any():
        raise Misshapen(f"{place} are no runs in ascending order that lie apart")
    return runs


def _decision(value: Any, place: str) -> ReadDecision:
    given = _only(value, ("choice", "words"), place)
    choice, words = given.get("choice"), word(given.get("words", ""), f"{place}, words").strip()
    if choice not in ("accept", "reject"):
        raise Misshapen(f"{place} is {as_written(choice)}, neither accept nor reject")
    return ReadDecision(choice, words)


_PARTS = {"vessels": _vessel, "landmarks_lps_mm": point_mm, "decisions": _decision}


def _apart(vessels: Mapping[str, ReadVessel], where: str, faults: FaultList) -> None:
    """A voxel belongs to one vessel."""
    owned = [(vessel.runs, name) for name, vessel in vessels.items() if len(vessel.runs)]
    if len(owned) < 2:
        return
    runs, owner = np.concatenate([r for r, _ in owned]), np.concatenate([[n] * len(r) for r, n in owned])
    order = np.argsort(runs[:, 0], kind="stable")
    runs, owner = runs[order], owner[order]
    meet = np.flatnonzero(runs[1:, 0] < runs[:-1].sum(axis=1))
    for pair in sorted({tuple(sorted((str(owner[n]), str(owner[n + 1])))) for n in meet}):
        faults.add(f"{pair[0]} and {pair[1]} share voxels", where, REMEDY)
