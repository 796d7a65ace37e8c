"""Uptake of vessel sections, and the measures that sum a vessel up (measurement definitions, section 3)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from petflame.measure.sections import Section
from petflame.protocol import SummaryRules
from petflame.space.boxes import box_between, lattice, voxels_between
from petflame.space.grid import Array, Volume

PEAK_VOLUME_MM3 = 1000.0
PEAK_SUBSAMPLES = 5


@dataclass(frozen=True)
class Uptake:
    """Uptake of one section, in the unit of the image."""

    maximum: float
    mean: float
    peak: float


def section_uptake(section: Section, pet: Volume, sphere: tuple[Array, Array] | None) -> Uptake:
    """Maximum, mean and 1 cm3 peak of a section in view; a plane between slices is interpolated linearly.

    Without a sphere (see `peak_sphere`) the peak is NaN.
    """
    values = values_at(section.ijk, pet)
    peak = float("nan") if sphere is None else _peak(section.voxels, pet, sphere)
    return Uptake(float(values.max()), float(values.mean()), peak)


def values_at(ijk: Array, pet: Volume) -> Array:
    """Uptake at whole i, j and any k of the image, shape (n,), float64; linear between slices."""
    i, j = ijk[:, :2].astype(int).T
    low = np.floor(ijk[:, 2] + 1e-9).astype(int)
    fraction = ijk[:, 2] - low
    values = pet.data[i, j, low].astype(float)
    between = fraction > 1e-9
    if between.any():
        high = np.minimum(low + 1, pet.data.shape[2] - 1)
        mixed = (1 - fraction) * values + fraction * pet.data[i, j, high]
        values = np.where(between, mixed, values)
    return values


def peak_sphere(spacing_mm: tuple[float, float, float]) -> tuple[Array, Array]:
    """Offsets, shape (n, 3), and weights, shape (n,), of a 1 cm3 sphere centred on a voxel.

    A voxel's weight is the share of its volume inside the sphere, so coarse grids still average 1 cm3.

    >>> offsets, weights = peak_sphere((4.0, 4.0, 3.0))
    >>> round(float(weights.sum() * 4 * 4 * 3))
    1000
    """
    radius = (3 * PEAK_VOLUME_MM3 / (4 * np.pi)) ** (1 / 3)
    reach = [int(np.ceil(radius / s + 0.5)) for s in spacing_mm]
    offsets = voxels_between([-r for r in reach], [r + 1 for r in reach]).reshape(-1, 3)
    u = (np.arange(PEAK_SUBSAMPLES) + 0.5) / PEAK_SUBSAMPLES - 0.5
    fine = lattice(u, u, u).reshape(-1, 3)
    points = (offsets[:, None, :] + fine[None]) * np.asarray(spacing_mm)
    weights = (np.linalg.norm(points, axis=-1) <= radius).mean(axis=1)
    keep = weights > 0
    # Subsampling leaves the volume a fraction of a percent off; the scale makes it 1 cm3.
    weights = weights[keep] * PEAK_VOLUME_MM3 / (weights.sum() * float(np.prod(spacing_mm)))
    return offsets[keep], weights


def _peak(ijk: Array, pet: Volume, sphere: tuple[Array, Array]) -> float:
    offsets, weights = sphere
    low, high = ijk.min(axis=0) + offsets.min(axis=0), ijk.max(axis=0) + offsets.max(axis=0) + 1
    # Round the section alone, and as if 0 went on beyond the image, each place is one number.
    start, stop = np.maximum(low, 0), np.minimum(high, pet.data.shape)
    box = pet.data[box_between(start, stop)]
    whole = (start == low).all() and (stop == high).all()
    if not whole:
        box = np.pad(box, np.column_stack([start - low, high - stop]))
    strides = np.array([box.shape[1] * box.shape[2], box.shape[2], 1])
    places = ((ijk - low) @ strides)[:, None] + offsets @ strides
    sums = box.ravel()[places] @ weights
    if whole:
        return float((sums / weights.sum()).max())
    there = np.zeros(box.shape, bool)
    there[box_between(start - low, stop - low)] = True
    return float((sums / (there.ravel()[places] @ weights)).max())


def window_length(spacing_mm: float, length_mm: float) -> int:
    """Sections that span `length_mm`: max(1, round(length / spacing)), half rounding up.

    >>> window_length(3.27, 15.0), window_length(40.0, 15.0)
    (5, 1)
    """
    return max(1, int(np.floor(length_mm / spacing_mm + 0.5)))


def most_diseased_segment(values: Array, valid: Array, length: int, rule: str) -> Array | None:
    """Sections of the most diseased segment: contiguous, valid, `length` of them.

    Parameters
    ----------
    values : (n,) array
        TBRmax of consecutive sections along the vessel.
    valid : (n,) bool array
    length : int
        Sections in the segment; a vessel with fewer valid ones in a run has no segment of that run.
    rule : str
        'largest_mean', 'centred_on_maximum' or 'any_window_with_maximum' (Tawakol 2013).

    Returns
    -------
    (length,) int array or None
        Positions of the sections; None where no run of valid sections is long enough.

    >>> most_diseased_segment(np.array([1.0, 3, 2, 2.5, 1]), np.ones(5, bool), 3, "largest_mean").tolist()
    [1, 2, 3]
    """
    count = len(values)
    starts = [s for s in range(count - length + 1) if valid[s : s + length].all()]
    if not starts:
        return None
    if rule != "largest_mean":
        top = int(np.argmax(np.where(valid, values, -np.inf)))
        if rule == "centred_on_maximum":
            wanted = min(max(top - length // 2, 0), count - length)
            starts = [s for s in starts if s == wanted]
        else:
            starts = [s for s in starts if s <= top < s + length]
    if not starts:
        return None
    best = max(starts, key=lambda s: (float(values[s : s + length].mean()), -s))
    return np.arange(best, best + length)


@dataclass(frozen=True)
class VesselSummary:
    """A vessel's measures; None where a measure does not exist."""

    mean_tbr_max: float | None
    mds_tbr_max: float | None
    mds_sections: tuple[int, ...]
    active_fraction: float | None
    active_tbr_max: float | None
    active_sections: tuple[int, ...]
    max_tbr: float | None


def summarise(tbr_max: Array, valid: Array, section_spacing_mm: float, rules: SummaryRules) -> VesselSummary:
    """Sum a vessel up from the TBRmax of its sections, shape (n,), in order along the vessel."""
    if not valid.any():
        return VesselSummary(None, None, (), None, None, (), None)
    good = tbr_max[valid]
    length = window_length(section_spacing_mm, rules.mds_length_mm)
    segment = most_diseased_segment(tbr_max, valid, length, rules.mds_rule)
    active = np.flatnonzero(valid & (np.nan_to_num(tbr_max, nan=-np.inf) >= rules.active_threshold))
    return VesselSummary(
        mean_tbr_max=float(good.mean()),
        mds_tbr_max=None if segment is None else float(tbr_max[segment].mean()),
        mds_sections=() if segment is None else tuple(int(s) for s in segment),
        active_fraction=len(active) / int(valid.sum()),
        active_tbr_max=float(tbr_max[active].mean()) if len(active) else None,
        active_sections=tuple(int(s) for s in active),
        max_tbr=float(good.max()),
    )
