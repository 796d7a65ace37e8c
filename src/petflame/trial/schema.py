"""JSON schemas of the trial's documents, written from their types, and documents held against them.

``python -m petflame.trial.schema docs/schema`` writes the schemas again.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from petflame.files import write_json
from petflame.trial.document import ArmsDocument
from petflame.trial.events.blocks import OutcomesDocument

DOCUMENTS: dict[str, Any] = {"arms": ArmsDocument, "outcomes": OutcomesDocument}


@cache
def _adapter(name: str) -> TypeAdapter[Any]:
    return TypeAdapter(DOCUMENTS[name])


def schema(name: str) -> dict[str, Any]:
    """Return the JSON schema of ``arms.json`` (`name` is ``arms``) or ``outcomes.json``."""
    made = _adapter(name).json_schema()
    for part in (made, *made["$defs"].values()):
        if "properties" in part:
            part.setdefault("additionalProperties", False)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made}


def first_fault(name: str, document: Mapping[str, Any]) -> str | None:
    """Return where a document first lacks or breaks its type and how, without its values; None where it agrees.

    >>> first_fault("outcomes", {})
    'label: Field required'
    """
    try:
        _adapter(name).validate_python(document, strict=True)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return None


def write_schemas(folder: Path) -> None:
    """Write ``arms.schema.json`` and ``outcomes.schema.json``."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in DOCUMENTS:
        write_json(folder / f"{name}.schema.json", schema(name))


if __name__ == "__main__":
    write_schemas(Path(sys.argv[1]))
