"""Make missing.csv, which missing.R and the tests read: `python make_missing.py` (numpy's generator, seed 29).

Follow-up is lost where the other vessels are hot in the active arm and cool in the control arm; some of the other
vessels' values are lost too. `left` counts the sections still active at follow-up.
"""

from pathlib import Path

import numpy as np
import pandas as pd


def main() -> None:
    rng = np.random.default_rng(29)
    n = 64
    active = (np.arange(n) % 16 < 9).astype(int)
    level = rng.normal(2.2, 0.22, n)
    drift = rng.normal(0, 0.16, n)
    table = pd.DataFrame({"participant_id": [f"M{k:02d}" for k in range(n)]})
    table["arm"] = np.where(active == 1, "active", "control")
    table["site"] = rng.choice(["north", "south"], n, p=[0.6, 0.4])
    table["baseline"] = level + rng.normal(0.1, 0.1, n)
    table["followup"] = level + drift - 0.17 * active + rng.normal(0.05, 0.1, n)
    table["other_baseline"] = level + rng.normal(-0.15, 0.1, n)
    table["other_followup"] = level + drift - 0.14 * active + rng.normal(-0.15, 0.1, n)
    hot = table["other_followup"] - table["other_followup"].groupby(table["arm"]).transform("mean")
    lost = rng.random(n) < 1 / (1 + np.exp(1.4 - 6 * np.where(active == 1, hot, -hot)))
    table["left"] = rng.poisson(np.maximum(0.1, 6 * (table["followup"] - 1.8)))
    table["refound"] = (2.05 + 0.25 * (table["followup"] - 1.9)).where(table["left"] > 0).round(2)
    table["active_baseline"] = (2.1 + 0.3 * (table["baseline"] - 2.0)).round(2)
    table.loc[lost, ["followup", "left", "refound"]] = np.nan
    table.loc[rng.random(n) < 0.1, "other_followup"] = np.nan
    table.loc[rng.random(n) < 0.06, "other_baseline"] = np.nan
    table.round(4).to_csv(Path(__file__).parent / "missing.csv", index=False)


if __name__ == "__main__":
    main()
