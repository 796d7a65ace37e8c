"""The DICOM that each vendor's scanner writes: valid, and saying the same as the truth."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pydicom
import pytest

from petflame.simulate.dicomwrite import write_visit
from petflame.simulate.encode import encode, encoded, part10
from petflame.simulate.headers import decimal, timing
from petflame.simulate.lattice import centred
from petflame.simulate.plan import plan_trial

CT, PET = centred(20, 20, 8, 4.0, 3.0, 0.0, -12.0), centred(10, 10, 9, 8.0, 3.0, 0.0, -12.0)
HABITS = {
    "siemens": lambda s: s.vendor == "siemens",
    "ge-start": lambda s: s.vendor == "ge" and s.decay_correction == "START" and not s.late_series_time,
    "ge-late": lambda s: s.vendor == "ge" and s.decay_correction == "START" and s.late_series_time,
    "ge-admin": lambda s: s.vendor == "ge" and s.decay_correction == "ADMIN",
    "philips-cnts": lambda s: s.units == "CNTS",
    "philips-bqml": lambda s: s.vendor == "philips" and s.units == "BQML",
}


@pytest.fixture(scope="module", params=sorted(HABITS))
def written(request, tmp_path_factory):
    """Small images of one scanner's habit: plan, pixel truth, and the files read back in slice order."""
    plan = next(v for v in plan_trial(80, 2).visit_plans if HABITS[request.param](v.scanner) and not v.missing_slice)
    rng = np.random.default_rng(5)
    hu = rng.integers(-1000, 1500, CT.shape).astype(np.int16)
    suv = rng.uniform(0, 3, PET.shape) * np.linspace(0.2, 3, PET.shape[0])[:, None, None]
    folder = tmp_path_factory.mktemp(request.param)
    as_written = write_visit(folder, plan, CT, hu, PET, suv)
    images = [pydicom.dcmread(p) for p in sorted(folder.rglob("*")) if p.is_file()]
    by_z = {
        modality: sorted((d for d in images if d.Modality == modality), key=lambda d: d.ImagePositionPatient[2])
        for modality in ("CT", "PT")
    }
    return plan, hu, suv, as_written, folder, by_z, images


def _moment(date, time):
    return datetime.strptime(f"{date}{str(time)[:6]}", "%Y%m%d%H%M%S")


def test_dciodvfy_finds_no_error(written):
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy (Debian package dicom3tools) is not installed")
    faults = []
    for path in (p for p in written[4].rglob("*") if p.is_file()):
        out = subprocess.run(["dciodvfy", "-new", str(path)], capture_output=True, text=True, check=False)
        faults += [line for line in (out.stdout + out.stderr).splitlines() if line.startswith(("Error", "Warning"))]
    assert faults == []


def test_hounsfield_units_come_back(written):
    plan, hu, *_, by_z, _ = written
    for k, image in enumerate(by_z["CT"]):
        back = image.pixel_array.astype(int) * int(image.RescaleSlope) + int(image.RescaleIntercept)
        inside = back > -3000
        assert (back[inside] == np.maximum(hu[k], int(image.RescaleIntercept))[inside]).all()
        padded = image.get("PixelPaddingValue") is not None
        assert padded == (plan.scanner.vendor == "ge")
        assert padded or inside.all()


def test_suv_comes_back_by_the_header_alone(written):
    plan, _, suv, as_written, _, by_z, _ = written
    slopes = set()
    for k, image in enumerate(by_z["PT"]):
        tracer = image.RadiopharmaceuticalInformationSequence[0]
        stored = image.pixel_array * float(image.RescaleSlope)
        slopes.add(str(image.RescaleSlope))
        if image.Units == "CNTS":
            back = stored * float(image[0x7053, 0x1000].value)
            by_activity = stored * float(image[0x7053, 0x1009].value)
        else:
            by_activity = stored
        uptake_s = (timing(plan).start - plan.injection).total_seconds()
        decay = 2 ** (-uptake_s / float(tracer.RadionuclideHalfLife)) if image.DecayCorrection == "START" else 1.0
        factor = float(image.PatientWeight) * 1000 / (float(tracer.RadionuclideTotalDose) * decay)
        if image.Units == "CNTS":
            assert back == pytest.approx(by_activity * factor, rel=1e-4)
        else:
            back = by_activity * factor
        assert back == pytest.approx(as_written[k], rel=1e-6, abs=1e-9)
        assert np.abs(back - suv[k]).max() <= suv[k].max() / 32767
    assert len(slopes) == len(by_z["PT"])


def test_clock_is_consistent(written):
    plan, *_, by_z, _ = written
    clock = timing(plan)
    half_life = 6586.2
    rate = np.log(2) / half_life
    for image in by_z["PT"]:
        series = _moment(image.SeriesDate, image.SeriesTime)
        acquired = _moment(image.AcquisitionDate, image.AcquisitionTime)
        assert (series > clock.start) == plan.scanner.late_series_time
        reference_s = float(image.FrameReferenceTime) / 1000
        duration = float(image.ActualFrameDuration) / 1000
        decay = float(image.DecayFactor)
        if plan.scanner.decay_correction == "ADMIN":
            decay /= np.exp(rate * clock.uptake_s)
        if plan.scanner.vendor == "siemens":
            mean_s = np.log(rate * duration / (1 - np.exp(-rate * duration))) / rate
            back = acquired + timedelta(seconds=mean_s - reference_s)
            assert abs((back - series).total_seconds()) < 0.01
            assert decay == pytest.approx(np.exp(rate * reference_s), rel=1e-5)
        if plan.scanner.vendor == "ge":
            assert image[0x0009, 0x100D].value.startswith(f"{clock.start:%Y%m%d%H%M%S}")
            assert decay == pytest.approx(
                np.exp(rate * reference_s) * rate * duration / (1 - np.exp(-rate * duration)), rel=1e-5
            )
    beds = {str(d.FrameReferenceTime) for d in by_z["PT"]}
    assert len(beds) == plan.scanner.beds


def test_files_are_not_in_slice_order_and_belong_together(written):
    *_, images = written
    assert {d.Modality for d in images} == {"CT", "PT"}
    assert len({d.SOPInstanceUID for d in images}) == len(images)
    assert len({d.SeriesInstanceUID for d in images}) == 2
    for name in ("StudyInstanceUID", "FrameOfReferenceUID", "PatientID"):
        assert len({d[name].value for d in images}) == 1
    pet = [float(d.ImagePositionPatient[2]) for d in images if d.Modality == "PT"]
    assert pet not in (sorted(pet), sorted(pet, reverse=True))


def test_identifiers_are_canaries(written):
    *_, images = written
    for name in ("PatientName", "PatientID", "AccessionNumber", "InstitutionName", "ReferringPhysicianName"):
        assert "CANARY" in str(images[0][name].value)


def test_missing_slice_leaves_a_gap_and_nothing_else(tmp_path):
    plan = replace(plan_trial(2, 1).visit_plans[0], missing_slice=True)
    write_visit(tmp_path, plan, CT, np.zeros(CT.shape, np.int16), PET, np.ones(PET.shape))
    images = [pydicom.dcmread(p) for p in tmp_path.rglob("*") if p.is_file()]
    z = sorted(float(d.ImagePositionPatient[2]) for d in images if d.Modality == "PT")
    assert len(z) == PET.shape[0] - 1
    assert sorted(np.diff(z).round(6).tolist())[-2:] == [3.0, 6.0]


def test_encoding_agrees_with_pydicom(tmp_path):
    values = {
        "SOPInstanceUID": "2.25.123",
        "InstanceNumber": 12,
        "ImagePositionPatient": ["1.5", "-2", "3.25"],
        "ImageIndex": 3,
        "AcquisitionTime": "101112",
    }
    ds = pydicom.Dataset()
    for name, value in values.items():
        setattr(ds, name, value)
    assert encode(values) == encoded(ds)
    path = tmp_path / "a.dcm"
    path.write_bytes(part10(encoded(ds), encode({"InstanceNumber": 13}), "1.2.840.10008.5.1.4.1.1.2", "2.25.123"))
    back = pydicom.dcmread(path)
    assert back.InstanceNumber == 13
    assert back.file_meta.MediaStorageSOPInstanceUID == "2.25.123"


@pytest.mark.parametrize("value", [1e-12 / 3, 1 / 3, 123456789.123456789, -np.pi * 1e8, 2.0, 6586.2, 1e-5 / 7])
def test_decimal_strings_fit_and_keep_their_value(value):
    text = decimal(float(value))
    assert len(text) <= 16
    assert float(text) == pytest.approx(value, rel=1e-8)
