"""Where a reader's first point is due."""

import numpy as np

from petflame.review.hints import point_due

NOTHING = np.zeros((0, 3))
START = (20.0, 14.0, -280.0)


def test_a_vessel_that_nobody_found_begins_where_it_usually_lies():
    due = point_due("carotid_left", NOTHING, NOTHING, None, START)
    assert due.lps_mm == START
    assert "usually lies about here" in due.words
    assert point_due("carotid_left", NOTHING, NOTHING, None) is None


def test_a_course_tells_more_than_the_usual_place_and_a_point_more_than_either():
    course = np.array([[25.0, 10.0, z] for z in (-300.0, -200.0)])
    assert point_due("carotid_left", NOTHING, course, None, START).lps_mm == (25.0, 10.0, -300.0)
    set_already = np.array([[22.0, 12.0, -290.0]])
    assert point_due("carotid_left", set_already, NOTHING, None, START) is None
