"""Tables for the trial's tests: the golden data as the project's TSV, and small trials that a reader can follow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

GOLDEN = Path(__file__).parent / "golden"


class Tables:
    """Writes tables into a folder and returns their paths."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, name: str, table: pd.DataFrame) -> Path:
        path = self.folder / f"{name}.tsv"
        table.to_csv(path, sep="\t", index=False, na_rep="n/a")
        return path

    def trial(self, n: int = 20, effect: float = -0.2, seed: int = 3) -> dict[str, pd.DataFrame]:
        """Return patients and allocation of a small trial, arms alternating."""
        rng = np.random.default_rng(seed)
        ids = [f"{i:03d}" for i in range(n)]
        arm = np.where(np.arange(n) % 2 == 0, "active", "control")
        baseline = rng.normal(2.3, 0.28, n)
        followup = 1.0 + 0.5 * baseline + effect * (arm == "active") + rng.normal(0, 0.1, n)
        patients = pd.DataFrame({"participant_id": ids, "tbr_max_baseline": baseline, "tbr_max_followup": followup})
        return {"patients": patients, "allocation": pd.DataFrame({"participant_id": ids, "arm": arm})}


@pytest.fixture
def tables(tmp_path):
    return Tables(tmp_path)


@pytest.fixture(scope="session")
def golden() -> dict[str, float]:
    table = pd.read_csv(GOLDEN / "golden.tsv", sep="\t")
    return dict(zip(table["name"], table["value"], strict=True))


@pytest.fixture(scope="session")
def golden_tables(tmp_path_factory) -> dict[str, Path]:
    """Return the golden data as the project's tables."""
    writer = Tables(tmp_path_factory.mktemp("golden"))
    patients, vessels = pd.read_csv(GOLDEN / "patients.csv"), pd.read_csv(GOLDEN / "vessels.csv")
    outcomes = pd.read_csv(GOLDEN / "outcomes.csv")
    ids = ["participant_id"]
    values = ["tbr_max_baseline", "tbr_max_followup"]
    return {
        "patients": writer.write("patients", patients[ids + values]),
        "vessels": writer.write("vessels", vessels[[*ids, "vessel", *values]]),
        "allocation": writer.write("allocation", patients[[*ids, "arm"]]),
        "participants": writer.write("participants", patients[[*ids, "site"]]),
        "readings": writer.write("readings", pd.read_csv(GOLDEN / "readings.csv")),
        "outcomes": writer.write("outcomes", outcomes[[*ids, "time_years", "event"]]),
        "allocation_followup": writer.write("allocation_followup", outcomes[[*ids, "arm"]]),
    }
