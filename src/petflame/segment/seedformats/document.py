"""Points in a JSON document of our own form."""

from __future__ import annotations

from typing import Any

from petflame.anatomy import LANDMARKS
from petflame.segment.seedformats.points import Points, called
from petflame.typed import mapping, number, sequence


def points_of_document(document: dict[str, Any]) -> Points:
    """Take vessels, radii and landmarks out of ``{"carotid_right": [[x, y, z], ...], "radius_mm": {...}}``.

    Raises
    ------
    Misshapen
        When a part is not of that form.
    """
    given = mapping(document.get("radius_mm"), "radius_mm")
    radius = {k: number(v, f"radius_mm of {called(k)}") for k, v in given.items()}
    landmarks = {k: [v] for k, v in mapping(document.get("landmarks_lps_mm"), "landmarks_lps_mm").items()}
    rest = ((k, v) for k, v in document.items() if k not in ("radius_mm", "landmarks_lps_mm"))
    places = {k: sequence(v, called(k)) for k, v in rest}
    # A landmark may be written as the point itself.
    places |= {k: [v] for k, v in places.items() if k in LANDMARKS and v and not isinstance(v[0], list)}
    return Points(places, radius, landmarks)
