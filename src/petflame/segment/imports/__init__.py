"""Regions that readers and other tools have drawn: NRRD, DICOM SEG, RTSTRUCT, OsiriX and Horos ROIs."""

from __future__ import annotations

from pathlib import Path

from petflame.dicom.references import References
from petflame.errors import InputRefused
from petflame.segment.imports.claims import Drawing
from petflame.segment.imports.doors import called, require_regular
from petflame.segment.imports.opened import files_of_import
from petflame.segment.imports.sidecar import Sidecar, read_sidecar
from petflame.segment.product import Segmentation
from petflame.space.grid import Grid

__all__ = ["FORMATS", "files_of_import", "import_segmentation", "is_regions"]

NIFTI = (".nii", ".nii.gz")
ARRAYS = (".nrrd", ".nhdr", ".mha", ".mhd")
FORMATS = "NIfTI, NRRD (.seg.nrrd), DICOM SEG, RTSTRUCT, or ROIs of OsiriX or Horos (XML or JSON)"


def is_regions(path: Path) -> bool:
    """Tell whether a file draws regions, rather than seeds along vessels."""
    name = path.name.lower()
    if not path.is_file():
        return False
    if name.endswith((*NIFTI, *ARRAYS, ".xml", ".plist")) or _is_dicom(path):
        return True
    if not name.endswith(".json") or name.endswith(".mrk.json"):
        return False
    from petflame.segment.imports.osirix import is_osirix, load_document

    try:
        return is_osirix(load_document(path))
    except InputRefused:
        return False


def import_segmentation(
    path: Path, grids: dict[str, Grid], own: References | None = None, described: bool = True
) -> Segmentation:
    """Read regions that someone has drawn onto the CT or the PET grid of the visit, voxel for voxel.

    Parameters
    ----------
    path : Path
        NIfTI, NRRD (also a 3D Slicer segmentation), MetaImage, DICOM SEG, RTSTRUCT, or ROIs of OsiriX or Horos. Names
        are understood as `petflame.segment.imports.names` says; a JSON file beside it, read by
        `petflame.segment.imports.sidecar`, wins over them.
    grids : dict
        'ct' and 'pet' grid of the visit, those that exist. Geometry in patient space decides which one is meant.
    own : References or None
        What the visit's images are called; a SEG or RTSTRUCT is held against it.
    described : bool
        False leaves out centrelines and checks of the vessels, which take most of the time: for what would be refused.

    Raises
    ------
    InputRefused
        When the format is not known, the regions lie elsewhere (every grid is named), names are unknown (all are
        listed), or the mask lies mirrored, upside down or back to front.
    """
    where = called(path)
    require_regular(path, where, f"name one file: {FORMATS}")
    if path.name.lower().endswith(NIFTI):
        from petflame.segment.labelmaps import segmentation_from_labels

        return segmentation_from_labels(path, grids, described)
    from petflame.segment.imports.combine import combine

    sidecar = read_sidecar(path)
    drawing = _read(path, where, grids, sidecar, own)
    return combine(drawing, grids[drawing.reference], sidecar, path, where, described)


def _read(path: Path, where: str, grids: dict[str, Grid], sidecar: Sidecar, own: References | None) -> Drawing:
    suffix = path.suffix.lower()
    if suffix in ARRAYS:
        from petflame.segment.imports.slicer import read_slicer

        return read_slicer(path, where, grids, sidecar)
    if suffix in (".json", ".xml", ".plist"):
        from petflame.segment.imports.osirix import read_osirix

        return read_osirix(path, where, grids, sidecar)
    if not _is_dicom(path):
        raise InputRefused.of("its format is not known", where, f"give {FORMATS}")
    from petflame.segment.imports.dicomobject import read_dicom_object

    return read_dicom_object(path, where, grids, sidecar, own)


def _is_dicom(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            return stream.read(132)[128:] == b"DICM"
    except OSError:
        return False
