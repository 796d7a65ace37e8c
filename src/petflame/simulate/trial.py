"""Writing a whole simulated trial: DICOM, tables, a reader's masks and seeds, and the truth."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from petflame.anatomy import REGIONS
from petflame.errors import InputRefused
from petflame.files import write_json, write_nifti, write_text, write_tsv
from petflame.protocol import Protocol
from petflame.published import PATIENTS
from petflame.segment.imports.sidecar import write_sidecar
from petflame.simulate import truth
from petflame.simulate.dicomwrite import write_visit
from petflame.simulate.headers import timing
from petflame.simulate.plan import DEFAULT_SEED, TrialPlan, VisitPlan, plan_trial
from petflame.simulate.tables import MEANINGS
from petflame.simulate.visit import SIZES, SimulatedVisit, SizeName, anatomy_of, simulate_visit, uptake_of
from petflame.trial.plan.sealing import PLAN, SEALED, WORDS, seal_plan
from petflame.trial.plan.sealing import draft as draft_plan

_ENTRIES = ("dicom", "labels", "seeds", "truth", "truth.json", "blinding.key", PLAN, WORDS, SEALED)
_TABLES = ("participants", "visits", "visits_with_labels", "allocation", "outcomes")
LEAST_FOR_STRATA = 24
Progress = Callable[[int, int, str], None]


def simulate_trial(
    out: Path,
    patients: int = PATIENTS,
    size: SizeName = "fast",
    seed: int = DEFAULT_SEED,
    cores: int = 1,
    progress: Progress | None = None,
    truth_maps: bool | None = None,
) -> None:
    """Write a simulated trial as a study folder.

    Parameters
    ----------
    out : Path
        A folder that is absent, empty, or holds an earlier simulated study, which is replaced.
    patients : int
        Randomised participants; from 10 on, one follow-up visit lacks a PET slice and must be refused.
    size : {'tiny', 'fast', 'full'}
        For tests, for the demonstration, and as scanners deliver it.
    seed : int
        The same seed gives the same bytes, whatever `cores` is.
    cores : int
        Visits made at the same time.
    progress : callable or None
        Called with (visits done, visits in all, name of the visit).
    truth_maps : bool or None
        Whether to write the true regions on the PET grid; by default at size tiny.

    Raises
    ------
    InputRefused
        When the folder holds something else, or an argument makes no sense; nothing is then written.
    """
    out = Path(out)
    if size not in SIZES:
        raise InputRefused.of(f"the size {size!r} does not exist", "--size", f"choose one of {', '.join(SIZES)}")
    if cores < 1:
        raise InputRefused.of(f"{cores} cores cannot work", "--cores", "give a whole number from 1")
    plan = plan_trial(patients, seed)
    _require_free(out)
    maps = size == "tiny" if truth_maps is None else truth_maps
    out.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        measured = _make_visits(draft, plan, size, maps, cores, progress)
        # As a trial should: the analysis is fixed before the arms are written down.
        # Too few participants may all be of one site.
        draft_plan(draft, "SIMULATED", Protocol(), strata=("site",) if patients >= LEAST_FOR_STRATA else ())
        seal_plan(draft, Protocol())
        _write_tables(draft, plan)
        write_text(draft / "blinding.key", plan.blinding_key + "\n", private=True)
        write_json(draft / "truth.json", _truth(plan, size, measured))
        _move_into_place(draft, out)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def write_simulated_visit(
    study: Path, plan: VisitPlan, size: SizeName = "fast", truth_maps: bool = False
) -> dict[str, Any]:
    """Simulate one visit and write its DICOM, label map, landmarks and seeds below `study`.

    Returns
    -------
    dict
        The visit's entry in ``truth.json``.
    """
    visit = simulate_visit(plan, size)
    as_written = write_visit(study / plan.dicom_dir, plan, visit.size.ct, visit.ct_hu, visit.size.pet, visit.pet_suv)
    labels = study / plan.labels
    write_nifti(labels, visit.label_map(), "reader's regions, simulated")
    names = {str(r.label): r.name for r in REGIONS if (visit.labels == r.label).any()}
    write_sidecar(labels, names, visit.landmarks_lps_mm)
    write_json(study / plan.seeds, visit.seeds_lps_mm)
    if truth_maps:
        path = study / "truth" / labels.name
        write_nifti(path, visit.size.pet.volume(visit.truth_labels), "true regions on the PET grid")
        write_sidecar(path, names, visit.landmarks_lps_mm)
    return _visit_truth(visit, as_written)


def _visit_truth(visit: SimulatedVisit, as_written: Any) -> dict[str, Any]:
    plan, lattice = visit.plan, visit.size.pet
    found = truth.measured(as_written, visit.truth_labels, lattice)
    ideal = truth.measured(visit.noiseless_suv, visit.truth_labels, lattice)
    walls = truth.true_walls(anatomy_of(plan), uptake_of(plan))
    clock = timing(plan)
    vessels = {
        name: {
            "blood_pool": entry.pop("blood_pool"),
            "true_wall_suv": walls[name],
            "true_blood_suv": plan.blood_suv,
            "true_excess_factor": plan.excess_factor,
            "as_written": entry,
            "noiseless": {k: v for k, v in ideal["vessels"][name].items() if k not in ("sections", "blood_pool")},
        }
        for name, entry in found["vessels"].items()
    }
    return {
        "vendor": plan.scanner.vendor,
        "units": plan.scanner.units,
        "decay_correction": plan.scanner.decay_correction,
        "late_series_time": plan.scanner.late_series_time,
        "missing_slice": plan.missing_slice,
        "suv_factor_bqml": clock.suv_factor,
        "dose_mbq": plan.dose_mbq,
        "weight_kg": plan.weight_kg,
        "uptake_min": clock.uptake_s / 60.0,
        "glucose_mmol_l": plan.glucose_mmol_l,
        "pet_shift_mm": [b - a for a, b in zip(plan.ct_pose.shift_mm, plan.pet_pose.shift_mm, strict=True)],
        "true_liver_suv": plan.tissue_suv["liver"],
        "blood_pool": {"as_written": found["blood_pool"], "noiseless": ideal["blood_pool"]},
        "vessels": vessels,
    }


def _make_visits(
    draft: Path, plan: TrialPlan, size: SizeName, maps: bool, cores: int, progress: Progress | None
) -> list[dict[str, Any]]:
    jobs = [(draft, visit, size, maps) for visit in plan.visit_plans]
    done = []
    if cores == 1:
        for number, job in enumerate(jobs, start=1):
            done.append(_job(job))
            if progress:
                progress(number, len(jobs), Path(job[1].labels).name.removesuffix(".nii.gz"))
        return done
    # Threads of numerical libraries would fight over the cores that the processes already use.
    before = {name: os.environ.get(name) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    os.environ.update(dict.fromkeys(before, "1"))
    try:
        with ProcessPoolExecutor(cores, mp_context=multiprocessing.get_context("spawn")) as pool:
            for number, entry in enumerate(pool.map(_job, jobs), start=1):
                done.append(entry)
                if progress:
                    progress(number, len(jobs), Path(jobs[number - 1][1].labels).name.removesuffix(".nii.gz"))
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
    return done


def _job(job: tuple[Path, VisitPlan, SizeName, bool]) -> dict[str, Any]:
    return write_simulated_visit(*job)


def _truth(plan: TrialPlan, size: str, measured: list[dict[str, Any]]) -> dict[str, Any]:
    arms = dict(zip(plan.allocation["participant_id"], plan.allocation["arm"], strict=True))
    people: dict[str, Any] = {}
    for visit, entry in zip(plan.visit_plans, measured, strict=True):
        person = people.setdefault(visit.participant_id, {"arm": arms[visit.participant_id], "visits": {}})
        person["visits"][visit.visit] = entry
    for person in people.values():
        before, after = ({"vessels": _as_written(person["visits"][v])} for v in ("baseline", "followup"))
        person["index_vessel"] = truth.index_vessel(before)
        person["percent_change"] = truth.percent_change(before, after)
    return {
        "format": "petflame-simulated-truth/1",
        "seed": plan.seed,
        "size": size,
        "definitions": truth.DEFINITIONS,
        "participants": people,
    }


def _as_written(visit: dict[str, Any]) -> dict[str, Any]:
    return {name: vessel["as_written"] for name, vessel in visit["vessels"].items()}


def _write_tables(draft: Path, plan: TrialPlan) -> None:
    for name in _TABLES:
        write_tsv(draft / f"{name}.tsv", getattr(plan, name), MEANINGS[name])


def _known() -> set[str]:
    return {*_ENTRIES, *(f"{t}.tsv" for t in _TABLES), *(f"{t}_columns.json" for t in _TABLES)}


def _require_free(out: Path) -> None:
    if not out.exists():
        return
    if not out.is_dir():
        raise InputRefused.of("it is a file", str(out), "name a folder")
    strange = sorted(p.name for p in out.iterdir() if p.name not in _known())
    ours = (out / "truth.json").exists()
    if strange or (any(out.iterdir()) and not ours):
        what = f"it already holds {', '.join(strange[:3])}" if strange else "it holds a study that was not simulated"
        raise InputRefused.of(what, str(out), "name a new or empty folder")


def _move_into_place(draft: Path, out: Path) -> None:
    """Replace what an earlier simulation left, the truth last: a folder with a truth is complete."""
    out.mkdir(exist_ok=True)
    for name in sorted(_known(), key=lambda n: n != "truth.json"):
        old = out / name
        if old.is_dir():
            shutil.rmtree(old)
        else:
            old.unlink(missing_ok=True)
    for path in sorted(draft.iterdir(), key=lambda p: p.name == "truth.json"):
        os.replace(path, out / path.name)
