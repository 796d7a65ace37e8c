"""Measuring one converted and segmented visit, blind to who it is, when it was and which arm."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from petflame import __version__
from petflame.anatomy import ARTERIES, BY_NAME, VEINS
from petflame.errors import FaultList, InputRefused
from petflame.files import read_json, read_nifti, write_json, write_tsv
from petflame.grid import Array, Volume
from petflame.measure.background import BloodPool, blood_pool, core_voxels
from petflame.measure.columns import SLICE_COLUMNS, VESSEL_COLUMNS
from petflame.measure.sections import Section, cut_on_ct, cut_on_pet
from petflame.measure.uptake import Uptake, VesselSummary, peak_sphere, section_uptake, summarise
from petflame.protocol import Protocol
from petflame.segment.orientation import to_canonical
from petflame.segment.product import Segmentation, VesselFinding, read_segmentation
from petflame.study import VisitFolder

if TYPE_CHECKING:
    import pandas as pd

LIVER_DEPTH_MM = 10.0


@dataclass(frozen=True, eq=False)
class Measurement:
    """Tables of one visit, in memory.

    Attributes
    ----------
    slices, vessels : DataFrame
        As in ``slices.tsv`` and ``vessels.tsv``.
    details : dict
        Blood pools, liver, warnings: the content of ``measure.json``.
    """

    slices: pd.DataFrame
    vessels: pd.DataFrame
    details: dict[str, Any]


@dataclass(frozen=True, eq=False)
class _Vessel:
    sections: list[Section]
    uptakes: list[Uptake | None]
    valid: Array
    reasons: list[str]
    tbr_max: Array
    summary: VesselSummary
    pool: BloodPool | None


def measure(pet: Volume, segmentation: Segmentation, protocol: Protocol, is_suv: bool = True) -> Measurement:
    """Measure every artery of a visit.

    Parameters
    ----------
    pet : Volume
        SUVbw (g/mL), or Bq/mL where `is_suv` is False; any axis order and direction.
    segmentation : Segmentation
        Labels on the CT or the PET grid.
    protocol : Protocol
    is_suv : bool
        Where False, columns in g/mL are left empty; ratios stay.

    Returns
    -------
    Measurement
    """
    pet = to_canonical(pet)
    labels = to_canonical(segmentation.labels)
    if segmentation.reference == "pet" and not labels.grid.same_as(pet.grid, 0.01):
        raise InputRefused.of("the labels no longer lie on the PET grid", "labels.nii.gz", "segment the visit again")
    present = set(np.flatnonzero(np.bincount(labels.data.ravel())).tolist())

    def cut(name: str, margin_mm: float) -> list[Section]:
        if BY_NAME[name].label not in present:
            return []
        mask = Volume(labels.data == BY_NAME[name].label, labels.grid)
        finding = segmentation.vessels.get(name)
        line = finding.centreline_lps_mm if finding is not None else np.zeros((0, 3))
        spacing = protocol.region.slice_spacing_mm if name in ARTERIES else None
        if segmentation.reference == "pet" and spacing is None:
            return cut_on_pet(mask, line, margin_mm)
        return cut_on_ct(mask, pet.grid, line, margin_mm, spacing)

    cores = {
        name: core_voxels(cut(name, 0.0), segmentation.vessels[name].centreline_lps_mm, pet, protocol.background)
        for name in VEINS
        if BY_NAME[name].label in present
    }
    faults = FaultList()
    pools = {
        vessel: blood_pool(protocol.background.regions[vessel], cores, pet, faults)
        for vessel in ARTERIES
        if vessel in protocol.background.regions and BY_NAME[vessel].label in present
    }
    sphere = peak_sphere(pet.grid.spacing_mm)
    measured = {
        name: _measure_vessel(cut(name, protocol.region.roi_margin_mm), pools.get(name), pet, sphere, protocol)
        for name in ARTERIES
        if BY_NAME[name].label in present
    }
    if not measured:
        raise InputRefused.of("no artery is labelled", "labels.nii.gz", "segment the visit again")
    warnings = sorted({f"{f.where}: {f.what}; {f.remedy}" for f in faults})
    warnings += [
        f"{vessel}: blood pool from {'+'.join(pool.regions)} alone; the protocol asks for "
        f"{'+'.join(protocol.background.regions[vessel])}"
        for vessel, pool in pools.items()
        if pool is not None and pool.regions != protocol.background.regions[vessel]
    ]
    details = {
        **protocol.stamp,
        "petflame_version": __version__,
        "is_suv": is_suv,
        "reference_grid": segmentation.reference,
        "section_spacing_mm": protocol.region.slice_spacing_mm or pet.grid.spacing_mm[2],
        "blood_pools": {name: _pool_facts(cores[name], pet, is_suv) for name in cores},
        "liver_suv_mean": _liver(cut("liver", 0.0), pet) if is_suv else None,
        "warnings": [*segmentation.warnings, *warnings],
    }
    return Measurement(_slice_table(measured, is_suv), _vessel_table(measured, segmentation, protocol, is_suv), details)


def _pool_facts(core: Array, pet: Volume, is_suv: bool) -> dict[str, Any]:
    values = pet.data[tuple(core.T)].astype(float)
    if not len(values):
        return {"voxels": 0, "suv_mean": None, "suv_sd": None}
    sd = float(values.std(ddof=1)) if len(values) > 1 else None
    return {
        "voxels": len(values),
        "suv_mean": float(values.mean()) if is_suv else None,
        "suv_sd": sd if is_suv else None,
    }


def _liver(sections: list[Section], pet: Volume) -> float | None:
    deep = [
        pet.data[s.ij[s.depth_mm >= LIVER_DEPTH_MM, 0], s.ij[s.depth_mm >= LIVER_DEPTH_MM, 1], round(s.k)]
        for s in sections
        if s.in_view
    ]
    values = np.concatenate(deep) if deep else np.zeros(0)
    return float(values.astype(float).mean()) if len(values) >= 20 else None


def _measure_vessel(
    sections: list[Section],
    pool: BloodPool | None,
    pet: Volume,
    sphere: tuple[Array, Array],
    protocol: Protocol,
) -> _Vessel:
    reasons = ["" if s.in_view else "outside_field_of_view" for s in sections]
    uptakes = [section_uptake(s, pet, sphere) if s.in_view else None for s in sections]
    if protocol.region.trim_end_sections:
        for position in end_sections(sections, protocol.region.partial_section_fraction):
            reasons[position] = reasons[position] or "partial_end_section"
    if pool is None:
        reasons = [reason or "no_background" for reason in reasons]
    valid = np.array([not reason for reason in reasons], bool)
    maxima = np.array([np.nan if u is None else u.maximum for u in uptakes])
    tbr_max = maxima / pool.mean if pool is not None else np.full(len(sections), np.nan)
    return _Vessel(sections, uptakes, valid, reasons, tbr_max, _summary(sections, tbr_max, valid, pet, protocol), pool)


def end_sections(sections: list[Section], fraction: float) -> list[int]:
    """Positions of sections at either end that hold less than `fraction` of the vessel's median voxel count."""
    counts = np.array([len(s.ij) for s in sections])
    if not len(counts):
        return []
    small = counts < fraction * np.median(counts)
    full = np.flatnonzero(~small)
    return [n for n in range(len(counts)) if n < full[0] or n > full[-1]] if len(full) else []


def _summary(sections: list[Section], tbr_max: Array, valid: Array, pet: Volume, protocol: Protocol) -> VesselSummary:
    spacing = protocol.region.slice_spacing_mm or pet.grid.spacing_mm[2]
    if not sections:
        return summarise(np.zeros(0), np.zeros(0, bool), spacing, protocol.summary)
    # Planes without the vessel count as gaps, so that a segment never bridges one.
    step = spacing / pet.grid.spacing_mm[2]
    rows = np.round((np.array([s.k for s in sections]) - sections[0].k) / step).astype(int)
    dense, dense_valid = np.full(rows[-1] + 1, np.nan), np.zeros(rows[-1] + 1, bool)
    dense[rows], dense_valid[rows] = tbr_max, valid
    found = summarise(dense, dense_valid, spacing, protocol.summary)
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


def _slice_table(measured: dict[str, _Vessel], is_suv: bool) -> pd.DataFrame:
    import pandas as pd

    rows = []
    for name, vessel in measured.items():
        for n, (section, uptake) in enumerate(zip(vessel.sections, vessel.uptakes, strict=True)):
            background = vessel.pool.mean if vessel.pool is not None else None
            suv = uptake if is_suv else None
            rows.append(
                {
                    "vessel": name,
                    "section": n,
                    "z_mm": section.z_mm,
                    "arc_mm": section.arc_mm,
                    "area_mm2": section.area_mm2,
                    "voxels": len(section.ij),
                    "suv_max": None if suv is None else suv.maximum,
                    "suv_mean": None if suv is None else suv.mean,
                    "suv_peak": None if suv is None else suv.peak,
                    "background": background if is_suv else None,
                    "tbr_max": vessel.tbr_max[n],
                    "tbr_mean": None if uptake is None or background is None else uptake.mean / background,
                    "valid": bool(vessel.valid[n]),
                    "reason": vessel.reasons[n],
                }
            )
    return pd.DataFrame(rows, columns=list(SLICE_COLUMNS))


def _vessel_table(
    measured: dict[str, _Vessel], segmentation: Segmentation, protocol: Protocol, is_suv: bool
) -> pd.DataFrame:
    import pandas as pd

    rows = []
    for name in ARTERIES:
        finding, vessel = segmentation.vessels.get(name), measured.get(name)
        if vessel is None:
            reason = finding.reason if finding is not None and finding.reason else "not in the label map"
            rows.append({"vessel": name, "sections": 0, "valid_sections": 0, "withheld": True, "reason": reason})
            continue
        rows.append(_vessel_row(name, vessel, finding, is_suv))
    return pd.DataFrame(rows, columns=list(VESSEL_COLUMNS)).astype({"sections": int, "valid_sections": int})


def _vessel_row(name: str, vessel: _Vessel, finding: VesselFinding | None, is_suv: bool) -> dict[str, Any]:
    summary, pool = vessel.summary, vessel.pool
    used = [u for u, ok in zip(vessel.uptakes, vessel.valid, strict=True) if ok and u is not None]
    areas = [s.area_mm2 for s, ok in zip(vessel.sections, vessel.valid, strict=True) if ok]
    reason = finding.reason if finding is not None else ""
    if not used:
        why = sorted({r for r in vessel.reasons if r}) or ["no PET voxel centre lies inside it"]
        reason = "; ".join(filter(None, [reason, *why]))
    suv_max = np.array([u.maximum for u in used])
    return {
        "vessel": name,
        "sections": len(vessel.sections),
        "valid_sections": int(vessel.valid.sum()),
        "background_region": None if pool is None else "+".join(pool.regions),
        "background_suv": pool.mean if pool is not None and is_suv else None,
        "background_sd_suv": pool.sd if pool is not None and is_suv else None,
        "background_voxels": None if pool is None else pool.voxels,
        "mean_tbr_max": summary.mean_tbr_max,
        "mds_tbr_max": summary.mds_tbr_max,
        "mds_sections": f"{summary.mds_sections[0]}-{summary.mds_sections[-1]}" if summary.mds_sections else None,
        "active_fraction": summary.active_fraction,
        "active_tbr_max": summary.active_tbr_max,
        "max_tbr": summary.max_tbr,
        "mean_tbr_mean": float(np.mean([u.mean for u in used]) / pool.mean) if used and pool is not None else None,
        "mean_suv_max": float(suv_max.mean()) if used and is_suv else None,
        "mean_csuv_max": float((suv_max - pool.mean).mean()) if used and pool is not None and is_suv else None,
        "mean_area_mm2": float(np.mean(areas)) if areas else None,
        "length_mm": float(finding.arc_mm[-1]) if finding is not None and len(finding.arc_mm) else None,
        "method": finding.method if finding is not None else None,
        "confidence": finding.confidence if finding is not None else None,
        "withheld": bool(finding.withheld) if finding is not None else False,
        "reason": reason,
    }


def measure_visit(root: Path, protocol: Protocol) -> Measurement:
    """Measure a visit folder and write ``slices.tsv``, ``vessels.tsv`` and ``measure.json`` into it.

    Raises
    ------
    InputRefused
        When the folder is not converted and segmented, or holds no artery.
    """
    visit = VisitFolder(root)
    sidecar = read_json(visit.pet_json, "run `petflame convert` first")
    segmentation = read_segmentation(visit)
    pet = read_nifti(visit.pet, "run `petflame convert` first")
    if not np.isfinite(pet.data).all():
        raise InputRefused.of("it holds values that are not finite", str(visit.pet), "convert the visit again")
    is_suv = sidecar.get("suv_factor") is not None
    result = measure(pet, segmentation, protocol, is_suv)
    if not is_suv:
        result.details["warnings"].insert(0, "SUV was refused: ratios are measured on Bq/mL, columns in g/mL are empty")
    write_tsv(visit.slices, result.slices, SLICE_COLUMNS)
    write_tsv(visit.vessels, result.vessels, VESSEL_COLUMNS)
    write_json(visit.measure_json, result.details)
    return result
