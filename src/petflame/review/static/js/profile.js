// The curve of the highest uptake along a vessel: a click goes there, a drag leaves a stretch out.

import { read, visitPath } from "./api.js";
import { fill, figure, h } from "./dom.js";

const MARGIN = { left: 38, right: 10, top: 16, bottom: 22 };

export class Profile {
  constructor(element, reading) {
    Object.assign(this, { element, reading });
    this.data = null;
    this.shown = null;
  }

  /** Ask for the curve of the chosen vessel as it stands now. */
  async refresh() {
    const { visit } = this.reading;
    const vessel = visit?.vessel;
    const key = vessel ? `${visit.item} ${vessel.name} ${visit.state.head}` : "";
    if (key === this.shown) return;
    this.shown = key;
    this.asking?.abort();
    this.asking = new AbortController();
    this.data = null;
    this.words = "";
    if (vessel?.kind === "artery" && vessel.state !== "missing") {
      try {
        this.data = await read(`${visitPath(visit.item, "/profile")}?vessel=${encodeURIComponent(vessel.name)}`, this.asking.signal);
      } catch (error) {
        if (error.name === "AbortError") return;
        this.words = error.message;
      }
    }
    if (this.shown === key) this.draw();
  }

  draw() {
    const { visit, viewer } = this.reading;
    const box = this.element.getBoundingClientRect();
    const [width, height] = [box.width, box.height];
    const title = visit?.vessel?.title ?? "";
    if (!this.data?.z_mm?.length || width < 80 || height < 50) {
      const words = this.words || (visit?.vessel?.kind === "vein" ? "A vein has no curve." : "No curve: nothing is drawn yet.");
      fill(this.element, h("p", { class: "faint" }, words));
      return;
    }
    const { z_mm: z, suv_max: suv, valid = [], excluded = [] } = this.data;
    const [low, high] = [Math.min(...z), Math.max(...z)];
    const top = Math.max(...suv.filter(Number.isFinite)) * 1.12 || 1;
    const x = (value) => MARGIN.left + ((value - low) / (high - low || 1)) * (width - MARGIN.left - MARGIN.right);
    const y = (value) => height - MARGIN.bottom - (value / top) * (height - MARGIN.top - MARGIN.bottom);
    this.toZ = (pixel) => low + ((pixel - MARGIN.left) / (width - MARGIN.left - MARGIN.right)) * (high - low);
    const floor = height - MARGIN.bottom;
    const unit = visit.state.suv ? "SUVmax" : "highest uptake";
    const bands = (visit.vessel.left_out ?? []).map((out) => h("rect", {
      x: x(Math.max(out.z_min_mm, low)), y: MARGIN.top, class: "out", height: floor - MARGIN.top,
      width: Math.max(x(Math.min(out.z_max_mm, high)) - x(Math.max(out.z_min_mm, low)), 2),
    }));
    const dots = z.map((value, n) => (Number.isFinite(suv[n]) ? h("circle", {
      cx: x(value), cy: y(suv[n]), r: 2.4, class: excluded[n] ? "excluded" : valid[n] === false ? "invalid" : "valid",
    }, h("title", {}, `z ${figure(value)} mm, ${unit} ${figure(suv[n], 2)}${this.data.reason?.[n] ? `, ${this.data.reason[n]}` : ""}`)) : null));
    const ticks = [0, top / 2.24, top / 1.12].map((value) => [
      h("line", { x1: MARGIN.left, x2: width - MARGIN.right, y1: y(value), y2: y(value), class: "tick" }),
      h("text", { x: MARGIN.left - 5, y: y(value) + 4, "text-anchor": "end" }, figure(value, 1)),
    ]);
    const at = visit.grid.lps(viewer.at)[2];
    this.cursor = h("line", { x1: x(at), x2: x(at), y1: MARGIN.top, y2: floor, class: "cursor" });
    this.xOf = x;
    this.range = h("rect", { x: 0, y: MARGIN.top, width: 0, height: floor - MARGIN.top, class: "range" });
    const finite = suv.filter(Number.isFinite);
    const summary = `${unit} along the ${title}: ${z.length} sections from z ${figure(low)} to ${figure(high)} mm, between ${figure(Math.min(...finite), 2)} and ${figure(Math.max(...finite), 2)}`;
    const picture = h("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": summary },
      bands, ticks.flat(), this.range, dots, this.cursor,
      h("text", { x: MARGIN.left, y: 11 }, `${unit} along the ${title.toLowerCase()}`),
      h("text", { x: MARGIN.left, y: height - 5 }, `feet   z ${figure(low, 0)} mm`),
      h("text", { x: width - MARGIN.right, y: height - 5, "text-anchor": "end" }, `z ${figure(high, 0)} mm   head`));
    this.listen(picture);
    fill(this.element, picture);
  }

  listen(picture) {
    let from = null;
    const at = (event) => event.clientX - picture.getBoundingClientRect().left;
    picture.addEventListener("pointerdown", (event) => {
      from = at(event);
      picture.setPointerCapture(event.pointerId);
      event.preventDefault();
    });
    picture.addEventListener("pointermove", (event) => {
      if (from === null) return;
      const [a, b] = [Math.min(from, at(event)), Math.max(from, at(event))];
      this.range.setAttribute("x", a);
      this.range.setAttribute("width", b - a);
    });
    picture.addEventListener("pointerup", (event) => {
      if (from === null) return;
      const [start, end] = [from, at(event)];
      from = null;
      this.range.setAttribute("width", 0);
      if (Math.abs(end - start) > 5 && !this.reading.visit.readOnly) this.reading.askExclude(this.toZ(start), this.toZ(end));
      else this.goTo(this.toZ(end));
    });
  }

  /** Go to the vessel's centre at a level. */
  goTo(zMm) {
    const { visit } = this.reading;
    const line = visit.vessel.centreline_lps_mm ?? [];
    const near = line.reduce((best, p) => (!best || Math.abs(p[2] - zMm) < Math.abs(best[2] - zMm) ? p : best), null);
    const here = visit.grid.lps(this.reading.viewer.at);
    this.reading.goTo([near?.[0] ?? here[0], near?.[1] ?? here[1], zMm]);
  }

  /** Move the line that marks the level shown. */
  mark() {
    if (!this.data || !this.cursor || !this.reading.visit) return;
    const x = this.xOf(this.reading.visit.grid.lps(this.reading.viewer.at)[2]);
    this.cursor.setAttribute("x1", x);
    this.cursor.setAttribute("x2", x);
  }
}
