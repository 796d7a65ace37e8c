"""Whether a course is one that a carotid can take, on courses whose answer can be seen."""

from __future__ import annotations

import numpy as np
import pytest

from petflame.files import write_json
from petflame.folders import VisitFolder
from petflame.labelmap import LabelMap
from petflame.segment.geometric.proposing import carotid_checks
from petflame.segment.geometric.result import Proposal
from petflame.segment.geometric.tracks import Track
from petflame.segment.product import Segmentation, read_segmentation, write_segmentation
from petflame.segment.proposals import draw_proposals
from petflame.segment.verdict import verdict
from petflame.space.grid import Grid

PLANES = np.arange(40)
UP_MM = 2.0 * PLANES


def track(x_mm, y_mm=0.0, radius_mm=4.0, planes=PLANES):
    centre = np.column_stack(np.broadcast_arrays(x_mm, y_mm, np.zeros(len(PLANES))))[planes, :2]
    return Track(planes, centre, np.full(len(planes), radius_mm), np.full(len(planes), 0.2))


def failed(carotid, jugular, halves=None):
    halves = halves or (carotid, carotid)
    return [c.name for c in carotid_checks(carotid, jugular, halves) if not c.passed]


def test_a_carotid_beside_its_vein_passes():
    assert failed(track(0.3 * UP_MM), track(0.3 * UP_MM + 12.0)) == []


@pytest.mark.parametrize(("lean", "wrong"), [(0.9, []), (1.1, ["course"])])
def test_a_course_that_leans_by_more_than_45_degrees_is_not_offered(lean, wrong):
    # 20 mm of the way lean, the rest runs straight up.
    x = lean * np.clip(UP_MM - 20.0, 0.0, 20.0)
    assert failed(track(x), track(x + 12.0)) == wrong


@pytest.mark.parametrize(("levels", "wrong"), [(4, []), (5, ["two vessels"])])
def test_a_course_in_the_veins_place_for_over_a_tenth_is_not_offered(levels, wrong):
    apart = np.where(levels > PLANES, 6.0, 12.0)
    assert failed(track(0.0), track(apart)) == wrong


@pytest.mark.parametrize(("off_mm", "wrong"), [(2.5, []), (3.5, ["two halves"])])
def test_two_courses_from_other_planes_must_agree(off_mm, wrong):
    halves = track(0.0, planes=PLANES[::2]), track(off_mm, planes=PLANES[1::2])
    assert failed(track(0.0), track(12.0), halves) == wrong


def test_what_is_not_offered_says_why_what_to_do_and_where_to_begin(tmp_path):
    grid = Grid((40, 40, 40), np.diag([-2.0, -2.0, 2.0, 1.0]))
    line = np.column_stack([np.full(20, 20.0), np.full(20, 30.0), np.linspace(10, 60, 20)])
    made = {
        "carotid_right": Proposal(line, 0.2, (), (1.0, 2.0, 3.0), ""),
        "carotid_left": Proposal(line, 0.2, (), (30.25, 40.0, 50.0), "course: 2.00 mm aside a mm upwards"),
    }
    labels, findings = draw_proposals(made, grid)
    assert (np.unique(labels[labels > 0]) == 4).all()
    assert findings["carotid_right"].method == "proposal"
    left = findings["carotid_left"]
    assert left.reason.startswith("no proposal: course: 2.00 mm aside a mm upwards; set points along it")
    assert (left.withheld, verdict(left).badge) == (True, "not found")
    visit = VisitFolder(tmp_path / "V")
    visit.root.mkdir()
    write_json(visit.pet_json, {})
    write_segmentation(Segmentation(LabelMap(labels, grid), "ct", findings), visit)
    kept = read_segmentation(visit).vessels
    assert kept["carotid_left"].start_lps_mm == pytest.approx((30.25, 40.0, 50.0), abs=0.06)
    assert len(kept["carotid_left"].centreline_lps_mm) == 0
