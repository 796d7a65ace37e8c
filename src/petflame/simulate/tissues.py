"""What each tissue looks like: CT number and FDG uptake.

Uptakes are plausible means at 90 minutes, not fitted to data; the visit's own values replace some of them.
"""

from __future__ import annotations

from typing import NamedTuple


class Tissue(NamedTuple):
    """CT number (HU) and uptake (SUVbw, g/mL)."""

    hu: float
    suv: float


TISSUES: dict[str, Tissue] = {
    "air": Tissue(-1000.0, 0.0),
    "skin": Tissue(20.0, 0.5),
    "fat": Tissue(-98.0, 0.28),
    "muscle": Tissue(52.0, 0.65),
    "deep_fat": Tissue(-85.0, 0.35),
    "mediastinal_fat": Tissue(-88.0, 0.45),
    "soft": Tissue(35.0, 0.75),
    "lung": Tissue(-840.0, 0.42),
    "lung_vessel": Tissue(35.0, 1.1),
    "airway_wall": Tissue(20.0, 0.9),
    "blood": Tissue(42.0, 1.4),
    "vessel_wall": Tissue(45.0, 1.4),
    "calcium": Tissue(650.0, 1.2),
    "myocardium": Tissue(47.0, 5.0),
    "atrium_wall": Tissue(45.0, 1.7),
    "liver": Tissue(58.0, 2.1),
    "spleen": Tissue(48.0, 1.8),
    "stomach": Tissue(30.0, 1.6),
    "cortical_bone": Tissue(680.0, 0.7),
    "marrow": Tissue(175.0, 1.45),
    "marrow_limb": Tissue(60.0, 0.6),
    "rib_marrow": Tissue(180.0, 0.9),
    "cartilage": Tissue(105.0, 0.5),
    "disc": Tissue(82.0, 0.6),
    "cord": Tissue(30.0, 1.5),
    "thyroid": Tissue(98.0, 1.7),
    "oesophagus": Tissue(36.0, 1.6),
    "gland": Tissue(18.0, 2.0),
    "tonsil": Tissue(48.0, 3.2),
    "lymph_node": Tissue(40.0, 2.4),
    "brain": Tissue(36.0, 7.0),
    "tongue": Tissue(50.0, 1.3),
}
