"""Print how far the aorta's ends lie from the true ones, and what TBRmax does when an end moves by 5 and 10 mm.

    python benchmarks/segmentation_ends.py [--participants 12] [--size fast]

Hybrid study (PETFLAME_REFERENCE_DATA, or .cache/data of the checkout) and simulated trial, both visits. The blood is
the truth's own at all times, so that only the aorta's regions matter; the errors are those of a vessel's mean of its
sections' SUVmax. Heights are taken from the carina that was found, so that a patient who lies elsewhere at the second
visit has not moved. The true ends are those of the labels that come with the data.
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

from petflame.anatomy import AORTA, BY_NAME, title
from petflame.dicom.convert import convert_visit
from petflame.files import read_json, read_nifti
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


@dataclass(frozen=True, eq=False)
class Case:
    """A visit with its truth: mean SUVmax of every part of the aorta, and true labels."""

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
        values = suv_max(found.labels, case)
        for name in AORTA:
            ours, theirs = ends_mm(Volume(found.labels, case.ct.grid), name), ends_mm(case.labels, name)
            row = {"study": case.study, "person": case.person, "visit": case.visit, "vessel": name}
            row |= {"low": ours[0] - found.carina_z_mm, "high": ours[1] - found.carina_z_mm}
            row |= {"low_error": ours[0] - theirs[0], "high_error": ours[1] - theirs[1]}
            row |= {"found": values.get(name, float("nan")), "true": case.suv_max[name]}
            rows.append(row)
        who = (case.study, case.person, case.visit)
        for words, (end, vessels) in ENDS.items():
            for by_mm in MOVES_MM:
                changed = suv_max(moved(found, case.ct, end, by_mm), case)
                for name in set(vessels) & set(values):
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
        error = 100 * (own["found"] / own["true"] - 1)
        wide = own.pivot_table(index="person", columns="visit", values=["found", "true"])
        found, true = (100 * (wide[c]["followup"] / wide[c]["baseline"] - 1) for c in ("found", "true"))
        change = found - true
        wide_by = 1.96 * change.std()
        limits = f"{change.mean() - wide_by:+.1f} to {change.mean() + wide_by:+.1f}" if len(change) > 2 else ""
        level = f"{error.mean():+.2f} ({error.min():+.1f} to {error.max():+.1f})"
        lines.append([name, title(vessel), str(len(own)), level, f"{change.mean():+.2f}", limits])
    return table("study | part | visits | level, % (range) | change, points | 95 % limits, points", lines)


def what_ends_do(moves: pd.DataFrame) -> str:
    """Table of what moving each end at a visit does to the level of the vessels it borders."""
    lines = []
    for (name, end, vessel), own in moves.groupby(["study", "end", "vessel"], sort=False):
        of = {by: part["percent"] for by, part in own.groupby("by")}
        cells = [f"{of[by].mean():+.2f} ({of[by].abs().max():.1f})" for by in MOVES_MM]
        lines.append([name, end, title(vessel), *cells])
    return table(f"study | end | part | {' | '.join(f'{by:+.0f} mm' for by in MOVES_MM)}", lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--participants", type=int, default=12)
    parser.add_argument("--size", default="fast", choices=("fast", "full"))
    options = parser.parse_args()
    rows, moves = study(options.participants, options.size)
    for part in (extents(rows), accuracy(rows), what_ends_do(moves)):
        print(part)


if __name__ == "__main__":
    main()
