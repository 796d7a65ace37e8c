"""Time and memory of `petflame measure` on a visit of full clinical size, the protocol's variations included.

The visit is a bent aorta, carotids and veins in a noisy body: labels and CT 512 x 512 x 300, PET 200 x 200 x 300,
written as `petflame convert` and `petflame segment` would. The time is the whole process: start of the interpreter,
reading, measuring under the protocol and each of its variations, writing.

    python benchmarks/measure_speed.py [--keep FOLDER] [--protocol FILE]
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from petflame.anatomy import BY_NAME
from petflame.files import write_json, write_nifti
from petflame.folders import VisitFolder
from petflame.labelmap import LabelMap
from petflame.protocol import load_protocol
from petflame.segment.product import Segmentation, VesselFinding, write_segmentation
from petflame.space.grid import Array, Grid, Volume, ras_to_lps

ROOT = Path(__file__).parents[1]
LIMIT_S, LIMIT_MB = 3.0, 1024.0
CT_SHAPE, CT_SPACING = (512, 512, 300), (0.977, 0.977, 2.0)
PET_SHAPE, PET_SPACING = (200, 200, 300), (2.5, 2.5, 2.0)
# Name: radius mm, uptake, and points of the centreline (x, y, z), RAS mm from the middle of the lowest slice.
VESSELS: dict[str, tuple[float, float, list[tuple[float, float, float]]]] = {
    "aorta_ascending": (15.0, 2.3, [(-10, 35, 170), (-12, 38, 230)]),
    "aorta_arch": (13.5, 2.1, [(-12, 38, 230), (-6, 30, 255), (2, 8, 268), (10, -20, 255), (12, -30, 230)]),
    "aorta_descending": (12.0, 2.0, [(12, -30, 230), (8, -38, 60)]),
    "carotid_right": (3.6, 2.2, [(-22, 18, 300), (-30, 12, 380), (-32, 10, 450)]),
    "carotid_left": (3.6, 2.1, [(24, 12, 285), (30, 10, 380), (32, 8, 450)]),
    "svc": (9.0, 1.2, [(-38, 20, 180), (-36, 22, 250)]),
    "jugular_right": (6.5, 1.2, [(-42, 12, 300), (-42, 4, 450)]),
    "jugular_left": (6.5, 1.2, [(42, 10, 300), (42, 2, 450)]),
}
BLOBS: dict[str, tuple[tuple[float, float, float], tuple[float, float, float], float]] = {
    "liver": ((-70, 10, 60), (75, 70, 60), 2.1),
    "myocardium": ((45, 40, 125), (35, 32, 40), 5.0),
    "thyroid": ((0, 28, 330), (24, 12, 22), 1.7),
    "vertebrae": ((0, -62, 250), (18, 18, 240), 1.4),
    "lymph_node": ((45, 22, 400), (6, 6, 6), 4.0),
}


def _grid(shape: tuple[int, int, int], spacing: tuple[float, float, float]) -> Grid:
    affine = np.diag([*spacing, 1.0])
    affine[:2, 3] = [-0.5 * (n - 1) * s for n, s in zip(shape[:2], spacing[:2], strict=True)]
    return Grid(shape, affine)


def _line(points: list[tuple[float, float, float]]) -> Array:
    """Points about a millimetre apart along a smooth curve through the given ones."""
    given = np.array(points, float)
    at = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(given, axis=0), axis=1))])
    fine = np.linspace(0, at[-1], int(at[-1]) + 2)
    return np.column_stack([np.interp(fine, at, given[:, axis]) for axis in range(3)])


def _paint(data: Array, grid: Grid, where: tuple[Array, float] | tuple[Array, Array], value: float) -> None:
    """Paint a tube round a line, or an ellipsoid round a centre, in place."""
    centre, size = where
    centres = np.atleast_2d(centre)
    reach = np.atleast_1d(size)
    low = np.maximum(np.floor(grid.to_ijk(centres.min(axis=0) - reach)).astype(int), 0)
    high = np.minimum(np.ceil(grid.to_ijk(centres.max(axis=0) + reach)).astype(int) + 1, grid.shape)
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    points = grid.to_ras(
        np.stack(np.meshgrid(*[np.arange(a, b) for a, b in zip(low, high, strict=True)], indexing="ij"), -1)
    )
    if len(centres) == 1:
        inside = (((points - centres[0]) / size) ** 2).sum(axis=-1) <= 1
    else:
        from scipy.spatial import cKDTree

        gap, _ = cKDTree(centres).query(points, distance_upper_bound=float(reach[0]))
        inside = gap <= float(reach[0])
    data[box][inside] = value


def make_visit(root: Path) -> None:
    """Write the visit folder."""
    visit, ct, pet = VisitFolder(root), _grid(CT_SHAPE, CT_SPACING), _grid(PET_SHAPE, PET_SPACING)
    rng = np.random.default_rng(7)
    labels, suv = np.zeros(ct.shape, np.uint8), np.full(pet.shape, 0.5, np.float32)
    for name, (centre, size, uptake) in BLOBS.items():
        for data, grid, value in ((labels, ct, BY_NAME[name].label), (suv, pet, uptake)):
            _paint(data, grid, (np.array(centre, float), np.array(size, float)), value)
    findings = {}
    for name, (radius, uptake, points) in VESSELS.items():
        line = _line(points)
        for data, grid, value in ((labels, ct, BY_NAME[name].label), (suv, pet, uptake)):
            _paint(data, grid, (line, radius), value)
        findings[name] = VesselFinding("labels", None, (), ras_to_lps(line))
    suv *= 1 + 0.08 * rng.standard_normal(pet.shape, np.float32)
    write_nifti(visit.pet, Volume(suv, pet))
    hu = (40 + 12 * rng.standard_normal(ct.shape, np.float32)).astype(np.int16)
    write_nifti(visit.ct, Volume(hu, ct))
    write_json(visit.pet_json, {"suv_factor": 1.0})
    write_segmentation(Segmentation(LabelMap(labels, ct), "ct", findings), visit)


def measured(root: Path, protocol: Path) -> tuple[float, float]:
    """Seconds and peak MB of `petflame measure` on the visit."""
    threads = {f"{n}_NUM_THREADS": "1" for n in ("OMP", "OPENBLAS")}
    start = time.perf_counter()
    command = [sys.executable, "-m", "petflame", "measure", str(root), "--protocol", str(protocol)]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, **threads})
    elapsed = time.perf_counter() - start
    return elapsed, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def main() -> None:
    """Make the visit, measure it three times, print the best time and the peak memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", type=Path, help="folder for the visit, used again if it is there")
    parser.add_argument("--protocol", type=Path, default=ROOT / "config" / "protocols" / "ivory.yaml")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        root = given.keep or Path(scratch) / "visit"
        if not VisitFolder(root).labels_json.exists():
            make_visit(root)
        runs = [measured(root, given.protocol) for _ in range(3)]
    seconds, megabytes = min(r[0] for r in runs), max(r[1] for r in runs)
    variations = len(load_protocol(given.protocol).sensitivity)
    print(f"{given.protocol.stem} with {variations} variations")
    print(f"{seconds:.2f} s (limit {LIMIT_S:g}), {megabytes:.0f} MB at the peak (limit {LIMIT_MB:g})")
    sys.exit(seconds > LIMIT_S or megabytes > LIMIT_MB)


if __name__ == "__main__":
    main()
