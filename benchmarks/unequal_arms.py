"""Type I error and coverage of the arm comparison with small, unequal and unequally variable arms.

    OMP_NUM_THREADS=1 python benchmarks/unequal_arms.py [--trials 1000]

Trials of numbers (baseline 2.3, SD 0.28; slope 0.5), every test called as `analyse` calls it. Writes the generated part
`unequal arms` of docs/statistics.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from statistics_page import fill

from petflame.trial.arms.ancova import Arms, adjusted_percent, ancova, difference_record, make_arms
from petflame.trial.arms.bootstrap import bootstrap
from petflame.trial.arms.resample import permutation_test
from petflame.trial.arms.robust import hc3, unequal_arms, welch

PAGE = Path(__file__).parents[1] / "docs" / "statistics.md"
CASES = (
    ((30, 30), (0.25, 0.25)),
    ((30, 30), (0.15, 0.40)),
    ((12, 12), (0.25, 0.25)),
    ((12, 12), (0.15, 0.40)),
    ((20, 5), (0.25, 0.25)),
    ((20, 5), (0.15, 0.40)),
    ((20, 5), (0.40, 0.15)),
)
RESAMPLES = 999
EFFECT = -0.17


def trial(rng: np.random.Generator, n: tuple[int, int], sd: tuple[float, float], effect: float) -> tuple[Arms, float]:
    """Return one trial and its true percentage, at the mean of its baselines."""
    arm = np.repeat(["active", "control"], n)
    base = rng.normal(2.3, 0.28, sum(n))
    untreated = 1.0 + 0.5 * base
    followup = untreated + effect * (arm == "active") + rng.normal(0, 1, sum(n)) * np.repeat(sd, n)
    table = pd.DataFrame({"participant_id": range(sum(n)), "arm": arm, "b": base, "f": followup})
    return make_arms(table, "b", "f"), 100 * effect / float(untreated.mean())


def one_case(n: tuple[int, int], sd: tuple[float, float], trials: int) -> dict[str, float]:
    """Return shares in percent over trials without (tests) and with (intervals) an effect."""
    rng = np.random.default_rng(20)
    rows = []
    for k in range(trials):
        null, _ = trial(rng, n, sd, 0.0)
        permuted = permutation_test(null, RESAMPLES, k)
        row = {
            "primary t": difference_record(ancova(null))["p"] < 0.05,
            "Welch-type": welch(null)["p"] < 0.05,
            "HC3": hc3(null)["p"] < 0.05,
            "permutation, studentised (printed)": permuted["p"] <= 0.05,
            "permutation, ordinary": permuted["p_ordinary"] <= 0.05,
            "warned of unequal arms": unequal_arms(null)["misleading"],
        }
        treated, truth = trial(rng, n, sd, EFFECT)
        fit = ancova(treated)
        percent, drawn = adjusted_percent(fit), bootstrap(treated, RESAMPLES, k)
        p = difference_record(fit)["p"]
        for name, low, high in (
            ("Fieller", percent["adjusted_percent_low"], percent["adjusted_percent_high"]),
            ("delta", percent["adjusted_percent_delta_low"], percent["adjusted_percent_delta_high"]),
            ("bootstrap", drawn["adjusted_percent_low"], drawn["adjusted_percent_high"]),
        ):
            row[f"{name} covers"] = low <= truth <= high
            row[f"{name} contradicts p"] = (not low <= 0 <= high) != (p < 0.05)
        rows.append(row)
    return {name: 100 * float(np.mean([row[name] for row in rows])) for name in rows[0]}


def main() -> None:
    """Simulate, print and write the generated part of the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=1000)
    trials = parser.parse_args().trials
    found = {(n, sd): one_case(n, sd, trials) for n, sd in CASES}
    tests = ("primary t", "Welch-type", "HC3", "permutation, studentised (printed)", "permutation, ordinary")
    tests += ("warned of unequal arms",)
    intervals = ("Fieller covers", "delta covers", "bootstrap covers", "Fieller contradicts p", "delta contradicts p")
    text = [
        f"{trials} trials a row, {RESAMPLES} permutations and resamples each; Monte Carlo standard error "
        f"{100 * np.sqrt(0.05 * 0.95 / trials):.1f} points at 5 %.",
    ]
    for title, columns in (
        ("Share with p < 0.05 without an effect, %", tests),
        (f"Intervals of the adjusted percent with an effect of {EFFECT} TBR, %", intervals),
    ):
        text += [
            "",
            f"{title}:",
            "",
            f"| active : control | residual SD | {' | '.join(columns)} |",
        ]
        text += ["|---|---|" + "---|" * len(columns)]
        for (n, sd), row in found.items():
            cells = " | ".join(f"{row[c]:.1f}" for c in columns)
            text.append(f"| {n[0]} : {n[1]} | {sd[0]:.2f}, {sd[1]:.2f} | {cells} |")
    print("\n".join(text))
    PAGE.write_text(fill(PAGE.read_text(encoding="utf-8"), "unequal arms", "\n".join(text)), encoding="utf-8")


if __name__ == "__main__":
    main()
