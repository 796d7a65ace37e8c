"""What vessels of the neck and chest can be like, and what is usual: from anatomy, never from uptake.

Calibre of the carotids: lumen 6.1 (SD 0.8) mm in women and 6.5 (1.0) mm in men (Krejza 2006, Stroke 37:1103), its
sinus 7.6 (1.0) mm (Baz 2021, Medicina 57:832), and a wall of about 1 mm. Internal jugular veins are 4 to 25 mm wide,
collapsed or full. The automatic finder keeps to the same usual calibres
of the great vessels.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Anatomy:
    """Limits of one kind of vessel; in mm.

    Attributes
    ----------
    possible_radius_mm : (float, float)
        With aneurysm and string sign; what lies outside is a slip of the pen.
    usual_radius_mm : (float, float)
    length_mm : (float, float)
        Along its course; the longest is that of a tall person, from its origin to where it leaves neck or chest.
    above_carina_mm : (float, float)
        Levels between which it can run.
    """

    possible_radius_mm: tuple[float, float]
    usual_radius_mm: tuple[float, float]
    length_mm: tuple[float, float]
    above_carina_mm: tuple[float, float]


@dataclass(frozen=True)
class Place:
    """Where a vessel of the neck lies beside the airway, away from the midline and backwards; in mm.

    Common carotids lie beside trachea and larynx, 40 to 60 mm from each other, jugular veins outside them. A carotid
    behind the pharynx crosses the midline for part of its way only, so the middle of its course counts.
    """

    lateral_mm: tuple[float, float]
    backward_mm: tuple[float, float]


_CAROTID = Anatomy((1.0, 15.0), (2.0, 7.0), (10.0, 260.0), (-20.0, 330.0))
_JUGULAR = Anatomy((1.0, 25.0), (1.5, 13.0), (6.0, 260.0), (0.0, 330.0))

ANATOMY: dict[str, Anatomy] = {
    "aorta_ascending": Anatomy((4.0, 60.0), (9.0, 24.0), (10.0, 150.0), (-130.0, 70.0)),
    "aorta_arch": Anatomy((4.0, 60.0), (7.5, 22.0), (10.0, 200.0), (-40.0, 90.0)),
    "aorta_descending": Anatomy((4.0, 60.0), (7.0, 20.0), (10.0, 400.0), (-400.0, 70.0)),
    "carotid_right": _CAROTID,
    "carotid_left": _CAROTID,
    "svc": Anatomy((1.5, 30.0), (4.0, 14.0), (6.0, 110.0), (-130.0, 80.0)),
    "jugular_right": _JUGULAR,
    "jugular_left": _JUGULAR,
}

PLACE: dict[str, Place] = {
    "carotid": Place((6.0, 45.0), (-25.0, 45.0)),
    "jugular": Place((10.0, 65.0), (-40.0, 45.0)),
}

# Between the right and the left vessel of a kind, at the same level.
BETWEEN_SIDES_MM: dict[str, tuple[float, float]] = {"carotid": (15.0, 100.0), "jugular": (25.0, 140.0)}
# From the carotid to the jugular vein of its side: both run in one sheath. The vein lies lateral, in front and lateral,
# or in front (Umaña 2015, PMC4536815: 24, 34 and 42 % with the head turned), so not medial to and behind the artery.
TO_JUGULAR_MM = 35.0
# Unenhanced blood measures 15 to 75 HU with scanner and haematocrit. A core that means less than 0 HU is a third fat
# (-100 HU) or holds air; one above 90 HU holds bone, calcium, iodine of the thyroid or contrast medium.
CONTENTS_HU = (0.0, 90.0)
# Share of the vessel's sections that may show something else: streaks at the shoulders, calcium, a point set badly.
STRANGE_SHARE = 1 / 3
