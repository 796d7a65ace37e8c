"""Power and the trials it is simulated from."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests
from typer.testing import CliRunner

from petflame.anatomy import TARGET_VESSELS
from petflame.cli import app
from petflame.errors import InputRefused
from petflame.trial.design.batch import batch_ancova, holm
from petflame.trial.design.plan import Design
from petflame.trial.design.power import power
from petflame.trial.design.simulated_trials import run_trials
from petflame.trial.design.words import lines
from petflame.trial.endpoints import ENDPOINTS, PRIMARY


def test_power_finds_effect_size_and_regression_to_the_mean(tmp_path):
    found = power(tmp_path, trials=400, patients_per_arm=30)
    assert json.loads((tmp_path / "power.json").read_text())["trials"] == 400
    assert found["implied"]["baseline_mean"] == pytest.approx(2.31, abs=0.03)
    assert found["implied"]["residual_sd"] == pytest.approx(0.257, abs=0.015)
    assert found["implied"]["control_change_without_drug"] < -0.02
    assert found["power"]["index_adjusted_percent"]["estimate_mean"] == pytest.approx(-7.7, abs=0.6)
    assert 0.02 <= found["type_i_error"]["index_ancova"]["rejection"] <= 0.08


def test_selected_sections_fall_without_a_drug_and_keep_their_type_i_error():
    found = run_trials(Design(effect_percent=0.0), 1000, 4)
    index = 100 * found["index"]["control_change_without_drug"] / found["index"]["baseline_mean"]
    # Simulated null trials: the locked worst segment falls by 3.9 %, the index vessel by 0.8 %.
    assert found["index"]["mds_locked_percent_without_drug"] - index == pytest.approx(-3.1, abs=0.3)
    assert found["index"]["active_locked_percent_without_drug"] < -1.0
    for name in ("mds_locked_ancova", "mds_refound_ancova", "active_locked_ancova"):
        assert found[name]["rejection"] == pytest.approx(0.05, abs=0.02)
        assert found[name]["coverage"] == pytest.approx(0.95, abs=0.02)
    # With nothing that differs between visits but the vessel's mean, the segment falls no more than the vessel.
    steady = run_trials(Design(effect_percent=0.0, section_noise_sd=0.0), 300, 4)["index"]
    assert steady["mds_locked_percent_without_drug"] == pytest.approx(index, abs=0.3)


def test_patients_without_a_value_leave_their_trial_as_if_they_had_not_been_there():
    rng = np.random.default_rng(1)
    base, follow = rng.normal(2.3, 0.3, (4, 30)), rng.normal(2.2, 0.3, (4, 30))
    active = np.repeat([1.0, 0.0], 15)
    known = rng.random((4, 30)) > 0.2
    whole = batch_ancova(np.where(known, base, np.nan), np.where(known, follow, np.nan), active, known).difference()
    for n in range(4):
        own = known[n]
        alone = batch_ancova(base[n : n + 1, own], follow[n : n + 1, own], active[own]).difference()
        for key in ("estimate", "se", "p", "low", "high"):
            assert whole[key][n] == pytest.approx(alone[key][0], rel=1e-9)


def test_a_design_says_everything_that_is_wrong_with_it():
    with pytest.raises(InputRefused) as refused:
        Design(dropout=0.95, segment_sections=30, active_threshold=0.0, section_sd=-1.0).check()
    assert {f.where for f in refused.value.faults} == {
        "dropout",
        "segment_sections",
        "active_threshold",
        "section_sd",
    }


def test_more_patients_give_more_power():
    few, many = (run_trials(Design(patients_per_arm=n), 300, 1)["index_ancova"]["rejection"] for n in (15, 80))
    assert few < many


def test_every_declared_endpoint_stands_in_the_document_with_its_sd_or_a_reason(tmp_path):
    power(tmp_path, trials=100, active_threshold=8.0)
    found = json.loads((tmp_path / "power.json").read_text())
    assert list(found["endpoints"]) == [PRIMARY.name, *(e.name for e in ENDPOINTS)]
    assert list(found["vessels"]) == list(TARGET_VESSELS)
    for name, item in (found["endpoints"] | found["vessels"]).items():
        # No section of any vessel reaches a TBR of 8: what selects active ones has nothing to test.
        if name.startswith("active"):
            assert "0 % of the simulated trials" in item["reason"]
            assert item["power"] is item["residual_sd"] is item["per_arm"] is None
        else:
            assert item["reason"] is None
            assert item["residual_sd"] > 0
            assert item["per_arm"] >= 2
            assert item["power"] == found["power"][item["test"]]["rejection"]
    assert found["endpoints"]["tbr_max"]["residual_sd"] == found["implied"]["residual_sd"]
    assert found["sample_size"]["per_arm"] == found["endpoints"]["tbr_max"]["per_arm"]


def test_an_endpoint_declared_but_not_simulated_says_so(monkeypatch):
    new = replace(ENDPOINTS[0], name="wall_volume")
    monkeypatch.setattr("petflame.trial.design.endpoint_power.ENDPOINTS", (*ENDPOINTS, new))
    item = power(trials=100)["endpoints"]["wall_volume"]
    assert item["power"] is None
    assert "does not make this endpoint" in item["reason"]


def test_all_tests_keep_their_type_i_error_and_intervals_hold_the_truth():
    for effect in (0.0, -15.0):
        found = run_trials(Design(effect_percent=effect), 1500, 8)
        del found["index"]
        for name, row in found.items():
            if effect == 0:
                assert row["rejection"] == pytest.approx(0.05, abs=0.025), name
                assert row["true_difference"] == 0
            if row["coverage"] is None:
                assert name == "active_refound_ancova"
            else:
                assert row["coverage"] == pytest.approx(0.95, abs=0.025), name
                assert row["estimate_mean"] == pytest.approx(row["true_difference"], abs=0.25 * row["se_mean"]), name


@pytest.mark.parametrize("name", ["tbr_max", "csuv_max"])
def test_the_number_asked_for_has_the_power_it_was_asked_for(name):
    item = power(trials=500)["endpoints"][name]
    there = run_trials(Design(patients_per_arm=item["per_arm"]), 1500, 5)[item["test"]]
    assert there["rejection"] == pytest.approx(0.8, abs=0.04)


def test_blood_pool_differs_between_visits_as_published():
    # SUVmax less blood pool of an unchanging ratio of 2 is blood pool itself.
    steady = Design(vessel_means=(2.0,), between_patient_sd=1e-6, between_vessel_sd=0, visit_cv=0, measurement_cv=0)
    row = run_trials(replace(steady, effect_percent=0.0), 500, 3)["csuv_max_ancova"]
    between, within = (1.55**2 * np.expm1(cv**2) for cv in (steady.blood_pool_cv, steady.blood_pool_visit_cv))
    assert np.sqrt(2 * within) == pytest.approx(0.42, abs=0.01)
    total = between + within + between * within / 1.55**2
    assert row["residual_sd"] == pytest.approx(np.sqrt(total - between**2 / total), rel=0.02)


def test_a_trial_that_cannot_be_fitted_is_no_number_and_leaves_the_others_alone():
    rng = np.random.default_rng(2)
    base, follow = rng.normal(2.3, 0.3, (6, 12)), rng.normal(2.2, 0.3, (6, 12))
    active = np.repeat([1.0, 0.0], 6)
    known = np.ones((6, 12), dtype=bool)
    known[1, 6:] = False  # no control
    known[2, 3:] = False  # three patients
    base[3] = 2.0  # a baseline that does not vary
    base[4] = active  # a baseline that is the arm
    follow[5] = 1.5 * base[5]  # an exact fit
    found = batch_ancova(base, follow, active, known).difference()
    alone = batch_ancova(base[:1], follow[:1], active).difference()
    for key in ("estimate", "se", "p", "low", "high", "sigma"):
        assert np.isnan(found[key][1:]).all()
        assert found[key][0] == pytest.approx(alone[key][0], rel=1e-12)


def test_holm_is_that_of_statsmodels():
    p = np.random.default_rng(0).random((50, 4)) ** 3
    expected = [multipletests(row, method="holm")[1] for row in p]
    assert holm(p) == pytest.approx(np.array(expected), rel=1e-12)


def test_without_residual_variation_there_is_no_number_and_no_crash(tmp_path):
    found = power(tmp_path, trials=100, effect_percent=0.0, visit_cv=0.0, measurement_cv=0.0)
    assert found["endpoints"]["tbr_max"]["reason"]
    assert found["sample_size"]["per_arm"] is None
    assert list(lines(found))


def test_the_words_begin_with_the_design_and_give_every_error_its_own(tmp_path):
    found = power(tmp_path, trials=200, dropout=0.1)
    first, *others = lines(found)
    difference = found["sample_size"]["difference"]
    assert "30 patients to randomise in each arm, 10 % dropout; effect -7.7 %" in first
    assert f"a difference of {difference:+.3f} in the TBRmax" in first
    assert "alpha 0.05 two-sided; 200 simulated trials" in first
    primary = next(line for line in others if line.startswith("tbr_max:"))
    rate = found["type_i_error"]["index_ancova"]["rejection"]
    assert f"type I error {100 * rate:.1f} % (SE {100 * np.sqrt(rate * (1 - rate) / 200):.1f})" in primary
    assert f"{found['sample_size']['per_arm']} an arm to randomise for 80 % power, with 10 % dropout" in primary


def test_the_verb_says_where_its_document_is(tmp_path):
    import_module("petflame.cli.trial")
    ran = CliRunner().invoke(app, ["power", "--trials", "100", "--out", str(tmp_path)])
    assert f"written: {tmp_path / 'power.json'}" in ran.output
    assert "nothing was written" in CliRunner().invoke(app, ["power", "--trials", "100"]).output
