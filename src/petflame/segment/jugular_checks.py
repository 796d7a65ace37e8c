"""Checks of the jugular veins against the PET: do they hold the blood that the other pools hold, and nothing else.

A blood pool's uptake may be judged; an artery's never is, because that would choose the result.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from petflame.anatomy import CAROTIDS
from petflame.labelmap import LabelMap
from petflame.recovery import (
    FWHM_PER_SIGMA,
    RADIAL_SAMPLES,
    blurred_disc,
    core_recovery,
    effective_voxels,
    standard_error,
)
from petflame.segment.product import POOL_CHECKS, Check, Segmentation, VesselFinding
from petflame.space.boxes import box_between, voxels_between
from petflame.space.contours import contours_of, distance_at
from petflame.space.grid import Array, Volume, ras_to_lps
from petflame.space.orientation import to_canonical

JUGULARS = ("jugular_right", "jugular_left")
CAVA, OTHER, EVEN, NEIGHBOUR = POOL_CHECKS
IN_DOUBT = "the blood pool is in doubt"
FWHM_MM = 6.0
# The core that blood is read from (measurement definitions, section 2).
CORE_DEPTH_MM, THIN_CORE_MM = 4.0, 2.0
FEWEST_VOXELS = 4
CERTAINTY = 2.0
# Beyond noise and partial volume; venous blood is one blood by the time of the scan.
RATIO = (0.75, 1.33)
# Coefficient of variation that accreditation allows a uniform region (EARL, liver), and how far a vein's middle is off.
NOISE_CV, OFF_MM = 0.15, 2.0
# What lies beside the vein and adds at least this share to its core spoils the pool.
NEIGHBOUR_MM, SPILL_SHARE, HOT_RATIO = 12.0, 0.10, 2.0


@dataclass(frozen=True)
class Pool:
    """Uptake of a vein's core.

    Attributes
    ----------
    mean, sd, se : float
        In the unit of the image; `se` allows for neighbouring voxels that share their noise.
    effective_voxels : float
    recovery : float
        Lowest share of the blood's uptake that a core of this size keeps.
    explained_cv : float
        Coefficient of variation that noise and partial volume explain at most.
    spilled : float
        Share that a point as hot as a peak outside the vein adds to the nearest part of the core.
    hottest : float
        Uptake of the hottest peak, in multiples of the core's.
    """

    mean: float
    sd: float
    se: float
    effective_voxels: float
    recovery: float
    explained_cv: float
    spilled: float
    hottest: float


def check_jugulars(segmentation: Segmentation, pet: Volume, withhold: bool = True) -> Segmentation:
    """Add checks of their uptake to the jugular veins that have none yet, and warn of those that fail.

    A vein of a reader's seeds, or of software, whose blood differs beyond doubt from the superior vena cava's (or,
    without one, from the other side's) is withheld; what a reader outlined, and a core that is merely uneven or lies
    beside something hot, is only warned about. Warnings name the carotids that may rest on it.

    Parameters
    ----------
    segmentation : Segmentation
        With `check_uptake`'s checks of the superior vena cava.
    pet : Volume
        SUVbw or Bq/mL, any axis order and direction.
    withhold : bool
        Whether a failed check may withhold a vein; False for what a reader has the last word on.
    """
    vessels, warnings = dict(segmentation.vessels), list(segmentation.warnings)
    new = [
        n
        for n in JUGULARS
        if n in vessels
        and len(vessels[n].centreline_lps_mm)
        and not any(c.name in POOL_CHECKS for c in vessels[n].checks)
    ]
    image = to_canonical(pet, copy=False)
    pools = {
        name: pool
        for name in (*JUGULARS, "svc")
        if new and name in vessels and (pool := _pool(name, segmentation.labels, vessels[name], image)) is not None
    }
    cava = pools.get("svc") if _is_sound(vessels.get("svc")) else None
    made = {n: [_alike(CAVA, "svc", pools[n], cava)] if cava is not None else [] for n in JUGULARS if n in pools}
    if len(made) == 2 and all(check.passed for checks in made.values() for check in checks):
        for name, other in zip(JUGULARS, reversed(JUGULARS), strict=True):
            made[name].append(_alike(OTHER, other, pools[name], pools[other]))
    for name in (n for n in new if n in pools):
        checks = [*made[name], *_uniform(pools[name])]
        vessels[name] = replace(vessels[name], checks=(*vessels[name].checks, *checks))
        decisive = CAVA if cava is not None else OTHER
        wrong = [f"{c.name}: {c.message}" for c in checks if not c.passed and c.name == decisive]
        if wrong and withhold and not vessels[name].method.startswith("labels"):
            reason = "; ".join(filter(None, [vessels[name].reason, *wrong]))
            vessels[name] = replace(vessels[name], withheld=True, reason=reason)
            warnings = [w for w in warnings if not w.startswith(f"{name}: needs a reader")]
            warnings.append(f"{name}: needs a reader: {reason}")
    # Labels that a reader edits are checked again, and warned of once.
    warnings = [w for w in warnings if IN_DOUBT not in w]
    resting = " and ".join(n for n in CAROTIDS if n in vessels and len(vessels[n].centreline_lps_mm))
    for name in JUGULARS:
        if name in vessels and (doubts := vessels[name].pool_doubts):
            of = f"; {resting} may rest on it" if resting else ""
            warnings.append(f"{name}: {IN_DOUBT}: {'; '.join(doubts)}{of}")
    return replace(segmentation, vessels=vessels, warnings=tuple(warnings))


def _is_sound(finding: VesselFinding | None) -> bool:
    """Whether a superior vena cava may be held against others: its own checks of uptake, too, have passed."""
    return finding is not None and not finding.withheld and all(c.passed for c in finding.checks if "blood" in c.name)


def _alike(name: str, other: str, own: Pool, reference: Pool) -> Check:
    doubt, their_doubt = (CERTAINTY * p.se if np.isfinite(p.se) else 0.0 for p in (own, reference))
    low = (own.mean + doubt) / own.recovery >= RATIO[0] * (reference.mean - their_doubt)
    high = own.mean - doubt <= RATIO[1] * (reference.mean + their_doubt) / reference.recovery
    said = f"{own.mean / reference.mean:.2f} times the uptake of {other} (between {RATIO[0]:g} and {RATIO[1]:g} "
    said += f"beside noise and partial volume, which leaves at least {own.recovery:.2f})"
    return Check(name, bool(low and high), said)


def _uniform(pool: Pool) -> list[Check]:
    cv = pool.sd / pool.mean
    said = f"varies by {100 * cv:.0f} % in its core, of which noise and partial volume explain up to "
    said += f"{100 * pool.explained_cv:.0f} %; the hottest peak within {NEIGHBOUR_MM:g} mm has {pool.hottest:.1f} "
    said += "times its uptake"
    hot = f"a point as hot as what lies within {NEIGHBOUR_MM:g} mm of it, up to {pool.hottest:.1f} times its uptake, "
    hot += f"would add {100 * pool.spilled:.0f} % to the nearest part of its core (limit {100 * SPILL_SHARE:.0f} %)"
    return [
        Check(EVEN, bool(not cv > pool.explained_cv), said),
        Check(NEIGHBOUR, bool(pool.spilled <= SPILL_SHARE), hot),
    ]


def _pool(name: str, labels: LabelMap, finding: VesselFinding, pet: Volume) -> Pool | None:
    """Read a vein; None where its core has fewer than four voxels or no uptake."""
    if not labels.has(name) or not len(finding.centreline_lps_mm):
        return None
    contours = contours_of(to_canonical(labels.mask(name), copy=False), NEIGHBOUR_MM)
    low, high = pet.grid.reached_by(contours.grid.to_ras(contours.grid.corners()))
    voxels = voxels_between(low, high).reshape(-1, 3)
    places = pet.grid.to_ras(voxels)
    distance = distance_at(contours, places)
    points = ras_to_lps(places)
    off = np.hypot(*(points[:, :2] - _centre_at(finding.centreline_lps_mm, points[:, 2])).T)
    core = (distance <= -CORE_DEPTH_MM) | ((distance < 0) & (off <= THIN_CORE_MM))
    values = pet.data[tuple(voxels[core].T)].astype(float)
    if len(values) < FEWEST_VOXELS or not values.mean() > 0:
        return None
    counts = contours.mask.sum(axis=(0, 1))
    area = float(np.median(counts[counts > 0])) * contours.grid.spacing_mm[0] * contours.grid.spacing_mm[1]
    radius = float(np.sqrt(area / np.pi))
    inner = min(max(radius - CORE_DEPTH_MM, THIN_CORE_MM), radius)
    effective = effective_voxels(voxels[core], pet.grid, FWHM_MM)
    mean, sd = float(values.mean()), float(values.std(ddof=1))
    box = pet.data[box_between(low, high)]
    # Only a peak can be taken for a source: its slopes are hot because of it.
    peaks = (box == ndimage.maximum_filter(box, 3)).ravel()
    outside = np.flatnonzero(peaks & (distance > 0) & (distance <= NEIGHBOUR_MM))
    spilled, hottest = _neighbour(
        points[core], points[outside], pet.data[tuple(voxels[outside].T)].astype(float) / mean
    )
    return Pool(
        mean,
        sd,
        standard_error(sd, len(values), effective),
        effective,
        core_recovery(radius, inner, FWHM_MM),
        _explained_cv(radius, inner, effective),
        spilled,
        hottest,
    )


def _centre_at(line_lps_mm: Array, z_mm: Array) -> Array:
    order = np.argsort(line_lps_mm[:, 2], kind="stable")
    return np.column_stack([np.interp(z_mm, line_lps_mm[order, 2], line_lps_mm[order, axis]) for axis in (0, 1)])


def _explained_cv(radius_mm: float, core_mm: float, effective: float) -> float:
    """Variation that noise and cold surroundings give a core whose middle is off by 2 mm, sampling error included."""
    at = (core_mm + OFF_MM) * np.sqrt((np.arange(RADIAL_SAMPLES) + 0.5) / RADIAL_SAMPLES)
    profile = blurred_disc(radius_mm, at, FWHM_MM)
    blurred = float(profile.std() / profile.mean())
    # The standard deviation of n values is known to about 1 / sqrt(2 n).
    return float(np.hypot(NOISE_CV, blurred)) * (1.0 + CERTAINTY / np.sqrt(2.0 * max(effective, 1.0)))


def _neighbour(core_lps_mm: Array, outside_lps_mm: Array, ratio: Array) -> tuple[float, float]:
    """Share that points as hot as the peaks outside a vein add to the nearest core, and the hottest peak."""
    if not len(ratio):
        return 0.0, 0.0
    distance = cKDTree(core_lps_mm).query(outside_lps_mm)[0]
    sigma = FWHM_MM / FWHM_PER_SIGMA
    # A point's image falls off as the point spread does; that of anything larger falls off less.
    added = np.where(ratio >= HOT_RATIO, (ratio - 1.0) * np.exp(-0.5 * (distance / sigma) ** 2), 0.0)
    return float(added.max()), float(ratio.max())
