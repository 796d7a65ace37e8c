// The page: the worklist, or one visit. The address after # says which.

import { NotSaved, read, readBytes, visitPath } from "./api.js";
import { drawBar, MODES } from "./bar.js";
import * as dialogs from "./dialogs.js";
import { button, figure, fill, h, say } from "./dom.js";
import { listen } from "./keys.js";
import { WINDOWS } from "./look.js";
import { Mip } from "./mip.js";
import { clearNotices, notice } from "./notices.js";
import { Overlay } from "./overlay.js";
import { drawPanel } from "./panel.js";
import { Profile } from "./profile.js";
import { Reading } from "./reading.js";
import { Stage } from "./stage.js";
import { LEAST_HEIGHT_PX, loadNiivue, STRIP_PX, Viewer } from "./viewer.js";
import { Visit } from "./visit.js";
import * as worklist from "./worklist.js";

// Of the server's words where the reading was ended before the step.
const LOCKED = "ended by `petflame review lock`";
const work = document.getElementById("work");
let session = null;
let order = "mine";
let reading = null;
let parts = null;
let opening = 0;

const page = {
  remarks: {},
  keys: () => dialogs.keys(),
  worklist: () => { window.location.hash = ""; },
  mode(name) {
    reading.viewer.set({ mode: name });
    say(`${MODES.find(([key]) => key === name)[1]}`);
    if (name === "mip" && !reading.overlay.mip.upright) say("No projection: the PET lies aslant to the CT.");
    drawAll();
  },
  nextMode() {
    const at = MODES.findIndex(([name]) => name === reading.viewer.show.mode);
    page.mode(MODES[(at + 1) % MODES.length][0]);
  },
  window(name) {
    reading.viewer.set({ window: name });
    say(`CT window: ${WINDOWS[name].title}`);
    drawAll();
  },
  nextWindow() {
    const names = Object.keys(WINDOWS);
    page.window(names[(names.indexOf(reading.viewer.show.window) + 1) % names.length]);
  },
  suvTop: (top) => { reading.viewer.set({ suvTop: top }); drawAll(); },
  opacity: (value) => reading.viewer.set({ opacity: value, mode: value && reading.viewer.show.mode === "ct" ? "fused" : reading.viewer.show.mode }),
  toggleOutlines() {
    reading.overlay.hidden = !reading.overlay.hidden;
    say(reading.overlay.hidden ? "Outlines hidden." : "Outlines shown.");
    drawAll();
  },
  zoom(factor) {
    if (factor === 0) Object.assign(reading.viewer, { zoom: 1, pan: [0, 0, 0] });
    reading.viewer.zoomBy(factor || 1);
  },
  plane(name) {
    reading.activate(name);
    if (reading.viewer.single) {
      reading.viewer.single = name;
      reading.viewer.fit();
    }
    say(`${name} plane`);
  },
  setBrush(radiusMm) {
    reading.tools.radiusMm = Math.min(Math.max(radiusMm, 0.5), 12);
    drawAll();
  },
  brush: (step) => page.setBrush(reading.tools.radiusMm + step),
  leaveOut: () => reading.use("exclude"),
  bifurcation() {
    const name = reading.visit.chosen ?? "";
    if (!name.startsWith("carotid_")) return say("Choose a carotid first.");
    return reading.beginLandmark(name.replace("carotid_", "carotid_bifurcation_"));
  },
  async accept() {
    const vessel = reading.visit.chosen;
    const answer = await reading.decide("accept", (page.remarks[vessel] ?? "").trim());
    if (answer) delete page.remarks[vessel];
    drawAll();
  },
  async reject() {
    const vessel = reading.visit.chosen;
    const words = (page.remarks[vessel] ?? "").trim();
    if (!words) {
      const fault = document.getElementById("remark-fault");
      if (fault) fault.textContent = "Say in a few words why, then reject.";
      document.getElementById("remark")?.focus();
      return;
    }
    const answer = await reading.decide("reject", words);
    if (answer) delete page.remarks[vessel];
    drawAll();
  },
  async finish() {
    const { visit } = reading;
    if (visit.readOnly) return say("This read is finished already.");
    const titles = (visit.state.undecided ?? []).map((name) => visit.vesselNamed(name)?.title ?? name);
    if (!(await dialogs.finish(titles))) return null;
    const answer = await reading.act({ kind: "finish" });
    if (answer) await refreshProgress();
    return answer;
  },
  reopen: () => reading.act({ kind: "reopen" }),
  async nextVisit() {
    const list = await worklist.load(order);
    const next = worklist.nextItem(list.items, reading?.visit?.item);
    if (next) window.location.hash = next.item;
    else page.worklist();
  },
};

function drawAll() {
  if (!reading?.visit || !parts) return;
  drawBar(parts.bar, reading, page);
  drawPanel(parts.panel, reading, page);
  drawActions();
  reading.overlayLater();
  parts.profile.refresh();
}

function drawActions() {
  const actions = document.getElementById("actions");
  if (!reading?.visit) {
    fill(actions, button("Keys", page.keys, { key: "?", "data-focus": "keys" }));
    return;
  }
  const { visit } = reading;
  const saved = visit.pending ? "saving \u2026" : "all saved";
  fill(actions,
    h("span", { class: "saved" }, saved),
    button("Undo", () => reading.undo(), { disabled: !visit.state.can_undo || visit.readOnly, "data-focus": "undo", title: "Ctrl+Z" }),
    button("Redo", () => reading.redo(), { disabled: !visit.state.can_redo || visit.readOnly, "data-focus": "redo", title: "Ctrl+Shift+Z" }),
    button("Keys", page.keys, { key: "?", "data-focus": "keys" }),
    button("All visits", page.worklist, { key: "Q", "data-focus": "visits" }),
    button("Next vessel", () => reading.next(), { key: "V", "data-focus": "next-vessel" }),
    visit.readOnly
      ? button("Next visit", page.nextVisit, { class: "main", "data-focus": "next-visit" })
      : [button("Finish \u2026", page.finish, { key: "G", class: "main", "data-focus": "finish" }), button("Next visit", page.nextVisit, { "data-focus": "next-visit" })]);
}

async function refreshProgress(list = null) {
  const known = list ?? (await worklist.load(order).catch(() => null));
  if (known) document.getElementById("progress").textContent = worklist.progressWords(known);
}

async function showWorklist() {
  const turn = ++opening;
  if (reading) reading.visit = null;
  parts = null;
  document.title = "petflame: your visits";
  document.getElementById("title").textContent = `petflame reading${session.reader ? `: ${session.reader}` : ""}`;
  drawActions();
  const list = await worklist.load(order);
  if (turn !== opening) return;
  document.body.className = "list";
  refreshProgress(list);
  worklist.draw(work, list, order, {
    open: (item) => { window.location.hash = item; },
    reorder: (other) => { order = other; route(); },
  });
}

/** Build the places of a visit once; canvas and viewer stay for all visits. */
function build() {
  const picture = h("canvas", { id: "picture" });
  const over = h("canvas", { id: "over" });
  const stage = h("div", {
    id: "stage", tabindex: "0", role: "application", "aria-label": "Pictures: axial, coronal and sagittal. Press ? for the keys.",
  }, picture, over);
  const profile = h("div", { id: "profile" });
  const pointed = h("p", { id: "pointed", "aria-label": "Under the pointer" });
  const bar = h("div", { id: "bar", role: "toolbar", "aria-label": "Tools and picture" });
  const panel = h("aside", { id: "panel", "aria-label": "Vessels" });
  const viewer = reading?.viewer ?? new Viewer(picture);
  reading ??= new Reading(session, viewer);
  reading.element = stage;
  return { stage, picture, over, profile: new Profile(profile, reading), profileElement: profile, pointed, bar, panel, viewer };
}

let kept = null;

async function showVisit(item) {
  const turn = ++opening;
  document.title = `petflame: ${item}`;
  document.getElementById("title").textContent = item;
  fill(work, h("p", { class: "waiting", role: "status" }, `Opening ${item} \u2026`));
  // All at once: what is largest takes longest.
  const buffers = { ct: readBytes(visitPath(item, "/ct.nii.gz")), pet: readBytes(visitPath(item, "/pet.nii.gz")) };
  for (const buffer of Object.values(buffers)) buffer.catch(() => null);
  const niivue = await loadNiivue();
  kept ??= build();
  const view = kept;
  view.viewer.prepare(niivue);
  const visit = new Visit(item);
  await visit.open(niivue);
  if (turn !== opening) return;
  fill(work, h("div", { class: "visit" },
    view.bar, h("div", { class: "view" }, view.stage, view.profileElement), view.pointed, view.panel));
  document.body.className = "reading";
  reading.visit = visit;
  if (!reading.overlay) {
    reading.overlay = new Overlay(view.over, view.viewer, visit, reading.tools);
    view.hand = new Stage(view.stage, reading);
    new ResizeObserver(() => reading.visit && (view.viewer.fit(), placeProfile(), parts?.profile.draw())).observe(view.stage);
  }
  Object.assign(reading.overlay, { visit, mip: null });
  Object.assign(reading.tools, { point: null, drag: null, range: null, landmark: null });
  page.remarks = {};
  wire(visit, view);
  view.viewer.single = null;
  Object.assign(view.viewer, { zoom: 1, pan: [0, 0, 0] });
  await view.viewer.open(niivue, buffers, visit.grid, visit.state.suv);
  if (turn !== opening) return;
  reading.overlay.mip = new Mip(view.viewer);
  parts = view;
  placeProfile();
  reading.use(visit.readOnly ? "navigate" : "seed");
  if (visit.chosen) reading.choose(visit.chosen);
  drawAll();
  view.stage.focus({ preventScroll: true });
  // On a small screen the picture comes first; what stands above it is a scroll away.
  if (getComputedStyle(work).overflowY === "visible") view.stage.parentElement.scrollIntoView();
  refreshProgress();
}

function wire(visit, view) {
  view.viewer.drawn = () => {
    reading.overlay.draw();
    parts?.profile.mark();
  };
  reading.shown = drawAll;
  reading.pointed = (voxel) => showPointed(view.pointed, voxel);
  reading.ask = {
    exclude: async (low, high) => {
      const given = await dialogs.exclude(reading.title(), low, high);
      reading.tools.range = null;
      reading.overlayLater();
      if (given) await reading.exclude(...given);
      view.stage.focus({ preventScroll: true });
    },
  };
  visit.changed = () => {
    if (reading.visit !== visit) return;
    if (!visit.vessel?.seeds?.[reading.tools.point]) reading.tools.point = null;
    drawAll();
  };
  visit.refused = async (error, action) => {
    if (error.faults.some((f) => f.what.includes(LOCKED))) {
      visit.afterLock = (await dialogs.afterLock()) ?? "";
      if (visit.afterLock) return reading.act(action);
      return say("Not changed: the reading has ended.");
    }
    const moved = error.status === 409;
    const faults = moved
      ? [{ what: error.body?.said || "this visit was changed in another window", where: "", remedy: "what is shown is the visit as it stands now; do your last step again if it is still wanted" }]
      : error.faults;
    const again = moved || (error.status >= 400 && error.status < 500) ? null : () => reading.act(action);
    return notice(moved ? "Your last step was not saved: another window went on" : "Your last step was not saved", faults, again);
  };
}

function showPointed(place, voxel) {
  const { visit, viewer } = reading;
  if (!visit || !voxel || !viewer.ct) return;
  const { hu, suv, lps } = viewer.valuesAt(voxel);
  const number = visit.state.ct_image_numbers?.[Math.round(voxel[2])];
  const unit = viewer.isSuv ? "SUV" : "Bq/ml";
  const cell = (name, words) => h("span", {}, h("b", {}, name), ` ${words}`);
  fill(place, cell(unit, figure(suv, viewer.isSuv ? 2 : 0)), cell("HU", figure(hu, 0)),
    cell("x, y, z (LPS)", `${lps.map((v) => figure(v)).join(", ")} mm`), number ? cell("CT image", number) : "");
}

/** The curve lies under the axial plane where there is room, else under the pictures. */
function placeProfile() {
  const { viewer, profileElement, stage } = kept;
  const [width, height] = viewer.size;
  const beside = width >= 1.05 * height && height >= LEAST_HEIGHT_PX && !viewer.single;
  kept.stage.parentElement?.classList.toggle("beside", beside);
  if (beside) {
    profileElement.style.width = `${Math.floor(viewer.axialShare * width)}px`;
    profileElement.style.height = `${STRIP_PX}px`;
  } else {
    profileElement.style.width = "";
    profileElement.style.height = "";
  }
  return stage;
}

function failed(error) {
  const faults = error instanceof NotSaved ? error.faults : [{ what: error.message || String(error), where: "", remedy: "" }];
  fill(work, h("p", { class: "waiting" }, "This cannot be shown."));
  document.body.className = "list";
  notice("It cannot be opened", faults, route);
}

async function route() {
  clearNotices();
  try {
    session ??= await read("api/session");
    const item = decodeURIComponent(window.location.hash.slice(1));
    await (item ? showVisit(item) : showWorklist());
  } catch (error) {
    failed(error);
  }
}

listen({
  get visit() { return parts ? reading?.visit : null; },
  get element() { return reading?.element; },
  get tools() { return reading.tools; },
  get viewer() { return reading.viewer; },
  ...Object.fromEntries(["redo", "undo", "step", "scroll", "onPoint", "enlarge", "next", "goToHint", "use", "stepPoint",
    "movePointHere", "addPoint", "setLandmark", "dab", "askExclude"].map((name) => [name, (...given) => reading[name](...given)])),
}, page);
window.addEventListener("hashchange", route);
window.addEventListener("beforeunload", (event) => {
  if (reading?.visit?.pending) event.preventDefault();
});
// Where tests and scripts find a place of the visit on the screen.
window.workbench = {
  get reading() { return reading; },
  get busy() { return !parts || reading.visit.pending > 0; },
  screen(plane, lpsMm) {
    const box = reading.element.getBoundingClientRect();
    const [x, y] = reading.viewer.pixelOf(reading.viewer.tiles[plane], reading.visit.grid.ijk(lpsMm));
    return [box.left + x, box.top + y];
  },
};
await route();
loadNiivue().catch(() => null);
