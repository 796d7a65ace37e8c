"""Our own data against what R printed for it (golden/golden.R)."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from petflame.trial.analyse import analyse
from petflame.trial.arms.ancova import make_arms
from petflame.trial.arms.interaction import interaction
from petflame.trial.arms.missing import Imputer
from petflame.trial.choices import AnalysisChoices, TrialTables
from petflame.trial.events.outcomes import outcomes
from petflame.trial.reliability import reliability

CLOSED = 1e-9
MIXED = 1e-5


@pytest.fixture(scope="module")
def arms_json(golden_tables, tmp_path_factory):
    t = golden_tables
    out = tmp_path_factory.mktemp("arms")
    return analyse(TrialTables(t["patients"], t["vessels"], t["allocation"]), out, AnalysisChoices(permutations=200))


@pytest.fixture(scope="module")
def stratified(golden_tables, tmp_path_factory):
    t = golden_tables
    given = TrialTables(t["patients"], allocation=t["allocation"], participants=t["participants"])
    return analyse(given, tmp_path_factory.mktemp("strata"), AnalysisChoices(strata=("site",), permutations=200))


def check(found, golden, prefix, keys, rel):
    for key, name in keys.items():
        assert found[key] == pytest.approx(golden[f"{prefix}.{name}"], rel=rel), f"{prefix}.{name}"


T_KEYS = {"difference": "estimate", "se": "se", "p": "p", "ci_low": "low", "ci_high": "high"}
E_KEYS = {"estimate": "estimate", "se": "se", "p": "p", "low": "low", "high": "high"}


def test_primary_model(arms_json, golden):
    check(arms_json["primary"], golden, "ancova", T_KEYS, CLOSED)
    percent = {
        "adjusted_percent": "estimate",
        "adjusted_percent_delta_low": "low",
        "adjusted_percent_delta_high": "high",
    }
    check(arms_json["primary"], golden, "percent", percent, CLOSED)
    fieller = {"adjusted_percent_low": "low", "adjusted_percent_high": "high"}
    check(arms_json["primary"], golden, "fieller", fieller, CLOSED)
    check(arms_json["sensitivity"]["welch"], golden, "welch", {"se": "se", "df": "df", "p": "p"}, CLOSED)
    assert arms_json["sensitivity"]["hc3"]["se"] == pytest.approx(golden["hc3.se"], rel=CLOSED)


def test_strata_agree_with_r(stratified, golden):
    check(stratified["primary"], golden, "strata", T_KEYS, CLOSED)
    assert stratified["sensitivity"]["hc3"]["se"] == pytest.approx(golden["strata.hc3.se"], rel=CLOSED)
    assert stratified["sensitivity"]["permutation"]["strata"] == 3


def test_three_percentages_are_three_numbers(arms_json, golden):
    sensitivity = arms_json["sensitivity"]
    log = sensitivity["log_ratio_percent"]
    for key, name in (("estimate", "estimate"), ("low", "low"), ("high", "high")):
        assert log[key] == pytest.approx(100 * math.expm1(golden[f"log.{name}"]), rel=CLOSED)
    check(sensitivity["mean_percent_change_difference"], golden, "change", E_KEYS, CLOSED)
    check(sensitivity["percent_change_ancova"], golden, "percent_ancova", E_KEYS, CLOSED)
    estimates = {
        round(arms_json["primary"]["adjusted_percent"], 3),
        round(log["estimate"], 3),
        round(sensitivity["mean_percent_change_difference"]["estimate"], 3),
    }
    assert len(estimates) == 3


def test_interaction_agrees_with_r(arms_json, golden):
    found = arms_json["sensitivity"]["interaction"]
    keys = {"estimate": "estimate", "se": "se", "p": "p", "ci_low": "low", "ci_high": "high"}
    check(found, golden, "interaction", keys, 1e-8)
    check(found["percentiles"]["90"], golden, "interaction90", T_KEYS, 1e-8)


def test_vessels_and_holm(arms_json, golden):
    for name, block in arms_json["vessels"].items():
        check(block, golden, f"vessel.{name}", T_KEYS, CLOSED)
        assert block["p_holm"] == pytest.approx(golden[f"holm.{name}"], rel=CLOSED)


def test_mixed_model_and_kenward_roger(arms_json, golden):
    mixed = arms_json["mixed"]
    keys = {"difference": "estimate", "se": "se", "df": "df", "p": "p"}
    check(mixed, golden, "mixed", keys, MIXED)
    assert mixed["variance_between_patients"] == pytest.approx(golden["mixed.tau2"], rel=1e-4)
    assert mixed["variance_residual"] == pytest.approx(golden["mixed.sigma2"], rel=1e-4)
    check(mixed["arm_by_vessel"], golden, "by_vessel", {k: k for k in ("f", "ddf", "p", "scaling")}, MIXED)
    hotter = mixed["interaction"]["percentiles"]["90"]
    check(hotter, golden, "within90", {"difference": "estimate", "se": "se", "df": "df"}, MIXED)


def test_multiple_imputation_within_monte_carlo_error(golden_tables, golden):
    t = golden_tables
    table = pd.read_csv(t["patients"], sep="\t").merge(pd.read_csv(t["allocation"], sep="\t"))
    arms = make_arms(table, "tbr_max_baseline", "tbr_max_followup")
    lost = (np.arange(len(table)) + 1) % 5 == 0
    arms = replace(arms, followup=np.where(lost, np.nan, arms.followup))
    pooled = Imputer(arms, 4000, seed=5).estimate()
    assert pooled["estimate"] == pytest.approx(golden["mi.estimate"], abs=0.003)
    assert pooled["se"] == pytest.approx(golden["mi.se"], rel=0.03)
    assert pooled["df"] == pytest.approx(golden["mi.df"], abs=0.7)


def test_reliability_agrees_with_r(golden_tables, golden, tmp_path):
    found = reliability(golden_tables["readings"], tmp_path)
    for form, record in found["icc"].items():
        assert record["estimate"] == pytest.approx(golden[f"icc.{form}"], rel=1e-8)
        assert record["low"] == pytest.approx(golden[f"icc.{form}.low"], rel=1e-8)
        assert record["high"] == pytest.approx(golden[f"icc.{form}.high"], rel=1e-8)
    assert found["repeatability_coefficient"] == pytest.approx(golden["repeatability"], rel=CLOSED)
    assert found["repeatability_coefficient_low"] == pytest.approx(golden["repeatability.low"], rel=CLOSED)
    assert found["repeatability_coefficient_high"] == pytest.approx(golden["repeatability.high"], rel=CLOSED)
    assert found["within_subject_cv"] == pytest.approx(golden["cv.raw"], rel=CLOSED)
    assert found["within_subject_cv_low"] < found["within_subject_cv"] < found["within_subject_cv_high"]
    logs = reliability(golden_tables["readings"], tmp_path, log=True)
    for end in ("", "_low", "_high"):
        key = f"cv.log{end.replace('_', '.')}"
        assert logs[f"within_subject_cv{end}"] == pytest.approx(golden[key], rel=CLOSED)
    pair = found["bland_altman"]["pairs"]["bob - ann"]
    assert pair["bias"] == pytest.approx(golden["ba.bias"], rel=CLOSED)
    assert pair["sd"] == pytest.approx(golden["ba.sd"], rel=CLOSED)
    assert pair["proportional_bias"]["slope"] == pytest.approx(golden["ba.slope"], rel=CLOSED)
    assert pair["proportional_bias"]["p"] == pytest.approx(golden["ba.slope_p"], rel=CLOSED)


def test_outcomes_agree_with_r(golden_tables, golden, tmp_path):
    found = outcomes(golden_tables["outcomes"], golden_tables["allocation_followup"], tmp_path)
    assert found["log_rank_p"] == pytest.approx(golden["log_rank"], rel=1e-8)
    assert found["fisher_p"] == pytest.approx(golden["fisher"], rel=1e-8)
    early = sum(found["at_horizon"][arm]["censored_before"] for arm in ("active", "control"))
    assert early == golden["fisher.early"]
    for arm in ("active", "control"):
        record = found["kaplan_meier"][arm]["2"]
        assert record["survival"] == pytest.approx(golden[f"km.{arm}"], rel=1e-8)
        assert record["low"] == pytest.approx(golden[f"km.{arm}.low"], rel=1e-8)
        assert record["high"] == pytest.approx(golden[f"km.{arm}.high"], rel=1e-8)
        assert record["at_risk"] == golden[f"km.{arm}.at_risk"]
    for key in ("hr", "low", "high", "p"):
        assert found["firth_cox"][key] == pytest.approx(golden[f"firth.{key}"], rel=1e-6)
    assert found["rate_ratio"]["estimate"] == pytest.approx(golden["rate_ratio"], rel=1e-8)
    for key in ("low", "high", "p"):
        assert found["rate_ratio"][key] == pytest.approx(golden[f"rate_ratio.{key}"], rel=1e-6)


def test_percentile_effect_at_the_mean_is_the_additive_one(golden_tables):
    """The interaction model at the mean baseline agrees with the primary model when slopes agree."""
    base = np.linspace(1.8, 2.8, 20)
    arm = np.where(np.arange(20) % 2, "active", "control")
    noise = 0.01 * np.cos(np.arange(20))
    table = pd.DataFrame(
        {"participant_id": range(20), "arm": arm, "b": base, "f": base + noise - 0.1 * (arm == "active")}
    )
    record = interaction(make_arms(table, "b", "f"))
    assert record["percentiles"]["50"]["difference"] == pytest.approx(-0.1, abs=0.01)
