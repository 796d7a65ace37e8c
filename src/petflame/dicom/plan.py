"""Everything that can be said of a visit from its headers alone, before hours of work."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from petflame.dicom import listing
from petflame.dicom import tags as t
from petflame.dicom.assemble import Stack, assemble
from petflame.dicom.duplicates import gathered
from petflame.dicom.judge import ImageFacts
from petflame.dicom.overrides import Overrides, identity_faults, load_overrides
from petflame.dicom.petheader import PetHeader, read_pet_header
from petflame.dicom.result import SuvResult
from petflame.dicom.scan import Scan, scan_folder
from petflame.dicom.series import CLASSES, Choice, Series, choose_ct, choose_pet, group_series, is_attenuation_corrected
from petflame.dicom.suv import suv_of
from petflame.dicom.tracer import tracer_faults
from petflame.dicom.values import quietly
from petflame.errors import Fault
from petflame.privacy import with_names
from petflame.protocol import Protocol
from petflame.space.grid import Grid


@dataclass(frozen=True)
class Plan:
    """What converting a visit would do.

    Attributes
    ----------
    scan : Scan
    series : tuple of Series
    pet, ct : Choice
    pet_stack, ct_stack : Stack or None
    header : PetHeader or None
        The PET's SUV-relevant values, slices in the order of the stack.
    suv : SuvResult or None
    overrides : Overrides
    faults : tuple of Fault
        Why the visit is refused; empty when it can be converted.
    warnings : tuple of str
    image : ImageFacts or None
        What the voxels say, once they are read.
    """

    scan: Scan
    series: tuple[Series, ...]
    pet: Choice
    ct: Choice
    pet_stack: Stack | None = None
    ct_stack: Stack | None = None
    header: PetHeader | None = None
    suv: SuvResult | None = None
    overrides: Overrides = field(default_factory=Overrides)
    faults: tuple[Fault, ...] = ()
    warnings: tuple[str, ...] = ()
    image: ImageFacts | None = None

    def fate(self, series: Series) -> tuple[str, str]:
        """Return what a series was taken as ('pet', 'ct', or empty), and why."""
        for role, choice in (("pet", self.pet), ("ct", self.ct)):
            if choice.taken is series:
                return role, choice.reason
        key = (series.uid, series.sop_class)
        unused = f"modality {series.kind} is neither PET nor CT"
        return "", self.pet.left.get(key) or self.ct.left.get(key) or unused


@quietly()
def plan_visit(
    dicom_dir: Path,
    protocol: Protocol,
    tracer: str | None = None,
    overrides: Path | None = None,
    require_suv: bool = False,
) -> Plan:
    """Read the headers below a folder and work out what converting them would do; no pixel is decoded.

    Raises
    ------
    InputRefused
        When the folder or the overrides cannot be read at all; every other fault is in `Plan.faults`.
    """
    given = load_overrides(overrides)
    scan = scan_folder(dicom_dir)
    rules = protocol.conversion
    series, faults = group_series(scan.headers)
    pet = choose_pet(series, rules.pet_series)
    ct = choose_ct(series, rules.ct_series, pet.taken)
    scan = _without_damage_elsewhere(scan, series, (pet, ct))
    pet, ct = _with_left_aside(pet, scan), _with_left_aside(ct, scan)
    faults += scan.faults
    faults += [*pet.faults, *ct.faults]
    if pet.taken is None and ct.taken is None and not ct.faults and ct.left:
        told = "; ".join(sorted(set(ct.left.values())))
        faults.append(
            Fault(f"no CT series can be used either ({told})", "the study folder", "give the CT of the PET/CT")
        )
    faults += _one_patient(pet.taken, ct.taken)
    faults += identity_faults(given, _secrets(series), "the overrides")
    warnings = scan.doubts()
    pet_stack = ct_stack = header = suv = None
    if pet.taken:
        slices = given.number("number_of_slices")
        pet_stack, objections, doubts = assemble(pet.taken, int(slices) if slices else None)
        faults += objections
        faults += _pet_values(pet.taken)
        warnings += doubts
        if slices is None and not _complete(pet_stack):
            faults += gathered(list(scan.unread))
        if any("DYNAMIC" in h.values.text(t.SERIES_TYPE).upper() for h in pet.taken.headers):
            warnings.append("the PET is declared dynamic and has a single frame; it was taken as static")
        header = read_pet_header(pet_stack.headers if pet_stack else pet.taken.headers)
        faults += [
            _conflict(tag) for tag in header.conflicts if tag in (t.UNITS, t.DECAY_CORRECTION, t.CORRECTED_IMAGE)
        ]
        suv = suv_of(header, given, rules.uptake_warn_min, rules.uptake_refuse_above_min)
        objections, doubts = tracer_faults(header, tracer or rules.tracer, suv.half_life_s)
        faults += objections
        warnings += doubts
        warnings += suv.warnings
        if suv.reasons and require_suv:
            faults += suv.reasons
    if ct.taken:
        ct_stack, objections, doubts = assemble(ct.taken)
        faults += objections
        warnings += doubts
    warnings += _together(pet.taken, ct, pet_stack, ct_stack)
    return Plan(
        scan,
        tuple(series),
        pet,
        ct,
        pet_stack,
        ct_stack,
        header,
        suv,
        given,
        tuple(dict.fromkeys(faults)),
        tuple(dict.fromkeys(warnings)),
    )


def _without_damage_elsewhere(scan: Scan, series: list[Series], choices: tuple[Choice, Choice]) -> Scan:
    """List damaged files as ignored where they named a series that was not taken and cannot have been meant.

    That series must be known from sound files. It must be no image of a kind that is still wanted, and must not have
    been left because it looked incomplete: then the damaged file itself might have changed the choice.
    """
    taken = [c.taken for c in choices if c.taken is not None]
    reasons = {key: why for c in choices for key, why in c.left.items()}
    sparable = {
        s.uid
        for s in series
        if s not in taken
        and (s.sop_class not in CLASSES.values() or s.sop_class in {x.sop_class for x in taken})
        and "one position" not in reasons.get((s.uid, s.sop_class), "")
    } - {s.uid for s in taken}
    spared = [f for f in scan.faults if scan.series_of.get(f, "") in sparable]
    ignored = [(with_names(f.where), listing.NOT_TAKEN) for f in spared]
    kept = tuple(f for f in scan.faults if f not in spared)
    return replace(scan, ignored=tuple(sorted([*scan.ignored, *ignored])), faults=kept)


def _with_left_aside(choice: Choice, scan: Scan) -> Choice:
    """Name what was left aside where a series is missing: it may lie there."""
    told = listing.counted(scan.left_aside)
    if choice.taken is not None or not told:
        return choice
    faults = tuple(Fault(f"{f.what}; left aside: {told}", f.where, f.remedy) for f in choice.faults)
    reason = f"{choice.reason}; left aside: {told}" if choice.reason else ""
    return replace(choice, reason=reason, faults=faults)


def _complete(stack: Stack | None) -> bool:
    """Tell whether every image says how many there are, and there are as many."""
    counts = {h.values.integer(t.NUMBER_OF_SLICES) for h in stack.headers} if stack else set()
    return stack is not None and counts == {len(stack.headers)}


def _conflict(tag: int) -> Fault:
    return Fault(
        f"{t.name(tag)} is not the same in every slice", "the PET series", "keep one reconstruction in the series"
    )


def _pet_values(series: Series) -> list[Fault]:
    faults = []
    odd = [h for h in series.headers if h.values.number(t.INTERCEPT) not in (0.0, None)]
    if odd:
        what = f"{t.name(t.INTERCEPT)} is not 0 in {len(odd)} slices, which PET does not allow"
        faults.append(Fault(what, odd[0].told, "export the scanner's original series"))
    states = {is_attenuation_corrected(h) for h in series.headers}
    if states != {True}:
        what = "the headers do not say whether it is attenuation corrected"
        if states - {None, True}:
            what = "not every slice is attenuation corrected"
        faults.append(
            Fault(what, f"{series.label}, {t.name(t.CORRECTED_IMAGE)}", "export the scanner's original series")
        )
    kinds = {x.upper() for h in series.headers for x in h.values.texts(t.SERIES_TYPE)}
    if "GATED" in kinds:
        faults.append(Fault("gated frames are not supported", series.label, "give the ungated reconstruction"))
    return faults


def _one_patient(pet: Series | None, ct: Series | None) -> list[Fault]:
    faults = []
    found: set[str] = set()
    for series in (pet, ct):
        if series is None:
            continue
        own = {h.values.text(t.PATIENT_ID) for h in series.headers} - {""}
        if len(own) > 1:
            what = f"{t.name(t.PATIENT_ID)} is not the same in every image"
            faults.append(Fault(what, series.label, "keep the images of one patient in the series"))
        found |= own
    if not faults and len(found) > 1:
        what = f"PET and CT carry different {t.name(t.PATIENT_ID)}"
        faults.append(Fault(what, "the study folder", "give the PET and the CT of one patient, pseudonymised alike"))
    return faults


def _secrets(series: list[Series]) -> set[str]:
    """Return the words that identify the patient."""
    secrets: set[str] = set()
    for s in series:
        v = s.first.values
        secrets |= {v.text(t.PATIENT_ID), v.text(t.ACCESSION), v.text(t.BIRTH_DATE)}
        secrets |= set(v.text(t.PATIENT_NAME).replace("^", " ").replace("=", " ").split())
    return secrets - {""}


def _together(pet: Series | None, ct: Choice, pet_stack: Stack | None, ct_stack: Stack | None) -> list[str]:
    """Say whether the PET and the CT belong to each other."""
    warnings = []
    if ct.taken is None and not ct.faults and any(ct.left.values()) and "asks for no CT" not in ct.reason:
        told = "; ".join(sorted(set(ct.left.values())))
        warnings.append(f"no CT was taken although the study holds CT images ({told})")
    if pet is None or ct.taken is None:
        return warnings
    frames = {s.first.values.text(t.FRAME_OF_REFERENCE) for s in (pet, ct.taken)}
    if len(frames) > 1 or "" in frames:
        warnings.append("the PET and the CT do not share a frame of reference, so they may not lie on each other")
    if pet_stack and ct_stack and _overlap_mm(pet_stack.grid, ct_stack.grid) <= 0:
        warnings.append("the PET and the CT do not overlap")
    return warnings


def _overlap_mm(a: Grid, b: Grid) -> float:
    """Return the smallest overlap of two grids' bounding boxes over the three axes."""
    import numpy as np

    def box(grid: Grid) -> tuple[np.ndarray, np.ndarray]:
        points = grid.to_ras(grid.corners())
        return points.min(axis=0), points.max(axis=0)

    (a_low, a_high), (b_low, b_high) = box(a), box(b)
    return float((np.minimum(a_high, b_high) - np.maximum(a_low, b_low)).min())
