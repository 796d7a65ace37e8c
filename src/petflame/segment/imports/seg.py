"""Reading a DICOM segmentation: frames are placed by their position, so frames that were left out do not matter."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from petflame.errors import FaultList, InputRefused
from petflame.privacy import named
from petflame.segment.imports.claims import REFERENCES, Claim, Drawing, Reference, elsewhere, entitled
from petflame.segment.imports.lattice import index_map, inside
from petflame.segment.imports.names import is_ignored
from petflame.segment.imports.sidecar import Sidecar
from petflame.space.grid import Array, Grid, ras_to_lps

AGAIN = "export it again"
LABELMAP_CLASS = "1.2.840.10008.5.1.4.1.1.66.7"


def read_seg(
    dataset: Any, path: Path, where: str, grids: dict[str, Grid], sidecar: Sidecar, drawn_on: str = ""
) -> Drawing:
    """Place every frame of a segmentation on a grid of the visit (DICOM PS3.3 C.8.20 and A.51).

    BINARY and LABELMAP objects are read; FRACTIONAL ones only where every value is 0 or the maximum. Where each frame
    lies is asked before a pixel is read; a segment that the file beside it says to ignore decides nothing.

    Parameters
    ----------
    dataset : pydicom Dataset
        Without its pixels.
    path : Path
        The file, for its pixels.
    where : str
        How messages call the file.
    grids : dict
        'ct' and 'pet' grid of the visit, those that exist.
    sidecar : Sidecar
        Its ``grid`` forces one of them.
    drawn_on : {'', 'ct', 'pet'}
        Grid of the images that it names, which comes first where it lies on both.

    Raises
    ------
    InputRefused
        When a frame lacks its place, values are probabilities, or the frames lie on neither grid.
    """
    names = {int(s.SegmentNumber): _names(s) for s in dataset.SegmentSequence}
    ignored = {n for n, own in names.items() if is_ignored(own, n, sidecar.names)}
    shape = (int(dataset.Columns), int(dataset.Rows))
    label_map = _is_label_map(dataset)
    count = len(dataset.get("PerFrameFunctionalGroupsSequence", []))
    if int(dataset.get("NumberOfFrames", count)) != count:
        what = f"it claims {dataset.NumberOfFrames} frames and describes {count}"
        raise InputRefused.of(what, where, AGAIN)
    owners = [0 if label_map else _segment_of(dataset, index, where) for index in range(count)]
    wanted = [index for index in range(count) if owners[index] not in ignored]
    affines = _affines(dataset, wanted, where)
    allowed = [r for r in REFERENCES if r in grids and sidecar.grid in ("", r)]
    allowed.sort(key=lambda role: role != drawn_on)
    for reference in allowed:
        maps = [index_map(affine, shape, grids[reference]) for affine in affines]
        if all(m is not None for m in maps):
            break
    else:
        raise elsewhere(_whereabouts(affines, shape), {r: grids[r] for r in allowed} or grids, where)
    room = len(set(owners)) * max(grids[reference].shape)
    if count > room or max(shape) > 2 * max(grids[reference].shape):
        what = f"it holds {count} frames of {shape[0]} x {shape[1]}, more than its segments have slices in the image"
        raise InputRefused.of(what, where, AGAIN)
    frames = _frames(path, dataset, where)
    found: dict[int, list[Array]] = defaultdict(list)
    for index, placed in zip(wanted, maps, strict=True):
        if placed is None:
            continue
        matrix, offset = placed
        frame = frames[index]
        numbers = [int(n) for n in np.unique(frame) if n and int(n) not in ignored] if label_map else [owners[index]]
        for number in numbers:
            rows, columns = np.nonzero(frame == number if label_map else frame)
            found[number].append(np.column_stack([columns, rows]) @ matrix.T + offset)
    voxels = {n: np.concatenate(parts) for n, parts in found.items()}
    beyond = sum(int((~inside(v, grids[reference])).sum()) for v in voxels.values())
    if beyond:
        raise elsewhere(f"{_whereabouts(affines, shape)}, {beyond} voxels of it outside the images", grids, where)
    kept = {n: own for n, own in names.items() if n not in ignored}
    return _drawing(voxels, kept, reference, where)


def _drawing(voxels: dict[int, Array], names: dict[int, tuple[str, ...]], reference: Reference, where: str) -> Drawing:
    faults = FaultList()
    faults_of = [n for n in voxels if n not in names and len(voxels[n])]
    if faults_of:
        faults.add(f"pixels belong to segments {faults_of} that it does not describe", where, AGAIN)
    faults.raise_if_any()
    # DICOM keeps 0 for the background of a label map, and some writers describe it.
    claims = [Claim(names[n], n, voxels[n], entitled(names[n][0], n)) for n in sorted(voxels) if n and len(voxels[n])]
    empty = [entitled(names[n][0], n) for n in sorted(names) if n and not len(voxels.get(n, ()))]
    notes = (f"segments without a voxel: {', '.join(empty)}",) if empty else ()
    return Drawing("DICOM SEG", reference, tuple(claims), notes)


def _is_label_map(dataset: Any) -> bool:
    return str(dataset.get("SegmentationType", "")) == "LABELMAP" or str(dataset.SOPClassUID) == LABELMAP_CLASS


def _names(segment: Any) -> tuple[str, ...]:
    """Label, then the coded anatomy with its side, of a segment."""
    names = [str(segment.get("SegmentLabel", "")).strip()]
    for keyword, modifiers in (
        ("SegmentedPropertyTypeCodeSequence", "SegmentedPropertyTypeModifierCodeSequence"),
        ("AnatomicRegionSequence", "AnatomicRegionModifierSequence"),
    ):
        for item in segment.get(keyword, []):
            sides = [str(m.get("CodeMeaning", "")) for m in item.get(modifiers, [])]
            names.append(" ".join([str(item.get("CodeMeaning", "")), *sides]).strip())
    return tuple(dict.fromkeys(n for n in names if n)) or (f"segment {segment.SegmentNumber}",)


def _frames(path: Path, header: Any, where: str) -> Array:
    import pydicom

    try:
        frames = np.asarray(pydicom.dcmread(path).pixel_array)
    except Exception as error:
        what = f"its pixels cannot be decoded ({named(error, type(error).__name__)})"
        raise InputRefused.of(what, where, "export it uncompressed") from None
    frames = frames.reshape(-1, int(header.Rows), int(header.Columns))
    if str(header.get("SegmentationType", "")) == "FRACTIONAL":
        largest = int(header.MaximumFractionalValue)
        if not np.isin(frames, (0, largest)).all():
            raise InputRefused.of(
                "it holds probabilities, not regions", where, "export it as a BINARY or LABELMAP segmentation"
            )
    return frames


def _group(dataset: Any, index: int, keyword: str) -> Any | None:
    """Find a functional group of a frame: its own, else the shared one."""
    own = dataset.PerFrameFunctionalGroupsSequence[index].get(keyword)
    if own:
        return own[0]
    shared = dataset.get("SharedFunctionalGroupsSequence")
    held = shared[0].get(keyword) if shared else None
    return held[0] if held else None


def _segment_of(dataset: Any, index: int, where: str) -> int:
    group = _group(dataset, index, "SegmentIdentificationSequence")
    if group is None:
        raise InputRefused.of(f"frame {index + 1} names no segment", where, AGAIN)
    return int(group.ReferencedSegmentNumber)


def _affines(dataset: Any, frames: list[int], where: str) -> list[Array]:
    """Column and row index to RAS mm of the given frames, (4, 3) arrays."""
    faults, affines = FaultList(), []
    for index in frames:
        position = _group(dataset, index, "PlanePositionSequence")
        orientation = _group(dataset, index, "PlaneOrientationSequence")
        measures = _group(dataset, index, "PixelMeasuresSequence")
        if position is None or orientation is None or measures is None:
            faults.add(f"frame {index + 1} lacks its position, orientation or spacing", where, AGAIN)
            continue
        cosines = np.asarray(orientation.ImageOrientationPatient, float).reshape(2, 3)
        between_rows, between_columns = (float(s) for s in measures.PixelSpacing)
        affine = np.zeros((4, 3))
        affine[:3, 0] = ras_to_lps(cosines[0] * between_columns)
        affine[:3, 1] = ras_to_lps(cosines[1] * between_rows)
        affine[:3, 2] = ras_to_lps(np.asarray(position.ImagePositionPatient, float))
        affine[3, 2] = 1.0
        if not np.isfinite(affine).all():
            faults.add(f"frame {index + 1} has a position, orientation or spacing that is no number", where, AGAIN)
            continue
        affines.append(affine)
    faults.raise_if_any()
    if not affines:
        raise InputRefused.of("it has no frame", where, "export a segmentation that holds regions")
    return affines


def _whereabouts(affines: list[Array], shape: tuple[int, int]) -> str:
    first = affines[0]
    spacing = " x ".join(f"{np.linalg.norm(first[:3, axis]):.4g}" for axis in (0, 1))
    planes = {tuple(np.round(a[:3, 2], 2)) for a in affines}
    low = ", ".join(f"{x:.2f}" for x in np.min([a[:3, 2] for a in affines], axis=0))
    high = ", ".join(f"{x:.2f}" for x in np.max([a[:3, 2] for a in affines], axis=0))
    return (
        f"on {len(planes)} planes of {shape[0]} x {shape[1]} pixels of {spacing} mm, corners from ({low}) "
        f"to ({high}) RAS mm"
    )
