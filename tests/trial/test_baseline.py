"""Baseline characteristics by arm."""

from __future__ import annotations

import numpy as np
import pytest

from petflame.trial.analyse import analyse
from petflame.trial.choices import AnalysisChoices, TrialTables

QUICK = AnalysisChoices(permutations=50)


@pytest.fixture
def described(tables):
    trial = tables.trial(30)
    ids = trial["patients"]["participant_id"]
    people = trial["patients"][["participant_id"]].assign(
        age=np.arange(30) + 45.0,
        sex=["f", "m", "m"] * 10,
        smoker=[0, 1] * 15,
        initials=[f"{chr(65 + n % 26)}{n}" for n in range(30)],
        bmi=[np.nan, *np.linspace(20, 35, 29)],
    )
    paths = {
        "patients": tables.write("patients", trial["patients"]),
        "allocation": tables.write("allocation", trial["allocation"]),
        "participants": tables.write("participants", people),
    }
    arms = dict(zip(ids, trial["allocation"]["arm"], strict=True))
    return analyse(TrialTables(**paths), tables.folder / "o", QUICK), people, arms


def test_numbers_and_counts_are_those_of_the_arm(described):
    found, people, arms = described
    rows = {r["name"]: r for r in found["baseline"]["rows"]}
    own = people[people["participant_id"].map(arms) == "active"]
    assert rows["age"]["active"]["mean"] == pytest.approx(own["age"].mean())
    assert rows["age"]["active"]["sd"] == pytest.approx(own["age"].std())
    assert rows["sex"]["levels"]["f"]["active"] == int((own["sex"] == "f").sum())
    assert sum(v["control"] for v in rows["sex"]["levels"].values()) == 15
    assert rows["smoker"]["levels"]["1"] == {"active": 0, "control": 15}
    assert rows["bmi"]["known"] == {"active": 14, "control": 15}
    tbr = rows["mean TBRmax of the index vessel"]
    assert tbr["active"] == found["arms"]["active"]["baseline"]


def test_lists_of_names_are_named_but_not_shown(described):
    found, _, _ = described
    assert found["baseline"]["not_shown"] == ["initials"]
    assert "A0" not in str(found["baseline"])


def test_nothing_is_described_by_arm_when_blinded(tables):
    trial = tables.trial(10)
    found = analyse(TrialTables(tables.write("patients", trial["patients"])), tables.folder / "o", QUICK)
    assert found["baseline"] is None
