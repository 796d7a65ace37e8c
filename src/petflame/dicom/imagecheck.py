"""What the voxels of a PET say about its scale: steps between slices, a constant added, more tracer than was injected.

These are the faults that headers cannot show: a rescale slope that is not the image's own, an offset, a dose or a
calibration that the image contradicts. Every limit comes from anatomy or arithmetic; the noise of one voxel does not
matter, because all of a slice are looked at together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from petflame.space.boxes import largest_part
from petflame.space.grid import Array, Volume

SAMPLES_A_SLICE = 16_000
LEAST_SAMPLES = 200
LEAST_AREA_MM2 = 4000.0
WARM_FRACTION = 0.1
# From slice to slice the median voxel of a body changes by up to 20 % (neck to shoulder), and by at most 12 % beyond
# the trend of its neighbours: measured on four real series with slices 3.3 mm apart, the largest at the noisy end of
# one. A slope that is wrong changes every voxel of its slice at once. Anatomy changes with distance, so that the limits
# grow with slices thicker than 4 mm; the outermost slices are the noisiest and have twice as much.
STEP_REFUSED = math.log(1.25)
STEP_WARNED = math.log(1.13)
STEP_SHARE = 0.75
TREND_SLICES = 3
THIN_SLICE_MM = 4.0
# The tracer in a slice changes smoothly over a body and its images are blurred over several mm; a loss of nine tenths
# from one slice to the next that a later slice makes good is a hole in the image.
HOLE_FRACTION = 0.1
# Air holds no tracer: on whole images the edge of the field of view lies within 0.2 % of the body's level.
OFFSET_FRACTION = 0.05
OFFSET_SPREAD = 0.2
SMALLEST_SIDE = 32
BODY_SMOOTHING_MM = 6.0
LEAST_BODY_L = 10.0
CROPPED_SHARE = 0.2


@dataclass(frozen=True)
class Step:
    """A change of every voxel between one slice and the next.

    Attributes
    ----------
    lower : int
        Number of the lower slice, from 0 along the third axis.
    factor : float
        How many times as much the next slice holds, beyond the trend of the slices round it.
    certain : bool
        Whether it is more than anatomy and noise can be.
    """

    lower: int
    factor: float
    certain: bool


@dataclass(frozen=True)
class Body:
    """The body as the PET shows it.

    Attributes
    ----------
    volume_l : float
    mean : float
        In the unit of the voxels.
    total : float
        Sum of all voxels times their volume, unit times mL; of the whole image.
    cropped : bool
        Whether the body reaches the edge of the image, so that its mean is that of a part.
    """

    volume_l: float
    mean: float
    total: float
    cropped: bool

    @property
    def judged(self) -> bool:
        """Whether enough of a body is seen for its mean to mean something."""
        return self.volume_l >= LEAST_BODY_L and not self.cropped


def _sampled(volume: Volume) -> tuple[Array, tuple[float, float, float]]:
    """Return every n-th voxel in plane, and the spacing in mm."""
    columns, rows, _ = volume.grid.shape
    n = max(1, round(math.sqrt(columns * rows / SAMPLES_A_SLICE)))
    x, y, z = (float(s) for s in volume.grid.spacing_mm)
    return volume.data[::n, ::n, :].astype(np.float32), (x * n, y * n, z)


def _warm(volume: Volume) -> tuple[Array, float, tuple[float, float, float]]:
    """Return every n-th voxel in plane without negative values, the level of warm tissue, and the spacing in mm."""
    data, spacing = _sampled(volume)
    positive = np.clip(data, 0.0, None)
    return positive, WARM_FRACTION * float(np.quantile(positive, 0.98)), spacing


def find_steps(volume: Volume) -> list[Step]:
    """Find where every voxel of a slice differs from the next slice's, beyond the trend of the slices round it.

    Parameters
    ----------
    volume : Volume
        (I, J, K), slices along the third axis; any unit.

    Returns
    -------
    list of Step
        Changes of more than `STEP_WARNED`.
    """
    positive, threshold, spacing = _warm(volume)
    count = positive.shape[2]
    least = max(LEAST_SAMPLES, LEAST_AREA_MM2 / (spacing[0] * spacing[1]))
    if threshold <= 0:
        return []
    change = np.full(count - 1, np.nan)
    share = np.zeros(count - 1)
    for j in range(count - 1):
        first, second = positive[:, :, j], positive[:, :, j + 1]
        warm = first * second > threshold**2
        if int(warm.sum()) >= least:
            ratios = np.log(second[warm] / first[warm])
            change[j] = np.median(ratios)
            share[j] = max(float((ratios > 0).mean()), float((ratios < 0).mean()))
    steps = []
    for k in np.flatnonzero(np.isfinite(change)):
        near = np.r_[change[max(0, k - TREND_SLICES) : k], change[k + 1 : k + 1 + TREND_SLICES]]
        near = near[np.isfinite(near)]
        beyond = change[k] - (float(np.median(near)) if len(near) >= 2 else 0.0)
        room = max(1.0, spacing[2] / THIN_SLICE_MM) * (2.0 if k in (0, count - 2) else 1.0)
        size = min(abs(beyond), abs(float(change[k])))
        if size > STEP_WARNED * room and share[k] >= STEP_SHARE:
            steps.append(Step(int(k), float(np.exp(beyond)), size > STEP_REFUSED * room))
    return steps


def find_holes(volume: Volume) -> list[tuple[int, int]]:
    """Find slices without tracer between slices that hold it.

    Parameters
    ----------
    volume : Volume
        (I, J, K), slices along the third axis; any unit.

    Returns
    -------
    list of (int, int)
        First and last slice of each hole, from 0; a loss that lasts to the end of the image is none.
    """
    positive, threshold, spacing = _warm(volume)
    held = positive.sum(axis=(0, 1), dtype=np.float64)
    # Small objects of a phantom end abruptly, a body does not.
    body = (positive > threshold).sum(axis=(0, 1)) * spacing[0] * spacing[1] >= LEAST_AREA_MM2
    holes = []
    for k in range(1, len(held) - 1):
        if not body[k - 1] or held[k] >= HOLE_FRACTION * held[k - 1]:
            continue
        later = np.flatnonzero(held[k:] > HOLE_FRACTION * held[k - 1])
        end = k + int(later[0]) if len(later) else None
        if end is not None and body[end] and held[end - 1] < HOLE_FRACTION * held[end]:
            holes.append((k, end - 1))
    return holes


def offset_fraction(volume: Volume) -> float:
    """Return the level at the edge of the images as a fraction of the body's, where it is one constant; else 0.

    The level is that of the outermost two voxels in plane, the body's the 90th percentile of the slice. An edge that
    varies is a body that reaches it.
    """
    data = volume.data
    columns, rows, count = data.shape
    if min(columns, rows) < SMALLEST_SIDE:
        return 0.0
    edge = np.concatenate([data[[0, 1, -2, -1]].reshape(-1, count), data[:, [0, 1, -2, -1]].reshape(-1, count)]).astype(
        np.float32
    )
    low, level, high = np.quantile(edge, [0.25, 0.5, 0.75], axis=0)
    sample = _sampled(volume)[0].reshape(-1, count)
    top = np.quantile(sample, 0.9, axis=0)
    held = top > 0
    if not held.any():
        return 0.0
    constant = (high - low) < OFFSET_SPREAD * np.abs(level)
    fractions = np.where(constant, level / np.where(held, top, 1.0), 0.0)[held]
    return float(np.median(fractions))


def find_body(volume: Volume) -> Body:
    """Find the body in a PET: the largest connected part above a tenth of its warm tissue, holes filled slice by slice.

    The threshold is relative, so that the scale of the image does not matter.
    """
    data, spacing = _sampled(volume)
    cell_ml = spacing[0] * spacing[1] * spacing[2] / 1e3
    smooth = ndimage.gaussian_filter(data, [BODY_SMOOTHING_MM / s for s in spacing])
    warm = smooth[smooth > 0.3 * float(np.quantile(smooth, 0.98))]
    total = float(np.clip(data, 0.0, None).sum(dtype=np.float64)) * cell_ml
    if not len(warm) or float(warm.max()) <= 0:
        return Body(0.0, 0.0, total, False)
    mask = largest_part(smooth > 0.15 * float(np.median(warm)))
    for k in range(mask.shape[2]):
        mask[:, :, k] = ndimage.binary_fill_holes(mask[:, :, k])
    edge = np.concatenate([mask[[0, -1]].ravel(), mask[:, [0, -1]].ravel()])
    mean = float(data[mask].mean(dtype=np.float64)) if mask.any() else 0.0
    return Body(float(mask.sum()) * cell_ml / 1e3, mean, total, float(edge.mean()) > CROPPED_SHARE)
