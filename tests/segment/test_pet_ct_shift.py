"""How far PET and CT lie apart: shifts that are known because we made them."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

import phantoms
from petflame.anatomy import ARTERIES
from petflame.dicom.convert import convert_visit
from petflame.files import read_nifti
from petflame.folders import VisitFolder
from petflame.protocol import Protocol
from petflame.segment.body_shift import body_shift
from petflame.segment.pet_ct_local import FARTHEST_MM, local_shift
from petflame.segment.pet_ct_shift import NAME, check_pet_ct_shift
from petflame.segment.pet_ct_wide import MODEL_SD_MM, wide_shift
from petflame.segment.product import read_segmentation, write_segmentation
from petflame.segment.run import segment_visit
from petflame.simulate.plan import plan_trial
from petflame.simulate.visit import simulate_visit
from petflame.space.grid import Grid, Volume, ras_to_lps
from petflame.space.orientation import to_canonical

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


@pytest.mark.parametrize("step", [(0.0, 0.0), STEP_MM, (-4.0, 4.0), (12.0, 0.0), (0.0, -20.0)])
def test_a_known_shift_is_found_however_far(tubes, step):
    labels, ct, pet = tubes
    away = moved(pet, [*step, 0.0])
    body = body_shift(labels, ct, away)
    for name in MEASURED:
        found, why = wide_shift(name, labels, ct, away, body)
        assert why == ""
        assert found.lps_mm == pytest.approx(tuple(ras_to_lps([*step, 0.0])[:2]), abs=0.4), name
        assert MODEL_SD_MM <= max(found.sd_mm) < 1.5
        near = local_shift(name, labels, ct, away)
        if max(map(abs, step)) <= FARTHEST_MM:
            assert near.lps_mm == pytest.approx(tuple(ras_to_lps([*step, 0.0])[:2]), abs=0.3), name


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


@pytest.mark.parametrize("step", [(-4.0, 4.0), (12.0, 0.0), (0.0, 6.0)])
def test_a_shift_beyond_4_mm_fails_its_check_and_warns(tubes, step):
    labels, ct, pet = tubes
    away = moved(pet, [*step, 0.0])
    near = check_pet_ct_shift(phantoms.segmentation(labels), ct, pet)
    far = check_pet_ct_shift(phantoms.segmentation(labels), ct, away)
    for name in MEASURED:
        assert [c.passed for c in near.vessels[name].checks if c.name == NAME] == [True]
        assert [c.passed for c in far.vessels[name].checks if c.name == NAME] == [False]
        assert any(w.startswith(f"{name}: PET and CT lie apart by {int(np.hypot(*step))}") for w in far.warnings)
        assert not far.vessels[name].withheld
    assert not any("apart" in w for w in near.warnings)
    assert near.vessels["svc"].pet_ct_shift is None
    assert check_pet_ct_shift(far, ct, away).warnings == far.warnings
    assert not any("apart" in w for w in check_pet_ct_shift(far, ct, pet).warnings)
    again = check_pet_ct_shift(near, ct, pet)
    assert again.warnings == near.warnings
    assert len(again.vessels["carotid_left"].checks) == len(near.vessels["carotid_left"].checks)


def test_no_shift_is_made_up(tubes):
    labels, ct, pet = tubes
    found = phantoms.segmentation(labels)
    rng = np.random.default_rng(3)
    noise = Volume(1.0 + ndimage.gaussian_filter(rng.normal(size=pet.data.shape), 0.7), pet.grid)
    vessels = check_pet_ct_shift(found, ct, noise).vessels
    for name in MEASURED:
        shift = vessels[name].pet_ct_shift
        assert shift is None or not shift.exceeds(4.0)
    flat = check_pet_ct_shift(found, ct, Volume(np.ones(pet.data.shape), pet.grid)).vessels
    assert all(flat[name].pet_ct_shift is None for name in MEASURED)
    assert check_pet_ct_shift(found, None, pet) is found
    on_pet = phantoms.segmentation(phantoms.label_map(phantoms.PET), "pet")
    assert check_pet_ct_shift(on_pet, ct, pet) is on_pet
    elsewhere = check_pet_ct_shift(found, ct, moved(pet, [500.0, 0.0, 0.0])).vessels
    assert all(elsewhere[name].pet_ct_shift is None for name in MEASURED)
    said = [c.message for c in elsewhere["carotid_left"].checks if c.name == NAME]
    assert said == ["not measured: too little of the PET lies round the vessel"]
    # Nobody may take it for a shift that passed.
    assert not any(c.passed for c in elsewhere["carotid_left"].checks if c.name == NAME)
    warnings = check_pet_ct_shift(found, ct, moved(pet, [500.0, 0.0, 0.0])).warnings
    assert any(w.startswith("carotid_left: PET-CT shift not measured") for w in warnings)
    assert any(w.startswith("PET-CT shift not measured head-foot") for w in warnings)


@pytest.fixture(scope="module")
def participant():
    """A simulated participant whose PET and CT lie on one another: labels, CT, PET."""
    plan = plan_trial(2, 5).visit_plans[0]
    visit = simulate_visit(replace(plan, pet_pose=plan.ct_pose), "tiny")
    return tuple(to_canonical(v) for v in (visit.label_map(), visit.ct(), visit.pet()))


@pytest.mark.parametrize("step", [(0, 0, 0), (2.5, -3, 0), (0, 0, 12), (12, 0, -6), (0, 0, -50), (50, 0, 0)])
def test_a_simulated_participants_shift_is_found_in_all_axes(participant, step):
    labels, ct, pet = participant
    away = moved(pet, ras_to_lps(np.array(step, float)))
    body = body_shift(labels, ct, away)
    assert body.why == ""
    assert np.subtract(body.lps_mm, step) == pytest.approx([0, 0, 0], abs=1.5)
    assert max(body.sd_mm) < 2.0
    for name in ARTERIES:
        found, why = wide_shift(name, labels, ct, away, body)
        if abs(step[2]) < 50:
            assert why == "", name
        if why == "":
            assert np.subtract(found.lps_mm, step[:2]) == pytest.approx([0, 0], abs=1.5), name


def test_the_bodys_shift_is_warned_of_and_kept_with_the_labels(participant, tmp_path):
    labels, ct, pet = participant
    found = check_pet_ct_shift(phantoms.segmentation(labels), ct, moved(pet, [0.0, 0.0, 12.0]))
    assert any("towards the head (limit 4 mm)" in w for w in found.warnings)
    write_segmentation(found, VisitFolder(tmp_path))
    kept = read_segmentation(VisitFolder(tmp_path))
    assert kept.body_shift.z_mm == pytest.approx(found.body_shift.z_mm, abs=1e-3)
    for name in ARTERIES:
        for of in ("pet_ct_shift", "pet_ct_shift_local"):
            assert (getattr(kept.vessels[name], of) is None) == (getattr(found.vessels[name], of) is None)


def test_without_lungs_nothing_is_said_head_foot(tubes):
    labels, ct, pet = tubes
    body = body_shift(labels, ct, pet)
    assert body.z_mm is None
    assert "no lung" in body.why


@pytest.fixture(scope="module")
def real(reference, tmp_path_factory):
    """A real PET and CT of a chest, segmented from points set by eye."""
    source, root = reference("real_petct_sts037"), tmp_path_factory.mktemp("real") / "V"
    convert_visit(source, root, protocol=Protocol())
    found = segment_visit(root, "seeds", source / "seeds_by_eye.json")
    return found, read_nifti(VisitFolder(root).ct), read_nifti(VisitFolder(root).pet)


@pytest.mark.reference
@pytest.mark.slow
def test_a_real_scan_that_was_moved_is_noticed_on_every_axis(real):
    found, ct, pet = real
    plain = body_shift(*(to_canonical(v) for v in (found.labels, ct, pet))).lps_mm
    for step in (np.array(v, float) for v in ((12, 0, 0), (-12, 0, 0), (0, 12, 0), (0, 0, 12), (0, 0, -50))):
        away = check_pet_ct_shift(found, ct, moved(pet, ras_to_lps(step)))
        assert np.subtract(away.body_shift.lps_mm, plain) == pytest.approx(step, abs=2.0)
        assert any("lie apart" in w for w in away.warnings)
        vessel = away.vessels["aorta_ascending"]
        if step[2] == 0:
            assert vessel.pet_ct_shift.exceeds(4.0)
            assert not any(c.passed for c in vessel.checks if c.name == NAME)
