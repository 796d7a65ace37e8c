"""Sentences and figures in words: what the numbers of a trial let one say, and no more."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from petflame.published import EFFECT_PERCENT

DASH = "–"
HARD_SPACE = "\u00a0"
_PATH = re.compile(r"(?<![\w<.])(?:[A-Za-z]:)?(?:[\\/][^\s\\/:;,'\"()]+)+[\\/](?=[^\s\\/])")
_UID = re.compile(r"2\.25\.\d{9,}|\d+(?:\.\d+){4,}")
_HYPHEN = re.compile(r"(?<![\w.-])-(?=\d)")
# Columns whose unit would read badly once underscores become spaces.
_NAMES = (
    ("uptake_difference_min", "uptake difference in min"),
    ("glucose_mmol_l", "glucose in mmol/L,"),
    ("dose_per_kg_difference_percent", "dose per kg, difference in %"),
    ("voxel_size_mm", "voxel size in mm"),
    ("liver_suv_mean", "liver SUV,"),
    ("area_ratio_", "area ratio, "),
    ("pet_ct_shift_z_mm", "PET-CT shift head-foot in mm,"),
    ("pet_ct_shift_mm", "PET-CT shift in mm,"),
    ("pet_ct_shift_voxels", "PET-CT shift in voxels,"),
    ("coverage_sections", "coverage in sections,"),
    ("followup", "follow-up"),
)
_COLUMN = re.compile(r"(?<=[a-z,])_(?=[a-z])")


def number(value: Any, digits: int = 2, signed: bool = False) -> str:
    """Write a number with a true minus sign; a dash where there is none.

    >>> number(-0.17099, 3), number(None), number(4.0, 1, signed=True)
    ('−0.171', '–', '+4.0')
    """
    if value is None or not isinstance(value, (int, float)) or not math.isfinite(value):
        return DASH
    text = f"{value:+.{digits}f}" if signed else f"{value:.{digits}f}"
    if float(text) == 0:
        text = f"{0:.{digits}f}"
    return text.replace("-", "−")


def percent(value: Any, digits: int = 1, signed: bool = True) -> str:
    """Write a percentage.

    >>> percent(-7.7) == f"−7.7{HARD_SPACE}%", percent(None)
    (True, '–')
    """
    text = number(value, digits, signed)
    return text if text == DASH else f"{text}{HARD_SPACE}%"


def between(low: Any, high: Any, digits: int = 1, signed: bool = False) -> str:
    """Write an interval.

    >>> between(-13.63, -1.77), between(None, 2)
    ('−13.6 to −1.8', '– to 2.0')
    """
    if low is None and high is None:
        return DASH
    return f"{number(low, digits, signed)} to {number(high, digits, signed)}"


def p_value(p: Any) -> str:
    """Write a p value: two significant digits, never below 0.001.

    >>> [p_value(v) for v in (0.0153, 0.00002, 0.4234, 0.96, None)]
    ['0.015', '< 0.001', '0.42', '0.96', '–']
    """
    if p is None or not math.isfinite(p):
        return DASH
    if p < 0.001:
        return "< 0.001"
    if p < 0.01:
        return f"{p:.3f}"
    return f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def p_clause(p: Any) -> str:
    """Write a p value with its letter.

    >>> p_clause(0.0153), p_clause(1e-6)
    ('p = 0.015', 'p < 0.001')
    """
    text = p_value(p)
    return f"p {text}" if text.startswith("<") else f"p = {text}"


def discreet(text: Any) -> str:
    """Drop folder names and unique identifiers from a text: a folder may be named after a person.

    >>> discreet("cannot read /data/Doe^John/scan 1.dcm; mend it")
    'cannot read …/scan 1.dcm; mend it'
    >>> discreet("after PT.2.25.26978708471106586958817343.dcm")
    'after PT.….dcm'
    """
    return _UID.sub("…", _PATH.sub("…/", "" if text is None else str(text)))


def readable(text: Any) -> str:
    """Set names of columns and signs of a machine's sentence as a reader expects them.

    >>> readable("uptake_difference_min 5.83 (warn; pass <= 5); change -3.3 %")
    'uptake difference in min 5.83 (warn; pass ≤ 5); change −3.3 %'
    >>> readable("give `number_of_slices`")
    'give `number_of_slices`'
    """
    parts = discreet(text).split("`")
    # What stands between backticks is to be typed as it is.
    return "`".join(part if n % 2 else _as_prose(part) for n, part in enumerate(parts))


def _as_prose(text: str) -> str:
    words = text.replace("<=", "≤").replace(">=", "≥")
    for name, better in _NAMES:
        words = words.replace(name, better)
    return _HYPHEN.sub("−", _COLUMN.sub(" ", words))


PERCENTAGES = {
    "adjusted_percent": "Adjusted percent",
    "log_ratio_percent": "Log-ratio percent",
    "mean_percent_change_difference": "Difference of mean percent changes",
}


def planned_percentage(arms: Mapping[str, Any]) -> dict[str, Any]:
    """Return title, value and limits of the percentage that the plan, or else the default, calls primary."""
    name = arms["plan"]["primary_percentage"]
    title = PERCENTAGES[name]
    if name == "adjusted_percent":
        block = arms["primary"]
        return {"title": title, **{key: block[f"{name}{end}"] for key, end in _ENDS.items()}}
    block = arms["sensitivity"][name]
    return {"title": title, "value": block["estimate"], "low": block["low"], "high": block["high"]}


_ENDS = {"value": "", "low": "_low", "high": "_high"}
GLOSS = (
    "TBRmax, the highest uptake across an artery over that of venous blood, stands for arterial inflammation; it does "
    "not measure it."
)


def effect_headline(primary: Mapping[str, Any], size_percent: float) -> str:
    """Say the effect in one sentence; a direction is claimed only where the interval leaves zero out.

    Parameters
    ----------
    primary : mapping
        The ``primary`` block of ``arms.json``; its interval decides.
    size_percent : float
        The percentage that was planned as primary.

    Examples
    --------
    >>> effect_headline({"ci_low": -0.3, "ci_high": -0.03}, -7.7).replace(HARD_SPACE, " ")
    'Mean TBRmax of the index vessel was 7.7 % lower with active treatment than with control.'
    """
    size = percent(abs(size_percent), signed=False)
    if primary["ci_high"] < 0 or primary["ci_low"] > 0:
        way = "lower" if primary["ci_high"] < 0 else "higher"
        return f"Mean TBRmax of the index vessel was {size} {way} with active treatment than with control."
    way = "lower" if size_percent < 0 else "higher"
    return (
        f"No clear difference: mean TBRmax of the index vessel was {size} {way} with active treatment, which chance "
        "can explain."
    )


def controls_sentence(blocks: Mapping[str, Any]) -> str:
    """Say what the negative controls found, with how many were looked at and the chance that one stands out.

    Parameters
    ----------
    blocks : mapping of sentence to block
        Those that were measured.
    """
    known = {words: block for words, block in blocks.items() if block["p"] is not None}
    if not known:
        return "No negative control could be tested."
    k = len(known)
    chance = 100 * (1 - 0.95**k)
    apart = [words for words, block in known.items() if block["p"] < 0.05]
    found = (
        f"Here {' and '.join(apart)} {'differs' if len(apart) == 1 else 'differ'} with p < 0.05: read the primary "
        "result beside it, and see whether it changes when adjusted"
        if apart
        else "Here none does"
    )
    others = "" if k == 1 else f" With {k} independent controls and no effect on any, at least one has p < 0.05 in "
    others += "" if k == 1 else f"{chance:.0f} of 100 trials."
    return f"{count(k, 'negative control was', 'negative controls were')} looked at.{others} {found}."


def effect_detail(primary: Mapping[str, Any], level: str = "95 %") -> str:
    """Give the difference, its interval, p and the numbers of patients."""
    n = primary["n"]
    return (
        f"Adjusted difference in mean TBRmax of the index vessel at follow-up, active minus control: "
        f"{number(primary['difference'], 3)} ({level} confidence interval "
        f"{between(primary['ci_low'], primary['ci_high'], 3)}; {p_clause(primary['p'])}; "
        f"{n['active']} active and {n['control']} control patients)."
    )


def noise_sentence(effect_percent: float | None, patients: Mapping[str, Any]) -> str:
    """Say what the effect's size would mean in one patient.

    Parameters
    ----------
    effect_percent : float or None
        The estimated effect; None where the trial is blinded, and the published one is taken.
    patients : mapping
        The ``patients`` block of ``arms.json``: within_subject_cv, no_change_band_percent, published_bands_percent.
    """
    size = EFFECT_PERCENT if effect_percent is None else effect_percent
    which = "the published average effect" if effect_percent is None else "the average effect"
    (low, high), cv = patients["no_change_band_percent"], patients["within_subject_cv"]
    others = " and ".join(f"±{p:g}{HARD_SPACE}%" for p in patients["published_bands_percent"])
    inside, noise = low <= size <= high, "assumed measurement noise" if patients["assumed"] else "measurement noise"
    verdict = f"A change of {percent(size)} in a single patient lies {'within' if inside else 'beyond'} {noise}"
    if not inside and low <= EFFECT_PERCENT <= high:
        verdict += f" (the published {percent(EFFECT_PERCENT)} lies within it)"
    band = f"{between(low, high, 1, signed=True)}{HARD_SPACE}%"
    rests = (
        f"The band of {band} assumes a within-subject coefficient of variation of {number(100 * cv, 1)} %, which this "
        "study has not measured"
        if patients["assumed"]
        else f"With the within-subject coefficient of variation of {number(100 * cv, 1)} % that repeated scans gave "
        f"({patients['within_subject_df']:g} degrees of freedom), two scans of an unchanged patient differ by {band} "
        "in 95 of 100 cases"
    )
    return f"{verdict}: {which} is a mean over many patients and says nothing about one. {rests}" + (
        f"; published figures imply limits of {others}." if others else "."
    )


def interaction_sentence(interaction: Mapping[str, Any] | None) -> str:
    """Say whether the effect depended on baseline, from the interaction alone, on the scale that it was looked for."""
    if interaction is None or interaction["p"] is None:
        return "Whether the effect depends on baseline could not be estimated."
    p, logs = interaction["p"], interaction["log_scale"]
    start = "There is evidence" if p < 0.05 else "There is no clear evidence"
    other = "" if logs is None else f" on the scale of logarithms, where it makes none, {p_clause(logs['p'])};"
    return (
        f"Exploratory. {start} that the difference in TBRmax depends on baseline (arm × baseline interaction "
        f"{number(interaction['estimate'], 2)} per unit of TBRmax, {p_clause(p)}). The scale matters: a drug that "
        f"lowered everybody by the same percentage would alone make an interaction of "
        f"{number(interaction['constant_percent'], 2)} here;{other} high baselines fall and low ones rise without any "
        "drug (regression to the mean), so only the distance between the two lines counts."
    )


def count(n: int, one: str, many: str | None = None) -> str:
    """Write a count with its noun.

    >>> count(1, "patient"), count(3, "patient"), count(2, "is", "are")
    ('1 patient', '3 patients', '2 are')
    """
    return f"{n} {one if n == 1 else many or one + 's'}"
