"""What the pipeline should find: sections and vessels measured in the phantom's own regions."""

from __future__ import annotations

from typing import Any

import numpy as np

from petflame.anatomy import AORTA, ARTERIES, BY_NAME, TARGET_VESSELS
from petflame.simulate.anatomy import Anatomy
from petflame.simulate.lattice import Lattice
from petflame.simulate.pet import Uptake
from petflame.simulate.vessels import Artery
from petflame.space.grid import Array
from petflame.space.polyline import length_mm

ACTIVE_THRESHOLD = 2.0
MDS_MM = 15.0

DEFINITIONS = {
    "region": "PET voxel centres inside the painted outer wall surface, per axial PET slice",
    "as_written": "SUVbw recomputed from the stored (quantised) pixel values",
    "noiseless": "same grid before noise and quantisation",
    "blood_pool": "aorta: SVC core; carotids: voxel-weighted mean of both jugular cores; core = voxel centres within "
    "max(r - 4 mm, 2 mm) of the centreline",
    "tbr_max": "SUVmax of the section's region / blood-pool mean",
    "mean_tbr_max": "mean of tbr_max over the sections of the vessel",
    "mds_tbr_max": "largest mean tbr_max over round(15 mm / section distance) contiguous sections",
    "active_fraction": "share of sections with tbr_max >= 2.0",
    "partial": "region has less than half of the vessel's median voxel count; still counted",
    "true_wall_suv": "mean of the painted wall's uptake over its length and circumference, before blur",
    "true_excess_factor": "what treatment multiplied the wall's excess over blood by (1: no effect)",
    "truth_labels": "truth/*.nii.gz: the voxels used here; 6-8 are the blood-pool cores themselves",
}


def measured(suv: Array, labels: Array, lattice: Lattice) -> dict[str, Any]:
    """Measure every vessel of one image in the given regions.

    Parameters
    ----------
    suv : (slices, rows, columns) array
        SUVbw, g/mL.
    labels : (slices, rows, columns) uint8 array
        Regions on the same lattice; labels 6 to 8 are blood-pool cores.
    lattice : Lattice

    Returns
    -------
    dict
        ``blood_pool`` {region: {suv, voxels}} and ``vessels`` {name: {sections, mean_tbr_max, ...}}.
    """
    pools = {}
    for name in ("svc", "jugular_right", "jugular_left"):
        inside = labels == BY_NAME[name].label
        pools[name] = {"suv": float(suv[inside].mean(dtype=float)), "voxels": int(inside.sum())}
    right, left = pools["jugular_right"], pools["jugular_left"]
    both = right["voxels"] + left["voxels"]
    pooled = (right["suv"] * right["voxels"] + left["suv"] * left["voxels"]) / both
    pools["jugular_both"] = {"suv": pooled, "voxels": both}
    vessels = {}
    for name in ARTERIES:
        pool = "svc" if name in AORTA else "jugular_both"
        vessels[name] = {"blood_pool": pool} | _vessel(suv, labels == BY_NAME[name].label, lattice, pools[pool]["suv"])
    return {"blood_pool": pools, "vessels": vessels}


def _vessel(suv: Array, inside: Array, lattice: Lattice, background_suv: float) -> dict[str, Any]:
    sections = []
    for k in np.flatnonzero(inside.any(axis=(1, 2))):
        values = suv[k][inside[k]].astype(float)
        sections.append(
            {
                "z_mm": round(float(lattice.z[k]), 4),
                "voxels": len(values),
                "suv_max": float(values.max()),
                "suv_mean": float(values.mean()),
                "tbr_max": float(values.max()) / background_suv,
            }
        )
    if not sections:
        return {"sections": [], "mean_tbr_max": None}
    half = 0.5 * float(np.median([s["voxels"] for s in sections]))
    for section in sections:
        section["partial"] = section["voxels"] < half
    tbr = np.array([s["tbr_max"] for s in sections])
    span = min(max(1, round(MDS_MM / lattice.spacing_mm[2])), len(tbr))
    windows = np.convolve(tbr, np.ones(span) / span, mode="valid")
    return {
        "sections": sections,
        "mean_tbr_max": float(tbr.mean()),
        "mean_suv_max": float(np.mean([s["suv_max"] for s in sections])),
        "mds_tbr_max": float(windows.max()),
        "active_fraction": float((tbr >= ACTIVE_THRESHOLD).mean()),
    }


def wall_suv(artery: Artery, uptake: Uptake) -> float:
    """Return the mean uptake of an artery's painted wall before any blur, SUVbw."""
    length = length_mm(artery.lumen.points_mm)
    arc, angle = np.meshgrid(np.arange(0.0, length, 2.0), np.linspace(-np.pi, np.pi, 24, endpoint=False))
    gain, thickness = artery.profile(arc, angle)
    mean_gain = float((gain * thickness).sum() / thickness.sum())
    return uptake.blood_suv * (1.0 + uptake.excess[artery.group] * mean_gain)


def true_walls(anatomy: Anatomy, uptake: Uptake) -> dict[str, float]:
    """Return the true wall uptake of every measured artery, SUVbw; the aorta's parts share one wall."""
    out = {}
    for name in ARTERIES:
        artery = anatomy.vessels.artery("aorta" if name in AORTA else name)
        out[name] = wall_suv(artery, uptake)
    return out


def index_vessel(baseline: dict[str, Any]) -> str:
    """Return the target vessel with the highest mean TBRmax at baseline (ties: the order of the vocabulary)."""
    return max(TARGET_VESSELS, key=lambda v: baseline["vessels"][v]["mean_tbr_max"] or 0.0)


def percent_change(baseline: dict[str, Any], followup: dict[str, Any]) -> dict[str, float | None]:
    """Return the percent change of mean TBRmax from baseline for every vessel."""
    out: dict[str, float | None] = {}
    for name in ARTERIES:
        before = baseline["vessels"][name]["mean_tbr_max"]
        after = followup["vessels"][name]["mean_tbr_max"]
        out[name] = 100.0 * (after / before - 1.0) if before and after else None
    return out
