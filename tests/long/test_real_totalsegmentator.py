"""TotalSegmentator itself, in its own environment, offline, with networks that were never trained (see `networks`).

``./run totalsegmentator-test`` installs it and runs these; they skip by name where PETFLAME_TOTALSEGMENTATOR_PYTHON
does not name its interpreter. What the published weights find is not tested here: nobody can ship them. What is
tested is everything else: that the installed package has the arguments, classes, folders and commands that the adapter
relies on, and that vessels painted in codes come back at their places, under their names, however the CT is stored.
"""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
import tempfile
import time
import types
from pathlib import Path

import nibabel as nib
import numpy as np
import psutil
import pytest
from scipy import ndimage

from petflame.errors import InputRefused, MachineFault
from petflame.files import read_nifti, write_nifti
from petflame.segment import totalsegmentator as adapter
from petflame.segment import totalsegmentator_worker
from petflame.segment.totalsegmentator_process import Limits, run_worker
from petflame.space.grid import Grid, Volume

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

import networks  # noqa: E402

from named_vessels import anatomy  # noqa: E402
from totalsegmentator_stand_in import STAND_IN  # noqa: E402

PYTHON = os.environ.get(adapter.PYTHON_VARIABLE, "")
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not PYTHON, reason=f"{adapter.PYTHON_VARIABLE} does not name TotalSegmentator's interpreter"),
]
WORKER = Path(totalsegmentator_worker.__file__)
# Resampling leads an edge of some 3000 HU through the 6 HU of another code in 0.2 % of the voxels there.
STRAY_FRACTION = 0.005
# The phantom in the voxels that the vessels' models work in, so that their labels must come back exactly.
FINE = Grid((70, 70, 50), np.array([[-1.5, 0, 0, 52], [0, -1.5, 0, 52], [0, 0, 1.5, 0], [0, 0, 0, 1]]))


def write_networks(folder, kind, *more):
    script = Path(networks.__file__)
    subprocess.run([PYTHON, str(script), str(folder), kind, *more], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def coded(tmp_path_factory):
    return write_networks(tmp_path_factory.mktemp("weights"), "coded")


@pytest.fixture
def temporary(monkeypatch):
    """A folder of its own for temporary files, of a short name, to see that none stays."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        monkeypatch.setenv("TMPDIR", name)
        monkeypatch.setattr(tempfile, "tempdir", None)
        yield folder
        assert not list(folder.iterdir())


def segment(path, grid, weights, limits=Limits(threads=os.cpu_count() or 1)):  # noqa: B008
    """Run the adapter; what it used stands in the second."""
    used = []

    def launch(python, request):
        used.append(run_worker(python, WORKER, request, limits))
        result = json.loads((request.parent / "result.json").read_text())
        assert result["network_attempts"] == []
        config = json.loads((request.parent / "home" / "config.json").read_text())
        assert config["send_usage_stats"] is False
        assert config["prediction_counter"] == len(result["images"])

    installation = adapter.Installation(PYTHON, weights, ())
    found = adapter.segment_with_totalsegmentator(path, grid, installation, launch)
    print(f"\n{path.name}: {used[0].seconds:.0f} s, peak {used[0].peak_gb:.2f} GB")
    return found, used[0]


def ask(code):
    done = subprocess.run([PYTHON, "-c", code], check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def test_the_installed_package_is_what_the_adapter_and_its_stand_in_take_it_for():
    installed = ask(
        "import inspect, json; from importlib.metadata import version\n"
        "from totalsegmentator.python_api import totalsegmentator as f\n"
        "from totalsegmentator.map_to_binary import class_map\n"
        "from totalsegmentator.map_tasks_config import TASK_CONFIGS, TASK_ID_WEIGHTS_CONFIGS as w\n"
        "from totalsegmentator.bin.totalseg_download_weights import TASK_TO_ID\n"
        "from totalsegmentator.registry import requires_license\n"
        f"tasks = ('total', '{adapter.NECK_TASK}')\n"
        "print(json.dumps({'version': version('TotalSegmentator'),"
        "'signature': [(p.name, repr(p.default)) for p in inspect.signature(f).parameters.values()],"
        "'classes': {t: class_map[t] for t in tasks},"
        "'folders': {t: [w[i]['foldername'] for i in TASK_TO_ID[t]] for t in (*tasks, 'total_fast')},"
        "'licensed': [requires_license(t) for t in tasks]}))"
    )
    assert installed["version"] == adapter.TESTED_VERSION
    modules = types.SimpleNamespace(class_map={})
    sys.modules["totalsegmentator"] = types.ModuleType("totalsegmentator")
    sys.modules["totalsegmentator.map_to_binary"] = modules
    try:
        scope = {}
        exec(compile(STAND_IN, "stand-in", "exec"), scope)
    finally:
        for name in ("totalsegmentator", "totalsegmentator.map_to_binary"):
            del sys.modules[name]
    stand_in = inspect.signature(scope["totalsegmentator"]).parameters.values()
    assert [[p.name, repr(p.default)] for p in stand_in] == installed["signature"]
    for task, tables in (("total", (adapter.TOTAL, adapter.ORGANS)), (adapter.NECK_TASK, (adapter.NECK,))):
        for name, (_, number) in (item for table in tables for item in table.items()):
            assert installed["classes"][task][str(number)] == name
    # The two commands that the messages name fetch every folder that is asked for.
    total = {*adapter.REQUIRED, adapter.ORGAN_WEIGHTS, *adapter.UNUSED_WEIGHTS}
    assert total == set(installed["folders"]["total"])
    assert installed["folders"][adapter.NECK_TASK] == [adapter.NECK_WEIGHTS]
    assert adapter.FINE_CROP_WEIGHTS in installed["folders"]["total_fast"]
    assert installed["licensed"] == [False, False]


def stored(data, grid, axes, ways):
    """The same image with other axes first and others reversed."""
    step = np.zeros((4, 4))
    step[3, 3] = 1
    for new, (old, way) in enumerate(zip(axes, ways, strict=True)):
        step[old, new] = way
        step[old, 3] = grid.shape[old] - 1 if way < 0 else 0
    moved = np.ascontiguousarray(np.transpose(data, axes)[tuple(slice(None, None, way) for way in ways)])
    return moved, Grid(moved.shape, grid.affine @ step)


def painted(masks, background):
    image = background.astype(np.int16).copy()
    for name, mask in masks.items():
        image[mask] = networks.hu_of(name)
    return image


@pytest.mark.parametrize(("axes", "ways"), [((0, 1, 2), (1, 1, 1)), ((2, 0, 1), (-1, 1, -1))])
def test_painted_vessels_come_back_at_their_places_however_the_ct_is_stored(tmp_path, coded, temporary, axes, ways):
    masks = anatomy()
    i, j, k = np.indices(FINE.shape)
    bones = {
        "clavicula_right": (np.abs(i - 8) < 3) & (np.abs(j - 33) < 3) & (np.abs(k - 32) < 3),
        "clavicula_left": (np.abs(i - 62) < 3) & (np.abs(j - 33) < 3) & (np.abs(k - 32) < 3),
        "vertebrae_C1": (np.abs(i - 35) < 3) & (np.abs(j - 55) < 3) & (np.abs(k - 46) < 3),
    }
    image, grid = stored(painted({**masks, **bones}, np.full(FINE.shape, 40)), FINE, axes, ways)
    write_nifti(tmp_path / "ct.nii.gz", Volume(image, grid))
    found, _ = segment(tmp_path / "ct.nii.gz", grid, coded)
    # Where two are painted in one place the later one holds it.
    drawn = painted({**masks, **bones}, np.zeros(FINE.shape))
    at = {name: drawn == networks.hu_of(name) for name in masks}
    labels = {n: stored(at[n], FINE, axes, ways)[0] for n in at}
    data = found.labels.data
    print({n: int((data == n).sum()) for n in range(1, 12)}, {n: int(m.sum()) for n, m in labels.items()})
    assert found.labels.grid.same_as(grid)
    assert (np.isin(data, (1, 2, 3)) == labels["aorta"]).all()
    assert ((data == 6) == labels["superior_vena_cava"]).all()
    assert ((data == 11) & ~labels["esophagus"]).sum() == ((data == 10) & ~labels["thyroid_gland"]).sum() == 0
    for side, carotid, jugular in (("right", 4, 7), ("left", 5, 8)):
        common = labels[f"common_carotid_artery_{side}"]
        internal = labels[f"internal_carotid_artery_{side}"]
        assert (data[common] == carotid).all()
        vein = labels[f"internal_jugular_vein_{side}"]
        stray = [int(((data == n) & ~drawn).sum()) for n, drawn in ((carotid, common | internal), (jugular, vein))]
        print(side, "voxels elsewhere", stray)
        # The neck's model works in other voxels: a rim is lost, and where an edge between two vessels happens to pass
        # through the code of a third voxels are found. What is found in its place lies there evenly.
        assert max(stray) <= STRAY_FRACTION * sum(map(np.count_nonzero, labels.values()))
        for what, there, drawn in (("carotid", (data == carotid) & ~common, internal), ("vein", data == jugular, vein)):
            there = there & drawn
            away_mm = (np.argwhere(there).mean(axis=0) - np.argwhere(drawn).mean(axis=0)) * 1.5
            print(side, what, f"{there.sum()} of {drawn.sum()} voxels, centre {np.round(away_mm, 2)} mm off")
            assert there.sum() > 0.2 * drawn.sum()
            assert np.abs(away_mm).max() < 1.5
        x = found.landmarks_lps_mm[f"carotid_bifurcation_{side}"][0]
        assert (x < 0) == (side == "right")
    assert found.landmarks_lps_mm["brachiocephalic_confluence"][2] == pytest.approx(22 * 1.5)
    assert not any("tried to reach" in w for w in found.warnings)


@pytest.fixture(scope="module")
def real(reference, tmp_path_factory):
    """A real unenhanced CT of neck and chest with its PET, as a visit, and a reader's regions on it."""
    hybrid = reference("hybrid_acrin001")
    folder = tmp_path_factory.mktemp("visit")
    verb = [sys.executable, "-m", "petflame", "convert", str(hybrid / "baseline"), "--out", str(folder)]
    done = subprocess.run(verb, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    labels = np.asarray(nib.load(hybrid / "truth_labels_baseline.nii.gz").dataobj)
    return folder, read_nifti(folder / "ct.nii.gz"), labels


def test_a_real_ct_with_painted_vessels_through_the_command_line(real, coded, temporary, monkeypatch, tmp_path):
    folder, ct, truth = real
    masks = {"aorta": np.isin(truth, (1, 2, 3)), "superior_vena_cava": truth == 6}
    levels = np.arange(truth.shape[2])
    for side, number, jugular in (("right", 4, 7), ("left", 5, 8)):
        whole = truth == number
        middle = np.median(np.argwhere(whole)[:, 2])
        masks[f"common_carotid_artery_{side}"] = whole & (levels <= middle)
        masks[f"internal_carotid_artery_{side}"] = whole & (levels > middle)
        masks[f"internal_jugular_vein_{side}"] = truth == jugular
    top = np.argwhere(np.isin(truth, (4, 5)))[:, 2].max()
    low = np.argwhere(np.isin(truth, (4, 5)))[:, 2].min()
    for name, where in (("clavicula_right", low), ("clavicula_left", low), ("vertebrae_C1", top)):
        place = np.argwhere(truth == (5 if name.endswith("left") else 4)).mean(axis=0).astype(int)
        masks[name] = np.zeros(truth.shape, bool)
        # Large enough for the model of 6 mm.
        levels_of_bone = slice(max(where - 4, 0), where + 5)
        masks[name][place[0] - 20 : place[0] + 20, place[1] + 20 : place[1] + 60, levels_of_bone] = True
        masks[name] &= truth == 0
    # Metal is brighter than the codes begin; nothing of a patient else is.
    image = painted(masks, np.minimum(ct.data, networks.FIRST_HU - 100))
    visit = tmp_path / "visit"
    visit.mkdir()
    for name in ("pet.nii.gz", "pet.json"):
        (visit / name).write_bytes((folder / name).read_bytes())
    write_nifti(visit / "ct.nii.gz", Volume(image, ct.grid))
    before = {p.name: p.read_bytes() for p in visit.iterdir()}
    monkeypatch.setenv("TOTALSEG_WEIGHTS_PATH", str(coded))
    began = time.monotonic()
    verb = [sys.executable, "-m", "petflame", "segment", str(visit), "--method", "totalsegmentator"]
    done = subprocess.run(verb, capture_output=True, text=True)
    print(
        f"\nreal CT {ct.data.shape} by the command line: {time.monotonic() - began:.0f} s\n{done.stdout}{done.stderr}"
    )
    assert done.returncode == 0, done.stderr
    assert all((visit / name).read_bytes() == content for name, content in before.items())
    found = read_nifti(visit / "labels.nii.gz")
    document = json.loads((visit / "labels.json").read_text())
    assert found.grid.same_as(ct.grid)
    assert document["provenance"]["version"] == adapter.TESTED_VERSION
    # No brachiocephalic vein was painted, and the CT goes on above the cava.
    assert "no left brachiocephalic vein" in document["vessels"]["svc"]["reason"]
    for numbers in ((1, 2, 3), (4,), (5,), (6,), (7,), (8,)):
        there, drawn = np.isin(found.data, numbers), np.isin(truth, numbers)
        outside, there = np.count_nonzero(there & ~drawn), there & drawn
        # Between slices of 4.25 mm only what is the same on both keeps its code: of thin or slanting vessels little
        # comes back. It lies within them, and next to nothing lies elsewhere.
        inside, levels = np.count_nonzero(there), np.count_nonzero(there.any(axis=(0, 1)))
        of = np.count_nonzero(drawn.any(axis=(0, 1)))
        print(f"{numbers}: {inside} of {np.count_nonzero(drawn)} voxels, {levels} of {of} levels; {outside} outside")
        assert inside > outside
        assert outside <= STRAY_FRACTION * np.count_nonzero(truth)
    inner = ndimage.binary_erosion(np.isin(truth, (1, 2, 3)), np.ones((5, 5, 3)))
    assert np.isin(found.data[inner], (1, 2, 3)).all()


def test_a_network_of_published_size_on_a_real_ct_ends_and_says_what_it_took(real, temporary, tmp_path):
    _, ct, truth = real
    weights = write_networks(tmp_path / "weights", "random")
    # The crop is that of the painted vessels; what the random numbers label in it means nothing.
    image = painted({"aorta": np.isin(truth, (1, 2, 3)), "superior_vena_cava": truth == 6}, np.minimum(ct.data, 1500))
    write_nifti(tmp_path / "ct.nii.gz", Volume(image, ct.grid))
    refusal = ""
    try:
        found, _ = segment(tmp_path / "ct.nii.gz", ct.grid, weights)
        assert found.labels.grid.same_as(ct.grid)
    except InputRefused as refused:
        refusal = str(refused)
    # Labels at random may well exchange left and right.
    assert not refusal or "mirrored" in refusal


def test_an_image_without_any_vessel_comes_out_empty(tmp_path, coded, temporary):
    write_nifti(tmp_path / "ct.nii.gz", Volume(np.full(FINE.shape, 40, np.int16), FINE))
    found, _ = segment(tmp_path / "ct.nii.gz", FINE, coded)
    assert not found.labels.data.any()
    assert all(v.withheld for v in found.vessels.values())


@pytest.mark.parametrize(("limits", "said"), [(Limits(timeout_min=0.1), "min"), (Limits(memory_gb=0.2), "memory")])
def test_limits_end_the_real_thing_and_nothing_of_it_stays(tmp_path, coded, temporary, limits, said):
    write_nifti(tmp_path / "ct.nii.gz", Volume(np.full(FINE.shape, 40, np.int16), FINE))
    with pytest.raises(MachineFault, match=said):
        segment(tmp_path / "ct.nii.gz", FINE, coded, limits)
    time.sleep(1)
    left = [p for p in psutil.process_iter(["cmdline"]) if str(temporary) in " ".join(p.info["cmdline"] or [])]
    assert not left


def test_the_guard_sees_what_the_package_would_send_if_it_were_let(tmp_path, coded):
    """With statistics on, the same run does try to reach its server: so none tried above."""
    write_nifti(tmp_path / "ct.nii.gz", Volume(np.full(FINE.shape, 40, np.int16), FINE))
    weights = tmp_path / "weights"
    weights.mkdir()
    for folder in coded.iterdir():
        (weights / folder.name).symlink_to(folder)
    for name in adapter.UNUSED_WEIGHTS:
        (weights / name).mkdir()
    out = tmp_path / "out"
    out.mkdir()
    asked = {"ct": str(tmp_path / "ct.nii.gz"), "home": str(out / "home"), "weights": str(weights), "out": str(out)}
    asked |= {"device": "cpu", "threads": 1, "robust_crop": False, "tasks": {"total": ["aorta"]}}
    (out / "request.json").write_text(json.dumps(asked))
    script = tmp_path / "talkative.py"
    script.write_text(WORKER.read_text().replace('"send_usage_stats": False', '"send_usage_stats": True'))
    run_worker(PYTHON, script, out / "request.json", Limits())
    attempts = json.loads((out / "result.json").read_text())["network_attempts"]
    assert attempts == ["stats.totalsegmentator.com"]
