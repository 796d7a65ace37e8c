"""What the console says of a design."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from petflame.trial.design.reestimation import NOT_ASKED


def lines(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of a ``power.json``: its variation, every endpoint and vessel, other tests, re-estimation."""
    within, target = document["within_subject"], document["sample_size"]["target_power"]
    limits = ""
    if within["cv_low"] is not None:
        limits = (
            f"; 95 % limits of the study {100 * within['cv_low']:.1f} to {100 * within['cv_high']:.1f} %, "
            f"{_count(within['per_arm_low'])} to {_count(within['per_arm_high'])} an arm"
        )
    yield (
        f"within-subject CV {100 * within['cv']:.1f} % (visit {100 * within['visit_cv']:.1f}, measurement "
        f"{100 * within['measurement_cv']:.1f}; {within['source']}): residual SD "
        f"{_number(within['implied_residual_sd'])}, published {within['published_residual_sd']:.3f}" + limits
    )
    if within["note"]:
        yield within["note"]
    compared = {**document["endpoints"], **document["vessels"]}
    for name, item in compared.items():
        yield f"{name}: {_endpoint(item, target)}"
    shown = {item["test"] for item in compared.values()}
    for name, row in document["power"].items():
        if name not in shown and row["rejection"] is not None:
            error = document["type_i_error"][name]["rejection"]
            yield f"{name}: {_share(row['rejection'], row['monte_carlo_se'])}, type I error {_percent(error)}"
    again = document["reestimation"]
    if again["lumped"] is not None:
        yield from reestimation_lines(again)
    elif again["reason"] != NOT_ASKED:
        yield f"no sample size from the interim table: {again['reason']}"


def reestimation_lines(block: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of the block ``reestimation``."""
    lumped, adjusted = block["lumped"], block["adjusted"]
    yield (
        f"interim, blinded: residual SD {_number(lumped['sd'])} ({_number(lumped['sd_low'])} to "
        f"{_number(lumped['sd_high'])}) of {block['participants']} participants, planned "
        f"{block['planned_residual_sd']:.3f}; with the planned difference of {block['planned_difference']:.3f} taken "
        f"off {_number(adjusted['sd'])}" + (f" ({adjusted['reason']})" if adjusted["sd"] is None else "")
    )
    if lumped["per_arm"] is None:
        yield f"no sample size from the interim table: {lumped['reason']}"
        return
    yield (
        f"for {100 * block['target_power']:.0f} % power at the planned difference: {lumped['per_arm']} an arm "
        f"({_count(lumped['per_arm_low'])} to {_count(lumped['per_arm_high'])}), planned {block['planned_per_arm']}; "
        f"not below what was planned: {block['per_arm_not_below_planned']}"
    )
    yield block["type_i_error"]


def _endpoint(item: Mapping[str, Any], target: float) -> str:
    if item["power"] is None:
        return f"no power: {item['reason']}"
    needed = f"{_count(item['per_arm'])} an arm for {100 * target:.0f} %"
    holm = f" ({_percent(item['power_holm'])} after Holm's correction)" if "power_holm" in item else ""
    return (
        f"{_share(item['power'], item['monte_carlo_se'])}{holm}, type I error {_percent(item['type_i_error'])}; "
        f"residual SD {_number(item['residual_sd'])}, {needed}"
    )


def _share(value: float, error: float) -> str:
    return f"power {_percent(value)} (Monte Carlo SE {100 * error:.1f})"


def _percent(value: float | None) -> str:
    return "not known" if value is None else f"{100 * value:.1f} %"


def _number(value: float | None) -> str:
    return "not known" if value is None else f"{value:.3f}"


def _count(value: int | None) -> str:
    return "no number" if value is None else str(value)
