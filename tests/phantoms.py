"""Images whose answer can be worked out by hand: upright tubes of known radius and uptake."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from petflame.anatomy import BY_NAME
from petflame.labelmap import LabelMap
from petflame.segment.labelmaps import describe
from petflame.space.grid import Grid, Volume

# Name: centre x, y (RAS mm), radius mm, from z, to z.
TUBES = {
    "aorta_ascending": (-10.0, 20.0, 15.0, 20.0, 70.0),
    "aorta_descending": (15.0, -25.0, 12.0, 10.0, 70.0),
    "carotid_right": (30.0, 5.0, 4.0, 80.0, 150.0),
    "carotid_left": (-30.0, 5.0, 4.0, 80.0, 150.0),
    "svc": (30.0, 20.0, 9.0, 20.0, 70.0),
    "jugular_right": (45.0, 0.0, 7.0, 80.0, 150.0),
    "jugular_left": (-45.0, 0.0, 7.0, 80.0, 150.0),
}
BLOOD = 1.0


def grid(spacing: tuple[float, float, float], low=(-70.0, -60.0, 0.0), high=(70.0, 60.0, 160.0)) -> Grid:
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = low
    shape = tuple(round((h - a) / s) + 1 for a, h, s in zip(low, high, spacing, strict=True))
    return Grid(shape, affine)


CT, PET = grid((1.0, 1.0, 2.5)), grid((4.0, 4.0, 3.0))
PEAKS = {"aorta_ascending": 2.4, "aorta_descending": 2.0, "carotid_right": 1.8, "carotid_left": 1.9}


def points(on: Grid) -> np.ndarray:
    return on.to_ras(np.stack(np.indices(on.shape), axis=-1))


def inside(name: str, at: np.ndarray, beyond_mm: float = 0.0) -> np.ndarray:
    x, y, radius, low, high = TUBES[name]
    height = (at[..., 2] >= low - beyond_mm) & (at[..., 2] <= high + beyond_mm)
    return (np.hypot(at[..., 0] - x, at[..., 1] - y) <= radius) & height


def label_map(on: Grid) -> LabelMap:
    at, data = points(on), np.zeros(on.shape, np.uint8)
    for name in TUBES:
        data[inside(name, at)] = BY_NAME[name].label
    return LabelMap(data, on)


def pet_image(on: Grid, peaks: dict[str, float], blood: float = BLOOD) -> Volume:
    """Uptake that depends on z alone inside each artery (peak * (1 + z/1000)), blood in veins, little elsewhere."""
    at = points(on)
    data = np.full(on.shape, 0.2)
    for name in TUBES:
        # A label reaches half a slice beyond its last plane, so the paint does too.
        region = inside(name, at, beyond_mm=1.5)
        data[region] = peaks[name] * (1 + at[region][:, 2] / 1000) if name in peaks else blood
    return Volume(data, on)


def segmentation(labels: Volume, reference: str = "ct", landmarks=None):
    return describe(LabelMap(labels.data, labels.grid), reference, "labels", landmarks or {}, {})


def transformed(volume: Volume, permutation: tuple[int, int, int], flips: tuple[bool, bool, bool]) -> Volume:
    """Store the same image in another axis order and direction."""
    data = np.transpose(volume.data, permutation)
    affine = volume.grid.affine[:, [*permutation, 3]].copy()
    for axis, flip in enumerate(flips):
        if flip:
            data = np.flip(data, axis)
            affine[:3, 3] += affine[:3, axis] * (data.shape[axis] - 1)
            affine[:3, axis] *= -1
    return replace(volume, data=np.ascontiguousarray(data), grid=Grid(data.shape, affine))
