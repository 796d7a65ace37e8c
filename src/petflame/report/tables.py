"""Rows of the report's tables of estimates, each with its definition beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from petflame.anatomy import title
from petflame.report.absent import counted, endpoint_note, imputed_note
from petflame.report.figures import interval, interval_axis, interval_scale
from petflame.report.read import Row
from petflame.report.words import DASH, between, controls_sentence, number, p_value
from petflame.trial.arms.sensitivity import SENSITIVITY
from petflame.trial.endpoints import ENDPOINTS, NEGATIVE_CONTROLS, PRIMARY
from petflame.trial.plan.deviations import role_of


@dataclass(frozen=True)
class EstimateTable:
    """A table of estimates with a picture of each interval.

    Attributes
    ----------
    unit : str
        Heading of the column of numbers.
    rows : tuple of mapping
        label, note, estimate, p, picture; `strong` marks the primary.
    axis : Markup
        Axis under the pictures.
    p_titles : tuple of str
        Headings of the columns of p values.
    """

    unit: str
    rows: tuple[Row, ...]
    axis: Markup
    p_titles: tuple[str, ...] = ("p",)


def table_of(
    rows: Sequence[dict[str, Any]], unit: str, digits: int, p_titles: tuple[str, ...] = ("p",)
) -> EstimateTable:
    """Lay out rows of label, note, estimate, low, high, p (and p2) on one scale."""
    scale = interval_scale(rows)
    laid = []
    for row in rows:
        words = number(row.get("estimate"), digits)
        if row.get("low") is not None or row.get("high") is not None:
            words += f" ({between(row.get('low'), row.get('high'), digits)})"
        laid.append(
            {
                "label": row["label"],
                "note": row["note"],
                "estimate": words,
                "p": [p_value(row.get("p")), *([p_value(row.get("p2"))] if len(p_titles) > 1 else [])],
                "picture": interval(row, scale, bool(row.get("strong"))),
                "strong": bool(row.get("strong")),
            }
        )
    return EstimateTable(unit, tuple(laid), interval_axis(scale), p_titles)


def _difference(label: str, block: Row, note: str = "", strong: bool = False) -> dict[str, Any]:
    """Row of a block with difference (or estimate), ci_low, ci_high, p."""
    return {
        "label": label,
        "note": note,
        "estimate": block["difference"] if "difference" in block else block["estimate"],
        "low": block["ci_low"],
        "high": block["ci_high"],
        "p": block["p"],
        "strong": strong,
    }


def _percent(label: str, block: Row, note: str, strong: bool = False, **more: Any) -> dict[str, Any]:
    """Row of a block with an adjusted percent and p."""
    return {
        "label": label,
        "note": note,
        "estimate": block["adjusted_percent"],
        "low": block["adjusted_percent_low"],
        "high": block["adjusted_percent_high"],
        "p": block["p"],
        "strong": strong,
        **more,
    }


def baseline(arms: Row) -> list[Row]:
    """Return the baseline characteristics as cells: name, active, control; levels indented below their name."""
    block = arms["baseline"]
    rows: list[Row] = []
    for item in block["rows"] if block else ():
        unit = f", {item['unit']}" if item["unit"] not in ("", "ratio") else ""
        known = {a: f"n = {item['known'][a]}" for a in ("active", "control")}
        if item["levels"] is None:
            cells = {a: f"{number(item[a]['mean'])} ({number(item[a]['sd'])})" for a in ("active", "control")}
            rows.append({"name": f"{item['name']}{unit}, mean (SD)", "known": known, **cells})
            continue
        rows.append({"name": f"{item['name']}{unit}", "known": known, "active": "", "control": ""})
        for level, counts in item["levels"].items():
            cells = {a: _share(counts[a], item["known"][a]) for a in ("active", "control")}
            rows.append({"name": level, "known": None, **cells})
    return rows


def _share(k: int, n: int) -> str:
    return f"{k} ({100 * k / n:.0f} %)" if n else str(k)


def controls_found(arms: Row) -> str:
    """Say what the negative controls found."""
    blocks = arms["negative_controls"]
    measured = {c.sentence: blocks[c.name] for c in NEGATIVE_CONTROLS if blocks and blocks[c.name]}
    return controls_sentence(measured) if measured else ""


# The analyses of the primary difference that have a p of their own.
TESTED = {s.name: s.title for s in SENSITIVITY if s.shown in ("difference", "test", "percent")}


def percentages(arms: Row) -> EstimateTable | None:
    """Return the published percentages; None where the trial is blinded."""
    primary = arms["primary"]
    if not primary:
        return None
    delta = between(primary["adjusted_percent_delta_low"], primary["adjusted_percent_delta_high"], 1)
    note = f"{primary['adjusted_percent_definition']} By the delta method: {delta}. p is that of the difference. "
    note += "(as in IVORY, inferred)"
    chosen = arms["plan"]["primary_percentage"]

    def label(name: str, title: str) -> str:
        return f"{title} ({'primary' if name == chosen else 'sensitivity'})"

    own = label("adjusted_percent", "Adjusted percent")
    rows = [_percent(own, primary, note, strong=chosen == "adjusted_percent")]
    for s in SENSITIVITY:
        if s.shown == "percent":
            block = arms["sensitivity"][s.name]
            words = f"{block['reason'] or s.sentence}" + (f" ({s.source})" if s.source else "")
            rows.append({**block, "label": label(s.name, s.title), "note": words, "strong": s.name == chosen})
    return table_of(rows, "Percent (95 % CI)", 1)


def vessels(arms: Row) -> EstimateTable | None:
    """Return each vessel's adjusted percent with its role and, where key secondary, its adjusted p; their mean last."""
    mean = arms["vessel_mean"]
    blocks = {name: (title(name), block) for name, block in (arms["vessels"] or {}).items()}
    if not blocks:
        return None
    if mean["adjusted_percent"] is not None:
        blocks["vessel_mean"] = ("Mean of the target vessels", mean)
    rows = [
        _percent(_with_role(arms, name, words), block, _patients(block), p2=_p_adjusted(arms, name))
        for name, (words, block) in blocks.items()
    ]
    return table_of(rows, "Adjusted percent (95 % CI)", 1, ("p", "p adjusted"))


def _with_role(arms: Row, name: str, words: str) -> str:
    return f"{words} ({role_of(arms['plan'], name)})"


def _p_adjusted(arms: Row, name: str) -> float | None:
    tests = arms["key_secondary"]["tests"] if arms["key_secondary"] else ()
    return next((t["p_adjusted"] for t in tests if t["name"] == name), None)


def _patients(block: Row) -> str:
    return ". ".join(part for part in (block["reason"], counted(block)) if part)


def variations(arms: Row) -> EstimateTable | None:
    """Return the adjusted percent under every variation of the measurement; None where blinded or without any."""
    blocks = arms["variations"] or []
    if not arms["primary"] or len(blocks) < 2:
        return None
    rows = []
    for block in blocks:
        own = block["variation"] == "primary"
        same = "" if own or block["same_index"] is None else f"; same index vessel in {block['same_index']}"
        label = "Primary" if own else str(block["variation"]).replace("_", " ").capitalize()
        note = block["reason"] or f"{block['about']}; {block['n']} participants{same}"
        rows.append(_percent(label, block, note, strong=own))
    return table_of(rows, "Adjusted percent (95 % CI)", 1)


def sensitivity(arms: Row) -> EstimateTable | None:
    """Return the primary difference under the declared analyses, on the scale of TBRmax."""
    primary = arms["primary"]
    if not primary:
        return None
    other, mixed = arms["sensitivity"], arms["mixed"]
    rows = [_difference("Primary analysis (ANCOVA)", primary, primary["definition"], strong=True)]
    planned = arms["plan"]["sensitivity"]
    for s in SENSITIVITY:
        block = other[s.name]
        note = sentences(block["reason"] or s.sentence, _not_planned(s.name, planned))
        if s.shown == "difference":
            rows.append(_difference(s.title, block, note + imputed_note(block) if "imputed" in block else note))
        elif s.shown == "test":
            rows.append({"label": s.title, "note": note, "p": block["p"]})
        elif s.shown == "bounds":
            rows.append(_bounds(s.title, block, note, primary))
    rows.append(_difference("Mixed model over the target vessels", mixed, mixed["reason"] or mixed["definition"]))
    for name, block in other["covariates"].items():
        if isinstance(block, Mapping):
            label = "all covariates" if name == "all" else name.replace("_", " ")
            words = ". ".join(part for part in (block["reason"] or block["meaning"], counted(block)) if part)
            note = sentences(words, _not_planned(f"covariates.{name}", planned))
            rows.append(_difference(f"Adjusted for {label}", block, note))
    return table_of(rows, "Difference in TBRmax (95 % CI)", 3)


def sentences(*parts: str) -> str:
    """Join sentences, each with its full stop.

    >>> sentences("one", "", "two.")
    'one. two.'
    """
    return " ".join(part if part.endswith((".", ")")) else f"{part}." for part in parts if part)


def _not_planned(name: str, planned: Sequence[str] | None) -> str:
    """Say of an analysis that a sealed plan does not name that it came later."""
    return "Not in the sealed plan." if planned is not None and name not in planned else ""


def _bounds(label: str, block: Row, note: str, primary: Row) -> dict[str, Any]:
    """Row of bounds round the primary estimate."""
    low, high = block["difference_low"], block["difference_high"]
    if low is not None and "p_low" in block:
        note += (
            f" Range over patients; p from {p_value(block['p_low'])} to {p_value(block['p_high'])}; "
            f"{block['most_influential']} matters most."
        )
    estimate = None if low is None else primary["difference"]
    return {"label": label, "note": note, "estimate": estimate, "low": low, "high": high}


def percentiles(arms: Row) -> EstimateTable | None:
    """Return the effect at percentiles of baseline from the interaction model."""
    effects = arms["sensitivity"] and arms["sensitivity"]["interaction"]["percentiles"]
    rows = [
        _difference(f"{name}th percentile (baseline {number(block['baseline'])})", block)
        for name, block in (effects or {}).items()
    ]
    return table_of(rows, "Difference in TBRmax (95 % CI)", 3) if rows else None


FEWEST_IN_A_THIRD = 5


def thirds(arms: Row) -> Row | None:
    """Return the thirds of baseline; None where a third holds too few of an arm to be read."""
    found: Row | None = arms["sensitivity"] and arms["sensitivity"]["tertiles"]
    if not found or not found["thirds"]:
        return None
    smallest = min(min(third["n"].values()) for third in found["thirds"])
    return found if smallest >= FEWEST_IN_A_THIRD else None


def within_percentiles(arms: Row) -> EstimateTable | None:
    """Return the effect in hotter and cooler vessels of the same patient, from the mixed interaction model."""
    found = within_patients(arms)
    rows = [
        _difference(
            f"{name}th percentile ({number(block['deviation'], 2, signed=True)} from the patient's mean)", block
        )
        for name, block in (found["percentiles"] if found else {}).items()
    ]
    return table_of(rows, "Difference in TBRmax (95 % CI)", 3) if rows else None


def within_patients(arms: Row) -> Row | None:
    """Return the interaction between vessels of the same patient, where it could be estimated."""
    found: Row | None = arms["mixed"] and arms["mixed"]["interaction"]
    return found if found and found["percentiles"] else None


def endpoints(arms: Row) -> EstimateTable | None:
    """Return the secondary endpoints that were measured as differences between the arms."""
    blocks = arms["endpoints"]
    measured = [e for e in ENDPOINTS if blocks and blocks[e.name]]
    rows = [
        _difference(_with_role(arms, e.name, e.title), blocks[e.name], endpoint_note(blocks[e.name], e.sentence))
        | {"p2": _p_adjusted(arms, e.name)}
        for e in measured
    ]
    return table_of(rows, "Difference (95 % CI)", 3, ("p", "p adjusted")) if rows else None


def negative_controls(arms: Row) -> EstimateTable | None:
    """Return the differences of what the drug should not change, in units of the control mean (percent)."""
    primary, blocks = arms["primary"], arms["negative_controls"]
    measured = [c for c in NEGATIVE_CONTROLS if blocks and blocks[c.name]]
    if not measured or not primary:
        return None
    rows = [_percent(PRIMARY.title, primary, "the primary effect, for comparison", strong=True)]
    for control in measured:
        block = blocks[control.name]
        mean, difference = block["control_mean"], block["difference"]
        row: dict[str, Any] = {"label": control.sentence[:1].upper() + control.sentence[1:], "p": block["p"]}
        if mean and difference is not None:
            row |= {
                "estimate": 100 * difference / mean,
                "low": 100 * block["ci_low"] / mean,
                "high": 100 * block["ci_high"] / mean,
                "note": f"{number(difference, 2, signed=True)} {control.unit} on a control mean of "
                f"{number(mean, 2)} {control.unit}. {counted(block)}",
            }
        else:
            row["note"] = block["reason"] or DASH
        rows.append(row)
    return table_of(rows, "Percent of control mean (95 % CI)", 1)
