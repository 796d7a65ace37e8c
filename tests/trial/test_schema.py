"""The documents of the trial against their types, and the schemas in docs/ against the types too."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import numpy as np
import pandas as pd
import pytest

from petflame.trial.analyse import analyse
from petflame.trial.arms.sensitivity import SENSITIVITY
from petflame.trial.choices import AnalysisChoices, TrialTables
from petflame.trial.endpoints import BASELINE, COVARIATES, ENDPOINTS, FOLLOWUP, NEGATIVE_CONTROLS
from petflame.trial.events.outcomes import outcomes
from petflame.trial.schema import DOCUMENTS, first_fault, schema

SCHEMAS = Path(__file__).parents[2] / "docs" / "schema"
QUICK = AnalysisChoices(permutations=50, about_variations={"one": "another way"})


def holds(name: str, path: Path) -> dict:
    """Hold a written document against the type and the schema."""
    document = json.loads(path.read_text(encoding="utf-8"))
    assert first_fault(name, document) is None
    jsonschema.validate(document, schema(name), jsonschema.Draft202012Validator)
    return document


@pytest.mark.parametrize("name", sorted(DOCUMENTS))
def test_the_schema_in_docs_is_what_the_types_give(name):
    kept = json.loads((SCHEMAS / f"{name}.schema.json").read_text(encoding="utf-8"))
    assert kept == schema(name), "run `python -m petflame.trial.schema docs/schema`"


def test_whole_and_blinded_analyses(golden_tables, tmp_path):
    t = golden_tables
    tables = TrialTables(t["patients"], t["vessels"], t["allocation"], t["participants"])
    analyse(tables, tmp_path / "a", QUICK, {"protocol": "p"})
    analyse(TrialTables(t["patients"], t["vessels"]), tmp_path / "b", QUICK)
    whole, blinded = (holds("arms", tmp_path / n / "arms.json") for n in "ab")
    assert list(whole) == list(blinded)
    assert blinded["sensitivity"] is None
    assert list(whole["sensitivity"]) == [s.name for s in SENSITIVITY]
    assert [s.sentence for s in SENSITIVITY] == [b["definition"] for b in whole["sensitivity"].values()]


@pytest.mark.parametrize("n", [2, 3, 4, 5, 6])
@pytest.mark.parametrize("missing", [0, 1, 9])
def test_a_tiny_cohort_keeps_every_key(tables, n, missing):
    trial = tables.trial(n)
    trial["patients"].loc[: missing - 1, FOLLOWUP] = np.nan
    trial["vessels"] = pd.concat([trial["patients"].assign(vessel=v) for v in ("aorta_ascending", "carotid_left")])
    paths = {name: tables.write(name, table) for name, table in trial.items()}
    analyse(TrialTables(**paths), tables.folder / "o", QUICK)
    document = holds("arms", tables.folder / "o" / "arms.json")
    assert document["primary"] is not None or document["primary_reason"]


def test_every_endpoint_control_and_covariate_and_what_is_set_aside(tables, tmp_path):
    trial, rng = tables.trial(40), np.random.default_rng(2)
    patients = trial["patients"].assign(scanner=["a", "b"] * 20, bmi=rng.normal(26, 3, 40), comparability="pass")
    for row in (*ENDPOINTS, *NEGATIVE_CONTROLS):
        for column in row.columns:
            patients[column] = rng.normal(2.0, 0.2, 40)
    patients.loc[:3, FOLLOWUP] = np.nan
    varied = patients.rename(columns={BASELINE: "baseline", FOLLOWUP: "followup"}).assign(variation="one")
    given = {
        "patients": tables.write("patients", patients),
        "allocation": tables.write("allocation", trial["allocation"]),
        "variations": tables.write("variations", varied[["participant_id", "variation", "baseline", "followup"]]),
    }
    analyse(TrialTables(**given), tmp_path / "a", QUICK)
    document = holds("arms", tmp_path / "a" / "arms.json")
    assert all(document["endpoints"][e.name]["meaning"] == e.sentence for e in ENDPOINTS)
    assert all(document["negative_controls"][c.name]["meaning"] == c.sentence for c in NEGATIVE_CONTROLS)
    assert all(document["sensitivity"]["covariates"][c.name]["meaning"] == c.words for c in COVARIATES)
    bad = tables.write("bad", patients[["participant_id"]])
    broken = tmp_path / "reliability.json"
    broken.write_text("{}")
    analyse(TrialTables(**given | {"variations": bad}, reliability=broken), tmp_path / "b", QUICK)
    document = holds("arms", tmp_path / "b" / "arms.json")
    assert [p["part"] for p in document["set_aside"]] == ["reliability", "variations"]


@pytest.mark.parametrize("kept", ["as it is", "none", "all", "active", "control"])
def test_outcomes_hold_to_their_schema(golden_tables, tables, kept):
    table = pd.read_csv(golden_tables["outcomes"], sep="\t")
    arms = pd.read_csv(golden_tables["allocation_followup"], sep="\t")
    active = table["participant_id"].map(dict(arms.to_numpy())) == "active"
    events = {"as it is": table["event"], "none": 0, "all": 1, "active": active, "control": ~active}[kept]
    path = tables.write("outcomes", table.assign(event=np.asarray(events, dtype=int) * np.ones(len(table), int)))
    values = table[["participant_id"]].assign(**{BASELINE: 2.0, FOLLOWUP: np.linspace(1.6, 2.2, len(table))})
    allocation = golden_tables["allocation_followup"]
    outcomes(path, allocation, tables.folder / "a")
    outcomes(path, allocation, tables.folder / "b", patients=tables.write("patients", values))
    for name in "ab":
        holds("outcomes", tables.folder / name / "outcomes.json")


def test_a_document_that_departs_is_told_where():
    assert first_fault("arms", {}) == "plan: Field required"


ADDED = """
import sys
from pathlib import Path

import petflame.trial.endpoints as declared
from petflame.trial.endpoints import Endpoint

columns = ("arch_max_baseline", "arch_max_followup")
listed = {"code": "ARCHMAX", "parameter": "Hottest Section of the Arch", "unit": "ratio"}
new = Endpoint("arch_max", "Arch", "hottest section of the arch", *columns, **listed)
declared.ENDPOINTS += (new,)
from petflame.protocol import Protocol
from petflame.report.page import write_report
from petflame.trial.analyse import analyse
from petflame.trial.choices import AnalysisChoices, TrialTables
folder = Path(sys.argv[1])
tables = TrialTables(folder / "patients.tsv", allocation=folder / "allocation.tsv")
analyse(tables, folder / "out", AnalysisChoices(permutations=50))
(folder / "out" / "patients.tsv").write_bytes((folder / "patients.tsv").read_bytes())
write_report(folder / "out", None, Protocol(), None)
"""


def test_an_endpoint_added_to_the_table_is_analysed_and_shown(tables):
    trial, rng = tables.trial(20), np.random.default_rng(2)
    for column in ("arch_max_baseline", "arch_max_followup"):
        trial["patients"][column] = rng.normal(2.0, 0.2, 20)
    for name, table in trial.items():
        tables.write(name, table)
    subprocess.run([sys.executable, "-c", ADDED, str(tables.folder)], check=True, timeout=120)
    block = json.loads((tables.folder / "out" / "arms.json").read_text())["endpoints"]["arch_max"]
    assert block["p"] is not None
    page = (tables.folder / "out" / "report.html").read_text(encoding="utf-8")
    rows = pd.read_csv(tables.folder / "out" / "adtbr.tsv", sep="\t")
    assert (rows.loc[rows["PARAMCD"] == "ARCHMAX", "ANL01FL"] == "Y").sum() == 2 * sum(block["n"].values())
    assert ">Arch (exploratory)<" in page
    assert "hottest section of the arch" in page
