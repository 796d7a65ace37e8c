"""Contours in patient space onto the slices of a grid of the visit."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from petflame.segment.imports.claims import REFERENCES, Claim, Reference, elsewhere
from petflame.segment.imports.lattice import inside
from petflame.segment.imports.polygons import Contour, Filled, fill
from petflame.space.grid import Array, Grid, ras_to_lps

# A contour belongs to a slice when it lies this near to it, in mm or in slices, whichever is more.
PLANE_TOLERANCE_MM = 0.1
PLANE_TOLERANCE_SLICES = 0.06
# A line this far beyond the outermost voxel centres is told by its points alone, before it is filled.
BEYOND_VOXELS = 2.0


@dataclass(frozen=True, eq=False)
class Region:
    """The closed contours of one region.

    Attributes
    ----------
    names : tuple of str
    number : int or None
    contours : tuple of Contour
        Points (n, 3) in LPS mm.
    title : str
        How messages call it.
    """

    names: tuple[str, ...]
    number: int | None
    contours: tuple[Contour, ...]
    title: str


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
    drawn_on: str = "",
) -> tuple[Reference, list[Claim], list[str], list[str]]:
    """Fill the contours of every region on the grid on whose slices they lie.

    Where they lie on the slices of CT and PET alike, the grid is taken on which they leave fewer slices out between
    their ends, then the one whose slices they meet more closely (to 0.01 mm), then the CT; `drawn_on` comes before
    this where they lie on its slices, and `wanted` in any case.

    Parameters
    ----------
    regions : sequence of Region
    grids : dict
        'ct' and 'pet' grid of the visit, those that exist.
    where : str
        How messages name the file.
    wanted : {'', 'ct', 'pet'}
        Grid that the user names.
    drawn_on : {'', 'ct', 'pet'}
        Grid of the images that the file names.

    Returns
    -------
    reference : {'ct', 'pet'}
    claims : list of Claim
    notes : list of str
    doubts : list of str
        Outlines that overlap, or were drawn on other images than those that they name.

    Raises
    ------
    InputRefused
        When the contours lie on the slices of neither grid, or leave the image.
    """
    fits = [fit for r in REFERENCES if r in grids and (fit := _fit(regions, grids[r], r)) is not None]
    chosen = [fit for fit in fits if fit.reference == wanted] if wanted else fits
    if not chosen:
        raise elsewhere(_whereabouts(regions), grids if not wanted else {wanted: grids[wanted]}, where)
    named = [fit for fit in chosen if fit.reference == drawn_on]
    doubts = []
    if drawn_on and not named and not wanted:
        doubts.append(f"it names the {drawn_on.upper()} as drawn on, and its contours do not lie on the slices of that")
    best = min(named or chosen, key=lambda f: (f.gaps, round(f.stray_mm, 2), REFERENCES.index(f.reference)))
    notes = []
    if len(fits) > 1 and not wanted and not named:
        notes.append(
            f"its contours lie on slices of CT and PET alike; they were filled on the {best.reference.upper()} grid"
            ' (write {"grid": "ct"} or {"grid": "pet"} in a JSON file beside it to choose)'
        )
    grid = grids[best.reference]
    reach = np.concatenate([grid.to_ijk(ras_to_lps(points)) for points in _points(regions)])
    if (reach.min(axis=0) < -BEYOND_VOXELS).any() or (
        reach.max(axis=0) > np.array(grid.shape) - 1 + BEYOND_VOXELS
    ).any():
        raise elsewhere(f"partly outside ({_whereabouts(regions)})", grids, where)
    claims = []
    for region in regions:
        voxels, said = _voxels(region, grid, best.axis)
        claims.append(Claim(region.names, region.number, voxels, region.title))
        doubts += said
    outside = sum(int((~inside(c.voxels, grid)).sum()) for c in claims)
    if outside:
        raise elsewhere(f"partly outside ({outside} voxels beyond the image; {_whereabouts(regions)})", grids, where)
    return best.reference, claims, notes, doubts


def _points(regions: Sequence[Region]) -> list[Array]:
    return [contour.points for region in regions for contour in region.contours]


def _whereabouts(regions: Sequence[Region]) -> str:
    every = _points(regions)
    points = ras_to_lps(np.concatenate(every))
    low, high = points.min(axis=0), points.max(axis=0)
    planes = len({round(float(c[:, 2].mean()), 2) for c in every})
    spans = ", ".join(f"{axis} {a:.2f} to {b:.2f}" for axis, a, b in zip("xyz", low, high, strict=True))
    return f"in {planes} axial planes within {spans} RAS mm"


def _fit(regions: Sequence[Region], grid: Grid, reference: Reference) -> _Fit | None:
    contours = [grid.to_ijk(ras_to_lps(points)) for points in _points(regions)]
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
        planes = {round(float(grid.to_ijk(ras_to_lps(c))[:, axis].mean())) for c in _points([region])}
        gaps += max(planes) - min(planes) + 1 - len(planes)
    return _Fit(reference, axis, gaps, float(stray[axis]))


def _voxels(region: Region, grid: Grid, axis: int) -> tuple[Array, list[str]]:
    """Voxels (n, 3) of a region, and what its contours leave in doubt."""
    u, v = (a for a in (0, 1, 2) if a != axis)
    slices: dict[int, list[Contour]] = defaultdict(list)
    for contour in region.contours:
        ijk = grid.to_ijk(ras_to_lps(contour.points))
        slices[round(float(ijk[:, axis].mean()))].append(Contour(ijk[:, [u, v]], contour.exclusive))
    spacing = grid.spacing_mm
    found, filled = [], {}
    for plane, contours in sorted(slices.items()):
        filled[plane] = fill(contours, (spacing[u], spacing[v]))
        uv = filled[plane].voxels
        voxels = np.full((len(uv), 3), plane, np.int64)
        voxels[:, [u, v]] = uv
        found.append(voxels)
    return np.concatenate(found), _doubts(region.title, filled)


def _doubts(title: str, filled: dict[int, Filled]) -> list[str]:
    within = [plane for plane, part in filled.items() if part.within]
    joined = [plane for plane, part in filled.items() if part.overlapping and not part.within]
    cancelled = [plane for plane, part in filled.items() if part.cancelled]
    crossing = [plane for plane, part in filled.items() if part.crossing]
    count = sum(part.overlapping for part in filled.values())
    notes = []
    if joined:
        notes.append(f"{title}: outlines that repeat or overlap were joined on {_slices(joined)}: look at them")
    if within:
        notes.append(
            f"{title}: an outline within another was filled on {_slices(within)}, as the file does not call it a hole "
            f"({count} voxels in both); a hole is drawn as CLOSEDPLANAR_XOR or as one outline that runs into it"
        )
    if cancelled:
        notes.append(f"{title}: outlines that repeat cancel each other on {_slices(cancelled)}, as the file asks for")
    if crossing:
        notes.append(
            f"{title}: exclusive outlines overlap in part on {_slices(crossing)}; what they share was left out, as the "
            "file asks for: look at them"
        )
    return notes


def _slices(planes: list[int], most: int = 8) -> str:
    """Number of slices and which: counted from 0 along the image's axis."""
    shown = ", ".join(map(str, planes[:most])) + (", ..." if len(planes) > most else "")
    return f"{len(planes)} slice{'s' if len(planes) > 1 else ''} (image number {shown}, counted from 0)"
