"""The data of events.R, and what R printed for them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture(scope="session")
def r_says() -> dict[str, float]:
    table = pd.read_csv(GOLDEN / "events.tsv", sep="\t")
    return dict(zip(table["name"], table["value"], strict=True))


@pytest.fixture(scope="session")
def r_data() -> pd.DataFrame:
    return pd.read_csv(GOLDEN / "events.csv")


@pytest.fixture
def analysed(tables):
    """Return a function that analyses a table of arm, time_years and event."""
    from petflame.trial.events.outcomes import outcomes

    def analyse(data: pd.DataFrame, **options):
        data = data.assign(participant_id=[f"E{n:03d}" for n in range(len(data))])
        table = tables.write("outcomes", data[["participant_id", "time_years", "event"]])
        allocation = tables.write("allocation", data[["participant_id", "arm"]])
        return outcomes(table, allocation, tables.folder / "o", **options)

    return analyse
