// A visit being read: what each button, key and click does. One object that the parts of the page share.

import { say } from "./dom.js";
import { disc, runsOf } from "./labels.js";
import { LANDMARKS } from "./look.js";
import { PLANES } from "./geometry.js";

export class Reading {
  constructor(session, viewer) {
    this.session = session;
    this.viewer = viewer;
    this.visit = null;
    this.overlay = null;
    this.tools = {
      name: "navigate", plane: "axial", radiusMm: 3, snap: true, advance: true,
      point: null, drag: null, hover: null, range: null, landmark: null,
    };
    // Set by the page: redraw panel and bar, show the reading under the pointer, open dialogs.
    this.shown = () => {};
    this.pointed = () => {};
    this.ask = {};
  }

  // ---- where one looks ----

  go(voxel) {
    this.viewer.setAt(voxel);
    this.pointAt(this.viewer.at);
  }

  goTo(lpsMm) {
    this.go(this.visit.grid.ijk(lpsMm));
  }

  pointAt(voxel) {
    this.pointed(voxel ?? this.viewer.at);
  }

  activate(plane) {
    if (this.tools.plane === plane) return;
    this.tools.plane = plane;
    this.overlayLater();
  }

  scroll(plane, steps) {
    const at = [...this.viewer.at];
    at[PLANES[plane].through] += steps;
    this.go(at);
  }

  /** Move the crosshair in the active plane by voxels to the right and up on the screen. */
  step(right, up) {
    const tile = this.viewer.tiles[this.tools.plane] ?? Object.values(this.viewer.tiles)[0];
    if (!tile) return;
    const at = [...this.viewer.at];
    at[tile.plane.across] += right * Math.sign(tile.stepX);
    at[tile.plane.up] -= up * Math.sign(tile.stepY);
    this.go(at);
  }

  enlarge(plane) {
    this.viewer.single = this.viewer.single ? null : plane;
    this.viewer.fit();
    this.shown();
    say(this.viewer.single ? `The ${plane} picture alone.` : "Three planes.");
  }

  overlayLater() {
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = null;
      this.overlay?.draw();
    });
  }

  // ---- tools and vessels ----

  use(name) {
    this.tools.name = name;
    this.tools.range = null;
    this.element.dataset.tool = name;
    const words = {
      navigate: "Look: click or drag to move the crosshair.",
      seed: `Points: click along the ${this.title()}.`,
      landmark: `Click on the ${(LANDMARKS[this.tools.landmark] ?? "landmark").toLowerCase()}.`,
      brush: `Brush: paint the ${this.title()}.`,
      eraser: `Eraser: take away from the ${this.title()}.`,
      exclude: `Leave out: drag along the ${this.title()} in the coronal or sagittal picture, or on its curve.`,
    };
    say(words[name]);
    this.shown();
    this.overlayLater();
  }

  title(name = this.visit.chosen) {
    return (this.visit.vesselNamed(name)?.title ?? "vessel").toLowerCase();
  }

  choose(name, { go = true } = {}) {
    this.tools.point = null;
    this.visit.choose(name);
    const vessel = this.visit.vessel;
    if (go) {
      const line = vessel.centreline_lps_mm ?? [];
      const place = vessel.hint?.lps_mm ?? line[Math.floor(line.length / 2)] ?? vessel.seeds?.[0]?.lps_mm;
      if (place) this.goTo(place);
    }
    say(`${vessel.title}: ${vessel.words || vessel.state}`);
    this.shown();
    this.overlayLater();
  }

  /** The next vessel that needs the reader, or the next one of all. */
  next(step = 1) {
    const all = this.visit.vessels;
    const from = all.findIndex((v) => v.name === this.visit.chosen);
    const order = all.map((_, n) => all[(from + step * (n + 1) + all.length * all.length) % all.length]);
    this.choose((order.find((v) => v.needs_you) ?? order[0]).name);
  }

  goToHint() {
    const hint = this.visit.vessel?.hint;
    if (!hint) return say(`No point is due on the ${this.title()}.`);
    this.goTo(hint.lps_mm);
    return say(hint.words);
  }

  // ---- points ----

  async addPoint(lpsMm, snap = true) {
    const vessel = this.visit.chosen;
    this.goTo(lpsMm);
    const answer = await this.act({ kind: "seed", op: "add", vessel, lps_mm: lpsMm, snap: snap && this.tools.snap });
    if (!answer || vessel !== this.visit.chosen) return;
    const seeds = this.visit.vessel.seeds;
    const off = (p) => (p ? Math.hypot(...p.map((value, n) => value - lpsMm[n])) : Infinity);
    const away = seeds.map((seed) => Math.min(off(seed.clicked_lps_mm), off(seed.lps_mm)));
    this.tools.point = away.length ? away.indexOf(Math.min(...away)) : null;
    const hint = this.visit.vessel.hint;
    if (this.tools.advance && hint && !this.visit.pending) this.goTo(hint.lps_mm);
    this.shown();
    this.overlayLater();
  }

  selectPoint(index, { go = true } = {}) {
    const seed = this.visit.vessel?.seeds?.[index];
    if (!seed) return;
    this.tools.point = index;
    if (go) this.goTo(seed.lps_mm);
    say(`Point ${index + 1} of ${this.visit.vessel.seeds.length}, z ${seed.lps_mm[2].toFixed(1)} mm`);
    this.shown();
    this.overlayLater();
  }

  stepPoint(step) {
    const seeds = this.visit.vessel?.seeds ?? [];
    if (!seeds.length) return say(`The ${this.title()} has no points.`);
    const from = this.tools.point ?? (step > 0 ? -1 : 0);
    return this.selectPoint((from + step + seeds.length) % seeds.length);
  }

  onPoint(op, more = {}) {
    const index = more.index ?? this.tools.point;
    if (!this.visit.vessel?.seeds?.[index]) {
      say("No point is chosen: click one, or choose it with [ and ].");
      return null;
    }
    if (op === "delete") this.tools.point = null;
    return this.act({ kind: "seed", op, vessel: this.visit.chosen, ...more, index });
  }

  movePoint(index, lpsMm, snap = true) {
    return this.onPoint("move", { index, lps_mm: lpsMm, snap: snap && this.tools.snap });
  }

  movePointHere() {
    return this.movePoint(this.tools.point, this.visit.grid.lps(this.viewer.at));
  }

  clearPoints() {
    this.tools.point = null;
    return this.act({ kind: "seed", op: "clear", vessel: this.visit.chosen });
  }

  setRadius(radiusMm) {
    return this.act({ kind: "seed", op: "radius", vessel: this.visit.chosen, radius_mm: radiusMm });
  }

  beginLandmark(name) {
    this.tools.landmark = name;
    this.use("landmark");
  }

  async setLandmark(lpsMm, name = this.tools.landmark) {
    const answer = await this.act({ kind: "landmark", name, lps_mm: lpsMm });
    if (answer && this.tools.name === "landmark") this.use("seed");
  }

  // ---- brush ----

  mayPaint() {
    if (this.visit.readOnly) return say("This read is finished: reopen it to change it.") ?? false;
    if (!this.visit.vessel) return say("Choose a vessel first.") ?? false;
    return true;
  }

  paint(vessel, mode, runs, undoPreview = null) {
    if (!runs.length) return null;
    return this.act({ kind: "paint", vessel, mode, runs }, { undoPreview });
  }

  /** One dab of the brush at the crosshair, for the keyboard. */
  dab() {
    if (!this.mayPaint()) return null;
    const mode = this.tools.name === "eraser" ? "erase" : "add";
    const { at } = this.viewer;
    const voxels = disc(this.visit.grid, PLANES[this.tools.plane], at, at, this.tools.radiusMm);
    const undo = this.visit.labels.preview([...voxels], this.visit.vessel.label, mode);
    return this.paint(this.visit.chosen, mode, runsOf(voxels), undo);
  }

  // ---- stretches and decisions ----

  askExclude(from = null, to = null) {
    if (this.visit.vessel?.kind !== "artery") {
      this.tools.range = null;
      return say("Only stretches of an artery are left out; a vein is redrawn, or rejected.");
    }
    const z = this.visit.grid.lps(this.viewer.at)[2];
    return this.ask.exclude?.(Math.min(from ?? z, to ?? z), Math.max(from ?? z, to ?? z));
  }

  exclude(zMinMm, zMaxMm, code, words) {
    this.tools.range = null;
    return this.act({ kind: "exclude", vessel: this.visit.chosen, z_min_mm: zMinMm, z_max_mm: zMaxMm, code, words });
  }

  include(index) {
    return this.act({ kind: "include", vessel: this.visit.chosen, index });
  }

  decide(choice, words = "") {
    return this.act({ kind: "decide", vessel: this.visit.chosen, choice, words });
  }

  undo() {
    return this.visit.state.can_undo ? this.act({ kind: "undo" }) : say("Nothing to undo.");
  }

  redo() {
    return this.visit.state.can_redo ? this.act({ kind: "redo" }) : say("Nothing to do again.");
  }

  /** Send an action and tell what came of it. Its words are the server's. */
  async act(action, options = {}) {
    if (this.visit.readOnly && action.kind !== "reopen") {
      options.undoPreview?.();
      this.overlayLater();
      say("This read is finished: reopen it to change it.");
      return null;
    }
    const answer = await this.visit.act(action, options);
    if (answer) say(answer.said);
    return answer;
  }
}
