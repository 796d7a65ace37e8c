"""Contours in patient space onto the slices of a grid of the visit."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from petflame.grid import Array, Grid, ras_to_lps
from petflame.segment.imports.claims import REFERENCES, Claim, Reference, elsewhere
from petflame.segment.imports.lattice import inside
from petflame.segment.imports.polygons import fill

# A contour belongs to a slice when it lies this near to it, in mm or in slices, whichever is more.
PLANE_TOLERANCE_MM = 0.1
PLANE_TOLERANCE_SLICES = 0.06


@dataclass(frozen=True, eq=False)
class Region:
    """The closed contours of one region.

    Attributes
    ----------
    names : tuple of str
    number : int or None
    contours_lps_mm : tuple of (n, 3) arrays
    """

    names: tuple[str, ...]
    number: int | None
    contours_lps_mm: tuple[Array, ...]


@dataclass(frozen=True)
class _Fit:
    reference: Reference
    axis: int
    gaps: int
    stray_mm: float


def draw(
    regions: Sequence[Region],
    grids: dict[str, Grid],
    where: str,
    wanted: str = "",
    *,
    union: bool = False,
) -> tuple[Reference, list[Claim], list[str]]:
    """Fill the contours of every region on the grid on whose slices they lie.

    Where they lie on the slices of CT and PET alike, the grid is taken on which they leave fewer slices out between
    their ends, then the one whose slices they meet more closely (to 0.01 mm), then the CT; `wanted` overrules this.

    Parameters
    ----------
    regions : sequence of Region
    grids : dict
        'ct' and 'pet' grid of the visit, those that exist.
    where : str
        How messages name the file.
    wanted : {'', 'ct', 'pet'}
    union : bool
        Join overlapping contours of a region on a slice; otherwise one within another is a hole.

    Returns
    -------
    reference : {'ct', 'pet'}
    claims : list of Claim
    notes : list of str

    Raises
    ------
    InputRefused
        When the contours lie on the slices of neither grid, or leave the image.
    """
    fits = [fit for r in REFERENCES if r in grids and (fit := _fit(regions, grids[r], r)) is not None]
    chosen = [fit for fit in fits if fit.reference == wanted] if wanted else fits
    if not chosen:
        raise elsewhere(_whereabouts(regions), grids if not wanted else {wanted: grids[wanted]}, where)
    best = min(chosen, key=lambda f: (f.gaps, round(f.stray_mm, 2), REFERENCES.index(f.reference)))
    notes = []
    if len(fits) > 1 and not wanted:
        notes.append(
            f"its contours lie on slices of CT and PET alike; they were filled on the {best.reference.upper()} grid"
            ' (write {"grid": "ct"} or {"grid": "pet"} in a JSON file beside it to choose)'
        )
    grid = grids[best.reference]
    claims = [Claim(r.names, r.number, _voxels(r, grid, best.axis, union)) for r in regions]
    outside = sum(int((~inside(c.voxels, grid)).sum()) for c in claims)
    if outside:
        raise elsewhere(f"partly outside ({outside} voxels beyond the image; {_whereabouts(regions)})", grids, where)
    return best.reference, claims, notes


def _whereabouts(regions: Sequence[Region]) -> str:
    points = np.concatenate([c for r in regions for c in r.contours_lps_mm])
    low, high = ras_to_lps(points).min(axis=0), ras_to_lps(points).max(axis=0)
    planes = len({round(float(c[:, 2].mean()), 2) for r in regions for c in r.contours_lps_mm})
    spans = ", ".join(f"{axis} {a:.2f} to {b:.2f}" for axis, a, b in zip("xyz", low, high, strict=True))
    return f"in {planes} axial planes within {spans} RAS mm"


def _fit(regions: Sequence[Region], grid: Grid, reference: Reference) -> _Fit | None:
    contours = [grid.to_ijk(ras_to_lps(c)) for r in regions for c in r.contours_lps_mm]
    spacing = np.array(grid.spacing_mm)
    # The axis across which every contour is flat, the tall one of the grid first.
    tolerance = np.maximum(PLANE_TOLERANCE_MM, PLANE_TOLERANCE_SLICES * spacing)
    stray = np.max([np.abs(c - np.rint(c.mean(axis=0))).max(axis=0) for c in contours], axis=0) * spacing
    flat = [axis for axis in (2, 1, 0) if stray[axis] <= tolerance[axis]]
    if not flat:
        return None
    axis = flat[0]
    every = np.concatenate(contours)
    beyond = (every.max(axis=0) < -0.5) | (every.min(axis=0) > np.array(grid.shape) - 0.5)
    if beyond.any():
        return None
    gaps = 0
    for region in regions:
        planes = {round(float(grid.to_ijk(ras_to_lps(c))[:, axis].mean())) for c in region.contours_lps_mm}
        gaps += max(planes) - min(planes) + 1 - len(planes)
    return _Fit(reference, axis, gaps, float(stray[axis]))


def _voxels(region: Region, grid: Grid, axis: int, union: bool) -> Array:
    u, v = (a for a in (0, 1, 2) if a != axis)
    slices: dict[int, list[Array]] = defaultdict(list)
    for contour in region.contours_lps_mm:
        ijk = grid.to_ijk(ras_to_lps(contour))
        slices[round(float(ijk[:, axis].mean()))].append(ijk[:, [u, v]])
    spacing = grid.spacing_mm
    found = []
    for plane, contours in sorted(slices.items()):
        uv = fill(contours, (spacing[u], spacing[v]), union=union)
        voxels = np.full((len(uv), 3), plane, np.int64)
        voxels[:, [u, v]] = uv
        found.append(voxels)
    return np.concatenate(found)
