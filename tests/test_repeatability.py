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
from petflame.trial.reliability import reliability


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
    assert (verdict if verdict != "within noise" else "within assumed measurement noise") in change.sentence
    assert f"{change.percent_low:+.1f} to {change.percent_high:+.1f}" in change.sentence


def test_a_reliability_file_goes_before_the_protocol_and_a_useless_one_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "reliability.json"
    scans = {"repeated": "scan_rescan", "repeatability_df": 11}
    path.write_text(json.dumps({"within_subject_cv": 0.03, **scans}))
    configured = Repeatability.of(ChangeRules(within_subject_cv=0.05, published_bands_percent=(12.0,)))
    assert configured.measured(None) == configured
    measured = configured.measured(path)
    assert (measured.within_subject_cv, measured.published_percent) == (0.03, (12.0,))
    assert "reliability" in measured.source
    assert (configured.assumed, measured.assumed, measured.df) == (True, False, 11)
    path.write_text(json.dumps({"within_subject_cv": None, **scans}))
    with pytest.raises(InputRefused, match="within_subject_cv"):
        configured.measured(path)


@pytest.mark.parametrize(("repeated", "why"), [("reading", "repeated readings of one scan"), (None, "does not say")])
def test_readings_of_one_scan_never_feed_the_band(tmp_path: Path, repeated: str | None, why: str) -> None:
    rng = np.random.default_rng(1)
    level = np.repeat(rng.normal(2.2, 0.3, 12), 2)
    table = pd.DataFrame(
        {"subject": np.repeat(range(12), 2), "rater": ["a", "b"] * 12, "value": level * rng.lognormal(0, 0.009, 24)}
    )
    table.to_csv(tmp_path / "readings.tsv", sep="\t", index=False)
    reliability(tmp_path / "readings.tsv", tmp_path, repeated=repeated)
    with pytest.raises(InputRefused, match=why):
        Repeatability(0.05).measured(tmp_path / "reliability.json")


def test_the_band_of_a_measured_cv_is_t_and_holds_its_share() -> None:
    """A CV from 11 subjects scanned twice: 1.96 leaves out more than 5 in 100 new pairs, t does not."""
    rng = np.random.default_rng(4)
    sd, df, trials = 0.06, 11, 20_000
    estimated = sd * np.sqrt(rng.chisquare(df, trials) / df)
    change = rng.normal(0, math.sqrt(2) * sd, trials)
    outside = {"t": [], "z": []}
    for s, d in zip(estimated, change, strict=True):
        cv = math.sqrt(math.expm1(s**2))
        for name, noise in (("t", Repeatability(cv, df=df)), ("z", Repeatability(cv))):
            low, high = noise.no_change_percent
            outside[name].append(not low <= 100 * math.expm1(d) <= high)
    assert np.mean(outside["t"]) == pytest.approx(0.05, abs=0.005)
    assert np.mean(outside["z"]) > 0.06


def test_the_control_arm_is_held_against_the_band(tmp_path: Path) -> None:
    rng = np.random.default_rng(9)
    ids = [f"P{n}" for n in range(200)]
    base = rng.normal(2.3, 0.28, 200)
    patients = pd.DataFrame({"participant_id": ids, "tbr_max_baseline": base})
    patients["tbr_max_followup"] = base * rng.lognormal(0, math.sqrt(2) * 0.096, 200)
    patients.to_csv(tmp_path / "patients.tsv", sep="\t", index=False)
    allocation = pd.DataFrame({"participant_id": ids, "arm": ["active", "control"] * 100})
    allocation.to_csv(tmp_path / "allocation.tsv", sep="\t", index=False)
    tables = TrialTables(tmp_path / "patients.tsv", allocation=tmp_path / "allocation.tsv")
    for cv, narrow in ((0.05, True), (0.096, False)):
        choices = AnalysisChoices(permutations=50, repeatability=Repeatability(cv))
        check = analyse(tables, tmp_path / "out", choices)["band_check"]
        assert check["implied_within_subject_cv"] == pytest.approx(0.096, rel=0.15)
        assert check["too_narrow"] is narrow
        assert check["low"] < check["outside"] / check["n"] < check["high"]
        assert f"{check['outside']} of 100" in check["sentence"]


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
    scans = {"repeated": "scan_rescan", "repeatability_df": 11}
    scans = {"repeated": "scan_rescan", "repeatability_df": 11}
    path.write_text(json.dumps({"within_subject_cv": 0.03, **scans}))
    assert analysis_faults(study, "", str(path)) == []
    path.write_text(json.dumps({"within_subject_cv": 0.0, **scans}))
    (fault,) = analysis_faults(study, "", str(path))
    assert "within_subject_cv" in fault.what
