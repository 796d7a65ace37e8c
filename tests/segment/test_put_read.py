"""A finished read is put on the visit that it was made of, voxel for voxel, and on no other."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

import phantoms
from made_reads import finish, read_of
from petflame.anatomy import BY_NAME
from petflame.errors import InputRefused
from petflame.files import read_json, read_nifti, sha256, write_nifti
from petflame.folders import VisitFolder
from petflame.segment.outlines import outline_digest
from petflame.segment.product import read_segmentation
from petflame.segment.reads import ReadDecision, ReadVessel, write_read
from petflame.segment.run import edit_visit, segment_visit, write_edited
from petflame.segment.stretches import Stretch
from petflame.space.grid import Volume

GRID = phantoms.grid((1.5, 1.5, 3.0), low=(-30.0, -30.0, 0.0), high=(30.0, 30.0, 60.0))
CODE, OTHER = "V0123456789", "VABCDEF0123"
LEFT = {"carotid_left": [[15.0, 0.0, z] for z in (3.0, 18.0, 33.0, 48.0)]}
RIGHT = {"carotid_right": [[-14.0, 0.5, z] for z in (6.0, 20.0, 35.0, 51.0)]}


def tube(x_mm, y_mm=0.0, radius_mm=5.0):
    at = phantoms.points(GRID)
    return np.hypot(at[..., 0] - x_mm, at[..., 1] - y_mm) <= radius_mm


def make_visit(folder, seeds=LEFT, noise=0):
    folder.mkdir(parents=True)
    visit = VisitFolder(folder)
    hu = np.where(tube(15.0) | tube(-15.0), 45.0, -80.0) + noise
    write_nifti(visit.ct, Volume(hu.astype(np.int16), GRID), "ct")
    uptake = np.random.default_rng(3).gamma(8.0, 0.2, GRID.shape).astype(np.float32)
    write_nifti(visit.pet, Volume(uptake + np.float32(noise), GRID), "pet")
    segment_visit(folder, "seeds", write(folder.parent / "base.json", seeds))
    return folder


def write(path, document):
    path.write_text(json.dumps(document))
    return path


@pytest.fixture
def visit(tmp_path):
    return make_visit(tmp_path / CODE)


def labels_of(folder):
    return read_nifti(folder / "labels.nii.gz").data


def painted_labels(folder, x_mm=-13.0, name="carotid_left"):
    """The labels found, with the vessel painted anew: another place, and the voxels of a neighbour taken."""
    labels = labels_of(folder).copy(order="K")
    labels[labels == BY_NAME[name].label] = 0
    labels[tube(x_mm, radius_mm=6.0)] = BY_NAME[name].label
    return labels


def test_seeds_of_a_read_give_the_labels_that_the_method_gives(visit, tmp_path):
    seeds = write(tmp_path / "both.json", {**LEFT, **RIGHT})
    twin = tmp_path / "twin"
    shutil.copytree(visit, twin)
    alone = segment_visit(twin, "seeds", seeds)
    assert (alone.labels.data == BY_NAME["carotid_right"].label).sum() > 50
    read = read_of(visit, alone.labels.data, {**LEFT, **RIGHT})
    path = finish(tmp_path / "review", read)
    edited = segment_visit(visit, "seeds", write(tmp_path / "left.json", LEFT), path)
    np.testing.assert_array_equal(labels_of(visit), labels_of(twin))
    for name in ("carotid_left", "carotid_right"):
        own, theirs = edited.vessels[name], alone.vessels[name]
        assert own.method == "seeds, edited by a reader"
        np.testing.assert_array_equal(own.centreline_lps_mm, theirs.centreline_lps_mm)
        for check in theirs.checks:
            # What the left one is held against, too, is that of the labels as found.
            assert check in own.checks
    provenance = read_json(visit / "labels.json")["provenance"]["edits"]
    assert (provenance["reader"], provenance["read_sha256"]) == ("reader-1", sha256(path))


def test_a_painted_vessel_has_the_voxels_of_the_read_and_findings_of_its_own(visit, tmp_path):
    shown = painted_labels(visit)
    path = finish(tmp_path / "review", read_of(visit, shown, painted=("carotid_left",), accepted=("carotid_left",)))
    edited = segment_visit(visit, "seeds", tmp_path / "base.json", path)
    np.testing.assert_array_equal(labels_of(visit), shown)
    finding = edited.vessels["carotid_left"]
    assert finding.method == "painted, edited by a reader, accepted by a reader"
    assert not finding.withheld
    assert {"components", "gaps", "area_jumps", "PET-CT shift"} <= {c.name for c in finding.checks}
    np.testing.assert_allclose(finding.centreline_lps_mm[:, 0], 13.0, atol=0.5)


def test_what_the_reader_erased_is_not_there(visit, tmp_path):
    shown = labels_of(visit) * 0
    read = read_of(visit, shown, painted=("carotid_left",))
    finding = segment_visit(visit, "seeds", tmp_path / "base.json", finish(tmp_path / "review", read)).vessels[
        "carotid_left"
    ]
    assert not labels_of(visit).any()
    assert (finding.withheld, finding.reason) == (True, "nothing of it is left after the reader's edits")
    # Erased at last, after it was accepted: refused, since an empty vessel cannot count.
    accepted = replace(read, decisions={"carotid_left": ReadDecision("accept")})
    with pytest.raises(InputRefused, match="carotid_left is accepted and was not found"):
        edit_visit(visit, finish(tmp_path / "review", accepted))


def test_decisions_landmarks_stretches_and_points_carried_over(visit, tmp_path):
    read = read_of(visit)
    stretch = Stretch("carotid_left", 10.0, 20.0, "metal", "a stent")
    prefilled = replace(read_of(visit, labels_of(visit), LEFT).vessels["carotid_left"].seeds, prefilled=True)
    read = replace(
        read_of(visit, labels_of(visit), LEFT),
        landmarks_lps_mm={"carotid_bifurcation_left": (15.0, 0.0, 40.0)},
        decisions={"carotid_left": ReadDecision("reject", "Mr Smith's stent")},
        left_out=(stretch,),
        prefilled=True,
    )
    read = replace(read, vessels={"carotid_left": replace(read.vessels["carotid_left"], seeds=prefilled)})
    segment_visit(visit, "seeds", tmp_path / "base.json", finish(tmp_path / "review", read))
    kept = read_segmentation(VisitFolder(visit))
    assert kept.left_out == (stretch,)
    assert kept.landmarks_lps_mm["carotid_bifurcation_left"] == (15.0, 0.0, 40.0)
    finding = kept.vessels["carotid_left"]
    assert (finding.prefilled, finding.withheld, finding.reason) == (True, True, "rejected by a reader: see the read")
    assert "Smith" not in (visit / "labels.json").read_text()
    assert not kept.vessels["carotid_right"].prefilled


def test_labels_as_found_are_those_that_stand_there_without_edits(visit, tmp_path):
    found = {name: (visit / f"{name}").read_bytes() for name in ("labels.nii.gz", "labels.json")}
    assert not (visit / "labels_found.nii.gz").exists()
    path = finish(tmp_path / "review", read_of(visit, painted_labels(visit), painted=("carotid_left",)))
    segment_visit(visit, "seeds", tmp_path / "base.json", path)
    assert (visit / "labels_found.nii.gz").read_bytes() == found["labels.nii.gz"]
    assert (visit / "labels_found.json").read_bytes() == found["labels.json"]
    assert (visit / "labels.nii.gz").read_bytes() != found["labels.nii.gz"]
    with pytest.raises(InputRefused, match="a reader's edits, which a new segmentation would lose"):
        segment_visit(visit, "seeds", tmp_path / "base.json")
    (visit / "labels.json").unlink()
    segment_visit(visit, "seeds", tmp_path / "base.json")
    assert {name: (visit / name).read_bytes() for name in found} == found
    assert not (visit / "labels_found.nii.gz").exists()
    assert not (visit / "labels_found.json").exists()


def test_put_on_by_hand_it_is_what_the_segmentation_makes_of_it(visit, tmp_path):
    twin = tmp_path / "twin" / CODE
    shutil.copytree(visit, twin)
    first = finish(tmp_path / "one", read_of(visit, painted_labels(visit, -10.0), painted=("carotid_left",)))
    path = finish(tmp_path / "two", read_of(visit, painted_labels(visit), painted=("carotid_left",)))
    segment_visit(visit, "seeds", tmp_path / "base.json", path)
    for given, again in ((first, False), (path, True)):
        edited = edit_visit(twin, given)
        # What was put on first is not what the second is put on.
        assert edited.replaced == again
        write_edited(edited, VisitFolder(twin))
    for name in ("labels.nii.gz", "labels.json", "labels_found.nii.gz", "labels_found.json"):
        assert (twin / name).read_bytes() == (visit / name).read_bytes(), name


def test_a_read_of_another_visit_is_refused_with_every_hash(visit, tmp_path):
    other = make_visit(tmp_path / "elsewhere" / OTHER, RIGHT, noise=2)
    read = read_of(other, painted_labels(other), painted=("carotid_left",))
    before = {p.name: p.read_bytes() for p in visit.iterdir()}
    with pytest.raises(InputRefused) as refused:
        edit_visit(visit, finish(tmp_path / "review", read))
    said = [fault.what for fault in refused.value.faults]
    assert f"it is of the visit {OTHER}, not of {CODE}" in said
    for name in ("ct.nii.gz", "pet.nii.gz", "labels.nii.gz"):
        assert any(sha256(visit / name) in what and sha256(other / name) in what for what in said), name
    assert len(said) == 4
    assert {p.name: p.read_bytes() for p in visit.iterdir()} == before


def test_a_refused_read_leaves_the_labels_as_found_to_be_read_again(visit, tmp_path):
    read = replace(read_of(visit, painted_labels(visit), painted=("carotid_left",)), pet_sha256="0" * 64)
    found = (visit / "labels.nii.gz").read_bytes()
    with pytest.raises(InputRefused, match=f"PET of the visit has SHA-256 {sha256(visit / 'pet.nii.gz')}.*{'0' * 64}"):
        segment_visit(visit, "seeds", tmp_path / "base.json", finish(tmp_path / "review", read))
    assert (visit / "labels_found.nii.gz").read_bytes() == found


@pytest.mark.parametrize("change", ["a voxel more", "another vessel", "beyond the map"])
def test_outlines_that_the_reader_did_not_see_are_refused(visit, tmp_path, change):
    shown = painted_labels(visit)
    read = read_of(visit, shown, painted=("carotid_left",))
    runs = read.vessels["carotid_left"].runs.copy()
    name = "carotid_left"
    if change == "a voxel more":
        runs[0, 1] += 1
    elif change == "another vessel":
        name = "carotid_right"
    else:
        runs[-1, 0] = shown.size
    read = replace(read, vessels={name: ReadVessel("painted", None, runs)})
    words = "lie beyond the label map" if change == "beyond the map" else f"{outline_digest(shown)}"
    with pytest.raises(InputRefused, match=words):
        edit_visit(visit, finish(tmp_path / "review", read))


def test_seeds_that_another_version_would_draw_otherwise_keep_the_outline_that_was_seen(visit, tmp_path):
    shown = painted_labels(visit, -14.0)
    read = read_of(visit, shown, LEFT)
    edited = segment_visit(visit, "seeds", tmp_path / "base.json", finish(tmp_path / "review", read))
    np.testing.assert_array_equal(labels_of(visit), shown)
    assert "the seeds of carotid_left give another outline than the reader saw, which is kept" in edited.warnings
    np.testing.assert_allclose(edited.vessels["carotid_left"].centreline_lps_mm[:, 0], 14.0, atol=0.5)


def test_a_read_stands_alone_among_edits(visit, tmp_path):
    path = finish(tmp_path / "review", read_of(visit))
    folder = tmp_path / "edits"
    folder.mkdir()
    shutil.copy(path, folder)
    assert edit_visit(visit, folder).segmentation.provenance["edits"]["read_sha256"] == sha256(path)
    (folder / "decisions.tsv").write_text("vessel\tdecision\twords\n")
    with pytest.raises(InputRefused, match="a finished read and other edits"):
        edit_visit(visit, folder)


def test_a_file_changed_after_its_log_was_finished_is_refused(visit, tmp_path):
    path = finish(tmp_path / "review", read_of(visit))
    before = sha256(path)
    write_read(path, read_of(visit, accepted=("carotid_left",)))
    with pytest.raises(InputRefused, match=f"{before}.*{sha256(path)}"):
        edit_visit(visit, path)


def test_a_painted_vessel_wins_over_a_seeded_one_where_both_are(visit, tmp_path):
    alone = edit_visit(visit, write(tmp_path / "s.json", {**LEFT, **RIGHT})).segmentation.labels.data
    shown = alone.copy()
    shown[tube(-15.0, radius_mm=2.0)] = BY_NAME["jugular_left"].label
    read = read_of(visit, shown, {**LEFT, **RIGHT}, painted=("jugular_left",))
    edited = edit_visit(visit, finish(tmp_path / "review", read)).segmentation
    np.testing.assert_array_equal(edited.labels.data, shown)
    assert edited.vessels["carotid_left"].method == "seeds, edited by a reader"
    assert not any("another outline" in warning for warning in edited.warnings)
