"""What is asked of a file before its voxels are read, so that a header cannot claim what the visit's grids rule out."""

from __future__ import annotations

import stat
import zlib
from pathlib import Path

import numpy as np

from petflame.errors import InputRefused
from petflame.fingerprint import LARGEST_SOURCE
from petflame.privacy import named
from petflame.segment.imports.headers import META_IMAGE, NRRD, header_fields
from petflame.space.grid import Grid

# A segmentation may reach beyond the image that it was drawn on: a margin, or the other image of the visit.
MOST_TIMES_THE_GRID = 2.0
# Layers that 3D Slicer keeps for segments that overlap; the vocabulary of `petflame.anatomy` has 15 regions.
MOST_LAYERS = 64
# Deflate packs at most about 1030-fold.
MOST_TIMES_PACKED = 1100
# A person of 2.5 m in any scanner's frame: scanners count from their table or isocentre, both within a few metres.
FARTHEST_MM = 1e4
DEFLATED = "1.2.840.10008.1.2.1.99"


def called(path: Path) -> str:
    """Return how messages call the file that is imported: the screen shows its name, records a stand-in."""
    return named(path.name, "the label file")


def require_regular(path: Path, where: str, remedy: str) -> int:
    """Return the size of a regular file (or link to one) in bytes.

    Raises
    ------
    InputRefused
        When it is missing, or a folder, pipe, device or socket, or larger than any region of a visit.
    """
    try:
        state = path.stat()
    except (OSError, ValueError):
        raise InputRefused.of("the file is missing", where, remedy) from None
    if stat.S_ISDIR(state.st_mode):
        raise InputRefused.of("it is a folder", where, remedy)
    if not stat.S_ISREG(state.st_mode):
        raise InputRefused.of("it is no regular file", where, remedy)
    if state.st_size > LARGEST_SOURCE:
        what = f"it has {state.st_size >> 20} MiB, more than the {LARGEST_SOURCE >> 20} that are read"
        raise InputRefused.of(what, where, "save it compressed, as whole numbers, on this visit's CT or PET grid")
    return state.st_size


def require_own_data(path: Path, where: str) -> int:
    """Return the size in bytes of the file that holds the voxels of a NRRD or MetaImage file.

    Raises
    ------
    InputRefused
        When the header names several files, or one that is no regular file beside or below it.
    """
    size = require_regular(path, where, "name a file that exists")
    if not path.name.lower().endswith((*NRRD, *META_IMAGE)):
        return size
    fields = header_fields(path)
    names = [value for field, value in fields if field in ("datafile", "elementdatafile")]
    if not names or names == ["LOCAL"]:
        return size
    remedy = "save it as one file (.nrrd or .mha)"
    if len(names) > 1 or names[0].upper().startswith("LIST") or "%" in names[0]:
        raise InputRefused.of("its voxels lie in several files", where, remedy)
    data = path.parent / names[0]
    # Lexically: a link within the folder may point to a store elsewhere.
    beside = ".." not in data.parts and data.is_relative_to(path.parent)
    if not beside or "\0" in names[0]:
        raise InputRefused.of("its voxels lie in a file that is not beside it", where, remedy)
    return require_regular(data, f"{where}, {named(data.name, 'the file with its voxels')}", remedy)


def require_plausible(shape: tuple[int, ...], item_bytes: int, layers: int, grid: Grid, size: int, where: str) -> None:
    """Refuse an array that is larger than a region of the visit can be, or than its file can hold.

    Parameters
    ----------
    shape : tuple of int
        Voxels along each axis.
    item_bytes : int
        Bytes a voxel and layer.
    layers : int
    grid : Grid
        The visit's grid on whose lattice it lies.
    size : int
        Bytes of the file with the voxels.
    where : str

    Raises
    ------
    InputRefused
    """
    voxels = int(np.prod(shape, dtype=object))
    room = int(np.prod(grid.shape, dtype=object))
    if voxels > MOST_TIMES_THE_GRID * room:
        what = f"it covers {voxels / room:.1f} times the voxels of the image that it lies on"
        raise InputRefused.of(what, where, "export it on the grid of this visit's CT or PET")
    if layers > MOST_LAYERS:
        what = f"it holds {layers} layers"
        raise InputRefused.of(what, where, f"keep the vessels and pools, {MOST_LAYERS} layers at most")
    claimed = voxels * item_bytes * layers
    if claimed > MOST_TIMES_PACKED * max(size, 1):
        what = f"its header claims {claimed} bytes, more than the file can hold"
        raise InputRefused.of(what, where, "export it again")


def require_modest_deflate(path: Path, start: int, most: int, where: str) -> None:
    """Refuse a deflated DICOM file (PS3.5 A.5) whose data set expands beyond `most` bytes.

    Parameters
    ----------
    path : Path
    start : int
        Where the data set begins, behind preamble and file meta information.
    most : int
    where : str

    Raises
    ------
    InputRefused
        Also when it cannot be expanded.
    """
    expand, count = zlib.decompressobj(-zlib.MAX_WBITS), 0
    with path.open("rb") as stream:
        stream.seek(start)
        while block := stream.read(1 << 16):
            while block and not expand.eof:
                try:
                    count += len(expand.decompress(block, 1 << 20))
                except zlib.error as error:
                    what = f"its deflated data set is damaged ({error})"
                    raise InputRefused.of(what, where, "export it again") from None
                block = expand.unconsumed_tail
                if count > most:
                    what = f"it expands to more than {most} bytes, which no region of this visit needs"
                    raise InputRefused.of(what, where, "export it again")
