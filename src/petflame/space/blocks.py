"""Boxes of an image: those that hold each label, and whole blocks of voxels for a coarser image."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from petflame.space.boxes import Box, box_of_mask, window_of
from petflame.space.grid import Array, Grid, Volume


def label_boxes(labels: Array) -> list[Box | None]:
    """Bounding box of each label from 1 on, None for one that is not there.

    >>> label_boxes(np.array([[[0, 2, 2]]]))
    [None, (slice(0, 1, None), slice(0, 1, None), slice(1, 3, None))]
    """
    # Against the order of memory, or through a flipped view, the walk takes many times as long.
    if not labels.flags.forc:
        labels = labels.copy(order="K")
    if labels.flags.f_contiguous and not labels.flags.c_contiguous:
        turned = label_boxes(labels.T)
        return [None if box is None else (box[2], box[1], box[0]) for box in turned]
    # Looking for any label at all goes many times as fast as telling which, and most of a body has none.
    anywhere = np.bitwise_or.reduce(labels, axis=0)
    if not anywhere.any():
        return []
    window = window_of(anywhere)
    found = ndimage.find_objects(labels[:, *window])
    low = [0, *(part.start for part in window)]
    return [None if box is None else _moved(box, low) for box in found]


def _moved(box: Box, by: list[int]) -> Box:
    i, j, k = (slice(part.start + n, part.stop + n) for part, n in zip(box, by, strict=True))
    return i, j, k


def block_mean(data: Array, block: Array, limits: tuple[float, float] | None = None) -> Array:
    """Mean of every whole block of voxels, float32; values are first clipped to limits, where given.

    >>> block_mean(np.arange(8.0).reshape(2, 2, 2), np.array([1, 1, 2])).tolist()
    [[[0.5], [2.5]], [[4.5], [6.5]]]
    """
    shape = np.array(data.shape) // block
    # Summed along the order of memory: against it the walk takes several times as long.
    order = np.argsort(-np.abs(data.strides), kind="stable")
    total = np.zeros(shape[order], np.float32)
    for corner in np.ndindex(*block):
        part = data[tuple(slice(c, n * b, b) for c, n, b in zip(corner, shape, block, strict=True))].transpose(order)
        total += part if limits is None else np.clip(part, *limits)
    total /= np.prod(block)
    return np.ascontiguousarray(total.transpose(np.argsort(order)))


def block_grid(grid: Grid, start: Array, block: Array, shape: tuple[int, ...]) -> Grid:
    """Grid of blocks whose first begins at voxel `start`.

    >>> block_grid(Grid((8, 8, 8), np.eye(4)), np.array([2, 2, 2]), np.array([2, 2, 2]), (3, 3, 3)).to_ras([0, 0, 0])
    array([2.5, 2.5, 2.5])
    """
    return grid.resampled(start + (np.asarray(block) - 1) / 2, block, shape)


def crop_to_mask(mask: Volume, margin_voxels: int = 1) -> Volume:
    """Cut the bounding box of a mask, with a margin, out of its grid."""
    return mask.cropped(box_of_mask(mask.data, margin_voxels))
