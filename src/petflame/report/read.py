"""Reading a finished study into one frozen value; images stay on disk until a picture needs them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from petflame.dicom.product import PetSidecar, read_pet_sidecar
from petflame.errors import InputRefused
from petflame.files import read_json, read_tsv, sha256
from petflame.folders import PairFolder, StudyOut, VisitFolder
from petflame.measure.product import read_details, read_slices, read_vessels
from petflame.outcome import read_outcome
from petflame.study import VISITS
from petflame.trial.schema import first_fault

if TYPE_CHECKING:
    import pandas as pd

Row = Mapping[str, Any]
TEXT = (
    "participant_id",
    "code",
    "visit",
    "vessel",
    "reason",
    "scanner",
    "index_seal",
    "what",
    "where",
    "remedy",
    "arm",
)
OF_THE_CHANGE = ("percent_change", "percent_low", "percent_high", "verdict")
SIMULATED_FORMAT = "petflame-simulated-truth"


@dataclass(frozen=True, eq=False)
class VisitResult:
    """What is known about one visit.

    Attributes
    ----------
    code : str
        Folder name; empty where the visit has no row.
    visit : {'baseline', 'followup'}
    folder : VisitFolder or None
    sidecar : PetSidecar or None
    details : mapping
        ``measure.json``; empty where it does not exist.
    slices, vessels : tuple of mapping
        Rows of the visit's tables; empty where it was not measured.
    """

    code: str
    visit: str
    folder: VisitFolder | None
    sidecar: PetSidecar | None
    details: Row
    slices: tuple[Row, ...]
    vessels: tuple[Row, ...]

    @property
    def has_pictures(self) -> bool:
        """Whether image, labels and sections exist."""
        return (
            bool(self.slices) and self.folder is not None and self.folder.pet.exists() and self.folder.labels.exists()
        )

    @property
    def withheld(self) -> frozenset[str]:
        """Arteries that need a reader at this visit, or whose blood pool does: they count nowhere."""
        return frozenset(str(row["vessel"]) for row in self.vessels if row.get("withheld") is True)

    def rows_of(self, vessel: str) -> list[Row]:
        """Sections of a vessel, lowest first."""
        return [row for row in self.slices if row["vessel"] == vessel]


@dataclass(frozen=True, eq=False)
class Participant:
    """One participant with everything that was measured.

    Attributes
    ----------
    id : str
    arm : str or None
        None where the trial is blinded or the allocation does not hold the participant.
    row : mapping
        Row of ``patients.tsv``; columns that are absent or empty give None.
    change : mapping
        Row of the analysis's ``patient_changes.tsv``; empty where a visit was not measured.
    vessels : tuple of mapping
        Rows of ``vessels.tsv``.
    visits : dict
        'baseline' and 'followup'.
    items : tuple of mapping
        Graded items of comparability.
    sections : tuple of mapping
        Sections of both visits side by side.
    exclusions : tuple of mapping
        Refusals and flags of this participant.
    """

    id: str
    arm: str | None
    row: Row
    change: Row
    vessels: tuple[Row, ...]
    visits: Mapping[str, VisitResult]
    items: tuple[Row, ...]
    sections: tuple[Row, ...]
    exclusions: tuple[Row, ...]

    def value(self, column: str) -> Any:
        """Value of ``patients.tsv``, or of the analysis where only that has it; of a change and its band the latter's.

        The analysis may know the study's own repeatability, which each pair could not.
        """
        found = None if column in OF_THE_CHANGE else self.row.get(column)
        return self.change.get(column) if found is None else found

    @property
    def measured(self) -> bool:
        """Whether there is a change between two visits."""
        return self.value("percent_change") is not None


@dataclass(frozen=True, eq=False)
class Results:
    """A finished study.

    Attributes
    ----------
    out : StudyOut
    arms : mapping
        ``arms.json``.
    outcomes : mapping or None
        ``outcomes.json``; None where there is no table of events.
    outcomes_refused : tuple of mapping
        Why there is no comparison of events although there is a table: {what, where, remedy} each.
    participants : tuple of Participant
        Sorted by id; randomised participants without scans too.
    exclusions : tuple of mapping
    simulated : bool
        Whether the study's own truth table says that it is constructed.
    """

    out: StudyOut
    arms: Row
    outcomes: Row | None
    outcomes_refused: tuple[Row, ...]
    participants: tuple[Participant, ...]
    exclusions: tuple[Row, ...]
    simulated: bool

    @property
    def blinded(self) -> bool:
        """Whether no arm is known."""
        return all(p.arm is None for p in self.participants)

    @property
    def measured_here(self) -> bool:
        """Whether the results hold visits that were measured, and not tables alone."""
        return any(visit.code for p in self.participants for visit in p.visits.values())

    @property
    def measured(self) -> list[Participant]:
        """Participants with a change."""
        return [p for p in self.participants if p.measured]


def records(table: pd.DataFrame) -> tuple[Row, ...]:
    """Return the rows as mappings; missing cells are None and absent columns stay absent."""
    rows = table.astype(object).where(table.notna(), None).to_dict("records")
    return tuple({str(k): v for k, v in row.items()} for row in rows)


KEY_COLUMNS = ("participant_id", "visit", "code")
EXCLUSION_COLUMNS = ("participant_id", "visit", "step", "kind", "what", "where", "remedy")


def _analysed(results: StudyOut) -> pd.DataFrame:
    if not results.patient_changes.exists():
        raise InputRefused.of("it is missing", results.patient_changes.name, "run `petflame analyse` again")
    return read_tsv(results.patient_changes, ("participant_id",), TEXT)


def _optional(path: Path, *required: str) -> tuple[Row, ...]:
    return records(read_tsv(path, required, TEXT)) if path.exists() else ()


def _json(path: Path) -> Row:
    return read_json(path) if path.exists() else {}


def _grouped(rows: tuple[Row, ...]) -> dict[str, tuple[Row, ...]]:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(str(row["participant_id"]), []).append(row)
    return {name: tuple(group) for name, group in groups.items()}


def read_results(out: Path, study: Path | None = None) -> Results:
    """Read the results of a finished run.

    Parameters
    ----------
    out : Path
        Folder of the results. Only ``arms.json`` and ``patients.tsv`` must exist; what else is absent leaves its
        part of the report out.
    study : Path, optional
        Folder of the study's tables; it tells whether the trial is simulated.

    Raises
    ------
    InputRefused
        When a needed file is absent or unreadable.
    """
    results = StudyOut(out)
    arms = _of_this_version("arms", read_json(results.arms, "run `petflame analyse` first"))
    _refuse_others(results, arms)
    patients = {str(r["participant_id"]): r for r in records(read_tsv(results.patients, ("participant_id",), TEXT))}
    changes = {str(r["participant_id"]): r for r in records(_analysed(results))}
    outside = {str(r["participant_id"]): r for r in _optional(results.not_analysed, "participant_id")}
    exclusions = _optional(results.exclusions, *EXCLUSION_COLUMNS)
    vessels, faults = _grouped(_optional(results.vessels, "participant_id", "vessel")), _grouped(exclusions)
    codes = {
        (str(r["participant_id"]), str(r["visit"])): str(r["code"]) for r in _optional(results.key_table, *KEY_COLUMNS)
    }
    participants = []
    for name in sorted(set(patients) | set(changes) | set(outside)):
        arm = changes.get(name, outside.get(name, {})).get("arm")
        pair = codes.get((name, "pair"))
        folder = results.pair(pair) if pair else None
        participants.append(
            Participant(
                name,
                arm if arm in ("active", "control") else None,
                patients.get(name, {"participant_id": name, "status": "not scanned", "reason": "no scans"}),
                changes.get(name, {}),
                vessels.get(name, ()),
                {visit: _read_visit(results, codes.get((name, visit)), visit, folder) for visit in VISITS},
                _items(folder),
                _optional(folder.sections) if folder else (),
                faults.get(name, ()),
            )
        )
    return Results(
        results,
        arms,
        *_events(results, study),
        tuple(participants),
        exclusions,
        _is_simulated(study),
    )


def _refuse_others(results: StudyOut, arms: Row) -> None:
    """Refuse tables of patients or vessels that are not those that were analysed."""
    for name, path in (("patients", results.patients), ("vessels", results.vessels)):
        given = arms["provenance"]["inputs"].get(name)
        if given is not None and path.is_file() and sha256(path) != given["sha256"]:
            what = "it is not the table that was analysed"
            raise InputRefused.of(what, path.name, "put that table back, or run `petflame analyse` again")


def _of_this_version(name: str, document: Row) -> Row:
    """Return a document of the analysis, or refuse one that lacks what this version writes."""
    fault = first_fault(name, document)
    if fault is not None:
        what = f"it is not as this version writes it ({fault})"
        raise InputRefused.of(what, f"{name}.json", f"run `petflame {'analyse' if name == 'arms' else name}` again")
    return document


def _events(results: StudyOut, study: Path | None) -> tuple[Row | None, tuple[Row, ...]]:
    """Return the comparison of events, and why there is none although there is a table."""
    if study is not None and not (study / "outcomes.tsv").exists():
        return None, ()
    outcome = read_outcome(results.step("outcomes"))
    if outcome is None or outcome.is_ok:
        return _of_this_version("outcomes", read_json(results.outcomes)) if results.outcomes.exists() else None, ()
    return None, tuple(reason.as_dict() for reason in outcome.reasons)


def _items(folder: PairFolder | None) -> tuple[Row, ...]:
    return tuple(_json(folder.pair_json).get("comparability_items", ())) if folder else ()


def _read_visit(results: StudyOut, code: str | None, visit: str, pair: PairFolder | None) -> VisitResult:
    if code is None:
        return VisitResult("", visit, None, None, {}, (), ())
    folder = results.visit(code)
    if visit == "followup" and pair is not None and pair.propagated.is_dir():
        # What was measured, and is drawn, are the baseline's contours on the follow-up's images.
        folder = VisitFolder(folder.root, pair.propagated)
    outcome = read_outcome(folder.step("measure"))
    # A refused measurement may leave tables of an earlier run behind; they are not this run's.
    usable = outcome is None or outcome.is_ok
    return VisitResult(
        code,
        visit,
        folder,
        read_pet_sidecar(folder) if folder.pet_json.exists() else None,
        read_details(folder) if usable else {},
        records(read_slices(folder)) if usable and folder.slices.exists() else (),
        records(read_vessels(folder)) if usable and folder.vessels.exists() else (),
    )


def _is_simulated(study: Path | None) -> bool:
    if study is None or not (study / "truth.json").exists():
        return False
    try:
        document = read_json(study / "truth.json")
    except InputRefused:
        return False
    return str(document.get("format", "")).startswith(SIMULATED_FORMAT)
