import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_lock_names_no_registry_and_hashes_everything():
    text = (ROOT / "requirements.lock").read_text()
    assert "://" not in text
    pins = re.findall(r"^[a-zA-Z0-9._-]+(?:\[[^\]]*\])?==[^ ]+.*$", text, re.MULTILINE)
    assert len(pins) > 50
    assert all(pin.rstrip().endswith("\\") for pin in pins)


def test_the_lock_holds_every_dependency():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = project["project"]["dependencies"] + project["dependency-groups"]["dev"]
    locked = {
        m.lower().replace("_", "-")
        for m in re.findall(r"^([a-zA-Z0-9._-]+)", (ROOT / "requirements.lock").read_text(), re.M)
    }
    names = {re.match(r"[A-Za-z0-9._-]+", w)[0].lower().replace("_", "-") for w in wanted}
    assert names <= locked


def test_the_readme_names_the_files_it_relies_on():
    text = (ROOT / "README.md").read_text()
    for path in ("docs/report.png", "config/protocols/ivory.yaml", "requirements.lock", "CITATION.cff"):
        assert path in text
        assert (ROOT / path).exists()
