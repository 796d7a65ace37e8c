"""The vocabulary: arteries, blood pools and neighbours, their label numbers and codes.

The numbers 1 to 8 are fixed by the file format; label maps of other tools are mapped onto these names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["artery", "vein", "neighbour"]
# By which rules vessels are found without a reader; `former` are those before the landmarks.
AutomaticRegions = Literal["landmarks", "former"]


@dataclass(frozen=True)
class Region:
    """A named region of the label map.

    Attributes
    ----------
    name : str
        Name in tables and sidecars.
    label : int
        Value in ``labels.nii.gz``.
    kind : {'artery', 'vein', 'neighbour'}
        Arteries are measured, veins give the blood pool, neighbours may spill into a vessel.
    title : str
        Name in pictures and pages.
    """

    name: str
    label: int
    kind: Kind
    title: str


REGIONS: tuple[Region, ...] = (
    Region("aorta_ascending", 1, "artery", "Ascending aorta"),
    Region("aorta_arch", 2, "artery", "Aortic arch"),
    Region("aorta_descending", 3, "artery", "Descending aorta"),
    Region("carotid_right", 4, "artery", "Right carotid"),
    Region("carotid_left", 5, "artery", "Left carotid"),
    Region("svc", 6, "vein", "Superior vena cava"),
    Region("jugular_right", 7, "vein", "Right internal jugular vein"),
    Region("jugular_left", 8, "vein", "Left internal jugular vein"),
    Region("myocardium", 9, "neighbour", "Myocardium"),
    Region("thyroid", 10, "neighbour", "Thyroid"),
    Region("oesophagus", 11, "neighbour", "Oesophagus"),
    Region("vertebrae", 12, "neighbour", "Vertebral marrow"),
    Region("lymph_node", 13, "neighbour", "Lymph node"),
    Region("liver", 14, "neighbour", "Liver"),
    Region("metal", 15, "neighbour", "Metal"),
)

BY_NAME: dict[str, Region] = {r.name: r for r in REGIONS}
BY_LABEL: dict[int, Region] = {r.label: r for r in REGIONS}

ARTERIES: tuple[str, ...] = tuple(r.name for r in REGIONS if r.kind == "artery")
VEINS: tuple[str, ...] = tuple(r.name for r in REGIONS if r.kind == "vein")
NEIGHBOURS: tuple[str, ...] = tuple(r.name for r in REGIONS if r.kind == "neighbour")
AORTA: tuple[str, ...] = ("aorta_ascending", "aorta_arch", "aorta_descending")
CAROTIDS: tuple[str, ...] = ("carotid_right", "carotid_left")
# Places of one point that a reader may set beside vessels.
LANDMARKS = ("carotid_bifurcation_right", "carotid_bifurcation_left", "carina", "right_pulmonary_artery")

# Order in which ties for the index vessel are resolved (measurement definitions, section 3).
TARGET_VESSELS: tuple[str, ...] = ("aorta_ascending", "carotid_right", "carotid_left")


def title(name: str) -> str:
    """Return the name for pictures and pages.

    >>> title("carotid_left")
    'Left carotid'
    """
    return BY_NAME[name].title if name in BY_NAME else name.replace("_", " ")
