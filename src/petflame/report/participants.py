"""One participant's part of the report: figures, grade, pictures and profiles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from petflame.anatomy import BY_NAME, title
from petflame.errors import PetflameError
from petflame.protocol import Protocol
from petflame.repeatability import Repeatability
from petflame.report.doubts import pool_note
from petflame.report.panels import profiles
from petflame.report.pictures import Picture, PictureOrder, draw_participant
from petflame.report.read import Participant, Row, VisitResult
from petflame.report.words import DASH, between, discreet, number, percent, readable
from petflame.set_aside import visits_without_result

# Sorts after every percentage.
MISSING_LAST = 1e9
VISIT_TITLES = {"baseline": "Baseline", "followup": "Follow-up"}
STATUS_TITLES = {
    "refused": "refused",
    "failed": "failed in petflame",
    "missing_visit": "visit missing",
    "not_measurable": "not measurable",
    "not scanned": "not scanned",
}


def table_row(p: Participant) -> dict[str, Any]:
    """Cells of the table of participants, each with a key to sort by."""
    change = p.value("percent_change")
    difference = p.value("change")
    if difference is None and change is not None:
        difference = p.value("tbr_max_followup") - p.value("tbr_max_baseline")
    index = p.value("index_vessel") or next((v["vessel"] for v in p.vessels if v.get("index")), None)
    grade = p.value("comparability")
    reasons = readable(p.value("comparability_reasons"))
    status = str(p.value("status") or ("measured" if change is not None else "not measured"))
    return {
        "id": p.id,
        "arm": p.arm,
        "index": title(index) if index else DASH,
        "baseline": number(p.value("tbr_max_baseline")),
        "followup": number(p.value("tbr_max_followup")),
        "change": number(difference, 2, signed=True),
        "percent": percent(change),
        "percent_key": change if change is not None else MISSING_LAST,
        "band": between(p.value("percent_low"), p.value("percent_high"), signed=True),
        "beyond": p.value("verdict") in ("fall", "rise"),
        "grade": grade,
        "reasons": reasons,
        "measured": change is not None,
        "status": _status_in_words(p, status),
        "why": readable(p.value("reason")),
        "unit_note": unit_note(p),
    }


def _status_in_words(p: Participant, status: str) -> str:
    """Say which visit has no result, so that one that was refused alone does not speak for both."""
    told = visits_without_result(p.exclusions) if status in ("refused", "failed", "missing_visit") else ""
    return told or STATUS_TITLES.get(status, status)


def unit_note(p: Participant) -> str:
    """Name the visits whose SUV was refused and which were measured as ratios alone."""
    visits = [VISIT_TITLES[n] for n, v in p.visits.items() if v.sidecar and not v.sidecar.is_suv]
    return f"{' and '.join(visits)}: SUV refused, ratios measured on Bq/mL" if visits else ""


def hottest_section(visit: VisitResult, vessel: str) -> Row | None:
    """Return the valid section of highest TBRmax."""
    rows = [r for r in visit.rows_of(vessel) if r["valid"] and r.get("tbr_max") is not None]
    return max(rows, key=lambda r: r["tbr_max"]) if rows else None


def chosen_vessel(p: Participant, visit: VisitResult, targets: Sequence[str]) -> str | None:
    """Return the index vessel, or the hottest target vessel of this visit where none was sealed."""
    index = p.value("index_vessel")
    if index in BY_NAME:
        return str(index)
    means = {r["vessel"]: r["mean_tbr_max"] for r in visit.vessels if r.get("mean_tbr_max") is not None}
    known = [v for v in targets if v in means] or [v for v in means if v in BY_NAME]
    return max(known, key=lambda v: means[v]) if known else None


def sections_to_show(p: Participant, vessel: str) -> dict[str, Row | None]:
    """Section hottest at baseline and the one that corresponds at follow-up; each visit's own hottest failing that."""
    found = {name: hottest_section(visit, vessel) for name, visit in p.visits.items()}
    first = found["baseline"]
    if first is not None and found["followup"] is not None:
        matched = [
            r["section_followup"]
            for r in p.sections
            if r["vessel"] == vessel and r.get("section_baseline") == first["section"]
        ]
        rows = {r["section"]: r for r in p.visits["followup"].rows_of(vessel)}
        if matched and matched[0] in rows:
            found["followup"] = rows[matched[0]]
    return found


def picture_orders(p: Participant, protocol: Protocol, top_tbr: float) -> dict[str, PictureOrder]:
    """Say what to draw of each visit that has images."""
    orders = {}
    for name, visit in p.visits.items():
        vessel = chosen_vessel(p, visit, protocol.summary.target_vessels)
        if not visit.has_pictures or vessel is None or visit.folder is None:
            continue
        section = sections_to_show(p, vessel)[name]
        row = next((r for r in visit.vessels if r["vessel"] == vessel), {})
        orders[name] = PictureOrder(
            visit.folder,
            VISIT_TITLES[name],
            vessel,
            protocol.summary.target_vessels,
            None if section is None else float(section["z_mm"]),
            row.get("background_suv"),
            float(row.get("max_tbr") or 1.0),
            top_tbr,
            protocol.region.roi_margin_mm,
            visit.withheld,
        )
    return orders


def draw_all(orders: dict[str, PictureOrder]) -> tuple[dict[str, dict[str, Picture]], str]:
    """Draw a participant's visits; a picture that cannot be made leaves its reason, not a failed report."""
    try:
        return dict(zip(orders, draw_participant(list(orders.values())), strict=True)), ""
    except PetflameError as error:
        return {}, discreet("; ".join(fault.what for fault in error.faults))


def panel(
    p: Participant,
    pictures: dict[str, dict[str, Picture]],
    failure: str,
    orders: dict[str, PictureOrder],
    protocol: Protocol,
    top_tbr: float,
    repeatability: Repeatability,
) -> dict[str, Any]:
    """Return what the participant's panel shows."""
    vessels = list(protocol.summary.target_vessels)
    visits = []
    for name, visit in p.visits.items():
        order = orders.get(name)
        shown = sections_to_show(p, order.vessel)[name] if order else None
        caption = ""
        if shown is not None and order is not None:
            caption = f"{title(order.vessel)}, section {shown['section']}: TBRmax {number(shown['tbr_max'])}"
        visits.append(
            {
                "title": VISIT_TITLES[name],
                "pictures": pictures.get(name, {}),
                "caption": caption,
                "mean": _visit_mean(visit, order),
                "why": _why_absent(p, visit, name, failure),
                "warnings": [discreet(w) for w in visit.details.get("warnings", ())],
            }
        )
    return {
        **table_row(p),
        "visits": visits,
        "profiles": profiles(p, vessels, protocol.summary.active_threshold, top_tbr),
        "vessels": [_vessel_row(p, v, repeatability) for v in p.vessels],
        "items": [_item(i) for i in p.items if i["grade"] in ("warn", "fail")],
        "unknown_items": [readable(i["item"]) for i in p.items if i["grade"] == "unknown"],
        "verdict": readable(p.change.get("sentence")),
    }


def _visit_mean(visit: VisitResult, order: PictureOrder | None) -> str:
    row = next((r for r in visit.vessels if order is not None and r["vessel"] == order.vessel), None)
    return f"{title(row['vessel'])}: mean TBRmax {number(row.get('mean_tbr_max'))}" if row else ""


def _why_absent(p: Participant, visit: VisitResult, name: str, failure: str) -> str:
    if visit.has_pictures:
        return failure
    words = [str(e["what"]) for e in p.exclusions if e["visit"] == name and e["kind"] in ("refused", "failed")]
    return readable("; ".join(words)) or "no images of this visit in the results"


def _vessel_row(p: Participant, row: Row, repeatability: Repeatability) -> dict[str, Any]:
    baseline, followup = row.get("tbr_max_baseline"), row.get("tbr_max_followup")
    change = repeatability.change(baseline, followup) if baseline and followup else None
    return {
        "title": title(row["vessel"]),
        "index": bool(row.get("index")),
        "baseline": number(row.get("tbr_max_baseline")),
        "followup": number(row.get("tbr_max_followup")),
        "percent": percent(change.percent if change else None),
        "band": between(change.percent_low, change.percent_high, signed=True) if change else DASH,
        "sections": f"{_whole(row.get('sections_baseline'))} / {_whole(row.get('sections_followup'))}",
        "area": number(row.get("area_ratio")),
        "note": "; ".join(filter(None, [readable(row.get("reason")), pool_note(p, str(row["vessel"]))])),
    }


def _whole(value: Any) -> str:
    return DASH if value is None else str(int(value))


def _item(item: Row) -> dict[str, str]:
    def say(value: Any) -> str:
        if isinstance(value, float):
            return number(value, 2)
        return DASH if value is None else discreet(value)

    return {
        "item": readable(item["item"]),
        "baseline": say(item.get("baseline")),
        "followup": say(item.get("followup")),
        "value": say(item.get("value")),
        "grade": str(item["grade"]),
        "limits": readable(item.get("limits")),
    }
