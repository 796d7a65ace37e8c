"""The workbench's page in a real browser against the real server: look, draw, paint, decide, lose nothing."""

from __future__ import annotations

import io
import json
import re

import numpy as np
import pytest
from PIL import Image

import necks
from petflame.errors import InputRefused
from petflame.review.log import _require_after_lock
from reading import (
    CUBES,
    READER,
    Browser,
    Server,
    act,
    host_of,
    look_at,
    on_screen,
    opened,
    settled,
    state,
    tile_box,
    vessel,
    write_visit,
)
from reading import chromium as chromium

pytestmark = pytest.mark.slow
GRIDS = ("lps", "ras", "turned", "oblique")
ITEMS = {name: f"V00000000{n:02X}" for n, name in enumerate(GRIDS, start=1)}
ITEMS |= {name: f"V00000000{n:02X}" for n, name in enumerate(("points", "decide", "keys", "tabs", "look"), start=16)}
CAROTID = necks.LINES["carotid_left"]
# Of the left carotid's outline.
YELLOW = np.array([0xF0, 0xE4, 0x42])


def at_level(z_mm):
    """Centre of the true carotid at a level, LPS mm."""
    return CAROTID[np.abs(CAROTID[:, 2] - z_mm).argmin()]


def off(lps_mm, *by_mm):
    return np.asarray(lps_mm) + np.array(by_mm)


@pytest.fixture(scope="module")
def visits(tmp_path_factory):
    root = tmp_path_factory.mktemp("reading")
    return root, {
        name: write_visit(root / "visits" / item, name if name in GRIDS else "lps") for name, item in ITEMS.items()
    }


@pytest.fixture(scope="module")
def server(visits):
    server = Server(visits[0])
    server.start()
    yield server
    server.kill()


@pytest.fixture
def browser(chromium, server):
    context = chromium.new_context(viewport={"width": 1280, "height": 720})
    context.set_default_timeout(10_000)
    browser = Browser(context, allowed={"", host_of(server.url)})
    yield browser
    context.close()
    assert browser.asked <= browser.allowed, "a request left the page"
    assert browser.errors == []


def picture(page) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("RGB")).astype(int)


def pixels_like(page, plane, colour, within=40):
    """Pixels (x, y) of a plane that are of a colour."""
    left, top, right, bottom = tile_box(page, plane)
    rows, columns = np.nonzero((np.abs(picture(page)[top:bottom, left:right] - colour) < within).all(axis=-1))
    return np.column_stack([columns + left, rows + top])


def test_it_opens_scrolls_draws_from_points_and_moves_them(browser, server):
    page = browser.page()
    page.goto(server.url)
    page.get_by_role("button", name=ITEMS["points"], exact=True).click()
    page.wait_for_function("() => window.workbench && !window.workbench.busy", timeout=60_000)
    page.get_by_role("button", name=re.compile("^Left carotid")).click()
    assert "TBR" not in page.inner_text("body")

    look_at(page, at_level(30))
    before = page.locator("#pointed").inner_text()
    page.mouse.move(*on_screen(page, "axial", at_level(30)))
    page.mouse.wheel(0, -100)
    settled(page)
    z = page.evaluate("() => workbench.reading.visit.grid.lps(workbench.reading.viewer.at)[2]")
    assert z == pytest.approx(33, abs=0.1)
    assert page.locator("#pointed").inner_text() != before

    look_at(page, at_level(45))
    assert len(pixels_like(page, "axial", YELLOW)) == 0
    page.get_by_role("button", name="Points").click()
    for level in (6, 30, 54, 78):
        look_at(page, at_level(level))
        page.mouse.click(*on_screen(page, "axial", off(at_level(level), 1.5, 0, 0)))
        settled(page)
    seeds = vessel(page, "carotid_left")["seeds"]
    assert [round(s["lps_mm"][2]) for s in seeds] == [6, 30, 54, 78]
    look_at(page, off(at_level(45), 25, 25, 0))
    outline = pixels_like(page, "axial", YELLOW)
    assert len(outline) > 30
    middle = np.array(on_screen(page, "axial", at_level(45)))
    one_mm = np.abs(np.array(on_screen(page, "axial", off(at_level(45), 1, 0, 0))) - middle).max()
    assert np.linalg.norm(np.median(outline, axis=0) - middle) < 3 * one_mm
    assert len(pixels_like(page, "coronal", YELLOW)) > 0, "points off the slice are shown as rings"

    # A point that was moved to the vessel's middle is put back where it was clicked.
    snapped = next(n for n, seed in enumerate(seeds) if seed["snapped"])
    assert off(seeds[snapped]["lps_mm"], *-at_level(seeds[snapped]["lps_mm"][2])) == pytest.approx(0, abs=1)
    page.evaluate("(n) => workbench.reading.selectPoint(n)", snapped)
    page.get_by_role("button", name="Refuse the snap").click()
    settled(page)
    seed = vessel(page, "carotid_left")["seeds"][snapped]
    assert seed["lps_mm"] == seed["clicked_lps_mm"]
    page.keyboard.press("Control+z")
    settled(page)

    # A drag takes the point along, without the snap when Shift is held.
    start = np.array(seeds[1]["lps_mm"])
    look_at(page, start)
    page.mouse.move(*on_screen(page, "axial", start))
    page.keyboard.down("Shift")
    page.mouse.down()
    page.mouse.move(*on_screen(page, "axial", off(start, 0, 5, 0)), steps=4)
    page.mouse.up()
    page.keyboard.up("Shift")
    settled(page)
    moved = vessel(page, "carotid_left")["seeds"][1]
    assert np.array(moved["lps_mm"]) == pytest.approx(off(start, 0, 5, 0), abs=0.6)
    page.keyboard.press("Control+z")
    settled(page)
    assert vessel(page, "carotid_left")["seeds"][1]["lps_mm"] == pytest.approx(start, abs=1e-3)
    page.keyboard.press("]")
    page.keyboard.press("Delete")
    settled(page)
    assert len(vessel(page, "carotid_left")["seeds"]) == 3
    assert [a["kind"] for a in server.actions(ITEMS["points"])] == [
        "open",
        *["seed"] * 5,
        "undo",
        "seed",
        "undo",
        "seed",
    ]


@pytest.mark.parametrize("name", GRIDS)
def test_what_is_painted_lies_where_it_was_seen_whatever_the_order_of_the_file(browser, server, visits, name):
    page = opened(browser.page(), server.url, ITEMS[name])
    page.get_by_role("button", name=re.compile("^Right carotid")).click()
    page.get_by_role("button", name="CT", exact=True).click()
    page.get_by_label("CT window").select_option("wide")
    page.get_by_role("button", name="Brush").click()
    page.evaluate("() => { workbench.reading.tools.radiusMm = 2; }")
    for plane in CUBES:
        bright = visits[1][name][plane]
        ijk = np.argwhere(bright).mean(axis=0)
        # Scroll to the cube by its place in the file; where it is on the screen, the pixels tell.
        look_at(page, place_in_file(server, name, ijk))
        page.mouse.move(5, 5)
        seen = pixels_like(page, plane, [255, 255, 255], within=12)
        assert len(seen) > 100
        page.mouse.click(*seen.mean(axis=0))
        settled(page)
        stroke = server.actions(ITEMS[name])[-1]
        assert stroke["kind"] == "paint"
        runs = np.array(stroke["runs"]).reshape(-1, 2)
        flat = np.concatenate([np.arange(start, start + length) for start, length in runs])
        painted = np.column_stack(np.unravel_index(flat, bright.shape))
        assert bright[tuple(painted.T)].all(), f"painted beside the cube on the {plane} picture"
        assert np.abs(painted.mean(axis=0) - ijk).max() < 1.2
    drawn = page.evaluate(COUNT)
    page.reload()
    settled(page)
    assert page.evaluate(COUNT) == drawn > 0
    act(page, {"kind": "undo"})
    assert page.evaluate(COUNT) < drawn


COUNT = "() => workbench.reading.visit.labels.data.filter((n) => n === 4).length"


def place_in_file(server, name, ijk):
    import nibabel as nib

    affine = nib.load(server.results / "visits" / ITEMS[name] / "ct.nii.gz").affine
    return (nib.affines.apply_affine(affine, ijk) * [-1, -1, 1]).tolist()


def test_a_stretch_a_decision_a_killed_server_and_the_end(browser, server):
    item = ITEMS["decide"]
    page = opened(browser.page(), server.url, item)
    page.get_by_role("button", name=re.compile("^Left carotid")).click()
    for level in (6, 30, 54, 78):
        act(
            page,
            {"kind": "seed", "op": "add", "vessel": "carotid_left", "lps_mm": at_level(level).tolist(), "snap": False},
        )

    page.get_by_role("button", name="Leave out", exact=True).click()
    look_at(page, at_level(60))
    page.mouse.move(*on_screen(page, "coronal", at_level(60)))
    page.mouse.down()
    page.mouse.move(*on_screen(page, "coronal", at_level(69)), steps=4)
    page.mouse.up()
    dialog = page.get_by_role("dialog")
    page.get_by_role("button", name="Leave out", exact=True).last.click()
    assert "why" in dialog.get_by_role("alert").inner_text()
    dialog.get_by_label("In your words").fill("<img src=x onerror=alert(1)> metal")
    dialog.get_by_label("Reason").select_option("metal")
    dialog.get_by_role("button", name="Leave out").click()
    page.get_by_role("button", name="Take back stretch 1").wait_for()
    (out,) = vessel(page, "carotid_left")["left_out"]
    assert (out["z_min_mm"], out["z_max_mm"]) == (pytest.approx(60, abs=1.5), pytest.approx(69, abs=1.5))
    assert page.locator("#panel img").count() == 0
    assert "<img src=x" in page.inner_text("#panel")

    # The curve: a click goes to a level, a drag asks for a stretch.
    curve = page.locator("#profile svg")
    curve.wait_for()
    assert "SUVmax along the Left carotid" in curve.get_attribute("aria-label")
    box = curve.bounding_box()
    page.mouse.move(box["x"] + 0.4 * box["width"], box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 60, steps=3)
    page.mouse.up()
    low, high = (float(dialog.get_by_label(name).input_value()) for name in ("From z", "To z"))
    assert 6 < low < 45 < high < 78
    page.keyboard.press("Escape")
    page.mouse.click(box["x"] + 0.5 * box["width"], box["y"] + 60)
    settled(page)
    z = page.evaluate("() => workbench.reading.visit.grid.lps(workbench.reading.viewer.at)[2]")
    assert low < z < high

    page.get_by_role("button", name="Reject").click()
    assert vessel(page, "carotid_left")["decision"] is None
    assert page.evaluate("() => document.activeElement.id") == "remark"
    page.get_by_role("button", name="Accept").click()
    settled(page)
    assert vessel(page, "carotid_left")["state"] == "accepted"

    server.kill()
    page.get_by_role("button", name="Undo").click()
    notice = page.locator("#notices")
    notice.get_by_text("not saved").wait_for()
    assert "does not answer" in notice.inner_text()
    assert vessel(page, "carotid_left")["state"] == "accepted"
    browser.errors.clear()  # The browser itself tells of the connection that was cut.
    server.start()
    browser.allowed.add(host_of(server.url))
    page = opened(browser.page(), server.url, item)
    carotid = vessel(page, "carotid_left")
    assert (carotid["state"], len(carotid["seeds"]), len(carotid["left_out"])) == ("accepted", 4, 1)

    page.get_by_role("button", name=re.compile("^Finish")).click()
    assert "Right carotid" in page.get_by_role("dialog").inner_text()
    page.get_by_role("button", name="Finish all the same").click()
    settled(page)
    page.get_by_text("This read is finished.").wait_for()
    read = json.loads((server.folder / f"{item}.read.json").read_text())
    assert read["decisions"]["carotid_left"]["choice"] == "accept"
    assert page.get_by_role("button", name="Brush").is_disabled()
    page.get_by_role("button", name="Reopen it").click()
    settled(page)
    assert not state(page)["finished"]


def test_a_visit_is_read_with_the_keyboard_alone(browser, server):
    page = browser.page()
    page.goto(server.url)
    page.get_by_role("button", name=ITEMS["keys"], exact=True).wait_for()
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("() => document.activeElement.textContent") == ITEMS["keys"]:
            break
    assert page.evaluate("() => getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    page.wait_for_function("() => window.workbench && !window.workbench.busy", timeout=60_000)

    def live():
        return page.locator("#live").inner_text()

    page.keyboard.press("?")
    assert "next slice" in page.get_by_role("dialog").inner_text()
    page.keyboard.press("Escape")
    # To the left carotid, which no software has found.
    for _ in range(9):
        if page.evaluate("() => workbench.reading.visit.chosen") == "carotid_left":
            break
        page.keyboard.press("v")
    page.keyboard.press("p")
    page.keyboard.press("1")
    for level in (9, 36, 63, 84):
        walk(page, at_level(level))
        page.keyboard.press("Enter")
        settled(page)
    assert "point" in live()
    seeds = vessel(page, "carotid_left")["seeds"]
    assert len(seeds) == 4
    page.keyboard.press("[")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("m")
    settled(page)
    page.keyboard.press("f")
    page.keyboard.press("Enter")
    settled(page)
    assert state(page)["landmarks"]["carotid_bifurcation_left"]
    page.keyboard.press("b")
    page.keyboard.press("Enter")
    settled(page)
    page.keyboard.press("e")
    page.keyboard.press("Enter")
    settled(page)
    page.keyboard.press("Control+z")
    settled(page)
    page.keyboard.press("a")
    settled(page)
    assert vessel(page, "carotid_left")["state"] == "accepted"
    page.keyboard.press("v")
    page.keyboard.press("x")
    page.keyboard.type("not in the picture")
    page.keyboard.press("Escape")
    page.keyboard.press("x")
    settled(page)
    rejected = [v for v in state(page)["vessels"] if v["state"] == "rejected"]
    assert [v["decision"]["words"] for v in rejected] == ["not in the picture"]
    page.keyboard.press("g")
    page.get_by_role("dialog").wait_for()
    page.keyboard.press("Enter")
    page.get_by_text("This read is finished.").wait_for()
    assert (server.folder / f"{ITEMS['keys']}.read.json").exists()


AWAY = """(p) => { const { visit, viewer } = workbench.reading;
  return visit.grid.nearest(visit.grid.ijk(p)).map((n, axis) => n - viewer.at[axis]); }"""
# Voxels of the page rise to the patient's right, which is on the left; forwards, which is up; and to the head.
STEPS = {2: ("PageUp", "PageDown"), 0: ("ArrowLeft", "ArrowRight"), 1: ("ArrowUp", "ArrowDown")}


def walk(page, lps_mm):
    """Bring the crosshair to a place with the arrow keys and the keys for slices."""
    for axis, (more, less) in STEPS.items():
        for _ in range(200):
            away = page.evaluate(AWAY, list(map(float, lps_mm)))[axis]
            if not away:
                break
            page.keyboard.press(more if away > 0 else less)
    assert page.evaluate(AWAY, list(map(float, lps_mm))) == [0, 0, 0]


def test_two_windows_on_one_visit_mix_nothing(browser, server):
    item = ITEMS["tabs"]
    one, other = opened(browser.page(), server.url, item), opened(browser.page(), server.url, item)
    act(other, {"kind": "comment", "words": "seen"})
    one.evaluate("() => workbench.reading.act({kind: 'comment', words: 'mine'})")
    one.get_by_text("Your last step was not saved").first.wait_for()
    settled(one)
    assert state(one)["head"] == state(other)["head"]
    act(one, {"kind": "comment", "words": "mine"})
    assert [a.get("words") for a in server.actions(item)] == [None, "seen", "mine"]
    browser.errors = [e for e in browser.errors if "409" not in e]


def test_after_the_end_of_the_reading_a_change_needs_the_reader_s_words(browser, server):
    with pytest.raises(InputRefused) as refused:
        _require_after_lock({}, after_lock=False, where="the log")
    page = opened(browser.page(), server.url, ITEMS["look"])
    sent = []

    def answer(route):
        sent.append(route.request.post_data_json)
        if sent[-1].get("after_lock"):
            route.continue_()
        else:
            route.fulfill(status=422, json={"faults": [fault.as_dict() for fault in refused.value.faults]})

    page.route("**/act", answer)
    page.get_by_role("button", name=re.compile("^Left internal jugular")).click()
    page.keyboard.press("a")
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Change it all the same").click()
    assert "why" in dialog.get_by_role("alert").inner_text()
    dialog.get_by_label("Why is it changed").fill("a stent was seen")
    dialog.get_by_role("button", name="Change it all the same").click()
    page.wait_for_function("() => workbench.reading.visit.vessel.state === 'accepted'")
    assert [(s.get("after_lock"), s.get("why")) for s in sent[-2:]] == [(None, None), (True, "a stent was seen")]
    browser.errors = [e for e in browser.errors if "422" not in e]


@pytest.mark.parametrize(("width", "height", "ratio"), [(1280, 720, 1), (1920, 1080, 1), (640, 360, 2)])
def test_everything_has_a_name_and_a_place_at_each_size(chromium, server, width, height, ratio):
    context = chromium.new_context(viewport={"width": width, "height": height}, device_scale_factor=ratio)
    page = opened(context.new_page(), server.url, ITEMS["look"])
    assert page.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth")
    beyond = page.evaluate(
        "() => [...document.querySelectorAll('button, select, input')].filter((e) => e.offsetParent &&"
        " (e.getBoundingClientRect().right > window.innerWidth + 1 || e.getBoundingClientRect().left < -1))"
        ".map((e) => e.textContent)"
    )
    assert beyond == []
    nameless = re.compile(r"- (button|combobox|slider|checkbox|textbox|spinbutton|dialog)(?! \")")
    tree = page.locator("body").aria_snapshot()
    assert not nameless.search(tree), tree
    for plane in ("axial", "coronal", "sagittal"):
        left, top, right, bottom = tile_box(page, plane)
        assert min(right - left, bottom - top) > 90
    page.keyboard.press("?")
    assert not nameless.search(page.locator("body").aria_snapshot())
    page.keyboard.press("Escape")
    page.goto(server.url)
    page.get_by_role("button", name=ITEMS["look"], exact=True).wait_for()
    assert not nameless.search(page.locator("body").aria_snapshot())
    assert READER in page.inner_text("#top")
    context.close()


def test_the_right_of_the_patient_is_on_the_left_and_the_spine_below(browser, server):
    page = opened(browser.page(), server.url, ITEMS["look"])
    look_at(page, (0.0, 0.0, 45.0))
    here = np.array(on_screen(page, "axial", (0, 0, 45)))
    assert on_screen(page, "axial", (10, 0, 45))[0] > here[0], "LPS x rises to the patient's left, on the right"
    assert on_screen(page, "axial", (0, 10, 45))[1] > here[1], "LPS y rises backwards, downwards"
    assert on_screen(page, "coronal", (0, 0, 55))[1] < on_screen(page, "coronal", (0, 0, 45))[1]
    # And the picture itself: the bright cube on the patient's right, behind.
    page.get_by_role("button", name="CT", exact=True).click()
    page.get_by_label("CT window").select_option("wide")
    look_at(page, (0.0, 0.0, CUBES["axial"][2]))
    seen = pixels_like(page, "axial", [255, 255, 255], within=12).mean(axis=0)
    middle = np.array(on_screen(page, "axial", (0, 0, CUBES["axial"][2])))
    assert seen[0] < middle[0]
    assert seen[1] > middle[1]


def test_outlines_runs_and_brush_are_exact(browser, server):
    page = opened(browser.page(), server.url, ITEMS["look"])
    found = page.evaluate(
        """async () => {
          const base = new URL('static/js/', document.baseURI).href;
          const { outlines, boxes } = await import(base + 'outlines.js');
          const { runsOf, disc } = await import(base + 'labels.js');
          const { Grid, PLANES } = await import(base + 'geometry.js');
          const data = new Uint8Array(25);
          // Two voxels that touch at a corner, and one with a hole round it.
          data[6] = data[12] = 1;
          const slice = { width: 5, height: 5, base: 0, across: 1, up: 5, data };
          const lines = outlines(slice, 1, boxes(slice).get(1));
          const ring = new Uint8Array(25).fill(2);
          ring[12] = 0;
          const round = outlines({ ...slice, data: ring }, 2, [0, 0, 4, 4]);
          const area = (p) => { let s = 0; for (let n = 0; n < p.length; n += 2) { const m = (n + 2) % p.length;
            s += p[n] * p[m + 1] - p[m] * p[n + 1]; } return s / 2; };
          const grid = new Grid([20, 20, 20], [[2, 0, 0, 0], [0, 1, 0, 0], [0, 0, 4, 0], [0, 0, 0, 1]]);
          const dab = [...disc(grid, PLANES.coronal, [10, 10, 10], [10, 10, 10], 4)];
          return { lines: lines.map(area), round: round.map(area), runs: runsOf([9, 3, 4, 5]), dab,
            there: grid.ijk(grid.lps([3, 4, 5])) };
        }"""
    )
    assert found["lines"] == pytest.approx([0.5, 0.5])
    assert sorted(found["round"]) == pytest.approx([-1.5 + 1.0, 25 - 0.5])
    assert found["runs"] == [3, 3, 9, 1]
    places = {(n % 20, n // 20 % 20, n // 400) for n in found["dab"]}
    expected = {
        (i, 10, k) for i in range(20) for k in range(20) if (2 * (i - 10)) ** 2 + (4 * (k - 10)) ** 2 <= 16.0001
    }
    assert places == expected
    assert found["there"] == pytest.approx([3, 4, 5])
