"""Which series is taken, and the reason for each that is not."""

from __future__ import annotations

import copy
from datetime import date

import numpy as np
import pytest
from pydicom.uid import EnhancedPETImageStorage, SecondaryCaptureImageStorage

from dicom.synthetic import ct_series, expected_suv, pet_series, study, write
from petflame.dicom import listing
from petflame.dicom.inspection import find_studies, inspect_study
from petflame.errors import InputRefused
from petflame.protocol import Protocol


def reasons(visit) -> dict[int, str]:
    return {row["series_number"]: row["reason"] for row in visit.json()["series"]}


def series(number: int, kind=pet_series, **changes):
    return kind(number=number, uid=f"2.25.4711.{number}", **changes)


def test_a_study_as_archives_export_it(convert, tmp_path):
    root = study(tmp_path / "in")
    scout = series(1, ct_series, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    mip = series(11, ImageType=["DERIVED", "SECONDARY", "MIP"])
    uncorrected = series(12, CorrectedImage=["DECY", "SCAT"])
    report = series(13, ct_series, SOPClassUID=SecondaryCaptureImageStorage, Modality="CT")[:1]
    derived = series(14, ct_series, ImageType=["DERIVED", "SECONDARY", "AXIAL"])
    elsewhere = series(15, ct_series, FrameOfReferenceUID="2.25.3")
    enhanced = series(16, SOPClassUID=EnhancedPETImageStorage)
    counts = series(17, Units="PROPCPS")
    for n, datasets in enumerate((scout, mip, uncorrected, report, derived, elsewhere, enhanced, counts)):
        write(datasets, root / f"S{n}" / "DEEP", "I{}".format)
    visit = convert(root)
    np.testing.assert_allclose(visit.data(), expected_suv(), rtol=1e-6)
    told = reasons(visit)
    for number, word in {
        1: "localizer",
        2: "preferred by rule",
        4: "the only PT series",
        11: "mip",
        12: "not attenuation corrected",
        13: "Secondary Capture",
        14: "derived",
        15: "frame of reference",
        16: "Enhanced PET",
        17: "PROPCPS are not quantitative",
    }.items():
        assert word in told[number], (number, told[number])


def test_only_an_unusable_pet(convert, tmp_path):
    for n, (changes, word) in enumerate(
        [
            ({"CorrectedImage": ["DECY"]}, "not attenuation corrected"),
            ({"CorrectedImage": None, "AttenuationCorrectionMethod": "NONE, 0.0"}, "not attenuation corrected"),
            ({"Units": "PROPCNTS"}, "PROPCNTS are not quantitative"),
            ({"Units": "CNTS"}, "Philips scale factors"),
            ({"SOPClassUID": EnhancedPETImageStorage}, "Enhanced PET"),
            ({"SeriesType": ["STATIC", "REPROJECTION"]}, "reprojection"),
            ({"CorrectedImage": None}, "do not say whether"),
        ]
    ):
        with pytest.raises(InputRefused, match=word):
            convert(study(tmp_path / str(n), pet_series(**changes)))


def test_philips_counts(convert, tmp_path):
    pet = pet_series(Units="CNTS", Manufacturer="Philips Medical Systems")
    for ds in pet:
        ds.private_block(0x7053, "Philips PET Private Group", create=True).add_new(0x00, "DS", "0.000551")
    visit = convert(study(tmp_path / "in", pet))
    np.testing.assert_allclose(visit.data(), expected_suv(factor=0.000551), rtol=1e-6)
    assert visit.json()["suv_factor"] == 0.000551
    assert "counts" in visit.json()["suv_factor_meaning"]


def test_several_reconstructions_are_ambiguous_until_named(convert, tmp_path):
    root = study(tmp_path / "in")
    write(series(7, SeriesDescription="PET OSEM", ReconstructionMethod="OSEM"), root / "osem")
    with pytest.raises(InputRefused, match=r"2 PT series.*set `conversion.pet_series`"):
        convert(root)
    for wanted in ("7", "pet osem", "*OSEM", "2.25.4711.7"):
        visit = convert(root, rules={"pet_series": wanted})
        assert visit.json()["reconstruction_method"] == "OSEM"
        assert reasons(visit)[4] == "the protocol's conversion.pet_series names another"
    with pytest.raises(InputRefused, match="pet_series names no PT series"):
        convert(root, rules={"pet_series": "PET LUNG"})
    with pytest.raises(InputRefused, match="2 PT series"):
        convert(root, rules={"pet_series": "PET*"})


def test_copy_in_suv_units_gives_way(convert, tmp_path):
    root = study(tmp_path / "in")
    write(series(7, Units="GML"), root / "suv")
    visit = convert(root)
    assert visit.json()["units"] == "BQML"
    assert "copy in other units" in reasons(visit)[7]


def test_original_before_derived(convert, tmp_path):
    root = study(tmp_path / "in")
    write(series(7, ImageType=["DERIVED", "SECONDARY"]), root / "derived")
    assert "derived" in reasons(convert(root))[7]


def test_several_cts(convert, tmp_path):
    root = study(tmp_path / "in")
    write(series(3, ct_series, SeriesDescription="CT LUNG", ConvolutionKernel="B70f"), root / "lung")
    with pytest.raises(InputRefused, match=r"2 CT series.*B30f.*B70f.*conversion.ct_series"):
        convert(root)
    assert convert(root, rules={"ct_series": "ct lung"}).json("ct.json")["convolution_kernel"] == "B70f"
    assert convert(root, rules={"ct_series": "none"}).json("ct.json")["present"] is False


def test_slices_of_the_ct_keep_the_numbers_that_a_viewer_shows(convert, tmp_path):
    slices = sorted(ct_series(), key=lambda ds: ds.ImagePositionPatient[2])
    for n, ds in enumerate(slices):
        ds.InstanceNumber = 100 - n
    visit = convert(study(tmp_path / "in", ct=slices))
    affine, numbers = visit.image("ct.nii.gz").affine, visit.json("ct.json")["image_numbers"]
    upwards = numbers if affine[2, 2] > 0 else numbers[::-1]
    assert upwards == [ds.InstanceNumber for ds in slices]
    slices[1].InstanceNumber = 100
    assert convert(study(tmp_path / "twice", ct=slices), "twice").json("ct.json")["image_numbers"] is None


def test_the_choice_does_not_depend_on_file_names(convert, tmp_path):
    other = series(7, ImageType=["DERIVED", "SECONDARY"])
    for n, order in enumerate(([*pet_series(), *other], [*other, *pet_series()])):
        write(copy.deepcopy(order), tmp_path / str(n), "{:03d}".format)
        np.testing.assert_allclose(convert(tmp_path / str(n)).data(), expected_suv(), rtol=1e-6)


def test_inspection_finds_header_faults_without_pixels(tmp_path, monkeypatch):
    import petflame.dicom.pixels as pixels

    def never(*_):
        raise AssertionError("pixels were read")

    monkeypatch.setattr(pixels, "read_stored", never)
    pet = pet_series(PatientWeight=None)
    del pet[3]
    root = study(tmp_path / "in", pet, ct_series(ImageOrientationPatient=[1, 0, 0, 0, 0.8, 0.6]))
    report = inspect_study(root, Protocol())
    whats = " ".join(f.what for f in report.faults)
    assert "missing" in whats
    assert "tilt" in whats
    assert "weight is missing" in report.suv_reasons[0].what
    assert len(report.identity.pet.patient_id) == 32
    assert "CANARY" not in repr(report.identity)
    assert report.identity.pet.day == date(2025, 3, 11).toordinal()
    assert [s.description for s in report.series] == ["CT AC", "PET AC"]
    good = inspect_study(study(tmp_path / "good"), Protocol())
    assert (good.faults, good.warnings, good.uptake_min, good.grids["pet"].shape) == ((), (), 60.0, (10, 8, 6))


def test_studies_below_an_archive(tmp_path):
    study(tmp_path / "P1" / "A")
    changed = {"StudyInstanceUID": "2.25.12", "StudyDate": "20250611"}
    study(tmp_path / "P1" / "B", pet_series(**changed), ct_series(**changed))
    studies, faults, _ = find_studies(tmp_path)
    assert faults == []
    assert [(s.folder.name, s.study_date, s.pet_images, s.ct_images, s.shared) for s in studies] == [
        ("A", "20250311", 6, 5, False),
        ("B", "20250611", 6, 5, False),
    ]


def damaged(path):
    """Cut a file behind its series UID, inside its header."""
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.index(b"\x28\x00\x02\x00US") + 45])


def test_a_damaged_file_of_a_series_not_taken_is_listed(convert, tmp_path):
    source = study(tmp_path / "in")
    write(pet_series(number=9, uid="2.25.4711.9", CorrectedImage=["DECY"]), source / "nac")
    damaged(source / "nac" / "IM0002.dcm")
    assert convert(source).warnings == []
    report = inspect_study(source, Protocol())
    assert report.faults == ()
    assert report.ignored == (("nac/IM0002.dcm", listing.NOT_TAKEN),)


def test_a_damaged_file_that_might_be_meant_is_refused(convert, tmp_path):
    source = study(tmp_path / "chosen")
    damaged(source / "pet" / "IM0002.dcm")
    with pytest.raises(InputRefused, match=r"pet/IM0002\.dcm: it ends inside its header"):
        convert(source)
    source = study(tmp_path / "unknown")
    write(pet_series(uid="2.25.4711.9", CorrectedImage=["DECY"])[:1], source / "alone")
    damaged(source / "alone" / "IM0000.dcm")
    with pytest.raises(InputRefused, match=r"alone/IM0000\.dcm"):
        convert(source)
    source = study(tmp_path / "incomplete")
    write(pet_series(uid="2.25.4711.9")[:2], source / "two")
    damaged(source / "two" / "IM0001.dcm")
    with pytest.raises(InputRefused, match=r"two/IM0001\.dcm"):
        convert(source)
    source = study(tmp_path / "no_ct_left", ct=[])
    write(ct_series()[:2], source / "ct")
    damaged(source / "ct" / "IM0001.dcm")
    with pytest.raises(InputRefused, match=r"ct/IM0001\.dcm"):
        convert(source)
