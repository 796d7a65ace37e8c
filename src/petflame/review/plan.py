"""The reading plan: who reads which items, written once before anything is read.

What the plan's file holds tells neither which items are repeats nor which visits belong together; the mapping of
items to visits lies in the results' private ``key/`` folder. Every reader reads every visit, as a core laboratory's
charter asks of independent reads, and some of them a second time under another code.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from petflame import __version__
from petflame.chain import codes_of
from petflame.errors import FaultList, InputRefused
from petflame.files import private_folder, read_json, write_json
from petflame.folders import StudyOut
from petflame.protocol import Protocol, ReviewRules
from petflame.review.places import ITEM, ReviewPlaces
from petflame.seal import read_sealed, sealed
from petflame.study import IDENTIFIER

FORMAT, ITEMS_FORMAT = "petflame-review-plan/1", "petflame-review-items/1"
CONSENSUS = "consensus"
# Names of folders below ``review/`` that are no reader's.
TAKEN = (CONSENSUS, "measured", "agreement")
AGAIN = "restore the file from a copy"


@dataclass(frozen=True)
class Plan:
    """Who reads what.

    Attributes
    ----------
    readers : mapping of reader to tuple of str
        Items of each, sorted; the reader named first comes first.
    adjudicator : str or None
    rules : ReviewRules
        The protocol's choices when the plan was made.
    needed : tuple of str
        Vessels in which two reads can differ.
    protocol : str
    protocol_sha256 : str
    visits : mapping of str to str
        Visit's code of each item that is a repeat; every other item is the visit's own code.
    arms_known : bool
        The results held an analysis with known arms when the reading was planned.
    seal : str
        Hash of the plan's file.
    """

    readers: Mapping[str, tuple[str, ...]]
    adjudicator: str | None
    rules: ReviewRules
    needed: tuple[str, ...]
    protocol: str
    protocol_sha256: str
    visits: Mapping[str, str]
    arms_known: bool
    seal: str

    def visit_of(self, item: str) -> str:
        """Code of the visit that an item shows."""
        return self.visits.get(item, item)

    def is_repeat(self, item: str) -> bool:
        """Whether an item shows a visit that the same reader reads under its own code too."""
        return item in self.visits

    @property
    def codes(self) -> tuple[str, ...]:
        """Codes of the visits that the plan holds, sorted."""
        return tuple(sorted({self.visit_of(item) for items in self.readers.values() for item in items}))

    @property
    def last_word(self) -> str | None:
        """Who reads where the readers differ: the adjudicator, the readers together, or nobody."""
        return {"first": None, "consensus": CONSENSUS, "adjudicated": self.adjudicator}[self.rules.counts]


def make_plan(
    codes: Collection[str],
    readers: Sequence[str],
    seed: int,
    protocol: Protocol,
    repeat: float = 0.0,
    adjudicator: str | None = None,
    arms_known: bool = False,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the plan and the private mapping of items, as they are written.

    Parameters
    ----------
    codes : collection of str
        Of the visits.
    readers : sequence of str
        The one named first is the first reader.
    seed : int
        With the codes it decides which visits are repeated, and under which codes.
    protocol : Protocol
    repeat : float
        Share of the visits that every reader reads twice; the same visits for every reader, under codes of each
        reader's own, so that readers who talk about one cannot tell that it is the same.
    adjudicator : str, optional
    arms_known : bool
        Whether an analysis with known arms was made before.

    Raises
    ------
    InputRefused
        With every reader that cannot be, and what the protocol asks for and the plan does not give.
    """
    # The makers of labels take seconds to import, and who reads a plan needs none.
    from petflame.review.needs import required_vessels

    _plan_faults(codes, readers, protocol.review, repeat, adjudicator).raise_if_any()
    visits = sorted(codes)
    count = math.ceil(repeat * len(visits) - 1e-9)
    repeated = sorted(visits, key=lambda code: _drawn(seed, "repeat", code))[:count]
    taken = set(visits)
    items: dict[str, dict[str, str]] = {}
    for reader in readers:
        items[reader] = {}
        for code in repeated:
            items[reader][_new_code(seed, reader, code, taken)] = code
    mapping = sealed({"format": ITEMS_FORMAT, "seed": seed, "repeats": items})
    plan = sealed(
        {
            "format": FORMAT,
            "petflame": __version__,
            # In the order of their codes, in which a repeat stands like any other.
            "readers": [{"reader": r, "items": sorted([*visits, *items[r]])} for r in readers],
            "adjudicator": adjudicator,
            "review": protocol.review.model_dump(mode="json"),
            "review_sha256": protocol.section_digest("review"),
            "arms_known": arms_known,
            "needed_vessels": list(required_vessels(protocol)),
            **protocol.stamp,
            # Which mapping belongs to it; the seed in there keeps it from being guessed.
            "items_seal": mapping["seal"],
        }
    )
    return plan, mapping


def _plan_faults(
    codes: Collection[str], readers: Sequence[str], rules: ReviewRules, repeat: float, adjudicator: str | None
) -> FaultList:
    faults = FaultList()
    for name in (*readers, *([adjudicator] if adjudicator is not None else [])):
        if not IDENTIFIER.fullmatch(name) or name in TAKEN:
            remedy = f"use letters, digits, '.', '_' and '-', and none of {', '.join(TAKEN)}"
            faults.add(f"{name!r} cannot be a reader's code", "--readers, --adjudicator", remedy)
    folded = [name.casefold() for name in (*readers, *([adjudicator] if adjudicator is not None else []))]
    if len(set(folded)) < len(folded):
        faults.add("one reader is named twice", "--readers, --adjudicator", "name each once, and another to adjudicate")
    if not codes:
        faults.add("there is no visit to read", "visits", "run the workflow first")
    if strange := sorted(c for c in codes if not ITEM.fullmatch(c)):
        faults.add(f"{len(strange)} visits have no code", "visits", "name results that the workflow made")
    if not 0 <= repeat <= 1:
        faults.add(f"{100 * repeat:g} % of the visits cannot be repeated", "--repeat", "give 0 to 100 %")
    needed = {"first": 1, "consensus": 2, "adjudicated": 2}[rules.counts]
    if len(readers) < needed or (rules.counts == "adjudicated" and len(readers) != 2):
        words = f"{'exactly' if rules.counts == 'adjudicated' else 'at least'} {needed}"
        what = f"the protocol says `review.counts: {rules.counts}`, and {len(readers)} read each visit"
        faults.add(what, "--readers", f"name {words} reader{'s' if needed > 1 else ''}, or change the protocol")
    if (rules.counts == "adjudicated") != (adjudicator is not None):
        lacks = "and nobody is named to adjudicate" if adjudicator is None else "which asks for no adjudicator"
        what = f"the protocol says `review.counts: {rules.counts}`, {lacks}"
        faults.add(what, "--adjudicator", "name one who is none of the readers, or change the protocol")
    return faults


def _drawn(seed: int, *words: str) -> str:
    return hashlib.sha256("\0".join(["petflame-reading-plan-1", str(seed), *words]).encode()).hexdigest()


def _new_code(seed: int, reader: str, code: str, taken: set[str]) -> str:
    """Return a code that no visit and no item has, and take it."""
    n = 0
    while (new := f"V{_drawn(seed, reader, code, str(n))[:10].upper()}") in taken:
        n += 1
    taken.add(new)
    return new


def write_plan(
    out: Path,
    readers: Sequence[str],
    seed: int,
    protocol: Protocol,
    repeat: float = 0.0,
    adjudicator: str | None = None,
) -> Plan:
    """Write the plan of a study's results; another one only where nothing was read under the one before.

    Raises
    ------
    InputRefused
        As `make_plan`; when something was read already, or the reading was locked.
    """
    places = ReviewPlaces(out)
    arms = StudyOut(out).arms
    known = arms.exists() and read_json(arms).get("arms") is not None
    plan, mapping = make_plan(codes_to_read(out), readers, seed, protocol, repeat, adjudicator, known)
    begun = sum(1 for _ in places.logs())
    if begun:
        what = f"{begun} items were opened or read already, and a plan is made before reading"
        under = "go on under the plan that there is" if places.plan.exists() else f"move {places.root} away first"
        raise InputRefused.of(what, str(places.root), under)
    if places.lock.exists():
        raise InputRefused.of("the reading was ended", str(places.lock), "go on under the plan that there is")
    private_folder(places.items.parent)
    # The mapping first: a plan without one would be read and could not be resolved.
    places.plan.unlink(missing_ok=True)
    write_json(places.items, mapping, private=True)
    write_json(places.plan, plan)
    found = load_plan(out)
    assert found is not None
    return found


def codes_to_read(out: Path) -> list[str]:
    """Return the codes of a study's visits, of the key table where there is one, sorted.

    Also of visits that an earlier step refused: one that is mended later is in the plan already.
    """
    known = codes_of(StudyOut(out))
    if known is None:
        known = {path.name for path in (out / "visits").glob("V*") if path.is_dir()}
    return sorted(code for code in known if ITEM.fullmatch(code))


def load_plan(out: Path) -> Plan | None:
    """Read the plan of a study's results; None where there is none.

    Raises
    ------
    InputRefused
        When the plan or its private mapping was changed, is gone, or is another plan's.
    """
    places = ReviewPlaces(out)
    if not places.plan.exists():
        if places.items.exists() or places.lock.exists():
            raise InputRefused.of("the plan that readers read by is gone", str(places.plan), AGAIN)
        return None
    document = read_sealed(places.plan, AGAIN)
    mapping = read_sealed(places.items, AGAIN)
    if document.get("format") != FORMAT or mapping.get("format") != ITEMS_FORMAT:
        raise InputRefused.of("it is of another format", str(places.plan), "read it with the petflame that wrote it")
    if document["items_seal"] != mapping["seal"]:
        raise InputRefused.of("it is not the mapping of the plan that lies there", str(places.items), AGAIN)
    return Plan(
        readers={row["reader"]: tuple(row["items"]) for row in document["readers"]},
        adjudicator=document["adjudicator"],
        rules=ReviewRules.model_validate(document["review"]),
        arms_known=document["arms_known"],
        needed=tuple(document["needed_vessels"]),
        protocol=document["protocol"],
        protocol_sha256=document["protocol_sha256"],
        visits={item: code for items in mapping["repeats"].values() for item, code in items.items()},
        seal=document["seal"],
    )


def refuse_other_rules(plan: Plan, protocol: Protocol) -> None:
    """Refuse a protocol that says otherwise than the plan which read counts, or which vessels need one.

    Raises
    ------
    InputRefused
        With both choices.
    """
    then, now = plan.rules.model_dump(mode="json"), protocol.review.model_dump(mode="json")
    faults = FaultList()
    remedy = "put the protocol's choice back: it was fixed before reading"
    for key in (k for k in now if now[k] != then.get(k)):
        faults.add(f"review.{key} is {now[key]!r}, and the reading was planned with {then.get(key)!r}", "plan", remedy)
    faults.raise_if_any()
