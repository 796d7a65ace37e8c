"""What a reader looked at: visit, images, labels. Edits of anything else are refused with both hashes."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from petflame.errors import FaultList
from petflame.files import sha256
from petflame.folders import VisitFolder

ABSENT = "(absent)"
KEYS = ("code", "ct_sha256", "pet_sha256", "labels_sha256")


@dataclass(frozen=True)
class Binding:
    """What edits were made of; empty where they do not say.

    Attributes
    ----------
    code : str
        Name of the visit's folder.
    ct_sha256, pet_sha256, labels_sha256 : str
        Of the files' bytes; of the labels as they were found.
    """

    code: str = ""
    ct_sha256: str = ""
    pet_sha256: str = ""
    labels_sha256: str = ""

    def __bool__(self) -> bool:
        """Whether anything is told."""
        return any(getattr(self, key) for key in KEYS)


def binding_of(visit: VisitFolder, labels: Path) -> Binding:
    """Return what a reader looks at who is shown a visit with the labels given."""
    hashes = (sha256(path) if path.exists() else "" for path in (visit.ct, visit.pet, labels))
    return Binding(visit.root.resolve().name, *hashes)


def binding_in(rows: Iterable[Mapping[Hashable, object]], where: str, faults: FaultList) -> Binding:
    """Return what the rows of a form say, the same in every row that says anything; else a fault."""
    told: dict[str, str] = {}
    for row in rows:
        for key in KEYS:
            value = str(row.get(key) or "").strip() if isinstance(row.get(key), str) else ""
            if value and told.setdefault(key, value) != value:
                what = f"its rows are of two visits or labels ({key} {told[key]} and {value})"
                faults.add(what, where, "keep the rows of one visit in one form")
                return Binding()
    return Binding(**told)


def binding_faults(bound: Binding, visit: VisitFolder, labels: Path | None, where: str, what: str) -> FaultList:
    """Return a fault for everything that is not of the visit, each with both hashes.

    Parameters
    ----------
    bound : Binding
    visit : VisitFolder
    labels : Path or None
        Labels as found, where they are known.
    where : str
        How messages call the edits.
    what : str
        What was made of the images: "the read", "the form".
    """
    faults = FaultList()
    code = visit.root.resolve().name
    if bound.code and bound.code != code:
        faults.add(f"it is of the visit {bound.code}, not of {code}", where, f"name {what} of this visit")
    given = (
        ("the CT", visit.ct, bound.ct_sha256),
        ("the PET", visit.pet, bound.pet_sha256),
        ("the labels as found", labels, bound.labels_sha256),
    )
    for name, path, then in given:
        if path is None or not then:
            continue
        now = sha256(path) if path.exists() else ABSENT
        if now != then:
            said = f"{name} of the visit has SHA-256 {now}, and {what} was made of {then}"
            faults.add(said, where, f"put back what was read, or let the visit be read again for {what}")
    return faults
