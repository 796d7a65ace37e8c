"""The same sections left out at both visits: what spill-in excludes at one is excluded at the other too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from petflame.measure.summary import vessel_measures
from petflame.measure.validity import SPILL_IN
from petflame.protocol import Protocol
from petflame.space.grid import Array

if TYPE_CHECKING:
    import pandas as pd

OTHER_VISIT = "spill_in_at_other_visit"
EXCLUDING = ("exclude_sections", "exclude_voxels")
Rows = dict[str, Any]


def suspected(slices: pd.DataFrame) -> Array:
    """Rows of ``slices.tsv`` with suspected spill-in, shape (n,) bool."""
    return slices["reason"].fillna("").astype(str).str.split("; ").map(lambda codes: SPILL_IN in codes).to_numpy(bool)


def left_out(first: Array, second: Array, match: Array, rule: str) -> tuple[Array, Array]:
    """Sections to leave out at each visit because of the other.

    Parameters
    ----------
    first, second : (n,), (m,) bool arrays
        Suspected sections at baseline and at follow-up.
    match : (n,) int array
        Follow-up section of each baseline section, -1 where there is none.
    rule : {'exclude_sections', 'exclude_voxels'}
        Where voxels are excluded, a section that lost some at one visit alone is not the same section at both, so it
        is left out at both.

    Returns
    -------
    pair of bool arrays, (n,) and (m,)

    >>> a, b = left_out(np.array([True, False]), np.array([False, False]), np.array([0, 1]), "exclude_sections")
    >>> a.tolist(), b.tolist()
    ([False, False], [True, False])
    """
    paired = match >= 0
    there = np.zeros(len(first), bool)
    there[paired] = second[match[paired]]
    here = np.zeros(len(second), bool)
    np.logical_or.at(here, match[paired], first[paired])
    a, b = there & ~first, here & ~second
    if rule == "exclude_voxels":
        a |= first & paired & ~there
        alone = np.zeros(len(second), bool)
        np.logical_or.at(alone, match[paired], ~first[paired])
        b |= second & alone
    return a, b


def share_exclusions(
    rows: tuple[Rows, Rows],
    slices: tuple[pd.DataFrame, pd.DataFrame],
    match: Array,
    locked: dict[str, list[int]],
    spacing_mm: float,
    protocol: Protocol,
) -> tuple[tuple[Rows, Rows], tuple[pd.DataFrame, pd.DataFrame], dict[str, list[int]]]:
    """Leave out at each visit the sections that spill-in excludes at the other; sum the vessel up anew.

    Parameters
    ----------
    rows : pair of dict
        The vessel's rows of ``vessels.tsv`` at baseline and follow-up.
    slices : pair of DataFrame
        Its rows of ``slices.tsv``.
    match : (n,) int array
        Follow-up section of each baseline section, -1 where there is none.
    locked : dict
        Sections locked at baseline, 'mds' and 'active'.
    spacing_mm : float
    protocol : Protocol

    Returns
    -------
    rows, slices, locked
        The locked sets lose what is left out; the baseline's most diseased segment keeps to the rest of its set. All
        is unchanged where the protocol excludes nothing or nothing is left out.
    """
    if protocol.spill_in.rule not in EXCLUDING:
        return rows, slices, locked
    wanted = left_out(suspected(slices[0]), suspected(slices[1]), match, protocol.spill_in.rule)
    outs = [out & table["valid"].to_numpy(bool) for out, table in zip(wanted, slices, strict=True)]
    if not (outs[0].any() or outs[1].any()):
        return rows, slices, locked
    kept, changed = [], []
    for row, table, out, other in zip(rows, slices, outs, ("follow-up", "baseline"), strict=True):
        codes = table["reason"].fillna("").astype(str)
        reasons = np.where(out, codes.where(codes == "", codes + "; ") + OTHER_VISIT, codes)
        table = table.assign(valid=table["valid"].to_numpy(bool) & ~out, reason=reasons)
        measures = vessel_measures({str(c): table[c].to_numpy() for c in table}, spacing_mm, protocol.summary)
        note = f"{int(out.sum())} section(s) left out because of spill-in at {other}" if out.any() else ""
        why = "; ".join(filter(None, [row.get("reason") or "", note]))
        kept.append(table)
        changed.append({**row, **measures, "reason": why})
    gone = set(slices[0].loc[outs[0], "section"].astype(int))
    remaining = {which: [n for n in numbers if n not in gone] for which, numbers in locked.items()}
    if remaining["mds"] != locked["mds"]:
        own = kept[0][kept[0]["section"].isin(remaining["mds"])]
        enough = len(own) and 2 * len(own) >= len(locked["mds"])
        changed[0]["mds_tbr_max"] = float(own["tbr_max"].mean()) if enough else None
        remaining["mds"] = remaining["mds"] if enough else []
    return (changed[0], changed[1]), (kept[0], kept[1]), remaining
