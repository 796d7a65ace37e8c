"""Bad input on the command line: exit 2, each fault on a line with its remedy, no traceback, nothing half-written."""

import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pydicom
import pytest

from petflame.errors import InputRefused
from petflame.files import read_nifti, write_nifti
from petflame.measure.folder import read_images
from petflame.segment.run import segment_visit
from petflame.simulate.trial import simulate_trial
from petflame.space.grid import Volume


def petflame(*arguments) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "petflame", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def refused(*arguments) -> str:
    done = petflame(*arguments)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert lines, done.stderr
    assert all(";" in line for line in lines), "a remedy follows a semicolon"
    return done.stderr


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    root = tmp_path_factory.mktemp("cli") / "study"
    simulate_trial(root, 2, "tiny", 11, 2)
    return root


@pytest.fixture
def visit(study, tmp_path):
    """Copy one visit's DICOM, to be spoilt."""
    shutil.copytree(study / "dicom" / "SIM0001" / "baseline", tmp_path / "dicom")
    return tmp_path / "dicom"


def pet_files(folder):
    files = [p for p in folder.rglob("*") if p.is_file()]
    return [p for p in files if pydicom.dcmread(p, stop_before_pixels=True).Modality == "PT"]


def edit_pet(folder, change):
    for path in pet_files(folder):
        header = pydicom.dcmread(path)
        change(header)
        header.save_as(path)


def agent(header):
    return header.RadiopharmaceuticalInformationSequence[0]


def test_every_verb_explains_itself():
    verbs = "simulate init check convert segment measure pair collect analyse outcomes reliability report verify power"
    for verb in verbs.split():
        done = petflame(verb, "--help")
        assert done.returncode == 0
        assert f"petflame {verb}" in done.stdout.split("Example:")[1]


def test_the_version_is_told():
    assert petflame("--version").stdout.startswith("petflame ")


@pytest.mark.parametrize("arguments", [(), ("convert",), ("nonsense",), ("segment", "x", "--method", "magic")])
def test_usage_errors_exit_2(arguments):
    assert petflame(*arguments).returncode == 2


def test_an_absent_folder(tmp_path):
    assert "does not exist" in refused("convert", tmp_path / "absent", "--out", tmp_path / "v")
    assert not (tmp_path / "v").exists()


def test_an_empty_folder(tmp_path):
    (tmp_path / "empty").mkdir()
    refused("convert", tmp_path / "empty", "--out", tmp_path / "v")
    assert not (tmp_path / "v").exists()


def test_a_folder_without_pet(visit, tmp_path):
    for path in pet_files(visit):
        path.unlink()
    assert "PT series" in refused("convert", visit, "--out", tmp_path / "v")


def test_a_truncated_file_is_named(visit, tmp_path):
    path = pet_files(visit)[3]
    path.write_bytes(path.read_bytes()[:-500])
    assert path.name in refused("convert", visit, "--out", tmp_path / "v")
    assert not (tmp_path / "v").exists()


def test_units_that_are_not_quantitative(visit, tmp_path):
    edit_pet(visit, lambda h: setattr(h, "Units", "PROPCPS"))
    assert "PROPCPS" in refused("convert", visit, "--out", tmp_path / "v")


def test_without_weight_or_dose_suv_is_refused_and_the_ratio_goes_on(visit, tmp_path, study):
    def spoil(header):
        header.PatientWeight = None
        agent(header).RadionuclideTotalDose = None

    edit_pet(visit, spoil)
    out = tmp_path / "v"
    done = petflame("convert", visit, "--out", out)
    sidecar = json.loads((out / "pet.json").read_text())
    if sidecar["units"] == "CNTS":
        pytest.skip("the scanner gives SUV without weight and dose")
    assert done.returncode == 0
    assert sidecar["suv_factor"] is None
    told = " ".join(reason["what"] + reason["where"] for reason in sidecar["suv_refused"])
    assert "weight" in told.lower()
    assert "dose" in told.lower()
    labels = study / "labels" / "SIM0001_baseline.nii.gz"
    assert petflame("segment", out, "--method", "labels", "--from", labels).returncode == 0
    measured = petflame("measure", out)
    assert "SUV was refused" in measured.stderr
    assert "aorta_ascending: mean TBRmax" in measured.stdout
    refused("convert", visit, "--out", tmp_path / "w", "--require-suv")
    assert not (tmp_path / "w").exists()


def test_a_mask_on_another_grid(visit, tmp_path, study):
    out = tmp_path / "v"
    assert petflame("convert", visit, "--out", out).returncode == 0
    labels = read_nifti(study / "labels" / "SIM0001_baseline.nii.gz")
    cropped = Volume(
        labels.data[1:], labels.grid.__class__((labels.data.shape[0] - 1, *labels.data.shape[1:]), labels.grid.affine)
    )
    write_nifti(tmp_path / "m.nii.gz", cropped)
    assert "neither on the CT nor on the PET" in refused(
        "segment", out, "--method", "labels", "--from", tmp_path / "m.nii.gz"
    )
    assert not (out / "labels.nii.gz").exists()


def test_a_refusal_on_record_is_passed_on(visit, tmp_path):
    path = pet_files(visit)[3]
    path.unlink()
    out = tmp_path / "v"
    for verb, status in (("convert", "refused"), ("segment", "upstream_refused"), ("measure", "upstream_refused")):
        arguments = (verb, visit, "--out", out) if verb == "convert" else (verb, out)
        assert petflame(*arguments, "--record").returncode == 0
        outcome = json.loads((out / "status.json").read_text())
        assert outcome["status"] == status
        assert "missing" in outcome["reasons"][0]["what"]
    assert {p.name for p in out.iterdir()} == {"status.json", "steps"}
    recorded = "".join(p.read_text() for p in out.rglob("*.json"))
    assert "2.25." not in recorded, "no unique identifier"
    assert str(visit) not in recorded


def test_older_results_are_not_taken_for_those_of_a_refused_run(visit, tmp_path, study):
    out = tmp_path / "v"
    assert petflame("convert", visit, "--out", out).returncode == 0
    labels = study / "labels" / "SIM0001_baseline.nii.gz"
    assert petflame("segment", out, "--method", "labels", "--from", labels).returncode == 0
    assert petflame("measure", out).returncode == 0
    pet_files(visit)[3].unlink()
    refused("convert", visit, "--out", out)
    assert not (out / "vessels.tsv").exists()
    assert "missing" in refused("measure", out)


def test_log_json_is_json(tmp_path):
    done = petflame("convert", tmp_path / "absent", "--out", tmp_path / "v", "--log-json")
    assert done.returncode == 2
    for line in done.stderr.splitlines():
        assert {"level", "what", "where", "remedy"} <= set(json.loads(line))


def test_check_finds_every_fault_at_once(study, tmp_path):
    spoilt = tmp_path / "study"
    shutil.copytree(study, spoilt)
    edit_pet(spoilt / "dicom" / "SIM0001" / "baseline", lambda h: setattr(h, "Units", "PROPCPS"))
    shutil.copyfile(spoilt / "visits_with_labels.tsv", spoilt / "visits.tsv")
    (spoilt / "labels" / "SIM0001_followup.nii.gz").unlink()
    (spoilt / "seeds" / "SIM0002_followup.json").write_text('{"carotid_left": [[0, 0, 0]]}')
    (spoilt / "allocation.tsv").write_text("participant_id\tarm\nSIM0001\tdrug\n")
    told = refused("check", spoilt)
    column = "SIM0001 followup: the file that column labels"
    for words in ("PROPCPS", column, "SIM0002 has visits but no arm", "'drug'"):
        assert words in told
    assert "SIM0002 followup, SIM0002_followup.json: carotid_left has 1 point" in told


def test_check_finds_nothing_wrong_with_a_sound_study(study):
    done = petflame("check", study)
    assert done.returncode == 0, done.stderr
    assert "0 fault(s)" in done.stdout


def test_check_finds_a_label_map_of_another_visit(study, tmp_path):
    spoilt = tmp_path / "study"
    shutil.copytree(study, spoilt)
    shutil.copyfile(spoilt / "visits_with_labels.tsv", spoilt / "visits.tsv")
    labels = read_nifti(spoilt / "labels" / "SIM0002_baseline.nii.gz")
    smaller = Volume(
        np.ascontiguousarray(labels.data[..., 2:]),
        labels.grid.__class__((*labels.data.shape[:2], labels.data.shape[2] - 2), labels.grid.affine),
    )
    write_nifti(spoilt / "labels" / "SIM0002_baseline.nii.gz", smaller)
    said = refused("check", spoilt)
    assert "SIM0002 baseline, SIM0002_baseline.nii.gz: it lies on" in said
    assert "neither on the CT nor on the PET of this visit" in said


def test_init_drafts_tables_that_check_accepts(study, tmp_path):
    draft = tmp_path / "draft"
    done = petflame("init", study / "dicom", "--out", draft)
    assert done.returncode == 0, done.stderr
    rows = (draft / "visits.tsv").read_text().splitlines()
    assert [row.split("\t")[:2] for row in rows[1:]] == [
        [p, v] for p in ("P001", "P002") for v in ("baseline", "followup")
    ]
    assert petflame("check", draft).returncode == 0
    assert "exists already" in refused("init", study / "dicom", "--out", draft)


def test_protocol_show_and_diff(tmp_path):
    mine = tmp_path / "mine.yaml"
    mine.write_text("name: mine\nsummary: {active_threshold: 1.6}\n")
    assert "active_threshold: 1.6" in petflame("protocol", "show", mine).stdout
    default = tmp_path / "default.yaml"
    default.write_text("name: ivory_assumed_v2\n")
    assert petflame("protocol", "diff", default, mine).stdout.splitlines() == [
        "name: ivory_assumed_v2 -> mine",
        "summary.active_threshold: 2.0 -> 1.6",
    ]
    default.write_text("name: ivory_assumed_v1\n")
    assert "regions: former" in petflame("protocol", "show", default).stdout
    assert "segmentation.regions: former -> landmarks" in petflame("protocol", "diff", default, mine).stdout


def test_regions_of_another_rule_are_not_measured_and_a_readers_are(visit, tmp_path, study):
    out, v1 = tmp_path / "V1", tmp_path / "v1.yaml"
    v1.write_text("name: ivory_assumed_v1\n")
    assert petflame("convert", visit, "--out", out).returncode == 0
    found = {}
    for regions, options in (("former", ("--protocol", v1)), ("landmarks", ())):
        assert petflame("segment", out, "--method", "geometric", *options).returncode == 0
        labels = json.loads((out / "labels.json").read_text())
        assert labels["provenance"]["regions"] == regions
        found[regions] = labels["vessels"]["svc"]["centreline_lps_mm"]
        assert petflame("measure", out, *options).returncode == 0
        said = refused("measure", out, *(() if options else ("--protocol", v1)))
        assert f"were found by the rules `{regions}`" in said
        assert "petflame segment" in said
        assert not (out / "measure.json").exists()
    assert found["former"] != found["landmarks"]
    reader = study / "labels" / "SIM0001_baseline.nii.gz"
    assert petflame("segment", out, "--method", "labels", "--from", reader, "--protocol", v1).returncode == 0
    assert "regions" not in json.loads((out / "labels.json").read_text())["provenance"]
    assert petflame("measure", out).returncode == 0


def test_a_readers_edits_survive_a_refused_segmentation(visit, tmp_path, study):
    out = tmp_path / "V1"
    assert petflame("convert", visit, "--out", out).returncode == 0
    segmented = petflame("segment", out)
    assert "carotid_right: needs a reader: no proposal" in segmented.stderr
    assert re.search(
        "for a reader to set points along: .*carotid_right, .*jugular_right, jugular_left", segmented.stdout
    )
    assert petflame("review", "pack", out, "--out", tmp_path / "pack").returncode == 0
    form = tmp_path / "pack" / "V1" / "decisions.tsv"
    states = {row.split("\t")[0]: row.split("\t")[4] for row in form.read_text().splitlines()[1:]}
    page = (tmp_path / "pack" / "review.html").read_text()
    for name, vessel in json.loads((out / "labels.json").read_text())["vessels"].items():
        failed = [check["name"] for check in vessel["checks"] if not check["passed"]]
        assert (states[name] == "all checks passed") == (not failed and not vessel["withheld"]), name
        assert vessel["withheld"] or all(f"{check} " in states[name] for check in failed), name
    assert page.count(">all checks passed<") == list(states.values()).count("all checks passed")
    form.write_text("vessel\tdecision\twords\ncarotis\taccept\t\nsvc\treject\t\n")
    told = refused("review", "apply", out, "--from", form.parent)
    assert "'carotis' is no vessel" in told
    assert "svc is rejected without words" in told
    form.write_text("vessel\tdecision\twords\nsvc\treject\tnot the cava\n")
    assert petflame("review", "apply", out, "--from", form.parent).returncode == 0
    measured = petflame("measure", out).stdout
    assert "withheld: its blood pool svc needs a reader: rejected by a reader: see decisions.tsv" in measured
    assert "reader's edits" in refused("segment", out)
    # What was made of the edited labels is still there, and still counts.
    assert petflame("measure", out).returncode == 0
    assert petflame("segment", out, "--edits", form.parent).returncode == 0


def test_check_reads_the_visits_of_sound_rows_beside_faulty_ones(study, tmp_path):
    spoilt = tmp_path / "study"
    shutil.copytree(study, spoilt)
    table = pd.read_csv(spoilt / "visits.tsv", sep="\t", dtype=str)
    table.loc[0, "visit"] = "before"
    table.to_csv(spoilt / "visits.tsv", sep="\t", index=False)
    shutil.rmtree(spoilt / table.dicom_dir[2])
    told = refused("check", spoilt)
    assert "visits.tsv, line 2: visit 'before' is unknown" in told
    assert f"{table.participant_id[2]} {table.visit[2]}, " in told
    assert f"visits checked: {len(table) - 1} of {len(table) - 1}" in told
    assert "one visit only" not in told


def test_check_finds_what_segment_would_refuse(study, tmp_path):
    spoilt = tmp_path / "study"
    shutil.copytree(study, spoilt)
    for path in (spoilt / "dicom" / "SIM0001" / "baseline").rglob("*"):
        if path.is_file() and pydicom.dcmread(path, stop_before_pixels=True).Modality == "CT":
            path.unlink()
    rows = (spoilt / "visits.tsv").read_text().splitlines()
    named = [f"{rows[0]}\tedits", f"{rows[1]}\tn/a", *(f"{row}\tedits_{n}" for n, row in enumerate(rows[2:]))]
    (spoilt / "visits.tsv").write_text("\n".join(named) + "\n")
    for n in range(3):
        (spoilt / f"edits_{n}").mkdir()
    (spoilt / "edits_1" / "decisions.tsv").write_text("vessel\tdecision\twords\ncarotid_left\t\t\n")
    (spoilt / "edits_2" / "seeds.json").write_text('{"carotid_left": [[0, 0, 0]]}')
    told = refused("check", spoilt)
    assert "SIM0001 baseline: its study holds PET without CT and the row names no labels" in told
    assert told.count("it holds no edit") == 1
    assert "seeds.json: carotid_left has 1 point" in told


def test_a_pet_that_is_not_finite_is_refused_by_every_step_that_reads_it(visit, tmp_path):
    out = tmp_path / "V1"
    assert petflame("convert", visit, "--out", out).returncode == 0
    assert petflame("segment", out, "--method", "geometric").returncode == 0
    pet = read_nifti(out / "pet.nii.gz")
    data = np.array(pet.data)
    data[1, 2, 3] = np.nan
    write_nifti(out / "pet.nii.gz", Volume(data, pet.grid), "PET")
    # From the command line the change itself is refused first.
    for read in (read_images, lambda root: segment_visit(root, "geometric", None)):
        with pytest.raises(InputRefused, match="holds values that are not finite"):
            read(out)


def test_a_method_that_takes_no_file_refuses_one(visit, tmp_path):
    out, points = tmp_path / "V1", tmp_path / "seeds.json"
    points.write_text('{"carotid_right": [[0, 0, 0], [0, 0, 20]]}')
    assert petflame("convert", visit, "--out", out).returncode == 0
    said = refused("segment", out, "--method", "geometric", "--from", points)
    assert "`geometric` takes no file" in said
    assert "`auto`" in said
