"""The catalogue of our own SUV reference objects: every header convention that changes a number."""

from __future__ import annotations

from typing import Any

from petflame.dicom.reference_objects import (
    BED_S,
    DOSE_BQ,
    F18_S,
    GA68_S,
    MASS_KG,
    MEAN_OF_SEXES_LBM_KG,
    SURFACE_CM2,
    UPTAKE_S,
    WEIGHT_KG,
    ReferenceObject,
    Stored,
    average_time_s,
    bed_of,
    uncorrected,
)

PHILIPS, GE = "Philips PET Private Group", "GEMS_PETD_01"
ACTIVITY_PER_COUNT = 1.602563
START_BQML = DOSE_BQ * 2.0 ** (-UPTAKE_S / F18_S) / (WEIGHT_KG * 1e3)
SUV_PER_COUNT = ACTIVITY_PER_COUNT / START_BQML
LATE: dict[str, Any] = {"SeriesTime": "124500"}


def constant(value: float) -> Stored:
    """Return a `Stored` that is the same for every slice and half-life."""
    return lambda _k, _life: value


def _private_philips(*elements: tuple[int, float]) -> tuple[tuple[int, str, int, str, str], ...]:
    return tuple((0x7053, PHILIPS, element, "DS", f"{value:.9e}") for element, value in elements)


def _counts(name: str, about: str, *elements: tuple[int, float], **changes: object) -> ReferenceObject:
    return ReferenceObject(
        name,
        about,
        {"Units": "CNTS", "Manufacturer": "Philips Medical Systems", **changes},
        constant(START_BQML / ACTIVITY_PER_COUNT),
        private=_private_philips(*elements),
    )


def _normalised(kind: str, mass_kg: float, **changes: object) -> ReferenceObject:
    about = f"GML, the scanner's SUV by {kind}" + (" of an unstated sex" if changes else "")
    name = f"gml_{kind.lower()}" + ("_sex_other" if changes else "")
    return ReferenceObject(name, about, {"Units": "GML", "SUVType": kind, **changes}, constant(mass_kg / WEIGHT_KG))


TIMES = (
    ReferenceObject("bqml_start", "Bq/mL, decay corrected to the start of the scan"),
    ReferenceObject(
        "bqml_admin",
        "Bq/mL, decay corrected to the injection",
        {"DecayCorrection": "ADMIN"},
        constant(DOSE_BQ / (WEIGHT_KG * 1e3)),
    ),
    ReferenceObject(
        "bqml_none",
        "Bq/mL, not decay corrected; two bed positions",
        {"DecayCorrection": "NONE", "CorrectedImage": ["ATTN", "SCAT"]},
        uncorrected,
    ),
    ReferenceObject(
        "series_time_late",
        "SeriesTime set when the series was processed; no frame reference time",
        {**LATE, "FrameReferenceTime": "0"},
    ),
    ReferenceObject(
        "series_time_late_later_bed",
        "the same; the images are of a bed acquired 9 min into the scan",
        {
            **LATE,
            "AcquisitionTime": "110900",
            "FrameReferenceTime": f"{1e3 * (540 + average_time_s(F18_S)):.4f}",
        },
    ),
    ReferenceObject(
        "ge_private_scan_time",
        "GE: SeriesTime late, the scan's start in (0009,100D), first acquisition 4 min into it",
        {**LATE, "Manufacturer": "GE MEDICAL SYSTEMS", "AcquisitionTime": "110400", "FrameReferenceTime": "0"},
        private=((0x0009, GE, 0x0D, "DT", "20250311110000.00"),),
    ),
    ReferenceObject(
        "ge_bed_offsets",
        "GE: frame reference time is the start of the bed, acquisition time the same in every slice",
        {
            "Manufacturer": "GE MEDICAL SYSTEMS",
            "AcquisitionTime": "110000",
            "FrameReferenceTime": lambda k: f"{1e3 * BED_S * bed_of(k):.0f}",
        },
    ),
    ReferenceObject(
        "time_only", "the injection has a time of day and no date", {"agent_RadiopharmaceuticalStartDateTime": None}
    ),
    ReferenceObject(
        "date_a_day_late",
        "the injection's date is the day after the scan",
        {"agent_RadiopharmaceuticalStartDateTime": "20250312100000"},
    ),
    ReferenceObject(
        "midnight",
        "injected before midnight, scanned after",
        {
            "SeriesTime": "003000",
            "AcquisitionTime": lambda k: "003000" if bed_of(k) == 0 else "003230",
            "agent_RadiopharmaceuticalStartDateTime": "20250310233000",
            "agent_RadiopharmaceuticalStartTime": "233000",
        },
    ),
    ReferenceObject(
        "midnight_time_only",
        "the same, without the injection's date",
        {
            "SeriesTime": "003000",
            "AcquisitionTime": lambda k: "003000" if bed_of(k) == 0 else "003230",
            "agent_RadiopharmaceuticalStartDateTime": None,
            "agent_RadiopharmaceuticalStartTime": "233000",
        },
    ),
)
UNITS = (
    _counts("philips_suv_factor", "Philips counts with (7053,1000)", (0x00, SUV_PER_COUNT)),
    _counts("philips_activity_factor", "Philips counts with (7053,1009)", (0x09, ACTIVITY_PER_COUNT)),
    _counts("philips_both_factors", "Philips counts with both", (0x00, SUV_PER_COUNT), (0x09, ACTIVITY_PER_COUNT)),
    _counts("philips_zero_suv_factor", "Philips counts, (7053,1000) zero", (0x00, 0.0), (0x09, ACTIVITY_PER_COUNT)),
    ReferenceObject(
        "philips_bqml",
        "Philips Bq/mL that carries count factors too",
        {"Manufacturer": "Philips Medical Systems"},
        private=_private_philips((0x00, SUV_PER_COUNT), (0x09, ACTIVITY_PER_COUNT)),
    ),
    ReferenceObject("gml", "GML, the scanner's SUV by body weight, not said", {"Units": "GML"}, constant(1.0)),
    ReferenceObject("gml_bw", "GML, the scanner's SUV by BW", {"Units": "GML", "SUVType": "BW"}, constant(1.0)),
    *(_normalised(kind, mass) for kind, mass in MASS_KG.items()),
    _normalised("LBM", MEAN_OF_SEXES_LBM_KG, PatientSex="O"),
    ReferenceObject(
        "cm2ml_bsa",
        "CM2ML, the scanner's SUV by body surface",
        {"Units": "CM2ML"},
        constant(SURFACE_CM2 / (WEIGHT_KG * 1e3)),
    ),
)
INPUTS = (
    ReferenceObject("dose_mbq", "the dose in MBq", {"agent_RadionuclideTotalDose": f"{DOSE_BQ / 1e6:g}"}),
    ReferenceObject("weight_grams", "the weight in grams", {"PatientWeight": f"{WEIGHT_KG * 1e3:g}"}),
    ReferenceObject(
        "height_centimetres",
        "the height in cm, where it matters",
        {"PatientSize": "178", "Units": "CM2ML"},
        constant(SURFACE_CM2 / (WEIGHT_KG * 1e3)),
    ),
    ReferenceObject(
        "gallium",
        "Ga-68",
        {"agent_RadionuclideCodeSequence": None, "agent_Radiopharmaceutical": "68Ga-PSMA"},
        half_life_s=GA68_S,
    ),
    ReferenceObject("half_life_from_code", "half-life absent, nuclide coded", {"agent_RadionuclideHalfLife": None}),
    ReferenceObject(
        "first_slope_one",
        "rescale slope 1 in the first slice only",
        {"RescaleSlope": lambda k: "1" if k == 0 else f"{0.5 + k / 16}"},
    ),
)
HEADER_REFUSALS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("no_weight", "no weight", {"PatientWeight": None}),
    ("zero_weight", "weight 0", {"PatientWeight": "0"}),
    ("no_dose", "no dose", {"agent_RadionuclideTotalDose": None}),
    (
        "no_injection_time",
        "no time of injection",
        {"agent_RadiopharmaceuticalStartDateTime": None, "agent_RadiopharmaceuticalStartTime": None},
    ),
    ("counts_per_second", "units CPS", {"Units": "CPS"}),
    (
        "counts_without_factor",
        "Philips counts without a factor",
        {"Units": "CNTS", "Manufacturer": "Philips Medical Systems"},
    ),
    ("not_attenuation_corrected", "not attenuation corrected", {"CorrectedImage": ["DECY", "DTIM"]}),
    ("no_decay_correction", "DecayCorrection absent", {"DecayCorrection": None}),
    ("decay_contradiction", "DecayCorrection NONE, CorrectedImage DECY", {"DecayCorrection": "NONE"}),
    (
        "placeholder_dates",
        "dates and times blanked by a de-identifier",
        {
            "SeriesDate": "00010101",
            "AcquisitionDate": "00010101",
            "SeriesTime": "000000",
            "AcquisitionTime": "000000",
        },
    ),
    (
        "shifted_times",
        "scan times shifted by 7 h, the injection's not",
        {
            "SeriesTime": "180000",
            "AcquisitionTime": lambda k: "180000" if bed_of(k) == 0 else "180230",
            "agent_RadiopharmaceuticalStartDateTime": None,
        },
    ),
    ("wrong_half_life", "the half-life is not the coded nuclide's", {"agent_RadionuclideHalfLife": "1221.8"}),
    (
        "tilted",
        "slices sheared by a gantry tilt",
        {"ImageOrientationPatient": [1, 0, 0, 0, 0.965925826, 0.258819045]},
    ),
    ("no_pixel_spacing", "no PixelSpacing", {"PixelSpacing": None}),
)
REFUSALS = (
    *(ReferenceObject(name, about, changes, refused=True) for name, about, changes in HEADER_REFUSALS),
    ReferenceObject("slice_missing", "a slice in the middle is missing", lost=frozenset({3}), refused=True),
    ReferenceObject("end_missing", "the last slice is missing", lost=frozenset({7}), refused=True),
)
CATALOGUE: tuple[ReferenceObject, ...] = TIMES + UNITS + INPUTS + REFUSALS
