"""Broken series that other readers take: each is right here, or refused by name; never silently wrong."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, RLELossless

from dicom.synthetic import CT_SHAPE, PET_SHAPE, ct_series, expected_suv, pet_series, stored, study, write
from petflame.errors import InputRefused

FINE = (12, 8, 10)


def refused(convert, source, *words: str) -> str:
    with pytest.raises(InputRefused) as error:
        convert(source, "refused")
    for word in words:
        assert word in str(error.value), str(error.value)
    assert not any((source.parent / "out" / "refused").glob("*"))
    return str(error.value)


def right(convert, source, shape=PET_SHAPE) -> None:
    np.testing.assert_allclose(convert(source).data(), expected_suv(shape), rtol=1e-6)


def test_first_slice_with_slope_one(convert, tmp_path):
    pet = pet_series()
    pet[0].RescaleSlope = "1"
    data = convert(study(tmp_path / "in", pet)).data()
    np.testing.assert_allclose(data[:, :, 1:], expected_suv()[:, :, 1:], rtol=1e-6)
    np.testing.assert_allclose(data[:, :, 0], expected_suv()[:, :, 0] / 0.5, rtol=1e-6)


@pytest.mark.parametrize("gone", [1, 3, [2, 3]])
def test_missing_slices(convert, tmp_path, gone):
    pet = pet_series(FINE, NumberOfSlices=None)
    for k in sorted(np.atleast_1d(gone), reverse=True):
        del pet[k]
    refused(convert, study(tmp_path / "in", pet), "missing", "a gap of")


@pytest.mark.parametrize("gone", [0, -1])
def test_missing_end_slice(convert, tmp_path, gone):
    pet = pet_series()
    del pet[gone]
    refused(convert, study(tmp_path / "in", pet), "NumberOfSlices", "says 6")


def test_missing_end_slice_with_a_reason(convert, tmp_path):
    table = tmp_path / "overrides.tsv"
    table.write_text("key\tvalue\treason\twho\nnumber_of_slices\t5\tcropped by the archive\treader A\n")
    visit = convert(study(tmp_path / "in", pet_series()[:-1]), overrides=table)
    np.testing.assert_allclose(visit.data(), expected_suv()[:, :, :5], rtol=1e-6)
    assert visit.json()["overrides"] == [
        {"key": "number_of_slices", "value": 5.0, "reason": "cropped by the archive", "who": "reader A"}
    ]


def test_more_slices_than_told(convert, tmp_path):
    visit = convert(study(tmp_path / "in", pet_series(NumberOfSlices=3)))
    assert "NumberOfSlices says 3" in visit.warnings[0]


def test_duplicate_position_with_other_pixels(convert, tmp_path):
    pet = pet_series()
    twin = copy.deepcopy(pet[2])
    twin.SOPInstanceUID += ".9"
    twin.PixelData = pet[3].PixelData
    refused(convert, study(tmp_path / "in", [*pet, twin]), "more than one image lies at one position")


def test_same_image_twice(convert, tmp_path):
    pet = pet_series()
    twin = copy.deepcopy(pet[2])
    again = copy.deepcopy(pet[3])
    again.SOPInstanceUID += ".9"
    source = study(tmp_path / "in", [*pet, twin, again])
    right(convert, source)
    assert convert(source).json()["duplicates_dropped"] == 2


def test_one_uid_at_two_places(convert, tmp_path):
    pet = pet_series()
    pet[3].SOPInstanceUID = pet[2].SOPInstanceUID
    refused(convert, study(tmp_path / "in", pet), "share one SOPInstanceUID")


@pytest.mark.parametrize("how", ["rle", "decimals"])
def test_one_image_stored_twice_in_another_form_is_one_image(convert, tmp_path, how):
    pet = pet_series()
    again = copy.deepcopy(pet)
    for ds in again:
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        if how == "rle":
            ds.compress(RLELossless, generate_instance_uid=False)
        else:
            ds.RescaleSlope, ds.AcquisitionTime = f"{float(ds.RescaleSlope):.8f}", "110000.00"
    source = study(tmp_path / "in", pet)
    for n, ds in enumerate(again):
        ds.save_as(source / f"again{n}.dcm", enforce_file_format=True)
    right(convert, source)
    visit = convert(source)
    assert visit.json()["duplicates_dropped"] == 6
    assert visit.warnings == [
        "6 images of PT series 4 (12 images) are stored a second time with the same values; one of each was used"
    ]


@pytest.mark.parametrize(
    ("changes", "what"),
    [({"RescaleSlope": "0.9"}, "rescale slope"), ({"AcquisitionTime": "120000"}, "acquisition time")],
)
def test_one_uid_with_two_contents_is_refused_for_what_differs(convert, tmp_path, changes, what):
    pet = pet_series()
    twin = copy.deepcopy(pet[2])
    for keyword, value in changes.items():
        setattr(twin, keyword, value)
    told = refused(convert, study(tmp_path / "in", [*pet, twin]), "share one SOPInstanceUID", f"differ in {what}")
    assert "dynamic" not in told


@pytest.mark.parametrize("own_uid", [True, False])
@pytest.mark.parametrize(
    ("keyword", "value", "what"),
    [
        ("PatientWeight", "81.5", "weight"),
        ("DecayCorrection", "ADMIN", "decay correction"),
        ("RadionuclideTotalDose", "250000000", "dose"),
        ("RadionuclideHalfLife", "6000", "half-life"),
        ("RadiopharmaceuticalStartTime", "093000", "injection time"),
        ("ActualFrameDuration", "90000", "frame duration"),
        ("DecayFactor", "1.7", "decay factor"),
    ],
)
def test_two_copies_with_unlike_values_for_suv_are_refused(convert, tmp_path, keyword, value, what, own_uid):
    """Which of them is right no file name tells."""
    pet = pet_series()
    again = copy.deepcopy(pet)
    for ds in again:
        agent = ds.RadiopharmaceuticalInformationSequence[0]
        setattr(agent if keyword.startswith("Radio") else ds, keyword, value)
        ds.SOPInstanceUID += ".1" if own_uid else ""
    refused(convert, study(tmp_path / "in", [*again, *pet]), f"differ in {what}", "6 times")


def test_two_versions_of_one_image_are_not_called_dynamic(convert, tmp_path):
    pet = pet_series()
    twins = copy.deepcopy(pet)
    for n, ds in enumerate(twins):
        ds.SOPInstanceUID, ds.RescaleSlope = f"2.25.99.{n}", "0.7"
    told = refused(convert, study(tmp_path / "in", [*pet, *twins]), "two versions of one", "rescale slope", "6 times")
    assert "dynamic" not in told


def test_two_frames(convert, tmp_path):
    frames = pet_series(SeriesType=["DYNAMIC", "IMAGE"])
    later = pet_series(SeriesType=["DYNAMIC", "IMAGE"], AcquisitionTime="110300", FrameReferenceTime="270000")
    for n, ds in enumerate(later):
        ds.SOPInstanceUID = f"2.25.99.{n}"
    refused(convert, study(tmp_path / "in", frames + later), "dynamic")


def test_a_gated_pet_is_refused(convert, tmp_path):
    refused(convert, study(tmp_path / "in", pet_series(SeriesType=["GATED", "IMAGE"])), "gated")


def test_two_series_in_a_folder(convert, tmp_path):
    other = pet_series(number=5, uid="2.25.4711.5", ReconstructionMethod="OSEM")
    write(other, tmp_path / "in" / "pet", "X{}".format)
    told = refused(convert, study(tmp_path / "in"), "conversion.pet_series", "OSEM", "PSF+TOF")
    assert "CANARY" not in told
    data = convert(tmp_path / "in", rules={"pet_series": "4"}).data()
    np.testing.assert_allclose(data, expected_suv(), rtol=1e-6)


def test_orientation_noise(convert, tmp_path):
    pet = pet_series()
    for k, ds in enumerate(pet):
        ds.ImageOrientationPatient = [1, 1e-5 * (-1) ** k, 0, 0, 1, 1e-5 * k]
    right(convert, study(tmp_path / "in", pet))


def test_a_tilted_gantry_is_refused(convert, tmp_path):
    tilt = np.radians(15)
    orientation = [1, 0, 0, 0, float(np.cos(tilt)), float(np.sin(tilt))]
    refused(convert, study(tmp_path / "a", pet_series(ImageOrientationPatient=orientation)), "gantry tilt of 15.0")
    refused(convert, study(tmp_path / "b", ct=ct_series(ImageOrientationPatient=orientation)), "CT", "tilt of 15.0")


@pytest.mark.parametrize("keep", [0, 1, 100, 140, 1000, -1, -2, -81])
def test_truncated_file(convert, tmp_path, keep):
    source = study(tmp_path / "in")
    path = source / "pet" / "IM0003.dcm"
    path.write_bytes(path.read_bytes()[:keep])
    refused(convert, source, "pet/IM0003.dcm")


def test_every_truncation_is_seen(convert, tmp_path):
    source = study(tmp_path / "in")
    path = source / "pet" / "IM0005.dcm"
    whole = path.read_bytes()
    for keep in range(130, len(whole), 37):
        path.write_bytes(whole[:keep])
        refused(convert, source, "pet/IM0005.dcm")


@pytest.mark.parametrize(
    ("keyword", "tag"),
    [
        ("PixelSpacing", "PixelSpacing (0028,0030)"),
        ("ImagePositionPatient", "ImagePositionPatient (0020,0032)"),
        ("ImageOrientationPatient", "ImageOrientationPatient (0020,0037)"),
        ("RescaleSlope", "RescaleSlope (0028,1053)"),
        ("RescaleIntercept", "RescaleIntercept (0028,1052)"),
        ("Rows", "Rows (0028,0010)"),
        ("PixelRepresentation", "PixelRepresentation (0028,0103)"),
        ("PixelData", "PixelData (7FE0,0010)"),
    ],
)
def test_missing_geometry_or_scale(convert, tmp_path, keyword, tag):
    pet = pet_series()
    delattr(pet[2], keyword)
    refused(convert, study(tmp_path / "in", pet), tag, "pet/IM0002.dcm")


def test_mixed_matrix(convert, tmp_path):
    pet = pet_series()
    pet[2].Rows, pet[2].Columns = 10, 8
    refused(convert, study(tmp_path / "in", pet), "matrix size", "pet/IM0002.dcm")


def test_a_field_of_view_wider_than_any_scanner(convert, tmp_path):
    """The matrix and the spacing are each possible, and contradict each other."""
    pet = pet_series()
    for image in pet:
        image.PixelSpacing = [90, 90]
    assert pet[0].Rows * 90 < 3000
    convert(study(tmp_path / "in", pet))
    for image in pet:
        image.PixelSpacing = [90, 100]
        image.Columns, image.PixelData = 40, bytes(2 * image.Rows * 40)
    refused(convert, study(tmp_path / "wide", pet), "covers 4000 x", "more than any scanner does")


def test_a_matrix_larger_than_any_scanner_makes_is_refused_for_pet_alone(convert, tmp_path):
    for series, kind in ((pet_series(), "pet"), (ct_series(), "ct")):
        for image in series:
            image.Rows, image.PixelSpacing = 1025, [1, 1]
            image.PixelData = bytes(2 * image.Columns * 1025)
        if kind == "pet":
            refused(convert, study(tmp_path / kind, series), "Rows (0028,0010) = 1025 is beyond 1024")
        else:
            convert(study(tmp_path / kind, pet_series(), series))


def test_mixed_spacing_orientation_and_frame(convert, tmp_path):
    for n, (keyword, value, word) in enumerate(
        [
            ("PixelSpacing", [4, 5.01], "pixel spacing"),
            ("ImageOrientationPatient", [0, 1, 0, 0, 0, -1], "orientation"),
            ("FrameOfReferenceUID", "2.25.8", "frame of reference"),
        ]
    ):
        pet = pet_series()
        setattr(pet[1], keyword, value)
        refused(convert, study(tmp_path / f"in{n}", pet), word)


def test_localizer_in_the_series(convert, tmp_path):
    ct = ct_series()
    scout = copy.deepcopy(ct[0])
    scout.SOPInstanceUID, scout.ImageType = "2.25.77", ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    scout.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
    visit = convert(study(tmp_path / "in", ct=[scout, *ct]))
    want = np.stack([stored(k, CT_SHAPE, 0).T - 1000 for k in range(CT_SHAPE[0])], axis=-1)
    np.testing.assert_array_equal(visit.data("ct.nii.gz"), want)


def test_unflagged_scout_in_the_series(convert, tmp_path):
    ct = ct_series()
    scout = copy.deepcopy(ct[0])
    scout.SOPInstanceUID, scout.ImageOrientationPatient = "2.25.77", [1, 0, 0, 0, 0, -1]
    refused(convert, study(tmp_path / "in", ct=[*ct, scout]), "orientation", "1 of 6")


def test_jitter_is_taken_and_irregular_steps_are_not(convert, tmp_path):
    pet = pet_series()
    for k, shift in enumerate((0, 0.08, -0.07, 0.05, -0.08, 0)):
        x, y, z = pet[k].ImagePositionPatient
        pet[k].ImagePositionPatient = [x, y, float(z) + shift]
    right(convert, study(tmp_path / "a", pet))
    x, y, z = pet[2].ImagePositionPatient
    pet[2].ImagePositionPatient = [x, y, float(z) + 0.5]
    refused(convert, study(tmp_path / "b", pet), "irregular")


def test_slice_pushed_sideways(convert, tmp_path):
    pet = pet_series()
    x, y, z = pet[2].ImagePositionPatient
    pet[2].ImagePositionPatient = [float(x) + 5, y, z]
    refused(convert, study(tmp_path / "in", pet), "sideways")


def test_dimension_bomb(convert, tmp_path):
    refused(convert, study(tmp_path / "a", pet_series(Rows=65535, Columns=65535)), "Rows (0028,0010) = 65535")
    refused(convert, study(tmp_path / "b", pet_series(Rows=4096, Columns=4096)), "its matrix needs 33554432")


def test_intercept_in_pet(convert, tmp_path):
    refused(convert, study(tmp_path / "in", pet_series(RescaleIntercept="-10")), "RescaleIntercept", "6 slices")


@pytest.mark.parametrize("slope", ["0", "-1", "x", "nan", "1e99"])
def test_slopes_that_are_no_scale(convert, tmp_path, slope):
    pet = pet_series()
    pet[1]["RescaleSlope"]._value = slope if slope in ("x", "nan") else pet[1]["RescaleSlope"].value
    if slope not in ("x", "nan"):
        pet[1].RescaleSlope = slope
    refused(convert, study(tmp_path / "in", pet), "RescaleSlope", "IM0001")


def test_two_patients(convert, tmp_path):
    refused(convert, study(tmp_path / "a", ct=ct_series(PatientID="ANOTHER")), "different PatientID")
    pet = pet_series()
    pet[3].PatientID = "ANOTHER"
    refused(convert, study(tmp_path / "b", pet), "PatientID")


def test_ct_in_another_frame_of_reference(convert, tmp_path):
    visit = convert(study(tmp_path / "in", ct=ct_series(FrameOfReferenceUID="2.25.8")))
    assert any("frame of reference" in w for w in visit.warnings)


def test_feet_first_and_decubitus(convert, tmp_path):
    # Feet first: columns run to the patient's right, slices towards the head are read in reverse.
    pet = pet_series(ImageOrientationPatient=[-1, 0, 0, 0, 1, 0], PatientPosition="FFS")
    visit = convert(study(tmp_path / "a", pet))
    np.testing.assert_allclose(visit.data()[:, :, ::-1], expected_suv(), rtol=1e-6)
    np.testing.assert_allclose(visit.image().affine @ [1, 0, 0, 1], [25, 30, -85, 1], atol=1e-6)
    pet = pet_series(ImageOrientationPatient=[0, 1, 0, -1, 0, 0], PatientPosition="HFDR")
    visit = convert(study(tmp_path / "b", pet), "b")
    np.testing.assert_allclose(visit.data(), expected_suv(), rtol=1e-6)
    np.testing.assert_allclose(visit.image().affine @ [1, 2, 0, 1], [20 + 8, 30 - 5, -100, 1], atol=1e-6)


def test_single_image(convert, tmp_path):
    refused(convert, study(tmp_path / "in", pet_series()[:1]), "not a volume")


def test_high_bits_beyond_those_stored(convert, tmp_path):
    ct = ct_series((2, 6, 7), BitsStored=12, HighBit=11, PixelRepresentation=0)
    convert(study(tmp_path / "a", ct=ct))
    image = stored(0, (2, 6, 7), 0).astype(np.uint16)
    image[0, 0] |= 0x8000
    ct[0].PixelData = image.tobytes()
    refused(convert, study(tmp_path / "b", ct=ct), "BitsStored", "ct/IM0000.dcm")


def test_absent_bits(convert, tmp_path):
    source = study(tmp_path / "in")
    path = source / "pet" / "IM0001.dcm"
    path.write_bytes(path.read_bytes().replace(b"\x28\x00\x00\x01US\x02\x00\x10", b"\x28\x00\x00\x01US\x02\x00\x0c"))
    refused(convert, source, "BitsAllocated (0028,0100) is 12")


def test_nothing_there(convert, tmp_path):
    (tmp_path / "empty").mkdir()
    refused(convert, tmp_path / "empty", "no PT series")
    refused(convert, tmp_path / "absent", "does not exist")
    refused(convert, study(tmp_path / "in", pet=[]), "no PT series")


def test_a_fault_of_every_image_is_said_once(convert, tmp_path):
    told = refused(convert, study(tmp_path / "in", pet_series(RescaleSlope=None)), "RescaleSlope", "and 5 more images")
    assert len(told.splitlines()) == 1


def test_patient_id_missing_from_the_ct_is_no_contradiction(convert, tmp_path):
    convert(study(tmp_path / "in", ct=ct_series(PatientID=None)))


def test_declared_dynamic_with_one_frame(convert, tmp_path):
    visit = convert(study(tmp_path / "in", pet_series(SeriesType=["DYNAMIC", "IMAGE"])))
    assert "dynamic" in visit.warnings[0]
