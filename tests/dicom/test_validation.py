"""The check that a user runs on downloaded reference objects, on one of our own making."""

from __future__ import annotations

import json
import sys

import nibabel as nib
import numpy as np
import pytest

from dicom.synthetic import FACTOR, PET_SHAPE, pet_series, write
from petflame.cli import main
from petflame.dicom.validation import check_own_objects, check_reference_objects
from petflame.errors import InputRefused


def make_object(folder, scale=1.0, **changes):
    """An object whose SUV inside the mask is 0.2, 1 and 4 times `scale`."""
    pet = pet_series(NumberOfSlices=None, **changes)
    suv = np.full(PET_SHAPE, 1.0)
    suv[2, 2, 2], suv[3, 3, 3] = 0.2, 4.0
    for k, ds in enumerate(pet):
        ds.RescaleSlope = "0.5"
        ds.PixelData = np.rint(scale * suv[k] / FACTOR / 0.5).astype(np.int16).tobytes()
    write(pet, folder / "PT")
    mask = np.zeros(PET_SHAPE[::-1], np.uint8)
    mask[1:5, 1:5, 1:5] = 1
    affine = np.array([[-5.0, 0, 0, 20], [0, -4, 0, 30], [0, 0, 3, -100], [0, 0, 0, 1]])
    (folder / "mask").mkdir()
    nib.save(
        nib.Nifti1Image(mask[:, ::-1], affine @ [[1, 0, 0, 0], [0, -1, 0, 7], [0, 0, 1, 0], [0, 0, 0, 1]]),
        folder / "mask" / "mask.nii.gz",
    )


def test_right_wrong_and_refused(tmp_path):
    make_object(tmp_path / "a")
    make_object(tmp_path / "b", scale=1.02)
    make_object(tmp_path / "c", PatientWeight=None)
    a, b, c = check_reference_objects(tmp_path)
    assert a.right
    assert a.found == pytest.approx((0.2, 1.0, 4.0), abs=2e-3)
    assert not b.right
    assert b.told == ""
    assert not c.right
    assert c.found is None
    assert "weight is missing" in c.told


WHY = {
    "no_weight": "the weight is missing",
    "zero_weight": "the weight is missing",
    "no_dose": "the dose is missing",
    "no_injection_time": "the injection time is missing",
    "counts_per_second": "units CPS are not quantitative",
    "counts_without_factor": "units CNTS are not quantitative without",
    "not_attenuation_corrected": "not attenuation corrected",
    "no_decay_correction": "the decay correction is missing",
    "decay_contradiction": "NONE while CorrectedImage lists DECY",
    "placeholder_dates": "placeholder of a de-identifier",
    "shifted_times": "the uptake time 480 min is beyond 240 min",
    "wrong_half_life": "is not that of the stated radionuclide 18F",
    "tilted": "gantry tilt of 15.0 degrees",
    "no_pixel_spacing": "PixelSpacing (0028,0030) is missing",
    "slice_missing": "about 1 slice is missing",
    "end_missing": "it has 7 slices where NumberOfSlices (0054,0081) says 8",
}


def test_own_objects():
    checks = check_own_objects()
    assert [c.name for c in checks if not c.right] == []
    assert {c.name for c in checks if c.expected is None} == set(WHY)
    for c in checks:
        if c.expected is None:
            assert WHY[c.name] in c.told
        else:
            assert c.found == pytest.approx((0.2, 1.0, 4.0), abs=5e-4), c.name
    assert len({c.name for c in checks}) == len(checks) >= 40


def run(monkeypatch, capsys, *words):
    monkeypatch.setattr(sys, "argv", ["petflame", "validate", *words])
    with pytest.raises(SystemExit) as stop:
        main()
    return stop.value.code or 0, capsys.readouterr()


def test_the_verb_counts_what_is_right_and_fails_where_something_is_not(monkeypatch, capsys, tmp_path):
    make_object(tmp_path / "good")
    code, told = run(monkeypatch, capsys, "--dro", str(tmp_path))
    assert code == 0
    assert "1 of 1 right" in told.out
    assert "pydicom 3" in told.out
    make_object(tmp_path / "wrong", scale=1.02)
    make_object(tmp_path / "worse", PatientWeight=None)
    code, told = run(monkeypatch, capsys, "--dro", str(tmp_path))
    assert code == 1
    assert "0.2000 1.0000 4.0000" in told.out
    assert told.out.count("FAIL") == 2
    assert "weight is missing" in told.out
    code, told = run(monkeypatch, capsys, "--log-json", "--dro", str(tmp_path))
    rows = [json.loads(line) for line in told.err.splitlines()]
    assert [r["right"] for r in rows if "check" in r] == [True, False, False]
    code, told = run(monkeypatch, capsys, "--dro", str(tmp_path / "none"))
    assert code == 2
    assert "no SUV reference objects" in told.err


def test_nothing_to_check(tmp_path):
    with pytest.raises(InputRefused, match="no SUV reference objects"):
        check_reference_objects(tmp_path)


@pytest.mark.reference
def test_published_objects(reference):
    checks = check_reference_objects(reference("suv_dro"))
    assert len(checks) == 12
    assert [c.name for c in checks if not c.right] == []
