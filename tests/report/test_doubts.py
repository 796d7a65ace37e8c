"""Index vessels in doubt, from the visits' images to the tables, the report and the closing lines."""

from __future__ import annotations

import re

import pandas as pd
import pytest

from petflame.folders import StudyOut
from petflame.protocol import Protocol
from petflame.report.page import write_report
from petflame.report.participants import draw_all, picture_orders
from petflame.report.read import read_results
from petflame.set_aside import fewer_candidates
from petflame.workflow import closing_summary

SHORT = ("aorta_ascending", "carotid_left")


@pytest.fixture(scope="module")
def page_with_pictures(doubted):
    return write_report(doubted.out, doubted.root, Protocol(), None).read_text()


@pytest.fixture(scope="module")
def page(page_with_pictures):
    """The page's words."""
    return re.sub(r"\s+", " ", re.sub(r"<style>.*?</style>|<svg.*?</svg>", " ", page_with_pictures, flags=re.DOTALL))


@pytest.fixture(scope="module")
def drawn(doubted):
    people = {p.id: p for p in read_results(doubted.out, doubted.root).participants}
    orders = picture_orders(people["P01"], Protocol(), 3.0)
    return {("P01", visit): found for visit, found in draw_all(orders)[0].items()}


def patients(made):
    return pd.read_csv(StudyOut(made.out).patients, sep="\t", na_values=["n/a"]).set_index("participant_id")


def test_the_table_tells_what_every_index_vessel_was_chosen_among(doubted):
    table = patients(doubted)
    assert table.loc["P01", ["index_considered", "index_left_out"]].tolist() == ["carotid_right", "+".join(SHORT)]
    assert table.loc["P03", "index_left_out"] == "aorta_ascending"
    # What is withheld at follow-up alone was there to be chosen.
    assert table["index_left_out"].isna().sum() == 6
    assert table.loc["P04", "index_considered"].count("+") == 2


def test_a_pool_that_noise_does_not_explain_flags_every_vessel_that_rests_on_it(doubted):
    table = pd.read_csv(StudyOut(doubted.out).exclusions, sep="\t")
    own = table[table["what"].str.contains("rests on a blood pool in doubt")]
    assert set(own["kind"]) == {"flagged"}
    assert set(own["participant_id"] + " " + own["visit"]) == {"P05 followup"}
    assert set(own["what"].str.split(" ").str[0]) == {"aorta_ascending", "carotid_right", "carotid_left"}
    assert own["what"].str.contains("blood pools disagree: jugular_left holds 0.4").all()
    # Kept: the participant is measured all the same.
    assert patients(doubted).loc["P05", "status"] == "measured"


def test_the_first_screen_counts_both_before_any_detail(page):
    first = page[page.index('<section id="result">') : page.index("Adjusted means")]
    assert "In 1 of 7 participants the index vessel was chosen among 1 of 3 candidates, in 1 among 2 of 3" in first
    assert "In 1 of 7 participants the index vessel rests on a blood pool in doubt (P05)" in first


def test_the_participants_panel_names_the_doubted_blood_at_its_visit(page):
    panel = page[page.index('id="p-P05"') : page.index('id="p-P06"')]
    assert panel.count("blood pool in doubt at follow-up: blood pools disagree: jugular left") == 3
    assert "blood pool in doubt at baseline" not in panel


def test_the_closing_lines_name_them(doubted):
    said = closing_summary(StudyOut(doubted.out))
    assert "in 1 of 7 participants the index vessel was chosen among 1 of 3 candidates, in 1 among 2 of 3" in said
    assert "  among 1 of 3: P01\n  among 2 of 3: P03" in said
    (line,) = [line for line in said.splitlines() if "flagged P05 followup: " in line]
    assert "on which aorta_ascending, carotid_right, carotid_left rest: blood pools disagree" in line


def test_what_is_withheld_is_drawn_dashed_at_its_visit_alone(drawn):
    """P01's right carotid is the index vessel; its aorta and left carotid are withheld at baseline, not later."""
    before, after = drawn["P01", "baseline"], drawn["P01", "followup"]
    assert re.findall(r'class="contour ([a-z ]+)"', before["curved"].svg) == [
        "artery withheld",
        "chosen",
        "artery withheld",
    ]
    assert "dashed, as withheld: ascending aorta and left carotid" in before["curved"].svg
    assert "withheld" not in after["curved"].svg


def test_the_profile_of_a_withheld_vessel_says_so(page_with_pictures):
    panel = page_with_pictures[page_with_pictures.index('id="p-P04"') : page_with_pictures.index('id="p-P05"')]
    assert panel.count('class="profile followup withheld"') == 1
    assert "profile baseline withheld" not in panel
    assert "Left carotid (withheld at follow-up)" in panel


def test_every_style_of_an_outline_is_in_the_legend(page_with_pictures):
    legend = page_with_pictures[page_with_pictures.index('<div class="legend">') :]
    legend = legend[: legend.index("</div>")]
    for kind in ("chosen", "artery", "vein", "artery withheld"):
        assert f'class="contour {kind}"' in legend
    style = page_with_pictures[: page_with_pictures.index("</style>")]
    # Dashes are for what is withheld, and for that alone.
    assert re.findall(r"\.contour\.(\w+) \{[^}]*dasharray", style) == ["withheld"]


def test_where_every_candidate_was_there_nothing_is_said():
    rows = [{"participant_id": "P1", "index_considered": "carotid_left+carotid_right", "index_left_out": None}]
    assert str(fewer_candidates(rows)) == ""
    # A participant without an index vessel is counted nowhere.
    assert fewer_candidates([{"participant_id": "P2"}]).participants == 0
