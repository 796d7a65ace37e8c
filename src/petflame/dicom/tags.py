"""The DICOM attributes that petflame reads, by number, and nothing else of a header is ever kept."""

from __future__ import annotations

from petflame.privacy import named

IMAGE_TYPE = 0x00080008
SOP_CLASS = 0x00080016
SOP_INSTANCE = 0x00080018
STUDY_DATE = 0x00080020
SERIES_DATE = 0x00080021
ACQUISITION_DATE = 0x00080022
ACQUISITION_DATETIME = 0x0008002A
SERIES_TIME = 0x00080031
ACQUISITION_TIME = 0x00080032
ACCESSION = 0x00080050
MODALITY = 0x00080060
MANUFACTURER = 0x00080070
STUDY_DESCRIPTION = 0x00081030
SERIES_DESCRIPTION = 0x0008103E
MODEL = 0x00081090
TIMEZONE = 0x00080201
PATIENT_NAME = 0x00100010
PATIENT_ID = 0x00100020
BIRTH_DATE = 0x00100030
SEX = 0x00100040
AGE = 0x00101010
SIZE = 0x00101020
WEIGHT = 0x00101030
SLICE_THICKNESS = 0x00180050
KVP = 0x00180060
SOFTWARE = 0x00181020
GANTRY_TILT = 0x00181120
FRAME_DURATION = 0x00181242
KERNEL = 0x00181210
PATIENT_POSITION = 0x00185100
STUDY_UID = 0x0020000D
SERIES_UID = 0x0020000E
SERIES_NUMBER = 0x00200011
INSTANCE_NUMBER = 0x00200013
IPP = 0x00200032
IOP = 0x00200037
FRAME_OF_REFERENCE = 0x00200052
TEMPORAL_POSITION = 0x00200100
SAMPLES = 0x00280002
FRAMES = 0x00280008
ROWS = 0x00280010
COLUMNS = 0x00280011
PIXEL_SPACING = 0x00280030
CORRECTED_IMAGE = 0x00280051
BITS_ALLOCATED = 0x00280100
BITS_STORED = 0x00280101
HIGH_BIT = 0x00280102
PIXEL_REPRESENTATION = 0x00280103
PADDING = 0x00280120
PADDING_LIMIT = 0x00280121
INTERCEPT = 0x00281052
SLOPE = 0x00281053
RESCALE_TYPE = 0x00281054
RADIOPHARMACEUTICALS = 0x00540016
NUMBER_OF_SLICES = 0x00540081
SERIES_TYPE = 0x00541000
UNITS = 0x00541001
SUV_TYPE = 0x00541006
RANDOMS_METHOD = 0x00541100
ATTENUATION_METHOD = 0x00541101
DECAY_CORRECTION = 0x00541102
RECONSTRUCTION_METHOD = 0x00541103
SCATTER_METHOD = 0x00541105
FRAME_REFERENCE_TIME = 0x00541300
DECAY_FACTOR = 0x00541321
PIXEL_DATA = 0x7FE00010

PET_CLASS = "1.2.840.10008.5.1.4.1.1.128"
CT_CLASS = "1.2.840.10008.5.1.4.1.1.2"
OTHER_CLASSES = {
    "1.2.840.10008.5.1.4.1.1.130": "Enhanced PET Image",
    "1.2.840.10008.5.1.4.1.1.128.1": "Legacy Converted Enhanced PET Image",
    "1.2.840.10008.5.1.4.1.1.2.1": "Enhanced CT Image",
    "1.2.840.10008.5.1.4.1.1.2.2": "Legacy Converted Enhanced CT Image",
    "1.2.840.10008.5.1.4.1.1.7": "Secondary Capture Image",
    "1.2.840.10008.5.1.4.1.1.20": "Nuclear Medicine Image",
    "1.2.840.10008.5.1.4.1.1.4": "MR Image",
}
SINGLE_FRAME_CLASSES = frozenset({PET_CLASS, CT_CLASS})

# Inside the radiopharmaceutical item.
TRACER = 0x00180031
ROUTE = 0x00181070
START_TIME = 0x00181072
TOTAL_DOSE = 0x00181074
HALF_LIFE = 0x00181075
START_DATETIME = 0x00181078
NUCLIDE_CODES = 0x00540300
TRACER_CODES = 0x00540304
CODE_VALUE = 0x00080100
CODE_MEANING = 0x00080104

# Private blocks: the creator's text, the group, and the element's last byte.
GE_PET = ("GEMS_PETD_01", 0x0009)
GE_SCAN_DATETIME = 0x0D
GE_ADMIN_DATETIME = 0x3B
PHILIPS_PET = ("Philips PET Private Group", 0x7053)
PHILIPS_SUV_FACTOR = 0x00
PHILIPS_ACTIVITY_FACTOR = 0x09
SIEMENS_PET = ("SIEMENS MED PT", 0x0071)
SIEMENS_DECAY_DATETIME = 0x22
PRIVATE_ELEMENTS = {
    GE_PET: (GE_SCAN_DATETIME, GE_ADMIN_DATETIME),
    PHILIPS_PET: (PHILIPS_SUV_FACTOR, PHILIPS_ACTIVITY_FACTOR),
    SIEMENS_PET: (SIEMENS_DECAY_DATETIME,),
}

KEPT = frozenset(v for k, v in list(globals().items()) if k.isupper() and isinstance(v, int) and v > 0xFFFF)
SEQUENCES = frozenset({RADIOPHARMACEUTICALS, NUCLIDE_CODES, TRACER_CODES})
SIGN_DEPENDS = frozenset({PADDING, PADDING_LIMIT})

# Modality (0008,0060) and CorrectedImage (0028,0051): the defined terms that can occur beside a PET/CT.
# fmt: off
MODALITIES = frozenset({
    "PT", "CT", "NM", "MR", "SEG", "RTSTRUCT", "RTDOSE", "RTPLAN", "RTIMAGE", "RTRECORD", "REG", "FID", "SR",
    "KO", "PR", "OT", "SC", "US", "XA", "RF", "CR", "DX", "MG", "ES", "XC", "DOC", "PLAN", "ECG", "RWV", "RESP",
    "SM",
})
CORRECTIONS = frozenset({
    "DECY", "DECAY", "RADL", "ATTN", "SCAT", "DTIM", "MOTN", "PMOT", "CLN", "RAN", "RANSM", "DCAL", "NORM",
    "NONUNIF", "UNIF", "3SCAT", "COMP", "SLSENS", "COUR", "EXTR", "ZERO", "LIN", "ENER", "FILT", "PSF", "TOF",
    "2SCAT",
})
# fmt: on
# Units (0054,1001), as PS3.3 C.8.9.1.1.3 lists them.
UNIT_TERMS = frozenset(
    {"CNTS", "NONE", "CM2", "CM2ML", "PCNT", "CPS", "BQML", "MGMINML", "UMOLMINML", "MLMING", "MLG", "1CM"}
    | {"UMOLML", "PROPCNTS", "PROPCPS", "MLMINML", "MLML", "GML", "STDDEV"}
)
DECAY_CORRECTIONS = frozenset({"START", "ADMIN", "NONE"})

NAMES = {
    IMAGE_TYPE: "ImageType (0008,0008)",
    SOP_CLASS: "SOPClassUID (0008,0016)",
    SOP_INSTANCE: "SOPInstanceUID (0008,0018)",
    SERIES_DATE: "SeriesDate (0008,0021)",
    ACQUISITION_DATE: "AcquisitionDate (0008,0022)",
    SERIES_TIME: "SeriesTime (0008,0031)",
    ACQUISITION_TIME: "AcquisitionTime (0008,0032)",
    MANUFACTURER: "Manufacturer (0008,0070)",
    PATIENT_ID: "PatientID (0010,0020)",
    SEX: "PatientSex (0010,0040)",
    SIZE: "PatientSize (0010,1020)",
    WEIGHT: "PatientWeight (0010,1030)",
    FRAME_DURATION: "ActualFrameDuration (0018,1242)",
    SERIES_UID: "SeriesInstanceUID (0020,000E)",
    IPP: "ImagePositionPatient (0020,0032)",
    IOP: "ImageOrientationPatient (0020,0037)",
    FRAME_OF_REFERENCE: "FrameOfReferenceUID (0020,0052)",
    ROWS: "Rows (0028,0010)",
    COLUMNS: "Columns (0028,0011)",
    PIXEL_SPACING: "PixelSpacing (0028,0030)",
    CORRECTED_IMAGE: "CorrectedImage (0028,0051)",
    BITS_ALLOCATED: "BitsAllocated (0028,0100)",
    BITS_STORED: "BitsStored (0028,0101)",
    HIGH_BIT: "HighBit (0028,0102)",
    PIXEL_REPRESENTATION: "PixelRepresentation (0028,0103)",
    INTERCEPT: "RescaleIntercept (0028,1052)",
    SLOPE: "RescaleSlope (0028,1053)",
    RADIOPHARMACEUTICALS: "RadiopharmaceuticalInformationSequence (0054,0016)",
    NUMBER_OF_SLICES: "NumberOfSlices (0054,0081)",
    SERIES_TYPE: "SeriesType (0054,1000)",
    UNITS: "Units (0054,1001)",
    SUV_TYPE: "SUVType (0054,1006)",
    DECAY_CORRECTION: "DecayCorrection (0054,1102)",
    TRACER: "Radiopharmaceutical (0018,0031)",
    START_TIME: "RadiopharmaceuticalStartTime (0018,1072)",
    TOTAL_DOSE: "RadionuclideTotalDose (0018,1074)",
    HALF_LIFE: "RadionuclideHalfLife (0018,1075)",
    START_DATETIME: "RadiopharmaceuticalStartDateTime (0018,1078)",
    NUCLIDE_CODES: "RadionuclideCodeSequence (0054,0300)",
    PIXEL_DATA: "PixelData (7FE0,0010)",
}


def name(tag: int) -> str:
    """Return the name and number of an attribute, as error messages write it.

    >>> name(WEIGHT)
    'PatientWeight (0010,1030)'
    """
    return NAMES.get(tag, f"({tag >> 16:04X},{tag & 0xFFFF:04X})")


def units_told(units: str) -> str:
    """Return units as messages may hold them: the standard's terms as they are, whatever else with a stand-in."""
    return units if units in UNIT_TERMS else named(units, "(other)") if units else "(none given)"
