"""The end of the reading: what it asks for, what it allows, and what is told of edits after it."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from petflame.cli import app, review_plan, trial  # noqa: F401
from petflame.errors import InputRefused
from petflame.files import write_json
from petflame.protocol import Protocol
from petflame.report.page import write_report
from petflame.report.words import number
from petflame.review.counting import reads_that_count
from petflame.review.lock import load_lock, lock_faults, lock_reading, refuse_open_reading
from petflame.review.plan import load_plan, write_plan
from petflame.segment.reads import read_read
from petflame.workflow import plan_workflow
from readings import add_line, finish

CODES = [f"V{n:010X}" for n in range(4)]
HERE = {"carotid_right": np.arange(100, 200)}


def prepared(out, repeat=0.25, readers=("A",), **review):
    for code in CODES:
        write_json(out / "visits" / code / "labels.json", {"vessels": {}, "provenance": {}})
        (out / "visits" / code / "pet.nii.gz").touch()
    write_plan(out, readers, 1, Protocol(review=review), repeat, "C" if review.get("counts") == "adjudicated" else None)


def read_all(out):
    plan = load_plan(out)
    for reader, items in plan.readers.items():
        for item in items:
            finish(out, reader, item, plan.visit_of(item), HERE)


def test_what_is_unfinished_is_listed_and_accepted_only_in_words(tmp_path):
    prepared(tmp_path)
    plan = load_plan(tmp_path)
    first, second, *rest = plan.readers["A"]
    finish(tmp_path, "A", first, plan.visit_of(first), HERE)
    path = finish(tmp_path, "A", second, plan.visit_of(second), HERE)
    add_line(path.with_name(f"{second}.jsonl"), {"kind": "reopen"}, read_read(path))
    with pytest.raises(InputRefused) as refused:
        lock_reading(tmp_path)
    told = {fault.where: fault.what for fault in refused.value.faults}
    assert told == {f"A/{second}": "A has opened it again", **{f"A/{i}": "A has not opened it" for i in rest}}
    assert load_lock(tmp_path) is None
    lock, left = lock_reading(tmp_path, "the reader fell ill")
    assert lock.words == "the reader fell ill"
    assert set(lock.unread) == set(told) == set(left.items)
    with pytest.raises(InputRefused, match="ended before"):
        lock_reading(tmp_path)
    waiting = reads_that_count(tmp_path, CODES).waiting
    assert all(why.endswith("the reading was ended without it: the reader fell ill") for why in waiting.values())
    assert waiting


def test_a_visit_that_nobody_can_open_does_not_keep_the_reading_open(tmp_path):
    prepared(tmp_path, 0)
    (tmp_path / "visits" / CODES[3] / "labels.json").unlink()
    for code in CODES[:3]:
        finish(tmp_path, "A", code, voxels=HERE)
    _, left = lock_reading(tmp_path)
    assert left.closed == (CODES[3],)


def test_reads_that_differ_wait_for_the_last_word(tmp_path):
    prepared(tmp_path, 0, ("A", "B"), counts="adjudicated")
    read_all(tmp_path)
    shutil.rmtree(tmp_path / "review" / "B")
    for code in CODES:
        finish(tmp_path, "B", code, voxels=HERE if code != CODES[0] else {"carotid_right": np.arange(300, 400)})
    with pytest.raises(InputRefused, match=f"C/{CODES[0]}: its readers differ"):
        lock_reading(tmp_path)
    between = [tmp_path / "review" / reader / f"{CODES[0]}.read.json" for reader in ("A", "B")]
    finish(tmp_path, "C", CODES[0], voxels=HERE, between=between)
    assert len(lock_reading(tmp_path)[0].reads) == 9


def test_nothing_is_added_after_the_lock_but_with_words(tmp_path):
    prepared(tmp_path)
    read_all(tmp_path)
    lock_reading(tmp_path)
    log = tmp_path / "review" / "A" / f"{CODES[0]}.jsonl"
    read = read_read(log.with_name(f"{CODES[0]}.read.json"))
    before = log.read_bytes()
    with pytest.raises(InputRefused, match="was ended by"):
        add_line(log, {"kind": "reopen"}, read)
    with pytest.raises(InputRefused, match="needs words"):
        add_line(log, {"kind": "reopen"}, read, after_lock=True)
    with pytest.raises(InputRefused, match="was ended by"):
        finish(tmp_path, "B", CODES[0], voxels=HERE)
    assert log.read_bytes() == before
    line = add_line(log, {"kind": "reopen"}, read, "the stent was missed", after_lock=True)
    assert line["after_lock"] is True
    assert lock_faults(tmp_path) == []


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda review: (review / "A" / f"{CODES[1]}.jsonl").unlink(), "the log was there"),
        (lambda review: (review / "A" / f"{CODES[1]}.read.json").write_text("{}"), "not the read that was locked"),
        (lambda review: (review / "A" / f"{CODES[1]}.read.json").unlink(), "not the read that was locked"),
        (
            lambda review: (review / "lock.json").write_text((review / "lock.json").read_text().replace("A/V", "B/V")),
            "not as it was sealed",
        ),
        (lambda review: shorten(review / "A" / f"{CODES[1]}.jsonl"), "not the log that was there"),
    ],
)
def test_what_changed_after_the_lock_is_named(tmp_path, harm, words):
    prepared(tmp_path)
    read_all(tmp_path)
    lock_reading(tmp_path)
    assert lock_faults(tmp_path) == []
    harm(tmp_path / "review")
    assert words in lock_faults(tmp_path)[0].what


def shorten(log):
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:-1]))


def trial_tables(out, lower=0.0):
    """Write a trial of 24, the active arm lower by 0.1 and by `lower` more in one participant."""
    noise = np.random.default_rng(5).normal(0, 0.08, 24)
    base = np.linspace(1.5, 2.6, 24)
    active = np.arange(24) % 2 == 0
    followup = base + noise - 0.1 * active
    followup[0] -= lower
    ids = [f"P{n:02d}" for n in range(24)]
    columns = {"participant_id": ids, "tbr_max_baseline": base, "tbr_max_followup": followup, "status": "measured"}
    pd.DataFrame(columns).to_csv(out / "patients.tsv", sep="\t", index=False)
    arms = np.where(active, "active", "control")
    pd.DataFrame({"participant_id": ids, "arm": arms}).to_csv(out / "allocation.tsv", sep="\t", index=False)


def analyse(out, allocation=True):
    given = ["--allocation", str(out / "allocation.tsv")] if allocation else []
    return CliRunner().invoke(app, ["analyse", str(out / "patients.tsv"), "--out", str(out), *given])


def arms_of(out):
    return json.loads((out / "arms.json").read_text())


def test_an_allocation_is_refused_while_the_reading_is_open_and_the_blinded_analysis_is_not(tmp_path):
    prepared(tmp_path)
    trial_tables(tmp_path)
    assert analyse(tmp_path, allocation=False).exit_code == 0
    blinded = (tmp_path / "arms.json").read_bytes()
    refused = analyse(tmp_path)
    assert isinstance(refused.exception, InputRefused)
    assert "petflame review lock" in str(refused.exception)
    assert (tmp_path / "arms.json").read_bytes() == blinded
    assert arms_of(tmp_path)["reading"] is None
    events = [str(tmp_path / "outcomes.tsv"), "--allocation", str(tmp_path / "allocation.tsv"), "--out", str(tmp_path)]
    refused = CliRunner().invoke(app, ["outcomes", *events, "--patients", str(tmp_path / "patients.tsv")])
    assert "petflame review lock" in str(refused.exception)
    with pytest.raises(InputRefused, match="petflame review lock"):
        plan_workflow({"out": str(tmp_path)})
    read_all(tmp_path)
    lock_reading(tmp_path)
    refuse_open_reading([tmp_path])
    assert analyse(tmp_path).exit_code == 0
    assert arms_of(tmp_path)["reading"]["sentence"].endswith("nothing was edited after that.")


def test_edits_after_unblinding_stand_with_the_primary_before_and_after(tmp_path):
    prepared(tmp_path)
    read_all(tmp_path)
    trial_tables(tmp_path)
    lock_reading(tmp_path)
    log = tmp_path / "review" / "A" / f"{CODES[0]}.jsonl"
    read = read_read(log.with_name(f"{CODES[0]}.read.json"))
    add_line(log, {"kind": "comment", "words": "x"}, read, "seen again", after_lock=True)
    add_line(log, {"kind": "reopen"}, read, "before anybody knew the arms", after_lock=True)
    assert analyse(tmp_path).exit_code == 0
    first = arms_of(tmp_path)
    assert [(e["lines"], e["after"]) for e in first["reading"]["edits"]] == [("3 to 4", 0)]
    assert not first["reading"]["earlier"]
    seed = {"kind": "seed", "op": "move", "vessel": "carotid_right"}
    add_line(log, seed, read, "a stent lies there", after_lock=True)
    trial_tables(tmp_path, 0.4)
    for _ in range(2):
        # The same analysis again tells the same: it is not another one.
        assert analyse(tmp_path).exit_code == 0
        reading, primary = arms_of(tmp_path)["reading"], arms_of(tmp_path)["primary"]
        assert [(e["lines"], e["after"]) for e in reading["edits"]] == [("3 to 4", 0), ("5", 1)]
        assert reading["edits"][1]["why"] == "a stent lies there"
        assert reading["edits"][1]["what"] == "Right carotid: 1 point set, moved or deleted"
        assert [a["n"] for a in reading["earlier"]] == [1]
        for key in ("difference", "ci_low", "ci_high", "p", "adjusted_percent"):
            assert reading["earlier"][0][key] == first["primary"][key] != primary[key]
    write_report(tmp_path, None, Protocol(), None)
    page = (tmp_path / "report.html").read_text()
    for words in ("Edited after unblinding.", "a stent lies there", "when the arms became known", "after analysis 1"):
        assert words in page
    assert number(first["primary"]["difference"], 3) in page


def test_the_workflow_refuses_another_rule_than_planned(tmp_path):
    prepared(tmp_path)
    read_all(tmp_path)
    lock_reading(tmp_path)
    other = tmp_path / "other.yaml"
    other.write_text("review: {same_overlap: 0.9}\n")
    plan_workflow({"out": str(tmp_path)})
    with pytest.raises(InputRefused, match=r"review.same_overlap is 0.9, and the reading was planned with 0.7"):
        plan_workflow({"out": str(tmp_path), "protocol": str(other)})


def test_a_reading_that_was_planned_after_the_arms_were_known_is_told(tmp_path):
    trial_tables(tmp_path)
    assert analyse(tmp_path).exit_code == 0
    prepared(tmp_path)
    read_all(tmp_path)
    lock_reading(tmp_path)
    assert analyse(tmp_path).exit_code == 0
    assert arms_of(tmp_path)["reading"]["sentence"].startswith("An analysis with known arms was made before")


def test_a_primary_that_was_changed_is_refused(tmp_path):
    prepared(tmp_path)
    read_all(tmp_path)
    trial_tables(tmp_path)
    lock_reading(tmp_path)
    assert analyse(tmp_path).exit_code == 0
    path = tmp_path / "review" / "unblinded.json"
    path.write_text(path.read_text().replace('"p": 0.', '"p": 0.0'))
    assert "not as it was sealed" in str(analyse(tmp_path).exception)
