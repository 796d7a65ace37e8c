import json

import numpy as np
import pytest

import phantoms
from petflame.errors import InputRefused
from petflame.files import write_nifti
from petflame.folders import VisitFolder
from petflame.segment.aorta import split_aorta
from petflame.segment.centreline import arched_centreline, axial_centreline
from petflame.segment.labelmaps import segmentation_from_labels
from petflame.segment.product import read_segmentation, write_segmentation
from petflame.space.grid import Grid, Volume

CT = phantoms.grid((1.5, 1.5, 2.5))
PET = phantoms.grid((4.0, 4.0, 3.0))
GRIDS = {"ct": CT, "pet": PET}


def saved(tmp_path, volume, sidecar=None):
    path = tmp_path / "mask.nii.gz"
    write_nifti(path, volume)
    if sidecar is not None:
        (tmp_path / "mask.json").write_text(json.dumps(sidecar))
    return path


def test_either_grid_is_recognised_and_kept(tmp_path):
    for name, grid in GRIDS.items():
        found = segmentation_from_labels(saved(tmp_path, phantoms.label_map(grid)), GRIDS)
        assert found.reference == name
        assert found.labels.grid.same_as(grid)


def test_another_grid_is_refused_and_both_are_named(tmp_path):
    other = phantoms.grid((1.5, 1.5, 2.5), low=(-70.0, -60.0, 1.0))
    with pytest.raises(InputRefused, match=r"neither on the CT nor on the PET.*CT: .* PET: "):
        segmentation_from_labels(saved(tmp_path, phantoms.label_map(other)), GRIDS)


def test_numbers_of_another_tool_are_translated(tmp_path):
    labels = phantoms.label_map(CT)
    renumbered = Volume(np.where(labels.data == 4, 57, 0).astype(np.uint8), CT)
    sidecar = {"labels": {"57": "carotid_right"}, "landmarks_lps_mm": {"carotid_bifurcation_right": [1, 2, 3]}}
    found = segmentation_from_labels(saved(tmp_path, renumbered, sidecar), GRIDS)
    assert (found.labels.data == 4).sum() == (labels.data == 4).sum()
    assert found.landmarks_lps_mm == {"carotid_bifurcation_right": (1.0, 2.0, 3.0)}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d * 40, "have no name"),
        (lambda d: d * 0, "no artery and no vein"),
        (lambda d: d * 0.5, "not whole numbers"),
        (lambda d: np.where(d == 4, 5, np.where(d == 5, 4, d)), "mirrored"),
    ],
)
def test_labels_that_cannot_be_right_are_refused(tmp_path, change, words):
    labels = phantoms.label_map(CT)
    with pytest.raises(InputRefused, match=words):
        segmentation_from_labels(saved(tmp_path, Volume(change(labels.data), CT)), GRIDS)


def test_a_region_name_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(InputRefused, match="carotis"):
        segmentation_from_labels(saved(tmp_path, phantoms.label_map(CT), {"4": "carotis"}), GRIDS)


def test_a_missing_vessel_is_listed(tmp_path):
    labels = phantoms.label_map(CT)
    labels.data[labels.data == 5] = 0
    found = segmentation_from_labels(saved(tmp_path, labels), GRIDS)
    assert found.vessels["carotid_left"].withheld
    assert found.vessels["carotid_left"].reason == "not in the label map"


def test_stray_pieces_gaps_and_jumps_are_warned_of(tmp_path):
    labels = phantoms.label_map(CT)
    data = labels.data
    data[2:12, 2:12, 2:12] = 3
    ks = np.flatnonzero((data == 4).any(axis=(0, 1)))
    data[..., ks[5]][data[..., ks[5]] == 4] = 0
    data[20:60, 20:60, ks[20]] = np.where(data[20:60, 20:60, ks[20]] == 0, 5, data[20:60, 20:60, ks[20]])
    text = " ".join(segmentation_from_labels(saved(tmp_path, labels), GRIDS).warnings)
    for words in ("aorta_descending: components", "carotid_right: gaps", "carotid_left: area_jumps"):
        assert words in text


def test_what_is_written_is_read_back(tmp_path):
    found = segmentation_from_labels(saved(tmp_path, phantoms.label_map(CT)), GRIDS)
    visit = VisitFolder(tmp_path / "visit")
    write_segmentation(found, visit)
    again = read_segmentation(visit)
    np.testing.assert_array_equal(again.labels.data, found.labels.data)
    assert again.reference == "ct"
    line = found.vessels["carotid_left"].centreline_lps_mm
    np.testing.assert_allclose(again.vessels["carotid_left"].centreline_lps_mm, line, atol=5e-4)


def test_an_upright_vessel_has_its_axis_as_centreline():
    labels = phantoms.label_map(CT)
    line = axial_centreline(Volume(labels.data == 4, CT), upwards=True)
    x, y, _, low, high = phantoms.TUBES["carotid_right"]
    np.testing.assert_allclose(line[:, :2], [[-x, -y]] * len(line), atol=0.2)
    assert line[0, 2] == pytest.approx(low, abs=2.5)
    assert line[-1, 2] == pytest.approx(high, abs=2.5)


def candy_cane(spacing=1.5):
    """Legs 40 mm apart and 60 mm tall, joined by a half circle: a whole thoracic aorta, front leg ascending."""
    grid = phantoms.grid((spacing,) * 3, low=(-20.0, -45.0, -70.0), high=(20.0, 45.0, 45.0))
    at = phantoms.points(grid)
    x, y, z = np.moveaxis(at, -1, 0)
    around = np.hypot(np.hypot(y, np.maximum(z, 0.0)) - 25.0, x)
    return Volume((around <= 10.0) & (z > -60.0), grid)


def test_a_whole_aorta_is_divided_by_its_sections():
    cane = candy_cane()
    parts = split_aorta(cane, "test")
    at = phantoms.points(cane.grid)
    assert set(np.unique(parts[cane.data])) == {1, 2, 3}
    assert (at[parts == 1][:, 1] > 0).all()
    assert (at[parts == 3][:, 1] < 0).all()
    lowest_arch = at[parts == 2][:, 2].min()
    assert lowest_arch == pytest.approx(15.0, abs=2.0)
    turned = phantoms.transformed(cane, (2, 0, 1), (True, False, True))
    again = phantoms.transformed(Volume(parts, cane.grid), (2, 0, 1), (True, False, True))
    np.testing.assert_array_equal(split_aorta(turned, "test"), again.data)


def test_a_single_tube_cannot_be_divided():
    labels = phantoms.label_map(CT)
    with pytest.raises(InputRefused, match="cannot be divided"):
        split_aorta(Volume(labels.data == 3, CT), "mask")


def test_the_line_of_an_arch_follows_its_bend():
    cane = candy_cane()
    arch = split_aorta(cane, "test") == 2
    line = arched_centreline(cane, arch)
    np.testing.assert_allclose(np.hypot(line[:, 1], line[:, 2]), 25.0, atol=2.0)
    assert line[0, 1] < line[-1, 1]
    assert (line[:, 2] > 5).all()
    turned = phantoms.transformed(cane, (2, 0, 1), (True, False, True))
    part = phantoms.transformed(Volume(arch, cane.grid), (2, 0, 1), (True, False, True)).data
    np.testing.assert_allclose(arched_centreline(turned, part), line, atol=1e-6)


def test_a_grid_within_a_hundredth_of_a_millimetre_is_the_same(tmp_path):
    affine = CT.affine.copy()
    affine[:3, 3] += 0.004
    shifted = Volume(phantoms.label_map(CT).data, Grid(CT.shape, affine))
    assert segmentation_from_labels(saved(tmp_path, shifted), GRIDS).reference == "ct"


def test_a_number_of_thousands_of_digits_names_no_label(tmp_path):
    from petflame.segment.imports.sidecar import Sidecar
    from petflame.segment.labelmaps import _numbered

    assert _numbered(Sidecar({"9" * 5_000: "svc", "1": "svc"}, exists=True)) == {1: "svc"}
