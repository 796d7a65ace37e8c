"""Whether dose and body size can be true together, and which unit was likely meant where they cannot.

A number alone rarely tells: 150 may be kilograms or pounds. Dose per kilogram, body mass index and, once the image is
read, the mean SUV of the body are looked at together. What is contradicted for certain refuses SUV; a doubt warns.
"""

from __future__ import annotations

from dataclasses import dataclass

from petflame.dicom import tags as t
from petflame.dicom.overrides import Override, Overrides
from petflame.dicom.petheader import PetHeader
from petflame.dicom.result import Findings, SuvResult
from petflame.dicom.tracer import HALF_LIFE_TOLERANCE, HALF_LIVES_S

# FDG in MBq/kg. EANM 2.0 (Boellaard 2015) asks for 1.75 to 7 by scanner, SNMMI 370 to 740 MBq for adults; low-dose
# protocols on long scanners go down to about 0.4 (Tan 2022).
USUAL_MBQ_PER_KG = (1.0, 15.0)
POSSIBLE_MBQ_PER_KG = (0.2, 30.0)
ORDINARY_MBQ_PER_KG = (1.5, 15.0)
# kg/m2. Adults live at 12 to 70; 18 to 35 is ordinary.
USUAL_BMI = (14.0, 45.0)
POSSIBLE_BMI = (9.0, 90.0)
ORDINARY_BMI = (16.0, 35.0)
POUND_KG = 0.45359237
HEAVY_BMI = 40.0
# The mean SUV of the body is what is left of the dose over what is left of the weight: at most about 1. Without brain
# and bladder it lies at 0.5 to 0.9; the weight in pounds makes that 2.2 times as much.
HIGH_BODY_SUV = 1.05
ORDINARY_BODY_SUV = (0.4, 1.0)
DOSE_UNITS = {"Bq": 1.0, "kBq": 1e3, "MBq": 1e6, "GBq": 1e9, "uCi": 3.7e4, "mCi": 3.7e7, "Ci": 3.7e10}
INCH_CM = 2.54
WEIGHT_SLIPS = (("was it in pounds", POUND_KG), ("is its point misplaced", 0.1), ("is its point misplaced", 10.0))


def within(value: float, limits: tuple[float, float]) -> bool:
    """Tell whether a value lies within limits, ends included."""
    return limits[0] <= value <= limits[1]


@dataclass(frozen=True)
class Build:
    """Dose and body size of a series.

    Attributes
    ----------
    mbq_per_kg, bmi : float or None
    """

    mbq_per_kg: float | None
    bmi: float | None

    @staticmethod
    def of(base: SuvResult) -> Build:
        """Take them from what SUV uses."""
        weight = base.weight_kg
        per_kg = base.dose_bq / 1e6 / weight if base.dose_bq and weight else None
        return Build(per_kg, weight / base.height_m**2 if weight and base.height_m else None)


def likely_dose_units(stored: float, weight_kg: float) -> list[str]:
    """Return the units in which a stored dose would be an ordinary one.

    >>> likely_dose_units(6.538, 67.8), likely_dose_units(6538.0, 67.8), likely_dose_units(242e6, 67.8)
    (['mCi'], ['uCi'], ['Bq'])
    """
    return [u for u, bq in DOSE_UNITS.items() if within(stored * bq / 1e6 / weight_kg, ORDINARY_MBQ_PER_KG)]


def is_fluorine(half_life_s: float | None) -> bool:
    """Tell whether a half-life is that of 18F; the limits on doses hold for nothing else."""
    return half_life_s is not None and abs(half_life_s / HALF_LIVES_S["18F"] - 1.0) <= HALF_LIFE_TOLERANCE


def check_build(work: Findings, header: PetHeader, given: Overrides, base: SuvResult) -> None:
    """Refuse or doubt a dose and a weight that cannot be true together; what an operator set is only doubted."""
    build = Build.of(base)
    dose_given, weight_given = given.number("dose_bq") is not None, given.number("weight_kg") is not None
    per_kg, weight = build.mbq_per_kg, base.weight_kg
    weight_odd = build.bmi is not None and not within(build.bmi, USUAL_BMI)
    if per_kg is not None and weight is not None and is_fluorine(base.half_life_s):
        own_dose = given.entries.get("dose_mbq") or given.entries.get("dose_bq")
        _check_dose(work, header, base, per_kg, weight, dose_given or weight_given, weight_odd, own_dose)
    if build.bmi is None or weight is None or not weight_odd:
        return
    told = f"the weight {weight:g} kg and the height {base.height_m:g} m give a body mass index of {build.bmi:.1f}"
    hint = _weight_hint(weight, base.height_m or 1.0)
    impossible = not within(build.bmi, POSSIBLE_BMI)
    dose_odd = per_kg is not None and is_fluorine(base.half_life_s) and not within(per_kg, USUAL_MBQ_PER_KG)
    if impossible and dose_odd and not weight_given:
        work.refuse(f"{told}, and {per_kg:.3g} MBq/kg is no dose{hint}", t.name(t.WEIGHT), "weight_kg")
    else:
        work.warnings.append(f"{told}{hint}")


def _check_dose(
    work: Findings,
    header: PetHeader,
    base: SuvResult,
    per_kg: float,
    weight_kg: float,
    given: bool,
    weight_odd: bool,
    own_dose: Override | None,
) -> None:
    if within(per_kg, USUAL_MBQ_PER_KG):
        return
    stored = header.dose or 0.0
    taken = "Bq" if base.dose_bq == stored else "MBq"
    if own_dose:
        # What the operator wrote is at fault, not what the header holds.
        taken = "MBq" if own_dose.key == "dose_mbq" else "Bq"
        stored = float(own_dose.value)
    units = [u for u in likely_dose_units(stored, weight_kg) if u != taken] if stored and not weight_odd else []
    hint = f"; {stored:g} {' or '.join(units)} would be an ordinary dose" if units else ""
    told = f"the dose is {per_kg:.3g} MBq/kg, where FDG is given at {USUAL_MBQ_PER_KG[0]:g} to {USUAL_MBQ_PER_KG[1]:g}"
    unit_open = taken == "MBq" and bool(units)
    if (not within(per_kg, POSSIBLE_MBQ_PER_KG) or unit_open) and not given:
        work.refuse(told + hint, t.name(t.TOTAL_DOSE), "weight_kg" if weight_odd else "dose_bq")
    else:
        work.warnings.append(told + hint)


def _weight_hint(weight_kg: float, height_m: float) -> str:
    slips = [words for words, times in WEIGHT_SLIPS if within(weight_kg * times / height_m**2, ORDINARY_BMI)]
    if within(weight_kg / (height_m * INCH_CM) ** 2, ORDINARY_BMI):
        # A height of 70 inches passes for 70 cm.
        slips.insert(0, "was the height in inches")
    return f" ({' or '.join(slips)}?)" if slips else ""


def pounds_for_certain(base: SuvResult, body_suv_mean: float) -> bool:
    """Tell whether body mass index, dose per kilogram and the body's mean SUV all say that the weight is in pounds."""
    build = Build.of(base)
    if build.bmi is None or build.mbq_per_kg is None or not is_fluorine(base.half_life_s):
        return False
    heavy = build.bmi > HEAVY_BMI and within(build.bmi * POUND_KG, ORDINARY_BMI)
    little = build.mbq_per_kg < 2.0 and within(build.mbq_per_kg / POUND_KG, ORDINARY_MBQ_PER_KG)
    high = body_suv_mean > HIGH_BODY_SUV and within(body_suv_mean * POUND_KG, ORDINARY_BODY_SUV)
    return heavy and little and high
