import json
import plistlib
import re

import numpy as np
import pytest
from writers import by_name, traced

from petflame.errors import InputRefused
from petflame.privacy import with_names, without_names
from petflame.segment.imports import import_segmentation, is_regions
from petflame.segment.run import segment_visit
from petflame.space.grid import ras_to_lps

SHORT = {
    "aorta_ascending": "AA", "aorta_descending": "DA", "carotid_right": "RC", "carotid_left": "LC", "svc": "SVC",
    "jugular_right": "RIJV", "jugular_left": "LIJV",
}  # fmt: skip


def export(labels, *, mm=True, px=True, centre=False, size=True, head_first=True):
    """The document that the viewers write: one image a slice, points as text."""
    grid, images = labels.grid, {}
    for name, mask in by_name(labels).items():
        for number, line in enumerate(traced(mask)):
            ijk = grid.to_ijk(ras_to_lps(line))
            k = round(float(ijk[0, 2]))
            index = grid.shape[2] - 1 - k if head_first else k
            roi = {"Name": f"{SHORT[name]} {number}", "Type": 15, "NumberOfPoints": len(line)}
            if mm:
                roi["Point_mm"] = [f"({x:.6f}, {y:.6f}, {z:.6f})" for x, y, z in line]
            if px:
                roi["Point_px"] = [f"({x + 0.5:.6f}, {y + 0.5:.6f})" for x, y, _ in ijk]
            if centre:
                roi["Center"] = "({:f}, {:f}, {:f})".format(*line.mean(axis=0))
            image = images.setdefault(index, {"ImageIndex": index, "ROIs": []})
            if size:
                image |= {"ImageWidth": grid.shape[0], "ImageHeight": grid.shape[1]}
            image["ROIs"].append(roi)
    for image in images.values():
        image["NumberOfROIs"] = len(image["ROIs"])
    return {"Images": [images[k] for k in sorted(images)]}


def saved(path, document):
    if path.suffix == ".json":
        path.write_text(json.dumps(document))
    else:
        path.write_bytes(plistlib.dumps(document))
    return path


@pytest.mark.parametrize("reference", ["ct", "pet"])
@pytest.mark.parametrize("suffix", [".xml", ".json"])
def test_what_was_drawn_comes_back_voxel_for_voxel(tmp_path, grids, truth, reference, suffix):
    path = saved(tmp_path / f"rois{suffix}", export(truth[reference]))
    assert is_regions(path)
    found = import_segmentation(path, grids)
    assert found.reference == reference
    assert (found.labels.data == truth[reference].data).all()


def test_pixels_are_enough_where_the_slice_is_known(tmp_path, grids, truth):
    path = saved(tmp_path / "rois.json", export(truth["pet"], mm=False, centre=True))
    found = import_segmentation(path, grids)
    assert found.reference == "pet"
    assert (found.labels.data == truth["pet"].data).all()
    assert any("placed by pixels" in w for w in found.warnings)


@pytest.mark.parametrize("head_first", [True, False])
def test_image_numbers_need_a_word_of_the_reader(tmp_path, grids, truth, head_first):
    path = saved(tmp_path / "rois.xml", export(truth["ct"], mm=False, size=False, head_first=head_first))
    with pytest.raises(InputRefused, match="cannot be placed"):
        import_segmentation(path, grids)
    beside = {"grid": "ct", "first_image": "head" if head_first else "feet"}
    (tmp_path / "rois.json").write_text(json.dumps(beside))
    assert (import_segmentation(path, grids).labels.data == truth["ct"].data).all()


def test_lines_and_points_are_left_out_and_said(tmp_path, grids, truth):
    document = export(truth["ct"])
    line = {"Name": "Length", "Type": 5, "Point_mm": ["(0, 0, 0)", "(1, 1, 1)"]}
    document["Images"][0]["ROIs"].append(line)
    found = import_segmentation(saved(tmp_path / "rois.json", document), grids)
    assert any("a line encloses no area" in w for w in found.warnings)


def test_unknown_names_are_all_listed_and_can_be_named_beside_the_file(tmp_path, grids, truth):
    document = export(truth["ct"])
    for image in document["Images"]:
        for roi in image["ROIs"]:
            roi["Name"] = roi["Name"].replace("AA", "Vessel one").replace("SVC", "Blood")
    path = saved(tmp_path / "rois.json", document)
    with pytest.raises(InputRefused) as refusal:
        import_segmentation(path, grids)
    told = "\n".join(map(str, refusal.value.faults))
    assert re.search(r"'Vessel one \d+'.*'Blood \d+'", with_names(told))
    assert re.search(r"'region \d+'.*'region \d+'", without_names(told))
    assert "Blood" not in without_names(told)


@pytest.mark.parametrize("text", ["{", "[]", '{"Images": 3}', "<plist><dict></plist>", ""])
def test_rubbish_is_refused(tmp_path, grids, text):
    for suffix in (".json", ".xml"):
        path = tmp_path / f"rois{suffix}"
        path.write_text(text)
        with pytest.raises(InputRefused):
            import_segmentation(path, grids)


def test_seeds_are_not_regions(tmp_path):
    path = tmp_path / "seeds.json"
    path.write_text(json.dumps({"carotid_right": [[0, 0, 0], [0, 0, 10]]}))
    assert not is_regions(path)


def test_a_visit_is_segmented_from_an_export_under_either_method(tmp_path, grids, truth):
    from petflame.files import write_nifti
    from petflame.space.grid import Volume

    for role, grid in grids.items():
        write_nifti(tmp_path / f"{role}.nii.gz", Volume(np.zeros(grid.shape, np.int16), grid))
    path = saved(tmp_path / "rois.json", export(truth["pet"]))
    for method in ("labels", "auto"):
        found = segment_visit(tmp_path, method, path)
        assert found.reference == "pet"
        assert (found.labels.data == truth["pet"].data).all()
