import numpy as np
import pytest
from skimage.measure import find_contours

from petflame.segment.imports.polygons import Contour, fill

SQUARE = (1.0, 1.0)


def filled(contours, exclusive=True):
    return fill([Contour(np.asarray(c, float), exclusive) for c in contours], SQUARE)


def painted(contours, shape=(12, 12), exclusive=True):
    image = np.zeros(shape, bool)
    image[tuple(filled(contours, exclusive).voxels.T)] = True
    return image


def test_a_line_through_voxel_centres_and_one_along_their_edges_give_the_same_square():
    expected = np.zeros((12, 12), bool)
    expected[3:7, 2:9] = True
    assert (painted([[(3, 2), (6, 2), (6, 8), (3, 8)]]) == expected).all()
    assert (painted([[(2.5, 1.5), (6.5, 1.5), (6.5, 8.5), (2.5, 8.5)]]) == expected).all()


def test_direction_and_starting_vertex_do_not_matter():
    line = np.array([(1.2, 1.1), (9.3, 2.4), (7.5, 9.7), (2.6, 8.2)])
    first = painted([line])
    assert first.sum() > 30
    for other in (line[::-1], np.roll(line, 2, axis=0), np.vstack([line, line[:1]])):
        assert (painted([other]) == first).all()


def test_a_contour_within_another_is_a_hole_whose_border_still_belongs():
    outer = [(0.5, 0.5), (10.5, 0.5), (10.5, 10.5), (0.5, 10.5)]
    along_edges = painted([outer, [(3.5, 3.5), (6.5, 3.5), (6.5, 6.5), (3.5, 6.5)]])
    through_centres = painted([outer, [(3, 3), (7, 3), (7, 7), (3, 7)]])
    assert along_edges.sum() == through_centres.sum() == 100 - 9
    assert not along_edges[4:7, 4:7].any()


def test_plain_contours_that_overlap_are_joined_and_counted_and_exclusive_ones_are_not():
    one, other = [(0.5, 0.5), (6.5, 0.5), (6.5, 4.5), (0.5, 4.5)], [(3.5, 0.5), (9.5, 0.5), (9.5, 4.5), (3.5, 4.5)]
    assert painted([one, other], exclusive=False).sum() == 36
    assert painted([one, other]).sum() == 24
    plain = filled([one, other], exclusive=False)
    assert (plain.overlapping, plain.within, plain.cancelled) == (12, False, False)


@pytest.mark.parametrize("times", [2, 3, 4])
def test_a_plain_contour_that_repeats_encloses_what_it_encloses_once(times):
    line = np.array([(1.2, 1.1), (9.3, 2.4), (7.5, 9.7), (2.6, 8.2)])
    again = [np.roll(line[:: (-1) ** n], n, axis=0) for n in range(times)]
    assert (painted(again, exclusive=False) == painted([line])).all()
    assert filled(again, exclusive=False).overlapping == painted([line]).sum()
    assert not filled(again, exclusive=False).within


def test_contours_side_by_side_do_not_overlap():
    one, other = [(0, 0), (4, 0), (4, 4), (0, 4)], [(4, 0), (8, 0), (8, 4), (4, 4)]
    assert filled([one, other], exclusive=False).overlapping == 0
    assert painted([one, other], exclusive=False).sum() == 9 * 5


def test_a_plain_contour_within_another_is_filled_and_told_and_an_exclusive_one_is_a_hole():
    outer = [(0.5, 0.5), (10.5, 0.5), (10.5, 10.5), (0.5, 10.5)]
    inner = [(3.5, 3.5), (6.5, 3.5), (6.5, 6.5), (3.5, 6.5)]
    assert painted([outer, inner], exclusive=False).sum() == 100
    assert filled([outer, inner], exclusive=False).within
    assert not filled([outer, inner]).within


@pytest.mark.parametrize("direction", [1, -1])
def test_one_contour_that_runs_into_a_hole_and_back_leaves_it_out(direction):
    outer = [(0.5, 0.5), (10.5, 0.5), (10.5, 10.5), (0.5, 10.5), (0.5, 0.5)]
    inner = [(3.5, 3.5), (6.5, 3.5), (6.5, 6.5), (3.5, 6.5), (3.5, 3.5)][::direction]
    keyhole = filled([[*outer, *inner]], exclusive=False)
    assert len(keyhole.voxels) == 100 - 9
    assert keyhole.overlapping == 0


def test_exclusive_contours_that_repeat_leave_nothing_and_it_is_told():
    square = [(0.5, 0.5), (4.5, 0.5), (4.5, 4.5), (0.5, 4.5)]
    found = filled([square, square])
    assert not len(found.voxels)
    assert found.cancelled


def test_a_diagonal_through_centres_belongs():
    triangle = painted([[(0, 0), (6, 6), (0, 6)]])
    assert triangle[3, 3]
    assert triangle.sum() == 28


def test_coordinates_rounded_to_a_hundredth_change_nothing():
    exact = painted([[(3, 2), (6, 2), (6, 8), (3, 8)]])
    assert (painted([[(3.009, 2.009), (5.991, 2.009), (5.991, 7.991), (3.009, 7.991)]]) == exact).all()


@pytest.mark.parametrize("seed", range(8))
def test_any_mask_comes_back_from_its_own_contours(seed):
    random = np.random.default_rng(seed)
    mask = random.random((12, 12)) < 0.55
    contours = [c[:-1] - 1 for c in find_contours(np.pad(mask, 1).astype(float), 0.5)]
    assert (painted(contours) == mask).all()


def square(low, high):
    return np.array([[low, low], [high, low], [high, high], [low, high]], float)


def test_an_exclusive_contour_within_a_plain_one_is_a_hole_in_it():
    outer, inner = square(0.5, 8.5), square(2.5, 6.5)
    mixed = fill([Contour(outer), Contour(inner, exclusive=True)], (1.0, 1.0))
    both = fill([Contour(outer, exclusive=True), Contour(inner, exclusive=True)], (1.0, 1.0))
    np.testing.assert_array_equal(mixed.voxels, both.voxels)
    assert (len(mixed.voxels), mixed.overlapping) == (64 - 16, 0)


def test_exclusive_and_plain_contours_that_are_no_hole_are_joined_and_told():
    outer = fill(
        [Contour(square(0.5, 8.5)), *(Contour(square(a, b), True) for a, b in ((0.5, 8.5), (2.5, 6.5)))], (1, 1)
    )
    assert (len(outer.voxels), outer.overlapping) == (64, 48)
    beside = fill([Contour(square(0.5, 4.5)), Contour(square(3.5, 6.5), True)], (1.0, 1.0))
    assert (len(beside.voxels), beside.overlapping) == (16 + 9 - 1, 1)


def test_exclusive_contours_that_overlap_in_part_are_told():
    crossing = fill([Contour(square(0.5, 4.5), True), Contour(square(2.5, 6.5), True)], (1.0, 1.0))
    assert (len(crossing.voxels), crossing.crossing) == (2 * (16 - 4), True)
    assert not fill([Contour(square(0.5, 8.5), True), Contour(square(2.5, 6.5), True)], (1.0, 1.0)).crossing


@pytest.mark.parametrize("turns", [2, 3])
def test_a_contour_that_is_wound_several_times_encloses_what_it_encloses_once(turns):
    once = fill([Contour(square(0.5, 4.5))], (1.0, 1.0)).voxels
    np.testing.assert_array_equal(fill([Contour(np.tile(square(0.5, 4.5), (turns, 1)))], (1.0, 1.0)).voxels, once)
