// The keyboard: everything that the mouse can do, and the list of it.

export const KEYS = [
  ["Looking", [
    ["Arrow keys", "move the crosshair in the active plane (with Shift by 10)"],
    ["Page up, Page down", "next slice (with Shift by 5)"],
    ["1, 2, 3", "make axial, coronal or sagittal the active plane"],
    ["Z", "the active plane alone, or all three"],
    ["+, \u2212, 0", "zoom in, out, fit"],
    ["D", "fused, PET alone, CT alone, projection (MIP)"],
    ["W", "next CT window"],
    ["O", "outlines on or off"],
    ["Esc", "from a button or field back to the picture"],
  ]],
  ["Vessels", [
    ["V, Shift+V", "next or previous vessel that needs you"],
    ["H", "go to where the next point is due"],
    ["A", "accept the vessel"],
    ["X", "reject it: goes to the field for your words"],
  ]],
  ["Drawing", [
    ["N, P, B, E, L", "look, points, brush, eraser, leave out a stretch"],
    ["Enter", "set a point, a landmark or a dab of the brush at the crosshair"],
    ["[ and ]", "previous or next point of the vessel"],
    ["M", "move the chosen point to the crosshair"],
    ["R", "refuse the snap: put the point back where you clicked"],
    ["Delete", "delete the chosen point"],
    ["F", "set the bifurcation of the chosen carotid"],
    ["< and >", "smaller or larger brush"],
    ["Ctrl+Z, Ctrl+Shift+Z", "undo, do again"],
  ]],
  ["Visits", [
    ["Q", "all visits"],
    ["G", "finish this visit"],
    ["?", "this list"],
  ]],
];

const TYPING = "input:not([type=range]):not([type=checkbox]):not([type=radio]), textarea, select";

/** Listen for keys; `page` brings what is not of the reading itself. */
export function listen(reading, page) {
  document.addEventListener("keydown", (event) => {
    if (document.querySelector("dialog[open]")) return;
    if (event.key === "Escape" && reading.visit) return void reading.element.focus();
    if (event.target.closest?.(TYPING)) return;
    if (!reading.visit) {
      if (event.key === "?") page.keys();
      return;
    }
    const inPicture = event.target === document.body || event.target === reading.element || event.target.id === "work";
    const handler = event.ctrlKey || event.metaKey ? withControl(event, reading) : plain(event, reading, page, inPicture);
    if (!handler) return;
    event.preventDefault();
    handler();
  });
}

function withControl(event, reading) {
  const key = event.key.toLowerCase();
  if (key === "z" && event.shiftKey) return () => reading.redo();
  if (key === "z") return () => reading.undo();
  if (key === "y") return () => reading.redo();
  return null;
}

function plain(event, reading, page, inPicture) {
  if (event.altKey) return null;
  const { tools } = reading;
  const far = event.shiftKey ? 10 : 1;
  const slices = event.shiftKey ? 5 : 1;
  const picture = {
    ArrowLeft: () => reading.step(-far, 0),
    ArrowRight: () => reading.step(far, 0),
    ArrowUp: () => reading.step(0, far),
    ArrowDown: () => reading.step(0, -far),
    PageUp: () => reading.scroll(tools.plane, slices),
    PageDown: () => reading.scroll(tools.plane, -slices),
    Enter: () => enter(reading),
    Delete: () => reading.onPoint("delete"),
    Backspace: () => reading.onPoint("delete"),
  };
  if (event.key in picture) return inPicture ? picture[event.key] : null;
  const letters = {
    1: () => page.plane("axial"), 2: () => page.plane("coronal"), 3: () => page.plane("sagittal"),
    z: () => reading.enlarge(tools.plane),
    "+": () => page.zoom(1.4), "=": () => page.zoom(1.4), "-": () => page.zoom(1 / 1.4), 0: () => page.zoom(0),
    d: () => page.nextMode(), w: () => page.nextWindow(), o: () => page.toggleOutlines(),
    v: () => reading.next(event.shiftKey ? -1 : 1),
    h: () => reading.goToHint(),
    a: () => page.accept(), x: () => page.reject(),
    n: () => reading.use("navigate"), p: () => reading.use("seed"), b: () => reading.use("brush"),
    e: () => reading.use("eraser"),
    l: () => page.leaveOut(),
    "[": () => reading.stepPoint(-1), "]": () => reading.stepPoint(1),
    m: () => reading.movePointHere(), r: () => reading.onPoint("refuse_snap"),
    f: () => page.bifurcation(),
    "<": () => page.brush(-0.5), ">": () => page.brush(0.5), ",": () => page.brush(-0.5), ".": () => page.brush(0.5),
    q: () => page.worklist(), g: () => page.finish(), "?": () => page.keys(),
  };
  return letters[event.key.toLowerCase()] ?? null;
}

function enter(reading) {
  const { tools, viewer, visit } = reading;
  const lps = visit.grid.lps(viewer.at);
  if (tools.name === "seed") return reading.addPoint(lps);
  if (tools.name === "landmark") return reading.setLandmark(lps);
  if (tools.name === "brush" || tools.name === "eraser") return reading.dab();
  if (tools.name === "exclude") return reading.askExclude();
  return null;
}
