"""The reading plan: who reads what, the same from the same seed, and nothing that tells repeats or pairs."""

import json
import stat

import pytest
from typer.testing import CliRunner

from petflame.cli import app
from petflame.cli import review_plan as _verbs  # noqa: F401
from petflame.errors import InputRefused
from petflame.files import write_json
from petflame.protocol import Protocol
from petflame.review.plan import load_plan, make_plan, write_plan
from readings import finish

CODES = [f"V{n * 7919:010X}" for n in range(1, 121)]


@pytest.fixture
def out(tmp_path):
    for code in CODES[:20]:
        write_json(tmp_path / "visits" / code / "labels.json", {"vessels": {}, "provenance": {}})
    return tmp_path


def test_every_reader_reads_every_visit_and_a_share_twice():
    plan, mapping = make_plan(CODES, ["A", "B"], 4, Protocol(), 0.1)
    for row in plan["readers"]:
        repeats = mapping["repeats"][row["reader"]]
        assert len(row["items"]) == len(set(row["items"])) == 132
        assert set(row["items"]) == set(CODES) | set(repeats)
        assert len(repeats) == 12
        assert not set(repeats) & set(CODES)
    a, b = mapping["repeats"].values()
    # The same visits under codes of each reader's own.
    assert sorted(a.values()) == sorted(b.values())
    assert not set(a) & set(b)


def test_the_same_seed_gives_the_same_plan_and_another_one_other_repeats():
    same = [make_plan(codes, ["A", "B"], 4, Protocol(), 0.1) for codes in (CODES, CODES[::-1])]
    assert same[0] == same[1]
    other = make_plan(CODES, ["A", "B"], 5, Protocol(), 0.1)
    assert set(other[1]["repeats"]["A"].values()) != set(same[0][1]["repeats"]["A"].values())


def test_a_share_of_few_visits_is_rounded_up():
    repeats = [make_plan(CODES[:n], ["A"], 1, Protocol(), 0.1)[1]["repeats"]["A"] for n in (1, 10, 11, 20)]
    assert list(map(len, repeats)) == [1, 1, 2, 2]


def test_nothing_outside_the_private_folder_tells_repeats(out):
    plan = write_plan(out, ["A", "B"], 4711, Protocol(), 0.25)
    path = out / "key" / "review_items.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    text = "".join(p.read_text() for p in out.rglob("*") if p.is_file() and "key" not in p.parts)
    for word in ("repeat", "4711", "seed"):
        assert word not in text
    # A repeat stands among the visits' own codes, in their order.
    rows = json.loads((out / "review" / "plan.json").read_text())["readers"]
    for row in rows:
        assert row["items"] == sorted(row["items"])
    repeats = [i for items in plan.readers.values() for i in items if plan.is_repeat(i)]
    assert len(repeats) == 10
    assert all(plan.visit_of(item) in CODES for item in repeats)


def test_a_second_plan_only_where_nothing_was_read(out):
    write_plan(out, ["A"], 1, Protocol())
    assert list(write_plan(out, ["A", "B"], 2, Protocol()).readers) == ["A", "B"]
    finish(out, "A", CODES[0], voxels={"svc": None})
    with pytest.raises(InputRefused, match="1 items were opened or read already"):
        write_plan(out, ["A", "B"], 3, Protocol())
    assert list(load_plan(out).readers) == ["A", "B"]


@pytest.mark.parametrize(
    ("readers", "counts", "adjudicator", "words"),
    [
        (["A", "a"], "first", None, "one reader is named twice"),
        (["A/B"], "first", None, "cannot be a reader's code"),
        (["consensus"], "first", None, "cannot be a reader's code"),
        (["measured"], "first", None, "cannot be a reader's code"),
        ([], "first", None, "0 read each visit"),
        (["A"], "consensus", None, "1 read each visit"),
        (["A", "B"], "adjudicated", None, "nobody is named to adjudicate"),
        (["A", "B"], "adjudicated", "A", "one reader is named twice"),
        (["A", "B", "C"], "adjudicated", "D", "3 read each visit"),
        (["A", "B"], "first", "C", "asks for no adjudicator"),
    ],
)
def test_what_cannot_be_is_refused(readers, counts, adjudicator, words):
    with pytest.raises(InputRefused, match=words):
        make_plan(CODES, readers, 1, Protocol(review={"counts": counts}), 0.1, adjudicator)


def test_a_mapping_of_another_plan_is_refused(out):
    write_plan(out, ["A"], 1, Protocol(), 0.1)
    kept = (out / "key" / "review_items.json").read_bytes()
    write_plan(out, ["A"], 2, Protocol(), 0.1)
    (out / "key" / "review_items.json").write_bytes(kept)
    with pytest.raises(InputRefused, match="not the mapping of the plan"):
        load_plan(out)
    (out / "key" / "review_items.json").unlink()
    with pytest.raises(InputRefused):
        load_plan(out)


def test_the_verb(out):
    done = CliRunner().invoke(app, ["review", "plan", str(out), "--readers", "A, B", "--repeat", "10%", "--seed", "3"])
    assert done.exit_code == 0, done.output
    assert "A: 22 items, 2 of them a second read" in done.output
    assert "20 of 20 visits cannot be read yet" in done.output
    bad = CliRunner().invoke(
        app, ["review", "plan", str(out), "--readers", "A", "--repeat", "10 visits", "--seed", "3"]
    )
    assert isinstance(bad.exception, InputRefused)
