"""Figures against closed forms, and what must never change them: scale, axis order, cores."""

import itertools
import os
import subprocess
import sys

import numpy as np
import pytest
from scipy import ndimage

import phantoms
from petflame.anatomy import BY_NAME
from petflame.files import write_json, write_nifti
from petflame.folders import VisitFolder
from petflame.labelmap import LabelMap
from petflame.measure.folder import measure_visit
from petflame.measure.visit import measure
from petflame.protocol import Protocol
from petflame.recovery import FWHM_PER_SIGMA, blurred_disc, core_recovery
from petflame.segment.product import write_segmentation
from petflame.space.grid import Volume

# A tube with a wall, and a vein, upright in cold surroundings: centre x, y; outer radius; wall. RAS mm.
LOW, HIGH = (-30.0, -30.0, 0.0), (60.0, 30.0, 60.0)
ARTERY, RADIUS, WALL = (0.4, -0.3), 12.0, 2.0
VEIN, VEIN_RADIUS = (39.6, 0.3), 9.0
WALL_SUV, BLOOD_SUV, COLD_SUV, FWHM = 4.0, 1.25, 0.5, 6.0
CT = phantoms.grid((0.5, 0.5, 2.0), LOW, HIGH)


def off(axis, on):
    x, y, z = np.moveaxis(phantoms.points(on), -1, 0)
    return np.hypot(x - axis[0], y - axis[1]), z


def labels(on):
    data = np.zeros(on.shape, np.uint8)
    for name, axis, radius in (("aorta_ascending", ARTERY, RADIUS), ("svc", VEIN, VEIN_RADIUS)):
        distance, z = off(axis, on)
        data[(distance <= radius) & (z >= 10) & (z <= 50)] = BY_NAME[name].label
    return LabelMap(data, on)


def painted(on):
    artery, vein = off(ARTERY, on)[0], off(VEIN, on)[0]
    image = np.full(on.shape, COLD_SUV)
    image[vein <= VEIN_RADIUS] = BLOOD_SUV
    image[artery <= RADIUS] = WALL_SUV
    image[artery <= RADIUS - WALL] = BLOOD_SUV
    return image


def blurred(on):
    """A picture of the scene blurred on a fine plane; the tubes are upright, so every plane is the same."""
    step = 0.1
    plane = phantoms.grid((step, step, 1.0), (LOW[0], LOW[1], 0.0), (HIGH[0], HIGH[1], 0.0))
    sharp = painted(plane)[..., 0]
    soft = ndimage.gaussian_filter(sharp, FWHM / FWHM_PER_SIGMA / step, mode="nearest", truncate=5)
    x, y, _ = np.moveaxis(plane.to_ijk(phantoms.points(on)), -1, 0)
    return ndimage.map_coordinates(soft, [x[..., 0], y[..., 0]], order=1)[..., None] * np.ones(on.shape[2])


def vessel(pet_data, on, **choices):
    found = measure(Volume(pet_data, on), phantoms.segmentation(labels(CT)), Protocol(**choices))
    rows = found.slices[found.slices["vessel"] == "aorta_ascending"].iloc[1:-1]
    return rows, found.vessels.set_index("vessel").loc["aorta_ascending"]


@pytest.mark.parametrize(("reference", "pixel"), [("ct", 0.8), ("ct", 2.0), ("pet", 0.4)])
def test_without_blur_wall_and_tbr_are_those_that_were_painted(reference, pixel):
    on = phantoms.grid((pixel, pixel, 6.0), LOW, HIGH)
    regions = labels(CT if reference == "ct" else on)
    found = measure(Volume(painted(on), on), phantoms.segmentation(regions, reference), Protocol())
    row = found.vessels.set_index("vessel").loc["aorta_ascending"]
    assert row["background_suv"] == pytest.approx(BLOOD_SUV, rel=0.005)
    assert row["mean_tbr_max"] == pytest.approx(WALL_SUV / BLOOD_SUV, rel=0.005)
    if reference == "pet":
        # On a sharp picture the mean hangs on every pixel of the edge, so it wants the region's very pixels.
        share = 1 - ((RADIUS - WALL) / RADIUS) ** 2
        mean = share * WALL_SUV + (1 - share) * BLOOD_SUV
        assert row["mean_tbr_mean"] == pytest.approx(mean / BLOOD_SUV, rel=0.005)
        assert row["mean_area_mm2"] == pytest.approx(np.pi * RADIUS**2, rel=0.005)


@pytest.mark.parametrize("pixel", [1.0, 2.0, 4.0])
def test_with_blur_the_figures_are_those_of_the_closed_form(pixel):
    on = phantoms.grid((pixel, pixel, 3.0), LOW, HIGH)
    rows, row = vessel(blurred(on), on)
    inner = RADIUS - WALL

    def profile(at):
        disc, core = blurred_disc(RADIUS, at, FWHM), blurred_disc(inner, at, FWHM)
        return COLD_SUV + (WALL_SUV - COLD_SUV) * (disc - core) + (BLOOD_SUV - COLD_SUV) * core

    blood = COLD_SUV + (BLOOD_SUV - COLD_SUV) * core_recovery(VEIN_RADIUS, VEIN_RADIUS - 4.0, FWHM)
    at = np.linspace(0, RADIUS, 2000)
    assert row["background_suv"] == pytest.approx(blood, rel=0.02)
    np.testing.assert_allclose(rows["suv_max"], profile(at).max(), rtol=0.02)
    assert row["mean_tbr_max"] == pytest.approx(profile(at).max() / blood, rel=0.02)
    # Rings of equal area give the mean over the disc.
    rings = RADIUS * np.sqrt((np.arange(2000) + 0.5) / 2000)
    np.testing.assert_allclose(rows["suv_mean"], profile(rings).mean(), rtol=0.02)


@pytest.mark.parametrize("scale", [1e-3, 0.37, 4321.0])
def test_tbr_does_not_depend_on_the_scale_through_files(scale, tmp_path):
    on = phantoms.grid((3.0, 3.0, 3.0), LOW, HIGH)
    image = (blurred(on) * (1 + 0.05 * np.random.default_rng(4).standard_normal(on.shape))).astype(np.float32)
    one, other = (visit(tmp_path / n, image * np.float32(f), on) for n, f in (("one", 1.0), ("other", scale)))
    got, want = (measure_visit(folder, Protocol()).slices["tbr_max"] for folder in (other, one))
    np.testing.assert_allclose(got, want, rtol=1e-6)


def visit(root, image, on):
    folder = VisitFolder(root)
    write_nifti(folder.pet, Volume(image, on))
    write_json(folder.pet_json, {"suv_factor": 1.0})
    write_segmentation(phantoms.segmentation(labels(SMALL)), folder)
    return root


ORIENTATIONS = list(itertools.product(itertools.permutations(range(3)), itertools.product((False, True), repeat=3)))
SMALL = phantoms.grid((1.5, 1.5, 3.0), LOW, HIGH)
COARSE = phantoms.grid((4.0, 3.8, 3.0), LOW, HIGH)


@pytest.fixture(scope="module")
def scene():
    """A noisy image with a hot spot and a clip beside the artery, so that every test of a section has work to do."""
    at = phantoms.points(COARSE)
    noise = 1 + 0.05 * np.random.default_rng(4).standard_normal(COARSE.shape)
    spot = 9.0 * np.exp(-((at - [0.0, 20.0, 38.0]) ** 2).sum(axis=-1) / 18.0)
    hu = np.zeros(SMALL.shape, np.int16)
    hu[tuple(np.round(SMALL.to_ijk([-13.5, 0.0, 15.0])).astype(int))] = 3000
    return Volume(blurred(COARSE) * noise + spot, COARSE), labels(SMALL), Volume(hu, SMALL)


CHOICES = {"spill_in": {"rule": "exclude_voxels"}, "region": {"section_plane": "perpendicular"}}


@pytest.fixture(scope="module")
def straight(scene):
    pet, regions, ct = scene
    found = phantoms.segmentation(regions)
    return [measure(pet, found, p, ct=ct) for p in (Protocol(), Protocol(**CHOICES))]


def test_the_scene_has_spill_in_and_metal(straight):
    for result in straight:
        reasons = set(result.slices["reason"])
        assert {"spill_in_suspected", "metal"} <= reasons
        assert result.slices["valid"].any()


@pytest.mark.parametrize(("permutation", "flips"), ORIENTATIONS)
def test_nothing_depends_on_axis_order_and_direction(permutation, flips, scene, straight):
    pet, regions, ct = scene
    # Labels are described in the canonical order: centrelines are part of the visit, not of the array's order.
    found = phantoms.segmentation(regions)
    turned = type(found)(phantoms.transformed(regions, permutation[::-1], flips[::-1]), "ct", found.vessels)
    for protocol, want in zip((Protocol(), Protocol(**CHOICES)), straight, strict=True):
        got = measure(
            phantoms.transformed(pet, permutation, flips),
            turned,
            protocol,
            ct=phantoms.transformed(ct, permutation[1:] + permutation[:1], flips),
        )
        for table, expected in ((got.slices, want.slices), (got.vessels, want.vessels)):
            for column in expected:
                if expected[column].dtype == float:
                    np.testing.assert_allclose(table[column], expected[column], rtol=1e-9, atol=1e-9, err_msg=column)
                else:
                    assert table[column].astype(str).tolist() == expected[column].astype(str).tolist(), column


def test_the_same_bytes_whatever_the_number_of_cores(tmp_path):
    on = phantoms.grid((3.0, 3.0, 3.0), LOW, HIGH)
    image = (blurred(on) * (1 + 0.05 * np.random.default_rng(4).standard_normal(on.shape))).astype(np.float32)
    protocol = tmp_path / "p.yaml"
    protocol.write_text("name: p\npartial_volume: {transfer_matrix: true}\nregion: {section_plane: perpendicular}\n")
    written = []
    for cores in (1, 2):
        folder = visit(tmp_path / str(cores), image, on)
        threads = {f"{n}_NUM_THREADS": str(cores) for n in ("OMP", "OPENBLAS", "MKL")}
        command = [sys.executable, "-m", "petflame", "measure", str(folder), "--protocol", str(protocol)]
        subprocess.run(command, check=True, capture_output=True, env={**os.environ, **threads})
        names = ("slices.tsv", "vessels.tsv", "measure.json", "partial_volume.tsv")
        written.append([(folder / name).read_bytes() for name in names])
    assert written[0] == written[1]
