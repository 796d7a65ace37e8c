"""Which sections count, and the reason codes of those that do not or are in doubt (measurement definitions, 2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from petflame.anatomy import BY_NAME
from petflame.errors import FaultList
from petflame.measure.alignment import is_mismatch
from petflame.measure.images import VisitImages
from petflame.measure.left_out import LeftOut, excluded
from petflame.measure.sections import Section
from petflame.measure.spill_in import SpillIn, spill_in
from petflame.protocol import Protocol
from petflame.space.boxes import box_between, box_corners
from petflame.space.grid import Array, Volume, ras_to_lps

OUTSIDE = "outside_field_of_view"
PARTIAL = "partial_end_section"
NO_BACKGROUND = "no_background"
SPILL_IN = "spill_in_suspected"
METAL = "metal"
MISMATCH = "pet_ct_mismatch"


@dataclass
class Verdict:
    """What is said of one section.

    Attributes
    ----------
    section : Section
        With the voxels that are left.
    spill_in : SpillIn
    reasons : list of str
        Codes, a reader's with words.
    valid : bool
    """

    section: Section
    spill_in: SpillIn
    reasons: list[str] = field(default_factory=list)
    valid: bool = True

    def add(self, reason: str, counts: bool = False) -> None:
        """Note a reason; unless it `counts` all the same, the section no longer does."""
        if reason not in self.reasons:
            self.reasons.append(reason)
        self.valid = self.valid and counts


def judge(
    vessel: str,
    sections: list[Section],
    images: VisitImages,
    protocol: Protocol,
    exclusions: Sequence[LeftOut],
    has_background: bool,
    faults: FaultList,
) -> list[Verdict]:
    """Decide which sections of a vessel count.

    Parameters
    ----------
    vessel : str
    sections : list of Section
        In their order along the vessel.
    images : VisitImages
    protocol : Protocol
    exclusions : sequence of LeftOut
        A reader's, of any vessel.
    has_background : bool
    faults : FaultList
        Takes a reader's rows that meet no section.

    Returns
    -------
    list of Verdict
        One a section.
    """
    region, rule = protocol.region, protocol.spill_in.rule
    found = spill_in(vessel, sections, images, protocol)
    verdicts = [Verdict(s, f) for s, f in zip(sections, found, strict=True)]
    ends = set(end_sections(sections, region.partial_section_fraction)) if region.trim_end_sections else set()
    cut = (region.roi_margin_mm, region.slice_spacing_mm, region.section_plane)
    looked_for = (region.metal_hu, region.metal_reach_mm, region.metal != "ignore")
    metal = images.once(("metal", vessel, *cut, *looked_for), lambda: near_metal(sections, images, *looked_for))
    shifted = is_mismatch(images, vessel, region)
    by_reader = excluded(vessel, sections, exclusions, faults)
    for n, verdict in enumerate(verdicts):
        if not verdict.section.in_view:
            verdict.add(OUTSIDE)
        if n in ends:
            verdict.add(PARTIAL)
        if not has_background:
            verdict.add(NO_BACKGROUND)
        if metal[n]:
            verdict.add(METAL, counts=region.metal == "flag")
        if shifted:
            verdict.add(MISMATCH, counts=region.pet_ct_mismatch == "flag")
        for reason in by_reader[n]:
            verdict.add(reason)
        if verdict.spill_in.source:
            _spilled(verdict, rule)
    return verdicts


def _spilled(verdict: Verdict, rule: str) -> None:
    """Apply the protocol's rule to a section with suspected spill-in."""
    kept = ~verdict.spill_in.voxels
    if rule == "exclude_voxels" and kept.any():
        section = verdict.section
        verdict.section = replace(section, ijk=section.ijk[kept], depth_mm=section.depth_mm[kept])
        verdict.add(SPILL_IN, counts=True)
    else:
        verdict.add(SPILL_IN, counts=rule == "flag")


def end_sections(sections: list[Section], fraction: float) -> list[int]:
    """Positions of sections at either end that hold less than `fraction` of the vessel's median voxel count."""
    counts = np.array([len(s.ijk) for s in sections])
    if not len(counts):
        return []
    small = counts < fraction * np.median(counts)
    full = np.flatnonzero(~small)
    return [n for n in range(len(counts)) if n < full[0] or n > full[-1]] if len(full) else []


def near_metal(
    sections: list[Section], images: VisitImages, metal_hu: float, reach_mm: float, wanted: bool = True
) -> list[bool]:
    """Whether metal, labelled or brighter than `metal_hu` on CT, lies within reach of a voxel of each section."""
    nowhere = [False] * len(sections)
    if not wanted or not sections:
        return nowhere
    points = [ras_to_lps(images.pet.grid.to_ras(s.ijk)) for s in sections]
    every = np.concatenate(points)
    low, high = every.min(axis=0) - reach_mm, every.max(axis=0) + reach_mm
    metal = []
    if images.has("metal"):
        metal.append(_places(images.labels, low, high, lambda labels: labels == BY_NAME["metal"].label))
    if images.ct is not None:
        metal.append(_places(images.ct, low, high, lambda hu: hu > metal_hu))
    places = np.concatenate(metal) if metal else np.zeros((0, 3))
    if not len(places):
        return nowhere
    from scipy.spatial import cKDTree

    tree = cKDTree(places)
    return [bool((tree.query(p, distance_upper_bound=reach_mm + 1e-6)[0] <= reach_mm + 1e-6).any()) for p in points]


def _places(volume: Volume, low_lps_mm: Array, high_lps_mm: Array, chosen: Callable[[Array], Array]) -> Array:
    """LPS mm of the voxels of a box, given by two corners, for which `chosen` holds, shape (n, 3)."""
    corners = box_corners(low_lps_mm, high_lps_mm)
    ijk = volume.grid.to_ijk(ras_to_lps(corners))
    start = np.clip(np.floor(ijk.min(axis=0)).astype(int), 0, volume.grid.shape)
    stop = np.clip(np.ceil(ijk.max(axis=0)).astype(int) + 1, 0, volume.grid.shape)
    box = volume.data[box_between(start, stop)]
    return ras_to_lps(volume.grid.to_ras(np.argwhere(chosen(box)) + start))
