"""Tables for the trial's tests: the golden data as the project's TSV, and small trials that a reader can follow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from petflame.anatomy import ARTERIES
from petflame.trial.analyse import analyse
from petflame.trial.choices import AnalysisChoices, TrialTables
from petflame.trial.endpoints import ENDPOINTS, NEGATIVE_CONTROLS

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


@pytest.fixture(scope="session")
def ragged_tables(tmp_path_factory) -> tuple[TrialTables, AnalysisChoices]:
    """Return a trial of 40 with every endpoint and control, in which each lacks somebody else."""
    writer, rng = Tables(tmp_path_factory.mktemp("ragged")), np.random.default_rng(14)
    ids = [f"P{n:02d}" for n in range(40)]
    patients = pd.DataFrame(
        {"participant_id": ids, "comparability": "pass", "tbr_max_baseline": rng.normal(2, 0.3, 40)}
    )
    patients["tbr_max_followup"] = 0.6 + 0.7 * patients["tbr_max_baseline"] + rng.normal(0, 0.2, 40)
    measures = (*ENDPOINTS, *NEGATIVE_CONTROLS)
    for column in dict.fromkeys(c for m in measures for c in m.columns):
        patients[column] = rng.normal(1.5, 0.4, 40)
    patients.loc[2, "comparability"] = "fail"
    patients.loc[3, "tbr_max_followup"] = np.nan
    for n, measure in enumerate(measures):
        gone = [13 + n, *([25 + n] if n % 2 else [])]
        patients.loc[gone, measure.columns[1]] = np.nan
    patients.loc[8, "mds_baseline"] = np.nan
    patients.loc[9, ["liver_suv_baseline", "liver_suv_followup"]] = np.nan
    patients.loc[11, "active_fraction_baseline"], patients.loc[12, "csuv_max_baseline"] = 0.0, -0.1
    vessels = []
    for n, name in enumerate(ARTERIES):
        rows = patients[["participant_id"]].assign(vessel=name, withheld=False, reason="")
        for visit in ("baseline", "followup"):
            rows[f"tbr_max_{visit}"] = rng.normal(1.8, 0.3, 40)
        vessels.append(rows.drop(index=[10] if name == "aorta_arch" else []).drop(index=range(35, 35 + n)))
    vessels = pd.concat(vessels, ignore_index=True)

    def of(person: str, vessel: str) -> pd.Series:
        return (vessels["participant_id"] == person) & (vessels["vessel"] == vessel)

    vessels.loc[of("P05", "carotid_right"), ["withheld", "reason"]] = [True, "weak contrast"]
    vessels.loc[of("P06", "carotid_right"), "withheld"] = True
    vessels.loc[of("P07", "carotid_left"), "tbr_max_followup"] = np.nan
    people = pd.DataFrame({"participant_id": [*ids, "P99"]})
    people["smoking_status"] = [["never", "ever"][n % 2] for n in range(41)]
    people["smoking_history"] = [["long", "none", "short"][n % 3] for n in range(41)]
    arms = pd.DataFrame(
        {"participant_id": [*ids, "P99"], "arm": rng.permutation(["active", "control"] * 20 + ["active"])}
    )
    named = {"patients": patients, "vessels": vessels, "allocation": arms, "participants": people}
    tables = TrialTables(**{name: writer.write(name, table) for name, table in named.items()})
    strata = ("smoking_status", "smoking_history")
    return tables, AnalysisChoices(strata, "comparable", permutations=50, study_id="RAGGED")


@pytest.fixture(scope="session")
def ragged(ragged_tables, tmp_path_factory) -> Path:
    """Return the folder of the ragged trial's analysis, at a fixed time."""
    out = tmp_path_factory.mktemp("ragged_out")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOURCE_DATE_EPOCH", "1700000000")
        analyse(ragged_tables[0], out, ragged_tables[1])
    return out
