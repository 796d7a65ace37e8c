"""A fingerprint of an image's pixels that survives another scale, order, place, rounding or header.

Every slice gives four ratios of power sums of its voxels x (Sp = sum of x^p over the slice) and, from the spread of
their places about the centre, weighted by x^3 (a 2 x 2 matrix W, in pixels), two more numbers:

    ln S2 S4 / S3^2,   ln S3 S5 / S4^2,   ln S4 S6 / S5^2,   ln S3^4 / S4^3,   ln trace W,   ln det W.

They are free of any factor on x (weight, dose, units, rescale slope: also one slope a slice) and do not change when
the image is mirrored, turned, shifted or padded, or when air is cropped. Slices are looked for in the other image
wherever they lie, so their order and their number do not matter.

Noise differs from scan to scan, and the numbers with it; slices within `TOLERANCE` in all of them are taken for the
same. The numbers therefore also feel whatever else changes the voxels: a constant added, smoothing, resampling, noise
of half a percent, a crop into the body. Copies that were processed so are missed; docs/identity.md says how much of
each is found again. Of two scans of one person or of two nothing is.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from petflame.space.grid import Array

TOLERANCE = 1e-3
# Between no slice of another scan (7 % of a body that differs in 3 % of noise alone) and 95 % of a rounded copy.
LEAST_SHARE = 0.5
LEAST_SLICES = 3
# Voxels below this part of the slice's maximum add less than 4e-4 of a hot voxel to any sum.
FLOOR = 0.02
LEAST_VOXELS = 20
# Bone: soft tissue, table and air say nothing that a crop or another table would not change.
BONE_HU = 150
NEIGHBOURS = 16
DECIMALS = 7
NUMBERS = 6


@dataclass(frozen=True)
class Match:
    """Slices that two images share.

    Attributes
    ----------
    slices : int
    of : int
        Slices that can be compared in the shorter image.
    """

    slices: int
    of: int


def pet_fingerprint(data: Array) -> Array:
    """Fingerprint of a PET in any unit, (I, J, K): the numbers of its telling slices, (n, 6) float64.

    Slices without enough uptake, and those that look like another slice of the same image, tell nothing and are left
    out.
    """
    return _telling([_numbers(np.maximum(data[:, :, k], 0)) for k in range(data.shape[2])])


def ct_fingerprint(data: Array) -> Array:
    """Fingerprint of a CT in HU, (I, J, K), from its bone: the numbers of its telling slices, (n, 6) float64."""
    return _telling([_numbers(np.maximum(data[:, :, k].astype(np.int32) - BONE_HU, 0)) for k in range(data.shape[2])])


def _numbers(image: Array) -> Array | None:
    peak = float(image.max()) if image.size else 0.0
    if not (np.isfinite(peak) and peak > 0):
        return None
    places = np.argwhere(image > FLOOR * peak)
    if len(places) < LEAST_VOXELS:
        return None
    x = image[places[:, 0], places[:, 1]].astype(np.float64) / peak
    logs, power = {}, x
    for p in range(2, 7):
        power = power * x
        logs[p] = float(np.log(power.sum()))
    weights = x**3 / np.exp(logs[3])
    from_centre = places - weights @ places
    spread = (from_centre * weights[:, None]).T @ from_centre
    trace, area = np.trace(spread), np.linalg.det(spread)
    if not (trace > 0 and area > 0):
        return None
    return np.array(
        [
            logs[2] + logs[4] - 2 * logs[3],
            logs[3] + logs[5] - 2 * logs[4],
            logs[4] + logs[6] - 2 * logs[5],
            4 * logs[3] - 3 * logs[4],
            np.log(trace),
            np.log(area),
        ]
    )


def _telling(rows: Sequence[Array | None]) -> Array:
    from scipy.spatial import cKDTree

    found = np.array([r for r in rows if r is not None], float).reshape(-1, NUMBERS)
    if len(found) < 2:
        return np.round(found, DECIMALS)
    distance, _ = cKDTree(found).query(found, k=2, p=np.inf)
    return np.round(found[distance[:, 1] > TOLERANCE], DECIMALS)


def comparable(print_: Array) -> bool:
    """Tell whether a fingerprint has enough telling slices to be compared."""
    return len(print_) >= LEAST_SLICES


def matches(prints: Mapping[str, Array]) -> dict[tuple[str, str], Match]:
    """Find the images that are one.

    Parameters
    ----------
    prints : mapping of name to (n, 6) array

    Returns
    -------
    dict of (name, name) to Match
        Only pairs that share enough slices to be one image, each once, names in order.
    """
    from scipy.spatial import cKDTree

    names = sorted(name for name, print_ in prints.items() if comparable(print_))
    if len(names) < 2:
        return {}
    owner = np.repeat(np.arange(len(names)), [len(prints[n]) for n in names])
    points = np.concatenate([prints[n] for n in names])
    # As many neighbours as can be wanted: a scan given more often than that still finds others of its copies.
    k = min(NEIGHBOURS, len(points))
    distance, index = cKDTree(points).query(points, k=k, p=np.inf, distance_upper_bound=TOLERANCE)
    partners: dict[tuple[int, int], set[int]] = defaultdict(set)
    rows, columns = np.nonzero(np.isfinite(distance))
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
        mine, other = int(owner[row]), int(owner[index[row, column]])
        if mine != other:
            partners[mine, other].add(row)
    counts: Counter[tuple[int, int]] = Counter()
    for (a, b), shared in partners.items():
        key = min(a, b), max(a, b)
        counts[key] = max(counts[key], len(shared))
    found = {}
    for (a, b), shared_slices in sorted(counts.items()):
        shorter = min(len(prints[names[a]]), len(prints[names[b]]))
        if shared_slices >= max(LEAST_SLICES, int(np.ceil(LEAST_SHARE * shorter))):
            found[names[a], names[b]] = Match(min(shared_slices, shorter), shorter)
    return found
