"""Seeded, found and imported vessels must look like vessels and lie where vessels lie; uptake has no say."""

import json
from itertools import combinations

import numpy as np
import pytest

import phantoms
from petflame.errors import InputRefused
from petflame.segment.airway_line import airway_line
from petflame.segment.anatomy_checks import VesselShape, anatomy_checks, shape_of_mask
from petflame.segment.automatic import segment_automatically
from petflame.segment.edits import Decision, Edits, apply_edits
from petflame.segment.seedfile import read_seeds
from petflame.segment.verdict import verdict
from petflame.space.grid import Volume

FAT, BLOOD, MUSCLE, AIR = -95.0, 42.0, 52.0, -1000.0
# x (LPS, to the left), y (to the back), radius: the neck between two muscles, the airway in the middle.
COURSES = {
    "carotid_right": (-22.0, 10.0, 4.0),
    "carotid_left": (22.0, 10.0, 4.0),
    "jugular_right": (-34.0, 5.0, 6.0),
    "jugular_left": (34.0, 5.0, 6.0),
}
LEAN = 0.12
TOP_MM = 120.0


def neck(spacing=(1.0, 1.0, 3.0), noise_hu=12.0):
    """A neck of fat: airway, vessels that lean to the back, muscles outside them and a vertebra, HU."""
    grid = phantoms.grid(spacing, low=(-70.0, -70.0, 0.0), high=(70.0, 70.0, TOP_MM))
    at = phantoms.points(grid)
    x, y, z = -at[..., 0], -at[..., 1], at[..., 2]
    hu = np.where(np.hypot(x, y) < 64.0, FAT, AIR)
    hu[(np.abs(np.abs(x) - 50.0) < 8.0) & (np.abs(y) < 25.0)] = MUSCLE
    hu[np.hypot(x, y - 38.0) < 14.0] = 250.0
    for cx, cy, radius in COURSES.values():
        hu[np.hypot(x - cx, y - cy - LEAN * z) < radius] = BLOOD
    hu[np.hypot(x, y) < 9.0] = AIR
    return Volume(hu + np.random.default_rng(0).normal(0, noise_hu, grid.shape), grid)


def seeds(error_mm=1.5, seed=3):
    rng = np.random.default_rng(seed)
    z = np.arange(6.0, TOP_MM - 5.0, 15.0)
    line = {n: np.column_stack([np.full(len(z), x), y + LEAN * z, z]) for n, (x, y, _) in COURSES.items()}
    return {n: p + rng.normal(0, error_mm / np.sqrt(2), p.shape) * [1, 1, 0] for n, p in line.items()}


def segment(tmp_path, points, ct, **more):
    path = tmp_path / "seeds.json"
    path.write_text(json.dumps({n: np.asarray(p).tolist() for n, p in points.items()} | more))
    return segment_automatically(ct, path, geometric=False)


def withheld(found):
    return {n: f.reason for n, f in found.vessels.items() if n in COURSES and f.withheld}


@pytest.fixture(scope="module")
def ct():
    return neck()


@pytest.mark.parametrize(("error_mm", "seed"), [(0.0, 1), (1.5, 2), (2.0, 4)])
def test_seeds_on_their_vessels_pass(tmp_path, ct, error_mm, seed):
    assert withheld(segment(tmp_path, seeds(error_mm, seed), ct)) == {}


@pytest.mark.parametrize(
    "image",
    [
        lambda: neck(spacing=(1.5, 1.5, 5.0)),
        lambda: neck(noise_hu=35.0),
        lambda: phantoms.transformed(neck(), (2, 0, 1), (True, False, True)),
    ],
    ids=["thick slices", "noise", "axis order"],
)
def test_good_seeds_pass_whatever_the_image(tmp_path, image):
    found = segment(tmp_path, seeds(), image())
    assert withheld(found) == {}
    assert "beside the airway" in {c.name for c in found.vessels["carotid_left"].checks}


def test_a_cropped_scan_and_short_vessels_pass(tmp_path, ct):
    low = {n: p[(p[:, 2] > 30) & (p[:, 2] < 90)] for n, p in seeds().items()}
    cropped = Volume(ct.data[:, :, 8:33], phantoms.grid((1.0, 1.0, 3.0), (-70.0, -70.0, 24.0), (70.0, 70.0, 96.0)))
    assert withheld(segment(tmp_path, low, cropped)) == {}


def test_contrast_medium_is_no_fault(tmp_path):
    image = neck()
    at = phantoms.points(image.grid)
    for cx, cy, radius in COURSES.values():
        image.data[np.hypot(-at[..., 0] - cx, -at[..., 1] - cy - LEAN * at[..., 2]) < radius] += 220.0
    assert withheld(segment(tmp_path, seeds(), image)) == {}


def moved(name, x=0.0, y=0.0, z=0.0):
    return lambda p: {**p, name: p[name] + np.array([x, y, z])}


def exchanged(one, other):
    return lambda p: {**p, one: p[other], other: p[one]}


WRONG = {
    "on the jugular": (moved("carotid_left", x=12.0, y=-5.0), ["carotid_left"], "inside jugular_left"),
    "in the muscle": (moved("carotid_left", x=27.0), ["carotid_left"], "names exchanged"),
    "in fat": (moved("carotid_left", y=-22.0), ["carotid_left"], "fat or air"),
    "in the airway": (moved("carotid_right", x=21.0, y=-17.0), ["carotid_right"], "fat or air"),
    "in bone": (moved("carotid_right", x=20.0, y=22.0), ["carotid_right"], "bone"),
    "exchanged": (
        exchanged("carotid_left", "jugular_left"),
        ["carotid_left", "jugular_left"],
        "names exchanged",
    ),
    "both veins in fat": (
        lambda p: moved("jugular_left", y=-25.0)(moved("jugular_right", y=-25.0)(p)),
        list(COURSES),
        "does it belong to this scan",
    ),
}


@pytest.mark.parametrize("case", WRONG, ids=str)
def test_seeds_that_miss_are_withheld_with_the_cause(tmp_path, ct, case):
    spoil, vessels, words = WRONG[case]
    found = segment(tmp_path, spoil(seeds()), ct)
    reasons = withheld(found)
    assert set(vessels) <= set(reasons)
    assert all(words in reasons[name] for name in vessels), reasons
    assert all(any(w.startswith(f"{name}: needs a reader") for w in found.warnings) for name in vessels)


def test_lines_that_leave_the_scan_are_refused(tmp_path, ct):
    with pytest.raises(InputRefused, match=r"points lie outside the CT \(carotid_left\)"):
        segment(tmp_path, moved("carotid_left", z=40.0)(seeds()), ct)
    points = seeds()
    x, y, _ = points["carotid_right"][0]
    points["carotid_right"] = np.array([[x, y, z] for z in np.arange(-130.0, 210.0, 8.0)])
    with pytest.raises(InputRefused, match=r"points lie outside the CT \(carotid_right\)"):
        segment(tmp_path, points, ct)
    shapes = {n: VesselShape(p, COURSES[n][2]) for n, p in points.items()}
    said = {c.name: c.message for c in anatomy_checks(ct, shapes)["carotid_right"] if not c.passed}
    assert "mm long (between 10 and 260)" in said["length"]
    assert "of its course lies in the CT" in said["in the scan"]


def test_an_unusual_radius_is_withheld_and_an_impossible_one_refused(tmp_path, ct):
    wide = segment(tmp_path, seeds(), ct, radius_mm={"carotid_left": 9.0})
    assert "9.0 mm radius (between 2 and 7)" in withheld(wide)["carotid_left"]
    with pytest.raises(InputRefused, match=r"carotid_left has a radius of 300 mm, which it cannot have \(1 to 15 mm\)"):
        segment(tmp_path, seeds(), ct, radius_mm={"carotid_left": 300.0})
    with pytest.raises(InputRefused, match="'carotis' has a radius and is no vessel"):
        segment(tmp_path, seeds(), ct, radius_mm={"carotis": 4.0})


def test_checks_do_not_change_when_the_body_is_mirrored(ct):
    shapes = {n: VesselShape(p, COURSES[n][2]) for n, p in seeds().items()}
    other = {"left": "right", "right": "left"}
    turned = {
        f"{n.split('_')[0]}_{other[n.split('_')[1]]}": VesselShape(s.line_lps_mm * [-1, 1, 1], s.radius_mm)
        for n, s in shapes.items()
    }
    mirrored = Volume(ct.data[::-1], ct.grid)
    plain, again = anatomy_checks(ct, shapes), anatomy_checks(mirrored, turned)
    for name, checks in plain.items():
        stem, side = name.split("_")
        assert [(c.name, c.passed) for c in checks] == [(c.name, c.passed) for c in again[f"{stem}_{other[side]}"]]


def test_the_airway_is_followed_and_absent_where_there_is_none(ct):
    line = airway_line(ct, 0.0, TOP_MM)
    assert np.ptp(line[:, 2]) > 100.0
    assert np.abs(line[:, :2]).max() < 2.0
    solid = Volume(np.where(ct.data < -500, FAT, ct.data), ct.grid)
    assert len(airway_line(solid, 0.0, TOP_MM)) == 0


def test_a_mask_is_described_by_its_area():
    grid = phantoms.grid((1.0, 1.0, 3.0), low=(-20.0, -20.0, 0.0), high=(20.0, 20.0, 30.0))
    mask = Volume(np.hypot(*np.moveaxis(phantoms.points(grid)[..., :2], -1, 0)) < 6.0, grid)
    shape = shape_of_mask(mask, np.array([[0.0, 0, 0], [0, 0, 30.0]]))
    assert shape.radius_mm == pytest.approx(6.0, abs=0.15)


def test_a_reader_may_accept_what_the_checks_doubt(tmp_path, ct):
    spoil, _, _ = WRONG["in the muscle"]
    found = segment(tmp_path, spoil(seeds()), ct)
    edited = apply_edits(found, Edits({"carotid_left": Decision("accept", "seen on MR")}), ct, {"ct": ct.grid})
    assert not edited.vessels["carotid_left"].withheld
    # The carotid alone is at fault: it lies too far from the airway.
    assert not edited.vessels["jugular_left"].withheld
    assert "order of carotid and jugular failed" in verdict(edited.vessels["carotid_left"]).words


def test_seeds_of_an_edit_are_checked_too(tmp_path, ct):
    found = segment(tmp_path, seeds(), ct)
    path = tmp_path / "redrawn.json"
    path.write_text(json.dumps({"carotid_left": (seeds()["carotid_left"] + np.array([0, -22.0, 0])).tolist()}))
    edited = apply_edits(found, Edits(seeds=(path,)), ct, {"ct": ct.grid})
    assert "fat or air" in edited.vessels["carotid_left"].reason
    accepted = apply_edits(found, Edits({"carotid_left": Decision("accept", "")}, seeds=(path,)), ct, {"ct": ct.grid})
    assert not accepted.vessels["carotid_left"].withheld


def test_possible_radii_of_a_file_are_told_all_at_once(tmp_path):
    path = tmp_path / "s.json"
    line = [[0, 0, 0], [0, 0, 15]]
    path.write_text(json.dumps({"carotid_left": line, "svc": line, "radius_mm": {"carotid_left": 0.2, "svc": 85}}))
    with pytest.raises(InputRefused) as refusal:
        read_seeds(path)
    assert len(refusal.value.faults) == 2


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_carotid_seeded_on_a_vein_that_is_not_seeded_needs_a_reader(tmp_path, ct, side):
    points = seeds()
    vein = points.pop(f"jugular_{side}")
    assert set(withheld(segment(tmp_path, points, ct))) == {f"jugular_{side}"}
    wrong = withheld(segment(tmp_path, {**points, f"carotid_{side}": vein}, ct))
    assert set(wrong) == {f"carotid_{side}", f"jugular_{side}"}
    assert "is it the jugular vein?" in wrong[f"carotid_{side}"]


@pytest.mark.parametrize("turn_deg", [-20.0, 20.0])
def test_a_turned_neck_without_a_seeded_vein_passes(turn_deg):
    image, c, s = neck(), np.cos(np.radians(turn_deg)), np.sin(np.radians(turn_deg))
    turn = np.array([[c, -s, 0.0, 0.0], [s, c, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]])
    turned = Volume(image.data, type(image.grid)(image.grid.shape, turn @ image.grid.affine))
    lines = {n: VesselShape(p @ turn[:3, :3].T, COURSES[n][2]) for n, p in seeds().items()}
    for side in ("left", "right"):
        kept = {n: shape for n, shape in lines.items() if n != f"jugular_{side}"}
        made = {c.name: c for c in anatomy_checks(turned, kept)[f"carotid_{side}"]}
        assert made["carotid or jugular"].passed
        wrong = {**kept, f"carotid_{side}": lines[f"jugular_{side}"]}
        assert not {c.name: c for c in anatomy_checks(turned, wrong)[f"carotid_{side}"]}["carotid or jugular"].passed


@pytest.mark.parametrize("count", [1, 2, 3])
def test_any_of_the_necks_vessels_may_be_seeded_without_the_others(tmp_path, ct, count):
    points = seeds()
    for names in combinations(points, count):
        found = segment(tmp_path, {n: points[n] for n in names}, ct)
        assert set(withheld(found)) == set(points) - set(names), names
