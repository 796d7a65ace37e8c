"""The viewer that lies with the page: the file as published, its licence, and all of the page in the wheel."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import petflame.review

STATIC = Path(petflame.review.__file__).parent / "static"
VENDOR = STATIC / "vendor"
ROOT = Path(__file__).resolve().parents[2]


def test_the_viewer_is_the_file_that_is_written_down():
    (row,) = re.findall(r"\| `niivue\.umd\.js` .*`([0-9a-f]{64})` \|", (VENDOR / "VENDORED.md").read_text())
    assert hashlib.sha256((VENDOR / "niivue.umd.js").read_bytes()).hexdigest() == row
    assert "BSD 2-Clause" in (VENDOR / "LICENSE.niivue.txt").read_text()


def test_nothing_of_the_page_names_another_machine():
    for path in [*STATIC.glob("*.*"), *STATIC.glob("js/*.js")]:
        addresses = re.findall(r"https?://[^\s\"'`)]+", path.read_text())
        assert set(addresses) <= {"http://www.w3.org/2000/svg"}, path.name


def test_no_page_writes_markup_from_words():
    forbidden = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function")
    for path in STATIC.glob("js/*.js"):
        assert not forbidden.search(path.read_text()), path.name


def test_the_wheel_holds_the_page_and_the_viewer():
    from hatchling.builders.wheel import WheelBuilder

    builder = WheelBuilder(str(ROOT))
    held = {file.distribution_path for file in builder.recurse_included_files()}
    needed = {
        f"petflame/review/static/{path.relative_to(STATIC).as_posix()}" for path in STATIC.rglob("*") if path.is_file()
    }
    assert needed <= held
    assert "petflame/review/static/vendor/niivue.umd.js" in needed
