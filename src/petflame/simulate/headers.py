"""DICOM headers of the simulated studies: what CT and PET of the three vendors have in common and what not.

Follows PS3.3 A.3 (CT Image), A.21 (PET Image) and C.8.9 (PET modules); vendor habits as seen in public series.
Every identifier is a canary: the word CANARY in any output is a leak.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import CTImageStorage, PositronEmissionTomographyImageStorage

from petflame.simulate.lattice import Lattice
from petflame.simulate.plan import VisitPlan
from petflame.simulate.streams import uid

HALF_LIFE_S = 6586.2
_LAMBDA = float(np.log(2.0)) / HALF_LIFE_S
_BED_CHANGE_S = 3.0


@dataclass(frozen=True)
class Timing:
    """Clock of one PET acquisition.

    Attributes
    ----------
    start : datetime
        Scan start: the first bed's first count, and the reference of START decay correction.
    uptake_s : float
        From injection to `start`.
    suv_factor : float
        SUVbw per Bq/mL as written.
    """

    start: datetime
    uptake_s: float
    suv_factor: float


def timing(plan: VisitPlan) -> Timing:
    """Return when the visit's PET was scanned, and its SUV factor."""
    uptake_s = float(round(plan.uptake_min * 60))
    dose_bq = plan.dose_mbq * 1e6
    if plan.scanner.decay_correction == "START":
        dose_bq *= float(np.exp(-_LAMBDA * uptake_s))
    return Timing(plan.injection + timedelta(seconds=uptake_s), uptake_s, plan.weight_kg * 1000.0 / dose_bq)


def decimal(value: float) -> str:
    """Write a number as a DICOM decimal string of at most 16 characters.

    >>> decimal(1.23456789012345e-05)
    '1.2345678901e-05'
    >>> decimal(2.5)
    '2.5'
    """
    text = repr(float(value))
    text = text[:-2] if text.endswith(".0") else text
    if len(text) <= 16:
        return text
    for digits in (12, 11, 10, 9, 8):
        text = f"{value:.{digits}g}" if 1e-4 < abs(value) < 1e12 else f"{value:.{digits - 1}e}"
        if len(text) <= 16:
            return text
    raise ValueError(f"{value} does not fit a decimal string")


def common(plan: VisitPlan, lattice: Lattice) -> Dataset:
    """Return what every image of the visit carries: patient, study, equipment, frame of reference, plane."""
    scanner, clock = plan.scanner, timing(plan)
    number = int(plan.participant_id[-4:])
    names = (plan.seed, plan.participant_id, plan.visit)
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 100"
    study = clock.start - timedelta(minutes=8)
    ds.StudyDate, ds.StudyTime = _date(study), _time(study, plan)
    ds.AccessionNumber = f"CANARYAC{number:04d}{plan.visit[0].upper()}"
    ds.ReferringPhysicianName = "CANARYREFERRER^DOCTOR"
    ds.Manufacturer = scanner.manufacturer
    ds.InstitutionName = f"CANARY HOSPITAL {scanner.site.upper()}"
    ds.StationName = f"PETCT{scanner.serial}"
    ds.StudyDescription = "PET CT HEAD NECK THORAX"
    ds.OperatorsName = "CANARYOPERATOR^A"
    ds.ManufacturerModelName = scanner.model
    ds.PatientName = f"CANARYNAME^PERSON{number:04d}"
    ds.PatientID = f"CANARYID{number:04d}"
    ds.PatientBirthDate = f"{plan.birth_year}{1 + number % 12:02d}{1 + number % 28:02d}"
    ds.PatientSex = "M" if plan.male else "F"
    ds.PatientAge = f"{plan.age_years:03d}Y"
    ds.PatientSize = decimal(plan.height_m)
    ds.PatientWeight = decimal(plan.weight_kg)
    ds.DeviceSerialNumber = scanner.serial
    ds.SoftwareVersions = scanner.software
    ds.StudyInstanceUID = uid(*names, "study")
    ds.StudyID = f"{number}"
    ds.FrameOfReferenceUID = uid(*names, "frame of reference")
    ds.PositionReferenceIndicator = ""
    ds.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
    ds.PixelSpacing = [decimal(lattice.spacing_mm[1]), decimal(lattice.spacing_mm[0])]
    ds.SliceThickness = decimal(lattice.spacing_mm[2])
    ds.Rows, ds.Columns = lattice.shape[1], lattice.shape[2]
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.BitsAllocated = 16
    return ds


def ct_header(plan: VisitPlan, lattice: Lattice) -> Dataset:
    """Return the CT series' header without what differs from slice to slice."""
    ds = common(plan, lattice)
    start = timing(plan).start - timedelta(seconds=150)
    vendor = plan.scanner.vendor
    ds.SOPClassUID = CTImageStorage
    ds.Modality = "CT"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.SeriesInstanceUID = uid(plan.seed, plan.participant_id, plan.visit, "ct")
    ds.SeriesNumber = 2
    ds.SeriesDescription = {"siemens": "CT AC 3.0 B30f", "ge": "CTAC", "philips": "CT LOW DOSE AC"}[vendor]
    ds.BodyPartExamined = "CHEST"
    ds.PatientPosition = "HFS"
    _times(ds, plan, start, start)
    ds.AcquisitionNumber = 1
    ds.KVP = "120"
    ds.XRayTubeCurrent = 60
    ds.ExposureTime = 500
    ds.Exposure = 30
    ds.FilterType = "BODY FILTER"
    ds.ConvolutionKernel = plan.scanner.kernel
    ds.DataCollectionDiameter = "500"
    ds.ReconstructionDiameter = decimal(round(lattice.spacing_mm[0] * lattice.shape[2], 3))
    ds.GantryDetectorTilt = "0"
    ds.RescaleSlope = "1"
    ds.RescaleIntercept = "-1000" if vendor == "philips" else "-1024"
    ds.RescaleType = "HU"
    ds.WindowCenter, ds.WindowWidth = "40", "400"
    if vendor == "ge":
        ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 15, 1
        ds.add_new(0x00280120, "SS", -2000)
    else:
        ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 12, 11, 0
    return ds


def pet_header(plan: VisitPlan, lattice: Lattice) -> Dataset:
    """Return the PET series' header without what differs from slice to slice."""
    scanner, clock = plan.scanner, timing(plan)
    ds = common(plan, lattice)
    ds.SOPClassUID = PositronEmissionTomographyImageStorage
    ds.Modality = "PT"
    ds.ImageType = ["ORIGINAL", "PRIMARY"]
    ds.SeriesInstanceUID = uid(plan.seed, plan.participant_id, plan.visit, "pet")
    ds.SeriesNumber = 4
    ds.SeriesDescription = {"siemens": "PET WB AC", "ge": "PET AC 3D", "philips": "PET AC BODY"}[scanner.vendor]
    ds.BodyPartExamined = "CHEST"
    series = clock.start + timedelta(minutes=26, seconds=11) if scanner.late_series_time else clock.start
    _times(ds, plan, series, clock.start)
    ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 15, 1
    ds.RescaleIntercept = "0"
    ds.SeriesType = ["WHOLE BODY", "IMAGE"]
    ds.Units = scanner.units
    ds.CountsSource = "EMISSION"
    ds.NumberOfSlices = lattice.shape[0]
    ds.CorrectedImage = ["DECY", "ATTN", "SCAT", "DTIM", "RAN", "NORM"]
    ds.DecayCorrection = scanner.decay_correction
    ds.RandomsCorrectionMethod = "DLYD"
    ds.AttenuationCorrectionMethod = "CT-derived mu-map"
    ds.ScatterCorrectionMethod = "Model-based"
    ds.ReconstructionMethod = scanner.reconstruction
    ds.CollimatorType = "NONE"
    ds.ActualFrameDuration = int(scanner.bed_s * 1000)
    ds.DoseCalibrationFactor = "1"
    lying = _code("102538003", "Recumbent")
    lying.PatientOrientationModifierCodeSequence = Sequence([_code("40199007", "Supine")])
    ds.PatientOrientationCodeSequence = Sequence([lying])
    ds.PatientGantryRelationshipCodeSequence = Sequence([_code("102540008", "Headfirst")])
    ds.RadiopharmaceuticalInformationSequence = Sequence([_tracer(plan)])
    _private(ds, plan, clock)
    return ds


def bed_times(plan: VisitPlan, slice_number: int, slices: int) -> dict[str, object]:
    """Return the timing attributes of one PET slice (0 is the lowest).

    Siemens writes each bed's own acquisition time and the time of the mean count rate; GE one acquisition time and
    each bed's start; Philips one acquisition time and the mean count rate's time.
    """
    scanner, clock = plan.scanner, timing(plan)
    bed = min(slice_number * scanner.beds // slices, scanner.beds - 1)
    offset_s = bed * (scanner.bed_s + _BED_CHANGE_S)
    decay = _LAMBDA * scanner.bed_s
    mean_s = float(np.log(decay / (1.0 - np.exp(-decay)))) / _LAMBDA
    start_only = scanner.vendor == "ge"
    reference_ms = round((offset_s if start_only else offset_s + mean_s) * 1000.0, 3)
    factor = float(np.exp(_LAMBDA * reference_ms / 1000.0))
    if start_only:
        factor *= decay / (1.0 - float(np.exp(-decay)))
    if scanner.decay_correction == "ADMIN":
        factor *= float(np.exp(_LAMBDA * clock.uptake_s))
    acquired = clock.start + timedelta(seconds=offset_s if scanner.vendor == "siemens" else 0.0)
    return {
        "AcquisitionDate": _date(acquired),
        "AcquisitionTime": _time(acquired, plan),
        "FrameReferenceTime": decimal(reference_ms),
        "DecayFactor": f"{factor:.6g}",
    }


def _tracer(plan: VisitPlan) -> Dataset:
    item = Dataset()
    item.Radiopharmaceutical = "Fluorodeoxyglucose"
    item.RadiopharmaceuticalVolume = "0"
    item.RadiopharmaceuticalStartTime = _time(plan.injection, plan)
    # Philips writes the time alone, as most series of the surveys do.
    if plan.scanner.vendor != "philips":
        item.RadiopharmaceuticalStartDateTime = f"{_date(plan.injection)}{_time(plan.injection, plan)}"
    item.RadionuclideTotalDose = decimal(plan.dose_mbq * 1e6)
    item.RadionuclideHalfLife = decimal(HALF_LIFE_S)
    item.RadionuclidePositronFraction = "0.967"
    item.RadionuclideCodeSequence = Sequence([_code("77004003", "^18^Fluorine")])
    item.RadiopharmaceuticalCodeSequence = Sequence([_code("35321007", "Fluorodeoxyglucose F^18^")])
    return item


def _code(value: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, "SCT", meaning
    return code


def _private(ds: Dataset, plan: VisitPlan, clock: Timing) -> None:
    vendor = plan.scanner.vendor
    start = f"{_date(clock.start)}{clock.start:%H%M%S}.00"
    if vendor == "siemens":
        ds.private_block(0x0071, "SIEMENS MED PT", create=True).add_new(0x22, "DT", start)
    elif vendor == "ge" and plan.scanner.private_scan_time:
        block = ds.private_block(0x0009, "GEMS_PETD_01", create=True)
        block.add_new(0x0D, "DT", start)
        block.add_new(0x3B, "DT", f"{_date(plan.injection)}{plan.injection:%H%M%S}.00")
    elif vendor == "philips":
        block = ds.private_block(0x7053, "Philips PET Private Group", create=True)
        activity, suv = philips_factors(plan)
        block.add_new(0x00, "DS", suv)
        block.add_new(0x09, "DS", activity)


def philips_factors(plan: VisitPlan) -> tuple[str, str]:
    """Return the private activity (Bq/mL per count) and SUV factors as written; in BQML series they mean nothing."""
    activity = decimal(round(1.35 + 0.5 * ((plan.dose_mbq * 7.0) % 1.0), 6))
    return activity, decimal(float(activity) * timing(plan).suv_factor)


def _times(ds: Dataset, plan: VisitPlan, series: datetime, acquired: datetime) -> None:
    content = max(series, acquired) + timedelta(minutes=14)
    for name, when in (("Series", series), ("Acquisition", acquired), ("Content", content)):
        setattr(ds, f"{name}Date", _date(when))
        setattr(ds, f"{name}Time", _time(when, plan))
    ds.InstanceCreationDate, ds.InstanceCreationTime = ds.ContentDate, ds.ContentTime


def _date(when: datetime) -> str:
    return f"{when:%Y%m%d}"


def _time(when: datetime, plan: VisitPlan) -> str:
    return f"{when:%H%M%S}" + {"siemens": ".000000", "ge": ".00", "philips": ""}[plan.scanner.vendor]
