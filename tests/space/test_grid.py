"""Places of voxels, worked out by hand or by going through every voxel."""

from itertools import product

import nibabel as nib
import numpy as np
import pytest

from petflame.errors import InputRefused
from petflame.files import read_nifti, read_nifti_grid
from petflame.space.blocks import block_grid, block_mean, crop_to_mask
from petflame.space.boxes import box_between, box_corners, box_of_mask, voxels_between
from petflame.space.grid import Grid, Volume

# Oblique, with unequal spacing and a flipped axis: nothing holds by accident.
TURN = np.linalg.qr(np.random.default_rng(7).normal(size=(3, 3)))[0]
AFFINE = np.eye(4)
AFFINE[:3, :3], AFFINE[:3, 3] = TURN * (-0.8, 1.1, 3.0), (12.0, -7.0, 250.0)
GRID = Grid((5, 6, 4), AFFINE)
VALUES = Volume(np.arange(120).reshape(5, 6, 4), GRID)


def places(volume: Volume) -> dict[int, tuple[float, ...]]:
    """Place in patient space of every value, one voxel after the other."""
    return {
        int(volume.data[v]): tuple((volume.grid.affine @ [*v, 1])[:3].round(6)) for v in np.ndindex(volume.data.shape)
    }


def test_cut_and_padded_voxels_stay_in_place():
    part = VALUES.cropped((slice(1, 4), slice(2, 6), slice(3, 4)))
    assert part.data.shape == part.grid.shape == (3, 4, 1)
    assert places(part).items() <= places(VALUES).items()
    wide = Volume(VALUES.data + 1, GRID).padded((2, 0, 1))
    assert wide.grid.shape == (9, 6, 6)
    assert (wide.data > 0).sum() == 120
    before = places(Volume(VALUES.data + 1, GRID))
    assert {n: p for n, p in places(wide).items() if n > 0} == before


def test_a_grid_that_begins_elsewhere_shifts_its_voxels():
    ijk = np.random.default_rng(1).uniform(-3, 9, (50, 3))
    cut = GRID.cropped(box_between([2, 1, 0], [4, 6, 4]))
    np.testing.assert_allclose(cut.to_ras(ijk), GRID.to_ras(ijk + np.array([2, 1, 0])))
    np.testing.assert_allclose(GRID.padded((1, 2, 3)).to_ras(ijk), GRID.to_ras(ijk - np.array([1, 2, 3])))
    np.testing.assert_allclose(GRID.moved([1, 2, 3]).to_ras(ijk), GRID.to_ras(ijk) + np.array([1, 2, 3]))
    start, step = np.array([0.5, 0, -1]), np.array([2, 1, 3])
    np.testing.assert_allclose(GRID.resampled(start, step, (2, 6, 3)).to_ras(ijk), GRID.to_ras(ijk * step + start))


def test_slices_of_a_box_mean_what_they_mean_to_an_array():
    for box in ((slice(None), slice(2, None), slice(-1, None)), (slice(3, 99), slice(None, 4), slice(0, 4))):
        part = VALUES.cropped(box)
        assert places(part).items() <= places(VALUES).items()


def test_corners_enclose_every_voxel():
    every = np.array(list(product(*(range(n) for n in GRID.shape))))
    assert (GRID.voxels().reshape(-1, 3) == every).all()
    for grid_corners, beyond in ((GRID.corners(), 0.0), (GRID.corners(outer=True), 0.5)):
        assert grid_corners.shape == (8, 3)
        assert len({tuple(c) for c in grid_corners}) == 8
        assert (grid_corners.min(axis=0) == every.min(axis=0) - beyond).all()
        assert (grid_corners.max(axis=0) == every.max(axis=0) + beyond).all()
    ends = box_corners([1.5, -2.0, 0.0], [4.0, 3.0, 0.5])
    assert {tuple(c) for c in ends} == set(product((1.5, 4.0), (-2.0, 3.0), (0.0, 0.5)))


def test_voxels_of_a_box_come_in_the_order_of_an_array():
    box = box_between([1, 0, 2], [3, 5, 4])
    inside = voxels_between([1, 0, 2], [3, 5, 4])
    assert (VALUES.data[tuple(np.moveaxis(inside, -1, 0))] == VALUES.data[box]).all()
    assert voxels_between([1, 1, 1], [1, 0, 2]).size == 0


def test_box_of_a_mask_holds_all_of_it_and_no_more():
    mask = np.zeros(GRID.shape, bool)
    mask[tuple(np.array([[1, 4, 2], [3, 2, 2]]).T)] = True
    box = box_of_mask(mask)
    assert mask[box].sum() == 2
    assert mask[box].shape == (3, 3, 1)
    wide = crop_to_mask(Volume(mask, GRID), 1)
    assert wide.data.shape == (5, 5, 3)
    np.testing.assert_allclose(wide.grid.to_ras([1, 1, 1]), GRID.to_ras([1, 2, 2]))


def test_a_block_lies_in_the_middle_of_its_voxels():
    size, start = np.array([2, 3, 2]), np.array([1, 0, 0])
    blocks = block_grid(GRID, start, size, (2, 2, 2))
    for block in np.ndindex(2, 2, 2):
        own = np.array([start + size * block + voxel for voxel in np.ndindex(2, 3, 2)])
        np.testing.assert_allclose(blocks.to_ras(block), GRID.to_ras(own).mean(axis=0))
    mean = block_mean(VALUES.data[1:].astype(float), size)
    assert mean[1, 0, 1] == VALUES.data[3:5, 0:3, 2:4].mean()


def changed(row: int, column: int, value: float) -> np.ndarray:
    affine = AFFINE.copy()
    affine[row, column] = value
    return affine


FLAT = np.diag([1.0, 1.0, 0.0, 1.0])


@pytest.mark.parametrize(
    ("shape", "affine", "said"),
    [
        ((5, 6), AFFINE, "not three whole numbers"),
        ((5, 6, 0), AFFINE, "not three whole numbers"),
        ((5, 6, 4.0), AFFINE, "not three whole numbers"),
        ((5, 6, 4), AFFINE[:3], r"shape \(3, 4\)"),
        ((5, 6, 4), changed(1, 2, np.nan), "not finite"),
        ((5, 6, 4), changed(0, 3, np.inf), "not finite"),
        ((5, 6, 4), changed(3, 0, 1.0), "last row"),
        ((5, 6, 4), FLAT, "do not span a space"),
    ],
)
def test_what_is_no_grid_is_refused(shape, affine, said):
    with pytest.raises(ValueError, match=said):
        Grid(shape, affine)


@pytest.mark.parametrize("read", [read_nifti, read_nifti_grid])
@pytest.mark.parametrize("affine", [FLAT, changed(1, 2, np.nan)])
def test_a_file_without_a_grid_is_refused_by_name(tmp_path, read, affine):
    path = tmp_path / "bad.nii.gz"
    image = nib.Nifti1Image(np.zeros((3, 3, 3), np.float32), np.eye(4))
    image.header.set_sform(affine, code=1)
    image.header["qform_code"] = 0
    nib.save(nib.Nifti1Image(np.zeros((3, 3, 3), np.float32), None, image.header), path)
    with pytest.raises(InputRefused, match="not invertible") as refusal:
        read(path)
    assert "bad.nii.gz" in str(refusal.value)
    assert "sform" in str(refusal.value)


def test_the_grid_of_a_file_is_read_from_its_header(tmp_path):
    path = tmp_path / "image.nii.gz"
    nib.save(nib.Nifti1Image(np.zeros((5, 6, 4, 1), np.float32), AFFINE), path)
    assert read_nifti_grid(path).same_as(GRID)
    assert read_nifti(path).grid.same_as(GRID)
    with pytest.raises(InputRefused, match="missing"):
        read_nifti_grid(tmp_path / "none.nii.gz")
