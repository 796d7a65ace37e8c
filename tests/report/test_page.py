"""The page as a whole: offline, escaped, complete, the same each time."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from petflame.cli import main
from petflame.errors import InputRefused
from petflame.files import read_tsv
from petflame.folders import StudyOut
from petflame.measure.blood_reading import other_level
from petflame.pair.collect import collect
from petflame.protocol import Protocol
from petflame.provenance import verify
from petflame.repeatability import Repeatability
from petflame.report.multiverse import multiverse, specifications
from petflame.report.page import study_inputs, write_report
from petflame.report.participants import panel, table_row
from petflame.report.read import read_results
from petflame.report.words import number
from petflame.trial.analyse import analyse
from petflame.trial.arms.interaction import within_patients
from petflame.trial.arms.vessel_blocks import WithinPatients
from petflame.trial.arms.vessels import WITHIN
from petflame.trial.blocks import block
from petflame.trial.choices import AnalysisChoices, TrialTables

TARGETS = ("aorta_ascending", "carotid_right", "carotid_left")
VOID = {"meta", "br", "hr", "img", "input", "link"}


class Reader(HTMLParser):
    """Collects elements, checks that they nest, and keeps the visible text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, tag
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self.open):
            self.text.append(data)


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    assert reader.open == []
    return reader


@pytest.fixture(scope="module")
def page(finished) -> str:
    return write_report(finished.out, finished.root, Protocol(), None).read_text(encoding="utf-8")


def test_nothing_is_loaded_and_nothing_inline_escapes_the_policy(page):
    without_pictures = re.sub(r"data:image/jpeg;base64,[A-Za-z0-9+/=]+", "", page)
    assert not re.search(r"https?:|//[a-z]|url\((?!#)|@import", without_pictures)
    elements = read(page).elements
    assert {t for t, _ in elements} & {"link", "iframe", "object", "embed", "base", "form"} == set()
    for tag, attributes in elements:
        assert "style" not in attributes, tag
        assert not [a for a in attributes if a.startswith("on")], tag
        for name in ("src", "href"):
            address = attributes.get(name)
            assert address is None or address.startswith(("#", "data:image/jpeg;base64,")), address


def test_the_policy_allows_this_style_and_script_alone(page):
    policy = next(a["content"] for t, a in read(page).elements if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")
    for tag, directive in (("style", "style-src"), ("script", "script-src")):
        (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}'" in policy
    assert "unsafe" not in policy


def test_pictures_and_tables_speak_to_those_who_do_not_see_them(page):
    elements = read(page).elements
    drawings = [a for t, a in elements if t == "svg" and a.get("aria-hidden") != "true"]
    assert drawings
    assert all(a.get("role") == "img" and a.get("aria-label") for a in drawings)
    assert all(a.get("scope") for t, a in elements if t == "th")


def test_effect_is_given_with_interval_and_three_named_percentages(finished, page):
    text = " ".join(read(page).text)
    primary = json.loads((finished.out / "arms.json").read_text())["primary"]
    assert f"{abs(primary['adjusted_percent']):.1f}\u00a0% lower with active treatment" in text
    for name in ("Adjusted percent (primary)", "Log-ratio percent", "Difference of mean percent changes"):
        assert name in text
    assert "One patient is not the average." in text
    assert "Negative controls" in text
    assert "exploratory" in text


def test_a_primary_with_modelled_blood_says_that_its_level_is_another(page, own_copy, monkeypatch):
    assert "is modelled: freed of spill" not in page
    said = other_level("modelled_pooled")
    assert "all veins together" in said
    monkeypatch.setattr("petflame.report.page.other_level", lambda _: said)
    modelled = write_report(own_copy.out, own_copy.root, Protocol(), None).read_text(encoding="utf-8")
    assert said in " ".join(read(modelled).text)


def test_everybody_is_named_and_a_refusal_says_why(page):
    text = " ".join(read(page).text)
    for n in range(1, 9):
        assert f"P{n:02d}" in text
    assert "No pictures: one slice is missing" in text
    assert "…/x.dcm" in text
    assert "Doe^Jane" not in page
    assert "SUV refused, ratios measured on Bq/mL" in text


def test_each_measured_visit_has_a_curved_and_an_axial_picture(page):
    labels = [a["aria-label"] for t, a in read(page).elements if t == "svg" and a.get("class") == "scan"]
    assert len([x for x in labels if x.startswith("Baseline: curved")]) == 8
    assert len([x for x in labels if x.startswith("Follow-up: axial")]) == 7


def test_no_code_of_a_visit_and_no_machine_path_reaches_the_page(finished, page):
    assert not [code for code in finished.study.by_code if code in page]
    assert str(finished.out) not in page
    assert str(finished.root) not in page


def test_same_results_same_bytes_with_one_process_or_two(finished, page):
    again = write_report(finished.out, finished.root, Protocol(), None, cores=2).read_text(encoding="utf-8")
    assert again == page


def test_the_run_verifies_and_the_allocation_is_not_an_input(finished, page):
    assert verify(finished.out) > 20
    document = json.loads((finished.out / "provenance.json").read_text())
    assert set(document["inputs"]) == {"participants.tsv", "visits.tsv", "outcomes.tsv"}
    allocation = hashlib.sha256((finished.root / "allocation.tsv").read_bytes()).hexdigest()
    assert allocation in page
    assert hashlib.sha256((finished.out / "provenance.json").read_bytes()).hexdigest() in page


def test_the_page_says_that_the_datasets_lie_beside_it_where_they_do(own_copy, page):
    said = "described in <code>define.xml</code>"
    assert said in page
    for name in ("adsl.json", "adtbr.json", "define.xml"):
        assert (own_copy.out / name).exists()
        (own_copy.out / name).unlink()
    assert said not in write_report(own_copy.out, own_copy.root, Protocol(), None).read_text(encoding="utf-8")


def test_a_changed_report_or_input_is_found(own_copy, tmp_path):
    study = tmp_path / "study"
    shutil.copytree(own_copy.root, study)
    report = write_report(own_copy.out, study, Protocol(), None)
    inputs = study_inputs(study, None)
    assert verify(own_copy.out, inputs) == verify(own_copy.out) + 3
    sums = (own_copy.out / "report.sha256").read_text().splitlines()
    assert sums[1] == f"{hashlib.sha256(report.read_bytes()).hexdigest()}  report.html"
    kept = report.read_text(encoding="utf-8")
    report.write_text(kept.replace("TBR", "tbr", 1), encoding="utf-8")
    (study / "visits.tsv").write_text((study / "visits.tsv").read_text() + "\n")
    (study / "outcomes.tsv").unlink()
    with pytest.raises(InputRefused) as refused:
        verify(own_copy.out, inputs | {"protocol": study / "own.yaml"})
    found = {Path(f.where).name: f.what for f in refused.value.faults}
    assert found == {
        "report.html": "its content changed after the run",
        "visits.tsv": "it changed after the run",
        "outcomes.tsv": "it went after the run",
        "own.yaml": "the run did not read it",
    }
    (own_copy.out / "report.sha256").unlink()
    with pytest.raises(InputRefused, match=r"report\.sha256"):
        verify(own_copy.out)


def test_the_figure_of_all_ways_marks_each_ways_choices(finished, page):
    arms = json.loads((finished.out / "arms.json").read_text())
    found = specifications(arms, Protocol())
    names = [s.name for s in found]
    assert {"primary", "mean_uptake", "margin_2_mm", "mds_locked", "mds_refound", "active_locked"} <= set(names)
    assert [s.estimate for s in found] == sorted(s.estimate for s in found)
    by_name = {s.name: s for s in found}
    own = by_name["primary"].choices
    assert by_name["primary"].estimate == arms["primary"]["adjusted_percent"]

    def changed(name):
        return {k: v for k, v in by_name[name].choices.items() if v != own[k]}

    assert changed("margin_2_mm") == {"Contour": "+2 mm"}
    assert changed("mean_uptake") == {"Uptake of a section": "mean"}
    assert changed("neighbours_excluded") == {"Hot neighbours": "sections left out"}
    assert changed("mds_locked") == {"Sections": "worst 15 mm, locked at baseline"}
    assert "threshold of an active section and published levels belong to the mean of the vein's core" in page
    assert changed("cava_for_all") == {"Blood pool": "cava for all"}
    drawn = str(multiverse(found))
    made = sum(len(s.choices) for s in found)
    assert drawn.count('class="dot"') + drawn.count('class="dot strong"') == made
    assert drawn in page
    assert specifications({"primary": None}, Protocol()) == []
    assert multiverse(found[:1]) == ""


def test_vessels_of_a_patient_and_later_events_have_their_panels(own_copy):
    # Eight participants are too few for this model, so a larger trial lends its own.
    rng = np.random.default_rng(1)
    rows = pd.DataFrame(
        [(n, arm, v) for n, arm in enumerate(["active", "control"] * 15) for v in ("aorta_ascending", "carotid_left")],
        columns=["participant_id", "arm", "vessel"],
    )
    rows["tbr_max_baseline"] = rng.normal(2.2, 0.3, len(rows))
    rows["tbr_max_followup"] = rows["tbr_max_baseline"] + rng.normal(-0.1, 0.2, len(rows))
    arms = json.loads((own_copy.out / "arms.json").read_text())
    arms["mixed"]["interaction"] = block(WithinPatients, lambda: within_patients(rows), **WITHIN)
    (own_copy.out / "arms.json").write_text(json.dumps(arms))
    page = write_report(own_copy.out, own_copy.root, Protocol(), None).read_text(encoding="utf-8")
    text = " ".join(" ".join(read(page).text).split())
    assert text.count("from the patient's mean)") == 3
    slope = arms["mixed"]["interaction"]["within_patients"]["estimate"]
    assert f"Slope of the difference {number(slope)} for each unit" in text
    assert "Is the difference greater in the hotter vessel of a patient?" in text
    assert "Change in TBRmax and later events" in text
    assert "% power" in text


def test_hostile_cells_are_text(own_copy):
    bad = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'=cmd|' /C calc'!A0"
    patients = pd.read_csv(own_copy.out / "patients.tsv", sep="\t")
    patients["comparability_reasons"] = bad
    patients.to_csv(own_copy.out / "patients.tsv", sep="\t", index=False)
    row = {"participant_id": bad, "visit": bad, "code": "", "step": bad, "kind": "flagged"}
    row |= {"what": bad, "where": bad, "remedy": bad}
    pd.DataFrame([row]).to_csv(own_copy.out / "exclusions.tsv", sep="\t", index=False)
    arms = json.loads((own_copy.out / "arms.json").read_text())
    arms["notes"] = [bad]
    arms["primary"]["definition"] = bad
    arms["analysis_set"]["left_out"] = [{"participant_id": bad, "arm": bad, "reason": bad}]
    arms["consort"]["stations"][1]["lost"] = [{"reason": bad, "total": 1}]
    digest = hashlib.sha256((own_copy.out / "patients.tsv").read_bytes()).hexdigest()
    arms["provenance"]["inputs"]["patients"]["sha256"] = digest
    (own_copy.out / "arms.json").write_text(json.dumps(arms))
    page = write_report(own_copy.out, own_copy.root, Protocol(), None).read_text(encoding="utf-8")
    reader = read(page)
    assert len([t for t, _ in reader.elements if t == "script"]) == 1
    assert "img" not in {t for t, _ in reader.elements}
    assert "<script>alert" in "".join(reader.text)


def test_without_arms_the_page_compares_nothing(own_copy, reanalyse):
    reanalyse(own_copy, blinded=True)
    (own_copy.out / "outcomes.json").unlink()
    text = " ".join(read(write_report(own_copy.out, None, Protocol(), None).read_text(encoding="utf-8")).text)
    assert "Blinded." in text
    assert "pooled" in text.lower()
    assert "lower with active" not in text
    assert "Does the result hold?" not in text
    assert "−7.7\u00a0%" in text


def test_tables_alone_are_enough(tmp_path: Path, finished):
    for name in ("patients.tsv", "arms.json", "patient_changes.tsv", "not_analysed.tsv"):
        (tmp_path / name).write_bytes((finished.out / name).read_bytes())
    text = " ".join(read(write_report(tmp_path, None, Protocol(), None).read_text(encoding="utf-8")).text)
    assert "no visit folders" in text
    assert "P03" in text


def test_a_broken_image_leaves_its_reason_and_not_a_failed_report(finished, own_copy):
    for visit in ("baseline", "followup"):
        code = own_copy.study.code("P01", visit)
        for name in ("pet", "ct", "labels"):
            data = (finished.out / "visits" / code / f"{name}.nii.gz").read_bytes()
            (own_copy.out / "visits" / code / f"{name}.nii.gz").write_bytes(b"no image" if name == "ct" else data)
    text = " ".join(read(write_report(own_copy.out, None, Protocol(), None).read_text(encoding="utf-8")).text)
    assert "No pictures: it cannot be read as NIfTI" in text


def test_without_an_analysis_it_refuses(tmp_path: Path):
    with pytest.raises(InputRefused, match=r"arms\.json.*petflame analyse"):
        write_report(tmp_path, None, Protocol(), None)


def test_an_analysis_of_another_version_is_refused_with_the_remedy(own_copy):
    arms = json.loads((own_copy.out / "arms.json").read_text())
    del arms["sensitivity"]["hc3"]["reason"]
    (own_copy.out / "arms.json").write_text(json.dumps(arms))
    with pytest.raises(InputRefused, match=r"sensitivity\.hc3\.reason.*run `petflame analyse` again"):
        write_report(own_copy.out, own_copy.root, Protocol(), None)


def test_refused_outcomes_leave_the_effect_and_are_named(own_copy, tmp_path, monkeypatch):
    table, out = tmp_path / "outcomes.tsv", own_copy.out
    table.write_text("participant_id\ttime_years\tevent\nP01\t1,5\tno\n")
    arms = (out / "arms.json").read_bytes()
    options = ["--allocation", str(own_copy.root / "allocation.tsv"), "--patients", str(out / "patients.tsv")]
    monkeypatch.setattr("sys.argv", ["petflame", "outcomes", *options, "--out", str(out), "--record", str(table)])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 0
    assert not (out / "outcomes.json").exists()
    assert (out / "arms.json").read_bytes() == arms
    page = write_report(out, own_copy.root, Protocol(), None).read_text(encoding="utf-8")
    section = page.split('id="events"')[1].split("</section>")[0]
    assert "There is no comparison of events" in section
    assert "has a decimal comma in line 2 (its text is not recorded)" in section
    assert "1,5" not in section


def test_what_is_to_be_typed_stands_in_the_remedy_as_it_is_typed(own_copy):
    path = own_copy.out / "exclusions.tsv"
    remedy = "give `number_of_slices`, or weight_kg, in the overrides table"
    cells = ("P05", "followup", "convert", "refused", "a slice is missing", "the PET series", remedy)
    path.write_text(path.read_text().rstrip("\n") + "\n" + "\t".join(cells) + "\n")
    text = " ".join(read(write_report(own_copy.out, None, Protocol(), None).read_text(encoding="utf-8")).text)
    assert remedy in text


@pytest.mark.parametrize("sizes", [(1, 1), (2, 1), (2, 2), (3, 2), (2, 3), (3, 3), (4, 1), (5, 0)])
def test_a_small_or_early_trial_has_a_page(tmp_path: Path, sizes: tuple[int, int]):
    rng = np.random.default_rng(sum(sizes))
    arms = ["active"] * sizes[0] + ["control"] * sizes[1]
    names = [f"P{n:02d}" for n in range(len(arms))]
    rows = [(name, vessel, *rng.uniform(1.4, 2.6, 2)) for name in names for vessel in TARGETS]
    vessels = pd.DataFrame(rows, columns=["participant_id", "vessel", "tbr_max_baseline", "tbr_max_followup"])
    patients = vessels[vessels["vessel"] == TARGETS[0]].drop(columns="vessel")
    patients = patients.assign(index_vessel=TARGETS[0], comparability="pass", status="measured")
    for name, table in (("patients", patients), ("vessels", vessels)):
        table.to_csv(tmp_path / f"{name}.tsv", sep="\t", index=False)
    pd.DataFrame({"participant_id": names, "arm": arms}).to_csv(tmp_path / "allocation.tsv", sep="\t", index=False)
    files = {name: tmp_path / f"{name}.tsv" for name in ("vessels", "allocation")}
    analyse(TrialTables(tmp_path / "patients.tsv", **files), tmp_path, AnalysisChoices(permutations=99))
    text = " ".join(read(write_report(tmp_path, None, Protocol(), None).read_text(encoding="utf-8")).text)
    assert all(name in text for name in names)


def test_one_band_stands_in_tables_sentences_and_vessels_when_the_study_measured_its_own(own_copy, reanalyse):
    measured = {"within_subject_cv": 0.012, "repeated": "scan_rescan", "repeatability_df": 400}
    (own_copy.out / "reliability.json").write_text(json.dumps(measured))
    reanalyse(own_copy, reliability=own_copy.out / "reliability.json")
    results = read_results(own_copy.out)
    noise = Repeatability.of_record(results.arms["patients"])
    assert noise.within_subject_cv == 0.012
    assert len(results.measured) == 7
    for p in results.measured:
        row, said = table_row(p), p.change["sentence"]
        assert f"({row['band'].replace('−', '-')})" in said
        assert row["beyond"] == ("beyond" in said)
        (index,) = [v for v in panel(p, {}, "", {}, Protocol(), 4.0, noise)["vessels"] if v["index"]]
        assert (index["percent"], index["band"]) == (row["percent"], row["band"])
    assert any(table_row(p)["beyond"] for p in results.measured)


def test_without_the_patients_changes_the_report_is_refused_and_says_which_file(own_copy):
    (own_copy.out / "patient_changes.tsv").unlink()
    with pytest.raises(InputRefused, match=r"patient_changes.tsv.*petflame analyse"):
        write_report(own_copy.out, own_copy.root, Protocol(), None)


def test_a_damaged_product_sets_its_visit_aside_and_not_the_trial(own_copy):
    results, study = StudyOut(own_copy.out), own_copy.study
    before = collect(study, own_copy.out, Protocol())["measured"]
    folder = results.visit(study.code("P03", "followup"))
    folder.pet_json.write_text(json.dumps({"suv_factor": None, "suv_refused": 5}))
    assert collect(study, own_copy.out, Protocol())["measured"] == before - 1
    rows = pd.read_csv(results.exclusions, sep="\t")
    (said,) = rows.loc[(rows["participant_id"] == "P03") & (rows["kind"] == "refused"), "what"]
    assert "suv_refused" in said


def test_every_panel_says_how_much_weight_it_bears(page):
    headings = re.findall(r"<h[23]>(.*?)</h[23]>", page, re.DOTALL)
    labelled = {re.sub(r"<.*", "", h, flags=re.DOTALL).strip(): h for h in headings}
    for name, role in (
        ("Each vessel", "key secondary"),
        ("Does the result hold?", "primary, sensitivity"),
        ("Every patient's change", "exploratory"),
        ("Negative controls", "exploratory"),
        ("Follow-up events", "exploratory"),
    ):
        if name in labelled:
            assert role in labelled[name], name
    assert "Each vessel" in labelled
    assert '<span class="role primary">primary</span>' in page


def test_the_first_page_says_that_no_plan_was_sealed_or_what_departed_from_it(finished, own_copy, tmp_path):
    first = result_section(own_copy)
    assert "No plan was sealed." in first
    arms = json.loads((own_copy.out / "arms.json").read_text())
    deviation = {"item": "analysis set", "planned": "all_measured", "done": "comparable <b>"}
    arms["plan"] |= {"sealed": True, "seal": "0" * 64, "deviations": [deviation], "sentence": "A plan was sealed."}
    (own_copy.out / "arms.json").write_text(json.dumps(arms))
    first = result_section(own_copy)
    assert "No plan was sealed" not in first
    assert "Deviations from the sealed plan" in first
    assert "comparable &lt;b&gt;" in first


def result_section(study) -> str:
    page = write_report(study.out, study.root, Protocol(), None).read_text(encoding="utf-8")
    return page.split('<section id="result">')[1].split("</section>")[0]


def test_the_headline_names_what_was_measured_and_inflammation_stands_in_the_gloss_alone(page):
    lead = re.search(r'<p class="lead">(.*?)</p>', page).group(1)
    assert "TBRmax of the index vessel" in lead
    assert "inflammation" not in lead
    text = " ".join(read(page).text)
    assert text.count("arterial inflammation") == 1


def test_the_planned_percentage_is_the_one_in_the_headline(own_copy):
    arms = json.loads((own_copy.out / "arms.json").read_text())
    arms["plan"]["primary_percentage"] = "log_ratio_percent"
    (own_copy.out / "arms.json").write_text(json.dumps(arms))
    first = result_section(own_copy)
    size = f"{abs(arms['sensitivity']['log_ratio_percent']['estimate']):.1f}"
    assert size in re.search(r'<p class="lead">(.*?)</p>', first).group(1)
    assert "Log-ratio percent (primary)" in first
    assert "Adjusted percent (sensitivity)" in first


def test_baseline_by_arm_and_the_checklist_come_from_the_run(finished, page):
    arms = json.loads((finished.out / "arms.json").read_text())
    section = page.split('<section id="baseline">')[1].split("</section>")[0]
    row = next(r for r in arms["baseline"]["rows"] if r["name"] == "mean TBRmax of the index vessel")
    assert f"{row['active']['mean']:.2f} ({row['active']['sd']:.2f})" in section
    checklist = page.split('<section id="checklist">')[1].split("</section>")[0]
    items = re.findall(r'<tr><th scope="row">(\w+)</th>', checklist)
    assert len(items) == len(set(items)) == 42
    assert {i.rstrip("ab cd") for i in items} == {str(n) for n in range(1, 31)}
    assert "yours to give" in checklist
    n = arms["primary"]["n"]
    assert f"{n['active']} active and {n['control']} control" in checklist


def test_results_of_another_protocol_are_refused(own_copy):
    arms = json.loads((own_copy.out / "arms.json").read_text())
    arms["provenance"] |= {"protocol": "another", "protocol_sha256": "0" * 64}
    (own_copy.out / "arms.json").write_text(json.dumps(arms))
    with pytest.raises(InputRefused, match="analysed by the protocol another"):
        write_report(own_copy.out, own_copy.root, Protocol(), None)


def test_events_by_another_allocation_or_plan_are_told_apart(own_copy):
    path = own_copy.out / "outcomes.json"
    events = json.loads(path.read_text())
    events["provenance"]["inputs"]["allocation"]["sha256"] = "0" * 64
    events["plan_seal"] = "1" * 64
    path.write_text(json.dumps(events))
    page = write_report(own_copy.out, own_copy.root, Protocol(), None).read_text(encoding="utf-8")
    assert "Another allocation." in page
    assert "sealed plan that the events went by" in page


def test_where_the_band_is_too_narrow_nobody_is_called_changed(own_copy):
    path = own_copy.out / "arms.json"
    arms = json.loads(path.read_text())
    arms["band_check"] |= {"too_narrow": True, "sentence": "The band is too narrow for this study."}
    path.write_text(json.dumps(arms))
    page = write_report(own_copy.out, own_copy.root, Protocol(), None).read_text(encoding="utf-8")
    assert "fell and" not in page
    assert " •" not in page
    assert "beyond assumed measurement noise;" not in page
    assert "too narrow for a verdict on one patient" in page


def test_tables_alone_swear_to_nothing_they_cannot_know(tmp_path, finished):
    for name in ("arms.json", "patients.tsv", "patient_changes.tsv", "vessels.tsv"):
        shutil.copy(finished.out / name, tmp_path / name)
    page = write_report(tmp_path, None, Protocol(), None).read_text(encoding="utf-8")
    assert "no scan was measured in this run" in page
    assert "ran without the allocation" not in page
    assert "No table of exclusions was given." in page


def test_a_baseline_without_a_second_scan_keeps_its_vessels(finished, tmp_path):
    out = Path(shutil.copytree(finished.out, tmp_path / "out"))
    whole = read_tsv(out / "patients.tsv", text=("participant_id",)).set_index("participant_id")
    participant = whole[whole["status"] == "measured"].index[0]
    kept = tuple(v for v in finished.study.visits if (v.participant_id, v.visit) != (participant, "followup"))
    study = replace(finished.study, visits=kept)
    collect(study, out, Protocol())
    patients = read_tsv(out / "patients.tsv", text=("participant_id",)).set_index("participant_id")
    assert patients.loc[participant, "status"] == "missing_visit"
    vessels = read_tsv(out / "vessels.tsv", text=("participant_id",))
    rows = vessels[vessels["participant_id"] == participant].set_index("vessel")
    others = vessels[vessels["participant_id"] != participant].groupby("participant_id")["vessel"].agg(set)
    assert set(rows.index) == others.iloc[0]
    assert rows["tbr_max_followup"].isna().all()
    measured = read_tsv(StudyOut(out).visit(study.code(participant, "baseline")).vessels)
    for row in measured.to_dict("records"):
        if row["vessel"] in rows.index:
            assert rows.loc[row["vessel"], "tbr_max_baseline"] == pytest.approx(row["mean_tbr_max"], nan_ok=True)
    index = patients.loc[participant, "index_vessel"]
    assert rows.loc[index, "tbr_max_baseline"] == patients.loc[participant, "tbr_max_baseline"]


def test_tables_that_were_not_analysed_are_refused(own_copy):
    for name in ("vessels.tsv", "patients.tsv"):
        path = own_copy.out / name
        text = path.read_text()
        path.write_text(text.replace("0.9", "0.8", 1) if "0.9" in text else text + "\n")
        with pytest.raises(InputRefused, match="not the table that was analysed"):
            write_report(own_copy.out, own_copy.root, Protocol(), None)
        path.write_text(text)
    write_report(own_copy.out, own_copy.root, Protocol(), None)


def test_the_checklist_tells_the_same_changes_as_the_first_page(own_copy):
    arms = json.loads((own_copy.out / "arms.json").read_text())
    change = {"item": "strata", "planned": "none", "done": "site"}
    arms["plan"] |= {"sealed": True, "seal": "0" * 64, "sentence": "A plan was sealed."}
    arms["plan"]["amendments"] = [{"because": "a scanner was exchanged", "changes": [change]}]
    (own_copy.out / "arms.json").write_text(json.dumps(arms))
    page = write_report(own_copy.out, own_copy.root, Protocol(), None).read_text(encoding="utf-8")
    item = page.split('<tr><th scope="row">10</th>')[1].split("</tr>")[0]
    assert "a scanner was exchanged" in item
    assert "sealed plan that the events went by" in item
    assert "No deviation" not in item


def test_a_planned_percentage_that_cannot_be_made_is_said(own_copy):
    arms = json.loads((own_copy.out / "arms.json").read_text())
    arms["plan"]["primary_percentage"] = "log_ratio_percent"
    arms["sensitivity"]["log_ratio_percent"] |= {"estimate": None, "p": None, "reason": "no residual variation"}
    (own_copy.out / "arms.json").write_text(json.dumps(arms))
    first = result_section(own_copy)
    assert "No effect is estimated." in first
    assert "No residual variation." in first
