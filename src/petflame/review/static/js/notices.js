// What went wrong, in the words of the server: what, where, what to do. It stays until it is read.

import { button, h, say } from "./dom.js";

export function notice(title, faults, again = null) {
  const place = document.getElementById("notices");
  const box = h("section", { class: "notice", role: "alert" },
    h("h2", {}, title),
    h("ul", {}, faults.map((f) => h("li", {}, h("strong", {}, f.what), f.where ? `; ${f.where}` : "", f.remedy ? h("span", {}, ` What to do: ${f.remedy}.`) : null))),
    h("div", { class: "buttons" },
      again ? button("Try again", () => { box.remove(); again(); }) : null,
      button("Close", () => box.remove())));
  place.replaceChildren(box);
  say(title);
}

export const clearNotices = () => document.getElementById("notices").replaceChildren();
