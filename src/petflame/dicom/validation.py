"""Checking this installation against SUV digital reference objects: our own, or the published ones.

The published objects (Image Biomarker Standardisation Initiative, oncoray/suv_computation) hold the same phantom under
different header conventions, and so do ours (`petflame.dicom.reference_objects`): in each, SUVbw inside the mask must
be 0.20 at least, 1.00 in the median and 4.00 at most. Some of ours must be refused.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from petflame.dicom.convert import convert_visit
from petflame.dicom.reference_catalogue import CATALOGUE
from petflame.dicom.reference_objects import write_object
from petflame.errors import InputRefused, PetflameError
from petflame.files import read_nifti
from petflame.privacy import with_names
from petflame.protocol import ConversionRules, Protocol
from petflame.space.grid import Array

EXPECTED = ((0.20, 1.00, 4.00), 0.005)
# Its stored values are quantised so coarsely that the exact figures cannot be reached.
EXPECTED_QUANTISED = {"DRO_2_3": ((0.1894, 0.9848, 3.9770), 5e-4)}


Triple = tuple[float, float, float]


@dataclass(frozen=True)
class ReferenceCheck:
    """One reference object.

    Attributes
    ----------
    name : str
    expected, found : (float, float, float) or None
        SUVbw inside the mask: minimum, median, maximum; None means refused.
    right : bool
    told : str
        Why it was refused, or empty.
    about : str
        What is particular to the object, where that is known.
    """

    name: str
    expected: Triple | None
    found: Triple | None
    right: bool
    told: str = ""
    about: str = ""


def check_own_objects() -> list[ReferenceCheck]:
    """Make every object of our own catalogue in a temporary folder, convert it, and compare."""
    checks = []
    with tempfile.TemporaryDirectory() as scratch:
        for item in CATALOGUE:
            write_object(item, Path(scratch) / item.name)
            check = _check(Path(scratch) / item.name, must_be_refused=item.refused)
            checks.append(replace(check, about=item.about))
    return checks


def check_reference_objects(folder: Path) -> list[ReferenceCheck]:
    """Convert every SUV reference object below a folder and compare it with its published values.

    Parameters
    ----------
    folder : Path
        Holds a folder per object, each with its PET as DICOM (``PT``) and a NIfTI mask.

    Raises
    ------
    InputRefused
        When the folder holds no such object.
    """
    objects = sorted(p for p in folder.iterdir() if (p / "PT").is_dir()) if folder.is_dir() else []
    if not objects:
        remedy = "unpack the objects of oncoray/suv_computation there: a folder each, with PT and a mask"
        raise InputRefused.of("it holds no SUV reference objects", str(folder), remedy)
    return [_check(p) for p in objects]


def _check(folder: Path, must_be_refused: bool = False) -> ReferenceCheck:
    values, tolerance = EXPECTED_QUANTISED.get(folder.name, EXPECTED)
    expected = None if must_be_refused else values
    try:
        inside = _suv_inside(folder)
    except PetflameError as error:
        return ReferenceCheck(folder.name, expected, None, must_be_refused, with_names(str(error)))
    found = (float(inside.min()), float(np.median(inside)), float(inside.max()))
    right = expected is not None and all(abs(a - b) <= tolerance for a, b in zip(found, expected, strict=True))
    return ReferenceCheck(folder.name, expected, found, right)


def _suv_inside(folder: Path) -> Array:
    masks = sorted(folder.rglob("*mask*.nii.gz"))
    if not masks:
        raise InputRefused.of("its mask is missing", str(folder), "unpack the whole object")
    protocol = Protocol(conversion=ConversionRules(tracer="any"))
    with tempfile.TemporaryDirectory() as scratch:
        convert_visit(folder / "PT", Path(scratch) / "visit", protocol=protocol, require_suv=True)
        pet = read_nifti(Path(scratch) / "visit" / "pet.nii.gz")
    mask = read_nifti(masks[0])
    ijk = np.argwhere(mask.data > 0)
    at = np.rint(pet.grid.to_ijk(mask.grid.to_ras(ijk))).astype(int)
    if not len(at) or (at < 0).any() or (at >= pet.data.shape).any():
        raise InputRefused.of("its mask does not lie in the PET", str(folder), "unpack the whole object")
    inside: Array = pet.data[tuple(at.T)]
    return inside
