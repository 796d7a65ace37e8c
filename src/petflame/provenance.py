"""What a run was made from and what it made: versions and hashes, to be checked again at any time."""

from __future__ import annotations

import hashlib
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

from petflame import __version__
from petflame.chain import recorded_files
from petflame.errors import Fault, InputRefused
from petflame.files import is_litter, read_json, sha256, write_json, write_text
from petflame.folders import StudyOut

PACKAGES = ("numpy", "scipy", "pydicom", "nibabel", "SimpleITK", "pandas", "statsmodels", "lifelines", "firthmodels")
# What readers leave, beside the steps: reading may go on after the report.
READING = "review"
# The report carries this document's hash and comes after it, as does the record of the step that writes both.
NOT_HASHED = ("logs", "key", "simulated_study", "report.html", "provenance.json", "report.sha256", "status.json")


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
        "results": {name: sha256(out / name) for name in _made(out)},
    }
    write_json(StudyOut(out).provenance, document)
    return document


def _made(out: Path) -> list[str]:
    """Return the files that a step says it made; every file where the steps left no records."""
    names = [str(p.relative_to(out)) for p in _results(out)]
    made = recorded_files(out)
    return [name for name in names if name in made or is_of_readers(name)] if made else names


def is_of_readers(name: str) -> bool:
    """Tell whether a file of the results, named from their root, is of a reader's work."""
    return name.startswith(f"{READING}/")


def has_grown(path: Path, then: str) -> bool:
    """Tell whether a log holds what it held when it had a hash, byte for byte, and whole lines after that.

    Parameters
    ----------
    path : Path
    then : str
        SHA-256 in hexadecimal.
    """
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        for line in stream:
            digest.update(line)
            if digest.hexdigest() == then:
                return path.name.endswith(".jsonl")
    return False


def _results(out: Path) -> list[Path]:
    """Return every file of the results, but for what is covered otherwise."""
    files = (p for p in sorted(out.rglob("*")) if p.is_file() and not is_litter(p))
    late = out / "steps" / "report.json"
    return [p for p in files if p.relative_to(out).parts[0] not in NOT_HASHED and p != late]


def write_report_hashes(out: Path) -> None:
    """Write ``report.sha256``: hashes of report and provenance, as `sha256sum --check` reads them."""
    results = StudyOut(out)
    lines = [f"{sha256(path)}  {path.name}\n" for path in (results.provenance, results.report)]
    write_text(results.report_hashes, "".join(lines))


def _report_faults(results: StudyOut) -> list[Fault]:
    again = "finish the run again with `petflame report`"
    try:
        lines = results.report_hashes.read_text(encoding="utf-8").split("\n")
    except (OSError, ValueError):
        return [Fault("it is missing or unreadable", results.report_hashes.name, again)]
    kept = {name: digest for digest, _, name in (line.partition("  ") for line in lines if line)}
    faults = []
    for path in (results.provenance, results.report):
        if not path.is_file():
            faults.append(Fault("it is missing", path.name, again))
        elif kept.get(path.name) != sha256(path):
            faults.append(Fault("its content changed after the run", path.name, again))
    return faults


def _changed_inputs(recorded: dict[str, str | None], inputs: dict[str, Path]) -> list[Fault]:
    faults = []
    for name, path in sorted(inputs.items()):
        now = sha256(path) if path.is_file() else None
        if name not in recorded:
            faults.append(Fault("the run did not read it", str(path), "name what the run was made from"))
        elif now != recorded[name]:
            happened = "changed" if now and recorded[name] else "came" if now else "went"
            faults.append(Fault(f"it {happened} after the run", str(path), "run the workflow again"))
    return faults


def snapshot_faults(out: Path) -> tuple[list[Fault], int]:
    """Compare a finished run with ``provenance.json`` and ``report.sha256``; also return how many files were hashed.

    Readers may go on after the run: a log that has grown since, and files of theirs that came, are no faults.
    """
    remedy = "finish the run with `petflame report`"
    try:
        document = read_json(StudyOut(out).provenance, remedy)
        expected = {str(name): str(digest) for name, digest in document["results"].items()}
    except (InputRefused, KeyError, AttributeError):
        return [Fault("it is missing or cannot be read", StudyOut(out).provenance.name, remedy)], 0
    present = {str(p.relative_to(out)): p for p in _results(out)}
    faults = [Fault("it is missing", name, "run the workflow again") for name in sorted(set(expected) - set(present))]
    faults += [
        Fault("it is not part of the run", name, "remove it; if a step made it, finish the run with `petflame report`")
        for name in sorted(set(present) - set(expected))
        if not is_of_readers(name)
    ]
    changed = [name for name in sorted(set(expected) & set(present)) if sha256(present[name]) != expected[name]]
    changed = [n for n in changed if not (is_of_readers(n) and has_grown(present[n], expected[n]))]
    faults += [Fault("its content changed after the run", name, "run the workflow again") for name in changed]
    return faults + _report_faults(StudyOut(out)), len(expected) + 2


def read_since(out: Path) -> list[str]:
    """Name the files of readers that came, and the logs that have grown, since the run."""
    try:
        expected = read_json(StudyOut(out).provenance)["results"]
    except (InputRefused, KeyError):
        # Told by `snapshot_faults`.
        return []
    files = [p for p in sorted((out / READING).rglob("*")) if p.is_file() and not is_litter(p)]
    return [n for p in files if expected.get(n := p.relative_to(out).as_posix()) != sha256(p)]


def verify(out: Path, inputs: dict[str, Path] | None = None) -> int:
    """Hash a finished run again and compare; return the number of files that agree.

    Parameters
    ----------
    out : Path
        Folder of the run's results.
    inputs : dict of str to Path, optional
        Tables and protocol, by the names that `write_provenance` was given, to be compared too.

    Raises
    ------
    InputRefused
        With every file that changed, vanished or came later.
    """
    document = read_json(StudyOut(out).provenance, "finish the run with `petflame report`")
    faults, count = snapshot_faults(out)
    faults += _changed_inputs(document.get("inputs", {}), inputs or {})
    if faults:
        raise InputRefused(faults)
    return count + len(inputs or {})
