"""Rows of the pair's tables: a vessel, the participant, a section."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from petflame.measure.product import MeasuredVisit
from petflame.pair.comparability import VisitFacts
from petflame.pair.correspondence import Correspondence, correspond
from petflame.pair.shared_spill_in import share_exclusions
from petflame.protocol import Protocol
from petflame.repeatability import Change, Repeatability

if TYPE_CHECKING:
    import pandas as pd

    from petflame.pair.following import Followed


@dataclass(frozen=True, eq=False)
class PairedVessel:
    """A vessel's rows and sections at baseline (a) and follow-up (b).

    Attributes
    ----------
    name : str
    a, b : dict
        Rows of the two ``vessels.tsv``.
    slices : pair of DataFrame
        Rows of the two ``slices.tsv``.
    correspondence : Correspondence or None
        None where a visit has no section.
    locked : dict
        'mds' and 'active': sections locked at baseline.
    contours : str
        Whose the follow-up was measured in.
    """

    name: str
    a: dict[str, Any]
    b: dict[str, Any]
    slices: tuple[pd.DataFrame, pd.DataFrame]
    correspondence: Correspondence | None
    locked: dict[str, list[int]]
    contours: str = "own"

    def locked_followup(self, which: str) -> tuple[float | None, int]:
        """Mean follow-up TBRmax of the valid sections matched to those locked at baseline, and their number."""
        if self.correspondence is None:
            return None, 0
        numbers = self.slices[0]["section"].to_numpy()
        wanted = self.correspondence.match[np.isin(numbers, self.locked[which])]
        rows = np.unique(wanted[wanted >= 0])
        followup = self.slices[1]
        rows = rows[followup["valid"].to_numpy(bool)[rows]]
        # With fewer than half of them found again it would be another segment.
        if 2 * len(rows) < len(self.locked[which]):
            return None, 0
        return (float(followup["tbr_max"].to_numpy()[rows].mean()), len(rows)) if len(rows) else (None, 0)


def pair_vessel(
    name: str,
    first: MeasuredVisit,
    second: MeasuredVisit,
    locked: dict[str, dict[str, list[int]]],
    protocol: Protocol,
    followed: Followed | None = None,
    contours: str = "own",
) -> PairedVessel:
    """Put the two visits of a vessel side by side, with the sections locked at baseline."""
    a, b = (v.slices[v.slices["vessel"] == name].reset_index(drop=True) for v in (first, second))
    found = None
    if len(a) and len(b):
        spacing = float(first.details["section_spacing_mm"])
        found = correspond(name, a, b, (first.segmentation, second.segmentation), spacing, followed)
    rows, slices, own = (first.row(name), second.row(name)), (a, b), locked.get(name, {"mds": [], "active": []})
    if found is not None:
        rows, slices, own = share_exclusions(rows, slices, found.match, own, spacing, protocol)
    return PairedVessel(name, *rows, slices, found, own, contours)


def ratio(numerator: float | None, denominator: float | None) -> float | None:
    """Divide; None where either is missing or zero."""
    return None if not numerator or not denominator else numerator / denominator


def _change(a: float | None, b: float | None, repeatability: Repeatability) -> Change | None:
    return repeatability.change(a, b) if a and b else None


def _change_cells(change: Change | None) -> dict[str, Any]:
    return {
        "change": change.difference if change else None,
        "percent_change": change.percent if change else None,
        "percent_low": change.percent_low if change else None,
        "percent_high": change.percent_high if change else None,
    }


def vessel_row(v: PairedVessel, participant_id: str, index: str, repeatability: Repeatability) -> dict[str, Any]:
    """Row of ``vessels.tsv``."""
    a, b = v.a, v.b
    reason = "; ".join(
        f"{visit}: {row['reason']}" for visit, row in (("baseline", a), ("followup", b)) if row.get("reason")
    )
    return {
        "participant_id": participant_id,
        "vessel": v.name,
        "index": v.name == index,
        "tbr_max_baseline": a.get("mean_tbr_max"),
        "tbr_max_followup": b.get("mean_tbr_max"),
        **_change_cells(_change(a.get("mean_tbr_max"), b.get("mean_tbr_max"), repeatability)),
        "mds_baseline": a.get("mds_tbr_max"),
        "mds_locked_followup": v.locked_followup("mds")[0],
        "mds_refound_followup": b.get("mds_tbr_max"),
        "active_fraction_baseline": a.get("active_fraction"),
        "active_fraction_followup": b.get("active_fraction"),
        "active_baseline": a.get("active_tbr_max"),
        "active_locked_followup": v.locked_followup("active")[0],
        "active_refound_followup": b.get("active_tbr_max"),
        "background_suv_baseline": a.get("background_suv"),
        "background_suv_followup": b.get("background_suv"),
        "sections_baseline": a.get("valid_sections"),
        "sections_followup": b.get("valid_sections"),
        "matched_sections": 0 if v.correspondence is None else int((v.correspondence.match >= 0).sum()),
        "correspondence": None if v.correspondence is None else v.correspondence.method,
        "followup_contours": v.contours,
        "area_ratio": ratio(b.get("mean_area_mm2"), a.get("mean_area_mm2")),
        "withheld": bool(a.get("withheld")) or bool(b.get("withheld")),
        "read_prefilled": bool(a.get("read_prefilled")) or bool(b.get("read_prefilled")),
        "reason": reason,
    }


def candidate_cells(considered: Iterable[str], left_out: Iterable[str]) -> dict[str, str]:
    """Cells of ``patients.tsv`` that tell what the index vessel was chosen among.

    >>> candidate_cells(("carotid_right",), {"aorta_ascending": "is withheld"})
    {'index_considered': 'carotid_right', 'index_left_out': 'aorta_ascending'}
    """
    return {"index_considered": "+".join(considered), "index_left_out": "+".join(left_out)}


def patient_row(
    paired: dict[str, PairedVessel],
    rows: list[dict[str, Any]],
    index: str,
    participant_id: str,
    protocol: Protocol,
    facts: tuple[VisitFacts, VisitFacts],
    repeatability: Repeatability,
) -> dict[str, Any]:
    """Row of ``patients.tsv``, without comparability and seal."""
    chosen = paired[index]
    row = next(r for r in rows if r["vessel"] == index)
    followup = None if chosen.b.get("withheld") else row["tbr_max_followup"]
    change = _change(row["tbr_max_baseline"], followup, repeatability)
    targets = [r for r in rows if r["vessel"] in protocol.summary.target_vessels and not r["withheld"]]
    both = [r for r in targets if r["tbr_max_baseline"] and r["tbr_max_followup"]]
    why = ""
    if change is None:
        why = f"{index} has no mean TBRmax at follow-up" if not chosen.b.get("withheld") else f"{index} is withheld"
        why += f" ({chosen.b.get('reason') or 'no valid section'})"
    return {
        "participant_id": participant_id,
        "status": "measured" if change is not None else "not_measurable",
        "reason": why,
        "index_vessel": index,
        "tbr_max_baseline": row["tbr_max_baseline"],
        "tbr_max_followup": followup,
        **_change_cells(change),
        "beyond_repeatability": change.beyond_repeatability if change else None,
        "vessel_mean_baseline": float(np.mean([r["tbr_max_baseline"] for r in both])) if both else None,
        "vessel_mean_followup": float(np.mean([r["tbr_max_followup"] for r in both])) if both else None,
        "mds_baseline": row["mds_baseline"],
        "mds_locked_followup": row["mds_locked_followup"],
        "mds_refound_followup": row["mds_refound_followup"],
        **_active_cells([paired[r["vessel"]] for r in targets]),
        "csuv_max_baseline": chosen.a.get("mean_csuv_max"),
        "csuv_max_followup": chosen.b.get("mean_csuv_max"),
        "blood_pool_suv_baseline": chosen.a.get("background_suv"),
        "blood_pool_suv_followup": chosen.b.get("background_suv"),
        "liver_suv_baseline": facts[0].liver_suv_mean,
        "liver_suv_followup": facts[1].liver_suv_mean,
        "uptake_min_baseline": facts[0].uptake_min,
        "uptake_min_followup": facts[1].uptake_min,
        "glucose_mmol_l_baseline": facts[0].glucose_mmol_l,
        "glucose_mmol_l_followup": facts[1].glucose_mmol_l,
        "dose_per_kg_baseline": facts[0].dose_per_kg,
        "dose_per_kg_followup": facts[1].dose_per_kg,
        "scanner": facts[0].scanner.get("model"),
    }


def _active_cells(vessels: list[PairedVessel]) -> dict[str, Any]:
    """Pool the active sections of several vessels, each section counting once."""

    def pooled(values: list[tuple[float | None, int]]) -> float | None:
        known = [(v, n) for v, n in values if v is not None and n]
        return sum(v * n for v, n in known) / sum(n for _, n in known) if known else None

    def number(row: dict[str, Any]) -> int:
        return round((row.get("active_fraction") or 0.0) * (row.get("valid_sections") or 0))

    def fraction(rows: list[dict[str, Any]]) -> float | None:
        valid = sum(r.get("valid_sections") or 0 for r in rows)
        return sum(map(number, rows)) / valid if valid else None

    first, second = [v.a for v in vessels], [v.b for v in vessels]
    return {
        "active_baseline": pooled([(r.get("active_tbr_max"), number(r)) for r in first]),
        "active_locked_followup": pooled([v.locked_followup("active") for v in vessels]),
        "active_refound_followup": pooled([(r.get("active_tbr_max"), number(r)) for r in second]),
        "active_fraction_baseline": fraction(first),
        "active_fraction_followup": fraction(second),
    }


def section_rows(v: PairedVessel) -> list[dict[str, Any]]:
    """Rows of ``sections.tsv``: matched sections, then those found at follow-up alone."""
    if v.correspondence is None:
        return []
    found, (first, second) = v.correspondence, v.slices
    rows = []
    for n, (number, tbr) in enumerate(zip(first["section"], first["tbr_max"], strict=True)):
        m = int(found.match[n])
        apart = abs(found.positions_baseline[n] - found.positions_followup[m]) if m >= 0 else None
        rows.append(
            {
                "vessel": v.name,
                "section_baseline": number,
                "section_followup": second["section"].iloc[m] if m >= 0 else None,
                "position_mm": found.positions_baseline[n],
                "distance_mm": apart,
                "tbr_max_baseline": tbr,
                "tbr_max_followup": second["tbr_max"].iloc[m] if m >= 0 else None,
                "active_baseline": int(number) in v.locked["active"],
                "mds_baseline": int(number) in v.locked["mds"],
            }
        )
    unmatched = sorted(set(range(len(second))) - set(found.match.tolist()))
    rows.extend(
        {
            "vessel": v.name,
            "section_followup": second["section"].iloc[m],
            "position_mm": found.positions_followup[m],
            "tbr_max_followup": second["tbr_max"].iloc[m],
            "active_baseline": False,
            "mds_baseline": False,
        }
        for m in unmatched
    )
    return rows
