"""A reader's points on the participant's other visit, for a visit that the same reader reads now.

Which visits belong together stands in the results' private ``key/`` folder; what is read of it stays in this process.
Neither the other visit's code nor which of the two came first goes into an answer, a refusal or a log.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from petflame import __version__
from petflame.errors import InputRefused, PetflameError
from petflame.files import plain, private_folder, read_json, read_tsv, write_json
from petflame.folders import StudyOut
from petflame.pair.key_table import COLUMNS
from petflame.protocol import PairingRules, Protocol
from petflame.review.log import ReadLog
from petflame.review.plan import load_plan
from petflame.review.prefill import Prefill, carry_between
from petflame.review.state import ReadState, VesselRead, fold
from petflame.review.visit import VisitFiles, read_visit_files
from petflame.segment.seedfile import LEAST_LENGTH_MM, Seeds
from petflame.study import VISITS

WHERE, REMEDY = "the proposal", "set points here"


def allowed(results: Path, protocol: Protocol) -> bool:
    """Whether points may be carried: by the plan where there is one, which fixed it, else by the protocol."""
    plan = load_plan(results)
    rules = protocol.review if plan is None else plan.rules
    return rules.prefill and StudyOut(results).key_table.is_file()


def other_visit(out: StudyOut, code: str) -> str | None:
    """Return the code of the participant's other visit by the key table; None where it does not hold one.

    Raises
    ------
    InputRefused
        When the table is damaged.
    """
    if not out.key_table.is_file():
        return None
    table = read_tsv(out.key_table, required=tuple(COLUMNS), text=tuple(COLUMNS))
    visits = table[table["visit"].isin(VISITS)]
    own = visits[visits["code"] == code]["participant_id"]
    others = visits[visits["participant_id"].isin(own) & (visits["code"] != code)]["code"]
    return str(others.iloc[0]) if len(own) == 1 and len(others) == 1 else None


def seeds_to_carry(state: ReadState) -> Seeds:
    """Return the points that a reader set: of vessels with two or more, not rejected, and not themselves carried."""
    chosen = {n: v for n, v in state.vessels.items() if _is_own(v)}
    return Seeds(
        {n: np.array([seed.lps_mm for seed in v.seeds]) for n, v in chosen.items()},
        {n: v.radius_mm for n, v in chosen.items() if v.radius_mm is not None},
        # Landmarks do not say where they came from.
        {} if state.prefilled else dict(state.landmarks_lps_mm),
    )


def _is_own(vessel: VesselRead) -> bool:
    rejected = vessel.decision is not None and vessel.decision.choice == "reject"
    heights = [seed.lps_mm[2] for seed in vessel.seeds]
    return len(heights) > 1 and max(heights) - min(heights) >= LEAST_LENGTH_MM and not (rejected or vessel.carried)


@dataclass(frozen=True, eq=False)
class _ReadSoFar:
    """What lies in a log."""

    seeds: Seeds
    hashes: dict[str, str]


class OtherVisits:
    """One reader's way from each visit to the other of its participant.

    Parameters
    ----------
    results : Path
    folder : Path
        Of the reader's logs.
    rules : PairingRules
        Which map of registration can be trusted.
    """

    def __init__(self, results: Path, folder: Path, rules: PairingRules) -> None:
        self._out, self._folder, self._rules = StudyOut(results), folder, rules
        self._codes: dict[str, str | None] = {}
        self._reads: dict[str, tuple[Any, _ReadSoFar | None]] = {}

    def vessels(self, code: str) -> tuple[str, ...]:
        """Return the vessels that the reader has set points on at the other visit; none where anything is amiss."""
        read = self._read(code)
        return () if read is None else tuple(read.seeds.points_lps_mm)

    def proposal(self, files: VisitFiles) -> Prefill:
        """Carry what the reader has set at the other visit to this one; kept below the results' ``key/`` folder.

        Raises
        ------
        InputRefused
            When there is nothing to carry, or the other visit cannot be read or was read on other images.
        """
        read, other = self._read(files.code), self._codes.get(files.code)
        if read is None or other is None:
            raise InputRefused.of("there is nothing to carry over", WHERE, REMEDY)
        try:
            source = read_visit_files(self._out.visit(other).root)
        except (PetflameError, OSError):
            # Its faults would name the folder.
            raise InputRefused.of("the other visit cannot be read", WHERE, REMEDY) from None
        if source.hashes != read.hashes:
            raise InputRefused.of("the other visit was read on other images or labels", WHERE, REMEDY)
        kept = self._kept(read.seeds, source, files)
        try:
            return Prefill.of(read_json(kept))
        except (PetflameError, KeyError, TypeError, ValueError, AttributeError):
            found = carry_between(read.seeds, source, files, self._rules)
        private_folder(kept.parent.parent)
        private_folder(kept.parent)
        write_json(kept, found.document, private=True)
        return found

    def _read(self, code: str) -> _ReadSoFar | None:
        if code not in self._codes:
            try:
                self._codes[code] = other_visit(self._out, code)
            except PetflameError:
                self._codes[code] = None
        other = self._codes[code]
        if other is None:
            return None
        log = self._folder / f"{other}.jsonl"
        key = (log.stat().st_size, log.stat().st_mtime_ns) if log.exists() else None
        if other not in self._reads or self._reads[other][0] != key:
            self._reads[other] = (key, None if key is None else _so_far(log))
        return self._reads[other][1]

    def _kept(self, seeds: Seeds, source: VisitFiles, target: VisitFiles) -> Path:
        made_from = {
            "petflame": __version__,
            "rules": self._rules.model_dump(mode="json"),
            "visits": [source.hashes, target.hashes],
            "seeds": vars(seeds),
        }
        digest = hashlib.sha256(json.dumps(plain(made_from), sort_keys=True).encode()).hexdigest()
        return self._out.root / "key" / "review" / "prefill" / f"{digest}.json"


def _so_far(log: Path) -> _ReadSoFar | None:
    try:
        lines = ReadLog(log).lines()
    except (PetflameError, OSError):
        return None
    seeds = seeds_to_carry(fold(line["action"] for line in lines).state)
    if not lines or not seeds.points_lps_mm:
        return None
    return _ReadSoFar(seeds, {name: lines[-1][name] for name in ("ct_sha256", "pet_sha256", "labels_sha256")})


def untouched(state: ReadState, names: Sequence[str]) -> tuple[str, ...]:
    """Return those of the vessels that a reader has neither set points on, painted, taken nor decided on."""
    vessels = {name: state.vessels[name] for name in names}
    return tuple(
        name for name, v in vessels.items() if not v.seeds and not v.painted and v.taken is None and v.decision is None
    )
