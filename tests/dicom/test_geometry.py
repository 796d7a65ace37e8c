"""The same value at the same point of the patient, however the voxels lie in the files."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from dicom.synthetic import PET_SHAPE, pet_series, write
from petflame.dicom.assemble import assemble
from petflame.dicom.plan import plan_visit
from petflame.dicom.scan import scan_folder
from petflame.dicom.series import group_series
from petflame.protocol import Protocol

AXES = list(itertools.product(itertools.permutations(range(3)), itertools.product((1, -1), repeat=3)))
SPACING = (5.0, 4.0, 3.0)


def activity(points: np.ndarray) -> np.ndarray:
    """A stored value for each LPS point (mm); no two points of the grid share one."""
    return (points @ [3, 40, 900] + 12000).astype(np.int16)


def reoriented(permutation, signs):
    """The same points in the patient, as slices along another axis; shape (slices, rows, columns)."""
    counts = (PET_SHAPE[2], PET_SHAPE[1], PET_SHAPE[0])
    steps = np.eye(3)[list(permutation)] * np.array(signs)[:, None]
    spacing = [SPACING[a] for a in permutation]
    sizes = [counts[a] for a in permutation]
    low = np.array([-20.0, -8.0, -6.0])
    origin = low + sum(
        np.eye(3)[a] * SPACING[a] * (counts[a] - 1) for a, s in zip(permutation, signs, strict=True) if s < 0
    )
    column_step, row_step, slice_step = steps
    slices = pet_series((sizes[2], sizes[1], sizes[0]), PixelSpacing=[spacing[1], spacing[0]])
    cosines = [*column_step, *row_step]
    for k, ds in enumerate(slices):
        corner = origin + slice_step * spacing[2] * k
        rows, columns = np.indices((sizes[1], sizes[0]))
        points = corner + columns[..., None] * column_step * spacing[0] + rows[..., None] * row_step * spacing[1]
        ds.ImagePositionPatient, ds.ImageOrientationPatient = list(corner), cosines
        ds.PixelData, ds.RescaleSlope = activity(points).tobytes(), "0.25"
    return slices


@pytest.mark.parametrize(("permutation", "signs"), AXES)
def test_48_flips_and_permutations(tmp_path, permutation, signs):
    from petflame.dicom.convert import read_pet

    write(reoriented(permutation, signs), tmp_path)
    plan = plan_visit(tmp_path, Protocol())
    assert plan.faults == ()
    volume = read_pet(plan)
    ijk = np.stack(np.indices(volume.data.shape), axis=-1)
    lps = volume.grid.to_ras(ijk) * [-1, -1, 1]
    np.testing.assert_allclose(volume.data, activity(np.round(lps)) * 0.25 * plan.suv.factor, rtol=1e-6)


def test_oblique_corners_through_the_file(tmp_path, convert):
    from scipy.spatial.transform import Rotation

    turn = Rotation.from_euler("xyz", (11, -7, 23), degrees=True).as_matrix()
    pet = pet_series()
    corners = {}
    for k, ds in enumerate(pet):
        corner = turn @ [-20.0, -30.0, -100.0 + 3.0 * k]
        ds.ImagePositionPatient = [f"{x:.9f}" for x in corner]
        ds.ImageOrientationPatient = [f"{x:.9f}" for x in (*turn[:, 0], *turn[:, 1])]
        for i, j in ((0, 0), (9, 0), (0, 7), (9, 7)):
            corners[i, j, k] = (corner + turn @ [5.0 * i, 4.0 * j, 0]) * [-1, -1, 1]
    write(pet, tmp_path / "in")
    image = convert(tmp_path / "in").image()
    for affine in (image.get_sform(), image.get_qform()):
        for ijk, ras in corners.items():
            np.testing.assert_allclose(affine @ [*ijk, 1], [*ras, 1], atol=0.01)


def test_spacing_comes_from_positions_alone(tmp_path):
    write(pet_series(SliceThickness="9", SpacingBetweenSlices="8", SliceLocation="7"), tmp_path)
    (series,), _ = group_series(scan_folder(tmp_path).headers)
    stack, faults, warnings = assemble(series)
    assert (faults, warnings) == ([], [])
    assert stack.grid.spacing_mm == pytest.approx((5.0, 4.0, 3.0))
    assert stack.grid.shape == (10, 8, 6)
