"""An analytic chest whose aorta and vena cava are known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

from petflame.anatomy import AORTA, BY_NAME


def _line():
    """Return the centreline that the phantom is drawn with, LPS mm, and its radius."""
    turn = np.linspace(0, np.pi, 90)[:, None]
    ascending, descending = np.array([-6.0, -42.0]), np.array([16.0, 9.0])
    over = ascending + (1 - np.cos(turn)) / 2 * (descending - ascending)
    up, down = np.arange(-75.0, 0.0), np.arange(0.0, -130.0, -1.0)
    return np.concatenate(
        [
            np.column_stack([np.tile(ascending, (len(up), 1)), up]),
            np.column_stack([over, 28.0 * np.sin(turn)]),
            np.column_stack([np.tile(descending, (len(down), 1)), down]),
        ]
    )


@pytest.mark.parametrize("spacing", [(2.0, 2.0, 2.5), (1.5, 1.5, 5.0)])
def test_every_vessel_is_found(phantom_result, spacing):
    result = phantom_result(spacing_mm=spacing)
    assert result.scope_faults == ()
    assert {name: finding.reason for name, finding in result.vessels.items() if finding.withheld} == {}
    distance = {n: cKDTree(_line()).query(result.vessels[n].centreline_lps_mm)[0] for n in AORTA}
    for name, values in distance.items():
        assert np.median(values) < 1.5, name
        assert values.max() < 3.5, name
    assert np.median(result.vessels["aorta_ascending"].radius_mm) == pytest.approx(15.0, abs=1.0)
    assert np.median(result.vessels["aorta_descending"].radius_mm) == pytest.approx(12.0, abs=1.0)
    cava = result.vessels["svc"].centreline_lps_mm
    assert np.abs(cava[:, :2] - [-30.0, -32.0]).max() < 2.0


def test_parts_are_cut_in_axial_planes(phantom, phantom_result):
    labels = phantom_result().labels
    z = {n: np.flatnonzero((labels == BY_NAME[n].label).any(axis=(0, 1))) for n in AORTA}
    assert z["aorta_arch"].min() > z["aorta_ascending"].max()
    assert z["aorta_arch"].min() > z["aorta_descending"].max()


def test_neighbours_are_labelled_at_their_places(phantom, phantom_result):
    labels, grid = phantom_result().labels, phantom().grid

    def at(x, y, z):
        i, j, k = np.round(grid.to_ijk([[-x, -y, z]])[0]).astype(int)
        return labels[i, j, k]

    assert at(0, 40, -60) == BY_NAME["vertebrae"].label
    assert at(15, -40, -110) == BY_NAME["myocardium"].label
    assert at(2, 14, 30) == BY_NAME["oesophagus"].label


def test_landmarks_lie_where_the_phantom_has_them(phantom_result):
    x, y, z = phantom_result().landmarks_lps_mm["carina"]
    assert (x, y) == pytest.approx((-2, -4), abs=4)
    assert z == pytest.approx(-14, abs=12)


def test_the_arch_near_the_edge_is_withheld(phantom_result):
    arch = phantom_result(top_mm=47.0).vessels["aorta_arch"]
    assert arch.withheld
    assert "distance to the scan's edge" in arch.reason


def test_exchanged_sides_withhold_everything(phantom_result):
    vessels = phantom_result(mirrored=True).vessels
    assert vessels["aorta_arch"].withheld


def test_contrast_medium_is_out_of_scope(phantom_result):
    result = phantom_result(blood_hu=320.0)
    assert "contrast" in result.scope_faults[0].what
    assert not result.labels.any()
    assert set(result.vessels) == {*AORTA, "svc"}
    assert all(finding.withheld for finding in result.vessels.values())


def test_every_check_has_a_finite_figure(phantom_result):
    for finding in phantom_result().vessels.values():
        assert 0 < finding.confidence <= 1
        for check in finding.checks:
            assert np.isfinite(check.value)
