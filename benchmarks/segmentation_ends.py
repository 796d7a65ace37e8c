"""Write docs/ends.md: where the aorta's parts begin and end, how near that is, and what TBRmax does when an end moves.

    python benchmarks/segmentation_ends.py [--participants 12] [--size fast] [--page docs/ends.md]

Needs the hybrid study (PETFLAME_REFERENCE_DATA, or .cache/data of the checkout) for its rows.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
from pages import table
from scipy import ndimage

from petflame.anatomy import AORTA, BY_NAME, title
from petflame.dicom.convert import convert_visit
from petflame.files import read_json, read_nifti, write_text
from petflame.folders import VisitFolder
from petflame.labelmap import LabelMap
from petflame.measure.visit import measure
from petflame.protocol import Protocol
from petflame.segment.geometric import find_vessels, finder
from petflame.segment.geometric.paint import paint_aorta
from petflame.segment.geometric.parts import Parts
from petflame.segment.geometric.surface import Tube
from petflame.segment.geometric.work import canonical_view
from petflame.segment.product import Segmentation, VesselFinding
from petflame.simulate.plan import plan_trial
from petflame.simulate.truth import measured
from petflame.simulate.visit import SizeName, simulate_visit
from petflame.space.grid import Array, Volume

ROOT = Path(__file__).parents[1]
HYBRID = "hybrid_acrin001"
VISITS = ("baseline", "followup")
# Which end moves: what of the division it changes, and the vessels it borders. Positive is towards the head.
ENDS = {
    "lower end of the ascending aorta": ("ascending", ("aorta_ascending",)),
    "lower margin of the arch": ("margin", ("aorta_ascending", "aorta_arch", "aorta_descending")),
    "lower end of the descending aorta": ("descending", ("aorta_descending",)),
}
MOVES_MM = (-10.0, -5.0, 5.0, 10.0)
RULE = """
# Where the aorta's parts begin and end

Made by `python benchmarks/segmentation_ends.py`; nothing here is written by hand.

Every end is an axial level of the scan, set on the CT alone (`petflame.segment.geometric.parts` and `.ends`).

* **Arch**: every level above the highest one on which ascending and descending aorta are two sections, which is the top
  of the hollow between them: the highest of all sections' lowest points.
* **Ascending aorta**: from there down to 38 mm below the carina. Without contrast medium the root and the left main
  artery are not to be seen on most scans, and the edge of the ascending aorta against heart and atria fades with noise
  and thick slices, so that a mark of that kind would lie elsewhere at the next visit. The carina is seen on every scan.
  The left main artery is assumed to lie 48 mm below it, two vertebrae, and the ascending aorta to begin a centimetre
  higher. On the one scan here that shows it, by its calcium (LIDC 0314), it lies 44 mm below, so that the ascending
  aorta begins 6 mm above it. How far people differ was not measured; in one person the distance is that of both visits,
  and what 5 and 10 mm do stands below.
* **Descending aorta**: down to the diaphragm: to the level at which the lungs' section has shrunk to 60 % of its
  largest (the dome), and on below it while lung lies within 10 mm of its left and rear wall. That ends where it passes
  behind the crura. It ends earlier where no round vessel is seen over 20 mm.
* **Field of view**: no limb comes nearer than 6 mm to the face of the scan's lowest slice: PET blurs over 5 to 7 mm, so
  nearer sections lack some of their own uptake.

PET places no end and no outline. It would draw regions to hot wall, and what is measured in them would be hot by
choice; it only doubts what the CT gave (`petflame.segment.uptake_checks`).
"""
NEAR = """
Against the ends of the true labels. Those follow rules of their own: the hybrid study's reader parted the arch by
planes across the vessel and began where the scan begins; the simulated trial's ascending aorta begins 10 mm above the
coronary ostia of its own anatomy, about 30 mm below the carina, and its descending aorta ends above the diaphragm. What
must be small is the last column of each end: how far it moved between a patient's visits, the true ends taken as fixed.
"""
SAME = """
The mean of the sections' SUVmax, which is TBRmax with the true blood at every visit. The true labels on the CT's grid
say what perfect regions would reach, since truth is defined on the PET.
"""
MOVED = """
Mean of all visits, the worst visit in brackets, in percent of the part's mean SUVmax; positive moves are towards the
head. On the hybrid study the limbs end with the scan, where sections have lost uptake: there an end weighs most.
"""


@dataclass(frozen=True, eq=False)
class Case:
    """A visit with its truth: mean SUVmax of every part of the aorta, and true labels on a grid of their own."""

    study: str
    person: str
    visit: str
    ct: Volume
    pet: Volume
    labels: Volume
    suv_max: dict[str, float]


@dataclass(frozen=True, eq=False)
class Found:
    """What was found in a CT, and what the aorta was painted from."""

    labels: Array
    carina_z_mm: float
    tube: Tube
    parts: Parts
    shown: tuple[str, ...]


def cases(participants: int, size: SizeName) -> Iterator[Case]:
    """Return the visits of the hybrid study, where it is there, and of the simulated trial."""
    folder = Path(os.environ.get("PETFLAME_REFERENCE_DATA", ROOT / ".cache" / "data")) / HYBRID
    if folder.is_dir():
        known = {v["name"]: v for v in read_json(folder / "truth.json")["visits"]}
        for name in VISITS:
            with tempfile.TemporaryDirectory() as scratch:
                visit = VisitFolder(Path(scratch) / "visit")
                convert_visit(folder / name, visit.root, protocol=Protocol())
                ct, pet = (Volume(np.array(v.data), v.grid) for v in map(read_nifti, (visit.ct, visit.pet)))
            labels = read_nifti(folder / f"truth_labels_{name}.nii.gz")
            means = {
                n: float(np.mean([s["as_written"]["suv_max"] for s in known[name]["vessels"][n]["slices"]]))
                for n in AORTA
            }
            yield Case("hybrid", "H001", name, ct, pet, labels, means)
    for plan in plan_trial(60).visit_plans[: 2 * participants]:
        drawn = simulate_visit(plan, size)
        truth = measured(drawn.pet_suv, drawn.truth_labels, drawn.size.pet)["vessels"]
        labels = drawn.size.ct.volume(drawn.labels)
        means = {n: truth[n]["mean_suv_max"] for n in AORTA}
        yield Case("simulated", plan.participant_id, plan.visit, drawn.ct(), drawn.pet(), labels, means)


def find(ct: Volume) -> Found:
    """Segment a CT, and keep what the aorta was painted from."""
    kept: list[tuple[Tube, Parts, tuple[str, ...]]] = []

    def keep(labels: Volume, tube: Tube, parts: Parts, shown: list[str]) -> None:
        kept.append((tube, parts, tuple(shown)))
        paint_aorta(labels, tube, parts, shown)

    with mock.patch.object(finder, "paint_aorta", keep):
        result = find_vessels(ct)
    return Found(result.labels, result.landmarks_lps_mm["carina"][2], *kept[0])


def moved(found: Found, ct: Volume, end: str, by_mm: float) -> Array:
    """Paint the aorta anew with one of its ends moved."""
    parts = found.parts
    low = tuple(z + by_mm * (name == end) for z, name in zip(parts.ends_mm, ("ascending", "descending"), strict=True))
    parts = replace(parts, margin_mm=parts.margin_mm + by_mm * (end == "margin"), ends_mm=low)
    labels = np.zeros(ct.data.shape, np.uint8)
    paint_aorta(canonical_view(Volume(labels, ct.grid)), found.tube, parts, found.shown)
    return labels


def suv_max(labels: Array, case: Case) -> dict[str, float]:
    """Return every part's mean of its sections' SUVmax."""
    present = [n for n in AORTA if (labels == BY_NAME[n].label).any()]
    there = {n: VesselFinding("geometric", None, (), np.zeros((0, 3))) for n in present}
    only = np.where(np.isin(labels, [BY_NAME[n].label for n in AORTA]), labels, 0).astype(np.uint8)
    found = measure(case.pet, Segmentation(LabelMap(only, case.ct.grid), "ct", there), Protocol(sensitivity=[]))
    return found.slices.groupby("vessel")["suv_max"].mean().to_dict()


def on_ct(case: Case) -> Array:
    """Return the true labels on the grid of the CT."""
    matrix = np.linalg.inv(case.labels.grid.affine) @ case.ct.grid.affine
    labels = np.asarray(case.labels.data)
    return np.asarray(ndimage.affine_transform(labels, matrix[:3, :3], matrix[:3, 3], case.ct.grid.shape, order=0))


def ends_mm(labels: Volume, name: str) -> tuple[float, float]:
    """Return the height of both ends: half a slice beyond the lowest and the highest labelled one, LPS z."""
    view = canonical_view(labels)
    k = np.flatnonzero((view.data == BY_NAME[name].label).any(axis=(0, 1)))
    if len(k) == 0:
        return float("nan"), float("nan")
    z = view.grid.to_ras([[0, 0, k[0] - 0.5], [0, 0, k[-1] + 0.5]])[:, 2]
    return float(z[0]), float(z[1])


def study(participants: int, size: SizeName) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return a row per visit and part, and a row per visit, moved end and part it borders."""
    rows, moves = [], []
    for case in cases(participants, size):
        found = find(case.ct)
        values, drawn = (suv_max(labels, case) for labels in (found.labels, on_ct(case)))
        for name in AORTA:
            ours, theirs = ends_mm(Volume(found.labels, case.ct.grid), name), ends_mm(case.labels, name)
            row = {"study": case.study, "person": case.person, "visit": case.visit, "vessel": name}
            row |= {"low": ours[0] - found.carina_z_mm, "high": ours[1] - found.carina_z_mm}
            row |= {"low_error": ours[0] - theirs[0], "high_error": ours[1] - theirs[1]}
            row |= {"found": values.get(name, float("nan")), "true": case.suv_max[name], "drawn": drawn[name]}
            rows.append(row)
        who = (case.study, case.person, case.visit)
        for words, (end, vessels) in ENDS.items():
            for by_mm in MOVES_MM:
                changed = suv_max(moved(found, case.ct, end, by_mm), case)
                for name in (n for n in vessels if n in values):
                    percent = 100 * (changed.get(name, np.nan) / values[name] - 1)
                    moves.append((*who, words, by_mm, name, percent))
    columns = ["study", "person", "visit", "end", "by", "vessel", "percent"]
    return pd.DataFrame(rows), pd.DataFrame(moves, columns=columns)


def extents(rows: pd.DataFrame) -> str:
    """Table of ends against the true ones; between the visits of a patient the true end is the anatomy."""
    lines = []
    for (name, vessel), own in rows.groupby(["study", "vessel"], sort=False):
        wide = own.pivot_table(index="person", columns="visit", values=["low_error", "high_error"])
        line = [name, title(vessel)]
        for end in ("low", "high"):
            error = own[f"{end}_error"]
            between = (wide[f"{end}_error"]["followup"] - wide[f"{end}_error"]["baseline"]).abs()
            line += [f"{own[end].mean():+.1f}", f"{error.mean():+.1f} ({error.min():+.1f} to {error.max():+.1f})"]
            line += [f"{between.mean():.1f} ({between.max():.1f})"]
        lines.append(line)
    said = "from the carina, mm | less the true one, mm (range) | moved between visits, mm (worst)"
    return table(f"study | part | lower end {said} | upper end {said}", lines)


def accuracy(rows: pd.DataFrame) -> str:
    """Table of the error of level and change of the mean SUVmax, which is that of TBRmax with the true blood."""
    lines = []
    for (name, vessel), own in rows.groupby(["study", "vessel"], sort=False):
        wide = own.pivot_table(index="person", columns="visit", values=["found", "true", "drawn"])
        change = {c: 100 * (wide[c]["followup"] / wide[c]["baseline"] - 1) for c in ("found", "true", "drawn")}
        line = [name, title(vessel), str(len(own))]
        for regions in ("found", "drawn"):
            level, off = 100 * (own[regions] / own["true"] - 1), change[regions] - change["true"]
            line.append(f"{level.mean():+.1f} ({level.min():+.1f} to {level.max():+.1f})")
            by = 1.96 * off.std()
            line.append(
                f"{off.mean():+.1f}" + (f" ({off.mean() - by:+.1f} to {off.mean() + by:+.1f})" if len(off) > 2 else "")
            )
        lines.append(line)
    said = "level, % (range) | change, points (95 % limits)"
    return table(f"study | part | visits | found: {said} | true labels on the CT: {said}", lines)


def what_ends_do(moves: pd.DataFrame) -> str:
    """Table of what moving each end at a visit does to the level of the vessels it borders."""
    lines = []
    for (name, end, vessel), own in moves.groupby(["study", "end", "vessel"], sort=False):
        of = {by: part["percent"] for by, part in own.groupby("by")}
        cells = [f"{of[by].mean():+.2f} ({of[by].abs().max():.1f})" for by in MOVES_MM]
        lines.append([name, end, title(vessel), *cells])
    return table(f"study | end | part | {' | '.join(f'{by:+.0f} mm' for by in MOVES_MM)}", lines)


def page(rows: pd.DataFrame, moves: pd.DataFrame) -> str:
    """Return the page: the rule in words, then the tables."""
    near = ["## How near", NEAR.strip(), extents(rows), SAME.strip(), accuracy(rows)]
    what = ["## What an end that moves does", MOVED.strip(), what_ends_do(moves)]
    return "\n\n".join(part.strip() for part in (RULE, *near, *what)) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--participants", type=int, default=12)
    parser.add_argument("--size", default="fast", choices=("fast", "full"))
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "ends.md")
    options = parser.parse_args()
    write_text(options.page, page(*study(options.participants, options.size)))


if __name__ == "__main__":
    main()
