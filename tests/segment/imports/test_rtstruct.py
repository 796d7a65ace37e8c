import json

import nibabel as nib
import numpy as np
import pytest
from writers import by_name, traced, write_rtstruct

import phantoms
from petflame.dicom.assemble import assemble
from petflame.dicom.scan import scan_folder
from petflame.dicom.series import group_series
from petflame.errors import InputRefused
from petflame.privacy import with_names
from petflame.segment.imports import import_segmentation
from petflame.segment.imports.sidecar import Sidecar
from petflame.space.grid import Volume, ras_to_lps


def grid_of(folder):
    (series, *_), faults = group_series(scan_folder(folder).headers)
    assert not faults
    stack, objections, _ = assemble(series)
    assert not objections
    return stack.grid


def named_as_nodes(dataset):
    return Sidecar({str(roi.ROIName): "lymph_node" for roi in dataset.StructureSetROISequence})


@pytest.mark.parametrize("reference", ["ct", "pet"])
def test_what_was_drawn_comes_back_voxel_for_voxel(tmp_path, grids, truth, reference):
    contours = {name: traced(mask) for name, mask in by_name(truth[reference]).items()}
    found = import_segmentation(write_rtstruct(tmp_path / "rs.dcm", contours), grids)
    assert found.reference == reference
    assert (found.labels.data == truth[reference].data).all()
    assert found.provenance["format"] == "RTSTRUCT"
    assert len(found.vessels["carotid_left"].centreline_lps_mm)


@pytest.mark.parametrize(
    ("order", "flips"), [((0, 1, 2), (False, False, True)), ((2, 0, 1), (True, False, True)), ((1, 2, 0), (False,) * 3)]
)
def test_the_order_of_the_images_axes_does_not_matter(tmp_path, grids, truth, order, flips):
    contours = {name: traced(mask) for name, mask in by_name(truth["ct"]).items()}
    turned = phantoms.transformed(truth["ct"], order, flips)
    found = import_segmentation(write_rtstruct(tmp_path / "rs.dcm", contours), {"ct": turned.grid})
    assert (found.labels.data == turned.data).all()


def test_a_hole_stays_a_hole(tmp_path, grids, truth):
    mask = truth["ct"].data == 1
    k = int(np.argwhere(mask)[0, 2]) + 3
    i, j = np.argwhere(mask[..., k]).mean(axis=0).astype(int)
    mask[i - 1 : i + 2, j - 1 : j + 2, k] = False
    found = import_segmentation(
        write_rtstruct(tmp_path / "rs.dcm", {"AA": traced(Volume(mask, grids["ct"]))}, kind="CLOSEDPLANAR_XOR"),
        {"ct": grids["ct"]},
    )
    assert ((found.labels.data == 1) == mask).all()
    assert not any("outline" in w for w in found.warnings)


def test_contours_on_the_slices_of_both_images_go_where_they_leave_no_gap(tmp_path, grids):
    ct = phantoms.grid((2.0, 2.0, 2.0))
    pet = phantoms.grid((4.0, 4.0, 4.0))
    labels = phantoms.label_map(pet)
    contours = {name: traced(mask) for name, mask in by_name(labels).items()}
    path = write_rtstruct(tmp_path / "rs.dcm", contours)
    found = import_segmentation(path, {"ct": ct, "pet": pet})
    assert found.reference == "pet"
    assert (found.labels.data == labels.data).all()
    assert any("slices of CT and PET alike" in w for w in found.warnings)
    path.with_suffix(".json").write_text(json.dumps({"grid": "ct"}))
    assert import_segmentation(path, {"ct": ct, "pet": pet}).reference == "ct"


def test_contours_between_slices_or_beside_the_images_are_refused(tmp_path, grids, truth):
    lines = traced(by_name(truth["ct"])["svc"])
    for shift in ([0, 0, 1.5], [500.0, 0, 0]):
        path = write_rtstruct(tmp_path / "rs.dcm", {"svc": [c + shift for c in lines]})
        with pytest.raises(InputRefused, match=r"RAS mm.*CT: .* PET: "):
            import_segmentation(path, grids)


def test_points_are_left_out_and_said_and_nothing_else_is_refused(tmp_path, grids, truth):
    lines = traced(by_name(truth["ct"])["svc"])
    path = write_rtstruct(tmp_path / "rs.dcm", {"svc": lines}, kind="POINT")
    with pytest.raises(InputRefused, match="no closed contour"):
        import_segmentation(path, grids)


def drawn(grids, truth):
    return {name: traced(mask) for name, mask in by_name(truth["ct"]).items()}


def box(z, half_mm):
    return np.array([[-half_mm, -half_mm, z], [half_mm, -half_mm, z], [half_mm, half_mm, z], [-half_mm, half_mm, z]])


@pytest.mark.parametrize("extra", [box(20.0, 400.0), box(9999.0, 40.0), box(21.7, 40.0), np.full((5, 3), 1e6)])
def test_a_region_that_the_user_ignores_decides_nothing_wherever_it_lies(tmp_path, grids, truth, extra):
    contours = drawn(grids, truth)
    path = write_rtstruct(tmp_path / "rs.dcm", {"BODY": [extra], **contours})
    with pytest.raises(InputRefused, match=r"unknown region names|are no points"):
        import_segmentation(path, grids)
    for key in ("Body", "1"):
        path.with_suffix(".json").write_text(json.dumps({"names": {key: "ignore"}}))
        assert (import_segmentation(path, grids).labels.data == truth["ct"].data).all()


@pytest.mark.parametrize("times", [2, 3])
def test_outlines_that_repeat_are_joined_and_it_is_said_of_which_region(tmp_path, grids, truth, times):
    contours = drawn(grids, truth)
    contours["carotid_right"] = contours["carotid_right"] + contours["carotid_right"][1:3] * (times - 1)
    found = import_segmentation(write_rtstruct(tmp_path / "rs.dcm", contours), grids)
    assert (found.labels.data == truth["ct"].data).all()
    told = [with_names(w) for w in found.warnings if "outlines" in w]
    assert len(told) == 1
    assert "carotid_right: outlines that repeat or overlap were joined on 2 slices" in told[0]


def test_outlines_that_overlap_enclose_their_union(tmp_path, grids, truth):
    contours = drawn(grids, truth)
    shift = np.array([3.0, 0, 0])
    contours["aorta_descending"] = [c + s for c in contours["aorta_descending"] for s in (-shift, shift)]
    found = import_segmentation(write_rtstruct(tmp_path / "rs.dcm", contours), grids)
    mask = truth["ct"].data == 3
    # Voxels of 3 mm: the union is the mask moved by one voxel either way.
    expected = np.roll(mask, 1, 0) | np.roll(mask, -1, 0)
    assert ((found.labels.data == 3) == expected).all()
    assert any("aorta_descending" in with_names(w) and "joined" in w for w in found.warnings)


def test_a_plain_outline_within_another_is_filled_and_said(tmp_path, grids, truth):
    mask = truth["ct"].data == 1
    k = int(np.argwhere(mask)[0, 2]) + 3
    i, j = np.argwhere(mask[..., k]).mean(axis=0).astype(int)
    hollow = mask.copy()
    hollow[i - 1 : i + 2, j - 1 : j + 2, k] = False
    path = write_rtstruct(tmp_path / "rs.dcm", {"AA": traced(Volume(hollow, grids["ct"]))})
    found = import_segmentation(path, {"ct": grids["ct"]})
    assert ((found.labels.data == 1) == mask).all()
    assert any("within another was filled on 1 slice" in w for w in found.warnings)


def test_outlines_that_enclose_no_voxel_are_refused_and_one_vessel_without_any_is_said(tmp_path, grids, truth):
    contours = drawn(grids, truth)
    triangle = np.array([[0.4, 0.4, 0], [0.6, 0.4, 0], [0.6, 0.6, 0]])
    voxel = grids["ct"].to_ras(np.rint(grids["ct"].to_ijk(ras_to_lps(contours["svc"][0].mean(axis=0)))))
    speck = [ras_to_lps(voxel) + triangle]
    with pytest.raises(InputRefused, match="outlines of svc enclose no voxel"):
        import_segmentation(write_rtstruct(tmp_path / "rs.dcm", {"svc": [speck[0]]}), grids)
    contours["svc"] = contours["svc"] * 2
    with pytest.raises(InputRefused, match="enclose no voxel"):
        import_segmentation(
            write_rtstruct(tmp_path / "rs.dcm", {"svc": contours["svc"]}, kind="CLOSEDPLANAR_XOR"), grids
        )
    contours["svc"] = [speck[0]]
    found = import_segmentation(write_rtstruct(tmp_path / "rs.dcm", contours), grids)
    assert any("svc: its outlines enclose no voxel" in w for w in found.warnings)


def test_the_region_of_a_digital_reference_object_lies_in_its_mask(reference):
    """The object's contours leave out its end slices and up to 2 voxels of rim; inside them nothing is missing."""
    import pydicom
    from matplotlib.path import Path as Outline
    from scipy.ndimage import binary_erosion

    from petflame.segment.imports.rtstruct import read_rtstruct

    folder = reference("suv_dro") / "DRO_2_3"
    path = next((folder / "RS").iterdir())
    dataset = pydicom.dcmread(path)
    grid = grid_of(folder / "PT")
    drawing = read_rtstruct(dataset, path.name, {"pet": grid}, named_as_nodes(dataset))
    mask = nib.load(folder / "mask" / "DRO_mask.nii.gz")
    ijk = np.rint(nib.affines.apply_affine(np.linalg.inv(mask.affine), grid.to_ras(drawing.claims[0].voxels)))
    mine, theirs = np.zeros(mask.shape, bool), np.asarray(mask.dataobj) > 0
    mine[tuple(ijk.astype(int).T)] = True
    drawn = mine.any(axis=(0, 1))
    assert drawn.sum() == 16
    assert not (mine & ~theirs).any()
    core = np.stack([binary_erosion(plane, iterations=2) for plane in np.moveaxis(theirs, 2, 0)], axis=2)
    assert not (core[..., drawn] & ~mine[..., drawn]).any()
    # Another implementation of even-odd filling, for voxels that are not on the line.
    for contour in dataset.ROIContourSequence[0].ContourSequence[::5]:
        points = np.asarray(contour.ContourData, float).reshape(-1, 3)
        plane = round(float(grid.to_ijk([0.0, 0.0, points[0, 2]])[2]))
        places = np.stack(np.meshgrid(np.arange(256) * 4.0, np.arange(256) * 4.0, indexing="ij"), axis=-1)
        inside = Outline(points[:, :2]).contains_points(places.reshape(-1, 2)).reshape(256, 256)
        own = drawing.claims[0].voxels
        image = np.zeros((256, 256), bool)
        image[tuple(own[own[:, 2] == plane][:, :2].T)] = True
        assert not (inside & ~image).any()
        distance = np.linalg.norm(places[image & ~inside][:, None] - points[None, :, :2], axis=-1)
        assert len(distance) == 0 or distance.min(axis=1).max() < 0.05


@pytest.mark.parametrize("modality", ["CT", "PET"])
def test_real_contours_fall_on_the_image_they_were_drawn_on(reference, modality):
    import pydicom

    from petflame.segment.imports.rtstruct import read_rtstruct

    folder = reference("paired_sts") / "STS_001"
    both = {"ct": grid_of(folder / "CT" / "image"), "pet": grid_of(folder / "PET" / "image")}
    path = folder / modality / "mask" / "RS.dcm"
    dataset = pydicom.dcmread(path)
    drawing = read_rtstruct(dataset, path.name, both, named_as_nodes(dataset))
    assert drawing.reference == modality.lower()
    grid = both[drawing.reference]
    area = 0.0
    for contour in dataset.ROIContourSequence[0].ContourSequence:
        x, y = np.asarray(contour.ContourData, float).reshape(-1, 3)[:, :2].T
        area += abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2
    volume = len(np.unique(drawing.claims[0].voxels, axis=0)) * grid.voxel_volume_mm3
    assert volume == pytest.approx(area * grid.spacing_mm[2], rel=0.03)
