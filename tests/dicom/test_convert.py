"""A visit from end to end: voxels, places, sidecars, privacy, and nothing half-written."""

from __future__ import annotations

import re

import numpy as np
import pytest

from dicom.synthetic import CT_SHAPE, DOSE_BQ, FACTOR, ct_series, expected_suv, pet_series, stored, study, write
from petflame.errors import InputRefused


def test_suv_and_place_of_every_voxel(convert, tmp_path):
    visit = convert(study(tmp_path / "in"))
    assert visit.warnings == []
    data = visit.data()
    assert data.dtype == np.float32
    np.testing.assert_allclose(data, expected_suv(), rtol=1e-6)
    # Stored order is kept: i along the columns, j along the rows, k along the normal; RAS mm.
    np.testing.assert_allclose(visit.image().affine @ [2, 3, 4, 1], [20 - 10, 30 - 12, -100 + 12, 1], atol=1e-6)


def test_hounsfield_units_and_place(convert, tmp_path):
    visit = convert(study(tmp_path / "in"))
    want = np.stack([stored(k, CT_SHAPE, 0).T - 1000 for k in range(CT_SHAPE[0])], axis=-1)
    data = visit.data("ct.nii.gz")
    assert data.dtype == np.int16
    np.testing.assert_array_equal(data, want)
    np.testing.assert_allclose(visit.image("ct.nii.gz").affine @ [1, 1, 1, 1], [22 - 2.5, 31 - 2, -97, 1], atol=1e-6)


def test_sidecar_says_how_the_factor_came_about(convert, tmp_path):
    document = convert(study(tmp_path / "in")).json()
    assert document["suv_factor"] == pytest.approx(FACTOR, rel=1e-12)
    assert document["suv_type"] == "bw"
    assert document["uptake_min"] == 60.0
    assert document["injection_time_s"] == -3600.0
    assert document["dose_bq"] == DOSE_BQ
    assert document["reference_time_source"] == "SeriesTime"
    assert document["candidate_times_s"]["earliest AcquisitionTime"] == 0.0
    assert abs(document["candidate_times_s"]["AcquisitionTime back-computed with FrameReferenceTime"]) < 0.01
    assert document["other_normalisations"]["ibw"] == pytest.approx(72.38 / 70.0)
    assert document["rescale_slopes"] == 6
    assert document["frame_duration_s"] == [180.0]
    assert document["Units"] == "g/mL"
    assert {row["taken_as"] for row in document["series"]} == {"pet", "ct"}


def test_nothing_identifies_the_patient(convert, tmp_path):
    pet = pet_series(StationName="CANARY", Manufacturer="SIEMENS", SoftwareVersions="VG62 2021-07-09")
    visit = convert(study(tmp_path / "CANARY FOLDER", pet))
    for path in visit.folder.iterdir():
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = visit.image(path.name).header.binaryblock
        text = content.decode("latin-1")
        assert "CANARY" not in text, path.name
        assert not re.search(r"20250311|2025.03.11|11:?00:?00|10:?00:?00|2\.25\.|1901|2021", text), path.name


def test_same_input_same_bytes(convert, tmp_path):
    source = study(tmp_path / "in")
    a, b = convert(source, "a"), convert(source, "b")
    for path in sorted(a.folder.iterdir()):
        assert path.read_bytes() == (b.folder / path.name).read_bytes(), path.name


def test_names_and_order_of_files_do_not_matter(convert, tmp_path):
    pet = pet_series()
    write(pet[::-1], tmp_path / "in" / "A" / "B", "{:08X}".format)
    write(ct_series(), tmp_path / "in" / "S2", "I{}".format, implicit=True)
    (tmp_path / "in" / "DICOMDIR").write_bytes(b"\0" * 128 + b"DICM" + b"nonsense")
    (tmp_path / "in" / "README.TXT").write_text("of the viewer")
    np.testing.assert_allclose(convert(tmp_path / "in").data(), expected_suv(), rtol=1e-6)


def test_refusal_writes_nothing_and_lists_everything(convert, tmp_path):
    pet = pet_series()
    del pet[2], pet[0].PixelSpacing
    source = study(tmp_path / "in", pet, ct_series(RescaleSlope=None))
    with pytest.raises(InputRefused) as refused:
        convert(source)
    told = str(refused.value)
    assert "PixelSpacing" in told
    assert "RescaleSlope" in told
    assert str(tmp_path) not in told
    assert list((tmp_path / "out").glob("*")) == [] if (tmp_path / "out").exists() else True


def test_earlier_products_survive_a_refusal(convert, tmp_path):
    visit = convert(study(tmp_path / "in"))
    before = {p.name: p.read_bytes() for p in visit.folder.iterdir()}
    with pytest.raises(InputRefused):
        convert(study(tmp_path / "bad", pet_series()[::2]))
    assert before == {p.name: p.read_bytes() for p in visit.folder.iterdir()}


def test_no_ct_is_said_and_an_old_one_removed(convert, tmp_path):
    convert(study(tmp_path / "in"))
    visit = convert(study(tmp_path / "without", ct=[]))
    assert not (visit.folder / "ct.nii.gz").exists()
    assert visit.json("ct.json")["present"] is False
    assert "holds no CT" in visit.json("ct.json")["reason"]


def test_suv_refused_goes_on_in_bq_per_ml(convert, tmp_path):
    pet = pet_series(PatientWeight="0", agent_RadionuclideTotalDose=None, agent_RadiopharmaceuticalStartTime=None)
    for ds in pet:
        del ds.RadiopharmaceuticalInformationSequence[0].RadiopharmaceuticalStartDateTime
    source = study(tmp_path / "in", pet)
    visit = convert(source)
    document = visit.json()
    assert document["suv_factor"] is None
    assert document["voxel_unit"] == "Bq/mL"
    whats = " ".join(r["what"] for r in document["suv_refused"])
    for word in ("weight", "dose", "injection time"):
        assert word in whats
    np.testing.assert_allclose(visit.data(), expected_suv(factor=1.0), rtol=1e-6)
    with pytest.raises(InputRefused, match="weight") as refused:
        convert(source, require_suv=True)
    assert len(refused.value.faults) == 3


def test_padding_becomes_air(convert, tmp_path):
    ct = ct_series()
    for k, ds in enumerate(ct):
        ds.PixelPaddingValue = -2000
        image = stored(k, CT_SHAPE, 0)
        image[0, :3] = -2000
        image[1, 1] = -90
        ds.PixelData, ds.RescaleIntercept = image.tobytes(), "-1024"
    data = convert(study(tmp_path / "in", ct=ct)).data("ct.nii.gz")
    assert (data[:3, 0] == -1024).all()
    assert (data[1, 1] == -1024).all()
    assert data[3, 0, 0] == 51 - 1024


def test_unsigned_padding_and_range(convert, tmp_path):
    ct = ct_series(PixelRepresentation=0, PixelPaddingValue=63536, PixelPaddingRangeLimit=63540)
    for k, ds in enumerate(ct):
        image = stored(k, CT_SHAPE, 0).astype(np.uint16)
        image[0, :5] = range(63536, 63541)
        ds.PixelData = image.tobytes()
    assert (convert(study(tmp_path / "in", ct=ct)).data("ct.nii.gz")[:5, 0] == -1024).all()
