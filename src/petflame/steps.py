"""Running a step: what it is made from, what it makes and how it ends, kept beside its products."""

from __future__ import annotations

import shutil
import traceback
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from petflame import __version__
from petflame.errors import (
    Fault,
    InputRefused,
    MachineFault,
    PetflameError,
    UpstreamRefused,
    capped,
    machine_fault,
    names_refused,
)
from petflame.files import TEMPORARY, sha256, write_json, write_text, written
from petflame.fingerprint import Applied, Request, Seen, hash_file
from petflame.folders import MADE, VisitFolder, key_folder
from petflame.outcome import Outcome, products_of
from petflame.pathwords import without_paths
from petflame.privacy import names_in, with_names, without_names
from petflame.seal import read_sealed, sealed

if TYPE_CHECKING:
    from petflame.console import Console

LATER = {"convert": ("identify", "segment", "measure"), "segment": ("measure",)}


def without_identity(fault: Fault, private: Mapping[str, str]) -> Fault:
    """Replace paths and names that tell who or when by what they are for, and unique identifiers by dots.

    >>> without_identity(Fault("gone", "scans/P1/baseline/IM1.2.3.4.5.6.dcm", "x"), {"scans/P1/baseline": "dicom_dir"})
    Fault(what='gone', where='dicom_dir/IM....dcm', remedy='x')
    """

    def clean(text: str) -> str:
        return without_names(without_paths(text, private))

    return Fault(clean(fault.what), clean(fault.where), clean(fault.remedy))


class RunningStep:
    """What a running step has to say of itself so far; filled by `made_from`, written when the step ends."""

    def __init__(self, verb: str, folder: Path, private: Mapping[str, str]) -> None:
        self.folder, self.verb, self.private = folder, verb, private
        self.key = key_folder(folder)
        self.seen = Seen(self.key / "seen" / f"{folder.name}.{verb}.json" if self.key is not None else None)
        self.document: dict[str, Any] = {"status": "ok", "verb": verb, "reasons": [], "version": __version__}

    def made_from(self, request: Request | Applied) -> None:
        """Hash what the step is made from; called before anything of it is read.

        A file that changes between this and its reading leaves a record that no later planning agrees with.
        """
        self.document |= request.made_from(self.seen)

    def end(self, paths: Iterable[Path], status: str = "ok", reasons: Iterable[Fault] = ()) -> None:
        """Keep the hash of every file that was written."""
        products = {name: sha256(self.folder / name) for name in _products(paths, self.folder)}
        kept = [fault.as_dict() for fault in reasons]
        self._write({"status": status, "reasons": kept, "products": products})
        for name in products:
            self.seen(self.folder / name)
        self.seen.save()

    def end_without(self, status: str, faults: Iterable[Fault], paths: Iterable[Path]) -> list[Fault]:
        """Keep why there is no result, and what was written all the same; return the faults as they are kept."""
        told = capped(without_identity(fault, self.private) for fault in faults)
        self.end(paths, status, told)
        return told

    def _write(self, end: Mapping[str, Any]) -> None:
        visit = VisitFolder(self.folder)
        self.document |= end
        write_json(visit.status, status_of(self.document))
        write_json(visit.step(self.verb), sealed(self.document))
        visit.begun(self.verb).unlink(missing_ok=True)


@contextmanager
def step(
    verb: str, folder: Path, record: bool, console: Console, private: Mapping[str, str] | None = None
) -> Iterator[RunningStep]:
    """Run one verb on a folder and leave its outcome there; with `record`, a refusal is an outcome and no failure.

    ``status.json`` holds the latest outcome, ``steps/VERB.json`` that of each verb, with hashes of what the step was
    made from and of every file that it wrote. What the verb, or a later one, made before is removed first, so that it
    cannot speak for files it does not describe. A recorded outcome names nobody: `private` says what to write in
    place of which words.

    Parameters
    ----------
    verb : str
    folder : Path
    record : bool
        Keep refusals and faults of petflame's own as outcomes ``refused`` and ``failed``. Faults of the machine (full
        disk, no memory, closed folder) and signals are never outcomes: they end the step, and it is made again.
    console : Console
    private : mapping of str to str, optional

    Yields
    ------
    RunningStep
        To be told what the step is made from.

    Raises
    ------
    PetflameError
        What the verb raised, unless it is recorded; `MachineFault` in any case.
    """
    existed = folder.exists()
    clear(verb, folder)
    outcome = RunningStep(verb, folder, private or {})
    faults: tuple[Fault, ...] = ()
    paths: list[Path] = []
    # What lies here after a kill is known by this file, which goes when the record comes.
    write_text(VisitFolder(folder).begun(verb), "")
    try:
        with written() as paths, names_refused():
            yield outcome
        outcome.end(paths)
    except MachineFault:
        raise
    except PetflameError as error:
        faults = error.faults
        if not record:
            # A folder with older results must not pass for one that this verb accepted.
            if existed:
                outcome.end_without("refused", faults, paths)
            else:
                _leave_nothing(verb, folder)
            raise
        status = "upstream_refused" if isinstance(error, UpstreamRefused) else "refused"
        console.faults(outcome.end_without(status, faults, paths), "refused")
    except Exception as error:
        fault = machine_fault(error, str(folder))
        if fault is not None:
            raise fault from error
        if not record:
            raise
        faults = (_own_fault(error, verb, folder, outcome.key),)
        console.faults(outcome.end_without("failed", faults, paths), "failed")
    _list_names([*console.said, *(t for f in faults for t in (f.what, f.where, f.remedy))], outcome.key, folder, verb)


def _leave_nothing(verb: str, folder: Path) -> None:
    """Take away a folder that was made for a step that was refused."""
    VisitFolder(folder).begun(verb).unlink(missing_ok=True)
    for path in (folder / "steps", folder):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()


def clear(verb: str, folder: Path) -> None:
    """Remove the verb's and later verbs' outcomes and products, and what a killed job left half written."""
    visit = VisitFolder(folder)
    if key_folder(folder) is not None:
        # Snakemake takes the record away before the job that makes it anew, and with it the list of what lies here.
        for name in MADE.get(verb, ()):
            _remove(folder / name)
    for stale in (verb, *LATER.get(verb, ())):
        # A record that was edited must not take away another step's products.
        others = {name for names in MADE.values() for name in names} - set(MADE[stale]) if stale in MADE else ()
        for name in products_of(visit.step(stale)):
            if name not in others and (folder / name).is_file():
                (folder / name).unlink()
        visit.step(stale).unlink(missing_ok=True)
        visit.begun(stale).unlink(missing_ok=True)
    visit.status.unlink(missing_ok=True)
    left = [*folder.glob(f".*{TEMPORARY}"), *folder.glob(f"steps/.*{TEMPORARY}")]
    for path in (*left, *folder.parent.glob(f".{folder.name}.*{TEMPORARY}")):
        _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def status_of(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return what ``status.json`` holds of a step's record."""
    return {key: document.get(key) for key in ("status", "verb", "reasons")}


def _products(paths: Iterable[Path], folder: Path) -> list[str]:
    """Return the files that were written and lie in the folder, whether in place or moved into it."""
    root = folder.resolve()
    names = set()
    for path in paths:
        place = path.resolve() if path.exists() else root / path.name
        if place.is_file() and place.is_relative_to(root):
            names.add(place.relative_to(root).as_posix())
    own = {name for name in names if not name.startswith("key/") and Path(name).parent.name != "steps"}
    return sorted(own - {"status.json"})


def _own_fault(error: Exception, verb: str, folder: Path, key: Path | None) -> Fault:
    """Describe a fault of petflame's own, and leave what a report of it needs, locally: it may hold names."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    remedy = "this is a fault of petflame: run the same line again; if it comes again, report it"
    if key is not None:
        path = key / "failures" / f"{folder.name}.{verb}.txt"
        text = "".join(traceback.format_exception(error))
        write_text(path, f"petflame {__version__}, {verb}\n\n{with_names(text)}", private=True)
        remedy += f" with {path.relative_to(key.parent).as_posix()}, after a look that it names nobody"
    # The message itself may hold a name or a path, the kind and the place cannot.
    return Fault(f"petflame failed ({type(error).__name__} in {last.name}, line {last.lineno})", verb, remedy)


def _list_names(texts: Iterable[str], key: Path | None, folder: Path, verb: str) -> None:
    if key is None:
        return
    rows = names_in(texts)
    path = key / "names" / f"{folder.name}.{verb}.tsv"
    if rows:
        lines = ["stands_for\tname", *(f"{a}\t{b}".replace("\n", " ") for a, b in rows)]
        write_text(path, "\n".join(lines) + "\n", private=True)
    else:
        path.unlink(missing_ok=True)


def require_upstream(folder: Path, *verbs: str) -> None:
    """Pass on the refusal of an earlier verb, and refuse products that are not as that verb left them.

    Raises
    ------
    UpstreamRefused
        With the reasons that the earlier verb gave.
    InputRefused
        When an earlier verb has begun here and did not end, or with every product that changed after it ended.
    """
    visit = VisitFolder(folder)
    for verb in verbs:
        path = visit.step(verb)
        if visit.begun(verb).exists():
            raise InputRefused.of(f"`petflame {verb}` has not ended here", str(folder), f"run `petflame {verb}` again")
        if not path.exists():
            # Files that another tool put here have no record; the verb that reads them says what is missing.
            continue
        outcome = Outcome.of(read_sealed(path, f"run `petflame {verb}` again"))
        if not outcome.is_ok:
            raise UpstreamRefused(outcome.reasons or (Fault("it was refused", str(path), "run it again"),))
    refuse_changed(folder, *verbs)


def refuse_changed(folder: Path, *verbs: str) -> None:
    """Refuse products that are not what the verb that wrote them recorded.

    Raises
    ------
    InputRefused
        With every file that changed or vanished.
    """
    faults = []
    for verb in verbs:
        for name, digest in products_of(VisitFolder(folder).step(verb)).items():
            found = hash_file(folder / name)
            if found != digest:
                what = "it is missing" if found is None else f"it is not as `petflame {verb}` left it"
                faults.append(Fault(what, f"{folder.name}/{name}", f"run `petflame {verb}` again, or the workflow"))
    if faults:
        raise InputRefused(faults)
