"""Which moment a series was decay corrected to: the rules one by one, then real vendor headers."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from dicom.test_suv import AVERAGE_S, DAY_S, GOOD, HALF_LIFE_S, NOON
from petflame.dicom import clock
from petflame.dicom.decay import (
    BACK,
    EARLIEST,
    FACTOR,
    GE,
    SERIES,
    SIEMENS,
    average_activity_time_s,
    choose_reference,
)
from petflame.dicom.overrides import Override, Overrides
from petflame.dicom.petheader import PetHeader
from petflame.dicom.suv import suv_of
from petflame.dicom.uptake import choose_injection


def reference(start=True, **changes):
    return choose_reference(replace(GOOD, **changes), HALF_LIFE_S, start)


def test_series_time_first_with_two_seconds_grace():
    assert (reference().source, reference().warnings) == (SERIES, ())
    assert reference(series_s=NOON + 2.0).source == SERIES
    assert reference(series_s=NOON + 2.5).source == BACK


def test_late_series_time_with_ge_private_time():
    late = {"series_s": NOON + 2700.0, "frame_reference_s": (0.0, 0.0)}
    chosen = reference(ge_scan_s=NOON, **late)
    assert (chosen.source, chosen.moment_s, chosen.warnings) == (GE, NOON, ())
    assert reference(**late).source == EARLIEST
    assert reference(**late).reasons == ()
    assert reference(ge_scan_s=NOON + 30.0, **late).source == EARLIEST


def test_back_computed_when_constant():
    chosen = reference(series_s=None)
    assert chosen.source == BACK
    assert chosen.moment_s == pytest.approx(NOON)
    assert reference(series_s=None, frame_reference_s=(AVERAGE_S, 200.0 + AVERAGE_S)).source == EARLIEST


def test_later_bed_alone_is_no_reason_to_doubt():
    chosen = reference(acquisition_s=(NOON + 1200.0,) * 2, frame_reference_s=(1200.0 + AVERAGE_S,) * 2)
    assert (chosen.source, chosen.warnings, chosen.reasons) == (SERIES, (), ())
    assert chosen.candidates_s[EARLIEST] == NOON + 1200.0


def test_rules_that_disagree_warn():
    chosen = reference(ge_scan_s=NOON - 120.0)
    assert chosen.source == SERIES
    assert "120 s before SeriesTime" in chosen.warnings[0]
    assert "-1.3 %" in chosen.warnings[0]
    assert reference(ge_scan_s=NOON - 59.0).warnings == ()
    assert reference(start=False, ge_scan_s=NOON - 120.0).warnings == ()


@pytest.mark.parametrize("apart_s", [-600.0, -120.0])
def test_a_warning_says_by_how_much_suv_differs_with_the_other_time(apart_s):
    """GE's own scan start beside the series' time: the factor that it gives, by itself, over the one that was used."""
    plain = replace(GOOD, frame_reference_s=(None, None))
    used = suv_of(replace(plain, ge_scan_s=NOON + apart_s))
    other = suv_of(replace(plain, series_s=NOON + apart_s))
    told = next(w for w in used.warnings if "different" in w)
    assert f"SUV would be {100.0 * (other.factor / used.factor - 1.0):+.1f} % different" in told


def test_refused_only_where_nothing_decides():
    wild = {"series_s": None, "frame_reference_s": (1500.0, 3000.0)}
    assert "not known" in reference(**wild).reasons[0]
    assert reference(start=False, **wild).reasons == ()
    assert reference(**(wild | {"series_s": NOON})).reasons == ()


def test_ge_start_offsets():
    ge = {"manufacturer": "GE MEDICAL SYSTEMS", "series_s": NOON + 900.0}
    offsets = {"frame_reference_s": (0.0, 120.0)}
    chosen = reference(**ge, **offsets)
    assert (chosen.source, chosen.moment_s) == (BACK, NOON)
    same = reference(**ge, frame_reference_s=(0.0, 1215.0), acquisition_s=(NOON, NOON))
    assert (same.source, same.moment_s, same.reasons, same.warnings) == (EARLIEST, NOON, (), ())


def test_missing_acquisition_times_need_a_vendor_to_vouch():
    none = {"acquisition_s": (None, None)}
    assert "AcquisitionTime is missing" in reference(**none).reasons[0]
    assert reference(siemens_decay_s=NOON, **none).source == SERIES
    assert reference(acquisition_s=(NOON, None)).reasons


def factors(*after_s):
    """DecayFactor of frames that start so long after the reference; 200 s each."""
    rate = math.log(2.0) / HALF_LIFE_S
    decay = rate * 200.0
    return tuple(math.exp(rate * a) * decay / -math.expm1(-decay) for a in after_s)


NO_FRAME_TIMES = {"frame_reference_s": (None, None), "frame_duration_s": (200.0, 200.0)}


@pytest.mark.parametrize("series", [NOON + 3600.0, NOON + 1000.0])
def test_siemens_own_time_decides_with_the_decay_factors(series):
    """Beds at 25 and 30 min; the series' time is that of a reconstruction, or of the scan's later part."""
    beds = {"acquisition_s": (NOON + 1500.0, NOON + 1800.0), "decay_factor": factors(1500.0, 1800.0), **NO_FRAME_TIMES}
    chosen = reference(series_s=series, siemens_decay_s=NOON, **beds)
    assert (chosen.source, chosen.moment_s, chosen.reasons) == (SIEMENS, NOON, ())
    assert SIEMENS in chosen.warnings[0]
    assert "which was used" in chosen.warnings[0]
    alone = reference(series_s=series, siemens_decay_s=NOON, **(beds | {"decay_factor": (None, None)}))
    assert alone.source != SIEMENS
    assert any(SIEMENS in w for w in alone.warnings)
    apart = reference(series_s=series, siemens_decay_s=NOON - 300.0, **beds)
    assert apart.source != SIEMENS
    assert {FACTOR, SIEMENS} <= apart.candidates_s.keys()


def test_decay_factors_confirm_the_first_acquisition_where_the_series_time_cannot_be_the_start():
    """A reconstruction of 00:10 that carries the evening's date."""
    midnight = NOON - NOON % DAY_S
    evening = {"series_s": midnight + 600.0, "acquisition_s": (midnight + DAY_S - 1200.0,) * 2, **NO_FRAME_TIMES}
    chosen = reference(decay_factor=factors(0.0, 0.0), **evening)
    assert (chosen.source, chosen.moment_s, chosen.reasons) == (EARLIEST, midnight + DAY_S - 1200.0, ())
    assert "no scan lasts that long" in chosen.warnings[0]
    assert reference(decay_factor=factors(900.0, 900.0), **evening).reasons
    assert reference(decay_factor=(None, None), **evening).reasons


def test_beds_that_share_the_acquisition_time_are_judged_by_the_first():
    """Philips writes the scan's start into every bed; the frame reference time tells them apart."""
    late = {"series_s": NOON + 3600.0, "acquisition_s": (NOON, NOON)}
    chosen = reference(frame_reference_s=(AVERAGE_S, 735.0 + AVERAGE_S), **late)
    assert (chosen.source, chosen.moment_s, chosen.reasons) == (EARLIEST, NOON, ())
    assert "15 min apart" in reference(frame_reference_s=(900.0 + AVERAGE_S, 1635.0 + AVERAGE_S), **late).reasons[0]


def test_decay_factors_that_contradict_the_frame_reference_times_warn():
    """Acquisition, frame reference and series time agree; the factors name a moment 10 min earlier."""
    beds = {"frame_duration_s": (200.0, 200.0)}
    average = average_activity_time_s(200.0, HALF_LIFE_S)
    beds["frame_reference_s"] = (average, 120.0 + average)
    assert reference(decay_factor=factors(0.001, 120.0), **beds).warnings == ()
    chosen = reference(decay_factor=factors(600.0, 720.0), **beds)
    assert (chosen.source, len(chosen.warnings)) == (SERIES, 1)
    assert f"{FACTOR} is 600 s before SeriesTime" in chosen.warnings[0]


@pytest.mark.parametrize(("after_h", "told"), [(1.0, False), (0.0, True)])
def test_decay_factors_that_contradict_admin_warn(after_h, told):
    """An hour from injection to scan: factors of ADMIN lead to the injection, those of START to the scan."""
    admin = replace(
        GOOD,
        decay_correction="ADMIN",
        frame_duration_s=(200.0, 200.0),
        injection_time_s=(NOON - 3600.0) % DAY_S,
        injection_s=None,
        decay_factor=factors(3600.0 * after_h + 0.001, 3600.0 * after_h + 120.0),
    )
    warned = [w for w in suv_of(admin).warnings if "decay correction is ADMIN" in w]
    assert bool(warned) is told
    if told:
        assert "60 min after the injection" in warned[0]
        assert "+46.1 %" in warned[0]


def test_undecayed_beds_of_one_acquisition_time_are_told_apart_by_the_frame_reference_time():
    """The second bed starts 20 min after the first: an uncorrected SUV is 12 % low without its own decay."""
    apart = replace(
        GOOD,
        decay_correction="NONE",
        corrections=("ATTN",),
        manufacturer="GE MEDICAL SYSTEMS",
        acquisition_s=(NOON, NOON),
        frame_reference_s=(0.0, 1200.0),
    )
    first, second = suv_of(apart).slice_factors
    assert second / first == pytest.approx(2.0 ** (1200.0 / HALF_LIFE_S))


def test_undecayed_beds_without_times_of_their_own_are_refused():
    """De-identified times: a given reference and uptake time tell nothing of each frame."""
    given = Overrides(
        {
            "reference_time": Override("reference_time", "2024-03-01 12:00:00", "log", "site"),
            "injection_time": Override("injection_time", "2024-03-01 11:00:00", "log", "site"),
        }
    )
    bare = replace(GOOD, decay_correction="NONE", corrections=("ATTN",), placeholder_times=True)
    told = suv_of(bare, given)
    assert told.factor is None
    assert any("a slice lacks its acquisition time" in r.what for r in told.reasons)


def test_placeholder_times_are_no_reference():
    assert "placeholder" in reference(placeholder_times=True).reasons[0]


def test_decay_factor_is_a_check():
    rate = 0.6931471805599453 / HALF_LIFE_S
    factor = 2 ** (1200.0 / HALF_LIFE_S) * rate * 180 / (1 - 2 ** (-180 / HALF_LIFE_S))
    chosen = reference(acquisition_s=(NOON,) * 2, frame_reference_s=(None, None), decay_factor=(factor,) * 2)
    assert chosen.source == SERIES
    assert "1200 s before" in chosen.warnings[0]
    assert reference(frame_reference_s=(None, None), decay_factor=(1.0, 1.0)).warnings == ()


def test_the_injection_is_chosen_among_its_times():
    def chosen(**changes):
        return choose_injection(replace(GOOD, **changes), NOON)

    assert chosen().moment_s == NOON - 3600.0
    assert chosen(injection_s=None).moment_s == NOON - 3600.0
    assert chosen(injection_s=None, injection_time_s=None).reasons
    wrong_day = chosen(injection_s=NOON - 3600.0 + DAY_S, injection_time_s=None)
    assert wrong_day.moment_s == NOON - 3600.0
    assert "date does not fit" in wrong_day.warnings[0]
    assert chosen(injection_s=NOON - 3600.0 - DAY_S).moment_s == NOON - 3600.0
    apart = chosen(injection_time_s=11 * 3600.0 - 300.0)
    assert apart.moment_s == NOON - 3600.0
    assert "differ by 5 min" in apart.warnings[0]
    private = chosen(injection_s=None, injection_time_s=None, ge_injection_s=NOON - 4000.0)
    assert private.moment_s == NOON - 4000.0
    assert private.warnings


# Header file: reference moment by the published evaluation (seconds after SeriesTime), or a private factor.
VENDORS = {
    "SIEMENS": 0.0,
    "BQML_AC_DT_lessThan_S_DT_SIEMENS": 0.0,
    "RADIOPHARM_DATETIME_UNDEFINED": 0.0,
    "GE_MEDICAL_AND_BQML": 0.0,
    "PHILIPS_BQML": 0.0,
    "CPS_AND_BQML_AC_DT_-_S_DT": -(45 * 60 + 29.766),
    "PHILIPS_CNTS_AND_BQML_SUV": 0.000551,
    "PHILIPS_CNTS_AND_SUV": 0.000728,
}


def vendor_header(rows: list[dict]) -> PetHeader:
    first = rows[0]
    private = first["PhilipsPETPrivateGroup"]

    def moment(row, name):
        return clock.parse_date(row[f"{name}Date"]) + clock.parse_time(row[f"{name}Time"])

    stamped = clock.parse_datetime(first.get("RadiopharmaceuticalStartDateTime", ""))
    return PetHeader(
        units=first["Units"],
        decay_correction=first["DecayCorrection"],
        manufacturer="",
        corrections=tuple(first["CorrectedImage"]),
        dose=first["RadionuclideTotalDose"],
        half_life_s=first["RadionuclideHalfLife"],
        weight=first["PatientWeight"],
        sex=first["PatientSex"],
        series_s=moment(first, "Series"),
        acquisition_s=tuple(moment(r, "Acquisition") for r in rows),
        frame_reference_s=tuple(r["FrameReferenceTime"] / 1e3 for r in rows),
        frame_duration_s=tuple(r["ActualFrameDuration"] / 1e3 for r in rows),
        decay_factor=(None,) * len(rows),
        injection_s=stamped[0] if stamped else None,
        injection_time_s=clock.parse_time(first["RadiopharmaceuticalStartTime"]),
        philips_suv=float(private["SUVScaleFactor"]) if "SUVScaleFactor" in private else None,
        philips_activity=float(private["ActivityConcentrationScaleFactor"])
        if "ActivityConcentrationScaleFactor" in private
        else None,
    )


@pytest.mark.reference
@pytest.mark.parametrize("name", VENDORS)
def test_vendor_headers(reference, name):
    rows = json.loads((reference("vendor_headers") / f"{name}-instances.json").read_text())
    header = vendor_header(rows)
    result = suv_of(header)
    assert result.reasons == ()
    if header.units == "CNTS":
        assert result.factor == VENDORS[name]
        if header.philips_activity:
            assert result.philips["activity_scale_factor_7053_1009"] == pytest.approx(VENDORS[name], rel=1e-3)
        return
    started = clock.parse_time(rows[0]["SeriesTime"]) + VENDORS[name]
    uptake = started - clock.parse_time(rows[0]["RadiopharmaceuticalStartTime"])
    want = header.weight * 1e3 / header.dose * 2 ** (uptake / header.half_life_s)
    assert result.factor == pytest.approx(want, rel=1e-3)
