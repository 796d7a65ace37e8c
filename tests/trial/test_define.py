"""Define-XML against CDISC's schema, its own rules, and the datasets that it describes."""

from __future__ import annotations

import json
from collections import Counter
from decimal import Decimal
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from petflame.trial.analyse import analyse
from petflame.trial.choices import AnalysisChoices, TrialTables

NS = {"odm": "http://www.cdisc.org/ns/odm/v1.3", "def": "http://www.cdisc.org/ns/def/v2.1"}
ODM, DEF, HREF = f"{{{NS['odm']}}}", f"{{{NS['def']}}}", "{http://www.w3.org/1999/xlink}href"
TYPES = {"string": "text", "integer": "integer", "double": "float"}
# Which elements an attribute that refers may name.
REFERS = {
    "ItemOID": "ItemDef",
    f"{DEF}ItemOID": "ItemDef",
    "MethodOID": "MethodDef",
    "CodeListOID": "CodeList",
    "WhereClauseOID": "WhereClauseDef",
    "ValueListOID": "ValueListDef",
    f"{DEF}CommentOID": "CommentDef",
    f"{DEF}StandardOID": "Standard",
    f"{DEF}ArchiveLocationID": "leaf",
}


@pytest.fixture(scope="session")
def blinded(ragged_tables, tmp_path_factory) -> Path:
    tables, choices = ragged_tables
    out = tmp_path_factory.mktemp("blinded")
    analyse(TrialTables(tables.patients, tables.vessels, participants=tables.participants), out, choices)
    return out


@pytest.fixture
def sparse(tables) -> Path:
    """Return an analysis with columns that hold nothing: no grade, nobody left out, an endpoint never measured."""
    trial = tables.trial(8)
    trial["patients"][["csuv_max_baseline", "csuv_max_followup"]] = np.nan
    paths = {name: tables.write(name, table) for name, table in trial.items()}
    analyse(TrialTables(**paths), tables.folder / "o", AnalysisChoices(permutations=50))
    return tables.folder / "o"


@pytest.fixture(scope="session")
def xsd():
    """Return CDISC's schema of Define-XML 2.1."""
    odmlib = pytest.importorskip("odmlib.schema_manager", reason="odmlib, with CDISC's schema, is not installed")
    import xmlschema

    return xmlschema.XMLSchema(odmlib.get_schema_path("define", "2.1"))


@pytest.fixture(params=["ragged", "blinded", "sparse"])
def folder(request) -> Path:
    return request.getfixturevalue(request.param)


def define(folder: Path) -> ET.Element:
    return ET.parse(folder / "define.xml").getroot()


def tag(element: ET.Element) -> str:
    return element.tag.split("}")[1]


def oid(element: ET.Element) -> str | None:
    return element.get("OID") or element.get("ID")


def test_cdiscs_schema_accepts_it(xsd, folder):
    assert [str(e) for e in xsd.iter_errors(folder / "define.xml")] == []


@pytest.mark.parametrize(
    ("path", "change"),
    [
        (".//odm:ItemDef", lambda e: e.set("DataType", "number")),
        (".//odm:ItemGroupDef", lambda e: e.set("OID", "IG.ADTBR")),
        (".//odm:ItemGroupDef", lambda e: e.attrib.pop(f"{DEF}Structure")),
        (".//def:Class", lambda e: e.set("Name", "ADSL")),
        (".//def:Origin", lambda e: e.set("Type", "Computed")),
        (".//odm:MetaDataVersion", lambda e: e.set(f"{DEF}DefineVersion", "2.0.0")),
        (".//odm:MetaDataVersion", lambda e: e.append(e[0])),
    ],
)
def test_cdiscs_schema_refuses_what_is_wrong(xsd, ragged, tmp_path, path, change):
    root = define(ragged)
    change(root.find(path, NS))
    ET.ElementTree(root).write(tmp_path / "define.xml")
    assert not xsd.is_valid(tmp_path / "define.xml")


def test_every_identifier_is_unique_resolves_and_is_used(folder):
    root = define(folder)
    named = {(tag(e), oid(e)): e for e in root.iter() if oid(e)}
    assert max(Counter(oid(e) for e in root.iter() if oid(e)).values()) == 1
    asked = {(REFERS[k], v) for e in root.iter() for k, v in e.attrib.items() if k in REFERS}
    assert asked <= set(named)
    ends = {"Study", "MetaDataVersion", "ItemGroupDef"}
    assert {key for key in named if key[0] not in ends} == asked


def test_every_definition_says_what_it_is(folder):
    root = define(folder)
    for kind in ("odm:ItemGroupDef", "odm:ItemDef", "odm:MethodDef", "def:CommentDef"):
        found = root.findall(f".//{kind}", NS)
        assert found
        for element in found:
            assert element.findtext("odm:Description/odm:TranslatedText", "", NS).strip(), oid(element)
    derived = set()
    for element in root.findall(".//odm:ItemDef", NS):
        origin = element.find("def:Origin", NS)
        says = origin.findtext("odm:Description/odm:TranslatedText", None, NS)
        assert (says is None) == (origin.get("Type") == "Derived"), oid(element)
    derived = {
        oid(e) for e in root.findall(".//odm:ItemDef", NS) if e.find("def:Origin[@Type='Derived']", NS) is not None
    }
    assert {e.get("ItemOID") for e in root.findall(".//odm:ItemRef[@MethodOID]", NS)} == derived


@pytest.mark.parametrize("name", ["adsl", "adtbr"])
def test_it_describes_exactly_what_lies_beside_it(folder, name):
    root = define(folder)
    document = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    assert root.get("CreationDateTime") == document["datasetJSONCreationDateTime"]
    assert root.find("odm:Study", NS).get("OID") == document["studyOID"]
    assert root.find(".//odm:MetaDataVersion", NS).get("OID") == document["metaDataVersionOID"]
    assert document["metaDataRef"] == "define.xml"
    group = root.find(f".//odm:ItemGroupDef[@OID='{document['itemGroupOID']}']", NS)
    assert group.get("Name") == document["name"]
    assert group.findtext("odm:Description/odm:TranslatedText", "", NS) == document["label"]
    assert (folder / group.find("def:leaf", NS).get(HREF)) == folder / f"{name}.json"
    references = group.findall("odm:ItemRef", NS)
    assert [r.get("ItemOID") for r in references] == [c["itemOID"] for c in document["columns"]]
    assert [int(r.get("OrderNumber")) for r in references] == list(range(1, len(references) + 1))
    for position, (reference, column) in enumerate(zip(references, document["columns"], strict=True)):
        values = [row[position] for row in document["rows"]]
        there = [v for v in values if v is not None]
        item = root.find(f".//odm:ItemDef[@OID='{column['itemOID']}']", NS)
        assert item.get("Name") == item.get("SASFieldName") == column["name"]
        assert item.findtext("odm:Description/odm:TranslatedText", "", NS) == column["label"]
        assert item.get("DataType") == TYPES[column["dataType"]]
        assert reference.get("KeySequence") == (str(column["keySequence"]) if "keySequence" in column else None)
        assert reference.get("Mandatory") == "No" or len(there) == len(values)
        assert (reference.get(f"{DEF}HasNoData") == "Yes") == (not there)
        check_size(item, there)
        assert item.get("Length") == str(column["length"]) if column["dataType"] == "string" else True
        listed = item.find("odm:CodeListRef", NS)
        if listed is not None:
            codes = root.findall(f".//odm:CodeList[@OID='{listed.get('CodeListOID')}']/*[@CodedValue]", NS)
            assert set(map(str, there)) <= {c.get("CodedValue") for c in codes}


def check_size(item: ET.Element, values: list) -> None:
    """Every value fits, and one of them fills the length."""
    texts = [f"{Decimal(repr(v)):f}" if isinstance(v, float) else str(v) for v in values]
    assert max(map(len, texts), default=1) == int(item.get("Length")), oid(item)
    if item.get("DataType") == "float":
        digits = (len(t.partition(".")[2]) for t in texts)
        assert max(digits, default=0) == int(item.get("SignificantDigits")), oid(item)


@pytest.mark.parametrize("column", ["AVAL", "BASE", "CHG"])
def test_each_parameters_values_are_described_by_themselves(folder, column):
    root = define(folder)
    document = json.loads((folder / "adtbr.json").read_text(encoding="utf-8"))
    names = [c["name"] for c in document["columns"]]
    rows = [dict(zip(names, row, strict=True)) for row in document["rows"]]
    units = {}
    for reference in root.findall(f".//def:ValueListDef[@OID='VL.ADTBR.{column}']/odm:ItemRef", NS):
        clause = reference.find("def:WhereClauseRef", NS).get("WhereClauseOID")
        check = root.find(f".//def:WhereClauseDef[@OID='{clause}']/odm:RangeCheck", NS)
        assert (check.get(f"{DEF}ItemOID"), check.get("Comparator")) == ("IT.ADTBR.PARAMCD", "EQ")
        code = check.findtext("odm:CheckValue", "", NS)
        item = root.find(f".//odm:ItemDef[@OID='{reference.get('ItemOID')}']", NS)
        own = [r for r in rows if r["PARAMCD"] == code]
        assert item.findtext("odm:Description/odm:TranslatedText", "", NS).endswith(own[0]["PARAM"])
        check_size(item, [r[column] for r in own if r[column] is not None])
        units[code] = own[0]["PARAM"]
    assert set(units) == {r["PARAMCD"] for r in rows}
    codes = root.findall(".//odm:CodeList[@OID='CL.PARAMCD']/odm:CodeListItem", NS)
    assert {c.get("CodedValue"): c.findtext("odm:Decode/odm:TranslatedText", "", NS) for c in codes} == units


def test_columns_without_a_value_say_so(sparse):
    root = define(sparse)
    empty = {e.get("ItemOID") for e in root.findall(".//odm:ItemRef", NS) if e.get(f"{DEF}HasNoData") == "Yes"}
    of_endpoint = {f"IT.ADTBR.{c}.CSUVMAX" for c in ("AVAL", "BASE", "CHG")}
    assert empty == {"IT.ADSL.EVALREAS", "IT.ADSL.COMPGR", *of_endpoint}
    for name in empty:
        comment = root.find(f".//odm:ItemDef[@OID='{name}']", NS).get(f"{DEF}CommentOID")
        said = root.find(f".//def:CommentDef[@OID='{comment}']", NS)
        assert said.findtext("odm:Description/odm:TranslatedText", "", NS) == "No record has a value."


def test_arms_are_named_only_where_there_are_any(ragged, blinded):
    lists = {f: {oid(e) for e in define(f).findall(".//odm:CodeList", NS)} for f in (ragged, blinded)}
    assert lists[ragged] - lists[blinded] == {"CL.ARM", "CL.ARMN"}


@pytest.mark.parametrize("study", ["", " ", "a&b<'\">\x01\ud800", "Étude ①", "1.2.840.113619.2.55.3"])
def test_any_identifier_of_a_study_leaves_xml_that_reads(tables, study):
    trial = tables.trial(6)
    trial["patients"]["中心 <1>"] = ["<&>", "ü"] * 3
    paths = {name: tables.write(name, table) for name, table in trial.items()}
    choices = AnalysisChoices(strata=("中心 <1>",), permutations=50, study_id=study)
    assert analyse(TrialTables(**paths), tables.folder / "o", choices)["set_aside"] == []
    whole = json.loads((tables.folder / "o" / "adsl.json").read_text(encoding="utf-8"))
    root = define(tables.folder / "o")
    assert root.find("odm:Study", NS).get("OID") == whole["studyOID"] != ""
    codes = root.findall(".//odm:CodeList[@OID='CL.STRATUM.S1']/*", NS)
    assert [c.get("CodedValue") for c in codes] == ["<&>", "ü"]
