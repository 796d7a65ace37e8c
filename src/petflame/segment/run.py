"""Segmenting a visit folder with the method asked for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from petflame.anatomy import AutomaticRegions
from petflame.dicom.product import read_converted_pet, read_pet_sidecar
from petflame.dicom.references import References, read_references
from petflame.errors import InputRefused
from petflame.files import read_json, read_nifti, read_nifti_grid, sha256, write_atomically
from petflame.folders import VisitFolder
from petflame.outside import calling
from petflame.segment import Method
from petflame.segment.automatic import segment_automatically
from petflame.segment.bound_edits import require_bound
from petflame.segment.edits import Edits, apply_edits, read_edits
from petflame.segment.imported import check_imported
from petflame.segment.imports import FORMATS, import_segmentation, is_regions
from petflame.segment.jugular_checks import check_jugulars
from petflame.segment.pack_names import with_pack_names
from petflame.segment.pet_ct_shift import check_pet_ct_shift
from petflame.segment.product import Segmentation, read_segmentation, write_segmentation
from petflame.segment.put_read import PLACE, put_read, require_of_visit
from petflame.segment.reads import read_read
from petflame.segment.rules import ENDS_CUT, with_rules
from petflame.segment.totalsegmentator import find_installation, not_used, segment_with_totalsegmentator
from petflame.segment.uptake_checks import check_uptake
from petflame.segment.vein_ends import leave_out_ends
from petflame.space.grid import Grid, Volume


def visit_grids(visit: VisitFolder) -> dict[str, Grid]:
    """Return the 'ct' and 'pet' grid of a converted visit, those that exist."""
    return {name: read_nifti_grid(path) for name, path in (("ct", visit.ct), ("pet", visit.pet)) if path.exists()}


def refuse_to_lose_edits(root: Path) -> None:
    """Refuse to segment a visit anew whose labels hold a reader's edits.

    Raises
    ------
    InputRefused
        When they do.
    """
    visit = VisitFolder(root)
    if holds_edits(visit):
        what = "its labels hold a reader's edits, which a new segmentation would lose"
        raise InputRefused.of(what, str(visit.labels_json), "name the edits with --edits, or delete labels.json")


def holds_edits(visit: VisitFolder) -> bool:
    """Whether a reader's edits were put on the visit's labels."""
    return visit.labels_json.exists() and "edits" in read_json(visit.labels_json)["provenance"]


def segment_visit(
    root: Path,
    method: Method,
    source: Path | None,
    edits: Path | None = None,
    regions: AutomaticRegions = "landmarks",
) -> Segmentation:
    """Segment a converted visit and write ``labels.nii.gz`` and ``labels.json`` into its folder.

    Parameters
    ----------
    root : Path
        Visit folder that `petflame convert` has filled.
    method : Method
    source : Path or None
        File with regions (see `petflame.segment.imports`) or seeds, where the method needs one.
    edits : Path or None
        A reader's edits (see `petflame.segment.edits`), which come last and win. The labels as found are kept beside
        the edited ones, as ``labels_found.nii.gz`` and ``labels_found.json``.
    regions : {'landmarks', 'former'}
        By which rules vessels are found where no reader made them (`segmentation.regions` of the protocol).

    Raises
    ------
    InputRefused
        When the folder is not converted, its PET holds values that are not finite, the method lacks what it needs or is
        given what it does not take, or a reader's edits would be lost.
    """
    visit = VisitFolder(root)
    if not visit.pet.exists():
        raise InputRefused.of("there is no pet.nii.gz", str(root), "run `petflame convert` first")
    last_word = read_edits(edits) if edits is not None else None
    if last_word is None:
        refuse_to_lose_edits(root)
    grids, ct, own = visit_grids(visit), None, with_pack_names(read_references(root), visit)
    pet = read_converted_pet(visit)
    if method == "labels" or (method == "auto" and source is not None and is_regions(source)):
        if source is None:
            raise InputRefused.of("method `labels` needs a file with regions", str(root), f"name {FORMATS} with --from")
        ct = _ct_of(visit)
        segmentation = check_imported(import_segmentation(source, grids, own), ct)
    else:
        if "ct" not in grids:
            what = f"method `{method}` needs a CT and the visit has none"
            raise InputRefused.of(what, str(root), "give a label map on the PET grid with --method labels")
        if method == "seeds" and source is None:
            raise InputRefused.of("method `seeds` needs points", str(root), "name them with --from")
        if method in ("geometric", "totalsegmentator") and source is not None:
            what = f"method `{method}` takes no file with regions or seeds"
            raise InputRefused.of(what, str(root), "leave --from out, or choose the method `auto`")
        segmentation, ct = _segment_ct(visit, grids["ct"], method, source, pet, regions)
    is_suv = visit.pet_json.exists() and read_pet_sidecar(visit).is_suv
    ct = ct if ct is not None else _ct_of(visit)
    segmentation = with_rules(segmentation, regions)
    if regions == "landmarks":
        segmentation = leave_out_ends(segmentation, ENDS_CUT, pet)
    segmentation = check_jugulars(check_uptake(segmentation, pet, is_suv), pet)
    segmentation = check_pet_ct_shift(segmentation, ct, pet)
    if last_word is None:
        for path in (visit.labels_found, visit.labels_found_json):
            path.unlink(missing_ok=True)
    else:
        # Refused edits leave them there: a reader can then mend a read in the workbench.
        write_segmentation(segmentation, visit, as_found=True)
        segmentation = _edited(visit, last_word, ct, pet, own)
    write_segmentation(segmentation, visit)
    return segmentation


@dataclass(frozen=True, eq=False)
class Edited:
    """What `edit_visit` made, to be written by `write_edited`.

    Attributes
    ----------
    segmentation : Segmentation
    labels_found, labels_found_json : bytes
        The files that the edits were put on.
    replaced : bool
        The labels held other edits, which were not put on again.
    """

    segmentation: Segmentation
    labels_found: bytes
    labels_found_json: bytes
    replaced: bool


def edit_visit(root: Path, edits: Path) -> Edited:
    """Put a reader's edits on the labels of a visit folder as they were found, without writing anything.

    Raises
    ------
    InputRefused
        When the folder is not segmented, its labels hold edits and the labels as found were not kept, or the edits
        cannot be applied.
    """
    visit = VisitFolder(root)
    given, pet = read_edits(edits), read_converted_pet(visit)
    edited = _edited(visit, given, _ct_of(visit), pet, with_pack_names(read_references(root), visit))
    labels, sidecar, as_found = labels_as_found(visit)
    return Edited(edited, labels.read_bytes(), sidecar.read_bytes(), as_found)


def write_edited(edited: Edited, visit: VisitFolder) -> None:
    """Write edited labels, and beside them the labels as found."""
    write_atomically(visit.labels_found, lambda stream: stream.write(edited.labels_found))
    write_atomically(visit.labels_found_json, lambda stream: stream.write(edited.labels_found_json))
    write_segmentation(edited.segmentation, visit)


def labels_as_found(visit: VisitFolder) -> tuple[Path, Path, bool]:
    """Return labels and sidecar before any edits, and whether they lie apart from the visit's labels.

    Raises
    ------
    InputRefused
        When the labels hold edits and the labels as found were not kept.
    """
    if visit.labels_found_json.exists():
        return visit.labels_found, visit.labels_found_json, True
    if holds_edits(visit):
        what = "its labels hold a reader's edits, and the labels as found were not kept"
        raise InputRefused.of(what, str(visit.labels_json), "run `petflame segment` again with --edits")
    return visit.labels, visit.labels_json, False


def _edited(visit: VisitFolder, edits: Edits, ct: Volume | None, pet: Volume, own: References | None) -> Segmentation:
    """Put edits on the labels as found that lie in the folder."""
    labels, _, as_found = labels_as_found(visit)
    found = read_segmentation(visit, as_found)
    if edits.read is None:
        told = require_bound(edits, visit, labels)
        edited = apply_edits(found, edits, ct, visit_grids(visit), own, pet)
        edited = replace(edited, warnings=(*edited.warnings, *told))
    else:
        where, read = calling(edits.read, PLACE), read_read(edits.read)
        require_of_visit(read, visit, where, labels)
        edited = put_read(found, read, sha256(edits.read), ct, pet, where)
    # What a reader has redrawn or accepted is warned about, not withheld.
    return check_pet_ct_shift(check_jugulars(edited, pet, withhold=False), ct, pet)


def _ct_of(visit: VisitFolder) -> Volume | None:
    return read_nifti(visit.ct) if visit.ct.exists() else None


def _segment_ct(
    visit: VisitFolder,
    grid: Grid,
    method: Method,
    source: Path | None,
    pet: Volume,
    regions: AutomaticRegions,
) -> tuple[Segmentation, Volume | None]:
    """Segment the CT; also the CT itself where it had to be read."""
    if method == "totalsegmentator":
        return segment_with_totalsegmentator(visit.ct, grid), None
    learned, unused = None, ""
    if method == "auto":
        installation = find_installation()
        unused = not_used(installation)
        learned = segment_with_totalsegmentator(visit.ct, grid, installation) if installation.ready else None
    ct = read_nifti(visit.ct)
    found = segment_automatically(ct, source, method != "seeds", learned, pet, regions)
    return (replace(found, warnings=(unused, *found.warnings)) if unused else found), ct
