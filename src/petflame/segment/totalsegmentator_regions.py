"""What TotalSegmentator's label maps become here: vessels by the measurement's rules, checked or withheld."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from petflame.anatomy import AORTA, ARTERIES, BY_NAME, CAROTIDS, VEINS
from petflame.errors import InputRefused
from petflame.files import read_nifti
from petflame.labelmap import LabelMap
from petflame.segment.aorta import split_aorta
from petflame.segment.checks import require_laterality, vessel_centres
from petflame.segment.imports.lattice import fit_volume
from petflame.segment.labelmaps import describe
from petflame.segment.product import Segmentation
from petflame.segment.totalsegmentator_process import METHOD, TESTED_VERSION
from petflame.space.boxes import Box, box_of_mask, largest_part
from petflame.space.grid import Array, Grid, Volume, ras_to_lps
from petflame.space.orientation import canonical_grid, to_canonical

EDGE_MM = 15.0
DIAGONAL = np.ones((3, 3, 3))
# The left brachiocephalic vein is 10 to 15 mm wide where it joins; labels that put the beginning of the cava farther
# than that from its mouth contradict each other.
CAVA_END_MM = 15.0
# No part of these veins is thinner; what is, is a rim of the labels.
THINNEST_MM = 3.0
CAVA, VEIN_LEFT, VEIN_RIGHT = "superior_vena_cava", "brachiocephalic_vein_left", "brachiocephalic_vein_right"

# Class names of TotalSegmentator, what they are here and their numbers in 2.18.0, to notice a change. "aorta" is
# divided; the brachiocephalic veins end the cava and are no region of their own.
TOTAL: dict[str, tuple[str, int]] = {
    "aorta": ("aorta", 52),
    "common_carotid_artery_right": ("carotid_right", 57),
    "common_carotid_artery_left": ("carotid_left", 58),
    VEIN_LEFT: ("", 59),
    VEIN_RIGHT: ("", 60),
    CAVA: ("svc", 62),
    "heart": ("myocardium", 51),
}
ORGANS = {"esophagus": ("oesophagus", 15), "thyroid_gland": ("thyroid", 17)}
NECK = {
    "internal_carotid_artery_right": ("carotid_right", 9),
    "internal_carotid_artery_left": ("carotid_left", 10),
    "internal_jugular_vein_right": ("jugular_right", 11),
    "internal_jugular_vein_left": ("jugular_left", 12),
}
NECK_TASK = "headneck_bones_vessels"
NECK_WEIGHTS = "Dataset776_headneck_bones_vessels_492subj"
NECK_COMMAND = "totalseg_download_weights -t headneck_bones_vessels"


def read_masks(
    result: dict[str, Any], tasks: dict[str, dict[str, Any]], grid: Grid
) -> tuple[dict[str, Array], list[str]]:
    """Masks by TotalSegmentator's class name on the CT grid, and warnings.

    Parameters
    ----------
    result : dict
        What the worker returned (see `totalsegmentator_worker.run`).
    tasks : dict
        {task: {class name: (our name, usual number)}}.
    grid : Grid
        The CT's.

    Raises
    ------
    InputRefused
        When a label map does not cover the CT voxel for voxel.
    """
    masks: dict[str, Array] = {}
    warnings = []
    for task, names in tasks.items():
        image = read_nifti(Path(result["images"][task]))
        found = fit_volume(image.grid.affine, image.grid.shape, {"ct": grid}, whole=True)
        if found is None:
            what = f"its result lies on {image.grid.describe()}, not on the CT ({grid.describe()})"
            raise InputRefused.of(what, METHOD, f"use TotalSegmentator {TESTED_VERSION}")
        _, matrix, offset = found
        for name, (_, usual) in names.items():
            number = result["classes"][task][name]
            if number != usual:
                warnings.append(f"TotalSegmentator {result['version']} gives {name} the number {number}, not {usual}")
            voxels = np.argwhere(image.data == number) @ matrix.T + offset
            masks[name] = np.zeros(grid.shape, bool)
            masks[name][tuple(voxels.T)] = True
    return masks, warnings


@dataclass(frozen=True, eq=False)
class Cava:
    """The superior vena cava by the measurement's rule.

    Attributes
    ----------
    mask : bool array
        On the CT grid.
    confluence_lps_mm : (float, float, float) or None
        Where the left brachiocephalic vein opens, LPS mm; None where that was not found.
    doubt : str
        Why its upper end needs a reader, or empty.
    """

    mask: Array
    confluence_lps_mm: tuple[float, float, float] | None = None
    doubt: str = ""


def end_cava(cava: Array, vein_left: Array, vein_right: Array, grid: Grid) -> Cava:
    """End the superior vena cava where the brachiocephalic veins join.

    The confluence is the lowest axial level on which the left brachiocephalic vein touches the cava or the right
    brachiocephalic vein. From that level up nothing is cava, whatever the labels say; below it, what is labelled as
    the right brachiocephalic vein and continues the cava is cava.

    Parameters
    ----------
    cava, vein_left, vein_right : (I, J, K) bool arrays
    grid : Grid

    Returns
    -------
    Cava
        In doubt where the left vein is absent or touches nothing although the CT goes on above the cava, where the
        label of the cava ends farther from the confluence than a brachiocephalic vein is wide, and where no cava
        remains.
    """
    if not cava.any():
        return Cava(cava)
    box = box_of_mask(cava | vein_left | vein_right, 1)
    own, left, right = (to_canonical(Volume(m[box], grid.cropped(box))).data for m in (cava, vein_left, vein_right))
    part = canonical_grid(grid.cropped(box))
    reach = max(1, round(THINNEST_MM / 2 / max(part.spacing_mm[:2])))
    own, left, right = (largest_part(m, DIAGONAL) for m in (own, _opened(left, reach), right))
    spacing_mm = part.spacing_mm[2]
    label_top = int(np.flatnonzero(own.any(axis=(0, 1)))[-1])
    mouth = left & ndimage.binary_dilation(own | right, _square(reach + 1))
    if not mouth.any():
        doubt = "" if _reaches_top(cava, grid) else "no left brachiocephalic vein joins it: its upper end is not known"
        return Cava(_placed(own, box, grid), None, doubt)
    level = int(np.flatnonzero(mouth.any(axis=(0, 1)))[0])
    below = own | right
    below[..., level:] = False
    joined, _ = ndimage.label(below, structure=DIAGONAL)
    continued = np.bincount(joined[own & below])
    if not continued.any():
        return Cava(np.zeros_like(cava), None, "its label lies above the confluence of the brachiocephalic veins")
    i, j = np.argwhere(mouth[..., level]).mean(axis=0)
    x, y, z = (float(v) for v in ras_to_lps(part.to_ras([i, j, level])))
    beyond_mm = (label_top + 1 - level) * spacing_mm
    doubt = ""
    if abs(beyond_mm) > CAVA_END_MM:
        way = "above" if beyond_mm > 0 else "below"
        doubt = f"its label ends {abs(beyond_mm):.0f} mm {way} the confluence of the brachiocephalic veins"
    return Cava(_placed(joined == int(continued.argmax()), box, grid), (x, y, z), doubt)


def _square(reach: int) -> Array:
    return np.ones((2 * reach + 1, 2 * reach + 1, 1))


def _opened(mask: Array, reach: int) -> Array:
    """Take away what is thinner than 2 `reach` + 1 voxels within axial levels: rims that no vein is as thin as."""
    return np.asarray(ndimage.binary_opening(mask, _square(reach)))


def _placed(mask: Array, box: Box, grid: Grid) -> Array:
    """Put a canonical mask of a box back where the box was cut from."""
    result = np.zeros(grid.shape, bool)
    to_canonical(Volume(result[box], grid.cropped(box)), copy=False).data[...] = mask
    return result


def _reaches_top(mask: Array, grid: Grid) -> bool:
    """Whether a vessel may be cut off by the upper end of the CT."""
    top_mm = float(grid.to_ras(np.argwhere(mask))[:, 2].max())
    return bool(grid.to_ras(grid.corners())[:, 2].max() - top_mm < EDGE_MM)


def finish(masks: dict[str, Array], grid: Grid, provenance: dict[str, Any], warnings: list[str]) -> Segmentation:
    """Make the segmentation of the masks: parts of the aorta, ends of vessels, checks, what is withheld and why.

    Parameters
    ----------
    masks : dict of (I, J, K) bool arrays
        By TotalSegmentator's class name, from `read_masks`.
    grid : Grid
    provenance : dict
    warnings : list of str

    Raises
    ------
    InputRefused
        When left and right are exchanged.
    """
    cava = end_cava(masks[CAVA], masks[VEIN_LEFT], masks[VEIN_RIGHT], grid)
    masks = {**masks, CAVA: cava.mask}
    labels = np.zeros(grid.shape, np.uint8)
    targets = {name: region for table in (TOTAL, ORGANS, NECK) for name, (region, _) in table.items()}
    painted = [name for name in masks if targets[name] in BY_NAME]
    # Arteries last, so that they win where the two tasks overlap.
    for name in sorted(painted, key=lambda n: BY_NAME[targets[n]].label, reverse=True):
        labels[masks[name]] = BY_NAME[targets[name]].label
    reasons = {"svc": cava.doubt} if cava.doubt else {}
    if masks["aorta"].any():
        try:
            parts = split_aorta(Volume(masks["aorta"], grid), METHOD)
            labels = np.where(parts > 0, parts, labels)
        except InputRefused as error:
            reasons |= dict.fromkeys(AORTA, error.faults[0].what)
    landmarks = _bifurcations(masks, grid)
    if cava.confluence_lps_mm is not None:
        landmarks["brachiocephalic_confluence"] = cava.confluence_lps_mm
    segmentation = describe(LabelMap(labels, grid), "ct", METHOD, landmarks, provenance)
    arch = segmentation.labels.mask("aorta_arch").data
    if arch.any() and _reaches_top(arch, grid):
        reasons["aorta_arch"] = f"its top lies within {EDGE_MM:g} mm of the end of the CT"
    vessels = {}
    for name, finding in segmentation.vessels.items():
        failed = [check.message for check in finding.checks if not check.passed]
        reason = reasons.get(name) or ("not found" if finding.withheld else "; ".join(failed))
        vessels[name] = replace(finding, withheld=bool(reason), reason=reason)
    require_laterality(vessel_centres(vessels), METHOD)
    said = [f"{n}: needs a reader: {vessels[n].reason}" for n in (*ARTERIES, *VEINS) if vessels[n].withheld]
    if not {f"internal_carotid_artery_{n.removeprefix('carotid_')}" for n in CAROTIDS} <= set(masks):
        without = f"{NECK_WEIGHTS} is not there (`{NECK_COMMAND}`)"
        said.append(f"{without}: carotids end at their bifurcation, and there are no jugulars")
    return replace(segmentation, vessels=vessels, warnings=(*warnings, *said))


def _bifurcations(masks: dict[str, Array], grid: Grid) -> dict[str, tuple[float, float, float]]:
    """Lowest place of each internal carotid whose common carotid was found too, LPS mm."""
    found: dict[str, tuple[float, float, float]] = {}
    for side in ("right", "left"):
        internal = masks.get(f"internal_carotid_artery_{side}")
        if internal is not None and internal.any() and masks[f"common_carotid_artery_{side}"].any():
            places = grid.to_ras(np.argwhere(internal))
            lowest = places[places[:, 2] <= places[:, 2].min() + 1e-3].mean(axis=0)
            x, y, z = (float(v) for v in ras_to_lps(lowest))
            found[f"carotid_bifurcation_{side}"] = (x, y, z)
    return found
