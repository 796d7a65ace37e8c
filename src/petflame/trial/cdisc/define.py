"""Define-XML 2.1 of the datasets: what every column is, how it comes about, and what codes it takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any
from xml.etree import ElementTree as ET

from petflame import __version__
from petflame.privacy import without_names
from petflame.trial.cdisc.columns import BY_PARAMETER, Codes, Column
from petflame.trial.cdisc.dataset_json import METADATA, group, item, longest
from petflame.trial.cdisc.datasets import Dataset
from petflame.trial.cdisc.names import writable
from petflame.trial.cdisc.parameters import Parameter

NAMESPACES = {
    "xmlns": "http://www.cdisc.org/ns/odm/v1.3",
    "xmlns:def": "http://www.cdisc.org/ns/def/v2.1",
    "xmlns:xlink": "http://www.w3.org/1999/xlink",
}
ABOUT = "Arterial inflammation from FDG PET/CT, measured and analysed by petflame"
STANDARD, STANDARD_COMMENT = "STD.ADaMIG", "COM.ADaMIG"
NOT_CLAIMED = (
    "Names and structure follow the ADaM implementation guide. Conformance is not claimed: the datasets are made from "
    "the study's own tables, without SDTM, and hold no more than the analysis needs."
)
EMPTY = "No record has a value."
TYPES = {"string": "text", "integer": "integer", "double": "float"}
Attributes = dict[str, str]


def define_xml(datasets: Sequence[Dataset], study: str, created: str) -> str:
    """Return the Define-XML document of the datasets as they are: types, lengths and codes are those of their rows.

    Parameters
    ----------
    datasets : sequence of Dataset
    study : str
        Identifier of the study.
    created : str
        ISO 8601 time.

    References
    ----------
    CDISC Define-XML 2.1 specification (2019), on ODM 1.3.2.
    """
    root = ET.Element(
        "ODM",
        NAMESPACES
        | {
            "ODMVersion": "1.3.2",
            "FileType": "Snapshot",
            "FileOID": f"petflame.{study}.define",
            "CreationDateTime": created,
            "Originator": "petflame",
            "SourceSystem": "petflame",
            "SourceSystemVersion": __version__,
            "def:Context": "Other",
        },
    )
    trial = _add(root, "Study", {"OID": study})
    names = _add(trial, "GlobalVariables")
    for tag, text in (("StudyName", study), ("StudyDescription", ABOUT), ("ProtocolName", study)):
        _add(names, tag).text = text
    version = _add(
        trial,
        "MetaDataVersion",
        {"OID": METADATA, "Name": f"Study {study}, data definitions", "def:DefineVersion": "2.1.0"},
    )
    standard = {"OID": STANDARD, "Name": "ADaMIG", "Type": "IG", "Version": "1.3", "Status": "Final"}
    _add(_add(version, "def:Standards"), "def:Standard", standard | {"def:CommentOID": STANDARD_COMMENT})
    for part in (_value_lists, _where_clauses, _item_groups, _items, _code_lists, _methods, _comments):
        version.extend(part(datasets))
    for element in root.iter():
        element.text = element.text and _clean(element.text)
        element.attrib = {name: _clean(value) for name, value in element.attrib.items()}
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _clean(text: str) -> str:
    return writable(without_names(text))


def _add(parent: ET.Element, tag: str, attributes: Attributes | None = None) -> ET.Element:
    return ET.SubElement(parent, tag, attributes or {})


def _say(parent: ET.Element, text: str, tag: str = "Description") -> None:
    _add(_add(parent, tag), "TranslatedText", {"xml:lang": "en"}).text = text


def _valued(datasets: Sequence[Dataset]) -> Iterator[tuple[Dataset, Column, list[Parameter]]]:
    """Yield the columns whose unit and origin differ by parameter."""
    for dataset in datasets:
        if dataset.parameters:
            yield from ((dataset, c, list(dataset.parameters)) for c in dataset.columns if c.name in BY_PARAMETER)


def _value_lists(datasets: Sequence[Dataset]) -> Iterator[ET.Element]:
    for dataset, column, held in _valued(datasets):
        found = ET.Element("def:ValueListDef", {"OID": _oid("VL", dataset, column.name)})
        for n, parameter in enumerate(held, 1):
            own = column.name, parameter.code
            method = _oid("MT", dataset, *(own if column.name == "AVAL" else own[:1]))
            reference = {"ItemOID": item(dataset.name, ".".join(own)), "OrderNumber": str(n), "Mandatory": "No"}
            reference |= {"MethodOID": method} | _no_data(dataset.values(column.name, parameter))
            clause = {"WhereClauseOID": _oid("WC", dataset, "PARAMCD", "EQ", parameter.code)}
            _add(_add(found, "ItemRef", reference), "def:WhereClauseRef", clause)
        yield found


def _where_clauses(datasets: Sequence[Dataset]) -> Iterator[ET.Element]:
    for dataset in datasets:
        for parameter in dataset.parameters:
            oid = _oid("WC", dataset, "PARAMCD", "EQ", parameter.code)
            found = ET.Element("def:WhereClauseDef", {"OID": oid})
            asked = {"SoftHard": "Soft", "def:ItemOID": item(dataset.name, "PARAMCD"), "Comparator": "EQ"}
            _add(_add(found, "RangeCheck", asked), "CheckValue").text = parameter.code
            yield found


def _item_groups(datasets: Sequence[Dataset]) -> Iterator[ET.Element]:
    for dataset in datasets:
        leaf = _oid("LF", dataset)
        about = {
            "OID": group(dataset.name),
            "Name": dataset.name,
            "Repeating": "Yes" if dataset.parameters else "No",
            "IsReferenceData": "No",
            "SASDatasetName": dataset.name,
            "Purpose": "Analysis",
            "def:Structure": dataset.structure,
            "def:StandardOID": STANDARD,
            "def:ArchiveLocationID": leaf,
        }
        found = ET.Element("ItemGroupDef", about)
        _say(found, dataset.label)
        for n, column in enumerate(dataset.columns, 1):
            reference = {"ItemOID": item(dataset.name, column.name), "OrderNumber": str(n)}
            reference["Mandatory"] = "Yes" if column.required else "No"
            if column.name in dataset.keys:
                reference["KeySequence"] = str(dataset.keys.index(column.name) + 1)
            if column.origin == "Derived":
                reference["MethodOID"] = _oid("MT", dataset, column.name)
            _add(found, "ItemRef", reference | _no_data(dataset.values(column.name)))
        _add(found, "def:Class", {"Name": dataset.kind})
        file = _add(found, "def:leaf", {"ID": leaf, "xlink:href": dataset.file})
        _add(file, "def:title").text = dataset.file
        yield found


def _no_data(values: list[Any]) -> Attributes:
    return {} if values else {"def:HasNoData": "Yes"}


def _items(datasets: Sequence[Dataset]) -> Iterator[ET.Element]:
    for dataset in datasets:
        for column in dataset.columns:
            found = _item(dataset, column, column.label, dataset.values(column.name))
            if column.codes and column.codes.items:
                _add(found, "CodeListRef", {"CodeListOID": _list_oid(column.codes)})
            origin = _add(found, "def:Origin", _origin(column))
            if column.origin != "Derived":
                _say(origin, column.words)
            if dataset.parameters and column.name in BY_PARAMETER:
                _add(found, "def:ValueListRef", {"ValueListOID": _oid("VL", dataset, column.name)})
            yield found
    for dataset, column, held in _valued(datasets):
        for parameter in held:
            words, own = f"{column.label}: {parameter.text}", dataset.values(column.name, parameter)
            found = _item(dataset, column, words, own, parameter)
            _add(found, "def:Origin", _origin(column))
            yield found


def _origin(column: Column) -> Attributes:
    source = {} if column.origin == "Predecessor" else {"Source": "Sponsor"}
    return {"Type": column.origin, **source}


def _item(
    dataset: Dataset, column: Column, words: str, values: list[Any], parameter: Parameter | None = None
) -> ET.Element:
    own = (column.name,) if parameter is None else (column.name, parameter.code)
    about = {
        "OID": item(dataset.name, ".".join(own)),
        "Name": own[-1],
        "DataType": TYPES[column.kind],
        **_size(column, values),
        "SASFieldName": own[-1],
    }
    if parameter is None and (column.comment or not values):
        about["def:CommentOID"] = _oid("COM", dataset, column.name)
    elif not values:
        about["def:CommentOID"] = _oid("COM", dataset, "EMPTY")
    found = ET.Element("ItemDef", about)
    _say(found, words)
    return found


def _size(column: Column, values: list[Any]) -> Attributes:
    """Return the length of the longest value and, for decimal numbers, the most digits behind the point."""
    if column.kind != "double":
        return {"Length": str(longest(values))}
    texts = [format(Decimal(repr(v)), "f") for v in values]
    digits = max((len(t.partition(".")[2]) for t in texts), default=0)
    return {"Length": str(longest(texts)), "SignificantDigits": str(digits)}


def _code_lists(datasets: Sequence[Dataset]) -> Iterator[ET.Element]:
    used = {c.codes.name: c.codes for d in datasets for c in d.columns if c.codes and c.codes.items}
    for codes in used.values():
        number = all(isinstance(code, int) for code, _ in codes.items)
        about = {"OID": _list_oid(codes), "Name": codes.title, "DataType": "integer" if number else "text"}
        found = ET.Element("CodeList", about | {"def:IsNonStandard": "Yes"})
        decoded = any(str(code) != decode for code, decode in codes.items)
        for n, (code, decode) in enumerate(codes.items, 1):
            listed = {"CodedValue": str(code), "OrderNumber": str(n)}
            one = _add(found, "CodeListItem" if decoded else "EnumeratedItem", listed)
            if decoded:
                _say(one, decode, "Decode")
        yield found


def _methods(datasets: Sequence[Dataset]) -> Iterator[ET.Element]:
    for dataset in datasets:
        derived = [c for c in dataset.columns if c.origin == "Derived"]
        words: dict[tuple[str, ...], str] = {(c.name,): c.words for c in derived}
        words |= {("AVAL", p.code): p.derivation for p in dataset.parameters}
        for own, text in words.items():
            about = {"OID": _oid("MT", dataset, *own), "Name": f"{dataset.name}, {' '.join(own)}"}
            found = ET.Element("MethodDef", about | {"Type": "Computation"})
            _say(found, text)
            yield found


def _comments(datasets: Sequence[Dataset]) -> Iterator[ET.Element]:
    said = {STANDARD_COMMENT: NOT_CLAIMED}
    for dataset in datasets:
        for column in dataset.columns:
            words = [column.comment, "" if dataset.values(column.name) else EMPTY]
            if any(words):
                said[_oid("COM", dataset, column.name)] = " ".join(filter(None, words))
        if any(not d.values(c.name, p) for d, c, held in _valued([dataset]) for p in held):
            said[_oid("COM", dataset, "EMPTY")] = EMPTY
    for oid, text in said.items():
        found = ET.Element("def:CommentDef", {"OID": oid})
        _say(found, text)
        yield found


def _oid(kind: str, dataset: Dataset, *parts: str) -> str:
    return ".".join((kind, dataset.name, *parts))


def _list_oid(codes: Codes) -> str:
    return f"CL.{codes.name}"
