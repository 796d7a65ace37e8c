"""Blood pools of a visit: the veins' cores or models, and what every artery's uptake is divided by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy import special

from petflame.anatomy import ARTERIES, CAROTIDS, VEINS
from petflame.errors import FaultList
from petflame.measure.alignment import vein_shift
from petflame.measure.background import (
    BloodPool,
    Disagreement,
    blood_pool,
    choose_pool,
    core_voxels,
    disagreements,
    true_range,
)
from petflame.measure.blood_model import BloodModel, Resolution, estimate_resolution, model_blood
from petflame.measure.images import VisitImages
from petflame.measure.vein_scene import VeinScene, vein_scene
from petflame.protocol import BackgroundRules, PartialVolumeRules, Protocol
from petflame.space.grid import Array

# Standard errors allowed to a modelled reading before it is called impossible, as for veins that disagree.
CERTAINTY = 2.0
# Veins that differ by more than chance makes them once in a thousand visits.
DISAGREEMENT_P = 1e-3


@dataclass(frozen=True, eq=False)
class Blood:
    """What the veins hold, and the pool chosen for every artery.

    Attributes
    ----------
    cores : dict
        Vein to (n, 3) PET voxels.
    veins : dict
        Vein to its own pool, where its core holds blood.
    ranges : dict
        Vein to (low, high, recovery), see `true_range`.
    pools : dict
        Artery to its pool, or None.
    faults : list of str
        What was wrong, in words.
    models : dict
        Vein to its model or, where there is none, why; empty where nothing asks for models.
    disagreeing : tuple of Disagreement
        Veins that hold different blood, which can only be one.
    """

    cores: dict[str, Array]
    veins: dict[str, BloodPool]
    ranges: dict[str, tuple[float, float, float]]
    pools: dict[str, BloodPool | None]
    faults: list[str]
    models: dict[str, BloodModel | str]
    disagreeing: tuple[Disagreement, ...] = ()

    def doubts_of(self, pool: BloodPool | None, images: VisitImages) -> list[str]:
        """Say in which disagreements an artery's blood has a part; a vein that needs a reader speaks against none."""
        own = set() if pool is None else set(pool.regions)
        return [d.words for d in self.disagreeing if own & set(d.veins) and not any(map(images.withheld, d.veins))]


def wall_mm(vessel: str, assumed: PartialVolumeRules) -> float:
    """Thickness that the protocol assumes of a vessel's wall."""
    return assumed.wall_mm_carotid if vessel in CAROTIDS else assumed.wall_mm_aorta


def asks_for_models(protocol: Protocol) -> bool:
    """Whether the protocol, or a variation of it, reads the blood by a model."""
    varied = (v.changes.get("background", {}).get("reading", "core_mean") for v in protocol.sensitivity)
    return any(reading != "core_mean" for reading in (protocol.background.reading, *varied))


def read_blood(images: VisitImages, protocol: Protocol, arteries: tuple[str, ...]) -> Blood:
    """Read every vein and choose a pool for every artery."""
    faults, rules = FaultList(), protocol.background
    fwhm_mm = protocol.partial_volume.psf_fwhm_mm
    cores, veins, ranges = images.once(
        ("cores", *_core_key(rules, fwhm_mm)),
        lambda: _read_cores(images, rules, fwhm_mm),
    )
    models = read_models(images, protocol, ranges) if asks_for_models(protocol) else {}
    wanted = [vessel for vessel in arteries if vessel in rules.regions and images.has(vessel)]
    pools = {vessel: _pool_of(vessel, cores, models, images, protocol, faults) for vessel in wanted}
    said = sorted({f"{f.where}: {f.what}; {f.remedy}" for f in faults})
    differing = disagreements(ranges, veins)
    if rules.reading == "modelled_pooled" and (used := _models_used(models, images)):
        differing += _differing_models(used)
    return Blood(cores, veins, ranges, pools, said, models, differing)


def _read_cores(
    images: VisitImages, rules: BackgroundRules, fwhm_mm: float
) -> tuple[dict[str, Array], dict[str, BloodPool], dict[str, tuple[float, float, float]]]:
    """Core, own pool and true range of every vein."""
    pet = images.pet
    cores = {
        name: core_voxels(images.sections(name), images.centreline(name), pet, rules)
        for name in VEINS
        if images.has(name)
    }
    veins = {
        n: p
        for n, core in cores.items()
        if len(core) and (p := _core_pool((n,), "declared", cores, images, rules, fwhm_mm, FaultList()))
    }
    return cores, veins, {n: true_range(p, images.sections(n), rules, fwhm_mm) for n, p in veins.items()}


def _core_pool(
    names: tuple[str, ...],
    choice: str,
    cores: dict[str, Array],
    images: VisitImages,
    rules: BackgroundRules,
    fwhm_mm: float,
    faults: FaultList,
) -> BloodPool | None:
    """Pool the cores of veins as `blood_pool` does, once for all arteries and protocols that ask for them."""

    def make() -> tuple[BloodPool | None, FaultList]:
        said = FaultList()
        return blood_pool(names, cores, images.pet, said, fwhm_mm), said

    pool, said = images.once(("core pool", names, *_core_key(rules, fwhm_mm)), make)
    faults.extend(said)
    return None if pool is None else replace(pool, choice=choice)


def _core_key(rules: BackgroundRules, fwhm_mm: float) -> tuple[str, float, float, float]:
    """What cores and their pools hang on."""
    return rules.core, rules.core_depth_mm, rules.thin_core_radius_mm, fwhm_mm


def _pool_of(
    vessel: str,
    cores: dict[str, Array],
    models: dict[str, BloodModel | str],
    images: VisitImages,
    protocol: Protocol,
    faults: FaultList,
) -> BloodPool | None:
    rules, fwhm_mm = protocol.background, protocol.partial_volume.psf_fwhm_mm
    read = _readable(models)
    if rules.reading == "modelled_pooled":
        return _all_veins(models, images, faults)

    def of_cores(names: tuple[str, ...], choice: str) -> BloodPool | None:
        return _core_pool(names, choice, cores, images, rules, fwhm_mm, faults)

    def of_models(names: tuple[str, ...], choice: str) -> BloodPool | None:
        return pooled([read[n] for n in names], choice)

    modelled = rules.reading == "modelled"
    there = set(read) if modelled else {n for n, core in cores.items() if len(core)}
    make: Callable[[tuple[str, ...], str], BloodPool | None] = of_models if modelled else of_cores
    missing = {n: _why(n, models if modelled else cores) for n in VEINS if n not in there}
    # A vein that needs a reader serves only where no other does, and then the artery needs one too.
    sure = {n for n in there if not images.withheld(n)}
    return choose_pool(vessel, sure, rules, make, FaultList(), missing) or choose_pool(
        vessel, there, rules, make, faults, missing
    )


def _why(vein: str, readings: Mapping[str, BloodModel | str | Array]) -> str:
    """Why a vein has no reading."""
    reading = readings.get(vein, "it is not in the label map")
    if isinstance(reading, BloodModel):
        return reading.doubt
    return reading if isinstance(reading, str) else "its core holds no voxel"


def without(pool: BloodPool, models: dict[str, BloodModel | str], images: VisitImages) -> str:
    """Say which veins a pool of all does without, and why."""
    left_out = [n for n in VEINS if n not in pool.regions]
    said = {n: "it needs a reader" if images.has(n) and images.withheld(n) else _why(n, models) for n in left_out}
    return "; ".join(f"{n}: {why}" for n, why in said.items())


def other_level(reading: str) -> str:
    """Say that the level of TBR is another one where the blood is modelled; empty for the mean of the vein's core.

    >>> other_level("core_mean")
    ''
    """
    if reading == "core_mean":
        return ""
    pooled = " of all veins together" if reading == "modelled_pooled" else ""
    return (
        f"The blood{pooled} is modelled: freed of spill, it shifts the level of TBR; the threshold of an active "
        "section and published levels belong to the mean of the vein's core and do not carry over."
    )


def _readable(models: dict[str, BloodModel | str]) -> dict[str, BloodModel]:
    return {n: m for n, m in models.items() if isinstance(m, BloodModel) and not m.doubt}


def _models_used(models: dict[str, BloodModel | str], images: VisitImages) -> list[BloodModel]:
    """Return what is pooled of all veins: one that needs a reader serves only where no other does."""
    read = _readable(models)
    return [m for name, m in read.items() if not images.withheld(name)] or list(read.values())


def _differing_models(used: list[BloodModel]) -> tuple[Disagreement, ...]:
    if disagreement(used) >= DISAGREEMENT_P:
        return ()
    said = ", ".join(f"{m.vein} {m.uptake:.3g} ± {m.own_se:.2g}" for m in used)
    return (Disagreement(tuple(m.vein for m in used), f"modelled veins hold different blood ({said})"),)


def _all_veins(models: dict[str, BloodModel | str], images: VisitImages, faults: FaultList) -> BloodPool | None:
    """Pool every vein that has a reading and is sure."""
    used = _models_used(models, images)
    remedy = "label the vein, or choose another reading in the protocol (background.reading)"
    if not used:
        said = "; ".join(f"{n}: {_why(n, models)}" for n in VEINS)
        faults.add(f"no vein's blood could be modelled ({said})", "labels.nii.gz", remedy)
        return None
    left_out = [n for n in VEINS if n not in {model.vein for model in used}]
    pool = pooled(used, f"without {', '.join(left_out)}" if left_out else "declared")
    for differing in _differing_models(used):
        faults.add(differing.words, "labels.nii.gz", "check the veins' regions")
    return pool


def read_models(
    images: VisitImages, protocol: Protocol, ranges: dict[str, tuple[float, float, float]]
) -> dict[str, BloodModel | str]:
    """Model every vein that is there; the resolution is estimated beside the superior vena cava.

    Returns
    -------
    dict
        Vein to its model, or why there is none. A reading that is above what the vein's core allows, if all round it
        were empty, carries a doubt.
    """
    assumed, region = protocol.partial_volume, protocol.region
    there = [name for name in VEINS if images.has(name)]
    if protocol.background.core == "as_given":
        return dict.fromkeys(there, "its label is the core itself, so that its boundary is not known")

    def scene_of(name: str) -> VeinScene | str:
        walls = {a: wall_mm(a, assumed) for a in ARTERIES}
        return vein_scene(name, images, walls, vein_shift(images, name, region), assumed.psf_fwhm_mm)

    def make() -> dict[str, BloodModel | str]:
        scenes = {name: scene_of(name) for name in there}
        best = scenes.get("svc", "there is no superior vena cava")
        if images.withheld("svc"):
            best = "the superior vena cava needs a reader"
        resolution = estimate_resolution(best, assumed.psf_fwhm_mm)
        return {n: s if isinstance(s, str) else model_blood(s, resolution) for n, s in scenes.items()}

    found = images.once(("blood models", assumed.model_dump_json(), region.pet_ct_search), make)
    return {n: m if isinstance(m, str) else _checked(m, ranges.get(n)) for n, m in found.items()}


def _checked(model: BloodModel, span: tuple[float, float, float] | None) -> BloodModel:
    if model.doubt or span is None or model.uptake - CERTAINTY * model.se <= span[1]:
        return model
    said = f"its modelled uptake {model.uptake:.3g} ± {model.se:.2g} is more than its core allows ({span[1]:.3g})"
    return replace(model, doubt=said)


def _covariance(models: list[BloodModel], resolution: Resolution) -> Array:
    """Covariance of readings of one scan: noise of their own, and the doubt of the resolution that they share."""
    shared = np.array([m.per_mm for m in models]) * resolution.sd_mm
    return np.diag([m.own_se**2 for m in models]) + np.outer(shared, shared)


def disagreement(models: list[BloodModel]) -> float:
    """Chance of readings of the same blood that lie as far apart (Cochran's Q with their covariance); 1 for one."""
    if len(models) < 2:
        return 1.0
    return float(special.chdtrc(len(models) - 1, max(_q(models), 0.0)))


def _q(models: list[BloodModel]) -> float:
    uptake, inverse = np.array([m.uptake for m in models]), np.linalg.inv(_covariance(models, models[0].resolution))
    common = float(inverse.sum(axis=0) @ uptake / inverse.sum())
    return float((uptake - common) @ inverse @ (uptake - common))


def pooled(models: list[BloodModel], choice: str) -> BloodPool:
    """Pool the modelled readings of veins that hold the same blood.

    Best linear unbiased mean with the covariance that the shared resolution gives, and with a variance between veins
    where they differ by more than their standard errors say (DerSimonian and Laird 1986).

    Parameters
    ----------
    models : list of BloodModel
        Of one scan, at least one.
    choice : str
        As in `BloodPool`.

    Returns
    -------
    BloodPool
        Its voxels are those that veins give at least half of; it has no standard deviation.
    """
    uptake = np.array([m.uptake for m in models])
    covariance = _covariance(models, models[0].resolution)
    weights = 1 / np.array([m.own_se**2 for m in models])
    spare = weights.sum() - (weights**2).sum() / weights.sum()
    between = max(_q(models) - (len(models) - 1), 0.0) / spare if len(models) > 1 else 0.0
    inverse = np.linalg.inv(covariance + between * np.eye(len(models)))
    # A negative weight would read one vein against another.
    share = np.maximum(inverse.sum(axis=0), 0.0)
    share /= share.sum()
    variance = float(share @ (covariance + between * np.eye(len(models))) @ share)
    return BloodPool(
        tuple(m.vein for m in models),
        float(share @ uptake),
        float("nan"),
        sum(m.own_voxels for m in models),
        float("nan"),
        float(np.sqrt(variance)),
        0,
        choice,
    )
