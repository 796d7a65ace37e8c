"""Finished reads through the Snakefile: exactly what depends on them is made again, and nothing else."""

import io
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from made_reads import finish, read_of
from petflame.anatomy import BY_NAME
from petflame.errors import InputRefused
from petflame.files import read_nifti, sha256
from petflame.protocol import Protocol
from petflame.review.audit import reading_faults
from petflame.review.log import ReadLog
from petflame.review.plan import write_plan
from petflame.segment.reads import ReadDecision, read_read
from petflame.segment.stretches import Stretch
from petflame.simulate.trial import simulate_trial
from petflame.verification import verify_run
from petflame.workflow import plan_workflow

ROOT = Path(__file__).parents[1]
VESSEL = "carotid_left"


def snakemake(study, out, *arguments):
    settings = (f"study={study}", f"out={out}", "reads=review")
    command = [sys.executable, "-m", "snakemake", "--cores", "2", *arguments, "--config", *settings]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done


def made(done):
    """Jobs of a run: rule, and the code of the visit or pair that it is of."""
    jobs = re.findall(r"^(?:local)?(?:rule|checkpoint) (\w+):\n((?:    .*\n)+)", done.stdout + done.stderr, re.M)
    found = []
    for rule, block in jobs:
        output = re.search(r"output: (.*)", block)
        code = re.search(r"/(?:visits|pairs)/([VP][0-9A-F]{10})/", output[1] if output else "")
        found.append((rule, code[1] if code else ""))
    return sorted(found)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Study and results of two participants, of whom nobody has read a visit yet."""
    root = tmp_path_factory.mktemp("reads")
    simulate_trial(root / "study", 2, "tiny", 4, 2)
    done = snakemake(root / "study", root / "out")
    assert "4 visits wait" in done.stderr
    return root / "study", root / "out"


@pytest.fixture
def trial(finished, tmp_path):
    for folder in finished:
        shutil.copytree(folder, tmp_path / folder.name)
    return tmp_path / "study", tmp_path / "out"


@pytest.fixture(scope="module")
def once_read(finished, tmp_path_factory):
    """Study and results after one visit was read, the run that took the read, and what stood there before."""
    root = tmp_path_factory.mktemp("read")
    for folder in finished:
        shutil.copytree(folder, root / folder.name)
    study, out = root / "study", root / "out"
    before = {p.relative_to(out).as_posix(): p.read_bytes() for p in (out / "visits").rglob("*.*")}
    stretch = Stretch("aorta_descending", -1e4, 1e4, "metal", "a stent graft")
    log_of(out, read(out, codes(out)[0], left_out=(stretch,)))
    return study, out, snakemake(study, out), before


@pytest.fixture
def read_trial(once_read, tmp_path):
    for folder in once_read[:2]:
        shutil.copytree(folder, tmp_path / folder.name)
    return tmp_path / "study", tmp_path / "out"


def table(path):
    return pd.read_csv(path, sep="\t", na_values=["n/a"])


def codes(out):
    key = table(out / "key" / "key.tsv")
    of_first = key[key["participant_id"] == "SIM0001"].set_index("visit")["code"]
    return of_first["baseline"], of_first["pair"]


def painted(folder):
    """What the screen showed after the reader took the upper half of a carotid away."""
    labels = read_nifti(folder / "labels.nii.gz").data.copy(order="K")
    places = (labels == BY_NAME[VESSEL].label).nonzero()
    upper = places[2] >= sorted(places[2])[len(places[2]) // 2]
    labels[tuple(axis[upper] for axis in places)] = 0
    return labels


def read(out, code, **more):
    folder = out / "visits" / code
    return read_of(folder, painted(folder), painted=(VESSEL,), accepted=(VESSEL,), **more)


def entry(read, action):
    hashes = {key: getattr(read, key) for key in ("ct_sha256", "pet_sha256", "labels_sha256", "shown_sha256")}
    who = {"time": "2026-01-01T00:00:00Z", "reader": read.reader, "item": read.item, "petflame": read.petflame}
    return {**who, **hashes, "action": action, "why": ""}


def log_of(out, made_read):
    """A log as the workbench writes it, finished with the read."""
    path = finish(out / "review", made_read)
    log = ReadLog(path.with_name(f"{made_read.item}.jsonl"))
    log.path.unlink()
    for action in ({"kind": "open"}, {"kind": "finish", "read_sha256": sha256(path)}):
        log.append(entry(made_read, action), log.head)
    return path, log


def expected_jobs(out):
    visit, pair = codes(out)
    of_them = [("segment", visit), ("measure", visit), ("pair", pair)]
    return sorted([*of_them, *((rule, "") for rule in ("collect", "analyse", "outcomes", "report", "all"))])


def test_a_finished_read_makes_again_what_depends_on_it(once_read):
    _, out, done, before = once_read
    visit, _ = codes(out)
    assert made(done) == expected_jobs(out)
    assert "to be made again: segment: files changed: edits (1)\n" in done.stderr
    assert "3 visits wait" in done.stderr
    for name, content in before.items():
        if visit not in name and name.endswith(("labels.json", "labels.nii.gz", "slices.tsv")):
            assert (out / name).read_bytes() == content, name
    for name in ("labels.nii.gz", "labels.json"):
        found = out / "visits" / visit / name.replace("labels", "labels_found")
        assert found.read_bytes() == before[f"visits/{visit}/{name}"]


def test_the_tables_are_of_what_the_reader_saw(once_read):
    _, out, _, before = once_read
    visit, _ = codes(out)
    then = pd.read_csv(io.BytesIO(before[f"visits/{visit}/vessels.tsv"]), sep="\t").set_index("vessel")
    now = table(out / "visits" / visit / "vessels.tsv").set_index("vessel")
    assert now.loc[VESSEL, "sections"] < 0.7 * then.loc[VESSEL, "sections"]
    assert now.loc[VESSEL, "method"] == "painted, edited by a reader, accepted by a reader"
    assert now.loc["carotid_right", "mean_tbr_max"] == then.loc["carotid_right", "mean_tbr_max"]
    assert not now["read_prefilled"].any()
    assert now.loc["aorta_descending", "valid_sections"] == 0
    sections = table(out / "visits" / visit / "slices.tsv").set_index("vessel")
    assert sections.loc["aorta_descending", "reason"].str.contains("metal: a stent graft").all()
    rows = table(out / "exclusions.tsv")
    told = rows[rows["where"].str.contains("finished read")]
    assert told["what"].tolist() == ["a reader left sections of aorta_descending out"]
    assert rows["what"].str.contains("no finished read of it counts yet").sum() == 3


def test_what_is_not_finished_changes_nothing_and_a_read_that_is_gone_is_told(read_trial):
    study, out = read_trial
    visit, _ = codes(out)
    path = out / "review" / "reader-1" / f"{visit}.read.json"
    log = ReadLog(path.with_name(f"{visit}.jsonl"))
    log.path.touch()
    other = next(p.name for p in (out / "visits").iterdir() if p.name != visit)
    half = ReadLog(log.path.with_name(f"{other}.jsonl"))
    half.append(entry(read(out, other), {"kind": "open"}), half.head)
    planned = snakemake(study, out, "--dry-run")
    assert "Nothing to be done" in planned.stdout + planned.stderr
    log.append(entry(read_read(path), {"kind": "reopen"}), log.head)
    planned = snakemake(study, out, "--dry-run")
    assert "Nothing to be done" in planned.stdout + planned.stderr
    assert f"{visit}: reader-1 opened it again" in planned.stderr
    path.unlink()
    planned = snakemake(study, out, "--dry-run")
    assert made(planned) == expected_jobs(out)
    assert "to be made again: segment: files changed: edits (1)\n" in planned.stderr
    assert planned.stderr.count("2 visits wait") == 2
    assert f"{visit}, " in planned.stderr or f", {visit}" in planned.stderr


def test_a_damaged_or_exchanged_read_sets_its_visit_aside_and_says_why(trial):
    study, out = trial
    visit, _ = codes(out)
    other = next(p.name for p in (out / "visits").iterdir() if p.name != visit)
    path = finish(out / "review", read(out, visit))
    shutil.copy(path, path.with_name(f"{other}.read.json"))
    shutil.copy(path.with_name(f"{visit}.jsonl"), path.with_name(f"{other}.jsonl"))
    settings = {"study": str(study), "out": str(out), "reads": "review"}
    run = plan_workflow(settings)
    assert run.edits_of(run.study.by_code[visit]) == path
    assert run.edits_of(run.study.by_code[other]) is None
    assert any("it is another read" in line for line in run.check_reads())
    with pytest.raises(InputRefused, match="it is another read"):
        plan_workflow(settings | {"strict": True}).check_reads()


def test_a_read_of_other_images_is_refused_and_recorded(trial):
    study, out = trial
    visit, _ = codes(out)
    finish(out / "review", replace(read(out, visit), ct_sha256="0" * 64))
    snakemake(study, out)
    rows = table(out / "exclusions.tsv")
    (what,) = rows.loc[(rows["kind"] == "refused") & (rows["participant_id"] == "SIM0001"), "what"]
    assert sha256(out / "visits" / visit / "ct.nii.gz") in what
    assert "0" * 64 in what
    # What the reader needs to read it again stays.
    assert (out / "visits" / visit / "labels_found.nii.gz").exists()
    assert table(out / "patients.tsv").set_index("participant_id").loc["SIM0002", "status"] == "measured"


def test_edits_in_the_table_and_a_finished_read_are_not_chosen_between(trial):
    study, out = trial
    visit, _ = codes(out)
    path = finish(out / "review", read(out, visit))
    rows = pd.read_csv(study / "visits.tsv", sep="\t", dtype=str)
    rows.loc[(rows["participant_id"] == "SIM0001") & (rows["visit"] == "baseline"), "edits"] = str(path)
    rows.to_csv(study / "visits.tsv", sep="\t", index=False, na_rep="n/a")
    run = plan_workflow({"study": str(study), "out": str(out), "reads": "review"})
    with pytest.raises(InputRefused, match="it names edits, and reader-1 has finished a read of it"):
        run.check_reads()
    alone = plan_workflow({"study": str(study), "out": str(out)})
    assert alone.check_reads() == []
    assert alone.edits_of(alone.study.by_code[visit]) == path


def faults_of(out, study=None):
    try:
        return (), verify_run(out, study).not_covered
    except InputRefused as refusal:
        return {fault.where: fault.what for fault in refusal.faults}, ()


def test_verify_walks_logs_and_reads(read_trial):
    study, out = read_trial
    visit, _ = codes(out)
    path = out / "review" / "reader-1" / f"{visit}.read.json"
    log, own = ReadLog(path.with_name(f"{visit}.jsonl")), read_read(path)
    assert faults_of(out, study)[0] == ()
    kept = {p: p.read_bytes() for p in (path, log.path)}
    where = {p: p.relative_to(out).as_posix() for p in kept}
    changed = kept[log.path].replace(b'"why":""', b'"why":"x"', 1)
    log.path.write_bytes(changed)
    told = faults_of(out)[0]
    assert told[f"{where[log.path]}, line 1"] == "it is not as it was written"
    log.path.write_bytes(kept[log.path])
    path.write_bytes(kept[path].replace(b'"accept"', b'"reject"'))
    told = faults_of(out)[0]
    assert "its log was finished with" in told[where[path]]
    assert "its labels rest on a read of reader-1" in told[f"visits/{visit}/labels.json"]
    path.write_bytes(kept[path])
    # Reading goes on: no fault of the run, and said.
    log.append(entry(own, {"kind": "reopen"}), log.head)
    (out / "review" / "reader-2").mkdir()
    nothing, not_covered = faults_of(out, study)
    assert nothing == ()
    assert any("1 files under review/ came or have grown" in line for line in not_covered)
    # Finished anew: the results are of the read before.
    other = replace(own, decisions={VESSEL: ReadDecision("reject", "no")})
    finish_again = finish(out / "review", other)
    log.path.write_bytes(kept[log.path])
    log.append(entry(other, {"kind": "finish", "read_sha256": sha256(finish_again)}), log.head)
    told = faults_of(out, study)[0]
    assert told[where[path]] == "its content changed after the run"
    assert f"visits/{visit}/labels.json" in told
    path.unlink()
    assert reading_faults(out)[0]


def test_key_of_repeats_is_part_of_the_private_record(trial):
    study, out = trial
    write_plan(out, ("A", "B"), 1, Protocol(), 0.5, None)
    items = out / "key" / "review_items.json"
    assert items.stat().st_mode & 0o077 == 0
    done = subprocess.run(
        [sys.executable, "-m", "petflame", "report", str(out), "--study", str(study)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert faults_of(out)[0] == ()
    kept = items.read_bytes()
    items.write_bytes(kept.replace(b"{", b"{ ", 1))
    assert "key/review_items.json" in faults_of(out)[0]
    items.write_bytes(kept)
    plan = out / "review" / "plan.json"
    plan.write_bytes(plan.read_bytes().replace(b"{", b"{ ", 1))
    assert "review/plan.json" in faults_of(out)[0]


def test_check_tells_what_waits(trial):
    study, out = trial
    visit, _ = codes(out)
    finish(out / "review", read(out, visit))
    command = [sys.executable, "-m", "petflame", "check", str(study), "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "3 visits wait" in done.stderr
    assert visit not in done.stderr
