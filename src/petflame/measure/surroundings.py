"""What lies round an artery in the PET: labelled neighbours, and hot spots that nobody labelled."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from petflame.anatomy import ARTERIES, BY_LABEL, BY_NAME, NEIGHBOURS
from petflame.space.boxes import Box, box_between, voxels_between
from petflame.space.grid import Array, Grid, Volume

UNLABELLED = "unlabelled"
# A voxel belongs to a region that fills at least this share of it, so that a small node is not lost between centres.
MINIMUM_SHARE = 0.25
# A hot spot extends to half its height: its peak alone, or its peak above what surrounds it.
HALF = 0.5
# What surrounds it is read one to two widths of the resolution beyond its edge: nearer lies its own blurred rim, and
# farther other organs. The edge is looked for from this share of the peak downwards, until it holds.
_FIRST_EDGE, _ROUNDS, _SETTLED = 0.7, 20, 0.01
METAL = BY_NAME["metal"].label
_HOT_KINDS = [BY_NAME[name].label for name in NEIGHBOURS if name != "metal"]
_ARTERY_LABELS = [BY_NAME[name].label for name in ARTERIES]


@dataclass(frozen=True, eq=False)
class Surroundings:
    """A box of the PET round an artery.

    Attributes
    ----------
    low : (3,) int array
        PET voxel of the box's first corner.
    values : (I, J, K) float64 array
        Uptake.
    peak : (I, J, K) int array
        Flat number, in the box, of the local maximum that steepest ascent from each voxel ends at.
    beyond_mm : (I, J, K) array
        Distance to the nearest voxel of any artery; 0 inside.
    neighbour : (I, J, K) uint8 array
        Label of the neighbour that fills at least a quarter of the voxel, 0 where none does.
    heat : (I, J, K) float64 array
        How hot a source of spill-in the voxel belongs to: for a labelled neighbour its highest uptake within one
        resolution width of the voxel, for an unlabelled hot spot its peak; -inf where there is no source.
    """

    low: Array
    values: Array
    peak: Array
    beyond_mm: Array
    neighbour: Array
    heat: Array

    def at(self, voxels: Array) -> tuple[Array, Array, Array]:
        """Index of PET voxels, shape (n, 3), in the box's arrays."""
        i, j, k = (np.asarray(voxels) - self.low).T
        return i, j, k

    def source_name(self, flat: int) -> str:
        """Name of the source that a voxel of the box belongs to."""
        label = int(self.neighbour.ravel()[flat])
        return BY_LABEL[label].name if label else UNLABELLED


def surroundings(
    pet: Volume,
    labels: Volume,
    voxels: Array,
    reach_mm: float,
    fwhm_mm: float,
    unlabelled: bool,
    extent: str = "half_above_surroundings",
    least: float = 0.0,
) -> Surroundings:
    """Describe the PET round an artery.

    Parameters
    ----------
    pet, labels : Volume
        Canonical.
    voxels : (n, 3) int array
        PET voxels of the artery, all in view.
    reach_mm : float
        How far from the artery a source matters.
    fwhm_mm : float
        Resolution of the PET. A local maximum is no source of its own nearer than half of it to an artery's voxels:
        so far the artery's own peak may stray.
    unlabelled : bool
        Whether hot spots count that are no labelled neighbour.
    extent : {'half_above_surroundings', 'half_maximum'}
        How far an unlabelled hot spot extends from its peak.
    least : float
        A hot spot whose peak is lower can be a source for no section; it is left out.
    """
    spacing = np.array(pet.grid.spacing_mm)
    margin = np.ceil((reach_mm + fwhm_mm) / spacing).astype(int) + 1
    low = np.maximum(voxels.min(axis=0) - margin, 0)
    high = np.minimum(voxels.max(axis=0) + margin + 1, pet.grid.shape)
    values = pet.data[box_between(low, high)].astype(float)
    artery, neighbour = _labelled(pet.grid, labels, low, values.shape)
    peak = steepest_ascent(values)
    beyond = (
        ndimage.distance_transform_edt(~artery, sampling=tuple(spacing))
        if artery.any()
        else np.full(artery.shape, np.inf)
    )
    heat = np.full(values.shape, -np.inf)
    size = [2 * max(1, round(fwhm_mm / s)) + 1 for s in spacing]
    for label in np.unique(neighbour[neighbour > 0]):
        own = neighbour == label
        near = ndimage.maximum_filter(np.where(own, values, -np.inf), size=size, mode="constant", cval=-np.inf)
        heat[own] = near[own]
    if unlabelled:
        peaks = np.flatnonzero(peak.ravel() == np.arange(peak.size))
        free = (beyond.ravel()[peaks] > 0.5 * fwhm_mm) & (neighbour.ravel()[peaks] == 0)
        tops = peaks[free & (values.ravel()[peaks] > 0) & (values.ravel()[peaks] >= least)]
        open_to = ~artery & (neighbour == 0)
        for top in tops:
            held = _extent(values, peak, int(top), tuple(spacing), fwhm_mm, extent) & open_to
            heat[held] = values.ravel()[top]
    return Surroundings(low, values, peak, beyond, neighbour, heat)


def _extent(values: Array, peak: Array, top: int, spacing_mm: tuple[float, ...], fwhm_mm: float, extent: str) -> Array:
    """Voxels of the hill of a peak, given by its flat number, that belong to the hot spot."""
    hill, height = peak == top, values.ravel()[top]
    if extent == "half_maximum":
        return hill & (values >= HALF * height)
    # Only a window round the hill's upper part matters.
    window = _window(np.argwhere(hill & (values >= HALF * height)), values.shape, 2 * fwhm_mm, spacing_mm)
    inner, own = values[window], hill[window]
    edge, held = _FIRST_EDGE * height, np.zeros(own.shape, bool)
    for _ in range(_ROUNDS):
        held = own & (inner >= edge)
        beyond = ndimage.distance_transform_edt(~held, sampling=spacing_mm)
        around = inner[(beyond > fwhm_mm) & (beyond <= 2 * fwhm_mm)]
        if not len(around):
            break
        before, edge = edge, height - HALF * max(height - float(np.median(around)), 0.0)
        if abs(edge - before) <= _SETTLED * height:
            break
    whole = np.zeros(values.shape, bool)
    whole[window] = own & (inner >= edge)
    return whole


def _window(places: Array, shape: tuple[int, ...], beyond_mm: float, spacing_mm: tuple[float, ...]) -> Box:
    margin = np.ceil(beyond_mm / np.array(spacing_mm)).astype(int) + 1
    low = np.maximum(places.min(axis=0) - margin, 0)
    high = np.minimum(places.max(axis=0) + margin + 1, shape)
    return box_between(low, high)


def _labelled(pet: Grid, labels: Volume, low: Array, shape: tuple[int, ...]) -> tuple[Array, Array]:
    """Artery voxels, and the neighbour that fills most of each voxel, from eight samples of the labels a voxel."""
    places = _places(pet, labels.grid, low, shape)
    artery = np.zeros(shape, np.uint8)
    is_artery = np.isin(np.arange(256), _ARTERY_LABELS)
    counts: defaultdict[int, Array] = defaultdict(lambda: np.zeros(shape, np.uint8))
    for corner in np.ndindex(2, 2, 2):
        found = values_at_places(labels.data, places(0.5 * np.array(corner) - 0.25))
        held = np.flatnonzero(np.bincount(found.ravel(), minlength=256))
        artery += is_artery[found]
        for label in (n for n in _HOT_KINDS if n in held):
            counts[label] += found == label
    least = MINIMUM_SHARE * 8
    most, neighbour = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    for label, count in sorted(counts.items()):
        more = count > most
        most[more], neighbour[more] = count[more], label
    neighbour[(most < least) | (artery >= 4)] = 0
    return artery >= least, neighbour


def _places(pet: Grid, labels: Grid, low: Array, shape: tuple[int, ...]) -> Callable[[Array], list[Array]]:
    """Make the function that gives, for every voxel of a box plus an offset, its nearest voxel of the label map.

    The voxel's numbers come as three arrays that broadcast to the box: where the grids are parallel, one an axis.
    """
    matrix = np.linalg.inv(labels.affine) @ pet.affine
    # The small number decides which way a point midway between two voxels goes, whatever the rounding.
    half = 0.5 + 1e-6
    if np.abs(matrix[:3, :3] - np.diag(np.diag(matrix)[:3])).max() * max(shape) < 1e-9:
        axes = [
            np.arange(a, a + n) * matrix[m, m] + matrix[m, 3] for m, (a, n) in enumerate(zip(low, shape, strict=True))
        ]
        return lambda offset: list(
            np.ix_(*(np.floor(axis + matrix[m, m] * offset[m] + half).astype(int) for m, axis in enumerate(axes)))
        )
    base = voxels_between(low, low + shape) @ matrix[:3, :3].T + matrix[:3, 3]
    return lambda offset: list(np.moveaxis(np.floor(base + matrix[:3, :3] @ offset + half).astype(int), -1, 0))


def values_at_places(data: Array, places: list[Array]) -> Array:
    """Values at voxels whose numbers broadcast; 0 beyond the array."""
    inside = [(place >= 0) & (place < count) for place, count in zip(places, data.shape, strict=True)]
    held = tuple(np.clip(place, 0, count - 1) for place, count in zip(places, data.shape, strict=True))
    if all(within.all() for within in inside):
        return np.asarray(data[held])
    return np.asarray(np.where(inside[0] & inside[1] & inside[2], data[held], 0))


def steepest_ascent(values: Array) -> Array:
    """Flat number of the local maximum that steepest ascent ends at, for every voxel; same shape as `values`.

    A step goes to the highest of the 26 neighbours while that is higher than the voxel itself.

    >>> steepest_ascent(np.array([[[1.0, 3, 2, 4, 1]]])).tolist()
    [[[1, 1, 3, 3, 3]]]
    """
    shape = values.shape
    framed = np.pad(values, 1, constant_values=-np.inf)
    best, chosen = values.copy(), np.full(shape, 13, np.uint8)
    higher = np.empty(shape, bool)
    steps = list(np.ndindex(3, 3, 3))
    for number, step in enumerate(steps):
        window = framed[tuple(slice(s, s + n) for s, n in zip(step, shape, strict=True))]
        np.greater(window, best, out=higher)
        np.copyto(chosen, np.uint8(number), where=higher)
        np.maximum(best, window, out=best)
    climbs = (np.array(steps) - 1) @ np.array([shape[1] * shape[2], shape[2], 1])
    flat = np.arange(values.size) + climbs[chosen.ravel()]
    while True:
        further = flat[flat]
        if (further == flat).all():
            return flat.reshape(shape)
        flat = further
