"""Compare the geometric segmenter with circles read by eye, and time it.

    python benchmarks/evaluate_geometric.py [--pictures FOLDER]

Needs the unpacked reference data (PETFLAME_REFERENCE_DATA, or .cache/data of the checkout). Every case runs in a
process of its own, so that the peak memory is its own.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from scipy import ndimage

ROOT = Path(__file__).parents[1]
TESTS = ROOT / "tests" / "segment" / "geometric"
sys.path.insert(0, str(TESTS))

from agreement import compare, spread_mm  # noqa: E402

from conftest import FOLDERS, read_ct  # noqa: E402
from petflame.anatomy import BY_LABEL, title  # noqa: E402
from petflame.files import read_json, read_nifti  # noqa: E402
from petflame.grid import Volume, ras_to_lps  # noqa: E402
from petflame.segment.geometric import GeometricResult, find_vessels  # noqa: E402

OUT_OF_SCOPE = {
    "contrast angiogram, dissected": "aorta_cta_labels/aorta/ct_cropped.nii.gz",
    "abdomen": "aorta_cta_labels/example_ct.nii.gz",
}
COLOURS = {1: "red", 2: "orange", 3: "magenta", 6: "cyan", 9: "yellow", 11: "lime", 12: "white", 15: "blue"}
HEADING = "case | vessel | readings | apart mm | centre error mm (worst) | Dice (worst) | radius mm | verdict"


def data_folder() -> Path:
    return Path(os.environ.get("PETFLAME_REFERENCE_DATA", ROOT / ".cache" / "data"))


def evaluate(case: str, pictures: Path | None) -> None:
    ct = read_ct(data_folder() / FOLDERS[case]) if case in FOLDERS else read_nifti(data_folder() / OUT_OF_SCOPE[case])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    result = find_vessels(ct)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"{case} | {seconds:.1f} s | peak {peak:.2f} GB (with the scan itself, {before / 1e6:.2f} GB)")
    for fault in result.scope_faults:
        print(f"{case} | refused | {fault}")
    circles = read_json(TESTS / "readings.json")["cases"].get(case, {})
    for vessel, finding in result.vessels.items() if not result.scope_faults else ():
        rows = compare(Volume(result.labels, ct.grid), vessel, circles.get(vessel, []))
        verdict = f"withheld: {finding.reason}" if finding.withheld else f"offered, confidence {finding.confidence:.2f}"
        figures = "- | - | - | - | -"
        if rows:
            apart = np.median([spread_mm(r) for r in circles[vessel]])
            error, dice = [r.centre_error_mm for r in rows], [r.dice for r in rows]
            radius = np.mean([r.radius_difference_mm for r in rows])
            figures = (
                f"{len(rows)} | {apart:.2f} | {np.median(error):.2f} ({max(error):.2f}) | "
                f"{np.median(dice):.3f} ({min(dice):.3f}) | {radius:+.1f}"
            )
        print(f"{case} | {vessel} | {figures} | {verdict}")
    if pictures and not result.scope_faults:
        draw(pictures / f"{case}.png", ct, result)


def draw(path: Path, ct: Volume, result: GeometricResult, columns: int = 6, half_mm: float = 55.0) -> None:
    """Draw slices from the descending aorta's lower end to above the arch, with the labels' outlines."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from PIL import Image

    lines = [f.centreline_lps_mm for n, f in result.vessels.items() if n.startswith("aorta")]
    points = np.concatenate(lines)
    x, y = (points.min(axis=0)[:2] + points.max(axis=0)[:2]) / 2
    levels = np.linspace(points[:, 2].min(), points[:, 2].max() + 12, 2 * columns)
    across = np.arange(-half_mm, half_mm + 0.1, 1.0)
    figure, axes = plt.subplots(2, columns, figsize=(1.5 * columns, 3.2))
    for axis, z in zip(axes.ravel(), levels, strict=True):
        grid = np.stack(np.meshgrid(x + across, y + across, [z], indexing="ij"), axis=-1)[:, :, 0]
        index = np.round(ct.grid.to_ijk(ras_to_lps(grid))).astype(int)
        index = np.clip(index, 0, np.array(ct.grid.shape) - 1)
        place = tuple(np.moveaxis(index, -1, 0))
        plane = ndimage.gaussian_filter(ct.data[place].T.astype(float), 1.0)
        axis.imshow(np.round(plane / 12) * 12, cmap="gray", vmin=-110, vmax=170)
        for label, colour in COLOURS.items():
            mask = np.equal(result.labels[place].T, label)
            if mask.any():
                axis.contour(mask, [0.5], colors=colour, linewidths=1.1)
        axis.set_title(f"z {z:.0f} mm", fontsize=5, pad=1)
        axis.axis("off")
    figure.tight_layout(pad=0.2)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)
    plt.close(figure)
    # Few colours: the pictures lie in the repository.
    Image.open(path).convert("RGB").quantize(64).save(path, optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", choices=[*FOLDERS, *OUT_OF_SCOPE])
    parser.add_argument("--pictures", type=Path)
    options = parser.parse_args()
    if options.case:
        evaluate(options.case, options.pictures)
        return
    labels = ", ".join(f"{colour} {title(BY_LABEL[label].name)}" for label, colour in COLOURS.items())
    print(HEADING)
    for case in [*FOLDERS, *OUT_OF_SCOPE]:
        command = [sys.executable, __file__, "--case", case]
        subprocess.run(command + (["--pictures", str(options.pictures)] if options.pictures else []), check=True)
    if options.pictures:
        print(f"pictures: {labels}")


if __name__ == "__main__":
    main()
