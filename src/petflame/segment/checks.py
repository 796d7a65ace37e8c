"""Checks that any vessel region can be put to, whoever made it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy import ndimage

from petflame.errors import InputRefused
from petflame.segment.product import Check, VesselFinding
from petflame.space.blocks import crop_to_mask
from petflame.space.grid import Array, Volume, ras_to_lps
from petflame.space.orientation import to_canonical

STRAY_FRACTION_LIMIT = 0.05
AREA_JUMP_LIMIT = 2.5
SMALL_SECTION_MM2 = 12.0
FEW_VOXELS_PER_SECTION = 6
AGAIN_OR_NAMES = "export the labels again with their orientation, or swap the names"
# Of points whose CT has not been looked at, or does not tell.
SIGN_OR_NAMES = "where they are RAS, change the sign of x and y; where they are LPS, swap the names"


def check_mask(mask: Volume, runs_head_foot: bool = True) -> tuple[Check, ...]:
    """Check components, gaps and area jumps of a vessel's mask (boolean, not empty).

    A region of a few voxels a section, such as a blood core on the PET grid, is not judged by its shape; areas are
    compared only where the vessel runs head-foot, because axial planes cut an arch lengthwise.
    """
    crop = crop_to_mask(to_canonical(mask))
    counts = crop.data.sum(axis=(0, 1))
    if np.median(counts[counts > 0]) < FEW_VOXELS_PER_SECTION:
        return (Check("shape", True, "too few voxels a section to judge the shape"),)
    gap, jump = _areas(crop)
    return (_components(crop.data), gap, jump) if runs_head_foot else (_components(crop.data), gap)


def _components(data: Array) -> Check:
    labelled, count = ndimage.label(data, structure=np.ones((3, 3, 3)))
    sizes = np.bincount(labelled.ravel())[1:]
    stray = 1.0 - sizes.max() / sizes.sum()
    message = f"{count} connected component(s), {100 * stray:.1f} % of the voxels outside the largest"
    return Check("components", bool(stray <= STRAY_FRACTION_LIMIT), message)


def _areas(crop: Volume) -> tuple[Check, Check]:
    spacing = crop.grid.spacing_mm
    areas = crop.data.sum(axis=(0, 1)) * spacing[0] * spacing[1]
    ks = np.flatnonzero(areas)
    gaps = int(ks[-1] - ks[0] + 1 - len(ks))
    gap = Check("gaps", gaps == 0, f"{gaps} axial slice(s) without the vessel between its ends")
    inner = areas[ks][1:-1]
    if len(inner) < 2:
        return gap, Check("area_jumps", True, "too few sections to compare")
    pairs = np.column_stack([inner[:-1], inner[1:]]) + SMALL_SECTION_MM2
    jump = float((pairs.max(axis=1) / pairs.min(axis=1)).max())
    message = f"largest ratio of neighbouring section areas {jump:.2f} (limit {AREA_JUMP_LIMIT:g})"
    return gap, Check("area_jumps", jump <= AREA_JUMP_LIMIT, message)


def vessel_centres(vessels: Mapping[str, VesselFinding]) -> dict[str, Array]:
    """Mean of each vessel's centreline, RAS mm, for the vessels that have one."""
    found = {name: finding.centreline_lps_mm for name, finding in vessels.items()}
    return {name: ras_to_lps(line.mean(axis=0)) for name, line in found.items() if len(line)}


def require_laterality(centres_ras_mm: dict[str, Array], where: str, remedy: str = AGAIN_OR_NAMES) -> None:
    """Refuse labels whose right vessel lies to the patient's left of its left counterpart.

    Parameters
    ----------
    centres_ras_mm : dict of (3,) arrays
        Centre of each vessel found.
    where : str
        How the error names the labels.
    """
    for stem in ("carotid", "jugular"):
        right, left = (centres_ras_mm.get(f"{stem}_{side}") for side in ("right", "left"))
        if right is not None and left is not None and right[0] <= left[0]:
            raise InputRefused.of(
                f"{stem}_right lies {left[0] - right[0]:.0f} mm to the patient's left of {stem}_left: "
                "the labels are mirrored or their names swapped",
                where,
                remedy,
            )
