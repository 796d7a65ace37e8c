"""Where the aorta's parts begin and end, on shapes whose levels are known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from petflame.segment.geometric.body import Chest
from petflame.segment.geometric.ends import ascending_end, descending_end, field_floor_mm, flanked
from petflame.segment.geometric.paint import paint
from petflame.segment.geometric.parts import divide
from petflame.segment.geometric.surface import RAYS, Tube, frames
from petflame.segment.geometric.tracks import Track
from petflame.segment.geometric.work import Work
from petflame.space.grid import Grid, Volume

BEND_MM, TUBE_MM = 30.0, 12.0
TURN = np.arange(RAYS) * 2 * np.pi / RAYS


def cane(tilt_deg=0.0, radius_mm=TUBE_MM):
    """Return two upright limbs joined by half a ring, turned about x."""
    limb = np.arange(-60.0, 0.0, 2.0)
    turn = np.linspace(0, np.pi, 48)
    y = np.concatenate([np.full(len(limb), -BEND_MM), -BEND_MM * np.cos(turn), np.full(len(limb), BEND_MM)])
    z = np.concatenate([limb, BEND_MM * np.sin(turn), limb[::-1]])
    tilt = np.deg2rad(tilt_deg)
    points = np.column_stack(
        [np.zeros(len(y)), y * np.cos(tilt) - z * np.sin(tilt), y * np.sin(tilt) + z * np.cos(tilt)]
    )
    radius = np.full((len(points), RAYS), radius_mm)
    return Tube(points, frames(points), radius, np.ones_like(radius))


@pytest.mark.parametrize("tilt_deg", [-20.0, -5.0, 0.0, 5.0, 20.0])
def test_the_arch_is_what_lies_above_the_hollow_between_the_limbs(tilt_deg):
    # The hollow's highest point is the inner side of the ring, at any tilt.
    assert divide(cane(tilt_deg), (0.0, 0.0)).margin_mm == pytest.approx(BEND_MM - TUBE_MM, abs=0.3)


@pytest.mark.parametrize("tilt_deg", [0.0, 12.0])
def test_below_it_a_plane_holds_two_sections_and_above_it_one(tilt_deg):
    tube = cane(tilt_deg)
    affine = np.diag([-1.0, -1.0, 1.0, 1.0])
    affine[:3, 3] = [20.0, 70.0, -40.0]
    labels = Volume(np.zeros((40, 140, 100), np.uint8), Grid((40, 140, 100), affine))
    paint(labels, tube, 1, (-np.inf, np.inf))
    margin = divide(tube, (0.0, 0.0)).margin_mm
    below, above = (labels.data[..., round(margin + off + 40.0)] for off in (-2.0, 2.0))
    assert ndimage.label(below)[1] == 2
    assert ndimage.label(above)[1] == 1


def test_one_section_that_slipped_does_not_move_the_level():
    tube = cane()
    top = int(tube.centre_lps_mm[:, 2].argmax())
    radius = tube.radius_mm.copy()
    radius[top] = 4.0
    slipped = Tube(tube.centre_lps_mm, tube.frame, radius, tube.edge)
    assert divide(slipped, (0.0, 0.0)).margin_mm == pytest.approx(BEND_MM - TUBE_MM, abs=0.5)


def track(top=70, bottom=5, score=0.7):
    plane = np.arange(top, bottom - 1, -1)
    return Track(plane, np.full((len(plane), 2), 100.0), np.full(len(plane), 12.0), np.full(len(plane), score))


def chest(dome=40, crus=20, depth=80):
    """Return lungs whose section shrinks at slice `dome`, and a tongue of lung beside the aorta down to `crus`."""
    lungs = np.zeros((100, 100, depth), bool)
    lungs[5:40, 20:80, dome:] = True
    # The aorta's centre is voxel (50, 50), its radius 6 voxels: this lung begins one voxel beyond its left wall.
    lungs[58:95, 20:80, dome:] = True
    lungs[58:64, 45:70, crus:dome] = True
    work = Work(np.zeros(lungs.shape, np.float32), np.zeros(3), np.ones(depth, bool))
    return Chest(work, lungs, lungs, np.full(depth, 50.0))


@pytest.mark.parametrize("crus", [14, 20, 33])
def test_the_descending_aorta_ends_where_lung_no_longer_flanks_it(crus):
    # Within one slice of 2 mm: flanking is averaged over five.
    assert descending_end(chest(crus=crus), track(), 0) == pytest.approx(crus, abs=1)


def test_without_a_recess_it_ends_at_the_dome():
    assert descending_end(chest(crus=40), track(), 0) == pytest.approx(40, abs=2)


def test_lung_lost_beside_it_above_the_dome_does_not_end_it():
    body = chest()
    body.lungs[58:, :, 50:60] = False
    assert descending_end(body, track(), 0) == pytest.approx(20, abs=1)


def test_lung_far_from_it_does_not_flank_it():
    body = chest()
    body.lungs[58:64, 45:70, 20:40] = False
    body.lungs[64:80, 45:70, 20:40] = True
    assert flanked(body, track())[40:].max() < 0.15
    assert descending_end(body, track(), 0) == pytest.approx(40, abs=2)


def test_it_ends_where_no_vessel_is_seen_over_20_mm():
    path = track()
    lost = path.score.copy()
    lost[(path.plane < 52) & (path.plane > 36)] = 0.0
    seen = Track(path.plane, path.centre_mm, path.radius_mm, lost)
    assert descending_end(chest(), seen, 0) == pytest.approx(52, abs=2)


def test_the_ascending_aorta_begins_38_mm_below_the_carina_or_where_its_track_ends():
    assert ascending_end(60.0, track(bottom=20)) == 41
    assert ascending_end(60.0, track(bottom=45)) == 45


@pytest.mark.parametrize("roll_deg", [0.0, 10.0])
@pytest.mark.parametrize("thick_mm", [1.0, 4.0])
def test_sections_stay_6_mm_above_the_face_of_the_lowest_slice(thick_mm, roll_deg):
    c, s = np.cos(np.deg2rad(roll_deg)), np.sin(np.deg2rad(roll_deg))
    affine = np.eye(4)
    affine[:3, :3] = np.array([[-c, s, 0], [-s, -c, 0], [0, 0, thick_mm]])
    affine[:3, 3] = [0.0, 0.0, -50.0]
    ct = Volume(np.zeros((10, 10, 30), np.int16), Grid((10, 10, 30), affine))
    assert field_floor_mm(ct, np.array([3.0, 4.0, 20.0])) == pytest.approx(-50.0 - thick_mm / 2 + 6.0)


def test_of_a_scan_tilted_about_x_the_face_is_taken_below_the_vessel():
    tilt = np.deg2rad(10.0)
    affine = np.eye(4)
    affine[:3, :3] = np.diag([-1.0, -1.0, 1.0]) @ np.array(
        [[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]]
    )
    ct = Volume(np.zeros((10, 200, 30), np.int16), Grid((10, 200, 30), affine))
    front, back = (field_floor_mm(ct, np.array([0.0, y, 20.0])) for y in (0.0, 100.0))
    assert back - front == pytest.approx(100.0 * np.tan(tilt))
