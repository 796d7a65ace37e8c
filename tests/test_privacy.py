"""Names from outside are shown to the person at the screen and never reach a result."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from petflame.console import Console
from petflame.errors import Fault
from petflame.files import write_json, write_tsv
from petflame.privacy import named, names_in, with_names, without_names

TEXT = f"{named('SMITH^JOHN 1.dcm', 'file 12')} of {named('Mrs {Smith}', 'region 3')} is damaged"


def test_a_quoted_name_is_found_again() -> None:
    quoted = f"the region {named('Mrs Smith', 'region 3')!r} is unknown"
    assert without_names(quoted) == "the region 'region 3' is unknown"
    assert with_names(quoted) == "the region 'Mrs Smith' is unknown"


def test_every_name_is_listed_once() -> None:
    assert names_in([TEXT, TEXT]) == [("file 12", "SMITH^JOHN 1.dcm"), ("region 3", "Mrs {Smith}")]


@pytest.mark.parametrize("name", ["\u2983evil\u2980x\u2984", "\u2984", "", "1.dcm"])
def test_no_name_can_break_out_of_its_mark(name: str) -> None:
    assert without_names(f"a {named(name, 'file 1')} b") == "a file 1 b"


def test_results_hold_stand_ins(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {TEXT: [TEXT, {"uid": "2.25.123456789012"}]})
    write_tsv(tmp_path / "t.tsv", pd.DataFrame({"what": [TEXT]}), {"what": ("message", "")})
    for path in tmp_path.iterdir():
        assert "smith" not in path.read_text(encoding="utf-8").lower()
    assert "123456789012" not in (tmp_path / "a.json").read_text()
    assert "file 12 of region 3" in (tmp_path / "t.tsv").read_text()


def test_a_terminal_shows_the_name_and_a_recorded_run_the_stand_in(capsys: pytest.CaptureFixture[str]) -> None:
    Console().faults([Fault(TEXT, "here", "mend it")])
    assert "SMITH^JOHN 1.dcm of Mrs {Smith}" in capsys.readouterr().err
    Console(recorded=True).faults([Fault(TEXT, "here", "mend it")])
    assert "file 12 of region 3" in capsys.readouterr().err
    Console(as_json=True, recorded=True).faults([Fault(TEXT, "here", "mend it")])
    assert json.loads(capsys.readouterr().err)["what"] == "file 12 of region 3 is damaged"
