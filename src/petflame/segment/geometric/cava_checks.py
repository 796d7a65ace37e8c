"""Does what was found beside the ascending aorta look like the superior vena cava, and like that alone."""

from __future__ import annotations

import numpy as np

from petflame.segment.geometric.cava import Cava
from petflame.segment.geometric.result import LimitCheck, at_least, at_most
from petflame.segment.geometric.surface import RAYS, Tube, holds
from petflame.segment.geometric.work import sample
from petflame.space.grid import Array, Volume, ras_to_lps

# Shortest to longest diameter. A full cava is oval; one flattened to less than a third is collapsed (the flat cava sign
# is a ratio of 3 to 1 and more) and holds no core.
LEAST_ROUNDNESS, LEAST_FLATNESS = 0.6, 0.4
# Beyond this growth, over half of its length, the outline runs into a neighbour: the azygos, the pulmonary artery.
MOST_GROWTH, MOST_GROWN_SHARE = 1.35, 0.5
# Fat lies 120 to 150 HU below blood; a third of that across the blurred edge sets the vein off. Where less than two
# fifths of its outline is set off, the aorta's side not counted, a circle of any size would fit.
LEAST_FALL_HU, LEAST_SET_OFF = 40.0, 0.4
EDGE_MM = 2.0
# The same blood flows in both: what differs is thrombus, contrast medium, or no vessel.
MOST_APART_HU = 12.0
CORE_SHARES = (0.2, 0.4, 0.6)


def cava_checks(cava: Cava, aorta: Tube, ct: Volume) -> tuple[LimitCheck, ...]:
    """Check roundness, flatness, neighbours, contrast with fat and agreement with the aorta's blood.

    Parameters
    ----------
    cava : Cava
        With at least one section.
    aorta : Tube
        The whole aorta.
    ct : Volume
        Canonical CT, HU.
    """
    ratio = diameter_ratio(cava.free)
    grown = float((cava.free.mean_radius_mm > MOST_GROWTH * cava.calibre_mm).mean())
    tube = cava.tube
    inner, outer = (_hu(tube, np.maximum(tube.radius_mm + d, 0.0), ct) for d in (-EDGE_MM, EDGE_MM))
    set_off = (inner - outer >= LEAST_FALL_HU) & ~_in_aorta(tube, aorta)
    own, other = _core_hu(tube, ct), _core_hu(aorta, ct)
    return (
        at_least("roundness", float(np.median(ratio)), LEAST_ROUNDNESS, "shortest to longest diameter, median"),
        at_least("flatness", float(ratio.min()), LEAST_FLATNESS, "shortest to longest diameter, flattest section"),
        at_most("neighbours", grown, MOST_GROWN_SHARE, "of its sections run into a neighbour"),
        at_least("contrast", float(set_off.mean()), LEAST_SET_OFF, "of its outline is set off from fat or lung"),
        at_most("blood density like the aorta's", abs(own - other), MOST_APART_HU, "HU from the aorta's blood"),
    )


def diameter_ratio(tube: Tube) -> Array:
    """Shortest to longest diameter of every section, from its second moments of area, shape (n,)."""
    turn = np.arange(RAYS) * 2 * np.pi / RAYS
    wheel = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    area = (tube.radius_mm**2 / 2).sum(axis=1)
    middle = np.einsum("nr,ra->na", tube.radius_mm**3 / 3, wheel) / area[:, None]
    second = np.einsum("nr,ra,rb->nab", tube.radius_mm**4 / 4, wheel, wheel) / area[:, None, None]
    spread = np.linalg.eigvalsh(second - middle[:, :, None] * middle[:, None, :])
    return np.asarray(np.sqrt(spread[:, 0] / spread[:, 1]))


def _in_aorta(tube: Tube, aorta: Tube) -> Array:
    """Whether the aorta lies just outside the outline, per section and ray."""
    points = tube.points_lps_mm(tube.radius_mm + EDGE_MM)
    return holds(aorta, points.reshape(-1, 3)).reshape(tube.radius_mm.shape)


def _hu(tube: Tube, radius_mm: Array, ct: Volume) -> Array:
    return sample(ct.data, ct.grid.to_ijk(ras_to_lps(tube.points_lps_mm(radius_mm))), outside=np.nan)


def _core_hu(tube: Tube, ct: Volume) -> float:
    return float(np.nanmedian(np.concatenate([_hu(tube, share * tube.radius_mm, ct) for share in CORE_SHARES])))
