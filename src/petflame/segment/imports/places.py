"""Telling from the vessels alone whether a mask lies mirrored, upside down or back to front in the patient."""

from __future__ import annotations

import numpy as np

from petflame.anatomy import AORTA, BY_NAME, CAROTIDS
from petflame.errors import FaultList
from petflame.labelmap import LabelMap
from petflame.segment.checks import require_laterality
from petflame.space.grid import Array

SIDED = ("carotid", "jugular")
REMEDY = "export it again with its orientation, or correct the names"


def require_orientation(labels: LabelMap, where: str) -> list[str]:
    """Refuse regions that cannot lie as they do in a person.

    Parameters
    ----------
    labels : LabelMap
    where : str
        How the error names the file.

    Returns
    -------
    list of str
        Doubts that do not refuse: a superior vena cava on the left, where carotids or jugulars lie on their sides.

    Raises
    ------
    InputRefused
        When a right vessel lies to the left of its counterpart, the superior vena cava to the left of the ascending
        aorta (and no pair of vessels says that the sides are right), carotids below the aorta, or the ascending aorta
        behind the descending.
    """
    centres = vessel_centres(labels)
    require_laterality(centres, where)
    faults, doubts = FaultList(), []
    svc, ascending = centres.get("svc"), centres.get("aorta_ascending")
    if svc is not None and ascending is not None and svc[0] <= ascending[0]:
        what = f"svc lies {ascending[0] - svc[0]:.0f} mm to the patient's left of aorta_ascending"
        if any(f"{s}_right" in centres and f"{s}_left" in centres for s in SIDED):
            doubts.append(f"{what}, which is rare: check it")
        else:
            faults.add(f"{what}: the mask is mirrored or the names are swapped", where, REMEDY)
    for name in CAROTIDS:
        for part in AORTA:
            if name in centres and part in centres and centres[name][2] <= centres[part][2]:
                faults.add(f"{name} lies below {part}: the mask is upside down", where, REMEDY)
    behind = _ascending_behind(labels) if {"aorta_ascending", "aorta_descending"} <= set(centres) else 0.0
    if behind > 0:
        what = f"aorta_ascending lies {behind:.0f} mm behind aorta_descending: the mask is back to front"
        faults.add(what, where, REMEDY)
    faults.raise_if_any()
    return doubts


def vessel_centres(labels: LabelMap) -> dict[str, Array]:
    """Return the centre of every region that is there, RAS mm, shape (3,)."""
    voxels = np.argwhere(labels.data > 0)
    numbers = labels.data[tuple(voxels.T)]
    places = labels.grid.to_ras(voxels)
    return {n: places[numbers == r.label].mean(axis=0) for n, r in BY_NAME.items() if (numbers == r.label).any()}


def _ascending_behind(labels: LabelMap) -> float:
    """How far the ascending aorta lies behind the descending at the heights of both, mm; negative in front."""
    parts = [labels.places_mm(n) for n in ("aorta_ascending", "aorta_descending")]
    low = max(float(p[:, 2].min()) for p in parts)
    high = min(float(p[:, 2].max()) for p in parts)
    front, rear = (p[(p[:, 2] >= low - 1e-6) & (p[:, 2] <= high + 1e-6)] for p in parts)
    if not len(front) or not len(rear):
        return 0.0
    return float(rear[:, 1].mean() - front[:, 1].mean())
