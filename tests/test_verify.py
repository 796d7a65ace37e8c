"""Verifying a finished run: every changed file is told, and following what is said restores it."""

import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pydicom
import pytest

from petflame.chain import chain_faults
from petflame.errors import InputRefused
from petflame.files import sha256, write_json
from petflame.folders import MADE, StudyOut
from petflame.outcome import products_of
from petflame.seal import read_sealed, sealed
from petflame.simulate.trial import simulate_trial
from petflame.verification import verify_run

ROOT = Path(__file__).parents[1]


def snakemake(study, out):
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--config", f"study={study}", f"out={out}"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def petflame(*arguments):
    command = [sys.executable, "-m", "petflame", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Study and results of a tiny trial; tests leave both as they found them."""
    root = tmp_path_factory.mktemp("verify")
    simulate_trial(root / "study", 4, "tiny", 21, 2)
    done = snakemake(root / "study", root / "out")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return root / "study", root / "out"


@pytest.fixture
def trial(finished, tmp_path):
    """Copies that a test may change."""
    for folder in finished:
        shutil.copytree(folder, tmp_path / folder.name)
    return tmp_path / "study", tmp_path / "out"


def flip(path, rng):
    """Change one bit; return what the file held before."""
    before = path.read_bytes()
    data = bytearray(before)
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(data)
    return before


def told(out, study=None):
    """Return the places of all faults; empty where the run verifies."""
    try:
        verify_run(out, study)
    except InputRefused as refusal:
        return {fault.where for fault in refusal.faults}
    return set()


def visit_code(out, participant, visit):
    table = pd.read_csv(out / "key" / "key.tsv", sep="\t", dtype=str)
    return table.set_index(["participant_id", "visit"])["code"][participant, visit]


def visit_with(out, name):
    return sorted(p.parent for p in (out / "visits").glob(f"*/{name}"))[0]


def test_a_finished_run_agrees_and_what_is_not_covered_is_said(finished):
    study, out = finished
    verified = verify_run(out, study)
    assert verified.steps == 8 * 4 + 4 + 5
    assert [line for line in verified.not_covered if "logs/" in line]
    alone = verify_run(out)
    assert alone.files < verified.files
    assert [line for line in alone.not_covered if "--study" in line]


def test_a_bit_flipped_in_any_file_of_the_results_is_told(finished):
    study, out = finished
    rng = random.Random(3)
    files = [p for p in sorted(out.rglob("*")) if p.is_file() and p.stat().st_size and "logs" not in p.parts]
    # Every kind of file, each at one place of the road.
    kinds = {re.sub(r"[VP][0-9A-F]{10}", "CODE", p.relative_to(out).as_posix()): p for p in files}
    assert len(kinds) > 60
    missed = []
    for kind, path in kinds.items():
        before = flip(path, rng)
        try:
            if not told(out):
                missed.append(kind)
        finally:
            path.write_bytes(before)
    assert not missed
    assert not told(out, study)


@pytest.mark.parametrize(
    "name",
    [
        "visits.tsv",
        "participants.tsv",
        "allocation.tsv",
        "outcomes.tsv",
        "blinding.key",
        "seeds/SIM0001_baseline.json",
        "labels/SIM0001_baseline.nii.gz",
    ],
)
def test_a_changed_file_of_the_study_is_told(finished, name):
    study, out = finished
    path = study / name
    before = path.read_bytes()
    try:
        path.write_bytes(before + b"\n")
        assert told(out, study)
        assert not told(out)
        path.unlink()
        assert told(out, study)
    finally:
        path.write_bytes(before)


def test_a_changed_missing_or_added_dicom_file_is_told_with_its_visit(finished):
    study, out = finished
    folder = study / "dicom" / "SIM0003" / "followup"
    path = sorted(p for p in folder.rglob("*") if p.is_file())[5]
    before = path.read_bytes()
    try:
        path.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
        assert told(out, study) == {"SIM0003 followup, the DICOM folder"}
        path.unlink()
        assert told(out, study) == {"SIM0003 followup, the DICOM folder"}
    finally:
        path.write_bytes(before)
    (folder / "more.dcm").write_bytes(before)
    assert told(out, study) == {"SIM0003 followup, the DICOM folder"}
    (folder / "more.dcm").unlink()
    assert not told(out, study)


def test_files_that_no_step_made_are_told_wherever_they_lie(finished):
    out = finished[1]
    code = visit_with(out, "pet.nii.gz").name
    for name in ("x.txt", f"visits/{code}/x.txt", f"visits/{code}/.x", f"visits/{code}/steps/x.txt", "key/x"):
        (out / name).write_text("x")
        assert told(out) == {name}
        (out / name).unlink()
    # What a file manager leaves is nobody's result.
    (out / "visits" / ".DS_Store").write_text("x")
    assert not told(out)
    (out / "visits" / ".DS_Store").unlink()


def change(path):
    """Change a digit, as somebody would who wants another number."""
    text = path.read_text()
    path.write_text(re.sub(r"(\d\.\d)(\d)", lambda m: m[1] + str((int(m[2]) + 5) % 10), text, count=1))
    assert path.read_text() != text


def test_report_does_not_bless_an_edited_table(trial):
    study, out = trial
    for name in (
        "patients.tsv",
        "arms.json",
        "vessels.tsv",
        f"pairs/{sorted((out / 'pairs').iterdir())[0].name}/index.json",
    ):
        before = (out / name).read_bytes()
        change(out / name)
        done = petflame("report", out, "--study", study)
        assert done.returncode == 2
        assert name in done.stderr
        assert "Traceback" not in done.stderr
        assert not (out / "report.html").exists()
        assert not (out / "provenance.json").exists()
        assert told(out)
        (out / name).write_bytes(before)


def test_analyse_and_outcomes_refuse_an_edited_table(trial, tmp_path):
    study, out = trial
    change(out / "patients.tsv")
    table, allocation = out / "patients.tsv", study / "allocation.tsv"
    for verb, *given in (("analyse", table), ("outcomes", study / "outcomes.tsv", "--patients", table)):
        done = petflame(verb, *given, "--allocation", allocation, "--out", tmp_path / verb)
        assert done.returncode == 2
        assert "patients.tsv" in done.stderr
        assert "collect" in done.stderr
        assert not (tmp_path / verb).exists()
    # The same table elsewhere is anybody's own.
    shutil.copy(table, tmp_path / "mine.tsv")
    own = petflame("analyse", tmp_path / "mine.tsv", "--allocation", allocation, "--out", tmp_path / "own")
    assert own.returncode == 0, own.stderr


@pytest.mark.parametrize("name", ["vessels.tsv", "slices.tsv", "pet.nii.gz", "labels.nii.gz", "steps/measure.json"])
def test_pair_refuses_a_visit_whose_files_are_not_as_they_were_made(trial, tmp_path, name):
    out = trial[1]
    key = [line.split("\t") for line in (out / "key" / "key.tsv").read_text().splitlines()]
    first, second = (
        next(out / "visits" / row[0] for row in key if row[1:] == ["SIM0001", v]) for v in ("baseline", "followup")
    )
    for folder in (first, second):
        before = (folder / name).read_bytes()
        flip(folder / name, random.Random(1))
        done = petflame("pair", first, second, "--out", tmp_path / "pair", "--participant", "SIM0001")
        assert done.returncode == 2, done.stdout
        assert name in done.stderr
        assert "run" in done.stderr
        (folder / name).write_bytes(before)


def test_collect_refuses_a_pair_or_a_seal_that_was_edited(trial):
    study, out = trial
    pair = sorted((out / "pairs").iterdir())[0]
    for name in ("patients.tsv", "index.json", "steps/pair.json"):
        before = (pair / name).read_bytes()
        change(pair / name) if name == "patients.tsv" else flip(pair / name, random.Random(2))
        done = petflame("collect", study, "--out", out)
        assert done.returncode == 2
        assert name in done.stderr
        (pair / name).write_bytes(before)


def test_an_edit_that_carries_its_own_new_seal_breaks_the_chain(trial):
    out = trial[1]
    pair = sorted((out / "pairs").iterdir())[0]
    index = read_sealed(pair / "index.json", "")
    index["tbr_max_baseline"] *= 4
    write_json(pair / "index.json", sealed({k: v for k, v in index.items() if k != "seal"}))
    assert {f"pairs/{pair.name}/index.json"} == {fault.where for fault in chain_faults(out)}
    # The hash in the pair's record put right as well: then what was made from the pair is no longer of it.
    record = read_sealed(pair / "steps" / "pair.json", "")
    record["products"]["index.json"] = sha256(pair / "index.json")
    write_json(pair / "steps" / "pair.json", sealed({k: v for k, v in record.items() if k != "seal"}))
    assert {"steps/collect.json", "steps/report.json"} <= {fault.where for fault in chain_faults(out)}
    with pytest.raises(InputRefused, match="made from others than lie there"):
        verify_run(out)


def test_arms_of_another_table_than_lies_there_break_the_chain(trial):
    out = trial[1]
    record = read_sealed(out / "steps" / "analyse.json", "")
    record["sources"]["table 0"]["sha256"] = "0" * 64
    write_json(out / "steps" / "analyse.json", sealed({k: v for k, v in record.items() if k != "seal"}))
    assert [f for f in chain_faults(out) if f.where == "steps/analyse.json" and "patients.tsv" in f.what]


def test_following_what_is_said_restores_exactly_what_changed(trial):
    study, out = trial
    results = StudyOut(out)
    visit, pair = visit_with(out, "slices.tsv"), sorted((out / "pairs").iterdir())[0]
    changed = {
        visit / "slices.tsv": "measure",
        visit / "steps" / "convert.json": "convert",
        visit / "status.json": "measure",
        pair / "index.json": "pair",
        results.patients: "collect",
        results.key_table: "collect",
        out / "adsl.tsv": "analyse",
        out / "outcomes.json": "outcomes",
        results.report: "report",
        results.provenance: "report",
        out / "steps" / "identify.json": "identify",
    }
    before = {path: path.read_bytes() for path in changed}
    others = {p: p.read_bytes() for p in out.rglob("*.nii.gz")}
    rng = random.Random(8)
    for path in changed:
        flip(path, rng)
    with pytest.raises(InputRefused) as caught:
        verify_run(out, study)
    faults = {out / fault.where: fault for fault in caught.value.faults}
    assert set(changed) <= set(faults)
    for path, verb in changed.items():
        assert "run the workflow again" in faults[path].remedy
        assert f"petflame {verb}`" in faults[path].remedy, path
    done = snakemake(study, out)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert not told(out, study)
    # The report shows hashes, of which that of the CDISC datasets moves with the time of the table they are made of.
    exact = set(changed) - {results.report, results.provenance}
    assert {path: path.read_bytes() for path in exact} == {path: before[path] for path in exact}
    assert {path: path.read_bytes() for path in others} == others


def test_verbs_called_one_by_one_after_a_run_gather_what_they_made_and_verify_tells_the_old_comparison(trial):
    """`collect` compares who is who itself, so that a script need not call `identify` in between."""
    study, out = trial
    person, visit = "SIM0001", out / "visits" / visit_code(out, "SIM0001", "followup")
    # The other visit's images under this one's name.
    assert petflame("convert", study / "dicom" / person / "baseline", "--out", visit, "--record").returncode == 0
    seeds = study / "seeds" / f"{person}_baseline.json"
    assert petflame("segment", visit, "--from", seeds, "--record").returncode == 0
    assert petflame("measure", visit, "--record").returncode == 0
    folders = [out / "visits" / visit_code(out, person, name) for name in ("baseline", "followup")]
    pair = out / "pairs" / visit_code(out, person, "pair")
    assert petflame("pair", *folders, "--out", pair, "--participant", person, "--record").returncode == 0
    gathered = petflame("collect", study, "--out", out)
    assert gathered.returncode == 0, gathered.stderr
    rows = pd.read_csv(out / "exclusions.tsv", sep="\t", dtype=str)
    refused = rows[(rows["kind"] == "refused") & (rows["step"] == "identify")]
    assert set(refused["participant_id"]) == {person}
    assert "steps/identify.json" in told(out)


def test_a_visit_refused_after_a_good_run_leaves_nothing_of_before_and_plans_nothing_more(trial):
    """Snakemake takes a step's record away before the job, and with it the list of what the step made."""
    study, out = trial
    code = visit_code(out, "SIM0002", "baseline")
    files = sorted(p for p in (study / "dicom" / "SIM0002" / "baseline").rglob("*") if p.is_file())
    emission = [p for p in files if pydicom.dcmread(p, stop_before_pixels=True, force=True).get("Modality") == "PT"]
    for path in emission[:5]:
        path.unlink()
    assert snakemake(study, out).returncode == 0
    assert sorted(p.name for p in (out / "visits" / code).iterdir()) == ["status.json", "steps"]
    pair = out / "pairs" / visit_code(out, "SIM0002", "pair")
    assert sorted(p.name for p in pair.iterdir()) == ["status.json", "steps"]
    assert not told(out, study)
    again = snakemake(study, out)
    assert "Nothing to be done" in again.stdout + again.stderr


def test_every_file_that_a_step_leaves_is_known_beforehand(finished):
    _, out = finished
    for record in (*out.glob("visits/*/steps/*.json"), *out.glob("pairs/*/steps/*.json")):
        assert {name.split("/")[0] for name in products_of(record)} <= set(MADE.get(record.stem, ()))
