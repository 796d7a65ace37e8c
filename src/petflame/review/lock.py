"""The end of the reading: what every log, read and the plan were when it was locked, and what was added since."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from petflame import __version__
from petflame.errors import Fault, FaultList, InputRefused
from petflame.files import sha256, write_json
from petflame.review.counting import NotFinished, finished_read, reads_that_count
from petflame.review.log import ReadLog
from petflame.review.places import ReviewPlaces
from petflame.review.plan import AGAIN, Plan, load_plan
from petflame.seal import read_sealed, sealed

FORMAT = "petflame-review-lock/1"


@dataclass(frozen=True)
class Lock:
    """The ended reading.

    Attributes
    ----------
    time : str
        UTC.
    plan : str
        Seal of the plan.
    heads : mapping of 'READER/ITEM' to str
        Hash of the last line of every log.
    reads : mapping of 'READER/ITEM' to str
        SHA-256 of every finished read.
    unread : tuple of str
        'READER/ITEM' of what was accepted as unread.
    words : str
        Why; empty where everything was read.
    seal : str
    """

    time: str
    plan: str
    heads: Mapping[str, str]
    reads: Mapping[str, str]
    unread: tuple[str, ...]
    words: str
    seal: str


@dataclass(frozen=True)
class Unfinished:
    """What of the plan is not finished.

    Attributes
    ----------
    items : mapping of 'READER/ITEM' to str
        Why each is not.
    closed : tuple of str
        Codes of visits that an earlier step set aside, so that nobody can read them.
    """

    items: Mapping[str, str]
    closed: tuple[str, ...]


def unfinished(out: Path, plan: Plan) -> Unfinished:
    """Return what of a plan is not finished.

    Raises
    ------
    InputRefused
        With every read that is damaged, another's or against the protocol.
    """
    places, waiting, faults = ReviewPlaces(out), {}, FaultList()
    closed = tuple(code for code in plan.codes if not is_readable(out, code))
    for reader, items in plan.readers.items():
        for item in items:
            if plan.visit_of(item) in closed:
                continue
            try:
                finished_read(places, reader, item, plan.visit_of(item), plan)
            except NotFinished as why:
                waiting[f"{reader}/{item}"] = str(why)
            except InputRefused as refusal:
                faults.extend(refusal.faults)
    for code, who in reads_that_count(out, plan.codes).awaited.items():
        waiting[f"{who}/{code}"] = "its readers differ, and this read is awaited"
    faults.raise_if_any()
    return Unfinished(waiting, closed)


def is_readable(out: Path, code: str) -> bool:
    """Whether a visit has come so far that it can be opened."""
    folder = out / "visits" / code
    return (folder / "labels.json").exists() and (folder / "pet.nii.gz").exists()


def lock_reading(out: Path, words: str = "", now: datetime | None = None) -> tuple[Lock, Unfinished]:
    """End the reading of a study's results: write ``review/lock.json``.

    Parameters
    ----------
    out : Path
    words : str
        Why what is not finished is accepted as unread.
    now : datetime, optional
        In UTC.

    Raises
    ------
    InputRefused
        When there is no plan, it was ended before, items are unfinished and `words` is empty, a log or read is
        damaged, or somebody is reading at this moment.
    """
    places, plan = ReviewPlaces(out), load_plan(out)
    if plan is None:
        remedy = "there is nothing to lock; plan the next reading with `petflame review plan`"
        raise InputRefused.of("there is no reading plan", str(places.plan), remedy)
    if places.lock.exists():
        raise InputRefused.of("the reading was ended before", str(places.lock), "nothing more is to be done")
    left = unfinished(out, plan)
    if left.items and not words.strip():
        remedy = 'finish them, or accept them as unread with --words "why"'
        raise InputRefused(Fault(why, where, remedy) for where, why in sorted(left.items.items()))
    heads = _heads(places)
    time = (now or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%SZ")
    document = sealed(
        {
            "format": FORMAT,
            "petflame": __version__,
            "time": time,
            "plan": plan.seal,
            "logs": heads,
            "reads": _reads(places),
            "unread": sorted(left.items),
            "not_readable": list(left.closed),
            "words": words.strip(),
        }
    )
    write_json(places.lock, document)
    # From here on no line is added; one that came between was not seen.
    if _heads(places) != heads:
        places.lock.unlink()
        raise InputRefused.of("somebody is reading at this moment", str(places.root), "lock again when they are done")
    lock = load_lock(out)
    assert lock is not None
    return lock, left


def load_lock(out: Path) -> Lock | None:
    """Read the lock of a study's results; None where the reading was not ended.

    Raises
    ------
    InputRefused
        When it was changed.
    """
    path = ReviewPlaces(out).lock
    if not path.exists():
        return None
    found = read_sealed(path, AGAIN)
    keys = ("time", "plan", "reads", "words", "seal")
    return Lock(heads=found["logs"], unread=tuple(found["unread"]), **{key: found[key] for key in keys})


def refuse_open_reading(folders: Collection[Path]) -> None:
    """Refuse to learn the arms while readers still read.

    Parameters
    ----------
    folders : collection of Path
        Results that an analysis would read or write.

    Raises
    ------
    InputRefused
        With every one whose plan was not locked.
    """
    faults = FaultList()
    for out in dict.fromkeys(folder.resolve() for folder in folders):
        if load_plan(out) is not None and load_lock(out) is None:
            remedy = (
                f"end the reading with `petflame review lock {out}`, or leave the allocation out: the analysis is then "
                "blinded"
            )
            faults.add("the reading is not ended, and an allocation would unblind it", str(out / "review"), remedy)
    faults.raise_if_any()


def lines_since(out: Path, heads: Mapping[str, str]) -> Iterator[tuple[str, str, list[dict[str, Any]]]]:
    """Yield reader, item and lines of every log that came after the heads given.

    Raises
    ------
    InputRefused
        When a log is damaged, gone, or no longer holds the line that was its last.
    """
    places, faults = ReviewPlaces(out), FaultList()
    found = {f"{reader}/{item}": (reader, item, path) for reader, item, path in places.logs()}
    for name in sorted(set(heads) - set(found)):
        faults.add("the log was there when the reading was ended", f"review/{name}.jsonl", AGAIN)
    later = []
    for name, (reader, item, path) in found.items():
        lines = ReadLog(path).lines()
        if name in heads:
            # Each line names the hash of the one before it; the last one's is the log's head.
            hashes = [*(line["previous"] for line in lines[1:]), ReadLog(path).head]
            if heads[name] not in hashes:
                faults.add("it is not the log that was there when the reading was ended", f"review/{name}.jsonl", AGAIN)
                continue
            lines = lines[hashes.index(heads[name]) + 1 :]
        if lines:
            later.append((reader, item, lines))
    faults.raise_if_any()
    yield from later


def lock_faults(out: Path) -> list[Fault]:
    """Return where plan, logs and reads are not those that were locked, but for lines added as after the lock."""
    places = ReviewPlaces(out)
    try:
        plan, lock = load_plan(out), load_lock(out)
        if lock is None:
            return []
        later = list(lines_since(out, lock.heads))
    except InputRefused as refusal:
        return list(refusal.faults)
    faults = []
    if plan is None or plan.seal != lock.plan:
        faults.append(Fault("it is not the plan that was locked", str(places.plan), AGAIN))
    touched = {f"{reader}/{item}" for reader, item, _ in later}
    for reader, item, lines in later:
        if not all(line.get("after_lock") for line in lines):
            what = "lines were added after the lock that do not say so"
            faults.append(Fault(what, f"review/{reader}/{item}.jsonl", AGAIN))
    for name, digest in lock.reads.items():
        path = places.root / f"{name}.read.json"
        if name not in touched and (not path.exists() or sha256(path) != digest):
            faults.append(Fault("it is not the read that was locked", f"review/{name}.read.json", AGAIN))
    return faults


def _heads(places: ReviewPlaces) -> dict[str, str]:
    return {f"{reader}/{item}": ReadLog(path).settled_head for reader, item, path in places.logs()}


def _reads(places: ReviewPlaces) -> dict[str, str]:
    found = {f"{reader}/{item}": places.read(reader, item) for reader, item, _ in places.logs()}
    return {name: sha256(path) for name, path in found.items() if path.exists()}
