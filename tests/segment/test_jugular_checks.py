"""Both jugular veins and the superior vena cava hold one blood; a pool that does not is named with what rests on it."""

import numpy as np
import pytest
from scipy import ndimage

import phantoms
from petflame.anatomy import BY_NAME
from petflame.labelmap import LabelMap
from petflame.recovery import FWHM_PER_SIGMA
from petflame.segment.edits import Decision, Edits, apply_edits
from petflame.segment.jugular_checks import CAVA, EVEN, NEIGHBOUR, OTHER, check_jugulars, pool_doubts
from petflame.segment.product import Check, Segmentation, VesselFinding
from petflame.space.grid import Volume

CT = phantoms.grid((1.5, 1.5, 3.0), low=(-60.0, -30.0, 0.0), high=(60.0, 30.0, 75.0))
PET = phantoms.grid((3.0, 3.0, 3.0), low=(-60.0, -30.0, 0.0), high=(60.0, 30.0, 75.0))
FINE = phantoms.grid((1.5, 1.5, 1.5), low=(-60.0, -30.0, 0.0), high=(60.0, 30.0, 75.0))
# RAS x and radius, mm.
PLACES = {"jugular_right": (35.0, 6.0), "jugular_left": (-35.0, 6.0), "svc": (0.0, 10.0)}


def inside(grid, x_mm, radius_mm, z_mm=None, y_mm=0.0):
    at = phantoms.points(grid)
    across = np.hypot(at[..., 0] - x_mm, at[..., 1] - y_mm)
    return (across if z_mm is None else np.hypot(across, at[..., 2] - z_mm)) <= radius_mm


def case(suv, node=None, method="seeds", noise_cv=0.1, pools=tuple(PLACES), seed=0):
    """Veins of the given uptakes, blurred by 6 mm, with noise; a node is (x, y, radius, uptake)."""
    labels = np.zeros(CT.shape, np.uint8)
    image = np.full(FINE.shape, 0.5)
    vessels = {}
    for name in pools:
        x, radius = PLACES[name]
        labels[inside(CT, x, radius)] = BY_NAME[name].label
        image[inside(FINE, x, radius)] = suv[name]
        line = np.array([[-x, 0.0, z] for z in (75.0, 0.0)])
        vessels[name] = VesselFinding("geometric" if name == "svc" else method, None, (), line)
    for side, x in (("right", -20.0), ("left", 20.0)):
        vessels[f"carotid_{side}"] = VesselFinding(method, None, (), np.array([[x, 0, 0], [x, 0, 75.0]]))
    if node is not None:
        x, y, radius, uptake = node
        image[inside(FINE, x, radius, 36.0, y)] = uptake
    blurred = ndimage.gaussian_filter(image, 6.0 / FWHM_PER_SIGMA / 1.5)[::2, ::2, ::2]
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=PET.shape), 0.85)
    pet = blurred * (1 + noise_cv * noise / noise.std())
    return Segmentation(LabelMap(labels, CT), "ct", vessels), Volume(pet.astype(np.float32), PET)


ALIKE = dict.fromkeys(PLACES, 1.4)


@pytest.mark.parametrize("seed", range(4))
def test_one_blood_in_all_three_passes_whatever_the_noise(seed):
    found = check_jugulars(*case(ALIKE, seed=seed, noise_cv=0.12))
    for name in ("jugular_right", "jugular_left"):
        assert [c.name for c in found.vessels[name].checks] == [CAVA, OTHER, EVEN, NEIGHBOUR]
        assert pool_doubts(found.vessels[name]) == []
        assert not found.vessels[name].withheld
    assert found.warnings == ()


@pytest.mark.parametrize("level", [0.5, 2.6])
def test_seeds_of_a_vein_that_hold_other_blood_are_withheld(level):
    found = check_jugulars(*case(ALIKE | {"jugular_left": level}))
    assert "times the uptake of svc" in found.vessels["jugular_left"].reason
    assert not found.vessels["jugular_right"].withheld
    assert any("jugular_left: the blood pool is in doubt" in w and "carotid_right" in w for w in found.warnings)


def test_a_readers_outline_is_warned_about_alone():
    found = check_jugulars(*case(ALIKE | {"jugular_left": 2.6}, method="labels"))
    assert not found.vessels["jugular_left"].withheld
    assert pool_doubts(found.vessels["jugular_left"])
    assert any(w.startswith("jugular_left: the blood pool is in doubt") for w in found.warnings)


def test_without_a_cava_the_two_sides_are_compared():
    found = check_jugulars(*case({"jugular_right": 1.4, "jugular_left": 3.0}, pools=("jugular_right", "jugular_left")))
    assert all("uptake of jugular" in found.vessels[n].reason for n in ("jugular_right", "jugular_left"))


def test_a_cava_that_failed_its_own_check_is_no_measure_for_others():
    segmentation, pet = case(ALIKE | {"svc": 4.0})
    bad = Check("blood like the aorta's", False, "2.9 times")
    vessels = segmentation.vessels | {
        "svc": VesselFinding("labels", None, (bad,), segmentation.vessels["svc"].centreline_lps_mm)
    }
    found = check_jugulars(Segmentation(segmentation.labels, "ct", vessels), pet)
    assert not found.vessels["jugular_left"].withheld
    assert CAVA not in {c.name for c in found.vessels["jugular_left"].checks}


def test_a_hot_node_beside_a_vein_is_told_with_what_it_does():
    found = check_jugulars(*case(ALIKE, node=(-43.0, 0.0, 5.0, 20.0)))
    failed = {c.name: c.message for c in found.vessels["jugular_left"].checks if not c.passed}
    assert {EVEN, NEIGHBOUR} <= set(failed)
    assert "varies by" in failed[EVEN]
    assert "carotid_right and carotid_left may rest on it" in " ".join(found.warnings)
    assert pool_doubts(found.vessels["jugular_right"]) == []


def test_a_node_far_off_does_not_matter():
    found = check_jugulars(*case(ALIKE, node=(-57.0, 14.0, 3.0, 6.0)))
    assert pool_doubts(found.vessels["jugular_left"]) == []


def test_checks_are_made_once_and_warned_of_again_after_an_edit():
    segmentation, pet = case(ALIKE | {"jugular_left": 2.6})
    found = check_jugulars(segmentation, pet)
    edited = apply_edits(found, Edits({"jugular_left": Decision("accept", "a large vein")}), None, {"ct": CT})
    again = check_jugulars(edited, pet, withhold=False)
    assert not again.vessels["jugular_left"].withheld
    assert again.vessels["jugular_left"].checks == found.vessels["jugular_left"].checks
    assert sum("in doubt" in w for w in again.warnings) == 1


def test_the_image_may_be_in_any_axis_order():
    segmentation, pet = case(ALIKE, node=(-43.0, 0.0, 5.0, 20.0))
    turned = Segmentation(
        phantoms.transformed(segmentation.labels, (2, 0, 1), (True, False, True)), "ct", segmentation.vessels
    )
    plain = check_jugulars(segmentation, pet)
    other = check_jugulars(turned, phantoms.transformed(pet, (1, 2, 0), (False, True, True)))
    assert other.vessels["jugular_left"].checks == plain.vessels["jugular_left"].checks
