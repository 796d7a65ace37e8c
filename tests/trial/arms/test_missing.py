"""Missing follow-up: imputation with auxiliaries, by reference, over deltas; against R and closed forms."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from petflame.trial.analyse import analyse
from petflame.trial.arms.ancova import Arms, ancova, make_arms
from petflame.trial.arms.auxiliaries import MEANINGS, choose, index_vessels, other_vessels
from petflame.trial.arms.imputation import draw_missing
from petflame.trial.arms.missing import Imputer, missing_arms
from petflame.trial.arms.reference_based import copy_reference, jump_to_reference
from petflame.trial.arms.tipping import Surface, delta_grid, tipping_point
from petflame.trial.choices import AnalysisChoices, TrialTables
from petflame.trial.cohort import load_cohort
from petflame.trial.estimates import NotEstimable

GOLDEN = Path(__file__).parents[1] / "golden"
TARGETS = ("aorta_ascending", "carotid_right", "carotid_left")


@pytest.fixture(scope="module")
def printed() -> dict[str, float]:
    """Return what missing.R printed."""
    table = pd.read_csv(GOLDEN / "missing.tsv", sep="\t")
    return dict(zip(table["name"], table["value"], strict=True))


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    return pd.read_csv(GOLDEN / "missing.csv")


def arms_of(table: pd.DataFrame, strata: tuple[str, ...] = ()) -> Arms:
    """Return the participants, NaN where the follow-up is missing."""
    lost = table["followup"].isna().to_numpy()
    whole = make_arms(table.assign(followup=table["followup"].fillna(1.0)), "baseline", "followup", strata)
    return replace(whole, followup=np.where(lost, np.nan, whole.followup))


def others_of(table: pd.DataFrame) -> dict[str, np.ndarray]:
    return {f"other_vessels_{v}": table[f"other_{v}"].to_numpy() for v in ("followup", "baseline")}


@pytest.mark.parametrize(("prefix", "strata"), [("others", ()), ("others_strata", ("site",))])
def test_imputation_with_auxiliaries_agrees_with_mice(data, printed, prefix, strata):
    arms = arms_of(data, strata)
    pooled = Imputer(arms, 1500, 3, choose(arms, others_of(data))).estimate()
    # Monte Carlo error of both: the SD between imputations is about 0.02, over 1500 sets each.
    assert pooled["estimate"] == pytest.approx(printed[f"{prefix}.estimate"], abs=0.0025)
    assert pooled["se"] == pytest.approx(printed[f"{prefix}.se"], rel=0.02)
    assert pooled["df"] == pytest.approx(printed[f"{prefix}.df"], abs=1.0)
    # The complete cases say otherwise: the auxiliaries matter here.
    assert abs(printed["complete.estimate"] - pooled["estimate"]) > 0.035


@pytest.mark.parametrize(("prefix", "rule"), [("jump", jump_to_reference), ("copy", copy_reference)])
def test_reference_based_imputation_agrees_with_r(data, printed, prefix, rule):
    found = rule(Imputer(arms_of(data), 4000, 8))
    assert found["difference"] == pytest.approx(printed[f"{prefix}.estimate"], abs=0.0015)
    assert found["se"] == pytest.approx(printed[f"{prefix}.se"], rel=0.01)
    assert found["imputed"] == {"active": 3, "control": 8}


@pytest.mark.parametrize("strata", [(), ("site",)])
def test_reference_based_estimates_are_the_fit_to_the_expected_values(data, strata):
    """Linear in the follow-up: over many draws the estimate is that with each missing value at its expectation."""
    arms = arms_of(data, strata)
    imputer = Imputer(arms, 6000, 8)
    seen = ~np.isnan(arms.followup)
    coef = np.linalg.lstsq(imputer.design[seen], arms.followup[seen], rcond=None)[0]
    others = np.delete(imputer.design, 2, axis=1)
    apart = np.linalg.lstsq(others, imputer.design[:, 2], rcond=None)[0][1]
    as_control = imputer.design.copy()
    as_control[:, 1] = 0
    for rule, shift in ((copy_reference, 0.0), (jump_to_reference, coef[2] * apart)):
        expected = as_control @ coef - shift * arms.active
        filled = np.where(seen, arms.followup, expected)
        direct = np.linalg.lstsq(imputer.design, filled, rcond=None)[0][1]
        assert rule(imputer)["difference"] == pytest.approx(direct, abs=0.0015)


def test_jumping_to_the_reference_dilutes_by_the_share_that_jumps():
    """With k of n active missing and baselines that tell nothing, the effect is (n - k) / n of the one seen."""
    n, k = 40, 10
    base = np.tile(np.linspace(1.8, 2.8, n // 2), 4)
    active = np.repeat([1.0, 0.0], n)
    # Symmetric residuals within each baseline: slope zero, arms' means exact.
    follow = 2.0 - 0.2 * active + 0.1 * np.tile(np.repeat([1.0, -1.0], n // 2), 2)
    table = pd.DataFrame({"participant_id": range(2 * n), "arm": np.where(active == 1, "active", "control")})
    table["baseline"], table["followup"] = base, follow
    lost = np.r_[0 : k // 2, n // 2 : n // 2 + k // 2]
    table.loc[lost, "followup"] = np.nan
    imputer = Imputer(arms_of(table), 4000, 2)
    assert imputer.estimate()["estimate"] == pytest.approx(-0.2, abs=0.002)
    assert jump_to_reference(imputer)["difference"] == pytest.approx(-0.2 * (n - k) / n, abs=0.002)
    swapped = arms_of(table)
    swapped = replace(swapped, active=1 - swapped.active)
    with pytest.raises(NotEstimable, match="missing in the active arm"):
        jump_to_reference(Imputer(swapped, 20, 2))


def dropout_trial(rng: np.random.Generator, n: int = 200) -> pd.DataFrame:
    """Return a trial without effect whose active patients stay away where their other vessels are hot."""
    active = np.arange(n) % 2
    level, drift = rng.normal(2.2, 0.2, n), rng.normal(0, 0.2, n)
    table = pd.DataFrame({"participant_id": np.arange(n), "arm": np.where(active == 1, "active", "control")})
    for name, change in (("baseline", 0.0), ("followup", drift)):
        table[name] = level + change + rng.normal(0, 0.08, n)
        table[f"other_{name}"] = level + change + rng.normal(0, 0.08, n)
    told = table["other_followup"] - table["other_baseline"]
    away = np.where(active == 1, told, -told) > 0.1
    return table.assign(followup=table["followup"].mask(away))


def test_dropout_that_an_auxiliary_tells_biases_complete_cases_and_not_the_imputation():
    rng = np.random.default_rng(17)
    complete, imputed = [], []
    for _ in range(25):
        table = dropout_trial(rng)
        complete.append(ancova(make_arms(table, "baseline", "followup")).coef[1])
        arms = arms_of(table)
        imputed.append(Imputer(arms, 20, 1, choose(arms, others_of(table))).estimate()["estimate"])
    error = np.std(imputed, ddof=1) / 5
    assert np.mean(complete) < -0.15
    assert abs(np.mean(imputed)) < 3.5 * error < 0.04


def test_draws_of_one_column_have_the_posterior_predictive_distribution():
    """Mean only: the missing value is t about the mean, variance s2 (1 + 1/n) (n - 1) / (n - 3)."""
    values = np.r_[np.linspace(-1, 1, 12), np.nan]
    drawn = draw_missing(np.ones((13, 1)), values[:, None], 40000, np.random.default_rng(1))[:, -1, 0]
    wanted = np.nanvar(values, ddof=1) * (1 + 1 / 12) * 11 / 9
    assert drawn.mean() == pytest.approx(0.0, abs=4 * np.sqrt(wanted / 40000))
    assert drawn.var() == pytest.approx(wanted, rel=0.05)


def test_auxiliaries_that_the_data_cannot_bear_are_left_out_and_say_why(data):
    arms, others = arms_of(data), others_of(data)

    def reasons(**changed):
        return {r["name"]: r["reason"] for r in choose(arms, others | changed).records}

    assert set(reasons().values()) == {None}
    lost = np.isnan(arms.followup)
    assert "no participant" in reasons(other_vessels_followup=np.where(lost, np.nan, 2.0))["other_vessels_followup"]
    assert "repeats" in reasons(other_vessels_baseline=2 * arms.baseline + 1)["other_vessels_baseline"]
    same = others["other_vessels_followup"]
    found = reasons(other_vessels_baseline=same)
    assert (found["other_vessels_followup"], "repeats" in found["other_vessels_baseline"]) == (None, True)
    few = np.where(lost | (np.arange(lost.size) < 12), same, np.nan)
    assert "too few" in reasons(other_vessels_followup=few)["other_vessels_followup"]
    one_arm = np.where(lost | (arms.active == 0), others["other_vessels_baseline"], np.nan)
    assert "arm" in reasons(other_vessels_baseline=one_arm)["other_vessels_baseline"]
    none = choose(arms, "no vessel table was given")
    assert none.values.shape == (64, 0)
    assert {(r["used"], r["reason"]) for r in none.records} == {(False, "no vessel table was given")}
    assert [r["name"] for r in none.records] == list(MEANINGS)


@pytest.fixture
def with_vessels(tables):
    """A trial of 40 with three vessels, the aorta the index; patient 002's was not measured at follow-up."""
    trial, rng = tables.trial(40), np.random.default_rng(5)
    patients = trial["patients"]
    patients.loc[[2, 4, 7], "tbr_max_followup"] = np.nan
    rows = []
    for row in patients.itertuples():
        rows.append((row.participant_id, TARGETS[0], row.tbr_max_baseline, row.tbr_max_followup, "false"))
        rows += [(row.participant_id, v, *rng.normal(1.8, 0.1, 2), "false") for v in TARGETS[1:]]
    columns = ["participant_id", "vessel", "tbr_max_baseline", "tbr_max_followup", "withheld"]
    trial["vessels"] = pd.DataFrame(rows, columns=columns)
    return trial


def cohort_of(tables, trial, **more):
    return load_cohort(TrialTables(**{name: tables.write(name, table) for name, table in trial.items()}), **more)


def test_the_other_vessels_are_those_that_count(tables, with_vessels):
    vessels = with_vessels["vessels"]
    vessels.loc[(vessels["participant_id"] == "004") & (vessels["vessel"] == TARGETS[1]), "withheld"] = "true"
    vessels.loc[(vessels["participant_id"] == "007") & (vessels["vessel"] == TARGETS[1]), "tbr_max_followup"] = np.nan
    vessels.loc[(vessels["participant_id"] == "002") & (vessels["vessel"] != TARGETS[0]), "tbr_max_followup"] = np.nan
    cohort = cohort_of(tables, with_vessels)
    assert set(index_vessels(cohort).values()) == {TARGETS[0]}
    arms = missing_arms(cohort)
    found = other_vessels(cohort, arms.ids, TARGETS)
    own = {p: rows.set_index("vessel") for p, rows in vessels.groupby("participant_id")}
    for participant, used in (("000", TARGETS[1:]), ("004", TARGETS[2:]), ("007", TARGETS[2:])):
        for visit in ("baseline", "followup"):
            wanted = own[participant].loc[list(used), f"tbr_max_{visit}"].mean()
            (value,) = found[f"other_vessels_{visit}"][arms.ids == participant]
            assert value == pytest.approx(wanted)
    (nothing,) = found["other_vessels_followup"][arms.ids == "002"]
    (both,) = found["other_vessels_baseline"][arms.ids == "002"]
    assert np.isnan(nothing)
    assert both == pytest.approx(own["002"].loc[list(TARGETS[1:]), "tbr_max_baseline"].mean())


def test_a_pair_that_is_not_comparable_lends_no_follow_up(tables, with_vessels):
    with_vessels["patients"]["comparability"] = ["fail" if k in (4, 9) else "pass" for k in range(40)]
    cohort = cohort_of(tables, with_vessels, analysis_set="comparable")
    arms = missing_arms(cohort)
    found = other_vessels(cohort, arms.ids, TARGETS)
    lost = np.isin(arms.ids, ["004", "009"])
    assert (np.isnan(found["other_vessels_followup"]) == lost).all()
    assert not np.isnan(found["other_vessels_baseline"]).any()


def test_the_document_says_which_auxiliaries_were_used(tables, with_vessels):
    def analysed(name, **left_out):
        given = {k: tables.write(k, t) for k, t in with_vessels.items() if k not in left_out}
        analyse(TrialTables(**given), tables.folder / name, AnalysisChoices(permutations=50))
        return json.loads((tables.folder / name / "arms.json").read_text())["sensitivity"]

    found = analysed("a")["multiple_imputation"]
    assert [(a["used"], a["n_of_imputed"]) for a in found["auxiliaries"]] == [(True, 3), (True, 3)]
    bare = analysed("b", vessels=None)
    assert [a["reason"] for a in bare["multiple_imputation"]["auxiliaries"]] == ["no vessel table was given"] * 2
    assert bare["multiple_imputation"]["difference"] is not None
    assert bare["jump_to_reference"]["auxiliaries"] == bare["multiple_imputation"]["auxiliaries"]


@pytest.fixture
def imputer(data) -> Imputer:
    arms = arms_of(data)
    return Imputer(arms, 200, 5, choose(arms, others_of(data)))


def only(arms: Arms, arm: float, whole: Arms) -> Imputer:
    """Return the imputer where follow-up is missing in one arm alone."""
    filled = np.where(np.isnan(arms.followup) & (arms.active != arm), 0.9 * whole.baseline, arms.followup)
    return Imputer(replace(arms, followup=filled), 100, 5)


def test_the_surface_of_deltas_is_what_refitting_gives(imputer):
    surface = Surface(imputer)
    for active, control in ((0.0, 0.0), (0.3, 0.0), (-0.2, 0.4), (0.5, -0.7)):
        refitted, found = imputer.estimate(active, control), surface.at(active, control)
        assert float(found.difference) == pytest.approx(refitted["estimate"], rel=1e-10)
        assert float(found.p) == pytest.approx(refitted["p"], rel=1e-8)
        assert float(found.half_width) == pytest.approx(refitted["ci_high"] - refitted["estimate"], rel=1e-9)


def test_tipping_points_lie_on_five_percent_and_the_nearest_is_the_nearest(imputer):
    found, sd = tipping_point(imputer), imputer.residual_sd
    control, nearest = found["control"], found["nearest"]
    # Active is lower: its missing values must be higher than imputed, those of controls lower.
    assert control["delta"] < 0 < nearest["active_delta"]
    assert nearest["control_delta"] < 0
    assert imputer.estimate(0.0, control["delta"])["p"] == pytest.approx(0.05, abs=1e-6)
    assert imputer.estimate(nearest["active_delta"], nearest["control_delta"])["p"] == pytest.approx(0.05, abs=1e-6)
    assert nearest["distance_in_residual_sd"] < abs(control["delta_in_residual_sd"])
    for angle in np.linspace(0, np.pi / 2, 60):
        step = 0.995 * nearest["distance_in_residual_sd"] * sd
        assert imputer.estimate(step * np.cos(angle), -step * np.sin(angle))["p"] < 0.05


def test_missing_controls_alone_tip_too(data):
    arms = arms_of(data)
    imputer = only(arms, 0.0, arms)
    found = tipping_point(imputer)
    assert imputer.imputed == {"active": 0, "control": 8}
    assert (found["delta"], found["grid"], found["reason"]) == (None, None, "no follow-up is missing in the active arm")
    assert found["control"]["delta"] < 0
    assert found["nearest"]["control_delta"] == pytest.approx(found["control"]["delta"])
    assert found["nearest"]["active_delta"] == 0
    cells = delta_grid(imputer)["cells"]
    assert {c["active_delta"] for c in cells} == {0.0}
    assert len(cells) == 7


def test_the_grid_holds_the_imputation_and_grows_with_what_is_added(imputer):
    found = delta_grid(imputer)
    by_delta = {(c["active_in_residual_sd"], c["control_in_residual_sd"]): c for c in found["cells"]}
    assert len(by_delta) == 49
    assert by_delta[0, 0]["p"] == pytest.approx(imputer.estimate()["p"])
    cell = by_delta[1, -0.5]
    refitted = imputer.estimate(imputer.residual_sd, -imputer.residual_sd / 2)
    assert [cell[k] for k in ("difference", "ci_low", "ci_high", "p")] == pytest.approx(
        [refitted[k] for k in ("estimate", "ci_low", "ci_high", "p")]
    )
    # A share of the active arm is imputed: a delta moves its mean by about that share.
    moved = by_delta[2, 0]["difference"] - by_delta[0, 0]["difference"]
    assert moved == pytest.approx(2 * imputer.residual_sd * 3 / 36, rel=0.15)


def test_turning_the_arms_round_turns_every_sign(data):
    arms = arms_of(data)
    one, other = Imputer(arms, 200, 5), Imputer(replace(arms, active=1 - arms.active), 200, 5)
    here, there = tipping_point(one), tipping_point(other)
    assert other.estimate()["estimate"] == pytest.approx(-one.estimate()["estimate"], abs=0.006)
    # Within Monte Carlo error, for the draws fall to other patients.
    assert there["control"]["delta"] == pytest.approx(here["delta"], rel=0.1)
    assert there["delta"] == pytest.approx(here["control"]["delta"], rel=0.1)
    assert there["delta"] < 0 < here["delta"]
