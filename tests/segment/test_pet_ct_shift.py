"""How far PET and CT lie apart: shifts that are known because we made them."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

import phantoms
from petflame.anatomy import ARTERIES
from petflame.grid import Grid, Volume, ras_to_lps
from petflame.segment.orientation import to_canonical
from petflame.segment.pet_ct_shift import LARGEST_SD_MM, MODEL_SD_MM, NAME, check_pet_ct_shift, pet_ct_shift
from petflame.simulate.plan import plan_trial
from petflame.simulate.visit import simulate_visit

STEP_MM = (3.0, -2.0)
MEASURED = ("aorta_ascending", "aorta_descending", "carotid_right", "carotid_left")


def moved(volume, ras_mm):
    affine = volume.grid.affine.copy()
    affine[:3, 3] += ras_mm
    return Volume(volume.data, Grid(volume.grid.shape, affine))


@pytest.fixture(scope="module")
def tubes():
    """Tubes in soft tissue between two lungs: CT, labels, and PET drawn finely, blurred to 6 mm and sampled."""
    labels = phantoms.label_map(phantoms.CT)
    at = phantoms.points(phantoms.CT)
    hu = np.where(np.abs(at[..., 0]) > 52, -800.0, 40.0)
    fine = phantoms.grid((2.0, 2.0, 3.0))
    uptake = phantoms.pet_image(fine, phantoms.PEAKS)
    tissue = np.where(np.abs(phantoms.points(fine)[..., 0]) > 52, 0.3, 0.7)
    data = np.where(uptake.data == 0.2, tissue, uptake.data)
    blurred = ndimage.gaussian_filter(data, 6.0 / 2.3548 / np.array([2.0, 2.0, 3.0]))
    pet = Volume(blurred[::2, ::2], phantoms.grid((4.0, 4.0, 3.0)))
    return labels, Volume(hu, phantoms.CT), pet


@pytest.mark.parametrize("name", MEASURED)
@pytest.mark.parametrize("step", [(0.0, 0.0), STEP_MM, (-4.0, 4.0)])
def test_a_known_shift_is_found(tubes, name, step):
    labels, ct, pet = tubes
    found = pet_ct_shift(name, labels, ct, moved(pet, [*step, 0.0]))
    assert found.lps_mm == pytest.approx(tuple(ras_to_lps([*step, 0.0])[:2]), abs=0.3)
    assert MODEL_SD_MM <= max(found.sd_mm) < 1.2


@pytest.mark.parametrize("flips", [(True, False, False), (False, True, True)])
def test_axis_order_and_direction_change_nothing(tubes, flips):
    labels, ct, pet = tubes
    found = phantoms.segmentation(labels)
    turned = phantoms.segmentation(phantoms.transformed(labels, (1, 2, 0), flips))
    away = moved(pet, [*STEP_MM, 0.0])
    plain = check_pet_ct_shift(found, ct, away).vessels
    other = check_pet_ct_shift(
        turned,
        phantoms.transformed(ct, (1, 2, 0), flips),
        phantoms.transformed(away, (2, 1, 0), flips),
    ).vessels
    for name in MEASURED:
        assert other[name].pet_ct_shift.lps_mm == pytest.approx(plain[name].pet_ct_shift.lps_mm, abs=1e-6)


def test_a_shift_beyond_a_voxel_fails_its_check_and_warns(tubes):
    labels, ct, pet = tubes
    near = check_pet_ct_shift(phantoms.segmentation(labels), ct, pet)
    far = check_pet_ct_shift(phantoms.segmentation(labels), ct, moved(pet, [-4.0, 4.0, 0.0]))
    for name in MEASURED:
        assert [c.passed for c in near.vessels[name].checks if c.name == NAME] == [True]
        assert [c.passed for c in far.vessels[name].checks if c.name == NAME] == [False]
        assert any(w.startswith(f"{name}: PET and CT lie apart by 5.") for w in far.warnings)
        assert not far.vessels[name].withheld
    assert not any("apart" in w for w in near.warnings)
    assert near.vessels["svc"].pet_ct_shift is None
    assert check_pet_ct_shift(far, ct, moved(pet, [-4.0, 4.0, 0.0])).warnings == far.warnings
    assert not any("apart" in w for w in check_pet_ct_shift(far, ct, pet).warnings)
    again = check_pet_ct_shift(near, ct, pet)
    assert len(again.vessels["carotid_left"].checks) == len(near.vessels["carotid_left"].checks)


def test_no_shift_is_made_up(tubes):
    labels, ct, pet = tubes
    found = phantoms.segmentation(labels)
    rng = np.random.default_rng(3)
    noise = Volume(1.0 + ndimage.gaussian_filter(rng.normal(size=pet.data.shape), 0.7), pet.grid)
    vessels = check_pet_ct_shift(found, ct, noise).vessels
    for name in MEASURED:
        shift = vessels[name].pet_ct_shift
        assert shift is None or shift.length_mm < 3 * np.hypot(*shift.sd_mm)
    flat = check_pet_ct_shift(found, ct, Volume(np.ones(pet.data.shape), pet.grid)).vessels
    assert all(flat[name].pet_ct_shift is None for name in MEASURED)
    assert check_pet_ct_shift(found, None, pet) is found
    on_pet = phantoms.segmentation(phantoms.label_map(phantoms.PET), "pet")
    assert check_pet_ct_shift(on_pet, ct, pet) is on_pet
    elsewhere = check_pet_ct_shift(found, ct, moved(pet, [500.0, 0.0, 0.0])).vessels
    assert all(elsewhere[name].pet_ct_shift is None for name in MEASURED)
    said = [c.message for c in elsewhere["carotid_left"].checks if c.name == NAME]
    assert said == ["not measured: too little of the PET lies round the vessel"]


def test_the_simulated_patients_own_shift_is_found():
    plan = plan_trial(2, 5).visit_plans[0]
    rest = replace(plan, pet_pose=plan.ct_pose)
    away = replace(plan, pet_pose=plan.ct_pose.moved(np.array([2.5, -3.0, 0.0])))
    found = []
    for one in (rest, away):
        visit = simulate_visit(one, "tiny")
        ct, pet, labels = (to_canonical(v) for v in (visit.ct(), visit.pet(), visit.size.ct.volume(visit.labels)))
        found.append({name: pet_ct_shift(name, labels, ct, pet) for name in ARTERIES})
    for name in ARTERIES:
        before, after = (f[name].lps_mm for f in found)
        assert np.subtract(after, before) == pytest.approx([2.5, -3.0], abs=1.0), name
        assert np.hypot(*before) < 1.5, name
        assert max(found[0][name].sd_mm) < LARGEST_SD_MM
