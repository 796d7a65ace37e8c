"""Make the tables that golden.R and the tests read: `python make_data.py` (numpy's generator, seed 11)."""

from pathlib import Path

import numpy as np
import pandas as pd

HERE = Path(__file__).parent
VESSELS = ("aorta_ascending", "carotid_right", "carotid_left")


def patients(rng: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame]:
    n = 44
    active = (np.arange(n) % 9 < 5).astype(int)
    site = rng.choice(["north", "south", "west"], n, p=[0.5, 0.3, 0.2])
    level = rng.normal(2.1, 0.2, n)
    rows = []
    for i in range(n):
        visit = rng.normal(0, 0.12)
        for k, vessel in enumerate(VESSELS):
            if rng.random() < 0.08:
                continue
            true = level[i] + (0.15, 0.0, -0.05)[k] + rng.normal(0, 0.08)
            base = true + rng.normal(0, 0.09)
            follow = true * (1 - 0.06 * active[i]) + visit + rng.normal(0, 0.09)
            rows.append((f"G{i:02d}", "active" if active[i] else "control", site[i], vessel, base, follow))
    names = ["participant_id", "arm", "site", "vessel", "tbr_max_baseline", "tbr_max_followup"]
    long = pd.DataFrame(rows, columns=names).round(4)
    index = long.loc[long.groupby("participant_id")["tbr_max_baseline"].idxmax()]
    return index.reset_index(drop=True), long


def readings(rng: np.random.Generator) -> pd.DataFrame:
    subjects, raters = np.arange(12), ("ann", "bob", "cem")
    level = rng.normal(2.2, 0.3, subjects.size)
    rows = [
        (int(s), rater, level[s] + (0.0, 0.06, -0.03)[k] + rng.normal(0, 0.1))
        for s in subjects
        for k, rater in enumerate(raters)
    ]
    return pd.DataFrame(rows, columns=["subject", "rater", "value"]).round(4)


def outcomes(rng: np.random.Generator) -> pd.DataFrame:
    n = 60
    active = np.arange(n) % 2
    event_time = rng.exponential(np.where(active == 1, 14.0, 6.0))
    censored = rng.uniform(1.0, 5.0, n)
    frame = pd.DataFrame(
        {
            "participant_id": [f"F{i:02d}" for i in range(n)],
            "arm": np.where(active == 1, "active", "control"),
            "time_years": np.minimum(event_time, censored),
            "event": (event_time <= censored).astype(int),
        }
    ).round(4)
    if frame["time_years"].duplicated().any():
        raise ValueError("tied times: the methods treat ties differently, choose another seed")
    return frame


def competing(rng: np.random.Generator) -> pd.DataFrame:
    """Return tied times, day 0, early censorings and competing deaths, to be exchanged whole in the first 16."""
    n = 56
    frame = pd.DataFrame(
        {
            "participant_id": [f"E{i:02d}" for i in range(n)],
            "arm": np.where(np.arange(n) % 2 == 1, "active", "control"),
            "time_years": np.round(4 * rng.exponential(2.0, n)) / 4,
            "event": rng.choice([0, 1, 2], n, p=[0.5, 0.3, 0.2]),
        }
    )
    frame["time_years"] = frame["time_years"].clip(upper=4.0)
    return frame


def main() -> None:
    rng = np.random.default_rng(11)
    index, long = patients(rng)
    index.to_csv(HERE / "patients.csv", index=False)
    long.to_csv(HERE / "vessels.csv", index=False)
    readings(rng).to_csv(HERE / "readings.csv", index=False)
    outcomes(rng).to_csv(HERE / "outcomes.csv", index=False)
    competing(np.random.default_rng(16)).to_csv(HERE / "events.csv", index=False)


if __name__ == "__main__":
    main()
