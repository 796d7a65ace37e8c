"""Reading NRRD and MetaImage: 3D Slicer segmentations with their segment table, and plain label maps."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from petflame.anatomy import BY_LABEL
from petflame.errors import FaultList, InputRefused
from petflame.privacy import named
from petflame.segment.imports.claims import Claim, Drawing, elsewhere, entitled
from petflame.segment.imports.doors import require_own_data, require_plausible
from petflame.segment.imports.lattice import fit_volume, inside
from petflame.segment.imports.names import is_ignored
from petflame.segment.imports.sidecar import Sidecar
from petflame.space.grid import Array, Grid, grid_read

_KEY = re.compile(r"Segment(\d+)_(ID|Name|LabelValue|Layer)")


# Whole numbers that SimpleITK holds in a byte or two; regions never need more.
_INTEGERS = "iu"


def read_slicer(path: Path, where: str, grids: dict[str, Grid], sidecar: Sidecar) -> Drawing:
    """Place the segments of a NRRD or MetaImage file on a grid of the visit.

    In a 3D Slicer segmentation the header names each segment with its label value and layer (overlapping segments
    lie in layers); the array covers only the segments' extent, and its origin says where that lies. Any other file is
    a label map whose numbers are those of `petflame.anatomy` unless a JSON file beside it names them. The header is
    held against the visit's grids before voxels are read; what the file beside it says to ignore decides nothing.

    Parameters
    ----------
    path : Path
    where : str
        How messages call the file.
    grids : dict
    sidecar : Sidecar

    Raises
    ------
    InputRefused
        When it cannot be read, holds fractions or numbers that nothing names, or lies on neither grid.
    """
    size = require_own_data(path, where)
    reader, own = _header(path, where)
    allowed = {r: g for r, g in grids.items() if sidecar.grid in ("", r)}
    found = fit_volume(own.affine, own.shape, allowed)
    if found is None:
        raise elsewhere(f"on {own.describe()}", allowed or grids, where)
    reference, matrix, offset = found
    item_bytes = _item_bytes(reader)
    require_plausible(own.shape, item_bytes, reader.GetNumberOfComponents(), grids[reference], size, where)
    data = _voxels(reader, where)
    if data.dtype.kind not in _INTEGERS and (not np.isfinite(data).all() or (data != np.rint(data)).any()):
        raise InputRefused.of("its values are not whole numbers", where, "export a label map, not fractions")
    table = _table(reader, data.shape[3], where)
    claims, notes, used = [], [], np.zeros(data.shape, bool)
    for position, (names, value, layer) in enumerate(table or _numbers(data), start=1):
        mask = data[..., layer] == value if 0 <= layer < data.shape[3] else np.zeros(own.shape, bool)
        if 0 <= layer < data.shape[3]:
            used[..., layer] |= mask
        if is_ignored(names, value, sidecar.names):
            continue
        title = entitled(names[0], position)
        if not mask.any():
            notes.append(f"segments without a voxel: {title}")
            continue
        voxels = np.argwhere(mask) @ matrix.T + offset
        if not inside(voxels, grids[reference]).all():
            raise elsewhere(f"partly outside the images ({own.describe()})", allowed, where)
        claims.append(Claim(names, value, voxels, title))
    faults = FaultList()
    if ((data != 0) & ~used).any():
        left = sorted({int(v) for v in np.unique(data[(data != 0) & ~used])})
        faults.add(f"label values {left} belong to no segment that it names", where, "save the segmentation again")
    faults.raise_if_any()
    return Drawing("NRRD segmentation" if table else "NRRD label map", reference, tuple(claims), tuple(notes))


_Row = tuple[tuple[str, ...], int, int]


def _header(path: Path, where: str) -> tuple[Any, Grid]:
    """SimpleITK's reader that has seen the header alone, and the grid that it tells."""
    import SimpleITK as sitk  # noqa: N813

    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except (RuntimeError, MemoryError) as error:
        raise _unreadable(error, where) from None
    if reader.GetDimension() != 3:
        raise InputRefused.of(f"it has {reader.GetDimension()} dimensions", where, "export a 3-D segmentation")
    affine = np.eye(4)
    affine[:3, :3] = np.array(reader.GetDirection()).reshape(3, 3) * np.array(reader.GetSpacing())
    affine[:3, 3] = reader.GetOrigin()
    affine[:2] *= -1.0
    return reader, grid_read(tuple(int(n) for n in reader.GetSize()), affine, where, "export it again")


def _item_bytes(reader: Any) -> int:
    import SimpleITK as sitk  # noqa: N813

    name = str(sitk.GetPixelIDValueAsString(reader.GetPixelID()))
    bits = re.findall(r"\d+", name)
    return int(bits[0]) // 8 if bits else 8


def _voxels(reader: Any, where: str) -> Array:
    """Array (I, J, K, layers)."""
    import SimpleITK as sitk  # noqa: N813

    try:
        image = reader.Execute()
    except (RuntimeError, MemoryError) as error:
        raise _unreadable(error, where) from None
    array = sitk.GetArrayFromImage(image)
    array = array[..., None] if image.GetNumberOfComponentsPerPixel() == 1 else array
    return np.transpose(array, (2, 1, 0, 3))


def _unreadable(error: Exception, where: str) -> InputRefused:
    # What the library says holds the file's path.
    last = (str(error).strip().splitlines() or [""])[-1]
    refusal = InputRefused.of(f"it cannot be read ({named(last, type(error).__name__)})", where, "export it again")
    return InputRefused(refusal.faults)


def _table(reader: Any, layers: int, where: str) -> list[_Row]:
    """Segment table (names, value, layer) of 3D Slicer, sorted by number."""
    rows: dict[int, dict[str, str]] = {}
    for key in reader.GetMetaDataKeys():
        if match := _KEY.fullmatch(key):
            rows.setdefault(int(match[1]), {})[match[2]] = str(reader.GetMetaData(key))
    return [_row(number, rows[number], layers, where) for number in sorted(rows)]


def _row(number: int, row: dict[str, str], layers: int, where: str) -> _Row:
    # Files from before layers hold one segment a layer, or all of them in one.
    usual = number if layers > 1 else 0
    try:
        value, layer = int(row.get("LabelValue", 1)), int(row.get("Layer", usual))
    except ValueError:
        what = f"the label value or layer of segment {number} is no number"
        raise InputRefused.of(what, where, "save the segmentation again") from None
    names = [row[k].strip() for k in ("Name", "ID") if row.get(k, "").strip()]
    return tuple(dict.fromkeys(names)) or (f"segment {number}",), value, layer


def _numbers(data: Array) -> list[_Row]:
    """Rows for a label map without a table; numbers of `petflame.anatomy` bring their names."""
    return [
        ((BY_LABEL[int(v)].name,) if int(v) in BY_LABEL else (f"label {int(v)}",), int(v), layer)
        for layer in range(data.shape[3])
        for v in np.unique(data[..., layer])
        if v
    ]
