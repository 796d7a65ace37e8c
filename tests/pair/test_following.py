"""Following vessels from baseline to follow-up in simulated patients whose motion is known."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from petflame.anatomy import ARTERIES, BY_NAME
from petflame.errors import InputRefused
from petflame.files import read_tsv, write_json, write_nifti
from petflame.folders import PairFolder, VisitFolder
from petflame.labelmap import LabelMap
from petflame.measure.folder import measure_visit
from petflame.measure.product import read_measured
from petflame.pair.correspondence import correspond
from petflame.pair.following import Scan, follow
from petflame.pair.run import pair_visits
from petflame.protocol import PairingRules, Protocol
from petflame.segment.labelmaps import describe
from petflame.segment.product import read_segmentation, write_segmentation
from petflame.simulate.plan import plan_trial
from petflame.simulate.visit import simulate_visit
from petflame.space.grid import Volume
from petflame.space.orientation import to_canonical

RULES = PairingRules()
PLANS = plan_trial(2, 5).visit_plans[:2]


def protocol(**pairing):
    return Protocol(pairing=pairing, sensitivity=[])


@pytest.fixture(scope="module")
def visits():
    return [simulate_visit(plan, "tiny") for plan in PLANS]


@pytest.fixture(scope="module")
def scans(visits):
    return [Scan(to_canonical(v.ct()), to_canonical(v.label_map())) for v in visits]


@pytest.fixture(scope="module")
def followed(scans):
    return follow(*scans, ARTERIES, RULES)


def truly(places):
    """Where places of the baseline lie at follow-up: the phantom's own motion, inverted and applied again."""
    reference = places.copy()
    for _ in range(40):
        reference = reference + (places - PLANS[0].ct_pose.apply(reference))
    return PLANS[1].ct_pose.apply(reference)


@pytest.mark.parametrize("vessel", ARTERIES)
def test_a_known_motion_is_followed_within_a_millimetre(scans, followed, vessel):
    way, places = followed[vessel], scans[0].places(vessel)
    truth = truly(places)
    assert np.linalg.norm(truth - places, axis=1).mean() > 3.0
    assert not way.refused
    assert np.linalg.norm(way.apply(places) - truth, axis=1).mean() < 1.0
    assert np.linalg.norm(way.back(truth) - places, axis=1).mean() < 1.0


def test_nothing_moves_between_a_scan_and_itself(scans):
    way = follow(scans[0], scans[0], ("carotid_left",), RULES)["carotid_left"]
    places = scans[0].places("carotid_left")
    assert np.abs(way.apply(places) - places).max() < 0.05
    assert way.correlation > 0.999


def test_a_vessel_that_baseline_lacks_is_not_followed(scans):
    empty = Scan(scans[0].ct, LabelMap(np.zeros_like(scans[0].labels.data), scans[0].labels.grid))
    assert follow(empty, scans[1], ARTERIES, RULES) == {}
    lost = follow(scans[0], Scan(scans[1].ct, empty.labels), ("carotid_left",), RULES)["carotid_left"]
    assert "no vessel of it is labelled at both visits" in lost.refused


def test_noise_is_not_trusted(scans):
    hu = np.random.default_rng(2).normal(0.0, 200.0, scans[1].ct.data.shape)
    lost = follow(scans[0], Scan(Volume(hu, scans[1].ct.grid), scans[1].labels), ("carotid_left", "aorta_arch"), RULES)
    assert all("the two CTs agree too little" in way.refused for way in lost.values())


def test_a_scan_that_does_not_show_the_neck_is_not_trusted(scans):
    ct, labels = scans[1].ct, scans[1].labels
    chest = np.flatnonzero((labels.data == BY_NAME["aorta_ascending"].label).any(axis=(0, 1)))
    short = slice(0, int(chest[-1]))
    cut = [v.cropped((slice(None), slice(None), short)) for v in (ct, labels)]
    lost = follow(scans[0], Scan(*cut), ("carotid_right", "aorta_ascending"), RULES)
    assert lost["carotid_right"].refused
    assert not lost["aorta_ascending"].refused


def test_a_vessel_that_lands_elsewhere_is_not_trusted(scans):
    labels = scans[1].labels
    data = labels.data.copy()
    own = data == BY_NAME["carotid_left"].label
    data[own] = 0
    data[np.roll(own, 3, axis=0)] = BY_NAME["carotid_left"].label
    way = follow(scans[0], Scan(scans[1].ct, LabelMap(data, labels.grid)), ("carotid_left",), RULES)["carotid_left"]
    assert "mm from where the follow-up has it" in way.refused


@pytest.fixture(scope="module")
def folders(visits, tmp_path_factory):
    """Both visits as measured folders; at follow-up the reader drew every artery one voxel too wide."""
    root = tmp_path_factory.mktemp("visits")
    for n, visit in enumerate(visits):
        folder = VisitFolder(root / f"V{n}")
        labels = visit.labels.copy()
        if n == 1:
            for name in ARTERIES:
                number = BY_NAME[name].label
                wide = ndimage.binary_dilation(labels == number, np.ones((1, 3, 3)))
                labels[wide & (labels == 0)] = number
        write_nifti(folder.pet, visit.pet())
        write_nifti(folder.ct, visit.ct())
        write_json(folder.pet_json, {"suv_factor": 1.0, "voxel_size_mm": [4.5, 4.5, 4.0]})
        marks = {k: tuple(v) for k, v in visit.landmarks_lps_mm.items()}
        write_segmentation(describe(replace(visit, labels=labels).label_map(), "ct", "labels", marks, {}), folder)
    return root / "V0", root / "V1"


def paired(folders, out, **pairing):
    chosen = protocol(**pairing)
    for folder in folders:
        measure_visit(folder, chosen)
    row = pair_visits(*folders, out, "P001", chosen)
    return row, read_tsv(PairFolder(out).vessels).set_index("vessel")


def test_propagated_contours_hold_the_area_equal(folders, tmp_path):
    own, plain = paired(folders, tmp_path / "own")
    row, carried = paired(folders, tmp_path / "carried", followup_contours="baseline")
    assert (plain["area_ratio"] > 1.25).all()
    assert (plain["followup_contours"] == "own").all()
    assert carried["area_ratio"].between(0.95, 1.05).all()
    assert (carried["followup_contours"] == "of the baseline, propagated").all()
    # The index vessel and its seal come from baseline alone; the baseline stays as it was measured.
    assert row["index_vessel"] == own["index_vessel"]
    assert (carried["tbr_max_baseline"] == plain["tbr_max_baseline"]).all()
    # A wider region finds a higher maximum; the equal one does not.
    assert (carried["tbr_max_followup"] <= plain["tbr_max_followup"] + 1e-9).all()
    # What was measured is kept: labels and sections of the follow-up in the baseline's contours.
    kept = VisitFolder(folders[1], PairFolder(tmp_path / "carried").propagated)
    assert kept.pet.exists()
    slices = read_tsv(kept.slices)
    for vessel, level in carried["tbr_max_followup"].items():
        own_sections = slices[(slices["vessel"] == vessel) & slices["valid"]]
        assert own_sections["tbr_max"].mean() == pytest.approx(level)
    labels = read_segmentation(kept)
    assert labels.vessels["carotid_left"].checks[-1].name in ("propagated contour", "PET-CT shift")
    measure_again = paired(folders, tmp_path / "carried")
    assert not PairFolder(tmp_path / "carried").propagated.exists()
    assert (measure_again[1]["tbr_max_followup"] == plain["tbr_max_followup"]).all()
    row_again, _ = paired(folders, tmp_path / "carried", followup_contours="baseline")
    assert row_again["index_vessel"] == row["index_vessel"]
    found = json.loads(PairFolder(tmp_path / "carried").pair_json.read_text())["registration"]
    assert {name for name, item in found.items() if not item["refused"]} == set(ARTERIES)


def test_a_registration_that_fails_leaves_the_own_contours_and_says_why(folders, tmp_path):
    strict = {"registration_correlation": 1.0}
    _, plain = paired(folders, tmp_path / "own")
    _, kept = paired(folders, tmp_path / "p", followup_contours="baseline", correspondence="registration", **strict)
    assert kept["followup_contours"].str.startswith("own: the two CTs agree too little").all()
    assert kept["correspondence"].str.contains("the two CTs agree too little").all()
    assert np.allclose(kept["tbr_max_followup"], plain["tbr_max_followup"])
    assert (kept["matched_sections"] == plain["matched_sections"]).all()


def test_sections_that_a_reader_left_out_are_never_left_in(folders, tmp_path):
    chosen = protocol(followup_contours="baseline")
    for folder in folders:
        measure_visit(folder, chosen)
    table = VisitFolder(folders[1]).left_out[0]
    try:
        table.write_text("vessel\tsection\tz_min_mm\tz_max_mm\twords\ncarotid_left\t3\t\t\tclip\n")
        with pytest.raises(InputRefused, match="name heights"):
            pair_visits(*folders, tmp_path / "P", "P001", chosen)
        z = read_tsv(VisitFolder(folders[1]).slices).query("vessel == 'carotid_left'")["z_mm"].median()
        table.write_text(f"vessel\tsection\tz_min_mm\tz_max_mm\twords\ncarotid_left\t\t{z - 9}\t{z + 9}\tclip\n")
        pair_visits(*folders, tmp_path / "P", "P001", chosen)
        out = read_tsv(PairFolder(tmp_path / "P").vessels).set_index("vessel").loc["carotid_left"]
        assert out["sections_followup"] < out["sections_baseline"] - 3
        table.unlink()
        details = VisitFolder(folders[1]).measure_json
        known = json.loads(details.read_text())
        details.write_text(json.dumps(known | {"reader_exclusions": [{"vessel": "carotid_left", "reason": "clip"}]}))
        with pytest.raises(InputRefused, match="does not lie with the visit"):
            pair_visits(*folders, tmp_path / "P", "P001", chosen)
    finally:
        table.unlink(missing_ok=True)


def test_without_a_ct_nothing_is_registered(folders, tmp_path):
    ct = VisitFolder(folders[1]).ct
    kept = ct.read_bytes()
    try:
        ct.unlink()
        _, vessels = paired(folders, tmp_path / "P", followup_contours="baseline")
        assert vessels["followup_contours"].str.startswith("own: a CT and labels on it are needed").all()
    finally:
        ct.write_bytes(kept)


def test_sections_correspond_by_registration_within_one_section(folders, followed, tmp_path):
    chosen = protocol(correspondence="registration")
    for folder in folders:
        measure_visit(folder, chosen)
    pair_visits(*folders, tmp_path / "P", "P001", chosen)
    vessels = read_tsv(PairFolder(tmp_path / "P").vessels).set_index("vessel")
    assert (vessels["correspondence"] == "registration").all()
    sections = read_tsv(PairFolder(tmp_path / "P").sections)
    slices = [read_tsv(VisitFolder(f).slices).set_index(["vessel", "section"]) for f in folders]
    both = sections.dropna(subset=["section_baseline", "section_followup"])
    for vessel in ("aorta_descending", "carotid_right", "carotid_left"):
        rows = both[both["vessel"] == vessel]
        assert len(rows) > 10
        here = [slices[0].loc[(vessel, int(n)), "z_mm"] for n in rows["section_baseline"]]
        there = np.array([slices[1].loc[(vessel, int(n)), "z_mm"] for n in rows["section_followup"]])
        middle = PLANS[0].ct_pose, scan_centres(folders[0], vessel, here)
        assert np.abs(truly(middle[1])[:, 2] - there).max() < 4.0 + 1.5


def scan_centres(folder, vessel, heights):
    """Places on a vessel's centreline at some heights, LPS mm."""
    line = read_segmentation(VisitFolder(folder)).vessels[vessel].centreline_lps_mm
    line = line[np.argsort(line[:, 2])]
    return np.stack([np.interp(heights, line[:, 2], line[:, axis]) for axis in range(3)], axis=1)


def test_correspondence_without_a_trusted_map_is_by_landmark(folders, followed):
    chosen = protocol()
    for folder in folders:
        measure_visit(folder, chosen)
    first, second = (read_measured(VisitFolder(f), chosen) for f in folders)
    rows = [v.slices[v.slices["vessel"] == "carotid_left"] for v in (first, second)]
    both = (first.segmentation, second.segmentation)
    plain = correspond("carotid_left", *rows, both, 4.0)
    refused = correspond("carotid_left", *rows, both, 4.0, replace(followed["carotid_left"], refused="too little"))
    assert plain.method.startswith("landmark")
    assert refused.method == f"{plain.method} (too little)"
    assert (refused.match == plain.match).all()
