"""Measuring one converted and segmented visit, blind to who it is, when it was and which arm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from petflame import __version__
from petflame.anatomy import ARTERIES
from petflame.errors import FaultList, InputRefused
from petflame.measure.alignment import aligned
from petflame.measure.background import BloodPool
from petflame.measure.blood_model import BloodModel
from petflame.measure.blood_reading import Blood, asks_for_models, other_level, read_blood, without
from petflame.measure.images import VisitImages
from petflame.measure.left_out import LeftOut, without_sections
from petflame.measure.sections import Section
from petflame.measure.tables import MeasuredVessel, partial_volume_table, slice_table, vessel_table
from petflame.measure.uptake import Uptake, peak_sphere, section_uptake
from petflame.measure.validity import judge
from petflame.protocol import Protocol
from petflame.segment.product import Segmentation
from petflame.space.grid import Array, Volume

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
    partial_volume : DataFrame or None
        As in ``partial_volume.tsv``, a sensitivity analysis; None where the protocol does not ask for it.
    """

    slices: pd.DataFrame
    vessels: pd.DataFrame
    details: dict[str, Any]
    partial_volume: pd.DataFrame | None = None


def measure(
    pet: Volume,
    segmentation: Segmentation,
    protocol: Protocol,
    is_suv: bool = True,
    *,
    ct: Volume | None = None,
    exclusions: Sequence[LeftOut] = (),
) -> Measurement:
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
    ct : Volume or None
        HU; metal is looked for on it.
    exclusions : sequence of LeftOut
        Sections that a reader leaves out.

    Returns
    -------
    Measurement

    Raises
    ------
    InputRefused
        When labels no longer lie on the PET they were drawn on, no artery is labelled, or a reader's rows meet no
        section.
    """
    return measure_images(VisitImages(pet, segmentation, ct), protocol, is_suv, exclusions)


def read_vessels(
    images: VisitImages,
    protocol: Protocol,
    exclusions: Sequence[LeftOut] = (),
    arteries: tuple[str, ...] = ARTERIES,
    with_areas: bool = True,
    with_peaks: bool = True,
) -> tuple[Blood, dict[str, MeasuredVessel]]:
    """Read the blood and the sections of every artery named; what protocols share is worked out once.

    Areas and 1 cm3 peaks take most of the time; without them they are NaN, unless they are known already.

    Raises
    ------
    InputRefused
        As `measure`.
    """
    region = protocol.region
    search = (region.pet_ct_search, asks_for_models(protocol))
    if not any(images.has(name) for name in arteries):
        raise InputRefused.of("no artery is labelled", "labels.nii.gz", "segment the visit again")
    blood = images.once(
        ("blood", protocol.background.model_dump_json(), protocol.partial_volume.model_dump_json(), search, arteries),
        lambda: read_blood(images, protocol, arteries),
    )
    pools, refusals = blood.pools, FaultList()
    measured = {}
    for name in arteries:
        own, pool = aligned(images, name, region), pools.get(name)
        cut = (region.roi_margin_mm, region.slice_spacing_mm, region.section_plane)
        sections = own.sections(name, *cut, with_area=with_areas)
        verdicts = judge(name, sections, own, protocol, exclusions, pool is not None, refusals)
        if images.has(name):
            uptakes = [_uptake(v.section, own, with_peaks) for v in verdicts]
            measured[name] = MeasuredVessel(verdicts, uptakes, pool, own, moved=own is not images)
    refusals.raise_if_any()
    return blood, measured


def measure_images(
    images: VisitImages, protocol: Protocol, is_suv: bool = True, exclusions: Sequence[LeftOut] = ()
) -> Measurement:
    """Measure every artery of a visit whose images are at hand; parameters, result and refusals as `measure`."""
    pet, region = images.pet, protocol.region
    blood, measured = read_vessels(images, protocol, exclusions)
    level = other_level(protocol.background.reading)
    warnings = [level] if level else []
    warnings += [*blood.faults, *_pool_warnings(blood, images, protocol)]
    warnings += [d.words for d in blood.disagreeing if d.words not in "".join(blood.faults)]
    for name in ARTERIES:
        sections = [v.section for v in measured[name].verdicts] if name in measured else []
        warnings += without_sections(name, sections, exclusions)
    spacing = region.slice_spacing_mm or pet.grid.spacing_mm[2]
    details = {
        **protocol.stamp,
        "petflame_version": __version__,
        "is_suv": is_suv,
        "reference_grid": images.segmentation.reference,
        "section_plane": region.section_plane,
        "section_spacing_mm": spacing,
        "blood_pools": {
            name: _pool_facts(core, pet, blood.veins.get(name), blood.ranges.get(name), is_suv)
            | _model_facts(blood.models.get(name), is_suv)
            for name, core in blood.cores.items()
        },
        "liver_suv_mean": _liver(images.sections("liver"), pet) if is_suv else None,
        "spill_in_rule": protocol.spill_in.rule,
        "metal_looked_for_on": [n for n, there in (("labels", images.has("metal")), ("ct", images.ct)) if there],
        "reader_exclusions": [{"vessel": e.vessel, "reason": e.reason, "source": e.source} for e in exclusions],
        "warnings": [*images.segmentation.warnings, *warnings],
    }
    slices = slice_table(measured, is_suv)
    vessels = vessel_table(slices, measured, images.segmentation, spacing, protocol, is_suv, blood)
    assumed = protocol.partial_volume
    corrected = partial_volume_table(measured, assumed, is_suv) if assumed.transfer_matrix else None
    return Measurement(slices, vessels, details, corrected)


def _uptake(section: Section, images: VisitImages, with_peak: bool) -> Uptake | None:
    if not section.in_view:
        return None
    sphere = images.once("sphere", lambda: peak_sphere(images.pet.grid.spacing_mm))
    key = ("uptake", id(section))
    # One that has its peak serves where none is needed.
    with_peak = with_peak or images.knows((*key, True))
    # Kept with the section itself: what is kept holds on to it, so no other section can take its number.
    _, found = images.once(
        (*key, with_peak), lambda: (section, section_uptake(section, images.pet, sphere if with_peak else None))
    )
    return found


def _pool_warnings(blood: Blood, images: VisitImages, protocol: Protocol) -> list[str]:
    said = []
    for vessel, pool in blood.pools.items():
        if pool is None or pool.choice == "declared":
            continue
        if protocol.background.reading == "modelled_pooled":
            asked = f"background.reading asks for all veins ({without(pool, blood.models, images)})"
        else:
            asked = f"{pool.choice}; the protocol asks for {'+'.join(protocol.background.regions[vessel])}"
        said.append(f"{vessel}: blood pool from {'+'.join(pool.regions)} alone: {asked}")
    return said


def _pool_facts(
    core: Array, pet: Volume, pool: BloodPool | None, span: tuple[float, float, float] | None, is_suv: bool
) -> dict[str, Any]:
    """Facts about one vein's core for ``measure.json``, section by section too."""
    if pool is None:
        return {"voxels": len(core), "suv_mean": None, "suv_sd": None}
    values, planes = pet.data[tuple(core.T)].astype(float), core[:, 2]
    suv = (lambda value: value) if is_suv else (lambda value: None)
    return {
        "voxels": pool.voxels,
        "effective_voxels": pool.effective_voxels,
        "suv_mean": suv(pool.mean),
        "suv_sd": suv(pool.sd),
        "suv_se": suv(pool.se),
        "expected_recovery_at_least": None if span is None else span[2],
        "sections": [
            {
                "z_mm": float(pet.grid.to_ras([*core[planes == k].mean(axis=0)])[2]),
                "voxels": int((planes == k).sum()),
                "suv_mean": suv(float(values[planes == k].mean())),
            }
            for k in np.unique(planes)
        ],
    }


def _model_facts(model: BloodModel | str | None, is_suv: bool) -> dict[str, Any]:
    """What the model says of a vein for ``measure.json``; nothing where no reading of the protocol asks for it."""
    if model is None:
        return {}
    if isinstance(model, str):
        return {"modelled": {"suv": None, "doubt": model}}
    suv = (lambda value: value) if is_suv else (lambda value: None)
    return {
        "modelled": {
            "suv": suv(model.uptake),
            "suv_se": suv(model.se),
            "relative_se": model.se / model.uptake if model.uptake > 0 else None,
            "doubt": model.doubt or None,
            "psf_fwhm_mm": model.resolution.fwhm_mm,
            "psf_fwhm_sd_mm": model.resolution.sd_mm,
            "psf_fwhm_source": model.resolution.source,
            "psf_fwhm_not_estimated": model.resolution.why or None,
            "psf_fwhm_of_scan_mm": None if model.resolution.why else model.resolution.scan_fwhm_mm,
            "psf_fwhm_of_scan_sd_mm": None if model.resolution.why else model.resolution.scan_sd_mm,
            "percent_per_mm_of_fwhm": 100 * model.per_mm / model.uptake if model.uptake > 0 else None,
            "pet_ct_shift_lps_mm": model.shift.lps_mm,
            "pet_ct_shift_source": model.shift.source,
            "placed_aside_mm": model.aside_mm,
            "voxels": model.voxels,
            "own_voxels": model.own_voxels,
            "unexplained_voxels": model.left_out,
            "variance_inflation": model.inflation,
            "condition": model.condition,
            "compartments": {name: suv(value) for name, value in model.regions.items()},
        }
    }


def _liver(sections: list[Section], pet: Volume) -> float | None:
    deep = [pet.data[tuple(s.voxels[s.depth_mm >= LIVER_DEPTH_MM].T)] for s in sections if s.in_view]
    values = np.concatenate(deep) if deep else np.zeros(0)
    return float(values.astype(float).mean()) if len(values) >= 20 else None
