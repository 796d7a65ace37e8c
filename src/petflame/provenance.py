"""What a run was made from and what it made: versions and hashes, to be checked again at any time."""

from __future__ import annotations

import platform
from importlib import metadata
from pathlib import Path
from typing import Any

from petflame import __version__
from petflame.errors import Fault, InputRefused
from petflame.files import read_json, sha256, write_json
from petflame.folders import StudyOut

PACKAGES = ("numpy", "scipy", "pydicom", "nibabel", "SimpleITK", "pandas", "statsmodels", "lifelines", "firthmodels")
# Logs and the local key are no results; the report carries this document's hash and comes after it.
NOT_HASHED = ("logs", "key", "simulated_study", "report.html", "provenance.json")


def versions() -> dict[str, str]:
    """Return the versions of petflame, Python and the packages that numbers depend on."""
    found = {"petflame": __version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "absent"
    return found


def write_provenance(out: Path, inputs: dict[str, Path], facts: dict[str, Any]) -> dict[str, Any]:
    """Hash the named inputs and every result of a run into ``provenance.json``.

    Parameters
    ----------
    out : Path
        Folder of the run's results.
    inputs : dict of str to Path
        Tables and protocol that the run read; absent ones are noted as such.
    facts : dict
        Anything else to keep, such as the protocol's stamp.
    """
    document = {
        **facts,
        "versions": versions(),
        "inputs": {name: sha256(path) if path.is_file() else None for name, path in sorted(inputs.items())},
        "results": {str(p.relative_to(out)): sha256(p) for p in _results(out)},
    }
    write_json(StudyOut(out).provenance, document)
    return document


def _results(out: Path) -> list[Path]:
    files = (p for p in sorted(out.rglob("*")) if p.is_file() and not p.name.startswith("."))
    return [p for p in files if p.relative_to(out).parts[0] not in NOT_HASHED]


def verify(out: Path) -> int:
    """Hash a finished run again and compare; return the number of files that agree.

    Raises
    ------
    InputRefused
        With every file that changed, vanished or came later.
    """
    document = read_json(StudyOut(out).provenance, "finish the run with `petflame report`")
    expected: dict[str, str] = document["results"]
    present = {str(p.relative_to(out)): p for p in _results(out)}
    faults = [Fault("it is missing", name, "run the workflow again") for name in sorted(set(expected) - set(present))]
    faults += [
        Fault("it is not part of the run", name, "remove it, or finish the run again with `petflame report`")
        for name in sorted(set(present) - set(expected))
    ]
    changed = [name for name in sorted(set(expected) & set(present)) if sha256(present[name]) != expected[name]]
    faults += [Fault("its content changed after the run", name, "run the workflow again") for name in changed]
    if faults:
        raise InputRefused(faults)
    return len(expected)
