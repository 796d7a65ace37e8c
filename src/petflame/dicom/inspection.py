"""A look at the headers of a study: what would be converted, every fault, and who it belongs to.

It is for the screen and for `init` and `check`; nothing of it may go into a visit folder except through the sidecar.
Identities and dates in the clear are for the local key table that `init` drafts.
"""

from __future__ import annotations

import os
import secrets
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from petflame.dicom import tags as t
from petflame.dicom.convert import judged, read_ct, read_pet
from petflame.dicom.header import Header
from petflame.dicom.identity import identity_of
from petflame.dicom.plan import Plan, plan_visit
from petflame.dicom.references import References, references_of
from petflame.dicom.scan import scan_folder
from petflame.dicom.series import CLASSES
from petflame.dicom.sidecar import voxel_unit
from petflame.errors import Fault
from petflame.identity.pixels import ct_fingerprint, pet_fingerprint
from petflame.identity.record import Hasher, Record
from petflame.protocol import Protocol
from petflame.space.grid import Array, Grid


@dataclass(frozen=True)
class SeriesReport:
    """One series of a study.

    Attributes
    ----------
    modality, description : str
    number : int or None
    images : int
    taken_as : {'pet', 'ct', ''}
    reason : str
        Why it was taken, or why not.
    """

    modality: str
    number: int | None
    description: str
    images: int
    taken_as: str
    reason: str


@dataclass(frozen=True)
class StudyReport:
    """What the headers of one visit say.

    Attributes
    ----------
    series : tuple of SeriesReport
    faults : tuple of Fault
        Why the visit would be refused; empty when it can be converted.
    suv_reasons : tuple of Fault
        Why SUV would be refused while the voxels are sound.
    warnings : tuple of str
    ignored : tuple of (str, str)
        Files left aside, with the reason.
    identity : Record
        Who and when, hashed.
    suv_factor, uptake_min, dose_bq, weight_kg : float or None
    voxel_unit : str
        Unit of the PET that would be written.
    grids : dict of Grid
        By 'ct' and 'pet', those that would be converted.
    references : References or None
        What the images are called, hashed.
    """

    series: tuple[SeriesReport, ...]
    faults: tuple[Fault, ...]
    suv_reasons: tuple[Fault, ...]
    warnings: tuple[str, ...]
    ignored: tuple[tuple[str, str], ...]
    identity: Record
    suv_factor: float | None = None
    uptake_min: float | None = None
    dose_bq: float | None = None
    weight_kg: float | None = None
    voxel_unit: str = ""
    grids: dict[str, Grid] = field(default_factory=dict)
    references: References | None = None


def inspect_study(
    dicom_dir: Path,
    protocol: Protocol,
    *,
    tracer: str | None = None,
    overrides: Path | None = None,
    require_suv: bool = False,
    hasher: Hasher | None = None,
    pixels: bool = False,
) -> StudyReport:
    """Report on the DICOM folder of one visit from its headers; no pixel is decoded unless `pixels` asks for it.

    Parameters
    ----------
    dicom_dir : Path
    protocol : Protocol
    tracer, overrides, require_suv
        As for `petflame.dicom.convert.convert_visit`.
    hasher : Hasher, optional
        The same for all visits whose identities are to be compared; by default one of its own.
    pixels : bool
        Read the images of a visit without faults too: they are refused if they cannot be decoded, and compared.

    Raises
    ------
    InputRefused
        When the folder or the overrides cannot be read, or pixels cannot; every other fault is in the report.
    """
    plan = plan_visit(dicom_dir, protocol, tracer, overrides, require_suv)
    suv = plan.suv
    prints: list[Array | None] = [None, None]
    if pixels and not plan.faults and plan.pet_stack is not None:
        plan, pet = judged(plan, read_pet(plan), require_suv)
        suv = plan.suv
        prints[0] = pet_fingerprint(pet.data)
        prints[1] = ct_fingerprint(read_ct(plan.ct_stack).data) if plan.ct_stack is not None else None
    return StudyReport(
        series=_series(plan),
        faults=plan.faults,
        suv_reasons=suv.reasons if suv else (),
        warnings=plan.warnings,
        ignored=plan.scan.ignored,
        identity=identity_of(plan, hasher or Hasher(secrets.token_bytes(32)), *prints),
        suv_factor=suv.factor if suv else None,
        uptake_min=suv.uptake_min if suv else None,
        dose_bq=suv.dose_bq if suv else None,
        weight_kg=suv.weight_kg if suv else None,
        voxel_unit=voxel_unit(plan),
        grids={role: s.grid for role, s in (("ct", plan.ct_stack), ("pet", plan.pet_stack)) if s is not None},
        references=references_of(plan),
    )


def _series(plan: Plan) -> tuple[SeriesReport, ...]:
    rows = []
    for s in plan.series:
        taken, reason = plan.fate(s)
        text = s.first.values.text(t.SERIES_DESCRIPTION)
        rows.append(SeriesReport(s.modality, s.number, text, len(s.headers), taken, reason))
    return tuple(rows)


@dataclass(frozen=True)
class StudyFolder:
    """One study found below a folder of many.

    Attributes
    ----------
    folder : Path
        The deepest folder that holds all of the study's PET and CT images.
    shared : bool
        Whether that folder also holds images of other studies, so that it cannot serve as a visit's folder.
    patient_id, study_uid, study_date : str
    pet_images, ct_images : int
    """

    folder: Path
    shared: bool
    patient_id: str
    study_uid: str
    study_date: str
    pet_images: int
    ct_images: int


def find_studies(root: Path) -> tuple[list[StudyFolder], list[Fault], list[str]]:
    """List the studies with PET or CT below a folder, by patient and date, from headers alone.

    Returns
    -------
    studies : list of StudyFolder
        Sorted by patient identifier, study date and folder.
    faults : list of Fault
        Files that claim to be DICOM and cannot be read.
    doubts : list of str
        What was left aside although images may be among it.

    Raises
    ------
    InputRefused
        When the folder cannot be read.
    """
    scan = scan_folder(root)
    groups: dict[tuple[str, str], list[Header]] = defaultdict(list)
    for h in scan.headers:
        if h.values.text(t.SOP_CLASS) in CLASSES.values():
            groups[h.values.text(t.PATIENT_ID), h.values.text(t.STUDY_UID)].append(h)
    folders = {key: Path(os.path.commonpath([h.path.parent for h in members])) for key, members in groups.items()}
    studies = []
    for key, members in groups.items():
        folder = folders[key]
        others = (h for other, held in groups.items() if other != key for h in held)
        v = members[0].values
        kinds = [h.values.text(t.SOP_CLASS) for h in members]
        studies.append(
            StudyFolder(
                folder,
                any(h.path.is_relative_to(folder) for h in others),
                v.text(t.PATIENT_ID),
                v.text(t.STUDY_UID),
                v.text(t.STUDY_DATE),
                kinds.count(t.PET_CLASS),
                kinds.count(t.CT_CLASS),
            )
        )
    studies.sort(key=lambda s: (s.patient_id, s.study_date, str(s.folder)))
    return studies, [*scan.faults, *scan.unread], scan.doubts()
