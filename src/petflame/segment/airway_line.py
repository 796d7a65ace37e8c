"""The airway beside the vessels of the neck: a landmark that any unenhanced or enhanced CT shows, lungs or none."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from petflame.segment.geometric.airway import best_chain, lumina_of
from petflame.segment.geometric.body import BODY_HU, enclosed_air
from petflame.segment.geometric.work import STEP_MM, Work, canonical_view, coarse_view, resample
from petflame.space.boxes import largest_part
from petflame.space.grid import Array, Volume, ras_to_lps

HALF_WIDTH_MM = (130.0, 120.0)
MARGIN_MM = 10.0
COARSE_MM = 5.0
LEAST_LENGTH_MM = 20.0


def airway_line(ct: Volume, low_mm: float, high_mm: float) -> Array:
    """Follow the larynx and trachea between two levels.

    In every slice the round air-filled lumina near the middle of the body are candidates; the longest smooth chain of
    them is the airway.

    Parameters
    ----------
    ct : Volume
        HU, any axis order and direction.
    low_mm, high_mm : float
        Levels (the z of RAS and LPS).

    Returns
    -------
    (n, 3) array
        Centre of the lumen, LPS mm, from below upwards; n = 0 where less than 20 mm of it show.
    """
    view = canonical_view(ct)
    ends = view.grid.to_ras(np.array([[0, 0, 0], np.array(view.data.shape) - 1]))[:, 2]
    low, high = max(low_mm - MARGIN_MM, float(ends.min())), min(high_mm + MARGIN_MM, float(ends.max()))
    middle = _middle_of_body(view, low, high)
    if high - low < LEAST_LENGTH_MM or middle is None:
        return np.zeros((0, 3))
    half = np.array(HALF_WIDTH_MM)
    work = resample(view, np.array([*(middle - half), low]), np.array([*(middle + half), high]))
    air, midline = enclosed_air(work.hu, (STEP_MM,) * 3), _midline(work)
    planes = np.flatnonzero(work.inside)[::-1].tolist()
    lumina = {k: lumina_of(work.hu[..., k], air[..., k], float(midline[k])) for k in planes}
    chain = best_chain(planes, lumina, planes[0]) if planes else []
    if len(chain) * STEP_MM < LEAST_LENGTH_MM:
        return np.zeros((0, 3))
    line = work.to_mm(np.array([[*lumen.centre, k] for k, lumen in chain]))
    return np.asarray(line[np.argsort(line[:, 2])])


def _middle_of_body(view: Volume, low_mm: float, high_mm: float) -> Array | None:
    """Middle (x, y), LPS mm, of what is no air between two levels."""
    coarse = coarse_view(view, COARSE_MM)
    z = ras_to_lps(coarse.grid.to_ras([[0, 0, k] for k in range(coarse.data.shape[2])]))[:, 2]
    inside = np.flatnonzero((z >= low_mm - COARSE_MM) & (z <= high_mm + COARSE_MM))
    body = np.argwhere(coarse.data[..., inside] > BODY_HU)
    if len(body) == 0:
        return None
    body[:, 2] = inside[body[:, 2]]
    return np.asarray(ras_to_lps(coarse.grid.to_ras(body.mean(axis=0)))[:2])


def _midline(work: Work) -> Array:
    """Index i of the middle of the body in each slice, shape (K,)."""
    count = work.hu.shape[2]
    middle = np.full(count, np.nan)
    for k in range(count):
        i = np.flatnonzero(largest_part(work.hu[..., k] > BODY_HU).any(axis=1))
        if len(i):
            middle[k] = (i[0] + i[-1]) / 2
    known = np.flatnonzero(np.isfinite(middle))
    if len(known) == 0:
        return np.full(count, work.hu.shape[0] / 2)
    filled = np.interp(np.arange(count), known, middle[known])
    return np.asarray(ndimage.median_filter(filled, 9, mode="nearest"))
