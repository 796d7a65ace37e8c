"""What actions amount to."""

import pytest

from petflame.errors import InputRefused
from petflame.review.actions import checked_action
from petflame.review.state import History, fold


def add(z, vessel="carotid_left", x=0.0):
    return {"kind": "seed", "op": "add", "vessel": vessel, "lps_mm": [x, 0, z], "set_lps_mm": [x, 0, z]}


def paint(first, vessel="carotid_left", mode="add"):
    return {"kind": "paint", "vessel": vessel, "mode": mode, "runs": [first, 3]}


def decide(choice, vessel="carotid_left", words="well"):
    return {"kind": "decide", "vessel": vessel, "choice": choice, "words": words}


UNDO, REDO = {"kind": "undo"}, {"kind": "redo"}


def levels(history, vessel="carotid_left"):
    return [seed.lps_mm[2] for seed in history.state.vessels[vessel].seeds]


def test_seeds_stand_from_the_lowest_to_the_highest_whatever_their_order():
    assert levels(fold([add(30), add(0), add(60), add(15)])) == [0, 15, 30, 60]


def test_undo_and_redo_walk_actions_and_a_new_one_ends_what_was_undone():
    history = fold([add(0), add(30), UNDO])
    assert (levels(history), history.can_undo, history.can_redo) == ([0], True, True)
    assert levels(fold([add(0), add(30), UNDO, UNDO, REDO])) == [0]
    anew = fold([add(0), add(30), UNDO, add(20)])
    assert (levels(anew), anew.can_redo) == ([0, 20], False)


def test_comments_finishing_and_opening_are_neither_undone_nor_end_what_was():
    actions = [add(0), add(30), UNDO, {"kind": "comment", "words": "streaks"}, {"kind": "finish"}, {"kind": "reopen"}]
    history = fold([*actions, REDO])
    assert (levels(history), history.words, history.finished) == ([0, 30], "streaks", False)


def test_a_decision_lapses_when_its_vessel_changes():
    for change in (add(30), paint(9), {"kind": "seed", "op": "radius", "vessel": "carotid_left", "radius_mm": 4.0}):
        history = fold([add(0), decide("accept"), change])
        assert history.state.vessels["carotid_left"].decision is None
        assert fold([add(0), decide("accept"), change, UNDO]).state.vessels["carotid_left"].decision.choice == "accept"
    other = fold([add(0), decide("accept"), add(0, "carotid_right")])
    assert other.state.vessels["carotid_left"].decision.choice == "accept"
    lapsed = fold([add(0), decide("accept"), {**add(0, "jugular_left"), "lapsed": ["carotid_left"]}])
    assert lapsed.state.vessels["carotid_left"].decision is None


def test_strokes_before_the_last_change_of_seeds_no_longer_count():
    history = fold([add(0), paint(10), paint(20, "jugular_left"), add(30), paint(40)])
    assert [(s.vessel, s.runs[0]) for s in history.state.strokes()] == [("carotid_left", 40), ("jugular_left", 20)]
    before = fold([add(0), paint(10), add(30)])
    assert not before.state.vessels["carotid_left"].painted
    assert [s.runs[0] for s in fold([add(0), paint(10), add(30), UNDO]).state.strokes()] == [10]


def test_a_point_is_moved_deleted_and_put_back_where_it_was_clicked():
    snapped = {**add(0), "snap": True, "set_lps_mm": [1, 0, 0], "moved_mm": 1.0, "snap_reason": ""}
    first = fold([snapped]).state.vessels["carotid_left"].seeds[0]
    assert (first.lps_mm, first.clicked_lps_mm, first.snapped) == ((1, 0, 0), (0, 0, 0), True)
    back = fold([snapped, {"kind": "seed", "op": "refuse_snap", "vessel": "carotid_left", "index": 0}])
    seed = back.state.vessels["carotid_left"].seeds[0]
    assert (seed.lps_mm, seed.snapped) == ((0, 0, 0), False)
    moved = fold([add(0), add(30), {**add(50), "op": "move", "index": 0}])
    assert levels(moved) == [30, 50]
    assert levels(fold([add(0), add(30), {"kind": "seed", "op": "delete", "vessel": "carotid_left", "index": 1}])) == [
        0
    ]


def test_prefilled_points_wait_until_each_is_confirmed_or_moved():
    prefill = {"kind": "prefill", "vessels": {"carotid_left": {"points_lps_mm": [[0, 0, 30], [0, 0, 0]]}}}
    history = fold([prefill])
    vessel = history.state.vessels["carotid_left"]
    assert (levels(history), vessel.is_prefilled, vessel.carried, history.state.prefilled) == (
        [0, 30],
        True,
        True,
        True,
    )
    moved = fold([prefill, {**add(1), "op": "move", "index": 0}]).state.vessels["carotid_left"]
    assert [s.prefilled for s in moved.seeds] == [False, True]
    confirmed = fold([prefill, {"kind": "confirm", "vessel": "carotid_left"}]).state.vessels["carotid_left"]
    assert (confirmed.is_prefilled, confirmed.carried) == (False, True)


def test_stretches_are_left_out_and_taken_back():
    row = {"kind": "exclude", "vessel": "carotid_left", "z_min_mm": 1, "z_max_mm": 2, "code": "metal", "words": "clip"}
    two = fold([row, {**row, "z_max_mm": 3}])
    back = two.after({"kind": "include", "vessel": "carotid_left", "index": 0})
    assert [left.z_max_mm for left in back.state.vessels["carotid_left"].left_out] == [3]


def test_ten_thousand_actions_fold_to_what_their_last_ones_say():
    actions = [paint(n * 10) if n % 3 else add(n, x=n % 7) for n in range(9_000)] + [UNDO] * 500 + [REDO] * 500
    history = fold(actions)
    assert history.n == 10_000
    assert len(levels(history)) == 3_000
    assert [s.runs[0] for s in history.state.strokes()] == [89_990, 89_980]


STRETCH = {"kind": "exclude", "vessel": "carotid_left", "z_min_mm": 0, "z_max_mm": 1, "code": "metal", "words": "x"}
WRONG = [
    ({"kind": "burn"}, "burn"),
    ({**add(0), "vessel": "nose"}, "vessel"),
    ({"kind": "seed", "op": "add", "vessel": "carotid_left"}, "needs lps_mm"),
    ({"kind": "seed", "op": "add", "vessel": "carotid_left", "lps_mm": [0, 0, float("nan")]}, "finite"),
    ({"kind": "seed", "op": "add", "vessel": "carotid_left", "lps_mm": [0, 0, 1e9]}, "10000"),
    ({"kind": "seed", "op": "move", "vessel": "carotid_left", "lps_mm": [0, 0, 0], "index": 0}, "no point 0"),
    ({"kind": "seed", "op": "radius", "vessel": "carotid_left", "radius_mm": 90.0}, "cannot have a radius"),
    ({"kind": "paint", "vessel": "carotid_left", "mode": "add", "runs": [1, 2, 3]}, "start and length"),
    ({"kind": "paint", "vessel": "carotid_left", "mode": "add", "runs": [1, 0]}, "start and length"),
    ({"kind": "decide", "vessel": "carotid_left", "choice": "reject"}, "why it is rejected"),
    ({**STRETCH, "vessel": "svc"}, "vessel"),
    (
        {"kind": "exclude", "vessel": "carotid_left", "z_min_mm": 2, "z_max_mm": 1, "code": "metal", "words": "x"},
        "range",
    ),
    ({"kind": "exclude", "vessel": "carotid_left", "z_min_mm": 0, "z_max_mm": 1, "code": "mood", "words": "x"}, "code"),
    ({"kind": "undo"}, "nothing to undo"),
    ({"kind": "reopen"}, "not finished"),
    ({"kind": "finish", "read_sha256": "0" * 64}, "read_sha256"),
    ("seed", "dict"),
    (None, "dict"),
]


@pytest.mark.parametrize(("action", "words"), WRONG)
def test_what_is_no_action_is_refused(action, words):
    with pytest.raises(InputRefused) as refused:
        checked_action(action, History())
    assert words in str(refused.value)


def test_a_finished_read_takes_no_action_until_it_is_opened_again():
    finished = fold([add(0), {"kind": "finish"}])
    given = {"kind": "seed", "op": "add", "vessel": "carotid_left", "lps_mm": [0, 0, 9]}
    with pytest.raises(InputRefused, match="finished"):
        checked_action(given, finished)
    assert checked_action({"kind": "reopen"}, finished)["kind"] == "reopen"
