"""One item on a desk: what is drawn is what the method draws, what is kept is what was done."""

import errno
import gzip
import json
import os
import shutil

import nibabel as nib
import numpy as np
import pytest

from desks import CODE, STORED, act, desk_of, make_visit, points_of, seed
from petflame.anatomy import BY_NAME
from petflame.errors import InputRefused
from petflame.files import read_nifti, sha256
from petflame.folders import VisitFolder
from petflame.protocol import Protocol
from petflame.review.adjudicate import TwoReads
from petflame.review.canvas import of_runs
from petflame.review.desk import Desk
from petflame.review.lock import is_readable
from petflame.review.log import HeadMoved, ReadLog
from petflame.review.values import profile_of, values_of
from petflame.review.views import shown_image, state_view
from petflame.review.volumes import nifti_bytes
from petflame.review.worklist import Item, Worklist
from petflame.segment.outlines import outline_digest
from petflame.segment.reads import read_read
from petflame.segment.run import edit_visit, segment_visit, write_edited


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("made")
    return {how: make_visit(root / how / CODE, how) for how in STORED}


@pytest.fixture
def visit(made, tmp_path):
    return shutil.copytree(made["LPS"], tmp_path / "visits" / CODE)


def from_file(root, tmp_path, points, edits=True):
    """Labels that a file of seeds gives on a copy of the visit, as edits or as the method."""
    twin = shutil.copytree(root, tmp_path / "twin" / CODE)
    file = tmp_path / "seeds.json"
    file.write_text(json.dumps(points))
    if edits:
        write_edited(edit_visit(twin, file), VisitFolder(twin))
    else:
        segment_visit(twin, "seeds", file)
    return read_nifti(twin / "labels.nii.gz").data


@pytest.mark.parametrize("how", STORED)
def test_seeds_give_the_voxels_that_a_file_of_them_gives(made, tmp_path, how):
    desk = desk_of(made[how], tmp_path / "review")
    points = {name: points_of(name, how, seed=3) for name in ("carotid_left", "jugular_left")}
    for name, given in points.items():
        seed(desk, name, given[::-1])
    written = {name: given.tolist() for name, given in points.items()}
    expected = from_file(made[how], tmp_path, written)
    np.testing.assert_array_equal(desk.drawing.labels().data, expected)
    assert desk.drawing.digest == outline_digest(expected)
    assert (expected == BY_NAME["carotid_left"].label).sum() > 500


def test_with_nothing_found_before_they_are_those_of_the_method(made, tmp_path):
    desk = desk_of(made["LPS"], tmp_path / "review")
    points = points_of("carotid_left", "LPS", seed=4)
    seed(desk, "carotid_left", points)
    jugular = points_of("jugular_left", "LPS")
    seed(desk, "jugular_left", jugular)
    expected = from_file(
        made["LPS"], tmp_path, {"carotid_left": points.tolist(), "jugular_left": jugular.tolist()}, False
    )
    np.testing.assert_array_equal(desk.drawing.labels().data, expected)


def test_a_map_brought_up_to_date_step_by_step_is_that_of_a_desk_opened_anew(visit, tmp_path):
    desk = desk_of(visit, tmp_path / "review")
    rng = np.random.default_rng(0)
    size = int(np.prod(desk.files.canvas.grid.shape))
    seed(desk, "carotid_left", points_of("carotid_left", "LPS", count=3))
    for n in range(25):
        start = int(rng.integers(size // 3, size // 2))
        vessel = ("carotid_left", "jugular_left", "carotid_right")[n % 3]
        act(desk, kind="paint", vessel=vessel, mode=("add", "erase")[n % 4 == 3], runs=[start, 400, start + 900, 30])
        if n % 6 == 5:
            act(desk, kind="undo")
        if n % 10 == 9:
            act(
                desk,
                kind="seed",
                op="move",
                vessel="carotid_left",
                index=1,
                lps_mm=points_of("carotid_left", "LPS", seed=n)[n // 10].tolist(),
            )
    again = desk_of(visit, tmp_path / "review")
    np.testing.assert_array_equal(desk.drawing.labels().data, again.drawing.labels().data)
    for one in (desk, again):
        assert one.drawing.digest == outline_digest(one.drawing.labels().data)
        for name in BY_NAME:
            flat = np.flatnonzero(one.drawing.labels().data.reshape(-1, order="F") == BY_NAME[name].label)
            np.testing.assert_array_equal(one.drawing.voxels(name), flat)


@pytest.mark.parametrize("how", STORED)
def test_a_stroke_lands_where_it_was_made(made, tmp_path, how):
    desk = desk_of(made[how], tmp_path / "review")
    grid = desk.files.canvas.grid
    ijk = np.array([[n, 20, 9] for n in range(10, 14)])
    start = int(np.ravel_multi_index(tuple(ijk[0]), grid.shape, order="F"))
    done = act(desk, kind="paint", vessel="carotid_right", mode="add", runs=[start, 4])
    assert done.changed["carotid_right"] == [start, 4]
    whole = desk.drawing.labels()
    painted = np.argwhere(whole.data == BY_NAME["carotid_right"].label)
    places = whole.grid.to_ras(painted)
    np.testing.assert_allclose(np.sort(places, axis=0), np.sort(grid.to_ras(ijk), axis=0), atol=1e-6)
    image = nib.Nifti1Image.from_bytes(gzip.decompress(nifti_bytes(shown_image(desk, "labels"))))
    served = np.asanyarray(image.dataobj)
    assert (served.reshape(-1, order="F")[start : start + 4] == BY_NAME["carotid_right"].label).all()
    assert (served == BY_NAME["carotid_right"].label).sum() == 4
    np.testing.assert_allclose(image.affine, grid.affine, atol=1e-4)


def test_what_a_slipped_brush_covered_comes_back_and_the_read_is_taken(visit, tmp_path):
    desk = desk_of(visit, tmp_path / "review")
    found = desk.drawing.labels().data
    grid = desk.files.canvas.grid
    own = np.flatnonzero(np.asarray(shown_image(desk, "labels").data).reshape(-1, order="F"))
    i, j, k = np.unravel_index(own[len(own) // 2], grid.shape, order="F")
    free = int(np.ravel_multi_index((2, 2, k), grid.shape, order="F"))
    over = int(np.ravel_multi_index((i - 1, j, k), grid.shape, order="F"))
    act(desk, kind="paint", vessel="carotid_right", mode="add", runs=[free, 3, over, 4])
    assert (desk.drawing.labels().data != found).sum() > 3
    act(desk, kind="paint", vessel="carotid_right", mode="erase", runs=[over, 4])
    changed = desk.drawing.labels().data != found
    assert (desk.drawing.labels().data[changed] == BY_NAME["carotid_right"].label).all()
    assert changed.sum() == 3
    act(desk, kind="decide", vessel="carotid_right", choice="reject", words="a slip")
    act(desk, kind="finish")
    edited = edit_visit(visit, tmp_path / "review" / "R1" / f"{CODE}.read.json").segmentation
    np.testing.assert_array_equal(edited.labels.data, desk.drawing.labels().data)


def test_a_visit_whose_read_was_refused_is_read_again_on_the_labels_as_found(visit, tmp_path):
    (visit / "labels.nii.gz").rename(visit / "labels_found.nii.gz")
    (visit / "labels.json").rename(visit / "labels_found.json")
    desk = desk_of(visit, tmp_path / "review")
    row = Worklist([Item(CODE, visit)], "R1", tmp_path / "review" / "R1", desk.required).row(CODE)
    assert row.state == "new"
    assert is_readable(tmp_path, CODE)
    act(desk, kind="decide", vessel="jugular_left", choice="reject", words="not it")
    act(desk, kind="finish")
    assert desk.history.finished


def test_an_emptied_radius_is_that_of_the_images_again(visit, tmp_path):
    desk = desk_of(visit, tmp_path / "review")
    seed(desk, "carotid_left", points_of("carotid_left", "LPS"))
    own = desk.drawing.digest
    act(desk, kind="seed", op="radius", vessel="carotid_left", radius_mm=3.0)
    assert desk.drawing.digest != own
    act(desk, kind="seed", op="radius", vessel="carotid_left", radius_mm=None)
    assert desk.drawing.digest == own
    assert desk_of(visit, tmp_path / "review").drawing.digest == own


def test_what_changed_is_told_for_every_vessel_that_did(visit, tmp_path):
    desk = desk_of(visit, tmp_path / "review")
    before = np.asarray(shown_image(desk, "labels").data)
    shown = before.copy(order="F").reshape(-1, order="F")
    seed_points = points_of("carotid_left", "LPS")
    for point in seed_points:
        done = act(desk, kind="seed", op="add", vessel="carotid_left", lps_mm=point.tolist())
        for name in done.changed:
            shown[shown == BY_NAME[name].label] = 0
        for name, runs in done.changed.items():
            shown[of_runs(runs, len(shown))] = BY_NAME[name].label
    np.testing.assert_array_equal(shown, np.asarray(shown_image(desk, "labels").data).reshape(-1, order="F"))


def test_a_decision_lapses_where_another_vessels_seeds_change_its_outline(visit, tmp_path):
    desk = desk_of(visit, tmp_path / "review")
    seed(desk, "carotid_left", points_of("carotid_left", "LPS"))
    act(desk, kind="decide", vessel="carotid_left", choice="accept")
    start = int(np.ravel_multi_index((0, 0, 0), desk.files.canvas.grid.shape))
    act(desk, kind="paint", vessel="carotid_right", mode="add", runs=[start, 3])
    assert desk.history.state.vessels["carotid_left"].decision is not None
    own = desk.files.canvas.shown(desk.drawing.voxels("carotid_left"))
    done = act(desk, kind="paint", vessel="jugular_left", mode="add", runs=[int(own[0]), 1])
    assert "Left carotid lapses" in done.said
    assert desk.history.state.vessels["carotid_left"].decision is None
    act(desk, kind="undo")
    assert desk.history.state.vessels["carotid_left"].decision.choice == "accept"
    again = desk_of(visit, tmp_path / "review").history.state
    assert again.vessels == desk.history.state.vessels
    assert [vars(s) | {"older": 0} for s in again.strokes()] == [
        vars(s) | {"older": 0} for s in desk.history.state.strokes()
    ]


def test_a_click_snaps_and_the_snap_can_be_refused(visit, tmp_path):
    desk = desk_of(visit, tmp_path / "review")
    true = points_of("carotid_left", "LPS")[2]
    click = true + np.array([1.5, 0.0, 0.0])
    act(desk, kind="seed", op="add", vessel="carotid_left", lps_mm=click.tolist(), snap=True)
    point = desk.history.state.vessels["carotid_left"].seeds[0]
    assert point.snapped
    assert np.linalg.norm(np.array(point.lps_mm) - true) < 1.0
    assert point.moved_mm == pytest.approx(np.linalg.norm(np.array(point.lps_mm) - click), abs=2e-3)
    assert (point.lps_mm[2], point.clicked_lps_mm) == (pytest.approx(click[2]), tuple(click))
    act(desk, kind="seed", op="refuse_snap", vessel="carotid_left", index=0)
    assert desk.history.state.vessels["carotid_left"].seeds[0].lps_mm == tuple(click)


def test_points_outside_the_scan_and_vessels_on_the_wrong_side_are_refused_and_leave_no_line(visit, tmp_path):
    desk = desk_of(visit, tmp_path / "review")
    with pytest.raises(InputRefused, match="outside the CT"):
        act(desk, kind="seed", op="add", vessel="carotid_left", lps_mm=[500.0, 0.0, 0.0])
    seed(desk, "carotid_left", points_of("carotid_left", "LPS"))
    head, shown = desk.head, desk.drawing.digest
    wrong = points_of("carotid_left", "LPS") + np.array([25.0, 0, 0])
    seed(desk, "carotid_right", wrong[:1])
    with pytest.raises(InputRefused, match="mirrored or their names swapped"):
        seed(desk, "carotid_right", wrong[1:2])
    assert desk.drawing.digest == shown
    assert len(ReadLog(desk.log.path).lines()) == 5
    assert desk.head != head


def test_a_finished_read_is_applied_voxel_for_voxel(visit, tmp_path):
    desk = desk_of(visit, tmp_path / "review")
    act(desk, kind="open")
    seed(desk, "carotid_left", points_of("carotid_left", "LPS", seed=1), snap=True)
    own = desk.files.canvas.shown(desk.drawing.voxels("jugular_left"))
    act(desk, kind="paint", vessel="jugular_left", mode="erase", runs=[int(own[5]), 2])
    act(desk, kind="landmark", name="carotid_bifurcation_left", lps_mm=[5.0, 5.0, 60.0])
    act(desk, kind="decide", vessel="carotid_left", choice="accept", words="clear")
    low = float(desk.drawing.drawn.findings["carotid_left"].centreline_lps_mm[:, 2].min())
    act(desk, kind="exclude", vessel="carotid_left", z_min_mm=low + 10, z_max_mm=low + 20, code="metal", words="clip")
    act(desk, kind="comment", words="quiet neck")
    act(desk, kind="finish")
    path = tmp_path / "review" / "R1" / f"{CODE}.read.json"
    read = read_read(path)
    last = desk.log.lines()[-1]
    assert (last["action"]["read_sha256"], read.log_head) == (sha256(path), last["previous"])
    assert (read.vessels["carotid_left"].made, read.vessels["jugular_left"].made) == ("seeds", "painted")
    assert (read.decisions["carotid_left"].words, read.left_out[0].words) == ("clear", "clip")
    edited = edit_visit(visit, path).segmentation
    np.testing.assert_array_equal(edited.labels.data, desk.drawing.labels().data)
    assert not edited.vessels["carotid_left"].withheld
    assert edited.vessels["carotid_left"].method.startswith("seeds")
    assert not any("another outline" in warning for warning in edited.warnings)
    # The workbench starts again from what was found, not from what was edited.
    write_edited(edit_visit(visit, path), VisitFolder(visit))
    again = desk_of(visit, tmp_path / "review")
    assert again.history.finished
    assert again.drawing.digest == read.shown_sha256
    act(again, kind="reopen")
    # What was finished counts until it is finished anew.
    assert sha256(path) == last["action"]["read_sha256"]
    act(again, kind="decide", vessel="carotid_left", choice="reject", words="looked again")
    act(again, kind="finish")
    assert read_read(path).decisions["carotid_left"].choice == "reject"


def test_a_finished_read_is_put_in_place_after_a_kill_between_log_and_file(visit, tmp_path):
    desk = desk_of(visit, tmp_path / "review")
    act(desk, kind="decide", vessel="jugular_left", choice="accept")
    act(desk, kind="finish")
    path = tmp_path / "review" / "R1" / f"{CODE}.read.json"
    path.rename(path.with_name(f".{path.name}.0.pending"))
    assert desk_of(visit, tmp_path / "review").history.finished
    assert read_read(path).decisions["jugular_left"].choice == "accept"
    # Of a finish that its log does not know, nothing is left.
    other = path.with_name(f".{path.name}.1.pending")
    other.write_text("{}")
    desk_of(visit, tmp_path / "review")
    assert other.exists(), "another program may be about to say so in the log"
    os.utime(other, (0, 0))
    desk_of(visit, tmp_path / "review")
    assert not list(path.parent.glob(".*"))
    assert read_read(path).decisions["jugular_left"].choice == "accept"


def test_an_adjudicator_takes_vessels_of_either_read(visit, tmp_path):
    reads = []
    for n, reader in enumerate(("R1", "R2")):
        desk = desk_of(visit, tmp_path / "review", reader)
        seed(desk, "carotid_left", points_of("carotid_left", "LPS", seed=n))
        act(desk, kind="decide", vessel="carotid_left", choice="accept")
        act(desk, kind="finish")
        reads.append((read_read(tmp_path / "review" / reader / f"{CODE}.read.json"), desk.drawing))
    files = desk.files
    paths = [tmp_path / "review" / reader / f"{CODE}.read.json" for reader in ("R1", "R2")]
    two = TwoReads((reads[0][0], reads[1][0]), (sha256(paths[0]), sha256(paths[1])))
    last = Desk(files, CODE, "C", tmp_path / "review" / "C", desk.required, None, two)
    for n in (2, 1):
        act(last, kind="take", vessel="carotid_left", read=n)
        np.testing.assert_array_equal(last.drawing.voxels("carotid_left"), reads[n - 1][1].voxels("carotid_left"))
        np.testing.assert_array_equal(last.drawing.voxels("jugular_left"), files_voxels(files, "jugular_left"))
    assert not np.array_equal(reads[0][1].voxels("carotid_left"), reads[1][1].voxels("carotid_left"))
    told = state_view(last)["reads"]
    shown = files.canvas.shown(reads[1][1].voxels("carotid_left"))
    np.testing.assert_array_equal(of_runs(told[1]["runs"]["carotid_left"], 10**8), shown)
    assert "R1" not in json.dumps(told)
    act(last, kind="decide", vessel="carotid_left", choice="accept")
    act(last, kind="finish")
    path = tmp_path / "review" / "C" / f"{CODE}.read.json"
    np.testing.assert_array_equal(edit_visit(visit, path).segmentation.labels.data, last.drawing.labels().data)
    # The reader of the read that was taken finishes it anew: what was judged stays as it was judged.
    judged = last.drawing.digest
    anew = TwoReads((reads[1][0], reads[1][0]), ("f" * 64, sha256(paths[1])))
    assert Desk(files, CODE, "C", tmp_path / "review" / "C", desk.required, None, anew).drawing.digest == judged
    assert last.log.lines()[-1]["action"]["reads_sha256"] == list(two.sha256)
    with pytest.raises(InputRefused, match="no two reads"):
        act(desk_of(visit, tmp_path / "review", "R9"), kind="take", vessel="carotid_left", read=1)


def files_voxels(files, name):
    return np.flatnonzero(files.found.labels.data.reshape(-1, order="F") == BY_NAME[name].label)


def test_what_would_be_refused_later_is_refused_at_the_finish(visit, tmp_path):
    desk = desk_of(visit, tmp_path / "review")
    ends = points_of("carotid_left", "LPS", count=2)
    seed(desk, "carotid_left", ends[:1])
    with pytest.raises(InputRefused, match="one level"):
        act(desk, kind="finish")
    seed(desk, "carotid_left", ends[1:])
    with pytest.raises(InputRefused, match="between two points"):
        act(desk, kind="finish")
    with pytest.raises(InputRefused, match="between two points"):
        act(desk, kind="decide", vessel="carotid_left", choice="accept")
    with pytest.raises(InputRefused, match="not found or drawn"):
        act(desk, kind="decide", vessel="carotid_right", choice="accept")
    assert not (tmp_path / "review" / "R1" / f"{CODE}.read.json").exists()


def test_two_windows_and_two_readers_mix_nothing(visit, tmp_path):
    one, two = desk_of(visit, tmp_path / "review"), desk_of(visit, tmp_path / "review")
    head = two.head
    seed(one, "carotid_left", points_of("carotid_left", "LPS"))
    with pytest.raises(HeadMoved):
        two.act({"kind": "decide", "vessel": "jugular_left", "choice": "accept"}, head)
    assert two.history.state == one.history.state
    assert two.drawing.digest == one.drawing.digest
    act(two, kind="decide", vessel="jugular_left", choice="accept")
    one.refresh()
    assert one.history.state == two.history.state
    other = desk_of(visit, tmp_path / "review", "R2")
    assert not other.history.state.vessels["carotid_left"].seeds


def test_a_full_disk_is_told_and_nothing_has_changed(visit, tmp_path, monkeypatch):
    desk = desk_of(visit, tmp_path / "review")
    seed(desk, "carotid_left", points_of("carotid_left", "LPS")[:2])
    state, head, shown = desk.history.state, desk.head, desk.drawing.digest

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("petflame.review.log.os.pwrite", full)
    for action in ({"kind": "decide", "vessel": "carotid_left", "choice": "accept"}, {"kind": "finish"}):
        with pytest.raises(OSError, match="No space"):
            desk.act(action, desk.head)
    with pytest.raises(OSError, match="No space"):
        seed(desk, "carotid_left", points_of("carotid_left", "LPS")[2:3])
    monkeypatch.undo()
    assert (desk.history.state, desk.head, desk.drawing.digest) == (state, head, shown)
    assert not (tmp_path / "review" / "R1" / f"{CODE}.read.json").exists()
    seed(desk, "carotid_left", points_of("carotid_left", "LPS")[2:3])


def test_a_log_of_other_images_or_labels_is_refused_with_both_hashes(visit, tmp_path):
    desk = desk_of(visit, tmp_path / "review")
    act(desk, kind="open")
    then = desk.files.hashes["labels_sha256"]
    file = tmp_path / "other.json"
    elsewhere = points_of("jugular_left", "LPS") + np.array([2.0, 0, 0])
    file.write_text(json.dumps({"jugular_left": elsewhere.tolist()}))
    segment_visit(visit, "seeds", file)
    with pytest.raises(InputRefused) as refused:
        desk_of(visit, tmp_path / "review")
    assert then in str(refused.value)
    assert sha256(visit / "labels.nii.gz") in str(refused.value)


def test_a_log_of_another_item_is_refused(visit, tmp_path):
    desk = desk_of(visit, tmp_path / "review")
    act(desk, kind="open")
    other = shutil.copytree(visit, visit.parent / "VABCDEF0123")
    desk.log.path.rename(desk.log.path.with_name("VABCDEF0123.jsonl"))
    with pytest.raises(InputRefused, match=f"holds lines of {CODE}"):
        desk_of(other, tmp_path / "review")


def test_values_are_those_of_the_measurement_and_shown_once_accepted(visit, tmp_path):
    from petflame.measure.folder import measure_visit

    protocol = Protocol()
    desk = desk_of(visit, tmp_path / "review")
    seed(desk, "carotid_left", points_of("carotid_left", "LPS", seed=2))
    before = profile_of(desk, "carotid_left", protocol, False)
    assert before["tbr_max"] is before["values"] is None
    assert len(before["z_mm"]) == len(before["suv_max"]) > 15
    assert values_of(desk, protocol, False) == {}
    assert values_of(desk, protocol, True)["carotid_left"]["mean_tbr_max"] > 1.0
    act(desk, kind="decide", vessel="carotid_left", choice="accept")
    act(desk, kind="decide", vessel="jugular_left", choice="accept")
    act(desk, kind="exclude", vessel="carotid_left", z_min_mm=30, z_max_mm=40, code="metal", words="clip")
    after = profile_of(desk, "carotid_left", protocol, False)
    assert sum(after["excluded"]) in (3, 4)
    act(desk, kind="finish")
    write_edited(edit_visit(visit, tmp_path / "review" / "R1" / f"{CODE}.read.json"), VisitFolder(visit))
    measured = measure_visit(visit, protocol)
    rows = measured.slices[measured.slices["vessel"] == "carotid_left"]
    np.testing.assert_allclose(after["tbr_max"], rows["tbr_max"], rtol=1e-9)
    np.testing.assert_allclose(after["suv_max"], rows["suv_max"], rtol=1e-9)
    assert after["valid"] == rows["valid"].tolist()
    row = measured.vessels.set_index("vessel").loc["carotid_left"]
    assert after["values"]["mean_tbr_max"] == pytest.approx(row["mean_tbr_max"], rel=1e-9)
    assert state_view(desk, values_of(desk, protocol, False))["vessels"][4]["values"] == after["values"]


def test_hints_lead_along_the_vessel_in_steps_that_seeds_may_have(visit, tmp_path):
    desk = desk_of(visit, tmp_path / "review")
    hints = []
    for _ in range(20):
        view = {v["name"]: v for v in state_view(desk)["vessels"]}["jugular_left"]
        if view["hint"] is None:
            break
        hints.append(view["hint"]["lps_mm"])
        seed(desk, "jugular_left", [hints[-1]])
    line = desk.files.found.vessels["jugular_left"].centreline_lps_mm
    assert 3 <= len(hints) <= 6
    levels = sorted(hint[2] for hint in hints)
    assert max(np.diff(levels)) <= 30.0
    assert levels[0] == pytest.approx(line[:, 2].min(), abs=8.0)
    assert levels[-1] == pytest.approx(line[:, 2].max(), abs=8.0)
    off = [np.linalg.norm(line - hint, axis=1).min() for hint in hints]
    assert max(off) < 2.0
