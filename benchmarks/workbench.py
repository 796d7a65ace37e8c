"""The workbench in a real browser: clicks and seconds a visit, what comes out of them, and its pictures.

    python benchmarks/workbench.py --draws 20        reads the hybrid pair; writes the table of docs/reading.md
    python benchmarks/workbench.py --pictures        draws docs/figures/workbench*.png from a simulated visit

Headless Chromium with software WebGL. For every draw a reader of their own opens both visits of the hybrid pair,
chooses each of the four vessels of the neck (a click), clicks six points along its true centreline with an error of
1.5 mm (SD) along x and y, and accepts it (a click). Scrolling to a level is not a click. The values are those that the
page shows of an accepted vessel. Needs `chromium` and, without `--pictures`, the hybrid study of the reference data.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from pages import table
from PIL import Image
from prefill import hybrid_pair
from reading_target import CHANGE_POINTS, LEVEL_PERCENT, ORDER, SD_MM
from seeds import middle_of

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

import reading  # noqa: E402
from petflame.anatomy import CAROTIDS, title  # noqa: E402
from petflame.dicom.convert import convert_visit  # noqa: E402
from petflame.files import read_nifti, write_text  # noqa: E402
from petflame.labelmap import LabelMap  # noqa: E402
from petflame.protocol import Protocol  # noqa: E402
from petflame.segment.run import segment_visit  # noqa: E402
from petflame.simulate.plan import plan_trial  # noqa: E402
from petflame.simulate.trial import write_simulated_visit  # noqa: E402
from petflame.space.grid import Array  # noqa: E402
from petflame.space.orientation import to_canonical  # noqa: E402
from petflame.space.polyline import arc_length_mm, places_at  # noqa: E402

PAGE, FIGURES = ROOT / "docs" / "reading.md", ROOT / "docs" / "figures"
BEGIN, END = "<!-- made by benchmarks/workbench.py: begin -->", "<!-- made by benchmarks/workbench.py: end -->"
POINTS = 6
ITEMS = ("V00000000A1", "V00000000A2")


@contextmanager
def browsing() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    path = shutil.which("chromium")
    if path is None:
        raise SystemExit("chromium is needed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(reading.FLAGS))
        yield browser
        browser.close()


@contextmanager
def served(results: Path, reader: str) -> Iterator[reading.Server]:
    server = reading.Server(results)
    reading.READER = reader
    server.start()
    try:
        yield server
    finally:
        server.kill()


def seeds_of(line: Array, rng: np.random.Generator) -> Array:
    places = places_at(line, np.linspace(0.0, arc_length_mm(line)[-1], POINTS))
    places[:, :2] += rng.normal(0.0, SD_MM, (POINTS, 2))
    return places


def choose(page: Any, name: str) -> None:
    page.get_by_role("button", name=re.compile(f"^{title(name)}")).first.click()


def draw(page: Any, name: str, places: Array) -> list[float]:
    """Click the points of one vessel; return the seconds until each is answered and drawn."""
    choose(page, name)
    waited = []
    for place in places:
        reading.look_at(page, place)
        x, y = reading.on_screen(page, "axial", place)
        started = time.perf_counter()
        page.mouse.click(x, y)
        reading.settled(page)
        waited.append(time.perf_counter() - started)
    return waited


def read_visit(page: Any, url: str, item: str, lines: dict[str, Array], rng: np.random.Generator) -> dict[str, Any]:
    started = time.perf_counter()
    reading.opened(page, url, item)
    first = time.perf_counter() - started
    page.get_by_role("button", name="Points").click()
    started, clicks, waited = time.perf_counter(), 0, []
    for name in ORDER:
        waited += draw(page, name, seeds_of(lines[name], rng))
        page.get_by_role("button", name="Accept").first.click()
        reading.settled(page)
        clicks += 1 + POINTS + 1
    seconds = time.perf_counter() - started
    values = {}
    for name in CAROTIDS:
        choose(page, name)
        page.wait_for_function(
            "(n) => workbench.reading.visit.state.vessels.find((v) => v.name === n).values", arg=name, timeout=60_000
        )
        values[name] = float(reading.vessel(page, name)["values"]["mean_tbr_max"])
    page.get_by_role("button", name=re.compile("^Finish")).first.click()
    page.get_by_role("button", name=re.compile("^Finish")).last.click()
    reading.settled(page)
    return {"values": values, "first": first, "clicks": clicks, "seconds": seconds, "waited": waited}


def measured(draws: int) -> str:
    with tempfile.TemporaryDirectory() as scratch, browsing() as browser:
        root = Path(scratch)
        (root / "pair").mkdir()
        pair = hybrid_pair(root / "pair")
        for item, known in zip(ITEMS, pair, strict=True):
            shutil.copytree(known.files.root, root / "visits" / item)
        found: list[list[dict[str, Any]]] = []
        for n in range(draws):
            rng = np.random.default_rng([11, n])
            with served(root, f"reader-{n}") as server:
                page = browser.new_page(viewport={"width": 1400, "height": 900})
                both = zip(ITEMS, pair, strict=True)
                found.append([read_visit(page, server.url, item, k.lines, rng) for item, k in both])
                page.close()
            print(n, [one["values"] for one in found[-1]], round(found[-1][0]["seconds"], 1), flush=True)
    rows = []
    for name in CAROTIDS:
        true = [k.truth[name] for k in pair]
        ratio = np.array([[one["values"][name] / t for one, t in zip(two, true, strict=True)] for two in found])
        errors, change = 100.0 * (ratio - 1.0), 100.0 * true[1] / true[0] * (ratio[:, 1] / ratio[:, 0] - 1.0)
        met = (np.abs(errors) <= LEVEL_PERCENT).all(axis=1) & (np.abs(change) <= CHANGE_POINTS)
        told = [f"{e.mean():+.1f} ({e.min():+.1f} to {e.max():+.1f})" for e in (*errors.T, change)]
        rows.append([title(name), *told, f"{met.sum()} of {draws}"])
    visits = [one for two in found for one in two]
    firsts, seconds = ([one[key] for one in visits] for key in ("first", "seconds"))
    waited = np.concatenate([one["waited"] for one in visits])
    said = (
        f"{visits[0]['clicks']} clicks a visit. From the address to the first picture {np.median(firsts):.1f} s "
        f"(longest {max(firsts):.1f}); from a click to the outline on the screen {np.median(waited):.2f} s "
        f"(95th percentile {np.percentile(waited, 95):.2f}); a visit of clicks that need no thought "
        f"{np.median(seconds):.0f} s, on two cores without a graphics card."
    )
    header = "vessel | baseline, %: mean (range) | follow-up, % | change, points | draws within 5 % and 3.5 points"
    return f"{said}\n\n{table(header, rows)}"


def pictures() -> None:
    with tempfile.TemporaryDirectory() as scratch, browsing() as browser:
        root = Path(scratch)
        (root / "study").mkdir()
        for item, plan in zip(ITEMS, plan_trial(60).visit_plans[:2], strict=True):
            write_simulated_visit(root / "study", plan, "fast")
            visit = root / "visits" / item
            convert_visit(root / "study" / plan.dicom_dir, visit, protocol=Protocol())
            segment_visit(visit, "geometric", None)
            if item == ITEMS[0]:
                labels = read_nifti(root / "study" / plan.labels)
                known = LabelMap(np.asarray(labels.data), labels.grid)
                lines = {name: middle_of(to_canonical(known.mask(name))) for name in ORDER}
        with served(root, "reader-1") as server:
            page = browser.new_page(viewport={"width": 1400, "height": 860})
            page.goto(server.url)
            page.get_by_role("button", name=ITEMS[0], exact=True).wait_for()
            shot(page, "workbench_list.png")
            reading.opened(page, server.url, ITEMS[0])
            page.get_by_role("button", name="Points").click()
            rng = np.random.default_rng(3)
            for name in ("jugular_right", "carotid_right", "jugular_left"):
                draw(page, name, seeds_of(lines[name], rng))
                page.get_by_role("button", name="Accept").first.click()
                reading.settled(page)
            draw(page, "carotid_left", seeds_of(lines["carotid_left"], rng)[:4])
            choose(page, "carotid_left")
            time.sleep(3.0)
            shot(page, "workbench.png")


def shot(page: Any, name: str) -> None:
    path = FIGURES / name
    page.screenshot(path=str(path))
    Image.open(path).convert("RGB").quantize(256, Image.Quantize.MEDIANCUT).save(path, optimize=True)
    print(path, os.path.getsize(path))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--pictures", action="store_true")
    given = parser.parse_args()
    if given.pictures:
        pictures()
        return
    text = PAGE.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    write_text(PAGE, f"{before}{BEGIN}\n\n{measured(given.draws)}\n{END}{after}")


if __name__ == "__main__":
    main()
