"""The page where somebody is missing: who, why, what was imputed, and how far that may be wrong."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from petflame.protocol import Protocol
from petflame.report.absent import composite_sentences, endpoint_note, missing_words, tipping_sentences
from petflame.report.page import write_report
from petflame.report.words import number
from petflame.trial.analyse import analyse
from petflame.trial.arms.absent import NONE_LEFT
from petflame.trial.choices import AnalysisChoices, TrialTables

TARGETS = ("aorta_ascending", "carotid_right", "carotid_left")


def page_of(folder: Path, lost: list[int], seed: int = 1) -> tuple[dict, str]:
    """Return the document and the page's text of a trial of 40; even numbers are active."""
    rng = np.random.default_rng(seed)
    active = np.arange(40) % 2 == 0
    base = rng.normal(2.3, 0.25, 40)
    follow = 0.6 + 0.7 * base - 0.2 * active + rng.normal(0, 0.18, 40)
    names = [f"P{k:02d}" for k in range(40)]
    patients = pd.DataFrame({"participant_id": names, "index_vessel": TARGETS[0], "comparability": "pass"})
    patients["tbr_max_baseline"], patients["tbr_max_followup"] = base, follow
    left = follow > 2.0
    patients["active_baseline"], patients["active_fraction_baseline"] = base + 0.3, 0.4
    patients["active_refound_followup"] = np.where(left, follow + 0.1 + rng.normal(0, 0.02, 40), np.nan)
    patients["active_fraction_followup"] = np.where(left, 0.2, 0.0)
    rows = [
        (n, v, *(np.array([b, f]) - 0.2 * k))
        for n, b, f in zip(names, base, follow, strict=True)
        for k, v in enumerate(TARGETS)
    ]
    vessels = pd.DataFrame(rows, columns=["participant_id", "vessel", "tbr_max_baseline", "tbr_max_followup"])
    vessels["tbr_max_followup"] += rng.normal(0, 0.05, len(vessels))
    vessels["withheld"] = False
    vessels.loc[(vessels["vessel"] == TARGETS[1]) & (vessels["participant_id"] == "P06"), "withheld"] = True
    patients.loc[lost, ["tbr_max_followup", "active_refound_followup", "active_fraction_followup"]] = np.nan
    allocation = pd.DataFrame({"participant_id": names, "arm": np.where(active, "active", "control")})
    for name, table in (("patients", patients), ("vessels", vessels), ("allocation", allocation)):
        table.to_csv(folder / f"{name}.tsv", sep="\t", index=False)
    files = {name: folder / f"{name}.tsv" for name in ("vessels", "allocation")}
    analyse(TrialTables(folder / "patients.tsv", **files), folder, AnalysisChoices(permutations=200))
    page = write_report(folder, None, Protocol(), None).read_text(encoding="utf-8")
    text = " ".join(re.sub(r"<[^>]+>", " ", page.split("<main>")[1]).split())
    return json.loads((folder / "arms.json").read_text()), text


def test_what_is_missing_stands_on_the_page(tmp_path):
    arms, text = page_of(tmp_path, lost=[2, 4, 7, 9, 11])
    assert "Imputed: 2 active, 3 control. Auxiliaries: mean TBRmax of the other target vessels at follow-up" in text
    assert "(known of 5 of them)" in text
    grid = arms["sensitivity"]["delta_grid"]
    assert "the imputed follow-ups (2 active, 3 control)" in text
    cells = text.split("Active arm, delta")[1].split("Other")[0]
    assert cells.count("*") == sum(c["p"] < 0.05 for c in grid["cells"]) > 0
    assert all(number(c["difference"], 3) in cells for c in grid["cells"])
    assert "as imputed" in cells
    refound = arms["endpoints"]["active_refound"]
    gone = {arm: sum(m["arm"] == arm for m in refound["missing"]) for arm in ("active", "control")}
    words = f"without {gone['active']} active, {gone['control']} control (no active section left at follow-up)"
    assert f"{refound['n']['active']} active, {refound['n']['control']} control; {words}" in text
    assert "see the composite below" in text
    composite = arms["active_composite"]
    assert f"No active section left at follow-up: {gone['active']} of {composite['n']['active']} active" in text
    assert f"better in {100 * composite['win_probability']:.0f} %," in text
    assert "without 1 active (vessel withheld)" in text


def test_where_nobody_is_missing_there_is_no_grid_and_that_is_said(tmp_path):
    _, text = page_of(tmp_path, lost=[])
    assert "Tipping point. No follow-up is missing among participants with a baseline." in text
    assert "Active arm, delta" not in text


def test_missing_controls_alone_have_their_tipping_point(tmp_path):
    arms, text = page_of(tmp_path, lost=[7, 9, 11])
    control = arms["sensitivity"]["tipping_point"]["control"]
    assert "Active arm: no follow-up is missing in the active arm." in text
    wanted = f"Missing control patients would have to be {number(-control['delta'])} lower in TBRmax than imputed"
    assert wanted in text


def test_directions_and_reasons_in_words():
    lost = [{"arm": "active", "reason": f"reason {k}"} for k in range(6) for _ in range(6 - k)]
    assert missing_words(lost).endswith("3 active (reason 3), 3 for other reasons")
    why = "p is not below 0.05 even without a delta"
    control = {"delta": None, "delta_in_residual_sd": None, "reason": why}
    block = {**control, "control": control, "nearest": None}
    arms = {
        "plan": {"alpha": 0.05},
        "sensitivity": {"tipping_point": block, "multiple_imputation": {"imputed": {"active": 2, "control": 0}}},
    }
    assert tipping_sentences(arms) == ["P is not below 0.05 even without a delta."]
    block |= {"delta": -0.25, "delta_in_residual_sd": -1.2, "reason": None}
    block["nearest"] = {"active_delta": -0.25, "control_delta": 0.0, "reason": None}
    assert tipping_sentences(arms)[0].startswith("Missing active patients would have to be 0.25 lower in TBRmax")
    arms["sensitivity"]["multiple_imputation"]["imputed"]["active"] = 1
    assert tipping_sentences(arms)[0].startswith("The missing active patient would have to be 0.25 lower in TBRmax")


def test_one_missing_patient_is_one(tmp_path):
    _, text = page_of(tmp_path, lost=[7])
    assert "Imputed: 0 active, 1 control." in text
    assert "(known of that one)" in text
    assert "the imputed follow-up (0 active, 1 control) is higher" in text
    gone = {"arm": "active", "reason": NONE_LEFT}
    block = {"n": None, "reason": None, "missing": [gone]}
    assert "The one with none left is not counted" in endpoint_note(block, "Words")
    assert "Those with none left are not counted" in endpoint_note(block | {"missing": [gone, gone]}, "Words")
    lost = [{"arm": "active", "reason": f"reason {k}"} for k in range(5)]
    assert missing_words(lost).endswith("1 for another reason")


@pytest.mark.parametrize(
    ("strata", "patients", "test"),
    [
        (1, 24, "Exact rank-sum test"),
        (1, 400, "Rank-sum test by random exchange of the arms"),
        (2, 24, "Van Elteren's rank test, which compares patients of one stratum only (2 strata)"),
    ],
)
def test_the_composite_names_its_test_and_what_its_interval_is_not(strata, patients, test):
    none = {"active": 8, "control": 1, "fisher_p": 0.01}
    block = {"n": {"active": patients // 2, "control": patients // 2}, "none_left": none, "strata": strata, "p": 0.095}
    block |= {"p_adjusted": 0.08, "win_probability": 1.0, "win_low": 0.67, "win_high": 1.0, "missing": []}
    said = " ".join(composite_sentences({"active_composite": block}))
    assert f"{test}: p = 0.095" in said
    assert ("whatever their strata" in said) == (strata > 1)
    assert "different methods, which need not agree in small samples" in said


@pytest.mark.parametrize("key", ["active_composite", "endpoints"])
def test_a_trial_without_active_columns_has_its_page(tmp_path, key):
    page_of(tmp_path, lost=[3])
    patients = pd.read_csv(tmp_path / "patients.tsv", sep="\t")
    patients = patients[[c for c in patients.columns if "active" not in c]]
    patients.to_csv(tmp_path / "patients.tsv", sep="\t", index=False)
    tables = TrialTables(tmp_path / "patients.tsv", allocation=tmp_path / "allocation.tsv")
    found = analyse(tables, tmp_path, AnalysisChoices(permutations=50))
    assert found[key]["active_refound"] is None if key == "endpoints" else found[key]["p"] is None
    text = write_report(tmp_path, None, Protocol(), None).read_text(encoding="utf-8")
    assert "none left as the best result" not in text
