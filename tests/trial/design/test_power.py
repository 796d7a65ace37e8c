"""Power and the trials it is simulated from."""

from __future__ import annotations

import json

import numpy as np
import pytest

from petflame.errors import InputRefused
from petflame.trial.design.batch import batch_ancova
from petflame.trial.design.power import power
from petflame.trial.design.simulated_trials import Design, run_trials


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


def test_reliability_study_sets_the_measurement_cv(tmp_path):
    (tmp_path / "reliability.json").write_text('{"within_subject_cv": 0.08}')
    found = power(reliability=tmp_path / "reliability.json", trials=100)
    assert found["design"]["measurement_cv"] == 0.08
