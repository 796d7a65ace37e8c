"""What spill-in excludes at one visit is left out at the matched section of the other."""

import numpy as np
import pandas as pd
import pytest

from petflame.pair.shared_spill_in import left_out, share_exclusions
from petflame.protocol import Protocol

SPILLED = "spill_in_suspected"


def table(tbr, spilled=(), valid=True):
    count = len(tbr)
    reasons = [SPILLED if n in spilled else "" for n in range(count)]
    counts = [bool(valid) or n not in spilled for n in range(count)]
    return pd.DataFrame(
        {
            "vessel": "carotid_left",
            "section": range(count),
            "plane": range(count),
            "tbr_max": np.asarray(tbr, float),
            "tbr_mean": np.asarray(tbr, float) - 0.5,
            "suv_max": np.asarray(tbr, float),
            "background": 1.0,
            "area_mm2": 50.0,
            "valid": counts,
            "reason": reasons,
        }
    )


def share(first, second, rule, locked=None):
    protocol = Protocol(spill_in={"rule": rule}, summary={"mds_length_mm": 6.0})
    match = np.arange(len(first))
    locked = locked or {"mds": [], "active": []}
    rows = ({"mean_tbr_max": 9.0, "mds_tbr_max": 9.0}, {"mean_tbr_max": 9.0, "mds_tbr_max": 9.0})
    return share_exclusions(rows, (first, second), match, locked, 3.0, protocol)


def test_a_section_excluded_at_followup_is_left_out_at_baseline():
    first, second = table([2, 2, 4, 3]), table([1, 1, 9, 2], spilled=[2], valid=False)
    (a, b), slices, _ = share(first, second, "exclude_sections")
    assert slices[0]["valid"].tolist() == [True, True, False, True]
    assert slices[0]["reason"].tolist() == ["", "", "spill_in_at_other_visit", ""]
    assert a["mean_tbr_max"] == pytest.approx(7 / 3)
    assert b["mean_tbr_max"] == pytest.approx(4 / 3)
    assert "1 section(s) left out because of spill-in at follow-up" in a["reason"]


def test_flags_alone_leave_everything_as_it_is():
    first, second = table([2, 2, 4, 3]), table([1, 1, 9, 2], spilled=[2])
    rows, slices, _ = share(first, second, "flag")
    assert rows[0]["mean_tbr_max"] == 9.0
    assert slices[0] is first


def test_voxels_lost_at_one_visit_alone_leave_the_section_out_at_both():
    a, b = left_out(
        np.array([True, False, True, False]),
        np.array([True, True, False, False]),
        np.array([0, 1, 2, 3]),
        "exclude_voxels",
    )
    assert a.tolist() == [False, True, True, False]
    assert b.tolist() == [False, True, True, False]


def test_the_locked_segment_keeps_to_the_sections_that_remain():
    first, second = table([2, 3, 5, 4, 1]), table([1, 2, 9, 3, 1], spilled=[2], valid=False)
    (a, _), _, locked = share(first, second, "exclude_sections", {"mds": [2, 3], "active": [0, 1, 2, 3]})
    assert locked == {"mds": [3], "active": [0, 1, 3]}
    assert a["mds_tbr_max"] == 4.0
    assert a["active_tbr_max"] == 3.0


def test_an_unmatched_section_touches_nothing():
    a, b = left_out(np.array([True]), np.array([True]), np.array([-1]), "exclude_sections")
    assert not a.any()
    assert not b.any()
