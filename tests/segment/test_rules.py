"""By which rules vessels were found is kept with them, and held against the protocol for these alone."""

from __future__ import annotations

import numpy as np
import pytest

from petflame.errors import InputRefused
from petflame.labelmap import LabelMap
from petflame.segment.product import ACCEPTED, Segmentation, VesselFinding
from petflame.segment.rules import found_by_rule, require_rules, with_rules
from petflame.space.grid import Grid

GRID = Grid((2, 2, 2), np.eye(4))


def made_by(**methods: str) -> Segmentation:
    vessels = {n: VesselFinding(m.replace("_by", ACCEPTED), None, (), np.zeros((0, 3))) for n, m in methods.items()}
    return Segmentation(LabelMap(np.zeros((2, 2, 2), np.uint8), GRID), "ct", vessels, provenance={"method": "auto"})


@pytest.mark.parametrize(
    ("methods", "names"),
    [
        ({"aorta_arch": "geometric", "carotid_left": "seeds"}, ["aorta_arch"]),
        ({"svc": "geometric_by", "aorta_arch": "labels"}, ["svc"]),
        ({"svc": "totalsegmentator", "aorta_arch": "totalsegmentator"}, ["svc"]),
        ({"svc": "labels", "aorta_arch": "seeds", "carotid_left": "proposal", "jugular_left": "none"}, []),
    ],
)
def test_only_what_software_found_depends_on_the_rules(methods, names):
    found = made_by(**methods)
    assert found_by_rule(found) == names
    kept = with_rules(found, "landmarks")
    assert kept.provenance.get("regions") == ("landmarks" if names else None)
    require_rules(kept, "landmarks", "labels.json")
    if not names:
        require_rules(kept, "former", "labels.json")
        return
    with pytest.raises(InputRefused) as caught:
        require_rules(kept, "former", "labels.json")
    for word in (*names, "`landmarks`", "`former`", "petflame segment"):
        assert word in str(caught.value)


def test_labels_from_before_there_was_a_choice_are_the_former():
    old = made_by(svc="geometric")
    require_rules(old, "former", "labels.json")
    with pytest.raises(InputRefused, match="`former`"):
        require_rules(old, "landmarks", "labels.json")


def test_a_readers_redrawing_of_every_vessel_frees_it_from_the_rules():
    redrawn = made_by(svc="labels, edited by a reader")
    require_rules(redrawn, "landmarks", "labels.json")
