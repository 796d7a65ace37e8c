"""Whether the two scans of a pair can be compared (measurement definitions, section 6)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from petflame.dicom.product import SAME_SCANNER
from petflame.measure.product import MeasuredVisit
from petflame.protocol import Band, Limits, Protocol
from petflame.segment.product import ACCEPTED

ORDER = ("pass", "warn", "fail")
NOT_MEASURED = "not measured"
SAME_MEASUREMENT = ("background_region", "method")


@dataclass(frozen=True)
class Item:
    """One graded item; grade 'unknown' where a value is missing."""

    item: str
    baseline: Any
    followup: Any
    value: Any
    grade: str
    limits: str


def grade_limits(value: float | None, limits: Limits) -> str:
    """Grade a value by its upper limits.

    >>> [grade_limits(v, Limits(passes=5, warns=10)) for v in (5, 7.0, 11, None)]
    ['pass', 'warn', 'fail', 'unknown']
    """
    if value is None:
        return "unknown"
    return "pass" if value <= limits.passes else "warn" if value <= limits.warns else "fail"


def grade_band(value: float | None, band: Band) -> str:
    """Grade a value by an inner and an outer band.

    >>> [grade_band(v, Band(passes=(0.9, 1.1), warns=(0.8, 1.25))) for v in (1.0, 1.2, 0.7, None)]
    ['pass', 'warn', 'fail', 'unknown']
    """
    if value is None:
        return "unknown"
    if band.passes[0] <= value <= band.passes[1]:
        return "pass"
    return "warn" if band.warns[0] <= value <= band.warns[1] else "fail"


@dataclass(frozen=True)
class VisitFacts:
    """What comparability needs to know of a visit."""

    scanner: Mapping[str, Any]
    uptake_min: float | None
    glucose_mmol_l: float | None
    dose_per_kg: float | None
    liver_suv_mean: float | None
    assay: bool = False


def facts_of(visit: MeasuredVisit, glucose_mmol_l: float | None) -> VisitFacts:
    """Take the facts from a measured visit and the visits table."""
    pet, liver = visit.pet, visit.details.get("liver_suv_mean")
    return VisitFacts(pet.scanner, pet.uptake_min, glucose_mmol_l, pet.dose_per_kg, liver, pet.injection_may_be_assay)


def compare(a: VisitFacts, b: VisitFacts, area_ratios: dict[str, float | None], protocol: Protocol) -> list[Item]:
    """Grade every item for baseline `a` and follow-up `b`."""
    rules = protocol.comparability
    items = [_uptake(a, b, rules.uptake_difference_min), *_scanner(a, b)]
    for visit, facts in (("baseline", a), ("followup", b)):
        glucose = facts.glucose_mmol_l
        items.append(
            Item(
                f"glucose_mmol_l_{visit}",
                a.glucose_mmol_l,
                b.glucose_mmol_l,
                glucose,
                grade_limits(glucose, rules.glucose_mmol_l),
                say(rules.glucose_mmol_l),
            )
        )
    dose = None
    if a.dose_per_kg and b.dose_per_kg:
        dose = 100.0 * abs(b.dose_per_kg - a.dose_per_kg) / a.dose_per_kg
    limits = rules.dose_per_kg_difference_percent
    items.append(
        Item(
            "dose_per_kg_difference_percent",
            a.dose_per_kg,
            b.dose_per_kg,
            dose,
            grade_limits(dose, limits),
            say(limits),
        )
    )
    for vessel, ratio in area_ratios.items():
        grade = grade_band(ratio, rules.area_ratio)
        items.append(Item(f"area_ratio_{vessel}", None, None, ratio, grade, say(rules.area_ratio)))
    for visit, facts in (("baseline", a), ("followup", b)):
        liver = facts.liver_suv_mean
        grade = grade_band(liver, rules.liver_suv_mean)
        items.append(
            Item(
                f"liver_suv_mean_{visit}",
                a.liver_suv_mean,
                b.liver_suv_mean,
                liver,
                grade,
                say(rules.liver_suv_mean),
            )
        )
    return items


def _uptake(a: VisitFacts, b: VisitFacts, limits: Limits) -> Item:
    both = a.uptake_min is not None and b.uptake_min is not None
    difference = abs(b.uptake_min - a.uptake_min) if both else None  # type: ignore[operator]
    grade = grade_limits(difference, limits)
    words = say(limits)
    if both and (a.assay or b.assay):
        which = "both visits" if a.assay and b.assay else "one visit"
        words += f"; the injection time of {which} may be that of the dose's assay (Siemens), up to 10 min early"
    return Item("uptake_difference_min", a.uptake_min, b.uptake_min, difference, grade, words)


def _scanner(a: VisitFacts, b: VisitFacts) -> list[Item]:
    items = []
    for key in SAME_SCANNER:
        first, second = a.scanner.get(key), b.scanner.get(key)
        same = first == second or (key == "voxel_size_mm" and _close(first, second))
        unknown = first is None and second is None
        items.append(Item(key, first, second, None, "unknown" if unknown else "pass" if same else "fail", "the same"))
    first, second = a.scanner.get("software_versions"), b.scanner.get("software_versions")
    grade = "unknown" if first is None and second is None else "pass" if first == second else "warn"
    items.append(Item("software_versions", first, second, None, grade, "a difference warns"))
    return items


def same_measurement(vessels: dict[str, tuple[dict[str, Any], dict[str, Any]]], grids: tuple[str, str]) -> list[Item]:
    """Grade whether each vessel was found and referred to blood in the same way at both visits; a difference fails.

    Parameters
    ----------
    vessels : dict
        Name to (baseline, follow-up) values of `SAME_MEASUREMENT`.
    grids : pair of str
        The grid that each visit's labels lie on.
    """
    items = []
    for name, (a, b) in vessels.items():
        for key in SAME_MEASUREMENT:
            (first, accepted_first), (second, accepted_second) = _as_made(a[key]), _as_made(b[key])
            words = "the same" + "; accepted by a reader at one visit" * (accepted_first != accepted_second)
            items.append(Item(f"{key}_{name}", a[key], b[key], None, "pass" if first == second else "fail", words))
    grade = "pass" if grids[0] == grids[1] else "fail"
    return [*items, Item("label_grid", grids[0], grids[1], None, grade, "the same")]


def _as_made(value: Any) -> tuple[Any, bool]:
    """Return how a region was made, which an acceptance does not change, and whether a reader accepted it."""
    made, accepted, _ = value.partition(ACCEPTED) if isinstance(value, str) else (value, "", "")
    return made, bool(accepted)


def _close(first: Any, second: Any, tolerance_mm: float = 0.01) -> bool:
    if not first or not second or len(first) != len(second):
        return False
    return all(abs(x - y) <= tolerance_mm for x, y in zip(first, second, strict=True))


def say(limits: Limits | Band) -> str:
    """Name the limits in words.

    >>> say(Limits(passes=5, warns=10))
    'pass <= 5, warn <= 10'
    """
    if isinstance(limits, Limits):
        return f"pass <= {limits.passes:g}, warn <= {limits.warns:g}"
    return f"pass {limits.passes[0]:g}-{limits.passes[1]:g}, warn {limits.warns[0]:g}-{limits.warns[1]:g}"


# What petflame itself measures, and no header gives.
MEASURED_HERE = ("pet_ct_shift", "coverage")


def with_not_measured(items: list[Item], rule: str) -> list[Item]:
    """Let an alignment that could not be measured warn, unless the rule is to ignore it.

    What the headers or the tables do not say, such as a kernel or glucose, stays unknown.
    """
    if rule == "ignore":
        return items
    return [
        replace(item, grade="warn", limits=f"{NOT_MEASURED}; {item.limits}")
        if item.grade == "unknown" and item.item.startswith(MEASURED_HERE)
        else item
        for item in items
    ]


def overall(items: list[Item]) -> tuple[str, list[str]]:
    """Worst grade of the known items, and every item that is not a pass, in words: those that fail come first."""
    grades = [item.grade for item in items if item.grade in ORDER]
    worst = max(grades, key=ORDER.index) if grades else "unknown"
    doubts = [item for grade in reversed(ORDER[1:]) for item in items if item.grade == grade]
    reasons = [f"{item.item}{_found(item)} ({item.grade}; {item.limits})" for item in doubts]
    return worst, reasons


def _found(item: Item) -> str:
    if item.value is not None:
        return f" {_number(item.value)}"
    both = (item.baseline, item.followup)
    return "" if both == (None, None) else f": {_number(item.baseline)} and {_number(item.followup)}"


def _number(value: Any) -> str:
    if value is None:
        return "n/a"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def as_rows(items: list[Item]) -> list[dict[str, Any]]:
    """Return the items as plain mappings."""
    return [asdict(item) for item in items]
