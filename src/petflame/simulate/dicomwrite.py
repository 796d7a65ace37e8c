"""Writing a simulated visit as DICOM files, and reading back what the stored numbers mean."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import ExplicitVRLittleEndian

from petflame.grid import Array
from petflame.simulate.headers import bed_times, ct_header, decimal, pet_header, philips_factors, timing
from petflame.simulate.lattice import Lattice
from petflame.simulate.plan import VisitPlan
from petflame.simulate.streams import stream, uid

_IMPLEMENTATION_UID = "2.25.182903577610483029384756610293847566"
_FULL_SCALE = 32767


def write_visit(folder: Path, plan: VisitPlan, ct: Lattice, ct_hu: Array, pet: Lattice, pet_suv: Array) -> Array:
    """Write CT and PET of a visit as one file a slice, in a file order that is not that of the slices.

    Parameters
    ----------
    folder : Path
        Made if absent.
    plan : VisitPlan
    ct, pet : Lattice
    ct_hu : (slices, rows, columns) int16 array
        Hounsfield units.
    pet_suv : (slices, rows, columns) float array
        SUVbw, g/mL.

    Returns
    -------
    (slices, rows, columns) float64 array
        SUVbw recomputed from the stored pixel values, as an exact reader finds it (the missing slice included).
    """
    total = ct.shape[0] + pet.shape[0]
    order = stream(plan.seed, plan.participant_id, plan.visit, "file order").permutation(total)
    _write_ct(folder, plan, ct, ct_hu, order[: ct.shape[0]])
    return _write_pet(folder, plan, pet, pet_suv, order[ct.shape[0] :])


def _write_ct(folder: Path, plan: VisitPlan, lattice: Lattice, hu: Array, order: Array) -> None:
    base = ct_header(plan, lattice)
    vendor = plan.scanner.vendor
    for k, z in enumerate(lattice.z):
        stored = hu[k].astype(np.int32) - int(base.RescaleIntercept)
        if vendor == "ge":
            x, y = np.meshgrid(lattice.x, lattice.y - lattice.y.mean())
            outside = np.hypot(x, y) > lattice.spacing_mm[0] * lattice.shape[2] / 2
            pixels = np.where(outside, -2000, stored).astype("<i2")
        else:
            pixels = np.clip(stored, 0, 4095).astype("<u2")
        _save(folder, plan, base, lattice, k, float(z), pixels, int(order[k]), {})


def _write_pet(folder: Path, plan: VisitPlan, lattice: Lattice, suv: Array, order: Array) -> Array:
    base = pet_header(plan, lattice)
    to_suv = timing(plan).suv_factor
    if plan.scanner.units == "CNTS":
        to_suv = float(philips_factors(plan)[1])
    count = lattice.shape[0]
    left_out = count // 2 + 3 if plan.missing_slice else -1
    as_written = np.empty(lattice.shape, float)
    for k, z in enumerate(lattice.z):
        value = suv[k].astype(float) / to_suv
        slope = decimal(float(f"{max(float(value.max()), 1e-3) / _FULL_SCALE:.9e}"))
        pixels = np.clip(np.rint(value / float(slope)), 0, _FULL_SCALE).astype("<i2")
        as_written[k] = pixels * float(slope) * to_suv
        if k == left_out:
            continue
        own = bed_times(plan, k, count) | {"RescaleSlope": slope, "ImageIndex": k + 1}
        _save(folder, plan, base, lattice, k, float(z), pixels, int(order[k]), own)
    return as_written


def _save(
    folder: Path,
    plan: VisitPlan,
    base: Dataset,
    lattice: Lattice,
    k: int,
    z_mm: float,
    pixels: Array,
    number: int,
    own: dict[str, object],
) -> None:
    ds = Dataset()
    ds.update(base)
    for name, value in own.items():
        setattr(ds, name, value)
    ds.SOPInstanceUID = uid(plan.seed, plan.participant_id, plan.visit, base.Modality, k)
    # Vendors number from the head downwards.
    ds.InstanceNumber = lattice.shape[0] - k
    x, y, _ = lattice.origin_mm
    ds.ImagePositionPatient = [decimal(x), decimal(y), decimal(round(z_mm, 4))]
    ds.SliceLocation = decimal(round(z_mm, 4))
    ds.PixelData = pixels.tobytes()
    ds["PixelData"].VR = "OW"
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = ds.SOPClassUID
    meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = _IMPLEMENTATION_UID
    meta.ImplementationVersionName = "PETFLAME_SIM"
    ds.file_meta = meta
    path = folder / _file_name(plan, str(base.Modality), ds.SOPInstanceUID, number)
    path.parent.mkdir(parents=True, exist_ok=True)
    dcmwrite(path, ds, enforce_file_format=True)


def _file_name(plan: VisitPlan, modality: str, instance_uid: str, number: int) -> str:
    if plan.scanner.vendor == "siemens":
        return f"{modality}.{instance_uid}.dcm"
    if plan.scanner.vendor == "ge":
        return f"i{100000 + number}.{modality}DC.{number % 100}"
    return f"DICOM/IM_{number + 1:04d}"
