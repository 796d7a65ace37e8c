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
    assert load_protocol(path).name.replace("_assumed", "").startswith(path.stem)


def test_a_file_of_the_older_version_keeps_its_meaning_whatever_it_leaves_out(tmp_path):
    older = load_protocol(PROTOCOLS / "ivory_v0.yaml")
    bare = tmp_path / "p.yaml"
    bare.write_text("name: ivory_assumed_v0\nregion: {pet_ct_mismatch_voxels: 1.0, metal: exclude}\n")
    assert load_protocol(bare).as_dict() == older.as_dict() == Protocol(name="ivory_assumed_v0").as_dict()
    assert older.region.pet_ct_limit_mm(5.5) == 5.5
    assert Protocol().region.pet_ct_limit_mm(5.5) == 4.0
    assert older.varied(older.sensitivity[0]).comparability == older.comparability
    assert older.segmentation.regions == "former"


def test_the_version_before_differs_in_its_regions_alone(tmp_path):
    before = load_protocol(PROTOCOLS / "ivory_v1.yaml")
    bare = tmp_path / "p.yaml"
    bare.write_text("name: ivory_assumed_v1\n")
    assert load_protocol(bare).as_dict() == before.as_dict() == Protocol(name="ivory_assumed_v1").as_dict()
    now = Protocol().as_dict()
    assert {k for k, v in before.as_dict().items() if v != now[k]} == {"name", "segmentation"}
    assert (before.segmentation.regions, Protocol().segmentation.regions) == ("former", "landmarks")
    assert before.varied(before.sensitivity[0]).segmentation == before.segmentation
    bare.write_text("name: ivory_assumed_v1\nsegmentation: {regions: landmarks}\n")
    assert load_protocol(bare).segmentation.regions == "landmarks"
    bare.write_text("segmentation: {regions: newest}\n")
    with pytest.raises(InputRefused, match=r"segmentation\.regions"):
        load_protocol(bare)


def test_a_section_has_a_hash_of_its_own():
    plain, former = Protocol(), Protocol(segmentation={"regions": "former"})
    for section in plain.as_dict():
        assert (plain.section_digest(section) == former.section_digest(section)) == (section != "segmentation")


@pytest.mark.parametrize("name", ["reference", "multicentre", "eanm"])
def test_protocols_that_are_not_older_take_todays_regions(name):
    assert load_protocol(PROTOCOLS / f"{name}.yaml").segmentation == Protocol().segmentation


def test_a_limit_has_one_unit():
    assert Protocol(region={"pet_ct_mismatch_voxels": 1.0}).region.pet_ct_limit_mm(5.0) == 5.0
    limits = {"passes": 1, "warns": 2}
    assert Protocol(comparability={"pet_ct_shift_voxels": limits}).comparability.pet_ct_shift_mm is None
    for wrong in ({"pet_ct_mismatch_mm": 4, "pet_ct_mismatch_voxels": 1}, {"pet_ct_mismatch_mm": None}):
        with pytest.raises(ValueError, match="pet_ct_mismatch_voxels"):
            Protocol(region=wrong)


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
    path.write_text("# only a comment\nname: ivory_assumed_v2\n")
    assert load_protocol(path).digest == Protocol().digest
    path.write_text("summary: {active_threshold: 1.6}\n")
    assert load_protocol(path).digest != Protocol().digest
