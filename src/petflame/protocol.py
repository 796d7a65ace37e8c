"""The measurement protocol: every choice behind a number, named, validated and hashed.

The defaults are the IVORY protocol as far as it is published (`ivory_assumed_v2`); ``config/protocols/ivory.yaml``
spells the same values out for a user to copy. Sources stand in the YAML files beside each choice. A document that
names an older version (`ivory_assumed_v1`) keeps that version's choices wherever it names none itself.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from petflame.anatomy import ARTERIES, TARGET_VESSELS, VEINS, AutomaticRegions
from petflame.bounds import (
    Correlation,
    HounsfieldUnits,
    LengthMm,
    Limit,
    MarginMm,
    Name,
    Percent,
    ReachMm,
    ResolutionMm,
    Sections,
    Share,
    ShiftMm,
    SpacingMm,
    UptakeMin,
    UptakeRatio,
    VariationCoefficient,
    Voxels,
    WallMm,
)
from petflame.errors import InputRefused
from petflame.outside import calling, read_yaml
from petflame.protocol_versions import filled_from_older, one_of
from petflame.sensitivity import VARIATIONS, Variation
from petflame.typed import validation_faults


class _Rules(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ConversionRules(_Rules):
    """What `convert` accepts and how it chooses series."""

    tracer: Literal["FDG", "any"] = "FDG"
    uptake_warn_min: tuple[UptakeMin, UptakeMin] = (45.0, 150.0)
    uptake_refuse_above_min: UptakeMin = 240.0
    pet_series: Name | None = None
    ct_series: Name | None = None

    @model_validator(mode="after")
    def _ordered(self) -> ConversionRules:
        if self.uptake_warn_min[0] > self.uptake_warn_min[1]:
            raise ValueError("the upper end of `uptake_warn_min` stands before its lower end")
        return self


class SegmentationRules(_Rules):
    """By which rules `segment` finds vessels itself; what a reader draws does not depend on them."""

    regions: AutomaticRegions = "landmarks"


class RegionRules(_Rules):
    """Which voxels belong to a vessel section, and which sections count."""

    roi_margin_mm: MarginMm = 0.0
    section_plane: Literal["axial", "perpendicular"] = "axial"
    slice_spacing_mm: SpacingMm | None = None
    trim_end_sections: bool = False
    partial_section_fraction: Share = 0.5
    metal: Literal["ignore", "flag", "exclude"] = "exclude"
    metal_hu: HounsfieldUnits = 2500.0
    metal_reach_mm: ReachMm = 5.0
    pet_ct_mismatch: Literal["ignore", "flag", "exclude", "correct"] = "exclude"
    pet_ct_search: Literal["wide", "local"] = "wide"
    pet_ct_mismatch_mm: ShiftMm | None = 4.0
    pet_ct_mismatch_voxels: Voxels | None = None
    pet_ct_mismatch_z_mm: ShiftMm | None = 10.0

    @model_validator(mode="before")
    @classmethod
    def _one_unit(cls, given: Any) -> Any:
        return one_of(given, "pet_ct_mismatch_mm", "pet_ct_mismatch_voxels")

    def pet_ct_limit_mm(self, voxel_mm: float) -> float:
        """Farthest that PET and CT may lie apart in the axial plane, for PET voxels of this size.

        >>> RegionRules().pet_ct_limit_mm(5.5), RegionRules(pet_ct_mismatch_voxels=1.0).pet_ct_limit_mm(5.5)
        (4.0, 5.5)
        """
        return self.pet_ct_mismatch_mm or (self.pet_ct_mismatch_voxels or 0.0) * voxel_mm


class SpillInRules(_Rules):
    """What happens to a section whose uptake may come from a hot neighbour."""

    rule: Literal["ignore", "flag", "exclude_sections", "exclude_voxels"] = "flag"
    reach_mm: ReachMm = 15.0
    hot_ratio: UptakeRatio = 1.4
    extent: Literal["half_above_surroundings", "half_maximum"] = "half_above_surroundings"
    unlabelled: bool = True


class PartialVolumeRules(_Rules):
    """What is assumed of the PET's resolution and the vessel's wall; never part of a primary figure."""

    psf_fwhm_mm: ResolutionMm = 6.0
    wall_mm_aorta: WallMm = 2.0
    wall_mm_carotid: WallMm = 1.0
    transfer_matrix: bool = False


class BackgroundRules(_Rules):
    """Where the blood pool is read, how, and how far inside the vein."""

    reading: Literal["core_mean", "modelled", "modelled_pooled"] = "core_mean"
    regions: dict[str, tuple[str, ...]] = {
        "aorta_ascending": ("svc",),
        "aorta_arch": ("svc",),
        "aorta_descending": ("svc",),
        "carotid_right": ("jugular_right", "jugular_left"),
        "carotid_left": ("jugular_right", "jugular_left"),
    }
    fallback: dict[str, tuple[tuple[str, ...], ...]] = {
        "carotid_right": (("jugular_right",), ("jugular_left",)),
        "carotid_left": (("jugular_right",), ("jugular_left",)),
    }
    core: Literal["erode", "as_given"] = "erode"
    core_depth_mm: ReachMm = 4.0
    thin_core_radius_mm: ShiftMm = 2.0

    @model_validator(mode="after")
    def _known_regions(self) -> BackgroundRules:
        unknown = [v for v in (*self.regions, *self.fallback) if v not in ARTERIES]
        choices = [*self.regions.values(), *(names for several in self.fallback.values() for names in several)]
        pools = (p for names in choices for p in names)
        unknown += sorted({p for p in pools if p not in VEINS})
        if unknown:
            raise ValueError(f"unknown region names {unknown}; arteries are {ARTERIES}, blood pools {VEINS}")
        if any(not names for names in choices):
            raise ValueError("every vessel needs at least one blood pool")
        return self


class SummaryRules(_Rules):
    """How sections become one number a vessel, and vessels one number a patient."""

    mds_length_mm: LengthMm = 15.0
    mds_rule: Literal["largest_mean", "centred_on_maximum", "any_window_with_maximum"] = "largest_mean"
    active_threshold: UptakeRatio = 2.0
    index_minimum_sections: Sections = 3
    index_candidates: tuple[str, ...] = TARGET_VESSELS
    target_vessels: tuple[str, ...] = TARGET_VESSELS

    @model_validator(mode="after")
    def _known_vessels(self) -> SummaryRules:
        unknown = [v for v in (*self.index_candidates, *self.target_vessels) if v not in ARTERIES]
        if unknown:
            raise ValueError(f"unknown vessel names {unknown}; the arteries are {ARTERIES}")
        if not self.index_candidates or not self.target_vessels:
            raise ValueError("name at least one index candidate and one target vessel")
        return self


class Limits(_Rules):
    """Limits of one comparability item: pass up to the first, warn up to the second, fail beyond."""

    passes: Limit
    warns: Limit

    @model_validator(mode="after")
    def _ordered(self) -> Limits:
        if self.warns < self.passes:
            raise ValueError("`warns` is below `passes`")
        return self


class Band(_Rules):
    """An inner band that passes and an outer band that warns; outside both fails."""

    passes: tuple[Limit, Limit]
    warns: tuple[Limit, Limit]

    @model_validator(mode="after")
    def _nested(self) -> Band:
        if not self.warns[0] <= self.passes[0] <= self.passes[1] <= self.warns[1]:
            raise ValueError("`passes` does not lie within `warns`, or an upper end stands before its lower end")
        return self


class ComparabilityRules(_Rules):
    """When the two scans of a pair can be compared (measurement definitions, section 6)."""

    uptake_difference_min: Limits = Limits(passes=5, warns=10)
    glucose_mmol_l: Limits = Limits(passes=7, warns=11)
    dose_per_kg_difference_percent: Limits = Limits(passes=10, warns=20)
    pet_ct_shift_mm: Limits | None = Limits(passes=2, warns=4)
    pet_ct_shift_voxels: Limits | None = None
    pet_ct_shift_z_mm: Limits | None = Limits(passes=2, warns=4)
    coverage_sections: Limits | None = Limits(passes=1, warns=2)
    area_ratio: Band = Band(passes=(0.9, 1.1), warns=(0.8, 1.25))
    liver_suv_mean: Band = Band(passes=(1.3, 3.2), warns=(1.0, 4.0))
    not_measured: Literal["warn", "ignore"] = "warn"

    @model_validator(mode="before")
    @classmethod
    def _one_unit(cls, given: Any) -> Any:
        return one_of(given, "pet_ct_shift_mm", "pet_ct_shift_voxels")


class PairingRules(_Rules):
    """Which section of the follow-up is which of the baseline, and whose contours the follow-up is measured in."""

    correspondence: Literal["landmark", "registration"] = "landmark"
    followup_contours: Literal["own", "baseline"] = "own"
    registration_correlation: Correlation = 0.7
    registration_return_mm: ShiftMm = 2.0
    registration_apart_mm: ShiftMm = 5.0

    @property
    def registers(self) -> bool:
        """Whether the two CTs have to be registered."""
        return self.correspondence == "registration" or self.followup_contours == "baseline"


class ChangeRules(_Rules):
    """How a change between visits is expressed for one patient."""

    within_subject_cv: VariationCoefficient = 0.05
    published_bands_percent: tuple[Percent, ...] = (9.5, 15.0, 27.0)


class ReviewRules(_Rules):
    """Which of several reads of a visit counts, and when two reads differ; fixed before reading, measures nothing."""

    counts: Literal["first", "consensus", "adjudicated"] = "first"
    prefill: bool = False
    same_overlap: Share = 0.7
    same_left_out_mm: ReachMm = 5.0


class Protocol(_Rules):
    """Every measurement choice of a study.

    >>> Protocol().summary.active_threshold
    2.0
    """

    name: Name = "ivory_assumed_v2"
    conversion: ConversionRules = ConversionRules()
    segmentation: SegmentationRules = SegmentationRules()
    region: RegionRules = RegionRules()
    spill_in: SpillInRules = SpillInRules()
    background: BackgroundRules = BackgroundRules()
    partial_volume: PartialVolumeRules = PartialVolumeRules()
    summary: SummaryRules = SummaryRules()
    pairing: PairingRules = PairingRules()
    comparability: ComparabilityRules = ComparabilityRules()
    change: ChangeRules = ChangeRules()
    review: ReviewRules = ReviewRules()
    analysis_set: Literal["all_measured", "comparable"] = "all_measured"
    sensitivity: tuple[Variation, ...] = VARIATIONS

    @model_validator(mode="before")
    @classmethod
    def _older_version(cls, given: Any) -> Any:
        return filled_from_older(given) if isinstance(given, dict) else given

    @model_validator(mode="after")
    def _every_vessel_has_a_pool(self) -> Protocol:
        wanted = {*self.summary.index_candidates, *self.summary.target_vessels}
        missing = sorted(wanted - set(self.background.regions))
        if missing:
            raise ValueError(f"background.regions names no blood pool for {', '.join(missing)}")
        return self

    @model_validator(mode="after")
    def _sound_variations(self) -> Protocol:
        names = [v.name for v in self.sensitivity]
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            raise ValueError(f"the variations {twice} stand twice")
        for variation in self.sensitivity:
            try:
                self.varied(variation)
            except ValidationError as error:
                said = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
                raise ValueError(f"the variation {variation.name} is no protocol: {said}") from None
        return self

    def varied(self, variation: Variation) -> Protocol:
        """Return the protocol with a variation's changes; it has no variations of its own."""
        document = self.model_dump(mode="json") | {"name": f"{self.name}, {variation.name}", "sensitivity": []}
        for section, choices in variation.changes.items():
            document[section] = document[section] | choices
        return Protocol.model_validate(document)

    def as_dict(self) -> dict[str, Any]:
        """Return every choice as plain values."""
        return self.model_dump(mode="json")

    @property
    def digest(self) -> str:
        """SHA-256 of the choices of measurement, the same whatever file they came from."""
        return digest_of(self.as_dict())

    def section_digest(self, section: str) -> str:
        """SHA-256 of one section's choices, for what depends on nothing else."""
        return _hash(self.as_dict()[section])

    @property
    def stamp(self) -> dict[str, str]:
        """Name and hash, as written into every result."""
        return {"protocol": self.name, "protocol_sha256": self.digest}


def digest_of(choices: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a protocol's choices as plain values.

    Which read counts measures nothing, and every visit would be measured anew for it: `review` has a hash of its own
    (`Protocol.section_digest`), which the reading plan records.
    """
    return _hash({key: value for key, value in choices.items() if key != "review"})


def _hash(values: Any) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def load_protocol(path: Path | None) -> Protocol:
    """Read a protocol file (YAML); without one, return the default `ivory_assumed_v2`.

    Raises
    ------
    InputRefused
        When the file is absent, is no YAML mapping, or holds unknown keys or bad values; every one is listed.
    """
    if path is None:
        return Protocol()
    where = calling(path, "the protocol")
    document = read_yaml(path, where=where)
    if not isinstance(document, dict):
        raise InputRefused.of("it is not a mapping of choices", where, "start from config/protocols/ivory.yaml")
    try:
        return Protocol.model_validate({str(key): value for key, value in document.items()})
    except ValidationError as error:
        raise InputRefused(validation_faults(error, where)) from None
