"""What the figures and sentences claim."""

from __future__ import annotations

import json
import re

import pytest

from petflame.protocol import Protocol
from petflame.report import figures, tables, words
from petflame.report.participants import hottest_section, picture_orders, sections_to_show, table_row
from petflame.report.read import read_results
from petflame.trial.arms.vessel_blocks import Vessel, VesselMean
from petflame.trial.blocks import without


@pytest.fixture(scope="module")
def results(finished):
    return read_results(finished.out, finished.root)


def test_reading_keeps_everybody_with_arm_and_visits(results):
    assert [p.id for p in results.participants] == [f"P{n:02d}" for n in range(1, 9)]
    assert not results.blinded
    assert not results.simulated
    assert len(results.measured) == 7
    last = results.participants[-1]
    assert last.visits["baseline"].has_pictures
    assert not last.visits["followup"].has_pictures
    assert "one slice is missing" in [e["what"] for e in last.exclusions if e["kind"] == "refused"]


def test_a_study_with_its_own_truth_is_named_as_simulated(finished, tmp_path):
    (tmp_path / "truth.json").write_text(json.dumps({"format": "petflame-simulated-truth/1"}))
    assert read_results(finished.out, tmp_path).simulated


def test_the_waterfall_has_a_bar_a_patient_in_the_colours_of_the_arms(results):
    drawn = str(figures.waterfall(results.measured, (-12.9, 14.9)))
    assert len(re.findall('class="bar-active', drawn)) == sum(p.arm == "active" for p in results.measured)
    assert len(re.findall('class="bar-control', drawn)) == sum(p.arm == "control" for p in results.measured)
    assert 'class="band"' in drawn


def test_intervals_beyond_the_scale_are_clipped_and_a_missing_one_is_empty():
    scale = figures.interval_scale([{"estimate": 1.0, "low": 0.0, "high": 2.0}])
    assert scale.low < 0 < 2 < scale.high
    assert figures.interval({"estimate": None}, scale) == ""
    assert str(figures.interval({"estimate": 1.0, "low": -1e9, "high": 1e9}, scale)).count("<line") == 2


def test_the_axial_picture_shows_the_section_hottest_at_baseline_and_its_match(results):
    p = results.participants[0]
    index = p.row["index_vessel"]
    shown = sections_to_show(p, index)
    assert shown["baseline"] == hottest_section(p.visits["baseline"], index)
    (match,) = [r for r in p.sections if r["vessel"] == index and r["section_baseline"] == shown["baseline"]["section"]]
    assert shown["followup"]["section"] == match["section_followup"]
    orders = picture_orders(p, Protocol(), 4.0)
    assert orders["baseline"].section_z_mm == shown["baseline"]["z_mm"]
    assert orders["baseline"].vessel == index


def test_a_visit_without_a_pair_is_still_drawn(results):
    orders = picture_orders(results.participants[-1], Protocol(), 4.0)
    assert list(orders) == ["baseline"]


def test_a_row_of_the_table_carries_band_and_grade(results):
    row = table_row(results.participants[2])
    assert re.fullmatch(r"[+−]\d+\.\d\u00a0%", row["percent"])
    assert " to " in row["band"]
    last = table_row(results.participants[-1])
    assert (last["status"], last["measured"]) == ("follow-up refused", False)
    assert "one slice is missing" in last["why"]


@pytest.mark.parametrize(
    ("value", "p", "alpha", "claim"),
    [
        (-5.0, 0.01, 0.05, "lower with active treatment than"),
        (5.0, 0.01, 0.05, "higher with active treatment than"),
        (-5.0, 0.2, 0.05, "No difference was shown"),
        (-5.0, 0.02, 0.01, "No difference was shown"),
    ],
)
def test_a_direction_is_claimed_only_where_the_planned_level_is_reached(value, p, alpha, claim):
    planned = {"title": "Adjusted percent", "value": value, "p": p}
    assert claim in words.effect_headline(planned, alpha)
    assert ("did not reach" in words.verdict_sentence(planned, alpha)) == (alpha == 0.01)


def test_a_difference_of_mean_percent_changes_is_in_points_of_its_own_sign():
    said = words.effect_headline({"title": "Difference of mean percent changes", "value": 5.5, "p": 0.001})
    assert said.startswith("The mean percent change in TBRmax of the index vessel was 5.5 points higher")


def test_how_many_sensitivity_analyses_agree_is_said_and_the_fewer_are_named():
    arms = {
        "plan": {"sensitivity": ["a", "b", "c", "e"], "alpha": 0.05, "primary_percentage": "adjusted_percent"},
        "sensitivity": {
            "a": {"p": 0.01, "difference": -0.1},
            "b": {"p": 0.01, "estimate": 0.1},
            "c": {"p": 0.02},
            "d": {"p": 0.9, "estimate": -1.0},
            "e": {"p": 0.03, "estimate": -1.0},
        },
    }
    names = {"a": "One", "b": "Other way", "c": "Three", "d": "Not planned", "e": "Five"}
    said = words.agreement_sentence(arms, names, -7.7)
    assert said == "Of 4 planned sensitivity analyses with a p, 3 point the same way with p < 0.05 (not Other way)."
    arms["plan"]["primary_percentage"] = "e"
    assert words.agreement_sentence(arms, names, -7.7).startswith("Of 3 planned")


def test_the_noise_sentence_follows_the_band_and_says_what_is_assumed():
    assumed = {
        "no_change_band_percent": [-12.9, 14.9],
        "within_subject_cv": 0.05,
        "within_subject_df": None,
        "within_subject_cv_low": None,
        "within_subject_cv_high": None,
        "assumed": True,
        "published_bands_percent": [9.5],
    }
    words_of = words.noise_sentence(-7.7, assumed)
    assert "A change of −7.7\u00a0% in a single patient lies within assumed measurement noise" in words_of
    assert "has not measured" in words_of
    assert "95 of 100" not in words_of
    assert "beyond" in words.noise_sentence(-30.0, assumed)
    assert "published average effect" in words.noise_sentence(None, assumed)
    found = {
        "assumed": False,
        "within_subject_df": 11.0,
        "within_subject_cv_low": 0.035,
        "within_subject_cv_high": 0.085,
    }
    measured = words.noise_sentence(-7.7, assumed | found)
    assert "assumed" not in measured
    assert "3.5 to 8.5" in measured
    assert "95 of 100" in measured


def test_tables_give_the_reason_where_there_is_no_number():
    arms = {
        "primary": None,
        "vessels": {"aorta_arch": without(Vessel, "too few patients", missing=[])},
        "vessel_mean": without(VesselMean, "too few patients", definition="", missing=[]),
        "sensitivity": None,
        "negative_controls": None,
        "plan": {"key_secondary": []},
        "key_secondary": None,
    }
    table = tables.vessels(arms)
    assert table is not None
    assert table.rows[0]["note"] == "too few patients"
    assert table.rows[0]["estimate"] == words.DASH
    assert tables.percentages(arms) is None
    assert tables.sensitivity(arms) is None
    assert tables.negative_controls(arms) is None


def test_a_band_that_the_control_arm_contradicts_says_so_beside_the_result():
    patients = {
        "no_change_band_percent": [-12.9, 14.9],
        "within_subject_cv": 0.05,
        "within_subject_df": None,
        "assumed": True,
        "published_bands_percent": [],
    }
    check = {"too_narrow": True, "sentence": "The band is too narrow."}
    assert words.noise_sentence(-7.7, patients, check).endswith("The band is too narrow.")
    assert "narrow" not in words.noise_sentence(-7.7, patients, check | {"too_narrow": False})
