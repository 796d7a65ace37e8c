"""Figures of the whole trial: waterfall, paired lines, change against baseline, intervals, survival."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from petflame.report.read import Participant, Row
from petflame.report.svg import Drawing, Scale, span_of
from petflame.report.words import between, number, percent

ARM_TITLES = {"active": "Active", "control": "Control", None: "All patients (blinded)"}


def arm_of(participant: Participant) -> str:
    """Class name of a participant's arm."""
    return participant.arm or "pooled"


def _tip(p: Participant) -> str:
    words = [p.id, *([p.arm] if p.arm else [])]
    change = f"{percent(p.value('percent_change'))} ({between(p.value('percent_low'), p.value('percent_high'))})"
    return (
        f"{', '.join(words)}: {number(p.value('tbr_max_baseline'))} to {number(p.value('tbr_max_followup'))}, {change}"
    )


def waterfall(participants: Sequence[Participant], band: Sequence[float] | None) -> Markup:
    """Draw every patient's percent change, most fallen last, with the band in which an unchanged patient lies.

    Parameters
    ----------
    participants : sequence
        Measured participants.
    band : (low, high) or None
        Percent.
    """
    order = sorted(participants, key=lambda p: (-p.value("percent_change"), p.id))
    values = [p.value("percent_change") for p in order]
    low, high = span_of([*values, *(band or ())], around=0.0)
    drawing = Drawing(
        1060, 390, f"Percent change of {len(order)} patients, largest rise to largest fall", "figure wide"
    )
    y, left, right = Scale(low, high, 340, 34), 48.0, 1052.0
    if band:
        drawing.rect(left, y(band[1]), right - left, y(band[0]) - y(band[1]), "band")
        words = "95 % band of an unchanged patient"
        drawing.text(right - 6, y(band[1]) + 14, words, "bandtext", "end")
    drawing.axis_y(y, left, "Change in mean TBRmax of the index vessel, %", right, count=6)
    step = (right - left) / max(len(order), 1)
    bar = min(0.78 * step, 26.0)
    for n, p in enumerate(order):
        x, value = left + (n + 0.5) * step, p.value("percent_change")
        top, bottom = min(y(0), y(value)), max(y(0), y(value))
        failed = " failed" if p.value("comparability") == "fail" else ""
        drawing.rect(x - bar / 2, top, bar, max(bottom - top, 0.8), f"bar-{arm_of(p)}{failed}", _tip(p))
    drawing.line(left, y(0), right, y(0))
    drawing.text((left + right) / 2, 372, "patients, ordered by change", "label", "middle")
    return drawing.markup()


def paired(participants: Sequence[Participant], arm: str | None, span: tuple[float, float], summary: Row) -> Markup:
    """Draw baseline to follow-up lines of one arm, with the arm's means.

    Parameters
    ----------
    participants : sequence
        Measured participants of the arm.
    arm : str or None
        None draws all of them, blinded.
    span : (low, high)
        TBRmax, the same for both arms.
    summary : mapping
        'baseline' and 'followup' {n, mean, sd}.
    """
    name = ARM_TITLES[arm]
    drawing = Drawing(300, 360, f"{name}: baseline and follow-up of {len(participants)} patients")
    y, first, second = Scale(*span, 318, 44), 86.0, 240.0
    drawing.axis_y(y, 34, "Mean TBRmax", 292)
    for p in participants:
        a, b = p.value("tbr_max_baseline"), p.value("tbr_max_followup")
        drawing.path([(first, y(a)), (second, y(b))], f"pair {arm or 'pooled'}", _tip(p))
    means = [summary.get(visit, {}).get("mean") for visit in ("baseline", "followup")]
    if None not in means:
        points = [(first, y(means[0])), (second, y(means[1]))]
        drawing.path(points, f"pairmean {arm or 'pooled'}")
        for x, m in zip((first, second), means, strict=True):
            drawing.mark(x, y(m), 5, arm or "pooled", f"mean {number(m)}")
        drawing.text(first - 9, y(means[0]) + 4, number(means[0]), "value", "end")
        drawing.text(second + 9, y(means[1]) + 4, number(means[1]), "value")
    drawing.text(first, 340, "Baseline", "label", "middle")
    drawing.text(second, 340, "Follow-up", "label", "middle")
    drawing.text(292, 16, f"{name}, n = {len(participants)}", "heading", "end")
    return drawing.markup()


def scatter(participants: Sequence[Participant], arms: Row) -> Markup:
    """Draw change against baseline with each arm's line from the interaction model."""
    drawing = Drawing(460, 360, "Change in TBRmax against baseline, by arm")
    base = [p.value("tbr_max_baseline") for p in participants]
    change = [p.value("tbr_max_followup") - p.value("tbr_max_baseline") for p in participants]
    x = Scale(*span_of(base), 44, 452)
    y = Scale(*span_of(change, around=0.0), 310, 44)
    drawing.axis_y(y, 44, "Change in mean TBRmax", 452)
    drawing.axis_x(x, 310, "Mean TBRmax at baseline")
    drawing.line(44, y(0), 452, y(0), "zero")
    for p, a, d in zip(participants, base, change, strict=True):
        drawing.mark(x(a), y(d), 4.2, arm_of(p), _tip(p))
    for arm, line in _interaction_lines(arms).items():
        drawing.path([(x.clip(a), y.clip(d)) for a, d in line], f"fit {arm}")
        end = line[-1]
        drawing.text(x.clip(end[0]) + 4, y.clip(end[1]) + 4, arm, f"value {arm}")
    return drawing.markup()


def _interaction_lines(arms: Row) -> dict[str, list[tuple[float, float]]]:
    """Fitted change of each arm at the three percentiles of baseline, as (baseline, change)."""
    effects = arms["sensitivity"] and arms["sensitivity"]["interaction"]["percentiles"]
    rows = sorted((effects or {}).values(), key=lambda e: e["baseline"])
    if len(rows) < 2:
        return {}
    return {
        "control": [(e["baseline"], e["control_mean"] - e["baseline"]) for e in rows],
        "active": [(e["baseline"], e["control_mean"] + e["difference"] - e["baseline"]) for e in rows],
    }


def interval(row: Row, scale: Scale, strong: bool = False) -> Markup:
    """Draw one estimate with its interval, for a cell of a table."""
    low, high, estimate = row.get("low"), row.get("high"), row.get("estimate")
    if estimate is None:
        return Markup("")
    words = f"{number(estimate, 2)} ({between(low, high, 2)})"
    drawing = Drawing(scale.end + 10, 22, words, "interval")
    drawing.line(scale(0), 0, scale(0), 22, "zero")
    class_ = "strong" if strong else "plain"
    if low is not None and high is not None:
        drawing.line(scale.clip(low), 11, scale.clip(high), 11, f"whisker {class_}")
        for end in (low, high):
            if scale.low <= end <= scale.high:
                drawing.line(scale(end), 7, scale(end), 15, f"whisker {class_}")
    drawing.rect(scale.clip(estimate) - 4.5, 6.5, 9, 9, f"estimate {class_}")
    return drawing.markup()


def interval_axis(scale: Scale) -> Markup:
    """Draw the axis under a column of intervals."""
    drawing = Drawing(scale.end + 10, 24, "scale of the intervals", "interval")
    drawing.axis_x(scale, 2, count=4)
    return drawing.markup()


def interval_scale(rows: Sequence[Row], width: float = 230.0) -> Scale:
    """Return the scale that holds every row's interval and zero."""
    ends = [row.get(k) for row in rows for k in ("low", "high", "estimate")]
    return Scale(*span_of(ends, 0.05, around=0.0), 10, width - 10)


def events(outcomes: Row) -> Markup:
    """Draw follow-up of the arms: Kaplan-Meier curves, or cumulative incidence where events compete."""
    competing = outcomes["competing_events"]
    if competing is None:
        return survival(outcomes["kaplan_meier_curves"], outcomes["horizon_years"])
    return incidence(competing["curves"], outcomes["horizon_years"])


def survival(curves: Mapping[str, Mapping[str, Sequence[float]]], horizon_years: float | None) -> Markup:
    """Draw Kaplan-Meier curves with the numbers at risk.

    Parameters
    ----------
    curves : mapping of arm to {time, survival, at_risk, events, censored}
        Steps; times in years.
    horizon_years : float or None
        Marked where given.
    """
    lowest = min(s for c in curves.values() for s in c["survival"])
    drawing = Drawing(520, 400, "Kaplan-Meier curves of participants without an event, by arm, with numbers at risk")
    y = Scale(100 * max(0.0, min(lowest - 0.08, 0.7)), 100.0, 290, 40)
    drawing.axis_y(
        y, 76, "Free of an event, % (axis does not start at zero)" if y.low > 0 else "Free of an event, %", 510
    )
    _follow_up(drawing, y, curves, {"survival": ("", 1.0)}, horizon_years)
    return drawing.markup()


def incidence(curves: Mapping[str, Mapping[str, Sequence[float]]], horizon_years: float | None) -> Markup:
    """Draw the cumulative incidence of the event and of the competing event, with the numbers at risk.

    Parameters
    ----------
    curves : mapping of arm to {time, event, competing, at_risk, events, censored}
        Steps; times in years.
    horizon_years : float or None
        Marked where given.
    """
    top = max(s for c in curves.values() for s in (*c["event"], *c["competing"]))
    title = "Cumulative incidence of the event and of the competing event, by arm, with numbers at risk"
    drawing = Drawing(520, 400, title)
    y = Scale(0.0, 100 * min(1.0, max(top + 0.08, 0.3)), 290, 40)
    drawing.axis_y(y, 76, "Cumulative incidence, %; thin: competing event", 510)
    _follow_up(drawing, y, curves, {"competing": (" competing", 0.0), "event": ("", 0.0)}, horizon_years)
    return drawing.markup()


def _follow_up(
    drawing: Drawing,
    y: Scale,
    curves: Mapping[str, Mapping[str, Sequence[float]]],
    lines: Mapping[str, tuple[str, float]],
    horizon_years: float | None,
) -> None:
    """Draw each arm's step lines (key to class and value at the start), ends of follow-up and numbers at risk."""
    last = max(t for c in curves.values() for t in c["time"])
    x = Scale(0, max(last * 1.02, 1e-3), 76, 510)
    drawing.axis_x(x, 290, "Years since randomisation", count=6)
    if horizon_years is not None and horizon_years <= x.high:
        drawing.line(x(horizon_years), 40, x(horizon_years), 290, "zero")
    for row, (arm, curve) in enumerate(sorted(curves.items())):
        # Two curves at the same height would hide each other.
        shift = 1.6 if row else -1.6
        for key, (class_, start) in lines.items():
            steps = [(x(0), y(100 * start))]
            for t, s in zip(curve["time"], curve[key], strict=True):
                steps += [(x(t), steps[-1][1]), (x(t), y(100 * s))]
            drawing.path([(a, b + shift) for a, b in dict.fromkeys(steps)], f"km {arm}{class_}")
        key = list(lines)[-1]
        for t, s in [(t, s) for t, s, c in zip(curve["time"], curve[key], curve["censored"], strict=True) if c]:
            drawing.line(x(t), y(100 * s) + shift - 4, x(t), y(100 * s) + shift + 4, f"censor {arm}")
        drawing.text(8, 362 + 22 * row, ARM_TITLES[arm], f"value {arm}")
        for year in [t for t in x.ticks(6) if t <= last]:
            n = sum(c for t, c in zip(curve["time"], _leaving(curve), strict=True) if t >= year)
            drawing.text(x(year), 362 + 22 * row, str(n), "tick", "middle")
    drawing.text(8, 342, "At risk", "label")


def _leaving(curve: Mapping[str, Sequence[Any]]) -> list[int]:
    return [int(e) + int(c) for e, c in zip(curve["events"], curve["censored"], strict=True)]
