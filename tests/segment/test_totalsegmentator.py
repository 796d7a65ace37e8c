import json
import os
import shutil
import sys
import types
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from named_vessels import GRID, anatomy
from petflame.errors import InputRefused
from petflame.files import write_nifti
from petflame.segment import automatic, totalsegmentator_worker
from petflame.segment import totalsegmentator as adapter
from petflame.segment.run import segment_visit
from petflame.space.grid import Volume
from totalsegmentator_stand_in import STAND_IN

WEIGHTS = (*adapter.REQUIRED, adapter.ORGAN_WEIGHTS, adapter.NECK_WEIGHTS)

CLASSES = {
    "total": {number: name for table in (adapter.TOTAL, adapter.ORGANS) for name, (_, number) in table.items()},
    adapter.NECK_TASK: {number: name for name, (_, number) in adapter.NECK.items()},
}


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Stand-in package in this process, weights that are folders with a file, and a CT."""
    classes = types.ModuleType("totalsegmentator.map_to_binary")
    classes.class_map = {task: dict(table) for task, table in CLASSES.items()}
    api = types.ModuleType("totalsegmentator.python_api")
    package = types.ModuleType("totalsegmentator")
    for module in (package, classes, api):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(compile(STAND_IN, "stand-in", "exec"), api.__dict__)
    weights = tmp_path / "weights"
    for name in WEIGHTS:
        fold = weights / name / "nnUNetTrainerNoMirroring__nnUNetPlans__3d_fullres" / "fold_0"
        fold.mkdir(parents=True)
        (fold / "checkpoint_final.pth").write_bytes(b"numbers")
        for document in ("plans.json", "dataset.json"):
            (fold.parent / document).write_text("{}")
    monkeypatch.setenv("TOTALSEG_WEIGHTS_PATH", str(weights))
    monkeypatch.setenv("TOTALSEG_HOME_DIR", str(tmp_path / "own home"))
    monkeypatch.delenv(adapter.PYTHON_VARIABLE, raising=False)
    np.savez(tmp_path / "truth.npz", **anatomy())
    monkeypatch.setenv("STAND_IN_TRUTH", str(tmp_path / "truth.npz"))
    write_nifti(tmp_path / "ct.nii.gz", Volume(np.zeros(GRID.shape, np.int16), GRID))
    return types.SimpleNamespace(
        api=api, classes=classes, weights=weights, ct=tmp_path / "ct.nii.gz", truth=tmp_path / "truth.npz"
    )


def remove(installed, name):
    shutil.rmtree(installed.weights / name)


def in_process(python, request):
    """Run the worker here, and put the environment back."""
    before = dict(os.environ)
    try:
        document = totalsegmentator_worker.run(json.loads(Path(request).read_text()))
    finally:
        os.environ.clear()
        os.environ.update(before)
    (Path(request).parent / "result.json").write_text(json.dumps(document))


def find(installed):
    return adapter.segment_with_totalsegmentator(installed.ct, GRID, launch=in_process)


def test_every_vessel_comes_out_under_our_names(installed):
    found = find(installed)
    truth, labels = anatomy(), found.labels.data
    assert found.labels.grid.same_as(GRID)
    assert (np.isin(labels, (1, 2, 3)) == truth["aorta"]).all()
    assert len(set(np.unique(labels)) & {1, 2, 3}) == 3
    for side, number in (("right", 4), ("left", 5)):
        whole = truth[f"common_carotid_artery_{side}"] | truth[f"internal_carotid_artery_{side}"]
        assert ((labels == number) == whole).all()
        low = found.landmarks_lps_mm[f"carotid_bifurcation_{side}"]
        assert low[2] == pytest.approx(39 * 4.0)
    assert ((labels == 6) == truth["superior_vena_cava"]).all()
    assert ((labels == 7) == truth["internal_jugular_vein_right"]).all()
    assert ((labels == 11) == truth["esophagus"]).any()
    assert {f.method for f in found.vessels.values()} == {"totalsegmentator"}
    assert not found.vessels["carotid_left"].withheld


def test_statistics_are_off_and_the_users_folders_are_left_alone(installed):
    before = sorted(p.name for p in installed.weights.iterdir())
    find(installed)
    calls = installed.api.calls
    assert [c["task"] for c in calls] == ["total", adapter.NECK_TASK]
    assert calls[0]["roi_subset"] == [*adapter.TOTAL, *adapter.ORGANS]
    assert calls[1]["roi_subset"] is None
    for call in calls:
        assert call["config"]["send_usage_stats"] is False
        assert call["device"] == "cpu"
        assert set(WEIGHTS) | set(adapter.UNUSED_WEIGHTS) == set(call["weights"])
    assert sorted(p.name for p in installed.weights.iterdir()) == before
    assert not Path(os.environ["TOTALSEG_HOME_DIR"]).exists()
    assert os.environ["TOTALSEG_WEIGHTS_PATH"] == str(installed.weights)


def test_missing_weights_are_all_named_before_anything_runs(installed):
    for name in adapter.REQUIRED:
        remove(installed, name)
    with pytest.raises(InputRefused) as caught:
        find(installed)
    text = str(caught.value)
    assert all(name in text for name in adapter.REQUIRED)
    assert "totalseg_download_weights -t total" in text
    assert "totalseg_download_weights -t headneck_bones_vessels" in text
    assert str(installed.weights) in text
    assert not installed.api.calls


@pytest.mark.parametrize("damage", ["empty checkpoint", "no checkpoint", "no plans"])
def test_weights_of_a_broken_download_are_not_taken_for_whole(installed, damage):
    folder = installed.weights / adapter.VESSEL_WEIGHTS
    [checkpoint] = folder.glob("*/fold_0/checkpoint_final.pth")
    if damage == "empty checkpoint":
        checkpoint.write_bytes(b"")
    elif damage == "no checkpoint":
        checkpoint.unlink()
    else:
        (checkpoint.parents[1] / "plans.json").unlink()
    with pytest.raises(InputRefused, match=f"{adapter.VESSEL_WEIGHTS} are incomplete: delete them"):
        find(installed)
    assert not installed.api.calls


def test_the_finer_model_crops_where_its_weights_are_there(installed):
    shutil.copytree(installed.weights / adapter.CROP_WEIGHTS, installed.weights / adapter.FINE_CROP_WEIGHTS)
    found = find(installed)
    total, neck = installed.api.calls
    assert total["roi_subset"] is None
    assert total["roi_subset_robust"] == [*adapter.TOTAL, *adapter.ORGANS]
    assert total["robust_crop"] is neck["robust_crop"] is True
    assert found.provenance["crop_model"] == adapter.FINE_CROP_WEIGHTS


@pytest.mark.parametrize(
    "move", [np.diag([1.0, 1, 1.1, 1]), np.array([[1.0, 0, 0, 1], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])]
)
def test_a_result_on_another_grid_is_refused(installed, monkeypatch, move):
    def moved(*arguments, **options):
        image = whole(*arguments, **options)
        nib.save(nib.Nifti1Image(np.asarray(image.dataobj), move @ image.affine), arguments[1])

    whole = installed.api.totalsegmentator
    monkeypatch.setattr(installed.api, "totalsegmentator", moved)
    with pytest.raises(InputRefused, match=r"its result lies on .* not on the CT"):
        find(installed)


def test_a_part_of_the_grid_is_refused(installed, monkeypatch):
    def cut(*arguments, **options):
        image = whole(*arguments, **options)
        nib.save(image.slicer[:, :, :-1], arguments[1])

    whole = installed.api.totalsegmentator
    monkeypatch.setattr(installed.api, "totalsegmentator", cut)
    with pytest.raises(InputRefused, match="not on the CT"):
        find(installed)


def test_nothing_found_withholds_everything(installed):
    np.savez(installed.truth)
    found = find(installed)
    assert not found.labels.data.any()
    assert all(v.withheld for v in found.vessels.values())


def test_without_the_package_and_without_weights_both_are_said(monkeypatch, tmp_path):
    monkeypatch.setenv("TOTALSEG_HOME_DIR", str(tmp_path))
    monkeypatch.delenv("TOTALSEG_WEIGHTS_PATH", raising=False)
    monkeypatch.setenv(adapter.PYTHON_VARIABLE, str(tmp_path / "nowhere"))
    found = adapter.find_installation()
    assert not found.ready
    with pytest.raises(InputRefused) as caught:
        adapter.require_ready(found)
    assert len(caught.value.faults) == 2
    assert "envs/totalsegmentator.yaml" in str(caught.value)


def test_the_environment_pins_the_version_that_the_adapter_speaks_of():
    lines = (Path(__file__).parents[2] / "envs" / "totalsegmentator.yaml").read_text().splitlines()
    pins = dict(line.strip(" -").split("==", 1) for line in lines if "==" in line and "#" not in line)
    assert {"torch", "torchvision", "nnunetv2", "TotalSegmentator"} == set(pins)
    assert pins["TotalSegmentator"] == adapter.TESTED_VERSION


def test_without_the_necks_weights_there_are_common_carotids_and_no_jugulars(installed):
    remove(installed, adapter.NECK_WEIGHTS)
    found = find(installed)
    assert [c["task"] for c in installed.api.calls] == ["total"]
    assert found.vessels["jugular_left"].withheld
    assert not found.vessels["carotid_left"].withheld
    assert any(adapter.NECK_WEIGHTS in w for w in found.warnings)
    assert set(found.landmarks_lps_mm) == {"brachiocephalic_confluence"}


def test_a_version_without_our_classes_is_refused_before_it_runs(installed):
    installed.classes.class_map["total"].pop(52)
    with pytest.raises(InputRefused, match="has no classes total: aorta"):
        find(installed)
    assert not installed.api.calls


def test_other_numbers_are_followed_by_name_and_said(installed):
    installed.classes.class_map["total"][99] = installed.classes.class_map["total"].pop(62)
    found = find(installed)
    assert (found.labels.data == 6).any()
    assert any("superior_vena_cava the number 99, not 62" in w for w in found.warnings)


def test_an_aorta_without_its_arch_is_withheld_not_refused(installed):
    masks = anatomy()
    masks["aorta"][:, :36] = False
    masks["aorta"][..., 20:] = False
    np.savez(installed.truth, **masks)
    found = find(installed)
    assert all(found.vessels[n].withheld for n in ("aorta_ascending", "aorta_arch", "aorta_descending"))
    assert "cannot be divided" in found.vessels["aorta_ascending"].reason
    assert not found.vessels["svc"].withheld


def test_mirrored_names_are_refused(installed):
    masks = anatomy()
    for stem in ("common_carotid_artery", "internal_carotid_artery"):
        masks[f"{stem}_left"], masks[f"{stem}_right"] = masks[f"{stem}_right"], masks[f"{stem}_left"]
    np.savez(installed.truth, **masks)
    with pytest.raises(InputRefused, match="mirrored"):
        find(installed)


def test_the_worker_runs_in_a_process_of_its_own(installed, tmp_path, monkeypatch):
    package = tmp_path / "site" / "totalsegmentator"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "map_to_binary.py").write_text(f"class_map = {CLASSES!r}\n")
    (package / "python_api.py").write_text(STAND_IN)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    monkeypatch.setenv(adapter.PYTHON_VARIABLE, sys.executable)
    write_nifti(tmp_path / "pet.nii.gz", Volume(np.zeros(GRID.shape, np.float32), GRID))
    found = segment_visit(tmp_path, "totalsegmentator", None)
    assert (np.isin(found.labels.data, (1, 2, 3)) == anatomy()["aorta"]).all()
    assert json.loads((tmp_path / "labels.json").read_text())["vessels"]["svc"]["method"] == "totalsegmentator"
    (package / "python_api.py").write_text("raise RuntimeError('no model today')\n")
    before = sorted(p.name for p in tmp_path.iterdir())
    kept = (tmp_path / "labels.json").read_bytes()
    with pytest.raises(InputRefused, match="no model today"):
        segment_visit(tmp_path, "totalsegmentator", None)
    assert sorted(p.name for p in tmp_path.iterdir()) == before
    assert (tmp_path / "labels.json").read_bytes() == kept


def test_auto_takes_the_better_maker_for_each_vessel_and_says_which(installed, tmp_path, monkeypatch):
    learned = find(installed)
    monkeypatch.setattr("petflame.segment.run.find_installation", lambda: adapter.Installation("py", tmp_path, ()))
    monkeypatch.setattr("petflame.segment.run.segment_with_totalsegmentator", lambda *args: learned)
    ct = Volume(np.zeros(GRID.shape, np.int16), GRID)
    seeds = tmp_path / "seeds.json"
    seeds.write_text(json.dumps({"carotid_right": [[20.0, 0.0, z] for z in range(116, 180, 15)]}))
    finder = types.SimpleNamespace(scope_faults=(), labels=np.zeros(GRID.shape, np.uint8), landmarks_lps_mm={})
    finder.proposals = {}
    finder.labels[:5, :5, :5] = 3
    line = np.array([[0.0, 0, 0], [0, 0, 10]])
    finder.vessels = {
        "aorta_descending": types.SimpleNamespace(
            checks=(), confidence=0.9, centreline_lps_mm=line, withheld=False, reason=""
        )
    }
    monkeypatch.setattr("petflame.segment.geometric.find_vessels", lambda ct, regions: finder)
    found = automatic.segment_automatically(ct, seeds, True, learned)
    methods = {name: f.method for name, f in found.vessels.items()}
    assert methods["carotid_right"] == "seeds"
    assert methods["aorta_descending"] == methods["svc"] == "totalsegmentator"
    assert not (found.labels.data[:5, :5, :5] == 3).any()
    alone = automatic.segment_automatically(ct, seeds, True)
    assert alone.vessels["aorta_descending"].method == "geometric"
    assert found.provenance["totalsegmentator"]["tasks"] == sorted(CLASSES)
    write_nifti(tmp_path / "pet.nii.gz", Volume(np.zeros(GRID.shape, np.float32), GRID))
    assert segment_visit(tmp_path, "auto", seeds).vessels["svc"].method == "totalsegmentator"


def test_the_worker_touches_nothing_but_what_it_is_told(tmp_path):
    before = dict(os.environ)
    try:
        totalsegmentator_worker.prepare(tmp_path / "home", tmp_path)
    finally:
        os.environ.clear()
        os.environ.update(before)
    assert json.loads((tmp_path / "home" / "config.json").read_text())["send_usage_stats"] is False
