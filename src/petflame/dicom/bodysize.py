"""Body size measures that normalise uptake: lean, ideal and surface."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

LeanFormula = Literal["james128", "morgan120", "janmahasatian"]


def lean_body_mass_kg(weight_kg: float, height_m: float, sex: str, formula: LeanFormula = "james128") -> float:
    """Return lean body mass in kg.

    Parameters
    ----------
    weight_kg, height_m : float
    sex : {'M', 'F', other}
        For any other value the mean of the two masses, as in the SUV reference objects.
    formula : {'james128', 'morgan120', 'janmahasatian'}
        James 1976 as corrected to 128; the same with Morgan's 120; Janmahasatian et al. 2005.

    Examples
    --------
    >>> round(lean_body_mass_kg(70, 1.75, "M"), 2), round(lean_body_mass_kg(70, 1.75, "F", "janmahasatian"), 2)
    (56.52, 45.2)
    """
    ratio = weight_kg / (100.0 * height_m)
    bmi = weight_kg / height_m**2
    constant = 120.0 if formula == "morgan120" else 128.0
    if formula == "janmahasatian":
        male = 9270.0 * weight_kg / (6680.0 + 216.0 * bmi)
        female = 9270.0 * weight_kg / (8780.0 + 244.0 * bmi)
    else:
        male = 1.10 * weight_kg - constant * ratio**2
        female = 1.07 * weight_kg - 148.0 * ratio**2
    return _by_sex(sex, male, female)


def ideal_body_weight_kg(height_m: float, sex: str) -> float:
    """Return ideal body weight in kg (Devine's line in cm, Sugawara et al. 1999); sex as in `lean_body_mass_kg`.

    >>> round(ideal_body_weight_kg(1.75, "F"), 2)
    66.43
    """
    above_cm = 100.0 * height_m - 152.0
    return _by_sex(sex, 48.0 + 1.06 * above_cm, 45.5 + 0.91 * above_cm)


def body_surface_area_m2(weight_kg: float, height_m: float) -> float:
    """Return body surface area in square metres (Du Bois and Du Bois 1916).

    >>> round(body_surface_area_m2(70, 1.75), 4)
    1.8481
    """
    return 0.007184 * weight_kg**0.425 * (100.0 * height_m) ** 0.725


def _by_sex(sex: str, male: float, female: float) -> float:
    return {"M": male, "F": female}.get(sex.upper(), (male + female) / 2.0)


# SUVType (0054,1006) to the mass in kg that took the place of body weight.
MASSES_KG: dict[str, Callable[[float, float, str], float]] = {
    "LBM": lambda w, h, s: lean_body_mass_kg(w, h, s, "morgan120"),
    "LBMJAMES128": lambda w, h, s: lean_body_mass_kg(w, h, s, "james128"),
    "LBMJANMA": lambda w, h, s: lean_body_mass_kg(w, h, s, "janmahasatian"),
    "IBW": lambda w, h, s: ideal_body_weight_kg(h, s),
}


def normalisation_ratios(weight_kg: float, height_m: float, sex: str) -> dict[str, float]:
    """Return what SUVbw is multiplied by to give each other SUV (masses g/mL; `bsa` cm2/mL)."""
    ratios = {
        "lbm_james128": lean_body_mass_kg(weight_kg, height_m, sex, "james128") / weight_kg,
        "lbm_janmahasatian": lean_body_mass_kg(weight_kg, height_m, sex, "janmahasatian") / weight_kg,
        "ibw": ideal_body_weight_kg(height_m, sex) / weight_kg,
        "bsa": body_surface_area_m2(weight_kg, height_m) * 1e4 / (weight_kg * 1e3),
    }
    return {name: ratio for name, ratio in ratios.items() if ratio > 0}
