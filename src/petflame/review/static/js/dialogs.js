// Questions that the page asks: why a stretch is left out, whether to finish, and the list of keys.

import { button, h } from "./dom.js";
import { KEYS } from "./keys.js";
import { REASONS } from "./look.js";

/** Show a dialog; resolves with what `submit` gives, or null where it was closed. */
function ask(title, content, { submit = null, words = "Save", extra = [] } = {}) {
  return new Promise((done) => {
    const id = `dialog-${Math.random().toString(36).slice(2)}`;
    const fault = h("p", { class: "fault", role: "alert" });
    let answer = null;
    const form = h("form", { method: "dialog", novalidate: true, onsubmit: (event) => {
      event.preventDefault();
      const given = submit ? submit((text, field) => { fault.textContent = text; field?.focus(); }) : true;
      if (given === undefined) return;
      answer = given;
      dialog.close();
    } },
    h("h2", submit ? { id } : { id, tabindex: "-1", autofocus: true }, title), content, fault,
    h("div", { class: "buttons" },
      submit ? h("button", { type: "submit", class: "main" }, words) : null, ...extra,
      button(submit ? "Cancel" : "Close", () => dialog.close())));
    const dialog = h("dialog", { "aria-labelledby": id }, form);
    dialog.addEventListener("close", () => {
      dialog.remove();
      done(answer);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

export function keys() {
  const list = KEYS.map(([title, rows]) => h("section", {}, h("h3", {}, title),
    h("dl", {}, rows.map(([key, does]) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, does)]))));
  const mouse = h("section", {}, h("h3", {}, "Mouse"), h("dl", {},
    h("dt", {}, "Wheel"), h("dd", {}, "next slice (with Shift by 5; with Ctrl zoom)"),
    h("dt", {}, "Right button, drag"), h("dd", {}, "move the picture"),
    h("dt", {}, "Double click"), h("dd", {}, "one plane alone, while looking"),
    h("dt", {}, "Shift and click"), h("dd", {}, "set a point just there, without the snap")));
  return ask("Keys", h("div", { class: "keys" }, list, mouse));
}

/** Ask for a stretch: [z_min_mm, z_max_mm, code, words] or null. */
export function exclude(title, zMin, zMax) {
  const low = h("input", { type: "number", step: "0.1", value: zMin.toFixed(1), required: true });
  const high = h("input", { type: "number", step: "0.1", value: zMax.toFixed(1), required: true });
  const code = h("select", {}, Object.entries(REASONS).map(([value, words]) => h("option", { value }, words)));
  const words = h("textarea", { rows: "2", required: true });
  const content = h("div", { class: "fields" },
    h("label", {}, "From z (mm), towards the feet", low),
    h("label", {}, "To z (mm), towards the head", high),
    h("label", {}, "Reason", code),
    h("label", { class: "wide" }, "In your words", words));
  return ask(`Leave out a stretch of the ${title}`, content, {
    words: "Leave out",
    submit: (fault) => {
      const [a, b] = [Number.parseFloat(low.value), Number.parseFloat(high.value)];
      if (!Number.isFinite(a) || !Number.isFinite(b)) return fault("Give both levels in mm.", low);
      if (!words.value.trim()) return fault("Say in a few words why it is left out.", words);
      return [Math.min(a, b), Math.max(a, b), code.value, words.value.trim()];
    },
  });
}

export function finish(undecided) {
  const content = undecided.length
    ? h("div", {}, h("p", {}, "Not decided yet; these stay withheld:"), h("ul", {}, undecided.map((t) => h("li", {}, t))))
    : h("p", {}, "Every vessel is decided.");
  return ask("Finish this visit?", content, {
    words: undecided.length ? "Finish all the same" : "Finish",
    submit: () => true,
  });
}

/** Ask why something is changed after the end of the reading; the words, or null. */
export function afterLock() {
  const words = h("textarea", { rows: "2", required: true });
  const content = h("div", { class: "fields" },
    h("p", { class: "wide" }, "The reading was ended. What is changed now stands in the report as changed after its end, with your words."),
    h("label", { class: "wide" }, "Why is it changed", words));
  return ask("The reading has ended", content, {
    words: "Change it all the same",
    submit: (fault) => words.value.trim() || fault("Say in a few words why.", words),
  });
}
