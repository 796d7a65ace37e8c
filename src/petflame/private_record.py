"""What lies under ``key/``, and what lies in the study's folder that no step reads: hashed, and kept under ``key/``.

The hashes stay with what they are of: names of files may tell who was scanned, and from the hash of a short table its
content can be guessed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from petflame.errors import Fault, InputRefused
from petflame.files import is_litter, read_json, sha256, write_json
from petflame.fingerprint import hash_file, seen_holds
from petflame.seal import seal_holds, sealed
from petflame.study import Study

NAME = "provenance.json"
# Written by planning, before and after the report: a list of hashes that carries its own, and marks for snakemake.
BY_PLANNING = ("seen", "plan")
# A study's folder may be the root of an archive.
MOST_FILES, MOST_BYTES = 10_000, 256 * 2**20


def write_private_record(out: Path, study: Study | None) -> None:
    """Keep the hashes of what lies under ``key/`` and, where the study is known, of its files that no step reads."""
    key = out / "key"
    if not key.is_dir():
        return
    files, left = ({}, 0) if study is None else _study_files(study, out)
    present = {name: sha256(path) for name, path in _key_files(key) if not name.startswith("seen/")}
    write_json(key / NAME, sealed({"key": present, "study": files, "left": left}), private=True)


def _key_files(key: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted(key.rglob("*")):
        name = path.relative_to(key).as_posix()
        if path.is_file() and name != NAME and not is_litter(path):
            yield name, path


def _study_files(study: Study, out: Path) -> tuple[dict[str, str], int]:
    """Hash the files of the study's folder that are neither a visit's DICOM nor results; count those left out."""
    passed_over = {os.path.realpath(path) for path in (out, *(v.dicom_dir for v in study.visits))}
    found: dict[str, str] = {}
    left = 0
    for folder, folders, names in os.walk(study.root):
        folders[:] = sorted(f for f in folders if os.path.realpath(os.path.join(folder, f)) not in passed_over)
        for name in sorted(names):
            path = Path(folder, name)
            if is_litter(path) or not path.is_file():
                continue
            digest = None
            if len(found) < MOST_FILES and path.stat().st_size <= MOST_BYTES:
                digest = hash_file(path)
            if digest is None:
                left += 1
            else:
                found[os.fsdecode(os.fsencode(path.relative_to(study.root)))] = digest
        if left > MOST_FILES:
            break
    return found, left


def read_private_record(out: Path) -> dict[str, Any] | None:
    """Return the hashes that the run kept under ``key/``; None where it kept none, or they were changed."""
    try:
        document = read_json(out / "key" / NAME)
    except InputRefused:
        return None
    return document if seal_holds(document) else None


def private_faults(out: Path) -> tuple[list[Fault], int]:
    """Compare what lies under ``key/`` with what the run kept; also return how many files were hashed."""
    key = out / "key"
    if not key.is_dir():
        return [Fault("it is missing, and with it which code is whose", "key", _remedy("blinding.key", out))], 0
    again = f"make it anew with `petflame report {out}`"
    if not (key / NAME).exists():
        return [Fault("it is missing", f"key/{NAME}", again)], 0
    kept = read_private_record(out)
    if kept is None:
        return [Fault("its content changed after the run", f"key/{NAME}", again)], 0
    present = dict(_key_files(key))
    faults = []
    for name, digest in kept["key"].items():
        if name in present and hash_file(present[name]) != digest:
            faults.append(Fault("its content changed after the run", f"key/{name}", _remedy(name, out)))
        elif name not in present and not name.startswith("plan/"):
            faults.append(Fault("it is missing", f"key/{name}", _remedy(name, out)))
    for name in sorted(set(present) - set(kept["key"])):
        if name.startswith("seen/"):
            if not seen_holds(present[name]):
                what = "its content is not as planning left it"
                faults.append(Fault(what, f"key/{name}", "remove it: planning hashes the files anew"))
        elif not name.startswith("plan/"):
            faults.append(Fault("it is not part of the run", f"key/{name}", f"remove it, or {again}"))
    return faults, len(present) + 1


def _remedy(name: str, out: Path) -> str:
    if name == "blinding.key":
        return f"restore it from a copy; without it, remove {out} and run the workflow anew"
    if name in ("key.tsv", "key_columns.json"):
        return "run the workflow again, which makes `petflame collect` anew"
    if name == "review_items.json":
        return "restore it from a copy: which repeat is which visit stands nowhere else"
    if name == "identity.tsv":
        return "remove it and run the workflow again, which makes `petflame identify` anew"
    kind, _, rest = name.partition("/")
    if kind == "identity" and rest.endswith(".json"):
        return f"remove it and run the workflow again, which makes `petflame convert` of {rest[:-5]} anew"
    code, _, verb = rest.rpartition(".")[0].rpartition(".")
    if kind in ("names", "failures") and code and verb:
        place = {"V": f"visits/{code}/", "P": f"pairs/{code}/"}.get(code[0], "")
        return f"remove {place}steps/{verb}.json and run the workflow again, which makes `petflame {verb}` anew"
    return f"put it back from a copy, or accept it with `petflame report {out}`"
