"""What was edited after the reading was ended, and the primary before and after it.

The arms count as known from the first analysis with an allocation after the lock. Its primary is kept beside the
lock, and that of every later one whose tables are others, each with the last line of every log that it knew.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from petflame import __version__
from petflame.anatomy import title
from petflame.errors import InputRefused
from petflame.files import sha256, write_json
from petflame.privacy import without_names
from petflame.review.lock import lines_since, load_lock
from petflame.review.log import ReadLog
from petflame.review.places import ReviewPlaces
from petflame.review.plan import AGAIN, Plan, load_plan
from petflame.seal import read_sealed, sealed
from petflame.trial.reading import EarlierPrimary, LateEdit, Reading

FORMAT = "petflame-unblinded/1"
KEPT = (
    *("difference", "ci_low", "ci_high", "p"),
    *("adjusted_percent", "adjusted_percent_low", "adjusted_percent_high"),
)
# What changes nothing of a read.
IDLE = ("open", "comment")
WORDS = {
    "seed": ("point set, moved or deleted", "points set, moved or deleted"),
    "landmark": ("landmark", "landmarks"),
    "paint": ("brush stroke", "brush strokes"),
    "exclude": ("stretch left out", "stretches left out"),
    "include": ("stretch taken back", "stretches taken back"),
    "decide": ("decision", "decisions"),
    "take": ("outline taken from a reader", "outlines taken from a reader"),
    "prefill": ("proposal from the other visit", "proposals from the other visit"),
    "confirm": ("proposal confirmed", "proposals confirmed"),
    "undo": ("undone", "undone"),
    "redo": ("redone", "redone"),
    "finish": ("finished", "finished"),
    "reopen": ("opened again", "opened again"),
}


def reading_record(out: Path, tables: Mapping[str, Path] | None = None) -> Reading | None:
    """Return the ``reading`` block of an analysis; None where no reading was planned and ended.

    Parameters
    ----------
    out : Path
        Results that the reading lies in.
    tables : mapping, optional
        Tables of the analysis that is to be made; an earlier one of the same tables is not told as another.

    Raises
    ------
    InputRefused
        When lock, plan or logs are not as they were left.
    """
    plan, lock = load_plan(out), load_lock(out)
    if plan is None or lock is None:
        return None
    analyses = _analyses(out, lock.seal)
    edits = _edits(out, plan, lock.heads, [a["heads"] for a in analyses])
    if tables is not None and analyses and analyses[-1]["tables"] == _hashes(tables):
        analyses = analyses[:-1]
    late = [e for e in edits if e["after"]]
    return {
        "lock": lock.seal,
        "counts": plan.rules.counts,
        "readers": len(plan.readers),
        "unread": len(lock.unread),
        "words": without_names(lock.words),
        "earlier": [_earlier(n, a) for n, a in enumerate(analyses, start=1)],
        "edits": edits,
        "sentence": _sentence(edits, late, plan.arms_known),
    }


def keep_primary(
    out: Path, tables: Mapping[str, Path], primary: Mapping[str, Any] | None, reason: str | None
) -> Path | None:
    """Keep the primary of an analysis with known arms, unless the last one kept is of the same tables.

    Parameters
    ----------
    out : Path
        Results that the reading lies in.
    tables : mapping of str to Path
        What the analysis was made from.
    primary : mapping or None
        The ``primary`` of ``arms.json``.
    reason : str or None
        Why there is none.

    Returns
    -------
    Path or None
        ``review/unblinded.json``; None where no reading was ended.

    Raises
    ------
    InputRefused
        When it, or a log, was changed.
    """
    lock, places = load_lock(out), ReviewPlaces(out)
    if lock is None:
        return None
    analyses = _analyses(out, lock.seal)
    if not analyses or analyses[-1]["tables"] != _hashes(tables):
        one = {
            "petflame": __version__,
            "heads": {f"{reader}/{item}": ReadLog(path).settled_head for reader, item, path in places.logs()},
            "tables": _hashes(tables),
            "n": None if primary is None else primary["n"],
            **{key: None if primary is None else primary[key] for key in KEPT},
            "reason": reason,
        }
        previous = analyses[-1]["seal"] if analyses else lock.seal
        document = {"format": FORMAT, "lock": lock.seal, "analyses": [*analyses, sealed({**one, "previous": previous})]}
        write_json(places.unblinded, sealed(document))
    return places.unblinded


def _hashes(tables: Mapping[str, Path]) -> dict[str, str]:
    return {name: sha256(path) for name, path in sorted(tables.items())}


def _analyses(out: Path, lock: str) -> list[dict[str, Any]]:
    path = ReviewPlaces(out).unblinded
    if not path.exists():
        return []
    document = read_sealed(path, AGAIN)
    if document["lock"] != lock:
        raise InputRefused.of("it belongs to another lock", str(path), AGAIN)
    found: list[dict[str, Any]] = document["analyses"]
    return found


def _earlier(n: int, analysis: Mapping[str, Any]) -> EarlierPrimary:
    found = {key: analysis[key] for key in (*KEPT, "reason")}
    return {"n": n, "participants": analysis["n"], **found}  # type: ignore[typeddict-item]


def _edits(out: Path, plan: Plan, heads: Mapping[str, str], known: Sequence[Mapping[str, str]]) -> list[LateEdit]:
    """Return what was done after the lock, a row for each reader, item and analysis that it came after."""
    rows: list[LateEdit] = []
    for reader, item, lines in lines_since(out, heads):
        name = f"{reader}/{item}"
        book = ReadLog(ReviewPlaces(out).log(reader, item))
        hashes = [*(line["previous"] for line in book.lines()[1:]), book.head]
        ends = [hashes.index(h[name]) if h.get(name) in hashes else -1 for h in known]

        def after(line: Mapping[str, Any], ends: Sequence[int] = tuple(ends)) -> int:
            return sum(end < line["n"] - 1 for end in ends)

        for count, group in groupby(lines, key=after):
            own = list(group)
            if all(line["action"]["kind"] in IDLE for line in own):
                continue
            numbers = (own[0]["n"], own[-1]["n"])
            rows.append(
                {
                    "reader": reader,
                    "visit": plan.visit_of(item),
                    "repeat": plan.is_repeat(item),
                    "lines": f"{numbers[0]}" if numbers[0] == numbers[1] else f"{numbers[0]} to {numbers[1]}",
                    "what": said_of(line["action"] for line in own),
                    "why": "; ".join(dict.fromkeys(without_names(line["why"]) for line in own if line["why"])),
                    "after": count,
                }
            )
    return rows


def said_of(actions: Any) -> str:
    """Say in words what actions did, vessel by vessel.

    >>> seed = {"kind": "seed", "op": "add", "vessel": "carotid_left"}
    >>> said_of([{"kind": "reopen"}, seed, seed, {"kind": "finish"}])
    'opened again; Left carotid: 2 points set, moved or deleted; finished'
    """
    told: dict[str, Counter[str]] = {}
    for action in actions:
        if action["kind"] not in IDLE:
            own = action["kind"] in ("finish", "reopen", "undo", "redo", "landmark")
            place = "" if own and not action.get("vessel") else str(action.get("vessel", ""))
            told.setdefault(place or action["kind"], Counter())[action["kind"]] += 1
    parts = []
    for place, counts in told.items():
        words = ", ".join(_counted(kind, n) for kind, n in counts.items())
        parts.append(words if place in counts else f"{title(place)}: {words}")
    return "; ".join(parts)


def _counted(kind: str, n: int) -> str:
    one, many = WORDS.get(kind, (kind, kind))
    if one == many:
        return one if n == 1 else f"{one} {n} times"
    return f"{n} {one if n == 1 else many}"


def _sentence(edits: Sequence[LateEdit], late: Sequence[LateEdit], arms_known: bool) -> str:
    ended = "The reading was ended before the arms were known"
    if arms_known:
        visits = len({e["visit"] for e in edits})
        return (
            "An analysis with known arms was made before the reading was planned, which then was not blind to the "
            f"trial's result. Visits edited after it was ended: {visits}."
        )
    if not edits:
        return f"{ended}, and nothing was edited after that."
    visits = len({e["visit"] for e in late})
    if not late:
        return f"{ended}. Edits after that were made before the arms were known."
    return f"{ended}. {visits} visit{'s were' if visits > 1 else ' was'} edited after the arms were known."
