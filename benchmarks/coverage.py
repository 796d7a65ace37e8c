"""Type I error and interval coverage of the trial's tests, the index vessel chosen anew in every simulated trial.

    python benchmarks/coverage.py [--trials 10000] [--mixed 2000]

Prints a table; exits 1 when the primary test's type I error is not within 4.5 to 5.5 % or a coverage of the primary
difference or percent not within 94 to 96 % (over 10,000 trials their Monte Carlo standard error is 0.2 points).
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np

from petflame.trial.arms.mixed import fit_random_intercept
from petflame.trial.choices import SEED
from petflame.trial.design.plan import Design
from petflame.trial.design.simulated_trials import run_trials, simulate_trials


def mixed_rejection(design: Design, trials: int, seed: int) -> tuple[float, float]:
    """Return rejection and coverage (truth: no effect) of the Kenward-Roger test over the vessels."""
    baseline, followup, active = simulate_trials(design, trials, np.random.default_rng(seed))
    n, vessels = baseline.shape[1:]
    patient = np.repeat(np.arange(n), vessels)
    vessel = np.tile(np.arange(vessels), n)
    dummies = (vessel[:, None] == np.arange(1, vessels)).astype(float)
    arm = np.repeat(active, vessels)
    rejected = covered = 0
    for base, follow in zip(baseline, followup, strict=True):
        x = np.column_stack([np.ones(n * vessels), base.ravel() - base.mean(), dummies, arm])
        record = fit_random_intercept(follow.ravel(), x, patient).coefficient(x.shape[1] - 1)
        rejected += record["p"] < 0.05
        covered += record["ci_low"] <= 0 <= record["ci_high"]
    return rejected / trials, covered / trials


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=10000)
    parser.add_argument("--mixed", type=int, default=2000, help="trials of the slower mixed model; 0 leaves it out")
    options = parser.parse_args()
    effect = Design()
    null = replace(effect, effect_percent=0.0)
    good = True
    for title, design, seed in (("no effect", null, SEED), (f"effect {effect.effect_percent} %", effect, SEED + 1)):
        found = run_trials(design, options.trials, seed)
        implied = found.pop("index")
        print(
            f"\n{title}: {options.trials} trials, {design.patients_per_arm} patients an arm; index vessel at baseline "
            f"{implied['baseline_mean']:.3f} (SD {implied['baseline_sd']:.3f}), residual SD "
            f"{implied['residual_sd']:.3f}, control arm's change {implied['control_change_without_drug']:+.3f}"
        )
        columns = ("rejected %", "coverage %", "mean", "SD", "mean SE", "residual SD")
        print(f"{'endpoint':32s} " + " ".join(f"{column:>11s}" for column in columns))
        for name, row in found.items():
            # What is found anew among active sections has no true difference; the percent has no residual SD.
            covered = 100 * row["coverage"] if row["coverage"] is not None else np.nan
            sd = row["residual_sd"] if row["residual_sd"] is not None else np.nan
            print(
                f"{name:32s} {100 * row['rejection']:11.2f} {covered:11.2f} {row['estimate_mean']:11.4f} "
                f"{row['estimate_sd']:11.4f} {row['se_mean']:11.4f} {sd:11.4f}"
            )
        for name in ("index_ancova", "index_adjusted_percent"):
            good &= 0.94 <= found[name]["coverage"] <= 0.96
        if design.effect_percent == 0:
            good &= 0.045 <= found["index_ancova"]["rejection"] <= 0.055
            if options.mixed:
                rejected, covered = mixed_rejection(null, options.mixed, SEED + 2)
                print(
                    f"{'mixed model, Kenward-Roger':32s} {100 * rejected:10.2f} {100 * covered:10.2f}   "
                    f"({options.mixed} trials)"
                )
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
