"""The analysis plan: drafted, sealed before an allocation, followed, and held against what was done."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

from petflame.errors import InputRefused
from petflame.protocol import Protocol
from petflame.seal import sealed
from petflame.study_tables import plan_faults
from petflame.trial.analyse import analyse
from petflame.trial.choices import AnalysisChoices, TrialTables
from petflame.trial.endpoints import ENDPOINTS
from petflame.trial.events.outcomes import outcomes
from petflame.trial.plan.changes import changed
from petflame.trial.plan.multiplicity import adjust
from petflame.trial.plan.sealing import PLAN, SEALED, WORDS, draft, load_plan, plan_beside, read_plan, seal_plan

PROTOCOL = Protocol()
ONE_SECONDARY = {"endpoints": ["csuv_max"], "multiplicity": "holm"}
NONE_SECONDARY = {"endpoints": [], "multiplicity": "holm"}


@pytest.fixture
def study(tables):
    """Return a study whose allocation is not yet there, and the path that it will have."""
    trial = tables.trial(24)
    tables.write("patients", trial["patients"])
    people = trial["patients"][["participant_id"]].assign(site=["north", "south", "east"] * 8, age=range(50, 74))
    tables.write("participants", people)
    draft(tables.folder, "TRIAL1", PROTOCOL)
    return tables, trial["allocation"]


def change(folder: Path, **choices) -> None:
    document = yaml.safe_load((folder / PLAN).read_text())
    (folder / PLAN).write_text(yaml.safe_dump(document | choices))


def run(tables, allocation: pd.DataFrame, protocol: Protocol = PROTOCOL, **given):
    arms = tables.write("allocation", allocation)
    people = tables.folder / "participants.tsv"
    plan = plan_beside(arms)
    found = TrialTables(tables.folder / "patients.tsv", allocation=arms, participants=people, plan=plan)
    return analyse(found, tables.folder / "out", AnalysisChoices.of(protocol, plan, **given))


def test_the_draft_can_be_read_and_is_what_the_software_does(study):
    folder = study[0].folder
    plan = load_plan(folder / PLAN)
    assert plan.study_id == "TRIAL1"
    words = (folder / WORDS).read_text()
    for said in ("Population", "Variable", "Treatment", "intercurrent event", "death before the second scan", "Holm"):
        assert said in words
    assert PROTOCOL.digest in words
    # Without a plan the software follows the draft.
    default, planned = AnalysisChoices.of(PROTOCOL), plan
    assert (default.strata, default.analysis_set) == (planned.strata, planned.analysis_set)
    assert default.key_secondary == planned.key_secondary.in_order(PROTOCOL.summary.target_vessels)


def test_drafting_again_keeps_what_was_changed_and_renews_the_words(study):
    folder = study[0].folder
    change(folder, analysis_set="comparable")
    assert draft(folder, "OTHER", PROTOCOL) is False
    assert load_plan(folder / PLAN).analysis_set == "comparable"
    assert "`comparable`" in (folder / WORDS).read_text()


def test_a_followed_plan_has_no_deviation_and_its_strata_are_used(study):
    tables, allocation = study
    change(tables.folder, strata=["site"], resampling={"seed": 7, "permutations": 300}, key_secondary=NONE_SECONDARY)
    seal = seal_plan(tables.folder, PROTOCOL).seal
    found = run(tables, allocation)
    assert found["strata"] == ["site"]
    assert found["plan"]["seal"] == seal
    assert found["plan"]["deviations"] == []
    assert seal in found["plan"]["sentence"]
    assert found["sensitivity"]["permutation"]["permutations"] == 300
    assert found["provenance"]["inputs"]["plan"]["file"] == SEALED


def test_every_difference_is_a_deviation(study):
    tables, allocation = study
    change(tables.folder, key_secondary=NONE_SECONDARY)
    seal_plan(tables.folder, PROTOCOL)
    patients = pd.read_csv(tables.folder / "patients.tsv", sep="\t", dtype={"participant_id": str})
    tables.write("patients", patients.assign(comparability="pass"))
    other = Protocol.model_validate({"summary": {"active_threshold": 1.6}})
    found = run(tables, allocation, other, analysis_set="comparable", strata=("site",))["plan"]
    by_item = {d["item"]: (d["planned"], d["done"]) for d in found["deviations"]}
    assert by_item == {
        "analysis set": ("all_measured", "comparable"),
        "strata": ("none", "site"),
        "protocol: summary.active_threshold": ("2", "1.6"),
    }


def test_what_was_planned_and_not_done_is_a_deviation(study):
    tables, allocation = study
    change(
        tables.folder,
        key_secondary={"endpoints": ["mds_locked"], "multiplicity": "holm"},
        covariates=["scanner"],
        responder="published_33_percent",
    )
    seal_plan(tables.folder, PROTOCOL)
    found = {d["item"]: d["done"] for d in run(tables, allocation)["plan"]["deviations"]}
    assert set(found) == {"key secondary mds_locked", "adjustment for scanner", "responder"}
    assert all(done.startswith("not done") for done in found.values())


def test_the_planned_percentage_decides_and_gates_what_comes_after(study):
    tables, allocation = study
    change(tables.folder, primary={"percentage": "mean_percent_change_difference"}, key_secondary=ONE_SECONDARY)
    seal_plan(tables.folder, PROTOCOL)
    patients = pd.read_csv(tables.folder / "patients.tsv", sep="\t", dtype={"participant_id": str})
    tables.write("patients", patients.assign(csuv_max_baseline=patients["tbr_max_baseline"], csuv_max_followup=1.0))
    found = run(tables, allocation)
    assert found["sensitivity"]["mean_percent_change_difference"]["p"] != found["primary"]["p"]
    assert found["key_secondary"]["tests"][0]["reason"] is not None
    patients["csuv_max_baseline"], patients["csuv_max_followup"] = (
        patients[c] + 0.2 for c in ("tbr_max_baseline", "tbr_max_followup")
    )
    tables.write("patients", patients)
    found = run(tables, allocation)
    (test,) = found["key_secondary"]["tests"]
    planned = found["sensitivity"]["mean_percent_change_difference"]["p"]
    assert test["p_adjusted"] == pytest.approx(max(planned, test["p"]))
    assert test["ci_low"] < test["difference"] < test["ci_high"]


def test_the_level_of_the_plan_is_that_of_the_tipping_point_and_of_what_follows(study):
    tables, allocation = study
    change(tables.folder, primary={"alpha": 1e-9}, key_secondary=ONE_SECONDARY)
    seal_plan(tables.folder, PROTOCOL)
    patients = pd.read_csv(tables.folder / "patients.tsv", sep="\t", dtype={"participant_id": str})
    patients["csuv_max_baseline"], patients["csuv_max_followup"] = (
        patients[c] + 0.2 for c in ("tbr_max_baseline", "tbr_max_followup")
    )
    patients.loc[:2, "tbr_max_followup"] = float("nan")
    tables.write("patients", patients)
    found = run(tables, allocation)
    assert found["primary"]["p"] > 1e-9
    assert found["key_secondary"]["tests"][0]["significant"] is False
    assert "not below 1e-09" in found["sensitivity"]["tipping_point"]["reason"]


@pytest.mark.parametrize(
    "name", ["allocation_final.tsv", "Randomisation list.csv", "inside/allocation.tsv", "out/arms.json"]
)
def test_whatever_tells_the_arms_stops_the_seal(study, name):
    folder = study[0].folder
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text('{"primary": {"p": 0.01}}')
    with pytest.raises(InputRefused, match="allocation lies in the study"):
        seal_plan(folder, PROTOCOL)


def test_a_plan_made_by_hand_is_held_to_its_form(study):
    folder = study[0].folder
    seal_plan(folder, PROTOCOL)
    document = json.loads((folder / SEALED).read_text())
    for change_of in (
        {"protocol": [1]},
        {"sealed_on": {"<b>": 1}},
        {"plan": document["plan"] | {"sensitivity": ["zzz"]}},
    ):
        forged = {k: v for k, v in (document | change_of).items() if k != "seal"}
        (folder / SEALED).write_text(json.dumps(sealed(forged)))
        with pytest.raises(InputRefused, match="no sealed plan"):
            read_plan(folder / SEALED)


def test_a_blinded_analysis_takes_no_stratum_that_tells_the_arms(study):
    tables, allocation = study
    people = tables.write("people", allocation.rename(columns={"arm": "given"}))
    given = TrialTables(tables.folder / "patients.tsv", participants=people)
    with pytest.raises(InputRefused, match="tells the arms"):
        analyse(given, tables.folder / "out", AnalysisChoices(strata=("given",)))


def test_a_file_that_is_not_there_is_refused(study):
    folder = study[0].folder
    for option in ("--reliability", "--variations", "--exclusions", "--plan"):
        refused = said_by("analyse", "patients.tsv", "--out", "o", option, "nowhere.x", cwd=folder)
        assert (refused.returncode, "no such file" in refused.stderr or "missing" in refused.stderr) == (2, True)


def test_another_horizon_is_a_deviation_of_the_events(study):
    tables, allocation = study
    events = {"horizon_years": 3.0, "landmark_years": 0.5}
    change(tables.folder, events=events, resampling={"seed": 9, "permutations": 500})
    seal_plan(tables.folder, PROTOCOL)
    arms = tables.write("allocation", allocation)
    events = allocation[["participant_id"]].assign(time_years=[1.0, 2.5, 4.0] * 8, event=[1, 0, 0] * 8)
    path = tables.write("outcomes", events)
    followed = outcomes(path, arms, tables.folder / "o", plan=plan_beside(arms))
    assert (followed["horizon_years"], followed["deviations"]) == (3.0, [])
    assert followed["plan_seal"] == read_plan(tables.folder / SEALED).seal
    assert (followed["provenance"]["seed"], followed["log_rank"]["permutations"]) == (9, 500)
    other = outcomes(path, arms, tables.folder / "o", horizon_years=2.0, plan=plan_beside(arms))
    assert other["deviations"] == [{"item": "horizon of the events, years", "planned": "3", "done": "2"}]
    assert outcomes(path, arms, tables.folder / "o")["horizon_years"] == 2.0


def test_without_a_plan_that_is_said_and_the_protocol_is_held_against(study):
    tables, allocation = study
    patients = pd.read_csv(tables.folder / "patients.tsv", sep="\t", dtype={"participant_id": str})
    tables.write("patients", patients.assign(comparability="pass"))
    found = run(tables, allocation, analysis_set="comparable")["plan"]
    assert not found["sealed"]
    assert found["sentence"].startswith("No plan was sealed")
    assert [d["item"] for d in found["deviations"]] == ["analysis set (of the protocol)"]


def test_nothing_is_sealed_once_an_allocation_exists(study):
    tables, allocation = study
    tables.write("allocation", allocation)
    with pytest.raises(InputRefused, match="allocation lies in the study"):
        seal_plan(tables.folder, PROTOCOL)
    assert not (tables.folder / SEALED).exists()


def test_a_sealed_plan_cannot_be_edited_and_an_amendment_says_why(study):
    folder = study[0].folder
    first = seal_plan(folder, PROTOCOL, today="2026-01-05")
    with pytest.raises(InputRefused, match="a sealed plan exists"):
        seal_plan(folder, PROTOCOL)
    for why in ("  ", "nothing changes"):
        with pytest.raises(InputRefused, match=r"no reason|neither plan nor protocol"):
            seal_plan(folder, PROTOCOL, amend=why)
    change(folder, analysis_set="comparable")
    second = seal_plan(folder, PROTOCOL, amend="scanner exchanged at one site")
    assert second.seal != first.seal
    (amendment,) = second.amendments
    assert amendment.because == "scanner exchanged at one site"
    assert amendment.changes == ({"item": "analysis_set", "planned": "all_measured", "done": "comparable"},)
    assert json.loads((folder / SEALED).read_text())["earlier"][0]["seal"] == first.seal
    text = (folder / SEALED).read_text().replace('"comparable"', '"all_measured"')
    (folder / SEALED).write_text(text)
    with pytest.raises(InputRefused, match="not as it was sealed"):
        read_plan(folder / SEALED)


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        ({"analysis_set": "everybody"}, "analysis_set"),
        ({"key_secondary": {"endpoints": ["vesels"], "multiplicity": "holm"}}, "vesels"),
        ({"sensitivity": ["hc9"]}, "hc9"),
        ({"covariates": ["shoe_size"]}, "shoe_size"),
        ({"primary": {"alpha": 5}}, "alpha"),
        ({"analysis_sets": "all_measured"}, "does not exist"),
        ({"strata": ["centre"]}, "centre"),
        ({"estimand": {"population": "all"}}, "variable"),
    ],
)
def test_a_plan_that_names_what_does_not_exist_is_refused(study, choices, said):
    folder = study[0].folder
    change(folder, **choices)
    with pytest.raises(InputRefused, match=said):
        seal_plan(folder, PROTOCOL)
    assert not (folder / SEALED).exists()


def test_every_declared_endpoint_may_be_key_secondary(study):
    folder = study[0].folder
    names = [e.name for e in ENDPOINTS]
    change(folder, key_secondary={"endpoints": names, "multiplicity": "hierarchical"})
    assert seal_plan(folder, PROTOCOL).plan.key_secondary.in_order() == tuple(names)


def test_key_secondary_tests_follow_the_primary(study):
    tables, allocation = study
    change(tables.folder, key_secondary={"endpoints": ["csuv_max", "vessel_mean"], "multiplicity": "hierarchical"})
    seal_plan(tables.folder, PROTOCOL)
    patients = pd.read_csv(tables.folder / "patients.tsv", sep="\t", dtype={"participant_id": str})
    for name in ("csuv_max", "vessel_mean"):
        for visit in ("baseline", "followup"):
            patients[f"{name}_{visit}"] = patients[f"tbr_max_{visit}"] + (0.3 if name == "csuv_max" else 0.1)
    tables.write("patients", patients)
    found = run(tables, allocation)
    primary_p = found["primary"]["p"]
    tests = found["key_secondary"]["tests"]
    assert [t["name"] for t in tests] == ["csuv_max", "vessel_mean"]
    assert [t["p_adjusted"] for t in tests] == pytest.approx([max(primary_p, t["p"]) for t in tests], rel=1e-6)
    assert all(t["significant"] for t in tests)


def test_holm_after_the_primary_agrees_with_r_and_a_lost_primary_stops_everything():
    # p.adjust(c(0.011, 0.02, 0.04), "holm") in R: 0.033 0.040 0.040.
    assert adjust("holm", 0.001, [0.011, 0.02, 0.04]) == pytest.approx([0.033, 0.04, 0.04])
    assert min(adjust("holm", 0.2, [0.001, 0.001])) == 0.2
    assert min(adjust("hierarchical", 0.2, [0.001, 0.001])) == 0.2
    assert adjust("holm", None, [0.01]) == [None]


def test_a_blinded_run_holds_the_plan_too(study):
    tables, _ = study
    seal_plan(tables.folder, PROTOCOL)
    people = tables.folder / "participants.tsv"
    plan = plan_beside(people)
    given = TrialTables(tables.folder / "patients.tsv", participants=people, plan=plan)
    found = analyse(given, tables.folder / "out", AnalysisChoices.of(PROTOCOL, plan))
    assert found["plan"]["sealed"]
    assert found["key_secondary"] is None


def test_the_verb_drafts_seals_and_refuses_and_planning_finds_an_edited_seal(tmp_path):
    study = tmp_path / "study"
    study.mkdir()
    assert said_by("sap", "study", cwd=tmp_path).returncode == 0
    sealed = said_by("sap", "seal", cwd=study)
    assert sealed.returncode == 0
    assert read_plan(study / SEALED).seal in sealed.stdout
    assert plan_faults(study) == []
    (study / SEALED).write_text((study / SEALED).read_text().replace('"holm"', '"hierarchical"'))
    assert ["not as it was sealed" in fault.what for fault in plan_faults(study)] == [True]
    for words in (("seal", "study"), ("nowhere",), ("seal", "study", "study"), ("study", "--protocol", "none.yaml")):
        refused = said_by("sap", *words, cwd=tmp_path)
        assert refused.returncode == 2
        assert "Traceback" not in refused.stderr


def said_by(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "petflame", *words], cwd=cwd, capture_output=True, text=True)


def test_another_plan_than_the_one_beside_the_allocation_is_refused(study, tmp_path_factory):
    tables, allocation = study
    folder = tables.folder
    change(folder, key_secondary=NONE_SECONDARY)
    seal_plan(folder, PROTOCOL)
    other = tmp_path_factory.mktemp("other") / SEALED
    document = json.loads((folder / SEALED).read_text()) | {"sealed_on": "2026-01-01"}
    other.write_text(json.dumps(sealed({k: v for k, v in document.items() if k != "seal"})))
    tables.write("allocation", allocation)
    words = ("analyse", "patients.tsv", "--allocation", "allocation.tsv", "--out", "o", "--plan")
    refused = said_by(*words, str(other), cwd=folder)
    assert refused.returncode == 2
    assert "another sealed plan" in refused.stderr
    assert said_by(*words, SEALED, cwd=folder).returncode == 0


def test_what_differs_is_shown_to_the_last_digit_and_lists_by_their_names():
    assert changed({"x": 0.05}, {"x": 0.05000001}) == [{"item": "x", "planned": "0.05", "done": "0.05000001"}]
    assert changed({"f": {}}, {"f": {"a": 1}}) == [{"item": "f.a", "planned": "none", "done": "1"}]
    named = [{"name": "one", "about": "long words"}]
    assert changed({"s": named}, {"s": []}) == [{"item": "s", "planned": "one", "done": "none"}]
    (row,) = changed({"s": named}, {"s": [{"name": "one", "about": "other words"}]})
    assert row["planned"] != row["done"]


def test_plans_of_two_studies_are_not_mixed(study, tmp_path_factory):
    tables, allocation = study
    seal_plan(tables.folder, PROTOCOL)
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    draft(elsewhere, "OTHER", PROTOCOL)
    seal_plan(elsewhere, PROTOCOL)
    allocation.to_csv(elsewhere / "allocation.tsv", sep="\t", index=False)
    with pytest.raises(InputRefused, match="different sealed plans"):
        plan_beside(elsewhere / "allocation.tsv", tables.folder / "participants.tsv")


def test_an_amended_event_is_told_by_its_own_line():
    before = {"events": [{"event": "death", "handling": "a"}, {"event": "infection", "handling": "b"}]}
    after = {"events": [before["events"][0], {"event": "infection", "handling": "c"}]}
    assert changed(before, after) == [{"item": "events.2.handling", "planned": "b", "done": "c"}]
