"""Radionuclides and the tracer a series was made with."""

from __future__ import annotations

import re

from petflame.dicom import tags as t
from petflame.dicom.petheader import PetHeader
from petflame.errors import Fault

# Code value (SNOMED CT and its older SRT form, DICOM context group 4020) to nuclide.
NUCLIDE_CODES = {
    "77004003": "18F",
    "C-111A1": "18F",
    "35337001": "68Ga",
    "C-131A3": "68Ga",
    "3932008": "64Cu",
    "C-127A2": "64Cu",
    "63360001": "89Zr",
    "C-168A4": "89Zr",
    "79197006": "82Rb",
    "C-159A2": "82Rb",
    "21576001": "13N",
    "C-107A1": "13N",
    "129504001": "15O",
    "C-B1038": "15O",
    "C-105A1": "11C",
    "40937006": "124I",
    "C-114A5": "124I",
}
# Half-lives in seconds (Decay Data Evaluation Project, rounded to the digits that matter at 0.1 %).
HALF_LIVES_S = {
    "18F": 6586.2,
    "68Ga": 4062.6,
    "64Cu": 45723.6,
    "89Zr": 282276.0,
    "82Rb": 75.45,
    "13N": 597.9,
    "15O": 122.24,
    "11C": 1221.8,
    "124I": 360806.0,
}
HALF_LIFE_TOLERANCE = 0.01

FDG_CODES = frozenset({"35321007", "C-B1031"})
FDG_NAMES = re.compile(
    r"fdg|fluoro-?\s?(2-)?de(s)?oxy-?\s?(d-)?-?gluco|fludeoxyglucose|flud[eé]soxyglucose", re.IGNORECASE
)
UNTOLD = re.compile(
    r"(18)?[\s\-\^\[\]]*(f(luor(ine)?)?)?[\s\-\^\[\]]*(18)?[\s\-\^\[\]]*(solution|unknown|other|none)?", re.IGNORECASE
)


def half_life(header: PetHeader) -> tuple[float | None, list[str], list[str]]:
    """Return the half-life in seconds, warnings, and reasons why there is none.

    A value in the header counts unless the nuclide's code contradicts it; a missing one comes from the code.
    """
    nuclide = NUCLIDE_CODES.get(header.nuclide)
    known = HALF_LIVES_S.get(nuclide) if nuclide else None
    stated = header.half_life_s
    if stated is None and known is None:
        return None, [], ["the half-life is missing and no known radionuclide code stands in for it"]
    if stated is None:
        return known, [f"the half-life is missing; that of {nuclide} was used"], []
    if known is not None and abs(stated / known - 1.0) > HALF_LIFE_TOLERANCE:
        return None, [], [f"the half-life {stated:g} s is not that of the stated radionuclide {nuclide} ({known:g} s)"]
    return stated, [], []


def tracer_faults(header: PetHeader, tracer: str, half_life_s: float | None) -> tuple[list[Fault], list[str]]:
    """Refuse a series that was not made with the protocol's tracer.

    Returns
    -------
    faults : list of Fault
    warnings : list of str
        Doubt where the header does not name its tracer.
    """
    if tracer.strip().lower() == "any":
        return [], []
    remedy = "give --tracer any, or set conversion.tracer: any in the protocol, if that is what you mean to measure"
    nuclide = NUCLIDE_CODES.get(header.nuclide, "")
    faults = []
    if half_life_s is not None and abs(half_life_s / HALF_LIVES_S["18F"] - 1.0) > HALF_LIFE_TOLERANCE:
        what = f"the half-life is {half_life_s:g} s, and FDG's is {HALF_LIVES_S['18F']:g} s"
        faults.append(Fault(what, t.name(t.HALF_LIFE), remedy))
    elif nuclide and nuclide != "18F":
        faults.append(Fault(f"the radionuclide is {nuclide}, and FDG's is 18F", t.name(t.NUCLIDE_CODES), remedy))
    elif set(header.tracer_codes) & FDG_CODES or FDG_NAMES.search(header.tracer_text):
        return [], []
    elif UNTOLD.fullmatch(header.tracer_text):
        return [], ["the headers do not name the tracer; it was taken for FDG"]
    else:
        faults.append(Fault("the radiopharmaceutical is not FDG", t.name(t.TRACER), remedy))
    return faults, []
