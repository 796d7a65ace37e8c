"""Sentences and figures in words: what the numbers of a trial let one say, and no more."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from petflame.published import EFFECT_PERCENT
from petflame.trial.plan.deviations import PERCENTAGES

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


GLOSS = (
    "TBRmax, the highest uptake across an artery over that of venous blood, stands for arterial inflammation; it does "
    "not measure it."
)


def effect_headline(planned: Mapping[str, Any], alpha: float = 0.05) -> str:
    """Say the effect in one sentence; a direction is claimed only where p is below the planned alpha.

    Parameters
    ----------
    planned : mapping
        The percentage that was planned as primary: title, value, p (`planned_percentage`).
    alpha : float
        Planned two-sided level.

    Examples
    --------
    >>> adjusted = {"title": "Adjusted percent", "value": -7.7, "p": 0.015}
    >>> effect_headline(adjusted).replace(HARD_SPACE, " ")
    'Mean TBRmax of the index vessel was 7.7 % lower with active treatment than with control.'
    >>> effect_headline(adjusted, alpha=0.01).replace(HARD_SPACE, " ")
    'No difference was shown: mean TBRmax of the index vessel was 7.7 % lower with active treatment, p = 0.015.'
    """
    way = "lower" if planned["value"] < 0 else "higher"
    if planned["title"] == PERCENTAGES["mean_percent_change_difference"]:
        what = "the mean percent change in TBRmax of the index vessel"
        size = f"{number(abs(planned['value']), 1)} points"
    else:
        what, size = "mean TBRmax of the index vessel", percent(abs(planned["value"]), signed=False)
    if planned["p"] < alpha:
        return f"{what[:1].upper()}{what[1:]} was {size} {way} with active treatment than with control."
    return f"No difference was shown: {what} was {size} {way} with active treatment, {p_clause(planned['p'])}."


def verdict_sentence(planned: Mapping[str, Any], alpha: float) -> str:
    """Say whether the primary comparison reached its level, where that level is not the intervals' own.

    >>> verdict_sentence({"p": 0.017}, 0.05)
    ''
    """
    if alpha == 0.05:
        return ""
    reached = "reached" if planned["p"] < alpha else "did not reach"
    return (
        f"The primary comparison {reached} its planned level ({p_clause(planned['p'])}; two-sided alpha {alpha:g}). "
        "Intervals are 95 % and describe; they do not decide."
    )


def comparability_sentence(analysis_set: Mapping[str, Any]) -> str:
    """Say how many pairs were graded as not comparable, and whether they are among the analysed.

    >>> comparability_sentence({"comparability": {"pass": 3, "fail": 7}, "name": "all_measured"})
    'Of 10 pairs of scans 7 are graded as not comparable, and are analysed all the same (see Other analysis set).'
    """
    grades = analysis_set["comparability"]
    failed = grades.get("fail", 0) if grades else 0
    if not failed:
        return ""
    fate = "are analysed all the same" if analysis_set["name"] == "all_measured" else "are left out"
    verb = "is graded as not comparable, and" if failed == 1 else "are graded as not comparable, and"
    fate = fate.replace("are", "is", 1) if failed == 1 else fate
    return f"Of {count(sum(grades.values()), 'pair')} of scans {failed} {verb} {fate} (see Other analysis set)."


def agreement_sentence(arms: Mapping[str, Any], names: Mapping[str, str], value: float) -> str:
    """Say how many sensitivity analyses with a p of their own reach the planned level the same way as the primary.

    Parameters
    ----------
    arms : mapping
        ``arms.json``.
    names : mapping of name to title
        Analyses of the primary with a p; the primary itself is passed over.
    value : float
        The primary's estimate.
    """
    plan = arms["plan"]
    planned, alpha = plan["sensitivity"], plan["alpha"]
    agrees = {}
    for name, title in names.items():
        block = arms["sensitivity"][name]
        if name == plan["primary_percentage"] or block["p"] is None or (planned is not None and name not in planned):
            continue
        estimate = block.get("difference", block.get("estimate"))
        agrees[title] = block["p"] < alpha and (estimate is None or estimate * value > 0)
    if not agrees:
        return ""
    kind = "sensitivity" if planned is None else "planned sensitivity"
    below, above = ([title for title, found in agrees.items() if found == wanted] for wanted in (True, False))
    words = (
        f"Of {count(len(agrees), f'{kind} analysis', f'{kind} analyses')} with a p, {len(below)} "
        f"{'points' if len(below) == 1 else 'point'} the same way "
    )
    words += f"with p < {alpha:g}"
    # The fewer are named.
    fewer = min((below, above), key=len)
    if below and above:
        words += f" ({'only ' if fewer is below else 'not '}{', '.join(fewer)})"
    return words + "."


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


def noise_sentence(
    effect_percent: float | None, patients: Mapping[str, Any], check: Mapping[str, Any] | None = None
) -> str:
    """Say what the effect's size would mean in one patient.

    Parameters
    ----------
    effect_percent : float or None
        The estimated effect; None where the trial is blinded, and the published one is taken.
    patients : mapping
        The ``patients`` block of ``arms.json``: within_subject_cv, no_change_band_percent, published_bands_percent.
    check : mapping, optional
        The ``band_check`` block; told where the control arm shows the band to be too narrow.
    """
    size = EFFECT_PERCENT if effect_percent is None else effect_percent
    which = "the published average effect" if effect_percent is None else "the average effect"
    (low, high), cv = patients["no_change_band_percent"], patients["within_subject_cv"]
    others = " and ".join(f"±{p:g}{HARD_SPACE}%" for p in patients["published_bands_percent"])
    inside, noise = low <= size <= high, "assumed measurement noise" if patients["assumed"] else "measurement noise"
    verdict = f"A change of {percent(size)} in a single patient lies {'within' if inside else 'beyond'} {noise}"
    band = f"{between(low, high, 1, signed=True)}{HARD_SPACE}%"
    rests = (
        f"The band of {band} assumes a within-subject coefficient of variation of {number(100 * cv, 1)} %, which this "
        "study has not measured"
        if patients["assumed"]
        else f"With the within-subject coefficient of variation of {number(100 * cv, 1)} % that repeated scans gave "
        f"(95 % interval {number(100 * patients['within_subject_cv_low'], 1)} to "
        f"{number(100 * patients['within_subject_cv_high'], 1)} %), two scans of an unchanged patient differ by {band} "
        "in 95 of 100 cases"
    )
    limits = f"; published figures imply limits of {others}." if others else "."
    told = f" {check['sentence']}" if check and check["too_narrow"] else ""
    return f"{verdict}: {which} is a mean over many patients and says nothing about one. {rests}{limits}{told}"


def interaction_sentence(interaction: Mapping[str, Any] | None) -> str:
    """Give the interaction with baseline, on the scale that it was looked for and on that of logarithms."""
    if interaction is None or interaction["p"] is None:
        return "Whether the difference depends on baseline could not be estimated."
    logs = interaction["log_scale"]
    other = "" if logs is None else f" (on the scale of logarithms it makes none, and there {p_clause(logs['p'])})"
    return (
        f"Exploratory: arm × baseline interaction {number(interaction['estimate'], 2)} per unit of TBRmax (95 % CI "
        f"{between(interaction['ci_low'], interaction['ci_high'], 2)}; {p_clause(interaction['p'])}; "
        f"{interaction['df']:g} degrees of freedom). The scale matters: a drug that lowered everybody by the same "
        f"percentage would alone make an interaction of {number(interaction['constant_percent'], 2)} here{other}. High "
        "baselines fall and low ones rise without any drug (regression to the mean), so only the distance between the "
        "two lines counts."
    )


def count(n: int, one: str, many: str | None = None) -> str:
    """Write a count with its noun.

    >>> count(1, "patient"), count(3, "patient"), count(2, "is", "are")
    ('1 patient', '3 patients', '2 are')
    """
    return f"{n} {one if n == 1 else many or one + 's'}"
