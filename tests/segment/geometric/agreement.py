"""How well labels agree with circles read by eye; used by the tests and by benchmarks/segmentation_page.py."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from petflame.anatomy import AORTA, BY_NAME
from petflame.space.grid import Array, Volume, ras_to_lps


@dataclass(frozen=True)
class Agreement:
    """One reading against the labels of its slice.

    Attributes
    ----------
    z_mm, centre_error_mm, dice, radius_difference_mm : float
    """

    z_mm: float
    centre_error_mm: float
    dice: float
    radius_difference_mm: float


def mean_circle(reading: dict) -> Array:
    """Return x, y, radius (LPS mm): the mean of the two readings."""
    return (np.array(reading["first"], float) + np.array(reading["second"], float)) / 2


def spread_mm(reading: dict) -> float:
    """Return the distance between the centres of the two readings."""
    return float(np.hypot(*(np.array(reading["first"][:2]) - reading["second"][:2])))


def compare(labels: Volume, vessel: str, readings: list[dict]) -> list[Agreement]:
    """Compare axial sections with readings; readings in slices that the vessel was not labelled in are left out.

    Any part of the aorta counts in a slice that holds the part read: where the parts meet is a convention.
    """
    numbers = [BY_NAME[name].label for name in AORTA] if vessel in AORTA else [BY_NAME[vessel].label]
    area_mm2 = labels.grid.spacing_mm[0] * labels.grid.spacing_mm[1]
    rows = []
    for reading in readings:
        x, y, radius = mean_circle(reading)
        i, j, k = labels.grid.to_ijk([[-x, -y, reading["z"]]])[0]
        plane = labels.data[:, :, round(k)]
        if not (plane == BY_NAME[vessel].label).any():
            continue
        sections, count = ndimage.label(np.isin(plane, numbers))
        centres = np.array(ndimage.center_of_mass(sections > 0, sections, range(1, count + 1)))
        section = np.argwhere(sections == 1 + int(np.hypot(*(centres - [i, j]).T).argmin()))
        points = ras_to_lps(labels.grid.to_ras(np.column_stack([section, np.full(len(section), round(k))])))
        off = points[:, :2] - [x, y]
        area = len(section) * area_mm2
        shared = float((np.hypot(*off.T) <= radius).sum()) * area_mm2
        rows.append(
            Agreement(
                reading["z"],
                float(np.hypot(*off.mean(axis=0))),
                2 * shared / (area + np.pi * radius**2),
                float(np.sqrt(area / np.pi) - radius),
            )
        )
    return rows
