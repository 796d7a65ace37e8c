"""Documents that carry the hash of their own content, so that an edit shows wherever they are read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from petflame.errors import InputRefused
from petflame.files import plain, read_json


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(plain(content), sort_keys=True).encode()).hexdigest()


def sealed(content: Mapping[str, Any]) -> dict[str, Any]:
    """Add the SHA-256 of a document to it under the key `seal`.

    >>> seal_holds(sealed({"index_vessel": "carotid_left"}))
    True
    >>> seal_holds(sealed({"index_vessel": "carotid_left"}) | {"index_vessel": "carotid_right"})
    False
    """
    return {**content, "seal": _digest(content)}


def seal_holds(document: Mapping[str, Any]) -> bool:
    """Whether a document's content is what its seal says."""
    return document.get("seal") == _digest({key: value for key, value in document.items() if key != "seal"})


def read_sealed(path: Path, remedy: str) -> dict[str, Any]:
    """Read a sealed document.

    Raises
    ------
    InputRefused
        When it is absent, is no JSON object, or is not as it was sealed.
    """
    document = read_json(path, remedy)
    if not seal_holds(document):
        raise InputRefused.of("it is not as it was sealed", str(path), remedy)
    return document
