"""The most probable course of a vessel, given a reader's points and what images show in planes across it.

Points and displacements seen in images are observations with a known error; a vessel bends little. Both together are a
linear Gaussian problem with one solution (smoothing spline, Kimeldorf and Wahba 1970; its Bayesian reading, Wahba 1978,
J R Stat Soc B 40:364).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from petflame.space.grid import Array
from petflame.space.polyline import arc_length_mm

# Along the line nothing is observed: its stations stay where they are.
ALONG_SD_MM = 0.3


@dataclass(frozen=True, eq=False)
class Displacements:
    """How far off a line a vessel seems to lie, in planes across the line.

    Attributes
    ----------
    offset_mm : (n, 2) array
        Along the two normals of each plane's frame.
    precision : (n, 2, 2) array
        Inverse of the covariance, 1/mm2; zero where nothing is seen.
    """

    offset_mm: Array
    precision: Array

    def without(self, keep: Array) -> Displacements:
        """Return them with those planes left out for which `keep`, shape (n,), is zero; parts count in part."""
        return Displacements(self.offset_mm, self.precision * np.asarray(keep, float)[:, None, None])


@dataclass(frozen=True, eq=False)
class Points:
    """A reader's points on a line.

    Attributes
    ----------
    lps_mm : (m, 3) array
    weights : (m, n) array
        Each point is a weighted mean of the line's stations.
    sd_mm : float
        Standard deviation of a point's error along each axis.
    """

    lps_mm: Array
    weights: Array
    sd_mm: float


def points_on(line_lps_mm: Array, points_lps_mm: Array, sd_mm: float) -> Points:
    """Tie points to a line's stations by their shares of its length; the line was drawn through them."""
    along, own = arc_length_mm(points_lps_mm), arc_length_mm(line_lps_mm)
    place = np.interp(along / along[-1] * own[-1], own, np.arange(len(own)))
    return Points(np.asarray(points_lps_mm, float), shares_of_stations(place, len(own)), sd_mm)


def shares_of_stations(place: Array, count: int) -> Array:
    """Weights, shape (m, count), by which places between stations 0 to count - 1 are means of the two beside them.

    >>> shares_of_stations(np.array([0.25, 2.0]), 3).tolist()
    [[0.75, 0.25, 0.0], [0.0, 0.0, 1.0]]
    """
    lower = np.clip(place.astype(int), 0, count - 2)
    rows = np.arange(len(place))
    weights = np.zeros((len(place), count))
    weights[rows, lower] = 1.0 - (place - lower)
    weights[rows, lower + 1] += place - lower
    return weights


def bending(count: int, step_mm: float) -> Array:
    """Matrix, shape (count, count), whose quadratic form in one coordinate is a line's integrated squared curvature.

    Parameters
    ----------
    count : int
        Stations of the line.
    step_mm : float
        Between two of them.
    """
    bend = np.diff(np.eye(count), 2, axis=0) / step_mm**1.5
    return np.asarray(bend.T @ bend)


def likely_course(
    line_lps_mm: Array, frame: Array, points: Points, seen: list[Displacements], stiffness_mm3: float
) -> Array:
    """Solve for the stations, shape (n, 3), of the most probable line near a first one.

    Parameters
    ----------
    line_lps_mm : (n, 3) array
        Stations about equally far apart.
    frame : (n, 3, 3) array
        Rows: two normals, then the tangent.
    points : Points
    seen : list of Displacements
        From `line_lps_mm`.
    stiffness_mm3 : float
        Weight of the line's integrated squared curvature against a point's squared error.
    """
    matrix, right = _prior(line_lps_mm, frame, points, stiffness_mm3)
    for displacements in seen:
        _observe(matrix, right, line_lps_mm, frame, displacements)
    return np.linalg.solve(matrix, right).reshape(-1, 3)


def held_out_course(
    line_lps_mm: Array,
    frame: Array,
    points: Points,
    seen: list[Displacements],
    held_out: Displacements,
    reach_mm: float,
    stiffness_mm3: float,
) -> tuple[Array, Array]:
    """Solve as `likely_course`, each station without the `held_out` displacements within a reach of it.

    What was seen at a station then has no say in where that station lies, so a chance maximum there cannot draw the
    line towards itself (cross-fitting).

    Returns
    -------
    line_lps_mm : (n, 3) array
    se_mm : (n,) array
        Standard error in the plane across the line, both axes together.
    """
    matrix, right = _prior(line_lps_mm, frame, points, stiffness_mm3)
    for displacements in seen:
        _observe(matrix, right, line_lps_mm, frame, displacements)
    own = arc_length_mm(line_lps_mm)
    result, errors = np.empty_like(line_lps_mm), np.empty(len(own))
    for n in range(len(own)):
        a, b = matrix.copy(), right.copy()
        # Full weight from the reach on, none at half of it: neighbouring stations leave out nearly the same.
        keep = np.clip(2.0 * np.abs(own - own[n]) / reach_mm - 1.0, 0.0, 1.0)
        _observe(a, b, line_lps_mm, frame, held_out.without(keep))
        at = slice(3 * n, 3 * n + 3)
        unit = np.zeros((len(b), 3))
        unit[at] = np.eye(3)
        solved = np.linalg.solve(a, np.column_stack([b, unit]))[at]
        result[n] = solved[:, 0]
        errors[n] = np.sqrt(np.einsum("ai,ij,aj->", frame[n, :2], solved[:, 1:], frame[n, :2]))
    return result, errors


def _prior(line: Array, frame: Array, points: Points, stiffness_mm3: float) -> tuple[Array, Array]:
    count = len(line)
    step = arc_length_mm(line)[-1] / (count - 1)
    per_axis = stiffness_mm3 * bending(count, step) + points.weights.T @ points.weights
    matrix = np.kron(per_axis / points.sd_mm**2, np.eye(3))
    right = (points.weights.T @ points.lps_mm / points.sd_mm**2).ravel()
    for n, tangent in enumerate(frame[:, 2]):
        block = np.outer(tangent, tangent) / ALONG_SD_MM**2
        at = slice(3 * n, 3 * n + 3)
        matrix[at, at] += block
        right[at] += block @ line[n]
    return matrix, right


def _observe(matrix: Array, right: Array, line: Array, frame: Array, seen: Displacements) -> None:
    normals = frame[:, :2]
    blocks = np.einsum("nai,nab,nbj->nij", normals, seen.precision, normals)
    places = line + np.einsum("nai,na->ni", normals, seen.offset_mm)
    for n, block in enumerate(blocks):
        at = slice(3 * n, 3 * n + 3)
        matrix[at, at] += block
        right[at] += block @ places[n]
