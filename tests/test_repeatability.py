"""One band in every table and sentence of a run."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from petflame.errors import InputRefused
from petflame.protocol import ChangeRules, Protocol
from petflame.repeatability import Repeatability
from petflame.study import load_study
from petflame.study_tables import analysis_faults
from petflame.trial.analyse import analyse
from petflame.trial.choices import AnalysisChoices, TrialTables


def test_the_band_holds_what_two_scans_of_an_unchanged_artery_give() -> None:
    rng = np.random.default_rng(11)
    cv = 0.05
    first, second = 2.0 * rng.lognormal(0.0, math.sqrt(math.log1p(cv**2)), (2, 40_000))
    low, high = Repeatability(cv).no_change_percent
    percent = 100 * (second / first - 1)
    assert np.mean((percent < low) | (percent > high)) == pytest.approx(0.05, abs=0.004)


def test_bands_mirror_each_other_and_do_not_depend_on_the_level() -> None:
    noise = Repeatability(0.04)
    down, up, higher = noise.change(2.0, 1.8), noise.change(1.8, 2.0), noise.change(20.0, 18.0)
    assert (1 + down.percent_low / 100) * (1 + up.percent_high / 100) == pytest.approx(1.0)
    assert (higher.percent_low, higher.percent_high) == pytest.approx((down.percent_low, down.percent_high))
    assert down.difference == pytest.approx(-0.2)


@pytest.mark.parametrize(("followup", "verdict"), [(1.6, "fall"), (1.8, "within noise"), (2.5, "rise")])
def test_verdict_and_sentence_say_what_the_band_says(followup: float, verdict: str) -> None:
    change = Repeatability(0.05).change(2.0, followup)
    assert change.verdict == verdict
    assert change.beyond_repeatability == (change.percent_low > 0 or change.percent_high < 0)
    assert (verdict if verdict != "within noise" else "within measurement noise") in change.sentence
    assert f"{change.percent_low:+.1f} to {change.percent_high:+.1f}" in change.sentence


def test_a_reliability_file_goes_before_the_protocol_and_a_useless_one_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "reliability.json"
    path.write_text(json.dumps({"within_subject_cv": 0.03}))
    configured = Repeatability.of(ChangeRules(within_subject_cv=0.05, published_bands_percent=(12.0,)))
    assert configured.measured(None) == configured
    measured = configured.measured(path)
    assert (measured.within_subject_cv, measured.published_percent) == (0.03, (12.0,))
    assert "reliability" in measured.source
    path.write_text(json.dumps({"within_subject_cv": None}))
    with pytest.raises(InputRefused, match="within_subject_cv"):
        configured.measured(path)


def test_the_protocols_published_limits_reach_the_responders(tmp_path: Path) -> None:
    ids = [f"P{n}" for n in range(8)]
    baseline = np.linspace(1.9, 2.6, 8)
    table = pd.DataFrame({"participant_id": ids, "tbr_max_baseline": baseline, "tbr_max_followup": baseline * 0.87})
    table.loc[0, "tbr_max_followup"] *= 1.05
    arms = pd.DataFrame({"participant_id": ids, "arm": ["active", "control"] * 4})
    for name, made in {"patients": table, "allocation": arms}.items():
        made.to_csv(tmp_path / f"{name}.tsv", sep="\t", index=False)
    rules = ChangeRules(within_subject_cv=0.04, published_bands_percent=(12.0, 20.0))
    tables = TrialTables(tmp_path / "patients.tsv", allocation=tmp_path / "allocation.tsv")
    found = analyse(tables, tmp_path / "out", AnalysisChoices(permutations=50, repeatability=Repeatability.of(rules)))
    assert {k for k in found["responders"] if k.startswith("published")} == {
        "published_12_percent",
        "published_20_percent",
    }
    assert found["responders"]["published_12_percent"]["active"] == {"responders": 3, "n": 4}
    assert found["patients"]["published_bands_percent"] == [12.0, 20.0]


def test_a_pair_outside_the_analysis_set_keeps_its_band(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {
            "participant_id": [f"P{n}" for n in range(6)],
            "tbr_max_baseline": np.linspace(1.9, 2.6, 6),
            "tbr_max_followup": np.linspace(1.8, 2.4, 6),
            "comparability": ["fail", *["pass"] * 5],
        }
    )
    table.to_csv(tmp_path / "patients.tsv", sep="\t", index=False)
    found = analyse(
        TrialTables(tmp_path / "patients.tsv"), tmp_path / "out", AnalysisChoices(analysis_set="comparable")
    )
    changes = pd.read_csv(tmp_path / "out" / "patient_changes.tsv", sep="\t")
    assert list(changes["participant_id"]) == list(table["participant_id"])
    assert sum(found["patients"]["verdicts"].values()) == 5


def test_tables_of_a_pair_and_of_the_analysis_agree_to_the_last_digit(tmp_path: Path) -> None:
    noise = Repeatability.of(Protocol().change)
    changes = [noise.change(2.0 + 0.037 * n, 1.91 + 0.041 * n) for n in range(5)]
    pair = pd.DataFrame([{"participant_id": f"P{n}", **_pair_cells(c)} for n, c in enumerate(changes)])
    pair.to_csv(tmp_path / "patients.tsv", sep="\t", index=False)
    analyse(TrialTables(tmp_path / "patients.tsv"), tmp_path / "out", AnalysisChoices())
    made = pd.read_csv(tmp_path / "out" / "patient_changes.tsv", sep="\t")
    for column in ("percent_change", "percent_low", "percent_high"):
        assert list(made[column]) == list(pair[column])


def _pair_cells(change) -> dict[str, float]:
    from petflame.pair.rows import _change_cells

    return {
        "tbr_max_baseline": change.baseline,
        "tbr_max_followup": change.followup,
        **_change_cells(change),
    }


def test_a_useless_reliability_file_stops_the_planning_and_no_job(tmp_path: Path) -> None:
    (tmp_path / "visits.tsv").write_text("participant_id\tvisit\tdicom_dir\nP1\tbaseline\ta\n")
    study = load_study(tmp_path, tmp_path / "out", keep_key=False)
    path = tmp_path / "reliability.json"
    path.write_text(json.dumps({"within_subject_cv": 0.03}))
    assert analysis_faults(study, "", str(path)) == []
    path.write_text(json.dumps({"within_subject_cv": 0.0}))
    (fault,) = analysis_faults(study, "", str(path))
    assert "within_subject_cv" in fault.what
