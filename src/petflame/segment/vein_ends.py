"""Ends of a vein on which the PET shows something else than the vein's blood: they are left out.

Blood is one uptake all along a vein. Where the CT does not show surely how far a vein goes, the PET may say that a
stretch at its end holds something else (fat, lung that breathes, a node). The test looks both ways, brighter and
darker, and asks for far more than noise, so that it cannot choose the level of the blood. An artery has no such test:
what its wall takes up is the measurement, and a region that follows it would choose the result.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from petflame.anatomy import BY_NAME
from petflame.labelmap import LabelMap
from petflame.recovery import effective_voxels
from petflame.segment.product import CAVA_POOL_CHECKS, Check, Segmentation, VesselFinding
from petflame.segment.rules import SOFTWARE
from petflame.segment.uptake_checks import AORTA_DEPTH_MM, core_mean
from petflame.space.boxes import voxels_between
from petflame.space.contours import contours_of, distance_at
from petflame.space.grid import Array, Volume
from petflame.space.orientation import to_canonical

# The core that blood is read from (measurement definitions, section 2).
CORE_DEPTH_MM = 4.0
FWHM_MM = 6.0
# An end is left out where it differs by a tenth, the repeatability of a blood pool, and by four standard errors: many
# ends are tried.
LEAST_DIFFERENCE, LEAST_ERRORS = 0.10, 4.0
# Both ends together are no more than half; where they are over a third, nobody knows which part is the vein.
LEAST_SHARE_LEFT, MOST_SHARE_CUT = 0.5, 1 / 3
AORTA_PARTS = ("aorta_ascending", "aorta_descending")
NAME = CAVA_POOL_CHECKS[2]
FEWEST_VOXELS = 4


@dataclass(frozen=True)
class End:
    """An end that differs: its levels, and its uptake in multiples of the rest's."""

    upper: bool
    level_mm: float
    ratio: float


def leave_out_ends(segmentation: Segmentation, name: str, pet: Volume) -> Segmentation:
    """Cut the ends of a vein that software found on which the PET shows other than its blood.

    Parameters
    ----------
    segmentation : Segmentation
        Labels on the CT or the PET grid.
    name : str
        Vein of `petflame.anatomy`.
    pet : Volume
        SUVbw or Bq/mL, any axis order and direction.

    Returns
    -------
    Segmentation
        As given where the vein is a reader's or was not found, and but for a check where no end differs.
    """
    finding = segmentation.vessels.get(name)
    if finding is None or finding.method not in SOFTWARE or not segmentation.labels.has(name):
        return segmentation
    mask = to_canonical(segmentation.labels.mask(name), copy=False)
    voxels, z_mm = _core(mask, pet)
    ends = (
        other_ends(pet.data[tuple(voxels.T)].astype(float), z_mm, voxels, pet) if len(voxels) >= FEWEST_VOXELS else []
    )
    if not ends:
        check = Check(NAME, True, f"no end differs by {100 * LEAST_DIFFERENCE:.0f} % beyond noise")
        return replace(segmentation, vessels=segmentation.vessels | {name: _with(finding, check)})
    said = "; ".join(
        f"{'above' if e.upper else 'below'} z {e.level_mm:.0f} mm its core holds {e.ratio:.2f} times the rest's uptake"
        for e in ends
    )
    if doubt := _which_is_the_vein(segmentation, pet, voxels, z_mm, ends):
        return _withheld(segmentation, name, f"{said}, {doubt}")
    low = max((e.level_mm for e in ends if not e.upper), default=-np.inf)
    high = min((e.level_mm for e in ends if e.upper), default=np.inf)
    labels = segmentation.labels
    data = labels.data.copy()
    place = np.argwhere(data == BY_NAME[name].label)
    z = labels.grid.to_ras(place)[:, 2]
    data[tuple(place[(z <= low) | (z >= high)].T)] = 0
    line = finding.centreline_lps_mm
    line = line[(line[:, 2] > low) & (line[:, 2] < high)]
    finding = replace(_with(finding, Check(NAME, True, f"{said}: left out")), centreline_lps_mm=line)
    warnings = (*segmentation.warnings, f"{name}: an end is left out: {said}")
    return replace(
        segmentation,
        labels=LabelMap(data, labels.grid),
        vessels=segmentation.vessels | {name: finding},
        warnings=warnings,
    )


def _which_is_the_vein(segmentation: Segmentation, pet: Volume, voxels: Array, z_mm: Array, ends: list[End]) -> str:
    """Say why nobody knows which part is the vein; empty where the rest is most of it and the aorta does not object."""
    values = pet.data[tuple(voxels.T)].astype(float)
    cut = np.any([z_mm > e.level_mm if e.upper else z_mm < e.level_mm for e in ends], axis=0)
    if cut.mean() > MOST_SHARE_CUT:
        return f"over {100 * cut.mean():.0f} % of it"
    aorta = core_mean(segmentation, AORTA_PARTS, pet, AORTA_DEPTH_MM)
    if aorta is not None and abs(values[cut].mean() - aorta) < abs(values[~cut].mean() - aorta):
        return "and the aorta's blood is more like the end's"
    return ""


def _withheld(segmentation: Segmentation, name: str, said: str) -> Segmentation:
    finding = segmentation.vessels[name]
    reason = "; ".join(filter(None, [finding.reason, f"{NAME}: {said}"]))
    finding = replace(_with(finding, Check(NAME, False, said)), withheld=True, reason=reason)
    warnings = tuple(w for w in segmentation.warnings if not w.startswith(f"{name}: needs a reader"))
    warnings = (*warnings, f"{name}: needs a reader: {reason}")
    return replace(segmentation, vessels=segmentation.vessels | {name: finding}, warnings=warnings)


def other_ends(values: Array, z_mm: Array, voxels: Array, pet: Volume) -> list[End]:
    """Find the stretches at either end that differ from the rest beyond noise; the lower end first.

    The vein is divided into a lower end, a rest and an upper end so that uptake varies least within each.

    Parameters
    ----------
    values, z_mm : (n,) float arrays
        Uptake and height of the core's voxels.
    voxels : (n, 3) int array
        The voxels.
    pet : Volume
        Their grid.
    """
    found: list[End] = []
    for lower, upper in ((True, True), (True, False), (False, True)):
        low, high = _divided(values, z_mm, lower, upper)
        rest = (z_mm > low) & (z_mm < high)
        ends = [
            End(at == high, at, float(values[own].mean() / values[rest].mean()))
            for at, own in ((low, z_mm < low), (high, z_mm > high))
            if own.any() and _differs(values, voxels, own, rest, pet)
        ]
        if len(ends) == lower + upper:
            return ends
        # Where only one end of two differs, it is sought again on its own: the other belongs to the rest.
        found = max(found, ends, key=len)
    return found


def _divided(values: Array, z_mm: Array, lower: bool, upper: bool) -> tuple[float, float]:
    """Heights of the two cuts, -inf or inf where an end is not asked for or nothing is gained by one."""
    levels, at = np.unique(z_mm, return_inverse=True)
    counts = np.concatenate([[0.0], np.cumsum(np.bincount(at))])
    sums = np.concatenate([[0.0], np.cumsum(np.bincount(at, values))])
    cuts = np.concatenate([[-np.inf], (levels[:-1] + levels[1:]) / 2, [np.inf]])
    last = len(levels)

    def explained(first: int, end: int) -> float:
        count = counts[end] - counts[first]
        return float((sums[end] - sums[first]) ** 2 / count) if count else 0.0

    best, chosen = -np.inf, (0, last)
    for low in range(last if lower else 1):
        for high in range(low + 1, last + 1) if upper else (last,):
            if counts[high] - counts[low] < max(LEAST_SHARE_LEFT * len(values), FEWEST_VOXELS):
                continue
            total = explained(0, low) + explained(low, high) + explained(high, last)
            if total > best:
                best, chosen = total, (low, high)
    return float(cuts[chosen[0]]), float(cuts[chosen[1]])


def _differs(values: Array, voxels: Array, end: Array, rest: Array, pet: Volume) -> bool:
    """Whether the means of two sets of voxels differ by more than noise, shared between neighbours, explains."""
    effective = [max(effective_voxels(voxels[part], pet.grid, FWHM_MM), 1.0) for part in (rest, end)]
    error = float(values[rest].std(ddof=1) * np.sqrt(1 / effective[0] + 1 / effective[1]))
    usual = float(values[rest].mean())
    apart = abs(float(values[end].mean()) - usual)
    return usual > 0 and apart >= LEAST_DIFFERENCE * usual and apart >= LEAST_ERRORS * error


def _core(mask: Volume, pet: Volume) -> tuple[Array, Array]:
    """Voxels of the PET in the vein's core, shape (n, 3), and their height."""
    contours = contours_of(mask, 0.0)
    voxels = voxels_between(*pet.grid.reached_by(contours.grid.to_ras(contours.grid.corners()))).reshape(-1, 3)
    places = pet.grid.to_ras(voxels)
    inside = distance_at(contours, places) <= -CORE_DEPTH_MM
    return voxels[inside], places[inside][:, 2]


def _with(finding: VesselFinding, check: Check) -> VesselFinding:
    return replace(finding, checks=(*finding.checks, check))
