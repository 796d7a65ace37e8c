"""The downloadable reference sets: every one right, or refused by name."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from dicom.synthetic import study
from petflame.errors import InputRefused

pytestmark = pytest.mark.reference

OBJECTS = (
    *("DRO_0_0", "DRO_2_0", "DRO_2_2", "DRO_2_3", "DRO_2_4", "DRO_3_0"),
    *("DRO_3_1", "DRO_3_3", "DRO_3_4", "DRO_4_0", "DRO_4_1", "DRO_5_0"),
)


@pytest.mark.parametrize("name", OBJECTS)
def test_suv_reference_objects(reference, convert, name):
    from nibabel.processing import resample_from_to

    folder = reference("suv_dro") / name
    visit = convert(folder / "PT", tracer="any")
    mask = nib.load(next(folder.rglob("*mask*.nii.gz")))
    inside = visit.data()[resample_from_to(mask, visit.image(), order=0).get_fdata() > 0.5]
    got = (inside.min(), np.median(inside), inside.max())
    want, within = ((0.1894, 0.9848, 3.9770), 5e-4) if name == "DRO_2_3" else ((0.20, 1.00, 4.00), 5e-3)
    np.testing.assert_allclose(got, want, atol=within)


def test_gallium_is_refused_for_fdg(reference, convert):
    with pytest.raises(InputRefused, match="half-life is 4057"):
        convert(reference("suv_dro") / "DRO_5_0" / "PT")


def test_whole_body_ge(reference, convert):
    visit = convert(reference("ge_fdg_wholebody_sts001"))
    document = visit.json()
    assert document["suv_factor"] == pytest.approx(2.429029766e-4, rel=1e-9)
    assert document["uptake_min"] == pytest.approx(45.18, abs=5e-3)
    assert document["rescale_slopes"] == 267
    assert float(visit.data().max()) == pytest.approx(66.52, abs=5e-3)
    assert visit.warnings == []


@pytest.mark.parametrize("name", ["baseline", "followup"])
def test_hybrid_study(reference, convert, name):
    folder = reference("hybrid_acrin001")
    truth = next(v for v in json.loads((folder / "truth.json").read_text())["visits"] if v["name"] == name)
    visit = convert(folder / name)
    document = visit.json()
    assert visit.warnings == []
    assert document["suv_factor"] == pytest.approx(truth["suv_factor"], rel=1e-9)
    assert document["uptake_min"] == pytest.approx(truth["uptake_min"])
    labels = nib.load(folder / f"truth_labels_pet_{name}.nii.gz")
    np.testing.assert_allclose(visit.image().affine, labels.affine, atol=1e-3)
    assert visit.image().shape == labels.shape
    for path in visit.folder.iterdir():
        text = path.read_bytes() if path.suffix == ".json" else visit.image(path.name).header.binaryblock
        for secret in (b"CANARY", b"19010203", b"2.25.", truth["injection"][:10].replace("-", "").encode()):
            assert secret not in text, (path.name, secret)


def first_contour(folder: Path) -> list[np.ndarray]:
    """Contour points of the first region of an RTSTRUCT below the folder; LPS mm."""
    from pydicom import dcmread

    for path in sorted(folder.rglob("*")):
        if path.is_file():
            ds = dcmread(path, force=True, stop_before_pixels=True)
            if ds.get("Modality") == "RTSTRUCT":
                return [
                    np.reshape(c.ContourData, (-1, 3)).astype(float) for c in ds.ROIContourSequence[0].ContourSequence
                ]
    raise AssertionError("no RTSTRUCT")


@pytest.mark.parametrize("name", ["STS_001", "STS_007", "STS_037"])
def test_contours_land_where_the_pet_is_hot(reference, convert, name):
    from skimage.draw import polygon2mask

    folder = reference("paired_sts") / name
    visit = convert(folder)
    assert visit.json()["suv_factor"] == 1.0
    data, to_ijk = visit.data(), np.linalg.inv(visit.image().affine)
    mask = np.zeros(data.shape, bool)
    for points in first_contour(folder / "PET"):
        ijk = (points * [-1, -1, 1]) @ to_ijk[:3, :3].T + to_ijk[:3, 3]
        k = round(float(ijk[:, 2].mean()))
        assert np.abs(ijk[:, 2] - k).max() < 0.1
        mask[:, :, k] ^= polygon2mask(data.shape[:2], ijk[:, :2])
    assert mask.sum() > 50
    assert np.median(data[mask]) > 3 * np.median(data[~mask])
    assert data[mask].max() > 0.9 * np.percentile(data, 99.5)


@pytest.mark.parametrize(
    ("folder", "word"),
    [
        ("ct_tilt", "gantry tilt of 18.5 degrees"),
        ("ct_broken_series/gantrytilting", "gantry tilt of 14.0 degrees"),
        ("ct_broken_series/sliceincrement/002", "tilt of 15.5 degrees"),
        ("ct_broken_series/sliceincrement/002", "missing \\(a gap of"),
        ("ct_broken_series/notavolume", "all its images lie at one position"),
        ("ct_broken_series/slicecount", "no PT series"),
        ("ct_broken_series/sliceorientation", "no PT series"),
        ("ge_pt_jpeg_lossless", "not a volume"),
    ],
)
def test_broken_series_are_refused(reference, convert, folder, word):
    with pytest.raises(InputRefused, match=word):
        convert(reference(folder.split("/")[0]) / Path(*folder.split("/")[1:]))


def test_irregular_ct(reference):
    from petflame.dicom.assemble import assemble
    from petflame.dicom.scan import scan_folder
    from petflame.dicom.series import group_series

    found, _ = group_series(scan_folder(reference("ct_broken_series") / "sliceincrement" / "001").headers)
    stack, faults, _ = assemble(found[0])
    assert stack is None or stack.largest_jitter_mm < 0.1 * stack.grid.spacing_mm[2]
    assert stack is not None or faults


@pytest.mark.parametrize("name", ["GH184.dcm", "GH610.dcm"])
def test_jpeg_lossless_pixels(reference, name):
    from pydicom import dcmread

    from petflame.dicom.pixels import pixel_faults, read_stored
    from petflame.dicom.scan import scan_folder

    folder = reference("ge_pt_jpeg_lossless")
    header = next(h for h in scan_folder(folder).headers if h.name == name)
    assert pixel_faults(header) == []
    np.testing.assert_array_equal(read_stored(header), dcmread(folder / name).pixel_array)


def test_unquantitative_ge_slice_is_named(reference, convert, tmp_path):
    import shutil

    from pydicom import dcmread

    # A second slice at another place makes it a volume; its units and missing attenuation correction remain.
    folder = tmp_path / "in"
    folder.mkdir()
    shutil.copy(reference("ge_pt_jpeg_lossless") / "GH610.dcm", folder / "a")
    ds = dcmread(folder / "a")
    ds.ImagePositionPatient[2] += 3.27
    ds.SOPInstanceUID += ".1"
    ds.save_as(folder / "b")
    with pytest.raises(InputRefused, match="not attenuation corrected"):
        convert(folder)


def test_feet_first_ct(reference):
    from petflame.dicom.assemble import assemble
    from petflame.dicom.convert import read_ct
    from petflame.dicom.scan import scan_folder
    from petflame.dicom.series import group_series

    (series,), _ = group_series(scan_folder(reference("ct_chest_lidc0314")).headers)
    stack, faults, warnings = assemble(series)
    assert (faults, warnings) == ([], [])
    volume = read_ct(stack)
    assert volume.grid.spacing_mm == pytest.approx((0.78, 0.78, 1.0), abs=0.01)
    assert volume.data.shape == (512, 512, 275)
    assert volume.data.min() == -1000
    # Air, lung and soft tissue lie where an intercept of -1000 puts them.
    body = volume.data[128:384, 128:384, 137]
    assert -950 < np.median(body[body < -500]) < -700
    assert 0 < np.median(body[body > -50]) < 80


def test_whole_body_frame_of_a_linked_folder_is_not_entered(reference, convert, tmp_path):
    source = study(tmp_path / "in", ct=[])
    (source / "linked").symlink_to(reference("ct_headneckchest_acrin001"))
    assert convert(source).json("ct.json")["present"] is False
