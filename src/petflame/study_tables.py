"""What the tables of a study must agree on; asked by the planning of a run and by `petflame check` alike."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from petflame.errors import Fault, FaultList, InputRefused
from petflame.files import read_tsv
from petflame.outside import calling
from petflame.places import look_alike_faults
from petflame.repeatability import read_within_subject
from petflame.study import Study
from petflame.trial.plan.sealing import SEALED, read_plan

OPTIONAL = ("participants", "allocation", "outcomes")


@dataclass(frozen=True)
class TableFaults:
    """What is wrong with the tables.

    Attributes
    ----------
    stopping : tuple of Fault
        Nothing can be planned with these.
    exploratory : tuple of Fault
        The comparison of follow-up events alone will be refused for these.
    unread : tuple of Fault
        Files that look like a table and are not read.
    early : tuple of Fault
        What the comparison of events will be refused for though no table is at fault: nobody of one arm is followed.
    """

    stopping: tuple[Fault, ...]
    exploratory: tuple[Fault, ...]
    unread: tuple[Fault, ...]
    early: tuple[Fault, ...] = ()


def table_faults(root: Path, scanned: Collection[str] | None) -> TableFaults:
    """Find every fault of ``participants.tsv``, ``allocation.tsv`` and ``outcomes.tsv``, and of their agreement.

    Parameters
    ----------
    root : Path
        Folder of the tables; each of the three may be absent.
    scanned : collection of str or None
        Participants of ``visits.tsv``; None where that table cannot be read, so that no other is blamed for it.
    """
    from petflame.trial.events.outcomes import load_events, one_arm_fault
    from petflame.trial.tables import read_allocation, read_outcomes, read_participants

    faults, events = FaultList(), FaultList()
    present = {name: root / f"{name}.tsv" for name in OPTIONAL if (root / f"{name}.tsv").exists()}
    people = read_participants(present["participants"], (), faults) if "participants" in present else None
    arms = read_allocation(present["allocation"], faults) if "allocation" in present else None
    known = {
        name: set(table["participant_id"].dropna()) for name, table in (("p", people), ("a", arms)) if table is not None
    }
    if scanned is not None and "p" in known:
        for participant in sorted(set(scanned) - known["p"]):
            faults.add(f"{participant} has visits but no row", "participants.tsv", "add the participant")
    if scanned is not None and "a" in known:
        for participant in sorted(set(scanned) - known["a"]):
            faults.add(f"{participant} has visits but no arm", "allocation.tsv", "add the row, or remove the visits")
        if not set(scanned) & known["a"]:
            faults.add("no participant has both visits and an arm", "allocation.tsv", "use the same participant_id")
    followed = alone = None
    if "outcomes" in present:
        path = present["outcomes"]
        # A faulty allocation is told above, once.
        if arms is not None and not faults:
            followed = load_events(path, present["allocation"], events)
            alone = one_arm_fault(followed, path) if followed is not None else None
        else:
            followed = read_outcomes(path, events)
        if followed is not None and scanned and not set(followed["participant_id"]) & set(scanned):
            what = "no participant has both visits and follow-up"
            events.add(what, calling(path), "use the same participant_id in both tables")
    spelt = {"visits.tsv": scanned, "participants.tsv": known.get("p"), "allocation.tsv": known.get("a")}
    spelt["outcomes.tsv"] = set(followed["participant_id"].dropna()) if followed is not None else None
    faults.extend(look_alike_faults({name: [str(i) for i in ids] for name, ids in spelt.items() if ids}))
    early = (alone,) if alone is not None else ()
    return TableFaults(tuple(faults), tuple(dict.fromkeys(events)), tuple(_unread(root)), early)


def _unread(root: Path) -> list[Fault]:
    """Files with the name of a table and another ending or spelling, such as ``allocation.csv``."""
    names = (*OPTIONAL, "visits")
    faults = []
    for path in sorted(root.iterdir()) if root.is_dir() else []:
        stem, ending = path.stem.lower().strip(), path.suffix.lower()
        if stem in names and ending in (".csv", ".tsv", ".txt", ".xlsx", ".xls", ".ods") and path.name != f"{stem}.tsv":
            what = f"it is not read: the table is called {stem}.tsv, with tabs between its columns"
            faults.append(Fault(what, path.name, f"save it as {stem}.tsv, or take it out of the folder"))
    return faults


def check_tables(study: Study) -> TableFaults:
    """Refuse a study whose tables disagree; return what is wrong besides.

    Raises
    ------
    InputRefused
        With every unknown arm, duplicate, participant with scans but without an arm, and unknown participant.
    """
    found = table_faults(study.root, {v.participant_id for v in study.visits})
    if found.stopping:
        raise InputRefused(found.stopping)
    return found


def plan_faults(root: Path) -> list[Fault]:
    """Return what is wrong with the study's sealed plan, where there is one."""
    if not (root / SEALED).exists():
        return []
    try:
        read_plan(root / SEALED)
    except InputRefused as error:
        return list(error.faults)
    return []


def analysis_faults(study: Study, strata: str, reliability: str | None) -> list[Fault]:
    """Find what the analysis would refuse: a plan edited after its seal, strata that are no columns, no such file.

    Parameters
    ----------
    study : Study
    strata : str
        Columns, separated by commas.
    reliability : str or None
        Path of a ``reliability.json``.
    """
    faults = FaultList()
    faults.extend(plan_faults(study.root))
    if reliability is not None and not Path(reliability).is_file():
        faults.add("there is no such file", f"reliability={reliability}", "name the reliability.json of repeat scans")
    elif reliability is not None:
        try:
            read_within_subject(Path(reliability))
        except InputRefused as error:
            faults.extend(error.faults)
    columns = [c.strip() for c in strata.split(",") if c.strip()]
    path = study.root / "participants.tsv"
    if columns and not path.is_file():
        faults.add("there is no participants.tsv to take them from", f"strata={strata}", "add the table, or no strata")
    elif columns:
        table = read_tsv(path, required=("participant_id",), text=("participant_id", *columns))
        for column in columns:
            if column not in table.columns:
                known = ", ".join(map(str, table.columns))
                faults.add(f"participants.tsv has no column {column!r}", f"strata={strata}", f"name some of: {known}")
                continue
            scanned = {v.participant_id for v in study.visits}
            empty = table[table["participant_id"].isin(scanned) & table[column].isna()]
            for participant in empty["participant_id"]:
                faults.add(f"{participant} has no {column}", "participants.tsv", "fill it in, or leave the stratum out")
    return list(faults)
