"""Segmenting a visit folder with the method asked for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from petflame.anatomy import AutomaticRegions
from petflame.dicom.product import read_converted_pet, read_pet_sidecar
from petflame.dicom.references import read_references
from petflame.errors import InputRefused
from petflame.files import read_json, read_nifti, read_nifti_grid
from petflame.folders import VisitFolder
from petflame.segment import Method
from petflame.segment.automatic import segment_automatically
from petflame.segment.edits import apply_edits, read_edits
from petflame.segment.imported import check_imported
from petflame.segment.imports import FORMATS, import_segmentation, is_regions
from petflame.segment.jugular_checks import check_jugulars
from petflame.segment.pet_ct_shift import check_pet_ct_shift
from petflame.segment.product import Segmentation, read_segmentation, write_segmentation
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
    path = VisitFolder(root).labels_json
    if path.exists() and "edits" in read_json(path)["provenance"]:
        what = "its labels hold a reader's edits, which a new segmentation would lose"
        raise InputRefused.of(what, str(path), "name the edits with --edits, or delete labels.json")


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
        A reader's edits (see `petflame.segment.edits`), which come last and win.
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
    grids, ct, own = visit_grids(visit), None, read_references(root)
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
    if last_word is not None:
        # What a reader has redrawn or accepted is warned about, not withheld.
        segmentation = apply_edits(segmentation, last_word, ct, grids, own, pet)
        segmentation = check_jugulars(segmentation, pet, withhold=False)
    segmentation = check_pet_ct_shift(segmentation, ct, pet)
    write_segmentation(segmentation, visit)
    return segmentation


def edit_visit(root: Path, edits: Path) -> Segmentation:
    """Apply a reader's edits to the labels that a visit folder holds, without writing them.

    Raises
    ------
    InputRefused
        When the folder is not segmented, or the edits cannot be applied.
    """
    visit = VisitFolder(root)
    ct = _ct_of(visit)
    given, pet, own = read_edits(edits), read_converted_pet(visit), read_references(root)
    edited = apply_edits(read_segmentation(visit), given, ct, visit_grids(visit), own, pet)
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
