import json

import numpy as np
import pydicom
import pytest
from typer.testing import CliRunner
from writers import write_series

import phantoms
from petflame.anatomy import BY_NAME
from petflame.console import Console
from petflame.errors import InputRefused
from petflame.files import write_nifti
from petflame.folders import VisitFolder
from petflame.segment.exports import CODINGS, export_labels
from petflame.segment.imports import import_segmentation
from petflame.segment.labelmaps import describe
from petflame.segment.product import write_segmentation
from petflame.space.grid import Grid, Volume
from petflame.steps import step

GRID = Grid((48, 41, 33), np.array([[-3.0, 0, 0, 71], [0, -3.0, 0, 60], [0, 0, 5.0, 0], [0, 0, 0, 1]]))


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    return write_series(tmp_path_factory.mktemp("scan"), GRID)


@pytest.fixture
def visit(tmp_path):
    labels = phantoms.label_map(GRID)
    labels.data[:3, :3, 20] = BY_NAME["lymph_node"].label
    folder = VisitFolder(tmp_path / "V1")
    folder.root.mkdir()
    write_nifti(folder.pet, Volume(np.zeros(GRID.shape, np.float32), GRID))
    landmarks = {"carotid_bifurcation_left": (1.0, 2.0, 3.0)}
    with step("segment", folder.root, False, Console()):
        write_segmentation(describe(labels, "ct", "labels", landmarks, {"method": "labels"}), folder)
    return folder


def test_every_region_has_a_code_that_dicom_lists():
    from pydicom.sr._concepts_dict import concepts

    listed = {code for entry in concepts["SCT"].values() for code in entry}
    assert set(CODINGS) == set(BY_NAME)
    codes = {c.code for n, c in CODINGS.items() if n != "myocardium"} | {"24028007", "7771000", "91723000", "260787004"}
    assert codes <= listed
    for name, coding in CODINGS.items():
        side = {"right": "Right", "left": "Left"}.get(name.rsplit("_", 1)[-1])
        assert (coding.side[1] if coding.side else None) == side


def test_a_dicom_segmentation_comes_back_voxel_for_voxel_and_says_what_it_is(tmp_path, scan, visit):
    out = tmp_path / "vessels.dcm"
    assert any("identity" in w for w in export_labels(visit.root, out, scan))
    found = import_segmentation(out, {"ct": GRID})
    expected = phantoms.label_map(GRID).data
    expected[:3, :3, 20] = BY_NAME["lymph_node"].label
    assert (found.labels.data == expected).all()
    made = pydicom.dcmread(out)
    left = next(s for s in made.SegmentSequence if s.SegmentLabel == "carotid_left")
    kind = left.SegmentedPropertyTypeCodeSequence[0]
    assert (kind.CodeValue, kind.CodingSchemeDesignator) == ("69105007", "SCT")
    assert kind.SegmentedPropertyTypeModifierCodeSequence[0].CodeValue == "7771000"
    assert left.SegmentAlgorithmType == "MANUAL"
    first = pydicom.dcmread(scan / "000.dcm")
    assert made.FrameOfReferenceUID == first.FrameOfReferenceUID
    assert made.ReferencedSeriesSequence[0].SeriesInstanceUID == first.SeriesInstanceUID


def test_the_codes_alone_tell_the_region(tmp_path, scan, visit):
    out = tmp_path / "vessels.dcm"
    export_labels(visit.root, out, scan)
    made = pydicom.dcmread(out)
    for segment in made.SegmentSequence:
        segment.SegmentLabel = "x"
    made.save_as(out)
    found = import_segmentation(out, {"ct": GRID})
    assert (found.labels.data[found.labels.data != 0] > 0).all()
    assert {int(n) for n in np.unique(found.labels.data)} == {0, 1, 3, 4, 5, 6, 7, 8, 13}


def test_the_same_input_gives_the_same_bytes(tmp_path, scan, visit):
    for name in ("a.dcm", "b.dcm"):
        export_labels(visit.root, tmp_path / name, scan)
    assert (tmp_path / "a.dcm").read_bytes() == (tmp_path / "b.dcm").read_bytes()


def test_labels_in_another_axis_order_land_on_the_same_places(tmp_path, scan, visit):
    turned = phantoms.transformed(phantoms.label_map(GRID), (2, 0, 1), (True, False, True))
    write_segmentation(describe(turned, "ct", "labels", {}, {}), visit)
    export_labels(visit.root, tmp_path / "a.dcm", scan)
    assert (import_segmentation(tmp_path / "a.dcm", {"ct": turned.grid}).labels.data == turned.data).all()


def test_a_nifti_copy_brings_its_names(tmp_path, visit):
    out = tmp_path / "copy.nii.gz"
    export_labels(visit.root, out)
    assert json.loads((tmp_path / "copy.json").read_text())["labels"]["5"] == "carotid_left"
    found = import_segmentation(out, {"ct": GRID})
    assert (found.labels.data == 5).sum() == (phantoms.label_map(GRID).data == 5).sum()
    assert found.landmarks_lps_mm == {"carotid_bifurcation_left": (1.0, 2.0, 3.0)}


def test_what_cannot_be_written_is_refused(tmp_path, scan, visit):
    with pytest.raises(InputRefused, match="--dicom-dir"):
        export_labels(visit.root, tmp_path / "a.dcm")
    with pytest.raises(InputRefused, match="outside the visit folder"):
        export_labels(visit.root, visit.root / "a.dcm", scan)
    with pytest.raises(InputRefused, match="own label map"):
        export_labels(visit.root, visit.labels)
    with pytest.raises(InputRefused, match="petflame segment"):
        export_labels(tmp_path, tmp_path / "a.dcm", scan)
    other = write_series(tmp_path / "other", Grid((48, 41, 5), GRID.affine))
    with pytest.raises(InputRefused, match="48 x 41 x 5 voxels"):
        export_labels(visit.root, tmp_path / "a.dcm", other)


def test_the_verb_writes_it(tmp_path, scan, visit):
    from importlib import import_module

    from petflame.cli import app

    import_module("petflame.cli.export")

    arguments = ["export", str(visit.root), "--out", str(tmp_path / "v.dcm"), "--dicom-dir", str(scan)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "v.dcm").exists()
