// What lies over the picture: outlines, points, crosshair, letters. Drawn in the pixels of the screen, so crisp at any zoom.

import { figure } from "./dom.js";
import { lineOf, lookOf } from "./look.js";
import { boxes, outlines } from "./outlines.js";

const NEAR_MM = 4;

export class Overlay {
  constructor(canvas, viewer, visit, tools) {
    Object.assign(this, { canvas, viewer, visit, tools });
    this.context = canvas.getContext("2d");
    this.hidden = false;
  }

  draw() {
    const { viewer, context } = this;
    const [width, height] = viewer.size;
    const ratio = viewer.ratio;
    if (this.canvas.width !== viewer.canvas.width || this.canvas.height !== viewer.canvas.height) {
      this.canvas.width = viewer.canvas.width;
      this.canvas.height = viewer.canvas.height;
    }
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    for (const tile of Object.values(viewer.tiles)) {
      context.save();
      context.beginPath();
      context.rect(tile.left, tile.top, tile.width, tile.height);
      context.clip();
      const projected = viewer.show.mode === "mip" && this.mip?.draw(context, viewer, tile);
      const bright = projected || viewer.show.mode === "pet";
      this.crosshair(tile, bright);
      if (!this.hidden && !projected) this.outlines(tile);
      this.marks(tile, projected);
      this.brush(tile);
      this.range(tile);
      this.letters(tile, projected, bright);
      context.restore();
    }
  }

  outlines(tile) {
    const { viewer, visit, context } = this;
    const slice = visit.labels.slice(tile.plane, Math.round(viewer.at[tile.plane.through]));
    for (const [label, box] of boxes(slice)) {
      const vessel = visit.vesselOfLabel(label);
      if (!vessel) continue;
      const look = lookOf(vessel.name);
      const line = lineOf(vessel.state);
      const chosen = vessel.name === visit.chosen ? 0.8 : 0;
      const path = new Path2D();
      let highest = null;
      for (const points of outlines(slice, label, box)) {
        for (let n = 0; n < points.length; n += 2) {
          const [x, y] = this.pixel(tile, points[n], points[n + 1]);
          if (n) path.lineTo(x, y);
          else path.moveTo(x, y);
          if (!highest || y < highest[1]) highest = [x, y];
        }
        path.closePath();
      }
      context.lineJoin = "round";
      context.lineCap = line.dash.length ? "butt" : "round";
      context.setLineDash(line.dash);
      context.strokeStyle = "rgba(0, 0, 0, 0.75)";
      context.lineWidth = line.width + chosen + 1.6;
      context.stroke(path);
      context.strokeStyle = look.colour;
      context.lineWidth = line.width + chosen;
      context.stroke(path);
      context.setLineDash([]);
      if (highest) this.words(look.letters, highest[0], highest[1] - 6, look.colour, "center", chosen ? 12 : 10);
    }
  }

  pixel(tile, across, up) {
    return [(across - tile.originX) / tile.stepX, (up - tile.originY) / tile.stepY];
  }

  /** Points, landmarks and the place where the next point is due. */
  marks(tile, projected) {
    const { visit, viewer } = this;
    const { through } = tile.plane;
    const distance = (ijk) => Math.abs(ijk[through] - Math.round(viewer.at[through])) * visit.grid.voxelsMm[through];
    const reach = Math.max(visit.grid.voxelsMm[through] * 0.75, tile.name === "axial" ? 0 : NEAR_MM);
    for (const vessel of visit.vessels) {
      const chosen = vessel.name === visit.chosen;
      vessel.seeds?.forEach((seed, index) => {
        const dragged = chosen && this.tools.drag?.index === index ? this.tools.drag.lps : null;
        const ijk = visit.grid.ijk(dragged ?? seed.lps_mm);
        const near = projected || distance(ijk) <= reach;
        if (!near && (tile.name === "axial" || !chosen)) return;
        const [x, y] = viewer.pixelOf(tile, ijk);
        if (seed.snapped && near && !dragged) this.snapLine(tile, seed, x, y, lookOf(vessel.name).colour);
        const selected = chosen && this.tools.point === index;
        this.point(x, y, { vessel, near, chosen, selected, prefilled: seed.prefilled });
      });
    }
    for (const [name, lps] of Object.entries(visit.state.landmarks ?? {})) {
      if (!lps) continue;
      const ijk = visit.grid.ijk(lps);
      if (distance(ijk) > Math.max(reach, NEAR_MM)) continue;
      const [x, y] = viewer.pixelOf(tile, ijk);
      this.diamond(x, y, "#ffffff", []);
      this.words(name.startsWith("carotid_bif") ? "bifurcation" : name.replaceAll("_", " "), x + 9, y, "#ffffff", "left");
    }
    const hint = visit.vessel?.hint;
    if (hint && this.tools.name === "seed" && !visit.readOnly) {
      const ijk = visit.grid.ijk(hint.lps_mm);
      if (tile.name === "axial" && distance(ijk) > visit.grid.voxelsMm[2]) return;
      const [x, y] = viewer.pixelOf(tile, ijk);
      this.ring(x, y);
      if (tile.name === "axial") this.words("next point about here", x, y + 21, "#ffffff", "center");
    }
  }

  snapLine(tile, seed, x, y, colour) {
    const { context, viewer, visit } = this;
    const [cx, cy] = viewer.pixelOf(tile, visit.grid.ijk(seed.clicked_lps_mm));
    this.stroke([[cx, cy], [x, y]], colour, 1);
    this.stroke([[cx - 3, cy - 3], [cx + 3, cy + 3]], colour, 1);
    this.stroke([[cx - 3, cy + 3], [cx + 3, cy - 3]], colour, 1);
    context.setLineDash([]);
  }

  point(x, y, { vessel, near, chosen, selected, prefilled }) {
    const { context } = this;
    const radius = chosen ? 4.5 : 3;
    context.beginPath();
    if (prefilled) context.rect(x - radius, y - radius, 2 * radius, 2 * radius);
    else context.arc(x, y, radius, 0, 2 * Math.PI);
    context.lineWidth = 3.5;
    context.strokeStyle = "#000000";
    context.stroke();
    if (near && !prefilled) {
      context.fillStyle = lookOf(vessel.name).colour;
      context.fill();
    }
    context.lineWidth = 1.5;
    context.strokeStyle = selected ? "#ffffff" : lookOf(vessel.name).colour;
    context.stroke();
    if (!selected) return;
    context.beginPath();
    context.arc(x, y, radius + 4, 0, 2 * Math.PI);
    context.stroke();
  }

  ring(x, y) {
    const { context } = this;
    context.beginPath();
    context.arc(x, y, 11, 0, 2 * Math.PI);
    context.setLineDash([3, 3]);
    context.lineWidth = 3;
    context.strokeStyle = "#000000";
    context.stroke();
    context.lineWidth = 1.5;
    context.strokeStyle = "#ffffff";
    context.stroke();
    context.setLineDash([]);
  }

  diamond(x, y, colour) {
    this.stroke([[x, y - 6], [x + 6, y], [x, y + 6], [x - 6, y], [x, y - 6]], colour, 1.5);
  }

  crosshair(tile, bright) {
    const [x, y] = this.viewer.pixelOf(tile, this.viewer.at);
    const colour = bright ? "rgba(0, 90, 160, 0.75)" : "rgba(150, 200, 255, 0.55)";
    const [left, right] = [tile.left, tile.left + tile.width];
    const [top, bottom] = [tile.top, tile.top + tile.height];
    const gap = 12;
    const { context } = this;
    context.strokeStyle = colour;
    context.lineWidth = 1;
    context.beginPath();
    for (const [a, b] of [[left, x - gap], [x + gap, right]]) if (b > a) context.moveTo(a, y), context.lineTo(b, y);
    for (const [a, b] of [[top, y - gap], [y + gap, bottom]]) if (b > a) context.moveTo(x, a), context.lineTo(x, b);
    context.stroke();
  }

  brush(tile) {
    const hover = this.tools.hover;
    if (!["brush", "eraser"].includes(this.tools.name) || !hover || hover.tile !== tile.name) return;
    const { context, visit } = this;
    const radius = this.tools.radiusMm;
    const { across, up } = tile.plane;
    context.beginPath();
    context.ellipse(
      hover.x, hover.y,
      Math.abs(radius / visit.grid.voxelsMm[across] / tile.stepX), Math.abs(radius / visit.grid.voxelsMm[up] / tile.stepY),
      0, 0, 2 * Math.PI,
    );
    context.lineWidth = 1.2;
    context.setLineDash(this.tools.name === "eraser" ? [3, 3] : []);
    context.strokeStyle = lookOf(visit.chosen ?? "").colour;
    context.stroke();
    context.setLineDash([]);
  }

  /** The stretch being left out, and those left out of the chosen vessel. */
  range(tile) {
    if (tile.plane.up !== 2) return;
    const { visit, context, tools } = this;
    const k = (zMm) => {
      const [x, y] = visit.grid.lps(this.viewer.at);
      return visit.grid.ijk([x, y, zMm])[2];
    };
    const band = (zLow, zHigh, fill) => {
      const [, low] = this.pixel(tile, 0, k(zLow) - 0.5);
      const [, high] = this.pixel(tile, 0, k(zHigh) + 0.5);
      context.fillStyle = fill;
      context.fillRect(tile.left, Math.min(low, high), tile.width, Math.abs(low - high));
    };
    for (const out of visit.vessel?.left_out ?? []) band(out.z_min_mm, out.z_max_mm, "rgba(255, 255, 255, 0.16)");
    if (tools.range) band(Math.min(...tools.range), Math.max(...tools.range), "rgba(255, 255, 255, 0.3)");
  }

  letters(tile, projected, bright) {
    const { left, top, width, height, plane } = tile;
    const ink = bright ? "#003a66" : "#d0d4da";
    const [cx, cy] = [left + width / 2, top + height / 2];
    this.words(plane.left, left + 6, cy, ink, "left", 13, !bright);
    this.words(plane.right, left + width - 6, cy, ink, "right", 13, !bright);
    this.words(plane.top, cx, top + 11, ink, "center", 13, !bright);
    this.words(plane.bottom, cx, top + height - 10, ink, "center", 13, !bright);
    const level = projected ? { coronal: "from the front", sagittal: "from the left" }[tile.name] : this.level(tile);
    this.words(level, left + 6, top + 11, ink, "left", 11, !bright);
  }

  level(tile) {
    const { visit, viewer } = this;
    const lps = visit.grid.lps(viewer.at);
    if (tile.name !== "axial") return tile.name === "coronal" ? `y ${figure(lps[1])} mm` : `x ${figure(lps[0])} mm`;
    const number = visit.state.ct_image_numbers?.[Math.round(viewer.at[2])];
    return `z ${figure(lps[2])} mm${number ? `   CT image ${number}` : ""}`;
  }

  words(text, x, y, colour, align, size = 11, dark = true) {
    const { context } = this;
    context.font = `600 ${size}px system-ui, "Noto Sans", "DejaVu Sans", sans-serif`;
    context.textAlign = align;
    context.textBaseline = "middle";
    context.lineWidth = 3;
    context.lineJoin = "round";
    context.strokeStyle = dark ? "rgba(0, 0, 0, 0.85)" : "rgba(255, 255, 255, 0.85)";
    context.strokeText(text, x, y);
    context.fillStyle = colour;
    context.fillText(text, x, y);
  }

  stroke(points, colour, width) {
    const { context } = this;
    for (const [ink, thick] of [["rgba(0, 0, 0, 0.8)", width + 1.6], [colour, width]]) {
      context.beginPath();
      points.forEach(([x, y], n) => (n ? context.lineTo(x, y) : context.moveTo(x, y)));
      context.strokeStyle = ink;
      context.lineWidth = thick;
      context.stroke();
    }
  }
}
