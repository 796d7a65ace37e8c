"""What an adjudicator sees: the two reads of a visit that differ, without whose they are."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

from petflame.errors import InputRefused
from petflame.files import sha256
from petflame.folders import VisitFolder
from petflame.review.counting import NotFinished, finished_read
from petflame.review.differences import AsFound, differences
from petflame.review.places import ReviewPlaces
from petflame.review.plan import AGAIN, load_plan
from petflame.seal import read_sealed
from petflame.segment.reads import Read

NOBODY = "0" * 64


@dataclass(frozen=True, eq=False)
class TwoReads:
    """The two reads that somebody decides between, and SHA-256 of their files."""

    reads: tuple[Read, Read]
    sha256: tuple[str, str]


def reads_of(out: Path, item: str) -> TwoReads:
    """Return the two reads of a visit as "read 1" and "read 2", in an order that tells nothing of the readers.

    The order hangs on the plan's private seed and on the visit, so that it is the same whenever it is asked for, and
    one reader comes first in about half of the visits. What readers wrote of their decisions is left out: words, and
    how they are put, tell who wrote them.

    Parameters
    ----------
    out : Path
        The study's results.
    item : str
        Code of the visit.

    Raises
    ------
    InputRefused
        When the plan has no two readers, holds no such visit, or a read is not finished or cannot count.
    """
    plan, places = load_plan(out), ReviewPlaces(out)
    if plan is None or plan.last_word is None or len(plan.readers) != 2:
        raise InputRefused.of("the plan has no two readers to decide between", str(places.plan), "plan with two")
    if item not in plan.codes:
        raise InputRefused.of(f"the plan holds no visit {item}", str(places.plan), "name a visit of it")
    found = []
    for reader in sorted(plan.readers):
        try:
            found.append(finished_read(places, reader, item, item, plan))
        except NotFinished as why:
            raise InputRefused.of("not every reader has finished it", item, "decide when both have") from why
    hashes = [sha256(places.read(reader, item)) for reader in sorted(plan.readers)]
    if _turned(out, item):
        found, hashes = found[::-1], hashes[::-1]
    return TwoReads((_unnamed(found[0], 1), _unnamed(found[1], 2)), (hashes[0], hashes[1]))


def differences_of(out: Path, item: str) -> list[str]:
    """Return in what the two reads of a visit differ, a line each, for who decides between them.

    Raises
    ------
    InputRefused
        As `reads_of`.
    """
    plan = load_plan(out)
    first, second = reads_of(out, item).reads
    assert plan is not None
    return differences(first, second, plan.rules, plan.needed, AsFound(VisitFolder(out / "visits" / item)))


def _turned(out: Path, item: str) -> bool:
    mapping = read_sealed(ReviewPlaces(out).items, AGAIN)
    return hashlib.sha256(f"petflame-adjudication-1\0{mapping['seed']}\0{item}".encode()).digest()[0] % 2 == 1


def _unnamed(read: Read, n: int) -> Read:
    decisions = {name: replace(decision, words="") for name, decision in read.decisions.items()}
    left_out = tuple(replace(stretch, words="left out by this read") for stretch in read.left_out)
    return replace(read, reader=f"read-{n}", log_head=NOBODY, decisions=decisions, left_out=left_out)
