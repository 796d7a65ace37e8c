"""The finder on simulated chests, whose true regions are known."""

import json

import numpy as np
import pytest

from petflame.anatomy import BY_NAME
from petflame.segment.automatic import segment_automatically
from petflame.segment.geometric import find_vessels
from petflame.simulate.plan import plan_trial
from petflame.simulate.visit import simulate_visit


@pytest.fixture(scope="module", params=(0, 5), ids=("first", "second"))
def visit(request):
    return simulate_visit(plan_trial(4, 7).visit_plans[request.param], "fast")


@pytest.fixture(scope="module")
def found(visit):
    return find_vessels(visit.ct())


def truth(visit):
    return visit.size.ct.volume(visit.labels).data


def region(labels, name):
    return labels == BY_NAME[name].label


@pytest.mark.parametrize("name", ["aorta_ascending", "aorta_arch", "aorta_descending", "svc"])
def test_sections_agree_with_the_true_ones(visit, found, name):
    ours, theirs = region(found.labels, name), region(truth(visit), name)
    both = np.flatnonzero(ours.any(axis=(0, 1)) & theirs.any(axis=(0, 1)))[1:-1]
    assert len(both) >= 6
    shared = 2 * (ours & theirs)[..., both].sum(axis=(0, 1))
    dice = shared / (ours[..., both].sum(axis=(0, 1)) + theirs[..., both].sum(axis=(0, 1)))
    assert np.median(dice) > 0.9
    assert not found.vessels[name].withheld


def test_the_liver_reference_lies_in_the_liver(visit, found):
    ours = region(found.labels, "liver")
    assert ours.sum() * visit.ct().grid.voxel_volume_mm3 > 8000
    assert region(truth(visit), "liver")[ours].all()


def test_the_thyroid_region_lies_on_the_thyroid(visit, found):
    ours, theirs = region(found.labels, "thyroid"), region(truth(visit), "thyroid")
    assert ours.any()
    assert theirs[ours].mean() > 0.8


def test_what_is_proposed_lies_on_its_vessel_and_what_is_not_says_where_to_begin(visit, tmp_path):
    ct = visit.ct()
    names = ("carotid_right", "carotid_left", "jugular_right", "jugular_left")
    alone = segment_automatically(ct, None)
    for name in names:
        finding = alone.vessels[name]
        assert finding.withheld
        mask = region(truth(visit), name)
        x, y, z = finding.start_lps_mm
        assert np.linalg.norm(ct.grid.to_ras(np.argwhere(mask)) * [-1, -1, 1] - [x, y, z], axis=1).min() < 25
        if finding.method == "none":
            assert finding.reason.startswith("no proposal: ")
            assert "set points" in finding.reason
            assert not region(alone.labels.data, name).any()
            continue
        assert finding.method == "proposal"
        assert name.startswith("carotid")
        middle = {int(k): np.argwhere(mask[..., k]).mean(axis=0) for k in np.flatnonzero(mask.any(axis=(0, 1)))}
        ours = ct.grid.to_ijk(finding.centreline_lps_mm * [-1, -1, 1])
        off = [np.hypot(*(p[:2] - middle[round(p[2])])) for p in ours if round(p[2]) in middle]
        assert np.mean(off) * ct.grid.spacing_mm[0] < 3.0
    (tmp_path / "seeds.json").write_text(json.dumps(visit.seeds_lps_mm))
    seeded = segment_automatically(ct, tmp_path / "seeds.json")
    assert {seeded.vessels[name].method for name in names} == {"seeds"}
    assert not any(seeded.vessels[name].withheld for name in names)
    assert set(seeded.landmarks_lps_mm) >= {"carotid_bifurcation_right", "carotid_bifurcation_left", "carina"}
    for name in names:
        overlap = region(seeded.labels.data, name) & region(truth(visit), name)
        assert overlap.sum() > 0.4 * region(seeded.labels.data, name).sum()
