"""Shapes whose volume, distance or thickness is known on paper."""

from __future__ import annotations

import numpy as np
import pytest

from petflame.simulate.build import Morph
from petflame.simulate.lattice import Lattice, centred
from petflame.simulate.pose import Pose
from petflame.simulate.scene import paint_wall, wall_field
from petflame.simulate.shapes import Ellipsoid, Samples, Stack, Tube, fraction, smooth_union, stamp
from petflame.simulate.vessels import Artery, Plaque

STILL = Pose()
LATTICE = centred(60, 60, 60, 2.0, 2.0, 0.0, -59.0)


def volume_mm3(field, lattice):
    return float(fraction(field.distance_mm, lattice.spacing_mm[0]).sum()) * float(np.prod(lattice.spacing_mm))


def test_sphere_has_its_volume():
    ball = Ellipsoid(np.array([0.3, -0.7, 1.1]), np.full(3, 20.0), np.eye(3))
    assert volume_mm3(ball.field(LATTICE, STILL, 3.0), LATTICE) == pytest.approx(4 / 3 * np.pi * 20**3, rel=0.005)


def test_ellipsoid_turns_with_its_direction():
    stick = Morph().ellipsoid((0, 0, 0), (5, 5, 30), (1, 0, 0))
    field = stick.field(LATTICE, STILL, 2.0)
    inside = np.argwhere(field.distance_mm < 0)
    extent = np.ptp(inside, axis=0) * 2.0
    assert extent.tolist() == pytest.approx([8, 8, 58], abs=4)


def test_straight_tube_has_its_cross_section():
    tube = Tube(np.array([[0.0, 0.0, -80.0], [0.0, 0.0, 80.0]]), np.array([9.0, 9.0]))
    field = stamp(tube.sampled(STILL), LATTICE, 3.0)
    middle = fraction(field.distance_mm[30], 2.0).sum() * 4.0
    assert middle == pytest.approx(np.pi * 81, rel=0.01)


@pytest.mark.parametrize("radius", [4.0, 26.0], ids=["batched", "one by one"])
def test_stamp_agrees_with_brute_force(radius):
    points = np.array([[0, 0, -30.0], [4, 2, 0], [0, -5, 25]])
    samples = Samples(points, np.array([radius, radius + 1, radius]), np.array([0.0, 30.0, 55.0]))
    field = stamp(samples, LATTICE, 3.0, nearest=True)
    z, y, x = np.meshgrid(LATTICE.z, LATTICE.y, LATTICE.x, indexing="ij")
    grid = np.stack([x, y, z], axis=-1)[field.box]
    every = np.linalg.norm(grid[..., None, :] - points, axis=-1) - samples.radii_mm
    near = field.distance_mm < 3.0
    assert np.abs(field.distance_mm - every.min(axis=-1))[near].max() < 1e-5
    assert (field.nearest == every.argmin(axis=-1))[near].all()
    assert every.min(axis=-1)[~near].min() >= 3.0 - 1e-5


def test_tube_outside_the_lattice_is_nothing():
    far = Tube(np.array([[500.0, 0, 0], [500, 0, 50]]), np.array([5.0, 5.0]))
    assert far.field(LATTICE, STILL, 2.0) is None


def test_stack_follows_its_axis_and_turns_with_the_head():
    rows = [(0.0, 0.0, 0.0, 30.0, 10.0), (250.0, 0.0, 0.0, 30.0, 10.0)]
    high = Lattice((-59.0, -59.0, 200.0), (2.0, 2.0, 2.0), (4, 60, 60))
    stack = Morph().stack(rows)
    assert isinstance(stack, Stack)
    straight = stack.field(high, STILL, 2.0).distance_mm < 0
    turned = stack.field(high, Pose(turn_deg=90.0), 2.0).distance_mm < 0
    assert np.ptp(np.argwhere(straight[0]), axis=0).tolist() == pytest.approx([9, 29], abs=2)
    assert np.ptp(np.argwhere(turned[0]), axis=0).tolist() == pytest.approx([29, 9], abs=2)


def test_a_wall_thinner_than_a_voxel_keeps_its_total():
    coarse = centred(20, 20, 20, 4.0, 4.0, 0.0, -38.0)
    lumen = Tube(np.array([[0.7, 0.4, -60.0], [0.7, 0.4, 60.0]]), np.array([3.5, 3.5]))
    artery = Artery("a", "aorta", lumen, 1.0)
    wall = wall_field(artery, coarse, STILL)
    image = np.zeros(coarse.shape, np.float32)
    paint_wall(image, coarse, wall, 1.0, 0.0)
    area = image[10].sum() * 16.0
    assert area == pytest.approx(np.pi * (4.5**2 - 3.5**2), rel=0.12)


def test_plaque_is_where_it_should_be():
    plaque = Plaque(60.0, 0.0, 5.0, 0.5, 1.0, 0.5, calcified=False)
    lumen = Tube(np.array([[0.0, 0, -60.0], [0, 0, 0], [0, 0, 60.0]]), np.array([10.0, 10.0, 10.0]))
    wall = wall_field(Artery("a", "aorta", lumen, 2.0, (plaque,)), LATTICE, STILL)
    shell = (wall.lumen_mm > 0) & (wall.outer_mm < 0)
    hottest = np.argwhere(shell & (wall.gain == wall.gain[shell].max()))[0]
    at = [LATTICE.x[wall.box[2]][hottest[2]], LATTICE.y[wall.box[1]][hottest[1]], LATTICE.z[wall.box[0]][hottest[0]]]
    assert at == pytest.approx([11.0, 0.0, 0.0], abs=2.0)


def test_smooth_union_is_a_union_away_from_the_seam():
    a, b = np.array([-5.0, 30.0, 1.0]), np.array([20.0, -3.0, 1.0])
    joined = smooth_union(a, b, 4.0)
    assert joined[:2].tolist() == [-5.0, -3.0]
    assert joined[2] == pytest.approx(0.0)


def test_pose_is_rigid_below_the_neck_and_keeps_still_by_default():
    points = np.array([[10.0, 20.0, -10.0], [-30.0, 5.0, 20.0], [40.0, -60.0, 50.0]])
    assert Pose().apply(points) == pytest.approx(points)
    pose = Pose(shift_mm=(3, -2, 5), roll_deg=4, yaw_deg=-3, tilt_deg=2, flexion_deg=10, turn_deg=20)
    moved = pose.apply(points)
    for i, j in ((0, 1), (0, 2), (1, 2)):
        before, after = (np.linalg.norm(p[i] - p[j]) for p in (points, moved))
        assert after == pytest.approx(before)


def test_flexion_brings_the_chin_forward_and_breathing_moves_the_heart_only():
    chin, heart, neck = [0.0, -70.0, 166.0], [40.0, -30.0, -120.0], [20.0, 0.0, 100.0]
    bent = Pose(flexion_deg=8).apply(np.array([chin]))[0]
    assert bent[1] < chin[1] - 5
    assert bent[2] < chin[2] - 3
    breathed = Pose(breathing_mm=6).apply(np.array([heart, neck]))
    assert breathed[0, 2] == pytest.approx(heart[2] - 6)
    assert breathed[1] == pytest.approx(neck)


def test_refined_lattice_covers_the_same_space():
    fine = LATTICE.refined(2, 4)
    assert fine.x.reshape(-1, 2).mean(axis=1) == pytest.approx(LATTICE.x)
    assert fine.z.reshape(-1, 4).mean(axis=1) == pytest.approx(LATTICE.z)


def test_lattice_agrees_with_its_grid():
    lattice = centred(5, 4, 3, 2.0, 3.0, 7.0, -11.0)
    ras = lattice.grid.to_ras([4, 3, 2])
    assert ras == pytest.approx([-lattice.x[4], -lattice.y[3], lattice.z[2]])
