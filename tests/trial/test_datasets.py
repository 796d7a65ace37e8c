"""The ADaM-like datasets: Dataset-JSON 1.1, names, flags, and that an analyst refits `arms.json` from them."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path

import jsonschema
import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from hypothesis import given, settings
from hypothesis import strategies as st

from petflame.anatomy import ARTERIES, TARGET_VESSELS
from petflame.errors import InputRefused
from petflame.trial.analyse import analyse
from petflame.trial.cdisc.columns import ANALYSIS_COLUMNS, SUBJECT_COLUMNS
from petflame.trial.cdisc.names import STANDARD, column_names, stratum_label
from petflame.trial.cdisc.parameters import VESSELS, parameters
from petflame.trial.choices import AnalysisChoices, TrialTables
from petflame.trial.cohort import OWN_COLUMNS
from petflame.trial.endpoints import ENDPOINTS, NEGATIVE_CONTROLS, PRIMARY

SCHEMA = json.loads((Path(__file__).parent / "dataset_json_1_1.schema.json").read_text(encoding="utf-8"))
KINDS = {"string": str, "integer": int, "double": float}
KEYS = {"adsl": ["STUDYID", "USUBJID"], "adtbr": ["STUDYID", "USUBJID", "PARAMCD", "AVISITN"]}
STRATA = ("smoking_status", "smoking_history")
OWN = [c.name for c in (*SUBJECT_COLUMNS, *ANALYSIS_COLUMNS)]


@pytest.fixture(scope="module")
def written(golden_tables, tmp_path_factory):
    """Return the folder of an analysis with vessels, arms and a stratum, at a fixed time."""
    out, t = tmp_path_factory.mktemp("datasets"), golden_tables
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOURCE_DATE_EPOCH", "1700000000")
        given = TrialTables(t["patients"], t["vessels"], t["allocation"], t["participants"])
        analyse(given, out, AnalysisChoices(strata=("site",), permutations=50, study_id="GOLDEN"))
    return out


@pytest.fixture(scope="module")
def refitted(ragged):
    """Return arms.json of the ragged trial, and its ADTBR with the strata of ADSL beside every record."""
    subjects, rows = (load(ragged, name) for name in ("adsl", "adtbr"))
    document = json.loads((ragged / "arms.json").read_text(encoding="utf-8"))
    return document, rows.merge(subjects[["USUBJID", "SMOKINGS", "SMOKINGH"]], on="USUBJID")


def load(folder: Path, name: str) -> pd.DataFrame:
    document = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    return pd.DataFrame(document["rows"], columns=[c["name"] for c in document["columns"]])


def blocks(document) -> dict[str, dict]:
    """Return every block of arms.json that a parameter is analysed in, by PARAMCD."""
    found = {PRIMARY.code: document["primary"]}
    found |= {VESSELS[name]: block for name, block in document["vessels"].items()}
    found |= {e.code: document["endpoints"][e.name] for e in ENDPOINTS}
    return found | {c.code: document["negative_controls"][c.name] for c in NEGATIVE_CONTROLS}


@pytest.mark.parametrize("name", sorted(KEYS))
@pytest.mark.parametrize("folder", ["written", "ragged"])
def test_datasets_have_the_standards_structure(request, name, folder):
    document = json.loads((request.getfixturevalue(folder) / f"{name}.json").read_text(encoding="utf-8"))
    jsonschema.Draft201909Validator.check_schema(SCHEMA)
    jsonschema.validate(document, SCHEMA, jsonschema.Draft201909Validator)
    assert document["datasetJSONVersion"] == "1.1.0"
    assert document["datasetJSONCreationDateTime"] == "2023-11-14T22:13:20Z"
    assert document["studyOID"] == {"written": "GOLDEN", "ragged": "RAGGED"}[folder]
    assert document["records"] == len(document["rows"]) > 0
    assert {len(row) for row in document["rows"]} == {len(document["columns"])}
    sequence = {c["keySequence"]: c["name"] for c in document["columns"] if "keySequence" in c}
    assert [sequence[k] for k in sorted(sequence)] == KEYS[name]
    frame = pd.DataFrame(document["rows"], columns=[c["name"] for c in document["columns"]])
    assert not frame.duplicated(KEYS[name]).any()
    assert frame[KEYS[name]].equals(frame[KEYS[name]].sort_values(KEYS[name], ignore_index=True))
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
    subjects, rows = load(written, "adsl"), load(written, "adtbr")
    arms = pd.read_csv(golden_tables["allocation"], sep="\t", dtype=str).set_index("participant_id")["arm"]
    given = subjects.set_index("USUBJID")
    assert (given["TRT01P"] == given.index.map(arms)).all()
    assert set(subjects["EVALFL"]) <= {"Y", "N"}
    changed = rows[(rows["PARAMCD"] == "TBRINDEX") & (rows["AVISIT"] == "Follow-up")]
    patients = pd.read_csv(golden_tables["patients"], sep="\t", dtype={"participant_id": str})
    patients = patients.set_index("participant_id").loc[changed["USUBJID"]]
    follow = patients["tbr_max_followup"].to_numpy()
    assert changed["AVAL"].to_numpy(float) == pytest.approx(follow, rel=1e-12, nan_ok=True)
    change = (changed["AVAL"] - changed["BASE"]).to_numpy(float)
    assert changed["CHG"].to_numpy(float) == pytest.approx(change, nan_ok=True)
    assert changed["PCHG"].to_numpy(float) == pytest.approx(100 * change / changed["BASE"].to_numpy(float), nan_ok=True)
    assert ((rows["ABLFL"] == "Y") == ((rows["AVISIT"] == "Baseline") & rows["AVAL"].notna())).all()


@pytest.mark.parametrize("name", sorted(KEYS))
def test_the_same_rows_as_a_table_with_its_dictionary(ragged, name):
    document = json.loads((ragged / f"{name}.json").read_text(encoding="utf-8"))
    table = pd.read_csv(ragged / f"{name}.tsv", sep="\t")
    assert list(table.columns) == [c["name"] for c in document["columns"]]
    assert len(table) == document["records"]
    meanings = json.loads((ragged / f"{name}_columns.json").read_text(encoding="utf-8"))
    assert {k: v["description"] for k, v in meanings.items()} == {c["name"]: c["label"] for c in document["columns"]}


def test_the_written_records_give_what_r_gave_for_the_primary_with_its_stratum(written, golden):
    rows = load(written, "adtbr").merge(load(written, "adsl")[["USUBJID", "SITE"]], on="USUBJID")
    used = rows[(rows["PARAMCD"] == "TBRINDEX") & (rows["ANL01FL"] == "Y") & (rows["AVISIT"] == "Follow-up")]
    sites = [(used["SITE"] == site).to_numpy(float) for site in sorted(set(used["SITE"]))[1:]]
    design = np.column_stack([np.ones(len(used)), used["TRTPN"], used["BASE"], *sites]).astype(float)
    found, squares = np.linalg.lstsq(design, used["AVAL"].to_numpy(float), rcond=None)[:2]
    variance = squares[0] / (len(used) - design.shape[1]) * np.linalg.inv(design.T @ design)
    assert found[1] == pytest.approx(golden["strata.estimate"], rel=1e-9)
    assert np.sqrt(variance[1, 1]) == pytest.approx(golden["strata.se"], rel=1e-9)


@pytest.mark.parametrize("code", [p.code for p in parameters()])
def test_filtering_by_the_flag_and_refitting_gives_arms_json(refitted, code):
    """The analyst's way: a parameter, its analysed follow-up records, the linear model."""
    document, rows = refitted
    block = blocks(document)[code]
    used = rows[(rows["PARAMCD"] == code) & (rows["ANL01FL"] == "Y") & (rows["AVISIT"] == "Follow-up")]
    assert used.groupby("TRTP").size().to_dict() == block["n"]
    fit = smf.ols("AVAL ~ TRTPN + BASE + C(SMOKINGS) + C(SMOKINGH)", used.astype({"TRTPN": float})).fit()
    assert fit.params["TRTPN"] == pytest.approx(block["difference"], rel=1e-9, abs=1e-12)
    assert fit.bse["TRTPN"] == pytest.approx(block["se"], rel=1e-9)
    assert fit.df_resid == block["df"]


def test_the_records_of_the_target_vessels_give_their_mean_and_the_mixed_models_rows(refitted):
    document, rows = refitted
    codes = [VESSELS[name] for name in TARGET_VESSELS]
    used = rows[rows["PARAMCD"].isin(codes) & (rows["ANL01FL"] == "Y") & (rows["AVISIT"] == "Follow-up")]
    assert (document["mixed"]["rows"], document["mixed"]["patients"]) == (len(used), used["USUBJID"].nunique())
    by = used.groupby(["USUBJID", "TRTPN", "SMOKINGS", "SMOKINGH"])[["AVAL", "BASE"]].agg(["mean", "size"])
    whole = by[by["AVAL", "size"] == len(codes)].reset_index()
    means = (
        whole[["TRTPN", "SMOKINGS", "SMOKINGH"]]
        .droplevel(1, axis=1)
        .assign(AVAL=whole["AVAL", "mean"], BASE=whole["BASE", "mean"])
    )
    fit = smf.ols("AVAL ~ TRTPN + BASE + C(SMOKINGS) + C(SMOKINGH)", means.astype({"TRTPN": float})).fit()
    assert len(means) == sum(document["vessel_mean"]["n"].values())
    assert fit.params["TRTPN"] == pytest.approx(document["vessel_mean"]["difference"], rel=1e-9)


def test_the_refitted_parameters_differ_in_who_is_analysed(refitted):
    """So that the test above would see a flag that only repeats the primary's."""
    document, _ = refitted
    assert len({tuple(block["n"].values()) for block in blocks(document).values()}) > 4


def test_every_record_that_is_not_analysed_says_why(refitted):
    _, rows = refitted
    assert ((rows["ANL01FL"] == "Y") == rows["ANLREAS"].isna()).all()
    reasons = rows.drop_duplicates(["USUBJID", "PARAMCD"]).set_index(["USUBJID", "PARAMCD"])["ANLREAS"]
    assert reasons["P05", "TBRRC"] == "withheld for a reader: weak contrast"
    assert reasons["P06", "TBRRC"] == "withheld for a reader"
    assert reasons["P07", "TBRLC"] == "no follow-up value"
    assert reasons["P08", "TBRMDSL"] == "no baseline value"
    assert reasons["P09", "LIVERSUV"] == "no baseline and no follow-up value"
    assert reasons["P02", "TBRAA"] == "not in the analysis set: scans not comparable"
    assert reasons["P03", "TBRAA"] == "not in the analysis set: no follow-up measurement"
    assert ("P10", "TBRARCH") not in reasons.index  # no row in VESSELS
    both = rows.groupby(["USUBJID", "PARAMCD"])["AVISITN"].apply(list)
    assert all(visits == [0, 1] for visits in both)


def test_parameters_are_sorted_into_categories_with_their_unit(refitted):
    _, rows = refitted
    found = rows.drop_duplicates("PARAMCD").set_index("PARAMCD")[["PARCAT1", "PARAM"]]
    assert tuple(found.loc["TBRINDEX"]) == ("Primary", "Mean TBRmax, Index Vessel (ratio)")
    assert tuple(found.loc["TBRLC"]) == ("Vessel", "Mean TBRmax, Left carotid (ratio)")
    assert tuple(found.loc["CSUVMAX"]) == ("Secondary", "SUVmax Less Blood Pool, Index Vessel (g/mL)")
    assert tuple(found.loc["GLUC"]) == ("Negative control", "Blood glucose (mmol/L)")


def test_a_percent_change_needs_a_baseline_above_zero(refitted):
    _, rows = refitted
    at = rows[(rows["AVISIT"] == "Follow-up") & rows["CHG"].notna()]
    assert (at["PCHG"].isna() == (at["BASE"] <= 0)).all()
    assert set(at.loc[at["PCHG"].isna(), "PARAMCD"]) == {"ACTFRAC", "CSUVMAX"}


def test_every_measure_has_a_code_that_sas_takes():
    codes = [p.code for p in parameters()]
    assert len(set(codes)) == len(codes) == 2 + len(ARTERIES) - 1 + len(ENDPOINTS) + len(NEGATIVE_CONTROLS)
    assert all(re.fullmatch("[A-Z][A-Z0-9]{0,7}", code) for code in codes)
    assert len({p.text for p in parameters()}) == len(codes)
    assert tuple(VESSELS) == ARTERIES


def test_the_standard_columns_keep_the_limits():
    for columns in (SUBJECT_COLUMNS, ANALYSIS_COLUMNS):
        assert len({c.name for c in columns}) == len(columns)
        assert all(len(c.name) <= 8 and len(c.label) <= 40 and c.words for c in columns)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(st.text(max_size=12), st.sampled_from(["age", "AGE", "trtp", "site"])), unique=True))
def test_strata_have_unique_names_that_do_not_depend_on_those_after_them(words):
    found = column_names(words, OWN)
    assert list(found) == words
    assert len(set(found.values())) == len(words)
    assert not set(found.values()) & (set(OWN) | STANDARD)
    assert all(re.fullmatch("[A-Z][A-Z0-9]{0,7}", name) for name in found.values())
    assert column_names(words[:2], OWN) == dict(list(found.items())[:2])
    assert all(len(stratum_label(word)) <= 40 for word in words)


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["smoking_status", "smoking_history"], ["SMOKINGS", "SMOKINGH"]),
        (["site", "Site", "SITE"], ["SITE", "SITE2", "SITE3"]),
        (["usubjid", "TRT01P", "arm_cd", "PARAMCD"], ["USUBJGR1", "TRT01GR1", "ARMCDGR1", "PARAMGR1"]),
        (["2nd_visit", "Gefäß", "中心"], ["S2NDVISI", "GEFASS", "STRATUM"]),
        (
            [f"randomisation_{n}" for n in range(11)],
            ["RANDOMIS", *(f"RANDOMI{n}" for n in range(2, 10)), "RANDOM10", "RANDOM11"],
        ),
    ],
)
def test_names_of_strata(words, names):
    assert list(column_names(words, OWN).values()) == names


def test_strata_that_once_overwrote_each_other_stand_side_by_side(ragged):
    subjects = load(ragged, "adsl")
    document = json.loads((ragged / "adsl.json").read_text(encoding="utf-8"))
    labels = {c["name"]: c["label"] for c in document["columns"]}
    assert (labels["SMOKINGS"], labels["SMOKINGH"]) == ("Stratum smoking_status", "Stratum smoking_history")
    assert set(subjects["SMOKINGS"].dropna()) == {"never", "ever"}
    assert set(subjects["SMOKINGH"].dropna()) == {"long", "none", "short"}


@pytest.mark.parametrize("name", sorted(OWN_COLUMNS))
def test_a_stratum_that_would_be_overwritten_is_refused(tables, name):
    paths = odd(tables)
    people = tables.trial(12)["patients"][["participant_id"]].assign(**{name: ["1", "2"] * 6})
    given = TrialTables(**paths, participants=tables.write("participants", people))
    with pytest.raises(InputRefused, match=f"uses the name `{name}`"):
        analyse(given, tables.folder / "o", AnalysisChoices(strata=(name,), permutations=50))


def odd(tables, **changes) -> dict[str, Path]:
    trial = tables.trial(12)
    for name, change in changes.items():
        trial[name] = change(trial.get(name, trial["patients"]))
    return {name: tables.write(name, table) for name, table in trial.items()}


def no_scan(table: pd.DataFrame) -> pd.DataFrame:
    values = ["tbr_max_baseline", "tbr_max_followup"]
    return table.assign(**{c: table[c].where(table.index > 0) for c in values})


ODD_IDS = ["a b", 'q"uote', "é", "<&>", "0012", "x" * 90, "-1", "NA-1", "1e5", "#7", "'", "1.2.840.113619.2.55"]


@pytest.mark.parametrize(
    ("case", "changes"),
    [
        ("odd identifiers", {n: lambda t: t.assign(participant_id=ODD_IDS) for n in ("patients", "allocation")}),
        ("one arm", {"allocation": lambda t: t.assign(arm="active")}),
        ("an unmeasured one without an arm", {"patients": no_scan, "allocation": lambda t: t.iloc[1:]}),
        ("nothing measured", {"patients": lambda t: t.assign(tbr_max_baseline=np.nan, tbr_max_followup=np.nan)}),
        ("nobody analysed", {"patients": lambda t: t.assign(tbr_max_followup=np.nan)}),
        ("one vessel", {"vessels": lambda t: t.assign(vessel="aorta_arch")}),
        ("no vessel", {"vessels": lambda t: t.assign(vessel="aorta_arch").iloc[:0]}),
        ("all withheld", {"vessels": lambda t: t.assign(vessel="aorta_arch", withheld=True)}),
        ("an empty endpoint", {"patients": lambda t: t.assign(csuv_max_baseline=np.nan, csuv_max_followup=np.nan)}),
    ],
)
def test_odd_trials_still_have_datasets(tables, case, changes):
    paths = odd(tables, **changes)
    document = analyse(TrialTables(**paths), tables.folder / "o", AnalysisChoices(permutations=50))
    assert "CDISC datasets" not in [p["part"] for p in document["set_aside"]]
    for name in KEYS:
        whole = json.loads((tables.folder / "o" / f"{name}.json").read_text(encoding="utf-8"))
        jsonschema.validate(whole, SCHEMA, jsonschema.Draft201909Validator)
        for position, column in enumerate(whole["columns"]):
            longest = max((len(row[position] or "") for row in whole["rows"] if "length" in column), default=0)
            assert column.get("length", 0) == (max(longest, 1) if "length" in column else 0)
    rows = load(tables.folder / "o", "adtbr")
    flagged = rows[(rows["PARAMCD"] == "TBRINDEX") & (rows["ANL01FL"] == "Y") & (rows["AVISITN"] == 1)]
    assert len(flagged) == document["analysis_set"]["analysed"]["total"]
    assert (tables.folder / "o" / "define.xml").exists()


def test_blinded_datasets_name_no_arm(tables):
    paths = odd(tables)
    del paths["allocation"]
    analyse(TrialTables(**paths), tables.folder / "o", AnalysisChoices(permutations=50))
    for name in KEYS:
        columns = load(tables.folder / "o", name).columns
        assert not [c for c in columns if c.startswith(("TRT", "RAND"))]
    text = (tables.folder / "o" / "define.xml").read_text(encoding="utf-8")
    assert "CL.ARM" not in text
    assert "TRT" not in text


def test_the_same_tables_give_the_same_bytes(ragged_tables, ragged, tmp_path, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    tables, choices = ragged_tables
    analyse(tables, tmp_path, choices)
    for name in ("adsl.json", "adtbr.json", "adsl.tsv", "adtbr.tsv", "define.xml"):
        assert (tmp_path / name).read_bytes() == (ragged / name).read_bytes()
