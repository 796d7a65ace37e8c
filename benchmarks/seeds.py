"""How near seeded vessels come to the truth: draws of a reader's points, by their distance and their error.

    python benchmarks/seeds.py --draws 200

Writes the tables of docs/seeds.md between their marks. Needs the unpacked reference data (PETFLAME_REFERENCE_DATA, or
.cache/data of the checkout) for the hybrid study; simulated visits and phantoms are made anew. Bounded: about 5 draws
of a neck for each of `--draws`, a second each.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pages import table
from scipy import ndimage

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

import necks  # noqa: E402
from petflame.anatomy import CAROTIDS, title  # noqa: E402
from petflame.dicom.convert import convert_visit  # noqa: E402
from petflame.files import read_json, read_nifti, write_text  # noqa: E402
from petflame.folders import VisitFolder  # noqa: E402
from petflame.labelmap import LabelMap  # noqa: E402
from petflame.measure.background import core_voxels  # noqa: E402
from petflame.measure.sections import cut, planes_through  # noqa: E402
from petflame.protocol import Protocol  # noqa: E402
from petflame.segment.seeds import SeededVessel, draw_vessel, draw_vessels, label_vessels, smooth_line  # noqa: E402
from petflame.segment.usual import usual_of  # noqa: E402
from petflame.simulate.plan import plan_trial  # noqa: E402
from petflame.simulate.trial import write_simulated_visit  # noqa: E402
from petflame.space.boxes import box_between, box_corners  # noqa: E402
from petflame.space.grid import Array, Grid, Volume, ras_to_lps  # noqa: E402
from petflame.space.orientation import to_canonical  # noqa: E402

PAGE = ROOT / "docs" / "seeds.md"
BEGIN, END = "<!-- made by benchmarks/seeds.py: begin -->", "<!-- made by benchmarks/seeds.py: end -->"
HYBRID = "hybrid_acrin001"
NECK = (*CAROTIDS, "jugular_right", "jugular_left")
# Distance of the points, SD along each axis of the plane, share of the draws.
SETTINGS = ((30.0, 2.0, 1.0), (30.0, 2.0 / np.sqrt(2.0), 0.1), (30.0, 1.5, 0.1), (15.0, 1.5, 0.2))
SIMULATED = (0, 6, 12, 21, 33, 44, 57, 80)
CROP_MM = 40.0
WITHIN_PERCENT = 5.0
Draw = Callable[[dict[str, Array], Volume, Volume], dict[str, SeededVessel]]


@dataclass(frozen=True)
class Visit:
    """A neck whose vessels are known: arteries' mean TBRmax over `blood`, veins' core mean."""

    name: str
    ct: Volume
    pet: Volume
    lines: dict[str, Array]
    truth: dict[str, float]
    blood: float


def by_points_and_images(points: dict[str, Array], ct: Volume, pet: Volume) -> dict[str, SeededVessel]:
    return draw_vessels(points, {}, ct, pet)


def by_points_and_ct(points: dict[str, Array], ct: Volume, pet: Volume) -> dict[str, SeededVessel]:
    return draw_vessels(points, {}, ct, None)


def by_points(points: dict[str, Array], ct: Volume, pet: Volume) -> dict[str, SeededVessel]:
    return {
        n: SeededVessel(smooth_line(p, usual_of(n).stiffness_mm3), usual_of(n).radius_mm, False, 0.0, 0.0)
        for n, p in points.items()
    }


def perfectly(visit: Visit) -> dict[str, SeededVessel]:
    """Vessels of the usual radius on the true lines: what is left is that the ends of lines and of regions differ."""
    return {
        n: SeededVessel(smooth_line(line, 1e-3), usual_of(n).radius_mm, False, 0.0, 0.0)
        for n, line in visit.lines.items()
    }


METHODS: dict[str, Draw] = {
    "points, CT and PET": by_points_and_images,
    "points and CT": by_points_and_ct,
    "points alone": by_points,
}


# Cases ---------------------------------------------------------------------------------------------------------------


def hybrid_visits(scratch: Path) -> list[Visit]:
    folder = Path(os.environ.get("PETFLAME_REFERENCE_DATA", ROOT / ".cache" / "data")) / HYBRID
    found = []
    for known in read_json(folder / "truth.json")["visits"]:
        visit = VisitFolder(scratch / known["name"])
        visit.root.mkdir()
        convert_visit(folder / known["name"], visit.root, protocol=Protocol())
        lines = {n: np.array(known["centrelines_lps_mm"][n]) for n in NECK}
        truth = {n: known["vessels"][n]["as_written"]["mean_tbr_max"] for n in CAROTIDS}
        truth |= {n: known["blood_pool"][n]["as_written"] for n in NECK if n not in CAROTIDS}
        blood = known["blood_pool"]["jugular_both"]["as_written"]
        images = cropped(read_nifti(visit.ct), read_nifti(visit.pet), lines)
        found.append(Visit(f"hybrid, {known['name']}", *images, lines, truth, blood))
    return found


def simulated_visits(scratch: Path) -> list[Visit]:
    found = []
    for number in SIMULATED:
        plan = plan_trial(60).visit_plans[number]
        study, visit = scratch / str(number), VisitFolder(scratch / f"visit{number}")
        study.mkdir()
        visit.root.mkdir()
        entry = write_simulated_visit(study, plan, "fast")
        convert_visit(study / plan.dicom_dir, visit.root, protocol=Protocol())
        labels = LabelMap(np.asarray(read_nifti(study / plan.labels).data), read_nifti(study / plan.labels).grid)
        lines = {n: middle_of(to_canonical(labels.mask(n))) for n in NECK}
        ct, pet = cropped(read_nifti(visit.ct), read_nifti(visit.pet), lines)
        blood = entry["blood_pool"]["as_written"]["jugular_both"]["suv"]
        # What the true regions read: the PET may be off the CT by a millimetre or two.
        truth = {n: reading(n, to_canonical(labels.mask(n)), lines[n], pet, blood)[0] for n in NECK}
        found.append(Visit("simulated", ct, pet, lines, truth, blood))
    return found


def middle_of(mask: Volume) -> Array:
    """Middle of a canonical mask on its slices, a little smoothed, LPS mm, shape (n, 3)."""
    slices = np.flatnonzero(mask.data.any(axis=(0, 1)))
    middle = np.array([[*np.argwhere(mask.data[..., k]).mean(axis=0), k] for k in slices])
    middle[:, :2] = ndimage.gaussian_filter1d(middle[:, :2], 1.0, axis=0, mode="nearest")
    return np.asarray(ras_to_lps(mask.grid.to_ras(middle)))


def cropped(ct: Volume, pet: Volume, lines: dict[str, Array]) -> tuple[Volume, Volume]:
    every = np.concatenate(list(lines.values()))
    corners = ras_to_lps(box_corners(every.min(axis=0) - CROP_MM, every.max(axis=0) + CROP_MM))
    images = []
    for image in (to_canonical(ct), to_canonical(pet)):
        ijk = image.grid.to_ijk(corners)
        low = np.maximum(np.floor(ijk.min(axis=0)).astype(int), 0)
        high = np.minimum(np.ceil(ijk.max(axis=0)).astype(int) + 1, image.grid.shape)
        images.append(image.cropped(box_between(low, high)))
    return images[0], images[1]


# Readings ------------------------------------------------------------------------------------------------------------


def reading(name: str, mask: Volume, line: Array, pet: Volume, blood: float) -> tuple[float, Array]:
    """An artery's mean TBRmax or a vein's core mean, and the values that it is the mean of."""
    sections = cut(planes_through(mask, pet.grid, None), line, 0.0, with_area=False)
    if name in CAROTIDS:
        values = np.array([pet.data[tuple(s.voxels.T)].max() for s in sections]) / blood
    else:
        values = pet.data[tuple(core_voxels(sections, line, pet, Protocol().background).T)].astype(float)
    return float(values.mean()) if len(values) else float("nan"), values


def errors(visit: Visit, drawn: dict[str, SeededVessel]) -> dict[str, tuple[float, ...]]:
    """Centre error (mean, 95th percentile over sections), error of the reading, and of TBR over the own blood, %."""
    labels, _ = label_vessels(drawn, visit.ct.grid)
    found = LabelMap(labels, visit.ct.grid)
    read = {n: reading(n, to_canonical(found.mask(n)), v.line_lps_mm, visit.pet, visit.blood) for n, v in drawn.items()}
    veins = [read[n][1] for n in drawn if n not in CAROTIDS]
    own = float(np.concatenate(veins).mean())
    result = {}
    for name, vessel in drawn.items():
        off = necks.off_line(vessel.line_lps_mm, visit.lines[name])
        value = read[name][0]
        both = value * visit.blood / own if name in CAROTIDS else value
        known = visit.truth[name]
        percent = [100.0 * (v / known - 1.0) for v in (value, both)]
        result[name] = (float(np.median(off)), float(off.mean()), float(np.percentile(off, 95)), *percent)
    return result


def run(visits: list[Visit], method: Draw, apart_mm: float, sd_mm: float, draws: int) -> dict[tuple[str, str], Array]:
    found: dict[tuple[str, str], list[tuple[float, ...]]] = defaultdict(list)
    for visit in visits:
        rng = np.random.default_rng(7)
        for _ in range(draws):
            points = {n: necks.noisy_points(visit.lines[n], rng, apart_mm, sd_mm) for n in NECK}
            for name, row in errors(visit, method(points, visit.ct, visit.pet)).items():
                found[visit.name, name].append(row)
    return {key: np.array(rows) for key, rows in found.items()}


HEADER = (
    "case | line by | points, mm | SD an axis, mm | vessel | draws | centre, mm: median of sections | their mean | "
    "their 95th percentile | reading, % (SD) | within 5 % | TBR over the own veins, % (SD) | within 5 %"
)


def line_of(case: str, method: str, apart: float, sd: float, name: str, rows: Array) -> list[str]:
    within = [f"{100 * (np.abs(rows[:, n]) <= WITHIN_PERCENT).mean():.1f} %" for n in (3, 4)]
    own = [f"{rows[:, 4].mean():+.1f} ({rows[:, 4].std():.1f})", within[1]] if name in CAROTIDS else ["", ""]
    return [
        case,
        method,
        f"{apart:g}",
        f"{sd:.2g}",
        title(name),
        str(len(rows)),
        f"{rows[:, 0].mean():.2f}",
        f"{rows[:, 1].mean():.2f}",
        f"{rows[:, 2].mean():.2f}",
        f"{rows[:, 3].mean():+.1f} ({rows[:, 3].std():.1f})",
        within[0],
        *own,
    ]


# Bias ----------------------------------------------------------------------------------------------------------------


def bias_rows(draws: int) -> list[list[str]]:
    """Level of drawn regions against that of the true ones, in muscle that shows no vessel on the CT."""
    artery, vein = (necks.LINES[n][len(necks.LINES[n]) // 2] for n in ("carotid_left", "jugular_left"))
    cases: dict[str, dict[str, Any]] = {
        "no extra uptake": {},
        "no vessel hotter than its surroundings": {"wall": necks.SURROUNDINGS, "blood": necks.SURROUNDINGS},
        "wall 4.5 all along": {"wall": 4.5},
        "spot of 12 in the wall, 4 mm wide": {"spots": [(artery + np.array([3.2, 0, 0]), 2.0, 12.0)]},
        "node of 3, 8 mm wide, 9 mm off the artery": {"spots": [(artery + np.array([0, 9, 0]), 4.0, 3.0)]},
        "node of 6, 10 mm wide, 11 mm off the artery": {"spots": [(artery + np.array([0, 11, 0]), 5.0, 6.0)]},
        "node of 3, 8 mm wide, 10 mm off the vein": {"spots": [(vein + np.array([0, -10, 0]), 4.0, 3.0)]},
    }
    ct = necks.ct()
    rows = []
    for case, facts in cases.items():
        found = defaultdict(list)
        for n in range(draws):
            pet = necks.pet(seed=n, **facts)
            points = necks.seeds(np.random.default_rng(1000 + n))
            drawn = {how: METHODS[how](points, ct, pet) for how in ("points, CT and PET", "points alone")}
            for name, line in necks.LINES.items():
                radius = usual_of(name).radius_mm
                level = {}
                lines = {"true": line} | {how: v[name].line_lps_mm for how, v in drawn.items()}
                for how, own in lines.items():
                    labels, _ = label_vessels({name: SeededVessel(own, radius, False, 0.0, 0.0)}, ct.grid)
                    mask = LabelMap(labels, ct.grid).mask(name)
                    level[how] = reading(name, to_canonical(mask), own, pet, 1.0)[0]
                off = necks.off_line(lines["points, CT and PET"], line).mean()
                found[name].append([100 * (level[how] / level["true"] - 1) for how in drawn] + [off])
        for name, values in found.items():
            a = np.array(values)
            se = a.std(axis=0, ddof=1) / np.sqrt(len(a))
            kind = "Carotid" if name in CAROTIDS else "Jugular vein"
            cells = [f"{m:+.1f} +- {s:.1f} ({d:.1f})" for m, s, d in zip(a.mean(0), se, a.std(0), strict=True)][:2]
            rows.append([case, kind, str(len(a)), f"{a[:, 2].mean():.2f}", *cells])
    return rows


def speed() -> str:
    """Seconds for one vessel beside another on a CT of clinical size."""
    pet, small = necks.pet(), necks.ct()
    data = np.full((512, 512, 300), 40, np.int16)
    data[:80, :80, :36] = small.data[:80, :80, :36]
    ct = Volume(data, Grid(data.shape, small.grid.affine))
    points = necks.seeds(np.random.default_rng(0))
    beside = [(smooth_line(points["jugular_left"], usual_of("jugular_left").stiffness_mm3), 5.0)]
    seconds = []
    for _ in range(5):
        started = time.process_time()
        draw_vessel(points["carotid_left"], ct, None, usual_of("carotid_left"), pet, beside)
        seconds.append(time.process_time() - started)
    return f"One vessel of 90 mm beside another, CT 512 x 512 x 300: {np.median(seconds):.2f} s of one core.\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=200, help="draws a visit at 30 mm and 2 mm")
    draws = parser.parse_args().draws
    started = time.process_time()
    rows, few = [], max(draws // 20, 2)
    with tempfile.TemporaryDirectory() as scratch:
        hybrid = hybrid_visits(Path(scratch))
        simulated = simulated_visits(Path(scratch))
    plan: list[tuple[list[Visit], str, float, float, int]] = [
        (hybrid, "points, CT and PET", apart, sd, max(int(share * draws), 2)) for apart, sd, share in SETTINGS
    ]
    plan += [(hybrid, "points and CT", 30.0, 2.0, few), (hybrid, "points alone", 30.0, 2.0, few)]
    plan += [(simulated, how, 30.0, 2.0, max(draws // 50, 2)) for how in METHODS]
    for visits, how, apart, sd, count in plan:
        for (case, name), values in run(visits, METHODS[how], apart, sd, count).items():
            rows.append(line_of(case, how, apart, sd, name, values))
            print(" | ".join(rows[-1]), flush=True)
    for visit in hybrid:
        for name, row in errors(visit, perfectly(visit)).items():
            rows.append(line_of(visit.name, "the true course", 0.0, 0.0, name, np.array([row])))
            print(" | ".join(rows[-1]), flush=True)
    bias = bias_rows(max(draws // 20, 4))
    for row in bias:
        print(" | ".join(row), flush=True)
    made = [
        BEGIN,
        "",
        f"Hybrid study (real CT, its PET simulated) and {len(SIMULATED)} simulated visits, at size fast; every draw",
        "draws both carotids and both veins anew. Reading: an artery's mean TBRmax over the true blood, a vein's core",
        "mean, against the truth; centre: distance in the axial plane, per draw over its sections, then mean of draws.",
        "",
        table(HEADER, rows),
        "Bias, on a phantom whose CT shows nothing (blood 0.95 in 0.6, noise 10 %, points 30 mm apart, 2 mm off along",
        "each axis): level of the drawn region against the true region of the same image, mean +- SE (SD), %.",
        "",
        table("uptake | vessel | draws | centre, mm | points, CT and PET | points alone", bias),
        speed(),
        END,
    ]
    page = PAGE.read_text()
    before, rest = page.split(BEGIN)
    write_text(PAGE, before + "\n".join(made) + rest.split(END)[1])
    print(f"{time.process_time() - started:.0f} s")


if __name__ == "__main__":
    main()
