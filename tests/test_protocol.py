from pathlib import Path

import pytest

from petflame.errors import InputRefused
from petflame.protocol import Protocol, load_protocol

PROTOCOLS = Path(__file__).parents[1] / "config" / "protocols"


def test_the_documented_default_is_the_default():
    documented = load_protocol(PROTOCOLS / "ivory.yaml")
    assert documented.as_dict() == Protocol().as_dict()
    assert documented.digest == Protocol().digest


@pytest.mark.parametrize("path", sorted(PROTOCOLS.glob("*.yaml")), ids=lambda p: p.stem)
def test_every_shipped_protocol_is_valid_and_named_after_its_file(path):
    assert load_protocol(path).name.startswith(path.stem)


def test_every_fault_is_listed_at_once(tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text("nmae: x\nsummary: {active_threshold: -1, index_candidates: [aorta]}\nregion: {margin: 2}\n")
    with pytest.raises(InputRefused) as caught:
        load_protocol(path)
    text = str(caught.value)
    for word in ("nmae", "active_threshold", "region.margin"):
        assert word in text


def test_a_choice_changes_the_hash_and_a_comment_does_not(tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text("# only a comment\nname: ivory_assumed_v0\n")
    assert load_protocol(path).digest == Protocol().digest
    path.write_text("summary: {active_threshold: 1.6}\n")
    assert load_protocol(path).digest != Protocol().digest
