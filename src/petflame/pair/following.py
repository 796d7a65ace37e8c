"""Where the places of a vessel at baseline lie at follow-up: a chain of rigid maps along the vessel.

A rigid map of the whole region (chest or neck) comes first. A neck bends, so windows along the vessel are then
registered on their own, each from the region's map, and blended in between. A map is trusted only where the CTs agree,
registering back returns to the start, and the vessel comes to lie where the follow-up's own region has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from petflame.anatomy import AORTA, CAROTIDS
from petflame.labelmap import LabelMap
from petflame.pair.registration import Rigid, register, shift_by
from petflame.protocol import PairingRules
from petflame.space.grid import Array, Volume, ras_to_lps

REGIONS: dict[str, tuple[str, ...]] = {"chest": AORTA, "neck": CAROTIDS}
REGION_REACH_MM, REGION_LEEWAY_MM = 15.0, 30.0
WINDOW_STEP_MM, WINDOW_HALF_MM = 10.0, 10.0
WINDOW_REACH_MM, WINDOW_LEEWAY_MM = 20.0, 15.0
SLAB_MM = 5.0
# Places of a window that take part; more only cost time.
_MOST_PLACES = 4000


@dataclass(frozen=True, eq=False)
class Scan:
    """What registration needs of a visit: CT (HU) and labels, canonical and on one grid."""

    ct: Volume
    labels: LabelMap

    def places(self, *vessels: str) -> Array:
        """Centres of the vessels' voxels, shape (n, 3) LPS mm."""
        return ras_to_lps(self.labels.places_mm(*vessels))


@dataclass(frozen=True, eq=False)
class Followed:
    """A vessel's map from baseline to follow-up, or why there is none.

    Attributes
    ----------
    heights_mm : (n,) array
        LPS z of each window's middle at baseline, rising.
    windows : tuple of Rigid
    correlation : float or None
        Lowest of the windows.
    return_mm : float or None
        How far registering there and back misses the start, 95th percentile over the vessel's places.
    refused : str
        Empty where the map can be trusted.
    """

    heights_mm: Array
    windows: tuple[Rigid, ...]
    correlation: float | None = None
    return_mm: float | None = None
    refused: str = ""

    def apply(self, points_mm: Array) -> Array:
        """Map places of the baseline, shape (n, 3) LPS mm, to follow-up."""
        return _blended(self.windows, self.heights_mm, points_mm)

    def back(self, points_mm: Array) -> Array:
        """Map places of the follow-up, shape (n, 3) LPS mm, to baseline."""
        there = np.array([w.apply(w.centre_mm[None])[0][2] for w in self.windows])
        order = np.argsort(there)
        return _blended([self.windows[n].inverse() for n in order], there[order], points_mm)


def follow(baseline: Scan, followup: Scan, vessels: tuple[str, ...], rules: PairingRules) -> dict[str, Followed]:
    """Register the surroundings of vessels from baseline to follow-up.

    Parameters
    ----------
    baseline, followup : Scan
    vessels : tuple of str
        Those labelled at baseline; any other is left out.
    rules : PairingRules
        How well the map must do to be trusted.

    Returns
    -------
    dict
        A map, or why there is none, for every vessel.
    """
    found: dict[str, Followed] = {}
    for region, members in REGIONS.items():
        wanted = [v for v in vessels if v in members and baseline.labels.has(v)]
        if not wanted:
            continue
        try:
            shared = [v for v in members if baseline.labels.has(v) and followup.labels.has(v)]
            whole = region_map(baseline, followup, shared)
        except ValueError as error:
            found |= {v: not_followed(f"the {region} could not be registered: {error}") for v in wanted}
            continue
        found |= {v: follow_vessel(baseline, followup, v, whole, rules) for v in wanted}
    return found


def not_followed(why: str) -> Followed:
    """Return what stands for a map that there is none of, and why."""
    return Followed(np.zeros(0), (), refused=why)


def region_map(baseline: Scan, followup: Scan, shared: Sequence[str]) -> Rigid:
    """Find the rigid map of a whole region by vessels that are labelled at both visits.

    Raises
    ------
    ValueError
        When there is no such vessel, or the CTs cannot be compared there.
    """
    if not shared:
        raise ValueError("no vessel of it is labelled at both visits")
    here, there = baseline.places(*shared), followup.places(*shared)
    start = shift_by(there.mean(axis=0) - here.mean(axis=0))
    return region_map_from(baseline, followup, here, start)


def region_map_from(baseline: Scan, followup: Scan, places_mm: Array, start: Rigid) -> Rigid:
    """Find the rigid map of the surroundings of places of the baseline, shape (n, 3) LPS mm, from a first guess.

    Raises
    ------
    ValueError
        When the CTs cannot be compared there.
    """
    return register(
        baseline.ct, places_mm, followup.ct, start, REGION_REACH_MM, coarse=True, leeway_mm=REGION_LEEWAY_MM
    )


def follow_vessel(baseline: Scan, followup: Scan, vessel: str, whole: Rigid, rules: PairingRules) -> Followed:
    """Register windows along a vessel labelled at baseline, each from its region's map, and judge the result.

    Where the follow-up has the vessel too, it must come to lie there.
    """
    places = baseline.places(vessel)
    try:
        heights, windows = _chain(baseline.ct, followup.ct, places, whole)
        there = Followed(heights, windows)
        mapped = there.apply(places)
        heights_back, windows_back = _chain(followup.ct, baseline.ct, mapped, whole.inverse())
    except ValueError as error:
        return not_followed(f"its surroundings could not be registered: {error}")
    returned = Followed(heights_back, windows_back).apply(mapped)
    misses = float(np.percentile(np.linalg.norm(returned - places, axis=1), 95))
    correlation = min(w.correlation for w in (*windows, *windows_back))
    why = []
    if correlation < rules.registration_correlation:
        why.append(f"the two CTs agree too little ({correlation:.2f} v {rules.registration_correlation:g})")
    if misses > rules.registration_return_mm:
        why.append(f"registering there and back misses by {misses:.1f} mm (limit {rules.registration_return_mm:g} mm)")
    apart = _apart(mapped, followup.places(vessel))
    if apart is not None and apart > rules.registration_apart_mm:
        limit = f"limit {rules.registration_apart_mm:g} mm"
        why.append(f"the vessel comes to lie {apart:.1f} mm from where the follow-up has it ({limit})")
    return Followed(heights, windows, correlation, misses, "; ".join(why))


def _apart(mapped: Array, own: Array) -> float | None:
    """Median distance of the centres of what both show of a vessel, slab by slab; None where they share no height."""
    slabs = [np.floor(p[:, 2] / SLAB_MM).astype(int) for p in (mapped, own)]
    shared = np.intersect1d(slabs[0], slabs[1])
    gaps = [np.linalg.norm(mapped[slabs[0] == n].mean(axis=0) - own[slabs[1] == n].mean(axis=0)) for n in shared]
    return float(np.median(gaps)) if gaps else None


def _chain(fixed: Volume, moving: Volume, places: Array, whole: Rigid) -> tuple[Array, tuple[Rigid, ...]]:
    low, high = places[:, 2].min(), places[:, 2].max()
    count = max(1, round((high - low) / WINDOW_STEP_MM))
    heights = low + (np.arange(count) + 0.5) * (high - low) / count
    windows = []
    for height in heights:
        own = places[np.abs(places[:, 2] - height) <= WINDOW_HALF_MM]
        own = own[:: max(1, len(own) // _MOST_PLACES)]
        found = register(fixed, own, moving, whole, WINDOW_REACH_MM, coarse=False, leeway_mm=WINDOW_LEEWAY_MM)
        windows.append(found.about(np.array([*own.mean(axis=0)[:2], height])))
    return heights, tuple(windows)


def _blended(windows: list[Rigid] | tuple[Rigid, ...], heights: Array, points_mm: Array) -> Array:
    """Apply the two windows nearest in height, weighted linearly."""
    points = np.asarray(points_mm, float)
    z = np.clip(points[:, 2], heights[0], heights[-1])
    at = np.interp(z, heights, np.arange(len(heights)))
    out = np.zeros(points.shape)
    for n, window in enumerate(windows):
        weight = np.clip(1.0 - np.abs(at - n), 0.0, None)
        some = weight > 0
        out[some] += weight[some, None] * window.apply(points[some])
    return out
