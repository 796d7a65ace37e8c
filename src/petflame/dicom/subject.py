"""The patient's size as SUV needs it: what the header says, corrected where its unit is plain, never assumed."""

from __future__ import annotations

from copy import copy

from petflame.dicom import tags as t
from petflame.dicom.bodysize import normalisation_ratios
from petflame.dicom.overrides import Overrides
from petflame.dicom.petheader import PetHeader
from petflame.dicom.result import Findings

WEIGHT_LIMITS_KG = (2.0, 400.0)
HEIGHT_LIMITS_M = (0.4, 2.5)
GRAMS_ABOVE = 1000.0
CENTIMETRES_ABOVE = 3.0
MILLIMETRES_ABOVE = 300.0
FOOT_M = 0.3048


class Subject:
    """Weight, height and sex after corrections; a missing one is objected to only by those who need it.

    Attributes
    ----------
    weight_kg, height_m : float or None
    sex : str
        'M', 'F', 'O', or empty.
    """

    def __init__(self, findings: Findings, header: PetHeader, given: Overrides) -> None:
        self.findings = findings
        self.weight_kg, self.weight_objection = _weight(findings, header, given)
        self.height_m = _height(findings, header, given, self.weight_kg)
        self.sex = given.text("sex").upper() or (header.sex if header.sex in ("M", "F", "O") else "")

    def reporting_to(self, findings: Findings) -> Subject:
        """Return the same subject whose objections go elsewhere."""
        other = copy(self)
        other.findings = findings
        return other

    def require_weight(self) -> float | None:
        """Return the weight in kg; object when there is none."""
        if self.weight_kg is None:
            self.findings.refuse(self.weight_objection, t.name(t.WEIGHT), "weight_kg")
        return self.weight_kg

    def require_height(self) -> float | None:
        """Return the height in m; object when there is none."""
        if self.height_m is None:
            self.findings.refuse("the height is missing or implausible", t.name(t.SIZE), "height_m")
        return self.height_m

    def ratios(self) -> dict[str, float]:
        """Return what SUVbw is multiplied by to give the other SUVs; empty where the size is not known."""
        if self.weight_kg is None or self.height_m is None:
            return {}
        return normalisation_ratios(self.weight_kg, self.height_m, self.sex)


def _weight(findings: Findings, header: PetHeader, given: Overrides) -> tuple[float | None, str]:
    """Return the weight in kg, or why there is none."""
    value = given.number("weight_kg")
    if value is not None:
        return value, ""
    if t.WEIGHT in header.conflicts:
        return None, "the weight is not the same in every slice"
    value = header.weight
    if value is None or value == 0:
        return None, "the weight is missing"
    if value > GRAMS_ABOVE:
        findings.warnings.append(f"the weight {value:g} was taken for grams")
        value /= 1000.0
    if not WEIGHT_LIMITS_KG[0] <= value <= WEIGHT_LIMITS_KG[1]:
        return None, f"the weight {value:g} kg is implausible"
    return value, ""


def _height(findings: Findings, header: PetHeader, given: Overrides, weight_kg: float | None) -> float | None:
    value = given.number("height_m")
    if value is not None:
        return value
    value = header.height
    if value is None:
        return None
    if value > CENTIMETRES_ABOVE:
        if weight_kg is not None and abs(value - weight_kg) < 1e-6:
            findings.warnings.append("PatientSize repeats the weight and was not used")
            return None
        unit, per_metre = ("millimetres", 1e3) if value > MILLIMETRES_ABOVE else ("centimetres", 1e2)
        if HEIGHT_LIMITS_M[0] <= value / per_metre <= HEIGHT_LIMITS_M[1]:
            findings.warnings.append(f"PatientSize was taken for {unit}")
            return value / per_metre
        hint = " (was it in feet?)" if HEIGHT_LIMITS_M[0] <= value * FOOT_M <= HEIGHT_LIMITS_M[1] else ""
        findings.warnings.append(f"PatientSize is implausible and was not used{hint}")
        return None
    if not HEIGHT_LIMITS_M[0] <= value <= HEIGHT_LIMITS_M[1]:
        findings.warnings.append("PatientSize is implausible and was not used")
        return None
    return value
