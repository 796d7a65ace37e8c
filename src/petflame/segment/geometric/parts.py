"""Where the ascending aorta ends, the arch lies and the descending aorta begins."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from petflame.segment.geometric.surface import RAYS, Tube
from petflame.space.grid import Array

STEADY_SECTIONS = 3


@dataclass(frozen=True)
class Parts:
    """Division of an aorta.

    Attributes
    ----------
    top : int
        Its highest section.
    margin_mm : float
        Height (LPS z) of the highest level on which the limbs are two sections: what lies above is arch.
    ends_mm : (float, float)
        Height of the lower ends of the ascending and the descending part.
    """

    top: int
    margin_mm: float
    ends_mm: tuple[float, float]

    def sections(self, tube: Tube) -> dict[str, Array]:
        """Return, per part, which sections' centres lie in it: (n,) bool arrays."""
        z = tube.centre_lps_mm[:, 2]
        before = np.arange(len(z)) <= self.top
        # From the top to both sides, so that a limb that bends lower down stays a limb.
        low = z < self.margin_mm
        first = int(np.flatnonzero(low & before)[-1]) + 1 if (low & before).any() else 0
        last = int(np.flatnonzero(low & ~before)[0]) if (low & ~before).any() else len(z)
        index = np.arange(len(z))
        return {
            "aorta_ascending": (index < first) & (z >= self.ends_mm[0]),
            "aorta_arch": (index >= first) & (index < last),
            "aorta_descending": (index >= last) & (z >= self.ends_mm[1]),
        }


def divide(aorta: Tube, ends_mm: tuple[float, float]) -> Parts:
    """Divide an aorta at the highest level on which its two limbs are separate sections.

    An axial plane cuts the aorta twice where some section between the limbs lies wholly above it, so that level is the
    highest of all sections' lowest points: the top of the arch's hollow.

    Parameters
    ----------
    aorta : Tube
        Sections from the ascending over the arch to the descending part.
    ends_mm : (float, float)
        Height (LPS z) of the lower ends of the ascending and the descending part.
    """
    z = aorta.centre_lps_mm[:, 2]
    turn = np.arange(RAYS) * 2 * np.pi / RAYS
    rise = np.cos(turn) * aorta.frame[:, None, 0, 2] + np.sin(turn) * aorta.frame[:, None, 1, 2]
    lowest = z + (aorta.radius_mm * rise).min(axis=1)
    # One section whose outline slipped must not move the level.
    steady = ndimage.median_filter(lowest, STEADY_SECTIONS, mode="nearest")
    return Parts(int(z.argmax()), float(steady.max()), ends_mm)
