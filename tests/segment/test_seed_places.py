"""Seeds that lie outside the patient, mirrored, or in other units are refused with the cause; good ones never are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from petflame.errors import InputRefused
from petflame.files import read_nifti
from petflame.folders import VisitFolder
from petflame.segment.body_outline import outline_body
from petflame.segment.seed_places import require_in_grid, require_in_patient
from petflame.segment.seedfile import Seeds, read_seeds
from petflame.space.grid import Grid, Volume

OTHER = {"right": "left", "left": "right"}


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    from petflame.dicom.convert import convert_visit
    from petflame.protocol import Protocol
    from petflame.simulate.trial import simulate_trial

    root = tmp_path_factory.mktemp("made")
    simulate_trial(root, 2, "tiny", 4, 1, lambda *_: None)
    convert_visit(root / "dicom" / "SIM0001" / "baseline", root / "visit", protocol=Protocol())
    return read_nifti(VisitFolder(root / "visit").ct), read_seeds(root / "seeds" / "SIM0001_baseline.json")


def changed(seeds: Seeds, change) -> Seeds:
    points = {n: change(p) for n, p in seeds.points_lps_mm.items()}
    landmarks = {n: tuple(map(float, change(np.array([p]))[0])) for n, p in seeds.landmarks_lps_mm.items()}
    return Seeds({n: p[np.argsort(p[:, 2], kind="stable")] for n, p in points.items()}, seeds.radius_mm, landmarks)


def one_side(seeds: Seeds, side: str) -> Seeds:
    return Seeds({n: p for n, p in seeds.points_lps_mm.items() if n.endswith(side)}, seeds.radius_mm)


def refusal(seeds, ct):
    with pytest.raises(InputRefused) as refused:
        require_in_patient(seeds, ct, "s")
    assert "swap the names" not in str(refused.value)
    return str(refused.value)


def moved(ct: Volume, lps_mm) -> Volume:
    return ct.moved(np.array(lps_mm) * [-1, -1, 1])


def tilted(ct: Volume, degrees: float) -> Volume:
    """Return the same voxels on an oblique grid: the patient lies askew."""
    a = np.radians(degrees)
    turn = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    affine = ct.grid.affine.copy()
    affine[:3] = turn @ affine[:3]
    return Volume(ct.data, Grid(ct.grid.shape, affine))


@pytest.mark.parametrize("side", ["", "right", "left"])
@pytest.mark.parametrize("off_mm", [(0, 0, 0), (55.0, -40.0, 900.0), (-70.0, 30.0, -800.0)])
def test_good_seeds_are_taken_wherever_the_patient_lies_and_whichever_side_they_are_of(scene, side, off_mm):
    ct, seeds = scene
    own = one_side(seeds, side)
    own = changed(own, lambda p: p + off_mm)
    require_in_patient(own, moved(ct, off_mm), "s")
    require_in_grid(own, moved(ct, off_mm).grid, "s")


@pytest.mark.parametrize("degrees", [-12.0, 9.0])
def test_good_seeds_on_an_oblique_grid_and_with_a_readers_error_are_taken(scene, degrees):
    ct, seeds = scene
    a = np.radians(degrees)
    turn = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    rng = np.random.default_rng(3)
    # About the z axis a turn is the same in RAS and LPS.
    own = changed(seeds, lambda p: p @ turn.T + rng.normal(0, 2, p.shape))
    require_in_patient(own, tilted(ct, degrees), "s")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda p: p * [-1, -1, 1], "RAS written as LPS: x and y change sign"),
        (lambda p: p * [-1, 1, 1], "mirrored right to left"),
        (lambda p: p / 10, "cm written as mm"),
        (lambda p: p / 1000, "m written as mm"),
    ],
)
@pytest.mark.parametrize("off_mm", [(0, 0, 0), (60.0, -45.0, 0.0)])
def test_misread_points_are_refused_with_the_cause(scene, change, words, off_mm):
    ct, seeds = scene
    own = changed(changed(seeds, lambda p: p + off_mm), change)
    assert words in refusal(own, moved(ct, off_mm))


@pytest.mark.parametrize("side", ["right", "left"])
def test_ras_written_as_lps_is_told_for_one_side_alone(scene, side):
    ct, seeds = scene
    assert "RAS written as LPS" in refusal(changed(one_side(seeds, side), lambda p: p * [-1, -1, 1]), ct)


@pytest.mark.parametrize("rounded", [False, True])
def test_numbers_of_voxels_are_refused_with_the_cause(scene, rounded):
    ct, seeds = scene

    def voxels(p):
        ijk = ct.grid.to_ijk(p * [-1, -1, 1])
        return np.rint(ijk) if rounded else ijk

    assert "numbers of voxels" in refusal(changed(seeds, voxels), ct)


def test_exchanged_names_stay_what_they_are_called(scene):
    from petflame.labelmap import LabelMap
    from petflame.segment.seeded import checked_vessels_from_seeds

    ct, seeds = scene
    points = {f"{n.rpartition('_')[0]}_{OTHER[n.rpartition('_')[2]]}": p for n, p in seeds.points_lps_mm.items()}
    exchanged = replace(seeds, points_lps_mm=points, landmarks_lps_mm={})
    require_in_patient(exchanged, ct, "s")
    empty = LabelMap(np.zeros(ct.grid.shape, np.uint8), ct.grid)
    with pytest.raises(InputRefused, match="mirrored or their names swapped"):
        checked_vessels_from_seeds(exchanged, ct, empty, {}, {})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda p: p + np.array([0, 0, 700]), "outside the CT"),
        (lambda p: p + np.array([170, 0, 0]), "in the air outside the body"),
    ],
)
def test_points_outside_the_patient_are_refused_and_no_cause_is_made_up(scene, change, words):
    ct, seeds = scene
    said = refusal(changed(one_side(seeds, "left"), change), ct)
    assert words in said
    assert "look like" not in said


def test_one_point_outside_names_its_vessel(scene):
    ct, seeds = scene
    points = dict(seeds.points_lps_mm)
    points["jugular_left"] = points["jugular_left"] + np.eye(len(points["jugular_left"]), 3) * [150, 0, 0]
    assert "lie in the air outside the body (jugular_left)" in refusal(replace(seeds, points_lps_mm=points), ct)


@pytest.mark.parametrize("off_mm", [(12.0, 0, 0), (-12.0, 0, 0), (0, 14.0, 0), (0, 0, 20.0)])
def test_points_beside_their_vessels_are_the_checks_business(scene, off_mm):
    ct, seeds = scene
    require_in_patient(changed(seeds, lambda p: p + off_mm), ct, "s")


def test_lungs_and_airway_belong_to_the_body_and_the_room_does_not(scene):
    ct, _ = scene
    body = outline_body(ct)
    lung = np.argwhere((ct.data > -900) & (ct.data < -700))
    inner = lung[np.abs(lung - lung.mean(axis=0)).sum(axis=1).argsort()[:50]]
    assert body.beyond_mm(ct.grid.to_ras(inner) * [-1, -1, 1]).max() < 8.0
    corner = ct.grid.to_ras(ct.grid.corners()) * [-1, -1, 1]
    assert body.beyond_mm(corner).min() > 20.0
