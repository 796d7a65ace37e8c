"""A written study: complete, relocatable, repeatable, and true to its truth."""

from __future__ import annotations

import hashlib
import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pydicom
import pytest

from petflame.anatomy import ARTERIES, BY_NAME, VEINS
from petflame.errors import InputRefused
from petflame.files import read_nifti, read_tsv
from petflame.simulate.plan import plan_trial
from petflame.simulate.regions import label_map
from petflame.simulate.trial import simulate_trial, write_simulated_visit
from petflame.simulate.visit import SIZES, anatomy_of, simulate_visit
from petflame.space.grid import ras_to_lps

SEED = 314
LANDMARKS = ("carotid_bifurcation_right", "carotid_bifurcation_left", "right_pulmonary_artery", "carina")


@pytest.fixture(scope="session")
def visit():
    return simulate_visit(plan_trial(2, SEED).visit_plans[0], "tiny")


def _digests(root):
    return {
        str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest() for p in root.rglob("*") if p.is_file()
    }


def test_every_path_of_the_tables_exists(study):
    visits = read_tsv(study.root / "visits.tsv")
    for row in visits.itertuples():
        assert (study.root / row.dicom_dir).is_dir()
        assert (study.root / row.seeds).is_file()
    with_labels = read_tsv(study.root / "visits_with_labels.tsv")
    assert all((study.root / name).is_file() for name in with_labels["labels"])
    pd.testing.assert_frame_equal(with_labels.drop(columns="labels"), visits)
    for name in ("participants", "visits", "visits_with_labels", "allocation", "outcomes"):
        assert (study.root / f"{name}.tsv").is_file()
        assert (study.root / f"{name}_columns.json").is_file()
    assert len((study.root / "blinding.key").read_text().strip()) == 64


def test_progress_is_told_once_a_visit(study):
    assert [(n, total) for n, total, _ in study.progress] == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_same_bytes_whatever_the_number_of_processes(study, tmp_path):
    plan = study.plan.visit_plans[2]
    write_simulated_visit(tmp_path, plan, "tiny", truth_maps=True)
    theirs, ours = _digests(study.root), _digests(tmp_path)
    assert len(ours) == sum(lattice.shape[0] for lattice in (SIZES["tiny"].ct, SIZES["tiny"].pet)) + 5
    assert {name: theirs[name] for name in ours} == ours


def test_a_visit_is_small(study):
    folder = study.root / study.plan.visit_plans[0].dicom_dir
    assert sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) < 4e6


def test_labels_lie_on_the_ct_grid_and_hold_every_vessel(study):
    plan = study.plan.visit_plans[0]
    labels = read_nifti(study.root / plan.labels)
    assert labels.grid.same_as(SIZES["tiny"].ct.grid)
    sidecar = json.loads((study.root / plan.labels.replace(".nii.gz", ".json")).read_text())
    for name in (*ARTERIES, *VEINS, "myocardium", "vertebrae", "liver"):
        assert sidecar["labels"][str(BY_NAME[name].label)] == name
        assert (labels.data == BY_NAME[name].label).any()
    assert tuple(sidecar["landmarks_lps_mm"]) == LANDMARKS


def test_labels_agree_with_the_dicom_geometry(study):
    plan = study.plan.visit_plans[0]
    images = [pydicom.dcmread(p, stop_before_pixels=True) for p in (study.root / plan.dicom_dir).rglob("*.dcm")]
    images = images or [
        pydicom.dcmread(p, stop_before_pixels=True) for p in (study.root / plan.dicom_dir).rglob("*") if p.is_file()
    ]
    low = min((d for d in images if d.Modality == "CT"), key=lambda d: d.ImagePositionPatient[2])
    labels = read_nifti(study.root / plan.labels)
    first = ras_to_lps(labels.grid.to_ras([0, 0, 0]))
    assert first == pytest.approx([float(v) for v in low.ImagePositionPatient], abs=1e-3)
    assert labels.grid.spacing_mm[:2] == pytest.approx([float(v) for v in low.PixelSpacing], abs=1e-4)


def test_landmarks_and_seeds_lie_in_their_vessels(visit):
    lattice = visit.size.ct
    for side in ("right", "left"):
        z = visit.landmarks_lps_mm[f"carotid_bifurcation_{side}"][2]
        inside = np.argwhere(visit.labels == BY_NAME[f"carotid_{side}"].label)
        assert lattice.z[inside[:, 0].max()] == pytest.approx(z + 15, abs=5)
    for name, points in visit.seeds_lps_mm.items():
        points = np.array(points)
        if name in visit.landmarks_lps_mm:
            assert np.linalg.norm(points[0] - visit.landmarks_lps_mm[name]) < 7
            continue
        gaps = np.linalg.norm(np.diff(points, axis=0), axis=1)
        assert gaps.max() < 19
        assert (np.diff(points[:, 2]) > 0).all()
        inside = np.argwhere(visit.labels == BY_NAME[name].label)
        voxels = np.column_stack([lattice.x[inside[:, 2]], lattice.y[inside[:, 1]], lattice.z[inside[:, 0]]])
        nearest = [np.linalg.norm(voxels - p, axis=1).min() for p in points]
        assert max(nearest) < 6


def test_seeds_of_the_file_are_those_of_the_visit(study, visit):
    assert json.loads((study.root / visit.plan.seeds).read_text()) == visit.seeds_lps_mm


def test_truth_agrees_with_the_stored_pixels(study):
    """Recompute the sections of one visit from its files and its truth map."""
    plan = study.plan.visit_plans[0]
    entry = study.truth["participants"][plan.participant_id]["visits"][plan.visit]
    labels = read_nifti(study.root / "truth" / plan.labels.split("/")[1]).data
    images = [pydicom.dcmread(p) for p in (study.root / plan.dicom_dir).rglob("*") if p.is_file()]
    pet = sorted((d for d in images if d.Modality == "PT"), key=lambda d: d.ImagePositionPatient[2])
    factor = entry["suv_factor_bqml"]
    scale = [float(d[0x7053, 0x1000].value) if d.Units == "CNTS" else factor for d in pet]
    suv = np.stack([d.pixel_array.T * float(d.RescaleSlope) * s for d, s in zip(pet, scale, strict=True)], axis=-1)
    svc = suv[labels == BY_NAME["svc"].label].mean()
    pool = entry["blood_pool"]["as_written"]["svc"]
    assert svc == pytest.approx(pool["suv"], rel=1e-6)
    inside = labels == BY_NAME["aorta_ascending"].label
    sections = [suv[..., k][inside[..., k]].max() / svc for k in np.flatnonzero(inside.any(axis=(0, 1)))]
    vessel = entry["vessels"]["aorta_ascending"]["as_written"]
    assert sections == pytest.approx([s["tbr_max"] for s in vessel["sections"]], rel=1e-6)
    assert np.mean(sections) == pytest.approx(vessel["mean_tbr_max"], rel=1e-6)


def test_truth_tells_what_was_painted(study):
    for plan in study.plan.visit_plans:
        entry = study.truth["participants"][plan.participant_id]["visits"][plan.visit]
        for name in ARTERIES:
            vessel = entry["vessels"][name]
            assert vessel["true_blood_suv"] == plan.blood_suv
            assert vessel["true_wall_suv"] > plan.blood_suv
            assert len(vessel["as_written"]["sections"]) >= 5
        assert entry["vessels"]["carotid_right"]["blood_pool"] == "jugular_both"
    first = next(iter(study.truth["participants"].values()))
    assert set(first["percent_change"]) == set(ARTERIES)


def test_images_look_like_a_patient(visit):
    hu, suv, labels = visit.ct_hu, visit.pet_suv, visit.labels
    assert hu.dtype == np.int16
    lung = hu[:, hu.shape[1] // 2, hu.shape[2] // 2 - 22]
    assert -930 < np.median(lung[lung < -600]) < -700
    typical = {n: np.median(hu[labels == BY_NAME[n].label]) for n in ("aorta_descending", "liver", "vertebrae")}
    assert 25 < typical["aorta_descending"] < 60
    assert 45 < typical["liver"] < 70
    assert typical["vertebrae"] > 120
    truth = visit.truth_labels
    uptake = {n: np.median(suv[truth == BY_NAME[n].label]) for n in ("liver", "svc", "aorta_ascending")}
    # Only the dome is in view, and breathing and blur lower it.
    assert 0.75 < uptake["liver"] / visit.plan.tissue_suv["liver"] < 1.1
    assert uptake["svc"] == pytest.approx(visit.plan.blood_suv, rel=0.12)
    assert uptake["aorta_ascending"] > 1.2 * uptake["svc"]
    assert float(suv[:, 0, 0].mean()) < 0.05


def test_anatomy_is_the_participants_and_differs_between_participants(study):
    plans = study.plan.visit_plans
    same = [anatomy_of(p).vessels.artery("aorta").lumen.points_mm for p in plans]
    assert (same[0] == same[1]).all()
    assert np.abs(same[0] - same[2]).max() > 1.0


def test_regions_move_with_the_pose(study):
    plan = study.plan.visit_plans[0]
    anatomy, lattice = anatomy_of(plan), SIZES["tiny"].pet
    step = lattice.spacing_mm[0]
    here = label_map(anatomy, lattice, plan.ct_pose, neighbours=False)
    there = label_map(anatomy, lattice, plan.ct_pose.moved(np.array([step, 0.0, 0.0])), neighbours=False)
    assert (np.roll(here, 1, axis=2) == there).mean() > 0.9999


def test_a_finished_study_is_replaced_and_anything_else_is_refused(tmp_path, monkeypatch):
    def quick(draft, plan, *_):
        empty = {"vessels": {v: {"as_written": {"mean_tbr_max": 2.0}} for v in ARTERIES}}
        return [empty for _ in plan.visit_plans]

    monkeypatch.setattr("petflame.simulate.trial._make_visits", quick)
    out = tmp_path / "study"
    simulate_trial(out, 2, "tiny", 1)
    simulate_trial(out, 3, "tiny", 1)
    assert len(read_tsv(out / "participants.tsv")) == 3
    assert [p.name for p in tmp_path.iterdir()] == ["study"]
    (out / "notes.txt").write_text("mine")
    with pytest.raises(InputRefused, match="notes"):
        simulate_trial(out, 2, "tiny", 1)
    assert len(read_tsv(out / "participants.tsv")) == 3


@pytest.mark.parametrize("wrong", [{"size": "huge"}, {"cores": 0}, {"patients": 1}], ids=str)
def test_wrong_arguments_leave_nothing(tmp_path, wrong):
    choice = SimpleNamespace(**({"size": "tiny", "cores": 1, "patients": 2} | wrong))
    with pytest.raises(InputRefused):
        simulate_trial(tmp_path / "out", choice.patients, choice.size, 1, choice.cores)
    assert list(tmp_path.iterdir()) == []


def test_a_fault_half_way_leaves_nothing(tmp_path, monkeypatch):
    def broken(*_):
        raise OSError("disk full")

    monkeypatch.setattr("petflame.simulate.trial._make_visits", broken)
    with pytest.raises(OSError, match="disk full"):
        simulate_trial(tmp_path / "out", 2, "tiny", 1)
    assert list(tmp_path.iterdir()) == []
