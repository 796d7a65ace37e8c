"""The difference of the risks at the horizon: exact without censoring, by exchange of the arms with it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from petflame.trial.events.comparisons import horizon_counts, log_rank
from petflame.trial.events.competing import competing_events
from petflame.trial.events.follow_up import _follow_up, own_follow_up_p
from petflame.trial.events.risk import arm_risk, exchange_p, risk_difference

HORIZON = 2.0
SEED = 1


def difference(time, code, active):
    counts = horizon_counts(time, code, active, HORIZON)
    return risk_difference(time, code, active, counts, HORIZON, SEED)


def followed(active, control, late=3.0):
    """Return time, code and arm of (events, n) in each arm, nobody censored before the horizon."""
    parts = [(np.where(np.arange(n) < events, 1.0, late), np.arange(n) < events) for events, n in (active, control)]
    time, code = (np.concatenate([part[k] for part in parts]) for k in (0, 1))
    return time, code.astype(int), np.arange(time.size) < active[1]


def wilson(events, n):
    z = stats.norm.ppf(0.975)
    p, centre = events / n, (events / n + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    return centre - half, centre + half


counts = st.integers(1, 25).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@settings(max_examples=25, deadline=None)
@given(counts, counts)
def test_without_censoring_it_is_newcombes_interval_and_fishers_p(active, control):
    found = difference(*followed(active, control))
    (a, m), (c, n) = active, control
    assert found["difference"] == pytest.approx(a / m - c / n, abs=1e-12)
    (la, ha), (lc, hc) = wilson(a, m), wilson(c, n)
    low = a / m - c / n - np.hypot(a / m - la, hc - c / n)
    high = a / m - c / n + np.hypot(ha - a / m, c / n - lc)
    assert [found["low"], found["high"]] == pytest.approx([low, high], abs=1e-9)
    assert (found["p"] is None) == (a + c in (0, m + n))
    if found["p"] is not None:
        assert found["p"] == pytest.approx(stats.fisher_exact([[a, m - a], [c, n - c]])[1])
        assert (found["p_method"], found["permutations"]) == ("exact", None)
    else:
        assert "had an event" in found["reason"] or "no event" in found["reason"]


@settings(max_examples=8, deadline=None)
@given(counts, counts)
def test_exchanging_the_arms_turns_the_sign_alone(active, control):
    time, code, arm = followed(active, control)
    one, other = difference(time, code, arm), difference(time, code, ~arm)
    assert one["difference"] == pytest.approx(-other["difference"])
    assert [one["low"], one["high"]] == pytest.approx([-other["high"], -other["low"]])
    assert one["p"] == pytest.approx(other["p"])


def test_random_exchanges_come_to_fishers_p():
    """Arms of one size: the order of the tables by the difference is that by their probability."""
    time, code, active = followed((0, 30), (3, 30))
    found = difference(time, code, active)
    assert found["p"] == pytest.approx(0.2373, abs=5e-5)
    assert found["exchange_p"] == found["p"]
    for draw in (exchange_p, own_follow_up_p):
        drawn = draw(time, code, active, HORIZON, SEED)
        assert drawn == pytest.approx(found["p"], abs=4 * np.sqrt(0.24 * 0.76 / 20000))
    rank = log_rank(time, code == 1, active, SEED)
    assert rank["p"] == pytest.approx(0.078, abs=5e-4)
    assert rank["permutation_p"] == pytest.approx(found["p"], abs=4 * np.sqrt(0.24 * 0.76 / 20000))


def test_those_censored_early_are_not_left_out():
    """Three events of 30, twenty censored at 0.3 years: 3 of the 10 known are 30 %, but the risk is 10 %."""
    time = np.concatenate([[0.1, 0.15, 0.2], np.full(20, 0.3), np.full(7, 3.0)])
    code = np.repeat([1, 0], [3, 27])
    assert horizon_counts(time, code, np.zeros(30, bool), HORIZON).control_free == 7
    assert arm_risk(time, code, HORIZON)["risk"] == pytest.approx(0.1)
    time[2] = 1.0
    late = arm_risk(time, code, HORIZON)
    assert late["risk"] == pytest.approx(1 - 28 / 30 * 7 / 8)
    # Greenwood's variance by hand.
    variance = (28 / 30 * 7 / 8) ** 2 * (2 / (30 * 28) + 1 / (8 * 7))
    assert late["effective_n"] == pytest.approx(late["risk"] * (1 - late["risk"]) / variance)
    assert late["effective_n"] < 30


def test_an_arm_without_events_has_the_width_of_those_at_risk():
    time = np.concatenate([np.full(12, 0.5), np.full(8, 3.0)])
    found = arm_risk(time, np.zeros(20, int), HORIZON)
    assert (found["risk"], found["at_risk"], found["effective_n"]) == (0, 8, 8)
    assert found["high"] == pytest.approx(wilson(0, 8)[1])


def test_nobody_followed_to_the_horizon_gives_no_risk_but_the_other_arms():
    time, code = np.array([1.0, 1.5, 1.8, 3.0, 3.0, 1.0]), np.array([1, 0, 0, 0, 0, 1])
    found = difference(time, code, np.arange(6) < 3)
    assert found["active"]["risk"] is None
    assert found["control"]["risk"] == pytest.approx(1 / 3)
    assert found["difference"] is found["p"] is None
    assert found["reason"] == "nobody was followed to the horizon: active"


@pytest.mark.parametrize(("competing", "name"), [(False, "exchange.km"), (True, "exchange.aj")])
def test_the_exchange_agrees_with_every_exchange_made_in_r(r_says, r_data, competing, name):
    few = r_data.head(16)
    code = few["event"].to_numpy() if competing else (few["event"] == 1).to_numpy(int)
    found = difference(few["time_years"].to_numpy(), code, (few["arm"] == "active").to_numpy())
    assert found["estimator"] == ("Aalen-Johansen" if competing else "Kaplan-Meier")
    assert found["difference"] == pytest.approx(r_says[f"{name}.difference"])
    assert (found["p_method"], found["permutations"]) == ("Monte Carlo", 20000)
    assert found["exchange_p"] == pytest.approx(r_says[f"{name}.p"], abs=4 * np.sqrt(0.25 / 20000))
    # R drew as often itself.
    assert found["p"] == pytest.approx(r_says[f"{name}.own"], abs=4 * np.sqrt(2 * 0.25 / 20000))


def test_a_difference_in_follow_up_is_none_in_risk():
    """One event, with 5 of 20 active and 18 of 20 controls then at risk: in an active one by chance 5 times in 23."""
    time, code, active = np.full(40, 3.0), np.zeros(40, int), np.arange(40) < 20
    time[:15], time[20:22] = 0.5, 0.5
    time[15], code[15] = 1.0, 1
    found = difference(time, code, active)
    assert found["difference"] == pytest.approx(1 / 5)
    assert found["p"] == pytest.approx(5 / 23, abs=4 * np.sqrt(0.17 / 20000))
    assert found["exchange_p"] < 0.05
    time[15], code[15], time[39], code[39] = 3.0, 0, 1.0, 1
    assert difference(time, code, active)["p"] == 1


def test_follow_up_beyond_the_own_event_comes_from_the_arm():
    """Of the four controls beyond 0.5 years two leave at 1: so does who had the event at 0.5, half the time."""
    time, code = np.array([0.5, 1.0, 1.0, 3.0, 3.0]), np.array([1, 0, 0, 0, 0])
    until = _follow_up(time, code, np.zeros(5, bool), 4000, np.random.default_rng(1))
    assert (until[:, 1:] == time[1:]).all()
    assert set(until[:, 0]) == {1.0, 3.0}
    assert (until[:, 0] == 1.0).mean() == pytest.approx(0.5, abs=4 * np.sqrt(0.25 / 4000))


def test_the_same_seed_gives_the_same_p(r_data):
    time, code = r_data["time_years"].to_numpy(), r_data["event"].to_numpy()
    active = (r_data["arm"] == "active").to_numpy()
    assert difference(time, code, active) == difference(time, code, active)


def test_the_sample_needed_follows_the_risk_and_not_the_share_of_those_left(analysed):
    arm = pd.DataFrame({"time_years": [0.1, 0.15, 0.2, *[0.3] * 20, *[3.0] * 7], "event": [1] * 3 + [0] * 27})
    found = analysed(pd.concat([arm.assign(arm="control"), arm.assign(arm="active", event=0)]))
    assert found["at_horizon"]["control"]["proportion"] == pytest.approx(0.3)
    assert found["sample_needed"]["control_risk"] == pytest.approx(0.1)
    control = found["risk_difference"]["control"]
    for end in ("low", "high"):
        assert found["sample_needed"][f"control_risk_{end}"] == control[end]


@pytest.mark.parametrize("n", [1, 7, 13, 17, 18, 30, 34, 37, 38])
def test_an_arm_in_which_everybody_has_an_event_is_whole(n):
    """Shares that sum to one but for rounding: Wilson's interval of n of n, as for any other count."""
    every, times = np.ones(n, dtype=int), np.arange(1, n + 1) / 10
    found = arm_risk(times, every, 60.0)
    low, high = proportion_confint(n, n, method="wilson")
    assert (found["risk"], found["effective_n"]) == (1.0, n)
    assert (found["low"], found["high"]) == pytest.approx((low, high))
    other = np.full(n, 80.0)
    time, active = np.concatenate([times, other]), np.repeat([True, False], n)
    deaths = competing_events(time, np.concatenate([2 * every, 0 * every]), active, (70.0,))
    assert deaths["cumulative_incidence"]["active"]["70"]["competing"]["incidence"] == 1.0
    counts = horizon_counts(time, np.concatenate([every, 0 * every]), active, 60.0)
    whole = risk_difference(time, np.concatenate([every, 0 * every]), active, counts, 60.0, 1)
    assert whole["difference"] == 1.0
    assert -1 <= whole["low"] < whole["high"] <= 1
