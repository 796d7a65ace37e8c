"""The whole road: a small simulated trial through the Snakefile, with one visit that cannot be used."""

import itertools
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from petflame.errors import InputRefused
from petflame.measure.folder import measure_visit
from petflame.pair.collect import collect
from petflame.protocol import Protocol
from petflame.segment.run import segment_visit
from petflame.simulate.trial import simulate_trial
from petflame.study import load_study
from petflame.workflow import plan_workflow

ROOT = Path(__file__).parents[1]
CANARIES = ("CANARY",)


def snakemake(*arguments: str, **config: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "snakemake", "--cores", "2", *arguments, "--config"]
    command += [f"{k}={v}" for k, v in config.items()]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    root = tmp_path_factory.mktemp("trial") / "study"
    simulate_trial(root, 8, "tiny", 5, 2)
    # A missing slice, as when an archive loses a file.
    files = [p for p in (root / "dicom" / "SIM0002" / "followup").rglob("*") if p.is_file()]
    by_position = sorted((_position(p), p) for p in files if _position(p) is not None)
    by_position[len(by_position) // 2][1].unlink()
    return root


def _position(path):
    """Height of a PET slice; None for other files."""
    import pydicom

    header = pydicom.dcmread(path, stop_before_pixels=True)
    return float(header.ImagePositionPatient[2]) if header.Modality == "PT" else None


@pytest.fixture(scope="module")
def run(study, tmp_path_factory):
    out = tmp_path_factory.mktemp("results") / "out"
    done = snakemake(study=study, out=out)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return out, done.stdout + done.stderr


def table(path):
    return pd.read_csv(path, sep="\t", na_values=["n/a"])


def test_everybody_is_in_the_tables(run):
    patients = table(run[0] / "patients.tsv")
    assert patients["participant_id"].tolist() == [f"SIM{n:04d}" for n in range(1, 9)]
    assert (patients["status"] == "measured").sum() == 7


def test_the_visit_that_cannot_be_used_is_named_everywhere(run):
    out, said = run
    row = table(out / "patients.tsv").set_index("participant_id").loc["SIM0002"]
    assert row["status"] == "refused"
    assert "missing" in row["reason"]
    assert row["tbr_max_baseline"] > 1
    exclusions = table(out / "exclusions.tsv")
    assert set(exclusions.loc[exclusions["kind"] == "refused", "participant_id"]) == {"SIM0002"}
    assert "refused SIM0002 followup (convert)" in said
    assert "SIM0002" in (out / "report.html").read_text()


def test_arms_are_estimated_from_the_measured(run):
    arms = json.loads((run[0] / "arms.json").read_text())
    assert sum(arms["primary"]["n"].values()) == 7
    assert arms["primary"]["ci_low"] < arms["primary"]["difference"] < arms["primary"]["ci_high"]


def visit_folders(out, study):
    """Visit folder and truth of every visit that was measured."""
    truth = json.loads((study / "truth.json").read_text())["participants"]
    key = table(out / "key" / "key.tsv")
    for participant, visit in itertools.product(truth, ("baseline", "followup")):
        code = key[(key["participant_id"] == participant) & (key["visit"] == visit)]["code"].item()
        folder = out / "visits" / code
        if (folder / "vessels.tsv").exists():
            yield participant, visit, folder, truth[participant]["visits"][visit]["vessels"]


def relative_errors(folder, vessels):
    measured = table(folder / "vessels.tsv").set_index("vessel")["mean_tbr_max"]
    return {name: measured[name] / vessel["as_written"]["mean_tbr_max"] - 1 for name, vessel in vessels.items()}


def test_vessels_found_without_masks_meet_the_truth_of_the_simulation(run, study):
    found = {}
    for _, _, folder, vessels in visit_folders(run[0], study):
        for name, error in relative_errors(folder, vessels).items():
            found.setdefault(name, []).append(error)
        methods = {v: d["method"] for v, d in json.loads((folder / "labels.json").read_text())["vessels"].items()}
        assert methods["aorta_descending"] == methods["svc"] == "geometric"
        assert methods["carotid_left"] == methods["jugular_right"] == "seeds"
    for name, errors in found.items():
        assert len(errors) == 15
        # On voxels of 4 mm; the embedded trial's are finer and are held to 4 %.
        assert abs(sum(errors) / len(errors)) < 0.05, name
        assert max(map(abs, errors)) < 0.15, name


def test_true_regions_meet_the_truth_of_the_simulation(run, study, tmp_path):
    errors = []
    for participant, visit, folder, vessels in visit_folders(run[0], study):
        copy = tmp_path / folder.name
        shutil.copytree(folder, copy)
        segment_visit(copy, "labels", study / "labels" / f"{participant}_{visit}.nii.gz")
        measure_visit(copy, Protocol())
        errors += relative_errors(copy, vessels).values()
    assert len(errors) >= 50
    assert abs(sum(errors) / len(errors)) < 0.02
    assert max(map(abs, errors)) < 0.12


def test_a_participant_without_a_followup_visit_keeps_index_vessel_and_baseline(run, study, tmp_path):
    whole = load_study(study, run[0])
    gone = ("SIM0003", "followup")
    fewer = replace(whole, visits=tuple(v for v in whole.visits if (v.participant_id, v.visit) != gone))
    out = tmp_path / "out"
    shutil.copytree(run[0], out, ignore=shutil.ignore_patterns("simulated_study", "pet.nii.gz", "ct.nii.gz"))
    before = table(out / "patients.tsv").set_index("participant_id").loc["SIM0003"]
    shutil.rmtree(out / "pairs" / before["code"])
    collect(fewer, out, Protocol())
    after = table(out / "patients.tsv").set_index("participant_id").loc["SIM0003"]
    assert after["status"] == "missing_visit"
    assert "no followup visit" in after["reason"]
    assert after["index_vessel"] == before["index_vessel"]
    assert after["tbr_max_baseline"] == pytest.approx(before["tbr_max_baseline"])
    assert pd.isna(after["tbr_max_followup"])


def test_every_variation_of_the_protocol_is_estimated_beside_the_primary(run):
    out = run[0]
    arms = json.loads((out / "arms.json").read_text())
    blocks = {block["variation"]: block for block in arms["variations"]}
    assert list(blocks) == ["primary", *(v.name for v in Protocol().sensitivity)]
    assert blocks["primary"]["difference"] == pytest.approx(arms["primary"]["difference"])
    for name, block in blocks.items():
        assert block["n"] == 7, name
        assert block["adjusted_percent_low"] < block["adjusted_percent"] < block["adjusted_percent_high"], name
    assert len({round(block["adjusted_percent"], 6) for block in blocks.values()}) >= 7
    patients = table(out / "patients.tsv").set_index("participant_id")
    varied = table(out / "variations.tsv").set_index(["variation", "participant_id"])
    # Larger regions never have a lower maximum; means lie below maxima.
    for person in patients.index[patients["status"] == "measured"]:
        assert varied.loc[("margin_2_mm", person), "baseline"] >= varied.loc[("margin_1_mm", person), "baseline"] - 0.05
        assert varied.loc[("mean_uptake", person), "baseline"] < patients.loc[person, "tbr_max_baseline"]
    assert "Other ways of measuring" in (out / "report.html").read_text()


def test_no_identity_date_order_or_arm_in_visit_folders(run):
    for folder in (run[0] / "visits").iterdir():
        for path in folder.rglob("*"):
            if path.suffix in (".json", ".tsv"):
                text = path.read_text()
                for word in (*CANARIES, "SIM00", "baseline", "followup", "active_arm", "control"):
                    assert word not in text, f"{word} in {path.name}"


def test_only_the_analyses_of_arms_have_the_allocation_among_their_inputs(study, tmp_path):
    done = snakemake("--dry-run", "--forceall", study=study, out=tmp_path / "out")
    inputs = re.findall(r"rule (\w+):\n    input: (.*)", done.stdout)
    assert {"segment", "measure", "pair", "collect", "analyse", "report"} <= {rule for rule, _ in inputs}
    assert {rule for rule, files in inputs if "allocation.tsv" in files} == {"analyse", "outcomes"}


def test_a_second_run_has_nothing_to_do_and_a_changed_file_is_found(run, study):
    out = run[0]
    assert "Nothing to be done" in "".join(snakemake(study=study, out=out).stderr)
    petflame = [sys.executable, "-m", "petflame", "verify", str(out)]
    assert subprocess.run(petflame, capture_output=True, check=False).returncode == 0
    patients = out / "patients.tsv"
    original = patients.read_bytes()
    patients.write_bytes(original.replace(b"measured", b"measureD", 1))
    refused = subprocess.run(petflame, capture_output=True, text=True, check=False)
    patients.write_bytes(original)
    assert refused.returncode == 2
    assert "patients.tsv" in refused.stderr


def test_exchanged_arms_make_every_analysis_of_arms_again(run, study):
    allocation = study / "allocation.tsv"
    original = allocation.read_text()
    swapped = {"active": "control", "control": "active"}
    lines = [line.split("\t") for line in original.splitlines()]
    at = lines[0].index("arm")
    for line in lines[1:]:
        line[at] = swapped[line[at]]
    try:
        allocation.write_text("".join("\t".join(line) + "\n" for line in lines))
        planned = snakemake("--dry-run", study=study, out=run[0])
    finally:
        allocation.write_text(original)
    rules = set(re.findall(r"^(?:local)?rule (\w+):", planned.stdout, re.M))
    assert rules == {"analyse", "outcomes", "report", "all"}
    assert "to be made again: outcomes: files changed: allocation (1)\n" in planned.stderr


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"strata": "ward"}, "no column 'ward'"),
        ({"strata": "site"}, "SIM0002 has no site"),
        ({"reliability": "no"}, "no such"),
    ],
)
def test_choices_that_the_analysis_would_refuse_are_refused_before_any_job(study, tmp_path, config, words):
    small = tmp_path / "study"
    shutil.copytree(study, small, ignore=shutil.ignore_patterns("dicom", "labels"))
    people = pd.read_csv(small / "participants.tsv", sep="\t", dtype=str)
    people.loc[people["participant_id"] == "SIM0002", "site"] = None
    people.to_csv(small / "participants.tsv", sep="\t", index=False)
    with pytest.raises(InputRefused, match=words):
        plan_workflow({"study": str(small), "out": str(tmp_path / "out"), **config})


def test_strict_makes_the_refusal_an_error(study, tmp_path):
    small = tmp_path / "study"
    shutil.copytree(study, small)
    visits = table(small / "visits.tsv")
    visits[visits["participant_id"] == "SIM0002"].to_csv(small / "visits.tsv", sep="\t", index=False)
    assert snakemake(study=small, out=tmp_path / "out", strict="true").returncode != 0


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"stduy": "x"}, "stduy"),
        ({"study": "nowhere"}, "no such folder"),
        ({"method": "magic"}, "method"),
        ({"protocol": "nowhere.yaml"}, "nowhere.yaml"),
    ],
)
def test_bad_configuration_is_refused_before_any_job(config, words):
    with pytest.raises(InputRefused, match=words):
        plan_workflow(config)


def test_tables_that_disagree_are_refused_before_any_job(study, tmp_path):
    small = tmp_path / "study"
    shutil.copytree(study, small, ignore=shutil.ignore_patterns("dicom", "labels"))
    (small / "allocation.tsv").write_text("participant_id\tarm\nSIM0001\tactive\nSIM0003\tdrug\n")
    with pytest.raises(InputRefused) as caught:
        plan_workflow({"study": str(small), "out": str(tmp_path / "out")})
    assert "SIM0002 has visits but no arm" in str(caught.value)
    assert "'drug'" in str(caught.value)


def test_a_users_study_is_never_taken_for_the_simulated_one(tmp_path):
    (tmp_path / "simulated_study").mkdir()
    (tmp_path / "simulated_study" / "visits.tsv").write_text("participant_id\tvisit\tdicom_dir\n")
    with pytest.raises(InputRefused, match="holds another study"):
        plan_workflow({"out": str(tmp_path)})


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("participant_id\tvisit\tdicom_dir\tLabels\nA\tbaseline\ta\tx\n", "columns Labels are unknown"),
        ("participant_id\tvisit\tdicom_dir\nA\tbaseline\ta\nA\tfollowup\ta\n", "serves A baseline and A followup"),
        ("participant_id\tvisit\tdicom_dir\nA\tbaseline\ta\nA\tbaseline\tb\n", "stands twice"),
        ("participant_id\tvisit\tdicom_dir\tglucose_mmol_l\nA\tbaseline\ta\t95\n", "can only be mg/dL"),
    ],
)
def test_rows_that_cannot_be_right_are_refused(tmp_path, rows, words):
    (tmp_path / "visits.tsv").write_text(rows)
    with pytest.raises(InputRefused, match=words):
        plan_workflow({"study": str(tmp_path), "out": str(tmp_path / "out")})


def test_a_changed_protocol_label_or_glucose_is_measured_anew(run, study, tmp_path):
    protocol = tmp_path / "p.yaml"
    protocol.write_text("summary: {active_threshold: 1.6}\n")
    planned = snakemake("--dry-run", study=study, out=run[0], protocol=protocol)
    assert "measure" in planned.stdout
    assert "Nothing to be done" not in planned.stdout + planned.stderr


def planned_by(protocol, run, study):
    """Rules that another protocol makes again, and what snakemake says."""
    planned = snakemake("--dry-run", "--printshellcmds", study=study, out=run[0], protocol=protocol)
    assert planned.returncode == 0, planned.stderr[-3000:]
    return set(re.findall(r"^(?:local)?(?:rule|checkpoint) (\w+):", planned.stdout, re.M)), planned


def test_other_rules_of_finding_vessels_segment_anew_and_other_choices_do_not(run, study, tmp_path):
    protocol = tmp_path / "p.yaml"
    protocol.write_text("segmentation: {regions: former}\n")
    rules, planned = planned_by(protocol, run, study)
    assert {"segment", "measure", "pair", "collect", "analyse", "report"} <= rules
    assert not rules & {"convert", "identify"}
    # The visit that convert refused hangs on nothing that is found by rule, and is planned all the same.
    assert "to be made again: segment: choices changed: segmentation (16)\n" in planned.stderr
    commands = re.findall(r"petflame segment .*", planned.stdout)
    assert len(commands) == 16
    assert all(f"--protocol {protocol}" in command for command in commands)
    for other in ("summary: {active_threshold: 1.6}", "background: {reading: modelled}", "name: mine"):
        protocol.write_text(f"{other}\n")
        rules, planned = planned_by(protocol, run, study)
        assert "measure" in rules, other
        assert not rules & {"convert", "identify", "segment"}, other
    protocol.write_text("conversion: {uptake_refuse_above_min: 200.0}\n")
    assert {"convert", "segment", "measure"} <= planned_by(protocol, run, study)[0]


def test_a_readers_label_maps_are_not_segmented_anew_for_other_rules(study, tmp_path):
    former = tmp_path / "p.yaml"
    former.write_text("segmentation: {regions: former}\n")

    def options(method, protocol=None):
        config = {"study": str(study), "out": str(tmp_path / "out"), "method": method}
        jobs = plan_workflow(config | ({"protocol": str(protocol)} if protocol else {})).jobs()
        return [job.request.options for job in jobs if job.request.verb == "segment"]

    assert options("seeds") == options("seeds", former)
    for method in ("auto", "geometric", "totalsegmentator"):
        assert all(a != b for a, b in zip(options(method), options(method, former), strict=True))


def test_the_snakefile_says_so_in_plain_lines():
    done = snakemake("--dry-run", nonsense="1")
    assert done.returncode == 2
    assert "nonsense" in done.stderr
    assert "Traceback" not in done.stderr
