"""A vessel's measures from the rows of its sections; `pair` uses them again on the sections both visits share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from petflame.measure.uptake import VesselSummary, summarise
from petflame.protocol import SummaryRules
from petflame.space.grid import Array


def summary_of(planes: Array, tbr_max: Array, valid: Array, spacing_mm: float, rules: SummaryRules) -> VesselSummary:
    """Sum a vessel up; a plane without the vessel is a gap, which no segment bridges.

    Parameters
    ----------
    planes : (n,) int array
        Number of each section's plane, rising.
    tbr_max : (n,) array
    valid : (n,) bool array
    spacing_mm : float
    rules : SummaryRules

    Returns
    -------
    VesselSummary
        Its sections count the rows given.
    """
    if not len(planes):
        return summarise(np.zeros(0), np.zeros(0, bool), spacing_mm, rules)
    rows = np.asarray(planes, int) - int(planes[0])
    dense, dense_valid = np.full(rows[-1] + 1, np.nan), np.zeros(rows[-1] + 1, bool)
    dense[rows], dense_valid[rows] = tbr_max, valid
    found = summarise(dense, dense_valid, spacing_mm, rules)
    number = {int(row): n for n, row in enumerate(rows)}
    return VesselSummary(
        found.mean_tbr_max,
        found.mds_tbr_max,
        tuple(number[r] for r in found.mds_sections),
        found.active_fraction,
        found.active_tbr_max,
        tuple(number[r] for r in found.active_sections),
        found.max_tbr,
    )


def vessel_measures(rows: Mapping[str, Any], spacing_mm: float, rules: SummaryRules) -> dict[str, Any]:
    """Cells of ``vessels.tsv`` that follow from a vessel's rows of ``slices.tsv``.

    Parameters
    ----------
    rows : mapping of column to (n,) array
        plane, valid, tbr_max, tbr_mean, suv_max, background, area_mm2; a missing number is NaN.
    spacing_mm : float
        Distance of neighbouring planes.
    rules : SummaryRules

    Returns
    -------
    dict
        None where a measure does not exist.
    """
    columns = {k: np.asarray(rows[k], float) for k in ("tbr_max", "tbr_mean", "suv_max", "background", "area_mm2")}
    valid = np.asarray(rows["valid"], bool)
    found = summary_of(np.asarray(rows["plane"], int), columns["tbr_max"], valid, spacing_mm, rules)
    suv, background = columns["suv_max"][valid], columns["background"][valid]
    return {
        "valid_sections": int(valid.sum()),
        "mean_tbr_max": found.mean_tbr_max,
        "mds_tbr_max": found.mds_tbr_max,
        "mds_sections": f"{found.mds_sections[0]}-{found.mds_sections[-1]}" if found.mds_sections else None,
        "active_fraction": found.active_fraction,
        "active_tbr_max": found.active_tbr_max,
        "max_tbr": found.max_tbr,
        "mean_tbr_mean": _mean(columns["tbr_mean"][valid]),
        "mean_suv_max": _mean(suv),
        "mean_csuv_max": _mean(suv - background),
        "mean_area_mm2": _mean(columns["area_mm2"][valid]),
    }


def _mean(values: Array) -> float | None:
    mean = float(np.mean(values)) if len(values) else float("nan")
    return None if np.isnan(mean) else mean
