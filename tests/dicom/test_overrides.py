"""Overrides: what they may hold, and how they are told."""

from __future__ import annotations

import pytest

from dicom.synthetic import FACTOR, pet_series, study
from petflame.dicom.overrides import load_overrides
from petflame.errors import InputRefused
from petflame.privacy import with_names

HEAD = "key\tvalue\treason\twho\n"


def test_recorded_with_reason_and_without_clock_times(convert, tmp_path):
    table = tmp_path / "o.tsv"
    table.write_text(HEAD + "injection_time\t2025-03-11 09:50:00\tinjection log\tRK\nweight_kg\t77\tscales\tRK\n")
    visit = convert(study(tmp_path / "in", pet_series(PatientWeight=None)), overrides=table)
    document = visit.json()
    assert document["uptake_min"] == 70.0
    assert document["overrides"] == [
        {
            "key": "injection_time",
            "value": -4200.0,
            "unit": "seconds relative to the decay reference",
            "reason": "injection log",
            "who": "RK",
        },
        {"key": "weight_kg", "value": 77.0, "reason": "scales", "who": "RK"},
    ]
    assert document["suv_factor"] == pytest.approx(FACTOR * 1.1 * 2 ** (600 / 6586.2))


def test_overrides_may_be_written_in_yaml(tmp_path):
    path = tmp_path / "o.yaml"
    path.write_text("- {key: dose_mbq, value: 240, reason: residual measured, who: RK}\n")
    assert load_overrides(path).number("dose_bq") == 240e6


def test_every_fault_is_listed(tmp_path):
    path = tmp_path / "o.tsv"
    rows = ["height\t1.7\tx\ty", "weight_kg\t700\tx\ty", "dose_bq\tmany\tx\ty", "sex\tW\tx\ty", "half_life_s\t6586\t\t"]
    rows += ["injection_time\tnoon\tx\ty", "weight_kg\t70\tx\ty", "number_of_slices\t5.5\tx\ty"]
    path.write_text(HEAD + "\n".join(rows) + "\n")
    with pytest.raises(InputRefused) as error:
        load_overrides(path)
    told = with_names(str(error.value))
    for word in (
        "'height' does not exist",
        "outside 2 to 400",
        "not a number",
        "one of M, F, O",
        "no reason",
        "no who",
    ):
        assert word in told
    for word in ("neither HH:MM:SS", "given twice", "not a whole number"):
        assert word in told


@pytest.mark.parametrize("content", ["", "a\tb\n", "\xff", HEAD + "a\tb\tc\td\te\n"])
def test_no_table(tmp_path, content):
    path = tmp_path / "o.tsv"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(InputRefused):
        load_overrides(path)


@pytest.mark.parametrize("content", ["", "a: [", "- 5", "{key: [1]}"])
def test_no_yaml(tmp_path, content):
    path = tmp_path / "o.yaml"
    path.write_text(content)
    with pytest.raises(InputRefused):
        load_overrides(path)


def test_reasons_may_not_identify(convert, tmp_path):
    table = tmp_path / "o.tsv"
    table.write_text(HEAD + "weight_kg\t77\tasked canary-id-1 himself\tRK\n")
    with pytest.raises(InputRefused, match="name or identifier"):
        convert(study(tmp_path / "in"), overrides=table)
