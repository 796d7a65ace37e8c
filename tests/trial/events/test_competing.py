"""Competing deaths, tied times and day 0, against R."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from lifelines import AalenJohansenFitter, KaplanMeierFitter

from petflame.trial.events.blocks import OutcomesDocument
from petflame.trial.events.incidence import cumulative_incidence, incidence_by_row

ARMS = ("active", "control")


@pytest.fixture
def whole(analysed, r_data):
    return analysed(r_data)


def of(data, arm):
    rows = data[data["arm"] == arm]
    return rows["time_years"].to_numpy(), rows["event"].to_numpy()


@pytest.mark.parametrize("arm", ARMS)
@pytest.mark.parametrize("cause", [1, 2])
def test_incidence_and_variance_agree_with_r(r_says, r_data, arm, cause):
    curve = cumulative_incidence(*of(r_data, arm), cause)
    for year in (0, 1, 2):
        name = f"aj.{arm}.{year}.{cause}"
        assert curve.at(year) == pytest.approx((r_says[name], r_says[f"{name}.var"]), abs=1e-10)


def test_the_document_holds_both_causes_and_the_difference_of_incidences(whole, r_says):
    block = whole["competing_events"]["cumulative_incidence"]
    for arm in ARMS:
        assert set(block[arm]) == {"1", "2", "5"}
        for year in ("1", "2"):
            for cause, number in (("event", 1), ("competing", 2)):
                found = block[arm][year][cause]
                assert found["incidence"] == pytest.approx(r_says[f"aj.{arm}.{year}.{number}"], abs=1e-10)
                assert found["low"] < found["incidence"] < found["high"]
        assert block[arm]["5"]["event"]["reason"] == "nobody was followed so long"
    risks = whole["risk_difference"]
    assert risks["estimator"] == "Aalen-Johansen"
    assert "a competing death ends" in risks["definition"]
    assert risks["difference"] == pytest.approx(r_says["aj.active.2.1"] - r_says["aj.control.2.1"])


def test_the_log_log_interval_is_that_of_lifelines(analysed, r_data):
    # Without ties and day 0 lifelines can be asked itself.
    data = r_data.assign(time_years=r_data["time_years"] + 0.01 + np.arange(len(r_data)) / 1e5)
    found = analysed(data)["competing_events"]["cumulative_incidence"]
    for arm in ARMS:
        for cause, number in (("event", 1), ("competing", 2)):
            limits = AalenJohansenFitter().fit(*of(data, arm), number).confidence_interval_.loc[:2.0].iloc[-1]
            block = found[arm]["2"][cause]
            assert [block["low"], block["high"]] == pytest.approx(sorted(limits))


def test_log_rank_cox_and_rates_are_cause_specific_and_say_so(whole, r_says):
    assert whole["log_rank_p"] == pytest.approx(r_says["log_rank"], rel=1e-8)
    # firthmodels takes ties by Breslow's method.
    assert whole["firth_cox"]["hr"] == pytest.approx(r_says["firth.breslow"], rel=1e-6)
    assert whole["rate_ratio"]["estimate"] == pytest.approx(r_says["rate_ratio"])
    assert whole["rate_ratio"]["p"] == pytest.approx(r_says["rate_ratio.p"])
    for name in ("log_rank", "firth_cox", "rate_ratio"):
        assert "Cause-specific" in whole[name]["definition"]
    for arm in ARMS:
        for year in ("1", "2"):
            found = whole["kaplan_meier"][arm][year]["survival"]
            assert found == pytest.approx(r_says[f"km.{arm}.{year}"])


def test_a_competing_death_before_the_horizon_is_known_to_be_without_the_event(whole, r_data):
    for arm in ARMS:
        time, code = of(r_data, arm)
        found = whole["at_horizon"][arm]
        assert found["competing_before"] == ((code == 2) & (time <= 2)).sum() > 0
        assert found["n"] + found["censored_before"] == time.size
        assert found["events"] == ((code == 1) & (time <= 2)).sum()
        assert whole["events"][arm]["competing"] == (code == 2).sum()
        assert whole["events"][arm]["events"] == (code == 1).sum()


def test_without_code_2_nothing_changes_and_no_block_of_competing_events_stands(analysed, r_data):
    data = r_data[r_data["event"] != 2]
    found = analysed(data)
    assert found["competing_events"] is None
    assert "ause-specific" not in str(found)
    for arm in ARMS:
        time, code = of(data, arm)
        survival = KaplanMeierFitter().fit(time, code).survival_function_at_times(2.0).iloc[0]
        assert found["risk_difference"][arm]["risk"] == pytest.approx(1 - survival)
        assert found["kaplan_meier"][arm]["2"]["survival"] == pytest.approx(survival)


@pytest.mark.parametrize("seed", range(5))
def test_by_row_and_by_fit_agree_at_ties_and_day_0(seed):
    rng = np.random.default_rng(seed)
    time, code = rng.integers(0, 6, 30) / 2, rng.integers(0, 3, 30)
    arms = rng.permuted(np.tile(np.repeat([1.0, 0.0], 15), (4, 1)), axis=1)
    for year in (0.0, 1.0, 2.0):
        found = incidence_by_row(arms, time, code, year)
        chosen = [cumulative_incidence(time[row == 1], code[row == 1]) for row in arms]
        assert found == pytest.approx([curve.at(year)[0] for curve in chosen])


def test_the_sum_of_incidences_and_survival_is_one():
    rng = np.random.default_rng(3)
    time, code = rng.integers(0, 9, 80) / 4, rng.integers(0, 3, 80)
    event, competing = (cumulative_incidence(time, code, cause) for cause in (1, 2))
    assert event.incidence + competing.incidence + event.free == pytest.approx(np.ones(event.time.size))


def test_what_happens_on_day_0_counts(analysed, r_data, r_says):
    data = r_data.assign(event=(r_data["event"] == 1).astype(int))
    assert ((data["time_years"] == 0) & (data["event"] == 1)).any()
    found = analysed(data, horizon_years=1.0)
    for arm in ARMS:
        assert found["kaplan_meier_curves"][arm]["survival"][0] == pytest.approx(r_says[f"km.{arm}.0"])
        risk = found["risk_difference"][arm]
        assert risk["risk"] == pytest.approx(1 - r_says[f"km.{arm}.1"])
        variance = risk["risk"] * (1 - risk["risk"]) / risk["effective_n"]
        assert variance == pytest.approx(r_says[f"km.{arm}.1.se"] ** 2)
    assert found["log_rank_p"] == pytest.approx(r_says["log_rank"], rel=1e-8)


def test_an_arm_that_ends_on_day_0_has_no_rate(analysed):
    data = pd.DataFrame({"arm": ["active"] * 4 + ["control"] * 4, "event": [1, 1, 1, 1, 0, 1, 0, 0]})
    found = analysed(data.assign(time_years=[0.0] * 4 + [3.0, 1.0, 3.0, 3.0]))
    assert found["rate_ratio"]["reason"] == "an arm has no person-years"
    assert found["risk_difference"]["active"]["risk"] == 1
    assert found["risk_difference"]["difference"] == pytest.approx(0.75)
    assert found["risk_difference"]["p"] == pytest.approx(2 * 4 / 56)
    assert set(found) == set(OutcomesDocument.__annotations__)


def test_everybody_of_an_arm_dies_of_another_cause(analysed):
    data = pd.DataFrame({"arm": ["active"] * 4 + ["control"] * 4, "event": [2, 2, 2, 2, 0, 1, 1, 0]})
    found = analysed(data.assign(time_years=[0.0, 0.5, 0.5, 1.0, 3.0, 1.0, 0.5, 3.0]))
    assert found["risk_difference"]["active"]["risk"] == 0
    assert found["risk_difference"]["active"]["effective_n"] == 4
    assert found["risk_difference"]["p"] == pytest.approx(found["fisher_p"])
    last = found["competing_events"]["cumulative_incidence"]["active"]["5"]
    assert (last["event"]["incidence"], last["competing"]["incidence"]) == (0, 1)
