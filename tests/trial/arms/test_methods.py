"""Methods on trials whose answer a reader can see."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from petflame.trial.analyse import analyse
from petflame.trial.arms.ancova import adjusted_percent, ancova, difference_record, make_arms
from petflame.trial.arms.bootstrap import bootstrap
from petflame.trial.arms.interaction import within_patients
from petflame.trial.arms.missing import Imputer, multiple_imputation
from petflame.trial.arms.resample import leave_one_out, permutation_test, permuted_arms
from petflame.trial.arms.robust import hc3, unequal_arms, welch
from petflame.trial.arms.tipping import tipping_point
from petflame.trial.arms.vessels import target_rows
from petflame.trial.choices import AnalysisChoices, TrialTables
from petflame.trial.design.batch import batch_ancova
from petflame.trial.estimates import NotEstimable
from petflame.trial.events.comparisons import horizon_counts


@pytest.fixture
def arms(tables):
    trial = tables.trial(40)
    return make_arms(trial["patients"].merge(trial["allocation"]), "tbr_max_baseline", "tbr_max_followup")


def test_batch_fit_is_the_primary_model(arms):
    whole, many = ancova(arms), batch_ancova(arms.baseline[None], arms.followup[None], arms.active)
    assert many.coef[0] == pytest.approx(whole.coef)
    percent = adjusted_percent(whole)
    for end in ("low", "high"):
        assert many.percent()[end][0] == pytest.approx(percent[f"adjusted_percent_{end}"])
    assert many.percent()["p"][0] == pytest.approx(difference_record(whole)["p"])


def test_permutation_keeps_strata_and_repeats_with_the_seed(arms):
    block = (np.arange(40) >= 30).astype(int)
    drawn = permuted_arms(arms.active, block, 200, np.random.default_rng(1))
    assert (drawn[:, :30].sum(axis=1) == arms.active[:30].sum()).all()
    first, again = permutation_test(arms, 500, 7), permutation_test(arms, 500, 7)
    assert first == again
    assert first["p"] == pytest.approx(1 / 501)


def test_permutation_p_is_uniform_without_an_effect():
    rng = np.random.default_rng(4)
    active = np.repeat([1.0, 0.0], 10)
    p = []
    for _ in range(200):
        table = pd.DataFrame({"participant_id": range(20), "arm": np.where(active == 1, "active", "control")})
        table["b"] = rng.normal(2, 0.2, 20)
        table["f"] = table["b"] + rng.normal(0, 0.1, 20)
        p.append(permutation_test(make_arms(table, "b", "f"), 99, 1)["p"])
    assert 0.02 <= np.mean(np.array(p) <= 0.05) <= 0.10


def test_bootstrap_agrees_with_the_delta_method(arms):
    found, delta = bootstrap(arms, 4000, 2), adjusted_percent(ancova(arms))
    assert found["adjusted_percent_low"] == pytest.approx(delta["adjusted_percent_low"], abs=0.6)
    assert found["adjusted_percent_high"] == pytest.approx(delta["adjusted_percent_high"], abs=0.6)


def unequal(rng, n=(20, 5), sd=(0.15, 0.40), effect=0.0):
    """Return arms whose baseline explains half the follow-up, with their own spreads."""
    arm = np.repeat(["active", "control"], n)
    base = rng.normal(2.3, 0.28, sum(n))
    noise = rng.normal(0, 1, sum(n)) * np.repeat(sd, n)
    table = pd.DataFrame({"participant_id": range(sum(n)), "arm": arm, "b": base})
    table["f"] = 1.0 + 0.5 * base + noise + effect * (arm == "active")
    return make_arms(table, "b", "f")


def test_percent_interval_and_difference_test_always_agree():
    rng = np.random.default_rng(11)
    apart = 0
    for _ in range(400):
        fit = ancova(unequal(rng, (12, 12), (0.25, 0.25), -0.22))
        percent, p = adjusted_percent(fit), difference_record(fit)["p"]
        excludes = percent["adjusted_percent_high"] < 0 or percent["adjusted_percent_low"] > 0
        assert excludes == (p < 0.05)
        apart += (percent["adjusted_percent_delta_high"] < 0 or percent["adjusted_percent_delta_low"] > 0) != (p < 0.05)
    assert apart > 0


def test_percent_has_no_interval_where_the_control_mean_may_be_zero():
    rng = np.random.default_rng(2)
    arms = unequal(rng, (4, 4), (1.0, 1.0))
    percent = adjusted_percent(ancova(replace(arms, followup=arms.followup - arms.followup.mean())))
    assert percent["adjusted_percent_low"] is None
    assert percent["adjusted_percent_high"] is None


def test_printed_permutation_p_holds_where_the_smaller_arm_varies_more():
    rng = np.random.default_rng(3)
    tests = [permutation_test(unequal(rng), 199, 1) for _ in range(150)]
    robust, ordinary = (np.mean([t[key] <= 0.05 for t in tests]) for key in ("p", "p_ordinary"))
    assert robust < 0.14
    assert ordinary > 0.16


def test_welch_type_is_welch_without_a_slope():
    """A baseline orthogonal to arm and follow-up leaves Welch's test, but for the one coefficient it costs."""
    rng = np.random.default_rng(5)
    active = np.repeat([1.0, 0.0], [400, 60])
    followup = rng.normal(2, np.where(active == 1, 0.1, 0.5))
    design = np.column_stack([np.ones(460), active, followup])
    base = rng.normal(0, 1, 460)
    base -= design @ np.linalg.lstsq(design, base, rcond=None)[0]
    arms = replace(unequal(rng, (400, 60)), followup=followup, baseline=base, active=active)
    ours, theirs = welch(arms), stats.ttest_ind(followup[:400], followup[400:], equal_var=False)
    assert ours["p"] == pytest.approx(theirs.pvalue, rel=0.02)
    assert ours["df"] == pytest.approx(theirs.df, rel=0.02)


def test_unequal_arms_are_warned_of_by_what_they_do():
    rng = np.random.default_rng(7)
    found = unequal_arms(unequal(rng, (200, 50)))
    assert found["misleading"]
    assert found["implied_type_i_error"] == pytest.approx(0.245, abs=0.06)
    assert "20" in found["sentence"]
    assert "Welch" in found["sentence"]
    assert unequal_arms(unequal(rng, (50, 200)))["implied_type_i_error"] < 0.01
    for n, sd in (((30, 30), (0.15, 0.40)), ((31, 29), (0.4, 0.2)), ((200, 50), (0.25, 0.25))):
        assert not unequal_arms(unequal(rng, n, sd))["misleading"]


def test_exact_fit_has_no_p(tables):
    trial = tables.trial(20)
    table = trial["patients"].merge(trial["allocation"])
    exact = table.assign(tbr_max_followup=(0.9 * table["tbr_max_baseline"] - 0.1 * (table["arm"] == "active")).round(9))
    arms = make_arms(exact, "tbr_max_baseline", "tbr_max_followup")
    for test in (permutation_test, bootstrap, welch, hc3, unequal_arms):
        with pytest.raises(NotEstimable, match="no residual variation"):
            test(arms)


def test_leave_one_out_finds_the_outlier(arms):
    outlier = replace(arms, followup=arms.followup + 2.0 * (arms.ids == "017"))
    summary, table = leave_one_out(outlier)
    assert summary["most_influential"] == "017"
    assert len(table) == 40


def test_hc3_widens_where_the_noisy_arm_is_the_smaller():
    rng = np.random.default_rng(8)
    arm = np.array(["active"] * 8 + ["control"] * 40)
    base = rng.normal(2.2, 0.2, 48)
    noise = rng.normal(0, np.where(arm == "active", 0.5, 0.1))
    table = pd.DataFrame({"participant_id": range(48), "arm": arm, "b": base, "f": base + noise})
    arms = make_arms(table, "b", "f")
    assert hc3(arms)["se"] > 1.5 * float(np.sqrt(ancova(arms).cov[1, 1]))


def test_nothing_missing_is_said(tables):
    trial = tables.trial()
    paths = {name: tables.write(name, table) for name, table in trial.items()}
    found = analyse(TrialTables(**paths), tables.folder / "o", AnalysisChoices(permutations=50))
    assert found["sensitivity"]["multiple_imputation"]["difference"] is None
    assert "no follow-up is missing" in found["sensitivity"]["tipping_point"]["reason"]


def test_tipping_point_takes_p_to_five_percent(arms):
    lost = np.isin(np.arange(40), [0, 2, 4, 6, 9])
    holed = replace(arms, followup=np.where(lost, np.nan, arms.followup))
    imputer = Imputer(holed, 100, 3)
    assert multiple_imputation(imputer)["imputed"] == {"active": 4, "control": 1}
    delta = tipping_point(imputer)["delta"]
    assert delta > 0
    assert imputer.estimate(delta)["p"] == pytest.approx(0.05, abs=1e-6)
    assert imputer.estimate(delta * 0.9)["p"] < 0.05


def test_imputation_widens_the_interval(arms):
    lost = np.isin(np.arange(40), range(0, 40, 4))
    pooled = Imputer(replace(arms, followup=np.where(lost, np.nan, arms.followup)), 200, 1).estimate()
    assert pooled["se"] > float(np.sqrt(ancova(arms).cov[1, 1]))
    assert pooled["df"] < 37
    assert 0 < pooled["fraction_missing"] < 1


def test_early_censoring_is_counted_apart():
    time = np.array([1.0, 1.0, 2.0, 3.0, 2.0])
    event = np.array([True, False, True, True, False])
    counts = horizon_counts(time, event, np.array([True, True, True, False, False]), 2.0)
    assert (counts.active_events, counts.active_free, counts.active_early) == (2, 0, 1)
    assert (counts.control_events, counts.control_free, counts.control_early) == (0, 2, 0)


def test_blinded_result_says_nothing_by_arm(golden_tables, tmp_path):
    given = TrialTables(golden_tables["patients"], golden_tables["vessels"])
    found = analyse(given, tmp_path, AnalysisChoices())
    assert found["primary"] is None
    assert found["pooled"]["n"] == 44
    text = "".join(p.read_text() for p in tmp_path.iterdir())
    assert "control" not in text.replace("negative_controls", "")
    assert '"active"' not in text
    assert "TRT01P" not in text


def test_same_input_same_bytes(golden_tables, tmp_path):
    t = golden_tables
    given = TrialTables(t["patients"], t["vessels"], t["allocation"])
    for name in ("a", "b"):
        analyse(given, tmp_path / name, AnalysisChoices(permutations=99))
    names = sorted(p.name for p in (tmp_path / "a").iterdir())
    assert names == sorted(p.name for p in (tmp_path / "b").iterdir())
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_every_result_carries_its_definition(golden_tables, tmp_path):
    t = golden_tables
    given = TrialTables(t["patients"], t["vessels"], t["allocation"])
    found = analyse(given, tmp_path, AnalysisChoices(permutations=99))
    for name, block in {**found["sensitivity"], "mixed": found["mixed"], "primary": found["primary"]}.items():
        assert not block or "definition" in block or "reason" in block, name


def there(block):
    return {name for name, value in block.items() if value is not None}


def test_negative_controls_endpoints_and_covariates(tables):
    trial = tables.trial(30)
    rng = np.random.default_rng(9)
    patients = trial["patients"].copy()
    for name, level in (("uptake_min", 90.0), ("blood_pool_suv", 1.6), ("mds", 2.6)):
        patients[f"{name}_baseline"] = level * rng.normal(1, 0.05, 30)
        if name != "mds":
            patients[f"{name}_followup"] = level * rng.normal(1, 0.05, 30)
    patients["mds_locked_followup"] = patients["mds_baseline"] * 0.95 + rng.normal(0, 0.05, 30)
    patients["scanner"] = ["one", "two", "three"] * 10
    paths = {
        "patients": tables.write("patients", patients),
        "allocation": tables.write("allocation", trial["allocation"]),
    }
    found = analyse(TrialTables(**paths), tables.folder / "o", AnalysisChoices(permutations=50))
    assert there(found["negative_controls"]) == {"uptake_min", "blood_pool_suv", "definition"}
    assert all(found["negative_controls"][k]["p"] > 0.01 for k in ("uptake_min", "blood_pool_suv"))
    assert there(found["endpoints"]) == {"mds_locked", "definition"}
    assert there(found["sensitivity"]["covariates"]) == {"uptake_difference", "scanner", "all", "definition"}


def test_withheld_vessels_are_not_analysed(golden_tables, tables):
    from petflame.trial.cohort import load_cohort

    rows = pd.read_csv(golden_tables["vessels"], sep="\t")
    rows["withheld"] = rows["vessel"] == "carotid_left"
    given = TrialTables(golden_tables["patients"], tables.write("vessels", rows), golden_tables["allocation"])
    cohort = load_cohort(given)
    assert set(target_rows(cohort, ("aorta_ascending", "carotid_left"))["vessel"]) == {"aorta_ascending"}


def test_effect_in_the_hotter_vessel_of_a_patient(golden_tables):
    """A drug that acts on hot vessels alone: the within-patient interaction and its percentiles show it."""
    rng = np.random.default_rng(6)
    rows = pd.read_csv(golden_tables["vessels"], sep="\t").merge(pd.read_csv(golden_tables["allocation"], sep="\t"))
    base = rows["tbr_max_baseline"]
    deviation = base - base.groupby(rows["participant_id"]).transform("mean")
    effect = np.where(rows["arm"] == "active", -0.1 - 0.5 * deviation, 0.0)
    rows["tbr_max_followup"] = base + effect + rng.normal(0, 0.02, len(rows))
    found = within_patients(rows)
    assert found["within_patients"]["ci_low"] < -0.5 < found["within_patients"]["ci_high"]
    for row in found["percentiles"].values():
        assert row["ci_low"] < row["difference"] < row["ci_high"]
        assert row["difference"] == pytest.approx(-0.1 - 0.5 * row["deviation"], abs=0.02)
    low, middle, high = (found["percentiles"][k]["difference"] for k in ("10", "50", "90"))
    assert low > middle > high
    # The arm difference is a straight line in the deviation.
    slope = (high - low) / (found["percentiles"]["90"]["deviation"] - found["percentiles"]["10"]["deviation"])
    assert slope == pytest.approx(found["within_patients"]["estimate"], rel=1e-9)
