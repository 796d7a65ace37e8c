"""Tubes with a wall in blood, blurred as a scanner blurs them, on a grid of their own."""

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage

import phantoms
from petflame.anatomy import BY_NAME
from petflame.measure.images import VisitImages
from petflame.measure.partial_volume import compartments, corrected_row
from petflame.measure.visit import measure
from petflame.protocol import Protocol
from petflame.recovery import FWHM_PER_SIGMA, wall_recovery
from petflame.space.grid import Volume

FWHM = 6.0
BLOOD, SURROUNDINGS = 1.2, 0.5
LOW, HIGH = (-40.0, -40.0, 0.0), (40.0, 40.0, 90.0)
CT, PET = phantoms.grid((0.8, 0.8, 2.0), LOW, HIGH), phantoms.grid((3.0, 3.0, 3.0), LOW, HIGH)
CENTRE, TILT = np.array([1.3, -0.7]), 0.15


def away(on):
    """Distance from a slightly tilted tube's axis, across it."""
    x, y, z = np.moveaxis(phantoms.points(on), -1, 0)
    return np.hypot(x - CENTRE[0] - TILT * (z - 45), y - CENTRE[1]), z


def scene(radius, wall_mm, wall_suv):
    distance, z = away(CT)
    labels = Volume(np.where((distance <= radius) & (z >= 15) & (z <= 75), BY_NAME["aorta_descending"].label, 0), CT)
    fine = phantoms.grid((0.5, 0.5, 1.0), LOW, HIGH)
    at, _ = away(fine)
    truth = np.full(fine.shape, SURROUNDINGS)
    truth[at <= radius] = wall_suv
    truth[at <= radius - wall_mm] = BLOOD
    sigma = [FWHM / FWHM_PER_SIGMA / s for s in fine.spacing_mm]
    blurred = ndimage.gaussian_filter(truth, sigma, mode="nearest")
    place = np.moveaxis(fine.to_ijk(phantoms.points(PET)), -1, 0)
    pet = Volume(ndimage.map_coordinates(blurred, place, order=1), PET)
    return VisitImages(pet, phantoms.segmentation(Volume(labels.data.astype(np.uint8), CT)))


@pytest.mark.parametrize(("radius", "wall_mm", "wall_suv"), [(12.0, 2.0, 4.0), (12.0, 2.0, 2.0), (4.0, 1.5, 3.0)])
def test_the_matrix_gives_back_the_uptakes_that_were_painted(radius, wall_mm, wall_suv):
    images = scene(radius, wall_mm, wall_suv)
    row = corrected_row("aorta_descending", images, BLOOD, wall_mm, FWHM, True)
    assert row["gtm_wall_suv"] == pytest.approx(wall_suv, rel=0.03)
    assert row["gtm_surroundings_suv"] == pytest.approx(SURROUNDINGS, rel=0.05)
    assert row["gtm_lumen_suv"] == pytest.approx(BLOOD, rel=0.10)
    assert row["gtm_wall_tbr"] == pytest.approx(row["gtm_wall_suv"] / BLOOD)
    seen = images.pet.data.max()
    assert abs(row["gtm_wall_suv"] - wall_suv) < 0.2 * abs(seen - wall_suv)


def test_shares_fill_every_voxel_and_the_wall_has_its_volume():
    parts = compartments("aorta_descending", scene(12.0, 2.0, 4.0), 2.0, FWHM)
    np.testing.assert_allclose(parts.shares.sum(axis=0), 1.0, atol=1e-5)
    middle = parts.shares[..., parts.grid.shape[2] // 2].sum(axis=(1, 2))
    assert middle[0] == pytest.approx(np.pi * (12**2 - 10**2), rel=0.03)
    assert middle[1] == pytest.approx(np.pi * 10**2, rel=0.03)


def test_a_wrong_resolution_gives_another_answer_so_it_is_declared():
    images = scene(12.0, 2.0, 4.0)
    sharp, dull = (corrected_row("aorta_descending", images, BLOOD, 2.0, f, True)["gtm_wall_suv"] for f in (4.0, 8.0))
    assert sharp < 4.0 < dull


def test_the_table_is_written_on_request_alone_and_primary_figures_do_not_change():
    labels, pet = phantoms.label_map(phantoms.grid((1.0, 1.0, 2.5))), None
    pet = phantoms.pet_image(phantoms.grid((4.0, 4.0, 3.0)), {n: 2.0 for n in phantoms.TUBES if "vein" not in n})
    plain = measure(pet, phantoms.segmentation(labels), Protocol())
    asked = measure(pet, phantoms.segmentation(labels), Protocol(partial_volume={"transfer_matrix": True}))
    assert plain.partial_volume is None
    assert set(asked.partial_volume["vessel"]) == {n for n in phantoms.TUBES if "aorta" in n or "carotid" in n}
    assert asked.partial_volume["note"].str.contains("not a primary figure").all()
    pd.testing.assert_frame_equal(plain.slices, asked.slices)
    pd.testing.assert_frame_equal(plain.vessels, asked.vessels)


def test_expected_recovery_stands_beside_tbr():
    labels = phantoms.label_map(phantoms.grid((1.0, 1.0, 2.5)))
    pet = phantoms.pet_image(phantoms.grid((4.0, 4.0, 3.0)), {"aorta_ascending": 2.0, "carotid_left": 2.0})
    rows = measure(pet, phantoms.segmentation(labels), Protocol()).vessels.set_index("vessel")
    assert rows.loc["aorta_ascending", "expected_recovery"] == pytest.approx(wall_recovery(15.0, 2.0, 6.0), rel=0.02)
    assert rows.loc["carotid_left", "expected_recovery"] == pytest.approx(wall_recovery(4.0, 1.0, 6.0), rel=0.06)
    assert np.isnan(rows.loc["aorta_arch", "expected_recovery"])
