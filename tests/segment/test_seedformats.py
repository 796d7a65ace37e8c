"""Points come as people and tools save them, and what cannot be told is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

from petflame.errors import InputRefused
from petflame.privacy import with_names
from petflame.segment.edits import read_edits
from petflame.segment.imports import files_of_import
from petflame.segment.seedfile import read_seeds

RIGHT = np.array([[-31.5, -12.25, 65.0], [-28.0, -3.5, 90.5], [-24.75, 4.0, 117.25]])
LEFT = RIGHT * [-1, 1, 1] + [2.0, 0.0, 1.5]
VESSELS = {"carotid_right": RIGHT, "carotid_left": LEFT}


def same(seeds, vessels):
    assert set(seeds.points_lps_mm) == set(vessels)
    for name, points in vessels.items():
        np.testing.assert_allclose(seeds.points_lps_mm[name], points, atol=1e-9)


def table(separator, decimal, vessels=None, header="vessel,x_mm,y_mm,z_mm"):
    rows = [header.replace(",", separator)]
    for name, points in (vessels or VESSELS).items():
        rows += [separator.join([name, *(repr(float(v)).replace(".", decimal) for v in point)]) for point in points]
    return "\r\n".join([*rows, ""])


def markup(points, system, label="F-{}", **more):
    turn = np.array([-1, -1, 1]) if system == "RAS" else 1
    controls = [
        {"label": label.format(n), "position": (p * turn).tolist(), "positionStatus": "defined"}
        for n, p in enumerate(points, start=1)
    ]
    return {"markups": [{"type": "Fiducial", "coordinateSystem": system, "controlPoints": controls} | more]}


def fcsv(points, system, label):
    turn = np.array([-1, -1, 1]) if system in ("RAS", "0") else 1
    rows = ["# Markups fiducial file version = 4.11", f"# CoordinateSystem = {system}"]
    rows.append("# columns = id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID")
    for n, (x, y, z) in enumerate(points * turn):
        rows.append(f"vtkMRMLMarkupsFiducialNode_{n},{x},{y},{z},0,0,0,1,1,1,0,{label}-{n},,vtkMRMLScalarVolumeNode1")
    return "\n".join(rows)


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        (table(",", "."), "utf-8"),
        (table(";", "."), "utf-8-sig"),
        (table(";", ","), "utf-8"),
        (table(";", ","), "utf-8-sig"),
        (table("\t", ","), "utf-16"),
        (table("\t", "."), "utf-8"),
        (table(";", ","), "utf-16"),
    ],
)
def test_a_table_of_any_country_says_the_same(tmp_path, content, encoding):
    (tmp_path / "s.csv").write_bytes(content.encode(encoding))
    same(read_seeds(tmp_path / "s.csv"), VESSELS)


def test_numbers_in_quotation_marks_may_have_a_decimal_comma(tmp_path):
    rows = ['carotid_right,"-31,5",2,"65,25"', 'carotid_right,"-30,5",2,"75,25"']
    (tmp_path / "s.csv").write_text("\n".join(["vessel,x_mm,y_mm,z_mm", *rows]))
    same(read_seeds(tmp_path / "s.csv"), {"carotid_right": [[-31.5, 2, 65.25], [-30.5, 2, 75.25]]})


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (["svc;1.234,5;2;3", "svc;1;2;13"], "separators of thousands"),
        (["svc;1 234,5;2;3", "svc;1;2;13"], "separators of thousands"),
        (["svc;1'234;2;3", "svc;1;2;13"], "separators of thousands"),
        (["svc;-12;2;1,234", "svc;-12;2;1,260"], "may be thousands or decimals"),
        (["svc;-12;2;1.234", "svc;-12;2;1.260"], "may be thousands or decimals"),
        (["svc;-12,5;2;3", "svc;-12.5;2;13"], "cannot be told"),
        (["svc;-12,5;2;3;;7", "svc;1;2;13"], "more cells than the header"),
        (["svc;x;2;3", "svc;1;2;13"], "line 2 holds 'x', not a number"),
    ],
)
def test_numbers_that_can_be_read_in_two_ways_are_refused(tmp_path, rows, words):
    (tmp_path / "s.csv").write_text("\n".join(["vessel;x_mm;y_mm;z_mm", *rows]))
    with pytest.raises(InputRefused) as refused:
        read_seeds(tmp_path / "s.csv")
    assert words in with_names(str(refused.value))


def test_decimals_that_look_like_thousands_are_taken_where_another_number_settles_it(tmp_path):
    (tmp_path / "s.csv").write_text("vessel;x_mm;y_mm;z_mm\nsvc;-12;2;1,234\nsvc;-12;2;21,26\n")
    same(read_seeds(tmp_path / "s.csv"), {"svc": [[-12, 2, 1.234], [-12, 2, 21.26]]})


def test_a_decimal_comma_between_commas_is_refused_with_its_cause(tmp_path):
    (tmp_path / "s.csv").write_text(table(",", ","))
    with pytest.raises(InputRefused, match="decimal comma, separate the columns by semicolons"):
        read_seeds(tmp_path / "s.csv")


def test_a_folder_of_slicer_markups_one_a_vessel_ras_and_lps(tmp_path):
    (tmp_path / "carotid_right.mrk.json").write_text(json.dumps(markup(RIGHT, "RAS")))
    (tmp_path / "Carotid left_1.mrk.json").write_text(json.dumps(markup(LEFT, "LPS")))
    (tmp_path / "carotid_bifurcation_left.mrk.json").write_text(json.dumps(markup(LEFT[2:], "RAS")))
    (tmp_path / ".carotid_left.mrk.json").write_text("not read")
    seeds = read_seeds(tmp_path)
    same(seeds, VESSELS)
    np.testing.assert_allclose(seeds.landmarks_lps_mm["carotid_bifurcation_left"], LEFT[2])
    assert set(files_of_import(tmp_path)) >= {p for p in tmp_path.iterdir() if not p.name.startswith(".")}


@pytest.mark.parametrize("label", ["carotid_right-{}", "Carotid Right {}", "RC_{}", "right carotid ({})"])
def test_the_numbers_that_slicer_appends_count_for_nothing(tmp_path, label):
    (tmp_path / "F.mrk.json").write_text(json.dumps(markup(RIGHT, "LPS", label)))
    same(read_seeds(tmp_path / "F.mrk.json"), {"carotid_right": RIGHT})


@pytest.mark.parametrize("system", ["LPS", "RAS", "0", "1"])
def test_a_fiducial_list_of_slicer_4(tmp_path, system):
    (tmp_path / "F.fcsv").write_text(fcsv(RIGHT, system, "carotid_right"))
    same(read_seeds(tmp_path / "F.fcsv"), {"carotid_right": RIGHT})


def test_a_fiducial_list_that_does_not_say_its_frame_is_refused(tmp_path):
    rows = fcsv(RIGHT, "LPS", "carotid_right").splitlines()
    (tmp_path / "F.fcsv").write_text("\n".join([rows[0], *rows[2:]]))
    with pytest.raises(InputRefused, match="LPS or RAS"):
        read_seeds(tmp_path / "F.fcsv")


def test_points_that_slicer_has_not_set_are_none(tmp_path):
    document = markup(RIGHT, "LPS")
    more = {"label": "F-9", "position": [0.0, 0.0, 0.0], "positionStatus": "undefined"}
    document["markups"][0]["controlPoints"].append(more)
    (tmp_path / "carotid_right.mrk.json").write_text(json.dumps(document))
    same(read_seeds(tmp_path / "carotid_right.mrk.json"), {"carotid_right": RIGHT})


def test_other_units_and_two_names_for_one_point_are_refused(tmp_path):
    (tmp_path / "carotid_right.mrk.json").write_text(json.dumps(markup(RIGHT, "LPS", coordinateUnits="cm")))
    with pytest.raises(InputRefused, match="not mm"):
        read_seeds(tmp_path)
    (tmp_path / "carotid_right.mrk.json").write_text(json.dumps(markup(RIGHT, "LPS", "carotid_left-{}")))
    with pytest.raises(InputRefused, match="is called carotid_left and the file carotid_right"):
        read_seeds(tmp_path)


def test_a_vessel_in_two_files_of_a_folder_is_refused(tmp_path):
    (tmp_path / "a.csv").write_text(table(",", "."))
    (tmp_path / "carotid_right.mrk.json").write_text(json.dumps(markup(RIGHT, "LPS")))
    with pytest.raises(InputRefused, match="carotid_right stands in two files"):
        read_seeds(tmp_path)


def test_a_folder_with_images_too_and_one_without_points_are_refused(tmp_path):
    with pytest.raises(InputRefused, match="no file of points"):
        read_seeds(tmp_path)
    (tmp_path / "a.csv").write_text(table(",", "."))
    (tmp_path / "labels.nii.gz").write_bytes(b"")
    with pytest.raises(InputRefused, match="images or drawn regions"):
        read_seeds(tmp_path)


def test_markups_are_taken_from_the_edits_folder_and_from_one_below_it(tmp_path):
    for place in (tmp_path / "beside", tmp_path / "below" / "seeds"):
        place.mkdir(parents=True)
        (place / "carotid_right.mrk.json").write_text(json.dumps(markup(RIGHT, "RAS")))
        (place / "carotid_left.mrk.json").write_text(json.dumps(markup(LEFT, "RAS")))
    for folder in ("beside", "below"):
        same(read_seeds(*read_edits(tmp_path / folder).seeds), VESSELS)


@pytest.mark.parametrize(
    ("points", "words"),
    [
        (RIGHT / 1000, "look like m written as mm"),
        (np.array([[20, 30, 5], [21, 31, 45], [22, 30, 85]]), "look like numbers of voxels"),
    ],
)
def test_points_that_can_be_no_mm_are_refused_with_the_cause(tmp_path, points, words):
    (tmp_path / "s.json").write_text(json.dumps({"carotid_right": points.tolist()}))
    with pytest.raises(InputRefused, match=words):
        read_seeds(tmp_path / "s.json")
