"""Label maps that have the visit's grid and belong to another scan, or were flipped or moved as arrays."""

from dataclasses import replace

import numpy as np
import pytest

import phantoms
from petflame.anatomy import ARTERIES, BY_NAME, VEINS
from petflame.labelmap import LabelMap
from petflame.segment.imported import EXCHANGED, FIT, ORDER, check_imported, exchange_signs, fit_check, order_checks
from petflame.segment.labelmaps import describe
from petflame.space.grid import Grid, Volume

GRID = phantoms.grid((3.0, 3.0, 5.0))
TRUTH = phantoms.label_map(GRID)
VESSELS = [BY_NAME[name].label for name in (*ARTERIES, *VEINS)]


def scan(blood=40.0, around=-100.0, noise=15.0, seed=3):
    """Vessels of blood in fat, with noise."""
    random = np.random.default_rng(seed)
    hu = np.where(np.isin(TRUTH.data, VESSELS), blood, around) + random.normal(0, noise, GRID.shape)
    return Volume(hu.astype(np.int16), GRID)


def described(data):
    return describe(LabelMap(data, GRID), "ct", "labels", {}, {})


def failed(segmentation):
    return {name: [c.name for c in f.checks if not c.passed] for name, f in segmentation.vessels.items()}


@pytest.mark.parametrize("blood", [40.0, 300.0])
@pytest.mark.parametrize("seed", range(3))
def test_a_map_of_the_scan_passes_with_and_without_contrast_medium(blood, seed):
    labels = described(TRUTH.data)
    checked = check_imported(labels, scan(blood, seed=seed))
    assert fit_check(labels.labels, scan(blood, seed=seed)).passed
    assert all("contents" not in names and FIT not in names for names in failed(checked).values())


@pytest.mark.parametrize(
    ("axis", "steps", "words"), [(0, 3, "9 mm"), (1, -3, "9 mm"), (2, 2, "10 mm"), (2, -2, "10 mm"), (0, -4, "12 mm")]
)
def test_a_map_that_was_moved_is_withheld_and_the_way_back_is_told(axis, steps, words):
    moved = np.roll(TRUTH.data, steps, axis)
    checked = check_imported(described(moved), scan())
    check = fit_check(LabelMap(moved, GRID), scan())
    assert not check.passed
    back = {0: ("left", "right"), 1: ("back", "forwards"), 2: ("down", "up")}[axis][steps < 0]
    assert back in check.message
    present = [n for n, f in checked.vessels.items() if len(f.centreline_lps_mm)]
    assert all(checked.vessels[n].withheld and FIT in checked.vessels[n].reason for n in present)
    assert any(w.startswith("the label map: its vessels would hold blood better") for w in checked.warnings)


def test_a_mirrored_map_is_withheld_though_its_sides_were_renamed():
    mirrored = TRUTH.data[::-1].copy()
    renamed = mirrored.copy()
    for right, left in ((4, 5), (7, 8)):
        renamed[mirrored == right], renamed[mirrored == left] = left, right
    checked = check_imported(described(renamed), scan())
    assert checked.vessels["aorta_descending"].withheld
    assert "contents" in checked.vessels["aorta_descending"].reason


def test_calibre_and_length_are_the_readers_to_say():
    thin = np.where((TRUTH.data == 4) | (TRUTH.data == 5) | (TRUTH.data == 3), TRUTH.data, 0)
    checked = check_imported(described(thin), scan())
    assert {"usual radius", "length", "course"}.isdisjoint({n for names in failed(checked).values() for n in names})


def test_without_a_ct_or_with_a_vessel_or_two_nothing_is_said_of_the_place():
    labels = described(TRUTH.data)
    assert check_imported(labels, None) is labels
    alone = np.where(TRUTH.data == 4, TRUTH.data, 0)
    assert fit_check(LabelMap(alone, GRID), scan()) is None


def test_labels_on_the_pet_grid_are_held_against_the_ct():
    pet = phantoms.grid((4.0, 4.0, 4.0))
    own = phantoms.label_map(pet)
    assert fit_check(own, scan()).passed
    moved = replace(own, data=np.roll(own.data, 3, 0))
    assert not fit_check(moved, scan()).passed


@pytest.mark.parametrize("ct", [None, scan()], ids=["without CT", "with CT"])
@pytest.mark.parametrize(("first", "second"), [("svc", "jugular_right"), ("aorta_ascending", "carotid_left")])
def test_names_exchanged_between_chest_and_neck_are_withheld_with_the_cause(ct, first, second):
    a, b = BY_NAME[first].label, BY_NAME[second].label
    exchanged = np.where(TRUTH.data == a, b, np.where(TRUTH.data == b, a, TRUTH.data)).astype(TRUTH.data.dtype)
    checked = check_imported(described(exchanged), ct)
    for name in (first, second):
        assert checked.vessels[name].withheld
        assert ORDER in failed(checked)[name]
    assert any("were their names exchanged?" in warning for warning in checked.warnings)


def test_right_labels_are_in_order_on_both_grids_and_in_every_axis_order():
    assert order_checks(TRUTH) == {}
    assert order_checks(phantoms.label_map(phantoms.grid((4.0, 4.0, 4.0)))) == {}
    flip = np.diag([1.0, 1.0, -1.0, 1.0])
    flip[2, 3] = TRUTH.grid.shape[2] - 1
    assert order_checks(LabelMap(TRUTH.data[:, :, ::-1], Grid(TRUTH.grid.shape, TRUTH.grid.affine @ flip))) == {}


def exchanged_in_the_chest(data):
    cava, aorta = BY_NAME["svc"].label, BY_NAME["aorta_ascending"].label
    return np.where(data == cava, aorta, np.where(data == aorta, cava, data)).astype(data.dtype)


def with_an_arch(data):
    """A block of arch that stands on the ascending aorta, right or not, whatever it is called."""
    joined, (i, j, k) = data.copy(), np.nonzero(data == BY_NAME["aorta_ascending"].label)
    top = k == k.max()
    for step in (1, 2):
        joined[i[top], j[top], k[top] + step] = BY_NAME["aorta_arch"].label
    return joined


@pytest.mark.parametrize("arch", [with_an_arch, lambda data: data], ids=["arch", "no arch"])
@pytest.mark.parametrize("ct", [scan(), None], ids=["ct", "no ct"])
def test_an_exchanged_vena_cava_and_ascending_aorta_are_both_withheld_with_the_cause(ct, arch):
    checked = check_imported(described(exchanged_in_the_chest(arch(TRUTH.data))), ct)
    for name in ("svc", "aorta_ascending"):
        assert checked.vessels[name].withheld
        assert "were the names of svc and aorta_ascending exchanged?" in checked.vessels[name].reason
    assert any(EXCHANGED in warning for warning in checked.warnings)
    assert not {n for n, f in checked.vessels.items() if EXCHANGED in f.reason} - {"svc", "aorta_ascending"}


def test_an_exchange_is_found_in_a_mirrored_body_by_calibre_and_arch():
    mirrored = exchanged_in_the_chest(with_an_arch(TRUTH.data))[::-1]
    assert EXCHANGED in {c.name for c in order_checks(LabelMap(mirrored, GRID))["svc"]}


def test_a_cava_on_the_left_alone_or_a_wide_one_alone_is_no_exchange():
    left = with_an_arch(TRUTH.data)[::-1]
    assert order_checks(LabelMap(left, GRID)) == {}
    assert len(exchange_signs(LabelMap(left, GRID))) == 1
    wide = with_an_arch(TRUTH.data)
    at = phantoms.points(GRID)
    level = (at[..., 2] >= 20.0) & (at[..., 2] <= 70.0)
    wide[(np.hypot(at[..., 0] - 45.0, at[..., 1] - 20.0) <= 19.0) & level & (wide == 0)] = BY_NAME["svc"].label
    assert order_checks(LabelMap(wide, GRID)) == {}
    assert len(exchange_signs(LabelMap(wide, GRID))) == 1
