"""What comes back from a reader pack is put on the visit, images and labels that the reader was shown, or refused."""

import json
import re
import shutil

import numpy as np
import pytest

import phantoms
from petflame.anatomy import BY_NAME
from petflame.errors import InputRefused
from petflame.files import read_nifti, sha256, write_nifti
from petflame.folders import VisitFolder
from petflame.labelmap import LabelMap
from petflame.privacy import with_names
from petflame.review.pack import write_pack
from petflame.segment.edits import DECISIONS, SAVED_OVER
from petflame.segment.pack_bond import UNBOUND
from petflame.segment.product import Segmentation, VesselFinding, write_segmentation
from petflame.segment.run import edit_visit, write_edited
from petflame.space.grid import Grid, Volume

# Neither the grid nor the vessels are symmetric about its middle.
GRID = phantoms.grid((1.5, 1.5, 3.0), low=(-40.0, -30.0, 0.0), high=(50.0, 60.0, 90.0))
PLACES = {"carotid_right": (15.0, 0.0, 30.0), "carotid_left": (-20.0, 5.0, 36.0), "svc": (10.0, 20.0, 0.0)}


def tube(name, off_mm=(0.0, 0.0)):
    x, y, low = PLACES[name]
    at = phantoms.points(GRID)
    inside = np.hypot(at[..., 0] - x - off_mm[0], at[..., 1] - y - off_mm[1]) <= 5.0
    return inside & (at[..., 2] >= low) & (at[..., 2] <= low + 45.0)


def label(name):
    return BY_NAME[name].label


def made(root, off_mm=(0.0, 0.0)):
    root.mkdir()
    labels = np.zeros(GRID.shape, np.uint8)
    vessels = {}
    for name, (x, y, low) in PLACES.items():
        labels[tube(name, off_mm)] = label(name)
        z = np.arange(low, low + 46.0, 3.0)
        line = np.column_stack([np.full_like(z, -x - off_mm[0]), np.full_like(z, -y - off_mm[1]), z])
        doubtful = name == "carotid_right"
        vessels[name] = VesselFinding("proposal" if doubtful else "geometric", 0.9, (), line, doubtful, "a proposal")
    folder = VisitFolder(root)
    hu = np.where(labels > 0, 45.0, -80.0)
    write_nifti(folder.ct, Volume(hu.astype(np.int16), GRID), "ct")
    write_nifti(folder.pet, Volume(np.ones(GRID.shape, np.float32), GRID), "pet")
    write_segmentation(Segmentation(LabelMap(labels, GRID), "ct", vessels, {}, {"method": "auto"}, ()), folder)
    return root


@pytest.fixture
def visit(tmp_path):
    return made(tmp_path / "V1")


@pytest.fixture
def other(tmp_path):
    return made(tmp_path / "V2", (-14.0, 13.0))


@pytest.fixture
def pack(tmp_path, visit, other):
    write_pack([visit, other], tmp_path / "pack")
    return tmp_path / "pack"


def accept(folder, name="carotid_right"):
    form = folder / DECISIONS
    form.write_text(form.read_text().replace(f"{name}\t\t", f"{name}\taccept\t"))


def save(path, data, grid=GRID):
    write_nifti(path, Volume(data.astype(np.uint8), grid), "saved")


def refusal(visit, edits):
    with pytest.raises(InputRefused) as refused:
        edit_visit(visit, edits)
    return with_names("\n".join(f"{f.what} [{f.remedy}]" for f in refused.value.faults))


def test_a_form_says_what_it_is_of_and_comes_back(visit, pack):
    header, *rows = (pack / "V1" / DECISIONS).read_text().splitlines()
    for row in rows:
        cells = dict(zip(header.split("\t"), row.split("\t"), strict=True))
        assert cells["code"] == "V1"
        assert cells["labels_sha256"] == sha256(visit / "labels.nii.gz")
        assert cells["ct_sha256"] == sha256(visit / "ct.nii.gz")
        assert cells["pet_sha256"] == sha256(visit / "pet.nii.gz")
    accept(pack / "V1")
    edited = edit_visit(visit, pack / "V1").segmentation
    assert not edited.vessels["carotid_right"].withheld
    assert UNBOUND not in edited.warnings


def test_swapped_folders_are_refused_with_both_codes_and_hashes(visit, other, pack):
    accept(pack / "V1"), accept(pack / "V2")
    (pack / "V1").rename(pack / "x")
    (pack / "V2").rename(pack / "V1")
    said = refusal(visit, pack / "V1")
    assert "they are of the visit V2, not of V1" in said
    for name in ("ct.nii.gz", "labels.nii.gz"):
        assert sha256(visit / name) in said
        assert sha256(other / name) in said
    assert "they are of the visit V1, not of V2" in refusal(other, pack / "x")


def test_other_labels_than_those_shown_are_refused(visit, pack):
    accept(pack / "V1")
    shown = sha256(visit / "labels.nii.gz")
    data = read_nifti(visit / "labels.nii.gz").data.copy()
    data[data == label("svc")] = 0
    save(visit / "labels.nii.gz", data)
    said = refusal(visit, pack / "V1")
    assert "the labels as found" in said
    assert shown in said
    assert sha256(visit / "labels.nii.gz") in said


def test_a_form_stays_good_after_it_was_applied_and_a_pack_shows_the_labels_as_found(tmp_path, visit, pack):
    accept(pack / "V1")
    write_edited(edit_visit(visit, pack / "V1"), VisitFolder(visit))
    assert not edit_visit(visit, pack / "V1").segmentation.vessels["carotid_right"].withheld
    write_pack([visit], tmp_path / "again")
    form = (tmp_path / "again" / "V1" / DECISIONS).read_text()
    assert form == (pack / "V1" / DECISIONS).read_text().replace("\taccept\t", "\t\t")


def test_rows_of_two_forms_in_one_are_refused(visit, pack):
    form = pack / "V1" / DECISIONS
    form.write_text(form.read_text() + (pack / "V2" / DECISIONS).read_text().splitlines()[1].replace("carot", "jugul"))
    assert "several values of code: V1, V2" in refusal(visit, pack / "V1")


def test_a_form_of_an_earlier_version_is_bound_by_the_images_beside_it(visit, other, pack):
    for name in ("V1", "V2"):
        (pack / name / DECISIONS).write_text("vessel\tdecision\twords\ncarotid_right\taccept\t\n")
    assert not edit_visit(visit, pack / "V1").segmentation.vessels["carotid_right"].withheld
    said = refusal(visit, pack / "V2")
    assert sha256(visit / "ct.nii.gz") in said
    assert sha256(other / "ct.nii.gz") in said
    data = read_nifti(visit / "labels.nii.gz").data.copy()
    data[tube("carotid_right", (2.0, 0.0))] = label("carotid_right")
    save(pack / "V1" / "images" / "labels.nii.gz", data)
    said = refusal(visit, pack / "V1")
    assert "does not say which" in said
    assert "write a new pack" in said


def test_what_a_reader_wrote_without_a_pack_is_taken_and_told_to_be_unbound(tmp_path, visit):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / DECISIONS).write_text("vessel\tdecision\twords\ncarotid_right\taccept\t\n")
    edited = edit_visit(visit, tmp_path / "mine").segmentation
    assert not edited.vessels["carotid_right"].withheld
    assert UNBOUND in edited.warnings


def test_a_folder_named_after_a_visit_is_of_that_visit(tmp_path, visit):
    root = tmp_path / "V0123456789"
    visit.rename(root)
    for code in ("V0123456789", "V9876543210"):
        folder = tmp_path / "edits" / code
        folder.mkdir(parents=True)
        (folder / DECISIONS).write_text("vessel\tdecision\twords\ncarotid_right\taccept\t\n")
    assert UNBOUND not in edit_visit(root, tmp_path / "edits" / "V0123456789").segmentation.warnings
    said = refusal(root, tmp_path / "edits" / "V9876543210")
    assert "V9876543210" in said
    assert "V0123456789" in said


def test_a_map_saved_over_the_packs_own_is_the_redrawn_one(visit, pack):
    own = pack / "V1" / "images" / "labels.nii.gz"
    data = read_nifti(own).data.copy()
    data[data == label("carotid_left")] = 0
    data[tube("carotid_left", (3.0, 0.0))] = label("carotid_left")
    save(own, data)
    edited = edit_visit(visit, pack / "V1").segmentation
    np.testing.assert_array_equal(edited.labels.data, data)
    assert SAVED_OVER in edited.warnings
    assert "edited by a reader" in edited.vessels["carotid_left"].method
    # What was saved along untouched is neither redrawn nor accepted.
    assert edited.vessels["carotid_right"].withheld
    assert edited.vessels["carotid_right"].method == "proposal"


def test_the_packs_own_map_saved_unchanged_is_no_edit(visit, pack):
    own = pack / "V1" / "images" / "labels.nii.gz"
    before = read_nifti(own)
    save(own, before.data)
    assert sha256(own) != sha256(visit / "labels.nii.gz") or shutil.copyfile(visit / "labels.nii.gz", own)
    edited = edit_visit(visit, pack / "V1").segmentation
    np.testing.assert_array_equal(edited.labels.data, before.data)
    assert all("edited" not in finding.method for finding in edited.vessels.values())


def test_a_vessel_erased_from_the_saved_map_must_be_rejected(visit, pack):
    own = pack / "V1" / "images" / "labels.nii.gz"
    data = read_nifti(own).data.copy()
    data[data == label("svc")] = 0
    save(own, data)
    assert "svc was shown and is not in the saved map" in refusal(visit, pack / "V1")
    form = pack / "V1" / DECISIONS
    form.write_text(form.read_text().replace("svc\t\t\t", "svc\treject\tno cava\t"))
    assert edit_visit(visit, pack / "V1").segmentation.vessels["svc"].withheld


@pytest.mark.parametrize("name", ["mine.nii.gz", "carotid_left.mrk.json", "points.csv"])
def test_what_was_saved_among_the_images_is_not_lost(visit, pack, name):
    (pack / "V1" / "images" / name).write_bytes((visit / "labels.nii.gz").read_bytes() if ".nii" in name else b"{}")
    assert f"{name} was saved among the pack's images" in refusal(visit, pack / "V1")


def test_two_drawings_are_one_too_many(visit, pack):
    data = read_nifti(visit / "labels.nii.gz").data.copy()
    data[tube("carotid_left", (3.0, 0.0))] = label("carotid_left")
    save(pack / "V1" / "images" / "labels.nii.gz", data)
    save(pack / "V1" / "redrawn.nii.gz", data)
    assert "several files of regions" in refusal(visit, pack / "V1")


@pytest.mark.parametrize("place", ["redrawn.nii.gz", "images/labels.nii.gz"])
@pytest.mark.parametrize(
    ("axes", "words"), [((0,), "right to left"), ((1,), "front to back"), ((2,), "head to foot"), ((0, 1), "and")]
)
def test_a_flipped_map_is_refused_as_flipped(visit, pack, place, axes, words):
    save(pack / "V1" / place, np.flip(read_nifti(visit / "labels.nii.gz").data, axes))
    said = refusal(visit, pack / "V1")
    assert "the map is flipped" in said
    assert words in said


def test_a_flipped_header_is_named(visit, pack):
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ GRID.affine
    save(pack / "V1" / "redrawn.nii.gz", read_nifti(visit / "labels.nii.gz").data, Grid(GRID.shape, affine))
    said = refusal(visit, pack / "V1")
    assert "with the sign of x and y changed (RAS written as LPS, or the other way): its header is flipped" in said


def test_axes_in_another_order_are_no_flip(visit, pack):
    data = read_nifti(visit / "labels.nii.gz").data.copy()
    data[data == label("carotid_left")] = 0
    data[tube("carotid_left", (3.0, 0.0))] = label("carotid_left")
    affine = GRID.affine.copy()
    affine[:3, 3] += affine[:3, 0] * (GRID.shape[0] - 1)
    affine[:3, 0] *= -1
    save(pack / "V1" / "redrawn.nii.gz", data[::-1], Grid(GRID.shape, affine))
    np.testing.assert_array_equal(edit_visit(visit, pack / "V1").segmentation.labels.data, data)


def test_another_visits_map_is_refused(visit, other, pack):
    for place in ("redrawn.nii.gz", "images/labels.nii.gz"):
        path = pack / "V1" / place
        shutil.copyfile(other / "labels.nii.gz", path)
        assert "it looks like another visit's map" in refusal(visit, pack / "V1")
        path.unlink()


def test_vessels_numbered_anew_are_refused_and_exchanged_sides_keep_their_words(visit, pack):
    data = read_nifti(visit / "labels.nii.gz").data
    table = np.zeros(256, np.uint8)
    table[[label("carotid_right"), label("carotid_left"), label("svc")]] = 1, 2, 3
    save(pack / "V1" / "redrawn.nii.gz", table[data])
    assert "under other numbers" in refusal(visit, pack / "V1")
    table = np.arange(256, dtype=np.uint8)
    table[[label("carotid_right"), label("carotid_left")]] = label("carotid_left"), label("carotid_right")
    save(pack / "V1" / "redrawn.nii.gz", table[data])
    assert "or their names swapped" in refusal(visit, pack / "V1")


def test_every_vessel_redrawn_from_scratch_is_taken(visit, pack):
    data = np.zeros(GRID.shape, np.uint8)
    for name in PLACES:
        data[tube(name, (2.0, -1.5))] = label(name)
    save(pack / "V1" / "redrawn.nii.gz", data)
    np.testing.assert_array_equal(edit_visit(visit, pack / "V1").segmentation.labels.data, data)


def test_points_in_a_bound_folder_are_taken(visit, pack):
    x, y, low = PLACES["carotid_left"]
    points = {"carotid_left": [[-x, -y, low + z] for z in (0.0, 15.0, 30.0, 44.0)]}
    (pack / "V1" / "points.json").write_text(json.dumps(points))
    edited = edit_visit(visit, pack / "V1").segmentation
    assert re.search("seeds, edited by a reader", edited.vessels["carotid_left"].method)
    assert UNBOUND not in edited.warnings
