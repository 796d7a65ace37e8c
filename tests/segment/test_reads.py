"""The file of a finished read: what goes in comes out, and what is wrong with it is told all at once."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from petflame.errors import InputRefused
from petflame.files import sha256
from petflame.segment.outlines import flat_places, outline_digest, places_of, runs_of, runs_of_vessel
from petflame.segment.reads import Read, ReadDecision, ReadSeeds, ReadVessel, read_read, write_read
from petflame.segment.stretches import Stretch

A, B, C, D, E = (c * 64 for c in "abcde")
SEEDS = ReadSeeds(((0.0, 0.0, 0.0), (1.0, 2.0, 25.0)), ((0.5, 0.0, 0.0), (1.0, 2.0, 25.0)), 3.0)
READ = Read(
    *("V0123456789", "V9876543210", "reader-1", "9.9.9", A, B, C, D, E),
    {
        "carotid_right": ReadVessel("seeds", SEEDS, np.array([[3, 2], [9, 1]])),
        "carotid_left": ReadVessel("painted", None, np.array([[5, 4]])),
        "svc": ReadVessel("found"),
    },
    {"carina": (1.0, 2.0, 3.0)},
    {"carotid_right": ReadDecision("accept"), "svc": ReadDecision("reject", "a thrombus")},
    (Stretch("carotid_left", 1.0, 9.5, "metal", "a stent"),),
    True,
    ("jugular_left",),
)


def test_comes_out_as_it_went_in(tmp_path):
    path = tmp_path / "V0123456789.read.json"
    assert write_read(path, READ) == sha256(path)
    found = read_read(path)
    for name, vessel in READ.vessels.items():
        assert (found.vessels[name].made, found.vessels[name].seeds) == (vessel.made, vessel.seeds)
        np.testing.assert_array_equal(found.vessels[name].runs, vessel.runs)
    assert replace(found, vessels={}).__dict__ == replace(READ, vessels={}).__dict__
    first = path.read_bytes()
    write_read(path, found)
    assert path.read_bytes() == first


def test_tells_everything_that_is_wrong(tmp_path):
    path = tmp_path / "V0123456789.read.json"
    write_read(path, READ)
    document = json.loads(path.read_text())
    document["pet_sha256"] = "A" * 64
    document["reader"] = "no reader"
    document["prefilled"] = "yes"
    document["vessels"]["carotid_right"]["voxels"] = [3, 2, 4, 1]
    document["vessels"]["nose"] = {"made": "found"}
    document["vessels"]["svc"] = {"made": "found", "voxels": []}
    document["decisions"]["svc"]["choice"] = "perhaps"
    document["left_out"] = [
        {"vessel": "svc", "z_min_mm": 0, "z_max_mm": 1, "code": "metal", "words": "x"},
        {"vessel": "carotid_left", "z_min_mm": 2, "z_max_mm": 1, "code": "metal", "words": "x"},
        {"vessel": "carotid_left", "z_min_mm": 0, "z_max_mm": 1, "code": "tiredness", "words": "x"},
        {"vessel": "carotid_left", "z_min_mm": 0, "z_max_mm": 1, "code": "metal", "words": " "},
    ]
    path.write_text(json.dumps(document))
    with pytest.raises(InputRefused) as refusal:
        read_read(path)
    said = [fault.what for fault in refusal.value.faults]
    expected = ("pet_sha256 is", "reader is", "prefilled is", "carotid_right', voxels are", "'nose'", "'svc': voxels")
    rows = ("perhaps", "row 1: vessel", "row 2: its lower end", "row 3: code", "row 4: it says")
    assert [sum(words in what for what in said) for words in (*expected, *rows)] == [1] * 11, said
    assert len(said) == 11


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.pop("log_head"), "it has no log_head"),
        (lambda d: d.update(more=1), "is unknown"),
        (lambda d: d.update(format="petflame-read/2"), "its format is"),
        (lambda d: d["vessels"]["carotid_left"].update(voxels=[4, 4]), "carotid_left and carotid_right share voxels"),
        (lambda d: d["vessels"]["carotid_left"].update(voxels=[0, 30]), "carotid_left and carotid_right share voxels"),
        (lambda d: d["vessels"]["carotid_left"].update(voxels=[0, -3]), "no runs"),
        (lambda d: d["vessels"]["carotid_left"].update(voxels=[1.5, 2]), "no runs"),
        (lambda d: d["vessels"]["carotid_right"].pop("seeds"), "has no seeds"),
        (lambda d: d.update(item="../V1"), "item is"),
    ],
)
def test_refuses(tmp_path, change, words):
    path = tmp_path / "V0123456789.read.json"
    write_read(path, READ)
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))
    with pytest.raises(InputRefused, match=words):
        read_read(path)


def test_belongs_to_its_log(tmp_path):
    path, log = tmp_path / "V0123456789.read.json", tmp_path / "V0123456789.jsonl"
    digest = write_read(path, READ)
    lines = [
        {"n": 1, "action": {"kind": "comment", "words": 'kind "finish"'}},
        {"n": 2, "action": {"kind": "finish", "read_sha256": "0" * 64}},
        {"n": 3, "action": {"kind": "reopen"}},
        {"n": 4, "action": {"kind": "finish", "read_sha256": digest}},
        {"n": 5, "action": {"kind": "reopen"}},
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    log.write_text(text + '{"n": 6, "action": {"kind": "finish", "read_sh')
    assert read_read(path).item == "V0123456789"
    log.write_text("".join(json.dumps(line) + "\n" for line in lines[:3]))
    with pytest.raises(InputRefused, match=f"{'0' * 64}.*{digest}"):
        read_read(path)
    log.write_text(json.dumps(lines[0]) + "\n")
    with pytest.raises(InputRefused, match="never finished"):
        read_read(path)


@given(st.lists(st.integers(0, 200), unique=True).map(sorted))
def test_runs_and_places_are_each_others_inverse(places):
    runs = runs_of(np.array(places, np.int64))
    assert places_of(runs).tolist() == places
    assert (runs[1:, 0] > runs[:-1].sum(axis=1)).all()


def test_outlines_are_counted_in_c_order():
    labels = np.random.default_rng(2).choice(np.array([0, 0, 0, 4, 5], np.uint8), (5, 6, 7))
    expected = [(i * 6 + j) * 7 + k for i, j, k in np.argwhere(labels == 4).tolist()]
    swapped = np.ascontiguousarray(labels.transpose(1, 2, 0)).transpose(2, 0, 1)
    for given_as in (labels, np.asfortranarray(labels), swapped, labels[::-1][::-1]):
        assert places_of(runs_of_vessel(given_as, "carotid_right")).tolist() == expected
        assert flat_places(given_as).tolist() == np.flatnonzero(labels).tolist()
        assert outline_digest(given_as) == outline_digest(labels)
    other = labels.copy()
    other[other == 4] = 5
    assert outline_digest(other) != outline_digest(labels)
