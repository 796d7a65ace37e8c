"""Shapes of the phantom and their signed distances (mm, negative inside) on a lattice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from petflame.simulate.lattice import Lattice
from petflame.simulate.pose import Pose
from petflame.space.grid import Array
from petflame.space.polyline import arc_length_mm

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

    def sampled(self, pose: Pose, tolerance_mm: float = 0.04) -> Samples:
        """Return samples of the posed tube, so dense that a union of spheres is smooth to the tolerance."""
        return self._sampled(pose.apply(self.points_mm), tolerance_mm)

    def _sampled(self, points: Array, tolerance_mm: float) -> Samples:
        chord = arc_length_mm(points)
        step = float(np.sqrt(8.0 * tolerance_mm * max(np.min(self.radii_mm), 0.8)))
        at = np.linspace(0.0, chord[-1], max(int(np.ceil(chord[-1] / step)) + 1, 2))
        line = smooth_curve(chord, np.column_stack([points, self.radii_mm]), at)
        arc = arc_length_mm(line[:, :3])
        return Samples(line[:, :3], line[:, 3], arc)

    def field(self, lattice: Lattice, pose: Pose, margin_mm: float) -> Field | None:
        """Return the signed distance, smooth to a twelfth of a voxel, or None where the tube does not touch."""
        points = pose.apply(self.points_mm)
        if not self._near(points, lattice, margin_mm):
            return None
        return stamp(self._sampled(points, max(0.04, 0.08 * lattice.spacing_mm[0])), lattice, margin_mm)

    def may_touch(self, lattice: Lattice, pose: Pose, margin_mm: float) -> bool:
        """Tell, from the control points alone, whether the tube can reach the lattice."""
        return self._near(pose.apply(self.points_mm), lattice, margin_mm)

    def _near(self, points: Array, lattice: Lattice, margin_mm: float) -> bool:
        # A smooth curve may leave the box of its control points by a part of their distance.
        reach = margin_mm + self.radii_mm.max() + 0.15 * np.abs(np.diff(points, axis=0)).max()
        low, high = points.min(axis=0) - reach, points.max(axis=0) + reach
        return bool((high >= lattice.low_mm).all() and (low <= lattice.high_mm).all())


@dataclass(frozen=True, eq=False)
class Ellipsoid:
    """An ellipsoid; `axes` holds its unit axes as columns in the reference anatomy."""

    centre_mm: Array
    radii_mm: Array
    axes: Array

    def field(self, lattice: Lattice, pose: Pose, margin_mm: float) -> Field | None:
        """Return the signed distance (first order), or None where it does not touch the lattice."""
        centre = pose.apply(self.centre_mm)[0]
        axes = pose.rotation_at(self.centre_mm) @ self.axes
        half = np.sqrt(((axes * self.radii_mm) ** 2).sum(axis=1)) + margin_mm
        part, box = lattice.cropped(centre - half, centre + half)
        if 0 in part.shape:
            return None
        offsets = zip((part.z, part.y, part.x), centre[::-1], strict=True)
        z, y, x = ((axis - c).astype(np.float32) for axis, c in offsets)
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

    def field(self, lattice: Lattice, pose: Pose, margin_mm: float) -> Field | None:
        """Return the in-plane signed distance (first order), or None where it does not touch the lattice."""
        dense = np.linspace(self.z_mm[0], self.z_mm[-1], 8 * len(self.z_mm))
        curve = smooth_curve(self.z_mm, np.column_stack([self.centre_mm, self.half_mm]), dense)
        centre, half = curve[:, :2], curve[:, 2:]
        moved = pose.apply(np.column_stack([centre, dense]))
        reach = half.max() + margin_mm
        low = np.array([*(moved[:, :2].min(axis=0) - reach), moved[0, 2]])
        high = np.array([*(moved[:, :2].max(axis=0) + reach), moved[-1, 2]])
        part, box = lattice.cropped(low, high)
        if 0 in part.shape:
            return None
        table = np.column_stack([moved[:, :2], half, pose.axial_angle_rad(dense)])
        at = [np.interp(part.z, moved[:, 2], column).astype(np.float32) for column in table.T]
        cx, cy, a, b, angle = (column[:, None, None] for column in at)
        x = part.x.astype(np.float32)[None, None, :] - cx
        y = part.y.astype(np.float32)[None, :, None] - cy
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


def smooth_curve(knots: Array, values: Array, at: Array) -> Array:
    """Interpolate rows of `values` at the knots by cubic Hermite pieces with finite-difference tangents.

    >>> smooth_curve(np.array([0.0, 1.0, 2.0]), np.array([[0.0], [1.0], [2.0]]), np.array([0.5])).tolist()
    [[0.5]]
    """
    tangent = _tangents(knots, values)
    i = np.clip(np.searchsorted(knots, at, side="right") - 1, 0, len(knots) - 2)
    width = (knots[i + 1] - knots[i])[:, None]
    t = (at - knots[i])[:, None] / width
    bulge = t * (1 - t)
    line = values[i] * (1 - t) + values[i + 1] * t
    slope = (values[i + 1] - values[i]) / width
    return line + bulge * width * ((1 - t) * (tangent[i] - slope) - t * (tangent[i + 1] - slope))


def _tangents(knots: Array, values: Array) -> Array:
    """Return second-order finite differences on uneven knots (first-order at the ends)."""
    slope = np.diff(values, axis=0) / np.diff(knots)[:, None]
    if len(knots) == 2:
        return slope[[0, 0]]
    before, after = np.diff(knots)[:-1, None], np.diff(knots)[1:, None]
    inner = (before * slope[1:] + after * slope[:-1]) / (before + after)
    return np.concatenate([slope[:1], inner, slope[-1:]])


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
    low, high = points - reach[:, None], points + reach[:, None]
    part, box = lattice.cropped(low.min(axis=0), high.max(axis=0))
    if 0 in part.shape:
        return None
    touching = np.flatnonzero(((high >= part.low_mm) & (low <= part.high_mm)).all(axis=1))
    spacing = np.array(lattice.spacing_mm[::-1])
    size = 2 * np.ceil(reach.max() / spacing).astype(int) + 1
    # Distance and sample share one integer, so that a single minimum finds both: distances in the upper bits.
    packed = np.full(part.shape, _pack(np.array([FAR_MM]), np.array([_NOBODY]))[0])
    if np.prod(size) <= _SMALL_BOX:
        at_once = max(int(_BATCH / np.prod(size)), 1)
        for i in range(0, len(touching), at_once):
            _stamp_many(packed, part, samples, touching[i : i + at_once], size // 2, margin_mm)
    else:
        _stamp_each(packed, part, samples, touching, margin_mm)
    distance = (packed >> 32).astype(np.float32)
    distance *= np.float32(1.0 / _PER_MM)
    return Field(box, distance, _index(packed) if nearest else None)


_PER_MM = 2.0**20
_NOBODY = 0xFFFFFFFF
_SMALL_BOX = 6000
_BATCH = 400_000


def _pack(distance_mm: Array, index: Array) -> Array:
    return (np.rint(distance_mm.astype(float) * _PER_MM).astype(np.int64) << 32) | index


def _index(packed: Array) -> Array:
    return (packed & _NOBODY).astype(np.uint32).astype(np.int32)


def _stamp_many(packed: Array, part: Lattice, samples: Samples, which: Array, half: Array, margin_mm: float) -> None:
    """Stamp small spheres all at once, each on the voxels of a box around it."""
    points, radii = samples.points_mm[which], samples.radii_mm[which]
    squares, indices, valid = [], [], []
    for axis in range(3):
        first, step, count = part.origin_mm[2 - axis], part.spacing_mm[2 - axis], part.shape[axis]
        near = np.rint((points[:, 2 - axis] - first) / step).astype(np.int64)
        index = near[:, None] + np.arange(-half[axis], half[axis] + 1)
        squares.append((first + step * index - points[:, 2 - axis, None]) ** 2)
        indices.append(index)
        valid.append((index >= 0) & (index < count))
    (dz, dy, dx), (k, j, i), (vk, vj, vi) = squares, indices, valid
    distance = dz[:, :, None, None] + dy[:, None, :, None] + dx[:, None, None, :]
    np.sqrt(distance, out=distance)
    distance -= radii[:, None, None, None]
    keep = (distance < margin_mm) & vk[:, :, None, None] & vj[:, None, :, None] & vi[:, None, None, :]
    flat = (k[:, :, None, None] * part.shape[1] + j[:, None, :, None]) * part.shape[2] + i[:, None, None, :]
    owner = np.broadcast_to(which[:, None, None, None], distance.shape)
    np.minimum.at(packed.reshape(-1), flat[keep], _pack(distance[keep], owner[keep]))


def _stamp_each(packed: Array, part: Lattice, samples: Samples, which: Array, margin_mm: float) -> None:
    """Stamp large spheres one after the other."""
    z, y, x = part.z, part.y, part.x
    for n in which:
        centre, radius = samples.points_mm[n], samples.radii_mm[n]
        reach = radius + margin_mm
        ks, js, is_ = (
            slice(*np.searchsorted(axis, (c - reach, c + reach)))
            for axis, c in zip((z, y, x), centre[::-1], strict=True)
        )
        here = (
            ((z[ks] - centre[2]) ** 2)[:, None, None] + ((y[js] - centre[1]) ** 2)[:, None] + (x[is_] - centre[0]) ** 2
        )
        np.sqrt(here, out=here)
        here -= radius
        view = packed[ks, js, is_]
        np.minimum(view, _pack(here, n), out=view)


def fraction(distance_mm: Array, voxel_mm: float) -> Array:
    """Return the share of each voxel that lies inside, from the signed distance of its centre.

    >>> fraction(np.array([-2.0, 0.0, 2.0]), 2.0).tolist()
    [1.0, 0.5, 0.0]
    """
    return np.clip(0.5 - distance_mm * np.float32(1.0 / voxel_mm), 0, 1)


def smooth_union(a: Array, b: Array, blend_mm: float) -> Array:
    """Join two signed distances with a rounded seam (polynomial blend)."""
    weight = np.maximum(np.float32(blend_mm) - np.abs(a - b), 0) / np.float32(blend_mm)
    return np.minimum(a, b) - weight * weight * np.float32(blend_mm / 4)
