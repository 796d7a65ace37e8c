"""The constructed trial that has the published summary figures, against what R printed for it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from petflame.trial.analyse import analyse
from petflame.trial.arms.ancova import make_arms
from petflame.trial.arms.missing import Imputer
from petflame.trial.choices import AnalysisChoices, TrialTables
from petflame.trial.events.outcomes import outcomes
from petflame.trial.reliability import reliability

pytestmark = pytest.mark.reference


@pytest.fixture(scope="module")
def data(reference):
    return reference("ivory_target")


@pytest.fixture(scope="module")
def arms_json(data, tmp_path_factory):
    given = TrialTables(data / "patients.tsv", data / "vessels.tsv", data / "allocation.tsv")
    return analyse(given, tmp_path_factory.mktemp("arms"), AnalysisChoices())


@pytest.fixture(scope="module")
def outcomes_json(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("outcomes")
    return outcomes(data / "outcomes.tsv", data / "allocation_followup.tsv", out)


@pytest.fixture(scope="module")
def reliability_json(data, tmp_path_factory):
    return reliability(data / "readings.tsv", tmp_path_factory.mktemp("reliability"))


def at(document, path):
    for key in path.split("/"):
        document = document[key]
    return document


@pytest.mark.parametrize(
    ("path", "value", "tolerance"),
    [
        ("primary/difference", -0.171, 1e-9),
        ("primary/se", 0.06841566, 5e-9),
        ("primary/ci_low", -0.308, 1e-9),
        ("primary/ci_high", -0.034, 1e-9),
        ("primary/p", 1.534340e-02, 5e-9),
        ("primary/slope", 0.55, 1e-9),
        ("primary/df", 57, 0),
        ("primary/control_mean", 2.22, 5e-3),
        ("primary/control_mean_se", 0.0485, 5e-5),
        ("primary/active_mean", 2.05, 5e-3),
        ("primary/active_mean_se", 0.0469, 5e-5),
        ("primary/adjusted_percent", -7.70, 1e-6),
        ("primary/adjusted_percent_delta_low", -13.6, 0.05),
        ("primary/adjusted_percent_delta_high", -1.8, 0.05),
        ("sensitivity/hc3/se", 0.07012553, 5e-9),
        ("sensitivity/hc3/p", 0.0179, 5e-5),
        ("sensitivity/log_ratio_percent/estimate", -7.934964, 5e-7),
        ("sensitivity/log_ratio_percent/low", -13.978436, 5e-7),
        ("sensitivity/log_ratio_percent/high", -1.466906, 5e-7),
        ("sensitivity/percent_change_ancova/estimate", -7.28182138, 5e-9),
        ("sensitivity/percent_change_ancova/se", 3.06897693, 5e-9),
        ("sensitivity/percent_change_ancova/p", 0.02105412, 5e-9),
        ("sensitivity/mean_percent_change_difference/p", 0.096, 5e-4),
        ("sensitivity/permutation/p", 0.0153, 0.0035),
        ("sensitivity/bootstrap/adjusted_percent_low", -13.3, 0.3),
        ("sensitivity/bootstrap/adjusted_percent_high", -1.8, 0.3),
        ("sensitivity/interaction/p", 0.949, 5e-4),
        ("mixed/difference", -0.1526396, 5e-8),
        ("mixed/se", 0.03500072, 1e-8),
        ("mixed/df", 58.354, 5e-4),
        ("mixed/p", 5.335889e-05, 1e-10),
        ("mixed/variance_between_patients", 0.0058899, 5e-8),
        ("mixed/variance_residual", 0.0352052, 5e-8),
        ("mixed/arm_by_vessel/f", 0.3298, 5e-5),
        ("mixed/arm_by_vessel/ddf", 116.07, 5e-3),
        ("mixed/arm_by_vessel/p", 0.7198, 5e-5),
        ("mixed/arm_by_vessel/terms/baseline/f", 173.0097, 1e-4),
        ("mixed/arm_by_vessel/terms/baseline/ddf", 101.48, 5e-3),
        ("mixed/arm_by_vessel/terms/vessel/f", 0.0056, 5e-5),
        ("mixed/arm_by_vessel/terms/vessel/ddf", 117.65, 5e-3),
        ("mixed/arm_by_vessel/terms/arm/f", 19.0136, 5e-5),
        ("mixed/arm_by_vessel/terms/arm/ddf", 58.33, 5e-3),
        ("vessels/aorta_ascending/difference", -0.160495, 5e-7),
        ("vessels/aorta_ascending/p", 0.00643046, 5e-9),
        ("vessels/carotid_right/difference", -0.11895, 5e-6),
        ("vessels/carotid_right/p", 0.0522196, 5e-8),
        ("vessels/carotid_left/difference", -0.180473, 5e-7),
        ("vessels/carotid_left/p", 0.00010649, 5e-9),
        ("vessels/aorta_ascending/p_holm", 0.0129, 5e-5),
        ("vessels/carotid_left/p_holm", 0.0003, 5e-5),
        ("vessels/carotid_right/p_holm", 0.052, 5e-4),
        ("vessel_mean/difference", -0.1664, 5e-5),
    ],
)
def test_arms_agree_with_the_reference(arms_json, path, value, tolerance):
    assert at(arms_json, path) == pytest.approx(value, abs=tolerance, rel=0)


def test_site_as_stratum(data, tmp_path):
    tables = {name: data / f"{name}.tsv" for name in ("patients", "allocation", "participants")}
    choices = AnalysisChoices(strata=("site",), permutations=500)
    found = analyse(TrialTables(**tables), tmp_path, choices)["primary"]
    assert found["difference"] == pytest.approx(-0.17019389, abs=5e-9)
    assert found["se"] == pytest.approx(0.06909989, abs=5e-9)
    assert found["p"] == pytest.approx(0.01687772, abs=5e-9)


def test_imputation_agrees_with_mice(data):
    table = pd.read_csv(data / "patients.tsv", sep="\t").merge(pd.read_csv(data / "allocation.tsv", sep="\t"))
    lost = (pd.read_csv(data / "r" / "miss.csv")["miss"].astype(str) == "True").to_numpy()
    arms = make_arms(table, "tbr_max_baseline", "tbr_max_followup")
    arms = replace(arms, followup=np.where(lost, np.nan, arms.followup))
    pooled = Imputer(arms, 500, seed=2).estimate()
    assert pooled["estimate"] == pytest.approx(-0.2011974, abs=0.005)
    assert pooled["se"] == pytest.approx(0.0712848, rel=0.03)
    assert pooled["df"] == pytest.approx(52.14, abs=1.5)


@pytest.mark.parametrize(
    ("path", "value", "tolerance"),
    [
        ("log_rank_p", 0.06337833, 5e-9),
        ("log_rank/permutation_p", 0.1009, 0.008),
        ("fisher_p", 0.1008, 5e-5),
        ("fisher/high", 2.132308, 2e-6),
        ("kaplan_meier/control/2/survival", 0.8929, 5e-5),
        ("kaplan_meier/control/2/low", 0.704, 5e-4),
        ("kaplan_meier/control/2/high", 0.964, 5e-4),
        ("kaplan_meier/control/2/at_risk", 25, 0),
        ("kaplan_meier/active/2/at_risk", 31, 0),
        ("events/active/proportion_high", 0.1121887, 5e-8),
        ("events/control/proportion_low", 0.02266509, 5e-9),
        ("events/control/proportion_high", 0.28226440, 5e-9),
        ("firth_cox/hr", 0.124303, 5e-7),
        ("firth_cox/low", 0.0009244318, 5e-9),
        ("firth_cox/high", 1.281905, 5e-5),
        ("firth_cox/p", 0.0849897, 5e-8),
        ("firth_logistic/log_odds_ratio", -2.157220, 2e-6),
        ("rate_ratio/p", 0.1028, 5e-5),
        ("rate_ratio/high", 2.133301, 1e-6),
    ],
)
def test_outcomes_agree_with_the_reference(outcomes_json, path, value, tolerance):
    assert at(outcomes_json, path) == pytest.approx(value, abs=tolerance, rel=0)


def test_an_arm_without_events_has_no_cox_estimate_but_the_penalised_one(outcomes_json):
    assert outcomes_json["events"]["active"]["events"] == 0
    assert outcomes_json["kaplan_meier"]["active"]["2"]["low"] is None
    assert "reason" in outcomes_json["kaplan_meier"]["active"]["2"]
    assert not [key for key in outcomes_json if "cox" in key and key != "firth_cox"]


@pytest.mark.parametrize(
    ("form", "value", "low", "high"),
    [
        ("1,1", 0.8883523, 0.6550082, 0.9682472),
        ("A,1", 0.8877874, 0.6365384, 0.9685639),
        ("C,1", 0.8788936, 0.6134622, 0.9659074),
        ("1,k", 0.9408756, 0.7915467, 0.9838675),
        ("A,k", 0.9405587, 0.7779083, 0.9840309),
        ("C,k", 0.9355438, 0.7604296, 0.9826580),
    ],
)
def test_icc_agrees_with_the_reference(reliability_json, form, value, low, high):
    found = reliability_json["icc"][form]
    assert [found[k] for k in ("estimate", "low", "high")] == pytest.approx([value, low, high], abs=1.1e-7)


def test_repeatability_agrees_with_the_reference(reliability_json):
    assert reliability_json["repeatability_coefficient"] == pytest.approx(0.239, abs=5e-4)
    assert reliability_json["repeatability_coefficient_low"] == pytest.approx(0.170, abs=5e-4)
    assert reliability_json["repeatability_coefficient_high"] == pytest.approx(0.406, abs=6e-4)
    assert reliability_json["minimal_detectable_change"] == pytest.approx(0.250, abs=5e-4)
