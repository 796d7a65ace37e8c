"""The reference CTs as volumes, read here with pydicom alone, and an analytic chest."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pydicom
import pytest

from petflame.segment.geometric import GeometricResult, find_vessels
from petflame.space.grid import Grid, Volume

FOLDERS = {"acrin001": "ct_headneckchest_acrin001", "lidc0314": "ct_chest_lidc0314"}


@cache
def read_ct(folder: Path) -> Volume:
    slices = [pydicom.dcmread(path) for path in sorted(folder.rglob("*.dcm"))]
    row, column = np.reshape(np.array(slices[0].ImageOrientationPatient, float), (2, 3))
    slices.sort(key=lambda s: float(np.cross(row, column) @ np.array(s.ImagePositionPatient, float)))
    first, last = (np.array(s.ImagePositionPatient, float) for s in (slices[0], slices[-1]))
    affine = np.eye(4)
    affine[:3, 0] = row * float(slices[0].PixelSpacing[1])
    affine[:3, 1] = column * float(slices[0].PixelSpacing[0])
    affine[:3, 2] = (last - first) / (len(slices) - 1)
    affine[:3, 3] = first
    data = np.empty((slices[0].Columns, slices[0].Rows, len(slices)), np.int16)
    for n, s in enumerate(slices):
        data[..., n] = (s.pixel_array * float(s.RescaleSlope) + float(s.RescaleIntercept)).T
    i, j, k = data.shape
    return Volume(data, Grid((i, j, k), np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine))


@cache
def _found(folder: Path) -> GeometricResult:
    return find_vessels(read_ct(folder))


@pytest.fixture
def real_ct(reference):
    """Return the CT of a case by name."""
    return lambda case: read_ct(reference(FOLDERS[case]))


@pytest.fixture
def real_result(reference):
    """Return what was found in a case; computed once."""
    return lambda case: _found(reference(FOLDERS[case]))


@pytest.fixture(scope="session")
def readings():
    """Return the circles read by eye: case, vessel, list of {z, first, second}."""
    return json.loads(Path(__file__).with_name("readings.json").read_text(encoding="utf-8"))["cases"]


@dataclass(frozen=True)
class Chest:
    """An analytic chest: what to draw."""

    spacing_mm: tuple[float, float, float] = (2.0, 2.0, 2.5)
    top_mm: float = 60.0
    blood_hu: float = 40.0
    mirrored: bool = False
    noise_hu: float = 12.0


ARCH_RADIUS_MM = 28.0
ASCENDING_LPS_MM = np.array([-6.0, -42.0])
DESCENDING_LPS_MM = np.array([16.0, 9.0])
CAVA_LPS_MM = np.array([-30.0, -32.0])
AORTA_RADIUS_MM = (15.0, 12.0)
CAVA_RADIUS_MM = 9.0
ARCH_LEVEL_MM = 0.0
FLOOR_MM = -130.0


def aorta_line(step_mm: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Return the phantom's aortic centreline (LPS mm) and radius."""
    limb = np.arange(FLOOR_MM, ARCH_LEVEL_MM, step_mm)
    up = np.column_stack([np.tile(ASCENDING_LPS_MM, (len(limb), 1)), limb])[limb > -75]
    turn = np.linspace(0, np.pi, 90)
    share = (1 - np.cos(turn)) / 2
    over = np.column_stack(
        [
            ASCENDING_LPS_MM + share[:, None] * (DESCENDING_LPS_MM - ASCENDING_LPS_MM),
            ARCH_LEVEL_MM + ARCH_RADIUS_MM * np.sin(turn),
        ]
    )
    down = np.column_stack([np.tile(DESCENDING_LPS_MM, (len(limb), 1)), limb[::-1]])
    points = np.concatenate([up, over, down])
    radius = np.interp(np.arange(len(points)), [len(up), len(up) + 90], AORTA_RADIUS_MM)
    return points, radius


def draw_chest(chest: Chest) -> Volume:
    """Draw lungs, trachea with its division, spine, ribless wall, heart, aorta and superior vena cava."""
    from scipy.spatial import cKDTree

    low, high = np.array([-170.0, -125.0, -170.0]), np.array([170.0, 125.0, chest.top_mm])
    spacing = np.array(chest.spacing_mm)
    shape = tuple(int(n) for n in np.floor((high - low) / spacing) + 1)
    x, y, z = np.meshgrid(*[a + s * np.arange(n) for a, s, n in zip(low, spacing, shape, strict=True)], indexing="ij")
    hu = np.full(shape, -1000.0, np.float32)
    hu[(x / 160) ** 2 + (y / 112) ** 2 < 1] = -90.0
    hu[(x / 148) ** 2 + (y / 100) ** 2 < 1] = 45.0
    for side in (-1, 1):
        hu[((x - side * 75) / 50) ** 2 + (y / 82) ** 2 + ((z + 40) / 125) ** 2 < 1] = -850.0
    hu[(np.abs(x) < 34) & (y > -85) & (y < 25)] = -85.0
    hu[(np.abs(x) < 30) & (y > -98) & (y < -86) & (z < 20)] = 180.0
    hu[(x**2 + (y - 40) ** 2 < 17**2)] = 190.0
    hu[(x**2 + (y - 66) ** 2 < 9**2)] = 30.0
    heart = ((x - 15) / 55) ** 2 + ((y + 40) / 45) ** 2 + ((z + 115) / 50) ** 2 < 1
    hu[heart] = chest.blood_hu
    trachea = (x + 2) ** 2 + (y + 4) ** 2 < 9**2
    hu[trachea & (z > -12)] = -1000.0
    for side in (-1, 1):
        axis_x = -2 + side * (-12 - z) * 1.1
        hu[((x - axis_x) ** 2 * 0.5 + (y + 4) ** 2 < 7**2) & (z <= -12) & (z > -45)] = -1000.0
    points, radius = aorta_line()
    distance, nearest = cKDTree(points).query(np.column_stack([x.ravel(), y.ravel(), z.ravel()]), workers=1)
    hu[(distance <= radius[nearest]).reshape(shape)] = chest.blood_hu
    cava = (x - CAVA_LPS_MM[0]) ** 2 + (y - CAVA_LPS_MM[1]) ** 2 < CAVA_RADIUS_MM**2
    hu[cava & (z > -70) & (z < 30)] = chest.blood_hu
    hu += np.random.default_rng(5).normal(0, chest.noise_hu, shape)
    if chest.mirrored:
        hu = hu[::-1]
    affine = np.diag([*(-spacing[:2]), spacing[2], 1.0])
    affine[:3, 3] = low * [-1, -1, 1]
    return Volume(hu.round().astype(np.int16), Grid(shape, affine))


@pytest.fixture(scope="session")
def phantom():
    """Return a function that draws the analytic chest; each is drawn once."""
    return cache(lambda **options: draw_chest(Chest(**options)))


@pytest.fixture(scope="session")
def phantom_result(phantom):
    """Return what was found in a phantom; computed once."""
    return cache(lambda **options: find_vessels(phantom(**options)))
