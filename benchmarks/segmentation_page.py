"""Write docs/segmentation.md and its pictures: every real and simulated case, how near it came, and where it fails.

    python benchmarks/segmentation_page.py --results results/trial

Needs the unpacked reference data (PETFLAME_REFERENCE_DATA, or .cache/data of the checkout) and a finished run of the
embedded trial, from which the agreement of all participants is taken. Every case runs in a process of its own, so that
time and peak memory are its own.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

ROOT = Path(__file__).parents[1]
TESTS = ROOT / "tests" / "segment" / "geometric"
sys.path.insert(0, str(TESTS))

from agreement import compare, spread_mm  # noqa: E402
from cava_page import cava_facts, cava_lines, draw_cava  # noqa: E402

from conftest import FOLDERS, read_ct  # noqa: E402
from petflame.anatomy import ARTERIES, BY_NAME, title  # noqa: E402
from petflame.dicom.convert import convert_visit  # noqa: E402
from petflame.errors import PetflameError  # noqa: E402
from petflame.files import read_json, read_nifti, read_tsv, write_nifti, write_text  # noqa: E402
from petflame.folders import VisitFolder  # noqa: E402
from petflame.measure.folder import measure_visit  # noqa: E402
from petflame.protocol import Protocol  # noqa: E402
from petflame.segment.geometric import find_vessels  # noqa: E402
from petflame.segment.product import Segmentation, read_segmentation  # noqa: E402
from petflame.segment.run import segment_visit  # noqa: E402
from petflame.segment.verdict import verdict  # noqa: E402
from petflame.simulate.plan import plan_trial  # noqa: E402
from petflame.simulate.trial import write_simulated_visit  # noqa: E402
from petflame.space.grid import Array, Grid, Volume, ras_to_lps  # noqa: E402

PAGE = ROOT / "docs" / "segmentation.md"
PICTURES = ROOT / "docs" / "figures" / "segmentation"
CAVA_PICTURE = PICTURES / "cava.jpg"
# The pictures of scans with circles read by eye lie beside the readings.
READ = TESTS / "pictures"
HYBRID = "hybrid_acrin001"
OUT_OF_SCOPE = {
    "contrast angiogram of a dissected, stented aorta": "aorta_cta_labels/aorta/ct_cropped.nii.gz",
    "abdomen with contrast medium": "aorta_cta_labels/example_ct.nii.gz",
    "PET/CT of a thigh": "paired_sts",
}
SIMULATED = {
    "simulated A, fast": (0, "fast"),
    "simulated B, fast": (6, "fast"),
    "simulated C, fast": (12, "fast"),
    "simulated A, full size": (0, "full"),
}
SEED_STEP_MM, SEED_NOISE_MM = 30.0, 2.0
PIXEL_MM = 0.75
COLOURS = {"artery": "red", "vein": "cyan"}
SHOWN = (*ARTERIES, "svc", "jugular_right", "jugular_left")


def data_folder() -> Path:
    return Path(os.environ.get("PETFLAME_REFERENCE_DATA", ROOT / ".cache" / "data"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, help="a finished run of the embedded trial")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        print(json.dumps(run_case(options.case)))
        return
    PICTURES.mkdir(parents=True, exist_ok=True)
    cases = [*FOLDERS, "hybrid baseline", "hybrid followup", *SIMULATED, *OUT_OF_SCOPE]
    found = {}
    for case in cases:
        done = subprocess.run([sys.executable, __file__, "--case", case], check=True, capture_output=True, text=True)
        found[case] = json.loads(done.stdout.splitlines()[-1])
        print(case, found[case]["seconds"], found[case]["peak_gb"], flush=True)
    draw_cava(CAVA_PICTURE, list(cava_rows()))
    write_text(PAGE, page(found, trial_agreement(options.results) if options.results else None))


def cava_rows() -> Iterator[tuple[str, Volume, Array, tuple[float, float], Array, Array | None]]:
    """Return what the picture of the vena cava shows: scans read by eye, both hybrid visits, one of them mirrored."""
    folder = data_folder() / HYBRID
    with tempfile.TemporaryDirectory() as scratch:
        scans = {case: (read_ct(data_folder() / name), None) for case, name in FOLDERS.items()}
        for name in ("baseline", "followup"):
            visit = VisitFolder(Path(scratch) / name)
            convert_visit(folder / name, visit.root, protocol=Protocol())
            truth = read_nifti(folder / f"truth_labels_{name}.nii.gz")
            scans[f"hybrid {name}"] = read_nifti(visit.ct), np.asarray(truth.data)
    mirrored = scans["lidc0314"][0]
    scans["lidc0314, mirrored"] = Volume(mirrored.data[::-1], mirrored.grid), None
    for case, (ct, truth) in scans.items():
        finding = (found := find_vessels(ct)).vessels["svc"]
        line = finding.centreline_lps_mm
        if not len(line):
            line = found.vessels["aorta_ascending"].centreline_lps_mm
        title = f"{case}: {finding.reason[:90]}" if finding.withheld else case
        yield title, ct, found.labels, (float(line[:, 2].min()), float(line[:, 2].max())), line, truth


# One case ------------------------------------------------------------------------------------------------------------


def run_case(case: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as scratch:
        visit = VisitFolder(Path(scratch) / "visit")
        visit.root.mkdir()
        # In a process of its own, so that making the case does not count as memory of segmenting it.
        with ProcessPoolExecutor(1) as pool:
            facts = pool.submit(prepare, case, visit, Path(scratch)).result()
        started = time.process_time()
        try:
            segmentation = segment_visit(visit.root, "auto", facts.get("seeds"))
        except PetflameError as error:
            return timed(started) | {"refused": [str(fault) for fault in error.faults], "rows": []}
        result = timed(started)
        measured, pool = {}, None
        if facts.get("truth"):
            measurement = measure_visit(visit.root, Protocol())
            pool = measurement.details["blood_pools"].get("svc")
            table = measurement.vessels.set_index("vessel")["mean_tbr_max"]
            measured = {n: 100 * (table[n] / w - 1) for n, w in facts["truth"].items() if table.get(n) is not None}
        rows = [row(name, segmentation, facts, measured) for name in SHOWN]
        draw(picture_of(case), read_nifti(visit.ct), segmentation, facts.get("circles", {}))
        return result | {"rows": rows, "cava": cava_facts(segmentation, pool, facts)}


def timed(started: float) -> dict[str, float]:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return {"seconds": time.process_time() - started, "peak_gb": peak}


def prepare(case: str, visit: VisitFolder, scratch: Path) -> dict[str, Any]:
    """Fill a visit folder and return what is known of the case: circles, true labels, true TBR, seeds."""
    if case in FOLDERS:
        only_ct(visit, read_ct(data_folder() / FOLDERS[case]))
        circles = read_json(TESTS / "readings.json")["cases"].get(case, {})
        return {"circles": circles}
    if case.startswith("hybrid"):
        name = case.split()[1]
        folder = data_folder() / HYBRID
        convert_visit(folder / name, visit.root, protocol=Protocol())
        known = {v["name"]: v for v in read_json(folder / "truth.json")["visits"]}[name]
        seeds = scratch / "seeds.json"
        seeds.write_text(json.dumps(noisy_seeds(known["centrelines_lps_mm"])))
        truth = {n: v["as_written"]["mean_tbr_max"] for n, v in known["vessels"].items()}
        blood = {k: known["blood_pool"]["svc"][k] for k in ("as_written", "noiseless")}
        labels = read_nifti(folder / f"truth_labels_{name}.nii.gz")
        return {"labels": labels, "truth": truth, "seeds": seeds, "blood": blood}
    if case in SIMULATED:
        number, size = SIMULATED[case]
        plan = plan_trial(60).visit_plans[number]
        entry = write_simulated_visit(scratch, plan, size)  # type: ignore[arg-type]
        convert_visit(scratch / plan.dicom_dir, visit.root, protocol=Protocol())
        truth = {n: v["as_written"]["mean_tbr_max"] for n, v in entry["vessels"].items()}
        blood = {k: entry["blood_pool"][k]["svc"]["suv"] for k in ("as_written", "noiseless")}
        labels = read_nifti(scratch / plan.labels)
        return {"labels": labels, "truth": truth, "seeds": scratch / plan.seeds, "blood": blood}
    path = data_folder() / OUT_OF_SCOPE[case]
    if path.is_dir():
        convert_visit(sorted(p for p in path.iterdir() if p.is_dir())[0], visit.root, protocol=Protocol())
    else:
        only_ct(visit, read_nifti(path))
    return {}


def only_ct(visit: VisitFolder, ct: Volume) -> None:
    """A scan without PET: a flat one stands in, as nothing is measured."""
    write_nifti(visit.ct, Volume(np.asarray(ct.data, np.int16), ct.grid))
    step = [max(1, round(4.0 / s)) for s in ct.grid.spacing_mm]
    shape = tuple(max(2, n // s) for n, s in zip(ct.grid.shape, step, strict=True))
    affine = ct.grid.affine @ np.diag([*step, 1.0])
    write_nifti(visit.pet, Volume(np.ones(shape, np.float32), Grid(shape, affine)))


def noisy_seeds(lines: dict[str, Any]) -> dict[str, Any]:
    """Points along the neck's true centrelines, with the error of a reader who picks a slice and clicks."""
    rng = np.random.default_rng(1)
    seeds = {}
    for name in ("carotid_right", "carotid_left", "jugular_right", "jugular_left"):
        line = np.asarray(lines[name], float)
        arc = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
        at = np.linspace(0.0, arc[-1], int(np.ceil(arc[-1] / SEED_STEP_MM)) + 1)
        points = np.column_stack([np.interp(at, arc, line[:, axis]) for axis in range(3)])
        points[:, :2] += rng.normal(0.0, SEED_NOISE_MM, (len(points), 2))
        seeds[name] = points.round(2).tolist()
    return seeds


def row(name: str, found: Segmentation, facts: dict[str, Any], measured: dict[str, float]) -> dict[str, Any]:
    finding = found.vessels[name]
    result = {
        "vessel": name,
        "method": finding.method,
        "verdict": verdict(finding).words,
        "tbr_error_percent": measured.get(name),
    }
    errors, dices = [], []
    if facts.get("circles", {}).get(name):
        rows = compare(found.labels, name, facts["circles"][name])
        errors, dices = [r.centre_error_mm for r in rows], [r.dice for r in rows]
        result["floor_mm"] = float(np.median([spread_mm(r) for r in facts["circles"][name]]))
    elif facts.get("labels") is not None:
        errors, dices = against_labels(found.labels, facts["labels"], name)
    if errors:
        result |= {"sections": len(errors), "centre_mm": float(np.median(errors)), "centre_worst_mm": max(errors)}
        result |= {"dice": float(np.median(dices)), "dice_worst": min(dices)}
    return result


def against_labels(found: Volume, truth: Volume, name: str) -> tuple[list[float], list[float]]:
    """Distance of centres and Dice, slice by slice, where both maps show the vessel (ends left out)."""
    number = BY_NAME[name].label
    places = np.round(found.grid.to_ijk(truth.grid.to_ras(np.argwhere(truth.data == number)))).astype(int)
    inside = ((places >= 0) & (places < found.grid.shape)).all(axis=1)
    theirs = np.zeros(found.grid.shape, bool)
    theirs[tuple(places[inside].T)] = True
    ours = found.data == number
    both = np.flatnonzero(ours.any(axis=(0, 1)) & theirs.any(axis=(0, 1)))[1:-1]
    spacing = np.array(found.grid.spacing_mm[:2])
    errors, dices = [], []
    for k in both:
        a, b = ours[..., k], theirs[..., k]
        off = (np.argwhere(a).mean(axis=0) - np.argwhere(b).mean(axis=0)) * spacing
        errors.append(float(np.hypot(*off)))
        dices.append(float(2 * (a & b).sum() / (a.sum() + b.sum())))
    return errors, dices


def picture_of(case: str) -> Path:
    return (READ if case in FOLDERS else PICTURES) / f"{slug(case)}.jpg"


def draw(path: Path, ct: Volume, found: Segmentation, circles: dict[str, Any], columns: int = 6) -> None:
    """Draw six axial sections of every vessel that was found, with all outlines; where it was read, at the readings."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    present = [n for n in SHOWN if len(found.vessels[n].centreline_lps_mm)]
    figure, axes = plt.subplots(len(present), columns, figsize=(1.15 * columns, 1.2 * len(present)), squeeze=False)
    for name, line_of_axes in zip(present, axes, strict=True):
        line = found.vessels[name].centreline_lps_mm
        line = line[np.argsort(line[:, 2])]
        read = sorted(circles.get(name, []), key=lambda r: r["z"])[:columns]
        levels = np.linspace(line[0, 2], line[-1, 2], columns + 2)[1:-1]
        levels[: len(read)] = [r["z"] for r in read]
        half = 26.0 if name.startswith(("carotid", "jugular")) else 42.0
        for n, (axis, z) in enumerate(zip(line_of_axes, levels, strict=True)):
            middle = [np.interp(z, line[:, 2], line[:, a]) for a in (0, 1)]
            if name == "aorta_arch":
                middle = list(line[:, :2].mean(axis=0))
            section(axis, ct, found.labels, np.array([*middle, z]), half)
            for x, y, radius in [read[n]["first"], read[n]["second"]] if n < len(read) else ():
                at = (np.array([x, y]) - middle + half) / PIXEL_MM
                axis.add_patch(plt.Circle(tuple(at), radius / PIXEL_MM, fill=False, ec="yellow", lw=0.5, ls=":"))
        state = "needs a reader" if found.vessels[name].withheld else found.vessels[name].method
        line_of_axes[0].set_title(f"{title(name)}: {state}", fontsize=5, pad=1.5, loc="left")
    figure.tight_layout(pad=0.15)
    figure.savefig(path, dpi=85, pil_kwargs={"quality": 68, "optimize": True})
    plt.close(figure)


def section(axis: Any, ct: Volume, labels: Volume, centre_lps_mm: Array, half_mm: float) -> None:
    from scipy import ndimage

    across = np.arange(-half_mm, half_mm + 0.1, PIXEL_MM)
    grid = np.stack(
        np.meshgrid(centre_lps_mm[0] + across, centre_lps_mm[1] + across, [centre_lps_mm[2]], indexing="ij"), axis=-1
    )
    index = np.clip(np.round(ct.grid.to_ijk(ras_to_lps(grid[:, :, 0]))).astype(int), 0, np.array(ct.grid.shape) - 1)
    place = tuple(np.moveaxis(index, -1, 0))
    plane = ndimage.gaussian_filter(ct.data[place].T.astype(float), 0.9)
    axis.imshow(np.round(plane / 14) * 14, cmap="gray", vmin=-110, vmax=170)
    for name in SHOWN:
        mask = np.equal(labels.data[place].T, BY_NAME[name].label)
        if mask.any():
            axis.contour(mask, [0.5], colors=COLOURS[BY_NAME[name].kind], linewidths=0.7)
    axis.axis("off")


# The trial -----------------------------------------------------------------------------------------------------------


def trial_agreement(results: Path) -> dict[str, Any]:
    """Compare every measured visit of a finished run of the embedded trial with its truth."""
    truth = read_json(results / "simulated_study" / "truth.json")["participants"]
    codes = read_tsv(results / "key" / "key.tsv")
    rows, withheld, visits = [], [], 0
    for person, visit, code in codes[["participant_id", "visit", "code"]].itertuples(index=False):
        folder = VisitFolder(results / "visits" / code)
        if visit not in ("baseline", "followup") or not folder.vessels.exists():
            continue
        visits += 1
        table = read_tsv(folder.vessels).set_index("vessel")
        pools = truth[person]["visits"][visit]["blood_pool"]
        for name, vessel in truth[person]["visits"][visit]["vessels"].items():
            pool = vessel["blood_pool"]
            values = (table["mean_tbr_max"].get(name), vessel["as_written"]["mean_tbr_max"])
            blood = (
                table["background_suv"].get(name),
                pools["as_written"][pool]["suv"],
                pools["noiseless"][pool]["suv"],
            )
            rows.append((name, person, visit, *values, *blood))
        findings = read_segmentation(folder).vessels
        withheld += [f"{name}: {f.reason}" for name, f in findings.items() if f.withheld]
    table = pd.DataFrame(rows, columns=["vessel", "person", "visit", "found", "true", "blood", "true_blood", "clean"])
    table["error"] = 100 * (table["found"] / table["true"] - 1)
    summary = []
    for name in ARTERIES:
        of_vessel = table[table["vessel"] == name]
        wide = of_vessel.drop(columns="vessel").pivot_table(index="person", columns="visit").dropna()
        change = 100 * (wide["found", "followup"] / wide["found", "baseline"])
        change -= 100 * (wide["true", "followup"] / wide["true", "baseline"])
        spread = float(change.std(ddof=1))
        summary.append(
            {
                "vessel": name,
                "level_percent": float(of_vessel["error"].mean()),
                "level_sd": float(of_vessel["error"].std(ddof=1)),
                "bias": float(change.mean()),
                "bias_se": spread / len(change) ** 0.5,
                "low": float(change.mean()) - 1.96 * spread,
                "high": float(change.mean()) + 1.96 * spread,
                "pairs": len(change),
                "noise_true": scatter(wide["true_blood"] / wide["clean"]),
                "noise_found": scatter(wide["blood"] / wide["clean"]),
            }
        )
    return {"visits": visits, "summary": summary, "withheld": withheld}


def scatter(level: pd.DataFrame) -> float:
    """SD, in percent, of a level's change between visits."""
    return float((100 * (level["followup"] / level["baseline"] - 1)).std(ddof=1))


# The page ------------------------------------------------------------------------------------------------------------


def page(cases: dict[str, Any], trial: dict[str, Any] | None) -> str:
    lines = [
        "# Vessels: how near, and where it fails",
        "",
        "Made by `python benchmarks/segmentation_page.py --results results/trial`; nothing here is written by hand.",
        "Method `auto`: aorta and superior vena cava are found without a reader (`geometric`); carotids and jugular",
        "veins come from a reader's seeds where there are some (every 30 mm, SD 2 mm an axis), else a carotid may be",
        "proposed and is withheld ([when](proposals.md)). Real scans are held against circles read by eye twice, blind",
        "to any result, before the method",
        "was written (`tests/segment/geometric/readings.json`); the floor is the median distance between the readings.",
        "The hybrid study and the simulated visits are held against their true regions and uptake. Dice and centres",
        "are per axial section; the worst stands in brackets. By which marks the aorta's parts begin and end, and what",
        "it does to TBRmax when an end moves, stands in [ends.md](ends.md); what turning, cropping, noise and thick",
        "slices do, `python benchmarks/segmentation_invariance.py` prints for any scan.",
        "",
        "| case | vessel | method | sections | centre mm (worst) | floor mm | Dice (worst) | TBRmax error % | checks |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for case, result in cases.items():
        lines += [table_row(case, r) for r in result["rows"]]
    lines += ["", *cava_lines(cases, os.path.relpath(CAVA_PICTURE, PAGE.parent))]
    lines += ["| case | seconds | peak memory, GB |", "|---|---|---|"]
    lines += [f"| {case} | {r['seconds']:.1f} | {r['peak_gb']:.2f} |" for case, r in cases.items()]
    lines += [
        "",
        "Time is one core's for reading, segmenting and writing one visit; memory includes the scan itself.",
        "",
    ]
    lines += ["## Outside its scope", ""]
    for case, result in cases.items():
        if result.get("refused"):
            lines += [f"* {case}: refused. {' '.join(f'*{words}*' for words in result['refused'])}"]
    if trial is not None:
        lines += ["", "## The embedded trial", "", *trial_lines(trial)]
    lines += [
        "",
        "## Pictures",
        "",
        "Red: arteries; cyan: veins; dotted: the two readings; six axial sections, from below upwards.",
        "",
    ]
    for case, result in cases.items():
        if result["rows"]:
            lines += [f"### {case}", "", f"![{case}]({os.path.relpath(picture_of(case), PAGE.parent)})", ""]
    return "\n".join(lines).rstrip() + "\n"


def table_row(case: str, r: dict[str, Any]) -> str:
    cells = [case, title(r["vessel"]), r["method"]]
    if "sections" in r:
        cells += [
            str(r["sections"]),
            f"{r['centre_mm']:.2f} ({r['centre_worst_mm']:.2f})",
            f"{r['floor_mm']:.2f}" if "floor_mm" in r else "",
            f"{r['dice']:.3f} ({r['dice_worst']:.3f})",
        ]
    else:
        cells += ["", "", "", ""]
    error = r["tbr_error_percent"]
    cells += ["" if error is None or error != error else f"{error:+.1f}", r["verdict"]]
    return f"| {' | '.join(cells)} |"


def trial_lines(trial: dict[str, Any]) -> list[str]:
    lines = [
        f"All {trial['visits']} measured visits of the run, against the truth that the simulation wrote: error of the",
        "vessel's mean TBRmax, and error of its percent change between visits (bias and 95 % limits of agreement).",
        "",
        "| vessel | level, % (SD) | change: bias, points (SE) | 95 % limits, points | pairs |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {title(r['vessel'])} | {r['level_percent']:+.1f} ({r['level_sd']:.1f}) | {r['bias']:+.2f} "
        f"({r['bias_se']:.2f}) | {r['low']:+.1f} to {r['high']:+.1f} | {r['pairs']} |"
        for r in trial["summary"]
    ]
    wide = [title(r["vessel"]) for r in trial["summary"] if max(abs(r["low"]), abs(r["high"])) > 4.0]
    if wide:
        lines += ["", f"The limits exceed 4 points for: {', '.join(wide).lower()}."]
    noise = [
        f"{r['noise_true']:.1f} / {r['noise_found']:.1f} for {title(r['vessel']).lower()}" for r in trial["summary"]
    ]
    lines += [
        "",
        "What blood pools add: the change of their level, against the same image without noise, has an SD (percentage",
        f"points, true core / core found) of {'; '.join(noise)}.",
        "The limits above therefore hold the noise of two blood-pool readings of one image, not only outlines; what a",
        'perfect region on the CT would reach stands in [ends.md](ends.md) ("true labels on the CT").',
    ]
    counts = pd.Series(trial["withheld"], dtype=str).value_counts()
    lines += ["", "Withheld vessels: " + ("none." if counts.empty else "")]
    lines += [f"* {count} x {words}" for words, count in counts.items()]
    return lines


def slug(case: str) -> str:
    return "".join(c if c.isalnum() else "_" for c in case.lower()).strip("_")


if __name__ == "__main__":
    main()
