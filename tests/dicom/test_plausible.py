"""Dose, body size and image held against each other: what is contradicted is refused with the likely unit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dicom.test_suv import GOOD, suv
from petflame.dicom.imagecheck import find_body, find_holes, find_steps, offset_fraction
from petflame.dicom.judge import judge_image
from petflame.errors import InputRefused
from petflame.space.grid import Grid, Volume

SLICES = 60


def phantom(level: float = 0.7, noise: float = 0.25) -> np.ndarray:
    """An elliptic trunk with a warm organ and lungs that widens to its middle, in air; 5 mm voxels, 17 L."""
    x, y, z = np.meshgrid(np.arange(96) - 47.5, np.arange(64) - 31.5, np.arange(SLICES), indexing="ij")
    width = 26.0 + 8.0 * np.sin(np.pi * z / SLICES)
    data = level * ((x / width) ** 2 + (y / 20.0) ** 2 < 1)
    data[(np.abs(x) < 16) & (np.abs(x) > 6) & (np.abs(y) < 9) & (z > 30)] *= 0.4
    data[(x > 4) & (x < 18) & (np.abs(y) < 10) & (z > 10) & (z < 24)] *= 2.4
    rng = np.random.default_rng(3)
    return (data * rng.lognormal(0.0, noise, data.shape)).astype(np.float32)


def volume(data: np.ndarray) -> Volume:
    return Volume(data, Grid(data.shape, np.diag([5.0, 5.0, 5.0, 1.0])))


def judged(data: np.ndarray, header=GOOD, **changes):
    return judge_image(volume(data), header, replace(suv(), **changes))


def test_a_sound_phantom_raises_no_doubt():
    facts, findings = judged(phantom())
    assert (findings.reasons, findings.warnings) == ([], [])
    data = phantom(noise=0.0)
    assert facts.fraction_of_dose == pytest.approx(data.sum() * 0.125 / 70e3, rel=0.05)
    assert facts.body_suv_mean == pytest.approx(0.7, rel=0.15)
    assert facts.body_volume_l == pytest.approx((data > 0).sum() * 0.125e-3, rel=0.15)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 5e4])
@pytest.mark.parametrize(("first", "last", "factor"), [(20, 21, 1.5), (20, 21, 0.6), (12, 37, 2.0), (30, SLICES, 0.7)])
def test_a_wrong_slope_of_any_stretch_of_slices_is_refused_where_it_begins(scale, first, last, factor):
    data = scale * phantom()
    data[:, :, first:last] *= factor
    steps = find_steps(volume(data))
    begins = [s for s in steps if s.lower == first - 1]
    assert begins[0].factor == pytest.approx(factor, rel=0.1)
    assert {s.lower for s in steps} <= {first - 1, last - 1}
    with pytest.raises(InputRefused, match=f"slices {first} and {first + 1}"):
        judged(data)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 5e4])
@pytest.mark.parametrize(("first", "last", "told"), [(20, 20, "slice 21"), (20, 25, "slices 21 to 26")])
@pytest.mark.parametrize("left", [0.0, 0.01])
def test_slices_without_tracer_between_others_are_refused(scale, first, last, told, left):
    data = scale * phantom()
    data[:, :, first : last + 1] *= left
    with pytest.raises(InputRefused, match=f"no tracer in {told}, between"):
        judged(data)
    mirrored = find_holes(volume(data[:, :, ::-1]))
    assert mirrored == [(SLICES - 1 - last, SLICES - 1 - first)]


def test_slices_without_tracer_at_the_end_are_no_hole():
    data = phantom()
    data[:, :, :3] = 0.0
    assert find_holes(volume(data)) == []


def test_a_small_step_warns():
    data = phantom(noise=0.1)
    data[:, :, 25:] *= 1.18
    _, findings = judged(data)
    assert "1.18-fold between slices 25 and 26" in findings.warnings[0]


@pytest.mark.parametrize("constant", [0.2, -0.2])
def test_a_constant_is_refused_and_a_body_at_the_edge_is_none(constant):
    with pytest.raises(InputRefused, match="a constant was added"):
        judged(phantom() + np.float32(constant))
    cropped = phantom()[24:72, 16:48]
    assert find_body(volume(cropped)).cropped
    assert offset_fraction(volume(cropped)) == 0.0
    assert judged(cropped)[1].warnings == []


def test_more_tracer_than_was_injected_refuses_suv():
    _, findings = judged(phantom(37 * 0.7), dose_bq=350e6 / 37)
    (fault,) = findings.reasons
    assert "times the tracer that was injected" in fault.what
    assert judged(phantom(26.0), replace(GOOD, units="GML"))[1].reasons == []


@pytest.mark.parametrize(("level", "grave"), [(0.02, True), (0.25, False), (0.7, None), (1.2, False), (4.0, True)])
def test_mean_of_the_body(level, grave):
    _, findings = judged(phantom(level))
    assert bool(findings.reasons) is bool(grave)
    assert bool(findings.warnings) is (grave is False)


def test_a_dose_in_another_unit_is_refused_and_named():
    for stored, unit in ((9.46, "mCi"), (9460.0, "uCi"), (20.0, "mCi"), (25.0, "mCi")):
        result = suv(dose=stored)
        assert result.factor is None
        assert f"{stored:g} {unit} would be an ordinary dose" in result.reasons[0].what
        assert "dose_bq" in result.reasons[0].remedy
    assert "350000 kBq would be an ordinary dose" in suv(dose=350e3).reasons[0].what
    assert suv(dose=350.0).reasons == ()
    assert suv({"dose_mbq": "20"}, dose=20.0).reasons == ()
    assert "MBq/kg" in suv({"dose_mbq": "20"}, dose=20.0).warnings[0]


def test_a_dose_of_an_operator_is_doubted_in_its_own_unit():
    for key, value, hint in (
        ("dose_mbq", "3500", "; 3500 uCi would"),
        ("dose_mbq", "9.46", "; 9.46 mCi would"),
        ("dose_bq", "35e8", ""),
    ):
        result = suv({key: value}, dose=350e6)
        (told,) = [w for w in result.warnings if "MBq/kg" in w]
        assert result.reasons == ()
        assert ("; " in told) == bool(hint)
        assert hint in told


def test_a_low_dose_in_becquerel_warns_and_one_that_cannot_be_is_refused():
    assert "0.5 MBq/kg" in suv(dose=35e6).warnings[0]
    assert suv(dose=35e6).reasons == ()
    assert "MBq/kg" in suv(dose=7e6).reasons[0].what
    assert "MBq/kg" in suv(dose=3.5e9).reasons[0].what
    assert not any("MBq/kg" in w for w in suv(dose=7e6, half_life_s=4062.6, nuclide="35337001").warnings)


def test_a_weight_ten_times_off_is_refused_where_the_dose_agrees():
    told = suv(weight=7.0)
    assert told.factor is None
    assert any("body mass index of 2.3" in f.what for f in told.reasons)
    assert suv(weight=7.0, height=0.7).reasons != ()
    child = suv(weight=12.0, height=0.85, dose=50e6)
    assert (child.reasons, child.warnings) == ((), ())


def test_pounds_are_doubted_by_the_headers_and_refused_once_the_image_agrees():
    header = replace(GOOD, weight=154.0, dose=250e6)
    doubt = suv(weight=154.0, dose=250e6)
    assert doubt.factor is not None
    assert "pounds" in doubt.warnings[0]
    _, findings = judge_image(volume(phantom(1.4)), header, doubt)
    assert "in pounds" in findings.reasons[0].what
    # A heavy person whose image holds what it should is none of that.
    _, findings = judge_image(volume(phantom(0.8)), header, doubt)
    assert findings.reasons == []
