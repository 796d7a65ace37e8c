"""Labels carried over to the grid of the CT."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from scipy import ndimage

from petflame.anatomy import AORTA, BY_NAME
from petflame.segment.geometric.parts import Parts
from petflame.segment.geometric.surface import Tube, rasterise
from petflame.segment.geometric.work import Work
from petflame.space.boxes import box_between, box_corners, lattice
from petflame.space.grid import Array, Volume, ras_to_lps


def paint(labels: Volume, tube: Tube, label: int, levels_mm: tuple[float, float]) -> None:
    """Write a label into every voxel of a tube between two axial planes, in place.

    Parameters
    ----------
    labels : Volume
        Canonical uint8 label map; changed.
    tube : Tube
        Contours.
    label : int
    levels_mm : (float, float)
        Lowest and highest z.
    """
    for box, inside, _ in rasterise(tube, labels):
        place = np.argwhere(inside)
        z = labels.grid.to_ras(place + [s.start for s in box])[:, 2]
        keep = (z >= levels_mm[0]) & (z <= levels_mm[1])
        labels.data[box][tuple(place[keep].T)] = label


def paint_aorta(labels: Volume, tube: Tube, parts: Parts, shown: Collection[str]) -> None:
    """Write the aorta's parts, cut in axial planes so that every slice holds whole sections, in place.

    Parameters
    ----------
    labels : Volume
        Canonical uint8 label map; changed.
    tube : Tube
        Contours of the whole aorta.
    parts : Parts
        Where the parts end.
    shown : collection of str
        Names of the parts to write.
    """
    numbers = {name: BY_NAME[name].label if name in shown else 0 for name in AORTA}
    for box, inside, section in rasterise(tube, labels):
        place = np.argwhere(inside)
        z = labels.grid.to_ras(place + [s.start for s in box])[:, 2]
        before = section[inside] <= parts.top
        value = np.where(before, numbers["aorta_ascending"], numbers["aorta_descending"])
        value[z < np.where(before, *parts.ends_mm)] = 0
        value[z >= parts.margin_mm] = numbers["aorta_arch"]
        keep = value > 0
        labels.data[box][tuple(place[keep].T)] = value[keep]


def paint_neighbours(labels: Volume, neighbours: Array, work: Work) -> None:
    """Carry labels of the working grid over to the CT grid, nearest voxel, in place."""
    present = np.argwhere(neighbours > 0)
    if len(present) == 0:
        return
    low, high = work.to_mm(present.min(axis=0) - 1), work.to_mm(present.max(axis=0) + 1)
    first, last = labels.grid.reached_by(ras_to_lps(box_corners(low, high)))
    axes = [np.arange(a, b) for a, b in zip(first, last, strict=True)]
    box = box_between(first, last)
    directions = labels.grid.affine[:3, :3]
    if np.abs(directions - np.diag(np.diag(directions))).max() < 1e-6:
        at = []
        for axis, index in enumerate(axes):
            line = np.zeros((len(index), 3))
            line[:, axis] = index
            place = work.to_index(ras_to_lps(labels.grid.to_ras(line)))[:, axis]
            at.append(np.clip(np.round(place).astype(int), 0, neighbours.shape[axis] - 1))
        value = neighbours[np.ix_(*at)]
        labels.data[box][value > 0] = value[value > 0]
        return
    for k in axes[2]:
        plane = lattice(axes[0], axes[1], np.array([k]))[:, :, 0]
        place = work.to_index(ras_to_lps(labels.grid.to_ras(plane)))
        value = ndimage.map_coordinates(neighbours, np.moveaxis(place, -1, 0), order=0, mode="constant")
        labels.data[box[0], box[1], k][value > 0] = value[value > 0]
