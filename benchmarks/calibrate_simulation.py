"""Measure what the simulated trial's treatment effect looks like after blur and noise, over many trials.

PET is linear in uptake. For a pool of patients, the PET of the index-vessel candidates and their blood pools is
rendered in memory for both visits, once without and once with the walls' excess alone (cropped, no DICOM). Every trial
is then a new seed of `plan_trial`: its own allocation, biology, treatment effects and noise, on the pool's bodies and
poses. It is measured in a careful reader's regions at the CT's position and analysed by ANCOVA. Beside the adjusted
percent stands the paired effect (every treated follow-up against the same scan untreated), which has a smaller error.

    OMP_NUM_THREADS=1 python benchmarks/calibrate_simulation.py --trials 200
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from petflame.anatomy import BY_NAME, TARGET_VESSELS
from petflame.simulate.anatomy import Anatomy
from petflame.simulate.lattice import Lattice
from petflame.simulate.pet import Camera, add_noise, draw_pet, wall_response
from petflame.simulate.plan import VisitPlan, plan_trial
from petflame.simulate.regions import label_map
from petflame.simulate.streams import stream
from petflame.simulate.visit import SIZES, anatomy_of, camera_of, uptake_of

_BOXES_MM = {
    "aorta": (np.array([-72.0, -80.0, -62.0]), np.array([30.0, 15.0, 40.0])),
    "neck": (np.array([-62.0, -60.0, 45.0]), np.array([62.0, 40.0, 195.0])),
}
POOL_SEED = 4711


class View(NamedTuple):
    """One box of one scan: lattice, image without wall excess, wall responses by group, region labels."""

    lattice: Lattice
    base: np.ndarray
    response: dict[str, np.ndarray]
    labels: np.ndarray


def view_of(plan: VisitPlan, anatomy: Anatomy, box: str, size: str) -> View:
    """Render one box of one scan."""
    chosen, camera = SIZES[size], camera_of(plan)
    low, high = (corner + np.array(plan.ct_pose.shift_mm) for corner in _BOXES_MM[box])
    lattice, _ = chosen.pet.cropped(low, high)
    uptake = uptake_of(plan)
    calm = replace(uptake, excess=dict.fromkeys(uptake.excess, 0.0))
    base = draw_pet(anatomy, lattice, plan.pet_pose, calm, camera, chosen.refine)
    walls = plan.blood_suv * wall_response(anatomy, lattice, plan.pet_pose, camera, chosen.refine)
    if box == "aorta":
        response = {"aorta": walls}
    else:
        right = (lattice.x < plan.pet_pose.shift_mm[0])[None, None, :]
        response = {"carotid_right": walls * right, "carotid_left": walls * ~right}
    return View(lattice, base, response, label_map(anatomy, lattice, plan.ct_pose, cores=True, neighbours=False))


def measure(views: dict[str, View], plan: VisitPlan, excess: dict[str, float]) -> dict[str, float]:
    """Return the mean TBRmax of the three target vessels for one scan's biology and noise."""
    out = {}
    camera = Camera(plan.scanner.fwhm_mm, plan.noise_cv)
    for box, view in views.items():
        image = view.base + sum(excess[group] * response for group, response in view.response.items())
        suv = add_noise(image, view.lattice, camera, stream(plan.seed, plan.participant_id, plan.visit, box))
        pools = ("svc",) if box == "aorta" else ("jugular_right", "jugular_left")
        background = suv[np.isin(view.labels, [BY_NAME[p].label for p in pools])].mean()
        for vessel in TARGET_VESSELS:
            inside = view.labels == BY_NAME[vessel].label
            if (vessel == "aorta_ascending") == (box == "aorta"):
                sections = [suv[k][inside[k]].max() for k in np.flatnonzero(inside.any(axis=(1, 2)))]
                out[vessel] = float(np.mean(sections) / background)
    return out


class Trial(NamedTuple):
    """One simulated trial's index-vessel measurements."""

    baseline: np.ndarray
    followup: np.ndarray
    untreated: np.ndarray
    active: np.ndarray
    index: list[str]


def run_trial(seed: int, patients: int, pool: list[tuple[dict[str, View], dict[str, View]]]) -> Trial:
    """Simulate and measure one trial."""
    plan = plan_trial(patients, seed)
    arms = dict(zip(plan.allocation["participant_id"], plan.allocation["arm"], strict=True))
    bodies = stream(seed, "bodies").permutation(max(len(pool), patients)) % len(pool)
    rows = []
    for n, (before, after) in enumerate(zip(plan.visit_plans[::2], plan.visit_plans[1::2], strict=True)):
        first_view, second_view = pool[bodies[n]]
        first, second = measure(first_view, before, before.excess), measure(second_view, after, after.excess)
        index = max(TARGET_VESSELS, key=first.__getitem__)
        treated = arms[before.participant_id] == "active"
        excess = {group: value / after.excess_factor for group, value in after.excess.items()}
        without = measure(second_view, after, excess) if treated else second
        rows.append((first[index], second[index], without[index], treated, index))
    columns = list(zip(*rows, strict=True))
    return Trial(*(np.array(c) for c in columns[:4]), list(columns[4]))


def ancova(trial: Trial) -> tuple[float, float, float]:
    """Return adjusted percent, adjusted difference and residual SD."""
    design = np.column_stack([np.ones(len(trial.baseline)), trial.active, trial.baseline])
    beta, *_ = np.linalg.lstsq(design, trial.followup, rcond=None)
    residual = trial.followup - design @ beta
    control = beta[0] + beta[2] * trial.baseline.mean()
    return 100 * beta[1] / control, beta[1], float(np.sqrt((residual**2).sum() / (len(residual) - 3)))


def main() -> None:
    """Run the trials and print the summary."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--patients", type=int, default=60)
    parser.add_argument("--pool", type=int, default=40)
    parser.add_argument("--first-seed", type=int, default=1000)
    parser.add_argument("--size", default="fast", choices=sorted(SIZES))
    options = parser.parse_args()
    start = time.perf_counter()
    pool = []
    plans = plan_trial(options.pool, POOL_SEED).visit_plans
    for pair in zip(plans[::2], plans[1::2], strict=True):
        anatomy = anatomy_of(pair[0])
        first, second = ({box: view_of(p, anatomy, box, options.size) for box in _BOXES_MM} for p in pair)
        pool.append((first, second))
    print(f"pool of {len(pool)} patients rendered in {time.perf_counter() - start:.0f} s", flush=True)
    trials: list[Trial] = []
    for number in range(options.trials):
        trials.append(run_trial(options.first_seed + number, options.patients, pool))
        if (number + 1) in (10, 50, 100, options.trials):
            summarise(trials, time.perf_counter() - start)


def summarise(trials: list[Trial], seconds: float) -> None:
    """Print means and standard errors over the trials so far."""
    fits = np.array([ancova(t) for t in trials])
    null = np.array([ancova(t._replace(followup=t.untreated))[0] for t in trials])
    paired = np.array(
        [100 * (t.followup - t.untreated)[t.active].mean() / t.untreated[t.active].mean() for t in trials]
    )
    count = np.sqrt(len(trials))
    print(f"\n{len(trials)} trials, {seconds:.0f} s")
    for name, values in (
        ("adjusted percent", fits[:, 0]),
        ("paired effect percent", paired),
        ("adjusted, no treatment", null),
        ("adjusted difference", fits[:, 1]),
        ("residual SD", fits[:, 2]),
        ("baseline mean", np.array([t.baseline.mean() for t in trials])),
        ("baseline SD", np.array([t.baseline.std(ddof=1) for t in trials])),
        ("correlation", np.array([np.corrcoef(t.baseline, t.untreated)[0, 1] for t in trials])),
    ):
        spread = values.std(ddof=1) if len(values) > 1 else np.nan
        print(f"  {name:24s} mean {values.mean():8.3f}  SE {spread / count:6.3f}  SD {spread:6.3f}")
    every = [v for t in trials for v in t.index]
    print("  index vessels", {v: round(every.count(v) / len(every), 2) for v in TARGET_VESSELS}, flush=True)


if __name__ == "__main__":
    main()
