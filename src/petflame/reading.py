"""Which visits of a study a finished read speaks for, and which wait for one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from petflame.errors import Fault, FaultList
from petflame.files import read_json, sha256
from petflame.folders import StudyOut
from petflame.review.counting import Counting, reads_that_count
from petflame.study import Study, Visit, load_study

# As many codes stand in a line; the worklist of the workbench has all of them.
MOST_CODES = 5


@dataclass(frozen=True, eq=False)
class Reading:
    """The finished reads of a study that count, asked visit by visit: a job of one visit opens no other one's.

    Attributes
    ----------
    study : Study
    out : StudyOut
    """

    study: Study
    out: StudyOut

    @cached_property
    def _counted(self) -> dict[str, Counting]:
        return {}

    def _of(self, code: str) -> Counting:
        if code not in self._counted:
            self._counted[code] = reads_that_count(self.out, [code])
        return self._counted[code]

    def read_of(self, visit: Visit) -> Path | None:
        """Return the finished read that counts of a visit; None while it waits."""
        code = self.study.code(visit.participant_id, visit.visit)
        return self._of(code).reads.get(code)

    @property
    def waiting(self) -> list[str]:
        """Codes of the visits that no read speaks for, and no edits of the table either."""
        return sorted(c for c, visit in self.study.by_code.items() if visit.edits is None and c in self._of(c).waiting)

    @property
    def behind(self) -> list[str]:
        """Codes of the visits whose labels were made before the read that counts was finished."""
        found = []
        for code, visit in sorted(self.study.by_code.items()):
            read, labels = self.read_of(visit), self.out.visit(code).labels_json
            if read is None or visit.edits is not None or not labels.exists():
                continue
            edits = read_json(labels)["provenance"].get("edits") or {}
            if edits.get("read_sha256") != sha256(read):
                found.append(code)
        return found

    def told(self) -> list[str]:
        """Say what waits, what was opened again, and which reads cannot count."""
        why: dict[str, list[str]] = {}
        for code in self.waiting:
            why.setdefault(self._of(code).waiting[code], []).append(code)
        said = [f"{_visits(codes)} for a finished read: {reason}" for reason, codes in sorted(why.items())]
        again = {code: self._of(code).reopened.get(code) for code in sorted(self.study.by_code)}
        kept = "what was finished before counts until it is finished anew"
        said += [f"{code}: {who} opened it again; {kept}" for code, who in again.items() if who]
        return [*said, *map(str, self.faults())]

    def faults(self) -> list[Fault]:
        """Return why reads cannot count, each once."""
        found = (fault for code in sorted(self.study.by_code) for fault in self._of(code).faults)
        return list(dict.fromkeys(found))

    def require_one_word(self) -> None:
        """Refuse a visit that has edits in the table and a finished read as well.

        Raises
        ------
        InputRefused
            With every such visit.
        """
        faults = FaultList()
        for code, visit in sorted(self.study.by_code.items()):
            read = None if visit.edits is None else self.read_of(visit)
            if read is not None:
                what = (
                    f"it names edits, and {read.parent.name} has finished a read of it ({code}): either could be meant"
                )
                remedy = "take the edits out of the table, or leave `reads` out of the configuration"
                faults.add(what, visit.row, remedy)
        faults.raise_if_any()


def _visits(codes: list[str]) -> str:
    named = ", ".join(codes[:MOST_CODES]) + (", ..." if len(codes) > MOST_CODES else "")
    return f"{len(codes)} visit{'s wait' if len(codes) > 1 else ' waits'} ({named})"


def told_of_reads(study: Path, out: Path) -> list[str]:
    """Say what waits for a reader in results of a study; nothing where the results are not there yet.

    Raises
    ------
    InputRefused
        When the study cannot be read.
    """
    return Reading(load_study(study, out, keep_key=False), StudyOut(out)).told() if out.is_dir() else []
