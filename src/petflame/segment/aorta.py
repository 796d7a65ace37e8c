"""Dividing a whole aorta into ascending, arch and descending parts."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from petflame.anatomy import BY_NAME
from petflame.errors import InputRefused
from petflame.space.boxes import box_of_mask
from petflame.space.grid import Array, Volume
from petflame.space.orientation import to_canonical

SMALL_COMPONENT_FRACTION = 0.05


def split_aorta(mask: Volume, where: str) -> Array:
    """Divide a thoracic aorta by the highest axial slice in which it shows two separate sections.

    At and below that slice the front section is ascending and the rear one descending; all above is arch. A slice
    with a single section below it belongs to the part whose sections it continues. Two sections that meet farther down
    are stumps of branches on top of the arch, not the two limbs.

    Parameters
    ----------
    mask : Volume
        Boolean mask of the whole aorta, not empty, any orientation.
    where : str
        How an error names the mask.

    Returns
    -------
    uint8 array
        Labels of `petflame.anatomy` on the grid of `mask`.

    Raises
    ------
    InputRefused
        When no axial slice shows two sections: the arch is not in the mask, so the parts cannot be told.
    """
    box = box_of_mask(mask.data)
    cut = mask.cropped(box)
    canonical = to_canonical(cut)
    result = np.zeros(mask.data.shape, np.uint8)
    parts = to_canonical(Volume(result[box], cut.grid), copy=False).data
    sections = {int(k): _sections(canonical.data[..., k]) for k in np.flatnonzero(canonical.data.any(axis=(0, 1)))}
    top = _highest_level_of_two_limbs(canonical.data, sections)
    if top is None:
        what = "no axial slice shows an ascending and a descending section apart, so the aorta cannot be divided"
        raise InputRefused.of(what, where, "label the parts as aorta_ascending, aorta_arch and aorta_descending")
    ascending, descending, arch = (BY_NAME[f"aorta_{p}"].label for p in ("ascending", "descending", "arch"))
    last = {
        ascending: _centre(max(sections[top], key=lambda s: _centre(s)[1])),
        descending: _centre(min(sections[top], key=lambda s: _centre(s)[1])),
    }
    for k in sorted(sections, reverse=True):
        if k > top:
            parts[..., k][canonical.data[..., k]] = arch
            continue
        for section in sections[k]:
            centre = _centre(section)
            part = min(last, key=lambda name: float(np.hypot(*(centre - last[name]))))
            parts[..., k][section] = part
            last[part] = centre
    return result


def _highest_level_of_two_limbs(mask: Array, sections: dict[int, list[Array]]) -> int | None:
    """Highest level on which the two largest sections do not meet at or below it."""
    low = min(sections, default=0)
    for k in sorted((k for k, found in sections.items() if len(found) >= 2), reverse=True):
        joined, _ = ndimage.label(mask[..., low : k + 1], structure=np.ones((3, 3, 3)))
        largest = sorted(sections[k], key=np.count_nonzero)[-2:]
        first, second = (joined[..., -1][s].max() for s in largest)
        if first != second:
            return k
    return None


def _sections(plane: Array) -> list[Array]:
    labelled, count = ndimage.label(plane, structure=np.ones((3, 3)))
    found = [labelled == n for n in range(1, count + 1)]
    return [s for s in found if s.sum() >= SMALL_COMPONENT_FRACTION * plane.sum()]


def _centre(section: Array) -> Array:
    return np.argwhere(section).mean(axis=0)
