"""A converted PET: what other rooms ask of the file beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from petflame.errors import Fault, InputRefused
from petflame.files import read_json, read_nifti
from petflame.folders import VisitFolder
from petflame.space.grid import Volume
from petflame.typed import Misshapen, mapping, number, sequence

SAME_SCANNER = ("manufacturer", "model", "reconstruction_method", "convolution_kernel", "voxel_size_mm")


@dataclass(frozen=True)
class PetSidecar:
    """Facts of ``pet.json``.

    Attributes
    ----------
    suv_factor : float or None
        SUVbw (g/mL) per stored unit; None where SUV was refused and the voxels are Bq/mL or stored units.
    suv_refused : tuple of Fault
        Why.
    uptake_min : float or None
        Injection to the earliest frame.
    injection_may_be_assay : bool
        Whether the time that is called the injection's may be the assay's.
    dose_bq, weight_kg : float or None
    voxel_size_mm : tuple of float
        Empty where it is not known.
    scanner : mapping
        Scanner, software and reconstruction; None for what is not known.
    """

    suv_factor: float | None = None
    suv_refused: tuple[Fault, ...] = ()
    uptake_min: float | None = None
    injection_may_be_assay: bool = False
    dose_bq: float | None = None
    weight_kg: float | None = None
    voxel_size_mm: tuple[float, ...] = ()
    scanner: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_suv(self) -> bool:
        """Whether the voxels are SUVbw, g/mL."""
        return self.suv_factor is not None

    @property
    def dose_per_kg(self) -> float | None:
        """Injected dose per body weight, MBq/kg."""
        return self.dose_bq / self.weight_kg / 1e6 if self.dose_bq and self.weight_kg else None

    @property
    def in_plane_mm(self) -> float | None:
        """The larger voxel side in the axial plane."""
        return max(self.voxel_size_mm[:2]) if self.voxel_size_mm else None


def read_pet_sidecar(visit: VisitFolder) -> PetSidecar:
    """Read ``pet.json`` of a visit folder.

    Raises
    ------
    InputRefused
        When it is absent, no JSON object, or holds a figure that is none.
    """
    remedy = "run `petflame convert` again"
    document = read_json(visit.pet_json, "run `petflame convert` first")
    figures = dict.fromkeys(("suv_factor", "uptake_min", "dose_bq", "weight_kg"))
    try:
        known = {key: number(document[key], key) for key in figures if document.get(key) is not None}
        sizes = tuple(number(v, "voxel_size_mm") for v in sequence(document.get("voxel_size_mm"), "voxel_size_mm"))
        refusals = [mapping(reason, "suv_refused") for reason in sequence(document.get("suv_refused"), "suv_refused")]
    except Misshapen as error:
        raise InputRefused.of(str(error), f"{visit.root.name}/{visit.pet_json.name}", remedy) from None
    values = figures | known
    refused = tuple(Fault(*(str(r.get(key, "")) for key in ("what", "where", "remedy"))) for r in refusals)
    return PetSidecar(
        values["suv_factor"],
        refused if values["suv_factor"] is None else (),
        values["uptake_min"],
        bool(document.get("injection_may_be_assay")),
        values["dose_bq"],
        values["weight_kg"],
        sizes,
        {key: document.get(key) for key in (*SAME_SCANNER, "software_versions")},
    )


def read_converted_pet(visit: VisitFolder) -> Volume:
    """Read the PET of a converted visit, SUVbw or the unit that ``pet.json`` names.

    Raises
    ------
    InputRefused
        When it is missing or holds values that are not finite.
    """
    pet = read_nifti(visit.pet, "run `petflame convert` first")
    if not np.isfinite(pet.data).all():
        raise InputRefused.of("it holds values that are not finite", str(visit.pet), "convert the visit again")
    return pet
