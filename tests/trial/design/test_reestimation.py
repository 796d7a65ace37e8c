"""Sample size again from blinded data: R's numbers, the size of what the effect adds, and no sight of the arms."""

from __future__ import annotations

import itertools
import json
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from petflame.cli import app
from petflame.errors import InputRefused
from petflame.privacy import with_names
from petflame.trial.design.power import power
from petflame.trial.design.reestimation import Interim, Planned, blinded_sd, reestimate
from petflame.trial.design.sample_size import sample_size_per_arm, two_sample_power

PLANNED = Planned(difference=-0.171, residual_sd=0.257, per_arm=30, power=0.8, dropout=0.1)


@pytest.fixture
def blinded(golden_tables) -> Interim:
    return Interim(golden_tables["patients"], golden_tables["participants"])


def test_sample_sizes_and_powers_are_those_of_r(golden_design):
    sizes = {name: value for name, value in golden_design.items() if name.startswith("n|")}
    assert len(sizes) == 18
    for name, value in sizes.items():
        delta, sd, target = map(float, name.split("|")[1:])
        assert sample_size_per_arm(-delta, sd, target) == pytest.approx(value, rel=1e-8)
    for n in (12, 30):
        assert two_sample_power(0.171, 0.257, n) == pytest.approx(golden_design[f"power|0.171|0.257|{n}"], rel=1e-9)


def test_few_patients_are_enough_for_what_no_one_could_miss():
    assert sample_size_per_arm(2.0, 0.1) == 2
    assert two_sample_power(2.0, 0.1, 2) > 0.8


@pytest.mark.parametrize(("prefix", "strata"), [("plain", ()), ("strata", ("site",))])
def test_the_blinded_sd_and_what_it_asks_for_are_those_of_r(blinded, golden_design, prefix, strata):
    found = reestimate(Interim(blinded.patients, blinded.participants, strata), PLANNED)
    assert found["df"] == golden_design[f"{prefix}.df"]
    for estimator, end in itertools.product(("lumped", "adjusted"), ("", "_low", "_high")):
        sd, per_arm = (golden_design[f"{prefix}.{estimator}.{key}{end}"] for key in ("sd", "per_arm"))
        assert found[estimator][f"sd{end}"] == pytest.approx(sd, rel=1e-9)
        assert found[estimator][f"per_arm{end}"] == per_arm
    assert found["per_arm_not_below_planned"] == 30


def test_an_effect_adds_exactly_what_is_taken_off():
    # Over all ways to draw 4 of 8 patients, the lumped variance exceeds that without effect by d^2 N / (4 (N - 1)).
    rng = np.random.default_rng(6)
    base, untreated, effect = rng.normal(2.3, 0.3, 8), rng.normal(2.2, 0.2, 8), -0.4

    def variance(followup):
        ids = [str(k) for k in range(8)]
        columns = {"participant_id": ids, "arm": "x", "tbr_max_baseline": base, "tbr_max_followup": followup}
        return blinded_sd(pd.DataFrame(columns))[0] ** 2

    draws = [np.isin(np.arange(8), chosen) for chosen in itertools.combinations(range(8), 4)]
    mean = np.mean([variance(untreated + effect * active) for active in draws])
    assert mean - variance(untreated) == pytest.approx(effect**2 * 8 / (4 * 7), rel=1e-9)


def test_neither_order_nor_the_unfinished_change_it(tables):
    patients = tables.trial(n=24)["patients"]
    plain = reestimate(Interim(tables.write("plain", patients)), PLANNED)
    open_ = pd.DataFrame({"participant_id": ["900"], "tbr_max_baseline": [2.5], "tbr_max_followup": [np.nan]})
    mixed = pd.concat([patients.iloc[::-1], open_])
    found = reestimate(Interim(tables.write("mixed", mixed)), PLANNED)
    assert found["lumped"] == plain["lumped"]
    assert (plain["without_both_visits"], found["without_both_visits"]) == (0, 1)


def test_a_wider_sd_than_planned_asks_for_more(tables):
    patients = tables.trial(n=40)["patients"]
    rng = np.random.default_rng(1)
    patients["tbr_max_followup"] = 1.0 + 0.5 * patients["tbr_max_baseline"] + rng.normal(0, 0.4, 40)
    found = reestimate(Interim(tables.write("patients", patients)), PLANNED)
    assert found["per_arm_not_below_planned"] == found["lumped"]["per_arm"] > 60


def test_tables_that_name_the_arms_are_refused(tables):
    trial = tables.trial()
    told = trial["patients"].assign(Arm_code=np.tile(["A", "B"], 10))
    people = trial["allocation"].rename(columns={"arm": "given"}).replace({"active": "Verum", "control": "Placebo"})
    with pytest.raises(InputRefused) as refused:
        power(interim=Interim(tables.write("told", told), tables.write("people", people)), trials=100)
    assert {with_names(f.what).split(" names")[0] for f in refused.value.faults} == {
        "the column 'Arm_code'",
        "the column 'given'",
    }
    with pytest.raises(InputRefused, match="names the arms"):
        reestimate(Interim(tables.write("allocation", trial["allocation"])), PLANNED)


def test_what_cannot_be_told_comes_with_a_reason(tables):
    few = reestimate(Interim(tables.write("few", tables.trial(n=8)["patients"])), PLANNED)
    assert few["lumped"] is None
    assert "8 participants have both visits" in few["reason"]
    narrow = tables.trial(n=20, effect=0.0)["patients"]
    found = reestimate(Interim(tables.write("narrow", narrow)), Planned(-0.9, 0.257, 30, 0.8, 0.0))
    assert found["adjusted"]["per_arm"] is None
    assert "planned difference" in found["adjusted"]["reason"]
    assert power(trials=100)["reestimation"]["reason"] == "no interim table was given"


def test_the_command_line_says_it(golden_tables, tmp_path):
    options = [
        "--trials",
        "100",
        "--dropout",
        "0.1",
        "--interim",
        str(golden_tables["patients"]),
        "--strata",
        "site",
        "--out",
        str(tmp_path),
    ]
    import_module("petflame.cli.trial")
    runner = CliRunner()
    found = runner.invoke(app, ["power", *options, "--participants", str(golden_tables["participants"])])
    assert found.exit_code == 0, found.output
    block = json.loads((Path(tmp_path) / "power.json").read_text())["reestimation"]
    said = found.output.strip().splitlines()
    assert len(said) == 4
    assert f"{block['participants']} participants with both visits" in said[0]
    assert "+ site" in said[0]
    for name in ("lumped", "adjusted"):
        sd, sizes = ([block[name][f"{key}{end}"] for end in ("", "_low", "_high")] for key in ("sd", "per_arm"))
        assert "{:.3f} ({:.3f} to {:.3f})".format(*sd) in said[1]
        assert "{} ({} to {}) by the {}".format(*sizes, name) in said[2]
    assert "with 10 % dropout" in said[2]
    assert said[3] == f"written: {tmp_path / 'power.json'}"
    assert block["strata"] == ["site"]
    alone = runner.invoke(app, ["power", "--strata", "site"])
    assert isinstance(alone.exception, InputRefused)
