"""Agreement of reads: against R's figures, against known differences, and by the code that measures a study."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from made_reads import finish as finish_read
from made_reads import read_of
from petflame import __version__
from petflame.anatomy import BY_NAME
from petflame.cli import app
from petflame.cli import review_plan as _verbs  # noqa: F401
from petflame.errors import InputRefused
from petflame.files import read_nifti, read_tsv, sha256, write_json
from petflame.measure.folder import measure_visit
from petflame.protocol import Protocol
from petflame.repeatability import read_within_subject
from petflame.review.agreement import agreement
from petflame.review.measured import FORMAT, ReadToMeasure, measured_read
from petflame.review.places import ReviewPlaces
from petflame.review.plan import load_plan, write_plan
from petflame.segment.run import segment_visit
from petflame.simulate.trial import simulate_trial
from readings import finish

GOLDEN = Path(__file__).parents[1] / "trial" / "golden"
CODES = [f"V{n:010X}" for n in range(1, 11)]
HERE = {"carotid_right": np.arange(100, 200)}
SAME = {"icc": "icc.A,1", "icc_consistency": "icc.C,1", "repeatability_coefficient": "repeatability"}


def kept(out, reader, item, values, background=1.0, shift=0.0, withheld=(), reason=""):
    """Leave what a read measures, as `measured_read` keeps it for the read's file."""
    read = ReadToMeasure(out, reader, item, load_plan(out).visit_of(item))
    vessels = {
        name: {
            "mean_tbr_max": value,
            "background_suv": background,
            "valid_sections": 9,
            "withheld": name in withheld,
            "reason": "rejected by a reader" if name in withheld else "",
        }
        for name, value in values.items()
    }
    seen = {name: value for name, value in values.items() if name not in withheld}
    write_json(
        read.kept,
        {
            "format": FORMAT,
            "petflame": __version__,
            "read_sha256": sha256(read.path),
            **Protocol().stamp,
            "images_sha256": ["", "", ""],
            "left_out_sha256": [],
            "vessels": vessels,
            "index": max(seen, key=seen.get) if seen else None,
            "index_notes": [],
            "centrelines": {name: [[shift, 0.0, z] for z in (0.0, 50.0)] for name in values},
            "reason": reason,
        },
    )


@pytest.fixture
def out(tmp_path):
    for code in CODES:
        write_json(tmp_path / "visits" / code / "labels.json", {"vessels": {}, "provenance": {}})
    return tmp_path


def row_of(out, **where):
    table = read_tsv(out / "review" / "agreement" / f"{where.pop('table', 'agreement')}.tsv")
    for column, value in where.items():
        table = table[table[column] == value]
    assert len(table) == 1, table
    return table.iloc[0]


def test_three_readers_agree_as_r_says(out):
    golden = dict(line.split("\t") for line in (GOLDEN / "golden.tsv").read_text().splitlines())
    golden = {key: float(value) for key, value in golden.items() if key[:3] in ("icc", "rep", "cv.")}
    readings = pd.read_csv(GOLDEN / "readings.csv")
    subjects = sorted(readings["subject"].unique())
    codes = [f"V{n:010X}" for n in range(1, len(subjects) + 1)]
    for code in codes:
        write_json(out / "visits" / code / "labels.json", {"vessels": {}, "provenance": {}})
    write_plan(out, sorted(readings["rater"].unique()), 1, Protocol())
    for row in readings.to_dict("records"):
        code = codes[subjects.index(row["subject"])]
        finish(out, row["rater"], code, voxels=HERE)
        kept(out, row["rater"], code, {"carotid_right": row["value"]})
    agreement(out, Protocol())
    for quantity in ("carotid_right", "index_vessel"):
        found = row_of(out, comparison="between", quantity=quantity, rows="visits")
        assert found["n"] == len(codes) == 12
        for column, key in (
            ("icc", "icc.A,1"),
            ("icc_consistency", "icc.C,1"),
            ("repeatability_coefficient", "repeatability"),
        ):
            assert found[column] == pytest.approx(golden[key], rel=1e-8)
        for end in ("low", "high"):
            assert found[f"icc_{end}"] == pytest.approx(golden[f"icc.A,1.{end}"], rel=1e-8)
            assert found[f"repeatability_coefficient_{end}"] == pytest.approx(golden[f"repeatability.{end}"], rel=1e-8)
        assert found["within_subject_cv"] == pytest.approx(golden["cv.raw"], rel=1e-8)
    # Values that nobody has are told, not counted.
    none = row_of(out, comparison="between", quantity="carotid_left", rows="visits")
    assert (none["n"], none["no_value"], none["reason"]) == (0, 12, "0 rows have a value of every read")
    alone = row_of(out, comparison="between", quantity="carotid_right", rows="one_a_participant")
    assert alone["reason"].startswith("the key table is not there")
    # What repeats one scan's reading must not pass for a repeated scan.
    estimate = next((out / "review" / "agreement" / "estimates").rglob("carotid_right/visits/reliability.json"))
    with pytest.raises(InputRefused, match="repeated readings of one scan"):
        read_within_subject(estimate)


def test_repeats_prefilled_reads_and_missing_values_are_where_they_belong(out):
    write_plan(out, ["A", "B"], 1, Protocol(review={"prefill": True}), 0.4)
    protocol, plan = Protocol(review={"prefill": True}), load_plan(out)
    again = {
        reader: {plan.visit_of(i): i for i in items if plan.is_repeat(i)} for reader, items in plan.readers.items()
    }
    repeated = sorted(again["A"])
    assert len(repeated) == 4
    prefilled, rejected, unread = CODES[0], CODES[1], CODES[2]
    for n, code in enumerate(CODES):
        for reader, more in (("A", 0.0), ("B", 0.1)):
            items = [(code, 0.0)] + ([(again[reader][code], 0.02)] if code in again[reader] else [])
            for item, later in items:
                if (reader, item) == ("B", unread):
                    continue
                choice = "reject" if (code, reader) == (rejected, "B") else "accept"
                given = {"carotid_right": choice}
                finish(out, reader, item, code, HERE, given, prefilled=(reader, item) == ("A", prefilled))
                value = 2.0 + 0.05 * n + more * (1 + (n % 2)) + later * (1 + n % 3)
                held = ("carotid_right",) if choice == "reject" else ()
                kept(out, reader, item, {"carotid_right": value}, shift=0.0 if reader == "A" else 3.0, withheld=held)
    result = agreement(out, protocol)
    assert (result["reads"], result["planned"], result["prefilled"]) == (27, 28, 1)
    between = row_of(out, comparison="between", quantity="carotid_right", rows="visits")
    assert (between["n"], between["prefilled"], between["no_value"], between["not_read"]) == (7, 1, 1, 1)
    used = [n for n, code in enumerate(CODES) if code not in (prefilled, rejected, unread)]
    assert between["bias"] == pytest.approx(np.mean([0.1 * (1 + n % 2) for n in used]))
    within = row_of(out, comparison="within", readers="A", quantity="carotid_right", rows="visits")
    mine = [n for n, code in enumerate(CODES) if code in repeated and code != prefilled]
    assert within["n"] == len(mine)
    assert within["bias"] == pytest.approx(np.mean([0.02 * (1 + n % 3) for n in mine]))
    both = row_of(out, comparison="within", readers="A, B", quantity="carotid_right", rows="visits")
    theirs = mine + [n for n, c in enumerate(CODES) if c in repeated and c not in (unread, rejected)]
    assert both["n"] == len(theirs)
    squares = [(0.02 * (1 + n % 3)) ** 2 / 2 for n in theirs]
    assert both["within_subject_sd"] == pytest.approx(np.sqrt(np.mean(squares)))
    table = read_tsv(out / "review" / "agreement" / "agreement.tsv")
    assert table["icc"].dtype == float
    decided = row_of(out, table="decisions", comparison="between", vessel="carotid_right")
    assert (decided["n"], decided["agree"]) == (8, 7)
    overlap = read_tsv(out / "review" / "agreement" / "overlap.tsv")
    own = overlap[(overlap["comparison"] == "between") & (overlap["vessel"] == "carotid_right")]
    assert set(own["visit"]) == set(CODES) - {prefilled, rejected, unread}
    assert set(own["dice"]) == {1.0}
    assert own["mean_apart_mm"].to_numpy() == pytest.approx(3.0)
    told = read_tsv(out / "review" / "agreement" / "readings.tsv")
    why = told[(told["visit"] == rejected) & (told["reader"] == "B") & (told["quantity"] == "carotid_right")]
    assert set(why["reason"]) == {"rejected by a reader"}


def test_one_visit_a_participant_is_given_beside_all_of_them(out):
    write_plan(out, ["A", "B"], 1, Protocol())
    rows = [f"{code}\tP{n // 2}\t{('baseline', 'followup')[n % 2]}" for n, code in enumerate(CODES)]
    (out / "key" / "key.tsv").write_text("\n".join(["code\tparticipant_id\tvisit", *rows]) + "\n")
    rng = np.random.default_rng(2)
    for n, code in enumerate(CODES):
        for reader in ("A", "B"):
            finish(out, reader, code, voxels=HERE)
            kept(out, reader, code, {"carotid_right": 2.0 + 0.1 * (n // 2) + rng.normal(0, 0.02)})
    agreement(out, Protocol())
    every = row_of(out, comparison="between", quantity="carotid_right", rows="visits")
    one = row_of(out, comparison="between", quantity="carotid_right", rows="one_a_participant")
    assert (every["n"], one["n"]) == (10, 5)
    assert one["icc_high"] - one["icc_low"] > every["icc_high"] - every["icc_low"]
    # Who belongs to whom does not leave the private folder.
    text = "".join(p.read_text() for p in (out / "review").rglob("*") if p.is_file())
    assert "P0" not in text
    assert "baseline" not in text


def test_agreement_is_refused_without_a_plan_and_under_another_protocol(out):
    with pytest.raises(InputRefused, match="without a plan"):
        agreement(out, Protocol())
    write_plan(out, ["A", "B"], 1, Protocol())
    with pytest.raises(InputRefused, match="planned with the protocol"):
        agreement(out, Protocol(region={"roi_margin_mm": 1.0}))
    done = CliRunner().invoke(app, ["review", "agreement", str(out)])
    assert done.exit_code == 0, done.output
    assert "0 of 20 planned reads are finished" in done.output
    assert "the reading is not ended" in done.output


@pytest.fixture(scope="module")
def visit(tmp_path_factory):
    """One visit of a small simulated trial, converted and segmented."""
    root = tmp_path_factory.mktemp("agreement")
    simulate_trial(root / "study", 2, "tiny", 4, 2)
    dicom = sorted((root / "study" / "dicom").glob("*/baseline"))[0]
    from petflame.dicom.convert import convert_visit

    folder = root / "out" / "visits" / CODES[0]
    convert_visit(dicom, folder, protocol=Protocol())
    segment_visit(folder, "geometric", None)
    return folder


def test_a_read_measures_what_the_study_measures_of_it(visit, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(visit, out / "visits" / CODES[0])
    folder = out / "visits" / CODES[0]
    labels = read_nifti(folder / "labels.nii.gz").data.copy()
    ascending = BY_NAME["aorta_ascending"].label
    mask = labels == ascending
    assert mask.any()
    labels[mask] = 0
    labels[np.roll(mask, 1, axis=0) & (labels == 0)] = ascending
    vessels = ("carotid_right", "carotid_left", "jugular_right", "jugular_left", "svc", "aorta_ascending")
    present = tuple(n for n in vessels if (labels == BY_NAME[n].label).any())
    read = read_of(folder, labels, painted=("aorta_ascending",), accepted=present, reader="A")
    path = finish_read(ReviewPlaces(out).root, read)
    found = measured_read(ReadToMeasure(out, "A", CODES[0], CODES[0]), Protocol())
    assert found["reason"] == ""
    twin = tmp_path / "twin" / CODES[0]
    shutil.copytree(folder, twin)
    segment_visit(twin, "geometric", None, path)
    whole = measure_visit(twin, Protocol()).vessels.set_index("vessel")
    before = measure_visit(folder, Protocol()).vessels.set_index("vessel")
    for name, row in found["vessels"].items():
        for column in ("mean_tbr_max", "background_suv"):
            assert row[column] == (pytest.approx(whole.loc[name, column], nan_ok=True) if row[column] else None)
        assert row["withheld"] == bool(whole.loc[name, "withheld"])
    assert found["vessels"]["aorta_ascending"]["mean_tbr_max"] != before.loc["aorta_ascending", "mean_tbr_max"]
    # It is kept by the hash of the read, and measured anew for another.
    kept_file = ReviewPlaces(out).measured / "A" / f"{CODES[0]}.json"
    document = json.loads(kept_file.read_text())
    write_json(kept_file, {**document, "index": "kept"})
    assert measured_read(ReadToMeasure(out, "A", CODES[0], CODES[0]), Protocol())["index"] == "kept"
    write_json(kept_file, {**document, "index": "kept", "read_sha256": "0" * 64})
    assert measured_read(ReadToMeasure(out, "A", CODES[0], CODES[0]), Protocol())["index"] == found["index"]
