"""The SUV rules on header values alone, one rule a test."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from petflame.dicom.bodysize import body_surface_area_m2, ideal_body_weight_kg, lean_body_mass_kg
from petflame.dicom.decay import average_activity_time_s
from petflame.dicom.overrides import Override, Overrides
from petflame.dicom.petheader import PetHeader
from petflame.dicom.suv import suv_of
from petflame.dicom.tracer import tracer_faults

HALF_LIFE_S = 6586.2
DAY_S = 86400.0
NOON = 738000 * DAY_S + 12 * 3600.0
DURATION_S = 180.0
AVERAGE_S = average_activity_time_s(DURATION_S, HALF_LIFE_S)
CORRECTED = ("DECY", "ATTN", "SCAT")

GOOD = PetHeader(
    units="BQML",
    decay_correction="START",
    manufacturer="SIEMENS",
    corrections=CORRECTED,
    dose=350e6,
    half_life_s=HALF_LIFE_S,
    weight=70.0,
    height=1.75,
    sex="M",
    series_s=NOON,
    acquisition_s=(NOON, NOON + 120.0),
    frame_reference_s=(AVERAGE_S, 120.0 + AVERAGE_S),
    frame_duration_s=(DURATION_S, DURATION_S),
    decay_factor=(None, None),
    injection_s=NOON - 3600.0,
    injection_time_s=11 * 3600.0,
)
PLAIN = 70e3 / 350e6
DECAYED = PLAIN * 2 ** (3600 / HALF_LIFE_S)


def suv(overrides: dict[str, str] | None = None, **changes):
    entries = {k: Override(k, v, "site log", "A") for k, v in (overrides or {}).items()}
    return suv_of(replace(GOOD, **changes), Overrides(entries))


def reasons(**changes) -> str:
    result = suv(**changes)
    assert result.factor is None
    return "; ".join(f.what for f in result.reasons)


def factor(**changes) -> float:
    result = suv(**changes)
    assert result.reasons == ()
    return result.factor


def test_start_admin_none():
    assert factor() == pytest.approx(DECAYED, rel=1e-12)
    assert factor(decay_correction="ADMIN") == pytest.approx(PLAIN, rel=1e-12)
    result = suv(decay_correction="NONE", corrections=("ATTN",))
    assert result.factor == pytest.approx(PLAIN, rel=1e-12)
    rate = math.log(2) / HALF_LIFE_S
    within = rate * DURATION_S / (1 - math.exp(-rate * DURATION_S))
    want = [math.exp(rate * s) * within for s in (3600, 3720)]
    assert result.slice_factors == pytest.approx(want, rel=1e-12)


@given(minutes=st.floats(10, 239), life=st.floats(6560, 6600))
def test_admin_equals_start_with_the_dose_shifted(minutes, life):
    changes = {"injection_s": NOON - 60 * minutes, "injection_time_s": None, "half_life_s": life}
    start = factor(**changes)
    shifted = factor(decay_correction="ADMIN", dose=350e6 * 2 ** (-60 * minutes / life), **changes)
    assert start == pytest.approx(shifted, rel=1e-9)


@given(clock_s=st.integers(1, 86399), minutes=st.integers(1, 239))
def test_midnight_changes_nothing(clock_s, minutes):
    scan = 738000 * DAY_S + clock_s
    injected = (clock_s - 60 * minutes) % DAY_S
    result = suv(
        series_s=scan,
        acquisition_s=(scan, scan + 120.0),
        injection_s=None,
        injection_time_s=float(injected),
    )
    assert result.uptake_min == pytest.approx(minutes)


@given(st.floats(0.5, 2.0), st.floats(0.5, 2.0))
def test_factor_scales_with_weight_over_dose(a, b):
    assert factor(weight=70.0 * a, dose=350e6 * b) == pytest.approx(DECAYED * a / b, rel=1e-12)


def test_reasons_are_listed_together():
    told = reasons(weight=0.0, dose=None, injection_s=None, injection_time_s=None, half_life_s=None)
    for word in ("weight is missing", "dose is missing", "injection time is missing", "half-life is missing"):
        assert word in told


@pytest.mark.parametrize("dose", [0.5, 2e4, 5e5, 2e10, -1.0])
def test_implausible_doses(dose):
    assert "dose" in reasons(dose=dose)


def test_a_dose_in_megabecquerel_is_taken_for_one():
    result = suv(dose=350.0)
    assert result.factor == pytest.approx(DECAYED)
    assert result.dose_bq == 350e6
    assert "taken for MBq" in result.warnings[0]


def test_weight_in_grams_and_implausible():
    result = suv(weight=70000.0)
    assert result.factor == pytest.approx(DECAYED)
    assert "grams" in result.warnings[0]
    assert "implausible" in reasons(weight=700.0)
    assert "implausible" in reasons(weight=1.75)


def test_values_that_differ_between_slices():
    from petflame.dicom import tags as t

    assert "weight is not the same" in reasons(weight=None, conflicts=(t.WEIGHT,))
    assert "dose is not the same" in reasons(dose=None, conflicts=(t.TOTAL_DOSE,))


def test_half_life_from_the_code_and_contradiction():
    result = suv(half_life_s=None, nuclide="C-111A1")
    assert result.factor == pytest.approx(DECAYED)
    assert "18F" in result.warnings[0]
    assert "not that of the stated radionuclide" in reasons(half_life_s=4057.0, nuclide="77004003")


@pytest.mark.parametrize(
    ("decay", "corrections", "word"),
    [
        ("", CORRECTED, "missing"),
        ("OTHER", CORRECTED, "not known"),
        ("NONE", CORRECTED, "DECY"),
        ("START", ("ATTN",), "DECY"),
    ],
)
def test_decay_correction_that_contradicts_itself(decay, corrections, word):
    assert word in reasons(decay_correction=decay, corrections=corrections)


def test_decay_is_another_spelling():
    assert factor(corrections=("DECAY", "ATTN")) == pytest.approx(DECAYED)


@pytest.mark.parametrize(
    ("minutes", "word"),
    [(0, "before the injection"), (-20, "before the injection"), (241, "beyond 240"), (700, "beyond")],
)
def test_uptake_refused(minutes, word):
    told = suv(injection_s=NOON - 60.0 * minutes, injection_time_s=None)
    assert told.factor is None
    assert word in told.reasons[0].what


@pytest.mark.parametrize(("minutes", "warned"), [(44, True), (46, False), (149, False), (151, True)])
def test_uptake_warned(minutes, warned):
    result = suv(injection_s=NOON - 60.0 * minutes, injection_time_s=None)
    assert any("uptake" in w for w in result.warnings) == warned


def test_gml_of_every_kind():
    lean = lean_body_mass_kg(70, 1.75, "M")
    for kind, mass in {
        "": 70.0,
        "BW": 70.0,
        "LBM": lean_body_mass_kg(70, 1.75, "M", "morgan120"),
        "LBMJAMES128": lean,
        "LBMJANMA": lean_body_mass_kg(70, 1.75, "M", "janmahasatian"),
        "IBW": ideal_body_weight_kg(1.75, "M"),
    }.items():
        result = suv(units="GML", suv_type=kind)
        assert result.factor == pytest.approx(70.0 / mass), kind
    surface = 70e3 / (body_surface_area_m2(70, 1.75) * 1e4)
    assert factor(units="CM2ML") == pytest.approx(surface)
    assert factor(units="GML", suv_type="BSA") == pytest.approx(surface)
    assert "not known" in reasons(units="GML", suv_type="LBX")
    assert "height" in reasons(units="GML", suv_type="LBM", height=None)
    assert "weight" in reasons(units="CM2ML", weight=None)


def test_stored_suv_needs_no_dose():
    result = suv(units="GML", dose=None, weight=None, injection_s=None, injection_time_s=None, half_life_s=None)
    assert result.factor == 1.0
    assert result.reasons == ()


def test_sex_unknown_takes_the_mean_of_the_masses():
    male, female = (lean_body_mass_kg(70, 1.75, s) for s in "MF")
    assert factor(units="GML", suv_type="LBMJAMES128", sex="O") == pytest.approx(140 / (male + female))
    result = suv(units="GML", suv_type="LBMJAMES128", sex="")
    assert result.factor == pytest.approx(140 / (male + female))
    assert any("sex" in w for w in result.warnings)


def test_height_in_centimetres_or_repeating_the_weight():
    assert suv(height=175.0).height_m == 1.75
    assert suv(height=1750.0).height_m == 1.75
    assert "PatientSize was taken for millimetres" in suv(height=1750.0).warnings
    assert "PatientSize is implausible and was not used (was it in feet?)" in suv(height=5.75).warnings
    assert any("was the height in inches" in r.what for r in suv(height=69.0, weight=75.0, dose=50e6).reasons)
    assert suv(height=70.0).height_m is None
    assert suv(height=17.5).height_m is None


def test_philips_factors():
    own, activity = 5.5e-4, 5.5e-4 / DECAYED
    counts = {"units": "CNTS", "manufacturer": "Philips Medical Systems"}
    both = suv(philips_suv=own, philips_activity=activity, **counts)
    assert both.factor == own
    assert both.warnings == ()
    assert both.philips["activity_scale_factor_7053_1009"] == pytest.approx(own)
    apart = suv(philips_suv=own, philips_activity=1.02 * activity, **counts)
    assert apart.factor == own
    assert "+2.0 %" in apart.warnings[0]
    assert factor(philips_activity=activity, **counts) == pytest.approx(own)
    only = suv(philips_suv=own, weight=None, dose=None, injection_s=None, injection_time_s=None, **counts)
    assert only.factor == own
    unchecked = suv(philips_suv=own, philips_activity=activity, weight=None, **counts)
    assert "could not be checked" in unchecked.warnings[0]
    refused = suv(philips_activity=activity, weight=None, **counts)
    assert refused.factor is None
    assert refused.activity_factor == activity
    assert "without a scale factor" in reasons(**counts)


def test_philips_factor_does_not_hold_undecayed():
    counts = {"units": "CNTS", "decay_correction": "NONE", "corrections": ("ATTN",)}
    assert "not decay corrected" in reasons(philips_suv=5e-4, **counts)
    result = suv(philips_suv=5e-4, philips_activity=2.0, **counts)
    assert result.factor == pytest.approx(2 * PLAIN)
    assert len(result.slice_factors) == 2


def test_philips_bqml_ignores_the_private_factors():
    assert factor(philips_suv=1.0, philips_activity=3.0) == pytest.approx(DECAYED)


@pytest.mark.parametrize("units", ["CPS", "PROPCPS", "PROPCNTS", "1CM", "NONE", ""])
def test_units_without_meaning(units):
    assert "not quantitative" in reasons(units=units)


def test_overrides_take_the_place_of_the_header():
    result = suv({"dose_mbq": "175", "weight_kg": "80"}, weight=None)
    assert result.factor == pytest.approx(DECAYED * 2 * 80 / 70)
    assert suv({"injection_time": "10:30:00"}).uptake_min == 90.0
    later = suv({"reference_time": "12:10"})
    assert (later.uptake_min, later.times.decay_min) == (60.0, 70.0)
    assert suv({"half_life_s": "6588"}, half_life_s=None).half_life_s == 6588.0


def test_uptake_override_answers_for_missing_times():
    result = suv({"uptake_min": "60"}, placeholder_times=True, injection_s=None, injection_time_s=None)
    assert result.factor == pytest.approx(DECAYED)


def test_another_tracer_is_refused_unless_any_is_asked_for():
    fdg = replace(GOOD, tracer_text="FDG -- fluorodeoxyglucose")
    assert tracer_faults(fdg, "FDG", HALF_LIFE_S) == ([], [])
    assert tracer_faults(replace(GOOD, tracer_codes=("35321007",)), "FDG", HALF_LIFE_S) == ([], [])
    for text in ("F-18", "Solution", "", "18F", "Fluorine-18"):
        faults, warnings = tracer_faults(replace(GOOD, tracer_text=text), "FDG", HALF_LIFE_S)
        assert not faults, text
        assert len(warnings) == 1
    for text in ("Ga68-PSMA", "FLT", "18F-FES", "Fluorothymidine", "NaF"):
        assert tracer_faults(replace(GOOD, tracer_text=text), "FDG", HALF_LIFE_S)[0], text
    assert tracer_faults(fdg, "FDG", 4057.0)[0]
    assert tracer_faults(replace(fdg, nuclide="C-131A3"), "FDG", None)[0]
    assert tracer_faults(replace(GOOD, tracer_text="Ga68-PSMA"), "any", 4057.0) == ([], [])


def test_override_that_cannot_be_placed_is_not_ignored():
    result = suv({"reference_time": "12:00"}, series_s=None, acquisition_s=(None, None))
    assert result.factor is None
    assert "overridden" in result.reasons[0].what
