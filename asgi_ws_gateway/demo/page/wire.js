// The panel that shows every message as it was sent, in both directions.

import { element, find, followEnd } from "./dom.js";
import { pretty } from "./json.js";

const KEPT = 200;
const PINGS = new Set(["ping", "pong", "heartbeat"]);

export class Wire {
  constructor(sendText) {
    this.log = find("wire");
    followEnd(this.log);
    this.held = [];
    this.total = { in: 0, out: 0 };
    this.paused = false;
    find("wire-pause").onclick = () => this.pause(!this.paused);
    find("wire-clear").onclick = () => this.clear();
    find("wire-pings").onchange = ({ target }) =>
      this.log.classList.toggle("without-pings", !target.checked);
    find("raw").onsubmit = (submit) => {
      submit.preventDefault();
      const input = find("raw-text");
      if (input.value) sendText(input.value);
      input.value = "";
    };
    this.count();
  }

  add(direction, text) {
    this.total[direction] += 1;
    const entry = { direction, text, at: new Date() };
    if (this.paused) this.held = [...this.held, entry].slice(-KEPT);
    else this.show([entry]);
    this.count();
  }

  show(entries) {
    this.log.append(...entries.map(row));
    while (this.log.children.length > KEPT) this.log.firstChild.remove();
  }

  pause(paused) {
    this.paused = paused;
    find("wire-pause").setAttribute("aria-pressed", paused);
    find("wire-pause").textContent = paused ? "Resume" : "Pause";
    if (!paused) this.show(this.held.splice(0));
    this.count();
  }

  clear() {
    this.log.replaceChildren();
    this.held = [];
    this.count();
  }

  count() {
    const held = this.paused ? ` · ${this.held.length} held back` : "";
    find("wire-total").textContent = `${this.total.out} sent · ${this.total.in} received${held}`;
  }
}

function row({ direction, text, at }) {
  const { event, id, ...rest } = parse(text);
  const out = direction === "out";
  const kind = event === "error" ? "error" : direction;
  return element(
    "li",
    { class: `wire-${kind}${PINGS.has(event) ? " wire-ping" : ""}`, "data-event": event },
    element(
      "div",
      { class: "wire-head" },
      element("span", { class: "wire-arrow", title: out ? "sent" : "received" }, out ? "↑" : "↓"),
      element("strong", {}, event ?? "not an envelope"),
      id === undefined ? null : element("span", { class: "wire-id", title: "id" }, String(id)),
      element("time", {}, at.toLocaleTimeString([], { hour12: false })),
    ),
    ...body(rest),
  );
}

function body(rest) {
  if (!Object.keys(rest).length) return [];
  const value = "raw" in rest ? rest.raw : "data" in rest ? rest.data : rest;
  const empty = value && typeof value === "object" && !Object.keys(value).length;
  return empty || value === null ? [] : [element("pre", {}, ...pretty(value))];
}

function parse(text) {
  try {
    const value = JSON.parse(text);
    return value && typeof value === "object" && !Array.isArray(value) ? value : { raw: value };
  } catch {
    return { raw: text };
  }
}
