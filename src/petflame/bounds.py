"""Kinds of numbers a protocol may hold: finite, and within what the body and the scanners allow.

The bounds refuse what cannot be meant (a wrong unit, a slip of the point), not what is unusual.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field


def _no_truth(value: Any) -> Any:
    # YAML's `yes` would count as 1.
    if isinstance(value, bool):
        raise ValueError("true and false are no numbers")
    return value


def _plain_text(value: str) -> str:
    if not value.strip() or not value.isprintable():
        raise ValueError("give a text of one line")
    return value


_Finite = Annotated[float, BeforeValidator(_no_truth), Field(allow_inf_nan=False)]

# A vessel's length: the aorta has about 500 mm from root to bifurcation.
LengthMm = Annotated[_Finite, Field(ge=1, le=500)]
# Distances between things that lie beside each other in a chest.
ReachMm = Annotated[_Finite, Field(ge=0, le=200)]
ShiftMm = Annotated[_Finite, Field(gt=0, le=200)]
# Contours: 20 mm is more than an aorta's radius, so a larger margin leaves nothing or takes the neighbours in.
MarginMm = Annotated[_Finite, Field(ge=-20, le=20)]
# Sections: no scanner resolves 0.5 mm along the body, and a carotid has two sections at 50 mm.
SpacingMm = Annotated[_Finite, Field(ge=0.5, le=50)]
# Clinical PET resolves 3 to 10 mm.
ResolutionMm = Annotated[_Finite, Field(ge=1, le=30)]
# A healthy intima has about 0.5 mm, a plaque or a dissection up to 15 mm.
WallMm = Annotated[_Finite, Field(ge=0.1, le=20)]
# CT numbers are stored in 16 bits.
HounsfieldUnits = Annotated[_Finite, Field(gt=0, le=65_535)]
# Ratios of uptake: the brain has about 10 times that of blood, urine 100 times.
UptakeRatio = Annotated[_Finite, Field(gt=0, le=100)]
# Two weeks: the slowest tracer in use (zirconium-89) is imaged within ten days.
UptakeMin = Annotated[_Finite, Field(ge=0, le=20_160)]
Voxels = Annotated[_Finite, Field(gt=0, le=50)]
Share = Annotated[_Finite, Field(ge=0, le=1)]
Correlation = Annotated[_Finite, Field(gt=0, le=1)]
# No living vessel is read twice to a tenth of a per cent; at 50 % nothing is measured.
VariationCoefficient = Annotated[_Finite, Field(ge=0.001, le=0.5)]
Percent = Annotated[_Finite, Field(gt=0, le=100)]
# Limits of comparability, in the unit of their item: minutes, mmol/L, percent, mm, sections.
Limit = Annotated[_Finite, Field(ge=0, le=1_000)]
Sections = Annotated[int, BeforeValidator(_no_truth), Field(ge=1, le=1_000)]
Name = Annotated[str, Field(max_length=200), AfterValidator(_plain_text)]
Words = Annotated[str, Field(max_length=500), AfterValidator(_plain_text)]
