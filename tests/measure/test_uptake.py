import numpy as np
import pytest

from petflame.measure.sections import Section, arc_at
from petflame.measure.uptake import most_diseased_segment, peak_sphere, section_uptake, summarise, window_length
from petflame.protocol import SummaryRules
from petflame.space.contours import contours_of, distance_at
from petflame.space.grid import Grid, Volume

VALUES = np.array([1.0, 5.0, 1.0, 2.0, 3.0, 3.0, 3.0, 1.0])


@pytest.mark.parametrize(
    ("rule", "expected"),
    [("largest_mean", [4, 5, 6]), ("centred_on_maximum", [0, 1, 2]), ("any_window_with_maximum", [1, 2, 3])],
)
def test_each_rule_finds_its_own_segment(rule, expected):
    assert most_diseased_segment(VALUES, np.ones(8, bool), 3, rule).tolist() == expected


def test_a_segment_never_bridges_a_section_that_does_not_count():
    valid = np.array([1, 1, 1, 1, 1, 0, 1, 1], bool)
    found = most_diseased_segment(VALUES, valid, 3, "largest_mean")
    assert valid[found].all()
    assert VALUES[found].mean() == max(VALUES[s : s + 3].mean() for s in range(6) if valid[s : s + 3].all())


def test_a_short_vessel_has_no_segment_rather_than_a_shorter_one():
    summary = summarise(np.array([2.0, 2.5]), np.ones(2, bool), 3.0, SummaryRules())
    assert summary.mds_tbr_max is None
    assert summary.mean_tbr_max == 2.25


@pytest.mark.parametrize(("spacing", "count"), [(3.27, 5), (2.0, 8), (6.0, 3), (15.0, 1), (40.0, 1)])
def test_sections_of_the_segment(spacing, count):
    assert window_length(spacing, 15.0) == count


def test_the_peak_of_a_constant_image_is_the_constant_and_a_point_is_spread_over_one_cubic_centimetre():
    grid = Grid((15, 15, 15), np.diag([2.0, 2.0, 2.0, 1.0]))
    section = Section(7, np.array([[7.0, 7, 7]]), np.zeros(1), 4.0, np.zeros(3), 0.0, True)
    sphere = peak_sphere(grid.spacing_mm)
    assert section_uptake(section, Volume(np.full(grid.shape, 3.0), grid), sphere).peak == pytest.approx(3.0)
    point = np.zeros(grid.shape)
    point[7, 7, 7] = 1.0
    assert section_uptake(section, Volume(point, grid), sphere).peak == pytest.approx(8.0 / 1000.0, rel=0.01)


def test_the_peak_at_the_image_edge_averages_what_is_there():
    grid = Grid((9, 9, 9), np.diag([3.0, 3.0, 3.0, 1.0]))
    section = Section(0, np.array([[0.0, 0, 0]]), np.zeros(1), 9.0, np.zeros(3), 0.0, True)
    found = section_uptake(section, Volume(np.full(grid.shape, 2.0), grid), peak_sphere(grid.spacing_mm))
    assert found.peak == pytest.approx(2.0)


def test_a_plane_between_two_slices_is_their_mean():
    grid = Grid((3, 3, 2), np.eye(4))
    data = np.zeros(grid.shape)
    data[..., 1] = 4.0
    section = Section(0, np.array([[1.0, 1, 0.25]]), np.zeros(1), 1.0, np.zeros(3), 0.0, True)
    assert section_uptake(section, Volume(data, grid), peak_sphere(grid.spacing_mm)).maximum == pytest.approx(1.0)


def test_distances_run_to_the_edge_of_the_pixels():
    grid = Grid((9, 9, 3), np.eye(4))
    mask = np.zeros(grid.shape, bool)
    mask[2:7, 2:7, 1] = True
    contours = contours_of(Volume(mask, grid), 0.0)
    assert distance_at(contours, np.array([[4.0, 4.0, 1.0]])) == pytest.approx(-2.5)
    assert distance_at(contours, np.array([[6.5, 4.0, 1.0]])) == pytest.approx(0.0, abs=1e-6)
    assert distance_at(contours, np.array([[8.0, 4.0, 1.0]])) == pytest.approx(1.5)


def test_between_slices_the_contour_moves_with_the_vessel():
    grid = Grid((40, 20, 2), np.diag([1.0, 1.0, 4.0, 1.0]))
    x, y = np.indices(grid.shape[:2])
    mask = np.stack([np.hypot(x - 15, y - 10) <= 5, np.hypot(x - 19, y - 10) <= 5], axis=-1)
    contours = contours_of(Volume(mask, grid), 0.0)
    halfway = distance_at(contours, np.stack([x, np.full(x.shape, 10.0), np.full(x.shape, 2.0)], axis=-1))[:, 10]
    centre = np.flatnonzero(halfway <= 0).mean()
    assert centre == pytest.approx(17.0)


def test_arc_is_read_at_the_nearest_point_of_the_line():
    line = np.array([[0.0, 0, 0], [10, 0, 0], [10, 10, 0]])
    assert arc_at(line, np.array([10.0, 4.0, 3.0])) == pytest.approx(14.0)
    assert arc_at(line, np.array([-5.0, 0.0, 0.0])) == 0.0
    assert np.isnan(arc_at(np.zeros((0, 3)), np.zeros(3)))
