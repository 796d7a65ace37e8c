"""Rows of the report's tables of estimates, each with its definition beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from petflame.anatomy import title
from petflame.report.figures import interval, interval_axis, interval_scale
from petflame.report.read import Row
from petflame.report.words import DASH, between, number, p_value

THREE_PERCENTAGES = (
    ("adjusted_percent", "Adjusted percent (primary)", "as in IVORY, inferred"),
    ("log_ratio_percent", "Log-ratio percent", "as in Tawakol 2013"),
    ("mean_percent_change_difference", "Difference of mean percent changes", "as in VIP-U"),
)
ENDPOINT_TITLES = {
    "vessel_mean": "Mean of the target vessels",
    "mds_locked": "Most diseased segment, locked at baseline",
    "mds_refound": "Most diseased segment, refound",
    "active_locked": "Active sections, locked at baseline",
    "active_refound": "Active sections, refound",
    "active_fraction": "Share of active sections",
    "csuv_max": "SUVmax less blood pool",
}


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
                "note": row.get("note") or row.get("reason") or "",
                "estimate": words,
                "p": [p_value(row.get("p")), *([p_value(row.get("p2"))] if len(p_titles) > 1 else [])],
                "picture": interval(row, scale, bool(row.get("strong"))),
                "strong": bool(row.get("strong")),
            }
        )
    return EstimateTable(unit, tuple(laid), interval_axis(scale), p_titles)


def _difference(label: str, block: Row, note: str = "", strong: bool = False) -> dict[str, Any]:
    """Row of a block with difference, ci_low, ci_high, p."""
    return {
        "label": label,
        "note": note or block.get("definition") or block.get("reason") or "",
        "estimate": block.get("difference", block.get("estimate")),
        "low": block.get("ci_low"),
        "high": block.get("ci_high"),
        "p": block.get("p"),
        "strong": strong,
    }


def percentages(arms: Row) -> EstimateTable | None:
    """Return the three named percentages; None where the trial is blinded."""
    primary = arms.get("primary")
    if not primary:
        return None
    rows = []
    for name, label, source in THREE_PERCENTAGES:
        if name == "adjusted_percent":
            block = {
                "estimate": primary["adjusted_percent"],
                "low": primary["adjusted_percent_low"],
                "high": primary["adjusted_percent_high"],
                "p": primary["p"],
                "definition": f"{primary.get('adjusted_percent_definition', '')} p is that of the difference.",
            }
        else:
            block = (arms.get("sensitivity") or {}).get(name, {})
        note = " ".join(filter(None, [block.get("definition") or block.get("reason"), f"({source})"]))
        rows.append({**block, "label": label, "note": note, "strong": name == "adjusted_percent"})
    return table_of(rows, "Percent (95 % CI)", 1)


def vessels(arms: Row) -> EstimateTable | None:
    """Return each vessel's adjusted percent with Holm's correction, the vessels' mean last."""
    rows = [
        {
            "label": title(name),
            "note": block.get("reason") or _patients(block),
            "estimate": block.get("adjusted_percent"),
            "low": block.get("adjusted_percent_low"),
            "high": block.get("adjusted_percent_high"),
            "p": block.get("p"),
            "p2": block.get("p_holm"),
        }
        for name, block in (arms.get("vessels") or {}).items()
    ]
    if not rows:
        return None
    mean = arms.get("vessel_mean") or {}
    if mean.get("adjusted_percent") is not None:
        rows.append(
            {
                "label": "Mean of the target vessels",
                "note": _patients(mean),
                "estimate": mean["adjusted_percent"],
                "low": mean["adjusted_percent_low"],
                "high": mean["adjusted_percent_high"],
                "p": mean.get("p"),
                "strong": True,
            }
        )
    return table_of(rows, "Adjusted percent (95 % CI)", 1, ("p", "p, Holm"))


def _patients(block: Row) -> str:
    n = block.get("n") or {}
    return f"{n['active']} active, {n['control']} control" if n else ""


def variations(arms: Row) -> EstimateTable | None:
    """Return the adjusted percent under every variation of the measurement; None where blinded or without any."""
    blocks = arms.get("variations") or []
    if not arms.get("primary") or len(blocks) < 2:
        return None
    rows = []
    for block in blocks:
        own = block["variation"] == "primary"
        same = "" if own or block["same_index"] is None else f"; same index vessel in {block['same_index']}"
        rows.append(
            {
                "label": "Primary" if own else str(block["variation"]).replace("_", " ").capitalize(),
                "note": block["reason"] or f"{block['about']}; {block['n']} participants{same}",
                "estimate": block["adjusted_percent"],
                "low": block["adjusted_percent_low"],
                "high": block["adjusted_percent_high"],
                "p": block["p"],
                "strong": own,
            }
        )
    return table_of(rows, "Adjusted percent (95 % CI)", 1)


def sensitivity(arms: Row) -> EstimateTable | None:
    """Return the primary difference under other methods, on the scale of TBRmax."""
    primary, other = arms.get("primary"), arms.get("sensitivity") or {}
    if not primary:
        return None
    rows = [_difference("Primary analysis (ANCOVA)", primary, strong=True)]
    rows.append(_difference("Robust standard error (HC3)", other.get("hc3", {})))
    boot = other.get("bootstrap", {})
    rows.append(
        {
            "label": "Bootstrap interval",
            "note": boot.get("definition") or boot.get("reason") or "",
            "estimate": primary["difference"] if boot.get("difference_low") is not None else None,
            "low": boot.get("difference_low"),
            "high": boot.get("difference_high"),
        }
    )
    permutation = other.get("permutation", {})
    rows.append({"label": "Permutation test", "note": permutation.get("definition", ""), "p": permutation.get("p")})
    rows.append(_difference("Mixed model over the target vessels", arms.get("mixed") or {}))
    for name, block in (other.get("covariates") or {}).items():
        if isinstance(block, Mapping):
            label = "all covariates" if name == "all" else name.replace("_", " ")
            rows.append(_difference(f"Adjusted for {label}", block, str(block.get("meaning", ""))))
    rows.append(_difference("Multiple imputation of missing follow-up", other.get("multiple_imputation", {})))
    loo = other.get("leave_one_out", {})
    if loo.get("difference_low") is not None:
        note = (
            f"{loo.get('definition', '')} Range over patients; p from {p_value(loo['p_low'])} to "
            f"{p_value(loo['p_high'])}; {loo.get('most_influential')} matters most."
        )
        ends = {"low": loo["difference_low"], "high": loo["difference_high"], "estimate": primary["difference"]}
        rows.append({"label": "Leaving one patient out (range)", "note": note, **ends})
    return table_of(rows, "Difference in TBRmax (95 % CI)", 3)


def percentiles(arms: Row) -> EstimateTable | None:
    """Return the effect at percentiles of baseline from the interaction model."""
    effects = ((arms.get("sensitivity") or {}).get("interaction") or {}).get("percentiles") or {}
    rows = [
        _difference(f"{name}th percentile (baseline {number(block['baseline'])})", block)
        for name, block in effects.items()
    ]
    return table_of(rows, "Difference in TBRmax (95 % CI)", 3) if rows else None


def within_percentiles(arms: Row) -> EstimateTable | None:
    """Return the effect in hotter and cooler vessels of the same patient, from the mixed interaction model."""
    effects = (within_patients(arms) or {}).get("percentiles") or {}
    rows = [
        _difference(
            f"{name}th percentile ({number(block['deviation'], 2, signed=True)} from the patient's mean)", block
        )
        for name, block in effects.items()
    ]
    return table_of(rows, "Difference in TBRmax (95 % CI)", 3) if rows else None


def within_patients(arms: Row) -> Row | None:
    """Return the interaction between vessels of the same patient, where it could be estimated."""
    found: Row | None = (arms.get("mixed") or {}).get("interaction")
    return found if found and found.get("percentiles") else None


def endpoints(arms: Row) -> EstimateTable | None:
    """Return the secondary endpoints as differences between the arms."""
    blocks = {k: v for k, v in (arms.get("endpoints") or {}).items() if isinstance(v, Mapping)}
    rows = [
        _difference(ENDPOINT_TITLES.get(name, name), block, str(block.get("reason") or block.get("meaning") or ""))
        for name, block in blocks.items()
    ]
    return table_of(rows, "Difference (95 % CI)", 3) if rows else None


def negative_controls(arms: Row) -> EstimateTable | None:
    """Return the differences of what the drug should not change, in units of the control mean (percent)."""
    rows = []
    for block in (arms.get("negative_controls") or {}).values():
        if not isinstance(block, Mapping):
            continue
        unit = str(block.get("unit", ""))
        mean, difference = block.get("control_mean"), block.get("difference")
        row: dict[str, Any] = {"label": _sentence_case(str(block.get("meaning", ""))), "p": block.get("p")}
        if mean and difference is not None:
            row |= {
                "estimate": 100 * difference / mean,
                "low": 100 * block["ci_low"] / mean,
                "high": 100 * block["ci_high"] / mean,
                "note": f"{number(difference, 2, signed=True)} {unit} on a control mean of {number(mean, 2)} {unit}",
            }
        else:
            row["note"] = str(block.get("reason", DASH))
        rows.append(row)
    primary = arms.get("primary")
    if not rows or not primary:
        return None
    rows.insert(
        0,
        {
            "label": "TBRmax of the index vessel",
            "note": "the primary effect, for comparison",
            "estimate": primary["adjusted_percent"],
            "low": primary["adjusted_percent_low"],
            "high": primary["adjusted_percent_high"],
            "p": primary["p"],
            "strong": True,
        },
    )
    return table_of(rows, "Percent of control mean (95 % CI)", 1)


def _sentence_case(words: str) -> str:
    return words[:1].upper() + words[1:]
