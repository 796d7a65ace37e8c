"""Which read of each visit counts: one reader's, or, under a plan, the one that the protocol fixed before reading."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

from petflame.errors import Fault, InputRefused
from petflame.files import sha256
from petflame.folders import StudyOut, VisitFolder
from petflame.review.differences import AsFound, differences
from petflame.review.log import ReadLog
from petflame.review.places import ReviewPlaces
from petflame.review.plan import AGAIN, CONSENSUS, Plan, load_plan
from petflame.seal import read_sealed
from petflame.segment.reads import Read, read_read

NOBODY = "nobody has finished reading it"


@dataclass(frozen=True)
class Counting:
    """What counts of the readers' work.

    Attributes
    ----------
    reads : dict
        Visit's code to the finished read that counts.
    waiting : dict
        Visit's code to why no read of it counts yet.
    faults : list of Fault
        Reads that cannot count, and why; their visits wait.
    awaited : dict
        Visit's code to who is to read it next, where the readers differ: the adjudicator or `CONSENSUS`.
    reopened : dict
        Visit's code to who has opened a read again; the one finished before counts until it is finished anew.
    """

    reads: dict[str, Path] = field(default_factory=dict)
    waiting: dict[str, str] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    awaited: dict[str, str] = field(default_factory=dict)
    reopened: dict[str, str] = field(default_factory=dict)


def reads_that_count(out: StudyOut | Path, codes: Iterable[str]) -> Counting:
    """Return the read that counts of each visit, and why the others have none.

    Parameters
    ----------
    out : StudyOut or Path
        The study's results.
    codes : iterable of str
        Of the visits.

    Raises
    ------
    InputRefused
        When the plan or its private mapping was changed or is gone.
    """
    root = out.root if isinstance(out, StudyOut) else out
    places, plan, found = ReviewPlaces(root), load_plan(root), Counting()
    for code in sorted(set(codes)):
        if plan is None:
            _without_plan(places, code, found)
        elif code not in plan.codes:
            found.waiting[code] = "the reading plan does not hold it"
        else:
            _under_plan(places, plan, code, found)
    if plan is not None:
        if places.lock.exists():
            words = read_sealed(places.lock, AGAIN)["words"]
            for code, why in found.waiting.items():
                found.waiting[code] = f"{why}; the reading was ended without it: {words}"
        for reader in (r for r in places.readers() if r not in (*plan.readers, plan.last_word)):
            what = "there are reads of a reader whom the plan does not know; none of them counts"
            found.faults.append(Fault(what, f"review/{reader}", "move the folder out of the results"))
    return found


def items_for(out: StudyOut | Path, reader: str, codes: Iterable[str]) -> tuple[str, ...]:
    """Return the items that a reader is to read, sorted.

    Parameters
    ----------
    out : StudyOut or Path
    reader : str
        Without a plan anybody reads every visit; with one, its readers what it gives them, and who has the last word
        the visits that wait for it, or had it already.
    codes : iterable of str
        Of the study's visits.

    Raises
    ------
    InputRefused
        When the plan gives the reader nothing to read.
    """
    root = out.root if isinstance(out, StudyOut) else out
    places, plan = ReviewPlaces(root), load_plan(root)
    if plan is None:
        return tuple(sorted(set(codes)))
    if reader in plan.readers:
        known = set(codes)
        return tuple(item for item in plan.readers[reader] if plan.visit_of(item) in known)
    if reader != plan.last_word:
        allowed = [*plan.readers, *([plan.last_word] if plan.last_word else [])]
        raise InputRefused.of(
            f"the reading plan knows no reader {reader}", str(places.plan), f"read as {', '.join(allowed)}"
        )
    waiting = reads_that_count(root, codes).awaited
    return tuple(c for c in sorted(set(codes)) if c in waiting or places.log(reader, c).exists())


def _without_plan(places: ReviewPlaces, code: str, found: Counting) -> None:
    finished, why = [], []
    for reader in places.readers():
        if not places.read(reader, code).exists() and not places.log(reader, code).exists():
            continue
        read = _finished(places, reader, code, code, found)
        if isinstance(read, str):
            why.append(read)
        else:
            finished.append(reader)
    if len(finished) > 1:
        what = f"{' and '.join(finished)} have both finished it, and no plan says whose read counts"
        remedy = "move the read and the log that do not count out of the results; next time plan with two readers"
        found.faults.append(Fault(what, code, remedy))
        found.waiting[code] = what
    elif finished:
        found.reads[code] = places.read(finished[0], code)
    else:
        found.waiting[code] = "; ".join(why) or NOBODY


def _under_plan(places: ReviewPlaces, plan: Plan, code: str, found: Counting) -> None:
    first, *others = plan.readers
    wanted = [first] if plan.rules.counts == "first" else [first, *others]
    reads = {reader: _finished(places, reader, code, code, found, plan) for reader in wanted}
    missing = [read for read in reads.values() if isinstance(read, str)]
    if missing:
        found.waiting[code] = "; ".join(dict.fromkeys(missing))
        return
    last_word = plan.last_word
    said = [] if last_word is None else _apart(places, plan, code, [r for r in reads.values() if isinstance(r, Read)])
    if last_word is None or not said:
        found.reads[code] = places.read(first, code)
        return
    last = _finished(places, last_word, code, code, found, plan)
    if isinstance(last, str):
        who = "a joint read of the readers" if last_word == CONSENSUS else "the adjudicator"
        found.waiting[code] = f"its readers differ ({'; '.join(said)}) and {who} is awaited: {last}"
        found.awaited[code] = last_word
    elif last_word != CONSENSUS and not _saw(places, last_word, code, [*reads]):
        why = "a reader finished anew what the adjudicator had decided between"
        found.waiting[code] = f"{why}: the adjudicator is to look again"
        found.awaited[code] = last_word
    else:
        found.reads[code] = places.read(last_word, code)


def _saw(places: ReviewPlaces, last_word: str, code: str, readers: list[str]) -> bool:
    """Whether the adjudicator finished with the reads as they are."""
    said = [line["action"] for line in ReadLog(places.log(last_word, code)).lines()]
    finished = [action for action in said if action["kind"] == "finish"]
    now = {sha256(places.read(reader, code)) for reader in readers}
    return bool(finished) and set(finished[-1].get("reads_sha256", ())) == now


def _apart(places: ReviewPlaces, plan: Plan, code: str, reads: list[Read]) -> list[str]:
    found = AsFound(VisitFolder(places.out / "visits" / code))
    said: list[str] = []
    for one, other in combinations(reads, 2):
        said += differences(one, other, plan.rules, plan.needed, found)
    return list(dict.fromkeys(said))


def _finished(
    places: ReviewPlaces, reader: str, item: str, code: str, found: Counting, plan: Plan | None = None
) -> Read | str:
    """Return a finished read, or in words why there is none; a read that cannot count is a fault too."""
    try:
        read = finished_read(places, reader, item, code, plan, opened_again=True)
        if is_reopened(places.log(reader, item)):
            found.reopened[code] = ", ".join(filter(None, [found.reopened.get(code), reader]))
        return read
    except NotFinished as why:
        return str(why)
    except InputRefused as refusal:
        found.faults.extend(refusal.faults)
        return f"the read of {reader} cannot count: {'; '.join(fault.what for fault in refusal.faults)}"


class NotFinished(Exception):
    """An item that was not opened, is being read, or was opened again."""


def finished_read(
    places: ReviewPlaces, reader: str, item: str, code: str, plan: Plan | None = None, opened_again: bool = False
) -> Read:
    """Return the finished read of one reader and item.

    Parameters
    ----------
    places : ReviewPlaces
    reader, item : str
    code : str
        Of the visit that the item shows.
    plan : Plan, optional
        Whether reads may be prefilled.
    opened_again : bool
        Take what was finished before, too, where the item was opened again.

    Raises
    ------
    NotFinished
        When there is none, or it was opened again.
    InputRefused
        When it is damaged, another's, lacks its log or is not what its log was finished with, or is prefilled against
        the protocol.
    """
    path, log = places.read(reader, item), places.log(reader, item)
    if not path.exists():
        raise NotFinished(f"{reader} {'has not finished it' if log.exists() else 'has not opened it'}")
    where = f"{reader}/{path.name}"
    if not log.exists():
        what = "the log of how it was made is not there"
        raise InputRefused.of(what, where, "restore the log, or give the read in the column `edits` of visits.tsv")
    if not opened_again and is_reopened(log):
        raise NotFinished(f"{reader} has opened it again")
    read = read_read(path)
    asked = {"reader": reader, "item": item, "code": code}
    wrong = [
        f"{key} {getattr(read, key)} in place of {value}" for key, value in asked.items() if value != getattr(read, key)
    ]
    if wrong:
        raise InputRefused.of(f"it is another read: {', '.join(wrong)}", where, "put every read back to its own place")
    if read.prefilled and plan is not None and not plan.rules.prefill:
        what = "it began from the participant's other visit, which the protocol does not allow (review.prefill)"
        raise InputRefused.of(what, where, "read it again from its own images")
    return read


def is_reopened(log: Path) -> bool:
    """Tell whether a log was opened again after it was finished the last time."""
    last = ""
    for line in log.read_bytes().split(b"\n"):
        if b'"finish"' in line or b'"reopen"' in line:
            try:
                kind = json.loads(line)["action"]["kind"]
            except (ValueError, KeyError, TypeError):
                # A torn end, or a comment that holds the word.
                continue
            last = kind if kind in ("finish", "reopen") else last
    return last == "reopen"
