"""Active sections that vanish: who is left out and why, and the composite that leaves nobody out."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.nonparametric import rank_compare_2indep

from petflame.trial.analyse import analyse
from petflame.trial.arms.absent import NONE_AT_BASELINE, NONE_LEFT, NOT_FOUND_AGAIN, NOT_SEEN, WITHHELD
from petflame.trial.arms.composite import Ranked, compare, exact_rank_sum, newcombe, within_strata
from petflame.trial.choices import AnalysisChoices, TrialTables
from petflame.trial.estimates import NotEstimable

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture(scope="module")
def printed() -> dict[str, float]:
    """Return what missing.R printed."""
    table = pd.read_csv(GOLDEN / "missing.tsv", sep="\t")
    return dict(zip(table["name"], table["value"], strict=True))


@pytest.fixture(scope="module")
def data() -> Ranked:
    table = pd.read_csv(GOLDEN / "missing.csv").dropna(subset=["left"])
    return Ranked(
        (table["arm"] == "active").to_numpy(dtype=float),
        np.where(table["left"] == 0, -np.inf, table["refound"]),
        table["active_baseline"].to_numpy(),
        (table["site"] == "south").to_numpy(dtype=np.int64),
    )


def test_without_strata_it_agrees_with_coin_and_base_r(data, printed):
    found = compare(replace(data, block=0 * data.block), 2000, 1)
    assert found["p"] == pytest.approx(printed["rank.p"], rel=1e-9)
    assert found["win_probability"] == pytest.approx(printed["win"], rel=1e-12)
    assert found["win_low"] == pytest.approx(printed["win.low"], rel=1e-9)
    assert found["win_high"] == pytest.approx(printed["win.high"], rel=1e-9)
    assert found["none_left"]["fisher_p"] == pytest.approx(printed["fisher.p"], rel=1e-9)
    assert (found["none_left"]["active"], found["none_left"]["control"]) == (8, 1)
    untied = np.array([printed[f"untied.{k}"] for k in range(1, 17)])
    assert exact_rank_sum(untied, np.repeat([1.0, 0.0], [9, 7])) == pytest.approx(printed["untied.p"], rel=1e-10)


def test_with_strata_and_baseline_it_agrees_with_coin(data, printed):
    found = compare(data, 20000, 3)
    error = 4 * np.sqrt(0.16 * 0.84 / 20000)
    assert found["strata"] == 2
    assert found["p"] == pytest.approx(printed["elteren.p"], abs=error)
    assert found["p_adjusted"] == pytest.approx(printed["quade.p"], abs=error)
    scores, variance = within_strata(data.value, data.block), 0.0
    for stratum in (0, 1):
        rows = data.block == stratum
        share = data.active[rows].mean()
        variance += rows.sum() * share * (1 - share) * scores[rows].var(ddof=1)
    assert abs(data.active @ scores) / np.sqrt(variance) == pytest.approx(abs(printed["elteren.z"]), rel=1e-9)


def test_the_exact_test_is_the_enumeration_of_all_allocations():
    value = np.array([-np.inf, -np.inf, 2.1, 2.1, 2.2, 2.4, 2.4, -np.inf, 2.8])
    active = np.array([1.0, 1, 0, 1, 0, 0, 1, 0, 0])
    ranks = stats.rankdata(value)
    centre = 4 * ranks.mean()
    far = abs(ranks[active == 1].sum() - centre)
    every = [abs(ranks[list(c)].sum() - centre) >= far - 1e-9 for c in itertools.combinations(range(9), 4)]
    assert exact_rank_sum(value, active) == pytest.approx(np.mean(every), rel=1e-12)


def test_the_interval_agrees_with_the_rank_test_and_bounds_what_is_separate():
    # At the edge of significance of the normal rank test its bound is one half.
    for n, m in ((30, 30), (20, 5)):
        theta = 0.5 + stats.norm.ppf(0.975) * np.sqrt((n + m + 1) / (12 * n * m))
        assert newcombe(theta, n, m)[0] == pytest.approx(0.5, abs=1e-9)
    low, high = newcombe(1.0, 10, 10)
    assert 0.6 < low < 0.9
    assert high == 1.0
    rng = np.random.default_rng(2)
    a, c = rng.normal(0, 1, 60), rng.normal(0.4, 1, 60)
    theirs = rank_compare_2indep(a, c)
    mine = newcombe(1 - theirs.prob1, 60, 60)
    assert np.allclose(mine, sorted(1 - np.array(theirs.conf_int())), atol=0.02)


def test_ranks_alone_count_and_exchanging_the_arms_mirrors(data):
    whole = compare(data, 500, 1)
    assert compare(replace(data, value=data.value**3), 500, 1) == whole
    turned = compare(replace(data, active=1 - data.active), 500, 1)
    assert turned["win_probability"] == pytest.approx(1 - whole["win_probability"])
    assert turned["win_low"] == pytest.approx(1 - whole["win_high"])
    assert turned["none_left"]["difference"] == pytest.approx(-whole["none_left"]["difference"])
    with pytest.raises(NotEstimable, match="arm"):
        compare(replace(data, active=0 * data.active), 50, 1)


@pytest.fixture
def vanishing(tables):
    """A trial where treatment takes away mild active sections and leaves hot ones as they were."""
    trial, rng = tables.trial(40), np.random.default_rng(3)
    patients = trial["patients"]
    active = (trial["allocation"]["arm"] == "active").to_numpy()
    hottest = rng.normal(2.15, 0.1, 40)
    after = hottest - 0.4 * (active & (hottest < 2.2)) + rng.normal(0, 0.03, 40)
    patients["active_baseline"] = np.maximum(hottest, 2.01)
    patients["active_fraction_baseline"] = 0.3
    patients["active_fraction_followup"] = np.where(after >= 2.0, 0.2, 0.0)
    patients["active_refound_followup"] = np.where(after >= 2.0, after, np.nan)
    patients["active_locked_followup"] = after
    patients["vessel_mean_baseline"] = patients["vessel_mean_followup"] = patients["tbr_max_baseline"]
    patients.loc[1, ["active_baseline", "active_locked_followup", "active_refound_followup"]] = np.nan
    patients.loc[1, ["active_fraction_baseline", "active_fraction_followup"]] = 0.0
    patients.loc[3, "active_locked_followup"] = np.nan
    patients.loc[5, ["active_refound_followup", "active_fraction_followup", "active_locked_followup"]] = np.nan
    patients.loc[7, "vessel_mean_followup"] = np.nan
    trial["vessels"] = pd.concat(
        [patients[["participant_id", "tbr_max_baseline", "tbr_max_followup"]].assign(vessel=v) for v in VESSELS]
    ).assign(withheld="false")
    chosen = (trial["vessels"]["participant_id"] == "008") & (trial["vessels"]["vessel"] == VESSELS[1])
    trial["vessels"].loc[chosen, "withheld"] = "true"
    chosen = (trial["vessels"]["participant_id"] == "009") & (trial["vessels"]["vessel"] == VESSELS[1])
    trial["vessels"].loc[chosen, "tbr_max_followup"] = np.nan
    return trial


VESSELS = ("aorta_ascending", "carotid_left")


@pytest.fixture
def document(tables, vanishing):
    given = {name: tables.write(name, table) for name, table in vanishing.items()}
    analyse(TrialTables(**given), tables.folder / "o", AnalysisChoices(permutations=500))
    return json.loads((tables.folder / "o" / "arms.json").read_text())


def reasons(block):
    return {m["participant_id"]: m["reason"] for m in block["missing"]}


def test_every_endpoint_says_who_is_missing_and_why(document, vanishing):
    patients, endpoints = vanishing["patients"].set_index("participant_id"), document["endpoints"]
    refound = reasons(endpoints["active_refound"])
    gone = set(patients.index[(patients["active_fraction_followup"] == 0) & (patients["active_baseline"] > 0)])
    assert {p for p, why in refound.items() if why == NONE_LEFT} == gone
    assert len(gone) > 5
    assert refound["001"] == NONE_AT_BASELINE
    assert refound["005"] == "not measured at follow-up"
    assert endpoints["active_refound"]["missing"][0]["arm"] in ("active", "control")
    locked = reasons(endpoints["active_locked"])
    assert locked == {"001": NONE_AT_BASELINE, "003": NOT_FOUND_AGAIN, "005": NOT_FOUND_AGAIN}
    assert reasons(endpoints["vessel_mean"]) == {"007": "not measured at follow-up"}
    for block in (b for b in endpoints.values() if isinstance(b, dict)):
        assert sum(block["n"].values()) + len(block["missing"]) == 40
    assert reasons(document["vessels"][VESSELS[0]]) == {}
    assert reasons(document["vessels"][VESSELS[1]]) == {"008": WITHHELD, "009": "not measured at follow-up"}
    assert reasons(document["vessel_mean"])["008"] == f"{VESSELS[1]}: {WITHHELD}"


def test_none_left_in_what_was_seen_is_no_success_where_a_vessel_was_not(tables, vanishing):
    vessels = vanishing["vessels"]
    vessels["active_fraction_baseline"], vessels["active_fraction_followup"] = 0.3, 0.0
    gone = vanishing["patients"].query("active_fraction_followup == 0 and active_baseline > 0")["participant_id"]
    hidden, withheld = list(gone[gone != "008"])[:2]
    for participant in (hidden, withheld):
        chosen = (vessels["participant_id"] == participant) & (vessels["vessel"] == VESSELS[1])
        vessels.loc[chosen, "active_fraction_followup"] = np.nan
    vessels.loc[chosen, "withheld"] = "true"
    given = {name: tables.write(name, table) for name, table in vanishing.items()}
    found = analyse(TrialTables(**given), tables.folder / "o", AnalysisChoices(permutations=50))
    for block in (found["active_composite"], found["endpoints"]["active_refound"]):
        assert reasons(block)[hidden] == NOT_SEEN
    assert withheld not in reasons(found["active_composite"])
    assert reasons(found["endpoints"]["active_refound"])[withheld] == NONE_LEFT


def test_the_composite_counts_the_successes_that_the_mean_leaves_out(document):
    found = document["active_composite"]
    assert reasons(found) == {"001": NONE_AT_BASELINE, "005": "not measured at follow-up"}
    assert sum(found["n"].values()) == 38
    assert found["none_left"]["active"] > found["none_left"]["control"]
    assert found["p"] < 0.01 < document["endpoints"]["active_refound"]["p"]
    assert found["win_probability"] > 0.5
    assert 0.5 < found["win_low"] < found["win_probability"] < found["win_high"] < 1


def test_without_the_columns_the_composite_says_so(tables):
    given = {name: tables.write(name, table) for name, table in tables.trial(20).items()}
    found = analyse(TrialTables(**given), tables.folder / "o", AnalysisChoices(permutations=50))["active_composite"]
    assert "active_refound_followup" in found["reason"]
    assert (found["p"], found["missing"]) == (None, [])
