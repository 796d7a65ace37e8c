"""The check that a user runs on downloaded reference objects, on one of our own making."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from dicom.synthetic import FACTOR, PET_SHAPE, pet_series, write
from petflame.dicom.validation import check_reference_objects
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
    assert "weight is missing" in c.told


def test_nothing_to_check(tmp_path):
    with pytest.raises(InputRefused, match="no SUV reference objects"):
        check_reference_objects(tmp_path)


@pytest.mark.reference
def test_published_objects(reference):
    checks = check_reference_objects(reference("suv_dro"))
    assert len(checks) == 12
    assert [c.name for c in checks if not c.right] == []
