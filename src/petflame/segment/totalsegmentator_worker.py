"""The process that calls TotalSegmentator; it needs nothing but TotalSegmentator's own environment.

It is run as a script, with a request in JSON, because TotalSegmentator starts processes of its own and may live in an
environment in which petflame is not installed. Run as ``python totalsegmentator_worker.py REQUEST.json``.

It sends no usage statistics, reaches no network (no process of it may open a connection), and ends with all it has
started as soon as its standard input closes, which it does when the one who started it is no more.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import threading
from pathlib import Path
from typing import Any

NO_STATISTICS = {"totalseg_id": "totalseg_petflame", "send_usage_stats": False, "prediction_counter": 0}
ATTEMPTS_VARIABLE = "PETFLAME_NETWORK_ATTEMPTS"
LOOK_UPS = ("socket.getaddrinfo", "socket.gethostbyname")


def prepare(home: Path, weights: Path) -> None:
    """Write a configuration that sends no usage statistics, and point TotalSegmentator to it and to its weights.

    Must come before TotalSegmentator is imported.
    """
    home.mkdir(parents=True, exist_ok=True)
    (home / "config.json").write_text(json.dumps({**NO_STATISTICS, "statistics_disclaimer_shown": True}))
    os.environ["TOTALSEG_HOME_DIR"] = str(home)
    os.environ["TOTALSEG_WEIGHTS_PATH"] = str(weights)


def forbid_network() -> None:
    """Let no connection be opened by this process from here on; each attempt is noted in the file of attempts."""

    def refuse(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "socket.connect":
            place = arguments[1]
            # Sockets of the file system join processes of this machine.
            if isinstance(place, (str, bytes)):
                return
        elif event in LOOK_UPS:
            place = arguments[0]
        else:
            return
        noted = os.environ.get(ATTEMPTS_VARIABLE)
        if noted:
            with open(noted, "a", encoding="utf-8") as stream:
                stream.write(f"{place}\n")
        raise PermissionError(f"TotalSegmentator may reach no network here ({place})")

    sys.addaudithook(refuse)


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Run the tasks of a request and save a label map of each.

    Parameters
    ----------
    request : dict
        ``ct`` (path), ``home``, ``weights``, ``device``, ``out`` (folders and text), ``threads``, ``robust_crop``
        (crop by the 3 mm model) and ``tasks``: {task: [class names]}.

    Returns
    -------
    dict
        ``version``, ``classes`` {task: {name: number}} as the installed version has them, ``images`` {task: path};
        or ``missing`` {task: [names]} where the installed version lacks classes, and nothing was run.
    """
    prepare(Path(request["home"]), Path(request["weights"]))
    import multiprocessing
    from importlib import import_module, metadata

    # It takes as many threads as there are processors, whatever this process may use.
    multiprocessing.cpu_count = lambda: int(request["threads"])
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

    totalsegmentator = import_module("totalsegmentator.python_api").totalsegmentator
    robust = bool(request["robust_crop"])
    images = {}
    for task, names in request["tasks"].items():
        # A subset of classes is understood by the task `total` alone.
        subset = list(names) if task == "total" else None
        images[task] = str(Path(request["out"]) / f"{task}.nii.gz")
        # With a file to write, an image in which nothing is found comes out empty; without one it is worked through
        # whole, with all the time and memory that takes.
        totalsegmentator(
            Path(request["ct"]),
            Path(images[task]),
            ml=True,
            nr_thr_resamp=1,
            nr_thr_saving=1,
            task=task,
            roi_subset=None if robust else subset,
            roi_subset_robust=subset if robust else None,
            robust_crop=robust,
            quiet=True,
            device=request["device"],
        )
    return {
        "version": version,
        "classes": {t: {n: classes[t][n] for n in names} for t, names in request["tasks"].items()},
        "images": images,
    }


def end_with_parent(out: Path) -> None:
    """End this session, and remove what it has written, as soon as standard input closes."""

    def wait() -> None:
        # Not through sys.stdin, whose lock would abort the interpreter at its own end.
        while os.read(0, 1):
            pass
        shutil.rmtree(out, ignore_errors=True)
        os.killpg(os.getpgrp(), signal.SIGKILL)

    threading.Thread(target=wait, daemon=True).start()


def main() -> None:
    """Read the request named on the command line, and write ``result.json`` into its ``out`` folder."""
    # The folder of this script holds a module of the same name as the package that is meant.
    here = Path(__file__).resolve().parent
    sys.path[:] = [p for p in sys.path if Path(p or ".").resolve() != here]
    request = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    out = Path(request["out"])
    # By hand in a terminal it shares its session with others.
    if os.getpgrp() == os.getpid() and not sys.stdin.isatty():
        end_with_parent(out)
    attempts = out / "attempts.txt"
    os.environ[ATTEMPTS_VARIABLE] = str(attempts)
    forbid_network()
    document = run(request)
    document["network_attempts"] = attempts.read_text(encoding="utf-8").split("\n")[:-1] if attempts.exists() else []
    (out / "result.json").write_text(json.dumps(document), encoding="utf-8")


if __name__ == "__main__":
    main()
elif __name__ == "__mp_main__":
    forbid_network()
