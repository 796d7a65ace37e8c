"""Which read of a visit counts, without a plan and under each rule of the protocol; what waits says why."""

import json
import shutil

import numpy as np
import pytest

from petflame.errors import InputRefused
from petflame.files import sha256, write_json, write_nifti
from petflame.folders import StudyOut
from petflame.protocol import Protocol
from petflame.reading import Reading
from petflame.review.counting import items_for, reads_that_count
from petflame.review.differences import differences
from petflame.review.plan import CONSENSUS, load_plan, refuse_other_rules, write_plan
from petflame.segment.reads import read_read
from petflame.segment.stretches import Stretch
from petflame.space.grid import Grid, Volume
from petflame.study import load_study
from readings import add_line, finish

CODES = [f"V{n:010X}" for n in range(6)]
ONE, TWO = CODES[:2]
HERE = {"carotid_right": np.arange(100, 200)}
# Of 100 voxels each 80 are shared, and 60.
NEAR, FAR = {"carotid_right": np.arange(120, 220)}, {"carotid_right": np.arange(140, 240)}


@pytest.fixture
def out(tmp_path):
    for code in CODES:
        write_json(tmp_path / "visits" / code / "labels.json", {"vessels": {}, "provenance": {}})
    return tmp_path


def planned(out, counts, readers=("A", "B"), **more):
    write_plan(
        out, readers, 1, Protocol(review={"counts": counts, **more}), 0.5, "C" if counts == "adjudicated" else None
    )
    return load_plan(out)


def test_without_a_plan_the_one_reader_counts_and_two_are_a_fault(out):
    path = finish(out, "A", ONE, voxels=HERE)
    found = reads_that_count(out, CODES)
    assert found.reads == {ONE: path}
    assert set(found.waiting) == set(CODES[1:])
    assert not found.faults
    finish(out, "B", ONE, voxels=HERE)
    found = reads_that_count(out, CODES)
    assert not found.reads
    assert "A and B have both finished it, and no plan" in found.faults[0].what
    assert found.faults[0].where == ONE


def test_a_read_that_was_opened_again_counts_as_it_was_finished_before(out):
    path = finish(out, "A", ONE, voxels=HERE)
    log = path.with_name(f"{ONE}.jsonl")
    add_line(log, {"kind": "reopen"}, read_read(path))
    found = reads_that_count(out, [ONE])
    assert (found.reads, found.waiting, found.reopened) == ({ONE: path}, {}, {ONE: "A"})
    finish(out, "A", ONE, voxels=HERE)
    assert reads_that_count(out, [ONE]).reopened == {}


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda path: path.with_name(f"{ONE}.jsonl").unlink(), "the log of how it was made is not there"),
        (lambda path: path.write_text(path.read_text().replace('"accept"', '"reject"')), "its log was finished with"),
        (lambda path: path.write_text("{"), "JSON"),
    ],
)
def test_a_read_that_is_not_as_it_was_finished_cannot_count(out, harm, words):
    path = finish(out, "A", ONE, voxels=HERE)
    finish(out, "A", TWO, voxels=HERE)
    harm(path)
    found = reads_that_count(out, CODES)
    assert list(found.reads) == [TWO]
    assert words in " ".join(f.what for f in found.faults)
    assert "cannot count" in found.waiting[ONE]


def test_swapped_files_of_two_visits_cannot_count(out):
    for code in (ONE, TWO):
        finish(out, "A", code, voxels=HERE)
    folder = out / "review" / "A"
    for ending in ("read.json", "jsonl"):
        (folder / f"{ONE}.{ending}").rename(folder / "x")
        (folder / f"{TWO}.{ending}").rename(folder / f"{ONE}.{ending}")
        (folder / "x").rename(folder / f"{TWO}.{ending}")
    found = reads_that_count(out, [ONE, TWO])
    assert not found.reads
    assert all("it is another read" in f.what for f in found.faults)
    assert len(found.faults) == 2


def test_first_takes_the_first_readers_first_read(out):
    plan = planned(out, "first")
    repeat = next(i for i in plan.readers["A"] if plan.is_repeat(i))
    again = plan.visit_of(repeat)
    finish(out, "B", again, voxels=FAR)
    finish(out, "A", repeat, again, voxels=FAR)
    assert reads_that_count(out, CODES).waiting[again] == "A has not opened it"
    path = finish(out, "A", again, voxels=HERE)
    assert reads_that_count(out, CODES).reads == {again: path}


@pytest.mark.parametrize(("counts", "last"), [("consensus", CONSENSUS), ("adjudicated", "C")])
def test_where_readers_agree_the_first_counts_and_else_the_last_word_is_awaited(out, counts, last):
    planned(out, counts)
    mine = {code: finish(out, "A", code, voxels=HERE) for code in (ONE, TWO)}
    assert reads_that_count(out, CODES).waiting[ONE] == "B has not opened it"
    finish(out, "B", ONE, voxels=NEAR)
    finish(out, "B", TWO, voxels=FAR)
    found = reads_that_count(out, CODES)
    assert found.reads == {ONE: mine[ONE]}
    assert found.awaited == {TWO: last}
    assert "carotid_right: overlap (Dice) 0.60 is below 0.7" in found.waiting[TWO]
    assert items_for(out, last, CODES) == (TWO,)
    other = out / "review" / "B" / f"{TWO}.read.json"
    joint = finish(out, last, TWO, voxels=NEAR, between=(mine[TWO], other) if counts == "adjudicated" else ())
    found = reads_that_count(out, CODES)
    assert found.reads == {ONE: mine[ONE], TWO: joint}
    assert not found.awaited
    if counts == "adjudicated":
        # What was decided between is no more: nobody has judged the read that is there now.
        shutil.rmtree(other.parent)
        for code in (ONE, TWO):
            finish(out, "B", code, voxels=NEAR if code == ONE else {"carotid_right": np.arange(400, 500)})
        found = reads_that_count(out, CODES)
        assert TWO not in found.reads
        assert found.awaited == {TWO: last}
        assert "finished anew" in found.waiting[TWO]
    # What was begun stays on the list of who began it.
    assert items_for(out, last, CODES) == (TWO,)


def test_a_visit_that_the_plan_does_not_hold_waits_and_unknown_readers_do_not_count(out):
    planned(out, "first")
    late = "VFFFFFFFFFF"
    finish(out, "stranger", ONE, voxels=HERE)
    found = reads_that_count(out, [*CODES, late])
    assert found.waiting[late] == "the reading plan does not hold it"
    assert found.faults[0].where == "review/stranger"
    assert not found.reads
    with pytest.raises(InputRefused, match="read as A, B"):
        items_for(out, "stranger", CODES)


def test_prefilled_reads_count_only_where_the_protocol_allows_them(out):
    finish(out, "A", ONE, voxels=HERE, prefilled=True)
    assert ONE in reads_that_count(out, [ONE]).reads
    (out / "review").rename(out / "before")
    planned(out, "first")
    finish(out, "A", ONE, voxels=HERE, prefilled=True)
    assert "review.prefill" in reads_that_count(out, [ONE]).faults[0].what
    with pytest.raises(InputRefused, match="prefill is True, and the reading was planned with False"):
        refuse_other_rules(load_plan(out), Protocol(review={"prefill": True}))


class Found:
    """Nothing was found but a left carotid that nobody doubts."""

    def runs(self, vessel):
        raise AssertionError(f"{vessel} was asked for")

    def counts(self, vessel):
        return vessel == "carotid_left"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, []),
        ({"decisions": {"carotid_right": "reject"}}, ["carotid_right: accepted and rejected"]),
        ({"decisions": {}}, ["carotid_right: accepted and drawn and not decided on"]),
        ({"voxels": NEAR}, []),
        ({"voxels": FAR}, ["carotid_right: overlap (Dice) 0.60 is below 0.7"]),
        ({"voxels": HERE | {"carotid_left": None}}, []),
        ({"voxels": HERE | {"svc": None}}, ["svc: accepted and left withheld or missing"]),
        ({"labels_sha256": "1" * 64}, ["they began from different outlines"]),
        ({"left_out": (Stretch("carotid_right", 0, 5, "metal", "x"),)}, []),
        (
            {"left_out": (Stretch("carotid_right", 0, 6, "metal", "x"),)},
            ["carotid_right: 6.0 mm are left out by one alone, more than 5 mm"],
        ),
    ],
)
def test_what_makes_two_reads_differ(out, change, words):
    one = read_read(finish(out, "A", ONE, voxels=HERE))
    other = read_read(finish(out, "B", ONE, **({"voxels": HERE} | change)))
    vessels = ["carotid_right", "carotid_left", "svc"]
    assert differences(one, other, Protocol().review, vessels, Found()) == words
    assert differences(other, one, Protocol().review, vessels, Found()) == words


def test_a_drawn_vessel_is_held_against_what_was_found(out):
    plan = planned(out, "consensus")
    labels = np.zeros((10, 10, 10), np.uint8)
    labels.reshape(-1)[np.arange(100, 200)] = 4
    write_nifti(out / "visits" / ONE / "labels.nii.gz", Volume(labels, Grid(labels.shape, np.eye(4))))
    finish(out, "A", ONE, voxels={"carotid_right": None})
    finish(out, "B", ONE, voxels=NEAR)
    assert plan.needed[1] == "carotid_right"
    assert ONE in reads_that_count(out, [ONE]).reads
    (out / "review" / "B" / f"{ONE}.jsonl").unlink()
    finish(out, "B", ONE, voxels=FAR)
    assert "Dice" in reads_that_count(out, [ONE]).waiting[ONE]


def test_a_plan_that_was_changed_is_refused(out):
    planned(out, "first")
    path = out / "review" / "plan.json"
    document = json.loads(path.read_text())
    document["readers"][0]["items"].pop()
    path.write_text(json.dumps(document))
    with pytest.raises(InputRefused, match="not as it was sealed"):
        reads_that_count(out, CODES)


def test_labels_made_before_the_read_that_counts_are_told(tmp_path):
    study, out = tmp_path / "study", tmp_path / "out"
    study.mkdir()
    (study / "blinding.key").write_text("ab" * 32)
    (study / "visits.tsv").write_text("participant_id\tvisit\tdicom_dir\nP1\tbaseline\tb\nP1\tfollowup\tf\n")
    reading = Reading(load_study(study, out, keep_key=False), StudyOut(out))
    codes = sorted(reading.study.by_code)
    paths = [finish(out, "A", code, voxels=HERE) for code in codes]
    for code, path in zip(codes, paths, strict=True):
        edits = {"read_sha256": sha256(path)}
        write_json(out / "visits" / code / "labels.json", {"provenance": {"edits": edits}})
    assert reading.behind == []
    for provenance in ({}, {"edits": {"read_sha256": "0" * 64}}):
        write_json(out / "visits" / codes[1] / "labels.json", {"provenance": provenance})
        assert Reading(reading.study, StudyOut(out)).behind == [codes[1]]
