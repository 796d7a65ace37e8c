"""Planning and `check` ask one function about a study's tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from petflame.errors import InputRefused
from petflame.intake import check_study
from petflame.privacy import with_names
from petflame.protocol import Protocol
from petflame.study_tables import table_faults
from petflame.workflow import plan_workflow

TABLES = {
    "visits": "participant_id\tvisit\tdicom_dir\nA\tbaseline\ta0\nA\tfollowup\ta1\nB\tbaseline\tb0\nB\tfollowup\tb1\n",
    "participants": "participant_id\nA\nB\n",
    "allocation": "participant_id\tarm\nA\tactive\nB\tcontrol\n",
    "outcomes": "participant_id\ttime_years\tevent\nA\t1.5\t0\nB\t2.5\t1\n",
}


@pytest.fixture
def study(tmp_path: Path) -> Path:
    root = tmp_path / "study"
    root.mkdir()
    for name, text in TABLES.items():
        (root / f"{name}.tsv").write_text(text)
    return root


def said(faults) -> str:
    return with_names("\n".join(map(str, faults)))


def checked(root: Path) -> str:
    from contextlib import nullcontext

    report = check_study(root, Protocol(), False, lambda *_: nullcontext(lambda: None))
    return said(f for f in report.faults if "tsv" in f.where or "not read" in f.what)


def test_sound_tables_have_no_fault(study):
    found = table_faults(study, {"A", "B"})
    assert (found.stopping, found.exploratory, found.unread) == ((), (), ())
    assert checked(study) == ""


@pytest.mark.parametrize(
    ("outcomes", "words"),
    [
        ("A\t1,5\t0\nB\t2,5\t1\n", "decimal comma"),
        ("A\t1.5\tno\nB\t2.5\tyes\n", "write 1 for an event"),
        ("A\t2024-01-31\t0\nB\t2.5\t1\n", "is a date"),
        ("A\t24\t0\nB\t36\t1\n", "look like months"),
        ("A\t1.5\t0\nC\t1.5\t0\n", "no arm for C"),
        ("A\t1.5\t0\nA\t1.5\t0\nB\t1\t1\n", "A occurs more than once"),
    ],
)
def test_a_fault_of_the_outcomes_is_found_by_check_and_stops_no_run(study, tmp_path, outcomes, words):
    (study / "outcomes.tsv").write_text("participant_id\ttime_years\tevent\n" + outcomes)
    assert words in checked(study)
    run = plan_workflow({"study": str(study), "out": str(tmp_path / "out")})
    assert words in with_names("\n".join(run.doubts))
    assert [job.request.verb for job in run.jobs()].count("analyse") == 1


@pytest.mark.parametrize("glucose", ["5,5", "about five"])
def test_a_fault_of_the_visits_blames_no_other_table(study, glucose):
    rows = TABLES["visits"].splitlines()
    rows = [f"{rows[0]}\tglucose_mmol_l", f"{rows[1]}\t{glucose}", *(f"{row}\t5.5" for row in rows[2:])]
    (study / "visits.tsv").write_text("\n".join(rows) + "\n")
    assert checked(study).count("\n") == 0
    assert "visits.tsv, line 2: glucose_mmol_l" in checked(study)


def test_a_table_saved_as_utf_16_is_named_once(study):
    (study / "visits.tsv").write_bytes(TABLES["visits"].encode("utf-16"))
    assert "saved as UTF-16" in checked(study)
    assert "allocation" not in checked(study)


def test_blank_rows_of_a_spreadsheet_are_passed_over(study):
    for name, text in TABLES.items():
        (study / f"{name}.tsv").write_text(text + "\t\t\n\t\t\n")
    assert checked(study) == ""


def test_na_is_a_code_as_any_other(study):
    for name, text in TABLES.items():
        (study / f"{name}.tsv").write_text(text.replace("A\t", "NA\t").replace("\nA\n", "\nNA\n"))
    assert checked(study) == ""


@pytest.mark.parametrize("name", ["allocation.csv", "Allocation.TSV", "allocation.xlsx", "outcomes.txt"])
def test_a_table_that_nobody_reads_is_named(study, tmp_path, name):
    (study / "allocation.tsv").unlink()
    (study / "outcomes.tsv").unlink()
    (study / name).write_text(TABLES["allocation"])
    assert f"{name}: it is not read" in checked(study)
    assert "not read" in "".join(plan_workflow({"study": str(study), "out": str(tmp_path / "out")}).doubts)


def test_a_faulty_allocation_is_told_once_and_stops(study, tmp_path):
    (study / "allocation.tsv").write_text("participant_id\tarm\nA\tverum\nA\tcontrol\nC\tcontrol\n")
    found = table_faults(study, {"A", "B"})
    text = said(found.stopping)
    for words in ("`arm` is unknown in line 2 ('verum')", "A occurs more than once", "B has visits but no arm"):
        assert text.count(words) == 1
    assert found.exploratory == ()
    with pytest.raises(InputRefused):
        plan_workflow({"study": str(study), "out": str(tmp_path / "out")})


def test_followed_in_one_arm_alone_is_said_and_is_no_fault(study, tmp_path):
    (study / "outcomes.tsv").write_text("participant_id\ttime_years\tevent\nA\t1.5\t0\n")
    assert checked(study) == ""
    assert "in the active arm" in "".join(plan_workflow({"study": str(study), "out": str(tmp_path / "o")}).doubts)
