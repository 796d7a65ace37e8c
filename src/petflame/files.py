"""Reading and writing files: always beside first, then renamed, and the same input gives the same bytes."""

from __future__ import annotations

import hashlib
import json
import math
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from petflame.errors import InputRefused, is_of_the_machine
from petflame.outside import PRODUCTS, calling, read_json_object
from petflame.privacy import without_names
from petflame.space.grid import Array, Grid, Volume, grid_read
from petflame.tabletext import read_frame

if TYPE_CHECKING:
    import pandas as pd

GZIP_LEVEL = 1
# What a killed job leaves is known by this ending and swept by the next one.
TEMPORARY = ".part"
# What file managers and file servers leave in every folder.
LITTER = ("._*", ".DS_Store", ".nfs*", "Thumbs.db", "desktop.ini", ".snakemake_timestamp")


def is_litter(path: Path) -> bool:
    """Whether a file is named like those that systems leave in every folder."""
    return any(path.match(pattern) for pattern in LITTER)


_written: list[Path] | None = None


@contextmanager
def written() -> Iterator[list[Path]]:
    """Collect the paths of every file that is written meanwhile, by whatever part of petflame."""
    global _written
    outer, _written = _written, []
    try:
        yield _written
    finally:
        _written = outer


def write_atomically(path: Path, write: Callable[[IO[bytes]], object], private: bool = False) -> None:
    """Let `write` fill a temporary file beside `path`, then rename it into place; a private one is its owner's alone.

    Whether others may read a file that is not private is left to the umask, as for any other program's files.
    """
    path.parent.mkdir(0o700 if private else 0o777, parents=True, exist_ok=True)
    name = path.with_name(f".{path.name}.{secrets.token_hex(4)}{TEMPORARY}")
    handle = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600 if private else 0o666)
    try:
        with os.fdopen(handle, "wb") as stream:
            if private:
                # A umask can only take permissions away, here perhaps the owner's own.
                os.fchmod(handle, 0o600)
            write(stream)
        os.replace(name, path)
        if _written is not None:
            _written.append(path)
    except BaseException:
        name.unlink(missing_ok=True)
        raise


def private_folder(path: Path) -> None:
    """Make a folder that its owner alone may enter, or make it and all that lies in it so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir(0o700, exist_ok=True)
    for entry in (path, *path.rglob("*")):
        mode = 0o700 if entry.is_dir() else 0o600
        if not entry.is_symlink() and entry.stat().st_mode & 0o777 != mode:
            entry.chmod(mode)


def write_text(path: Path, text: str, private: bool = False) -> None:
    """Write UTF-8 text in one step."""
    write_atomically(path, lambda stream: stream.write(text.encode()), private)


def plain(value: Any) -> Any:
    """Turn numpy scalars, arrays, tuples and paths into what JSON holds; NaN and infinities become null.

    >>> plain({"a": np.float64("nan"), "b": (np.int64(1), 2.5)})
    {'a': None, 'b': [1, 2.5]}
    """
    if isinstance(value, Mapping):
        return {without_names(str(k)): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(v) for v in (sorted(value) if isinstance(value, (set, frozenset)) else value)]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, (str, Path)):
        return without_names(str(value))
    return value


def write_json(path: Path, document: Mapping[str, Any], private: bool = False) -> None:
    """Write a JSON document, keys in the order given, floats in full precision."""
    write_text(path, json.dumps(plain(document), indent=2, ensure_ascii=False, allow_nan=False) + "\n", private)


def read_json(path: Path, remedy: str = "make it again with the step before this one") -> dict[str, Any]:
    """Read a JSON object.

    Raises
    ------
    InputRefused
        When the file is absent, cannot be read or is not a JSON object.
    """
    return read_json_object(path, PRODUCTS, calling(path, path.name), remedy)


def write_nifti(path: Path, volume: Volume, description: str = "") -> None:
    """Write a gzipped NIfTI-1 file (scanner RAS mm) whose bytes depend on the content alone."""
    import nibabel as nib
    from isal import igzip

    image = nib.Nifti1Image(volume.data, volume.grid.affine)
    image.header.set_xyzt_units("mm")
    image.set_qform(volume.grid.affine, code=1)
    image.set_sform(volume.grid.affine, code=1)
    image.header["descrip"] = description.encode()[:79]

    def write(stream: IO[bytes]) -> None:
        with igzip.IGzipFile(filename="", mode="wb", compresslevel=GZIP_LEVEL, fileobj=stream, mtime=0) as packed:
            image.to_file_map({"image": nib.FileHolder(fileobj=packed)})

    write_atomically(path, write)


def read_nifti(path: Path, remedy: str = "make it again with the step before this one") -> Volume:
    """Read a three-dimensional NIfTI image; the file's own number type is kept when it has no scaling.

    Raises
    ------
    InputRefused
        When the file is absent, is no NIfTI, is not three-dimensional, declares more voxels than it holds, or has
        an affine that is not invertible.
    """
    with _refusing(path, remedy):
        image = _open_nifti(path)
        grid = nifti_grid(image.shape, image.affine, str(path))
        # igzip and gzip both expand at most about 1030-fold, so a larger claim cannot be true.
        claimed = int(np.prod(grid.shape, dtype=object)) * image.get_data_dtype().itemsize
        if claimed > 1100 * max(path.stat().st_size, 1):
            raise InputRefused.of(f"its header claims {claimed} bytes, more than the file can hold", str(path), remedy)
        data: Array = np.asanyarray(image.dataobj).reshape(grid.shape)
    return Volume(data, grid)


def read_nifti_grid(path: Path, remedy: str = "make it again with the step before this one") -> Grid:
    """Read the grid of a three-dimensional NIfTI image from its header alone.

    Raises
    ------
    InputRefused
        As `read_nifti`, but for the number of voxels.
    """
    import nibabel as nib

    with _refusing(path, remedy):
        image: Any = nib.load(path)
        return nifti_grid(image.shape, image.affine, str(path))


def nifti_grid(shape: tuple[int, ...], affine: Array, where: str) -> Grid:
    """Return the grid that the header of a NIfTI file tells; axes of one voxel beyond the third do not count.

    Raises
    ------
    InputRefused
        When it is not three-dimensional, or its affine is not invertible.
    """
    shape = tuple(int(n) for n in shape)
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) != 3 or min(shape) < 1:
        raise InputRefused.of(f"it has shape {shape}, not three dimensions", where, "give a 3-D image")
    return grid_read(shape, affine, where, "write it with a valid qform or sform")


@contextmanager
def _refusing(path: Path, remedy: str) -> Iterator[None]:
    """Refuse a file, in words of ours, that whatever reads it as NIfTI stumbles over."""
    try:
        yield
    except FileNotFoundError:
        raise InputRefused.of("the file is missing", str(path), remedy) from None
    except InputRefused:
        raise
    except Exception as error:
        if is_of_the_machine(error):
            raise
        raise InputRefused.of(f"it cannot be read as NIfTI ({error})", str(path), remedy) from None


def _open_nifti(path: Path) -> Any:
    """Open an image; a gzipped single-file NIfTI-1 is expanded by ISA-L, about twice as fast as zlib."""
    import nibabel as nib
    from isal import igzip

    if not path.name.endswith(".nii.gz"):
        return nib.load(path)
    with igzip.open(path, "rb") as stream:
        size = stream.read(4)
    if int.from_bytes(size, "little") != 348 and int.from_bytes(size, "big") != 348:
        return nib.load(path)
    # The image reads from the stream when its voxels are asked for, so the stream stays open as long as the image.
    return nib.Nifti1Image.from_file_map({"image": nib.FileHolder(fileobj=igzip.open(path, "rb"))})


def write_tsv(path: Path, table: pd.DataFrame, meanings: Mapping[str, tuple[str, str]], private: bool = False) -> None:
    """Write a table as TSV with a JSON sidecar that gives each column's meaning and unit.

    Parameters
    ----------
    path : Path
        File to write; the sidecar takes its name with the suffix ``.json``, or ``_columns.json`` where a document
        of that name belongs to another product.
    table : DataFrame
        Rows in their final order.
    meanings : mapping of column to (meaning, unit)
        Must hold every column of the table: a column nobody explains is a fault of ours.
    private : bool
        Table and sidecar are their owner's alone.
    """
    unexplained = [c for c in table.columns if c not in meanings]
    if unexplained:
        raise KeyError(f"columns without a meaning: {unexplained}")
    for column in table.columns:
        if table[column].dtype.kind in "iuf":
            continue
        if any(isinstance(v, (bool, np.bool_)) for v in table[column]):
            words = [str(v).lower() if isinstance(v, (bool, np.bool_)) else v for v in table[column]]
            table = table.assign(**{str(column): np.array(words, dtype=object)})
    text = table.to_csv(sep="\t", index=False, na_rep="n/a", lineterminator="\n")
    write_text(path, without_names(text), private)
    sidecar = {c: {"description": meanings[c][0], "unit": meanings[c][1]} for c in table.columns}
    write_json(path.with_name(f"{path.stem}_columns.json"), sidecar, private)


def read_tsv(path: Path, required: tuple[str, ...] = (), text: tuple[str, ...] = ()) -> pd.DataFrame:
    """Read a TSV table; `n/a` and empty cells are missing, `text` columns are kept as strings.

    Raises
    ------
    InputRefused
        As `petflame.tabletext.read_frame`, which it is.
    """
    return read_frame(path, required, text)


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
