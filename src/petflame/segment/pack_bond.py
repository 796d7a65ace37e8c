"""To which visit, images and labels a form of a reader pack belongs; and what was drawn over the pack's own images."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from petflame.errors import FaultList
from petflame.files import sha256
from petflame.folders import VisitFolder
from petflame.privacy import named
from petflame.segment.imports import is_regions
from petflame.segment.imports.sidecar import is_sidecar
from petflame.segment.seedformats import is_seeds

if TYPE_CHECKING:
    from petflame.segment.edits import Edits

# What a reader pack brings to be looked at, apart from the form, so that labels as they are do not pass for an edit.
IMAGES = "images"
SHOWN = ("ct.nii.gz", "pet.nii.gz", "labels.nii.gz")
CODE = re.compile(r"V[0-9A-F]{10}")
COLUMNS: dict[str, tuple[str, str]] = {
    "code": ("the visit that the form is of; leave it", ""),
    "labels_sha256": ("SHA-256 of the labels that were shown; leave it", ""),
    "ct_sha256": ("SHA-256 of the CT that was shown; leave it", ""),
    "pet_sha256": ("SHA-256 of the PET that was shown; leave it", ""),
}
AGAIN = "write a new pack of the visit with `petflame review pack`, and decide there"
UNBOUND = (
    "nothing binds the edits to this visit: their form has no columns code and labels_sha256, so edits of another "
    "visit or of other labels would not be noticed"
)


@dataclass(frozen=True)
class Bond:
    """What a form says that it is of; empty where it does not say.

    Attributes
    ----------
    code : str
        Name of the visit's folder.
    labels_sha256, ct_sha256, pet_sha256 : str
        Of the files that the reader was shown.
    """

    code: str = ""
    labels_sha256: str = ""
    ct_sha256: str = ""
    pet_sha256: str = ""


def bond_of(visit: VisitFolder, labels: Path) -> Bond:
    """Return what binds a form to a visit and its labels as found."""
    ct = sha256(visit.ct) if visit.ct.exists() else ""
    return Bond(visit.root.resolve().name, sha256(labels), ct, sha256(visit.pet))


def read_bond(rows: Iterable[Mapping[Any, Any]], where: str, faults: FaultList) -> Bond | None:
    """Read what the rows of a form are of; None where none of them says it.

    Parameters
    ----------
    rows : iterable of mappings
        Column to cell; a row that a reader has added may leave the columns empty.
    where : str
        What messages call the form.
    faults : FaultList
        Gets a fault where rows of several forms stand in one.
    """
    said: dict[str, dict[str, None]] = {name: {} for name in COLUMNS}
    for row in rows:
        for name, values in said.items():
            cell = row.get(name)
            if isinstance(cell, str) and cell.strip():
                values[cell.strip() if name == "code" else cell.strip().lower()] = None
    for name, values in said.items():
        if len(values) > 1:
            what = f"its rows name several values of {name}: {named(', '.join(values), f'{len(values)} of them')}"
            faults.add(what, where, "keep the rows of one visit's form")
    if not any(said.values()):
        return None
    return Bond(**{name: next(iter(values), "") for name, values in said.items()})


def drawn_in_pack(images: Path, bond: Bond | None, where: str, faults: FaultList) -> Path | None:
    """Return the pack's own label map where a reader saved over it.

    Parameters
    ----------
    images : Path
        The pack's folder of images.
    bond : Bond or None
        What the form is of.
    where : str
        What messages call the edits.
    faults : FaultList
        Gets every other drawing in the folder, which nobody would take.
    """
    labels = images / SHOWN[-1]
    for entry in sorted(images.iterdir()):
        other = entry.name not in SHOWN and not entry.name.startswith(".") and not is_sidecar(entry, labels)
        if other and (is_regions(entry) or is_seeds(entry)):
            what = f"{named(entry.name, 'a file')} was saved among the pack's {IMAGES}, where no edits are taken"
            faults.add(what, where, f"move it beside decisions.tsv, or remove it from {IMAGES}")
    saved = bond is not None and bond.labels_sha256 and labels.is_file() and sha256(labels) != bond.labels_sha256
    return labels if saved else None


def require_bound(edits: Edits, visit: VisitFolder, labels: Path, where: str, folder: Path) -> tuple[str, ...]:
    """Refuse edits of another visit, of other images or of other labels than those that they would be put on.

    Parameters
    ----------
    edits : Edits
    visit : VisitFolder
    labels : Path
        Labels as found.
    where : str
        What messages call the edits.
    folder : Path
        Where the edits lie.

    Returns
    -------
    tuple of str
        A warning where nothing tells what the edits are of.

    Raises
    ------
    InputRefused
        With everything that is not of this visit, each with both hashes.
    """
    faults, now = FaultList(), bond_of(visit, labels)
    # A form of an earlier version does not say what it is of; the images that it lies beside do.
    of_images = edits.bond is None and edits.images is not None
    then = _of_images(edits.images) if of_images and edits.images is not None else edits.bond
    if then is None or then == Bond():
        name = folder.resolve().name
        if CODE.fullmatch(name) and CODE.fullmatch(now.code) and name != now.code:
            what = f"the folder of the edits is named after the visit {name}, and this is {now.code}"
            faults.add(what, where, "name the folder of this visit, or rename it")
        faults.raise_if_any()
        return () if name == now.code else (UNBOUND,)
    if then.code and then.code != now.code:
        what = f"they are of the visit {then.code}, not of {now.code}"
        faults.add(what, where, "name the folder of this visit: were two folders swapped?")
    for name, shown, here in (
        ("the CT", then.ct_sha256, now.ct_sha256),
        ("the PET", then.pet_sha256, now.pet_sha256),
        ("the labels as found", then.labels_sha256, now.labels_sha256),
    ):
        if shown and shown != here:
            what = f"{name} of the visit has SHA-256 {here or '(absent)'}, and the reader was shown {shown}"
            if of_images and name == "the labels as found":
                what += f" or has saved over the {IMAGES}; the form, of an earlier version, does not say which"
            faults.add(what, where, AGAIN)
    faults.raise_if_any()
    return ()


def _of_images(images: Path) -> Bond:
    ct, pet, labels = (sha256(images / name) if (images / name).is_file() else "" for name in SHOWN)
    return Bond("", labels, ct, pet)
