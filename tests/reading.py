"""A folder of visits to read, its server in a process of its own, and the page in the system's browser."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest

import necks
import phantoms
from petflame.anatomy import BY_NAME
from petflame.files import write_json, write_nifti
from petflame.folders import VisitFolder
from petflame.labelmap import LabelMap
from petflame.segment.labelmaps import describe
from petflame.segment.product import write_segmentation
from petflame.space.grid import Grid, Volume

# Software WebGL: no test machine needs a graphics card.
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
)
READER = "reader-1"
READY = "() => window.workbench && window.workbench.reading?.visit && !window.workbench.busy"
# Middle of bright cubes in the CT, LPS mm, and half their edge; nothing else is as bright.
CUBES = {"axial": (-24.0, 18.0, 60.0), "coronal": (21.0, -22.0, 33.0)}
HALF_MM = 4.4
BRIGHT_HU = 2500


def cube(grid: Grid, name: str) -> np.ndarray:
    """Voxels of a bright cube on a grid that stands upright."""
    lps = phantoms.points(grid) * [-1, -1, 1]
    return (np.abs(lps - CUBES[name]) <= HALF_MM).all(axis=-1)


def stored(name: str, volume: Volume) -> Volume:
    """Store an image in another axis order and direction, or in a patient who lies aslant."""
    if name == "oblique":
        a, b = np.radians(11.0), np.radians(7.0)
        about_z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
        about_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
        turned = np.eye(4)
        turned[:3, :3] = about_z @ about_x
        return replace(volume, grid=Grid(volume.data.shape, turned @ volume.grid.affine))
    orders = {
        "ras": ((0, 1, 2), (False, False, False)),
        "lps": ((0, 1, 2), (True, True, False)),
        "turned": ((2, 0, 1), (True, False, True)),
    }
    return phantoms.transformed(volume, *orders[name])


@cache
def _scene():
    ct = necks.ct(outside_hu=-80.0)
    data = ct.data.copy()
    cubes = {name: cube(ct.grid, name) for name in CUBES}
    for inside in cubes.values():
        data[inside] = BRIGHT_HU
    labels = np.zeros(ct.grid.shape, np.uint8)
    labels[necks._off(ct.grid, necks.LINES["jugular_left"]) <= necks.JUGULAR_MM] = BY_NAME["jugular_left"].label
    return Volume(data, ct.grid), necks.pet(wall=1.6), Volume(labels, ct.grid), cubes


def write_visit(root: Path, order: str = "lps") -> dict[str, np.ndarray]:
    """Write a visit with a jugular vein that was found and a carotid that was not; return its cubes as stored."""
    visit = VisitFolder(root)
    ct, pet, labels, cubes = _scene()
    write_nifti(visit.ct, stored(order, ct))
    write_nifti(visit.pet, stored(order, pet))
    kept = stored(order, labels)
    write_segmentation(describe(LabelMap(kept.data, kept.grid), "ct", "labels", {}, {}), visit)
    write_json(visit.pet_json, {"suv_factor": 1.0})
    return {
        name: stored(order, replace(labels, data=inside.astype(np.uint8))).data > 0 for name, inside in cubes.items()
    }


@dataclass
class Server:
    """`petflame review serve` in a process of its own."""

    results: Path
    process: subprocess.Popen[str] | None = None
    url: str = ""

    def start(self) -> str:
        """Start it; return the address that it says."""
        command = [sys.executable, "-m", "petflame", "review", "serve", str(self.results), "--reader", READER]
        self.process = subprocess.Popen([*command, "--no-browser"], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if found := re.search(r"http://\S+", line):
                self.url = found.group()
                return self.url
        raise AssertionError("no address was said")

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    @property
    def folder(self) -> Path:
        """Logs and reads of the reader."""
        return self.results / "review" / READER

    def actions(self, item: str) -> list[dict[str, object]]:
        """Return what the log of an item holds."""
        return [json.loads(line)["action"] for line in (self.folder / f"{item}.jsonl").read_text().splitlines()]


@dataclass
class Browser:
    """Pages of one test, and what they asked of whom."""

    context: object
    asked: set[str] = field(default_factory=set)
    errors: list[str] = field(default_factory=list)
    allowed: set[str] = field(default_factory=set)

    def page(self):
        """Open an empty page whose requests and errors are kept."""
        page = self.context.new_page()
        page.on("request", lambda request: self.asked.add(host_of(request.url)))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda m: self.errors.append(m.text) if m.type == "error" else None)
        return page


def host_of(url: str) -> str:
    """Return whom a request goes to; what a page carries within goes to nobody."""
    return "" if url.startswith(("data:", "blob:")) else urlsplit(url).netloc


@pytest.fixture(scope="module")
def chromium():
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("chromium is not installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()


def opened(page, url: str, item: str):
    """Open an item and wait until its picture is there."""
    page.goto(f"{url}#{item}")
    page.wait_for_function(READY, timeout=60_000)
    return page


def settled(page) -> None:
    """Wait until what was done is answered and drawn."""
    page.wait_for_function(READY)
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def look_at(page, lps_mm) -> None:
    """Bring the crosshair to a place."""
    page.evaluate("(p) => workbench.reading.goTo(p)", list(lps_mm))
    settled(page)


def on_screen(page, plane: str, lps_mm) -> tuple[float, float]:
    """Pixel of a place in a plane, as the page has it."""
    x, y = page.evaluate("([plane, p]) => workbench.screen(plane, p)", [plane, list(lps_mm)])
    return x, y


def tile_box(page, plane: str) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of a plane on the page."""
    left, top, width, height = page.evaluate(
        "(plane) => { const t = workbench.reading.viewer.tiles[plane], b = workbench.reading.element"
        ".getBoundingClientRect(); return [b.left + t.left, b.top + t.top, t.width, t.height]; }",
        plane,
    )
    return int(left) + 1, int(top) + 1, int(left + width) - 1, int(top + height) - 1


def act(page, action) -> None:
    """Have the page send an action."""
    assert page.evaluate("(a) => workbench.reading.act(a).then((answer) => answer !== null)", action)


def state(page):
    """Return what the page knows of the item."""
    return page.evaluate("() => workbench.reading.visit.state")


def vessel(page, name: str):
    """Return what the page knows of a vessel."""
    return next(v for v in state(page)["vessels"] if v["name"] == name)
