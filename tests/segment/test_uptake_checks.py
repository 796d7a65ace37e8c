"""The blood pool must hold blood, and the same blood as the aorta."""

import numpy as np
import pytest

import phantoms
from petflame.anatomy import BY_NAME
from petflame.labelmap import LabelMap
from petflame.segment.product import Segmentation, VesselFinding
from petflame.segment.uptake_checks import check_uptake
from petflame.space.grid import Volume

CT = phantoms.grid((1.5, 1.5, 3.0), low=(-60.0, -40.0, 0.0), high=(60.0, 40.0, 60.0))
PET = phantoms.grid((3.0, 3.0, 3.0), low=(-60.0, -40.0, 0.0), high=(60.0, 40.0, 60.0))
LINE = np.array([[0.0, 0, 0], [0, 0, 60]])


def inside(grid, x_mm, radius_mm):
    at = phantoms.points(grid)
    return np.hypot(at[..., 0] - x_mm, at[..., 1]) <= radius_mm


def case(cava_suv, aorta_suv, method="geometric"):
    labels = np.zeros(CT.shape, np.uint8)
    labels[inside(CT, 30.0, 9.0)] = BY_NAME["svc"].label
    labels[inside(CT, -10.0, 15.0)] = BY_NAME["aorta_ascending"].label
    suv = np.full(PET.shape, 0.5, np.float32)
    suv[inside(PET, 30.0, 9.0)] = cava_suv
    suv[inside(PET, -10.0, 15.0)] = aorta_suv
    vessels = {name: VesselFinding(method, 0.9, (), LINE) for name in ("svc", "aorta_ascending")}
    return Segmentation(LabelMap(labels, CT), "ct", vessels), Volume(suv, PET)


def test_blood_that_agrees_passes():
    found = check_uptake(*case(1.4, 1.5), True)
    assert [c.passed for c in found.vessels["svc"].checks] == [True, True]
    assert not found.vessels["svc"].withheld
    assert "0.93 times" in found.vessels["svc"].checks[1].message


@pytest.mark.parametrize(("cava", "aorta", "words"), [(0.9, 1.5, "times the uptake"), (6.0, 6.0, "SUV 6.00")])
def test_a_vein_found_by_software_that_holds_no_such_blood_is_withheld(cava, aorta, words):
    found = check_uptake(*case(cava, aorta), True)
    assert found.vessels["svc"].withheld
    assert words in found.vessels["svc"].reason
    assert any(w.startswith("svc: needs a reader") for w in found.warnings)


def test_a_readers_vein_is_only_warned_about():
    found = check_uptake(*case(0.9, 1.5, "labels"), True)
    assert not found.vessels["svc"].withheld
    assert any("look at its region again" in w for w in found.warnings)


def test_without_suv_the_ratio_alone_is_judged():
    segmentation, pet = case(1.4, 1.5)
    found = check_uptake(segmentation, Volume(pet.data * 5000, PET), False)
    assert [c.name for c in found.vessels["svc"].checks] == ["blood like the aorta's"]


def test_no_cava_no_check():
    segmentation, pet = case(1.4, 1.5)
    alone = Segmentation(segmentation.labels, "ct", {"aorta_ascending": segmentation.vessels["aorta_ascending"]})
    assert check_uptake(alone, pet, True) is alone
