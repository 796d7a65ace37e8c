"""Small PET and CT series of our own, whose every voxel a reader can work out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    PositronEmissionTomographyImageStorage,
)

PET_SHAPE = (6, 8, 10)  # slices, rows, columns
CT_SHAPE = (5, 12, 14)
ROOT_UID = "2.25.4711"
DOSE_BQ, WEIGHT_KG, HALF_LIFE_S, UPTAKE_MIN, DURATION_S = 350e6, 70.0, 6586.2, 60.0, 180.0
FACTOR = WEIGHT_KG * 1e3 / (DOSE_BQ * 2.0 ** (-60.0 * UPTAKE_MIN / HALF_LIFE_S))
SECRETS = {
    "PatientName": "CANARY^NAME",
    "PatientID": "CANARY-ID-1",
    "PatientBirthDate": "19010203",
    "AccessionNumber": "CANARYACC",
    "InstitutionName": "CANARY HOSPITAL",
    "ReferringPhysicianName": "CANARY^REFERRER",
    "StationName": "CANARYSTATION",
    "StudyDescription": "CANARY STUDY",
}


def stored(k: int, shape: Sequence[int], base: int = 1000) -> np.ndarray:
    """Stored values of slice k, shape (rows, columns); no two voxels of a series are alike."""
    rows, columns = np.indices(shape[1:])
    return (base + 17 * columns + 211 * rows + 1999 * k).astype(np.int16)


def slope(k: int) -> float:
    return 0.5 + 0.125 * k


def _common(
    k: int, shape: Sequence[int], uid: str, spacing: Sequence[float], gap: float, origin: Sequence[float]
) -> Dataset:
    ds = Dataset()
    for keyword, value in SECRETS.items():
        setattr(ds, keyword, value)
    ds.StudyInstanceUID, ds.SeriesInstanceUID = f"{ROOT_UID}.1", uid
    ds.SOPInstanceUID = f"{uid}.{k + 1}"
    ds.FrameOfReferenceUID = f"{ROOT_UID}.9"
    ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = "20250311"
    ds.SeriesTime = ds.AcquisitionTime = "110000"
    ds.Manufacturer, ds.ManufacturerModelName = "SIEMENS", "Biograph"
    ds.InstanceNumber = k + 1
    ds.ImagePositionPatient = [origin[0], origin[1], origin[2] + gap * k]
    ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    ds.PixelSpacing = list(spacing)
    ds.PatientPosition = "HFS"
    ds.Rows, ds.Columns = shape[1:]
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1
    ds.ImageType = ["ORIGINAL", "PRIMARY"]
    ds.SliceThickness = gap
    return ds


def pet_series(
    shape: Sequence[int] = PET_SHAPE, number: int = 4, uid: str = f"{ROOT_UID}.4", **changes: object
) -> list[Dataset]:
    """A Bq/mL PET with a slope of its own in each slice; `changes` are set on every slice."""
    slices = []
    for k in range(shape[0]):
        ds = _common(k, shape, uid, (4.0, 5.0), 3.0, (-20.0, -30.0, -100.0))
        ds.SOPClassUID, ds.Modality = PositronEmissionTomographyImageStorage, "PT"
        ds.SeriesNumber, ds.SeriesDescription = number, "PET AC"
        ds.PatientSex, ds.PatientSize, ds.PatientWeight = "M", "1.75", str(WEIGHT_KG)
        ds.Units, ds.DecayCorrection, ds.SeriesType = "BQML", "START", ["WHOLE BODY", "IMAGE"]
        ds.CorrectedImage = ["DECY", "ATTN", "SCAT", "DTIM", "RAN", "NORM"]
        ds.ReconstructionMethod, ds.ConvolutionKernel = "PSF+TOF 3i21s", "Gauss 4"
        ds.ActualFrameDuration = int(1000 * DURATION_S)
        rate = np.log(2) / HALF_LIFE_S
        decay = rate * DURATION_S
        ds.FrameReferenceTime = f"{1000 * np.log(decay / (1 - np.exp(-decay))) / rate:.6f}"
        ds.NumberOfSlices = shape[0]
        agent = Dataset()
        agent.Radiopharmaceutical = "Fluorodeoxyglucose"
        agent.RadiopharmaceuticalStartTime = "100000"
        agent.RadiopharmaceuticalStartDateTime = "20250311100000"
        agent.RadionuclideTotalDose = str(DOSE_BQ)
        agent.RadionuclideHalfLife = str(HALF_LIFE_S)
        code = Dataset()
        code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "C-111A1", "SRT", "18F"
        agent.RadionuclideCodeSequence = [code]
        ds.RadiopharmaceuticalInformationSequence = [agent]
        ds.RescaleIntercept, ds.RescaleSlope = "0", str(slope(k))
        ds.PixelData = stored(k, shape).tobytes()
        slices.append(changed(ds, changes))
    return slices


def ct_series(
    shape: Sequence[int] = CT_SHAPE, number: int = 2, uid: str = f"{ROOT_UID}.2", **changes: object
) -> list[Dataset]:
    """A CT of the same patient with an intercept of -1000."""
    slices = []
    for k in range(shape[0]):
        ds = _common(k, shape, uid, (2.0, 2.5), 4.0, (-22.0, -31.0, -101.0))
        ds.SOPClassUID, ds.Modality = CTImageStorage, "CT"
        ds.SeriesNumber, ds.SeriesDescription = number, "CT AC"
        ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        ds.ConvolutionKernel, ds.KVP = "B30f", "120"
        ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = "-1000", "1", "HU"
        ds.PixelData = stored(k, shape, base=0).tobytes()
        slices.append(changed(ds, changes))
    return slices


def changed(ds: Dataset, changes: dict[str, object]) -> Dataset:
    """Set attributes (None removes one); keys that begin with `agent_` go into the radiopharmaceutical item."""
    for keyword, value in changes.items():
        target, name = ds, keyword
        if keyword.startswith("agent_"):
            target, name = ds.RadiopharmaceuticalInformationSequence[0], keyword.removeprefix("agent_")
        if value is None:
            if name in target:
                delattr(target, name)
        else:
            setattr(target, name, value)
    return ds


def write(
    datasets: Sequence[Dataset],
    folder: Path,
    name: Callable[[int], str] = "IM{:04d}.dcm".format,
    implicit: bool = False,
) -> list[Path]:
    """Write data sets as DICOM files."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for n, ds in enumerate(datasets):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID
        meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
        ds.file_meta = meta
        path = folder / name(n)
        ds.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def study(folder: Path, pet: Sequence[Dataset] | None = None, ct: Sequence[Dataset] | None = None) -> Path:
    """Write a visit: a PET, and a CT unless `ct` is empty."""
    write(pet_series() if pet is None else pet, folder / "pet")
    write(ct_series() if ct is None else ct, folder / "ct")
    return folder


def expected_suv(shape: Sequence[int] = PET_SHAPE, factor: float = FACTOR) -> np.ndarray:
    """SUVbw of the PET, shape (columns, rows, slices)."""
    return np.stack([stored(k, shape).T * slope(k) * factor for k in range(shape[0])], axis=-1)
