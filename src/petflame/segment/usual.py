"""What is usual for a kind of vessel that a reader sets points along."""

from __future__ import annotations

from dataclasses import dataclass, replace

from petflame.anatomy import CAROTIDS

# Sections are sought within so much of a radius that a reader gives.
GIVEN_WITHIN_MM = 1.0


@dataclass(frozen=True)
class Usual:
    """What is usual for a kind of vessel.

    Attributes
    ----------
    radius_mm : float
    stiffness_mm3 : float
        How straight it runs: weight of the line's squared curvature against a reader's squared error.
    radii_mm : (float, float)
        Smallest and largest radius that its sections are sought with.
    even : bool
        Whether its uptake is one all along: blood is, a wall is not.
    """

    radius_mm: float
    stiffness_mm3: float
    radii_mm: tuple[float, float]
    even: bool

    def given(self, radius_mm: float | None) -> Usual:
        """Return the same with a reader's radius, where there is one."""
        if radius_mm is None:
            return self
        radii = (max(radius_mm - GIVEN_WITHIN_MM, 1.0), radius_mm + GIVEN_WITHIN_MM)
        return replace(self, radius_mm=radius_mm, radii_mm=radii)


CAROTID = Usual(4.0, 700.0, (3.0, 5.0), False)
# The internal jugular veins run straighter than the carotids.
VEIN = Usual(5.0, 5000.0, (4.0, 8.0), True)


def usual_of(name: str) -> Usual:
    """Return what is usual for a vessel."""
    return CAROTID if name in CAROTIDS else VEIN
