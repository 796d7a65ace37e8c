"""Points carried to the participant's other visit, in a simulated patient whose motion is known."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from petflame.anatomy import BY_NAME
from petflame.errors import InputRefused
from petflame.files import write_json, write_nifti
from petflame.folders import StudyOut, VisitFolder
from petflame.labelmap import LabelMap
from petflame.protocol import Protocol, ReviewRules
from petflame.review.log import ReadLog
from petflame.review.other_visit import allowed, other_visit
from petflame.review.prefill import carry, carry_between
from petflame.review.server import Room, session_of
from petflame.review.visit import read_visit_files
from petflame.segment.labelmaps import describe
from petflame.segment.product import write_segmentation
from petflame.segment.seedfile import Seeds
from petflame.segment.seeds import draw_vessels
from petflame.simulate.plan import plan_trial
from petflame.simulate.visit import simulate_visit
from petflame.space.grid import Volume, ras_to_lps
from petflame.space.polyline import arc_length_mm, places_at

PLANS = plan_trial(2, 5).visit_plans[:2]
NECK = ("carotid_right", "carotid_left", "jugular_right", "jugular_left")
FIRST, SECOND, ALONE = "VAAAAAAAA01", "VAAAAAAAA02", "VAAAAAAAA03"
BIFURCATION = "carotid_bifurcation_left"
PREFILL = Protocol(review=ReviewRules(prefill=True))


def line_of(visit, vessel):
    """Middle of a vessel's true region, slice by slice, LPS mm."""
    labels = visit.label_map()
    ijk = np.argwhere(labels.data == BY_NAME[vessel].label)
    middle = [ijk[ijk[:, 2] == k].mean(axis=0) for k in np.unique(ijk[:, 2])]
    return ras_to_lps(labels.grid.to_ras(np.array(middle)))


def truly(places):
    """Where places of the first visit lie at the second: the phantom's own motion, inverted and applied again."""
    reference = places.copy()
    for _ in range(40):
        reference = reference + (places - PLANS[0].ct_pose.apply(reference))
    return PLANS[1].ct_pose.apply(reference)


def points_on(line):
    length = arc_length_mm(line)[-1]
    return places_at(line, np.linspace(0.0, length, int(np.ceil(length / 30.0)) + 1))


@pytest.fixture(scope="module")
def visits():
    return [simulate_visit(plan, "tiny") for plan in PLANS]


@pytest.fixture(scope="module")
def seeds(visits):
    bifurcation = tuple(visits[0].landmarks_lps_mm[BIFURCATION])
    return Seeds({n: points_on(line_of(visits[0], n)) for n in NECK}, {"jugular_left": 5.5}, {BIFURCATION: bifurcation})


@pytest.fixture(scope="module")
def results(visits, tmp_path_factory):
    """Both visits with the chest found and nothing in the neck, a third one without a partner, and the key table."""
    root = tmp_path_factory.mktemp("results")
    for code, visit in zip((FIRST, SECOND, ALONE), (*visits, visits[0]), strict=True):
        folder = VisitFolder(root / "visits" / code)
        labels = np.where(np.isin(visit.labels, [BY_NAME[n].label for n in NECK]), 0, visit.labels).astype(np.uint8)
        write_nifti(folder.pet, visit.pet())
        write_nifti(folder.ct, visit.ct())
        write_json(folder.pet_json, {"suv_factor": 1.0, "voxel_size_mm": [4.5, 4.5, 4.0]})
        marks = {"carina": tuple(visit.landmarks_lps_mm["carina"])}
        write_segmentation(describe(replace(visit, labels=labels).label_map(), "ct", "labels", marks, {}), folder)
    (root / "key").mkdir()
    rows = [("code", "participant_id", "visit"), (SECOND, "P1", "followup"), (FIRST, "P1", "baseline")]
    rows += [("PAAAAAAAA01", "P1", "pair"), (ALONE, "P2", "baseline"), ("PAAAAAAAA02", "P2", "pair")]
    StudyOut(root).key_table.write_text("".join("\t".join(row) + "\n" for row in rows))
    return root


@pytest.fixture(scope="module")
def files(results):
    return [read_visit_files(results / "visits" / code) for code in (FIRST, SECOND)]


@pytest.fixture(scope="module")
def carried(results, seeds):
    visit = StudyOut(results).visit
    return carry(seeds, visit(FIRST), visit(SECOND), PREFILL)


@pytest.fixture(scope="module")
def drawn(files, seeds):
    """Places beside the points on the lines that the read draws at the first visit."""
    vessels = draw_vessels(seeds.points_lps_mm, seeds.radius_mm, files[0].ct, files[0].pet)
    lines = {name: vessel.line_lps_mm for name, vessel in vessels.items()}
    off = {n: np.linalg.norm(p[:, None] - lines[n][None], axis=-1) for n, p in seeds.points_lps_mm.items()}
    return {name: lines[name][off[name].argmin(axis=1)] for name in NECK}


@pytest.mark.parametrize("vessel", NECK)
def test_points_arrive_where_the_anatomy_went(carried, drawn, vessel):
    truth = truly(drawn[vessel])
    assert np.linalg.norm(truth - drawn[vessel], axis=1).mean() > 2.5
    assert carried.points_lps_mm[vessel].shape == truth.shape
    assert np.linalg.norm(carried.points_lps_mm[vessel] - truth, axis=1).mean() < 1.0
    assert carried.correlation[vessel] > 0.7
    assert carried.return_mm[vessel] < 2.0


def test_landmark_and_radius_come_along(carried, seeds):
    truth = truly(np.array([seeds.landmarks_lps_mm[BIFURCATION]]))[0]
    assert np.linalg.norm(np.array(carried.landmarks_lps_mm[BIFURCATION]) - truth) < 2.0
    assert carried.radius_mm == {"jugular_left": 5.5}
    assert carried.not_carried == {}


def test_a_readers_error_is_not_carried_along(files, visits, seeds):
    rng = np.random.default_rng(4)
    noisy = {n: p + np.pad(rng.normal(0.0, 2.0, (len(p), 2)), ((0, 0), (0, 1))) for n, p in seeds.points_lps_mm.items()}
    found = carry_between(Seeds(noisy), *files, PREFILL.pairing)
    here, there = [], []
    for name in NECK:
        lines = [places_at(line_of(v, name), np.arange(0, 200, 0.5)) for v in visits]
        for off, line, points in ((here, lines[0], noisy[name]), (there, lines[1], found.points_lps_mm[name])):
            off += np.linalg.norm(points[:, None] - line[None], axis=-1).min(axis=1).tolist()
    assert np.mean(there) < 0.7 * np.mean(here)


def test_what_was_set_by_chance_at_one_place_twice_is_carried_once(files, seeds):
    points = seeds.points_lps_mm["carotid_left"]
    doubled = Seeds({"carotid_left": np.insert(points, 1, points[0] + [0.0, 0.0, 1e-6], axis=0)})
    found = carry_between(doubled, *files, PREFILL.pairing).points_lps_mm["carotid_left"]
    assert len(found) == len(points)


def test_noise_is_not_carried_to(files, seeds):
    hu = np.random.default_rng(2).normal(0.0, 200.0, files[1].ct.data.shape).astype(np.float32)
    found = carry_between(seeds, files[0], replace(files[1], ct=Volume(hu, files[1].ct.grid)), PREFILL.pairing)
    assert found.points_lps_mm == {}
    assert found.landmarks_lps_mm == {}
    assert set(found.not_carried) == {*NECK, BIFURCATION}
    assert all("agree too little" in found.not_carried[n] or "there and back" in found.not_carried[n] for n in NECK)


def test_a_neck_that_the_other_scan_does_not_show_is_not_carried_to(files, seeds):
    one, other = files
    short = int(0.55 * other.ct.grid.shape[2])
    box = (slice(None), slice(None), slice(0, short))
    labels = other.found.labels.cropped(box)
    cut = replace(
        other,
        ct=other.ct.cropped(box),
        found=replace(other.found, labels=LabelMap(labels.data, labels.grid)),
    )
    found = carry_between(seeds, one, cut, PREFILL.pairing)
    top = cut.ct.grid.to_ras(np.array(cut.ct.grid.shape) - 0.5)[2]
    assert set(found.not_carried) >= set(NECK) - set(found.points_lps_mm)
    assert found.not_carried
    assert all(points[:, 2].max() <= top for points in found.points_lps_mm.values())


def test_without_anything_found_at_both_visits_there_is_no_start(files, seeds):
    nothing = LabelMap(np.zeros_like(files[1].found.labels.data), files[1].found.labels.grid)
    bare = replace(files[1], found=replace(files[1].found, labels=nothing, vessels={}, landmarks_lps_mm={}))
    found = carry_between(seeds, files[0], bare, PREFILL.pairing)
    assert found.points_lps_mm == {}
    assert all("the chest could not be registered" in found.not_carried[name] for name in NECK)


def test_the_carina_is_start_enough(files, seeds):
    nothing = LabelMap(np.zeros_like(files[1].found.labels.data), files[1].found.labels.grid)
    bare = replace(files[1], found=replace(files[1].found, labels=nothing, vessels={}))
    found = carry_between(seeds, files[0], bare, PREFILL.pairing)
    truth = truly(seeds.points_lps_mm["carotid_left"])
    assert np.linalg.norm(found.points_lps_mm["carotid_left"] - truth, axis=1).mean() < 1.5


def test_pairs_come_from_the_key_table(results, tmp_path):
    out = StudyOut(results)
    assert (other_visit(out, FIRST), other_visit(out, SECOND)) == (SECOND, FIRST)
    assert other_visit(out, ALONE) is None
    assert other_visit(out, "VFFFFFFFFFF") is None
    assert other_visit(StudyOut(tmp_path), FIRST) is None


def test_only_the_protocol_lets_points_be_carried(results, tmp_path):
    assert allowed(results, PREFILL)
    assert not allowed(results, Protocol())
    assert not allowed(tmp_path, PREFILL)


# The workbench -------------------------------------------------------------------------------------------------------


@pytest.fixture
def desk(results, tmp_path):
    """A reader's room on a copy of the results, and what does one action in it."""
    (tmp_path / "visits").symlink_to(results / "visits")
    (tmp_path / "key").mkdir(mode=0o700)
    StudyOut(tmp_path).key_table.write_bytes(StudyOut(results).key_table.read_bytes())

    def opened(protocol=PREFILL):
        room = Room(session_of(tmp_path, "R1", (), protocol))

        def act(item, **action):
            status, answer = room.act(item, {"head": room.desk(item).head, "action": action})
            return SimpleNamespace(status=status, **answer)

        return room, act

    return SimpleNamespace(open=opened, out=tmp_path)


def set_points(act, item, seeds, vessels=("carotid_left", "jugular_left")):
    for name in vessels:
        for point in seeds.points_lps_mm[name].tolist():
            assert act(item, kind="seed", op="add", vessel=name, lps_mm=point, snap=False).status == 200


def vessel(state, name):
    return next(v for v in state["vessels"] if v["name"] == name)


def test_points_are_offered_confirmed_or_moved_and_the_read_is_marked(desk, seeds):
    room, act = desk.open()
    assert not room.state(SECOND)["prefill_offered"]
    set_points(act, FIRST, seeds)
    assert room.state(SECOND)["prefill_offered"]
    assert not room.state(ALONE)["prefill_offered"]
    assert not room.state(FIRST)["prefill_offered"]
    done = act(SECOND, kind="prefill")
    assert done.status == 200, done
    assert set(done.changed) >= {"carotid_left", "jugular_left"}
    artery = vessel(done.state, "carotid_left")
    assert all(seed["prefilled"] for seed in artery["seeds"])
    assert len(artery["seeds"]) > 2
    truth = truly(seeds.points_lps_mm["carotid_left"])
    assert np.linalg.norm(np.array([s["lps_mm"] for s in artery["seeds"]]) - truth, axis=1).mean() < 1.5
    assert not done.state["prefill_offered"]
    # Nothing is accepted or finished before the reader has looked.
    assert act(SECOND, kind="decide", vessel="carotid_left", choice="accept").status == 422
    assert act(SECOND, kind="finish").status == 422
    moved = [*artery["seeds"][0]["lps_mm"][:2], artery["seeds"][0]["lps_mm"][2] - 1.0]
    state = act(SECOND, kind="seed", op="move", vessel="carotid_left", index=0, lps_mm=moved, snap=False).state
    assert [s["prefilled"] for s in vessel(state, "carotid_left")["seeds"]][:2] == [False, True]
    for name in ("carotid_left", "jugular_left"):
        state = act(SECOND, kind="confirm", vessel=name).state
        assert not any(s["prefilled"] for s in vessel(state, name)["seeds"])
        assert act(SECOND, kind="decide", vessel=name, choice="accept").status == 200
    assert act(SECOND, kind="finish").status == 200
    read = json.loads((desk.out / "review" / "R1" / f"{SECOND}.read.json").read_text())
    assert read["prefilled"]
    assert read["vessels"]["carotid_left"]["seeds"]["prefilled"]


def test_a_proposal_that_was_seen_and_undone_still_marks_the_read(desk, seeds):
    _room, act = desk.open()
    set_points(act, FIRST, seeds, ("carotid_left",))
    act(SECOND, kind="prefill")
    state = act(SECOND, kind="undo").state
    assert vessel(state, "carotid_left")["seeds"] == []
    assert state["prefill_offered"]
    assert act(SECOND, kind="finish").status == 200
    assert json.loads((desk.out / "review" / "R1" / f"{SECOND}.read.json").read_text())["prefilled"]


def test_what_the_reader_has_begun_is_left_alone(desk, seeds):
    _room, act = desk.open()
    set_points(act, FIRST, seeds)
    own = truly(seeds.points_lps_mm["carotid_left"])[:2].tolist()
    for point in own:
        act(SECOND, kind="seed", op="add", vessel="carotid_left", lps_mm=point, snap=False)
    state = act(SECOND, kind="prefill").state
    assert [s["lps_mm"] for s in vessel(state, "carotid_left")["seeds"]] == [tuple(p) for p in own]
    assert all(s["prefilled"] for s in vessel(state, "jugular_left")["seeds"])


def test_carried_points_are_not_carried_back(desk, seeds):
    room, act = desk.open()
    set_points(act, FIRST, seeds, ("carotid_left",))
    act(SECOND, kind="prefill")
    act(SECOND, kind="confirm", vessel="carotid_left")
    assert act(FIRST, kind="seed", op="clear", vessel="carotid_left").status == 200
    assert not room.state(FIRST)["prefill_offered"]
    assert act(FIRST, kind="prefill").status == 422


def test_nothing_tells_which_visit_is_the_other_or_came_first(desk, seeds):
    _room, act = desk.open()
    set_points(act, FIRST, seeds)
    done = act(SECOND, kind="prefill")
    log = (desk.out / "review" / "R1" / f"{SECOND}.jsonl").read_text()
    for text in (json.dumps(done.state, default=str), done.said, log):
        assert not any(word in text for word in (FIRST, "baseline", "followup", "P1"))


def test_a_visit_that_cannot_be_read_is_not_named(desk, seeds, monkeypatch):
    room, act = desk.open()
    set_points(act, FIRST, seeds)
    room.state(SECOND)

    def gone(root):
        raise InputRefused.of("the file is missing", str(root), "convert the visit")

    monkeypatch.setattr("petflame.review.other_visit.read_visit_files", gone)
    refused = act(SECOND, kind="prefill")
    assert refused.status == 422
    assert "the other visit cannot be read" in refused.said
    assert FIRST not in json.dumps(refused.faults)


def test_a_read_of_other_images_is_not_carried(desk, seeds, monkeypatch):
    room, act = desk.open()
    set_points(act, FIRST, seeds)
    room.state(SECOND)
    monkeypatch.setattr(
        "petflame.review.other_visit.read_visit_files",
        lambda root: replace(read_visit_files(root), hashes={"ct_sha256": "0" * 64}),
    )
    refused = act(SECOND, kind="prefill")
    assert refused.status == 422
    assert "other images" in refused.said


def test_registration_is_kept_below_the_key_folder_for_its_owner_alone(desk, seeds, monkeypatch):
    _room, act = desk.open()
    set_points(act, FIRST, seeds, ("carotid_left",))
    first = act(SECOND, kind="prefill")
    (kept,) = (desk.out / "key" / "review" / "prefill").iterdir()
    assert all(p.stat().st_mode & 0o077 == 0 for p in (kept, *list(kept.parents)[:2]))
    act(SECOND, kind="undo")
    monkeypatch.setattr("petflame.review.other_visit.carry_between", None)
    again = act(SECOND, kind="prefill")
    assert vessel(again.state, "carotid_left")["seeds"] == vessel(first.state, "carotid_left")["seeds"]
    act(SECOND, kind="undo")
    kept.write_text("{}")
    monkeypatch.undo()
    assert act(SECOND, kind="prefill").status == 200


def test_a_protocol_without_it_offers_nothing(desk, seeds):
    room, act = desk.open(Protocol())
    set_points(act, FIRST, seeds, ("carotid_left",))
    assert not room.state(SECOND)["prefill_offered"]
    refused = act(SECOND, kind="prefill")
    assert refused.status == 422
    assert len(ReadLog(desk.out / "review" / "R1" / f"{SECOND}.jsonl").lines()) == 0


def test_a_repeat_is_never_prefilled(desk, seeds):
    room, act = desk.open()
    set_points(act, FIRST, seeds, ("carotid_left",))
    other = room.desk(SECOND)
    other.item = "VBBBBBBBB01"
    assert other.prefillable == ()
