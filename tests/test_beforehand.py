"""`check` holds labels, seeds and edits against the headers of a visit, and refuses nothing that the workflow takes."""

from __future__ import annotations

import json
import shutil
from contextlib import nullcontext
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from petflame.dicom.convert import convert_visit
from petflame.dicom.inspection import inspect_study
from petflame.dicom.references import read_references
from petflame.errors import InputRefused
from petflame.files import read_tsv
from petflame.intake import check_study
from petflame.privacy import with_names
from petflame.protocol import Protocol
from petflame.segment.exports import export_labels
from petflame.segment.run import segment_visit, visit_grids
from petflame.simulate.trial import simulate_trial

HEADER = "participant_id\tvisit\tdicom_dir\tlabels\tseeds\tedits\n"


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("made")
    simulate_trial(root, 2, "tiny", 11, 1, lambda *_: None)
    return root


@pytest.fixture(scope="module")
def row(made) -> dict[str, str]:
    return read_tsv(made / "visits_with_labels.tsv", text=("participant_id", "visit")).to_dict("records")[0]


@pytest.fixture(scope="module")
def converted(made, row, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("visits") / "visit"
    convert_visit(made / row["dicom_dir"], folder, protocol=Protocol())
    return folder


def check(made, row, tmp_path, dicom=None, **given):
    """Faults and warnings of a study of one visit with the files given."""
    study = tmp_path / "study"
    study.mkdir(parents=True)
    cells = [row["participant_id"], row["visit"], str(dicom or made / row["dicom_dir"])]
    cells += [str(given.get(name, "n/a")) for name in ("labels", "seeds", "edits")]
    (study / "visits.tsv").write_text(HEADER + "\t".join(cells) + "\n")
    report = check_study(study, Protocol(), False, lambda *_: nullcontext(lambda: None))
    faults = [with_names(str(fault)) for fault in report.faults]
    return faults, [with_names(w) for w in report.warnings if "one visit only" not in w], report.later


def resaved(made, row, tmp_path, change):
    image = nib.load(made / row["labels"])
    data, affine = change(np.asarray(image.dataobj).astype(np.uint8), image.affine.copy())
    nib.save(nib.Nifti1Image(data, affine), tmp_path / "map.nii.gz")
    return tmp_path / "map.nii.gz"


def moved(data, affine):
    affine[2, 3] += 7.0
    return data, affine


def turned(data, affine):
    flip = np.diag([1.0, 1.0, -1.0, 1.0])
    flip[2, 3] = data.shape[2] - 1
    return data[:, :, ::-1], affine @ flip


def numbered(data, affine):
    data[data == 4] = 77
    return data, affine


def test_the_grids_and_names_before_conversion_are_those_after_it(made, row, converted):
    before, after = inspect_study(made / row["dicom_dir"], Protocol()), visit_grids_of(converted)
    assert set(before.grids) == set(after) == {"ct", "pet"}
    assert all(before.grids[name].same_as(after[name]) for name in after)
    assert before.references == read_references(converted)


def visit_grids_of(folder):
    from petflame.folders import VisitFolder

    return visit_grids(VisitFolder(folder))


def test_files_that_belong_to_the_visit_have_no_fault_and_what_is_asked_later_is_said(made, row, tmp_path):
    edits = tmp_path / "edits"
    edits.mkdir()
    (edits / "decisions.tsv").write_text("vessel\tdecision\twords\naorta_ascending\taccept\t\nsvc\treject\tmotion\n")
    given = {"labels": made / row["labels"], "seeds": made / row["seeds"], "edits": edits}
    faults, warnings, later = check(made, row, tmp_path, **given)
    assert (faults, warnings) == ([], [])
    assert "asked of the voxels" in later[0]


def test_a_label_map_in_the_column_of_seeds_is_held_as_one(made, row, tmp_path):
    faults, warnings, _ = check(made, row, tmp_path, seeds=made / row["labels"])
    assert (faults, warnings) == ([], [])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda data, affine: (data[:, :, 3:], affine), "which is neither on the CT nor on the PET"),
        (moved, "which is neither on the CT nor on the PET"),
        (lambda data, affine: (data[::-1], affine), "to the patient's left of"),
        (numbered, "label numbers [77] have no name"),
        (lambda data, affine: (np.where(data > 8, data, 0), affine), "no artery and no vein"),
    ],
)
def test_a_label_map_is_refused_as_the_workflow_refuses_it(made, row, converted, tmp_path, change, words):
    path = resaved(made, row, tmp_path, change)
    faults, *_ = check(made, row, tmp_path, labels=path)
    assert len(faults) == 1
    assert words in faults[0]
    with pytest.raises(InputRefused) as later:
        segment_visit(converted, "labels", path)
    assert words in with_names(str(later.value.faults[0]))


@pytest.mark.parametrize(
    "change",
    [
        turned,
        lambda data, affine: (data.transpose(1, 0, 2), affine[:, [1, 0, 2, 3]]),
        lambda data, affine: (np.where(data == 1, 1, 0).astype(np.uint8), affine),
    ],
)
def test_a_label_map_in_another_order_or_of_one_vessel_is_taken_by_both(made, row, converted, tmp_path, change):
    path = resaved(made, row, tmp_path, change)
    assert check(made, row, tmp_path, labels=path)[0] == []
    shutil.copytree(converted, tmp_path / "visit")
    segment_visit(tmp_path / "visit", "labels", path)


def test_seeds_with_exchanged_sides_or_outside_the_ct_are_told(made, row, tmp_path):
    document = json.loads((made / row["seeds"]).read_text())
    sides = {"right": "left", "left": "right"}
    other = {
        f"{name.rsplit('_', 1)[0]}_{sides[name.rsplit('_', 1)[1]]}": points
        for name, points in document.items()
        if name.startswith("carotid_") and "bifurcation" not in name
    }
    (tmp_path / "exchanged.json").write_text(json.dumps(other))
    faults, *_ = check(made, row, tmp_path, seeds=tmp_path / "exchanged.json")
    assert "the labels are mirrored or their names swapped" in faults[0]
    shutil.rmtree(tmp_path / "study")
    away = {"carotid_right": [[x, y, z + 900.0] for x, y, z in document["carotid_right"]]}
    (tmp_path / "away.json").write_text(json.dumps(away))
    faults, warnings, _ = check(made, row, tmp_path, seeds=tmp_path / "away.json")
    assert warnings == []
    count = len(document["carotid_right"])
    assert f"{count} of {count} points lie outside the CT (carotid_right)" in faults[0]


def test_a_finished_read_that_cannot_be_read_is_refused(made, row, tmp_path):
    edits = tmp_path / "V0123456789.read.json"
    edits.write_text('{"format": "petflame-read/1"}')
    faults, *_ = check(made, row, tmp_path, edits=edits)
    assert any("it has no ct_sha256" in fault for fault in faults)


def test_edits_on_another_grid_or_of_vessels_that_nobody_drew_are_refused(made, row, tmp_path):
    alone = resaved(made, row, tmp_path, lambda data, affine: (np.where(data == 1, 1, 0).astype(np.uint8), affine))
    edits = tmp_path / "edits"
    edits.mkdir()
    (edits / "decisions.tsv").write_text("vessel\tdecision\twords\ncarotid_left\taccept\t\n")
    shutil.copy(resaved(made, row, tmp_path / "edits", moved), edits / "redrawn.nii.gz")
    (edits / "map.nii.gz").unlink()
    faults, *_ = check(made, row, tmp_path, labels=alone, edits=edits)
    assert any("carotid_left is accepted and was not found" in fault for fault in faults)
    assert any("neither on the CT nor on the PET" in fault and "redrawn.nii.gz" in fault for fault in faults)


def test_files_of_a_visit_whose_images_are_refused_are_read_alone_and_that_is_said(made, row, tmp_path):
    shutil.copytree(made / row["dicom_dir"], tmp_path / "dicom")
    images = sorted(p for p in (tmp_path / "dicom").rglob("*") if p.is_file())
    images[len(images) // 2].unlink()
    faults, warnings, _ = check(made, row, tmp_path, tmp_path / "dicom", labels=resaved(made, row, tmp_path, moved))
    assert faults
    assert not any("map.nii.gz" in fault for fault in faults)
    assert any("were not held against them" in warning for warning in warnings)


def test_a_segmentation_that_names_other_images_is_doubted_and_one_of_the_visit_is_not(made, row, converted, tmp_path):
    for name in ("own", "other"):
        dicom = made / row["dicom_dir"] if name == "own" else made / row["dicom_dir"].replace("baseline", "followup")
        visit = tmp_path / name
        if name == "own":
            shutil.copytree(converted, visit)
        else:
            convert_visit(dicom, visit, protocol=Protocol())
        labels = row["labels"] if name == "own" else row["labels"].replace("baseline", "followup")
        segment_visit(visit, "labels", made / labels)
        export_labels(visit, tmp_path / f"{name}.dcm", dicom)
    assert check(made, row, tmp_path, labels=tmp_path / "own.dcm")[:2] == ([], [])
    shutil.rmtree(tmp_path / "study")
    faults, warnings, _ = check(made, row, tmp_path, labels=tmp_path / "other.dcm")
    told = [*faults, *warnings]
    assert any("not of this visit" in text or "neither on the CT nor on the PET" in text for text in told)
