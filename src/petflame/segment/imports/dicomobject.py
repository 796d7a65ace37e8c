"""Opening a DICOM SEG or RTSTRUCT: which of the two it is, and how much it may expand to."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from petflame.dicom.references import References
from petflame.errors import InputRefused, is_of_the_machine
from petflame.privacy import named
from petflame.segment.imports.belonging import belonging
from petflame.segment.imports.claims import Drawing
from petflame.segment.imports.doors import DEFLATED, require_modest_deflate
from petflame.segment.imports.sidecar import Sidecar
from petflame.space.grid import Grid

SEG_CLASSES = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")
RTSTRUCT_CLASS = "1.2.840.10008.5.1.4.1.1.481.3"
AGAIN = "export it again"
# A structure set of a whole body in fine slices has some 20 MB.
MOST_STRUCTURE_BYTES = 256 << 20
# Headers of the frames, on top of a byte for every voxel of the visit and each of eight vessels.
MOST_HEADER_BYTES = 64 << 20
VESSELS = 8
# What pydicom raises where it decodes a damaged element, which it does not before one asks for it.
DAMAGED = (
    *(AttributeError, LookupError, TypeError, ValueError, ArithmeticError, OSError, EOFError),
    *(NotImplementedError, RecursionError, struct.error),
)


def read_dicom_object(
    path: Path, where: str, grids: dict[str, Grid], sidecar: Sidecar, own: References | None = None
) -> Drawing:
    """Read a DICOM SEG or RTSTRUCT onto a grid of the visit.

    Parameters
    ----------
    path : Path
    where : str
        How messages call the file.
    grids : dict
    sidecar : Sidecar
    own : References or None
        What the visit's images are called.

    Raises
    ------
    InputRefused
        When it is neither, names another patient, cannot be read, or holds more than the visit's grids rule out.
    """
    import pydicom

    room = max(int(np.prod(grid.shape, dtype=object)) for grid in grids.values())
    try:
        with path.open("rb") as stream:
            stream.seek(132)
            meta = pydicom.filereader._read_file_meta_info(stream)
            start = stream.tell()
    except Exception as error:
        raise _unreadable(error, where) from None
    if str(meta.get("TransferSyntaxUID", "")) == DEFLATED:
        require_modest_deflate(path, start, VESSELS * room + MOST_HEADER_BYTES, where)
    try:
        dataset: Any = pydicom.dcmread(path, stop_before_pixels=True)
        sop_class = str(dataset.SOPClassUID)
    except Exception as error:
        raise _unreadable(error, where) from None
    try:
        if sop_class in SEG_CLASSES:
            from petflame.segment.imports.seg import read_seg

            said = belonging(dataset, own, where, sidecar.of_this_visit)
            drawing = read_seg(dataset, path, where, grids, sidecar, said.drawn_on)
            return replace(drawing, doubts=(*said.doubts, *drawing.doubts))
        if sop_class == RTSTRUCT_CLASS:
            from petflame.segment.imports.rtstruct import read_rtstruct

            if path.stat().st_size > MOST_STRUCTURE_BYTES:
                what = f"it is larger than {MOST_STRUCTURE_BYTES >> 20} MB"
                raise InputRefused.of(what, where, "export the vessels alone")
            said = belonging(dataset, own, where, sidecar.of_this_visit)
            drawing = read_rtstruct(dataset, where, grids, sidecar, said.drawn_on)
            return replace(drawing, doubts=(*said.doubts, *drawing.doubts))
    except DAMAGED as error:
        if is_of_the_machine(error):
            raise
        what = f"its header is damaged ({named(error, type(error).__name__)})"
        raise InputRefused.of(what, where, AGAIN) from None
    raise InputRefused.of("it is neither a SEG nor an RTSTRUCT", where, "name the file with the regions")


def _unreadable(error: Exception, where: str) -> InputRefused:
    refusal = InputRefused.of(f"it cannot be read as DICOM ({named(error, type(error).__name__)})", where, AGAIN)
    return InputRefused(refusal.faults)
