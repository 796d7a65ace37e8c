"""The chain from DICOM to the report: every record of a step against its products, and against the steps before it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from petflame.errors import Fault, InputRefused
from petflame.files import read_json, read_tsv
from petflame.fingerprint import Request, Source, hash_file
from petflame.folders import StudyOut, VisitFolder
from petflame.outcome import products_of
from petflame.requests import left_out_source, steps_before_report
from petflame.seal import read_sealed, seal_holds
from petflame.steps import status_of

if TYPE_CHECKING:
    import pandas as pd

OF_A_VISIT, OF_A_PAIR = ("convert", "identify", "segment", "measure"), ("pair",)
OF_THE_TRIAL = ("identify", "collect", "analyse", "outcomes")
AFTER_COLLECT = ("analyse", "outcomes", "report")
IMAGES = (".nii.gz",)


@dataclass(frozen=True)
class Link:
    """A step that has ended.

    Attributes
    ----------
    verb : str
    folder : Path
        Of its products: a visit, a pair, or the results' root.
    place : str
        How messages name the folder; empty for the root.
    """

    verb: str
    folder: Path
    place: str

    @property
    def record(self) -> Path:
        """The step's outcome."""
        return VisitFolder(self.folder).step(self.verb)

    def named(self, name: str) -> str:
        """Path of a file of this step below the results."""
        return f"{self.place}/{name}" if self.place else name

    @property
    def remedy(self) -> str:
        """What makes the step's products anew."""
        of = f" of {self.folder.name}" if self.place else ""
        return f"run the workflow again, which makes `petflame {self.verb}`{of} anew"


def links(out: Path, codes: Collection[str] | None = None) -> Iterator[Link]:
    """Yield every step that has left a record in the results, in the order of the road.

    Folders of visits that are no longer in the study are passed over: `codes` tells which are, by default the key
    table of the results.
    """
    known = codes if codes is not None else codes_of(StudyOut(out))
    for kind, order in (("visits", OF_A_VISIT), ("pairs", OF_A_PAIR)):
        for folder in _folders(out, kind):
            if known is None or folder.name in known:
                yield from _links_of(folder, f"{kind}/{folder.name}", order)
    yield from _links_of(out, "", (*OF_THE_TRIAL, "report"))


def recorded_files(out: Path) -> set[str]:
    """Return the paths below the results of every record, and of every file that a record accounts for.

    Empty where the trial's own steps left none, as when they are called from Python.
    """
    found: set[str] = set()
    trial = False
    for link in links(out):
        trial |= not link.place
        found |= {link.named(name) for name in products_of(link.record)}
        found |= {link.named(f"steps/{link.verb}.json"), link.named("status.json")}
        if link.verb == "measure":
            # A reader's own table, which the step reads.
            found |= {link.named(path.name) for path in VisitFolder(link.folder).left_out}
    return found if trial else set()


def codes_of(results: StudyOut) -> set[str] | None:
    """Return the codes of visits and pairs in the key table; None where there is no readable one."""
    try:
        return set(map(str, _key_table(results)["code"]))
    except InputRefused:
        return None


def key_rows(results: StudyOut) -> list[tuple[str, str, str]]:
    """Return code, participant and visit (or 'pair') of the key table's rows; none where there is no readable one."""
    try:
        table = _key_table(results)
    except InputRefused:
        return []
    return [(str(row["code"]), str(row["participant_id"]), str(row["visit"])) for row in table.to_dict("records")]


def _key_table(results: StudyOut) -> pd.DataFrame:
    columns = ("code", "participant_id", "visit")
    return read_tsv(results.key_table, required=columns, text=columns)


def _links_of(folder: Path, place: str, order: tuple[str, ...]) -> Iterator[Link]:
    verbs = {path.stem for path in (folder / "steps").glob("*.json")}
    for verb in (*(v for v in order if v in verbs), *sorted(verbs - set(order))):
        yield Link(verb, folder, place)


def chain_faults(
    out: Path, without: Collection[str] = (), images: bool = True, codes: Collection[str] | None = None
) -> list[Fault]:
    """Return where the results are not what their makers recorded, or were made from others than lie there.

    Parameters
    ----------
    out : Path
        Folder of the results.
    without : collection of str
        Verbs of the whole trial to leave out: that at work, those after it, and what it does not read.
    images : bool
        Hash images too, which takes longest.
    codes : collection of str, optional
        Of the study's visits and pairs; by default those of the key table.
    """
    faults: list[Fault] = []
    whole: list[Link] = []
    folders: dict[Path, list[Link]] = {}
    for link in links(out, codes):
        if link.place or link.verb not in without:
            folders.setdefault(link.folder, []).append(link)
            found = product_faults(link, images)
            faults += found
            whole += [] if found else [link]
    for folder, own in folders.items():
        # A verb that is left out may be at work, and has then taken the root's away.
        if folder != out or not without:
            faults += status_faults(folder, own)
    gathered = _collected(StudyOut(out), codes)
    visits = {digest for folder in _folders(out, "visits") for digest in _digests({"": _records(folder)}).values()}
    for link in whole:
        faults += _upstream_faults(link, read_json(link.record), out, visits, gathered)
    return faults


def product_faults(link: Link, images: bool = True) -> list[Fault]:
    """Return what is wrong with a step's record and the products that it names."""
    where = link.named(f"steps/{link.verb}.json")
    try:
        document = read_json(link.record, link.remedy)
    except InputRefused as refusal:
        return [Fault(fault.what, where, link.remedy) for fault in refusal.faults]
    if not seal_holds(document):
        return [Fault("the record of the step was changed after it ended", where, link.remedy)]
    faults = []
    for name, digest in products_of(link.record).items():
        if images or not name.endswith(IMAGES):
            found = hash_file(link.folder / name)
            if found != digest:
                what = "it is missing" if found is None else f"its content is not as `petflame {link.verb}` left it"
                faults.append(Fault(what, link.named(name), link.remedy))
    return faults


def status_faults(folder: Path, own: list[Link] | None = None) -> list[Fault]:
    """Compare a folder's ``status.json``, the outcome of its latest step in short, with that step's record.

    Parameters
    ----------
    folder : Path
    own : list of Link, optional
        The folder's steps; by default those that left a record.
    """
    own = own or list(_links_of(folder, folder.name, (*OF_A_VISIT, *OF_A_PAIR, *OF_THE_TRIAL, "report")))
    path = VisitFolder(folder).status
    try:
        status = read_json(path)
        told = [link for link in own if link.verb == status.get("verb")]
        if told and status == status_of(read_json(told[0].record)):
            return []
        what = "its content is not that of a step's record"
    except InputRefused as refusal:
        what = refusal.faults[0].what
    return [Fault(what, own[-1].named(path.name), own[-1].remedy)] if own else []


def _upstream_faults(
    link: Link,
    document: Mapping[str, Any],
    out: Path,
    visits: Collection[str],
    gathered: Mapping[str, tuple[Path, ...]],
) -> list[Fault]:
    """Compare what a step says that it was made from with the records and tables that lie there."""
    results, then = StudyOut(out), document.get("upstream", {})
    now: dict[str, Any] = {}
    if link.place and link.verb in OF_A_VISIT:
        now = _digests({verb: (VisitFolder(link.folder).step(verb),) for verb in then})
    elif link.verb == "pair":
        # The pair does not say which visits it has; that it was made from visits as they lie there is enough.
        now = {role: digest if digest in visits else None for role, digest in then.items()}
    elif link.verb == "identify":
        now = _digests({"visits": gathered["visits"][:: len(OF_A_VISIT)]} if gathered else {})
    elif link.verb == "collect":
        now = _digests(gathered)
    elif link.verb == "report":
        now = _digests(steps_before_report(results))
    words = [f"the {role}" for role in then if now.get(role) != then[role]] if now else []
    sources = document.get("sources", {})
    if link.verb in ("analyse", "outcomes") and results.step("collect").exists():
        tables = (results.patients, results.vessels, results.exclusions, results.variations)
        given = {f"table {n}": path for n, path in enumerate(tables)} | {"patients": results.patients}
        same = Request("", {}, {role: Source.of(path) for role, path in given.items() if role in sources})
        found = same.made_from(hash_file)["sources"]
        words += [given[role].name for role in found if found[role] != sources[role]]
    if link.verb == "measure" and "left_out" in sources:
        own = Request("", {}, {"left_out": left_out_source(VisitFolder(link.folder))})
        if own.made_from(hash_file)["sources"]["left_out"] != sources["left_out"]:
            words.append("left_out.tsv")
    if not words:
        return []
    what = f"it was made from others than lie there: {', '.join(words)}"
    return [Fault(what, link.named(f"steps/{link.verb}.json"), link.remedy)]


def _digests(upstream: Mapping[str, tuple[Path, ...]]) -> dict[str, str]:
    return Request("", {}, {}, upstream).made_from(hash_file)["upstream"]


def _records(folder: Path) -> tuple[Path, ...]:
    return tuple(VisitFolder(folder).step(verb) for verb in OF_A_VISIT)


def _folders(out: Path, kind: str) -> list[Path]:
    return sorted(p for p in (out / kind).glob("*") if p.is_dir())


def _collected(results: StudyOut, codes: Collection[str] | None) -> dict[str, tuple[Path, ...]]:
    """Return the records that ``collect`` gathers: of the visits and pairs given, or of those in the key table."""
    if codes is not None:
        scans, pairs = ([c for c in codes if c.startswith(kind)] for kind in "VP")
    else:
        try:
            key = _key_table(results)
        except InputRefused:
            return {}
        of_visits = key[key["visit"] != "pair"]
        both = of_visits["participant_id"].value_counts() == 2
        of_pairs = key[(key["visit"] == "pair") & key["participant_id"].isin(both.index[both])]
        scans, pairs = list(map(str, of_visits["code"])), list(map(str, of_pairs["code"]))
    return {
        "visits": tuple(r for code in sorted(scans) for r in _records(results.visit(code).root)),
        "pairs": tuple(results.pair(code).step("pair") for code in sorted(pairs)),
    }


def refuse_broken(
    out: Path, without: Collection[str], images: bool = True, codes: Collection[str] | None = None
) -> None:
    """Refuse results that are not what their makers recorded, before anything is made from them.

    Raises
    ------
    InputRefused
        With every file that changed, and every step that was made from others than lie there.
    """
    faults = chain_faults(out, without, images, codes)
    if faults:
        raise InputRefused(faults)


def refuse_changed_tables(tables: Iterable[Path | None]) -> None:
    """Refuse tables that lie in a folder of results and are not what the step that made them recorded.

    Raises
    ------
    InputRefused
        With every table that changed after it was made.
    """
    faults = []
    for path in filter(None, tables):
        for link in _links_of(path.parent, "", OF_THE_TRIAL):
            if path.name in read_sealed(link.record, link.remedy).get("products", {}):
                faults += [fault for fault in product_faults(link, False) if fault.where == path.name]
    if faults:
        raise InputRefused(faults)
