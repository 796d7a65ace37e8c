"""The order of the floors, the picture of it, and that the page names what exists."""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

import architecture_page as page  # noqa: E402


def test_every_import_runs_down():
    assert page.upward() == []
    assert len(list(page.imports())) > 500


def test_every_room_stands_on_one_floor():
    inside = {
        p.name.removesuffix(".py") for p in page.PACKAGE.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()
    }
    assert sorted(page.rooms()) == sorted(inside - {"__init__"})


def test_an_import_that_runs_up_is_seen_also_within_a_function(tmp_path, monkeypatch):
    (tmp_path / "measure").mkdir()
    (tmp_path / "pair").mkdir()
    lines = "def f():\n    from petflame.pair.run import pair_visits\n    return pair_visits\n"
    (tmp_path / "measure" / "x.py").write_text(lines)
    (tmp_path / "pair" / "y.py").write_text("import petflame.measure.x\nfrom petflame import measure\n")
    monkeypatch.setattr(page, "PACKAGE", tmp_path)
    assert page.upward() == ["measure/x.py:2: measure imports pair"]


def test_the_picture_is_drawn_from_the_imports_as_they_are():
    # Line counts change with every edit; floors and arcs are what the picture is for.
    def drawn(text: str) -> list[str]:
        return [line for line in text.splitlines() if 'font-size="11"' not in line]

    assert drawn(page.PICTURE.read_text(encoding="utf-8")) == drawn(page.picture())


def test_the_page_names_files_that_exist():
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:[a-z_]+/)*[a-z_0-9]+\.(?:py|yaml))`|`((?:[a-z_]+/)+)`", text))
    paths = {a or b for a, b in named}
    assert len(paths) > 20
    assert [p for p in paths if not (ROOT / p).exists() and not (page.PACKAGE / p).exists()] == []
