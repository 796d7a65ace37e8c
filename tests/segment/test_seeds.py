import json

import numpy as np
import pytest

import phantoms
from petflame.errors import InputRefused
from petflame.segment.automatic import segment_automatically
from petflame.segment.seedfile import read_seeds
from petflame.segment.seeds import draw_vessel, smooth_line
from petflame.segment.usual import CAROTID
from petflame.space.grid import Volume

GRID = phantoms.grid((1.0, 1.0, 3.0), low=(-40.0, -40.0, 0.0), high=(40.0, 40.0, 120.0))


def axis(z):
    """Centre of a gently bent vessel, RAS mm."""
    return np.stack([8.0 + 4.0 * np.sin(z / 40.0), 3.0 + 0.05 * z, z], axis=-1)


def bent_vessel(radius_mm, inside_hu=45.0, outside_hu=-100.0):
    at = phantoms.points(GRID)
    centre = axis(at[..., 2])
    inside = np.hypot(at[..., 0] - centre[..., 0], at[..., 1] - centre[..., 1]) <= radius_mm
    noise = np.random.default_rng(0).normal(0, 10, GRID.shape)
    return Volume(np.where(inside, inside_hu, outside_hu) + noise, GRID)


def seeds_on(noise_mm, seed=1, step_mm=12.0):
    z = np.arange(6.0, 115.0, step_mm)
    points = axis(z) + np.random.default_rng(seed).normal(0, noise_mm, (len(z), 3)) * [1, 1, 0]
    return points * [-1, -1, 1]


def off_axis(line_lps):
    ras = line_lps * [-1, -1, 1]
    return np.linalg.norm((ras - axis(ras[:, 2]))[:, :2], axis=1)


def test_the_line_passes_through_exact_seeds():
    assert off_axis(smooth_line(seeds_on(0.0), CAROTID.stiffness_mm3)).max() < 0.6


@pytest.mark.parametrize("radius", [3.5, 5.0, 6.5])
def test_line_and_radius_are_fitted_where_the_edge_is_clear(radius):
    drawn = draw_vessel(seeds_on(1.5), bent_vessel(radius), None, CAROTID)
    assert drawn.fitted
    assert drawn.radius_mm == pytest.approx(radius, abs=0.6)
    assert (
        np.median(off_axis(drawn.line_lps_mm))
        < np.median(off_axis(smooth_line(seeds_on(1.5), CAROTID.stiffness_mm3))) + 0.1
    )
    assert off_axis(drawn.line_lps_mm).max() < 2.5


def test_without_an_edge_the_default_is_kept_and_the_line_is_not_moved():
    drawn = draw_vessel(seeds_on(1.5), bent_vessel(4.0, inside_hu=40.0, outside_hu=40.0), None, CAROTID)
    assert not drawn.fitted
    assert drawn.radius_mm == 4.0
    assert drawn.shift_mm < 0.5


def test_the_readers_radius_is_never_changed():
    assert draw_vessel(seeds_on(0.5), bent_vessel(6.0), 3.0, CAROTID).radius_mm == 3.0


def test_three_formats_say_the_same(tmp_path):
    points = seeds_on(0.0).round(3)
    (tmp_path / "a.json").write_text(json.dumps({"carotid_left": points.tolist()}))
    rows = ["vessel,x_mm,y_mm,z_mm", *(f"carotid_left,{x},{y},{z}" for x, y, z in points)]
    (tmp_path / "b.csv").write_text("\n".join(rows))
    controls = [
        {"label": f"carotid_left-{n}", "position": [-x, -y, z]} for n, (x, y, z) in enumerate(points.tolist(), 1)
    ]
    markup = {"markups": [{"type": "Curve", "coordinateSystem": "RAS", "controlPoints": controls}]}
    (tmp_path / "c.mrk.json").write_text(json.dumps(markup))
    for name in ("a.json", "b.csv", "c.mrk.json"):
        np.testing.assert_allclose(read_seeds(tmp_path / name).points_lps_mm["carotid_left"], points)


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"carotis": [[0, 0, 0], [0, 0, 9]]}, "is no vessel"),
        ({"carotid_left": [[0, 0, 0]]}, r"1 point"),
        ({"carotid_left": [[0, 0, 0], [0, 0, 60]]}, "gap of 60 mm"),
        ({"carotid_left": [[0, 0, "x"], [0, 0, 9]]}, "not a number"),
        ({}, "no vessel"),
        ({"aorta_arch": [[0, 0, 0], [0, 0, 9]]}, "no radius"),
        ({"carotid_bifurcation_left": [[0, 0, 0], [0, 0, 9]]}, "2 points"),
        ({"carotid_bifurcation_left": [[0, 0, 0]], "carotid_bifurcation_right": [[9, 0, 0]]}, "mirrored"),
        ({"landmarks_lps_mm": {"nose": [0, 0, 0]}}, "no landmark"),
        ({"carotid_left": [[0, 0, 0], [0, 0, 9]], "radius_mm": {"carotid_left": -1}}, "not above zero"),
        ([1, 2], "not hold a JSON object"),
        ({"carotid_left": [[0, 0, 5], [0, 0, 5]]}, "1 point"),
        ({"carotid_left": [[0, 0, 5], [9, 0, 5]]}, "within 0.0 mm of height"),
        ({"carotid_left": [[0, 0, 10**309], [0, 0, 5]]}, "not a finite number"),
        ({"carotid_left": [[0, 0, 2e4], [0, 0, 5]]}, "not within -10000 to 10000 mm"),
        ({"carotid_left": [[0, 0, 0], [0, 0, 9]], "radius_mm": {"carotid_left": 1e300}}, "cannot have"),
        ({"carotid_left": 5}, "not a list"),
        ({"markups": [5]}, "not a mapping"),
        ({"markups": [{"controlPoints": [{"label": "svc-1"}]}]}, "not a point"),
        ({"markups": [{"coordinateSystem": 5, "controlPoints": []}]}, "not LPS or RAS"),
    ],
)
def test_seeds_that_cannot_be_used_are_refused(tmp_path, document, words):
    path = tmp_path / "s.json"
    path.write_text(json.dumps(document))
    with pytest.raises(InputRefused, match=words):
        read_seeds(path)


def test_landmarks_come_in_every_format(tmp_path):
    line = [[-9, 0, 0], [-9, 0, 15]]
    (tmp_path / "a.json").write_text(
        json.dumps({"carotid_right": line, "landmarks_lps_mm": {"carotid_bifurcation_right": [-9, 1, 20]}})
    )
    (tmp_path / "b.json").write_text(json.dumps({"carotid_right": line, "carotid_bifurcation_right": [[-9, 1, 20]]}))
    rows = ["vessel,x_mm,y_mm,z_mm", *(f"carotid_right,{x},{y},{z}" for x, y, z in line)]
    (tmp_path / "c.csv").write_text("\n".join([*rows, "carotid_bifurcation_right,-9,1,20"]))
    labelled = [*(("carotid_right-1", p) for p in line), ("carotid_bifurcation_right", [-9, 1, 20])]
    controls = [{"label": label, "position": position} for label, position in labelled]
    (tmp_path / "d.mrk.json").write_text(
        json.dumps({"markups": [{"coordinateSystem": "LPS", "controlPoints": controls}]})
    )
    for name in ("a.json", "b.json", "c.csv", "d.mrk.json"):
        seeds = read_seeds(tmp_path / name)
        assert seeds.landmarks_lps_mm == {"carotid_bifurcation_right": (-9.0, 1.0, 20.0)}, name
        assert list(seeds.points_lps_mm) == ["carotid_right"]


def test_seeded_vessels_on_any_axis_order(tmp_path):
    path = tmp_path / "s.json"
    path.write_text(
        json.dumps(
            {"carotid_left": seeds_on(0.5).tolist(), "jugular_left": (seeds_on(0.5) + np.array([9, 0, 0])).tolist()}
        )
    )
    ct = bent_vessel(4.0)
    found = segment_automatically(ct, path, geometric=False)
    turned = phantoms.transformed(ct, (1, 2, 0), (True, False, True))
    again = segment_automatically(turned, path, geometric=False)
    back = phantoms.transformed(found.labels, (1, 2, 0), (True, False, True))
    np.testing.assert_array_equal(again.labels.data, back.data)
    assert found.vessels["carotid_right"].withheld
    assert "needs a reader" in found.vessels["carotid_right"].reason


def test_mirrored_seeds_are_refused(tmp_path):
    path = tmp_path / "s.json"
    points = seeds_on(0.0)
    path.write_text(
        json.dumps({"carotid_right": (points + np.array([20, 0, 0])).tolist(), "carotid_left": points.tolist()})
    )
    with pytest.raises(InputRefused, match="mirrored"):
        segment_automatically(bent_vessel(4.0), path, geometric=False)


def test_a_point_that_was_clicked_twice_is_one_point(tmp_path):
    (tmp_path / "s.json").write_text(json.dumps({"carotid_left": [[1, 2, 9], [0, 0, 0], [1, 2, 9]]}))
    np.testing.assert_array_equal(read_seeds(tmp_path / "s.json").points_lps_mm["carotid_left"], [[0, 0, 0], [1, 2, 9]])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("vessel,x_mm,y_mm\nsvc,1,2\n", "z_mm are missing"),
        ("vessel;x_mm;y_mm;z_mm\nsvc;1;2;3\n", "1 point"),
        ("vessel,x_mm,y_mm,z_mm\nsvc,1,2,x\n", "line 2 holds 'x'"),
        ("vessel,x_mm,y_mm,z_mm\nsvc,1,2,1e400\n", "not a finite number"),
        ('vessel,x_mm,y_mm,z_mm\n"' + "a" * 140_000, "longer than"),
        ("vessel,x_mm,y_mm,z_mm,radius_mm\nsvc,1,2,3,5\nsvc,1,2,9,6\n", "another radius"),
    ],
)
def test_a_table_of_seeds_says_which_line_is_at_fault(tmp_path, text, words):
    (tmp_path / "s.csv").write_text(text)
    with pytest.raises(InputRefused, match=words):
        read_seeds(tmp_path / "s.csv")
