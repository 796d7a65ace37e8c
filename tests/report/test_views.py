"""Where pictures look, and on which side things lie."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from petflame.report.raster import colour_stops, fuse, hot, jpeg
from petflame.report.views import axial_view, curved_view, cut_region, largest_in_slab, sample
from petflame.space.grid import Grid, Volume


def volume(data: np.ndarray) -> Volume:
    n = np.array(data.shape)
    affine = np.diag([1.0, 1, 1, 1])
    affine[:3, 3] = -(n - 1) / 2
    return Volume(data, Grid(tuple(int(k) for k in n), affine))


def test_the_patients_right_is_on_the_left_and_the_front_above():
    data = np.zeros((61, 61, 9), np.float32)
    data[50:, :, :] = 1.0  # the patient's right: +x in RAS
    data[:, 50:, :] += 2.0  # anterior
    picture = sample(volume(data), axial_view(np.zeros(3), 60.0).points_lps_mm, 0.0)
    rows, columns = picture.shape
    assert picture[rows // 2, : columns // 8].mean() == pytest.approx(1.0)
    assert picture[rows // 2, -columns // 8 :].mean() == pytest.approx(0.0)
    assert picture[: rows // 8, columns // 2].mean() == pytest.approx(2.0)


def test_the_curved_view_passes_through_the_centrelines():
    z = np.arange(0, 100.0, 2)
    lines = {
        "carotid_right": np.column_stack([np.full(50, -25.0), 0.2 * z, z]),
        "carotid_left": np.column_stack([np.full(50, 25.0), 30 - 0.1 * z, z]),
    }
    view = curved_view(lines, 0.0, 100.0)
    flat = view.points_lps_mm.reshape(-1, 3)
    for line in lines.values():
        for point in line[5:-5:5]:
            assert np.linalg.norm(flat - point, axis=1).min() < 1.5
    assert view.points_lps_mm[0, 0, 2] > view.points_lps_mm[-1, 0, 2]


def test_a_cut_cylinder_has_its_own_area_and_outline():
    x, y = np.meshgrid(np.arange(61) - 30, np.arange(61) - 30, indexing="ij")
    disc = np.repeat((np.hypot(x, y) <= 10)[..., None], 9, axis=2)
    view = axial_view(np.zeros(3), 60.0)
    cut = cut_region(volume(disc), view)
    assert cut.inside.sum() * view.pixel_mm**2 == pytest.approx(disc[..., 0].sum(), rel=0.03)
    (outline,) = cut.outlines
    radius = np.linalg.norm(outline - np.array(view.size) / 2, axis=1) * view.pixel_mm
    assert np.allclose(radius, 10.1, atol=0.6)
    assert not cut_region(volume(disc), axial_view(np.array([0.0, 0, 80.0]), 60.0)).outlines


def test_the_slab_shows_the_hottest_value_in_its_place():
    data = np.zeros((61, 61, 61), np.float32)
    data[20, 33, 40] = 5.0
    lines = {"aorta_ascending": np.array([[0.0, 0, -30], [0.0, 0, 30]])}
    view = curved_view(lines, -30.0, 30.0)
    picture = largest_in_slab(volume(data), view, np.array([-3.0, 0, 3.0]))
    assert picture.shape == view.points_lps_mm.shape[:2]
    row, column = np.unravel_index(int(picture.argmax()), picture.shape)
    found = view.points_lps_mm[row, column]
    assert np.allclose(found[[0, 2]], [10.0, 10.0], atol=1.0)


def test_fusion_keeps_ct_where_uptake_is_low_and_colours_where_it_is_high():
    hu = np.array([[50.0, 50.0]])
    rgb = fuse(hu, np.array([[0.5, 4.0]]), 4.0)
    assert len(set(rgb[0, 0].tolist())) == 1
    assert rgb[0, 1, 0] > rgb[0, 1, 2]
    assert np.array_equal(fuse(None, np.array([[0.0]]), 4.0)[0, 0], [0, 0, 0])


def test_colours_grow_brighter():
    light = hot(np.linspace(0, 1, 50)) @ [0.3, 0.59, 0.11]
    assert np.all(np.diff(light) > 0)
    assert colour_stops(2) == [(0, "#000000"), (100, "#ffffeb")]


def test_the_jpeg_carries_no_metadata():
    data = jpeg(np.zeros((8, 8, 3), np.uint8))
    assert Image.open(io.BytesIO(data)).getexif() == {}
    assert b"Exif" not in data
    assert jpeg(np.zeros((8, 8, 3), np.uint8)) == data
