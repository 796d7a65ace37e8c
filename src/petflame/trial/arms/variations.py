"""The effect under every variation of the measurement: a small multiverse round the primary figure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from petflame.errors import InputRefused
from petflame.files import read_tsv, write_tsv
from petflame.trial.arms.ancova import make_arms, primary_record
from petflame.trial.blocks import describe
from petflame.trial.cohort import Cohort
from petflame.trial.endpoints import BASELINE, FOLLOWUP
from petflame.trial.estimates import NotEstimable

COLUMNS: dict[str, tuple[str, str]] = {
    "variation": ("name of the variation; `primary` is the protocol itself", ""),
    "about": ("what it does otherwise", ""),
    "n": ("participants with both visits under it", ""),
    "same_index": ("of these, how many have the primary's index vessel", ""),
    "difference": ("adjusted difference at follow-up, active minus control", "ratio; g/mL for subtraction"),
    "ci_low": ("lower end of its 95 % interval", "ratio; g/mL for subtraction"),
    "ci_high": ("upper end of its 95 % interval", "ratio; g/mL for subtraction"),
    "p": ("two-sided p of the difference", ""),
    "adjusted_percent": ("100 x difference / adjusted control mean", "percent"),
    "adjusted_percent_low": ("lower end of its 95 % interval (Fieller)", "percent"),
    "adjusted_percent_high": ("upper end of its 95 % interval (Fieller)", "percent"),
    "pooled_percent_change": ("mean percent change over both arms, where there is no allocation", "percent"),
    "reason": ("why there is no estimate", ""),
}


def variation_blocks(cohort: Cohort, variations: Path, about: Mapping[str, str], out: Path) -> list[dict[str, Any]]:
    """Estimate the effect under every variation and write ``sensitivity.tsv``.

    Parameters
    ----------
    cohort : Cohort
        Of the primary analysis; its analysis set, arms and strata hold here too.
    variations : Path
        ``variations.tsv`` of the study: participant_id, variation, index_vessel, baseline, followup.
    about : mapping
        Variation to what it does, in the order to report them.
    out : Path
        Folder for the results.

    Returns
    -------
    list of dict
        `COLUMNS` of each, the primary first. Without an allocation the pooled change alone.

    Raises
    ------
    InputRefused
        When the table lacks a column or a participant stands twice under one variation.
    """
    table = read_tsv(
        variations, ("participant_id", "variation", "baseline", "followup"), ("participant_id", "variation")
    )
    if table.duplicated(["participant_id", "variation"]).any():
        what = "a participant stands twice under one variation"
        raise InputRefused.of(what, str(variations), "gather the study's results anew (petflame collect)")
    primary = cohort.analysed
    blocks = [_block("primary", "the protocol itself", primary, cohort)]
    for name, words in about.items():
        own = table[table["variation"] == name].set_index("participant_id")
        varied = primary.copy()
        for column, source in ((BASELINE, "baseline"), (FOLLOWUP, "followup")):
            varied[column] = varied["participant_id"].map(own[source]).astype(float)
        varied = varied[varied[[BASELINE, FOLLOWUP]].notna().all(axis=1)]
        block = _block(name, words, varied, cohort)
        if "index_vessel" in own and "index_vessel" in varied:
            block["same_index"] = int(
                (varied["participant_id"].map(own["index_vessel"]) == varied["index_vessel"]).sum()
            )
        blocks.append(block)
    write_tsv(out / "sensitivity.tsv", pd.DataFrame(blocks, columns=list(COLUMNS)), COLUMNS)
    return blocks


def _block(name: str, about: str, table: pd.DataFrame, cohort: Cohort) -> dict[str, Any]:
    block: dict[str, Any] = {**dict.fromkeys(COLUMNS), "variation": name, "about": about, "n": len(table)}
    if name == "primary":
        block["same_index"] = len(table)
    if cohort.blinded:
        base, follow = table[BASELINE].to_numpy(float), table[FOLLOWUP].to_numpy(float)
        block["pooled_percent_change"] = describe(100 * (follow / base - 1))["mean"] if len(table) else None
        return block
    try:
        record: Mapping[str, Any] = primary_record(make_arms(table, BASELINE, FOLLOWUP, cohort.strata))
    except NotEstimable as why:
        return block | {"reason": str(why)}
    return block | {key: record[key] for key in COLUMNS if key in record and key != "n"}
