"""The multiverse figure: the effect under every way of measuring, and which choices each way makes.

After Steegen 2016 (doi 10.1177/1745691616658637) and Simonsohn 2020 (doi 10.1038/s41562-020-0912-z): estimates in order
of size, above a matrix that marks the choices behind each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from petflame.protocol import Protocol
from petflame.report.read import Row
from petflame.report.svg import Drawing, Scale, span_of
from petflame.report.words import between, percent
from petflame.sensitivity import Variation
from petflame.trial.endpoints import ENDPOINTS

MEASURES = {
    "tbr_max": "maximum",
    "tbr_mean": "mean",
    "tbr_peak": "1 cm³ peak",
    "csuv_max": "maximum less blood",
}
WHOLE = "index vessel, whole"
NEIGHBOURS = {
    "ignore": "not looked for",
    "flag": "flagged",
    "exclude_sections": "sections left out",
    "exclude_voxels": "voxels left out",
}
DIMENSIONS = ("Sections", "Uptake of a section", "Blood pool", "Contour", "End sections", "Hot neighbours")
_LEFT, _RIGHT, _TOP, _ROW = 320.0, 1040.0, 34.0, 19.0
_PLOT = 190.0


@dataclass(frozen=True)
class Specification:
    """One way of measuring, its choice in every dimension, and the effect under it (percent)."""

    name: str
    choices: Mapping[str, str]
    estimate: float
    low: float
    high: float


def specifications(arms: Row, protocol: Protocol) -> list[Specification]:
    """Gather the primary, the protocol's variations and the other selections of sections, smallest effect last.

    Parameters
    ----------
    arms : mapping
        ``arms.json``.
    protocol : Protocol
        The study's.

    Returns
    -------
    list of Specification
        Those with an interval; empty where blinded.
    """
    primary = arms["primary"]
    if not primary:
        return []
    own = _choices(protocol)
    known = {v.name: v for v in protocol.sensitivity}
    found: list[tuple[str, dict[str, str], Row]] = [("primary", own, primary)]
    for block in arms["variations"] or []:
        variation = known.get(block["variation"])
        if variation is not None:
            found.append((variation.name, _choices(protocol.varied(variation), variation), block))
    measured = [e for e in ENDPOINTS if e.sections and arms["endpoints"][e.name]]
    found += [(e.name, own | {"Sections": e.sections}, arms["endpoints"][e.name]) for e in measured]
    made = [
        Specification(name, choices, *(float(block[f"adjusted_percent{end}"]) for end in ("", "_low", "_high")))
        for name, choices, block in found
        # A trial of a few patients may give no finite interval; the table of variations shows it.
        if block["adjusted_percent_low"] is not None and block["adjusted_percent_high"] is not None
    ]
    return sorted(made, key=lambda s: s.estimate)


def _choices(protocol: Protocol, variation: Variation | None = None) -> dict[str, str]:
    region = protocol.region
    ends = "trimmed" if region.trim_end_sections else "counted"
    plane = "" if region.section_plane == "axial" else ", perpendicular"
    changed = variation is not None and "background" in variation.changes
    return {
        "Sections": WHOLE,
        "Uptake of a section": MEASURES[variation.measure if variation is not None else "tbr_max"],
        "Blood pool": variation.name.replace("_", " ") if changed and variation is not None else "as declared",
        "Contour": f"{region.roi_margin_mm:+g} mm{plane}" if region.roi_margin_mm else f"as drawn{plane}",
        "End sections": ends,
        "Hot neighbours": NEIGHBOURS[protocol.spill_in.rule],
    }


def multiverse(found: Sequence[Specification]) -> Markup:
    """Draw the estimates with their intervals above the matrix of choices; empty for fewer than two."""
    if len(found) < 2:
        return Markup("")
    rows = _rows(found)
    height = _TOP + _PLOT + 24 + _ROW * (len(rows) + len(DIMENSIONS)) + 8
    title = f"Effect under {len(found)} ways of measuring: " + "; ".join(
        f"{s.name} {percent(s.estimate)}" for s in found
    )
    drawing = Drawing(1060, height, title, "figure wide")
    y = Scale(*span_of([v for s in found for v in (s.low, s.high)], 0.04, around=0.0), _TOP + _PLOT, _TOP)
    step = (_RIGHT - _LEFT) / len(found)
    columns = [_LEFT + (n + 0.5) * step for n in range(len(found))]
    drawing.axis_y(y, _LEFT, "Adjusted percent (95 % CI)", _RIGHT, count=6)
    drawing.line(_LEFT, y(0), _RIGHT, y(0), "zero")
    for s, x in zip(found, columns, strict=True):
        class_ = "strong" if s.name == "primary" else "plain"
        drawing.line(x, y(s.low), x, y(s.high), f"whisker {class_}")
        tip = f"{s.name.replace('_', ' ')}: {percent(s.estimate)} ({between(s.low, s.high)})"
        drawing.rect(x - 4.5, y(s.estimate) - 4.5, 9, 9, f"estimate {class_}", tip)
    _matrix(drawing, found, columns, rows, _TOP + _PLOT + 24)
    return drawing.markup()


def _rows(found: Sequence[Specification]) -> list[tuple[str, str]]:
    """Every (dimension, option) that some way makes, the primary's option first."""
    primary = next((s for s in found if s.name == "primary"), found[0])
    rows = []
    for dimension in DIMENSIONS:
        options = dict.fromkeys([primary.choices[dimension], *(s.choices[dimension] for s in found)])
        rows += [(dimension, option) for option in options]
    return rows


def _matrix(
    drawing: Drawing, found: Sequence[Specification], columns: Sequence[float], rows: list[tuple[str, str]], top: float
) -> None:
    at, last = top, ""
    for dimension, option in rows:
        if dimension != last:
            drawing.text(8, at + 13, dimension, "label strong")
            drawing.line(8, at, _RIGHT, at, "grid")
            at, last = at + _ROW, dimension
        drawing.text(24, at + 12, option, "label")
        for s, x in zip(found, columns, strict=True):
            made = s.choices[dimension] == option
            class_ = ("dot strong" if s.name == "primary" else "dot") if made else "dot off"
            drawing.add("circle", cx=x, cy=at + 8, r=4.0 if made else 1.5, class_=class_)
        at += _ROW
