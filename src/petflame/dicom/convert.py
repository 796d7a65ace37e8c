"""DICOM PET/CT of one visit to SUV and HU images with sidecars."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from petflame.dicom import tags as t
from petflame.dicom.assemble import Stack
from petflame.dicom.identity import identity_of
from petflame.dicom.judge import judge_image, refused_suv
from petflame.dicom.pixels import padding_range, read_stored
from petflame.dicom.plan import Plan, plan_visit
from petflame.dicom.references import write_references
from petflame.dicom.sidecar import ct_document, pet_document, voxel_unit
from petflame.errors import FaultList, InputRefused
from petflame.files import TEMPORARY, write_json, write_nifti
from petflame.identity.pixels import ct_fingerprint, pet_fingerprint
from petflame.identity.record import Hasher, identity_key, record_path, write_record
from petflame.protocol import Protocol
from petflame.space.grid import Array, Volume

PRODUCTS = ("pet.nii.gz", "pet.json", "ct.nii.gz", "ct.json")
AIR_HU = -1024
LARGEST_HU = 32767


def convert_visit(
    dicom_dir: Path,
    visit_dir: Path,
    *,
    protocol: Protocol,
    tracer: str | None = None,
    overrides: Path | None = None,
    require_suv: bool = False,
) -> list[str]:
    """Convert the PET and the CT of one visit.

    Writes ``pet.nii.gz`` (float32, SUVbw in g/mL; Bq/mL when SUV is refused but the voxels are sound), ``pet.json``,
    ``ct.nii.gz`` (int16 HU) and ``ct.json`` (present even when there is no CT, and saying so). Nothing is written
    unless everything succeeds. Who was scanned is kept, hashed, under ``key/identity`` of the results where the folder
    is one of ``RESULTS/visits``.

    Parameters
    ----------
    dicom_dir : Path
        Folder that holds the visit's DICOM files, however nested.
    visit_dir : Path
        Folder to write into; made when absent.
    protocol : Protocol
    tracer : {'FDG', 'any'}, optional
        Overrides the protocol's.
    overrides : Path, optional
        Table of values that replace the header's.
    require_suv : bool
        Refuse the visit when SUV is refused.

    Returns
    -------
    list of str
        Warnings, also in the sidecar.

    Raises
    ------
    InputRefused
        With every fault that the headers show; or with what the pixels show.
    """
    kept = record_path(visit_dir)
    if kept is not None:
        kept.unlink(missing_ok=True)
    plan = plan_visit(dicom_dir, protocol, tracer, overrides, require_suv)
    if plan.faults:
        raise InputRefused(plan.faults)
    visit_dir.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{visit_dir.name}.", suffix=TEMPORARY, dir=visit_dir.parent))
    try:
        plan, *pixels = _write(plan, temporary, protocol, require_suv)
        if kept is not None:
            write_record(kept, identity_of(plan, Hasher(identity_key(kept.parent)), *pixels))
        _publish(temporary, visit_dir)
        write_references(visit_dir, plan)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return list(plan.warnings)


def _write(plan: Plan, folder: Path, protocol: Protocol, require_suv: bool) -> tuple[Plan, Array, Array | None]:
    """Write the products; return the plan with what the voxels added to it, and the fingerprints of PET and CT."""
    plan, pet = judged(plan, read_pet(plan), require_suv)
    rules = {"conversion_sha256": protocol.section_digest("conversion")}
    write_nifti(folder / "pet.nii.gz", pet, f"petflame PET, {voxel_unit(plan)}")
    write_json(folder / "pet.json", pet_document(plan, rules))
    pet_pixels, ct_pixels = pet_fingerprint(pet.data), None
    if plan.ct_stack is not None:
        ct = read_ct(plan.ct_stack)
        write_nifti(folder / "ct.nii.gz", ct, "petflame CT, HU")
        ct_pixels = ct_fingerprint(ct.data)
    write_json(folder / "ct.json", ct_document(plan, rules))
    return plan, pet_pixels, ct_pixels


def judged(plan: Plan, pet: Volume, require_suv: bool) -> tuple[Plan, Volume]:
    """Hold a PET that was read against its headers; where the voxels refute SUV, return it without.

    Raises
    ------
    InputRefused
        When the slices are not on one scale, a constant was added, or SUV is refuted and required.
    """
    if plan.header is None or plan.suv is None:
        raise ValueError("a plan without faults has a PET")
    facts, findings = judge_image(pet, plan.header, plan.suv)
    if findings.reasons and require_suv:
        raise InputRefused(findings.reasons)
    warnings = tuple(dict.fromkeys([*plan.warnings, *findings.warnings]))
    plan = replace(plan, suv=refused_suv(plan.suv, findings), warnings=warnings, image=facts)
    return plan, read_pet(plan) if findings.reasons else pet


def _publish(temporary: Path, visit_dir: Path) -> None:
    """Move the products into place; an image of an earlier conversion that has no successor goes."""
    visit_dir.mkdir(exist_ok=True)
    for name in PRODUCTS:
        if (temporary / name).exists():
            os.replace(temporary / name, visit_dir / name)
        else:
            (visit_dir / name).unlink(missing_ok=True)


def read_pet(plan: Plan) -> Volume:
    """Read the PET of a plan: SUVbw where there is a factor, else Bq/mL or the stored units; float32, (I, J, K).

    Raises
    ------
    InputRefused
        When pixels are truncated or cannot be decoded; every bad file is listed.
    """
    stack, suv = plan.pet_stack, plan.suv
    if stack is None or suv is None:
        raise ValueError("the plan has no PET")
    scale = suv.factor if suv.factor is not None else suv.activity_factor or 1.0
    slices = suv.slice_factors if suv.factor is not None else ()
    out = np.empty(stack.grid.shape, np.float32, order="F")
    faults = FaultList()
    for k, header in enumerate(stack.headers):
        slope = (header.values.number(t.SLOPE) or 0.0) * scale * (slices[k] if slices else 1.0)
        try:
            np.multiply(read_stored(header).T, slope, out=out[:, :, k], casting="unsafe")
        except InputRefused as error:
            faults.extend(error.faults)
    faults.raise_if_any()
    return Volume(out, stack.grid)


def read_ct(stack: Stack) -> Volume:
    """Read a CT in HU; int16, (I, J, K). Padding and whatever lies below become -1024 HU.

    Raises
    ------
    InputRefused
        When pixels are truncated or cannot be decoded; every bad file is listed.
    """
    out = np.empty(stack.grid.shape, np.int16, order="F")
    faults = FaultList()
    for k, header in enumerate(stack.headers):
        try:
            out[:, :, k] = hounsfield(read_stored(header), header).T
        except InputRefused as error:
            faults.extend(error.faults)
    faults.raise_if_any()
    return Volume(out, stack.grid)


def hounsfield(image: Array, header: Any) -> Array:
    """Turn stored values into int16 HU, clipped to [-1024, 32767]."""
    slope = header.values.number(t.SLOPE)
    intercept = header.values.number(t.INTERCEPT)
    padding = padding_range(header, image.dtype)
    if slope == 1.0 and intercept == int(intercept):
        hu = image.astype(np.int32)
        hu += int(intercept)
    else:
        hu = np.rint(image * slope + intercept)
    np.clip(hu, AIR_HU, LARGEST_HU, out=hu)
    if padding is not None:
        hu[(image >= padding[0]) & (image <= padding[1])] = AIR_HU
    return hu.astype(np.int16)
