import numpy as np
import pytest

from petflame.segment.product import Check, VesselFinding
from petflame.segment.verdict import verdict

OPEN = Check("PET-CT shift", False, "not measured: too little of the PET lies round the vessel")
GOOD, BAD = Check("radius", True, "4.0 mm"), Check("PET-CT shift", False, "7.9 mm in the axial plane")
LINE = np.zeros((2, 3))


@pytest.mark.parametrize(
    ("finding", "state", "badge"),
    [
        (VesselFinding("seeds", None, (GOOD,), LINE), "pass", "all checks passed"),
        (VesselFinding("seeds", None, (GOOD, BAD), LINE), "warn", "look again: PET-CT shift failed"),
        (VesselFinding("seeds", None, (GOOD, OPEN), LINE), "warn", "look again: PET-CT shift not measured"),
        (VesselFinding("seeds", None, (GOOD, BAD), LINE, True, "misplaced"), "fail", "needs a reader"),
        (VesselFinding("none", None, (), np.zeros((0, 3)), True, "no seeds"), "unknown", "not found"),
        (VesselFinding("seeds", None, (), LINE), "unknown", "not checked"),
    ],
    ids=["passed", "shift failed", "not measured", "withheld", "absent", "unchecked"],
)
def test_only_a_vessel_that_failed_no_check_has_passed(finding, state, badge):
    said = verdict(finding)
    assert (said.state, said.badge) == (state, badge)
    assert said.words.startswith(badge.split(":")[0])


def test_the_words_name_what_failed_with_its_figures():
    words = verdict(VesselFinding("seeds", None, (GOOD, BAD), LINE)).words
    assert words == "look again: PET-CT shift failed (7.9 mm in the axial plane)"
    assert verdict(VesselFinding("seeds", None, (BAD,), LINE, True, "misplaced")).words == "needs a reader: misplaced"
