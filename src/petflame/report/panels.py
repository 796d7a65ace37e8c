"""Figures of participants: how many reached each station, and the profile along each vessel at both visits."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from petflame.anatomy import title
from petflame.report.read import Participant, Row
from petflame.report.svg import Drawing, Scale, span_of
from petflame.report.words import number, readable
from petflame.set_aside import TITLES

STATION_TITLES = {
    "screened": "Listed",
    "randomised": "Randomised",
    "scanned": "Scanned",
    "evaluable": "Baseline measured",
    "followed_up": "Both visits measured",
    "analysed": "Analysed",
}


def flow(stations: Sequence[Row]) -> Markup:
    """Draw the flow of participants through the trial, with those lost between stations.

    Parameters
    ----------
    stations : sequence of mapping
        ``consort.stations`` of ``arms.json``.
    """
    known = [s for s in stations if s["total"] is not None]
    height = 66 * len(known) + 8
    drawing = Drawing(
        1060, height, "Flow of participants: " + "; ".join(_station_words(s) for s in known), "figure wide"
    )
    for n, station in enumerate(known):
        y = 6 + 66 * n
        if n:
            drawing.add("path", d=f"M150 {y - 22}v22m-4 -6l4 6l4 -6", class_="arrow")
        drawing.add("rect", x=10, y=y, width=360, height=44, rx=6, class_="box")
        drawing.text(24, y + 27, STATION_TITLES.get(station["station"], str(station["station"])), "heading")
        drawing.text(354, y + 27, str(station["total"]), "heading", "end")
        if "active" in station:
            drawing.text(300, y + 19, f"active {station['active']}", "tick", "end")
            drawing.text(300, y + 34, f"control {station['control']}", "tick", "end")
        lost = station["lost"]
        if lost and n:
            drawing.line(150, y - 11, 384, y - 11, "arrow")
            alike = _alike(lost)
            shown = [f"{total} {_short(readable(reason))}" for reason, total in alike[:2]]
            rest = sum(total for _, total in alike[2:])
            shown += [f"and {rest} more (see the table)"] if rest else []
            for k, words in enumerate(shown):
                drawing.text(390, y - 11 + 4 + 15 * (k - (len(shown) - 1) / 2), words, "tick")
    return drawing.markup()


def _alike(lost: Sequence[Row]) -> list[tuple[str, int]]:
    """Count what was lost by the part of the reason before its details; details stay where they are of one kind."""
    groups: dict[str, list[Row]] = {}
    for item in lost:
        groups.setdefault(str(item["reason"]).split(": ")[0], []).append(item)
    counted = [(own[0]["reason"] if len(own) == 1 else general, own) for general, own in groups.items()]
    return sorted(((str(words), sum(i["total"] for i in own)) for words, own in counted), key=lambda pair: -pair[1])


def _station_words(station: Row) -> str:
    return f"{STATION_TITLES.get(station['station'], station['station'])} {station['total']}"


def _short(reason: str, length: int = 96) -> str:
    return reason if len(reason) <= length else reason[: length - 1].rstrip() + "…"


def profiles(participant: Participant, vessels: Sequence[str], threshold: float, top: float) -> Markup:
    """Draw TBRmax along each vessel at both visits; empty where nothing was measured.

    Parameters
    ----------
    participant : Participant
    vessels : sequence of str
    threshold : float
        TBRmax from which a section counts as active.
    top : float
        Upper end of the axis, the same for every participant.
    """
    lines = {name: _lines(participant, name) for name in vessels}
    shown = [name for name in vessels if any(lines[name].values())]
    if not shown:
        return Markup("")
    width, gap = 338, 14
    drawing = Drawing(len(shown) * (width + gap), 214, f"TBRmax along {', '.join(map(title, shown))}", "figure wide")
    index = participant.value("index_vessel")
    for n, name in enumerate(shown):
        left = n * (width + gap) + 34
        right = n * (width + gap) + width
        points = [p for line in lines[name].values() for p in line]
        x = Scale(*span_of([p[0] for p in points], 0.02), left, right)
        y = Scale(0.5, max(top, max(p[1] for p in points)), 172, 30)
        out = [TITLES[v] for v, seen in participant.visits.items() if name in seen.withheld]
        said = [*(["index vessel"] if name == index else []), *([f"withheld at {' and '.join(out)}"] if out else [])]
        drawing.text(left, 16, title(name) + (f" ({', '.join(said)})" if said else ""), "heading")
        for value in y.ticks(4):
            drawing.line(left, y(value), right, y(value), "grid")
            drawing.text(left - 6, y(value) + 4, f"{value:g}", "tick", "end")
        drawing.axis_x(x, 172, "mm along the vessel", count=4)
        drawing.line(left, y(threshold), right, y(threshold), "threshold")
        for visit, line in lines[name].items():
            if line:
                dashed = " withheld" if name in participant.visits[visit].withheld else ""
                drawing.path([(x(a), y(b)) for a, b, _ in line], f"profile {visit}{dashed}")
                for a, b, valid in line:
                    tip = f"{number(a, 0)} mm: TBRmax {number(b)}" + ("" if valid else ", does not count")
                    if not valid:
                        drawing.add("circle", cx=x(a), cy=y(b), r=2.6, class_=f"void {visit}")
                    elif len(line) == 1:
                        drawing.mark(x(a), y(b), 2.5, "pooled", tip)
    return drawing.markup()


def _lines(participant: Participant, vessel: str) -> dict[str, list[tuple[float, float, bool]]]:
    """Position (mm), TBRmax and validity of the sections of each visit, along one common axis where paired."""
    rows = [r for r in participant.sections if r["vessel"] == vessel]
    lines: dict[str, list[tuple[float, float, bool]]] = {}
    for visit in ("baseline", "followup"):
        found = participant.visits[visit].rows_of(vessel)
        valid = {int(r["section"]): bool(r["valid"]) for r in found}
        if rows:
            points = [
                (float(r["position_mm"]), float(r[f"tbr_max_{visit}"]), valid.get(int(r[f"section_{visit}"]), True))
                for r in rows
                if r.get(f"section_{visit}") is not None
                and r.get(f"tbr_max_{visit}") is not None
                and r.get("position_mm") is not None
            ]
        else:
            points = [
                (float(r["arc_mm"]), float(r["tbr_max"]), bool(r["valid"]))
                for r in found
                if r.get("tbr_max") is not None and r.get("arc_mm") is not None
            ]
        lines[visit] = sorted(points)
    return lines
