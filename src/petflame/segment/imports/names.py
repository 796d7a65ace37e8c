"""Which region of `petflame.anatomy` a name in a foreign file means.

Names are compared without case, and with everything but letters and digits taken as a blank; a trailing number (as
readers count their regions, "LC 3") is dropped where the name with it is unknown. The table holds what 3D Slicer,
TotalSegmentator, DICOM codes and readers of arterial FDG studies write. A JSON file beside the import wins over it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from petflame.anatomy import BY_NAME
from petflame.errors import FaultList

WHOLE_AORTA = "aorta"
IGNORE = "ignore"

SYNONYMS: dict[str, tuple[str, ...]] = {
    WHOLE_AORTA: ("aorta", "thoracic aorta", "whole aorta"),
    "aorta_ascending": (
        "aorta ascending", "ascending aorta", "ascending thoracic aorta", "asc aorta", "aorta asc", "aao", "aa", "asc",
    ),
    "aorta_arch": ("aorta arch", "aortic arch", "arch of aorta", "arch", "aar"),
    "aorta_descending": (
        "aorta descending", "descending aorta", "descending thoracic aorta", "desc aorta", "aorta desc", "dao", "da",
        "desc",
    ),
    "carotid_right": (
        "carotid right", "right carotid", "carotid artery right", "right carotid artery", "rc", "r carotid",
        "common carotid artery right", "right common carotid artery", "right common carotid", "rcc", "rcca",
        "internal carotid artery right", "right internal carotid artery", "right internal carotid", "rica",
    ),
    "carotid_left": (
        "carotid left", "left carotid", "carotid artery left", "left carotid artery", "lc", "l carotid",
        "common carotid artery left", "left common carotid artery", "left common carotid", "lcc", "lcca",
        "internal carotid artery left", "left internal carotid artery", "left internal carotid", "lica",
    ),
    "svc": ("svc", "superior vena cava", "vena cava superior", "vcs"),
    "jugular_right": (
        "jugular right", "right jugular", "jugular vein right", "right jugular vein", "internal jugular vein right",
        "right internal jugular vein", "right internal jugular", "rjv", "rijv", "rij", "r jugular",
    ),
    "jugular_left": (
        "jugular left", "left jugular", "jugular vein left", "left jugular vein", "internal jugular vein left",
        "left internal jugular vein", "left internal jugular", "ljv", "lijv", "lij", "l jugular",
    ),
    "myocardium": ("myocardium", "left ventricular myocardium", "heart myocardium", "heart"),
    "thyroid": ("thyroid", "thyroid gland"),
    "oesophagus": ("oesophagus", "esophagus"),
    "vertebrae": ("vertebrae", "vertebra", "vertebral marrow", "vertebral body", "vertebral bodies", "spine"),
    "lymph_node": ("lymph node", "lymph nodes", "node", "nodes"),
    "liver": ("liver",),
    "metal": ("metal", "implant", "port", "stent"),
}  # fmt: skip


def plain_name(text: str) -> str:
    """Bring a name into the form in which names are compared.

    >>> plain_name(" Common_Carotid-Artery (LEFT) ")
    'common carotid artery left'
    """
    return " ".join(re.findall(r"[a-z0-9]+", text.lower()))


_KNOWN = {plain_name(word): region for region, words in SYNONYMS.items() for word in words}
_VERTEBRA = re.compile(r"vertebrae? [ctls][0-9]{1,2}")


def region_of(name: str) -> str | None:
    """Return the region that a name means, ``aorta`` for a whole aorta, or None.

    >>> region_of("LC 3"), region_of("Aorta ascending"), region_of("vertebrae_T7"), region_of("spleen")
    ('carotid_left', 'aorta_ascending', 'vertebrae', None)
    """
    plain = plain_name(name)
    if _VERTEBRA.fullmatch(plain):
        return "vertebrae"
    return _KNOWN.get(plain) or _KNOWN.get(re.sub(r"(?<=[a-z ])\s*[0-9]+$", "", plain).strip())


def _given(names: tuple[str, ...], number: int | None, given: Mapping[str, str]) -> str | None:
    own = {plain_name(k): v for k, v in given.items()}
    keys = [plain_name(n) for n in names] + ([str(number)] if number is not None else [])
    return next((own[k] for k in keys if k in own), None)


def is_ignored(names: tuple[str, ...], number: int | None, given: Mapping[str, str]) -> bool:
    """Tell whether the user says to leave a region out; such a region decides nothing, wherever it lies."""
    return _given(names, number, given) == IGNORE


def resolve(
    claims: Iterable[tuple[tuple[str, ...], int | None, str]],
    given: Mapping[str, str],
    where: str,
) -> list[str]:
    """Return the region of every claim; ``ignore`` where the user says so.

    Parameters
    ----------
    claims : iterable of (names, number, title)
        The title is how messages call it.
    given : mapping
        Name, or number as text, to region: what stands beside the file, already checked by `unknown_targets`.
    where : str

    Raises
    ------
    InputRefused
        With every name that is not known.
    """
    faults, found, unknown = FaultList(), [], []
    for names, number, title in claims:
        region = _given(names, number, given)
        region = region or next((r for r in map(region_of, names) if r is not None), None)
        if region is None:
            unknown.append(repr(title))
        found.append(region or "")
    if unknown:
        known = "; ".join(f"{region} = {', '.join(words)}" for region, words in SYNONYMS.items())
        faults.add(
            f"unknown region names {', '.join(dict.fromkeys(unknown))}",
            where,
            f"rename them, or say what they are in a JSON file beside it, "
            f'{{"names": {{"their name": "carotid_left", "another": "{IGNORE}"}}}}; known: {known}',
        )
    faults.raise_if_any()
    return found


def unknown_targets(given: Mapping[str, str]) -> list[tuple[int, str]]:
    """List the entries of a user's table that point to no region, each with its position, counted from 1."""
    allowed = {*BY_NAME, WHOLE_AORTA, IGNORE}
    return [(n, f"{key}: {value}") for n, (key, value) in enumerate(given.items(), start=1) if value not in allowed]
