"""The ADaM-like datasets: structure of Dataset-JSON 1.1, types, keys, and the values an analyst takes on."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import jsonschema
import pandas as pd
import pytest

from petflame.trial.analyse import analyse
from petflame.trial.choices import AnalysisChoices, TrialTables

SCHEMA = json.loads((Path(__file__).parent / "dataset_json_1_1.schema.json").read_text(encoding="utf-8"))
KINDS = {"string": str, "integer": int, "double": float}
KEYS = {"adsl": ["STUDYID", "USUBJID"], "adtbr": ["STUDYID", "USUBJID", "PARAMCD", "AVISITN"]}


@pytest.fixture(scope="module")
def written(golden_tables, tmp_path_factory):
    """Return the folder of an analysis with vessels, arms and a stratum, at a fixed time."""
    out, t = tmp_path_factory.mktemp("datasets"), golden_tables
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOURCE_DATE_EPOCH", "1700000000")
        given = TrialTables(t["patients"], t["vessels"], t["allocation"], t["participants"])
        analyse(given, out, AnalysisChoices(strata=("site",), permutations=50, study_id="GOLDEN"))
    return out


def frame_of(document) -> pd.DataFrame:
    return pd.DataFrame(document["rows"], columns=[c["name"] for c in document["columns"]])


@pytest.mark.parametrize("name", sorted(KEYS))
def test_datasets_have_the_standards_structure(written, name):
    document = json.loads((written / f"{name}.json").read_text(encoding="utf-8"))
    jsonschema.Draft201909Validator.check_schema(SCHEMA)
    jsonschema.validate(document, SCHEMA, jsonschema.Draft201909Validator)
    assert document["datasetJSONVersion"] == "1.1.0"
    assert document["datasetJSONCreationDateTime"] == "2023-11-14T22:13:20Z"
    assert document["studyOID"] == "GOLDEN"
    assert document["records"] == len(document["rows"]) > 0
    assert {len(row) for row in document["rows"]} == {len(document["columns"])}
    sequence = {c["keySequence"]: c["name"] for c in document["columns"] if "keySequence" in c}
    assert [sequence[k] for k in sorted(sequence)] == KEYS[name]
    assert not frame_of(document).duplicated(KEYS[name]).any()
    for position, column in enumerate(document["columns"]):
        values = [row[position] for row in document["rows"] if row[position] is not None]
        assert all(isinstance(v, KINDS[column["dataType"]]) for v in values), column["name"]


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("datasetJSONVersion", "1.0.0"),
        ("datasetJSONCreationDateTime", "14 Nov 2023"),
        ("records", "44"),
        ("columns", []),
        ("rows", [[{"nested": 1}]]),
        ("itemGroupData", {}),
        ("label", None),
    ],
)
def test_the_schema_refuses_what_is_not_dataset_json(written, member, value):
    document = copy.deepcopy(json.loads((written / "adsl.json").read_text(encoding="utf-8")))
    document[member] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, SCHEMA, jsonschema.Draft201909Validator)


def test_datasets_hold_the_tables_values(written, golden_tables):
    subjects = frame_of(json.loads((written / "adsl.json").read_text(encoding="utf-8")))
    rows = frame_of(json.loads((written / "adtbr.json").read_text(encoding="utf-8")))
    arms = pd.read_csv(golden_tables["allocation"], sep="\t", dtype=str).set_index("participant_id")["arm"]
    given = subjects.set_index("USUBJID")
    assert (given["TRT01P"].str.lower() == given.index.map(arms)).all()
    assert set(subjects["EVALFL"]) <= {"Y", "N"}
    changed = rows[(rows["PARAMCD"] == "TBRINDEX") & (rows["AVISIT"] == "Follow-up")]
    patients = pd.read_csv(golden_tables["patients"], sep="\t", dtype={"participant_id": str})
    patients = patients.set_index("participant_id").loc[changed["USUBJID"]]
    assert changed["AVAL"].to_numpy() == pytest.approx(patients["tbr_max_followup"].to_numpy(), rel=1e-12)
    assert changed["CHG"].to_numpy() == pytest.approx((changed["AVAL"] - changed["BASE"]).to_numpy())
    assert changed["PCHG"].to_numpy() == pytest.approx((100 * changed["CHG"] / changed["BASE"]).to_numpy())
    assert (rows.loc[rows["AVISIT"] == "Baseline", "ABLFL"] == "Y").all()


@pytest.mark.parametrize("name", sorted(KEYS))
def test_the_same_rows_as_a_table_with_its_dictionary(written, name):
    document = json.loads((written / f"{name}.json").read_text(encoding="utf-8"))
    table = pd.read_csv(written / f"{name}.tsv", sep="\t")
    assert list(table.columns) == [c["name"] for c in document["columns"]]
    assert len(table) == document["records"]
    meanings = json.loads((written / f"{name}_columns.json").read_text(encoding="utf-8"))
    assert {k: v["description"] for k, v in meanings.items()} == {c["name"]: c["label"] for c in document["columns"]}
