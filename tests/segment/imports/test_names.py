import json
import re

import pytest

from petflame.anatomy import BY_NAME
from petflame.errors import InputRefused
from petflame.segment.imports.names import SYNONYMS, is_ignored, region_of, resolve
from petflame.segment.imports.sidecar import read_sidecar, sidecar_paths


def test_every_region_knows_its_own_name_and_no_synonym_means_two_things():
    for name in BY_NAME:
        assert region_of(name) == name
    words = [w for region in SYNONYMS.values() for w in region]
    assert len(words) == len(set(words))
    for region, synonyms in SYNONYMS.items():
        assert {region_of(w) for w in synonyms} == {region}


@pytest.mark.parametrize(
    ("text", "region"),
    [
        ("Aorta ascending", "aorta_ascending"),
        ("AA", "aorta_ascending"),
        ("RC", "carotid_right"),
        ("LC 12", "carotid_left"),
        ("LC12", "carotid_left"),
        ("common_carotid_artery_left", "carotid_left"),
        ("internal_carotid_artery_right", "carotid_right"),
        ("superior_vena_cava", "svc"),
        ("Left Internal Jugular Vein", "jugular_left"),
        ("Internal jugular vein Left", "jugular_left"),
        ("vertebrae_T7", "vertebrae"),
        ("aorta", "aorta"),
        ("spleen", None),
        ("7", None),
        ("", None),
    ],
)
def test_what_tools_and_readers_write_is_understood(text, region):
    assert region_of(text) == region


def test_all_unknown_names_are_listed_with_those_that_are_known():
    with pytest.raises(InputRefused, match=r"'spleen', 'wobble'.*carotid_left = .*common carotid artery left"):
        resolve([(("spleen",), 1, "spleen"), (("svc",), 2, "svc"), (("wobble",), 3, "wobble")], {}, "file")


def test_the_users_table_wins_by_name_or_by_number():
    given = {"Spleen": "ignore", "7": "svc", "RC": "carotid_left"}
    claims = [(("spleen",), 1, ""), (("odd",), 7, ""), (("rc",), 3, "")]
    assert resolve(claims, given, "f") == ["ignore", "svc", "carotid_left"]
    assert [is_ignored(names, number, given) for names, number, _ in claims] == [True, False, False]


def test_a_table_that_points_to_nothing_is_refused(tmp_path):
    path = tmp_path / "a.seg.nrrd"
    sidecar_paths(path)[1].write_text(json.dumps({"names": {"RC": "carotis", "LC": "carotid_left"}}))
    with pytest.raises(InputRefused, match=re.escape("RC: carotis")):
        read_sidecar(path)


@pytest.mark.parametrize("text", ['{"names": 3}', '{"grid": "mr"}', '{"first_image": "up"}', "[]", "{"])
def test_a_damaged_table_is_refused(tmp_path, text):
    path = tmp_path / "a.dcm"
    sidecar_paths(path)[1].write_text(text)
    with pytest.raises(InputRefused):
        read_sidecar(path)


def test_a_file_for_a_label_map_serves_too(tmp_path):
    path = tmp_path / "a.nrrd"
    sidecar_paths(path)[1].write_text(json.dumps({"labels": {"3": "svc"}, "landmarks_lps_mm": {"x": [1, 2, 3]}}))
    found = read_sidecar(path)
    assert found.names == {"3": "svc"}
    assert found.landmarks_lps_mm == {"x": (1.0, 2.0, 3.0)}
