"""Reading a NIfTI label map: its header first, its voxels only where they lie on a grid of the visit."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from petflame.errors import InputRefused
from petflame.files import nifti_grid
from petflame.privacy import named
from petflame.segment.imports.claims import Reference, elsewhere
from petflame.segment.imports.doors import require_plausible, require_regular
from petflame.segment.imports.lattice import fit_volume, placed
from petflame.space.grid import Array, Grid, Volume

# NIfTI-1 counts 348 bytes, NIfTI-2 540; header extensions (names of labels, histories) come before the voxels.
HEADER_BYTES = {348: "Nifti1Header", 540: "Nifti2Header"}
MOST_EXTENSION_BYTES = 16 << 20
# What may stand behind the voxels: padding to a block of a tape or file system.
MOST_TRAILING_BYTES = 1 << 20
LARGEST_LABEL = 65535
# Rounding of whole numbers kept as 32-bit floats, with room for a multiplication by a scale.
FLOAT_ROUNDING = 1e-4
REMEDY = "name a NIfTI label map"


def read_label_map(path: Path, where: str, grids: dict[str, Grid]) -> tuple[Reference, Volume]:
    """Read the label numbers of a NIfTI map onto the grid of the visit that it lies on, whatever the order of its axes.

    Numbers may be stored with a scale (``scl_slope``): tools that save a map as 8 or 16 bit stretch its numbers over
    the range of the type, each to within half a step of the scale. Then, and only then, they are whole numbers again.

    Parameters
    ----------
    path : Path
        ``.nii`` or ``.nii.gz``.
    where : str
        How messages call the file.
    grids : dict
        'ct' and 'pet' grid of the visit, those that exist.

    Returns
    -------
    reference : {'ct', 'pet'}
    Volume
        uint16 label numbers on that grid.

    Raises
    ------
    InputRefused
        When it is no NIfTI, not three-dimensional, lies on neither grid (both are named), holds colours, fractions
        or numbers beyond 0 to 65535, or ends early.
    """
    size = require_regular(path, where, REMEDY)
    try:
        with _opened(path) as stream:
            header = _header(stream, where)
            own = nifti_grid(header.get_data_shape(), header.get_best_affine(), where)
            found = fit_volume(own.affine, own.shape, grids, whole=True)
            if found is None:
                raise elsewhere(f"on {own.describe()}{_confused(own, grids)}", grids, where)
            kind = np.dtype(header.get_data_dtype())
            if kind.kind not in "iuf":
                what = f"its voxels are of the type {kind}, which holds colours or pairs and not label numbers"
                raise InputRefused.of(what, where, "save it as a map of whole numbers")
            reference, matrix, offset = found
            require_plausible(own.shape, kind.itemsize, 1, grids[reference], size, where)
            raw = _voxels(stream, header, own.shape, kind, where)
            slope, intercept = header.get_slope_inter()
    except InputRefused:
        raise
    except Exception as error:
        raise InputRefused.of(f"it cannot be read as NIfTI ({named(error, _kind(error))})", where, REMEDY) from None
    labels = _numbers(raw, slope, intercept, where)
    return reference, placed(labels, matrix, offset, grids[reference], where)


def _confused(own: Grid, grids: dict[str, Grid]) -> str:
    """Say in words with which signs its header would lie on a grid of the visit; empty where with none."""
    for signs, words in (
        ((-1.0, -1.0, 1.0), "x and y (RAS and LPS were confused)"),
        ((-1.0, 1.0, 1.0), "x"),
        ((1.0, -1.0, 1.0), "y"),
        ((1.0, 1.0, -1.0), "z"),
    ):
        if fit_volume(np.diag([*signs, 1.0]) @ own.affine, own.shape, grids, whole=True) is not None:
            return f", and would lie on them if its header had the other sign of {words}"
    return ""


def _kind(error: Exception) -> str:
    return type(error).__name__


def _opened(path: Path) -> Any:
    from isal import igzip

    return igzip.open(path, "rb") if path.name.lower().endswith(".gz") else path.open("rb")


def _header(stream: Any, where: str) -> Any:
    import nibabel as nib

    first = stream.read(4)
    sizes = {int.from_bytes(first, order) for order in ("little", "big")} if len(first) == 4 else set()
    size = next((n for n in HEADER_BYTES if n in sizes), None)
    if size is None:
        raise InputRefused.of("it is no NIfTI file", where, REMEDY)
    block = first + stream.read(size - 4)
    return getattr(nib, HEADER_BYTES[size]).from_fileobj(io.BytesIO(block), check=False)


def _voxels(stream: Any, header: Any, shape: tuple[int, ...], kind: np.dtype[Any], where: str) -> Array:
    begin, size = int(header.get_data_offset()), int(header["sizeof_hdr"])
    if not size <= begin <= size + MOST_EXTENSION_BYTES:
        what = f"its header says that the voxels begin at byte {begin}"
        raise InputRefused.of(what, where, "export it again")
    stream.read(begin - size)
    wanted = int(np.prod(shape)) * kind.itemsize
    content = stream.read(wanted)
    if len(content) < wanted:
        what = f"it ends early: {len(content)} of {wanted} bytes of voxels are there"
        raise InputRefused.of(what, where, "export or copy it again")
    # To the end where it is near, since only then the checksum is looked at.
    if len(stream.read(MOST_TRAILING_BYTES + 1)) > MOST_TRAILING_BYTES:
        what = f"more than {MOST_TRAILING_BYTES} bytes follow the voxels that its header describes"
        raise InputRefused.of(what, where, "export it again")
    return np.frombuffer(content, kind).reshape(shape, order="F")


def _numbers(raw: Array, slope: float | None, intercept: float | None, where: str) -> Array:
    """Turn stored values into label numbers, uint16, plane by plane."""
    scale, shift = (1.0 if slope is None else float(slope)), (0.0 if intercept is None else float(intercept))
    scaled = (scale, shift) != (1.0, 0.0)
    whole = raw.dtype.kind in "iu" and not scaled
    # Half a step of the scale; steps of half a label and more cannot be told from fractions.
    tolerance = max(min(abs(scale) / 2, 0.25), FLOAT_ROUNDING) if scaled else FLOAT_ROUNDING
    labels = np.zeros(raw.shape, np.uint16)
    low, high = np.inf, -np.inf
    for k in range(raw.shape[2]):
        plane = raw[..., k]
        if not whole:
            values = plane.astype(np.float64) * scale + shift
            near = np.rint(values)
            if not np.isfinite(values).all() or (np.abs(values - near) > tolerance * (1 + 1e-6)).any():
                told = f", stored with a scale of {scale:g}" if scaled else ""
                what = f"its values are not whole numbers{told}"
                raise InputRefused.of(what, where, "give a label map, not a probability map")
            plane = near
        low, high = min(low, float(plane.min())), max(high, float(plane.max()))
        if low < 0 or high > LARGEST_LABEL:
            what = f"its values run from {low:g} to {high:g}"
            raise InputRefused.of(what, where, f"give label numbers from 0 to {LARGEST_LABEL}")
        labels[..., k] = plane
    return labels
