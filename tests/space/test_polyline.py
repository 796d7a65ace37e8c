"""Lengths along lines, against a walk from point to point."""

import itertools

import numpy as np
import pytest

from petflame.space.polyline import arc_length_mm, arc_of, length_mm, places_at

LINE = np.cumsum(np.random.default_rng(3).normal(size=(9, 3)) + np.array([0.0, 0.0, 2.0]), axis=0)


def test_the_way_along_a_line_adds_up_step_by_step():
    walked = [0.0]
    for before, after in itertools.pairwise(LINE):
        walked.append(walked[-1] + float(np.sqrt(((after - before) ** 2).sum())))
    np.testing.assert_allclose(arc_length_mm(LINE), walked)
    assert length_mm(LINE) == pytest.approx(walked[-1])


@pytest.mark.parametrize("count", [0, 1])
def test_a_line_without_a_step_has_no_length(count):
    assert length_mm(LINE[:count]) == 0.0
    assert arc_length_mm(LINE[:count]).tolist() == [0.0] * count


def test_a_place_on_a_line_is_found_again():
    # A line that never turns back: a place on it is nearest to itself.
    at = np.linspace(0.0, length_mm(LINE), 40)
    np.testing.assert_allclose(arc_of(places_at(LINE, at), LINE), at, atol=1e-9)


def test_beyond_its_ends_a_line_goes_straight_on():
    first, last = LINE[1] - LINE[0], LINE[-1] - LINE[-2]
    beyond = np.array([LINE[0] - first, LINE[-1] + last])
    expected = [-np.linalg.norm(first), length_mm(LINE) + np.linalg.norm(last)]
    np.testing.assert_allclose(arc_of(beyond, LINE), expected)
