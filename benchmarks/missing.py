"""Missing data by simulation: what complete cases, imputation and the composite make of dropout that is no chance.

    python benchmarks/missing.py [--trials 400]

Two tables. First, follow-up of the index vessel lost by what the other vessels did (hot ones in the active arm, cool
ones in the control arm): bias, type I error, power and coverage of complete cases, of imputation with and without the
other vessels, and of jump to reference, at 30:30 and 20:5. Second, treatment that takes away mild active sections: the
mean over the sections that are left against the composite. Under two minutes on one core.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator

import numpy as np

from petflame.trial.arms.ancova import Arms, ancova
from petflame.trial.arms.auxiliaries import choose
from petflame.trial.arms.composite import Ranked, compare
from petflame.trial.arms.missing import Imputer
from petflame.trial.arms.reference_based import reference_sets
from petflame.trial.choices import SEED
from petflame.trial.estimates import NotEstimable, t_record

SIZES = ((30, 30), (20, 5))
EFFECT = -0.17
IMPUTATIONS = 60
Result = dict[str, float]


def make(active: np.ndarray, baseline: np.ndarray, followup: np.ndarray) -> Arms:
    """Return arms without strata."""
    n = active.size
    return Arms(np.arange(n), active, baseline, followup, np.empty((n, 0)), np.zeros(n, dtype=np.int64))


def dropout(sizes: tuple[int, int], effect: float, rng: np.random.Generator) -> tuple[Arms, dict[str, np.ndarray]]:
    """Return a trial with its auxiliaries: about a quarter of the follow-ups lost by what the other vessels did."""
    n = sum(sizes)
    active = np.repeat([1.0, 0.0], sizes)
    level, drift = rng.normal(2.2, 0.22, n), rng.normal(0, 0.2, n)
    index = [level + change + rng.normal(0, 0.1, n) for change in (0.1, drift + effect * active)]
    other = [level + change + rng.normal(0, 0.1, n) for change in (-0.1, drift + effect * active)]
    told = other[1] - other[0] - effect * active
    lost = rng.random(n) < 1 / (1 + np.exp(1.6 - 7 * np.where(active == 1, told, -told)))
    arms = make(active, index[0], np.where(lost, np.nan, index[1]))
    return arms, {"other_vessels_baseline": other[0], "other_vessels_followup": other[1]}


def fitted(arms: Arms) -> Result:
    """Return the primary model's result."""
    fit = ancova(arms)
    return t_record(float(fit.coef[1]), float(np.sqrt(fit.cov[1, 1])), fit.df)


def ways(arms: Arms, others: dict[str, np.ndarray]) -> Iterator[tuple[str, Callable[[], Result]]]:
    """Yield the ways of treating missing follow-up."""
    yield "complete cases", lambda: fitted(arms.take(np.flatnonzero(~np.isnan(arms.followup))))
    yield "imputation, arm and baseline", lambda: Imputer(arms, IMPUTATIONS, SEED).estimate()
    full = Imputer(arms, IMPUTATIONS, SEED, choose(arms, others))
    yield "imputation, other vessels", full.estimate
    yield "jump to reference", lambda: full.pooled(reference_sets(full, keeps_deviation=True))


def first_table(trials: int, rng: np.random.Generator) -> None:
    """Print what each way makes of dropout."""
    print(f"Dropout that the other vessels tell; effect {EFFECT}, or none; {trials} trials each.\n")
    print("| arms | way | mean lost | bias, no effect | type I error, % | bias, effect | power, % | coverage, % |")
    print("|---|---|---|---|---|---|---|---|")
    for sizes in SIZES:
        found: dict[tuple[str, float], list[Result]] = {}
        lost = []
        for effect in (0.0, EFFECT):
            for _ in range(trials):
                arms, others = dropout(sizes, effect, rng)
                lost.append(np.isnan(arms.followup).mean())
                try:
                    for name, way in ways(arms, others):
                        found.setdefault((name, effect), []).append(way())
                except NotEstimable:
                    continue
        for name in dict.fromkeys(name for name, _ in found):
            null, real = found[name, 0.0], found[name, EFFECT]
            bias = [np.mean([r["estimate"] - e for r in rows]) for rows, e in ((null, 0.0), (real, EFFECT))]
            rejected = [100 * np.mean([r["p"] < 0.05 for r in rows]) for rows in (null, real)]
            covered = 100 * np.mean([r["ci_low"] <= EFFECT <= r["ci_high"] for r in real])
            print(
                f"| {sizes[0]}:{sizes[1]} | {name} | {100 * np.mean(lost):.0f} % | {bias[0]:+.3f} | {rejected[0]:.1f} "
                f"| {bias[1]:+.3f} | {rejected[1]:.1f} | {covered:.1f} |"
            )


def sections(sizes: tuple[int, int], works: bool, rng: np.random.Generator, number: int = 12) -> Ranked:
    """Return a trial where treatment cools the milder half of the active sections below the threshold, or nothing."""
    active = np.repeat([1.0, 0.0], sizes)
    n = active.size
    level = rng.normal(1.95, 0.15, n)
    before = level[:, None] + rng.normal(0, 0.12, (n, number))
    after = before + rng.normal(0, 0.08, (n, 1)) + rng.normal(0, 0.05, (n, number))
    mild = (before >= 2.0) & (before < 2.2) & (active[:, None] == 1)
    after = np.where(mild & works, np.minimum(after, rng.uniform(1.8, 2.02, (n, number))), after)

    def mean(values: np.ndarray) -> np.ndarray:
        hot = values >= 2.0
        return np.where(hot.any(axis=1), np.where(hot, values, 0).sum(axis=1) / np.maximum(hot.sum(axis=1), 1), -np.inf)

    kept = np.isfinite(mean(before))
    return Ranked(active[kept], mean(after)[kept], mean(before)[kept], np.zeros(int(kept.sum()), dtype=np.int64))


def second_table(trials: int, rng: np.random.Generator) -> None:
    """Print what the mean of refound sections and the composite make of vanished sections."""
    print(f"\nTreatment takes away mild active sections, or nothing; {trials} trials each.\n")
    print(
        "| arms | treatment | none left, active; control | difference of refound means | p < 0.05, % "
        "| win probability | rank test p < 0.05, % | adjusted p < 0.05, % | interval holds the mean, % |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for sizes in SIZES:
        for works in (False, True):
            means, wins = [], []
            gone = np.zeros(2)
            for k in range(trials):
                used = sections(sizes, works, rng)
                try:
                    wins.append(compare(used, 400, k))
                except NotEstimable:
                    continue
                none = np.isneginf(used.value)
                gone += [none[used.active == a].mean() for a in (1, 0)]
                try:
                    means.append(fitted(make(used.active, used.baseline, used.value).take(np.flatnonzero(~none))))
                except NotEstimable:
                    continue
            gone *= 100 / len(wins)
            theta = float(np.mean([w["win_probability"] for w in wins])) if works else 0.5
            print(
                f"| {sizes[0]}:{sizes[1]} | {'works' if works else 'none'} | {gone[0]:.0f} %; {gone[1]:.0f} % "
                f"| {np.mean([m['estimate'] for m in means]):+.3f} "
                f"| {100 * np.mean([m['p'] < 0.05 for m in means]):.1f} "
                f"| {np.mean([w['win_probability'] for w in wins]):.2f} "
                f"| {100 * np.mean([w['p'] < 0.05 for w in wins]):.1f} "
                f"| {100 * np.mean([w['p_adjusted'] < 0.05 for w in wins]):.1f} "
                f"| {100 * np.mean([w['win_low'] <= theta <= w['win_high'] for w in wins]):.1f} |"
            )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=400)
    options = parser.parse_args()
    first_table(options.trials, np.random.default_rng(SEED))
    second_table(options.trials, np.random.default_rng(SEED + 1))
    error = 100 * np.sqrt(0.05 * 0.95 / options.trials)
    print(f"\nMonte Carlo standard error of a rate of 5 %: {error:.1f} points.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
