"""What was set aside is counted once and said alike; a cell's text is shown and never recorded; remedies are plain."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from petflame.errors import InputRefused
from petflame.files import write_json, write_tsv
from petflame.folders import StudyOut
from petflame.measure.left_out import read_left_out
from petflame.pair.collect import EXCLUSION_COLUMNS, _if_not_comparable
from petflame.privacy import with_names, without_names
from petflame.protocol import Protocol
from petflame.report.panels import flow
from petflame.set_aside import tally, visits_without_result
from petflame.study import read_visits
from petflame.workflow import closing_summary


def row(participant, visit, step, kind, what="a slice is missing"):
    return dict(zip(EXCLUSION_COLUMNS, (participant, visit, step, kind, what, "the PET", "send it again"), strict=True))


ROWS = [
    row("P1", "baseline", "convert", "refused"),
    row("P1", "baseline", "convert", "refused", "its count is wrong"),
    row("P1", "followup", "convert", "refused"),
    row("P2", "followup", "visits", "refused", "there is no followup visit"),
    row("P3", "pair", "pair", "refused"),
    row("P4", "baseline", "convert", "failed"),
    row("P5", "baseline", "measure", "flagged"),
]


def test_visits_pairs_absent_visits_and_participants_are_counted_apart():
    assert str(tally(ROWS, "refused")) == "2 visits, 1 pair, 1 missing visit (of 3 participants, 5 reasons)"
    assert str(tally(ROWS, "failed")) == "1 visit (of 1 participant)"
    assert str(tally([], "refused")) == "none"


def test_the_closing_lines_count_as_the_tally_does_and_say_why_there_is_no_effect(tmp_path):
    out = StudyOut(tmp_path)
    why = "each arm needs at least two patients with both visits; there are 1 active and 0 control"
    write_json(out.arms, {"primary": None, "primary_reason": why})
    write_tsv(out.exclusions, pd.DataFrame(ROWS), EXCLUSION_COLUMNS)
    said = closing_summary(out).splitlines()
    assert f"no effect per arm: {why}" in said
    assert f"refused: {tally(ROWS, 'refused')}" in said
    assert any(line.startswith(f"kept with a flag: {tally(ROWS, 'flagged')};") for line in said)
    assert any(line.startswith(f"failed: {tally(ROWS, 'failed')},") for line in said)


def test_the_closing_lines_say_where_few_patients_leave_no_interval(tmp_path):
    figures = {"difference": -0.1, "ci_low": -0.9, "ci_high": 0.7, "p": 0.6, "adjusted_percent": -5.0}
    primary = {**figures, "adjusted_percent_low": None, "adjusted_percent_high": None}
    write_json(StudyOut(tmp_path).arms, {"primary": primary})
    assert "-5.0 % (no finite interval)" in closing_summary(StudyOut(tmp_path))


def test_the_closing_lines_name_who_was_kept_without_a_change_and_the_line_of_a_readers_table(tmp_path):
    out = StudyOut(tmp_path)
    out.patients.write_text("participant_id\tstatus\nP1\tmeasured\nP2\tnot_measurable\nP3\trefused\n")
    fault = {**ROWS[0], "kind": "refused", "what": "words is empty", "where": "exclusions.tsv, line 4"}
    write_tsv(out.exclusions, pd.DataFrame([fault]), EXCLUSION_COLUMNS)
    said = closing_summary(out)
    assert "kept, and no change measured: P2; see" in said
    assert "words is empty (exclusions.tsv, line 4)" in said


def test_what_becomes_of_a_pair_that_is_not_comparable_is_what_the_protocol_says():
    assert "counts in the primary analysis all the same" in _if_not_comparable(Protocol(analysis_set="all_measured"))
    assert "is left out of the primary analysis" in _if_not_comparable(Protocol(analysis_set="comparable"))


def test_a_cell_is_shown_on_the_screen_and_its_place_and_form_are_recorded():
    table = pd.DataFrame(
        {
            "participant_id": ["Jane Doe", "P2"],
            "visit": ["baseline", "Doe-visit"],
            "dicom_dir": ["a", "b"],
            "glucose_mmol_l": ["5,5 Doe", "5.1"],
            "Doe-column": ["", ""],
        }
    )
    with pytest.raises(InputRefused) as caught:
        read_visits(table, root=Path("study"), where="visits.tsv")
    faults = [str(f) for f in caught.value.faults]
    shown, kept = ["\n".join(map(show, faults)) for show in (with_names, without_names)]
    for text in ("'Jane Doe'", "'Doe-visit'", "'5,5 Doe'", "Doe-column"):
        assert text in shown
    assert "Doe" not in kept
    assert "visits.tsv, line 2: participant_id (its text is not recorded) is not a name of letters" in kept
    assert "visits.tsv, line 3: visit (its text is not recorded) is unknown; write baseline or followup" in kept
    assert "visits.tsv, line 2: glucose_mmol_l (its text is not recorded) is not a number; write mmol/L" in kept
    assert "columns with the numbers 5 are unknown" in kept


def test_a_row_of_a_readers_exclusions_is_found_by_what_is_recorded(tmp_path):
    path = tmp_path / "exclusions.tsv"
    path.write_text("vessel\tsection\twords\nDoe artery\t3\tmotion\naorta_ascending\tDoe\tmotion\n")
    with pytest.raises(InputRefused) as caught:
        read_left_out(path)
    kept = "\n".join(without_names(str(f)) for f in caught.value.faults)
    assert "Doe" not in kept
    assert "exclusions.tsv, line 2: vessel (its text is not recorded) is unknown; use one of" in kept
    assert "exclusions.tsv, line 3: section (its text is not recorded) is not a whole number" in kept


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (
            [row("P1", "baseline", "convert", "refused"), row("P1", "baseline", "convert", "refused")],
            "baseline refused",
        ),
        ([row("P1", "followup", "measure", "failed")], "follow-up failed"),
        (
            [row("P1", "baseline", "convert", "refused"), row("P1", "followup", "visits", "refused")],
            "baseline refused, follow-up missing",
        ),
        ([row("P1", "baseline", "measure", "flagged"), row("P1", "pair", "pair", "refused")], ""),
    ],
)
def test_a_visit_without_a_fault_is_not_said_to_be_refused(rows, words):
    assert visits_without_result(rows) == words


def test_the_flow_chart_counts_those_lost_alike_together_and_keeps_the_words_of_one_alone():
    lost = [
        {"reason": "no change measured (baseline refused): a slice is missing", "total": 1},
        {"reason": "no change measured (baseline refused): the dose is missing", "total": 2},
        {"reason": "no change measured: no vessel was measured at baseline", "total": 1},
    ]
    stations = [{"station": "scanned", "total": 6, "lost": []}, {"station": "evaluable", "total": 2, "lost": lost}]
    drawn = str(flow(stations))
    assert "3 no change measured (baseline refused)<" in drawn
    assert "1 no change measured: no vessel was measured at baseline" in drawn
    assert "more (see the table)" not in drawn
