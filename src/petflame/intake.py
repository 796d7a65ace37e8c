"""Before a run: drafting a study's tables from DICOM, and finding every fault of a study early."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from petflame.errors import Fault, FaultList, InputRefused, PetflameError
from petflame.files import read_tsv, write_tsv
from petflame.outside import calling
from petflame.places import name_faults
from petflame.privacy import named
from petflame.protocol import Protocol
from petflame.study import VISIT_TEXT, VISITS, Visit, usable_visits

if TYPE_CHECKING:
    from petflame.dicom.inspection import StudyFolder, StudyReport
    from petflame.identity.record import Hasher

# What the description of a table and the help of the verbs say.
SEEDS_IN_WORDS = (
    'LPS mm: JSON {"carotid_right": [[x, y, z], ...]}, CSV (vessel, x_mm, y_mm, z_mm), 3D Slicer (.mrk.json, .fcsv), '
    "or a folder of them, one a vessel"
)
READERS_FILES = ("labels", "seeds", "edits")
Progress = Callable[[str, int], AbstractContextManager[Callable[[], Any]]]

PARTICIPANT_MEANINGS = {"participant_id": ("study code of the participant", "")}
VISIT_MEANINGS = {
    "participant_id": ("study code of the participant", ""),
    "visit": ("baseline or followup", ""),
    "dicom_dir": ("folder of the visit's DICOM, relative to this table", ""),
    "labels": ("label map of a reader, relative to this table", ""),
    "seeds": (f"points along vessels, {SEEDS_IN_WORDS}; relative to this table", ""),
    "glucose_mmol_l": ("blood glucose at the scan", "mmol/L"),
    "edits": ("a reader's edits (folder of a review pack), relative to this table", ""),
    "overrides": ("table of header values to replace, relative to this table", ""),
}
KEY_MEANINGS = {
    "participant_id": ("study code of the participant", ""),
    "patient_id": ("PatientID of the DICOM: keep this table local", ""),
    "visit": ("visit as drafted, in order of study date", ""),
    "study_date": ("StudyDate of the DICOM", ""),
}


def draft_study(dicom_root: Path, out: Path) -> list[str]:
    """Draft ``participants.tsv`` and ``visits.tsv`` from the PET/CT studies below a folder.

    Studies of a patient are taken in order of date: the first is baseline, the second follow-up. Participants get the
    codes P001, P002, ... in order of PatientID; which is whose stands in ``identity_key.tsv``, which stays local.

    Parameters
    ----------
    dicom_root : Path
        Folder with the DICOM of many patients and visits, however nested.
    out : Path
        Folder to write; existing tables are never overwritten.

    Returns
    -------
    list of str
        What was drafted, and what needs a decision by the user.

    Raises
    ------
    InputRefused
        When tables are there already, no PET study is found, or a folder mixes visits.
    """
    import pandas as pd

    from petflame.dicom.inspection import find_studies

    present = [p for p in (out / "participants.tsv", out / "visits.tsv") if p.exists()]
    if present:
        raise InputRefused(
            Fault("the table exists already", str(p), "name another folder, or remove it") for p in present
        )
    studies, unreadable, doubts = find_studies(dicom_root)
    with_pet = [s for s in studies if s.pet_images]
    if not with_pet:
        told = f"{len(studies)} studies without PET" if studies else "no PET or CT image"
        what = f"no PET study was found ({'; '.join([told, f'{len(unreadable)} unreadable files', *doubts])})"
        raise InputRefused.of(what, str(dicom_root), "name the folder that holds the trial's PET/CT")
    _refuse_shared(with_pet)
    nameless = [s for s in with_pet if not s.patient_id]
    if nameless:
        raise InputRefused(
            Fault(
                "PatientID (0010,0020) is empty, so its visits cannot be told apart", str(s.folder), "write the tables"
            )
            for s in nameless
        )
    lines = [*doubts, *(f"left aside: {fault}" for fault in unreadable)]
    lines += [f"left aside: {s.folder} holds no PET ({s.ct_images} CT images)" for s in studies if not s.pet_images]
    visits, key = [], []
    patients = sorted({s.patient_id for s in with_pet})
    for number, patient in enumerate(patients, start=1):
        code = f"P{number:03d}"
        own = sorted((s for s in with_pet if s.patient_id == patient), key=lambda s: (s.study_date, str(s.folder)))
        if len(own) != 2:
            lines.append(f"{code} has {len(own)} PET studies where two are expected: check its rows")
        for name, study in zip(VISITS, own, strict=False):
            relative = _relative(study.folder, out)
            visits.append({"participant_id": code, "visit": name, "dicom_dir": relative})
            key.append({"participant_id": code, "patient_id": patient, "visit": name, "study_date": study.study_date})
        lines += [f"{code}: {s.folder} was not entered as a visit" for s in own[2:]]
    people = pd.DataFrame({"participant_id": [f"P{n:03d}" for n in range(1, len(patients) + 1)]})
    write_tsv(out / "participants.tsv", people, PARTICIPANT_MEANINGS)
    write_tsv(out / "visits.tsv", pd.DataFrame(visits, columns=list(VISIT_MEANINGS)), VISIT_MEANINGS)
    write_tsv(out / "identity_key.tsv", pd.DataFrame(key, columns=list(KEY_MEANINGS)), KEY_MEANINGS, private=True)
    lines.append(f"{len(patients)} participants and {len(visits)} visits drafted in {out}")
    lines.append("baseline and follow-up were told by study date alone: check them; identity_key.tsv stays local")
    lines.append(f"next: petflame check {out}")
    return lines


def _refuse_shared(studies: list[StudyFolder]) -> None:
    shared = [s for s in studies if s.shared]
    if shared:
        raise InputRefused(
            Fault("the folder holds images of more than one study", str(s.folder), "give each visit its own folder")
            for s in shared
        )


def _relative(folder: Path, out: Path) -> str:
    import os

    return os.path.relpath(folder.resolve(), out.resolve())


@dataclass(frozen=True)
class CheckReport:
    """What `check_study` found.

    Attributes
    ----------
    visits : int
    faults : tuple of Fault
    warnings : tuple of str
    later : tuple of str
        What can only be asked once the visits are converted.
    """

    visits: int
    faults: tuple[Fault, ...]
    warnings: tuple[str, ...]
    later: tuple[str, ...] = ()


def check_study(
    root: Path, protocol: Protocol, require_suv: bool, progress: Progress, pixels: bool = False
) -> CheckReport:
    """Check tables, the header of every DICOM file of a study, what readers gave for it, and whose scans they are.

    Parameters
    ----------
    root : Path
        Folder with ``visits.tsv``.
    protocol : Protocol
    require_suv : bool
        Count a refused SUV as a fault and not as a warning.
    progress : callable
        Context manager factory (title, total) that yields a function to call after each visit.
    pixels : bool
        Read the images too, to decode them and to find a scan that was given twice under other headers.
    """
    from petflame.identity.compare import compare
    from petflame.identity.finding import FLAGGED, REFUSED, Entry
    from petflame.identity.record import Hasher
    from petflame.segment.beforehand import LATER
    from petflame.study_tables import plan_faults, table_faults
    from petflame.trial.plan.sealing import SEALED

    path = root / "visits.tsv"
    # What the run refuses of the folder's name.
    faults: list[Fault] = name_faults("study", str(root))
    warnings: list[str] = []
    rows = FaultList()
    visits: tuple[Visit, ...] = ()
    scanned: set[str] | None = None
    try:
        table = read_tsv(path, required=("participant_id", "visit", "dicom_dir"), text=VISIT_TEXT)
        visits = usable_visits(table, root, calling(path), rows)
        if table.empty:
            rows.add("it has no rows", calling(path), "add a row a visit, or draft it with `petflame init`")
        scanned = None if rows else {v.participant_id for v in visits}
    except PetflameError as error:
        rows.extend(error.faults)
    found = table_faults(root, scanned)
    faults += [*rows, *found.stopping, *found.exploratory, *found.unread, *plan_faults(root)]
    warnings += [f"follow-up events will not be compared: {fault}" for fault in found.early]
    if not rows:
        times = Counter(v.participant_id for v in visits)
        alone = sorted(p for p, count in times.items() if count < len(VISITS))
        warnings += [f"{p} has one visit only: no change can be measured" for p in alone]
    hasher, entries = Hasher(secrets.token_bytes(32)), []
    with progress("visits checked", len(visits)) as advance:
        for visit in visits:
            wrong, doubts, report = _check_visit(visit, protocol, require_suv, hasher, pixels)
            faults += wrong
            warnings += doubts
            if report is not None:
                entries.append(Entry(visit.row, visit.participant_id, visit.visit, report.identity))
            advance()
    compared = compare(entries)
    faults += [Fault(f.fault.what, _whose(f.codes), f.fault.remedy) for f in compared if f.outcome == REFUSED]
    warnings += [f"{_whose(f.codes)}: {f.fault.what}" for f in compared if f.outcome == FLAGGED]
    later: tuple[str, ...] = (LATER,) if any(getattr(v, name) for v in visits for name in READERS_FILES) else ()
    if not (root / "allocation.tsv").exists() and not (root / SEALED).exists():
        later += ("an analysis plan, sealed while nobody knows the arms (`petflame sap`)",)
    return CheckReport(len(visits), tuple(dict.fromkeys(faults)), tuple(dict.fromkeys(warnings)), later)


def _check_visit(
    visit: Visit, protocol: Protocol, require_suv: bool, hasher: Hasher, pixels: bool
) -> tuple[list[Fault], list[str], StudyReport | None]:
    from petflame.dicom.inspection import inspect_study
    from petflame.segment.beforehand import check_readers_files

    faults: list[Fault] = []
    warnings: list[str] = []
    report = None
    try:
        report = inspect_study(
            visit.dicom_dir,
            protocol,
            overrides=visit.overrides,
            require_suv=require_suv,
            hasher=hasher,
            pixels=pixels,
        )
        faults += [Fault(f.what, f"{visit.row}, {f.where}", f.remedy) for f in report.faults]
        warnings += [f"{visit.row}: {text}" for text in report.warnings]
        warnings += [f"{visit.row}: SUV is refused: {fault.what}" for fault in report.suv_reasons]
    except PetflameError as error:
        faults += [Fault(f.what, f"{visit.row}, {f.where}", f.remedy) for f in error.faults]
    has_ct = report is not None and any(series.modality == "CT" for series in report.series)
    if report is not None and "ct" not in report.grids and visit.labels is None and not (has_ct and report.faults):
        what = "its study holds PET without CT and the row names no labels, so no vessel can be found"
        faults.append(Fault(what, visit.row, "fetch the CT, or name labels that were drawn on the PET"))
    for name in ("labels", "seeds", "overrides", "edits"):
        path = getattr(visit, name)
        if path is not None and not path.exists():
            what = f"the file that column {name} names is missing ({named(path, name)})"
            faults.append(Fault(what, visit.row, "mend the path, or write n/a"))
    given = {name: getattr(visit, name) for name in READERS_FILES}
    present = {name: path if path is not None and path.exists() else None for name, path in given.items()}
    if any(present.values()):
        images = report if report is not None and not report.faults else None
        found = check_readers_files(
            **present, grids=images.grids if images else {}, own=images.references if images else None
        )
        faults += [Fault(f.what, f"{visit.row}, {f.where}", f.remedy) for f in found.faults]
        warnings += [f"{visit.row}: {doubt}" for doubt in found.doubts]
        if images is None:
            warnings.append(
                f"{visit.row}: its images are refused, so labels, seeds and edits were not held against them"
            )
    return faults, warnings, report


def _whose(rows: tuple[str, ...]) -> str:
    """Name the rows of the table that a finding is about: one, or the two of a participant."""
    return rows[0] if len(rows) == 1 else rows[0].rpartition(" ")[0]
