"""The venous blood pool that uptake is divided by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from petflame.errors import FaultList
from petflame.grid import Array, Volume, ras_to_lps
from petflame.measure.sections import Section
from petflame.protocol import BackgroundRules


@dataclass(frozen=True)
class BloodPool:
    """Uptake of a blood pool's core.

    Attributes
    ----------
    regions : tuple of str
        Veins pooled, voxel by voxel.
    mean, sd : float
        In the unit of the image.
    voxels : int
    """

    regions: tuple[str, ...]
    mean: float
    sd: float
    voxels: int


def core_voxels(sections: list[Section], vein_centreline_lps_mm: Array, pet: Volume, rules: BackgroundRules) -> Array:
    """Voxels of a vein that hold blood alone.

    A voxel counts when its centre is at least `core_depth_mm` inside the boundary, in-plane, or within
    `thin_core_radius_mm` of the centreline; the latter matters only where the vein is too thin for the former.
    With ``core: as_given`` every voxel of the region counts, because the label map brings the core itself.

    Returns
    -------
    (n, 3) int array
        PET voxels on native planes in view.
    """
    chosen = []
    for section in sections:
        if not section.in_view:
            continue
        ijk = section.voxels
        if rules.core == "erode":
            points = ras_to_lps(pet.grid.to_ras(ijk))
            centre = _centre_at(vein_centreline_lps_mm, section)
            near = np.hypot(*(points - centre)[:, :2].T) <= rules.thin_core_radius_mm
            ijk = ijk[(section.depth_mm >= rules.core_depth_mm) | near]
        chosen.append(ijk)
    return np.concatenate(chosen) if chosen else np.zeros((0, 3), int)


def _centre_at(line: Array, section: Section) -> Array:
    if len(line) == 0:
        return section.centre_lps_mm
    order = np.argsort(line[:, 2])
    return np.array([np.interp(section.z_mm, line[order, 2], line[order, axis]) for axis in range(3)])


def blood_pool(names: tuple[str, ...], cores: dict[str, Array], pet: Volume, faults: FaultList) -> BloodPool | None:
    """Pool the cores of several veins, each voxel counting once; None (and a fault) where none has a voxel."""
    found = tuple(n for n in names if len(cores.get(n, ())))
    if not found:
        faults.add(
            f"no blood-pool voxel in {', '.join(names)}",
            "labels.nii.gz",
            "label the vein, or choose another blood pool in the protocol (background.regions)",
        )
        return None
    values = np.concatenate([pet.data[tuple(cores[n].T)] for n in found]).astype(float)
    mean = float(values.mean())
    if not mean > 0:
        faults.add(
            f"the mean uptake of {', '.join(found)} is {mean:.4g}",
            "pet.nii.gz",
            "check that the label lies on the vein and that the image is the attenuation-corrected PET",
        )
        return None
    return BloodPool(found, mean, float(values.std(ddof=1)) if len(values) > 1 else float("nan"), len(values))
