"""An end of a vein that holds other than the vein's blood is left out; noise, and a vein of one blood, is not."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

import phantoms
from petflame.anatomy import BY_NAME
from petflame.labelmap import LabelMap
from petflame.recovery import FWHM_PER_SIGMA
from petflame.segment.product import Segmentation, VesselFinding
from petflame.segment.vein_ends import FWHM_MM, leave_out_ends
from petflame.space.grid import Volume

CT = phantoms.grid((1.5, 1.5, 2.0), low=(-30.0, -30.0, 0.0), high=(30.0, 30.0, 80.0))
PET = phantoms.grid((3.0, 3.0, 3.0), low=(-30.0, -30.0, 0.0), high=(30.0, 30.0, 80.0))
RADIUS_MM, BLOOD = 9.0, 1.5
LINE = np.column_stack([np.zeros(27), np.zeros(27), np.linspace(70.0, 10.0, 27)])


def tube(grid, low_mm, high_mm):
    at = phantoms.points(grid)
    return (np.hypot(at[..., 0], at[..., 1]) <= RADIUS_MM) & (at[..., 2] >= low_mm) & (at[..., 2] <= high_mm)


def case(above=None, below=None, seed=0, noise=0.10, method="geometric", high_mm=58.0, low_mm=22.0):
    """A vein from 10 to 70 mm whose uptake is `above` over `high_mm` and `below` under `low_mm`."""
    labels = np.where(tube(CT, 10.0, 70.0), np.uint8(BY_NAME["svc"].label), np.uint8(0))
    suv = np.full(PET.shape, BLOOD)
    if above is not None:
        suv[phantoms.points(PET)[..., 2] > high_mm] = above
    if below is not None:
        suv[phantoms.points(PET)[..., 2] < low_mm] = below
    sigma = FWHM_MM / FWHM_PER_SIGMA / 3.0
    rough = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=PET.shape), sigma)
    suv = ndimage.gaussian_filter(suv, sigma) + noise * BLOOD * rough / rough.std()
    finding = VesselFinding(method, 0.9, (), LINE)
    return Segmentation(LabelMap(labels, CT), "ct", {"svc": finding}), Volume(suv.astype(np.float32), PET)


def levels(segmentation):
    k = np.flatnonzero((segmentation.labels.data == BY_NAME["svc"].label).any(axis=(0, 1)))
    return CT.to_ras(np.array([[0, 0, k[0]], [0, 0, k[-1]]]))[:, 2]


@pytest.mark.parametrize("other", [0.5 * BLOOD, 1.6 * BLOOD])
@pytest.mark.parametrize("end", ["above", "below"])
def test_an_end_with_another_uptake_is_left_out_and_named(end, other):
    segmentation, pet = case(**{end: other})
    found = leave_out_ends(segmentation, "svc", pet)
    low, high = levels(found)
    assert (low, high) == pytest.approx((10.0, 58.0) if end == "above" else (22.0, 70.0), abs=4.0)
    line = found.vessels["svc"].centreline_lps_mm
    assert line[:, 2].min() >= low - 2.0
    assert line[:, 2].max() <= high + 2.0
    assert f"{end} z" in found.vessels["svc"].checks[-1].message
    assert any(w.startswith("svc: an end is left out") for w in found.warnings)


def test_both_ends_can_differ():
    segmentation, pet = case(above=0.6, below=0.7, high_mm=61.0, low_mm=19.0)
    assert levels(leave_out_ends(segmentation, "svc", pet)) == pytest.approx((19.0, 61.0), abs=4.0)


@pytest.mark.parametrize("other", [0.8 * BLOOD, 1.25 * BLOOD])
def test_where_over_a_third_differs_nobody_knows_which_is_the_vein(other):
    segmentation, pet = case(above=other, noise=0.03, high_mm=46.0)
    found = leave_out_ends(segmentation, "svc", pet)
    assert found.labels is segmentation.labels
    assert found.vessels["svc"].withheld
    assert "times the rest's uptake, over" in found.vessels["svc"].reason
    assert any(w.startswith("svc: needs a reader") for w in found.warnings)


@pytest.mark.parametrize("aorta_like", ["end", "rest"])
def test_the_aorta_tells_the_vein_from_what_is_beside_it(aorta_like):
    segmentation, pet = case(above=0.75 * BLOOD, noise=0.03)
    at, there = phantoms.points(CT), phantoms.points(PET)
    labels = segmentation.labels.data.copy()
    labels[(np.hypot(at[..., 0] + 18.0, at[..., 1] + 16.0) < 10.0)] = BY_NAME["aorta_ascending"].label
    uptake = 0.75 * BLOOD if aorta_like == "end" else BLOOD
    pet.data[np.hypot(there[..., 0] + 18.0, there[..., 1] + 16.0) < 12.0] = uptake
    found = leave_out_ends(replace(segmentation, labels=LabelMap(labels, CT)), "svc", pet)
    assert found.vessels["svc"].withheld == (aorta_like == "end")
    assert ("the aorta's blood is more like the end's" in found.vessels["svc"].reason) == (aorta_like == "end")


def test_noise_alone_cuts_nothing_and_leaves_the_labels_as_they_were():
    for seed in range(15):
        segmentation, pet = case(seed=seed)
        found = leave_out_ends(segmentation, "svc", pet)
        assert found.labels is segmentation.labels
        assert found.vessels["svc"].checks[-1].passed


def test_what_is_cut_does_not_hang_on_unit_or_storage():
    segmentation, pet = case(above=0.6)
    expected = levels(leave_out_ends(segmentation, "svc", pet))
    scaled = Volume(pet.data * 7000, pet.grid)
    flipped = phantoms.transformed(pet, (2, 0, 1), (True, False, True))
    for other in (scaled, flipped):
        assert levels(leave_out_ends(segmentation, "svc", other)) == pytest.approx(expected)


def test_a_readers_vein_keeps_its_ends():
    for method in ("labels", "seeds"):
        segmentation, pet = case(above=0.5, method=method)
        assert leave_out_ends(segmentation, "svc", pet) is segmentation


def test_a_vein_that_was_not_found_has_no_ends():
    segmentation, pet = case()
    none = replace(segmentation, labels=LabelMap(np.zeros(CT.shape, np.uint8), CT))
    assert leave_out_ends(none, "svc", pet) is none


def test_an_image_without_uptake_cuts_nothing():
    segmentation, pet = case()
    found = leave_out_ends(segmentation, "svc", Volume(np.zeros_like(pet.data), PET))
    assert found.labels is segmentation.labels
