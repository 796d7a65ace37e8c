"""Which section of one visit is which of the other: by distance along the vessel, or by registration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from petflame.segment.product import Segmentation
from petflame.space.grid import Array
from petflame.space.polyline import arc_length_mm, arc_of, places_at

if TYPE_CHECKING:
    import pandas as pd

    from petflame.pair.following import Followed

# In order of preference; a level is read off the vessel's own centreline.
LANDMARKS: dict[str, tuple[str, ...]] = {
    "aorta_ascending": ("right_pulmonary_artery", "carina"),
    "aorta_descending": ("right_pulmonary_artery", "carina"),
    "carotid_right": ("carotid_bifurcation_right",),
    "carotid_left": ("carotid_bifurcation_left",),
}
MAXIMUM_EXTRAPOLATION_MM = 60.0


@dataclass(frozen=True, eq=False)
class Correspondence:
    """Pairs of sections of one vessel.

    Attributes
    ----------
    method : str
        'registration', 'landmark: NAME' or 'fraction of length'; the latter two with why registration was not
        trusted, where it was asked for.
    positions_baseline, positions_followup : (n,), (m,) arrays
        Position of every section along the vessel, mm.
    match : (n,) int array
        Row of the follow-up section of each baseline section; -1 where there is none within one section.
    by_anatomy : bool
        Whether a place along the vessel is the same anatomy at both visits; a fraction of length is so only where
        both visits hold the same stretch.
    """

    method: str
    positions_baseline: Array
    positions_followup: Array
    match: Array
    by_anatomy: bool = True


def level_on(centreline_lps_mm: Array, z_mm: float) -> float | None:
    """Distance along a head-foot centreline to the height `z_mm`, going straight on beyond its ends.

    >>> level_on(np.array([[0.0, 0, 0], [0, 0, 10], [0, 0, 20]]), 25.0)
    25.0
    """
    line = np.asarray(centreline_lps_mm, float)
    if len(line) < 2:
        return None
    arc = arc_length_mm(line)
    order = np.argsort(line[:, 2])
    z, arc_by_z = line[order, 2], arc[order]
    beyond = max(z[0] - z_mm, z_mm - z[-1], 0.0)
    if beyond > MAXIMUM_EXTRAPOLATION_MM:
        return None
    upwards = arc_by_z[-1] > arc_by_z[0]
    if z_mm < z[0]:
        return float(arc_by_z[0] - beyond if upwards else arc_by_z[0] + beyond)
    if z_mm > z[-1]:
        return float(arc_by_z[-1] + beyond if upwards else arc_by_z[-1] - beyond)
    return float(np.interp(z_mm, z, arc_by_z))


def _origin(vessel: str, a: Segmentation, b: Segmentation) -> tuple[str, float, float] | None:
    for landmark in LANDMARKS.get(vessel, ()):
        if landmark in a.landmarks_lps_mm and landmark in b.landmarks_lps_mm:
            levels = [level_on(s.vessels[vessel].centreline_lps_mm, s.landmarks_lps_mm[landmark][2]) for s in (a, b)]
            if levels[0] is not None and levels[1] is not None:
                return landmark, levels[0], levels[1]
    return None


def correspond(
    vessel: str,
    baseline: pd.DataFrame,
    followup: pd.DataFrame,
    segmentations: tuple[Segmentation, Segmentation],
    section_spacing_mm: float,
    followed: Followed | None = None,
) -> Correspondence:
    """Match the sections of a vessel between two visits within one section.

    Parameters
    ----------
    vessel : str
    baseline, followup : DataFrame
        Rows of ``slices.tsv`` of this vessel.
    segmentations : pair of Segmentation
        Baseline and follow-up: centrelines and landmarks.
    section_spacing_mm : float
    followed : Followed or None
        The vessel's map from baseline to follow-up, where registration is to decide.

    Returns
    -------
    Correspondence
        By registration where it is given and can be trusted; else by distance from a landmark that both visits have;
        else by fraction of length, scaled to the mean length.
    """
    arcs = [np.asarray(rows["arc_mm"], float) for rows in (baseline, followup)]
    origin, refused, by_anatomy = _origin(vessel, *segmentations), "", True
    if followed is not None:
        refused = f" ({followed.refused})" if followed.refused else ""
    if followed is not None and not refused:
        method = "registration"
        lines = [s.vessels[vessel].centreline_lps_mm for s in segmentations]
        positions = [arc_of(followed.apply(places_at(lines[0], arcs[0])), lines[1]), arcs[1]]
    elif origin is not None:
        method = f"landmark: {origin[0]}"
        positions = [arcs[0] - origin[1], arcs[1] - origin[2]]
    else:
        lengths = [s.vessels[vessel].arc_mm[-1] if len(s.vessels[vessel].arc_mm) else 0.0 for s in segmentations]
        scale = float(np.mean(lengths))
        method, by_anatomy = "fraction of length", False
        positions = [a / max(length, 1e-9) * scale for a, length in zip(arcs, lengths, strict=True)]
    method += refused
    # Along a slanted vessel neighbouring planes lie further apart than the planes themselves.
    steps = [np.abs(np.diff(p)) for p in positions if len(p) > 1]
    reach = max([section_spacing_mm, *(float(np.median(s)) for s in steps)])
    match = np.full(len(positions[0]), -1)
    if len(positions[1]):
        gaps = np.abs(positions[0][:, None] - positions[1][None])
        nearest = gaps.argmin(axis=1)
        close = gaps[np.arange(len(nearest)), nearest] <= reach
        match[close] = nearest[close]
    return Correspondence(method, positions[0], positions[1], match, by_anatomy)
