"""Private paths and names go from messages, and the words of the messages stay."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import petflame
from petflame.pathwords import private_words, without_paths


def told(text: str, path: str | Path, what: str = "edits") -> str:
    return without_paths(text, private_words({what: Path(path)}))


def words_of_messages() -> list[str]:
    """Return every text of petflame's sources that holds several words: what messages are made of."""
    texts = set()
    for source in Path(petflame.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(source.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.count(" ") > 2:
                texts.add(node.value)
    # Those of several lines are docstrings and pages.
    return sorted(text for text in texts if "\n" not in text)


MESSAGES = words_of_messages()


@pytest.mark.parametrize(
    "name", ["s", "ed", "in", "1", "carotid", "aorta_arch", "e", "kg", "dL", "CT", "labels", "row"]
)
def test_a_folder_with_a_short_or_ordinary_name_leaves_the_words_alone(name):
    plain = "in row 1 of 12, the carotid and the aorta_arch: 1 mg/dL (MBq/kg) is no label of the CT's 1e5 seeds, edited"
    assert told(plain, f"/d/trial/{name}") == plain
    for text in MESSAGES:
        assert told(text, f"/d/trial/{name}") == text


@pytest.mark.parametrize(
    "name", ["s", "ed", "in", "1", "smith", "SMITH", "J. Smith", "Jöhn", "20220802", "a+b", "in.nii.gz"]
)
def test_a_path_goes_wherever_it_stands(name):
    for text, kept in (
        (f"/d/trial/{name}/decisions.tsv, line 2", "edits/decisions.tsv, line 2"),
        (f"it cannot be read (No such file: '/d/trial/{name}')", "it cannot be read (No such file: 'edits')"),
        (f"/elsewhere/{name}/x.tsv is bad", "/elsewhere/edits/x.tsv is bad"),
        (f"No such file or directory: '{name}'", "No such file or directory: 'edits'"),
        (f"{name}, line 3", "edits, line 3"),
        (name, "edits"),
    ):
        assert told(text, f"/d/trial/{name}") == kept


@pytest.mark.parametrize("name", ["SMITH", "Smith", "J. Smith", "smith_2", "20220802", "P-12"])
def test_a_name_that_is_no_word_goes_from_running_text(name):
    assert told(f"nothing of {name} is here", f"/d/{name}") == "nothing of edits is here"


def test_relative_paths_go_in_every_form(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "real").mkdir()
    (tmp_path / "s").symlink_to("real")
    for text in ("s/decisions.tsv", f"{tmp_path}/s/decisions.tsv", f"{tmp_path}/real/decisions.tsv"):
        assert told(text, "s") == "edits/decisions.tsv"


def test_a_folder_of_the_root_is_no_part_of_a_unit():
    assert told("5 mg/dL in /d, or /d/x, not /data", "/d") == "5 mg/dL in edits, or edits/x, not /data"


def test_what_hangs_on_to_a_path_goes_with_it():
    assert told("/d/SMITH_columns.json and /d/SMITH-J/x", "/d/SMITH") == "edits.json and edits/x"


@given(st.text(st.characters(exclude_characters="/\\\0", exclude_categories=("Cs",)), min_size=1, max_size=12))
def test_no_path_is_left_whatever_its_name(name):
    if name.strip(".") == "":
        return
    path = f"/d/scans/{name}"
    for text in (f"{path}: gone", f"open '{path}/x'", f"file {path}"):
        assert path not in told(text, path)
