"""One within-subject variation: scans that were repeated set it, readings of one scan do not."""

from __future__ import annotations

import json
import math

import pytest

from petflame.errors import InputRefused
from petflame.privacy import with_names
from petflame.trial.design.plan import Design
from petflame.trial.design.power import power
from petflame.trial.design.simulated_trials import run_trials
from petflame.trial.design.within_subject import Total
from petflame.trial.design.words import lines


@pytest.fixture
def study(tmp_path):
    def write(**document):
        path = tmp_path / "reliability.json"
        path.write_text(json.dumps({"repeatability_df": 11, **document}))
        return path

    return write


def test_a_scan_rescan_study_sets_the_total_and_the_parts_keep_their_proportion(study):
    found = power(reliability=study(within_subject_cv=0.2, repeated="scan_rescan"), trials=100)
    within, default = found["within_subject"], Design()
    assert within["cv"] == pytest.approx(math.sqrt(math.log(1.04)), rel=1e-12)
    assert within["visit_cv"] ** 2 + within["measurement_cv"] ** 2 == pytest.approx(within["cv"] ** 2, rel=1e-12)
    assert within["visit_cv"] / within["measurement_cv"] == pytest.approx(default.visit_cv / default.measurement_cv)
    assert (found["design"]["visit_cv"], found["design"]["measurement_cv"]) == (
        within["visit_cv"],
        within["measurement_cv"],
    )
    assert "CV 20.00 %" in within["source"]


def test_the_residual_sd_follows_the_whole_of_it(study):
    # A study that finds what is assumed changes nothing (but for its limits); one that finds half of it halves the
    # vessel's own variation.
    assumed = Design().within_subject_cv
    same = power(reliability=study(within_subject_cv=math.sqrt(math.expm1(assumed**2)), repeated="scan_rescan"))
    plain = power()
    assert same["implied"]["residual_sd"] == pytest.approx(plain["implied"]["residual_sd"], rel=1e-9)
    assert same["sample_size"]["per_arm"] == plain["sample_size"]["per_arm"]
    half = power(reliability=study(within_subject_cv=assumed / 2, repeated="scan_rescan"), trials=500)
    assert half["implied"]["residual_sd"] < 0.62 * plain["implied"]["residual_sd"]
    assert half["within_subject"]["per_arm_at_published_sd"] >= plain["sample_size"]["per_arm"]
    assert "published" in half["within_subject"]["note"]
    assert half["within_subject"]["note"] in list(lines(half))


def test_one_vessel_repeated_differs_by_what_the_total_says():
    # With the patients all alike, what is left between two visits is the within-subject variation alone.
    design = Design(vessel_means=(2.0,), between_patient_sd=0.0, between_vessel_sd=0.0, effect_percent=0.0)
    row = run_trials(design.with_within_subject_cv(0.06), 500, 2)["index_log_ratio"]
    assert row["residual_sd"] == pytest.approx(0.06, rel=0.02)


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"within_subject_cv": 0.009, "repeated": "reading"}, "say nothing of how two scans"),
        ({"within_subject_cv": 0.05}, "--repeated scan_rescan"),
        ({"within_subject_cv": 0.05, "repeated": "both"}, "--repeated scan_rescan"),
        ({"within_subject_cv": None, "repeated": "scan_rescan"}, "within_subject_cv"),
        ({"within_subject_cv": 0.05, "repeatability_df": 0, "repeated": "scan_rescan"}, "repeatability_df"),
    ],
)
def test_what_is_no_study_of_repeated_scans_is_refused_in_words(study, document, said):
    with pytest.raises(InputRefused) as refused:
        power(reliability=study(**document), trials=100)
    assert said in with_names(str(refused.value.faults[0]))


def test_limits_of_a_small_study_give_limits_of_the_number(study):
    path = study(within_subject_cv=0.08, repeatability_df=11, repeated="scan_rescan")
    found = power(reliability=path, trials=200)
    within = found["within_subject"]
    # 11 / 21.920 and 11 / 3.8157, the quantiles of chi-square with 11 degrees of freedom.
    assert within["cv_low"] / within["cv"] == pytest.approx(math.sqrt(11 / 21.9200), rel=1e-4)
    assert within["cv_high"] / within["cv"] == pytest.approx(math.sqrt(11 / 3.81575), rel=1e-4)
    assert within["per_arm_low"] < found["sample_size"]["per_arm"] < within["per_arm_high"]
    assert Total(0.08, "assumed").limits is None
    assert power(trials=100)["within_subject"]["cv_low"] is None


def test_a_design_without_parts_has_no_proportion():
    with pytest.raises(InputRefused, match="no parts"):
        Design(visit_cv=0.0, measurement_cv=0.0).with_within_subject_cv(0.05)
