"""A fingerprint of an image's pixels that survives another scale, order, rounding, header or crop.

Every slice gives four ratios of power sums of its voxels x (Sp = sum of x^p over the slice),

    ln S2 S4 / S3^2,   ln S3 S5 / S4^2,   ln S4 S6 / S5^2,   ln S3^4 / S4^3,

which are free of any factor on x (weight, dose, units, rescale slope: also one slope a slice) and of the places of the
voxels in the slice (mirrored, rotated or padded images), and hardly feel the air around the body (cropped images).
Slices are looked for in the other image wherever they lie, so their order and the number of slices do not matter.

Noise differs from scan to scan, and the ratios with it. Rounding to 12 bits moves them by 4e-4 at most, to 8 bits by
8e-4 in the median (a PET of 128 slices), so slices within `TOLERANCE` are taken for the same. Of two different scans,
of one person or two, at most 1 slice in 88 then finds such a partner; of one scan at 8 bits, 59 % (docs/identity.md).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from petflame.grid import Array

TOLERANCE = 1e-3
# A fifth of the shorter image's slices, half-way (on a logarithmic scale) between chance and a coarsely rounded copy.
LEAST_SHARE = 0.2
LEAST_SLICES = 3
# Voxels below this part of the slice's maximum add less than 4e-4 of a hot voxel to any sum.
FLOOR = 0.02
LEAST_VOXELS = 20
# Bone: soft tissue, table and air say nothing that a crop or another table would not change.
BONE_HU = 150
NEIGHBOURS = 16
DECIMALS = 7


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
    """Fingerprint of a PET in any unit, (I, J, K): the ratios of its telling slices, (n, 4) float64.

    Slices without enough uptake, and those that look like another slice of the same image, tell nothing and are left
    out.
    """
    return _telling([_ratios(np.maximum(data[:, :, k], 0)) for k in range(data.shape[2])])


def ct_fingerprint(data: Array) -> Array:
    """Fingerprint of a CT in HU, (I, J, K), from its bone: the ratios of its telling slices, (n, 4) float64."""
    return _telling([_ratios(np.maximum(data[:, :, k].astype(np.int32) - BONE_HU, 0)) for k in range(data.shape[2])])


def _ratios(image: Array) -> Array | None:
    peak = float(image.max()) if image.size else 0.0
    if not (np.isfinite(peak) and peak > 0):
        return None
    x = image[image > FLOOR * peak].astype(np.float64) / peak
    if x.size < LEAST_VOXELS:
        return None
    sums, power = {}, x
    for p in range(2, 7):
        power = power * x
        sums[p] = float(power.sum())
    logs = {p: np.log(s) for p, s in sums.items()}
    return np.array(
        [
            logs[2] + logs[4] - 2 * logs[3],
            logs[3] + logs[5] - 2 * logs[4],
            logs[4] + logs[6] - 2 * logs[5],
            4 * logs[3] - 3 * logs[4],
        ]
    )


def _telling(rows: Sequence[Array | None]) -> Array:
    from scipy.spatial import cKDTree

    found = np.array([r for r in rows if r is not None], float).reshape(-1, 4)
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
    prints : mapping of name to (n, 4) array

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
