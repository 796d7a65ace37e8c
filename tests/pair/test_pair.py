import json

import numpy as np
import pytest

import phantoms
from petflame.errors import InputRefused
from petflame.files import read_tsv, write_json, write_nifti
from petflame.folders import PairFolder, VisitFolder
from petflame.identity.run import doubts_of_pair
from petflame.measure.folder import measure_visit
from petflame.pair.collect import index_doubt
from petflame.pair.correspondence import level_on
from petflame.pair.run import pair_visits
from petflame.protocol import Protocol
from petflame.repeatability import Repeatability
from petflame.segment.product import write_segmentation
from petflame.space.grid import Grid, Volume

CT = phantoms.grid((1.5, 1.5, 2.5))
PET = phantoms.grid((4.0, 4.0, 3.0))
BASELINE = {"aorta_ascending": 2.4, "aorta_descending": 3.5, "carotid_right": 2.3, "carotid_left": 1.9}
SCANNER = {"manufacturer": "A", "model": "B", "reconstruction_method": "OSEM", "voxel_size_mm": [4.0, 4.0, 3.0]}
SIDECAR = {"suv_factor": 1.0, "uptake_min": 90.0, "dose_bq": 2.4e8, "weight_kg": 80.0, **SCANNER}
# What these tubes have nothing for: PET-CT shift (no CT), a kernel's and a software's name, a liver.
MEASURABLE = Protocol(comparability={"not_measured": "ignore"})


def visit_folder(root, peaks, shift_mm=0.0, sidecar=None, protocol=MEASURABLE):
    """Write what convert and segment would have written; `shift_mm` moves the patient along the bed."""
    visit = VisitFolder(root)

    def moved(volume):
        affine = volume.grid.affine.copy()
        affine[2, 3] += shift_mm
        return Volume(volume.data, Grid(volume.grid.shape, affine))

    write_nifti(visit.pet, moved(phantoms.pet_image(PET, peaks)))
    write_json(visit.pet_json, {**SIDECAR, **(sidecar or {})})
    landmarks = {f"carotid_bifurcation_{side}": (0.0, 0.0, 130.0 + shift_mm) for side in ("right", "left")}
    landmarks["carina"] = (0.0, 0.0, 50.0 + shift_mm)
    write_segmentation(phantoms.segmentation(moved(phantoms.label_map(CT)), landmarks=landmarks), visit)
    measure_visit(root, protocol)
    return root


def scaled(factor):
    return {name: factor * peak for name, peak in BASELINE.items()}


@pytest.fixture(scope="module")
def baseline(tmp_path_factory):
    return visit_folder(tmp_path_factory.mktemp("a") / "V1", BASELINE)


def test_a_planted_fall_is_returned(baseline, tmp_path):
    followup = visit_folder(tmp_path / "V2", scaled(0.9), shift_mm=20.0)
    row = pair_visits(baseline, followup, tmp_path / "P", "P001", MEASURABLE)
    assert row["index_vessel"] == "carotid_right"
    assert row["percent_change"] == pytest.approx(-10.0, abs=1e-6)
    assert row["mds_locked_followup"] / row["mds_baseline"] == pytest.approx(0.9)
    assert row["active_locked_followup"] / row["active_baseline"] == pytest.approx(0.9)
    assert row["comparability"] == "pass"
    vessels = read_tsv(PairFolder(tmp_path / "P").vessels)
    assert (vessels["correspondence"].dropna() != "fraction of length").sum() == 4
    assert vessels.loc[vessels["vessel"] == "carotid_right", "matched_sections"].item() == 24


def test_one_scan_is_not_two_visits(baseline, tmp_path):
    for faults in doubts_of_pair(baseline, baseline):
        assert "the same scan" in faults[0].what


def test_another_blood_pool_at_one_visit_fails_the_pair(baseline, tmp_path):
    followup = visit_folder(tmp_path / "V2", BASELINE)
    table = read_tsv(followup / "vessels.tsv", text=("mds_sections",))
    table.loc[table["vessel"] == "carotid_right", "background_region"] = "jugular_left"
    table.to_csv(followup / "vessels.tsv", sep="\t", index=False, na_rep="n/a")
    row = pair_visits(baseline, followup, tmp_path / "P", "P001", MEASURABLE)
    assert row["comparability"] == "fail"
    assert "background_region_carotid_right" in row["comparability_reasons"]


def test_the_descending_aorta_is_no_candidate_however_hot(baseline, tmp_path):
    row = pair_visits(baseline, baseline, tmp_path / "P", "P001", MEASURABLE)
    assert BASELINE["aorta_descending"] > BASELINE[row["index_vessel"]]


def test_the_index_vessel_does_not_depend_on_the_followup(baseline, tmp_path):
    seals = set()
    for n, order in enumerate(([0.5, 1, 1, 2.0], [2.0, 1, 0.5, 1], [1, 1, 1, 1])):
        peaks = {name: f * p for f, (name, p) in zip(order, BASELINE.items(), strict=True)}
        followup = visit_folder(tmp_path / f"V{n}", peaks)
        row = pair_visits(baseline, followup, tmp_path / f"P{n}", "P001", MEASURABLE)
        seals.add((row["index_vessel"], row["index_seal"]))
    assert len(seals) == 1


def test_the_seal_is_written_before_the_followup_is_read(baseline, tmp_path):
    with pytest.raises(InputRefused, match=r"measure\.json"):
        pair_visits(baseline, tmp_path / "absent", tmp_path / "P", "P001", MEASURABLE)
    sealed = json.loads(PairFolder(tmp_path / "P").index.read_text())
    assert sealed["index_vessel"] == "carotid_right"
    assert sealed["tbr_max_baseline"] > 2.3


def test_a_tie_goes_to_the_first_candidate(tmp_path):
    flat = dict.fromkeys(BASELINE, 2.0)
    even = visit_folder(tmp_path / "V", flat)
    # The carotids lie higher and so read higher; made even they tie.
    table = read_tsv(even / "vessels.tsv", text=("mds_sections",))
    table["mean_tbr_max"] = 2.0
    table.to_csv(even / "vessels.tsv", sep="\t", index=False, na_rep="n/a")
    row = pair_visits(even, even, tmp_path / "P", "P001", MEASURABLE)
    assert row["index_vessel"] == "aorta_ascending"
    assert "tie" in json.loads(PairFolder(tmp_path / "P").pair_json.read_text())["index_notes"][0]


@pytest.mark.parametrize(
    ("sidecar", "glucose", "grade"),
    [
        ({"uptake_min": 97.0}, (5.0, 5.0), "warn"),
        ({"uptake_min": 101.0}, (5.0, 5.0), "fail"),
        ({"model": "C"}, (5.0, 5.0), "fail"),
        ({"dose_bq": 2.8e8}, (5.0, 5.0), "warn"),
        ({}, (5.0, 8.0), "warn"),
        ({}, (11.5, 5.0), "fail"),
        ({}, (None, None), "pass"),
    ],
)
def test_pairs_are_graded(baseline, tmp_path, sidecar, glucose, grade):
    followup = visit_folder(tmp_path / "V2", BASELINE, sidecar=sidecar)
    row = pair_visits(baseline, followup, tmp_path / "P", "P001", MEASURABLE, glucose_mmol_l=glucose)
    assert row["comparability"] == grade
    assert bool(row["comparability_reasons"]) == (grade != "pass")


def test_another_protocol_than_that_of_the_measurement_is_refused(baseline, tmp_path):
    other = Protocol(summary={"active_threshold": 1.6})
    with pytest.raises(InputRefused, match="measured under the protocol"):
        pair_visits(baseline, baseline, tmp_path / "P", "P001", other)


def test_the_band_is_symmetric_in_ratios():
    down, up = Repeatability(0.05).change(2.0, 1.8), Repeatability(0.05).change(1.8, 2.0)
    assert (1 + down.percent_low / 100) * (1 + up.percent_high / 100) == pytest.approx(1.0)
    still = Repeatability(0.05).change(2.0, 2.0)
    assert still.percent_high == pytest.approx(100 * np.expm1(1.96 * 2**0.5 * 0.05), rel=1e-2)


def test_a_level_beyond_the_vessel_goes_straight_on():
    line = np.array([[0.0, 0, 30], [0, 0, 20], [0, 0, 10]])
    assert level_on(line, 20.0) == 10.0
    assert level_on(line, 40.0) == -10.0
    assert level_on(line, 0.0) == 30.0
    assert level_on(line, 500.0) is None


def test_an_index_vessel_chosen_among_fewer_than_its_candidates_is_said(baseline, tmp_path):
    short = visit_folder(tmp_path / "V", BASELINE)
    table = read_tsv(short / "vessels.tsv", text=("mds_sections",))
    table.loc[table["vessel"].isin(["aorta_ascending", "carotid_left"]), ["withheld", "reason"]] = [True, "no reader"]
    table.to_csv(short / "vessels.tsv", sep="\t", index=False, na_rep="n/a")
    row = pair_visits(short, baseline, tmp_path / "P", "P001", MEASURABLE)
    assert (row["index_considered"], row["index_left_out"]) == ("carotid_right", "aorta_ascending+carotid_left")
    sealed = json.loads(PairFolder(tmp_path / "P").index.read_text())["candidates"]
    assert sealed["considered"] == ["carotid_right"]
    assert "withheld at baseline (no reader)" in sealed["left_out"]["aorta_ascending"]
    (doubt,) = index_doubt(sealed)
    assert doubt["what"].startswith("the index vessel was chosen among 1 of 3: aorta_ascending is withheld")
    every = pair_visits(baseline, baseline, tmp_path / "Q", "P001", MEASURABLE)
    assert (every["index_considered"].count("+"), every["index_left_out"]) == (2, "")
    assert index_doubt(json.loads(PairFolder(tmp_path / "Q").index.read_text())["candidates"]) == []
