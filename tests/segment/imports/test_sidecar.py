"""Whose the JSON file beside labels is."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from test_opened import write

from petflame.anatomy import BY_NAME
from petflame.errors import InputRefused
from petflame.files import sha256
from petflame.fingerprint import hash_file
from petflame.folders import VisitFolder
from petflame.protocol import Protocol
from petflame.requests import segment_request
from petflame.segment.edits import read_edits
from petflame.segment.imports import import_segmentation
from petflame.segment.imports.sidecar import read_sidecar, sidecar_paths, write_sidecar
from petflame.segment.labelmaps import describe
from petflame.segment.product import write_segmentation

ALL = {str(r.label): r.name for r in BY_NAME.values()}


@pytest.mark.parametrize("name", ["map.nii", "map.nii.gz", "read.seg.nrrd", "map.mha", "map.dcm", "rois.xml"])
@pytest.mark.parametrize("which", [0, 1])
def test_the_file_may_be_named_by_the_whole_name_or_by_the_stem(tmp_path, name, which):
    (tmp_path / name).write_bytes(b"x")
    assert not read_sidecar(tmp_path / name).exists
    sidecar_paths(tmp_path / name)[which].write_text(json.dumps({"names": {"RC": "carotid_right"}}))
    assert read_sidecar(tmp_path / name).names == {"RC": "carotid_right"}


def test_names_of_a_map_are_not_those_of_the_outlines_under_the_same_stem(tmp_path, grids, truth):
    for name in ("vessels.nii.gz", "vessels.dcm"):
        write(tmp_path / name, truth["ct"])
    alone = import_segmentation(tmp_path / "vessels.dcm", grids).labels.data
    write_sidecar(tmp_path / "vessels.nii.gz", {**ALL, "4": "ignore"}, {})
    assert (import_segmentation(tmp_path / "vessels.dcm", grids).labels.data == alone).all()
    assert (alone == 4).any()
    assert not (import_segmentation(tmp_path / "vessels.nii.gz", grids).labels.data == 4).any()


def test_one_that_may_belong_to_two_files_is_refused_until_it_says_whose_it_is(tmp_path, grids, truth):
    for name in ("vessels.nii.gz", "vessels.dcm"):
        write(tmp_path / name, truth["ct"])
    beside = tmp_path / "vessels.json"
    beside.write_text(json.dumps({"labels": ALL}))
    for name, other in (("vessels.nii.gz", "vessels.dcm"), ("vessels.dcm", "vessels.nii.gz")):
        with pytest.raises(InputRefused, match=re.escape("may belong")) as refusal:
            import_segmentation(tmp_path / name, grids)
        assert other in str(refusal.value.faults[0].what)
    beside.rename(tmp_path / "vessels.nii.gz.json")
    for name in ("vessels.nii.gz", "vessels.dcm"):
        import_segmentation(tmp_path / name, grids)


def test_two_that_both_speak_of_one_file_are_refused(tmp_path):
    (tmp_path / "map.nii").write_bytes(b"x")
    for beside in sidecar_paths(tmp_path / "map.nii"):
        beside.write_text(json.dumps({"labels": ALL}))
    with pytest.raises(InputRefused, match="keep one"):
        read_sidecar(tmp_path / "map.nii")


def test_it_is_doubted_when_written_for_another_content_and_refused_when_its_owner_is_gone(tmp_path, grids, truth):
    path = tmp_path / "map.nii"
    write(path, truth["ct"])
    write_sidecar(path, ALL, {"carina": (1.0, 2.0, 3.0)})
    assert not import_segmentation(path, grids).doubts
    before = path.read_bytes()
    write(path, replace(truth["ct"], data=np.where(truth["ct"].data == 5, 0, truth["ct"].data)))
    assert "another content" in " ".join(import_segmentation(path, grids).doubts)
    path.rename(tmp_path / "other.nii")
    (tmp_path / "map.json").rename(tmp_path / "other.json")
    with pytest.raises(InputRefused, match="does not lie beside it"):
        import_segmentation(tmp_path / "other.nii", grids)
    (tmp_path / "other.nii").write_bytes(before)
    assert import_segmentation(tmp_path / "other.nii", grids).landmarks_lps_mm == {"carina": (1.0, 2.0, 3.0)}


def test_seeds_under_the_stem_of_a_map_are_seeds(tmp_path, grids, truth):
    write(tmp_path / "V1.nii.gz", truth["ct"])
    (tmp_path / "V1.json").write_text(json.dumps({"carotid_right": [[1, 2, 3], [1, 2, 13]]}))
    assert not read_sidecar(tmp_path / "V1.nii.gz").exists
    edits = read_edits(tmp_path)
    assert (edits.regions.name, [s.name for s in edits.seeds]) == ("V1.nii.gz", ["V1.json"])
    (tmp_path / "V1.json").write_text(json.dumps({"labels": ALL}))
    assert read_edits(tmp_path).seeds == ()


def test_the_labels_of_a_visit_folder_serve_as_a_readers(tmp_path, grids, truth):
    visit = VisitFolder(tmp_path)
    write_segmentation(describe(truth["ct"], "ct", "labels", {"carina": (1.0, 2.0, 3.0)}, {}), visit)
    found = import_segmentation(visit.labels, grids)
    assert (found.labels.data == truth["ct"].data).all()
    assert found.landmarks_lps_mm == {"carina": (1.0, 2.0, 3.0)}


@pytest.mark.parametrize("more", [{"version": [1, 0]}, {"readers": [1, 2]}, {"markups": True}])
def test_a_table_of_names_stays_one_whatever_else_it_holds(tmp_path, more):
    (tmp_path / "map.nii").write_bytes(b"x")
    (tmp_path / "map.json").write_text(json.dumps({"labels": {"5": "jugular_left"}, **more}))
    assert read_sidecar(tmp_path / "map.nii").names == {"5": "jugular_left"}


def test_an_owner_that_would_never_read_it_does_not_take_it_away(tmp_path):
    for name in ("V1.nii.gz", "V2.nii.gz"):
        (tmp_path / name).write_bytes(name.encode())
    for owner in ("V1.nii.gz", "V2.json", "V2", 5):
        (tmp_path / "V2.json").write_text(json.dumps({"labels": ALL, "of": owner}))
        with pytest.raises(InputRefused, match="does not lie beside it"):
            read_sidecar(tmp_path / "V2.nii.gz")


def test_one_that_cannot_be_opened_or_is_spelt_otherwise_is_refused(tmp_path):
    (tmp_path / "map.nii").write_bytes(b"x")
    (tmp_path / "map.json").symlink_to(tmp_path / "nowhere")
    with pytest.raises(InputRefused):
        read_sidecar(tmp_path / "map.nii")
    (tmp_path / "map.json").unlink()
    (tmp_path / "MAP.JSON").write_text(json.dumps({"labels": ALL}))
    with pytest.raises(InputRefused, match=re.escape("call it map.json")):
        read_sidecar(tmp_path / "map.nii")


def test_rois_under_the_stem_of_a_map_are_rois_and_a_hash_vouches_in_any_case(tmp_path):
    (tmp_path / "rois.nii.gz").write_bytes(b"x")
    (tmp_path / "rois.json").write_text(json.dumps({"Images": []}))
    assert not read_sidecar(tmp_path / "rois.nii.gz").exists
    digest = sha256(tmp_path / "rois.nii.gz").upper()
    (tmp_path / "rois.json").write_text(json.dumps({"labels": ALL, "of": "old.nii.gz", "sha256": digest}))
    assert read_sidecar(tmp_path / "rois.nii.gz").names == ALL


def test_a_neighbour_that_comes_or_goes_changes_what_a_segmentation_is_made_from(tmp_path):
    def made_from():
        return segment_request(tmp_path, "labels", tmp_path / "V2.nii.gz", None, Protocol()).made_from(hash_file)[
            "sources"
        ]

    (tmp_path / "V2.nii.gz").write_bytes(b"x")
    before = made_from()
    (tmp_path / "V21.dcm").write_bytes(b"y")
    assert made_from() == before
    (tmp_path / "V2.dcm").write_bytes(b"y")
    assert made_from() != before
