"""From the headers of a series to one regular grid, or to every reason why there is none.

Nothing is inferred: spacing comes from the positions alone, order from the positions along the normal, and a stack
that is not regular is refused. Coordinates here are LPS mm until the affine is written.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from petflame.dicom import tags as t
from petflame.dicom.duplicates import gathered, without_duplicates, without_localizers
from petflame.dicom.header import Header
from petflame.dicom.pixels import pixel_faults
from petflame.dicom.series import Series
from petflame.errors import Fault
from petflame.space.grid import Array, Grid

COSINE_TOLERANCE = 1e-3
SPACING_TOLERANCE_MM = 1e-3
POSITION_TOLERANCE_MM = 0.1
POSITION_TOLERANCE_FRACTION = 0.05
MISSING_GAP_FACTOR = 1.5
LEAST_STACKING_COSINE = 0.9999
LARGEST_DRIFT_MM = 0.5
LARGEST_SIDE = 4096
# PET resolves 3 to 5 mm, and scanners reconstruct it with 1024 pixels a side at most.
LARGEST_PET_SIDE = 1024
MOST_VOXELS = 1 << 30
# A person and the bed within the longest scanner; a header that says more is wrong about its spacing or its matrix.
LARGEST_EXTENT_MM = 3000.0
LARGEST_POSITION_MM = 1e5


@dataclass(frozen=True)
class Stack:
    """A series that is one regular volume.

    Attributes
    ----------
    headers : tuple of Header
        A slice each, by position along the normal.
    grid : Grid
        Columns, rows, slices; RAS mm.
    dropped : int
        Identical duplicates and localizers that were left out.
    largest_jitter_mm : float
        Largest distance of a slice from its place on the regular grid.
    """

    headers: tuple[Header, ...]
    grid: Grid
    dropped: int
    largest_jitter_mm: float


@dataclass(frozen=True)
class _Slice:
    header: Header
    ipp: Array
    iop: Array
    spacing: Array
    shape: tuple[int, int]
    frame: str


def assemble(series: Series, expected_slices: int | None = None) -> tuple[Stack | None, list[Fault], list[str]]:
    """Put the images of a series in order on one grid.

    Parameters
    ----------
    series : Series
    expected_slices : int, optional
        Overrides NumberOfSlices (0054,0081).

    Returns
    -------
    stack : Stack or None
    faults : list of Fault
        Everything that is wrong; empty when there is a stack.
    warnings : list of str
    """
    members, repeated, faults = without_duplicates(without_localizers(series))
    dropped = len(series.headers) - len(members)
    for header in members:
        faults.extend(pixel_faults(header))
    slices = []
    for header in members:
        read, objections = _geometry(header)
        faults.extend(objections)
        if read is not None:
            slices.append(read)
    if faults or not slices:
        return None, gathered(faults), []
    faults = _mixture(series, slices)
    if faults:
        return None, faults, []
    stack, faults, warnings = _stack(series, slices, dropped, expected_slices)
    if repeated:
        warnings.append(
            f"{repeated} images of {series.label} are stored a second time with the same values; one of each was used"
        )
    return stack, faults, warnings


def _geometry(header: Header) -> tuple[_Slice | None, list[Fault]]:
    v, faults = header.values, []
    again = "export the series again with its geometry; petflame never guesses it"
    values: dict[int, Array] = {}
    for tag, count in ((t.IPP, 3), (t.IOP, 6), (t.PIXEL_SPACING, 2)):
        numbers = v.numbers(tag)
        if numbers is None or len(numbers) != count:
            faults.append(Fault(f"{t.name(tag)} is missing or unreadable", header.told, again))
        else:
            values[tag] = np.asarray(numbers, float)
    rows, columns = v.integer(t.ROWS), v.integer(t.COLUMNS)
    for tag, side in ((t.ROWS, rows), (t.COLUMNS, columns)):
        if side is None or side < 1:
            faults.append(Fault(f"{t.name(tag)} is missing or unreadable", header.told, again))
        elif side > (most := LARGEST_PET_SIDE if v.text(t.MODALITY) == "PT" else LARGEST_SIDE):
            faults.append(Fault(f"{t.name(tag)} = {side} is beyond {most}", header.told, again))
    if faults or rows is None or columns is None:
        return None, faults
    row, column = values[t.IOP][:3], values[t.IOP][3:]
    off = max(abs(row @ row - 1), abs(column @ column - 1), abs(row @ column))
    if off > 2 * COSINE_TOLERANCE:
        faults.append(Fault(f"{t.name(t.IOP)} does not hold two orthogonal unit vectors", header.told, again))
    if not (values[t.PIXEL_SPACING] > 0.01).all() or (values[t.PIXEL_SPACING] > 100).any():
        faults.append(Fault(f"{t.name(t.PIXEL_SPACING)} is not a plausible distance in mm", header.told, again))
    if np.abs(values[t.IPP]).max() > LARGEST_POSITION_MM:
        faults.append(Fault(f"{t.name(t.IPP)} is not a plausible position in mm", header.told, again))
    if faults:
        return None, faults
    frame = v.text(t.FRAME_OF_REFERENCE)
    return _Slice(header, values[t.IPP], values[t.IOP], values[t.PIXEL_SPACING], (columns, rows), frame), []


def _mixture(series: Series, slices: list[_Slice]) -> list[Fault]:
    """Find images that cannot belong to the same volume; differences within rounding do not count."""
    first, faults = slices[0], []
    checks = (
        ("matrix size", [s.shape for s in slices], lambda s: s.shape != first.shape),
        (
            "pixel spacing",
            [tuple(s.spacing.round(4)) for s in slices],
            lambda s: np.abs(s.spacing - first.spacing).max() > SPACING_TOLERANCE_MM,
        ),
        (
            "orientation",
            [tuple(s.iop.round(2)) for s in slices],
            lambda s: np.abs(s.iop - first.iop).max() > COSINE_TOLERANCE,
        ),
        ("frame of reference", [s.frame for s in slices], lambda s: s.frame != first.frame),
    )
    for what, keys, differs in checks:
        odd = [s for s in slices if differs(s)]
        if not odd:
            continue
        counts: dict[object, int] = defaultdict(int)
        for key in keys:
            counts[key] += 1
        rare = min(counts.values()) if len(counts) > 1 else len(odd)
        told = odd[0] if 2 * len(odd) <= len(slices) else first
        faults.append(
            Fault(
                f"its images differ in {what} ({rare} of {len(slices)} are unlike the others)",
                f"{series.label}, {told.header.told}",
                "keep only the images of one reconstruction in the series",
            )
        )
    return faults


def _stack(
    series: Series, slices: list[_Slice], dropped: int, expected: int | None
) -> tuple[Stack | None, list[Fault], list[str]]:
    faults: list[Fault] = []
    warnings: list[str] = []
    iop = np.mean([s.iop for s in slices], axis=0)
    row, column = iop[:3] / np.linalg.norm(iop[:3]), iop[3:] / np.linalg.norm(iop[3:])
    normal = np.cross(row, column)
    slices = sorted(slices, key=lambda s: (float(s.ipp @ normal), s.header.name))
    count = len(slices)
    if count < 2:
        what = "it has a single image, and a volume needs at least two"
        return None, [Fault(what, series.label, "name the folder that holds the whole series")], []
    ipp = np.array([s.ipp for s in slices])
    along = (ipp - ipp[0]) @ normal
    gaps = np.diff(along)
    median = float(np.median(gaps))
    told = f"{series.label}"
    if median < 1e-3:
        faults.append(Fault("its images lie at one position, so it is not a volume", told, "give a stack of slices"))
        return None, faults, []
    wide = np.flatnonzero(gaps > MISSING_GAP_FACTOR * median)
    drift = ipp - ipp[0] - along[:, None] * normal
    sideways = np.linalg.norm(drift, axis=1)
    stacking = abs(float((ipp[-1] - ipp[0]) @ normal)) / float(np.linalg.norm(ipp[-1] - ipp[0]))
    if stacking < LEAST_STACKING_COSINE or sideways.max() > LARGEST_DRIFT_MM:
        tilt = np.degrees(np.arccos(min(1.0, stacking)))
        faults.append(
            Fault(
                f"its slices are sheared against each other (gantry tilt of {tilt:.1f} degrees, "
                f"{sideways.max():.1f} mm sideways)",
                told,
                "reconstruct it without tilt, or resample it in a tool that handles shear",
            )
        )
    step = (ipp[-1] - ipp[0]) / (count - 1)
    jitter = float(np.abs(along - np.arange(count) * along[-1] / (count - 1)).max())
    limit = max(POSITION_TOLERANCE_MM, POSITION_TOLERANCE_FRACTION * median)
    if len(wide):
        at = slices[int(wide[0])].header.told
        missing = int(np.round(gaps[wide] / median - 1).sum())
        counted = "1 slice is" if missing == 1 else f"{missing} slices are"
        what = f"about {counted} missing (a gap of {gaps[wide[0]]:.2f} mm where {median:.2f} mm is usual)"
        faults.append(Fault(what, f"{told}, after {at}", "fetch the complete series again"))
    elif jitter > limit:
        what = f"its slice distances are irregular ({gaps.min():.2f} to {gaps.max():.2f} mm, up to {jitter:.2f} mm off)"
        faults.append(Fault(what, told, "give a reconstruction with one slice distance"))
    faults.extend(_count_faults(series, count, expected, warnings))
    columns, rows = slices[0].shape
    if columns * rows * count > MOST_VOXELS:
        faults.append(Fault(f"its {columns} x {rows} x {count} voxels are too many", told, "name one reconstruction"))
    spacing = slices[0].spacing
    extents = columns * float(spacing[1]), rows * float(spacing[0]), float(along[-1])
    if max(extents) > LARGEST_EXTENT_MM:
        size = " x ".join(f"{extent:.0f}" for extent in extents)
        what = f"it covers {size} mm, more than any scanner does"
        faults.append(Fault(what, told, "export it again with its true matrix, spacing and positions"))
    if faults:
        return None, faults, warnings
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1], affine[:3, 2] = row * spacing[1], column * spacing[0], step
    affine[:3, 3] = ipp[0]
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    affine[affine == 0] = 0.0
    grid = Grid((columns, rows, count), affine)
    return Stack(tuple(s.header for s in slices), grid, dropped, jitter), [], warnings


def _count_faults(series: Series, count: int, expected: int | None, warnings: list[str]) -> list[Fault]:
    told = {h.values.integer(t.NUMBER_OF_SLICES) for h in series.headers} - {None}
    if expected is None and len(told) == 1:
        expected = told.pop()
    if expected is None or expected < 1 or count == expected:
        return []
    if count < expected:
        what = f"it has {count} slices where {t.name(t.NUMBER_OF_SLICES)} says {expected}"
        remedy = "fetch the complete series again, or give `number_of_slices` in the overrides table with the reason"
        return [Fault(what, series.label, remedy)]
    warnings.append(f"the PET has {count} slices where NumberOfSlices says {expected}")
    return []
