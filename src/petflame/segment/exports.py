"""Writing the label map for other tools: a DICOM segmentation with coded names, or a NIfTI copy."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from petflame import __version__
from petflame.anatomy import BY_LABEL, BY_NAME
from petflame.dicom.assemble import Stack, assemble
from petflame.dicom.scan import scan_folder
from petflame.dicom.series import CLASSES, group_series
from petflame.errors import InputRefused
from petflame.files import read_json, write_atomically, write_nifti
from petflame.folders import VisitFolder
from petflame.segment.imports.lattice import index_map
from petflame.segment.imports.sidecar import sidecar_paths, write_sidecar
from petflame.segment.pack_names import uid_of
from petflame.segment.product import Segmentation, read_segmentation
from petflame.space.grid import Array, Grid, Volume

NIFTI = (".nii", ".nii.gz")
SERIES_NUMBER = 9000
RIGHT, LEFT = ("24028007", "Right"), ("7771000", "Left")


@dataclass(frozen=True)
class Coding:
    """SNOMED CT codes of a region, as DICOM PS3.16 lists them.

    Attributes
    ----------
    code, meaning : str
        Segmented property type.
    side : (str, str) or None
        Laterality as a modifier of the type (PS3.16 CID 244).
    physical : bool
        Whether the category is a physical object instead of an anatomical structure.
    """

    code: str
    meaning: str
    side: tuple[str, str] | None = None
    physical: bool = False


# The carotid regions hold the common and, where it is drawn, the internal artery, so the code is that of the carotid
# artery as such. Vertebral marrow is outlined by the vertebra. All but that of the myocardium (SNOMED CT's "Myocardium
# structure") are in the dictionary of PS3.16.
CODINGS: dict[str, Coding] = {
    "aorta_ascending": Coding("54247002", "Ascending aorta"),
    "aorta_arch": Coding("57034009", "Aortic arch"),
    "aorta_descending": Coding("281130003", "Descending aorta"),
    "carotid_right": Coding("69105007", "Carotid Artery", RIGHT),
    "carotid_left": Coding("69105007", "Carotid Artery", LEFT),
    "svc": Coding("48345005", "Superior vena cava"),
    "jugular_right": Coding("12123001", "Internal jugular vein", RIGHT),
    "jugular_left": Coding("12123001", "Internal jugular vein", LEFT),
    "myocardium": Coding("74281007", "Myocardium"),
    "thyroid": Coding("69748006", "Thyroid"),
    "oesophagus": Coding("32849002", "Esophagus"),
    "vertebrae": Coding("51282000", "Vertebra"),
    "lymph_node": Coding("59441001", "Lymph Node"),
    "liver": Coding("10200004", "Liver"),
    "metal": Coding("40388003", "Implant", None, True),
}
ANATOMICAL = ("91723000", "Anatomical Structure")
PHYSICAL = ("260787004", "Physical object")
# Who drew a region, in DICOM's words (PS3.3 C.8.20.2, Segment Algorithm Type).
BY_HAND = {"labels": "MANUAL", "seeds": "SEMIAUTOMATIC"}


def export_labels(visit_dir: Path, out: Path, dicom_dir: Path | None = None) -> list[str]:
    """Write the label map of a visit for other tools.

    Parameters
    ----------
    visit_dir : Path
        Folder that `petflame segment` has filled.
    out : Path
        ``.nii`` or ``.nii.gz``: a copy of the label map, with its names in a JSON file beside it, as `petflame segment
        --method labels` reads them. Anything else: a DICOM segmentation.
    dicom_dir : Path or None
        Folder of the visit's DICOM files, which a DICOM segmentation refers to.

    Returns
    -------
    list of str
        What the user must know: a DICOM segmentation carries the identity of the images it refers to.

    Raises
    ------
    InputRefused
        When there are no labels, a DICOM segmentation has no images to refer to or would land in the visit folder,
        which holds no identity.
    """
    visit = VisitFolder(visit_dir)
    segmentation = read_segmentation(visit)
    if not segmentation.labels.data.any():
        raise InputRefused.of("it holds no region", str(visit.labels), "segment the visit first")
    if out.name.lower().endswith(NIFTI):
        return _write_copy(visit, segmentation, out)
    if dicom_dir is None:
        what = "a DICOM segmentation refers to images, and no folder of images is given"
        raise InputRefused.of(what, str(out), "name the visit's DICOM files with --dicom-dir, or write .nii.gz")
    if out.resolve().is_relative_to(visit_dir.resolve()):
        what = "a DICOM segmentation carries the identity of its images, and a visit folder holds none"
        raise InputRefused.of(what, str(out), "write it outside the visit folder")
    stack = stack_of(segmentation, dicom_dir)
    dataset = segmentation_object(segmentation, stack)

    def write(stream: Any) -> None:
        dataset.save_as(stream, enforce_file_format=True)

    write_atomically(out, write)
    return ["the file carries the identity of the images it refers to: it is not blinded"]


def _write_copy(visit: VisitFolder, segmentation: Segmentation, out: Path) -> list[str]:
    if {p.resolve() for p in (out, *sidecar_paths(out))} & {visit.labels.resolve(), visit.labels_json.resolve()}:
        raise InputRefused.of("it is the visit's own label map", str(out), "write the copy elsewhere")
    names = read_json(visit.labels_json)["labels"]
    write_nifti(out, segmentation.labels, "petflame labels")
    write_sidecar(out, {str(number): name for name, number in names.items()}, segmentation.landmarks_lps_mm)
    return []


def stack_of(segmentation: Segmentation, dicom_dir: Path) -> Stack:
    """Find the series on whose grid the labels lie."""
    role = segmentation.reference
    series, _ = group_series(scan_folder(dicom_dir).headers)
    own = [s for s in series if s.sop_class == CLASSES[role]]
    seen = []
    for one in own:
        stack, faults, _ = assemble(one)
        if stack is None:
            seen.append(f"{one.label}: {faults[0].what if faults else 'no volume'}")
        elif _same_voxels(segmentation.labels.grid, stack.grid):
            return stack
        else:
            seen.append(f"{one.label}: {stack.grid.describe()}")
    what = f"no {role.upper()} series lies on the grid of the labels ({segmentation.labels.grid.describe()})"
    told = f"; it holds {'; '.join(seen)}" if seen else f"; it holds no {role.upper()} series"
    raise InputRefused.of(what + told, str(dicom_dir), "name the folder from which the visit was converted")


def _same_voxels(grid: Grid, other: Grid) -> bool:
    """Whether two grids hold the same voxels, up to order and direction of the axes."""
    return sorted(grid.shape) == sorted(other.shape) and index_map(grid.affine, grid.shape, other) is not None


def segmentation_object(segmentation: Segmentation, stack: Stack) -> Any:
    """Make the DICOM segmentation (BINARY) of a label map, referring to the images of a series.

    Identifiers are made from the images and the labels, and times are those of the images, so that the same input
    gives the same bytes.

    Parameters
    ----------
    segmentation : Segmentation
    stack : Stack
        Its grid holds the voxels of the labels.

    Returns
    -------
    highdicom.seg.Segmentation
    """
    import highdicom as hd
    import pydicom

    images = [pydicom.dcmread(header.path, stop_before_pixels=True) for header in stack.headers]
    placed = on_grid(segmentation.labels, stack.grid)
    frames = np.ascontiguousarray(np.transpose(placed, (2, 1, 0)))
    numbers = [int(n) for n in np.unique(frames) if n]
    digest = hashlib.sha256(placed.tobytes())
    for image in images:
        digest.update(str(image.SOPInstanceUID).encode())
    root = digest.hexdigest()
    made = hd.seg.Segmentation(
        source_images=images,
        pixel_array=np.stack([frames == n for n in numbers], axis=-1).astype(np.uint8),
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[
            _describe_segment(position, BY_LABEL[n].name, segmentation, root)
            for position, n in enumerate(numbers, start=1)
        ],
        series_instance_uid=uid_of(root, "series"),
        series_number=SERIES_NUMBER,
        sop_instance_uid=uid_of(root, "instance"),
        instance_number=1,
        manufacturer="petflame",
        manufacturer_model_name="petflame",
        software_versions=__version__,
        device_serial_number="0",
        content_label="VESSELS",
        content_description="Arteries, blood pools and neighbours",
        series_description="petflame vessels",
    )
    _settle(made, images[0], root)
    return made


def on_grid(labels: Volume, grid: Grid) -> Array:
    """Return the array of `labels` on `grid`, whose voxels are the same up to order and direction of the axes.

    Raises
    ------
    ValueError
        When they are not.
    """
    found = index_map(labels.grid.affine, labels.grid.shape, grid)
    if found is None:
        raise ValueError("the two grids hold different voxels")
    matrix, offset = found
    result = np.zeros(grid.shape, labels.data.dtype)
    voxels = np.argwhere(labels.data)
    result[tuple((voxels @ matrix.T + offset).T)] = labels.data[tuple(voxels.T)]
    return result


def _describe_segment(position: int, name: str, segmentation: Segmentation, root: str) -> Any:
    import highdicom as hd

    coding = CODINGS[name]
    finding = segmentation.vessels.get(name)
    method = finding.method if finding is not None else str(segmentation.provenance.get("method", "labels"))
    kind = BY_HAND.get(method, "AUTOMATIC")
    algorithm = hd.AlgorithmIdentificationSequence(
        name=f"petflame {method}",
        family=hd.sr.CodedConcept("123110", "DCM", "Artificial Intelligence")
        if method == "totalsegmentator"
        else hd.sr.CodedConcept("123103", "DCM", "Edge Detection"),
        version=__version__,
    )
    category = PHYSICAL if coding.physical else ANATOMICAL
    segment = hd.seg.SegmentDescription(
        segment_number=position,
        segment_label=name,
        segmented_property_category=hd.sr.CodedConcept(category[0], "SCT", category[1]),
        segmented_property_type=hd.sr.CodedConcept(coding.code, "SCT", coding.meaning),
        algorithm_type=kind,
        algorithm_identification=None if kind == "MANUAL" else algorithm,
        tracking_uid=uid_of(root, name),
        tracking_id=BY_NAME[name].title,
    )
    if coding.side is not None:
        modifier = hd.sr.CodedConcept(coding.side[0], "SCT", coding.side[1])
        segment.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = [modifier]
    return segment


def _settle(made: Any, image: Any, root: str) -> None:
    """Replace what depends on the moment of writing."""
    own = uid_of(root, "dimensions")
    made.DimensionOrganizationSequence[0].DimensionOrganizationUID = own
    for item in made.DimensionIndexSequence:
        item.DimensionOrganizationUID = own
    made.ContentDate = image.get("ContentDate") or image.get("StudyDate") or "19000101"
    made.ContentTime = image.get("ContentTime") or image.get("StudyTime") or "000000"
    earlier = {item.get("ContributionDateTime") for item in image.get("ContributingEquipmentSequence", [])}
    for item in made.get("ContributingEquipmentSequence", []):
        if "ContributionDateTime" in item and item.ContributionDateTime not in earlier:
            del item.ContributionDateTime
    for keyword in ("SeriesDate", "SeriesTime", "InstanceCreationDate", "InstanceCreationTime"):
        if keyword in made:
            delattr(made, keyword)
