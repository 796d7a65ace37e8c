"""Type I error of the tests of few events: log-rank and the difference of the risks, asymptotic and by permutation.

    python benchmarks/events.py [--trials 1000] [--intervals 150]

Both arms have the same risk of an event in two years. Follow-up ends for everybody at two years (none), or some leave
before, exponentially: alike in both arms, or more in the active arm. Also counts how often the 95 % interval of the
difference of the risks holds its true value, zero. Prints a Markdown table; exits 1 when the primary test (own
follow-up kept) rejects more than 5 % by three Monte Carlo standard errors, or an exchange of whole participants does
where they are censored alike.
"""

from __future__ import annotations

import argparse

import numpy as np
from pages import table
from scipy import stats

from petflame.trial.arms.resample import permuted_arms
from petflame.trial.choices import SEED
from petflame.trial.estimates import Vector
from petflame.trial.events.comparisons import log_rank_z
from petflame.trial.events.follow_up import own_follow_up_p
from petflame.trial.events.incidence import incidence_by_row
from petflame.trial.events.risk import arm_risk, newcombe

PER_ARM, HORIZON, EXCHANGES = 30, 2.0, 499
# Share that leaves within two years, active and control.
CENSORING = {"none": (0.0, 0.0), "30 % in both arms": (0.3, 0.3), "50 % in active, 10 % in control": (0.5, 0.1)}
RISKS = (0.05, 0.10, 0.30)


def simulate(risk: float, leaving: tuple[float, float], rng: np.random.Generator) -> tuple[Vector, Vector, Vector]:
    """Return time, code and arm of one trial without effect."""
    active = np.repeat([True, False], PER_ARM)
    event = rng.exponential(-HORIZON / np.log1p(-risk), active.size)
    hazard = -np.log1p(-np.where(active, *leaving)) / HORIZON
    left = np.divide(rng.exponential(1.0, active.size), hazard, out=np.full(active.size, np.inf), where=hazard > 0)
    end = np.minimum(left, HORIZON)
    return np.minimum(event, end), (event <= end).astype(int), active


def rejects(time: Vector, code: Vector, active: Vector, rng: np.random.Generator) -> list[bool]:
    """Return which of the four tests reject at 5 %."""
    if not code.any():
        return [False] * 4
    arm = active.astype(float)
    drawn = np.vstack([arm, permuted_arms(arm, np.zeros(arm.size, dtype=int), EXCHANGES, rng)])
    z = np.abs(np.nan_to_num(log_rank_z(time, code == 1, drawn)))
    size = np.abs(incidence_by_row(drawn, time, code, HORIZON) - incidence_by_row(1 - drawn, time, code, HORIZON))
    by_exchange = [float((v >= v[0] - 1e-10).mean()) < 0.05 for v in (z, size)]
    own = own_follow_up_p(time, code, active, HORIZON, int(rng.integers(2**31)), EXCHANGES)
    return [float(stats.chi2.sf(z[0] ** 2, 1)) < 0.05, *by_exchange, own < 0.05]


def holds_zero(time: Vector, code: Vector, active: Vector) -> bool:
    """Return whether the interval of the difference of risks holds zero."""
    found = newcombe(*(arm_risk(time[rows], code[rows], HORIZON) for rows in (active, ~active)))
    return found["low"] <= 0 <= found["high"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--intervals", type=int, default=150, help="trials whose interval is made too, which is slower")
    options = parser.parse_args()
    rows, good = [], True
    for risk in RISKS:
        for name, leaving in CENSORING.items():
            rng = np.random.default_rng(SEED)
            trials = [simulate(risk, leaving, rng) for _ in range(options.trials)]
            share = np.mean([rejects(*trial, rng) for trial in trials], axis=0)
            held = np.mean([holds_zero(*trial) for trial in trials[: options.intervals]])
            tested = share[1:] if leaving[0] == leaving[1] else share[3:]
            good &= bool((tested <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / options.trials)).all())
            rows.append((f"{100 * risk:g} %", name, *(f"{100 * v:.1f}" for v in share), f"{100 * held:.0f}"))
    header = (
        "risk in two years | leave before | log-rank, asymptotic, % | log-rank, exchange, % | "
        "difference of risks, exchange, % | difference of risks, own follow-up, % | interval holds zero, %"
    )
    print(table(header, rows), end="")
    error = 100 * np.sqrt(0.05 * 0.95 / np.array([options.trials, options.intervals]))
    print(
        f"\n{options.trials} trials of {PER_ARM}:{PER_ARM} a row, Monte Carlo standard error {error[0]:.1f} points; "
        f"intervals of {options.intervals}, {error[1]:.1f} points."
    )
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
