"""The process that calls TotalSegmentator; it needs nothing but TotalSegmentator's own environment.

It is run as a script, with a request in JSON, because TotalSegmentator starts processes of its own and may live in an
environment in which petflame is not installed. Run as ``python totalsegmentator_worker.py REQUEST.json``.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

NO_STATISTICS = {"totalseg_id": "totalseg_petflame", "send_usage_stats": False, "prediction_counter": 0}


def prepare(home: Path, weights: Path) -> None:
    """Write a configuration that sends no usage statistics, and point TotalSegmentator to it and to its weights.

    Must come before TotalSegmentator is imported.
    """
    home.mkdir(parents=True, exist_ok=True)
    (home / "config.json").write_text(json.dumps({**NO_STATISTICS, "statistics_disclaimer_shown": True}))
    os.environ["TOTALSEG_HOME_DIR"] = str(home)
    os.environ["TOTALSEG_WEIGHTS_PATH"] = str(weights)


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Run the tasks of a request and save a label map of each.

    Parameters
    ----------
    request : dict
        ``ct`` (path), ``home``, ``weights``, ``device``, ``out`` (folders and text) and ``tasks``: {task: [class
        names]}.

    Returns
    -------
    dict
        ``version``, ``classes`` {task: {name: number}} as the installed version has them, ``images`` {task: path};
        or ``missing`` {task: [names]} where the installed version lacks classes, and nothing was run.
    """
    prepare(Path(request["home"]), Path(request["weights"]))
    from importlib import import_module, metadata

    class_map = import_module("totalsegmentator.map_to_binary").class_map

    try:
        version = metadata.version("TotalSegmentator")
    except metadata.PackageNotFoundError:
        version = "unknown"
    classes = {
        task: {name: int(number) for number, name in class_map.get(task, {}).items()} for task in request["tasks"]
    }
    missing = {task: sorted(set(names) - set(classes[task])) for task, names in request["tasks"].items()}
    missing = {task: names for task, names in missing.items() if names}
    if missing:
        return {"version": version, "missing": missing}

    import nibabel as nib

    totalsegmentator = import_module("totalsegmentator.python_api").totalsegmentator

    images = {}
    for task, names in request["tasks"].items():
        # A subset of classes is understood by the task `total` alone.
        subset = list(names) if task == "total" else None
        result = totalsegmentator(
            Path(request["ct"]),
            None,
            ml=True,
            nr_thr_resamp=1,
            nr_thr_saving=1,
            task=task,
            roi_subset=subset,
            quiet=True,
            device=request["device"],
        )
        images[task] = str(Path(request["out"]) / f"{task}.nii.gz")
        nib.save(result, images[task])
    return {
        "version": version,
        "classes": {t: {n: classes[t][n] for n in names} for t, names in request["tasks"].items()},
        "images": images,
    }


def main() -> None:
    """Read the request named on the command line, and write ``result.json`` into its ``out`` folder."""
    # The folder of this script holds a module of the same name as the package that is meant.
    here = Path(__file__).resolve().parent
    sys.path[:] = [p for p in sys.path if Path(p or ".").resolve() != here]
    request = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    document = run(request)
    (Path(request["out"]) / "result.json").write_text(json.dumps(document), encoding="utf-8")


if __name__ == "__main__":
    main()
