"""Decay reference, acquisition and injection are three times; each moves only what depends on it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicom.synthetic import FACTOR, HALF_LIFE_S, pet_series, study
from dicom.test_suv import AVERAGE_S, DECAYED, DURATION_S, GOOD, NOON, PLAIN, suv
from petflame.dicom.decay import EARLIEST, GE, SERIES, choose_reference
from petflame.dicom.overrides import Override, Overrides
from petflame.dicom.suv import suv_of
from petflame.dicom.uptake import frames_of

HOUR = 3600.0


def list_mode(start_s: float, frame_s: float, **changes):
    """One static frame `frame_s` after an injection at noon, of a scan that began `start_s` after it."""
    frame, start = NOON + frame_s, NOON + start_s
    return replace(
        GOOD,
        injection_s=NOON,
        injection_time_s=12 * HOUR,
        series_s=start,
        acquisition_s=(frame, frame),
        frame_reference_s=(frame - start + AVERAGE_S,) * 2,
        **changes,
    )


@given(st.floats(-590, 590), st.floats(50, 140))
def test_list_mode_start_moves_the_decay_and_the_frame_moves_the_uptake(start_s, frame_min):
    result = suv_of(list_mode(start_s, 60 * frame_min))
    assert result.reasons == ()
    assert result.warnings == ()
    assert result.uptake_min == pytest.approx(frame_min)
    assert result.factor == pytest.approx(PLAIN * 2 ** (start_s / HALF_LIFE_S))


@pytest.mark.parametrize("day", ["12:00:00", "12:00"])
def test_a_stated_injection_after_the_start_of_the_scan_is_of_the_same_day(day):
    given_ = Overrides({"injection_time": Override("injection_time", day, "log", "A")})
    header = list_mode(-20.0, HOUR, dose=GOOD.dose)
    result = suv_of(replace(header, injection_s=None, injection_time_s=9 * HOUR), given_)
    assert (result.uptake_min, result.reasons) == (60.0, ())
    assert result.times.decay_min == pytest.approx(-1 / 3)


def test_a_scan_begun_long_before_the_injection_is_refused_and_says_which_time():
    told = suv_of(list_mode(-900.0, HOUR))
    assert [f.what for f in told.reasons] == ["the decay reference lies 15.0 min before the injection"]
    assert suv_of(list_mode(-900.0, HOUR, units="GML")).factor == 1.0


def test_an_injection_after_the_images_is_a_contradiction_and_not_of_the_day_before():
    told = suv(injection_s=None, injection_time_s=12 * HOUR + 1200.0)
    assert told.uptake_min == -20.0
    assert "starts 20.0 min before the injection" in told.reasons[0].what


def test_a_stated_uptake_time_leaves_the_decay_alone():
    result = suv({"uptake_min": "90"})
    assert (result.uptake_min, result.factor) == (90.0, pytest.approx(DECAYED))
    assert result.times.bed_uptake_min == (60.0, 62.0)


def test_a_stated_uptake_time_says_when_the_injection_was_where_nothing_else_does():
    header = replace(list_mode(10.0, HOUR), injection_s=None, injection_time_s=None)
    result = suv_of(header, Overrides({"uptake_min": Override("uptake_min", "60", "log", "A")}))
    assert result.factor == pytest.approx(PLAIN * 2 ** (10.0 / HALF_LIFE_S))
    assert "override of the uptake time" in result.times.injection.source


def starts(**changes):
    frames = frames_of(replace(GOOD, **changes), HALF_LIFE_S, NOON)
    return tuple(s - NOON for s in frames.starts_s)


def test_frames_of_every_vendors_habit():
    beds = (0.0, 243.0)
    means = tuple(b + AVERAGE_S for b in beds)
    one = (NOON, NOON)
    assert starts() == (0.0, 120.0)
    assert starts(acquisition_s=one, frame_reference_s=beds) == beds  # GE: starts
    assert starts(acquisition_s=one, frame_reference_s=means) == pytest.approx(beds)  # Philips: means
    # A single frame an hour into the scan, whose AcquisitionTime repeats the series' ...
    assert starts(acquisition_s=one, frame_reference_s=(HOUR + AVERAGE_S,) * 2) == pytest.approx((HOUR, HOUR))
    # ... or is its own.
    own = {"acquisition_s": (NOON + HOUR,) * 2, "frame_reference_s": (HOUR + AVERAGE_S,) * 2}
    assert starts(**own) == (HOUR, HOUR)
    # Continuous bed motion within that frame is counted once.
    moving = {"acquisition_s": (NOON + HOUR,) * 2, "frame_reference_s": (HOUR + AVERAGE_S, HOUR + 60 + AVERAGE_S)}
    assert starts(**moving) == pytest.approx((HOUR, HOUR + 60))
    assert starts(acquisition_s=one, frame_reference_s=(0.0, 1e9)) == (0.0, 0.0)
    assert starts(acquisition_s=(None, None), frame_reference_s=beds) == beds
    assert starts(acquisition_s=(None, None), frame_reference_s=(None, None)) == (0.0, 0.0)


def test_the_sidecar_tells_the_three_times_apart(convert, tmp_path):
    pet = pet_series(AcquisitionTime="113000")
    document = convert(study(tmp_path / "in", pet)).json()
    assert document["suv_factor"] == pytest.approx(FACTOR)
    assert (document["uptake_min"], document["decay_min"]) == (90.0, 60.0)
    assert document["earliest_bed_uptake_min"] == document["latest_bed_uptake_min"] == 90.0
    assert document["earliest_bed_middle_min"] == 90.0 + DURATION_S / 120
    assert document["injection_may_be_assay"] is True
    assert "assayed" in document["injection_time_meaning"]


def ge(series_s: float, factor: bool = True, offsets: bool = True, private: bool = False):
    """Two beds of a GE scan that began at noon, with what a de-identifier leaves of its redundancy."""
    beds = (0.0, 243.0)
    inner = 2 ** (AVERAGE_S / HALF_LIFE_S)
    factors = tuple(inner * 2 ** (b / HALF_LIFE_S) for b in beds)
    return replace(
        GOOD,
        manufacturer="GE MEDICAL SYSTEMS",
        series_s=series_s,
        acquisition_s=(NOON, NOON),
        frame_reference_s=beds if offsets else (None, None),
        decay_factor=factors if factor else (None, None),
        ge_scan_s=NOON if private else None,
    )


@pytest.mark.parametrize("early_s", [90.0, 600.0, 2400.0])
def test_a_series_time_that_the_decay_factors_contradict_gives_way(early_s):
    for private, source in ((True, GE), (False, EARLIEST)):
        chosen = choose_reference(ge(NOON - early_s, private=private), HALF_LIFE_S, True)
        assert (chosen.source, chosen.moment_s, chosen.reasons) == (source, NOON, ())
        assert f"SeriesTime is {early_s:.0f} s before" in chosen.warnings[0]


def test_a_series_time_that_nothing_confirms_warns_with_the_size_of_the_doubt():
    for kept in ({"factor": False}, {"factor": False, "offsets": False}):
        chosen = choose_reference(ge(NOON - 600.0, **kept), HALF_LIFE_S, True)
        assert (chosen.source, chosen.moment_s) == (SERIES, NOON - 600.0)
        assert "+6.5 %" in chosen.warnings[0]
        assert "nothing else" in chosen.warnings[0]


def test_a_series_time_that_the_decay_factors_confirm_stays():
    agreed = choose_reference(ge(NOON), HALF_LIFE_S, True)
    assert (agreed.source, agreed.warnings) == (SERIES, ())
    # A frame an hour into a list-mode scan: its decay factor leads back to the series' time.
    frame = list_mode(0.0, HOUR)
    factor = 2 ** ((HOUR + AVERAGE_S) / HALF_LIFE_S)
    chosen = choose_reference(replace(frame, decay_factor=(factor, factor)), HALF_LIFE_S, True)
    assert (chosen.source, chosen.moment_s, chosen.warnings) == (SERIES, NOON, ())
    # Philips repeats the series' time as that of every bed; frame time and decay factor agree with each other.
    later = replace(GOOD, acquisition_s=(NOON, NOON), frame_reference_s=(1329.0,) * 2)
    factor = 2 ** (1329.0 / HALF_LIFE_S)
    philips = choose_reference(replace(later, decay_factor=(factor, factor)), HALF_LIFE_S, True)
    assert (philips.source, philips.moment_s) == (SERIES, NOON)
