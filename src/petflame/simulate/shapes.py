"""Shapes of the phantom and their signed distances (mm, negative inside) on a lattice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.interpolate import CubicSpline, PchipInterpolator

from petflame.grid import Array
from petflame.simulate.lattice import Lattice
from petflame.simulate.pose import Pose

FAR_MM = np.float32(1e3)


class Field(NamedTuple):
    """Signed distance of a shape inside a box of a lattice.

    Attributes
    ----------
    box : (slice, slice, slice)
        Where the box lies in the lattice (z, y, x).
    distance_mm : float32 array
        Signed distance; at least the margin, or `FAR_MM`, away from the shape.
    nearest : int32 array or None
        Index of the nearest sample of a tube, -1 where none is near.
    """

    box: tuple[slice, slice, slice]
    distance_mm: Array
    nearest: Array | None = None


class Samples(NamedTuple):
    """A tube sampled along its length: points (N, 3) LPS mm, radii (N,) mm, arc length (N,) mm."""

    points_mm: Array
    radii_mm: Array
    arc_mm: Array


@dataclass(frozen=True, eq=False)
class Tube:
    """A bent tube with a varying round cross-section.

    Attributes
    ----------
    points_mm : (K, 3) array
        Control points of the centreline in the reference anatomy, LPS mm.
    radii_mm : (K,) array
        Radius at each control point.
    """

    points_mm: Array
    radii_mm: Array

    def sampled(self, pose: Pose, step_mm: float | None = None) -> Samples:
        """Return samples of the posed tube, dense enough that a union of spheres is smooth to 0.04 mm."""
        points = pose.apply(self.points_mm)
        chord = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
        step = step_mm or float(np.sqrt(0.32 * max(np.min(self.radii_mm), 0.8)))
        t = np.linspace(0.0, chord[-1], max(int(np.ceil(chord[-1] / step)) + 1, 2))
        line = CubicSpline(chord, points)(t) if len(points) > 2 else _line(points, t / chord[-1])
        radii = PchipInterpolator(chord, self.radii_mm)(t)
        arc = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
        return Samples(line, radii, arc)

    def field(self, lattice: Lattice, pose: Pose, margin_mm: float, nearest: bool = False) -> Field | None:
        """Return the signed distance, or None where the tube does not touch the lattice."""
        return stamp(self.sampled(pose), lattice, margin_mm, nearest)


@dataclass(frozen=True, eq=False)
class Ellipsoid:
    """An ellipsoid; `axes` holds its unit axes as columns in the reference anatomy."""

    centre_mm: Array
    radii_mm: Array
    axes: Array

    def field(self, lattice: Lattice, pose: Pose, margin_mm: float, nearest: bool = False) -> Field | None:
        """Return the signed distance (first order), or None where it does not touch the lattice."""
        centre = pose.apply(self.centre_mm)[0]
        axes = pose.rotation_at(self.centre_mm) @ self.axes
        half = np.sqrt(((axes * self.radii_mm) ** 2).sum(axis=1)) + margin_mm
        part, box = lattice.cropped(centre - half, centre + half)
        if 0 in part.shape:
            return None
        z, y, x = (np.float32(a - c) for a, c in zip((part.z, part.y, part.x), centre[::-1], strict=True))
        squared = np.zeros(part.shape, np.float32)
        slope = np.zeros(part.shape, np.float32)
        for axis, radius in zip(axes.T.astype(np.float32), self.radii_mm, strict=True):
            along = (z * axis[2])[:, None, None] + (y * axis[1])[None, :, None] + (x * axis[0])[None, None, :]
            along *= np.float32(1.0 / radius)
            along *= along
            squared += along
            slope += along * np.float32(1.0 / radius**2)
        level = np.sqrt(squared, out=squared)
        return Field(box, level * (level - 1) / np.maximum(np.sqrt(slope), np.float32(1e-4)))


@dataclass(frozen=True, eq=False)
class Stack:
    """A body part given slice by slice: superellipses of power `power` along a posed axis.

    Attributes
    ----------
    z_mm : (K,) array
        Increasing heights in the reference anatomy.
    centre_mm : (K, 2) array
        Centres (x, y).
    half_mm : (K, 2) array
        Half width and half depth.
    power : float
        2 is an ellipse, larger is squarer.
    """

    z_mm: Array
    centre_mm: Array
    half_mm: Array
    power: float = 2.0

    def field(self, lattice: Lattice, pose: Pose, margin_mm: float, nearest: bool = False) -> Field | None:
        """Return the in-plane signed distance (first order), or None where it does not touch the lattice."""
        dense = np.linspace(self.z_mm[0], self.z_mm[-1], 4 * len(self.z_mm))
        centre = PchipInterpolator(self.z_mm, self.centre_mm)(dense)
        half = PchipInterpolator(self.z_mm, self.half_mm)(dense)
        moved = pose.apply(np.column_stack([centre, dense]))
        reach = half.max() + margin_mm
        low = np.array([*(moved[:, :2].min(axis=0) - reach), moved[0, 2]])
        high = np.array([*(moved[:, :2].max(axis=0) + reach), moved[-1, 2]])
        part, box = lattice.cropped(low, high)
        if 0 in part.shape:
            return None
        at = PchipInterpolator(moved[:, 2], np.column_stack([moved[:, :2], half, pose.axial_angle_rad(dense)]))(part.z)
        cx, cy, a, b, angle = (np.float32(column)[:, None, None] for column in at.T)
        x = np.float32(part.x)[None, None, :] - cx
        y = np.float32(part.y)[None, :, None] - cy
        u = np.abs(x * np.cos(angle) + y * np.sin(angle)) / a
        v = np.abs(y * np.cos(angle) - x * np.sin(angle)) / b
        if self.power == 2.0:
            level = np.sqrt(u * u + v * v)
        else:
            level = (u**self.power + v**self.power) ** np.float32(1.0 / self.power)
        radius = np.sqrt((u * a) ** 2 + (v * b) ** 2)
        distance = radius * (1 - 1 / np.maximum(level, np.float32(1e-3)))
        return Field(box, np.maximum(distance, -np.minimum(a, b)))


Shape = Tube | Ellipsoid | Stack


def stamp(samples: Samples, lattice: Lattice, margin_mm: float, nearest: bool = False) -> Field | None:
    """Return the signed distance to a union of spheres.

    Parameters
    ----------
    samples : Samples
    lattice : Lattice
    margin_mm : float
        How far outside the surface distances are needed.
    nearest : bool
        Whether to keep the index of the sample whose sphere is nearest.

    Returns
    -------
    Field or None
        None where no sphere touches the lattice.
    """
    points, radii, _ = samples
    reach = radii + margin_mm
    part, box = lattice.cropped((points - reach[:, None]).min(axis=0), (points + reach[:, None]).max(axis=0))
    if 0 in part.shape:
        return None
    distance = np.full(part.shape, FAR_MM, np.float32)
    index = np.full(part.shape, -1, np.int32) if nearest else None
    axes = [np.float32(a) for a in (part.z, part.y, part.x)]
    lower, upper = points - reach[:, None], points + reach[:, None]
    first = np.column_stack([np.searchsorted(axes[k], lower[:, 2 - k]) for k in range(3)])
    last = np.column_stack([np.searchsorted(axes[k], upper[:, 2 - k], side="right") for k in range(3)])
    for i in np.flatnonzero((last > first).all(axis=1)):
        (k0, j0, i0), (k1, j1, i1) = first[i], last[i]
        cx, cy, cz = np.float32(points[i])
        here = (axes[0][k0:k1, None, None] - cz) ** 2 + (
            (axes[1][j0:j1, None] - cy) ** 2 + (axes[2][None, i0:i1] - cx) ** 2
        )
        np.sqrt(here, out=here)
        here -= np.float32(radii[i])
        old = distance[k0:k1, j0:j1, i0:i1]
        if index is None:
            np.minimum(old, here, out=old)
        else:
            closer = here < old
            np.copyto(old, here, where=closer)
            index[k0:k1, j0:j1, i0:i1][closer] = i
    return Field(box, distance, index)


def fraction(distance_mm: Array, voxel_mm: float) -> Array:
    """Return the share of each voxel that lies inside, from the signed distance of its centre.

    >>> fraction(np.array([-2.0, 0.0, 2.0]), 2.0).tolist()
    [1.0, 0.5, 0.0]
    """
    return np.clip(0.5 - distance_mm / np.float32(voxel_mm), 0, 1)


def smooth_union(a: Array, b: Array, blend_mm: float) -> Array:
    """Join two signed distances with a rounded seam (polynomial blend)."""
    weight = np.maximum(np.float32(blend_mm) - np.abs(a - b), 0) / np.float32(blend_mm)
    return np.minimum(a, b) - weight * weight * np.float32(blend_mm / 4)


def _line(points: Array, t: Array) -> Array:
    return points[0] + t[:, None] * (points[1] - points[0])
