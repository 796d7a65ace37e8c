"""Points that a reader set on one visit, carried to the participant's other visit by registration of the two CTs.

What is carried is not the click but the place beside it on the line that the read drew: a reader's error of some
millimetres would else arrive at the other visit as it was. The maps are those that pairing uses, held to its limits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from petflame.anatomy import AORTA, ARTERIES, BY_NAME, VEINS
from petflame.folders import VisitFolder
from petflame.labelmap import LabelMap
from petflame.pair.correspondence import LANDMARKS as LANDMARKS_OF
from petflame.pair.following import Followed, Scan, follow_vessel, not_followed, region_map, region_map_from
from petflame.pair.registration import Rigid, shift_by
from petflame.protocol import PairingRules, Protocol
from petflame.review.visit import VisitFiles, read_visit_files
from petflame.segment.product import Segmentation
from petflame.segment.seedfile import LEAST_LENGTH_MM, SAME_POINT_MM, Seeds
from petflame.segment.seeds import SeededVessel, draw_vessels, label_vessels
from petflame.space.blocks import block_grid, block_mean
from petflame.space.grid import Array, Grid, Volume, ras_to_lps
from petflame.space.orientation import to_canonical

CHEST = (*AORTA, "svc")
# The last window's map is taken to hold this far beyond a vessel's ends, for a landmark.
BEYOND_MM = 20.0
DECIMALS = 2
# Blocks of voxels up to this place points as well, several times as fast (docs/reading.md).
COARSE_MM, ROUNDING = 2.0, 0.05


@dataclass(frozen=True, eq=False)
class Prefill:
    """A proposal for one visit, from a read of the other.

    Attributes
    ----------
    points_lps_mm : dict of (n, 3) arrays
        Of each vessel that could be carried, from its lowest to its highest point.
    radius_mm : dict of float
        Where the reader gave one.
    landmarks_lps_mm : dict
        Name to (x, y, z).
    not_carried : dict
        Vessel or landmark to why it could not be carried, or not all of it.
    correlation, return_mm : dict of float
        Of each vessel's map: lowest agreement of the CTs in its windows; how far registering there and back misses.
    """

    points_lps_mm: dict[str, Array] = field(default_factory=dict)
    radius_mm: dict[str, float] = field(default_factory=dict)
    landmarks_lps_mm: dict[str, tuple[float, float, float]] = field(default_factory=dict)
    not_carried: dict[str, str] = field(default_factory=dict)
    correlation: dict[str, float] = field(default_factory=dict)
    return_mm: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Prefill:
        """Take up what `document` has written."""
        points = {name: np.array(p, float).reshape(-1, 3) for name, p in document["points_lps_mm"].items()}
        x_y_z = {name: (float(x), float(y), float(z)) for name, (x, y, z) in document["landmarks_lps_mm"].items()}
        rest = (document[name] for name in ("not_carried", "correlation", "return_mm"))
        return cls(points, document["radius_mm"], x_y_z, *rest)

    @property
    def document(self) -> dict[str, Any]:
        """As plain values."""
        return vars(self) | {"points_lps_mm": {name: p.tolist() for name, p in self.points_lps_mm.items()}}

    def action(self, vessels: Sequence[str], landmarks: Sequence[str]) -> dict[str, Any]:
        """Return the proposal for some vessels and landmarks as a reader's log holds it."""
        return {
            "kind": "prefill",
            "vessels": {
                name: {"points_lps_mm": points.tolist(), "radius_mm": self.radius_mm.get(name)}
                for name, points in self.points_lps_mm.items()
                if name in vessels
            },
            "landmarks_lps_mm": {n: list(place) for n, place in self.landmarks_lps_mm.items() if n in landmarks},
            "not_carried": {n: why for n, why in self.not_carried.items() if n in (*vessels, *landmarks)},
        }


def carry(read_seeds: Seeds, source: VisitFolder, target: VisitFolder, protocol: Protocol) -> Prefill:
    """Carry a read's points from one visit to the other of the same participant.

    Parameters
    ----------
    read_seeds : Seeds
        In the frame of `source`; a vessel with fewer than two points is left out.
    source, target : VisitFolder
        Converted and segmented; what was found there before any reader gives the registration its start.
    protocol : Protocol
        Its rules of pairing say which map can be trusted.

    Raises
    ------
    InputRefused
        When a visit cannot be read.
    """
    return carry_between(read_seeds, read_visit_files(source.root), read_visit_files(target.root), protocol.pairing)


def carry_between(read_seeds: Seeds, source: VisitFiles, target: VisitFiles, rules: PairingRules) -> Prefill:
    """Carry a read's points between two visits whose files are read; as `carry`."""
    seeds = {n: p for n, p in read_seeds.points_lps_mm.items() if len(p) > 1 and np.ptp(p[:, 2]) >= LEAST_LENGTH_MM}
    here, there = (_found(files) for files in (source, target))
    result = Prefill()
    if not seeds:
        return result
    radius = {n: r for n, r in read_seeds.radius_mm.items() if n in seeds}
    drawn = draw_vessels(seeds, radius, source.ct, source.pet)
    read = Scan(here.ct, LabelMap(label_vessels(drawn, here.ct.grid)[0], here.ct.grid))
    maps = _maps(read, here, there, _landmark_step(source.found, target.found), rules)
    for name, points in seeds.items():
        way = maps.get(name) or not_followed("its points give no outline on the CT that they were set on")
        if way.refused:
            result.not_carried[name] = way.refused
            continue
        carried = _once(way.apply(_on_line(points, drawn[name])))
        inside = _inside(carried, there.ct.grid)
        if not inside.all():
            count = f"{(~inside).sum()} of its {len(inside)} points"
            result.not_carried[name] = f"{count} come to lie outside the CT of this visit"
        if inside.sum() < 2:
            continue
        result.points_lps_mm[name] = carried[inside]
        if name in radius:
            result.radius_mm[name] = radius[name]
        result.correlation[name], result.return_mm[name] = float(way.correlation or 0), float(way.return_mm or 0)
    _landmarks(read_seeds, maps, result, there.ct.grid)
    return result


def _found(files: VisitFiles) -> Scan:
    """CT and the vessels that the software is sure of, canonical, in whole blocks of voxels.

    A proposal is no measure for a reader's points.
    """
    found, ct = files.found, to_canonical(files.ct, copy=False)
    labels = to_canonical(found.labels, copy=False)
    block = np.maximum(1, np.floor(COARSE_MM / np.array(ct.grid.spacing_mm) + ROUNDING).astype(int))
    part = labels.data[:: block[0], :: block[1], :: block[2]]
    numbers = [BY_NAME[n].label for n, vessel in found.vessels.items() if not vessel.withheld]
    sure = np.where(np.isin(part, numbers), part, 0).astype(np.uint8)
    coarse = block_mean(ct.data, block)
    return Scan(
        Volume(coarse, block_grid(ct.grid, np.zeros(3), block, coarse.shape)),
        LabelMap(sure, labels.grid.resampled(np.zeros(3), block, sure.shape)),
    )


def _landmark_step(one: Segmentation, other: Segmentation) -> Rigid | None:
    """Return the way from carina to carina, where both visits have one."""
    here, there = (s.landmarks_lps_mm.get("carina") for s in (one, other))
    return None if here is None or there is None else shift_by(np.array(there) - np.array(here))


def _maps(read: Scan, here: Scan, there: Scan, step: Rigid | None, rules: PairingRules) -> dict[str, Followed]:
    """Follow the drawn vessels: the chest's from a map of what was found there, the neck's from a map of its own."""
    drawn = [n for n in (*ARTERIES, *VEINS) if read.labels.has(n)]
    neck = [n for n in drawn if n not in CHEST]
    try:
        start = _start(here, there, step)
    except ValueError as error:
        return {n: not_followed(f"the chest could not be registered: {error}") for n in drawn}
    maps = {n: follow_vessel(read, there, n, start, rules) for n in drawn if n in CHEST}
    if not neck:
        return maps
    try:
        whole = region_map_from(read, there, read.places(*neck), start)
    except ValueError as error:
        return maps | {n: not_followed(f"the neck could not be registered: {error}") for n in neck}
    return maps | {n: follow_vessel(read, there, n, whole, rules) for n in neck}


def _start(here: Scan, there: Scan, step: Rigid | None) -> Rigid:
    try:
        return region_map(here, there, [n for n in CHEST if here.labels.has(n) and there.labels.has(n)])
    except ValueError:
        if step is None:
            raise
        return step


def _on_line(points: Array, vessel: SeededVessel) -> Array:
    """Return the places of a drawn line nearest to points, shape (n, 3)."""
    return np.asarray(vessel.line_lps_mm[cKDTree(vessel.line_lps_mm).query(points)[1]])


def _once(points: Array) -> Array:
    """Sort places upward, and leave out those that came to lie on another one."""
    points = np.round(points[np.argsort(points[:, 2], kind="stable")], DECIMALS)
    apart = np.linalg.norm(np.diff(points, axis=0), axis=1) > SAME_POINT_MM
    return points[np.append(True, apart)]


def _inside(points_lps_mm: Array, grid: Grid) -> Array:
    ijk = grid.to_ijk(ras_to_lps(points_lps_mm))
    return np.asarray(((ijk >= -0.5) & (ijk <= np.array(grid.shape) - 0.5)).all(axis=1))


def _landmarks(seeds: Seeds, maps: Mapping[str, Followed], result: Prefill, grid: Grid) -> None:
    """Carry each landmark with a vessel that it lies on."""
    for name, place in seeds.landmarks_lps_mm.items():
        own = [v for v, landmarks in LANDMARKS_OF.items() if name in landmarks and v in result.points_lps_mm]
        if not own:
            result.not_carried[name] = "the vessel that it lies on is not carried"
            continue
        way, points = maps[own[0]], seeds.points_lps_mm[own[0]]
        if not points[:, 2].min() - BEYOND_MM <= place[2] <= points[:, 2].max() + BEYOND_MM:
            result.not_carried[name] = f"it lies more than {BEYOND_MM:g} mm beyond the vessel that was followed"
            continue
        there = np.round(way.apply(np.array([place], float)), DECIMALS)
        if not _inside(there, grid).all():
            result.not_carried[name] = "it comes to lie outside the CT of this visit"
            continue
        result.landmarks_lps_mm[name] = tuple(there[0].tolist())
