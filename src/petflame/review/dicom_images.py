"""The images of a reader pack as DICOM, for viewers that read nothing else (OsiriX, Horos): nobody's, and undated.

Series follow PS3.3 A.3 (CT) and A.21 (PET). What DICOM wants and the pack must not tell (names, dates of birth, times)
is empty; where a date may not be empty it is 1 January 1900 for every visit.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, PositronEmissionTomographyImageStorage

from petflame import __version__
from petflame.dicom.product import read_pet_sidecar
from petflame.files import read_nifti, sha256, write_atomically, write_text
from petflame.folders import VisitFolder
from petflame.segment.edits_folder import DICOM_LABELS, SUMS
from petflame.segment.exports import segmentation_object, stack_of
from petflame.segment.pack_names import PackNames, pack_names
from petflame.segment.product import Segmentation
from petflame.space.grid import Array, Volume, ras_to_lps
from petflame.space.orientation import to_canonical

NO_DATE, NO_TIME = "19000101", "000000"
FULL_SCALE = 32767


def write_dicom(visit: VisitFolder, segmentation: Segmentation, out: Path) -> None:
    """Write ``ct/``, ``pet/`` and ``labels.dcm`` (a DICOM segmentation) of a visit.

    Parameters
    ----------
    visit : VisitFolder
    segmentation : Segmentation
        The labels to show.
    out : Path
        Folder to write.
    """
    names = pack_names(visit)
    if visit.ct.exists():
        _write_series(to_canonical(read_nifti(visit.ct)), "ct", names, out / "ct", "")
    _write_series(to_canonical(read_nifti(visit.pet)), "pet", names, out / "pet", _unit(visit))
    if segmentation.labels.data.any():
        made = segmentation_object(segmentation, stack_of(segmentation, out / segmentation.reference))
        _save(made, out / DICOM_LABELS)
        write_text(out / SUMS, f"{sha256(out / DICOM_LABELS)}  {DICOM_LABELS}\n")


def _unit(visit: VisitFolder) -> str:
    return "GML" if visit.pet_json.exists() and read_pet_sidecar(visit).is_suv else "BQML"


def _write_series(image: Volume, role: str, names: PackNames, folder: Path, unit: str) -> None:
    """Write the axial images of a canonical volume, from the feet to the head."""
    folder.mkdir(parents=True, exist_ok=True)
    # Columns run to the patient's left and rows to the back, as viewers show them.
    data = image.data[::-1, ::-1]
    last = np.array([image.grid.shape[0] - 1, image.grid.shape[1] - 1])
    columns, rows = -image.grid.affine[:3, 0], -image.grid.affine[:3, 1]
    base = _common(image, role, names, columns, rows)
    fill = _ct if role == "ct" else _pet
    for k in range(image.grid.shape[2]):
        item = Dataset()
        item.update(base)
        corner = ras_to_lps(image.grid.to_ras([*last, k]))
        item.SOPInstanceUID = names.uid(role, str(k))
        item.InstanceNumber = image.grid.shape[2] - k
        item.ImagePositionPatient = [f"{v:.6f}"[:16] for v in corner]
        fill(item, np.asarray(data[:, :, k].T, np.float64), k, image.grid.shape[2], unit)
        _save(_as_file(item), folder / f"{k:04d}.dcm")


def _common(image: Volume, role: str, names: PackNames, columns: Array, rows: Array) -> Dataset:
    spacing = image.grid.spacing_mm
    item = Dataset()
    item.SpecificCharacterSet = "ISO_IR 100"
    item.ImageType = ["DERIVED", "SECONDARY", "AXIAL"] if role == "ct" else ["DERIVED", "PRIMARY"]
    item.SOPClassUID = CTImageStorage if role == "ct" else PositronEmissionTomographyImageStorage
    item.Modality = "CT" if role == "ct" else "PT"
    item.PatientName, item.PatientID = f"{names.code}^", names.code
    item.BodyPartExamined = "WHOLEBODY"
    item.PatientIdentityRemoved, item.DeidentificationMethod = "YES", "made anew by petflame from voxels alone"
    for keyword in ("PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "AccessionNumber", "StudyID"):
        setattr(item, keyword, "")
    item.ReferringPhysicianName = item.PositionReferenceIndicator = item.AcquisitionDate = item.AcquisitionTime = ""
    item.StudyInstanceUID, item.SeriesInstanceUID = names.uid("study"), names.uid(role)
    item.FrameOfReferenceUID = names.uid("frame")
    item.SeriesNumber, item.SeriesDescription = (1, "CT") if role == "ct" else (2, "PET")
    item.Manufacturer, item.ManufacturerModelName, item.SoftwareVersions = "petflame", "petflame", __version__
    item.ImageOrientationPatient = [
        f"{v:.9f}" for v in (*ras_to_lps(columns / spacing[0]), *ras_to_lps(rows / spacing[1]))
    ]
    item.PixelSpacing = [f"{spacing[1]:.9g}", f"{spacing[0]:.9g}"]
    item.SliceThickness = f"{spacing[2]:.9g}"
    item.Rows, item.Columns = image.grid.shape[1], image.grid.shape[0]
    item.SamplesPerPixel, item.PhotometricInterpretation = 1, "MONOCHROME2"
    item.BitsAllocated, item.BitsStored, item.HighBit, item.PixelRepresentation = 16, 16, 15, 1
    item.BurnedInAnnotation = "NO"
    return item


def _ct(item: Dataset, hu: Array, k: int, count: int, unit: str) -> None:
    item.AcquisitionNumber, item.KVP, item.PatientPosition = "", "", "HFS"
    item.RescaleIntercept, item.RescaleSlope, item.RescaleType = "0", "1", "HU"
    item.WindowCenter, item.WindowWidth = "40", "400"
    item.PixelData = np.clip(np.rint(hu), -FULL_SCALE, FULL_SCALE).astype("<i2").tobytes()


def _pet(item: Dataset, value: Array, k: int, count: int, unit: str) -> None:
    slope = float(f"{max(float(np.abs(value).max()), 1e-6) / FULL_SCALE:.8e}")
    item.SeriesDate, item.SeriesTime = NO_DATE, NO_TIME
    item.Units, item.CountsSource, item.SeriesType = unit, "EMISSION", ["WHOLE BODY", "IMAGE"]
    if unit == "GML":
        item.SUVType = "BW"
    item.NumberOfSlices, item.ImageIndex = count, k + 1
    item.CorrectedImage, item.DecayCorrection, item.CollimatorType = ["DECY", "ATTN"], "START", "NONE"
    item.FrameReferenceTime, item.ActualFrameDuration, item.DecayFactor = "0", "1", "1"
    item.RescaleIntercept, item.RescaleSlope = "0", f"{slope:.8e}"
    item.WindowCenter, item.WindowWidth = ("2.5", "5") if unit == "GML" else ("10000", "20000")
    item.RadiopharmaceuticalInformationSequence = Sequence([])
    item.PatientOrientationCodeSequence = Sequence([])
    item.PatientGantryRelationshipCodeSequence = Sequence([])
    item.PixelData = np.clip(np.rint(value / slope), -FULL_SCALE, FULL_SCALE).astype("<i2").tobytes()


def _as_file(item: Dataset) -> Dataset:
    item.file_meta = FileMetaDataset()
    item.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    item.file_meta.MediaStorageSOPClassUID = item.SOPClassUID
    item.file_meta.MediaStorageSOPInstanceUID = item.SOPInstanceUID
    return item


def _save(item: Any, path: Path) -> None:
    write_atomically(path, lambda stream: item.save_as(stream, enforce_file_format=True))
