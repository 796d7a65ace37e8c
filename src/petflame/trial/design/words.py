"""What the console says of a design."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from petflame.trial.design.reestimation import NOT_ASKED
from petflame.trial.estimates import LEVEL
from petflame.trial.words import counted


def lines(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of a ``power.json``: the re-estimation alone where it was asked for, else the design's."""
    again = document["reestimation"]
    dropout = document["design"]["dropout"]
    if again["lumped"] is not None:
        yield from reestimation_lines(again, dropout)
    elif again["reason"] != NOT_ASKED:
        yield f"no sample size from the interim table: {again['reason']}"
    else:
        yield from design_lines(document)


def design_lines(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield the design, its variation, every endpoint and vessel with the number to randomise, and the other tests."""
    within, size, design = document["within_subject"], document["sample_size"], document["design"]
    dropout = design["dropout"]
    yield (
        f"design: {design['patients_per_arm']} patients to randomise in each arm, {_dropout(dropout)}; effect "
        f"{design['effect_percent']:+.1f} %, a difference of {_signed(size['difference'])} in the TBRmax of the index "
        f"vessel; alpha {1 - LEVEL:.2g} two-sided; {document['trials']} simulated trials with the effect and as many "
        "without"
    )
    limits = ""
    if within["cv_low"] is not None:
        limits = (
            f"; 95 % limits of the study {100 * within['cv_low']:.1f} to {100 * within['cv_high']:.1f} %, "
            f"{_count(within['per_arm_low'])} to {_count(within['per_arm_high'])} an arm to randomise"
        )
    yield (
        f"within-subject CV {100 * within['cv']:.1f} % (visit {100 * within['visit_cv']:.1f}, measurement "
        f"{100 * within['measurement_cv']:.1f}; {within['source']}): residual SD "
        f"{_number(within['implied_residual_sd'])}, published {within['published_residual_sd']:.3f}" + limits
    )
    if within["note"]:
        yield within["note"]
    yield "SE: Monte Carlo standard error, in points"
    compared = {**document["endpoints"], **document["vessels"]}
    asked = f"for {100 * size['target_power']:.0f} % power, with {_dropout(dropout)}"
    for name, item in compared.items():
        yield f"{name}: {_endpoint(item, document['type_i_error'], asked)}"
    shown = {item["test"] for item in compared.values()}
    for name, row in document["power"].items():
        if name not in shown and row["rejection"] is not None:
            yield f"{name}: power {_share(row)}, type I error {_share(document['type_i_error'][name])}"


def reestimation_lines(block: Mapping[str, Any], dropout: float) -> Iterator[str]:
    """Yield the block ``reestimation`` in three lines: what it is made from, the SDs, and the numbers to randomise."""
    lumped, adjusted = block["lumped"], block["adjusted"]
    strata = f" + {' + '.join(block['strata'])}" if block["strata"] else ""
    yield (
        f"interim table, blinded: {counted(block['participants'], 'participant')} with both visits "
        f"({block['without_both_visits']} not used), analysis set {block['analysis_set'].replace('_', ' ')}, arms not "
        f"known; model TBRmax at follow-up ~ at baseline{strata}, {block['df']:g} degrees of freedom"
    )
    yield (
        f"residual SD (95 % limits): lumped {_limits(lumped, 'sd', _number)}; adjusted, with the planned difference of "
        f"{_signed(block['planned_difference'])} taken off, {_limits(adjusted, 'sd', _number)}; planned "
        f"{block['planned_residual_sd']:.3f}"
    )
    yield (
        f"to randomise in each arm for {100 * block['target_power']:.0f} % power at that difference, with "
        f"{_dropout(dropout)}: {_limits(lumped, 'per_arm', _count)} by the lumped SD, "
        f"{_limits(adjusted, 'per_arm', _count)} by the adjusted; planned {block['planned_per_arm']}; by the lumped, "
        f"never fewer than planned: {_count(block['per_arm_not_below_planned'])}"
    )


def _limits(size: Mapping[str, Any], key: str, write: Callable[[Any], str]) -> str:
    if size[key] is None:
        return f"{write(None)} ({size['reason']})"
    return f"{write(size[key])} ({write(size[f'{key}_low'])} to {write(size[f'{key}_high'])})"


def _endpoint(item: Mapping[str, Any], null: Mapping[str, Mapping[str, Any]], asked: str) -> str:
    if item["power"] is None:
        return f"no power: {item['reason']}"
    holm = f" ({_percent(item['power_holm'])} after Holm's correction)" if "power_holm" in item else ""
    power = {"rejection": item["power"], "monte_carlo_se": item["monte_carlo_se"]}
    return (
        f"power {_share(power)}{holm}, type I error {_share(null[item['test']])}; residual SD "
        f"{_number(item['residual_sd'])}, {_count(item['per_arm'])} an arm to randomise {asked}"
    )


def _share(row: Mapping[str, Any]) -> str:
    """Write the share of trials that reject, with its Monte Carlo standard error."""
    if row["rejection"] is None:
        return "not known"
    return f"{_percent(row['rejection'])} (SE {100 * row['monte_carlo_se']:.1f})"


def _dropout(share: float) -> str:
    return f"{100 * share:g} % dropout"


def _signed(value: float | None) -> str:
    return "unknown size" if value is None else f"{value:+.3f}"


def _percent(value: float | None) -> str:
    return "not known" if value is None else f"{100 * value:.1f} %"


def _number(value: float | None) -> str:
    return "not known" if value is None else f"{value:.3f}"


def _count(value: int | None) -> str:
    return "no number" if value is None else str(value)
