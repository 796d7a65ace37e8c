"""A dataset as CDISC Dataset-JSON 1.1."""

from __future__ import annotations

from typing import Any

from petflame import __version__
from petflame.trial.cdisc.datasets import Dataset

VERSION = "1.1.0"
METADATA, METADATA_FILE = "MDV.petflame", "define.xml"


def item(dataset: str, column: str) -> str:
    """Return the identifier of a column, the same in Dataset-JSON and Define-XML."""
    return f"IT.{dataset}.{column}"


def group(dataset: str) -> str:
    """Return the identifier of a dataset, the same in Dataset-JSON and Define-XML."""
    return f"IG.{dataset}"


def document(dataset: Dataset, study: str, created: str) -> dict[str, Any]:
    """Return the Dataset-JSON document.

    Parameters
    ----------
    study : str
        Identifier of the study.
    created : str
        ISO 8601 time.

    References
    ----------
    CDISC Dataset-JSON 1.1 specification (2024).
    """
    described = []
    for column in dataset.columns:
        one: dict[str, Any] = {
            "itemOID": item(dataset.name, column.name),
            "name": column.name,
            "label": column.label,
            "dataType": column.kind,
        }
        if column.kind == "string":
            one["length"] = longest(dataset.values(column.name))
        if column.name in dataset.keys:
            one["keySequence"] = dataset.keys.index(column.name) + 1
        described.append(one)
    return {
        "datasetJSONCreationDateTime": created,
        "datasetJSONVersion": VERSION,
        "fileOID": f"petflame.{study}.{dataset.name}",
        "originator": "petflame",
        "sourceSystem": {"name": "petflame", "version": __version__},
        "studyOID": study,
        "metaDataVersionOID": METADATA,
        "metaDataRef": METADATA_FILE,
        "itemGroupOID": group(dataset.name),
        "records": len(dataset.rows),
        "name": dataset.name,
        "label": dataset.label,
        "columns": described,
        "rows": [[row[c.name] for c in dataset.columns] for row in dataset.rows],
    }


def longest(values: list[Any]) -> int:
    """Return the length of the longest text, at least 1."""
    return max((len(str(v)) for v in values), default=1) or 1
