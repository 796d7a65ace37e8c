"""Fixtures for the DICOM tests."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from petflame.dicom.convert import convert_visit
from petflame.protocol import Protocol


@dataclass
class Visit:
    """A converted visit."""

    folder: Path
    warnings: list[str]

    def json(self, name: str = "pet.json") -> dict[str, Any]:
        return json.loads((self.folder / name).read_text())

    def image(self, name: str = "pet.nii.gz"):
        return nib.load(self.folder / name)

    def data(self, name: str = "pet.nii.gz") -> np.ndarray:
        return np.asanyarray(self.image(name).dataobj)


@pytest.fixture
def convert(tmp_path):
    """Convert a folder with the default protocol, or with changed conversion rules."""

    def run(dicom_dir: Path, name: str = "visit", rules: dict[str, Any] | None = None, **options: Any) -> Visit:
        protocol = Protocol.model_validate({"conversion": rules or {}})
        visit = tmp_path / "out" / name
        return Visit(visit, convert_visit(dicom_dir, visit, protocol=protocol, **options))

    return run
