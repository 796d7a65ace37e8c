"""Files whose headers claim what the visit's grids rule out, and maps whose axes run in another order."""

import gzip
import itertools
import json
import os
import struct

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from test_slicer import image_of

from petflame.errors import InputRefused
from petflame.privacy import without_names
from petflame.segment.imports import import_segmentation, is_regions, nifti

TURNS = [(order, flips) for order in itertools.permutations(range(3)) for flips in itertools.product((1, -1), repeat=3)]


def turned(volume, order, flips):
    """The same voxels with another order and direction of axes."""
    image = nib.Nifti1Image(volume.data, volume.grid.affine)
    return image.as_reoriented(np.column_stack([order, flips]))


@pytest.mark.parametrize(("order", "flips"), TURNS)
def test_a_nifti_map_is_read_whatever_the_order_of_its_axes(tmp_path, grids, truth, order, flips):
    for reference in ("ct", "pet"):
        path = tmp_path / f"{reference}.nii"
        nib.save(turned(truth[reference], order, flips), path)
        found = import_segmentation(path, grids)
        assert found.reference == reference
        assert (found.labels.data == truth[reference].data).all()


def test_the_grid_that_a_map_covers_comes_before_one_of_which_it_is_a_part(tmp_path, truth):
    from petflame.space.grid import Grid

    pet = truth["pet"].grid
    wider = Grid((pet.shape[0] + 4, *pet.shape[1:]), pet.affine)
    nib.save(turned(truth["pet"], (0, 1, 2), (-1, 1, -1)), tmp_path / "map.nii")
    assert import_segmentation(tmp_path / "map.nii", {"ct": wider, "pet": pet}).reference == "pet"


def test_a_map_moved_by_a_part_of_a_voxel_is_refused(tmp_path, grids, truth):
    image = turned(truth["ct"], (0, 1, 2), (1, -1, 1))
    affine = image.affine.copy()
    affine[0, 3] += 0.2 * 3.0
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj), affine), tmp_path / "map.nii")
    with pytest.raises(InputRefused, match="neither on the CT nor on the PET"):
        import_segmentation(tmp_path / "map.nii", grids)


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.uint16, np.int32, np.float32])
def test_labels_that_a_tool_stored_with_a_scale_come_back(tmp_path, grids, truth, kind):
    image = nib.Nifti1Image(truth["ct"].data.astype(float), truth["ct"].grid.affine)
    image.set_data_dtype(kind)
    nib.save(image, tmp_path / "map.nii.gz")
    if kind in (np.uint8, np.int16):
        assert nib.load(tmp_path / "map.nii.gz").dataobj.slope not in (1.0, None)
    assert (import_segmentation(tmp_path / "map.nii.gz", grids).labels.data == truth["ct"].data).all()


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.float32, np.float64])
@pytest.mark.parametrize(("slope", "intercept"), [(1.0, 0.0), (0.0, 0.0), (np.nan, 0.0), (2.0, 0.0), (0.25, -1.0)])
def test_scale_and_intercept_of_the_header_are_applied(tmp_path, grids, truth, kind, slope, intercept):
    scale, shift = (slope, intercept) if slope == slope and slope != 0 else (1.0, 0.0)
    labels = np.where(truth["ct"].data > 0, 4, 0) if scale == 2.0 else truth["ct"].data
    stored = ((labels - shift) / scale).astype(kind)
    image = nib.Nifti1Image(stored, truth["ct"].grid.affine)
    nib.save(image, tmp_path / "map.nii")
    content = bytearray((tmp_path / "map.nii").read_bytes())
    struct.pack_into("<2f", content, 112, slope, intercept)
    (tmp_path / "map.nii").write_bytes(content)
    assert (import_segmentation(tmp_path / "map.nii", grids).labels.data == labels).all()


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.float32])
@pytest.mark.parametrize("levels", [5, 21, 101])
def test_a_probability_map_stays_refused_under_its_name(tmp_path, grids, truth, kind, levels):
    random = np.random.default_rng(1)
    values = random.integers(0, levels, truth["ct"].data.shape) / (levels - 1)
    image = nib.Nifti1Image(values, truth["ct"].grid.affine)
    image.set_data_dtype(kind)
    nib.save(image, tmp_path / "map.nii.gz")
    words = "stored with a scale of .*probability map" if kind is not np.float32 else "probability map"
    with pytest.raises(InputRefused, match=words):
        import_segmentation(tmp_path / "map.nii.gz", grids)


def header(truth, shape=None, code=None, bits=None, offset=None):
    block = bytearray(nib.Nifti1Image(truth["ct"].data, truth["ct"].grid.affine).to_bytes()[:352])
    if shape is not None:
        struct.pack_into("<8h", block, 40, 3, *shape, 1, 1, 1, 1)
    if code is not None:
        struct.pack_into("<2h", block, 70, code, bits)
    if offset is not None:
        struct.pack_into("<f", block, 108, offset)
    return bytes(block)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"shape": (1300, 1300, 1300)}, "times the voxels of the image|neither on the CT"),
        ({"code": 128, "bits": 24}, "colours"),
        ({"code": 32, "bits": 64}, "colours or pairs"),
        ({"offset": 2e9}, "voxels begin at byte"),
        ({"offset": -5.0}, "voxels begin at byte"),
        ({"code": 4, "bits": 16}, "ends early"),
        ({"code": 7777, "bits": 8}, "cannot be read as NIfTI"),
    ],
)
def test_a_nifti_header_is_held_against_the_grids_before_voxels_are_read(
    tmp_path, grids, truth, monkeypatch, change, words
):
    path = tmp_path / "map.nii.gz"
    path.write_bytes(gzip.compress(header(truth, **change) + truth["ct"].data.tobytes(order="F")))
    if words != "ends early":
        monkeypatch.setattr(nifti, "_numbers", lambda *_: pytest.fail("voxels were looked at"))
    with pytest.raises(InputRefused, match=words):
        import_segmentation(path, grids)


def test_what_follows_the_voxels_is_bounded_and_a_damaged_end_is_refused(tmp_path, grids, truth):
    path = tmp_path / "map.nii.gz"
    whole = header(truth) + truth["ct"].data.tobytes(order="F")
    path.write_bytes(gzip.compress(whole + bytes(512)))
    assert (import_segmentation(path, grids).labels.data == truth["ct"].data).all()
    path.write_bytes(gzip.compress(whole + bytes(4 << 20)))
    with pytest.raises(InputRefused, match="follow the voxels"):
        import_segmentation(path, grids)
    packed = bytearray(gzip.compress(whole))
    packed[-6] ^= 0xFF
    path.write_bytes(packed)
    with pytest.raises(InputRefused, match="cannot be read as NIfTI"):
        import_segmentation(path, grids)


NRRD = """NRRD0004
type: uchar
dimension: 3
space: left-posterior-superior
sizes: {sizes}
space directions: (3,0,0) (0,3,0) (0,0,5)
kinds: domain domain domain
encoding: {encoding}
{extra}space origin: ({origin})

"""
META = """ObjectType = Image
NDims = 3
BinaryData = True
CompressedData = False
TransformMatrix = 1 0 0 0 1 0 0 0 1
Offset = {origin}
ElementSpacing = 3 3 5
DimSize = {sizes}
ElementType = MET_UCHAR
ElementDataFile = {data}
"""


def origin(grids, joint):
    return joint.join(f"{x:g}" for x in grids["ct"].affine[:3, 3] * [-1, -1, 1])


@pytest.mark.parametrize("sizes", ["1300 1300 1300", "48 41 200", "100000 100000 100000"])
@pytest.mark.parametrize("encoding", ["gzip", "raw"])
def test_a_nrrd_or_metaimage_header_is_held_against_the_grids(tmp_path, grids, monkeypatch, sizes, encoding):
    from petflame.segment.imports import slicer

    monkeypatch.setattr(slicer, "_voxels", lambda *_: pytest.fail("voxels were read"))
    text = NRRD.format(sizes=sizes, encoding=encoding, extra="", origin=origin(grids, ","))
    (tmp_path / "a.nrrd").write_bytes(text.encode() + gzip.compress(bytes(9)))
    (tmp_path / "a.mha").write_bytes(META.format(sizes=sizes, origin=origin(grids, " "), data="LOCAL").encode())
    for name in ("a.nrrd", "a.mha"):
        with pytest.raises(InputRefused, match=r"times the voxels|cannot be read|neither on"):
            import_segmentation(tmp_path / name, grids)


@pytest.mark.parametrize(
    "data", ["/dev/zero", "/etc/passwd", "../outside.raw", "pipe", "LIST", "s%02d.raw 1 9 1", "gone"]
)
def test_voxels_lie_in_a_regular_file_beside_the_header(tmp_path, grids, data):
    folder = tmp_path / "in"
    folder.mkdir()
    os.mkfifo(folder / "pipe")
    (tmp_path / "outside.raw").write_bytes(bytes(48 * 41 * 33))
    text = NRRD.format(sizes="48 41 33", encoding="raw", extra=f"data file: {data}\n", origin=origin(grids, ","))
    (folder / "a.nhdr").write_text(text)
    (folder / "b.mhd").write_text(META.format(sizes="48 41 33", origin=origin(grids, " "), data=data))
    for name in ("a.nhdr", "b.mhd"):
        with pytest.raises(InputRefused, match=r"not beside it|no regular file|several files|missing") as refusal:
            import_segmentation(folder / name, grids)
        assert "outside" not in without_names(str(refusal.value))


def test_a_pipe_is_refused_and_nobody_waits_for_it(tmp_path, grids):
    for name in ("f.nii.gz", "f.nrrd", "f.json", "f.dcm", "f"):
        os.mkfifo(tmp_path / name)
        assert not is_regions(tmp_path / name)
        with pytest.raises(InputRefused, match="no regular file"):
            import_segmentation(tmp_path / name, grids)


def test_messages_name_regions_and_files_on_the_screen_alone(tmp_path, grids, truth):
    path = tmp_path / "SMITH.nrrd"
    sitk.WriteImage(image_of((truth["ct"].data > 0).astype(np.uint8) * 77, grids["ct"]), str(path))
    (tmp_path / "SMITH.json").write_text(json.dumps({"77": "Mrs Smith"}))
    with pytest.raises(InputRefused) as refusal:
        import_segmentation(path, grids)
    told = without_names("\n".join(map(str, refusal.value.faults)))
    assert "Smith" not in told
    assert "SMITH" not in told


@pytest.mark.parametrize("name", ["map.nii", "map.nrrd", "map.mha", "map.dcm", "map.json"])
def test_a_file_larger_than_any_region_is_refused_before_it_is_opened(tmp_path, grids, name):
    path = tmp_path / name
    path.touch()
    os.truncate(path, (1 << 30) + 1)
    with pytest.raises(InputRefused, match="more than the 1024 that are read"):
        import_segmentation(path, grids)
