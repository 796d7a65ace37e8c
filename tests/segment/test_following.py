"""Vessels followed between a reader's points: where the images show them, and nowhere else."""

import json

import numpy as np
import pytest

import necks
import phantoms
from petflame.anatomy import CAROTIDS
from petflame.dicom.convert import convert_visit
from petflame.files import read_nifti
from petflame.labelmap import LabelMap
from petflame.measure.sections import cut, planes_through
from petflame.protocol import Protocol
from petflame.segment.course import Displacements, held_out_course, likely_course, points_on
from petflame.segment.geometric.surface import frames
from petflame.segment.seeds import SeededVessel, draw_vessel, draw_vessels, label_vessels, paint_vessel, smooth_line
from petflame.segment.seen_on_ct import seen_on_ct
from petflame.segment.seen_on_pet import seen_on_pet
from petflame.segment.snap import FARTHEST_MM, snap
from petflame.segment.usual import CAROTID, VEIN, usual_of
from petflame.space.grid import Grid, Volume
from petflame.space.orientation import to_canonical
from petflame.space.polyline import arc_length_mm, places_at

NAMES = tuple(necks.LINES)
MUSCLE, FAT = necks.ct(), necks.ct(outside_hu=-90.0)


def stations(name, off=(0.0, 0.0)):
    line = necks.LINES[name]
    line = places_at(line, np.linspace(0.0, arc_length_mm(line)[-1], 30)) + np.array([*off, 0.0])
    return line, frames(line)


def in_lps(seen, frame):
    return np.einsum("na,nai->ni", seen.offset_mm, frame[:, :2])


def other(name):
    return [(necks.LINES[n], usual_of(n).radius_mm) for n in NAMES if n != name]


def points_alone(points):
    return {n: smooth_line(p, usual_of(n).stiffness_mm3) for n, p in points.items()}


def level(name, line, pet):
    """Mean over the PET's planes of an artery's maximum, of a vein's mean within 2 mm of its middle."""
    vessel = SeededVessel(line, usual_of(name).radius_mm, False, 0.0, 0.0)
    inside = LabelMap(label_vessels({name: vessel}, necks.CT)[0], necks.CT).mask(name)
    ijk = np.argwhere(np.ones(necks.PET.shape, bool))
    at = np.round(necks.CT.to_ijk(necks.PET.to_ras(ijk))).astype(int)
    keep = ((at >= 0) & (at < necks.CT.shape)).all(axis=1)
    ijk, at = ijk[keep], at[keep]
    region = inside.data[tuple(at.T)]
    ijk = ijk[region]
    values = pet.data[tuple(ijk.T)]
    if name in CAROTIDS:
        return np.mean([values[ijk[:, 2] == k].max() for k in np.unique(ijk[:, 2])])
    places = necks.PET.to_ras(ijk) * [-1, -1, 1]
    middle = np.column_stack([np.interp(places[:, 2], line[:, 2], line[:, axis]) for axis in (0, 1)])
    return values[np.linalg.norm(places[:, :2] - middle, axis=1) <= 2.0].mean()


# The course ----------------------------------------------------------------------------------------------------------


def test_without_images_the_course_is_the_smoothing_spline_of_the_points():
    points = necks.seeds(np.random.default_rng(0))["carotid_left"]
    first = smooth_line(points, CAROTID.stiffness_mm3)
    found = likely_course(first, frames(first), points_on(first, points, 2.0), [], CAROTID.stiffness_mm3)
    assert np.abs(found - first)[:, :2].max() < 0.1


def test_a_station_is_placed_without_what_was_seen_near_it():
    line, frame = stations("carotid_left")
    points = points_on(line, places_at(line, np.linspace(0.0, arc_length_mm(line)[-1], 4)), 2.0)
    seen = Displacements(np.zeros((30, 2)), np.tile(np.eye(2), (30, 1, 1)))
    strange = Displacements(seen.offset_mm.copy(), seen.precision)
    strange.offset_mm[15] = 3.0, -3.0
    plain, se = held_out_course(line, frame, points, [], seen, 8.0, CAROTID.stiffness_mm3)
    moved, _ = held_out_course(line, frame, points, [], strange, 8.0, CAROTID.stiffness_mm3)
    np.testing.assert_allclose(moved[15], plain[15], atol=1e-9)
    assert np.linalg.norm(moved - plain, axis=1).max() > 0.1
    drawn = likely_course(line, frame, points, [strange], CAROTID.stiffness_mm3)
    assert np.linalg.norm(drawn[15] - line[15]) > 0.5
    assert (se > 0).all()
    assert se.max() < 2.0 * np.sqrt(2.0)


# What images show ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_ct_in_fat_shows_how_far_off_a_line_is(name):
    line, frame = stations(name, (1.5, -1.0))
    seen = seen_on_ct(FAT, line, frame, usual_of(name).radii_mm)
    np.testing.assert_allclose(np.median(in_lps(seen, frame), axis=0)[:2], [-1.5, 1.0], atol=0.4)
    assert np.median(np.trace(seen.precision, axis1=1, axis2=2)) > 0.3


def test_ct_of_muscle_alone_shows_nothing():
    line, frame = stations("carotid_left", (1.5, -1.0))
    seen = seen_on_ct(MUSCLE, line, frame, CAROTID.radii_mm)
    # A reader's error of 2 mm an axis is a precision of 0.5.
    assert np.median(np.trace(seen.precision, axis1=1, axis2=2)) < 0.05


@pytest.mark.parametrize("name", NAMES)
def test_pet_shows_how_far_off_a_line_is_whatever_its_unit(name):
    pet = necks.pet(wall=3.0 if name in CAROTIDS else necks.BLOOD, noise_cv=0.03)
    line, frame = stations(name, (1.5, -1.0))
    seen = seen_on_pet(pet, line, frame, usual_of(name).radius_mm, other(name), usual_of(name).even)
    np.testing.assert_allclose(np.median(in_lps(seen, frame), axis=0)[:2], [-1.5, 1.0], atol=0.5)
    again = seen_on_pet(
        Volume(pet.data * np.float32(3e4), pet.grid),
        line,
        frame,
        usual_of(name).radius_mm,
        other(name),
        usual_of(name).even,
    )
    np.testing.assert_allclose(again.offset_mm, seen.offset_mm, atol=1e-2)
    np.testing.assert_allclose(again.precision, seen.precision, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("empty", [0.0, 1.0])
def test_an_even_pet_shows_nothing(empty):
    line, frame = stations("carotid_left")
    even = Volume(np.full(necks.PET.shape, empty, np.float32), necks.PET)
    seen = seen_on_pet(even, line, frame, 4.0, [], False)
    assert np.isfinite(seen.offset_mm).all()
    assert np.abs(np.einsum("nab,nb->na", seen.precision, seen.offset_mm)).max() < 1e-3


# Whole vessels -------------------------------------------------------------------------------------------------------


def drawn_often(draws, ct, **uptake):
    """Mean error of the lines, and percent by which levels differ from the true region's, of many draws."""
    off, by_points, bias = ({n: [] for n in NAMES} for _ in range(3))
    for draw in range(draws):
        pet = necks.pet(seed=draw, **uptake)
        points = necks.seeds(np.random.default_rng(100 + draw))
        plain = points_alone(points)
        for name, vessel in draw_vessels(points, {}, ct, pet).items():
            true = necks.LINES[name]
            off[name].append(necks.off_line(vessel.line_lps_mm, true).mean())
            by_points[name].append(necks.off_line(plain[name], true).mean())
            bias[name].append(100.0 * (level(name, vessel.line_lps_mm, pet) / level(name, true, pet) - 1.0))
    return [{n: np.array(v) for n, v in found.items()} for found in (off, by_points, bias)]


def test_in_muscle_the_pet_leads_without_raising_what_is_measured():
    off, by_points, bias = drawn_often(8, MUSCLE)
    for name in NAMES:
        assert off[name].mean() < 1.2
        assert off[name].mean() < 0.7 * by_points[name].mean()
        assert abs(bias[name].mean()) < 1.5
        assert np.abs(bias[name]).max() < 5.0


def test_in_fat_the_ct_leads():
    flat = {"wall": necks.SURROUNDINGS, "blood": necks.SURROUNDINGS}
    off, _, _ = drawn_often(3, FAT, **flat)
    assert max(v.mean() for v in off.values()) < 0.6


def test_where_nothing_shows_the_points_alone_draw_the_line_and_noise_does_not():
    pet = necks.pet(wall=necks.SURROUNDINGS, blood=necks.SURROUNDINGS)
    points = necks.seeds(np.random.default_rng(5))
    plain = points_alone(points)
    for name, vessel in draw_vessels(points, {}, MUSCLE, pet).items():
        assert np.median(necks.off_line(vessel.line_lps_mm, plain[name])) < 0.7
        assert not vessel.fitted
        assert vessel.se_mm > 1.0


def test_points_that_lie_beside_what_the_images_show_are_told():
    points = necks.seeds(np.random.default_rng(1), sd_mm=1.0)
    pet = necks.pet(wall=2.0)
    good = draw_vessels(points, {}, FAT, pet)["carotid_left"]
    assert good.points_off_mm < good.most_off_mm
    beside = points | {"carotid_left": points["carotid_left"] + np.array([-5.0, 4.0, 0.0])}
    moved = draw_vessels(beside, {}, FAT, pet)["carotid_left"]
    assert moved.points_off_mm > moved.most_off_mm


@pytest.mark.parametrize(
    ("off", "radius", "uptake"), [((3.2, 0.0), 2.0, 12.0), ((0.0, 9.0), 4.0, 3.0)], ids=["in the wall", "beside it"]
)
def test_a_hot_spot_does_not_draw_the_artery(off, radius, uptake):
    line = necks.LINES["carotid_left"]
    middle = line[len(line) // 2]
    points = necks.seeds(np.random.default_rng(3))
    spot = [(middle + np.array([*off, 0.0]), radius, uptake)]
    without = draw_vessels(points, {}, MUSCLE, necks.pet(wall=1.8))["carotid_left"].line_lps_mm
    beside = draw_vessels(points, {}, MUSCLE, necks.pet(wall=1.8, spots=spot))["carotid_left"].line_lps_mm
    towards = (beside - without)[:, :2] @ (np.array(off) / np.hypot(*off))
    assert towards[np.abs(beside[:, 2] - middle[2]) < 6.0].max() < 1.0


def test_a_mirror_image_gives_the_mirrored_line():
    points, pet = necks.seeds(np.random.default_rng(2)), necks.pet(wall=1.5)
    mirror = np.diag([-1.0, 1.0, 1.0, 1.0])

    def mirrored(volume):
        return Volume(volume.data, phantoms.Grid(volume.grid.shape, mirror @ volume.grid.affine))

    plain = draw_vessels(points, {}, MUSCLE, pet)
    turned = draw_vessels({n: p * [-1, 1, 1] for n, p in points.items()}, {}, mirrored(MUSCLE), mirrored(pet))
    for name in NAMES:
        np.testing.assert_allclose(turned[name].line_lps_mm * [-1, 1, 1], plain[name].line_lps_mm, atol=0.05)


def test_the_order_of_axes_does_not_matter():
    points, pet = necks.seeds(np.random.default_rng(2)), necks.pet(wall=1.5)
    plain = draw_vessel(points["carotid_left"], MUSCLE, None, CAROTID, pet)
    turned = draw_vessel(
        points["carotid_left"],
        phantoms.transformed(MUSCLE, (1, 2, 0), (True, False, True)),
        None,
        CAROTID,
        phantoms.transformed(pet, (2, 0, 1), (False, True, False)),
    )
    np.testing.assert_allclose(turned.line_lps_mm, plain.line_lps_mm, atol=1e-3)


@pytest.mark.parametrize(("low", "high", "slices"), [(4.0, 31.0, (2, 10)), (6.0, 30.0, (2, 10)), (7.4, 8.6, (3, 3))])
def test_a_painted_vessel_ends_where_its_points_end(low, high, slices):
    grid = phantoms.grid((1.0, 1.0, 3.0), low=(-20.0, -20.0, 0.0), high=(20.0, 20.0, 60.0))
    z = np.linspace(low, high, 30)
    vessel = SeededVessel(np.column_stack([np.zeros_like(z), np.zeros_like(z), z]), 4.0, False, 0.0, 0.0)
    k = paint_vessel(vessel, grid)[:, 2]
    assert (k.min(), k.max()) == slices


@pytest.mark.reference
@pytest.mark.slow
@pytest.mark.parametrize("visit", ["baseline", "followup"])
def test_a_real_neck_with_a_painted_pet_is_followed_between_points_30_mm_apart(reference, tmp_path, visit):
    folder = reference("hybrid_acrin001")
    known = next(v for v in json.loads((folder / "truth.json").read_text())["visits"] if v["name"] == visit)
    convert_visit(folder / visit, tmp_path, protocol=Protocol())
    ct, pet = (to_canonical(read_nifti(tmp_path / f"{kind}.nii.gz")) for kind in ("ct", "pet"))
    lines = {f"{kind}_{side}": None for kind in ("carotid", "jugular") for side in ("right", "left")}
    lines = {name: np.array(known["centrelines_lps_mm"][name]) for name in lines}
    off = {name: [] for name in lines}
    for draw in range(3):
        rng = np.random.default_rng(draw)
        points = {name: necks.noisy_points(line, rng, 30.0, 2.0) for name, line in lines.items()}
        drawn = draw_vessels(points, {}, ct, pet)
        labels = LabelMap(label_vessels(drawn, ct.grid)[0], ct.grid)
        for name, vessel in drawn.items():
            off[name].append(necks.off_line(vessel.line_lps_mm, lines[name]).mean())
            if name in CAROTIDS:
                planes = planes_through(to_canonical(labels.mask(name)), pet.grid, None)
                sections = cut(planes, vessel.line_lps_mm, 0.0, with_area=False)
                suv_max = np.mean([pet.data[tuple(s.voxels.T)].max() for s in sections])
                assert suv_max == pytest.approx(known["vessels"][name]["as_written"]["mean_suv_max"], rel=0.05)
    assert max(np.mean(values) for values in off.values()) < 1.5


# Clicks --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_click_beside_a_vessel_moves_to_its_middle(name):
    line = necks.LINES[name]
    middle = line[len(line) // 2]
    snapped = snap(middle + np.array([2.0, -1.5, 0.0]), FAT, usual_of(name), necks.pet(wall=2.0), other(name))
    assert snapped.reason == ""
    assert snapped.point_lps_mm[2] == pytest.approx(middle[2])
    assert np.linalg.norm(snapped.point_lps_mm - middle) < 1.0


def test_a_click_where_nothing_shows_stays():
    click = necks.LINES["jugular_left"][80]
    pet = necks.pet(wall=necks.SURROUNDINGS, blood=necks.SURROUNDINGS)
    snapped = snap(click, MUSCLE, VEIN, pet)
    assert "do not show" in snapped.reason
    np.testing.assert_array_equal(snapped.point_lps_mm, click)


def test_a_click_too_far_off_stays():
    line = necks.LINES["carotid_left"]
    click = line[len(line) // 2] + np.array([-4.0, 4.0, 0.0])
    snapped = snap(click, FAT, CAROTID, necks.pet(wall=2.0), other("carotid_left"))
    assert snapped.moved_mm > FARTHEST_MM or snapped.reason
    np.testing.assert_array_equal(snapped.point_lps_mm, click)


def test_beyond_the_pet_nothing_was_seen():
    """Its outermost voxels, drawn out as columns, would be blood that stays where it is."""
    points = necks.seeds(np.random.default_rng(3))
    whole, without = draw_vessels(points, {}, MUSCLE, necks.pet()), draw_vessels(points, {}, MUSCLE)
    far = necks.pet()
    affine = np.array(far.grid.affine)
    affine[2, 3] -= 200.0
    empty = Volume(np.full_like(far.data, np.nan), far.grid)
    for pet in (Volume(far.data, Grid(far.grid.shape, affine)), empty, far.cropped(np.s_[:, :, 5:6])):
        for name, vessel in draw_vessels(points, {}, MUSCLE, pet).items():
            assert vessel.se_mm >= without[name].se_mm - 0.01
            if pet.grid.shape == far.grid.shape:
                assert vessel.line_lps_mm == pytest.approx(without[name].line_lps_mm)
    lower = far.cropped(np.s_[:, :, : far.grid.shape[2] // 2])
    for name, vessel in draw_vessels(points, {}, MUSCLE, lower).items():
        upper = -10
        assert np.abs(vessel.line_lps_mm[upper:] - without[name].line_lps_mm[upper:]).max() < 1.0
        assert np.abs(vessel.line_lps_mm[10:30] - whole[name].line_lps_mm[10:30]).max() < 1.0
