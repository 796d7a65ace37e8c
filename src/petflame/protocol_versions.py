"""Older versions of the default protocol: what a document that names one means by the choices it leaves out."""

from __future__ import annotations

from typing import Any

# Only what differs from today's defaults; config/protocols/ivory_v1.yaml and ivory_v0.yaml spell out all of it.
OLDER: dict[str, dict[str, dict[str, Any]]] = {
    "ivory_assumed_v1": {"segmentation": {"regions": "former"}},
    "ivory_assumed_v0": {
        "segmentation": {"regions": "former"},
        "region": {
            "pet_ct_search": "local",
            "pet_ct_mismatch_mm": None,
            "pet_ct_mismatch_voxels": 1.0,
            "pet_ct_mismatch_z_mm": None,
        },
        "spill_in": {"extent": "half_maximum"},
        "comparability": {
            "pet_ct_shift_mm": None,
            "pet_ct_shift_voxels": {"passes": 0.5, "warns": 1.0},
            "pet_ct_shift_z_mm": None,
            "coverage_sections": None,
            "not_measured": "ignore",
        },
    },
}


def filled_from_older(given: dict[str, Any]) -> dict[str, Any]:
    """Fill the choices that a document leaves out from the older version that it names; any other is left as it is.

    A study's protocol file is kept for years: under its old name it must go on meaning what it meant.

    >>> filled_from_older({"name": "ivory_assumed_v0"})["spill_in"], filled_from_older({"name": "mine"})
    ({'extent': 'half_maximum'}, {'name': 'mine'})
    """
    name = given.get("name")
    older = OLDER.get(name, {}) if isinstance(name, str) else {}
    filled = dict(given)
    for section, choices in older.items():
        own = given.get(section, {})
        filled[section] = {**choices, **own} if isinstance(own, dict) else own
    return filled


def one_of(given: Any, plain: str, other: str) -> Any:
    """Let `other` stand in place of the default of `plain` where it alone is given: one limit, in one unit.

    >>> one_of({"voxels": 1.0}, "mm", "voxels")
    {'voxels': 1.0, 'mm': None}

    Raises
    ------
    ValueError
        When both are given, or neither is left.
    """
    if not isinstance(given, dict):
        return given
    if given.get(other) is not None and plain not in given:
        return {**given, plain: None}
    if given.get(other) is not None and given.get(plain) is not None:
        raise ValueError(f"give `{plain}` or `{other}`, not both; write null for the one that does not hold")
    if plain in given and given[plain] is None and given.get(other) is None:
        raise ValueError(f"neither `{plain}` nor `{other}` has a value; give one")
    return given
