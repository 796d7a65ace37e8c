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
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from petflame.anatomy import AORTA, ARTERIES, BY_NAME, CAROTIDS, VEINS
from petflame.errors import FaultList, InputRefused
from petflame.files import read_nifti
from petflame.labelmap import LabelMap
from petflame.segment.aorta import split_aorta
from petflame.segment.checks import require_laterality, vessel_centres
from petflame.segment.imports.lattice import fit_volume, inside
from petflame.segment.labelmaps import describe
from petflame.segment.product import Segmentation
from petflame.space.grid import Array, Grid, Volume, ras_to_lps

METHOD = "totalsegmentator"
PYTHON_VARIABLE = "PETFLAME_TOTALSEGMENTATOR_PYTHON"
EDGE_MM = 15.0

# Class names of TotalSegmentator and what they are here; "aorta" is divided. Numbers of 2.18.0, to notice a change.
TOTAL = {
    "aorta": ("aorta", 52),
    "common_carotid_artery_right": ("carotid_right", 57),
    "common_carotid_artery_left": ("carotid_left", 58),
    "superior_vena_cava": ("svc", 62),
    "heart": ("myocardium", 51),
}
ORGANS = {"esophagus": ("oesophagus", 15), "thyroid_gland": ("thyroid", 17)}
NECK = {
    "internal_carotid_artery_right": ("carotid_right", 9),
    "internal_carotid_artery_left": ("carotid_left", 10),
    "internal_jugular_vein_right": ("jugular_right", 11),
    "internal_jugular_vein_left": ("jugular_left", 12),
}
NECK_TASK = "headneck_bones_vessels"

# Folders of weights: the vessels' model, the coarse model that crops, the organs' model, the neck's model.
VESSEL_WEIGHTS = "Dataset293_TotalSegmentator_part3_cardiac_1559subj"
CROP_WEIGHTS = "Dataset298_TotalSegmentator_total_6mm_1559subj"
ORGAN_WEIGHTS = "Dataset291_TotalSegmentator_part1_organs_1559subj"
NECK_WEIGHTS = "Dataset776_headneck_bones_vessels_492subj"
# Version 2.18.0 looks for these before it runs the task `total`, and does not use them for our classes.
UNUSED_WEIGHTS = (
    "Dataset292_TotalSegmentator_part2_vertebrae_1532subj",
    "Dataset294_TotalSegmentator_part4_muscles_1559subj",
    "Dataset295_TotalSegmentator_part5_ribs_1559subj",
)
REQUIRED = (VESSEL_WEIGHTS, CROP_WEIGHTS)
RELEASES = "https://github.com/wasserth/TotalSegmentator/releases/download"

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
        """Tell whether a folder of weights is there and holds something."""
        path = self.weights / folder
        return path.is_dir() and any(path.iterdir())


def find_installation() -> Installation:
    """Look for TotalSegmentator and its weights as TotalSegmentator itself would; nothing is imported or started."""
    named = os.environ.get(PYTHON_VARIABLE, "")
    python = named if named and Path(named).exists() else ""
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
        what = (
            f"{PYTHON_VARIABLE} names {named}, which does not exist" if named else "TotalSegmentator is not installed"
        )
        remedy = f"make the environment envs/totalsegmentator.yaml and set {PYTHON_VARIABLE} to its python, or use auto"
        faults.add(what, "method `totalsegmentator`", remedy)
    if installation.missing:
        links = ", ".join(f"{RELEASES}/v2.0.0-weights/{f}.zip" for f in installation.missing)
        faults.add(
            f"the weights {', '.join(installation.missing)} are missing",
            str(installation.weights),
            f"run `totalseg_download_weights -t total` once where there is a network, or unpack {links} there, and set "
            "TOTALSEG_WEIGHTS_PATH to the folder that holds them",
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
    """
    installation = installation or find_installation()
    require_ready(installation)
    tasks = {"total": dict(TOTAL)}
    if installation.has(ORGAN_WEIGHTS):
        tasks["total"] |= ORGANS
    if installation.has(NECK_WEIGHTS):
        tasks[NECK_TASK] = dict(NECK)
    with tempfile.TemporaryDirectory(prefix="petflame-totalsegmentator-") as name:
        folder = Path(name)
        result = _run(ct_path, folder, tasks, installation, launch or launch_worker)
        masks, warnings = _masks(result, tasks, grid)
    provenance = {"method": METHOD, "version": result["version"], "tasks": sorted(tasks)}
    return _finish(masks, grid, provenance, warnings)


def _run(
    ct_path: Path, folder: Path, tasks: dict[str, dict[str, Any]], installation: Installation, launch: Launch
) -> dict[str, Any]:
    weights = folder / "weights"
    weights.mkdir()
    for dataset in (*REQUIRED, ORGAN_WEIGHTS, NECK_WEIGHTS):
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
        raise InputRefused.of(what, METHOD, "install TotalSegmentator 2.18.0 (envs/totalsegmentator.yaml)")
    return result


def launch_worker(python: str, request: Path) -> None:
    """Run the worker in a process of its own.

    Raises
    ------
    InputRefused
        When it fails; its last words are passed on.
    """
    script = Path(__file__).with_name("totalsegmentator_worker.py")
    done = subprocess.run([python, str(script), str(request)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        words = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        last = words[-1] if words else f"exit status {done.returncode}"
        raise InputRefused.of(f"TotalSegmentator failed ({last})", METHOD, "run it by hand on the CT to see why")


def _masks(result: dict[str, Any], tasks: dict[str, dict[str, Any]], grid: Grid) -> tuple[dict[str, Array], list[str]]:
    """Masks by TotalSegmentator's class name, on the CT grid."""
    masks: dict[str, Array] = {}
    warnings = []
    for task, names in tasks.items():
        image = read_nifti(Path(result["images"][task]))
        found = fit_volume(image.grid.affine, image.grid.shape, {"ct": grid})
        if found is None:
            what = f"its result lies on {image.grid.describe()}, not on the CT ({grid.describe()})"
            raise InputRefused.of(what, METHOD, "use TotalSegmentator 2.18.0")
        _, matrix, offset = found
        for name, (_, usual) in names.items():
            number = result["classes"][task][name]
            if number != usual:
                warnings.append(f"TotalSegmentator {result['version']} gives {name} the number {number}, not {usual}")
            voxels = np.argwhere(image.data == number) @ matrix.T + offset
            masks[name] = np.zeros(grid.shape, bool)
            masks[name][tuple(voxels[inside(voxels, grid)].T)] = True
    return masks, warnings


def _finish(masks: dict[str, Array], grid: Grid, provenance: dict[str, Any], warnings: list[str]) -> Segmentation:
    labels = np.zeros(grid.shape, np.uint8)
    targets = {name: region for table in (TOTAL, ORGANS, NECK) for name, (region, _) in table.items()}
    # Arteries last, so that they win where the two tasks overlap.
    for name in sorted(masks, key=lambda n: BY_NAME.get(targets[n], BY_NAME[AORTA[0]]).label, reverse=True):
        if name != "aorta":
            labels[masks[name]] = BY_NAME[targets[name]].label
    reasons: dict[str, str] = {}
    if masks["aorta"].any():
        try:
            parts = split_aorta(Volume(masks["aorta"], grid), METHOD)
            labels = np.where(parts > 0, parts, labels)
        except InputRefused as error:
            reasons |= dict.fromkeys(AORTA, error.faults[0].what)
    landmarks: dict[str, tuple[float, float, float]] = {}
    for side in ("right", "left"):
        internal = masks.get(f"internal_carotid_artery_{side}")
        if internal is not None and internal.any() and masks[f"common_carotid_artery_{side}"].any():
            places = grid.to_ras(np.argwhere(internal))
            lowest = places[places[:, 2] <= places[:, 2].min() + 1e-3].mean(axis=0)
            x, y, z = (float(v) for v in ras_to_lps(lowest))
            landmarks[f"carotid_bifurcation_{side}"] = (x, y, z)
    segmentation = describe(LabelMap(labels, grid), "ct", METHOD, landmarks, provenance)
    if _arch_at_edge(segmentation.labels):
        reasons["aorta_arch"] = f"its top lies within {EDGE_MM:g} mm of the end of the CT"
    vessels = {}
    for name, finding in segmentation.vessels.items():
        failed = [check.message for check in finding.checks if not check.passed]
        reason = reasons.get(name) or ("not found" if finding.withheld else "; ".join(failed))
        vessels[name] = replace(finding, withheld=bool(reason), reason=reason)
    require_laterality(vessel_centres(vessels), METHOD)
    said = [f"{n}: needs a reader: {vessels[n].reason}" for n in (*ARTERIES, *VEINS) if vessels[n].withheld]
    if not {f"internal_carotid_artery_{n.removeprefix('carotid_')}" for n in CAROTIDS} <= set(masks):
        said.append(f"{NECK_WEIGHTS} is not there: carotids end at their bifurcation, and there are no jugulars")
    return replace(segmentation, vessels=vessels, warnings=(*warnings, *said))


def _arch_at_edge(labels: LabelMap) -> bool:
    """Whether the arch may be cut off by the upper end of the CT."""
    arch, corners = labels.places_mm("aorta_arch"), labels.grid.to_ras(labels.grid.corners())
    return bool(len(arch) and corners[:, 2].max() - arch[:, 2].max() < EDGE_MM)
