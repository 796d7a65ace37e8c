// The list of vessels at the side, and all about the chosen one.

import { button, figure, fill, h } from "./dom.js";
import { LANDMARKS, lookOf, lineOf, REASONS, STATE_WORDS } from "./look.js";

export function drawPanel(place, reading, page) {
  const { visit } = reading;
  const warnings = visit.state.warnings ?? [];
  fill(place,
    visit.readOnly ? finishedBox(visit, page) : null,
    visit.state.prefill_offered && !visit.readOnly ? prefillBox(reading) : null,
    h("h2", { class: "hidden" }, "Vessels"),
    h("ul", { class: "vessels" }, visit.vessels.map((vessel) => entry(vessel, reading, page))),
    landmarks(reading),
    comment(reading),
    warnings.length ? h("details", { class: "more" }, h("summary", { "data-focus": "warnings" }, `Notes on this visit (${warnings.length})`),
      h("ul", {}, warnings.map((w) => h("li", {}, w)))) : null);
}

function finishedBox(visit, page) {
  if (!visit.state.finished) return h("p", { class: "box" }, "This visit can be looked at, not changed.");
  return h("div", { class: "box" }, h("p", {}, "This read is finished."), button("Reopen it", () => page.reopen(), { "data-focus": "reopen" }));
}

function prefillBox(reading) {
  return h("div", { class: "box" },
    h("p", {}, "Points set on this participant's other visit can be carried here as a proposal. Each vessel then waits for you to confirm it or to drag its points."),
    button("Carry them here", () => reading.act({ kind: "prefill" }), { "data-focus": "prefill" }));
}

function entry(vessel, reading, page) {
  const chosen = vessel.name === reading.visit.chosen;
  const state = STATE_WORDS[vessel.state] ?? vessel.state;
  return h("li", { class: `${chosen ? "chosen " : ""}${vessel.needs_you ? "needs" : ""}` },
    h("button", {
      type: "button", class: "vessel", "aria-expanded": chosen ? "true" : "false", "data-focus": `vessel-${vessel.name}`,
      onclick: () => reading.choose(vessel.name),
    }, swatch(vessel), h("span", { class: "name" }, vessel.title), h("span", { class: "state" }, state),
    vessel.needs_you ? h("span", { class: "flag" }, "needs you") : null),
    chosen ? detail(vessel, reading, page) : null);
}

/** Letters and line of the vessel as they stand in the picture. */
function swatch(vessel) {
  const { letters, colour } = lookOf(vessel.name);
  const line = lineOf(vessel.state);
  return h("svg", { viewBox: "0 0 34 22", class: "swatch", "aria-hidden": "true" },
    h("rect", { x: 1.5, y: 1.5, width: 31, height: 19, rx: 9, fill: "none", stroke: colour, "stroke-width": line.width, "stroke-dasharray": line.dash.join(" ") }),
    h("text", { x: 17, y: 15, "text-anchor": "middle", fill: colour }, letters));
}

function detail(vessel, reading, page) {
  const { visit } = reading;
  const locked = visit.readOnly;
  return h("div", { class: "detail" },
    vessel.words ? h("p", { class: "words" }, vessel.words) : null,
    vessel.decision?.words ? h("p", { class: "words" }, `Your words: ${vessel.decision.words}`) : null,
    checks(vessel),
    values(vessel),
    locked ? null : adjudication(vessel, reading),
    locked ? null : decision(vessel, reading, page),
    points(vessel, reading, locked),
    leftOut(vessel, reading, locked));
}

function checks(vessel) {
  const all = vessel.checks ?? [];
  if (!all.length) return null;
  const failed = all.filter((c) => !c.passed);
  const line = (c) => h("li", { class: c.passed ? "" : "failed" }, `${c.passed ? "" : "Not passed: "}${c.name}: ${c.message}`);
  const passed = all.filter((c) => c.passed);
  return [
    failed.length ? h("ul", { class: "checks" }, failed.map(line)) : null,
    h("details", { class: "more" }, h("summary", { "data-focus": "checks" }, `${passed.length} of ${all.length} checks passed`),
      h("ul", { class: "checks" }, passed.map(line))),
  ];
}

function values(vessel) {
  if (!vessel.values) return null;
  const words = { mean_tbr_max: "Mean TBRmax", mds_tbr_max: "TBRmax of the most diseased segment", max_tbr: "Highest TBR", valid_sections: "Slices measured" };
  const rows = Object.entries(vessel.values).filter(([, value]) => value !== null && typeof value !== "object");
  return h("dl", { class: "values" }, rows.map(([name, value]) => [
    h("dt", {}, words[name] ?? name.replaceAll("_", " ")),
    h("dd", {}, typeof value === "number" ? figure(value, Number.isInteger(value) ? 0 : 2) : String(value)),
  ]));
}

function adjudication(vessel, reading) {
  const reads = reading.visit.state.reads;
  if (!reads) return null;
  const said = (read) => {
    const decision = { accept: "accepted", reject: "rejected" }[read.decisions[vessel.name]] ?? "not decided";
    const drawn = read.runs[vessel.name]?.length ? "" : ", nothing drawn";
    const out = read.left_out.filter((row) => row.vessel === vessel.name).length;
    return `Read ${read.read}: ${decision}${drawn}${out ? `, stretches left out: ${out}` : ""}`;
  };
  const take = (n) => button(`Take read ${n}`, () => reading.act({ kind: "take", vessel: vessel.name, read: n }), { "data-focus": `take-${n}` });
  return [
    h("p", {}, reads.map(said).join(". "), ". Taking one shows it; Undo takes it back."),
    h("div", { class: "buttons" }, take(1), take(2)),
  ];
}

function points(vessel, reading, locked) {
  const { tools } = reading;
  const seeds = vessel.seeds ?? [];
  const prefilled = seeds.some((s) => s.prefilled);
  const chosen = seeds[tools.point];
  const box = (name, words) => h("label", { class: "check" }, h("input", {
    type: "checkbox", checked: tools[name], "data-focus": `box-${name}`, onchange: (e) => { tools[name] = e.target.checked; },
  }), words);
  const say = (seed, n) => `${n + 1}: z ${figure(seed.lps_mm[2])} mm${seed.snapped ? `, moved ${figure(seed.moved_mm)} mm to the centre` : ""}${seed.prefilled ? ", carried over" : ""}`;
  return h("section", { class: "points" },
    h("h3", {}, seeds.length ? `Points: ${seeds.length}` : "No points set"),
    prefilled && !locked ? h("div", { class: "buttons" }, h("p", {}, "Carried over from the other visit: a proposal."),
      button("Confirm them", () => reading.act({ kind: "confirm", vessel: vessel.name }), { "data-focus": "confirm" })) : null,
    vessel.hint && !locked ? h("p", { class: "hint" }, `Next point: ${vessel.hint.words.replace(`${vessel.title}: `, "")} `, button("Go there", () => reading.goToHint(), { key: "H", "data-focus": "hint" })) : null,
    locked ? null : box("snap", "Move a click to the centre of the vessel"),
    locked ? null : box("advance", "Go on to the next level by itself"),
    seeds.length ? h("details", { class: "more", open: tools.point !== null }, h("summary", { "data-focus": "points" }, "The points"),
      h("ol", { class: "list" }, seeds.map((seed, n) => h("li", {}, button(say(seed, n), () => reading.selectPoint(n), {
        class: "link", "data-focus": `point-${n}`, "aria-pressed": tools.point === n ? "true" : "false",
      }))))) : null,
    chosen && !chosen.snapped && chosen.snap_reason ? h("p", { class: "words" }, `Left where you clicked: ${chosen.snap_reason}`) : null,
    locked || !seeds.length ? null : h("div", { class: "buttons" },
      chosen?.snapped ? button("Refuse the snap", () => reading.onPoint("refuse_snap"), { key: "R", title: chosen.snap_reason || null, "data-focus": "refuse" }) : null,
      chosen ? button("Delete point", () => reading.onPoint("delete"), { "data-focus": "delete" }) : null,
      button("Clear all points", () => reading.clearPoints(), { "data-focus": "clear" })),
    locked ? null : radius(vessel, reading),
    bifurcation(vessel, reading, locked));
}

function radius(vessel, reading) {
  const field = h("input", {
    type: "number", min: "1", max: "60", step: "0.5", value: vessel.radius_mm ?? "", placeholder: "from the picture", "data-focus": "radius",
    onchange: (e) => {
      const value = Number.parseFloat(e.target.value);
      reading.setRadius(Number.isFinite(value) ? value : null);
    },
  });
  return h("label", {}, vessel.name.startsWith("aorta") ? "Radius (mm), needed here " : "Radius (mm) ", field);
}

function bifurcation(vessel, reading, locked) {
  const name = vessel.name.startsWith("carotid_") ? vessel.name.replace("carotid_", "carotid_bifurcation_") : null;
  return name ? landmark(name, reading, locked, "F") : null;
}

function landmark(name, reading, locked, key = "") {
  const place = reading.visit.state.landmarks?.[name];
  return h("div", { class: "landmark" }, h("span", {}, `${LANDMARKS[name]}: ${place ? `z ${figure(place[2])} mm` : "not set"}`),
    h("span", { class: "buttons" },
      place ? button("Show", () => reading.goTo(place), { "aria-label": `Show: ${LANDMARKS[name]}`, "data-focus": `show-${name}` }) : null,
      locked ? null : button("Set", () => reading.beginLandmark(name), { key, "aria-label": `Set: ${LANDMARKS[name]}`, "data-focus": `set-${name}` }),
      place && !locked ? button("Clear", () => reading.setLandmark(null, name), { "aria-label": `Clear: ${LANDMARKS[name]}`, "data-focus": `clear-${name}` }) : null));
}

function comment(reading) {
  const { state, readOnly } = reading.visit;
  if (readOnly) return state.reader_words ? h("p", { class: "words" }, `Your words on this visit: ${state.reader_words}`) : null;
  return h("label", { class: "comment" }, "Your words on this visit", h("textarea", {
    rows: "2", "data-focus": "comment",
    onchange: (e) => reading.act({ kind: "comment", words: e.target.value.trim() }),
  }, state.reader_words ?? ""));
}

function landmarks(reading) {
  const names = Object.keys(reading.visit.state.landmarks ?? {}).filter((n) => LANDMARKS[n] && !n.startsWith("carotid_"));
  if (!names.length) return null;
  return h("details", { class: "more" }, h("summary", { "data-focus": "landmarks" }, "Other landmarks"),
    names.map((name) => landmark(name, reading, reading.visit.readOnly)));
}

function leftOut(vessel, reading, locked) {
  if (vessel.kind !== "artery") return null;
  const rows = (vessel.left_out ?? []).map((out, n) => h("li", {},
    `z ${figure(out.z_min_mm)} to ${figure(out.z_max_mm)} mm: ${out.words || REASONS[out.code] || out.code} `,
    locked ? null : button("Take back", () => reading.include(n), { "aria-label": `Take back stretch ${n + 1}`, "data-focus": `include-${n}` })));
  return h("section", { class: "points" },
    rows.length ? [h("h3", {}, "Left out"), h("ul", { class: "list" }, rows)] : null,
    locked ? null : button("Leave out a stretch \u2026", () => reading.askExclude(), { "data-focus": "exclude" }));
}

function decision(vessel, reading, page) {
  const { choice } = vessel.decision ?? {};
  return h("section", { class: "decision" },
    h("label", { for: "remark" }, "Your words (needed to reject)"),
    h("input", {
      id: "remark", type: "text", "data-focus": "remark", "aria-describedby": "remark-fault", autocomplete: "off",
      value: page.remarks[vessel.name] ?? "", oninput: (e) => { page.remarks[vessel.name] = e.target.value; },
    }),
    h("p", { id: "remark-fault", class: "fault", role: "alert" }),
    h("div", { class: "buttons" },
      button("Accept", () => page.accept(), { key: "A", class: `accept ${choice === "accept" ? "on" : ""}`, "data-focus": "accept" }),
      button("Reject", () => page.reject(), { key: "X", class: `reject ${choice === "reject" ? "on" : ""}`, "data-focus": "reject" }),
      choice ? button("Take back", () => reading.decide("none"), { "aria-label": "Take back the decision", "data-focus": "none" }) : null));
}
