"""Names and places that a run is given: taken as written, or refused in one line while the run is planned."""

import os
import re
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from petflame.errors import InputRefused
from petflame.files import private_folder, write_json
from petflame.places import as_written, look_alike
from petflame.study import load_study
from petflame.study_tables import check_tables
from petflame.workflow import plan_workflow

ROOT = Path(__file__).parents[1]
# Does nothing but leave the record that its rule waits for, so that the order of jobs shows within seconds.
STAND_IN = """#!/bin/sh
folder=; while [ $# -gt 0 ]; do [ "$1" != --out ] || folder=$2; shift; done
mkdir -p "$folder/steps" && sleep 0.05 && echo '{"status": "ok"}' > "$folder/steps/convert.json"
"""


@pytest.fixture
def study(tmp_path):
    root = tmp_path / "study"
    rows = ["participant_id\tvisit\tdicom_dir"]
    for person in range(1, 7):
        for visit in ("baseline", "followup"):
            (root / f"{person}_{visit}").mkdir(parents=True)
            rows.append(f"P{person}\t{visit}\t{person}_{visit}")
    (root / "visits.tsv").write_text("\n".join(rows) + "\n")
    (root / "blinding.key").write_text("5e" * 32 + "\n")
    return root


def snakemake(cwd, *arguments, **config):
    command = [sys.executable, "-m", "snakemake", "-s", str(ROOT / "Snakefile"), "--cores", "1", *arguments]
    command += ["--config", *(f"{k}={v}" for k, v in config.items())] if config else []
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


@pytest.fixture
def folder(tmp_path):
    """Folder to run in, beside the configuration."""
    (tmp_path / "config").symlink_to(ROOT / "config")
    return tmp_path


@pytest.mark.parametrize("name", ["2024_01", "001", "1e3", "True", "nan", "a #b", "a: b", "[x]", "-dash", "it's"])
def test_names_that_look_like_something_else_are_taken_as_written(study, folder, name, monkeypatch):
    from snakemake.cli import parse_config

    monkeypatch.chdir(folder)
    study.rename(folder / name)
    given = [f"study={name}", f"out=new/{name}", f"study_id={name}", "strict=true"]
    run = plan_workflow(parse_config(given), given)
    assert run.study.root == Path(name)
    assert run.settings.study_id == name
    assert run.settings.strict


@pytest.mark.parametrize("name", ["2024_01", "-dash"])
def test_such_names_reach_the_jobs_as_they_were_written(study, folder, name):
    study.rename(folder / name)
    done = snakemake(folder, "-n", "-p", study=name, out=f"{name}1", study_id="001")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"output: {name}1/visits/" in done.stdout
    assert re.search(f" -- {name}/1_baseline( |$)", done.stdout, re.MULTILINE)
    assert "--study-id 001 " in done.stdout


def test_a_number_in_a_configuration_file_is_refused_in_one_line_that_says_how_to_quote_it(study, folder):
    (folder / "mine.yaml").write_text("study: 2024_01\nout: 2024-01-31\n")
    done = snakemake(folder, "--dry-run", "--configfile", "mine.yaml")
    faults = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert done.returncode == 2
    assert len(faults) == 2
    assert "202401" in faults[0]
    assert 'study: "..."' in faults[0]
    assert "Traceback" not in done.stderr


def test_values_that_are_no_text_keep_their_kind():
    assert as_written({"strict": "true", "study": None}, ["strict=true", "study="]) == {"strict": "true", "study": None}
    assert as_written({"study": "x"}, None) == {"study": "x"}


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"study": "a{1}"}, "braces"),
        ({"study": "simulated", "out": "x{code}y"}, "braces"),
        ({"study": "simulated", "out": "two\nlines"}, "line break"),
        ({"study": "simulated", "out": " "}, "empty"),
    ],
)
def test_folders_that_the_workflow_cannot_name_are_refused_at_planning(config, words):
    with pytest.raises(InputRefused, match=words):
        plan_workflow(config)


def test_braces_in_texts_and_paths_of_the_users_reach_the_verbs_unchanged(study, folder):
    odd = "p{1} {wildcards.code}.yaml"
    (folder / odd).write_text("{}\n")
    done = snakemake(folder, "-n", "-p", study="study", out="res", protocol=odd, study_id="{x}")
    assert done.returncode == 0, done.stderr
    assert f"--protocol '{odd}'" in done.stdout
    assert "--study-id '{x}'" in done.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="permissions of POSIX")
def test_a_folder_that_cannot_be_written_is_one_line_at_planning(study, folder, monkeypatch):
    closed = folder / "closed"
    closed.mkdir(mode=0o555)
    # Root may write everywhere, so that the answer of the system is put in its place.
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != closed)
    with pytest.raises(InputRefused, match="cannot be written") as caught:
        plan_workflow({"study": str(study), "out": str(closed / "res" / "deep")})
    assert len(caught.value.faults) == 1
    assert not list(closed.iterdir())


def test_a_file_where_results_should_go_is_refused_at_planning(study, folder):
    (folder / "out").write_text("")
    (folder / "out2").mkdir()
    (folder / "out2" / "visits").symlink_to(folder / "nowhere")
    for out in ("out", "out/deeper", "out2"):
        with pytest.raises(InputRefused, match="has the name of a folder of results"):
            plan_workflow({"study": str(study), "out": str(folder / out)})


def test_a_dry_run_writes_nothing_and_a_run_keeps_one_key(study, folder):
    (study / "blinding.key").unlink()
    assert snakemake(folder, "--dry-run", study="study", out="res").returncode == 0
    assert not (folder / "res").exists()
    run = plan_workflow({"study": str(study), "out": str(folder / "res")})
    run.begin()
    assert load_study(study, folder / "res").key == run.study.key


def test_results_whose_key_is_gone_are_not_continued_with_another(study, folder):
    (study / "blinding.key").unlink()
    (folder / "res" / "visits" / "V0123456789").mkdir(parents=True)
    with pytest.raises(InputRefused, match="key to the codes of the 1 visits"):
        plan_workflow({"study": str(study), "out": str(folder / "res")})


@pytest.mark.parametrize(
    ("table", "other"),
    [
        ("allocation.tsv", "p1"),
        ("allocation.tsv", "P1 "),
        ("allocation.tsv", "P\u200b1"),
        ("participants.tsv", "Ｐ1"),
        ("allocation.tsv", "\u04201"),
    ],
)
def test_participants_that_look_alike_are_refused(study, table, other):
    people = [f"P{n}" for n in range(1, 7)]
    rows = "".join(f"{person}\tactive\n" for person in (*people, other))
    (study / table).write_text(f"participant_id\tarm\n{rows}", encoding="utf-8")
    with pytest.raises(InputRefused) as caught:
        check_tables(load_study(study, study))
    assert [fault for fault in caught.value.faults if table in fault.where]
    said = ("look-alike", "CYRILLIC CAPITAL LETTER ER", "P1 occurs more than once")
    assert any(words in str(caught.value) for words in said)


def test_two_visits_whose_participants_differ_by_case_are_refused(study):
    text = (study / "visits.tsv").read_text()
    (study / "visits.tsv").write_text(text.replace("P2\t", "p1\t"))
    with pytest.raises(InputRefused, match=r"'P1' \(visits.tsv\) and 'p1' "):
        plan_workflow({"study": str(study), "out": str(study / "res")})


def test_codes_that_are_merely_similar_are_not_alike():
    assert len({look_alike(code) for code in ("P1", "P-1", "P_1", "P.1", "P01", "P11")}) == 6


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o277])
def test_results_follow_the_umask_and_keys_are_their_owners_alone(tmp_path, umask):
    before = os.umask(umask)
    try:
        private_folder(tmp_path / "out" / "key")
        write_json(tmp_path / "out" / "key" / "a.json", {}, private=True)
        write_json(tmp_path / "out" / "b.json", {})
    finally:
        os.umask(before)
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in tmp_path.rglob("*")}
    assert modes["key"] == 0o700
    assert modes["a.json"] == 0o600
    assert modes["b.json"] == 0o666 & ~umask
    assert modes["out"] == 0o777 & ~umask


def test_a_key_that_others_could_read_is_closed_to_them_when_a_run_begins(study, folder):
    key = folder / "res" / "key"
    key.mkdir(parents=True, mode=0o755)
    (key / "key.tsv").write_text("code\n")
    (key / "key.tsv").chmod(0o644)
    plan_workflow({"study": str(study), "out": str(folder / "res")}).begin()
    assert {stat.S_IMODE(p.stat().st_mode) for p in (key, *key.iterdir())} == {0o700, 0o600}


@pytest.mark.parametrize("cores", ["1", "2"])
def test_visits_are_converted_in_the_order_of_their_codes(study, folder, cores, monkeypatch):
    (folder / "bin").mkdir()
    (folder / "bin" / "petflame").write_text(STAND_IN)
    (folder / "bin" / "petflame").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder / 'bin'}:{os.environ['PATH']}")
    done = snakemake(folder, "--cores", cores, "--until", "convert", study="study", out="res")
    assert done.returncode == 0, done.stderr
    begun = [line.split("=")[1] for line in done.stderr.splitlines() if line.strip().startswith("wildcards: code=")]
    records = (folder / "res" / "visits").glob("*/steps/convert.json")
    ended = [p.parents[1].name for p in sorted(records, key=lambda p: p.stat().st_mtime_ns)]
    assert len(begun) == len(ended) == 12
    for order in (begun, ended):
        # Jobs that begin together may begin, and end, in either order.
        assert max(abs(place - sorted(order).index(code)) for place, code in enumerate(order)) < int(cores)


def test_the_graph_of_jobs_does_not_know_which_visit_came_first(study, folder):
    done = snakemake(folder, "--dry-run", study="study", out="res")
    inputs = re.findall(r"rule (pair|collect):\n    input: (.*)", done.stdout)
    assert len(inputs) == 7
    for _, files in inputs:
        for kind in ("visits", "pairs"):
            codes = re.findall(rf"res/{kind}/(\w+)/", files)
            assert codes == sorted(codes)


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs /proc")
class TestLockOfAKilledRun:
    """The script `run` removes a lock that nobody holds, and no other."""

    @pytest.fixture
    def clone(self, tmp_path):
        """A folder with the script, a lock, and a log of this machine; the environment counts as set up."""
        (tmp_path / "run").write_text((ROOT / "run").read_text())
        (tmp_path / "requirements.lock").write_text("")
        (tmp_path / ".venv" / "bin").mkdir(parents=True)
        (tmp_path / ".venv" / ".petflame-lock").write_text("")
        (tmp_path / ".venv" / "bin" / "snakemake").write_text("#!/bin/sh\nls .snakemake/locks\n")
        (tmp_path / ".venv" / "bin" / "snakemake").chmod(0o755)
        for name in ("locks", "log"):
            (tmp_path / ".snakemake" / name).mkdir(parents=True)
        for name in ("0.input.lock", "0.output.lock"):
            (tmp_path / ".snakemake" / "locks" / name).write_text("results/x\n")
        self.log(tmp_path, os.uname().nodename)
        return tmp_path

    def log(self, clone, host):
        (clone / ".snakemake" / "log" / f"{time.time()}.snakemake.log").write_text(f"SNAKEMAKE\n  Host: {host}\n")

    def locks_after(self, clone, *command):
        done = subprocess.run(["sh", "run", *command], cwd=clone, capture_output=True, text=True, check=True)
        return done.stdout.split()

    @pytest.mark.parametrize("command", [("demo",), ("snakemake", "--cores", "1")])
    def test_is_removed(self, clone, command):
        assert self.locks_after(clone, *command) == []

    def alive(self, clone, *command):
        (clone / command[0]).write_text("#!/bin/sh\nsleep ${2:-60} & wait\n")
        return subprocess.Popen(["sh", str(clone / command[0]), *command[1:]], cwd=clone, start_new_session=True)

    def test_stays_while_a_snakemake_of_the_folder_lives(self, clone):
        alive = self.alive(clone, "snakemake", "--cores")
        try:
            assert len(self.locks_after(clone, "demo")) == 2
        finally:
            os.killpg(alive.pid, signal.SIGKILL)
            alive.wait()
        assert self.locks_after(clone, "demo") == []

    def test_is_removed_when_the_jobs_that_outlived_their_run_have_ended(self, clone):
        alive = self.alive(clone, "petflame", "convert", "2")
        assert self.locks_after(clone, "demo") == []
        assert alive.wait(timeout=1) == 0

    def test_stays_when_the_run_was_on_another_machine(self, clone):
        self.log(clone, "elsewhere")
        self.log(clone, os.uname().nodename)
        assert len(self.locks_after(clone, "demo")) == 2


TOO_LONG = "a" * 5000
VERBS = {
    "check": ["check", TOO_LONG],
    "a scan": ["convert", TOO_LONG, "--out", "v"],
    "a visit": ["segment", TOO_LONG],
    "labels": ["segment", ".", "--method", "labels", "--from", TOO_LONG],
    "exclusions": ["measure", ".", "--exclusions", TOO_LONG],
    "a pair": ["pair", ".", ".", "--out", TOO_LONG],
    "a report": ["report", TOO_LONG],
    "results": ["verify", TOO_LONG],
}


@pytest.mark.parametrize("words", VERBS.values(), ids=VERBS)
def test_a_path_that_is_too_long_is_refused_by_every_verb(words, tmp_path, monkeypatch, capsys):
    import petflame.cli

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["petflame", *words])
    with pytest.raises(SystemExit) as end:
        petflame.cli.main()
    assert end.value.code == 2
    assert "File name too long; name a path that exists" in capsys.readouterr().err


def test_a_path_that_is_too_long_is_refused_when_a_run_is_planned():
    for key in ("study", "protocol", "out"):
        with pytest.raises(InputRefused, match=r"too long|longer"):
            plan_workflow({"study": "simulated", "out": "results", key: TOO_LONG})


@pytest.mark.parametrize("column", ["dicom_dir", "labels", "seeds", "edits", "overrides"])
def test_a_path_in_the_table_that_is_too_long_is_told_with_its_line(study, column):
    table = pd.read_csv(study / "visits.tsv", sep="\t", dtype=str)
    table.loc[1, column] = "b" * 300
    table.to_csv(study / "visits.tsv", sep="\t", index=False)
    with pytest.raises(InputRefused, match=f"line 3: the path in {column} is longer than any file's can be"):
        load_study(study, study / "out")


@pytest.mark.parametrize("out", ["b" * 300, "abcdefghi/" * 405], ids=["a long name", "a long path"])
def test_results_whose_path_would_be_too_long_are_refused_when_a_run_is_planned(study, out):
    with pytest.raises(InputRefused, match="longer than any can be"):
        plan_workflow({"study": str(study), "out": out})
