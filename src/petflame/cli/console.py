"""What a verb says while it runs, and what it leaves behind when it is refused."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from petflame.errors import Fault, PetflameError, UpstreamRefused
from petflame.folders import VisitFolder
from petflame.privacy import with_names, without_names

Record = Annotated[
    bool, typer.Option("--record", help="Write status.json and exit 0 when the input is refused (for workflows).")
]
LogJson = Annotated[bool, typer.Option("--log-json", help="Say everything as one JSON object a line, on stderr.")]
ProtocolFile = Annotated[
    Path | None, typer.Option("--protocol", help="YAML file of measurement choices; default ivory_assumed_v0.")
]


@dataclass(frozen=True)
class Console:
    """Speaks to people in plain lines, or to machines in JSON lines.

    Attributes
    ----------
    as_json : bool
    recorded : bool
        Whether a workflow keeps what is said: then stand-ins take the place of names from outside.
    """

    as_json: bool = False
    recorded: bool = False

    def say(self, text: str, **facts: Any) -> None:
        """Report progress or a result."""
        self._emit("info", text, facts, sys.stdout)

    def warn(self, text: str) -> None:
        """Report a doubt."""
        self._emit("warning", text, {}, sys.stderr)

    def faults(self, faults: Iterable[Fault], level: str = "error") -> None:
        """Report each fault on a line of its own."""
        for fault in faults:
            self._emit(level, str(fault).replace("\n", " "), fault.as_dict(), sys.stderr)

    def _emit(self, level: str, text: str, facts: dict[str, Any], stream: Any) -> None:
        show = without_names if self.recorded else with_names
        text = show(text)
        if self.as_json:
            told = {key: show(value) if isinstance(value, str) else value for key, value in facts.items()}
            print(json.dumps({"level": level, "message": text, **told}, ensure_ascii=False), file=sys.stderr)
        else:
            print(text if level == "info" else f"{level}: {text}", file=stream)

    @contextmanager
    def progress(self, title: str, total: int) -> Iterator[Any]:
        """Yield a function to call after each of `total` steps: a bar on a terminal, plain lines elsewhere."""
        if sys.stderr.isatty() and not self.as_json:
            from rich.console import Console as Rich
            from rich.progress import Progress

            with Progress(console=Rich(stderr=True), transient=True) as bar:
                task = bar.add_task(title, total=total)
                yield lambda: bar.advance(task)
            return
        done = 0

        def advance() -> None:
            nonlocal done
            done += 1
            if done == total or done % max(1, total // 10) == 0:
                self._emit("progress", f"{title}: {done} of {total}", {"done": done, "total": total}, sys.stderr)

        yield advance


PRODUCTS = {
    "convert": ("labels.nii.gz", "labels.json", "slices.tsv", "vessels.tsv", "variations.tsv", "measure.json"),
    "segment": ("slices.tsv", "vessels.tsv", "variations.tsv", "measure.json"),
    "pair": ("index.json", "pair.json", "patients.tsv", "vessels.tsv", "sections.tsv", "variations.tsv"),
}
LATER = {"convert": ("identify", "segment", "measure"), "segment": ("measure",)}


def without_identity(fault: Fault, private: Mapping[str, str]) -> Fault:
    """Replace paths and names that tell who or when by what they are, and unique identifiers by dots.

    >>> without_identity(Fault("gone", "scans/P1/baseline/IM1.2.3.4.5.6.dcm", "x"), {"scans/P1/baseline": "dicom_dir"})
    Fault(what='gone', where='dicom_dir/IM....dcm', remedy='x')
    """

    def clean(text: str) -> str:
        for word in sorted(private, key=len, reverse=True):
            text = text.replace(word, private[word])
        return without_names(text)

    return Fault(clean(fault.what), clean(fault.where), clean(fault.remedy))


@contextmanager
def step(
    verb: str, folder: Path, record: bool, console: Console, private: Mapping[str, str] | None = None
) -> Iterator[None]:
    """Run one verb on a folder and leave its outcome there; with `record`, a refusal is an outcome and no failure.

    ``status.json`` holds the latest outcome, ``steps/VERB.json`` that of each verb. What later verbs made of an
    older result is removed first, so that it cannot speak for files it does not describe. A recorded refusal names
    nobody: `private` says what to write in place of which words.
    """
    from petflame.files import write_json

    visit = VisitFolder(folder)
    visit.step(verb).unlink(missing_ok=True)
    visit.status.unlink(missing_ok=True)
    for name in PRODUCTS.get(verb, ()):
        (folder / name).unlink(missing_ok=True)
    for later in LATER.get(verb, ()):
        visit.step(later).unlink(missing_ok=True)
    existed = folder.exists()
    outcome: dict[str, Any] = {"status": "ok", "verb": verb, "reasons": []}
    try:
        yield
    except PetflameError as error:
        faults = [without_identity(fault, private or {}) for fault in error.faults]
        status = "upstream_refused" if isinstance(error, UpstreamRefused) else "refused"
        outcome |= {"status": status, "reasons": [fault.as_dict() for fault in faults]}
        if not record:
            # A folder with older results must not pass for one that this verb accepted.
            if existed:
                write_json(visit.step(verb), outcome)
            raise
        console.faults(faults, "refused")
    write_json(visit.status, outcome)
    write_json(visit.step(verb), outcome)


def require_upstream(folder: Path, *verbs: str) -> None:
    """Pass on the refusal of an earlier verb, if one is on record.

    Raises
    ------
    UpstreamRefused
        With the reasons that the earlier verb gave.
    """
    from petflame.files import read_json

    for verb in verbs:
        path = VisitFolder(folder).step(verb)
        if path.exists():
            outcome = read_json(path)
            if outcome["status"] != "ok":
                raise UpstreamRefused(Fault(**reason) for reason in outcome["reasons"])
