"""A pack's form and maps meet the visit and the outlines that were shown, or are refused with the cause."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from petflame.anatomy import BY_NAME
from petflame.dicom.convert import convert_visit
from petflame.errors import InputRefused
from petflame.files import sha256
from petflame.folders import VisitFolder
from petflame.privacy import with_names
from petflame.protocol import Protocol
from petflame.review.pack import write_pack
from petflame.segment.edits import AS_SHOWN, DECISIONS, read_edits
from petflame.segment.run import edit_visit, segment_visit, write_edited
from petflame.simulate.trial import simulate_trial

CODES = ("V0000000001", "V0000000002")


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """Two visits of one person on one grid, segmented by seeds, and a pack of both."""
    root = tmp_path_factory.mktemp("made")
    simulate_trial(root, 2, "tiny", 4, 1, lambda *_: None)
    for code, visit in zip(CODES, ("baseline", "followup"), strict=True):
        convert_visit(root / "dicom" / "SIM0001" / visit, root / "visits" / code, protocol=Protocol())
        segment_visit(root / "visits" / code, "seeds", root / "seeds" / f"SIM0001_{visit}.json")
    write_pack([root / "visits" / code for code in CODES], root / "pack", dicom=True)
    return root


@pytest.fixture
def visit(made, tmp_path) -> Path:
    shutil.copytree(made / "visits" / CODES[0], tmp_path / "visits" / CODES[0])
    shutil.copytree(made / "key", tmp_path / "key")
    return tmp_path / "visits" / CODES[0]


@pytest.fixture
def pack(made, tmp_path) -> Path:
    shutil.copytree(made / "pack", tmp_path / "pack")
    return tmp_path / "pack"


def decide(folder: Path, vessel: str = "carotid_right", columns: tuple[str, ...] = ()) -> Path:
    """Accept a vessel in a pack's form, and leave out columns of it."""
    rows = [line.split("\t") for line in (folder / DECISIONS).read_text().splitlines()]
    kept = [n for n, name in enumerate(rows[0]) if name not in columns]
    for row in rows:
        if row[0] == vessel:
            row[1] = "accept"
    (folder / DECISIONS).write_text("\n".join("\t".join(row[n] for n in kept) for row in rows) + "\n")
    return folder


def refused(visit: Path, edits: Path) -> str:
    with pytest.raises(InputRefused) as error:
        edit_visit(visit, edits)
    return with_names(str(error.value))


def labels_of(visit: Path):
    image = nib.load(visit / "labels.nii.gz")
    return np.asarray(image.dataobj).astype(np.uint8), image.affine


def save(path: Path, data, affine) -> Path:
    nib.save(nib.Nifti1Image(data, affine), path)
    return path


def grown(data, name="carotid_right"):
    """Return labels in which one vessel was redrawn, one voxel wider to its right."""
    number = BY_NAME[name].label
    wider = np.roll(data == number, 1, axis=0) & (data == 0)
    return np.where(wider, number, data).astype(np.uint8)


def test_a_form_of_the_visit_is_taken(visit, pack):
    edited = edit_visit(visit, decide(pack / CODES[0])).segmentation
    assert "accepted by a reader" in edited.vessels["carotid_right"].method
    assert not any("does not say" in w for w in edited.warnings)


def test_swapped_folders_are_refused_with_both_hashes(visit, pack):
    said = refused(visit, decide(pack / CODES[1]))
    assert f"it is of the visit {CODES[1]}, not of {CODES[0]}" in said
    for name in ("ct.nii.gz", "pet.nii.gz", "labels.nii.gz"):
        assert sha256(visit / name) in said
        assert sha256(pack / CODES[1] / "images" / name) in said


def test_a_swapped_form_is_refused_without_the_packs_images_too(visit, pack, tmp_path):
    decide(pack / CODES[1])
    (tmp_path / "alone").mkdir()
    shutil.copy(pack / CODES[1] / DECISIONS, tmp_path / "alone")
    assert f"not of {CODES[0]}" in refused(visit, tmp_path / "alone")


def test_other_labels_than_those_shown_are_refused_with_both_hashes(visit, pack):
    before = sha256(visit / "labels.nii.gz")
    data, affine = labels_of(visit)
    save(visit / "labels.nii.gz", grown(data), affine)
    said = refused(visit, decide(pack / CODES[0]))
    assert before in said
    assert sha256(visit / "labels.nii.gz") in said


def test_a_pack_of_edited_labels_shows_those_that_edits_are_put_on(visit, pack, tmp_path):
    folder = VisitFolder(visit)
    write_edited(edit_visit(visit, decide(pack / CODES[0])), folder)
    write_pack([visit], tmp_path / "again")
    images = tmp_path / "again" / CODES[0] / "images"
    assert sha256(images / "labels.nii.gz") == sha256(folder.labels_found)
    edit_visit(visit, decide(tmp_path / "again" / CODES[0], "carotid_left"))


BOUND = ("code", "ct_sha256", "pet_sha256", "labels_sha256")


def test_a_form_of_an_earlier_version_is_bound_by_the_pack_that_it_lies_in(visit, pack):
    assert (
        "accepted"
        in edit_visit(visit, decide(pack / CODES[0], columns=BOUND)).segmentation.vessels["carotid_right"].method
    )
    said = refused(visit, decide(pack / CODES[1], columns=BOUND))
    assert "it is of another visit" in said
    assert CODES[1] in said


def test_a_form_of_an_earlier_version_that_nothing_binds_is_refused_with_what_to_do(visit, pack, tmp_path):
    decide(pack / CODES[0], columns=BOUND)
    (tmp_path / "mine").mkdir()
    shutil.copy(pack / CODES[0] / DECISIONS, tmp_path / "mine")
    said = refused(visit, tmp_path / "mine")
    assert "add the columns code" in said
    assert CODES[0] in said


def test_a_form_written_by_hand_is_taken_and_told_to_be_unbound(visit, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / DECISIONS).write_text("vessel\tdecision\twords\ncarotid_right\taccept\t\n")
    edited = edit_visit(visit, tmp_path / "mine").segmentation
    assert any("nothing tells whether it lies in the right folder" in w for w in edited.warnings)
    (tmp_path / "mine").rename(tmp_path / CODES[1])
    assert f"it lies in the folder of the visit {CODES[1]}" in refused(visit, tmp_path / CODES[1])


def test_a_form_of_two_visits_is_refused(pack):
    lines = (pack / CODES[0] / DECISIONS).read_text().splitlines()
    lines[-1] = lines[-1].replace(CODES[0], CODES[1])
    (pack / CODES[0] / DECISIONS).write_text("\n".join(lines))
    with pytest.raises(InputRefused, match="of two visits or labels"):
        read_edits(pack / CODES[0])


def test_a_map_saved_over_the_packs_own_is_the_redrawn_one_and_that_is_told(visit, pack):
    data, affine = labels_of(visit)
    save(pack / CODES[0] / "images" / "labels.nii.gz", grown(data), affine)
    edited = edit_visit(visit, pack / CODES[0]).segmentation
    np.testing.assert_array_equal(edited.labels.data, grown(data))
    assert "edited by a reader" in edited.vessels["carotid_right"].method
    assert "edited by a reader" not in edited.vessels["carotid_left"].method
    assert any("was saved over" in w for w in edited.warnings)
    assert any(w.startswith(AS_SHOWN) and "carotid_left" in w for w in edited.warnings)


def test_a_vessel_erased_from_the_saved_map_has_to_be_rejected(visit, pack):
    data, affine = labels_of(visit)
    data[data == BY_NAME["carotid_right"].label] = 0
    save(pack / CODES[0] / "images" / "labels.nii.gz", data, affine)
    assert "carotid_right was erased" in refused(visit, decide(pack / CODES[0], "carotid_left"))


def test_a_drawing_named_by_itself_is_bound_by_the_form_or_the_folder_it_lies_in(visit, pack, tmp_path):
    data, affine = labels_of(visit)
    drawn = save(pack / CODES[1] / "mine.nii.gz", grown(data), affine)
    assert f"it is of the visit {CODES[1]}, not of {CODES[0]}" in refused(visit, drawn)
    (pack / CODES[1] / DECISIONS).unlink()
    assert f"the folder of the visit {CODES[1]}, not of {CODES[0]}" in refused(visit, drawn)
    own = save(pack / CODES[0] / "mine.nii.gz", grown(data), affine)
    assert not any("nothing tells of which visit" in w for w in edit_visit(visit, own).segmentation.warnings)
    loose = save(tmp_path / "mine.nii.gz", grown(data), affine)
    assert any("nothing tells of which visit" in w for w in edit_visit(visit, loose).segmentation.warnings)


def test_dicom_labels_that_were_saved_over_are_the_redrawn_ones(visit, pack):
    import pydicom

    path = pack / CODES[0] / "dicom" / "labels.dcm"
    assert read_edits(decide(pack / CODES[0])).regions is None
    item = pydicom.dcmread(path)
    item.SeriesDescription = "saved by a viewer"
    item.save_as(path)
    edits = read_edits(pack / CODES[0])
    assert edits.regions == path
    assert edits.painted_over
    assert any(
        "dicom/labels.dcm of the pack was saved over" in w
        for w in edit_visit(visit, pack / CODES[0]).segmentation.warnings
    )


def test_a_map_saved_over_an_earlier_packs_own_is_refused_loudly(visit, pack):
    decide(pack / CODES[0], columns=BOUND)
    data, affine = labels_of(visit)
    save(pack / CODES[0] / "images" / "labels.nii.gz", grown(data), affine)
    assert "painted over, or found anew since" in refused(visit, pack / CODES[0])


def test_two_redrawn_maps_are_refused(visit, pack):
    data, affine = labels_of(visit)
    save(pack / CODES[0] / "images" / "labels.nii.gz", grown(data), affine)
    save(pack / CODES[0] / "redrawn.nii.gz", grown(data, "carotid_left"), affine)
    assert "several files of regions" in refused(visit, pack / CODES[0])


def test_what_a_viewer_saved_among_the_images_is_not_lost(visit, pack):
    data, affine = labels_of(visit)
    save(pack / CODES[0] / "images" / "Segmentation.nii.gz", grown(data), affine)
    edited = edit_visit(visit, pack / CODES[0]).segmentation
    np.testing.assert_array_equal(edited.labels.data, grown(data))


def test_an_unchanged_copy_is_no_edit(visit, pack):
    data, affine = labels_of(visit)
    save(pack / CODES[0] / "copy.nii.gz", data, affine)
    edited = edit_visit(visit, pack / CODES[0]).segmentation
    assert not any("edited by a reader" in f.method for f in edited.vessels.values())
    np.testing.assert_array_equal(edited.labels.data, data)


@pytest.mark.parametrize("axes", [(0,), (1,), (2,), (0, 1), (0, 1, 2)])
def test_a_flipped_map_is_refused(visit, pack, axes):
    data, affine = labels_of(visit)
    save(pack / CODES[0] / "redrawn.nii.gz", np.flip(grown(data), axes).copy(), affine)
    said = refused(visit, pack / CODES[0])
    assert any(word in said for word in ("flipped", "mirrored", "upside down", "back to front"))


def test_a_flip_front_to_back_is_told_as_that(visit, pack):
    data, affine = labels_of(visit)
    save(pack / CODES[0] / "redrawn.nii.gz", np.flip(grown(data), 1).copy(), affine)
    assert "the map is flipped back to front" in refused(visit, pack / CODES[0])


def test_the_same_map_in_another_order_of_axes_is_taken(visit, pack):
    data, affine = labels_of(visit)
    flip = np.diag([1.0, -1.0, 1.0, 1.0])
    flip[1, 3] = data.shape[1] - 1
    save(pack / CODES[0] / "redrawn.nii.gz", np.flip(grown(data), 1).copy(), affine @ flip)
    np.testing.assert_array_equal(edit_visit(visit, pack / CODES[0]).segmentation.labels.data, grown(data))


def test_another_grid_and_another_header_are_refused(visit, pack):
    data, affine = labels_of(visit)
    save(pack / CODES[0] / "redrawn.nii.gz", grown(data)[:, :, 1:], affine)
    assert "neither on the CT nor on the PET" in refused(visit, pack / CODES[0])
    save(pack / CODES[0] / "redrawn.nii.gz", grown(data), np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine)
    said = refused(visit, pack / CODES[0])
    assert "RAS and LPS" in said or "flipped" in said


def test_numbers_that_a_tool_counted_anew_are_refused(visit, pack):
    data, affine = labels_of(visit)
    alone = np.where(data == BY_NAME["carotid_left"].label, 1, 0).astype(np.uint8)
    save(pack / CODES[0] / "redrawn.nii.gz", alone, affine)
    assert "its numbers were changed" in refused(visit, pack / CODES[0])


def test_the_map_of_another_visit_is_refused_or_withheld_with_the_cause(visit, pack):
    other, affine = labels_of(pack / CODES[1] / "images")
    mine, _ = labels_of(visit)
    if other.shape != mine.shape:
        pytest.skip("the two visits lie on other grids")
    save(pack / CODES[0] / "redrawn.nii.gz", other, affine)
    try:
        edited = edit_visit(visit, pack / CODES[0]).segmentation
    except InputRefused:
        return
    redrawn = [f for f in edited.vessels.values() if "edited by a reader" in f.method]
    assert all(f.withheld for f in redrawn)


# --- DICOM ----------------------------------------------------------------------------------------------------------


def test_dicom_of_a_pack_tells_nobody_and_the_outlines_come_back_onto_the_same_voxels(visit, pack):
    import pydicom

    dicom = pack / CODES[0] / "dicom"
    files = sorted(dicom.rglob("*.dcm"))
    assert len(files) == len(list((dicom / "ct").iterdir())) + len(list((dicom / "pet").iterdir())) + 1
    for path in files:
        content = path.read_bytes()
        assert b"CANARY" not in content
        header = pydicom.dcmread(path, stop_before_pixels=True)
        assert header.PatientID == CODES[0]
        assert not header.StudyDate
    data, _ = labels_of(visit)
    seen = segment_visit(visit, "labels", dicom / "labels.dcm")
    np.testing.assert_array_equal(seen.labels.data, data)
    assert not seen.doubts


def test_dicom_of_a_pack_holds_the_values_of_the_images(visit, pack):
    import pydicom

    for role, tolerance in (("ct", 0.5), ("pet", 1e-3)):
        image = nib.load(visit / f"{role}.nii.gz")
        for path in sorted((pack / CODES[0] / "dicom" / role).iterdir())[::17]:
            item = pydicom.dcmread(path)
            shown = item.pixel_array * float(item.RescaleSlope) + float(item.RescaleIntercept)
            rows, columns = np.mgrid[0 : item.Rows : 7, 0 : item.Columns : 5]
            across = np.array(item.ImageOrientationPatient, float).reshape(2, 3)
            down_mm, right_mm = map(float, item.PixelSpacing)
            lps = np.array(item.ImagePositionPatient, float)
            lps = lps + columns[..., None] * right_mm * across[0] + rows[..., None] * down_mm * across[1]
            ijk = nib.affines.apply_affine(np.linalg.inv(image.affine), lps * [-1, -1, 1])
            assert np.abs(ijk - np.rint(ijk)).max() < 1e-3
            there = np.asarray(image.dataobj)[tuple(np.rint(ijk).astype(int).reshape(-1, 3).T)]
            np.testing.assert_allclose(shown[rows, columns].ravel(), there, atol=tolerance)
    assert item.Units == "GML"


def test_a_drawing_on_the_pack_of_another_visit_is_refused(visit, pack):
    with pytest.raises(InputRefused, match=f"pack of the visit {CODES[1]}, not of {CODES[0]}"):
        segment_visit(visit, "labels", pack / CODES[1] / "dicom" / "labels.dcm")


def test_dciodvfy_finds_no_error_in_a_packs_dicom(pack):
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy (Debian package dicom3tools) is not installed")
    dicom = pack / CODES[0] / "dicom"
    for path in (dicom / "ct" / "0003.dcm", dicom / "pet" / "0003.dcm", dicom / "labels.dcm"):
        out = subprocess.run(["dciodvfy", "-new", str(path)], capture_output=True, text=True, check=False)
        assert [line for line in (out.stdout + out.stderr).splitlines() if line.startswith("Error")] == []


def test_points_in_a_packs_folder_are_taken(visit, pack, made):
    points = json.loads((made / "seeds" / "SIM0001_baseline.json").read_text())["carotid_right"]
    controls = [{"label": f"F-{n}", "position": [-x, -y, z]} for n, (x, y, z) in enumerate(points, 1)]
    markup = {"markups": [{"type": "Fiducial", "coordinateSystem": "RAS", "controlPoints": controls}]}
    (pack / CODES[0] / "images" / "carotid_right.mrk.json").write_text(json.dumps(markup))
    edited = edit_visit(visit, pack / CODES[0]).segmentation
    assert edited.vessels["carotid_right"].method == "seeds, edited by a reader"


def test_contours_drawn_on_a_packs_dicom_come_back_onto_the_same_voxels(visit, pack):
    import pydicom
    from pydicom.dataset import Dataset
    from pydicom.sequence import Sequence
    from skimage.measure import find_contours

    dicom = pack / CODES[0] / "dicom"
    images = [pydicom.dcmread(path, stop_before_pixels=True) for path in sorted((dicom / "ct").iterdir())]
    data, _ = labels_of(visit)
    number = BY_NAME["carotid_left"].label
    # The pack's images run to the patient's left and back, whatever the order of the file; its SEG says where.
    drawn = pydicom.dcmread(dicom / "labels.dcm")
    wanted = next(s.SegmentNumber for s in drawn.SegmentSequence if s.SegmentLabel == "carotid_left")
    contours = Sequence()
    for frame, group in zip(drawn.pixel_array, drawn.PerFrameFunctionalGroupsSequence, strict=True):
        if group.SegmentIdentificationSequence[0].ReferencedSegmentNumber != wanted:
            continue
        corner = np.array(group.PlanePositionSequence[0].ImagePositionPatient, float)
        image = min(images, key=lambda i: abs(float(i.ImagePositionPatient[2]) - corner[2]))
        down, right = map(float, image.PixelSpacing)
        for line in find_contours(np.pad(frame, 1).astype(float), 0.5):
            rows, columns = (line - 1).T
            item = Dataset()
            item.ContourGeometricType, item.NumberOfContourPoints = "CLOSED_PLANAR", len(line)
            places = np.column_stack(
                [corner[0] + columns * right, corner[1] + rows * down, np.full(len(line), corner[2])]
            )
            item.ContourData = [f"{v:.3f}" for v in places.ravel()]
            named = Dataset()
            named.ReferencedSOPClassUID, named.ReferencedSOPInstanceUID = image.SOPClassUID, image.SOPInstanceUID
            item.ContourImageSequence = Sequence([named])
            contours.append(item)
    structure, roi, region = Dataset(), Dataset(), Dataset()
    structure.SOPClassUID, structure.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.481.3", "2.25.1"
    structure.Modality, structure.PatientID = "RTSTRUCT", images[0].PatientID
    structure.StudyInstanceUID, structure.FrameOfReferenceUID = (
        images[0].StudyInstanceUID,
        images[0].FrameOfReferenceUID,
    )
    roi.ROINumber, roi.ROIName, roi.ReferencedFrameOfReferenceUID = 1, "carotid_left", images[0].FrameOfReferenceUID
    region.ReferencedROINumber, region.ContourSequence = 1, contours
    structure.StructureSetROISequence, structure.ROIContourSequence = Sequence([roi]), Sequence([region])
    structure.file_meta = pydicom.dataset.FileMetaDataset()
    structure.file_meta.MediaStorageSOPClassUID = structure.SOPClassUID
    structure.file_meta.MediaStorageSOPInstanceUID = structure.SOPInstanceUID
    structure.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    pydicom.dcmwrite(pack / "left.dcm", structure, enforce_file_format=True)
    seen = segment_visit(visit, "labels", pack / "left.dcm")
    np.testing.assert_array_equal(seen.labels.data == number, data == number)
    assert not seen.doubts


def test_check_refuses_no_drawing_on_a_pack(made, pack, tmp_path):
    from petflame.dicom.inspection import inspect_study
    from petflame.segment.beforehand import check_readers_files

    report = inspect_study(made / "dicom" / "SIM0001" / "baseline", Protocol())
    drawn = pack / CODES[0] / "dicom" / "labels.dcm"
    found = check_readers_files(drawn, None, None, report.grids, report.references)
    assert not found.faults
    assert not found.doubts
