"""Cells stand in messages as a table writes them, and ages are possible ones."""

from __future__ import annotations

import pytest

from petflame.console import Console
from petflame.errors import FaultList
from petflame.intake import check_study
from petflame.places import place_faults
from petflame.privacy import with_names
from petflame.protocol import Protocol
from petflame.trial.tables import read_allocation, read_outcomes, read_participants


def told(read, path, text, *more) -> str:
    path.write_text(text)
    faults = FaultList()
    read(path, *more, faults)
    return with_names("\n".join(map(str, faults)))


@pytest.mark.parametrize(
    ("rows", "shown"),
    [
        ("A\t1.5\t3\nB\t1\t1\n", "line 2 (3)"),
        ("A\t-2.682\t0\nB\t1\t1\n", "line 2 (-2.682)"),
        ("A\t-1\t0\nB\t1.5\t1\n", "line 2 (-1)"),
    ],
)
def test_numbers_are_written_plainly(tmp_path, rows, shown):
    words = told(read_outcomes, tmp_path / "outcomes.tsv", f"participant_id\ttime_years\tevent\n{rows}")
    assert shown in words
    assert "np." not in words


def test_an_empty_cell_is_not_available(tmp_path):
    words = told(read_allocation, tmp_path / "allocation.tsv", "participant_id\tarm\nA\tactive\nB\tn/a\n")
    assert "line 3 (n/a)" in words


@pytest.mark.parametrize(
    ("age", "wrong"), [("-53", True), ("121", True), ("53", False), ("n/a", False), ("50-59", False)]
)
@pytest.mark.parametrize("column", ["age", "age_years"])
def test_an_impossible_age_is_refused(tmp_path, age, wrong, column):
    text = f"participant_id\t{column}\nA\t{age}\nB\t60\n"
    assert bool(told(read_participants, tmp_path / "participants.tsv", text, ())) == wrong


@pytest.mark.parametrize("name", ["a{b}", "a\nb"])
def test_a_check_refuses_the_names_that_the_run_refuses(tmp_path, name):
    root = tmp_path / name
    root.mkdir()
    (expected,) = place_faults(str(root), str(tmp_path / "out"))
    assert expected in check_study(root, Protocol(), False, Console().progress).faults
