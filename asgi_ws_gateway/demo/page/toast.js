// Short notices in a corner: errors, and questions with two buttons.

import { element, find } from "./dom.js";

const SHOWN = 5_000;

export function notify(text, kind = "info") {
  const toast = element("div", { class: `toast toast-${kind}` }, element("p", {}, text));
  find("toasts").append(toast);
  setTimeout(() => toast.remove(), SHOWN);
}

// Resolves to true or false; to false by itself after `seconds`.
export function ask(text, yes, no, seconds) {
  return new Promise((resolve) => {
    const answer = (value) => {
      clearTimeout(timer);
      toast.remove();
      resolve(value);
    };
    const timer = setTimeout(() => answer(false), seconds * 1000);
    const toast = element(
      "div",
      { class: "toast toast-question", role: "alertdialog", "aria-label": text },
      element("p", {}, text),
      element("div", { class: "toast-actions" },
        element("button", { type: "button", class: "primary", onclick: () => answer(true) }, yes),
        element("button", { type: "button", onclick: () => answer(false) }, no)),
    );
    find("toasts").append(toast);
  });
}
