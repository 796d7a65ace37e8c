// All visits of the reader: what each needs, how far one is, and where to go on.

import { read } from "./api.js";
import { button, fill, h } from "./dom.js";
import { lookOf, STATE_WORDS } from "./look.js";

const ITEM_STATES = { new: "not begun", open: "begun", finished: "finished", closed: "cannot be opened" };

export const load = (order) => read(`api/worklist?order=${encodeURIComponent(order)}`);

export function progressWords(list) {
  const vessels = `${list.vessels_need_you} ${list.vessels_need_you === 1 ? "vessel needs" : "vessels need"} you`;
  return `${list.visits_done} of ${list.visits} ${list.visits === 1 ? "visit" : "visits"} done, ${vessels}`;
}

/** The visit to go on with: one that was begun, else the first that is not finished. */
export const nextItem = (items, after = null) => {
  const from = items.findIndex((entry) => entry.item === after) + 1;
  const order = [...items.slice(from), ...items.slice(0, from)].filter((e) => e.item !== after && ["new", "open"].includes(e.state));
  return (after ? null : order.find((e) => e.state === "open")) ?? order[0] ?? null;
};

/** Draw the list into `place`; `open(item)` opens one, `reorder(order)` asks for another order. */
export function draw(place, list, order, { open, reorder }) {
  const next = nextItem(list.items);
  const share = list.visits ? list.visits_done / list.visits : 0;
  const rows = list.items.map((entry) => row(entry, open));
  fill(place,
    h("section", { class: "worklist", "aria-labelledby": "worklist-title" },
      h("h2", { id: "worklist-title" }, "Your visits"),
      h("p", { class: "lead" }, progressWords(list)),
      h("progress", { max: "1", value: share, "aria-label": "Visits done" }),
      h("div", { class: "buttons" },
        next
          ? button(next.state === "open" ? `Go on with ${next.item}` : `Read ${next.item}`, () => open(next.item), { class: "main", "data-focus": "go-on" })
          : h("p", {}, "No visit waits for you."),
        h("label", {}, "Order ", h("select", { "data-focus": "order", onchange: (e) => reorder(e.target.value) },
          h("option", { value: "mine", selected: order === "mine" }, "yours"),
          h("option", { value: "worst", selected: order === "worst" }, "worst check first")))),
      h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "List of visits" }, h("table", {},
        h("thead", {}, h("tr", {}, ["Visit", "State", "Needs you", "Vessels", "Worst check"].map((t) => h("th", { scope: "col" }, t)))),
        h("tbody", {}, rows)))));
}

function row(entry, open) {
  const chips = (entry.vessels ?? []).map((v) => {
    const words = `${v.title}: ${STATE_WORDS[v.state] ?? v.state}${v.needs_you ? ", needs you" : ""}${v.why ? `. ${v.why}` : ""}`;
    return h("li", { class: v.needs_you ? "needs" : "", title: words }, h("span", { "aria-hidden": "true" }, lookOf(v.name).letters),
      h("span", { class: "hidden" }, words));
  });
  const closed = entry.state === "closed";
  const needs = closed ? "\u2013" : entry.needs ? `${entry.needs} ${entry.needs === 1 ? "vessel" : "vessels"}` : "nothing";
  const why = entry.worst ?? "";
  return h("tr", { class: entry.state },
    h("th", { scope: "row" }, closed ? entry.item : button(entry.item, () => open(entry.item), { class: "link", "data-focus": entry.item })),
    h("td", {}, ITEM_STATES[entry.state] ?? entry.state), h("td", {}, needs),
    h("td", {}, h("ul", { class: "chips" }, chips)), h("td", { class: "why" }, why));
}
