"""Spill-in: does a section's uptake come from a hot neighbour? (measurement definitions, sections 2 and 8)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from petflame.measure.images import VisitImages
from petflame.measure.sections import Section
from petflame.measure.surroundings import Surroundings, surroundings
from petflame.measure.uptake import values_at
from petflame.protocol import Protocol
from petflame.space.boxes import box_between
from petflame.space.grid import Array, Volume


@dataclass(frozen=True, eq=False)
class SpillIn:
    """What is suspected of one section.

    Attributes
    ----------
    source : str
        The neighbour, or 'unlabelled'; empty where nothing is suspected.
    test : str
        'peak' where the section's maximum belongs to a peak in the neighbour, 'reach' where a hot neighbour lies
        within reach of the region; empty where nothing is suspected.
    voxels : (n,) bool array
        Voxels of the region that are suspected: those within reach of a hot source, or where none is, those that
        belong to its peak.
    """

    source: str
    test: str
    voxels: Array


def spill_in(vessel: str, sections: list[Section], images: VisitImages, protocol: Protocol) -> list[SpillIn]:
    """Test every section of a vessel for spill-in.

    A source is a labelled neighbour, or a local maximum of the PET farther than half the resolution from every
    artery, extended to half its height above what surrounds it (`extent`). It is hot for a section when it exceeds
    `hot_ratio` times the section's maximum. Two tests, the first that holds names the source:

    - peak: steepest ascent from the section's maximum leaves the artery and ends in a hot source, no farther away
      than the reach or two resolution widths, so the maximum is the flank of somebody else's peak;
    - reach: a hot source lies within `reach_mm` of a voxel of the region (the neighbour dilated by the resolution).

    Parameters
    ----------
    vessel : str
    sections : list of Section
    images : VisitImages
    protocol : Protocol

    Returns
    -------
    list of SpillIn
        One a section; nothing is suspected of a section out of view.
    """
    rules, fwhm_mm = protocol.spill_in, protocol.partial_volume.psf_fwhm_mm
    nothing = [SpillIn("", "", np.zeros(len(s.ijk), bool)) for s in sections]
    seen = [s for s in sections if s.in_view]
    if rules.rule == "ignore" or not seen:
        return nothing
    region = protocol.region
    cut = (region.roi_margin_mm, region.slice_spacing_mm, region.section_plane)
    # A peak below this is hot for no section of the vessel.
    least = rules.hot_ratio * min(float(values_at(s.ijk, images.pet).max()) for s in seen)
    key = ("surroundings", vessel, *cut, rules.reach_mm, fwhm_mm, rules.unlabelled, rules.extent, least)
    around = images.once(
        key,
        lambda: surroundings(
            images.pet,
            images.labels,
            np.concatenate([s.voxels for s in seen]),
            rules.reach_mm,
            fwhm_mm,
            rules.unlabelled,
            rules.extent,
            least,
        ),
    )
    return images.once(
        (*key, "suspects", rules.hot_ratio),
        lambda: [
            _suspect(s, images.pet, around, rules.reach_mm, rules.hot_ratio, fwhm_mm) if s.in_view else n
            for s, n in zip(sections, nothing, strict=True)
        ],
    )


def _suspect(
    section: Section, pet: Volume, around: Surroundings, reach_mm: float, hot_ratio: float, fwhm_mm: float
) -> SpillIn:
    values = values_at(section.ijk, pet)
    threshold = hot_ratio * float(values.max())
    index = around.at(section.voxels)
    within, nearest = _within_reach(around, section.voxels, pet.grid.spacing_mm, reach_mm, threshold)
    ends, highest = around.peak[index], int(values.argmax())
    top = int(ends[highest])
    strays = around.beyond_mm.ravel()[top] > 0.5 * fwhm_mm or around.neighbour.ravel()[top] > 0
    climb = (np.unravel_index(top, around.peak.shape) - (section.voxels[highest] - around.low)) * pet.grid.spacing_mm
    near = float(np.linalg.norm(climb)) <= max(reach_mm, 2 * fwhm_mm) + 1e-6
    if strays and near and around.values.ravel()[top] >= threshold:
        return SpillIn(around.source_name(top), "peak", within if within.any() else ends == top)
    if nearest >= 0:
        return SpillIn(around.source_name(nearest), "reach", within)
    return SpillIn("", "", np.zeros(len(values), bool))


def _within_reach(
    around: Surroundings, voxels: Array, spacing_mm: tuple[float, float, float], reach_mm: float, threshold: float
) -> tuple[Array, int]:
    """Which voxels have a hot source within reach, and the flat number of the nearest source voxel (-1: none)."""
    spacing = np.array(spacing_mm)
    margin = np.ceil(reach_mm / spacing).astype(int)
    local = voxels - around.low
    low = np.maximum(local.min(axis=0) - margin, 0)
    high = np.minimum(local.max(axis=0) + margin + 1, around.heat.shape)
    window = around.heat[box_between(low, high)]
    hot = np.argwhere(window >= threshold) + low
    if not len(hot):
        return np.zeros(len(voxels), bool), -1
    gaps = np.linalg.norm((local[:, None, :] - hot[None]) * spacing, axis=-1)
    # Rounded, so that a source exactly at the reach does not hang on the last digit.
    within = np.round(gaps, 6) <= reach_mm
    if not within.any():
        return np.zeros(len(voxels), bool), -1
    nearest = hot[int(gaps.min(axis=0).argmin())]
    return within.any(axis=1), int(np.ravel_multi_index(tuple(nearest), around.heat.shape))
