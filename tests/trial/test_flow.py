"""The CONSORT flow: screened, randomised, scanned, evaluable, followed up, analysed."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from petflame.trial.analyse import analyse
from petflame.trial.choices import AnalysisChoices, TrialTables


@pytest.fixture
def trial(tables):
    """Return 26 screened, 20 randomised, 18 scanned, 17 evaluable, 15 followed up, 14 comparable."""
    made = tables.trial()
    patients = made["patients"].iloc[:18].assign(reason="", comparability="pass")
    patients.loc[2, ["tbr_max_baseline", "reason"]] = [np.nan, "no jugular vein"]
    patients.loc[[5, 6], "tbr_max_followup"] = np.nan
    patients.loc[5, "reason"] = "missing slice"
    patients.loc[9, ["comparability", "reason"]] = ["fail", "other scanner"]
    people = made["patients"][["participant_id"]].assign(reason="")
    why = ["", "declined", "declined", "declined", "troponin too low", "troponin too low"]
    failures = pd.DataFrame({"participant_id": [f"S{i}" for i in range(6)], "reason": why})
    people = pd.concat([people, failures], ignore_index=True)
    return {"patients": patients, "allocation": made["allocation"], "participants": people}


def run(tables, trial):
    paths = {name: tables.write(name, table) for name, table in trial.items()}
    choices = AnalysisChoices(permutations=50, analysis_set="comparable")
    found = analyse(TrialTables(**paths), tables.folder / "o", choices)
    return found, {s["station"]: s for s in found["consort"]["stations"]}


def test_every_station_in_order(tables, trial):
    _, stations = run(tables, trial)
    assert [(name, s["total"]) for name, s in stations.items()] == [
        ("screened", 26),
        ("randomised", 20),
        ("scanned", 18),
        ("evaluable", 17),
        ("followed_up", 15),
        ("analysed", 14),
    ]
    assert (stations["randomised"]["active"], stations["randomised"]["control"]) == (10, 10)
    assert all(s["definition"] for s in stations.values())


def test_losses_add_up_and_give_their_reasons(tables, trial):
    _, stations = run(tables, trial)
    totals = [s["total"] for s in stations.values()]
    lost = [sum(item["total"] for item in s["lost"]) for s in list(stations.values())[1:]]
    assert lost == [a - b for a, b in pairwise(totals)]
    screening = {item["reason"]: item["total"] for item in stations["randomised"]["lost"]}
    assert screening == {
        "screened, not randomised: declined": 3,
        "screened, not randomised: not given": 1,
        "screened, not randomised: troponin too low": 2,
    }
    assert [item["reason"] for item in stations["analysed"]["lost"]] == ["scans not comparable: other scanner"]
    assert "no follow-up measurement: missing slice" in {item["reason"] for item in stations["followed_up"]["lost"]}


def test_randomised_but_not_among_those_screened_is_noted(tables, trial):
    trial["participants"] = trial["participants"].iloc[3:]
    found, _ = run(tables, trial)
    assert any("000, 001, 002 not in PARTICIPANTS" in note for note in found["notes"])


def test_without_tables_a_station_is_null_with_its_reason(tables, trial):
    _, stations = run(tables, {"patients": trial["patients"]})
    assert stations["screened"]["total"] is None
    assert "no table of participants" in stations["screened"]["reason"]
    assert "no allocation" in stations["randomised"]["reason"]
    assert "active" not in stations["scanned"]
