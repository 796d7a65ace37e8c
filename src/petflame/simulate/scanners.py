"""The scanners of the trial's sites: what they are, how they see, and how they write headers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

Vendor = Literal["siemens", "ge", "philips"]


@dataclass(frozen=True)
class Scanner:
    """One scanner with its reconstruction and its habits in DICOM headers.

    Attributes
    ----------
    site : str
    vendor : {'siemens', 'ge', 'philips'}
    manufacturer, model, software, serial, kernel, reconstruction : str
        As in the header.
    units : {'BQML', 'CNTS'}
    decay_correction : {'START', 'ADMIN'}
    private_scan_time : bool
        GE: writes the scan's date and time in (0009,100D).
    late_series_time : bool
        The series time is that of a later reconstruction, after the acquisition.
    beds : int
        Bed positions, from below upwards.
    bed_s : float
        Duration of a bed.
    fwhm_mm, noise_cv, ct_noise_hu : float
        Resolution and noise.
    """

    site: str
    vendor: Vendor
    manufacturer: str
    model: str
    software: str
    serial: str
    kernel: str
    reconstruction: str
    units: Literal["BQML", "CNTS"]
    decay_correction: Literal["START", "ADMIN"]
    private_scan_time: bool
    late_series_time: bool
    beds: int
    bed_s: float
    fwhm_mm: float
    noise_cv: float
    ct_noise_hu: float


SITES = ("north", "east", "west")


def scanner_of_site(site: str, rng: np.random.Generator) -> Scanner:
    """Return the scanner of a participant recruited at a site, with one of its habits.

    Raises
    ------
    KeyError
        When the site is unknown.
    """
    habit = rng.random()
    if site == "north":
        return Scanner(
            site, "siemens", "SIEMENS", "Biograph64_mCT", "VG60A", "10417", "B30f", "PSF+TOF 2i21s",
            "BQML", "START", False, False, 3, 240.0, 5.0, 0.090, 13.0,
        )  # fmt: skip
    if site == "east":
        return Scanner(
            site, "ge", "GE MEDICAL SYSTEMS", "Discovery 690", "pet_coreload.44", "20661", "STANDARD", "VPFX",
            "BQML", "ADMIN" if habit < 0.35 else "START", True, habit > 0.65, 3, 240.0, 5.6, 0.090, 15.0,
        )  # fmt: skip
    if site == "west":
        return Scanner(
            site, "philips", "Philips Medical Systems", "GEMINI TF TOF 64", "3.5.2", "7705", "B", "BLOB-OS-TF",
            "CNTS" if habit < 0.6 else "BQML", "START", False, False, 4, 180.0, 5.8, 0.095, 16.0,
        )  # fmt: skip
    raise KeyError(site)
