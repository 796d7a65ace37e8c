// The hand on the picture: mouse, pen and wheel over the three planes, by the tool that is chosen.

import { say } from "./dom.js";
import { disc, runsOf } from "./labels.js";

const HIT_PX = 10;
const STILL_PX = 4;
const WHEEL_PX = 40;

export class Stage {
  /** @param reading what to do with a click: see `Reading` */
  constructor(element, reading) {
    Object.assign(this, { element, reading });
    this.wheelRest = 0;
    const on = (name, handler) => element.addEventListener(name, (event) => handler.call(this, event), { passive: false });
    on("pointerdown", this.down);
    on("pointermove", this.move);
    on("pointerup", this.up);
    on("pointercancel", this.cancel);
    on("pointerleave", this.leave);
    on("wheel", this.wheel);
    on("dblclick", this.enlarge);
    on("contextmenu", (event) => event.preventDefault());
  }

  get viewer() { return this.reading.viewer; }
  get tools() { return this.reading.tools; }
  get visit() { return this.reading.visit; }

  place(event) {
    const box = this.element.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  projected(tile) {
    return this.viewer.show.mode === "mip" && tile.name !== "axial" && this.reading.overlay.mip?.upright;
  }

  down(event) {
    const [x, y] = this.place(event);
    const tile = this.viewer.tileAt(x, y);
    if (!tile || !this.visit) return;
    event.preventDefault();
    this.element.focus({ preventScroll: true });
    this.element.setPointerCapture(event.pointerId);
    this.reading.activate(tile.name);
    const hand = { id: event.pointerId, tile, start: [x, y], last: [x, y], moved: false, plain: event.shiftKey };
    this.hand = hand;
    if (event.button !== 0) hand.does = "pan";
    else if (this.projected(tile)) hand.does = "seek";
    else if (this.visit.readOnly) hand.does = "look";
    else hand.does = { navigate: "look", brush: "stroke", eraser: "stroke", exclude: "range" }[this.tools.name] ?? this.tools.name;
    if (hand.does === "look" || hand.does === "seek") this.look(hand, x, y);
    if (hand.does === "seed") this.grip(hand, x, y);
    if (hand.does === "stroke") this.beginStroke(hand, x, y);
    if (hand.does === "range") this.beginRange(hand, y);
  }

  move(event) {
    const [x, y] = this.place(event);
    const hand = this.hand;
    const over = hand?.tile.name ?? this.viewer.tileAt(x, y)?.name ?? null;
    this.tools.hover = over ? { x, y, tile: over } : null;
    this.reading.pointAt(over ? this.viewer.voxelAt(this.viewer.tiles[over], x, y) : null);
    if (!hand) {
      if (["brush", "eraser"].includes(this.tools.name)) this.reading.overlayLater();
      return;
    }
    if (Math.hypot(x - hand.start[0], y - hand.start[1]) > STILL_PX) hand.moved = true;
    const tile = this.viewer.tiles[hand.tile.name];
    if (!tile) return;
    if (hand.does === "pan") this.viewer.panBy(tile, x - hand.last[0], y - hand.last[1]);
    else if (hand.does === "look" || hand.does === "seek") this.look(hand, x, y);
    else if (hand.does === "seed" && hand.gripped !== undefined && hand.moved) {
      const voxel = this.viewer.voxelAt(tile, x, y, hand.through);
      this.tools.drag = { index: hand.gripped, lps: this.visit.grid.lps(voxel) };
      this.reading.overlayLater();
    } else if (hand.does === "stroke") this.stroke(hand, x, y);
    else if (hand.does === "range" && this.tools.range) {
      this.tools.range[1] = this.level(tile, y);
      this.reading.overlayLater();
    }
    hand.last = [x, y];
  }

  up(event) {
    const hand = this.hand;
    if (!hand || hand.id !== event.pointerId) return;
    this.hand = null;
    const [x, y] = this.place(event);
    const tile = this.viewer.tiles[hand.tile.name] ?? hand.tile;
    if (hand.does === "seed") this.release(hand, tile, x, y);
    else if (hand.does === "landmark" && !hand.moved) this.reading.setLandmark(this.visit.grid.lps(this.viewer.voxelAt(tile, x, y)));
    else if (hand.does === "stroke") this.endStroke(hand);
    else if (hand.does === "range" && this.tools.range) this.reading.askExclude(...this.tools.range);
  }

  cancel() {
    const hand = this.hand;
    this.hand = null;
    this.tools.drag = null;
    this.tools.range = null;
    hand?.undo?.();
    this.reading.overlayLater();
  }

  leave() {
    if (this.hand) return;
    this.tools.hover = null;
    this.reading.pointAt(null);
    this.reading.overlayLater();
  }

  look(hand, x, y) {
    const tile = this.viewer.tiles[hand.tile.name];
    let voxel = this.viewer.voxelAt(tile, x, y);
    if (hand.does === "seek") voxel = this.reading.overlay.mip.hottest(this.viewer, tile, voxel);
    this.reading.go(voxel);
  }

  /** Take hold of a point of the chosen vessel, where one lies under the pointer. */
  grip(hand, x, y) {
    let best = HIT_PX;
    this.visit.vessel?.seeds?.forEach((seed, index) => {
      const ijk = this.visit.grid.ijk(seed.lps_mm);
      const away = Math.abs(ijk[hand.tile.plane.through] - this.viewer.at[hand.tile.plane.through]);
      if (hand.tile.name === "axial" && away > 0.8) return;
      const [px, py] = this.viewer.pixelOf(hand.tile, ijk);
      const distance = Math.hypot(px - x, py - y);
      if (distance >= best) return;
      best = distance;
      hand.gripped = index;
      hand.through = ijk[hand.tile.plane.through];
    });
    if (hand.gripped !== undefined) this.reading.selectPoint(hand.gripped, { go: false });
  }

  release(hand, tile, x, y) {
    this.tools.drag = null;
    if (hand.gripped !== undefined) {
      if (!hand.moved) return;
      const voxel = this.viewer.voxelAt(tile, x, y, hand.through);
      this.reading.movePoint(hand.gripped, this.visit.grid.lps(voxel), !hand.plain);
    } else if (!hand.moved) {
      const voxel = this.viewer.voxelAt(tile, x, y);
      if (!this.visit.grid.holds(voxel)) say("Outside the picture: no point was set.");
      else this.reading.addPoint(this.visit.grid.lps(voxel), !hand.plain);
    }
  }

  beginStroke(hand, x, y) {
    if (!this.reading.mayPaint()) {
      hand.does = "nothing";
      return;
    }
    hand.label = this.visit.vessel.label;
    hand.vessel = this.visit.chosen;
    hand.mode = this.tools.name === "brush" ? "add" : "erase";
    hand.voxels = new Set();
    hand.from = this.viewer.voxelAt(hand.tile, x, y);
    this.stroke(hand, x, y);
  }

  stroke(hand, x, y) {
    const to = this.viewer.voxelAt(this.viewer.tiles[hand.tile.name], x, y, Math.round(hand.from[hand.tile.plane.through]));
    for (const n of disc(this.visit.grid, hand.tile.plane, hand.from, to, this.tools.radiusMm)) hand.voxels.add(n);
    hand.from = to;
    hand.undo?.();
    hand.undo = this.visit.labels.preview([...hand.voxels], hand.label, hand.mode);
    this.reading.overlayLater();
  }

  endStroke(hand) {
    this.reading.paint(hand.vessel, hand.mode, runsOf(hand.voxels), hand.undo);
  }

  beginRange(hand, y) {
    if (hand.tile.plane.up !== 2) {
      hand.does = "nothing";
      say("Drag along the vessel in the coronal or sagittal picture, or along its curve.");
      return;
    }
    const z = this.level(hand.tile, y);
    this.tools.range = [z, z];
  }

  /** LPS z under a pixel row of an upright plane. */
  level(tile, y) {
    const voxel = [...this.viewer.at];
    voxel[2] = tile.originY + tile.stepY * y;
    return this.visit.grid.lps(voxel)[2];
  }

  wheel(event) {
    const [x, y] = this.place(event);
    const tile = this.viewer.tileAt(x, y);
    if (!tile || !this.visit) return;
    event.preventDefault();
    this.reading.activate(tile.name);
    if (event.ctrlKey || event.metaKey) {
      this.viewer.zoomBy(Math.exp(-event.deltaY / 300), tile, x, y);
      return;
    }
    this.wheelRest += event.deltaMode === 0 ? event.deltaY / WHEEL_PX : event.deltaY;
    const whole = Math.trunc(this.wheelRest);
    if (!whole) return;
    this.wheelRest -= whole;
    // One notch, one slice, whatever the mouse calls a notch.
    this.reading.scroll(tile.name, -Math.sign(whole) * (event.shiftKey ? 5 : 1));
  }

  enlarge(event) {
    const [x, y] = this.place(event);
    const tile = this.viewer.tileAt(x, y);
    if (tile && this.tools.name === "navigate") this.reading.enlarge(tile.name);
  }
}
