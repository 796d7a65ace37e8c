"""Scans and injections on both sides of midnight, under every date that scanners and archives leave behind."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from dicom.synthetic import DOSE_BQ, DURATION_S, HALF_LIFE_S, WEIGHT_KG, expected_suv, pet_series, study
from dicom.test_suv import GOOD, NOON, suv
from petflame.dicom import midnight as m
from petflame.dicom.clock import DAY_S, parse_date
from petflame.dicom.decay import SERIES, average_activity_time_s, choose_reference
from petflame.dicom.overrides import Override, Overrides
from petflame.dicom.suv import suv_of

EVENING, NIGHT, LATER = "20250311", "20250312", "20250313"
ZERO = parse_date(NIGHT)
HOUR = 3600.0
TRUE = WEIGHT_KG * 1e3 / (DOSE_BQ * 2.0 ** (-HOUR / HALF_LIFE_S))


def clock_text(moment_s: float) -> str:
    second = round(moment_s % DAY_S)
    return f"{second // 3600:02d}{second // 60 % 60:02d}{second % 60:02d}"


def day_text(moment_s: float) -> str:
    return EVENING if moment_s < ZERO else NIGHT


def scan(start_s: float, step_s: float = 300.0, first_s: float = 0.0, frames: bool = True):
    """Six beds of a scan that began `start_s` after midnight, an hour after the injection, with true dates."""
    begun = ZERO + start_s
    slices = pet_series()
    for k, ds in enumerate(slices):
        at = begun + first_s + k * step_s
        ds.SeriesDate, ds.SeriesTime = day_text(begun), clock_text(begun)
        ds.StudyDate = EVENING
        ds.AcquisitionDate, ds.AcquisitionTime = day_text(at), clock_text(at)
        ds.FrameReferenceTime = f"{1e3 * (at - begun + average_activity_time_s(DURATION_S, HALF_LIFE_S)):.3f}"
        if not frames:
            del ds.FrameReferenceTime
        agent = ds.RadiopharmaceuticalInformationSequence[0]
        agent.RadiopharmaceuticalStartTime = clock_text(begun - HOUR)
        agent.RadiopharmaceuticalStartDateTime = day_text(begun - HOUR) + clock_text(begun - HOUR)
    return slices


def dated(slices, **dates):
    for ds in slices:
        for keyword, value in dates.items():
            if keyword == "injection":
                agent = ds.RadiopharmaceuticalInformationSequence[0]
                if value is None:
                    del agent.RadiopharmaceuticalStartDateTime
                else:
                    agent.RadiopharmaceuticalStartDateTime = value + agent.RadiopharmaceuticalStartTime
            else:
                setattr(ds, keyword, value)
    return slices


FROZEN = [
    {},
    {"AcquisitionDate": EVENING},
    {"AcquisitionDate": NIGHT},
    {"AcquisitionDate": EVENING, "SeriesDate": EVENING},
    {"AcquisitionDate": NIGHT, "SeriesDate": NIGHT},
    {"SeriesDate": EVENING},
    {"SeriesDate": ""},
    {"AcquisitionDate": ""},
]
STARTS = {
    "all before": -HOUR,
    "images on both sides": -600.0,
    "only the start before": -40.0,
    "all after": 1200.0,
    "injection at the last second": HOUR - 1.0,
}


@pytest.mark.parametrize("start", STARTS.values(), ids=STARTS)
@pytest.mark.parametrize("injection", [..., None, EVENING, NIGHT])
def test_suv_is_right_under_every_date(convert, tmp_path, start, injection):
    first = 60.0 if start == -40.0 else 0.0
    for n, dates in enumerate(FROZEN):
        given = dates if injection is ... else {**dates, "injection": injection}
        out = convert(study(tmp_path / f"in{n}", dated(scan(start, first_s=first), **given)), name=f"v{n}")
        document = out.json()
        assert document["suv_factor"] == pytest.approx(TRUE, rel=1e-6), given
        assert document["uptake_min"] == pytest.approx(60.0 + first / 60.0), given
        assert document["decay_min"] == pytest.approx(60.0), given
    np.testing.assert_allclose(out.data(), expected_suv(factor=TRUE), rtol=1e-6)


def test_a_date_that_stays_at_the_start_is_named(convert, tmp_path):
    warned = convert(study(tmp_path / "a", dated(scan(-600.0), AcquisitionDate=EVENING)), name="a").warnings
    assert any(m.ACROSS in w for w in warned)
    assert not any("differs" in w or "different" in w for w in warned)
    sound = convert(study(tmp_path / "b", scan(-600.0)), name="b").warnings
    assert not any("midnight" in w or "date" in w for w in sound)
    start = convert(study(tmp_path / "c", dated(scan(1200.0), SeriesDate=EVENING)), name="c").warnings
    assert any(m.misdated("SeriesDate") in w for w in start)


def test_decay_of_each_slice_across_midnight(convert, tmp_path):
    """DecayCorrection NONE: every slice from its own acquisition."""
    factors = []
    for name, dates in (("true", {}), ("frozen", {"AcquisitionDate": EVENING})):
        slices = dated(scan(-600.0), DecayCorrection="NONE", CorrectedImage=["ATTN", "SCAT"], **dates)
        factors.append(convert(study(tmp_path / name, slices), name=name).json()["slice_decay_factors"])
    rate = np.log(2) / HALF_LIFE_S
    within = rate * DURATION_S / (1 - np.exp(-rate * DURATION_S))
    want = [np.exp(rate * (HOUR + 300.0 * k)) * within for k in range(6)]
    np.testing.assert_allclose(factors, [want, want], rtol=1e-6)


def test_acquisition_times_of_no_one_scan_are_refused():
    images = [(ZERO, 8 * HOUR * k) for k in range(3)]
    assert m.put_on_one_clock(images, (ZERO, 0.0), None).reason == m.SPREAD
    told = suv(times_apart=m.SPREAD)
    assert told.factor is None
    assert "12 hours apart" in told.reasons[0].what


def test_moments_do_not_depend_on_where_midnight_lies():
    """Turn the clock: frozen dates give the same intervals as true ones, wherever the scan starts."""
    for start, length in itertools.product(np.arange(0.0, DAY_S, 1800.0), (60.0, 5400.0)):
        moments = [ZERO + start + length * k / 4 for k in range(5)]
        frozen = [(ZERO, x % DAY_S) for x in moments]
        placed = m.put_on_one_clock(frozen, (ZERO, start), ZERO + start - HOUR)
        assert placed.series_s == moments[0]
        assert placed.acquisition_s == pytest.approx(moments)
        assert bool(placed.notes) == (moments[-1] >= ZERO + DAY_S)


def test_a_later_reconstruction_stays_later():
    for hours in (0.5, 3.0, 11.0, 15.0, 47.0, 24 * 30 + 1.0):
        first = ZERO + 8 * HOUR
        start = first + hours * HOUR
        placed = m.put_on_one_clock([(ZERO, 8 * HOUR)], (start - start % DAY_S, start % DAY_S), None)
        assert (placed.series_s, placed.notes) == (start, ())


def test_a_night_scan_dated_the_evening_before_is_decided_by_the_injection_or_doubted():
    images, series = [(ZERO, 1.5 * HOUR)], (ZERO + DAY_S, HOUR)
    moved = m.put_on_one_clock(images, series, ZERO + DAY_S + 0.5 * HOUR)
    assert moved.acquisition_s[0] - moved.series_s == 0.5 * HOUR
    doubt = m.put_on_one_clock(images, series, None)
    assert "30 min before the first image" in doubt.notes[0]


def test_a_series_time_long_before_the_images_is_not_the_start_of_their_scan():
    early = replace(GOOD, series_s=NOON - 7 * HOUR)
    chosen = choose_reference(early, HALF_LIFE_S, True)
    assert chosen.source != SERIES
    assert "7.0 h before the first image" in chosen.warnings[0]
    alone = choose_reference(replace(early, frame_reference_s=(None, None)), HALF_LIFE_S, True)
    assert alone.moment_s is None
    assert "7.0 h before the first image" in alone.reasons[0]


def stated(reference: str, **changes):
    entries = {"reference_time": Override("reference_time", reference, "console's log", "A")}
    return suv_of(replace(GOOD, **changes), Overrides(entries))


@pytest.mark.parametrize("reference", ["23:58:00", "00:02:00", "00:30"])
def test_a_reference_time_of_day_is_the_one_nearest_to_the_scan(reference):
    hours, minutes = map(int, reference.split(":")[:2])
    at = ZERO + 60.0 * (60 * hours + minutes) - (DAY_S if hours > 12 else 0.0)
    for first in (ZERO - 300.0, ZERO + 300.0):
        night = {"series_s": first, "acquisition_s": (first, first + 120.0), "injection_s": ZERO - HOUR}
        result = stated(reference, injection_time_s=23 * HOUR, **night)
        assert result.reasons == ()
        assert result.times.decay_min == pytest.approx((at - ZERO + HOUR) / 60.0)


def test_a_reference_time_on_the_wrong_day_names_its_own_key_and_form():
    night = {"series_s": ZERO + 300.0, "acquisition_s": (ZERO + 300.0,) * 2, "injection_s": ZERO - HOUR}
    told = stated("2025-03-11 00:05:00", **night)
    assert told.factor is None
    assert "24.0 h before the first image" in told.reasons[0].what
    for fault in told.reasons:
        assert "`reference_time` as `YYYY-MM-DD HH:MM:SS`" in fault.remedy
    assert stated("2025-03-12 00:05:00", **night).reasons == ()


def test_a_reference_time_of_day_follows_the_injection_where_the_scans_times_are_gone():
    gone = {"placeholder_times": True, "series_s": ZERO - DAY_S, "acquisition_s": (ZERO - DAY_S,) * 2}
    result = stated("00:20", injection_s=ZERO - 2400.0, **gone)
    assert (result.reasons, result.times.decay_min) == ((), 60.0)
    result = stated("23:50", injection_s=ZERO - 4200.0, **gone)
    assert (result.reasons, result.times.decay_min) == ((), 60.0)


def test_a_series_date_one_day_late_is_doubted_by_day_too(convert, tmp_path):
    """It may be a reconstruction of the next day, or wrong: then the scan began at SeriesTime."""
    noon = 12 * HOUR
    late = dated(scan(noon, first_s=600.0, frames=False), SeriesDate=LATER)
    warned = convert(study(tmp_path / "late", late), name="late").warnings
    assert any(m.DAY_AGAIN.format(minutes=10.0) in w for w in warned)
    sound = convert(study(tmp_path / "sound", scan(noon, first_s=600.0, frames=False)), name="sound").warnings
    assert not any("SeriesDate" in w for w in sound)


@pytest.mark.parametrize("days", [1, 3])
def test_a_series_date_that_is_late_is_not_believed_where_its_time_is_the_first_images(convert, tmp_path, days):
    """Beds that share the scan's start, the first frame 10 min later: back-computing would take 10 min off."""
    slices = scan(12 * HOUR, step_s=0.0)
    average = average_activity_time_s(DURATION_S, HALF_LIFE_S)
    late = dated(slices, SeriesDate=f"202503{12 + days}", FrameReferenceTime=f"{1e3 * (600.0 + average):.3f}")
    result = convert(study(tmp_path / "late", late))
    assert result.json()["suv_factor"] == pytest.approx(TRUE, rel=1e-6)
    assert any(m.misdated("SeriesDate") in w for w in result.warnings)


def with_offsets(slices, injection: str, scanner: str, zone: str = ""):
    """Date-times with offsets from UTC; the clock of the scanner is AcquisitionTime's."""
    for ds in slices:
        ds.AcquisitionDateTime = f"{ds.AcquisitionDate}{ds.AcquisitionTime}{scanner}"
        agent = ds.RadiopharmaceuticalInformationSequence[0]
        agent.RadiopharmaceuticalStartDateTime = injection
        if zone:
            ds.TimezoneOffsetFromUTC = zone
    return slices


@pytest.mark.parametrize("zone", ["", "+0200", "+0100\\+0200"])
def test_offsets_that_are_stated_are_used_in_the_night_of_a_change_of_clocks(convert, tmp_path, zone):
    """Injected at 01:30+0100, scanned at 03:30+0200: an hour later, though the clocks say two."""
    begun = 3.5 * HOUR
    slices = with_offsets(scan(begun), f"{NIGHT}013000+0100", "+0200", zone)
    for ds in slices:
        del ds.RadiopharmaceuticalInformationSequence[0].RadiopharmaceuticalStartTime
    document = convert(study(tmp_path / "in", slices), name="v").json()
    assert document["uptake_min"] == pytest.approx(60.0)
    assert document["suv_factor"] == pytest.approx(TRUE, rel=1e-6)


@pytest.mark.parametrize(("offset", "shift_h"), [("+0000", -2), ("+0000", 5), ("-0330", -5.5)])
def test_an_injection_on_another_zones_clock_gives_way_to_its_time_of_day(convert, tmp_path, offset, shift_h):
    begun = 12 * HOUR
    moment = ZERO + begun - HOUR + shift_h * HOUR
    slices = scan(begun)
    for ds in slices:
        agent = ds.RadiopharmaceuticalInformationSequence[0]
        agent.RadiopharmaceuticalStartDateTime = f"{day_text(moment)}{clock_text(moment)}{offset}"
    out = convert(study(tmp_path / "in", slices), name="v")
    assert out.json()["suv_factor"] == pytest.approx(TRUE, rel=1e-6)
    assert any("states an offset from UTC" in w for w in out.warnings)


def test_several_offsets_that_nothing_decides_are_named(convert, tmp_path):
    slices = scan(12 * HOUR)
    for ds in slices:
        ds.TimezoneOffsetFromUTC = "+0100\\+0200"
    assert any("several offsets from UTC" in w for w in convert(study(tmp_path / "in", slices), name="v").warnings)
