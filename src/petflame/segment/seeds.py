"""Vessels from seeds: a smooth line through a reader's points, fitted to the CT where its edges allow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.spatial import cKDTree
from scipy.special import chdtri

from petflame.anatomy import BY_NAME
from petflame.segment.across import sample_at
from petflame.segment.anatomy_checks import VesselShape
from petflame.segment.course import bending, shares_of_stations
from petflame.segment.product import Check, VesselFinding
from petflame.segment.seedfile import Seeds
from petflame.segment.usual import Usual, usual_of
from petflame.space.boxes import lattice
from petflame.space.grid import Array, Grid, Volume, ras_to_lps
from petflame.space.orientation import canonical_grid
from petflame.space.polyline import arc_length_mm, places_at

STEP_MM = 1.0
# Four standard deviations of a reader's error: what images would move farther lies on something else.
LARGEST_SHIFT_MM = 8.0
RADII_MM = np.arange(2.5, 11.01, 0.5)
LEAST_EDGE_HU = 12.0
DOUBTFUL_EDGE_HU = 25.0
SOFT_TISSUE_HU = (-120.0, 160.0)
STATION_MM = 6.0
# A point clicked on a slice lies on it up to rounding, in slices.
ON_SLICE = 0.05
RING_POINTS = 24
# One in a thousand vessels of a reader's usual error has points farther off by chance.
CHANCE = 0.001
# Vessels are drawn beside the plain lines of the others first, then beside what was drawn.
SWEEPS = 2


@dataclass(frozen=True, eq=False)
class SeededVessel:
    """A vessel drawn from seeds.

    Attributes
    ----------
    line_lps_mm : (n, 3) array
        About `STEP_MM` apart, from the lowest seed to the highest.
    radius_mm : float
    fitted : bool
        Whether the CT's edges, not a default, gave the radius.
    edge_hu : float
        Mean step from inside to outside the vessel, HU.
    shift_mm : float
        Largest correction of the line through the reader's points.
    se_mm : float
        Largest standard error of the line across its course; NaN where it is not known.
    points_off_mm, most_off_mm : float
        Root mean square distance of the reader's points from the line, and the limit of chance.
    """

    line_lps_mm: Array
    radius_mm: float
    fitted: bool
    edge_hu: float
    shift_mm: float
    se_mm: float = float("nan")
    points_off_mm: float = 0.0
    most_off_mm: float = float("inf")


Memory = dict[Any, Any]


def smooth_line(points_lps_mm: Array, stiffness_mm3: float) -> Array:
    """Draw a smoothing spline through points, shape (n, 3), that a reader has set with some error.

    The line minimises the squared distance to the points plus the stiffness times its integrated squared curvature
    (the smoothing spline of Kimeldorf and Wahba 1970).

    Returns points about `STEP_MM` apart, shape (m, 3), from the first point to the last.
    """
    along = arc_length_mm(points_lps_mm)
    count = max(3, int(np.ceil(along[-1] / STEP_MM)) + 1)
    step = along[-1] / (count - 1)
    weights = shares_of_stations(along / step, count)
    matrix = weights.T @ weights + stiffness_mm3 * bending(count, step)
    return np.asarray(np.linalg.solve(matrix, weights.T @ np.asarray(points_lps_mm, float)))


def draw_vessel(
    points_lps_mm: Array,
    ct: Volume,
    radius_mm: float | None,
    usual: Usual,
    pet: Volume | None = None,
    beside: Sequence[tuple[Array, float]] = (),
    memory: Memory | None = None,
) -> SeededVessel:
    """Draw one vessel: the most probable course by a reader's points, CT and PET, and a radius where the CT shows one.

    Parameters
    ----------
    points_lps_mm : (n, 3) array
    ct : Volume
        HU, any axis order and direction.
    radius_mm : float or None
        The reader's radius, which is kept as it is.
    usual : Usual
        Course and radius where neither the reader nor the CT says otherwise.
    pet : Volume or None
        Uptake in any unit, of the same frame. It says where blood is, never how large the vessel is.
    beside : sequence of ((m, 3) array, float)
        Lines, LPS mm, and radii of other vessels, whose uptake is told from this one's.
    memory : dict, optional
        What was drawn before on the same images, and from what: the same again is taken from there.
    """
    from petflame.segment.following import near_vessels

    first = smooth_line(points_lps_mm, usual.stiffness_mm3)
    beside = near_vessels(first, beside)
    if memory is None:
        return _drawn(points_lps_mm, first, ct, radius_mm, usual, pet, beside)
    points = np.asarray(points_lps_mm, float)
    key = (points.tobytes(), radius_mm, usual, *((np.asarray(line, float).tobytes(), r) for line, r in beside))
    if key not in memory:
        memory[key] = _drawn(points_lps_mm, first, ct, radius_mm, usual, pet, beside)
    known: SeededVessel = memory[key]
    return known


def _drawn(
    points_lps_mm: Array,
    first: Array,
    ct: Volume,
    radius_mm: float | None,
    usual: Usual,
    pet: Volume | None,
    beside: Sequence[tuple[Array, float]],
) -> SeededVessel:
    from petflame.segment.following import POINT_SD_MM, follow

    followed = follow(points_lps_mm, first, ct, pet, usual.given(radius_mm), beside)
    own = arc_length_mm(followed.line_lps_mm)
    steps = max(3, int(np.ceil(own[-1] / STEP_MM)) + 1)
    line = CubicSpline(own, followed.line_lps_mm)(np.linspace(0.0, own[-1], steps))
    shares = np.linspace(0.0, 1.0, steps)
    plain = places_at(first, shares * arc_length_mm(first)[-1])
    moved = line - plain
    far = np.linalg.norm(moved, axis=1, keepdims=True)
    line = plain + moved * np.minimum(1.0, LARGEST_SHIFT_MM / np.maximum(far, 1e-9))
    typical = np.median(edge_steps(line, ct), axis=0)
    best = int(typical.argmax())
    clear = typical[best] >= LEAST_EDGE_HU and 0 < best < len(RADII_MM) - 1
    # A faint edge moves the radius from the usual one only part of the way: areas must not differ by chance alone.
    trust = typical[best] ** 2 / (typical[best] ** 2 + DOUBTFUL_EDGE_HU**2) if clear else 0.0
    radius = radius_mm if radius_mm is not None else float(usual.radius_mm + trust * (RADII_MM[best] - usual.radius_mm))
    fitted = bool(radius_mm is None and clear)
    off = float(np.sqrt((cKDTree(line).query(points_lps_mm)[0] ** 2).mean()))
    # Errors along two axes of each point: their squares are chi-squared.
    limit = POINT_SD_MM * float(np.sqrt(chdtri(2 * len(points_lps_mm), CHANCE) / len(points_lps_mm)))
    se = float(followed.se_mm.max())
    return SeededVessel(line, radius, fitted, float(typical[best]), float(far.max()), se, off, limit)


def draw_vessels(
    points_lps_mm: Mapping[str, Array],
    radius_mm: Mapping[str, float],
    ct: Volume,
    pet: Volume | None = None,
    beside: Sequence[tuple[Array, float]] = (),
    memory: Memory | None = None,
) -> dict[str, SeededVessel]:
    """Draw vessels side by side, each knowing where the others run; parameters as of `draw_vessel`, by name."""
    lines = {n: (smooth_line(p, usual_of(n).stiffness_mm3), usual_of(n)) for n, p in points_lps_mm.items()}
    known = {n: (line, usual.given(radius_mm.get(n)).radius_mm) for n, (line, usual) in lines.items()}
    drawn: dict[str, SeededVessel] = {}
    for _ in range(SWEEPS if pet is not None and len(lines) > 1 else 1):

        def one(name: str, known: dict[str, tuple[Array, float]] = known) -> SeededVessel:
            others = [*beside, *(other for n, other in known.items() if n != name)]
            return draw_vessel(points_lps_mm[name], ct, radius_mm.get(name), usual_of(name), pet, others, memory)

        if memory is None:
            drawn = {name: one(name) for name in lines}
        else:
            # Somebody waits: vessels of one sweep do not depend on each other.
            with ThreadPoolExecutor(2) as pool:
                drawn = dict(zip(lines, pool.map(one, lines), strict=True))
        known = {n: (v.line_lps_mm, known[n][1]) for n, v in drawn.items()}
    return drawn


def edge_steps(line_lps_mm: Array, ct: Volume) -> Array:
    """Step in HU from inside to outside a circle of each of `RADII_MM`, at stations of a line, shape (n, radii)."""
    from petflame.segment.geometric.surface import frames

    chosen = np.arange(0, len(line_lps_mm), max(1, round(STATION_MM / STEP_MM)))
    middle, frame = line_lps_mm[chosen], frames(line_lps_mm)[chosen]
    angles = np.linspace(0.0, 2 * np.pi, RING_POINTS, endpoint=False)
    ring = np.cos(angles)[:, None] * frame[:, None, 0] + np.sin(angles)[:, None] * frame[:, None, 1]

    def hu(radii: Array) -> Array:
        places = middle[:, None, None] + radii[:, None, None] * ring[:, None]
        return np.clip(sample_at(ct, places), *SOFT_TISSUE_HU)

    # A vessel lies among fat and muscle: its edge is the part of the ring that shows one, not the brightest spot.
    return np.asarray(np.clip(hu(RADII_MM - 1.0) - hu(RADII_MM + 1.0), -30.0, 60.0).mean(axis=-1))


def paint_vessel(vessel: SeededVessel, grid: Grid) -> Array:
    """Voxels of a canonical grid whose centre lies inside the vessel, shape (n, 3): a disc on each axial slice."""
    line = vessel.line_lps_mm[np.argsort(vessel.line_lps_mm[:, 2])]
    ras = ras_to_lps(line)
    k_of = grid.to_ijk(ras)[:, 2]
    chosen = []
    for k in _slices(k_of, grid):
        centre = np.array([np.interp(k, k_of, ras[:, axis]) for axis in range(3)])
        slope = _slope(line, centre[2])
        middle = grid.to_ijk(centre)
        reach = [int(np.ceil((vessel.radius_mm * 2.0) / s)) for s in grid.spacing_mm[:2]]
        i, j = (
            np.arange(max(0, round(middle[a]) - reach[a]), min(grid.shape[a], round(middle[a]) + reach[a] + 1))
            for a in range(2)
        )
        voxels = lattice(i, j, np.array([k]))[:, :, 0]
        places = grid.to_ras(voxels)
        across = places - centre
        # Distance from the slanted axis, so that an oblique vessel is cut as an ellipse.
        along = across @ slope
        inside = (across**2).sum(axis=-1) - along**2 <= vessel.radius_mm**2
        chosen.append(voxels[inside])
    return np.concatenate(chosen) if chosen else np.zeros((0, 3), int)


def _slices(k_of: Array, grid: Grid) -> range:
    """Slices whose middle lies between the ends of a line, or else the nearest one: no end is drawn out."""
    low, high = np.ceil(k_of.min() - ON_SLICE), np.floor(k_of.max() + ON_SLICE)
    if low > high:
        low = high = np.round(k_of.mean())
    return range(max(0, int(low)), min(grid.shape[2] - 1, int(high)) + 1)


def _slope(line_lps_mm: Array, z_mm: float) -> Array:
    n = int(np.clip(np.searchsorted(line_lps_mm[:, 2], z_mm), 3, len(line_lps_mm) - 4)) if len(line_lps_mm) > 7 else 0
    low, high = (line_lps_mm[max(n - 3, 0)], line_lps_mm[min(n + 3, len(line_lps_mm) - 1)])
    direction = ras_to_lps(high - low)
    length = np.linalg.norm(direction)
    upright = np.array([0.0, 0.0, 1.0])
    if length == 0 or direction[2] / length < 0.5:
        return upright
    return direction / length


def vessels_from_seeds(
    seeds: Seeds,
    ct: Volume,
    pet: Volume | None = None,
    beside: Sequence[tuple[Array, float]] = (),
    memory: Memory | None = None,
) -> tuple[Array, dict[str, VesselFinding], dict[str, VesselShape]]:
    """Draw every seeded vessel on the CT.

    Parameters
    ----------
    seeds : Seeds
    ct : Volume
        HU, any axis order and direction.
    pet : Volume or None
        Uptake in any unit, any axis order and direction.
    beside : sequence of ((n, 3) array, float)
        Lines and radii of vessels that are drawn already.
    memory : dict, optional
        As of `draw_vessel`.

    Returns
    -------
    labels : uint8 array
        Numbers of `petflame.anatomy`, on the grid of `ct`.
    findings : dict
        One for each seeded vessel.
    shapes : dict
        Of those that lie in the CT, for `petflame.segment.anatomy_checks`.
    """
    drawn = draw_vessels(seeds.points_lps_mm, seeds.radius_mm, ct, pet, beside, memory)
    labels, voxels = label_vessels(drawn, ct.grid)
    findings = {}
    for name, vessel in drawn.items():
        line = vessel.line_lps_mm if BY_NAME[name].kind == "artery" else vessel.line_lps_mm[::-1]
        findings[name] = VesselFinding("seeds", None, _checks(vessel, voxels[name]), line)
        if not voxels[name]:
            reason = "its seeds lie outside the CT"
            findings[name] = VesselFinding("seeds", None, (), np.zeros((0, 3)), True, reason)
    shapes = {n: VesselShape(v.line_lps_mm, v.radius_mm) for n, v in drawn.items() if voxels[n]}
    return labels, findings, shapes


def label_vessels(vessels: dict[str, SeededVessel], grid: Grid) -> tuple[Array, dict[str, int]]:
    """Write the label of each vessel into an empty map on a grid of any axis order and direction.

    Returns
    -------
    labels : uint8 array
    voxels : dict
        How many of each vessel's voxels lie in the image.
    """
    canonical = canonical_grid(grid)
    # In the order of memory of the maps it is laid over.
    labels = np.zeros(grid.shape, np.uint8, order="F")
    count = {}
    for name, vessel in vessels.items():
        voxels = paint_vessel(vessel, canonical)
        places = np.round(grid.to_ijk(canonical.to_ras(voxels))).astype(int)
        labels[tuple(places.T)] = BY_NAME[name].label
        count[name] = len(voxels)
    return labels, count


def _checks(vessel: SeededVessel, voxels: int) -> tuple[Check, ...]:
    source = "fitted to the CT" if vessel.fitted else "not fitted: the reader's or the default one"
    moved = f"the images move the line by at most {vessel.shift_mm:.1f} mm (limit {LARGEST_SHIFT_MM:g}); "
    moved += f"its standard error is at most {vessel.se_mm:.1f} mm"
    off = f"the points lie {vessel.points_off_mm:.1f} mm from where the images show the vessel "
    off += f"(root mean square; limit {vessel.most_off_mm:.1f}): set them on its middle"
    return (
        Check("radius", True, f"radius {vessel.radius_mm:.1f} mm, {source}; edge step {vessel.edge_hu:.0f} HU"),
        Check("line", vessel.shift_mm <= LARGEST_SHIFT_MM, moved),
        Check("points", vessel.points_off_mm <= vessel.most_off_mm, off),
        Check("voxels", voxels > 0, f"{voxels} CT voxels"),
    )
