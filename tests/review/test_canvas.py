"""What is shown, and voxels counted in three ways."""

import gzip

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import phantoms
from desks import STORED, stored
from petflame.errors import InputRefused
from petflame.labelmap import LabelMap
from petflame.review.canvas import Canvas, c_to_f, f_to_c, neck_and_mediastinum, of_runs, runs_of, same_place
from petflame.review.volumes import nifti_bytes
from petflame.space.boxes import box_between
from petflame.space.grid import Grid, Volume

GRID = phantoms.grid((2.0, 3.0, 4.0), low=(-20.0, -30.0, -40.0), high=(22.0, 33.0, 44.0))


@pytest.mark.parametrize("how", STORED)
def test_voxels_come_back_where_they_were_whatever_the_order_of_the_file(how):
    whole = stored(Volume(np.arange(np.prod(GRID.shape)).reshape(GRID.shape), GRID), how)
    canvas = Canvas(whole.grid, box_between([3, 4, 5], [17, 19, 18]))
    shown = canvas.cut(whole)
    assert nib.aff2axcodes(shown.grid.affine) == ("R", "A", "S")
    rng = np.random.default_rng(1)
    chosen = np.sort(rng.choice(shown.data.size, 200, replace=False))
    flat = canvas.whole_of(chosen)
    # The same voxels by their values, their places in the patient, and back again.
    np.testing.assert_array_equal(whole.data.reshape(-1, order="F")[flat], shown.data.reshape(-1, order="F")[chosen])
    places = [
        v.grid.to_ras(np.array(np.unravel_index(f, v.grid.shape, order="F")).T)
        for v, f in ((whole, flat), (shown, chosen))
    ]
    np.testing.assert_allclose(*places, atol=1e-9)
    np.testing.assert_array_equal(canvas.shown(flat), chosen)


def test_what_lies_outside_the_picture_is_left_out_and_cannot_be_painted():
    canvas = Canvas(GRID, box_between([3, 4, 5], [10, 10, 10]))
    assert len(canvas.shown(np.array([0]))) == 0
    with pytest.raises(InputRefused, match="outside"):
        canvas.whole_of(np.array([7 * 6 * 5]))


@given(st.sets(st.integers(0, 400)))
def test_runs_hold_what_they_were_made_of(numbers):
    flat = np.array(sorted(numbers), np.int64)
    np.testing.assert_array_equal(of_runs(runs_of(flat), 401), flat)


@pytest.mark.parametrize("runs", [[5, 10], [-1, 3], [0, 0], [2**70, 1], [9, 2**62]])
def test_runs_beyond_the_image_are_refused(runs):
    with pytest.raises(InputRefused, match="outside"):
        of_runs(runs, 10)


def test_c_and_f_numbers_are_of_the_same_voxel():
    shape, flat = (3, 4, 5), np.arange(60)
    array = np.arange(60).reshape(shape)
    np.testing.assert_array_equal(array.reshape(-1, order="F")[c_to_f(flat, shape)], array.ravel()[flat])
    np.testing.assert_array_equal(f_to_c(c_to_f(flat, shape), shape), flat)


@pytest.mark.parametrize("how", STORED)
def test_neck_and_mediastinum_hold_every_vessel_with_room_beside_it(how):
    big = Grid((100, 100, 150), np.array([[4.0, 0, 0, -200], [0, 4, 0, -200], [0, 0, 4, -300], [0, 0, 0, 1]]))
    data = np.zeros(big.shape, np.uint8)
    data[50:53, 50:53, 60:90] = 4
    data[44:56, 44:58, 40:60] = 1
    labels = stored(Volume(data, big), how)
    canvas = neck_and_mediastinum(LabelMap(labels.data, labels.grid), None)
    assert (canvas.cut(labels).data > 0).sum() == (data > 0).sum()
    assert np.prod(canvas.grid.shape) < 0.5 * data.size
    inside = np.argwhere(canvas.cut(labels).data > 0)
    room = np.minimum(inside.min(axis=0), np.array(canvas.grid.shape) - 1 - inside.max(axis=0)) * 4.0
    assert (room[:2] >= 45.0).all()
    assert room[2] >= 15.0
    other = same_place(
        canvas, Grid((80, 80, 120), np.array([[5.0, 0, 0, -200], [0, 5, 0, -200], [0, 0, 5, -300], [0, 0, 0, 1]]))
    )
    ends = [g.to_ras(g.corners(outer=True)) for g in (canvas.grid, other.grid)]
    assert (ends[1].min(axis=0) <= ends[0].min(axis=0) + 2.6).all()


def test_without_a_vessel_all_is_shown():
    labels = LabelMap(np.zeros(GRID.shape, np.uint8), GRID)
    assert neck_and_mediastinum(labels, None).grid.shape == GRID.shape


def test_images_for_the_page_say_voxels_and_places_alone():
    volume = Volume(np.arange(24, dtype=np.int16).reshape(2, 3, 4), Grid((2, 3, 4), np.diag([2.0, 2, 3, 1])))
    packed = nifti_bytes(volume)
    assert packed == nifti_bytes(volume)
    image = nib.Nifti1Image.from_bytes(gzip.decompress(packed))
    np.testing.assert_array_equal(np.asanyarray(image.dataobj), volume.data)
    np.testing.assert_allclose(image.affine, volume.grid.affine)
    assert not image.header["descrip"].item().strip(b"\0")
    assert not image.header["db_name"].item().strip(b"\0")
