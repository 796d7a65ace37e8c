"""Whatever a file from outside holds, it is read or refused in plain words."""

from __future__ import annotations

import json
import os
import plistlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from petflame.errors import Fault, InputRefused, capped
from petflame.outside import (
    NOTES,
    Bounds,
    read_json,
    read_json_object,
    read_plist,
    read_yaml,
)
from petflame.privacy import named, with_names, without_names
from petflame.tabletext import read_frame, read_rows
from petflame.typed import Misshapen, number, point_mm

SMALL = Bounds(size_bytes=100_000, depth=8, elements=1_000)
ANY_FILE = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
READERS = (lambda p: read_json(p, SMALL), lambda p: read_yaml(p, SMALL), lambda p: read_plist(p, SMALL), read_frame)
SEVENTEEN_LEVELS = "a: &a [x, x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [*{chr(97 + n)}, *{chr(97 + n)}]\n" for n in range(16)
)


def refusal(read: Any, path: Path, *more: Any) -> str:
    with pytest.raises(InputRefused) as caught:
        read(path, *more)
    return with_names(str(caught.value))


@ANY_FILE
@given(content=st.binary(max_size=400))
def test_any_bytes_are_read_or_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    for read in READERS:
        with suppress(InputRefused):
            read(path)


@ANY_FILE
@given(
    start=st.sampled_from(["", "bplist00", "<plist version='1.0'><dict>", "---\n", "{", "participant_id\tvisit\n"]),
    words=st.lists(
        st.sampled_from(
            [
                "<key>a</key>",
                "<array>",
                "</array>",
                "<real>nan</real>",
                "<date>x</date>",
                "&a",
                "*a",
                "<<: *a",
                "? ",
                "!!set {a}",
                "!!binary aGk=",
                "- ",
                ": ",
                "\n",
                "\t",
                '"',
                "[",
                "]",
                "{",
                "}",
                ",",
                "1e400",
                "NaN",
                "9" * 400,
                "\\ud800",
                "2020-99-99",
                "\r",
                "\x0b",
                "\u2028",
                "a",
            ]
        ),
        max_size=30,
    ),
)
def test_any_words_are_read_or_refused(start: str, words: list[str], tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text(start + "".join(words), encoding="utf-8", newline="")
    for read in READERS:
        with suppress(InputRefused):
            read(path)


@pytest.mark.parametrize("read", READERS)
def test_only_regular_files_are_opened(read: Any, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "folder").mkdir()
    assert "a pipe, not a regular file" in refusal(read, tmp_path / "pipe")
    assert "a folder, not a regular file" in refusal(read, tmp_path / "folder")
    assert "a device, not a regular file" in refusal(read, Path("/dev/zero"))
    assert "cannot be opened" in refusal(read, tmp_path / "loop")
    assert "cannot be opened" in refusal(read, tmp_path / ("a" * 300))
    assert "cannot be opened" in refusal(read, tmp_path / "a\0b")
    assert "missing" in refusal(read, tmp_path / "none")


def test_a_link_to_a_regular_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "real").write_text('{"a": [1, 2.5, "x", null, true]}')
    (tmp_path / "link").symlink_to("real")
    assert read_json(tmp_path / "link") == {"a": [1, 2.5, "x", None, True]}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 5_000, "levels within each other"),
        ("[" * 9 + "]" * 9, "more than 8 levels"),
        (f"[{'1,' * 1_000}1]", "more than 1000 values"),
        ('{"a": [0, NaN]}', "a' [1] is not a finite number"),
        ('{"a": 1e400}', "not a finite number"),
        ('{"a": 1' + "0" * 309 + "}", "not a finite number"),
        ('{"a": 1' + "0" * 5_000 + "}", "cannot be read as JSON"),
        ('{"a": "\\ud800"}', "no text"),
        ('{"\\ud800": 1}', "no text"),
        ('{"a": "\\u0000"}', "no text"),
        ('{"a": 1, "a": 2}', "'a' stands twice"),
        ("{", "cannot be read as JSON"),
        (" " * 100_001, "larger than"),
    ],
)
def test_json_beyond_a_bound_is_refused_with_its_place(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(text)
    assert said in refusal(read_json, tmp_path / "a.json", SMALL)


def test_an_encoding_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    for encoding, said in (
        ("utf-16", "UTF-16"),
        ("utf-32", "UTF-32"),
        ("utf-16-le", "NUL"),
        ("latin-1", "line 2 holds a character that is not UTF-8"),
    ):
        path.write_bytes("a\tb\né\t1\n".encode(encoding))
        message = refusal(read_frame, path)
        assert said in message
        assert "save it as UTF-8" in message
    path.write_bytes("a\tb\né\t1\n".encode("utf-8-sig"))
    assert read_frame(path, text=("a",))["a"].tolist() == ["é"]


def test_yaml_aliases_are_weighed_before_anything_is_built(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(SEVENTEEN_LEVELS)
    assert "more than" in refusal(read_yaml, path, SMALL)
    path.write_text("a: &a [*a]\n")
    assert "names nothing that is whole" in refusal(read_yaml, path)
    path.write_text("pool: &pool [svc]\naorta: *pool\ncarotid: {<<: {a: 1}, b: *pool}\n")
    assert read_yaml(path) == {"pool": ["svc"], "aorta": ["svc"], "carotid": {"a": 1, "b": ["svc"]}}


def test_yaml_takes_numbers_as_they_are_written(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("octal: 070\ntime: 10:30:00\ndate: 2024-01-31\nsmall: 1e-6\nwhole: 12\nhalf: .5\nhex: 0x1F\n")
    assert read_yaml(path) == {
        "octal": 70, "time": "10:30:00", "date": "2024-01-31", "small": 1e-6, "whole": 12, "half": 0.5, "hex": "0x1F"
    }  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "a: 1\na: 2",
        "a: .nan",
        "a: 1" + "0" * 309,
        "!!python/object/apply:os.system ['true']",
        "a: !!binary aGk=",
        "[" * 20_000,
        "? [a]\n: b",
        'a: "\\uD800"',
        "a: [",
        "x: " + "y" * 300_000,
    ],
)
def test_yaml_of_other_kinds_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(text)
    refusal(read_yaml, tmp_path / "a.yaml")


def test_property_lists_have_the_same_bounds_and_no_entities(tmp_path: Path) -> None:
    path = tmp_path / "a.plist"
    path.write_bytes(plistlib.dumps({"a": ["b", 1.5, True]}, fmt=plistlib.FMT_BINARY))
    assert read_plist(path, SMALL) == {"a": ["b", 1.5, True]}
    nested: list[Any] = []
    for _ in range(20):
        nested = [nested]
    path.write_bytes(plistlib.dumps(nested, fmt=plistlib.FMT_BINARY))
    assert "levels" in refusal(read_plist, path, SMALL)
    path.write_text("<plist version='1.0'>" + "<array>" * 5_000 + "</array>" * 5_000 + "</plist>")
    assert "levels" in refusal(read_plist, path, SMALL)
    path.write_text(
        '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "b">]><plist version="1.0"><string>&a;</string></plist>'
    )
    assert "entity" in refusal(read_plist, path, SMALL)
    # Seven objects, a million values: object n holds object n + 1 ten times.
    offsets, body = [], b"bplist00"
    for n in range(7):
        offsets.append(len(body))
        body += b"\xaa" + bytes([n + 1]) * 10 if n < 6 else b"\x51x"
    table = len(body)
    body += bytes(offsets) + bytes(6) + bytes([1, 1]) + (7).to_bytes(8, "big") + bytes(8) + table.to_bytes(8, "big")
    path.write_bytes(body)
    assert "more than 1000 values" in refusal(read_plist, path, SMALL)


def test_numbers_and_points_are_finite_and_within_reach() -> None:
    assert point_mm([1, 2.5, -3], "p") == (1.0, 2.5, -3.0)
    for value in (
        [1, 2],
        [1, 2, 10**309],
        [1, 2, 2e4],
        [1, 2, True],
        [1, 2, "3"],
        [1, 2, float("nan")],
        None,
        "abc",
        {"a": 1, "b": 2, "c": 3},
    ):
        with pytest.raises(Misshapen, match=r"^p"):
            point_mm(value, "p")
    assert number(3, "n", 0, 5) == 3.0
    with pytest.raises(Misshapen, match="n is 7, not within 0 to 5 mm"):
        number(7, "n", 0, 5, "mm")


def table(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "t.tsv"
    path.write_text(text, encoding="utf-8", newline="")
    return path


def test_what_a_spreadsheet_adds_at_the_end_is_passed_over(tmp_path: Path) -> None:
    frame = read_frame(table(tmp_path, " id \tx\t\t\nA\t1\t\t\n\t\t\t\n\r\nB\t2\t\t\n\t\t\t\n"), text=("id",))
    assert frame.columns.tolist() == ["id", "x"]
    assert frame["id"].tolist() == ["A", "B"]
    assert (frame.index + 2).tolist() == [2, 5]


def test_text_says_na_and_numbers_miss_it(tmp_path: Path) -> None:
    frame = read_frame(table(tmp_path, "id\tx\nNA\tNA\nNone\t1.5\nn/a\tn/a\n\t2\n"), text=("id",))
    assert frame["id"].fillna("missing").tolist() == ["NA", "None", "missing", "missing"]
    assert frame["x"].isna().tolist() == [True, False, True, False]


def test_a_number_beyond_all_is_infinite_and_not_an_error(tmp_path: Path) -> None:
    frame = read_frame(table(tmp_path, "id\tx\nA\t" + "9" * 400 + "\nB\t1\n"), text=("id",))
    assert frame["x"].tolist() == [float("inf"), 1.0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "it is empty"),
        ("\n\t\t\n", "it is empty"),
        ("id,x\nA,1\n", "separated by commas"),
        ("id;x\nA;1\n", "separated by semicolons"),
        ("id\tid\tx\nA\tA\t1\n", "'id' stands twice"),
        ("id\t\tx\nA\tB\t1\n", "column 2 has no name"),
        ("id\tx\nA\t1\t2\nB\t1\t3\n", "lines 2, 3"),
        ('id\tx\n"A\t1\nB\t2\n', "line 2 does not end in its line"),
        ("id\tx\nA\t" + "y" * 6_000, "longer than 5000 characters in line 2"),
        ("id\nA\n", "columns x are missing (it has 'id')"),
        ("id\tx\nA\t1\0\n", "line 2 holds a NUL"),
    ],
)
def test_a_table_that_cannot_be_meant_is_refused(text: str, said: str, tmp_path: Path) -> None:
    assert said in refusal(read_frame, table(tmp_path, text), ("id", "x"))


def test_cells_may_hold_quotes_and_line_breaks(tmp_path: Path) -> None:
    rows = read_rows(table(tmp_path, 'id\tx\n"A ""b"""\t"two\nlines"\nC\t5" d\n'))
    assert rows.cells == (('A "b"', "two\nlines"), ("C", '5" d'))
    assert rows.lines == (2, 4)


def test_thousands_of_faults_are_capped_and_say_how_many_more() -> None:
    faults = capped(Fault("w" * 5_000, named("/x" * 4_000, "the file") + ", line 3", "r" * 5_000) for _ in range(3_000))
    assert len(faults) == 101
    assert capped(faults) == faults
    assert faults[-1].what == "2900 more faults"
    assert max(len(with_names(str(f))) for f in faults) < 1_500
    assert with_names(faults[0].where).endswith("x/x, line 3")
    assert without_names(faults[0].where) == "the file, line 3"


def test_products_that_were_edited_by_hand_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "arms.json"
    for content in ("[]", "null", "{", '{"a": NaN}', "[" * 100_000):
        path.write_text(content)
        refusal(read_json_object, path, NOTES)
    path.write_text(json.dumps({"a": {"b": [1]}}))
    assert read_json_object(path) == {"a": {"b": [1]}}
