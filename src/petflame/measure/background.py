"""The venous blood pool that uptake is divided by."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import numpy as np

from petflame.errors import FaultList
from petflame.measure.sections import Section
from petflame.protocol import BackgroundRules
from petflame.recovery import core_recovery, effective_voxels, standard_error
from petflame.space.grid import Array, Volume, ras_to_lps

# Two veins disagree beyond doubt when their ranges still lie apart with this many standard errors allowed to each.
CERTAINTY = 2.0


@dataclass(frozen=True)
class BloodPool:
    """Uptake of a blood pool: the mean of its core, or what a model of it says.

    Attributes
    ----------
    regions : tuple of str
        Veins pooled, voxel by voxel.
    mean, sd : float
        In the unit of the image; a modelled pool has no `sd`.
    voxels : int
        Of the core; of a modelled pool those that its veins give at least half of.
    effective_voxels : float
        Independent voxels that are worth as much, the PET's resolution being what it is; NaN for a modelled pool.
    se : float
        Standard error of the mean from them; NaN for a single voxel.
    sections : int
        Axial sections that hold a voxel of the core; 0 for a modelled pool.
    choice : str
        'declared', which fallback it is: 'fallback 1', ..., or which veins a pool of all does without.
    """

    regions: tuple[str, ...]
    mean: float
    sd: float
    voxels: int
    effective_voxels: float
    se: float
    sections: int
    choice: str = "declared"


def core_voxels(sections: list[Section], vein_centreline_lps_mm: Array, pet: Volume, rules: BackgroundRules) -> Array:
    """Voxels of a vein that hold blood alone.

    A voxel counts when its centre is at least `core_depth_mm` inside the boundary, in-plane, or within
    `thin_core_radius_mm` of the centreline; the latter matters only where the vein is too thin for the former.
    With ``core: as_given`` every voxel of the region counts, because the label map brings the core itself.

    Returns
    -------
    (n, 3) int array
        PET voxels on native planes in view.
    """
    chosen = []
    for section in sections:
        if not section.in_view:
            continue
        ijk = section.voxels
        if rules.core == "erode":
            points = ras_to_lps(pet.grid.to_ras(ijk))
            centre = _centre_at(vein_centreline_lps_mm, section)
            near = np.hypot(*(points - centre)[:, :2].T) <= rules.thin_core_radius_mm
            ijk = ijk[(section.depth_mm >= rules.core_depth_mm) | near]
        chosen.append(ijk)
    return np.concatenate(chosen) if chosen else np.zeros((0, 3), int)


def _centre_at(line: Array, section: Section) -> Array:
    if len(line) == 0:
        return section.centre_lps_mm
    order = np.argsort(line[:, 2])
    return np.array([np.interp(section.z_mm, line[order, 2], line[order, axis]) for axis in range(3)])


def choose_pool(
    vessel: str,
    there: Collection[str],
    rules: BackgroundRules,
    make: Callable[[tuple[str, ...], str], BloodPool | None],
    faults: FaultList,
    missing: Mapping[str, str],
) -> BloodPool | None:
    """Take the declared blood pool of a vessel or, where a vein of it has no reading, the first fallback that has all.

    Parameters
    ----------
    vessel : str
    there : collection of str
        Veins that have a reading.
    rules : BackgroundRules
    make : callable
        Pool of some of these veins, and what the choice is called.
    faults : FaultList
        Takes a fault where no choice has a reading.
    missing : mapping
        Why a vein has none.

    Returns
    -------
    BloodPool or None
    """
    choices = (rules.regions[vessel], *rules.fallback.get(vessel, ()))
    for number, names in enumerate(choices):
        if all(name in there for name in names):
            return make(names, f"fallback {number}" if number else "declared")
    said = ", or ".join("+".join(names) for names in choices)
    remedy = "label the vein, or choose another blood pool in the protocol (background.regions, background.fallback)"
    veins = dict.fromkeys(name for names in choices for name in names)
    why = "; ".join(f"{name}: {missing[name]}" for name in veins if name in missing)
    faults.add(f"{vessel} has no blood pool from {said}: {why}", "labels.nii.gz", remedy)
    return None


def blood_pool(
    names: tuple[str, ...],
    cores: dict[str, Array],
    pet: Volume,
    faults: FaultList,
    fwhm_mm: float = 6.0,
    choice: str = "declared",
) -> BloodPool | None:
    """Pool the cores of several veins, each voxel counting once; None (and a fault) where the mean makes no sense."""
    ijk = np.concatenate([cores[n] for n in names])
    values = pet.data[tuple(ijk.T)].astype(float)
    mean = float(values.mean())
    if not mean > 0:
        faults.add(
            f"the mean uptake of {', '.join(names)} is {mean:.4g}",
            "pet.nii.gz",
            "check that the label lies on the vein and that the image is the attenuation-corrected PET",
        )
        return None
    sd = float(values.std(ddof=1)) if len(values) > 1 else float("nan")
    effective = effective_voxels(ijk, pet.grid, fwhm_mm)
    return BloodPool(
        names,
        mean,
        sd,
        len(values),
        effective,
        standard_error(sd, len(values), effective),
        len(np.unique(ijk[:, 2])),
        choice,
    )


def true_range(
    pool: BloodPool, sections: list[Section], rules: BackgroundRules, fwhm_mm: float
) -> tuple[float, float, float]:
    """Range that the blood of a vein may have, and the lowest recovery of its core.

    The vein is taken as a tube of its median area, read over its core, in surroundings that hold anything from
    nothing to as much as the blood: the mean then lies between the recovery times the truth, and the truth.

    Returns
    -------
    low, high, recovery : float
        The range is widened by `CERTAINTY` standard errors on either side. A label that brings the core itself says
        nothing of the vein's size: the core is then taken for the vein, which gives the lowest recovery.
    """
    radius = float(np.sqrt(np.median([s.area_mm2 for s in sections if s.in_view]) / np.pi))
    core = radius if rules.core == "as_given" else max(radius - rules.core_depth_mm, rules.thin_core_radius_mm)
    recovery = core_recovery(radius, min(core, radius), fwhm_mm)
    doubt = CERTAINTY * pool.se if np.isfinite(pool.se) else 0.0
    return pool.mean - doubt, (pool.mean + doubt) / recovery, recovery


@dataclass(frozen=True)
class Disagreement:
    """Veins whose blood is one and whose readings are not: which of them is wrong, nobody knows.

    Attributes
    ----------
    veins : tuple of str
    words : str
    """

    veins: tuple[str, ...]
    words: str


def disagreements(
    ranges: dict[str, tuple[float, float, float]], pools: dict[str, BloodPool]
) -> tuple[Disagreement, ...]:
    """Find the jugular veins that differ from the superior vena cava by more than partial volume and noise explain."""
    found: list[Disagreement] = []
    if "svc" not in ranges:
        return ()
    low, high, _ = ranges["svc"]
    for name in (n for n in ranges if n != "svc"):
        other_low, other_high, recovery = ranges[name]
        if other_low > high or low > other_high:
            ratio = pools[name].mean / pools["svc"].mean
            words = f"blood pools disagree: {name} holds {ratio:.2f} times the uptake of svc, which noise and partial "
            words += f"volume (recovery at least {recovery:.2f} and {ranges['svc'][2]:.2f}) do not explain; check both"
            found.append(Disagreement((name, "svc"), words))
    return tuple(found)
