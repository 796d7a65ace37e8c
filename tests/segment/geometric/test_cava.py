"""The superior vena cava of an analytic chest whose neighbours are drawn against it."""

from __future__ import annotations

import numpy as np
import pytest

from petflame.anatomy import BY_NAME
from petflame.segment.geometric import find_vessels
from petflame.segment.geometric.cava import ABOVE_CARINA_MM, BELOW_CARINA_MM
from petflame.space.grid import Volume, ras_to_lps

# As the phantom draws them: centre (LPS x, y), radius, blood, and fat of the mediastinum.
CENTRE, RADIUS, BLOOD, FAT = (-30.0, -32.0), 9.0, 40, -85
ASCENDING, ASCENDING_RADIUS = (-6.0, -42.0), 15.0


def changed(chest: Volume, change) -> Volume:
    """Return the chest with `change(hu, x, y, z)` applied to a copy; LPS mm."""
    hu = np.array(chest.data)
    x, y, z = np.moveaxis(ras_to_lps(chest.grid.to_ras(chest.grid.voxels())), -1, 0)
    change(hu, x, y, z)
    return Volume(hu, chest.grid)


def vein(ct: Volume):
    """Voxels that were labelled, LPS mm, the finding, and the carina's level."""
    found = find_vessels(ct)
    place = np.argwhere(found.labels == BY_NAME["svc"].label)
    points = ras_to_lps(ct.grid.to_ras(place)) if len(place) else np.zeros((0, 3))
    return points, found.vessels["svc"], found.landmarks_lps_mm["carina"][2]


def from_axis(points):
    return np.hypot(points[:, 0] - CENTRE[0], points[:, 1] - CENTRE[1])


def test_it_ends_at_stated_distances_from_the_carina_in_axial_planes(phantom):
    points, finding, carina = vein(phantom())
    assert not finding.withheld, finding.reason
    spacing = 2.5
    assert points[:, 2].max() == pytest.approx(carina + ABOVE_CARINA_MM, abs=spacing)
    assert points[:, 2].min() == pytest.approx(carina - BELOW_CARINA_MM, abs=spacing)
    top, middle = (points[points[:, 2] == z] for z in (points[:, 2].max(), np.median(points[:, 2])))
    assert len(top) == pytest.approx(len(middle), rel=0.15)


def test_an_artery_of_the_same_density_behind_it_is_not_taken_in(phantom):
    """The right pulmonary artery lies against its rear wall from 8 mm below the carina down."""

    def artery(hu, x, y, z):
        behind = (y > CENTRE[1] + 6.0) & (y < CENTRE[1] + 26.0) & (np.abs(x + 15.0) < 30.0)
        hu[behind & (z < -20.0) & (z > -48.0) & (np.hypot(x - CENTRE[0], y - CENTRE[1]) > RADIUS)] = BLOOD

    points, finding, _ = vein(changed(phantom(), artery))
    assert not finding.withheld, finding.reason
    assert (from_axis(points) <= RADIUS + 2.5).mean() > 0.97
    beside = points[(points[:, 2] < -20.0)]
    assert beside[:, 1].mean() == pytest.approx(CENTRE[1], abs=1.5)


def test_it_stops_at_the_aorta_that_touches_it(phantom):
    """Blood's density fills the 4 mm between the two, so nothing shows where one ends."""

    def touching(hu, x, y, z):
        gap = (np.hypot(x - CENTRE[0], y - CENTRE[1]) < RADIUS + 4) & (x > CENTRE[0])
        hu[gap & (hu < 0) & (hu > -300) & (np.abs(z + 20.0) < 30.0)] = BLOOD

    points, finding, _ = vein(changed(phantom(), touching))
    assert not finding.withheld, finding.reason
    in_aorta = np.hypot(points[:, 0] - ASCENDING[0], points[:, 1] - ASCENDING[1]) < ASCENDING_RADIUS - 1.5
    assert not in_aorta.any()
    assert from_axis(points).max() < RADIUS + 4.0 + 1.5


def test_a_catheter_in_it_changes_neither_outline_nor_ends(phantom):
    def catheter(hu, x, y, z):
        hu[(np.hypot(x - CENTRE[0] - 6.0, y - CENTRE[1] + 4.0) < 2.5) & (z > -50.0)] = 1800
        hu[(np.hypot(x - CENTRE[0] - 6.0, y - CENTRE[1] + 4.0) < 4.0) & (z > -50.0) & (hu < 1000)] += 110

    plain, _, _ = vein(phantom())
    points, finding, _ = vein(changed(phantom(), catheter))
    assert not finding.withheld, finding.reason
    assert len(points) == pytest.approx(len(plain), rel=0.08)
    assert np.abs(points.mean(axis=0) - plain.mean(axis=0)).max() < 1.0


def test_a_vein_that_nothing_sets_off_is_withheld_with_the_cause(phantom):
    """Soft tissue of the blood's density fills the right half of the mediastinum and the lung beside it."""

    def full(hu, x, y, z):
        hu[(x < -14.0) & (x > -90.0) & (y < -13.0) & (y > -95.0) & (z < 45.0) & (hu < 200)] = BLOOD

    _, finding, _ = vein(changed(phantom(), full))
    assert finding.withheld
    assert finding.reason


def test_a_collapsed_vein_is_withheld_as_flat(phantom):
    def flat(hu, x, y, z):
        whole = np.hypot(x - CENTRE[0], y - CENTRE[1]) < RADIUS + 1.0
        slit = ((x - CENTRE[0]) / 13.0) ** 2 + ((y - CENTRE[1]) / 3.5) ** 2 < 1
        hu[whole & (z > -75) & (z < 30)] = FAT
        hu[slit & (z > -75) & (z < 30)] = BLOOD

    _, finding, _ = vein(changed(phantom(), flat))
    assert finding.withheld
    assert any(word in finding.reason for word in ("roundness", "flatness", "radius"))


def test_clot_or_tumour_in_its_place_is_told_by_its_density(phantom):
    def other(hu, x, y, z):
        hu[(np.hypot(x - CENTRE[0], y - CENTRE[1]) < RADIUS) & (z > -75) & (z < 30)] += 20

    _, finding, _ = vein(changed(phantom(), other))
    assert finding.withheld
    assert "like the aorta's" in finding.reason
