"""Whether a folder of edits belongs to the visit that it is put on, and what of a reader pack was saved over."""

from __future__ import annotations

from pathlib import Path

from petflame.errors import FaultList
from petflame.files import read_tsv, sha256
from petflame.folders import CODE, VisitFolder
from petflame.outside import calling
from petflame.segment.binding import ABSENT, Binding, binding_faults, binding_in
from petflame.segment.edits_folder import COLUMNS, DECISIONS, DICOM, IMAGES, Edits, is_untouched

UNBOUND = (
    f"{DECISIONS} does not say which visit and labels it was made of (columns code and labels_sha256): "
    "nothing tells whether it lies in the right folder"
)
DRAWN_UNBOUND = "nothing tells of which visit the drawings or points are: no form of a pack lies beside them"
LABELS_UNSAID = (
    f"{DECISIONS} does not say which labels it was made of (column labels_sha256): "
    "nothing tells whether these were seen"
)


def require_bound(edits: Edits, visit: VisitFolder, labels: Path) -> tuple[str, ...]:
    """Refuse edits of another visit, or of other labels than those they are put on.

    Parameters
    ----------
    edits : Edits
        Of a folder or a file, not a finished read.
    visit : VisitFolder
    labels : Path
        Labels as found.

    Returns
    -------
    tuple of str
        What the user must know.

    Raises
    ------
    InputRefused
        With both hashes, or with what to do where nothing binds a form of an earlier version.
    """
    if is_untouched(edits):
        return ()
    if edits.form is None:
        return _by_its_folder(edits, visit, labels)
    where, folder = calling(edits.form), edits.form.resolve().parent
    faults = binding_faults(edits.bound, visit, labels, where, "the form")
    told: tuple[str, ...] = ()
    if not edits.bound.labels_sha256:
        told = (LABELS_UNSAID,)
    if not edits.bound:
        told = _by_what_lies_beside(edits, folder, visit, labels, where, faults)
    faults.raise_if_any()
    if edits.painted_over and edits.regions is not None:
        place = f"{edits.regions.parent.name}/{edits.regions.name}"
        said = f"{place} of the pack was saved over: it is taken as the redrawn label map"
        told = (*told, said)
    return told


def _by_its_folder(edits: Edits, visit: VisitFolder, labels: Path) -> tuple[str, ...]:
    """Bind drawings or points that came without a form by the form that lies beside them, or by their folder's name."""
    drawn = edits.regions or edits.seeds[0]
    where, folder, code = calling(drawn, "the edits"), drawn.resolve().parent, visit.root.resolve().name
    folder = folder.parent if folder.name in (IMAGES, DICOM) else folder
    faults = FaultList()
    form = folder / DECISIONS
    bound = (
        binding_in(read_tsv(form, text=tuple(COLUMNS)).to_dict("records"), where, faults)
        if form.is_file()
        else Binding()
    )
    faults.extend(binding_faults(bound, visit, labels, where, "the form beside it"))
    if CODE.fullmatch(folder.name) and folder.name != code:
        faults.add(f"it lies in the folder of the visit {folder.name}, not of {code}", where, "name that of this visit")
    faults.raise_if_any()
    return () if bound or folder.name == code else (DRAWN_UNBOUND,)


def _by_what_lies_beside(
    edits: Edits, folder: Path, visit: VisitFolder, labels: Path, where: str, faults: FaultList
) -> tuple[str, ...]:
    """Bind a form without code and hashes by the pack that it lies in; what nothing binds is told, or a fault."""
    code = visit.root.resolve().name
    again = f"add the columns code ({code}) and labels_sha256 (of the labels seen), or write the pack again"
    images = folder / IMAGES
    own = [(path, images / path.name) for path in (visit.ct, visit.pet) if (images / path.name).exists()]
    for path, copy in own:
        now, then = sha256(path) if path.exists() else ABSENT, sha256(copy)
        if now != then:
            what = f"{path.name} of the visit has SHA-256 {now}, and that in the pack {then}: it is of another visit"
            faults.add(what, where, "name the folder of this visit")
    if CODE.fullmatch(folder.name) and folder.name != code:
        faults.add(f"it lies in the folder of the visit {folder.name}, not of {code}", where, "name that of this visit")
    seen = images / visit.labels.name
    if seen.exists() and not faults:
        now, then = sha256(labels), sha256(seen)
        if now == then:
            return ()
        what = f"the labels as found have SHA-256 {now}, and those in the pack {then}"
        faults.add(f"{what}: painted over, or found anew since; which cannot be told", where, again)
    elif not own and folder.name != code and edits.of_pack:
        what = "it was written by an earlier version, and nothing says of which visit it is"
        faults.add(what, where, again)
    return (UNBOUND,)
