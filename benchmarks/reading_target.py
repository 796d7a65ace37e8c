"""Whether 32 clicks a visit give the carotids' TBR: the hybrid pair read through the workbench's own actions.

    python benchmarks/reading_target.py --draws 20

A reader chooses a vessel (a click), sets points evenly along its true centreline with an error of 1.5 mm (SD) along x
and y, and accepts it (a click): both jugular veins and both carotids of both visits, each action as the server takes
it, without a browser. What counts is the value that the accepted vessel has on the page: the measurement's own, over
the veins that the same reader drew. Needs the hybrid study of the reference data (PETFLAME_REFERENCE_DATA, or
.cache/data of the checkout). A minute a draw.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pages import table
from prefill import hybrid_pair

from petflame.anatomy import CAROTIDS, title
from petflame.protocol import Protocol
from petflame.review.desk import Desk
from petflame.review.needs import required_vessels
from petflame.review.values import profile_of, values_of
from petflame.review.visit import VisitFiles, read_visit_files
from petflame.space.grid import Array
from petflame.space.polyline import arc_length_mm, places_at

ORDER = ("jugular_right", "carotid_right", "jugular_left", "carotid_left")
SD_MM = 1.5
LEVEL_PERCENT, CHANGE_POINTS = 5.0, 3.5
# Points a vessel, and whether a click is moved to the vessel's middle.
SETTINGS = ((6, True), (6, False), (4, True))


@dataclass(frozen=True)
class Known:
    """A visit with its true centrelines and mean TBRmax."""

    files: VisitFiles
    lines: dict[str, Array]
    truth: dict[str, float]


def read(visit: Known, points: int, snap: bool, rng: np.random.Generator, folder: Path) -> tuple[dict[str, float], int]:
    """Return the carotids' mean TBRmax as read, and the clicks."""
    protocol, clicks = Protocol(), 0
    desk = Desk(visit.files, visit.files.code, "reader", folder, required_vessels(protocol))
    for name in ORDER:
        line = visit.lines[name]
        places = places_at(line, np.linspace(0.0, arc_length_mm(line)[-1], points))
        places[:, :2] += rng.normal(0.0, SD_MM, (points, 2))
        for place in places.tolist():
            desk.act({"kind": "seed", "op": "add", "vessel": name, "lps_mm": place, "snap": snap}, desk.head)
        desk.act({"kind": "decide", "vessel": name, "choice": "accept"}, desk.head)
        clicks += 1 + points + 1
    for name in CAROTIDS:
        profile_of(desk, name, protocol, False)
    values = values_of(desk, protocol, False)
    return {name: float(values[name]["mean_tbr_max"]) for name in CAROTIDS}, clicks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=20)
    draws = parser.parse_args().draws
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        pair = [Known(read_visit_files(k.files.root), k.lines, k.truth) for k in hybrid_pair(root)]
        for points, snap in SETTINGS:
            level: dict[str, list[list[float]]] = {name: [] for name in CAROTIDS}
            started, clicks = time.perf_counter(), 0
            for n in range(draws):
                rng = np.random.default_rng([11, n])
                found = []
                for k, visit in enumerate(pair):
                    values, clicks = read(visit, points, snap, rng, root / f"{points}{snap}{n}{k}")
                    found.append(values)
                for name in CAROTIDS:
                    level[name].append(
                        [100.0 * (f[name] / v.truth[name] - 1.0) for f, v in zip(found, pair, strict=True)]
                    )
            seconds = (time.perf_counter() - started) / (draws * len(pair))
            for name in CAROTIDS:
                errors = np.array(level[name])
                true = [v.truth[name] for v in pair]
                ratio = (1 + errors[:, 1] / 100) / (1 + errors[:, 0] / 100)
                change = 100.0 * true[1] / true[0] * (ratio - 1.0)
                met = (np.abs(errors) <= LEVEL_PERCENT).all(axis=1) & (np.abs(change) <= CHANGE_POINTS)
                rows.append(
                    [
                        str(clicks),
                        str(points),
                        "yes" if snap else "no",
                        title(name),
                        *(f"{e.mean():+.1f} ({e.min():+.1f} to {e.max():+.1f})" for e in errors.T),
                        f"{change.mean():+.1f} ({change.min():+.1f} to {change.max():+.1f})",
                        f"{met.sum()} of {draws}",
                        f"{seconds:.0f}",
                    ]
                )
                print(" | ".join(rows[-1]), flush=True)
    header = (
        "clicks a visit | points a vessel | moved to the middle | vessel | baseline, %: mean (range) | follow-up, %"
    )
    print(table(f"{header} | change, points | draws within 5 % and 3.5 points | seconds a visit", rows))


if __name__ == "__main__":
    main()
