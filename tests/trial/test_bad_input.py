"""Faulty and degenerate tables: refused with every fault at once, or answered with null and a reason."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from petflame.errors import InputRefused
from petflame.privacy import with_names
from petflame.trial.analyse import analyse
from petflame.trial.choices import AnalysisChoices, TrialTables
from petflame.trial.design.power import power
from petflame.trial.events.outcomes import outcomes
from petflame.trial.reliability import reliability

# A warning of a library must never be the only sign of bad input: here every warning is an error.
pytestmark = pytest.mark.filterwarnings("error")


def run(tables, patients, allocation=None, strata=(), analysis_set="all_measured", **more):
    more |= {} if allocation is None else {"allocation": tables.write("allocation", allocation)}
    choices = AnalysisChoices(strata=strata, analysis_set=analysis_set, permutations=100)
    return analyse(TrialTables(tables.write("patients", patients), **more), tables.folder / "out", choices)


def refusal(call, *args, **kwargs) -> str:
    with pytest.raises(InputRefused) as caught:
        call(*args, **kwargs)
    return "\n".join(map(str, caught.value.faults))


def test_every_fault_of_every_table_at_once(tables):
    trial = tables.trial()
    patients = pd.concat([trial["patients"], trial["patients"].iloc[[0]]]).astype({"tbr_max_followup": object})
    patients.iloc[3, 2] = "2,31"
    patients.iloc[4, 1] = -2.0
    allocation = trial["allocation"].copy()
    allocation.loc[5, "arm"] = "verum"
    said = refusal(run, tables, patients, allocation)
    assert "000 occurs more than once" in said
    assert "line 5 ('2,31')" in with_names(said)
    assert "not above 0" in said
    assert "'verum'" in said
    assert not (tables.folder / "out").exists()


def test_measured_participant_without_allocation(tables):
    trial = tables.trial()
    said = refusal(run, tables, trial["patients"], trial["allocation"].iloc[:-2])
    assert "018, 019 were measured but have no arm" in said


def test_no_identifier_in_common(tables):
    trial = tables.trial()
    other = trial["allocation"].assign(participant_id=lambda t: "X" + t["participant_id"])
    assert "no participant_id in common" in refusal(run, tables, trial["patients"], other)


def test_identifiers_keep_their_leading_zeros(tables):
    trial = tables.trial()
    found = run(tables, trial["patients"], trial["allocation"])
    assert found["primary"]["n"] == {"active": 10, "control": 10}
    assert "000" in (tables.folder / "out" / "patient_changes.tsv").read_text()


def test_allocated_but_never_scanned_is_counted(tables):
    trial = tables.trial()
    found = run(tables, trial["patients"].iloc[:-3], trial["allocation"])["analysis_set"]
    assert found["randomised"]["total"] == 20
    assert found["randomised_not_scanned"] == {"total": 3, "active": 1, "control": 2}
    assert {row["reason"] for row in found["left_out"]} == {"randomised, not scanned"}


def test_refused_visit_stays_listed_with_its_reason(tables):
    trial = tables.trial()
    patients = trial["patients"].assign(reason="")
    patients.loc[4, ["tbr_max_followup", "reason"]] = [np.nan, "missing slice"]
    found = run(tables, patients, trial["allocation"])
    assert found["primary"]["n"]["active"] == 9
    assert found["analysis_set"]["left_out"] == [
        {"participant_id": "004", "arm": "active", "reason": "no follow-up measurement: missing slice"}
    ]
    lost = {s["station"]: s.get("lost") for s in found["consort"]["stations"]}
    assert lost["followed_up"][0]["active"] == 1
    assert found["sensitivity"]["multiple_imputation"]["imputed"] == {"active": 1, "control": 0}


@pytest.mark.parametrize(
    ("refused", "words"),
    [
        ([("baseline", "convert", "refused")], "no change measured (baseline refused)"),
        ([("followup", "segment", "failed")], "no change measured (follow-up failed)"),
        ([("baseline", "convert", "refused"), ("followup", "convert", "refused")], "(both visits refused)"),
        (
            [("baseline", "convert", "refused"), ("followup", "visits", "refused")],
            "baseline refused, follow-up missing",
        ),
        ([("pair", "pair", "refused")], "no change measured: slices are missing"),
    ],
)
def test_only_the_visits_that_were_refused_are_said_to_be(tables, refused, words):
    trial = tables.trial()
    patients = trial["patients"].assign(reason="")
    patients.loc[4, ["tbr_max_baseline", "tbr_max_followup"]] = np.nan
    patients.loc[4, "reason"] = "slices are missing"
    rows = [{"participant_id": "004", "visit": v, "step": s, "kind": kind, "what": "slices"} for v, s, kind in refused]
    exclusions = tables.write("exclusions", pd.DataFrame(rows))
    found = run(tables, patients, trial["allocation"], exclusions=exclusions)
    (reason,) = (row["reason"] for row in found["analysis_set"]["left_out"])
    assert words in reason
    assert reason.endswith(": slices are missing")
    assert words in (tables.folder / "out" / "not_analysed.tsv").read_text()
    assert words in json.dumps(found["consort"])


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (3, "at least two patients"),
        (1, "at least two patients"),
    ],
)
def test_too_few_patients_give_null_with_a_reason(tables, rows, reason):
    trial = tables.trial()
    found = run(tables, trial["patients"].iloc[:rows], trial["allocation"].iloc[:rows])
    assert found["primary"] is None
    assert reason in found["primary_reason"]
    assert "reason" in found["sensitivity"]["permutation"]


def test_four_patients_are_answered_with_one_degree_of_freedom(tables):
    trial = tables.trial(4)
    assert run(tables, trial["patients"], trial["allocation"])["primary"]["df"] == 1


def test_one_arm(tables):
    trial = tables.trial()
    found = run(tables, trial["patients"], trial["allocation"].assign(arm="active"))
    assert found["primary"] is None
    assert "0 control" in found["primary_reason"]


def test_constant_baseline(tables):
    trial = tables.trial()
    found = run(tables, trial["patients"].assign(tbr_max_baseline=2.2), trial["allocation"])
    assert found["primary"] is None
    assert "baseline is the same" in found["primary_reason"]
    assert found["sensitivity"]["mean_percent_change_difference"]["estimate"] is not None


def test_follow_up_that_repeats_the_baseline(tables):
    trial = tables.trial()
    patients = trial["patients"].assign(tbr_max_followup=lambda t: t["tbr_max_baseline"])
    assert "fits every patient exactly" in run(tables, patients, trial["allocation"])["primary_reason"]


def test_unknown_strata_and_strata_that_equal_the_arm(tables):
    trial = tables.trial()
    people = tables.write("participants", trial["allocation"].rename(columns={"arm": "site"}))
    said = refusal(run, tables, trial["patients"], trial["allocation"], participants=people, strata=("region",))
    assert "no column `region`" in said
    assert "site" in said
    found = run(tables, trial["patients"], trial["allocation"], participants=people, strata=("site",))
    assert "cannot be told apart" in found["primary_reason"]


def test_constant_stratum(tables):
    trial = tables.trial()
    people = tables.write("participants", trial["patients"][["participant_id"]].assign(site="a"))
    said = refusal(run, tables, trial["patients"], trial["allocation"], participants=people, strata=("site",))
    assert "same for every" in said


def test_nobody_measured_at_follow_up(tables):
    trial = tables.trial()
    patients = trial["patients"].assign(tbr_max_followup=np.nan)
    vessels = tables.write("vessels", patients.assign(vessel="carotid_left"))
    people = tables.write("participants", patients[["participant_id"]].assign(site=["a", "b"] * 10))
    options = {"vessels": vessels, "participants": people, "strata": ("site",)}
    found = run(tables, patients, trial["allocation"], **options)
    assert found["primary"] is None
    assert found["analysis_set"]["measured_baseline"]["total"] == 20
    assert all("reason" in found["sensitivity"][name] for name in ("interaction", "tertiles", "bootstrap"))


def test_empty_and_headless_tables(tables):
    path = tables.folder / "patients.tsv"
    path.write_text("")
    assert "patients.tsv" in refusal(analyse, TrialTables(path), tables.folder / "out", AnalysisChoices())
    path.write_text("participant_id\ttbr_max_baseline\ttbr_max_followup\n")
    assert "no rows" in refusal(analyse, TrialTables(path), tables.folder / "out", AnalysisChoices())


def test_vessels_of_strangers_and_unknown_vessels(tables):
    trial = tables.trial()
    rows = trial["patients"].iloc[:2].assign(vessel=["carotid_left", "femoral"])
    said = refusal(run, tables, trial["patients"], trial["allocation"], vessels=tables.write("vessels", rows))
    assert "'femoral'" in said
    rows = rows.assign(participant_id=["000", "999"], vessel="carotid_left")
    said = refusal(run, tables, trial["patients"], trial["allocation"], vessels=tables.write("vessels", rows))
    assert "participant 999 not in" in said


def test_comparable_set_leaves_failed_pairs_listed(tables):
    trial = tables.trial()
    patients = trial["patients"].assign(comparability=["fail"] * 2 + ["pass"] * 9 + ["warn"] * 9)
    found = run(tables, patients, trial["allocation"], analysis_set="comparable")
    assert found["analysis_set"]["analysed"]["total"] == 18
    assert [row["reason"] for row in found["analysis_set"]["left_out"]] == ["scans not comparable"] * 2
    said = refusal(run, tables, trial["patients"], trial["allocation"], analysis_set="comparable")
    assert "`comparability` is missing" in said


def events(tables, time, event, arm):
    ids = [f"F{i}" for i in range(len(time))]
    table = pd.DataFrame({"participant_id": ids, "time_years": time, "event": event})
    arms = pd.DataFrame({"participant_id": ids, "arm": arm})
    return tables.write("outcomes", table), tables.write("allocation", arms), tables.folder / "out"


TWO_ARMS = ["active", "control"] * 5


def test_negative_times_and_unknown_codes(tables):
    said = refusal(outcomes, *events(tables, [-1.0, *[3.0] * 9], [0, 3, *[0] * 8], TWO_ARMS))
    assert "`time_years` is below 0 in line 2" in said
    assert "`event` is none of 0, 1 and 2 in line 3" in said


def test_no_events_at_all(tables):
    found = outcomes(*events(tables, np.arange(1.0, 11), [0] * 10, TWO_ARMS))
    assert found["log_rank_p"] is None
    assert found["fisher_p"] is None
    assert found["firth_cox"]["reason"] == "no event occurred in either arm"
    assert found["events"]["active"]["proportion_high"] == pytest.approx(0.5218, abs=1e-4)


def test_every_participant_of_one_arm_has_the_event(tables):
    found = outcomes(*events(tables, np.arange(1.0, 11), [0, 1] * 5, TWO_ARMS), horizon_years=20)
    assert 0 < found["firth_cox"]["hr"] < 1
    assert found["at_horizon"]["active"]["n"] == 0
    assert "nobody followed" in found["fisher"]["reason"]


def test_every_event_in_one_arm_is_answered_without_an_ordinary_cox_model(tables):
    found = outcomes(
        *events(tables, [3.0] * 6 + [1.0, 1.2, 3, 3], [0] * 6 + [1, 1, 0, 0], ["active"] * 5 + ["control"] * 5)
    )
    assert found["events"]["active"]["events"] == 0
    assert 0 < found["firth_cox"]["low"] < found["firth_cox"]["hr"] < 1 < found["firth_cox"]["high"]
    assert found["rate_ratio"]["estimate"] == 0
    assert "diverges" in found["label"]
    assert not [key for key in found if "cox" in key and key != "firth_cox"]


def test_everybody_has_the_event(tables):
    found = outcomes(*events(tables, np.arange(0.1, 1.05, 0.1), [1] * 10, TWO_ARMS))
    assert "everybody had an event" in found["fisher"]["reason"]
    assert found["kaplan_meier"]["active"]["2"]["survival"] == 0
    assert found["sample_needed"]["per_arm"]


def test_one_arm_of_outcomes_is_refused(tables):
    assert "every followed participant" in refusal(outcomes, *events(tables, [1.0] * 4, [0] * 4, ["active"] * 4))


def test_horizon_must_be_positive(tables):
    paths = events(tables, np.arange(1.0, 11), [0, 1] * 5, TWO_ARMS)
    assert "not positive" in refusal(outcomes, *paths, horizon_years=0)
    assert "the landmark -0.1 is negative" in refusal(outcomes, *paths, landmark_years=-0.1)


def test_readings_that_cannot_be_used_are_refused(tables):
    table = pd.DataFrame({"subject": [1, 1, 2, 2], "rater": ["a", "b"] * 2, "value": [1.0, 1.1, 2.0, 2.2]})
    path = tables.write("readings", table)
    assert reliability(path, tables.folder)["subjects"] == 2
    tables.write("readings", table.iloc[:3])
    assert "only 1 subject was read" in refusal(reliability, path, tables.folder)
    tables.write("readings", table[table["rater"] == "a"])
    assert "only one rater" in refusal(reliability, path, tables.folder)
    tables.write("readings", table.assign(value=3.0))
    assert "every reading is the same" in refusal(reliability, path, tables.folder)
    tables.write("readings", table.assign(value=-table["value"]))
    assert "no logarithm" in refusal(reliability, path, tables.folder, log=True)


def test_readings_that_agree_exactly_have_no_interval(tables):
    table = pd.DataFrame({"subject": [1, 1, 2, 2, 3, 3], "rater": ["a", "b"] * 3, "value": [1.0, 1, 2, 2, 3, 3]})
    found = reliability(tables.write("readings", table), tables.folder)
    assert found["icc"]["A,1"] is None
    assert "reason" in found["icc"]
    assert found["repeatability_coefficient"] == 0


def test_results_are_strict_json(tables):
    trial = tables.trial(4)
    run(tables, trial["patients"], trial["allocation"])
    for path in (tables.folder / "out").glob("*.json"):
        json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(f"a result holds {name}"))


def test_design_values(tables):
    assert "unknown design values colour" in refusal(power, colour=1)
    said = refusal(power, patients_per_arm=2, dropout=1.5, visit_cv=-1.0)
    assert all(word in said for word in ("patients_per_arm", "dropout", "visit_cv"))


def test_columns_with_names_of_ours_change_nothing(golden_tables, tmp_path):
    vessels = pd.read_csv(golden_tables["vessels"], sep="\t", dtype={"participant_id": str})
    path = tmp_path / "vessels.tsv"
    vessels.assign(arm="x", analysed="no").to_csv(path, sep="\t", index=False)
    given = TrialTables(golden_tables["patients"], golden_tables["vessels"], golden_tables["allocation"])
    plain = analyse(given, tmp_path / "a", AnalysisChoices(permutations=200))
    odd = analyse(replace(given, vessels=path), tmp_path / "b", AnalysisChoices(permutations=200))
    assert odd["mixed"] == plain["mixed"]
    assert odd["set_aside"] == []
