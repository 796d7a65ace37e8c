"""What points carried over from the other visit save in clicks, and what they do to the change.

    python benchmarks/prefill.py results/trial --pairs 24 --draws 2

Takes a finished run of the simulated trial (with its ``simulated_study``) and the hybrid pair of the reference data
(PETFLAME_REFERENCE_DATA, or .cache/data of the checkout), and writes the tables of docs/reading.md between their marks.
A reader sets points with an error of 2 mm (SD) along x and y, one every 30 mm, on both carotids and both jugular veins
of one visit of a pair, drawn by lot; at the other they set points anew, or get them carried over. They confirm a
vessel whose carried points all lie within 3 mm of its true centreline, else drag those that do not, with the same
error. What the software found in the neck is taken out of the visits beforehand. Half a minute a draw of a pair.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from pages import table
from scipy.spatial import cKDTree
from seeds import NECK, cropped, hybrid_visits, middle_of, necks, reading

from petflame.anatomy import BY_NAME, CAROTIDS
from petflame.files import read_json, read_nifti, read_tsv, write_text
from petflame.labelmap import LabelMap
from petflame.protocol import Protocol
from petflame.review.prefill import Prefill, carry_between
from petflame.review.visit import VisitFiles, read_visit_files
from petflame.segment.seedfile import Seeds
from petflame.segment.seeds import draw_vessels, label_vessels
from petflame.space.grid import Array, Volume
from petflame.space.orientation import to_canonical
from petflame.space.polyline import arc_length_mm, places_at

PAGE = Path(__file__).parents[1] / "docs" / "reading.md"
BEGIN, END = "<!-- made by benchmarks/prefill.py: begin -->", "<!-- made by benchmarks/prefill.py: end -->"
APART_MM, SD_MM, NEAR_MM = 30.0, 2.0, 3.0
ANEW, AS_IS, CORRECTED = "points anew", "prefilled, confirmed unseen", "prefilled, confirmed or dragged"
WAYS = (ANEW, AS_IS, CORRECTED)
Points = dict[str, Array]


@dataclass(frozen=True)
class Known:
    """A visit with the truth: centrelines, mean TBRmax of the arteries over `blood`."""

    files: VisitFiles
    ct: Volume
    pet: Volume
    lines: Points
    truth: dict[str, float]
    blood: float


@dataclass(frozen=True)
class Read:
    """What a set of points gives: mean TBRmax of each carotid over the true blood and over the own veins."""

    true_blood: dict[str, float]
    own_veins: dict[str, float]


# Visits --------------------------------------------------------------------------------------------------------------


def without_neck(files: VisitFiles) -> VisitFiles:
    """Take what lies in the neck out of what was found."""
    found = files.found
    numbers = [BY_NAME[name].label for name in NECK]
    labels = LabelMap(np.where(np.isin(found.labels.data, numbers), 0, found.labels.data), found.labels.grid)
    vessels = {name: vessel for name, vessel in found.vessels.items() if name not in NECK}
    return replace(files, found=replace(found, labels=labels, vessels=vessels))


def simulated_pair(run: Path, participant: str) -> tuple[Known, Known]:
    key = read_tsv(run / "key" / "key.tsv")
    truth = read_json(run / "simulated_study" / "truth.json")["participants"][participant]["visits"]
    pair = []
    for visit in ("baseline", "followup"):
        code = key[(key["participant_id"] == participant) & (key["visit"] == visit)]["code"].iloc[0]
        files = without_neck(read_visit_files(run / "visits" / code))
        given = read_nifti(run / "simulated_study" / "labels" / f"{participant}_{visit}.nii.gz")
        labels = LabelMap(np.asarray(given.data, np.uint8), given.grid)
        lines = {n: middle_of(to_canonical(labels.mask(n))) for n in NECK}
        ct, pet = cropped(files.ct, files.pet, lines)
        blood = truth[visit]["blood_pool"]["as_written"]["jugular_both"]["suv"]
        known = {n: reading(n, to_canonical(labels.mask(n)), lines[n], pet, blood)[0] for n in CAROTIDS}
        pair.append(Known(files, ct, pet, lines, known, blood))
    return pair[0], pair[1]


def hybrid_pair(scratch: Path) -> tuple[Known, Known]:
    pair = []
    for visit, name in zip(hybrid_visits(scratch), ("baseline", "followup"), strict=True):
        subprocess.run([sys.executable, "-m", "petflame", "segment", str(scratch / name)], check=True)
        files = without_neck(read_visit_files(scratch / name))
        pair.append(Known(files, visit.ct, visit.pet, visit.lines, visit.truth, visit.blood))
    return pair[0], pair[1]


# Readers -------------------------------------------------------------------------------------------------------------


def set_anew(visit: Known, rng: np.random.Generator) -> Points:
    found = {n: necks.noisy_points(visit.lines[n], rng, APART_MM, SD_MM) for n in NECK}
    return {n: p[np.argsort(p[:, 2])] for n, p in found.items()}


def off_mm(points: Array, line: Array) -> Array:
    """Distance of points from a line, mm."""
    dense = places_at(line, np.arange(0.0, arc_length_mm(line)[-1], 0.25))
    return np.asarray(cKDTree(dense).query(points)[0])


def corrected(prefill: Prefill, visit: Known, anew: Points, rng: np.random.Generator) -> tuple[Points, int, int]:
    """Return the points after a reader's corrections, the clicks, and how many vessels were confirmed as they came."""
    points, clicks, confirmed = {}, 1, 0
    for name in NECK:
        carried = prefill.points_lps_mm.get(name)
        if carried is None:
            points[name], clicks = anew[name], clicks + len(anew[name])
            continue
        line, own = visit.lines[name], carried.copy()
        bad = off_mm(own, line) > NEAR_MM
        own[bad] = line[cKDTree(line).query(own[bad])[1]]
        own[bad, :2] += rng.normal(0.0, SD_MM, (int(bad.sum()), 2))
        points[name] = own[np.argsort(own[:, 2], kind="stable")]
        # A point that was dragged waits for nothing; the others of its vessel are confirmed at once.
        clicks += int(bad.sum()) + (not bad.all())
        confirmed += not bad.any()
    return points, clicks, confirmed


def read(points: Points, visit: Known) -> Read:
    drawn = draw_vessels(points, {}, visit.ct, visit.pet)
    found = LabelMap(label_vessels(drawn, visit.ct.grid)[0], visit.ct.grid)
    values = {
        n: reading(n, to_canonical(found.mask(n)), v.line_lps_mm, visit.pet, visit.blood) for n, v in drawn.items()
    }
    own = float(np.concatenate([values[n][1] for n in NECK if n not in CAROTIDS]).mean())
    true_blood = {n: values[n][0] for n in CAROTIDS}
    return Read(true_blood, {n: tbr * visit.blood / own for n, tbr in true_blood.items()})


# Pairs ---------------------------------------------------------------------------------------------------------------


class Tally:
    """Clicks, places and errors of all draws of a case."""

    def __init__(self) -> None:
        self.clicks: dict[str, list[int]] = defaultdict(list)
        self.confirmed, self.vessels, self.carried = 0, 0, 0
        self.off: list[Array] = []
        # By way, blood and vessel: error of the change in points, and log errors at the visits read first and second;
        # these by which of the two was read first, too, for the correlation within a vessel and an order.
        self.change: dict[tuple[str, str, str], list[float]] = defaultdict(list)
        self.errors: dict[tuple[str, str, str, int], list[tuple[float, float]]] = defaultdict(list)

    def add_pair(self, pair: tuple[Known, Known], rng: np.random.Generator) -> None:
        first = int(rng.integers(2))
        one, other = pair[first], pair[1 - first]
        set_first, set_second = set_anew(one, rng), set_anew(other, rng)
        prefill = carry_between(Seeds(set_first), one.files, other.files, Protocol().pairing)
        as_is = {n: prefill.points_lps_mm.get(n, set_second[n]) for n in NECK}
        better, clicks, confirmed = corrected(prefill, other, set_second, rng)
        self.clicks[ANEW].append(sum(map(len, set_second.values())))
        self.clicks[CORRECTED].append(clicks)
        self.confirmed += confirmed
        self.vessels += len(NECK)
        self.carried += len(prefill.points_lps_mm)
        self.off += [off_mm(p, other.lines[n]) for n, p in prefill.points_lps_mm.items()]
        for name, why in prefill.not_carried.items():
            print(f"  {name} not carried: {why}", flush=True)
        before = read(set_first, one)
        for way, points in zip(WAYS, (set_second, as_is, better), strict=True):
            self._add(way, first, (before, read(points, other)), (one, other))

    def _add(self, way: str, first: int, reads: tuple[Read, Read], visits: tuple[Known, Known]) -> None:
        for blood in ("true_blood", "own_veins"):
            tbr = [getattr(r, blood) for r in reads]
            base, later = first, 1 - first
            error = {}
            for name in CAROTIDS:
                known = 100.0 * (visits[later].truth[name] / visits[base].truth[name] - 1.0)
                error[name] = 100.0 * (tbr[later][name] / tbr[base][name] - 1.0) - known
                one, two = (float(np.log(t[name] / v.truth[name])) for t, v in zip(tbr, visits, strict=True))
                self.errors[way, blood, name, first].append((one, two))
            index = max(CAROTIDS, key=lambda n: tbr[base][n])
            for name, value in (*error.items(), ("index", error[index])):
                self.change[way, blood, name].append(value)

    def click_row(self, case: str) -> list[str]:
        off, anew, helped = np.concatenate(self.off), *(np.array(self.clicks[w]) for w in (ANEW, CORRECTED))
        draws = len(anew)
        return [
            case,
            str(draws),
            f"{self.carried} of {self.vessels}",
            f"{np.median(off):.1f} ({np.percentile(off, 95):.1f})",
            f"{100 * (off <= NEAR_MM).mean():.0f} %",
            f"{self.confirmed} of {self.vessels}",
            f"{anew.mean():.1f}",
            f"{helped.mean():.1f} ({helped.min()} to {helped.max()})",
        ]

    def change_rows(self, case: str) -> list[list[str]]:
        rows = []
        for blood, said in (("true_blood", "true"), ("own_veins", "seeded veins")):
            for way in WAYS:
                cells = []
                for name in (*CAROTIDS, "index"):
                    a = np.array(self.change[way, blood, name])
                    half = 1.96 * a.std(ddof=1)
                    cells.append(f"{a.mean():+.1f} ({a.mean() - half:+.1f} to {a.mean() + half:+.1f})")
                groups = [np.array(e) for (w, b, *_), e in self.errors.items() if (w, b) == (way, blood)]
                later = 100 * np.concatenate(groups)[:, 1]
                one, two = np.concatenate([group - group.mean(axis=0) for group in groups]).T
                cells += [f"{later.mean():+.1f} ({later.std(ddof=1):.1f})", f"{np.corrcoef(one, two)[0, 1]:+.2f}"]
                rows.append([case, said, way, str(len(a)), *cells])
        return rows


CLICKS = (
    "case | draws of a pair | vessels carried | carried points off the true centreline, mm: median (95th percentile) | "
    "within 3 mm | vessels confirmed as they came | clicks a visit: anew | prefilled: mean (range)"
)
CHANGE = (
    "case | blood | second visit | draws | right carotid | left carotid | index | error of the second visit, % (SD) | "
    "correlation of the two visits' errors"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="results of the simulated trial")
    parser.add_argument("--pairs", type=int, default=24, help="the first so many participants")
    parser.add_argument("--draws", type=int, default=2, help="of each simulated pair")
    parser.add_argument("--hybrid", type=int, default=20, help="draws of the hybrid pair")
    given = parser.parse_args()
    key = read_tsv(given.run / "key" / "key.tsv")
    participants = sorted(set(key["participant_id"]))[: given.pairs]
    simulated, hybrid = Tally(), Tally()
    for n, participant in enumerate(participants):
        pair, rng = simulated_pair(given.run, participant), np.random.default_rng([7, n])
        for _ in range(given.draws):
            simulated.add_pair(pair, rng)
        print(f"{participant}: " + " | ".join(simulated.click_row("so far")), flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        pair, rng = hybrid_pair(Path(scratch)), np.random.default_rng(7)
        for _ in range(given.hybrid):
            hybrid.add_pair(pair, rng)
    cases = ((f"simulated, {len(participants)} pairs", simulated), ("hybrid, one pair", hybrid))
    clicks = [tally.click_row(case) for case, tally in cases]
    change = [row for case, tally in cases for row in tally.change_rows(case)]
    made = [BEGIN, "", table(CLICKS, clicks), table(CHANGE, change), END]
    print("\n".join(made))
    before, rest = PAGE.read_text().split(BEGIN)
    write_text(PAGE, before + "\n".join(made) + rest.split(END)[1])


if __name__ == "__main__":
    main()
