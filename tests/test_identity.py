"""Who is who: what refuses, what flags, what cannot be compared, and that nothing shown tells order or identity."""

import io
import itertools
import shutil
import stat
import subprocess
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pydicom
import pytest

from dicom.synthetic import ct_series, pet_series
from dicom.synthetic import study as visit_study
from petflame.dicom.convert import convert_visit
from petflame.dicom.inspection import inspect_study
from petflame.identity.compare import compare
from petflame.identity.finding import FLAGGED, REFUSED, UNKNOWN, Entry
from petflame.identity.pixels import ct_fingerprint, matches, pet_fingerprint
from petflame.identity.record import Hasher, Part, Record, identity_key, read_record, record_path, write_record
from petflame.identity.run import doubts_of_pair, without_codes
from petflame.protocol import Protocol
from petflame.seal import read_sealed
from petflame.simulate.plan import DEFAULT_SEED, plan_trial
from petflame.simulate.trial import simulate_trial
from petflame.study import Study, Visit

ROOT = Path(__file__).parents[1]
SHAPE = (40, 36, 30)


def scan(seed, noise=0.1):
    """An elliptic body with a hot spot and noise in air, (40, 36, 30)."""
    x, y, z = np.indices(SHAPE)
    body = (((x - 20) / 14) ** 2 + ((y - 18) / 12) ** 2 < 1) * (1.0 + 0.2 * np.sin(z / 5))
    spot = 6.0 * np.exp(-((x - 24) ** 2 + (y - 16) ** 2 + ((z - 12) / 2) ** 2) / 12)
    rng = np.random.default_rng(seed)
    return (body + spot) * rng.lognormal(0, noise, SHAPE) + rng.uniform(0, 0.02, SHAPE)


def bones(seed):
    """A CT of soft tissue with a spine, HU, (40, 36, 30)."""
    x, y, _ = np.indices(SHAPE)
    spine = (x - 20) ** 2 + (y - 28) ** 2 < 30
    return np.rint(np.where(spine, 400, 40) + np.random.default_rng(seed).normal(0, 25, SHAPE)).astype(np.int16)


COPIES = {
    "another scale": lambda a: 0.0137 * a,
    "another scale a slice": lambda a: a * np.linspace(1, 3, a.shape[2]),
    "slices in another order": lambda a: a[:, :, ::-1],
    "mirrored": lambda a: a[::-1],
    "turned": lambda a: np.swapaxes(a, 0, 1),
    "air cropped": lambda a: a[4:-4, 4:-4],
    "padded": lambda a: np.pad(a, ((3, 3), (5, 5), (0, 0))),
    "fewer slices": lambda a: a[:, :, 5:20],
    "padded by slices": lambda a: np.pad(a, ((0, 0), (0, 0), (5, 5))),
    "clipped at 90 %": lambda a: np.minimum(a, 0.9 * a.max()),
    "0.01 % of noise": lambda a: a * np.random.default_rng(9).normal(1, 1e-4, a.shape),
    "rounded to 12 bits": lambda a: np.rint(a / a.max() * 4095),
    "rounded to 10 bits": lambda a: np.rint(a / a.max() * 1023),
}


@pytest.mark.parametrize("change", COPIES.values(), ids=COPIES)
def test_a_scan_is_found_again_in_another_guise(change):
    prints = {"a": pet_fingerprint(scan(1)), "b": pet_fingerprint(change(scan(1))), "c": pet_fingerprint(scan(2))}
    assert set(matches(prints)) == {("a", "b")}


def test_two_scans_of_one_body_are_never_one():
    prints = {str(seed): pet_fingerprint(scan(seed, 0.03)) for seed in range(12)}
    assert matches(prints) == {}


def test_a_ct_is_found_again_by_its_bone_and_another_ct_of_the_body_is_not():
    table_gone = bones(1).copy()
    table_gone[:, :3] = -1024
    prints = {"a": ct_fingerprint(bones(1)), "b": ct_fingerprint(table_gone), "c": ct_fingerprint(bones(2))}
    assert set(matches(prints)) == {("a", "b")}


def test_images_that_tell_nothing_are_not_compared():
    flat = np.ones(SHAPE)
    assert len(pet_fingerprint(flat)) == 0
    assert len(pet_fingerprint(np.zeros(SHAPE))) == 0
    assert matches({"a": pet_fingerprint(flat), "b": pet_fingerprint(flat)}) == {}


def part(who, visit, when, **changes):
    """The headers of a sound visit: own study, series and frame, the patient's identifiers."""
    own = {
        "patient_id": f"id {who}",
        "patient_name": f"name {who}",
        "birth_date": f"born {who}",
        "study": f"study {who}{visit}",
        "series": f"series {who}{visit}",
        "frame": f"frame {who}{visit}",
        "day": when,
        "second": 36000.0 + when,
        "undated": "",
    }
    return Part(**{**own, **changes})


def entry(who, visit, day=None, pet=None, ct=None, **record):
    day = {"baseline": 100 + 7 * ord(who), "followup": 300 + 7 * ord(who)}[visit] if day is None else day
    parts = {
        "pet": part(who, visit, day, **(pet or {})),
        "ct": part(who, visit, day, **{"series": f"ct {who}{visit}", **(ct or {})}),
    }
    return Entry(
        f"V00000000{ord(who)}{visit[0].upper()}", f"P{who}", visit, Record(**{**parts, "key_id": "k", **record})
    )


def trial(*changed):
    """Three participants with two sound visits each, some of them changed."""
    entries = {e.code: e for e in (entry(w, v) for w in "ABC" for v in ("baseline", "followup"))}
    return list({**entries, **{e.code: e for e in changed}}.values())


def said(entries, outcome):
    return {(f.codes, f.signal) for f in compare(entries) if f.outcome == outcome}


def code(who, visit):
    return entry(who, visit).code


def both(who):
    return tuple(sorted((code(who, "baseline"), code(who, "followup"))))


def test_a_sound_trial_gives_no_finding():
    assert compare(trial()) == []


def test_dates_in_the_wrong_order_refuse_both_visits():
    assert said(trial(entry("A", "followup", day=20)), REFUSED) == {(both("A"), "date order")}


def test_two_visits_of_one_day_are_flagged_whatever_their_times():
    first = entry("A", "baseline", day=500, pet={"second": 50000.0})
    second = entry("A", "followup", day=500, pet={"second": 40000.0})
    assert said(trial(first, second), REFUSED) == set()
    assert said(trial(first, second), FLAGGED) == {(both("A"), "date order")}


def test_the_day_of_the_ct_tells_the_order_where_the_pet_has_none():
    undated = {"day": None, "second": None, "undated": "missing"}
    followup = entry("A", "followup", pet=undated)
    assert said(trial(followup), REFUSED) == set()
    assert said(trial(followup, entry("A", "baseline", ct={"day": 900})), REFUSED) == {(both("A"), "date order")}


@pytest.mark.parametrize("why", ["missing", "placeholder", "shifted"])
def test_dates_that_tell_nothing_are_said_not_to_be_compared(why):
    undated = entry("A", "followup", pet={"day": None, "second": None, "undated": why}, ct={"day": None})
    found = compare(trial(undated))
    assert [(f.signal, f.outcome) for f in found] == [("date order", UNKNOWN)]
    assert why in found[0].fault.what


def test_a_new_patient_id_at_one_visit_is_a_flag_and_no_refusal():
    new = {"patient_id": "other", "patient_name": "other", "birth_date": "other"}
    found = compare(trial(entry("A", "followup", pet=new)))
    assert [(f.codes, f.outcome, f.grade) for f in found] == [(both("A"), FLAGGED, "warn")]
    assert "PatientID" in found[0].fault.what
    assert "PatientBirthDate" in found[0].fault.what


def test_crossed_identifiers_name_the_other_participant():
    a, b = (entry(w, "followup", pet={"patient_id": f"id {o}"}) for w, o in ("AB", "BA"))
    found = [f for f in compare(trial(a, b)) if f.codes == (a.code,)]
    assert [(f.signal, f.outcome, f.grade) for f in found] == [("patient", FLAGGED, "fail")]
    assert code("B", "baseline") in found[0].fault.what


def test_crossed_identifiers_and_birth_dates_refuse():
    a, b = (entry(w, "followup", pet={"patient_id": f"id {o}", "birth_date": f"born {o}"}) for w, o in ("AB", "BA"))
    crossed = {((code(w, v),), "patient") for w in "AB" for v in ("baseline", "followup")}
    assert said(trial(a, b), REFUSED) == crossed
    # The rows of crossed visits are not to be exchanged with each other, whatever their dates say.
    early = replace(a, record=replace(a.record, pet=replace(a.record.pet, day=1)))
    assert said(trial(early, b), REFUSED) == crossed


def test_an_identifier_that_everybody_carries_names_nobody():
    everybody = [entry(w, v, pet={"patient_id": "x"}) for w in "ABC" for v in ("baseline", "followup")]
    assert said(everybody, FLAGGED) == set()
    assert said(everybody, UNKNOWN) == {(both(w), "patient") for w in "ABC"}


def test_a_patient_id_of_two_participants_is_flagged():
    shared = [entry("B", v, pet={"patient_id": "id A"}) for v in ("baseline", "followup")]
    flagged = said(trial(*shared), FLAGGED)
    assert flagged == {((code(w, v),), "patient") for w in "AB" for v in ("baseline", "followup")}
    assert said(trial(*shared), REFUSED) == set()


def test_one_series_under_two_visits_refuses_both_and_nobody_else():
    again = entry("B", "followup", pet={"series": "series Abaseline"})
    refused = said(trial(again), REFUSED)
    assert refused == {((code("B", "followup"),), "same PET"), ((code("A", "baseline"),), "same PET")}


def test_the_same_pixels_under_other_headers_refuse_both():
    pixels = pet_fingerprint(scan(1))
    first, again = entry("A", "baseline", pet_pixels=pixels), entry("A", "followup", pet_pixels=pixels)
    other = entry("B", "baseline", pet_pixels=pet_fingerprint(scan(2)))
    refused = {f for f in compare(trial(first, again, other)) if f.outcome == REFUSED}
    assert {f.codes for f in refused} == {(first.code,), (again.code,)}
    assert all("the same pixels" in f.fault.what for f in refused)


def test_a_borrowed_ct_refuses_the_visit_that_it_does_not_belong_to():
    borrowed = {"series": "ct Bfollowup", "frame": "frame Bfollowup", "study": "study Bfollowup"}
    found = trial(entry("A", "followup", ct=borrowed))
    assert said(found, REFUSED) == {((code("A", "followup"),), "same CT")}
    assert ((code("B", "followup"),), "same CT") in said(found, FLAGGED)
    assert ((code("A", "followup"),), "PET and CT") in said(found, FLAGGED)


def test_two_pets_of_one_session_may_share_their_ct():
    one = {"frame": "frame", "study": "study", "day": 500}
    session = [
        entry("A", v, pet={**one, "second": s}, ct={**one, "series": "ct"})
        for v, s in (("baseline", 36000.0), ("followup", 37000.0))
    ]
    assert said(trial(*session), REFUSED) == set()
    assert (both("A"), "same CT") in said(trial(*session), FLAGGED)


def test_pets_acquired_at_the_same_moment_fail_comparability():
    first, second = (entry("A", v, pet={"day": 500, "second": 36000.5}) for v in ("baseline", "followup"))
    moments = [f for f in compare(trial(first, second)) if f.signal == "moment"]
    assert {f.codes for f in moments} == {(first.code,), (second.code,)}
    assert {(f.outcome, f.grade) for f in moments} == {(FLAGGED, "fail")}


def test_another_body_is_flagged_and_a_plausible_change_is_not():
    sizes = {"baseline": {"sex": "M", "height_m": 1.78, "weight_kg": 82.0}}
    for after, flagged in (
        ({"sex": "M", "height_m": 1.76, "weight_kg": 75.0}, set()),
        ({"sex": "F", "height_m": 1.62, "weight_kg": 60.0}, {(both("A"), "body")}),
    ):
        entries = trial(entry("A", "baseline", **sizes["baseline"]), entry("A", "followup", **after))
        assert said(entries, FLAGGED) == flagged


def test_the_order_of_the_visits_changes_nothing():
    entries = trial(entry("A", "followup", day=20), entry("B", "followup", pet={"series": "series Abaseline"}))
    want = compare(entries)
    for some in itertools.islice(itertools.permutations(entries), 0, 720, 97):
        assert compare(some) == want


def test_findings_hold_no_participant_visit_or_date():
    entries = trial(
        entry("A", "followup", day=20, sex="M", pet={"patient_id": "id B"}),
        entry("B", "followup", pet={"series": "series Abaseline"}, ct={"frame": "other"}),
    )
    for finding in compare(entries):
        text = " ".join(finding.fault.as_dict().values())
        for word in ("baseline", "follow", "PA", "PB", "id A", "id B", "born", "555", "762"):
            assert word not in text, word


def test_what_is_shown_names_participants_and_no_codes():
    rows = [Visit(p, v, Path(p) / v) for p in ("A", "B") for v in ("baseline", "followup")]
    study = Study(Path("."), tuple(rows), b"key")
    own, other, two = study.code("A", "followup"), study.code("B", "baseline"), study.code("B", "followup")
    text = f"its PET is also the PET of visit {other}, {two} (the same pixels)"
    assert without_codes(text, study, "A") == "its PET is also the PET of a visit of B (the same pixels)"
    assert without_codes(f"visit {own}", study, "A") == "the participant's other visit"
    assert (
        without_codes(f"visit {own}, {two} and 3 more", study, "A") == "the participant's other visit and a visit of B"
    )


def test_a_record_is_private_holds_no_identity_and_reads_back(tmp_path):
    dicom = visit_study(tmp_path / "in")
    convert_visit(dicom, tmp_path / "out" / "visits" / "V1", protocol=Protocol())
    path = record_path(tmp_path / "out" / "visits" / "V1")
    assert path is not None
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE((path.parent / "identity.key").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "out" / "key").stat().st_mode) == 0o700
    for word in ("CANARY", "19010203", "20250311", "2.25."):
        assert word not in path.read_text()
    record = read_record(path)
    assert record is not None
    assert record.pet.day == date(2025, 3, 11).toordinal()
    assert record.pet.frame == record.ct.frame
    assert record.pet.series != record.ct.series
    copy = tmp_path / "copy.json"
    write_record(tmp_path / "key" / "identity" / "copy.json", record)
    assert not copy.exists()
    assert (tmp_path / "key" / "identity" / "copy.json").read_bytes() == path.read_bytes()


def test_a_visit_outside_any_results_leaves_no_record(tmp_path):
    convert_visit(visit_study(tmp_path / "in"), tmp_path / "alone", protocol=Protocol())
    # The names of its images, as salted hashes, are kept beside it: they say nothing of who was scanned.
    assert {p.parent.name for p in tmp_path.rglob("*.json") if "alone" not in p.parts} == {"references"}


def test_a_refused_conversion_leaves_no_older_record(tmp_path):
    visit = tmp_path / "out" / "visits" / "V1"
    convert_visit(visit_study(tmp_path / "in"), visit, protocol=Protocol())
    with pytest.raises(Exception, match="missing"):
        convert_visit(visit_study(tmp_path / "gap", pet_series()[:2] + pet_series()[3:]), visit, protocol=Protocol())
    assert not record_path(visit).exists()


@pytest.mark.parametrize(
    ("changes", "undated"),
    [
        ({"AcquisitionDate": "", "SeriesDate": "", "StudyDate": ""}, "missing"),
        ({"AcquisitionDate": "19000101", "SeriesDate": "19000101", "StudyDate": "19000101"}, "placeholder"),
        ({"AcquisitionDate": "20240101", "SeriesDate": "20240101", "StudyDate": "20240101"}, "placeholder"),
    ],
)
def test_placeholder_dates_are_no_dates(tmp_path, changes, undated):
    birth = {"PatientBirthDate": "20240101"}
    slices = pet_series(**changes, **birth)
    root = visit_study(tmp_path / "dated", slices, ct_series(**changes, **birth))
    by_injection = inspect_study(root, Protocol()).identity.pet
    assert by_injection.day is not None
    for ds in slices:
        del ds.RadiopharmaceuticalInformationSequence[0].RadiopharmaceuticalStartDateTime
    root = visit_study(tmp_path / "undated", slices, ct_series(**changes, **birth))
    pet = inspect_study(root, Protocol()).identity.pet
    assert (pet.day, pet.undated) == (None, undated)


def test_dates_said_to_be_shifted_are_not_taken(tmp_path):
    table = tmp_path / "overrides.tsv"
    table.write_text("key\tvalue\treason\twho\ndates\tshifted\tthe de-identifier moved them\treader 1\n")
    report = inspect_study(visit_study(tmp_path / "in"), Protocol(), overrides=table)
    assert report.identity.pet.undated == report.identity.ct.undated == "shifted"


def test_hashes_are_those_of_their_key():
    first, second = Hasher(b"1"), Hasher(b"2")
    assert first("patient_id", "P-17") == first("patient_id", " p-17 ") != second("patient_id", "P-17")
    assert first("patient_id", "P-17") != first("patient_name", "P-17")
    assert {first("patient_id", w) for w in ("", "ANONYMOUS", "0000", "Anonymized", "XXX", "^^")} == {""}


def test_the_key_is_made_once(tmp_path):
    folder = tmp_path / "key" / "identity"
    assert identity_key(folder) == identity_key(folder)
    assert [p.name for p in folder.iterdir()] == ["identity.key"]


def test_visit_folders_that_stand_alone_are_compared_by_their_pixels(tmp_path):
    rng = np.random.default_rng(3)

    def noisy(scale, seed_shift=0):
        pets = pet_series()
        for ds in pets:
            values = np.random.default_rng(ds.InstanceNumber + seed_shift).integers(100, 9000, (ds.Rows, ds.Columns))
            ds.PixelData = values.astype("<i2").tobytes()
            ds.RescaleSlope = f"{float(ds.RescaleSlope) * scale:.6g}"
        return pets

    folders = []
    for name, series in (("a", noisy(1.0)), ("b", noisy(0.37)), ("c", noisy(1.0, 100))):
        ct = ct_series()
        for ds in ct:
            ds.PixelData = rng.integers(0, 1000, (ds.Rows, ds.Columns)).astype("<i2").tobytes()
        convert_visit(visit_study(tmp_path / name, series, ct), tmp_path / f"V{name}", protocol=Protocol())
        folders.append(tmp_path / f"V{name}")
    before, after = doubts_of_pair(folders[0], folders[1])
    assert [f.what for f in before] == [f.what for f in after]
    assert "the same pixels" in before[0].what
    assert before[0].where == "Va and Vb" == doubts_of_pair(folders[1], folders[0])[0][0].where
    assert doubts_of_pair(folders[0], folders[2]) == ([], [])


def disguise(folder):
    """Give every image new UIDs, another patient, other dates and other numbers for the same uptake."""
    fresh = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        ds = pydicom.dcmread(path)
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"):
            setattr(ds, keyword, fresh.setdefault(getattr(ds, keyword), pydicom.uid.generate_uid()))
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
        ds.PatientID = ds.PatientName = "NEW"
        if ds.Modality == "PT":
            ds.RescaleSlope = f"{0.9 * float(ds.RescaleSlope):.8g}"
        buffer = io.BytesIO()
        ds.save_as(buffer)
        path.write_bytes(buffer.getvalue())


@pytest.fixture(scope="module")
def mistaken(tmp_path_factory):
    """A study with exchanged visits (SIM0001) and one scan under two participants (follow-up of SIM0002 and 3)."""
    root = tmp_path_factory.mktemp("mistaken") / "study"
    simulate_trial(root, 4, "tiny", 5, 1)
    shutil.rmtree(root / "dicom" / "SIM0002" / "followup")
    shutil.copytree(root / "dicom" / "SIM0003" / "followup", root / "dicom" / "SIM0002" / "followup")
    disguise(root / "dicom" / "SIM0002" / "followup")
    shutil.copy(root / "labels" / "SIM0003_followup.nii.gz", root / "labels" / "SIM0002_followup.nii.gz")
    table = (root / "visits_with_labels.tsv").read_text().splitlines()
    other = {"baseline": "followup", "followup": "baseline"}
    lines = []
    for line in table:
        cells = line.split("\t")
        if cells[0] == "SIM0001":
            cells[1] = other[cells[1]]
        lines.append("\t".join(cells))
    (root / "visits.tsv").write_text("\n".join(lines) + "\n")
    return root


@pytest.fixture(scope="module")
def results(mistaken, tmp_path_factory):
    out = tmp_path_factory.mktemp("results") / "out"
    run_workflow(mistaken, out)
    return out


def run_workflow(study, out):
    target = str(out / "exclusions.tsv")
    command = [sys.executable, "-m", "snakemake", "--cores", "2", target, "--config", f"study={study}", f"out={out}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


def test_the_embedded_trial_gives_nobody_two_birth_years():
    plans = plan_trial(60, DEFAULT_SEED).visit_plans
    assert len({(p.participant_id, p.birth_year) for p in plans}) == 60
    assert len({(p.participant_id, p.injection.year) for p in plans}) > 60


def table(path):
    return pd.read_csv(path, sep="\t", na_values=["n/a"])


def test_mistaken_visits_are_refused_before_they_are_measured_and_the_rest_goes_on(results):
    patients = table(results / "patients.tsv").set_index("participant_id")
    assert patients["status"].to_dict() == {
        "SIM0001": "refused",
        "SIM0002": "refused",
        "SIM0003": "refused",
        "SIM0004": "measured",
    }
    rows = table(results / "exclusions.tsv")
    refused = rows[rows["kind"] == "refused"].groupby(["participant_id", "visit"])["what"].agg("; ".join)
    assert set(refused.index) == {
        ("SIM0001", "baseline"),
        ("SIM0001", "followup"),
        ("SIM0002", "followup"),
        ("SIM0003", "followup"),
    }
    assert "wrong order" in refused["SIM0001", "baseline"]
    assert "its PET is also the PET of a visit of SIM0003 (the same pixels)" in refused["SIM0002", "followup"]
    assert "SIM0002" in refused["SIM0003", "followup"]
    # Whose baseline is sound keeps it, for the missing follow-up.
    assert patients["tbr_max_baseline"].notna().to_dict() == {
        "SIM0001": False,
        "SIM0002": True,
        "SIM0003": True,
        "SIM0004": True,
    }
    key = table(results / "key" / "key.tsv").set_index(["participant_id", "visit"])["code"]
    assert not (results / "visits" / key["SIM0003", "followup"] / "vessels.tsv").exists()
    assert (results / "visits" / key["SIM0003", "baseline"] / "vessels.tsv").exists()


def test_nothing_outside_the_key_folder_tells_who_when_or_which_first(results):
    codes = set(table(results / "key" / "key.tsv")["code"])
    for path in (*results.glob("visits/*/steps/identify.json"), *results.glob("logs/identify/*")):
        text = path.read_text()
        for word in ("SIM0", "CANARY", "baseline", "followup", "2025", "2026", "1.2.", "2.25."):
            assert word not in text, f"{word} in {path.name}"
    shown = (results / "exclusions.tsv").read_text()
    assert not [c for c in codes if c in shown and c.startswith("V")]
    details = results / "key" / "identity.tsv"
    assert stat.S_IMODE(details.stat().st_mode) == 0o600
    assert set(table(details)["outcome"]) >= {"refused"}


def test_a_mended_visit_makes_only_those_anew_whose_verdict_changes(results, mistaken, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(results, out)
    study = tmp_path / "study"
    shutil.copytree(mistaken, study)
    key = table(out / "key" / "key.tsv").set_index(["participant_id", "visit"])["code"]
    before = {c: (out / "visits" / c / "steps" / "identify.json").stat().st_mtime_ns for c in key[key.str[0] == "V"]}
    # The right follow-up of SIM0002 arrives: here, that of another trial.
    simulate_trial(tmp_path / "other", 2, "tiny", 6, 1)
    shutil.rmtree(study / "dicom" / "SIM0002" / "followup")
    shutil.copytree(tmp_path / "other" / "dicom" / "SIM0002" / "followup", study / "dicom" / "SIM0002" / "followup")
    shutil.copy(tmp_path / "other" / "labels" / "SIM0002_followup.nii.gz", study / "labels" / "SIM0002_followup.nii.gz")
    run_workflow(study, out)
    rows = table(out / "exclusions.tsv")
    assert set(rows.loc[rows["kind"] == "refused", "participant_id"]) == {"SIM0001"}
    after = {c: (out / "visits" / c / "steps" / "identify.json").stat().st_mtime_ns for c in before}
    changed = {c for c in before if before[c] != after[c]}
    assert changed == {key["SIM0002", "followup"], key["SIM0003", "followup"]}
    verdict = read_sealed(out / "visits" / key["SIM0003", "followup"] / "steps" / "identify.json", "")
    assert verdict.items() >= {"status": "ok", "verb": "identify", "reasons": []}.items()


def test_a_visit_without_a_record_is_flagged(results, mistaken, tmp_path):
    from petflame.identity.run import study_findings
    from petflame.study import load_study

    out = tmp_path / "out"
    shutil.copytree(results, out, ignore=shutil.ignore_patterns("*.nii.gz"))
    study = load_study(mistaken, out)
    code_ = study.code("SIM0004", "baseline")
    (out / "key" / "identity" / f"{code_}.json").unlink()
    damaged = study.code("SIM0004", "followup")
    (out / "key" / "identity" / f"{damaged}.json").write_text("{}")
    found = [f for f in study_findings(study, out) if f.signal == "record"]
    assert {f.codes for f in found} == {(code_,), (damaged,)}
    record = read_record(out / "key" / "identity" / f"{study.code('SIM0002', 'baseline')}.json")
    write_record(out / "key" / "identity" / f"{damaged}.json", replace(record, key_id="another"))
    found = [f for f in study_findings(study, out) if f.signal == "record"]
    assert {f.codes for f in found} == {(code_,), (damaged,)}
