"""Type I error and power of a trial whose size is estimated again from blinded interim data.

    python benchmarks/reestimation.py [--trials 20000]

Each trial draws patients with a baseline and a follow-up that goes with it (slope 0.45), looks at half of the planned
number without the arms, takes the larger of the planned number and what the blinded residual SD asks for (at most three
times the planned), and fits the primary model once at the end. The planned number has about 80 % power at the assumed
SD. `true SD` is that of the residuals over the assumed one: 1.43 is an SD assumed 30 % too small. Prints a table and
exits 1 when a type I error with re-estimation by the lumped SD leaves 4.5 to 5.5 %, or the power stays below 75 %.
"""

from __future__ import annotations

import argparse

import numpy as np

from petflame.trial.choices import SEED
from petflame.trial.design.batch import batch_ancova
from petflame.trial.design.sample_size import two_sample_power
from petflame.trial.estimates import Matrix, Vector

SLOPE, BASELINE_SD, ASSUMED_SD, TARGET = 0.45, 0.28, 0.257, 0.8
MOST = 3
BATCH = 1000


def detectable(per_arm: int) -> float:
    """Return the difference, in residual SDs, that so many an arm show with the target power."""
    low, high = 0.0, 20.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if two_sample_power(middle, 1.0, per_arm) < TARGET else (low, middle)
    return high


def blinded_variance(baseline: Matrix, followup: Matrix) -> Vector:
    """Return the residual variance of Y_F ~ Y_B of every trial; arrays of shape (trials, n)."""
    n = baseline.shape[1]
    b = baseline - baseline.mean(axis=1, keepdims=True)
    f = followup - followup.mean(axis=1, keepdims=True)
    rest = (f**2).sum(axis=1) - (b * f).sum(axis=1) ** 2 / (b**2).sum(axis=1)
    return np.asarray(rest / (n - 2))


def rejections(
    planned: int, ratio: float, effect: bool, trials: int, rng: np.random.Generator
) -> dict[str, tuple[float, float]]:
    """Return share of trials with p < 0.05 and mean patients an arm: planned number, lumped SD, adjusted SD.

    Parameters
    ----------
    planned : int
        Patients an arm.
    ratio : float
        True residual SD over the assumed one.
    effect : bool
        Whether the planned difference is there.
    """
    sizes = np.arange(planned, MOST * planned + 1)
    shown = np.array([detectable(int(n)) for n in sizes])
    difference = shown[0] * ASSUMED_SD
    most, look = MOST * planned, planned // 2
    # Arms alternate, as blocks of two would have them, so that the first patients of both are the interim.
    active = np.tile([1.0, 0.0], most)
    found: dict[str, list[tuple[Vector, Vector]]] = {}
    for _ in range(0, trials, BATCH):
        base = rng.normal(0, BASELINE_SD, (BATCH, 2 * most))
        follow = SLOPE * base + rng.normal(0, ratio * ASSUMED_SD, base.shape) + (difference * active if effect else 0)
        lumped = blinded_variance(base[:, : 2 * look], follow[:, : 2 * look])
        taken = difference**2 * 2 * look / (4 * (2 * look - 1))
        for name, variance in (
            ("planned", np.zeros(BATCH)),
            ("lumped", lumped),
            ("adjusted", np.maximum(lumped - taken, 0.0)),
        ):
            # The fewest an arm whose detectable difference is no larger than the planned one.
            needed = shown[None, :] * np.sqrt(variance)[:, None] <= difference
            per_arm = np.where(needed.any(axis=1), sizes[needed.argmax(axis=1)], most)
            known = np.arange(2 * most)[None, :] < 2 * per_arm[:, None]
            p = batch_ancova(base, follow, active, known).difference()["p"]
            found.setdefault(name, []).append((p < 0.05, per_arm))
    joined = {name: [np.concatenate(part) for part in zip(*parts, strict=True)] for name, parts in found.items()}
    return {name: (float(hit.mean()), float(size.mean())) for name, (hit, size) in joined.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=20000)
    options = parser.parse_args()
    rng = np.random.default_rng(SEED)
    good = True
    print(f"{options.trials} trials; rejected % (mean patients an arm); Monte Carlo SE at 5 % ", end="")
    print(f"{100 * np.sqrt(0.05 * 0.95 / options.trials):.2f}, at 80 % {100 * np.sqrt(0.16 / options.trials):.2f}\n")
    print("| planned | true SD | effect | planned number | re-estimated, lumped SD | re-estimated, adjusted SD |")
    print("|---|---|---|---|---|---|")
    for planned in (30, 12):
        for ratio in (1.0, 1 / 0.7):
            for effect in (False, True):
                row = rejections(planned, ratio, effect, options.trials, rng)
                cells = " | ".join(f"{100 * share:.2f} ({size:.1f})" for share, size in row.values())
                words = "planned" if effect else "none"
                print(f"| {planned}:{planned} | {ratio:.2f} | {words} | {cells} |", flush=True)
                good &= row["lumped"][0] >= 0.75 if effect else 0.045 <= row["lumped"][0] <= 0.055
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
