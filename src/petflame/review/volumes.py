"""Images as they go to the page: gzipped NIfTI in memory."""

from __future__ import annotations

import io

import nibabel as nib
from isal import igzip

from petflame.files import GZIP_LEVEL
from petflame.space.grid import Volume


def nifti_bytes(volume: Volume) -> bytes:
    """Return a volume as a gzipped NIfTI-1 file that says nothing but voxels and where they lie (RAS mm)."""
    image = nib.Nifti1Image(volume.data, volume.grid.affine)
    image.header.set_xyzt_units("mm")
    image.set_qform(volume.grid.affine, code=1)
    image.set_sform(volume.grid.affine, code=1)
    packed = io.BytesIO()
    with igzip.IGzipFile(filename="", mode="wb", compresslevel=GZIP_LEVEL, fileobj=packed, mtime=0) as stream:
        image.to_file_map({"image": nib.FileHolder(fileobj=stream)})
    return packed.getvalue()
