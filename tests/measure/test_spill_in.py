"""A hot spot of known place and size beside a tube; what is flagged can be worked out by hand."""

import numpy as np
import pytest
from scipy import ndimage

import phantoms
from petflame.anatomy import BY_NAME
from petflame.measure.surroundings import steepest_ascent
from petflame.measure.visit import measure
from petflame.protocol import Protocol
from petflame.space.grid import Volume
from phantoms import CT, PEAKS, PET

# The left carotid has its centre at (-30, 5) and a radius of 4, RAS mm; these places are voxel centres beside it.
BESIDE = (-38.0, 16.0, 114.0)
CLOSE = (-34.0, 12.0, 114.0)


def hot_spot(at, centre, height, sigma=3.0):
    return height * np.exp(-((at - centre) ** 2).sum(axis=-1) / (2 * sigma**2))


def blurred(fwhm_mm=5.0):
    sharp = phantoms.pet_image(PET, PEAKS)
    sigma = [fwhm_mm / np.sqrt(8 * np.log(2)) / s for s in PET.spacing_mm]
    return Volume(ndimage.gaussian_filter(sharp.data, sigma), PET)


def scan(centre, height, sigma=3.0):
    at = phantoms.points(PET)
    return Volume(blurred().data + hot_spot(at, np.array(centre), height, sigma), PET)


def run(pet, labels, **rules):
    return measure(pet, phantoms.segmentation(labels), Protocol(spill_in=rules)).slices


def flagged(slices, vessel):
    rows = slices[slices["vessel"] == vessel]
    return rows[rows["reason"].str.contains("spill_in_suspected")]


def test_without_a_hot_neighbour_nothing_is_flagged(labels):
    slices = run(blurred(), labels)
    assert not slices["reason"].str.contains("spill_in").any()


def test_an_unlabelled_hot_spot_flags_the_sections_within_reach_and_they_still_count(labels):
    rows = run(scan(BESIDE, 5.0), labels)
    hit = flagged(rows, "carotid_left")
    assert set(hit["spill_in_source"]) == {"unlabelled"}
    assert hit["valid"].all()
    # The nearest voxel of the region lies 11.3 mm from the spot's axis (8 mm and 8 mm away), the reach is 15 mm, and
    # the spot's upper half reaches one voxel, at most two slices, from its centre.
    assert {108.0, 111.0, 114.0, 117.0, 120.0} <= set(hit["z_mm"])
    assert (hit["z_mm"] - BESIDE[2]).abs().max() <= np.sqrt(15**2 - 8**2) + 6
    assert flagged(rows, "carotid_right").empty


def test_out_of_reach_it_is_not_flagged(labels):
    far = (-30.0, 32.0, 114.0)
    assert flagged(run(scan(far, 5.0), labels), "carotid_left").empty
    assert len(flagged(run(scan(far, 5.0), labels, reach_mm=25.0), "carotid_left"))


def test_a_node_in_warm_tissue_does_not_spread_through_it(labels):
    # Muscle of 1.5 round everything; the node's peak of 2.9 lies 25 mm from the carotid's edge, beyond the reach.
    plain = blurred()
    muscle = Volume(np.where(plain.data < 0.5, 1.5, plain.data), PET)
    node = np.array([-30.0, 34.0, 114.0])
    pet = Volume(muscle.data + hot_spot(phantoms.points(PET), node, 1.4), PET)
    assert flagged(run(muscle, labels), "carotid_left").empty
    assert flagged(run(pet, labels), "carotid_left").empty
    # To half its peak alone it takes in the muscle between.
    assert len(flagged(run(pet, labels, extent="half_maximum"), "carotid_left")) > 3
    # Where nothing is warm the two are one.
    cold = scan(BESIDE, 5.0)
    both = [run(cold, labels, extent=e) for e in ("half_maximum", "half_above_surroundings")]
    assert set(flagged(both[1], "carotid_left").index) <= set(flagged(both[0], "carotid_left").index)
    assert len(flagged(both[1], "carotid_left")) >= 5


def test_a_warm_neighbour_is_not_hot(labels):
    assert flagged(run(scan(BESIDE, 1.5), labels), "carotid_left").empty
    assert len(flagged(run(scan(BESIDE, 1.5), labels, hot_ratio=0.9), "carotid_left"))


def test_a_maximum_on_the_flank_of_another_peak_is_found_by_the_peak_test(labels):
    hit = flagged(run(scan(CLOSE, 8.0, sigma=4.0), labels, reach_mm=0.0), "carotid_left")
    assert BESIDE[2] in set(hit["z_mm"])
    assert set(hit["spill_in_test"]) == {"peak"}


def test_a_labelled_neighbour_is_named_and_needs_to_be_hot(labels):
    ball = np.linalg.norm(phantoms.points(CT) - np.array(BESIDE), axis=-1) <= 5
    data = np.where(ball & (labels.data == 0), BY_NAME["thyroid"].label, labels.data).astype(np.uint8)
    with_thyroid = Volume(data, CT)
    hit = flagged(run(scan(BESIDE, 6.0), with_thyroid, unlabelled=False), "carotid_left")
    assert set(hit["spill_in_source"]) == {"thyroid"}
    cold = run(blurred(), with_thyroid, unlabelled=False)
    assert flagged(cold, "carotid_left").empty


def test_excluded_sections_leave_the_measures(labels):
    pet = scan(CLOSE, 8.0, sigma=4.0)
    kept = measure(pet, phantoms.segmentation(labels), Protocol())
    left = measure(pet, phantoms.segmentation(labels), Protocol(spill_in={"rule": "exclude_sections"}))
    gone = flagged(left.slices, "carotid_left")
    assert not gone["valid"].any()
    rows = left.slices[(left.slices["vessel"] == "carotid_left") & left.slices["valid"]]
    row = left.vessels.set_index("vessel").loc["carotid_left"]
    assert row["valid_sections"] == len(rows)
    assert row["mean_tbr_max"] == pytest.approx(rows["tbr_max"].mean())
    assert row["spill_in_sections"] == len(gone)
    clean = measure(blurred(), phantoms.segmentation(labels), Protocol()).slices
    clean = clean[clean["vessel"] == "carotid_left"].set_index("section")["suv_max"]
    np.testing.assert_allclose(rows["suv_max"], clean[rows["section"]], rtol=0.02)
    assert kept.vessels.set_index("vessel").loc["carotid_left", "mean_tbr_max"] > 1.2 * row["mean_tbr_max"]


def test_excluded_voxels_leave_the_region_and_the_section_counts_on_the_rest(labels):
    # Ascending aorta: centre (-10, 20), radius 15.
    pet = scan((-10.0, 44.0, 45.0), 40.0, sigma=4.0)
    rows = run(pet, labels, rule="exclude_voxels", reach_mm=10.0)
    plain = run(pet, labels, rule="flag", reach_mm=10.0)
    hit = flagged(rows, "aorta_ascending")
    before = plain.loc[hit.index]
    assert 45.0 in set(hit["z_mm"])
    assert hit["valid"].all()
    np.testing.assert_array_equal(hit["voxels"], before["voxels"] - before["spill_in_voxels"])
    assert (before["spill_in_voxels"] > 0).all()
    assert (hit["suv_max"] <= before["suv_max"]).all()
    assert hit["suv_max"].sum() < before["suv_max"].sum()


def test_ignore_looks_for_nothing(labels):
    rows = run(scan(CLOSE, 8.0), labels, rule="ignore")
    assert not rows["reason"].str.contains("spill_in").any()
    assert rows["spill_in_source"].isna().all()


def test_ascent_ends_at_the_local_maximum_of_each_hill():
    at = np.stack(np.indices((20, 12, 9)), axis=-1).astype(float)
    hills = hot_spot(at, np.array([5.0, 6, 4]), 2.0, 3.0) + hot_spot(at, np.array([14.0, 5, 4]), 3.0, 2.0)
    peak = steepest_ascent(hills)
    tops = {tuple(map(int, np.unravel_index(n, hills.shape))) for n in np.unique(peak)}
    assert tops == {(5, 6, 4), (14, 5, 4)}
    assert np.unravel_index(peak[2, 6, 4], hills.shape) == (5, 6, 4)
    assert np.unravel_index(peak[18, 2, 7], hills.shape) == (14, 5, 4)
