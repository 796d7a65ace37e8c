"""The panel of later events: the exact or permutation p first, and what each test tests in its row."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from tests.report.test_page import read

from petflame.protocol import Protocol
from petflame.report import figures
from petflame.report.page import write_report
from petflame.report.words import p_value
from petflame.trial.events.outcomes import outcomes


@pytest.fixture
def panel(own_copy, tmp_path):
    """Return a function that analyses events (time, code, alternating arms) and returns document and panel's text."""

    def make(time, code, not_followed=0):
        ids = [f"F{n:02d}" for n in range(len(time) + not_followed)]
        arms = pd.DataFrame({"participant_id": ids, "arm": ["active" if n % 2 else "control" for n in range(len(ids))]})
        table = pd.DataFrame({"participant_id": ids[: len(time)], "time_years": time, "event": code})
        for name, frame in (("outcomes", table), ("allocation", arms)):
            frame.to_csv(tmp_path / f"{name}.tsv", sep="\t", index=False)
        document = outcomes(tmp_path / "outcomes.tsv", tmp_path / "allocation.tsv", own_copy.out)
        page = write_report(own_copy.out, own_copy.root, Protocol(), None).read_text(encoding="utf-8")
        section = page.split('<section id="events">')[1].split("</section>")[0]
        return document, " ".join(" ".join(read(section).text).split()), section

    return make


def few_events():
    """Three of 28 controls by two years, three more later; of 28 active none; two censored early."""
    time, code = np.full(56, 3.0), np.zeros(56, int)
    time[[0, 2, 4]], code[[0, 2, 4]] = [0.0, 1.0, 1.5], 1
    time[[6, 8, 10]], code[[6, 8, 10]] = [2.2, 2.4, 2.6], 1
    time[[12, 13]] = 0.5
    return time, code


def test_each_row_says_what_it_tests(panel):
    document, text, section = panel(*few_events(), not_followed=3)
    difference = document["risk_difference"]
    rows = [row for row in section.split("</tr>") if 'scope="row"' in row]
    names = ("Difference of risks", "Fisher", "Log-rank", "Firth")
    found = {name: row for name in names for row in rows if f'scope="row">{name}' in row or f"{name}'s penalty" in row}
    assert "0 of 27 v 3 of 27" in found["Fisher"]
    assert "2 left out (1 active, 1 control)" in found["Fisher"]
    assert "whole follow-up: 0 of 28 v 6 of 28" in found["Log-rank"]
    assert "whole follow-up: 0 of 28 v 6 of 28" in found["Firth"]
    assert section.index("Difference of risks") < section.index("Fisher") < section.index("Log-rank test")
    assert p_value(difference["p"]) in found["Difference of risks"]
    assert "permutation" in found["Difference of risks"]
    rank = found["Log-rank"]
    first, second = (rank.index(f">{p_value(document['log_rank'][k])}<") for k in ("permutation_p", "p"))
    assert first < second
    assert section.index("p, exact or permutation") < section.index("p, asymptotic")
    assert "3 participants of the allocation are not followed (1 active, 2 control)" in text
    assert document["sample_needed"]["sentence"] in text
    control, interval = difference["control"], "(95 % interval {:.1f} to {:.1f} %)"
    assert interval.format(100 * control["low"], 100 * control["high"]) in text
    assert "Kaplan-Meier estimate" in text
    assert "Competing" not in text


def test_competing_events_are_drawn_and_told(panel):
    time, code = few_events()
    code[[12, 13, 15]] = 2
    document, text, section = panel(time, code)
    assert "Cumulative incidence (Aalen-Johansen)" in text
    assert section.count("competing") > 2
    assert section.count('class="km') == 4
    assert "whole follow-up, cause-specific: 0 of 28 v 6 of 28" in text
    assert "Every participant of the allocation has a row" in text
    assert str(figures.events(document)) in section


def test_a_curve_begins_before_what_happened_on_day_0():
    curve = {"time": [0.0, 2.0], "survival": [0.5, 0.5], "at_risk": [2, 1], "events": [1, 0], "censored": [0, 1]}
    drawn = str(figures.survival({"active": curve, "control": curve}, 2.0))
    path = drawn.split('<path d="')[1].split('"')[0]
    ends = [tuple(map(float, point.split())) for point in path[1:].split("L")]
    assert ends[0][0] == ends[1][0]
    assert ends[0][1] < ends[1][1]


def test_no_key_stands_in_the_text_and_one_is_one(panel):
    time, code = few_events()
    code[code == 1] = 0
    code[0] = 1
    _, text, _ = panel(time, code, not_followed=1)
    assert "1 participant of the allocation is not followed" in text
    assert not re.findall(r"\w+_\w+|`", text)
    assert not re.findall(r"\b1 (?:participants|events|are)\b", text)


def test_the_control_risk_has_one_interval_also_where_events_compete(panel):
    time, code = few_events()
    code[[12, 13, 15]] = 2
    document, text, section = panel(time, code)
    risk = document["risk_difference"]["control"]
    shown = f"{100 * risk['low']:.1f} to {100 * risk['high']:.1f}"
    table = section.split("Cumulative incidence, % (95 % CI)")[1]
    row = next(r for r in table.split("<tr>") if "control" in r and ">2<" in r)
    other = document["competing_events"]["cumulative_incidence"]["control"]["2"]
    assert f"{100 * risk['risk']:.1f} ({shown})" in row
    assert f"{100 * other['competing']['low']:.1f} to" in row
    assert "the interval of the event is that of the comparison of risks" in text
