"""Index vessel and change of a participant under every variation of the protocol."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from petflame.pair.rows import PairedVessel
from petflame.pair.shared_spill_in import EXCLUDING, left_out, suspected
from petflame.protocol import Protocol

if TYPE_CHECKING:
    import pandas as pd

COLUMNS: dict[str, tuple[str, str]] = {
    "participant_id": ("participant", ""),
    "variation": ("name of the variation in the protocol", ""),
    "index_vessel": ("vessel with the highest value at baseline under the variation", ""),
    "baseline": ("mean over its valid sections at baseline", "ratio; g/mL for csuv_max"),
    "followup": ("mean over its valid sections at follow-up", "ratio; g/mL for csuv_max"),
    "reason": ("why there is no value", ""),
}
TOLERANCE_MM = 0.01


def pair_variations(
    tables: tuple[pd.DataFrame, pd.DataFrame],
    paired: Mapping[str, PairedVessel],
    participant_id: str,
    protocol: Protocol,
) -> list[dict[str, Any]]:
    """Choose the index vessel of each variation from baseline alone and express both visits.

    Parameters
    ----------
    tables : pair of DataFrame
        ``variations.tsv`` of baseline and follow-up.
    paired : mapping of vessel to PairedVessel
        Of the primary protocol; its correspondence says which sections are the same, for what spill-in excludes.
    participant_id : str
    protocol : Protocol

    Returns
    -------
    list of dict
        Rows of ``variations.tsv`` of the pair, one a variation.
    """
    rows = []
    for variation in protocol.sensitivity:
        rule = variation.changes.get("spill_in", {}).get("rule", protocol.spill_in.rule)
        first, second = (table[table["variation"] == variation.name] for table in tables)
        levels = {
            name: _levels(
                first[first["vessel"] == name], second[second["vessel"] == name], paired.get(name), rule, protocol
            )
            for name in protocol.summary.index_candidates
        }
        row = {"participant_id": participant_id, "variation": variation.name, **dict.fromkeys(list(COLUMNS)[2:])}
        known = {name: level for name, level in levels.items() if level[0] is not None}
        if known:
            index = max(known, key=lambda name: known[name][0] or 0.0)
            row |= {"index_vessel": index, "baseline": known[index][0], "followup": known[index][1]}
        if row["baseline"] is None or row["followup"] is None:
            at = "baseline" if row["baseline"] is None else "follow-up"
            row["reason"] = f"no vessel could be measured at {at} under this variation"
        rows.append(row)
    return rows


def _levels(
    first: pd.DataFrame, second: pd.DataFrame, vessel: PairedVessel | None, rule: str, protocol: Protocol
) -> tuple[float | None, float | None]:
    """Mean of the valid sections at both visits; None where a visit has too few, or needs a reader."""
    valid = [table["valid"].to_numpy(bool) for table in (first, second)]
    if rule in EXCLUDING and vessel is not None and len(first) and len(second):
        match = _match(first, second, vessel)
        outs = left_out(suspected(first), suspected(second), match, rule)
        valid = [keep & ~out for keep, out in zip(valid, outs, strict=True)]
    levels: list[float | None] = []
    for table, keep in zip((first, second), valid, strict=True):
        values = table["value"].to_numpy(float)[keep]
        enough = len(values) >= protocol.summary.index_minimum_sections and np.isfinite(values).all()
        levels.append(float(values.mean()) if enough and not table["withheld"].any() else None)
    return levels[0], levels[1]


def _match(first: pd.DataFrame, second: pd.DataFrame, vessel: PairedVessel) -> Any:
    """Follow-up row of each baseline row by the primary protocol's correspondence; -1 where there is none."""
    match = np.full(len(first), -1)
    if vessel.correspondence is None:
        return match
    heights = [table["z_mm"].to_numpy(float) for table in vessel.slices]
    pairs = [(heights[0][n], heights[1][m]) for n, m in enumerate(vessel.correspondence.match) if m >= 0]
    here, there = (table["z_mm"].to_numpy(float) for table in (first, second))
    for z, other in pairs:
        rows, others = (
            np.flatnonzero(np.abs(here - z) < TOLERANCE_MM),
            np.flatnonzero(np.abs(there - other) < TOLERANCE_MM),
        )
        if len(rows) and len(others):
            match[rows[0]] = others[0]
    return match
