"""What the camera does to a known uptake, and what the CT's noise looks like."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from petflame.simulate.ct import ct_noise
from petflame.simulate.lattice import centred
from petflame.simulate.pet import Camera, add_noise, draw_pet, seen, wall_response
from petflame.simulate.plan import plan_trial
from petflame.simulate.visit import anatomy_of, camera_of, uptake_of

LATTICE = centred(40, 40, 30, 4.0, 3.0, 0.0, 60.0)


def test_a_point_spreads_to_the_stated_width():
    fine = LATTICE.refined(2, 1)
    image = np.zeros(fine.shape, np.float32)
    image[15, 40, 40] = 1000.0
    blurred = seen(image, LATTICE, Camera(fwhm_mm=6.0), (2, 1), breathing_mm=0.0)
    assert blurred.sum() * 4 == pytest.approx(1000.0, rel=1e-3)
    profile = blurred.sum(axis=(1, 2))
    z = LATTICE.z
    sd = np.sqrt(np.average((z - np.average(z, weights=profile)) ** 2, weights=profile))
    assert 2.3548 * sd == pytest.approx(6.0, rel=0.08)


def test_breathing_keeps_the_total_and_spares_the_neck():
    low = centred(6, 6, 60, 4.0, 3.0, 0.0, -150.0)
    image = np.zeros((60, 12, 12), np.float32)
    image[10] = 1.0
    still = seen(image, low, Camera(fwhm_mm=0.01), (2, 1), breathing_mm=0.0)
    moved = seen(image, low, Camera(fwhm_mm=0.01), (2, 1), breathing_mm=6.0)
    assert moved.sum() == pytest.approx(still.sum(), rel=1e-3)
    assert moved[10].mean() < 0.6
    assert (moved[50:] == still[50:]).all()


def test_noise_has_the_stated_level_and_correlation():
    lattice = centred(120, 120, 60, 4.0, 3.0, 0.0, 0.0)
    camera = Camera(noise_cv=0.09)
    noisy = add_noise(np.full(lattice.shape, 2.0, np.float32), lattice, camera, np.random.default_rng(1))
    assert noisy.mean() == pytest.approx(2.0, rel=0.005)
    assert noisy.std() / noisy.mean() == pytest.approx(0.09 + 0.012 / 2.0, rel=0.03)
    noise = noisy - noisy.mean()
    in_plane = (noise[:, :, 1:] * noise[:, :, :-1]).mean() / noise.var()
    axial = (noise[1:] * noise[:-1]).mean() / noise.var()
    assert 0.25 < in_plane < 0.6
    assert 0.4 < axial < 0.75


def test_pet_is_linear_in_the_walls_excess():
    plan = plan_trial(2, 8).visit_plans[0]
    anatomy, camera = anatomy_of(plan), camera_of(plan)
    uptake = uptake_of(plan)
    box = centred(24, 24, 10, 4.0, 3.0, -20.0, -30.0)
    calm = replace(uptake, excess=dict.fromkeys(uptake.excess, 0.0))
    hot = replace(uptake, excess=dict.fromkeys(uptake.excess, 2.0))
    base = draw_pet(anatomy, box, plan.pet_pose, calm, camera, (2, 1))
    sum_of_parts = base + 2.0 * uptake.blood_suv * wall_response(anatomy, box, plan.pet_pose, camera, (2, 1))
    assert sum_of_parts == pytest.approx(draw_pet(anatomy, box, plan.pet_pose, hot, camera, (2, 1)), abs=1e-4)


def test_ct_noise_grows_with_the_patient():
    lattice = centred(96, 96, 6, 4.0, 4.0, 0.0, 0.0)
    y, x = np.meshgrid(lattice.y, lattice.x, indexing="ij")
    spread = []
    for radius in (80.0, 150.0):
        hu = np.where(np.hypot(x, y) < radius, 0.0, -1000.0).astype(np.float32)
        hu = np.repeat(hu[None], 6, axis=0)
        noise = ct_noise(hu, lattice, np.random.default_rng(1), 14.0)
        spread.append(noise[:, 40:56, 40:56].std())
    assert spread[1] > 2 * spread[0]
    assert 2 < spread[0] < 14
