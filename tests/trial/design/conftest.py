"""What R made of the formulas of a design."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest


@pytest.fixture(scope="session")
def golden_design() -> dict[str, float]:
    table = pd.read_csv(Path(__file__).parent / "golden" / "design.tsv", sep="\t")
    return dict(zip(table["name"], table["value"], strict=True))
