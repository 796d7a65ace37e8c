// The bar over the picture: tools, what is shown and how bright.

import { button, fill, h } from "./dom.js";
import { TOPS, WINDOWS } from "./look.js";

const TOOLS = [
  ["navigate", "Look", "N", "Move the crosshair"],
  ["seed", "Points", "P", "Click along the chosen vessel; drag a point to move it"],
  ["brush", "Brush", "B", "Paint the chosen vessel"],
  ["eraser", "Eraser", "E", "Take away from the chosen vessel"],
  ["exclude", "Leave out", "L", "Leave out a stretch of the chosen vessel"],
];
export const MODES = [["fused", "Fused"], ["pet", "PET"], ["ct", "CT"], ["mip", "MIP"]];

export function drawBar(place, reading, page) {
  const { viewer, tools, visit } = reading;
  const { show } = viewer;
  const pressed = (on) => ({ "aria-pressed": on ? "true" : "false" });
  const tool = ([name, words, key, title]) => button(words, () => (name === "exclude" ? page.leaveOut() : reading.use(name)), {
    key, title, "data-focus": `tool-${name}`, ...pressed(tools.name === name), disabled: visit.readOnly && name !== "navigate",
  });
  const mode = ([name, words]) => button(words, () => page.mode(name), { "data-focus": `mode-${name}`, ...pressed(show.mode === name) });
  const brush = ["brush", "eraser"].includes(tools.name)
    ? h("label", {}, "Size ", h("input", {
      type: "range", min: "0.5", max: "12", step: "0.5", value: tools.radiusMm, "aria-label": "Size of the brush", "data-focus": "brush-size",
      "aria-valuetext": `${2 * tools.radiusMm} mm across`, oninput: (e) => page.setBrush(Number(e.target.value)),
    }), h("output", {}, `${2 * tools.radiusMm} mm`))
    : null;
  fill(place,
    h("div", { class: "group", role: "group", "aria-label": "Tool" }, TOOLS.map(tool), brush),
    h("div", { class: "group", role: "group", "aria-label": "Picture" }, MODES.map(mode)),
    h("div", { class: "group", role: "group", "aria-label": "Brightness" },
      h("label", {}, "CT ", h("select", { "aria-label": "CT window", "data-focus": "window", onchange: (e) => page.window(e.target.value) },
        Object.entries(WINDOWS).map(([name, w]) => h("option", { value: name, selected: show.window === name }, w.title)))),
      petTop(viewer, page),
      h("label", {}, "PET over CT ", h("input", {
        type: "range", min: "0", max: "1", step: "0.05", value: show.opacity, "aria-label": "PET over CT", "data-focus": "opacity",
        "aria-valuetext": `${Math.round(100 * show.opacity)} %`, oninput: (e) => page.opacity(Number(e.target.value)),
      }))),
    h("div", { class: "group", role: "group", "aria-label": "View" },
      button("Outlines", () => page.toggleOutlines(), { key: "O", "data-focus": "outlines", ...pressed(!reading.overlay.hidden) }),
      button("\u2212", () => page.zoom(1 / 1.4), { "aria-label": "Zoom out", "data-focus": "zoom-out" }),
      button("+", () => page.zoom(1.4), { "aria-label": "Zoom in", "data-focus": "zoom-in" }),
      button("Fit", () => page.zoom(0), { "data-focus": "fit" }),
      button(viewer.single ? "Three planes" : "One plane", () => reading.enlarge(tools.plane), { key: "Z", "data-focus": "single" })));
}

function petTop(viewer, page) {
  const unit = viewer.isSuv ? "SUV" : "Bq/ml";
  const tops = viewer.isSuv ? TOPS : [0.25, 0.5, 0.75, 1, 1.5].map((part) => Number((part * viewer.pet.high).toPrecision(2)));
  const all = [...new Set([...tops, viewer.show.suvTop])].sort((a, b) => a - b);
  return h("label", {}, `PET, ${unit} 0 to `, h("select", { "aria-label": `PET window, ${unit} 0 to`, "data-focus": "top", onchange: (e) => page.suvTop(Number(e.target.value)) },
    all.map((top) => h("option", { value: top, selected: top === viewer.show.suvTop }, String(top)))));
}
