"""Digital reference objects of our own: one phantom under the header conventions that scanners really write.

In each object SUVbw inside the mask is 0.20 at least, 1.00 in the median and 4.00 at most; or the object must be
refused. The stored values follow from the physics of the injection, written here from first principles, not from the
rules of `petflame.dicom.suv` that they check.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import nibabel as nib
import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, PositronEmissionTomographyImageStorage

from petflame.space.grid import Array

SHAPE = (8, 12, 14)  # slices, rows, columns
ORIGIN, SPACING = (-30.0, -20.0, -100.0), (4.0, 5.0, 3.0)  # LPS mm; between rows, columns and slices
WEIGHT_KG, HEIGHT_M, DOSE_BQ = 75.0, 1.78, 370e6
F18_S, GA68_S = 6586.2, 4057.74
UPTAKE_S, BED_S, FRAME_S = 3600.0, 150.0, 120.0
# For a man of 75 kg and 1.78 m, worked out by hand from the published formulas (kg; the last in cm2).
MASS_KG = {"LBM": 61.1959, "LBMJAMES128": 59.7756, "LBMJANMA": 58.9546, "IBW": 75.56}
MEAN_OF_SEXES_LBM_KG = (61.1959 + 53.9749) / 2
SURFACE_CM2 = 19267.34

Stored = Callable[[int, float], float]


@dataclass(frozen=True)
class ReferenceObject:
    """One object: what its headers say, and what a stored unit is worth.

    Attributes
    ----------
    name, about : str
    changes : mapping of keyword to value
        What differs from the plain object; keys that begin with ``agent_`` go into the radiopharmaceutical item, None
        removes, and a function is called with the number of the slice.
    stored : callable
        (slice, half-life in s) to the stored value (after its rescale slope) that means SUVbw 1.
    half_life_s : float
    private : tuple of (group, creator, element, VR, value)
        Private elements to add.
    lost : frozenset of int
        Slices that are left out.
    refused : bool
        Whether no SUV may come out.
    """

    name: str
    about: str
    changes: Mapping[str, object] = field(default_factory=dict)
    stored: Stored = lambda _, life: _concentration(life)
    half_life_s: float = F18_S
    private: tuple[tuple[int, str, int, str, str], ...] = ()
    lost: frozenset[int] = frozenset()
    refused: bool = False


def _concentration(life: float, after_s: float = UPTAKE_S) -> float:
    """Return the Bq/mL that mean SUVbw 1 when decay is corrected to `after_s` behind the injection."""
    return DOSE_BQ * 2.0 ** (-after_s / life) / (WEIGHT_KG * 1e3)


def bed_of(k: int) -> int:
    """Return the bed position that acquired slice k."""
    return 0 if k < SHAPE[0] // 2 else 1


def uncorrected(k: int, life: float) -> float:
    """Return the Bq/mL that mean SUVbw 1 as they were on average while slice k was acquired."""
    rate = math.log(2.0) / life
    start = _concentration(life, UPTAKE_S + BED_S * bed_of(k))
    return start * -math.expm1(-rate * FRAME_S) / (rate * FRAME_S)


def average_time_s(life: float) -> float:
    """Return when, after the start of a frame, the activity equals its mean over the frame."""
    rate = math.log(2.0) / life
    return math.log(rate * FRAME_S / -math.expm1(-rate * FRAME_S)) / rate


def suv() -> Array:
    """Return SUVbw of the phantom, shape (slices, rows, columns)."""
    values = np.ones(SHAPE)
    values[2, 4, 5], values[5, 6, 7] = 0.2, 4.0
    return values


def write_object(item: ReferenceObject, folder: Path) -> None:
    """Write an object as the published ones come: its slices in ``PT``, its mask in ``mask/mask.nii.gz``."""
    for name in ("PT", "mask"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    phantom = suv()
    for k in range(SHAPE[0]):
        if k not in item.lost:
            ds = _dataset(item, k, phantom[k] * item.stored(k, item.half_life_s))
            ds.save_as(folder / "PT" / f"{k:03d}.dcm", enforce_file_format=True)
    mask = np.zeros(SHAPE[::-1], np.uint8)
    mask[3:11, 3:9, 1:7] = 1
    affine = np.diag([-SPACING[1], -SPACING[0], SPACING[2], 1.0])
    affine[:3, 3] = -ORIGIN[0], -ORIGIN[1], ORIGIN[2]
    nib.save(nib.Nifti1Image(mask, affine), folder / "mask" / "mask.nii.gz")


def _dataset(item: ReferenceObject, k: int, values: Array) -> Dataset:
    ds = Dataset()
    ds.SOPClassUID, ds.Modality = PositronEmissionTomographyImageStorage, "PT"
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = "2.25.1101", "2.25.1102", "2.25.1103"
    ds.SOPInstanceUID = f"2.25.1104.{k + 1}"
    ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = "20250311"
    ds.SeriesTime = "110000"
    ds.AcquisitionTime = "110000" if bed_of(k) == 0 else "110230"
    ds.Manufacturer, ds.PatientID, ds.PatientName = "PETFLAME", "REFERENCE", "REFERENCE^OBJECT"
    ds.PatientSex, ds.PatientSize, ds.PatientWeight = "M", f"{HEIGHT_M}", f"{WEIGHT_KG}"
    ds.SeriesNumber, ds.InstanceNumber, ds.NumberOfSlices = 1, k + 1, SHAPE[0]
    ds.ImageType, ds.SeriesType = ["ORIGINAL", "PRIMARY"], ["WHOLE BODY", "IMAGE"]
    ds.CorrectedImage = ["DECY", "ATTN", "SCAT", "DTIM", "RAN", "NORM"]
    ds.Units, ds.DecayCorrection = "BQML", "START"
    ds.ActualFrameDuration = int(1e3 * FRAME_S)
    ds.FrameReferenceTime = f"{1e3 * (BED_S * bed_of(k) + average_time_s(item.half_life_s)):.4f}"
    agent = Dataset()
    agent.Radiopharmaceutical = "Fluorodeoxyglucose"
    agent.RadiopharmaceuticalStartTime = "100000"
    agent.RadiopharmaceuticalStartDateTime = "20250311100000"
    agent.RadionuclideTotalDose, agent.RadionuclideHalfLife = f"{DOSE_BQ:.0f}", f"{item.half_life_s}"
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "C-111A1", "SRT", "^18^Fluorine"
    agent.RadionuclideCodeSequence = [code]
    ds.RadiopharmaceuticalInformationSequence = [agent]
    ds.ImagePositionPatient = [ORIGIN[0], ORIGIN[1], ORIGIN[2] + SPACING[2] * k]
    ds.ImageOrientationPatient, ds.PixelSpacing = [1, 0, 0, 0, 1, 0], list(SPACING[:2])
    ds.SliceThickness, ds.PatientPosition = SPACING[2], "HFS"
    ds.Rows, ds.Columns = SHAPE[1:]
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1
    ds.RescaleIntercept, ds.RescaleSlope = "0", f"{values.max() / 30000.0:.9e}"
    _change(ds, item, k)
    ds.PixelData = np.rint(values / float(ds.RescaleSlope)).astype("<i2").tobytes()
    for group, creator, element, vr, value in item.private:
        ds.private_block(group, creator, create=True).add_new(element, vr, value)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta = meta
    return ds


def _change(ds: Dataset, item: ReferenceObject, k: int) -> None:
    agent = ds.RadiopharmaceuticalInformationSequence[0]
    for key, given in item.changes.items():
        target, keyword = (agent, key.removeprefix("agent_")) if key.startswith("agent_") else (ds, key)
        value = given(k) if callable(given) else given
        if value is not None:
            setattr(target, keyword, value)
        elif keyword in target:
            delattr(target, keyword)
