"""Points as a file holds them, before anything is asked of their course, and the names that they may have."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from petflame.anatomy import ARTERIES, LANDMARKS, VEINS
from petflame.privacy import named
from petflame.segment.imports.names import plain_name, region_of
from petflame.typed import brief

NAMES = (*ARTERIES, *VEINS)
_LANDMARKS = {plain_name(name): name for name in LANDMARKS}


@dataclass
class Points:
    """What a file of seeds holds, by name, in the file's order.

    Attributes
    ----------
    places : dict of lists
        Vessel or landmark to its points, LPS mm, each of them still to be checked.
    radius_mm : dict of float
    landmarks : dict of lists
        Names that stand where only landmarks do.
    """

    places: dict[str, list[Any]] = field(default_factory=dict)
    radius_mm: dict[str, float] = field(default_factory=dict)
    landmarks: dict[str, list[Any]] = field(default_factory=dict)


def meant_by(text: str) -> str | None:
    """Return the vessel or landmark that a label or a file's name means, None where it means none.

    Case, blanks and the numbers that 3D Slicer appends count for nothing; synonyms are those of drawn regions.

    >>> [meant_by(t) for t in ("carotid_right-3", "Jugular left (2)", "carina_1", "RC", "F-1", "aorta")]
    ['carotid_right', 'jugular_left', 'carina', 'carotid_right', None, None]
    """
    plain = re.sub(r"\s*[0-9]+$", "", plain_name(text))
    if plain in _LANDMARKS:
        return _LANDMARKS[plain]
    region = region_of(text) or region_of(plain)
    return region if region in NAMES else None


def called(name: str) -> str:
    """How messages call a vessel: a word that is none may be anything, a name too."""
    return name if name in (*NAMES, *LANDMARKS) else named(brief(name), "an unknown name")


def stem_of(path: Path) -> str:
    """Return the name of a file without its endings.

    >>> stem_of(Path("carotid_right.mrk.json"))
    'carotid_right'
    """
    return path.name.split(".")[0]
