"""A reader's edits come last and win; nothing of them is lost in silence."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

import phantoms
from petflame.anatomy import BY_NAME
from petflame.errors import InputRefused
from petflame.files import read_nifti, write_nifti
from petflame.folders import VisitFolder
from petflame.labelmap import LabelMap
from petflame.privacy import with_names, without_names
from petflame.review.pack import write_pack
from petflame.segment.beforehand import check_readers_files
from petflame.segment.edits import DECISIONS, UNTOUCHED, Edits, apply_edits, is_untouched, read_edits
from petflame.segment.product import Segmentation, VesselFinding, read_segmentation, write_segmentation
from petflame.segment.run import edit_visit, segment_visit, write_edited
from petflame.space.grid import Volume

GRID = phantoms.grid((1.5, 1.5, 3.0), low=(-30.0, -30.0, 0.0), high=(30.0, 30.0, 60.0))


def tube(x_mm, y_mm=0.0, radius_mm=5.0):
    at = phantoms.points(GRID)
    return np.hypot(at[..., 0] - x_mm, at[..., 1] - y_mm) <= radius_mm


def line(x_mm):
    z = np.arange(0.0, 61.0, 3.0)
    return np.column_stack([np.full_like(z, -x_mm), np.zeros_like(z), z])


@pytest.fixture
def segmentation():
    labels = np.zeros(GRID.shape, np.uint8)
    labels[tube(15.0)] = BY_NAME["carotid_right"].label
    labels[tube(-15.0)] = BY_NAME["carotid_left"].label
    vessels = {
        "carotid_right": VesselFinding("proposal", 0.2, (), line(15.0), True, "a proposal"),
        "carotid_left": VesselFinding("geometric", 0.9, (), line(-15.0)),
    }
    return Segmentation(LabelMap(labels, GRID), "ct", vessels, {}, {"method": "auto"}, ("carotid_right: needs",))


@pytest.fixture
def visit(tmp_path, segmentation):
    root = tmp_path / "V1"
    root.mkdir()
    folder = VisitFolder(root)
    hu = np.where(segmentation.labels.data > 0, 45.0, -80.0)
    write_nifti(folder.ct, Volume(hu.astype(np.int16), GRID), "ct")
    write_nifti(folder.pet, Volume(np.ones(GRID.shape, np.float32), GRID), "pet")
    write_segmentation(segmentation, folder)
    return root


def decide(folder, *rows):
    folder.mkdir(exist_ok=True)
    (folder / DECISIONS).write_text("\n".join(["vessel\tdecision\twords", *("\t".join(r) for r in rows), ""]))
    return folder


def test_an_accepted_proposal_is_no_longer_withheld(tmp_path, segmentation):
    edits = read_edits(decide(tmp_path / "e", ("carotid_right", "accept", ""), ("carotid_left", "", "")))
    edited = apply_edits(segmentation, edits, None, {"ct": GRID})
    assert not edited.vessels["carotid_right"].withheld
    assert "accepted by a reader" in edited.vessels["carotid_right"].method
    assert edited.vessels["carotid_left"] == segmentation.vessels["carotid_left"]
    assert edited.warnings == ()
    np.testing.assert_array_equal(edited.labels.data, segmentation.labels.data)


def test_a_rejected_vessel_is_withheld_with_the_readers_words(tmp_path, segmentation):
    edits = read_edits(decide(tmp_path / "e", ("carotid_left", "reject", "follows the vertebral artery")))
    finding = apply_edits(segmentation, edits, None, {"ct": GRID}).vessels["carotid_left"]
    assert finding.withheld
    assert with_names(finding.reason) == "rejected by a reader: follows the vertebral artery"
    assert without_names(finding.reason) == "rejected by a reader: see decisions.tsv"


def test_a_redrawn_vessel_replaces_the_old_one_and_wins_over_its_neighbours(tmp_path, segmentation):
    new = np.where(tube(13.0, radius_mm=7.0), BY_NAME["carotid_right"].label, 0).astype(np.uint8)
    overlap = segmentation.labels.data.copy()
    overlap[tube(8.0, radius_mm=3.0)] = BY_NAME["jugular_right"].label
    crowded = replace(segmentation, labels=LabelMap(overlap, GRID))
    write_nifti(tmp_path / "right.nii.gz", Volume(new, GRID), "edited")
    edited = apply_edits(crowded, read_edits(tmp_path / "right.nii.gz"), None, {"ct": GRID})
    np.testing.assert_array_equal(edited.labels.data == BY_NAME["carotid_right"].label, new > 0)
    assert "edited by a reader" in edited.vessels["carotid_right"].method
    assert not edited.vessels["carotid_right"].withheld
    left = BY_NAME["carotid_left"].label
    np.testing.assert_array_equal(edited.labels.data == left, segmentation.labels.data == left)


def test_a_vessel_redrawn_by_seeds(tmp_path, segmentation, visit):
    points = [[-12.0, 0.0, z] for z in (3.0, 18.0, 33.0, 48.0)]
    (tmp_path / "s.json").write_text(json.dumps({"carotid_right": points, "radius_mm": {"carotid_right": 4.0}}))
    edited = apply_edits(segmentation, read_edits(tmp_path / "s.json"), read_nifti(visit / "ct.nii.gz"), {"ct": GRID})
    where = phantoms.points(GRID)[edited.labels.data == BY_NAME["carotid_right"].label]
    assert 2 < where[:, 2].min() < 4
    assert where[:, 2].max() < 50
    assert edited.vessels["carotid_right"].method == "seeds, edited by a reader"


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([("carotis", "accept", "")], "no vessel"),
        ([("carotid_left", "maybe", "")], "unknown"),
        ([("carotid_left", "reject", "")], "without words"),
        ([("carotid_left", "accept", ""), ("carotid_left", "reject", "x")], "twice"),
    ],
)
def test_edits_that_cannot_be_understood_are_refused(tmp_path, rows, words):
    with pytest.raises(InputRefused, match=words):
        read_edits(decide(tmp_path / "e", *rows))


def test_all_faults_of_a_form_are_told_at_once(tmp_path):
    folder = decide(tmp_path / "e", ("carotis", "accept", ""), ("svc", "reject", ""))
    with pytest.raises(InputRefused) as refused:
        read_edits(folder)
    assert len(refused.value.faults) == 2


def test_a_vessel_that_is_not_there_cannot_be_accepted(tmp_path, segmentation):
    edits = read_edits(decide(tmp_path / "e", ("svc", "accept", "")))
    with pytest.raises(InputRefused, match="svc is accepted and was not found"):
        apply_edits(segmentation, edits, None, {"ct": GRID})


def test_exchanged_sides_are_refused(tmp_path, segmentation):
    swapped = segmentation.labels.data.copy()
    swapped[tube(15.0)], swapped[tube(-15.0)] = BY_NAME["carotid_left"].label, BY_NAME["carotid_right"].label
    write_nifti(tmp_path / "swapped.nii.gz", Volume(swapped, GRID), "edited")
    with pytest.raises(InputRefused, match="mirrored"):
        apply_edits(segmentation, Edits(regions=tmp_path / "swapped.nii.gz"), None, {"ct": GRID})


def test_a_new_segmentation_never_loses_edits_in_silence(tmp_path, visit):
    folder = decide(tmp_path / "e", ("carotid_right", "accept", "sure"))
    write_edited(edit_visit(visit, folder), VisitFolder(visit))
    (tmp_path / "labels.nii.gz").write_bytes((visit / "labels.nii.gz").read_bytes())
    with pytest.raises(InputRefused, match="reader's edits"):
        segment_visit(visit, "labels", tmp_path / "labels.nii.gz")
    again = segment_visit(visit, "labels", tmp_path / "labels.nii.gz", folder)
    assert "accepted by a reader (see decisions.tsv)" in without_names(again.vessels["carotid_right"].method)
    decided = read_segmentation(VisitFolder(visit)).provenance["edits"]["decisions"]["carotid_right"]
    assert decided["words"] == "see decisions.tsv"


def test_a_pack_comes_back_as_edits(tmp_path, visit):
    page = write_pack([visit], tmp_path / "pack").read_text()
    # The vessel itself on each of six sections: solid where it counts, dashed where it waits for the reader.
    assert page.count('class="contour chosen"') >= 6
    assert page.count('class="contour chosen withheld"') >= 6
    assert "a proposal" in page
    form = tmp_path / "pack" / "V1" / DECISIONS
    assert is_untouched(read_edits(form.parent))
    form.write_text(form.read_text().replace("carotid_right\t\t", "carotid_right\taccept\t"))
    assert not edit_visit(visit, form.parent).segmentation.vessels["carotid_right"].withheld
    with pytest.raises(InputRefused, match="not empty"):
        write_pack([visit], tmp_path / "pack")


def test_packs_of_visits_with_one_name_are_refused(tmp_path, visit):
    shutil.copytree(visit, tmp_path / "other" / "V1")
    with pytest.raises(InputRefused, match="same name"):
        write_pack([visit, tmp_path / "other" / "V1"], tmp_path / "pack")


def test_a_form_without_a_decision_changes_nothing_and_says_so(tmp_path):
    (tmp_path / "decisions.tsv").write_text("vessel\tdecision\twords\ncarotid_left\t\t\n")
    edits = read_edits(tmp_path)
    before = phantoms.segmentation(phantoms.label_map(phantoms.CT))
    after = apply_edits(before, edits, None, {"ct": phantoms.CT})
    assert after.vessels == before.vessels
    assert (after.labels.data == before.labels.data).all()
    assert after.provenance == before.provenance
    assert after.warnings == (*before.warnings, UNTOUCHED)
    told = check_readers_files(None, None, tmp_path, {}, None)
    assert not told.faults
    assert UNTOUCHED in told.doubts


def test_a_folder_without_form_seeds_or_regions_stays_a_fault(tmp_path):
    with pytest.raises(InputRefused, match="it holds no edit"):
        read_edits(tmp_path)
