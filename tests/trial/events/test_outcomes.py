"""Events by arm, the change that goes with them, and the codes that are refused by name."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from petflame.cli import main
from petflame.errors import InputRefused
from petflame.files import read_json
from petflame.privacy import with_names
from petflame.requests import LANDMARK_YEARS
from petflame.trial.events.outcomes import events_line, outcomes

N = 40
IDS = [f"F{i:02d}" for i in range(N)]


@pytest.fixture
def followed(tables):
    """Return tables in which those whose uptake rose have the event, most of them controls."""
    rng = np.random.default_rng(2)
    active = np.arange(N) % 2 == 0
    change = rng.normal(np.where(active, -8, -2), 6)
    event = change > np.quantile(change, 0.8)
    patients = pd.DataFrame({"participant_id": IDS, "tbr_max_baseline": 2.3})
    patients["tbr_max_followup"] = 2.3 * (1 + change / 100)
    times = pd.DataFrame({"participant_id": IDS, "time_years": rng.uniform(2.1, 4, N), "event": event.astype(int)})
    times.loc[event, "time_years"] = rng.uniform(0.2, 1.9, event.sum())
    return {
        "outcomes": times,
        "patients": patients,
        "allocation": pd.DataFrame({"participant_id": IDS, "arm": np.where(active, "active", "control")}),
    }


def run(tables, given, **options):
    paths = {name: tables.write(name, table) for name, table in given.items()}
    return outcomes(paths["outcomes"], paths["allocation"], tables.folder / "o", patients=paths["patients"], **options)


def test_change_goes_with_events(tables, followed):
    followed["patients"].loc[3, "tbr_max_followup"] = np.nan
    found = run(tables, followed)["change_and_events"]
    assert found["hr"] > 1
    assert 1 < found["low"] < found["hr"] < found["high"]
    assert (found["n"], found["without_change"], found["left_out_before_landmark"]) == (N - 3, 1, 2)
    assert found["sample_needed"]["events"] == 48
    assert found["sample_needed"]["participants"] == round(48 * found["n"] / found["events"] + 0.5)
    assert "Exploratory" in found["definition"]


def test_hazard_ratio_is_per_ten_points(tables, followed):
    whole = run(tables, followed)["change_and_events"]
    followed["patients"]["tbr_max_followup"] = 2.3 + 2 * (followed["patients"]["tbr_max_followup"] - 2.3)
    doubled = run(tables, followed)["change_and_events"]
    assert doubled["hr"] ** 2 == pytest.approx(whole["hr"], rel=1e-4)
    assert doubled["change_sd"] == pytest.approx(2 * whole["change_sd"])


def test_follow_up_before_the_second_scan_does_not_depend_on_the_change(tables, followed):
    """Whoever had an event or left before the landmark is left out, and time runs from it."""
    table = followed["outcomes"]
    table.loc[[0, 1], ["time_years", "event"]] = [[0.3, 1], [0.4, 0]]
    found = run(tables, followed, landmark_years=0.5)["change_and_events"]
    early = table["time_years"] < 0.5
    assert found["left_out_before_landmark"] == early.sum()
    assert found["events_before_landmark"] == (early & (table["event"] == 1)).sum() > 0
    assert found["n"] + found["left_out_before_landmark"] + found["without_change"] == N
    late = table[~early].assign(time_years=table["time_years"] - 0.5)
    alone = run(tables, followed | {"outcomes": late}, landmark_years=0.0)["change_and_events"]
    for key in ("hr", "low", "high", "p"):
        assert found[key] == alone["whole_time"][key]
    assert found["hr"] != found["whole_time"]["hr"]
    whole = run(tables, followed, landmark_years=0.0)["change_and_events"]
    assert whole["hr"] == whole["whole_time"]["hr"] == found["whole_time"]["hr"]
    assert whole["left_out_before_landmark"] == 0


def test_without_a_measured_change_there_is_a_reason(tables, followed):
    followed["patients"]["tbr_max_followup"] = np.nan
    found = run(tables, followed)["change_and_events"]
    assert found["hr"] is None
    assert "0 participants only" in found["reason"]
    assert found["sample_needed"]["participants"] is None


def test_patients_of_another_trial_are_refused(tables, followed):
    followed["patients"]["participant_id"] = "X" + followed["patients"]["participant_id"]
    with pytest.raises(InputRefused, match="no participant_id in common with the outcomes"):
        run(tables, followed)
    assert not (tables.folder / "o").exists()


def test_the_sample_size_for_80_percent_power_rests_on_the_interval_that_stands_beside_the_risk(tables, followed):
    followed["outcomes"]["event"] = ([0, 1] + [0] * 18) * 2
    followed["outcomes"]["time_years"] = [3.0, 1.0, *[3.0] * 18] * 2
    document = run(tables, followed)
    needed, control = document["sample_needed"], document["risk_difference"]["control"]
    assert needed["control_risk"] == pytest.approx(0.1)
    assert [row["hazard_ratio"] for row in needed["per_arm"]] == [0.25, 0.5, 0.7]
    assert "risk of 10.0 % in 2 years" in needed["sentence"]
    assert all(str(row["per_arm"]) in needed["sentence"] for row in needed["per_arm"])
    limits = binomtest(2, 20).proportion_ci(method="wilson")
    assert [needed["control_risk_low"], needed["control_risk_high"]] == pytest.approx([limits.low, limits.high])
    assert (needed["control_risk_low"], needed["control_risk_high"]) == (control["low"], control["high"])
    assert f"(95 % interval {100 * limits.low:.1f} to {100 * limits.high:.1f} %)" in needed["sentence"]
    assert "would have 80 % power if the hazard ratio were 0.25" in needed["sentence"]
    for row in needed["per_arm"]:
        assert row["per_arm_fewest"] < row["per_arm"] < row["per_arm_most"]
        assert f"{row['per_arm_fewest']} to {row['per_arm_most']}" in needed["sentence"]
    followed["outcomes"]["event"] = 0
    assert "no event in the control arm" in run(tables, followed)["sample_needed"]["sentence"]


@pytest.mark.parametrize(("code", "shown"), [(3, "3"), (1.5, "1.5"), ("withdrawn", "'withdrawn'")])
def test_other_codes_and_withdrawals_are_refused_by_name(tables, followed, code, shown):
    table = followed["outcomes"].astype({"event": object})
    table.loc[4, "event"] = code
    with pytest.raises(InputRefused) as caught:
        run(tables, followed | {"outcomes": table})
    (fault,) = caught.value.faults
    assert "line 6" in fault.what
    assert shown in fault.what
    assert "competing events" in fault.remedy
    assert "withdrawal as 0" in fault.remedy


def test_missing_event_is_refused(tables, followed):
    table = followed["outcomes"].astype({"event": object})
    table.loc[4, "event"] = np.nan
    with pytest.raises(InputRefused, match="`event` is missing in line 6"):
        run(tables, followed | {"outcomes": table})


def test_one_year_and_one_event_are_said_so(tables, followed):
    times = followed["outcomes"]
    times["event"], times["time_years"] = 0, 3.0
    times.loc[1, ["event", "time_years"]] = [1, 0.5]
    found = run(tables, followed, horizon_years=1.0)
    assert "in 1 year (95 %" in found["sample_needed"]["sentence"]
    assert found["change_and_events"]["sample_needed"]["sentence"].endswith("here there was 1 event.")
    assert events_line(found).startswith("risk in 1 year ")
    assert "because the active arm has no event" in found["label"]
    followed["patients"].loc[1:, "tbr_max_followup"] = np.nan
    assert found["label"] == run(tables, followed)["label"]
    assert "known for 1 participant only" in run(tables, followed)["change_and_events"]["reason"]


def test_the_label_gives_the_reason_for_the_penalty_that_the_events_have(tables, followed):
    assert "because events are few" in (label := run(tables, followed)["label"])
    assert "diverges" not in label
    assert "no adjustment for multiplicity" in label
    times, active = followed["outcomes"], followed["allocation"]["arm"] == "active"
    kept = times.assign(event=times["event"].where(active, 0))
    assert "the control arm has no event" in run(tables, followed | {"outcomes": kept})["label"]
    assert "no Cox model" in run(tables, followed | {"outcomes": times.assign(event=0)})["label"]


def test_the_verb_passes_the_patients_on(tables, followed, monkeypatch, capfd):
    paths = {name: str(tables.write(name, table)) for name, table in followed.items()}
    out = tables.folder / "verb"
    words = ["outcomes", paths["outcomes"], "--allocation", paths["allocation"], "--patients", paths["patients"]]
    monkeypatch.setattr("sys.argv", ["petflame", *words, "--out", str(out)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code in (0, None)
    assert read_json(out / "outcomes.json")["change_and_events"]["n"] == N - 2
    assert read_json(out / "outcomes.json")["change_and_events"]["landmark_years"] == LANDMARK_YEARS
    assert "patients" in read_json(out / "outcomes.json")["provenance"]["inputs"]
    said = " ".join(" ".join(capfd.readouterr()).split())
    assert "exploratory" in said
    assert "participants in each arm would have 80 % power" in said
    assert "risk in 2 years active 10.0 %, control 30.0 %" in said
    assert "exact p 0.235" in said


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("A\t3,4\t0\nB\t2,0\t1\n", "has a decimal comma in lines 2 ('3,4'), 3 ('2,0')"),
        ("A\t3.4\tyes\nB\t2.0\tno\n", "`event` is a word in lines 2 ('yes'), 3 ('no')"),
        ("A\t2024-05-01\t0\nB\t1.0\t1\n", "`time_years` is a date in line 2"),
        ("A\t24\t0\nB\t36\t1\n", "`time_years` is 36 in line 3: these look like months"),
        ("A\t730\t0\nB\t412\t1\n", "these look like days"),
        ("A\t70.5\t0\nB\t1.5\t1\n", "these look like months"),
        ("A\t24.5\t0\nB\t36.2\t1\n", "these look like months"),
        ("A\t1.5\t0\n\t2.5\t0\nB\t1.5\t1\n", "`participant_id` is empty in line 3"),
        ("A\t1.5\t\nB\t\t1\n", "`event` is missing in line 2"),
        ("A\t1.5\t3\nB\t1.0\t1\n", "none of 0, 1 and 2 in line 2"),
        ("A\t1.5\t0\n", "every followed participant is in the active arm"),
        ("A\tNA\t0\nB\t1.0\t1\n", "`time_years` is missing in line 2"),
    ],
)
def test_what_an_outcome_table_cannot_mean_is_said_in_plain_words(tmp_path, rows, words):
    (tmp_path / "outcomes.tsv").write_text("participant_id\ttime_years\tevent\n" + rows)
    (tmp_path / "allocation.tsv").write_text("participant_id\tarm\nA\tactive\nB\tcontrol\n")
    with pytest.raises(InputRefused) as caught:
        outcomes(tmp_path / "outcomes.tsv", tmp_path / "allocation.tsv", tmp_path)
    assert words in with_names(str(caught.value))


def test_a_long_follow_up_in_years_is_no_months(tmp_path):
    (tmp_path / "outcomes.tsv").write_text("participant_id\ttime_years\tevent\nA\t17.5\t0\nB\t1.5\t1\n")
    (tmp_path / "allocation.tsv").write_text("participant_id\tarm\nA\tactive\nB\tcontrol\n")
    result = outcomes(tmp_path / "outcomes.tsv", tmp_path / "allocation.tsv", tmp_path)
    assert result["events"]["active"]["person_years"] == 17.5
