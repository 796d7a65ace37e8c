"""Vessels found by TotalSegmentator, where it is installed and its weights are on this machine.

TotalSegmentator (Wasserthal et al., Radiol Artif Intell 2023;5:e230024) runs in a process of its own: in this
environment, or in the one whose interpreter PETFLAME_TOTALSEGMENTATOR_PYTHON names (see envs/totalsegmentator.yaml).
Nothing is downloaded and no usage statistics are sent: the process sees a configuration of its own, and a folder that
links to the weights it needs, so that neither the user's configuration nor the weights are ever changed.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from petflame.errors import FaultList, InputRefused
from petflame.segment.product import Segmentation
from petflame.segment.totalsegmentator_process import (
    METHOD,
    PYTHON_VARIABLE,
    TESTED_VERSION,
    read_limits,
    require_short,
    run_worker,
)
from petflame.segment.totalsegmentator_regions import (
    NECK,
    NECK_COMMAND,
    NECK_TASK,
    NECK_WEIGHTS,
    ORGANS,
    TOTAL,
    finish,
    read_masks,
)
from petflame.space.grid import Grid

# Folders of weights: the vessels' model, the coarse model that crops, the finer one that crops without cutting vessels
# off where it is there (TotalSegmentator's "robust crop"), the organs' model.
VESSEL_WEIGHTS = "Dataset293_TotalSegmentator_part3_cardiac_1559subj"
CROP_WEIGHTS = "Dataset298_TotalSegmentator_total_6mm_1559subj"
FINE_CROP_WEIGHTS = "Dataset297_TotalSegmentator_total_3mm_1559subj"
ORGAN_WEIGHTS = "Dataset291_TotalSegmentator_part1_organs_1559subj"
# Version 2.18.0 looks for these before it runs the task `total`, and does not use them for our classes.
UNUSED_WEIGHTS = (
    "Dataset292_TotalSegmentator_part2_vertebrae_1532subj",
    "Dataset294_TotalSegmentator_part4_muscles_1559subj",
    "Dataset295_TotalSegmentator_part5_ribs_1559subj",
)
REQUIRED = (VESSEL_WEIGHTS, CROP_WEIGHTS)
TOTAL_COMMAND = "totalseg_download_weights -t total"

Launch = Callable[[str, Path], None]


@dataclass(frozen=True)
class Installation:
    """Where TotalSegmentator and its weights are.

    Attributes
    ----------
    python : str
        Interpreter that can import it; empty when there is none.
    weights : Path
        Folder of the ``Dataset...`` folders.
    missing : tuple of str
        Required folders of weights that are not there.
    """

    python: str
    weights: Path
    missing: tuple[str, ...]

    @property
    def ready(self) -> bool:
        """Whether it can run without a download."""
        return bool(self.python) and not self.missing

    def has(self, folder: str) -> bool:
        """Tell whether a folder of weights is there and whole: what a broken download leaves has no checkpoint."""
        found = (self.weights / folder).glob("*/fold_0/checkpoint_final.pth")
        return any(
            path.stat().st_size and all((path.parents[1] / n).is_file() for n in ("plans.json", "dataset.json"))
            for path in found
        )


def find_installation() -> Installation:
    """Look for TotalSegmentator and its weights as TotalSegmentator itself would; nothing is imported or started."""
    named = os.environ.get(PYTHON_VARIABLE, "")
    python = named if named and Path(named).is_file() and os.access(named, os.X_OK) else ""
    if not named and _importable():
        python = sys.executable
    home = Path(os.environ.get("TOTALSEG_HOME_DIR") or Path.home() / ".totalsegmentator")
    weights = Path(os.environ.get("TOTALSEG_WEIGHTS_PATH") or home / "nnunet" / "results")
    found = Installation(python, weights, ())
    return replace(found, missing=tuple(f for f in REQUIRED if not found.has(f)))


def _importable() -> bool:
    if "totalsegmentator" in sys.modules:
        return True
    return importlib.util.find_spec("totalsegmentator") is not None


def not_used(installation: Installation) -> str:
    """Say why an installation that the environment names is not used; empty where none is named or it is ready."""
    if installation.ready or not os.environ.get(PYTHON_VARIABLE):
        return ""
    try:
        require_ready(installation)
    except InputRefused as refused:
        said = "; ".join(f"{fault.what} ({fault.remedy})" for fault in refused.faults)
        return f"TotalSegmentator was not used, though {PYTHON_VARIABLE} is set: {said}"
    return ""


def require_ready(installation: Installation) -> None:
    """Refuse, with every reason, where TotalSegmentator cannot run without a download.

    Raises
    ------
    InputRefused
        When it is not installed, or weights are missing; says how to get them.
    """
    faults = FaultList()
    if not installation.python:
        named = os.environ.get(PYTHON_VARIABLE)
        what = f"{PYTHON_VARIABLE} names {named}, which is no program" if named else "TotalSegmentator is not installed"
        remedy = f"make the environment envs/totalsegmentator.yaml and set {PYTHON_VARIABLE} to its python, or use auto"
        faults.add(what, "method `totalsegmentator`", remedy)
    if installation.missing:
        absent = [f for f in installation.missing if not (installation.weights / f).exists()]
        broken = [f for f in installation.missing if f not in absent]
        said = [f"the weights {', '.join(absent)} are missing"] if absent else []
        said += [f"the weights {', '.join(broken)} are incomplete: delete them"] if broken else []
        faults.add(
            " and ".join(said),
            str(installation.weights),
            f"run `{TOTAL_COMMAND}` and, for jugular veins and the carotids' upper part, `{NECK_COMMAND}` in its "
            "environment, where there is a network, and set TOTALSEG_WEIGHTS_PATH to (a copy of) the folder they fill",
        )
    faults.raise_if_any()


def segment_with_totalsegmentator(
    ct_path: Path, grid: Grid, installation: Installation | None = None, launch: Launch | None = None
) -> Segmentation:
    """Find the vessels of a CT with TotalSegmentator.

    Parameters
    ----------
    ct_path : Path
        NIfTI image, HU.
    grid : Grid
        Its grid, on which the labels lie.
    installation : Installation, optional
    launch : callable, optional
        Runs the worker: takes the interpreter and the path of the request.

    Returns
    -------
    Segmentation
        Vessels whose checks fail, that reach the edge of the CT where they must not, or that were not found, are
        withheld.

    Raises
    ------
    InputRefused
        When it is not installed, weights are missing, the installed version lacks classes, or the run fails.
    MachineFault
        When the run takes too long or too much memory, or is killed.
    """
    installation = installation or find_installation()
    require_ready(installation)
    tasks = {"total": dict(TOTAL)}
    if installation.has(ORGAN_WEIGHTS):
        tasks["total"] |= ORGANS
    if installation.has(NECK_WEIGHTS):
        tasks[NECK_TASK] = dict(NECK)
    with tempfile.TemporaryDirectory(prefix="petflame-ts-") as name:
        folder = Path(name)
        require_short(folder)
        result = _run(ct_path, folder, tasks, installation, launch or launch_worker)
        masks, warnings = read_masks(result, tasks, grid)
    for place in dict.fromkeys(result.get("network_attempts", ())):
        warnings.append(f"TotalSegmentator tried to reach {place} and was not let")
    provenance = {
        "method": METHOD,
        "version": result["version"],
        "tasks": sorted(tasks),
        "crop_model": FINE_CROP_WEIGHTS if installation.has(FINE_CROP_WEIGHTS) else CROP_WEIGHTS,
    }
    return finish(masks, grid, provenance, warnings)


def _run(
    ct_path: Path, folder: Path, tasks: dict[str, dict[str, Any]], installation: Installation, launch: Launch
) -> dict[str, Any]:
    weights = folder / "weights"
    weights.mkdir()
    for dataset in (*REQUIRED, FINE_CROP_WEIGHTS, ORGAN_WEIGHTS, NECK_WEIGHTS):
        if installation.has(dataset):
            (weights / dataset).symlink_to((installation.weights / dataset).resolve(), target_is_directory=True)
    for dataset in (ORGAN_WEIGHTS, *UNUSED_WEIGHTS):
        (weights / dataset).mkdir(exist_ok=True)
    request = {
        "ct": str(ct_path.resolve()),
        "home": str(folder / "home"),
        "weights": str(weights),
        "out": str(folder),
        "device": os.environ.get("PETFLAME_TOTALSEGMENTATOR_DEVICE", "cpu"),
        "threads": read_limits().threads,
        "robust_crop": installation.has(FINE_CROP_WEIGHTS),
        "tasks": {task: list(names) for task, names in tasks.items()},
    }
    path = folder / "request.json"
    path.write_text(json.dumps(request), encoding="utf-8")
    launch(installation.python, path)
    try:
        result: dict[str, Any] = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise InputRefused.of("it left no result", METHOD, "run it by hand on the CT to see why") from None
    if result.get("missing"):
        lacking = "; ".join(f"{task}: {', '.join(names)}" for task, names in result["missing"].items())
        what = f"the installed version {result['version']} has no classes {lacking}"
        raise InputRefused.of(what, METHOD, f"install TotalSegmentator {TESTED_VERSION} (envs/totalsegmentator.yaml)")
    return result


def launch_worker(python: str, request: Path) -> None:
    """Run the worker in a process of its own, within the limits that the environment names.

    Raises
    ------
    InputRefused, MachineFault
        As `totalsegmentator_process.run_worker`.
    """
    run_worker(python, Path(__file__).with_name("totalsegmentator_worker.py"), request, read_limits())
