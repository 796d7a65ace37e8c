"""Shared fixtures: phantoms on the path, and the reference data where they are unpacked."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


def reference_root() -> Path:
    """Folder of the unpacked reference data: PETFLAME_REFERENCE_DATA, or .cache/data of the checkout."""
    default = Path(__file__).parents[1] / ".cache" / "data"
    return Path(os.environ.get("PETFLAME_REFERENCE_DATA", default))


@pytest.fixture(scope="session")
def reference():
    """Return the folder of a named reference set, or skip the test by that name."""

    def find(name: str) -> Path:
        folder = reference_root() / name
        if not folder.is_dir():
            pytest.skip(f"reference data {name!r} is not unpacked (see PETFLAME_REFERENCE_DATA in the README)")
        return folder

    return find
