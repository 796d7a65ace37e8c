"""Vessels from seeds: a smooth line through a reader's points, fitted to the CT where its edges allow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from petflame.anatomy import BY_NAME, CAROTIDS
from petflame.segment.anatomy_checks import VesselShape
from petflame.segment.product import Check, VesselFinding
from petflame.segment.seedfile import Seeds
from petflame.space.boxes import lattice
from petflame.space.grid import Array, Grid, Volume, ras_to_lps
from petflame.space.orientation import canonical_grid, to_canonical
from petflame.space.polyline import arc_length_mm

STEP_MM = 1.0
LARGEST_SHIFT_MM = 2.0
RADII_MM = np.arange(2.5, 11.01, 0.5)
LEAST_EDGE_HU = 12.0
LEAST_GAIN_HU = 15.0
DOUBTFUL_EDGE_HU = 25.0
SOFT_TISSUE_HU = (-120.0, 160.0)
STATION_MM = 6.0


@dataclass(frozen=True)
class Usual:
    """What is usual for a kind of vessel.

    Attributes
    ----------
    radius_mm : float
    stiffness_mm3 : float
        How straight it runs: weight of the line's squared curvature against a reader's squared error.
    """

    radius_mm: float
    stiffness_mm3: float


CAROTID = Usual(4.0, 700.0)
# The internal jugular veins run straighter than the carotids.
VEIN = Usual(5.0, 5000.0)


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
        Largest correction of the reader's line.
    """

    line_lps_mm: Array
    radius_mm: float
    fitted: bool
    edge_hu: float
    shift_mm: float


def smooth_line(points_lps_mm: Array, stiffness_mm3: float) -> Array:
    """Draw a smoothing spline through points, shape (n, 3), that a reader has set with some error.

    The line minimises the squared distance to the points plus the stiffness times its integrated squared curvature
    (the smoothing spline of Kimeldorf and Wahba 1970).

    Returns points about `STEP_MM` apart, shape (m, 3), from the first point to the last.
    """
    along = arc_length_mm(points_lps_mm)
    count = max(3, int(np.ceil(along[-1] / STEP_MM)) + 1)
    step = along[-1] / (count - 1)
    place = np.clip((along / step).astype(int), 0, count - 2)
    share = along / step - place
    rows = np.arange(len(along))
    at_points = np.zeros((len(along), count))
    at_points[rows, place] = 1.0 - share
    at_points[rows, place + 1] += share
    bend = np.diff(np.eye(count), 2, axis=0) / step**1.5
    line = np.linalg.solve(
        at_points.T @ at_points + stiffness_mm3 * bend.T @ bend, at_points.T @ np.asarray(points_lps_mm, float)
    )
    return np.asarray(line)


def draw_vessel(points_lps_mm: Array, ct: Volume, radius_mm: float | None, usual: Usual) -> SeededVessel:
    """Draw one vessel: spline, correction of the line and fit of the radius where the CT shows an edge.

    Parameters
    ----------
    points_lps_mm : (n, 3) array
    ct : Volume
        HU, canonical.
    radius_mm : float or None
        The reader's radius, which is kept as it is.
    usual : Usual
        Course and radius where neither the reader nor the CT says otherwise.
    """
    line = smooth_line(points_lps_mm, usual.stiffness_mm3)
    stations = np.arange(0, len(line), max(1, round(STATION_MM / STEP_MM)))
    profiles = [_edge_profile(line[n], ct) for n in stations]
    edges = np.array([p for p, _ in profiles])
    typical = np.median(edges, axis=0)
    best = int(typical.argmax())
    clear = typical[best] >= LEAST_EDGE_HU and 0 < best < len(RADII_MM) - 1
    # A faint edge moves the radius from the usual one only part of the way: areas must not differ by chance alone.
    trust = typical[best] ** 2 / (typical[best] ** 2 + DOUBTFUL_EDGE_HU**2) if clear else 0.0
    radius = radius_mm if radius_mm is not None else float(usual.radius_mm + trust * (RADII_MM[best] - usual.radius_mm))
    strong = edges.max(axis=1) >= LEAST_EDGE_HU
    shifts = np.array([s for _, s in profiles])
    correction = np.zeros_like(line)
    if strong.sum() >= 3:
        # One station can be led astray by a neighbour; the vessel's course cannot jump.
        kept = np.where(strong[:, None], shifts, 0.0)
        calm = ndimage.median_filter(kept, size=(3, 1), mode="nearest")
        for axis in range(2):
            correction[:, axis] = np.interp(np.arange(len(line)), stations, calm[:, axis])
        correction = ndimage.gaussian_filter1d(correction, 6.0 / STEP_MM, axis=0, mode="nearest")
    shift = float(np.linalg.norm(correction, axis=1).max())
    return SeededVessel(line + correction, radius, radius_mm is None and clear, float(typical[best]), shift)


def _edge_profile(centre_lps_mm: Array, ct: Volume) -> tuple[Array, Array]:
    """Step in HU across a circle of each of `RADII_MM`, and the in-plane shift (x, y, LPS mm) at which it is best."""
    angles = np.linspace(0.0, 2 * np.pi, 24, endpoint=False)
    ring = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    offsets = [(0.0, 0.0)] + [(r * np.cos(a), r * np.sin(a)) for r in (1.0, LARGEST_SHIFT_MM) for a in angles[::3]]
    scores = np.empty((len(offsets), len(RADII_MM)))
    for row, offset in enumerate(offsets):
        middle = centre_lps_mm[:2] + offset
        inner = middle + ring * (RADII_MM[:, None, None] - 1.0)
        outer = middle + ring * (RADII_MM[:, None, None] + 1.0)
        step = _hu(inner, centre_lps_mm[2], ct) - _hu(outer, centre_lps_mm[2], ct)
        # A vessel lies among fat and muscle: its edge is the part of the ring that shows one, not the brightest spot.
        scores[row] = np.clip(step, -30.0, 60.0).mean(axis=-1)
    best = int(scores.max(axis=1).argmax())
    moved = scores[best].max() >= scores[0].max() + LEAST_GAIN_HU
    return scores[0] if not moved else scores[best], np.asarray(offsets[best] if moved else (0.0, 0.0))


def _hu(xy_lps_mm: Array, z_mm: float, ct: Volume) -> Array:
    points = np.concatenate([xy_lps_mm, np.full((*xy_lps_mm.shape[:-1], 1), z_mm)], axis=-1)
    ijk = np.moveaxis(ct.grid.to_ijk(ras_to_lps(points)), -1, 0)
    values = ndimage.map_coordinates(ct.data, ijk, output=np.float64, order=1, mode="nearest")
    return np.clip(values, *SOFT_TISSUE_HU)


def paint_vessel(vessel: SeededVessel, grid: Grid) -> Array:
    """Voxels of a canonical grid whose centre lies inside the vessel, shape (n, 3): a disc on each axial slice."""
    line = vessel.line_lps_mm[np.argsort(vessel.line_lps_mm[:, 2])]
    ras = ras_to_lps(line)
    k_of = grid.to_ijk(ras)[:, 2]
    chosen = []
    for k in range(max(0, int(np.ceil(k_of.min() - 0.5))), min(grid.shape[2] - 1, int(np.floor(k_of.max() + 0.5))) + 1):
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


def _slope(line_lps_mm: Array, z_mm: float) -> Array:
    n = int(np.clip(np.searchsorted(line_lps_mm[:, 2], z_mm), 3, len(line_lps_mm) - 4)) if len(line_lps_mm) > 7 else 0
    low, high = (line_lps_mm[max(n - 3, 0)], line_lps_mm[min(n + 3, len(line_lps_mm) - 1)])
    direction = ras_to_lps(high - low)
    length = np.linalg.norm(direction)
    upright = np.array([0.0, 0.0, 1.0])
    if length == 0 or direction[2] / length < 0.5:
        return upright
    return direction / length


def vessels_from_seeds(seeds: Seeds, ct: Volume) -> tuple[Array, dict[str, VesselFinding], dict[str, VesselShape]]:
    """Draw every seeded vessel on the CT.

    Parameters
    ----------
    seeds : Seeds
    ct : Volume
        HU, any axis order and direction.

    Returns
    -------
    labels : uint8 array
        Numbers of `petflame.anatomy`, on the grid of `ct`.
    findings : dict
        One for each seeded vessel.
    shapes : dict
        Of those that lie in the CT, for `petflame.segment.anatomy_checks`.
    """
    canonical = to_canonical(ct)
    drawn = {
        name: draw_vessel(points, canonical, seeds.radius_mm.get(name), CAROTID if name in CAROTIDS else VEIN)
        for name, points in seeds.points_lps_mm.items()
    }
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
    labels = np.zeros(grid.shape, np.uint8)
    count = {}
    for name, vessel in vessels.items():
        voxels = paint_vessel(vessel, canonical)
        places = np.round(grid.to_ijk(canonical.to_ras(voxels))).astype(int)
        labels[tuple(places.T)] = BY_NAME[name].label
        count[name] = len(voxels)
    return labels, count


def _checks(vessel: SeededVessel, voxels: int) -> tuple[Check, ...]:
    source = "fitted to the CT" if vessel.fitted else "not fitted: the reader's or the default one"
    return (
        Check("radius", True, f"radius {vessel.radius_mm:.1f} mm, {source}; edge step {vessel.edge_hu:.0f} HU"),
        Check("line", True, f"the reader's line was moved by at most {vessel.shift_mm:.1f} mm"),
        Check("voxels", voxels > 0, f"{voxels} CT voxels"),
    )
