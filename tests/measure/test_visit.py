import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import phantoms
from petflame.measure.visit import measure
from petflame.protocol import Protocol
from petflame.space.grid import Volume
from phantoms import CT, PEAKS, PET


@pytest.fixture(scope="module")
def result(labels, pet):
    return measure(pet, phantoms.segmentation(labels), Protocol())


def test_every_section_reads_the_painted_value(result):
    for name, peak in PEAKS.items():
        rows = result.slices[result.slices["vessel"] == name]
        expected = peak * (1 + rows["z_mm"] / 1000)
        np.testing.assert_allclose(rows["tbr_max"], expected, rtol=1e-9)
        assert rows["valid"].all()


def test_sections_cover_the_vessel_and_no_more(result):
    for name in PEAKS:
        _, _, radius, low, high = phantoms.TUBES[name]
        rows = result.slices[result.slices["vessel"] == name]
        planes = [z for z in np.arange(0, 160, 3.0) if low - 1.25 <= z <= high + 1.25]
        assert rows["z_mm"].tolist() == planes
        assert rows["area_mm2"].iloc[1:-1].to_numpy() == pytest.approx(np.pi * radius**2, rel=0.06)


def test_regions_hold_the_voxels_whose_centres_lie_inside(result):
    at = phantoms.points(PET)
    for name in PEAKS:
        rows = result.slices[result.slices["vessel"] == name].set_index("z_mm")
        k = 40 if "carotid" in name else 15
        exact = phantoms.inside(name, at)[..., k].sum()
        assert abs(rows.loc[3.0 * k, "voxels"] - exact) <= max(1, 0.1 * exact)


def test_background_is_the_core_of_the_vein(result):
    row = result.vessels.set_index("vessel").loc["aorta_ascending"]
    assert row["background_region"] == "svc"
    assert row["background_suv"] == pytest.approx(1.0, abs=1e-12)
    assert row["background_voxels"] > 20


def test_a_bright_rim_of_the_vein_never_enters_the_background(labels):
    pet = phantoms.pet_image(PET, PEAKS)
    at = phantoms.points(PET)
    x, y, radius, _, _ = phantoms.TUBES["svc"]
    distance = np.hypot(at[..., 0] - x, at[..., 1] - y)
    rim = phantoms.inside("svc", at) & (distance > radius - 3.0)
    pet.data[rim] = 50.0
    row = measure(pet, phantoms.segmentation(labels), Protocol()).vessels.set_index("vessel").loc["aorta_ascending"]
    assert row["background_suv"] == pytest.approx(1.0)


def test_mean_and_segments_follow_from_the_sections(result):
    rows = result.slices[result.slices["vessel"] == "carotid_left"]
    row = result.vessels.set_index("vessel").loc["carotid_left"]
    assert row["mean_tbr_max"] == pytest.approx(rows["tbr_max"].mean())
    assert row["mds_tbr_max"] == pytest.approx(rows["tbr_max"].iloc[-5:].mean())
    assert row["active_fraction"] == pytest.approx((rows["tbr_max"] >= 2.0).mean())


def test_no_active_section_is_missing_and_not_zero(labels):
    cold = phantoms.pet_image(PET, dict.fromkeys(PEAKS, 1.1))
    row = measure(cold, phantoms.segmentation(labels), Protocol()).vessels.set_index("vessel").loc["carotid_left"]
    assert row["active_fraction"] == 0
    assert np.isnan(row["active_tbr_max"])


@settings(max_examples=5, deadline=None)
@given(scale=st.floats(1e-3, 1e5))
def test_tbr_does_not_depend_on_the_scale_of_the_pet(scale, labels, pet, result):
    scaled = measure(Volume(pet.data * scale, pet.grid), phantoms.segmentation(labels), Protocol())
    np.testing.assert_allclose(scaled.slices["tbr_max"], result.slices["tbr_max"], rtol=1e-12)
    np.testing.assert_allclose(
        scaled.vessels["mean_csuv_max"].dropna(), result.vessels["mean_csuv_max"].dropna() * scale, rtol=1e-9
    )


ORIENTATIONS = list(itertools.product(itertools.permutations(range(3)), itertools.product((False, True), repeat=3)))


@pytest.mark.parametrize(("permutation", "flips"), ORIENTATIONS[:: len(ORIENTATIONS) // 12])
def test_axis_order_and_direction_do_not_matter(permutation, flips, labels, pet, result):
    turned = measure(
        phantoms.transformed(pet, permutation, flips),
        phantoms.segmentation(phantoms.transformed(labels, permutation[::-1], flips[::-1])),
        Protocol(),
    )
    np.testing.assert_array_equal(turned.slices["voxels"], result.slices["voxels"])
    np.testing.assert_allclose(turned.slices["tbr_max"], result.slices["tbr_max"], rtol=1e-12)
    np.testing.assert_allclose(turned.slices["arc_mm"], result.slices["arc_mm"], atol=1e-6)


def test_labels_on_the_pet_grid_are_used_voxel_by_voxel(pet):
    labels = phantoms.label_map(PET)
    result = measure(pet, phantoms.segmentation(labels, "pet"), Protocol())
    at = phantoms.points(PET)
    for name in PEAKS:
        rows = result.slices[result.slices["vessel"] == name]
        assert rows["voxels"].sum() == phantoms.inside(name, at).sum()


def test_what_lies_outside_the_pet_is_listed_and_not_counted(labels):
    short = phantoms.grid((4.0, 4.0, 3.0), high=(70.0, 60.0, 120.0))
    result = measure(phantoms.pet_image(short, PEAKS), phantoms.segmentation(labels), Protocol())
    rows = result.slices[result.slices["vessel"] == "carotid_right"]
    beyond = rows[rows["z_mm"] > 120.5]
    assert len(beyond) == 10
    assert not beyond["valid"].any()
    assert set(beyond["reason"]) == {"outside_field_of_view"}
    row = result.vessels.set_index("vessel").loc["carotid_right"]
    assert row["valid_sections"] == len(rows) - 10


def test_missing_vein_leaves_ratios_empty_and_says_why(labels, pet):
    data = labels.data.copy()
    data[data == 6] = 0
    result = measure(pet, phantoms.segmentation(Volume(data, CT)), Protocol())
    row = result.vessels.set_index("vessel").loc["aorta_ascending"]
    assert np.isnan(row["mean_tbr_max"])
    assert row["reason"] == "no_background"
    assert any("svc" in w for w in result.details["warnings"])


def test_one_jugular_alone_is_used_and_said(labels, pet):
    data = labels.data.copy()
    data[data == 8] = 0
    result = measure(pet, phantoms.segmentation(Volume(data, CT)), Protocol())
    assert result.vessels.set_index("vessel").loc["carotid_left", "background_region"] == "jugular_right"
    assert any("jugular_right alone" in w for w in result.details["warnings"])


def test_without_suv_ratios_stay_and_suv_columns_are_empty(labels, pet, result):
    becquerel = Volume(pet.data * 5000.0, pet.grid)
    got = measure(becquerel, phantoms.segmentation(labels), Protocol(), is_suv=False)
    assert got.slices[["suv_max", "suv_mean", "suv_peak", "background"]].isna().all(axis=None)
    np.testing.assert_allclose(got.slices["tbr_max"], result.slices["tbr_max"], rtol=1e-12)


def test_margin_moves_the_contour_outwards(labels, pet, result):
    wider = Protocol(region={"roi_margin_mm": 2.0})
    grown = measure(pet, phantoms.segmentation(labels), wider)
    before, after = (r.vessels.set_index("vessel")["mean_area_mm2"] for r in (result, grown))
    radius = phantoms.TUBES["aorta_ascending"][2]
    assert after["aorta_ascending"] / before["aorta_ascending"] == pytest.approx(((radius + 2) / radius) ** 2, rel=0.03)


def test_trimming_drops_thin_end_sections_only(labels, pet):
    data = labels.data.copy()
    top = np.flatnonzero((data == 1).any(axis=(0, 1)))[-1]
    plane = data[..., top]
    keep = np.argwhere(plane == 1)[:60]
    plane[plane == 1] = 0
    plane[tuple(keep.T)] = 1
    segmentation = phantoms.segmentation(Volume(data, CT))
    loose = measure(pet, segmentation, Protocol())
    strict = measure(pet, segmentation, Protocol(region={"trim_end_sections": True}))
    rows = strict.slices[strict.slices["vessel"] == "aorta_ascending"]
    assert loose.slices.loc[loose.slices["vessel"] == "aorta_ascending", "valid"].all()
    assert rows["reason"].tolist()[-1] == "partial_end_section"
    assert rows["valid"].iloc[1:-1].all()


def test_axial_sections_at_a_spacing(labels, pet):
    result = measure(pet, phantoms.segmentation(labels), Protocol(region={"slice_spacing_mm": 6.0}))
    rows = result.slices[result.slices["vessel"] == "aorta_ascending"]
    assert np.diff(rows["z_mm"]) == pytest.approx(6.0)
    np.testing.assert_allclose(rows["tbr_max"], 2.4 * (1 + rows["z_mm"] / 1000), rtol=1e-6)
