"""Every exploratory part of the analysis stands alone; the primary is what it was."""

from __future__ import annotations

import json

import pytest

from petflame.errors import MachineFault
from petflame.trial.analyse import analyse
from petflame.trial.arms import bootstrap, missing, mixed, resample, secondary
from petflame.trial.choices import AnalysisChoices, TrialTables

IMPUTED = ["multiple imputation", "jump to reference", "copy reference", "tipping point", "delta grid"]


@pytest.fixture
def trial(tables, golden_tables):
    made = tables.trial()
    return {name: tables.write(name, table) for name, table in made.items()}


def run(trial, out, **more):
    choices = AnalysisChoices(permutations=200, about_variations={"margin": "x"})
    return analyse(TrialTables(**trial, **more), out, choices)


def test_nothing_is_set_aside_where_nothing_fails(trial, tmp_path):
    document = run(trial, tmp_path / "a")
    assert document["set_aside"] == []
    assert document["notes"] == []


@pytest.mark.parametrize(
    ("module", "function", "parts"),
    [
        (bootstrap, "bootstrap", ["bootstrap"]),
        (resample, "permutation_test", ["permutation"]),
        (secondary, "endpoint_blocks", ["endpoints"]),
        (secondary, "covariate_blocks", ["covariates"]),
        (missing, "missing_arms", IMPUTED),
        (mixed, "mixed_record", ["mixed model"]),
    ],
)
def test_a_part_that_breaks_leaves_the_primary_as_it_was(golden_tables, tmp_path, monkeypatch, module, function, parts):
    given = TrialTables(golden_tables["patients"], golden_tables["vessels"], golden_tables["allocation"])
    choices = AnalysisChoices(permutations=200)
    sound = analyse(given, tmp_path / "a", choices)

    def broken(*_args, **_more):
        raise ZeroDivisionError("a fault")

    monkeypatch.setattr(module, function, broken)
    document = analyse(given, tmp_path / "b", choices)
    assert document["primary"] == sound["primary"]
    assert [p["part"] for p in document["set_aside"]] == parts
    assert parts[0] in json.loads((tmp_path / "b" / "arms.json").read_text())["notes"][0]


def test_a_full_disk_is_no_fault_of_a_part(trial, tmp_path, monkeypatch):
    def full(*_args, **_more):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("petflame.trial.analyse.write_datasets", full)
    with pytest.raises(OSError, match="No space"):
        run(trial, tmp_path / "a")
    monkeypatch.setattr("petflame.trial.analyse.write_datasets", lambda *_: _raise_machine())
    with pytest.raises(MachineFault):
        run(trial, tmp_path / "a")


def _raise_machine():
    raise MachineFault.of("the disk is full", "out", "make room")


def test_faulty_variations_and_reliability_are_named_and_set_aside(trial, tables, tmp_path):
    patients = tables.trial()["patients"]
    rows = patients.rename(columns={"tbr_max_baseline": "baseline", "tbr_max_followup": "followup"})
    twice = rows.assign(variation="margin").iloc[[0, 0, 1]]
    reliability = tmp_path / "reliability.json"
    reliability.write_text('{"repeated": "scan_rescan", "within_subject_cv": 1' + "0" * 400 + "}")
    sound = run(trial, tmp_path / "a")
    document = run(
        trial,
        tmp_path / "b",
        variations=tables.write("variations", twice),
        reliability=reliability,
    )
    assert document["primary"] == sound["primary"]
    assert [p["part"] for p in document["set_aside"]] == ["reliability", "variations"]
    assert document["patients"]["assumed"] is True
    assert document["variations"] == []
