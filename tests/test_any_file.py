"""Any bytes as any file from outside: a success or a refusal in words, never another exception."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from petflame.dicom.overrides import load_overrides
from petflame.errors import FaultList, InputRefused, PetflameError
from petflame.measure.left_out import read_left_out
from petflame.protocol import Protocol, load_protocol
from petflame.repeatability import read_within_subject
from petflame.segment.edits import read_edits
from petflame.segment.imports.osirix import read_osirix
from petflame.segment.imports.sidecar import Sidecar, read_sidecar
from petflame.segment.seedfile import LANDMARKS, NAMES, read_seeds
from petflame.space.grid import Grid
from petflame.study import VISIT_TEXT, read_visits
from petflame.tabletext import read_frame
from petflame.trial import tables

FEW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
GRIDS = {"ct": Grid((8, 8, 8), np.array([[-4.0, 0, 0, 16], [0, -4.0, 0, 16], [0, 0, 4.0, -16], [0, 0, 0, 1]]))}
ODD = [None, True, 0, -1, 1.5, 10**309, -(10**400), 1e308, "", "x", "NaN", "1e400", "\x00", "a" * 6_000, [], {}, [[]]]
NUMBERS = st.one_of(st.integers(-60, 60), st.floats(-60, 60), st.sampled_from(ODD))
KEYS = st.sampled_from(
    [
        *NAMES[:3],
        *LANDMARKS[:2],
        "radius_mm",
        "landmarks_lps_mm",
        "markups",
        "controlPoints",
        "position",
        "label",
        "labels",
        "names",
        "grid",
        "first_image",
        "coordinateSystem",
        "Images",
        "ROIs",
        "Name",
        "Type",
        "Point_mm",
        "Point_px",
        "ImageIndex",
        "Center",
        "within_subject_cv",
        "key",
        "value",
        "x",
    ]
)
DOCUMENTS = st.recursive(
    NUMBERS, lambda part: st.one_of(st.lists(part, max_size=4), st.dictionaries(KEYS, part, max_size=4)), max_leaves=20
)
COLUMNS = st.sampled_from(
    [
        "participant_id",
        "visit",
        "dicom_dir",
        "labels",
        "glucose_mmol_l",
        "arm",
        "time_years",
        "event",
        "subject",
        "rater",
        "value",
        "vessel",
        "section",
        "z_min_mm",
        "z_max_mm",
        "code",
        "words",
        "decision",
        "key",
        "reason",
        "who",
        "tbr_max_baseline",
        "tbr_max_followup",
        "",
        "x",
    ]
)
CELLS = st.sampled_from(
    [
        "",
        "A",
        "B",
        "NA",
        "n/a",
        "baseline",
        "followup",
        "active",
        "control",
        "1",
        "0",
        "1.5",
        "1,5",
        "-1",
        "1e400",
        "9" * 400,
        "inf",
        "\u0661",
        "yes",
        "2024-05-01",
        "svc",
        "carotid_left",
        "accept",
        "weight_kg",
        '"',
        "\x00",
        "../x",
        "a" * 300,
        "a/" * 2_600,
    ]
)
TABLES = st.lists(st.lists(CELLS, min_size=1, max_size=6), max_size=5)
KNOWN = {
    "outcomes": ["participant_id", "time_years", "event"],
    "allocation": ["participant_id", "arm"],
    "visits": ["participant_id", "visit", "dicom_dir", "glucose_mmol_l", "labels"],
    "readings": ["subject", "rater", "value"],
    "exclusions": ["vessel", "section", "z_min_mm", "z_max_mm", "code", "words"],
    "decisions": ["vessel", "decision", "words"],
    "patients": ["participant_id", "tbr_max_baseline", "tbr_max_followup"],
    "vessels": ["participant_id", "vessel", "tbr_max_baseline", "tbr_max_followup"],
    "overrides": ["key", "value", "reason", "who"],
}


def noted(read: Callable[..., Any], *more: Any) -> Callable[[Path], Any]:
    """A reader that notes faults in a list, as one that raises."""

    def run(path: Path) -> None:
        faults = FaultList()
        read(path, *more, faults)
        faults.raise_if_any()

    return run


DOCUMENT_READERS: dict[str, Callable[[Path], Any]] = {
    "seeds.json": read_seeds,
    "seeds.mrk.json": read_seeds,
    "rois.json": lambda p: read_osirix(p, "the label file", GRIDS, Sidecar()),
    "labels.json": lambda p: read_sidecar(p.with_name("labels.nii.gz")),
    "reliability.json": read_within_subject,
}
YAML_READERS: dict[str, Callable[[Path], Any]] = {"protocol.yaml": load_protocol, "overrides.yaml": load_overrides}
TABLE_READERS: dict[str, Callable[[Path], Any]] = {
    "outcomes.tsv": noted(tables.read_outcomes),
    "allocation.tsv": noted(tables.read_allocation),
    "patients.tsv": noted(tables.read_patients),
    "vessels.tsv": noted(tables.read_vessels),
    "readings.tsv": noted(tables.read_readings),
    "exclusions.tsv": read_left_out,
    "decisions.tsv": read_edits,
    "overrides.tsv": load_overrides,
    "visits.tsv": lambda p: read_visits(read_frame(p, KNOWN["visits"][:3], VISIT_TEXT), p.parent, "visits.tsv"),
}
READERS = {
    **DOCUMENT_READERS,
    **YAML_READERS,
    **TABLE_READERS,
    "seeds.csv": read_seeds,
    "rois.xml": DOCUMENT_READERS["rois.json"],
}


def take(read: Callable[[Path], Any], path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with suppress(PetflameError):
        read(path)


@pytest.mark.parametrize("name", sorted(READERS))
@FEW
@given(content=st.binary(max_size=200))
@example(content=b"[" * 5_000)
@example(content=b'{"a":' * 5_000)
@example(content=b"\xff\xfea\x00")
@example(content=b'"' + b"a" * 200_000)
def test_any_bytes_are_read_or_refused(name: str, content: bytes, tmp_path: Path) -> None:
    take(READERS[name], tmp_path / name, content)


@pytest.mark.parametrize("name", sorted(DOCUMENT_READERS))
@FEW
@given(document=DOCUMENTS)
@example(document={"carotid_right": [[0, 0, 100], [0, 0, 100]]})
@example(document={"Images": [{"ROIs": [{"Type": 11, "Name": "svc", "Point_mm": [[0, 0, 10**309]]}]}]})
@example(document={"Images": [{"ROIs": [{"Type": float("inf")}]}]})
def test_any_document_is_read_or_refused(name: str, document: Any, tmp_path: Path) -> None:
    take(DOCUMENT_READERS[name], tmp_path / name, json.dumps(document).encode())


@pytest.mark.parametrize("name", sorted(TABLE_READERS))
@FEW
@given(rows=TABLES, header=st.one_of(st.none(), st.lists(COLUMNS, min_size=1, max_size=6)))
def test_any_table_is_read_or_refused(
    name: str, rows: list[list[str]], header: list[str] | None, tmp_path: Path
) -> None:
    lines = [header or KNOWN[name.split(".")[0]], *rows]
    take(TABLE_READERS[name], tmp_path / name, "\n".join("\t".join(line) for line in lines).encode())


SECTIONS = sorted({(s, k) for s, part in Protocol().as_dict().items() if isinstance(part, dict) for k in part})
VALUES = st.sampled_from(
    [
        ".nan",
        ".inf",
        "-.inf",
        "1e308",
        "-1e308",
        "1e-300",
        "1" + "0" * 400,
        "yes",
        "[]",
        "{}",
        "''",
        "x",
        "~",
        "0",
        "-1",
        "[1, 2]",
        "[2, 1]",
        "{passes: 1, warns: 2}",
        "[[x]]",
        "2020-01-01",
    ]
)


@FEW
@given(choices=st.lists(st.tuples(st.sampled_from(SECTIONS), VALUES), min_size=1, max_size=4))
def test_protocols_are_refused_or_hold_finite_numbers(
    choices: list[tuple[tuple[str, str], str]], tmp_path: Path
) -> None:
    path = tmp_path / "p.yaml"
    path.write_text("".join(f"{section}: {{{key}: {value}}}\n" for (section, key), value in choices))
    with suppress(InputRefused):
        json.dumps(load_protocol(path).as_dict(), allow_nan=False)


@pytest.mark.parametrize(
    "text",
    [
        "region: {slice_spacing_mm: 1e-6}",
        "region: {slice_spacing_mm: yes}",
        "region: {roi_margin_mm: 1e308}",
        "region: {roi_margin_mm: -1000}",
        "region: {metal_hu: 1e9}",
        "summary: {mds_length_mm: 1e-300}",
        "summary: {mds_length_mm: 1e6}",
        "summary: {index_minimum_sections: 99999999999999999999}",
        "summary: {active_threshold: 1e300}",
        "background: {core_depth_mm: 1e300}",
        "partial_volume: {psf_fwhm_mm: 1e300}",
        "spill_in: {reach_mm: 1e6}",
        "conversion: {uptake_warn_min: [150, 45]}",
        "comparability: {area_ratio: {passes: [2, 1], warns: [0, 9]}}",
        "comparability: {area_ratio: {passes: [0.5, 1], warns: [0.8, 9]}}",
        "change: {within_subject_cv: 1e-300}",
        "change: {published_bands_percent: [1e308]}",
        'name: "\\uD800"',
        'name: "a\\0b"',
        "name: ''",
        "name: " + "x" * 300,
    ],
)
def test_a_choice_that_cannot_be_meant_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(text)
    with pytest.raises(InputRefused):
        load_protocol(tmp_path / "p.yaml")
