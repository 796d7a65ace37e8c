"""Values of a vessel as it is drawn now, by the measurement's own code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from petflame.protocol import Protocol
from petflame.review.desk import Desk


def values_of(desk: Desk, protocol: Protocol, show_values: bool) -> Mapping[str, Mapping[str, Any]]:
    """Return the values of every vessel that the reader may see: those accepted, or all where values are shown."""
    return {}


def profile_of(desk: Desk, name: str, protocol: Protocol, show_values: bool) -> dict[str, Any]:
    """Return a vessel's uptake section by section; TBR only where its values may be seen."""
    return {"z_mm": [], "arc_mm": [], "suv_max": [], "tbr_max": None, "valid": [], "reason": [], "excluded": []}
