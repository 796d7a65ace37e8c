"""Writing a simulated visit as DICOM files, and reading back what the stored numbers mean."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from petflame.simulate.encode import encode, encoded, part10
from petflame.simulate.headers import bed_times, ct_header, decimal, pet_header, philips_factors, timing
from petflame.simulate.lattice import Lattice
from petflame.simulate.plan import VisitPlan
from petflame.simulate.streams import stream, uid
from petflame.space.grid import Array

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
    series = _Series.of(folder, plan, lattice, base)
    for k in range(lattice.shape[0]):
        stored = hu[k].astype(np.int32) - int(base.RescaleIntercept)
        if vendor == "ge":
            x, y = np.meshgrid(lattice.x, lattice.y - lattice.y.mean())
            outside = np.hypot(x, y) > lattice.spacing_mm[0] * lattice.shape[2] / 2
            pixels = np.where(outside, -2000, stored).astype("<i2")
        else:
            pixels = np.clip(stored, 0, 4095).astype("<u2")
        series.save(k, pixels, int(order[k]), {})


def _write_pet(folder: Path, plan: VisitPlan, lattice: Lattice, suv: Array, order: Array) -> Array:
    base = pet_header(plan, lattice)
    to_suv = timing(plan).suv_factor
    if plan.scanner.units == "CNTS":
        to_suv = float(philips_factors(plan)[1])
    count = lattice.shape[0]
    left_out = count // 2 + 3 if plan.missing_slice else -1
    as_written = np.empty(lattice.shape, float)
    series = _Series.of(folder, plan, lattice, base)
    for k in range(count):
        value = suv[k].astype(float) / to_suv
        slope = decimal(float(f"{max(float(value.max()), 1e-3) / _FULL_SCALE:.9e}"))
        pixels = np.clip(np.rint(value / float(slope)), 0, _FULL_SCALE).astype("<i2")
        as_written[k] = pixels * float(slope) * to_suv
        if k == left_out:
            continue
        own = bed_times(plan, k, count) | {"RescaleSlope": slope, "ImageIndex": k + 1}
        series.save(k, pixels, int(order[k]), own)
    return as_written


@dataclass(frozen=True, eq=False)
class _Series:
    """What the files of a series share."""

    folder: Path
    plan: VisitPlan
    lattice: Lattice
    base: Dataset
    elements: dict[int, bytes]

    @classmethod
    def of(cls, folder: Path, plan: VisitPlan, lattice: Lattice, base: Dataset) -> _Series:
        return cls(folder, plan, lattice, base, encoded(base))

    def save(self, k: int, pixels: Array, number: int, own: dict[str, object]) -> None:
        """Write slice `k` (0 is the lowest) under the file number given."""
        plan, modality = self.plan, str(self.base.Modality)
        instance = uid(plan.seed, plan.participant_id, plan.visit, modality, k)
        x, y, _ = self.lattice.origin_mm
        z = decimal(round(float(self.lattice.z[k]), 4))
        varying = {
            "SOPInstanceUID": instance,
            # Vendors number from the head downwards.
            "InstanceNumber": self.lattice.shape[0] - k,
            "ImagePositionPatient": [decimal(x), decimal(y), z],
            "SliceLocation": z,
            "PixelData": pixels.tobytes(),
        }
        path = self.folder / _file_name(plan, modality, instance, number)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(part10(self.elements, encode(varying | own), str(self.base.SOPClassUID), instance))


def _file_name(plan: VisitPlan, modality: str, instance_uid: str, number: int) -> str:
    if plan.scanner.vendor == "siemens":
        return f"{modality}.{instance_uid}.dcm"
    if plan.scanner.vendor == "ge":
        return f"i{100000 + number}.{modality}DC.{number % 100}"
    return f"DICOM/IM_{number + 1:04d}"
