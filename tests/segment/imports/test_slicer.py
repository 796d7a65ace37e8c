import json

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from petflame.anatomy import BY_LABEL, BY_NAME
from petflame.errors import InputRefused
from petflame.privacy import with_names
from petflame.segment.imports import import_segmentation

TITLES = {1: "Aorta ascending", 4: "RC", 5: "common_carotid_artery_left", 6: "superior_vena_cava"}


def image_of(data, grid):
    """A SimpleITK image of an array (i, j, k) or (i, j, k, layer)."""
    image = sitk.GetImageFromArray(np.ascontiguousarray(np.swapaxes(data, 0, 2)), isVector=data.ndim == 4)
    affine = np.diag([-1.0, -1, 1, 1]) @ grid.affine
    image.SetSpacing(grid.spacing_mm)
    image.SetDirection((affine[:3, :3] / np.array(grid.spacing_mm)).ravel().tolist())
    image.SetOrigin(affine[:3, 3].tolist())
    return image


def name_segments(image, rows):
    for number, (name, value, layer) in enumerate(rows):
        for key, text in {"ID": f"S{number}", "Name": name, "LabelValue": value, "Layer": layer}.items():
            image.SetMetaData(f"Segment{number}_{key}", str(text))


def cropped(image, grid):
    """Cut to the segments' extent, as Slicer saves it."""
    foreground = sitk.GetArrayFromImage(image)
    k, j, i = (
        np.flatnonzero(foreground.any(axis=tuple(a for a in range(foreground.ndim) if a != b))) for b in range(3)
    )
    return image[int(i[0]) : int(i[-1]) + 1, int(j[0]) : int(j[-1]) + 1, int(k[0]) : int(k[-1]) + 1], (i[0], j[0], k[0])


@pytest.mark.parametrize("reference", ["ct", "pet"])
def test_a_slicer_segmentation_cut_to_its_extent_comes_back_voxel_for_voxel(tmp_path, grids, truth, reference):
    labels = truth[reference]
    # Slicer numbers segments as they were made, not as we do.
    renumbered = np.where(labels.data > 0, 20 - labels.data, 0).astype(np.uint8)
    image, offset = cropped(image_of(renumbered, labels.grid), labels.grid)
    assert min(offset) > 0
    rows = [(TITLES.get(int(n), BY_LABEL[int(n)].name), 20 - int(n), 0) for n in np.unique(labels.data) if n]
    name_segments(image, rows)
    path = tmp_path / "read.seg.nrrd"
    sitk.WriteImage(image, str(path), useCompression=True)
    found = import_segmentation(path, grids)
    assert found.reference == reference
    assert (found.labels.data == labels.data).all()


def test_overlapping_layers_go_to_the_artery_and_it_is_said(tmp_path, grids, truth):
    labels = truth["ct"].data
    layers = np.stack([labels == 1, (labels == 6) | (labels == 1)], axis=-1).astype(np.uint8)
    image = image_of(layers, grids["ct"])
    name_segments(image, [("AA", 1, 0), ("SVC", 1, 1), ("LC", 2, 0)])
    path = tmp_path / "read.seg.nrrd"
    sitk.WriteImage(image, str(path))
    found = import_segmentation(path, grids)
    assert ((found.labels.data == 1) == (labels == 1)).all()
    assert ((found.labels.data == 6) == (labels == 6)).all()
    count = int((labels == 1).sum())
    assert f"read.seg.nrrd: {count} voxels drawn as aorta_ascending and as svc were given to aorta_ascending" in [
        with_names(w) for w in found.warnings
    ]
    assert any("segments without a voxel: LC" in with_names(w) for w in found.warnings)


def test_a_label_map_in_nrrd_takes_our_numbers_or_those_beside_it(tmp_path, grids, truth):
    path = tmp_path / "map.nrrd"
    sitk.WriteImage(image_of(truth["ct"].data, grids["ct"]), str(path))
    assert (import_segmentation(path, grids).labels.data == truth["ct"].data).all()
    sitk.WriteImage(image_of((truth["ct"].data == 6).astype(np.uint8) * 77, grids["ct"]), str(path))
    with pytest.raises(InputRefused, match="label 77"):
        import_segmentation(path, grids)
    path.with_suffix(".json").write_text(json.dumps({"77": "svc"}))
    assert (import_segmentation(path, grids).labels.data == BY_NAME["svc"].label).sum() == (truth["ct"].data == 6).sum()


def test_a_label_that_no_segment_names_is_refused(tmp_path, grids, truth):
    image = image_of(truth["ct"].data, grids["ct"])
    name_segments(image, [("AA", 1, 0)])
    sitk.WriteImage(image, str(tmp_path / "a.seg.nrrd"))
    with pytest.raises(InputRefused, match=r"label values \[3, 4, 5, 6, 7, 8\] belong to no segment"):
        import_segmentation(tmp_path / "a.seg.nrrd", grids)


def test_another_grid_fractions_and_rubbish_are_refused(tmp_path, grids, truth):
    path = tmp_path / "a.nrrd"
    image = image_of(truth["ct"].data, grids["ct"])
    image.SetOrigin((3.0, 3.0, 3.0))
    sitk.WriteImage(image, str(path))
    with pytest.raises(InputRefused, match=r"it lies on 48 x 41 x 33 voxels.*CT: .* PET: "):
        import_segmentation(path, grids)
    sitk.WriteImage(image_of(truth["ct"].data * np.float32(0.5), grids["ct"]), str(path))
    with pytest.raises(InputRefused, match="whole numbers"):
        import_segmentation(path, grids)
    path.write_bytes(b"NRRD0004\nrubbish\n\n")
    with pytest.raises(InputRefused, match="cannot be read"):
        import_segmentation(path, grids)


def test_a_whole_aorta_is_divided_and_a_drawn_part_wins(tmp_path, grids):
    from petflame.space.grid import Grid

    grid = Grid((60, 60, 40), np.diag([-2.0, -2.0, 3.0, 1.0]))
    i, j, k = np.indices(grid.shape)
    front = (np.hypot(i - 25, j - 20) < 6) & (k < 30)
    rear = (np.hypot(i - 35, j - 42) < 5) & (k < 30)
    top = (np.hypot(i - 30, j - 31) < 18) & (k >= 30) & (k < 36)
    aorta = (front | rear | top).astype(np.uint8)
    path = tmp_path / "a.seg.nrrd"

    def imported(data, rows):
        image = image_of(data, grid)
        name_segments(image, rows)
        sitk.WriteImage(image, str(path))
        return import_segmentation(path, {"ct": grid})

    found = imported(aorta, [("aorta", 1, 0)]).labels.data
    assert (found[front] == 1).all()
    assert (found[rear] == 3).all()
    assert (found[top] == 2).all()
    layers = np.stack([aorta, (front & (k > 5)).astype(np.uint8)], axis=-1)
    found = imported(layers, [("aorta", 1, 0), ("Ascending aorta", 1, 1)])
    assert any("aorta_ascending as drawn" in w for w in found.warnings)
    assert (found.labels.data > 0).sum() == aorta.sum()


def test_upside_down_and_back_to_front_masks_are_refused(tmp_path, grids, truth):
    for axis, words in ((2, "upside down"), (1, "back to front")):
        data = np.ascontiguousarray(np.flip(truth["ct"].data, axis))
        path = tmp_path / "a.nrrd"
        sitk.WriteImage(image_of(data, grids["ct"]), str(path))
        with pytest.raises(InputRefused, match=words):
            import_segmentation(path, grids)


def test_a_mirrored_mask_without_pairs_is_known_by_its_cava(tmp_path, grids, truth):
    data = np.where(np.isin(truth["ct"].data, (1, 6)), truth["ct"].data, 0)
    path = tmp_path / "a.nrrd"
    sitk.WriteImage(image_of(data, grids["ct"]), str(path))
    import_segmentation(path, grids)
    sitk.WriteImage(image_of(np.ascontiguousarray(data[::-1]), grids["ct"]), str(path))
    with pytest.raises(InputRefused, match=r"svc lies .* left of aorta_ascending"):
        import_segmentation(path, grids)


def test_a_file_without_a_vessel_is_refused(tmp_path, grids, truth):
    data = np.where(truth["ct"].data == 1, BY_NAME["liver"].label, 0).astype(np.uint8)
    sitk.WriteImage(image_of(data, grids["ct"]), str(tmp_path / "a.nrrd"))
    with pytest.raises(InputRefused, match="no artery and no vein"):
        import_segmentation(tmp_path / "a.nrrd", grids)
