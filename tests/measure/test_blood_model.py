"""Blood modelled: veins of known uptake between lung, fat, soft tissue and a hot wall, blurred, with shared noise."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy import ndimage

import phantoms
from petflame.anatomy import ARTERIES, BY_NAME
from petflame.measure.alignment import VeinShift, vein_shift
from petflame.measure.blood_model import ASSUMED_FWHM_SD_MM, Resolution, estimate_resolution, model_blood
from petflame.measure.blood_reading import pooled
from petflame.measure.compartments import blurred
from petflame.measure.images import VisitImages
from petflame.measure.variations import measure_variations
from petflame.measure.vein_scene import LUMEN, LUNG, SOFT, WALL, vein_scene
from petflame.measure.visit import measure, measure_images
from petflame.protocol import Protocol, RegionRules
from petflame.recovery import FWHM_PER_SIGMA
from petflame.segment.product import PetCtShift
from petflame.sensitivity import VARIATIONS
from petflame.space.grid import Volume

FWHM, CV, BLOOD = 6.0, 0.1, 1.4
LOW, HIGH = (-50.0, -50.0, 0.0), (50.0, 50.0, 110.0)
FINE, CT, PET = (phantoms.grid(s, LOW, HIGH) for s in ((1.0, 1.0, 1.0), (1.0, 1.0, 2.0), (4.0, 4.0, 3.0)))
# Name: centre x, y, radius, from z, to z.
VEINS = {"svc": (8.0, 5.0, 8.0, 15.0, 60.0), "jugular_right": (-10.0, -6.0, 5.5, 60.0, 105.0)}
AORTA, WALL_MM, NODE = (-12.0, 8.0, 11.0), 2.0, (12.0, -12.0, 85.0)
UPTAKE = {"lung": 0.4, "fat": 0.3, "soft": 0.8, "wall": 2.6, "blood": BLOOD}
HU = {"lung": -840.0, "fat": -90.0, "soft": 45.0, "wall": 45.0, "blood": 42.0}


def kinds(on, shift=(0.0, 0.0)):
    """Name of the tissue, and number of the vein or artery, of every voxel."""
    x, y, z = np.moveaxis(phantoms.points(on), -1, 0)
    x, y = x - shift[0], y - shift[1]
    kind = np.where((x > 18) & (z < 70), "lung", np.where(y < -14, "fat", "soft")).astype("U5")
    label = np.zeros(on.shape, np.uint8)
    away = np.hypot(x - AORTA[0], y - AORTA[1])
    kind[(away <= AORTA[2]) & (z < 55)] = "wall"
    kind[(away <= AORTA[2] - WALL_MM) & (z < 55)] = "blood"
    label[(away <= AORTA[2]) & (z < 55)] = BY_NAME["aorta_ascending"].label
    for name, (cx, cy, radius, low, high) in VEINS.items():
        vein = np.hypot(x - cx, y - cy) <= radius
        # The vein goes on beyond its label.
        kind[vein & (z >= low - 15) & (z <= high + 15)] = "blood"
        label[vein & (z >= low) & (z <= high)] = BY_NAME[name].label
    return kind, label


def painted(kind, table):
    return np.select([kind == name for name in table], list(table.values()))


@cache
def clean(shift=(0.0, 0.0), fwhm=FWHM, node=0.0):
    kind, _ = kinds(FINE, shift)
    truth = painted(kind, UPTAKE)
    if node:
        truth[np.linalg.norm(phantoms.points(FINE) - NODE, axis=-1) <= 5.0] = node
    # The fine voxels' own box belongs to the width.
    sigma = np.sqrt((fwhm / FWHM_PER_SIGMA) ** 2 - 1 / 12)
    seen = ndimage.gaussian_filter(truth, sigma, mode="nearest", truncate=5)
    return ndimage.map_coordinates(seen, np.moveaxis(FINE.to_ijk(phantoms.points(PET)), -1, 0), order=3)


def noisy(image, seed, cv=CV):
    sigma = FWHM / FWHM_PER_SIGMA / np.array(PET.spacing_mm)
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(PET.shape), sigma, mode="wrap")
    return image * (1 + cv * noise / noise.std())


@cache
def labels_and_ct():
    kind, label = kinds(CT)
    return phantoms.segmentation(Volume(label, CT)), Volume(painted(kind, HU), CT)


def images_of(pet, on=PET):
    return VisitImages(Volume(np.asarray(pet), on), *labels_and_ct())


def scene_of(vein, images, sd_mm=0.0, lps_mm=(0.0, 0.0)):
    walls = dict.fromkeys(ARTERIES, WALL_MM)
    return vein_scene(vein, images, walls, VeinShift(lps_mm, sd_mm, "given"), FWHM)


def modelled(vein, images, fwhm=FWHM, sd_mm=0.0, lps_mm=(0.0, 0.0)):
    return model_blood(scene_of(vein, images, sd_mm, lps_mm), Resolution(fwhm, 0.0, "protocol"))


@pytest.mark.parametrize("vein", VEINS)
def test_without_noise_every_region_has_its_uptake_back(vein):
    found = modelled(vein, images_of(clean()))
    assert not found.doubt
    assert found.uptake == pytest.approx(BLOOD, rel=0.01)
    assert found.regions[SOFT] == pytest.approx(UPTAKE["soft"], rel=0.02)
    if vein == "svc":
        assert found.regions[LUNG] == pytest.approx(UPTAKE["lung"], rel=0.02)
        assert found.regions[WALL] == pytest.approx(UPTAKE["wall"], rel=0.05)
        assert found.regions[LUMEN] == pytest.approx(BLOOD, rel=0.05)
    core = measure(images_of(clean()).pet, labels_and_ct()[0], Protocol()).details["blood_pools"][vein]["suv_mean"]
    assert abs(found.uptake - BLOOD) < abs(core - BLOOD)


def test_shares_fill_every_voxel_and_the_vein_has_its_volume():
    scene = scene_of("svc", images_of(clean()))
    np.testing.assert_allclose(scene.parts.shares.sum(axis=0), 1.0, atol=1e-5)
    z = scene.parts.grid.to_ras(scene.parts.grid.voxels()[0, 0])[:, 2]
    middle = np.argmin(np.abs(z - 37.0))
    area = scene.parts.shares[0][..., middle].sum() * np.prod(scene.parts.grid.spacing_mm[:2])
    assert area == pytest.approx(np.pi * 8.0**2, rel=0.03)


@pytest.mark.parametrize("vein", VEINS)
def test_noise_leaves_it_unbiased_and_the_standard_error_honest(vein):
    found = [modelled(vein, images_of(noisy(clean(), seed))) for seed in range(30)]
    uptake, se = np.array([f.uptake for f in found]), np.array([f.se for f in found])
    assert abs(uptake.mean() - BLOOD) < 2.5 * uptake.std(ddof=1) / np.sqrt(len(found)) + 0.01 * BLOOD
    assert 0.7 < np.sqrt(np.mean(se**2)) / uptake.std(ddof=1) < 1.5
    assert (np.abs(uptake - BLOOD) <= 1.96 * se).mean() >= 0.8


def test_a_known_shift_is_undone_and_an_uncertain_one_found():
    away = images_of(clean(shift=(2.0, -1.0)))
    # RAS to LPS turns both signs.
    assert modelled("jugular_right", away, lps_mm=(-2.0, 1.0)).uptake == pytest.approx(BLOOD, rel=0.015)
    unmoved = modelled("jugular_right", away).uptake
    found = modelled("jugular_right", away, sd_mm=1.5)
    assert abs(found.uptake - BLOOD) < 0.5 * abs(unmoved - BLOOD)
    assert found.aside_mm == pytest.approx((2.0, -1.0), abs=0.5)


def test_doubt_of_the_shift_and_of_the_resolution_widens_the_error():
    images = images_of(noisy(clean(), 3))
    plain = modelled("jugular_right", images)
    # With a neighbour on one side alone the place and the uptake cannot be told apart for nothing.
    assert modelled("svc", images, sd_mm=2.0).own_se > modelled("svc", images).own_se
    doubtful = model_blood(scene_of("jugular_right", images), Resolution(FWHM, ASSUMED_FWHM_SD_MM, "protocol"))
    assert doubtful.se == pytest.approx(np.hypot(plain.own_se, plain.per_mm * ASSUMED_FWHM_SD_MM))
    # The stated change with the resolution is what another resolution gives.
    wider = modelled("jugular_right", images, fwhm=FWHM + 0.3)
    assert (wider.uptake - plain.uptake) / 0.3 == pytest.approx(plain.per_mm, rel=0.35, abs=0.004)


@pytest.mark.parametrize("true_mm", [5.0, 6.0, 7.5])
def test_the_resolution_is_found_at_the_edge_of_the_lung(true_mm):
    found = estimate_resolution(scene_of("svc", images_of(clean(fwhm=true_mm))), 6.0)
    assert found.source == "estimated"
    assert found.scan_fwhm_mm == pytest.approx(true_mm, abs=0.35)
    assert found.scan_sd_mm > 0.35
    assert sorted((6.0, found.fwhm_mm, found.scan_fwhm_mm))[1] == found.fwhm_mm
    assert found.sd_mm < ASSUMED_FWHM_SD_MM


def test_without_a_lung_the_protocol_says_the_resolution():
    found = estimate_resolution(scene_of("jugular_right", images_of(clean())), 5.5)
    assert (found.fwhm_mm, found.sd_mm, found.source) == (5.5, ASSUMED_FWHM_SD_MM, "protocol")
    assert "no lung" in found.why


def test_what_nobody_labelled_is_left_out():
    # A hot node 24 mm from the vein's axis, half of it within what is explained.
    near = modelled("jugular_right", images_of(clean(node=8.0)))
    assert near.left_out > 0
    assert near.uptake == pytest.approx(BLOOD, rel=0.02)


@pytest.mark.parametrize(("permutation", "flips"), [((0, 1, 2), (True, True, False)), ((2, 0, 1), (False, True, True))])
def test_storage_order_and_unit_change_nothing(permutation, flips):
    protocol = Protocol(background={"reading": "modelled_pooled"}, sensitivity=[])
    segmentation, ct = labels_and_ct()
    pet = Volume(noisy(clean(), 5), PET)

    def pool(image, scale=1.0):
        found = measure(replace(image, data=scale * image.data), segmentation, protocol, ct=ct)
        row = found.vessels.set_index("vessel").loc["aorta_ascending"]
        return row["background_suv"], row["background_se_suv"], row["mean_tbr_max"]

    plain = pool(pet)
    assert pool(phantoms.transformed(pet, permutation, flips)) == pytest.approx(plain, rel=1e-6)
    blood, se, tbr = pool(pet, 1000.0)
    assert (blood / 1000, se / 1000, tbr) == pytest.approx(plain, rel=1e-6)


def test_noise_without_end_and_no_uptake_at_all_are_withheld():
    flat = images_of(noisy(clean(), 1, cv=2.0))
    assert (
        "standard error" in modelled("jugular_right", flat).doubt
        or "uptake is" in modelled("jugular_right", flat).doubt
    )
    cold = np.full(PET.shape, -0.5)
    assert modelled("jugular_right", images_of(cold)).doubt


@pytest.mark.parametrize("reading", ["modelled", "modelled_pooled"])
def test_voxels_without_a_number_are_no_blood(reading):
    segmentation, ct = labels_and_ct()
    protocol = Protocol(background={"reading": reading}, sensitivity=[])
    found = measure(Volume(np.full(PET.shape, np.nan), PET), segmentation, protocol, ct=ct)
    assert "no_background" in found.vessels.set_index("vessel").loc["aorta_ascending", "reason"]
    assert any("hold no number" in w for w in found.details["warnings"])


@pytest.mark.parametrize(
    ("reading", "why"),
    [
        ("core_mean", "jugular_right: it is not in the label map; jugular_left: its core holds no voxel"),
        ("modelled", "jugular_right: it is not in the label map; jugular_left: "),
    ],
)
def test_an_artery_without_blood_says_which_veins_lack_what(reading, why):
    _, ct = labels_and_ct()
    _, label = kinds(CT)
    vein = label == BY_NAME["jugular_right"].label
    label[vein] = BY_NAME["carotid_right"].label
    label[tuple(np.argwhere(vein)[0])] = BY_NAME["jugular_left"].label
    labels = phantoms.segmentation(Volume(label, CT))
    protocol = Protocol(background={"reading": reading}, sensitivity=[])
    found = measure(Volume(clean(), PET), labels, protocol, ct=ct)
    [said] = [w for w in found.details["warnings"] if "carotid_right has no blood pool" in w]
    assert f"from jugular_right+jugular_left, or jugular_right, or jugular_left: {why}" in said
    assert "modelled blood" not in said


@pytest.mark.parametrize("reading", ["core_mean", "modelled", "modelled_pooled"])
def test_modelled_blood_says_that_its_level_is_another(reading):
    segmentation, ct = labels_and_ct()
    protocol = Protocol(background={"reading": reading}, sensitivity=[])
    warnings = measure(Volume(clean(), PET), segmentation, protocol, ct=ct).details["warnings"]
    assert any("do not carry over" in w for w in warnings) == (reading != "core_mean")


def test_a_pool_of_all_veins_says_why_it_does_without_one():
    segmentation, ct = labels_and_ct()
    protocol = Protocol(background={"reading": "modelled_pooled"}, sensitivity=[])
    found = measure(Volume(clean(), PET), with_withheld(segmentation, "jugular_right"), protocol, ct=ct)
    assert any(
        "(jugular_right: it needs a reader; jugular_left: it is not in the label map)" in w
        for w in found.details["warnings"]
    )


def test_a_ct_that_does_not_hold_what_lies_round_the_vein_gives_no_model():
    segmentation, ct = labels_and_ct()
    box = segmentation.labels.boxes["svc"]
    narrow = ct.cropped((slice(box[0].start, box[0].stop), slice(None), slice(None)))
    images = VisitImages(Volume(np.asarray(clean()), PET), segmentation, narrow)
    assert "lie outside the CT" in scene_of("svc", images)


def test_all_veins_are_pooled_by_their_certainty():
    good, bad = (modelled(v, images_of(clean())) for v in VEINS)
    good, bad = replace(good, uptake=1.4, own_se=0.02, per_mm=0.0), replace(bad, uptake=1.43, own_se=0.04, per_mm=0.0)
    pool = pooled([good, bad], "declared")
    assert pool.mean == pytest.approx((1.4 / 0.02**2 + 1.43 / 0.04**2) / (1 / 0.02**2 + 1 / 0.04**2))
    assert pool.se == pytest.approx((1 / 0.02**2 + 1 / 0.04**2) ** -0.5)
    # Veins that disagree are worth less, and the more alike.
    apart = pooled([good, replace(bad, uptake=2.0)], "declared")
    assert apart.se > 5 * pool.se
    assert apart.mean == pytest.approx(1.7, abs=0.05)
    # A doubt of the resolution that both share does not average out.
    shared = [replace(m, per_mm=0.1, resolution=Resolution(FWHM, 0.5, "protocol")) for m in (good, bad)]
    assert pooled(shared, "declared").se > 0.05


def with_withheld(segmentation, *names):
    vessels = {n: replace(v, withheld=n in names, reason="a proposal") for n, v in segmentation.vessels.items()}
    return replace(segmentation, vessels=vessels)


@pytest.mark.parametrize("reading", ["modelled", "modelled_pooled"])
def test_a_vein_that_needs_a_reader_does_not_enter_silently(reading):
    rules = {"reading": reading, "regions": {"aorta_ascending": ["svc"]}}
    rules |= {"fallback": {"aorta_ascending": [["jugular_right"]]}}
    summary = {"index_candidates": ["aorta_ascending"], "target_vessels": ["aorta_ascending"]}
    protocol = Protocol(background=rules, summary=summary, sensitivity=[])
    segmentation, ct = labels_and_ct()

    def row(*withheld):
        found = measure(Volume(clean(), PET), with_withheld(segmentation, *withheld), protocol, ct=ct)
        return found.vessels.set_index("vessel").loc["aorta_ascending"], found.details["warnings"]

    found, warnings = row("svc")
    assert found["background_region"] == "jugular_right"
    assert not found["withheld"]
    assert any("blood pool from jugular_right alone" in w for w in warnings)
    found, _ = row("svc", "jugular_right")
    assert found["withheld"]
    assert "needs a reader" in found["reason"]


def test_without_ct_or_with_a_given_core_there_is_no_model_and_it_is_said():
    segmentation, ct = labels_and_ct()
    protocol = Protocol(background={"reading": "modelled"}, sensitivity=[])
    found = measure(Volume(clean(), PET), segmentation, protocol)
    row = found.vessels.set_index("vessel").loc["aorta_ascending"]
    assert np.isnan(row["mean_tbr_max"])
    assert "no_background" in row["reason"]
    assert any("there is no CT" in w for w in found.details["warnings"])
    given = Protocol(background={"reading": "modelled", "core": "as_given"}, sensitivity=[])
    found = measure(Volume(clean(), PET), segmentation, given, ct=ct)
    assert any("boundary is not known" in w for w in found.details["warnings"])


def test_the_record_tells_what_was_done_and_variations_use_it():
    protocol, images = Protocol(), images_of(clean())
    primary = measure_images(images, protocol)
    said = primary.details["blood_pools"]["svc"]["modelled"]
    assert said["doubt"] is None
    assert said["suv"] == pytest.approx(BLOOD, rel=0.02)
    assert 0 < said["suv_se"] < 0.1 * BLOOD
    assert said["psf_fwhm_source"] == "estimated"
    assert said["psf_fwhm_mm"] == pytest.approx(FWHM, abs=0.2)
    assert {"svc", SOFT, LUNG, WALL, LUMEN} <= set(said["compartments"])
    # The primary figure is that of the core.
    alone = measure_images(images_of(clean()), Protocol(sensitivity=[]))
    assert primary.vessels.equals(alone.vessels)
    assert "modelled" not in alone.details["blood_pools"]["svc"]
    table = measure_variations(images, protocol, primary)
    for variation in (v for v in VARIATIONS if v.name.startswith("modelled")):
        own = table[(table["variation"] == variation.name) & (table["vessel"] == "aorta_ascending")]
        reading = measure(images.pet, images.segmentation, protocol.varied(variation), ct=images.ct)
        rows = reading.slices[reading.slices["vessel"] == "aorta_ascending"]
        assert np.array_equal(own["value"], rows["tbr_max"])
        pool = reading.vessels.set_index("vessel").loc["aorta_ascending", "background_suv"]
        assert pool == pytest.approx(BLOOD, rel=0.02)


def test_a_vein_takes_the_shift_of_the_artery_along_it():
    segmentation, ct = labels_and_ct()
    shift = PetCtShift((1.0, -2.0), (0.7, 0.9))
    moved = replace(segmentation.vessels["aorta_ascending"], pet_ct_shift=shift)
    images = VisitImages(
        Volume(clean(), PET), replace(segmentation, vessels=segmentation.vessels | {"aorta_ascending": moved}), ct
    )
    assert vein_shift(images, "svc", RegionRules()) == VeinShift((1.0, -2.0), 0.9, "aorta_ascending")
    assert vein_shift(images, "jugular_right", RegionRules()) == VeinShift((0.0, 0.0), 2.0, "none")


def test_the_point_spread_holds_the_voxel():
    grid = phantoms.grid((2.0, 2.0, 2.0))
    image = np.zeros(grid.shape)
    image[35, 30, 40] = 1.0
    seen = blurred(image, grid, FWHM)[35, 30]
    variance = (seen * (2.0 * (np.arange(grid.shape[2]) - 40)) ** 2).sum() / seen.sum() + 4 / 12
    assert np.sqrt(variance) * FWHM_PER_SIGMA == pytest.approx(FWHM, rel=0.01)
