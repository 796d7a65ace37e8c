"""The process that TotalSegmentator runs in: what it may use, how it is watched, and how it ends.

Whatever happens, it ends with every process it has started: at the limits of time and memory, when this process is
interrupted, and when this process is killed (the worker sees its standard input close).
"""

from __future__ import annotations

import math
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from petflame.errors import InputRefused, MachineFault, PetflameError

PYTHON_VARIABLE = "PETFLAME_TOTALSEGMENTATOR_PYTHON"
TIMEOUT_VARIABLE = "PETFLAME_TOTALSEGMENTATOR_TIMEOUT_MIN"
MEMORY_VARIABLE = "PETFLAME_TOTALSEGMENTATOR_MEMORY_GB"
THREADS_VARIABLE = "PETFLAME_TOTALSEGMENTATOR_THREADS"
METHOD = "totalsegmentator"
TESTED_VERSION = "2.18.0"
# A whole body on one slow core; only what hangs takes longer.
DEFAULT_TIMEOUT_MIN = 240.0
# Adding up the pages of large processes takes the system some time.
POLL_S, WEIGH_S = 0.1, 1.0
WORDS_KEPT = 400
EXCEPTION = re.compile(r"[A-Za-z_.]*(Error|Exception|Interrupt)\b(:|$)")
# Python names the sockets between its processes by 32 characters within the folder for temporary files; the system
# allows 103 (macOS) or 107 (Linux) in all.
LONGEST_FOLDER = 103 - 32


@dataclass(frozen=True)
class Limits:
    """What a run may use.

    Attributes
    ----------
    timeout_min : float
    memory_gb : float or None
        Of all its processes together, 1e9 bytes; None for no limit.
    threads : int
    """

    timeout_min: float = DEFAULT_TIMEOUT_MIN
    memory_gb: float | None = None
    threads: int = 1


@dataclass(frozen=True)
class Usage:
    """What a run used: wall time and the peak of memory of all its processes together (1e9 bytes)."""

    seconds: float
    peak_gb: float


def read_limits() -> Limits:
    """Take the limits from the environment; threads are those that this process may use where nothing is said.

    Raises
    ------
    InputRefused
        When a variable holds no positive number.
    """
    affinity = getattr(os, "sched_getaffinity", None)
    usable = len(affinity(0)) if affinity else os.cpu_count() or 1
    memory = _positive(MEMORY_VARIABLE)
    threads = _positive(THREADS_VARIABLE)
    return Limits(_positive(TIMEOUT_VARIABLE) or DEFAULT_TIMEOUT_MIN, memory, max(1, int(threads or usable)))


def _positive(variable: str) -> float | None:
    text = os.environ.get(variable, "").strip()
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise InputRefused.of(f"{variable} is {text!r}", METHOD, "set it to a positive number, or unset it")
    return value


def run_worker(python: str, script: Path, request: Path, limits: Limits) -> Usage:
    """Run the worker until it has ended, in a session of its own; nothing of it outlives this call.

    Parameters
    ----------
    python : str
        Interpreter.
    script, request : Path
        The worker and what it is asked; the request's folder takes its temporary files.
    limits : Limits

    Raises
    ------
    InputRefused
        When it fails; its last words are passed on.
    MachineFault
        When it takes too long or too much memory, or is killed: a later run takes the visit up.
    """
    folder = request.parent
    began, peak = time.monotonic(), 0
    weighed = began
    with (folder / "said.txt").open("wb") as said:
        process = subprocess.Popen(
            [python, str(script), str(request)],
            stdin=subprocess.PIPE,
            stdout=said,
            stderr=subprocess.STDOUT,
            env=_environment(python, folder),
            cwd=folder,
            start_new_session=True,
        )
        try:
            while True:
                try:
                    code = process.wait(POLL_S)
                    break
                except subprocess.TimeoutExpired:
                    now = time.monotonic()
                if now - weighed >= WEIGH_S:
                    peak, weighed = max(peak, _memory_bytes(process.pid)), now
                _require_within(limits, now - began, peak)
        finally:
            _end(process)
    if code:
        raise _failure(code, folder / "said.txt")
    return Usage(time.monotonic() - began, peak / 1e9)


def require_short(folder: Path) -> None:
    """Refuse a folder for temporary files whose name leaves no room for sockets, which fail without a word of it.

    Raises
    ------
    MachineFault
        When it is too long.
    """
    length = len(os.fsencode(folder))
    if length > LONGEST_FOLDER:
        what = f"the folder for temporary files has a name of {length} characters (at most {LONGEST_FOLDER})"
        raise MachineFault.of(what, str(folder), "set TMPDIR to a folder with a shorter name")


def _environment(python: str, temporary: Path) -> dict[str, str]:
    # What points this interpreter to its modules would lead another one astray.
    strange = () if python == sys.executable else ("PYTHONPATH", "PYTHONHOME")
    kept = {name: value for name, value in os.environ.items() if name not in strange}
    return {**kept, "TMPDIR": str(temporary), "TEMP": str(temporary), "TMP": str(temporary)}


def _memory_bytes(pid: int) -> int:
    """Memory of a process and all it has started, pages that they share counted once where the system tells."""
    try:
        first = psutil.Process(pid)
        family = [first, *first.children(recursive=True)]
    except psutil.Error:
        return 0
    total = 0
    for member in family:
        try:
            full = member.memory_full_info()
            total += getattr(full, "pss", 0) or full.rss
        except (psutil.Error, OSError):
            continue
    return total


def _require_within(limits: Limits, seconds: float, peak_bytes: int) -> None:
    if seconds > 60 * limits.timeout_min:
        what = f"TotalSegmentator was stopped after {limits.timeout_min:g} min"
        remedy = f"set {TIMEOUT_VARIABLE} higher, or give it more threads ({THREADS_VARIABLE}) or a GPU"
        raise MachineFault.of(what, METHOD, remedy)
    if limits.memory_gb is not None and peak_bytes > 1e9 * limits.memory_gb:
        what = f"TotalSegmentator was stopped at {peak_bytes / 1e9:.1f} GB of memory (limit {limits.memory_gb:g} GB)"
        raise MachineFault.of(what, METHOD, f"set {MEMORY_VARIABLE} higher, or run it where there is more memory")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the worker and whatever it has started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        process.kill()
    process.wait()
    if process.stdin is not None:
        process.stdin.close()


def _failure(code: int, said: Path) -> PetflameError:
    lines = [line.strip() for line in said.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    if code < 0 or any("died" in line and "RAM" in line for line in lines[-3:]):
        name = signal.Signals(-code).name if code < 0 else "out of memory"
        what = f"TotalSegmentator was killed ({name})"
        return MachineFault.of(what, METHOD, "run it where there is more memory; nothing was written")
    # The first cause may have been met in another of its processes, long before the last line.
    errors = list(dict.fromkeys(line for line in lines if EXCEPTION.match(line))) or lines[-1:]
    last = "; ".join(errors[-3:])[-WORDS_KEPT:] or f"exit status {code}"
    return InputRefused.of(f"TotalSegmentator failed ({last})", METHOD, "run it by hand on the CT to see why")
