"""The small pieces, each on an image whose answer a reader can see."""

from __future__ import annotations

import numpy as np
import pytest

from petflame.segment.geometric.circles import blood_likeness, candidates, clip_around_blood, ring_evidence
from petflame.segment.geometric.surface import fit_tube, frames, rasterise, resample_line
from petflame.segment.geometric.tracks import viterbi
from petflame.segment.geometric.work import canonical_view, coarse_view, resample
from petflame.space.grid import Grid, Volume, ras_to_lps


def test_canonical_view_points_left_back_up():
    data = np.arange(24).reshape(2, 3, 4)
    affine = np.array([[0, 0, 2.0, 5], [3.0, 0, 0, 6], [0, -4.0, 0, 7], [0, 0, 0, 1]])
    view = canonical_view(Volume(data, Grid((2, 3, 4), affine)))
    directions = np.diag([-1, -1, 1]) @ view.grid.affine[:3, :3]
    assert np.allclose(directions, np.diag([2.0, 3.0, 4.0]))
    i, j, k = 1, 2, 3
    place = Grid((2, 3, 4), affine).to_ras([i, j, k])
    assert view.data[tuple(np.round(view.grid.to_ijk(place)).astype(int))] == data[i, j, k]
    assert np.shares_memory(view.data, data)


def test_resampling_keeps_places():
    # A ramp in millimetres: the value says where the voxel is.
    shape = (40, 50, 30)
    affine = np.diag([-1.0, -0.8, 3.0, 1.0])
    affine[:3, 3] = [20.0, 15.0, -40.0]
    grid = Grid(shape, affine)
    points = ras_to_lps(grid.to_ras(np.moveaxis(np.indices(shape), 0, -1)))
    ramp = Volume((3 * points[..., 0] - 2 * points[..., 1] + points[..., 2]).astype(np.float32), grid)
    low, high = points.reshape(-1, 3).min(axis=0) + 4, points.reshape(-1, 3).max(axis=0) - 6
    work = resample(ramp, low, high)
    at = work.to_mm(np.moveaxis(np.indices(work.hu.shape), 0, -1))
    assert np.allclose(work.hu, 3 * at[..., 0] - 2 * at[..., 1] + at[..., 2], atol=1e-3)
    assert work.inside.all()
    assert np.allclose(work.grid.to_ras([1, 2, 3]), ras_to_lps(work.to_mm(np.array([1, 2, 3]))))
    assert coarse_view(ramp, 5.0).data.shape == (8, 9, 15)


def test_a_disc_is_found_with_its_radius():
    i, j = np.indices((64, 64)) * 2.0
    disc = np.hypot(i - 70, j - 55) < 14
    plane = np.where(disc, 40.0, -90.0)[None].astype(np.float32)
    radii = np.arange(8.0, 22.0)
    scores = ring_evidence(clip_around_blood(plane, 40.0), blood_likeness(plane, 40.0, 25.0), radii, 2.0)
    where, value = candidates(scores[:, 0], 0.0, 3)
    assert where[0, 1:] * 2 == pytest.approx([70, 55], abs=0.6)
    assert radii[0] + where[0, 0] == pytest.approx(14, abs=1.0)
    assert value[0] > 0.8


def test_a_dark_disc_scores_below_zero():
    i, j = np.indices((64, 64)) * 2.0
    plane = np.where(np.hypot(i - 64, j - 64) < 14, -90.0, 40.0)[None].astype(np.float32)
    scores = ring_evidence(clip_around_blood(plane, 40.0), blood_likeness(plane, 40.0, 25.0), np.array([14.0]), 2.0)
    assert scores[0, 0, 32, 32] < -0.5


def test_viterbi_prefers_the_smooth_track():
    near = [np.array([[0.0 + n, 0.0, 10.0], [40.0, 40.0, 10.0]]) for n in range(6)]
    scores = [np.array([0.6, 0.2]) for _ in range(6)]
    scores[3] = np.array([0.4, 0.7])
    assert viterbi(near, scores, 2.0).tolist() == [0] * 6


def test_frames_are_orthonormal_and_do_not_twist():
    turn = np.linspace(0, np.pi, 60)
    line = np.column_stack([30 * np.cos(turn), np.zeros(60), 30 * np.sin(turn)])
    frame = frames(line)
    assert np.allclose(frame @ frame.transpose(0, 2, 1), np.eye(3), atol=1e-9)
    assert (np.einsum("ni,ni->n", frame[1:, 0], frame[:-1, 0]) > 0.99).all()


def test_resampling_a_line_keeps_its_ends():
    line = np.column_stack([np.zeros(31), np.zeros(31), np.arange(31.0) * 2])
    points, values = resample_line(line, np.full(31, 7.0), 4.0)
    assert points[0] == pytest.approx([0, 0, 0], abs=1e-6)
    assert points[-1, 2] == pytest.approx(60, abs=2.0)
    assert np.allclose(values, 7.0)


@pytest.mark.parametrize("offset_mm", [0.0, 3.0])
def test_an_oblique_tube_is_fitted_and_filled(offset_mm):
    shape = (80, 80, 60)
    affine = np.diag([-1.5, -1.5, 2.0, 1.0])
    affine[:3, 3] = [60.0, 60.0, -60.0]
    grid = Grid(shape, affine)
    points = ras_to_lps(grid.to_ras(np.moveaxis(np.indices(shape), 0, -1)))
    axis = np.array([0.3, 0.2, 1.0]) / np.linalg.norm([0.3, 0.2, 1.0])
    distance = np.linalg.norm(np.cross(points, axis), axis=-1)
    ct = Volume(np.where(distance < 12, 40, -100).astype(np.int16), grid)
    line = np.arange(-40.0, 41.0, 2.0)[:, None] * axis + [offset_mm, 0, 0]
    tube = fit_tube(ct, line, np.full(len(line), 11.0), 40.0)
    assert tube.mean_radius_mm == pytest.approx(np.full(len(tube.mean_radius_mm), 12.0), abs=0.6)
    assert np.linalg.norm(np.cross(tube.centre_lps_mm, axis), axis=1)[3:-3].max() < 1.2
    filled = np.zeros(shape, bool)
    for box, inside, _ in rasterise(tube, ct):
        filled[box] |= inside
    along = points @ axis
    truth = (distance < 12) & (np.abs(along) < 30)
    mine = filled & (np.abs(along) < 30)
    assert 2 * (truth & mine).sum() / (truth.sum() + mine.sum()) > 0.95
