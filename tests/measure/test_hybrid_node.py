"""The hot node beside the left carotid at follow-up of the hybrid study."""

import json

import pytest

from petflame.dicom.convert import convert_visit
from petflame.files import read_tsv
from petflame.measure.folder import measure_visit
from petflame.pair.run import pair_visits
from petflame.protocol import Protocol
from petflame.segment.run import segment_visit

VISITS = ("baseline", "followup")


@pytest.fixture(scope="module")
def visits(reference, tmp_path_factory):
    study, out = reference("hybrid_acrin001"), tmp_path_factory.mktemp("node")
    for visit in VISITS:
        convert_visit(study / visit, out / visit, protocol=Protocol())
        segment_visit(out / visit, "labels", study / f"truth_labels_pet_{visit}.nii.gz")
    truth = {v["name"]: v for v in json.loads((study / "truth.json").read_text())["visits"]}
    return out, truth


def protocol(rule):
    return Protocol(background={"core": "as_given"}, spill_in={"rule": rule})


@pytest.mark.reference
@pytest.mark.slow
def test_the_node_is_flagged_where_it_is_and_hardly_elsewhere(visits):
    out, truth = visits
    near = {s["z"] for s in truth["followup"]["vessels"]["carotid_left"]["slices"] if s.get("near_node")}
    found = {v: measure_visit(out / v, protocol("flag")).slices for v in VISITS}
    flagged = {v: t[t["reason"].str.contains("spill_in_suspected")] for v, t in found.items()}
    hit = flagged["followup"]
    assert set(hit["vessel"]) == {"carotid_left"}
    assert hit["valid"].all()
    assert len(hit) >= 5
    assert all(min(abs(z - place) for place in near) < 0.1 for z in hit["z_mm"])
    assert len(flagged["baseline"]) <= 1


@pytest.mark.reference
@pytest.mark.slow
@pytest.mark.parametrize("rule", ["exclude_sections", "exclude_voxels"])
def test_without_the_node_the_level_is_that_of_the_truth(visits, rule):
    out, truth = visits
    for visit in VISITS:
        measure_visit(out / visit, protocol(rule))
    pair_visits(out / VISITS[0], out / VISITS[1], out / "pair", "H001", protocol(rule))
    row = read_tsv(out / "pair" / "vessels.tsv").set_index("vessel").loc["carotid_left"]
    want = truth["followup"]["vessels"]["carotid_left"]["as_written"]["mean_tbr_max_without_node_slices"]
    assert row["tbr_max_followup"] == pytest.approx(want, rel=0.02)
    left = [truth[v]["vessels"]["carotid_left"]["n_slices"] - row[f"sections_{v}"] for v in VISITS]
    assert left[0] == left[1] >= 5
