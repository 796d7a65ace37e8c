import re

import highdicom as hd
import numpy as np
import pytest
from highdicom.seg import SegmentAlgorithmTypeValues, SegmentDescription
from pydicom.sr.codedict import codes
from pydicom.uid import generate_uid
from writers import by_name, ct_images

from petflame.errors import InputRefused
from petflame.segment.imports import import_segmentation
from petflame.space.grid import Grid, Volume

NAMES = {"aorta_ascending": "AA", "carotid_left": "LC", "carotid_right": "Right common carotid artery"}


def write_seg(path, labels: Volume, kind, names=NAMES, omit=True, fraction=None):
    images = ct_images(labels.grid)
    masks = by_name(labels)
    segments = [
        SegmentDescription(
            number, names.get(n, n), codes.SCT.AnatomicalStructure, codes.SCT.Artery, SegmentAlgorithmTypeValues.MANUAL
        )
        for number, n in enumerate(masks, start=1)
    ]
    frames = np.stack([np.transpose(m.data, (2, 1, 0)) for m in masks.values()], axis=-1)
    if fraction is not None:
        frames = frames.astype(np.float32) * fraction
    elif kind == "LABELMAP":
        frames = (frames * np.arange(1, len(masks) + 1)).max(axis=-1).astype(np.uint8)
    else:
        frames = frames.astype(np.uint8)
    seg = hd.seg.Segmentation(
        images, frames, kind, segments, generate_uid(), 9, generate_uid(), 1, "Test", "Test", "1", "1",
        omit_empty_frames=omit,
    )  # fmt: skip
    seg.save_as(path)
    return path, seg


@pytest.mark.parametrize(("kind", "omit"), [("BINARY", True), ("BINARY", False), ("LABELMAP", True)])
@pytest.mark.parametrize("reference", ["ct", "pet"])
def test_what_was_drawn_comes_back_voxel_for_voxel(tmp_path, grids, truth, kind, omit, reference):
    path, seg = write_seg(tmp_path / "seg.dcm", truth[reference], kind, omit=omit)
    assert not omit or int(seg.NumberOfFrames) < 7 * grids[reference].shape[2]
    found = import_segmentation(path, grids)
    assert found.reference == reference
    assert (found.labels.data == truth[reference].data).all()


def test_frames_that_were_left_out_and_reordered_are_placed_by_position(tmp_path, grids, truth):
    labels = Volume(truth["ct"].data.copy(), grids["ct"])
    labels.data[..., 10:13] = 0
    path, _ = write_seg(tmp_path / "seg.dcm", labels, "BINARY")
    assert (import_segmentation(path, grids).labels.data == labels.data).all()


def test_a_visit_grid_in_another_axis_order_gets_the_same_places(tmp_path, truth):
    import phantoms

    path, _ = write_seg(tmp_path / "seg.dcm", truth["ct"], "BINARY")
    turned = phantoms.transformed(truth["ct"], (2, 1, 0), (True, False, True))
    assert (import_segmentation(path, {"ct": turned.grid}).labels.data == turned.data).all()


def test_full_fractions_are_regions_and_others_are_refused(tmp_path, grids, truth):
    path, _ = write_seg(tmp_path / "full.dcm", truth["ct"], "FRACTIONAL", fraction=1.0)
    assert (import_segmentation(path, grids).labels.data == truth["ct"].data).all()
    path, _ = write_seg(tmp_path / "half.dcm", truth["ct"], "FRACTIONAL", fraction=0.4)
    with pytest.raises(InputRefused, match="probabilities"):
        import_segmentation(path, grids)


@pytest.mark.parametrize("change", ["position", "half a voxel", "spacing"])
def test_a_segmentation_of_another_image_is_refused_and_both_grids_are_named(tmp_path, grids, truth, change):
    affine = grids["ct"].affine.copy()
    if change == "spacing":
        affine[:3, :3] *= 1.5
    else:
        affine[:3, 3] += 1.0 if change == "half a voxel" else 700.0
    moved = Volume(truth["ct"].data, Grid(grids["ct"].shape, affine))
    path, _ = write_seg(tmp_path / "seg.dcm", moved, "BINARY")
    with pytest.raises(InputRefused, match=r"planes of .* pixels of .*CT: .*voxels.* PET: .*voxels"):
        import_segmentation(path, grids)


def test_a_mirrored_segmentation_is_refused(tmp_path, grids, truth):
    mirrored = Volume(truth["ct"].data[::-1], grids["ct"])
    path, _ = write_seg(tmp_path / "seg.dcm", mirrored, "BINARY")
    with pytest.raises(InputRefused, match="mirrored"):
        import_segmentation(path, grids)


def test_another_dicom_object_is_refused(tmp_path, grids):
    from writers import write_series

    folder = write_series(tmp_path / "ct", Grid((4, 4, 2), np.diag([-1.0, -1, 1, 1])))
    with pytest.raises(InputRefused, match="neither a SEG nor an RTSTRUCT"):
        import_segmentation(folder / "000.dcm", grids)


def test_a_truncated_segmentation_is_refused(tmp_path, grids, truth):
    path, _ = write_seg(tmp_path / "seg.dcm", truth["ct"], "BINARY")
    data = path.read_bytes()
    for size in (200, 5000, len(data) // 2, len(data) - 100):
        path.write_bytes(data[:size])
        with pytest.raises(InputRefused):
            import_segmentation(path, grids)


def test_a_segmentation_whose_sequences_are_damaged_is_read_or_refused(tmp_path, grids, truth):
    """Items are decoded when they are asked for, long after the file was opened."""
    path, _ = write_seg(tmp_path / "seg.dcm", truth["ct"], "BINARY")
    data = path.read_bytes()
    lengths = [m.end() for m in re.finditer(b"SQ\x00\x00", data)]
    refused = 0
    for at in lengths[::4]:
        path.write_bytes(data[:at] + b"\x04\x00\x00\x00" + data[at + 4 :])
        try:
            import_segmentation(path, grids)
        except InputRefused:
            refused += 1
    assert refused
