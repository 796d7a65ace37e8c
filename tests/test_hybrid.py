"""Real anatomy with known truth: a PET painted on a real unenhanced CT, through the Snakefile."""

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parents[1]
VISITS = ("baseline", "followup")
VESSELS = ("aorta_ascending", "aorta_arch", "aorta_descending", "carotid_right", "carotid_left")
CASES = {
    "pet_labels": ("truth_labels_pet_{}.nii.gz", {"protocol": "config/protocols/reference.yaml"}, 0.5, 0.5),
    "ct_labels": ("truth_labels_{}.nii.gz", {}, 5.0, 3.5),
}


@pytest.fixture(scope="module")
def hybrid(reference):
    return reference("hybrid_acrin001")


@pytest.fixture(scope="module")
def truth(hybrid):
    return {v["name"]: v for v in json.loads((hybrid / "truth.json").read_text())["visits"]}


@pytest.fixture(scope="module", params=CASES, ids=str)
def result(request, hybrid, tmp_path_factory):
    name, config, level, change = CASES[request.param]
    study, out = (tmp_path_factory.mktemp(request.param) / part for part in ("study", "out"))
    study.mkdir()
    rows = [f"H001\t{v}\t{hybrid / v}\t{hybrid / name.format(v)}" for v in VISITS]
    (study / "visits.tsv").write_text("\n".join(["participant_id\tvisit\tdicom_dir\tlabels", *rows, ""]))
    settings = [f"{k}={v}" for k, v in {"study": study, "out": out, **config}.items()]
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--config", *settings]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return out, level, change


@pytest.mark.reference
@pytest.mark.slow
def test_levels_and_changes_meet_the_truth(result, truth):
    out, level, change = result
    table = pd.read_csv(out / "vessels.tsv", sep="\t", na_values=["n/a"]).set_index("vessel")
    for vessel in VESSELS:
        want = [truth[v]["vessels"][vessel]["as_written"]["mean_tbr_max"] for v in VISITS]
        got = [table.loc[vessel, f"tbr_max_{v}"] for v in VISITS]
        for w, g in zip(want, got, strict=True):
            assert 100 * (g / w - 1) == pytest.approx(0, abs=level), vessel
        assert table.loc[vessel, "percent_change"] == pytest.approx(100 * (want[1] / want[0] - 1), abs=change), vessel


@pytest.mark.reference
@pytest.mark.slow
def test_the_index_vessel_is_that_of_the_truth(result, hybrid):
    patients = pd.read_csv(result[0] / "patients.tsv", sep="\t", na_values=["n/a"])
    expected = json.loads((hybrid / "truth.json").read_text())["index_vessel"]["as_written"]
    assert patients["index_vessel"].tolist() == [expected]


@pytest.mark.reference
@pytest.mark.slow
def test_without_an_allocation_the_result_is_pooled_and_identities_stay_out(result):
    out = result[0]
    arms = json.loads((out / "arms.json").read_text())
    assert arms["primary"] is None
    for path in (out / "visits").rglob("*"):
        if path.suffix in (".json", ".tsv"):
            text = path.read_text()
            dates = ("20250311", "20250520", "2025-03", "2025-05")
            assert not any(word in text for word in ("CANARY", "H001", "baseline", "followup", *dates))
