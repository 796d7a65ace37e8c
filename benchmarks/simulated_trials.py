"""Estimate and truth over many small simulated trials: bias, coverage, power and type I error; writes the docs page.

Every trial is a new seed of the simulation: its own allocation, biology, treatment effects and noise, on a pool of
bodies rendered once (see `calibrate_simulation.py`, whose rendering this uses). Each scan is measured in a careful
reader's regions as `petflame measure` does (the first scan is checked against it), the index vessel is chosen at
baseline, and `petflame.trial.arms.ancova` gives the arm difference. The truth of a trial is its paired effect: every
treated follow-up against the same scan, same noise, untreated. The same trials untreated give the type I error.

    OMP_NUM_THREADS=1 python benchmarks/simulated_trials.py

Writes docs/figures/simulated_trials.svg, .tsv and the generated parts of docs/statistics.md; the published target is
filled in where PETFLAME_REFERENCE_DATA holds `ivory_target`. `--redraw` takes the trials from the TSV.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from calibrate_simulation import _BOXES_MM, POOL_SEED, View, view_of
from statistics_page import draw, write_page

from petflame.anatomy import TARGET_VESSELS, VEINS
from petflame.errors import FaultList
from petflame.files import write_tsv
from petflame.labelmap import LabelMap
from petflame.measure.background import blood_pool, core_voxels
from petflame.measure.sections import cut, planes_through
from petflame.measure.uptake import summarise
from petflame.measure.visit import measure as measure_product
from petflame.protocol import Protocol, load_protocol
from petflame.segment.product import Segmentation, VesselFinding
from petflame.simulate.pet import Camera, add_noise
from petflame.simulate.plan import VisitPlan, plan_trial
from petflame.simulate.regions import label_map
from petflame.simulate.streams import stream
from petflame.simulate.visit import SIZES, anatomy_of
from petflame.space.orientation import to_canonical
from petflame.trial.arms.ancova import Arms, primary_record

DOCS = Path(__file__).parents[1] / "docs"
NO_LINE = np.zeros((0, 3))
COLUMNS = {
    "seed": ("seed of the simulated trial", ""),
    "n_active": ("patients in the active arm", ""),
    "n_control": ("patients in the control arm", ""),
    "true_difference": ("mean over the treated of follow-up TBRmax less the same scan untreated", "ratio"),
    "difference": ("adjusted difference, active minus control", "ratio"),
    "ci_low": ("lower end of its 95 % interval", "ratio"),
    "ci_high": ("upper end of its 95 % interval", "ratio"),
    "p": ("two-sided p of the difference", ""),
    "true_percent": ("100 x true_difference / mean untreated follow-up TBRmax of the treated", "percent"),
    "adjusted_percent": ("100 x difference / adjusted control mean", "percent"),
    "adjusted_percent_low": ("lower end of its 95 % interval (Fieller)", "percent"),
    "adjusted_percent_high": ("upper end of its 95 % interval (Fieller)", "percent"),
    "null_difference": ("adjusted difference in the same trial without treatment", "ratio"),
    "null_ci_low": ("lower end of its 95 % interval", "ratio"),
    "null_ci_high": ("upper end of its 95 % interval", "ratio"),
    "null_p": ("two-sided p of that difference", ""),
}


class Reading(NamedTuple):
    """Where one box of one scan is measured: flat voxels of the PET array, by vessel and by blood pool."""

    view: View
    labels: LabelMap
    vessels: dict[str, tuple[np.ndarray, np.ndarray]]
    cores: dict[str, np.ndarray]


def reading_of(plan: VisitPlan, box: str, size: str, protocol: Protocol) -> Reading:
    """Render one box and cut its vessels as the measuring step does, once for all trials."""
    anatomy = anatomy_of(plan)
    view = view_of(plan, anatomy, box, size)
    low, high = (corner + np.array(plan.ct_pose.shift_mm) for corner in _BOXES_MM[box])
    lattice, _ = SIZES[size].ct.cropped(low, high)
    regions = lattice.volume(label_map(anatomy, lattice, plan.ct_pose, neighbours=False))
    labels = to_canonical(LabelMap(regions.data, regions.grid))
    # A volume of positions turns the sections' voxels into places in the array as it is rendered.
    places = to_canonical(view.lattice.volume(np.arange(view.base.size).reshape(view.base.shape)))
    vessels, cores = {}, {}
    for name in (*TARGET_VESSELS, *VEINS):
        if not labels.has(name):
            continue
        mask = labels.mask(name)
        if name in VEINS:
            sections = cut(planes_through(mask, places.grid, None), NO_LINE, 0.0)
            cores[name] = core_voxels(sections, NO_LINE, places, protocol.background)
            continue
        margin_mm = protocol.region.roi_margin_mm
        sections = cut(planes_through(mask, places.grid, None, margin_mm), NO_LINE, margin_mm)
        voxels = [places.data[s.ij[:, 0], s.ij[:, 1], round(s.k)] for s in sections if s.in_view]
        vessels[name] = np.concatenate(voxels), np.cumsum([0, *(len(v) for v in voxels)])[:-1]
    return Reading(view, labels, vessels, cores)


def noisy(reading: Reading, plan: VisitPlan, box: str, excess: dict[str, float]) -> np.ndarray:
    """Return the box of one scan for one trial's biology and noise, SUV."""
    view = reading.view
    image = view.base + sum(excess[group] * response for group, response in view.response.items())
    rng = stream(plan.seed, plan.participant_id, plan.visit, box)
    return add_noise(image, view.lattice, Camera(plan.scanner.fwhm_mm, plan.noise_cv), rng)


def measure(
    readings: dict[str, Reading], plan: VisitPlan, excess: dict[str, float], protocol: Protocol
) -> dict[str, float]:
    """Return mean TBRmax of the target vessels."""
    out = {}
    for box, reading in readings.items():
        suv = noisy(reading, plan, box, excess)
        pet = to_canonical(reading.view.lattice.volume(suv))
        for name, (voxels, starts) in reading.vessels.items():
            pool = blood_pool(protocol.background.regions[name], reading.cores, pet, FaultList())
            if pool is not None:
                tbr = np.maximum.reduceat(suv.ravel()[voxels].astype(float), starts) / pool.mean
                found = summarise(tbr, np.ones(len(tbr), bool), pet.grid.spacing_mm[2], protocol.summary)
                out[name] = float(found.mean_tbr_max or np.nan)
    return out


def check_against_product(readings: dict[str, Reading], plan: VisitPlan, protocol: Protocol) -> float:
    """Return the largest difference from what `petflame measure` says about the same images."""
    ours, gap = measure(readings, plan, dict(plan.excess), protocol), 0.0
    for box, reading in readings.items():
        pet = reading.view.lattice.volume(noisy(reading, plan, box, dict(plan.excess)))
        names = [*reading.vessels, *reading.cores]
        findings = {name: VesselFinding("labels", None, (), NO_LINE) for name in names}
        table = measure_product(pet, Segmentation(reading.labels, "ct", findings), protocol).vessels
        said = dict(zip(table["vessel"], table["mean_tbr_max"], strict=True))
        gap = max([gap, *(abs(ours[name] - said[name]) for name in reading.vessels)])
    return gap


def run_trial(
    seed: int, patients: int, pool: list[tuple[dict[str, Reading], dict[str, Reading]]], protocol: Protocol
) -> dict[str, float]:
    """Simulate, measure and analyse one trial, treated and untreated."""
    plan = plan_trial(patients, seed)
    arms = dict(zip(plan.allocation["participant_id"], plan.allocation["arm"], strict=True))
    bodies = stream(seed, "bodies").permutation(max(len(pool), patients)) % len(pool)
    rows = []
    for n, (before, after) in enumerate(zip(plan.visit_plans[::2], plan.visit_plans[1::2], strict=True)):
        first = measure(pool[bodies[n]][0], before, dict(before.excess), protocol)
        second = measure(pool[bodies[n]][1], after, dict(after.excess), protocol)
        index = max(protocol.summary.index_candidates, key=first.__getitem__)
        treated = arms[before.participant_id] == "active"
        untreated = {group: value / after.excess_factor for group, value in after.excess.items()}
        without = measure(pool[bodies[n]][1], after, untreated, protocol) if treated else second
        rows.append((first[index], second[index], without[index], float(treated)))
    baseline, followup, untreated_followup, active = map(np.array, zip(*rows, strict=True))
    none = np.zeros((patients, 0))
    blocks = np.zeros(patients, dtype=np.int64)
    arm_data = Arms(np.arange(patients).astype(str), active, baseline, followup, none, blocks)
    found = primary_record(arm_data)
    null = primary_record(Arms(arm_data.ids, active, baseline, untreated_followup, none, blocks))
    mine = active == 1
    effect = float((followup - untreated_followup)[mine].mean())
    return {
        "seed": seed,
        "n_active": int(mine.sum()),
        "n_control": int((~mine).sum()),
        "true_difference": effect,
        "true_percent": 100 * effect / float(untreated_followup[mine].mean()),
        **{name: found[name] for name in COLUMNS if name in found},
        **{f"null_{name}": null[name] for name in ("difference", "ci_low", "ci_high", "p")},
    }


def run_trials(options: argparse.Namespace) -> pd.DataFrame:
    """Render the pool and run every trial."""
    protocol = load_protocol(None)
    start = time.perf_counter()
    plans = plan_trial(options.pool, POOL_SEED).visit_plans
    pool = [
        tuple({box: reading_of(p, box, options.size, protocol) for box in _BOXES_MM} for p in pair)
        for pair in zip(plans[::2], plans[1::2], strict=True)
    ]
    gap = check_against_product(pool[0][0], plans[0], protocol)
    print(
        f"pool of {len(pool)} bodies in {time.perf_counter() - start:.0f} s; TBRmax differs from measure by {gap:.1e}"
    )
    if gap > 1e-6:
        raise SystemExit("the measurement here is no longer that of petflame measure")
    rows = []
    for number in range(options.trials):
        rows.append(run_trial(options.first_seed + number, options.patients, pool, protocol))
        if (number + 1) % 50 == 0:
            print(f"{number + 1} trials, {time.perf_counter() - start:.0f} s", flush=True)
    table = pd.DataFrame(rows)[list(COLUMNS)]
    numbers = table.columns.difference(["seed", "n_active", "n_control"])
    return table.round(dict.fromkeys(numbers, 6))


def main() -> None:
    """Run the trials, or take them from the table, and write figure and page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--patients", type=int, default=24, help="patients in each trial")
    parser.add_argument("--pool", type=int, default=40)
    parser.add_argument("--first-seed", type=int, default=20001)
    parser.add_argument("--size", default="fast", choices=sorted(SIZES))
    parser.add_argument("--redraw", action="store_true", help="take the trials from the table written before")
    parser.add_argument("--null-trials", type=int, default=10000, help="trials of the coverage table; 0 keeps it")
    options = parser.parse_args()
    path = DOCS / "figures" / "simulated_trials.tsv"
    if options.redraw:
        table = pd.read_csv(path, sep="\t")
    else:
        table = run_trials(options)
        write_tsv(path, table, COLUMNS)
    draw(table, path.with_suffix(".svg"))
    write_page(DOCS / "statistics.md", table, options.null_trials)


if __name__ == "__main__":
    main()
