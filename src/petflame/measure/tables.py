"""Rows of a visit's tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from petflame.anatomy import ARTERIES
from petflame.measure.alignment import noted_shift
from petflame.measure.background import BloodPool
from petflame.measure.blood_reading import Blood, wall_mm
from petflame.measure.columns import SLICE_COLUMNS, VESSEL_COLUMNS
from petflame.measure.images import VisitImages
from petflame.measure.partial_volume import COLUMNS, corrected_row
from petflame.measure.summary import vessel_measures
from petflame.measure.uptake import Uptake
from petflame.measure.validity import SPILL_IN, Verdict
from petflame.protocol import PartialVolumeRules, Protocol
from petflame.recovery import wall_recovery
from petflame.segment.product import Segmentation, VesselFinding

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class MeasuredVessel:
    """What is known of a vessel before its rows are written.

    Attributes
    ----------
    verdicts : list of Verdict
        Its sections with what is said of each.
    uptakes : list of Uptake or None
        Of each section; None out of view.
    pool : BloodPool or None
    images : VisitImages
        As it was measured on them.
    moved : bool
        Whether they were moved to undo a shift between PET and CT.
    """

    verdicts: list[Verdict]
    uptakes: list[Uptake | None]
    pool: BloodPool | None
    images: VisitImages
    moved: bool = False


def slice_table(measured: dict[str, MeasuredVessel], is_suv: bool) -> pd.DataFrame:
    """Rows of ``slices.tsv``."""
    import pandas as pd

    rows = []
    for name, vessel in measured.items():
        background = vessel.pool.mean if vessel.pool is not None else None
        for n, (verdict, uptake) in enumerate(zip(vessel.verdicts, vessel.uptakes, strict=True)):
            suv, section = uptake if is_suv else None, verdict.section
            known = uptake is not None and background is not None
            rows.append(
                {
                    "vessel": name,
                    "section": n,
                    "z_mm": section.z_mm,
                    "arc_mm": section.arc_mm,
                    "area_mm2": section.area_mm2,
                    "voxels": len(section.ijk),
                    "suv_max": None if suv is None else suv.maximum,
                    "suv_mean": None if suv is None else suv.mean,
                    "suv_peak": None if suv is None else suv.peak,
                    "background": background if is_suv else None,
                    "tbr_max": uptake.maximum / background if known else None,  # type: ignore[union-attr,operator]
                    "tbr_mean": uptake.mean / background if known else None,  # type: ignore[union-attr,operator]
                    "valid": verdict.valid,
                    "reason": "; ".join(verdict.reasons),
                    "plane": section.plane,
                    "spill_in_source": verdict.spill_in.source or None,
                    "spill_in_test": verdict.spill_in.test or None,
                    "spill_in_voxels": int(verdict.spill_in.voxels.sum()),
                }
            )
    # By column: a frame made of rows goes through every cell's type.
    table = pd.DataFrame({column: [row[column] for row in rows] for column in SLICE_COLUMNS})
    numbers = ["z_mm", "arc_mm", "area_mm2", "suv_max", "suv_mean", "suv_peak", "background", "tbr_max", "tbr_mean"]
    return table.astype(dict.fromkeys(numbers, float))


def vessel_table(
    slices: pd.DataFrame,
    measured: dict[str, MeasuredVessel],
    segmentation: Segmentation,
    spacing_mm: float,
    protocol: Protocol,
    is_suv: bool,
    blood: Blood,
) -> pd.DataFrame:
    """Rows of ``vessels.tsv``, from those of ``slices.tsv``; doubts about the blood stand whoever accepted the vein."""
    import pandas as pd

    rows = []
    for name in ARTERIES:
        finding, vessel = segmentation.vessels.get(name), measured.get(name)
        if vessel is None:
            reason = finding.reason if finding is not None and finding.reason else "not in the label map"
            bare = {"vessel": name, "sections": 0, "valid_sections": 0, "withheld": True, "reason": reason}
            rows.append(bare | {"read_prefilled": finding is not None and finding.prefilled})
            continue
        own = slices[slices["vessel"] == name]
        measures = vessel_measures({str(c): own[c].to_numpy() for c in own}, spacing_mm, protocol.summary)
        row = _vessel_row(name, vessel, measures, finding, protocol, is_suv)
        doubtful = withheld_veins(vessel, segmentation)
        veins = vessel.pool.regions if vessel.pool is not None else ()
        # A withheld vein takes its artery with it, and says why there.
        counting = [v for v in veins if v in segmentation.vessels and v not in doubtful]
        doubts = [f"{v}: {said}" for v in counting for said in segmentation.vessels[v].pool_doubts]
        row["background_doubt"] = "; ".join([*doubts, *blood.doubts_of(vessel.pool, vessel.images)])
        if doubtful:
            why = "; ".join(f"its blood pool {v} needs a reader: {segmentation.vessels[v].reason}" for v in doubtful)
            row |= {"withheld": True, "reason": "; ".join(filter(None, [row["reason"], why]))}
        rows.append(row)
    whole = dict.fromkeys(("sections", "valid_sections"), int)
    return pd.DataFrame(rows, columns=list(VESSEL_COLUMNS)).astype(whole)


def withheld_veins(vessel: MeasuredVessel, segmentation: Segmentation) -> list[str]:
    """Veins of a vessel's blood pool that need a reader, and with them the vessel."""
    veins = vessel.pool.regions if vessel.pool is not None else ()
    return [v for v in veins if v in segmentation.vessels and segmentation.vessels[v].withheld]


def expected_recovery(vessel: str, area_mm2: float | None, assumed: PartialVolumeRules) -> float | None:
    """Share of the wall's contrast to blood that its brightest point keeps, for a tube of this area."""
    if not area_mm2:
        return None
    return wall_recovery(float(np.sqrt(area_mm2 / np.pi)), wall_mm(vessel, assumed), assumed.psf_fwhm_mm)


def partial_volume_table(
    measured: dict[str, MeasuredVessel], assumed: PartialVolumeRules, is_suv: bool
) -> pd.DataFrame:
    """Rows of ``partial_volume.tsv``: a sensitivity analysis."""
    import pandas as pd

    rows = [
        corrected_row(
            name,
            vessel.images,
            vessel.pool.mean if vessel.pool is not None else None,
            wall_mm(name, assumed),
            assumed.psf_fwhm_mm,
            is_suv,
        )
        for name, vessel in measured.items()
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _vessel_row(
    name: str,
    vessel: MeasuredVessel,
    measures: dict[str, Any],
    finding: VesselFinding | None,
    protocol: Protocol,
    is_suv: bool,
) -> dict[str, Any]:
    assumed = protocol.partial_volume
    pool, mean = vessel.pool, measures["mean_tbr_max"]
    shift = noted_shift(finding, protocol.region)
    reason = finding.reason if finding is not None else ""
    if not measures["valid_sections"]:
        codes = sorted({r for v in vessel.verdicts for r in v.reasons}) or ["no PET voxel centre lies inside it"]
        reason = "; ".join(filter(None, [reason, *codes]))
    return {
        "vessel": name,
        "sections": len(vessel.verdicts),
        "background_region": None if pool is None else "+".join(pool.regions),
        "background_suv": pool.mean if pool is not None and is_suv else None,
        "background_sd_suv": pool.sd if pool is not None and is_suv else None,
        "background_voxels": None if pool is None else pool.voxels,
        **measures,
        "length_mm": float(finding.arc_mm[-1]) if finding is not None and len(finding.arc_mm) else None,
        "method": finding.method if finding is not None else None,
        "confidence": finding.confidence if finding is not None else None,
        "withheld": bool(finding.withheld) if finding is not None else False,
        "read_prefilled": bool(finding.prefilled) if finding is not None else False,
        "reason": reason,
        "background_choice": None if pool is None else pool.choice,
        "background_se_suv": pool.se if pool is not None and is_suv else None,
        "background_effective_voxels": None if pool is None else pool.effective_voxels,
        "background_sections": None if pool is None else pool.sections,
        "mean_tbr_max_se_background": None if pool is None or mean is None else mean * pool.se / pool.mean,
        "expected_recovery": expected_recovery(name, measures["mean_area_mm2"], assumed),
        "spill_in_sections": sum(SPILL_IN in v.reasons for v in vessel.verdicts),
        "pet_ct_shift_mm": None if shift is None else shift.length_mm,
        "pet_ct_shift_sd_mm": None if shift is None else max(shift.sd_mm),
        "pet_ct_corrected": vessel.moved,
    }
