"""Painting the anatomy onto a lattice, in Hounsfield units or in uptake."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import numpy as np

from petflame.simulate.anatomy import Anatomy
from petflame.simulate.body import Outline
from petflame.simulate.build import Part
from petflame.simulate.lattice import Lattice
from petflame.simulate.pose import Pose
from petflame.simulate.shapes import Field, Samples, fraction, smooth_union, stamp
from petflame.simulate.vessels import Artery
from petflame.space.grid import Array

SKIN_MM = 1.8
_FAR_SKIN_MM = np.float32(60.0)
Shade = Callable[[str, Lattice], Array | None]


class WallField(NamedTuple):
    """An artery on a lattice, inside a box.

    Attributes
    ----------
    box : (slice, slice, slice)
    lumen_mm, outer_mm : float32 array
        Signed distances to the lumen's and to the outer wall's surface.
    nearest : int32 array
        Index of the nearest sample of the centreline, -1 far away.
    gain : float32 array
        Relative excess uptake of the wall (1 on average), valid near the wall.
    samples : Samples
        The posed centreline.
    """

    box: tuple[slice, slice, slice]
    lumen_mm: Array
    outer_mm: Array
    nearest: Array
    gain: Array
    samples: Samples


def wall_field(artery: Artery, lattice: Lattice, pose: Pose) -> WallField | None:
    """Return an artery's surfaces and relative excess on a lattice, or None where it does not touch it."""
    thickest = artery.wall_mm + sum(p.thickening_mm for p in artery.plaques)
    margin_mm = thickest + max(lattice.spacing_mm)
    if not artery.lumen.may_touch(lattice, pose, margin_mm):
        return None
    samples = artery.lumen.sampled(pose)
    field = stamp(samples, lattice, margin_mm, nearest=True)
    if field is None or field.nearest is None:
        return None
    near = np.flatnonzero((field.nearest >= 0).ravel())
    index = field.nearest.ravel()[near]
    box_lattice = part_of(lattice, field.box)
    k, j, i = np.unravel_index(near, field.distance_mm.shape)
    away = np.column_stack([box_lattice.x[i], box_lattice.y[j], box_lattice.z[k]]) - samples.points_mm[index]
    first, second = _around(samples.points_mm)
    angle = np.arctan2((away * second[index]).sum(axis=1), (away * first[index]).sum(axis=1))
    gain, thickness = artery.profile(samples.arc_mm[index], angle)
    outer = field.distance_mm.copy()
    outer.ravel()[near] -= thickness.astype(np.float32)
    gains = np.ones(outer.shape, np.float32)
    gains.ravel()[near] = gain
    return WallField(field.box, field.distance_mm, outer, field.nearest, gains, samples)


def wall_fields(anatomy: Anatomy, lattice: Lattice, pose: Pose) -> dict[str, WallField]:
    """Return the surfaces of every artery that touches the lattice, in painting order."""
    fields = {a.name: wall_field(a, lattice, pose) for a in anatomy.vessels.arteries}
    return {name: field for name, field in fields.items() if field is not None}


def _around(points: Array) -> tuple[Array, Array]:
    """Return two unit vectors across the line at every sample, the first nearest to the patient's left."""
    tangent = np.gradient(points, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    left = np.array([1.0, 0.0, 0.0]) - tangent[:, :1] * tangent
    left /= np.maximum(np.linalg.norm(left, axis=1, keepdims=True), 1e-6)
    return left, np.cross(tangent, left)


def part_of(lattice: Lattice, box: tuple[slice, slice, slice]) -> Lattice:
    """Return the lattice of a box given by slices (z, y, x)."""
    origin = [lattice.origin_mm[a] + lattice.spacing_mm[a] * box[2 - a].start for a in range(3)]
    shape = [b.stop - b.start for b in box]
    return Lattice((origin[0], origin[1], origin[2]), lattice.spacing_mm, (shape[0], shape[1], shape[2]))


def blend(image: Array, box: tuple[slice, slice, slice], share: Array, value: float | Array) -> None:
    """Lay a value over the image with the given share of each voxel, in place."""
    view = image[box]
    view += share * (np.asarray(value, np.float32) - view)


def body_distance(outline: Outline, lattice: Lattice, pose: Pose) -> Array:
    """Return the signed distance to the skin on the whole lattice, float32.

    The distance is smooth, so it is computed on about 5 mm in plane and interpolated.
    """
    step = max(round(5.0 / lattice.spacing_mm[0]), 1)
    slices, rows, columns = lattice.shape
    x, y, z = lattice.spacing_mm
    coarse = Lattice(
        lattice.origin_mm, (x * step, y * step, z), (slices, -(-rows // step) + 1, -(-columns // step) + 1)
    )
    distance = np.full(coarse.shape, _FAR_SKIN_MM, np.float32)
    trunk = outline.trunk.field(coarse, pose, 60.0)
    if trunk is not None:
        distance[trunk.box] = np.minimum(trunk.distance_mm, _FAR_SKIN_MM)
    for shape, seam_mm in outline.others:
        field = shape.field(coarse, pose, seam_mm + 2 * step * x)
        if field is not None:
            near = np.minimum(field.distance_mm, _FAR_SKIN_MM)
            distance[field.box] = smooth_union(distance[field.box], near, seam_mm)
    for axis, count in ((1, rows), (2, columns)):
        distance = _stretched(distance, axis, step, count)
    return distance


def _stretched(values: Array, axis: int, step: int, count: int) -> Array:
    """Interpolate linearly to `step` times as many samples along an axis, and keep the first `count`."""
    if step == 1:
        return np.take(values, range(count), axis)
    values = np.moveaxis(values, axis, -1)
    out = np.empty((*values.shape[:-1], (values.shape[-1] - 1) * step), np.float32)
    for n in range(step):
        share = np.float32(n / step)
        out[..., n::step] = values[..., :-1] * (1 - share) + values[..., 1:] * share
    return np.ascontiguousarray(np.moveaxis(out[..., :count], -1, axis))


def paint_body(
    outline: Outline, lattice: Lattice, pose: Pose, values: Mapping[str, float], distance_mm: Array | None = None
) -> Array:
    """Paint skin, fat and muscle over air; returns float32 (slices, rows, columns)."""
    distance = body_distance(outline, lattice, pose) if distance_mm is None else distance_mm
    size = lattice.spacing_mm[0]
    z = lattice.z - pose.shift_mm[2]
    fat: Array = outline.fat_mm * np.interp(z, [-100, 30, 85, 110, 200], [1.0, 0.85, 0.6, 0.35, 0.3])
    image = np.full(lattice.shape, values["air"], np.float32)
    for depth, tissue in ((0.0, "skin"), (SKIN_MM, "fat")):
        image += fraction(distance + np.float32(depth), size) * (np.float32(values[tissue]) - image)
    image += fraction(distance + fat.astype(np.float32)[:, None, None], size) * (np.float32(values["muscle"]) - image)
    return image


def paint_parts(
    image: Array,
    lattice: Lattice,
    pose: Pose,
    parts: Iterable[Part],
    values: Mapping[str, float],
    shade: Shade | None = None,
) -> None:
    """Paint parts in order, in place; `shade` may give a part a value per voxel instead of its tissue's."""
    size = lattice.spacing_mm[0]
    for part in parts:
        field = part.shape.field(lattice, pose, max(lattice.spacing_mm))
        if field is None:
            continue
        own = shade(part.name, part_of(lattice, field.box)) if shade else None
        blend(image, field.box, fraction(field.distance_mm, size), values[part.tissue] if own is None else own)
        if part.core is not None:
            inside = fraction(field.distance_mm + np.float32(part.core_depth_mm), size)
            blend(image, field.box, inside, values[part.core])


def paint_tube(image: Array, lattice: Lattice, field: Field | None, value: float) -> None:
    """Paint one tissue inside a field, in place."""
    if field is not None:
        blend(image, field.box, fraction(field.distance_mm, lattice.spacing_mm[0]), value)


def paint_wall(image: Array, lattice: Lattice, wall: WallField, wall_value: float | Array, lumen_value: float) -> None:
    """Paint an artery's wall and lumen in place, each with its exact share of the voxel.

    A wall thinner than a voxel keeps its total: its share is the outer share less the lumen's.
    """
    size = lattice.spacing_mm[0]
    outer, lumen = fraction(wall.outer_mm, size), fraction(wall.lumen_mm, size)
    view = image[wall.box]
    view *= 1 - outer
    view += np.asarray(wall_value, np.float32) * (outer - lumen) + np.float32(lumen_value) * lumen
