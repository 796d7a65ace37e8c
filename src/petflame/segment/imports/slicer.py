"""Reading NRRD and MetaImage: 3D Slicer segmentations with their segment table, and plain label maps."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from petflame.anatomy import BY_LABEL
from petflame.errors import FaultList, InputRefused
from petflame.grid import Array, Grid
from petflame.segment.imports.claims import Claim, Drawing, elsewhere
from petflame.segment.imports.lattice import fit_volume, inside
from petflame.segment.imports.sidecar import Sidecar

_KEY = re.compile(r"Segment(\d+)_(ID|Name|LabelValue|Layer)")


def read_slicer(path: Path, grids: dict[str, Grid], sidecar: Sidecar) -> Drawing:
    """Place the segments of a NRRD or MetaImage file on a grid of the visit.

    In a 3D Slicer segmentation the header names each segment with its label value and layer (overlapping segments
    lie in layers); the array covers only the segments' extent, and its origin says where that lies. Any other file is
    a label map whose numbers are those of `petflame.anatomy` unless a JSON file beside it names them.

    Parameters
    ----------
    path : Path
    grids : dict
    sidecar : Sidecar

    Raises
    ------
    InputRefused
        When it cannot be read, holds fractions or numbers that nothing names, or lies on neither grid.
    """
    data, affine, table = _read(path)
    where = path.name
    shape = (int(data.shape[0]), int(data.shape[1]), int(data.shape[2]))
    allowed = {r: g for r, g in grids.items() if sidecar.grid in ("", r)}
    found = fit_volume(affine, shape, allowed)
    if found is None:
        raise elsewhere(f"on {Grid(shape, affine).describe()}", allowed or grids, where)
    reference, matrix, offset = found
    if not np.isfinite(data).all() or (data != np.rint(data)).any():
        raise InputRefused.of("its values are not whole numbers", where, "export a label map, not fractions")
    claims, notes, used = [], [], np.zeros(data.shape, bool)
    for names, value, layer in table or _numbers(data):
        mask = data[..., layer] == value if layer < data.shape[3] else np.zeros(shape, bool)
        if layer < data.shape[3]:
            used[..., layer] |= mask
        if not mask.any():
            notes.append(f"segments without a voxel: {names[0] if names else value}")
            continue
        voxels = np.argwhere(mask) @ matrix.T + offset
        if not inside(voxels, grids[reference]).all():
            raise elsewhere(f"partly outside the images ({Grid(shape, affine).describe()})", allowed, where)
        claims.append(Claim(names, value, voxels))
    faults = FaultList()
    if ((data != 0) & ~used).any():
        left = sorted({int(v) for v in np.unique(data[(data != 0) & ~used])})
        faults.add(f"label values {left} belong to no segment that it names", where, "save the segmentation again")
    faults.raise_if_any()
    return Drawing("NRRD segmentation" if table else "NRRD label map", reference, tuple(claims), tuple(notes))


_Row = tuple[tuple[str, ...], int, int]


def _read(path: Path) -> tuple[Array, Array, list[_Row]]:
    """Array (I, J, K, layers), affine to RAS mm, and segment table (names, value, layer), sorted by number."""
    import SimpleITK as sitk  # noqa: N813

    try:
        image = sitk.ReadImage(str(path))
    except RuntimeError as error:
        last = str(error).strip().splitlines()[-1]
        raise InputRefused.of(f"it cannot be read ({last})", str(path), "export it again") from None
    if image.GetDimension() != 3:
        raise InputRefused.of(f"it has {image.GetDimension()} dimensions", path.name, "export a 3-D segmentation")
    array = sitk.GetArrayViewFromImage(image)
    array = array[..., None] if image.GetNumberOfComponentsPerPixel() == 1 else array
    data = np.transpose(array, (2, 1, 0, 3))
    affine = np.eye(4)
    affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    affine[:2] *= -1.0
    rows: dict[int, dict[str, str]] = {}
    for key in image.GetMetaDataKeys():
        if match := _KEY.fullmatch(key):
            rows.setdefault(int(match[1]), {})[match[2]] = str(image.GetMetaData(key))
    layers = data.shape[3]
    return np.array(data), affine, [_row(number, rows[number], layers, path) for number in sorted(rows)]


def _row(number: int, row: dict[str, str], layers: int, path: Path) -> _Row:
    # Files from before layers hold one segment a layer, or all of them in one.
    usual = number if layers > 1 else 0
    try:
        value, layer = int(row.get("LabelValue", 1)), int(row.get("Layer", usual))
    except ValueError:
        what = f"the label value or layer of segment {number} is no number"
        raise InputRefused.of(what, path.name, "save the segmentation again") from None
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
