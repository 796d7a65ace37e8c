"""Time DICOM to .nii.gz: petflame, SimpleITK (gzip) and `dcm2niix -z y`, side by side, on a CT and a PET series.

    PETFLAME_REFERENCE_DATA=/path/to/reference python benchmarks/convert_speed.py [--repeats 3]

The three take turns, so that a busy machine slows them alike; the best wall-clock and processor times count. The start
of the interpreter and its imports are left out for the Python tools. Prints the ratios, petflame's peak memory as a
multiple of the volume, and the largest difference of its voxels from dcm2niix's. Needs dcm2niix on the PATH (the PyPI
package of that name ships it). Exits 1 when a goal is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np

SERIES = {"ct": "ct_chest_lidc0314", "pet": "ge_fdg_wholebody_sts001"}
TOOLS = ("petflame", "SimpleITK", "dcm2niix")


def convert_with_petflame(kind: str, source: Path, out: Path) -> None:
    """Convert one series; the CT has no PET beside it, so it goes through the functions below the verb."""
    from petflame.protocol import Protocol

    if kind == "pet":
        from petflame.dicom.convert import convert_visit

        convert_visit(source, out / "visit", protocol=Protocol())
        return
    from petflame.dicom.assemble import assemble
    from petflame.dicom.convert import read_ct
    from petflame.dicom.scan import scan_folder
    from petflame.dicom.series import group_series
    from petflame.files import write_nifti

    (series,), _ = group_series(scan_folder(source).headers)
    stack, faults, _ = assemble(series)
    assert stack is not None, faults
    write_nifti(out / "ct.nii.gz", read_ct(stack), "petflame CT, HU")


def convert_with_simpleitk(kind: str, source: Path, out: Path) -> None:
    import SimpleITK

    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(source / "image")))
    SimpleITK.WriteImage(reader.Execute(), str(out / "image.nii.gz"), useCompression=True)


def convert_with_dcm2niix(kind: str, source: Path, out: Path) -> None:
    program = shutil.which("dcm2niix")
    assert program, "dcm2niix is not on the PATH"
    folder = source / "image"
    subprocess.run([program, "-z", "y", "-f", "image", "-o", str(out), str(folder)], check=True, capture_output=True)


CONVERTERS: dict[str, Callable[[str, Path, Path], None]] = {
    "petflame": convert_with_petflame,
    "SimpleITK": convert_with_simpleitk,
    "dcm2niix": convert_with_dcm2niix,
}


def processor_s() -> float:
    """Processor seconds of this process and its children."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def one_run(tool: str, kind: str, source: Path, out: Path) -> None:
    """Run one tool in this process, after a warm-up of its imports, and print its times and peak memory."""
    import petflame.dicom.convert  # noqa: F401

    if tool == "SimpleITK":
        import SimpleITK  # noqa: F401
    rest = resident_bytes()
    wall, processor = time.perf_counter(), processor_s()
    CONVERTERS[tool](kind, source, out)
    times = {"wall_s": time.perf_counter() - wall, "processor_s": processor_s() - processor}
    print(json.dumps({**times, "peak_bytes": resident_bytes(peak=True) - rest}))


def resident_bytes(peak: bool = False) -> int:
    """Memory in use now, which also starts the watch over its peak; or that peak. Linux only, elsewhere 0."""
    status, watch = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    if not status.exists():
        return 0
    if not peak:
        watch.write_text("5")
    field = "VmHWM:" if peak else "VmRSS:"
    (line,) = (x for x in status.read_text().splitlines() if x.startswith(field))
    return 1024 * int(line.split()[1])


def largest_difference(kind: str, ours: Path, theirs: Path) -> float:
    """Largest difference of the voxels as a share of the largest value, both turned to RAS+."""
    images = [nib.as_closest_canonical(nib.load(p)) for p in (ours, theirs)]
    a, b = (np.asanyarray(i.dataobj).astype(float) for i in images)
    np.testing.assert_allclose(images[0].affine, images[1].affine, atol=1e-3)
    if kind == "pet":
        a = a / json.loads((ours.parent / "pet.json").read_text())["suv_factor"]
    return float(np.abs(a - b).max() / np.abs(b).max())


def measure(kind: str, source: Path, repeats: int) -> dict[str, dict[str, float]]:
    best: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(lambda: float("inf")))
    for _ in range(repeats):
        for tool in TOOLS:
            with tempfile.TemporaryDirectory() as scratch:
                command = [sys.executable, __file__, "--one", tool, kind, str(source), scratch]
                ran = subprocess.run(command, check=True, capture_output=True, text=True)
                for key, value in json.loads(ran.stdout.splitlines()[-1]).items():
                    best[tool][key] = min(best[tool][key], value)
    return best


def compare(kind: str, source: Path) -> tuple[float, int]:
    """Return the largest difference from dcm2niix's voxels, and the bytes of the volume that petflame writes."""
    with tempfile.TemporaryDirectory() as scratch:
        ours, theirs = Path(scratch) / "ours", Path(scratch) / "theirs"
        ours.mkdir()
        theirs.mkdir()
        convert_with_petflame(kind, source, ours)
        convert_with_dcm2niix(kind, source, theirs)
        (image,) = theirs.glob("*.nii.gz")
        written = ours / "visit" / "pet.nii.gz" if kind == "pet" else ours / "ct.nii.gz"
        loaded = nib.load(written)
        volume = int(np.prod(loaded.shape)) * loaded.get_data_dtype().itemsize
        return largest_difference(kind, written, image), volume


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        tool, kind, source, out = given.one
        one_run(tool, kind, Path(source), Path(out))
        return 0
    data = Path(os.environ["PETFLAME_REFERENCE_DATA"])
    missed = []
    for kind, folder in SERIES.items():
        source = data / folder
        best = measure(kind, source, given.repeats)
        difference, volume = compare(kind, source)
        images = sum(1 for p in (source / "image").rglob("*") if p.is_file())
        print(f"{kind}: {images} images, {volume / 2**20:.0f} MiB")
        for tool in TOOLS:
            row = best[tool]
            print(f"  {tool:10} {row['wall_s']:7.2f} s wall  {row['processor_s']:7.2f} s processor")
        ratios = {t: best[t]["processor_s"] / best["petflame"]["processor_s"] for t in TOOLS[1:]}
        walls = {t: best[t]["wall_s"] / best["petflame"]["wall_s"] for t in TOOLS[1:]}
        for tool in ratios:
            print(f"  petflame is {walls[tool]:.2f} x (wall), {ratios[tool]:.2f} x (processor) as fast as {tool}")
        peak = best["petflame"]["peak_bytes"] / volume
        print(f"  petflame's peak memory: {peak:.2f} x the volume; voxels differ from dcm2niix's by {difference:.1e}")
        goals = {
            "voxels equal dcm2niix's to 1e-6": difference <= 1e-6,
            "peak memory at most 3 volumes": peak <= 3.0,
            "2.5 x as fast as SimpleITK": kind == "pet" or ratios["SimpleITK"] >= 2.5,
            "2.5 x as fast as dcm2niix": kind == "pet" or ratios["dcm2niix"] >= 2.5,
            "at most 1.2 x the time of dcm2niix": kind == "ct" or 1 / ratios["dcm2niix"] <= 1.2,
        }
        missed += [f"{kind}: {goal}" for goal, met in goals.items() if not met]
    print("goals: " + ("all met" if not missed else "missed: " + "; ".join(missed)))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
