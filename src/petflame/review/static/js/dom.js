// Building elements. Words from the server enter as text nodes only, never as markup.

/** Make an element: `h("button", {class: "big", onclick: f, "aria-label": "..."}, "words", child)`. */
export function h(tag, attributes = {}, ...children) {
  const node = tag === "svg" || SVG.has(tag)
    ? document.createElementNS("http://www.w3.org/2000/svg", tag)
    : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

const SVG = new Set(["path", "g", "line", "rect", "circle", "text", "polyline", "title"]);

/** A button with words; `key` is shown as its shortcut. */
export function button(words, onclick, { key = "", ...attributes } = {}) {
  const hint = key ? h("kbd", { "aria-hidden": "true" }, key) : null;
  return h("button", { type: "button", onclick, "aria-keyshortcuts": key || null, ...attributes }, words, hint);
}

/** Replace what is in `node`; the focus stays where it was if the control is there again (by its data-focus). */
export function fill(node, ...children) {
  const held = document.activeElement && node.contains(document.activeElement)
    ? document.activeElement.getAttribute("data-focus")
    : null;
  node.replaceChildren(...children.flat(Infinity).filter(Boolean));
  if (held) node.querySelector(`[data-focus="${CSS.escape(held)}"]`)?.focus();
}

/** Say it to a screen reader, and show it at the foot of the page. */
export function say(words) {
  const live = document.getElementById("live");
  if (!words) return;
  // The same words twice are two events.
  live.textContent = live.textContent === words ? `${words}\u00a0` : words;
}

/** A number with a true minus sign. */
export const figure = (value, digits = 1) =>
  Number.isFinite(value) ? value.toFixed(digits).replace("-", "\u2212") : "\u2013";
